//! The editor, and the private directory that holds what is edited.
//!
//! Invariants: the plaintext is in a directory that only the user can enter, in memory where the
//! system has such a place; the directory goes away when it is dropped, on SIGINT, SIGTERM and
//! SIGHUP, and, if the program was killed, when `edit` is next started.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::process::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::env::Env;
use super::fs::{ReadError, read, read_bytes};
use super::interrupt;
use super::tty::{Stream, is_terminal};
use crate::shown::Show;

/// Why a file could not be edited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditorError {
    /// No editor is named, and none of those that are usual is there.
    #[error("no editor: set SOPS_EDITOR or EDITOR, or install one of vim, nano, vi")]
    NoEditor,
    /// The variable that names the editor is no command line.
    #[error("the editor cannot be started: the quotes in {variable} do not match")]
    Unparsable {
        /// Which variable.
        variable: &'static str,
    },
    /// The editor could not be started.
    #[error("the editor {program}{} cannot be started: {source}", origin(*variable))]
    Start {
        /// What was started.
        program: String,
        /// The variable that names it, if one does.
        variable: Option<&'static str>,
        /// Why it did not.
        #[source]
        source: io::Error,
    },
    /// The editor reported a failure.
    #[error("the editor {program}{} failed ({status}): nothing is changed", origin(*variable))]
    Failed {
        /// What was started.
        program: String,
        /// The variable that names it, if one does.
        variable: Option<&'static str>,
        /// How it ended.
        status: ExitStatus,
    },
    /// There is no place for the file.
    #[error("cannot make a private directory in {}: {source}", path.shown())]
    Directory {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// An editor and its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Editor {
    /// The variable that names it; `None`: it was found in PATH.
    variable: Option<&'static str>,
    program: String,
    arguments: Vec<String>,
}

impl Editor {
    /// The user's: SOPS_EDITOR, EDITOR, or the first of vim, nano and vi in PATH.
    ///
    /// # Errors
    ///
    /// If there is none, or the variable cannot be split into words.
    pub fn of_user(env: &Env) -> Result<Self, EditorError> {
        if let Some((variable, line)) = env.editor() {
            let words = shlex::split(&line).ok_or(EditorError::Unparsable { variable })?;
            let mut words = words.into_iter();
            let program = words.next().ok_or(EditorError::NoEditor)?;
            return Ok(Self { variable: Some(variable), program, arguments: words.collect() });
        }
        ["vim", "nano", "vi"]
            .iter()
            .find_map(|name| env.find_program(name))
            .map(|path| Self {
                variable: None,
                program: path.to_string_lossy().into_owned(),
                arguments: Vec::new(),
            })
            .ok_or(EditorError::NoEditor)
    }
}

/// Where the name of the editor comes from.
fn origin(variable: Option<&str>) -> String {
    variable.map_or_else(String::new, |name| format!(" (from {name})"))
}

/// What to do after the directory was removed because of a signal: end the program.
pub type OnSignal = Box<dyn Fn(i32) + Send>;

/// A private directory with one file in it.
pub struct PrivateFile {
    directory: Arc<PathBuf>,
    path: PathBuf,
    /// Locked, so that no other run takes the directory for a left one.
    _lock: File,
    editing: Arc<AtomicBool>,
    signals: Handle,
    watcher: Option<JoinHandle<()>>,
}

impl PrivateFile {
    /// Makes a directory with a file of this name and content; removes those of killed runs.
    ///
    /// Signals stay caught for the rest of the run.
    ///
    /// # Errors
    ///
    /// If there is no place for it.
    pub fn create(
        env: &Env,
        name: &OsStr,
        content: &str,
        on_signal: OnSignal,
    ) -> Result<Self, EditorError> {
        let root = root(env);
        let failed = |source| EditorError::Directory { path: root.clone(), source };
        remove_left(&root);
        let directory = Arc::new(make_directory(&root).map_err(failed)?);
        // From here on the watcher and the drop remove the directory.
        interrupt::stay_caught();
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
        let editing = Arc::new(AtomicBool::new(false));
        let handle = signals.handle();
        let watcher = watch(signals, Arc::clone(&directory), Arc::clone(&editing), on_signal);
        let file = File::open(&*directory)
            .and_then(|lock| {
                lock.try_lock()?;
                Ok(lock)
            })
            .map(|lock| Self {
                path: directory.join(name),
                directory: Arc::clone(&directory),
                _lock: lock,
                editing,
                signals: handle,
                watcher: Some(watcher),
            });
        let file = file.map_err(|error| {
            let _ = fs::remove_dir_all(&*directory);
            failed(error)
        })?;
        file.write(content).map_err(failed)?;
        Ok(file)
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the content.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, content: &str) -> io::Result<()> {
        let mut options = File::options();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        file.write_all(content.as_bytes())
    }

    /// What the file holds now.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is not UTF-8.
    pub fn read(&self) -> Result<String, ReadError> {
        read(&self.path)
    }

    /// What the file holds now, be it text or not.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read_bytes(&self) -> Result<Vec<u8>, ReadError> {
        read_bytes(&self.path)
    }

    /// Opens the editor on the file and waits for it.
    ///
    /// # Errors
    ///
    /// If the editor cannot be started, or says that it failed.
    pub fn edit(&self, editor: &Editor) -> Result<(), EditorError> {
        let program = editor.program.clone();
        self.editing.store(true, Ordering::SeqCst);
        let status = Command::new(&program).args(&editor.arguments).arg(&self.path).status();
        // An interrupt that ended the editor may still be on its way here: it was the editor's.
        let interrupted = status.as_ref().is_ok_and(|status| status.signal() == Some(SIGINT));
        self.editing.store(interrupted, Ordering::SeqCst);
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(EditorError::Failed { program, variable: editor.variable, status }),
            Err(source) => Err(EditorError::Start { program, variable: editor.variable, source }),
        }
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        self.signals.close();
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
        let _ = fs::remove_dir_all(&*self.directory);
    }
}

fn watch(
    mut signals: Signals,
    directory: Arc<PathBuf>,
    editing: Arc<AtomicBool>,
    on_signal: OnSignal,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for signal in signals.forever() {
            // Ctrl-C at the terminal reaches the editor as well, whose business it is: many take it
            // for a command. If it ends the editor, that is seen.
            let for_editor =
                signal == SIGINT && editing.load(Ordering::SeqCst) && is_terminal(Stream::Input);
            if !for_editor {
                let _ = fs::remove_dir_all(&*directory);
                interrupt::last_words();
                on_signal(signal);
            }
        }
    })
}

/// The best place for plaintext: in memory and the user's own, in memory, anywhere.
fn root(env: &Env) -> PathBuf {
    let shared = Path::new("/dev/shm");
    [env.runtime_dir(), Some(shared)]
        .into_iter()
        .flatten()
        .find(|path| is_in_memory(path) && is_writable(path))
        .map_or_else(|| env.temp_dir(), Path::to_owned)
}

#[cfg(target_os = "linux")]
#[allow(clippy::useless_conversion, reason = "the type of f_type is another on other processors")]
fn is_in_memory(path: &Path) -> bool {
    /// `TMPFS_MAGIC` of `linux/magic.h`.
    const TMPFS: i64 = 0x0102_1994;

    rustix::fs::statfs(path).is_ok_and(|stat| i64::try_from(stat.f_type) == Ok(TMPFS))
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_path: &Path) -> bool {
    false
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

/// `waxseal-PID-RANDOM`, 0700.
fn make_directory(root: &Path) -> io::Result<PathBuf> {
    loop {
        let mut random = [0; 8];
        crate::secret::fill_random(&mut random).map_err(io::Error::other)?;
        let name = format!("{PREFIX}{}-{:016x}", std::process::id(), u64::from_ne_bytes(random));
        let path = root.join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes the directories of runs that were killed: ours, of a process that is gone, and not locked
/// (a process of another container has another number here).
fn remove_left(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    let me = rustix::process::geteuid().as_raw();
    for path in entries.flatten().map(|entry| entry.path()) {
        let pid = path
            .file_name()
            .and_then(OsStr::to_str)
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok())
            .and_then(Pid::from_raw);
        let Some(pid) = pid else { continue };
        let ours = fs::symlink_metadata(&path).is_ok_and(|it| it.is_dir() && it.uid() == me);
        if !ours || rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH) {
            continue;
        }
        let unlocked = File::open(&path).is_ok_and(|dir| dir.try_lock().is_ok());
        if unlocked {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// How the name of every private directory begins.
const PREFIX: &str = "waxseal-";

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, Signal, kill_process};

    use super::{Editor, EditorError, PREFIX, PrivateFile};
    use crate::os::env::Env;

    #[track_caller]
    fn check_editor(pairs: &[(&'static str, &str)], expected: &str) {
        let editor = Editor::of_user(&Env::of(pairs));
        let text = match &editor {
            Ok(editor) => format!("{} {:?}", editor.program, editor.arguments),
            Err(error) => error.to_string(),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn the_editor_is_the_user_s() {
        check_editor(&[("SOPS_EDITOR", "a -x"), ("EDITOR", "b")], r#"a ["-x"]"#);
        check_editor(
            &[("SOPS_EDITOR", ""), ("EDITOR", "'my editor' --wait # c")],
            r#"my editor ["--wait"]"#,
        );
        check_editor(
            &[("EDITOR", "'a")],
            "the editor cannot be started: the quotes in EDITOR do not match",
        );
        let none = "no editor: set SOPS_EDITOR or EDITOR, or install one of vim, nano, vi";
        check_editor(&[("PATH", "/nowhere")], none);
        check_editor(&[("EDITOR", "  ")], none);
    }

    #[test]
    fn vim_nano_and_vi_are_looked_for_in_this_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().to_str().expect("UTF-8");
        for name in ["vi", "nano", "vim"] {
            let file = dir.path().join(name);
            fs::write(&file, "").expect("written");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("mode");
            check_editor(&[("PATH", path)], &format!("{path}/{name} []"));
        }
    }

    fn shell(script: &str) -> Editor {
        let arguments = ["-c", script, "sh"].map(str::to_owned).into();
        Editor { variable: None, program: "sh".into(), arguments }
    }

    fn create(content: &str) -> PrivateFile {
        let name = OsStr::new("secrets.yaml");
        PrivateFile::create(&Env::of(&[]), name, content, Box::new(|_| {})).expect("created")
    }

    #[test]
    fn the_file_is_private_and_goes_away() {
        let file = create("a: 1\n");
        let path = file.path().to_owned();
        let directory = path.parent().expect("a directory").to_owned();
        assert_eq!(path.file_name(), Some(OsStr::new("secrets.yaml")));
        assert_eq!(fs::metadata(&directory).expect("there").mode() & 0o7777, 0o700);
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o600);
        file.edit(&shell("echo 'b: 2' >> \"$1\"; echo left > \"$1.swp\"")).expect("edited");
        assert_eq!(file.read().expect("read"), "a: 1\nb: 2\n");
        drop(file);
        assert!(!directory.exists());
    }

    #[test]
    fn a_failing_editor_is_an_error() {
        let file = create("");
        assert!(matches!(file.edit(&shell("exit 1")), Err(EditorError::Failed { .. })));
        let program = "/nowhere/vi".into();
        let missing = Editor { variable: Some("EDITOR"), program, arguments: Vec::new() };
        assert!(matches!(file.edit(&missing), Err(EditorError::Start { .. })));
    }

    const CHILD: &str = "WAXSEAL_TEST_EDITOR_CHILD";

    /// Run by the tests below in a process of its own: edits until it is killed.
    #[test]
    fn editing_child() {
        let Some(told) = std::env::var_os(CHILD) else { return };
        let temp = Path::new(&told).parent().expect("a directory").to_owned();
        // A place on disk, apart from those of other tests.
        let env = Env::of(&[("TMPDIR", temp.to_str().expect("UTF-8"))]);
        let exit = Box::new(|signal| std::process::exit(100 + signal));
        let file = PrivateFile::create(&env, OsStr::new("x.yaml"), "", exit).expect("created");
        fs::write(&told, file.path().to_str().expect("UTF-8")).expect("told");
        let _ = file.edit(&shell("exec sleep 5"));
    }

    /// A run that edits, and its private directory.
    #[expect(clippy::zombie_processes, reason = "waited for by the caller, or the test fails")]
    fn start(temp: &Path) -> (Child, PathBuf) {
        let told = temp.join("told");
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "os::editor::tests::editing_child"])
            .env(CHILD, &told)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("run");
        let start = Instant::now();
        loop {
            let path = fs::read_to_string(&told).unwrap_or_default();
            if let Some(directory) = Path::new(&path).parent().filter(|it| it.exists()) {
                return (child, directory.to_owned());
            }
            assert!(start.elapsed() < Duration::from_secs(20), "the child does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn send(child: &Child, signal: Signal) {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("sent");
    }

    #[test]
    fn signals_remove_the_directory() {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let temp = tempfile::tempdir().expect("a directory");
            let (mut child, directory) = start(temp.path());
            send(&child, signal);
            let status = child.wait().expect("ended");
            assert_eq!(status.code(), Some(100 + signal.as_raw()));
            assert!(!directory.exists());
        }
    }

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next() {
        let temp = tempfile::tempdir().expect("a directory");
        let (mut child, directory) = start(temp.path());
        let root = directory.parent().expect("a root").to_owned();
        // While it runs it is nobody else's.
        super::remove_left(&root);
        assert!(directory.exists());
        send(&child, Signal::KILL);
        child.wait().expect("ended");
        assert!(directory.exists());
        assert!(directory.file_name().is_some_and(|it| it.to_string_lossy().starts_with(PREFIX)));
        // Another test may hold it at this moment, to remove it.
        let start = Instant::now();
        while directory.exists() {
            super::remove_left(&root);
            assert!(start.elapsed() < Duration::from_secs(20), "it is not removed");
        }
    }
}
