//! `corovan node`: a long-running node.

use super::credentials;
use crate::config::Config;
use crate::node::{Node, SystemRandom};
use crate::runtime::RealClock;
use crate::tenancy::ca::Authority;
use anyhow::{Context, bail};
use corovan_client::Credentials;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Role, check_name};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};

/// Run a node until SIGTERM or SIGINT.
///
/// Prints `listening on ADDRESS` when it takes work. Without --certs it makes a development CA in its data directory and
/// listens on loopback only.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  corovan node --data data/a                       a development node, with a CA of its own in data/a/dev-ca
  corovan node --listen 127.0.0.1:4433 --name a --data data/a --certs certs/dev")]
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
    /// Directory with ca.crt, node-NAME.crt and node-NAME.key
    #[arg(long, value_name = "DIR", env = "COROVAN_CERTS")]
    certs: Option<PathBuf>,
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
/// Directory of a node's own CA within its data.
const DEV_CA: &str = "dev-ca";
const DEV_CLUSTER: &str = "dev";
const DEV_TENANT: &str = "dev";

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    check_name(&args.name)?;
    if args.grace > limits::SHUTDOWN_GRACE * 12 {
        bail!("--grace: at most {}", humantime::format_duration(limits::SHUTDOWN_GRACE * 12));
    }
    let credentials = match &args.certs {
        Some(dir) => credentials::load(dir, "node", Some(&args.name))?,
        None if !args.listen.ip().is_loopback() => bail!(
            "{} is not a loopback address, and a node that others can reach needs a CA of its cluster: make one with \
             `corovan cert init --dir DIR` and `corovan cert node {} --dir DIR`, then give --certs DIR",
            args.listen,
            args.name
        ),
        None => {
            let dir = args.data.join(DEV_CA);
            development(&dir, &args.name).with_context(|| format!("no development CA in {}", dir.display()))?
        }
    };
    let config = Config {
        listen: args.listen,
        name: args.name,
        data: args.data,
        credentials,
        slots: args.slots,
        workers: args.workers.map_or_else(cores, usize::from),
        grace: args.grace,
    };
    runtime()?.block_on(serve(config))
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

/// A node without certificates has a CA of its own, and a tenant `dev` to use it with.
fn development(dir: &Path, name: &str) -> anyhow::Result<Credentials> {
    let now = SystemTime::now();
    let authority = Authority::load_or_generate(dir, DEV_CLUSTER, now)?;
    // Issued anew at every start: it never expires while the node is in use, and nobody else needs it.
    authority.issue(Role::Node, name, now, limits::CERTIFICATE_LIFE)?.save(dir, true)?;
    authority.issue(Role::Tenant, DEV_TENANT, now, limits::CERTIFICATE_LIFE)?.save(dir, true)?;
    tracing::info!(dir = %dir.display(), "no --certs: using a development CA; clients use --certs with this directory");
    credentials::load(dir, "node", Some(name))
}
