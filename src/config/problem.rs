//! A mistake in a file, told so that the reader can mend it without looking anything up.

use std::fmt;

use crate::domain::words::strangers;

/// One mistake: where it is, what it is, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// From 1; 0 if it is about the file as a whole.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The key as a path: `stage[1].soak`.
    pub key: String,
    pub what: String,
    pub mend: String,
}

impl Problem {
    pub(super) fn of_file(file: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        let (what, mend) = (what.into(), mend.into());
        Self { file: file.to_owned(), line: 0, column: 0, key: String::new(), what, mend }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, ": {}", self.mend) }
    }
}

impl std::error::Error for Problem {}

/// `did you mean …?` if one of the known names is near, else all of them.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match (nearest(word, known.iter().copied()), known.is_empty()) {
        (Some(name), _) => format!("did you mean `{}`?", without_addresses(name)),
        (None, true) => "there is none".into(),
        (None, false) => format!("known here: {}", quoted(&known)),
    }
}

/// Near enough that a slip of the fingers explains the difference.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let near = known.into_iter().map(|name| {
        let far = strsim::damerau_levenshtein(&word, &name.to_lowercase());
        (far, strangers(&word, name), name)
    });
    let near = near.filter(|(far, _, name)| *far <= 1 + name.chars().count() / 4);
    near.min().map(|(.., name)| name)
}

fn quoted(names: &[&str]) -> String {
    let names = names.iter().map(|name| format!("`{}`", without_addresses(name)));
    names.collect::<Vec<_>>().join(", ")
}

/// Enough of a text to recognise it.
pub(super) fn excerpt(text: &str) -> String {
    let text = without_addresses(text);
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// Mistakes end in logs, and mail addresses of people do not.
pub(super) fn without_addresses(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || "\"'`<>,;:=()[]{}".contains(c);
    let hidden = |word: &str| {
        let name = word.trim_end_matches(ends);
        match name.split_once('@') {
            Some((user, host)) if !user.is_empty() && !host.is_empty() => {
                format!("…@…{}", &word[name.len()..])
            }
            Some(_) | None => word.to_owned(),
        }
    };
    text.split_inclusive(ends).map(hidden).collect()
}
