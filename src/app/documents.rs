//! Documents from the plan and the log, as Markdown for files: the release plan, the deployment
//! checklist, the rollback plan, both release notes and the post-deployment report.
//!
//! **Invariant:** what people wrote reaches a page only through `text` or `code`.

mod describe;
mod page;
mod report;

use std::collections::BTreeMap;

use page::{Page, code, text};

pub use describe::describe;
pub use report::{ReportEntry, report};

use super::cards::level;
use crate::domain::checklist::{ItemState, tally};
use crate::domain::flag;
use crate::domain::ids::{ActionName, PersonId};
use crate::domain::metric::{Band, Limits, number, titled};
use crate::domain::plan::{
    Against, Kind, MetricGate, Plan, PlannedQuery, RollbackStep, Stage, Strategy,
};
use crate::domain::policy::Policy;
use crate::domain::rollback::contacts;
use crate::domain::rollout::{arguments, hours};
use crate::domain::state::{Release, Step};
use crate::domain::time::{self, Span, Time};

/// The exact command of an action, with its placeholders filled in as they would be now. A name
/// without a value stays as it is, so that nobody runs half a command.
pub fn command_line(
    release: &Release,
    step: &Step,
    action: &ActionName,
    with: &BTreeMap<String, String>,
    policy: &Policy,
) -> String {
    let Some(known) = policy.actions.get(action) else {
        return format!("{action} (not declared by the operator)");
    };
    let values = arguments(release, step, action, with, policy);
    let mut line = String::new();
    let mut rest = known.shows.as_str();
    // One pass: a value that looks like a placeholder stays a value.
    while let Some((before, after)) = rest.split_once('{') {
        line.push_str(before);
        match after.split_once('}').and_then(|(name, left)| Some((values.get(name)?, left))) {
            Some((value, left)) => {
                line.push_str(value);
                rest = left;
            }
            None => {
                line.push('{');
                rest = after;
            }
        }
    }
    line + rest
}

/// A command for the eye: programs and files by their names, and where they are only in the plan's
/// document and the log.
pub fn in_brief(line: &str) -> String {
    let brief = |(at, word): (usize, &str)| match word.rsplit_once('/') {
        Some((before, name)) if word.starts_with('/') && !before.is_empty() && !name.is_empty() => {
            if at == 0 {
                name.to_owned()
            } else {
                format!("…/{name}")
            }
        }
        Some(_) | None => word.to_owned(),
    };
    line.split(' ').enumerate().map(brief).collect::<Vec<_>>().join(" ")
}

pub(super) fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Direct => "direct",
        Strategy::Recreate => "recreate",
        Strategy::Rolling => "rolling",
        Strategy::BlueGreen => "blue-green",
        Strategy::Canary => "canary",
        Strategy::FeatureFlag => "feature flag",
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Major => "major",
        Kind::Minor => "minor",
        Kind::Patch => "patch",
        Kind::Hotfix => "hotfix",
    }
}

/// With its year, since files outlive it.
fn when(at: Time, release: &Release) -> String {
    time::show(at, release.start.zone, i32::MIN)
}

fn length(span: Option<Span>) -> Option<String> {
    span.map(|span| time::span(span.duration()))
}

fn named(person: Option<&PersonId>, policy: &Policy) -> Option<String> {
    person.map(|person| policy.name_of(person).to_owned())
}

fn or_dash(value: Option<String>) -> String {
    value.map_or_else(|| "—".to_owned(), |value| text(&value))
}

// ---------------------------------------------------------------------------------------------
// The release plan

/// What is released, how, by whom, and what happens if it goes wrong.
pub fn release_plan(release: &Release, policy: &Policy) -> String {
    let plan = &release.plan;
    let mut page = Page::new(&format!("Release plan: {}", plan.title()));
    page.sentence(&plan.release.title);
    overview(&mut page, release, policy);
    scope(&mut page, plan);
    page.heading("Rollout");
    page.maybe(plan.release.rationale.as_deref());
    steps(&mut page, release, policy);
    traffic(&mut page, release);
    database(&mut page, plan);
    page.heading("Rollback");
    going_back(&mut page, release, policy);
    flags(&mut page, plan, policy);
    watching(&mut page, plan, policy);
    risks(&mut page, plan, policy);
    people(&mut page, release, policy);
    page.done()
}

fn overview(page: &mut Page, release: &Release, policy: &Policy) {
    let head = &release.plan.release;
    let name = |person| named(person, policy);
    page.facts(&[
        ("Service", Some(head.service.clone())),
        ("Environment", Some(head.environment.clone())),
        ("Version", Some(head.version.clone())),
        ("Artifact", head.artifact.clone()),
        ("Commit", head.commit.clone()),
        ("Tag", head.tag.clone()),
        ("Kind", Some(kind(head.kind).to_owned())),
        ("Start", Some(when(release.start.at, release))),
        ("Strategy", Some(strategy(head.strategy).to_owned())),
        ("Duration", length(head.duration)),
        ("Downtime", length(head.downtime).or_else(|| Some("none".to_owned()))),
        ("Impact", head.impact.clone()),
        ("Captain", name(Some(&release.captain))),
        ("Deploying engineer", name(head.deployer.as_ref())),
        ("Backup", name(head.backup.as_ref())),
    ]);
}

fn scope(page: &mut Page, plan: &Plan) {
    let scope = &plan.scope;
    let about = |name: &str, about: &str| match about {
        "" => format!("**{}**", text(name)),
        about => format!("**{}**: {}", text(name), text(about)),
    };
    page.heading("Scope");
    page.list("New", scope.features.iter().map(|feature| about(&feature.name, &feature.about)));
    page.list("Better", scope.enhancements.iter().map(|one| text(one)));
    page.list("Fixed", scope.fixes.iter().map(|fix| about(&fix.id, &fix.title)));
    page.list("Under the hood", scope.technical.iter().map(|one| text(one)));
    breaking(page, plan);
    page.list("New dependencies", scope.dependencies.iter().map(|one| text(one)));
    page.list("Configuration", scope.configuration.iter().map(|one| text(one)));
    page.list("Resources", scope.resources.iter().map(|one| text(one)));
    let faster = scope.performance.iter();
    page.list(
        "Performance",
        faster.map(|one| {
            format!("{}: {} → {}", text(&one.metric), text(&one.before), text(&one.after))
        }),
    );
    let secure = scope.security.iter();
    page.list(
        "Security",
        secure.map(|one| {
            format!("**{}** ({}): {}", text(&one.id), text(&one.severity), text(&one.title))
        }),
    );
}

fn breaking(page: &mut Page, plan: &Plan) {
    let breaking = plan.scope.breaking.iter();
    page.list(
        "Breaking changes",
        breaking.map(|one| format!("**{}** — {}", text(&one.what), text(&one.migration_guide))),
    );
    let old = plan.scope.deprecations.iter();
    page.list(
        "Deprecated",
        old.map(|one| {
            let (what, gone) = (text(&one.what), text(&one.removed_in));
            format!("{what}: removed in {gone}; use {} instead", text(&one.alternative))
        }),
    );
}

/// Every step with the command that will run.
fn steps(page: &mut Page, release: &Release, policy: &Policy) {
    for (number, stage) in release.plan.stages.iter().enumerate() {
        let at = stage.at.map(|at| format!(" ({at})")).unwrap_or_default();
        page.step(&format!("{}. **{}**{at}", number + 1, text(&stage.name)));
        let own = Step::Stage(number);
        page.code(&command_line(release, &own, &stage.action, &stage.with, policy));
        let mut notes = Vec::new();
        notes.extend(stage.expect.as_ref().map(|expect| format!("Expect: {}", text(expect))));
        notes.extend(stage.soak.map(|soak| format!("Soak: {}", time::span(soak.duration()))));
        notes.extend(stage.checks.iter().map(|check| {
            format!(
                "Then check: {}",
                code(&command_line(release, &own, check, &stage.with, policy))
            )
        }));
        notes.extend(stage.metrics.iter().map(|gate| judged_by(gate, release, policy)));
        notes.extend(gate(stage, policy));
        notes.extend(hours(release, number).map(|hours| {
            format!("Goes on by itself {} only ({})", text(&hours.to_string()), release.start.zone)
        }));
        notes.extend(stage.decide_by.map(|by| {
            format!("Decided by {} after it is out at the latest", time::span(by.duration()))
        }));
        notes.extend(stage.notice.as_ref().map(|audience| told(audience, stage)));
        page.items(notes);
    }
}

fn gate(stage: &Stage, policy: &Policy) -> Option<String> {
    use crate::domain::plan::Advance;
    let roles: Vec<_> =
        stage.approvers.iter().map(|role| policy.title_of(role).to_owned()).collect();
    match (roles.is_empty(), stage.advance) {
        (false, _) => Some(format!("Goes on with the approval of {}", text(&roles.join(", ")))),
        (true, Advance::Manual) => Some("Goes on when a person says so".to_owned()),
        (true, Advance::Auto) => None,
    }
}

/// `Judged by p75: held when more than 10 % above the stable group, goes back above 50 %`.
fn judged_by(gate: &MetricGate, release: &Release, policy: &Policy) -> String {
    let queries = release.queries(policy);
    let query = queries.get(&gate.name);
    let title = query.as_ref().map_or(gate.name.as_str(), |query| query.title.as_str());
    let unit = query.as_ref().map_or("", |query| query.unit.as_str());
    let limits = Limits::of(gate, query.as_ref().map(|query| query.kind).unwrap_or_default());
    let base = match &gate.against {
        Against::Stable => "the stable group".to_owned(),
        Against::Before => "the 15 minutes before the deploy".to_owned(),
        Against::Metric(other) => {
            queries.get(other).map_or_else(|| other.clone(), |other| other.title.clone())
        }
    };
    let said = |of: fn(Band) -> Option<f64>| {
        let own = |way: &str, limit: f64| format!("{way} {} {unit}", number(limit)).trim().into();
        let share = |way: &str, limit: f64| format!("{} % {way} {base}", number(limit));
        let all: [Option<String>; 4] = [
            of(limits.above).map(|limit| own("above", limit)),
            of(limits.below).map(|limit| own("below", limit)),
            of(limits.rise).map(|limit| share("above", limit)),
            of(limits.fall).map(|limit| share("below", limit)),
        ];
        let all: Vec<_> = all.into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join(" or "))
    };
    let hold = said(|band| band.hold).map(|limits| format!("held {limits}"));
    let lasting = gate.lasting.unwrap_or(policy.timing.red_for).duration();
    let red = said(|band| band.roll_back)
        .map(|limits| format!("red {limits} for {}", time::span(lasting)));
    let both: Vec<_> = hold.into_iter().chain(red).collect();
    text(&format!("Judged by {title}: {}", both.join(", ")))
}

/// As it is asked, so that a reviewer sees it.
fn own_query((name, own): (&String, &PlannedQuery)) -> Option<String> {
    let title = own.title.clone().unwrap_or_else(|| titled(name));
    let base = own.baseline.as_ref().map(|base| format!(", against {}", code(base)));
    let asked = own.query.as_ref().map(|asked| code(asked))?;
    Some(format!("{}: {asked}{}", text(&title), base.unwrap_or_default()))
}

fn told(audience: &str, stage: &Stage) -> String {
    let asked = stage.feedback.as_ref().map(|asked| format!(" and asked: {asked}"));
    text(&format!("Then {audience} is told{}", asked.unwrap_or_default()))
}

fn traffic(page: &mut Page, release: &Release) {
    let back = release.plan.rollback.as_ref().map_or("the old version", |plan| plan.to.as_str());
    let mut share = 0.0;
    let row = |stage: &Stage| {
        share = stage.traffic.unwrap_or(share);
        vec![
            or_dash(stage.at.map(|at| at.to_string())),
            text(&stage.name),
            format!("{share} %"),
            format!("{} %", 100.0 - share),
        ]
    };
    let rows: Vec<_> = release.plan.stages.iter().map(row).collect();
    page.subheading("Traffic");
    let version = release.plan.release.version.as_str();
    page.table(&["Offset", "Once this is done", version, back], rows);
}

fn database(page: &mut Page, plan: &Plan) {
    let Some(database) = &plan.database else { return };
    page.heading("Database");
    let word = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let rows = database.migrations.iter().map(|one| {
        vec![
            text(&one.name),
            word(one.backward_compatible),
            word(one.destructive),
            word(one.blocking),
            word(one.tested_in_staging),
            or_dash(one.impact.clone()),
        ]
    });
    let head = ["Migration", "Backward compatible", "Destructive", "Blocking", "Tested", "Impact"];
    page.table(&head, rows.collect());
    page.facts(&[
        ("Backup", database.backup.clone()),
        ("Maintenance window", database.maintenance_window.clone()),
        ("Stop writes", database.stop_writes.clone()),
        ("Resume writes", database.resume_writes.clone()),
        ("Duration", length(database.duration)),
    ]);
    page.list("Verification", database.verification.iter().map(|one| text(one)));
    page.list("Undoing it, in this order", database.rollback.iter().map(|one| text(one)));
}

fn flags(page: &mut Page, plan: &Plan, policy: &Policy) {
    if plan.flags.is_empty() {
        return;
    }
    page.heading("Feature flags");
    let rows = plan.flags.iter().map(|flag| {
        let steps: Vec<_> = flag.steps.iter().map(|step| format!("{step} %")).collect();
        vec![
            text(&flag.name),
            or_dash(named(flag.owner.as_ref(), policy)),
            text(&flag.purpose),
            or_dash(flag.expires.map(|day| day.to_string())),
            steps.join(" → "),
        ]
    });
    page.table(&["Flag", "Owner", "For", "Expires", "Steps"], rows.collect());
}

fn watching(page: &mut Page, plan: &Plan, policy: &Policy) {
    page.heading("Watching");
    let smoke = plan.smoke.iter().map(|check| {
        let how = match (&check.action, &check.owner) {
            (Some(action), _) => format!(" ({})", code(action.as_str())),
            (None, Some(owner)) => format!(" ({}, by hand)", text(policy.name_of(owner))),
            (None, None) => " (by hand)".to_owned(),
        };
        let expect = check.expect.as_ref().map(|expect| format!(": {}", text(expect)));
        format!("{}{how}{}", text(&check.name), expect.unwrap_or_default())
    });
    page.list("Smoke tests", smoke);
    let later = plan.checks.iter().map(|check| {
        let expect = check.expect.as_ref().map(|expect| format!(": {}", text(expect)));
        let after = time::span(check.after.duration());
        format!("after {after}: {}{}", text(&check.name), expect.unwrap_or_default())
    });
    page.list("Checks", later);
    let limit = |value: Option<f64>, unit: &str| {
        or_dash(value.map(|value| format!("{value} {unit}").trim_end().to_owned()))
    };
    let rows = plan.monitoring.metrics.iter().map(|metric| {
        let (warning, critical) = (metric.warning, metric.critical);
        vec![text(&metric.name), limit(warning, &metric.unit), limit(critical, &metric.unit)]
    });
    page.table(&["Metric", "Warning above", "Critical above"], rows.collect());
    page.list("Asked for this release only", plan.queries.iter().filter_map(own_query));
    let boards = plan.monitoring.dashboards.iter();
    page.list(
        "Dashboards",
        boards.map(|board| format!("{}: {}", text(&board.name), text(&board.url))),
    );
}

fn risks(page: &mut Page, plan: &Plan, policy: &Policy) {
    if plan.risks.is_empty() && plan.known_issues.is_empty() {
        return;
    }
    page.heading("Risks");
    let mut risks: Vec<_> = plan.risks.iter().collect();
    risks.sort_by_key(|risk| std::cmp::Reverse(risk.level));
    let rows = risks.into_iter().map(|risk| {
        let (impact, mitigation) = (text(&risk.impact), text(&risk.mitigation));
        let level = level(risk.level).to_owned();
        vec![level, text(&risk.what), impact, mitigation, text(&risk.contingency)]
    });
    page.table(&["Level", "Risk", "Impact", "Mitigation", "If it happens"], rows.collect());
    let known = plan.known_issues.iter().map(|issue| {
        format!("{} (accepted by {})", text(&issue.what), text(policy.name_of(&issue.accepted_by)))
    });
    page.list("Known issues", known);
}

fn people(page: &mut Page, release: &Release, policy: &Policy) {
    page.heading("People");
    let seats = release.seats.iter().map(|seat| {
        let members = crate::domain::poll::members(&seat.role, policy);
        format!("**{}**: {}", text(policy.title_of(&seat.role)), text(&members))
    });
    page.list("Asked for go or no-go", seats);
    let oncall = &release.plan.monitoring.oncall;
    page.facts(&[
        ("On call", named(oncall.primary.as_ref(), policy)),
        ("Then", named(oncall.secondary.as_ref(), policy)),
        ("Escalation", named(oncall.escalation.as_ref(), policy)),
    ]);
    let order = contacts(release);
    let calls = order.iter().enumerate();
    let calls = calls.map(|(at, who)| format!("{}: {}", at + 1, text(policy.name_of(who))));
    page.list("If a rollback fails, called in this order", calls);
}

// ---------------------------------------------------------------------------------------------
// The deployment checklist

/// What to do, in order, with boxes to tick: for the wall, and for the day without us.
pub fn deployment_checklist(release: &Release, policy: &Policy) -> String {
    let plan = &release.plan;
    let mut page = Page::new(&format!("Deployment checklist: {}", plan.title()));
    let counted = tally(&release.items);
    page.para(&format!(
        "Pre-launch checklist: {}/{} sections passed. Start: {}.",
        counted.passed,
        counted.sections,
        text(&when(release.start.at, release)),
    ));
    page.heading("Before");
    items(&mut page, release, policy);
    page.heading("Deploying");
    steps(&mut page, release, policy);
    traffic(&mut page, release);
    page.heading("After");
    let smoke = plan.smoke.iter().map(|check| format!("[ ] {}", text(&check.name)));
    let later = plan.checks.iter().map(|check| {
        format!("[ ] {} (after {})", text(&check.name), time::span(check.after.duration()))
    });
    page.items(smoke.chain(later));
    page.done()
}

fn items(page: &mut Page, release: &Release, policy: &Policy) {
    let mut section = "";
    for item in &release.items {
        if item.section_title != section {
            section = &item.section_title;
            page.subheading(section);
        }
        let owner = named(item.owner.as_ref(), policy);
        let owner = owner.map(|owner| format!(" — {}", text(&owner))).unwrap_or_default();
        let name = |by: &str| text(policy.name_of(&PersonId::from(by)));
        let line = match &item.state {
            ItemState::Open => format!("[ ] {}{owner}", text(&item.name)),
            ItemState::Passed { by, at, .. } => {
                let at = text(&when(*at, release));
                format!("[x] {} — {}, {at}", text(&item.name), name(by))
            }
            ItemState::Failed { by, note, .. } => {
                let note = note.as_deref().unwrap_or("no reason given");
                format!("[ ] {} — **failed** ({}): {}", text(&item.name), name(by), text(note))
            }
            ItemState::Waived { by, why, .. } => {
                format!("[x] {} — waived by {}: {}", text(&item.name), name(by), text(why))
            }
        };
        page.items([line]);
    }
}

// ---------------------------------------------------------------------------------------------
// The rollback plan

/// How to go back, also by hand.
pub fn rollback_plan(release: &Release, policy: &Policy) -> String {
    let mut page = Page::new(&format!("Rollback plan: {}", release.title()));
    going_back(&mut page, release, policy);
    let order = contacts(release);
    let calls = order.iter().enumerate();
    let calls = calls.map(|(at, who)| format!("{}: {}", at + 1, text(policy.name_of(who))));
    page.list("If it sticks, call in this order", calls);
    page.done()
}

fn going_back(page: &mut Page, release: &Release, policy: &Policy) {
    let Some(plan) = &release.plan.rollback else {
        return page.para("**This plan has no rollback.** It cannot be scheduled like this.");
    };
    page.para(&format!("Rollback available to version {}.", text(&plan.to)));
    page.list("Go back when", plan.triggers.iter().map(|trigger| text(trigger)));
    let killed = flag::to_kill(&release.plan, policy);
    let killed = killed.map(|(_, flag, at)| format!("{} at {}", code(&flag.name), text(at)));
    let first = match plan.flags_suffice {
        true => "Switched off by their kill switches, and nothing else is needed",
        false => "Switched off first, by their kill switches",
    };
    page.list(first, killed);
    for (at, step) in flag::steps_back(plan).iter().enumerate() {
        rollback_step(page, release, &format!("{}. ", at + 1), step, policy);
    }
    if !plan.verify.is_empty() {
        page.para(&format!("Then prove that {} answers:", text(&plan.to)));
    }
    for step in &plan.verify {
        rollback_step(page, release, "", step, policy);
    }
    page.facts(&[
        ("Turning traffic back", length(plan.traffic_back)),
        ("Full rollback", length(plan.full)),
        ("Time to recover (RTO)", length(Some(plan.rto))),
        ("Data loss at most (RPO)", length(plan.rpo)),
        ("Database", plan.database.clone()),
        ("Data of the new version", plan.data.clone()),
        ("Escalation", named(plan.escalation.as_ref(), policy)),
    ]);
    page.list("What cannot be taken back", plan.constraints.iter().map(|one| text(one)));
}

fn rollback_step(
    page: &mut Page,
    release: &Release,
    number: &str,
    step: &RollbackStep,
    policy: &Policy,
) {
    let limit = length(step.limit).map(|limit| format!(", within {limit}")).unwrap_or_default();
    page.step(&format!("{number}**{}**{limit}", text(&step.name)));
    page.code(&command_line(release, &Step::Rollback(0), &step.action, &step.with, policy));
    page.items(step.expect.as_ref().map(|expect| format!("Expect: {}", text(expect))));
}

// ---------------------------------------------------------------------------------------------
// Release notes

/// For the people who use it: what is new, nothing of how.
pub fn release_notes(plan: &Plan) -> String {
    let mut page = Page::new(&plan.title());
    page.sentence(&plan.release.title);
    for feature in &plan.scope.features {
        page.heading(&capital(&feature.name));
        page.sentence(&feature.about);
    }
    let upper = |line: &String| text(&capital(line));
    page.list("Also better", plan.scope.enhancements.iter().map(upper));
    page.list("Fixed", plan.scope.fixes.iter().map(|fix| text(&fix.title)));
    breaking(&mut page, plan);
    page.list("Known issues", plan.known_issues.iter().map(|issue| text(&issue.what)));
    page.maybe(plan.release.support.as_ref().map(|at| format!("Questions? {at}")).as_deref());
    page.done()
}

fn capital(line: &str) -> String {
    let mut rest = line.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// For those who run it: everything that changed.
pub fn technical_notes(plan: &Plan) -> String {
    let head = &plan.release;
    let mut page = Page::new(&format!("{}: technical notes", plan.title()));
    page.facts(&[
        ("Artifact", head.artifact.clone()),
        ("Commit", head.commit.clone()),
        ("Tag", head.tag.clone()),
        ("Strategy", Some(strategy(head.strategy).to_owned())),
        ("Rollback to", plan.rollback.as_ref().map(|back| back.to.clone())),
    ]);
    scope(&mut page, plan);
    database(&mut page, plan);
    let flags = plan.flags.iter();
    page.list("Flags", flags.map(|flag| format!("{}: {}", code(&flag.name), text(&flag.purpose))));
    page.list("Known issues", plan.known_issues.iter().map(|issue| text(&issue.what)));
    page.done()
}

#[cfg(test)]
mod tests;
