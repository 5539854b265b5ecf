//! tminus coordinates software releases in chat. The modules in reading order.

pub mod ports;

pub mod adapters;
