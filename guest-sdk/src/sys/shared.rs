//! Imports of interfaces `channels`, `names`, `services`, `node` and `locks`: what coroutines have in common.

use super::Part;

imports! {
    /// Makes or finds a channel and writes its address.
    fn channel_open(name: *const u8, name_len: usize, out: *mut u8) -> i32;
    /// Subscribes a coroutine or channel, with room for `cap` unread messages.
    fn channel_subscribe(channel: *const u8, subscriber: *const u8, cap: u32, policy: u32, timeout: u64) -> i32;
    /// Ends a subscription.
    fn channel_unsubscribe(channel: *const u8, subscriber: *const u8, timeout: u64) -> i32;
    /// Sends to all who are subscribed.
    fn channel_send(channel: *const u8, tag: u64, ptr: *const u8, len: usize, timeout: u64) -> i32;
    /// Waits for `n` subscribers, sends, waits for their mailboxes; how many have it.
    fn channel_deliver(channel: *const u8, tag: u64, ptr: *const u8, len: usize, n: u32, timeout: u64) -> i32;
    /// Has a function see each message first; `module` may be null, a length of 0 ends it.
    fn channel_transform(channel: *const u8, module: *const u8, function: *const u8, function_len: usize) -> i32;
    /// Ends the channel.
    fn channel_close(channel: *const u8) -> i32;
    /// Gives the address this name.
    fn register(name: *const u8, name_len: usize, holder: *const u8, timeout: u64) -> i32;
    /// Gives up a name.
    fn unregister(name: *const u8, name_len: usize) -> i32;
    /// Waits for a holder of this name and writes its address.
    fn locate(name: *const u8, name_len: usize, timeout: u64, out: *mut u8) -> i32;
    /// Offers a function at this node; `module` may be null.
    fn serve(name: *const u8, name_len: usize, module: *const u8, function: *const u8, function_len: usize, flags: u32) -> i32;
    /// Has a coroutine made of a service and writes its address.
    fn call(name: *const u8, name_len: usize, args: *const u8, args_len: usize, timeout: u64, out: *mut u8) -> i32;
    /// Ends an offer.
    fn unserve(name: *const u8, name_len: usize) -> i32;
    /// This node, in CBOR; its size, written if it fits.
    fn location(buf: *mut u8, cap: usize) -> i32;
    /// The peers, in CBOR; their size.
    fn peers(part: *mut Part, buf: *mut u8, cap: usize) -> i32;
    /// The peer on whose node an address is (null: this node), in CBOR; its size.
    fn node_info(node: *const u8, part: *mut Part, buf: *mut u8, cap: usize) -> i32;
    /// Whether a message comes with peers that changed.
    fn watch_peers(watch: u32) -> i32;
    /// Makes or finds a lock of this kind; its handle.
    fn lock_open(kind: u32, name: *const u8, name_len: usize, value: u32) -> i32;
    /// Takes a lock, a condition, or one of a semaphore.
    fn lock_acquire(lock: u32, timeout: u64) -> i32;
    /// Gives it back.
    fn lock_release(lock: u32) -> i32;
    /// Waits for an event to be set or a condition to be notified.
    fn lock_wait(lock: u32, timeout: u64) -> i32;
    /// Wakes `n` who wait for a condition; how many woke.
    fn lock_notify(lock: u32, n: u32) -> i32;
    /// Sets an event.
    fn lock_set(lock: u32) -> i32;
    /// Clears an event.
    fn lock_clear(lock: u32) -> i32;
    /// Whether an event is set.
    fn lock_is_set(lock: u32) -> i32;
    /// Closes the handle.
    fn lock_close(lock: u32) -> i32;
}
