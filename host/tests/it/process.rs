//! Real processes of the `corovan` program: started in a temporary directory of their own, read while they run, held to a
//! time limit, and killed when dropped.

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A guard against hanging, never a measure: a test that needs longer has failed.
pub const LIMIT: Duration = Duration::from_secs(90);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A directory for one test, and the programs that run in it.
pub struct Place {
    dir: TempDir,
}

/// A started program. Its output is collected as it comes.
pub struct Running {
    name: String,
    child: Child,
    pub stdout: Collected,
    pub stderr: Collected,
    readers: Vec<JoinHandle<()>>,
}

/// What a program has written to one stream so far.
#[derive(Clone, Default)]
pub struct Collected(Arc<(Mutex<Vec<u8>>, Condvar)>);

/// A program that has ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit code, or 256 plus the signal that ended it.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
    what: String,
}

/// A job that `cargo xtask jobs` has built.
pub fn job(name: &str) -> PathBuf {
    let jobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/jobs");
    let file = jobs.join(format!("{name}.wasm"));
    assert!(file.is_file(), "there is no {}: run `cargo xtask jobs` first", file.display());
    file
}

/// Looks until something is there; panics with `what` when it never is.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {LIMIT:?} in vain: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

impl Place {
    pub fn new() -> Place {
        Place { dir: tempfile::Builder::new().prefix("corovan-test-").tempdir().unwrap() }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes a module given as text.
    pub fn wat(&self, name: &str, text: &str) -> PathBuf {
        self.file(name, wat::parse_str(text).unwrap())
    }

    /// `corovan` with these arguments, apart from the settings and caches of whoever runs the tests.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corovan"));
        command.args(args).current_dir(self.dir.path()).env("XDG_CACHE_HOME", self.path("cache"));
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("COROVAN_") || name == "RUST_LOG") {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts `corovan` without input.
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(self.command(args))
    }

    /// Runs `corovan` without input to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Done {
        self.start(args).wait()
    }

    /// Runs `corovan` with this input.
    pub fn run_with<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Done {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        let mut running = Running::start(command);
        let mut stdin = running.stdin();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // A program need not read all it could.
            let _ = stdin.write_all(&input);
        });
        let done = running.wait();
        writer.join().unwrap();
        done
    }
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let name = format!("{command:?}");
        Running::named(name.clone(), command.spawn().unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    /// A child whose streams the test may have taken for itself.
    pub fn watch(child: Child) -> Running {
        Running::named("a program".into(), child)
    }

    fn named(name: String, mut child: Child) -> Running {
        let (stdout, stderr) = (Collected::default(), Collected::default());
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(stdout.fill(pipe));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(stderr.fill(pipe));
        }
        Running { name, child, stdout, stderr, readers }
    }

    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("standard input is a pipe")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Done {
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let (out, err) = (self.stdout.text(), self.stderr.text());
                panic!("{} did not end in {LIMIT:?}\nstdout: {}\nstderr: {err}", self.name, shorten(&out));
            }
            std::thread::sleep(LOOK_AGAIN);
        };
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        Done { code: code_of(status), stdout: self.stdout.bytes(), stderr: self.stderr.text(), what: self.name.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Done {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    #[track_caller]
    pub fn has_code(&self, code: i32) -> &Done {
        let (out, err) = (self.out(), &self.stderr);
        assert_eq!(self.code, code, "{}\nstdout: {}\nstderr: {}", self.what, shorten(&out), shorten(err));
        self
    }

    /// Asserts that standard error has all these parts, whatever their case.
    #[track_caller]
    pub fn says(&self, parts: &[&str]) -> &Done {
        let text = self.stderr.to_lowercase();
        for part in parts {
            assert!(
                text.contains(&part.to_lowercase()),
                "{}\nshould say {part:?}: {}",
                self.what,
                shorten(&self.stderr)
            );
        }
        self
    }
}

impl Collected {
    fn fill(&self, mut pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let to = self.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                to.0.0.lock().extend_from_slice(&buffer[..n]);
                to.0.1.notify_all();
            }
        })
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock()).into_owned()
    }

    /// Waits until this has been written, so many times.
    #[track_caller]
    pub fn wait_for(&self, part: &str, times: usize) {
        let end = Instant::now() + LIMIT;
        let mut bytes = self.0.0.lock();
        while String::from_utf8_lossy(&bytes).matches(part).count() < times {
            let waited = self.0.1.wait_until(&mut bytes, end);
            assert!(!waited.timed_out(), "{part:?} did not come: {}", shorten(&String::from_utf8_lossy(&bytes)));
        }
    }
}

fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 256 + status.signal().unwrap_or_default())
}

fn shorten(text: &str) -> String {
    const MAX: usize = 4000;
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}
