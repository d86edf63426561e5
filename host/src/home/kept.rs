//! What a home keeps of a durable job to run it at any later time: the spec, the same for many jobs, and the arguments of one.

use crate::dispatch::Refusal;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::text::cut;
use corovan_core::wire::durable::Retry;
use corovan_core::wire::jobs::NodeAllocation;
use corovan_core::wire::records::Prepare;
use corovan_core::wire::{ExitRecord, Outcome};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// What is to be run, for whom it may go where, and how often it is tried. Records on disk grow by addition, as those on the wire.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Kept {
    #[serde(rename = "p")]
    pub prepare: Prepare,
    /// What its client calls the computation.
    #[serde(rename = "l", default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Signed by the tenant: what lets it go to other nodes.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<ByteBuf>,
    /// As its computation lists them.
    #[serde(rename = "n", default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeAllocation>,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    #[serde(rename = "k", default, skip_serializing_if = "std::ops::Not::not")]
    pub pack: bool,
    /// Which nodes may run it; absent: its home.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    #[serde(rename = "r", default)]
    pub retry: Retry,
}

/// What one job is given.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Given {
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    #[serde(rename = "a", default)]
    pub args: ByteBuf,
}

/// Of an exit's texts: what a store sets aside for a record is less than the longest backtrace.
const KIND_BYTES: usize = 512;

pub fn write<T: Serialize>(value: &T) -> Bytes {
    let mut bytes = Vec::with_capacity(256);
    // Writing to memory cannot fail, and all of it has a CBOR form.
    let _ = ciborium::into_writer(value, &mut bytes);
    bytes.into()
}

/// Of all that makes two jobs the same: not of who lets them go where for how long, which each computation says anew.
pub fn digest(kept: &Kept, args: &[u8]) -> [u8; 32] {
    let same = write(&(&kept.prepare, &kept.at, &kept.retry));
    let mut digest = blake3::Hasher::new();
    digest.update(&(same.len() as u64).to_le_bytes()).update(&same).update(args);
    digest.finalize().into()
}

/// Errors: internal (another version wrote it).
pub fn read<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Refusal> {
    ciborium::from_reader(bytes).map_err(|error| {
        let text = format!("{what} was kept by another version, and cannot be read: {error}");
        Refusal::new(Code::Internal, text)
    })
}

/// A record with texts that fit into what is set aside for it, and without a value that does not fit into a row.
pub fn fitting(record: &ExitRecord, attempt: u32) -> ExitRecord {
    let short = |text: &String| cut(text.clone(), limits::TEXT_BYTES);
    let kind = |text: &String| cut(text.clone(), KIND_BYTES);
    let too_large = record.outcome.value().map(Bytes::len).filter(|size| *size > limits::DURABLE_BYTES);
    let outcome = match &record.outcome {
        _ if too_large.is_some() => Outcome::Failed {
            kind: "too-large".into(),
            text: format!(
                "its result of {} bytes is over what is kept of a durable job, {}: return less, or run it attached",
                too_large.unwrap_or_default(),
                limits::DURABLE_BYTES
            ),
        },
        Outcome::Failed { kind: k, text } => Outcome::Failed { kind: kind(k), text: short(text) },
        Outcome::Trapped { kind: k, backtrace } => Outcome::Trapped { kind: kind(k), backtrace: short(backtrace) },
        Outcome::Terminated { by, reason, value } => {
            Outcome::Terminated { by: kind(by), reason: short(reason), value: value.clone() }
        }
        Outcome::Refused { code, why } => Outcome::Refused { code: *code, why: short(why) },
        other => other.clone(),
    };
    ExitRecord { outcome, attempt, ..record.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::ids::{Address, ModuleHash};

    #[test]
    fn a_record_fits_into_what_is_set_aside_for_it_whatever_is_in_it() {
        let long = "x".repeat(100_000);
        let outcomes = [
            Outcome::Failed { kind: long.clone(), text: long.clone() },
            Outcome::Trapped { kind: long.clone(), backtrace: long.clone() },
            Outcome::Terminated { by: long.clone(), reason: long.clone(), value: None },
            Outcome::Refused { code: Code::Overloaded, why: long },
            Outcome::Finished(vec![0; limits::DURABLE_BYTES + 1].into()),
        ];
        for outcome in outcomes {
            let record = ExitRecord {
                address: Address::default(),
                module: ModuleHash([255; 32]),
                function: "f".repeat(limits::NAME_BYTES).into(),
                attempt: 0,
                outcome,
                usage: Default::default(),
            };
            let (head, value) = fitting(&record, 7).to_head();
            assert!(write(&head).len() + 32 <= corovan_store::limits::EXIT_BYTES && value.is_empty(), "{head:?}");
        }
    }
}
