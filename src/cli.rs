//! The command line: the program's own commands, and every verb of the grammar, which goes to the
//! running writer over HTTP. Nothing here decides; whatever is printed goes to a writer.

mod screen;

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::{Deserialize, Serialize};

pub use self::screen::Screen;

use crate::app::conversation::release_called;
use crate::app::grammar::{self, Paper, Verb};
use crate::app::{reads, replay};
use crate::demo::Demo;
use crate::domain::policy::Policy;
use crate::domain::state::State;
use crate::ports::Message;
use crate::store::export::{Format, export};
use crate::store::{Entry, Finding, Reader, Snapshot, Which, Witness, verify};

const HELP: &str = "\
Examples:
  tminus                                    serve the demo, and print the address of its page
  tminus check plans/web-shop-v1.2.0.toml   say what is missing before anybody schedules it
  tminus rehearse plans/web-shop-v1.2.0.toml --trouble failed-step
  tminus status v1.2.0                      what it waits for, on whom, since when
  tminus no-go v1.2.0 hotline is short-staffed
  tminus audit verify                       prove that nobody has touched the log

The verbs, such as `status` and `no-go`, are those of `/release` in the chat. They go to the running
tminus: to TMINUS_URL or the address in STATE/url, with the token in TMINUS_TOKEN or STATE/token.

Exit status:
  0  it was done, or what was asked is shown
  1  it was refused, or what was checked is not in order
  2  the command line was not understood
  3  no tminus could be reached
  4  it was not recorded, or nobody can tell";

/// Coordinates software releases in chat
#[derive(Debug, Clone, Parser)]
#[command(name = "tminus", version, after_help = HELP, max_term_width = 100)]
pub struct Cli {
    /// Where the log and everything else is kept, if not where the configuration says; without
    /// either, .tminus
    #[arg(long, global = true, value_name = "DIR", env = "TMINUS_STATE")]
    pub state: Option<PathBuf>,
    /// The configuration; without one, the demo's
    #[arg(long, global = true, value_name = "FILE", env = "TMINUS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub program: Option<Program>,
}

/// What the program does by itself.
#[derive(Debug, Clone, Subcommand)]
pub enum Program {
    /// Run the bot; this is what happens without a command
    Serve(Serve),
    /// Run a whole release on a simulated clock, reaching nobody
    Rehearse {
        /// The plan
        #[arg(value_name = "PLAN")]
        plan: PathBuf,
        /// What is to go wrong
        #[arg(long, value_enum)]
        trouble: Option<Trouble>,
        /// Where to write the report
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
    /// Say what is wrong with a plan, and how to mend it
    Check {
        /// The plan
        #[arg(value_name = "PLAN")]
        plan: PathBuf,
    },
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        what: Config,
    },
    /// Check that everything that will be needed can be reached
    Doctor,
    /// Show, verify or export the log
    #[command(after_help = "Without `verify` or `export`, shows the last entries: `tminus audit \
        v1.2.0 --last 20`.")]
    Audit {
        #[command(subcommand)]
        what: Audit,
    },
    /// Write a document as Markdown
    Document {
        /// Which
        #[arg(value_enum)]
        kind: Paper,
        /// Of which release; needs no running tminus
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// Where to; standard output if absent
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Of a plan that is not scheduled
        #[arg(long, value_name = "FILE", conflicts_with = "release")]
        plan: Option<PathBuf>,
    },
    /// Say a line as it would be typed after `/release`
    Say {
        /// The line
        #[arg(value_name = "LINE", required = true, trailing_var_arg = true)]
        line: Vec<String>,
        /// As whom, where the token allows it
        #[arg(long = "as", value_name = "PERSON")]
        person: Option<String>,
    },
    /// Write the completions of a shell
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
    /// The steps of the sample release
    #[command(hide = true)]
    Demo {
        #[command(subcommand)]
        step: Demo,
    },
}

impl Program {
    /// What it prints is read by programs even where nobody asked for JSON.
    pub fn is_for_programs(&self) -> bool {
        match self {
            Self::Completions { .. } => true,
            Self::Audit { what: Audit::Export { format, output: None, .. } } => {
                *format == Sheet::Jsonl
            }
            Self::Audit { what: Audit::Verify { .. } | Audit::Export { .. } }
            | Self::Serve(_)
            | Self::Rehearse { .. }
            | Self::Check { .. }
            | Self::Config { .. }
            | Self::Doctor
            | Self::Document { .. }
            | Self::Say { .. }
            | Self::Demo { .. } => false,
        }
    }
}

#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// Where to listen; beyond this machine only with an access token
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<std::net::SocketAddr>,
    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Trouble {
    /// Somebody says no
    NoGo,
    /// A step of the rollout fails
    FailedStep,
    /// The bot is away when announcements fall due
    Late,
    /// The numbers of a stage are red
    RedMetric,
    /// Nobody can tell how the release fares
    NoData,
    /// The numbers are now good, now bad
    Flapping,
    /// The bot is killed in the middle
    Crash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Config {
    /// Say what is wrong with the configuration, with file and line
    Check,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Audit {
    /// Recompute the chain, and name the first entry that is not what was written
    Verify {
        /// A head that was seen in the chat: `#412 sha256:…`; finds a log that was cut
        #[arg(long, value_name = "WITNESS")]
        against: Option<Witness>,
    },
    /// Write the entries
    ///
    /// Each line of `jsonl` holds `actor` and `event` as JSON, and under `raw` both as the texts
    /// that were hashed, so that the chain can be computed again. `csv` and `markdown` show what
    /// would steer a reader's eye, such as U+202E, as `\u202e`.
    Export {
        /// For programs, spreadsheets or people
        #[arg(long, value_enum, default_value = "jsonl")]
        format: Sheet,
        /// Only of this release
        #[arg(long, value_name = "RELEASE")]
        release: Option<String>,
        /// From this time on: `2026-12-01` or `2026-12-01T10:00:00Z`
        #[arg(long, value_name = "TIME", value_parser = instant)]
        from: Option<DateTime<Utc>>,
        /// Before this time
        #[arg(long, value_name = "TIME", value_parser = instant)]
        until: Option<DateTime<Utc>>,
        /// Where to; standard output if absent
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sheet {
    Jsonl,
    Csv,
    Markdown,
}

/// How the program ends, as its help says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Refused = 1,
    Usage = 2,
    Unreachable = 3,
    Uncertain = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What was asked on the command line.
#[derive(Debug, Clone)]
pub struct Asked {
    pub state: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub json: bool,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Program(Box<Program>),
    /// A line for the running writer, and as whom.
    Line {
        line: String,
        person: Option<String>,
    },
}

// ---------------------------------------------------------------------------------------------
// Reading

/// The program's commands, and then the verbs of the grammar in the order of its help.
pub fn command() -> clap::Command {
    let own = Cli::command();
    let verbs = Verb::augment_subcommands(clap::Command::new("verbs"));
    let order = grammar::groups().iter().flat_map(|group| group.verbs.iter().copied());
    let order = order.filter(|name| *name != "help" && own.find_subcommand(name).is_none());
    let shown = |(place, name): (usize, &str)| {
        let verb = verbs.find_subcommand(name).expect("the help names verbs that there are");
        let lines: Vec<_> = grammar::examples(verb).map(|line| format!("tminus {line}")).collect();
        let example = match lines.as_slice() {
            [only] => format!("Example: {only}"),
            several => format!("Examples:\n  {}", several.join("\n  ")),
        };
        verb.clone().after_help(example).display_order(100 + place)
    };
    let shown: Vec<_> = order.enumerate().map(shown).collect();
    own.subcommands(shown)
}

/// Reads the command line, the program's name first.
///
/// # Errors
/// Help and version count as errors, as clap has it: `why.exit_code()` and `why.render()`.
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Asked, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some((globals, words)) = verb_in(&args) {
        let cli = Cli::try_parse_from(globals)?;
        let line = grammar::line(&words);
        grammar::read(&line, &grammar::looks_like_a_release).map_err(|wrong| misspelt(&wrong))?;
        let person = std::env::var("TMINUS_AS").ok().filter(|person| !person.is_empty());
        return Ok(asked(cli, |_| What::Line { line, person }));
    }
    if let Some(wrong) = unknown_help(&args) {
        return Err(wrong);
    }
    let matches = command().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(asked(cli, |program| {
        let Program::Say { line, person } = program else {
            return What::Program(Box::new(program));
        };
        // One word is a whole line in quotes.
        let line = match line.as_slice() {
            [whole] => whole.clone(),
            words => grammar::line(words),
        };
        What::Line { line, person }
    }))
}

/// `help rollbak`: clap says that there is no such command, and not which one was meant.
fn unknown_help(args: &[OsString]) -> Option<clap::Error> {
    let (_, words) = words_in(args)?;
    let [help, said, ..] = words.as_slice() else { return None };
    let command = command();
    if help != "help" || said.starts_with('-') || command.find_subcommand(said).is_some() {
        return None;
    }
    let names = command.get_subcommands().map(clap::Command::get_name);
    let meant = grammar::nearest(said, names).map(|near| format!(" Did you mean `{near}`?"));
    let shown: String = said.chars().take(60).collect();
    let text = format!(
        "I know no command `{shown}`.{} `tminus help` lists them.",
        meant.unwrap_or_default()
    );
    Some(command.clone().error(clap::error::ErrorKind::InvalidSubcommand, text))
}

fn asked(cli: Cli, what: impl FnOnce(Program) -> What) -> Asked {
    let Cli { state, config, json, program } = cli;
    let program = program.unwrap_or(Program::Serve(Serve::default()));
    Asked { state, config, json, what: what(program) }
}

/// Tells the options that every command takes from the verb and its words. The words are the
/// grammar's to read: only there is a release told from the first word of a text.
fn verb_in(args: &[OsString]) -> Option<(Vec<OsString>, Vec<String>)> {
    let (globals, words) = words_in(args)?;
    let first = words.first()?.to_lowercase();
    let verb = grammar::command().find_subcommand(&first)?.get_name();
    let second = words.get(1).map(String::as_str);
    let own = match verb {
        "audit" => matches!(second, Some("verify" | "export")),
        "document" | "help" => true,
        _ => false,
    };
    (!own).then_some((globals, words))
}

/// Nothing where somebody asks for help.
fn words_in(args: &[OsString]) -> Option<(Vec<OsString>, Vec<String>)> {
    let mut globals = vec![args.first()?.clone()];
    let mut words: Vec<String> = Vec::new();
    let mut rest = args[1..].iter();
    let mut verbatim = false;
    while let Some(arg) = rest.next() {
        let text = arg.to_string_lossy();
        match text.as_ref() {
            "--json" if !verbatim => globals.push(arg.clone()),
            "--state" | "--config" if !verbatim => {
                globals.extend([Some(arg), rest.next()].into_iter().flatten().cloned());
            }
            text if !verbatim
                && (text.starts_with("--state=") || text.starts_with("--config=")) =>
            {
                globals.push(arg.clone());
            }
            "-h" | "--help" if !verbatim => return None,
            text => {
                verbatim |= text == "--";
                words.push(text.to_owned());
            }
        }
    }
    Some((globals, words))
}

fn misspelt(wrong: &grammar::Wrong) -> clap::Error {
    let mut text = wrong.to_string().replace("/release ", "tminus ");
    if let Some(example) = wrong.example() {
        text.push_str(&format!("\n\nFor example: {}", example.replace("/release ", "tminus ")));
    }
    command().error(clap::error::ErrorKind::ValueValidation, text)
}

/// A day begins at its midnight, in UTC as the log has it.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let midnight = day.map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let exact = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    midnight.or_else(exact).ok_or_else(|| "write `2026-12-01` or `2026-12-01T10:00:00Z`".to_owned())
}

pub fn completions(shell: Shell, out: &mut impl Write) {
    clap_complete::generate(shell, &mut command(), "tminus", out);
}

// ---------------------------------------------------------------------------------------------
// The running writer

/// What `POST /api/commands` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub line: String,
    #[serde(rename = "as", default)]
    pub person: Option<String>,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub ok: bool,
    /// The message as plain text.
    pub text: String,
    #[serde(default)]
    pub message: Option<Message>,
}

/// Where the writer listens, and what lets us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    pub url: String,
    pub token: String,
}

impl Door {
    /// From the environment, else from what `serve` wrote into the state directory.
    pub fn find(state: &Path) -> Result<Self, String> {
        let read = |variable: &str, file: &str| {
            let set = std::env::var(variable).ok().filter(|value| !value.is_empty());
            set.or_else(|| std::fs::read_to_string(state.join(file)).ok())
                .map(|text| text.trim().to_owned())
        };
        let url = read("TMINUS_URL", "url").unwrap_or_else(|| "http://127.0.0.1:7777".into());
        let token = read("TMINUS_TOKEN", "token").ok_or_else(|| {
            format!(
                "There is no token: neither TMINUS_TOKEN is set nor is there {}. Is tminus serving \
                 with this state directory? Start it with `tminus serve`, or say --state DIR.",
                state.join("token").display()
            )
        })?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), token })
    }
}

/// Sends a line to the running writer and prints its answer.
pub async fn remote(
    door: &Door,
    sent: &Sent,
    json: bool,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Exit> {
    let (exit, answer) = match send(door, sent).await {
        Ok(answer) => answer,
        Err((exit, why)) => {
            if json {
                let failed = serde_json::json!({"ok": false, "text": why});
                writeln!(out, "{failed}")?;
            } else {
                writeln!(err, "{why}")?;
            }
            return Ok(exit);
        }
    };
    match (json, exit) {
        (true, _) => writeln!(out, "{}", serde_json::to_string(&answer)?)?,
        (false, Exit::Done) => writeln!(out, "{}", answer.text)?,
        (false, _) => writeln!(err, "{}", answer.text)?,
    }
    Ok(exit)
}

type Unanswered = (Exit, String);

async fn send(door: &Door, sent: &Sent) -> Result<(Exit, Answered), Unanswered> {
    let unreachable = |why: &reqwest::Error| {
        let what = format!("No tminus answers at {}: {}.", door.url, root(why));
        (Exit::Unreachable, format!("{what} Start it with `tminus serve`."))
    };
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build();
    let client = client.map_err(|why| unreachable(&why))?;
    let request = client
        .post(format!("{}/api/commands", door.url))
        .bearer_auth(&door.token)
        .header("Idempotency-Key", key())
        .json(sent);
    let response =
        request.send().await.map_err(|why| match why.is_connect() || why.is_builder() {
            true => unreachable(&why),
            false => {
                (Exit::Uncertain, format!("I cannot tell whether it arrived: {}.", root(&why)))
            }
        })?;
    let status = response.status();
    let answer = response.text().await.unwrap_or_default();
    judged(door, status.as_u16(), &answer)
}

/// What the writer says when it does not answer the line.
#[derive(Deserialize)]
struct Declined {
    error: String,
}

fn judged(door: &Door, status: u16, answer: &str) -> Result<(Exit, Answered), Unanswered> {
    if let (200, Ok(answer)) = (status, serde_json::from_str::<Answered>(answer)) {
        return Ok((if answer.ok { Exit::Done } else { Exit::Refused }, answer));
    }
    let error = serde_json::from_str::<Declined>(answer).map(|declined| declined.error);
    match (status, error) {
        (401, _) => {
            let why = "The token is not accepted. Set TMINUS_TOKEN, or say --state DIR.";
            Err((Exit::Refused, why.to_owned()))
        }
        (400..500, Ok(error)) => Err((Exit::Refused, error)),
        (500.., Ok(error)) => Err((Exit::Uncertain, error)),
        (_, _) => {
            let why = format!("What answers at {} is no tminus (status {status}).", door.url);
            Err((Exit::Uncertain, why))
        }
    }
}

/// The innermost reason: the outer ones repeat the address.
fn root(why: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = why;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// New for each call, so that a proxy that sends it twice asks once.
fn key() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// ---------------------------------------------------------------------------------------------
// The log

/// `audit verify` and `audit export`, beside a writer or when none runs. `describe` says in a
/// sentence what an entry is.
pub async fn audit(
    state: &Path,
    audit: &Audit,
    json: bool,
    spare: &Policy,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let opening = || format!("opening the log in {}", state.display());
    let reader = Reader::open(state).await.with_context(opening)?;
    let exit = match audit {
        Audit::Verify { against } => {
            let snapshot = Snapshot::read(state, replay::SHAPE);
            let finding = replay::prove(&reader, against.as_ref(), snapshot.as_ref()).await?;
            print_finding(&finding, json, out)?
        }
        Audit::Export { format, release, from, until, output } => {
            let (from, until) = (*from, *until);
            let finding = verify(&reader, None).await?;
            // A log that cannot be followed is exported all the same, but not by names out of it.
            let state = replay::replay_all(&reader).await.context("replaying the log");
            let release = match (release, &state) {
                (None, _) => None,
                (Some(said), Ok(state)) => Some(full_name(state, said)?),
                (Some(_), Err(_)) => return Err(state.expect_err("it was just looked at")),
            };
            let which = Which { release, from, until, ..Which::default() };
            let own = state.as_ref().ok().and_then(|state| state.house.policy.as_deref());
            let policy = own.unwrap_or(spare);
            let describe = |entry: &Entry| reads::sentence(entry, policy);
            let format = match format {
                Sheet::Jsonl => Format::JsonLines,
                Sheet::Csv => Format::Csv,
                Sheet::Markdown => Format::Markdown,
            };
            match output {
                None => drop(export(&reader, which, format, &describe, sheet(format, out)).await?),
                Some(path) => {
                    let mut file = Whole::create(path)?;
                    let to = sheet(format, &mut file.0);
                    let count = export(&reader, which, format, &describe, to).await?;
                    file.persist(path)?;
                    writeln!(out, "{count} entries are in {}.", path.display())?;
                }
            }
            // Whoever was handed it would take it for what was written.
            if let Finding::Broken { seq, why } = finding {
                bail!(
                    "The log is damaged at entry #{seq}: {why}. It was exported as it stands, \
                     which is not as it was written."
                );
            }
            Exit::Done
        }
    };
    reader.close().await;
    Ok(exit)
}

/// Programs get every byte. What people open must not mislead them, in a file neither.
fn sheet<W: Write>(format: Format, out: W) -> Screen<W> {
    match format {
        Format::JsonLines => Screen::exact(out),
        Format::Csv | Format::Markdown => Screen::readable(out),
    }
}

fn full_name(state: &State, said: &str) -> anyhow::Result<String> {
    release_called(state, Some(said)).map(|id| id.to_string()).map_err(anyhow::Error::msg)
}

pub fn print_finding(finding: &Finding, json: bool, out: &mut impl Write) -> io::Result<Exit> {
    match finding {
        Finding::Verified { entries, head } if json => {
            let text = head.to_string();
            let found = serde_json::json!({"ok": true, "entries": entries, "head": text});
            writeln!(out, "{found}")?;
        }
        Finding::Verified { entries, head } => {
            let many = if *entries == 1 { "entry" } else { "entries" };
            writeln!(out, "The log is what was written: {entries} {many}, up to {head}.")?;
        }
        Finding::Broken { seq, why } => {
            match json {
                true => {
                    let found = serde_json::json!({"ok": false, "entry": seq, "why": why});
                    writeln!(out, "{found}")?;
                }
                false => writeln!(out, "The log is damaged at entry #{seq}: {why}.")?,
            }
            return Ok(Exit::Refused);
        }
    }
    Ok(Exit::Done)
}

/// A file that appears whole or not at all.
struct Whole(BufWriter<tempfile::NamedTempFile>);

impl Whole {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        // A document to share: who may read it is the user's umask to say.
        let file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .with_context(|| format!("writing into {}", folder.display()))?;
        Ok(Self(BufWriter::new(file)))
    }

    fn persist(self, path: &Path) -> anyhow::Result<()> {
        let writing = || format!("writing {}", path.display());
        let file = self.0.into_inner().map_err(io::IntoInnerError::into_error);
        let file: File = file.with_context(writing)?.persist(path).with_context(writing)?;
        file.sync_all().with_context(writing)
    }
}

/// Writes a text to a file, whole or not at all, or to `out`.
pub fn write_text(text: &str, path: Option<&Path>, out: &mut impl Write) -> anyhow::Result<()> {
    match path {
        None => out.write_all(text.as_bytes()).context("writing to standard output"),
        Some(path) => {
            let mut file = Whole::create(path)?;
            file.0.write_all(text.as_bytes())?;
            file.persist(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use axum::{Json, Router};

    use super::*;
    use crate::store::{Batch, NewEntry, Store};

    fn parsed(line: &str) -> Result<Asked, clap::Error> {
        read(line.split_whitespace().map(OsString::from))
    }

    fn line_of(line: &str) -> String {
        match parsed(line).expect("it is understood").what {
            What::Line { line, .. } => line,
            What::Program(program) => panic!("{program:?}"),
        }
    }

    #[test]
    fn clap_accepts_the_definition() {
        command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        let asked = parsed("tminus --state here").expect("it is understood");
        assert_eq!(asked.state.as_deref(), Some(Path::new("here")));
        assert!(matches!(asked.what, What::Program(p) if matches!(*p, Program::Serve(_))));
    }

    #[test]
    fn verbs_become_lines_and_the_programs_options_stand_anywhere() {
        assert_eq!(line_of("tminus status v1.2.0 --json"), "status v1.2.0");
        assert_eq!(
            line_of("tminus --state x no-go p95 is bad --as qa"),
            "no-go p95 is bad --as qa"
        );
        assert_eq!(line_of("tminus audit v1.2.0 --last 3"), "audit v1.2.0 --last 3");
        assert_eq!(line_of("tminus hold -- --json breaks"), "hold -- --json breaks");
        assert_eq!(line_of("tminus say go v1.2.0"), "go v1.2.0");
        let args = ["tminus", "hold", "v1.2.0", "it's \"bad\""].map(OsString::from);
        let What::Line { line, .. } = read(args).expect("it is understood").what else {
            panic!("it is a line")
        };
        assert_eq!(line, "hold v1.2.0 \"it's \\\"bad\\\"\"");
    }

    #[test]
    fn the_program_keeps_its_own_commands() {
        for line in [
            "tminus audit verify --against 412:0123456789abcdef",
            "tminus audit export --format csv --from 2026-12-01 -o x.csv",
            "tminus document report v1.2.0",
            "tminus rehearse x.toml --trouble failed-step",
            "tminus config check",
            "tminus doctor",
            "tminus serve --listen 127.0.0.1:0",
            "tminus demo health",
            "tminus completions bash",
        ] {
            let asked = parsed(line).unwrap_or_else(|why| panic!("{line}: {why}"));
            assert!(matches!(asked.what, What::Program(_)), "{line}");
        }
    }

    #[test]
    fn a_wrong_line_is_a_usage_error_that_shows_a_right_one() {
        let why = parsed("tminus evidence v1.2.0 stagin pass").expect_err("it is wrong");
        assert_eq!(why.exit_code(), Exit::Usage as i32);
        assert!(
            why.to_string().contains("For example: tminus evidence v1.2.0 staging pass"),
            "{why}"
        );
        let why = parsed("tminus help rollbak").expect_err("it is wrong");
        assert_eq!(why.exit_code(), Exit::Usage as i32);
        assert!(why.to_string().contains("Did you mean `rollback`?"), "{why}");
        let why = parsed("tminus shedule").expect_err("it is wrong");
        assert!(why.to_string().contains("schedule"), "{why}");
    }

    #[test]
    fn help_teaches() {
        let help = parsed("tminus --help").expect_err("help").to_string();
        for word in ["Exit status:", "Examples:", "rollback", "rehearse", "TMINUS_TOKEN"] {
            assert!(help.contains(word), "{word}");
        }
        assert!(!help.contains("The steps of the sample release"));
        let help = parsed("tminus no-go --help").expect_err("help").to_string();
        assert!(help.contains("Example: tminus no-go v1.2.0"), "{help}");
        let mut script = Vec::new();
        completions(Shell::Bash, &mut script);
        assert!(String::from_utf8_lossy(&script).contains("rollback"));
    }

    async fn answering(headers: HeaderMap, Json(sent): Json<Sent>) -> (StatusCode, Json<Answered>) {
        let allowed = headers.get("authorization").is_some_and(|token| token == "Bearer secret");
        let keyed = headers.get("idempotency-key").is_some_and(|key| key.len() == 32);
        let status = if allowed { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        let text = format!("{} by {}", sent.line, sent.person.unwrap_or_default());
        (status, Json(Answered { ok: keyed && sent.line != "start", text, message: None }))
    }

    async fn sends(url: &str, token: &str, line: &str) -> (Exit, String, String) {
        let door = Door { url: url.into(), token: token.into() };
        let sent = Sent { line: line.into(), person: Some("maria".into()) };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit =
            remote(&door, &sent, false, &mut out, &mut err).await.expect("a vector takes all");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (exit, text(out), text(err))
    }

    #[tokio::test]
    async fn a_line_goes_to_the_running_writer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().route("/api/commands", post(answering));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        assert_eq!(
            sends(&url, "secret", "go").await,
            (Exit::Done, "go by maria\n".into(), String::new())
        );
        assert_eq!(sends(&url, "secret", "start").await.0, Exit::Refused);
        let (exit, _, err) = sends(&url, "wrong", "go").await;
        assert!(exit == Exit::Refused && err.contains("token"), "{err}");
        serving.abort();
        let _ = serving.await;
        let (exit, _, err) = sends(&url, "secret", "go").await;
        assert!(exit == Exit::Unreachable && err.contains("tminus serve"), "{err}");
    }

    #[test]
    fn the_door_is_found_in_the_state_directory() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(Door::find(dir.path()).expect_err("no token").contains("TMINUS_TOKEN"));
        std::fs::write(dir.path().join("token"), "abc\n").expect("a file");
        std::fs::write(dir.path().join("url"), "http://127.0.0.1:9/\n").expect("a file");
        let door = Door::find(dir.path()).expect("both are there");
        assert_eq!(door, Door { url: "http://127.0.0.1:9".into(), token: "abc".into() });
    }

    #[tokio::test]
    async fn the_log_is_verified_and_exported() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).await.expect("a log");
        let entry = NewEntry {
            at: DateTime::UNIX_EPOCH,
            actor: "\"operator\"".into(),
            request: "start/1".into(),
            release: None,
            schema: 1,
            event: "{\"begun\":{\"\u{202e}\":true}}".into(),
        };
        let batch = Batch { entries: vec![entry], ..Batch::default() };
        store.commit(&batch).await.expect("it is written");
        let spare = crate::domain::fixture::policy();
        let mut out = Vec::new();
        let check = Audit::Verify { against: None };
        let exit = audit(dir.path(), &check, false, &spare, &mut out).await.expect("it is read");
        assert_eq!(exit, Exit::Done);
        let said = String::from_utf8(out).expect("text");
        assert!(
            said.starts_with("The log is what was written: 1 entry, up to #1 sha256:"),
            "{said}"
        );
        let path = dir.path().join("log");
        let exported = async |format| {
            let output = Some(path.clone());
            let all = Audit::Export { format, release: None, from: None, until: None, output };
            let done = audit(dir.path(), &all, false, &spare, &mut Vec::new()).await;
            done.expect("it is written");
            std::fs::read_to_string(&path).expect("a file")
        };
        for format in [Sheet::Csv, Sheet::Markdown] {
            let sheet = exported(format).await;
            assert!(!sheet.contains(['\u{202e}', '\u{1b}']), "{sheet}");
            assert_eq!(sheet.matches("u202e").count(), 1, "{sheet}");
        }
        assert_eq!(exported(Sheet::Csv).await.lines().count(), 2);
        let line = exported(Sheet::Jsonl).await;
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(line["raw"]["event"], "{\"begun\":{\"\u{202e}\":true}}");
        store.close().await;
    }
}
