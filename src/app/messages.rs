//! The bot's words: templates that write Markdown, checked at start-up, overridable by an operator.
//!
//! A template is a file `messages/<name>.md`; one whose name begins with `_` is only included by
//! others. Every `{{ value }}` is escaped, so what people wrote stays text; only our own filters
//! make marks: `time` `clock` `stamp` `span` `person` `name` `channel` `code` `output` `link`
//! `sentence` `list` `plural` `percent`. Times are shown in the context's `zone`, and without
//! their year if it is that of the context's `now`.
//!
//! **Invariant:** a template sees its context and the other templates, never a file; it ends, and
//! what it writes is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use super::markup;

/// No message is longer; the adapters split at their platform's own limits.
const LONGEST: usize = 40_000;

/// Steps of the template engine: thousands of times what a message needs, a blink of time.
const FUEL: u64 = 500_000;

/// How deep templates stand in each other: an include counts ten, a macro four.
const DEEPEST: usize = 60;

/// No template is larger than this, in bytes.
const LARGEST_FILE: u64 = 256 * 1024;

/// An operator's own announcements are called like this, for a plan to name.
const OWN: &str = "announce-";

/// They see what this one sees, and are tried on its samples.
const LIKE: &str = "t-48h.md";

/// What is wrong with a template, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateProblem {
    pub file: String,
    pub line: Option<usize>,
    pub what: String,
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// All messages, ready to be filled in.
pub struct Messages {
    chosen: Environment<'static>,
    /// What is said when an override fails on facts that its sample did not have.
    built_in: Option<Environment<'static>>,
}

impl Messages {
    /// The built-in templates alone, each read when it is first needed.
    pub fn built_in(templates: &[(&'static str, &'static str)]) -> Self {
        let mut chosen = environment([]);
        let templates: BTreeMap<_, _> = templates.iter().copied().collect();
        chosen.set_loader(move |name| Ok(templates.get(name).map(|text| (*text).to_owned())));
        Self { chosen, built_in: None }
    }

    /// Takes the built-in templates and those of an operator's folder, which win where they work.
    ///
    /// Each is tried on the samples of its name. A template that fails is reported, and the
    /// built-in one is used instead.
    pub fn load(
        built_in: &[(&str, &str)],
        overrides: Option<&Path>,
        samples: &[(&str, serde_json::Value)],
    ) -> (Self, Vec<TemplateProblem>) {
        let mut check = Check::new(built_in, samples);
        if let Some(folder) = overrides {
            check.read_folder(folder);
        }
        let mut chosen = check.settle();
        chosen.set_debug(false);
        let built_in = Some(environment(built_in.iter().copied()));
        (Self { chosen, built_in }, check.problems)
    }

    /// Whether there is a message of this name: a plan may name one that the operator never wrote.
    pub fn has(&self, name: &str) -> bool {
        self.chosen.get_template(name).is_ok()
    }

    /// Writes a message as Markdown. It always says something: where a template fails, the
    /// built-in one speaks, and the log says why.
    pub fn render(&self, name: &str, context: &impl Serialize) -> String {
        let context = Value::from(Serde(context));
        write(&self.chosen, name, &context)
            .or_else(|why| {
                tracing::error!(message.name = name, why = %innermost(&why), "a message failed");
                write(self.built_in.as_ref().ok_or(why)?, name, &context)
            })
            .unwrap_or_else(|why| {
                let why = innermost(&why).to_string();
                markup::escape(&format!("The message {name} could not be written: {why}."))
            })
    }
}

/// The engine with our rules; templates that do not parse are left out.
fn environment<'a>(
    templates: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Environment<'static> {
    let mut env = Environment::new();
    // What these return counts as safe, and is not Markdown.
    for filter in ["safe", "escape", "e", "tojson"] {
        env.remove_filter(filter);
    }
    // As much memory as a number says, or twice as much at each turn: no fuel counts that.
    for filter in ["batch", "format", "indent", "slice"] {
        env.remove_filter(filter);
    }
    env.remove_global("namespace");
    env.set_recursion_limit(DEEPEST);
    env.remove_global("debug");
    env.set_auto_escape_callback(|_| AutoEscape::Custom("markdown".into()));
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_syntax(syntax());
    env.set_formatter(|out, _, value| out.write_str(&written(value)).map_err(Error::from));
    filters::add(&mut env);
    for (name, text) in templates {
        // Those that do not parse were reported by the check.
        let _ = env.add_template_owned(name.to_owned(), text.to_owned());
    }
    env
}

fn syntax() -> SyntaxConfig {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    syntax.expect("the delimiters are the default ones")
}

/// A value as it stands in a message. Nothing stands for what there is not.
fn written(value: &Value) -> String {
    match value {
        value if value.is_safe() => value.to_string(),
        value if value.is_none() => String::new(),
        value => markup::escape(&bounded(value)),
    }
}

/// A list of millions is not written out only to be cut: no fuel counts that either.
fn bounded(value: &Value) -> String {
    struct Bounded(String);
    impl fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(text);
            if self.0.len() > 4 * LONGEST { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut text = Bounded(String::new());
    // What is beyond the bound is cut with the message.
    let _ = fmt::write(&mut text, format_args!("{value}"));
    text.0
}

fn write(env: &Environment<'_>, name: &str, context: &Value) -> Result<String, Error> {
    let mut page = Page::default();
    let done = env.get_template(name)?.render_captured_to(context.clone(), &mut page).map(|_| ());
    match done {
        Err(why) if !page.full => Err(why),
        Ok(()) | Err(_) => Ok(page.into_text()),
    }
}

/// Takes what is written until it is full.
#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        self.full = self.bytes.len() > 4 * LONGEST;
        if self.full { Err(io::Error::other("the message is too long")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn into_text(self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        if text.chars().count() <= LONGEST {
            return text.into_owned();
        }
        // Cut between lines only: half a piece of inline code would set free what it holds. A
        // single line is said without any marks; an escaped character takes up to six.
        let cut: String = text.chars().take(LONGEST - 2).collect();
        match cut.rsplit_once('\n') {
            Some((lines, _)) => format!("{lines}\n…"),
            None => {
                let plain = markup::plain(&markup::parse(&text));
                let start: String = plain.chars().take(LONGEST / 6 - 1).chain(['…']).collect();
                markup::escape(&start)
            }
        }
    }
}

/// An include wraps the error of what it included: that one has the file and the line.
fn innermost(error: &Error) -> &Error {
    let mut inner = error;
    while let Some(source) = inner.source().and_then(|source| source.downcast_ref()) {
        inner = source;
    }
    inner
}

// ---------------------------------------------------------------------------------------------
// Checking

struct Check<'a> {
    built_in: BTreeMap<&'a str, &'a str>,
    samples: &'a [(&'a str, serde_json::Value)],
    /// The operator's templates that have not failed.
    overrides: BTreeMap<String, String>,
    /// Where they are.
    folder: Option<&'a Path>,
    /// Built-in templates that have failed: reported once.
    failed: BTreeSet<String>,
    problems: Vec<TemplateProblem>,
}

impl<'a> Check<'a> {
    fn new(built_in: &[(&'a str, &'a str)], samples: &'a [(&'a str, serde_json::Value)]) -> Self {
        let built_in = built_in.iter().copied().collect();
        let (overrides, failed) = (BTreeMap::new(), BTreeSet::new());
        Self { built_in, samples, overrides, folder: None, failed, problems: Vec::new() }
    }

    fn report(&mut self, file: &str, line: Option<usize>, what: String) {
        self.problems.push(TemplateProblem { file: file.into(), line, what });
    }

    fn read_folder(&mut self, folder: &'a Path) {
        self.folder = Some(folder);
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(why) => {
                return self.report(
                    &folder.display().to_string(),
                    None,
                    format!("Cannot be read: {why}."),
                );
            }
        };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match self.read_file(path, &name) {
                Ok(text) => {
                    self.overrides.insert(name, text);
                }
                Err((line, what)) => self.report(&path.display().to_string(), line, what),
            }
        }
    }

    /// Or the line at which something is wrong, if it is one, and what.
    fn read_file(&self, path: &Path, name: &str) -> Result<String, (Option<usize>, String)> {
        let own = name.starts_with('_') || name.starts_with(OWN);
        if !own && !self.built_in.contains_key(name) {
            let meant = did_you_mean(name, self.built_in.keys().copied());
            return Err((None, format!("No message has this name.{meant}")));
        }
        let unread = |why: io::Error| (None, format!("Cannot be read: {why}."));
        let size = path.metadata().map_err(unread)?;
        if !size.is_file() || size.len() > LARGEST_FILE {
            return Err((None, format!("Is not a file of at most {} KiB.", LARGEST_FILE / 1024)));
        }
        let text = std::fs::read_to_string(path).map_err(unread)?;
        match multiplies(&text) {
            Some(line) => Err((Some(line), MULTIPLIES.into())),
            None => Ok(text),
        }
    }

    fn templates(&self) -> BTreeMap<&str, &str> {
        let mut templates = self.built_in.clone();
        templates.extend(self.overrides.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        templates
    }

    /// Takes out what fails until nothing fails. It ends: each round takes one template out of
    /// the overrides, or out of the built-in ones that are still looked at.
    fn settle(&mut self) -> Environment<'static> {
        loop {
            let mut env = environment(self.templates());
            env.set_debug(true);
            let Some((culprit, mut problem)) = self.first_problem(&env) else { return env };
            if let Some(folder) = self.folder.filter(|_| self.overrides.contains_key(&problem.file))
            {
                problem.file = folder.join(&problem.file).display().to_string();
            }
            self.problems.push(problem);
            if self.overrides.remove(&culprit).is_none() {
                self.failed.insert(culprit);
            }
        }
    }

    fn first_problem(&self, env: &Environment<'_>) -> Option<(String, TemplateProblem)> {
        let templates = self.templates();
        let looked_at = || templates.iter().filter(|(name, _)| !self.failed.contains(**name));
        let of_text = |(name, text): (&&str, &&str)| {
            let problem = self.syntax(name, text).or_else(|| unprotected(name, text));
            Some(((*name).to_owned(), problem?))
        };
        let of_names = |(name, text): (&&str, &&str)| {
            Some(((*name).to_owned(), self.unknown_name(env, name, text)?))
        };
        let tried = self.samples.iter().filter(|(name, _)| !self.failed.contains(*name));
        looked_at()
            .find_map(of_text)
            .or_else(|| looked_at().find_map(of_names))
            .or_else(|| {
                tried.into_iter().find_map(|(name, sample)| self.failure(env, name, sample))
            })
            .or_else(|| self.own_failure(env))
    }

    /// An operator's own announcement, tried on what every announcement sees.
    fn own_failure(&self, env: &Environment<'_>) -> Option<(String, TemplateProblem)> {
        let own = self.overrides.keys().filter(|name| name.starts_with(OWN));
        let like = || self.samples.iter().filter(|(of, _)| *of == LIKE);
        own.flat_map(|name| like().map(move |(_, sample)| (name, sample)))
            .find_map(|(name, sample)| self.failure(env, name, sample))
    }

    fn syntax(&self, name: &str, text: &str) -> Option<TemplateProblem> {
        let mut env = environment([]);
        let why = env.add_template_owned(name.to_owned(), text.to_owned()).err()?;
        Some(self.problem(name, &why))
    }

    /// Names that no sample has, also in branches that no sample takes.
    fn unknown_name(
        &self,
        env: &Environment<'_>,
        name: &str,
        text: &str,
    ) -> Option<TemplateProblem> {
        let known = self.known_names(name);
        let globals: BTreeSet<&str> = env.globals().map(|(name, _)| name).collect();
        let is_known = |used: &String| known.contains(used) || globals.contains(used.as_str());
        let used: BTreeSet<String> =
            env.get_template(name).ok()?.undeclared_variables(false).into_iter().collect();
        let unknown =
            used.into_iter().find(|used| !is_known(used)).filter(|_| !known.is_empty())?;
        let line = text.lines().position(|line| has_word(line, &unknown)).map(|line| line + 1);
        let meant = did_you_mean(&unknown, known.iter().map(String::as_str));
        let what = format!("`{unknown}` is not known here.{meant}");
        Some(TemplateProblem { file: name.into(), line, what })
    }

    fn known_names(&self, name: &str) -> BTreeSet<String> {
        let like = if name.starts_with(OWN) { LIKE } else { name };
        let samples = self.samples.iter().filter(|(of, _)| *of == like);
        let mut known = BTreeSet::new();
        samples.for_each(|(_, sample)| add_keys(sample, &mut known));
        known
    }

    /// Fills in one sample; blames the operator's file in which it fails, else the message itself.
    fn failure(
        &self,
        env: &Environment<'_>,
        name: &str,
        sample: &serde_json::Value,
    ) -> Option<(String, TemplateProblem)> {
        let why = write(env, name, &Value::from(Serde(sample))).err()?;
        let inner = innermost(&why);
        let place = inner.name().unwrap_or(name);
        let culprit = if self.overrides.contains_key(place) { place } else { name };
        Some((culprit.to_owned(), self.problem(name, inner)))
    }

    fn problem(&self, message: &str, why: &Error) -> TemplateProblem {
        let file = why.name().unwrap_or(message).to_owned();
        TemplateProblem { what: self.explain(message, why), line: why.line(), file }
    }

    fn explain(&self, message: &str, why: &Error) -> String {
        let source = why.range().zip(why.template_source());
        let said = source.as_ref().and_then(|(range, text)| text.get(range.clone()));
        let said = said.unwrap_or_default().trim();
        if why.kind() == ErrorKind::UndefinedError {
            let said = source.map_or(said, |(range, text)| filtered(text, range.start, said));
            let missing = said.rsplit(['.', ' ']).next().unwrap_or(said);
            let known = self.known_names(message);
            let meant = did_you_mean(missing, known.iter().map(String::as_str));
            return format!("`{said}` is not known here.{meant}");
        }
        if why.kind() == ErrorKind::TemplateNotFound {
            let missing = said.split(['"', '\'']).nth(1).unwrap_or(said);
            let meant = did_you_mean(missing, self.templates().keys().copied());
            return format!("There is no template `{missing}`.{meant}");
        }
        if why.kind() == ErrorKind::OutOfFuel {
            return "It does not come to an end.".to_owned();
        }
        let detail = why.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        format!("{}{detail}.", why.kind())
    }
}

/// Where a filter met the missing value, the engine points at the filter: what stands before it
/// is meant.
fn filtered<'a>(text: &'a str, at: usize, said: &'a str) -> &'a str {
    let before = text.get(..at).unwrap_or_default().trim_end().strip_suffix('|');
    let value =
        before.and_then(|before| before.trim_end().rsplit([' ', '(', '{', ',', '|']).next());
    value.unwrap_or_else(|| said.split('|').next().unwrap_or_default().trim())
}

const MULTIPLIES: &str =
    "A template does not multiply: a list or a text could have no end. Write what is meant.";

/// The line where. Looked for before anything is compiled, since that multiplies already: what a
/// text or a list is multiplied by is how much memory it takes, and no fuel counts that.
fn multiplies(text: &str) -> Option<usize> {
    let mut tokens = tokenize(text, false, syntax()).map_while(Result::ok);
    let (_, at) = tokens.find(|(token, _)| matches!(token, Token::Mul))?;
    Some(at.start_line.into())
}

/// Between backticks Markdown knows no escapes, so that a value there could end the code.
fn unprotected(name: &str, text: &str) -> Option<TemplateProblem> {
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let what = match () {
            () if fenced && line.contains("{{") => "`{{ value|output }}` instead of the fence",
            () if line.contains("`{{") => "`{{ value|code }}` without the backticks",
            () => continue,
        };
        let what = format!("Between backticks a value is not protected. Write {what}.");
        return Some(TemplateProblem { file: name.into(), line: Some(at + 1), what });
    }
    None
}

fn add_keys(value: &serde_json::Value, known: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            known.insert(name.clone());
            add_keys(value, known);
        }),
        serde_json::Value::Array(items) => items.iter().for_each(|item| add_keys(item, known)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

/// With a space before it, or nothing.
fn did_you_mean<'a>(said: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|name| (strsim::jaro_winkler(said, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| format!(" Did you mean `{name}`?"))
        .unwrap_or_default()
}

// ---------------------------------------------------------------------------------------------
// Filters

mod filters {
    //! What makes marks. Each escapes what it was given.

    use chrono::{DateTime, Datelike, Duration, Utc};
    use minijinja::{Environment, Error, ErrorKind, State, Value};

    use super::{markup, written};
    use crate::domain::time::{self, Span};
    use crate::domain::zone::Zone;

    pub(super) fn add(env: &mut Environment<'static>) {
        env.add_filter("time", time);
        env.add_filter("clock", clock);
        env.add_filter("stamp", stamp);
        env.add_filter("span", span);
        env.add_filter("person", person);
        env.add_filter("name", name);
        env.add_filter("channel", channel);
        env.add_filter("code", code);
        env.add_filter("output", output);
        env.add_filter("link", link);
        env.add_filter("sentence", sentence);
        env.add_filter("list", list);
        env.add_filter("plural", plural);
        env.add_filter("percent", percent);
    }

    fn wrong(what: String) -> Error {
        Error::new(ErrorKind::InvalidOperation, what)
    }

    fn mark(markdown: String) -> Value {
        Value::from_safe_string(markdown)
    }

    fn defined(value: Value) -> Result<Value, Error> {
        if value.is_undefined() { Err(ErrorKind::UndefinedError.into()) } else { Ok(value) }
    }

    /// Seconds since 1970, or RFC 3339, as chrono writes it.
    fn instant(value: Value) -> Result<DateTime<Utc>, Error> {
        let value = defined(value)?;
        let seconds = value.as_i64().and_then(|at| DateTime::from_timestamp(at, 0));
        let text = value.as_str().and_then(|text| text.parse().ok());
        seconds.or(text).ok_or_else(|| wrong(format!("`{value}` is not an instant")))
    }

    fn zone(state: &State<'_, '_>, named: Option<String>) -> Result<Zone, Error> {
        let context = || state.lookup("zone").and_then(|zone| zone.as_str().map(str::to_owned));
        let name = named.or_else(context);
        let name = name.ok_or_else(|| wrong("a time needs `zone` in its context".into()))?;
        name.parse().map_err(|_| wrong(format!("`{name}` is not a time zone")))
    }

    /// `[Tue 15 Dec, 10:00 PST](time:…)`.
    fn time(state: &State<'_, '_>, value: Value, named: Option<String>) -> Result<Value, Error> {
        let (at, zone) = (instant(value)?, zone(state, named)?);
        let now = state.lookup("now").and_then(|now| instant(now).ok());
        // Without a `now`, no year goes without saying.
        let this_year = now.map_or(i32::MIN, |now| now.with_timezone(&zone).year());
        let shown = markup::escape(&time::show(at, zone, this_year));
        Ok(mark(format!("[{shown}](time:{})", at.timestamp())))
    }

    /// `10:05`.
    fn clock(state: &State<'_, '_>, value: Value, named: Option<String>) -> Result<String, Error> {
        Ok(time::clock(instant(value)?, zone(state, named)?))
    }

    /// `[10:05]`, before a stage update.
    fn stamp(state: &State<'_, '_>, value: Value, named: Option<String>) -> Result<String, Error> {
        Ok(format!("[{}]", clock(state, value, named)?))
    }

    /// From seconds, or from a length as plans write it.
    fn span(value: Value) -> Result<String, Error> {
        let value = defined(value)?;
        let written = value.as_str().and_then(|text| text.parse::<Span>().ok());
        let seconds = value.as_i64().or(written.map(Span::as_seconds));
        let length = seconds.and_then(Duration::try_seconds);
        length.map(time::span).ok_or_else(|| wrong(format!("`{value}` is not a length of time")))
    }

    /// A text field of an object, if it has it.
    fn field(value: &Value, name: &str) -> Option<String> {
        let field =
            value.get_attr(name).ok().filter(|field| !field.is_undefined() && !field.is_none());
        field.map(|field| field.to_string()).filter(|text| !text.is_empty())
    }

    /// Its name, whether it is an object or just a name.
    fn called(value: Value) -> Result<String, Error> {
        let value = defined(value)?;
        let name = value.as_str().map(str::to_owned).or_else(|| field(&value, "name"));
        name.or_else(|| field(&value, "id")).ok_or_else(|| wrong(format!("`{value}` has no name")))
    }

    /// Mentions who has an id; for those who must act.
    fn person(value: Value) -> Result<Value, Error> {
        let id = field(&value, "id");
        let name = called(value)?;
        let name = markup::escape(name.strip_prefix('@').unwrap_or(&name));
        Ok(mark(match id {
            Some(id) => format!("[@{name}](person:{})", markup::address(&id)),
            None => format!("@{name}"),
        }))
    }

    /// Names without a mention.
    fn name(value: Value) -> Result<String, Error> {
        called(value).map(|name| name.strip_prefix('@').map(str::to_owned).unwrap_or(name))
    }

    /// From an object with id and name, or from a name that is the id.
    fn channel(value: Value) -> Result<Value, Error> {
        let id = field(&value, "id");
        let name = called(value)?;
        let name = name.strip_prefix('#').unwrap_or(&name);
        let address = markup::address(id.as_deref().unwrap_or(name));
        Ok(mark(format!("[#{}](channel:{address})", markup::escape(name))))
    }

    /// Inline code that no backtick can end. A bar would end a table's cell even within
    /// backticks, so code with a bar takes the other road.
    fn code(value: Value) -> Result<Value, Error> {
        let text = markup::clean(&defined(value)?.to_string());
        if text.is_empty() {
            return Ok(mark(text));
        }
        if text.contains('|') {
            return Ok(mark(format!("[{}](code:)", markup::guard(&text))));
        }
        let ticks = "`".repeat(longest_run(&text) + 1);
        // Markdown takes one space off both ends where both have one.
        let edge = |c: char| c == '`' || c == ' ';
        let pad = if text.starts_with(edge) || text.ends_with(edge) { " " } else { "" };
        let pad = if text.trim_matches(' ').is_empty() { "" } else { pad };
        Ok(mark(format!("{ticks}{pad}{text}{pad}{ticks}")))
    }

    /// A sentence of our own, such as a refusal, in which backticks hold what can be typed.
    fn sentence(value: Value) -> Result<Value, Error> {
        let text = defined(value)?.to_string();
        let mut sentence = String::new();
        for (at, part) in text.split('`').enumerate() {
            match at % 2 {
                0 => sentence.push_str(&markup::escape(part)),
                _ => sentence.push_str(&code(part.into())?.to_string()),
            }
        }
        Ok(mark(sentence))
    }

    /// Lines in a fixed width, such as the last output of a command, on lines of their own.
    fn output(value: Value) -> Result<Value, Error> {
        let text = defined(value)?.to_string();
        let lines = text.lines().map(markup::clean).collect::<Vec<_>>().join("\n");
        let fence = "`".repeat((longest_run(&lines) + 1).max(3));
        Ok(mark(format!("\n\n{fence}\n{lines}\n{fence}\n\n")))
    }

    fn longest_run(text: &str) -> usize {
        text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
    }

    /// `{{ url|link("plan") }}`; only of the web.
    fn link(value: Value, text: Option<String>) -> Result<Value, Error> {
        let url = defined(value)?.to_string();
        let shown = markup::escape(text.as_deref().unwrap_or(&url));
        let web = url.starts_with("https://") || url.starts_with("http://");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#@!$'*+,;=%".contains(&b);
        let target = url.bytes().map(|b| match b {
            b'&' => "&amp;".to_owned(),
            b if plain(b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        });
        let target: String = target.collect();
        Ok(mark(if web { format!("[{shown}]({target})") } else { shown }))
    }

    /// `a, b and c`; the marks of other filters stay: `people|map("person")|list`.
    fn list(value: Value, last: Option<String>) -> Result<Value, Error> {
        let items: Vec<String> = defined(value)?.try_iter()?.map(|item| written(&item)).collect();
        let word = markup::escape(last.as_deref().unwrap_or("and"));
        Ok(mark(match items.as_slice() {
            [] => String::new(),
            [only] => only.clone(),
            [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
        }))
    }

    /// `1 item`, `3 items`.
    fn plural(number: i64, one: String, many: String) -> String {
        format!("{number} {}", if number == 1 { one } else { many })
    }

    /// `33 %`, `0.31 %`: of a number that counts per cent already.
    fn percent(number: f64) -> String {
        if !number.is_finite() {
            return "unknown".to_owned();
        }
        let digits = format!("{number:.2}");
        let short = digits.trim_end_matches('0').trim_end_matches('.');
        format!("{} %", if short == "-0" { "0" } else { short })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::app::markup::{parse, plain};
    use crate::ports::{Block, Inline};

    fn said(template: &str, context: serde_json::Value) -> String {
        let (messages, problems) =
            Messages::load(&[("t.md", template)], None, &[("t.md", context.clone())]);
        assert_eq!(problems, []);
        messages.render("t.md", &context)
    }

    fn problems_of(template: &str, context: serde_json::Value) -> Vec<String> {
        let (_, problems) = Messages::load(&[("t.md", template)], None, &[("t.md", context)]);
        problems.iter().map(ToString::to_string).collect()
    }

    const BUILT_IN: &[(&str, &str)] = &[
        ("hello.md", "{# name: who #}\nHello **{{ name }}**.\n{% include \"_end.md\" %}"),
        ("_end.md", "Bye {{ name }}."),
        ("other.md", "Other {{ release.title }}."),
    ];

    fn samples() -> Vec<(&'static str, serde_json::Value)> {
        let other = json!({"release": {"title": "Web shop"}});
        vec![("hello.md", json!({"name": "ann"})), ("other.md", other)]
    }

    fn with_overrides(files: &[(&str, &str)]) -> (Messages, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let (messages, problems) = Messages::load(BUILT_IN, Some(folder.path()), &samples());
        let place = format!("{}/", folder.path().display());
        let problems = problems.iter().map(|problem| {
            let told = problem.to_string();
            told.strip_prefix(&place)
                .expect("an operator's file is told with its folder")
                .to_owned()
        });
        (messages, problems.collect())
    }

    fn hello(messages: &Messages) -> String {
        messages.render("hello.md", &json!({"name": "ann"}))
    }

    #[test]
    fn the_built_in_words_are_filled_in_and_include_each_other() {
        let (messages, problems) = Messages::load(BUILT_IN, None, &samples());
        assert_eq!(problems, []);
        assert_eq!(hello(&messages), "Hello **ann**.\nBye ann.");
    }

    #[test]
    fn what_people_wrote_stays_text() {
        for value in [
            "<!channel>",
            "@everyone",
            "[x](person:console/local/ann)",
            "`rm -rf`",
            "# big\n- list\n\n> quote",
            "**bold** _it_ ![i](http://x)",
            "| a | b |",
            "&lt; &#64;",
        ] {
            let blocks = parse(&said("Said: {{ v }}.", json!({ "v": value })));
            let expected = format!("Said: {}.", value.replace('\n', " "));
            assert_eq!(blocks, [Block::Paragraph(vec![Inline::Text(expected)])], "{value}");
        }
    }

    #[test]
    fn no_road_marks_a_value_as_safe() {
        for filter in ["safe", "escape", "e", "tojson"] {
            let problems = problems_of(&format!("{{{{ v|{filter} }}}}"), json!({"v": "x"}));
            assert!(problems[0].starts_with("t.md:1: unknown filter"), "{problems:?}");
        }
        let template = "{% autoescape false %}{{ v }}{% endautoescape %} {{ v ~ v }} \
                        {{ v|upper }} {{ [v, v]|join('*') }} {% set w %}{{ v }}{% endset %}{{ w }}";
        let text = said(template, json!({"v": "*x*"}));
        assert_eq!(plain(&parse(&text)), "*x* *x**x* *X* *x***x* *x*");
    }

    #[test]
    fn times_are_links_in_the_zone_of_the_release() {
        let context = json!({
            "at": "2026-12-15T18:00:00Z", "unix": 1_797_357_600, "zone": "America/Los_Angeles",
            "now": "2026-12-13T10:00:00Z",
        });
        let text = said("{{ at|time }} {{ unix|time('Europe/Berlin') }}", context.clone());
        assert_eq!(
            text,
            "[Tue 15 Dec, 10:00 PST](time:1797357600) [Tue 15 Dec, 19:00 CET](time:1797357600)"
        );
        assert_eq!(plain(&parse(&said("{{ at|stamp }} {{ at|clock }}", context))), "[10:00] 10:00");
        let other_year = json!({"at": 1_797_357_600, "zone": "UTC", "now": 0});
        assert!(said("{{ at|time }}", other_year).starts_with("[Tue 15 Dec 2026, 18:00 UTC]"));
        let no_zone = problems_of("\n{{ at|time }}", json!({"at": 0}));
        assert!(no_zone[0].starts_with("t.md:2: "), "{no_zone:?}");
        assert!(no_zone[0].contains("a time needs `zone` in its context"));
    }

    #[test]
    fn people_and_channels_are_mentioned_by_id() {
        let context = json!({
            "ann": {"id": "console/local/ann", "name": "ann"}, "bob": {"name": "b*b"},
            "eve": {"id": "x) [y](person:z", "name": "eve](person:z)"},
            "room": {"id": "C1", "name": "releases"},
        });
        let text = said(
            "{{ ann|person }} {{ bob|person }} {{ ann|name }} {{ eve|person }} \
                         {{ room|channel }} {{ '#ops'|channel }}",
            context,
        );
        let mention = |id: &str, name: &str| Inline::Mention { id: id.into(), name: name.into() };
        let channel = |id: &str, name: &str| Inline::Channel { id: id.into(), name: name.into() };
        let space = || Inline::Text(" ".into());
        assert_eq!(
            parse(&text),
            [Block::Paragraph(vec![
                mention("console/local/ann", "ann"),
                Inline::Text(" @b*b ann ".into()),
                mention("x) [y](person:z", "eve](person:z)"),
                space(),
                channel("C1", "releases"),
                space(),
                channel("ops", "ops"),
            ])]
        );
    }

    #[test]
    fn lists_numbers_and_lengths_read_well() {
        let context = json!({
            "none": [], "one": ["a"], "three": ["a", "*b*", "c"], "n": 3, "pct": 33.333,
            "people": [{"id": "1", "name": "ann"}, {"name": "bob"}], "left": 130, "plan": "1h 30m",
        });
        let text = said(
            "{{ one|list }}; {{ three|list }}; {{ three|list('or') }}; \
             {{ people|map('person')|list }}; \
             {{ n|plural('step', 'steps') }}; {{ 1|plural('step', 'steps') }}; {{ pct|percent }}; \
             {{ 33|percent }}; {{ 0.31|percent }}; {{ left|span }}; {{ plan|span }}{{ none|list }}",
            context,
        );
        assert_eq!(
            plain(&parse(&text)),
            "a; a, *b* and c; a, *b* or c; @ann and @bob; 3 steps; 1 step; 33.33 %; 33 %; 0.31 %; \
             2 min 10 s; 1 h 30 min"
        );
        assert!(text.contains("[@ann](person:1) and @bob"));
    }

    #[test]
    fn links_go_to_the_web_only() {
        let context = json!({"u": "https://x.test/a_(b)?c=1&copy=2", "j": "javascript:alert(1)"});
        let blocks = parse(&said("{{ u|link('the *plan*') }} {{ j|link('no') }}", context));
        assert_eq!(
            blocks,
            [Block::Paragraph(vec![
                Inline::Link {
                    url: "https://x.test/a_%28b%29?c=1&copy=2".into(),
                    text: "the *plan*".into()
                },
                Inline::Text(" no".into()),
            ])]
        );
    }

    #[test]
    fn a_sentence_keeps_its_code_and_nothing_else() {
        let why = "Not [x](person:y). Say `a|b` or `c*d*`.";
        let code = |code: &str| Inline::Code(code.into());
        let text = |text: &str| Inline::Text(text.into());
        assert_eq!(
            parse(&said("{{ why|sentence }}", json!({ "why": why }))),
            [Block::Paragraph(vec![
                text("Not [x](person:y). Say "),
                code("a|b"),
                text(" or "),
                code("c*d*"),
                text("."),
            ])]
        );
    }

    #[test]
    fn an_override_wins() {
        let (messages, problems) = with_overrides(&[
            ("hello.md", "Servus {{ name }}. {% include '_mine.md' %}"),
            ("_mine.md", "Mine."),
            ("notes.txt", "not a template"),
        ]);
        assert_eq!(problems, [""; 0]);
        assert_eq!(hello(&messages), "Servus ann. Mine.");
    }

    #[test]
    fn a_broken_override_is_named_and_the_built_in_one_speaks() {
        let (messages, problems) = with_overrides(&[("hello.md", "Hi\n{% if name %}\nthere")]);
        assert!(problems[0].starts_with("hello.md:3: syntax error"), "{problems:?}");
        assert_eq!(hello(&messages), "Hello **ann**.\nBye ann.");

        let (messages, problems) = with_overrides(&[("hello.md", "Hi\n\n{{ nmae }}")]);
        assert_eq!(problems, ["hello.md:3: `nmae` is not known here. Did you mean `name`?"]);
        assert_eq!(hello(&messages), "Hello **ann**.\nBye ann.");

        let (_, problems) = with_overrides(&[("other.md", "\n{{ release.titel|upper }}")]);
        assert_eq!(
            problems,
            ["other.md:2: `release.titel` is not known here. Did you mean `title`?"]
        );
    }

    #[test]
    fn a_name_in_a_branch_that_no_sample_takes_is_found() {
        let (_, problems) =
            with_overrides(&[("hello.md", "{% if not name %}\n{{ nam }}\n{% endif %}")]);
        assert_eq!(problems, ["hello.md:2: `nam` is not known here. Did you mean `name`?"]);
    }

    #[test]
    fn a_broken_part_takes_only_what_needs_it_with_it() {
        let (messages, problems) = with_overrides(&[
            ("_end.md", "\nBye {{ nmae }}"),
            ("hello.md", "Hi {{ name }}. {% include \"_end.md\" %}"),
        ]);
        assert_eq!(problems, ["_end.md:2: `nmae` is not known here. Did you mean `name`?"]);
        assert_eq!(hello(&messages), "Hi ann. Bye ann.");
    }

    #[test]
    fn an_unknown_name_and_an_unknown_include_are_reported() {
        let (messages, problems) =
            with_overrides(&[("helo.md", "x"), ("other.md", "a\n{% include \"_ned.md\" %}")]);
        assert_eq!(
            problems,
            [
                "helo.md: No message has this name. Did you mean `hello.md`?",
                "other.md:2: There is no template `_ned.md`. Did you mean `_end.md`?",
            ]
        );
        assert!(messages.render("other.md", &samples()[1].1).starts_with("Other Web shop"));
    }

    #[test]
    fn only_the_folder_can_be_included() {
        let (_, problems) = with_overrides(&[("hello.md", "{% include \"../../etc/passwd\" %}")]);
        assert!(problems[0].starts_with("hello.md:1: There is no template `../../etc/passwd`."));
        let (_, problems) =
            Messages::load(BUILT_IN, Some(Path::new("/nowhere/at/all")), &samples());
        assert!(problems[0].to_string().starts_with("/nowhere/at/all: Cannot be read: "));
    }

    #[test]
    fn values_between_backticks_are_refused() {
        assert_eq!(
            problems_of("a\n`{{ v }}`", json!({"v": "x"})),
            ["t.md:2: Between backticks a value is not protected. \
              Write `{{ value|code }}` without the backticks."]
        );
        assert!(problems_of("```\n{{ v }}\n```", json!({"v": "x"}))[0].contains("value|output"));
    }

    #[test]
    fn a_template_that_does_not_end_is_stopped() {
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}";
        let (messages, problems) = with_overrides(&[("hello.md", &endless.replace("{{ b }}", ""))]);
        assert_eq!(problems, ["hello.md:1: It does not come to an end."]);
        assert_eq!(hello(&messages), "Hello **ann**.\nBye ann.");
        let itself = with_overrides(&[("hello.md", "{% include 'hello.md' %}")]);
        assert!(itself.1[0].starts_with("hello.md:1: "), "{:?}", itself.1);
    }

    #[test]
    fn a_template_takes_no_memory_without_bounds() {
        for greedy in [
            "{{ '%0999999999d'|format(3) }}",
            "{{ name|indent(999999999) }}",
            "{{ [1]|batch(999999999, 0)|length }}",
            "{{ [1]|slice(999999999)|length }}",
            "{{ 'x' * 999999999 }}",
            "{{ 'x' * 99999999 }}",
            "{{ [0] * 99999999 }}",
            "{{ ((0,) * 99999999)|length }}",
            "{% set all = [0] * 99999999 %}{{ all|list|length }}",
            "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m(name) }}",
            "{% set n = namespace(x=name) %}\
             {% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        ] {
            let (messages, problems) = with_overrides(&[("hello.md", greedy)]);
            assert!(problems[0].starts_with("hello.md:"), "{greedy}: {problems:?}");
            assert_eq!(hello(&messages), "Hello **ann**.\nBye ann.");
        }
    }

    #[test]
    fn a_star_that_multiplies_nothing_stands() {
        let bold = "**{{ name }}** {{ '*' ~ name }} {{ 2 ** 3 }} {# 2 * 3 #}";
        let (messages, problems) = with_overrides(&[("hello.md", bold)]);
        assert_eq!(problems, [""; 0]);
        assert_eq!(hello(&messages), "**ann** \\*ann 8 ");
        let (_, problems) = with_overrides(&[("hello.md", "*\n{{\n2 * 3 }}")]);
        assert!(
            problems[0].starts_with("hello.md:3: A template does not multiply"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_message_is_cut_at_its_limit() {
        let text = said("{{ v }}", json!({"v": "🚀".repeat(50_000)}));
        assert_eq!((text.chars().count(), text.ends_with('…')), (LONGEST / 6, true));
        let lines = said("{{ v|output }}", json!({"v": "x\n".repeat(30_000)}));
        assert!(lines.chars().count() <= LONGEST && lines.ends_with("x\n…"));
    }

    #[test]
    fn a_cut_sets_nothing_free() {
        let value = "[@ann](person:ann) ".repeat(3_000);
        for template in ["{{ v|code }}", "a\n{{ v|code }}", "- {{ v }}", "x\n{{ v|output }}"] {
            let blocks = parse(&said(template, json!({ "v": value })));
            assert!(!format!("{blocks:?}").contains("Mention"), "{template}");
        }
    }

    #[test]
    fn facts_that_no_sample_had_fall_back_to_the_built_in_words() {
        let (messages, problems) =
            with_overrides(&[("hello.md", "Hi {{ name.first|default('you') }}{{ name|upper }}")]);
        assert_eq!(problems, [""; 0]);
        assert_eq!(messages.render("hello.md", &json!({})).lines().count(), 1);
        let text = messages.render("no-such.md", &json!({}));
        assert!(plain(&parse(&text)).starts_with("The message no-such.md could not be written"));
    }

    proptest! {
        #[test]
        fn code_comes_back_as_its_characters(
            text in prop_oneof![any::<String>(), "[` |a\\\\*]{0,12}"]
        ) {
            let kept = markup::clean(&text);
            prop_assume!(!kept.is_empty());
            let written = said("x {{ v|code }} y", json!({ "v": text }));
            prop_assert_eq!(parse(&written), [Block::Paragraph(vec![
                Inline::Text("x ".into()),
                Inline::Code(kept.clone()),
                Inline::Text(" y".into()),
            ])]);
            let written = said("| h |\n|---|\n| {{ v|code }} |", json!({ "v": text }));
            prop_assert_eq!(parse(&written), [Block::Table {
                head: vec![vec![Inline::Text("h".into())]],
                rows: vec![vec![vec![Inline::Code(kept)]]],
            }]);
        }

        #[test]
        fn output_cannot_leave_its_fence(text in "[`~ |a\\\\*\n-]{1,24}") {
            let written = said("- x {{ v|output }}y", json!({ "v": text }));
            let blocks = parse(&written);
            let apart = matches!(
                blocks.as_slice(),
                [Block::List(_), Block::Code(_), Block::Paragraph(_)]
            );
            prop_assert!(apart, "{:?}", blocks);
        }
    }
}
