//! The integration tests, in one binary.

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
