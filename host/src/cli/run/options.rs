//! What `corovan run` was asked to do, checked before anything is connected.

use crate::cli::what::{Each, JobArguments, Planned, What};
use crate::config;
use anyhow::{Context, bail};
use corovan_client::{Prepare, check_address};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Run jobs and follow them to their end.
///
/// Without --node, a node is started in this process. Each argument is read as JSON, and taken as a string where it is
/// not JSON. A single job's result is the last line of standard output.
#[derive(clap::Args, Debug)]
#[command(
    override_usage = "corovan run [OPTIONS] FILE [FUNCTION ARGS...]\n       corovan run [OPTIONS] FILE -- ARGV...",
    after_help = "\
Examples:
  corovan run job.wasm rcoro_proc 1.5
  corovan run job.wasm rcoro_proc 1.5 --count 10 --timeout 2s
  corovan run job.wasm add -1 2                    negative numbers need no --
  corovan run job.wasm greet --args-file jobs.txt  one job a line, each a JSON array of arguments
  corovan run program.wasm -- --verbose file < in > out"
)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// A running node; several share the jobs
    #[arg(long = "node", value_name = "HOST:PORT")]
    nodes: Vec<String>,
    /// Directory with ca.crt and tenant-NAME.crt and .key, as `corovan cert` makes it
    #[arg(long, value_name = "DIR", env = "COROVAN_CERTS")]
    certs: Option<PathBuf>,
    /// Which tenant's certificate, where there are several
    #[arg(long, value_name = "NAME", env = "COROVAN_TENANT")]
    tenant: Option<String>,
    /// Have the node in this process join a mesh at this node; may be given several times. Needs --certs
    #[arg(long = "peer", value_name = "HOST:PORT", conflicts_with = "nodes")]
    peers: Vec<String>,
    /// Where the node in this process listens, so that others can join it. Needs --certs
    #[arg(long, value_name = "IP:PORT", conflicts_with = "nodes")]
    bind: Option<SocketAddr>,
    /// Have it join the nodes of its cluster on the local network. Needs --certs
    #[arg(long, conflicts_with = "nodes")]
    discover: bool,
    /// Data directory of the node in this process (default: a cache of yours)
    #[arg(long, value_name = "DIR", conflicts_with = "nodes")]
    data: Option<PathBuf>,
    /// One JSON object a line instead of text
    #[arg(long)]
    json: bool,
    /// Only output and results
    #[arg(long, short)]
    quiet: bool,
    /// Do not escape control characters of jobs' output on a terminal
    #[arg(long)]
    raw: bool,
}

/// Checked options.
pub struct Plan {
    pub prepare: Prepare,
    pub nodes: Vec<String>,
    pub certs: Option<PathBuf>,
    pub tenant: Option<String>,
    pub data: Option<PathBuf>,
    /// The mesh that the node in this process joins, and where it listens.
    pub mesh: Option<config::Mesh>,
    pub bind: Option<SocketAddr>,
    /// How many jobs.
    pub jobs: u64,
    pub stdin: bool,
    /// Which node of the mesh is to run them.
    pub at: Option<String>,
    each: Each,
    pub json: bool,
    pub quiet: bool,
    pub raw: bool,
}

impl Args {
    pub fn plan(self) -> anyhow::Result<Plan> {
        let Planned { prepare, each, at, reads_stdin } = self.what.plan()?;
        for peer in &self.peers {
            check_address(peer).context("--peer")?;
        }
        let mesh = config::Mesh { peers: self.peers, discover: self.discover, ..config::Mesh::default() };
        let mesh = Some(mesh).filter(|mesh| mesh.discover || !mesh.peers.is_empty() || self.bind.is_some());
        if mesh.is_some() && self.certs.is_none() {
            bail!(
                "--peer, --discover and --bind need --certs DIR (or COROVAN_CERTS): the directory of the cluster, with your tenant's \
                 certificate and either its ca.key or a node's certificate; for a development node, DATA/dev-ca"
            );
        }
        let jobs = each.jobs();
        Ok(Plan {
            prepare: Prepare { terminals: if jobs == 1 { terminals() } else { 0 }, ..prepare },
            nodes: self.nodes,
            certs: self.certs,
            tenant: self.tenant,
            data: self.data,
            mesh,
            bind: self.bind,
            jobs,
            stdin: jobs == 1 && !reads_stdin,
            at,
            each,
            json: self.json,
            quiet: self.quiet,
            raw: self.raw,
        })
    }
}

impl Plan {
    /// The arguments of each job.
    pub fn arguments(&self) -> Box<dyn Iterator<Item = JobArguments> + Send + '_> {
        self.each.arguments()
    }
}

/// Which of our standard streams are terminals, as bits 0 to 2.
fn terminals() -> u8 {
    let bits = [std::io::stdin().is_terminal(), std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
    bits.iter().enumerate().map(|(bit, is)| u8::from(*is) << bit).sum()
}
