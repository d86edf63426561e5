//! The options of `corovan node` as a layer of its configuration: what is given here holds over file and environment.

use crate::config::keys::{self, Key};
use crate::config::layers::{Effective, Given, Layer, Problem, Source};
use crate::config::sources::{Sources, environment};
use crate::config::value::{Value, pair};
use std::fmt;
use std::path::PathBuf;

/// What may be said of a node. Defaults are told here and stand in the list of keys.
#[derive(clap::Args, Default, Debug)]
pub struct Flags {
    /// Address and UDP port to listen on; port 0 takes any that is free (default: 127.0.0.1:4433)
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// The node's name: a-z, 0-9 and '-' (default: node)
    #[arg(long)]
    name: Option<String>,
    /// Directory for modules, compiled code and the node's identity (default: corovan-data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A node of the mesh to join; may be given several times
    #[arg(long = "peer", value_name = "HOST:PORT")]
    peers: Vec<String>,
    /// Also look for nodes of the same cluster on the local network, and be found there
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    discover: Option<String>,
    /// Where others reach this node, if that is not where it listens
    #[arg(long, value_name = "HOST:PORT")]
    external: Option<String>,
    /// Accept no connections of other nodes, only dial them; such a node is home to no name
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dial_out: Option<String>,
    /// Shown to others, for example zone=a; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Directory with ca.crt, node-NAME.crt and node-NAME.key. Or COROVAN_CERTS
    #[arg(long, value_name = "DIR")]
    certs: Option<PathBuf>,
    /// Issue certificates for nodes that join: directory with ca.crt and an issuer-NAME.crt and .key
    #[arg(long, value_name = "DIR")]
    issuer: Option<PathBuf>,
    /// Join a cluster through this node, and renew the certificate there
    #[arg(long, value_name = "HOST:PORT")]
    join: Option<String>,
    /// Coroutines that may exist at a time, not less than 16 (default: as many as the machine has room for)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    slots: Option<String>,
    /// Threads that run coroutines (default: one a core)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    workers: Option<String>,
    /// Tell metrics, health and status over HTTP there: loopback only, read-only (default: nowhere)
    #[arg(long, value_name = "IP:PORT")]
    http: Option<String>,
    /// How long jobs may go on after SIGTERM (default: 5s)
    #[arg(long, value_name = "DURATION")]
    grace: Option<String>,
}

/// What is wrong with a configuration: a line each, as the command line prints them.
#[derive(Debug)]
pub struct Bad(pub Vec<Problem>);

impl Flags {
    /// With a file, or the one in the data directory, and the environment. `log`: the option of all commands.
    pub fn sources(&self, file: Option<PathBuf>, log: Option<&str>) -> Result<Sources, Bad> {
        let flags = self.layer(log);
        let environment = environment(|name| std::env::var_os(name));
        match (environment, flags) {
            (Ok(environment), Ok(flags)) => Ok(Sources { file, environment, flags }),
            (environment, flags) => {
                Err(Bad([environment.err(), flags.err()].into_iter().flatten().flatten().collect()))
            }
        }
    }

    fn layer(&self, log: Option<&str>) -> Result<Layer, Vec<Problem>> {
        let (mut layer, mut problems) = (Layer::new(), Vec::new());
        let mut take = |path: &str, read: &dyn Fn(&Key) -> Option<Result<Value, String>>| {
            let Some((key, flag)) = keys::find(path).and_then(|key| Some((key, key.flag?))) else { return };
            match read(key) {
                None => {}
                Some(Ok(value)) => drop(layer.insert(key.path, Given { value, source: Source::Flag(flag) })),
                Some(Err(text)) => problems.push(Problem { at: flag.to_owned(), text }),
            }
        };
        let switches = [("node.discover", &self.discover), ("node.dial-out", &self.dial_out)];
        let numbers = [("node.slots", &self.slots), ("node.workers", &self.workers), ("node.grace", &self.grace)];
        let addresses = [("node.listen", &self.listen), ("node.http", &self.http)];
        let texts = [("node.external", &self.external), ("node.join", &self.join)];
        let others = [("node.name", self.name.as_deref()), ("node.log", log)];
        let all = switches
            .into_iter()
            .chain(numbers)
            .chain(texts)
            .chain(addresses)
            .map(|(path, text)| (path, text.as_deref()));
        for (path, text) in all.chain(others) {
            take(path, &|key| text.map(|text| key.kind.one(text)));
        }
        for (path, dir) in [("node.data", &self.data), ("node.certs", &self.certs), ("node.issuer", &self.issuer)] {
            take(path, &|_| dir.clone().map(|dir| Ok(Value::Path(dir))));
        }
        take("node.peer", &|key| (!self.peers.is_empty()).then(|| key.kind.list(self.peers.clone())));
        let labels = || self.labels.iter().map(|text| pair(text)).collect::<Result<Vec<_>, _>>();
        take("node.labels", &|key| (!self.labels.is_empty()).then(|| key.kind.labels(labels()?)));
        if problems.is_empty() { Ok(layer) } else { Err(problems) }
    }
}

impl Bad {
    /// What holds, or this.
    pub fn or(loaded: Result<Effective, Vec<Problem>>) -> Result<Effective, Bad> {
        loaded.map_err(Bad)
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        // The first line has it from whoever prints errors.
        f.write_str(&lines.join("\ncorovan: "))
    }
}

impl std::error::Error for Bad {}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser, Debug)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn parse(words: &str) -> Result<Layer, String> {
        let line = Line::try_parse_from(["node"].into_iter().chain(words.split_whitespace()))
            .map_err(|error| error.to_string())?;
        line.flags.layer(None).map_err(|problems| Bad(problems).to_string())
    }

    #[test]
    fn what_is_said_on_the_command_line_is_a_layer() {
        let layer = parse(
            "--peer a:1 --peer [::1]:2 --discover --external 192.0.2.1:3 --label zone=a --label gpu= --label x=a=b,c \
             --dial-out=false --data d --workers 2",
        );
        let layer: Vec<String> = layer
            .unwrap()
            .iter()
            .map(|(path, given)| format!("{path}={} {}", given.value.to_toml(), given.source))
            .collect();
        assert_eq!(
            layer,
            [
                "node.data=\"d\" --data",
                "node.dial-out=false --dial-out",
                "node.discover=true --discover",
                "node.external=\"192.0.2.1:3\" --external",
                "node.labels={ \"gpu\" = \"\", \"x\" = \"a=b,c\", \"zone\" = \"a\" } --label",
                "node.peer=[\"a:1\", \"[::1]:2\"] --peer",
                "node.workers=2 --workers",
            ]
        );
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn every_option_is_that_of_a_key_and_what_is_wrong_names_it() {
        use clap::CommandFactory;
        let options: Vec<String> =
            Line::command().get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
        for key in keys::KEYS.iter().filter_map(|key| key.flag).filter(|flag| *flag != "--log") {
            assert!(options.iter().any(|option| option == key), "{key}");
        }
        let refused = parse("--listen localhost --slots -1 --label zone --discover=maybe").unwrap_err();
        for part in
            ["--listen: write the IP", "\ncorovan: --slots: -1 is not", "--label: \"zone\"", "--discover: \"maybe\""]
        {
            assert!(refused.contains(part), "{refused}");
        }
    }
}
