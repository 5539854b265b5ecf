//! The rules: pure, total, replayable.

pub mod time;
