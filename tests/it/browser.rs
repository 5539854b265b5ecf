//! A real browser for the tests: starts it, drives it, looks for accessibility faults, ends it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::program::processes_with;

const PATIENCE: Duration = Duration::from_secs(60);
const DRIVERS: usize = 5;
const FLAGS: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    /// Where the driver listens, with the session's id.
    session: String,
    profile: TempDir,
}

/// What the reader's system asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Browser {
    /// Starts Debian's Chromium with a profile of its own, on a port that the driver chooses.
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let (driver, port) = listening_driver().await;
        let address = format!("http://127.0.0.1:{port}");
        let mut flags: Vec<_> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let options = json!({ "goog:chromeOptions": { "args": flags } });
        let Value::Object(options) = options else { unreachable!("written as an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(options)
            .connect(&address)
            .await
            .expect("a session with the browser");
        let id = client.session_id().await.unwrap().expect("the session has an id");
        let browser = Self { client, driver, session: format!("{address}/session/{id}"), profile };
        browser.size(1280, 800).await;
        browser
    }

    /// Ends the browser as a person would; dropping it also ends it, less gently.
    pub(crate) async fn close(mut self) {
        let _ = self.client.clone().close().await;
        let _ = self.driver.start_kill();
        let _ = self.driver.wait().await;
    }

    pub(crate) async fn goto(&self, address: &str) {
        self.client.goto(address).await.expect("the page opens");
    }

    /// Calls the browser's own protocol, for what WebDriver has no words for.
    async fn devtools(&self, command: &str, params: Value) {
        let url = format!("{}/goog/cdp/execute", self.session);
        let body = json!({ "cmd": command, "params": params });
        let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{command}: {}", answer.text().await.unwrap());
    }

    /// The size of the page itself, down to a phone's.
    pub(crate) async fn size(&self, width: u32, height: u32) {
        let params = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false
        });
        self.devtools("Emulation.setDeviceMetricsOverride", params).await;
    }

    pub(crate) async fn scheme(&self, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Waits until a script gives something else than null, false or an empty text. The script
    /// waits in the browser, from one frame to the next.
    pub(crate) async fn until(&self, what: &str, script: &str) -> Value {
        let wait = format!(
            "const done = arguments[arguments.length - 1];
             const end = performance.now() + 2000;
             const look = () => {{
               let found = null;
               try {{ found = (() => {{ {script} }})(); }} catch {{ }}
               if (found || performance.now() > end) done(found); else setTimeout(look, 25);
             }};
             look();"
        );
        let end = Instant::now() + PATIENCE;
        loop {
            // A page that is being left cannot answer; the next one will.
            let found = self.client.execute_async(&wait, Vec::new()).await.unwrap_or_default();
            if !matches!(&found, Value::Null | Value::Bool(false)) && found != "" {
                return found;
            }
            if Instant::now() > end {
                panic!("waited in vain for {what}; the page says:\n{}", self.text().await);
            }
        }
    }

    /// What a reader sees.
    pub(crate) async fn text(&self) -> String {
        let text = self.client.execute("return document.body.innerText", Vec::new()).await;
        text.unwrap().as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn wait_for_text(&self, text: &str) {
        let text = json!(text);
        let script = format!("return document.body.innerText.includes({text})");
        self.until(&format!("the text {text}"), &script).await;
    }

    /// Clicks the first visible button, link or option with this accessible name.
    pub(crate) async fn click(&self, name: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.mark(name).await;
            // A card may be drawn anew between the look and the click.
            let target = self.client.find(Locator::Css("[data-test-target]")).await;
            let clicked = match target {
                Ok(target) => target.click().await,
                Err(why) => Err(why),
            };
            match clicked {
                Ok(()) => return,
                Err(why) => assert!(Instant::now() < end, "clicking {name}: {why}"),
            }
        }
    }

    async fn mark(&self, name: &str) {
        self.until(
            &format!("something to click named {name}"),
            &format!(
                "document.querySelector('[data-test-target]')?.removeAttribute('data-test-target');
             const open = [...document.querySelectorAll('dialog[open]')].pop();
             const all = (open ?? document).querySelectorAll('button, a, summary, [role=option]');
             const heard = (it) => it.nodeType === 3 ? it.data
               : it.ariaHidden === 'true' ? '' : [...it.childNodes].map(heard).join('');
             const nameOf = (it) => it.getAttribute('aria-label') ?? heard(it);
             const found = [...all].find((it) => nameOf(it).replace(/\\s+/g, ' ').trim() === {}
               && it.checkVisibility() && !it.disabled && !it.hasAttribute('aria-busy'));
             found?.setAttribute('data-test-target', '');
             return Boolean(found);",
                json!(name)
            ),
        )
        .await;
    }

    /// Once it is there: the page fills itself after it has loaded.
    pub(crate) async fn find(&self, selector: &str) -> Element {
        let found = self.client.wait().for_element(Locator::Css(selector)).await;
        found.unwrap_or_else(|why| panic!("{selector}: {why}"))
    }

    /// Types into the field with this label.
    pub(crate) async fn fill(&self, label: &str, text: &str) {
        self.until(
            &format!("the field {label}"),
            &format!(
                "document.querySelector('[data-test-target]')?.removeAttribute('data-test-target');
             const open = [...document.querySelectorAll('dialog[open]')].pop();
             const found = [...(open ?? document).querySelectorAll('label')]
               .find((it) => it.textContent.replace('(optional)', '').trim() === {});
             found?.control?.setAttribute('data-test-target', '');
             return Boolean(found?.control);",
                json!(label)
            ),
        )
        .await;
        self.find("[data-test-target]").await.send_keys(text).await.unwrap();
    }

    /// Types wherever the focus is.
    pub(crate) async fn keys(&self, text: &str) {
        let active = self.client.active_element().await.unwrap();
        active.send_keys(text).await.unwrap();
    }

    pub(crate) async fn key(&self, key: Key) {
        self.keys(&char::from(key).to_string()).await;
    }

    /// The accessibility faults that axe finds, one line each.
    pub(crate) async fn axe(&self) -> Vec<String> {
        let path = tools().join("axe-core/axe.min.js");
        let source = std::fs::read_to_string(&path)
            .unwrap_or_else(|why| panic!("{}: {why} (see tests/run)", path.display()));
        self.client.execute(&source, Vec::new()).await.expect("axe loads");
        let run = "const done = arguments[arguments.length - 1];
            axe.run(document).then((result) => done(result.violations.map((it) =>
              `${it.id}: ${it.help}: ${it.nodes.map((node) =>
                node.target + ' ' + node.failureSummary).join(' | ')}`)),
              (why) => done([`axe failed: ${why}`]));";
        let found = self.client.execute_async(run, Vec::new()).await.expect("axe runs");
        serde_json::from_value(found).expect("axe gives lines")
    }

    /// Keeps a picture where `TMINUS_SHOTS` says, for looking at; otherwise does nothing.
    pub(crate) async fn shot(&self, name: &str) {
        let folder = std::env::var_os("TMINUS_SHOTS").filter(|folder| !folder.is_empty());
        let Some(folder) = folder else { return };
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }
}

impl Drop for Browser {
    /// A killed driver leaves its browser behind: its processes are known by their profile.
    fn drop(&mut self) {
        let _ = self.driver.start_kill();
        let profile = self.profile.path().display().to_string();
        for pid in processes_with(&profile) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/node_modules")
}

/// A driver chooses a port that is free in one family of addresses and ends if somebody has it in
/// the other, as happens when many tests open ports; the next one chooses anew.
async fn listening_driver() -> (Child, u16) {
    for _ in 0..DRIVERS {
        let mut driver = Command::new("chromedriver")
            .args(["--port=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed (see tests/run)");
        if let Some(port) = port_of(&mut driver).await {
            return (driver, port);
        }
    }
    panic!("{DRIVERS} drivers ended before they listened");
}

/// None if it ended without.
async fn port_of(driver: &mut Child) -> Option<u16> {
    let output = driver.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(output).lines();
    let find = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let port = line
                .rsplit_once("successfully on port ")
                .map(|(_, port)| port.trim_end_matches('.'));
            if let Some(port) = port.and_then(|port| port.parse().ok()) {
                return Some(port);
            }
            eprintln!("chromedriver: {line}");
        }
        None
    };
    timeout(PATIENCE, find).await.expect("chromedriver tells its port")
}
