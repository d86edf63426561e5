//! Payloads of calls and exits: a CBOR record that says what is asked, told or answered, then bytes it speaks of, uncoded.
//!
//! ```text
//! 0 len u32, little-endian | 4 CBOR record | 4 + len bytes
//! ```

use super::channel::ChannelCall;
use crate::ids::{Address, ModuleHash};
use crate::limits;
use crate::wire::ExitRecord;
use crate::wire::exit::ExitHead;
use crate::wire::records::{Log, Progress};
use bytes::{Buf, Bytes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a frame of kind `Call` asks. `to` and `from` of its header say of whom and for whom; unknown fields are ignored, an
/// unknown call is answered with `unsupported`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Call {
    /// Tell the end of `to` to `from`, under the frame's number, which is a monitor's and not a call's: what comes is an exit.
    Monitor,
    /// No longer, of the monitor of this number. Not answered.
    Demonitor,
    /// The value of the end that was told under this monitor's number, which was too large for the frame: answered with its size
    /// (u64, little-endian) and bytes from `offset` on.
    Value {
        #[serde(rename = "n")]
        monitor: u64,
        #[serde(rename = "o")]
        offset: u64,
    },
    /// The arguments of the `Spawn` that gave this number to its end, which were too large for it: answered as `Value` is.
    Arguments {
        #[serde(rename = "n")]
        over: u64,
        #[serde(rename = "o")]
        offset: u64,
    },
    /// Standard input of what was made under this number: bytes follow, the last of them where `end`. Answered when they have found
    /// room; `gone` where nobody reads them.
    Input {
        #[serde(rename = "n")]
        over: u64,
        #[serde(rename = "e", default)]
        end: bool,
    },
    /// Answered when it is ordered.
    Terminate {
        #[serde(rename = "b")]
        by: String,
        #[serde(rename = "r")]
        reason: String,
    },
    Interrupt {
        #[serde(rename = "r")]
        reason: String,
    },
    /// The value follows.
    Resume,
    /// Answered with what it does, in CBOR.
    Status,
    /// A message of `corovan_core::directory` follows; not answered as a call. Without a coroutine on either side.
    Names,
    /// Make a coroutine. The arguments follow; answered with its address.
    Spawn(Spawn),
    /// End what was made, or is being made, under the number of its end in the frame's `call`. Not answered.
    Cancel {
        #[serde(rename = "b")]
        by: String,
        #[serde(rename = "r")]
        reason: String,
        /// Nanoseconds of grace; absent: what the other node gives.
        #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
        grace: Option<u64>,
    },
    /// The bytes of a module, in pieces: answered with its size (u64, little-endian) and those from `offset` on.
    Module {
        #[serde(rename = "h")]
        hash: ModuleHash,
        #[serde(rename = "o")]
        offset: u64,
    },
    /// Of channels, and of those subscribed to them.
    Channel(ChannelCall),
    /// Nobody waits any more for the answer to the call of the frame's number. Not answered.
    Abandon,
    /// A question of one who wants to join follows, as on a connection of the joining protocol; answered with the answer.
    Join,
    /// Go on as another function, of this module or of the one that it runs. Answered when it does, or will not.
    Swap {
        #[serde(rename = "m", default)]
        module: Option<ModuleHash>,
        #[serde(rename = "f")]
        function: String,
    },
    /// What a coroutine has said that the other node asked for, or one that it made. Bytes of output follow; answered when all
    /// of it has found room.
    Said(Said),
    /// Whatever a later version asks.
    #[serde(other)]
    Unknown,
}

/// A coroutine that another node is to make.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spawn {
    #[serde(rename = "m")]
    pub module: ModuleHash,
    #[serde(rename = "f")]
    pub function: String,
    /// Bytes of memory; 0: as much as the program wants.
    #[serde(rename = "b", default)]
    pub memory: u64,
    /// Nanoseconds that it and all that it makes may run.
    #[serde(rename = "d")]
    pub deadline: u64,
    /// The number under which the end of all that it makes is told, as that of a monitor.
    #[serde(rename = "o")]
    pub over: u64,
    /// Nanoseconds of CPU time that it and all that it makes may use; absent: as many as they like.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u64>,
    /// Of what is offered there, in place of a function of a module.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Address>,
    /// Bytes that whoever makes it may have, which is the most that the program gets of what it wants; 0: it is not said.
    #[serde(rename = "x", default, skip_serializing_if = "crate::wire::is_default")]
    pub most: u64,
    /// A WASI program is run, in place of a function.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Its arguments do not follow but are to be fetched, so many bytes.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub large: Option<u64>,
    /// Its standard input will come.
    #[serde(rename = "i", default, skip_serializing_if = "crate::wire::is_default")]
    pub stdin: bool,
}

/// How a WASI program is started.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Command {
    /// Without the program's own name.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    #[serde(rename = "e", default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// Descriptors 0, 1, 2 are terminals at the client (bit 0, 1, 2).
    #[serde(rename = "t", default)]
    pub terminals: u8,
}

/// A part of what a coroutine says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Said {
    /// The number of its end in `Spawn`.
    #[serde(rename = "o")]
    pub over: u64,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<Log>,
    /// Which output the bytes are of: 1 or 2.
    #[serde(rename = "s", default)]
    pub stream: u8,
}

/// Why bytes are no such payload.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("a record of {0} bytes is over the limit of {max} (FRAME_HEAD)", max = limits::FRAME_HEAD)]
    TooLarge(u64),
    #[error("it ends within its record")]
    Truncated,
    #[error("the record is not what it should be: {0}")]
    Record(String),
}

/// The first part of a payload with this record; the bytes it speaks of are the second.
pub fn encode(record: &impl Serialize) -> Result<Bytes, Error> {
    let mut out = vec![0; 4];
    ciborium::into_writer(record, &mut out).map_err(|error| Error::Record(error.to_string()))?;
    let len = out.len() - 4;
    if len > limits::FRAME_HEAD {
        return Err(Error::TooLarge(len as u64));
    }
    out[..4].copy_from_slice(&(len as u32).to_le_bytes());
    Ok(out.into())
}

/// Record, and the bytes it speaks of.
pub fn decode<T: DeserializeOwned>(mut payload: Bytes) -> Result<(T, Bytes), Error> {
    if payload.len() < 4 {
        return Err(Error::Truncated);
    }
    let len = payload.get_u32_le() as usize;
    if len > limits::FRAME_HEAD {
        return Err(Error::TooLarge(len as u64));
    }
    if len > payload.len() {
        return Err(Error::Truncated);
    }
    let record = payload.split_to(len);
    let record = ciborium::de::from_reader_with_recursion_limit(&record[..], limits::CBOR_DEPTH)
        .map_err(|error| Error::Record(error.to_string()))?;
    Ok((record, payload))
}

/// An exit record; a value that is larger than a frame takes is left out.
pub fn encode_exit(record: &ExitRecord) -> Result<[Bytes; 2], Error> {
    let (head, value) = record.to_head();
    let value = if value.len() <= limits::EXIT_VALUE_BYTES { value } else { Bytes::new() };
    Ok([encode(&head)?, value])
}

/// Reads the same.
pub fn decode_exit(payload: Bytes) -> Result<ExitRecord, Error> {
    let (head, value) = decode::<ExitHead>(payload)?;
    Ok(ExitRecord::from_head(head, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn calls_survive_their_bytes_and_what_follows_them_is_kept_apart() {
        let spawn = Spawn {
            module: ModuleHash([7; 32]),
            function: "work".into(),
            memory: 1,
            deadline: 2,
            over: 3,
            cpu: Some(4),
            service: None,
            most: 4,
            command: Some(Command { argv: vec!["-v".into()], env: vec![("A".into(), "b".into())], terminals: 1 }),
            large: Some(5),
            stdin: true,
        };
        let log = Log { level: 3, text: "so".into(), dropped: 1 };
        let said = Said { over: 3, progress: None, logs: vec![log], stream: 2 };
        for call in [
            Call::Monitor,
            Call::Terminate { by: "a".into(), reason: "b".into() },
            Call::Cancel { by: "a".into(), reason: "b".into(), grace: Some(7) },
            Call::Spawn(spawn),
            Call::Said(said),
            Call::Module { hash: ModuleHash([1; 32]), offset: 9 },
            Call::Value { monitor: 1, offset: 2 },
            Call::Arguments { over: 1, offset: 2 },
            Call::Input { over: 1, end: true },
            Call::Swap { module: Some(ModuleHash([2; 32])), function: "next".into() },
        ] {
            let payload = [&encode(&call).unwrap()[..], b"rest"].concat();
            assert_eq!(decode::<Call>(payload.clone().into()).unwrap(), (call, Bytes::from_static(b"rest")));
            for cut in 0..payload.len() - 4 {
                assert!(decode::<Call>(Bytes::copy_from_slice(&payload[..cut])).is_err());
            }
        }
        let later = encode(&"Fly").unwrap();
        assert_eq!(decode::<Call>(later).unwrap().0, Call::Unknown);
        let long = Call::Interrupt { reason: "x".repeat(limits::FRAME_HEAD) };
        assert!(matches!(encode(&long), Err(Error::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_call_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Call>(bytes.clone().into());
            let _ = decode_exit(bytes.into());
        }
    }
}
