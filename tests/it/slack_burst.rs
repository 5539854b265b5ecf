//! Everybody clicks at once, on a disk that needs 20 ms for each sync: what they do is on the disk
//! before it is acknowledged, and shares its syncs. One each would take longer than Slack waits.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;

use crate::shop::prop;
use crate::slack_stage::{Mode, Stage, cast};
use crate::slack_world::{Fault, Gesture, Harm, Person, Post, Standing};

const CROWD: usize = 256;
/// As many syncs of 20 ms as Slack's three seconds hold, with half a second to spare.
const ENOUGH: usize = 125;

fn name(nth: usize) -> String {
    format!("p{nth:03}")
}

/// A shim that makes each sync slow, and counts them.
struct SlowDisk {
    dir: tempfile::TempDir,
}

impl SlowDisk {
    fn new() -> Self {
        let disk = Self { dir: tempfile::tempdir().unwrap() };
        let source = disk.file("slow_disk.c");
        std::fs::write(&source, prop("slow_disk.c")).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(disk.shim()).arg(&source);
        assert!(compiler.status().unwrap().success());
        disk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn shim(&self) -> PathBuf {
        self.file("slow_disk.so")
    }

    fn syncs(&self) -> usize {
        let log = std::fs::metadata(self.file("syncs")).unwrap();
        usize::try_from(log.len()).unwrap()
    }

    /// All press at once; each is acknowledged, and it costs few syncs.
    async fn burst(&self, people: &[Person], poll: &Post, label: &str) {
        let before = self.syncs();
        let gestures = join_all(people.iter().map(|person| person.presses(poll, label))).await;
        let syncs = self.syncs() - before;
        let lost = gestures.iter().find(|it| it.acknowledged_in().is_none());
        assert!(lost.is_none(), "never acknowledged: {:?}", lost.map(|it| &it.outcome));
        let longest = gestures.iter().filter_map(Gesture::acknowledged_in).max();
        assert!(syncs < ENOUGH, "{syncs} syncs; the last one waited for {longest:?}");
        assert!(syncs > 0, "it is on the disk before it is acknowledged");
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

async fn burst(mode: Mode) {
    let disk = SlowDisk::new();
    let crowd = (0..CROWD).fold(cast(), |cast, nth| cast.person(&name(nth), Standing::Member));
    // How fast this machine is today is not what is tried here.
    let crowd = crowd.windows(|windows| windows.answer = Duration::from_secs(60));
    let (shim, log) = (shown(&disk.shim()), shown(&disk.file("syncs")));
    let machine = [("LD_PRELOAD", shim.as_str()), ("SLOW_DISK_LOG", &log)];
    let mut stage = Stage::set_on(mode, crowd, |config| config, &machine).await;
    let poll = stage.to_poll().await;
    stage.presses("quinn", &poll, "GO · QA", "Your GO for QA is recorded").await;
    stage.settled().await;
    // She is known: what she does is decided at once.
    let quinn = vec![stage.person("quinn"); CROWD];
    disk.burst(&quinn, &poll, "GO · Engineering").await;
    stage.settled().await;
    // Nobody here has been vouched for: what they do is kept until they are.
    stage.world.fault(Fault::on("users.info", Harm::Hold).always());
    let crowd: Vec<_> = (0..CROWD).map(|nth| stage.person(&name(nth))).collect();
    disk.burst(&crowd, &poll, "GO · Support").await;
    stage.world.calm();
    stage.world.release();
    let refused = async || {
        let log = stage.log().await;
        log.iter().filter(|it| it.starts_with("Refused go")).count() == 2 * CROWD
    };
    stage.running().until("each of them is on record", refused).await;
    stage.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_over_socket_mode_shares_its_syncs() {
    burst(Mode::Socket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_over_signed_http_shares_its_syncs() {
    burst(Mode::Http).await;
}
