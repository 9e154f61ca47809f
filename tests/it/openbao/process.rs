//! A server as a process: on ports of its own, with a home of its own, and gone when the tests are.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// What nothing in a test process can do is clean up at its end: statics are not dropped, and it may be
/// killed. So a shell holds the reading end of a pipe, and ends the server when the writing end is gone.
/// Lines in it are signals for the server. The shell is the server's parent: until it has seen the end
/// of the server, the number of the process stands for no other.
const KEEPER: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{
    while read -r signal; do kill -s "$signal" "$server"; done
    kill -s KILL "$server"
} <&3 &
keeper=$!
exec 3<&-
wait "$server"
kill "$keeper"
rm -rf "$HOME"
"#;

/// How long a server may take to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Process {
    child: Child,
    /// Dropped, it ends the server.
    pipe: Option<ChildStdin>,
    home: PathBuf,
    /// Readable still when the folder is gone.
    log: File,
}

impl Process {
    /// Starts OpenBao and waits until it says in its log that it has started, which no other server on the
    /// same port can say for it. What it wrote, where it ended before.
    pub(super) fn start(program: &Path, args: &[String]) -> Result<Self, String> {
        Self::start_until(program, args, &[], "server started!")
    }

    /// Starts a server that says so when it is ready, with these variables.
    pub(crate) fn start_until(
        program: &Path,
        args: &[String],
        variables: &[(&str, String)],
        ready: &str,
    ) -> Result<Self, String> {
        // The shell removes it.
        let home = tempfile::Builder::new().prefix("bao-").tempdir().expect("a folder").keep();
        let written = File::create(home.join("log")).expect("a file");
        let log = File::open(home.join("log")).expect("a file");
        let mut child = Command::new("/bin/sh")
            .args(["-c", KEEPER, "sh"])
            .arg(program)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &home)
            .env("TMPDIR", &home)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&home)
            .stdin(Stdio::piped())
            .stderr(written.try_clone().expect("a second handle"))
            .stdout(written)
            // What a terminal sends to end the tests is not for the shell: it has work to do then.
            .process_group(0)
            .spawn()
            .expect("a shell");
        let pipe = child.stdin.take();
        let mut process = Self { child, pipe, home, log };
        let patience = Instant::now() + PATIENCE;
        while !process.log().contains(ready) {
            let ended = process.child.try_wait().expect("a child").is_some();
            if ended || Instant::now() > patience {
                return Err(process.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(process)
    }

    pub(crate) fn log(&self) -> String {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = vec![0; 1 << 20];
        let count = self.log.read_at(&mut bytes, 0).expect("a readable file");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Ends it with a signal, and waits for that.
    pub(super) fn end(&mut self, signal: &str) {
        if let Some(pipe) = &mut self.pipe {
            // Nobody reads where the server has ended already.
            let _ = writeln!(pipe, "{signal}");
        }
        self.child.wait().expect("a child");
        self.pipe = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.pipe = None;
        // Nothing can be done about it here.
        let _ = self.child.wait();
    }
}

/// A port that is free, as the one after it is. Below those that are given to whoever asks for any, so that a
/// server can be stopped and find its port free afterwards.
pub(crate) fn free_pair() -> u16 {
    const FIRST: u16 = 20_000;
    const PAIRS: u16 = 6_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes at the same time begin in different places.
    let start = std::process::id() % u32::from(PAIRS);
    for _ in 0..PAIRS {
        let pair =
            (start + 37 * u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(PAIRS);
        let port = FIRST + 2 * u16::try_from(pair).expect("a remainder");
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1) {
            return port;
        }
    }
    panic!("no two ports are free");
}
