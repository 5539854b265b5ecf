//! Words in sentences: lists, and what is quoted.

/// `a`, `a and b`, `a, b and c`.
pub fn and<S: AsRef<str>>(items: &[S]) -> String {
    join(items, "and")
}

/// `a`, `a or b`, `a, b or c`.
pub fn or<S: AsRef<str>>(items: &[S]) -> String {
    join(items, "or")
}

/// A title in the middle of a sentence: `error rate`, and still `CPU`.
pub fn inside(title: &str) -> String {
    let mut letters = title.chars();
    let Some(first) = letters.next() else { return String::new() };
    let rest = letters.as_str();
    match rest.chars().next().is_some_and(char::is_uppercase) {
        true => title.to_owned(),
        false => first.to_lowercase().chain(rest.chars()).collect(),
    }
}

fn join<S: AsRef<str>>(items: &[S], last: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [first @ .., end] => {
            let first: Vec<_> = first.iter().map(AsRef::as_ref).collect();
            format!("{} {last} {}", first.join(", "), end.as_ref())
        }
    }
}

/// How many letters of a word a name does not have: of two names that are equally near, the one
/// whose letters were only mixed up is meant (`t-84h`: `t-48h` rather than `t-24h`).
pub fn strangers(word: &str, name: &str) -> usize {
    word.chars().filter(|letter| !name.contains(*letter)).count()
}

/// Enough of what somebody said to recognise it. An answer never repeats a whole page.
pub fn excerpt(text: impl std::fmt::Display) -> String {
    const LONGEST: usize = 60;
    let text = text.to_string();
    let cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}
