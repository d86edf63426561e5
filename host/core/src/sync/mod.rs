//! Queues and timers as plain state machines.
