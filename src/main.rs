//! Parses the command line, wires the house and runs it.

fn main() {}
