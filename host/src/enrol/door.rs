//! The door for those who ask to join: one question, one answer, and bounds on all that a stranger can cause. Those who
//! show a certificate have places and a rate of their own, so that strangers cannot keep nodes from renewing.

use super::{Issuer, Refusal};
use crate::net::{RecvStream, SendStream, close_code};
use crate::runtime::Clock;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use corovan_core::tenancy::rate::Rate;
use corovan_core::wire::join::{self, Answer, Ask, Granted, Question, Refused};
use parking_lot::Mutex;
use serde_bytes::ByteBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Serves joining connections of one node.
pub struct Door {
    issuer: Arc<dyn Issuer>,
    clock: Arc<dyn Clock>,
    strangers: Gate,
    known: Gate,
}

/// How many at a time, and how often.
struct Gate {
    places: Semaphore,
    rate: Mutex<Rate>,
    turned_away: Mutex<TurnedAway>,
}

/// How many were told to come again since that was last logged: strangers must not fill the log either.
struct TurnedAway {
    count: u64,
    log: Rate,
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
        let crowded = || {
            gate.turn_away(self.clock.now(), &shown);
            quic.close(close_code(Some(Code::Overloaded)), b"too many ask to join just now; try again in a second");
        };
        if !gate.rate.lock().take(self.clock.now()) {
            return crowded();
        }
        let Ok(_place) = gate.places.try_acquire() else { return crowded() };
        let exchange = async {
            let Ok((send, recv)) = quic.accept_bi().await else { return Ok(()) };
            let answer = self.answer(recv, who).await;
            let record = match &answer {
                Ok(answer) => join::encode(answer),
                Err(Refusal { code, told, .. }) => {
                    join::encode(&Answer::Refused(Refused { code: *code, why: told.clone() }))
                }
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
        let chain = chain.iter().map(|certificate| ByteBuf::from(certificate.to_vec())).collect();
        Ok(Answer::Granted(Granted { chain }))
    }
}

impl Gate {
    fn turn_away(&self, now: u64, who: &str) {
        let mut turned_away = self.turned_away.lock();
        turned_away.count += 1;
        if turned_away.log.take(now) {
            let count = std::mem::take(&mut turned_away.count);
            tracing::warn!(count, who, "too many ask to join; some were told to ask again");
        }
    }

    fn new(places: usize) -> Gate {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let log = Rate::new(nanos(limits::DENIALS_LOGGED), 1);
        Gate {
            places: Semaphore::new(places),
            rate: Mutex::new(Rate::new(nanos(limits::JOIN_INTERVAL), limits::JOIN_BURST)),
            turned_away: Mutex::new(TurnedAway { count: 0, log }),
        }
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
