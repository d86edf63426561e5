//! Channels over real mailboxes, without guests: what lies in memory, and what is charged.

use super::*;
use crate::runtime::blank::blank_controls;
use crate::runtime::mail::FOREVER;
use crate::runtime::message::{Letter, Payload};
use corovan_core::sync::channel::Policy;
use corovan_core::sync::mailbox::Filter;
use corovan_core::tenancy::quota::Ledger;
use std::future::Future;
use std::pin::pin;
use std::task::Context;

const SIZE: usize = 64 << 10;
const SUBSCRIBERS: usize = 10_000;

fn held(ledger: &Ledger) -> u64 {
    ledger.used(Resource::Held)
}

/// Polls a send until it is done: nothing here waits for anything but its turn to go on.
fn finish<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..SUBSCRIBERS {
        if let std::task::Poll::Ready(done) = call.as_mut().poll(&mut cx) {
            return done;
        }
    }
    panic!("it waits for ever")
}

#[test]
fn ten_thousand_subscribers_share_one_payload_which_is_charged_once() {
    let (runtime, controls) = blank_controls(SUBSCRIBERS + 1);
    let (publisher, subscribers) = controls.split_first().unwrap();
    let ledger = &publisher.group.tenant.ledger;
    let channel = runtime.open_channel(publisher, "news").unwrap();
    let terms = Terms { cap: 2, policy: Policy::DropOldest };
    for subscriber in subscribers {
        finish(runtime.subscribe(publisher, &channel, &subscriber.address, terms, FOREVER)).unwrap();
    }
    let before = held(ledger);
    for byte in [1, 2, 3] {
        let payload = shared(publisher, Payload::copy(&[byte; SIZE])).unwrap();
        let patience = runtime.patience(FOREVER);
        finish(send(&runtime, publisher, &channel, 7, payload, patience)).unwrap();
    }
    // Two are unread, the first was dropped for the third.
    assert_eq!(held(ledger), before + 2 * SIZE as u64);
    let mut seen = None;
    for subscriber in subscribers {
        let mut post = subscriber.post.lock();
        assert_eq!((post.mailbox.len(), post.mailbox.bytes()), (2, 2 * SIZE));
        let place = post.mailbox.find(&Filter::default()).unwrap();
        let check = |letter: &mut Letter| {
            let Payload::Shared(bytes) = &letter.body.payload else { panic!("it is too large to be inline") };
            assert_eq!((bytes.len(), bytes[0], letter.tag, letter.sender), (SIZE, 2, 7, channel));
            assert_eq!(*seen.get_or_insert(bytes.as_ptr()), bytes.as_ptr(), "one allocation for all");
            drop(std::mem::take(&mut letter.body.payload));
        };
        post.take(place, check).unwrap();
    }
    assert_eq!(held(ledger), before + SIZE as u64, "read by all, it is given back");
    finish(runtime.close_channel(publisher, &channel)).unwrap();
    subscribers.iter().for_each(|subscriber| drop(subscriber.post.lock().close()));
    assert_eq!(held(ledger), 0);
}
