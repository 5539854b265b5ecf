//! One release in Slack and in Discord together, by the real program against both stand-ins: the
//! announcements go to both, each has its war room, and there is one poll, one log, one answer.

use crate::both_stage::{Both, Mode, Setup, Stage};
use crate::chats::{Chat, Screens};
use crate::discord_world;
use crate::shop::{self, at};
use crate::slack_world;

const ROOM: &str = "release-v1-2-0";

impl Stage {
    /// The same is to be read in both.
    async fn both_see(
        &self,
        channel: &str,
        wanted: &str,
    ) -> (slack_world::Post, discord_world::Post) {
        tokio::join!(
            self.world.slack.sees(channel, wanted),
            self.world.discord.sees(channel, wanted)
        )
    }

    async fn in_slack(&self, who: &str, line: &str, answer: &str) {
        self.world.slack.asks(who, line, answer).await;
    }

    async fn in_discord(&self, who: &str, line: &str, answer: &str) {
        self.world.discord.asks(who, line, answer).await;
    }

    async fn presses_in_slack(
        &self,
        who: &str,
        post: &slack_world::Post,
        label: &str,
        answer: &str,
    ) -> String {
        self.world.slack.presses(who, post, label, answer).await.1
    }

    async fn presses_in_discord(
        &self,
        who: &str,
        post: &discord_world::Post,
        label: &str,
        answer: &str,
    ) -> String {
        self.world.discord.presses(who, post, label, answer).await.1
    }

    /// Scheduled in Slack, with a room and a poll in both.
    async fn to_poll(&self) -> (slack_world::Post, discord_world::Post) {
        self.in_slack("maria", &format!("schedule web-shop {}", at(1)), "is scheduled for").await;
        tokio::join!(self.world.slack.sees_channel(ROOM), self.world.discord.sees_channel(ROOM));
        let polls = self.both_see("releases", "go or no-go?").await;
        self.settled().await;
        polls
    }

    fn each_exactly_once(&self, wanted: &str) {
        self.world.slack.exactly_once(wanted);
        self.world.discord.exactly_once(wanted);
    }
}

#[tokio::test]
async fn a_release_lives_in_both_from_its_poll_to_its_report() {
    let mut stage = Stage::set(Mode::Line).await;
    let polls = stage.to_poll().await;
    decided(&stage, &polls).await;
    went_wrong(&stage).await;
    went_back(&stage).await;
    for said in [
        "War room: #release-v1-2-0",
        "⛔ NO-GO: Web shop",
        "✅ Database migrations complete",
        "✅ Pod 1 deployed (50 % traffic)",
        "Nothing goes on by itself",
        "✅ Pod 2 is back",
        "the report.",
    ] {
        stage.each_exactly_once(said);
    }
    assert_eq!(shop::deploys(&stage.here, 1, "v1.2.0"), 1, "it is one release");
    stage.assert_clean().await;
    stage.stopped().await;
}

/// A vote in one changes the card in the other; a seat is one seat.
async fn decided(stage: &Stage, (in_slack, in_discord): &(slack_world::Post, discord_world::Post)) {
    stage.presses_in_slack("ann", in_slack, "GO · Engineering", "Your GO for Engineering").await;
    stage.world.discord.sees_edit(in_discord, "1 of 3 GO").await;
    stage.world.discord.sees_edit(in_discord, "✓ Engineering (Ann").await;
    // The same hand in the other house: it is recorded already.
    let again = "GO ✓ · Engineering";
    let told = stage.presses_in_discord("ann", in_discord, again, "Engineering").await;
    assert!(told.contains("Nothing was changed"), "{told}");
    let sam = stage.world.discord.person("sam");
    sam.presses(in_discord, "NO-GO · Support").await.answered().await;
    let form = sam.sees_view("NO-GO").await;
    let reason = "hotline is short-staffed until noon";
    sam.submits(&form, &[("Reason", reason)]).await.answered().await;
    sam.sees_ephemeral("Your NO-GO for Support is recorded").await;
    stage.world.slack.sees_edit(in_slack, "✗ Support (Sam").await;
    let (first, second) = stage.both_see(ROOM, "NO-GO: Web shop").await;
    for said in [stage.world.slack.text_of(&first), stage.world.discord.text_of(&second)] {
        assert!(said.contains(reason) && said.contains("Sam"), "{said}");
    }
    stage.presses_in_discord("quinn", in_discord, "GO · QA", "Your GO for QA is recorded").await;
    stage.world.slack.sees_edit(in_slack, "✓ QA (Quinn").await;
    stage.presses_in_slack("sam", in_slack, "GO · Support", "1 checklist item is open").await;
    stage.world.discord.sees_edit(in_discord, "3 of 3 GO").await;
    stage.in_slack("maria", "checklist pass runbook", "The checklist is green").await;
    stage.both_see(ROOM, "GO: Web shop v1.2.0.").await;
}

/// Started in one, advanced in the other; who is on call is called in both.
async fn went_wrong(stage: &Stage) {
    stage.here.write("pods/broken-2-v1.2.0", "");
    let line = format!("reschedule release:v1.2.0 when:{}", at(0));
    stage.in_discord("maria", &line, "now starts").await;
    let (_, ready) = stage.both_see(ROOM, "is ready to start").await;
    stage.presses_in_discord("maria", &ready, "Start", "has started").await;
    stage.both_see(ROOM, "✅ Pod 1 deployed (50 % traffic)").await;
    let (gate, _) = stage.both_see(ROOM, "through its gate").await;
    stage.presses_in_slack("john", &gate, "Advance", "next stage begins").await;
    let (_, failed) = stage.both_see(ROOM, "Nothing goes on by itself. @john").await;
    assert!(stage.world.discord.person("john").was_pinged_by(&failed));
}

/// Rolled back from Slack; the button in Discord says what has become of it.
async fn went_back(stage: &Stage) {
    let (in_slack, in_discord) = stage.both_see(ROOM, "Nothing goes on by itself. @john").await;
    let john = stage.world.slack.person("john");
    john.presses(&in_slack, "Roll back to v1.1.9").await.answered().await;
    let confirm = john.sees_view("").await;
    john.submits(&confirm, &[]).await.answered().await;
    john.sees_ephemeral("goes back from v1.2.0 to v1.1.9").await;
    stage.both_see("releases", "Web shop is back on v1.1.9").await;
    let told = stage.presses_in_discord("john", &in_discord, "Retry", "").await;
    assert!(told.contains("Nothing was changed"), "{told}");
    assert_eq!((shop::pod(&stage.here, 1), shop::pod(&stage.here, 2)), both("v1.1.9"));
    stage.both_see(ROOM, "the report.").await;
    let archive = stage.world.discord.channel("archive").id;
    let archived = async || stage.world.slack.channel(ROOM).archived;
    stage.running().until("the room in Slack is archived", archived).await;
    stage
        .world
        .discord
        .until("the one in Discord too", |it| it.channel(ROOM).parent.as_ref() == Some(&archive))
        .await;
}

fn both(version: &str) -> (String, String) {
    (version.to_owned(), version.to_owned())
}

#[tokio::test]
async fn a_vote_in_each_at_the_same_moment_counts_both() {
    let mut stage = Stage::set(Mode::Line).await;
    let (in_slack, in_discord) = stage.to_poll().await;
    tokio::join!(
        stage.presses_in_slack("ann", &in_slack, "GO · Engineering", "Your GO for Engineering"),
        stage.presses_in_discord("sam", &in_discord, "GO · Support", "Your GO for Support"),
    );
    tokio::join!(
        stage.world.slack.sees_edit(&in_slack, "2 of 3 GO"),
        stage.world.discord.sees_edit(&in_discord, "2 of 3 GO")
    );
    stage.assert_clean().await;
    stage.stopped().await;
}

/// Whoever is in a role by a group alone could be one person in two houses, and sign twice.
#[tokio::test]
async fn who_is_not_linked_signs_in_neither() {
    let unlinked = Setup { quinn_is_linked: false, ..Both::cast() };
    let mut stage = Stage::set_with(Mode::Line, unlinked, |config| config).await;
    let (in_slack, in_discord) = stage.to_poll().await;
    stage.presses_in_slack("quinn", &in_slack, "GO · QA", "under [people]").await;
    stage.presses_in_discord("quinn", &in_discord, "GO · QA", "under [people]").await;
    stage.settled().await;
    let log = shop::log(&stage.here).await;
    assert_eq!(log.iter().filter(|it| it.starts_with("Refused go")).count(), 2, "{log:#?}");
    stage.assert_clean().await;
    stage.stopped().await;
}

/// While one of them is down the other goes on, and afterwards nothing is missing or doubled.
#[tokio::test]
async fn one_that_is_down_keeps_the_other_from_nothing() {
    let mut stage = Stage::set(Mode::Line).await;
    let down = discord_world::Harm::Status(503);
    stage.world.discord.fault(discord_world::Fault::on("create_message", down.clone()).always());
    stage.world.discord.fault(discord_world::Fault::on("create_guild_channel", down).always());
    stage.in_slack("maria", &format!("schedule web-shop {}", at(1)), "is scheduled for").await;
    let in_slack = stage.world.slack.sees("releases", "go or no-go?").await;
    stage.world.slack.sees(ROOM, "how to go back to v1.1.9").await;
    stage.presses_in_slack("ann", &in_slack, "GO · Engineering", "Your GO for Engineering").await;
    assert_eq!(stage.world.discord.count("go or no-go?"), 0);
    stage.world.slack.sees("releases", "starts in 1 h").await;
    stage.world.discord.calm();
    stage.world.discord.sees("releases", "1 of 3 GO").await;
    stage.world.discord.sees(ROOM, "how to go back to v1.1.9").await;
    // Its room was not there yet when this was announced: it says so, and names it later. Slack's
    // was, and there is nothing more to say of it.
    stage.world.discord.sees("releases", "starts in 1 h. The war room is not open yet").await;
    stage.world.discord.sees("releases", "the war room is open: #release-v1-2-0").await;
    stage.settled().await;
    stage.world.discord.exactly_once("the war room is open");
    stage.world.slack.exactly_once("War room: #release-v1-2-0");
    assert_eq!(stage.world.slack.count("the war room is open"), 0);
    for said in ["go or no-go?", "🚀 Web shop v1.2.0 starts in 1 h", "how to go back to v1.1.9"] {
        stage.each_exactly_once(said);
    }
    stage.assert_clean().await;
    stage.stopped().await;
}

#[tokio::test]
async fn killed_between_the_two_it_is_said_once_in_each() {
    let mut stage = Stage::set(Mode::Line).await;
    // Discord has taken the poll, or the room; Slack may have, and nobody knows yet.
    let lost = discord_world::Harm::AnswerLost;
    stage.world.discord.fault(discord_world::Fault::on("create_message", lost).nth(2));
    let maria = stage.world.slack.person("maria");
    let line = format!("/release schedule web-shop {}", at(1));
    let asked = maria.types(&line, "releases").await;
    drop(stage.world.discord.called("create_message", 2).await);
    stage.world.slack.pardon_wait(&asked);
    stage.killed_and_started_again().await;
    let (in_slack, in_discord) = stage.both_see("releases", "go or no-go?").await;
    stage.both_see("releases", "War room: #release-v1-2-0").await;
    stage.both_see(ROOM, "how to go back to v1.1.9").await;
    stage.settled().await;
    for said in ["go or no-go?", "War room: #release-v1-2-0", "how to go back to v1.1.9"] {
        stage.each_exactly_once(said);
    }
    stage.presses_in_discord("ann", &in_discord, "GO · Engineering", "Your GO for").await;
    stage.world.slack.sees_edit(&in_slack, "1 of 3 GO").await;
    stage.assert_clean().await;
    stage.stopped().await;
}
