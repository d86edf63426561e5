//! Who may connect to whom, and how a client finds out that it may not: certificates of other clusters, expired ones, of the
//! wrong role; addresses behind which there is no node.

use crate::nodes::NodeProcess;
use crate::process::{Place, Running};
use corovan::tenancy::ca::Authority;
use corovan_core::tenancy::identity::Role;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A directory with `ca`'s certificate and one of this role and name that `issuer` made at a moment.
fn credentials(dir: PathBuf, ca: &Authority, issuer: &Authority, role: Role, name: &str, made: SystemTime) -> PathBuf {
    ca.save(&dir, true).unwrap();
    issuer.issue(role, name, made, 30 * DAY).unwrap().save(&dir, true).unwrap();
    dir
}

fn node(place: &Place, certs: &Path, data: &str) -> NodeProcess {
    let mut command = place.command(["node", "--listen", "127.0.0.1:0", "--name", "a", "--data", data, "--certs"]);
    command.arg(certs);
    NodeProcess::started(Running::start(command), certs.to_owned())
}

/// A module that does nothing, as a file.
fn nothing(place: &Place) -> String {
    place.wat("nothing.wasm", "(module (func (export \"f\")))").display().to_string()
}

#[test]
fn both_sides_refuse_a_certificate_that_does_not_prove_what_it_must() {
    let place = Place::new();
    let now = SystemTime::now();
    let past = now - 60 * DAY;
    let ours = Authority::generate("ours", past - DAY).unwrap();
    // Another CA under the same name, and one under another.
    let forged = Authority::generate("ours", now).unwrap();
    let other = Authority::generate("other", now).unwrap();
    let certs = |name: &str, ca: &Authority, issuer: &Authority, role, made| {
        credentials(place.path(name), ca, issuer, role, "a", made)
    };
    let good_node = certs("good-node", &ours, &ours, Role::Node, now);
    let good = certs("good", &ours, &ours, Role::Tenant, now);
    let mut node = node(&place, &good_node, "data");
    let file = nothing(&place);
    let run = |dir: &Path, address: &str| {
        place.run(["run", "--node", address, "--certs", &dir.display().to_string(), &file, "f"])
    };
    run(&good, &node.address).has_code(0);
    for (dir, code, parts) in [
        // The client does not trust the node's CA.
        (certs("c1", &forged, &forged, Role::Tenant, now), 123, &["certificate of the node", "another CA"][..]),
        (certs("c2", &other, &other, Role::Tenant, now), 123, &["certificate of the node", "another CA"]),
        // The node does not trust the client's CA.
        (
            certs("c3", &ours, &forged, Role::Tenant, now),
            122,
            &["refuses the certificate of spiffe://ours/tenant/a", "another CA", "same cluster"],
        ),
        (
            certs("c4", &ours, &ours, Role::Tenant, past),
            122,
            &["refuses the certificate of spiffe://ours/tenant/a", "expired", "renew"],
        ),
        (certs("c5", &ours, &ours, Role::Tenant, now + 30 * DAY), 122, &["refuses the certificate", "not yet valid"]),
    ] {
        run(&dir, &node.address).has_code(code).says(&[&node.address]).says(parts);
    }
    // A node's certificate under a tenant's file name.
    let disguised = certs("c6", &ours, &ours, Role::Node, now);
    rename(&disguised, "node-a", "tenant-a");
    run(&disguised, &node.address).has_code(122).says(&["wrong role", "spiffe://ours/node/a", "tenant"]);
    assert!(!node.running.has_ended());
    run(&good, &node.address).has_code(0);

    // The other way round: nodes that prove nothing to a good client.
    let expired = certs("n1", &ours, &ours, Role::Node, past);
    let old = self::node(&place, &expired, "data-old");
    run(&good, &old.address).has_code(123).says(&["certificate of the node", &old.address, "expired", "renew"]);
    let tenant = certs("n2", &ours, &ours, Role::Tenant, now);
    rename(&tenant, "tenant-a", "node-a");
    let tenant = tenant.display().to_string();
    place
        .run(["node", "--listen", "127.0.0.1:0", "--data", "data-tenant", "--name", "a", "--certs", &tenant])
        .has_code(125)
        .says(&["spiffe://ours/tenant/a", "corovan cert node"]);
}

fn rename(dir: &Path, from: &str, to: &str) {
    for extension in ["crt", "key"] {
        std::fs::rename(dir.join(format!("{from}.{extension}")), dir.join(format!("{to}.{extension}"))).unwrap();
    }
}

#[test]
fn certificates_that_are_missing_or_ambiguous_are_named() {
    let place = Place::new();
    let file = nothing(&place);
    let certs = place.certs();
    let empty = place.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let run = |dir: &Path, more: &[&str]| {
        let dir = dir.display().to_string();
        place.run([&["run", "--node", "127.0.0.1:9", "--certs", &dir, &file, "f"], more].concat())
    };
    run(&empty, &[]).has_code(125).says(&["no tenant's certificate", "corovan cert tenant NAME --dir"]);
    run(&place.path("nowhere"), &[]).has_code(125).says(&["there is no directory", "nowhere"]);
    run(&certs, &["--tenant", "you"]).has_code(125).says(&["no tenant-you.crt", "corovan cert tenant you"]);
    place.run(["cert", "tenant", "you", "--dir", &certs.display().to_string()]).has_code(0);
    run(&certs, &[]).has_code(125).says(&["several", "tenant-me", "tenant-you", "--tenant"]);
    std::fs::write(certs.join("tenant-me.key"), "nonsense").unwrap();
    run(&certs, &["--tenant", "me"]).has_code(125).says(&["tenant-me.key", "no private key"]);
    std::fs::copy(certs.join("tenant-you.key"), certs.join("tenant-me.key")).unwrap();
    run(&certs, &["--tenant", "me"]).has_code(125).says(&["tenant-me.key", "not the key of the certificate"]);
    std::fs::remove_file(certs.join("ca.crt")).unwrap();
    run(&certs, &["--tenant", "you"]).has_code(125).says(&["ca.crt", "no such file"]);
    // Keys are for their owner alone.
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(certs.join("ca.key").metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_address_without_a_node_says_what_is_there_instead() {
    let place = Place::new();
    let file = nothing(&place);
    let certs = place.certs().display().to_string();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent_address = silent.local_addr().unwrap().to_string();
    let echo = Echo::start();
    let running = [
        ("nosuch.invalid:4433", 123, vec!["nosuch.invalid", "cannot be resolved"]),
        (&closed, 123, vec!["nothing listens at", &closed, "is the node running"]),
        (&silent_address, 123, vec!["no answer from", &silent_address]),
        (&echo.address, 123, vec!["no answer from", &echo.address]),
        ("127.0.0.1", 125, vec!["no port", "HOST:PORT"]),
        ("https://localhost:1", 125, vec!["HOST:PORT"]),
        ("localhost:99999", 125, vec!["port", "HOST:PORT"]),
    ]
    .map(|(address, code, parts)| {
        let command = place.start(["run", "--node", address, "--certs", &certs, &file, "f"]);
        (command, code, parts)
    });
    for (command, code, parts) in running {
        command.wait().has_code(code).says(&parts);
    }
}

/// Sends every datagram back.
struct Echo {
    address: String,
}

impl Echo {
    fn start() -> Echo {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((n, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..n], from);
            }
        });
        Echo { address }
    }
}
