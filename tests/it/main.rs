//! Everything that needs real files, sockets or a browser.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod bad_input;
mod browser;
mod chat_contract;
mod clock;
mod command_line;
mod console;
mod console_page;
mod crash;
mod engine;
mod flags;
mod golden;
mod installed;
mod mail;
mod operation;
mod parrot;
mod play;
mod program;
mod readme;
mod rules;
mod sample;
mod slack_adapter;
mod slack_burst;
mod slack_buttons;
mod slack_edges;
mod slack_grid;
mod slack_groups;
mod slack_house;
mod slack_manifest;
mod slack_play;
mod slack_stage;
mod slack_trouble;
mod slack_whole_play;
mod slack_world;
mod story;
mod tidy;
mod time_machine;
mod unleash;
mod unleash_world;
