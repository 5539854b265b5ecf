//! The console's page in a real browser.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::routing::{get, post};
use axum::{Json, Router};
use fantoccini::key::Key;
use serde_json::json;
use tminus::adapters::chat::console::Access;
use tminus::ports::{Chat, Place, Said};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::browser::{Browser, Scheme};
use crate::chat_contract::text;
use crate::console::{MARIA, Served, tokens};
use crate::parrot::tell_a_story;

/// A connection that can be cut: everything that passes ends, and nothing new passes.
struct Wire {
    address: String,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    async fn to(address: &str) -> Self {
        let there = address.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (cut, is_cut) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let (there, mut is_cut) = (there.clone(), is_cut.clone());
                tokio::spawn(async move {
                    if *is_cut.borrow() {
                        return;
                    }
                    let mut to = TcpStream::connect(there).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut from, &mut to) => {}
                        _ = is_cut.wait_for(|is_cut| *is_cut) => {}
                    }
                });
            }
        });
        Self { address, cut, task }
    }
}

async fn open(served: &Served) -> Browser {
    let browser = Browser::start().await;
    let card = tell_a_story(&served.console).await;
    served.ear.owns(served.console.clone(), card);
    browser.goto(&served.address).await;
    browser.wait_for_text("On hold at pod 2").await;
    browser
}

async fn is_accessible(browser: &Browser, what: &str) {
    assert_eq!(browser.axe().await, Vec::<String>::new(), "{what}");
}

#[tokio::test]
async fn the_page_is_accessible_in_light_and_dark_and_on_a_phone() {
    let served = Served::start(Access::Switcher).await;
    let browser = open(&served).await;
    browser.fill("Message or command", "/release help\u{e007}").await;
    browser.wait_for_text("Only you can see this").await;
    for (scheme, name) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
        browser.scheme(scheme).await;
        for (width, height) in [(1280, 800), (360, 740)] {
            browser.size(width, height).await;
            let what = format!("{name}-{width}");
            browser.shot(&what).await;
            is_accessible(&browser, &what).await;
        }
        browser.click("Channels, 1 unread").await;
        browser
            .until(
                "the drawer",
                "return document.body.classList.contains('menu-open') &&
            document.getElementById('places').getBoundingClientRect().left === 0",
            )
            .await;
        browser.shot(&format!("{name}-drawer")).await;
        is_accessible(&browser, &format!("{name} drawer")).await;
        browser.key(Key::Escape).await;
        browser.size(1280, 800).await;
        browser.click("NO-GO").await;
        browser.wait_for_text("This blocks the start").await;
        browser.shot(&format!("{name}-dialog")).await;
        is_accessible(&browser, &format!("{name} dialog")).await;
        browser.click("Cancel").await;
    }
    let wide = "return document.documentElement.scrollWidth <= window.innerWidth";
    browser.size(360, 740).await;
    browser.until("no sideways scrolling", wide).await;
    browser.close().await;
}

#[tokio::test]
async fn buttons_forms_and_completion_work_by_keyboard() {
    let served = Served::start(Access::Switcher).await;
    let browser = open(&served).await;
    browser.fill("Message or command", "/re").await;
    browser.until("offers", "return document.querySelector('[role=option]')").await;
    browser.key(Key::Tab).await;
    browser.until("commands", "return document.querySelectorAll('[role=option]').length > 3").await;
    browser.shot("completion").await;
    is_accessible(&browser, "completion").await;
    browser.keys("no").await;
    browser.until("one", "return document.querySelectorAll('[role=option]').length === 1").await;
    browser.key(Key::Down).await;
    browser.key(Key::Enter).await;
    browser
        .until("the line", "return document.getElementById('line').value.trim().endsWith('qa')")
        .await;
    browser.key(Key::Enter).await;
    browser.wait_for_text("This blocks the start").await;
    browser.click("Vote NO-GO").await;
    browser.wait_for_text("Please fill in “Reason”.").await;
    browser.keys("rain").await;
    browser.click("Vote NO-GO").await;
    browser.wait_for_text("Recorded: no-go v1.2.0 qa, because rain.").await;

    // An impatient double click is one deed.
    let click = "for (const time of [1, 2]) document.querySelector('.buttons .primary').click()";
    browser.client.execute(click, Vec::new()).await.unwrap();
    browser.wait_for_text("waiting for support").await;
    browser.wait_for_text("Your GO for QA is recorded.").await;
    let pressed = Said::Pressed("go v1.2.0 qa".to_owned());
    assert_eq!(served.ear.heard().iter().filter(|heard| heard.said == pressed).count(), 1);
    browser.client.refresh().await.unwrap();
    browser.wait_for_text("Recorded: no-go v1.2.0 qa, because rain.").await;
    browser.click("Dismiss").await;

    browser.fill("Message or command", "good morning\u{e007}").await;
    browser.wait_for_text("good morning").await;
    browser.key(Key::Up).await;
    browser
        .until("history", "return document.getElementById('line').value === 'good morning'")
        .await;
    browser.close().await;
}

#[tokio::test]
async fn people_switch_channels_count_and_archives_fold() {
    let served = Served::start(Access::Switcher).await;
    let browser = open(&served).await;
    let customers = Place::Channel("customers".to_owned());
    served.console.post(&customers, "a", &text("for customers")).await.unwrap();
    browser.until("unread", "return document.title.startsWith('(2) #releases')").await;
    browser.click("customers, 1 unread").await;
    browser.wait_for_text("for customers").await;
    browser.until("read", "return document.title.startsWith('(1) #customers')").await;
    browser.click("Archived (1)").await;
    browser.wait_for_text("release-v1-1-9").await;

    let quinn = browser.find("#person option[value=quinn]").await;
    quinn.click().await.unwrap();
    browser.until("Quinn", "return document.title === '#customers · tminus'").await;
    assert!(!browser.text().await.contains("Support waits for you."));
    browser.close().await;
}

#[tokio::test]
async fn a_lost_connection_is_said_and_caught_up() {
    let served = Served::start(Access::Switcher).await;
    let wire = Wire::to(&served.address).await;
    let browser = open(&served).await;
    browser.goto(&wire.address).await;
    browser.wait_for_text("On hold at pod 2").await;
    wire.cut.send(true).unwrap();
    browser.wait_for_text("Connection lost.").await;
    browser.shot("lost").await;
    is_accessible(&browser, "connection lost").await;
    let releases = Place::Channel("releases".to_owned());
    served.console.post(&releases, "late", &text("said meanwhile")).await.unwrap();
    assert!(!browser.text().await.contains("said meanwhile"));
    browser.fill("Message or command", "still typing").await;
    browser.click("Send").await;
    browser.wait_for_text("The console cannot be reached. Your line is kept").await;
    wire.cut.send(false).unwrap();
    browser.wait_for_text("said meanwhile").await;
    browser.until("kept", "return document.getElementById('line').value === 'still typing'").await;
    let text = browser.text().await;
    assert_eq!(text.matches("said meanwhile").count(), 1, "{text}");
    assert!(!text.contains("Connection lost.") && !text.contains("cannot be reached"), "{text}");
    browser.close().await;
}

/// A demo clock as somebody else serves it.
fn demo(jumps: &Arc<AtomicI64>) -> Router {
    let (seen, more, over) = (Arc::clone(jumps), Arc::clone(jumps), Arc::clone(jumps));
    let now = move || async move {
        let days = seen.load(Ordering::SeqCst);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = since.as_secs().cast_signed() + days * 86_400;
        Json(json!({
            "now": now, "zone": "America/Los_Angeles", "jumpable": true,
            "next": {
                "at": now + 3_600, "about": "T-24h announcement",
                "text": "A service with a very long name v1.2.0-rc.1: T-24h announcement",
            },
            "hint": "type /release status",
        }))
    };
    let jump = move || async move {
        more.fetch_add(3, Ordering::SeqCst);
        Json(json!({}))
    };
    let start_over = move || async move {
        over.store(0, Ordering::SeqCst);
        Json(json!({}))
    };
    Router::new()
        .route("/demo/clock", get(now))
        .route("/demo/jump", post(jump))
        .route("/demo/start-over", post(start_over))
}

const TIP_IS_HIDDEN: &str = "const tip = document.getElementById('tip');
    return tip.dataset.hint && !tip.checkVisibility();";

/// Between the header and the line, messages have most of a phone.
async fn the_stream_is_the_main_thing(browser: &Browser) {
    let main = "const high = (id) => document.getElementById(id).getBoundingClientRect();
        const clock = high('clock').height;
        return clock < 45 && high('scroll').height > innerHeight / 2 &&
          high('line').bottom <= innerHeight && document.body.scrollHeight <= innerHeight;";
    browser.until("a stream that is the main thing", main).await;
}

#[tokio::test]
async fn a_demo_says_so_and_jumps() {
    let jumps = Arc::new(AtomicI64::new(0));
    let served = Served::start_with(Access::Switcher, demo(&jumps)).await;
    let browser = open(&served).await;
    browser.wait_for_text("This is a demo: its clock can be jumped ahead.").await;
    browser.wait_for_text("Tip: type /release status").await;
    browser.click("Hide this tip").await;
    browser.until("no tip", TIP_IS_HIDDEN).await;
    browser.client.refresh().await.unwrap();
    browser.wait_for_text("This is a demo: its clock can be jumped ahead.").await;
    browser.until("remembered", TIP_IS_HIDDEN).await;
    assert!(!browser.text().await.contains("(jumped ahead"));
    browser
        .click(
            "Jump to the next deadline: A service with a very long name v1.2.0-rc.1: T-24h \
             announcement",
        )
        .await;
    browser.wait_for_text("(jumped ahead 3 d)").await;
    for (width, height) in [(1280, 800), (360, 740)] {
        browser.size(width, height).await;
        browser.shot(&format!("demo-{width}")).await;
        is_accessible(&browser, "demo").await;
    }
    the_stream_is_the_main_thing(&browser).await;
    browser.size(390, 844).await;
    the_stream_is_the_main_thing(&browser).await;
    browser.click("Start over").await;
    browser.wait_for_text("Start the demo over?").await;
    browser.shot("start-over").await;
    browser.click("Start over").await;
    browser.until("now", "return !document.body.innerText.includes('(jumped ahead')").await;
    assert_eq!(jumps.load(Ordering::SeqCst), 0);
    browser.close().await;
}

#[tokio::test]
async fn long_channels_show_their_end_and_give_the_rest() {
    let served = Served::start(Access::Switcher).await;
    let releases = Place::Channel("releases".to_owned());
    for number in 1..=450 {
        let message = text(&format!("message {number}."));
        served.console.post(&releases, &number.to_string(), &message).await.unwrap();
    }
    let browser = Browser::start().await;
    browser.goto(&served.address).await;
    browser.wait_for_text("message 450.").await;
    assert!(!browser.text().await.contains("message 250."));
    browser.click("Show earlier messages").await;
    browser.wait_for_text("message 51.").await;
    browser.click("Show earlier messages").await;
    browser.wait_for_text("message 1.").await;
    browser.until("all", "return document.getElementById('earlier').hidden").await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_asks_for_a_token_once() {
    let served = Served::start(tokens()).await;
    let browser = Browser::start().await;
    browser.goto(&served.address).await;
    browser.fill("Access token", "wrong-wrong-wrong").await;
    browser.click("Enter").await;
    browser.wait_for_text("Please enter your access token.").await;
    is_accessible(&browser, "token dialog").await;
    browser.find("dialog input").await.clear().await.unwrap();
    browser.fill("Access token", MARIA).await;
    browser.click("Enter").await;
    browser.wait_for_text("Maria · captain").await;
    browser.goto(&served.address).await;
    browser.wait_for_text("Maria · captain").await;
    is_accessible(&browser, "signed in").await;
    browser.close().await;
}

/// In the room and in private alike; what is in it is shown as it reads, and nothing of it runs.
#[tokio::test]
async fn a_document_is_read_on_the_page_and_kept() {
    let served = Served::start(Access::Switcher).await;
    let browser = open(&served).await;
    let releases = Place::Channel("releases".to_owned());
    served.console.post(&releases, "report", &crate::parrot::report()).await.unwrap();
    browser.fill("Message or command", "/release report\u{e007}").await;
    let both = "return document.querySelectorAll('.file summary').length === 2";
    browser.until("both files", both).await;
    let open = "for (const file of document.querySelectorAll('.file details')) file.open = true;
        return [...document.querySelectorAll('.document')].every((it) => it.childElementCount)";
    browser.until("both documents", open).await;
    let tags = "return [...document.querySelector('.document').children].map((it) =>
        `${it.tagName} ${it.innerText.trim().replace(/\\s+/g, ' ')}`).join('\\n')";
    let read = browser.until("the document", tags).await;
    insta::assert_snapshot!(read.as_str().unwrap(), @r"
    H3 Report: Web shop v1.2
    P Outcome: SUCCESS, <b>no</b> issues see the plan or [that](javascript:alert)
    DIV Stage Traffic Pod 1 33 % | 1 of 3
    H3 Log
    UL 10:00 started – by Maria 1. first
    BLOCKQUOTE quoted
    PRE exit 0
    ");
    let only = "return [...document.querySelectorAll('.document a')].every((link) =>
        link.href === 'https://example.org/plan')";
    browser.until("no other link", only).await;
    let watch = "const make = URL.createObjectURL;
        URL.createObjectURL = (file) => {
          file.text().then((text) => { window.kept = { media: file.type, text }; });
          return make.call(URL, file);
        };
        HTMLAnchorElement.prototype.click = function () { window.keptAs = this.download; };
        return true;";
    browser.until("a watch", watch).await;
    browser.click("Download report-v1.2.0.md").await;
    let kept = "return window.kept && window.keptAs && { ...window.kept, name: window.keptAs }";
    let kept = browser.until("the file", kept).await;
    let expected = crate::parrot::report().files.remove(0);
    assert_eq!(kept["name"], expected.name);
    assert_eq!(kept["text"], expected.text);
    assert_eq!(kept["media"], "application/octet-stream", "what is kept is never run");
    for (scheme, name) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
        browser.scheme(scheme).await;
        for (width, height) in [(1280, 800), (360, 740)] {
            browser.size(width, height).await;
            let what = format!("document-{name}-{width}");
            browser.shot(&what).await;
            is_accessible(&browser, &what).await;
        }
    }
    browser.close().await;
}
