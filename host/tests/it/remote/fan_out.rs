//! What a channel's message costs where many are subscribed on other nodes, counted: bytes that links carry, and bytes that lie in
//! memory.

use super::channels::{hears, three};
use super::{Node, over, said};
use crate::in_process::run;
use corovan_core::limits;
use corovan_core::tenancy::quota::Resource;

const SUBSCRIBERS: usize = 50;
const MESSAGES: u64 = 10;
const SIZE: u64 = 32 << 10;

fn held(node: &Node) -> u64 {
    node.bench.ledger.used(Resource::Held)
}

#[test]
fn a_message_goes_once_to_each_node_and_lies_there_once_however_many_are_subscribed() {
    run(async {
        let [a, b, c] = three().await;
        let news = a.channel("news");
        let listen =
            format!("(call $joins (i32.const 100) (i32.const 0)); (call $pauses); {}", hears(1 + MESSAGES as usize));
        let nodes = [&b, &c];
        let listeners = nodes.map(|node| (0..SUBSCRIBERS).map(|_| node.play(&listen, news)).collect::<Vec<_>>());
        let all = 2 * SUBSCRIBERS;
        assert_eq!(a.spreads(news, 99, all).await, all.to_string());
        let before = nodes.map(|node| (a.links.bytes_sent(node.links.node()), held(node)));
        let sends: String = (1..MESSAGES)
            .map(|tag| {
                format!("(call $publish (i32.const 980) (i64.const {tag}) (i32.const 64) (i32.const {SIZE}) (i64.const -1));")
            })
            .collect();
        // The answer to the last is that it lies in all mailboxes, after the others.
        let last = format!(
            "(call $spread (i32.const 980) (i64.const {MESSAGES}) (i32.const 64) (i32.const {SIZE}) (i32.const 0) (i64.const -1))"
        );
        let mut expected = vec!["0".to_owned(); MESSAGES as usize - 1];
        expected.push(all.to_string());
        assert_eq!(a.says(&format!("{sends}{last}"), news).await, expected);
        for (node, (sent, held_before)) in nodes.into_iter().zip(before) {
            let (once, sent) = (MESSAGES * SIZE, a.links.bytes_sent(node.links.node()) - sent);
            let held = held(node) - held_before;
            println!("{SUBSCRIBERS} subscribers, {MESSAGES} of {SIZE} bytes: {sent} on the link, {held} held there");
            // Less than a second copy of one in three: heads, acknowledgements, and what QUIC sends again.
            assert!((once..once + once / 3).contains(&sent), "{sent} bytes went for {once}");
            assert!((once..once + MESSAGES * limits::LETTER_BYTES).contains(&held), "{held} bytes are held of {once}");
        }
        for (node, listeners) in nodes.into_iter().zip(listeners) {
            let (paused, heard) = &listeners[SUBSCRIBERS - 1];
            node.resumes(paused).await;
            over(heard).await;
            let tags: Vec<String> = [99].into_iter().chain(1..=MESSAGES).map(|tag| tag.to_string()).collect();
            assert_eq!(said(heard)[2..], tags);
        }
    });
}
