//! Every word that the bot has: its own templates, checked on samples, and the operator's.

use std::path::Path;

use super::messages::{Messages, TemplateProblem};
use super::{conversation, notices};

/// Loads the words. What is wrong with an operator's text is told, and ours speaks instead.
pub fn load(overrides: Option<&Path>) -> (Messages, Vec<TemplateProblem>) {
    let mut samples = notices::samples();
    let answers = conversation::samples();
    samples.extend(answers.into_iter().map(|(name, sample)| (name.to_owned(), sample)));
    let samples: Vec<(&str, serde_json::Value)> =
        samples.iter().map(|(name, sample)| (name.as_str(), sample.clone())).collect();
    let mut built_in = notices::built_in();
    built_in.extend(conversation::TEMPLATES);
    Messages::load(&built_in, overrides, &samples)
}
