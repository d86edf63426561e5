//! The door for those who ask to join: one question, one answer, and bounds on all that a stranger can cause. Those who
//! show a certificate have places and a rate of their own, so that strangers cannot keep nodes from renewing.

use super::gate::{CROWDED, Gate};
use super::{Issuer, Refusal, granted};
use crate::net::{RecvStream, SendStream, close_code};
use crate::runtime::Clock;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use corovan_core::wire::join::{self, Answer, Ask, Question};
use std::sync::Arc;

/// Serves joining connections of one node.
pub struct Door {
    issuer: Arc<dyn Issuer>,
    clock: Arc<dyn Clock>,
    strangers: Gate,
    known: Gate,
}

impl Door {
    pub fn new(issuer: Arc<dyn Issuer>, clock: Arc<dyn Clock>) -> Door {
        let strangers = Gate::new(limits::JOIN_STRANGERS);
        Door { issuer, clock, strangers, known: Gate::new(limits::JOIN_KNOWN) }
    }

    /// Serves one connection to its end. `who`: whom a certificate has proved.
    pub async fn serve(&self, quic: crate::net::QuicConnection, who: Option<Principal>) {
        let gate = if who.is_some() { &self.known } else { &self.strangers };
        let shown = who.as_ref().map_or_else(|| "a stranger".to_owned(), Principal::to_string);
        let remote = quic.remote_address();
        let Some(_place) = gate.enter(self.clock.now(), &shown) else {
            return quic.close(close_code(Some(Code::Overloaded)), CROWDED.as_bytes());
        };
        let exchange = async {
            let Ok((send, recv)) = quic.accept_bi().await else { return Ok(()) };
            let answer = self.answer(recv, who).await;
            let record = match &answer {
                Ok(answer) => join::encode(answer),
                Err(refusal) => join::encode(&refusal.answer()),
            };
            deliver(send, &record.unwrap_or_default()).await;
            answer.map(drop)
        };
        match tokio::time::timeout(limits::JOIN_TIME, exchange).await {
            Ok(Ok(())) => quic.close(close_code(None), b""),
            Ok(Err(Refusal { code, real, .. })) => {
                tracing::warn!(%remote, who = shown, "refused to join: {real} ({code})");
                quic.close(close_code(None), b"");
            }
            Err(_) => {
                tracing::info!(%remote, who = shown, "refused to join: no question within {:?}", limits::JOIN_TIME);
                quic.close(close_code(Some(Code::Timeout)), b"it took too long");
            }
        }
    }

    async fn answer(&self, recv: RecvStream, who: Option<Principal>) -> Result<Answer, Refusal> {
        let question = question(recv).await?;
        if question.version != join::VERSION {
            let why = format!("version {} of joining is not spoken here, but {}", question.version, join::VERSION);
            return Err(Refusal::plain(Code::Version, why));
        }
        let chain = match (question.ask, who) {
            (Ask::Enrol(ask), _) => self.issuer.enrol(ask).await?,
            (Ask::Renew(ask), _) => self.issuer.renew(ask).await?,
            (Ask::Mint(ask), Some(operator)) if operator.role() == Role::Operator => {
                self.issuer.mint(operator, ask).await?;
                return Ok(Answer::Minted);
            }
            (Ask::Mint(_), _) => {
                return Err(Refusal::plain(
                    Code::Denied,
                    "only an operator, with a certificate that says so, makes tokens",
                ));
            }
        };
        Ok(granted(&chain))
    }
}

async fn question(mut recv: RecvStream) -> Result<Question, Refusal> {
    let bad = |why: String| Refusal::plain(Code::Protocol, why);
    let mut header = [0; join::HEADER];
    recv.read_exact(&mut header).await.map_err(|error| bad(format!("no question came: {error}")))?;
    let length = join::length(header).map_err(|error| Refusal::plain(Code::TooLarge, error))?;
    let mut body = vec![0; length];
    recv.read_exact(&mut body).await.map_err(|error| bad(format!("the question is not complete: {error}")))?;
    join::decode(&body).map_err(|error| bad(error.to_string()))
}

/// Waits until the other side has it: closing the connection could overtake it.
async fn deliver(mut send: SendStream, record: &[u8]) {
    if send.write_all(record).await.is_ok() && send.finish().is_ok() {
        let _ = send.stopped().await;
    }
}
