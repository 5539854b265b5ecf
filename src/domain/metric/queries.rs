//! The questions that a release can be judged by: those of the configuration, and what its plan adds
//! to them.

use std::borrow::Cow;

use super::{CI, Query, Said, baseline_of};
use crate::domain::plan::{Plan, PlannedQuery};
use crate::domain::policy::Policy;

/// What a query may leave open.
pub const PLACEHOLDERS: [&str; 5] = ["service", "environment", "version", "known_good", "from"];

/// **Invariant:** a plan never changes what the configuration's names mean, and asks only whom the
/// configuration knows.
#[derive(Clone, Copy)]
pub struct Queries<'a> {
    plan: &'a Plan,
    policy: &'a Policy,
}

impl<'a> Queries<'a> {
    pub fn of(plan: &'a Plan, policy: &'a Policy) -> Self {
        Self { plan, policy }
    }

    pub fn get(self, name: &str) -> Option<Cow<'a, Query>> {
        let own = || self.plan.queries.get(name).and_then(|own| self.resolved(name, own));
        match self.policy.queries.get(name) {
            Some(query) => Some(Cow::Borrowed(query)),
            None => own().map(Cow::Owned),
        }
    }

    pub fn has(self, name: &str) -> bool {
        self.policy.queries.contains_key(name) || self.plan.queries.contains_key(name)
    }

    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.policy.queries.keys().chain(self.plan.queries.keys()).map(String::as_str)
    }

    /// Those that CI hands in, with how people say them.
    pub fn from_ci(self) -> impl Iterator<Item = (&'a str, String)> {
        let all = self.names().filter_map(move |name| Some((name, self.get(name)?)));
        all.filter(|(_, query)| query.source == CI).map(|(name, query)| (name, query.title.clone()))
    }

    /// How people say what only the plan knows.
    pub fn said(self, name: &str) -> Option<Said> {
        let is_own = !self.policy.queries.contains_key(name);
        let query = is_own.then(|| self.get(name)).flatten()?;
        Some(Said { title: query.title.clone(), unit: query.unit.clone() })
    }

    /// Whom the plan names, or the only one that there is.
    pub fn source(self, own: &'a PlannedQuery) -> Option<&'a str> {
        match own.source.as_deref() {
            Some(CI) => Some(CI),
            Some(named) => self.policy.metrics.contains_key(named).then_some(named),
            None => {
                let mut all = self.policy.metrics.keys();
                all.next().filter(|_| all.next().is_none()).map(String::as_str)
            }
        }
    }

    /// Nothing where nobody could be asked.
    fn resolved(self, name: &str, own: &PlannedQuery) -> Option<Query> {
        let source = self.source(own)?.to_owned();
        let (query, baseline) = match source.as_str() {
            CI => (name.to_owned(), Some(baseline_of(name))),
            _ => (own.query.clone()?, own.baseline.clone()),
        };
        let known = self.policy.metrics.get(&source).copied().unwrap_or_default();
        Some(Query {
            query,
            baseline,
            title: own.title.clone().unwrap_or_else(|| titled(name)),
            unit: own.unit.clone(),
            kind: own.kind,
            has_past: source == CI || known.has_past,
            source,
        })
    }
}

/// `error-rate` is "Error rate".
pub fn titled(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
