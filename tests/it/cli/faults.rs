//! The program under faults: each call that touches a file fails, or the program is killed before
//! it. Afterwards the old or the new file stands whole, nothing is left beside it that the next run
//! does not remove, and no plaintext stands where it does not belong.
//!
//! `faults.c` is preloaded and does this to the calls of the C library; what the kernel is asked
//! without it (access rights, attributes, reserved space) is not reached.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::{Run, Sandbox, text};

const SECRET: &str = "hunter2-planted";

/// Number of the first call that a command does not make, at most.
const MOST_CALLS: usize = 400;

const EIO: &str = "5";
const EACCES: &str = "13";
const ENOSPC: &str = "28";
const EROFS: &str = "30";

/// A command, and what must come of it.
struct Case {
    /// What is there before.
    prepare: fn(&Sandbox),
    words: &'static [&'static str],
    /// The files that it writes, and the plaintext of each afterwards.
    targets: &'static [(&'static str, &'static str)],
    /// How they stand there afterwards.
    result: Outcome,
    /// Names that may hold plaintext, if the command reads or writes that.
    plain: &'static [&'static str],
    editor: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Sealed,
    Plain,
}

/// The preloaded library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = folder.join(format!("faults-{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cli/faults.c");
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o", &text(&made), source])
            .status()
            .expect("a C compiler, with which Rust links as well");
        assert!(status.success(), "faults.c does not compile");
        // Other runs of the tests may use the same folder at the same time.
        let library = folder.join("faults.so");
        fs::rename(made, &library).expect("renamed");
        library
    })
}

/// One sandbox with a private folder in memory, where there is such a place.
struct World {
    sandbox: Sandbox,
    runtime: Option<TempDir>,
}

impl World {
    fn new(case: &Case) -> Self {
        let sandbox = Sandbox::new().editor(case.editor);
        let runtime = tempfile::tempdir_in("/dev/shm").ok();
        let sandbox = match &runtime {
            Some(folder) => sandbox.with("XDG_RUNTIME_DIR", &text(folder.path())),
            None => sandbox,
        };
        (case.prepare)(&sandbox);
        Self { sandbox, runtime }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
        command.args(words);
        command
    }

    /// Runs with a fault at this call; the name of the call that was hit.
    fn run(&self, words: &[&str], at: usize, kind: &str, mounted: bool) -> (Run, Option<String>) {
        let log = self.sandbox.dir.path().join("log");
        let mut under = text(self.sandbox.dir.path());
        if let Some(runtime) = &self.runtime {
            under = format!("{under}:{}", text(runtime.path()));
        }
        let mut command = self.command(words);
        command
            .env("LD_PRELOAD", library())
            .env("FAULT_UNDER", under)
            .env("FAULT_AT", at.to_string())
            .env("FAULT_KIND", kind)
            .env("FAULT_LOG", &log);
        if mounted {
            command.env("FAULT_MOUNTED", "1");
        }
        let run = run_of(command.output().expect("run"));
        let hit = fs::read_to_string(&log).ok();
        let _ = fs::remove_file(log);
        (run, hit)
    }

    /// Every file below the sandbox and the private folder.
    fn files(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.sandbox.dir.path().to_owned()];
        folders.extend(self.runtime.iter().map(|folder| folder.path().to_owned()));
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    /// Files of the work folder that a killed run left, and private folders.
    fn left(&self) -> Vec<PathBuf> {
        let is_part = |path: &PathBuf| text(path).ends_with(".waxseal-part");
        let mut left: Vec<_> = self.files().into_iter().filter(is_part).collect();
        for folder in self.runtime.iter().map(TempDir::path).chain([self.sandbox.dir.path()]) {
            let entries = fs::read_dir(folder).expect("a folder").flatten();
            left.extend(entries.map(|entry| entry.path()).filter(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("waxseal-"))
            }));
        }
        left
    }

    fn is_new(&self, case: &Case, name: &str, plain: &str) -> bool {
        match case.result {
            Outcome::Plain => self.sandbox.read(name) == plain,
            Outcome::Sealed => {
                let run = run_of(self.command(&["decrypt", name]).output().expect("run"));
                let verified = run_of(self.command(&["verify", name]).output().expect("run"));
                run.code == Some(0) && run.stdout == plain && verified.code == Some(0)
            }
        }
    }
}

fn run_of(output: Output) -> Run {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code(), stdout: lossy(&output.stdout), stderr: lossy(&output.stderr) }
}

/// Runs the command with a fault at its first, second, … call, until it is not reached any more.
#[track_caller]
fn check(case: &Case, kinds: &[&str]) {
    for &kind in kinds {
        let mut hits = BTreeSet::new();
        let mut at = 0;
        while let Some(hit) = check_fault(case, kind, at) {
            hits.insert(hit);
            at += 1;
            assert!(at < MOST_CALLS, "there is no end of it");
        }
        // The fault was where it matters. A file that must be new gets its name from the kernel itself.
        let world = World::new(case);
        let replaces = case.targets.iter().any(|(name, _)| world.sandbox.path(name).exists());
        let rename = if replaces { "rename" } else { "fsync" };
        for call in ["open", "read", "create", "write", "fsync", rename] {
            assert!(hits.contains(call), "{kind}: {call} was never hit, but {hits:?}");
        }
    }
}

#[track_caller]
fn check_fault(case: &Case, kind: &str, at: usize) -> Option<String> {
    let world = World::new(case);
    let sandbox = &world.sandbox;
    let read = |name: &str| fs::read(sandbox.path(name)).ok();
    let before: Vec<_> = case.targets.iter().map(|(name, _)| read(name)).collect();
    let names: BTreeSet<_> = world.files().into_iter().collect();
    let (run, hit) = world.run(case.words, at, kind, false);
    let what = format!(
        "{:?}, {kind} at call {at} ({hit:?}), exit {:?}\n{}",
        case.words, run.code, run.stderr
    );
    assert_eq!(run.code.is_none(), kind == "kill" && hit.is_some(), "{what}");
    assert!(!run.stdout.contains(SECRET) && !run.stderr.contains(SECRET), "{what}");
    let mut new = 0;
    for ((name, plain), before) in case.targets.iter().zip(&before) {
        if read(name) != *before {
            assert!(world.is_new(case, name, plain), "{name} is neither old nor new: {what}");
            new += 1;
        }
    }
    if run.code == Some(0) {
        assert_eq!(new, case.targets.len(), "{what}");
    }
    let left = world.left();
    // An error leaves nothing behind, unless it is the removal that fails.
    let may_leave = kind == "kill" || hit.as_deref().is_some_and(|hit| hit.starts_with("unlink"));
    assert!(left.is_empty() || may_leave, "{left:?} was left: {what}");
    check_plaintext(case, &world, &left, &what);
    for path in world.files() {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let known = names.contains(&path)
            || left.iter().any(|left| path.starts_with(left))
            || case.targets.iter().any(|(target, _)| sandbox.path(target) == path)
            || (name.ends_with(".edit.json") && !case.editor.is_empty());
        assert!(known, "{} is new: {what}", path.display());
    }
    if hit.is_none() {
        assert_eq!(run.code, Some(0), "{what}");
    } else if !left.is_empty() {
        run_of(world.command(case.words).output().expect("run"));
        assert_eq!(world.left(), Vec::<PathBuf>::new(), "the next run leaves it: {what}");
        for (name, plain) in case.targets {
            assert!(world.is_new(case, name, plain), "{name} after the next run: {what}");
        }
        check_plaintext(case, &world, &[], &what);
    }
    hit
}

/// No file holds the secret but those that may; and what a killed run left, nobody else can read.
#[track_caller]
fn check_plaintext(case: &Case, world: &World, left: &[PathBuf], what: &str) {
    use std::os::unix::fs::PermissionsExt;

    for path in world.files() {
        if !String::from_utf8_lossy(&fs::read(&path).expect("readable")).contains(SECRET) {
            continue;
        }
        let may = case.plain.iter().any(|name| world.sandbox.path(name) == path);
        let private = left.iter().find(|left| path.starts_with(left)).is_some_and(|left| {
            let mode = fs::metadata(left).expect("there").permissions().mode();
            // In the work folder only what the command was to write there in plain.
            mode & 0o077 == 0 && (left.is_dir() || case.result == Outcome::Plain)
        });
        let asked_for = case.result == Outcome::Plain && left.contains(&path);
        assert!(may || private || asked_for, "plaintext in {}: {what}", path.display());
    }
}

const PLAIN: &str = "# mine\npw: hunter2-planted\nother: 'x'\n";

fn plain(sandbox: &Sandbox) {
    sandbox.write("a.yaml", PLAIN);
}

fn sealed(sandbox: &Sandbox) {
    sandbox.sealed("a.yaml", PLAIN);
}

const ENCRYPT: Case = Case {
    prepare: plain,
    words: &["encrypt", "-i", "a.yaml"],
    targets: &[("a.yaml", PLAIN)],
    result: Outcome::Sealed,
    plain: &["a.yaml"],
    editor: "",
};

const SET: Case = Case {
    prepare: sealed,
    words: &["set", "a.yaml", "[\"other\"]", "\"y\""],
    targets: &[("a.yaml", "# mine\npw: hunter2-planted\nother: 'y'\n")],
    plain: &[],
    ..ENCRYPT
};

#[test]
fn encrypt_in_place() {
    check(&ENCRYPT, &["kill", "short", EIO, EACCES, EROFS]);
}

#[test]
fn encrypt_to_another_file() {
    let case = Case {
        prepare: |sandbox| {
            sandbox.sealed("out.yaml", "pw: old\n");
            plain(sandbox);
        },
        words: &["encrypt", "--output", "out.yaml", "a.yaml"],
        targets: &[("out.yaml", PLAIN)],
        ..ENCRYPT
    };
    check(&case, &["kill", EIO]);
}

#[test]
fn encrypt_several_files() {
    let case = Case {
        prepare: |sandbox| {
            for name in ["a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"] {
                sandbox.write(name, PLAIN);
            }
        },
        words: &["encrypt", "-i", "a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"],
        targets: &[
            ("a.yaml", PLAIN),
            ("b.yaml", PLAIN),
            ("c.yaml", PLAIN),
            ("d.yaml", PLAIN),
            ("e.yaml", PLAIN),
        ],
        plain: &["a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"],
        ..ENCRYPT
    };
    check(&case, &["kill", EIO]);
}

#[test]
fn encrypt_into_a_folder() {
    let case = Case {
        prepare: |sandbox| {
            sandbox.write("a.yaml", PLAIN);
            sandbox.write("b.json", "{\"pw\": \"hunter2-planted\"}\n");
        },
        words: &["encrypt", "--output-dir", "out", "a.yaml", "b.json"],
        targets: &[("out/a.yaml", PLAIN), ("out/b.json", "{\"pw\": \"hunter2-planted\"}\n")],
        plain: &["a.yaml", "b.json"],
        ..ENCRYPT
    };
    check(&case, &["kill", EIO]);
}

#[test]
fn decrypt_in_place() {
    let case = Case {
        prepare: sealed,
        words: &["decrypt", "-i", "a.yaml"],
        result: Outcome::Plain,
        ..ENCRYPT
    };
    check(&case, &["kill", "short", EIO]);
}

#[test]
fn set_and_unset() {
    check(&SET, &["kill", "short", EIO, EACCES, ENOSPC, EROFS]);
    let case = Case {
        words: &["unset", "a.yaml", "[\"other\"]"],
        targets: &[("a.yaml", "# mine\npw: hunter2-planted\n")],
        ..SET
    };
    check(&case, &["kill"]);
}

#[test]
fn rotate() {
    let case = Case { words: &["rotate", "-i", "a.yaml"], targets: &[("a.yaml", PLAIN)], ..SET };
    check(&case, &["kill", EIO]);
}

#[test]
fn updatekeys() {
    let case = Case {
        prepare: |sandbox| {
            sealed(sandbox);
            let other = sandbox.run(&["keygen", "-o", "other.txt"]).ok();
            let rule = format!("creation_rules:\n  - age: [{}, {other}]\n", sandbox.recipient);
            sandbox.write(".sops.yaml", &rule);
        },
        words: &["updatekeys", "--yes", "a.yaml"],
        targets: &[("a.yaml", PLAIN)],
        ..SET
    };
    check(&case, &["kill", EIO]);
}

#[test]
fn reseal() {
    let case = Case {
        prepare: |sandbox| {
            sealed(sandbox);
            sandbox.write("a.yaml", &sandbox.read("a.yaml").replace("'ENC", "  'ENC"));
        },
        words: &["reseal", "--yes", "a.yaml"],
        targets: &[("a.yaml", "# mine\npw: hunter2-planted\nother:   'x'\n")],
        ..SET
    };
    check(&case, &["kill", EIO]);
}

#[test]
fn edit() {
    let case = Case { words: &["edit", "a.yaml"], editor: "sed -i s/x/y/ \"$1\"", ..SET };
    check(&case, &["kill", "short", EIO]);
}

#[test]
fn edit_of_a_new_file() {
    let case = Case {
        prepare: |_| {},
        words: &["edit", "a.yaml"],
        targets: &[("a.yaml", "pw: hunter2-planted\n")],
        editor: "printf 'pw: hunter2-%s\\n' planted > \"$1\"",
        ..SET
    };
    check(&case, &["kill", EIO]);
}

#[test]
fn keygen_leaves_a_whole_identity_or_none() {
    let case = Case { prepare: |_| {}, ..SET };
    let words = ["keygen", "-o", "mine.txt"];
    for kind in ["kill", "short", EIO] {
        for at in 0.. {
            let world = World::new(&case);
            let (run, hit) = world.run(&words, at, kind, false);
            let what = format!("{kind} at call {at} ({hit:?})\n{}", run.stderr);
            let written = fs::read_to_string(world.sandbox.path("mine.txt")).ok();
            let whole = |text: &String| text.contains("AGE-SECRET-KEY-1") && text.ends_with('\n');
            assert!(written.as_ref().is_none_or(whole), "{what}");
            if hit.is_none() {
                assert_eq!((run.code, written.is_some()), (Some(0), true), "{what}");
                break;
            }
            if written.is_none() {
                assert_eq!(run_of(world.command(&words).output().expect("run")).code, Some(0));
                assert_eq!(world.left(), Vec::<PathBuf>::new(), "{what}");
            }
        }
    }
}

/// What stands there after a run that was killed while it overwrote a file.
#[test]
fn a_mounted_file_is_whole_or_has_a_whole_copy() {
    let name = "a.yaml";
    // Shorter than before, so that a file that is not cut yet has a wrong end.
    let case = Case {
        words: &["unset", "a.yaml", "[\"other\"]"],
        targets: &[("a.yaml", "# mine\npw: hunter2-planted\n")],
        ..SET
    };
    let next = ["set", "a.yaml", "[\"other\"]", "\"a rather long value\""];
    for kind in ["kill", EIO, ENOSPC] {
        let mut torn = 0;
        for at in 0.. {
            let world = World::new(&case);
            let before = world.sandbox.read(name);
            let (run, hit) = world.run(case.words, at, kind, true);
            let what =
                format!("{kind} at call {at} ({hit:?}), exit {:?}\n{}", run.code, run.stderr);
            if hit.is_none() {
                assert_eq!(run.code, Some(0), "{what}");
                break;
            }
            let is_new = || world.is_new(&case, name, case.targets[0].1);
            let copy = world.sandbox.path(".a.yaml.waxseal-copy");
            if world.sandbox.read(name) != before && !is_new() {
                assert_eq!(kind, "kill", "{what}");
                torn += 1;
                let stderr = world.sandbox.run(&["decrypt", name]).stderr;
                let hint = "hint: its last writer was interrupted: .a.yaml.waxseal-copy holds \
                            what it was to be, whole";
                assert!(stderr.contains(hint), "{what}{stderr}");
                fs::copy(&copy, world.sandbox.path(name)).expect("copied");
                assert!(is_new(), "the copy is not whole: {what}");
            }
            let stays = kind == "kill" || hit.as_deref() == Some("unlink");
            assert!(stays || (world.left().is_empty() && !copy.exists()), "{what}");
            // The next writer tidies up.
            let (again, _) = world.run(&next, usize::MAX, "kill", true);
            assert_eq!(again.code, Some(0), "{what}{}", again.stderr);
            assert!(world.left().is_empty() && !copy.exists(), "{what}");
            assert_eq!(world.sandbox.run(&["verify", name]).code, Some(0), "{what}");
        }
        assert_eq!(torn > 0, kind == "kill", "{kind}");
    }
}

/// A shell that may mount things, here or in a user namespace of its own.
fn with_mounts(sandbox: &Sandbox, script: &str) -> Option<Run> {
    ["-m", "-rm"].into_iter().find_map(|flags| {
        let shell = |script: &str| {
            let mut command = sandbox.command("unshare");
            command
                .args([flags, "sh", "-ec", script])
                .env("WAXSEAL", env!("CARGO_BIN_EXE_waxseal"));
            command.output().ok().map(run_of)
        };
        shell("mount -t tmpfs none .").filter(|run| run.code == Some(0))?;
        shell(script)
    })
}

/// What [`with_mounts`] has to say if this machine lets nobody mount.
#[expect(clippy::print_stderr, reason = "a test that tests less than elsewhere says so")]
fn nobody_mounts() {
    eprintln!("no right to mount anything: not tested with a real mount");
}

#[test]
fn a_file_that_is_really_mounted_by_itself_is_overwritten() {
    let sandbox = Sandbox::new();
    sandbox.sealed("outside.yaml", PLAIN);
    sandbox.write("inside.yaml", "");
    let script = "mount --bind outside.yaml inside.yaml
        \"$WAXSEAL\" set inside.yaml '[\"other\"]' '\"y\"'
        \"$WAXSEAL\" verify inside.yaml
        \"$WAXSEAL\" decrypt -i inside.yaml
        \"$WAXSEAL\" encrypt -i inside.yaml";
    let Some(run) = with_mounts(&sandbox, script) else { return nobody_mounts() };
    assert_eq!(run.ok(), "inside.yaml: sealed\n");
    assert_eq!(sandbox.read("inside.yaml"), "");
    let changed = PLAIN.replace("'x'", "'y'");
    assert_eq!(sandbox.run(&["decrypt", "outside.yaml"]).ok(), changed);
    let names: Vec<_> = fs::read_dir(sandbox.path(""))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.contains("waxseal"))
        .collect();
    assert_eq!(names, [""; 0]);
}

#[test]
fn on_a_disk_that_is_really_full_the_old_file_stands() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    // One page is free, and every new file takes two.
    let script = "mkdir small; mount -t tmpfs -o size=32k none small; cp a.yaml small/
        long=$(printf '%05000d' 0)
        \"$WAXSEAL\" set small/a.yaml '[\"other\"]' \"\\\"$long\\\"\"
        dd if=/dev/zero of=small/fill bs=4096 2>/dev/null || truncate -s -4096 small/fill
        cp small/a.yaml before
        for words in \"set small/a.yaml [\\\"pw\\\"] 1\" 'rotate -i small/a.yaml' \\
            'decrypt -i small/a.yaml' 'encrypt --output small/b.yaml before.yaml'; do
            \"$WAXSEAL\" $words && exit 99
            cmp before small/a.yaml
            ls -A small
        done";
    sandbox.write("before.yaml", &format!("pw: {}\n", "x".repeat(9000)));
    let Some(run) = with_mounts(&sandbox, script) else { return nobody_mounts() };
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert_eq!(run.stdout, "a.yaml\nfill\n".repeat(4), "{}", run.stderr);
    assert_eq!(run.stderr.matches("No space left on device").count(), 4, "{}", run.stderr);
}

/// Signals while the editor runs: nothing of what it shows stays.
#[test]
fn a_signal_while_the_editor_runs_leaves_no_plaintext() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::time::{Duration, Instant};

    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let case = Case {
            words: &["edit", "a.yaml"],
            editor: "echo \"$1\" > shown.part; mv shown.part shown; exec sleep 5 > /dev/null 2>&1",
            ..SET
        };
        let world = World::new(&case);
        let before = world.sandbox.read("a.yaml");
        let mut child = world.command(case.words).spawn().expect("started");
        let start = Instant::now();
        while !world.sandbox.path("shown").exists() {
            assert!(start.elapsed() < Duration::from_secs(20), "the editor does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        let shown = PathBuf::from(world.sandbox.read("shown").trim());
        assert!(fs::read_to_string(&shown).expect("there").contains(SECRET));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a number")).expect("a process");
        kill_process(pid, signal).expect("sent");
        assert_eq!(child.wait().expect("ended").code(), Some(1), "{signal:?}");
        assert!(!shown.parent().expect("a folder").exists(), "{signal:?}");
        assert_eq!(world.sandbox.read("a.yaml"), before);
        assert_eq!(world.left(), Vec::<PathBuf>::new());
        check_plaintext(&case, &world, &[], "after a signal");
    }
}
