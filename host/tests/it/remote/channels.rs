//! Channels with subscribers, publishers and sub-channels on several nodes, over real QUIC.

use super::{Node, join, over, said};
use crate::in_process::run;
use crate::links::authority;
use crate::support::Remember;
use corovan::runtime::Control;
use corovan::runtime::channels::Terms;
use corovan_core::ids::Address;
use corovan_core::sync::channel::Policy;
use std::sync::Arc;

/// Three nodes that know each other.
pub async fn three() -> [Node; 3] {
    let authority = authority();
    let nodes = ["a", "b", "c"].map(|name| Node::start(&authority, name));
    join(&nodes.each_ref()).await;
    nodes
}

impl Node {
    /// A channel of this node, and the coroutine that keeps its computation there.
    pub fn channel(&self, name: &str) -> Address {
        let (keeper, _seen) = self.play("(call $sleep (i64.const -1))", Address::default());
        self.bench.runtime.open_channel(&keeper, name).unwrap()
    }

    /// Makes these calls, of which this is given, to their end.
    pub async fn says(&self, calls: &str, given: Address) -> Vec<String> {
        let (_, seen) = self.play(calls, given);
        over(&seen).await;
        said(&seen)
    }

    /// Waits until it has said so much.
    async fn until_said(&self, seen: &Arc<Remember>, count: usize) {
        while said(seen).len() < count {
            tokio::task::yield_now().await;
        }
    }

    /// Lets one that pauses go on.
    pub async fn resumes(&self, paused: &Arc<Control>) {
        let calls = "(call $resume (i32.const 980) (i32.const 64) (i32.const 0) (i64.const -1))";
        assert_eq!(self.says(calls, paused.address).await, ["0"]);
    }

    /// Delivers to so many at least; to how many it did.
    pub async fn spreads(&self, channel: Address, tag: u64, n: usize) -> String {
        self.says(&format!("(call $spreads (i64.const {tag}) (i32.const {n}) (i64.const -1))"), channel).await.remove(0)
    }
}

/// Delivers without waiting for anybody until it goes to so many.
async fn until_it_goes_to(node: &Node, channel: Address, count: usize) {
    while node.spreads(channel, 0, 0).await != count.to_string() {
        tokio::task::yield_now().await;
    }
}

/// Receives so many.
pub fn hears(count: usize) -> String {
    "(call $hears);".repeat(count)
}

#[test]
fn subscribers_of_three_nodes_get_every_message_of_publishers_of_three_nodes_in_one_order() {
    run(async {
        let nodes = three().await;
        let news = nodes[0].channel("news");
        let listen = format!("(call $joins (i32.const 100) (i32.const 0)); {}", hears(31));
        let listeners: Vec<_> =
            nodes.iter().chain([&nodes[1], &nodes[2]]).map(|node| node.play(&listen, news).1).collect();
        // Once all are there.
        assert_eq!(nodes[1].spreads(news, 99, 5).await, "5");
        let publishers: Vec<_> = [(0, 1), (1, 11), (2, 21)]
            .map(|(node, tag): (usize, i32)| {
                let calls = format!("(call $sends (i64.const {tag}) (i64.const {}))", tag + 9);
                nodes[node].play(&calls, news).1
            })
            .into();
        for publisher in &publishers {
            over(publisher).await;
            assert_eq!(said(publisher), ["0"]);
        }
        let mut heard = Vec::new();
        for listener in &listeners {
            over(listener).await;
            heard.push(said(listener));
        }
        assert!(heard.iter().all(|said| *said == heard[0]), "one order for all: {heard:?}");
        assert_eq!(heard[0][..2], ["0", "99"]);
        for tag in 1..=30 {
            assert_eq!(heard[0].iter().filter(|said| **said == tag.to_string()).count(), 1, "{tag}");
        }
    });
}

#[test]
fn who_leaves_or_ends_or_is_lost_with_its_node_is_no_subscriber_any_more() {
    run(async {
        let [a, b, c] = three().await;
        let news = a.channel("news");
        let listen = "(call $joins (i32.const 100) (i32.const 0)); (call $pauses)";
        let (stays, _seen) = b.play(listen, news);
        let (ends, _seen) = b.play(listen, news);
        let leaving = "(call $joins (i32.const 100) (i32.const 0)); (call $pauses); (call $leaves); (call $leaves); (call $pauses)";
        let (leaves, left) = c.play(leaving, news);
        let (lost, _seen) = c.play(listen, news);
        assert_eq!(c.spreads(news, 1, 4).await, "4");
        a.resumes(&ends).await;
        until_it_goes_to(&b, news, 3).await;
        a.resumes(&leaves).await;
        until_it_goes_to(&b, news, 2).await;
        assert_eq!(said(&left)[..4], ["0", "0", "0", "not-found"]);
        drop(lost);
        c.endpoint.close("lost").await;
        until_it_goes_to(&a, news, 1).await;
        a.resumes(&stays).await;
        until_it_goes_to(&b, news, 0).await;
        // In vain for so many, it sends to nobody.
        let calls = "(call $spreads (i64.const 1) (i32.const 1) (i64.const 1000000)); (call $spreads (i64.const 1) (i32.const 0) (i64.const 0))";
        assert_eq!(b.says(calls, news).await, ["0", "0"]);
    });
}

#[test]
fn a_publisher_is_held_by_a_subscriber_of_another_node_until_that_reads_or_it_gives_up() {
    run(async {
        let [a, b, c] = three().await;
        let news = a.channel("news");
        let slow = format!("(call $joins (i32.const 1) (i32.const 2)); (call $pauses); {}", hears(4));
        let (slow, heard) = b.play(&slow, news);
        assert_eq!(c.spreads(news, 1, 1).await, "1");
        // On a third node, on the subscriber's, and on the channel's: each gives up in time.
        for node in [&c, &b, &a] {
            let late = "(call $publish (i32.const 980) (i64.const 7) (i32.const 64) (i32.const 5) (i64.const 20000000)); \
                (call $spreads (i64.const 7) (i32.const 1) (i64.const 20000000))";
            assert_eq!(node.says(late, news).await, ["timeout", "0"]);
        }
        // One that is interrupted holds nobody up afterwards.
        let (held, seen) = c.play("(call $sends (i64.const 7) (i64.const 7))", news);
        let (waits, sent) = c.play("(call $sends (i64.const 2) (i64.const 4))", news);
        let interrupt = "(call $interrupt (i32.const 980) (i32.const 64) (i32.const 5) (i64.const -1))";
        assert_eq!(a.says(interrupt, held.address).await, ["0"]);
        over(&seen).await;
        assert_eq!(said(&seen), ["interrupted"]);
        assert!(said(&sent).is_empty());
        drop(waits);
        b.resumes(&slow).await;
        over(&sent).await;
        over(&heard).await;
        assert_eq!(
            (said(&sent), said(&heard)),
            (vec!["0".to_owned()], ["0", "0", "1", "2", "3", "4"].map(String::from).to_vec())
        );
    });
}

#[test]
fn a_subscriber_that_does_not_read_keeps_what_its_terms_say_and_holds_up_nobody() {
    run(async {
        let [a, b, c] = three().await;
        let news = a.channel("news");
        for (policy, kept) in [(0, ["98", "99"]), (1, ["1", "2"])] {
            let lazy = format!("(call $joins (i32.const 2) (i32.const {policy})); (call $pauses); {}", hears(2));
            let (lazy, heard) = b.play(&lazy, news);
            let keen = format!("(call $joins (i32.const 1000) (i32.const 0)); {}", hears(100));
            let (_, keen) = b.play(&keen, news);
            assert_eq!(c.spreads(news, 1, 2).await, "2");
            assert_eq!(c.says("(call $sends (i64.const 2) (i64.const 99))", news).await, ["0"]);
            assert_eq!(c.spreads(news, 100, 0).await, if policy == 0 { "2" } else { "1" });
            over(&keen).await;
            let all: Vec<String> = ["0".to_owned()].into_iter().chain((1..=100).map(|tag| tag.to_string())).collect();
            assert_eq!(said(&keen), all);
            a.resumes(&lazy).await;
            over(&heard).await;
            let kept = if policy == 0 { ["99", "100"] } else { kept };
            assert_eq!(said(&heard)[2..], kept);
            until_it_goes_to(&a, news, 0).await;
        }
    });
}

#[test]
fn channels_subscribe_to_channels_of_other_nodes_but_never_twice_or_in_a_circle() {
    run(async {
        let [a, b, c] = three().await;
        let top = a.channel("t");
        // b's m is under a's t, c's l under b's m; each keeps its channel by pausing.
        let under = |letter: u8| {
            format!("(call $opens (i32.const {letter})); (call $under (i32.const 10) (i32.const 0)); (call $pauses)")
        };
        let (_, middle) = b.play(&under(b'm'), top);
        a.until_said(&middle, 2).await;
        let m = b.bench.tenant.channels.get("m").unwrap().address;
        let (_, low) = c.play(&under(b'l'), m);
        c.until_said(&low, 2).await;
        assert_eq!([&said(&middle)[..], &said(&low)[..]].concat(), ["0", "0", "0", "0"]);
        let l = c.bench.tenant.channels.get("l").unwrap().address;
        let (_, leaf) = a.play(&format!("(call $joins (i32.const 10) (i32.const 0)); {}", hears(2)), l);
        // It is counted through both nodes, and hears through both.
        assert_eq!(b.spreads(top, 5, 1).await, "1");
        assert_eq!(b.says("(call $sends (i64.const 6) (i64.const 6))", top).await, ["0"]);
        over(&leaf).await;
        assert_eq!(said(&leaf), ["0", "5", "6"]);
        // Any edge that would close a circle, from any node, or be a second way.
        let circle = "(call $opens (i32.const 108)); (call $over (i32.const 1) (i32.const 0))";
        assert_eq!(c.says(circle, top).await, ["0", "cycle"]);
        let circle = "(call $opens (i32.const 109)); (call $over (i32.const 1) (i32.const 0))";
        assert_eq!(b.says(circle, top).await, ["0", "cycle"]);
        let second = "(call $opens (i32.const 108)); (call $under (i32.const 1) (i32.const 0))";
        assert_eq!(c.says(second, top).await, ["0", "second-path"]);
        // Where the middle ends, the ends are free to meet.
        let calls = "(call $opens (i32.const 109)); (call $close (i32.const 940))";
        assert_eq!(b.says(calls, top).await, ["0", "0"]);
        let mut met = Vec::new();
        while met != ["0", "0"] {
            met = c.says(second, top).await;
        }
        let circle = "(call $opens (i32.const 108)); (call $over (i32.const 1) (i32.const 0))";
        assert_eq!(c.says(circle, top).await, ["0", "cycle"]);
    });
}

#[test]
fn edges_that_would_close_a_circle_together_are_never_both_made() {
    run(async {
        let nodes = three().await;
        // Each of three channels on three nodes under the next, all at once, again and again.
        for round in 0..10u8 {
            let letter = b'a' + round;
            let name = char::from(letter).to_string();
            let channels = nodes.each_ref().map(|node| node.channel(&name));
            let calls = format!("(call $opens (i32.const {letter})); (call $under (i32.const 1) (i32.const 0))");
            let all: Vec<_> =
                nodes.iter().enumerate().map(|(at, node)| node.play(&calls, channels[(at + 1) % 3]).1).collect();
            let mut made = 0;
            for seen in &all {
                over(seen).await;
                match &said(seen)[1][..] {
                    "0" => made += 1,
                    refused => assert!(["cycle", "retry", "second-path"].contains(&refused), "{refused}"),
                }
            }
            assert!((1..=2).contains(&made), "{made} of three edges of a circle were made");
        }
    });
}

#[test]
fn a_channel_is_subscribed_to_and_closed_from_any_node() {
    run(async {
        let [a, b, c] = three().await;
        let (keeper, _seen) = a.play("(call $sleep (i64.const -1))", Address::default());
        let news = a.bench.runtime.open_channel(&keeper, "news").unwrap();
        let (reader, heard) = b.play("(call $pauses); (call $hears); (call $hears)", news);
        // A third subscribes it.
        let calls = subscribing(
            news,
            "(call $subscribe (i32.const 980) (i32.const 940) (i32.const 9) (i32.const 0) (i64.const -1))",
        );
        assert_eq!(c.says(&calls, reader.address).await, ["0"]);
        assert_eq!(c.spreads(news, 5, 1).await, "1");
        let calls = subscribing(news, "(call $unsubscribe (i32.const 980) (i32.const 940) (i64.const -1))");
        assert_eq!(c.says(&calls, reader.address).await, ["0"]);
        assert_eq!(c.says(&calls, reader.address).await, ["not-found"]);
        until_it_goes_to(&c, news, 0).await;
        let calls = subscribing(
            news,
            "(call $subscribe (i32.const 980) (i32.const 940) (i32.const 9) (i32.const 0) (i64.const -1))",
        );
        assert_eq!(a.says(&calls, reader.address).await, ["0"]);
        assert_eq!(a.spreads(news, 6, 1).await, "1");
        a.resumes(&reader).await;
        over(&heard).await;
        assert_eq!(said(&heard)[1..], ["5", "6"]);
        assert_eq!(c.says("(call $close (i32.const 980)); (call $close (i32.const 980))", news).await, ["0", "gone"]);
        let calls = "(call $joins (i32.const 1) (i32.const 0)); (call $sends (i64.const 1) (i64.const 1)); \
            (call $spreads (i64.const 1) (i32.const 0) (i64.const -1)); (call $leaves)";
        assert_eq!(b.says(calls, news).await, ["gone", "gone", "gone", "not-found"]);
    });
}

/// The given address is a coroutine's, which goes to 940, and the channel's goes to 980.
fn subscribing(channel: Address, call: &str) -> String {
    let words: String = channel.to_bytes().chunks(8).enumerate().fold(String::new(), |mut stores, (at, word)| {
        let word = i64::from_le_bytes(word.try_into().unwrap());
        stores.push_str(&format!("(i64.store (i32.const {}) (i64.const {word}))", 980 + 8 * at));
        stores
    });
    format!("(block (result i32) (memory.copy (i32.const 940) (i32.const 980) (i32.const 32)) {words} {call})")
}

#[test]
fn what_was_sent_before_a_channel_ended_still_comes_on_other_nodes() {
    run(async {
        let [a, b, c] = three().await;
        for round in 0..20 {
            let news = a.channel(&format!("news {round}"));
            let listen = format!("(call $joins (i32.const 1000) (i32.const 0)); {}", hears(51));
            let listeners = [&b, &c, &b].map(|node| node.play(&listen, news).1);
            assert_eq!(a.spreads(news, 0, 3).await, "3");
            let sent = "(call $sends (i64.const 1) (i64.const 50)); (call $close (i32.const 980))";
            assert_eq!(a.says(sent, news).await, ["0", "0"]);
            for listener in listeners {
                over(&listener).await;
                let heard = said(&listener);
                assert_eq!(heard[1..], (0..=50).map(|tag: u64| tag.to_string()).collect::<Vec<_>>());
            }
        }
    });
}

#[test]
fn who_hears_a_message_and_ends_its_channel_at_once_keeps_it_from_nobody_on_other_nodes() {
    run(async {
        let [a, b, c] = three().await;
        // It takes a while to come by all of these.
        let idle: Vec<_> = (0..100).map(|_| a.play("(call $sleep (i64.const -1))", Address::default()).0).collect();
        for round in 0..20 {
            let (keeper, _seen) = a.play("(call $sleep (i64.const -1))", Address::default());
            let news = a.bench.runtime.open_channel(&keeper, &format!("news {round}")).unwrap();
            let ends =
                format!("(call $joins (i32.const 9) (i32.const 0)); {}; (call $close (i32.const 980))", hears(2));
            let (_, ends) = a.play(&ends, news);
            a.until_said(&ends, 1).await;
            let terms = Terms { cap: 9, policy: Policy::DropOldest };
            for idle in &idle {
                a.bench.runtime.subscribe(&keeper, &news, &idle.address, terms, u64::MAX).await.unwrap();
            }
            let listen = format!("(call $joins (i32.const 9) (i32.const 0)); {}", hears(2));
            let listeners = [&b, &c].map(|node| node.play(&listen, news).1);
            assert_eq!(b.spreads(news, 1, 103).await, "103");
            assert_eq!(c.says("(call $sends (i64.const 2) (i64.const 2))", news).await, ["0"]);
            for listener in listeners {
                over(&listener).await;
                assert_eq!(said(&listener), ["0", "1", "2"]);
            }
        }
    });
}
