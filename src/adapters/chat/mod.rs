//! Chat platforms. Each implements `ports::Chat` and gives what it hears to `ports::Ear`.

pub mod console;
pub mod discord;
mod recent;
pub mod slack;
