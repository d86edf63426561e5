//! How a coroutine ended: the record that `join` gives and an exit message carries. A failure, a termination and a normal
//! return are three different outcomes.

use crate::address::Address;
use crate::byte_string;
use crate::cbor::from_cbor;
use crate::error::{Code, Error};
use crate::ids::{ModuleHash, NodeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::time::Duration;

/// Everything that is known about an ended coroutine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exit {
    pub address: Address,
    pub module: ModuleHash,
    /// The function that it ran, at its end.
    pub function: String,
    /// Counts from 1 how often its job was tried; 0 for one that is no job.
    pub attempt: u32,
    pub outcome: Outcome,
    pub usage: Usage,
}

/// What became of a coroutine.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It returned.
    Finished(Given),
    /// A WASI program called `exit`, or returned from `main` (0).
    Exited(u32),
    /// It said that it failed: `fail`, an error, wrong arguments, a panic.
    Failed { kind: String, text: String },
    /// WebAssembly trapped, or a host call was made as no sane program makes it.
    Trapped { kind: String, backtrace: String },
    /// It wanted more memory than its limit, in bytes.
    OutOfMemory { limit: u64 },
    /// Its CPU time was used up.
    OutOfBudget { limit: Duration },
    /// Its wall time passed.
    Deadline { limit: Duration },
    /// It was terminated: by whom and why, and the value if it still gave one.
    Terminated { by: String, reason: String, value: Given },
    /// Its node cannot be reached any more; it may still run there.
    NodeLost(NodeId),
    /// It never ran.
    Refused { code: Code, why: String },
    /// An outcome newer than this SDK, with its number and text.
    Unknown { number: u16, text: String },
}

/// The value that a coroutine gave at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Given {
    /// None: its function returns nothing.
    Nothing,
    /// One CBOR item.
    Item(Vec<u8>),
    /// One that is too large for a message, of so many bytes: [`join`](Address::join) gives it.
    LeftOut(u64),
}

/// What a coroutine used; sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Usage {
    #[serde(deserialize_with = "nanoseconds")]
    pub cpu: Duration,
    #[serde(deserialize_with = "nanoseconds")]
    pub wall: Duration,
    pub memory_peak: u64,
    pub messages_in: u64,
    pub messages_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Exit {
    /// It returned, or exited with 0. Anything else is what a link, and most supervisors, take for a fault.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let child = corovan_guest::spawn("worker").start()?;
    /// if !child.join(None)?.is_normal() {
    ///     println!("the worker did not get through");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_normal(&self) -> bool {
        matches!(self.outcome, Outcome::Finished(_) | Outcome::Exited(0))
    }

    /// The value that it gave, as any type that serde can deserialise; `()` or an `Option` where it may have given none.
    ///
    /// # Errors
    /// When it did not finish: the code it was refused with, `node-lost`, else `gone`, each with how it ended. When it did:
    /// `invalid` for a value of another type, `too-large` for one that was left out of a message.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let child = corovan_guest::spawn("primes").arg(1000).start()?;
    /// let count: u64 = child.join(None)?.value()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, Error> {
        match &self.outcome {
            Outcome::Finished(given) => self.read(given),
            Outcome::Terminated { value, .. } if *value != Given::Nothing => self.read(value),
            Outcome::Refused { code, .. } => Err(Error::new(*code, self.to_string())),
            Outcome::NodeLost(_) => Err(Error::new(Code::NodeLost, self.to_string())),
            _ => Err(Error::new(Code::Gone, self.to_string())),
        }
    }

    fn read<T: DeserializeOwned>(&self, given: &Given) -> Result<T, Error> {
        match given {
            Given::Nothing => from_cbor(NULL),
            Given::Item(item) => from_cbor(item),
            Given::LeftOut(size) => {
                Err(Error::new(Code::TooLarge, format!("its value of {size} bytes is left to `join`")))
            }
        }
        .map_err(|error| Error::new(error.code, format!("the value of {}: {}", self.function, error.detail)))
    }
}

/// For a person: `worker failed (panic): no more paper`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.function, self.outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Finished(_) => f.write_str("finished"),
            Outcome::Exited(code) => write!(f, "exited with {code}"),
            Outcome::Failed { kind, text } => write!(f, "failed ({kind}): {text}"),
            Outcome::Trapped { kind, .. } => write!(f, "trapped: {kind}"),
            Outcome::OutOfMemory { limit } => write!(f, "ran out of memory at {limit} bytes"),
            Outcome::OutOfBudget { limit } => write!(f, "used up its CPU time of {limit:?}"),
            Outcome::Deadline { limit } => write!(f, "was stopped at its deadline of {limit:?}"),
            Outcome::Terminated { by, reason, .. } => write!(f, "was terminated by {by}: {reason}"),
            Outcome::NodeLost(node) => write!(f, "was lost with node {node}"),
            Outcome::Refused { code, why } => write!(f, "was refused ({code}): {why}"),
            Outcome::Unknown { number, text } => write!(f, "ended in a way unknown here ({number}): {text}"),
        }
    }
}

impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Exit, D::Error> {
        Record::deserialize(deserializer).map(Exit::from)
    }
}

/// As the node writes it.
#[derive(Deserialize)]
struct Record {
    address: Address,
    module: ModuleHash,
    function: String,
    #[serde(default)]
    attempt: u32,
    outcome: u16,
    /// Exit code, limit, or code.
    #[serde(default)]
    number: u64,
    /// Kind, or by whom.
    #[serde(default)]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    node: Option<NodeId>,
    #[serde(default, deserialize_with = "byte_string::option")]
    bytes: Option<Vec<u8>>,
    #[serde(default)]
    left_out: Option<u64>,
    #[serde(default)]
    usage: Usage,
}

impl From<Record> for Exit {
    fn from(record: Record) -> Exit {
        let Record { address, module, function, attempt, outcome, number, kind, text, node, .. } = record;
        let given = match (record.bytes, record.left_out) {
            (_, Some(size)) => Given::LeftOut(size),
            (Some(item), None) if !item.is_empty() => Given::Item(item),
            _ => Given::Nothing,
        };
        let number_u32 = u32::try_from(number).unwrap_or(u32::MAX);
        let outcome = match (outcome, node) {
            (1, _) => Outcome::Finished(given),
            (2, _) => Outcome::Exited(number_u32),
            (3, _) => Outcome::Failed { kind, text },
            (4, _) => Outcome::Trapped { kind, backtrace: text },
            (5, _) => Outcome::OutOfMemory { limit: number },
            (6, _) => Outcome::OutOfBudget { limit: Duration::from_nanos(number) },
            (7, _) => Outcome::Deadline { limit: Duration::from_nanos(number) },
            (8, _) => Outcome::Terminated { by: kind, reason: text, value: given },
            (9, Some(node)) => Outcome::NodeLost(node),
            (10, _) => Outcome::Refused { code: Code::from_number(number_u32), why: text },
            (number, _) => Outcome::Unknown { number, text },
        };
        Exit { address, module, function, attempt, outcome, usage: record.usage }
    }
}

fn nanoseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_nanos)
}

/// What a coroutine that gave nothing is taken to have given.
const NULL: &[u8] = &[0xf6];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor::from_node;
    use corovan_core::ids as core_ids;
    use corovan_core::wire::{ExitRecord, Outcome as Theirs};

    fn told(outcome: Theirs, most: usize) -> Exit {
        let record = ExitRecord {
            address: core_ids::Address { counter: 5, ..Default::default() },
            module: core_ids::ModuleHash([3; 32]),
            function: "worker".into(),
            attempt: 1,
            outcome,
            usage: corovan_core::wire::Usage { cpu: 12, bytes_out: 34, ..Default::default() },
        };
        from_node(&record.to_cbor(most)).unwrap()
    }

    #[test]
    fn every_outcome_is_read_as_the_node_writes_it() {
        let item = vec![0x18, 0x2a];
        let text = || "text".to_owned();
        let cases = [
            (Theirs::Finished(item.clone().into()), Outcome::Finished(Given::Item(item.clone()))),
            (Theirs::Finished(Default::default()), Outcome::Finished(Given::Nothing)),
            (Theirs::Exited(3), Outcome::Exited(3)),
            (Theirs::Failed { kind: "k".into(), text: text() }, Outcome::Failed { kind: "k".into(), text: text() }),
            (
                Theirs::Trapped { kind: "k".into(), backtrace: text() },
                Outcome::Trapped { kind: "k".into(), backtrace: text() },
            ),
            (Theirs::OutOfMemory { limit: 1 }, Outcome::OutOfMemory { limit: 1 }),
            (Theirs::OutOfBudget { limit: 2 }, Outcome::OutOfBudget { limit: Duration::from_nanos(2) }),
            (Theirs::Deadline { limit: 3 }, Outcome::Deadline { limit: Duration::from_nanos(3) }),
            (
                Theirs::Terminated { by: "b".into(), reason: text(), value: Some(item.clone().into()) },
                Outcome::Terminated { by: "b".into(), reason: text(), value: Given::Item(item) },
            ),
            (
                Theirs::Terminated { by: "b".into(), reason: text(), value: None },
                Outcome::Terminated { by: "b".into(), reason: text(), value: Given::Nothing },
            ),
            (Theirs::NodeLost(core_ids::NodeId([9; 12])), Outcome::NodeLost(NodeId::from_bytes([9; 12]))),
            (
                Theirs::Refused { code: corovan_core::code::Code::Denied, why: text() },
                Outcome::Refused { code: Code::Denied, why: text() },
            ),
        ];
        for (theirs, ours) in cases {
            let normal = !theirs.is_abnormal();
            let exit = told(theirs, 100);
            assert_eq!(exit.outcome, ours);
            assert_eq!(exit.is_normal(), normal, "{exit}");
            assert_eq!((exit.function.as_str(), exit.attempt, exit.address.as_bytes()[16]), ("worker", 1, 5));
            assert_eq!((exit.usage.cpu.as_nanos(), exit.usage.bytes_out, exit.usage.wall), (12, 34, Duration::ZERO));
        }
    }

    #[test]
    fn a_value_is_read_and_where_there_is_none_the_error_says_how_it_ended() {
        assert_eq!(told(Theirs::Finished(vec![0x18, 0x2a].into()), 2).value::<u8>(), Ok(42));
        assert_eq!(told(Theirs::Finished(Default::default()), 2).value::<Option<u8>>(), Ok(None));
        let error = |outcome, most| told(outcome, most).value::<u8>().unwrap_err();
        let large = error(Theirs::Finished(vec![0x18, 0x2a].into()), 1);
        assert_eq!((large.code, large.detail.contains("2 bytes")), (Code::TooLarge, true), "{large}");
        let failed = error(Theirs::Failed { kind: "panic".into(), text: "no paper".into() }, 1);
        assert_eq!(failed, Error::new(Code::Gone, "worker failed (panic): no paper"));
        let refused = error(Theirs::Refused { code: corovan_core::code::Code::Overloaded, why: "full".into() }, 1);
        assert_eq!(refused.code, Code::Overloaded);
        let other = error(Theirs::Finished(vec![0x61, b'a'].into()), 2);
        assert_eq!(other.detail, "the value of worker: expected a whole number from 0 to 255, found \"a\"");
    }
}
