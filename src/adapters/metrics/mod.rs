//! Where measurements come from: each source by its name, and what all of them have in common.
//!
//! A source has no opinion. It tells what it has, with the times at which that was so: whether it
//! is fresh, enough or good is for the rules to say.

mod http;
pub mod json;
pub mod program;
pub mod prometheus;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::ports::{Failure, Metrics, Question, Series};

pub use http::{Address, Login};
pub use json::Json;
pub use program::Program;
pub use prometheus::Prometheus;

/// A source as it is configured.
#[derive(Debug, Clone)]
pub enum Target {
    Prometheus(Address),
    Json(json::Target),
    Program(program::Target),
}

/// Every configured source, by name.
pub struct Sources {
    sources: BTreeMap<String, Arc<Source>>,
}

enum Source {
    Prometheus(Prometheus),
    Json(Json),
    Program(Program),
}

impl Sources {
    pub fn new(targets: BTreeMap<String, Target>) -> Result<Self, Failure> {
        let source = |(name, target): (String, Target)| {
            let source = match target {
                Target::Prometheus(address) => {
                    Source::Prometheus(Prometheus::new(&name, &address)?)
                }
                Target::Json(target) => Source::Json(Json::new(&name, &target)?),
                Target::Program(target) => Source::Program(Program::new(&name, target)?),
            };
            Ok((name, Arc::new(source)))
        };
        Ok(Self { sources: targets.into_iter().map(source).collect::<Result<_, _>>()? })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    pub async fn read(&self, name: &str, question: &Question) -> Result<Vec<Series>, Failure> {
        self.source(name)?.read(question).await
    }

    /// Each by its name.
    pub fn each(&self) -> BTreeMap<String, Arc<dyn Metrics>> {
        let each = self.sources.iter();
        each.map(|(name, source)| (name.clone(), source.clone() as Arc<dyn Metrics>)).collect()
    }

    /// Whether it would answer, without asking for anything in particular.
    pub async fn greet(&self, name: &str) -> Result<(), Failure> {
        match self.source(name)?.as_ref() {
            Source::Prometheus(source) => source.greet().await,
            Source::Json(source) => source.greet().await,
            Source::Program(source) => source.greet(),
        }
    }

    fn source(&self, name: &str) -> Result<&Arc<Source>, Failure> {
        self.sources.get(name).ok_or_else(|| {
            let names: Vec<_> = self.names().collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Failure::permanent(format!(
                "there is no source of metrics `{name}` (configured: {names}): \
                 add [metrics.{name}]"
            ))
        })
    }
}

#[async_trait]
impl Metrics for Source {
    async fn read(&self, question: &Question) -> Result<Vec<Series>, Failure> {
        match self {
            Source::Prometheus(source) => source.read(question).await,
            Source::Json(source) => source.read(question).await,
            Source::Program(source) => source.read(question).await,
        }
    }
}

/// Seconds since 1970, with a fraction.
fn instant(seconds: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    UNIX_EPOCH.checked_add(since)
}

/// The same from a source of the operator's own making, where milliseconds are a likely mistake.
fn told_instant(seconds: f64) -> Result<SystemTime, String> {
    // In the year 5138.
    const FAR: f64 = 1e11;
    let why = || format!("the time {seconds} is not in seconds since 1970");
    if seconds > FAR {
        return Err(format!("{}: are these milliseconds?", why()));
    }
    instant(seconds).ok_or_else(why)
}

fn unix(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// One line of what others said, short enough for a sentence.
fn quoted(text: &str) -> String {
    const MOST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
