//! What `check` says of a plan: what would make a release fail before anybody starts it.
//!
//! Judged from the plan, the policy and the little that neither can know. Evidence and findings are
//! judged at the start, not here: while a plan is written, they are not in yet.

mod flags;
mod metrics;
mod names;
mod risk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, Timelike, Weekday};
use serde::{Deserialize, Serialize};

use super::command::FreezeWish;
use super::ids::{is_slug, is_version};
use super::plan::{
    Advance, EvidenceKind, Flag, Kind, Level, Migration, Plan, RollbackPlan, Stage, Strategy,
};
use super::policy::Policy;
use super::state::Start;
use super::time::{Span, show};
use super::words::strangers;

pub use names::given;
pub use risk::{Suggestion, risk, suggest};

/// One thing that the lint has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Kebab-case, stable: what documentation and overrides call it.
    pub rule: String,
    pub severity: Severity,
    pub what: String,
    /// What to do about it.
    pub mend: String,
    /// The key that it is about, as a path: `stage[1].soak`.
    pub at: Option<String>,
    /// Whether a person with the right may go on in spite of it, giving a reason.
    pub overridable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It cannot be scheduled.
    Refuse,
    Warn,
    Hint,
}

/// What plan and policy cannot know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Other open releases of this service, or in this environment, that it would meet.
    pub overlapping: Vec<String>,
    /// Freezes that people added; those of the configuration are in the policy.
    pub freezes: Vec<FreezeWish>,
    /// What somebody accepted by name: a destructive migration.
    pub accepted: BTreeSet<String>,
}

impl Finding {
    fn new(rule: &str, severity: Severity, what: impl Into<String>) -> Self {
        let (what, mend) = (what.into(), String::new());
        Self { rule: rule.into(), severity, what, mend, at: None, overridable: false }
    }

    fn refuse(rule: &str, what: impl Into<String>) -> Self {
        Self::new(rule, Severity::Refuse, what)
    }

    fn warn(rule: &str, what: impl Into<String>) -> Self {
        Self::new(rule, Severity::Warn, what)
    }

    fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: mend.into(), ..self }
    }

    fn at(self, path: impl Into<String>) -> Self {
        Self { at: Some(path.into()), ..self }
    }

    fn overridable(self) -> Self {
        Self { overridable: true, ..self }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.what, self.mend)
    }
}

/// Everything there is to say, what refuses first. Without a start, what depends on it is left out.
pub fn lint(plan: &Plan, policy: &Policy, start: Option<&Start>, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(names::unknown(plan, policy));
    found.extend(head(plan, policy));
    found.extend(stages(plan));
    found.extend(metrics::metrics(plan, policy));
    found.extend(rollback(plan));
    found.extend(database(plan, facts));
    found.extend(flags(plan, start));
    found.extend(flags::flags(plan, policy));
    found.extend(irreversible(plan));
    found.extend(staging(plan, policy));
    found.extend(watching(plan));
    found.extend(strategy(plan));
    found.extend(announcements(plan, policy));
    found.extend(overlap(plan, facts));
    if let Some(start) = start {
        found.extend(freezes(plan, policy, start, facts));
        found.extend(bad_hour(start, policy));
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

/// What keeps it from being scheduled, as sentences.
pub fn refusals(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Refuse)
}

pub fn warnings(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Warn)
}

// ---------------------------------------------------------------------------------------------
// What is released

fn head(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let head = &plan.release;
    let mut found = Vec::new();
    for (key, text) in [("service", &head.service), ("environment", &head.environment)] {
        if !is_slug(text) {
            let what = format!("`{text}` cannot be the name of a {key}.");
            let mend = "Use at most 60 lower-case letters, digits and dashes: `web-shop`.";
            found.push(Finding::refuse("bad-name", what).mend(mend).at(format!("release.{key}")));
        }
    }
    found.extend(bad_version(&head.version, "release.version"));
    if head.artifact.is_none() && head.commit.is_none() {
        let what = "The plan names neither an artifact nor a commit, so votes are bound to a name \
                    that somebody could move.";
        let mend = "Add `artifact = \"sha256:…\"` or `commit = \"…\"`.";
        found.push(Finding::warn("no-artifact", what).mend(mend).at("release.version"));
    }
    found.extend(direct(plan, policy));
    found
}

fn bad_version(text: &str, at: &str) -> Option<Finding> {
    let what = format!("`{text}` cannot be a version.");
    let mend = "Use letters, digits and `. _ + -`, beginning with a letter or a digit: `v1.2.0`.";
    (!is_version(text)).then(|| Finding::refuse("bad-version", what).mend(mend).at(at))
}

fn direct(plan: &Plan, policy: &Policy) -> Option<Finding> {
    if plan.release.strategy != Strategy::Direct {
        return None;
    }
    if plan.release.kind != Kind::Hotfix {
        let what = "A direct deploy reaches everybody at once, and this is not a hotfix.";
        let mend = "Choose `rolling` or `canary`, or say `kind = \"hotfix\"` if it is one.";
        let found = Finding::refuse("direct-without-hotfix", what).mend(mend);
        return Some(found.at("release.strategy").overridable());
    }
    let role = policy.rules.hotfix_approver.as_ref()?;
    let required = policy.roles.get(role).is_some_and(|rules| rules.required);
    if required || plan.signoff.roles.contains(role) {
        return None;
    }
    let what = format!("A direct hotfix needs the sign-off of {}.", policy.title_of(role));
    let mend = format!("Add \"{role}\" to `roles` in [signoff].");
    Some(Finding::refuse("hotfix-approver", what).mend(mend).at("signoff.roles"))
}

// ---------------------------------------------------------------------------------------------
// The rollout

fn stages(plan: &Plan) -> Vec<Finding> {
    if plan.stages.is_empty() {
        let mend = "Add a [[stage]] with a `name` and the `action` that deploys.";
        let what = "The plan deploys nothing: it has no stage.";
        return vec![Finding::refuse("no-stages", what).mend(mend)];
    }
    let numbered = plan.stages.iter().enumerate();
    let mut found: Vec<Finding> = numbered.flat_map(|(index, each)| stage(index, each)).collect();
    found.extend(falling(plan));
    found.extend(hours_of_nothing(plan));
    found.extend(unfinished(plan));
    found.extend(no_smoke(plan));
    found
}

fn stage(index: usize, stage: &Stage) -> Vec<Finding> {
    let at = |key: &str| format!("stage[{index}].{key}");
    let name = &stage.name;
    let mut found = Vec::new();
    found.extend(too_early(stage).map(|found| found.at(at("decide_by"))));
    if stage.feedback.is_some() && stage.notice.is_none() {
        let what = format!("Nobody is asked what {name} wants to know: it tells no audience.");
        let mend = "Add `notice`: the audience that is told and asked.";
        found.push(Finding::warn("feedback-unasked", what).mend(mend).at(at("feedback")));
    }
    // A stage without traffic, a migration for example, is judged by its own outcome.
    if let Some(traffic) = stage.traffic {
        if !(0.0..=100.0).contains(&traffic) {
            let what = format!("{name} sends {traffic} % of the traffic to the new version.");
            let mend = "Give a share between 0 and 100.";
            found.push(Finding::refuse("bad-traffic", what).mend(mend).at(at("traffic")));
        }
        if stage.advance == Advance::Auto && stage.checks.is_empty() && stage.metrics.is_empty() {
            let what = format!("{name} advances by itself with nothing to judge by.");
            let mend = "Give it a [[stage.metric]], name actions in `checks`, or say `advance = \"manual\"`.";
            found.push(Finding::refuse("blind-advance", what).mend(mend).at(at("advance")));
        }
        if stage.soak.is_none_or(|soak| soak == Span::default()) {
            let what = format!("{name} has no soak time, so slow trouble shows only at the next.");
            let mend = "Add `soak = \"15m\"`, or longer.";
            found.push(Finding::warn("no-soak", what).mend(mend).at(at("name")));
        }
    }
    found
}

/// Time to decide in begins when the soak is over.
fn too_early(stage: &Stage) -> Option<Finding> {
    let soak = stage.soak.unwrap_or_default();
    let by = stage.decide_by.filter(|by| *by <= soak)?;
    let what = format!(
        "{} has to be decided on after {} and soaks for {}: there is no time to decide in.",
        stage.name,
        super::time::span(by.duration()),
        super::time::span(soak.duration()),
    );
    let mend =
        "`decide_by` counts like `soak`, from when the stage is out: give it more than that.";
    Some(Finding::refuse("decide-by-too-early", what).mend(mend))
}

/// Hours bound what goes on by itself, and nothing else.
fn hours_of_nothing(plan: &Plan) -> Option<Finding> {
    plan.release.advance_within.as_ref()?;
    let (_, before_the_last) = plan.stages.split_last()?;
    if before_the_last.iter().any(Stage::goes_on_by_itself) {
        return None;
    }
    let what = "No stage goes on by itself, so that `advance_within` bounds nothing.";
    let mend = "Leave it out, or say `advance = \"auto\"` at the stages that may.";
    Some(Finding::warn("hours-of-nothing", what).mend(mend).at("release.advance_within"))
}

/// A rollout widens; who takes traffic away again rolls back, and that has a plan of its own.
fn falling(plan: &Plan) -> Vec<Finding> {
    let shares = plan.stages.iter().enumerate();
    let shares = shares.filter_map(|(at, stage)| Some((at, stage, stage.traffic?)));
    // One that cannot be is refused by itself.
    let shares: Vec<_> = shares.filter(|(.., share)| (0.0..=100.0).contains(share)).collect();
    let falls = shares.windows(2).filter(|pair| pair[1].2 < pair[0].2);
    falls
        .map(|pair| {
            let [(_, before, had), (at, stage, has)] = pair else { unreachable!("windows of two") };
            let what = format!(
                "The traffic falls from {had} % at {} to {has} % at {}.",
                before.name, stage.name
            );
            let mend = "Put the stages in the order in which the share grows.";
            let at = format!("stage[{at}].traffic");
            Finding::warn("traffic-falls", what).mend(mend).at(at)
        })
        .collect()
}

fn unfinished(plan: &Plan) -> Option<Finding> {
    let index = plan.stages.iter().rposition(|stage| stage.traffic.is_some())?;
    let share = plan.stages[index].traffic?;
    let what = format!("The last stage leaves the new version at {share} % of the traffic.");
    let mend = "Add a stage with `traffic = 100`, unless this is as far as it shall go.";
    let found = Finding::warn("never-everybody", what).mend(mend);
    (share < 100.0).then(|| found.at(format!("stage[{index}].traffic")))
}

fn no_smoke(plan: &Plan) -> Option<Finding> {
    let what = "There are no smoke tests, so nobody tries the new version at the end.";
    let mend = "Add a [[smoke]] with an `action`, or with an `owner` who tries it by hand.";
    plan.smoke.is_empty().then(|| Finding::warn("no-smoke-tests", what).mend(mend))
}

// ---------------------------------------------------------------------------------------------
// The way back

fn rollback(plan: &Plan) -> Vec<Finding> {
    let Some(back) = &plan.rollback else {
        let what = "There is no rollback plan.";
        let mend = "Add [rollback] with `to`, `rto` and at least one [[rollback.step]].";
        return vec![Finding::refuse("no-rollback-plan", what).mend(mend)];
    };
    let mut found: Vec<Finding> = bad_version(&back.to, "rollback.to").into_iter().collect();
    if back.to == plan.release.version {
        let what = format!("The rollback goes to {}, the very version that is released.", back.to);
        let mend = "Name the version that is good now.";
        found.push(Finding::refuse("rollback-to-itself", what).mend(mend).at("rollback.to"));
    }
    if back.steps.is_empty() && !back.flags_suffice {
        let what = "The rollback plan has no steps, so nothing could be run.";
        let mend = "Add a [[rollback.step]] with a `name` and an `action`.";
        found.push(Finding::refuse("no-rollback-steps", what).mend(mend).at("rollback"));
    }
    found.extend(unproven(back));
    found
}

fn unproven(back: &RollbackPlan) -> Option<Finding> {
    let what = "Nothing proves that the old version answers after a rollback.";
    let mend = "Add a [[rollback.verify]] with an action that asks it.";
    (back.verify.is_empty() && !back.steps.is_empty())
        .then(|| Finding::warn("rollback-unverified", what).mend(mend).at("rollback"))
}

// ---------------------------------------------------------------------------------------------
// The database

fn migrations(plan: &Plan) -> &[Migration] {
    plan.database.as_ref().map_or(&[], |database| &database.migrations)
}

fn database(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = migrations(plan)
        .iter()
        .enumerate()
        .filter(|(_, migration)| migration.destructive && !is_accepted(plan, facts, migration))
        .map(|(index, migration)| destructive(index, migration))
        .collect();
    if migrations(plan).is_empty() {
        return found;
    }
    let at = "release.strategy";
    match plan.release.strategy {
        Strategy::Direct | Strategy::Recreate => {
            let what = "A database migration goes with a deploy that leaves no old version to \
                        compare with or to go back to.";
            let mend = "Choose `rolling`, `blue-green` or `canary`.";
            found.push(Finding::refuse("migration-all-at-once", what).mend(mend).at(at));
        }
        Strategy::Rolling => {
            let what = "While it rolls, old and new code share the migrated database.";
            let mend = "Make sure that the old version runs on the new schema.";
            found.push(Finding::warn("rolling-with-migration", what).mend(mend).at(at));
        }
        Strategy::BlueGreen | Strategy::Canary | Strategy::FeatureFlag => {}
    }
    found
}

fn destructive(index: usize, migration: &Migration) -> Finding {
    let name = &migration.name;
    let what = format!("The migration {name} destroys data, and nobody has accepted that by name.");
    let mend = format!(
        "Add a [[known_issue]] whose `what` names `{name}`, with `accepted_by`, or make it \
         additive."
    );
    let at = format!("database.migration[{index}].destructive");
    Finding::refuse("destructive-migration", what).mend(mend).at(at).overridable()
}

fn is_accepted(plan: &Plan, facts: &Facts, migration: &Migration) -> bool {
    facts.accepted.contains(&migration.name)
        || plan.known_issues.iter().any(|issue| issue.what.contains(&migration.name))
}

// ---------------------------------------------------------------------------------------------
// Flags

/// Longer than this after the rollout, a flag is a second version of the code that nobody runs.
const FLAG_OUTLIVES: chrono::Days = chrono::Days::new(14);

fn flags(plan: &Plan, start: Option<&Start>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, flag) in plan.flags.iter().enumerate() {
        let at = |key: &str| format!("flag[{index}].{key}");
        let name = &flag.name;
        if flag.owner.is_none() {
            let what = format!("The flag {name} has no owner.");
            let mend = "Add `owner`: the person who will remove it.";
            found.push(Finding::refuse("flag-without-owner", what).mend(mend).at(at("name")));
        }
        match flag.expires {
            None => {
                let what = format!("The flag {name} never expires.");
                let mend = "Add `expires`: the day by which it is gone from the code, or `T+14d`.";
                found.push(Finding::refuse("flag-without-expiry", what).mend(mend).at(at("name")));
            }
            Some(expires) => found.extend(start.and_then(|start| {
                let what = format!("The flag {name} outlives the rollout by more than 14 days.");
                let mend = "Plan its removal earlier.";
                (expires.day(start) > rolled_out(plan, start)? + FLAG_OUTLIVES)
                    .then(|| Finding::warn("flag-outlives", what).mend(mend).at(at("expires")))
            })),
        }
        if let Some(other) = &flag.depends_on {
            let what = format!("The flag {name} depends on {other}: one kill switch cannot do.");
            let mend = "Let each flag be turned off by itself.";
            found.push(Finding::refuse("flag-depends", what).mend(mend).at(at("depends_on")));
        }
    }
    found.extend(plan.flags.iter().enumerate().filter_map(|(index, flag)| half_tried(index, flag)));
    found.extend(unflagged(plan));
    found
}

/// Both ways through the code will be live, so both are tried.
fn half_tried(index: usize, flag: &Flag) -> Option<Finding> {
    let ways = [("ON", &flag.tested_on), ("OFF", &flag.tested_off)];
    let untried = ways.iter().filter(|(_, tried)| tried.is_none()).map(|(way, _)| *way);
    let untried: Vec<_> = untried.collect();
    let what = format!("Nothing shows that {} works {}.", flag.name, untried.join(" and "));
    let mend = "Say under `tested_on` and `tested_off` where it was seen.";
    let at = format!("flag[{index}].name");
    (!untried.is_empty()).then(|| Finding::warn("flag-half-tried", what).mend(mend).at(at))
}

/// What no rollback takes back goes out only in somebody's name.
fn irreversible(plan: &Plan) -> Vec<Finding> {
    let open = plan.irreversible.iter().enumerate().filter(|(_, it)| it.accepted_by.is_none());
    open.map(|(index, effect)| {
        let what = format!("It cannot be undone, and nobody has accepted it: {}.", effect.what);
        let mend = "Add `accepted_by`: who answers for it.";
        let at = format!("irreversible[{index}].what");
        Finding::refuse("irreversible", what).mend(mend).at(at).overridable()
    })
    .collect()
}

/// The day on which everybody has it, if all goes as planned.
fn rolled_out(plan: &Plan, start: &Start) -> Option<NaiveDate> {
    let soaks = plan.stages.iter().filter_map(|stage| stage.soak).map(Span::as_seconds).sum();
    let end = start.at.checked_add_signed(chrono::Duration::seconds(soaks))?;
    Some(end.with_timezone(&start.zone).date_naive())
}

fn unflagged(plan: &Plan) -> Vec<Finding> {
    match plan.release.strategy {
        Strategy::Canary | Strategy::FeatureFlag => {}
        Strategy::Direct | Strategy::Recreate | Strategy::Rolling | Strategy::BlueGreen => {
            return Vec::new();
        }
    }
    let features = plan.scope.features.iter().enumerate();
    let unflagged = features.filter(|(_, feature)| feature.flag.is_none());
    unflagged
        .map(|(index, feature)| {
            let what = format!("\"{}\" has no flag to turn it off by itself.", feature.name);
            let mend = "Add `flag` to it, and the [[flag]] that it names.";
            let at = format!("scope.feature[{index}].name");
            Finding::warn("feature-without-flag", what).mend(mend).at(at)
        })
        .collect()
}

// ---------------------------------------------------------------------------------------------
// Before and after

fn staging(plan: &Plan, policy: &Policy) -> Option<Finding> {
    let kind = EvidenceKind::Staging;
    let chosen = plan.checklist.sections.iter().filter_map(|name| policy.checklist.get(name));
    let mut items = chosen.flat_map(|section| &section.items).chain(&plan.checklist.items);
    let expected = policy.rules.required_evidence.contains(&kind)
        || plan.evidence.iter().any(|evidence| evidence.kind == kind)
        || items.any(|item| item.evidence == Some(kind));
    let what = "Nobody verifies this version in staging before it goes out.";
    let mend = "Add a [[checklist.item]] with `evidence = \"staging\"`.";
    (!expected).then(|| Finding::refuse("no-staging", what).mend(mend).at("checklist"))
}

fn watching(plan: &Plan) -> Vec<Finding> {
    let watch = &plan.monitoring;
    let has_check =
        watch.health.is_some() || plan.checks.iter().any(|check| check.action.is_some());
    let rules = [
        (
            watch.metrics.is_empty(),
            "no-metrics",
            "No metric says how the new version fares while it is watched.",
            "Add a [[monitoring.metric]] with its `warning` and `critical` limits.",
        ),
        (
            !has_check,
            "no-health-check",
            "No health check says whether the new version works while it is watched.",
            "Name an action in `health` under [monitoring].",
        ),
        (
            watch.oncall.primary.is_none(),
            "no-on-call",
            "Nobody is on call while the new version is watched.",
            "Add `primary` under [monitoring.oncall].",
        ),
        (
            watch.watchers.is_empty(),
            "nobody-watches",
            "Nobody watches the first hour.",
            "Name people in `watchers` under [monitoring].",
        ),
    ];
    let broken = rules.into_iter().filter(|(broken, ..)| *broken);
    broken
        .map(|(_, rule, what, mend)| Finding::refuse(rule, what).mend(mend).at("monitoring"))
        .collect()
}

fn strategy(plan: &Plan) -> Option<Finding> {
    let (level, reasons) = risk(plan);
    let fits = match plan.release.strategy {
        Strategy::BlueGreen | Strategy::Canary | Strategy::FeatureFlag => true,
        Strategy::Rolling | Strategy::Recreate => level < Level::High,
        // A hotfix has weighed speed against it already, and anything else is refused.
        Strategy::Direct => plan.release.kind == Kind::Hotfix,
    };
    let better = suggest(plan);
    let what = format!("The risk is {}: {}.", risk::word(level), reasons.join(", "));
    let mend = format!("`{}` would suit it better: {}.", better.name(), better.pros.join(", "));
    (!fits).then(|| Finding::warn("strategy-and-risk", what).mend(mend).at("release.strategy"))
}

fn announcements(plan: &Plan, policy: &Policy) -> Option<Finding> {
    let mut planned = policy.announcements.iter().chain(&plan.announcements);
    let reaches = |audience: &str| policy.audiences.get(audience).is_some_and(|to| !to.is_empty());
    let told = planned.any(|each| {
        (each.user_facing_only || each.audience == "customers") && reaches(&each.audience)
    });
    let what = "Customers will notice this release, and nothing announces it to them.";
    let mend = "Add an [[announcement]] for their audience, or say `user_facing = false`.";
    (plan.release.user_facing && !told)
        .then(|| Finding::warn("customers-not-told", what).mend(mend).at("release.user_facing"))
}

// ---------------------------------------------------------------------------------------------
// The time

fn overlap(plan: &Plan, facts: &Facts) -> Option<Finding> {
    if facts.overlapping.is_empty() {
        return None;
    }
    let (service, environment) = (plan.name(), &plan.release.environment);
    let others = facts.overlapping.join(", ");
    let what = format!(
        "While it is rolled out and watched, there is another release of {service} or in \
         {environment}: {others}."
    );
    let mend = "Make sure that the order is meant, and that trouble could be told apart.";
    Some(Finding::warn("overlap", what).mend(mend).at("release.start"))
}

fn freezes(plan: &Plan, policy: &Policy, start: &Start, facts: &Facts) -> Vec<Finding> {
    let ours = |one: &Option<String>, own: &String| one.as_ref().is_none_or(|one| one == own);
    let (service, environment) = (&plan.release.service, &plan.release.environment);
    let fixed = policy.freezes.iter().map(|freeze| {
        let scope = (&freeze.service, &freeze.environment);
        (freeze.from, freeze.until, &freeze.reason, scope)
    });
    let added = facts.freezes.iter().map(|freeze| {
        let scope = (&freeze.service, &freeze.environment);
        (freeze.from, freeze.until, &freeze.reason, scope)
    });
    let hits = fixed.chain(added).filter(|(from, until, _, scope)| {
        (*from..*until).contains(&start.at) && ours(scope.0, service) && ours(scope.1, environment)
    });
    hits.map(|(_, until, reason, _)| {
        let until = show(until, start.zone, start.local.year());
        let what = format!("It would start in a freeze that lasts until {until}: {reason}.");
        let mend = "Choose a start after it.";
        Finding::refuse("in-a-freeze", what).mend(mend).at("release.start").overridable()
    })
    .collect()
}

fn bad_hour(start: &Start, policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    if start.local.weekday() == Weekday::Fri && start.local.hour() >= 12 {
        let what = "It starts on a Friday afternoon: whoever could mend it is about to leave.";
        let mend = "Monday to Thursday mornings are kinder.";
        found.push(Finding::warn("friday-afternoon", what).mend(mend).at("release.start"));
    }
    let tomorrow = start.local.date().succ_opt();
    if tomorrow.is_some_and(|day| policy.holidays.contains(&day)) {
        let what = "It starts on the eve of a holiday.";
        let mend = "Choose a day that is followed by a working day.";
        found.push(Finding::warn("eve-of-a-holiday", what).mend(mend).at("release.start"));
    }
    found
}

/// Said once more where a name is not known. Nothing if nothing is near.
fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let near = known.iter().map(|name| (distance(word, name), strangers(word, name), *name));
    let nearest = near.filter(|(far, _, name)| *far <= 1 + name.chars().count() / 4).min();
    match (nearest, known.is_empty()) {
        (Some((.., name)), _) => format!("Did you mean `{name}`?"),
        (None, true) => "The configuration has none.".into(),
        (None, false) => format!("Known are: {}.", known.join(", ")),
    }
}

/// How many letters have to be changed, added, left out or swapped with the next.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut far = vec![vec![0; b.len() + 1]; a.len() + 1];
    far[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        far[i][0] = i;
        for j in 1..=b.len() {
            let other = usize::from(a[i - 1] != b[j - 1]);
            let changed = far[i - 1][j - 1] + other;
            far[i][j] = changed.min(far[i - 1][j] + 1).min(far[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                far[i][j] = far[i][j].min(far[i - 2][j - 2] + 1);
            }
        }
    }
    far[a.len()][b.len()]
}

/// What fills the placeholders of a call.
type Values = BTreeMap<String, String>;
