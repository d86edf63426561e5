//! Queues, mailboxes, channels and timers as plain state machines: no threads, no clock, no waiting.

pub mod channel;
pub mod fair_queue;
pub mod lock;
pub mod mailbox;
pub mod names;
pub mod slab_list;
pub mod timers;
