//! Chat platforms. Each implements `ports::Chat` and gives what it hears to `ports::Ear`.

mod backoff;
pub mod console;
pub mod discord;
mod finding;
mod hidden;
mod naming;
mod recent;
pub mod slack;
