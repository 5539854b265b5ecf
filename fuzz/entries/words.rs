//! What people and operators write: lines, plans, the configuration, templates.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::json;
use tempfile::TempDir;
use tminus::app::messages::Messages;
use tminus::app::{documents, grammar, markup, times};
use tminus::config::{self, Config, Surroundings};
use tminus::domain::command::{Actor, Claims, Command, Request};
use tminus::domain::decide::decide;
use tminus::domain::ids::Account;
use tminus::domain::plan::Plan;
use tminus::domain::state::{Start, State};
use tminus::domain::time::Time;
use tminus::domain::zone::Zone;
use tminus::domain::{agenda, argument, react};
use tminus::ports::{Block, Inline};

/// In no input: whatever shows it has read what it was not given.
const HIDDEN: &str = "hidden-5f2a9c71e8d04b36-from-everybody";

fn now() -> Time {
    "2026-12-01T10:00:00Z".parse().expect("an instant")
}

fn zone() -> Zone {
    "America/Los_Angeles".parse().expect("a zone")
}

pub(super) fn grammar(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match grammar::read(text, &grammar::looks_like_a_release) {
        Ok(said) => {
            // What was understood can be said again, in full, and means the same: buttons and
            // forms live on that. Quotes of other kinds become plain ones on the way.
            let again = grammar::line(&said.words);
            let read = grammar::read(&again, &grammar::looks_like_a_release);
            let read = read.unwrap_or_else(|why| panic!("{text:?} is {again:?}: {why}"));
            assert_eq!(grammar::line(&read.words), again, "{text:?}");
            let plain = !text.chars().any(|c| !c.is_ascii() && !c.is_alphanumeric());
            assert!(!plain || read.verb == said.verb, "{text:?} is {again:?}");
        }
        Err(wrong) => drop((wrong.to_string(), wrong.verb().map(str::len), wrong.example())),
    }
    let _ = grammar::named(text);
    let _ = times::instant(text, now(), zone());
    let _ = (times::duration(text), times::offset(text));
    if argument::wrong(text).is_none() {
        let sound = |c: char| c.is_ascii_graphic() && !"'\"`$;&|<>(){}[]\\*?!".contains(c);
        assert!(!text.is_empty() && !text.starts_with('-') && text.chars().all(sound), "{text:?}");
        assert!(!text.split('/').any(|part| part == ".."), "{text:?}");
    }
}

fn surroundings() -> Surroundings {
    Surroundings {
        state: Some(PathBuf::from("state")),
        own_program: PathBuf::from("tminus"),
        demo_url: Some("http://127.0.0.1:1".into()),
    }
}

static DEFAULT: LazyLock<Config> =
    LazyLock::new(|| config::load(None, &surroundings(), &|_| None).expect("the default is valid"));

pub(super) fn plan(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match config::read_plan(text, "plan.toml") {
        Ok(plan) => scheduled(plan),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a word: {text:?}");
            problems.iter().for_each(|problem| drop(problem.to_string()));
        }
    }
}

/// Judged, and, if it is taken, planned, announced and written down.
fn scheduled(plan: Plan) {
    let mut state = State::default();
    let policy = Box::new(DEFAULT.policy.clone());
    let zone = zone();
    let at = now() + chrono::Duration::hours(80);
    let start = Start { local: at.with_timezone(&zone).naive_local(), zone, at };
    let account = Account::new("console", "local", "maria");
    let maria = Actor::Person { account, claims: Claims::default() };
    let requests = [
        (Actor::Operator, Command::Begin { jumpable: true }),
        (Actor::Operator, Command::AdoptPolicy { policy }),
        (maria, Command::Schedule { plan: Box::new(plan), start }),
    ];
    for (by, command) in requests {
        let request = Request { id: "1".into(), by, command };
        for event in decide(&state, &request, now()) {
            state.evolve(&event, now());
            let _ = react::react(&state, &event, now());
        }
    }
    for scope in agenda::scopes(&state) {
        let _ = agenda::agenda(&state, &scope);
    }
    for release in state.releases.values() {
        let policy = state.house.policy();
        let _ = documents::release_plan(release, policy);
        let _ = documents::rollback_plan(release, policy);
        let _ = documents::deployment_checklist(release, policy);
        let _ =
            (documents::release_notes(&release.plan), documents::technical_notes(&release.plan));
    }
}

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder");
    fs::create_dir(folder.path().join("words")).expect("a folder in it");
    fs::write(folder.path().join("secret"), HIDDEN).expect("a file");
    folder
});

pub(super) fn config(data: &[u8]) {
    let path = FOLDER.path().join("tminus.toml");
    fs::write(&path, data).expect("a file");
    let env = |_: &str| Some(HIDDEN.to_owned());
    match config::load(Some(&path), &surroundings(), &env) {
        Ok(config) => assert!(!format!("{config:?}").contains(HIDDEN), "a secret is printed"),
        Err(problems) => {
            for problem in problems {
                assert!(!problem.to_string().contains(HIDDEN), "a secret is shown: {problem}");
            }
        }
    }
}

/// A template of an operator, and behind the first NUL what people have written.
pub(super) fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (own, words) = text.split_once('\0').unwrap_or((text, text));
    let sample = |words: &str| {
        json!({
            "name": words, "v": words, "list": [words, "b"], "none": null, "n": 3,
            "at": "2026-12-15T18:00:00Z", "zone": "America/Los_Angeles", "now": 0,
            "who": {"id": "console/local/ann", "name": words}, "release": {"title": words},
        })
    };
    let built_in = [("hello.md", "Hello **{{ name }}**."), ("_end.md", "Bye {{ name }}.")];
    let folder = FOLDER.path().join("words");
    fs::write(folder.join("hello.md"), own).expect("a file");
    let samples = [("hello.md", sample("ann"))];
    let (messages, problems) = Messages::load(&built_in, Some(&folder), &samples);
    problems.iter().for_each(|problem| drop(problem.to_string()));
    let said = messages.render("hello.md", &sample(words));
    assert!(said.chars().count() <= 40_000, "a message without end");
    assert!(!said.contains(HIDDEN), "a template has read a file");
    let blocks = markup::parse(&said);
    let _ = (markup::plain(&blocks), markup::lead(&blocks));
    let _ = markup::parse(text);
    only_text(&markup::parse(&format!("Said: {}", markup::escape(words))));
}

/// What people write mentions, links and formats nothing.
fn only_text(blocks: &[Block]) {
    let [Block::Paragraph(inlines)] = blocks else { panic!("no paragraph: {blocks:?}") };
    let marked = inlines.iter().find(|inline| !matches!(inline, Inline::Text(_)));
    assert_eq!(marked, None, "{blocks:?}");
}
