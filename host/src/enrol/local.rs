//! An issuer in this process: a CA below the root, and the ledger of its tokens.

use super::{Chain, Issuer, Refusal};
use crate::runtime::Clock;
use crate::runtime::ports::Pending;
use crate::tenancy::ca::Authority;
use crate::tenancy::ledger::{self, Ledger};
use crate::tenancy::request::{self, Request};
use crate::tenancy::{ca, chain};
use corovan_client::Roots;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role, check_name};
use corovan_core::tenancy::token::id_text;
use corovan_core::wire::join::{Enrol, Mint, Renew};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Issues for the nodes of its cluster.
pub struct LocalIssuer(Arc<Inner>);

struct Inner {
    authority: Arc<Authority>,
    roots: Roots,
    /// The node that this runs on; no token without a name is good for its name.
    own: String,
    clock: Arc<dyn Clock>,
    /// Held while one certificate is granted: that a token is good and that it is used are one step.
    ledger: Mutex<Ledger>,
}

impl LocalIssuer {
    /// `data`: this node's directory, where the ledger is; `own`: its name.
    pub fn open(
        authority: Arc<Authority>,
        data: &Path,
        own: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<LocalIssuer, super::Error> {
        let roots = authority.roots()?;
        let ledger = Mutex::new(Ledger::open(data)?);
        Ok(LocalIssuer(Arc::new(Inner { authority, roots, own: own.to_owned(), clock, ledger })))
    }

    /// A disk that is slow to sync must not hold up the I/O thread.
    fn apart<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Inner) -> Result<T, Refusal> + Send + 'static,
    ) -> Pending<Result<T, Refusal>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let decided = tokio::task::spawn_blocking(move || decide(&inner)).await;
            decided.unwrap_or_else(|error| Err(Refusal::fault(error)))
        })
    }
}

impl Issuer for LocalIssuer {
    fn enrol(&self, ask: Enrol) -> Pending<Result<Chain, Refusal>> {
        self.apart(move |inner| inner.enrol(&ask))
    }

    fn renew(&self, ask: Renew) -> Pending<Result<Chain, Refusal>> {
        self.apart(move |inner| inner.renew(&ask))
    }

    fn mint(&self, operator: Principal, ask: Mint) -> Pending<Result<(), Refusal>> {
        self.apart(move |inner| inner.mint(&operator, ask))
    }
}

impl Inner {
    fn enrol(&self, ask: &Enrol) -> Result<Chain, Refusal> {
        let now = self.now();
        let mut ledger = self.ledger.lock();
        let id = &ask.token;
        // Nothing is read of a request that is not proved by a good token.
        let bound = ledger
            .check(id, &ask.csr, &ask.proof, seconds(now))
            .map_err(|why| Refusal::token(format!("token {}: {why}", id_text(id))))?;
        let request = self.request(&ask.csr)?;
        let name = request.principal.name();
        match bound {
            Some(bound) if bound != name => {
                let why = format!("the token is for the node {bound}, and not for {name}");
                return Err(Refusal::plain(Code::Denied, why));
            }
            None if name == self.own || ledger.is_certified(name, seconds(now)) => {
                let why = format!("there is a node {name} already; its name takes a token made with `--node {name}`");
                return Err(Refusal::plain(Code::Taken, why));
            }
            _ => {}
        }
        let (chain, until) = self.sign(&request, now)?;
        ledger.certify(name, until, Some(id), seconds(now)).map_err(refusal)?;
        tracing::info!(node = name, token = id_text(id), "certified: it has joined with a token");
        Ok(chain)
    }

    fn renew(&self, ask: &Renew) -> Result<Chain, Refusal> {
        let now = self.now();
        let shown: Chain = ask.chain.iter().map(|certificate| certificate.to_vec().into()).collect();
        let holder = chain::node(&shown, &self.roots, now)
            .map_err(|why| Refusal::plain(Code::Denied, format!("the certificate to be renewed is not good: {why}")))?;
        let request = self.request(&ask.csr)?;
        if request.principal != holder {
            let why = format!("{holder} asks for a certificate of {}", request.principal);
            return Err(Refusal::plain(Code::Denied, why));
        }
        // Whoever passed this on has the certificate and the request, and gains nothing by them without the key.
        let same_key = shown.first().is_some_and(|leaf| request.is_for_key_of(leaf));
        if !same_key {
            let why = format!("the request of {holder} is for another key than its certificate has");
            return Err(Refusal::plain(Code::Denied, why));
        }
        let (chain, until) = self.sign(&request, now)?;
        self.ledger.lock().certify(holder.name(), until, None, seconds(now)).map_err(refusal)?;
        tracing::info!(node = holder.name(), "certified: renewed");
        Ok(chain)
    }

    fn mint(&self, operator: &Principal, ask: Mint) -> Result<(), Refusal> {
        let invalid = |why: String| Refusal::plain(Code::Invalid, why);
        let now = seconds(self.now());
        if operator.role() != Role::Operator {
            return Err(Refusal::plain(Code::Denied, format!("{operator} is no operator, and only those make tokens")));
        }
        if let Some(name) = &ask.name {
            check_name(name).map_err(|error| invalid(error.to_string()))?;
        }
        let most = now + limits::TOKEN_LIFE_MAX.as_secs() + limits::CLOCK_SKEW.as_secs();
        if ask.expires <= now || ask.expires > most {
            let why = "the token would be expired already, or live for more than 7 days, by the clock of this node";
            return Err(invalid(why.into()));
        }
        let id = id_text(&ask.token);
        let name = ask.name.clone();
        let mut ledger = self.ledger.lock();
        ledger.add(*ask.token, *ask.key, ask.expires, ask.name, now).map_err(refusal)?;
        tracing::info!(token = id, node = name, operator = operator.name(), "a join token was made");
        Ok(())
    }

    /// A signing request of a node of this cluster.
    fn request(&self, csr: &[u8]) -> Result<Request, Refusal> {
        let request = request::read(csr).map_err(|error| Refusal::plain(Code::Denied, error))?;
        if request.principal.cluster() != self.authority.cluster() {
            let why = format!("{} is of another cluster than {}", request.principal, self.authority.cluster());
            return Err(Refusal::plain(Code::Denied, why));
        }
        Ok(request)
    }

    /// The chain, and when its leaf ends.
    fn sign(&self, request: &Request, now: SystemTime) -> Result<(Chain, u64), Refusal> {
        let issued = self.authority.certify(&request.principal, &request.key, now, limits::CERTIFICATE_LIFE);
        let text = issued.map_err(|error| match error {
            ca::Error::Ending(_) => {
                Refusal::plain(Code::Unsupported, format!("the issuing node cannot issue: {error}"))
            }
            other => Refusal::fault(other),
        })?;
        let chain: Result<Chain, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let chain = chain.map_err(|error| Refusal::fault(format!("what was issued cannot be read: {error:?}")))?;
        let leaf = chain.first().ok_or_else(|| Refusal::fault("nothing was issued"))?;
        let validity = chain::validity(leaf).map_err(Refusal::fault)?;
        Ok((chain, seconds(validity.until)))
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.clock.unix())
    }
}

fn refusal(error: ledger::Error) -> Refusal {
    match error {
        ledger::Error::Tokens | ledger::Error::Names => Refusal::plain(Code::Overloaded, error),
        ledger::Error::Taken => Refusal::plain(Code::Taken, error),
        ledger::Error::File { .. } | ledger::Error::Damaged { .. } => Refusal::fault(error),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
