//! The lever on the disk and on the clock of the real program: a small library that it is started
//! with, and a file of eight numbers that is shared with it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::installed::Installed;

/// The numbers, in their order in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// Of the journal, so far.
    Writes,
    Syncs,
    /// At which of them the program dies: before that write, after that sync.
    DieWrite,
    DieSync,
    FailSync,
    Full,
    /// Seconds by which the clock on the wall was set.
    Leap,
    Struck,
}

const NUMBERS: u64 = 8;

pub(super) struct Lever {
    shared: File,
    _dir: TempDir,
}

impl Lever {
    /// For whatever is started there from now on.
    pub(super) fn on(here: &mut Installed) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("lever");
        let shared =
            OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        shared.set_len(NUMBERS * 8).unwrap();
        here.set_env("MATRIX_LEVER", &path.display().to_string());
        // The clock's library after ours: what we ask of the clock is asked of it.
        let before = here.env("LD_PRELOAD").expect("it has a clock of its own").to_owned();
        here.set_env("LD_PRELOAD", &format!("{}:{before}", library().display()));
        Self { shared, _dir: dir }
    }

    pub(super) fn read(&self, number: Number) -> i64 {
        let mut bytes = [0; 8];
        self.shared.read_exact_at(&mut bytes, number as u64 * 8).unwrap();
        i64::from_ne_bytes(bytes)
    }

    pub(super) fn set(&self, number: Number, value: i64) {
        self.shared.write_all_at(&value.to_ne_bytes(), number as u64 * 8).unwrap();
    }

    /// Nothing happens any more.
    pub(super) fn let_go(&self) {
        for number in
            [Number::DieWrite, Number::DieSync, Number::FailSync, Number::Full, Number::Leap]
        {
            self.set(number, 0);
        }
    }
}

/// Compiled once for each process, and whole wherever it is seen.
fn library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let (built, beside) =
            (place.join("lever.so"), place.join(format!("lever-{}.so", std::process::id())));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&beside);
        compiler.arg("tests/it/matrix/lever.c").arg("-ldl");
        assert!(compiler.status().unwrap().success(), "a C compiler builds the lever");
        std::fs::rename(beside, &built).unwrap();
        built
    };
    BUILT.get_or_init(build).clone()
}
