//! What the world is asked to do about what happened. It sees the state after the event. A replay
//! never calls it.

use std::collections::BTreeSet;

use super::command::{EvidenceReport, Vote};
use super::effect::{Call, Effect, RoomWish, Target};
use super::event::{Event, Happened};
use super::flag;
use super::gate::Word;
use super::health;
use super::ids::{Account, ItemId, PersonId, ReleaseId, Role, slug};
use super::metric::{Judged, Light};
use super::notice::{Brief, Notice, NoticeKind, PersonRef, ReasonText, WantedItem};
use super::plan::{ItemPhase, PlannedAnnouncement};
use super::policy::{Destination, Policy, Right};
use super::report::{rollback_time, step_name};
use super::rollout::{goes_on_at, how_it_ended, needs_a_person, wanted_approvals};
use super::state::{Card, CardKind, Phase, Posted, Release, Room, RunRecord, State, Step};
use super::time::{Span, Time};
use super::verdict::{self, Reason};
use super::words;

pub fn react(state: &State, event: &Event, at: Time) -> Vec<Effect> {
    match event {
        Event::Release { release, did } => match state.releases.get(release) {
            Some(release) => {
                let scene = Scene { policy: state.house.policy(), release, at };
                let mut effects = of_release(&scene, did);
                effects.extend(refreshed(&scene, did));
                effects
            }
            None => Vec::new(),
        },
        Event::Flag { flag, did } => super::registry::react(state, flag, did, at),
        Event::FreezeAdded { freeze, .. } => {
            let target = match (&freeze.service, &freeze.environment) {
                (Some(service), Some(environment)) => format!("{service}/{environment}"),
                (Some(one), None) | (None, Some(one)) => one.clone(),
                (None, None) => "everything".into(),
            };
            let (from, until, reason) = (freeze.from, freeze.until, freeze.reason.clone());
            to_internal(state, NoticeKind::FreezeAdded { from, until, reason, target })
        }
        Event::Welcomed { plan, name, start } => {
            to_internal(state, welcome(plan, name, start, state.house.policy()))
        }
        Event::ClockLeapt { expected, found } => leapt(state, *expected, *found, at),
        Event::FreezeLifted { id, reason } => {
            let (id, reason) = (id.to_string(), reason.clone());
            to_internal(state, NoticeKind::FreezeLifted { id, reason })
        }
        Event::Locked { target, version, reason } => {
            let (target, version) = (target.clone(), version.clone());
            to_internal(state, NoticeKind::Locked { target, version, reason: reason.clone() })
        }
        Event::Unlocked { target, version, reason } => {
            let (target, version) = (target.clone(), version.clone());
            to_internal(state, NoticeKind::Unlocked { target, version, reason: reason.clone() })
        }
        Event::GateTurnedAway { waiting, why } => {
            let (waiting, text) = (waiting.clone(), why.clone());
            vec![Effect::AnswerGate { release: None, waiting, word: Word::Rejected, text }]
        }
        Event::Begun { .. }
        | Event::PolicyAdopted { .. }
        | Event::SnapshotTaken { .. }
        | Event::ClockJumped { .. }
        | Event::Refused { .. }
        | Event::AlreadySo { .. }
        | Event::FreezeEnded { .. } => Vec::new(),
    }
}

fn welcome(
    plan: &super::plan::Plan,
    name: &str,
    start: &super::state::Start,
    policy: &Policy,
) -> NoticeKind {
    NoticeKind::Welcome {
        plan: name.to_owned(),
        title: plan.title(),
        version: plan.release.version.clone(),
        strategy: plan.release.strategy,
        stages: plan.stages.iter().map(|stage| stage.name.clone()).collect(),
        features: plan.scope.features.iter().map(|feature| feature.name.clone()).collect(),
        fixes: plan.scope.fixes.len(),
        captain: policy.name_of(&plan.release.captain).to_owned(),
        start: start.at,
        zone: start.zone,
    }
}

/// People who work in an open room plan by the clock, too.
fn leapt(state: &State, from: Time, to: Time, at: Time) -> Vec<Effect> {
    let policy = state.house.policy();
    let open = state.releases.values().filter(|release| {
        !release.phase.is_over() && !release.room.open.is_empty() && !release.room.closed
    });
    let tell = |release: &std::sync::Arc<Release>| {
        let scene = Scene { policy, release, at };
        let forward = to > from;
        scene.room(NoticeKind::ClockLeapt {
            at,
            from,
            to,
            forward,
            length_ms: (to - from).num_milliseconds().unsigned_abs(),
            soaking: forward && matches!(release.phase, Phase::Soaking { .. }),
        })
    };
    open.flat_map(tell).collect()
}

/// Where teams hear of releases.
pub const INTERNAL: &str = "internal";
pub const CUSTOMERS: &str = "customers";

pub(super) fn to_internal(state: &State, kind: NoticeKind) -> Vec<Effect> {
    let to = state.house.policy().audiences.get(INTERNAL).cloned().unwrap_or_default();
    to.iter().map(|to| say(to, Notice { kind: kind.clone(), brief: None, public: false })).collect()
}

pub(super) fn say(to: &Destination, notice: Notice) -> Effect {
    let notice = Box::new(notice);
    let to = match to {
        Destination::Channel { platform, channel, .. } => {
            Target::Channel { platform: platform.clone(), channel: channel.clone() }
        }
        Destination::Courier { kind, name } => {
            Target::Courier { kind: kind.clone(), name: name.clone() }
        }
    };
    Effect::Say { to, notice }
}

/// One release, as it stands after the event.
struct Scene<'a> {
    policy: &'a Policy,
    release: &'a Release,
    at: Time,
}

impl Scene<'_> {
    fn notice(&self, kind: NoticeKind) -> Notice {
        Notice { kind, brief: Some(Brief::of(self.release, self.policy)), public: false }
    }

    fn audience(&self, audience: &str) -> &[Destination] {
        self.policy.audiences.get(audience).map_or(&[], Vec::as_slice)
    }

    fn to(&self, destinations: &[Destination], kind: NoticeKind) -> Vec<Effect> {
        let notice = self.notice(kind);
        let customers = self.audience(CUSTOMERS);
        let public = |to| customers.contains(to) && !self.audience(INTERNAL).contains(to);
        let to_one = |to| say(to, Notice { public: public(to), ..notice.clone() });
        destinations.iter().map(to_one).collect()
    }

    /// In the war room; before it is open, where teams hear of releases.
    fn room(&self, kind: NoticeKind) -> Vec<Effect> {
        let rooms = &self.release.room.open;
        if rooms.is_empty() || self.release.room.closed {
            return self.to(self.audience(INTERNAL), kind);
        }
        let notice = self.notice(kind);
        let say = |room: &Room| Effect::Say {
            to: Target::Channel { platform: room.platform.clone(), channel: room.channel.clone() },
            notice: Box::new(notice.clone()),
        };
        rooms.iter().map(say).collect()
    }

    /// In the room and to everyone who was told of the release.
    fn everyone(&self, kind: NoticeKind) -> Vec<Effect> {
        let mut effects = self.room(kind.clone());
        let told: Vec<Destination> = self.release.told.iter().cloned().collect();
        let open = !self.release.room.open.is_empty() && !self.release.room.closed;
        let internal = self.audience(INTERNAL).iter().filter(|to| open || !told.contains(to));
        // Without a room, `room` has told the internal audience already.
        let already: Vec<_> = if open { vec![] } else { internal.cloned().collect() };
        let rest = told
            .into_iter()
            .filter(|to| open || !self.audience(INTERNAL).contains(to) || already.contains(to));
        let rest: Vec<Destination> = rest.filter(|to| !already.contains(to)).collect();
        effects.extend(self.to(&rest, kind));
        effects
    }

    /// Privately, on each platform that the person is on.
    fn tell(&self, person: &PersonId, kind: NoticeKind) -> Vec<Effect> {
        let accounts = self.policy.accounts_of(person).into_iter();
        let homes = accounts.filter(|account| {
            self.policy.rooms.iter().any(|home| home.platform == account.platform)
        });
        let notice = self.notice(kind);
        homes
            .map(|account| Effect::Say {
                to: Target::Person { person: person.clone(), account },
                notice: Box::new(notice.clone()),
            })
            .collect()
    }

    /// A group is asked where its people are: in the war room, or where releases are announced.
    fn tell_group(&self, group: &str, kind: NoticeKind) -> Option<Effect> {
        let account: Account = group.parse().ok()?;
        let here = |room: &&Room| room.platform == account.platform;
        let room = self.release.room.open.iter().find(here).map(|room| room.channel.clone());
        let home = self.policy.rooms.iter().find(|home| home.platform == account.platform)?;
        let channel = room.or_else(|| near(self.policy, home))?;
        let to = Target::Channel { platform: account.platform, channel };
        Some(Effect::Say { to, notice: Box::new(self.notice(kind)) })
    }

    fn person(&self, person: &PersonId) -> PersonRef {
        PersonRef::of(person, self.policy)
    }

    fn name(&self, person: &PersonId) -> String {
        self.policy.name_of(person).to_owned()
    }

    fn by(&self, by: &Option<PersonId>) -> Option<String> {
        by.as_ref().map(|by| self.name(by))
    }

    /// Who must act when the deploy is stuck: on-call, or else the captain.
    fn pagers(&self) -> Vec<PersonRef> {
        vec![self.person(self.on_duty())]
    }

    fn on_duty(&self) -> &PersonId {
        let oncall = &self.release.plan.monitoring.oncall;
        oncall.primary.as_ref().unwrap_or(&self.release.captain)
    }
}

fn of_release(scene: &Scene, did: &Happened) -> Vec<Effect> {
    let (release, at) = (scene.release, scene.at);
    match did {
        Happened::Refused { .. }
        | Happened::AlreadySo { .. }
        | Happened::Filed
        | Happened::RiskAccepted { .. }
        | Happened::SilenceNoticed { nth: 0, .. }
        | Happened::RetryAsked { .. }
        | Happened::GateAsked { .. }
        | Happened::NumberReported { .. }
        | Happened::EvidenceReported { report: EvidenceReport { .. }, .. }
        | Happened::ItemMarked { .. }
        | Happened::VotesAsked
        | Happened::AnnouncementSkipped { .. }
        | Happened::SoakEnded { .. }
        | Happened::RoomKept
        | Happened::AdvanceOpened { .. }
        | Happened::RehearsalAsked => Vec::new(),
        Happened::OutcomeSettled { step, worked, by, reason, .. } => {
            let (step, by) = (step_name(release, step), scene.name(by));
            let (worked, reason) = (*worked, reason.clone());
            scene.room(NoticeKind::OutcomeSettled { at, step, worked, by, reason })
        }
        Happened::Scheduled { merged, told, warnings, .. } => {
            opening(scene, merged, told, warnings)
        }
        Happened::Rescheduled { reason, .. } => correction(scene, reason.as_ref()),
        Happened::Edited { stale, .. } => match stale {
            true => ask_again(scene),
            false => Vec::new(),
        },
        Happened::Scrubbed { reason } => {
            scene.everyone(NoticeKind::Retraction { reason: reason.clone() })
        }
        Happened::VoteCast { vote: Vote::Go, role, person } => changed_to_go(scene, role, person),
        // From `Ready`, the fall back says it.
        Happened::VoteCast { vote: Vote::NoGo { .. }, .. } if release.phase == Phase::Ready => {
            Vec::new()
        }
        Happened::VoteCast { vote: Vote::NoGo { .. }, .. } => {
            no_go(scene, &verdict::reasons(release, scene.policy), false)
        }
        Happened::WentGo => scene.room(NoticeKind::WentGo),
        Happened::WentNoGo { reasons } => no_go(scene, reasons, true),
        Happened::Overridden { obstacle, person, reason } => scene.room(NoticeKind::Overridden {
            at,
            obstacle: obstacle.clone(),
            by: scene.name(person),
            reason: reason.clone(),
        }),
        Happened::HandedOver { to } => {
            scene.room(NoticeKind::HandedOver { at, to: scene.person(to) })
        }
        Happened::VotersReminded { before, roles } => remind(scene, before, roles),
        Happened::Announced { id, to, planned, late } => {
            announce(scene, id.as_str(), to, *planned, *late)
        }
        Happened::SaidByHand { text, by } => {
            scene.everyone(NoticeKind::SaidByHand { text: text.clone(), by: scene.person(by) })
        }
        Happened::Posted { card, posted, .. } => pin(release, card.as_ref(), posted),
        Happened::NotPosted { to, what, why, unknown } => scene.tell(
            &release.captain,
            NoticeKind::Undelivered {
                to: to.clone(),
                what: what.clone(),
                why: why.clone(),
                unknown: *unknown,
            },
        ),
        Happened::RoomWanted => open_rooms(scene),
        Happened::RoomOpened { room } => room_opened(scene, room),
        Happened::RoomClosed => close_rooms(scene),
        Happened::StartOffered => {
            let until = release.start.at + scene.policy.timing.start_within.duration();
            let captain = scene.person(&release.captain);
            scene.room(NoticeKind::StartOffered { at, until, captain })
        }
        Happened::StartMissed { why } => {
            scene.room(NoticeKind::StartMissed { at, why: why.clone() })
        }
        Happened::MissReminded { nth, to } => start_waits(scene, *nth, to),
        Happened::Started { by } => scene.room(NoticeKind::Started { at, by: scene.name(by) }),
        Happened::StepStarted { step, attempt, .. } => run(scene, step, *attempt),
        Happened::StepEnded { step, attempt, .. } => step_ended(scene, step, *attempt),
        Happened::StageDeployed { stage, .. } => stage_deployed(scene, *stage),
        Happened::AdvanceAsked { stage, .. } => {
            let mut effects = advance_wanted(scene, *stage);
            effects.extend(pictures(scene));
            effects
        }
        Happened::StageOverdue { stage, why } => decision_wanted(scene, *stage, why.as_ref()),
        Happened::StageApproved { stage, role, person } => approved(scene, *stage, role, person),
        Happened::StageAdvanced { stage, by } => {
            let next = release.plan.stages.get(stage + 1).map(|stage| stage.name.clone());
            let lines = judged_lines(scene, Some(*stage), health::short);
            let next = next.unwrap_or_default();
            let mut effects =
                scene.room(NoticeKind::Advanced { at, next, by: scene.by(by), lines });
            // Whoever was asked has been shown it.
            if by.is_none() && !release.advance_asked.contains(stage) {
                effects.extend(pictures(scene));
            }
            effects
        }
        Happened::GateAnswered { waiter, word, text } => gate_answered(scene, *waiter, *word, text),
        Happened::UpdatePosted { text, by } => scene.room(NoticeKind::Update {
            at,
            text: text.clone(),
            by: scene.name(&PersonId::new(by.clone())),
        }),
        Happened::SilenceNoticed { nth, who } => {
            let quiet = scene.policy.timing.silence.duration().num_minutes() * i64::from(*nth);
            let person = who.as_ref().map(|who| scene.person(who));
            let waits = release.phase.stage().is_some_and(|stage| {
                matches!(release.phase, Phase::AtGate { .. })
                    && release.advance_asked.contains(&stage)
            });
            let captain = waits.then(|| scene.person(&release.captain));
            scene.room(NoticeKind::SilencePrompt { at, minutes: quiet, person, captain })
        }
        Happened::Measured { tell: false, .. } => Vec::new(),
        Happened::Measured { stage, metrics, tell: true, .. } => numbers(scene, *stage, metrics),
        Happened::TurnedRed { why, by, roll_back_at } => {
            turned_red(scene, why, by.as_ref(), *roll_back_at)
        }
        Happened::SteppedBack { from, to, by } => {
            let name = |stage: &usize| release.plan.stages[*stage].name.clone();
            let by = scene.name(by);
            scene.room(NoticeKind::SteppedBack { at, from: name(from), to: name(to), by })
        }
        Happened::Held { reason, by } => held(scene, reason, by.as_ref()),
        Happened::Resumed { by } => scene.room(NoticeKind::Resumed { at, by: scene.name(by) }),
        Happened::RolledOut => {
            let took = release.started_at.map_or(0, |began| (at - began).num_milliseconds());
            let took_ms = u64::try_from(took).unwrap_or(0);
            let mut effects = scene.room(NoticeKind::RolledOut { at, took_ms });
            let last = release.last_stage();
            if !release.advance_asked.contains(&last) {
                effects.extend(pictures(scene));
            }
            effects
        }
        Happened::SmokeTallied { passed, total } => {
            let failed = |run: &&RunRecord| {
                matches!(run.step, Step::Smoke(_)) && run.worked() == Some(false) && !run.set_aside
            };
            let failed = release.runs.iter().filter(failed);
            let failed = failed.map(|run| step_name(release, &run.step)).collect();
            scene.room(NoticeKind::SmokeTallied { at, passed: *passed, total: *total, failed })
        }
        Happened::CheckRecalled { check } => check_wanted(scene, *check),
        Happened::ItemsAsked { phase, items } => items_wanted(scene, *phase, items),
        // The retraction has said it.
        Happened::Finished { .. } if release.phase == Phase::Scrubbed => Vec::new(),
        Happened::Finished { result, .. } => finished(scene, result),
        Happened::RehearsalEnded { worked, why } => {
            scene.room(NoticeKind::RehearsalEnded { at, worked: *worked, why: why.clone() })
        }
        Happened::RollbackAsked { from, to, by, reason } => {
            rollback_begun(scene, from, to, by.as_ref(), reason.as_ref())
        }
        Happened::RolledBack { took_ms } => rolled_back(scene, *took_ms),
        Happened::RollbackFailed { why } => {
            scene.room(NoticeKind::RollbackFailed { at, why: why.clone(), people: scene.pagers() })
        }
        Happened::Escalated { nth, to } => escalated(scene, *nth, to),
    }
}

// ---------------------------------------------------------------------------------------------
// Before the deploy

/// What was past when it was scheduled is said in one opening notice to everyone it was meant for.
fn opening(
    scene: &Scene,
    merged: &[super::ids::AnnouncementId],
    told: &[Destination],
    warnings: &[String],
) -> Vec<Effect> {
    let merged = merged.iter().map(super::agenda::called).collect();
    scene.to(told, NoticeKind::Opening { merged, warnings: warnings.to_vec() })
}

/// Everyone who was told gets one correction; voters are asked again on the card.
fn correction(scene: &Scene, reason: Option<&String>) -> Vec<Effect> {
    if scene.release.told.is_empty() {
        return Vec::new();
    }
    scene.everyone(NoticeKind::Correction { reason: reason.cloned() })
}

/// A no-go was said aloud; so is that it no longer stands.
fn changed_to_go(scene: &Scene, role: &Role, person: &PersonId) -> Vec<Effect> {
    let seat = scene.release.seats.iter().find(|seat| seat.role == *role);
    let before = seat.and_then(|seat| seat.ballots.iter().rev().nth(1));
    let was_no_go = before.is_some_and(|ballot| {
        ballot.poll_revision == scene.release.poll_revision && ballot.vote != Vote::Go
    });
    if !was_no_go {
        return Vec::new();
    }
    let (role, by) = (scene.policy.title_of(role).to_owned(), scene.name(person));
    scene.room(NoticeKind::ChangedToGo { role, by })
}

fn ask_again(scene: &Scene) -> Vec<Effect> {
    if scene.release.asked_at.is_none() {
        return Vec::new();
    }
    let seats = scene.release.seats.iter().map(|seat| seat.role.clone()).collect::<Vec<_>>();
    vote_wanted(scene, &seats, None)
}

fn no_go(scene: &Scene, reasons: &[Reason], after_go: bool) -> Vec<Effect> {
    let text =
        |reason: &Reason| ReasonText { text: reason_text(reason, scene.policy), owner: None };
    // What somebody said comes before what is merely open.
    let mut reasons: Vec<_> = reasons.iter().collect();
    reasons.sort_by_key(|reason| !matches!(reason, Reason::SaidNoGo { .. }));
    let reasons = reasons.into_iter().map(text).collect();
    scene.room(NoticeKind::WentNoGo { reasons, after_go })
}

/// A reason as a sentence.
pub fn reason_text(reason: &Reason, policy: &Policy) -> String {
    let owned = |owner: &Option<PersonId>| match owner {
        Some(owner) => format!(" ({})", policy.name_of(owner)),
        None => String::new(),
    };
    match reason {
        Reason::Silent { role } => format!("{} has not answered.", policy.title_of(role)),
        Reason::SaidNoGo { role, by, why } => {
            format!("{}: “{why}” ({}).", policy.title_of(role), policy.name_of(by))
        }
        Reason::OnlyTheRequester { by } => {
            let name = policy.name_of(by);
            format!("{name} asked for this release and cannot be its only approver.")
        }
        Reason::ItemOpen { section, name, owner, .. } => {
            format!("Open: {section} → {name}{}.", owned(owner))
        }
        Reason::ItemFailed { section, name, owner, .. } => {
            format!("Failed: {section} → {name}{}.", owned(owner))
        }
        Reason::EvidenceFailed { kind, note } => match note {
            Some(note) => format!("{} failed: {note}.", kind.name()),
            None => format!("{} failed.", kind.name()),
        },
        Reason::EvidenceMissing { kind } => format!("No evidence of {} yet.", kind.name()),
        Reason::Frozen { until, why } => {
            use chrono::Datelike;
            let until = super::time::show(*until, policy.zone, until.year());
            format!("Frozen until {until}: {why}.")
        }
    }
}

/// The same for those outside, who need no names and no quotes: `the GO of QA`.
pub fn in_brief(reason: &Reason, policy: &Policy) -> String {
    match reason {
        Reason::Silent { role } => format!("the sign-off of {}", policy.title_of(role)),
        Reason::SaidNoGo { role, .. } => format!("{} said NO-GO", policy.title_of(role)),
        Reason::OnlyTheRequester { .. } => "a second person's sign-off".into(),
        Reason::ItemOpen { section, name, .. } => format!("{section}: {name}"),
        Reason::ItemFailed { section, name, .. } => format!("{section}: {name} failed"),
        Reason::EvidenceFailed { kind, .. } => format!("{} failed", kind.name()),
        Reason::EvidenceMissing { kind } => format!("evidence of {}", kind.name()),
        Reason::Frozen { .. } => "a freeze".into(),
    }
}

/// The deployment hears it; so does the room, once it is decided.
fn gate_answered(scene: &Scene, waiter: usize, word: Word, text: &str) -> Vec<Effect> {
    let Some(waiter) = scene.release.gates.get(waiter) else { return Vec::new() };
    let waiting = waiter.waiting.clone();
    let may = match word {
        Word::Approved => Some("may go on"),
        Word::Rejected => Some("was turned down"),
        Word::Comment => None,
    };
    let mut effects = match may {
        Some(may) => {
            let (place, run) = (&waiting.place, waiting.run);
            let text = format!("Run {run} of {place} {may}.");
            scene.room(NoticeKind::Update { at: scene.at, text, by: "tminus".into() })
        }
        None => Vec::new(),
    };
    let (release, text) = (Some(scene.release.id.clone()), text.to_owned());
    effects.push(Effect::AnswerGate { release, waiting, word, text });
    effects
}

fn remind(scene: &Scene, before: &str, roles: &[Role]) -> Vec<Effect> {
    vote_wanted(scene, roles, Some(before))
}

fn vote_wanted(scene: &Scene, roles: &[Role], before: Option<&str>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for role in roles {
        let Some(rules) = scene.policy.roles.get(role) else { continue };
        for person in &rules.members {
            let kind = NoticeKind::VoteWanted {
                role: role.to_string(),
                seat: scene.policy.title_of(role).to_owned(),
                before: before.map(str::to_owned),
                people: vec![scene.person(person)],
            };
            effects.extend(scene.tell(person, kind));
        }
        effects.extend(rules.groups.iter().filter_map(|group| {
            let kind = NoticeKind::VoteWanted {
                role: role.to_string(),
                seat: scene.policy.title_of(role).to_owned(),
                before: before.map(str::to_owned),
                people: vec![PersonRef::group(group, scene.policy.title_of(role))?],
            };
            scene.tell_group(group, kind)
        }));
    }
    effects
}

fn announce(scene: &Scene, id: &str, to: &[Destination], planned: Time, late: bool) -> Vec<Effect> {
    let mut all = super::agenda::planned_announcements(scene.release, scene.policy);
    let found = all.find(|planned: &&PlannedAnnouncement| planned.id.as_str() == id);
    let Some(found) = found else { return Vec::new() };
    let template = found.template.clone();
    let kind = NoticeKind::Announcement { template, planned, late, at: scene.at };
    scene.to(to, kind)
}

// ---------------------------------------------------------------------------------------------
// The room and its cards

fn open_rooms(scene: &Scene) -> Vec<Effect> {
    let (release, policy) = (scene.release, scene.policy);
    let head = &release.plan.release;
    let wish = |home: &super::policy::RoomHome| {
        let on = |account: &super::ids::Account| account.platform == home.platform;
        let people = room_people(release, policy);
        let accounts = people.iter().map(|person| policy.accounts_of(person));
        let members = accounts.filter_map(|accounts| accounts.into_iter().find(&on));
        let wish = RoomWish {
            name: format!("release-{}", slug(&head.version)),
            topic: format!("{} · captain {}", release.title(), scene.name(&release.captain)),
            purpose: format!("War room for {}: {}", release.title(), head.title),
            members: members.collect(),
            groups: room_groups(release, policy, home),
            near: near(policy, home),
            links: links(release, policy),
        };
        Effect::OpenRoom { release: release.id.clone(), home: home.clone(), wish }
    };
    policy.rooms.iter().map(wish).collect()
}

/// The dashboards of the plan, and our own page.
fn links(release: &Release, policy: &Policy) -> Vec<(String, String)> {
    let boards = release.plan.monitoring.dashboards.iter();
    let boards = boards.map(|board| (board.name.clone(), board.url.clone()));
    let page = policy.public_url.iter().map(|url| ("tminus".to_owned(), url.clone()));
    boards.chain(page).collect()
}

/// Where this platform's people hear of releases: what is said to everybody who works here.
fn near(policy: &Policy, home: &super::policy::RoomHome) -> Option<String> {
    let internal = policy.announcements.iter().filter(|planned| !planned.user_facing_only);
    let mut to = internal.filter_map(|planned| policy.audiences.get(&planned.audience)).flatten();
    to.find_map(|destination| match destination {
        Destination::Channel { platform, tenant, channel }
            if *platform == home.platform && *tenant == home.tenant =>
        {
            Some(channel.clone())
        }
        Destination::Channel { .. } | Destination::Courier { .. } => None,
    })
}

/// Captain, sign-off roles, on-call, and those who deploy.
fn room_people(release: &Release, policy: &Policy) -> Vec<PersonId> {
    let head = &release.plan.release;
    let mut people = vec![release.captain.clone()];
    people.extend([&head.deployer, &head.backup].into_iter().flatten().cloned());
    people.extend(release.plan.monitoring.oncall.people().cloned());
    people.extend(release.plan.monitoring.watchers.iter().cloned());
    for seat in &release.seats {
        let members = policy.roles.get(&seat.role).map(|rules| rules.members.iter().cloned());
        people.extend(members.into_iter().flatten());
    }
    let mut once: Vec<PersonId> = Vec::new();
    for person in people {
        if !once.contains(&person) {
            once.push(person);
        }
    }
    once
}

/// The groups of those who sign and of those who may have to act.
fn room_groups(release: &Release, policy: &Policy, home: &super::policy::RoomHome) -> Vec<Account> {
    let seats = release.seats.iter().map(|seat| &seat.role);
    let roles = seats.chain(policy.roles_with(Right::Rollback));
    let groups = roles.filter_map(|role| policy.roles.get(role)).flat_map(|rules| &rules.groups);
    let groups = groups.filter_map(|group| group.parse().ok());
    let here = |group: &Account| group.platform == home.platform && group.tenant == home.tenant;
    let once: BTreeSet<Account> = groups.filter(here).collect();
    once.into_iter().collect()
}

fn room_opened(scene: &Scene, room: &Room) -> Vec<Effect> {
    let mut effects = room_cards(&scene.release.id, room);
    if let Some(why) = &room.instead {
        let kind = NoticeKind::RoomIsThread { name: room.name.clone(), why: why.clone() };
        effects.extend(scene.tell(&scene.release.captain, kind));
    }
    effects.extend(scene.to(&told_without(scene, room), NoticeKind::RoomOpened));
    effects
}

/// Where the last announcement before the start promised to say when there is a room.
fn told_without(scene: &Scene, room: &Room) -> Vec<Destination> {
    let (release, policy) = (scene.release, scene.policy);
    let is_said = |planned: &&PlannedAnnouncement| {
        let said = release.said.get(&planned.id);
        planned.template == "t-1h" && said.is_some_and(|said| said.skipped.is_none())
    };
    let told = super::agenda::planned_announcements(release, policy).filter(is_said);
    let to = told.flat_map(|planned| scene.audience(&planned.audience));
    let here = |to: &&Destination| match to {
        Destination::Channel { platform, .. } => *platform == room.platform,
        Destination::Courier { .. } => false,
    };
    to.filter(here).cloned().collect()
}

fn room_cards(release: &ReleaseId, room: &super::state::Room) -> Vec<Effect> {
    let card = |kind: CardKind| Effect::Refresh {
        card: Card {
            release: release.clone(),
            kind,
            platform: room.platform.clone(),
            channel: room.channel.clone(),
        },
    };
    vec![card(CardKind::Live), card(CardKind::RollbackPlan)]
}

fn pin(release: &Release, card: Option<&Card>, posted: &Posted) -> Vec<Effect> {
    match card.map(|card| &card.kind) {
        Some(CardKind::Live | CardKind::RollbackPlan) => {
            vec![Effect::Pin { release: release.id.clone(), posted: posted.clone() }]
        }
        Some(CardKind::Poll | CardKind::Run(_)) | None => Vec::new(),
    }
}

fn close_rooms(scene: &Scene) -> Vec<Effect> {
    let archive = |room: &super::state::Room| Effect::Archive {
        release: scene.release.id.clone(),
        platform: room.platform.clone(),
        channel: room.channel.clone(),
    };
    // The report is the last word; it stays readable in the archive.
    let notice = Box::new(scene.notice(NoticeKind::Report));
    let report = |room: &super::state::Room| Effect::Say {
        to: Target::Channel { platform: room.platform.clone(), channel: room.channel.clone() },
        notice: notice.clone(),
    };
    let reports = scene.release.room.open.iter().map(report);
    reports.chain(scene.release.room.open.iter().map(archive)).collect()
}

/// The cards that show this release, brought up to date by whatever happened to it.
fn refreshed(scene: &Scene, did: &Happened) -> Vec<Effect> {
    let quiet = matches!(
        did,
        Happened::Refused { .. }
            | Happened::Filed
            | Happened::AlreadySo { .. }
            | Happened::Posted { .. }
            | Happened::NotPosted { .. }
            | Happened::RoomOpened { .. }
            | Happened::RoomClosed
    );
    if quiet || scene.release.room.closed {
        return Vec::new();
    }
    let release = scene.release;
    let card = |kind: CardKind, platform: &str, channel: &str| Effect::Refresh {
        card: Card {
            release: release.id.clone(),
            kind,
            platform: platform.to_owned(),
            channel: channel.to_owned(),
        },
    };
    let mut effects = Vec::new();
    if release.asked_at.is_some() {
        for to in scene.audience(INTERNAL) {
            if let Destination::Channel { platform, channel, .. } = to {
                effects.push(card(CardKind::Poll, platform, channel));
            }
        }
    }
    for room in &release.room.open {
        effects.push(card(CardKind::Live, &room.platform, &room.channel));
        if matches!(did, Happened::Edited { .. }) {
            effects.push(card(CardKind::RollbackPlan, &room.platform, &room.channel));
        }
        if let Happened::StepStarted { step, attempt, .. }
        | Happened::StepEnded { step, attempt, .. } = did
            && step.changes_target()
        {
            let run = super::state::run_id(&release.id, step, *attempt);
            effects.push(card(CardKind::Run(run), &room.platform, &room.channel));
        }
    }
    effects
}

// ---------------------------------------------------------------------------------------------
// The rollout

fn call(scene: &Scene, run: &RunRecord) -> Call {
    let action = scene.policy.actions.get(&run.action);
    let planned = planned_limit(scene, &run.step);
    let limit = planned.or(action.map(|action| action.limit)).unwrap_or(Span::minutes(10));
    Call {
        action: run.action.clone(),
        with: run.with.clone(),
        limit_ms: u64::try_from(limit.duration().num_milliseconds()).unwrap_or(0),
        repeat_safe: action.is_some_and(|action| action.repeat_safe),
    }
}

fn planned_limit(scene: &Scene, step: &Step) -> Option<Span> {
    let plan = scene.release.plan.rollback.as_ref()?;
    match step {
        Step::Rollback(at) => plan.steps.get(*at)?.limit,
        Step::RollbackVerify(at) => plan.verify.get(*at)?.limit,
        Step::FlagOff(_) => Some(scene.policy.timing.kill_switch),
        Step::Stage(_)
        | Step::StageCheck { .. }
        | Step::Smoke(_)
        | Step::Timed(_)
        | Step::Rehearse(_)
        | Step::Named(_) => None,
    }
}

fn run(scene: &Scene, step: &Step, attempt: u32) -> Vec<Effect> {
    let found = scene.release.runs.iter().find(|r| r.step == *step && r.attempt == attempt);
    let Some(found) = found else { return Vec::new() };
    let (release, run) = (scene.release.id.clone(), found.id.clone());
    vec![Effect::Run { release, run, call: call(scene, found) }]
}

fn step_ended(scene: &Scene, step: &Step, attempt: u32) -> Vec<Effect> {
    let release = scene.release;
    let found = release.runs.iter().find(|r| r.step == *step && r.attempt == attempt);
    let Some(run) = found else { return Vec::new() };
    let Some((_, end)) = &run.ended else { return Vec::new() };
    let (at, name) = (scene.at, step_name(release, step));
    if let Step::FlagOff(flag) = step {
        return flag_off(scene, *flag, run, end.took_ms);
    }
    match run.worked() {
        Some(true) => worked(scene, run, end.took_ms),
        // Stopped because somebody asked: the rollback that follows says so.
        Some(false) if release.phase == Phase::RollingBack && matches!(step, Step::Stage(_)) => {
            Vec::new()
        }
        // A rehearsal says how it ended as a whole.
        _ if matches!(step, Step::Rehearse(_)) => Vec::new(),
        Some(false) => scene.room(NoticeKind::StepFailed {
            at,
            step: name,
            why: how_it_ended(run),
            tail: end.tail.clone(),
            people: scene.pagers(),
            from: release.plan.release.version.clone(),
            to: release.plan.rollback.as_ref().map(|plan| plan.to.clone()),
        }),
        // That the rollback has stopped says it, names the step and calls whoever is needed.
        None if matches!(step, Step::Rollback(_) | Step::RollbackVerify(_)) => Vec::new(),
        None => scene.room(NoticeKind::StepUnknown {
            at,
            step: name,
            why: how_it_ended(run),
            people: scene.pagers(),
        }),
    }
}

fn finished(scene: &Scene, result: &super::report::Result) -> Vec<Effect> {
    let (release, at) = (scene.release, scene.at);
    let mut effects = scene.room(NoticeKind::Finished {
        at,
        outcome: result.outcome.word().into(),
        state: result.state.word().into(),
        issues: result.issues.clone(),
        took_ms: took(release, at).and_then(|took| u64::try_from(took.num_milliseconds()).ok()),
        smoke: release.smoke.filter(|_| release.rollback.is_none()),
        unanswered: match release.rollback {
            None => super::asking::unanswered(release).map(|item| item.name.clone()).collect(),
            Some(_) => Vec::new(),
        },
    });
    if release.rollback.is_some() {
        effects.extend(pictures(scene));
    }
    effects
}

/// One that is stuck is somebody's to close by hand; the rollback does not wait for them.
fn flag_off(scene: &Scene, flag: usize, run: &RunRecord, took_ms: u64) -> Vec<Effect> {
    let Some(planned) = scene.release.plan.flags.get(flag) else { return Vec::new() };
    let is_off = run.worked() == Some(true);
    scene.room(NoticeKind::FlagOff {
        at: scene.at,
        flag: planned.name.clone(),
        provider: run.with.get("provider").cloned().unwrap_or_default(),
        after: in_tenths(took_ms),
        trouble: (!is_off).then(|| how_it_ended(run)),
        people: if is_off { Vec::new() } else { scene.pagers() },
    })
}

/// `0.4 s`: of what is over before a person has looked.
pub(super) fn in_tenths(took_ms: u64) -> String {
    let tenths = (took_ms + 50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

fn worked(scene: &Scene, run: &RunRecord, took_ms: u64) -> Vec<Effect> {
    let plan = scene.release.plan.rollback.as_ref();
    let text = match &run.step {
        // The stage, the tally and the rehearsal speak for themselves.
        Step::Stage(_)
        | Step::StageCheck { .. }
        | Step::Smoke(_)
        | Step::FlagOff(_)
        | Step::Rehearse(_) => return vec![],
        Step::Rollback(at) => plan.and_then(|plan| plan.steps.get(*at)).map(|s| s.done_text()),
        Step::RollbackVerify(at) => {
            plan.and_then(|plan| plan.verify.get(*at)).map(|s| s.done_text())
        }
        Step::Timed(_) => Some(format!("{}: passing", step_name(scene.release, &run.step))),
        Step::Named(_) => Some(format!("{}: done", step_name(scene.release, &run.step))),
    };
    let text = text.unwrap_or_else(|| step_name(scene.release, &run.step));
    scene.room(NoticeKind::StepDone { at: scene.at, text, took_ms })
}

fn stage_deployed(scene: &Scene, stage: usize) -> Vec<Effect> {
    let (release, at) = (scene.release, scene.at);
    let Some(plan) = release.plan.stages.get(stage) else { return Vec::new() };
    let took = release.run(&Step::Stage(stage)).and_then(|run| run.ended.as_ref());
    let done = NoticeKind::StageDone {
        at,
        text: plan.done_text(),
        traffic: plan.traffic,
        took_ms: took.map_or(0, |(_, end)| end.took_ms),
    };
    let mut effects = scene.room(done);
    if let Some(until) = release.phase.soaks_until() {
        let stage = plan.name.clone();
        let checks = plan.checks.iter().map(ToString::to_string).collect();
        effects.extend(scene.room(NoticeKind::Soaking {
            at,
            stage,
            until,
            checks,
            days: is_far(at, until),
            judged: judged_by(scene, plan),
        }));
    }
    if let Some(audience) = &plan.notice {
        let (cohort, feedback) = (plan.cohort.clone(), plan.feedback.clone());
        let (stage, traffic) = (plan.name.clone(), plan.traffic);
        let kind = NoticeKind::Cohort { at, stage, cohort, traffic, feedback };
        effects.extend(scene.to(scene.audience(audience), kind));
    }
    effects
}

/// Everybody in the room sees it; who has to approve is asked like a voter.
fn advance_wanted(scene: &Scene, stage: usize) -> Vec<Effect> {
    let wanted = wanted_approvals(scene.release, stage);
    let rules = || wanted.iter().filter_map(|role| Some((role, scene.policy.roles.get(role)?)));
    let members: BTreeSet<&PersonId> = rules().flat_map(|(_, rules)| &rules.members).collect();
    let people = match wanted.is_empty() {
        true => vec![scene.person(&scene.release.captain)],
        false => members.iter().map(|member| scene.person(member)).collect(),
    };
    let Some(kind) = waits_at(scene, stage, people) else { return Vec::new() };
    let mut effects = scene.room(kind.clone());
    effects.extend(members.into_iter().flat_map(|member| scene.tell(member, kind.clone())));
    effects.extend(rules().flat_map(|(role, rules)| {
        rules.groups.iter().filter_map(move |group| {
            let people = vec![PersonRef::group(group, scene.policy.title_of(role))?];
            scene.tell_group(group, waits_at(scene, stage, people)?)
        })
    }));
    effects
}

fn waits_at(scene: &Scene, stage: usize, people: Vec<PersonRef>) -> Option<NoticeKind> {
    let release = scene.release;
    let plan = release.plan.stages.get(stage)?;
    let wanted = wanted_approvals(release, stage);
    Some(NoticeKind::AdvanceWanted {
        at: scene.at,
        stage: plan.name.clone(),
        number: stage + 1,
        next: release.plan.stages.get(stage + 1).map(|next| next.name.clone()),
        waits_for: wanted.iter().map(|role| scene.policy.title_of(role).to_owned()).collect(),
        people,
        soaked_ms: None,
        why: None,
        goes_on_at: release.goes_on_at,
        lines: judged_lines(scene, Some(stage), health::short),
    })
}

/// `error rate`, `p95`: in the middle of a sentence.
fn judged_by(scene: &Scene, stage: &super::plan::Stage) -> Vec<String> {
    let named = |gate: &super::plan::MetricGate| {
        let query = scene.release.queries(scene.policy).get(&gate.name);
        words::inside(query.as_ref().map_or(gate.name.as_str(), |query| query.title.as_str()))
    };
    stage.metrics.iter().map(named).collect()
}

/// What was measured last of a stage, or of the release as a whole.
fn judged_lines(
    scene: &Scene,
    stage: Option<usize>,
    say: impl Fn(&Judged, &Policy) -> String,
) -> Vec<String> {
    let health = scene.release.health.as_ref().filter(|health| health.stage == stage);
    let metrics = health.into_iter().flat_map(|health| &health.metrics);
    metrics.map(|judged| say(judged, scene.policy)).collect()
}

/// In the rooms, where those are who decide; nothing where nothing was seen.
fn pictures(scene: &Scene) -> Vec<Effect> {
    let release = scene.release;
    let Some(health) = release.health.as_ref().filter(|health| health.drawn) else {
        return Vec::new();
    };
    if release.room.open.is_empty() || release.room.closed {
        return Vec::new();
    }
    let stage = health.stage.and_then(|stage| release.plan.stages.get(stage));
    scene.room(NoticeKind::Pictures {
        at: scene.at,
        stage: stage.map(|stage| stage.name.clone()),
        lines: judged_lines(scene, health.stage, health::brief),
        back: release.rollback.is_some(),
    })
}

/// The room, and the captain wherever they are.
fn decision_wanted(scene: &Scene, stage: usize, reason: Option<&String>) -> Vec<Effect> {
    let captain = &scene.release.captain;
    let kind = waits_at(scene, stage, vec![scene.person(captain)]);
    let Some(NoticeKind::AdvanceWanted {
        at, stage: name, number, next, waits_for, people, ..
    }) = kind
    else {
        return Vec::new();
    };
    let by = scene.release.plan.stages.get(stage).and_then(|stage| stage.decide_by);
    let soaked_ms = by.map(|by| by.duration().num_milliseconds());
    let (why, stage) = (reason.cloned(), name);
    let kind = NoticeKind::AdvanceWanted {
        at,
        stage,
        number,
        next,
        waits_for,
        people,
        soaked_ms,
        why,
        goes_on_at: None,
        lines: Vec::new(),
    };
    let mut effects = scene.room(kind.clone());
    effects.extend(scene.tell(captain, kind));
    effects
}

fn approved(scene: &Scene, stage: usize, role: &Role, person: &PersonId) -> Vec<Effect> {
    let Some(plan) = scene.release.plan.stages.get(stage) else { return Vec::new() };
    let left = wanted_approvals(scene.release, stage);
    let left: Vec<_> = left.iter().map(|role| scene.policy.title_of(role)).collect();
    let rest = match left.is_empty() {
        true => String::new(),
        false => format!("; {} still has to", words::and(&left)),
    };
    let text = format!("{} approves {}{rest}", scene.policy.title_of(role), plan.name);
    scene.room(NoticeKind::Update { at: scene.at, text, by: scene.name(person) })
}

fn numbers(scene: &Scene, stage: Option<usize>, metrics: &[Judged]) -> Vec<Effect> {
    let release = scene.release;
    let light = health::overall(metrics);
    let stage = stage.and_then(|stage| release.plan.stages.get(stage));
    let advances_at = release.phase.stage().and_then(|stage| advances_at(release, stage));
    scene.room(NoticeKind::Numbers {
        at: scene.at,
        stage: stage.map(|stage| stage.name.clone()),
        light: light.word().to_owned(),
        lines: metrics.iter().map(|judged| health::brief(judged, scene.policy)).collect(),
        automatic: release.plan.rollback.as_ref().is_some_and(|plan| plan.automatic),
        held: release.held.is_some(),
        advances_at,
        days: advances_at.is_some_and(|then| is_far(scene.at, then)),
    })
}

/// Whether the day has to be said, too.
fn is_far(now: Time, then: Time) -> bool {
    then - now > chrono::Duration::hours(12)
}

/// When it goes on from a stage that soaks.
fn advances_at(release: &Release, stage: usize) -> Option<Time> {
    let until = release.phase.soaks_until().filter(|_| !needs_a_person(release, stage))?;
    Some(goes_on_at(release, stage, until))
}

fn turned_red(
    scene: &Scene,
    why: &str,
    by: Option<&PersonId>,
    roll_back_at: Option<Time>,
) -> Vec<Effect> {
    let plan = scene.release.plan.rollback.as_ref();
    let people = match roll_back_at {
        Some(_) => vec![scene.person(&scene.release.captain)],
        None => scene.pagers(),
    };
    let kind = NoticeKind::TurnedRed {
        at: scene.at,
        why: why.to_owned(),
        by: by.map(|by| scene.name(by)),
        roll_back_at,
        window: roll_back_at.is_some_and(|at| at > scene.at),
        to: plan.map(|plan| plan.to.clone()),
        people,
    };
    let mut effects = scene.room(kind.clone());
    // Nobody goes back by itself here: whoever is on call is told wherever they are.
    if roll_back_at.is_none() {
        effects.extend(scene.to(scene.audience("on-call"), kind));
    }
    effects.extend(pictures(scene));
    effects
}

/// The step that failed has said why; a hold by the bot itself adds nothing to it.
fn held(scene: &Scene, reason: &str, by: Option<&PersonId>) -> Vec<Effect> {
    if by.is_none() && scene.release.unsettled().is_some() {
        return Vec::new();
    }
    let mut effects = scene.room(NoticeKind::Held {
        at: scene.at,
        reason: reason.to_owned(),
        by: by.map(|by| scene.name(by)),
        people: if by.is_none() { scene.pagers() } else { Vec::new() },
    });
    let on_its_way = scene.release.phase.is_rolling_out() || scene.release.phase == Phase::Watching;
    // What is red is shown once that lasts: the same picture twice within seconds is noise.
    let health = scene.release.health.as_ref();
    if on_its_way && health.is_none_or(|health| health.light != Light::Red) {
        effects.extend(pictures(scene));
    }
    effects
}

fn start_waits(scene: &Scene, nth: u32, to: &PersonId) -> Vec<Effect> {
    let Some(hold) = &scene.release.held else { return Vec::new() };
    let kind = NoticeKind::StartWaits {
        at: scene.at,
        since: hold.at,
        waited_ms: (scene.at - hold.at).num_milliseconds(),
        why: hold.reason.clone(),
        person: scene.person(to),
        last: super::agenda::is_last_reminder(nth),
    };
    let mut effects = scene.room(kind.clone());
    effects.extend(scene.tell(to, kind));
    effects
}

/// One message for the whole phase, to everyone who answers for one of its items.
fn items_wanted(scene: &Scene, phase: ItemPhase, items: &[ItemId]) -> Vec<Effect> {
    let release = scene.release;
    let owner = |item: &super::checklist::Item| {
        item.owner.clone().unwrap_or_else(|| release.captain.clone())
    };
    let asked: Vec<_> = release.items.iter().filter(|item| items.contains(&item.id)).collect();
    let mut people: Vec<PersonId> = Vec::new();
    for item in &asked {
        let owner = owner(item);
        if !people.contains(&owner) {
            people.push(owner);
        }
    }
    let wanted = |item: &&super::checklist::Item| WantedItem {
        id: item.id.clone(),
        name: item.name.clone(),
        owner: scene.name(&owner(item)),
    };
    scene.room(NoticeKind::ItemsWanted {
        at: scene.at,
        phase: super::asking::words(phase).to_owned(),
        items: asked.iter().map(wanted).collect(),
        people: people.iter().map(|person| scene.person(person)).collect(),
    })
}

fn check_wanted(scene: &Scene, check: usize) -> Vec<Effect> {
    let Some(check) = scene.release.plan.checks.get(check) else { return Vec::new() };
    if check.action.is_some() {
        return Vec::new();
    }
    let owner = check.owner.as_ref().or(scene.release.plan.monitoring.watchers.first());
    scene.room(NoticeKind::CheckWanted {
        at: scene.at,
        name: check.name.clone(),
        expect: check.expect.clone(),
        people: owner.map(|owner| scene.person(owner)).into_iter().collect(),
    })
}

// ---------------------------------------------------------------------------------------------
// Going back

/// First what runs is stopped; then the steps, which [`settle`](super::settle) begins.
fn rollback_begun(
    scene: &Scene,
    from: &str,
    to: &str,
    by: Option<&PersonId>,
    reason: Option<&String>,
) -> Vec<Effect> {
    let release = scene.release;
    let stop = |run: &RunRecord| Effect::Stop {
        release: release.id.clone(),
        run: run.id.clone(),
        call: call(scene, run),
    };
    let mut effects: Vec<Effect> =
        release.running().filter(|run| matches!(run.step, Step::Stage(_))).map(stop).collect();
    let steps = release.plan.rollback.as_ref().map_or(0, |plan| flag::steps_back(plan).len());
    let open = flag::to_kill(&release.plan, scene.policy);
    let open = open.filter(|(_, flag, _)| flag::may_be_open(release, flag));
    let flags = open.map(|(_, flag, _)| flag.name.clone()).collect();
    effects.extend(scene.room(NoticeKind::RollbackBegan {
        at: scene.at,
        from: from.to_owned(),
        to: to.to_owned(),
        by: by.map(|by| scene.name(by)),
        reason: reason.cloned(),
        steps,
        flags,
        // Whoever asked for it watches without being told to.
        people: if by == Some(scene.on_duty()) { Vec::new() } else { scene.pagers() },
    }));
    effects
}

/// What the last word says that it took: the way back, if it went back, and not the way out.
fn took(release: &Release, at: Time) -> Option<chrono::Duration> {
    match rollback_time(release, at) {
        Some((took, _)) => Some(took),
        None => release.started_at.zip(release.rolled_out_at).map(|(from, to)| to - from),
    }
}

/// Everyone who was told gets told, the incident channel too; customers if they noticed for long.
fn rolled_back(scene: &Scene, took_ms: u64) -> Vec<Effect> {
    let release = scene.release;
    let Some(rollback) = &release.rollback else { return Vec::new() };
    let (took, rto_met) =
        rollback_time(release, scene.at).unwrap_or((chrono::Duration::zero(), None));
    let exposed = release.started_at.map_or(took, |since| scene.at - since);
    let long = exposed > scene.policy.timing.customers_after.duration();
    let kind = NoticeKind::RolledBack {
        at: scene.at,
        from: rollback.from.clone(),
        to: rollback.to.clone(),
        by: scene.by(&rollback.by),
        took_ms,
        rto_met,
        rto: release.plan.rollback.as_ref().map(|plan| super::time::span(plan.rto.duration())),
        verified: release.plan.rollback.as_ref().is_some_and(|plan| !plan.verify.is_empty()),
        downtime: release.plan.release.downtime.is_some_and(|span| !span.duration().is_zero()),
    };
    let mut effects = scene.everyone(kind.clone());
    let mut also: Vec<Destination> = scene.audience("on-call").to_vec();
    if long && release.plan.release.user_facing {
        also.extend(scene.audience(CUSTOMERS).iter().cloned());
    }
    also.retain(|to| !release.told.contains(to));
    effects.extend(scene.to(&also, kind));
    effects
}

fn escalated(scene: &Scene, nth: u32, to: &PersonId) -> Vec<Effect> {
    let failed = scene.release.rollback.as_ref().and_then(|back| back.failed.clone());
    let held = scene.release.held.as_ref().map(|hold| hold.reason.clone());
    let rollback = scene.release.phase == Phase::RollbackFailed;
    let why = if rollback { failed } else { held };
    let kind = NoticeKind::Escalation {
        rollback,
        at: scene.at,
        why: why.unwrap_or_default(),
        nth,
        person: scene.person(to),
    };
    let mut effects = scene.room(kind.clone());
    effects.extend(scene.tell(to, kind));
    effects
}

/// The roles that a release waits for, in words.
pub fn waiting_roles(release: &Release, policy: &Policy) -> String {
    let silent = release.seats.iter().filter(|seat| seat.vote(release.poll_revision).is_none());
    let titles: Vec<_> = silent.map(|seat| policy.title_of(&seat.role)).collect();
    words::and(&titles)
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, Commitment, RunOutcome};
    use super::super::fixture::{World, id};
    use super::*;

    fn rolling_back(mut world: World) -> World {
        let commits = Commitment::default();
        world.by("john", Command::Rollback { release: id(), reason: None, commits });
        world
    }

    fn told(world: &World, from: usize) -> Vec<&NoticeKind> {
        world.notices().skip(from).map(|notice| &notice.kind).collect()
    }

    #[test]
    fn a_step_back_that_nobody_saw_end_is_told_once() {
        let mut world = rolling_back(World::stuck());
        world.run_ends(1, RunOutcome::Worked);
        let before = world.notices().count();
        world.run_ends(8, RunOutcome::Unknown("we were away".into()));
        let told = told(&world, before);
        let about = |kind: &&&NoticeKind| matches!(kind, NoticeKind::StepUnknown { .. });
        assert_eq!(told.iter().filter(about).count(), 0, "{told:?}");
        let stopped = told.iter().filter_map(|kind| {
            let NoticeKind::RollbackFailed { why, .. } = kind else { return None };
            Some(why)
        });
        let stopped: Vec<_> = stopped.collect();
        assert_eq!(stopped.len(), 1, "{told:?}");
        assert!(stopped[0].contains("unknown outcome"), "{stopped:?}");
    }

    #[test]
    fn the_last_word_of_a_release_that_went_back_is_how_long_the_way_back_took() {
        let mut world = rolling_back(World::done());
        while world.release().running().next().is_some() {
            world.run_ends(30, RunOutcome::Worked);
        }
        let words: Vec<_> = world
            .notices()
            .filter_map(|notice| {
                let NoticeKind::Finished { took_ms, smoke, state, .. } = &notice.kind else {
                    return None;
                };
                Some((state.as_str(), *took_ms, *smoke))
            })
            .collect();
        let (state, took, smoke) = *words.last().expect("it is closed");
        let back = world.release().rollback.as_ref().expect("it went back");
        let exact = back.ended_at.expect("it is back") - back.asked_at;
        assert_eq!(state, "ROLLED_BACK");
        assert_eq!(
            took.map(|took| i64::try_from(took).expect("short")),
            Some(exact.num_milliseconds())
        );
        assert_eq!(smoke, None, "what was tried is gone");
    }
}
