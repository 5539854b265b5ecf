//! What a run printed: followed as it grows, masked, cut, and summed up at the end.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::ports::Line;

/// What is kept of the end of an output, in bytes.
const TAIL: usize = 4096;
/// What is passed on of one line, in characters.
const LINE: usize = 500;
/// A line without an end is passed on when it has grown to this many bytes.
const LONGEST: usize = 64 * 1024;
/// Lines beyond this many bytes of output are not passed on; they are still in the file and count
/// for the digest and the tail.
const FOLLOWED: u64 = 8 * 1024 * 1024;
const HIDDEN: &str = "***";

/// Hides secrets in what was printed.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    secrets: Vec<String>,
}

impl Mask {
    /// Of a secret with several lines each line is hidden by itself too: output comes in lines.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for secret in secrets {
            let lines = secret.lines().map(str::trim).filter(|line| line.len() >= 4);
            all.extend(lines.map(str::to_owned));
            all.push(secret);
        }
        all.retain(|secret| !secret.trim().is_empty());
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        Self { secrets: all }
    }

    pub fn and(&self, more: impl IntoIterator<Item = String>) -> Self {
        Self::new(self.secrets.iter().cloned().chain(more))
    }

    pub fn hide(&self, text: &str) -> String {
        self.hide_from(text, 0)
    }

    /// Every byte that belongs to any secret is hidden, so that two secrets that overlap cannot
    /// show each other's ends. What lies before `from` is left out.
    fn hide_from(&self, text: &str, from: usize) -> String {
        let mut covered = vec![false; text.len()];
        for secret in &self.secrets {
            for at in starts(text, secret) {
                covered[at..at + secret.len()].fill(true);
            }
        }
        let mut shown = String::with_capacity(text.len());
        let mut hiding = false;
        for (at, c) in text.char_indices().filter(|(at, _)| *at >= from) {
            match (covered[at], hiding) {
                (true, false) => shown.push_str(HIDDEN),
                (true, true) => {}
                (false, _) => shown.push(c),
            }
            hiding = covered[at];
        }
        shown
    }

    fn longest(&self) -> usize {
        self.secrets.first().map_or(0, String::len)
    }
}

/// Where `secret` begins, overlapping ones too.
fn starts(text: &str, secret: &str) -> Vec<usize> {
    let step = secret.chars().next().map_or(1, char::len_utf8);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(secret)) {
        found.push(from + at);
        from += at + step;
    }
    found
}

/// Text that a chat can show: no colours, no control characters, of a progress bar the last state.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        let body = body.trim_end_matches('\r');
        without_colours(body.rsplit('\r').next().unwrap_or(body), &mut shown);
        shown.push_str(end);
    }
    shown
}

fn without_colours(text: &str, shown: &mut String) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
        } else if c == '\t' || !c.is_control() {
            shown.push(c);
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Reads a growing file line by line.
pub(super) struct Follower {
    file: tokio::fs::File,
    pending: Vec<u8>,
    read: u64,
    /// Inside of a line whose beginning was passed on already.
    skipping: bool,
}

impl Follower {
    pub(super) async fn open(path: &Path, from: u64) -> io::Result<Self> {
        let mut file = tokio::fs::File::open(path).await?;
        file.seek(SeekFrom::Start(from)).await?;
        Ok(Self { file, pending: Vec::new(), read: 0, skipping: false })
    }

    /// Passes on the lines that have come since.
    pub(super) async fn pull(&mut self, mask: &Mask, line: &Line<'_>) -> io::Result<()> {
        let mut chunk = vec![0; LONGEST];
        while self.read <= FOLLOWED {
            let count = self.file.read(&mut chunk).await?;
            if count == 0 {
                return Ok(());
            }
            self.read += count as u64;
            self.pending.extend_from_slice(&chunk[..count]);
            self.pass_on(mask, line);
            if self.read > FOLLOWED {
                line("(there is more output than can be shown here; the run goes on)");
            }
        }
        Ok(())
    }

    /// Passes on what is left when nothing more will come.
    pub(super) fn finish(mut self, mask: &Mask, line: &Line<'_>) {
        if !self.pending.is_empty() && self.read <= FOLLOWED {
            self.pending.push(b'\n');
            self.pass_on(mask, line);
        }
    }

    fn pass_on(&mut self, mask: &Mask, line: &Line<'_>) {
        let mut done = 0;
        while let Some(length) = self.pending[done..].iter().position(|byte| *byte == b'\n') {
            if !std::mem::take(&mut self.skipping) {
                line(&one_line(&self.pending[done..done + length], mask));
            }
            done += length + 1;
        }
        self.pending.drain(..done);
        if self.pending.len() >= LONGEST {
            if !std::mem::replace(&mut self.skipping, true) {
                line(&one_line(&self.pending, mask));
            }
            self.pending.clear();
        }
    }
}

pub(super) fn one_line(bytes: &[u8], mask: &Mask) -> String {
    cut(mask.hide(&plain(bytes)).trim_end(), LINE)
}

/// The masked tail and the digest of a whole file, read once, in constant memory.
pub(super) fn sum_up(path: &Path, mask: &Mask) -> io::Result<(String, String)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; LONGEST];
    let mut length = 0;
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        hash.update(&chunk[..count]);
        length += count as u64;
    }
    // Longer than the tail: masking and cleaning make text shorter.
    let window = (4 * TAIL + skip(mask)) as u64;
    let from = length.saturating_sub(window);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(window).read_to_end(&mut end)?;
    Ok((tail(&end, from > 0, mask), hex(&hash.finalize())))
}

/// The same for an output that came in one piece.
pub(super) fn sum_up_text(text: &str, mask: &Mask) -> (String, String) {
    (tail(text.as_bytes(), false, mask), hex(&Sha256::digest(text.as_bytes())))
}

/// A window may begin in the middle of a secret, of which no mask can know: leave that much out.
fn skip(mask: &Mask) -> usize {
    mask.longest() + 16
}

fn tail(bytes: &[u8], has_more_before: bool, mask: &Mask) -> String {
    let text = plain(bytes);
    let from = if has_more_before { skip(mask) } else { 0 };
    let shown = mask.hide_from(&text, from);
    let mut start = shown.len().saturating_sub(TAIL);
    while !shown.is_char_boundary(start) {
        start += 1;
    }
    shown[start..].to_owned()
}

/// The last line that says something, for an outcome in one sentence.
pub(super) fn last_line(tail: &str) -> Option<String> {
    let line = tail.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(cut(line, 200))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        Mask::new(secrets.iter().map(|secret| (*secret).to_owned()))
    }

    #[test]
    fn the_longest_secret_is_hidden_whole_and_overlaps_leave_no_ends() {
        assert_eq!(mask(&["abc", "abcdef"]).hide("xabcdefy abc"), "x***y ***");
        assert_eq!(mask(&["abc", "cde"]).hide("-abcde-"), "-***-");
        assert_eq!(mask(&["aa"]).hide("baaab"), "b***b");
        assert_eq!(mask(&["ééé"]).hide("é éééé"), "é ***");
        assert_eq!(mask(&["", " "]).hide("a b"), "a b");
    }

    #[test]
    fn each_line_of_a_long_secret_is_hidden() {
        let key = mask(&["-----BEGIN\nMIIEvQIBADAN\nBgkqhkiG\n"]);
        assert_eq!(key.hide("got MIIEvQIBADAN"), "got ***");
    }

    #[test]
    fn colours_progress_bars_and_broken_bytes_become_plain_text() {
        assert_eq!(plain(b"\x1b[1;32mok\x1b[0m\x07\n"), "ok\n");
        assert_eq!(plain(b"10%\r50%\r100%\r\n"), "100%\n");
        assert_eq!(plain(b"a\xff\xfeb"), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn a_secret_cut_by_the_window_does_not_show_its_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("output");
        let secret = "s3cr3t-".repeat(8);
        let mask = mask(&[&secret]);
        for shift in 0..secret.len() + 20 {
            let behind = 4 * TAIL + skip(&mask) - secret.len() + shift;
            let text = format!("{}{secret}{}", "a".repeat(9000), "z".repeat(behind));
            std::fs::write(&path, text).expect("a file");
            let (tail, _) = sum_up(&path, &mask).expect("a readable file");
            assert!(!tail.contains("cr3t"), "{shift}");
            assert_eq!(tail.len(), TAIL);
        }
    }

    #[tokio::test]
    async fn lines_come_once_whole_and_cut() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("output");
        std::fs::write(&path, "one\ntw").expect("a file");
        let heard = Mutex::new(Vec::new());
        let line = |text: &str| heard.lock().expect("no panic").push(text.to_owned());
        let mut follower = Follower::open(&path, 0).await.expect("a file");
        follower.pull(&Mask::default(), &line).await.expect("readable");
        let more = format!("one\ntwo\n{}\n\nlast", "x".repeat(200_000));
        std::fs::write(&path, more).expect("a file");
        follower.pull(&Mask::default(), &line).await.expect("readable");
        follower.finish(&Mask::default(), &line);
        let heard = heard.into_inner().expect("no panic");
        assert_eq!(heard[..2], ["one", "two"]);
        assert_eq!(heard[2].chars().count(), LINE);
        assert_eq!(heard[3..], ["", "last"]);
    }
}
