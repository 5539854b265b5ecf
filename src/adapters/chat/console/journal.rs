//! The file that remembers: one JSON line per change, synced before anybody hears of it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::board::Entry;
use crate::ports::Failure;

const VERSION: u32 = 1;

/// The first line. The id tells a page that this is another journal than the one it knew.
#[derive(Serialize, Deserialize)]
struct Header {
    console_journal: u32,
    id: String,
}

pub(super) struct Journal {
    file: File,
    path: PathBuf,
    id: String,
    /// Where the last whole line ends.
    end: u64,
    /// Set when we no longer know what is on the disk: only a fresh start can tell.
    broken: bool,
}

impl Journal {
    pub(super) fn open(path: &Path) -> anyhow::Result<(Self, Vec<Entry>)> {
        // What was said in private stands in it.
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        let mut file = file.with_context(|| format!("opening the journal {}", path.display()))?;
        ensure!(file.metadata()?.is_file(), "{} is not a file", path.display());
        if file.try_lock().is_err() {
            bail!("the journal {} is in use by another process", path.display());
        }
        let text = whole_lines(&mut file, path)?;
        if text.is_empty() {
            return Ok((Self::begin(file, path)?, Vec::new()));
        }
        let (header, entries) =
            read(&text).with_context(|| format!("reading the journal {}", path.display()))?;
        let end = text.len() as u64;
        let path = path.to_owned();
        Ok((Self { file, path, id: header.id, end, broken: false }, entries))
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Writes one line and syncs it. When this returns an error other than unknown, the line is not
    /// in the file.
    pub(super) fn append(&mut self, entry: &Entry) -> Result<(), Failure> {
        if self.broken {
            return Err(Failure::transient(format!(
                "the journal {} failed earlier; start again to go on",
                self.path.display()
            )));
        }
        let line = line(entry).map_err(|why| Failure::permanent(why.to_string()))?;
        if let Err(why) = self.file.write_all(&line) {
            return Err(self.undo(&why));
        }
        // A sync that failed must not be tried again: the second try may succeed without the data.
        if let Err(why) = self.file.sync_data() {
            self.broken = true;
            let path = self.path.display();
            return Err(Failure::unknown(format!("{path} could not be synced: {why}")));
        }
        self.end += line.len() as u64;
        Ok(())
    }

    fn undo(&mut self, why: &std::io::Error) -> Failure {
        let why = format!("{} could not be written: {why}", self.path.display());
        if self.file.set_len(self.end).is_ok() {
            return Failure::transient(why);
        }
        self.broken = true;
        Failure::unknown(why)
    }

    fn begin(mut file: File, path: &Path) -> anyhow::Result<Self> {
        let id = fresh_id()?;
        let header = line(&Header { console_journal: VERSION, id: id.clone() })?;
        file.write_all(&header).and_then(|()| file.sync_all()).context("beginning the journal")?;
        sync_folder(path)?;
        let (path, end) = (path.to_owned(), header.len() as u64);
        Ok(Self { file, path, id, end, broken: false })
    }
}

/// The text up to the last line break. What follows was torn by a crash before anybody was told
/// that it had been written; it is cut off.
fn whole_lines(file: &mut File, path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes))?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    if end < bytes.len() {
        tracing::warn!(path = %path.display(), "dropped a half-written last line");
        file.set_len(end as u64).and_then(|()| file.sync_all()).context("cutting a torn line")?;
        bytes.truncate(end);
    }
    String::from_utf8(bytes).with_context(|| format!("{} is not text", path.display()))
}

fn read(text: &str) -> anyhow::Result<(Header, Vec<Entry>)> {
    let mut lines = text.lines().enumerate();
    let (_, first) = lines.next().context("it is empty")?;
    let header: Header = serde_json::from_str(first).context("line 1 is not its first line")?;
    let version = header.console_journal;
    ensure!(version == VERSION, "it has version {version}, this program knows {VERSION}");
    let mut entries = Vec::new();
    for (number, line) in lines {
        let entry: Entry =
            serde_json::from_str(line).with_context(|| format!("line {}", number + 1))?;
        let expected = entries.len() as u64 + 1;
        ensure!(entry.seq == expected, "line {} is out of order", number + 1);
        entries.push(entry);
    }
    Ok((header, entries))
}

fn line(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

fn fresh_id() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).context("asking for random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A new file is only as durable as the folder's entry for it.
fn sync_folder(path: &Path) -> anyhow::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = File::open(parent.unwrap_or_else(|| Path::new(".")));
    folder.and_then(|folder| folder.sync_all()).context("syncing the journal's folder")
}

#[cfg(test)]
mod tests {
    use super::super::board::Fact;
    use super::*;

    fn entry(seq: u64) -> Entry {
        let fact = Fact::Topic { channel: "c".to_owned(), topic: "t".to_owned() };
        Entry { seq, at: 0, fact }
    }

    #[test]
    fn after_a_write_that_cannot_be_undone_nothing_more_is_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal");
        let (mut journal, _) = Journal::open(&path).expect("a fresh journal");
        journal.append(&entry(1)).expect("a first line");
        // A handle that may neither write nor cut, as a disk that fell away.
        journal.file = File::open(&path).expect("the file is there");
        let first = journal.append(&entry(2)).expect_err("cannot be written");
        assert!(matches!(first, Failure::Unknown { .. }), "{first:?}");
        let next = journal.append(&entry(2)).expect_err("is not tried");
        assert!(matches!(next, Failure::Transient { .. }), "{next:?}");
        drop(journal);
        let (_, entries) = Journal::open(&path).expect("it opens again");
        assert_eq!(entries, [entry(1)]);
    }
}
