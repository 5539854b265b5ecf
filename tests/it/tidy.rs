//! The house rules that a reader would otherwise have to watch over. Each failure explains itself.

use std::fs;
use std::path::{Path, PathBuf};

/// Where, which words, and why not.
const LAYERS: &[(&str, &[&str], &str)] = &[
    (
        "src/domain",
        &[
            "crate::app",
            "crate::adapters",
            "crate::store",
            "crate::ports",
            "crate::web",
            "crate::config",
            "async fn",
            ".await",
            "tokio",
            "sqlx",
            "tracing",
            "Utc::now",
            "std::env",
            "std::fs",
            "Instant::now",
            "SystemTime",
            "rand",
        ],
        "the rules are pure: time, ids and facts arrive as arguments",
    ),
    (
        "src/ports.rs",
        &["crate::", "tokio", "sqlx", "release_id", "ReleaseId"],
        "a port speaks the neighbour's language, and knows nothing of ours",
    ),
    (
        "src/store",
        &["crate::app", "crate::ports", "crate::adapters", "crate::web", "crate::config"],
        "the store knows numbers, hashes and texts, and no one above it",
    ),
    (
        "src/app",
        &[
            "sqlx",
            "axum",
            "crate::adapters",
            "crate::web",
            "crate::serve",
            "serenity",
            "slack_morphism",
        ],
        "app meets the world through the ports, and never names a neighbour",
    ),
    (
        "src/adapters",
        &["crate::domain", "crate::store", "crate::app", "crate::web", "crate::config", "sqlx"],
        "an adapter knows its neighbour and the ports, and not what a release is",
    ),
    (
        "src/web",
        &["sqlx", "crate::adapters", "crate::config", "reqwest"],
        "what is served asks app; it holds no rules and no neighbours",
    ),
    (
        "src/config",
        &["crate::app", "crate::store", "crate::adapters", "crate::web", "crate::ports", "tokio"],
        "configuration becomes values; who uses them is wired elsewhere",
    ),
];

fn sources(place: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    if root.is_file() {
        return vec![root];
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// The code above the file's own tests, with comments and the texts of strings left out.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).expect("a readable source");
    let test_file = path.file_stem().is_some_and(|name| name == "tests" || name == "testing");
    let lines = text
        .lines()
        .enumerate()
        .take_while(|(_, line)| !test_file && !line.trim_start().starts_with("#[cfg(test)]"));
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, without_strings(line)))
        .collect()
}

fn without_strings(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// A word counts where it stands alone: `rand` is not in `operand`.
fn holds(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let starts = !word.starts_with(joins) || !before.is_some_and(joins);
        let ends = !word.ends_with(joins) || !after.is_some_and(joins);
        starts && ends
    })
}

fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn layers_keep_their_distance() {
    let mut complaints = Vec::new();
    for (place, banned, why) in LAYERS {
        for path in sources(place) {
            for (number, line) in code(&path) {
                let found = banned.iter().filter(|word| holds(&line, word));
                complaints.extend(
                    found.map(|word| format!("{}:{number}: `{word}` here? {why}", shown(&path))),
                );
            }
        }
    }
    complain(&complaints);
}

#[test]
fn adapters_do_not_know_each_other() {
    let folders = ["chat", "courier", "deploy", "flags", "gates", "metrics"];
    let mut complaints = Vec::new();
    for own in folders {
        for path in sources(&format!("src/adapters/{own}")) {
            for (number, line) in code(&path) {
                let others = folders.iter().filter(|other| **other != own);
                let found = others.filter(|other| line.contains(&format!("adapters::{other}")));
                complaints.extend(found.map(|other| {
                    format!("{}:{number}: `{other}` here? adapters meet in the ports", shown(&path))
                }));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn every_module_says_what_it_is() {
    let mut complaints = Vec::new();
    for path in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        if !fs::read_to_string(&path).expect("a readable source").starts_with("//!") {
            complaints.push(format!("{}: begin with `//!` and one sentence", shown(&path)));
        }
    }
    complain(&complaints);
}

#[test]
fn lines_fit_beside_each_other() {
    let mut complaints = Vec::new();
    for path in sources("src").into_iter().chain(sources("tests")) {
        let text = fs::read_to_string(&path).expect("a readable source");
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > 110 {
                complaints.push(format!("{}:{}: longer than 110", shown(&path), number + 1));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn nobody_calls_a_shell_or_unwraps() {
    let mut complaints = Vec::new();
    for path in sources("src") {
        for (number, line) in code(&path) {
            for word in [".unwrap()", "todo!", "unimplemented!", "thread::sleep"] {
                if line.contains(word) {
                    complaints
                        .push(format!("{}:{number}: `{word}` has no place here", shown(&path)));
                }
            }
        }
        let text = fs::read_to_string(&path).expect("a readable source");
        let own = text.split("#[cfg(test)]").next().unwrap_or_default();
        for shell in ["\"sh\"", "\"/bin/sh\"", "\"bash\""] {
            if own.contains(shell) && !path.ends_with("tests.rs") {
                complaints.push(format!("{}: {shell} here? never through a shell", shown(&path)));
            }
        }
    }
    complain(&complaints);
}

/// A file, which may have some of its folders before it, and a test of it: `slack/render/tests::name`.
fn tests_named_in(text: &str) -> Vec<(String, String)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|word| word.rsplit_once("::"));
    named.map(|(place, name)| (place.replace("::", "/"), name.to_owned())).collect()
}

fn is_test(text: &str, name: &str) -> bool {
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    let attributes = before.lines().rev().take(3).collect::<String>();
    attributes.contains("#[test]") || attributes.contains("#[tokio::test")
}

#[test]
fn every_test_that_the_security_chapter_names_is_there() {
    let text = fs::read_to_string("SECURITY.md").expect("the chapter");
    let named = tests_named_in(&text);
    assert!(named.len() > 50, "the chapter names its tests: {named:?}");
    let all: Vec<_> = ["src", "tests"].iter().flat_map(|place| sources(place)).collect();
    let mut complaints = Vec::new();
    for (place, name) in named {
        let of_place = |path: &&PathBuf| shown(path).ends_with(&format!("/{place}.rs"));
        let mut files = all.iter().filter(of_place);
        if !files.any(|path| is_test(&fs::read_to_string(path).expect("a source"), &name)) {
            complaints.push(format!("SECURITY.md: there is no test `{name}` in `{place}.rs`"));
        }
    }
    complain(&complaints);
}
