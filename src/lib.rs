//! Seals the values inside YAML, JSON and TOML files, byte for byte, in the SOPS file format.

#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod crypto;
pub mod document;
pub mod file;
pub mod keys;
pub mod keyservice;
pub mod metadata;
#[cfg(feature = "cli")]
pub mod os;
pub mod path;
pub mod policy;
pub mod secret;
pub mod text;
pub mod timestamp;
pub mod value;
