//! tminus coordinates software releases in chat. The modules in reading order.

pub mod adapters;

pub mod ports;
