//! tminus coordinates software releases in chat. The modules in reading order.

pub mod config;
pub mod domain;
pub mod ports;
pub mod store;

pub mod app;

pub mod adapters;
pub mod cli;
pub mod demo;
pub mod web;

pub mod serve;
