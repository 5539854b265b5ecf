//! Everybody clicks at once, on a disk that needs 20 ms for each sync: whoever clicks waits for a few
//! syncs that all share, and not for those of everybody before them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;

use crate::slack_stage::{Mode, Stage, cast, prop};
use crate::slack_world::{Person, Post, Standing};

const CROWD: usize = 256;
/// Slack's patience.
const PATIENCE: Duration = Duration::from_secs(3);

fn name(nth: usize) -> String {
    format!("p{nth:03}")
}

/// A library that makes each sync slow.
fn slow_disk(dir: &Path) -> String {
    let (source, library) = (dir.join("slow_disk.c"), dir.join("slow_disk.so"));
    std::fs::write(&source, prop("slow_disk.c")).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
    assert!(compiler.status().unwrap().success());
    library.display().to_string()
}

async fn all_press(people: &[Person], poll: &Post, label: &str) {
    let gestures = join_all(people.iter().map(|person| person.presses(poll, label))).await;
    let waited = gestures.iter().map(|it| it.acknowledged_in().expect("it is acknowledged"));
    let longest = waited.max().unwrap();
    assert!(longest < PATIENCE, "the last one waited for {longest:?}");
}

async fn burst(mode: Mode) {
    let dir = tempfile::tempdir().unwrap();
    let library = slow_disk(dir.path());
    let crowd = (0..CROWD).fold(cast(), |cast, nth| cast.person(&name(nth), Standing::Member));
    let mut stage = Stage::set_on(mode, crowd, |config| config, &[("LD_PRELOAD", &library)]).await;
    let poll = stage.to_poll().await;
    // Nobody here has been vouched for: what they did is kept until they are.
    let crowd: Vec<_> = (0..CROWD).map(|nth| stage.person(&name(nth))).collect();
    all_press(&crowd, &poll, "GO · QA").await;
    stage.settled().await;
    stage.presses("quinn", &poll, "GO · QA", "Your GO for QA is recorded").await;
    // She is known by now: what she does is decided at once.
    let quinn = vec![stage.person("quinn"); CROWD];
    all_press(&quinn, &poll, "GO · QA").await;
    stage.settled().await;
    let log = stage.log().await;
    let refused = log.iter().filter(|it| it.starts_with("Refused go")).count();
    assert!(refused >= CROWD, "{refused}");
    let early = "acknowledged before it was recorded";
    assert!(!stage.here.logged().contains(early), "{}", stage.here.logged());
    stage.stopped().await;
}

#[tokio::test]
async fn a_burst_over_socket_mode_shares_its_syncs() {
    burst(Mode::Socket).await;
}

#[tokio::test]
async fn a_burst_over_signed_http_shares_its_syncs() {
    burst(Mode::Http).await;
}
