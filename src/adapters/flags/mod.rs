//! Feature flags: the providers, and the backend that changes a flag as a run like any other.

pub mod file;
pub mod unleash;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::adapters::output::{Mask, sum_up_text};
use crate::ports::{Deployer, Failure, FlagState, Flags, Line, Outcome, Ran, Run, Sighting};

pub use file::FlagFile;
pub use unleash::Unleash;

/// Opens `flag` for `percent` of those who ask `provider`.
pub const SET: &str = "flag-set";
/// Switches `flag` of `provider` off.
pub const KILL: &str = "flag-kill";

/// Between two tries of a provider that may work later, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How near to what was asked a share is the same.
const SAME: f64 = 0.001;

/// Changes flags. Whoever cannot be reached is tried again within the time limit of the run, and
/// no longer: a rollback waits behind it.
pub struct FlagBackend {
    providers: BTreeMap<String, Arc<dyn Flags>>,
    live: Mutex<BTreeMap<String, Live>>,
}

/// A run that is under way.
#[derive(Clone, Default)]
struct Live {
    stop: CancellationToken,
    ended: CancellationToken,
}

impl FlagBackend {
    pub const ACTIONS: [&str; 2] = [SET, KILL];

    pub fn new(providers: BTreeMap<String, Arc<dyn Flags>>) -> Self {
        Self { providers, live: Mutex::default() }
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        // The map is whole after each statement that changes it.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<'a>(&'a self, run: &'a Run) -> Result<Change<'a>, Failure> {
        let (provider, flag) = (given(run, "provider")?, given(run, "flag")?);
        let percent = match run.action.as_str() {
            SET => Some(percent(given(run, "percent")?)?),
            KILL => None,
            other => {
                return Err(Failure::permanent(format!("there is no way to `{other}` a flag")));
            }
        };
        let flags = self.providers.get(provider).ok_or_else(|| self.unknown(provider))?;
        Ok(Change { provider, flag, percent, flags: flags.as_ref() })
    }

    fn unknown(&self, provider: &str) -> Failure {
        let known: Vec<_> = self.providers.keys().map(String::as_str).collect();
        let known = match known.as_slice() {
            [] => "none is configured".to_owned(),
            known => format!("configured are {}", known.join(", ")),
        };
        Failure::permanent(format!(
            "there is no flag provider `{provider}`: {known}; add [flags.{provider}]"
        ))
    }
}

#[async_trait]
impl Deployer for FlagBackend {
    async fn run(&self, run: &Run, line: &Line<'_>) -> Result<Ran, Failure> {
        let change = self.change(run)?;
        let live = Live::default();
        self.live().insert(run.key.clone(), live.clone());
        let _over = Over { backend: self, key: &run.key, live: &live };
        let begun = Instant::now();
        let tried = tokio::select! {
            tried = change.carry_out(begun + run.limit, line) => tried,
            () = live.stop.cancelled() => Tried {
                outcome: Outcome::Stopped,
                said: format!("{}: stopped; the last call may have been carried out", change.what()),
            },
        };
        tried.said.lines().for_each(line);
        Ok(tried.ran(begun.elapsed()))
    }

    async fn stop(&self, run: &Run) -> Result<(), Failure> {
        let live = self.live().get(&run.key).cloned();
        if let Some(live) = live {
            live.stop.cancel();
            live.ended.cancelled().await;
        }
        Ok(())
    }

    /// A flag that is as it was to be is as good as set. If it is not, the call may still be on its
    /// way: nobody can tell, and doing it again does no harm.
    async fn look(&self, run: &Run) -> Result<Sighting, Failure> {
        if self.live().contains_key(&run.key) {
            return Ok(Sighting::Running);
        }
        let change = self.change(run)?;
        Ok(match change.flags.state(change.flag).await {
            Ok(state) if change.is_done(&state) == Some(true) => {
                let said = format!("{}: {}.\n{FOLLOW}", change.what(), words(&state));
                Sighting::Ended(Tried { outcome: Outcome::Worked, said }.ran(Duration::ZERO))
            }
            Ok(state) => Sighting::Unknown(format!("{} is {}", change.what(), words(&state))),
            Err(why) => Sighting::Unknown(format!("{} cannot be read: {why}", change.what())),
        })
    }
}

/// Takes a run off the list however it ends, also when nobody waits for it any more.
struct Over<'a> {
    backend: &'a FlagBackend,
    key: &'a str,
    live: &'a Live,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.backend.live().remove(self.key);
        self.live.ended.cancel();
    }
}

// ---------------------------------------------------------------------------------------------
// One change

/// A share to set, or none to kill.
struct Change<'a> {
    provider: &'a str,
    flag: &'a str,
    percent: Option<f64>,
    flags: &'a dyn Flags,
}

struct Tried {
    outcome: Outcome,
    said: String,
}

impl Tried {
    fn failed(change: &Change<'_>, why: &str) -> Self {
        Self { outcome: Outcome::Failed(why.to_owned()), said: format!("{}: {why}", change.what()) }
    }

    fn ran(self, took: Duration) -> Ran {
        let (tail, digest) = sum_up_text(&self.said, &Mask::default());
        Ran { outcome: self.outcome, tail, digest, took }
    }
}

/// Nobody here knows when the last client has heard of it.
const FOLLOW: &str = "The provider has it. Its clients follow within their own poll interval; until \
     then they go by what they heard last.";

impl Change<'_> {
    /// `checkout` at `shop`.
    fn what(&self) -> String {
        format!("`{}` at `{}`", self.flag, self.provider)
    }

    async fn carry_out(&self, until: Instant, line: &Line<'_>) -> Tried {
        let mut last = None;
        match timeout_at(until, self.insist(line, &mut last)).await {
            Ok(Ok(())) => self.read_back(until).await,
            Ok(Err(why)) => Tried::failed(self, &why.to_string()),
            Err(_) => match last {
                Some(why) => Tried::failed(self, &format!("tried until the time limit: {why}")),
                None => Tried {
                    outcome: Outcome::TimedOut,
                    said: format!("{}: no answer within the time limit", self.what()),
                },
            },
        }
    }

    /// Until the provider has it, or says that it never will.
    async fn insist(&self, line: &Line<'_>, last: &mut Option<String>) -> Result<(), Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            let tried = match self.percent {
                Some(percent) => self.flags.set(self.flag, percent).await,
                None => self.flags.kill(self.flag).await,
            };
            let (why, asked) = match tried {
                Ok(()) => return Ok(()),
                Err(Failure::Transient { why, retry_after }) => (why, retry_after),
                // Setting it twice is setting it.
                Err(Failure::Unknown { why }) => (why, None),
                // New credentials may come too late for whoever waits behind this.
                Err(failure @ (Failure::Permanent { .. } | Failure::NoEntry { .. })) => {
                    return Err(failure);
                }
            };
            line(&format!("{why}; trying again"));
            *last = Some(why);
            sleep(asked.unwrap_or(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What was taken is not yet what is there. That it cannot be read does not undo it.
    async fn read_back(&self, until: Instant) -> Tried {
        let worked = |said| Tried { outcome: Outcome::Worked, said };
        let (what, wish) = (self.what(), self.wish());
        match timeout_at(until, self.flags.state(self.flag)).await {
            Ok(Ok(state)) if self.is_done(&state) == Some(false) => {
                Tried::failed(self, &format!("was to be {wish}, and reads {}", words(&state)))
            }
            Ok(Ok(state)) => worked(format!("{what}: {}.\n{FOLLOW}", words(&state))),
            Ok(Err(why)) => {
                worked(format!("{what}: {wish}, but cannot be read back: {why}\n{FOLLOW}"))
            }
            Err(_) => worked(format!("{what}: {wish}, but not read back in time\n{FOLLOW}")),
        }
    }

    fn wish(&self) -> String {
        match self.percent {
            Some(percent) => words(&FlagState { on: percent > 0.0, percent: Some(percent) }),
            None => words(&FlagState { on: false, percent: Some(0.0) }),
        }
    }

    /// `None` where the provider does not know the share as one number.
    fn is_done(&self, state: &FlagState) -> Option<bool> {
        match self.percent.filter(|percent| *percent > 0.0) {
            None => Some(!state.on),
            Some(_) if !state.on => Some(false),
            Some(wanted) => state.percent.map(|percent| (percent - wanted).abs() < SAME),
        }
    }
}

fn words(state: &FlagState) -> String {
    match (state.on, state.percent) {
        (false, _) => "off".to_owned(),
        (true, Some(percent)) => format!("open for {percent} %"),
        (true, None) => "on, for a share that is not one number".to_owned(),
    }
}

// ---------------------------------------------------------------------------------------------
// What a run gives

fn given<'a>(run: &'a Run, name: &str) -> Result<&'a str, Failure> {
    let value = run.with.get(name).map(String::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| Failure::permanent(format!("`{}` needs a `{name}`", run.action)))
}

/// As a plan writes a share: `25` or `0.5`, and nothing that only a computer takes for a number.
fn percent(text: &str) -> Result<f64, Failure> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let read = text.parse().ok().filter(|_| digits(whole) && digits(part) && part.len() <= 3);
    let read = read.ok_or_else(|| {
        let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
        Failure::permanent(format!(
            "\"{shown}\" is not a share in percent: write a number from 0 to 100 with at most three \
             digits after the point"
        ))
    });
    percentage(read?)
}

fn percentage(percent: f64) -> Result<f64, Failure> {
    if (0.0..=100.0).contains(&percent) {
        return Ok(percent);
    }
    Err(Failure::permanent(format!("{percent} % is no share: give one from 0 to 100")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_as_people_write_it() {
        for (text, share) in
            [("0", 0.0), ("25", 25.0), ("0.5", 0.5), ("100", 100.0), ("33.333", 33.333)]
        {
            assert_eq!(percent(text), Ok(share), "{text}");
        }
        let odd = ["", " 25", "25 ", "25%", "+5", "-5", "1e1", "inf", "nan", ".5", "5.", "1.2.3"];
        let beyond = ["100.001", "101", "1000000000000", "0.0001", "½", "0x10", "٢٥"];
        for text in odd.into_iter().chain(beyond) {
            let refused = percent(text).expect_err(text);
            assert!(matches!(refused, Failure::Permanent { .. }), "{text}");
        }
        assert!(percentage(f64::NAN).is_err() && percentage(-0.1).is_err());
    }
}
