//! What became of a request, told to whoever asked: what happened from its events, then where the
//! release stands now and what happens next.

use serde::Serialize;

use super::prefix::in_full;
use super::say::Words;
use crate::app::cards::headline;
use crate::app::engine::Lost;
use crate::domain::agenda::{self, Scope};
use crate::domain::checklist::{Mark, missing};
use crate::domain::command::Vote;
use crate::domain::event::{Event, FlagDid, Happened};
use crate::domain::ids::{FlagId, ReleaseId};
use crate::domain::plan::Finding;
use crate::domain::policy::Policy;
use crate::domain::refusal::Refusal;
use crate::domain::registry;
use crate::domain::report::step_name;
use crate::domain::state::{Phase, Release, State};
use crate::domain::time::Time;
use crate::domain::verdict::{self, Reason};
use crate::domain::zone::Zone;
use crate::ports::{Button, Message, Style, Tone};

/// Deadlines that a confirmation names.
const NEXT: usize = 3;

/// What `answer-done.md` is filled with. What does not apply is empty.
#[derive(Debug, Default, Serialize)]
struct Done {
    /// The event's name in the log.
    did: String,
    seq: u64,
    zone: String,
    now: Option<Time>,
    // What happened.
    what: String,
    /// In a few words, where what was asked was outdated.
    stands: String,
    why: String,
    role: String,
    who: String,
    from: String,
    to: String,
    flag: bool,
    begins: Option<Time>,
    start: Option<Time>,
    warnings: Vec<String>,
    // Where the release stands now.
    title: String,
    target: String,
    phase: String,
    captain: String,
    go: usize,
    seats: usize,
    silent: Vec<String>,
    against: Vec<String>,
    open: usize,
    is_go: bool,
    next: Vec<Next>,
}

#[derive(Debug, Serialize)]
struct Next {
    at: Time,
    about: String,
}

/// The state after it was decided.
pub(super) struct After<'a> {
    pub words: Words<'a>,
    pub state: &'a State,
    pub policy: &'a Policy,
    pub now: Time,
}

impl After<'_> {
    pub(super) fn message(&self, events: &[(u64, Event)]) -> Message {
        let Some((seq, event)) = events.first() else {
            return self.words.message(Tone::Plain, "answer-nothing.md", &());
        };
        match event {
            Event::Refused { verb, why } => self.refused(verb, why, None),
            Event::Release { release, did: Happened::Refused { verb, why } } => {
                self.refused(verb, why, Some(release))
            }
            Event::Release { release, did } => self.done(*seq, release, did),
            Event::Begun { .. }
            | Event::PolicyAdopted { .. }
            | Event::ClockJumped { .. }
            | Event::ClockLeapt { .. }
            | Event::SnapshotTaken { .. }
            | Event::AlreadySo { .. }
            | Event::FreezeAdded { .. }
            | Event::FreezeLifted { .. }
            | Event::FreezeEnded { .. }
            | Event::Welcomed { .. }
            | Event::Locked { .. }
            | Event::Unlocked { .. }
            | Event::Flag { .. }
            | Event::GateTurnedAway { .. } => self.of_the_house(*seq, event),
        }
    }

    fn refused(&self, verb: &str, why: &Refusal, release: Option<&ReleaseId>) -> Message {
        #[derive(Serialize)]
        struct Why {
            why: String,
            title: String,
            stands: String,
        }
        // What is wrong with a plan names keys of the plan; `roles` is no command there.
        let is_plan = matches!(why, Refusal::PlanRefused { .. });
        let said = why.to_string();
        let said = if is_plan { said } else { in_full(&said) };
        let release = release.and_then(|id| self.state.releases.get(id));
        let (title, stands) = match release.filter(|_| is_outdated(why)) {
            Some(release) => (release.title(), headline(release, self.policy, self.now)),
            None => Default::default(),
        };
        let why_text = Why { why: said, title, stands };
        let mut message = self.words.message(Tone::Warning, "answer-refused.md", &why_text);
        let buttons = match (why, release) {
            (Refusal::WhichSeat { seats, .. }, Some(release)) => self.seats(verb, seats, release),
            (why, Some(release)) => remedies(why, release),
            (_, None) => Vec::new(),
        };
        message.buttons = if buttons.is_empty() { Vec::new() } else { vec![buttons] };
        message
    }

    /// The same vote for each seat that was named.
    fn seats(&self, verb: &str, named: &str, release: &Release) -> Vec<Button> {
        let named = named.replace(" and ", ", ");
        let titles: Vec<&str> = named.split(", ").collect();
        let theirs = release.seats.iter().map(|seat| &seat.role);
        let theirs = theirs.filter(|role| titles.contains(&self.policy.title_of(role)));
        let vote = |role: &crate::domain::ids::Role| {
            let (title, revision) = (self.policy.title_of(role), release.poll_revision);
            let command = format!("{verb} {} --as {role} --revision {revision}", release.id);
            button(&format!("{} for {title}", verb.to_uppercase()), command)
        };
        theirs.map(vote).collect()
    }

    fn of_the_house(&self, seq: u64, event: &Event) -> Message {
        let mut done = self.empty(seq, self.policy.zone);
        match event {
            Event::AlreadySo { what, .. } => {
                done.did = "already-so".into();
                done.what.clone_from(what);
            }
            Event::FreezeAdded { id, freeze } => {
                done.did = "freeze-added".into();
                (done.what, done.why) = (id.to_string(), freeze.reason.clone());
                (done.begins, done.start) = (Some(freeze.from), Some(freeze.until));
            }
            Event::FreezeLifted { id, reason } => {
                done.did = "freeze-lifted".into();
                (done.what, done.why) = (id.to_string(), reason.clone());
            }
            Event::Locked { target, version, reason } => {
                done.did = "locked".into();
                (done.target, done.what) = (target.clone(), version.clone());
                done.why.clone_from(reason);
            }
            Event::Unlocked { target, version, reason } => {
                done.did = "unlocked".into();
                (done.target, done.what) = (target.clone(), version.clone());
                done.why.clone_from(reason);
            }
            Event::Flag { flag, did } => self.of_a_flag(&mut done, flag, did),
            Event::Begun { .. }
            | Event::PolicyAdopted { .. }
            | Event::ClockJumped { .. }
            | Event::ClockLeapt { .. }
            | Event::SnapshotTaken { .. }
            | Event::Refused { .. }
            | Event::FreezeEnded { .. }
            | Event::Welcomed { .. }
            | Event::GateTurnedAway { .. }
            | Event::Release { .. } => done.did = "other".into(),
        }
        self.words.message(Tone::Good, "answer-done.md", &done)
    }

    fn of_a_flag(&self, done: &mut Done, flag: &FlagId, did: &FlagDid) {
        did.name().clone_into(&mut done.did);
        let Some(record) = self.state.house.flags.get(flag) else { return };
        done.what.clone_from(&record.name);
        done.target = record.provider.clone().unwrap_or_default();
        if let FlagDid::ChangeAsked { percent: Some(percent), .. } = did {
            done.to = format!("{percent} %");
        }
        let governing = registry::governing(self.state, record);
        if let Some(release) = governing.filter(|release| release.held.is_some()) {
            done.title = release.title();
            let planned = registry::stands_for(release, record);
            done.from = planned.map(|(_, share)| format!("{share} %")).unwrap_or_default();
        }
    }

    fn empty(&self, seq: u64, zone: Zone) -> Done {
        Done { seq, zone: zone.name().to_owned(), now: Some(self.now), ..Done::default() }
    }

    fn done(&self, seq: u64, id: &ReleaseId, did: &Happened) -> Message {
        let Some(release) = self.state.releases.get(id) else {
            return self.words.message(Tone::Plain, "answer-nothing.md", &());
        };
        let mut done = self.empty(seq, release.start.zone);
        did.name().clone_into(&mut done.did);
        self.stands(&mut done, release);
        self.happened(&mut done, release, did);
        let tone = match (matches!(did, Happened::AlreadySo { .. }), done.warnings.is_empty()) {
            (true, _) => Tone::Plain,
            (false, true) => Tone::Good,
            (false, false) => Tone::Warning,
        };
        let mut message = self.words.message(tone, "answer-done.md", &done);
        if matches!(did, Happened::Scheduled { .. }) {
            let command = |verb: &str| format!("{verb} {id}");
            message.buttons = vec![vec![
                button("Status", command("status")),
                button("Agenda", command("agenda")),
            ]];
        }
        // Whoever ticks one item is mostly about to tick the next.
        if matches!(did, Happened::ItemMarked { .. }) && done.open > 0 {
            message.buttons = vec![vec![button("Checklist", format!("checklist {id}"))]];
        }
        message
    }

    fn stands(&self, done: &mut Done, release: &Release) {
        let votes = release.seats.iter().filter_map(|seat| seat.vote(release.poll_revision));
        done.title = release.title();
        done.target = release.target();
        release.phase.name().clone_into(&mut done.phase);
        self.policy.name_of(&release.captain).clone_into(&mut done.captain);
        done.go = votes.filter(|ballot| ballot.vote == Vote::Go).count();
        done.seats = release.seats.len();
        done.open = missing(&release.items).count();
        done.is_go = release.phase == Phase::Ready;
        done.start = Some(release.start.at);
    }

    /// Who is still to say go.
    fn poll(&self, done: &mut Done, release: &Release) {
        for reason in verdict::reasons(release, self.policy) {
            match reason {
                Reason::Silent { role } => done.silent.push(self.policy.title_of(&role).to_owned()),
                Reason::SaidNoGo { role, .. } => {
                    done.against.push(self.policy.title_of(&role).to_owned());
                }
                Reason::OnlyTheRequester { .. }
                | Reason::ItemOpen { .. }
                | Reason::ItemFailed { .. }
                | Reason::EvidenceFailed { .. }
                | Reason::EvidenceMissing { .. }
                | Reason::Frozen { .. } => {}
            }
        }
    }

    fn next(&self, done: &mut Done, release: &Release) {
        let due = agenda::agenda(self.state, &Scope::Release(release.id.clone()));
        let due = due.into_iter().filter(|due| due.at > self.now).take(NEXT);
        done.next = due.map(|due| Next { at: due.at, about: due.about }).collect();
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most of what happens says it all by name")]
    fn happened(&self, done: &mut Done, release: &Release, did: &Happened) {
        match did {
            Happened::AlreadySo { what, .. } => {
                done.what.clone_from(what);
                done.stands = headline(release, self.policy, self.now);
            }
            Happened::Scheduled { start, warnings, .. } => {
                done.start = Some(start.at);
                done.warnings.clone_from(warnings);
                self.next(done, release);
            }
            Happened::Rescheduled { start, keeps_votes, reason, warnings } => {
                done.start = Some(start.at);
                done.warnings.clone_from(warnings);
                done.flag = *keeps_votes;
                done.why = reason.clone().unwrap_or_default();
            }
            Happened::Edited { stale, .. } => done.flag = *stale,
            Happened::Scrubbed { reason } | Happened::Held { reason, .. } => {
                done.why.clone_from(reason);
            }
            Happened::TurnedRed { why, roll_back_at, .. } => {
                (done.why, done.flag) = (why.clone(), roll_back_at.is_some());
            }
            Happened::SteppedBack { to, .. } => done.what = stage_name(release, *to),
            Happened::ItemMarked { item, mark, why, .. } => {
                let known = release.items.iter().find(|known| known.id == *item);
                done.what = known.map_or(item.to_string(), |item| item.name.clone());
                done.to = marked(*mark).to_owned();
                done.why = why.clone().unwrap_or_default();
            }
            Happened::EvidenceReported { report, .. } => {
                report.kind.name().clone_into(&mut done.what);
                done.flag = report.result == Finding::Fail;
            }

            Happened::VoteCast { role, vote, .. } => {
                self.policy.title_of(role).clone_into(&mut done.role);
                if let Vote::NoGo { reason } = vote {
                    (done.flag, done.why) = (true, reason.clone());
                }
                self.poll(done, release);
            }
            Happened::Overridden { obstacle: what, reason, .. }
            | Happened::RiskAccepted { risk: what, reason, .. } => {
                (done.what, done.why) = (what.clone(), reason.clone());
            }
            Happened::HandedOver { to } => self.policy.name_of(to).clone_into(&mut done.who),
            Happened::StageApproved { stage, role, .. } => {
                self.policy.title_of(role).clone_into(&mut done.role);
                done.what = stage_name(release, *stage);
            }
            Happened::StageAdvanced { stage, .. } => done.what = stage_name(release, *stage),
            Happened::StepStarted { step, .. } | Happened::RetryAsked { step } => {
                done.what = step_name(release, step);
            }
            Happened::OutcomeSettled { step, worked, .. } => {
                (done.what, done.flag) = (step_name(release, step), *worked);
                done.stands = headline(release, self.policy, self.now);
            }
            Happened::RollbackAsked { from, to, .. } => {
                (done.from, done.to) = (from.clone(), to.clone());
            }
            Happened::Finished { result, .. } => result.outcome.word().clone_into(&mut done.what),
            _ => {}
        }
    }
}

/// Nothing is known of it in the log.
pub(super) fn lost(words: Words<'_>, lost: &Lost) -> Message {
    #[derive(Serialize)]
    struct Why {
        why: String,
    }
    words.message(Tone::Bad, "answer-lost.md", &Why { why: lost.to_string() })
}

pub(super) fn is_refused(events: &[(u64, Event)]) -> bool {
    let refused = |event: &Event| {
        matches!(
            event,
            Event::Refused { .. } | Event::Release { did: Happened::Refused { .. }, .. }
        )
    };
    events.first().is_some_and(|(_, event)| refused(event))
}

/// `answer-done.md` as it is filled in for each thing that can have happened.
pub(super) fn samples() -> Vec<serde_json::Value> {
    let dids = "already-so scheduled rescheduled edited scrubbed item-marked evidence-reported \
                vote-cast overridden risk-accepted handed-over said-by-hand room-kept started \
                retry-asked step-started stage-approved stage-advanced rolled-out update-posted \
                held resumed outcome-settled finished rollback-asked rehearsal-asked freeze-added \
                freeze-lifted locked unlocked flag-set-asked flag-kill-asked \
                flag-cleaned other";
    let sample = |did: &str| {
        let now = Some(Time::UNIX_EPOCH);
        let done = Done {
            did: did.into(),
            zone: "Europe/Berlin".into(),
            now,
            begins: now,
            start: now,
            warnings: vec!["No rehearsal yet.".into()],
            silent: vec!["QA".into()],
            against: vec!["Support".into()],
            open: 1,
            next: vec![Next { at: Time::UNIX_EPOCH, about: "ask for go or no-go".into() }],
            ..Done::default()
        };
        serde_json::to_value(done).expect("a sample is plain data")
    };
    dids.split(' ').map(sample).collect()
}

fn stage_name(release: &Release, stage: usize) -> String {
    release.plan.stages.get(stage).map(|stage| stage.name.clone()).unwrap_or_default()
}

fn marked(mark: Mark) -> &'static str {
    match mark {
        Mark::Pass => "has passed",
        Mark::Fail => "has failed",
        Mark::Waive => "is waived",
        Mark::Reopen => "is open again",
    }
}

fn button(label: &str, command: String) -> Button {
    Button { label: label.into(), command, style: Style::Plain }
}

/// Asked too late, or once too often: then it helps to hear where the release is by now.
fn is_outdated(why: &Refusal) -> bool {
    matches!(why, Refusal::Stale { .. } | Refusal::NothingToDo { .. } | Refusal::NotOnHold { .. })
}

/// Buttons to what would be right instead.
fn remedies(why: &Refusal, release: &Release) -> Vec<Button> {
    let id = &release.id;
    let say = |label: &str, verb: &str| button(label, format!("{verb} {id}"));
    let status = || say("Status", "status");
    // They are those of the house, not of one release.
    let roles = || button("Roles", "roles".into());
    match why {
        Refusal::NeedsEvidence { .. }
        | Refusal::NotALink { .. }
        | Refusal::TooEarlyToTick { .. } => {
            vec![say("Checklist", "checklist"), status()]
        }
        Refusal::NotGo { .. } => vec![say("Checklist", "checklist"), roles()],
        Refusal::TooEarly { .. } | Refusal::TooLate { .. } => {
            vec![say("Reschedule", "reschedule"), status()]
        }
        Refusal::OnHold { .. } if release.start_missed => {
            vec![say("Reschedule", "reschedule"), say("Scrub", "scrub")]
        }
        Refusal::OnHold { .. } => vec![say("Resume", "resume"), status()],
        Refusal::StillSoaking { .. } | Refusal::StillRunning { .. } => {
            vec![say("Hold", "hold"), say("Roll back", "rollback"), status()]
        }
        Refusal::NotGreen { .. } => vec![say("Roll back", "rollback"), status()],
        Refusal::Unsettled { .. } => {
            vec![say("Retry", "retry"), say("Outcome", "outcome"), say("Roll back", "rollback")]
        }
        Refusal::NothingToRollBack => vec![say("Scrub", "scrub"), status()],
        Refusal::NeedsReason => Vec::new(),
        Refusal::Stale { .. }
        | Refusal::WrongPhase { .. }
        | Refusal::Filed { .. }
        | Refusal::AlreadyOpen { .. }
        | Refusal::NotOnHold { .. }
        | Refusal::NothingToDo { .. }
        | Refusal::TargetBusy { .. }
        | Refusal::Frozen { .. }
        | Refusal::NewerIsLive { .. } => vec![status()],
        Refusal::NotYourSeat { .. }
        | Refusal::NoSeat { .. }
        | Refusal::WhichSeat { .. }
        | Refusal::OneSeat { .. } => vec![roles()],
        Refusal::UnknownAccount { .. }
        | Refusal::Guest
        | Refusal::Gone
        | Refusal::NotSure { .. }
        | Refusal::NotLinked { .. }
        | Refusal::NotYours { .. }
        | Refusal::NotForMachines
        | Refusal::UnknownRelease { .. }
        | Refusal::UnknownName { .. }
        | Refusal::BadArgument { .. }
        | Refusal::WhichFlag { .. }
        | Refusal::BadShare { .. }
        | Refusal::NobodyKeeps { .. }
        | Refusal::PlanRefused { .. }
        | Refusal::InThePast { .. }
        | Refusal::AlreadyLive { .. }
        | Refusal::Locked { .. }
        | Refusal::ActionNotForChat { .. }
        | Refusal::TooLong { .. }
        | Refusal::CameTooLate { .. }
        | Refusal::IdTaken { .. } => Vec::new(),
    }
}
