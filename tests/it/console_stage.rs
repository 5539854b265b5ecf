//! The program as it is installed with nothing but its own console: the shop of every chat, people
//! with tokens, and a real browser that shows the page to one of them.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::chats::ROOM;
use crate::installed::{Installed, Running, until};
use crate::operation::{cookie, said};
use crate::program::plain;
use crate::shop::{self, at, prop};

const PEOPLE: [&str; 4] = ["maria", "ann", "quinn", "sam"];

pub(crate) struct Stage {
    pub(crate) here: Installed,
    running: Option<Running>,
    page: Browser,
}

fn token(who: &str) -> String {
    format!("token-of-{who}-0123456789-0123456789-0123456789-01")
}

/// The configuration for Slack, said of the console.
fn moved(config: &str) -> String {
    let (before, rest) = config.split_once("[slack]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let tokens =
        PEOPLE.map(|who| format!("{who} = {{ env = \"TOKEN_{}\" }}\n", who.to_uppercase()));
    let channels = ["releases", "customers", "incidents"];
    let channels = channels.map(|id| {
        format!("[[console.channel]]\nid = \"{id}\"\nname = \"{id}\"\npurpose = \"{id}\"\n")
    });
    let console = format!("{}[console.tokens]\n{}", channels.concat(), tokens.concat());
    let own = "[people.quinn]\nname = \"Quinn\"\naccounts = [\"console/local/quinn\"]\n\n";
    let mut moved = format!("{before}{own}{after}")
        .replace("[console]\nenabled = false\n", &console)
        .replace("groups = [\"slack/T0HOME0000/SQALEADS00\"]", "members = [\"quinn\"]")
        .replace("\"slack/T0HOME0000\"", "\"console/local\"");
    let places =
        [("CRELEASES0", "releases"), ("CCUSTOMERS", "customers"), ("CINCIDENTS", "incidents")];
    for (id, name) in places {
        moved = moved.replace(&format!("slack/T0HOME0000/{id}"), &format!("console/local/{name}"));
    }
    let mut parts = moved.split("\"slack/T0HOME0000/U");
    let mut config = parts.next().unwrap().to_owned();
    for part in parts {
        let (id, rest) = part.split_once('"').unwrap();
        let name = id.trim_end_matches('0').to_lowercase();
        config.push_str(&format!("\"console/local/{name}\"{rest}"));
    }
    config
}

impl Stage {
    pub(crate) async fn furnished(
        change: impl FnOnce(String) -> String,
        furnish: impl FnOnce(&Installed),
    ) -> Self {
        let here = Installed::new(&change(moved(&prop("tminus.toml"))));
        let named = PEOPLE.map(|who| (format!("TOKEN_{}", who.to_uppercase()), token(who)));
        let here = named.iter().fold(here, |here, (name, token)| here.with_env(name, token));
        shop::furnish(&here);
        furnish(&here);
        let running = Some(here.start().await);
        Self { here, running, page: Browser::start().await }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// Opens the page as somebody, who enters their token.
    pub(crate) async fn page_of(&self, who: &str) {
        self.page.goto(&self.running().address).await;
        let enter = format!(
            "const done = arguments[arguments.length - 1];
             fetch('/console/enter', {{ method: 'POST', body: JSON.stringify({}),
               headers: {{ 'content-type': 'application/json' }} }}).then((it) => done(it.status));",
            json!({ "token": token(who) })
        );
        let entered = self.page.client.execute_async(&enter, Vec::new()).await.unwrap();
        assert_eq!(entered, json!(200));
        self.page.goto(&self.running().address).await;
        self.page.wait_for_text("#releases").await;
    }

    pub(crate) async fn killed_and_started_again(&mut self) {
        self.running.take().expect("it runs").killed().await;
        self.running = Some(self.here.start().await);
        self.page_of("maria").await;
        self.page.go_to(ROOM).await;
    }

    /// Every seat says go, the checklist is ticked, and the captain presses Start at the page.
    pub(crate) async fn to_start(&self) {
        self.says("maria", &format!("schedule web-shop {}", at(1)), "is scheduled for").await;
        self.page.wait_for_text("go or no-go?").await;
        for who in ["ann", "quinn", "sam"] {
            self.says(who, "go", "is recorded").await;
        }
        self.says("maria", "checklist pass runbook", "The checklist is green").await;
        self.says("maria", &format!("reschedule {}", at(0)), "now starts").await;
        self.reads("is ready to start").await;
        self.page.go_to(ROOM).await;
        self.page.wait_for_text("is ready to start").await;
        self.page.click("Start").await;
    }

    pub(crate) async fn says(&self, who: &str, line: &str, answer: &str) {
        let told = said(self.running(), &token(who), line).await;
        assert!(told.replace("**", "").contains(answer), "{line}: {told}");
    }

    /// On hold for its numbers: says why it goes on, and lifts the hold.
    pub(crate) async fn overrides_at_the_page(&self, why: &str) {
        self.page.go_to(ROOM).await;
        self.page.click("Override").await;
        self.page.fill("Reason", why).await;
        self.page.click("Override").await;
        self.page.wait_for_text("is overridden").await;
        self.page.click("Resume").await;
        self.page.wait_for_text("goes on").await;
    }

    /// By the button, and once more when it has been said from where to where.
    pub(crate) async fn goes_back_at_the_page(&self) {
        self.page.go_to(ROOM).await;
        self.page.click("Hold").await;
        self.page.fill("Reason", "it looks odd").await;
        self.page.click("Hold").await;
        self.page.wait_for_text("is on hold, by Maria").await;
        self.page.click("Roll back to v1.1.9").await;
        self.page.until("the question", "return document.querySelector('dialog[open]')").await;
        self.page.click("Roll back to v1.1.9").await;
    }

    /// What is in the war room, as the page is told it.
    async fn room(&self) -> Vec<String> {
        let cookie = cookie(self.running(), &token("maria")).await;
        let state =
            self.running().client().get(format!("{}/console/state", self.running().address));
        let state = state.header("cookie", cookie).send().await.unwrap();
        let state: Value = state.json().await.unwrap();
        let channels = state["channels"].as_array().unwrap();
        let room = channels.iter().find(|channel| channel["name"] == ROOM);
        let messages = room.and_then(|room| room["messages"].as_array()).into_iter().flatten();
        messages.map(|it| plain(&it["message"]["body"])).collect()
    }

    pub(crate) async fn reads(&self, wanted: &str) -> String {
        until(wanted, async || self.room().await.iter().any(|it| it.contains(wanted))).await;
        self.room().await.into_iter().find(|it| it.contains(wanted)).unwrap()
    }

    pub(crate) async fn transcript(&self) -> String {
        self.room().await.join("\n")
    }

    /// The drawings on the page in front of the person, each with its words.
    pub(crate) async fn pictures_seen(&self) -> Vec<String> {
        self.page.go_to(ROOM).await;
        let script = "return [...document.querySelectorAll('#messages .picture svg')]
            .filter((it) => it.getAttribute('role') === 'img' && it.checkVisibility()
              && /canary .*%, .*roll back above/.test(it.getAttribute('aria-label'))
              && it.querySelector('polyline, circle') && it.getBoundingClientRect().width > 300)
            .map((it) => `error-rate-${it.closest('li, article').innerText.match(/📈.*/)?.[0]}`);";
        let found = self.page.client.execute(script, Vec::new()).await.unwrap();
        let names = found.as_array().cloned().unwrap_or_default();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// No fault that axe finds, by day and by night, on a desk and on a phone; and a log that
    /// verifies.
    pub(crate) async fn assert_clean(self) {
        self.page.is_accessible("numbers").await;
        self.page.close().await;
        self.here.cli(&["audit", "verify"]).await.expect(0, &[]);
    }
}
