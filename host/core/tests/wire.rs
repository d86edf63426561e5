//! The wire format as bytes. A change here is a change of the protocol: it must be an addition, and old bytes must still
//! be read.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic as well")]

use bytes::{Bytes, BytesMut};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::ulid::Ulid;
use corovan_core::wire::durable::{Accepted, AskDurable, Attempt, DurableAsk, DurableInfo, Event, Gap, Keep, Retry};
use corovan_core::wire::exit::{ExitHead, ExitRecord, Outcome, Usage};
use corovan_core::wire::frame::{self, Decoder, Error, Frame, Kind};
use corovan_core::wire::fuzz;
use corovan_core::wire::jobs::{Allocate, AskJobs, JobInfo, JobState, JobWhy, NodeAllocation, NodeRefusal, Queued};
use corovan_core::wire::mail::{Answered, Mail, MailCall, Mailed};
use corovan_core::wire::nodes::{AskPeer, Drain, ListNodes, NodeDetails, NodeInfo, NodeState};
use corovan_core::wire::records::*;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use std::fmt::Debug;

/// One line a frame: name, bytes.
const GOLDEN: &str = include_str!("golden.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn encoded<T: Serialize>(kind: Kind, id: u64, head: &T, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::encode(&mut out, kind, id, head, payload).unwrap();
    out.to_vec()
}

fn decoded(bytes: &[u8]) -> Result<Option<Frame>, Error> {
    Decoder.decode(&mut BytesMut::from(bytes))
}

fn read_back<T: Serialize + DeserializeOwned>(kind: Kind, head: &T) -> T {
    decoded(&encoded(kind, 1, head, b"payload")).unwrap().unwrap().record().unwrap()
}

/// Encodes to exactly the bytes of its line, and these decode to it. All lines that differ are reported at once.
fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    wrong: &mut Vec<String>,
    (kind, id): (Kind, u64),
    head: &T,
    payload: &[u8],
) {
    let name = format!("{}_{id}", format!("{kind:?}").to_lowercase());
    let line = format!("{name} {}", hex(&encoded(kind, id, head, payload)));
    if !GOLDEN.lines().any(|known| known == line) {
        wrong.push(line);
        return;
    }
    let frame = decoded(&unhex(&line[name.len() + 1..])).unwrap().unwrap();
    assert_eq!((frame.kind, frame.id, &frame.payload[..]), (kind, id, payload));
    assert_eq!(&frame.record::<T>().unwrap(), head);
}

fn exit(outcome: Outcome) -> ExitRecord {
    let address = Address { node: NodeId([1; 12]), incarnation: 2, counter: 3, secret: 4 };
    let usage = Usage { cpu: 1, wall: 2, memory_peak: 3, messages_in: 4, messages_out: 5, bytes_in: 6, bytes_out: 7 };
    ExitRecord { address, module: ModuleHash([5; 32]), function: "f".into(), attempt: 1, outcome, usage }
}

fn outcomes() -> Vec<Outcome> {
    let ended = |value| Outcome::Terminated { by: "client".into(), reason: "enough".into(), value };
    vec![
        Outcome::Finished(Bytes::from_static(&[0x01])),
        Outcome::Exited(3),
        Outcome::Failed { kind: "panic".into(), text: "no".into() },
        Outcome::Trapped { kind: "unreachable".into(), backtrace: "f".into() },
        Outcome::OutOfMemory { limit: 64 << 20 },
        Outcome::OutOfBudget { limit: 9 },
        Outcome::Deadline { limit: 10 },
        ended(None),
        Outcome::NodeLost(NodeId([6; 12])),
        Outcome::Refused { code: Code::Denied, why: "no".into() },
        ended(Some(Bytes::from_static(&[0xf6]))),
    ]
}

#[test]
fn every_record_has_its_bytes() {
    let mut wrong = Vec::new();
    let w = &mut wrong;
    golden(w, (Kind::Open, 0), &Open { grant: Some(ByteBuf::from([7; 3])), ..Open::new("agent", "label") }, b"");
    golden(w, (Kind::Open, 1), &Open::new("", ""), b"");
    let opened = Opened {
        version: 1,
        node: NodeId([1; 12]),
        node_name: "a".into(),
        agent: "b".into(),
        computation: 2,
        jobs: 3,
        nonce: ByteBuf::from([8; 2]),
    };
    golden(w, (Kind::Opened, 0), &opened, b"");
    let prepare = Prepare {
        module: ModuleHash([5; 32]),
        size: 6,
        function: Some("f".into()),
        limits: JobLimits { memory: Some(1), deadline: Some(2), cpu: Some(3) },
        env: vec![("K".into(), "V".into())],
        terminals: 7,
    };
    golden(w, (Kind::Prepare, 1), &prepare, b"");
    let plain = Prepare { function: None, limits: JobLimits::default(), env: vec![], terminals: 0, ..prepare };
    golden(w, (Kind::Prepare, 2), &plain, b"");
    golden(w, (Kind::Submit, 1), &Submit { spec: 1, ..Submit::default() }, &[0x80]);
    golden(
        w,
        (Kind::Submit, 2),
        &Submit { spec: 1, argv: vec!["a".into()], stdin: true, blob: Some(70_000), at: None, keep: None },
        b"",
    );
    golden(w, (Kind::Submit, 3), &Submit { spec: 1, at: Some("gpu=1".into()), ..Submit::default() }, &[0x80]);
    golden(w, (Kind::Cancel, 1), &Cancel { reason: "r".into(), grace: Some(5) }, b"");
    golden(w, (Kind::Cancel, 2), &Cancel::default(), b"");
    golden(w, (Kind::Credit, 1), &Credit { bytes: 65_536 }, b"");
    golden(w, (Kind::Refused, 1), &Refused { code: Code::BadModule, text: "t".into() }, b"");
    golden(w, (Kind::Started, 1), &Started { address: exit(Outcome::Exited(0)).address }, b"");
    golden(
        w,
        (Kind::Placed, 1),
        &Placed { node: NodeId([7; 12]), name: "n".into(), attempt: 1, why: String::new() },
        b"",
    );
    let why = "the only node with room".into();
    golden(w, (Kind::Placed, 2), &Placed { node: NodeId([7; 12]), name: "n".into(), attempt: 2, why }, b"");
    jobs(w);
    golden(w, (Kind::Progress, 1), &Progress { done: 1, total: 2, text: "t".into() }, b"");
    golden(w, (Kind::Log, 1), &Log { level: 3, text: "t".into(), dropped: 1 }, b"");
    golden(w, (Kind::Closed, 0), &Closed::done(), b"");
    golden(w, (Kind::Closed, 1), &Closed::because(Code::ShuttingDown, "t"), b"");
    golden(w, (Kind::Closed, 2), &Closed::version("t"), b"");
    for (id, kind) in [BlobKind::Module, BlobKind::Arguments, BlobKind::Stdin, BlobKind::Value].into_iter().enumerate()
    {
        let size = (id == 0).then_some(6);
        golden(w, (Kind::Blob, id as u64), &Blob { computation: 2, kind, size }, b"");
    }
    golden(w, (Kind::ListNodes, 0), &ListNodes::default(), b"");
    golden(w, (Kind::ListNodes, 1), &ListNodes { watch: true }, b"");
    golden(w, (Kind::Drain, 0), &Drain::default(), b"");
    golden(w, (Kind::Drain, 1), &Drain { undo: true }, b"");
    golden(w, (Kind::AskPeer, 0), &AskPeer { address: "b:4433".into() }, b"");
    for (id, state) in [NodeState::Alive, NodeState::Failed, NodeState::Left].into_iter().enumerate() {
        let details = NodeDetails {
            addresses: vec!["10.0.0.1:4433".into()],
            labels: [("zone".into(), "a".into())].into(),
            cores: 2,
            memory: 1 << 30,
            version: "1".into(),
            dial_out: id == 1,
            draining: id == 2,
        };
        let (asked, details) = (id == 0, (id > 0).then_some(details));
        let node = NodeId([1; 12]);
        let info = NodeInfo { node, name: "a".into(), state, asked, incarnation: 3, since: 4, details };
        golden(w, (Kind::NodeInfo, id as u64), &info, b"");
    }
    for (id, outcome) in outcomes().into_iter().enumerate() {
        let (head, value) = exit(outcome).to_head();
        golden(w, (Kind::Exit, id as u64), &head, &value);
    }
    assert!(wrong.is_empty(), "not in golden.txt:\n{}", wrong.join("\n"));
    let mut out = BytesMut::new();
    frame::encode_bare(&mut out, Kind::Stdout, 258, b"out").unwrap();
    assert_eq!(hex(&out), "03000000460000000201000000000000".to_owned() + "6f7574");
}

fn mail(w: &mut Vec<String>) {
    let to = Address { node: NodeId([1; 12]), incarnation: 2, counter: 3, secret: 4 };
    for (id, call) in MailCall::ALL.into_iter().enumerate() {
        golden(w, (Kind::Mail, id as u64), &Mail { call, to: Some(to), ..Mail::default() }, b"bytes");
    }
    let whole = Mail {
        call: MailCall::Swap,
        to: None,
        tag: 5,
        timeout: Some(6),
        reply: 7,
        text: "f".into(),
        module: Some(ModuleHash([5; 32])),
        size: Some(70_000),
        credit: 8,
    };
    golden(w, (Kind::Mail, 100), &whole, b"");
    golden(w, (Kind::Mailed, 0), &Mailed { from: to, tag: 5, kind: 1, reply: 7, size: Some(70_000) }, b"part");
    golden(w, (Kind::Answered, 1), &Answered::default(), b"bytes");
    let refused = Answered { code: Some(Code::Gone), text: "gone".into(), size: None };
    golden(w, (Kind::Answered, 2), &refused, b"");
}

fn durable(w: &mut Vec<String>) {
    let retry = Retry {
        attempts: 3,
        node_loss: true,
        trap: true,
        any_exit: true,
        exits: vec![75],
        wait: 1,
        most: 2,
        overlap: true,
    };
    for (id, keep) in [Keep::default(), Keep { key: Some("k".into()), retry }].into_iter().enumerate() {
        golden(w, (Kind::Submit, 4 + id as u64), &Submit { spec: 1, keep: Some(keep), ..Submit::default() }, &[0x80]);
    }
    golden(w, (Kind::Accepted, 1), &Accepted { job: Ulid(7), known: false }, b"");
    golden(w, (Kind::Accepted, 2), &Accepted { job: Ulid(7), known: true }, b"");
    use DurableAsk::*;
    for (id, ask) in [Unknown, List, Find, Results, Events, Cancel, Acknowledge, Again, Why].into_iter().enumerate() {
        let asked = AskDurable { ask, ..AskDurable::default() };
        golden(w, (Kind::AskDurable, id as u64), &asked, &Ulid(7).0.to_be_bytes());
    }
    let (prefix, reason) = ("01k".into(), "r".into());
    let whole = AskDurable { ask: Events, prefix, after: Some(Ulid(8)), open: true, from: 9, wait: true, reason };
    golden(w, (Kind::AskDurable, 100), &whole, b"");
    let info = DurableInfo {
        job: Ulid(7),
        tenant: "t".into(),
        computation: 2,
        label: "l".into(),
        module: ModuleHash([5; 32]),
        function: "f".into(),
        state: JobState::Ended,
        key: Some("k".into()),
        at: Some(String::new()),
        node: Some("n".into()),
        attempts: 2,
        accepted: 10,
        ended: Some(12),
        not_before: Some(11),
        outcome: Some("finished".into()),
        cancelled: Some("enough".into()),
        history: vec![Attempt { number: 1, node: "n".into(), since: 3, over: Some(4), why: "lost".into() }],
        why: Some(JobWhy::default()),
    };
    golden(w, (Kind::DurableInfo, 0), &info, b"");
    golden(w, (Kind::Event, 0), &Event { sequence: 1, kind: 3, at: 5 }, b"\x03text");
    golden(w, (Kind::Gap, 0), &Gap { first: 1, last: 4 }, b"");
}

fn jobs(w: &mut Vec<String>) {
    let nodes = vec![NodeAllocation { selector: "gpu=1".into(), jobs: Some(2) }, NodeAllocation::default()];
    let open = Open { nodes: nodes.clone(), weight: Some(10), pack: true, ..Open::new("a", "b") };
    golden(w, (Kind::Open, 2), &open, b"");
    golden(w, (Kind::Allocate, 0), &Allocate { nodes }, b"");
    golden(w, (Kind::Queued, 1), &Queued { position: 9 }, b"");
    durable(w);
    mail(w);
    golden(w, (Kind::AskJobs, 0), &AskJobs::default(), b"");
    golden(w, (Kind::AskJobs, 1), &AskJobs { computation: Some(2), job: Some(3) }, b"");
    for (id, state) in [JobState::Waiting, JobState::Running, JobState::Ended].into_iter().enumerate() {
        let refusal = NodeRefusal { node: NodeId([1; 12]), name: "n".into(), rules: vec!["full".into()] };
        let why = JobWhy { text: "it waits".into(), nodes: vec![refusal], more: 1 };
        let info = JobInfo {
            computation: 2,
            job: 3,
            tenant: "t".into(),
            label: "l".into(),
            module: ModuleHash([5; 32]),
            function: "f".into(),
            state,
            at: (id == 0).then(|| "gpu=1".into()),
            node: (id == 1).then(|| "n".into()),
            attempt: id as u32,
            why: (id == 0).then_some(why),
        };
        golden(w, (Kind::JobInfo, id as u64), &info, b"");
    }
}

#[test]
fn every_outcome_survives_its_exit_frame() {
    for outcome in outcomes() {
        let record = exit(outcome);
        let (head, value) = record.to_head();
        assert_eq!(ExitRecord::from_head(head, value), record);
    }
}

#[test]
fn an_outcome_of_a_later_version_is_a_failure_that_says_so() {
    let (mut head, value) = exit(Outcome::Exited(0)).to_head();
    head.outcome = 999;
    match ExitRecord::from_head(head, value).outcome {
        Outcome::Failed { kind, text } => assert!(kind == "unknown-outcome" && text.contains("999")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_may_grow_and_a_code_may_be_new() {
    #[derive(Serialize)]
    struct Later<'a> {
        spec: u64,
        colour: &'a str,
        shape: Vec<u8>,
    }
    let later = encoded(Kind::Submit, 1, &Later { spec: 7, colour: "red", shape: vec![1] }, b"");
    let submit: Submit = decoded(&later).unwrap().unwrap().record().unwrap();
    assert_eq!(submit, Submit { spec: 7, ..Submit::default() });

    let fields = std::collections::BTreeMap::from([("code", ciborium::Value::from(60_000)), ("text", "t".into())]);
    let refused: Refused = decoded(&encoded(Kind::Refused, 1, &fields, b"")).unwrap().unwrap().record().unwrap();
    assert_eq!(refused, Refused { code: Code::Internal, text: "t".into() });
}

#[test]
fn a_frame_is_refused_from_its_header_alone() {
    let header = |len: u32, kind: u16, head: u16| {
        [&len.to_le_bytes()[..], &kind.to_le_bytes(), &head.to_le_bytes(), &[0; 8]].concat()
    };
    let body = limits::FRAME_BODY as u32;
    for (bytes, error) in [
        (header(u32::MAX, 70, 0), Some(Error::TooLarge(u32::MAX.into()))),
        (header(body + 1, 70, 0), Some(Error::TooLarge(u64::from(body) + 1))),
        (header(body, 70, 0), None),
        (header(10, 70, 11), Some(Error::Head(11))),
        (header(body, 1, limits::FRAME_HEAD as u16 + 1), Some(Error::Head(limits::FRAME_HEAD as u64 + 1))),
        (header(4, 200, 0), Some(Error::Kind(200))),
        (header(4, 0x8000 | 200, 0), None),
    ] {
        let mut buffer = BytesMut::from(&bytes[..]);
        match (Decoder.decode(&mut buffer), error) {
            (Err(found), Some(expected)) => {
                assert_eq!(found, expected);
                assert!(buffer.capacity() < 1024, "nothing was allocated for it");
            }
            (Ok(None), None) => {}
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn what_does_not_fit_a_frame_leaves_the_buffer_as_it_was() {
    let mut out = BytesMut::from(&b"before"[..]);
    let error = frame::encode_bare(&mut out, Kind::Stdout, 1, &vec![0; limits::FRAME_BODY + 1]).unwrap_err();
    assert_eq!((error, &out[..]), (Error::TooLarge(limits::FRAME_BODY as u64 + 1), &b"before"[..]));
    let long = Cancel { reason: "x".repeat(limits::FRAME_HEAD), grace: None };
    assert!(matches!(frame::encode(&mut out, Kind::Cancel, 1, &long, b""), Err(Error::Head(_))));
    assert_eq!(&out[..], b"before");
}

#[test]
fn ignorable_frames_are_skipped_and_the_next_one_is_found() {
    let mut bytes = vec![2, 0, 0, 0, 0x01, 0x80, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
    bytes.extend(encoded(Kind::Credit, 5, &Credit { bytes: 1 }, b""));
    assert_eq!(decoded(&bytes).unwrap().unwrap().id, 5);
}

#[test]
fn lengths_and_depths_claimed_inside_a_record_cost_nothing() {
    // A byte string, a text, an array and a map of 2^60, each as the value of a known field; then nesting without end.
    let mut heads: Vec<_> = [("grant", 0x5b), ("label", 0x7b), ("env", 0x9b), ("limits", 0xbb)]
        .into_iter()
        .map(|(field, value)| {
            let start = [&[0xa1, 0x60 + field.len() as u8], field.as_bytes(), &[value]].concat();
            [&start[..], &(1u64 << 60).to_be_bytes()].concat()
        })
        .collect();
    heads.push([&[0xa1, 0x61, b'x'][..], &vec![0x81; limits::FRAME_HEAD - 3]].concat());
    for head in heads {
        fuzz::TARGETS.iter().for_each(|(_, feed)| feed(&head));
    }
}

#[test]
fn two_sides_speak_the_newest_version_both_know() {
    for (ours, theirs, version) in [
        ((1, 1), (1, 1), Some(1)),
        ((1, 1), (9, 1), Some(1)),
        ((5, 2), (3, 1), Some(3)),
        ((1, 1), (9, 2), None),
        ((1, 1), (0, 0), None),
        ((1, 1), (1, 5), None),
    ] {
        assert_eq!(negotiate(ours, theirs), version, "{ours:?} {theirs:?}");
        assert_eq!(negotiate(theirs, ours), version, "{theirs:?} {ours:?}");
    }
    let future = Open { newest: 9, oldest: 9, ..Open::new("", "") };
    assert_eq!((future.version(), Open::new("", "").version()), (None, Some(1)));
}

#[test]
fn golden_bytes_cut_anywhere_or_changed_anywhere_do_no_harm() {
    for line in GOLDEN.lines() {
        let bytes = unhex(line.split_once(' ').unwrap().1);
        for cut in 0..bytes.len() {
            assert_eq!(decoded(&bytes[..cut]), Ok(None), "{line}, {cut} bytes");
            fuzz::TARGETS.iter().for_each(|(_, feed)| feed(&bytes[frame::HEADER.min(cut)..cut]));
        }
        for at in 0..bytes.len() {
            for flip in [1, 0x20, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                fuzz::frames(&changed);
                fuzz::TARGETS.iter().for_each(|(_, feed)| feed(&changed[frame::HEADER..]));
            }
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    ".{0,40}"
}

fn any_head() -> impl Strategy<Value = ExitHead> {
    let node = proptest::option::of(any::<[u8; 12]>().prop_map(NodeId));
    let names = (any_text(), any_text(), any_text());
    let numbers = (any::<[u8; 32]>(), any::<u32>(), any::<u16>(), any::<u64>(), any::<[u64; 7]>());
    (names, numbers, node, any::<bool>(), any::<Option<u64>>()).prop_map(|(names, numbers, node, value, blob)| {
        let ((function, kind, text), (bytes, attempt, outcome, number, usage)) = (names, numbers);
        let [cpu, wall, memory_peak, messages_in, messages_out, bytes_in, bytes_out] = usage;
        let usage = Usage { cpu, wall, memory_peak, messages_in, messages_out, bytes_in, bytes_out };
        let (address, module) = (Address::from_bytes(bytes), ModuleHash(bytes));
        ExitHead { address, module, function, attempt, outcome, number, kind, text, node, value, blob, usage }
    })
}

proptest! {
    #[test]
    fn frames_survive_any_cutting(
        frames in proptest::collection::vec(
            (0usize..4, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..300)), 1..8),
        piece in 1usize..64,
    ) {
        let kinds = [Kind::Stdout, Kind::Stderr, Kind::Exit, Kind::Submit];
        let mut bytes = BytesMut::new();
        for (kind, id, payload) in &frames {
            frame::encode_bare(&mut bytes, kinds[*kind], *id, payload).unwrap();
        }
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = Decoder.decode(&mut buffer).unwrap() {
                found.push((frame.kind, frame.id, frame.payload.to_vec()));
            }
        }
        let expected: Vec<_> = frames.into_iter().map(|(kind, id, payload)| (kinds[kind], id, payload)).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn exit_heads_survive_a_frame(head in any_head()) {
        prop_assert_eq!(read_back(Kind::Exit, &head), head);
    }

    #[test]
    fn requests_survive_a_frame(
        texts in (any_text(), any_text()), versions: (u16, u16), grant: Option<Vec<u8>>,
        env in proptest::collection::vec((any_text(), any_text()), 0..4),
        argv in proptest::collection::vec(any_text(), 0..4), numbers: [u64; 3], some: [Option<u64>; 4], flag: bool,
    ) {
        let (newest, oldest) = versions;
        let open = Open { newest, oldest, grant: grant.map(ByteBuf::from), ..Open::new(texts.0, texts.1) };
        prop_assert_eq!(read_back(Kind::Open, &open), open);
        let limits = JobLimits { memory: some[0], deadline: some[1], cpu: some[2] };
        let (module, function) = (ModuleHash::of(&numbers[0].to_le_bytes()), argv.first().cloned());
        let prepare = Prepare { module, size: numbers[0], function, limits, env, terminals: numbers[1] as u8 };
        prop_assert_eq!(read_back(Kind::Prepare, &prepare), prepare);
        let submit = Submit { spec: numbers[2], argv, stdin: flag, blob: some[3], at: flag.then(|| "a".into()), keep: None };
        prop_assert_eq!(read_back(Kind::Submit, &submit), submit);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz::TARGETS.iter().for_each(|(_, feed)| feed(&bytes));
    }
}
