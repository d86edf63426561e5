//! Queues and timers as plain state machines: no threads, no clock, no waiting.

pub mod fair_queue;
pub mod timers;
