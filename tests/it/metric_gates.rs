//! A rollout judged by a real Prometheus, played by the real program in Slack, in Discord and at the
//! page of the console alike: it goes on on green, is held on yellow and on silence, and goes back
//! by itself on red, with its flag off first. Chance does not hold it, and red that comes and goes
//! never lasts. What was measured is seen there as a picture.

use std::collections::BTreeSet;

use crate::chats::{ROOM, Screens, Typed};
use crate::installed::{Installed, until};
use crate::metrics_world::{MetricsWorld, error_rate};
use crate::shop::{self, pod, prop};
use crate::slack_world::{Fault, Harm};
use crate::{console_stage, discord_stage, slack_stage};

/// Pod 1 is judged by its errors, for as long as it soaks and at its gate.
const JUDGED: &str = r#"advance = "auto"
flag = "checkout"

[[stage.metric]]
name = "error-rate"
hold_above = 5.0
roll_back_above = 20.0
for = "1s"
"#;

/// What is measured, how often, and what follows.
pub(crate) struct Setting {
    judged: &'static str,
    soak: &'static str,
    pace: &'static str,
}

const CALM: Setting = Setting {
    judged: JUDGED,
    soak: "3s",
    pace: "measure_every = \"1s\"\ngreen_for = \"1s\"\nno_data = \"4s\"\nwatch = \"1m\"",
};

/// More than half of what the stable group has would hold it at each look, were it not for the rank
/// test, which takes twenty samples to speak.
const NOISY: Setting = Setting {
    judged: r#"advance = "auto"
flag = "checkout"

[[stage.metric]]
name = "error-rate"
hold_rise = -50.0
roll_back_above = 20.0
"#,
    soak: "24s",
    pace: CALM.pace,
};

/// Longer than it is ever red, and longer than it is ever green.
const FLAPPING: Setting = Setting {
    judged: r#"advance = "auto"
flag = "checkout"

[[stage.metric]]
name = "error-rate"
hold_above = 5.0
roll_back_above = 20.0
for = "20s"
"#,
    soak: "3s",
    pace: "measure_every = \"1s\"\ngreen_for = \"20s\"\nno_data = \"15s\"\nwatch = \"1m\"",
};

const FLAG: &str = "[[flag]]\nname = \"checkout\"\nowner = \"maria\"\nexpires = \"2099-12-31\"\n";

const OPEN: &str = r#"{"flags": {"checkout": {
    "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"
}}}"#;

/// The shop's configuration, with what is measured and how often.
pub(crate) fn measured(config: &str, world: &MetricsWorld, setting: &Setting) -> String {
    let (url, query, baseline) = (world.url(), error_rate("canary"), error_rate("stable"));
    let sources = format!(
        r#"
[metrics.prometheus]
url = "{url}"
timeout = "2s"

[queries.error-rate]
query = '{query}'
baseline = '{baseline}'
unit = "%"
kind = "error-rate"

[flags.local]
kind = "file"
path = "{{state}}/../flags.json"
"#
    );
    config.replace("watch = \"3s\"", setting.pace) + &sources
}

/// The plan that goes with it, and a flag that is open for everybody.
pub(crate) fn furnish(here: &Installed, setting: &Setting) {
    here.write("flags.json", OPEN);
    let plan = prop("web-shop.toml").replacen("advance = \"manual\"", setting.judged, 1);
    let plan = plan.replacen("soak = \"1s\"", &format!("soak = \"{}\"", setting.soak), 1);
    let back = "[rollback]\nautomatic = true";
    let plan = plan.replacen("[rollback]", back, 1);
    here.write("plans/web-shop.toml", &plan.replacen("[signoff]", &format!("{FLAG}[signoff]"), 1));
}

/// Where the play is given.
pub(crate) trait Theatre: Sized {
    async fn set_as(world: &MetricsWorld, setting: &Setting) -> Self;
    async fn set(world: &MetricsWorld) -> Self {
        Self::set_as(world, &CALM).await
    }
    fn here(&self) -> &Installed;
    async fn to_start(&self);
    /// In the war room.
    async fn reads(&self, wanted: &str) -> String;
    async fn says(&self, who: &str, line: Typed<'_>, answer: &str);
    /// As people do there: by buttons where there are some.
    async fn goes_on_regardless(&self) {
        let because = Typed {
            slack: "override metrics-2 a known bug",
            discord: "more override obstacle:metrics-2 reason:known",
        };
        self.says("maria", because, "is overridden").await;
        self.says("maria", Typed { slack: "resume", discord: "resume" }, "goes on").await;
    }
    async fn killed_and_started_again(&mut self);
    fn transcript(&self) -> impl Future<Output = String>;
    /// The pictures in the war room by their names, each of which somebody can see.
    async fn pictures(&self) -> Vec<String>;
    async fn assert_clean(self);
}

async fn sees_picture(theatre: &impl Theatre) {
    until("a picture of the numbers", async || !theatre.pictures().await.is_empty()).await;
    let shown = theatre.pictures().await;
    assert!(shown.iter().all(|name| name.starts_with("error-rate-")), "{shown:?}");
    assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), shown.len(), "each once: {shown:?}");
}

async fn goes_on_by_itself_on_green<T: Theatre>() {
    let world = MetricsWorld::start().await;
    let theatre = T::set(&world).await;
    theatre.to_start().await;
    theatre.reads("judged by error rate").await;
    let next = theatre.reads("On to Pod 2").await;
    assert!(next.contains("Error rate 0."), "it says by which numbers: {next}");
    theatre.reads("is rolled out at 100 %").await;
    let log = shop::log(theatre.here()).await;
    let green = log.iter().filter(|entry| entry.contains("numbers of stage 2 are green")).count();
    assert!(green >= 1, "what decided is on record: {log:#?}");
    sees_picture(&theatre).await;
    theatre.assert_clean().await;
}

async fn goes_back_by_itself_on_red_and_once_even_if_it_is_killed_meanwhile<T: Theatre>() {
    let world = MetricsWorld::start().await;
    world.canary().errors(0.5);
    world.seen(&error_rate("canary"), |percent| percent > 40.0).await;
    let mut theatre = T::set(&world).await;
    theatre.to_start().await;
    theatre.reads("is red and goes back by itself").await;
    theatre.killed_and_started_again().await;
    theatre.reads("is back on v1.1.9").await;
    let told = theatre.reads("Rolling Web shop back").await;
    assert!(told.contains("by itself") && told.contains("Error rate"), "{told}");
    assert_eq!(pod(theatre.here(), 1), "v1.1.9");
    let log = shop::log(theatre.here()).await;
    let asked = log.iter().filter(|entry| entry.contains("The numbers rolled it back")).count();
    assert_eq!(asked, 1);
    let room = theatre.transcript().await;
    let at = |text: &str| room.find(text).unwrap_or_else(|| panic!("{text}:\n{room}"));
    assert!(at("off after") < at("Pod 1 is back"), "{room}");
    theatre.reads("before it went back").await;
    sees_picture(&theatre).await;
    theatre.assert_clean().await;
}

async fn is_held_on_yellow_with_the_numbers_that_say_why<T: Theatre>() {
    let world = MetricsWorld::start().await;
    world.canary().errors(0.1);
    world.seen(&error_rate("canary"), |percent| (6.0..19.0).contains(&percent)).await;
    let theatre = T::set(&world).await;
    theatre.to_start().await;
    let told = theatre.reads("Web shop v1.2.0 is on hold").await;
    assert!(!told.contains("person:"), "on-call is called by name: {told}");
    assert!(told.contains("Error rate") && told.contains("above 5"), "{told}");
    sees_picture(&theatre).await;
    theatre.goes_on_regardless().await;
    theatre.reads("is rolled out at 100 %").await;
    theatre.assert_clean().await;
}

async fn is_held_when_prometheus_dies_in_the_middle<T: Theatre>() {
    let mut world = MetricsWorld::start().await;
    let theatre = T::set(&world).await;
    theatre.to_start().await;
    theatre.reads("Soaking Pod 1").await;
    world.stop().await;
    let told = theatre.reads("Web shop v1.2.0 is on hold").await;
    assert!(told.contains("Error rate cannot be told"), "{told}");
    assert!(shop::log(theatre.here()).await.iter().all(|entry| !entry.contains("rolled out")));
    theatre.assert_clean().await;
}

async fn goes_on_through_noise<T: Theatre>() {
    let world = MetricsWorld::start().await;
    world.canary().noisy(0.0, 0.018);
    world.stable().noisy(0.0, 0.02);
    let theatre = T::set_as(&world, &NOISY).await;
    theatre.to_start().await;
    let done =
        async || shop::log(theatre.here()).await.iter().any(|it| it == "All stages are done.");
    until("it goes on", done).await;
    theatre.reads("is rolled out at 100 %").await;
    let record = theatre.here().cli(&["audit", "export"]).await.expect(0, &[]).out;
    assert!(record.contains("\"noise\""), "the rank test decided, and that is on record");
    theatre.assert_clean().await;
}

async fn is_held_while_it_flaps_and_does_not_go_back<T: Theatre>() {
    let world = MetricsWorld::start().await;
    world.canary().flapping(0.0, 0.5, 16);
    let theatre = T::set_as(&world, &FLAPPING).await;
    theatre.to_start().await;
    theatre.reads("Error rate").await;
    let told = theatre.reads("Web shop v1.2.0 is on hold").await;
    assert!(told.contains("the numbers do not settle"), "{told}");
    let log = shop::log(theatre.here()).await;
    let seen = |light: &str| log.iter().any(|it| it.contains(&format!("stage 2 are {light}")));
    assert!(seen("red") && seen("green"), "it came and went: {log:#?}");
    let away = ["rolled out", "rolled it back", "goes back by itself"];
    assert!(log.iter().all(|it| away.iter().all(|text| !it.contains(text))), "{log:#?}");
    assert_eq!(pod(theatre.here(), 1), "v1.2.0");
    theatre.assert_clean().await;
}

macro_rules! played {
    ($($place:ident: $theatre:ty),*) => {$(
        mod $place {
            use super::*;

            #[tokio::test]
            async fn it_goes_on_by_itself_on_green() {
                goes_on_by_itself_on_green::<$theatre>().await;
            }

            #[tokio::test]
            async fn it_goes_back_by_itself_on_red_and_once_even_if_it_is_killed_meanwhile() {
                goes_back_by_itself_on_red_and_once_even_if_it_is_killed_meanwhile::<$theatre>()
                    .await;
            }

            #[tokio::test]
            async fn it_is_held_on_yellow_with_the_numbers_that_say_why() {
                is_held_on_yellow_with_the_numbers_that_say_why::<$theatre>().await;
            }

            #[tokio::test]
            async fn it_goes_on_through_noise() {
                goes_on_through_noise::<$theatre>().await;
            }

            #[tokio::test]
            async fn it_is_held_while_it_flaps_and_does_not_go_back() {
                is_held_while_it_flaps_and_does_not_go_back::<$theatre>().await;
            }

            #[tokio::test]
            async fn it_is_held_when_prometheus_dies_in_the_middle() {
                is_held_when_prometheus_dies_in_the_middle::<$theatre>().await;
            }
        }
    )*};
}

played!(
    in_slack: slack_stage::Stage,
    in_discord: discord_stage::Stage,
    at_the_page: console_stage::Stage
);

/// Who has a picture of the numbers and a doubt goes back by a click.
#[tokio::test]
async fn at_the_page_a_person_holds_and_goes_back_by_clicks() {
    let world = MetricsWorld::start().await;
    let theatre = console_stage::Stage::set_as(&world, &CALM).await;
    theatre.to_start().await;
    theatre.reads("is rolled out at 100 %").await;
    theatre.goes_back_at_the_page().await;
    theatre.reads("is back on v1.1.9").await;
    assert_eq!(pod(&theatre.here, 1), "v1.1.9");
    assert_eq!(pod(&theatre.here, 2), "v1.1.9");
    theatre.assert_clean().await;
}

/// The room is kept with what was seen in it, however slow an upload is.
#[tokio::test]
async fn a_slow_picture_is_in_the_room_before_it_is_archived() {
    let world = MetricsWorld::start().await;
    let setting =
        Setting { pace: "measure_every = \"1s\"\ngreen_for = \"1s\"\nwatch = \"3s\"", ..CALM };
    let stage = slack_stage::Stage::set_as(&world, &setting).await;
    stage.world.fault(Fault::on("files.completeUploadExternal", Harm::Hold).always());
    Theatre::to_start(&stage).await;
    Theatre::reads(&stage, "the report.").await;
    // The upload, and the room that waits for it: nothing else is under way.
    let waits = async || {
        let numbers = stage.running().get("/metrics").await.1;
        numbers.lines().any(|line| line == "tminus_delivery_lanes_busy 2")
    };
    until("the room waits for its picture", waits).await;
    assert!(!stage.is_archived(), "it is archived without what was seen");
    stage.world.calm();
    stage.world.release();
    until("it is archived", async || stage.is_archived()).await;
    stage.settled().await;
    assert!(!Theatre::pictures(&stage).await.is_empty());
    let log = shop::log(&stage.here).await;
    assert!(log.iter().all(|entry| !entry.contains("a picture")), "{log:#?}");
    Theatre::assert_clean(stage).await;
}

/// What Slack and Discord do by the same words.
macro_rules! alike {
    ($stage:ident, $mode:ident) => {
        async fn set_as(world: &MetricsWorld, setting: &Setting) -> Self {
            let change = |config: String| measured(&config, world, setting);
            let stage = Self::set_with($stage::Mode::$mode, $stage::cast(), change).await;
            furnish(&stage.here, setting);
            stage
        }

        fn here(&self) -> &Installed {
            &self.here
        }

        async fn to_start(&self) {
            Self::to_start(self).await;
        }

        async fn reads(&self, wanted: &str) -> String {
            Self::reads(self, ROOM, wanted).await
        }

        async fn says(&self, who: &str, line: Typed<'_>, answer: &str) {
            self.types(who, line, answer).await;
        }

        async fn killed_and_started_again(&mut self) {
            Self::killed_and_started_again(self).await;
        }

        async fn transcript(&self) -> String {
            Screens::transcript(&self.world)
        }

        async fn assert_clean(self) {
            Self::assert_clean(&self).await;
        }
    };
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

impl Theatre for slack_stage::Stage {
    alike!(slack_stage, Socket);

    async fn pictures(&self) -> Vec<String> {
        let shown = self.world.shown_files(ROOM);
        assert!(shown.iter().all(|(_, bytes)| bytes.starts_with(PNG)), "a picture is a picture");
        shown.into_iter().map(|(name, _)| name).collect()
    }
}

impl Theatre for discord_stage::Stage {
    alike!(discord_stage, Gateway);

    async fn pictures(&self) -> Vec<String> {
        let messages = self.world.channel(ROOM).messages.into_iter();
        let shown = messages.flat_map(|message| message.content.attachments);
        let named = shown.map(|file| {
            assert!(file.bytes.starts_with(PNG), "a picture is a picture");
            file.name
        });
        named.collect()
    }
}

impl Theatre for console_stage::Stage {
    async fn set_as(world: &MetricsWorld, setting: &Setting) -> Self {
        let furnished = |here: &Installed| furnish(here, setting);
        let stage = Self::furnished(|config| measured(&config, world, setting), furnished).await;
        stage.page_of("maria").await;
        stage
    }

    fn here(&self) -> &Installed {
        &self.here
    }

    async fn to_start(&self) {
        Self::to_start(self).await;
    }

    async fn reads(&self, wanted: &str) -> String {
        Self::reads(self, wanted).await
    }

    async fn says(&self, who: &str, line: Typed<'_>, answer: &str) {
        Self::says(self, who, line.slack, answer).await;
    }

    async fn goes_on_regardless(&self) {
        self.overrides_at_the_page("a known bug").await;
    }

    async fn killed_and_started_again(&mut self) {
        Self::killed_and_started_again(self).await;
    }

    async fn transcript(&self) -> String {
        Self::transcript(self).await
    }

    /// Drawn on the page, with words for those who do not see it.
    async fn pictures(&self) -> Vec<String> {
        self.pictures_seen().await
    }

    async fn assert_clean(self) {
        Self::assert_clean(self).await;
    }
}
