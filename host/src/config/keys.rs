//! The keys of a node's configuration: one list, from which files, the environment and `corovan config` are read.

use crate::modules::names;
use corovan_core::limits;
use std::time::Duration;

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// `TABLE.NAME`.
    pub path: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The option of `corovan node`, if there is one.
    pub flag: Option<&'static str>,
    pub kind: Kind,
    /// As text; absent: `otherwise` holds.
    pub default: Option<&'static str>,
    /// What holds without a value, for people.
    pub otherwise: &'static str,
    /// It may change while the node runs.
    pub live: bool,
}

/// What a setting's value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `IP:PORT`.
    Listen,
    /// A node's.
    Name,
    /// Of what is logged.
    Filter,
    /// Relative to the file that has it; on the command line and in the environment to where the program runs.
    Path,
    /// `HOST:PORT`.
    Peer,
    Peers,
    Switch,
    Labels,
    Number {
        min: u64,
        max: u64,
    },
    Duration {
        max: Duration,
    },
    /// Bytes.
    Size {
        min: u64,
        max: u64,
    },
    Windows,
    Zone,
}

/// All there are, in the order in which they are shown.
pub static KEYS: &[Key] = &[
    Key::new("node.name", "COROVAN_NODE_NAME", "--name", Kind::Name).with("node"),
    Key::new("node.listen", "COROVAN_NODE_LISTEN", "--listen", Kind::Listen).with("127.0.0.1:4433"),
    Key::new("node.data", "COROVAN_NODE_DATA", "--data", Kind::Path).with("corovan-data"),
    Key::new("node.certs", "COROVAN_CERTS", "--certs", Kind::Path)
        .or("what the node got by joining, or a development CA of its own"),
    Key::new("node.issuer", "COROVAN_NODE_ISSUER", "--issuer", Kind::Path).or("it issues no certificates"),
    Key::new("node.join", "COROVAN_NODE_JOIN", "--join", Kind::Peer).or("where it joined before, if it has"),
    Key::new("node.peer", "COROVAN_NODE_PEER", "--peer", Kind::Peers).with("").live(),
    Key::new("node.discover", "COROVAN_NODE_DISCOVER", "--discover", Kind::Switch).with("false"),
    Key::new("node.external", "COROVAN_NODE_EXTERNAL", "--external", Kind::Peer).or("where it listens"),
    Key::new("node.dial-out", "COROVAN_NODE_DIAL_OUT", "--dial-out", Kind::Switch).with("false"),
    Key::new("node.slots", "COROVAN_NODE_SLOTS", "--slots", Kind::Number { min: 0, max: u32::MAX as u64 })
        .or("as many as the machine has room for"),
    Key::new("node.workers", "COROVAN_NODE_WORKERS", "--workers", Kind::Number { min: 1, max: MAX_WORKERS })
        .or("one a core"),
    Key::new("node.http", "COROVAN_NODE_HTTP", "--http", Kind::Listen).or("no metrics and no status page"),
    Key::new("node.grace", "COROVAN_NODE_GRACE", "--grace", Kind::Duration { max: limits::SHUTDOWN_GRACE_MAX })
        .with("5s"),
    Key::new("node.log", "COROVAN_LOG", "--log", Kind::Filter).with("info").live(),
    Key::new("node.labels", "COROVAN_NODE_LABELS", "--label", Kind::Labels).with("").live(),
    Key::more("capacity.jobs", "COROVAN_NODE_CAPACITY_JOBS", Kind::Number { min: 0, max: limits::NODE_QUEUE as u64 })
        .or("as many as there are slots"),
    Key::more("capacity.cores", "COROVAN_NODE_CAPACITY_CORES", Kind::Number { min: 1, max: MAX_CORES })
        .or("as many as workers"),
    Key::more("capacity.memory", "COROVAN_NODE_CAPACITY_MEMORY", Kind::Size { min: 1 << 20, max: 1 << 50 })
        .or("what the machine has"),
    Key::more(
        "capacity.disk",
        "COROVAN_NODE_CAPACITY_DISK",
        Kind::Size { min: limits::MODULE_BYTES as u64 * 2, max: limits::STORE_BYTES },
    )
    .with("4GiB"),
    Key::more("hours.windows", "COROVAN_NODE_HOURS_WINDOWS", Kind::Windows).or("always"),
    Key::more("hours.end-after", "COROVAN_NODE_HOURS_END_AFTER", Kind::Duration { max: limits::DEADLINE_MAX })
        .or("jobs that run go on to their end"),
    Key::more("hours.timezone", "COROVAN_NODE_HOURS_TIMEZONE", Kind::Zone).with(DEFAULT_ZONE),
];

pub const DEFAULT_ZONE: &str = "UTC";
/// As the scheduler has it.
const MAX_WORKERS: u64 = 64;
const MAX_CORES: u64 = 65_535;

impl Key {
    const fn new(path: &'static str, env: &'static str, flag: &'static str, kind: Kind) -> Key {
        Key { path, env, flag: Some(flag), kind, default: None, otherwise: "", live: false }
    }

    /// One without an option, which may change.
    const fn more(path: &'static str, env: &'static str, kind: Kind) -> Key {
        Key { path, env, flag: None, kind, default: None, otherwise: "", live: true }
    }

    const fn with(self, default: &'static str) -> Key {
        Key { default: Some(default), ..self }
    }

    const fn or(self, otherwise: &'static str) -> Key {
        Key { otherwise, ..self }
    }

    const fn live(self) -> Key {
        Key { live: true, ..self }
    }

    /// The part before the dot.
    pub fn table(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(table, _)| table)
    }

    /// The part after it.
    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }
}

pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The tables, each once.
pub fn tables() -> impl Iterator<Item = &'static str> {
    KEYS.iter().enumerate().filter(|(n, key)| *n == 0 || KEYS[n - 1].table() != key.table()).map(|(_, key)| key.table())
}

/// What to write instead of a key that is not known; `table` is empty at the top of a file.
pub fn advice(table: &str, name: &str) -> String {
    if name == "token" {
        return "a token is a secret and stands in no file: give it with --token or COROVAN_TOKEN".into();
    }
    if let Some(key) = KEYS.iter().find(|key| key.name() == name && key.table() != table) {
        return format!("`{name}` belongs in [{}]", key.table());
    }
    let here: Vec<&str> = match table {
        "" => tables().collect(),
        table => KEYS.iter().filter(|key| key.table() == table).map(Key::name).collect(),
    };
    // People know the option, which is `--label`, and write it as it is written elsewhere.
    let plain = name.replace('_', "-");
    let near =
        here.iter().copied().find(|known| *known == plain).or_else(|| names::nearest(name, here.iter().copied()));
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", here.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_and_every_key_has_one_or_says_what_holds() {
        for key in KEYS {
            assert!(key.default.is_some() == key.otherwise.is_empty(), "{}", key.path);
            if let Some(default) = key.default.filter(|text| !text.is_empty()) {
                assert!(key.kind.read(default).is_ok(), "{}", key.path);
            }
            assert!(
                key.flag.is_none_or(|flag| flag[2..].starts_with(key.name().trim_end_matches('s'))),
                "{}",
                key.path
            );
        }
        assert_eq!(tables().collect::<Vec<_>>(), ["node", "capacity", "hours"]);
    }

    #[test]
    fn a_key_that_is_not_known_is_answered_with_the_nearest_that_is() {
        for (table, name, part) in [
            ("node", "listne", "`listen`"),
            ("node", "dial_out", "`dial-out`"),
            ("node", "label", "`labels`"),
            ("node", "jobs", "belongs in [capacity]"),
            ("", "listen", "belongs in [node]"),
            ("", "capcity", "`capacity`"),
            ("hours", "zzz", "known are windows, end-after, timezone"),
            ("node", "token", "secret"),
        ] {
            assert!(advice(table, name).contains(part), "{table} {name}: {}", advice(table, name));
        }
    }
}
