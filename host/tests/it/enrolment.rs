//! Joining with a token, by real processes: the whole path, what is kept of it, and what each wrong way is told.

mod renewal;
mod strangers;

use crate::nodes::NodeProcess;
use crate::process::{Done, Place, Running, until};
use corovan::tenancy::ca::Authority;
use corovan::tenancy::kept::Kept;
use corovan::tenancy::{chain, request};
use corovan_client::Credentials;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A cluster with a CA, an issuing CA in a directory without the root's key, an operator and a tenant.
struct Cluster {
    place: Place,
}

impl Cluster {
    fn new() -> Cluster {
        let cluster = Cluster { place: Place::new() };
        for line in ["init --cluster test", "issuer x", "operator root", "tenant me", "node plain"] {
            let words: Vec<_> = ["cert"].into_iter().chain(line.split(' ')).collect();
            cluster.place.run([&words[..], &["--dir", "certs"]].concat()).has_code(0);
        }
        std::fs::create_dir(cluster.place.path("issuer")).unwrap();
        for file in ["ca.crt", "issuer-x.crt", "issuer-x.key"] {
            std::fs::copy(cluster.place.path("certs").join(file), cluster.place.path("issuer").join(file)).unwrap();
        }
        cluster
    }

    /// A node with these options; its data directory is named like it.
    fn node(&self, name: &str, options: &[&str]) -> NodeProcess {
        NodeProcess::started(self.starting(name, options), self.place.path("certs"))
    }

    fn starting(&self, name: &str, options: &[&str]) -> Running {
        let own = ["node", "--listen", "127.0.0.1:0", "--name", name];
        let data = if options.contains(&"--data") { &[][..] } else { &["--data", name] };
        self.place.start([&own, data, options].concat())
    }

    fn issuing(&self) -> NodeProcess {
        self.node("a", &["--issuer", "issuer"])
    }

    fn asked_for_token(&self, at: &NodeProcess, options: &[&str]) -> Done {
        self.place.run([&["token", "--at", &at.address, "--certs", "certs"], options].concat())
    }

    fn token(&self, at: &NodeProcess, options: &[&str]) -> String {
        let done = self.asked_for_token(at, options);
        done.has_code(0);
        done.out().trim().to_owned()
    }

    /// A tenant, whose certificate is the root's own, has a job done there.
    fn works(&self, node: &NodeProcess) {
        let file = self.place.wat("nothing.wasm", "(module (func (export \"f\")))").display().to_string();
        self.place.run(node.args(&[&file, "f"])).has_code(0);
    }
}

#[test]
fn a_node_joins_with_a_token_works_and_needs_none_when_it_starts_again() {
    let cluster = Cluster::new();
    let a = cluster.issuing();
    let token = cluster.token(&a, &["--node", "b"]);
    assert!(token.starts_with("corovan1."), "{token}");
    let b = cluster.node("b", &["--join", &a.address, "--token", &token]);
    cluster.works(&a);
    cluster.works(&b);

    let kept = cluster.place.path("b").join("credentials");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&kept), 0o700);
    for file in ["ca.crt", "node-b.crt", "node-b.key", "joined-at"] {
        assert_eq!(mode(&kept.join(file)), 0o600, "{file}");
    }
    let root = cluster.place.path("certs").join("ca.crt");
    assert_eq!(std::fs::read(kept.join("ca.crt")).unwrap().len(), std::fs::read(&root).unwrap().len());
    let credentials = Kept::new(&cluster.place.path("b"), "b").load().unwrap().unwrap();
    assert_eq!(credentials.identity.principal().to_string(), "spiffe://test/node/b");
    assert_eq!(credentials.identity.chain().len(), 2, "the issuer's certificate goes with it");

    // Once: not for another machine with the same name, and not after the issuing node was killed and started again.
    let again =
        |a: &NodeProcess| cluster.starting("b", &["--data", "thief", "--join", &a.address, "--token", &token]).wait();
    again(&a).has_code(122).says(&["the token is not good", "corovan token"]);
    a.running.stderr.wait_for("it was used already, for node b", 1);
    a.running.signal(Signal::KILL);
    a.running.wait();
    let a = cluster.issuing();
    again(&a).has_code(122).says(&["the token is not good"]);
    a.running.stderr.wait_for("it was used already, for node b", 1);

    b.running.signal(Signal::TERM);
    b.running.wait().has_code(0);
    drop(a);
    let b = cluster.node("b", &[]);
    cluster.works(&b);
    drop(b);
    // With the token, as a unit file may have it, too.
    cluster.works(&cluster.node("b", &["--join", "127.0.0.1:9", "--token", &token]));
    cluster.starting("c", &["--data", "b"]).wait().has_code(125).says(&["has joined as b", "--name b"]);
}

#[test]
fn a_node_that_does_not_issue_hands_on_what_those_ask_who_join_and_renew() {
    let cluster = Cluster::new();
    let a = cluster.issuing();
    let gate = cluster.node("plain", &["--certs", "certs", "--peer", &a.address]);
    // As soon as it knows the issuing node; a token that is not good is told so, from there.
    let token = cluster.token(&a, &["--node", "b"]);
    let b = loop {
        let mut joining = cluster.starting("b", &["--join", &gate.address, "--token", &token]);
        let joined = until("it joins or is refused", || {
            let joined = joining.stdout.text().contains("listening on ");
            (joined || joining.has_ended()).then_some(joined)
        });
        if joined {
            break NodeProcess::started(joining, cluster.place.path("certs"));
        }
        joining.wait().has_code(122).says(&["knows of none that does"]);
    };
    cluster.works(&b);
    cluster
        .starting("b", &["--data", "thief", "--join", &gate.address, "--token", &token])
        .wait()
        .has_code(122)
        .says(&["the token is not good"]);
    a.running.stderr.wait_for("it was used already, for node b", 1);
}

#[test]
fn every_wrong_way_to_join_is_told_what_is_wrong_and_keeps_nothing() {
    let cluster = Cluster::new();
    let a = cluster.issuing();
    let token = cluster.token(&a, &["--node", "b"]);
    let any = cluster.token(&a, &[]);
    let plain = cluster.node("plain", &["--certs", "certs"]);
    let other = Cluster::new();
    let theirs = other.issuing();
    let foreign = other.token(&theirs, &["--node", "b"]);
    let cut = &token[..token.len() - 1];
    for (name, at, token, code, parts) in [
        ("b", &a.address, Some(cut), 125, &["damaged, or not all of it was copied"][..]),
        ("b", &a.address, Some("secret"), 125, &["corovan1."]),
        ("b", &a.address, None, 125, &["--token", "corovan token --node b"]),
        ("c", &a.address, Some(&token[..]), 125, &["for the node b", "--name b"]),
        ("a", &a.address, Some(&any[..]), 122, &["there is a node a already", "--node a"]),
        ("b", &a.address, Some(&foreign[..]), 123, &["not of the cluster that the token is for"]),
        ("b", &theirs.address, Some(&token[..]), 123, &["not of the cluster that the token is for"]),
        ("b", &plain.address, Some(&token[..]), 122, &["does not issue certificates, and knows of none that does"]),
        ("b", &"127.0.0.1:9".to_owned(), Some(&token[..]), 123, &["127.0.0.1:9"]),
        ("b", &"127.0.0.1".to_owned(), Some(&token[..]), 125, &["HOST:PORT"]),
    ] {
        let mut options = vec!["--data", "wrong", "--join", at];
        options.extend(token.into_iter().flat_map(|text| ["--token", text]));
        cluster.starting(name, &options).wait().has_code(code).says(parts);
        assert!(!cluster.place.path("wrong/credentials").join(format!("node-{name}.crt")).exists());
    }
    // None of that has used up a token.
    cluster.works(&cluster.node("b", &["--join", &a.address, "--token", &token]));
    cluster.works(&cluster.node("c", &["--join", &a.address, "--token", &any]));
    let second = cluster.token(&a, &[]);
    cluster
        .starting("b", &["--data", "second", "--join", &a.address, "--token", &second])
        .wait()
        .has_code(122)
        .says(&["there is a node b already"]);
    // An operator may give a name to another machine.
    let named = cluster.token(&a, &["--node", "b"]);
    drop(cluster.node("b", &["--data", "second", "--join", &a.address, "--token", &named]));
    cluster
        .starting("b", &["--data", "second", "--join", &theirs.address, "--token", &foreign])
        .wait()
        .has_code(125)
        .says(&["of another cluster", "credentials"]);
}

#[test]
fn tokens_are_made_by_operators_at_nodes_that_issue() {
    let cluster = Cluster::new();
    let a = cluster.issuing();
    let plain = cluster.node("plain", &["--certs", "certs"]);
    let refused = |at: &NodeProcess, options: &[&str], code, parts: &[&str]| {
        cluster.asked_for_token(at, options).has_code(code).says(parts);
    };
    refused(&plain, &[], 122, &["that does not issue certificates; ask one that does"]);
    refused(&a, &["--expires", "8d"], 125, &["--expires", "7days"]);
    refused(&a, &["--expires", "0s"], 125, &["--expires"]);
    refused(&a, &["--node", "B"], 125, &["1 to 63"]);
    refused(&a, &["--operator", "you"], 125, &["corovan cert operator you"]);
    // A tenant's or a node's certificate under an operator's name.
    for (who, part) in [("tenant-me", "has nothing to ask here"), ("node-plain", "only an operator")] {
        for ending in ["crt", "key"] {
            let certs = cluster.place.path("certs");
            std::fs::copy(certs.join(format!("{who}.{ending}")), certs.join(format!("operator-false.{ending}")))
                .unwrap();
        }
        refused(&a, &["--operator", "false"], 122, &[part]);
    }
}

#[test]
fn an_issuing_directory_that_does_not_fit_keeps_a_node_from_starting() {
    let cluster = Cluster::new();
    let says = |options: &[&str], parts: &[&str]| {
        cluster.starting("a", options).wait().has_code(125).says(parts);
    };
    says(&["--issuer", "nowhere"], &["nowhere"]);
    std::fs::create_dir(cluster.place.path("empty")).unwrap();
    says(&["--issuer", "empty"], &["no issuing CA", "corovan cert issuer"]);
    says(&["--issuer", "issuer", "--join", "127.0.0.1:1"], &["cannot be used with"]);
    says(&["--token", "corovan1.x"], &["damaged"]);
    // Another cluster's CA beside this cluster's certificate.
    let other = Cluster::new();
    let certs = other.place.path("certs").display().to_string();
    other.place.run(["cert", "node", "a", "--dir", &certs]).has_code(0);
    says(&["--issuer", "issuer", "--certs", &certs], &["not of the cluster of spiffe://test/node/a"]);
    cluster.place.run(["cert", "issuer", "y", "--dir", "issuer"]).has_code(125).says(&["ca.key"]);
}

/// Credentials as a node keeps them, made at another time than now.
fn kept_since(data: &Path, name: &str, authority: &Authority, made: SystemTime) -> (Kept, Credentials) {
    let kept = Kept::new(data, name);
    let granted = certified(authority, name, &kept.key().unwrap(), made);
    let principal = Principal::new(authority.cluster(), Role::Node, name).unwrap();
    let credentials = kept.keep(&principal, &granted, authority.certificate(), made).unwrap();
    (kept, credentials)
}

fn certified(authority: &Authority, name: &str, key: &str, made: SystemTime) -> Vec<CertificateDer<'static>> {
    let principal = Principal::new(authority.cluster(), Role::Node, name).unwrap();
    let csr = request::read(&request::make(&principal, key).unwrap()).unwrap();
    let pem = authority.certify(&principal, &csr.key, made, limits::CERTIFICATE_LIFE).unwrap();
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
}

#[test]
fn nodes_renew_a_certificate_whose_first_third_is_over_where_they_joined_or_by_themselves() {
    let cluster = Cluster { place: Place::new() };
    let now = SystemTime::now();
    let dir = cluster.place.path("issuer");
    let root = Authority::generate("test", now - 20 * DAY).unwrap();
    root.save(&dir, false).unwrap();
    root.save_issuer("x", now - 20 * DAY, limits::ISSUER_LIFE, &dir, false).unwrap();
    let issuer = Authority::load_issuer(&dir, now).unwrap();
    let old = ["a", "b"].map(|name| kept_since(&cluster.place.path(name), name, &issuer, now - 12 * DAY));
    let a = cluster.issuing();
    old[1].0.keep_asked(&a.address).unwrap();
    let b = cluster.node("b", &[]);
    for (node, (kept, old)) in [&a, &b].into_iter().zip(&old) {
        node.running.stderr.wait_for("this node's certificate is renewed", 1);
        let new = kept.load().unwrap().unwrap().identity;
        assert_eq!(new.principal(), old.identity.principal());
        let until = |chain: &[CertificateDer<'_>]| chain::validity(&chain[0]).unwrap().until;
        assert!(until(new.chain()) > until(old.identity.chain()) + 11 * DAY);
    }
    a.running.stderr.wait_for("certified: renewed", 1);
    // Fresh ones are left alone, and no issuer is needed.
    let fresh = std::fs::read(old[1].0.dir().join("node-b.crt")).unwrap();
    drop((a, b));
    let b = cluster.node("b", &[]);
    b.running.stderr.wait_for("ready", 1);
    drop(b);
    assert_eq!(std::fs::read(old[1].0.dir().join("node-b.crt")).unwrap(), fresh);
}
