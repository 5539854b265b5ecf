//! The world: one folder per neighbour, each ignorant of releases.

pub mod courier;
pub mod deploy;
mod signed;
