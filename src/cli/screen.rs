//! What is printed: text that steers neither a terminal nor a reader's eye, and no quarrel with a
//! reader who has seen enough.

use std::io::{self, ErrorKind, Write};

use crate::app::markup;

/// A writer for standard output and error.
///
/// A pipe that nobody reads any more (`tminus list | head -1`) ends in silence: the rest is
/// discarded, and the exit status still says how it went.
pub struct Screen<W: Write> {
    out: W,
    /// The line that is being written, where lines are looked at.
    line: Option<Vec<u8>>,
    closed: bool,
}

impl<W: Write> Screen<W> {
    /// For people: what steers is shown as `\u202e`.
    pub fn readable(out: W) -> Self {
        Self { out, line: Some(Vec::new()), closed: false }
    }

    /// For programs: every byte as it is.
    pub fn exact(out: W) -> Self {
        Self { out, line: None, closed: false }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let done = if self.closed { Ok(()) } else { self.out.write_all(bytes) };
        self.unless_closed(done)
    }

    fn unless_closed(&mut self, done: io::Result<()>) -> io::Result<()> {
        match done {
            Err(why) if why.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            done => done,
        }
    }

    fn show(&mut self, line: &[u8]) -> io::Result<()> {
        let shown = markup::visible(&String::from_utf8_lossy(line));
        self.put(shown.as_bytes())
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(mut line) = self.line.take() else {
            return self.put(bytes).map(|()| bytes.len());
        };
        line.extend_from_slice(bytes);
        let whole = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let rest = line.split_off(whole);
        self.line = Some(rest);
        for line in line.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            self.show(text)?;
            self.put(b"\n")?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(line) = self.line.as_mut().map(std::mem::take) {
            self.show(&line)?;
        }
        let done = if self.closed { Ok(()) } else { self.out.flush() };
        self.unless_closed(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::readable(&mut out);
        for piece in pieces {
            screen.write_all(piece).expect("a vector takes all");
        }
        screen.flush().expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_steers_is_shown_and_everything_else_stays() {
        assert_eq!(printed(&[b"a\x1b[2Jb\r\n\tc"]), "a\\u001b[2Jb\\u000d\n\tc");
        assert_eq!(printed(&["größer ✓ 🚀\u{202e}x".as_bytes()]), "größer ✓ 🚀\\u202ex");
        let hebrew = "the \u{2068}שלום\u{2069} shop\n";
        assert_eq!(printed(&[hebrew.as_bytes()]), hebrew, "an isolate that ends is our own");
        assert_eq!(printed(&["\u{2068}x\nש\u{2069}".as_bytes()]), "\\u2068x\nש\\u2069");
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        let bytes = "ß\u{202e}".as_bytes();
        assert_eq!(printed(&[&bytes[..1], &bytes[1..3], &bytes[3..], b"\n"]), "ß\\u202e\n");
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_who_has_gone_is_no_trouble() {
        for mut screen in [Screen::readable(Closed), Screen::exact(Closed)] {
            screen.write_all(b"a\nb\n").expect("nobody listens");
            screen.flush().expect("nobody listens");
        }
    }
}
