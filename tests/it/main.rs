//! The integration tests, in one binary.

#![expect(clippy::disallowed_methods, reason = "tests touch the machine")]

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "age")]
mod comments;
#[cfg(feature = "age")]
mod fixtures;
mod hostile;
#[cfg(feature = "age")]
mod interop;
mod json;
mod laws;
#[cfg(all(feature = "cli", feature = "vault"))]
mod login_cloud;
mod malformed;
mod openbao;
mod properties;
mod roundtrip;
#[cfg(feature = "age")]
mod sops;
mod support;
mod tamper;
mod tidy;
mod toml;
#[cfg(feature = "age")]
mod types;
#[cfg(feature = "age")]
mod walks;
mod yaml_parse;
mod yaml_write;
