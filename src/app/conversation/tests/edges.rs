//! What people say at the edges of the grammar and of the rules.

use super::*;
use crate::domain::command::{RunEnd, RunOutcome};

#[tokio::test]
async fn an_argument_that_no_backend_would_take_is_refused_when_it_is_said() {
    let house = house().await.scheduled().await;
    let said = house
        .transcript(&[
            ("maria", "run restart \"pod=2;reboot\""),
            ("maria", "run restart pod="),
            ("maria", "run restart pod=2 pod=3"),
            ("maria", "run restart pd=2"),
        ])
        .await;
    insta::assert_snapshot!(said, @r#"
    maria: run restart "pod=2;reboot"
      The argument pod of restart holds ;: "2;reboot". Allowed are 1 to 200 letters (a-z),
        digits and ._-+:@/=%,~#^, no - in front and no .. part. Nothing was changed.

    maria: run restart pod=
      The argument pod of restart is empty: "". Allowed are 1 to 200 letters (a-z), digits
        and ._-+:@/=%,~#^, no - in front and no .. part. Nothing was changed.

    maria: run restart pod=2 pod=3
      pod is given twice, as 2 and as 3. Say it once.
      For example: /release run health pod=2

    maria: run restart pd=2
      The argument pd of restart is not in the plan or the policy. It takes pod. Nothing was
        changed.
    "#);
    let state = house.talk.engine.state();
    assert!(state.releases.values().all(|release| release.runs.is_empty()), "nothing was run");
}

/// Deploys its only stage, and nobody can tell how that ended.
async fn unknown() -> House {
    let house = house().await.scheduled().await;
    let all = ["checklist pass page --value 1", "checklist pass notes"].map(|line| ("maria", line));
    house.transcript(&[all[0], all[1], ("quinn", "go"), ("sam", "go")]).await;
    house.talk.engine.clock().set(at("2026-12-15T18:00:01Z"));
    house.says("maria", "start").await;
    house.ends("1", RunOutcome::Unknown("we were away".into())).await;
    house
}

impl House {
    /// The run that is underway ends so.
    async fn ends(&self, id: &str, outcome: RunOutcome) {
        let (release, run) = {
            let state = self.talk.engine.state();
            let release = state.releases.values().next().expect("one is scheduled");
            (release.id.clone(), release.running().next().expect("one runs").id.clone())
        };
        let end = RunEnd { outcome, took_ms: 2_000, tail: String::new(), digest: String::new() };
        let command = Command::Ended { release, run, end };
        let request = Request { id: format!("effect/{id}"), by: Actor::Neighbour, command };
        self.talk.engine.ask(request).await.expect("it is recorded");
    }

    fn attempts(&self) -> usize {
        let state = self.talk.engine.state();
        state.releases.values().map(|release| release.runs.len()).sum()
    }
}

#[tokio::test]
async fn what_may_have_run_already_is_repeated_only_when_that_is_confirmed() {
    let house = unknown().await;
    let asked = form(house.says("maria", "retry").await);
    assert_eq!(house.attempts(), 1, "nothing runs before it is confirmed");
    insta::assert_snapshot!(shown(&Reply::Form(asked.clone())), @r#"
    (Run Everything again) retry --despite=1 web-shop/production/v1.2.0#1
    Everything may have run already. It has an unknown outcome: we were away, so nobody
      can tell whether attempt 1 did its work. Look first: once more may do it twice.
    If it worked, say so instead: /release outcome v1.2.0 worked "how you know". deploy is
      run again only if you confirm.
    [ Run it again ]
    "#);
    let done = shown(&house.submits("maria", &asked, &[]).await);
    assert_eq!(house.attempts(), 2, "{done}");
    house.ends("2", RunOutcome::Unknown("we were away".into())).await;
    let stale = form(house.submits("maria", &asked, &[]).await);
    let said = markup::plain(&stale.text);
    assert!(said.starts_with("⚠️ Another attempt has ended since this was shown."), "{said}");
    assert_eq!(stale.command, "retry --despite=2 web-shop/production/v1.2.0#1");
    let refused = shown(&house.says("sam", "retry").await);
    assert!(refused.contains("You may not"), "{refused}");
    assert_eq!(house.attempts(), 2);
}

#[tokio::test]
async fn what_failed_for_certain_is_repeated_at_once() {
    let house = unknown().await;
    let line = form(house.says("maria", "retry").await).command;
    house.says("maria", &line).await;
    house.ends("2", RunOutcome::Failed("exit status 1".into())).await;
    house.says("maria", "retry").await;
    assert_eq!(house.attempts(), 3);
}

#[tokio::test]
async fn every_command_that_is_named_has_the_prefix_of_the_chat() {
    let mut house = unknown().await;
    house.talk.platforms = std::sync::Arc::new(Platforms {
        prefixes: [("console".to_owned(), "/ship".to_owned())].into(),
        ..Platforms::default()
    });
    let said = house
        .transcript(&[
            ("maria", "advance"),
            ("maria", "start"),
            ("maria", "scrub it is late"),
            ("quinn", "go"),
            ("maria", "hold it is dark"),
            ("maria", "handover nobody"),
            ("maria", "shedule"),
            ("maria", "help resume"),
            ("maria", "status"),
        ])
        .await;
    insta::assert_snapshot!(said, @r"
    maria: advance
      Web shop v1.2.0 is on hold: Everything has an unknown outcome: we were away. Resume it
        first. Nothing was changed.
      [ Resume ] resume web-shop/production/v1.2.0#1
      [ Status ] status web-shop/production/v1.2.0#1

    maria: start
      Web shop v1.2.0 has started already. Nothing was changed. Web shop v1.2.0 now: on hold
        at Everything · waiting for a decision about Everything.

    maria: scrub it is late
      Web shop v1.2.0 is deploying. Something is deployed already: /ship rollback takes it
        back. Nothing was changed.
      [ Status ] status web-shop/production/v1.2.0#1

    quinn: go
      Web shop v1.2.0 is deploying. The poll closed with the start. To stop it now: /ship
        hold or /ship rollback. Nothing was changed.
      [ Status ] status web-shop/production/v1.2.0#1

    maria: hold it is dark
      It is on hold already: Everything has an unknown outcome: we were away. Nothing was
        changed. Web shop v1.2.0 now: on hold at Everything · waiting for a decision about
        Everything.

    maria: handover nobody
      The person nobody is not in the plan or the policy. /ship roles shows who is known.
        Nothing was changed.

    maria: shedule
      I don't know /ship shedule. Did you mean schedule?
      For example: /ship schedule web-shop-v1.2.0 tue 10:00
      [ Help ] help schedule

    maria: help resume
      resume: Lift the hold.
      /ship resume [RELEASE]
      - RELEASE: The release
      For example: /ship resume v1.2.0

    maria: status
      Web shop v1.2.0 is on hold: Everything has an unknown outcome: we were away (just
        now). It waits for a decision about Everything.
      Who can do it: Dave or Maria.
      Next: escalate to the next contact, Tue 15 Dec, 10:05 PST (in 5 min).
      [ Retry ] retry web-shop/production/v1.2.0#1 --run stage-1/1
      [ It worked ] outcome web-shop/production/v1.2.0#1 worked --run stage-1/1
      [ It failed ] outcome web-shop/production/v1.2.0#1 failed --run stage-1/1
      [ Roll back to v1.1.9 ] rollback web-shop/production/v1.2.0#1 --from v1.2.0 --to v1.1.9
    ");
    assert!(!said.contains("/release"), "{said}");
}

#[tokio::test]
async fn an_item_with_a_limit_is_settled_by_a_number_a_link_or_a_reason() {
    let house = house().await.scheduled().await;
    let said = house
        .transcript(&[
            ("quinn", "checklist pass page"),
            ("quinn", "checklist pass page --link https://ci.example/lcp"),
            ("quinn", "checklist fail page --reason \"a new font came in\""),
            ("quinn", "checklist waive page --reason \"an internal page\""),
            ("maria", "checklist waive page --reason \"an internal page\""),
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

    quinn: checklist pass page --link https://ci.example/lcp
      Page weight has passed (#4). 1 item is still open.
      [ Checklist ] checklist web-shop/production/v1.2.0#1

    quinn: checklist fail page --reason "a new font came in"
      Page weight has failed: a new font came in (#5). 2 items are still open.
      [ Checklist ] checklist web-shop/production/v1.2.0#1

    quinn: checklist waive page --reason "an internal page"
      You may not waive a checklist item: that is for Captain. Nothing was changed.

    maria: checklist waive page --reason "an internal page"
      Page weight is waived: an internal page (#7). 1 item is still open.
      [ Checklist ] checklist web-shop/production/v1.2.0#1
    "#);
    let asked = form(house.says("quinn", "checklist pass page").await);
    let done = shown(
        &house.submits("quinn", &asked, &[("item", "quality/page-weight"), ("value", "2.1")]).await,
    );
    assert!(done.contains("Page weight has passed: 2.1 s"), "{done}");
}

#[tokio::test]
async fn help_and_hints_say_what_there_is() {
    let house = house().await.scheduled().await;
    let long = format!("update {}", "x".repeat(1_001));
    let told = shown(&house.says("maria", &long).await);
    assert!(told.starts_with("  \"What happened\" is longer than 1000 characters."), "{told}");
    let long = format!("hold {}", "x".repeat(1_001));
    let told = shown(&house.says("maria", &long).await);
    assert!(told.starts_with("  The reason is longer than 1000 characters."), "{told}");
    let said = house
        .transcript(&[
            ("maria", "help freeze"),
            ("maria", "help checklist"),
            ("maria", "help rollbak"),
            ("maria", "help freeze ad"),
            ("maria", "schedule web-shop tue 10:00 --wat"),
            ("maria", "schedule web-shop --versoin v1"),
            ("maria", "go --wat"),
            ("maria", "resume --wat"),
            ("maria", "freeze add 'fri 18:00' 'mon 08:00' it's a weekend"),
        ])
        .await;
    insta::assert_snapshot!(said, @r#"
    maria: help freeze
      freeze: List, add or lift freezes, in which nothing starts.
      /release freeze list|add|lift
      For example: /release freeze list
      freeze list: List the freezes. /release freeze list, for example /release freeze list
      freeze add: Keep everything from starting for a while. /release freeze add FROM UNTIL
        REASON… [--service SERVICE] [--environment ENVIRONMENT], for example /release freeze
        add "fri 18:00" "mon 08:00" weekend --service web-shop
      - FROM: When it begins, in quotes
      - UNTIL: When it ends, in quotes
      - REASON: Why
      - --service SERVICE: Only this service
      - --environment ENVIRONMENT: Only this environment
      freeze lift: End a freeze early. /release freeze lift FREEZE REASON…, for example
        /release freeze lift freeze-1 the fix cannot wait
      - FREEZE: The freeze
      - REASON: Why

    maria: help checklist
      checklist: Show the checklist, or tick, fail, waive or reopen an item.
      /release checklist [RELEASE] [ACT] [ITEM…] [--reason REASON] [--link URL] [--value
        NUMBER]
      An item is named by any part of its name that fits it alone. To fail or to waive one
        takes a reason. An item with a limit, such as LCP < 2.5 s, is judged by --value, or
        passed with a --link to where it was measured.
      - RELEASE: The release
      - ACT: What to do: show, pass, fail, waive or reopen
      - ITEM: The item
      - --reason REASON: Why
      - --link URL: Where it can be seen
      - --value NUMBER: The number that was measured
      For example:
      - /release checklist v1.2.0 pass rollback-rehearsed --link https://ci.example/7
      - /release checklist v1.2.0 pass page-weight --value 2.1
      - /release checklist v1.2.0 fail page-weight --reason "a new font came in"
      - /release checklist v1.2.0 waive page-weight --reason "an internal page"
      - /release checklist v1.2.0 reopen page-weight

    maria: help rollbak
      I don't know /release rollbak. Did you mean rollback?
      For example: /release rollback v1.2.0 --reason "checkout fails"
      [ Help ] help rollback

    maria: help freeze ad
      ad is none of list, add or lift. Did you mean add?
      For example: /release freeze add "fri 18:00" "mon 08:00" weekend --service web-shop
      [ Help ] help freeze add

    maria: schedule web-shop tue 10:00 --wat
      schedule has no option --wat. Did you mean --at? Its options are --on, --at,
        --captain, --version, --title and --artifact.
      For example: /release schedule web-shop-v1.2.0 tue 10:00
      [ Help ] help schedule

    maria: schedule web-shop --versoin v1
      schedule has no option --versoin. Did you mean --version? Its options are --on, --at,
        --captain, --version, --title and --artifact.
      For example: /release schedule web-shop-v1.2.0 tue 10:00
      [ Help ] help schedule

    maria: go --wat
      go has no option --wat. Its only option is --as.
      For example: /release go v1.2.0 --as qa
      [ Help ] help go

    maria: resume --wat
      resume has no option --wat. It has none.
      For example: /release resume v1.2.0
      [ Help ] help resume

    maria: freeze add 'fri 18:00' 'mon 08:00' it's a weekend
      Frozen from Fri 18 Dec, 18:00 PST until Mon 21 Dec, 08:00 PST, America/Los_Angeles:
        it's a weekend (#4). /release freeze lift 2026-12-18-it-s-a-weekend REASON ends it
        early.
    "#);
}

/// Both ends of a freeze count from now, unless only the end's weekday or hour is said.
#[tokio::test]
async fn a_freeze_ends_when_it_was_said_to() {
    let house = house().await.scheduled().await;
    house.talk.engine.clock().set(at("2026-12-13T18:00:00Z"));
    for (number, (span, said)) in [
        ("\"in 2h\" \"in 4h\"", "from Sun 13 Dec, 12:00 PST until Sun 13 Dec, 14:00 PST"),
        ("\"tomorrow 9:00\" \"tomorrow 17:00\"", "until Mon 14 Dec, 17:00 PST"),
        ("\"tomorrow 9:00\" \"17:00\"", "until Mon 14 Dec, 17:00 PST"),
        ("\"fri 18:00\" \"mon 8:00\"", "until Mon 21 Dec, 08:00 PST"),
        ("\"in 4h\" \"in 2h\"", "A freeze until in 2h would end before it begins."),
        ("\"tomorrow 9:00\" \"tomorrow 8:00\"", "would end before it begins."),
    ]
    .iter()
    .enumerate()
    {
        let answer = house.says("maria", &format!("freeze add {span} why {number}")).await;
        let answer = shown(&answer);
        let answer = answer.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(answer.contains(said), "{span}: {answer}");
    }
}

#[tokio::test]
async fn what_waits_for_its_time_has_no_age() {
    let house = house().await.scheduled().await;
    let lines = ["checklist pass page --value 1", "checklist pass notes"];
    house.transcript(&[("maria", lines[0]), ("maria", lines[1])]).await;
    house.transcript(&[("quinn", "go"), ("sam", "go")]).await;
    house.talk.engine.clock().set(at("2026-12-13T08:05:00Z"));
    let status = shown(&house.says("maria", "status").await);
    assert!(status.starts_with("  Web shop v1.2.0 (ready) waits for T-0.\n"), "{status}");
}

/// Another service with the same version beside the first.
async fn two_of_one_version() -> House {
    let mut house = house().await.scheduled().await;
    let other = PLAN.replace("\"web-shop\"", "\"search\"").replace("\"Web shop\"", "\"Search\"");
    let shelf = PlanShelf::new(vec![("search".to_owned(), other)], None, read_plan);
    house.talk.shelf = std::sync::Arc::new(shelf);
    house.says("maria", "schedule search").await;
    house
}

#[tokio::test]
async fn a_line_to_type_names_its_release_as_shortly_as_it_is_understood() {
    let house = house().await.scheduled().await;
    let line = |talk: &Conversation, channel: Option<&str>| {
        talk.line_of("hold web-shop/production/v1.2.0#1", "console", channel)
    };
    assert_eq!(line(&house.talk, None), "/release hold v1.2.0");
    let house = two_of_one_version().await;
    assert_eq!(line(&house.talk, None), "/release hold web-shop v1.2.0");
    let said = shown(&house.says("sam", "hold web-shop v1.2.0 the hotline is down").await);
    assert!(
        said.trim_start().starts_with("Web shop v1.2.0 is on hold: the hotline is down"),
        "{said}"
    );
    let said = shown(&house.says("sam", "status Search v1.2.0").await);
    assert!(said.trim_start().starts_with("Search v1.2.0"), "{said}");
    let said = shown(&house.says("sam", "hold v1.2.0 which").await);
    assert!(said.contains("Which release do you mean?"), "{said}");
}

#[tokio::test]
async fn a_release_needs_no_name_in_its_room() {
    let house = two_of_one_version().await;
    let (release, room) = ("search/production/v1.2.0#1", Some("release-v1-2-0"));
    let opened = crate::domain::state::Room {
        platform: "console".into(),
        channel: "release-v1-2-0".into(),
        name: "release-v1-2-0".into(),
        instead: None,
    };
    let command = Command::RoomOpened { release: ReleaseId::new(release), room: opened };
    let request = Request { id: "room".into(), by: Actor::Neighbour, command };
    house.talk.engine.ask(request).await.expect("it is recorded");
    let line = |command: &str| house.talk.line_of(command, "console", room);
    assert_eq!(line(&format!("outcome {release} worked")), "/release outcome worked");
    assert_eq!(
        line(&format!("checklist {release} pass --item x")),
        "/release checklist pass --item x"
    );
    assert_eq!(
        line("hold web-shop/production/v1.2.0#1"),
        "/release hold web-shop v1.2.0",
        "another release is named there"
    );
}

#[tokio::test]
async fn only_attempts_that_stand_beside_each_other_are_numbered() {
    let house = house().await.scheduled().await;
    house.says("maria", "scrub v1.2.0 later").await;
    house.says("maria", "schedule web-shop").await;
    let line = |number| {
        house.talk.line_of(&format!("report web-shop/production/v1.2.0#{number}"), "console", None)
    };
    assert_eq!(line(1), "/release report web-shop/production/v1.2.0#1");
    assert_eq!(line(2), "/release report v1.2.0");
}

#[tokio::test]
async fn what_a_person_says_of_a_step_is_why_it_stands_still_from_then_on() {
    let house = unknown().await;
    let held = |house: &House| {
        let state = house.talk.engine.state();
        let release = state.releases.values().next().expect("one is scheduled");
        release.held.as_ref().expect("it is on hold").reason.clone()
    };
    assert!(held(&house).contains("unknown outcome"), "{}", held(&house));
    let answer = shown(&house.says("maria", "outcome failed pod 2 answers with v1.1.9").await);
    assert_eq!(held(&house), "Everything failed: pod 2 answers with v1.1.9");
    assert!(answer.contains("Web shop v1.2.0 now: on hold at Everything"), "{answer}");
    assert!(!answer.contains("unknown") && !answer.contains("is deploying"), "{answer}");
    let status = shown(&house.says("maria", "status").await);
    assert!(!status.contains("unknown outcome"), "{status}");
}

#[tokio::test]
async fn what_evidence_settles_takes_a_word_from_everybody() {
    let mut house = house().await;
    let item = "name = \"Page weight\"\nlimit = \"LCP < 2.5 s\"";
    assert!(PLAN.contains(item), "the plan is as it was");
    let plan = PLAN.replace(item, "name = \"Page weight\"\nevidence = \"staging\"");
    let shelf = PlanShelf::new(vec![("web-shop".to_owned(), plan)], None, read_plan);
    house.talk.shelf = std::sync::Arc::new(shelf);
    house.says("maria", "schedule web-shop").await;
    house.says("maria", "checklist reopen page").await;
    for who in ["maria", "quinn"] {
        let asked = form(house.says(who, "checklist pass page").await);
        assert!(asked.fields.iter().any(|field| field.label == "How you know"), "{who}: {asked:?}");
    }
    let refused = shown(&house.says("sam", "checklist pass page").await);
    assert!(refused.contains("You may not tick the checklist"), "{refused}");
    let asked = form(house.says("maria", "checklist pass page").await);
    let filled = [("item", "quality/page-weight"), ("reason", "two days in staging"), ("link", "")];
    let done = house.submits("maria", &asked, &filled).await;
    assert!(shown(&done).contains("has passed: two days in staging"), "{}", shown(&done));
}

#[tokio::test]
async fn a_zone_that_its_times_name_is_not_named_again() {
    let house = house().await;
    let policy = POLICY.replace("zone = \"America/Los_Angeles\"", "zone = \"UTC\"");
    assert_ne!(policy, POLICY);
    let policy = Box::new(toml::from_str(&policy).expect("a policy"));
    let command = Command::AdoptPolicy { policy };
    let request = Request { id: "start/3".into(), by: Actor::Operator, command };
    house.talk.engine.ask(request).await.expect("it is recorded");
    let said = shown(&house.says("maria", "freeze add \"fri 18:00\" \"mon 8:00\" weekend").await);
    assert!(said.contains("08:00 UTC: weekend"), "{said}");
}

/// Nobody needs to know that it is not in memory any more.
#[tokio::test]
async fn what_was_filed_away_is_still_answered() {
    let house = house().await.scheduled().await;
    house.says("maria", "scrub v1.2.0 another day").await;
    let before = shown(&house.says("quinn", "status v1.2.0").await);
    let engine = &house.talk.engine;
    engine.clock().set(engine.now() + chrono::Duration::days(8));
    crate::app::chores::file_away(engine).await;
    assert!(engine.state().releases.is_empty());
    assert_eq!(shown(&house.says("quinn", "status v1.2.0").await), before);
    assert_eq!(shown(&house.says("quinn", "status 1.2.0").await), before);
    let report = shown(&house.says("quinn", "document v1.2.0 report").await);
    assert!(report.contains("another day"), "{report}");
    let audit = shown(&house.says("quinn", "audit v1.2.0").await);
    assert!(audit.contains("another day"), "{audit}");
    let refused = shown(&house.says("maria", "hold v1.2.0 wait").await);
    assert!(refused.contains("is filed away"), "{refused}");
    let unknown = shown(&house.says("quinn", "status v1.3.0").await);
    assert!(!unknown.contains("filed"), "{unknown}");
}
