//! How a node gets its certificate, and a later one in time: the door through which strangers ask, the issuer behind it,
//! the asking side of a new node, and renewal. `docs/decisions/0012-enrolment.md` says why it is so.

mod door;
mod gate;
mod join;
mod local;
mod renewal;

use crate::runtime::ports::Pending;
use corovan_core::code::Code;
use corovan_core::tenancy::identity::Principal;
use corovan_core::wire::join::{Answer, Enrol, Granted, Mint, Refused, Renew};
pub use door::Door;
pub use gate::{CROWDED, Gate};
pub use join::{Error, join, renew};
pub use local::LocalIssuer;
pub use renewal::{Looked, Renewal, Source};
use rustls::pki_types::CertificateDer;
use serde_bytes::ByteBuf;

/// Grants certificates to nodes. What is asked proves itself, so it does not matter who passes it on: a node that does not
/// issue may hand it to one that does.
pub trait Issuer: Send + Sync {
    /// A new node's certificate chain, without the root.
    fn enrol(&self, ask: Enrol) -> Pending<Result<Chain, Refusal>>;

    /// A later certificate for the same name and key.
    fn renew(&self, ask: Renew) -> Pending<Result<Chain, Refusal>>;

    /// Takes note of a token. Nobody can ask this for an operator, so only the issuing node itself does it.
    fn mint(&self, operator: Principal, _: Mint) -> Pending<Result<(), Refusal>> {
        let why = format!("{operator} asks a node for a token that does not issue certificates; ask one that does");
        Box::pin(async { Err(Refusal::plain(Code::Unsupported, why)) })
    }
}

/// Leaf first.
pub type Chain = Vec<CertificateDer<'static>>;

/// As those who asked are told.
pub fn granted(chain: &Chain) -> Answer {
    let chain = chain.iter().map(|certificate| ByteBuf::from(certificate.to_vec())).collect();
    Answer::Granted(Granted { chain })
}

/// Why something is not granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub code: Code,
    /// What who asked is told.
    pub told: String,
    /// What the log is told.
    pub real: String,
}

impl Refusal {
    /// The same for both.
    pub fn plain(code: Code, why: impl ToString) -> Refusal {
        Refusal { code, told: why.to_string(), real: why.to_string() }
    }

    /// A stranger learns nothing about tokens: not which there are, nor what became of them.
    pub fn token(real: impl ToString) -> Refusal {
        let told = "the token is not good: it may be expired, used, or not of this node. An operator can make a new one \
                    with `corovan token`";
        Refusal { code: Code::Denied, told: told.into(), real: real.to_string() }
    }

    /// As those who asked are told.
    pub fn answer(&self) -> Answer {
        Answer::Refused(Refused { code: self.code, why: self.told.clone() })
    }

    /// A fault of this node.
    pub fn fault(real: impl ToString) -> Refusal {
        Refusal {
            code: Code::Internal,
            told: "the issuing node has a fault; its log says which".into(),
            real: real.to_string(),
        }
    }
}
