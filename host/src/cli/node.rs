//! `corovan node`: a long-running node.

use super::flags::{Bad, Flags};
use super::identity::{self, Identity};
use super::reload::Reload;
use crate::config::layers::Effective;
use crate::config::{self, Config};
use crate::node::{Node, SystemRandom};
use crate::runtime::RealClock;
use crate::telemetry::Filter;
use anyhow::{Context, bail};
use corovan_client::resolve_address;
use corovan_core::limits;
use corovan_core::tenancy::token::Token;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Run a node until SIGTERM or SIGINT.
///
/// Prints `listening on ADDRESS` when it takes work. A node that has neither --certs nor joined a cluster makes a development
/// CA in its data directory, and listens on loopback only.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Each option may also stand in the file, and in the environment as COROVAN_NODE_LISTEN and so on. Options hold over the
environment, and that over the file. SIGHUP has the file read again; `corovan config show` tells what holds, and why.

Examples:
  corovan node --data data/a                       a development node, with a CA of its own in data/a/dev-ca
  corovan node --config /etc/corovan/corovan.toml
  corovan node --listen 127.0.0.1:4433 --name a --data data/a --certs certs/dev
  corovan node --listen 10.0.0.5:4433 --name a --data data/a --issuer issuer-a    issues certificates for others
  corovan node --listen 10.0.0.6:4433 --name b --data data/b --join 10.0.0.5:4433 --token corovan1.ABC")]
pub struct Args {
    /// Configuration file, in TOML (default: corovan.toml in the data directory, if it is there)
    #[arg(long, value_name = "FILE", env = "COROVAN_CONFIG")]
    config: Option<PathBuf>,
    /// What `corovan token` has printed; needed once
    #[arg(long, env = "COROVAN_TOKEN", hide_env_values = true)]
    token: Option<Token>,
    #[command(flatten)]
    flags: Flags,
}

/// `log`: the option of all commands, if it was given; `filter` says anew what is logged.
pub fn run(args: Args, log: Option<&str>, filter: Filter) -> anyhow::Result<ExitCode> {
    let sources = args.flags.sources(args.config, log)?;
    let effective = Bad::or(sources.load())?;
    filter.set(effective.text("node.log").unwrap_or(super::NODE_LOG)).map_err(anyhow::Error::msg)?;
    if let Some(file) = &effective.file {
        tracing::info!(file = %file.display(), "configured");
    }
    if args.token.is_some() && effective.text("node.join").is_none() {
        bail!("--token (or COROVAN_TOKEN) needs --join, or `join` in the configuration: the node that is asked");
    }
    runtime()?.block_on(async {
        let config = config(&effective, args.token).await?;
        let asked = config.enrolment.ask.clone();
        serve(config, Reload::new(sources, effective, asked, filter)).await
    })
}

/// All that a node needs to start.
async fn config(effective: &Effective, token: Option<Token>) -> anyhow::Result<Config> {
    let missing = |what: &str| format!("there is no {what}");
    let listen = effective.listen("node.listen").with_context(|| missing("address to listen on"))?;
    let name = effective.text("node.name").with_context(|| missing("name"))?.to_owned();
    let data = effective.path("node.data").with_context(|| missing("data directory"))?.to_owned();
    let dir = |key: &str| effective.path(key).map(Path::to_owned);
    let join = effective.text("node.join").map(str::to_owned);
    let live = effective.live();
    let external = match effective.text("node.external") {
        Some(given) => resolve_address(given).await.context("--external")?.first().copied(),
        None => None,
    };
    let identity = Identity { certs: dir("node.certs"), issuer: dir("node.issuer"), join, token };
    let (credentials, enrolment) = identity::find(identity, &name, &data, listen).await?;
    let mesh = config::Mesh {
        peers: super::reload::peers(live.peers, enrolment.ask.as_ref()),
        discover: effective.is("node.discover"),
        external,
        dial_out: effective.is("node.dial-out"),
        forwards_joins: true,
        labels: live.labels,
    };
    Ok(Config {
        listen,
        name,
        data,
        credentials,
        enrolment,
        mesh: Some(mesh),
        offer: live.offer,
        slots: effective.number("node.slots").and_then(|slots| u32::try_from(slots).ok()),
        workers: effective.number("node.workers").and_then(|n| usize::try_from(n).ok()).unwrap_or_else(cores),
        http: effective.listen("node.http").map(loopback).transpose()?,
        grace: effective.duration("node.grace").unwrap_or(limits::SHUTDOWN_GRACE),
    })
}

/// What it tells there is for operators alone, and it asks nobody who he is.
fn loopback(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    if !address.ip().is_loopback() {
        bail!(
            "--http {address}: the status page asks nobody who he is, so it listens on loopback alone: 127.0.0.1:{}",
            address.port()
        );
    }
    Ok(address)
}

/// One thread for I/O: a message's way from socket to mailbox crosses as few threads as can be.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("the I/O runtime cannot be started")
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

async fn serve(config: Config, mut reload: Reload) -> anyhow::Result<ExitCode> {
    // Before the first line is printed: who reads it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let name = config.name.clone();
    let node = Node::start(config, Arc::new(RealClock::new()), Arc::new(SystemRandom)).await?;
    let slots = node.slots();
    tracing::info!(node = %node.id(), name, slots = slots.count, because = slots.why, "ready");
    // Whoever started the node may have closed its standard output; that is no reason to stop.
    if let Err(error) = writeln!(std::io::stdout(), "listening on {}", node.address()) {
        tracing::warn!(address = %node.address(), "the line for standard output is lost: {error}");
    }
    if let Some(address) = node.http() {
        tracing::info!("metrics and status at http://{address}/");
    }
    let signal = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => reload.again(&node).await,
        }
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
