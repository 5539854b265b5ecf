//! What others ask before they go on: a controller that moves traffic, a pipeline that is about to
//! deploy. They get the verdict that our own rollout goes by, and no other.
//!
//! **Invariant:** whoever cannot be told that it is go is told that it is not: no release, several
//! that fit, no data, a hold. Nobody is told to go back unless we do.

use chrono::{Datelike, Duration};
use serde::{Deserialize, Serialize};

use super::decide::{Decided, already, did};
use super::event::{Event, Happened};
use super::health::{self, Gate};
use super::metric::Light;
use super::policy::Policy;
use super::react::in_brief;
use super::rollout::needs_a_person;
use super::state::{Phase, Release, State};
use super::time::{self, Time};
use super::verdict::{self, Reason};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Begin to bring the new version in.
    Rollout,
    /// Give it more of the traffic.
    MoreTraffic,
    /// Give it to everybody.
    Promotion,
    /// Go back. Here, too, [`Answer::Go`] says: do it.
    Rollback,
}

/// With the reason, in a sentence that names no person and quotes nobody: it is shown where others
/// read along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Go(String),
    /// Not now; it may become go.
    NotYet(String),
    /// This one is over.
    Never(String),
}

impl Answer {
    pub fn is_go(&self) -> bool {
        matches!(self, Self::Go(_))
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Go(text) | Self::NotYet(text) | Self::Never(text) => text,
        }
    }
}

/// Of what somebody asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub service: String,
    pub environment: String,
    /// A version, or the release's own id.
    pub release: Option<String>,
    /// What they are about to deploy, if they say so.
    pub commit: Option<String>,
    pub reference: Option<String>,
}

/// The answer for whoever asks about this subject.
pub fn answer_on(state: &State, subject: &Subject, question: Question, now: Time) -> Answer {
    match find(state, subject, question) {
        Ok(release) => answer(release, question, state.house.policy(), now),
        Err(why) => Answer::NotYet(why),
    }
}

/// The one release that is meant; why there is none, or not one, otherwise.
pub fn find<'a>(
    state: &'a State,
    subject: &Subject,
    question: Question,
) -> Result<&'a Release, String> {
    let target = format!("{}/{}", subject.service, subject.environment);
    let of_target = state.releases.values().map(AsRef::as_ref);
    let of_target = of_target.filter(|release| release.target() == target);
    let named = of_target.filter(|release| is_named(release, subject));
    let (mut open, over): (Vec<_>, Vec<_>) = named.partition(|release| !release.phase.is_over());
    // What runs is what is asked about; the others wait for it.
    if open.iter().any(|release| release.touched_target()) {
        open.retain(|release| release.touched_target());
    }
    // What has ended is asked about by those who may have to go back with it, or who are late.
    let ended = || over.into_iter().max_by_key(|release| release.started_at);
    match open.as_slice() {
        [one] => is_what_was_voted_on(one, subject).map(|()| *one),
        [] => match (question, ended()) {
            (Question::Rollback, Some(ended)) => Ok(ended),
            (_, Some(ended)) if subject.release.is_some() => Ok(ended),
            (_, Some(_) | None) => Err(format!("No release of {target} is open.")),
        },
        several => {
            let several: Vec<_> = several.iter().map(|release| release.title()).collect();
            let several = super::words::and(&several);
            Err(format!(
                "Several releases of {target} are open, and it is not clear which one is \
                         meant: {several}."
            ))
        }
    }
}

fn is_named(release: &Release, subject: &Subject) -> bool {
    let head = &release.plan.release;
    match &subject.release {
        Some(name) => *name == head.version || name == release.id.as_str(),
        // A tag of some release is about that one.
        None => match subject.reference.as_deref().map(short) {
            Some(tag) if looks_like_version(tag) => {
                tag == head.version || head.tag.as_deref() == Some(tag)
            }
            Some(_) | None => true,
        },
    }
}

/// `refs/tags/v1.2.0` and `v1.2.0` are the same.
fn short(reference: &str) -> &str {
    reference.strip_prefix("refs/tags/").unwrap_or(reference)
}

fn looks_like_version(tag: &str) -> bool {
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.')
}

/// Votes are for one commit, if the plan names it.
fn is_what_was_voted_on(release: &Release, subject: &Subject) -> Result<(), String> {
    let planned = release.plan.release.commit.as_deref().filter(|commit| commit.len() >= 7);
    match (planned, subject.commit.as_deref()) {
        (Some(planned), Some(asked))
            if !asked.starts_with(planned) && !planned.starts_with(asked) =>
        {
            let asked: String = asked.chars().take(12).collect();
            Err(format!("{} is planned for another commit than {asked}.", release.title()))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

pub fn answer(release: &Release, question: Question, policy: &Policy, now: Time) -> Answer {
    let further = match question {
        Question::Rollback => return going_back(release, now),
        Question::Rollout => begun(release, policy, now),
        Question::MoreTraffic => begun(release, policy, now).and_then(|()| numbers(release, now)),
        Question::Promotion => begun(release, policy, now)
            .and_then(|()| numbers(release, now))
            .and_then(|()| for_everybody(release, policy, now)),
    };
    match further {
        Ok(()) => Answer::Go(format!("{} is GO: it {}.", release.title(), stands(release))),
        Err(answer) => answer,
    }
}

fn stands(release: &Release) -> &'static str {
    match release.phase {
        Phase::Deploying { .. } | Phase::Soaking { .. } | Phase::AtGate { .. } => "is rolling out",
        Phase::Watching | Phase::Done => "is rolled out",
        Phase::CountingDown
        | Phase::Ready
        | Phase::Scrubbed
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::RollbackFailed => "has not begun",
    }
}

/// Go, started by a person, and neither held nor red since. **Invariant:** the verdict alone starts
/// nothing: it is provisional until somebody starts the release.
fn begun(release: &Release, policy: &Policy, now: Time) -> Result<(), Answer> {
    let title = release.title();
    let not_yet = |why: String| Err(Answer::NotYet(why));
    match release.phase {
        Phase::Scrubbed => return Err(Answer::Never(format!("{title} was called off."))),
        Phase::RollingBack | Phase::RolledBack | Phase::RollbackFailed => {
            return Err(Answer::Never(format!("{title} was taken back.")));
        }
        Phase::CountingDown | Phase::Ready if release.start_missed => {
            return Err(Answer::Never(format!("The start of {title} was missed.")));
        }
        Phase::CountingDown => return Err(not_go(release, policy)),
        Phase::Ready | Phase::Deploying { .. } | Phase::Soaking { .. } | Phase::AtGate { .. } => {}
        Phase::Watching | Phase::Done => {}
    }
    if release.held.is_some() {
        return not_yet(format!("{title} is on hold."));
    }
    if release.red.is_some() {
        return not_yet(format!("{title} is red."));
    }
    if release.phase == Phase::Ready {
        let at = time::show(release.start.at, release.start.zone, now.year());
        return not_yet(format!("{title} is GO, and waits for its start, planned for {at}."));
    }
    Ok(())
}

/// What was said against it is for good; what is only missing may come.
fn not_go(release: &Release, policy: &Policy) -> Answer {
    let reasons = verdict::reasons(release, policy);
    let against = |reason: &&Reason| match reason {
        Reason::SaidNoGo { .. } | Reason::ItemFailed { .. } | Reason::EvidenceFailed { .. } => true,
        Reason::Silent { .. }
        | Reason::OnlyTheRequester { .. }
        | Reason::ItemOpen { .. }
        | Reason::EvidenceMissing { .. }
        | Reason::Frozen { .. } => false,
    };
    let said: Vec<_> = reasons.iter().filter(against).map(|one| in_brief(one, policy)).collect();
    let title = release.title();
    if !said.is_empty() {
        return Answer::Never(format!("NO-GO for {title}: {}.", super::words::and(&said)));
    }
    let open: Vec<_> = reasons.iter().map(|reason| in_brief(reason, policy)).collect();
    let (shown, more) = open.split_at(open.len().min(5));
    let more = match more.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Answer::NotYet(format!("{title} is not GO yet. Open: {}{more}.", shown.join(", ")))
}

/// After this long without a new entry nobody has looked, by the pace at which numbers are kept.
const SEEN_WITHIN: Duration = Duration::minutes(6);

/// Known to be green, where the stage is judged by numbers at all.
fn numbers(release: &Release, now: Time) -> Result<(), Answer> {
    let Some(stage) = release.phase.stage() else { return Ok(()) };
    let plan = &release.plan.stages[stage];
    if plan.metrics.is_empty() || release.is_overridden(&health::obstacle(stage)) {
        return Ok(());
    }
    let not_yet = |why: &str| {
        let (title, name) = (release.title(), &plan.name);
        Err(Answer::NotYet(format!("{title}, {name}: {why}.")))
    };
    let health = release.health.as_ref().filter(|health| health.stage == Some(stage));
    match health {
        None => not_yet("no numbers yet"),
        Some(health) if now - health.at > SEEN_WITHIN => not_yet("its numbers are old"),
        Some(health) => match health.light {
            Light::Green => Ok(()),
            Light::Yellow => not_yet("its numbers are yellow"),
            Light::Unknown => not_yet("its numbers cannot be told"),
            Light::Red => not_yet("its numbers are red"),
        },
    }
}

/// Our own rollout has come to its last stage, past the gate of the one before; where there is one
/// stage only, past its own.
fn for_everybody(release: &Release, policy: &Policy, now: Time) -> Result<(), Answer> {
    let Some(stage) = release.phase.stage() else { return Ok(()) };
    let last = release.last_stage();
    let open = stage == last
        && (last > 0
            || release.phase == Phase::AtGate { stage }
                && health::gate(release, stage, policy, now) == Gate::Open
                && !needs_a_person(release, stage));
    if open {
        return Ok(());
    }
    let (title, name) = (release.title(), &release.plan.stages[stage].name);
    Err(Answer::NotYet(format!("{title} is at {name}, and not yet for everybody.")))
}

fn going_back(release: &Release, now: Time) -> Answer {
    let title = release.title();
    match release.phase {
        Phase::RollingBack | Phase::RolledBack | Phase::RollbackFailed => {
            return Answer::Go(format!("{title} goes back."));
        }
        Phase::CountingDown
        | Phase::Ready
        | Phase::Deploying { .. }
        | Phase::Soaking { .. }
        | Phase::AtGate { .. }
        | Phase::Watching
        | Phase::Done
        | Phase::Scrubbed => {}
    }
    let vetoed = release.held.as_ref().is_some_and(|hold| hold.by.is_some());
    match release.red.as_ref().and_then(|red| red.roll_back_at) {
        Some(at) if at <= now && !vetoed => {
            Answer::Go(format!("{title} is red, and nobody has stopped its way back."))
        }
        Some(_) | None => Answer::NotYet(format!("{title} does not go back.")),
    }
}

// ---------------------------------------------------------------------------------------------
// Those who are answered later

/// A deployment of somebody else's that waits for our word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Who asks: `github`.
    pub gate: String,
    /// Where: a repository.
    pub place: String,
    pub run: u64,
    pub deployment: u64,
    /// As they call it.
    pub environment: String,
    /// In whose name we answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What we say to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    Approved,
    Rejected,
    /// How it stands, while it waits.
    Comment,
}

/// One who waits, and what was said so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiter {
    pub waiting: Waiting,
    pub comments: u32,
    pub last: Option<String>,
    pub decided: bool,
}

/// A tenth is not taken.
const MOST_COMMENTS: u32 = 9;

/// Somebody asks. They get a place in the one release that is meant, or are turned away.
pub(super) fn ask(state: &State, waiting: &Waiting, target: Option<&(String, String)>) -> Decided {
    let Some((service, environment)) = target else {
        let why = format!("{} of {} is not set up here.", waiting.environment, waiting.place);
        return turned_away(waiting, why);
    };
    let subject = Subject {
        service: service.clone(),
        environment: environment.clone(),
        release: None,
        commit: waiting.commit.clone(),
        reference: waiting.reference.clone(),
    };
    let known = |release: &&std::sync::Arc<Release>| {
        release.gates.iter().any(|waiter| waiter.waiting == *waiting)
    };
    if let Some(release) = state.releases.values().find(known) {
        return already(release, "gate", "It waits, or was answered, already.");
    }
    match find(state, &subject, Question::Rollout) {
        Ok(release) => Ok(vec![did(&release.id, Happened::GateAsked { waiting: waiting.clone() })]),
        Err(why) => turned_away(waiting, why),
    }
}

fn turned_away(waiting: &Waiting, why: String) -> Decided {
    Ok(vec![Event::GateTurnedAway { waiting: waiting.clone(), why }])
}

/// What somebody who waits is to hear now.
pub(super) fn next(release: &Release, policy: &Policy, now: Time) -> Option<Happened> {
    let waiters = release.gates.iter().enumerate().filter(|(_, waiter)| !waiter.decided);
    waiters.into_iter().find_map(|(place, waiter)| {
        let answer = answer(release, Question::Rollout, policy, now);
        let text = answer.text().to_owned();
        let word = match answer {
            Answer::Go(_) => Word::Approved,
            Answer::Never(_) => Word::Rejected,
            Answer::NotYet(_) => Word::Comment,
        };
        let news = waiter.last.as_ref() != Some(&text) && waiter.comments < MOST_COMMENTS;
        (word != Word::Comment || news).then_some(Happened::GateAnswered {
            waiter: place,
            word,
            text,
        })
    })
}

impl Waiter {
    pub fn new(waiting: Waiting) -> Self {
        Self { waiting, comments: 0, last: None, decided: false }
    }

    pub(super) fn told(&mut self, word: Word, text: &str) {
        self.last = Some(text.to_owned());
        match word {
            Word::Approved | Word::Rejected => self.decided = true,
            Word::Comment => self.comments += 1,
        }
    }
}

#[cfg(test)]
mod tests;
