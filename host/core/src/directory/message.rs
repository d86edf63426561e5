//! What nodes say to each other about names. `call` numbers what is answered; an answer that nobody waits for is ignored.

use crate::code::Code;
use crate::limits;
use crate::membership::home::Spot;
use crate::membership::rng::mix;
pub use crate::sync::names::Registration;
use serde::{Deserialize, Serialize};

/// A tenant's name for something.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Name {
    #[serde(rename = "t")]
    pub tenant: String,
    #[serde(rename = "n")]
    pub name: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Message {
    #[serde(rename = "q")]
    Request(Request),
    #[serde(rename = "a")]
    Response(Response),
}

/// From a holder's node to a home.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// A new registration; refused if the name is another's.
    Claim { call: u64, name: Name, registration: Registration },
    /// Registrations that the sender has: the lower one wins.
    Announce { names: Vec<(Name, Registration)> },
    /// The sender has so many names here, of this sum: if that is so here too, they are all renewed.
    Renew { count: u64, sum: u64 },
    /// A registration is given back.
    Release { call: u64, name: Name, registration: Registration },
    /// Asks for the holder; with `wait` the answer may come later.
    Locate { call: u64, name: Name, wait: bool },
    /// Waits no longer.
    Withdraw { call: u64, name: Name },
}

/// From a home to a holder's node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Response {
    Registered {
        call: u64,
        name: Name,
        registration: Registration,
    },
    Taken {
        call: u64,
        by: Registration,
    },
    Refused {
        call: u64,
        code: Code,
    },
    /// This is not the name's home, as seen there.
    Elsewhere {
        call: u64,
    },
    /// What was to be renewed is not what is here: announce it all.
    Unknown,
    Released {
        call: u64,
    },
    /// An older registration of the name has won.
    Lost {
        name: Name,
        registration: Registration,
        winner: Registration,
    },
    Found {
        call: u64,
        registration: Registration,
    },
    NotFound {
        call: u64,
    },
    /// It will be answered when there is a holder.
    Waiting {
        call: u64,
    },
}

impl Name {
    /// `None` if either is empty or longer than `NAME_BYTES`.
    pub fn new(tenant: &str, name: &str) -> Option<Name> {
        let fits = |text: &str| !text.is_empty() && text.len() <= limits::NAME_BYTES;
        (fits(tenant) && fits(name)).then(|| Name { tenant: tenant.to_owned(), name: name.to_owned() })
    }

    pub fn spot(&self) -> Spot {
        Spot::of(&self.tenant, &self.name)
    }

    /// Whether one that came from a peer is what [`Name::new`] makes.
    pub fn is_valid(&self) -> bool {
        Name::new(&self.tenant, &self.name).is_some()
    }
}

/// What a registration adds to the sum of a node's names at a home, and takes away the second time.
pub(super) fn sum(spot: Spot, registration: &Registration) -> u64 {
    mix(spot.number() ^ mix(registration.number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Address;

    #[test]
    fn messages_survive_their_bytes_and_a_full_announcement_fits_a_frame() {
        let longest = "x".repeat(limits::NAME_BYTES);
        let name = Name::new(&longest, &longest).unwrap();
        let registration =
            Registration { number: u64::MAX, holder: Address { counter: u64::MAX, ..Address::default() } };
        let message = Message::Request(Request::Announce { names: vec![(name, registration); limits::NAME_BATCH] });
        let mut bytes = Vec::new();
        ciborium::into_writer(&message, &mut bytes).unwrap();
        assert!(bytes.len() <= limits::FRAME_HEAD, "{} bytes", bytes.len());
        assert_eq!(ciborium::from_reader::<Message, _>(&bytes[..]).unwrap(), message);
        for bad in ["", &"x".repeat(limits::NAME_BYTES + 1)] {
            assert!(Name::new(bad, "a").is_none() && Name::new("a", bad).is_none());
            assert!(!Name { tenant: "a".into(), name: bad.into() }.is_valid());
        }
    }
}
