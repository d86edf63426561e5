//! The client programs, run against two real nodes: what they print is what they say they do.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Two nodes of one mesh, which are killed at the end.
struct Mesh {
    dir: tempfile::TempDir,
    nodes: Vec<Child>,
    addresses: Vec<String>,
}

/// The command, which cargo builds beside the examples.
fn corovan() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_map")).with_file_name("corovan");
    assert!(beside.exists(), "there is no {}: run the tests of the whole workspace", beside.display());
    beside
}

fn done(mut command: Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

impl Mesh {
    fn new() -> Mesh {
        let mut mesh = Mesh { dir: tempfile::tempdir().unwrap(), nodes: Vec::new(), addresses: Vec::new() };
        for words in ["init", "node a", "node b", "tenant me"] {
            let mut command = Command::new(corovan());
            command.arg("cert").args(words.split(' ')).arg("--dir").arg(mesh.certs());
            done(command);
        }
        mesh.node("a");
        mesh.node("b");
        // Both know both, however long that takes a busy machine.
        for address in &mesh.addresses {
            loop {
                let mut command = Command::new(corovan());
                command.args(["nodes", "--json", "--node", address, "--certs"]).arg(mesh.certs());
                let told = done(command);
                if ["\"name\":\"a\"", "\"name\":\"b\""].iter().all(|name| told.contains(name)) {
                    break;
                }
            }
        }
        mesh
    }

    fn certs(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    fn node(&mut self, name: &str) {
        let mut command = Command::new(corovan());
        command.args(["node", "--listen", "127.0.0.1:0", "--name", name, "--data"]).arg(self.dir.path().join(name));
        command.arg("--certs").arg(self.certs()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(first) = self.addresses.first() {
            command.args(["--peer", first]);
        }
        let mut node = command.spawn().unwrap();
        let lines = BufReader::new(node.stdout.take().unwrap()).lines();
        self.nodes.push(node);
        let address = lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("listening on ")?.to_owned()));
        self.addresses.push(address.expect("a node says where it listens"));
    }

    fn example(&self, program: &str, options: &[&str], job: &str, rest: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(options).arg(self.certs()).args(["me", &self.addresses[0]]).arg(module(job)).args(rest);
        done(command)
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

fn module(job: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/jobs/{job}.wasm"));
    assert!(file.exists(), "there is no {}: run `cargo xtask jobs` first", file.display());
    file
}

#[test]
fn results_come_in_the_order_of_the_inputs_from_both_nodes() {
    let mesh = Mesh::new();
    let told = mesh.example(env!("CARGO_BIN_EXE_discoro_client1"), &[], "discoro", &["20"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 20, "{told}");
    for (number, line) in lines.iter().enumerate() {
        let seconds = 0.02 * (20 - number) as f64;
        let end = format!(": {seconds:.2}");
        assert!(line.starts_with(&format!("result for {number} from ")) && line.ends_with(&end), "{line}");
    }
    assert!(told.contains(" from a:") && told.contains(" from b:"), "{told}");
    let told = mesh.example(env!("CARGO_BIN_EXE_discoro_client1"), &["--as-they-come"], "discoro", &["12"]);
    let of = |line: &str| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
    let numbers: Vec<u64> = told.lines().map(of).collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>(), (0..12).collect::<Vec<_>>().iter().collect(), "{told}");
    assert_ne!(numbers, (0..12).collect::<Vec<_>>(), "later ones are done earlier");
}

#[test]
fn each_node_has_one_job_at_a_time_and_the_next_when_that_has_ended() {
    let mesh = Mesh::new();
    let told = mesh.example(env!("CARGO_BIN_EXE_discoro_client7"), &[], "discoro", &["12"]);
    let mut running: BTreeMap<&str, u32> = BTreeMap::new();
    let mut finished = BTreeSet::new();
    for line in told.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let count = running.entry(words[0]).or_default();
        match words[1] {
            "started" => *count += 1,
            _ => {
                *count -= 1;
                finished.insert(words[3].parse::<u64>().unwrap());
            }
        }
        assert!(*count <= 1, "{told}");
    }
    assert_eq!((finished, running.keys().collect::<Vec<_>>()), ((0..12).collect(), vec![&"a", &"b"]), "{told}");
}

#[test]
fn a_search_that_is_told_to_stop_gives_the_best_it_has_found() {
    let mesh = Mesh::new();
    let told = mesh.example(env!("CARGO_BIN_EXE_dispycos_kbd_int"), &[], "discoro", &["300"]);
    assert_eq!(told.lines().count(), 2, "{told}");
    for (line, place) in told.lines().zip(["a", "b"]) {
        let words: Vec<&str> = line.split([' ', ':']).filter(|word| !word.is_empty()).collect();
        let ["best", "at", node, number, "with", steps, "steps"] = words[..] else { panic!("{told}") };
        let (number, steps) = (number.parse::<u64>().unwrap(), steps.parse::<u64>().unwrap());
        let sequence = std::iter::successors(Some(number), |n| match n {
            1 => None,
            n if n % 2 == 0 => Some(n / 2),
            n => Some(3 * n + 1),
        });
        assert_eq!((node, sequence.count() as u64 - 1), (place, steps), "{told}");
        assert!(steps > 100, "{told}");
    }
}

#[test]
fn objects_go_and_come_back_as_messages() {
    let mesh = Mesh::new();
    let told = mesh.example(env!("CARGO_BIN_EXE_discoro_client3"), &[], "partners", &["12"]);
    let expected: Vec<String> = (0..12_u64)
        .map(|index| {
            let value = (index * index * index) as f64;
            format!("result for job {index}: {value}: {:.3}", value.sqrt())
        })
        .collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn numbers_are_streamed_over_a_channel_to_two_nodes_and_signals_come_back() {
    let mesh = Mesh::new();
    let told = mesh.example(env!("CARGO_BIN_EXE_discoro_client6"), &[], "partners", &["1000"]);
    // The same here, without any channel.
    let (mut last, mut ticks) = (1_u64, Vec::new());
    for _ in 0..1_000 {
        last = last * 48_271 % 0x7fff_ffff;
        ticks.push(50.0 + (last % 100) as f64 / 2.0);
    }
    let mut expected = Vec::new();
    for at in 20..1_000 {
        let mean = ticks[at - 20..at].iter().sum::<f64>() / 20.0;
        let signal = if ticks[at] > mean * 1.4 {
            "high"
        } else if ticks[at] < mean * 0.6 {
            "low"
        } else {
            continue;
        };
        expected.push(format!("trend signal at {at}: {signal} (mean of the latest {mean:.2})"));
    }
    let mean = ticks.iter().sum::<f64>() / 1_000.0;
    ticks.sort_unstable_by(f64::total_cmp);
    let signals = expected.len();
    assert!(signals > 0);
    expected.push(format!("{signals} signals; b kept 1000 numbers: mean {mean:.3}, median {:.1}", ticks[500]));
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_program_at_another_node_reads_what_is_sent_and_what_it_prints_comes_back() {
    let mesh = Mesh::new();
    let told = mesh.example(env!("CARGO_BIN_EXE_discoro_client5"), &[], "sums", &["b", "1 2 3", "40", "-6"]);
    assert_eq!(told, "sent 1 2 3, b says 6 6\nsent 40, b says 40 46\nsent -6, b says -6 40\nended: exited\n");
}

#[test]
fn messages_reach_a_coroutine_that_computes_without_a_pause() {
    let mesh = Mesh::new();
    let told = mesh.example(env!("CARGO_BIN_EXE_discoro_client8"), &[], "partners", &["10"]);
    let sums = (0..10).map(|n| format!("sum: {}", (0..=n).map(|n| f64::from(n) / 4.0).sum::<f64>()));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..10], sums.collect::<Vec<_>>(), "{told}");
    assert!(lines[10].starts_with("10 lists were delivered "), "{told}");
}

#[test]
fn servers_keep_data_in_memory_and_the_next_ones_begin_anew() {
    let mesh = Mesh::new();
    let told = mesh.example(env!("CARGO_BIN_EXE_dispycos_mem_servers"), &[], "partners", &["2"]);
    let mut expected = Vec::new();
    for (round, counts) in [(1, [334, 143, 1]), (2, [667, 286, 2])] {
        for node in ["a", "b"] {
            for (count, divisor) in counts.iter().zip([3, 7, 1_000]) {
                expected.push(format!("round {round}: {node} has {count} numbers divisible by {divisor}"));
            }
        }
    }
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn agents_find_each_other_and_agree() {
    let mesh = Mesh::new();
    let told = mesh.example(env!("CARGO_BIN_EXE_dispycos_mas"), &[], "agents", &[]);
    assert_eq!(told, "agent at a: low 17, high 34\nagent at b: low 17, high 34\n");
}

#[test]
fn a_map_over_lines_and_the_status_of_one_job() {
    let mesh = Mesh::new();
    let lines: String = (1..=30).map(|n| format!("{}\n", n * 10)).collect();
    let input = mesh.dir.path().join("lines");
    std::fs::write(&input, lines).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_map"));
    command.arg("--certs").arg(mesh.certs()).args(["--tenant", "me", "--in-flight", "4"]);
    mesh.addresses.iter().for_each(|address| _ = command.args(["--node", address]));
    command.arg(module("primes")).arg("primes").stdin(std::fs::File::open(input).unwrap());
    let told = done(command);
    let below = |n: u64| (2..n).filter(|n| (2..*n).all(|divisor| n % divisor != 0)).count() as u64;
    let numbers: Vec<u64> = told.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=30).map(|n| below(n * 10)).collect::<Vec<_>>(), "in the order of the lines");
    let told = mesh.example(env!("CARGO_BIN_EXE_status"), &[], "discoro", &["compute", "7", "0.01"]);
    let kinds: Vec<&str> = told.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert!(told.starts_with("submitted to a") && kinds.contains(&"started") && kinds.contains(&"exit"), "{told}");
}
