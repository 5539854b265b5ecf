//! Every notice is rendered once and read as a person would read it.

use std::collections::BTreeSet;

use super::*;
use crate::domain::fixture::{World, account, time};
use crate::domain::ids::PersonId;
use crate::domain::notice::{PersonRef, ReasonText};
use crate::domain::zone::los_angeles;

fn who(name: &str) -> PersonRef {
    let accounts = vec![account(name)];
    PersonRef { person: PersonId::from(name), name: name.to_owned(), accounts }
}

pub(crate) fn scene() -> Scene<'static> {
    Scene {
        platform: "console",
        tenant: "local",
        now: time("2026-12-15T17:18:00Z"),
        zone: los_angeles(),
        head: Some("#412 sha256:7f3a0c41d2".to_owned()),
        prefix: "/release",
    }
}

/// With every message that ships, checked on every sample.
pub(crate) fn messages() -> Messages {
    let samples = samples();
    let samples: Vec<_> =
        samples.iter().map(|(name, seen)| (name.as_str(), seen.clone())).collect();
    let (messages, problems) = Messages::load(&built_in(), None, &samples);
    assert_eq!(problems, []);
    messages
}

fn announcements() -> Vec<Notice> {
    let one = |world: &World, template: &str, planned: &str, late| Notice {
        kind: NoticeKind::Announcement {
            template: template.to_owned(),
            planned: time(planned),
            late,
            at: time(planned) + chrono::Duration::minutes(if late { 42 } else { 0 }),
        },
        brief: brief(world),
        public: false,
    };
    let (open, before) = (World::scheduled(), World::counting_down());
    let mut sparse = crate::domain::fixture::plan();
    sparse.scope = crate::domain::plan::Scope::default().into();
    sparse.release.downtime = Some(crate::domain::time::Span::minutes(5));
    sparse.release.impact = None;
    let sparse = World::with(sparse);
    vec![
        one(&open, "t-48h", "2026-12-13T18:00:00Z", false),
        one(&sparse, "t-48h", "2026-12-13T18:00:00Z", true),
        one(&open, "t-24h", "2026-12-14T18:00:00Z", false),
        one(&sparse, "t-24h", "2026-12-14T18:00:00Z", true),
        one(&open, "t-1h", "2026-12-15T17:00:00Z", false),
        one(&before, "t-1h", "2026-12-15T17:00:00Z", true),
        one(&World::rolled_out(), "done", "2026-12-15T19:24:00Z", false),
        one(&World::soaking(), "progress", "2026-12-15T18:05:00Z", false),
    ]
}

fn brief(world: &World) -> Option<Brief> {
    Some(Brief::of(world.release(), world.policy()))
}

fn waits(at: &str, person: &str, last: bool) -> NoticeKind {
    let (at, since) = (time(at), time("2026-12-15T18:00:00Z"));
    let waited_ms = (at - since).num_milliseconds();
    let why = "it was not go at T-0: 2 things were open".to_owned();
    NoticeKind::StartWaits { at, since, waited_ms, why, person: who(person), last }
}

fn before_start() -> Vec<NoticeKind> {
    let at = time("2026-12-15T17:18:00Z");
    let text = |text: &str| text.to_owned();
    let vote = |before| NoticeKind::VoteWanted {
        role: text("qa"),
        seat: text("QA"),
        before,
        people: vec![who("quinn")],
    };
    let reason = |reason: &str| ReasonText { text: text(reason), owner: None };
    vec![
        NoticeKind::Opening {
            merged: vec![text("t-48h"), text("t-24h")],
            warnings: vec![text("A rolling deploy with a migration. Say `backward_compatible`.")],
        },
        NoticeKind::Correction { reason: Some(text("the hotline is short-staffed until noon")) },
        NoticeKind::Retraction { reason: text("The supplier moved.") },
        NoticeKind::SaidByHand { text: text("Lunch is on us."), by: who("maria") },
        vote(None),
        vote(Some(text("T-1h"))),
        NoticeKind::WentNoGo {
            reasons: vec![
                reason("support: “hotline is short-staffed until noon” (sam)."),
                reason("security has not answered."),
            ],
            after_go: false,
        },
        NoticeKind::StartMissed { at, why: text("it was not go at T-0: 2 things were open") },
        waits("2026-12-15T19:00:00Z", "maria", false),
        waits("2026-12-16T18:00:00Z", "erin", true),
        NoticeKind::RehearsalEnded { at, worked: true, why: None },
        NoticeKind::RehearsalEnded { at, worked: false, why: Some(text("Pods back failed")) },
        NoticeKind::Overridden {
            at,
            obstacle: text("freeze"),
            by: text("maria"),
            reason: text("security fix"),
        },
        NoticeKind::HandedOver { at, to: who("erin") },
    ]
}

fn at_the_start() -> Vec<NoticeKind> {
    let at = time("2026-12-15T18:00:00Z");
    let until = time("2026-12-15T19:00:00Z");
    let changed = NoticeKind::ChangedToGo { role: "support".into(), by: "sam".into() };
    vec![NoticeKind::WentGo, changed, NoticeKind::StartOffered { at, until, captain: who("maria") }]
}

fn leapt(to: &str, forward: bool) -> NoticeKind {
    let (at, to) = (time("2026-12-15T18:05:00Z"), time(to));
    let length_ms = (to - at).num_milliseconds().unsigned_abs();
    let at_once = if forward { to } else { at };
    NoticeKind::ClockLeapt { at: at_once, from: at, to, forward, length_ms, soaking: forward }
}

fn rolling_out() -> Vec<NoticeKind> {
    let at = time("2026-12-15T18:05:00Z");
    let text = |text: &str| text.to_owned();
    let took_ms = 130_000;
    let (done, pod) = (text("Database migrations complete"), text("Pod 1"));
    let (step, people) = (text("Pod 2"), vec![who("john")]);
    let until = time("2026-12-15T18:15:00Z");
    vec![
        NoticeKind::Started { at, by: text("maria") },
        NoticeKind::StageDone { at, text: done.clone(), traffic: None, took_ms },
        NoticeKind::StageDone { at, text: text("Pod 1 deployed"), traffic: Some(33.0), took_ms: 0 },
        NoticeKind::StepDone { at, text: text("All pods are back"), took_ms },
        NoticeKind::Soaking {
            at,
            stage: pod.clone(),
            until,
            checks: vec![text("health")],
            days: false,
            judged: vec![text("error rate"), text("p95")],
        },
        NoticeKind::AdvanceWanted {
            at,
            stage: pod.clone(),
            number: 2,
            next: Some(step.clone()),
            waits_for: vec![],
            people: vec![who("maria")],
            soaked_ms: None,
            why: None,
            goes_on_at: None,
            lines: measured(),
        },
        NoticeKind::AdvanceWanted {
            at,
            stage: pod,
            number: 2,
            next: None,
            waits_for: vec![text("product"), text("support")],
            people: vec![who("paula"), who("sam")],
            soaked_ms: None,
            why: None,
            goes_on_at: None,
            lines: vec![],
        },
        NoticeKind::AdvanceWanted {
            at,
            stage: text("Friendly"),
            number: 2,
            next: Some(text("Beta")),
            waits_for: vec![],
            people: vec![who("maria")],
            soaked_ms: None,
            why: None,
            goes_on_at: Some(until),
            lines: vec![],
        },
        NoticeKind::AdvanceWanted {
            at,
            stage: text("Beta"),
            number: 3,
            next: Some(text("General")),
            waits_for: vec![],
            people: vec![who("maria")],
            soaked_ms: Some(172_800_000),
            why: Some(text("Error rate 0.42 %, above 0.1")),
            goes_on_at: None,
            lines: vec![],
        },
        NoticeKind::Cohort {
            at,
            stage: text("Beta"),
            cohort: Some(text("a quarter of all customers")),
            traffic: Some(25.0),
            feedback: Some(text("What is missing on the new dashboard?")),
        },
        NoticeKind::Advanced { at, next: step.clone(), by: Some(text("maria")), lines: vec![] },
        NoticeKind::Advanced { at, next: step.clone(), by: None, lines: measured() },
        NoticeKind::Pictures { at, stage: Some(text("Pod 1")), lines: measured(), back: false },
        NoticeKind::Pictures { at, stage: None, lines: measured(), back: true },
        NoticeKind::StepFailed {
            at,
            step: step.clone(),
            why: text("failed: exit status 1"),
            tail: text("starting pod\npod: image not found\n"),
            people: people.clone(),
            from: text("v1.2.0"),
            to: Some(text("v1.1.9")),
        },
        NoticeKind::OutcomeSettled {
            at,
            step: step.clone(),
            worked: false,
            by: text("john"),
            reason: text("pod 2 answers with v1.1.9"),
        },
        NoticeKind::StepUnknown {
            at,
            step,
            why: text("has an outcome that nobody can tell: the program was killed"),
            people,
        },
        NoticeKind::Update { at, text: text("The cache is warm"), by: text("dave") },
        NoticeKind::SilencePrompt {
            at,
            minutes: 15,
            person: Some(who("dave")),
            captain: Some(who("maria")),
        },
        NoticeKind::SilencePrompt { at, minutes: 30, person: None, captain: None },
        NoticeKind::Held {
            at,
            reason: text("p95 looks odd"),
            by: Some(text("jane")),
            people: vec![],
        },
        NoticeKind::Held {
            at,
            reason: text("the machine's clock was set forward"),
            by: None,
            people: vec![who("john")],
        },
        leapt("2026-12-15T20:05:00Z", true),
        leapt("2026-12-15T17:05:00Z", false),
        NoticeKind::Resumed { at, by: String::new() },
    ]
}

fn afterwards() -> Vec<NoticeKind> {
    let at = time("2026-12-15T18:45:00Z");
    let text = |text: &str| text.to_owned();
    vec![
        NoticeKind::RolledOut { at, took_ms: 2_700_000 },
        NoticeKind::SmokeTallied { at, passed: 9, total: 9, failed: vec![] },
        NoticeKind::SmokeTallied { at, passed: 8, total: 9, failed: vec![text("Search answers")] },
        NoticeKind::CheckWanted {
            at,
            name: text("Critical flow"),
            expect: Some(text("Checkout in under a minute")),
            people: vec![who("quinn")],
        },
        NoticeKind::CheckWanted { at, name: text("Logs"), expect: None, people: vec![] },
        NoticeKind::ItemsWanted {
            at,
            phase: text("the first hour"),
            items: vec![WantedItem {
                id: "observability/logs".into(),
                name: text("Logs hold no new kind of error"),
                owner: text("quinn"),
            }],
            people: vec![who("quinn")],
        },
        NoticeKind::Report,
        NoticeKind::Finished {
            at,
            outcome: text("SUCCESS"),
            state: text("DEPLOYED"),
            issues: vec![],
            took_ms: Some(2_700_000),
            smoke: Some((9, 9)),
            unanswered: vec![text("Success is measured")],
        },
        NoticeKind::Undelivered {
            to: text("console/local/customers"),
            what: text("the announcement t-24h"),
            why: text("the channel is archived"),
            unknown: false,
        },
        NoticeKind::RoomOpened,
        NoticeKind::RoomIsThread {
            name: text("releases"),
            why: text("This workspace lets me create no channels."),
        },
        NoticeKind::Undelivered {
            to: text("webhook:status-page"),
            what: text("the announcement t-24h"),
            why: text("no answer within 10 s"),
            unknown: true,
        },
    ]
}

fn on_course_for_monday() -> NoticeKind {
    let mut kind = numbers("green", false);
    if let NoticeKind::Numbers { advances_at, days, .. } = &mut kind {
        (*advances_at, *days) = (Some(time("2026-12-21T17:00:00Z")), true);
    }
    kind
}

fn numbers(light: &str, held: bool) -> NoticeKind {
    NoticeKind::Numbers {
        at: time("2026-12-15T18:22:00Z"),
        stage: (!held).then(|| "Friendly".to_owned()),
        light: light.to_owned(),
        lines: measured(),
        automatic: light == "red",
        held,
        advances_at: (light == "green" && !held).then(|| time("2026-12-15T18:30:00Z")),
        days: false,
    }
}

fn measured() -> Vec<String> {
    vec![
        "Error rate 0.31 % (baseline 0.3 %, +3 %)".to_owned(),
        "p95 187 ms (baseline 189 ms, −1 %)".to_owned(),
    ]
}

fn going_back() -> Vec<NoticeKind> {
    let at = time("2026-12-15T18:22:00Z");
    let text = |text: &str| text.to_owned();
    let (from, to, by) = (text("v1.2.0"), text("v1.1.9"), text("john"));
    vec![
        NoticeKind::RollbackBegan {
            at,
            from: from.clone(),
            to: to.clone(),
            by: Some(by.clone()),
            reason: Some(text("pod 2 does not start")),
            steps: 2,
            flags: vec![text("new_dashboard")],
            people: vec![who("john")],
        },
        NoticeKind::FlagOff {
            at,
            flag: text("new_dashboard"),
            provider: text("local"),
            after: text("0.4 s"),
            trouble: None,
            people: vec![],
        },
        NoticeKind::FlagOff {
            at,
            flag: text("new_dashboard"),
            provider: text("unleash"),
            after: text("60.0 s"),
            trouble: Some(text("failed: tried until the time limit: `unleash` cannot be reached")),
            people: vec![who("john")],
        },
        NoticeKind::RolledBack {
            at,
            from,
            to,
            by: Some(by),
            took_ms: 90_000,
            rto_met: Some(true),
            rto: Some(text("15 min")),
            verified: true,
            downtime: false,
        },
        NoticeKind::RollbackBegan {
            at,
            from: text("v1.2.0"),
            to: text("v1.1.9"),
            by: None,
            reason: Some(text("Error rate 3.1 %, above 1")),
            steps: 1,
            flags: vec![],
            people: vec![],
        },
        NoticeKind::TurnedRed {
            at,
            why: text("Error rate 3.1 % (baseline 0.3 %), more than 100 % above the baseline"),
            by: None,
            roll_back_at: Some(time("2026-12-15T18:24:00Z")),
            window: true,
            to: Some(text("v1.1.9")),
            people: vec![who("maria")],
        },
        NoticeKind::TurnedRed {
            at,
            why: text("Memory 93 %, above 90"),
            by: None,
            roll_back_at: Some(at),
            window: false,
            to: Some(text("v1.1.9")),
            people: vec![who("maria")],
        },
        NoticeKind::TurnedRed {
            at,
            why: text("orders are written twice"),
            by: Some(text("jane")),
            roll_back_at: None,
            window: false,
            to: Some(text("v1.1.9")),
            people: vec![who("john")],
        },
        NoticeKind::SteppedBack { at, from: text("Beta"), to: text("Friendly"), by: text("john") },
        numbers("green", true),
        numbers("green", false),
        on_course_for_monday(),
        numbers("yellow", false),
        numbers("unknown", false),
        numbers("red", false),
        NoticeKind::RollbackFailed {
            at,
            why: text("Pods back failed: exit status 1"),
            people: vec![who("john")],
        },
        NoticeKind::Escalation {
            at,
            why: text("Pods back failed: exit status 1"),
            nth: 2,
            person: who("dave"),
            rollback: true,
        },
        NoticeKind::Escalation {
            at,
            why: text("Pod 2 failed: exit status 1"),
            nth: 1,
            person: who("jane"),
            rollback: false,
        },
        NoticeKind::Finished {
            at,
            outcome: text("FAILED"),
            state: text("ROLLED_BACK"),
            issues: vec![text("Pod 2 failed: exit status 1"), text("Rolled back from v1.2.0")],
            took_ms: None,
            smoke: None,
            unanswered: vec![],
        },
    ]
}

fn reminder(nth: u32, days: i64, ticket: bool) -> NoticeKind {
    NoticeKind::FlagReminder {
        at: time("2026-12-15T18:00:00Z"),
        flag: "new_dashboard".to_owned(),
        id: "local/new_dashboard".into(),
        owner: Some(who("paula")),
        purpose: "The new dashboard".to_owned(),
        share: Some("open for 100 %".to_owned()),
        full_since: (nth > 0).then(|| time("2026-12-08T18:00:00Z")),
        expires: Some("2027-01-15".to_owned()),
        days: Some(days),
        nth,
        releases: vec!["Web shop v1.3.0".to_owned()],
        ticket,
    }
}

fn of_the_house() -> Vec<NoticeKind> {
    let text = |text: &str| text.to_owned();
    let (target, version) = (text("web-shop/production"), text("v1.2.0"));
    vec![
        NoticeKind::FreezeAdded {
            from: time("2026-12-23T08:00:00Z"),
            until: time("2027-01-04T08:00:00Z"),
            reason: text("Christmas"),
            target: target.clone(),
        },
        NoticeKind::Welcome {
            plan: text("web-shop-v1.2.0"),
            title: text("Web shop v1.2.0"),
            version: version.clone(),
            strategy: crate::domain::plan::Strategy::Rolling,
            stages: vec![text("Database migrations"), text("Pod 1"), text("Pod 2")],
            features: vec![text("new dashboard"), text("advanced search")],
            fixes: 15,
            captain: text("maria"),
            start: time("2026-12-15T18:00:00Z"),
            zone: los_angeles(),
        },
        NoticeKind::FlagChanged {
            at: time("2026-12-15T18:22:00Z"),
            flag: text("new_dashboard"),
            id: "local/new_dashboard".into(),
            provider: text("local"),
            percent: None,
            by: text("john"),
            after: Some(text("0.1 s")),
            trouble: None,
            held: Some(text("Web shop v1.3.0")),
            people: vec![],
        },
        NoticeKind::FlagChanged {
            at: time("2026-12-15T18:22:00Z"),
            flag: text("new_dashboard"),
            id: "local/new_dashboard".into(),
            provider: text("local"),
            percent: Some(25.0),
            by: text("paula"),
            after: Some(text("0.1 s")),
            trouble: None,
            held: None,
            people: vec![],
        },
        NoticeKind::FlagChanged {
            at: time("2026-12-15T18:22:00Z"),
            flag: text("checkout"),
            id: "unleash/checkout".into(),
            provider: text("unleash"),
            percent: None,
            by: text("john"),
            after: Some(text("30.0 s")),
            trouble: Some(text("failed: tried until the time limit: `unleash` cannot be reached")),
            held: None,
            people: vec![who("john")],
        },
        reminder(0, 7, false),
        reminder(1, 31, true),
        reminder(2, -6, false),
        NoticeKind::FlagTicket {
            flag: text("new_dashboard"),
            id: "local/new_dashboard".into(),
            owner: Some(text("paula")),
            purpose: text("The new dashboard"),
            share: Some(text("open for 100 %")),
            full_since: Some(time("2026-12-15T18:22:00Z")),
            expires: Some(text("2027-01-15")),
            releases: vec![text("Web shop v1.3.0")],
        },
        NoticeKind::FreezeLifted { id: text("christmas"), reason: text("everyone is back") },
        NoticeKind::Unlocked {
            version: version.clone(),
            target: target.clone(),
            reason: text("the image is there now"),
        },
        NoticeKind::Locked { version, target, reason: text("it eats orders") },
    ]
}

pub(crate) fn notices() -> Vec<Notice> {
    let rollback = World::rolled_back();
    let told = |kinds: Vec<NoticeKind>, brief: Option<Brief>| {
        kinds.into_iter().map(move |kind| Notice { kind, brief: brief.clone(), public: false })
    };
    let mut all = announcements();
    all.extend(told(before_start(), brief(&World::counting_down())));
    all.extend(told(at_the_start(), brief(&World::ready())));
    all.extend(told(rolling_out(), brief(&World::soaking())));
    all.extend(told(afterwards(), brief(&World::rolled_out())));
    all.extend(told(going_back(), brief(&rollback)));
    all.extend(told(of_the_house(), None));
    all
}

#[test]
fn an_operators_own_announcement_is_checked_and_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("it can be written");
    };
    write("announce-party.md", "Cake for **{{ title }}**.");
    write("announce-broken.md", "{{ titel }}");
    let samples = samples();
    let samples: Vec<_> =
        samples.iter().map(|(name, seen)| (name.as_str(), seen.clone())).collect();
    let (messages, problems) = Messages::load(&built_in(), Some(folder.path()), &samples);
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let place = folder.path().join("announce-broken.md");
    assert_eq!(
        problems,
        [format!("{}:1: `titel` is not known here. Did you mean `title`?", place.display())]
    );
    let mut notice = notices().remove(0);
    if let NoticeKind::Announcement { template, .. } = &mut notice.kind {
        "announce-party".clone_into(template);
    }
    assert_eq!(read_aloud(&render(&messages, &notice, &scene())), "Cake for Web shop v1.2.0.");
}

/// How a message reads, with its buttons.
pub(crate) fn read_aloud(message: &Message) -> String {
    let mut text = markup::plain(&message.body);
    for row in &message.buttons {
        let button = |button: &Button| format!("[ {} ] {}", button.label, button.command);
        let row: Vec<_> = row.iter().map(button).collect();
        text.push_str(&format!("\n{}", row.join("\n")));
    }
    text
}

/// The names of all kinds, as serde knows them: a new kind cannot be forgotten here.
fn all_kinds() -> BTreeSet<String> {
    let unknown = serde_json::from_value::<NoticeKind>(json!({ "kind": "?" }));
    let complaint = unknown.expect_err("no kind is called like this").to_string();
    complaint.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_notice_has_a_template() {
    let files: BTreeSet<_> = built_in().into_iter().map(|(name, _)| name).collect();
    for kind in all_kinds().iter().filter(|kind| *kind != "announcement") {
        assert!(files.contains(format!("{kind}.md").as_str()), "messages/{kind}.md is missing");
    }
    let tag = |notice: &Notice| serde_json::to_value(&notice.kind).expect("plain")["kind"].clone();
    let shown: BTreeSet<_> =
        notices().iter().filter_map(|notice| tag(notice).as_str().map(str::to_owned)).collect();
    assert_eq!(shown, all_kinds(), "each kind is among the samples");
}

/// A plan that names another is refused.
#[test]
fn every_announcement_that_a_plan_may_name_ships() {
    let announced = notices().into_iter().filter_map(|notice| {
        let NoticeKind::Announcement { template, .. } = notice.kind else { return None };
        Some(template)
    });
    let announced: BTreeSet<_> = announced.collect();
    let known = crate::domain::announcement::TEMPLATES.map(str::to_owned);
    assert_eq!(BTreeSet::from(known), announced, "each is tried on a sample, and no other is");
}

#[test]
fn every_file_is_built_in() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/messages"));
    let files = folder.expect("the folder is there").filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.ends_with(".md").then_some(name)
    });
    let ours = built_in().into_iter().chain(crate::app::conversation::TEMPLATES.iter().copied());
    let built_in: BTreeSet<_> = ours.map(|(name, _)| name.to_owned()).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), built_in);
}

/// What the start-up check sees. Write it anew with `UPDATE_SAMPLES=1 cargo test samples`.
#[test]
fn the_samples_are_true() {
    let scene = scene();
    let of_notice = |notice: &Notice| (template(&notice.kind), context(notice, &scene));
    let mut all: Vec<(String, Value)> = notices().iter().map(of_notice).collect();
    all.extend(crate::app::cards::tests::samples());
    all.extend(crate::app::status::tests::samples());
    let lines = all.iter().map(|sample| serde_json::to_string(sample).expect("plain data"));
    let text = lines.map(|line| line + "\n").collect::<String>();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/app/samples.jsonl");
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::write(path, &text).expect("the sources can be written");
    }
    let kept = std::fs::read_to_string(path).expect("the samples are there");
    assert!(kept == text, "the samples have changed: UPDATE_SAMPLES=1 cargo test samples");
}

#[test]
fn how_each_notice_reads() {
    let (messages, scene) = (messages(), scene());
    let mut book = String::new();
    for notice in notices() {
        let name = template(&notice.kind);
        let message = render(&messages, &notice, &scene);
        let said = read_aloud(&message);
        book.push_str(&format!("── {name} · {:?}\n{said}\n\n", message.tone));
        assert!(!said.contains("could not be written"), "{said}");
        let emoji = said.chars().filter(|c| "📅🚀✅⛔⚠❌❓💬▶⏸⏳🔎↩🚨👉🏁🧊🌤🔓🔒📣🚫".contains(*c));
        assert!(emoji.count() <= 2, "one mark is enough: {said}");
        for button in message.buttons.iter().flatten() {
            assert!(button.command.len() <= 100, "{}", button.command);
        }
    }
    insta::assert_snapshot!(book);
}

#[test]
fn people_are_mentioned_by_their_id_here_and_named_elsewhere() {
    let (messages, notice) = (messages(), &notices()[13]);
    assert!(matches!(notice.kind, NoticeKind::VoteWanted { .. }));
    let here = render(&messages, notice, &scene());
    let elsewhere = render(&messages, notice, &Scene { platform: "slack", ..scene() });
    let mentions = |message: &Message| format!("{message:?}").contains("Mention");
    assert!(mentions(&here) && !mentions(&elsewhere));
}

#[test]
fn an_announcement_without_its_template_is_still_made() {
    let mut notice = notices().remove(0);
    notice.kind = NoticeKind::Announcement {
        template: "not-there".to_owned(),
        planned: time("2026-12-13T18:00:00Z"),
        late: false,
        at: time("2026-12-13T18:00:00Z"),
    };
    let said = read_aloud(&render(&messages(), &notice, &scene()));
    assert!(said.starts_with("📅 Web shop v1.2.0 goes out"), "{said}");
}

#[test]
fn whatever_the_sample_release_says_has_words() {
    let (messages, scene) = (messages(), scene());
    for (name, world) in crate::app::cards::tests::worlds() {
        for notice in world.notices() {
            let said = read_aloud(&render(&messages, notice, &scene));
            assert!(!said.trim().is_empty(), "{name}: {notice:?}");
            assert!(!said.contains("could not be written"), "{name}: {said}");
        }
    }
}
