//! What is read back of the log: lines of an export, and the database itself.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use chrono::Duration;
use serde_json::Value;
use tempfile::TempDir;
use tminus::app::{reads, replay};
use tminus::config::{self, Surroundings};
use tminus::domain::agenda;
use tminus::domain::event::Event;
use tminus::domain::policy::Policy;
use tminus::domain::state::State;
use tminus::domain::time::Time;
use tminus::store::{Batch, Entry, Finding, Hash, NewEntry, Reader, Store, Which, Witness, verify};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let surroundings = Surroundings {
        state: Some(PathBuf::from("state")),
        own_program: PathBuf::from("tminus"),
        demo_url: Some("http://127.0.0.1:1".into()),
    };
    config::load(None, &surroundings, &|_| None).expect("the default is valid").policy
});

/// Lines of an export, as an auditor or a newer program may have written them: an event, or an entry
/// with its event inside.
pub(super) fn log(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = text.parse::<Witness>();
    let mut state = State::default();
    let mut at: Time = "2026-12-01T10:00:00Z".parse().expect("an instant");
    for (nth, line) in text.lines().enumerate().take(64) {
        let whole = serde_json::from_str::<Value>(line).unwrap_or_default();
        let inner = whole["event"].as_str().unwrap_or(line).to_owned();
        let Some(entry) = entry(nth, at, inner) else { continue };
        let Ok(event) = replay::event_of(&entry) else { continue };
        let _ = reads::sentence(&entry, &POLICY);
        let again = serde_json::to_string(&event).expect("an event is JSON");
        let again = serde_json::from_str::<Event>(&again);
        assert_eq!(again.ok().as_ref(), Some(&event), "an event is what it was written as");
        if replay::follow(&mut state, &event, at).is_err() {
            break;
        }
        at += Duration::seconds(1);
    }
    for scope in agenda::scopes(&state) {
        let _ = agenda::agenda(&state, &scope);
    }
    if let Ok(body) = replay::body(&state) {
        let read = serde_json::from_str::<State>(&body).expect("a snapshot can be read");
        assert_eq!(replay::body(&read).ok(), Some(body), "a snapshot is what it was taken of");
    }
}

fn entry(nth: usize, at: Time, event: String) -> Option<Entry> {
    let seq = u64::try_from(nth).ok()? + 1;
    let (actor, request) = ("\"operator\"".into(), format!("fuzz/{nth}"));
    Some(Entry { seq, at, actor, request, release: None, schema: 1, event, hash: Hash::GENESIS })
}

/// A log of a few entries, as it lies on the disk.
struct Original {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    witness: Witness,
    folder: TempDir,
}

fn life() -> tokio::runtime::Runtime {
    let life = tokio::runtime::Builder::new_current_thread().enable_all().build();
    life.expect("a runtime")
}

const FILE: &str = "tminus.db";

static ORIGINAL: LazyLock<Original> = LazyLock::new(|| {
    life().block_on(async {
        let written = TempDir::new().expect("a folder");
        let store = Store::open(written.path()).await.expect("a new log");
        let at: Time = "2026-12-01T10:00:00Z".parse().expect("an instant");
        let one = |nth: i64| NewEntry {
            at: at + Duration::seconds(nth),
            actor: "\"operator\"".into(),
            request: format!("fuzz/{nth}"),
            release: Some("web-shop/production/v1.2.0#1".into()),
            schema: 1,
            event: format!("{{\"said\":\"the {nth}th thing that happened\"}}"),
        };
        let batch = Batch { entries: (0..6).map(one).collect(), ..Batch::default() };
        store.commit(&batch).await.expect("written");
        let witness = store.head().into();
        let entries = store.reader().entries(&Which::default()).await.expect("read");
        store.close().await;
        let bytes = fs::read(written.path().join(FILE)).expect("the file");
        Original { bytes, entries, witness, folder: TempDir::new().expect("a folder") }
    })
});

/// Somebody has written into the file: each five bytes are a place and what stands there now.
pub(super) fn database(data: &[u8]) {
    let original = &*ORIGINAL;
    let mut bytes = original.bytes.clone();
    for change in data.chunks_exact(5).take(32) {
        let place = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize;
        let place = place % bytes.len();
        bytes[place] =
            if change[3].is_multiple_of(2) { change[4] } else { bytes[place] ^ change[4] };
    }
    fs::write(original.folder.path().join(FILE), &bytes).expect("a file");
    life().block_on(async {
        let Ok(reader) = Reader::open(original.folder.path()).await else { return };
        if let Ok(Finding::Verified { .. }) = verify(&reader, Some(&original.witness)).await {
            let read = reader.entries(&Which::default()).await;
            assert_eq!(read.ok().as_ref(), Some(&original.entries), "changed, and called whole");
        }
        reader.close().await;
    });
}
