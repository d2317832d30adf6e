//! The `llfm` command.

fn main() {}
