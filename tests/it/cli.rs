//! The program, run as a user runs it, in an environment of its own.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::Expect;
use tempfile::TempDir;

mod bad;
mod batch;
mod decrypt;
#[cfg(feature = "vault")]
mod derived;
#[cfg(feature = "vault")]
mod doctor;
mod edit;
mod encrypt;
#[cfg(target_os = "linux")]
mod faults;
mod keys;
#[cfg(feature = "vault")]
mod kv;
#[cfg(feature = "vault")]
#[path = "login/mod.rs"]
pub(crate) mod login;
mod mistakes;
#[cfg(feature = "vault")]
mod moving;
mod one_cause;
mod peers;
#[cfg(feature = "vault")]
mod publish_killed;
#[cfg(feature = "vault")]
mod pull;
mod put_back;
mod readme;
#[cfg(feature = "vault")]
mod recover;
mod review;
#[cfg(feature = "vault")]
mod rewrap;
mod set;
mod since;
mod start;
#[cfg(feature = "vault")]
mod strangers;
mod stumbles;
#[cfg(feature = "vault")]
mod swapped;
mod terminal;
#[cfg(feature = "vault")]
mod vault;
#[cfg(feature = "vault")]
mod vault_agent;
#[cfg(feature = "vault")]
mod vault_bad;
#[cfg(feature = "vault")]
mod vault_cluster;
#[cfg(feature = "vault")]
mod vault_docs;
#[cfg(feature = "vault")]
mod vault_echo;
#[cfg(feature = "vault")]
mod vault_faults;
#[cfg(feature = "vault")]
mod vault_hints;
#[cfg(feature = "vault")]
mod vault_init;
#[cfg(feature = "vault")]
mod vault_tls;
#[cfg(feature = "vault")]
mod vault_ways;
mod verify;

/// What a call gives and says.
#[track_caller]
fn check(sandbox: &Sandbox, words: &[&str], expected: &Expect) {
    expected.assert_eq(&sandbox.transcript(&sandbox.run(words)));
}

/// A home, a working directory and an identity.
struct Sandbox {
    dir: TempDir,
    recipient: String,
    vars: Vec<(String, String)>,
}

/// What a run gave.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Sandbox {
    /// An identity where it is looked for, and a rule for every file.
    fn new() -> Self {
        let sandbox = Self::bare();
        let keys = sandbox.home().join(".config/sops/age/keys.txt");
        let made = sandbox.run(&["keygen", "-o", &text(&keys)]).ok();
        let sandbox = Self { recipient: made.trim().to_owned(), ..sandbox };
        let rule = format!("creation_rules:\n    - age: {}\n", sandbox.recipient);
        sandbox.write(".sops.yaml", &rule);
        sandbox
    }

    /// Nothing at all.
    fn bare() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("home")).expect("made");
        fs::create_dir(dir.path().join("work")).expect("made");
        Self { dir, recipient: String::new(), vars: Vec::new() }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("work").join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("readable")
    }

    /// Writes a plaintext and encrypts it in place.
    fn sealed(&self, name: &str, content: &str) {
        self.write(name, content);
        self.run(&["encrypt", "-i", name]).ok();
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An editor that runs this shell script; `$1` is the file.
    fn editor(self, script: &str) -> Self {
        let path = self.dir.path().join("editor");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        let path = text(&path);
        self.with("EDITOR", &path)
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("TMPDIR", self.dir.path())
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path(""));
        command
    }

    fn run(&self, words: &[&str]) -> Run {
        self.run_with(words, "")
    }

    fn run_with(&self, words: &[&str], stdin: &str) -> Run {
        self.start(env!("CARGO_BIN_EXE_waxseal"), words, stdin)
    }

    fn start(&self, program: impl AsRef<OsStr>, words: &[&str], stdin: &str) -> Run {
        let mut child = self
            .command(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        // A program that reads nothing closes its end.
        let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
        let output = child.wait_with_output().expect("ended");
        let utf8 = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Run { code: output.status.code(), stdout: utf8(output.stdout), stderr: utf8(output.stderr) }
    }

    /// A run as a transcript: code, both streams; what differs from run to run is masked.
    fn transcript(&self, run: &Run) -> String {
        let mut text = format!("exit {}\n", run.code.expect("a code"));
        for (name, stream) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
            if !stream.is_empty() {
                text.push_str(&format!("--- {name}\n{}", self.masked(stream)));
                if !text.ends_with('\n') {
                    text.push_str("\\\n");
                }
            }
        }
        text
    }

    fn masked(&self, stream: &str) -> String {
        let mut masked =
            stream.replace(&text(&self.dir.path().canonicalize().expect("there")), "DIR");
        masked = masked.replace(&text(self.dir.path()), "DIR");
        if !self.recipient.is_empty() {
            masked = masked.replace(&self.recipient, "age1ME");
            masked = masked.replace(&short(&self.recipient), "age1ME");
        }
        let lines = masked.split_inclusive('\n').map(|line| {
            // Go's logger: `2026/01/02 03:04:05 `.
            let dated =
                line.len() > 20 && line.as_bytes()[4] == b'/' && line.as_bytes()[13] == b':';
            if dated { format!("DATE {}", &line[20..]) } else { line.to_owned() }
        });
        lines.collect()
    }
}

impl Run {
    /// Standard output of a run that went well and had nothing else to say.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "stdout: {}", self.stdout);
        self.stdout
    }

    #[track_caller]
    fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stderr
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// As errors show a recipient.
fn short(recipient: &str) -> String {
    format!("{}…{}", &recipient[..8], &recipient[recipient.len() - 4..])
}

/// The tokens of a file but for its MAC.
fn tokens(file: &str) -> Vec<&str> {
    file.split("ENC[").skip(1).filter_map(|it| it.split(']').next()).collect::<Vec<_>>()
}
