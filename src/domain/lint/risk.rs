//! How risky a release is by the kind of change, and which strategy suits it.

use serde::{Deserialize, Serialize};

use super::super::plan::{Kind, Level, Plan, Strategy};
use super::migrations;

/// A strategy with what speaks for and against it here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    pub strategy: Strategy,
    pub pros: Vec<String>,
    pub cons: Vec<String>,
    pub rolled_back_by: String,
}

impl Suggestion {
    /// As a plan writes it.
    pub fn name(&self) -> &'static str {
        match self.strategy {
            Strategy::Direct => "direct",
            Strategy::Recreate => "recreate",
            Strategy::Rolling => "rolling",
            Strategy::BlueGreen => "blue-green",
            Strategy::Canary => "canary",
            Strategy::FeatureFlag => "feature-flag",
        }
    }
}

pub(super) fn word(level: Level) -> &'static str {
    match level {
        Level::Low => "low",
        Level::Medium => "medium",
        Level::High => "high",
    }
}

/// The risk by the kind of change, and why. The highest reason decides.
pub fn risk(plan: &Plan) -> (Level, Vec<String>) {
    let mut reasons = database_risks(plan);
    let scope = &plan.scope;
    let mut add = |if_so: bool, level, why: &str| {
        if if_so {
            reasons.push((level, why.to_owned()));
        }
    };
    add(!scope.breaking.is_empty(), Level::High, "it breaks what others rely on");
    add(plan.release.kind == Kind::Major, Level::Medium, "it is a major version");
    add(!scope.resources.is_empty(), Level::Medium, "the infrastructure changes");
    add(!scope.configuration.is_empty(), Level::Medium, "the configuration changes");
    add(!scope.dependencies.is_empty(), Level::Medium, "new dependencies come in");
    let open = scope.features.iter().any(|feature| feature.flag.is_none());
    add(open, Level::Medium, "new features cannot be turned off by themselves");
    let Some(level) = reasons.iter().map(|(level, _)| *level).max() else {
        return (Level::Low, vec![harmless(plan).into()]);
    };
    let deciding = reasons.into_iter().filter(|(own, _)| *own == level);
    (level, deciding.map(|(_, why)| why).collect())
}

fn harmless(plan: &Plan) -> &'static str {
    match plan.scope.features.is_empty() {
        true => "only code changes",
        false => "every new feature has a flag",
    }
}

fn database_risks(plan: &Plan) -> Vec<(Level, String)> {
    let risks = migrations(plan).iter().flat_map(|migration| {
        let name = &migration.name;
        let level = if migration.tested_in_staging { Level::Medium } else { Level::High };
        let plain = match migration.tested_in_staging {
            true => format!("the database changes ({name})"),
            false => format!("the migration {name} was not tried in staging"),
        };
        [
            Some((level, plain)),
            migration
                .destructive
                .then(|| (Level::High, format!("the migration {name} destroys data"))),
            migration
                .blocking
                .then(|| (Level::High, format!("the migration {name} blocks writes"))),
            (!migration.backward_compatible)
                .then(|| (Level::High, format!("the old version cannot run after {name}"))),
        ]
    });
    risks.flatten().collect()
}

/// What suits the risk. The plan may know better: this is a suggestion.
pub fn suggest(plan: &Plan) -> Suggestion {
    let (level, _) = risk(plan);
    let incompatible = migrations(plan).iter().any(|each| !each.backward_compatible);
    let flagged = !plan.scope.features.is_empty()
        && plan.scope.features.iter().all(|feature| feature.flag.is_some());
    let strategy = match level {
        Level::High if incompatible => Strategy::BlueGreen,
        Level::High => Strategy::Canary,
        Level::Medium => Strategy::Rolling,
        Level::Low if plan.release.kind == Kind::Hotfix => Strategy::Direct,
        Level::Low if flagged => Strategy::FeatureFlag,
        Level::Low => Strategy::Rolling,
    };
    portrait(strategy)
}

/// What is known of a strategy.
fn portrait(strategy: Strategy) -> Suggestion {
    let (pros, cons, back): (&[&str], &[&str], &str) = match strategy {
        Strategy::Direct => (
            &["out in minutes", "the fewest steps"],
            &["everybody has it at once", "trouble shows when all have it"],
            "deploying the last good version again",
        ),
        Strategy::Recreate => (
            &["old and new never run together", "the simplest"],
            &["it is down in between", "everybody has it at once"],
            "deploying the last good version again, with another downtime",
        ),
        Strategy::Rolling => (
            &["no downtime", "it can be stopped at each pod"],
            &["old and new run together", "going back takes as many steps as going out"],
            "putting the pods back one by one, newest first",
        ),
        Strategy::BlueGreen => (
            &["turned over in one step", "turned back as fast", "old and new share no traffic"],
            &["it needs everything twice", "the database is still shared"],
            "turning the traffic back to the old side, which still runs",
        ),
        Strategy::Canary => (
            &["few people meet a mistake", "each step is judged before the next"],
            &["it takes days", "old and new run together"],
            "sending the traffic back to the old version",
        ),
        Strategy::FeatureFlag => (
            &["deployed and released apart", "turned off within a minute"],
            &["both ways through the code need tests", "the flag has to be removed later"],
            "turning the flag off; the code stays",
        ),
    };
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Suggestion { strategy, pros: texts(pros), cons: texts(cons), rolled_back_by: back.into() }
}
