//! The integration tests, in one binary.

#![expect(clippy::disallowed_methods, reason = "tests touch the machine")]

#[cfg(feature = "cli")]
mod cli;
mod interop;
mod json;
mod laws;
mod malformed;
mod properties;
mod roundtrip;
mod support;
mod tamper;
mod tidy;
mod toml;
mod yaml_parse;
mod yaml_write;
