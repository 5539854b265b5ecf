//! What time it is, and the loop that follows the agenda. The embedded default runs on a clock that
//! starts at now and can be jumped forward; a rehearsal runs on one that only moves when told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration as Wait, Instant};

use chrono::{Duration, Utc};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::engine::{Due, Engine, TOGETHER};
use crate::domain::command::{Actor, Command, Request};
use crate::domain::time::{self, Time};

/// Cheap to clone; all clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// The machine's clock, moved ahead by what a demo has jumped.
    Running { source: Box<dyn Source>, ahead: Mutex<Duration>, seen: Mutex<Reading> },
    /// Stands still until it is set.
    Standing { now: Mutex<Time> },
}

/// Where a running clock has its time from.
pub trait Source: std::fmt::Debug + Send + Sync {
    /// What somebody may set.
    fn wall(&self) -> Time;

    /// What nobody can set, counted from some beginning. It stands still while the machine sleeps,
    /// so that waking up looks like a clock that was set: nobody was awake to measure anything.
    fn steady(&self) -> Wait;
}

/// The machine that we run on.
#[derive(Debug)]
struct Machine {
    since: Instant,
}

impl Source for Machine {
    fn wall(&self) -> Time {
        Utc::now()
    }

    fn steady(&self) -> Wait {
        self.since.elapsed()
    }
}

/// Both clocks at the same moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Time,
    steady: Wait,
}

impl Reading {
    fn of(source: &dyn Source) -> Self {
        Self { wall: source.wall(), steady: source.steady() }
    }
}

/// The machine's clock was set: what it was to say, and what it said instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leap {
    pub expected: Time,
    pub found: Time,
}

/// Less is how clocks are usually put right, and nobody has to know.
const LEAP: Duration = Duration::minutes(10);

impl Clock {
    pub fn real() -> Self {
        Self::over(Box::new(Machine { since: Instant::now() }))
    }

    pub fn over(source: Box<dyn Source>) -> Self {
        let seen = Mutex::new(Reading::of(source.as_ref()));
        Self(Arc::new(Kind::Running { source, ahead: Mutex::new(Duration::zero()), seen }))
    }

    pub fn standing(now: Time) -> Self {
        Self(Arc::new(Kind::Standing { now: Mutex::new(now) }))
    }

    pub fn now(&self) -> Time {
        match &*self.0 {
            Kind::Running { source, ahead, .. } => {
                source.wall() + *ahead.lock().expect("never held in a panic")
            }
            Kind::Standing { now } => *now.lock().expect("never held in a panic"),
        }
    }

    /// How far it was jumped ahead of the system's clock.
    pub fn jumped(&self) -> Duration {
        match &*self.0 {
            Kind::Running { ahead, .. } => *ahead.lock().expect("never held in a panic"),
            Kind::Standing { .. } => Duration::zero(),
        }
    }

    /// Never back: what was said at a time stays said.
    pub fn set(&self, to: Time) {
        match &*self.0 {
            Kind::Running { source, ahead, .. } => {
                let mut ahead = ahead.lock().expect("never held in a panic");
                *ahead = (*ahead).max(to - source.wall());
            }
            Kind::Standing { now } => {
                let mut now = now.lock().expect("never held in a panic");
                *now = (*now).max(to);
            }
        }
    }

    /// The time now, and whether the clock was set since the last look. Only what the wall and the
    /// steady clock do between two looks is compared: a clock that is slowly put right never leaps.
    fn look(&self) -> (Time, Option<Leap>) {
        let Kind::Running { source, ahead, seen } = &*self.0 else { return (self.now(), None) };
        let now = Reading::of(source.as_ref());
        let before = std::mem::replace(&mut *seen.lock().expect("never held in a panic"), now);
        let passed = Duration::from_std(now.steady.saturating_sub(before.steady));
        let expected = before.wall + passed.unwrap_or_default();
        let ahead = *ahead.lock().expect("never held in a panic");
        let leapt = (now.wall - expected).abs() > LEAP;
        let leap = Leap { expected: expected + ahead, found: now.wall + ahead };
        (now.wall + ahead, leapt.then_some(leap))
    }

    /// Whether waiting makes it move.
    fn runs(&self) -> bool {
        matches!(&*self.0, Kind::Running { .. })
    }
}

/// No longer than this without a look at the clock, so that a jump of the system's clock is noticed.
const LONGEST_WAIT: Wait = Wait::from_secs(30);
/// A deadline that is still due after its command is parked for this long.
const PARKED: Wait = Wait::from_secs(60);
/// One that was not recorded, because a disk is full or somebody holds the database, may be at once.
const NOT_RECORDED: Wait = Wait::from_secs(2);

/// A clock that is put right by less than this is not worth a word.
const BEHIND: Duration = Duration::minutes(1);

/// What is wrong with a clock that stands behind the log: time goes on from the log, and stands
/// still until the clock has caught up.
pub fn behind(last: Time, now: Time) -> Option<String> {
    (last - now > BEHIND).then(|| {
        let (by, at) = (time::span(last - now), last.format("%Y-%m-%d %H:%M"));
        format!(
            "the machine's clock is {by} behind the log, whose last entry is of {at} UTC: nothing \
             falls due until the clock has caught up; set it right"
        )
    })
}

/// Sleeps until the earliest deadline and sends what is due to the engine, until it is told to stop.
pub async fn follow_agenda(engine: Engine, stop: CancellationToken) {
    let mut parked: HashMap<String, Instant> = HashMap::new();
    let mut leaps: Vec<Leap> = Vec::new();
    loop {
        parked.retain(|_, until| *until > Instant::now());
        // What is due is asked at the very time of the look: no leap can slip in between.
        let (now, leap) = engine.clock().look();
        if let Some(Leap { expected, found }) = leap {
            let which = if found > expected { "forward" } else { "back" };
            let by = time::span(found - expected);
            warn!(%expected, %found, "the machine's clock was set {which} by {by}, to {found}");
            leaps.push(Leap { expected, found });
        }
        let wait = if note(&engine, &mut leaps).await {
            let now = engine.state().last_at.map_or(now, |last| last.max(now));
            let mut due = engine.due(now, TOGETHER + parked.len());
            due.retain(|due| !parked.contains_key(&due.id));
            if !due.is_empty() {
                fire(&engine, &due, &mut parked).await;
                continue;
            }
            until_next(&engine, !parked.is_empty())
        } else {
            Wait::from_secs(1)
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.agenda_changed() => {}
            _ = tokio::time::timeout(wait, std::future::pending::<()>()), if engine.clock().runs() => {}
        }
    }
}

fn until_next(engine: &Engine, some_parked: bool) -> Wait {
    match engine.next_due() {
        None => LONGEST_WAIT,
        Some(_) if some_parked => Wait::from_secs(1),
        Some(next) => {
            let until = (next.due.at - engine.now()).to_std().unwrap_or_default();
            until.min(LONGEST_WAIT)
        }
    }
}

/// Whether every leap is on record. Nothing falls due before it is: a soak that ended because of it
/// would be taken for one that was measured.
async fn note(engine: &Engine, leaps: &mut Vec<Leap>) -> bool {
    while let Some(Leap { expected, found }) = leaps.first().copied() {
        let id = format!("clock/leap/{}/{}", expected.to_rfc3339(), found.to_rfc3339());
        let command = Command::NoteLeap { expected, found };
        if let Err(lost) = engine.ask(Request { id, by: Actor::Clock, command }).await {
            warn!(%lost, "that the clock was set is not on record: {lost}");
            return false;
        }
        leaps.remove(0);
    }
    true
}

async fn fire(engine: &Engine, due: &[Due], parked: &mut HashMap<String, Instant>) {
    let request = |due: &Due| Request {
        id: due.id.clone(),
        by: Actor::Clock,
        command: due.due.command.clone(),
    };
    let answers = engine.ask_all(due.iter().map(request).collect()).await;
    let still: HashSet<String> =
        engine.due(engine.now(), 2 * TOGETHER).into_iter().map(|due| due.id).collect();
    let mut stuck = false;
    for (due, answer) in due.iter().zip(answers) {
        if let Err(lost) = answer {
            warn!(deadline = %due.id, %lost, "deadline `{}` was not recorded: {lost}", due.id);
            parked.insert(due.id.clone(), Instant::now() + NOT_RECORDED);
        } else if still.contains(&due.id) {
            error!(deadline = %due.id, "deadline `{}` is still due after it was decided", due.id);
            parked.insert(due.id.clone(), Instant::now() + PARKED);
            stuck = true;
        }
    }
    engine.set_stuck(stuck || (engine.is_stuck() && !parked.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone)]
    struct Hands(Arc<Mutex<(Time, Wait)>>);

    impl Source for Hands {
        fn wall(&self) -> Time {
            self.0.lock().expect("held by nobody").0
        }

        fn steady(&self) -> Wait {
            self.0.lock().expect("held by nobody").1
        }
    }

    /// By how many minutes the clock leapt when the two clocks moved by so many.
    fn leapt(clock: &Clock, hands: &Hands, wall: i64, steady: u64) -> Option<i64> {
        let mut both = hands.0.lock().expect("held by nobody");
        both.0 += Duration::minutes(wall);
        both.1 += Wait::from_secs(60 * steady);
        drop(both);
        clock.look().1.map(|leap| (leap.found - leap.expected).num_minutes())
    }

    #[test]
    fn a_leap_is_more_than_ten_minutes_either_way_and_told_once() {
        let hands = Hands(Arc::new(Mutex::new((Time::UNIX_EPOCH, Wait::ZERO))));
        let clock = Clock::over(Box::new(hands.clone()));
        let leapt = |wall, steady| leapt(&clock, &hands, wall, steady);
        assert_eq!(leapt(0, 0), None);
        assert_eq!(leapt(3_000, 3_000), None, "two days later");
        assert_eq!(leapt(10, 0), None, "ten minutes are put right");
        assert_eq!(leapt(-10, 0), None);
        assert_eq!(leapt(11, 0), Some(11));
        assert_eq!(leapt(0, 0), None, "it was told");
        assert_eq!(leapt(-31, 29), Some(-60));
        assert_eq!(leapt(90, 30), Some(60));
        for _ in 0..12 {
            assert_eq!(leapt(31, 30), None, "slowly put right");
        }
        clock.set(clock.now() + Duration::days(1));
        assert_eq!(leapt(5, 5), None, "a demo's jump moves no clock of the machine");
    }

    #[test]
    fn a_clock_that_only_moves_when_told_never_leaps() {
        let clock = Clock::standing(Time::UNIX_EPOCH);
        clock.set(Time::UNIX_EPOCH + Duration::days(1));
        assert_eq!(clock.look().1, None);
    }
}
