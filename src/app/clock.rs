//! What time it is, and the loop that follows the agenda. The embedded default runs on a clock that
//! starts at now and can be jumped forward; a rehearsal runs on one that only moves when told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration as Wait, Instant};

use chrono::{Duration, Utc};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::engine::{Due, Engine};
use crate::domain::command::{Actor, Request};
use crate::domain::time::Time;

/// Cheap to clone; all clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// The system's clock, moved ahead by what a demo has jumped.
    Running { ahead: Mutex<Duration> },
    /// Stands still until it is set.
    Standing { now: Mutex<Time> },
}

impl Clock {
    pub fn real() -> Self {
        Self::ahead(Duration::zero())
    }

    /// The system's clock, moved ahead.
    pub fn ahead(by: Duration) -> Self {
        Self(Arc::new(Kind::Running { ahead: Mutex::new(by) }))
    }

    pub fn standing(now: Time) -> Self {
        Self(Arc::new(Kind::Standing { now: Mutex::new(now) }))
    }

    pub fn now(&self) -> Time {
        match &*self.0 {
            Kind::Running { ahead } => Utc::now() + *ahead.lock().expect("never held in a panic"),
            Kind::Standing { now } => *now.lock().expect("never held in a panic"),
        }
    }

    /// How far it was jumped ahead of the system's clock.
    pub fn jumped(&self) -> Duration {
        match &*self.0 {
            Kind::Running { ahead } => *ahead.lock().expect("never held in a panic"),
            Kind::Standing { .. } => Duration::zero(),
        }
    }

    /// Never back: what was said at a time stays said.
    pub fn set(&self, to: Time) {
        match &*self.0 {
            Kind::Running { ahead } => {
                let mut ahead = ahead.lock().expect("never held in a panic");
                *ahead = (*ahead).max(to - Utc::now());
            }
            Kind::Standing { now } => {
                let mut now = now.lock().expect("never held in a panic");
                *now = (*now).max(to);
            }
        }
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
/// As many deadlines share a commit.
const TOGETHER: usize = 256;

/// Sleeps until the earliest deadline and sends what is due to the engine, until it is told to stop.
pub async fn follow_agenda(engine: Engine, stop: CancellationToken) {
    let mut parked: HashMap<String, Instant> = HashMap::new();
    loop {
        parked.retain(|_, since| since.elapsed() < PARKED);
        let mut due = engine.due(engine.now(), TOGETHER + parked.len());
        due.retain(|due| !parked.contains_key(&due.id));
        if !due.is_empty() {
            fire(&engine, &due, &mut parked).await;
            continue;
        }
        let wait = match engine.next_due() {
            None => LONGEST_WAIT,
            Some(_) if !parked.is_empty() => Wait::from_secs(1),
            Some(next) => {
                let until = (next.due.at - engine.now()).to_std().unwrap_or_default();
                until.min(LONGEST_WAIT)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.agenda_changed() => {}
            _ = tokio::time::timeout(wait, std::future::pending::<()>()), if engine.clock().runs() => {}
        }
    }
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
            parked.insert(due.id.clone(), Instant::now());
        } else if still.contains(&due.id) {
            error!(deadline = %due.id, "deadline `{}` is still due after it was decided", due.id);
            parked.insert(due.id.clone(), Instant::now());
            stuck = true;
        }
    }
    engine.set_stuck(stuck || (engine.is_stuck() && !parked.is_empty()));
}
