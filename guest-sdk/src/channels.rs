//! Channels: named broadcast points. What is sent to one comes to all who are subscribed, in one order for all. A channel
//! may subscribe to another, and so on: hierarchies without cycles.

use crate::address::Address;
use crate::cbor::with_cbor;
use crate::error::{Error, check};
use crate::ids::ModuleHash;
use crate::sys;
use crate::time::timeout;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A channel, by its address. It can be put inside any message; anyone of the tenant who has it may send to it.
/// What it sends comes as an ordinary message, with the channel as its sender.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Channel {
    address: Address,
}

/// What happens to a message when a subscriber has as many unread ones of the channel as it has room for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u32)]
pub enum Policy {
    /// The oldest unread one is dropped, and counted.
    #[default]
    DropOldest = 0,
    /// The new one is dropped, and counted.
    DropNewest = 1,
    /// Whoever sends waits, within its limit. The channel must be one's own.
    HoldPublisher = 2,
}

impl Channel {
    /// Makes or finds the tenant's channel of this name on this node.
    ///
    /// # Errors
    /// `denied`; `overloaded` when a quota is used up; `invalid` for the name (1 to 128 bytes).
    ///
    /// ```no_run
    /// use corovan_guest::channels::Channel;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let news = Channel::open("news")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(name: &str) -> Result<Channel, Error> {
        let mut bytes = [0; Address::SIZE];
        // SAFETY: the node reads a string by its pointer and length, and writes the 32 bytes of an address.
        check(unsafe { sys::channel_open(name.as_ptr(), name.len(), bytes.as_mut_ptr()) })?;
        Ok(Channel { address: Address::from_bytes(bytes) })
    }

    /// The channel with this address, which came in a message or from [`locate`](crate::names::locate).
    ///
    /// ```no_run
    /// use corovan_guest::{channels::Channel, names};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Channel::at(names::locate("news", None)?).send("it rains")?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn at(address: Address) -> Channel {
        Channel { address }
    }

    pub const fn address(&self) -> Address {
        self.address
    }

    /// Subscribes a coroutine, or a channel by its [address](Channel::address), with room for `cap` unread messages.
    ///
    /// # Errors
    /// `cycle` and `second-path` for a channel that would get messages back, or twice; `retry` when another subscription was in
    /// the way; `gone`; `denied`; `overloaded`; `invalid` for `cap`; with other nodes `timeout`, `node-lost`, `interrupted`.
    ///
    /// ```no_run
    /// use corovan_guest::channels::{Channel, Policy};
    /// use corovan_guest::self_address;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Channel::open("news")?.subscribe(self_address(), 100, Policy::DropOldest, None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(
        &self,
        subscriber: Address,
        cap: u32,
        policy: Policy,
        limit: impl Into<Option<Duration>>,
    ) -> Result<(), Error> {
        let subscriber = subscriber.as_bytes().as_ptr();
        // SAFETY: the node reads the 32 bytes of each address.
        check(unsafe { sys::channel_subscribe(self.pointer(), subscriber, cap, policy as u32, timeout(limit)) })
            .map(drop)
    }

    /// Ends a subscription; what it brought and is not read yet stays.
    ///
    /// # Errors
    /// `not-found`; `gone`; `denied`; with other nodes `timeout`, `node-lost`, `interrupted`.
    ///
    /// ```no_run
    /// use corovan_guest::{channels::Channel, self_address};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Channel::open("news")?.unsubscribe(self_address(), None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn unsubscribe(&self, subscriber: Address, limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        let subscriber = subscriber.as_bytes().as_ptr();
        // SAFETY: the node reads the 32 bytes of each address.
        check(unsafe { sys::channel_unsubscribe(self.pointer(), subscriber, timeout(limit)) }).map(drop)
    }

    /// Sends a value with tag 0 to all who are subscribed.
    ///
    /// # Errors
    /// `gone`; `denied`; `too-large`; `overloaded`; `node-lost`; `interrupted`; `invalid` for a value without CBOR form, and
    /// where the transform fails.
    ///
    /// ```no_run
    /// use corovan_guest::channels::Channel;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Channel::open("news")?.send("it rains")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        self.send_tagged(0, value, None)
    }

    /// Sends a value with a tag that receivers can choose by.
    ///
    /// # Errors
    /// As [`send`](Channel::send); `timeout` when a subscriber holds the publisher for so long.
    ///
    /// ```no_run
    /// use corovan_guest::channels::Channel;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Channel::open("news")?.send_tagged(7, "it rains", Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_tagged<T: Serialize + ?Sized>(
        &self,
        tag: u64,
        value: &T,
        limit: impl Into<Option<Duration>>,
    ) -> Result<(), Error> {
        with_cbor(value, |bytes| self.send_bytes(tag, bytes, limit))
    }

    /// [`send_tagged`](Channel::send_tagged) with bytes of any kind.
    ///
    /// # Errors
    /// As [`send_tagged`](Channel::send_tagged).
    ///
    /// ```no_run
    /// use corovan_guest::channels::Channel;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Channel::open("frames")?.send_bytes(0, &[0, 1, 2], None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_bytes(&self, tag: u64, bytes: &[u8], limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length.
        check(unsafe { sys::channel_send(self.pointer(), tag, bytes.as_ptr(), bytes.len(), timeout(limit)) }).map(drop)
    }

    /// Waits for at least `n` subscribers, sends to all, and waits until the message is in their mailboxes. Gives how many
    /// have it, across sub-channels: 0, with nothing sent, when `n` were not there in time; fewer than `n` when time ran out
    /// later.
    ///
    /// # Errors
    /// `gone`; `denied`; `overloaded`; `too-large`; `node-lost`; `interrupted`; `invalid` for a value without CBOR form, and
    /// where the transform fails.
    ///
    /// ```no_run
    /// use corovan_guest::channels::Channel;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let told = Channel::open("start")?.deliver(0, &"go", 2, Duration::from_secs(10))?;
    /// println!("{told} have begun");
    /// # Ok(())
    /// # }
    /// ```
    pub fn deliver<T: Serialize + ?Sized>(
        &self,
        tag: u64,
        value: &T,
        n: u32,
        limit: impl Into<Option<Duration>>,
    ) -> Result<usize, Error> {
        with_cbor(value, |bytes| self.deliver_bytes(tag, bytes, n, limit))
    }

    /// [`deliver`](Channel::deliver) with bytes of any kind.
    ///
    /// # Errors
    /// As [`deliver`](Channel::deliver).
    ///
    /// ```no_run
    /// use corovan_guest::channels::Channel;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Channel::open("frames")?.deliver_bytes(0, &[0, 1, 2], 1, None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn deliver_bytes(
        &self,
        tag: u64,
        bytes: &[u8],
        n: u32,
        limit: impl Into<Option<Duration>>,
    ) -> Result<usize, Error> {
        let limit = timeout(limit);
        // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length.
        check(unsafe { sys::channel_deliver(self.pointer(), tag, bytes.as_ptr(), bytes.len(), n, limit) })
    }

    /// Has this function, of this module or of another, see each message before it is sent on. It gets the tag and the message as
    /// a byte string, and gives a byte string to be sent in its place, or nothing: [`Packed`](crate::Packed) for values,
    /// [`Bytes`](crate::Bytes) for bytes of any kind. Where it fails, nothing is sent.
    ///
    /// # Errors
    /// `unknown-function`; `need-module`; `bad-module`; `gone`; `denied` for a channel that is not one's own; `overloaded`.
    ///
    /// ```no_run
    /// use corovan_guest::channels::Channel;
    /// use corovan_guest::{Error, Packed};
    ///
    /// /// Drops what is shouted.
    /// #[corovan_guest::coroutine]
    /// fn without_shouting(_tag: u64, said: Packed<String>) -> Option<Packed<String>> {
    ///     Some(said).filter(|said| said.0.to_uppercase() != said.0)
    /// }
    ///
    /// #[corovan_guest::coroutine]
    /// fn chat() -> Result<(), Error> {
    ///     Channel::open("chat")?.transform(None, "without_shouting")
    /// }
    /// # fn main() {}
    /// ```
    pub fn transform(&self, module: Option<ModuleHash>, function: &str) -> Result<(), Error> {
        let module = module.as_ref().map_or(std::ptr::null(), |module| module.as_bytes().as_ptr());
        // SAFETY: the node reads the 32 bytes of an address and of a hash, and a string by its pointer and length.
        check(unsafe { sys::channel_transform(self.pointer(), module, function.as_ptr(), function.len()) }).map(drop)
    }

    /// Messages are sent on as they are.
    ///
    /// # Errors
    /// `gone`; `denied`.
    ///
    /// ```no_run
    /// use corovan_guest::channels::Channel;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Channel::open("chat")?.without_transform()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn without_transform(&self) -> Result<(), Error> {
        self.transform(None, "")
    }

    /// Ends the channel and all subscriptions to it.
    ///
    /// # Errors
    /// `gone`; `denied`.
    ///
    /// ```no_run
    /// use corovan_guest::channels::Channel;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Channel::open("news")?.close()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(self) -> Result<(), Error> {
        // SAFETY: the node reads the 32 bytes of an address.
        check(unsafe { sys::channel_close(self.pointer()) }).map(drop)
    }

    fn pointer(&self) -> *const u8 {
        self.address.as_bytes().as_ptr()
    }
}
