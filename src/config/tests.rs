//! What the configuration promises, tried on texts and on real files.

use std::fs;

use insta::assert_snapshot;
use proptest::prelude::*;
use tracing::Level;

use super::*;
use crate::domain::ids::ActionName;
use crate::domain::lint::{self, Facts};

fn around() -> Surroundings {
    Surroundings {
        state: Some("/var/lib/tminus".into()),
        own_program: "/usr/bin/tminus".into(),
        demo_url: Some("http://127.0.0.1:7171".into()),
    }
}

fn nothing(_: &str) -> Option<String> {
    None
}

/// One below the other, each with its mend on a line of its own.
fn told(problems: &[Problem]) -> String {
    let parts = problems.iter().map(|problem| {
        let what = Problem { mend: String::new(), ..problem.clone() };
        format!("{what}\n    {}", problem.mend)
    });
    parts.collect::<Vec<_>>().join("\n")
}

fn demo() -> Config {
    load(None, &around(), &nothing).unwrap_or_else(|problems| panic!("{}", told(&problems)))
}

/// A small configuration that is right, followed by what a test adds.
const SMALL: &str = r#"
[console]
enabled = false
[people.ann]
name = "Ann"
[people.bob]
name = "Bob"
[roles.captain]
members = ["ann"]
may = ["schedule", "start", "rollback"]
"#;

fn small(more: &str) -> Result<Config, Vec<Problem>> {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!("{SMALL}{more}");
    let read = read(&text, "tminus.toml", Some(folder.path()), &around(), &nothing);
    let shown = |text: String| text.replace(&folder.path().display().to_string(), "…");
    let shown = |problem| Problem { what: shown(Problem::clone(&problem).what), ..problem };
    read.map_err(|problems| problems.into_iter().map(shown).collect())
}

/// What is said of one more piece of configuration; lines count from its own first.
fn wrong(more: &str) -> String {
    let problems = small(more).expect_err("must be refused");
    let before = SMALL.lines().count();
    let moved = problems
        .into_iter()
        .map(|problem| Problem { line: problem.line.saturating_sub(before), ..problem });
    told(&moved.collect::<Vec<_>>())
}

fn wrong_plan(text: &str) -> String {
    told(&read_plan(text, "plan.toml").expect_err("must be refused"))
}

// ---------------------------------------------------------------------------------------------
// What is shipped

#[test]
fn the_embedded_default_is_a_demo_that_runs_this_very_program() {
    let config = demo();
    assert!(config.demo);
    assert_eq!(config.console.access, Access::Switcher);
    assert_eq!(config.console.people.len(), 10);
    assert!(config.api_tokens.is_empty());
    let deploy = &config.policy.actions[&ActionName::from("deploy")];
    assert_eq!(
        deploy.shows,
        "/usr/bin/tminus demo deploy --dir /var/lib/tminus/demo --url http://127.0.0.1:7171 \
         --pod {pod} --version {version}"
    );
    assert_eq!(deploy.placeholders, ["pod", "version"].map(String::from).into());
    let required = config.policy.roles.iter().filter(|(_, role)| role.required);
    let required: Vec<_> = required.map(|(id, _)| id.as_str()).collect();
    assert_eq!(required, ["engineering", "product", "qa", "support"]);
}

#[test]
fn every_shipped_plan_lints_without_a_refusal() {
    let config = demo();
    assert_eq!(config.plans.len(), EMBEDDED_PLANS.len());
    let said = config.plans.iter().map(|plan| {
        let found = lint::lint(&plan.plan, &config.policy, None, &Facts::default());
        assert_eq!(lint::refusals(&found).next(), None, "{}", plan.name);
        let mut rules: Vec<_> = found.into_iter().map(|finding| finding.rule).collect();
        rules.dedup();
        format!("{}: {}", plan.name, rules.join(", "))
    });
    assert_snapshot!(said.collect::<Vec<_>>().join("\n"), @r"
    blue-green: no-artifact
    canary: no-artifact
    direct: no-artifact
    flag-quick: no-artifact
    flag-slow: no-artifact
    flag: no-artifact
    recreate: no-artifact
    rolling: no-artifact
    steps: no-artifact
    team-first: no-artifact
    web-shop-v1.2.0: rolling-with-migration
    ");
}

#[test]
fn the_shipped_plans_are_those_of_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/plans");
    let (plans, problems) = plans::in_directory(&folder);
    assert_eq!(told(&problems), "");
    let names: Vec<_> = plans.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(names, EMBEDDED_PLANS.map(|(name, _)| name));
}

#[test]
fn the_sample_plan_waits_for_the_rehearsal_alone() {
    use crate::domain::checklist;
    let config = demo();
    let plan = config.plans.iter().find(|plan| plan.name == "web-shop-v1.2.0");
    let plan = &plan.expect("the sample is shipped").plan;
    let items = checklist::opened(plan, &config.policy);
    assert_eq!(checklist::tally(&items).sections, 6);
    let reported: Vec<_> = plan.evidence.iter().map(|evidence| evidence.kind).collect();
    let open = checklist::missing(&items)
        .filter(|item| item.evidence.is_none_or(|kind| !reported.contains(&kind)));
    let open: Vec<_> = open.map(|item| item.id.as_str()).collect();
    assert_eq!(open, [checklist::REHEARSAL]);
    assert_eq!(plan.scope.fixes.len(), 15);
}

const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A folder as an operator would have it, with the shipped file in it.
fn installed(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["plans", "messages", "secrets"] {
        fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    for name in ["ann-token", "purge-old", "quinn-token"] {
        let secret = format!("{SIGNING}{}\n", name.len());
        fs::write(folder.path().join("secrets").join(name), secret).expect("a secret");
    }
    let key = rcgen::KeyPair::generate().expect("a key");
    let authority = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
    for name in ["mail-ca.pem", "metrics-ca.pem", "github-app.pem"] {
        let path = folder.path().join("secrets").join(name);
        fs::write(path, authority.pem()).expect("a file");
    }
    let path = folder.path().join("tminus.toml");
    fs::write(&path, text).expect("a configuration");
    (folder, path)
}

const SHIPPED: &str = include_str!("../../config/tminus.toml");

#[test]
fn the_commented_configuration_loads_as_it_is_and_with_every_key_in_use() {
    let everything: String = SHIPPED.lines().map(|line| used(line) + "\n").collect();
    assert!(everything.contains("\nprevious_secret"), "the marks are gone");
    for text in [SHIPPED, &everything] {
        let (folder, path) = installed(text);
        let credentials = folder.path().join("secrets").display().to_string();
        let env = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some(credentials.clone()),
            // Put together here, so that no scanner takes them for real ones.
            "SLACK_BOT_TOKEN" => Some(["xoxb", "1"].join("-")),
            "SLACK_APP_TOKEN" => Some(["xapp", "1"].join("-")),
            name => Some(format!("{SIGNING}{}", name.replace('_', "x"))),
        };
        let around = Surroundings { demo_url: None, state: None, ..around() };
        let config = load(Some(&path), &around, &env);
        let config = config.unwrap_or_else(|problems| panic!("{}", told(&problems)));
        assert!(!config.demo);
        assert_eq!(config.state, folder.path().join("state"));
        assert_eq!(config.policy.timing, Default::default(), "defaults as the file says");
    }
}

/// A key that is commented out has no space after the mark.
fn used(line: &str) -> String {
    match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| !c.is_whitespace() && c != '#') => rest.into(),
        Some(_) | None => line.into(),
    }
}

#[test]
fn the_commented_configuration_has_every_key_of_the_embedded_one() {
    fn keys(value: &toml::Value, path: &str, all: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                // Below these come names that the operator chooses.
                let named = [
                    "people",
                    "roles",
                    "audiences",
                    "flags",
                    "actions",
                    "checklist",
                    "metrics",
                    "queries",
                ];
                for (key, value) in table {
                    let shown = if named.contains(&path) { "*" } else { key };
                    let path =
                        if path.is_empty() { key.clone() } else { format!("{path}.{shown}") };
                    all.push(path.clone());
                    keys(value, &path, all);
                }
            }
            toml::Value::Array(list) => list.iter().for_each(|value| keys(value, path, all)),
            toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => {}
        }
    }
    let everything: String = SHIPPED.lines().map(|line| used(line) + "\n").collect();
    let of = |text: &str| {
        let mut all = Vec::new();
        keys(&toml::from_str(text).expect("TOML"), "", &mut all);
        all
    };
    let (ours, theirs) = (of(&everything), of(EMBEDDED));
    let missing: Vec<_> = theirs.iter().filter(|key| !ours.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

// ---------------------------------------------------------------------------------------------
// Mistakes in a configuration

#[test]
fn each_mistake_gives_its_line_and_its_mend() {
    assert_snapshot!(wrong(r#"[roles.qa]
memebers = ["ann"]
[roles.ops]
members = ["anne"]
may = ["rolback"]
[roles.support]
required = true
[people.Carl]
name = 5
accounts = ["slack/T1"]
[audience]
"#), @r#"
tminus.toml:2: unknown key `memebers` in [roles.qa]
    did you mean `members`?
tminus.toml:4: I know no person `anne`
    did you mean `ann`?
tminus.toml:5: "rolback" cannot be an item of `may`
    did you mean "rollback"?
tminus.toml:6: every release asks `support`, and nobody is in it
    add `members`, or `required = false`
tminus.toml:9: `name` must be a text, and this is a number
    write `name = "5"`
tminus.toml:10: accounts: `slack/T1` is not an account
    write platform/tenant/user
tminus.toml:11: unknown key `audience` at the top of the file
    did you mean `audiences`?
"#);
}

#[test]
fn a_mistake_reads_like_a_compilers() {
    let problems = small("[roles.qa]\nmemebers = []\n").expect_err("must be refused");
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(
        problem.to_string(),
        "tminus.toml:12: unknown key `memebers` in [roles.qa]: did you mean `members`?"
    );
    assert_eq!((problem.line, problem.column), (12, 1));
    assert_eq!(problem.key, "roles.qa.memebers");
}

#[test]
fn destinations_must_lead_somewhere() {
    assert_snapshot!(wrong(r##"[audiences]
one = ["#releases"]
two = ["slack/T1/C1"]
three = ["console/local/releases"]
four = ["webhook:status"]
[[announcement]]
id = "a"
at = "48h"
audience = "one"
template = "t-48h"
[[announcement]]
id = "b"
at = "T-1h"
audience = "fuor"
template = "t-84h"
[rooms]
platforms = ["console"]
"##), @r"
tminus.toml:2: one: `#releases` is not a destination
    write platform/tenant/channel such as `console/local/releases`, `webhook:name` or `email:name`
tminus.toml:3: no chat platform `slack` is configured
    add [slack] with `team` and `bot_token`: deploy/slack/README.md says how
tminus.toml:4: the console has no channel `releases`
    there is none
tminus.toml:4: the console is turned off, so nothing can be said there
    say `enabled = true` in [console]
tminus.toml:5: I know no webhook `status`
    add [webhooks.status]
tminus.toml:8: at: `48h` does not say before or after the start
    say `T-48h` or `T+48h`
tminus.toml:14: I know no audience `fuor`
    did you mean `four`?
tminus.toml:15: there is no announcement template `t-84h`
    did you mean `t-48h`?
tminus.toml:17: `console` is not a place where rooms can open
    write platform/tenant, for example `console/local`
");
}

#[test]
fn slack_is_judged_by_its_ids_and_its_tokens() {
    let env = |name: &str| Some([name, "1"].join("-"));
    let told_of = |more: &str| {
        let text = format!("{SMALL}{more}");
        match read(&text, "t.toml", Some(Path::new("")), &around(), &env) {
            Ok(config) => Ok(config.slack.expect("it is configured")),
            Err(problems) => Err(told(&problems)),
        }
    };
    let right = told_of(
        r#"[slack]
team = "T1A"
bot_token = { env = "xoxb" }
app_token = { env = "xapp" }
[audiences]
internal = ["slack/T1A/C1A"]
[rooms]
platforms = ["slack/T1A"]
[roles.qa]
groups = ["slack/T1A/S1A"]
"#,
    );
    let right = right.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((right.mode, right.slash.as_str()), (SlackMode::Socket, "/release"));
    assert!(!format!("{right:?}").contains("xoxb-1"), "no token is printed");
    let wrong = told_of(
        r##"[slack]
team = "acme"
bot_token = { env = "xoxp" }
mode = "both"
slash = "release"
api_url = "http://slack.example/api"
[audiences]
one = ["slack/acme/#releases"]
two = ["slack/T2B/C1A"]
[roles.qa]
groups = ["slack/acme/qa", "qa-leads"]
"##,
    );
    assert_snapshot!(wrong.expect_err("must be refused"), @"
    t.toml:11: Socket Mode needs `app_token`
        make one on the app's page Basic Information, under App-Level Tokens, with the scope connections:write
    t.toml:11: listening over HTTP needs `signing_secret`
        copy the Signing Secret from the app's page Basic Information
    t.toml:12: `acme` is not the id of a workspace
        copy the `T…` from the address of Slack in a browser: app.slack.com/client/T…
    t.toml:13: this token does not begin with xoxb-
        copy the Bot User OAuth Token from the app's page OAuth & Permissions
    t.toml:14: Slack has to know where to call us
        set `public_url` in [server] to the address that Slack is to call
    t.toml:15: `release` is not a slash command
        write one word after a slash: `/release`
    t.toml:16: `http://slack.example/api` is not an address that can be called safely
        write `https://…`; `http://` is for this machine only
    t.toml:18: `#releases` is not the id of a channel in Slack
        copy the `C…` from the end of the channel's details in Slack, not its name
    t.toml:19: [slack] is for the workspace `acme`
        write `slack/acme/…`
    t.toml:21: `qa-leads` is not a group that I can ask for
        write `slack/T…/S…` or `discord/<server>/<role>`
    t.toml:21: `slack/acme/qa` is not a user group in Slack
        write `slack/T…/S…`, with the group's id
    ");
}

#[test]
fn discord_is_judged_by_its_ids() {
    let env = |name: &str| Some(name.to_owned());
    let told_of = |more: &str| {
        let text = format!("{SMALL}{more}");
        match read(&text, "t.toml", Some(Path::new("")), &around(), &env) {
            Ok(config) => Ok(config.discord.expect("it is configured")),
            Err(problems) => Err(told(&problems)),
        }
    };
    let right = told_of(
        r#"[discord]
guild = "100000000000000001"
application = "100000000000000002"
bot_token = { env = "MTA.b.c" }
category = "100000000000000003"
[audiences]
internal = ["discord/100000000000000001/100000000000000005"]
[rooms]
platforms = ["discord/100000000000000001"]
[roles.qa]
groups = ["discord/100000000000000001/100000000000000006"]
"#,
    );
    let right = right.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((right.mode, right.category), (DiscordMode::Gateway, Some(100000000000000003)));
    assert!(!format!("{right:?}").contains("MTA.b"), "no token is printed");
    let wrong = told_of(
        r##"[discord]
guild = "100000000000000001"
application = "tminus"
bot_token = { env = "Bot MTA" }
mode = "both"
category = "100000000000000003"
archive = "100000000000000003"
api_url = "http://discord.example"
[audiences]
one = ["discord/100000000000000001/releases"]
two = ["discord/100000000000000009/100000000000000005"]
[rooms]
platforms = ["discord/acme"]
[roles.qa]
groups = ["discord/100000000000000001/qa", "discord/qa"]
[people.bo]
name = "Bo"
accounts = ["discord/100000000000000001/bo"]
"##,
    );
    assert_snapshot!(wrong.expect_err("must be refused"), @"
    t.toml:11: listening over HTTP needs `public_key`
        copy the Public Key, 64 hexadecimal digits, from the page General Information
    t.toml:13: `tminus` is not an id of Discord's
        copy the Application ID from the page General Information
    t.toml:14: the token holds something that no token of Discord's holds
        copy it from the application's page Bot (Reset Token), without anything around it
    t.toml:15: Discord has to know where to call us
        set `public_url` in [server] to the address that Discord is to call
    t.toml:17: rooms would be archived where they are opened, and fill it up
        make a second category, and copy its id
    t.toml:18: `http://discord.example` is not an address that can be called safely
        write `https://…`; `http://` is for this machine only
    t.toml:20: `releases` is not an id of Discord's
        right-click the channel, Copy Channel ID; its name does not do
    t.toml:21: [discord] is for the server `100000000000000001`
        write `discord/100000000000000001/…`
    t.toml:23: [discord] is for the server `100000000000000001`
        write `discord/100000000000000001/…`
    t.toml:25: `qa` is not an id of Discord's
        Server Settings, Roles, the dots beside the role, Copy Role ID
    t.toml:25: `discord/qa` is not a role in Discord
        write `discord/<server>/<role>`, both as ids
    t.toml:28: `bo` is not an id of Discord's
        right-click the person, Copy User ID; their name does not do
    ");
}

#[test]
fn actions_are_judged_by_their_kind() {
    assert_snapshot!(wrong(r#"[actions.a]
limit = "5"
[actions.b]
command = ["{program}", "--version={version"]
url = "https://x"
[actions.c]
kind = "webhook"
url = "http://example.com/x"
outcome = "callback"
[actions.d]
kind = "webhok"
[actions.e]
command = "deploy {version}"
[actions."F g"]
command = ["x"]
"#), @r#"
tminus.toml:2: limit: `5` has no unit
    say `5m`, `5h` or `5d`
tminus.toml:4: the program itself must not be a placeholder: a plan would choose what is run
    name the program
tminus.toml:4: the placeholder `{version` is not closed
    write `{version}`
tminus.toml:5: `url` has no meaning for kind = "program"
    leave it out, or say kind = "webhook"
tminus.toml:6: [actions.c] has no secret to sign with
    add `secret = { env = "NAME" }`
tminus.toml:8: `http://example.com/x` is not an address that can be called safely
    write `https://…`; `http://` is for this machine only
tminus.toml:9: a callback needs an address at which we can be reached
    add `public_url = "https://…"` to [server]
tminus.toml:11: "webhok" cannot be `kind`
    did you mean "webhook"?
tminus.toml:13: `command` must be a list, and this is a text
    write `command = […]`
tminus.toml:14: `F g` cannot be the name of an action
    use lower-case letters, digits and dashes
"#);
}

#[test]
fn a_secret_inline_is_refused_and_never_shown() {
    let said = wrong(
        r#"[machines.ci]
token = "hunter2-hunter2-hunter2"
may = ["override", "evidence"]
[machines.b]
token = { env = "NOT_SET" }
[machines.c]
token = { file = "nowhere" }
[machines.d]
token = { file = "a", env = "B" }
[machines.e]
token = { evn = "B" }
"#,
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert_snapshot!(said, @r#"
    tminus.toml:2: a secret must not stand in this file, which is copied, reviewed and backed up
        write `{ env = "NAME" }` or `{ file = "path" }`, and change the secret
    tminus.toml:3: a machine cannot override a refusal
        leave out "override"
    tminus.toml:5: the environment variable `NOT_SET` is not set
        set it where the program is started
    tminus.toml:7: I cannot read the secret in …/nowhere: No such file or directory (os error 2)
        relative paths begin at this file; the program's user must be able to read
    tminus.toml:9: a secret comes from exactly one place
        give one of `env`, `file` and `credential`
    tminus.toml:11: unknown key `evn` in [machines.e.token]
        did you mean `env`?
    "#);
}

#[test]
fn times_zones_and_addresses_are_checked() {
    assert_snapshot!(wrong(r#"[server]
listen = "localhost"
public_url = "tminus.example"
[timing]
settle = "1 fortnight"
[rules]
hotfix_approver = "captian"
one_seat_per_person = "yes"
required_evidence = ["stagging"]
[[freeze]]
from = "christmas"
until = 2026-12-27
reason = "x"
[[freeze]]
from = "2026-12-27"
until = 2026-12-26 10:00:00
reason = "x"
[checklist.security]
title = "Security"
items = [{ name = "Scan", limit = "fast" }, { name = "…" }]
[plans]
directory = "nowhere"
"#), @r#"
tminus.toml:2: `localhost` is not an address to listen on
    write address:port, such as `127.0.0.1:7777`
tminus.toml:3: `tminus.example` is not an address
    write `https://…`
tminus.toml:5: settle: `fortnight` is not a unit of time here
    use s, m, h, d or w: `15m`, `1h 30m`, `7d`
tminus.toml:7: I know no role `captian`
    did you mean `captain`?
tminus.toml:8: `one_seat_per_person` must be true or false, and this is a text
    write `one_seat_per_person = true`
tminus.toml:9: "stagging" cannot be an item of `required_evidence`
    did you mean "staging"?
tminus.toml:11: "christmas" is not a time
    write it as `2026-12-24 00:00`
tminus.toml:16: the freeze is over before it begins
    let it end after it begins
tminus.toml:20: limit: `fast` is not a limit
    write for example `LCP < 2.5 s`
tminus.toml:22: there is no directory …/nowhere
    create it, or name another; relative paths begin at this file
"#);
}

#[test]
fn a_bare_number_is_answered_with_what_would_be_taken() {
    assert_snapshot!(wrong(r#"[server]
listen = 7777
[timing]
settle = 5
watch = -5
silence = [5]
reminders = [2.5]
[checklist.security]
title = "Security"
items = [{ name = "Scan", limit = 5 }]
"#), @r#"
tminus.toml:2: `listen` must be a text, and this is a number
    write `listen = "127.0.0.1:7777"`
tminus.toml:4: settle: `5` has no unit
    say `5m`, `5h` or `5d`
tminus.toml:5: watch: `-5` is not a length of time
    for example `15m`, `1h 30m` or `72h`
tminus.toml:6: `silence` must be a length of time, and this is a list
    write `silence = "15m"`
tminus.toml:7: an item of `reminders` must be a length of time, and this is a number
    write "15m"
tminus.toml:10: `limit` must be a text, and this is a number
    write for example `limit = "LCP < 2.5 s"`
"#);
}

#[test]
fn what_cannot_be_a_port_is_no_address_either() {
    for value in ["true", "1.5", "-1", "99999"] {
        let said = wrong(&format!("[server]\nlisten = {value}\n"));
        assert!(said.contains("write `listen = \"127.0.0.1:7777\"`"), "{said}");
    }
}

#[test]
fn a_filter_of_the_log_is_judged_before_it_is_used() {
    for (filter, part) in [
        ("tminus=wat", "tminus=wat"),
        ("info,inof", "inof"),
        ("info, tminus[release]=debug", "tminus[release]=debug"),
        ("tminus=", "tminus="),
        ("=debug", "=debug"),
        (" , ", " , "),
    ] {
        let said = wrong(&format!("[log]\nfilter = \"{filter}\"\n"));
        assert!(said.starts_with(&format!("tminus.toml:2: `{part}` is no filter")), "{said}");
        assert!(said.contains("write `info`, or `info,tminus=debug`"), "{said}");
    }
    let targets = |filter| super::targets(filter).expect("a filter");
    for spaced in ["info,tminus::app=debug", " info, tminus::app = debug,"] {
        assert!(targets(spaced).would_enable("tminus::app::engine", &Level::DEBUG), "{spaced}");
        assert!(targets(spaced).would_enable("h2", &Level::INFO), "{spaced}");
        assert!(!targets(spaced).would_enable("h2", &Level::DEBUG), "{spaced}");
    }
    assert!(!targets("off").would_enable("tminus", &Level::ERROR));
}

#[test]
fn an_account_that_nobody_could_come_by_is_refused() {
    assert_snapshot!(wrong(r#"[people.cleo]
name = "Cleo"
accounts = ["slakc/T0123/U0456", "slack/T0123/cleo", "console/locla/cleo", "slack/T0123/U0456"]
"#), @r"
    tminus.toml:3: there is no chat platform `slakc`
        write `slack/T…/U…`, `discord/<server>/<person>` or `console/local/<name>`
    tminus.toml:3: `cleo` is not the id of a person in Slack
        copy the `U…` from the person's profile (the dots, Copy member ID)
    tminus.toml:3: the console is called `local`
        write `console/local/cleo`
    ");
}

#[test]
fn a_console_on_a_network_needs_tokens_and_one_token_is_one_person() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = SMALL.replace(
        "enabled = false",
        r#"
[[console.channel]]
id = "releases"
name = "releases"
TOKENS"#,
    );
    let try_with = |tokens: &str| {
        let text = file.replace("TOKENS", tokens);
        let env = |name: &str| match name {
            "SHORT" => Some("short".to_owned()),
            "LONG" => Some("0123456789abcdef".to_owned()),
            _ => None,
        };
        read(&text, "tminus.toml", Some(folder.path()), &around(), &env)
    };
    let said = |tokens: &str| told(&try_with(tokens).expect_err("must be refused"));
    assert_snapshot!(said(""), @r#"
    tminus.toml:2: the console has no tokens, so nobody could use it
        add [console.tokens] with `maria = { env = "NAME" }`, or `enabled = false`
    "#);
    assert_snapshot!(said("[console.tokens]\nann = { env = \"SHORT\" }\nbod = { env = \"LONG\" }"),
        @r"
        tminus.toml:8: the token is shorter than 16 characters
            make one with `openssl rand -hex 32`
        tminus.toml:9: I know no person `bod`
            did you mean `bob`?
        ");
    assert_snapshot!(said("[console.tokens]\nann = { env = \"LONG\" }\nbob = { env = \"LONG\" }"),
        @r"
        tminus.toml:9: `bob` and `ann` have the same token
            one token is one person, or one machine: make another
        ");
    let machines = "[machines.ann]\ntoken = { env = \"LONG\" }\n\
                    [console.tokens]\nbob = { env = \"LONG\" }";
    assert_snapshot!(said(machines), @r"
        tminus.toml:7: `ann` is a person already
            give the machine a name of its own
        tminus.toml:10: `bob` and `ann` have the same token
            one token is one person, or one machine: make another
        ");
    let config = try_with("[console.tokens]\nann = { env = \"LONG\" }").expect("it is right");
    let shown = format!("{:?}", config.console.access);
    assert_eq!(shown, r#"Tokens([(PersonId("ann"), Secret(…))])"#);
    assert_eq!(config.api_tokens.len(), 1);
}

#[test]
fn somebody_must_be_able_to_roll_back_by_name() {
    let text = SMALL.replace("members", "groups").replace("\"ann\"", "\"slack/T1/S1\"");
    let told_by = told(
        &read(&text, "t.toml", Some(Path::new("")), &around(), &nothing)
            .expect_err("must be refused"),
    );
    assert_snapshot!(told_by, @r#"
    t.toml:8: nobody may roll back
        add "rollback" to `may` of a role that has members
    t.toml:8: nobody may schedule or change a release
        add "schedule" to `may` of a role that has members
    t.toml:8: nobody may start a release
        add "start" to `may` of a role that has members
    t.toml:9: no chat platform `slack` is configured
        add [slack] with `team` and `bot_token`: deploy/slack/README.md says how
    "#);
}

#[test]
fn a_mistake_does_not_move_the_lines_of_others() {
    // The first is taken out of its list; the second is still told with its own line.
    let one = "[[freeze]]\nfrom = 2026-12-01\nreason = \"x\"\n";
    let two = "[[freeze]]\nfrom = \"soon\"\nuntil = 2026-12-01\nreason = \"x\"\n";
    assert_snapshot!(wrong(&format!("{one}{two}")), @r#"
    tminus.toml:1: `until` is missing in [[freeze]]
        add `until = "2026-12-24 00:00"`
    tminus.toml:5: "soon" is not a time
        write it as `2026-12-24 00:00`
    "#);
}

#[test]
fn what_is_not_toml_is_told_line_by_line() {
    assert_snapshot!(wrong("a = hello\nb =\n[people.ann]\nc: 3\nd = \"open\ne = yes\n"), @r#"
    tminus.toml:1: `hello` is a text without quotes
        write "hello"
    tminus.toml:2: there is no value after `=`
        write one, texts in "quotes"
    tminus.toml:3: `ann` is there twice
        keep one of the two, or merge them
    tminus.toml:4: `c: 3` is not `key = value`
        put `=` between the key and its value
    "#);
}

#[test]
fn a_file_that_is_not_there_or_not_text_says_so() {
    let (folder, path) = installed("");
    fs::write(&path, b"a = 1\nb = \"\xff\"\n").expect("a file");
    let said = |path: &Path| {
        let problems = load(Some(path), &around(), &nothing).expect_err("must be refused");
        told(&problems).replace(&folder.path().display().to_string(), "…")
    };
    assert_snapshot!(said(&path), @r"
    …/tminus.toml:2: there is something here that is not UTF-8
        save the file as UTF-8
    ");
    assert_snapshot!(said(&folder.path().join("other.toml")), @r"
    …/other.toml: I cannot read the configuration: No such file or directory (os error 2)
        give its path with `--config`
    ");
}

#[test]
fn odd_and_overlong_names_are_fine() {
    let long = "é".repeat(10_000);
    let config = small(&format!(
        "[people.zoe]\nname = \"{long}\"\n[people.ali]\nname = \"علي 🚀\u{202e}\"\n"
    ));
    let config = config.unwrap_or_else(|problems| panic!("{}", told(&problems)));
    assert_eq!(config.policy.people.len(), 4);
    // An excerpt is cut by characters, not by bytes.
    let said = wrong(&format!("[\"{long}\"]\n[people.x]\nnaem = \"🚀\"\n"));
    assert!(said.chars().count() < 1_500, "{said}");
}

// ---------------------------------------------------------------------------------------------
// Mistakes in a plan

#[test]
fn a_plan_tells_all_its_mistakes_with_the_key_that_was_meant() {
    assert_snapshot!(wrong_plan(r#"[release]
service = "web-shop"
verison = "v1"
version = 5
zone = "America/Los_Angelos"
captain = "maria"
strategy = "roling"
[[stage]]
name = "Pod 1"
soak = "10"
[[stage]]
name = "Pod 2"
action = "deploy"
advance = "atuo"
traffic = "33"
checks = "health"
[[stages]]
name = "x"
[rollback]
to = "v1"
rto = "soon"
[database]
[[flag]]
name = "f"
expires = "soon"
[[announcement]]
id = "a"
at = "1h"
audience = "x"
template = "x"
"#), @r#"
plan.toml:3: unknown key `verison` in [release]
    did you mean `version`?
plan.toml:4: `version` must be a text, and this is a number
    write `version = "5"`
plan.toml:5: I know no time zone `America/Los_Angelos`
    did you mean `America/Los_Angeles`?
plan.toml:7: "roling" cannot be `strategy`
    did you mean "rolling"?
plan.toml:10: soak: `10` has no unit
    say `10m`, `10h` or `10d`
plan.toml:14: "atuo" cannot be `advance`
    did you mean "auto"?
plan.toml:15: `traffic` must be a number, and this is a text
    write it without quotes
plan.toml:16: `checks` must be a list, and this is a text
    write `checks = […]`
plan.toml:17: unknown key `stages` at the top of the file
    did you mean `stage`?
plan.toml:21: rto: `soon` is not a length of time
    for example `15m`, `1h 30m` or `72h`
plan.toml:25: "soon" is not a day
    write it as `2026-12-31`
plan.toml:28: at: `1h` does not say before or after the start
    say `T-1h` or `T+1h`
"#);
}

#[test]
fn a_part_that_is_wrong_does_not_blame_what_needs_it() {
    // The key is there, only wrong: it is not missing too.
    assert_snapshot!(wrong_plan(
        "release = 5\n[rollback]\nrto = \"15m\"\nto = { a = 1 }\n[database]\nmigrations = []\n"
    ), @r#"
    plan.toml:1: `release` must be a table, and this is a number
        write [release] and its keys below it
    plan.toml:4: `to` must be a text, and this is a table
        write it in "quotes"
    plan.toml:6: unknown key `migrations` in [database]
        did you mean `migration`?
    "#);
}

#[test]
fn dates_may_stand_without_quotes() {
    let text = include_str!("../../config/plans/rolling.toml");
    let text = text.replace("\"tuesday 10:00\"\nkind", "2026-12-15 10:00:00\nkind");
    let text = format!("{text}\n[[flag]]\nname = \"f\"\nexpires = 2027-01-31\n");
    let plan = read_plan(&text, "plan.toml").unwrap_or_else(|why| panic!("{}", told(&why)));
    let day = chrono::NaiveDate::from_ymd_opt(2027, 1, 31);
    assert_eq!(plan.flags[0].expires, day.map(crate::domain::plan::Expiry::On));
    assert_eq!(plan.release.start.as_deref(), Some("2026-12-15T10:00:00"));
}

#[test]
fn webhooks_are_signed_well_and_asked_where_they_began() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("secret"), "password\n").expect("a secret");
    let text = format!(
        "{SMALL}[actions.a]\nkind = \"webhook\"\nurl = \"https://a.example/x\"\n\
         secret = {{ file = \"secret\" }}\noutcome = \"poll\"\n\
         poll_url = \"https://b.example/{{key}}\"\n"
    );
    let problems = read(&text, "tminus.toml", Some(folder.path()), &around(), &nothing);
    assert_snapshot!(told(&problems.expect_err("must be refused")), @r"
    tminus.toml:14: a secret to sign with is `whsec_` and the base64 of at least 24 bytes
        make one with `echo whsec_$(openssl rand -base64 32)`
    tminus.toml:16: the address to ask is on another host than `url`
        an outcome is asked where it began
    ");
}

#[test]
fn mail_is_sent_to_lists_by_a_server_that_can_be_trusted() {
    assert_snapshot!(wrong(r#"[mail]
server = "smtp.example"
port = 70000
tls = "none"
ca = "nowhere.pem"
user = "bot"
password = { env = "NOWHERE" }
from = "ann@customer.example\nBcc: eve@evil.example"
helo = "bot shop"
[mail.lists.customers]
to = ["ann@customer.example", "ben.customer.example", "ANN@customer.example", "zoë@shop.example"]
reply_to = "ben at customer.example"
[mail.lists.nobody]
to = []
[mail.lists."ann@customer.example"]
to = ["ann@customer.example"]
[audiences]
one = ["email:custmers"]
two = ["email:ann@customer.example.org"]
"#), @r#"
    tminus.toml:3: there is no such port
        25 is the usual one
    tminus.toml:4: the password would cross the network in plain text
        say "starttls" or "implicit"; "none" is for a server on this machine
    tminus.toml:5: I cannot read …/nowhere.pem: No such file or directory (os error 2)
        name a file with certificates as PEM; relative paths begin at this file
    tminus.toml:7: the environment variable `NOWHERE` is not set
        set it where the program is started
    tminus.toml:8: this is not one mail address
        write `name@host.example` or `Name <name@host.example>`
    tminus.toml:9: `bot shop` is not a name that a server would take
        write this machine's name, such as `bot.example`
    tminus.toml:10: `…@…` cannot be the name of a list
        use at most 60 lower-case letters, digits and dashes
    tminus.toml:11: this is not a mail address
        write `name@host.example`
    tminus.toml:11: this address is on the list already
        leave it out: nobody gets a letter twice
    tminus.toml:11: this mail address is not in plain letters
        write its domain in the form that begins with `xn--`
    tminus.toml:12: this is not one mail address
        write `name@host.example` or `Name <name@host.example>`
    tminus.toml:13: nobody is on the list `nobody`
        add `to = ["name@host.example"]`, or leave the list out
    tminus.toml:18: I know no list `custmers`
        did you mean `customers`?
    tminus.toml:19: I know no list `…@…`
        did you mean `…@…`?
    "#);
    assert_snapshot!(wrong("[audiences]\none = [\"mailto:ann@customer.example\"]\n"), @r#"
    tminus.toml:2: one: `mailto:…@…` is not a destination
        write platform/tenant/channel such as `console/local/releases`, `webhook:name` or `email:name`
    "#);
    assert_snapshot!(wrong("[mail.lists.a]\nto = [\"ann@customer.example\"]\n"), @r#"
    tminus.toml:1: [mail] has no `from`, so nothing can be sent
        add `from = "Releases <releases@shop.example>"`
    tminus.toml:1: [mail] has no `server`, so nothing can be sent
        add `server = "smtp.example"`
    "#);
    assert_snapshot!(wrong("[audiences]\none = [\"email:customers\"]\n"), @r#"
    tminus.toml:2: I know no list `customers`
        add [mail.lists.customers]
    "#);
    let half = "[mail]\nserver = \"localhost\"\ntls = \"none\"\nfrom = \"a@b.example\"\n";
    assert_snapshot!(wrong(&format!("{half}user = \"bot\"\n")), @r#"
    tminus.toml:5: there is a user and no password
        add `password = { env = "NAME" }`, or leave `user` out
    "#);
    let many: Vec<_> = (0..=100).map(|n| format!("\"a{n}@b.example\"")).collect();
    let many = format!("{half}[mail.lists.a]\nto = [{}]\n", many.join(", "));
    assert_snapshot!(wrong(&many), @r#"
    tminus.toml:6: a list has at most 100 addresses
        keep a list of that length at the mail server, and name its one address
    "#);
    assert_snapshot!(wrong("[mail.lists.a]\nto = [ann@customer.example]\n"), @r#"
    tminus.toml:2: `…@…` is a text without quotes
        write "…@…"
    "#);
}

#[test]
fn a_mail_server_has_its_usual_port() {
    for (tls, port) in [("starttls", 587), ("implicit", 465), ("none", 25)] {
        let more = format!(
            "[mail]\nserver = \"127.0.0.1\"\ntls = \"{tls}\"\nfrom = \"Shop <a@b.example>\"\n\
             [mail.lists.customers]\nto = [\"ann@customer.example\"]\n\
             [audiences]\ncustomers = [\"email:customers\"]\n"
        );
        let config = small(&more).unwrap_or_else(|problems| panic!("{}", told(&problems)));
        let mail = config.mail.expect("it is there");
        assert_eq!((mail.port, mail.timeout), (port, Duration::from_secs(30)));
        assert_eq!(mail.lists["customers"].to.len(), 1);
        let policy = serde_json::to_string(&config.policy).expect("a policy is plain data");
        assert!(policy.contains("email:customers") && !policy.contains("ann@"), "{policy}");
    }
}

#[test]
fn flags_are_kept_where_they_can_be_reached() {
    assert_snapshot!(wrong(r#"[flags.Shop]
kind = "file"
path = "flags.json"
url = "https://unleash.example"
[flags.here]
kind = "file"
[flags.far]
kind = "unleash"
url = "http://unleash.example/api/"
environment = ""
token = "*:*.0123456789"
[flags.own]
kind = "program"
path = "flags.json"
set = ["{flag}", "{percent}", "{version}"]
kill = ["/usr/bin/flags", "off"]
[flags.same]
kind = "file"
path = "flags.json"
[actions.flag-set]
command = ["/usr/bin/flags"]
[actions.flag-kill]
command = ["/usr/bin/flags"]
"#), @r#"
    tminus.toml:1: `Shop` cannot be the name of a flag provider
        use at most 60 lower-case letters, digits and dashes
    tminus.toml:4: `url` has no meaning for kind = "file"
        leave it out, or say kind = "unleash"
    tminus.toml:5: [flags.here] has no `path`
        add `path = "flags.json"`
    tminus.toml:7: [flags.far] has no `environment`
        add `environment = "production"`
    tminus.toml:9: `http://unleash.example/api` is not an address that can be called safely
        write `https://…`; `http://` is for this machine only
    tminus.toml:9: this is the address for clients
        leave out `/api`
    tminus.toml:11: a secret must not stand in this file, which is copied, reviewed and backed up
        write `{ env = "NAME" }` or `{ file = "path" }`, and change the secret
    tminus.toml:12: [flags.own] has no `state`
        add `state = ["/usr/local/bin/flag-state", "{flag}"]`
    tminus.toml:14: `path` has no meaning for kind = "program"
        leave it out, or say kind = "file"
    tminus.toml:15: `{version}` is not known here
        `set` is given {flag} and {percent}
    tminus.toml:15: the program itself must not be a placeholder: a plan would choose what is run
        name the program
    tminus.toml:16: the command does not say `{flag}`, so it cannot know the flag
        pass `{flag}` to it
    tminus.toml:17: [flags.same] and [flags.Shop] are one and the same
        leave one of them out
    tminus.toml:20: `flag-set` is an action of the program itself
        give it another name; providers of flags are in [flags]
    tminus.toml:22: `flag-kill` is an action of the program itself
        give it another name; providers of flags are in [flags]
    "#);
    assert_snapshot!(wrong("[flags.cloud]\nkind = \"launchdarkly\"\n[flags.none]\n"), @r#"
    tminus.toml:2: "launchdarkly" cannot be `kind`
        one of file, unleash, program
    tminus.toml:3: `kind` is missing in [flags.none]
        add `kind = …`
    "#);
}

#[test]
fn a_provider_of_flags_has_what_it_needs() {
    let more = "[flags.local]\nkind = \"file\"\npath = \"{state}/flags.json\"\n\
         [flags.own]\nkind = \"program\"\nset = [\"a\", \"{flag}\", \"{percent}\"]\n\
         kill = [\"a\", \"--off={flag}\"]\nstate = [\"{self}\", \"{flag}\"]\n";
    let config = small(more).unwrap_or_else(|problems| panic!("{}", told(&problems)));
    let path = config.state.join("flags.json");
    assert_eq!(config.flags["local"], FlagProvider::File { path });
    let FlagProvider::Program(own) = &config.flags["own"] else { panic!("it is a program") };
    assert_eq!(own.state, ["/usr/bin/tminus", "{flag}"]);
    assert_eq!(own.timeout, Duration::from_secs(10));
}

#[test]
fn sources_of_metrics_are_judged_by_their_kind() {
    assert_snapshot!(wrong(r#"[metrics.one]
command = ["measure"]
[metrics.two]
kind = "json"
url = "http://orders.internal/health"
ca = "nowhere.pem"
time = "/at"
[metrics.three]
kind = "program"
url = "https://prometheus.example"
time = "/at"
command = ["{query}", "{qery}"]
[metrics.four]
kind = "promethus"
[metrics.five]
url = "https://prometheus.example"
token = { env = "NOWHERE" }
user = "bot"
headers = { "X Scope" = "shop", X-Org = "shöp" }
time = "/at"
[metrics.six]
url = "http://prometheus.internal"
plain_http = true
token = "a-secret"
[metrics.Seven]
url = "http://127.0.0.1:9090"
"#), @r#"
    tminus.toml:2: `command` has no meaning for kind = "prometheus"
        leave it out, or say kind = "program"
    tminus.toml:5: `http://orders.internal/health` is not an address that can be called safely
        write `https://…`, or add `plain_http = true` if you trust the network
    tminus.toml:6: I cannot read …/nowhere.pem: No such file or directory (os error 2)
        name a file with certificates as PEM; relative paths begin at this file
    tminus.toml:10: `url` has no meaning for kind = "program"
        leave it out, or say kind = "prometheus"
    tminus.toml:11: `time` has no meaning for kind = "program"
        leave it out, or say kind = "json"
    tminus.toml:12: the program itself must not be a placeholder
        name the program
    tminus.toml:12: nothing fills the placeholder `{qery}`
        did you mean `query`?
    tminus.toml:14: "promethus" cannot be `kind`
        did you mean "prometheus"?
    tminus.toml:17: the environment variable `NOWHERE` is not set
        set it where the program is started
    tminus.toml:19: `X Scope` cannot be the name of a header
        use letters, digits and dashes
    tminus.toml:19: a header holds plain letters, digits and signs, in one line
        write it without any others
    tminus.toml:20: `time` has no meaning for kind = "prometheus"
        leave it out, or say kind = "json"
    tminus.toml:22: the secret would cross the network in plain text
        write `https://…`, or leave the secret out
    tminus.toml:24: a secret must not stand in this file, which is copied, reviewed and backed up
        write `{ env = "NAME" }` or `{ file = "path" }`, and change the secret
    tminus.toml:25: `Seven` cannot be the name of a source of metrics
        use at most 60 lower-case letters, digits and dashes
    "#);
    assert_snapshot!(wrong("[metrics.a]\n[metrics.b]\nkind = \"program\"\n"), @r#"
    tminus.toml:1: [metrics.a] has no url, so there is nothing to ask
        add `url = "https://prometheus.example"`
    tminus.toml:2: [metrics.b] has no command, so there is nothing to run
        add `command = ["/usr/local/bin/measure", "{query}"]`
    "#);
    let half = "[metrics.a]\nurl = \"https://prometheus.example\"\n";
    assert_snapshot!(wrong(&format!("{half}user = \"bot\"\n")), @r#"
    tminus.toml:3: there is a user and no password
        add `password = { env = "NAME" }`, or leave `user` out
    "#);
    let both = "token = { env = \"NOWHERE\" }\nuser = \"bot\"\n";
    assert_snapshot!(wrong(&format!("{half}{both}")), @r#"
    tminus.toml:3: the environment variable `NOWHERE` is not set
        set it where the program is started
    tminus.toml:3: there are two ways to log in
        leave out `token`, or the others
    "#);
}

#[test]
fn queries_are_judged_by_what_they_leave_open() {
    let both = "[metrics.a]\nurl = \"https://a.example\"\n\
                [metrics.b]\nurl = \"https://b.example\"\n";
    assert_snapshot!(wrong(&format!(r#"{both}[queries.error-rate]
source = "c"
query = 'rate(errors{{service="{{service}}", pod=~"x{{2}}"}}[{{widow}}]) / {{verson}}'
baseline = " "
kind = "errors"
[queries.rate]
query = "up"
"#)), @r#"
    tminus.toml:6: I know no source of metrics `c`
        did you mean `a`?
    tminus.toml:7: nothing fills the placeholder `{verson}`
        did you mean `version`?
    tminus.toml:7: nothing fills the placeholder `{widow}`
        known here: `service`, `environment`, `version`, `known_good`, `from`
    tminus.toml:8: there is nothing to ask
        write what the source understands
    tminus.toml:9: `errors` is not a kind of query
        known here: `error-rate`, `latency`, `throughput`, `client-errors`, `business`, `gauge`
    tminus.toml:10: there are several sources of metrics
        add `source`, one of `a`, `b`
    "#);
    assert_snapshot!(wrong("[queries.error-rate]\nquery = \"up\"\n"), @r#"
    tminus.toml:1: there is no source of metrics to ask
        add [metrics.prometheus] with its `url`
    "#);
}

#[test]
fn a_query_is_for_the_only_source_and_has_a_title() {
    let config = small(
        "[metrics.prometheus]\nurl = \"https://prometheus.example/shop/\"\n\
         [queries.error-rate]\nquery = 'rate(errors{service=\"{service}\"}[1m])'\n",
    );
    let config = config.unwrap_or_else(|problems| panic!("{}", told(&problems)));
    let query = &config.policy.queries["error-rate"];
    assert_eq!((query.source.as_str(), query.title.as_str()), ("prometheus", "Error rate"));
    assert_eq!((query.unit.as_str(), query.kind.name()), ("", "gauge"));
    assert_eq!(with_samples(&query.query), "rate(errors{service=\"nothing\"}[1m])");
    assert!(matches!(
        &config.metrics["prometheus"],
        MetricsTarget::Prometheus(address)
            if address.login == MetricsLogin::None && address.timeout == Duration::from_secs(10)
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_cut_out_of_a_file_is_read_or_told(
        from in any::<prop::sample::Index>(),
        length in 0_usize..40,
    ) {
        for text in [SHIPPED, EMBEDDED_PLANS[EMBEDDED_PLANS.len() - 1].1] {
            let chars: Vec<char> = text.chars().collect();
            let from = from.index(chars.len());
            let until = (from + length).min(chars.len());
            let cut: String = chars[..from].iter().chain(&chars[until..]).collect();
            for problem in read_plan(&cut, "x").err().into_iter().flatten() {
                prop_assert!(problem.line <= text.lines().count() + 1);
                prop_assert!(!problem.what.is_empty());
            }
            // Where the secrets come from does not matter: it must come to an end.
            let _ = read(&cut, "x", Some(Path::new("")), &around(), &nothing);
        }
    }
}

#[test]
fn a_finding_leads_to_its_line() {
    let text =
        "[release]\nservice = \"x\"\n\n[[stage]]\nname = \"a\"\n[[stage]]\nwith = { b = \"1\" }\n";
    assert_eq!(line_of(text, "release.service"), Some(2));
    assert_eq!(line_of(text, "stage[1].with.b"), Some(7));
    assert_eq!(line_of(text, "stage[1].soak"), Some(6), "its table, where the key is missing");
    assert_eq!(line_of(text, "rollback.to"), None);
    assert_eq!(line_of("not toml", "release"), None);
}

#[test]
fn holidays_of_the_sample_reach_the_policy() {
    let file: super::file::File =
        toml::from_str("zone = \"UTC\"\nholidays = [\"2026-12-25\"]\n").expect("a configuration");
    let day = chrono::NaiveDate::from_ymd_opt(2026, 12, 25).expect("a day");
    assert!(file.holidays.contains(&day));
    assert!(toml::from_str::<super::file::File>("holidays = [\"Christmas\"]\n").is_err());
}
