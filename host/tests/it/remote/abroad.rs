//! Coroutines that one node makes at another: links with them, what they say, and the CPU time of their job.

use super::guests::{ask, code};
use super::hosts::{Host, program, until, with_three};
use super::{over, said};
use crate::support::Remember;
use corovan::cluster::link::Answer;
use corovan::runtime::stdio::Stream;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::call::{Call, Said};
use corovan_core::tenancy::quota::Resource;
use corovan_core::wire::Outcome;
use corovan_core::wire::records::{JobLimits, Log};

const LINK: u32 = 4;

/// `f` does this after it has made `child` with these flags at b, and told what that gave.
fn parent(flags: u32, then: &str, child: &str) -> String {
    let functions = format!(
        "(func (export \"f\") (call $tell (call $make (i32.const {flags}))) {then})
         (func (export \"child\") {child})"
    );
    program(Address::default(), None, &functions)
}

/// Sends 1 to a coroutine.
const TOLD: &str = "(func (export \"f\") (call $tell (call $sent (i32.const 980) (i64.const 1))))";
/// Waits for the tag of a message, or for an interrupt.
const WAITS: &str = "(drop (call $recv (i64.const -1)))";

/// The one coroutine that runs at a node.
async fn only(host: &Host) -> Address {
    until(|| host.node.bench.runtime.registry.coroutines(|_| true).first().map(|control| control.address)).await
}

/// Nothing runs there any more, and nothing is charged.
async fn is_idle(host: &Host) {
    let ledger = &host.node.bench.ledger;
    until(|| {
        let used: u64 = [Resource::Coroutines, Resource::Memory].map(|resource| ledger.used(resource)).iter().sum();
        (used == 0 && host.node.bench.runtime.registry.coroutines(|_| true).is_empty()).then_some(())
    })
    .await;
}

/// By whom a coroutine was terminated, as somebody at a node finds in its record.
async fn ended_by(host: &Host, address: Address) -> String {
    let joins = "(func (export \"f\") (local $size i32)
        (local.set $size (call $joined)) (if (call $finish (i32.const 1024) (local.get $size)) (then unreachable)))";
    let seen = host.play(&program(address, None, joins)).await;
    match seen.outcome() {
        Outcome::Finished(record) => String::from_utf8_lossy(&record).into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_abnormal_end_of_a_linked_coroutine_ends_the_one_that_made_it_at_another_node() {
    with_three(async |[a, b, c]| {
        let traps = format!("{WAITS} unreachable");
        for (child, how) in [(&traps[..], Some("trapped")), (WAITS, None)] {
            let (_, seen) = a.begin(&parent(LINK, &format!("{WAITS} (call $tell (call $tag))"), child)).await;
            let address = only(&b).await;
            c.play(&program(address, None, TOLD)).await;
            if how.is_none() {
                // It is still there, and its job with it, once the other has ended.
                is_idle(&b).await;
                let parent = seen.started.lock()[0];
                c.play(&program(parent, None, TOLD)).await;
            }
            over(&seen).await;
            match (seen.outcome(), how) {
                (Outcome::Terminated { by, reason, .. }, Some(how)) => {
                    assert_eq!((&by[..], reason.ends_with(how)), ("link", true), "{reason}");
                }
                (Outcome::Finished(_), None) => assert_eq!(said(&seen), ["0", "1"]),
                other => panic!("{other:?}"),
            }
            is_idle(&b).await;
        }
    });
}

#[test]
fn the_abnormal_end_of_the_one_that_made_a_linked_coroutine_ends_that() {
    with_three(async |[a, b, c]| {
        // A daemon: not ended with its job, but with its computation.
        for (flags, then, by) in [(LINK | 1, "unreachable", "link"), (1, "unreachable", ""), (LINK | 1, "", "")] {
            let (maker, seen) = a.begin(&parent(flags, &format!("{WAITS} {then}"), WAITS)).await;
            let address = only(&b).await;
            c.play(&program(maker, None, TOLD)).await;
            over(&seen).await;
            match by {
                "" => {
                    let told = c.play(&program(address, None, TOLD)).await;
                    assert_eq!(said(&told), ["0"]);
                    assert!(!ended_by(&c, address).await.contains("linked"), "{flags} {then}");
                }
                by => {
                    let record = ended_by(&c, address).await;
                    assert!(record.contains(by) && record.contains("linked to, ended: trapped"), "{record:?}");
                }
            }
            is_idle(&b).await;
        }
    });
}

#[test]
fn a_link_ends_both_when_the_nodes_lose_each_other() {
    with_three(async |[a, b, _c]| {
        let (_, seen) = a.begin(&parent(LINK, WAITS, WAITS)).await;
        until(|| (said(&seen) == ["0"]).then_some(())).await;
        b.node.endpoint.close("lost").await;
        over(&seen).await;
        let Outcome::Terminated { by, reason, .. } = seen.outcome() else { panic!("{:?}", seen.outcome()) };
        assert_eq!((&by[..], reason.ends_with("node-lost")), ("link", true), "{reason}");
        is_idle(&b).await;
        is_idle(&a).await;
    });
}

/// What was printed, both streams in one; taken as it comes.
fn printed(seen: &Remember) -> Vec<u8> {
    std::iter::from_fn(|| seen.output.take(limits::OUTPUT_BUFFER)).flat_map(|(_, bytes)| bytes).collect()
}

#[test]
fn what_is_said_at_other_nodes_reaches_the_follower_of_the_job_before_its_end() {
    with_three(async |[a, b, c]| {
        // The child at b makes one at c, which says the same and prints once more.
        let functions = r#"
            (data (i32.const 200) "one\n") (data (i32.const 210) "a line")
            (func $says
                (call $print (i32.const 200) (i32.const 4))
                (drop (call $log (i32.const 3) (i32.const 210) (i32.const 6)))
                (call $tell (i32.const 7)))
            (func (export "f") (drop (call $make (i32.const 0))) (drop (call $joined)))
            (func (export "child")
                (call $says)
                ;; Now `other` is what is made.
                (i32.store (i32.const 70) (i32.const 0x6568746f)) (i32.store8 (i32.const 74) (i32.const 0x72))
                (drop (call $make_at (i32.const 66) (i32.const 0)))
                (drop (call $joined)))
            (func (export "other") (call $says) (call $print (i32.const 200) (i32.const 4)))"#;
        let seen = a.play(&program(Address::default(), None, functions)).await;
        assert_eq!(String::from_utf8_lossy(&printed(&seen)), "one\none\none\n");
        assert_eq!(*seen.logs.lock(), vec![(3, "a line".to_owned()); 2]);
        // Of what comes at once only the latest.
        let progress = said(&seen);
        assert!([1, 2].contains(&progress.len()) && progress.iter().all(|it| it == "7"), "{progress:?}");
        is_idle(&b).await;
        is_idle(&c).await;
    });
}

#[test]
fn who_prints_more_at_another_node_than_its_client_reads_waits_and_loses_nothing() {
    with_three(async |[a, b, _c]| {
        const PIECES: usize = 256;
        const PIECE: usize = 4_096;
        // Each piece is full of its number.
        let prints = format!(
            "(local $i i32) (loop $more
                (memory.fill (i32.const 8192) (local.get $i) (i32.const {PIECE}))
                (call $print (i32.const 8192) (i32.const {PIECE}))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {PIECES}))))"
        );
        let (_, seen) = a.begin(&parent(0, "(drop (call $joined))", &prints)).await;
        let mut all = Vec::new();
        while all.len() < PIECES * PIECE {
            // A buffer on either side, and a part on its way: of the rest nothing is printed yet, and its job is not over.
            let rest = PIECES * PIECE - all.len();
            let runs = !b.node.bench.runtime.registry.coroutines(|_| true).is_empty();
            assert!(runs || all.is_empty() || rest <= 3 * limits::OUTPUT_BUFFER);
            assert!(seen.exits.lock().is_empty() || rest <= limits::OUTPUT_BUFFER);
            assert!(seen.output.len() <= limits::OUTPUT_BUFFER);
            if let Some((stream, bytes)) = seen.output.take(1_000) {
                assert_eq!(stream, Stream::Stdout);
                all.extend(bytes);
            }
            tokio::task::yield_now().await;
        }
        over(&seen).await;
        let expected: Vec<u8> = (0..PIECES).flat_map(|piece| [piece as u8; PIECE]).collect();
        assert!(all == expected, "{} bytes", all.len());
    });
}

#[test]
fn log_lines_that_come_faster_than_they_can_be_sent_are_counted() {
    with_three(async |[a, _b, _c]| {
        const LINES: u64 = 5_000;
        let logs = format!(
            "(local $i i32) (loop $more
                (drop (call $log (i32.const 3) (i32.const 70) (i32.const 5)))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {LINES}))))"
        );
        let seen = a.play(&parent(0, "(drop (call $joined))", &logs)).await;
        let (mut came, mut dropped) = (0, 0);
        for (level, text) in seen.logs.lock().iter() {
            match (*level, text.split_once(" lines before the next were dropped")) {
                (3, None) => came += 1,
                (2, Some((count, ""))) => dropped += count.parse::<u64>().unwrap(),
                (2, None) => assert!(text.contains("faster"), "{text}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(came + dropped, LINES, "{came} came");
        assert!(came > 0);
    });
}

#[test]
fn what_a_node_says_for_coroutines_that_it_does_not_run_or_all_at_once_is_not_heard() {
    with_three(async |[a, b, _c]| {
        let (_, seen) = a.begin(&parent(0, "(drop (call $joined))", WAITS)).await;
        until(|| (said(&seen) == ["0"]).then_some(())).await;
        let child = only(&b).await;
        let say = |over: u64, bytes: usize| {
            let log = Log { level: 77, text: "x".repeat(2 * limits::TEXT_BYTES), dropped: 0 };
            let record = Call::Said(Said { over, progress: None, logs: vec![log], stream: 1 });
            ask(&b.node, &a.node, record, vec![b'x'; bytes].into())
        };
        // The child's end is the first that was ever asked for; what there is room for comes, and no more.
        assert_eq!(code(say(99, 1).await.await.unwrap()), Some(Code::Gone));
        let mut waits = say(1, limits::OUTPUT_BUFFER + 1).await;
        assert_eq!(code(say(1, 1).await.await.unwrap()), Some(Code::Protocol));
        assert!(waits.try_recv().is_err());
        assert_eq!(seen.output.len(), limits::OUTPUT_BUFFER);
        let mut all = printed(&seen);
        assert!(matches!(waits.await, Ok(Answer::Given { tag: 0, .. })));
        all.extend(printed(&seen));
        assert_eq!(all.len(), limits::OUTPUT_BUFFER + 1);
        let logs = seen.logs.lock().clone();
        assert!(matches!(&logs[..], [(5, text)] if text.len() <= limits::TEXT_BYTES), "{}", logs.len());
        b.play(&program(child, None, TOLD)).await;
        over(&seen).await;
        let late = code(say(1, 1).await.await.unwrap());
        assert_eq!(late, Some(Code::Gone), "it has ended");
    });
}

#[test]
fn cpu_time_that_is_used_at_another_node_is_that_of_the_job() {
    with_three(async |[a, b, _c]| {
        const LIMIT: u64 = 1_000_000_000;
        let spins = "(loop $for_ever (br $for_ever))";
        let wat = parent(0, &format!("(drop (call $joined)) {spins}"), spins);
        let limited = JobLimits { cpu: Some(LIMIT), ..JobLimits::default() };
        let (_, seen) = a.begin_with(&wat, limited).await;
        over(&seen).await;
        let record = seen.exits.lock()[0].clone();
        assert_eq!(record.outcome, Outcome::OutOfBudget { limit: LIMIT });
        // All of it was used by the child.
        assert!(record.usage.cpu < LIMIT / 2, "{:?}", record.usage);
        assert!(
            seen.logs.lock().iter().any(|(_, text)| text.contains("used up its CPU time")),
            "{:?}",
            seen.logs.lock()
        );
        is_idle(&b).await;
    });
}
