//! From `HOST:PORT` to an established connection: resolve, try every address, and notice a closed port at once.

use crate::error::{Error, Peer};
use corovan_core::limits;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// What every attempt needs.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub config: quinn::ClientConfig,
    /// The DNS name that every node of our cluster has.
    pub server_name: String,
    /// Ourselves, for errors.
    pub us: String,
    pub deadline: Instant,
}

pub(crate) struct Established {
    pub endpoint: quinn::Endpoint,
    pub connection: quinn::Connection,
    pub address: SocketAddr,
}

/// Whether a text is `HOST:PORT` at all.
pub fn check_address(given: &str) -> Result<(), Error> {
    parse(given).map(drop)
}

/// The addresses behind `HOST:PORT`, as the name service knows them now.
pub async fn resolve_address(given: &str) -> Result<Vec<SocketAddr>, Error> {
    resolve(given, Instant::now() + limits::CONNECT_TIME).await
}

/// The addresses behind `HOST:PORT`.
pub(crate) async fn resolve(given: &str, deadline: Instant) -> Result<Vec<SocketAddr>, Error> {
    let (host, port) = match parse(given)? {
        Target::Address(address) => return Ok(vec![address]),
        Target::Host(host, port) => (host, port),
    };
    let fault = |why: String| Error::Resolve { host: host.to_owned(), why };
    let found = timeout_at(deadline, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| fault("the name service did not answer in time".into()))?
        .map_err(|error| fault(error.to_string()))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if addresses.len() < limits::ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(fault("it has no address".into())) } else { Ok(addresses) }
}

/// Tries the addresses one after the other without waiting long for any; the first connection wins.
pub(crate) async fn connect(addresses: Vec<SocketAddr>, attempt: Attempt) -> Result<Established, Error> {
    let mut untried = addresses.into_iter();
    let mut running = JoinSet::new();
    let mut worst: Option<Error> = None;
    loop {
        if let Some(address) = untried.next() {
            running.spawn(establish(address, attempt.clone()));
        }
        let more = untried.len() > 0;
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(Ok(Ok(established))) => return Ok(established),
                Some(Ok(Err(error))) => {
                    // One that answered, though wrongly, says more than one that did not.
                    if worst.as_ref().is_none_or(|worst| rank(&error) > rank(worst)) {
                        worst = Some(error);
                    }
                }
                Some(Err(panic)) => return Err(Error::Socket { why: panic.to_string() }),
                None if more => {}
                None => return Err(worst.unwrap_or_else(|| Error::Socket { why: "no address to try".into() })),
            },
            () = sleep(limits::ADDRESS_STAGGER), if more => {}
        }
    }
}

async fn establish(address: SocketAddr, attempt: Attempt) -> Result<Established, Error> {
    let started = Instant::now();
    let peer = Peer { node: String::new(), address, us: attempt.us };
    let endpoint = quinn::Endpoint::client(unspecified(address)).map_err(socket_error)?;
    let connecting = endpoint
        .connect_with(attempt.config, address, &attempt.server_name)
        .map_err(|error| Error::Connect { address, why: error.to_string() })?;
    tokio::select! {
        connected = timeout_at(attempt.deadline, connecting) => match connected {
            Ok(Ok(connection)) => Ok(Established { endpoint, connection, address }),
            Ok(Err(error)) => Err(peer.connect_error(&error, started.elapsed())),
            Err(_) => Err(Error::NoAnswer { address, after: started.elapsed() }),
        },
        error = unreachable(address) => Err(error),
    }
}

/// QUIC ignores ICMP, since anyone can forge it, and so would wait in vain for a closed port. This asks the kernel: a
/// connected socket is told what came back for its datagram. Ends only with bad news. The datagram itself, one zero
/// byte, is not a QUIC packet and is dropped by whoever gets it.
async fn unreachable(address: SocketAddr) -> Error {
    if let Ok(socket) = UdpSocket::bind(unspecified(address)).await {
        if let Err(error) = socket.connect(address).await {
            return Error::Connect { address, why: error.to_string() };
        }
        for _ in 0..PROBES {
            let mut buffer = [0; 1];
            let answer = match socket.send(&[0]).await {
                Ok(_) => timeout(PROBE_INTERVAL, socket.recv(&mut buffer)).await,
                Err(error) => Ok(Err(error)),
            };
            match answer {
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Error::NothingListens { address };
                }
                Ok(Err(error)) if is_unreachable(&error) => {
                    return Error::Connect { address, why: error.to_string() };
                }
                _ => {}
            }
        }
    }
    std::future::pending().await
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable
    )
}

#[derive(PartialEq, Debug)]
enum Target<'a> {
    Address(SocketAddr),
    Host(&'a str, u16),
}

fn parse(given: &str) -> Result<Target<'_>, Error> {
    let fault = |why: &str| Error::Address { given: given.chars().take(200).collect(), why: why.into() };
    let port_fault = || fault("the port is a number from 1 to 65535");
    if let Ok(address) = given.parse::<SocketAddr>() {
        return if address.port() == 0 { Err(port_fault()) } else { Ok(Target::Address(address)) };
    }
    if given.parse::<std::net::IpAddr>().is_ok() {
        return Err(fault("it has no port"));
    }
    let (host, port) = given.rsplit_once(':').ok_or_else(|| fault("it has no port"))?;
    let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(port_fault)?;
    if host.is_empty() {
        return Err(fault("it has no host"));
    }
    let name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if !name {
        return Err(fault("the host is neither a name nor an IP address (an IPv6 address stands in brackets)"));
    }
    Ok(Target::Host(host, port))
}

fn unspecified(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn socket_error(error: io::Error) -> Error {
    Error::Socket { why: error.to_string() }
}

fn rank(error: &Error) -> u8 {
    match error {
        Error::Socket { .. } => 0,
        Error::Connect { .. } | Error::NothingListens { .. } => 1,
        Error::NoAnswer { .. } => 2,
        Error::NotCorovan { .. } => 3,
        _ => 4,
    }
}

/// What a server is that speaks QUIC and has not heard of our protocol.
pub(crate) const OTHER_PROTOCOL: &str = "it speaks QUIC, but not the protocol corovan/1";
const PROBES: usize = 4;
const PROBE_INTERVAL: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port_and_everything_else_says_what_is_missing() {
        for (given, host) in [("localhost:1", "localhost"), ("a-b.c_d:65535", "a-b.c_d")] {
            assert!(matches!(parse(given), Ok(Target::Host(found, _)) if found == host), "{given}");
        }
        for given in ["127.0.0.1:4433", "[::1]:4433"] {
            assert!(matches!(parse(given), Ok(Target::Address(_))), "{given}");
        }
        for (given, why) in [
            ("", "no port"),
            ("localhost", "no port"),
            ("127.0.0.1", "no port"),
            ("::1", "no port"),
            (":4433", "no host"),
            ("localhost:", "the port is a number"),
            ("localhost:0", "the port is a number"),
            ("127.0.0.1:0", "the port is a number"),
            ("localhost:65536", "the port is a number"),
            ("localhost:http", "the port is a number"),
            ("fe80::g:1", "neither a name nor an IP address"),
            ("a b:1", "neither a name nor an IP address"),
            ("https://a:1", "neither a name nor an IP address"),
        ] {
            let error = parse(given).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("HOST:PORT"), "{given}: {error}");
        }
    }
}
