//! From a line to words and back. Quotes hold words together; an apostrophe is text.

use clap::Arg;

use super::takes_value;
use super::wrong::{self, Wrong};

/// The words of a line.
///
/// What phones do to quotes, dashes and spaces is undone where it would matter: around a word and
/// before an option. Within a text it stays as it was written.
pub(super) fn split(line: &str) -> Vec<String> {
    let chars: Vec<char> = line.trim().chars().collect();
    let mut words = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if is_space(chars[at]) {
            at += 1;
        } else if let Some((word, next)) = quoted(&chars, at) {
            words.push(word);
            at = next;
        } else {
            let (word, next) = bare(&chars, at);
            words.push(straight(&word));
            at = next;
        }
    }
    words
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{200b}' || c == '\u{feff}'
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '«' | '»')
}

/// `'` where a word begins; within a word and at its end it is an apostrophe.
fn is_single(c: char) -> bool {
    matches!(c, '\'' | '‘' | '’' | '‚')
}

/// A word in quotes, and where it ends. A quote that nothing closes is text.
fn quoted(chars: &[char], start: usize) -> Option<(String, usize)> {
    if is_single(chars[start]) {
        return single(chars, start);
    }
    if !is_quote(chars[start]) {
        return None;
    }
    let mut word = String::new();
    let mut at = start + 1;
    while at < chars.len() {
        let ends = chars.get(at + 1).is_none_or(|next| is_space(*next));
        match chars[at] {
            '\\' if chars.get(at + 1).is_some_and(|c| matches!(c, '"' | '\\')) => {
                word.push(chars[at + 1]);
                at += 1;
            }
            c if is_quote(c) && ends => return Some((word, at + 1)),
            c => word.push(c),
        }
        at += 1;
    }
    None
}

/// As in a shell, nothing is escaped in it. What it holds ends with a word: `it's` does not end it,
/// and `'tis late` is no quote.
fn single(chars: &[char], start: usize) -> Option<(String, usize)> {
    let ends = |at: &usize| {
        is_single(chars[*at])
            && !is_space(chars[*at - 1])
            && chars.get(*at + 1).is_none_or(|next| is_space(*next))
    };
    let end = (start + 1..chars.len()).find(ends)?;
    Some((chars[start + 1..end].iter().collect(), end + 1))
}

/// A word up to the next space; `--reason="two words"` and `name="two words"` are one.
fn bare(chars: &[char], start: usize) -> (String, usize) {
    let mut word = String::new();
    let mut at = start;
    while at < chars.len() && !is_space(chars[at]) {
        let named = |name: &str| !name.is_empty() && !name.contains(['=', ':', '/', '"']);
        let after_sign = word.strip_suffix('=').is_some_and(named);
        if after_sign && let Some((value, next)) = quoted(chars, at) {
            word.push_str(&value);
            return (word, next);
        }
        word.push(chars[at]);
        at += 1;
    }
    (word, at)
}

/// `—as` is `--as`: a phone has made one long dash of two.
fn straight(word: &str) -> String {
    let rest = word.trim_start_matches(['—', '–', '‒', '―']);
    let named = rest.starts_with(|c: char| c.is_ascii_alphabetic());
    if rest.len() < word.len() && named { format!("--{rest}") } else { word.to_owned() }
}

/// The line that [`split`] reads back to these words.
pub fn line(words: &[String]) -> String {
    let written = |word: &String| match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") && needs_quotes(value) => {
            format!("{name}={}", quote(value))
        }
        _ if needs_quotes(word) => quote(word),
        _ => word.clone(),
    };
    words.iter().map(written).collect::<Vec<_>>().join(" ")
}

fn needs_quotes(word: &str) -> bool {
    word.is_empty()
        || word.contains(is_space)
        || word.contains(is_quote)
        || word.contains(is_single)
}

fn quote(word: &str) -> String {
    // Other quotes would end it as well, so a word that holds them is written with plain ones.
    let plain: String = word.chars().map(|c| if is_quote(c) { '"' } else { c }).collect();
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Free text: the rest of the line. Words that were held together stay so.
pub fn text(words: &[String]) -> String {
    match words {
        [only] => only.trim().to_owned(),
        several => {
            let again = |word: &String| match word.contains(char::is_whitespace) {
                true => format!("\"{word}\""),
                false => word.clone(),
            };
            let spoken = several.iter().filter(|word| !word.is_empty());
            spoken.map(again).collect::<Vec<_>>().join(" ")
        }
    }
}

/// The verb, its options, and then what has a place: in this order clap reads a text that holds
/// dashes, and options may stand behind it. Where the first word is not the release that the verb
/// begins with, an empty word takes its place.
pub(super) fn arrange(
    words: &[String],
    spec: &clap::Command,
    is_release: &dyn Fn(&str) -> bool,
) -> Result<Vec<String>, Wrong> {
    let (spec, verbs) = super::innermost(spec, words);
    let (mut options, mut places) = (Vec::new(), Vec::new());
    let mut rest = words[verbs..].iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            places.extend(rest.by_ref().cloned());
        } else if let Some(arg) = known_option(spec, word)? {
            options.push(word.clone());
            if takes_value(arg) && !word.contains('=') {
                options.extend(rest.next().cloned());
            }
        } else {
            places.push(word.clone());
        }
    }
    put_release(&mut places, spec, is_release);
    let mut arranged: Vec<String> = words[..verbs].iter().map(|word| word.to_lowercase()).collect();
    arranged.extend(options);
    if places.iter().any(|word| word.starts_with('-')) {
        arranged.push("--".into());
    }
    arranged.extend(places);
    Ok(arranged)
}

/// The option that a word names. One that is nearly one of the verb's is a slip; any other is text
/// where the verb takes a text.
fn known_option<'a>(spec: &'a clap::Command, word: &str) -> Result<Option<&'a Arg>, Wrong> {
    let Some(name) = word.strip_prefix("--") else { return Ok(None) };
    let name = name.split('=').next().unwrap_or(name);
    let known = spec.get_arguments().find(|arg| arg.get_long() == Some(name));
    let takes_text = spec.get_positionals().any(is_prose);
    match known {
        Some(arg) => Ok(Some(arg)),
        None => wrong::misspelt_option(spec, name, takes_text).map(|()| None),
    }
}

/// Takes the rest of the line as a text, in which two dashes may stand; a time holds none.
fn is_prose(arg: &Arg) -> bool {
    let name = arg.get_value_names().and_then(|names| names.first());
    super::guide::is_many(arg) && name.is_none_or(|name| name != "WHEN")
}

/// `web-shop v1.2.0` is one release in two words, and its title may have more.
fn joined(places: &mut Vec<String>, is: &dyn Fn(&str) -> bool) {
    let most = places.len().min(MOST_WORDS);
    let whole = (2..=most).rev().find(|count| is(&places[..*count].join(" ")));
    if let Some(count) = whole {
        let name = places[..count].join(" ");
        places.splice(..count, [name]);
    }
}

/// Of a release's name.
const MOST_WORDS: usize = 5;

fn put_release(places: &mut Vec<String>, spec: &clap::Command, is: &dyn Fn(&str) -> bool) {
    let known: Vec<_> = spec.get_positionals().collect();
    if known.first().is_none_or(|first| first.get_id() != "release") {
        return;
    }
    joined(places, is);
    if known.len() < 2 {
        return;
    }
    let choices = known[1].get_possible_values();
    let is_choice = |word: &str| choices.iter().any(|choice| choice.matches(word, true));
    let release = |word: &String| word.is_empty() || (!is_choice(word) && is(word));
    if places.first().is_some_and(|word| !release(word)) {
        places.insert(0, String::new());
    }
}
