//! The user's browser.

use std::process::{Command, Stdio};

use super::env::Env;

/// Opens a page, if there is a browser. Whether it does is for the user to see.
pub fn open(env: &Env, url: &str) {
    // What begins otherwise is for other programs.
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return;
    }
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let Some(program) = env.find_program(program) else { return };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It may stay for as long as the browser does, so that nobody waits for it.
    drop(command.spawn());
}
