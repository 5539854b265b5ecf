//! What is too long for a button: kept in a file beside the log, so that yesterday's card still
//! works after a restart.
//!
//! Discord gives a button a hundred characters and a message no place to hide more. So the button
//! carries a name, and the text is here: one JSON line each, appended and synced before the message
//! goes out, the oldest forgotten.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest, Sha256};
use tracing::warn;

use super::lock;

/// More than the cards of a year, and a few megabytes.
const MOST: usize = 20_000;

pub(super) struct Shelf {
    path: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    texts: HashMap<String, String>,
    order: VecDeque<String>,
    file: Option<File>,
    /// The file has lines that are doubled, too old or cut off.
    untidy: bool,
}

impl Shelf {
    /// Reads what is there. Whoever only looks changes nothing: it is tidied by the first who writes.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut kept = Kept::default();
        let mut lines = 0;
        if let Ok(file) = File::open(path) {
            for line in BufReader::new(file).lines() {
                lines += 1;
                // The last line may have been cut off with the process.
                match serde_json::from_str::<(String, String)>(&line?) {
                    Ok((name, text)) => kept.remember(name, text),
                    Err(_) => warn!(path = %path.display(), "a button's line cannot be read"),
                }
            }
        }
        kept.untidy = lines > kept.order.len();
        Ok(Self { path: path.to_owned(), kept: Mutex::new(kept) })
    }

    /// The name under which the text can be found again, once it is on the disk.
    pub(super) fn keep(&self, text: &str) -> io::Result<String> {
        let name = name_of(text);
        let mut kept = lock(&self.kept);
        if !kept.texts.contains_key(&name) {
            kept.append(&self.path, &name, text)?;
            kept.remember(name.clone(), text.to_owned());
        }
        Ok(name)
    }

    pub(super) fn find(&self, name: &str) -> Option<String> {
        lock(&self.kept).texts.get(name).cloned()
    }
}

/// The same text has the same name: a card that is written again needs no second line.
fn name_of(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn line(name: &str, text: &str) -> String {
    let line = serde_json::to_string(&(name, text)).expect("two texts are JSON");
    format!("{line}\n")
}

impl Kept {
    fn remember(&mut self, name: String, text: String) {
        if self.texts.insert(name.clone(), text).is_none() {
            self.order.push_back(name);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.texts.remove(&oldest);
            }
        }
    }

    fn append(&mut self, path: &Path, name: &str, text: &str) -> io::Result<()> {
        if self.file.is_none() {
            if self.untidy {
                self.rewrite(path)?;
            }
            self.file = Some(OpenOptions::new().create(true).append(true).open(path)?);
        }
        let file = self.file.as_mut().expect("it was just opened");
        file.write_all(line(name, text).as_bytes())?;
        file.sync_data()
    }

    fn rewrite(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut whole = tempfile::NamedTempFile::new_in(folder)?;
        for name in &self.order {
            whole.write_all(line(name, &self.texts[name]).as_bytes())?;
        }
        whole.as_file().sync_data()?;
        whole.persist(path).map_err(|why| why.error)?;
        fs::File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("buttons.jsonl");
        let shelf = Shelf::open(&path).expect("nothing there yet");
        let name = shelf.keep("go v1.2.0 \"it's\"\nfine").expect("it can be written");
        assert_eq!(shelf.keep("go v1.2.0 \"it's\"\nfine").expect("again"), name);
        assert_eq!(fs::read_to_string(&path).expect("a file").lines().count(), 1);
        drop(shelf);
        let again = Shelf::open(&path).expect("readable");
        assert_eq!(again.find(&name).as_deref(), Some("go v1.2.0 \"it's\"\nfine"));
        assert_eq!(again.find("another"), None);
    }

    #[test]
    fn a_line_that_was_cut_off_costs_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("buttons.jsonl");
        let name = Shelf::open(&path).expect("new").keep("one").expect("written");
        let mut file = OpenOptions::new().append(true).open(&path).expect("there");
        file.write_all(b"[\"half").expect("written");
        let again = Shelf::open(&path).expect("readable");
        assert_eq!(again.find(&name).as_deref(), Some("one"));
        let second = again.keep("two").expect("written");
        let third = Shelf::open(&path).expect("readable");
        assert_eq!(third.find(&second).as_deref(), Some("two"), "on a line of its own");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut kept = Kept::default();
        for number in 0..=MOST {
            kept.remember(number.to_string(), String::new());
        }
        assert_eq!(kept.order.len(), MOST);
        assert!(!kept.texts.contains_key("0") && kept.texts.contains_key("1"));
    }
}
