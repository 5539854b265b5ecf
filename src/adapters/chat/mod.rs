//! The chat platforms. They differ in markup, limits and transport, and in nothing else.

pub mod console;
pub mod slack;
