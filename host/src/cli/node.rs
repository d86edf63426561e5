//! `corovan node`: a long-running node.

use super::{identity, mesh};
use crate::config::Config;
use crate::node::{Node, SystemRandom};
use crate::runtime::RealClock;
use anyhow::{Context, bail};
use corovan_core::limits;
use corovan_core::tenancy::identity::check_name;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Run a node until SIGTERM or SIGINT.
///
/// Prints `listening on ADDRESS` when it takes work. A node that has neither --certs nor joined a cluster makes a development
/// CA in its data directory, and listens on loopback only.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  corovan node --data data/a                       a development node, with a CA of its own in data/a/dev-ca
  corovan node --listen 127.0.0.1:4433 --name a --data data/a --certs certs/dev
  corovan node --listen 10.0.0.5:4433 --name a --data data/a --issuer issuer-a    issues certificates for others
  corovan node --listen 10.0.0.6:4433 --name b --data data/b --join 10.0.0.5:4433 --token corovan1.ABC")]
pub struct Args {
    /// Address and UDP port to listen on; port 0 takes any that is free
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4433", value_parser = listen)]
    listen: SocketAddr,
    /// The node's name: a-z, 0-9 and '-'
    #[arg(long, default_value = "node")]
    name: String,
    /// Directory for modules, compiled code and the node's identity
    #[arg(long, value_name = "DIR", default_value = "corovan-data")]
    data: PathBuf,
    #[command(flatten)]
    mesh: mesh::MeshArgs,
    #[command(flatten)]
    identity: identity::IdentityArgs,
    /// Coroutines that may exist at a time, not less than 16 (default: as many as the machine has room for)
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    /// Threads that run coroutines (default: one a core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MAX_WORKERS))]
    workers: Option<u8>,
    /// How long jobs may go on after SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    grace: Duration,
}

/// As the scheduler has it.
const MAX_WORKERS: i64 = 64;
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    check_name(&args.name)?;
    if args.grace > limits::SHUTDOWN_GRACE * 12 {
        bail!("--grace: at most {}", humantime::format_duration(limits::SHUTDOWN_GRACE * 12));
    }
    runtime()?.block_on(async {
        let mut mesh = args.mesh.checked().await?;
        mesh.forwards_joins = true;
        let (credentials, enrolment) = identity::find(args.identity, &args.name, &args.data, args.listen).await?;
        // Where it joined it also finds the others.
        mesh.peers.extend(enrolment.ask.clone().filter(|at| !mesh.peers.contains(at)));
        let config = Config {
            listen: args.listen,
            name: args.name,
            data: args.data,
            credentials,
            enrolment,
            mesh: Some(mesh),
            slots: args.slots,
            workers: args.workers.map_or_else(cores, usize::from),
            grace: args.grace,
        };
        serve(config).await
    })
}

/// One thread for I/O: a message's way from socket to mailbox crosses as few threads as can be.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("the I/O runtime cannot be started")
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    // Before the first line is printed: who reads it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let name = config.name.clone();
    let node = Node::start(config, Arc::new(RealClock::new()), Arc::new(SystemRandom)).await?;
    let slots = node.slots();
    tracing::info!(node = %node.id(), name, slots = slots.count, because = slots.why, "ready");
    // Whoever started the node may have closed its standard output; that is no reason to stop.
    if let Err(error) = writeln!(std::io::stdout(), "listening on {}", node.address()) {
        tracing::warn!(address = %node.address(), "the line for standard output is lost: {error}");
    }
    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!("{signal}: stopping; once more to stop at once");
    tokio::select! {
        () = node.shut_down() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write the IP address of an interface and a port, for example 127.0.0.1:4433, 0.0.0.0:4433 or [::1]:4433"
            .to_owned()
    })
}
