//! A machine on which time passes when a test says so: Debian's libfaketime answers whenever a
//! program there asks what time it is. Both clocks move together, as they do when time passes.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) struct TimeMachine {
    dir: TempDir,
    passed: Mutex<Duration>,
}

impl TimeMachine {
    pub(crate) fn new() -> Self {
        let machine = Self { dir: TempDir::new().unwrap(), passed: Mutex::default() };
        machine.tells(Duration::ZERO);
        machine
    }

    /// For whatever is started on it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ]
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::from_std(*self.passed.lock().unwrap()).unwrap()
    }

    pub(crate) fn passes(&self, time: Duration) {
        let mut passed = self.passed.lock().unwrap();
        *passed += time;
        self.tells(*passed);
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("passed")
    }

    /// Whole or not at all: somebody reads it all the time.
    fn tells(&self, passed: Duration) {
        let beside = self.dir.path().join("passed.new");
        std::fs::write(&beside, format!("+{}", passed.as_secs())).unwrap();
        std::fs::rename(beside, self.file()).unwrap();
    }
}

impl Drop for TimeMachine {
    /// What the library keeps in shared memory for a program stays there when the program is killed:
    /// ours have been by now, and may be about to end.
    fn drop(&mut self) {
        let ours = self.file().display().to_string();
        for kept in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = kept.file_name().display().to_string();
            let id = match name.rsplit_once('_') {
                Some(("faketime_shm" | "sem.faketime_sem", id)) => id.parse::<i32>(),
                _ => continue,
            };
            let Ok(id) = id else { continue };
            let process = PathBuf::from(format!("/proc/{id}"));
            if std::fs::read_to_string(process.join("environ")).is_ok_and(|it| it.contains(&ours)) {
                let _ = waitpid(Pid::from_raw(id), None);
            }
            if process.join("exe").read_link().is_err() {
                let _ = std::fs::remove_file(kept.path());
            }
        }
    }
}

/// In the folder of whatever architecture this is.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    let library = |folder: std::io::Result<std::fs::DirEntry>| {
        folder.unwrap().path().join("faketime/libfaketimeMT.so.1")
    };
    let found = folders.map(library).find(|library| library.exists());
    found.expect("`tests/run` installs libfaketime")
}
