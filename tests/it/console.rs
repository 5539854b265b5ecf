//! The local console over real files and sockets.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::Router;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tminus::adapters::chat::console::{Access, Channel, Console, ConsoleSettings, Person};
use tminus::ports::{Chat, Ear, Failure, MessageRef, Place, RoomWish, Said};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::chat_contract::{Platform, text};
use crate::parrot::Parrot;

pub(crate) const MARIA: &str = "maria-0123456789";
const QUINN: &str = "quinn-0123456789";

pub(crate) fn settings(access: Access) -> ConsoleSettings {
    let person = |id: &str, name: &str, about: &str| Person {
        id: id.to_owned(),
        name: name.to_owned(),
        about: about.to_owned(),
    };
    let channel = |id: &str, purpose: &str| Channel {
        id: id.to_owned(),
        name: id.to_owned(),
        purpose: purpose.to_owned(),
    };
    ConsoleSettings {
        bot: "tminus".to_owned(),
        tenant: "local".to_owned(),
        slash: "/release".to_owned(),
        people: vec![person("maria", "Maria", "captain"), person("quinn", "Quinn", "QA")],
        channels: vec![
            channel("releases", "What goes out, and when"),
            channel("customers", "What our customers read"),
        ],
        access,
        hosts: vec!["console.example".to_owned()],
        now: Arc::new(SystemTime::now),
    }
}

pub(crate) fn tokens() -> Access {
    let pair = |token: &str, person: &str| (token.to_owned(), person.to_owned());
    Access::Tokens(vec![pair(MARIA, "maria"), pair(QUINN, "quinn")])
}

fn open(journal: &Path) -> Arc<Console> {
    Console::open(journal, settings(Access::Switcher)).unwrap()
}

fn public() -> Place {
    Place::Channel("releases".to_owned())
}

/// The console behind a real socket.
pub(crate) struct Served {
    pub(crate) console: Arc<Console>,
    pub(crate) ear: Arc<Parrot>,
    pub(crate) address: String,
    client: Client,
    task: JoinHandle<()>,
    dir: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    pub(crate) async fn start(access: Access) -> Self {
        Self::start_with(access, Router::new()).await
    }

    /// With more routes behind the same guard.
    pub(crate) async fn start_with(access: Access, more: Router) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let console = Console::open(&dir.path().join("console.jsonl"), settings(access)).unwrap();
        let ear = Arc::new(Parrot::default());
        let router = Arc::clone(&console).router(Arc::clone(&ear) as Arc<dyn Ear>);
        let router = router.merge(console.guard(more));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        let client = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { console, ear, address, client, task, dir }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.address))
    }

    fn bare_post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.address))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.bare_post(path).header("origin", &self.address).json(body)
    }

    async fn say(&self, id: &str, line: &str) -> Value {
        let body = json!({ "id": id, "as": "maria", "channel": "releases", "line": line });
        let response = self.post("/console/say", &body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    async fn state(&self, person: &str) -> Value {
        let response = self.get(&format!("/console/state?as={person}")).send().await.unwrap();
        response.json().await.unwrap()
    }
}

async fn declined(request: RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    (status, body["error"].as_str().expect("an error in words").to_owned())
}

/// Reads events until one holds `end`.
async fn read_events(mut response: Response, end: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(end) || !seen.ends_with("\n\n") {
        let chunk = tokio::time::timeout(Duration::from_secs(30), response.chunk()).await;
        let chunk = chunk.unwrap_or_else(|_| panic!("no {end} in {seen}")).unwrap();
        seen += std::str::from_utf8(&chunk.expect("the stream goes on")).unwrap();
    }
    seen
}

fn last_id(events: &str) -> &str {
    events.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().expect("an id")
}

// ---------------------------------------------------------------------------------------------
// The port

struct Local(Served);

#[async_trait]
impl Platform for Local {
    fn chat(&self) -> &dyn Chat {
        &*self.0.console
    }

    /// From what is on the disk, since the journal itself is held by who writes it.
    fn restarted(&self) -> Arc<dyn Chat> {
        let dir = self.0.dir.path();
        let copy = dir.join(format!("{}.jsonl", std::fs::read_dir(dir).unwrap().count()));
        std::fs::copy(dir.join("console.jsonl"), &copy).unwrap();
        open(&copy)
    }

    fn channels(&self) -> [String; 2] {
        ["releases", "customers"].map(str::to_owned)
    }

    fn people(&self) -> [String; 2] {
        ["quinn", "maria"].map(str::to_owned)
    }

    async fn read(&self, place: &Place) -> Vec<String> {
        let id = match place {
            Place::Channel(id) => id.clone(),
            Place::Person(id) => format!("@{id}"),
        };
        let state = self.0.state("quinn").await;
        let channels = state["channels"].as_array().unwrap();
        let channel = channels.iter().find(|channel| channel["id"] == id.as_str()).unwrap();
        let messages = channel["messages"].as_array().unwrap();
        messages.iter().map(|item| item["message"].to_string()).collect()
    }

    async fn told(&self, person: &str) -> String {
        let state = self.0.state(person).await;
        let id = format!("@{person}");
        let channels = state["channels"].as_array().unwrap();
        let own = channels.iter().find(|channel| channel["id"] == id.as_str());
        own.map(|channel| channel["messages"].to_string()).unwrap_or_default()
    }

    async fn called(&self, channel: &str) -> BTreeSet<String> {
        let mut called = BTreeSet::new();
        for message in self.read(&Place::Channel(channel.to_owned())).await {
            let mentions = message.split("{\"mention\":{\"id\":\"").skip(1);
            called.extend(mentions.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
        called
    }

    /// What is written down has happened: there is no wire.
    fn loses_the_next_answer(&self) -> bool {
        false
    }

    fn rests(&self, _: &str) -> Option<Duration> {
        None
    }

    /// Nobody can delete here: nothing has this name.
    fn deletes(&self, at: &MessageRef) -> MessageRef {
        MessageRef { channel: at.channel.clone(), message: "no-such-message".to_owned() }
    }
}

/// The column of the table of promises.
pub(crate) async fn platform() -> impl Platform {
    Local(Served::start(Access::Switcher).await)
}

#[tokio::test]
async fn many_posts_with_one_key_are_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let console = open(&dir.path().join("journal"));
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let console = Arc::clone(&console);
            tokio::spawn(async move { console.post(&public(), "same", &text("one")).await })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap().unwrap());
    }
    seen.dedup();
    assert_eq!(seen.len(), 1);
}

// ---------------------------------------------------------------------------------------------
// The journal

#[tokio::test]
async fn reopening_gives_the_same_console_without_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let wish = RoomWish {
        key: "room".to_owned(),
        name: "War room".to_owned(),
        topic: String::new(),
        purpose: String::new(),
        members: Vec::new(),
        groups: Vec::new(),
        near: None,
        links: Vec::new(),
    };
    let console = open(&journal);
    let first = console.post(&public(), "card", &text("one")).await.unwrap();
    console.edit(&first, &text("two")).await.unwrap();
    console.pin(&first).await.unwrap();
    let room = console.open_room(&wish).await.unwrap();
    drop(console);
    let whole = std::fs::read(&journal).unwrap();
    let mut torn = whole.clone();
    torn.extend_from_slice(br#"{"seq":5,"at":1,"fact":{"posted":{"chan"#);
    std::fs::write(&journal, torn).unwrap();

    let console = open(&journal);
    assert_eq!(std::fs::read(&journal).unwrap(), whole);
    assert_eq!(console.find(&public(), "card").await, Ok(Some(first.clone())));
    assert_eq!(console.post(&public(), "card", &text("three")).await, Ok(first.clone()));
    assert_eq!(console.open_room(&wish).await, Ok(room));
    console.edit(&first, &text("two")).await.unwrap();
    console.pin(&first).await.unwrap();
    assert_eq!(std::fs::read(&journal).unwrap(), whole, "nothing new was wished");
}

#[tokio::test]
async fn a_damaged_newer_or_busy_journal_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let console = open(&journal);
    console.post(&public(), "a", &text("one")).await.unwrap();
    let complaint = |path: &Path| {
        let opened = Console::open(path, settings(Access::Switcher));
        format!("{:#}", opened.map(|_| ()).expect_err("cannot be opened"))
    };
    assert!(complaint(&journal).contains("in use"), "{}", complaint(&journal));
    drop(console);

    let good = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, good.replace("posted", "p0sted")).unwrap();
    assert!(complaint(&journal).contains("line 2"), "{}", complaint(&journal));
    std::fs::write(&journal, good.replace("journal\":1", "journal\":9")).unwrap();
    assert!(complaint(&journal).contains("version 9"), "{}", complaint(&journal));
}

#[test]
fn a_journal_that_is_no_file_is_refused() {
    let opened = Console::open(Path::new("/dev/full"), settings(Access::Switcher));
    let why = format!("{:#}", opened.map(|_| ()).expect_err("this is a device"));
    assert!(why.contains("/dev/full is not a file"), "{why}");
}

// ---------------------------------------------------------------------------------------------
// The web

#[tokio::test]
async fn the_page_is_served_with_its_guards() {
    let served = Served::start(Access::Switcher).await;
    for path in ["/", "/page/console.js", "/page/console.css", "/page/icon.svg"] {
        let response = served.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
    }
    let page = served.get("/").send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("style=") && !page.contains("onclick") && !page.contains("https://"));
}

#[tokio::test]
async fn other_pages_and_other_names_are_turned_away() {
    let served = Served::start(Access::Switcher).await;
    let body = json!({ "id": "12345678", "as": "maria", "channel": "releases", "line": "hi" });
    let path = "/console/say";
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        let request = served.bare_post(path).header("origin", origin).json(&body);
        assert_eq!(declined(request).await.0, StatusCode::FORBIDDEN, "{origin}");
    }
    let without = served.bare_post(path).json(&body);
    assert_eq!(declined(without).await.0, StatusCode::FORBIDDEN);
    let plain = served.bare_post(path).header("origin", &served.address);
    let plain = plain.header("content-type", "text/plain").body(body.to_string());
    assert_eq!(declined(plain).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let rebound = served.get("/console/state").header("host", "evil.example");
    assert_eq!(declined(rebound).await.0, StatusCode::MISDIRECTED_REQUEST);
    let named = served.get("/console/state").header("host", "console.example:8080");
    assert_eq!(named.send().await.unwrap().status(), StatusCode::OK);
    assert!(served.ear.heard().is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_words() {
    let served = Served::start(Access::Switcher).await;
    let line = "x".repeat(70 * 1024);
    let body = json!({ "id": "12345678", "as": "maria", "channel": "releases", "line": line });
    let (status, why) = declined(served.post("/console/say", &body)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(why, "That is too long: at most 64 KiB fit into one message.");
    let line = "x".repeat(13_000);
    let body = json!({ "id": "12345678", "as": "maria", "channel": "releases", "line": line });
    let (status, why) = declined(served.post("/console/say", &body)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(why.contains("at most 12000"), "{why}");
}

#[tokio::test]
async fn lines_reach_the_ear_and_chat_reaches_the_channel() {
    let served = Served::start(Access::Switcher).await;
    let reply = served.say("deed-0001", "/Release  help ").await;
    assert!(reply["private"]["body"].is_array());
    let heard = served.ear.heard();
    assert_eq!(heard[0].id, "console/maria/deed-0001");
    assert_eq!(heard[0].platform, "console");
    assert_eq!(heard[0].channel.as_deref(), Some("releases"));
    assert_eq!(heard[0].said, Said::Line("help".to_owned()));

    let reply = served.say("deed-0002", "/other").await;
    assert!(reply["private"].to_string().contains("/release help"), "{reply}");
    let first = served.say("deed-0003", "good morning").await;
    let again = served.say("deed-0003", "good morning").await;
    assert_eq!(first, again);
    let state = served.state("quinn").await;
    let messages = state["channels"][0]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["by"]["name"], "Maria");
    assert_eq!(served.ear.heard().len(), 1);
}

#[tokio::test]
async fn clicks_and_forms_reach_the_ear_from_private_conversations_too() {
    let served = Served::start(Access::Switcher).await;
    let press = json!({
        "id": "deed-0001", "as": "quinn", "channel": "@quinn", "message": "m1",
        "command": "no-go v1"
    });
    let reply = served.post("/console/press", &press).send().await.unwrap();
    let reply: Value = reply.json().await.unwrap();
    assert_eq!(reply["form"]["fields"][0]["name"], "reason");
    let submit = json!({
        "id": "deed-0002", "as": "quinn", "channel": "releases", "command": "no-go v1",
        "fields": { "reason": "rain" }
    });
    served.post("/console/submit", &submit).send().await.unwrap();
    let heard = served.ear.heard();
    assert_eq!(
        (heard[0].channel.as_deref(), heard[1].channel.as_deref()),
        (None, Some("releases"))
    );
    let fields = [("reason".to_owned(), "rain".to_owned())].into();
    assert_eq!(heard[1].said, Said::Submitted { command: "no-go v1".to_owned(), fields });
}

#[tokio::test]
async fn completion_offers_whole_lines() {
    let served = Served::start(Access::Switcher).await;
    let ask = async |line: &str| -> Value {
        let query = [("as", "maria"), ("channel", "releases"), ("line", line)];
        let response = served.get("/console/complete").query(&query).send().await.unwrap();
        response.json().await.unwrap()
    };
    assert_eq!(ask("/re").await[0]["text"], "/release ");
    assert_eq!(ask("/release st").await[0]["text"], "/release status v1.2.0");
    assert_eq!(ask("hello").await, json!([]));
}

#[tokio::test]
async fn private_messages_stay_private() {
    let served = Served::start(Access::Switcher).await;
    let events = served.get("/console/events?as=quinn").send().await.unwrap();
    let to_maria = Place::Person("maria".to_owned());
    served.console.post(&to_maria, "secret", &text("for maria only")).await.unwrap();
    served.console.post(&public(), "open", &text("for everybody")).await.unwrap();
    let seen = read_events(events, "for everybody").await;
    assert!(!seen.contains("for maria only"), "{seen}");
    assert!(!served.state("quinn").await.to_string().contains("for maria only"));
    assert!(served.state("maria").await.to_string().contains("for maria only"));
    let (status, _) = declined(served.get("/console/earlier?as=quinn&channel=@maria")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let body = json!({ "id": "deed-0001", "as": "quinn", "channel": "@maria", "line": "hi" });
    let (status, _) = declined(served.post("/console/say", &body)).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_page_that_comes_back_gets_what_it_missed_once() {
    let served = Served::start(Access::Switcher).await;
    let events = served.get("/console/events?as=quinn").send().await.unwrap();
    served.console.post(&public(), "1", &text("first")).await.unwrap();
    let seen = read_events(events, "first").await;
    served.console.post(&public(), "2", &text("second")).await.unwrap();

    let again = served.get("/console/events?as=quinn").header("last-event-id", last_id(&seen));
    let again = again.send().await.unwrap();
    served.console.post(&public(), "3", &text("third")).await.unwrap();
    let seen = read_events(again, "third").await;
    assert!(!seen.contains("first"), "{seen}");
    assert_eq!(seen.matches("second").count(), 1, "{seen}");

    for stranger in ["0000000000000000-1", "nonsense", "-"] {
        let path = format!("/console/events?as=quinn&after={stranger}");
        read_events(served.get(&path).send().await.unwrap(), "event: reset").await;
    }
}

#[tokio::test]
async fn of_too_many_pages_of_one_person_the_oldest_is_let_go() {
    let served = Served::start(Access::Switcher).await;
    let marias = served.get("/console/events?as=maria").send().await.unwrap();
    let mut pages = Vec::new();
    for _ in 0..33 {
        pages.push(served.get("/console/events?as=quinn").send().await.unwrap());
    }
    let mut oldest = pages.remove(0);
    assert_eq!(oldest.headers()["connection"], "close", "the line ends with the stream");
    while oldest.chunk().await.unwrap().is_some() {}
    served.console.post(&public(), "1", &text("to each of them")).await.unwrap();
    for page in pages.drain(..) {
        read_events(page, "to each of them").await;
    }
    read_events(marias, "to each of them").await;
}

#[tokio::test]
async fn closing_ends_the_event_streams() {
    let served = Served::start(Access::Switcher).await;
    let mut events = served.get("/console/events?as=quinn").send().await.unwrap();
    served.console.close();
    while events.chunk().await.unwrap().is_some() {}
    let (status, _) = declined(served.get("/console/events?as=quinn")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn one_token_is_one_person() {
    let served = Served::start(tokens()).await;
    assert_eq!(declined(served.get("/console/state")).await.0, StatusCode::UNAUTHORIZED);
    let wrong = served.post("/console/enter", &json!({ "token": "maria-9999999999" }));
    assert_eq!(declined(wrong).await.0, StatusCode::UNAUTHORIZED);

    let right = served.post("/console/enter", &json!({ "token": MARIA })).send().await.unwrap();
    let cookie = right.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(MARIA));
    let cookie = cookie.split(';').next().unwrap();
    let state = served.get("/console/state").header("cookie", cookie).send().await.unwrap();
    let state: Value = state.json().await.unwrap();
    assert_eq!((&state["as"], &state["switcher"]), (&json!("maria"), &json!(false)));

    let other = served.get("/console/state?as=quinn").header("cookie", cookie);
    assert_eq!(declined(other).await.0, StatusCode::FORBIDDEN);
    let body = json!({ "id": "deed-0001", "as": "quinn", "channel": "releases", "line": "hi" });
    let other = served.post("/console/say", &body).header("cookie", cookie);
    assert_eq!(declined(other).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_archived_is_loaded_when_somebody_looks() {
    let served = Served::start(Access::Switcher).await;
    served.console.post(&public(), "1", &text("old times")).await.unwrap();
    served.console.archive("releases").await.unwrap();
    let channel = served.state("maria").await["channels"][0].clone();
    assert_eq!((&channel["messages"], &channel["earlier"]), (&json!([]), &json!(true)));
    let path = "/console/earlier?as=maria&channel=releases";
    let page: Value = served.get(path).send().await.unwrap().json().await.unwrap();
    assert!(page["messages"][0].to_string().contains("old times"));
    assert_eq!(page["earlier"], false);
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let complaint = |change: &dyn Fn(&mut ConsoleSettings)| {
        let mut settings = settings(tokens());
        change(&mut settings);
        let opened = Console::open(&dir.path().join("journal"), settings);
        format!("{:#}", opened.map(|_| ()).expect_err("cannot work"))
    };
    let short = Access::Tokens(vec![("short".to_owned(), "maria".to_owned())]);
    assert!(complaint(&|it| it.access = short.clone()).contains("shorter than 16"));
    assert!(complaint(&|it| it.people.truncate(1)).contains("`quinn`"));
    assert!(complaint(&|it| it.slash = "release".to_owned()).contains("slash command"));
    assert!(complaint(&|it| it.channels[1].id = "releases".to_owned()).contains("twice"));
}

#[tokio::test]
async fn a_failure_names_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let console = open(&dir.path().join("journal"));
    let nobody = Place::Person("nobody".to_owned());
    let failed = console.post(&nobody, "k", &text("x")).await;
    assert_eq!(failed, Err(Failure::permanent("the console has no person `nobody`")));
    let hidden = Place::Channel("@maria".to_owned());
    let failed = console.post(&hidden, "k", &text("x")).await;
    assert_eq!(failed, Err(Failure::permanent("the console has no channel `@maria`")));
}
