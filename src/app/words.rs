//! Every word that the bot has: its own templates, checked on samples, and the operator's.

use std::path::Path;

use super::messages::{Messages, TemplateProblem};
use super::{conversation, notices};

/// Loads the words. What is wrong with an operator's text is told, and ours speaks instead. Our own
/// are tried by the tests, and not at each start.
pub fn load(overrides: Option<&Path>) -> (Messages, Vec<TemplateProblem>) {
    let mut built_in = notices::built_in();
    built_in.extend(conversation::TEMPLATES);
    let Some(folder) = overrides else { return (Messages::built_in(&built_in), Vec::new()) };
    let mut samples = notices::samples();
    let answers = conversation::samples();
    samples.extend(answers.into_iter().map(|(name, sample)| (name.to_owned(), sample)));
    let (names, samples): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
    let samples: Vec<_> = names.iter().map(String::as_str).zip(samples).collect();
    Messages::load(&built_in, Some(folder), &samples)
}
