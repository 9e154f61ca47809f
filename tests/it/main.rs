//! The integration tests, in one binary.

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
