//! Enterprise Grid: people of a sister workspace are members where the operator says so, and nobody
//! else is.

use tminus::adapters::chat::slack::{Slack, SlackSettings};
use tminus::ports::{Chat, Directory};

use crate::chat_contract::text;
use crate::slack_adapter::{releases, settings};
use crate::slack_stage::{Mode, Stage, cast};
use crate::slack_world::{Setup, SlackWorld, Standing, TEAM};

const ENTERPRISE: &str = "E0HOME0000";

fn grid() -> Setup {
    let setup = cast().grid().person("sister", Standing::Sister);
    setup.group("sisters", &["sister", "stranger"])
}

fn of(world: &SlackWorld, enterprise: Option<&str>) -> SlackSettings {
    SlackSettings { enterprise: enterprise.map(str::to_owned), ..settings(world) }
}

#[tokio::test]
async fn slack_itself_says_who_is_of_the_organisation() {
    let world = SlackWorld::with(grid()).await;
    let slack = Slack::new(of(&world, Some(ENTERPRISE))).unwrap();
    let groups = [format!("slack/{TEAM}/SSISTERS00")];
    let sister = slack.standing(TEAM, &world.person("sister").id, &groups).await.unwrap();
    assert!(!sister.guest && sister.groups.len() == 1, "{sister:?}");
    for name in ["stranger", "gus", "leaver"] {
        let standing = slack.standing(TEAM, &world.person(name).id, &groups).await.unwrap();
        assert!(standing.guest && standing.groups.is_empty(), "{name}: {standing:?}");
    }
    world.assert_clean().await;
}

#[tokio::test]
async fn a_token_of_another_organisation_says_nothing() {
    for setup in [Setup::default(), Setup::default().grid()] {
        let world = SlackWorld::with(setup).await;
        let slack = Slack::new(of(&world, Some("E0OTHER000"))).unwrap();
        let refused = slack.post(&releases(), "k", &text("x")).await.expect_err("not ours");
        assert!(refused.to_string().contains("[slack] enterprise is E0OTHER000"), "{refused}");
        let found = slack.doctor(&[], &[]).await;
        assert!(found[0].trouble.as_ref().is_some_and(|it| it.contains("E0OTHER000")), "{found:?}");
    }
}

/// The group of QA is the sisters', and a stranger has crept into it.
async fn staged(enterprise: &str) -> Stage {
    Stage::set_with(Mode::Socket, grid(), |config| {
        config
            .replace("SQALEADS00", "SSISTERS00")
            .replace("mode = \"socket\"", &format!("mode = \"socket\"\n{enterprise}"))
    })
    .await
}

#[tokio::test]
async fn a_sister_signs_where_her_organisation_is_configured_and_a_stranger_never() {
    let mut stage = staged(&format!("enterprise = \"{ENTERPRISE}\"")).await;
    let poll = stage.to_poll().await;
    stage.presses("sister", &poll, "GO · QA", "Your GO for QA is recorded").await;
    let (_, why) = stage.presses("stranger", &poll, "GO · QA", "Nothing was changed").await;
    assert!(!why.contains("recorded"), "{why}");
    stage.assert_clean().await;
    stage.stopped().await;
}

#[tokio::test]
async fn without_the_key_a_sister_is_an_outsider() {
    let mut stage = staged("").await;
    let poll = stage.to_poll().await;
    let sister = stage.person("sister");
    sister.presses(&poll, "GO · QA").await.answered().await;
    sister.sees_ephemeral("I don't know the account").await;
    assert!(stage.log().await.iter().all(|entry| !entry.contains("voted GO")));
    stage.stopped().await;
}
