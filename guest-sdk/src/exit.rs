//! How a coroutine ended: what `join` gives, and what comes as a message to whoever monitors it.

use crate::address::Address;
use crate::error::Code;
use crate::values;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// Everything known about an ended coroutine.
#[derive(Clone, PartialEq, Debug)]
pub struct Exit {
    pub address: Address,
    pub function: String,
    pub outcome: Outcome,
    pub usage: Usage,
}

/// How it ended. A failure, a termination and a return are three different things.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Returned; the result, one CBOR item, empty if it gave none. See [`Exit::value`].
    Finished(Vec<u8>),
    /// Returned a result too large for a message (over 64 KiB), of so many bytes: [`Address::join`] has it.
    FinishedLarge(u64),
    /// A WASI program's exit code.
    Exited(u32),
    /// Called `fail`, returned an error (`error`) or panicked (`panic`).
    Failed { kind: String, text: String },
    /// WebAssembly trapped.
    Trapped { kind: String, backtrace: String },
    /// Wanted more memory than it may have (bytes).
    OutOfMemory { limit: u64 },
    /// Used up its CPU time.
    OutOfBudget { limit: Duration },
    /// Its wall time was over.
    Deadline { limit: Duration },
    /// Was terminated: by whom, and why.
    Terminated { by: String, reason: String },
    /// Its node cannot be reached any more; it may still run there.
    NodeLost,
    /// It never ran.
    Refused { code: Code, why: String },
    /// What a later version knows.
    Unknown(u32),
}

/// What a coroutine used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    pub cpu: Duration,
    pub wall: Duration,
    /// Bytes of linear memory.
    pub memory_peak: u64,
    pub messages_in: u64,
    pub messages_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Exit {
    /// It returned, or exited with code 0.
    pub fn is_normal(&self) -> bool {
        matches!(self.outcome, Outcome::Finished(_) | Outcome::FinishedLarge(_) | Outcome::Exited(0))
    }

    /// Its result.
    ///
    /// # Errors
    /// A text for a person: how it ended instead, or why the result is not of this type.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let child = corovan_guest::spawn("square").arg(&7).start()?;
    /// let square: u64 = child.join(None)?.value()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, String> {
        match &self.outcome {
            Outcome::Finished(bytes) if bytes.is_empty() => values::decode(&[NULL]),
            Outcome::Finished(bytes) => values::decode(bytes),
            other => Err(format!("{} of {} gave no result: it {other}", self.function, self.address)),
        }
    }

    /// From an exit record as the node gives it.
    pub(crate) fn decode(cbor: &[u8]) -> Result<Exit, String> {
        let record: Record = values::decode(cbor)?;
        Ok(record.into())
    }
}

/// As in "it finished", "it failed: ...".
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Finished(_) | Outcome::FinishedLarge(_) => f.write_str("finished"),
            Outcome::Exited(code) => write!(f, "exited with code {code}"),
            Outcome::Failed { kind, text } => write!(f, "failed: {kind}: {text}"),
            Outcome::Trapped { kind, .. } => write!(f, "trapped: {kind}"),
            Outcome::OutOfMemory { limit } => write!(f, "ran out of memory ({limit} bytes)"),
            Outcome::OutOfBudget { limit } => write!(f, "used up its CPU time ({limit:?})"),
            Outcome::Deadline { limit } => write!(f, "did not end within {limit:?}"),
            Outcome::Terminated { by, reason } => write!(f, "was terminated by {by}: {reason}"),
            Outcome::NodeLost => f.write_str("was lost with its node"),
            Outcome::Refused { code, why } => write!(f, "was refused: {code}: {why}"),
            Outcome::Unknown(number) => write!(f, "ended in a way this version does not know ({number})"),
        }
    }
}

/// The map that the node writes: see `abi/README.md`.
#[derive(Deserialize)]
struct Record {
    address: Address,
    #[serde(default)]
    function: String,
    outcome: u32,
    #[serde(default)]
    number: u64,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    bytes: Option<Bytes>,
    #[serde(default)]
    left_out: Option<u64>,
    #[serde(default)]
    usage: RawUsage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawUsage {
    cpu: u64,
    wall: u64,
    memory_peak: u64,
    messages_in: u64,
    messages_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl From<Record> for Exit {
    fn from(record: Record) -> Exit {
        let Record { number, kind, text, usage, .. } = record;
        let limit = || Duration::from_nanos(number);
        let outcome = match (record.outcome, record.left_out) {
            (1, Some(size)) => Outcome::FinishedLarge(size),
            (1, None) => Outcome::Finished(record.bytes.map(|bytes| bytes.0).unwrap_or_default()),
            (2, _) => Outcome::Exited(u32::try_from(number).unwrap_or(u32::MAX)),
            (3, _) => Outcome::Failed { kind, text },
            (4, _) => Outcome::Trapped { kind, backtrace: text },
            (5, _) => Outcome::OutOfMemory { limit: number },
            (6, _) => Outcome::OutOfBudget { limit: limit() },
            (7, _) => Outcome::Deadline { limit: limit() },
            (8, _) => Outcome::Terminated { by: kind, reason: text },
            (9, _) => Outcome::NodeLost,
            (10, _) => {
                Outcome::Refused { code: Code::from_number(u32::try_from(number).unwrap_or(u32::MAX)), why: text }
            }
            (other, _) => Outcome::Unknown(other),
        };
        let usage = usage.into();
        Exit { address: record.address, function: record.function, outcome, usage }
    }
}

impl From<RawUsage> for Usage {
    fn from(raw: RawUsage) -> Usage {
        let RawUsage { cpu, wall, memory_peak, messages_in, messages_out, bytes_in, bytes_out } = raw;
        let (cpu, wall) = (Duration::from_nanos(cpu), Duration::from_nanos(wall));
        Usage { cpu, wall, memory_peak, messages_in, messages_out, bytes_in, bytes_out }
    }
}

/// A CBOR byte string.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

/// CBOR's null: the result of a function that gave none.
const NULL: u8 = 0xf6;

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::ids::{Address as Theirs, ModuleHash};
    use corovan_core::wire::{ExitRecord, Outcome as TheirOutcome, Usage as TheirUsage};

    fn told(outcome: TheirOutcome, most: usize) -> Exit {
        let record = ExitRecord {
            address: Theirs { counter: 7, ..Theirs::default() },
            module: ModuleHash([1; 32]),
            function: "f".into(),
            attempt: 1,
            outcome,
            usage: TheirUsage { cpu: 5, messages_in: 2, ..TheirUsage::default() },
        };
        Exit::decode(&record.to_cbor(most)).unwrap()
    }

    #[test]
    fn what_the_node_writes_of_every_outcome_is_read() {
        let text = || "t".to_owned();
        let cases = [
            (TheirOutcome::Finished(vec![0x07].into()), Outcome::Finished(vec![7])),
            (TheirOutcome::Finished(Vec::new().into()), Outcome::Finished(vec![])),
            (TheirOutcome::Exited(3), Outcome::Exited(3)),
            (
                TheirOutcome::Failed { kind: "k".into(), text: text() },
                Outcome::Failed { kind: "k".into(), text: text() },
            ),
            (
                TheirOutcome::Trapped { kind: "k".into(), backtrace: text() },
                Outcome::Trapped { kind: "k".into(), backtrace: text() },
            ),
            (TheirOutcome::OutOfMemory { limit: 9 }, Outcome::OutOfMemory { limit: 9 }),
            (TheirOutcome::OutOfBudget { limit: 9 }, Outcome::OutOfBudget { limit: Duration::from_nanos(9) }),
            (TheirOutcome::Deadline { limit: 9 }, Outcome::Deadline { limit: Duration::from_nanos(9) }),
            (
                TheirOutcome::Terminated { by: "b".into(), reason: text(), value: None },
                Outcome::Terminated { by: "b".into(), reason: text() },
            ),
            (TheirOutcome::NodeLost(Default::default()), Outcome::NodeLost),
            (
                TheirOutcome::Refused { code: corovan_core::code::Code::Denied, why: text() },
                Outcome::Refused { code: Code::Denied, why: text() },
            ),
        ];
        for (theirs, ours) in cases {
            let exit = told(theirs, 1 << 20);
            assert_eq!(exit.outcome, ours);
            assert_eq!((exit.function.as_str(), exit.usage.cpu), ("f", Duration::from_nanos(5)));
        }
    }

    #[test]
    fn a_value_too_large_for_its_message_is_told_by_its_size() {
        let exit = told(TheirOutcome::Finished(vec![0x41, 0x00].into()), 1);
        assert_eq!(exit.outcome, Outcome::FinishedLarge(2));
        assert!(exit.is_normal() && exit.value::<u8>().is_err());
    }

    #[test]
    fn a_result_is_read_as_its_type_and_its_absence_as_nothing() {
        assert_eq!(told(TheirOutcome::Finished(vec![0x07].into()), 9).value::<u8>(), Ok(7));
        assert_eq!(told(TheirOutcome::Finished(Vec::new().into()), 9).value::<()>(), Ok(()));
        let error = told(TheirOutcome::Exited(3), 9).value::<u8>().unwrap_err();
        assert!(error.contains("exited with code 3"), "{error}");
    }
}
