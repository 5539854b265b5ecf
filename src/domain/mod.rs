//! The rules: pure, total and replayable. Time, ids and facts arrive as arguments.
//!
//! [`decide`](decide::decide) says what a request means, [`State::evolve`](state::State::evolve)
//! what an event changes, [`react`](react::react) what the world is asked to do about it, and
//! [`agenda`](agenda::agenda) what time will ask for.

pub mod agenda;
pub mod checklist;
pub mod command;
pub mod effect;
pub mod event;
pub mod ids;
pub mod lint;
pub mod notice;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod report;
pub mod rollback;
pub mod state;
pub mod time;
pub mod verdict;
