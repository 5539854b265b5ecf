//! Cards are rewritten in place, always from the committed state: the poll, the live card, the
//! rollback plan for the day on which we are down ourselves, and a run's output as it comes.

use serde_json::{Map, Value, json};

use super::documents::{command_line, in_brief};
use super::messages::Messages;
use super::notices::{
    Scene, danger, ended, facts, finish, plain, primary, retry, roll_back, roughly,
};
use super::status::{item_value, status_seen};
use super::{acts, markup, status};
use crate::domain::checklist::missing;
use crate::domain::command::{RunOutcome, Vote};
use crate::domain::ids::{FlagId, RunId};
use crate::domain::metric::{Light, number};
use crate::domain::notice::Brief;
use crate::domain::plan::{Flag, Level, RollbackStep, Strategy};
use crate::domain::policy::Policy;
use crate::domain::react::reason_text;
use crate::domain::report::step_name;
use crate::domain::rollback;
use crate::domain::rollout::{goes_on_at, how_it_ended, how_it_looked, needs_a_person};
use crate::domain::state::{Card, CardKind, Phase, Release, RunRecord, Seat, State, Step};
use crate::domain::time::{self, Time};
use crate::domain::verdict::{self, Reason};
use crate::domain::{flag, health, words};
use crate::ports::{Button, Message, Tone};

/// A card as it should stand now; nothing if what it shows is gone. `run_lines` is the output that
/// a run has written so far.
pub fn render(
    messages: &Messages,
    state: &State,
    card: &Card,
    run_lines: Option<&[String]>,
    scene: &Scene,
) -> Option<Message> {
    let release = state.releases.get(&card.release)?;
    let policy = state.house.policy();
    let (name, seen) = seen(release, policy, &card.kind, run_lines, scene)?;
    let body = markup::parse(&messages.render(name, &finish(seen, scene)));
    let buttons = match &card.kind {
        CardKind::Poll => poll_buttons(release, policy),
        CardKind::Live => {
            let acts = phase_buttons(release, scene.now);
            acts.into_iter().chain(acts::of_card(release)).collect()
        }
        CardKind::RollbackPlan | CardKind::Run(_) => Vec::new(),
    };
    Some(Message { tone: tone(release, &card.kind), body, buttons, ..Message::default() })
}

/// The template and what it sees.
fn seen(
    release: &Release,
    policy: &Policy,
    kind: &CardKind,
    run_lines: Option<&[String]>,
    scene: &Scene,
) -> Option<(&'static str, Map<String, Value>)> {
    Some(match kind {
        CardKind::Poll => ("card-poll.md", poll_seen(release, policy, scene)),
        CardKind::Live => ("card-live.md", live_seen(release, policy, scene)),
        CardKind::RollbackPlan => {
            ("card-rollback-plan.md", rollback_plan_seen(release, policy, scene)?)
        }
        CardKind::Run(run) => ("card-run.md", run_seen(release, policy, run, run_lines, scene)?),
    })
}

fn tone(release: &Release, kind: &CardKind) -> Tone {
    if matches!(kind, CardKind::RollbackPlan | CardKind::Run(_)) {
        return Tone::Plain;
    }
    match release.phase {
        _ if release.held.is_some() => Tone::Warning,
        Phase::RollbackFailed => Tone::Bad,
        Phase::RollingBack | Phase::RolledBack => Tone::Warning,
        Phase::Ready | Phase::Watching | Phase::Done => Tone::Good,
        Phase::CountingDown
        | Phase::Deploying { .. }
        | Phase::Soaking { .. }
        | Phase::AtGate { .. }
        | Phase::Scrubbed => Tone::Plain,
    }
}

// ---------------------------------------------------------------------------------------------
// The poll

fn seat_value(seat: &Seat, release: &Release, policy: &Policy) -> Value {
    let ballot = seat.vote(release.poll_revision);
    let (mark, reason) = match ballot.map(|ballot| &ballot.vote) {
        None => ("open", None),
        Some(Vote::Go) => ("go", None),
        Some(Vote::NoGo { reason }) => ("no-go", Some(reason)),
    };
    json!({
        "title": policy.title_of(&seat.role),
        "mark": mark,
        "by": ballot.map(|ballot| policy.name_of(&ballot.by)),
        "at": ballot.map(|ballot| ballot.at),
        "reason": reason,
    })
}

fn common(release: &Release, policy: &Policy, scene: &Scene) -> Map<String, Value> {
    let mut seen = status_seen(release, policy, scene);
    let ballots = release.seats.iter().map(|seat| seat_value(seat, release, policy));
    let missing = missing(&release.items).map(|item| {
        let mut shown = item_value(item, policy);
        shown["section"] = json!(item.section_title);
        shown
    });
    seen.insert("ballots".into(), ballots.collect());
    seen.insert("missing".into(), missing.collect());
    seen.insert("before".into(), json!(release.phase.is_before_deploy()));
    seen
}

fn poll_seen(release: &Release, policy: &Policy, scene: &Scene) -> Map<String, Value> {
    let mut seen = common(release, policy, scene);
    let reasons = verdict::reasons(release, policy);
    seen.insert("is_go".into(), json!(reasons.is_empty()));
    seen.insert("missed".into(), json!(release.start_missed));
    // Seats and items stand in lines of their own.
    let other = |reason: &&Reason| match reason {
        Reason::Silent { .. }
        | Reason::SaidNoGo { .. }
        | Reason::ItemOpen { .. }
        | Reason::ItemFailed { .. } => false,
        Reason::OnlyTheRequester { .. }
        | Reason::EvidenceFailed { .. }
        | Reason::EvidenceMissing { .. }
        | Reason::Frozen { .. } => true,
    };
    let reasons = reasons.iter().filter(other).map(|reason| reason_text(reason, policy));
    seen.insert("reasons".into(), reasons.collect());
    seen
}

/// Every seat with its pair, since a vote can be changed until the decision: one seat in a row, or
/// two where there are many. Beyond that one pair finds the seat by the person. Never more than
/// five rows of five.
fn poll_buttons(release: &Release, policy: &Policy) -> Vec<Vec<Button>> {
    if !release.phase.is_before_deploy() {
        return Vec::new();
    }
    let pair = |seat: &Seat| vote_buttons(release, seat, policy.title_of(&seat.role));
    let seats = &release.seats;
    let mut rows: Vec<Vec<Button>> = match seats.len() {
        ..=5 => seats.iter().map(pair).collect(),
        6..=9 => seats.chunks(2).map(|two| two.iter().flat_map(pair).collect()).collect(),
        _ => vec![vec![go(release), no_go(release)]],
    };
    let checklist = plain("Checklist", format!("checklist {}", release.id));
    let last = [checklist, hold_or_resume(release)];
    match rows.get_mut(4) {
        Some(row) => row.extend(last),
        None => rows.push(last.into()),
    }
    rows
}

/// The pair that signs for one seat. A GO that was given stays there, and is marked.
pub(super) fn vote_buttons(release: &Release, seat: &Seat, about: &str) -> Vec<Button> {
    let (id, role, revision) = (&release.id, &seat.role, release.poll_revision);
    let line = |vote: &str| format!("{vote} {id} --as {role} --revision {revision}");
    let ballot = seat.vote(revision);
    let no_go = danger(&label("NO-GO", about), line("no-go"));
    match ballot.is_some_and(|ballot| ballot.vote == Vote::Go) {
        true => vec![plain(&label("GO ✓", about), line("go")), no_go],
        false => vec![primary(&label("GO", about), line("go")), no_go],
    }
}

/// No platform shows more of a button.
const LONGEST_LABEL: usize = 75;

fn label(vote: &str, about: &str) -> String {
    shortened(&format!("{vote} · {about}"))
}

/// As much of a label as every platform shows.
pub(super) fn shortened(whole: &str) -> String {
    if whole.chars().count() <= LONGEST_LABEL {
        return whole.to_owned();
    }
    whole.chars().take(LONGEST_LABEL - 1).chain(['…']).collect()
}

fn go(release: &Release) -> Button {
    primary("GO", format!("go {} --revision {}", release.id, release.poll_revision))
}

fn no_go(release: &Release) -> Button {
    danger("NO-GO", format!("no-go {} --revision {}", release.id, release.poll_revision))
}

fn hold_or_resume(release: &Release) -> Button {
    match release.held {
        Some(_) if release.start_missed => {
            plain("Reschedule", format!("reschedule {}", release.id))
        }
        Some(_) => plain("Resume", format!("resume {}", release.id)),
        None => plain("Hold", format!("hold {}", release.id)),
    }
}

// ---------------------------------------------------------------------------------------------
// The live card

fn live_seen(release: &Release, policy: &Policy, scene: &Scene) -> Map<String, Value> {
    let mut seen = common(release, policy, scene);
    let risk = release.plan.risks.iter().max_by_key(|risk| risk.level);
    let risk = risk.map(|risk| json!({ "level": level(risk.level), "what": risk.what }));
    let stages = release.plan.stages.iter().enumerate().map(|(index, stage)| {
        json!({ "name": stage.name, "traffic": stage.traffic, "mark": stage_mark(release, index) })
    });
    let back = release
        .rollback
        .as_ref()
        .map(|back| json!({ "to": back.to, "at": back.ended_at, "steps": way_back(release) }));
    let mut add = |name: &str, value: Value| seen.insert(name.to_owned(), value);
    add("countdown", json!(countdown(release, scene.now)));
    add("headline", json!(headline(release, policy, scene.now)));
    add("risk", json!(risk));
    add("stages", stages.collect());
    add("started", json!(release.started_at.is_some()));
    add("soak_until", json!(release.phase.soaks_until()));
    add("evidence", json!(last_check(release)));
    add("first_number", json!(first_number(release, policy)));
    add("can_go_back", json!(can_go_back(release)));
    add("went_back", json!(back));
    let stopped = release.rollback.as_ref().and_then(|back| back.failed.as_ref());
    add("stopped", json!(stopped.filter(|_| release.phase == Phase::RollbackFailed)));
    seen
}

/// The steps of the rollback and what became of each: what no step takes back stays.
fn way_back(release: &Release) -> Vec<Value> {
    let steps = release.plan.rollback.iter().flat_map(|plan| &plan.steps).enumerate();
    let mark = |index: usize| match release.run(&Step::Rollback(index)) {
        None => "ahead",
        Some(run) if run.is_running() => "running",
        Some(run) => match run.worked() {
            Some(true) => "done",
            Some(false) => "failed",
            None => "unknown",
        },
    };
    steps.map(|(index, step)| json!({ "name": step.name, "mark": mark(index) })).collect()
}

pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Low => "low",
        Level::Medium => "medium",
        Level::High => "high",
    }
}

/// `T-0:42`, `T-2 d 3 h`, `T+0:12`; what is over has no clock.
fn countdown(release: &Release, now: Time) -> Option<String> {
    let over = release.phase.is_over() || release.phase == Phase::Watching;
    let from = release.started_at.unwrap_or(release.start.at);
    let left = from - now;
    let minutes = (left.num_seconds().abs() + 30) / 60;
    let sign = if left.num_seconds() > 0 { '-' } else { '+' };
    let text = match minutes {
        0 => "T-0".to_owned(),
        ..2_880 => format!("T{sign}{}:{:02}", minutes / 60, minutes % 60),
        _ => format!("T{sign}{}", time::span(left)),
    };
    (!over).then_some(text)
}

/// Where it stands, in a few words: what the numbers say comes before what is waited for.
pub(super) fn headline(release: &Release, policy: &Policy, now: Time) -> String {
    let waits = status::summary(release, policy, now);
    let stage = release.phase.stage().and_then(|at| Some((at, release.plan.stages.get(at)?)));
    let numbers = numbers(release, policy).map(|numbers| format!(" · {numbers}"));
    let numbers = numbers.unwrap_or_default();
    if release.held.is_some() {
        let place = stage.map(|(_, stage)| format!(" at {}", stage.name)).unwrap_or_default();
        return format!("on hold{place}{numbers} · waiting for {waits}");
    }
    let (number, name) = stage.map(|(at, stage)| (at + 1, stage.name.as_str())).unwrap_or_default();
    let of = release.plan.stages.len();
    let version = || release.rollback.as_ref().map(|back| back.to.as_str()).unwrap_or_default();
    match release.phase {
        Phase::CountingDown => format!("waiting for {waits}"),
        Phase::Ready => format!("GO · waiting for {waits}"),
        Phase::Deploying { .. } => format!("deploying {name} (step {number} of {of})"),
        Phase::Soaking { stage, until } if !numbers.is_empty() => {
            let course = course(release, stage, until, now);
            format!("{}{numbers} · {course}", place(release, name))
        }
        Phase::Soaking { until, .. } => {
            format!("soaking {name} until {}", time::clock(until, release.start.zone))
        }
        Phase::AtGate { .. } if !numbers.is_empty() => {
            let at = place(release, name);
            format!("{at}, at the gate{numbers} · waiting for {waits}")
        }
        Phase::AtGate { .. } => format!("at the gate · waiting for {waits}"),
        Phase::Watching => format!("rolled out and watched{numbers}"),
        Phase::Done => "done".to_owned(),
        Phase::Scrubbed => "called off".to_owned(),
        Phase::RollingBack => format!("rolling back to {}", version()),
        Phase::RolledBack => format!("back on {}", version()),
        Phase::RollbackFailed => "rollback stopped · waiting for a person".to_owned(),
    }
}

/// `Canary at 5 %`, `Pod 1 at 33 %`.
fn place(release: &Release, stage: &str) -> String {
    let name = match release.plan.release.strategy {
        Strategy::Canary => "Canary",
        Strategy::Direct
        | Strategy::Recreate
        | Strategy::Rolling
        | Strategy::BlueGreen
        | Strategy::FeatureFlag => stage,
    };
    format!("{name} at {} %", number(release.traffic()))
}

/// What the numbers say of the stage that runs, or of the watch: the first as a whole, since it is
/// the one that a lock screen shows.
fn numbers(release: &Release, policy: &Policy) -> Option<String> {
    let measured = release.phase.is_rolling_out() || release.phase == Phase::Watching;
    let health = release.health.as_ref().filter(|health| health.stage == release.phase.stage())?;
    let said = health.metrics.iter().enumerate().map(|(at, judged)| match at {
        0 => words::inside(&health::brief(judged, policy)),
        _ => words::inside(&health::short(judged, policy)),
    });
    let said: Vec<_> = said.collect();
    measured.then(|| said.join(" · "))
}

/// What comes of the soak, as far as the numbers go.
fn course(release: &Release, stage: usize, until: Time, now: Time) -> String {
    let light = release.health.as_ref().map_or(Light::Unknown, |health| health.light);
    match light {
        Light::Green if needs_a_person(release, stage) => {
            format!("gate in {}", time::span(until - now))
        }
        Light::Green => {
            format!("advance in {}", time::span(goes_on_at(release, stage, until) - now))
        }
        Light::Yellow => "yellow: it does not advance".to_owned(),
        Light::Unknown => "not known: it does not advance".to_owned(),
        Light::Red => "red".to_owned(),
    }
}

fn stage_mark(release: &Release, index: usize) -> &'static str {
    let step = Step::Stage(index);
    let current = release.phase.stage();
    match release.run(&step) {
        _ if release.rolled_out_at.is_some() => "done",
        Some(run) if run.worked() == Some(true) => match current == Some(index) {
            true => "current",
            false => "done",
        },
        Some(run) if run.is_running() => "running",
        Some(run) if run.is_unknown() => "unknown",
        Some(_) => "failed",
        None => "ahead",
    }
}

/// The latest word of a check: `health of Pod 1: passing`.
fn last_check(release: &Release) -> Option<Value> {
    let is_check = |run: &&RunRecord| match run.step {
        Step::StageCheck { .. } | Step::Timed(_) | Step::RollbackVerify(_) => true,
        Step::Stage(_)
        | Step::Smoke(_)
        | Step::FlagOff(_)
        | Step::Rollback(_)
        | Step::Rehearse(_)
        | Step::Named(_) => false,
    };
    let run = release.runs.iter().rev().filter(is_check).find(|run| !run.is_running())?;
    let how = match run.worked() {
        Some(true) => "passing".to_owned(),
        Some(false) | None => how_it_ended(run),
    };
    let at = run.ended.as_ref().map(|(at, _)| at);
    Some(json!({ "name": step_name(release, &run.step), "how": how, "at": at }))
}

/// `error rate 0.31 %`, beside the check that says passing.
fn first_number(release: &Release, policy: &Policy) -> Option<String> {
    numbers(release, policy)?;
    let judged = release.health.as_ref()?.metrics.first()?;
    let brief = words::inside(&health::brief(judged, policy));
    Some(brief.split(" (").next().unwrap_or_default().to_owned())
}

/// Whether something is deployed that a click could take back.
fn can_go_back(release: &Release) -> bool {
    let deployed = match release.phase {
        Phase::Deploying { .. } | Phase::Soaking { .. } | Phase::AtGate { .. } => true,
        Phase::Watching | Phase::Done => true,
        Phase::CountingDown
        | Phase::Ready
        | Phase::Scrubbed
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::RollbackFailed => false,
    };
    deployed && release.plan.rollback.is_some()
}

/// What one can do now, by phase.
pub(super) fn phase_buttons(release: &Release, now: Time) -> Vec<Vec<Button>> {
    let id = &release.id;
    let line = |verb: &str| format!("{verb} {id}");
    let mut row = match release.phase {
        Phase::CountingDown | Phase::Ready => before_start(release, now),
        Phase::Deploying { .. } | Phase::Soaking { .. } | Phase::AtGate { .. } => underway(release),
        Phase::Watching => watched(release),
        Phase::RollbackFailed => settling(release),
        Phase::RollingBack => Vec::new(),
        Phase::Done | Phase::Scrubbed | Phase::RolledBack => vec![plain("Report", line("report"))],
    };
    row.extend(kill_switches(release));
    let back = release.plan.rollback.as_ref().filter(|_| can_go_back(release));
    row.extend(back.map(|plan| roll_back(id, &release.plan.release.version, &plan.to)));
    row.chunks(5).map(<[Button]>::to_vec).collect()
}

/// While a release opens flags, each can be switched off where everybody looks.
fn kill_switches(release: &Release) -> Vec<Button> {
    if !release.phase.is_rolling_out() && release.phase != Phase::Watching {
        return Vec::new();
    }
    let opened = |flag: &&Flag| {
        let mut stages = release.plan.stages.iter().filter(|stage| flag::sets(stage));
        let about = stages.any(|stage| stage.flag.as_ref() == Some(&flag.name));
        about && flag::may_be_open(release, flag)
    };
    let opened: Vec<_> = release.plan.flags.iter().filter(opened).collect();
    let label = |flag: &Flag| match opened.len() {
        1 => "Kill flag".to_owned(),
        _ => shortened(&format!("Kill {}", flag.name)),
    };
    let named = |flag: &Flag| FlagId::of(flag.provider.as_deref(), &flag.name);
    let button = |flag: &&Flag| danger(&label(flag), format!("flag kill {}", named(flag)));
    opened.iter().take(MOST_SWITCHES).map(button).collect()
}

/// More of them are in `flag list`.
const MOST_SWITCHES: usize = 3;

fn before_start(release: &Release, now: Time) -> Vec<Button> {
    let id = &release.id;
    if release.start_missed {
        return vec![
            primary("Reschedule", format!("reschedule {id}")),
            danger("Call off", format!("scrub {id}")),
        ];
    }
    let offered = release.phase == Phase::Ready && release.held.is_none();
    let mut row = Vec::new();
    if offered && release.start_offered && now >= release.start.at {
        row.push(primary("Start", format!("start {id} --revision {}", release.revision)));
    }
    row.extend([go(release), no_go(release)]);
    row.push(plain("Checklist", format!("checklist {id}")));
    row.push(hold_or_resume(release));
    row
}

fn underway(release: &Release) -> Vec<Button> {
    if release.unsettled().is_some() {
        return settling(release);
    }
    let mut row = Vec::new();
    if let Phase::AtGate { stage } = release.phase
        && release.held.is_none()
        && release.running().next().is_none()
        && (needs_a_person(release, stage) || release.goes_on_at.is_some())
    {
        row.push(primary("Advance", format!("advance {} --stage {}", release.id, stage + 1)));
    }
    row.push(hold_or_resume(release));
    let held = release.held_by_numbers();
    row.extend(held.map(|numbers| plain("Override", format!("override {} {numbers}", release.id))));
    row
}

fn watched(release: &Release) -> Vec<Button> {
    let again = plain("Run the smoke tests", format!("verify {}", release.id));
    vec![again, hold_or_resume(release)]
}

fn settling(release: &Release) -> Vec<Button> {
    let id = &release.id;
    let run = release.unsettled().map(|run| &run.id);
    let mut row = vec![retry(id, run), ended(id, run, "worked")];
    if release.unsettled().is_some_and(RunRecord::is_unknown) {
        row.push(ended(id, run, "failed"));
    }
    row
}

// ---------------------------------------------------------------------------------------------
// The rollback plan

fn rollback_plan_seen(
    release: &Release,
    policy: &Policy,
    scene: &Scene,
) -> Option<Map<String, Value>> {
    let plan = release.plan.rollback.as_ref()?;
    let step = |step: &RollbackStep| {
        json!({
            "name": step.name,
            "command": command_line(release, &Step::Rollback(0), &step.action, &step.with, policy),
            "expect": step.expect,
            "limit": step.limit,
        })
    };
    let name = |person| policy.name_of(person).to_owned();
    let mut seen = facts(&Brief::of(release, policy), scene.now, scene);
    let mut add = |name: &str, value: Value| seen.insert(name.to_owned(), value);
    let kills = flag::to_kill(&release.plan, policy).map(|(_, flag, _)| flag.name.as_str());
    add("kills", kills.collect());
    add("steps", flag::steps_back(plan).iter().map(step).collect());
    add("verify", plan.verify.iter().map(step).collect());
    add("triggers", json!(plan.triggers));
    add("constraints", json!(plan.constraints));
    add("database", json!(plan.database));
    add("data", json!(plan.data));
    add("rto", json!(plan.rto));
    add("rpo", json!(plan.rpo));
    add("contacts", rollback::contacts(release).iter().map(name).collect());
    Some(seen)
}

// ---------------------------------------------------------------------------------------------
// A run

/// Of a run's output, this many lines are shown.
const LINES: usize = 15;

fn run_seen(
    release: &Release,
    policy: &Policy,
    id: &RunId,
    lines: Option<&[String]>,
    scene: &Scene,
) -> Option<Map<String, Value>> {
    let run = release.runs.iter().find(|run| run.id == *id)?;
    let mut seen = facts(&Brief::of(release, policy), scene.now, scene);
    let outcome = run.ended.as_ref().map(|(_, end)| match &end.outcome {
        RunOutcome::Worked => "worked".to_owned(),
        RunOutcome::Failed(_)
        | RunOutcome::TimedOut
        | RunOutcome::Stopped
        | RunOutcome::Unknown(_) => how_it_looked(run),
    });
    let tail = run.ended.as_ref().map(|(_, end)| end.tail.as_str()).unwrap_or_default();
    let shown: Vec<&str> = match lines {
        Some(lines) => lines.iter().map(String::as_str).collect(),
        None => tail.lines().collect(),
    };
    let skip = shown.len().saturating_sub(LINES);
    let mut add = |name: &str, value: Value| seen.insert(name.to_owned(), value);
    add("step", json!(step_name(release, &run.step)));
    add("attempt", json!(run.attempt));
    let command = command_line(release, &run.step, &run.action, &run.with, policy);
    add("command", json!(in_brief(&command)));
    add("began", json!(run.began));
    add("outcome", json!(outcome));
    add("good", json!(run.worked()));
    add("took_ms", json!(run.ended.as_ref().map(|(_, end)| end.took_ms)));
    add("running", json!(roughly((scene.now - run.began).num_seconds())));
    add("settled", json!(run.settled));
    add("lines", json!(shown[skip..].join("\n")));
    Some(seen)
}

#[cfg(test)]
pub(crate) mod tests;
