//! The program; it has nothing to do yet.

fn main() {}
