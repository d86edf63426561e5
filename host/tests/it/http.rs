//! What a node tells over HTTP: metrics, health and the status page, which a real browser opens; and to whom it does not.

use crate::nodes::NodeProcess;
use crate::process::{Place, job, until};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// Status code and body; `host`: as the client names the server.
fn get_as(address: &str, path: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(code == 421 || head.to_ascii_lowercase().contains("content-security-policy: default-src 'none'"), "{head}");
    (code, body.to_owned())
}

fn get(address: &str, path: &str) -> (u16, String) {
    get_as(address, path, address)
}

/// A node that tells, and where.
fn node(place: &Place) -> (NodeProcess, String) {
    let node = place.node(&["--http", "127.0.0.1:0"]);
    let address = until("the node says where", || {
        let log = node.running.stderr.text();
        let (_, rest) = log.split_once("metrics and status at http://")?;
        Some(rest.split('/').next()?.to_owned())
    });
    (node, address)
}

fn submit(place: &Place, node: &NodeProcess, words: &[&str]) -> String {
    let certs = place.certs().display().to_string();
    let options = ["submit", "--node", &node.address, "--certs", &certs];
    let done = place.run(options.iter().chain(words).map(OsString::from));
    done.has_code(0).out().trim().to_owned()
}

#[test]
fn metrics_health_status_and_logs_are_told_and_a_browser_shows_them() {
    let place = Place::new();
    let (node, http) = node(&place);
    let (greet, faults) = (job("greet").display().to_string(), job("faults").display().to_string());
    let label = "<b>label</b>";
    let greeting = submit(&place, &node, &[&greet, "greet", "you", "2", "--label", label]);
    let fails = submit(&place, &node, &[&faults, "fails", "my-kind", "my text"]);
    let certs = place.certs().display().to_string();
    place.run(["wait", &greeting, "--node", &node.address, "--certs", &certs]).has_code(0);
    place.run(["wait", &fails, "--node", &node.address, "--certs", &certs]).has_code(120);
    place.run(node.args(&[&greet[..], "greet", "you", "0"])).has_code(0);
    let runs = place.start(node.args(&[&faults[..], "spins"]));

    assert_eq!(get(&http, "/healthz"), (200, "ok\n".into()));
    let (code, metrics) = get(&http, "/metrics");
    assert_eq!(code, 200);
    for line in [
        "corovan_jobs_ended_total{outcome=\"finished\"} 2",
        "corovan_jobs_ended_total{outcome=\"failed\"} 1",
        "corovan_durable_jobs_kept 2",
        "corovan_nodes{state=\"alive\"} 1",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
    assert_eq!(get(&http, &format!("/logs/{greeting}")), (200, "hello, you\n1 of 2\nhello, you\n2 of 2\nbye".into()));
    assert_eq!(get(&http, "/logs/01arz3ndektsv4rrffq69g5fav").0, 404);
    assert_eq!(get(&http, "/logs/x").0, 400);
    assert_eq!(get(&http, "/nothing").0, 404);
    let status: serde_json::Value = serde_json::from_str(&get(&http, "/status.json").1).unwrap();
    let found = |id: &str| status["jobs"].as_array().unwrap().iter().find(|job| job["id"] == *id).unwrap().clone();
    assert_eq!((&found(&greeting)["state"], &found(&greeting)["label"]), (&"finished".into(), &label.into()));
    assert_eq!(found(&fails)["state"], "failed");
    // A page of another place, whose name leads here, is told nothing.
    for host in ["evil.example", "evil.example:80", ""] {
        assert_eq!(get_as(&http, "/status.json", host).0, 421, "{host}");
    }
    browse(&place, &http, &[&greeting, &fails, "&lt;b&gt;label&lt;/b&gt;", "spins", "running"]);
    drop(runs);
}

/// Opens the page as people do. Where there is no browser its parts are read instead.
fn browse(place: &Place, http: &str, parts: &[&str]) {
    let Some(browser) = std::env::var_os("COROVAN_TEST_BROWSER") else {
        println!("no browser was named (COROVAN_TEST_BROWSER, as `cargo xtask test` does): the page is read without");
        assert!(
            get(http, "/").1.contains("<script src=\"/page.js\">") && get(http, "/page.js").1.contains("/status.json")
        );
        return;
    };
    let dom = until("the browser shows the page", || {
        let output = Command::new(&browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--virtual-time-budget=3000",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", place.path("browser").display()))
            .arg(format!("http://{http}/"))
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let dom = String::from_utf8_lossy(&output.stdout).into_owned();
        // The job that runs may not have begun when it was opened.
        parts.iter().all(|part| dom.contains(part)).then_some(dom)
    });
    assert!(
        dom.contains("<td class=\"finished\">finished</td>") && dom.contains("<td class=\"alive\">alive</td>"),
        "{dom}"
    );
    assert!(!dom.contains("<b>label</b>"), "what strangers wrote is text: {dom}");
    assert!(!dom.contains("Not up to date"), "{dom}");
}

#[test]
fn it_listens_on_loopback_alone_and_a_port_in_use_is_told() {
    let place = Place::new();
    let certs = place.certs();
    let data = place.path("other").display().to_string();
    let start = |http: &str| {
        let words = ["node", "--listen", "127.0.0.1:0", "--name", "a", "--data", &data, "--http", http, "--certs"];
        place.run(words.into_iter().map(OsString::from).chain([certs.clone().into_os_string()]))
    };
    start("0.0.0.0:9090").has_code(125).says(&["--http 0.0.0.0:9090", "loopback alone"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    start(&taken.local_addr().unwrap().to_string()).has_code(125).says(&["--http", "choose another port"]);
}
