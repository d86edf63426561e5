//! Records about a client's own coroutine at its node: what it does, what comes for it, and what became of what it did.

use crate::code::Code;
use crate::ids::{Address, ModuleHash};
use serde::{Deserialize, Serialize};

/// The client's coroutine does something, and is told what became of it under the same number.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Mail {
    #[serde(rename = "c")]
    pub call: MailCall,
    /// To whom; absent where that is nobody.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    #[serde(rename = "g", default, skip_serializing_if = "crate::wire::is_default")]
    pub tag: u64,
    /// Nanoseconds that it may wait; absent: for ever.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Reply: to which request.
    #[serde(rename = "r", default, skip_serializing_if = "crate::wire::is_default")]
    pub reply: u64,
    /// A name, a function, a reason.
    #[serde(rename = "x", default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Swap: of which module; absent: its own.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub module: Option<ModuleHash>,
    /// Bytes in all, where they go on in `MailPart` frames.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Taken: so many bytes of messages have been taken.
    #[serde(rename = "b", default, skip_serializing_if = "crate::wire::is_default")]
    pub credit: u64,
}

/// What it does. Numbers are stable; one of a later version reads as [`MailCall::Unknown`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum MailCall {
    #[default]
    Unknown = 0,
    /// Is made; gives its address. Before all else, once.
    Open = 1,
    Send = 2,
    /// Returns when the message is in the other mailbox.
    Deliver = 3,
    /// Gives the reply.
    Request = 4,
    Reply = 5,
    /// One message of kind exit comes when the other has ended.
    Monitor = 6,
    Demonitor = 7,
    /// Gives the exit record: the CBOR map of an `Exit` frame's head, with the value in `bytes`.
    Join = 8,
    Interrupt = 9,
    /// Interrupt, grace, hard stop; returns when it has ended.
    Terminate = 10,
    Resume = 11,
    /// Gives what it does, in CBOR.
    Status = 12,
    Swap = 13,
    /// Gives the address under a name.
    Locate = 14,
    Register = 15,
    Unregister = 16,
    /// No call: so many bytes of messages have been taken.
    Taken = 17,
}

/// A message for the client's coroutine. Kinds are those of `receive` in the host interface.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Mailed {
    #[serde(rename = "f", default)]
    pub from: Address,
    #[serde(rename = "g", default, skip_serializing_if = "crate::wire::is_default")]
    pub tag: u64,
    #[serde(rename = "k", default, skip_serializing_if = "crate::wire::is_default")]
    pub kind: u8,
    /// It is a request, and this names it in the reply.
    #[serde(rename = "r", default, skip_serializing_if = "crate::wire::is_default")]
    pub reply: u64,
    /// Bytes in all, where they go on in `Part` frames.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// What became of a call.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Answered {
    /// Absent: it was done.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    #[serde(rename = "x", default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Bytes in all, where they go on in `Part` frames.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl MailCall {
    pub const ALL: [MailCall; 18] = [
        MailCall::Unknown,
        MailCall::Open,
        MailCall::Send,
        MailCall::Deliver,
        MailCall::Request,
        MailCall::Reply,
        MailCall::Monitor,
        MailCall::Demonitor,
        MailCall::Join,
        MailCall::Interrupt,
        MailCall::Terminate,
        MailCall::Resume,
        MailCall::Status,
        MailCall::Swap,
        MailCall::Locate,
        MailCall::Register,
        MailCall::Unregister,
        MailCall::Taken,
    ];
}

impl Serialize for MailCall {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for MailCall {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(d)?;
        Ok(MailCall::ALL.into_iter().find(|call| *call as u8 == number).unwrap_or_default())
    }
}
