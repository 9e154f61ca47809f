//! The floor that touches the machine: files, environment, terminal, editor, processes, clock.
//!
//! Invariants: nothing below this floor does I/O; one function writes files
//! ([`fs::replace_all`]) and replaces each whole or not at all; every environment variable that
//! the program reads is named in [`env::VARIABLES`], or by the user as the place of a credential.

#![expect(clippy::disallowed_methods, reason = "what touches the machine does so here")]

#[cfg(feature = "vault")]
pub mod auto_auth;
#[cfg(feature = "vault")]
pub mod browser;
#[cfg(feature = "vault")]
pub mod callback;
pub mod clock;
#[cfg(feature = "vault")]
pub mod cloud;
pub mod core_file;
#[cfg(feature = "vault")]
pub mod credentials;
pub mod discover;
pub mod editor;
pub mod env;
pub mod fs;
pub mod git;
#[cfg(feature = "vault")]
pub mod http;
#[cfg(feature = "age")]
pub mod identities;
pub mod interrupt;
#[cfg(feature = "vault")]
pub mod known_servers;
pub mod new_identity;
pub(crate) mod shell;
pub mod threads;
#[cfg(feature = "vault")]
pub mod token_store;
pub mod tty;
#[cfg(feature = "vault")]
pub mod vault_token;
