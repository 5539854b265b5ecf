//! Go or no-go: who may answer for which seat, what settles the checklist, and who may overrule.
//! Silence is no-go.

use super::authority::is_in;
use super::checklist::{Item, Mark};
use super::command::{Commitment, EvidenceReport, Vote};
use super::decide::{Case, Decided, already};
use super::event::Happened;
use super::health::{self, Gate};
use super::ids::{ItemId, PersonId, Role};
use super::plan::{Finding, ItemPhase};
use super::policy::{Policy, Right};
use super::refusal::Refusal;
use super::state::Phase;
use super::words::{self, excerpt};

/// Longer than this, a text is a document and belongs behind a link.
pub const TEXT_LIMIT: usize = 1_000;

pub(super) fn not_too_long(what: &str, text: &str) -> Result<(), Refusal> {
    if text.chars().count() <= TEXT_LIMIT {
        return Ok(());
    }
    Err(Refusal::TooLong { text: what.to_owned(), limit: TEXT_LIMIT })
}

/// Only what a browser opens harmlessly goes into documents and messages as a link.
fn is_link(link: Option<&String>) -> Result<(), Refusal> {
    let Some(link) = link else { return Ok(()) };
    not_too_long("The link", link)?;
    let sound = ["https://", "http://"].iter().any(|scheme| link.starts_with(scheme));
    if sound && !link.contains(char::is_whitespace) {
        return Ok(());
    }
    Err(Refusal::NotALink { link: excerpt(link) })
}

pub(super) fn vote(case: &Case, role: Option<&Role>, vote: &Vote, commits: &Commitment) -> Decided {
    let person = case.signer()?;
    let release = case.release;
    if !release.phase.is_before_deploy() {
        let hint = match release.phase.is_over() {
            true => "The poll is over.",
            false => "The poll closed with the start. To stop it now: `hold` or `rollback`.",
        };
        return Err(case.wrong_phase(hint));
    }
    // Whoever holds no seat hears that, also on a card that is out of date.
    let role = seat_of(case, &person, role)?;
    not_stale(case, commits)?;
    if let Vote::NoGo { reason } = vote {
        if reason.trim().is_empty() {
            return Err(Refusal::NeedsReason);
        }
        not_too_long("The reason", reason)?;
    }
    one_seat(case, &person, &role)?;
    let seat = release.seats.iter().find(|seat| seat.role == role);
    let ballot = seat.and_then(|seat| seat.vote(release.poll_revision));
    if let Some(ballot) = ballot
        && ballot.vote == *vote
    {
        let (title, name) = (case.policy.title_of(&role), case.policy.name_of(&ballot.by));
        let word = if *vote == Vote::Go { "GO" } else { "NO-GO" };
        let what = format!("{title} is {word} already ({name}, {}).", case.clock(ballot.at));
        return already(release, "vote", what);
    }
    case.did(Happened::VoteCast { role, person, vote: vote.clone() })
}

fn not_stale(case: &Case, commits: &Commitment) -> Result<(), Refusal> {
    match commits.revision {
        Some(revision) if revision != case.release.poll_revision => Err(Refusal::Stale {
            was: "the plan has changed since it was shown, and earlier votes with it".into(),
            hint: "Look at the release again (`status`) and vote on the card that is current."
                .into(),
        }),
        _ => Ok(()),
    }
}

/// The seat that somebody votes for: the one named, or the only one that is theirs.
fn seat_of(case: &Case, person: &PersonId, role: Option<&Role>) -> Result<Role, Refusal> {
    let policy = case.policy;
    let seats: Vec<&Role> = case.release.seats.iter().map(|seat| &seat.role).collect();
    let theirs: Vec<&Role> =
        seats.iter().copied().filter(|role| is_in(case.by, person, role, policy)).collect();
    let titles = |roles: &[&Role]| -> Vec<String> {
        roles.iter().map(|role| policy.title_of(role).to_owned()).collect()
    };
    let Some(role) = role else {
        return match theirs.as_slice() {
            [] => Err(Refusal::NoSeat { seats: words::and(&titles(&seats)) }),
            [only] => Ok((*only).clone()),
            [first, ..] => Err(Refusal::WhichSeat {
                seats: words::and(&titles(&theirs)),
                example: first.to_string(),
            }),
        };
    };
    if !seats.contains(&role) {
        let hint = format!("Its seats are {}.", words::and(&titles(&seats)));
        return Err(Refusal::UnknownName { what: format!("The seat {}", excerpt(role)), hint });
    }
    if theirs.contains(&role) {
        return Ok(role.clone());
    }
    let yours = match theirs.is_empty() {
        true => String::new(),
        false => format!(" You may sign for {}.", words::and(&titles(&theirs))),
    };
    Err(Refusal::NotYourSeat {
        role: policy.title_of(role).to_owned(),
        members: members(role, policy),
        yours,
    })
}

/// Who may fill a seat, by name. A group has none that people know it by, but what it stands for has.
pub fn members(role: &Role, policy: &Policy) -> String {
    let Some(rules) = policy.roles.get(role) else { return "nobody".into() };
    let people = rules.members.iter().map(|person| policy.name_of(person).to_owned());
    let group = || format!("the {} group", policy.title_of(role));
    let group = (!rules.groups.is_empty()).then(group);
    let names: Vec<_> = people.chain(group).collect();
    if names.is_empty() { "nobody yet".into() } else { words::or(&names) }
}

fn one_seat(case: &Case, person: &PersonId, role: &Role) -> Result<(), Refusal> {
    if !case.policy.rules.one_seat_per_person {
        return Ok(());
    }
    let revision = case.release.poll_revision;
    let other = case.release.seats.iter().find(|seat| {
        seat.role != *role && seat.vote(revision).is_some_and(|ballot| ballot.by == *person)
    });
    match other {
        Some(seat) => Err(Refusal::OneSeat { role: case.policy.title_of(&seat.role).to_owned() }),
        None => Ok(()),
    }
}

pub(super) fn mark(
    case: &Case,
    item: &ItemId,
    mark: Mark,
    why: Option<&String>,
    link: Option<&String>,
) -> Decided {
    let right = if mark == Mark::Waive { Right::Waive } else { Right::Checklist };
    let who = match mark {
        Mark::Waive => case.person_may(right).map(|person| person.to_string())?,
        Mark::Pass | Mark::Fail | Mark::Reopen => case.may(right)?.name(),
    };
    let found = find_item(case, item)?;
    // What is due after the launch may be answered when the release is closed already.
    let late = case.release.phase == Phase::Done && found.phase > ItemPhase::T30m;
    if case.release.phase.is_over() && !late {
        return Err(case.wrong_phase("Its checklist is closed."));
    }
    if matches!(mark, Mark::Waive | Mark::Fail) && why.is_none_or(|why| why.trim().is_empty()) {
        return Err(Refusal::NeedsReason);
    }
    if let Some(why) = why {
        not_too_long("The reason", why)?;
    }
    is_link(link)?;
    if is_so(found, mark) {
        return already(case.release, "checklist", format!("{} is so already.", found.name));
    }
    if mark == Mark::Pass {
        may_pass(case, found, why.or(link).is_some())?;
    }
    case.did(Happened::ItemMarked {
        item: found.id.clone(),
        mark,
        by: who,
        why: why.cloned(),
        link: link.cloned(),
    })
}

/// What evidence settles is ticked with a word on how one knows, whoever ticks it; and nothing is
/// ticked before it can be true.
fn may_pass(case: &Case, item: &Item, explained: bool) -> Result<(), Refusal> {
    use super::plan::EvidenceKind;
    if item.phase > ItemPhase::T30m && case.release.phase.is_before_deploy() {
        return Err(Refusal::TooEarlyToTick { item: item.name.clone() });
    }
    let Some(kind) = item.evidence.filter(|_| !explained) else { return Ok(()) };
    let how = if kind == EvidenceKind::RollbackRehearsal {
        "`rollback --dry-run` proves it.".to_owned()
    } else {
        format!("CI reports it: `evidence {} pass`.", kind.name())
    };
    Err(Refusal::NeedsEvidence { item: item.name.clone(), id: item.id.to_string(), how })
}

fn is_so(item: &Item, mark: Mark) -> bool {
    use super::checklist::ItemState;
    match (&item.state, mark) {
        (ItemState::Open, Mark::Reopen)
        | (ItemState::Passed { .. }, Mark::Pass)
        | (ItemState::Waived { .. }, Mark::Waive) => true,
        (
            ItemState::Open
            | ItemState::Passed { .. }
            | ItemState::Failed { .. }
            | ItemState::Waived { .. },
            _,
        ) => false,
    }
}

/// By its id, or by the part of it that names it alone.
fn find_item<'a>(case: &'a Case, wanted: &ItemId) -> Result<&'a Item, Refusal> {
    let items = &case.release.items;
    if let Some(item) = items.iter().find(|item| item.id == *wanted) {
        return Ok(item);
    }
    let wanted_text = wanted.as_str().to_lowercase();
    let near: Vec<&Item> = items
        .iter()
        .filter(|item| {
            item.id.as_str().contains(&wanted_text)
                || item.name.to_lowercase().contains(&wanted_text)
        })
        .collect();
    match near.as_slice() {
        [only] => Ok(only),
        [] => Err(Refusal::UnknownName {
            what: format!("The checklist item {}", excerpt(wanted)),
            hint: "`checklist` shows them all.".into(),
        }),
        several => {
            let ids: Vec<_> = several.iter().map(|item| item.id.as_str()).collect();
            Err(Refusal::UnknownName {
                what: format!(
                    "{} fits several items and none of them alone, so it",
                    excerpt(wanted)
                ),
                hint: format!("Say one of {}.", words::or(&ids)),
            })
        }
    }
}

pub(super) fn report(case: &Case, report: &EvidenceReport) -> Decided {
    let who = case.may(Right::Evidence)?;
    if case.release.phase.is_over() {
        return Err(case.wrong_phase("Evidence comes too late for it."));
    }
    if let Some(note) = &report.note {
        not_too_long("The note", note)?;
    }
    is_link(report.link.as_ref())?;
    let known = case.release.evidence.get(&report.kind);
    if known.is_some_and(|known| known.report == *report) && report.result != Finding::Fail {
        let what = format!("{} is reported so already.", report.kind.name());
        return already(case.release, "evidence", what);
    }
    case.did(Happened::EvidenceReported { report: report.clone(), by: who.name() })
}

/// An override takes the role that policy names, and a reason.
pub(super) fn overrule(case: &Case, obstacle: &str, reason: &str) -> Decided {
    let person = case.person_may(Right::Override)?;
    if reason.trim().is_empty() {
        return Err(Refusal::NeedsReason);
    }
    not_too_long("The reason", reason)?;
    let at_gate = matches!(case.release.phase, Phase::AtGate { .. });
    if !case.release.phase.is_before_deploy() && !at_gate {
        return Err(case.wrong_phase("There is nothing to override any more."));
    }
    if case.release.is_overridden(obstacle) {
        return already(case.release, "override", format!("{obstacle} is overridden already."));
    }
    let known = obstacles(case);
    if !known.iter().any(|known| known == obstacle) {
        let hint = match known.is_empty() {
            true => "Nothing stands in its way.".to_owned(),
            false => format!("What stands in its way: {}.", words::and(&known)),
        };
        return Err(Refusal::UnknownName {
            what: format!("The obstacle {}", excerpt(obstacle)),
            hint,
        });
    }
    case.did(Happened::Overridden {
        obstacle: obstacle.to_owned(),
        person,
        reason: reason.to_owned(),
    })
}

/// The names under which `override` takes what stands between this release and its start.
pub(super) fn obstacles(case: &Case) -> Vec<String> {
    if let Phase::AtGate { stage } = case.release.phase {
        let open = health::gate(case.release, stage, case.policy, case.now) == Gate::Open;
        return if open { Vec::new() } else { vec![health::obstacle(stage)] };
    }
    let reasons = super::verdict::reasons(case.release, case.policy);
    let mut names: Vec<String> = reasons.iter().map(super::verdict::Reason::obstacle).collect();
    let head = &case.release.plan.release;
    let frozen = super::freeze::covering(
        &case.state.house,
        case.policy,
        &head.service,
        &head.environment,
        case.release.start.at,
    );
    if frozen.is_some() {
        names.push("freeze".into());
    }
    names
}

pub(super) fn accept_risk(case: &Case, risk: &str, reason: &str) -> Decided {
    let person = case.person_may(Right::AcceptRisk)?;
    if reason.trim().is_empty() {
        return Err(Refusal::NeedsReason);
    }
    not_too_long("The reason", reason)?;
    if case.release.phase.is_over() {
        return Err(case.wrong_phase("Its risks are past."));
    }
    let known = named_risks(case);
    if !known.iter().any(|known| known == risk) {
        let hint = match known.is_empty() {
            true => "The plan names no risk, known issue or migration to accept.".to_owned(),
            false => format!("The plan names {}.", words::and(&known)),
        };
        return Err(Refusal::UnknownName { what: format!("The risk {}", excerpt(risk)), hint });
    }
    case.did(Happened::RiskAccepted { risk: risk.to_owned(), person, reason: reason.to_owned() })
}

/// What can be accepted by name: the plan's risks, its known issues and its migrations.
fn named_risks(case: &Case) -> Vec<String> {
    let plan = &case.release.plan;
    let migrations = plan.database.iter().flat_map(|database| &database.migrations);
    let risks = plan.risks.iter().map(|risk| risk.what.clone());
    let issues = plan.known_issues.iter().map(|issue| issue.what.clone());
    risks.chain(issues).chain(migrations.map(|migration| migration.name.clone())).collect()
}
