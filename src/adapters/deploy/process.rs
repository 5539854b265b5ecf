//! Processes of a run: found by its key, stopped with all that they started.
//!
//! They are found in `/proc`, thus on Linux. A process carries its run in its environment, and so
//! does all that it starts; a step that leaves a daemon behind on purpose must start it without
//! `TMINUS_RUN` (`env -u TMINUS_RUN …`), or the run counts as running.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp};
use tokio::time::{Instant, interval};

use crate::ports::Failure;

/// The idempotency key of a run, for the program to use.
pub(super) const KEY: &str = "TMINUS_KEY";
/// The directory of a run. Two instances on one machine may use the same key, so that a key alone
/// would let one kill what the other runs.
pub(super) const RUN: &str = "TMINUS_RUN";

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the kernel may take to carry out a KILL before we say that we cannot tell.
const DEATH: Duration = Duration::from_secs(10);

/// What tells the processes of one run from all others.
#[derive(Debug, Clone)]
pub(super) struct Traces {
    key: Vec<u8>,
    run: Vec<u8>,
    /// The group that we started, if its leader is known to be ours.
    pub(super) group: Option<i32>,
}

impl Traces {
    pub(super) fn new(key: &str, directory: &Path, group: Option<i32>) -> Self {
        let run = format!("{RUN}={}", directory.display()).into_bytes();
        Self { key: format!("{KEY}={key}").into_bytes(), run, group }
    }

    /// The groups in which something of the run lives.
    pub(super) fn groups(&self) -> BTreeSet<i32> {
        let ours = getpgrp().as_raw();
        let Ok(all) = fs::read_dir("/proc") else { return BTreeSet::new() };
        all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat(pid)?)))
            .filter(|(_, stat)| stat.lives && stat.group != ours)
            .filter(|(pid, stat)| self.group == Some(stat.group) || self.marks(*pid))
            .map(|(_, stat)| stat.group)
            .collect()
    }

    pub(super) fn lives(&self) -> bool {
        !self.groups().is_empty()
    }

    fn marks(&self, pid: i32) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        let has = |wanted: &[u8]| environment.split(|byte| *byte == 0).any(|entry| entry == wanted);
        has(&self.key) && has(&self.run)
    }

    /// TERM, the grace time, KILL; answers when nothing lives any more.
    pub(super) async fn stop(&self, grace: Duration) -> Result<(), Failure> {
        self.signal(Signal::SIGTERM)?;
        if self.dies_within(grace, None).await? {
            return Ok(());
        }
        self.signal(Signal::SIGKILL)?;
        if self.dies_within(DEATH, Some(Signal::SIGKILL)).await? {
            return Ok(());
        }
        let groups: Vec<_> = self.groups().iter().map(ToString::to_string).collect();
        Err(Failure::unknown(format!(
            "process group {} still lives after SIGKILL: see what it waits for",
            groups.join(", ")
        )))
    }

    /// Signals again as it waits, if told to: something may have been starting just then.
    async fn dies_within(&self, limit: Duration, again: Option<Signal>) -> Result<bool, Failure> {
        let until = Instant::now() + limit;
        let mut tick = interval(LOOK_EVERY);
        while self.lives() {
            if Instant::now() >= until {
                return Ok(false);
            }
            tick.tick().await;
            if let Some(signal) = again {
                self.signal(signal)?;
            }
        }
        Ok(true)
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let mut groups = self.groups();
        groups.extend(self.group);
        for group in groups {
            match killpg(Pid::from_raw(group), signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(why) => {
                    return Err(Failure::permanent(format!(
                        "process group {group} cannot be stopped ({why}): stop it by hand"
                    )));
                }
            }
        }
        Ok(())
    }
}

struct Stat {
    group: i32,
    lives: bool,
    started: u64,
}

/// `/proc/<pid>/stat`; the name in parentheses may hold anything, so count from its end.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        lives: !matches!(*fields.first()?, "Z" | "X"),
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// What tells a process from a later one with the same number.
pub(super) fn started(pid: i32) -> Option<u64> {
    stat(pid).filter(|stat| stat.lives).map(|stat| stat.started)
}
