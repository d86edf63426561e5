//! The asking side: a new node that has a token, and a node that renews. What is granted is kept only if it is what was
//! asked for.

use super::Chain;
use crate::tenancy::kept::Kept;
use crate::tenancy::{ca, ledger, request};
use corovan_client::join::{Caller, Visit};
use corovan_client::{Credentials, tls};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::{self, Principal, Role};
use corovan_core::tenancy::token::{Token, proof};
use corovan_core::wire::join::{Answer, Ask, Enrol, Granted, Renew};
use serde_bytes::{ByteArray, ByteBuf};
use std::time::SystemTime;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Asking(#[from] corovan_client::Error),
    #[error(
        "the certificate at {target} is not of the cluster that the token is for; nothing was sent there: {source}"
    )]
    OtherCa { target: String, source: corovan_client::Error },
    #[error("the token expired at {}; an operator can make a new one with `corovan token`", humantime::format_rfc3339_seconds(*.0))]
    Expired(SystemTime),
    #[error("the token is for the node {token}, and this one is {own}: start it with --name {token}")]
    OtherName { token: String, own: String },
    #[error("{0} gave another answer than was asked for")]
    Answer(String),
    #[error(transparent)]
    Name(#[from] identity::Error),
    #[error(transparent)]
    Credentials(#[from] ca::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

/// Gets this node's first certificate from the node at `target`, and keeps it. `name`: ours.
pub async fn join(kept: &Kept, name: &str, target: &str, token: &Token, now: SystemTime) -> Result<Credentials, Error> {
    if let Some(bound) = token.name.as_ref().filter(|bound| *bound != name) {
        return Err(Error::OtherName { token: bound.clone(), own: name.to_owned() });
    }
    let expires = SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(token.expires)).unwrap_or(now);
    // Our clock may be wrong; that much it may be wrong.
    if now >= expires + limits::CLOCK_SKEW {
        return Err(Error::Expired(expires));
    }
    let key = kept.key()?;
    let (ca, answer) = retried(|| async {
        let visit = Visit::connect(target, Caller::Stranger(token.ca)).await.map_err(|error| match error {
            source @ corovan_client::Error::NodeCertificate { .. } => {
                Error::OtherCa { target: target.to_owned(), source }
            }
            other => other.into(),
        })?;
        let ca = visit.ca().cloned().ok_or_else(|| Error::Answer(target.to_owned()))?;
        let cluster = tls::ca_cluster(&ca).ok_or_else(|| Error::Answer(target.to_owned()))?;
        let csr = request::make(&Principal::new(&cluster, Role::Node, name)?, &key)?;
        let proof = ByteArray::new(proof(&token.key(), &csr));
        let enrol = Enrol { token: ByteArray::new(token.id), proof, csr: ByteBuf::from(csr) };
        Ok(((ca, cluster), visit.ask(Ask::Enrol(enrol)).await?))
    })
    .await?;
    let (ca, cluster) = ca;
    let principal = Principal::new(&cluster, Role::Node, name)?;
    let credentials = kept.keep(&principal, &granted(answer, target)?, &crate::tenancy::kept::text(&ca), now)?;
    kept.keep_asked(target)?;
    Ok(credentials)
}

/// Asks the node at `target` for this node's next certificate, and keeps it.
pub async fn renew(kept: &Kept, own: &Credentials, target: &str, now: SystemTime) -> Result<Credentials, Error> {
    let principal = own.identity.principal();
    let csr = ByteBuf::from(request::make(principal, &kept.key()?)?);
    let chain: Vec<ByteBuf> = own.identity.chain().iter().map(|der| ByteBuf::from(der.to_vec())).collect();
    let answer = retried(|| async {
        let visit = Visit::connect(target, Caller::Known(own)).await?;
        Ok(visit.ask(Ask::Renew(Renew { chain: chain.clone(), csr: csr.clone() })).await?)
    })
    .await?;
    Ok(kept.renewed(principal, &granted(answer, target)?, now)?)
}

/// Once more where too many ask at the same moment, as when many nodes are started together.
async fn retried<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> Result<T, Error> {
    let mut left = limits::JOIN_RETRIES;
    loop {
        match ask().await {
            Err(Error::Asking(corovan_client::Error::Refused { code: Code::Overloaded, .. })) if left > 0 => left -= 1,
            other => return other,
        }
        tokio::time::sleep(limits::JOIN_RETRY).await;
    }
}

fn granted(answer: Answer, target: &str) -> Result<Chain, Error> {
    match answer {
        Answer::Granted(Granted { chain }) => Ok(chain.into_iter().map(|der| der.into_vec().into()).collect()),
        Answer::Minted | Answer::Refused(_) => Err(Error::Answer(target.to_owned())),
    }
}
