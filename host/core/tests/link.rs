//! The format between nodes as bytes. A change here is a change of the protocol: it must be an addition, and old bytes must
//! still be read.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic as well")]

use bytes::{Bytes, BytesMut};
use corovan_core::ids::NodeId;
use corovan_core::link::frame::{self, Decoded, Decoder, Error, HEADER, Header, Kind, LANES, Local, lane_of};
use corovan_core::link::lane::Mark;
use corovan_core::link::session::Hello;
use corovan_core::link::{credit, fuzz};
use proptest::prelude::*;

/// One line a frame: name, bytes.
const GOLDEN: &str = include_str!("golden-link.txt");

#[test]
fn what_is_sent_has_the_golden_bytes() {
    let mut wrong = Vec::new();
    for kind in Kind::ALL {
        let mut out = BytesMut::new();
        let payload: &[&[u8]] = if kind.payload_max() == 0 { &[] } else { &[b"pay", b"load"] };
        frame::encode(&mut out, &header(kind), payload).unwrap();
        golden(&mut wrong, &format!("{kind:?}"), &out);
    }
    let mut out = BytesMut::new();
    hello().encode(&mut out).unwrap();
    golden(&mut wrong, "Hello", &out);
    for (name, mark) in [("Mark", Mark::Lane { lane: 17, number: 0x0102 }), ("Alive", Mark::Alive { answer: true })] {
        let mut out = BytesMut::new();
        mark.encode(&mut out);
        golden(&mut wrong, name, &out);
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert_eq!(GOLDEN.lines().count(), Kind::ALL.len() + 3);
}

#[test]
fn the_golden_bytes_are_read_back() {
    for (kind, line) in Kind::ALL.into_iter().zip(GOLDEN.lines()) {
        let bytes = unhex(line.split_once(' ').unwrap().1);
        let Some(Decoded::Frame(frame)) = decoded(&bytes).unwrap() else { panic!("{line}") };
        assert_eq!(frame.header, header(kind));
        assert_eq!(frame.payload, if kind.payload_max() == 0 { "" } else { "payload" });
        assert_eq!(Kind::from_number(kind as u8), Some(kind));
    }
    let line = GOLDEN.lines().nth(Kind::ALL.len()).unwrap();
    let mut bytes = BytesMut::from(&unhex(line.split_once(' ').unwrap().1)[..]);
    assert_eq!(Hello::decode(&mut bytes), Ok(Some(hello())));
}

#[test]
fn lengths_are_checked_before_the_payload_is_there() {
    for kind in Kind::ALL {
        let max = kind.payload_max();
        let incomplete = if max == 0 { empty(kind) } else { None };
        assert_eq!(decoded(&header(kind).to_bytes(max as u32)), Ok(incomplete));
        let error = Error::TooLarge { kind, len: max as u64 + 1, max };
        assert_eq!(decoded(&header(kind).to_bytes(max as u32 + 1)), Err(error));
        let large = vec![0; max + 1];
        assert_eq!(frame::encode(&mut BytesMut::new(), &header(kind), &[&large]), Err(error));
    }
}

#[test]
fn unknown_kinds_are_errors_unless_they_may_be_ignored_and_still_count() {
    let mut bytes = header(Kind::Message).to_bytes(2).to_vec();
    bytes.extend(b"xy");
    bytes[4] = 99;
    assert_eq!(decoded(&bytes), Err(Error::Kind(99)));
    bytes[4] = 0x80 | 99;
    assert_eq!(decoded(&bytes), Ok(Some(Decoded::Ignored(HEADER + 2))));
    bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decoded(&bytes), Err(Error::Ignored(u32::MAX.into())));
}

#[test]
fn a_pair_has_one_lane_and_pairs_are_spread_over_all() {
    let local = |counter| Local { counter, secret: counter * 7 };
    let mut lanes = [0; LANES];
    for from in 1..41 {
        for to in 1..41 {
            lanes[usize::from(lane_of(local(from), local(to)))] += 1;
        }
    }
    assert_eq!(lanes[..2], [0, 0]);
    assert!(lanes[2..].iter().all(|pairs| (50..200).contains(pairs)), "{lanes:?}");
    let exit = Header { from: local(1), to: local(2), ..Header::new(Kind::Exit) };
    assert_eq!(
        exit.lane(),
        Header { kind: Kind::Message, ..exit }.lane(),
        "an exit notice comes after the last message"
    );
    assert_eq!(Header { kind: Kind::Call, from: Local::default(), ..exit }.lane(), frame::CONTROL);
}

#[test]
fn what_is_said_about_credit_is_read_back() {
    for grant in [credit::Grant::Limit(credit::Amount::new(5, 6)), credit::Grant::Gone, credit::Grant::Closed] {
        assert_eq!(credit::Grant::from_header(&grant.header(Local { counter: 1, secret: 2 })), grant);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_safe(data in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz::frames(&data);
        fuzz::hello(&data);
        fuzz::marks(&data);
    }

    #[test]
    fn damaged_streams_are_safe(
        frames in prop::collection::vec((0..13usize, any::<u64>(), 0..200usize), 0..8),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut out = BytesMut::new();
        for (kind, tag, len) in frames {
            let kind = Kind::ALL[kind];
            let header = Header { tag, from: Local { counter: tag, secret: !tag }, ..Header::new(kind) };
            frame::encode(&mut out, &header, &[&vec![7; len.min(kind.payload_max())]]).unwrap();
        }
        fuzz::frames(&out);
        let len = out.len();
        for (at, byte) in damage.into_iter().filter(|_| len > 0) {
            out[at.index(len)] = byte;
        }
        fuzz::frames(&out);
    }
}

/// No bytes of payload: the frame is complete.
fn empty(kind: Kind) -> Option<Decoded> {
    Some(Decoded::Frame(frame::Frame { header: header(kind), payload: Bytes::new() }))
}

fn golden(wrong: &mut Vec<String>, name: &str, bytes: &[u8]) {
    let line = format!("{} {}", name.to_lowercase(), hex(bytes));
    if !GOLDEN.lines().any(|known| known == line) {
        wrong.push(line);
    }
}

fn header(kind: Kind) -> Header {
    let to = Local { counter: 0x4142_4344_4546_4748, secret: 0x5152_5354_5556_5758 };
    let from = Local { counter: 0x6162_6364_6566_6768, secret: 0x7172_7374_7576_7778 };
    Header { kind, flags: 3, grant: 0x1112_1314, call: 0x2122_2324_2526_2728, tag: 0x3132_3334_3536_3738, to, from }
}

fn hello() -> Hello {
    Hello {
        newest: 1,
        oldest: 1,
        node: NodeId([9; 12]),
        incarnation: 2,
        with: 3,
        session: 4,
        highest: 5,
        turn: 6,
        received: (0..LANES as u64).map(|lane| lane * 1_000).collect(),
    }
}

fn decoded(bytes: &[u8]) -> Result<Option<Decoded>, Error> {
    let mut decoder = Decoder::default();
    decoder.feed(Bytes::copy_from_slice(bytes));
    decoder.next()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
