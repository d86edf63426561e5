//! Every decoder of this folder as a plain function over any bytes, for the fuzz targets and for proptest alike. Each
//! checks what must hold of whatever was decoded; it panics only if that does not.

use super::durable::{Accepted, AskDurable, DurableInfo, Event, Gap};
use super::exit::{ExitHead, ExitRecord, Usage};
use super::frame::{self, Decoder, Frame, Kind};
use super::jobs::{Allocate, AskJobs, JobInfo, Queued};
use super::join::{self, Answer, Question};
use super::mail::{Answered, Mail, Mailed};
use super::nodes::{AskPeer, Drain, ListNodes, NodeInfo};
use super::records::*;
use crate::limits;
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A decoder's name and the function that feeds it.
pub type Target = (&'static str, fn(&[u8]));

/// One entry a decoder.
pub const TARGETS: &[Target] = &[
    ("frames", frames),
    ("open", record::<Open>),
    ("opened", record::<Opened>),
    ("prepare", record::<Prepare>),
    ("submit", record::<Submit>),
    ("cancel", record::<Cancel>),
    ("credit", record::<Credit>),
    ("refused", record::<Refused>),
    ("closed", record::<Closed>),
    ("started", record::<Started>),
    ("placed", record::<Placed>),
    ("progress", record::<Progress>),
    ("log", record::<Log>),
    ("blob", record::<Blob>),
    ("usage", record::<Usage>),
    ("list_nodes", record::<ListNodes>),
    ("ask_peer", record::<AskPeer>),
    ("drain", record::<Drain>),
    ("allocate", record::<Allocate>),
    ("ask_jobs", record::<AskJobs>),
    ("ask_durable", record::<AskDurable>),
    ("accepted", record::<Accepted>),
    ("durable_info", record::<DurableInfo>),
    ("event", record::<Event>),
    ("gap", record::<Gap>),
    ("mail", record::<Mail>),
    ("mailed", record::<Mailed>),
    ("answered", record::<Answered>),
    ("queued", record::<Queued>),
    ("job_info", record::<JobInfo>),
    ("node_info", record::<NodeInfo>),
    ("exit", exit),
    ("join_question", join::<Question>),
    ("join_answer", join::<Answer>),
];

/// Feeds one decoder by name. A name that is not in [`TARGETS`] is a mistake in the fuzz target.
pub fn feed(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, feed)) = target else { panic!("no decoder is called {name}") };
    feed(data);
}

/// The stream decoder: every frame is within its limits, takes bytes, and never asks for more room than one frame.
pub fn frames(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    let mut left = buffer.len();
    let mut decoder = Decoder;
    while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
        assert!(buffer.len() < left, "every frame takes bytes");
        left = buffer.len();
        assert!(frame.head.len() <= limits::FRAME_HEAD);
        assert!(frame.head.len() + frame.payload.len() <= limits::FRAME_BODY);
    }
    assert!(buffer.capacity() <= data.len().max(frame::HEADER + limits::FRAME_BODY) * 2, "room for one frame at most");
}

/// A record: what decodes encodes, and decodes again to the same.
pub fn record<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    if let Some(value) = decode::<T>(data) {
        let mut bytes = Vec::new();
        if ciborium::into_writer(&value, &mut bytes).is_ok() {
            assert_eq!(decode::<T>(&bytes), Some(value));
        }
    }
}

/// An exit: the same, and through [`ExitRecord`] and back.
pub fn exit(data: &[u8]) {
    record::<ExitHead>(data);
    if let Some(head) = decode::<ExitHead>(data) {
        let read = ExitRecord::from_head(head, Bytes::from_static(&[0xf6]));
        let (head, value) = read.to_head();
        assert_eq!(ExitRecord::from_head(head, value), read);
    }
}

fn decode<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    let frame = Frame { kind: Kind::Open, id: 0, head: Bytes::copy_from_slice(data), payload: Bytes::new() };
    frame.record().ok()
}

/// What was read can be told to another, who reads the same.
fn join<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    if let Ok(record) = join::decode::<T>(data)
        && let Ok(bytes) = join::encode(&record)
    {
        assert_eq!(join::decode::<T>(&bytes[join::HEADER..]), Ok(record));
    }
}
