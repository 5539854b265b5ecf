//! A log that was once written must replay for ever: the same hashes, phases, counts and agenda.
//!
//! The golden log is never written anew. When events gain new kinds, a second log is recorded
//! beside it: with TMINUS_BINARY, the path of a copy of the program, TMINUS_GOLDEN=v2 and
//! `cargo nextest run golden`; then `LOGS` gets its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tminus::app::replay;
use tminus::domain::agenda::{agenda, scopes};
use tminus::domain::event::{Event, SCHEMA};
use tminus::domain::state::State;

use crate::program::Program;
use crate::story::{self, ROLL_BACK};

const LOGS: [&str; 1] = ["v1"];

/// A line of `tminus audit export`.
#[derive(Deserialize)]
struct Line {
    seq: u64,
    at: String,
    actor: String,
    request: String,
    release: Option<String>,
    schema: u32,
    event: String,
    hash: String,
}

impl Line {
    /// As the documentation of the chain has it, with nothing of the program's own: each field with
    /// its length in front, an absent release as the length 2^64 - 1.
    fn hash_after(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut sha = Sha256::new();
        let (seq, schema) = (self.seq.to_be_bytes(), self.schema.to_be_bytes());
        let release = self.release.as_deref().map(str::as_bytes);
        let (actor, request) = (self.actor.as_bytes(), self.request.as_bytes());
        let fields: [Option<&[u8]>; 8] = [
            Some(previous),
            Some(&seq),
            Some(self.at.as_bytes()),
            Some(actor),
            Some(request),
            release,
            Some(&schema),
            Some(self.event.as_bytes()),
        ];
        for field in fields {
            let length = field.map_or(u64::MAX, |bytes| bytes.len() as u64);
            sha.update(length.to_be_bytes());
            sha.update(field.unwrap_or_default());
        }
        sha.finalize().into()
    }
}

/// What a log comes to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sum {
    entries: usize,
    head: String,
    phases: BTreeMap<String, String>,
    locks: Vec<String>,
    live: BTreeMap<String, Vec<String>>,
    counts: BTreeMap<String, usize>,
    /// What would be due, at every hundredth entry and at the end.
    agenda: BTreeMap<u64, Vec<String>>,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The hashed texts stand under `raw`; an export of the first version had nothing else.
fn lines(log: &str) -> Vec<Line> {
    let read = |line: &str| -> serde_json::Result<Line> {
        let mut whole: serde_json::Value = serde_json::from_str(line)?;
        if let Some(raw) = whole.as_object_mut().and_then(|fields| fields.remove("raw")) {
            (whole["actor"], whole["event"]) = (raw["actor"].clone(), raw["event"].clone());
        }
        serde_json::from_value(whole)
    };
    log.lines().map(|line| read(line).expect(line)).collect()
}

fn name_of(event: &Event) -> String {
    let whole = serde_json::to_value(event).unwrap();
    let kind = match whole.as_str() {
        Some(name) => name.to_owned(),
        None => whole.as_object().unwrap().keys().next().unwrap().clone(),
    };
    match event.of_release() {
        Some((_, did)) => format!("{kind}/{}", did.name()),
        None => kind,
    }
}

fn due(state: &State) -> Vec<String> {
    let scopes = scopes(state);
    let all = scopes.flat_map(|scope| agenda(state, &scope));
    all.map(|due| format!("{} {}", due.at.to_rfc3339(), due.key)).collect()
}

fn sum(log: &str) -> Sum {
    let mut state = State::default();
    let (mut counts, mut agendas) = (BTreeMap::new(), BTreeMap::new());
    let lines = lines(log);
    for line in &lines {
        assert_eq!(line.schema, SCHEMA, "#{}: give a new schema its own way to be read", line.seq);
        let event: Event = serde_json::from_str(&line.event)
            .unwrap_or_else(|why| panic!("#{} cannot be read any more: {why}", line.seq));
        let at: DateTime<Utc> = line.at.parse().unwrap();
        state.evolve(&event, at);
        *counts.entry(name_of(&event)).or_default() += 1;
        if line.seq % 100 == 0 || line.seq == lines.len() as u64 {
            agendas.insert(line.seq, due(&state));
        }
    }
    let releases = state.releases.iter();
    let locks = state.house.locks.iter();
    let live = state.house.live.iter();
    Sum {
        entries: lines.len(),
        head: lines.last().unwrap().hash.clone(),
        phases: releases.map(|(id, it)| (id.to_string(), format!("{:?}", it.phase))).collect(),
        locks: locks.map(|((target, version), _)| format!("{target} {version}")).collect(),
        live: live
            .map(|(target, all)| {
                (target.clone(), all.iter().map(|live| live.version.clone()).collect())
            })
            .collect(),
        counts,
        agenda: agendas,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn old_logs_have_the_hashes_that_the_documentation_promises() {
    for name in LOGS {
        let mut previous = [0; 32];
        for (line, number) in
            lines(&fs::read_to_string(file(name).with_extension("jsonl")).unwrap()).iter().zip(1..)
        {
            assert_eq!(line.seq, number, "{name} has no gap");
            previous = line.hash_after(&previous);
            assert_eq!(hex(&previous), line.hash, "{name} #{number}");
        }
    }
}

#[test]
fn old_logs_come_to_what_they_came_to() {
    for name in LOGS {
        let log = fs::read_to_string(file(name).with_extension("jsonl")).unwrap();
        let expected = fs::read_to_string(file(name).with_extension("sum.json")).unwrap();
        let expected: Sum = serde_json::from_str(&expected).unwrap();
        assert_eq!(sum(&log), expected, "{name}");
    }
}

/// A snapshot of an older program must not be taken for one of this: whatever changes what a log adds
/// up to, or how that is written, raises the shape.
#[test]
fn what_a_log_adds_up_to_has_the_shape_that_it_is_said_to_have() {
    let log = fs::read_to_string(file("v1.jsonl")).unwrap();
    let mut state = State::default();
    for line in lines(&log) {
        let event: Event = serde_json::from_str(&line.event).unwrap();
        state.evolve(&event, line.at.parse().unwrap());
    }
    let digest = hex(&Sha256::digest(replay::body(&state).unwrap()));
    let found = format!("{} {digest}\n", replay::SHAPE);
    let known = fs::read_to_string(file("shapes")).unwrap();
    if std::env::var_os("TMINUS_SHAPE").is_some() && !known.contains(&found) {
        fs::write(file("shapes"), known + &found).unwrap();
        return;
    }
    assert_eq!(
        known.lines().last(),
        Some(found.trim_end()),
        "raise `replay::SHAPE` and run this again with TMINUS_SHAPE=1"
    );
    let shapes = known.lines().filter_map(|line| line.split(' ').next());
    let shapes: Vec<u32> = shapes.map(|shape| shape.parse().unwrap()).collect();
    assert!(shapes.is_sorted_by(|a, b| a < b), "a shape has one digest: {known}");
}

/// Whoever moves one byte of one field from one place to another is found.
#[test]
fn an_entry_of_an_old_log_cannot_be_changed() {
    let log = fs::read_to_string(file("v1.jsonl")).unwrap();
    let mut lines = lines(&log);
    let (first, rest) = lines.split_first_mut().unwrap();
    let (previous, next) = (first.hash_after(&[0; 32]), &mut rest[0]);
    let whole = next.hash_after(&previous);
    let last = next.actor.pop().unwrap();
    next.request.insert(0, last);
    assert_ne!(whole, next.hash_after(&previous));
}

// ---------------------------------------------------------------------------------------------
// Recording one

/// What today's program writes adds up, too; under a name, it is kept as a new golden log.
#[tokio::test]
async fn a_log_of_today_adds_up() {
    let program = Program::start().await;
    refused_and_called_off(&program).await;
    rolled_back(&program).await;
    succeeded(&program).await;
    let exported = program.cli(&["audit", "export"]).await;
    assert!(exported.status.success(), "{exported:?}");
    let log = String::from_utf8(exported.stdout).unwrap();
    let sum = serde_json::to_string_pretty(&sum(&log)).unwrap() + "\n";
    let Ok(name) = std::env::var("TMINUS_GOLDEN") else { return };
    let own = env!("CARGO_MANIFEST_DIR");
    assert!(!log.contains(own), "the policy names the program: set TMINUS_BINARY to a copy of it");
    let path = file(&name).with_extension("jsonl");
    assert!(!path.exists(), "{} is never written anew", path.display());
    fs::write(path, log).unwrap();
    fs::write(file(&name).with_extension("sum.json"), sum).unwrap();
}

async fn refused_and_called_off(program: &Program) {
    program.refused("quinn", "freeze add 2031-01-01 2031-01-02 no right to").await;
    program.say("maria", "freeze add \"2031-01-01 00:00\" \"2031-01-02 00:00\" New year").await;
    program.say("maria", &story::schedule()).await;
    program.say("maria", "reschedule v1.2.0 in 74h --reason \"the hall is booked\"").await;
    program.say("maria", "hold wait for legal").await;
    program.say("john", "resume").await;
    program.refused("ann", "checklist pass rollback-rehearsed").await;
    program.say("maria", "checklist pass rollback-rehearsed --reason \"seen in staging\"").await;
    program.say("ann", "checklist reopen rollback-rehearsed").await;
    program.say("ann", "checklist fail rollback-rehearsed --reason \"it did not come back\"").await;
    program.say("paula", "accept search --reason known").await;
    program.say("maria", "override seat:security Sid is on leave").await;
    program.say("maria", "evidence tests fail --note flaky").await;
    program.say("maria", "evidence tests pass").await;
    program.say("maria", "announce search is slower for an hour").await;
    program.say("maria", "handover john").await;
    program.say("john", "handover maria").await;
    program.say("maria", "edit v1.2.0 web-shop-v1.2.0").await;
    program.say("sam", "no-go hotline is short-staffed").await;
    program.settled().await;
    program.say("maria", "scrub the scanner found a leak").await;
    program.say("maria", "freeze lift 2031-01-01-new-year it was a drill").await;
    program.say("maria", "lock v1.1.8 too old").await;
    program.say("maria", "unlock v1.1.8 it is mended").await;
    program.settled().await;
}

async fn rolled_back(program: &Program) {
    story::to_failed_pod(program).await;
    program.say("john", "retry").await;
    program.until("try 2").await;
    program.settled().await;
    program.say("john", ROLL_BACK).await;
    program.until("is closed: FAILED").await;
    story::to_archive(program).await;
    program.say("maria", "unlock v1.2.0 the module is mended").await;
}

async fn succeeded(program: &Program) {
    program.say("maria", "schedule v1.2.0 in 73h").await;
    let jump = async || {
        program.settled().await;
        assert!(program.jump().await);
        program.settled().await;
    };
    jump().await;
    jump().await;
    for person in story::SEATS {
        program.say(person, "go").await;
    }
    program.say("dave", "rollback --dry-run").await;
    while program.say("maria", "status").await.contains("(counting down)") {
        program.settled().await;
    }
    while !program.ask("maria", "start").await.0 {
        jump().await;
    }
    program.settled().await;
    program.say("john", "run mend-pod pod=2").await;
    jump().await;
    program.say("dave", "update pod 1 looks fine").await;
    jump().await;
    program.say("maria", "advance").await;
    story::to_archive(program).await;
}
