//! Announcements that go where nobody answers back.

pub mod webhook;

pub use webhook::{Target, Webhook};
