//! The post-deployment report: it writes itself from the log.

use chrono::Duration;

use super::describe::{finding, outcome};
use super::page::{Page, code, text};
use super::{items, named, strategy, when};
use crate::domain::asking::unanswered;
use crate::domain::checklist::tally;
use crate::domain::command::Vote;
use crate::domain::health;
use crate::domain::metric::number;
use crate::domain::policy::Policy;
use crate::domain::report::{
    Deployed, Outcome, Result, failed_items, failed_runs, result, rollback_time, step_name,
};
use crate::domain::state::{Course, Override, Release, RunRecord};
use crate::domain::time::{self, Time};

/// One line of the timeline, as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportEntry {
    pub seq: i64,
    pub at: Time,
    pub actor_name: String,
    pub text: String,
}

/// How it went, from the log: computed, never typed.
pub fn report(release: &Release, policy: &Policy, entries: &[ReportEntry]) -> String {
    let result = release.result.clone().unwrap_or_else(|| result(release));
    let mut page = Page::new(&format!("Post-deployment report: {}", release.title()));
    status(&mut page, release, &result, policy);
    metrics(&mut page, release, policy);
    issues(&mut page, release, &result);
    rollback(&mut page, release, policy, entries);
    timeline(&mut page, release, entries);
    steps(&mut page, release);
    sign_offs(&mut page, release, policy);
    overrides(&mut page, release, policy);
    evidence(&mut page, release, policy);
    page.heading("Checklist");
    let counted = tally(&release.items);
    let line = format!("{}/{} sections passed.", counted.passed, counted.sections);
    page.para(&format!("Pre-launch checklist: {line}"));
    items(&mut page, release, policy);
    if release.phase.is_before_deploy() {
        return page.done();
    }
    page.heading("Recommendations");
    page.items(recommendations(release, &result));
    page.heading("Next steps");
    page.items(next_steps(release, &result, policy));
    page.done()
}

fn status(page: &mut Page, release: &Release, result: &Result, policy: &Policy) {
    let head = &release.plan.release;
    // Nothing has come of it yet: a verdict would be a guess.
    let under_way = release.result.is_none() && !release.phase.is_over();
    let (outcome, state) = match under_way {
        true => ("IN PROGRESS", release.phase.name()),
        false => (result.outcome.word(), result.state.word()),
    };
    page.para(&format!("**{outcome}** · {state} · {}", code(release.id.as_str())));
    let at = |time: Option<Time>| time.map(|time| when(time, release));
    let took = release.started_at.zip(release.rolled_out_at).map(|(from, to)| to - from);
    let smoke = release.smoke.map(|(passed, total)| format!("{passed}/{total} passing"));
    page.facts(&[
        ("Planned start", at(Some(release.start.at))),
        ("Started", at(release.started_at)),
        ("Rolled out", at(release.rolled_out_at)),
        ("Closed", at(release.ended_at)),
        ("Duration", took.map(time::span)),
        ("Planned downtime", head.downtime.map(|span| time::span(span.duration()))),
        ("Strategy", Some(strategy(head.strategy).to_owned())),
        ("Smoke tests", smoke),
        ("Captain", named(Some(&release.captain), policy)),
        ("Deploying engineer", named(head.deployer.as_ref(), policy)),
    ]);
}

/// Before, at its worst, and when it was last looked at: as the log has it.
fn metrics(page: &mut Page, release: &Release, policy: &Policy) {
    if release.courses.is_empty() {
        return;
    }
    page.heading("Metrics before and after");
    let row = |course: &Course| {
        let unit = health::unit(&course.last, policy);
        let amount = |value: Option<f64>| match value {
            Some(value) => text(&format!("{}{unit}", number(value))),
            None => "—".to_owned(),
        };
        let change = course.last.change();
        let change =
            change.map(|change| format!(" ({})", health::percent(change))).unwrap_or_default();
        vec![
            text(&health::title(&course.last, policy)),
            amount(course.before),
            format!("{}, {}", amount(course.worst.value), course.worst.light.word()),
            format!("{}{change}, {}", amount(course.last.value), course.last.light.word()),
            text(&when(course.last_at, release)),
        ]
    };
    let rows = release.courses.values().map(row).collect();
    page.table(&["Metric", "Before", "At its worst", "After", "Last measured"], rows);
}

fn issues(page: &mut Page, release: &Release, result: &Result) {
    page.heading("Issues");
    let mut all = result.issues.clone();
    let later = failed_items(release).into_iter().chain(failed_runs(release));
    all.extend(later.filter(|run| !result.issues.contains(run)));
    match all.is_empty() {
        true => page.para("None."),
        false => page.items(all.iter().map(|issue| text(issue))),
    }
}

fn rollback(page: &mut Page, release: &Release, policy: &Policy, entries: &[ReportEntry]) {
    let Some(back) = &release.rollback else { return };
    page.heading("Rollback");
    let now = entries.last().map_or(back.asked_at, |last| last.at);
    let (took, met) = rollback_time(release, now).unwrap_or((Duration::zero(), None));
    let rto = release.plan.rollback.as_ref().map(|plan| time::span(plan.rto.duration()));
    let verdict = match (back.ended_at, met) {
        (None, _) => "not over yet",
        (Some(_), Some(true)) => "met",
        (Some(_), Some(false)) => "missed",
        (Some(_), None) => "none set",
    };
    page.facts(&[
        ("From", Some(back.from.clone())),
        ("To", Some(back.to.clone())),
        ("Asked by", named(back.by.as_ref(), policy)),
        ("Asked at", Some(when(back.asked_at, release))),
        ("Why", back.reason.clone()),
        ("Took", Some(time::span(took))),
        ("RTO", rto.map(|rto| format!("{rto}, {verdict}"))),
        ("Stopped at", back.failed.clone()),
        ("Contacts called", (back.escalated > 0).then(|| back.escalated.to_string())),
    ]);
}

fn timeline(page: &mut Page, release: &Release, entries: &[ReportEntry]) {
    page.heading("Timeline");
    let row = |entry: &ReportEntry| {
        vec![
            format!("#{}", entry.seq),
            text(&when(entry.at, release)),
            text(&entry.actor_name),
            text(&entry.text),
        ]
    };
    page.table(&["Entry", "When", "Who", "What"], entries.iter().map(row).collect());
}

fn steps(page: &mut Page, release: &Release) {
    page.heading("Steps");
    let row = |run: &RunRecord| {
        let (how, took) = match &run.ended {
            Some((_, end)) => {
                let took = i64::try_from(end.took_ms).unwrap_or(i64::MAX);
                (outcome(&end.outcome), time::took(Duration::milliseconds(took)))
            }
            None => ("is still running".to_owned(), "—".to_owned()),
        };
        let settled = run.settled.map(|worked| {
            if worked { "; a person said that it worked" } else { "; a person said that it failed" }
        });
        vec![
            text(&step_name(release, &run.step)),
            run.attempt.to_string(),
            text(&when(run.began, release)),
            took,
            text(&(how + settled.unwrap_or_default())),
        ]
    };
    let rows: Vec<_> = release.runs.iter().map(row).collect();
    page.table(&["Step", "Try", "Began", "Took", "How it ended"], rows);
    if release.runs.is_empty() {
        page.para("Nothing ran.");
    }
}

/// Every ballot, the changed ones too: the last one of the current poll counts.
fn sign_offs(page: &mut Page, release: &Release, policy: &Policy) {
    page.heading("Sign-offs");
    let mut rows = Vec::new();
    for seat in &release.seats {
        let title = text(policy.title_of(&seat.role));
        if seat.ballots.is_empty() {
            rows.push(vec![title.clone(), "no answer".into(), "—".into(), "—".into(), "—".into()]);
        }
        for (at, ballot) in seat.ballots.iter().enumerate() {
            let (vote, reason) = match &ballot.vote {
                Vote::Go => ("GO", "—".to_owned()),
                Vote::NoGo { reason } => ("NO-GO", text(reason)),
            };
            let counts =
                at + 1 == seat.ballots.len() && ballot.poll_revision == release.poll_revision;
            let vote = if counts { format!("**{vote}**") } else { format!("{vote} (changed)") };
            let (by, at) = (text(policy.name_of(&ballot.by)), text(&when(ballot.at, release)));
            rows.push(vec![title.clone(), vote, by, at, reason]);
        }
    }
    page.table(&["Seat", "Vote", "By", "When", "Reason"], rows);
}

fn overrides(page: &mut Page, release: &Release, policy: &Policy) {
    let line = |over: &Override| {
        let (what, why) = (code(&over.what), text(&over.reason));
        let (who, at) = (text(policy.name_of(&over.by)), text(&when(over.at, release)));
        format!("{what}, by {who}, {at}: {why}")
    };
    if release.overrides.is_empty() && release.accepted.is_empty() {
        return;
    }
    page.heading("Overrides and accepted risks");
    page.list("Overridden", release.overrides.iter().map(line));
    page.list("Accepted", release.accepted.iter().map(line));
}

fn evidence(page: &mut Page, release: &Release, policy: &Policy) {
    page.heading("Evidence");
    let rows = release.evidence.iter().map(|(kind, found)| {
        let by = crate::domain::ids::PersonId::from(found.by.as_str());
        let dash = |value: &Option<String>| value.as_deref().map_or("—".to_owned(), text);
        vec![
            kind.name().to_owned(),
            finding(found.report.result).to_owned(),
            text(policy.name_of(&by)),
            text(&when(found.at, release)),
            dash(&found.report.link),
            dash(&found.report.note),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return page.para("None was handed in.");
    }
    page.table(&["Kind", "Result", "By", "When", "Link", "Note"], rows);
}

fn recommendations(release: &Release, result: &Result) -> Vec<String> {
    let mut advice = Vec::new();
    let mut again: Vec<_> = release.runs.iter().filter(|run| run.attempt > 1).collect();
    again.dedup_by_key(|run| &run.step);
    for run in again {
        let name = text(&step_name(release, &run.step));
        advice.push(format!("{name} needed more than one try: find out why."));
    }
    if release.runs.iter().any(RunRecord::is_unknown) {
        advice.push("A step's outcome was unknown: give its action a status command.".into());
    }
    if !release.overrides.is_empty() {
        advice.push("Rules were overridden: change the rule or the habit.".into());
    }
    let late = release.started_at.map(|at| at - release.start.at);
    if let Some(late) = late.filter(|late| *late > Duration::minutes(15)) {
        advice
            .push(format!("It started {} after T-0: plan more time to decide.", time::span(late)));
    }
    let planned = release.plan.release.duration.map(|span| span.duration());
    let took = release.started_at.zip(release.rolled_out_at).map(|(from, to)| to - from);
    if let Some((planned, took)) = planned.zip(took).filter(|(planned, took)| took > planned) {
        let (took, planned) = (time::span(took), time::span(planned));
        advice.push(format!("It took {took}, planned were {planned}: correct the plan."));
    }
    let open = unanswered(release).count();
    if open > 0 && result.state == Deployed::Deployed {
        let items = if open == 1 { "item has" } else { "items have" };
        advice.push(format!("{open} {items} no answer on the checklist: see the next steps."));
    }
    if advice.is_empty() {
        let plain = match result.outcome {
            Outcome::Success => "Nothing stood out: keep doing it like this.",
            Outcome::Partial | Outcome::Failed => "Look at the issues above first.",
        };
        advice.push(plain.to_owned());
    }
    advice
}

/// Follow-ups open by themselves where it went wrong.
fn next_steps(release: &Release, result: &Result, policy: &Policy) -> Vec<String> {
    let version = text(&release.plan.release.version);
    let mut steps = Vec::new();
    match result.state {
        Deployed::RolledBack => steps.extend([
            "[ ] Document what went wrong".to_owned(),
            format!("[ ] Fix it; {version} stays locked until then"),
            "[ ] Test the fix in staging again".to_owned(),
            "[ ] Schedule a new release".to_owned(),
        ]),
        Deployed::Unclear => {
            steps.push("[ ] Find out what runs, and settle the step that stopped".to_owned());
        }
        Deployed::NotDeployed => steps.push("[ ] Schedule it anew, or let it go".to_owned()),
        Deployed::Deployed => {
            let later = release.plan.checks.iter().enumerate();
            let later = later.filter(|(at, _)| !release.recalled.contains(at));
            steps.extend(later.map(|(_, check)| format!("[ ] {}", text(&check.name))));
            steps.extend(unanswered(release).map(|item| {
                let owner = item.owner.as_ref().unwrap_or(&release.captain);
                let (name, owner) = (text(&item.name), text(policy.name_of(owner)));
                format!("[ ] {name}: nobody has answered it ({owner})")
            }));
        }
    }
    let went_wrong = !result.issues.is_empty() || release.rollback.is_some();
    if let Some(ended) = release.ended_at.or(release.rolled_out_at).filter(|_| went_wrong) {
        let by = text(&when(ended + Duration::hours(48), release));
        steps.push(format!("[ ] Hold a retrospective within 48 h, by {by}"));
    }
    let live = result.state == Deployed::Deployed;
    for flag in release.plan.flags.iter().filter(|_| live) {
        steps.push(format!("[ ] Clean up the flag {}", code(&flag.name)));
    }
    if steps.is_empty() {
        steps.push("None.".to_owned());
    }
    steps
}
