//! What the log adds up to at one of its entries, so that a start need not add it all up again. It
//! is a convenience: without it, or with one that the log does not vouch for, everything is replayed.
//!
//! **Invariant:** the file proves nothing by itself. Its digest stands in the log after the entry up
//! to which it adds up, so that the hash chain covers it.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::log::{Hash, Head};

const FILE: &str = "snapshot";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Up to here everything is in it.
    pub head: Head,
    pub body: String,
    /// Over the whole file.
    pub digest: Hash,
}

impl Snapshot {
    /// `shape` names how the body is written: a program that writes it otherwise does not read it.
    pub fn new(head: Head, shape: u32, body: &str) -> (Self, String) {
        let text = format!("{}{body}", title(head, shape));
        let digest = Hash::of(Sha256::digest(text.as_bytes()).into());
        (Self { head, body: body.to_owned(), digest }, text)
    }

    /// Of the state directory `dir`; nothing where there is none of this shape that can be read.
    pub fn read(dir: &Path, shape: u32) -> Option<Self> {
        let mut text = std::fs::read_to_string(dir.join(FILE)).ok()?;
        let digest = Hash::of(Sha256::digest(text.as_bytes()).into());
        let end = text.find('\n')? + 1;
        let mut words = text[..end].trim_end().rsplit(' ');
        let hash = words.next()?.parse().ok()?;
        let seq = words.next()?.parse().ok()?;
        let head = Head { seq, hash };
        if text[..end] != title(head, shape) {
            return None;
        }
        text.drain(..end);
        Some(Self { head, body: text, digest })
    }
}

fn title(head: Head, shape: u32) -> String {
    format!("tminus snapshot {shape} {} {}\n", head.seq, head.hash)
}

/// The whole file appears at once, and is on the disk when this returns.
pub(super) fn write(dir: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .prefix(FILE)
        .tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(dir.join(FILE))?;
    std::fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_by_the_same_shape_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let head = Head { seq: 412, hash: "ab".repeat(32).parse().expect("a hash") };
        let (snapshot, text) = Snapshot::new(head, 3, "{\"it\":\"is\"}\n");
        assert_eq!(Snapshot::read(dir.path(), 3), None);
        write(dir.path(), &text).expect("it is written");
        assert_eq!(Snapshot::read(dir.path(), 3), Some(snapshot));
        assert_eq!(Snapshot::read(dir.path(), 4), None);
        assert_eq!(std::fs::read_dir(dir.path()).expect("it is there").count(), 1);
    }

    #[test]
    fn a_changed_byte_changes_the_digest_or_is_not_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let head = Head { seq: 7, hash: "0c".repeat(32).parse().expect("a hash") };
        let (snapshot, text) = Snapshot::new(head, 1, "body");
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            std::fs::write(dir.path().join(FILE), bytes).expect("it is written");
            let found = Snapshot::read(dir.path(), 1);
            assert!(found.is_none_or(|found| found.digest != snapshot.digest), "byte {place}");
        }
    }
}
