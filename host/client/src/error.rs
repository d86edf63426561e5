//! What can go wrong between a client and a node, each in words a person can act on: what is wrong, where, what to do.

use crate::transport;
use corovan_core::code::Code;
use quinn::ConnectionError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything this library reports. Cheap to clone: one lost connection is told to every job.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Error {
    #[error("{given:?} is not a node's address: {why}. Write HOST:PORT, for example 127.0.0.1:4433 or [::1]:4433")]
    Address { given: String, why: String },
    #[error("the node's host name {host:?} cannot be resolved: {why}")]
    Resolve { host: String, why: String },
    #[error("no UDP socket can be opened on this machine: {why}")]
    Socket { why: String },
    #[error("nothing listens at {address} (UDP). Is the node running there, and is the port right?")]
    NothingListens { address: SocketAddr },
    #[error(
        "no answer from {address} within {after:?}. Either no Corovan node is there, or something on the way drops UDP"
    )]
    NoAnswer { address: SocketAddr, after: Duration },
    #[error("what answers at {address} is not a Corovan node: {why}")]
    NotCorovan { address: SocketAddr, why: String },
    #[error(
        "the node at {address} takes no new nodes: it neither issues certificates (--issuer) nor knows a node that does"
    )]
    NoJoining { address: SocketAddr },
    #[error("the connection to {address} failed: {why}")]
    Connect { address: SocketAddr, why: String },
    #[error("the certificate of the node at {address} is refused: {fault}")]
    NodeCertificate { address: SocketAddr, fault: Fault },
    #[error("the node at {address} refuses the certificate of {who}: {fault}")]
    ClientCertificate { address: SocketAddr, who: String, fault: Fault },
    #[error("{path}: {why}", path = path.display())]
    Credentials { path: PathBuf, why: String },
    #[error(
        "the node at {address} speaks protocol versions {node_oldest} to {node_newest}, this program \
         {ours_oldest} to {ours_newest}: update the {older}"
    )]
    Version {
        address: SocketAddr,
        node_newest: u16,
        node_oldest: u16,
        ours_newest: u16,
        ours_oldest: u16,
        older: &'static str,
    },
    /// The node will not do it; the connection is as good as before.
    #[error("node {node} refused: {text} ({code})")]
    Refused { node: String, code: Code, text: String },
    /// The node is gone, and with it every job that was open there.
    #[error("node {node} at {address} is lost: {why}")]
    NodeLost { node: String, address: SocketAddr, why: Lost },
    #[error("{path}: {why}", path = path.display())]
    ModuleFile { path: PathBuf, why: String },
    #[error("{what} has {size} bytes, more than the {max} allowed")]
    TooLarge { what: &'static str, size: u64, max: u64 },
    #[error("more than {max} {what} on one connection")]
    TooMany { what: &'static str, max: u64 },
    #[error("{what}: {why}")]
    Value { what: &'static str, why: String },
    /// The job has ended or reads no more; what is left of its input has nowhere to go.
    #[error("the job takes no more input")]
    InputClosed,
    /// It was closed by this program.
    #[error("the computation is closed")]
    Closed,
}

/// Why a node is lost. Silence and a closed connection are different things: after silence its jobs may still run.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Lost {
    #[error("it has been silent for {0:?}; what ran there may still run")]
    Silence(Duration),
    #[error("it closed: {text}{}", code.map(|code| format!(" ({code})")).unwrap_or_default())]
    Closed { code: Option<Code>, text: String },
    #[error("it does not know this connection any more, so it was restarted")]
    Reset,
    #[error("it broke the protocol: {0}")]
    Protocol(String),
    #[error("{0}")]
    Network(String),
}

/// What one side has against the other's certificate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    #[error("it is signed by another CA than the one trusted here; both sides need certificates of the same cluster")]
    UnknownCa,
    #[error("it has expired or is not yet valid (renew it, or set the clock of one of the two machines)")]
    Expired,
    #[error("it was revoked")]
    Revoked,
    #[error("it has the wrong role: {0}")]
    Role(String),
    #[error("it is missing")]
    Missing,
    #[error("{0}")]
    Other(String),
}

/// The peer of a connection, as errors name it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub node: String,
    pub address: SocketAddr,
    /// Ourselves, as our certificate names us.
    pub us: String,
}

impl Peer {
    /// A connection that was never established, or ended before the node's first frame.
    pub fn connect_error(&self, error: &ConnectionError, after: Duration) -> Error {
        let address = self.address;
        match error {
            ConnectionError::TimedOut => Error::NoAnswer { address, after },
            ConnectionError::VersionMismatch => {
                Error::NotCorovan { address, why: "it speaks another version of QUIC".into() }
            }
            ConnectionError::TransportError(error) => match alert(error.code.into()) {
                Some(NO_APPLICATION_PROTOCOL) => not_ours(address),
                Some(_) => Error::NodeCertificate { address, fault: fault_here(&error.reason) },
                None => Error::NotCorovan { address, why: error.to_string() },
            },
            ConnectionError::ConnectionClosed(close) => match alert(close.error_code.into()) {
                Some(NO_APPLICATION_PROTOCOL) => not_ours(address),
                Some(alert) => match fault_there(alert) {
                    Some(fault) => Error::ClientCertificate { address, who: self.us.clone(), fault },
                    None => Error::NotCorovan { address, why: close.to_string() },
                },
                None => Error::Connect { address, why: close.to_string() },
            },
            ConnectionError::ApplicationClosed(close) => {
                let text = printable(&String::from_utf8_lossy(&close.reason));
                match transport::closed_with(close.error_code) {
                    Some(Code::Denied) => {
                        Error::ClientCertificate { address, who: self.us.clone(), fault: Fault::Role(text) }
                    }
                    Some(code) => Error::Refused { node: self.node.clone(), code, text },
                    None => self.lost(Lost::Closed { code: None, text }),
                }
            }
            other => Error::Connect { address, why: other.to_string() },
        }
    }

    /// An established connection that ended.
    pub fn lost_error(&self, error: &ConnectionError) -> Error {
        match error {
            ConnectionError::TimedOut => self.lost(Lost::Silence(corovan_core::limits::SILENCE)),
            ConnectionError::ApplicationClosed(close) => self.lost(Lost::Closed {
                code: transport::closed_with(close.error_code),
                text: printable(&String::from_utf8_lossy(&close.reason)),
            }),
            ConnectionError::Reset => self.lost(Lost::Reset),
            ConnectionError::LocallyClosed => Error::Closed,
            // The node checks our certificate only after we hold the connection for established.
            ConnectionError::ConnectionClosed(close) if alert(close.error_code.into()).is_some() => {
                self.connect_error(error, Duration::ZERO)
            }
            ConnectionError::TransportError(error) => self.lost(Lost::Protocol(error.to_string())),
            other => self.lost(Lost::Network(other.to_string())),
        }
    }

    pub fn lost(&self, why: Lost) -> Error {
        Error::NodeLost { node: self.node.clone(), address: self.address, why }
    }

    pub fn protocol(&self, why: impl ToString) -> Error {
        self.lost(Lost::Protocol(why.to_string()))
    }
}

/// Text from the network as it may be shown on a terminal: no control characters, and not without end.
pub(crate) fn printable(text: &str) -> String {
    let shown = text.chars().take(corovan_core::limits::TEXT_BYTES);
    shown.map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn not_ours(address: SocketAddr) -> Error {
    Error::NotCorovan { address, why: crate::connect::OTHER_PROTOCOL.into() }
}

/// A TLS alert inside a QUIC error code (RFC 9001, section 4.8).
fn alert(code: u64) -> Option<u8> {
    (code & !0xff == 0x100).then_some((code & 0xff) as u8)
}

/// The node's alert, read as what it has against our certificate.
fn fault_there(alert: u8) -> Option<Fault> {
    Some(match alert {
        BAD_CERTIFICATE => Fault::Other("it is not a valid certificate".into()),
        UNSUPPORTED_CERTIFICATE => Fault::Role("it is not for clients".into()),
        CERTIFICATE_REVOKED => Fault::Revoked,
        CERTIFICATE_EXPIRED => Fault::Expired,
        // What rustls answers when a signature does not fit, as with a CA of the same name and another key.
        UNKNOWN_CA | DECRYPT_ERROR => Fault::UnknownCa,
        CERTIFICATE_UNKNOWN | ACCESS_DENIED => Fault::Other("it is not accepted there".into()),
        CERTIFICATE_REQUIRED => Fault::Missing,
        _ => return None,
    })
}

/// What our own verifier said; rustls gives it as text only once it has passed through QUIC.
fn fault_here(reason: &str) -> Fault {
    let has = |part: &str| reason.contains(part);
    if has("UnknownIssuer") || has("BadSignature") {
        Fault::UnknownCa
    } else if has("xpired") || has("NotValidYet") || has("not valid yet") {
        Fault::Expired
    } else if has("Revoked") {
        Fault::Revoked
    } else if has("not valid for name") || has("NotValidForName") {
        Fault::Role("it is not the certificate of a node of this cluster".into())
    } else if has("InvalidPurpose") || has("invalid purpose") || has("allow") {
        Fault::Role("it is not for a server, so not a node's".into())
    } else {
        Fault::Other(printable(reason))
    }
}

const BAD_CERTIFICATE: u8 = 42;
const UNSUPPORTED_CERTIFICATE: u8 = 43;
const CERTIFICATE_REVOKED: u8 = 44;
const CERTIFICATE_EXPIRED: u8 = 45;
const CERTIFICATE_UNKNOWN: u8 = 46;
const UNKNOWN_CA: u8 = 48;
const ACCESS_DENIED: u8 = 49;
const DECRYPT_ERROR: u8 = 51;
const CERTIFICATE_REQUIRED: u8 = 116;
const NO_APPLICATION_PROTOCOL: u8 = 120;
