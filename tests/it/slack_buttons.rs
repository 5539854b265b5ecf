//! What can be done by a click in Slack, where somebody looks for it.

use crate::shop::{at, prop};
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
    ann.presses_in_sheet(&home, &format!("✓ {ITEM} · Web shop v1.2.0")).await;
    stage.world.sees_edit(&card, "2/2 sections passed").await;
    stage.assert_clean().await;
    stage.stopped().await;
}

/// Two services of one version: whoever reads a line or a button in private, where no room says
/// which is meant, can do it as it stands there.
#[tokio::test]
async fn two_services_of_one_version_are_told_apart() {
    let mut stage = Stage::set(Mode::Socket).await;
    let other = prop("web-shop.toml").replace("\"web-shop\"", "\"search\"");
    let other = other.replace("name = \"Web shop\"", "name = \"Search\"");
    stage.here.write("plans/search.toml", &other);
    let sam = stage.person("sam");
    for (plan, title) in [("web-shop", "Web shop v1.2.0"), ("search", "Search v1.2.0")] {
        let said = format!("schedule {plan} {}", at(30));
        stage.says("maria", &said, &format!("{title} is scheduled for")).await;
    }
    for (plan, title) in [("web-shop", "Web shop v1.2.0"), ("search", "Search v1.2.0")] {
        let said = format!("reschedule {plan} {}", at(1));
        stage.says("maria", &said, &format!("{title} now starts")).await;
        let asked = stage.reads("dm-sam", &format!("{title} still needs your go")).await;
        let line = format!("go {plan} v1.2.0 --as support");
        assert!(asked.contains(&format!("/release {line}")), "{asked}");
        stage.says("sam", &line, "Your GO for Support is recorded").await;
    }
    sam.opens_home().await.answered().await;
    let home = stage.world.sheet_text(&sam.sees_home("2 releases are open").await);
    for button in ["[ Hold · Web shop v1.2.0 ]", "[ Hold · Search v1.2.0 ]"] {
        assert!(home.contains(button), "{home}");
    }
    stage.assert_clean().await;
    stage.stopped().await;
}
