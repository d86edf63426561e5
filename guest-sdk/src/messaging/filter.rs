//! Which messages to receive: by what the sender chose, by who it is, by what kind of message it is.

use crate::address::Address;
use crate::sys;

/// Which messages to receive; those that it does not choose stay in their place.
///
/// ```
/// use corovan_guest::messaging::{Filter, Kind};
///
/// let urgent = Filter::any().tag(1);
/// let alarms = Filter::any().kind(Kind::Timer).tag(7);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[must_use]
pub struct Filter {
    tag: Option<u64>,
    kind: Option<Kind>,
    sender: Option<Address>,
}

/// What a message is. All but the first come from the node, in room that was reserved when their cause was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// From a coroutine, client or channel.
    Message,
    /// A monitored coroutine ended.
    Exit,
    /// From `time::send_after` to oneself.
    Timer,
    /// A name that this coroutine held belongs to another now.
    NameLost,
    /// Asked to go on as another function.
    Swap,
    /// Peers came, changed or went.
    Peers,
    /// A coroutine was made of a service of one's own.
    Called,
    /// A kind newer than this SDK.
    Unknown(u32),
}

impl Filter {
    /// Chooses every message.
    pub const fn any() -> Filter {
        Filter { tag: None, kind: None, sender: None }
    }

    /// Only with this tag.
    pub const fn tag(mut self, tag: u64) -> Filter {
        self.tag = Some(tag);
        self
    }

    /// Only of this kind.
    pub const fn kind(mut self, kind: Kind) -> Filter {
        self.kind = Some(kind);
        self
    }

    /// Only from this coroutine or channel.
    pub const fn sender(mut self, sender: Address) -> Filter {
        self.sender = Some(sender);
        self
    }

    /// As the import takes it; `None` for every message.
    pub(crate) fn raw(&self) -> Option<sys::Filter> {
        let by = |chosen: bool, flag| if chosen { flag } else { 0 };
        let by = by(self.tag.is_some(), sys::Filter::BY_TAG)
            | by(self.kind.is_some(), sys::Filter::BY_KIND)
            | by(self.sender.is_some(), sys::Filter::BY_SENDER);
        (by != 0).then(|| sys::Filter {
            size: size_of::<sys::Filter>() as u32,
            by,
            tag: self.tag.unwrap_or(0),
            kind: self.kind.map_or(0, Kind::number),
            reserved: 0,
            sender: self.sender.map_or([0; Address::SIZE], |sender| *sender.as_bytes()),
        })
    }
}

impl Kind {
    pub(crate) const fn number(self) -> u32 {
        match self {
            Kind::Message => 0,
            Kind::Exit => 1,
            Kind::Timer => 2,
            Kind::NameLost => 3,
            Kind::Swap => 4,
            Kind::Peers => 5,
            Kind::Called => 6,
            Kind::Unknown(number) => number,
        }
    }

    pub(crate) const fn from_number(number: u32) -> Kind {
        match number {
            0 => Kind::Message,
            1 => Kind::Exit,
            2 => Kind::Timer,
            3 => Kind::NameLost,
            4 => Kind::Swap,
            5 => Kind::Peers,
            6 => Kind::Called,
            other => Kind::Unknown(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_says_what_it_chooses_by_and_nothing_else() {
        assert_eq!(Filter::any().raw(), None);
        let sender = Address::from_bytes([5; 32]);
        let all = Filter::any().tag(9).kind(Kind::Swap).sender(sender).raw().unwrap();
        assert_eq!((all.size, all.by, all.tag, all.kind, all.sender), (56, 7, 9, 4, [5; 32]));
        let zero = Filter::any().tag(0).raw().unwrap();
        assert_eq!((zero.by, zero.tag, zero.kind, zero.sender), (1, 0, 0, [0; 32]));
        assert_eq!(Filter::any().kind(Kind::Message).raw().map(|filter| (filter.by, filter.kind)), Some((2, 0)));
    }

    #[test]
    fn kinds_are_numbered_as_the_node_numbers_them() {
        use Theirs as T;
        use corovan_core::sync::mailbox::Kind as Theirs;
        let theirs = [T::Message, T::Exit, T::Timer, T::NameLost, T::Swap, T::Peers, T::Called].map(|k| k as u32);
        use Kind as K;
        let ours = [K::Message, K::Exit, K::Timer, K::NameLost, K::Swap, K::Peers, K::Called].map(Kind::number);
        assert_eq!(ours, theirs);
        for number in 0..9 {
            assert_eq!(Kind::from_number(number).number(), number);
        }
    }
}
