//! The integration tests, in one binary.

mod json;
mod laws;
mod tidy;
mod toml;
mod yaml_parse;
mod yaml_write;
