//! The same in Erlang, where `cargo xtask bench --peer erlang` says where its programs are.

use super::process::Server;
use anyhow::{Context, ensure};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

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
    let numbers = numbers.with_context(|| format!("Erlang said {text:?}"))?;
    ensure!(output.status.success() && !numbers.is_empty(), "Erlang said {text:?} and ended with {}", output.status);
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
        let Some(program) = program("distribution.escript") else { return Ok(None) };
        // Free now; who takes it meanwhile makes this fail.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(&program);
        let listens = "-kernel inet_dist_use_interface {127,0,0,1}";
        command.arg("server").env("ERL_FLAGS", flags("a", port, listens));
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

/// One port that is known takes the place of epmd, which would stay behind. The cookie keeps nobody out: the port is on
/// loopback, and the nodes live for seconds.
fn flags(name: &str, port: u16, more: &str) -> String {
    format!("-sname {name}@localhost -erl_epmd_port {port} -start_epmd false -setcookie bench {more}")
}
