//! A program of the operator's choice that prints a measurement: an argument list, never a shell.
//!
//! It prints one number, which is of the present, or lines of a number and a time (`0.31
//! 1767225600`, in seconds since 1970). `NaN` is a number that nobody knows. Exit status 75 says that
//! it may work later (`EX_TEMPFAIL`); any other but 0 that somebody has to mend something.
//!
//! `{query}`, `{from}`, `{to}` and `{step}` in its arguments are filled, times in seconds; the same
//! are in its environment as `TMINUS_QUERY` and so on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{quoted, told_instant, unix};
use crate::adapters::fill::{fill_with, has_placeholder};
use crate::adapters::output::{Mask, last_line};
use crate::adapters::process::{self, Traces};
use crate::ports::{Failure, Metrics, Question, Series};

/// Beyond this many bytes it is stopped.
const MOST: u64 = 64 * 1024;
/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(1);
/// `EX_TEMPFAIL` of sysexits.h.
const TRY_LATER: i32 = 75;

#[derive(Debug, Clone)]
pub struct Target {
    pub command: Vec<String>,
    pub directory: Option<PathBuf>,
    pub environment: BTreeMap<String, String>,
    /// Variables that are passed on from our own environment. Nothing else is, but PATH.
    pub pass_environment: Vec<String>,
    /// Variables whose values are hidden wherever they would be shown.
    pub secrets: BTreeMap<String, String>,
    pub timeout: Duration,
}

pub struct Program {
    home: Arc<Home>,
}

struct Home {
    name: String,
    target: Target,
    mask: Mask,
}

impl Program {
    pub fn new(name: &str, target: Target) -> Result<Self, Failure> {
        match target.command.first() {
            Some(program) if !program.is_empty() && !has_placeholder(program) => {
                let mask = Mask::new(target.secrets.values().cloned());
                Ok(Self { home: Arc::new(Home { name: name.to_owned(), target, mask }) })
            }
            Some(_) | None => Err(Failure::permanent(format!(
                "[metrics.{name}] command must begin with a program, without a placeholder in its \
                 name"
            ))),
        }
    }

    /// Only the question makes it run, so it is only looked for.
    pub(super) fn greet(&self) -> Result<(), Failure> {
        match process::is_there(&self.home.target.command[0]) {
            true => Ok(()),
            false => Err(self.home.odd("is not a program here: install it, or mend its command")),
        }
    }
}

#[async_trait]
impl Metrics for Program {
    async fn read(&self, question: &Question) -> Result<Vec<Series>, Failure> {
        let (home, question) = (self.home.clone(), question.clone());
        // On its own, so that whoever stops waiting leaves nothing behind that nobody ends.
        let run = tokio::spawn(async move { home.measure(&question).await });
        run.await.map_err(|why| Failure::transient(format!("the measurement broke off: {why}")))?
    }
}

/// What it printed, and how it ended.
struct Printed {
    out: Vec<u8>,
    err: Vec<u8>,
    status: ExitStatus,
}

enum Trouble {
    TooMuch,
    Lost(std::io::Error),
}

impl Home {
    async fn measure(&self, question: &Question) -> Result<Vec<Series>, Failure> {
        let key = format!("measure-{}-{}", std::process::id(), next());
        let mut command = self.command(question, &key)?;
        let mut child = command.spawn().map_err(|why| {
            let key = format!("[metrics.{}] command", self.name);
            process::not_started(&key, &self.target.command[0], &why)
        })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let limit = self.target.timeout;
        let printed = timeout(limit, printed(&mut child)).await;
        // Whatever it has started ends with it, however it ended.
        let traces = Traces::new(&key, &run_directory(), group);
        if !matches!(printed, Ok(Ok(_))) || traces.lives() {
            traces.stop(GRACE).await?;
        }
        match printed {
            Ok(Ok(printed)) => self.understood(&printed),
            Ok(Err(Trouble::TooMuch)) => {
                Err(self.odd(&format!("prints more than {} KiB", MOST / 1024)))
            }
            Ok(Err(Trouble::Lost(why))) => Err(self.later(&format!("cannot be heard: {why}"))),
            Err(_) => Err(self.later(&format!("did not end within {limit:?}, and was stopped"))),
        }
    }

    fn command(&self, question: &Question, key: &str) -> Result<Command, Failure> {
        let target = &self.target;
        let known = [
            ("query", question.query.clone()),
            ("from", format!("{:.3}", unix(question.from))),
            ("to", format!("{:.3}", unix(question.to))),
            ("step", format!("{:.3}", question.step.as_secs_f64())),
        ];
        let value = |name: &str| {
            let found = known.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone()).ok_or_else(|| {
                self.odd(&format!("wants `{{{name}}}` in an argument, and nothing fills it"))
            })
        };
        let (program, arguments) = target.command.split_first().expect("`new` refuses none");
        let environment = process::environment(&target.pass_environment, &target.environment);
        let mut command = process::command(program, &environment);
        for argument in arguments {
            command.arg(fill_with(argument, value)?);
        }
        command
            .envs(&target.secrets)
            .envs(known.map(|(name, value)| (format!("TMINUS_{}", name.to_uppercase()), value)))
            .env(process::KEY, key)
            .env(process::RUN, run_directory())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &target.directory {
            process::stand_in(&mut command, &format!("[metrics.{}]", self.name), directory)?;
        }
        Ok(command)
    }

    fn understood(&self, printed: &Printed) -> Result<Vec<Series>, Failure> {
        let text = |bytes: &[u8]| self.mask.hide(&String::from_utf8_lossy(bytes));
        let (out, err) = (text(&printed.out), text(&printed.err));
        if !printed.status.success() {
            let line = last_line(&err).or_else(|| last_line(&out));
            let line = line.map_or_else(String::new, |line| format!(": {}", quoted(&line)));
            let why = format!("does not measure: {}{line}", process::in_words(printed.status));
            return Err(match printed.status.code() {
                Some(TRY_LATER) | None => self.later(&why),
                Some(_) => self.odd(&why),
            });
        }
        let points = points(&out, SystemTime::now()).map_err(|why| self.odd(&why))?;
        Ok(vec![Series { name: String::new(), points }])
    }

    fn odd(&self, why: &str) -> Failure {
        Failure::permanent(format!("{} {why}", self.shown()))
    }

    fn later(&self, why: &str) -> Failure {
        Failure::transient(format!("{} {why}", self.shown()))
    }

    fn shown(&self) -> String {
        format!("`{}` (`{}`)", self.name, self.target.command[0])
    }
}

/// Two of our own at the same time are told apart by it.
fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Measurements leave nothing on disk; the number in the key tells ours from all others.
fn run_directory() -> PathBuf {
    PathBuf::from("/nonexistent")
}

async fn printed(child: &mut Child) -> Result<Printed, Trouble> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = tokio::try_join!(all(out), all(err))?;
    let status = child.wait().await.map_err(Trouble::Lost)?;
    Ok(Printed { out, err, status })
}

async fn all(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    let Some(stream) = stream else { return Ok(bytes) };
    let read = stream.take(MOST + 1).read_to_end(&mut bytes).await.map_err(Trouble::Lost)?;
    if read as u64 > MOST { Err(Trouble::TooMuch) } else { Ok(bytes) }
}

/// One number, or a number and a time in each line.
fn points(text: &str, now: SystemTime) -> Result<Vec<(SystemTime, f64)>, String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Err("prints nothing, where a number is wanted".to_owned());
    }
    let one = |line: &&str| {
        let wrong = || format!("prints \"{}\", where a number is wanted", quoted(line));
        let mut words = line.split_whitespace();
        let value = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
        let at = match words.next().map(str::parse) {
            None if lines.len() == 1 => now,
            None => return Err(format!("prints {} lines, and not each has a time", lines.len())),
            Some(Ok(seconds)) => told_instant(seconds).map_err(|why| format!("says that {why}"))?,
            Some(Err(_)) => return Err(wrong()),
        };
        if words.next().is_some() { Err(wrong()) } else { Ok((at, value)) }
    };
    let mut points = lines.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    points.sort_by_key(|(at, _)| *at);
    Ok(points)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_number_is_of_the_present_and_lines_have_their_times() {
        let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let read = |text| points(text, now);
        assert_eq!(read("0.31\n"), Ok(vec![(now, 0.31)]));
        assert_eq!(read("  -1e3 \n\n"), Ok(vec![(now, -1000.0)]));
        assert!(read("NaN").is_ok_and(|points| points[0].1.is_nan()));
        assert_eq!(read("+Inf"), Ok(vec![(now, f64::INFINITY)]));
        let before = now - Duration::from_millis(500);
        let two = Ok(vec![(before, 1.0), (now, 2.0)]);
        assert_eq!(read("2 1767225600\n1 1767225599.5\n"), two);
    }

    #[test]
    fn anything_else_is_told_with_what_was_printed() {
        let read = |text| points(text, UNIX_EPOCH).expect_err(text);
        assert_eq!(read(" \n"), "prints nothing, where a number is wanted");
        for text in ["0,31", "31%", "rate: 3", "1 2 3", "1 noon", "{}"] {
            assert_eq!(read(text), format!("prints \"{text}\", where a number is wanted"));
        }
        assert_eq!(read("1\n2"), "prints 2 lines, and not each has a time");
        let late = "says that the time 1767225600000 is not in seconds since 1970: \
                    are these milliseconds?";
        assert_eq!(read("1 1767225600000"), late);
        assert!(read("1 -5").contains("not in seconds"));
    }
}
