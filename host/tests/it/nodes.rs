//! Nodes in processes of their own, with certificates made by `corovan cert`.

use crate::process::{Place, Running, job, until};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A node in a process of its own.
pub struct NodeProcess {
    pub running: Running,
    pub address: String,
    certs: PathBuf,
}

impl Place {
    /// A directory with a CA, a certificate of node `a` and one of tenant `me`, made by `corovan cert`.
    pub fn certs(&self) -> PathBuf {
        let dir = self.path("certs");
        if !dir.exists() {
            for line in ["init", "node a", "tenant me"] {
                let words = ["cert"].into_iter().chain(line.split(' ')).map(OsStr::new);
                self.run(words.chain([OsStr::new("--dir"), dir.as_os_str()])).has_code(0);
            }
        }
        dir
    }

    /// A node of this place's cluster, with these options besides.
    pub fn node(&self, options: &[&str]) -> NodeProcess {
        self.node_named("a", options)
    }

    /// The same under another name, which makes it another node.
    pub fn node_named(&self, name: &str, options: &[&str]) -> NodeProcess {
        let certs = self.certs();
        if !certs.join(format!("node-{name}.crt")).exists() {
            let words = ["cert", "node", name, "--dir"].map(OsStr::new);
            self.run(words.into_iter().chain([certs.as_os_str()])).has_code(0);
        }
        let data = self.path(if name == "a" { "data" } else { name });
        let mut command = self.command(["node", "--listen", "127.0.0.1:0", "--name", name, "--data"]);
        command.arg(data).arg("--certs").arg(&certs).args(options);
        NodeProcess::started(Running::start(command), certs)
    }
}

impl NodeProcess {
    /// Waits until a node takes work. `certs`: for its clients.
    #[track_caller]
    pub fn started(mut running: Running, certs: PathBuf) -> NodeProcess {
        let address = until("a node says where it listens", || {
            if running.has_ended() {
                panic!("the node ended: {}", running.stderr.text());
            }
            let text = running.stdout.text();
            text.lines().find_map(|line| line.strip_prefix("listening on ")).map(str::to_owned)
        });
        NodeProcess { running, address, certs }
    }

    /// The start of a command line that runs jobs on this node.
    pub fn run_args(&self) -> Vec<String> {
        ["run", "--node", &self.address, "--certs", &self.certs.display().to_string()].map(str::to_owned).to_vec()
    }

    /// The same with more words.
    pub fn args<S: AsRef<OsStr>>(&self, more: &[S]) -> Vec<OsString> {
        let own = self.run_args().into_iter().map(Into::into);
        own.chain(more.iter().map(|word| word.as_ref().to_owned())).collect()
    }

    /// Asserts that the node still runs and does what it is for.
    #[track_caller]
    pub fn works(&mut self, place: &Place) {
        assert!(!self.running.has_ended(), "the node has ended: {}", self.running.stderr.text());
        let file = job("rcoro_proc");
        let done = place.run(self.args(&[file.as_os_str(), "rcoro_proc".as_ref(), "0.25".as_ref()]));
        done.has_code(0);
        assert_eq!(done.out(), "0.25\n", "{done:?}");
    }

    /// Bytes of memory it has resident.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }
}
