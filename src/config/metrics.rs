//! Where measurements come from, and the queries that plans refer to by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::actions::{placeholders, text, texts};
use super::file::{self, File, SecretFrom, SourceKind, ten_seconds};
use super::judge::Judge;
use super::mail::authorities;
use super::problem::{did_you_mean, excerpt};
use super::secret::Secret;
use crate::domain::metric::{CI, Query, QueryKind, baseline_of, titled};
use crate::domain::policy::MetricSource;

/// A source of measurements.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricsTarget {
    Prometheus(MetricsAddress),
    Json {
        address: MetricsAddress,
        /// The way to when the numbers were measured.
        time: Option<String>,
    },
    Program(MetricsProgram),
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetricsAddress {
    pub url: String,
    pub login: MetricsLogin,
    pub headers: BTreeMap<String, String>,
    pub secret_headers: BTreeMap<String, Secret>,
    /// Certificates of authorities that are trusted besides the public ones, as PEM.
    pub ca: Option<Vec<u8>>,
    pub timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsLogin {
    None,
    Token(Secret),
    Password { user: String, password: Secret },
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetricsProgram {
    pub command: Vec<String>,
    pub directory: Option<PathBuf>,
    pub environment: BTreeMap<String, String>,
    pub pass_environment: Vec<String>,
    /// Variables whose values are hidden wherever they would be shown.
    pub secrets: BTreeMap<String, Secret>,
    pub timeout: Duration,
}

/// What a query may leave open.
pub use crate::domain::metric::PLACEHOLDERS as QUERY_PLACEHOLDERS;

/// What the arguments of a program may leave open.
const PROGRAM_PLACEHOLDERS: [&str; 4] = ["query", "from", "to", "step"];

pub(super) fn sources(judge: &mut Judge<'_>, file: &File) -> BTreeMap<String, MetricsTarget> {
    let mut sources = BTreeMap::new();
    for (name, own) in &file.metrics {
        let key = format!("metrics.{name}");
        judge.slug(&key, "source of metrics", name);
        if name == CI {
            let what = "`ci` is where the numbers are that pipelines report";
            judge.wrong(&key, what, "choose another name, or leave the section out");
        }
        strangers(judge, &key, own);
        let target = match own.kind {
            SourceKind::Prometheus => address(judge, &key, own).map(MetricsTarget::Prometheus),
            SourceKind::Json => address(judge, &key, own)
                .map(|address| MetricsTarget::Json { address, time: own.time.clone() }),
            SourceKind::Program => program(judge, &key, own).map(MetricsTarget::Program),
        };
        sources.extend(target.map(|target| (name.clone(), target)));
    }
    sources
}

/// Keys that belong to another kind of source.
fn strangers(judge: &mut Judge<'_>, key: &str, own: &file::Source) {
    let address = [
        ("url", own.url.is_some()),
        ("token", own.token.is_some()),
        ("user", own.user.is_some()),
        ("password", own.password.is_some()),
        ("headers", own.headers.is_some()),
        ("secret_headers", own.secret_headers.is_some()),
        ("ca", own.ca.is_some()),
        ("plain_http", own.plain_http.is_some()),
    ];
    let json = [("time", own.time.is_some())];
    let program = [
        ("command", own.command.is_some()),
        ("directory", own.directory.is_some()),
        ("environment", own.environment.is_some()),
        ("pass_environment", own.pass_environment.is_some()),
        ("secrets", own.secrets.is_some()),
    ];
    let (kind, strange): (_, [(&[_], _); 2]) = match own.kind {
        SourceKind::Prometheus => ("prometheus", [(&json, "json"), (&program, "program")]),
        SourceKind::Json => ("json", [(&program, "program"), (&[], "")]),
        SourceKind::Program => ("program", [(&address, "prometheus"), (&json, "json")]),
    };
    for (keys, other) in strange {
        for (field, _) in keys.iter().filter(|(_, is_there)| *is_there) {
            let what = format!("`{field}` has no meaning for kind = \"{kind}\"");
            let mend = format!("leave it out, or say kind = \"{other}\"");
            judge.wrong(&format!("{key}.{field}"), what, mend);
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Addresses

fn address(judge: &mut Judge<'_>, key: &str, own: &file::Source) -> Option<MetricsAddress> {
    let Some(url) = own.url.as_deref() else {
        if !judge.misread {
            let what = format!("[{key}] has no url, so there is nothing to ask");
            judge.wrong(key, what, "add `url = \"https://prometheus.example\"`");
        }
        return None;
    };
    let url = text(judge, &format!("{key}.url"), url);
    way(judge, key, own, &url);
    let secret_headers = own.secret_headers.iter().flatten();
    let secret_headers = secret_headers.filter_map(|(name, from)| {
        Some((name.clone(), judge.secret(&format!("{key}.secret_headers.{name}"), from)?))
    });
    let secret_headers: BTreeMap<String, Secret> = secret_headers.collect();
    let headers = own.headers.clone().unwrap_or_default();
    for (name, value) in &headers {
        header(judge, &format!("{key}.headers.{name}"), name, value);
    }
    for (name, value) in &secret_headers {
        header(judge, &format!("{key}.secret_headers.{name}"), name, value.expose());
    }
    let ca = own.ca.as_deref().and_then(|ca| authorities(judge, &format!("{key}.ca"), ca));
    let login = login(judge, key, own);
    let timeout = own.timeout.unwrap_or_else(ten_seconds).into();
    Some(MetricsAddress { url, login, headers, secret_headers, ca, timeout })
}

/// What is measured decides whether a release goes on, so nobody on the way may change it, unless
/// the operator trusts everybody there; and no secret goes there in plain text.
fn way(judge: &mut Judge<'_>, key: &str, own: &file::Source, url: &str) {
    let key = format!("{key}.url");
    if Judge::is_safe(url) {
        return;
    }
    if own.plain_http != Some(true) || !url.starts_with("http://") {
        let what = format!("`{}` is not an address that can be called safely", excerpt(url));
        let mend = "write `https://…`, or add `plain_http = true` if you trust the network";
        judge.wrong(&key, what, mend);
    } else if own.token.is_some() || own.password.is_some() || own.secret_headers.is_some() {
        let what = "the secret would cross the network in plain text";
        judge.wrong(&key, what, "write `https://…`, or leave the secret out");
    }
}

fn login(judge: &mut Judge<'_>, key: &str, own: &file::Source) -> MetricsLogin {
    let mut secret = |name: &str, from: &Option<SecretFrom>| {
        from.as_ref().and_then(|from| judge.secret(&format!("{key}.{name}"), from))
    };
    let token = secret("token", &own.token);
    let password = secret("password", &own.password);
    let wrong = match (&own.token, &own.user, &own.password) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            Some(("token", "there are two ways to log in", "leave out `token`, or the others"))
        }
        (None, Some(_), None) => Some((
            "user",
            "there is a user and no password",
            "add `password = { env = \"NAME\" }`, or leave `user` out",
        )),
        (None, None, Some(_)) => Some((
            "password",
            "there is a password and no user",
            "add `user`, or leave `password` out",
        )),
        (Some(_), None, None) | (None, Some(_), Some(_)) | (None, None, None) => None,
    };
    if let Some((name, what, mend)) = wrong.filter(|_| !judge.misread) {
        judge.wrong(&format!("{key}.{name}"), what, mend);
    }
    match (token, own.user.clone(), password) {
        (Some(token), _, _) => MetricsLogin::Token(token),
        (None, Some(user), Some(password)) => MetricsLogin::Password { user, password },
        (None, _, _) => MetricsLogin::None,
    }
}

fn header(judge: &mut Judge<'_>, key: &str, name: &str, value: &str) {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(of_name) {
        let what = format!("`{}` cannot be the name of a header", excerpt(name));
        judge.wrong(key, what, "use letters, digits and dashes");
    }
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let what = "a header holds plain letters, digits and signs, in one line";
        judge.wrong(key, what, "write it without any others");
    }
}

// ---------------------------------------------------------------------------------------------
// Programs

fn program(judge: &mut Judge<'_>, key: &str, own: &file::Source) -> Option<MetricsProgram> {
    let command = own.command.as_deref().unwrap_or_default();
    if command.is_empty() || command[0].is_empty() {
        if !judge.misread {
            let what = format!("[{key}] has no command, so there is nothing to run");
            judge.wrong(key, what, "add `command = [\"/usr/local/bin/measure\", \"{query}\"]`");
        }
        return None;
    }
    let at = format!("{key}.command");
    let command = texts(judge, &at, command);
    if !placeholders(&command[0]).is_empty() {
        let what = "the program itself must not be a placeholder";
        judge.wrong(&at, what, "name the program");
    }
    for (index, argument) in command.iter().enumerate().skip(1) {
        known(judge, &format!("{at}[{index}]"), argument, &PROGRAM_PLACEHOLDERS);
    }
    let secrets = own.secrets.iter().flatten();
    let secrets = secrets.filter_map(|(name, from)| {
        Some((name.clone(), judge.secret(&format!("{key}.secrets.{name}"), from)?))
    });
    Some(MetricsProgram {
        secrets: secrets.collect(),
        command,
        directory: own.directory.as_deref().map(|directory| judge.base.join(directory)),
        environment: own.environment.clone().unwrap_or_default(),
        pass_environment: own.pass_environment.clone().unwrap_or_default(),
        timeout: own.timeout.unwrap_or_else(ten_seconds).into(),
    })
}

fn known(judge: &mut Judge<'_>, key: &str, text: &str, names: &[&str]) {
    let strange: BTreeSet<String> =
        placeholders(text).into_iter().filter(|name| !names.contains(&name.as_str())).collect();
    for name in strange {
        let what = format!("nothing fills the placeholder `{{{}}}`", excerpt(&name));
        judge.wrong(key, what, did_you_mean(&name, names.iter().copied()));
    }
}

/// What the rules know of each source.
pub(super) fn known_sources(file: &File) -> BTreeMap<String, MetricSource> {
    let known = file.metrics.iter().map(|(name, source)| {
        let has_past = has_past(file, name);
        let is_program = source.kind == SourceKind::Program;
        (name.clone(), MetricSource { has_past, is_program })
    });
    known.collect()
}

// ---------------------------------------------------------------------------------------------
// Queries

pub(super) fn queries(judge: &mut Judge<'_>, file: &File) -> BTreeMap<String, Query> {
    let mut queries = BTreeMap::new();
    for (name, own) in &file.queries {
        let key = format!("queries.{name}");
        judge.slug(&key, "query", name);
        if own.source.as_deref() == Some(CI) {
            from_ci(judge, &key, own);
        }
        let texts = [("query", own.query.as_ref()), ("baseline", own.baseline.as_ref())];
        for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text?))) {
            let key = format!("{key}.{field}");
            if text.trim().is_empty() {
                judge.wrong(&key, "there is nothing to ask", "write what the source understands");
            }
            known(judge, &key, text, &QUERY_PLACEHOLDERS);
        }
        let kind = QueryKind::ALL.into_iter().find(|kind| kind.name() == own.kind);
        if kind.is_none() {
            let what = format!("`{}` is not a kind of query", excerpt(&own.kind));
            let kinds = QueryKind::ALL.map(QueryKind::name);
            judge.wrong(&format!("{key}.kind"), what, did_you_mean(&own.kind, kinds));
        }
        let Some(source) = source(judge, &key, file, own) else { continue };
        let (asked, baseline) = match (source.as_str(), &own.query) {
            (CI, _) => (name.clone(), Some(baseline_of(name))),
            (_, Some(asked)) => (asked.clone(), own.baseline.clone()),
            (_, None) => {
                if !judge.misread {
                    let what = format!("[{key}] has no query, so there is nothing to ask");
                    judge.wrong(&key, what, "add `query`, as its source understands it");
                }
                continue;
            }
        };
        let query = Query {
            query: asked,
            baseline,
            unit: own.unit.clone(),
            title: own.title.clone().unwrap_or_else(|| titled(name)),
            kind: kind.unwrap_or_default(),
            has_past: has_past(file, &source),
            source,
        };
        queries.insert(name.clone(), query);
    }
    queries
}

/// Pipelines report numbers: nobody is asked.
fn from_ci(judge: &mut Judge<'_>, key: &str, own: &file::Query) {
    for (field, is_there) in [("query", own.query.is_some()), ("baseline", own.baseline.is_some())]
    {
        if is_there {
            let what = format!("`{field}` has no meaning for source = \"ci\"");
            let mend =
                "leave it out: `tminus metric RELEASE NAME NUMBER --baseline NUMBER` says both";
            judge.wrong(&format!("{key}.{field}"), what, mend);
        }
    }
}

/// The others only know how it is now.
fn has_past(file: &File, source: &str) -> bool {
    source == CI
        || file.metrics.get(source).is_some_and(|source| source.kind == SourceKind::Prometheus)
}

fn source(judge: &mut Judge<'_>, key: &str, file: &File, own: &file::Query) -> Option<String> {
    if let Some(source) = &own.source {
        if source == CI {
            return Some(source.clone());
        }
        judge.name(&format!("{key}.source"), "source of metrics", "metrics", source);
        return Some(source.clone());
    }
    let mut names = file.metrics.keys();
    match (names.next(), names.next()) {
        (Some(only), None) => return Some(only.clone()),
        _ if judge.misread => {}
        (None, _) => {
            let mend = "add [metrics.prometheus] with its `url`";
            judge.wrong(key, "there is no source of metrics to ask", mend);
        }
        (Some(_), Some(_)) => {
            let names: Vec<_> = file.metrics.keys().map(|name| format!("`{name}`")).collect();
            let mend = format!("add `source`, one of {}", names.join(", "));
            judge.wrong(key, "there are several sources of metrics", mend);
        }
    }
    None
}

/// What a query asks about when nobody asks for real: nothing that exists.
pub fn with_samples(query: &str) -> String {
    QUERY_PLACEHOLDERS
        .iter()
        .fold(query.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), "nothing"))
}
