//! Seals the values inside YAML, JSON and TOML files, byte for byte, in the SOPS file format.
//!
//! A program that keeps its configuration in git decrypts it when it starts:
//!
#![cfg_attr(feature = "age", doc = "```")]
#![cfg_attr(not(feature = "age"), doc = "```ignore")]
//! # use waxseal::{document::Format, keyservice::age, timestamp::Timestamp};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let new = age::generate_identity(Timestamp::from_unix(0).expect("in range"));
//! # let (recipient, identity) = (new.recipient, new.file.expose_secret().to_owned());
//! let sealed = waxseal::encrypt("password: hunter2 # ask Ann\n", Format::Yaml, &[&recipient])?;
//!
//! let keyring = waxseal::age_keyring(identity);
//! let config = waxseal::decrypt(&sealed, Format::Yaml, &keyring)?;
//! assert_eq!(config.expose_secret(), "password: hunter2 # ask Ann\n");
//! # Ok(())
//! # }
//! ```
//!
//! The text comes back as [`secret::SecretText`], which overwrites it when it is dropped. Who has the
//! data key itself needs no feature: [`decrypt_with_data_key`].
//!
//! Below are the parts. [`file`](mod@file) does what the commands do (change, rotate, verify), over texts;
//! [`keyservice`] has the keys, [`document`] the formats.
//!
//! # Features
//!
//! - `age`: data keys wrapped for age recipients. All that most programs need.
//! - `vault`: data keys wrapped by the transit engine of Vault or OpenBao.
//! - `cli`: the program, and with it `clap`, the terminal and files.

#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod crypto;
pub mod document;
mod embed;
pub mod file;
pub mod keys;
pub mod keyservice;
pub mod metadata;
#[cfg(feature = "cli")]
pub mod os;
pub mod path;
pub mod policy;
pub mod secret;
#[cfg(any(feature = "cli", feature = "vault"))]
#[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "names of files are for the program"))]
mod shown;
pub mod text;
pub mod timestamp;
pub mod value;

pub use embed::{DecryptError, decrypt, decrypt_with_data_key};
#[cfg(feature = "age")]
pub use embed::{EncryptError, age_keyring, encrypt};

/// The Rust of README.md, compiled.
#[cfg(all(doctest, feature = "age"))]
#[doc = include_str!("../README.md")]
struct Readme;
