//! Everything that needs real files, sockets or a browser.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod browser;
mod chat_contract;
mod console;
mod console_page;
mod crash;
mod engine;
mod golden;
mod parrot;
mod play;
mod program;
mod rules;
mod sample;
mod story;
mod tidy;
