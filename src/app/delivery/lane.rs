//! Working on one lane: in order, with patience for what may work later.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::{error, warn};

use super::perform::Done;
use super::{Delivery, Job};
use crate::app::engine::Lost;
use crate::domain::command::{Command, RunEnd, RunOutcome};
use crate::domain::effect::Effect;
use crate::ports::Failure;
use crate::store::{self, Claim, CommitError, Waiting};

/// Between two tries, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Where a person has to mend something first, nobody hurries.
pub(super) const UNTIL_LET_IN: Duration = Duration::from_secs(5 * 60);
/// From an outcome that nobody heard to looking for it: beyond the neighbour's own time-out.
pub(super) const BEFORE_LOOKING: Duration = Duration::from_secs(10);
/// After this many tries a person is told.
const MOST_TRIES: u32 = 12;
/// A program whose end nobody heard of this often is left to a person.
const MOST_UNHEARD: u32 = 3;

impl Delivery {
    pub(super) async fn work(&self, lane: String) {
        loop {
            if self.can_wait(&lane) {
                self.0.engine.stand_aside().await;
            }
            let Some(job) = self.next(&lane) else { break };
            match job {
                Job::Effect(waiting, claim) => self.effect(waiting, claim).await,
                Job::Card(card) => self.card(card).await,
            }
        }
        self.0.quiet.notify_waiters();
    }

    /// Whether what comes next was not claimed ahead.
    fn can_wait(&self, lane: &str) -> bool {
        let lanes = self.0.lanes.lock().expect("never held in a panic");
        let next = lanes.get(lane).and_then(|lane| lane.jobs.front());
        matches!(next, Some(Job::Card(_) | Job::Effect(_, None)))
    }

    /// The lane goes when it is dry, so that a million finished releases cost nothing here.
    fn next(&self, lane: &str) -> Option<Job> {
        let mut lanes = self.0.lanes.lock().expect("never held in a panic");
        let queue = lanes.get_mut(lane)?;
        if self.0.stop.is_cancelled() {
            // What is claimed is given back.
            queue.jobs.retain(|job| matches!(job, Job::Effect(_, Some(_))));
        }
        let job = queue.jobs.pop_front();
        if job.is_none() {
            lanes.remove(lane);
        }
        job
    }

    async fn effect(&self, mut waiting: Waiting, mut claim: Option<Claim>) {
        let effect: Effect = match serde_json::from_str(&waiting.effect) {
            Ok(effect) => effect,
            Err(why) => {
                error!(effect.key = %waiting.key, "effect `{}` cannot be read: {why}", waiting.key);
                return;
            }
        };
        loop {
            if self.0.stop.is_cancelled() && claim.is_none() {
                return;
            }
            let found = waiting.state == store::Delivery::Trying;
            if !found {
                if !self.claimed(&waiting.key, claim.take()).await {
                    return;
                }
                if self.0.stop.is_cancelled() {
                    return self.give_back(&waiting).await;
                }
            }
            let tried = match found {
                true => self.look(&waiting, &effect).await,
                false => self.perform(&waiting, &effect).await,
            };
            waiting.state = store::Delivery::Trying;
            match tried {
                Done::Settled(outcome) => {
                    self.is_shut_out(&waiting.lane, None);
                    return self.settle(&waiting.key, outcome).await;
                }
                Done::Failed(failure) => {
                    let going_on = match found {
                        true => self.not_seen(&mut waiting, &effect, failure).await,
                        false => self.failed(&mut waiting, &effect, failure).await,
                    };
                    if !going_on {
                        return;
                    }
                }
                Done::Interrupted => return,
            }
        }
    }

    /// Durable before the call.
    async fn claimed(&self, key: &str, mut under_way: Option<Claim>) -> bool {
        let store = self.0.engine.store();
        loop {
            let claimed = match under_way.take() {
                Some(claim) => store.claimed(claim).await,
                None => store.claim(key).await,
            };
            let why = match claimed {
                Ok(claimed) => return claimed,
                Err(why) => why,
            };
            error!(effect.key = key, %why, "effect `{key}` cannot be claimed: {why}");
            if !self.may_record(matches!(why, CommitError::NotRecorded(_))).await {
                return false;
            }
        }
    }

    /// It has not begun: the next start need not look for it.
    async fn give_back(&self, waiting: &Waiting) {
        let (key, due_at) = (&waiting.key, waiting.due_at.unwrap_or_else(Utc::now));
        let why = waiting.last_failure.as_deref().unwrap_or("it was to begin when I was stopped");
        self.postponed(key, waiting.tries, due_at, why).await;
    }

    async fn settle(&self, key: &str, outcome: Option<Command>) {
        while let Err(lost) = self.0.engine.settle(key, outcome.clone()).await {
            error!(effect.key = key, %lost, "the outcome of `{key}` is not recorded: {lost}");
            if !self.may_record(matches!(lost, Lost::NotRecorded(_))).await {
                return;
            }
        }
    }

    async fn postponed(&self, key: &str, tries: u32, due_at: DateTime<Utc>, why: &str) -> bool {
        while let Err(lost) = self.0.engine.store().postpone(key, tries, due_at, why).await {
            error!(effect.key = key, %lost, "effect `{key}` cannot be postponed: {lost}");
            if !self.may_record(matches!(lost, CommitError::NotRecorded(_))).await {
                return false;
            }
        }
        true
    }

    /// Whether to try once more to write what was certainly not written, after a pause: the disk is
    /// full, or somebody holds the database. Dropped, it would wait for the next start.
    async fn may_record(&self, was_not: bool) -> bool {
        let again = was_not && self.0.world.waits();
        if again {
            self.wait(FIRST_PAUSE).await;
        }
        again && !self.0.stop.is_cancelled()
    }

    /// Whether to go on looking. **Invariant:** what may have happened is looked for until somebody
    /// could look; a look that failed has cleared nothing up.
    async fn not_seen(&self, waiting: &mut Waiting, effect: &Effect, failure: Failure) -> bool {
        let (key, tries) = (waiting.key.clone(), tries_after(waiting.tries, effect, &failure));
        let pause = match &failure {
            Failure::Transient { retry_after, .. } if tries < MOST_TRIES => {
                waiting.tries = tries;
                pause(tries, *retry_after, chance())
            }
            Failure::NoEntry { why } => self.shut_out_of(&waiting.lane, why),
            Failure::Transient { .. } | Failure::Permanent { .. } | Failure::Unknown { .. } => {
                return self.failed(waiting, effect, failure).await;
            }
        };
        warn!(effect.key = %key, effect.tries = tries, %failure,
            "whether `{key}` was done cannot be seen, looking again in {pause:?}: {failure}");
        self.wait(pause).await;
        !self.0.stop.is_cancelled()
    }

    /// How long to wait before we knock again.
    fn shut_out_of(&self, lane: &str, why: &str) -> Duration {
        self.is_shut_out(lane, Some(why.to_owned()));
        pause(1, Some(UNTIL_LET_IN), chance())
    }

    /// Whether to go on with this effect.
    async fn failed(&self, waiting: &mut Waiting, effect: &Effect, failure: Failure) -> bool {
        let (key, tries) = (waiting.key.clone(), tries_after(waiting.tries, effect, &failure));
        let (why, pause) = match &failure {
            Failure::NoEntry { why } => (why.clone(), self.shut_out_of(&waiting.lane, why)),
            Failure::Transient { why, retry_after } if tries < MOST_TRIES => {
                (why.clone(), pause(tries, *retry_after, chance()))
            }
            Failure::Transient { why, .. } | Failure::Permanent { why } => {
                warn!(effect.key = %key, effect.tries = tries, %failure,
                    "effect `{key}` was given up: {failure}");
                self.settle(&key, undelivered(effect, why, false)).await;
                return false;
            }
            Failure::Unknown { why } if tries < most_unheard(effect) && self.may_look(effect) => {
                // Look, and look again, before anything is repeated.
                warn!(effect.key = %key, %failure, "the outcome of `{key}` is unknown, looking: {why}");
                self.wait(pause(tries, None, chance()).max(BEFORE_LOOKING)).await;
                waiting.tries = tries;
                waiting.state = store::Delivery::Trying;
                return !self.0.stop.is_cancelled();
            }
            Failure::Unknown { why } => {
                warn!(effect.key = %key, effect.tries = tries, %failure,
                    "the outcome of `{key}` stays unknown: {failure}");
                self.settle(&key, undelivered(effect, why, true)).await;
                return false;
            }
        };
        let due_at = Utc::now() + pause;
        warn!(effect.key = %key, effect.tries = tries, %failure,
            "effect `{key}` not delivered, trying again at {due_at}: {failure}");
        if !self.postponed(&key, tries, due_at, &why).await {
            return false;
        }
        waiting.tries = tries;
        waiting.state = store::Delivery::Pending;
        self.wait(pause).await;
        !self.0.stop.is_cancelled()
    }

    /// A rehearsal does not wait: its neighbours are never late.
    pub(super) async fn wait(&self, pause: Duration) {
        if self.0.world.waits() {
            let _ = tokio::time::timeout(pause, self.0.stop.cancelled()).await;
        }
    }
}

/// Waiting for a person is no try: the rest of them are for when we are let in. Nor is waiting for
/// our turn, where a chat says when that is: in a storm of a minute there may be more of them than
/// tries. A deploy that is put off for ever has failed.
fn tries_after(tries: u32, effect: &Effect, failure: &Failure) -> u32 {
    let is_none = match failure {
        Failure::NoEntry { .. } => true,
        Failure::Transient { retry_after: Some(_), .. } => is_of_a_chat(effect),
        Failure::Transient { .. } | Failure::Permanent { .. } | Failure::Unknown { .. } => false,
    };
    if is_none { tries } else { tries + 1 }
}

/// What is looked for in a chat before it is said again harms nobody, however often its line breaks.
fn most_unheard(effect: &Effect) -> u32 {
    if is_of_a_chat(effect) { MOST_TRIES } else { MOST_UNHEARD }
}

fn is_of_a_chat(effect: &Effect) -> bool {
    match effect {
        Effect::Say { .. }
        | Effect::OpenRoom { .. }
        | Effect::Pin { .. }
        | Effect::Archive { .. }
        | Effect::Refresh { .. } => true,
        Effect::Run { .. }
        | Effect::Look { .. }
        | Effect::Stop { .. }
        | Effect::Flag { .. }
        | Effect::AnswerGate { .. } => false,
    }
}

/// Spread, by a chance between 0 and 1, so that what failed together does not come back together:
/// over the second half of our own pause, and never before a neighbour's own word.
pub(super) fn pause(tries: u32, asked: Option<Duration>, chance: f64) -> Duration {
    if let Some(asked) = asked {
        return asked.saturating_add((asked / 10).min(FIRST_PAUSE).mul_f64(chance));
    }
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
    doubled.min(LONGEST_PAUSE).mul_f64((1.0 + chance) / 2.0)
}

/// Between 0 and 1. Without any randomness the pauses are merely the longest.
pub(super) fn chance() -> f64 {
    getrandom::u32().map_or(1.0, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}

/// What the captain is told, where there is a release to tell it of.
fn undelivered(effect: &Effect, why: &str, unknown: bool) -> Option<Command> {
    let (release, what) = match effect {
        Effect::Say { notice, .. } if notice.is_shown() => {
            (notice.brief.as_ref()?.release.clone(), "a picture")
        }
        Effect::Say { notice, .. } => (notice.brief.as_ref()?.release.clone(), "a message"),
        Effect::OpenRoom { release, .. } => (release.clone(), "opening the war room"),
        Effect::Pin { release, .. } => (release.clone(), "pinning the card"),
        Effect::Archive { release, .. } => (release.clone(), "archiving the room"),
        // A run that never reached its backend has failed; nobody waits for it any longer.
        Effect::Run { release, run, .. } | Effect::Look { release, run, .. } => {
            let (release, run, why) = (release.clone(), run.clone(), why.to_owned());
            let outcome = if unknown { RunOutcome::Unknown(why) } else { RunOutcome::Failed(why) };
            return Some(Command::Ended { release, run, end: RunEnd::without_output(outcome) });
        }
        Effect::Flag { flag, nth, .. } => {
            let (flag, nth, why) = (flag.clone(), *nth, why.to_owned());
            let outcome = if unknown { RunOutcome::Unknown(why) } else { RunOutcome::Failed(why) };
            let end = RunEnd::without_output(outcome);
            return Some(Command::FlagChanged { flag, nth, end });
        }
        Effect::AnswerGate { release, .. } => {
            (release.clone()?, "the answer to a deployment that waits for it")
        }
        Effect::Stop { .. } | Effect::Refresh { .. } => return None,
    };
    let (to, why) = (effect.lane(), why.to_owned());
    Some(Command::NotPosted { release, to, what: what.to_owned(), why, unknown })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::effect::Call;
    use crate::domain::ids::ReleaseId;
    use crate::domain::state::Posted;

    proptest! {
        #[test]
        fn a_pause_doubles_and_is_spread_over_its_second_half(
            tries in 1_u32..40,
            chance in 0.0_f64..=1.0,
        ) {
            let whole = pause(tries, None, 1.0);
            let spread = pause(tries, None, chance);
            prop_assert!(spread <= whole && spread >= whole / 2, "{spread:?} of {whole:?}");
            prop_assert_eq!(whole, Duration::from_secs(1 << (tries - 1).min(7)).min(LONGEST_PAUSE));
        }

        #[test]
        fn nobody_comes_back_before_they_were_asked_to(
            seconds in 0_u64..100_000,
            chance in 0.0_f64..=1.0,
        ) {
            let asked = Duration::from_secs(seconds);
            let pause = pause(1, Some(asked), chance);
            prop_assert!(pause >= asked && pause <= asked + FIRST_PAUSE, "{pause:?}");
        }
    }

    #[test]
    fn waiting_for_our_turn_in_a_chat_is_no_try() {
        let release = ReleaseId::of("shop", "production", "v1", 1);
        let [platform, channel, message] = ["slack", "C1", "1"].map(str::to_owned);
        let posted = Posted { platform, channel, message };
        let pin = Effect::Pin { release: release.clone(), posted };
        let call = Call {
            action: "deploy".into(),
            with: BTreeMap::new(),
            limit_ms: 1_000,
            repeat_safe: false,
        };
        let stop = Effect::Stop { release, run: "r/1".into(), call };
        let busy =
            Failure::Transient { why: "busy".into(), retry_after: Some(Duration::from_secs(1)) };
        let away = Failure::transient("away");
        assert_eq!([&busy, &away].map(|failure| tries_after(3, &pin, failure)), [3, 4]);
        assert_eq!([&busy, &away].map(|failure| tries_after(3, &stop, failure)), [4, 4]);
    }

    #[test]
    fn what_failed_together_comes_back_apart() {
        let pauses: std::collections::BTreeSet<_> =
            (0..16).map(|_| pause(5, None, chance())).collect();
        assert!(pauses.len() > 1, "{pauses:?}");
    }
}
