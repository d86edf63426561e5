//! Running other programs: said before it is done, with a time limit where a program may hang on the network, and with
//! an error that gives the command line to try again by hand.

use std::ffi::OsStr;
use std::fmt;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A command to run: `std::process::Command`, plus whether to show it and how long to wait.
pub struct Cmd {
    command: Command,
    limit: Option<Duration>,
    quiet: bool,
}

impl Cmd {
    pub fn new(program: impl AsRef<OsStr>) -> Cmd {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Cmd { command, limit: None, quiet: false }
    }

    /// The cargo that runs us, so that `cargo +toolchain xtask` means the same toolchain throughout.
    pub fn cargo() -> Cmd {
        Cmd::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Cmd {
        self.command.arg(arg);
        self
    }

    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Cmd {
        self.command.args(args);
        self
    }

    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Cmd {
        self.command.env(key, value);
        self
    }

    pub fn without_env(mut self, key: &str) -> Cmd {
        self.command.env_remove(key);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Cmd {
        self.command.current_dir(dir);
        self
    }

    /// Ends the program when it takes longer.
    pub fn limit(mut self, limit: Duration) -> Cmd {
        self.limit = Some(limit);
        self
    }

    /// Do not show the command line: for questions rather than actions.
    pub fn quiet(mut self) -> Cmd {
        self.quiet = true;
        self
    }

    /// Runs it with our output; an exit code other than 0 is an error.
    pub fn run(mut self) -> Result<()> {
        self.show();
        let child = self.command.spawn().with_context(|| self.cannot_start())?;
        self.finish(child).and_then(|status| self.good(status))
    }

    /// Runs it and gives its standard output; standard error stays ours.
    pub fn read(mut self) -> Result<String> {
        self.show();
        let mut child = self.command.stdout(Stdio::piped()).spawn().with_context(|| self.cannot_start())?;
        let mut text = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            let _ = stdout.read_to_string(&mut text);
        }
        let status = self.finish(child)?;
        self.good(status)?;
        Ok(text)
    }

    /// Whether it runs and succeeds, with nothing shown: for asking whether a tool is there and works.
    pub fn works(mut self) -> bool {
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = self.command.spawn() else { return false };
        self.finish(child).is_ok_and(|status| status.success())
    }

    /// Its standard output when it succeeds, with nothing shown.
    pub fn answer(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    }

    /// Runs it and hands each line of its standard output to `each` as it comes, which says whether to show it.
    pub fn lines(mut self, mut each: impl FnMut(&str) -> bool) -> Result<()> {
        self.show();
        let mut child = self.command.stdout(Stdio::piped()).spawn().with_context(|| self.cannot_start())?;
        if let Some(stdout) = child.stdout.take() {
            copy_lines(stdout, &mut each)?;
        }
        let status = self.finish(child)?;
        self.good(status)
    }

    fn finish(&self, mut child: std::process::Child) -> Result<ExitStatus> {
        let Some(limit) = self.limit else { return Ok(child.wait()?) };
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                let _ = child.kill();
                let _ = child.wait();
                bail!("`{self}` was stopped after {} s", limit.as_secs());
            }
            thread::sleep(Duration::from_millis(30));
        }
    }

    fn good(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        bail!("`{self}` failed ({status})")
    }

    fn cannot_start(&self) -> String {
        format!("cannot start `{}`", self.command.get_program().to_string_lossy())
    }

    fn show(&self) {
        if !self.quiet {
            say(&format!("$ {self}"));
        }
    }
}

impl fmt::Display for Cmd {
    /// As one would type it: the program by its name, variables we set in front, arguments with blanks quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in self.command.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={} ", key.to_string_lossy(), quoted(&value.to_string_lossy()))?;
            }
        }
        let program = Path::new(self.command.get_program());
        let name = match program.file_name() {
            Some(name) if name == "cargo" => name,
            _ => program.as_os_str(),
        };
        write!(f, "{}", name.to_string_lossy())?;
        for arg in self.command.get_args() {
            write!(f, " {}", quoted(&arg.to_string_lossy()))?;
        }
        Ok(())
    }
}

/// What is being done, for the person who waits.
pub fn say(text: &str) {
    eprintln!("  {text}");
}

/// The beginning of a part.
pub fn headline(text: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("\n\x1b[1m== {text}\x1b[0m");
    } else {
        eprintln!("\n== {text}");
    }
}

fn copy_lines(stdout: impl Read, each: &mut impl FnMut(&str) -> bool) -> Result<()> {
    use std::io::{BufRead, BufReader};
    let mut out = std::io::stdout();
    let mut input = BufReader::new(stdout);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if each(String::from_utf8_lossy(&line).trim_end()) {
            out.write_all(&line)?;
            out.flush()?;
        }
        line.clear();
    }
    Ok(())
}

fn quoted(arg: &str) -> String {
    if !arg.is_empty() && arg.chars().all(|c| c.is_alphanumeric() || "-_./=,:+@%".contains(c)) {
        return arg.to_string();
    }
    format!("'{}'", arg.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let cmd = Cmd::new("clang").env("A", "x y").args(["-O2", "two words", ""]);
        assert_eq!(cmd.to_string(), "A='x y' clang -O2 'two words' ''");
    }

    #[test]
    fn a_program_that_hangs_is_stopped() {
        let error = Cmd::new("sleep").arg("60").quiet().limit(Duration::from_millis(50)).run().unwrap_err();
        assert!(error.to_string().contains("was stopped"), "{error}");
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = Cmd::new("false").quiet().run().unwrap_err();
        assert!(error.to_string().contains("`false` failed"), "{error}");
        let error = Cmd::new("no-such-program").quiet().run().unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }
}
