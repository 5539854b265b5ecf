//! Outbox to ports.
