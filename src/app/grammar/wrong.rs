//! What was wrong with a line, and what would be right.

use std::fmt;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{command, guide};
use crate::domain::words::excerpt;

/// Nearer than this, a misspelling is recognised.
const NEAR: f64 = 0.72;

/// Why a line was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    Nothing,
    UnknownVerb { said: String, nearest: Option<String> },
    UnknownOption { verb: String, said: String, nearest: Option<String>, known: Vec<String> },
    NotOneOf { verb: String, said: String, choices: Vec<String>, nearest: Option<String> },
    NotANumber { verb: String, option: String, said: String },
    NoValue { verb: String, option: String },
    TooMuch { verb: String, said: String },
    Missing { verb: String, what: String },
}

impl Wrong {
    /// The verb that was meant, as far as one can tell.
    pub fn verb(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::UnknownVerb { nearest, .. } => nearest.as_deref(),
            Self::UnknownOption { verb, .. }
            | Self::NotOneOf { verb, .. }
            | Self::NotANumber { verb, .. }
            | Self::NoValue { verb, .. }
            | Self::TooMuch { verb, .. }
            | Self::Missing { verb, .. } => Some(verb),
        }
    }

    /// A whole line that would be right.
    pub fn example(&self) -> Option<String> {
        self.verb().and_then(guide::example_of).map(|example| format!("/release {example}"))
    }

    pub(super) fn unknown_verb(said: &str) -> Self {
        let verbs =
            command().get_subcommands().flat_map(clap::Command::get_name_and_visible_aliases);
        let said_low = said.to_lowercase();
        let also = ["cancel", "nogo"].into_iter();
        let nearest = nearest(&said_low, verbs.chain(also)).map(|near| match near.as_str() {
            "cancel" => "scrub".to_owned(),
            "nogo" => "no-go".to_owned(),
            _ => near,
        });
        Self::UnknownVerb { said: excerpt(said), nearest }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "clap may find more that is wrong")]
    pub(super) fn of_clap(words: &[String], why: &clap::Error) -> Self {
        let (verb, spec) = verb_of(words);
        let context = |kind| match why.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
            _ => String::new(),
        };
        let argument = context(ContextKind::InvalidArg);
        let argument = argument.split([' ', '=', '[']).next().unwrap_or_default().to_owned();
        match why.kind() {
            ErrorKind::InvalidSubcommand => {
                let said = excerpt(context(ContextKind::InvalidSubcommand));
                let choices = spec.into_iter().flat_map(clap::Command::get_subcommands);
                let choices: Vec<_> = choices.map(|sub| sub.get_name().to_owned()).collect();
                let nearest = nearest(&said, choices.iter().map(String::as_str));
                let verb = nearest.as_ref().map_or(verb.clone(), |near| format!("{verb} {near}"));
                Self::NotOneOf { verb, said, choices, nearest }
            }
            ErrorKind::InvalidValue => {
                let said = excerpt(context(ContextKind::InvalidValue));
                let choices = match why.get(ContextKind::ValidValue) {
                    Some(ContextValue::Strings(texts)) => texts.clone(),
                    _ => Vec::new(),
                };
                if said.is_empty() || choices.is_empty() {
                    return Self::NoValue { verb, option: argument };
                }
                let nearest = nearest(&said, choices.iter().map(String::as_str));
                Self::NotOneOf { verb, said, choices, nearest }
            }
            ErrorKind::ValueValidation => {
                let said = excerpt(context(ContextKind::InvalidValue));
                Self::NotANumber { verb, option: argument, said }
            }
            ErrorKind::MissingRequiredArgument => Self::Missing { verb, what: argument },
            _ => Self::TooMuch { verb, said: excerpt(&argument) },
        }
    }
}

fn verb_of(words: &[String]) -> (String, Option<&'static clap::Command>) {
    let spec = words.first().and_then(|word| command().find_subcommand(word));
    let name = spec.map_or(String::new(), |spec| spec.get_name().to_owned());
    let inner = words.get(1).zip(spec).and_then(|(word, spec)| spec.find_subcommand(word));
    match inner {
        Some(inner) => (format!("{name} {}", inner.get_name()), Some(inner)),
        None => (name, spec),
    }
}

/// An option that is nearly one of the verb's would otherwise become part of its text.
pub(super) fn misspelt_option(
    spec: &clap::Command,
    name: &str,
    takes_text: bool,
) -> Result<(), Wrong> {
    let nearest = nearest(name, spec.get_arguments().filter_map(clap::Arg::get_long));
    if nearest.is_none() && takes_text {
        return Ok(());
    }
    let nearest = nearest.map(|near| format!("--{near}"));
    let shown = spec.get_arguments().filter(|arg| !arg.is_hide_set());
    let known = shown.filter_map(clap::Arg::get_long).map(|long| format!("--{long}"));
    Err(Wrong::UnknownOption {
        verb: spec.get_name().to_owned(),
        said: format!("--{}", excerpt(name)),
        nearest,
        known: known.collect(),
    })
}

/// The name that was meant, if one is near.
pub fn nearest<'a>(said: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|name| (strsim::normalized_damerau_levenshtein(said, name), name))
        .filter(|(likeness, name)| {
            // One slip in a short word is most of it.
            *likeness >= NEAR || (name.len() <= 5 && *likeness >= 0.6)
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name.to_owned())
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meant = |nearest: &Option<String>| match nearest {
            Some(near) => format!(" Did you mean `{near}`?"),
            None => String::new(),
        };
        match self {
            Self::Nothing => write!(f, "Say what you want: `/release help` lists the verbs."),
            Self::UnknownVerb { said, nearest: None } => {
                write!(f, "I don't know `/release {said}`. `/release help` lists the verbs.")
            }
            Self::UnknownVerb { said, nearest } => {
                write!(f, "I don't know `/release {said}`.{}", meant(nearest))
            }
            Self::UnknownOption { verb, said, nearest, known } => {
                write!(f, "`{verb}` has no option `{said}`.{} {}", meant(nearest), options(known))
            }
            Self::NotOneOf { said, choices, nearest, .. } => {
                let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
                let choices = crate::domain::words::or(&choices);
                write!(f, "`{said}` is none of {choices}.{}", meant(nearest))
            }
            Self::NotANumber { option, said, .. } => {
                write!(f, "`{said}` is not a number, and `{option}` needs one.")
            }
            Self::NoValue { option, .. } => write!(f, "`{option}` needs a value."),
            Self::TooMuch { verb, said } if said.is_empty() => {
                write!(f, "I don't understand what follows `{verb}`.")
            }
            Self::TooMuch { verb, said } => {
                write!(f, "I don't know what to do with `{said}` after `{verb}`.")
            }
            Self::Missing { verb, what } => write!(f, "`{verb}` needs {what}."),
        }
    }
}

fn options(known: &[String]) -> String {
    let known: Vec<_> = known.iter().map(|option| format!("`{option}`")).collect();
    match known.as_slice() {
        [] => "It has none.".into(),
        [only] => format!("Its only option is {only}."),
        several => format!("Its options are {}.", crate::domain::words::and(several)),
    }
}

impl std::error::Error for Wrong {}
