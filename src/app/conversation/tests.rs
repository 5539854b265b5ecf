//! The conversation as transcripts: what is said, and what is answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};

use super::*;
use crate::app::clock::Clock;
use crate::app::markup;
use crate::domain::command::Command;
use crate::domain::plan::Plan;
use crate::domain::state::{Phase, Room as WarRoom};
use crate::ports::Form;
use crate::store::Store;

mod edges;

pub(super) const POLICY: &str = r#"
zone = "America/Los_Angeles"
rooms = [{ platform = "console", tenant = "local" }]

[people]
maria = { name = "Maria", accounts = ["console/local/maria"] }
quinn = { name = "Quinn", accounts = ["console/local/quinn"] }
sam = { name = "Sam", accounts = ["console/local/sam"] }
dave = { name = "Dave", accounts = ["console/local/dave"] }

[roles.captain]
title = "Captain"
members = ["maria"]
may = ["schedule", "start", "advance", "resume", "rollback", "checklist", "waive", "evidence",
    "update", "run", "freeze", "unlock", "accept-risk", "override"]
[roles.qa]
title = "QA"
members = ["quinn", "dave"]
may = ["checklist", "evidence"]
required = true
[roles.support]
title = "Support"
members = ["sam", "dave"]
required = true

[audiences]
internal = ["console/local/releases"]

[actions.deploy]
shows = "shop deploy --version {version}"
placeholders = ["version"]
limit = "5m"
[actions.health]
shows = "shop health"
placeholders = []
limit = "1m"
from_chat = true
[actions.restart]
shows = "shop restart {pod}"
placeholders = ["pod"]
limit = "1m"
from_chat = true

[rules]
rehearse_rollback = false
required_evidence = ["staging"]
"#;

pub(super) const PLAN: &str = r#"
[release]
service = "web-shop"
name = "Web shop"
version = "v1.2.0"
title = "New dashboard"
start = "tuesday 10:00"
captain = "maria"
strategy = "rolling"
commit = "4f1c2a9"

[[stage]]
name = "Everything"
action = "deploy"
traffic = 100
soak = "5m"
checks = ["health"]

[[smoke]]
name = "Health"
action = "health"

[[evidence]]
kind = "staging"
result = "pass"

[monitoring]
health = "health"
watchers = ["dave"]
[monitoring.oncall]
primary = "dave"
[[monitoring.metric]]
name = "Error rate"
warning = 1
critical = 5

[rollback]
to = "v1.1.9"
rto = "15m"
full = "2m"
constraints = ["The migration 0017 stays: it is additive."]
[[rollback.step]]
name = "Back to the old version"
action = "deploy"
with = { version = "v1.1.9" }

[[rollback.verify]]
name = "The old version answers"
action = "health"

[[checklist.item]]
section = "quality"
name = "Page weight"
limit = "LCP < 2.5 s"
[[checklist.item]]
section = "quality"
name = "Release notes read"
"#;

struct House {
    talk: Conversation,
    ids: AtomicU32,
    _dir: tempfile::TempDir,
}

pub(super) fn read_plan(_: &str, text: &str) -> Result<Plan, Vec<String>> {
    toml::from_str(text).map_err(|why| vec![why.message().to_owned()])
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

async fn house() -> House {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("a new log");
    let clock = Clock::standing(at("2026-12-13T08:00:00Z"));
    let engine = Engine::start(store, clock).await.expect("an engine");
    let policy = Box::new(toml::from_str(POLICY).expect("a policy"));
    for (id, command) in
        [("1", Command::Begin { jumpable: true }), ("2", Command::AdoptPolicy { policy })]
    {
        let request = Request { id: format!("start/{id}"), by: Actor::Operator, command };
        engine.ask(request).await.expect("it is recorded");
    }
    let (messages, problems) = crate::app::words::load(None);
    assert_eq!(problems, []);
    let embedded = vec![
        ("web-shop".to_owned(), PLAN.to_owned()),
        ("broken".to_owned(), "[release]\nservise = 1".to_owned()),
    ];
    let shelf = PlanShelf::new(embedded, None, read_plan);
    let talk = Conversation::new(engine, shelf, Arc::new(messages), Platforms::default());
    House { talk, ids: AtomicU32::new(0), _dir: dir }
}

impl House {
    async fn hear(&self, id: &str, user: &str, channel: Option<&str>, said: Said) -> Reply {
        let (platform, tenant) = ("console".to_owned(), "local".to_owned());
        let (id, user, channel) = (id.to_owned(), user.to_owned(), channel.map(str::to_owned));
        let heard = Heard { id, platform, tenant, user, channel, handle: None, said };
        match self.talk.hear(heard).await {
            Answered::Now(reply) => reply,
            Answered::Later => unreachable!("the console knows its people"),
        }
    }

    async fn says(&self, user: &str, line: &str) -> Reply {
        let id = format!("console/{}", self.ids.fetch_add(1, Ordering::Relaxed));
        self.hear(&id, user, None, Said::Line(line.to_owned())).await
    }

    async fn submits(&self, user: &str, form: &Form, fields: &[(&str, &str)]) -> Reply {
        let id = format!("console/{}", self.ids.fetch_add(1, Ordering::Relaxed));
        let fields: BTreeMap<_, _> =
            fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let command = form.command.clone();
        self.hear(&id, user, None, Said::Submitted { command, fields }).await
    }

    /// What was said and answered, one after the other.
    async fn transcript(&self, lines: &[(&str, &str)]) -> String {
        let mut all = String::new();
        for (user, line) in lines {
            let answer = shown(&self.says(user, line).await);
            all.push_str(&format!("{user}: {line}\n{answer}\n\n"));
        }
        all.trim_end().to_owned()
    }

    async fn scheduled(self) -> Self {
        self.says("maria", "schedule web-shop").await;
        self
    }

    fn phase(&self) -> Phase {
        let state = self.talk.engine.state();
        state.releases.values().next().expect("one is scheduled").phase
    }

    fn head(&self) -> u64 {
        self.talk.engine.store().head().seq
    }
}

/// Wrapped, so that a transcript can be read.
fn indented(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut shown = String::from("  ");
        for word in line.split(' ') {
            if shown.chars().count() + word.chars().count() > 88 {
                lines.push(std::mem::replace(&mut shown, "    ".into()));
            }
            shown.push_str(word);
            shown.push(' ');
        }
        lines.push(shown);
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Private(message) => {
            let mut text = indented(&markup::plain(&message.body));
            for row in &message.buttons {
                for button in row {
                    text.push_str(&format!("\n  [ {} ] {}", button.label, button.command));
                }
            }
            text
        }
        Reply::Form(form) => {
            let mut text = indented(&format!("({}) {}", form.title, form.command));
            text.push_str(&format!("\n{}", indented(&markup::plain(&form.text))));
            for field in &form.fields {
                let needed = if field.required { "*" } else { "" };
                text.push_str(format!("\n  {}{needed}: {}", field.name, field.value).trim_end());
            }
            format!("{text}\n  [ {} ]", form.submit)
        }
    }
}

fn form(reply: Reply) -> Form {
    match reply {
        Reply::Form(form) => form,
        Reply::Private(message) => panic!("no form: {}", markup::plain(&message.body)),
    }
}

#[tokio::test]
async fn a_release_is_scheduled_voted_on_and_moved() {
    let house = house().await;
    let said = house
        .transcript(&[
            ("maria", "status"),
            ("maria", "schedule web-shop"),
            ("quinn", "go"),
            ("quinn", "go v1.2.0"),
            ("dave", "no-go it's raining"),
            ("dave", "no-go it's raining --as support"),
            ("sam", "go"),
            ("quinn", "go --as support"),
            ("maria", "start"),
            ("maria", "reschedule tue 11:00 --reason \"people are late\""),
        ])
        .await;
    insta::assert_snapshot!(said, @r#"
    maria: status
      There is no release yet. /release schedule makes one, /release new does it with a
        form.

    maria: schedule web-shop
      📅 Web shop v1.2.0 is scheduled for Tue 15 Dec, 10:00 PST, America/Los_Angeles, captain
        Maria (#3).
      Next:
      - Sun 13 Dec, 10:00 PST: ask for go or no-go
      - Tue 15 Dec, 06:00 PST: remind who has not voted (T-4h)
      - Tue 15 Dec, 08:55 PST: open the war room
      [ Status ] status web-shop/production/v1.2.0#1
      [ Agenda ] agenda web-shop/production/v1.2.0#1

    quinn: go
      Your GO for QA is recorded (#4). 1 of 2 GO; waiting for Support. 2 checklist items are
        open.

    quinn: go v1.2.0
      QA is GO already (Quinn, 00:00). Nothing was changed. Web shop v1.2.0 now: waiting for
        1 sign-off and 2 checklist items.

    dave: no-go it's raining
      You hold several seats here: QA and Support. Say which one, for example /release go
        --as qa. Nothing was changed.
      [ NO-GO for QA ] no-go web-shop/production/v1.2.0#1 --as qa --revision 1
      [ NO-GO for Support ] no-go web-shop/production/v1.2.0#1 --as support --revision 1

    dave: no-go it's raining --as support
      Your NO-GO for Support is recorded (#7). 1 of 2 GO; against it: Support. 2 checklist
        items are open.

    sam: go
      Your GO for Support is recorded (#8). 2 of 2 GO. 2 checklist items are open.

    quinn: go --as support
      You can't sign for Support: that seat belongs to Dave or Sam. You may sign for QA.
        Nothing was changed.
      [ Roles ] roles

    maria: start
      T-0 is at Tue 15 Dec, 10:00 PST. To start earlier, reschedule: a move of up to 2 h
        keeps the votes. Nothing was changed.
      [ Reschedule ] reschedule web-shop/production/v1.2.0#1
      [ Status ] status web-shop/production/v1.2.0#1

    maria: reschedule tue 11:00 --reason "people are late"
      Web shop v1.2.0 now starts Tue 15 Dec, 11:00 PST, America/Los_Angeles (#11). The votes
        stand; the voters are told.
    "#);
}

#[tokio::test]
async fn the_checklist_is_judged_by_its_limits() {
    let house = house().await.scheduled().await;
    let said = house
        .transcript(&[
            ("quinn", "checklist pass page"),
            ("quinn", "checklist v1.2.0 pass page weight --value 3.1"),
            ("quinn", "checklist pass page --value two"),
            ("quinn", "checklist pass page --value 2,1"),
            ("sam", "checklist pass notes"),
            ("quinn", "checklist waive notes"),
            ("maria", "checklist waive notes --reason \"read aloud\""),
        ])
        .await;
    insta::assert_snapshot!(said, @r#"
    quinn: checklist pass page
      (Checklist of Web shop v1.2.0) checklist web-shop/production/v1.2.0#1 pass
      ⚠️ It is judged by LCP < 2.5 s. Give the number that was measured, or a link to where
        it can be seen. To fail or to waive it instead takes a reason.
      item*: quality/page-weight
      value:
      link:
      [ Save ]

    quinn: checklist v1.2.0 pass page weight --value 3.1
      Page weight has failed: 3.1 s (LCP < 2.5 s) (#4). 2 items are still open.
      [ Checklist ] checklist web-shop/production/v1.2.0#1

    quinn: checklist pass page --value two
      two is not a number.
      For example: /release checklist v1.2.0 pass rollback-rehearsed --link
        https://ci.example/7

    quinn: checklist pass page --value 2,1
      Page weight has passed: 2,1 s (LCP < 2.5 s) (#5). 1 item is still open.
      [ Checklist ] checklist web-shop/production/v1.2.0#1

    sam: checklist pass notes
      You may not tick the checklist: that is for Captain or QA. Nothing was changed.

    quinn: checklist waive notes
      (Checklist of Web shop v1.2.0) checklist web-shop/production/v1.2.0#1 waive
      Show the checklist, or tick, fail, waive or reopen an item. An item is named by any
        part of its name that fits it alone. To fail or to waive one takes a reason. An item
        with a limit, such as LCP < 2.5 s, is judged by --value, or passed with a --link to
        where it was measured.
      item*: quality/release-notes-read
      reason*:
      [ Save ]

    maria: checklist waive notes --reason "read aloud"
      Release notes read is waived: read aloud (#7). The checklist is green.
    "#);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_would_be_right() {
    let house = house().await.scheduled().await;
    let before = house.head();
    let said = house
        .transcript(&[
            ("maria", "shedule web-shop"),
            ("maria", "schedule wep-shop"),
            ("maria", "schedule broken"),
            ("maria", "schedule web-shop tomorow"),
            ("maria", "schedule web-shop 2026-12-01 10:00"),
            ("maria", "status v9.9.9"),
            ("maria", "scrub v1.2.1 wrong build"),
            ("maria", "run health pod"),
            ("maria", "help hold"),
        ])
        .await;
    assert_eq!(house.head(), before, "nothing of it is in the log");
    insta::assert_snapshot!(said, @r"
    maria: shedule web-shop
      I don't know /release shedule. Did you mean schedule?
      For example: /release schedule web-shop-v1.2.0 tue 10:00
      [ Help ] help schedule

    maria: schedule wep-shop
      I don't know the plan wep-shop. Say broken or web-shop.
      For example: /release schedule web-shop-v1.2.0 tue 10:00

    maria: schedule broken
      The plan broken.toml cannot be read. Nothing was scheduled.
      - unknown field servise, expected one of service, name, environment, version,
        artifact, commit, tag, title, start, zone, kind, captain, deployer, backup,
        strategy, rationale, advance_within, downtime, duration, impact, user_facing,
        support, notes_url, plan_url

    maria: schedule web-shop tomorow
      I don't understand the time tomorow. Say 2026-12-01 10:00 Europe/Berlin, tomorrow
        10:00, tue 10:00 or in 3h.
      For example: /release schedule web-shop-v1.2.0 tue 10:00

    maria: schedule web-shop 2026-12-01 10:00
      Tue 1 Dec, 10:00 PST is in the past. The next one is 2026-12-13 10:00
        America/Los_Angeles.
      For example: /release schedule web-shop-v1.2.0 tue 10:00

    maria: status v9.9.9
      I don't know the release v9.9.9. Did you mean one of these? Nothing was changed.
      [ Web shop v1.2.0 (production) ] status web-shop/production/v1.2.0#1

    maria: scrub v1.2.1 wrong build
      I don't know the release v1.2.1. Did you mean one of these? Nothing was changed.
      [ Web shop v1.2.0 (production) ] scrub web-shop/production/v1.2.0#1 wrong build

    maria: run health pod
      pod is no argument. Write name=value.
      For example: /release run health pod=2

    maria: help hold
      hold: Stop the next step from beginning; anybody may.
      /release hold [RELEASE] REASON…
      What runs finishes. A false alarm costs minutes: hold first, look then.
      - RELEASE: The release
      - REASON: Why
      For example: /release hold v1.2.0 p95 doubled on pod 2
    ");
}

#[tokio::test]
async fn a_stranger_learns_nothing_and_the_attempt_is_on_record() {
    let house = house().await.scheduled().await;
    let before = house.head();
    let said = house
        .transcript(&[("eve", "status"), ("eve", "no-go"), ("eve", "xyzzy"), ("eve", "go")])
        .await;
    assert_eq!(house.head(), before + 2);
    insta::assert_snapshot!(said, @r"
    eve: status
      I don't know the account console/local/eve, so I neither tell you about releases nor
        take your commands. Ask the operator to link it to a person in the configuration,
        under [people].

    eve: no-go
      I don't know the account console/local/eve. Ask the operator to link it to a person in
        the configuration, under [people]. Nothing was changed.

    eve: xyzzy
      I don't know the account console/local/eve, so I neither tell you about releases nor
        take your commands. Ask the operator to link it to a person in the configuration,
        under [people].

    eve: go
      I don't know the account console/local/eve. Ask the operator to link it to a person in
        the configuration, under [people]. Nothing was changed.
    ");
}

#[tokio::test]
async fn a_form_asks_for_what_is_missing_and_keeps_what_was_typed() {
    let house = house().await.scheduled().await;
    let asked = form(house.says("sam", "no-go").await);
    assert_eq!(asked.command, "no-go web-shop/production/v1.2.0#1");
    let blank = form(house.submits("sam", &asked, &[("reason", " ")]).await);
    assert_eq!(blank.fields[0].problem, "Reason is missing.");
    let long = "x".repeat(10_000);
    let kept = form(house.submits("sam", &asked, &[("reason", &long)]).await);
    assert_eq!(kept.fields[0].value, long);
    assert!(markup::plain(&kept.text).contains("longer than 1000 characters"));
    let done = house.submits("sam", &asked, &[("reason", "--as qa? \"no\"")]).await;
    assert!(shown(&done).contains("Your NO-GO for Support is recorded"), "{}", shown(&done));
    let moved = form(house.says("maria", "reschedule").await);
    let typed = [("when", "tue 25:00"), ("reason", "later")];
    let again = form(house.submits("maria", &moved, &typed).await);
    assert_eq!(again.fields[0].value, "tue 25:00");
    assert_eq!(again.fields[1].value, "later");
    assert_eq!(again.command, moved.command);
}

#[tokio::test]
async fn a_text_of_ten_thousand_characters_is_refused_clearly() {
    let house = house().await.scheduled().await;
    let answer = shown(&house.says("sam", &format!("hold {}", "x".repeat(10_000))).await);
    assert!(answer.contains("10005 characters long, and I read no more than 6000"), "{answer}");
    assert!(answer.contains("have more than 1000"), "{answer}");
    let answer = shown(&house.says("sam", &format!("hold {}", "x ".repeat(1_001))).await);
    assert!(answer.contains("longer than 1000 characters"), "{answer}");
    assert_eq!(house.phase(), Phase::CountingDown);
}

#[tokio::test]
async fn an_answer_repeats_no_page_of_what_was_said() {
    let house = house().await.scheduled().await;
    let long = "y".repeat(5_000);
    for start in [
        "",
        "status ",
        "run ",
        "go --as ",
        "override ",
        "schedule ",
        "hold ",
        "handover ",
        "freeze lift ",
        "checklist pass ",
        "checklist pass --item ",
        "checklist pass --link ",
    ] {
        let answer = shown(&house.says("maria", &format!("{start}{long} no way")).await);
        assert!(!answer.contains(&"y".repeat(200)), "{start}: {answer}");
    }
}

#[tokio::test]
async fn a_new_release_comes_from_a_form() {
    let house = house().await;
    let new = form(house.says("maria", "new").await);
    let problem = |form: &Form, name: &str| {
        let field = form.fields.iter().find(|field| field.name == name);
        field.expect("it is asked for").problem.clone()
    };
    let captain = new.fields.iter().find(|field| field.name == "captain").expect("it is asked for");
    assert_eq!(captain.value, "maria", "whoever asks, if they may");
    let fields = [("plan", "web-shop"), ("on", "2026-12-16")];
    let again = form(house.submits("maria", &new, &fields).await);
    assert!(problem(&again, "at").contains("Say the time of day as well"));
    let fields = [("plan", "web-shop"), ("on", "2026-12-01"), ("at", "09:00")];
    let again = form(house.submits("maria", &again, &fields).await);
    assert!(problem(&again, "on").contains("in the past"), "{}", problem(&again, "on"));
    let fields = [("plan", "web-shop"), ("version", "--help")];
    let again = form(house.submits("maria", &again, &fields).await);
    assert!(problem(&again, "version").contains("is no version"));
    let fields = [
        ("plan", "web-shop"),
        ("on", "2026-12-16"),
        ("at", "09:00"),
        ("version", "v1.3.0"),
        ("captain", "maria"),
    ];
    let answer = shown(&house.submits("maria", &again, &fields).await);
    assert!(answer.contains("Web shop v1.3.0 is scheduled for Wed 16 Dec, 09:00 PST"), "{answer}");
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_acts_once() {
    let house = house().await.scheduled().await;
    let line = |line: &str| Said::Line(line.to_owned());
    let first = house.hear("console/x", "maria", None, line("scrub it leaks")).await;
    let head = house.head();
    assert_eq!(house.phase(), Phase::Scrubbed);
    assert_eq!(house.hear("console/x", "maria", None, line("scrub it leaks")).await, first);
    assert_eq!(house.head(), head);
}

#[tokio::test]
async fn several_releases_are_offered_as_buttons_unless_the_room_tells() {
    let house = house().await.scheduled().await;
    house.says("maria", "schedule web-shop wed 10:00 --version v1.3.0").await;
    let said = house.transcript(&[("sam", "hold it burns"), ("sam", "status web-shop")]).await;
    insta::assert_snapshot!(said, @r"
    sam: hold it burns
      Which release do you mean? Choose one, or say it: v1.2.0, or web-shop v1.2.0.
      [ Web shop v1.3.0 (production) ] hold web-shop/production/v1.3.0#1 it burns
      [ Web shop v1.2.0 (production) ] hold web-shop/production/v1.2.0#1 it burns

    sam: status web-shop
      Which release do you mean? Choose one, or say it: v1.2.0, or web-shop v1.2.0.
      [ Web shop v1.3.0 (production) ] status web-shop/production/v1.3.0#1
      [ Web shop v1.2.0 (production) ] status web-shop/production/v1.2.0#1
    ");
    let release = ReleaseId::of("web-shop", "production", "v1.3.0", 1);
    let (platform, channel) = ("console".to_owned(), "C7".to_owned());
    let room = WarRoom { platform, channel, name: "release-v1-3-0".into(), instead: None };
    let command = Command::RoomOpened { release: release.clone(), room };
    let request = Request { id: "room".into(), by: Actor::Neighbour, command };
    house.talk.engine.ask(request).await.expect("it is recorded");
    house.hear("console/y", "sam", Some("C7"), Said::Line("hold it burns".into())).await;
    let state = house.talk.engine.state();
    assert!(state.releases[&release].held.is_some());
}

#[tokio::test]
async fn a_rollback_is_confirmed_with_everything_spelled_out() {
    let house = house().await.scheduled().await;
    let too_soon = shown(&house.says("maria", "rollback").await);
    assert!(too_soon.contains("Nothing was deployed yet"), "{too_soon}");
    house
        .transcript(&[
            ("maria", "checklist pass page --value 1"),
            ("maria", "checklist pass notes"),
            ("quinn", "go"),
            ("sam", "go"),
        ])
        .await;
    assert_eq!(house.phase(), Phase::Ready);
    house.talk.engine.clock().set(at("2026-12-15T18:00:01Z"));
    let started = shown(&house.says("maria", "start").await);
    assert!(started.contains("has started"), "{started}");
    let confirm = form(house.says("maria", "rollback --reason \"it's slow\"").await);
    insta::assert_snapshot!(shown(&Reply::Form(confirm.clone())), @r#"
    (Roll back Web shop v1.2.0) rollback --reason="it's slow" --from=v1.2.0 --to=v1.1.9
      --confirmed web-shop/production/v1.2.0#1
    Roll back Web shop production from v1.2.0 to v1.1.9? What runs now is stopped first.
    1 step, about 2 min (the limit is 15 min):
    - Back to the old version
    What cannot be rolled back:
    - The migration 0017 stays: it is additive.
    [ Roll back to v1.1.9 ]
    "#);
    let stale = Form { command: confirm.command.replace("v1.1.9", "v1.1.8"), ..confirm.clone() };
    let again = form(house.submits("maria", &stale, &[]).await);
    assert!(markup::plain(&again.text).starts_with("⚠️ What would be rolled back has changed"));
    assert_eq!(again.command, confirm.command);
    let done = shown(&house.submits("maria", &again, &[]).await);
    assert!(done.contains("goes back from v1.2.0 to v1.1.9"), "{done}");
    assert_eq!(house.phase(), Phase::RollingBack);
}

#[tokio::test]
async fn a_button_that_came_too_late_is_answered_before_anything_is_asked() {
    let house = house().await.scheduled().await;
    let said = house
        .transcript(&[
            ("maria", "scrub v1.2.0 wrong build"),
            ("quinn", "no-go v1.2.0 --as qa"),
            ("maria", "hold v1.2.0"),
            ("maria", "scrub v1.2.0"),
            ("maria", "reschedule v1.2.0"),
            ("maria", "update v1.2.0"),
            ("maria", "outcome v1.2.0 worked --run stage-2/1"),
        ])
        .await;
    insta::assert_snapshot!(said, @r"
    maria: scrub v1.2.0 wrong build
      Web shop v1.2.0 is called off: wrong build (#4). Whoever was told of it is told.

    quinn: no-go v1.2.0 --as qa
      Web shop v1.2.0 is scrubbed. The poll is over. Nothing was changed.
      [ Status ] status web-shop/production/v1.2.0#1

    maria: hold v1.2.0
      Web shop v1.2.0 is scrubbed. There is nothing to hold. Nothing was changed.
      [ Status ] status web-shop/production/v1.2.0#1

    maria: scrub v1.2.0
      Web shop v1.2.0 is scrubbed. There is nothing left to call off. Nothing was changed.
      [ Status ] status web-shop/production/v1.2.0#1

    maria: reschedule v1.2.0
      Web shop v1.2.0 is scrubbed. Only what has not started can be moved. Nothing was
        changed.
      [ Status ] status web-shop/production/v1.2.0#1

    maria: update v1.2.0
      Web shop v1.2.0 is scrubbed. Its room has no more updates. Nothing was changed.
      [ Status ] status web-shop/production/v1.2.0#1

    maria: outcome v1.2.0 worked --run stage-2/1
      That button is out of date: its step is settled. No step waits for a decision now.
        Nothing was changed. Web shop v1.2.0 now: called off.
      [ Status ] status web-shop/production/v1.2.0#1
    ");
}

#[tokio::test]
async fn without_dialogs_a_form_is_a_line_to_send() {
    let house = house().await.scheduled().await;
    let asked = form(house.says("sam", "no-go --as support").await);
    let message = house.talk.as_line(&asked, "console", None);
    assert_eq!(
        markup::plain(&message.body),
        "Sign NO-GO for your seat, with the reason.\n\nTo do it: \
         /release no-go --as=support v1.2.0 <reason>"
    );
}

#[tokio::test]
async fn completion_knows_verbs_releases_items_roles_and_people() {
    let house = house().await.scheduled().await;
    let complete = |line: &str| {
        let found = house.talk.complete(("console", "local", "maria"), None, line);
        found.into_iter().map(|one| one.text).collect::<Vec<_>>().join(" | ")
    };
    assert_eq!(complete("re"), "reschedule | resume | red | retry | report | freeze");
    assert_eq!(complete("go "), "go v1.2.0 | go --as");
    assert_eq!(complete("go --as "), "go --as qa | go --as support");
    assert_eq!(complete("checklist pass pa"), "checklist pass quality/page-weight");
    assert_eq!(complete("checklist v1.2.0 pa"), "checklist v1.2.0 pass");
    assert_eq!(complete("handover v1.2.0 ma"), "handover v1.2.0 maria");
    assert_eq!(complete("schedule w"), "schedule web-shop");
    assert_eq!(complete("freeze l"), "freeze list | freeze lift");
    assert_eq!(complete("run "), "run v1.2.0 | run health | run restart");
}

#[tokio::test]
async fn freezes_and_locks_belong_to_the_house() {
    let house = house().await.scheduled().await;
    let said = house
        .transcript(&[
            ("maria", "freeze add \"fri 18:00\" \"mon 8:00\" weekend"),
            ("maria", "freeze list"),
            ("maria", "freeze lift"),
            ("maria", "freeze lift 2026-12-18-weekend it rains"),
            ("maria", "lock v1.1.0 eats carts"),
            ("maria", "unlock v1.1.0"),
            ("quinn", "unlock v1.1.0 it is fine"),
        ])
        .await;
    insta::assert_snapshot!(said, @r#"
    maria: freeze add "fri 18:00" "mon 8:00" weekend
      Frozen from Fri 18 Dec, 18:00 PST until Mon 21 Dec, 08:00 PST, America/Los_Angeles:
        weekend (#4). /release freeze lift 2026-12-18-weekend REASON ends it early.

    maria: freeze list
      1 freeze: nothing starts while one is in force.
      Freeze | Covers | From | Until | Why
      2026-12-18-weekend | everything | Fri 18 Dec, 18:00 PST | Mon 21 Dec, 08:00 PST |
        weekend

    maria: freeze lift
      (Lift a freeze) freeze lift
      End a freeze early.
      id*:
      reason*:
      [ Lift ]

    maria: freeze lift 2026-12-18-weekend it rains
      The freeze 2026-12-18-weekend is lifted: it rains (#5).

    maria: lock v1.1.0 eats carts
      v1.1.0 is locked on web-shop/production: eats carts (#6).

    maria: unlock v1.1.0
      (Unlock a version) unlock
      Let a locked version be deployed again. A version that was rolled back is locked until
        somebody says why it is safe now.
      version*: v1.1.0
      reason*:
      [ Unlock ]

    quinn: unlock v1.1.0 it is fine
      You may not lift or set a lock: that is for Captain. Nothing was changed.
    "#);
}

#[tokio::test]
async fn help_names_every_verb() {
    let house = house().await;
    let help = markup::plain(&message_of(house.says("maria", "help").await).body);
    for group in grammar::groups() {
        assert!(help.contains(group.title));
        for verb in group.verbs {
            assert!(help.contains(&format!("/release {verb}")), "{verb}");
        }
    }
}

#[tokio::test]
async fn a_lone_word_is_what_the_verb_needs_most() {
    let house = house().await.scheduled().await;
    let said = house
        .transcript(&[
            ("quinn", "go qa"),
            ("maria", "edit web-shop"),
            ("maria", "handover quinn"),
            ("maria", "evidence staging fail --note \"too slow\""),
        ])
        .await;
    insta::assert_snapshot!(said, @r#"
    quinn: go qa
      Your GO for QA is recorded (#4). 1 of 2 GO; waiting for Support. 2 checklist items are
        open.

    maria: edit web-shop
      That is the plan it has. Nothing was changed. Web shop v1.2.0 now: waiting for 1
        sign-off and 2 checklist items.

    maria: handover quinn
      Quinn is the captain of Web shop v1.2.0 now (#6).

    maria: evidence staging fail --note "too slow"
      The finding on staging is recorded (#7). It is no-go until that is mended and reported
        anew.
    "#);
}

#[tokio::test]
async fn a_preview_shows_what_is_still_to_be_announced_and_sends_nothing() {
    let house = house().await;
    house.says("maria", "schedule web-shop").await;
    let head = house.talk.engine.store().head();
    let Reply::Private(message) = house.says("quinn", "announce preview").await else {
        panic!("a preview is an answer")
    };
    let said = markup::plain(&message.body);
    assert_eq!(said, "Everything that was to be announced has been.", "the policy plans none");
    assert_eq!(house.talk.engine.store().head(), head, "nothing was recorded");
}
