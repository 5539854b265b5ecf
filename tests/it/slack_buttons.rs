//! What can be done by a click in Slack, where somebody looks for it.

use crate::slack_stage::{Mode, Stage, cast};

const ROOM: &str = "release-v1-2-0";
const ITEM: &str = "Runbook up to date";

#[tokio::test]
async fn an_open_item_is_waived_from_the_card_with_a_reason_and_ticked_at_home() {
    let mut stage = Stage::set_with(Mode::Socket, cast(), |config| {
        config
            .replace(&format!("name = \"{ITEM}\""), &format!("name = \"{ITEM}\", owner = \"ann\""))
    })
    .await;
    stage.to_poll().await;
    let (maria, ann) = (stage.person("maria"), stage.person("ann"));
    let card = stage.sees(ROOM, "waiting for").await;
    maria.presses(&card, &format!("Waive {ITEM}")).await.answered().await;
    let form = maria.sees_view("Checklist of Web shop").await;
    maria.submits(&form, &[("Reason", "nothing new to run")]).await.answered().await;
    maria.sees_ephemeral("is waived: nothing new to run").await;
    stage.says("maria", "checklist reopen runbook", "is open again").await;
    ann.opens_home().await;
    let home = ann.sees_home(&format!("{ITEM}, for Web shop v1.2.0")).await;
    ann.presses_in_sheet(&home, &format!("✓ {ITEM} · v1.2.0")).await;
    stage.world.sees_edit(&card, "2/2 sections passed").await;
    stage.assert_clean().await;
    stage.stopped().await;
}
