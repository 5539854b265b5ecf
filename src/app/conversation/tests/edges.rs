//! What people say at the edges of the grammar and of the rules.

use super::*;

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
