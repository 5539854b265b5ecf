//! The shop that is released in every chat: its configuration, its plan, and a small script that
//! deploys by flipping a link.

use std::os::unix::fs::symlink;

use chrono::{DateTime, Duration, DurationRound, Utc};
use serde_json::Value;

use crate::discord_world::{APP, GUILD, id};
use crate::installed::Installed;
use crate::zones::berlin;

/// A file of the installation, as it is for Slack.
pub(crate) fn prop(name: &str) -> String {
    std::fs::read_to_string(format!("tests/it/slack_stage/{name}")).unwrap()
}

/// Puts the plan, the script and two pods of the version before beside the configuration.
pub(crate) fn furnish(here: &Installed) {
    here.write("plans/web-shop.toml", &prop("web-shop.toml"));
    here.write("pods.sh", &prop("pods.sh"));
    here.write("pods/v1.1.9/index.html", "the shop");
    for pod in ["pods/1", "pods/2"] {
        symlink(here.path("pods/v1.1.9"), here.path(pod)).unwrap();
    }
}

/// The configuration with the times that an installation has when nobody changes them.
pub(crate) fn patiently(config: String) -> String {
    let short = "watch = \"3s\"\nsettle = \"1s\"\ncustomers_after = \"0s\"\n";
    config.replace(short, "").replace("done+1s", "done+1h")
}

/// The plan that goes with it.
pub(crate) fn furnish_patiently(here: &Installed) {
    let plan = prop("web-shop.toml").replace("soak = \"1s\"", "soak = \"10m\"");
    here.write("plans/web-shop.toml", &plan);
}

/// The version that a pod serves.
pub(crate) fn pod(here: &Installed, pod: u8) -> String {
    let link = std::fs::read_link(here.path(&format!("pods/{pod}"))).unwrap();
    link.file_name().unwrap().to_str().unwrap().to_owned()
}

/// How often a pod was told to serve a version.
pub(crate) fn deploys(here: &Installed, pod: u8, version: &str) -> usize {
    let journal = std::fs::read_to_string(here.path("pods/journal")).unwrap_or_default();
    journal.lines().filter(|line| *line == format!("deploy {pod} {version}")).count()
}

/// Every entry of the audit log, refusals included.
pub(crate) async fn log(here: &Installed) -> Vec<String> {
    let export = here.cli(&["audit", "export"]).await.expect(0, &[]).out;
    let entries = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.map(|entry| entry["description"].as_str().unwrap().to_owned()).collect()
}

/// A start this far ahead, to the second, as somebody types it.
pub(crate) fn at(hours: i64) -> String {
    let at = Utc::now() + Duration::hours(hours) + Duration::milliseconds(2500);
    at.with_timezone(&berlin()).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// What a form shows for an instant: the day and the time in the plan's zone.
pub(crate) fn picked(from_now: Duration) -> (String, String) {
    let at: DateTime<Utc> = (Utc::now() + from_now).duration_trunc(Duration::minutes(1)).unwrap();
    let local = at.with_timezone(&berlin());
    (local.format("%Y-%m-%d").to_string(), local.format("%H:%M").to_string())
}

// ---------------------------------------------------------------------------------------------
// The same house in Discord

/// Where a place, a person or a group of the configuration for Slack is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Discord,
    SlackAndDiscord,
}

/// The configuration for Slack, said of Discord, or of both.
pub(crate) fn moved(config: &str, to: Where) -> String {
    let (before, rest) = config.split_once("[slack]").unwrap();
    let (slack, after) = rest.split_once("\n\n").unwrap();
    let slack = match to {
        Where::Discord => String::new(),
        Where::SlackAndDiscord => format!("[slack]{slack}\n\n"),
    };
    let own = std::fs::read_to_string("tests/it/discord_stage/discord.toml").unwrap();
    let own = own
        .replace("{guild}", GUILD)
        .replace("{application}", APP)
        .replace("{category}", &id("channel", "war rooms"))
        .replace("{archive}", &id("channel", "archive"));
    let mut parts = after.split("\"slack/");
    let mut moved = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('"').unwrap();
        if to == Where::SlackAndDiscord {
            moved.push_str(&format!("\"slack/{name}\", "));
        }
        moved.push_str(&format!("\"{}\"{rest}", in_discord(name)));
    }
    format!("{before}{slack}{own}\n{moved}")
}

/// `T0HOME0000/UMARIA0000` as Discord has it.
fn in_discord(name: &str) -> String {
    let Some((_, name)) = name.split_once('/') else { return format!("discord/{GUILD}") };
    let (kind, short) = name.split_at(1);
    let short = short.trim_end_matches('0').to_lowercase();
    let id = match (kind, short.as_str()) {
        ("U", name) => id("user", name),
        ("S", "qaleads") => id("role", "qa"),
        ("C", name) => id("channel", name),
        other => panic!("what is {other:?}?"),
    };
    format!("discord/{GUILD}/{id}")
}
