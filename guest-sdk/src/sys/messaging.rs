//! Imports of interface `messaging`: from mailbox to mailbox.

use super::{Filter, MessageHead};

imports! {
    /// Puts a message into a mailbox, or on its way there.
    fn send(to: *const u8, tag: u64, ptr: *const u8, len: usize, timeout: u64) -> i32;
    /// The same, and waits until it is in the receiver's mailbox.
    fn deliver(to: *const u8, tag: u64, ptr: *const u8, len: usize, timeout: u64) -> i32;
    /// The oldest message that the filter (null: every one) chooses; its size.
    fn receive(timeout: u64, filter: *const Filter, head: *mut MessageHead, buf: *mut u8, cap: usize) -> i32;
    /// Sends a message and waits for the reply; its size.
    fn request(to: *const u8, tag: u64, ptr: *const u8, len: usize, timeout: u64, head: *mut MessageHead, buf: *mut u8, cap: usize) -> i32;
    /// Answers a request, once.
    fn reply(reply: u64, ptr: *const u8, len: usize) -> i32;
    /// Copies what a token stands for and gives the token back.
    fn take(token: u64, buf: *mut u8) -> i32;
    /// Gives a token back and drops what it stands for.
    fn discard as "drop"(token: u64) -> i32;
    /// A WASI descriptor that is readable when there is a message.
    fn mailbox_fd() -> i32;
}
