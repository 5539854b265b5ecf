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
    house.talk = house.talk.called("/ship");
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
      Web shop v1.2.0 has started already. Nothing was changed.

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
        changed.

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
      [ Retry ] retry web-shop/production/v1.2.0#1
      [ It worked ] outcome web-shop/production/v1.2.0#1 worked
      [ It failed ] outcome web-shop/production/v1.2.0#1 failed
      [ Roll back to v1.1.9 ] rollback web-shop/production/v1.2.0#1 --from v1.2.0 --to v1.1.9
    ");
    assert!(!said.contains("/release"), "{said}");
}
