//! Whether every name in a plan is known: people, roles, actions and their placeholders, flags,
//! audiences, sections of the checklist.

use std::collections::BTreeSet;

use super::super::argument;
use super::super::flag;
use super::super::ids::{ActionName, PersonId, Role};
use super::super::plan::Plan;
use super::super::policy::Policy;
use super::{Finding, Values, did_you_mean};

pub(super) fn unknown(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let mut found = people(plan, policy);
    found.extend(roles(plan, policy));
    found.extend(sections(plan, policy));
    found.extend(audiences(plan, policy));
    found.extend(templates(plan, policy));
    found.extend(flags(plan));
    found.extend(places(plan, policy).iter().flat_map(|place| place.judge(policy)));
    found.extend(bad_marks(plan, policy));
    found
}

/// What the head names fills placeholders too; service, environment and version are stricter still.
fn bad_marks(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let head = &plan.release;
    let marks = [("artifact", &head.artifact), ("commit", &head.commit), ("tag", &head.tag)];
    let passed = |key: &str| policy.actions.values().any(|each| each.placeholders.contains(key));
    let bad = marks.into_iter().filter(|(key, _)| passed(key)).filter_map(|(key, value)| {
        let what = format!("The {key} {}", argument::wrong(value.as_deref()?)?);
        let at = format!("release.{key}");
        Some(Finding::refuse("bad-value", what).mend(argument::right()).at(at))
    });
    bad.collect()
}

/// What every run of an action knows by itself. A stage passes the version that is released, a
/// step of the rollback the one that it goes back to; what the plan says under `with` wins.
///
/// The lint counts on the caller to fill a run with exactly this.
pub fn given(plan: &Plan, version: &str) -> Values {
    let head = &plan.release;
    let always = [("service", &head.service), ("environment", &head.environment)]
        .map(|(k, v)| (k, v.as_str()));
    let known = [("artifact", &head.artifact), ("commit", &head.commit), ("tag", &head.tag)];
    let known = known.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
    let all = always.into_iter().chain(known).chain([("version", version)]);
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A place where the plan has actions run: they share what it says under `with`.
struct Place<'a> {
    /// The table: `stage[1]`.
    at: String,
    /// Each action with its key in the table.
    actions: Vec<(String, &'a ActionName)>,
    with: &'a Values,
    given: Values,
}

fn places<'a>(plan: &'a Plan, policy: &Policy) -> Vec<Place<'a>> {
    static NONE: Values = Values::new();
    let new = given(plan, &plan.release.version);
    let place = |at: String, actions, with| Place { at, actions, with, given: new.clone() };
    let own = |action| ("action".to_owned(), action);
    let mut places = Vec::new();
    for (i, stage) in plan.stages.iter().enumerate() {
        let checks = stage.checks.iter().enumerate();
        let checks = checks.map(|(j, check)| (format!("checks[{j}]"), check));
        // One that opens its flag has rules of its own.
        let action = Some(own(&stage.action)).filter(|_| !flag::sets(stage));
        let actions = action.into_iter().chain(checks).collect();
        let mut place = place(format!("stage[{i}]"), actions, &stage.with);
        place.given.extend(flag::of_stage(plan, stage, policy));
        places.push(place);
    }
    for (i, check) in plan.smoke.iter().enumerate() {
        let actions = check.action.iter().map(own).collect();
        places.push(place(format!("smoke[{i}]"), actions, &check.with));
    }
    for (i, check) in plan.checks.iter().enumerate() {
        let actions = check.action.iter().map(own).collect();
        places.push(place(format!("check[{i}]"), actions, &check.with));
    }
    let health = plan.monitoring.health.iter().map(|action| ("health".to_owned(), action));
    places.push(place("monitoring".into(), health.collect(), &NONE));
    places.extend(ways_back(plan));
    places
}

fn ways_back(plan: &Plan) -> Vec<Place<'_>> {
    let Some(back) = &plan.rollback else { return Vec::new() };
    let old = given(plan, &back.to);
    let mut places = Vec::new();
    for (kind, steps) in [("step", &back.steps), ("verify", &back.verify)] {
        for (i, step) in steps.iter().enumerate() {
            let rehearse = step.rehearse.iter().map(|action| ("rehearse".to_owned(), action));
            let own = ("action".to_owned(), &step.action);
            let actions = std::iter::once(own).chain(rehearse).collect();
            let (at, given) = (format!("rollback.{kind}[{i}]"), old.clone());
            places.push(Place { at, actions, with: &step.with, given });
        }
    }
    places
}

impl Place<'_> {
    fn judge(&self, policy: &Policy) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut wanted = BTreeSet::new();
        let mut is_known = true;
        for (key, name) in &self.actions {
            let at = format!("{}.{key}", self.at);
            let Some(action) = policy.actions.get(*name) else {
                let known = policy.actions.keys().map(ActionName::as_str);
                found.push(unknown_name("action", name.as_str(), known).at(at));
                is_known = false;
                continue;
            };
            wanted.extend(action.placeholders.iter().map(String::as_str));
            let missing = action.placeholders.iter().filter(|key| !self.fills(key));
            found.extend(missing.map(|key| missing_value(name, key).at(&at)));
        }
        found.extend(wanted.iter().filter_map(|key| self.bad_value(key)));
        if is_known {
            let strays = self.with.keys().filter(|key| !wanted.contains(key.as_str()));
            found.extend(strays.map(|key| self.stray(key, &wanted)));
        }
        found
    }

    fn fills(&self, key: &str) -> bool {
        self.with.contains_key(key) || self.given.contains_key(key)
    }

    /// A value that every backend would refuse. Those of the head have rules of their own, or are
    /// said once, where they stand.
    fn bad_value(&self, key: &str) -> Option<Finding> {
        let what = format!("The value of `{key}` {}", argument::wrong(self.with.get(key)?)?);
        let at = format!("{}.with.{key}", self.at);
        Some(Finding::refuse("bad-value", what).mend(argument::right()).at(at))
    }

    /// A value that none of the actions takes.
    fn stray(&self, key: &str, wanted: &BTreeSet<&str>) -> Finding {
        let names: Vec<_> = self.actions.iter().map(|(_, name)| format!("`{name}`")).collect();
        let what = match names.is_empty() {
            true => format!("No action takes the value `{key}`."),
            false => format!("No placeholder `{key}` in {}.", names.join(" or ")),
        };
        let mend = match wanted.is_empty() {
            true => format!("Leave `{key}` out."),
            false => did_you_mean(key, wanted.iter().copied()),
        };
        let at = format!("{}.with.{key}", self.at);
        Finding::refuse("unknown-placeholder", what).mend(mend).at(at)
    }
}

fn missing_value(action: &ActionName, key: &str) -> Finding {
    let what = format!("The action `{action}` needs a value for `{key}`.");
    let mend = match key {
        "artifact" | "commit" | "tag" => format!("Add `{key}` to [release]."),
        _ => format!("Add `with = {{ {key} = \"…\" }}` beside it."),
    };
    Finding::refuse("missing-placeholder", what).mend(mend)
}

fn unknown_name<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Finding {
    let what = format!("I know no {kind} `{name}`.");
    let rule = format!("unknown-{}", kind.replace(' ', "-"));
    Finding::refuse(&rule, what).mend(did_you_mean(name, known))
}

fn people(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, person) in named_people(plan) {
        if !policy.people.contains_key(person) {
            let known = policy.people.keys().map(PersonId::as_str);
            found.push(unknown_name("person", person.as_str(), known).at(at));
        }
    }
    found
}

fn named_people(plan: &Plan) -> Vec<(String, &PersonId)> {
    let head = &plan.release;
    let oncall = &plan.monitoring.oncall;
    let back = plan.rollback.as_ref().and_then(|back| back.escalation.as_ref());
    let singles = [
        ("release.captain", Some(&head.captain)),
        ("release.deployer", head.deployer.as_ref()),
        ("release.backup", head.backup.as_ref()),
        ("rollback.escalation", back),
        ("monitoring.oncall.primary", oncall.primary.as_ref()),
        ("monitoring.oncall.secondary", oncall.secondary.as_ref()),
        ("monitoring.oncall.escalation", oncall.escalation.as_ref()),
    ];
    let singles = singles.into_iter().filter_map(|(at, one)| Some((at.to_owned(), one?)));
    let mut people: Vec<_> = singles.collect();
    let flags = plan.flags.iter().map(|flag| flag.owner.as_ref());
    let smoke = plan.smoke.iter().map(|check| check.owner.as_ref());
    let checks = plan.checks.iter().map(|check| check.owner.as_ref());
    let watchers = plan.monitoring.watchers.iter().map(Some);
    let issues = plan.known_issues.iter().map(|issue| Some(&issue.accepted_by));
    let effects = plan.irreversible.iter().map(|effect| effect.accepted_by.as_ref());
    let contacts = plan.contacts.iter().map(|contact| Some(&contact.who));
    let items = plan.checklist.items.iter().map(|item| item.owner.as_ref());
    people.extend(numbered("flag", ".owner", flags));
    people.extend(numbered("smoke", ".owner", smoke));
    people.extend(numbered("check", ".owner", checks));
    people.extend(numbered("monitoring.watchers", "", watchers));
    people.extend(numbered("known_issue", ".accepted_by", issues));
    people.extend(numbered("irreversible", ".accepted_by", effects));
    people.extend(numbered("contact", ".who", contacts));
    people.extend(numbered("checklist.item", ".owner", items));
    people
}

fn numbered<'a>(
    list: &'static str,
    key: &'static str,
    who: impl Iterator<Item = Option<&'a PersonId>>,
) -> impl Iterator<Item = (String, &'a PersonId)> {
    let named = who.enumerate().filter_map(|(i, who)| Some((i, who?)));
    named.map(move |(i, who)| (format!("{list}[{i}]{key}"), who))
}

fn roles(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let seats = plan.signoff.roles.iter().enumerate();
    let seats = seats.map(|(i, role)| (format!("signoff.roles[{i}]"), role));
    let stages = plan.stages.iter().enumerate();
    let approvers = stages.flat_map(|(i, stage)| {
        let roles = stage.approvers.iter().enumerate();
        roles.map(move |(j, role)| (format!("stage[{i}].approvers[{j}]"), role))
    });
    let unknown = seats.chain(approvers).filter(|(_, role)| !policy.roles.contains_key(*role));
    unknown
        .map(|(at, role)| {
            unknown_name("role", role.as_str(), policy.roles.keys().map(Role::as_str)).at(at)
        })
        .collect()
}

fn sections(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let chosen = plan.checklist.sections.iter().enumerate();
    let unknown = chosen.filter(|(_, section)| !policy.checklist.contains_key(*section));
    unknown
        .map(|(i, section)| {
            let known = policy.checklist.keys().map(String::as_str);
            let at = format!("checklist.sections[{i}]");
            unknown_name("checklist section", section, known).at(at)
        })
        .collect()
}

fn audiences(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let planned = plan.announcements.iter().enumerate();
    let planned = planned.map(|(i, each)| (format!("announcement[{i}].audience"), &each.audience));
    let stages = plan.stages.iter().enumerate();
    let stages = stages.filter_map(|(i, each)| Some((i, each.notice.as_ref()?)));
    let told = stages.map(|(i, audience)| (format!("stage[{i}].notice"), audience));
    let unknown = planned.chain(told).filter(|(_, name)| !policy.audiences.contains_key(*name));
    unknown
        .map(|(at, name)| {
            let known = policy.audiences.keys().map(String::as_str);
            unknown_name("audience", name, known).at(at)
        })
        .collect()
}

/// What a plan announces is said in words that are there: others would speak for it otherwise.
fn templates(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let planned = plan.announcements.iter().enumerate();
    let unknown = planned.filter(|(_, each)| !policy.has_template(&each.template));
    unknown
        .map(|(i, each)| {
            let at = format!("announcement[{i}].template");
            unknown_name("template", &each.template, policy.template_names()).at(at)
        })
        .collect()
}

fn flags(plan: &Plan) -> Vec<Finding> {
    let features = plan.scope.features.iter().enumerate();
    let features = features
        .filter_map(|(i, each)| Some((format!("scope.feature[{i}].flag"), each.flag.as_ref()?)));
    let stages = plan.stages.iter().enumerate();
    let stages =
        stages.filter_map(|(i, each)| Some((format!("stage[{i}].flag"), each.flag.as_ref()?)));
    let is_known = |name: &String| plan.flags.iter().any(|flag| flag.name == *name);
    let unknown = features.chain(stages).filter(|(_, name)| !is_known(name));
    unknown
        .map(|(at, name)| {
            let what = format!("No [[flag]] of the plan is called `{name}`.");
            let mend = match plan.flags.is_empty() {
                true => "Add one, with `owner` and `expires`.".to_owned(),
                false => did_you_mean(name, plan.flags.iter().map(|flag| flag.name.as_str())),
            };
            Finding::refuse("unknown-flag", what).mend(mend).at(at)
        })
        .collect()
}
