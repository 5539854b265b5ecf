//! The world: one file or folder per neighbour, each ignorant of the rules and of the others.

pub mod chat;
pub mod courier;
pub mod deploy;
mod fill;
pub mod flags;
pub mod gates;
pub mod metrics;
mod output;
pub(crate) mod process;
mod signed;
