//! Processes of a run: what they are given, found by its key, stopped with all that they started.
//!
//! They are found in `/proc`, thus on Linux. A process carries its run in its environment, and so
//! does all that it starts; a step that leaves a daemon behind on purpose must start it without
//! `TMINUS_RUN` (`env -u TMINUS_RUN …`), or the run counts as running.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp};
use tokio::process::Command;
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

/// Without a PATH of our own a program is looked for here.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// All that a program gets of an environment: PATH, what is passed on of ours, and its own.
pub(super) fn environment(
    passed: &[String],
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let path = std::env::var("PATH").unwrap_or_else(|_| PATH.to_owned());
    let passed = passed.iter();
    let passed = passed.filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
    [("PATH".to_owned(), path)].into_iter().chain(passed).chain(own.clone()).collect()
}

/// A program with all that it gets of an environment. It is named by its path, found where it would
/// be looked for anyway: only then is it started without a copy of our own memory's tables first,
/// which would take longer the more we know.
pub(super) fn command(program: &str, environment: &BTreeMap<String, String>) -> Command {
    let path = environment.get("PATH").map_or(OsStr::new(PATH), OsStr::new);
    let found = whereabouts(program, path).filter(|found| found.is_absolute());
    let mut command = Command::new(found.as_deref().unwrap_or(Path::new(program)));
    command.as_std_mut().arg0(program);
    command.env_clear().envs(environment);
    command
}

/// `what` is the section of the configuration, for the error.
pub(super) fn stand_in(command: &mut Command, what: &str, directory: &Path) -> Result<(), Failure> {
    if !directory.is_dir() {
        return Err(Failure::permanent(format!(
            "the directory `{}` does not exist: set {what} directory to one that does",
            directory.display()
        )));
    }
    command.current_dir(directory);
    Ok(())
}

/// `key` is where the configuration names the program.
pub(super) fn not_started(key: &str, program: &str, why: &io::Error) -> Failure {
    let mend = format!("set {key} to a program that can be run");
    if why.kind() == io::ErrorKind::NotFound {
        Failure::permanent(format!("`{program}` does not exist: {mend}"))
    } else if why.kind() == io::ErrorKind::PermissionDenied {
        Failure::permanent(format!("`{program}` may not be executed: {mend}"))
    } else if why.raw_os_error() == Some(nix::libc::ENOEXEC) {
        Failure::permanent(format!("`{program}` is no program and has no `#!` line: {mend}"))
    } else {
        // No memory, no process left, a file that is just being written: it may pass.
        Failure::transient(format!("`{program}` cannot be started now: {why}"))
    }
}

/// Whether it can be run, by its path or by ours.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    whereabouts(program, &path).is_some()
}

fn whereabouts(program: &str, path: &OsStr) -> Option<PathBuf> {
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(runs);
    }
    std::env::split_paths(path).map(|folder| folder.join(program)).find(runs)
}

/// How a program ended that did not work.
pub(super) fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by {}", signal.as_str()),
            Err(_) => format!("killed by signal {number}"),
        },
        (None, None) => "ended without an exit status".to_owned(),
    }
}

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
