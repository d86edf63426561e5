//! What comes through the door of an issuing node, as it is on the wire: every question that is not granted and why, and
//! what strangers cannot use up.

use super::certified;
use crate::in_process::run;
use corovan::config::{Config, Enrolment, Offer};
use corovan::node::{Node, SystemRandom};
use corovan::runtime::{Clock, RealClock};
use corovan::tenancy::ca::Authority;
use corovan::tenancy::request;
use corovan_client::join::{Caller, Visit};
use corovan_client::tls::dialling_config;
use corovan_client::transport::{self, Accepts};
use corovan_client::{ConnectOptions, Credentials, Error, Fault};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use corovan_core::tenancy::token::{Token, ca_hash, proof};
use corovan_core::wire::join::{self, Answer, Ask, Enrol, Granted, Mint, Refused, Renew};
use quinn::ConnectionError;
use serde_bytes::{ByteArray, ByteBuf};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The real clock, its calendar so many seconds ahead.
pub struct Ahead(RealClock, AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> u64 {
        self.0.now()
    }
    fn unix(&self) -> u64 {
        self.0.unix() + self.1.load(Ordering::Relaxed) * 1_000_000_000
    }
}

/// An issuing node `a` in this process.
pub struct Issuing {
    pub root: Authority,
    pub issuer: Arc<Authority>,
    pub address: String,
    clock: Arc<Ahead>,
    node: Node,
    _dir: TempDir,
}

impl Issuing {
    pub async fn start(made: SystemTime) -> Issuing {
        let dir = tempfile::tempdir().unwrap();
        let root = Authority::generate("test", made).unwrap();
        root.save(dir.path(), false).unwrap();
        root.save_issuer("x", made, limits::ISSUER_LIFE, dir.path(), false).unwrap();
        let issuer = Arc::new(Authority::load_issuer(dir.path(), SystemTime::now()).unwrap());
        let own = issuer.issue(Role::Node, "a", SystemTime::now(), limits::CERTIFICATE_LIFE).unwrap();
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            name: "a".into(),
            data: dir.path().join("data"),
            credentials: issuer.credentials(&own).unwrap(),
            enrolment: Enrolment { issuer: Some(Arc::clone(&issuer)), ..Enrolment::default() },
            mesh: None,
            offer: Offer::default(),
            slots: Some(16),
            workers: 1,
            http: None,
            grace: Duration::ZERO,
        };
        let clock = Arc::new(Ahead(RealClock::new(), AtomicU64::new(0)));
        let node = Node::start(config, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemRandom)).await.unwrap();
        Issuing { address: node.address().to_string(), root, issuer, clock, node, _dir: dir }
    }

    pub fn credentials(&self, authority: &Authority, role: Role, name: &str) -> Credentials {
        let issued = authority.issue(role, name, SystemTime::now(), limits::CERTIFICATE_LIFE).unwrap();
        self.root.credentials(&issued).unwrap()
    }

    fn ca(&self) -> [u8; 32] {
        ca_hash(&self.root.roots().unwrap().certificates()[0])
    }

    fn new_token(&self, number: u8, name: Option<&str>) -> Token {
        let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
        Token::new(self.ca(), [number; 24], expires, name.map(str::to_owned))
    }

    async fn mint(&self, who: &Credentials, token: &Token) -> Result<Answer, Error> {
        let (id, key) = (ByteArray::new(token.id), ByteArray::new(token.key()));
        let mint = Mint { token: id, key, expires: token.expires, name: token.name.clone() };
        Visit::connect(&self.address, Caller::Known(who)).await.unwrap().ask(Ask::Mint(mint)).await
    }

    async fn minted(&self, number: u8, name: Option<&str>) -> Token {
        let token = self.new_token(number, name);
        let operator = self.credentials(&self.root, Role::Operator, "root");
        assert_eq!(self.mint(&operator, &token).await, Ok(Answer::Minted));
        token
    }

    pub async fn ask(&self, ask: Ask) -> Result<Answer, Error> {
        Visit::connect(&self.address, Caller::Stranger(self.ca())).await.unwrap().ask(ask).await
    }

    /// A connection of somebody who shows no certificate.
    async fn stranger(&self, alpn: &[u8]) -> Result<quinn::Connection, ConnectionError> {
        let mut tls = rustls::ClientConfig::builder_with_provider(transport::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(self.root.roots().unwrap().store())
            .with_no_client_auth();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        self.dial(quinn::ClientConfig::new(Arc::new(crypto))).await
    }

    async fn dial(&self, config: quinn::ClientConfig) -> Result<quinn::Connection, ConnectionError> {
        let socket = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        socket.connect_with(config, self.node.address(), "node.test.corovan.internal").unwrap().await
    }
}

/// A request for this identity, with a proof by this token.
fn enrol(token: &Token, cluster: &str, role: Role, name: &str) -> Enrol {
    let csr = request::make(&Principal::new(cluster, role, name).unwrap(), &request::new_key().unwrap()).unwrap();
    proved(token, csr)
}

fn proved(token: &Token, csr: Vec<u8>) -> Enrol {
    let proof = ByteArray::new(proof(&token.key(), &csr));
    Enrol { token: ByteArray::new(token.id), proof, csr: ByteBuf::from(csr) }
}

fn refused(answer: Result<Answer, Error>) -> (Code, String) {
    match answer {
        Err(Error::Refused { code, text, .. }) => (code, text),
        other => panic!("not refused: {other:?}"),
    }
}

/// Why the other side closed.
async fn closed(connection: Result<quinn::Connection, ConnectionError>) -> (Option<Code>, String) {
    let error = match connection {
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    };
    match error {
        ConnectionError::ApplicationClosed(closed) => {
            (transport::closed_with(closed.error_code), String::from_utf8_lossy(&closed.reason).into_owned())
        }
        other => (None, other.to_string()),
    }
}

#[test]
fn a_token_that_is_unknown_used_expired_or_not_proved_is_answered_alike() {
    run(async {
        let node = Issuing::start(SystemTime::now()).await;
        let (used, fresh) = (node.minted(1, None).await, node.minted(2, None).await);
        let unknown = node.new_token(9, None);
        let good = |token, name| Ask::Enrol(enrol(token, "test", Role::Node, name));
        assert!(matches!(node.ask(good(&used, "b")).await, Ok(Answer::Granted(Granted { chain })) if chain.len() == 2));
        let mut exchanged = enrol(&fresh, "test", Role::Node, "c");
        exchanged.csr = enrol(&fresh, "test", Role::Node, "c").csr;
        // Of a token that is wrong not even the request is looked at.
        let unread = proved(&used, b"no request at all".to_vec());
        let mut answers = Vec::new();
        for ask in [good(&unknown, "c"), good(&used, "b"), good(&used, "c"), Ask::Enrol(exchanged), Ask::Enrol(unread)]
        {
            answers.push(refused(node.ask(ask).await));
        }
        node.clock.1.store(3600, Ordering::Relaxed);
        answers.push(refused(node.ask(good(&fresh, "c")).await));
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(answers[0].0, Code::Denied);
        node.clock.1.store(0, Ordering::Relaxed);
        assert!(node.ask(good(&fresh, "c")).await.is_ok(), "it was used up by none of that");
    });
}

#[test]
fn a_request_for_what_the_token_is_not_for_is_refused_by_name_and_the_token_stays_good() {
    run(async {
        let node = Issuing::start(SystemTime::now()).await;
        let (named, any) = (node.minted(1, Some("b")).await, node.minted(2, None).await);
        for (ask, code, part) in [
            (enrol(&named, "test", Role::Node, "c"), Code::Denied, "for the node b, and not for c"),
            (enrol(&named, "other", Role::Node, "b"), Code::Denied, "spiffe://other/node/b is of another cluster"),
            (enrol(&named, "test", Role::Tenant, "b"), Code::Denied, "spiffe://test/tenant/b is no node"),
            (enrol(&named, "test", Role::Operator, "b"), Code::Denied, "spiffe://test/operator/b is no node"),
            (enrol(&any, "test", Role::Node, "a"), Code::Taken, "there is a node a already"),
            (proved(&any, b"rubbish".to_vec()), Code::Denied, "cannot be read"),
            (proved(&any, Vec::new()), Code::Denied, "cannot be read"),
        ] {
            let (told, why) = refused(node.ask(Ask::Enrol(ask)).await);
            assert!(told == code && why.contains(part), "{part}: {why} ({told})");
        }
        for (token, name) in [(&named, "b"), (&any, "c")] {
            assert!(node.ask(Ask::Enrol(enrol(token, "test", Role::Node, name))).await.is_ok(), "{name}");
        }
    });
}

#[test]
fn of_two_who_use_a_token_at_the_same_time_one_joins() {
    run(async {
        let node = Issuing::start(SystemTime::now()).await;
        let token = node.minted(1, None).await;
        let asks = ["b", "c", "d"].map(|name| node.ask(Ask::Enrol(enrol(&token, "test", Role::Node, name))));
        let [one, two, three] = asks;
        let (one, two, three) = tokio::join!(one, two, three);
        assert_eq!([one, two, three].iter().filter(|answer| answer.is_ok()).count(), 1);
    });
}

#[test]
fn a_certificate_is_renewed_for_its_own_name_and_key_alone() {
    run(async {
        let now = SystemTime::now();
        let node = Issuing::start(now - Duration::from_secs(100 * 3600)).await;
        let key = request::new_key().unwrap();
        let csr = |cluster: &str, role, name: &str, key: &str| {
            request::make(&Principal::new(cluster, role, name).unwrap(), key).unwrap()
        };
        let chain = |authority: &Authority, at| certified(authority, "b", &key, at);
        let renew = |chain: &[rustls::pki_types::CertificateDer<'_>], csr: Vec<u8>| {
            let chain = chain.iter().map(|der| ByteBuf::from(der.to_vec())).collect();
            node.ask(Ask::Renew(Renew { chain, csr: ByteBuf::from(csr) }))
        };
        let good = chain(&node.issuer, now);
        let own = csr("test", Role::Node, "b", &key);
        let stranger = Authority::generate("test", now).unwrap();
        let expired = chain(&node.root, now - limits::CERTIFICATE_LIFE - Duration::from_secs(1));
        let tenant = node.credentials(&node.root, Role::Tenant, "b").identity;
        for (chain, csr, part) in [
            (&good, csr("test", Role::Node, "b", &request::new_key().unwrap()), "another key"),
            (&good, csr("test", Role::Node, "c", &key), "asks for a certificate of spiffe://test/node/c"),
            (&good, csr("test", Role::Tenant, "b", &key), "is no node"),
            (&good, csr("other", Role::Node, "b", &key), "another cluster"),
            (&good, b"rubbish".to_vec(), "cannot be read"),
            (&chain(&stranger, now), own.clone(), "is not good"),
            (&expired, own.clone(), "is not good"),
            (&good[..1].to_vec(), own.clone(), "is not good"),
            (&tenant.chain().to_vec(), own.clone(), "is no node"),
            (&Vec::new(), own.clone(), "no certificate"),
        ] {
            let (code, why) = refused(renew(chain, csr).await);
            assert!(code == Code::Denied && why.contains(part), "{part}: {why} ({code})");
        }
        // By itself, and whoever passes it on: what is granted is of use to none but who has the key.
        let Ok(Answer::Granted(Granted { chain })) = renew(&good, own).await else { panic!("not renewed") };
        assert_ne!(chain[0].as_slice(), good[0].as_ref());
    });
}

#[test]
fn who_shows_no_certificate_can_ask_to_join_and_nothing_else() {
    run(async {
        let node = Issuing::start(SystemTime::now()).await;
        for alpn in [transport::ALPN, transport::ALPN_PEER] {
            let (code, why) = closed(node.stranger(alpn).await).await;
            assert!(code == Some(Code::Denied) && why.contains("showed no certificate"), "{why}");
        }
        assert_eq!(closed(node.stranger(b"h3").await).await.0, None);
        let tenant = node.credentials(&node.root, Role::Tenant, "me");
        let config = dialling_config(&tenant.identity, &tenant.roots, transport::ALPN_JOIN, Accepts::JOIN).unwrap();
        let (code, why) = closed(node.dial(config).await).await;
        assert!(code == Some(Code::Denied) && why.contains("tenant/me has nothing to ask"), "{why}");
        let peer = node.credentials(&node.root, Role::Node, "b");
        let (code, why) = refused(node.mint(&peer, &node.new_token(1, None)).await);
        assert!(code == Code::Denied && why.contains("only an operator"), "{why}");
    });
}

#[test]
fn an_issuing_ca_makes_nodes_and_neither_tenants_nor_operators() {
    run(async {
        let node = Issuing::start(SystemTime::now()).await;
        let connect = async |credentials: &Credentials| {
            let connected = corovan_client::Node::connect(&node.address, credentials, ConnectOptions::default()).await;
            connected.map(drop)
        };
        connect(&node.credentials(&node.root, Role::Tenant, "me")).await.unwrap();
        let forged = node.credentials(&node.issuer, Role::Tenant, "me");
        let error = connect(&forged).await.unwrap_err();
        assert!(matches!(error, Error::ClientCertificate { fault: Fault::UnknownCa, .. }), "{error}");
        let forged = node.credentials(&node.issuer, Role::Operator, "root");
        let token = node.new_token(1, None);
        let error = node.mint(&forged, &token).await.unwrap_err();
        assert!(matches!(error, Error::ClientCertificate { fault: Fault::UnknownCa, .. }), "{error}");
        refused(node.ask(Ask::Enrol(enrol(&token, "test", Role::Node, "b"))).await);
    });
}

#[test]
fn what_is_no_question_is_refused_and_a_large_one_is_not_read() {
    run(async {
        let node = Issuing::start(SystemTime::now()).await;
        let with_length = |body: &[u8]| [&(body.len() as u32).to_le_bytes()[..], body].concat();
        let newer =
            join::encode(&join::Question { version: 2, ask: Ask::Enrol(proved(&node.new_token(1, None), vec![])) });
        for (bytes, code, part) in [
            (vec![], Code::Protocol, "no question"),
            (vec![1, 0], Code::Protocol, "no question"),
            (vec![9, 0, 0, 0, 1], Code::Protocol, "not complete"),
            (vec![0xff; 64], Code::TooLarge, "over the limit"),
            ((limits::JOIN_BYTES as u32 + 1).to_le_bytes().to_vec(), Code::TooLarge, "over the limit"),
            (with_length(&[0xff; 100]), Code::Protocol, "not well-formed"),
            (with_length(&[0x9f; 1000]), Code::Protocol, "nested"),
            (with_length(&[0x07]), Code::Protocol, "not what it should be"),
            (newer.unwrap(), Code::Version, "version 2"),
        ] {
            let connection = node.stranger(transport::ALPN_JOIN).await.unwrap();
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            let _ = send.write_all(&bytes).await;
            let _ = send.finish();
            let answer = recv.read_to_end(limits::JOIN_BYTES).await.unwrap();
            let Ok(Answer::Refused(Refused { code: told, why })) = join::decode(&answer[join::HEADER..]) else {
                panic!("{part}")
            };
            assert!(told == code && why.contains(part), "{part}: {why} ({told})");
        }
    });
}

#[test]
fn strangers_use_up_neither_memory_nor_the_places_of_those_who_are_known() {
    run(async {
        let node = Issuing::start(SystemTime::now()).await;
        let operator = node.credentials(&node.root, Role::Operator, "root");
        // What nobody reads is not taken, however many streams it comes on.
        let connection = node.stranger(transport::ALPN_JOIN).await.unwrap();
        let mut pending = Vec::new();
        let taken = Arc::new(AtomicU64::new(0));
        for _ in 0..4 {
            let (mut stream, taken) = (connection.open_uni().await.unwrap(), Arc::clone(&taken));
            pending.push(tokio::spawn(async move {
                while let Ok(n) = stream.write(&[0; 4096]).await {
                    taken.fetch_add(n as u64, Ordering::Relaxed);
                }
            }));
        }
        let (why, _) = closed(Ok(connection)).await;
        assert_eq!(why, Some(Code::Timeout), "it asked nothing");
        for writer in pending {
            writer.await.unwrap();
        }
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken > 0 && taken <= u64::from(limits::STRANGER_WINDOW), "{taken}");

        // All places taken by silent ones: the next is told so, and who has a certificate is served.
        let mut silent = Vec::new();
        for _ in 0..limits::JOIN_STRANGERS {
            silent.push(node.stranger(transport::ALPN_JOIN).await.unwrap());
        }
        let (code, why) = closed(node.stranger(transport::ALPN_JOIN).await).await;
        assert!(code == Some(Code::Overloaded) && why.contains("try again"), "{why}");
        assert_eq!(node.mint(&operator, &node.new_token(1, None)).await, Ok(Answer::Minted));
        drop(silent);
    });
}
