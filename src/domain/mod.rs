//! The rules: pure, total and replayable. Time, ids and facts arrive as arguments.
//!
//! [`decide`](decide::decide) says what a request means, [`State::evolve`](state::State::evolve)
//! what an event changes, [`react`](react::react) what the world is asked to do about it, and
//! [`agenda`](agenda::agenda) what time will ask for.

pub mod agenda;
pub mod announcement;
pub mod argument;
pub mod asking;
pub mod authority;
pub mod checklist;
pub mod command;
pub mod decide;
pub mod effect;
pub mod event;
pub mod filing;
#[cfg(test)]
pub(crate) mod fixture;
pub mod flag;
pub mod freeze;
pub mod gate;
pub mod health;
pub mod hours;
pub mod ids;
pub mod lint;
pub mod metric;
pub mod notice;
pub mod plan;
pub mod policy;
pub mod poll;
pub mod react;
pub mod refusal;
pub mod registry;
pub mod report;
pub mod rollback;
pub mod rollout;
pub mod schedule;
pub mod settle;
pub mod shared;
pub mod state;
pub mod time;
pub mod verdict;
pub mod words;
pub mod zone;
