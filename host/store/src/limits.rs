//! Bounds of the store, with their reasons.

/// Operations that wait for the next commit; beyond, whoever asks is told that the store is behind.
pub const OPERATIONS: usize = 16_384;
/// Operations in one commit: the first of them waits for all others to be applied.
pub const BATCH: usize = 4_096;
/// An idempotency key, a tenant's name, a node's, an outcome's word: people and programs choose them, and they are keys of tables.
pub const NAME_BYTES: usize = 128;
/// Spec and arguments of a job that lie in the store; larger arguments are blobs.
pub const BODY_BYTES: usize = 1 << 20;
/// An exit record without its value: one text of 4 KiB, and names. A million jobs that wait are to fit into a tenant's quota.
pub const EXIT_BYTES: usize = 6 << 10;
/// A value that lies in the store; larger ones are blobs.
pub const VALUE_BYTES: usize = 1 << 20;
/// What is set aside for a job's exit when it is accepted, so that what was accepted can always end; a larger value takes what is free then.
pub const EXIT_RESERVE: u64 = EXIT_BYTES as u64;
/// What a job takes besides its bytes: rows of several tables.
pub const JOB_COST: u64 = 512;
/// What an event takes besides its bytes, and the most that a job's events take; of more the oldest are dropped.
pub const EVENT_COST: u64 = 32;
pub const EVENTS_BYTES: u64 = 1 << 20;
/// One event: output comes in pieces.
pub const EVENT_BYTES: usize = 64 << 10;
/// Attempts that are remembered one by one; of earlier ones the number is.
pub const ATTEMPTS_KEPT: usize = 16;
/// A text about an attempt or a cancel.
pub const TEXT_BYTES: usize = 4 << 10;
/// Jobs or events in one page.
pub const PAGE: usize = 1_000;
/// Jobs that one sweep removes, so that others' operations need not wait long.
pub const SWEEP: usize = 1_000;
/// Jobs that a prefix may stand for, as far as they are told.
pub const FOUND: usize = 8;
/// Pages of the file that are kept in memory.
pub const CACHE_BYTES: usize = 64 << 20;
