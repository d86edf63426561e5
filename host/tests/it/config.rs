//! The configuration of a node: what `corovan config` says of files, which source holds, and what changes in a running node.

use crate::in_process;
use crate::nodes::NodeProcess;
use crate::process::{Done, LIMIT, Place, Running, until};
use corovan::config::{Config, Enrolment, Mesh, Offer};
use corovan::node::{Node, SystemRandom};
use corovan::runtime::{Clock, RealClock};
use corovan::tasks::becomes;
use corovan::tenancy::ca::Authority;
use corovan_core::job::hours::{Hours, Window, Zone};
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl Place {
    /// `corovan` with these words and this environment, to its end.
    fn with(&self, environment: &[(&str, &str)], words: &[&str]) -> Done {
        let mut command = self.command(words);
        command.envs(environment.iter().copied());
        Running::start(command).wait()
    }

    fn shown(&self, environment: &[(&str, &str)], words: &[&str]) -> Value {
        let done = self.with(environment, &[&["config", "show", "--json"], words].concat());
        serde_json::from_str(&done.has_code(0).out()).unwrap()
    }

    /// A node of its own that has this file, and an operator to ask it with.
    fn configured(&self, text: &str, options: &[&str]) -> NodeProcess {
        let file = self.file("c.toml", text).display().to_string();
        let certs = self.certs();
        let words = ["cert", "operator", "root", "--dir"].map(OsStr::new);
        self.run(words.into_iter().chain([certs.as_os_str()])).has_code(0);
        self.node(&[&["--config", &file], options].concat())
    }

    /// The only node there is, as it is shown to operators.
    fn seen(&self, node: &NodeProcess) -> Value {
        let certs = self.certs().display().to_string();
        let done = self.run(["nodes", "--json", "--node", &node.address, "--certs", &certs]);
        serde_json::from_str(done.has_code(0).out().trim()).unwrap()
    }
}

#[test]
fn a_good_file_is_good_and_a_bad_one_is_told_with_every_error_and_its_place() {
    let place = Place::new();
    for text in
        ["", "[node]\nname = 'b'\n", "[capacity]\njobs = 0\n[hours]\nwindows = ['Sat-Sun']\ntimezone = '-03:30'\n"]
    {
        place.file("good.toml", text);
        let done = place.run(["config", "check", "good.toml"]);
        assert_eq!(done.has_code(0).out(), "good.toml: good\n", "{text}");
    }
    for (text, parts) in [
        ("[node\n", &["bad.toml:1:6: "][..]),
        ("[node]\nlistne = 'a'\n", &["bad.toml:2:1: `listne` is not a key in [node]: did you mean `listen`?"]),
        (
            "lables = 1\n[node]\nworkers = 99\n",
            &["bad.toml:1:1: ", "bad.toml:3:11: `workers`: 99 is not", "from 1 to 64"],
        ),
        (
            "[node]\nslots = true\ndiscover = 'no'\n",
            &["toml:2:9: `slots`: write a whole number", "toml:3:12: `discover`: write true"],
        ),
        ("[node]\npeer = ['a:1', 'b']\n", &["toml:2:16: `peer`: "]),
        ("[node]\nname = 'a'\nname = 'b'\n", &["bad.toml:3:1: "]),
        (
            "[hours]\nwindows = ['Mon 25:00-26:00']\ntimezone = 'CET'\n",
            &["toml:2:12: ", "25:00", "toml:3:12: ", "+01:00"],
        ),
        ("[node]\ndial-out = true\nexternal = 'a:1'\n", &["toml:2:1: `dial-out` cannot be used with `external`"]),
        ("[node]\ntoken = 'corovan1.x'\n", &["toml:2:1: ", "secret", "COROVAN_TOKEN"]),
        ("[node.lables]\n", &["toml:1:7: `lables`", "`labels`"]),
        ("[node]\nlog = 'a=loud'\n", &["toml:2:7: `log`: ", "not a log filter"]),
    ] {
        place.file("bad.toml", text);
        let done = place.run(["config", "check", "bad.toml"]);
        assert_eq!(done.has_code(125).says(parts).out(), "", "{text}");
        assert!(done.stderr.lines().all(|line| line.starts_with("corovan: bad.toml:")), "{}", done.stderr);
        // A node does not start with it, and says the same.
        let node = place.run(["node", "--config", "bad.toml", "--data", "d", "--listen", "127.0.0.1:0"]);
        node.has_code(125).says(parts);
    }
    place.file("bad.toml", [&b"[node]\n# "[..], &[0xff, 0xfe]].concat());
    place.run(["config", "check", "bad.toml"]).has_code(125).says(&["bad.toml:2:3", "UTF-8"]);
    place.file("bad.toml", vec![b'#'; 2 << 20]);
    place.run(["config", "check", "bad.toml"]).has_code(125).says(&["CONFIG_BYTES"]);
    place.run(["config", "check", "none.toml"]).has_code(125).says(&["none.toml", "cannot be read"]);
    place.run(["config", "check"]).has_code(125).says(&["no corovan.toml"]);
}

#[test]
fn the_example_is_good_and_has_every_key() {
    let place = Place::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/corovan.example.toml");
    let file = file.display().to_string();
    assert!(place.run(["config", "check", &file]).has_code(0).out().ends_with("corovan.example.toml: good\n"));
    let text = std::fs::read_to_string(&file).unwrap();
    let reference = std::fs::read_to_string(file.replace("corovan.example.toml", "cli.md")).unwrap();
    for (key, _) in place.shown(&[], &[]).as_object().unwrap() {
        let name = key.split('.').nth(1).unwrap();
        let has = |line: &str| {
            line.trim_start_matches(['#', ' ']).starts_with(&format!("{name} = "))
                || line.contains(&format!(".{name}]"))
        };
        assert!(text.lines().any(has), "{key} is not in the example");
        assert!(reference.contains(name), "{key} is not in docs/cli.md");
    }
}

#[test]
fn options_hold_over_the_environment_and_that_over_the_file_and_that_over_defaults() {
    let place = Place::new();
    place.file(
        "c.toml",
        "[node]\nname = 'f'\nslots = 20\nworkers = 2\ngrace = '1s'\ndata = 'd'\n[node.labels]\nzone = 'f'\n",
    );
    let environment = [
        ("COROVAN_CONFIG", "c.toml"),
        ("COROVAN_NODE_SLOTS", "21"),
        ("COROVAN_NODE_WORKERS", "3"),
        ("COROVAN_NODE_LABELS", "zone=e"),
    ];
    let shown = place.shown(&environment, &["--workers", "4", "--log", "warn"]);
    for (key, expected) in [
        ("node.listen", json!({"value": "127.0.0.1:4433", "source": "default"})),
        ("node.certs", json!({"value": null, "source": "default"})),
        ("node.name", json!({"value": "f", "source": "file", "file": "c.toml", "line": 2, "column": 1})),
        ("node.data", json!({"value": "d", "source": "file", "file": "c.toml", "line": 6, "column": 1})),
        ("node.slots", json!({"value": 21, "source": "environment", "variable": "COROVAN_NODE_SLOTS"})),
        ("node.labels", json!({"value": {"zone": "e"}, "source": "environment", "variable": "COROVAN_NODE_LABELS"})),
        ("node.workers", json!({"value": 4, "source": "flag", "flag": "--workers"})),
        ("node.log", json!({"value": "warn", "source": "flag", "flag": "--log"})),
    ] {
        assert_eq!(shown[key], expected, "{key}");
    }
    // What is shown is a file that says the same.
    let done = place.with(&environment, &["config", "show", "--workers", "4"]);
    let text = done.has_code(0).out();
    for line in ["name = \"f\"", "# c.toml:2:1", "workers = 4", "# --workers", "# certs: "] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    place.file("again.toml", &text);
    let again = place.shown(&[], &["again.toml"]);
    for (key, value) in place.shown(&environment, &["--workers", "4"]).as_object().unwrap() {
        assert_eq!(again[key]["value"], value["value"], "{key}");
    }
    place
        .with(&[("COROVAN_NODE_SLOTS", "many")], &["config", "show"])
        .has_code(125)
        .says(&["COROVAN_NODE_SLOTS: many"]);
}

#[test]
fn a_node_takes_the_file_in_its_data_directory_and_what_it_says_there() {
    let place = Place::new();
    std::fs::create_dir(place.path("data")).unwrap();
    place.file("data/corovan.toml", "[node]\nlisten = '127.0.0.1:0'\n[node.labels]\nzone = 'found'\n");
    let certs = place.certs();
    let words = ["cert", "operator", "root", "--dir"].map(OsStr::new);
    place.run(words.into_iter().chain([certs.as_os_str()])).has_code(0);
    let mut command = place.command(["node", "--name", "a", "--data", "data"]);
    command.env("COROVAN_CERTS", &certs);
    let node = NodeProcess::started(Running::start(command), certs);
    assert!(!node.address.ends_with(":4433"), "{}", node.address);
    assert_eq!(place.seen(&node)["labels"], json!({"zone": "found"}));
    node.running.signal(Signal::TERM);
    node.running.wait().has_code(0).says(&["configured", "data/corovan.toml"]);
}

#[test]
fn on_sighup_what_may_change_does_what_cannot_is_told_and_a_bad_file_changes_nothing() {
    let place = Place::new();
    let mut node = place
        .configured("[node]\ngrace = '1s'\n[node.labels]\nzone = 'x'\n[capacity]\ncores = 3\n", &["--workers", "1"]);
    let seen = place.seen(&node);
    assert_eq!((&seen["labels"], &seen["cores"], &seen["draining"]), (&json!({"zone": "x"}), &json!(3), &json!(false)));

    let (other, all_week) = (place.node_named("b", &[]), "windows = ['Mon-Sun']");
    let peer = &other.address;
    place.file(
        "c.toml",
        format!(
            "[node]\nname = 'c'\nworkers = 2\nslots = 20\npeer = ['{peer}']\nlog = 'debug'\n[node.labels]\nzone = 'y'\n\
                 [capacity]\nmemory = '2GiB'\n[hours]\n{all_week}\n"
        ),
    );
    node.running.signal(Signal::HUP);
    node.running.stderr.wait_for("the configuration was read again", 1);
    until("the label has changed, and the peer is there", || {
        let certs = place.certs().display().to_string();
        let done = place.run(["nodes", "--json", "--node", &node.address, "--certs", &certs]);
        let nodes: Vec<Value> =
            done.has_code(0).out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let a = nodes.iter().find(|it| it["name"] == "a")?;
        let changed =
            a["labels"] == json!({"zone": "y"}) && a["memory_bytes"] == json!(2u64 << 30) && a["cores"] == json!(1);
        (changed && nodes.len() == 2).then_some(())
    });
    let said = node.running.stderr.text();
    // The name and the workers are given by options, which hold over the file.
    for (part, times) in [
        ("WARN", 2),
        ("node.slots: 20 (", 1),
        ("node.grace: \"5s\" (default) needs a restart; it stays \"1s\"", 1),
        ("node.workers", 0),
        ("node.name", 0),
    ] {
        assert_eq!(said.matches(part).count(), times, "{part}: {said}");
    }
    assert!(said.contains("node.labels: { \"zone\" = \"y\" } ("), "{said}");
    drop(other);

    place.file("c.toml", "[node.labels]\nzone = 'z'\n[hours]\nwindows = ['Mon-']\n");
    node.running.signal(Signal::HUP);
    node.running.stderr.wait_for("all stays as it was", 1);
    assert!(node.running.stderr.text().contains("c.toml:4:12: `windows`: "), "{}", node.running.stderr.text());
    // Nothing is told anew: what was said before is what is shown.
    let stays = |it: &Value| it["labels"] == json!({"zone": "y"});
    let certs = place.certs().display().to_string();
    let done = place.run(["nodes", "--json", "--node", &node.address, "--certs", &certs]);
    assert!(done.has_code(0).out().lines().any(|line| stays(&serde_json::from_str(line).unwrap())), "{done:?}");
    std::fs::remove_file(place.path("c.toml")).unwrap();
    node.running.signal(Signal::HUP);
    node.running.stderr.wait_for("all stays as it was", 2);
    assert!(!node.running.has_ended());
}

#[test]
fn out_of_its_service_hours_a_node_drains_until_they_change() {
    let place = Place::new();
    // Closed for at least another half day, and open from now on, whatever the time is.
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let day = |after: u64| days[((today + after) % 7) as usize];
    let closed = format!("[hours]\nwindows = ['{}']\n", day(3));
    let mut node = place.configured(&closed, &["--label", "zone=x"]);
    assert_eq!(place.seen(&node)["draining"], json!(true));
    node.running.stderr.wait_for("out of service hours: no new jobs of other nodes until ", 1);
    let b = place.node_named("b", &["--peer", &node.address]);
    let remote = crate::process::job("remote").display().to_string();
    // Another node's job is refused with the reason.
    let refused = place.run(b.args(&[&remote[..], "ring", "[\"b\",\"a\"]"]));
    assert_ne!(refused.code, 0, "{refused:?}");
    refused.says(&["service hours"]);
    // Its own clients are served, also where they ask for a place that it is in.
    place.run(node.args(&[&remote[..], "ring", "[\"zone=x\"]"])).has_code(0);
    place.file("c.toml", format!("[hours]\nwindows = ['{}-{}']\ntimezone = 'UTC'\n", day(0), day(2)));
    node.running.signal(Signal::HUP);
    node.running.stderr.wait_for("in service: jobs of other nodes are taken until ", 1);
    let of = |nodes: &Done| {
        nodes.out().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|it| it["name"] == "a")
    };
    until("the other node knows", || {
        let certs = place.certs().display().to_string();
        let nodes = place.run(["nodes", "--json", "--node", &b.address, "--certs", &certs]);
        of(&nodes).filter(|it| it["draining"] == json!(false))
    });
    place.run(b.args(&[&remote[..], "ring", "[\"b\",\"a\"]"])).has_code(0);
    // What runs when the hours end has as long as it is given, here none.
    let sleeping = place.start(b.args(&[&remote[..], "sleeps_at", "a"]));
    sleeping.stdout.wait_for("asleep", 1);
    place.file("c.toml", format!("{closed}end-after = '0s'\n"));
    node.running.signal(Signal::HUP);
    let ended = sleeping.wait();
    assert_ne!(ended.code, 0, "{ended:?}");
    ended.says(&["service hours are over"]);
    // No room for jobs of others: its own clients are served all the same.
    place.file("c.toml", "[capacity]\njobs = 0\n");
    node.running.signal(Signal::HUP);
    node.running.stderr.wait_for("the configuration was read again", 3);
    until("others are refused", || {
        let refused = place.run(b.args(&[&remote[..], "ring", "[\"b\",\"a\"]"]));
        (refused.code != 0).then(|| refused.says(&["capacity.jobs"]).code)
    });
    node.works(&place);
}

/// A wall clock that stands where it is set.
struct Wall(RealClock, AtomicU64);

impl Clock for Wall {
    fn now(&self) -> u64 {
        self.0.now()
    }

    fn unix(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }
}

#[test]
fn as_time_goes_by_a_node_begins_to_drain_and_ceases_to() {
    in_process::run(async {
        let now = SystemTime::now();
        let authority = Authority::generate("test", now).unwrap();
        let issued = authority.issue(Role::Node, "a", now, limits::CERTIFICATE_LIFE).unwrap();
        // A week that begins on a Thursday, as 1970 did, and in which the certificate is good.
        let week = now.duration_since(UNIX_EPOCH).unwrap().as_secs() / 604_800 * 604_800;
        let monday = |second: u64| (week + 4 * 86_400 + second) * 1_000_000_000;
        let hours = Hours::new(&[Window::parse("Mon 08:00-17:00").unwrap()], Zone::default()).unwrap();
        for (change, drains_then) in [(17 * 3_600, true), (8 * 3_600, false)] {
            let data = tempfile::tempdir().unwrap();
            let clock = Arc::new(Wall(RealClock::new(), AtomicU64::new(monday(change - 1))));
            let config = Config {
                listen: ([127, 0, 0, 1], 0).into(),
                name: "a".into(),
                data: data.path().join("data"),
                credentials: authority.credentials(&issued).unwrap(),
                enrolment: Enrolment::default(),
                mesh: Some(Mesh::default()),
                offer: Offer { hours: Some(hours.clone()), ..Offer::default() },
                slots: Some(16),
                workers: 1,
                http: None,
                grace: Duration::ZERO,
            };
            let node = Node::start(config, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemRandom)).await.unwrap();
            let drains = || {
                let members = node.mesh().unwrap().members();
                members.get(&node.id()).and_then(|member| member.about.clone()).is_some_and(|about| about.draining)
            };
            assert_eq!(drains(), !drains_then);
            clock.1.store(monday(change), Ordering::Relaxed);
            assert!(becomes(|| drains() == drains_then, LIMIT).await, "{drains_then}");
            node.shut_down().await;
        }
    });
}
