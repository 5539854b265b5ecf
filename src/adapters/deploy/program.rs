//! Deploys by running a program of the operator's choice: an argument list, never a shell.
//!
//! Each run has a directory of its own, `runs/<key>`, readable by us alone, since the output in it
//! is not masked:
//!
//! - `output`: what it prints, both streams. A file rather than a pipe, so that the program
//!   survives a crash of ours.
//! - `process`: the number of its process group and when that began.
//! - `ended`: how it ended, once we know. With it a run is never begun again under the same key.
//!
//! A `status` command answers for a run that nobody watched to its end. Its exit status says:
//! 0 worked, 1 failed, 3 never began, 4 still running, anything else unknown.
//!
//! A program outlives us only if nobody else ends it: under systemd set `KillMode=process`.
//!
//! A step that prints more than the ceiling (1 GiB) is stopped and has failed: the disk that it
//! fills is the one that the log is on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::future::pending;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tracing::warn;

use super::{fill, unknown_action};
use crate::adapters::fill::has_placeholder;
use crate::adapters::output::{self, Follower, Mask};
use crate::adapters::process::{self, Traces};
use crate::ports::{Deployer, Failure, Line, Outcome, Ran, Run, Sighting};

const FOLLOW_EVERY: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_secs(10);
const CEILING: u64 = 1 << 30;
const STATUS_LIMIT: Duration = Duration::from_secs(30);

/// What the operator allows to be run.
#[derive(Debug, Clone, Default)]
pub struct ProgramAction {
    /// The program and its arguments; `{name}` inside of an argument is filled by the step.
    pub command: Vec<String>,
    pub directory: Option<PathBuf>,
    pub environment: BTreeMap<String, String>,
    /// Variables that are passed on from our own environment. Nothing else is, but PATH.
    pub pass_environment: Vec<String>,
    /// Variables whose values are hidden in all output.
    pub secret_environment: BTreeSet<String>,
    /// Asked for the outcome of a run that nobody saw end; see the head of this file.
    pub status: Option<Vec<String>>,
    /// The operator's ceiling for the step's own limit.
    pub limit: Option<Duration>,
}

/// Runs programs. Cheap to clone; dropping it leaves what runs alone.
#[derive(Clone)]
pub struct Program {
    home: Arc<Home>,
}

struct Home {
    directory: PathBuf,
    actions: BTreeMap<String, ProgramAction>,
    mask: Mask,
    grace: Duration,
    ceiling: u64,
    live: Mutex<BTreeMap<String, Live>>,
}

/// A run that we started and still watch.
#[derive(Clone)]
struct Live {
    stop: Arc<watch::Sender<bool>>,
    ended: watch::Receiver<Option<Result<Ran, Failure>>>,
    /// Where the one who follows begins to read.
    from: u64,
}

impl Live {
    fn over(ran: Ran, files: &Files) -> Self {
        let (stop, _) = watch::channel(false);
        let (_, ended) = watch::channel(Some(Ok(ran)));
        Self { stop: Arc::new(stop), ended, from: files.printed() }
    }
}

impl Program {
    /// `directory` is for the runs; `secrets` are hidden wherever a program prints them.
    pub fn new(
        directory: PathBuf,
        actions: BTreeMap<String, ProgramAction>,
        secrets: Vec<String>,
    ) -> Self {
        let (grace, ceiling, live) = (GRACE, CEILING, Mutex::default());
        // A run is found again by the name of its directory, so it must not depend on ours.
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        let mask = Mask::new(secrets);
        Self { home: Arc::new(Home { directory, actions, mask, grace, ceiling, live }) }
    }

    /// Another time between TERM and KILL, and another ceiling for an output.
    #[must_use]
    pub fn with_limits(self, grace: Duration, ceiling: u64) -> Self {
        let home = &self.home;
        let (directory, actions) = (home.directory.clone(), home.actions.clone());
        let (mask, live) = (home.mask.clone(), Mutex::default());
        Self { home: Arc::new(Home { directory, actions, mask, grace, ceiling, live }) }
    }

    pub fn knows(&self, action: &str) -> bool {
        self.home.actions.contains_key(action)
    }

    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.home.actions.keys().map(String::as_str)
    }

    /// The command that a run would execute, for a document or a confirmation.
    pub fn resolved(&self, run: &Run) -> Result<Vec<String>, Failure> {
        let action = self.home.action(run)?;
        arguments(&action.command, run, "command")
    }

    /// Runs an action that is a question, or done twice as well as once: to its end, whether or not
    /// anybody waits, and with nothing left of it but what it said. `key` is where the
    /// configuration names its command.
    pub(super) async fn ask(&self, run: &Run, key: &str) -> Result<Ran, Failure> {
        let (home, run, key) = (self.home.clone(), run.clone(), key.to_owned());
        let asked = tokio::spawn(async move { home.ask_action(&run, &key).await });
        asked.await.unwrap_or_else(|why| Err(Failure::unknown(format!("it broke off: {why}"))))
    }
}

#[async_trait]
impl Deployer for Program {
    /// A run that has ended answers again what it answered. One that lives is followed further if
    /// this process started it, and is `Unknown` if another did.
    async fn run(&self, run: &Run, line: &Line<'_>) -> Result<Ran, Failure> {
        let files = self.home.files(run);
        let live = Home::begin(&self.home, run, &files)?;
        follow(live, &files.output(), &self.home.mask_of(run)?, line).await
    }

    async fn stop(&self, run: &Run) -> Result<(), Failure> {
        let live = self.home.live().get(&run.key).cloned();
        match live {
            Some(mut live) => {
                live.stop.send_replace(true);
                wait_for_end(&mut live.ended).await.map(|_| ())
            }
            None => self.home.files(run).traces(run).stop(self.home.grace).await,
        }
    }

    async fn look(&self, run: &Run) -> Result<Sighting, Failure> {
        let files = self.home.files(run);
        // In this order: a run that ends is noted before it is no longer live.
        if self.home.live().contains_key(&run.key) {
            return Ok(Sighting::Running);
        }
        if let Some(ran) = files.ended() {
            return Ok(Sighting::Ended(ran));
        }
        if files.traces(run).lives() {
            return Ok(Sighting::Running);
        }
        self.home.ask_status(run, &files).await
    }
}

async fn follow(
    mut live: Live,
    output: &Path,
    mask: &Mask,
    line: &Line<'_>,
) -> Result<Ran, Failure> {
    let lost = |why: io::Error| Failure::unknown(format!("its output cannot be read: {why}"));
    let mut follower = Follower::open(output, live.from).await.map_err(lost)?;
    let mut tick = interval(FOLLOW_EVERY);
    loop {
        tokio::select! {
            ended = wait_for_end(&mut live.ended) => {
                follower.pull(mask, line).await.map_err(lost)?;
                follower.finish(mask, line);
                return ended;
            }
            _ = tick.tick() => follower.pull(mask, line).await.map_err(lost)?,
        }
    }
}

async fn wait_for_end(
    ended: &mut watch::Receiver<Option<Result<Ran, Failure>>>,
) -> Result<Ran, Failure> {
    match ended.wait_for(Option::is_some).await.map(|ended| ended.clone()) {
        Ok(Some(ended)) => ended,
        Ok(None) | Err(_) => Err(Failure::unknown("nobody watches the program any more")),
    }
}

// ---------------------------------------------------------------------------------------------
// Beginning

impl Home {
    fn live(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        // The map is whole after each statement that changes it.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn action(&self, run: &Run) -> Result<&ProgramAction, Failure> {
        self.actions.get(&run.action).ok_or_else(|| {
            let names: Vec<_> = self.actions.keys().map(String::as_str).collect();
            unknown_action(&run.action, &names)
        })
    }

    fn mask_of(&self, run: &Run) -> Result<Mask, Failure> {
        let action = self.action(run)?;
        let secret = |(name, value)| action.secret_environment.contains(&name).then_some(value);
        Ok(self.mask.and(environment(action).into_iter().filter_map(secret)))
    }

    fn files(&self, run: &Run) -> Files {
        Files { directory: self.directory.join("runs").join(safe_name(&run.key)) }
    }

    /// Starts the program, unless it runs. There is no await in here: a caller that goes away
    /// cannot leave a child behind that nobody watches.
    fn begin(home: &Arc<Self>, run: &Run, files: &Files) -> Result<Live, Failure> {
        let action = home.action(run)?;
        let mut all = home.live();
        if let Some(live) = all.get(&run.key) {
            return Ok(Live { from: files.printed(), ..live.clone() });
        }
        // Under the lock: a run that ends is noted before it is no longer live.
        if let Some(ran) = files.ended() {
            return Ok(Live::over(ran, files));
        }
        if files.directory.exists() && files.traces(run).lives() {
            return Err(Failure::unknown(format!(
                "`{}` still runs from before under the key {}",
                run.action, run.key
            )));
        }
        let mut command = command(action, &action.command, run, "command")?;
        let output = files.create().map_err(|why| files.trouble(&why))?;
        let copy = output.try_clone().map_err(|why| files.trouble(&why))?;
        command.env(process::RUN, &files.directory).stdout(copy).stderr(output);
        let child = command.spawn().map_err(|why| {
            let key = format!("[actions.{}] command", run.action);
            process::not_started(&key, &action.command[0], &why)
        })?;
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = watch::channel(None);
        let live = Live { stop: Arc::new(stop), ended, from: 0 };
        all.insert(run.key.clone(), live.clone());
        drop(all);
        tokio::spawn(watch_over(home.clone(), run.clone(), child, stopping, end));
        Ok(live)
    }
}

/// Everything about a process but where its output goes.
fn command(
    action: &ProgramAction,
    template: &[String],
    run: &Run,
    what: &str,
) -> Result<Command, Failure> {
    let arguments = arguments(template, run, what)?;
    let (program, arguments) = arguments.split_first().expect("`arguments` refuses none");
    let mut command = process::command(program, &environment(action));
    command
        .args(arguments)
        .env(process::KEY, &run.key)
        .env("TMINUS_ACTION", &run.action)
        .stdin(Stdio::null())
        .process_group(0)
        // A deploy must survive the bot that asked for it.
        .kill_on_drop(false);
    if let Some(directory) = &action.directory {
        process::stand_in(&mut command, &format!("[actions.{}]", run.action), directory)?;
    }
    Ok(command)
}

fn arguments(template: &[String], run: &Run, what: &str) -> Result<Vec<String>, Failure> {
    let action = &run.action;
    match template.first() {
        Some(program) if !program.is_empty() && !has_placeholder(program) => {
            template.iter().map(|argument| fill(argument, action, &run.with)).collect()
        }
        Some(_) | None => Err(Failure::permanent(format!(
            "[actions.{action}] {what} must begin with a program, without a placeholder in its name"
        ))),
    }
}

fn environment(action: &ProgramAction) -> BTreeMap<String, String> {
    process::environment(&action.pass_environment, &action.environment)
}

// ---------------------------------------------------------------------------------------------
// Watching

enum Ending {
    ByItself(io::Result<ExitStatus>),
    Late,
    Asked,
    TooMuch,
}

/// Sees a program to its end, whether or not anybody follows it.
async fn watch_over(
    home: Arc<Home>,
    run: Run,
    mut child: Child,
    stopping: watch::Receiver<bool>,
    end: watch::Sender<Option<Result<Ran, Failure>>>,
) {
    let begun = Instant::now();
    let files = home.files(&run);
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    if let Err(why) = files.remember_process(group) {
        warn!(run.key = %run.key, "cannot note the process of run `{}`: {why}", run.key);
    }
    let limit =
        begun + home.actions[&run.action].limit.map_or(run.limit, |most| most.min(run.limit));
    let ending = how_it_ends(&mut child, limit, stopping, &files.output(), home.ceiling).await;
    let traces = Traces::new(&run.key, &files.directory, group);
    let ended = match stop_unless_ended(&ending, &home, &mut child, &traces).await {
        Ok(()) => home.sum_up(&run, files.output(), ending, begun.elapsed()).await,
        Err(why) => Err(why),
    };
    if let Ok(ran) = &ended
        && let Err(why) = files.remember_end(ran)
    {
        warn!(run.key = %run.key, "cannot note the end of run `{}`: {why}", run.key);
    }
    home.live().remove(&run.key);
    end.send_replace(Some(ended));
}

async fn how_it_ends(
    child: &mut Child,
    limit: Instant,
    mut stopping: watch::Receiver<bool>,
    output: &Path,
    ceiling: u64,
) -> Ending {
    tokio::select! {
        // An end of its own counts first: a step that worked was not stopped.
        biased;
        status = child.wait() => Ending::ByItself(status),
        Ok(_) = stopping.wait_for(|stop| *stop) => Ending::Asked,
        () = sleep_until(limit) => Ending::Late,
        () = grows_beyond(output, ceiling) => Ending::TooMuch,
    }
}

async fn grows_beyond(output: &Path, ceiling: u64) {
    let mut tick = interval(FOLLOW_EVERY);
    loop {
        tick.tick().await;
        match fs::metadata(output) {
            Ok(output) if output.len() > ceiling => return,
            Ok(_) => {}
            Err(_) => pending().await,
        }
    }
}

async fn stop_unless_ended(
    ending: &Ending,
    home: &Home,
    child: &mut Child,
    traces: &Traces,
) -> Result<(), Failure> {
    match ending {
        Ending::ByItself(_) => return Ok(()),
        Ending::Late | Ending::Asked | Ending::TooMuch => traces.stop(home.grace).await?,
    }
    // Nothing of it lives, so this only takes the child off the process table.
    if timeout(home.grace, child.wait()).await.is_err() {
        warn!("a stopped program could not be taken off the process table");
    }
    Ok(())
}

fn in_words(status: ExitStatus, last_line: Option<String>) -> Outcome {
    match (status.success(), last_line) {
        (true, _) => Outcome::Worked,
        (false, Some(line)) if status.code().is_some() => {
            Outcome::Failed(format!("{}: {line}", process::in_words(status)))
        }
        (false, _) => Outcome::Failed(process::in_words(status)),
    }
}

impl Home {
    async fn sum_up(
        &self,
        run: &Run,
        output: PathBuf,
        ending: Ending,
        took: Duration,
    ) -> Result<Ran, Failure> {
        let mask = self.mask_of(run)?;
        let read = tokio::task::spawn_blocking(move || output::sum_up(&output, &mask)).await;
        let (tail, digest) = match read.map_err(io::Error::other).flatten() {
            Ok(read) => read,
            // How it ended is worth more than what it said.
            Err(why) => (format!("(the output cannot be read: {why})"), String::new()),
        };
        let outcome = match ending {
            Ending::ByItself(Ok(status)) => in_words(status, output::last_line(&tail)),
            Ending::ByItself(Err(why)) => {
                return Err(Failure::unknown(format!("cannot tell how the program ended: {why}")));
            }
            Ending::Late => Outcome::TimedOut,
            Ending::Asked => Outcome::Stopped,
            Ending::TooMuch => {
                Outcome::Failed(format!("stopped: it printed more than {} bytes", self.ceiling))
            }
        };
        Ok(Ran { outcome, tail, digest, took })
    }

    /// Asks the operator's own command about a run that nobody saw end.
    async fn ask_status(&self, run: &Run, files: &Files) -> Result<Sighting, Failure> {
        let action = self.action(run)?;
        let Some(status) = &action.status else {
            return Ok(Sighting::Unknown(format!(
                "nobody saw how it ended, and it no longer runs ([actions.{}] names no status \
                 command to ask)",
                run.action
            )));
        };
        let command = command(action, status, run, "status")?;
        let answer = tempfile::NamedTempFile::new().map_err(|why| files.trouble(&why))?;
        match self.ask(run, command, &answer, STATUS_LIMIT).await? {
            Asked::Ended(ended) => {
                let code = ended.ok().and_then(|ended| ended.code());
                self.understand(run, files, code, answer.path())
            }
            Asked::NotStarted(why) => {
                let program = &status[0];
                Ok(Sighting::Unknown(format!("status command `{program}`: {why}")))
            }
            Asked::Late => Ok(Sighting::Unknown("the status command took over 30 s".to_owned())),
        }
    }

    async fn ask_action(&self, run: &Run, key: &str) -> Result<Ran, Failure> {
        let action = self.action(run)?;
        let command = command(action, &action.command, run, "command")?;
        let lost = |why: io::Error| Failure::transient(format!("cannot keep what it says: {why}"));
        let answer = tempfile::NamedTempFile::new().map_err(lost)?;
        let (begun, limit) = (Instant::now(), action.limit.unwrap_or(run.limit));
        let ending = match self.ask(run, command, &answer, limit).await? {
            Asked::Ended(ended) => Ending::ByItself(ended),
            Asked::NotStarted(why) => {
                return Err(process::not_started(key, &action.command[0], &why));
            }
            Asked::Late => Ending::Late,
        };
        self.sum_up(run, answer.path().to_owned(), ending, begun.elapsed()).await
    }

    /// Runs a short command that has no directory of its own, and stops it at the limit.
    async fn ask(
        &self,
        run: &Run,
        mut command: Command,
        answer: &tempfile::NamedTempFile,
        limit: Duration,
    ) -> Result<Asked, Failure> {
        let copy = || {
            answer.as_file().try_clone().map_err(|why| {
                Failure::transient(format!("cannot keep what it says: {why}; nothing was started"))
            })
        };
        let mut child = match command.stdout(copy()?).stderr(copy()?).spawn() {
            Ok(child) => child,
            Err(why) => return Ok(Asked::NotStarted(why)),
        };
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        match timeout(limit, child.wait()).await {
            Ok(ended) => Ok(Asked::Ended(ended)),
            Err(_) => {
                let nothing_else = Path::new("/nonexistent");
                Traces::new(&run.key, nothing_else, group).stop(self.grace).await?;
                Ok(Asked::Late)
            }
        }
    }

    fn understand(
        &self,
        run: &Run,
        files: &Files,
        code: Option<i32>,
        answer: &Path,
    ) -> Result<Sighting, Failure> {
        let mask = self.mask_of(run)?;
        let (said, digest_of_answer) =
            output::sum_up(answer, &mask).map_err(|why| files.trouble(&why))?;
        let line = output::last_line(&said).map_or_else(String::new, |line| format!(": {line}"));
        let outcome = match code {
            Some(0) => Outcome::Worked,
            Some(1) => Outcome::Failed(format!("the status command says that it failed{line}")),
            Some(3) => return Ok(Sighting::NeverBegan),
            Some(4) => return Ok(Sighting::Running),
            Some(code) => {
                let why = format!("the status command cannot tell (exit status {code}){line}");
                return Ok(Sighting::Unknown(why));
            }
            None => return Ok(Sighting::Unknown("the status command was killed".to_owned())),
        };
        // What the run printed itself, where that is still there.
        let (tail, digest) =
            output::sum_up(&files.output(), &mask).unwrap_or((said, digest_of_answer));
        Ok(Sighting::Ended(Ran { outcome, tail, digest, took: files.lasted() }))
    }
}

/// How a short command ended.
enum Asked {
    Ended(io::Result<ExitStatus>),
    NotStarted(io::Error),
    Late,
}

// ---------------------------------------------------------------------------------------------
// The directory of a run

struct Files {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct ProcessNote {
    group: i32,
    started: u64,
}

#[derive(Serialize, Deserialize)]
struct EndNote {
    outcome: OutcomeNote,
    tail: String,
    digest: String,
    took: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OutcomeNote {
    Worked,
    Failed(String),
    TimedOut,
    Stopped,
}

impl Files {
    fn output(&self) -> PathBuf {
        self.directory.join("output")
    }

    fn printed(&self) -> u64 {
        fs::metadata(self.output()).map_or(0, |output| output.len())
    }

    fn create(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let output = self.output();
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(output)?;
        // A try that could not be started may have been here before.
        file.set_len(0)?;
        Ok(file)
    }

    fn trouble(&self, why: &io::Error) -> Failure {
        let directory = self.directory.display();
        Failure::transient(format!("cannot write to {directory}: {why}; nothing was started"))
    }

    fn traces(&self, run: &Run) -> Traces {
        let note: Option<ProcessNote> = self.read("process");
        let ours = note.filter(|note| process::started(note.group) == Some(note.started));
        Traces::new(&run.key, &self.directory, ours.map(|note| note.group))
    }

    fn remember_process(&self, group: Option<i32>) -> io::Result<()> {
        match group.and_then(|group| Some((group, process::started(group)?))) {
            Some((group, started)) => self.write("process", &ProcessNote { group, started }),
            // It is over already.
            None => Ok(()),
        }
    }

    fn remember_end(&self, ran: &Ran) -> io::Result<()> {
        let outcome = match ran.outcome.clone() {
            Outcome::Worked => OutcomeNote::Worked,
            Outcome::Failed(why) => OutcomeNote::Failed(why),
            Outcome::TimedOut => OutcomeNote::TimedOut,
            Outcome::Stopped => OutcomeNote::Stopped,
        };
        let (tail, digest) = (ran.tail.clone(), ran.digest.clone());
        self.write("ended", &EndNote { outcome, tail, digest, took: ran.took })
    }

    fn ended(&self) -> Option<Ran> {
        let note: EndNote = self.read("ended")?;
        let outcome = match note.outcome {
            OutcomeNote::Worked => Outcome::Worked,
            OutcomeNote::Failed(why) => Outcome::Failed(why),
            OutcomeNote::TimedOut => Outcome::TimedOut,
            OutcomeNote::Stopped => Outcome::Stopped,
        };
        Some(Ran { outcome, tail: note.tail, digest: note.digest, took: note.took })
    }

    /// From its start to the last that it printed: all that is left to tell of a run unwatched.
    fn lasted(&self) -> Duration {
        let changed = |path| fs::metadata(path).and_then(|file| file.modified()).ok();
        changed(self.output())
            .zip(changed(self.directory.join("process")))
            .and_then(|(last, first)| last.duration_since(first).ok())
            .unwrap_or_default()
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Option<T> {
        let bytes = fs::read(self.directory.join(name)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Whole or not at all, and durable: a run that ended must not seem unknown after a crash.
    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.as_file().sync_all()?;
        file.persist(self.directory.join(name))?;
        File::open(&self.directory)?.sync_all()
    }
}

/// A name that reads like the key, is a plain file name and is another one for another key.
fn safe_name(key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let start: String = key.chars().take(60).map(plain).collect();
    let digest = output::hex(&Sha256::digest(key.as_bytes()));
    format!("{}-{}", start.trim_start_matches('.'), &digest[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_plain_directory_of_its_own() {
        for key in ["..", "/etc/passwd", "a/../../b", "", "магазин", &"x".repeat(500)] {
            let name = safe_name(key);
            assert!(!name.starts_with('.') && !name.contains('/'), "{name}");
            assert!(name.is_ascii() && name.len() < 100, "{name}");
        }
        assert_ne!(safe_name("a/b"), safe_name("a-b"));
        assert!(safe_name("shop/v1.2.0#1").starts_with("shop-v1.2.0-1-"));
    }
}
