//! Renewal before expiry: looks now and then whether a third of the certificate's life is over, gets the next one, and
//! hands it to the endpoint. Connections that are open stay; a failure is told and tried again.

use super::{Error, renew};
use crate::net::Endpoint;
use crate::runtime::Clock;
use crate::tenancy::ca::Authority;
use crate::tenancy::chain::{self, Validity};
use crate::tenancy::kept::Kept;
use corovan_client::Credentials;
use corovan_core::limits;
use corovan_core::tenancy::rate::Rate;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Keeps one node's certificate fresh.
pub struct Renewal {
    endpoint: Endpoint,
    credentials: Credentials,
    source: Option<(Kept, Source)>,
    /// When the CA of this node, if it issues, ends.
    issuer_ends: Option<SystemTime>,
    clock: Arc<dyn Clock>,
    warnings: Rate,
    issuer_warnings: Rate,
}

/// Where the next certificate comes from.
pub enum Source {
    /// From a node that takes such requests: `HOST:PORT`.
    Node(String),
    /// From this node's own CA.
    Own(Arc<Authority>),
}

/// What a look has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Looked {
    Fresh,
    Renewed,
    /// It is time, and there is no new one.
    Due,
}

impl Renewal {
    pub fn new(
        endpoint: Endpoint,
        credentials: Credentials,
        source: Option<(Kept, Source)>,
        issuer_ends: Option<SystemTime>,
        clock: Arc<dyn Clock>,
    ) -> Renewal {
        let often = u64::try_from(limits::RENEW_WARN.as_nanos()).unwrap_or(u64::MAX);
        let [warnings, issuer_warnings] = [0; 2].map(|_| Rate::new(often, 1));
        Renewal { endpoint, credentials, source, issuer_ends, clock, warnings, issuer_warnings }
    }

    /// Looks at once, and then from time to time, until `stop` is dropped.
    pub async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        loop {
            let wait = async {
                self.look().await;
                tokio::time::sleep(limits::RENEW_LOOK).await;
            };
            tokio::select! {
                () = wait => {}
                _ = &mut stop => return,
            }
        }
    }

    /// Renews if it is time.
    pub async fn look(&mut self) -> Looked {
        let now = UNIX_EPOCH + Duration::from_nanos(self.clock.unix());
        self.warn_of_issuer(now);
        let leaf = self.credentials.identity.chain().first().map(chain::validity);
        let Some(Ok(validity)) = leaf else {
            tracing::error!("this node's own certificate cannot be read, and is not renewed");
            return Looked::Due;
        };
        if now < validity.due() {
            return Looked::Fresh;
        }
        match self.next(now).await {
            Ok(Some(renewed)) => match self.endpoint.renew(&renewed) {
                Ok(()) => {
                    tracing::info!("this node's certificate is renewed");
                    self.credentials = renewed;
                    return Looked::Renewed;
                }
                Err(error) => tracing::warn!("the renewed certificate cannot be used: {error}"),
            },
            Ok(None) => self.warn_of_end(
                validity,
                now,
                "nobody is known who renews it; give the node a new one, and restart it",
            ),
            Err(error) => self.warn_of_end(validity, now, &error.to_string()),
        }
        Looked::Due
    }

    async fn next(&self, now: SystemTime) -> Result<Option<Credentials>, Error> {
        match &self.source {
            None => Ok(None),
            Some((kept, Source::Node(target))) => renew(kept, &self.credentials, target, now).await.map(Some),
            Some((kept, Source::Own(authority))) => Ok(Some(kept.keep_own(authority, now)?)),
        }
    }

    fn warn_of_issuer(&mut self, now: SystemTime) {
        let Some(ends) = self.issuer_ends else { return };
        if ends < now + limits::ISSUER_WARNING && self.issuer_warnings.take(self.clock.now()) {
            let ends = humantime::format_rfc3339_seconds(ends);
            tracing::warn!(
                "this node's issuing CA ends at {ends}: make a new one with `corovan cert issuer`, and restart"
            );
        }
    }

    fn warn_of_end(&mut self, validity: Validity, now: SystemTime, why: &str) {
        let left = validity.until.duration_since(now).unwrap_or_default();
        let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
        if self.warnings.take(self.clock.now()) {
            tracing::warn!("this node's certificate ends in {left} and is not renewed yet: {why}");
        } else {
            tracing::info!("this node's certificate ends in {left} and is not renewed yet: {why}");
        }
    }
}
