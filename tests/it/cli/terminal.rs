//! The program at a terminal: what it asks, what it shows, how one gets out.
//!
//! `rexpect` makes the terminal; `stty` switches its echo on, as it is for people.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use age::secrecy::SecretString;
use rexpect::session::{PtySession, spawn_command};

use super::{Sandbox, text};

const PLAIN: &str = "# mine\na: one\n";

/// Longer than any answer takes on a busy machine.
const PATIENCE: u64 = 30_000;

impl Sandbox {
    /// Starts the program at a terminal.
    pub(super) fn at_terminal(&self, words: &str) -> PtySession {
        let mut command = self.command("sh");
        command
            .args(["-c", &format!("stty echo; exec \"$WAXSEAL\" {words}")])
            .env("WAXSEAL", env!("CARGO_BIN_EXE_waxseal"));
        if !self.vars.iter().any(|(name, _)| name == "TERM") {
            command.env("TERM", "xterm");
        }
        spawn_command(command, Some(PATIENCE)).expect("a terminal")
    }
}

/// What else is shown, and the exit code.
#[track_caller]
pub(super) fn end(mut session: PtySession) -> (String, i32) {
    let rest = session.exp_eof().expect("the end");
    // `Exited(Pid(1), 2)`: the type has no public name.
    let status = format!("{:?}", session.process().wait().expect("waited for"));
    let code = status.strip_prefix("Exited").and_then(|it| it.split([' ', ')']).nth(2));
    let code = code.unwrap_or_else(|| panic!("it did not end by itself: {status}"));
    (rest, code.parse().expect("a number"))
}

/// No private folder is left.
#[track_caller]
fn nothing_is_left(sandbox: &Sandbox) {
    let shown = sandbox.read("shown");
    let folder = std::path::Path::new(shown.trim()).parent().expect("a folder");
    assert!(!folder.exists());
}

const ASKS: &str = "Press Enter to go on editing, or q and Enter to give up: ";

/// An editor that breaks the file at first and mends it when it is opened again.
const BREAKS_AND_MENDS: &str = "echo \"$1\" > shown
    if [ -e broken ]; then cp \"$1\" again; echo 'a: uno' > \"$1\"
    else touch broken; echo 'a: [hunter2' > \"$1\"; fi";

#[test]
fn a_broken_edit_is_opened_again_with_its_error_shown() {
    let sandbox = Sandbox::new().editor(BREAKS_AND_MENDS).with("NO_COLOR", "1");
    sandbox.sealed("a.yaml", PLAIN);
    let mut session = sandbox.at_terminal("edit a.yaml");
    let shown = session.exp_string(ASKS).expect("the question");
    assert_eq!(shown, "error: a.yaml: line 1, column 4: a bracket that is never closed\r\n");
    session.send_line("").expect("answered");
    assert_eq!(end(session), ("\r\n".to_owned(), 0));
    // What was typed is what is opened again.
    assert_eq!(sandbox.read("again"), "a: [hunter2\n");
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: uno\n");
    nothing_is_left(&sandbox);
}

#[test]
fn who_gives_up_a_broken_edit_finds_it_sealed() {
    for (answer, line) in [("q", true), ("Q", true), ("\u{4}", false)] {
        let sandbox = Sandbox::new().editor(BREAKS_AND_MENDS).with("NO_COLOR", "1");
        sandbox.sealed("a.yaml", PLAIN);
        let before = sandbox.read("a.yaml");
        let mut session = sandbox.at_terminal("edit a.yaml");
        session.exp_string(ASKS).expect("the question");
        session.send(answer).expect("typed");
        if line {
            session.send_line("").expect("typed");
        }
        session.flush().expect("sent");
        let (shown, code) = end(session);
        assert_eq!(code, 2, "{answer:?}: {shown}");
        let hint = "hint: your edit is kept, sealed: \
                    waxseal decrypt --extract '[\"data\"]' a.yaml.edit.json\r\n";
        assert!(shown.ends_with(hint) && !shown.contains("hunter2"), "{shown}");
        assert_eq!(sandbox.read("a.yaml"), before);
        let kept = sandbox.run(&["decrypt", "--extract", "[\"data\"]", "a.yaml.edit.json"]).ok();
        assert_eq!(kept, "a: [hunter2\n");
        assert!(!sandbox.path("again").exists());
        nothing_is_left(&sandbox);
    }
}

#[test]
fn control_c_leaves_no_plaintext() {
    // In the editor, which it ends, and at the question.
    let sandbox = Sandbox::new().editor("echo \"$1\" > shown; echo ready; exec sleep 20");
    sandbox.sealed("a.yaml", PLAIN);
    let before = sandbox.read("a.yaml");
    let mut session = sandbox.at_terminal("edit a.yaml");
    session.exp_string("ready").expect("the editor");
    session.send_control('c').expect("typed");
    let (shown, code) = end(session);
    assert_eq!(code, 201, "{shown}");
    nothing_is_left(&sandbox);
    assert_eq!(sandbox.read("a.yaml"), before);

    let sandbox = sandbox.editor(BREAKS_AND_MENDS);
    let mut session = sandbox.at_terminal("edit a.yaml");
    session.exp_string(ASKS).expect("the question");
    session.send_control('c').expect("typed");
    let (shown, code) = end(session);
    assert_eq!(code, 1, "{shown}");
    nothing_is_left(&sandbox);
    assert_eq!(sandbox.read("a.yaml"), before);
}

#[test]
fn reseal_asks_for_a_review() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let respelled = sandbox.read("a.yaml").replace("a: ENC", "a:  ENC");
    for (answer, code) in
        [("no", 1), ("", 1), ("n", 1), ("yeah", 1), ("y", 0), ("YES", 0), ("yes", 0)]
    {
        sandbox.write("a.yaml", &respelled);
        let mut session = sandbox.at_terminal("reseal a.yaml");
        let shown = session
            .exp_string("Have you reviewed its text and these recipients? (yes/no) ")
            .expect("the question");
        assert!(shown.contains(&format!("can open it: {}", sandbox.recipient)), "{shown}");
        session.send_line(answer).expect("answered");
        assert_eq!(end(session).1, code, "{answer:?}");
        assert_eq!(sandbox.read("a.yaml") == respelled, code == 1, "{answer:?}");
    }
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
    // What others refuse is not called right.
    let broken = sandbox.read("a.yaml").replacen("mac: ENC", "mac: XNC", 1);
    sandbox.write("a.yaml", &broken);
    let mut session = sandbox.at_terminal("reseal a.yaml");
    let shown = session.exp_string("(yes/no) ").expect("the question");
    assert!(shown.contains("the MAC or the seal is wrong") && !shown.contains("right"), "{shown}");
    session.send_line("no").expect("answered");
    assert_eq!(end(session).1, 1);
}

#[test]
fn updatekeys_asks_before_it_writes() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let before = sandbox.read("a.yaml");
    let other = sandbox.run(&["keygen", "-o", "other.txt"]).ok();
    let rule = format!("creation_rules:\n  - age: [{}, {}]\n", sandbox.recipient, other.trim());
    sandbox.write(".sops.yaml", &rule);
    for (answer, wanted) in [("n", false), ("y", true)] {
        let mut session = sandbox.at_terminal("updatekeys a.yaml");
        let shown = session.exp_string("Is this okay? (y/n):").expect("the question");
        // Green, as a terminal has it.
        assert!(shown.contains(&format!("\x1b[32m+++ {}", other.trim())), "{shown:?}");
        session.send_line(answer).expect("answered");
        let (shown, code) = end(session);
        assert_eq!(code, 0, "{shown}");
        assert_eq!(sandbox.read("a.yaml") != before, wanted);
    }
}

/// The sandbox, its identity locked with a passphrase.
fn locked() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let keys = sandbox.home().join(".config/sops/age/keys.txt");
    let mut recipient = age::scrypt::Recipient::new(SecretString::from("open sesame".to_owned()));
    recipient.set_work_factor(2);
    let identity = fs::read(&keys).expect("the identity");
    let armored = age::encrypt_and_armor(&recipient, &identity).expect("locked");
    fs::write(&keys, armored).expect("written");
    sandbox.with("NO_COLOR", "1")
}

#[test]
fn the_passphrase_of_an_identity_is_asked_for_once_and_never_shown() {
    let sandbox = locked();
    fs::copy(sandbox.path("a.yaml"), sandbox.path("b.yaml")).expect("copied");
    let prompt =
        format!("identity '{}': ", text(&sandbox.home().join(".config/sops/age/keys.txt")));
    for (answer, code) in [("open sesame", 0), ("wrong", 1)] {
        let mut session = sandbox.at_terminal("decrypt --output-dir out a.yaml b.yaml");
        session.exp_string(&prompt).expect("the question");
        session.send_line(answer).expect("answered");
        let (shown, end) = end(session);
        assert_eq!(end, code, "{shown}");
        assert!(!shown.contains(answer) && !shown.contains("Enter passphrase"), "{shown}");
        assert_eq!(shown.contains("keys.txt: incorrect passphrase"), code == 1, "{shown}");
    }
    for name in ["out/a.yaml", "out/b.yaml"] {
        assert_eq!(sandbox.read(name), PLAIN);
    }
    // Without a terminal there is nobody to ask, and nothing hangs.
    let mut command = sandbox.command("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_waxseal"), "decrypt", "a.yaml"]);
    if let Ok(output) = command.stdin(Stdio::null()).output() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(128), "{stderr}");
        assert!(stderr.contains("keys.txt: no terminal to ask for its passphrase"), "{stderr}");
    }
}

#[test]
fn an_old_ssh_key_is_unlocked_with_its_passphrase() {
    let sandbox = Sandbox::new();
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/src/keyservice/age/testdata");
    let ssh = sandbox.home().join(".ssh");
    fs::create_dir(&ssh).expect("made");
    fs::copy(format!("{keys}/rsa-pem-locked"), ssh.join("id_rsa")).expect("copied");
    fs::copy(format!("{keys}/rsa.pub"), ssh.join("id_rsa.pub")).expect("copied");
    let recipient = fs::read_to_string(ssh.join("id_rsa.pub")).expect("read");
    sandbox.write("a.yaml", PLAIN);
    sandbox.run(&["encrypt", "-i", "--age", recipient.trim(), "a.yaml"]).ok();
    let mut session = sandbox.at_terminal("decrypt a.yaml");
    session.exp_string(".ssh/id_rsa': ").expect("the question");
    session.send_line("correct horse").expect("answered");
    assert_eq!(end(session), (format!("\n{PLAIN}").replace('\n', "\r\n"), 0));
}

#[test]
fn control_c_at_a_passphrase_ends_the_program_and_gives_the_echo_back() {
    let sandbox = locked();
    let mut command = sandbox.command("sh");
    command
        .args(["-c", "stty echo; trap : INT; \"$WAXSEAL\" decrypt a.yaml; echo end=$?; stty -a"])
        .env("WAXSEAL", env!("CARGO_BIN_EXE_waxseal"));
    let mut session = spawn_command(command, Some(PATIENCE)).expect("a terminal");
    session.exp_string("keys.txt': ").expect("the question");
    session.send_control('c').expect("typed");
    let (shown, _) = end(session);
    assert!(shown.contains("end=130") && shown.contains(" echo "), "{shown}");
    assert!(!shown.contains("a: one"), "{shown}");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let colour = "\x1b[";
    let shown = |sandbox: &Sandbox| end(sandbox.at_terminal("decrypt none.yaml")).0;
    let sandbox = Sandbox::new();
    assert_eq!(shown(&sandbox), "\x1b[1;31merror:\x1b[0m none.yaml: no such file\r\n");
    assert!(!sandbox.run(&["decrypt", "none.yaml"]).fails(100).contains(colour));
    for (name, value, coloured) in [("NO_COLOR", "1", false), ("NO_COLOR", "", true)] {
        assert_eq!(shown(&Sandbox::new().with(name, value)).contains(colour), coloured);
    }
    assert!(!shown(&Sandbox::new().with("TERM", "dumb")).contains(colour));
    // clap's own messages are no exception.
    let help = |sandbox: Sandbox| end(sandbox.at_terminal("decrypt --nonsense")).0;
    assert!(!help(Sandbox::new().with("NO_COLOR", "1")).contains(colour));
}

#[test]
fn who_sets_a_value_in_a_file_without_a_seal_is_told() {
    let sandbox = Sandbox::new();
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/library");
    fs::copy(format!("{library}/config.yaml"), sandbox.path("a.yaml")).expect("copied");
    let keys = format!("{library}/keys.txt");
    let sandbox = sandbox.with("NO_COLOR", "1").with("SOPS_AGE_KEY_FILE", &keys);
    let (shown, code) = end(sandbox.at_terminal("set a.yaml '[\"x\"]' 1"));
    assert!(code == 0 && shown.starts_with("note: a.yaml: written, but not sealed: "), "{shown}");
    // The same value again: nothing is written.
    assert_eq!(end(sandbox.at_terminal("set a.yaml '[\"x\"]' 1")), (String::new(), 0));
    sandbox.run(&["set", "a.yaml", "[\"x\"]", "2"]).ok();
    sandbox.run(&["reseal", "--yes", "a.yaml"]).ok();
    assert_eq!(end(sandbox.at_terminal("set a.yaml '[\"x\"]' 3")), (String::new(), 0));
}

#[test]
fn who_takes_off_a_key_that_is_not_there_is_told() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    let other = sandbox.run(&["keygen", "-o", "other.txt"]).ok();
    let (shown, code) =
        end(sandbox.at_terminal(&format!("rotate -i --rm-age {} a.yaml", other.trim())));
    assert_eq!(code, 0);
    assert!(shown.starts_with("note: a.yaml: age1") && shown.contains("was none of"), "{shown}");
}

#[test]
fn what_sops_will_not_read_is_told_to_a_terminal_only() {
    let sandbox = Sandbox::new().with("NO_COLOR", "1");
    for (name, plain, note) in [
        (
            "a.yaml",
            "- a\n- b\n",
            "sops does not read a file that is a list at its root; waxseal does",
        ),
        (
            "b.yaml",
            "a: x\n1: y\n",
            "line 2, column 1: sops does not read a file with a key that is no text ([\"1\"]); waxseal does",
        ),
        (
            "c.json",
            "\u{feff}{\"a\": 1}\n",
            "sops does not read JSON with a byte order mark; waxseal does",
        ),
        ("d.yaml", "a: {}\nb: null\n", "no value in it is encrypted"),
    ] {
        sandbox.write(name, plain);
        let shown = end(sandbox.at_terminal(&format!("encrypt -i {name}")));
        assert_eq!(shown, (format!("note: {name}: {note}\r\n"), 0));
        let nothing = note.starts_with("no value");
        let found = if nothing { "sealed; no value is encrypted" } else { "sealed" };
        let told = if nothing { String::new() } else { format!("note: {name}: {note}\r\n") };
        let shown = end(sandbox.at_terminal(&format!("verify {name}")));
        assert_eq!(shown, (format!("{name}: {found}\r\n{told}"), 0));
        sandbox.write(name, plain);
        sandbox.run(&["encrypt", "-i", name]).ok();
        assert_eq!(sandbox.run(&["verify", name]).ok(), format!("{name}: {found}\n"));
    }
    sandbox.write("e.yaml", "base: &x {a: 1}\nb: {<<: *x}\n");
    assert_eq!(end(sandbox.at_terminal("encrypt -i e.yaml")), (String::new(), 0));
}

#[test]
fn a_bar_is_shown_after_a_second_and_to_a_terminal_only() {
    let sandbox = Sandbox::new();
    let keys = sandbox.home().join(".config/sops/age/keys.txt");
    let mut identities = String::new();
    for name in ["a", "b", "c", "d"] {
        sandbox.write(&format!("{name}.yaml"), "a: 1\n");
        let recipient = sandbox.run(&["keygen", "-o", name]).ok();
        sandbox.run(&["encrypt", "-i", "--age", recipient.trim(), &format!("{name}.yaml")]).ok();
        identities.push_str(&sandbox.read(name));
    }
    fs::remove_file(keys).expect("removed");
    // Asked once for each recipient, one after the other.
    sandbox.write("slow", &format!("#!/bin/sh\nsleep \"$DELAY\"\ncat <<E\n{identities}E\n"));
    let slow = format!("sh {}", text(&sandbox.path("slow")));
    let sandbox = sandbox.with("SOPS_AGE_KEY_CMD", &slow);
    let all = "decrypt --output-dir out a.yaml b.yaml c.yaml d.yaml";
    let words: Vec<&str> = all.split(' ').collect();

    let sandbox = sandbox.with("DELAY", "0.6");
    let mut session = sandbox.at_terminal(all);
    session.exp_regex("[234]/4 files").expect("a bar");
    let (rest, code) = end(session);
    assert_eq!(code, 0, "{rest}");
    // It is wiped out at the end.
    assert!(rest.ends_with("\x1b[2K") || rest.ends_with('\r'), "{rest:?}");
    assert_eq!(sandbox.run(&words).ok(), "");
    let sandbox = sandbox.with("DELAY", "0");
    assert_eq!(end(sandbox.at_terminal(all)), (String::new(), 0));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    // More than a pipe holds.
    let long: String = (0..20_000).map(|n| format!("key{n}: value\n")).collect();
    sandbox.sealed("a.yaml", &long);
    for words in [&["decrypt", "a.yaml"][..], &["encrypt", "--output", "/dev/stdout", "p.yaml"]] {
        sandbox.write("p.yaml", &long);
        let mut child = sandbox
            .command(env!("CARGO_BIN_EXE_waxseal"))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut first = [0; 10];
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut first).expect("some data");
        drop(stdout);
        let output = child.wait_with_output().expect("ended");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        assert_eq!(output.status.code(), Some(0), "{words:?}");
    }
}
