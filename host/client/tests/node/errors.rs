//! Connecting to what is not a node of ours: each way it fails has its own error, in words that say what to do.

use crate::fake::{Fake, authority, issue, listen, loopback, module, server_config};
use crate::tenancy::ca::Authority;
use crate::tls::{self, Who};
use corovan_client::{ConnectOptions, Credentials, Error, Fault, Identity, Node, transport};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use corovan_core::wire::frame::Kind;
use corovan_core::wire::records::{Closed, Refused};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

async fn connect_error(address: &str, credentials: &Credentials) -> Error {
    let error = Node::connect(address, credentials, ConnectOptions::default()).await.unwrap_err();
    assert!(error.to_string().len() > 20, "an error is a sentence: {error}");
    error
}

fn tenant(authority: &Authority) -> Credentials {
    authority.credentials(&issue(authority, Role::Tenant)).unwrap()
}

/// Credentials that trust one CA and come from another.
fn mixed(identity_of: &Authority, roots_of: &Authority) -> Credentials {
    Credentials { identity: issue(identity_of, Role::Tenant).identity().unwrap(), roots: roots_of.roots().unwrap() }
}

async fn idle(connection: quinn::Connection) {
    connection.closed().await;
}

/// A certificate that ended an hour ago.
fn expired(authority: &Authority, role: Role) -> crate::tenancy::ca::Issued {
    let day = Duration::from_secs(24 * 3600);
    authority.issue(role, "one", SystemTime::now() - 2 * day, day).unwrap()
}

#[tokio::test]
async fn a_closed_port_is_noticed_without_waiting_for_a_timeout() {
    let socket = std::net::UdpSocket::bind(loopback()).unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let error = connect_error(&address.to_string(), &tenant(&authority())).await;
    assert_eq!(error, Error::NothingListens { address });
}

#[tokio::test(start_paused = true)]
async fn a_port_that_never_answers_is_given_up() {
    let socket = std::net::UdpSocket::bind(loopback()).unwrap();
    let error = connect_error(&socket.local_addr().unwrap().to_string(), &tenant(&authority())).await;
    assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    let error = connect_error("no-such-host.invalid:4433", &tenant(&authority())).await;
    assert!(matches!(&error, Error::Resolve { host, .. } if host == "no-such-host.invalid"), "{error}");
}

#[tokio::test]
async fn a_name_with_several_addresses_connects_to_the_one_that_answers() {
    let fake = Fake::start(|session| session.hold());
    let port = fake.endpoint.local_addr().unwrap().port();
    // `localhost` may also be ::1, where nothing listens.
    let (address, credentials) = (format!("localhost:{port}"), fake.credentials());
    let node = Node::connect(&address, &credentials, ConnectOptions::default()).await.unwrap();
    assert_eq!(node.name(), "one");
}

#[tokio::test]
async fn a_quic_server_of_another_protocol_is_not_a_node() {
    let authority = authority();
    let identity = issue(&authority, Role::Node).identity().unwrap();
    let mut tls = rustls::ServerConfig::builder_with_provider(transport::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain().to_vec(), identity.key())
        .unwrap();
    for alpn in [vec![b"h3".to_vec()], vec![]] {
        tls.alpn_protocols = alpn;
        let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls.clone()).unwrap();
        let endpoint = listen(quinn::ServerConfig::with_crypto(Arc::new(crypto)), idle);
        let error = connect_error(&endpoint.local_addr().unwrap().to_string(), &tenant(&authority)).await;
        assert!(matches!(error, Error::NotCorovan { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_ca_that_one_side_does_not_know_is_told_apart_by_side() {
    let (ours, theirs) = (authority(), authority());
    let endpoint = listen(server_config(&theirs), idle);
    let address = endpoint.local_addr().unwrap();
    for (credentials, node_side) in [(tenant(&ours), false), (mixed(&ours, &theirs), true)] {
        match connect_error(&address.to_string(), &credentials).await {
            Error::NodeCertificate { fault: Fault::UnknownCa, .. } => assert!(!node_side),
            Error::ClientCertificate { fault: Fault::UnknownCa, who, .. } => {
                assert!(node_side);
                assert_eq!(who, "spiffe://test/tenant/one");
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn an_expired_certificate_is_called_that_on_either_side() {
    let authority = authority();
    let endpoint = listen(server_config(&authority), idle);
    let old = authority.credentials(&expired(&authority, Role::Tenant)).unwrap();
    let error = connect_error(&endpoint.local_addr().unwrap().to_string(), &old).await;
    assert!(matches!(error, Error::ClientCertificate { fault: Fault::Expired, .. }), "{error}");

    let identity = expired(&authority, Role::Node).identity().unwrap();
    let endpoint = listen(tls::server_config(&identity, &authority.roots().unwrap(), false).unwrap(), idle);
    let error = connect_error(&endpoint.local_addr().unwrap().to_string(), &tenant(&authority)).await;
    assert!(matches!(error, Error::NodeCertificate { fault: Fault::Expired, .. }), "{error}");
}

#[tokio::test]
async fn a_server_without_a_nodes_certificate_is_refused() {
    let authority = authority();
    for role in [Role::Tenant, Role::Operator] {
        let identity = issue(&authority, role).identity().unwrap();
        assert!(matches!(
            tls::server_config(&identity, &authority.roots().unwrap(), false),
            Err(tls::Error::NotANode(_))
        ));
        let tls = {
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                authority.roots().unwrap().store(),
                transport::provider(),
            );
            let mut tls = rustls::ServerConfig::builder_with_provider(transport::provider())
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .with_client_cert_verifier(verifier.build().unwrap())
                .with_single_cert(identity.chain().to_vec(), identity.key())
                .unwrap();
            tls.alpn_protocols = vec![transport::ALPN.to_vec()];
            quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap()
        };
        let endpoint = listen(quinn::ServerConfig::with_crypto(Arc::new(tls)), idle);
        let error = connect_error(&endpoint.local_addr().unwrap().to_string(), &tenant(&authority)).await;
        assert!(matches!(error, Error::NodeCertificate { fault: Fault::Role(_), .. }), "{error}");
    }
}

#[tokio::test]
async fn a_nodes_certificate_does_not_make_a_tenant() {
    let authority = authority();
    let endpoint = listen(server_config(&authority), |connection| async move {
        match tls::arrival(&connection, "test") {
            Ok(Who::Known(who) | Who::Joining(Some(who))) => panic!("{who} was taken for a tenant"),
            Ok(Who::Joining(None)) => panic!("nobody is asked to join"),
            Err(error) => connection.close(transport::close_code(Some(Code::Denied)), error.to_string().as_bytes()),
        }
        connection.closed().await;
    });
    let credentials = authority.credentials(&issue(&authority, Role::Node)).unwrap();
    match connect_error(&endpoint.local_addr().unwrap().to_string(), &credentials).await {
        Error::ClientCertificate { fault: Fault::Role(why), .. } => assert!(why.contains("tenant's certificate")),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_gets_nowhere() {
    let authority = authority();
    let endpoint = listen(server_config(&authority), |_| async { panic!("the handshake must fail") });
    let mut tls = rustls::ClientConfig::builder_with_provider(transport::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(authority.roots().unwrap().store())
        .with_no_client_auth();
    tls.alpn_protocols = vec![transport::ALPN.to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let client = quinn::Endpoint::client(loopback()).unwrap();
    let connecting = client.connect_with(
        quinn::ClientConfig::new(Arc::new(crypto)),
        endpoint.local_addr().unwrap(),
        "node.test.corovan.internal",
    );
    let ended = match connecting.unwrap().await {
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    };
    let quinn::ConnectionError::ConnectionClosed(close) = ended else { panic!("{ended}") };
    assert_eq!(u64::from(close.error_code), 0x100 + 116, "certificate_required");
}

#[tokio::test]
async fn versions_that_do_not_meet_say_which_side_is_older() {
    for (newest, oldest, older) in [(9, 8, "update the client"), (0, 0, "update the node")] {
        let fake = Fake::raw(move |mut session| async move {
            let closed = Closed { newest: Some(newest), oldest: Some(oldest), ..Closed::version("no") };
            session.send(Kind::Closed, 0, &closed, b"").await;
            session.hold().await;
        });
        let error = connect_error(&fake.address, &fake.credentials()).await;
        assert!(matches!(error, Error::Version { .. }) && error.to_string().ends_with(older), "{error}");
    }
    let fake = Fake::raw(|mut session| async move {
        let opened = session.opened(7, 1);
        session.send(Kind::Opened, 0, &opened, b"").await;
        session.hold().await;
    });
    let error = connect_error(&fake.address, &fake.credentials()).await;
    assert!(matches!(error, Error::Version { node_newest: 7, .. }), "{error}");
}

#[tokio::test]
async fn a_node_that_refuses_says_why_in_its_own_words() {
    let fake = Fake::raw(|mut session| async move {
        session.send(Kind::Closed, 0, &Closed::because(Code::Overloaded, "full\u{1b}[2J house"), b"").await;
        session.hold().await;
    });
    match connect_error(&fake.address, &fake.credentials()).await {
        Error::Refused { code: Code::Overloaded, text, node } => {
            assert_eq!((text.as_str(), node.as_str()), ("full\u{fffd}[2J house", "one"));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_broken_protocol() {
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0; 64], &[0xff; 64]] {
        let fake = Fake::raw(move |mut session| async move {
            session.raw(garbage).await;
            session.hold().await;
        });
        let error = connect_error(&fake.address, &fake.credentials()).await;
        assert!(matches!(error, Error::NodeLost { .. }) && error.to_string().contains("protocol"), "{error}");
    }
}

#[tokio::test]
async fn a_node_that_takes_the_connection_and_says_nothing_is_given_up() {
    let fake = Fake::raw(|session| session.hold());
    let options = ConnectOptions { timeout: Duration::from_millis(300), ..ConnectOptions::default() };
    let error = Node::connect(&fake.address, &fake.credentials(), options).await.unwrap_err();
    assert!(error.to_string().contains("has not answered"), "{error}");
}

#[tokio::test]
async fn a_refused_spec_leaves_the_computation_usable() {
    let fake = Fake::start(|mut session| async move {
        let id = session.expect(Kind::Prepare).await.id;
        let refused = Refused { code: Code::UnknownFunction, text: "it has g and h".into() };
        session.send(Kind::Refused, id, &refused, b"").await;
        session.prepare().await;
        session.hold().await;
    });
    let computation = fake.connect().await.open("test").await.unwrap();
    let error = computation.prepare(module()).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { code: Code::UnknownFunction, .. }), "{error}");
    assert!(error.to_string().contains("it has g and h"), "{error}");
    computation.prepare(module()).await.unwrap();
}

#[test]
fn credential_files_that_are_wrong_are_named_with_what_is_wrong() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let authority = authority();
    authority.save(dir, false).unwrap();
    let [certificate, key] = issue(&authority, Role::Tenant).save(dir, false).unwrap();
    let [_, other_key] = authority
        .issue(Role::Tenant, "other", SystemTime::now(), limits::CERTIFICATE_LIFE)
        .unwrap()
        .save(dir, false)
        .unwrap();
    let (missing, text, ca) = (dir.join("missing"), dir.join("text"), dir.join("ca.crt"));
    std::fs::write(&text, "not PEM at all").unwrap();
    let broken = dir.join("broken");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n").unwrap();
    assert!(Identity::load(&certificate, &key).is_ok());
    for (certificate, key, path, part) in [
        (&missing, &key, &missing, "no such file"),
        (&certificate, &missing, &missing, "no such file"),
        (&text, &key, &text, "holds no certificate in PEM form"),
        (&broken, &key, &broken, "is not PEM"),
        (&certificate, &text, &text, "holds no private key in PEM form"),
        (&certificate, &other_key, &other_key, "is not the key of the certificate in"),
        (&key, &key, &key, "holds no certificate"),
        (&ca, &key, &ca, "not an identity"),
        (&dir.to_path_buf(), &key, &dir.to_path_buf(), "cannot be read"),
    ] {
        let error = Identity::load(certificate, key).unwrap_err().to_string();
        assert!(error.contains(part) && error.starts_with(&path.display().to_string()), "{error}");
    }
    assert!(corovan_client::Roots::load(&text).is_err());
}
