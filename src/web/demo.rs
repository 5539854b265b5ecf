//! The clock of the embedded default: it starts at now, can be jumped forward, and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Served;
use crate::app::engine::Engine;
use crate::app::hint;
use crate::app::measure::Gauges;
use crate::domain::agenda::Scope;
use crate::domain::command::{Actor, Command, Request};
use crate::domain::health;
use crate::domain::ids::ReleaseId;
use crate::domain::state::Release;
use crate::domain::time::Time;

/// Whether the program begins anew, on a fresh state directory, when it has stopped.
#[derive(Default)]
pub struct StartOver {
    wanted: AtomicBool,
    jumping: Mutex<()>,
    jumps: AtomicU64,
}

impl StartOver {
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Demo {
    served: Served,
    gauges: Gauges,
    again: Arc<StartOver>,
}

pub(super) fn router(served: Served, gauges: Gauges, again: Arc<StartOver>) -> Router {
    Router::new()
        .route("/demo/clock", get(clock))
        .route("/demo/jump", post(jump))
        .route("/demo/start-over", post(start_over))
        .with_state(Demo { served, gauges, again })
}

async fn clock(State(demo): State<Demo>) -> Json<Value> {
    let engine = &demo.served.engine;
    let next = engine.agenda(1).into_iter().next().map(|(scope, due)| {
        let state = engine.state();
        let of = match &scope {
            Scope::Release(id) => state.releases.get(id).map(|release| release.title()),
            Scope::Freeze(_) | Scope::Flag(_) => None,
        };
        let text = match of {
            Some(title) => format!("{title}: {}", due.about),
            None => due.about.clone(),
        };
        json!({ "at": due.at.to_rfc3339(), "text": text, "about": due.about })
    });
    let zone = engine.state().house.policy().zone.name();
    Json(json!({
        "now": engine.clock().now().to_rfc3339(),
        "zone": zone,
        "jumped_seconds": engine.clock().jumped().num_seconds(),
        "next": next,
        "jumpable": true,
        "hint": hint::next_step(engine, demo.served.conversation.prefix("console")),
    }))
}

/// One deadline at a time, and only after everything that was to be said has been said.
async fn jump(State(demo): State<Demo>) -> (StatusCode, Json<Value>) {
    let engine = &demo.served.engine;
    let _one_at_a_time = demo.again.jumping.lock().await;
    if let Some(running) = running(engine) {
        let error = format!("{running} is running. Jump when it has ended.");
        return (StatusCode::CONFLICT, Json(json!({ "error": error })));
    }
    let patience = std::time::Duration::from_secs(10);
    if tokio::time::timeout(patience, demo.served.delivery.quiet()).await.is_err() {
        let error = "Something is still under way (a step runs, or a message waits). Try again.";
        return (StatusCode::CONFLICT, Json(json!({ "error": error })));
    }
    let Some(due) = engine.next_due() else {
        let error = "Nothing is on the agenda. Schedule a release first.";
        return (StatusCode::CONFLICT, Json(json!({ "error": error })));
    };
    match move_clock(&demo, due.due.at).await {
        Ok(()) => (StatusCode::OK, Json(json!({ "now": engine.clock().now().to_rfc3339() }))),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": why }))),
    }
}

/// A step that runs takes real time.
fn running(engine: &Engine) -> Option<String> {
    let state = engine.state();
    state.releases.values().find_map(|release| {
        let run = release.running().next()?;
        Some(crate::domain::report::step_name(release, &run.step))
    })
}

/// The jump is on record before the clock moves; the deadline then falls due by itself.
async fn move_clock(demo: &Demo, to: Time) -> Result<(), String> {
    let engine = &demo.served.engine;
    if to <= engine.clock().now() {
        return Ok(());
    }
    let nth = demo.again.jumps.fetch_add(1, Ordering::Relaxed);
    let head = engine.store().head().seq;
    let request = Request {
        id: format!("jump/{head}/{nth}/{}", to.to_rfc3339()),
        by: Actor::Operator,
        command: Command::JumpClock { to },
    };
    engine.ask(request).await.map_err(|lost| lost.to_string())?;
    let before = stands(engine);
    let measured = passes_measured(demo, to).await;
    let is_over = || stands(engine) != before || engine.next_due().is_none_or(|it| it.due.at > to);
    if measured && is_over() {
        return Ok(());
    }
    demo.gauges.move_clock(to).await;
    // Asked here under the same ids as by the clock's own loop, so that whoever comes second gets
    // the same answer, and the page sees what the jump brought.
    while let Some(due) = engine.next_due().filter(|due| due.due.at <= engine.now()) {
        let request = Request { id: due.id, by: Actor::Clock, command: due.due.command };
        let answer = engine.ask(request).await.map_err(|lost| lost.to_string())?;
        if answer.events.is_empty() {
            break;
        }
    }
    Ok(())
}

/// What is different once the numbers have brought something about: a jump ends there, so that whoever
/// jumps sees it.
fn stands(engine: &Engine) -> Vec<(ReleaseId, &'static str, bool, bool, usize)> {
    let state = engine.state();
    let stands = |release: &Arc<Release>| {
        let (held, red) = (release.held.is_some(), release.red.is_some());
        let asked = release.advance_asked.len();
        (release.id.clone(), release.phase.name(), held, red, asked)
    };
    state.releases.values().map(stands).collect()
}

/// Red counts only as long as it is seen, and nothing is known before there are samples: both are
/// measured on the way, at the usual pace. Whether anything was.
async fn passes_measured(demo: &Demo, to: Time) -> bool {
    let engine = &demo.served.engine;
    let mut any = false;
    while let Some(at) = next_look(engine).filter(|at| *at > engine.clock().now() && *at < to) {
        demo.gauges.move_clock(at).await;
        demo.gauges.measure().await;
        any = true;
    }
    any
}

fn next_look(engine: &Engine) -> Option<Time> {
    let state = engine.state();
    let policy = state.house.policy.as_deref()?;
    let now = engine.now();
    let looks = state.releases.values().filter_map(|release| {
        let again = health::looks_again_at(release, policy);
        again.into_iter().chain(health::next_sample_at(release, policy, now)).min()
    });
    looks.min()
}

async fn start_over(State(demo): State<Demo>) -> Json<Value> {
    demo.again.wanted.store(true, Ordering::Relaxed);
    demo.served.stop.cancel();
    Json(json!({ "starting_over": true }))
}
