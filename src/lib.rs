//! tminus coordinates software releases in chat. The modules in reading order.

pub mod domain;

pub mod ports;

pub mod store;

pub mod app;

pub mod adapters;
pub mod config;
pub mod demo;
pub mod web;

pub mod cli;
pub mod offline;
pub mod serve;
