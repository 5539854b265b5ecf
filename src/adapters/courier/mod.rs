//! Announcements that go where nobody answers back.

pub mod mail;
pub mod webhook;

pub use mail::Mail;
pub use webhook::{Target, Webhook};
