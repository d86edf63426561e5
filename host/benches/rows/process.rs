//! Processes to measure against: a node, a raw QUIC echo, and what `/proc` says of them.

use anyhow::Context;
use corovan::net::tls;
use corovan::tenancy::ca::Authority;
use corovan_client::Credentials;
use corovan_client::transport::{self, Accepts};
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use rustix::process::{Pid, Signal};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

/// First argument that makes this program the echo server.
pub const ECHO: &str = "--echo-server";
/// Its last: handlers on a thread of their own.
const APART: &str = "apart";

/// A child that prints `listening on ADDRESS`; killed when dropped.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// `corovan node` with certificates in `dir` and data below it.
    pub fn node(dir: &Path) -> anyhow::Result<Server> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corovan"));
        command.args(["node", "--listen", "127.0.0.1:0", "--name", "a", "--log", "error", "--data"]);
        command.arg(dir.join("data")).arg("--certs").arg(dir);
        Server::start(command)
    }

    /// A second node, which joins the first.
    pub fn peer(dir: &Path, first: &str) -> anyhow::Result<Server> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corovan"));
        command.args(["node", "--listen", "127.0.0.1:0", "--name", "b", "--log", "error", "--peer", first, "--data"]);
        command.arg(dir.join("data-b")).arg("--certs").arg(dir);
        Server::start(command)
    }

    /// This program as a raw QUIC echo with the same TLS and transport settings.
    pub fn echo(dir: &Path) -> anyhow::Result<Server> {
        Server::echo_with(dir, &[])
    }

    /// The same whose handlers are on another thread than the connections, as guests are.
    pub fn echo_apart(dir: &Path) -> anyhow::Result<Server> {
        Server::echo_with(dir, &[APART])
    }

    fn echo_with(dir: &Path, options: &[&str]) -> anyhow::Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ECHO).arg(dir).args(options);
        Server::start(command)
    }

    pub fn start(mut command: Command) -> anyhow::Result<Server> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start a server process")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ").context("the server did not say where it listens")?;
        Ok(Server { address: address.to_owned(), child })
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(rustix::process::kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits for its end.
    pub fn wait(mut self) -> anyhow::Result<()> {
        self.child.wait()?;
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A development CA in `dir` with node `a`; credentials of a tenant.
pub fn certificates(dir: &Path) -> anyhow::Result<Credentials> {
    let now = SystemTime::now();
    let authority = Authority::generate("bench", now)?;
    authority.save(dir, false)?;
    for name in ["a", "b"] {
        authority.issue(Role::Node, name, now, limits::CERTIFICATE_LIFE)?.save(dir, false)?;
    }
    let tenant = authority.issue(Role::Tenant, "t", now, limits::CERTIFICATE_LIFE)?;
    Ok(authority.credentials(&tenant)?)
}

/// A connection to the raw echo; the endpoint is to be kept as long.
pub async fn dial(address: &str, credentials: &Credentials) -> anyhow::Result<(quinn::Endpoint, quinn::Connection)> {
    let mut endpoint = quinn::Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    endpoint.set_default_client_config(credentials.client_config()?);
    let name = credentials.identity.principal().cluster_dns_name();
    let connection = endpoint.connect(address.parse()?, &name)?.await.context("the echo server")?;
    Ok((endpoint, connection))
}

/// Echoes whatever comes on two-way streams, until killed.
pub fn serve_echo() -> anyhow::Result<()> {
    let dir = std::env::args().nth(2).context("the echo server takes a directory")?;
    let dir = Path::new(&dir);
    let credentials = Credentials::load(dir.join("node-a.crt"), dir.join("node-a.key"), dir.join("ca.crt"))?;
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let apart = std::env::args().nth(3).filter(|word| word == APART).map(|_| runtime()).transpose()?;
    let runtime = runtime()?;
    let handlers = apart.as_ref().unwrap_or(&runtime).handle().clone();
    runtime.block_on(async {
        let mut config = tls::server_config(&credentials.identity, &credentials.roots, false)?;
        // As wide as a node opens it once it knows its client.
        config.transport_config(transport::transport_config(Accepts::NODE));
        let endpoint = quinn::Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        println!("listening on {}", endpoint.local_addr()?);
        while let Some(incoming) = endpoint.accept().await {
            let connection = incoming.await?;
            handlers.spawn(async move {
                while let Ok((mut send, mut recv)) = connection.accept_bi().await {
                    while let Ok(Some(chunk)) = recv.read_chunk(64 << 10, true).await {
                        if send.write_chunk(chunk.bytes).await.is_err() {
                            break;
                        }
                    }
                }
            });
        }
        Ok(())
    })
}

/// Resident bytes of a process (`self` or a number).
pub fn resident(pid: &str) -> anyhow::Result<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = statm.split(' ').nth(1).context("statm")?.parse()?;
    Ok(pages * 4096)
}

/// CPU time of a process so far, in seconds (user and system; 100 clock ticks a second on Linux).
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().context("stat")?.split_whitespace().collect();
    let ticks: f64 =
        fields.get(11).context("utime")?.parse::<f64>()? + fields.get(12).context("stime")?.parse::<f64>()?;
    Ok(ticks / 100.0)
}
