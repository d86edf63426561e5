//! Programs that a chore starts and must not leave behind: killed when dropped, and by the kernel when this process dies.
//! Their standard output is read line by line on a thread of its own, so that they never block on a full pipe.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

/// A started program.
pub struct Running {
    name: String,
    child: Child,
    lines: Receiver<String>,
    /// Where its standard error goes, if not to ours.
    log: Option<PathBuf>,
}

impl Running {
    /// Starts `command` with standard error to the file `log`, in a process group of its own: a Ctrl-C at the terminal
    /// reaches us alone, and we end it in order.
    pub fn in_background(name: &str, mut command: Command, log: &Path) -> Result<Running> {
        let file = fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command.process_group(0).stderr(file);
        Running::start(name, command, Some(log.to_path_buf()))
    }

    /// Starts `command` beside us: a Ctrl-C reaches it too.
    pub fn in_foreground(name: &str, command: Command) -> Result<Running> {
        Running::start(name, command, None)
    }

    /// Must be called on the main thread: the kernel's notice goes out when the *thread* that started the child ends.
    fn start(name: &str, mut command: Command, log: Option<PathBuf>) -> Result<Running> {
        let parent = std::process::id();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // SAFETY: between fork and exec the closure makes two system calls and touches no memory of ours but a copied
        // integer; both calls are async-signal-safe.
        unsafe {
            command.pre_exec(move || die_with_parent(parent));
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // Lines that nobody waits for any more are read all the same.
                    let _ = sender.send(line);
                }
            });
        }
        Ok(Running { name: name.to_string(), child, lines, log })
    }

    /// The next line it prints; `None` when it has closed its output. Errors when `stop` is set or the limit is over.
    pub fn next_line(&mut self, stop: &Interrupt, end: Instant) -> Result<Option<String>> {
        loop {
            stop.check()?;
            match self.lines.recv_timeout(PAUSE) {
                Ok(line) => return Ok(Some(line)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= end => {
                    bail!("{} did not go on in time{}", self.name, self.last_words())
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Reads lines up to one that begins with `prefix`, and gives the rest of it.
    pub fn wait_for(&mut self, prefix: &str, stop: &Interrupt, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        while let Some(line) = self.next_line(stop, end)? {
            if let Some(rest) = line.strip_prefix(prefix) {
                return Ok(rest.trim().to_string());
            }
        }
        let status = self.wait(PATIENCE)?;
        bail!("{} ended ({status}) before it printed \"{prefix}...\"{}", self.name, self.last_words())
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!("{} was still running after {} s{}", self.name, limit.as_secs(), self.last_words());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Asks it to end, as `kill` and service managers do, checks that it ends well, and says so.
    pub fn stop(mut self) -> Result<String> {
        let begin = Instant::now();
        if let Some(status) = self.child.try_wait()? {
            bail!("{} had already ended ({status}){}", self.name, self.last_words());
        }
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.wait(PATIENCE)?;
        if !status.success() {
            bail!("{} ended with {status} after SIGTERM{}", self.name, self.last_words());
        }
        Ok(format!("{} ended with {status} {:.1} s after SIGTERM", self.name, begin.elapsed().as_secs_f64()))
    }

    /// The end of its log, for an error message.
    pub fn last_words(&self) -> String {
        let Some(log) = &self.log else { return String::new() };
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        match last {
            [] => format!("; {} has logged nothing", self.name),
            last => format!("; the last words of {}:\n    {}", self.name, last.join("\n    ")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Set by Ctrl-C or a request to end: turns into an error at the next look, so that everything is dropped in order.
#[derive(Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From here on SIGINT, SIGTERM and SIGHUP no longer end this process at once.
    pub fn catch() -> Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            signal_hook::flag::register(signal.as_raw(), Arc::clone(&flag)).context("cannot catch signals")?;
        }
        Ok(Interrupt(flag))
    }

    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted; everything that was started is being ended");
        }
        Ok(())
    }
}

fn die_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the call above.
    match rustix::process::getppid() {
        Some(pid) if pid.as_raw_nonzero().get().unsigned_abs() == parent => Ok(()),
        _ => Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error())),
    }
}

/// How often a waiting loop looks.
const PAUSE: Duration = Duration::from_millis(30);

/// How long a node may take to end: its grace period for jobs, and some.
const PATIENCE: Duration = Duration::from_secs(20);

const LAST_LINES: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn never() -> Interrupt {
        Interrupt(Arc::new(AtomicBool::new(false)))
    }

    fn start(script: &str) -> (Running, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let running = Running::in_background("sh", sh(script), &folder.path().join("log")).unwrap();
        (running, folder)
    }

    #[test]
    fn the_awaited_line_is_found_after_others() {
        let (mut running, _folder) = start("echo hello; echo listening on 127.0.0.1:7; sleep 60");
        let address = running.wait_for("listening on ", &never(), PATIENCE).unwrap();
        assert_eq!(address, "127.0.0.1:7");
    }

    #[test]
    fn a_program_that_ends_early_is_quoted() {
        let (mut running, _folder) = start("echo port in use >&2; exit 3");
        let error = running.wait_for("listening on ", &never(), PATIENCE).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("port in use"), "{error}");
    }

    #[test]
    fn a_program_that_says_nothing_is_not_waited_for_for_ever() {
        let (mut running, _folder) = start("sleep 60");
        let error = running.wait_for("listening on ", &never(), Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains("did not go on in time"), "{error}");
    }

    #[test]
    fn stopping_tells_a_good_end_from_a_bad_one() {
        let ready = |script: &str| {
            let (mut running, folder) = start(script);
            running.wait_for("ready", &never(), PATIENCE).unwrap();
            (running, folder)
        };
        let (good, _folder) = ready("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        good.stop().unwrap();
        let (bad, _folder) = ready("trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done");
        let error = bad.stop().unwrap_err().to_string();
        assert!(error.contains("exit status: 4"), "{error}");
    }

    #[test]
    fn a_dropped_program_is_gone() {
        let (running, _folder) = start("sleep 60");
        let pid = Pid::from_child(&running.child);
        drop(running);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[test]
    fn an_interrupt_ends_the_wait() {
        let (mut running, _folder) = start("sleep 60");
        let stop = Interrupt(Arc::new(AtomicBool::new(true)));
        let error = running.wait_for("listening on ", &stop, PATIENCE).unwrap_err().to_string();
        assert!(error.contains("interrupted"), "{error}");
    }
}
