//! One line that says what to type next, for somebody who has never seen this.

use super::engine::Engine;
use crate::domain::state::{Phase, Release};
use crate::domain::verdict::{self, Reason};

pub fn next_step(engine: &Engine, prefix: &str) -> Option<String> {
    Some(hint(engine)?.replace("/release", prefix))
}

fn hint(engine: &Engine) -> Option<String> {
    let state = engine.state();
    let open = state.releases.values().find(|release| !release.phase.is_over());
    match open {
        Some(release) => Some(of_release(release, state.house.policy())),
        None if state.releases.is_empty() => {
            Some("Type /release schedule v1.2.0 to put the sample release on the calendar.".into())
        }
        None => Some(
            "Read how it went: /release report. Everything that happened: /release audit.".into(),
        ),
    }
}

fn of_release(release: &Release, policy: &crate::domain::policy::Policy) -> String {
    if release.held.is_some() {
        return match release.start_missed {
            true => {
                "The start was missed: /release reschedule \"in 2h\", or /release scrub.".into()
            }
            false if release.touched_target() => {
                "On hold; the war room says why. Roll back or retry there, or /release status."
                    .into()
            }
            false => "On hold: /release resume when it is safe.".into(),
        };
    }
    match release.phase {
        Phase::CountingDown if release.asked_at.is_none() => {
            "Jump to the next deadline, or see all of them: /release agenda.".into()
        }
        Phase::CountingDown => {
            let reasons = verdict::reasons(release, policy);
            let votes = |reason: &&Reason| {
                matches!(reason, Reason::Silent { .. } | Reason::SaidNoGo { .. })
            };
            let things = if reasons.len() == 1 { "1 thing is" } else { "several things are" };
            match reasons.iter().find(votes) {
                Some(_) => format!(
                    "Switch to QA, product, … and press GO; {things} open: /release status."
                ),
                None => format!(
                    "Everyone has voted; {things} open: /release checklist, or /release rollback \
                     --dry-run."
                ),
            }
        }
        Phase::Ready if release.start_offered => "It is go: /release start.".into(),
        Phase::Ready => "It is go. Jump to T-0; then /release start.".into(),
        Phase::Deploying { .. } => "A step runs. Watch the war room.".into(),
        Phase::Soaking { .. } => "It soaks: jump to the next deadline, or /release hold.".into(),
        Phase::AtGate { .. } if release.goes_on_at.is_some() => {
            "It waits for its hours: jump to the next deadline, or /release advance.".into()
        }
        Phase::AtGate { .. } => "It waits at the gate: /release advance.".into(),
        Phase::Watching => {
            "It is live. Jump through the checks, /release report, or /release rollback.".into()
        }
        Phase::RollingBack => "It rolls back. Watch the war room.".into(),
        Phase::RollbackFailed => {
            "The rollback stopped at a step: /release retry, or /release outcome worked.".into()
        }
        Phase::Done | Phase::Scrubbed | Phase::RolledBack => "/release report".into(),
    }
}
