//! Passes: grants of computations, shown once a session and lane and named by a number from then on.

use super::session::{Fault, Session};
use crate::runtime::{Refusal, Tenant};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use corovan_core::link::frame::{Header, Kind, LANES};
use corovan_core::tenancy::grant::{self, Grant, Right};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

/// A computation's grant as this node shows it in one session.
pub struct Pass {
    pub number: u32,
    bytes: Bytes,
    /// Lanes in which it has been shown; written under their locks.
    shown: AtomicU32,
    retired: AtomicBool,
}

/// Those of one session, by a hash of the grant.
#[derive(Debug, Default)]
pub(super) struct Passes {
    by_hash: HashMap<[u8; 32], Arc<Pass>>,
    by_number: BTreeMap<u32, [u8; 32]>,
    last: u32,
}

/// What the other node has shown, by its numbers: what it may do for whom, or why nothing.
#[derive(Default)]
pub(super) struct Shown {
    by_number: BTreeMap<u32, Result<Arc<Granted>, Refusal>>,
    /// Good ones, each once however many numbers it has.
    good: HashMap<[u8; 32], Weak<Granted>>,
}

/// A grant that was found good.
#[derive(Debug)]
pub struct Granted {
    pub tenant: Arc<Tenant>,
    pub grant: Arc<Grant>,
    /// Of the grant.
    pub hash: [u8; 32],
    pub bytes: Bytes,
}

impl Granted {
    /// Its time is not over, at this time in nanoseconds since 1970. Errors: denied.
    fn counts(&self, now: u64) -> Result<(), Refusal> {
        let seconds = now / 1_000_000_000;
        if seconds < self.grant.until {
            return Ok(());
        }
        Err(denied(grant::Error::Expired(seconds - self.grant.until)))
    }

    /// Errors: denied.
    pub fn runs(&self, module: &ModuleHash) -> Result<(), Refusal> {
        self.grant.runs(module).map_err(denied)
    }

    /// Errors: denied.
    pub fn gives(&self, right: Right) -> Result<(), Refusal> {
        self.grant.gives(right).map_err(denied)
    }
}

fn denied(error: grant::Error) -> Refusal {
    Refusal::new(Code::Denied, format!("the computation's grant: {error}"))
}

impl Pass {
    pub fn is_shown(&self, lane: usize) -> bool {
        self.shown.load(Ordering::Relaxed) & 1 << lane != 0
    }

    pub fn set_shown(&self, lane: usize) {
        self.shown.fetch_or(1 << lane, Ordering::Relaxed);
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Others have taken its place: it is to be asked for anew.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// The frame that shows it, ahead of this one.
    pub fn header(&self, before: &Header) -> Header {
        Header { grant: self.number, to: before.to, from: before.from, ..Header::new(Kind::Grant) }
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pass {}", self.number)
    }
}

impl Session {
    /// The pass for a grant.
    pub fn pass(&self, grant: &Bytes) -> Arc<Pass> {
        let hash = *blake3::hash(grant).as_bytes();
        let mut passes = self.passes.lock();
        if let Some(pass) = passes.by_hash.get(&hash) {
            return Arc::clone(pass);
        }
        if passes.by_hash.len() >= limits::LINK_GRANTS
            && let Some((_, oldest)) = passes.by_number.pop_first()
            && let Some(pass) = passes.by_hash.remove(&oldest)
        {
            pass.retired.store(true, Ordering::Relaxed);
        }
        // Thousands a second would take weeks to come round, and then those of old are long forgotten.
        passes.last = passes.last.wrapping_add(1).max(1);
        let (number, shown, retired) = (passes.last, AtomicU32::new(0), AtomicBool::new(false));
        let pass = Arc::new(Pass { number, bytes: grant.clone(), shown, retired });
        passes.by_hash.insert(hash, Arc::clone(&pass));
        passes.by_number.insert(number, hash);
        pass
    }

    /// The other node has shown a grant under this number, and this is what was found.
    pub fn set_granted(&self, number: u32, granted: Result<Arc<Granted>, Refusal>) {
        let mut shown = self.shown.write();
        // Twice as many as a sender uses: what is on its way under an older number has come by then.
        while shown.by_number.len() >= 2 * limits::LINK_GRANTS && !shown.by_number.contains_key(&number) {
            shown.by_number.pop_first();
        }
        if let Ok(granted) = &granted {
            if shown.good.len() >= 4 * limits::LINK_GRANTS {
                shown.good.retain(|_, good| good.strong_count() > 0);
            }
            shown.good.insert(granted.hash, Arc::downgrade(granted));
        }
        shown.by_number.insert(number, granted);
    }

    /// One that was found good in this session and is still shown under some number, by its hash.
    pub fn known_grant(&self, hash: &[u8; 32]) -> Option<Arc<Granted>> {
        self.shown.read().good.get(hash).and_then(Weak::upgrade)
    }

    /// What was shown under this number before.
    pub fn was_granted(&self, number: u32) -> Option<Result<Arc<Granted>, Refusal>> {
        self.shown.read().by_number.get(&number).cloned()
    }

    /// It has shown a grant of this tenant's that counts now and gives this right.
    pub fn speaks_for(&self, tenant: &str, right: Right) -> bool {
        let now = self.clock.unix();
        let good = |granted: &&Arc<Granted>| {
            granted.tenant.name() == tenant && granted.counts(now).is_ok() && granted.gives(right).is_ok()
        };
        self.shown.read().by_number.values().flatten().any(|granted| good(&granted))
    }

    /// For whom the other node speaks under this number. `Err` of the outer: it has shown nothing there.
    pub fn granted(&self, number: u32) -> Result<Result<Arc<Granted>, Refusal>, Fault> {
        match self.was_granted(number) {
            // Also one that was good when it was shown comes to its end.
            Some(granted) => Ok(granted.and_then(|granted| granted.counts(self.clock.unix()).map(|()| granted))),
            // Shown before, and forgotten for newer ones.
            None if self
                .shown
                .read()
                .by_number
                .first_key_value()
                .is_some_and(|(first, _)| number < *first && number > 0) =>
            {
                Ok(Err(Refusal::new(Code::Denied, "the computation's grant is to be shown again")))
            }
            None => Err(Fault(format!("it speaks for a computation under grant {number}, which it has not shown"))),
        }
    }
}

const _: () = assert!(LANES <= 32, "lanes are bits of a u32");

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::sync::fair_queue::Share;
    use corovan_core::tenancy::quota::{Ledger, Limits};

    #[test]
    fn a_grant_comes_to_its_end_and_gives_what_it_says_and_no_more() {
        let ledger = Arc::new(Ledger::new(Limits { coroutines: 0, memory: 0, held: 0, connections: 0 }));
        let tenant = Arc::new(Tenant::new("alice", ledger, Arc::new(Share::new(0, 100))));
        let grant = Grant { rights: vec!["names".into()], ..Grant::whole("dev", "alice", [1; 16], 10, 20) };
        let granted = Granted { tenant, grant: Arc::new(grant), hash: [0; 32], bytes: Bytes::new() };
        assert_eq!(granted.counts(19_999_999_999), Ok(()));
        assert_eq!(granted.counts(20_000_000_000).unwrap_err().code, Code::Denied);
        assert_eq!(granted.gives(Right::Names), Ok(()));
        for right in [Right::Send, Right::Spawn, Right::Fetch] {
            assert_eq!(granted.gives(right).unwrap_err().code, Code::Denied, "{right:?}");
        }
    }
}
