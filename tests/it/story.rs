//! The way of the sample release up to a place where something is to be tried, over HTTP.

use chrono::{Duration, Utc};

use crate::program::Program;
use crate::zones::los_angeles;

pub(crate) const SEATS: [&str; 5] = ["ann", "quinn", "paula", "sam", "sid"];

/// In three days, so that every announcement is ahead whatever day it is.
pub(crate) fn schedule() -> String {
    let day = (Utc::now().with_timezone(&los_angeles()) + Duration::days(3)).date_naive();
    format!("schedule v1.2.0 {day} 10:00")
}

/// The release has its room, every seat has said go, and the way back is rehearsed.
pub(crate) async fn to_go(program: &Program) {
    program.say("maria", &schedule()).await;
    program.jump_until("go or no-go?").await;
    for person in SEATS {
        program.say(person, "go").await;
    }
    program.say("dave", "rollback --dry-run").await;
    program.jump_until("T-1:05").await;
}

/// T-0: the start is offered.
pub(crate) async fn to_t0(program: &Program) {
    to_go(program).await;
    program.jump_until("is ready to start").await;
}

/// Pod 1 serves the new version, and the gate waits for a person.
pub(crate) async fn to_gate(program: &Program) {
    to_t0(program).await;
    program.say("maria", "start").await;
    program.until("Soaking Pod 1").await;
    program.jump_until("Pod 1 is through its gate").await;
}

/// Pod 2 cannot start the new version, and the release holds.
pub(crate) async fn to_failed_pod(program: &Program) {
    to_t0(program).await;
    program.say("john", "run break-pod pod=2").await;
    program.until("✅ break-pod").await;
    program.say("maria", "start").await;
    program.until("Soaking Pod 1").await;
    program.jump_until("Pod 1 is through its gate").await;
    program.say("john", "advance").await;
    program.until("Pod 2 failed").await;
    program.settled().await;
}

pub(crate) const ROLL_BACK: &str = "rollback --from v1.2.0 --to v1.1.9 --confirmed";

/// Everything that is left, to the archived room.
pub(crate) async fn to_archive(program: &Program) {
    for _ in 0..20 {
        program.settled().await;
        if !program.jump().await {
            return;
        }
    }
    panic!("it never ends:\n{}", program.everything().await);
}
