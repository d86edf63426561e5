//! Nodes in network namespaces of their own, on two switches whose connection can be cut: real packets that go nowhere. Needs
//! root and `ip`; where the machine does not allow it, each test says so and ends.

use crate::nodes::NodeProcess;
use crate::process::{Place, Running, job, until};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Two switches, joined by a trunk, and so many nodes on each.
struct Net {
    tag: String,
    /// By their names: the last number of the address, and the switch.
    nodes: Vec<(String, u32, u32)>,
}

/// A mesh in it.
struct Mesh {
    // First, so that processes end before their network.
    nodes: Vec<NodeProcess>,
    net: Net,
    place: Place,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split_whitespace()).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

impl Net {
    fn new(sides: [&[&str]; 2]) -> Result<Net, String> {
        let tag = format!("cv{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut net = Net { tag, nodes: Vec::new() };
        let switch = net.switch();
        ip(&format!("netns add {switch}"))?;
        for side in 0..2 {
            ip(&format!("-n {switch} link add br{side} type bridge"))?;
            ip(&format!("-n {switch} link set br{side} up"))?;
        }
        ip(&format!("-n {switch} link add t0 type veth peer name t1"))?;
        for side in 0..2 {
            ip(&format!("-n {switch} link set t{side} master br{side} up"))?;
        }
        for (side, names) in sides.into_iter().enumerate() {
            for name in names {
                let number = net.nodes.len() as u32 + 1;
                net.nodes.push(((*name).to_owned(), number, side as u32));
                let space = net.space(name);
                ip(&format!("netns add {space}"))?;
                ip(&format!("-n {switch} link add p{number} type veth peer name eth0 netns {space}"))?;
                ip(&format!("-n {switch} link set p{number} master br{side} up"))?;
                ip(&format!("-n {space} addr add 10.77.0.{number}/24 dev eth0"))?;
                ip(&format!("-n {space} link set eth0 up"))?;
                ip(&format!("-n {space} link set lo up"))?;
            }
        }
        Ok(net)
    }

    fn switch(&self) -> String {
        format!("{}s", self.tag)
    }

    fn space(&self, name: &str) -> String {
        format!("{}{name}", self.tag)
    }

    fn address(&self, name: &str) -> String {
        let node = self.nodes.iter().find(|(node, ..)| node == name).unwrap();
        format!("10.77.0.{}:4433", node.1)
    }

    /// Nothing goes from one side to the other.
    fn cut(&self) {
        ip(&format!("-n {} link set t0 down", self.switch())).unwrap();
    }

    fn heal(&self) {
        ip(&format!("-n {} link set t0 up", self.switch())).unwrap();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // What was not made is not there to be taken away.
        for (name, ..) in &self.nodes {
            let _ = ip(&format!("netns del {}", self.space(name)));
        }
        let _ = ip(&format!("netns del {}", self.switch()));
    }
}

impl Mesh {
    /// `None`, and a line that says why, where namespaces are not possible.
    fn start(sides: [&[&str]; 2]) -> Option<Mesh> {
        let net = match Net::new(sides) {
            Ok(net) => net,
            Err(why) => {
                println!("skipped: network namespaces are not possible here: {why}");
                return None;
            }
        };
        let place = Place::new();
        let certs = place.certs();
        let first = net.address(&net.nodes[0].0);
        let mut mesh = Mesh { nodes: Vec::new(), net, place };
        for (name, ..) in mesh.net.nodes.clone() {
            let (listen, certs, data) = (mesh.net.address(&name), certs.display().to_string(), format!("data-{name}"));
            if name != "a" {
                mesh.place.run(["cert", "node", &name, "--dir", &certs]).has_code(0);
            }
            // Its own address among the peers is no peer.
            let words =
                ["node", "--listen", &listen, "--name", &name, "--data", &data, "--certs", &certs, "--peer", &first];
            let running = mesh.start_at(&name, &words);
            mesh.nodes.push(NodeProcess::started(running, certs.into()));
        }
        mesh.converge();
        Some(mesh)
    }

    fn start_at(&self, name: &str, words: &[&str]) -> Running {
        let program = self.place.command(words);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.net.space(name)]).arg(program.get_program()).args(program.get_args());
        // As that one would have been started.
        command.current_dir(program.get_current_dir().unwrap());
        for (variable, value) in program.get_envs() {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(command)
    }

    /// Runs a function of the job `remote` at a node, by a client beside it.
    fn run(&self, name: &str, call: &[&str]) -> Running {
        let (address, certs) = (self.net.address(name), self.place.certs().display().to_string());
        let file = job("remote").display().to_string();
        let words = [&["run", "--node", &address, "--certs", &certs, &file][..], call].concat();
        self.start_at(name, &words)
    }

    /// Waits until each node knows all as alive.
    fn converge(&self) {
        let certs = self.place.certs().display().to_string();
        for (name, ..) in &self.net.nodes {
            let address = self.net.address(name);
            until("all nodes are known", || {
                let done = self.start_at(name, &["nodes", "--node", &address, "--certs", &certs, "--json"]).wait();
                let alive = done.has_code(0).out().matches("\"alive\"").count();
                (alive == self.net.nodes.len()).then_some(())
            });
        }
    }
}

#[test]
fn between_halves_that_are_cut_apart_nothing_is_doubled_nothing_lost_in_silence_and_all_is_well_again() {
    let Some(mesh) = Mesh::start([&["a", "b", "c"], &["d", "e"]]) else { return };
    let counts = mesh.run("d", &["counts", "sink"]);
    let answers = mesh.run("e", &["answers", "far"]);
    let asks = mesh.run("b", &["asks", "far"]);
    asks.stdout.wait_for("answered 2", 2);
    let delivers = mesh.run("a", &["delivers", "sink", "8"]);
    delivers.stdout.wait_for("begins", 1);
    // Too short for anybody to notice.
    for _ in 0..10 {
        mesh.net.cut();
        mesh.net.heal();
    }
    asks.stdout.wait_for("answered 2", 20);
    assert!(!asks.stdout.text().contains("NodeLost"), "{}", asks.stdout.text());
    // And long enough.
    mesh.net.cut();
    asks.stdout.wait_for("NodeLost", 1);
    // Within each half calls go on.
    let near = mesh.run("c", &["answers", "near"]);
    mesh.run("a", &["asks_once", "near"]).wait().has_code(0);
    near.wait().has_code(0);
    mesh.net.heal();
    asks.wait().has_code(0);
    answers.wait().has_code(0);
    mesh.converge();
    let (sent, came) = (delivers.wait(), counts.wait());
    let numbers = |done: &crate::process::Done| -> Vec<u64> {
        serde_json::from_str(done.has_code(0).out().lines().last().unwrap()).unwrap()
    };
    let (sent, came) = (numbers(&sent), numbers(&came));
    let [delivered, not, unknown] = sent[..] else { panic!("{sent:?}") };
    let [received, wrong, _] = came[..] else { panic!("{came:?}") };
    println!("delivered {delivered}, not {not}, unknown {unknown}; received {received}, twice or late {wrong}");
    assert_eq!((wrong, not), (0, 0));
    assert!(unknown > 0, "the cut was noticed");
    assert!((delivered..=delivered + unknown).contains(&received), "{sent:?} {came:?}");
}
