//! Feature flags by programs of the operator's choice, so that every provider can be used: argument
//! lists like those of actions, run in the same way.
//!
//! `set` is given `{flag}` and `{percent}`, `kill` and `state` are given `{flag}`. Exit status 0 says
//! that it is done. The last line that `state` prints is the state: `off`, `on`, or the share as a
//! number from 0 to 100.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::program::{Program, ProgramAction};
use crate::adapters::output;
use crate::ports::{Failure, FlagState, Flags, Outcome, Ran, Run};

/// What the operator allows to be run.
#[derive(Debug, Clone, Default)]
pub struct FlagCommands {
    pub set: Vec<String>,
    pub kill: Vec<String>,
    pub state: Vec<String>,
    pub directory: Option<PathBuf>,
    /// Variables that are passed on from our own environment. Nothing else is, but PATH.
    pub pass_environment: Vec<String>,
    /// Variables whose values are hidden in all that is said.
    pub secrets: BTreeMap<String, String>,
    /// For each single command.
    pub timeout: Duration,
}

pub struct FlagCommand {
    name: String,
    program: Program,
    timeout: Duration,
}

impl FlagCommand {
    /// `name` is that of its section in the configuration.
    pub fn new(name: &str, commands: FlagCommands) -> Self {
        let FlagCommands { set, kill, state, directory, pass_environment, secrets, timeout } =
            commands;
        let hidden: BTreeSet<String> = secrets.keys().cloned().collect();
        let values = secrets.values().cloned().collect();
        let action = |(verb, command): (&str, Vec<String>)| {
            let action = ProgramAction {
                command,
                directory: directory.clone(),
                environment: secrets.clone(),
                pass_environment: pass_environment.clone(),
                secret_environment: hidden.clone(),
                status: None,
                limit: Some(timeout),
            };
            (action_of(name, verb), action)
        };
        let actions = [("set", set), ("kill", kill), ("state", state)].into_iter().map(action);
        // It is only asked, so no run ever needs a directory.
        let program = Program::new(PathBuf::from("/nonexistent"), actions.collect(), values);
        Self { name: name.to_owned(), program, timeout }
    }

    async fn ask(&self, verb: &str, flag: &str, percent: Option<f64>) -> Result<Ran, Failure> {
        let percent = percent.map(|percent| ("percent".to_owned(), percent.to_string()));
        let flag = [("flag".to_owned(), flag.to_owned())];
        let run = Run {
            key: format!("flags/{}/{verb}", self.name),
            action: action_of(&self.name, verb),
            with: flag.into_iter().chain(percent).collect(),
            limit: self.timeout,
        };
        let ran = self.program.ask(&run, &format!("[flags.{}] {verb}", self.name)).await?;
        let what = format!("`{verb}` of [flags.{}]", self.name);
        match &ran.outcome {
            Outcome::Worked => Ok(ran),
            Outcome::Failed(why) => Err(Failure::permanent(format!("{what} failed: {why}"))),
            Outcome::TimedOut | Outcome::Stopped => {
                let seconds = self.timeout.as_secs_f64();
                Err(Failure::transient(format!("{what} took over {seconds} s and was stopped")))
            }
        }
    }
}

fn action_of(name: &str, verb: &str) -> String {
    format!("flags.{name}.{verb}")
}

#[async_trait]
impl Flags for FlagCommand {
    async fn set(&self, flag: &str, percent: f64) -> Result<(), Failure> {
        self.ask("set", flag, Some(percent)).await.map(|_| ())
    }

    async fn kill(&self, flag: &str) -> Result<(), Failure> {
        self.ask("kill", flag, None).await.map(|_| ())
    }

    async fn state(&self, flag: &str) -> Result<FlagState, Failure> {
        let ran = self.ask("state", flag, None).await?;
        let last = output::last_line(&ran.tail).unwrap_or_default();
        understood(&last).ok_or_else(|| {
            Failure::permanent(format!(
                "`state` of [flags.{}] ended with \"{last}\": let its last line be `off`, `on` or \
                 the share in percent",
                self.name
            ))
        })
    }
}

fn understood(said: &str) -> Option<FlagState> {
    let share = |share: &str| share.parse().ok().filter(|share| (0.0..=100.0).contains(share));
    match said.to_ascii_lowercase().as_str() {
        "off" => Some(FlagState { on: false, percent: Some(0.0) }),
        "on" => Some(FlagState { on: true, percent: None }),
        number => share(number.trim_end_matches('%').trim_end())
            .map(|share| FlagState { on: share > 0.0, percent: Some(share) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_said_in_a_word_or_a_number() {
        let state = |on, percent| Some(FlagState { on, percent });
        assert_eq!(understood("off"), state(false, Some(0.0)));
        assert_eq!(understood("ON"), state(true, None));
        assert_eq!(understood("12.5 %"), state(true, Some(12.5)));
        assert_eq!(understood("0"), state(false, Some(0.0)));
        for said in ["", "true", "-1", "101", "NaN", "inf", "25 25"] {
            assert_eq!(understood(said), None, "{said}");
        }
    }
}
