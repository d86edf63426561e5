//! Nodes that are none: of another protocol, of another version, silent, or talking nonsense, and what the command says of
//! each.

use crate::in_process::run;
use crate::process::Place;
use crate::wire::{encoded, header};
use bytes::BytesMut;
use corovan_client::Credentials;
use corovan_core::code::Code;
use corovan_core::wire::frame::Kind;
use corovan_core::wire::records::{Closed, Opened};
use std::net::Ipv4Addr;

/// What a false node does with each stream that a client opens.
#[derive(Clone)]
enum Answer {
    Bytes(BytesMut),
    Silence,
    Close(u32, &'static str),
}

/// A node in all but what it says; its address.
fn false_node(credentials: &Credentials, alpn: &[u8], answer: Answer) -> (String, quinn::Endpoint) {
    let provider = corovan_client::transport::provider();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(credentials.identity.chain().to_vec(), credentials.identity.key())
        .unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(std::sync::Arc::new(crypto));
    let endpoint = quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                while let Ok((mut send, _receive)) = connection.accept_bi().await {
                    match &answer {
                        Answer::Bytes(bytes) => {
                            let _ = send.write_all(bytes).await;
                            let _ = send.finish();
                        }
                        Answer::Silence => std::future::pending().await,
                        Answer::Close(code, why) => connection.close((*code).into(), why.as_bytes()),
                    }
                }
            });
        }
    });
    (endpoint.local_addr().unwrap().to_string(), endpoint)
}

#[test]
fn a_node_that_is_none_or_of_another_version_is_told_apart_by_the_command() {
    let place = Place::new();
    let certs = place.certs();
    let file = place.wat("nothing.wasm", "(module (func (export \"f\")))").display().to_string();
    let credentials =
        Credentials::load(certs.join("node-a.crt"), certs.join("node-a.key"), certs.join("ca.crt")).unwrap();
    let future = Closed { newest: Some(120), oldest: Some(99), ..Closed::because(Code::Version, "too old") };
    let opened = Opened {
        version: 1,
        node: Default::default(),
        node_name: "a".into(),
        agent: String::new(),
        computation: 1,
        jobs: 1,
        nonce: Default::default(),
    };
    let ours = corovan_client::transport::ALPN;
    let cases: Vec<(&[u8], Answer, i32, &[&str])> = vec![
        (b"h3", Answer::Silence, 123, &["not a Corovan node", "speaks QUIC, but not the protocol corovan/1"]),
        (ours, Answer::Bytes(encoded(Kind::Closed, 0, &future)), 122, &["versions 99 to 120", "update the client"]),
        (
            ours,
            Answer::Bytes(encoded(Kind::Opened, 0, &Opened { version: 99, ..opened.clone() })),
            122,
            &["versions 99 to 99", "update the client"],
        ),
        (ours, Answer::Bytes(header(u32::MAX, Kind::Opened as u16, 0)), 123, &["broke the protocol", "4294967295"]),
        (ours, Answer::Bytes(BytesMut::from(&b"HTTP/1.1 200 OK\r\n\r\n"[..])), 123, &["broke the protocol"]),
        (ours, Answer::Bytes(BytesMut::new()), 123, &["broke the protocol", "without an answer"]),
        (
            ours,
            Answer::Bytes(encoded(Kind::Closed, 0, &Closed::because(Code::Overloaded, "full \x1b[31m"))),
            122,
            &["refused: full", "overloaded"],
        ),
        (ours, Answer::Bytes(encoded(Kind::Opened, 0, &opened)), 123, &["broke the protocol"]),
        (ours, Answer::Silence, 123, &["has not answered the first frame"]),
        (ours, Answer::Close(0, "gone fishing"), 123, &["it closed: gone fishing"]),
    ];
    run(async {
        let mut running = Vec::new();
        for (alpn, answer, code, parts) in cases {
            let (address, endpoint) = false_node(&credentials, alpn, answer);
            let certs = certs.display().to_string();
            let args = ["run", "--node", &address, "--certs", &certs, &file, "f"].map(str::to_owned);
            running.push((place.start(args), endpoint, address, code, parts));
        }
        for (command, _endpoint, address, code, parts) in running {
            let done = tokio::task::spawn_blocking(|| command.wait()).await.unwrap();
            done.has_code(code).says(parts);
            assert!(code == 122 || done.stderr.contains(&address), "{}", done.stderr);
            assert!(!done.stderr.contains('\x1b'), "what a stranger says is not obeyed by a terminal");
        }
    });
}
