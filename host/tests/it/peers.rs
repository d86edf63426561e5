//! Nodes that dial each other: who is taken for a peer, and what everybody else is told.

use crate::in_process::{Cluster, run};
use corovan::net::{Arrival, Connection, Endpoint};
use corovan::tenancy::ca::Authority;
use corovan_client::Credentials;
use corovan_client::tls::dialling_config;
use corovan_client::transport::{self, Accepts};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use quinn::ConnectionError;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

fn credentials(authority: &Authority, role: Role, name: &str) -> Credentials {
    let issued = authority.issue(role, name, SystemTime::now(), limits::CERTIFICATE_LIFE).unwrap();
    authority.credentials(&issued).unwrap()
}

fn authority(cluster: &str) -> Authority {
    Authority::generate(cluster, SystemTime::now()).unwrap()
}

fn endpoint(authority: &Authority, name: &str) -> Endpoint {
    Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), &credentials(authority, Role::Node, name), false).unwrap()
}

/// Takes one connection; what came of it.
async fn take(endpoint: &Endpoint) -> Result<Connection, String> {
    let incoming = endpoint.accept().await.unwrap();
    match endpoint.establish(incoming).await.map_err(|error| error.to_string())? {
        Arrival::Known(connection) => Ok(connection),
        Arrival::Joining { .. } => Err("it asked to join".into()),
    }
}

/// Why the other side closed a connection that somebody made with these credentials and this protocol.
async fn refusal(to: SocketAddr, credentials: &Credentials, alpn: &[u8]) -> (Option<Code>, String) {
    let config = dialling_config(&credentials.identity, &credentials.roots, alpn, Accepts::PEER).unwrap();
    let socket = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let name = credentials.identity.principal().cluster_dns_name();
    let error = match socket.connect_with(config, to, &name).unwrap().await {
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
fn two_nodes_of_a_cluster_know_each_others_names_and_talk_both_ways() {
    run(async {
        let authority = authority("test");
        let (a, b) = (endpoint(&authority, "a"), endpoint(&authority, "b"));
        let address = b.local_address().unwrap();
        let (there, here) = tokio::join!(a.dial(address), take(&b));
        let (there, here) = (there.unwrap(), here.unwrap());
        assert_eq!(there.principal.to_string(), "spiffe://test/node/b");
        assert_eq!(here.principal.to_string(), "spiffe://test/node/a");
        assert_eq!(here.quic.remote_address(), a.local_address().unwrap(), "it dials from the port that it listens on");
        // As many streams as a link needs, though the port's settings are those for clients.
        let mut streams = Vec::new();
        for _ in 0..limits::PEER_UNI_STREAMS {
            for connection in [&there, &here] {
                let mut stream = connection.quic.open_uni().await.unwrap();
                stream.write_all(b"x").await.unwrap();
                streams.push(stream);
            }
        }
        for _ in 0..limits::PEER_UNI_STREAMS {
            here.quic.accept_uni().await.unwrap();
            there.quic.accept_uni().await.unwrap();
        }
    });
}

#[test]
fn who_is_no_node_or_speaks_another_protocol_than_its_role_has_is_refused_by_name() {
    run(async {
        let authority = authority("test");
        let b = endpoint(&authority, "b");
        let to = b.local_address().unwrap();
        let cases = [
            (Role::Tenant, transport::ALPN_PEER, "spiffe://test/tenant/x is no node"),
            (Role::Operator, transport::ALPN_PEER, "spiffe://test/operator/x is no node"),
            (Role::Node, transport::ALPN, "spiffe://test/node/x is not a client's identity"),
        ];
        for (role, alpn, expected) in cases {
            let who = credentials(&authority, role, "x");
            let (told, seen) = tokio::join!(refusal(to, &who, alpn), take(&b));
            assert_eq!(told.0, Some(Code::Denied), "{told:?}");
            assert!(told.1.starts_with(expected), "{told:?}");
            assert!(seen.unwrap_err().contains(expected));
        }
        // No certificate of this CA, and a protocol that nobody speaks, do not get so far.
        let stranger = credentials(&self::authority("test"), Role::Node, "x");
        let (told, seen) = tokio::join!(refusal(to, &stranger, transport::ALPN_PEER), take(&b));
        assert_eq!(told.0, None);
        assert!(seen.is_err());
        let node = credentials(&authority, Role::Node, "x");
        let (told, seen) = tokio::join!(refusal(to, &node, b"h3"), take(&b));
        assert!(told.0.is_none() && seen.is_err(), "{told:?}");
    });
}

#[test]
fn a_node_dials_nobody_but_nodes_of_its_cluster() {
    run(async {
        let (ours, theirs) = (authority("test"), authority("other"));
        let (a, b) = (endpoint(&ours, "a"), endpoint(&theirs, "b"));
        let address = b.local_address().unwrap();
        let (there, here) = tokio::join!(a.dial(address), take(&b));
        assert!(there.unwrap_err().to_string().contains(&address.to_string()));
        assert!(here.is_err());
        let tenant = credentials(&ours, Role::Tenant, "x");
        let error = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), &tenant, false).unwrap_err().to_string();
        assert!(error.contains("spiffe://test/tenant/x is no node's identity"), "{error}");
    });
}

#[test]
fn a_node_that_has_joined_no_mesh_says_so_to_another_and_serves_on() {
    run(async {
        let cluster = Cluster::start(16).await;
        let other = endpoint(&cluster.authority, "b");
        let connection = other.dial(cluster.node.address()).await.unwrap();
        let ConnectionError::ApplicationClosed(closed) = connection.quic.closed().await else { panic!("not refused") };
        assert_eq!(transport::closed_with(closed.error_code), Some(Code::Denied));
        let why = String::from_utf8_lossy(&closed.reason).into_owned();
        assert!(why.contains("node/b is a node, and this node has joined no mesh"), "{why}");
        cluster.open("me").await;
    });
}
