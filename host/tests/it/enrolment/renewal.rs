//! Renewal of a node in this process: when it is time, what changes for connections, and what happens where nobody grants it.

use super::kept_since;
use super::strangers::Issuing;
use crate::in_process::run;
use corovan::enrol::{Looked, Renewal, Source};
use corovan::net::{Arrival, Connection, Endpoint};
use corovan::runtime::{Clock, VirtualClock};
use corovan_client::Credentials;
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use rustls::pki_types::CertificateDer;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn endpoint(credentials: &Credentials) -> Endpoint {
    Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), credentials, false).unwrap()
}

/// A connection from one to the other, as both see it.
async fn connected(from: &Endpoint, to: &Endpoint) -> [Connection; 2] {
    let take = async {
        match to.establish(to.accept().await.unwrap()).await.unwrap() {
            Arrival::Known(connection) => connection,
            Arrival::Joining { .. } => panic!("it asks to join"),
        }
    };
    let (there, here) = tokio::join!(from.dial(to.local_address().unwrap()), take);
    [there.unwrap(), here]
}

fn shown(connection: &Connection) -> Vec<CertificateDer<'static>> {
    *connection.quic.peer_identity().unwrap().downcast().unwrap()
}

/// One message each way.
async fn talk([one, two]: &[Connection; 2]) {
    for (from, to) in [(one, two), (two, one)] {
        let mut stream = from.quic.open_uni().await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.finish().unwrap();
        assert_eq!(to.quic.accept_uni().await.unwrap().read_to_end(1).await.unwrap(), b"x");
    }
}

#[test]
fn a_certificate_is_renewed_in_time_and_connections_that_are_open_stay() {
    run(async {
        let now = SystemTime::now();
        let made = now - 11 * DAY;
        let issuing = Issuing::start(made - DAY).await;
        let data = tempfile::tempdir().unwrap();
        let (kept, old) = kept_since(data.path(), "b", &issuing.issuer, made);
        let clock = Arc::new(VirtualClock::new(made.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64));
        let (b, c) = (endpoint(&old), endpoint(&issuing.credentials(&issuing.root, Role::Node, "c")));
        let source = Some((kept.clone(), Source::Node(issuing.address.clone())));
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let mut renewal = Renewal::new(b.clone(), old.clone(), source, None, shared);
        let before = [connected(&c, &b).await, connected(&b, &c).await];

        clock.advance_to((9 * DAY).as_nanos() as u64);
        assert_eq!(renewal.look().await, Looked::Fresh);
        clock.advance_to((11 * DAY).as_nanos() as u64);
        assert_eq!(renewal.look().await, Looked::Renewed);
        assert_eq!(renewal.look().await, Looked::Fresh);

        let new = kept.load().unwrap().unwrap();
        assert_ne!(new.identity.chain()[0], old.identity.chain()[0]);
        assert_eq!(new.identity.key().secret_der(), old.identity.key().secret_der());
        for connection in &before {
            talk(connection).await;
        }
        let [after, _] = connected(&c, &b).await;
        assert_eq!(shown(&after), new.identity.chain());
        let pair = connected(&b, &c).await;
        assert_eq!(shown(&pair[1]), new.identity.chain(), "also where it dials");
        talk(&pair).await;
        assert_eq!(shown(&before[0][0]), old.identity.chain());
    });
}

#[test]
fn where_nobody_renews_it_the_node_goes_on_with_what_it_has_and_asks_again() {
    run(async {
        let made = SystemTime::now() - 11 * DAY;
        let issuing = Issuing::start(made - DAY).await;
        let data = tempfile::tempdir().unwrap();
        let (kept, old) = kept_since(data.path(), "b", &issuing.issuer, made);
        let (b, c) = (endpoint(&old), endpoint(&issuing.credentials(&issuing.root, Role::Node, "c")));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(now.as_nanos() as u64));
        // A node of the same cluster that does not issue.
        let nobody = c.local_address().unwrap().to_string();
        let serving = c.clone();
        tokio::spawn(async move {
            while let Some(incoming) = serving.accept().await {
                let _ = serving.establish(incoming).await;
            }
        });
        for source in [None, Some((kept.clone(), Source::Node(nobody)))] {
            let mut renewal = Renewal::new(b.clone(), old.clone(), source, None, Arc::clone(&clock));
            for _ in 0..2 {
                assert_eq!(renewal.look().await, Looked::Due);
            }
        }
        assert_eq!(kept.load().unwrap().unwrap().identity.chain(), old.identity.chain());
        let own = Some((kept.clone(), Source::Own(Arc::clone(&issuing.issuer))));
        let mut renewal = Renewal::new(b.clone(), old, own, Some(issuing.issuer.ends()), clock);
        assert_eq!(renewal.look().await, Looked::Renewed, "an issuing node needs nobody");
    });
}

#[test]
fn an_endpoint_takes_no_other_name_in_the_place_of_its_own() {
    run(async {
        let issuing = Issuing::start(SystemTime::now()).await;
        let b = endpoint(&issuing.credentials(&issuing.issuer, Role::Node, "b"));
        b.renew(&issuing.credentials(&issuing.issuer, Role::Node, "b")).unwrap();
        let error = b.renew(&issuing.credentials(&issuing.issuer, Role::Node, "c")).unwrap_err().to_string();
        assert!(error.contains("node/c cannot take the place of spiffe://test/node/b"), "{error}");
        assert!(limits::RENEW_LOOK < limits::CERTIFICATE_LIFE / limits::RENEW_AFTER);
    });
}
