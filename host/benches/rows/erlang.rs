//! The same in Erlang, where `cargo xtask bench --peer erlang` says where its programs are.

use super::process::Server;
use anyhow::{Context, ensure};
use rustix::process::Signal;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The directory of the programs.
const PROGRAMS: &str = "COROVAN_BENCH_ERLANG";

/// Where a program is, if Erlang was asked for.
pub fn program(name: &str) -> Option<PathBuf> {
    std::env::var_os(PROGRAMS).map(|directory| PathBuf::from(directory).join(name))
}

/// What it prints: numbers.
pub fn numbers(command: &mut Command) -> anyhow::Result<Vec<f64>> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers = text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>();
    let numbers = numbers.with_context(|| format!("{command:?} said {text:?}"))?;
    ensure!(
        output.status.success() && !numbers.is_empty(),
        "{command:?} said {text:?} and ended with {}",
        output.status
    );
    Ok(numbers)
}

/// Two nodes of Erlang in processes of their own, of which one answers the other.
pub struct Distribution {
    program: PathBuf,
    port: u16,
    server: Server,
}

impl Distribution {
    /// Starts the node that answers, if Erlang was asked for.
    pub fn start() -> anyhow::Result<Option<Distribution>> {
        Distribution::start_with("")
    }

    fn start_with(more: &str) -> anyhow::Result<Option<Distribution>> {
        let Some(program) = program("distribution.escript") else { return Ok(None) };
        // Free now; who takes it meanwhile makes this fail.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(&program);
        let listens = format!("-kernel inet_dist_use_interface {{127,0,0,1}} {more}");
        command.arg("server").env("ERL_FLAGS", flags("a", port, &listens));
        let server = Server::start(command).context("Erlang's node")?;
        Ok(Some(Distribution { program, port, server }))
    }

    /// Runs the other node, with a measure and its counts.
    pub fn measure(&self, what: &str, counts: &[usize]) -> anyhow::Result<Vec<f64>> {
        let mut command = Command::new(&self.program);
        command.args([what, &self.server.address]).args(counts.iter().map(usize::to_string));
        numbers(command.env("ERL_FLAGS", flags("b", self.port, "-dist_listen false")))
    }
}

/// Seconds until a node of Erlang that monitors another hears of its death by this signal, if Erlang was asked for; with the
/// least time in which they look for each other that their configuration takes for about ours.
pub fn noticed(signal: Signal) -> anyhow::Result<Option<f64>> {
    let tick = format!("-kernel net_ticktime {NET_TICKTIME}");
    let Some(other) = Distribution::start_with(&tick)? else { return Ok(None) };
    let mut command = Command::new(&other.program);
    command.args(["watch", &other.server.address]);
    command.env("ERL_FLAGS", flags("b", other.port, &format!("-dist_listen false {tick}")));
    let watch = Server::start(command).context("Erlang's watching node")?;
    let begin = Instant::now();
    other.server.signal(signal)?;
    watch.wait()?;
    Ok(Some(begin.elapsed().as_secs_f64()))
}

/// Seconds. By its default of 60 a node that stands still is given up after 45 to 75.
pub const NET_TICKTIME: u32 = 4;

/// One port that is known takes the place of epmd, which would stay behind. The cookie keeps nobody out: the port is on
/// loopback, and the nodes live for seconds.
fn flags(name: &str, port: u16, more: &str) -> String {
    format!("-sname {name}@localhost -erl_epmd_port {port} -start_epmd false -setcookie bench {more}")
}
