//! Which files the store has, who may use them, and which go first when room is needed. No I/O: it answers with what
//! to delete.

use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A tenant as the store names it: never its own name, which need not be one a file can have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TenantKey(pub ModuleHash);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Wasm,
    Native,
}

/// To be deleted: it is no longer in the index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evicted {
    pub hash: ModuleHash,
    pub kind: Kind,
    /// Whose markers go with it.
    pub tenants: Vec<TenantKey>,
}

/// Least recently used first, within a limit of bytes. A module is always used later than its native code, so that what
/// can be made again goes first.
#[derive(Debug)]
pub struct Index {
    limit: u64,
    bytes: u64,
    /// Promised to files that are being written.
    reserved: u64,
    uses: u64,
    entries: HashMap<ModuleHash, Entry>,
    order: BTreeMap<u64, (ModuleHash, Kind)>,
    /// Modules that do not go, and for how many reasons.
    pinned: HashMap<ModuleHash, usize>,
}

#[derive(Debug)]
struct Entry {
    wasm: Slot,
    native: Option<Slot>,
    tenants: HashSet<TenantKey>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    charge: u64,
    used: u64,
}

impl TenantKey {
    pub fn of(tenant: &str) -> TenantKey {
        TenantKey(ModuleHash::of(tenant.as_bytes()))
    }
}

impl Index {
    pub fn new(limit: u64) -> Index {
        let (entries, order, pinned) = Default::default();
        Index { limit, bytes: 0, reserved: 0, uses: 0, entries, order, pinned }
    }

    /// What is over it goes with the next that is reserved.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    pub fn contains(&self, hash: &ModuleHash) -> bool {
        self.entries.contains_key(hash)
    }

    pub fn has(&self, tenant: TenantKey, hash: &ModuleHash) -> bool {
        self.entries.get(hash).is_some_and(|entry| entry.tenants.contains(&tenant))
    }

    /// It does not go to make room for others, until it is unpinned as often; its native code may. Also one that is not there yet.
    pub fn pin(&mut self, hash: ModuleHash) {
        *self.pinned.entry(hash).or_default() += 1;
    }

    pub fn unpin(&mut self, hash: &ModuleHash) {
        if let Some(reasons) = self.pinned.get_mut(hash) {
            *reasons -= 1;
            if *reasons == 0 {
                self.pinned.remove(hash);
            }
        }
    }

    /// `false` when the module is not there.
    pub fn grant(&mut self, tenant: TenantKey, hash: &ModuleHash) -> bool {
        self.entries.get_mut(hash).map(|entry| entry.tenants.insert(tenant)).is_some()
    }

    /// Makes room for a file of `size` bytes, without touching the module it belongs to. `None`: there cannot be room.
    pub fn reserve(&mut self, size: u64, belongs_to: ModuleHash) -> Option<Vec<Evicted>> {
        let wanted = charge(size);
        let crowded = !self.contains(&belongs_to) && self.entries.len() >= limits::STORE_MODULES;
        let mut needed = (self.bytes + self.reserved + wanted).saturating_sub(self.limit);
        let mut wasm_needed = crowded;
        let mut victims = Vec::new();
        for (hash, kind) in self.order.values().filter(|(hash, _)| *hash != belongs_to) {
            if needed == 0 && !wasm_needed {
                break;
            }
            let Some(entry) = self.entries.get(hash) else { continue };
            if *kind == Kind::Wasm && self.pinned.contains_key(hash) {
                continue;
            }
            let slot = match kind {
                Kind::Wasm => Some(entry.wasm),
                Kind::Native => entry.native,
            };
            needed = needed.saturating_sub(slot.map_or(0, |slot| slot.charge));
            wasm_needed &= *kind != Kind::Wasm;
            victims.push((*hash, *kind));
        }
        if needed > 0 || wasm_needed {
            return None;
        }
        self.reserved += wanted;
        Some(victims.into_iter().flat_map(|(hash, kind)| self.remove(&hash, kind)).collect())
    }

    /// Gives back what was reserved for a file of this size, which was written and is inserted now, or was not.
    pub fn release(&mut self, size: u64) {
        self.reserved -= charge(size);
    }

    /// The file is there, used just now. Native code of a module that is not there is not taken: `false`.
    pub fn insert(&mut self, hash: ModuleHash, kind: Kind, size: u64) -> bool {
        let charge = charge(size);
        match (self.entries.get_mut(&hash), kind) {
            (None, Kind::Native) => return false,
            (None, Kind::Wasm) => {
                let wasm = Slot { charge, used: 0 };
                self.entries.insert(hash, Entry { wasm, native: None, tenants: HashSet::new() });
            }
            (Some(entry), Kind::Wasm) => {
                self.bytes -= entry.wasm.charge;
                entry.wasm.charge = charge;
            }
            (Some(entry), Kind::Native) => {
                let slot = entry.native.get_or_insert(Slot { charge: 0, used: 0 });
                self.bytes -= slot.charge;
                slot.charge = charge;
            }
        }
        self.bytes += charge;
        self.touch(&hash);
        true
    }

    /// Used just now.
    pub fn touch(&mut self, hash: &ModuleHash) {
        let Some(entry) = self.entries.get_mut(hash) else { return };
        for (kind, slot) in [(Kind::Native, entry.native.as_mut()), (Kind::Wasm, Some(&mut entry.wasm))] {
            let Some(slot) = slot else { continue };
            // A slot that is new has no place in the order yet: counting begins at one.
            self.order.remove(&slot.used);
            self.uses += 1;
            slot.used = self.uses;
            self.order.insert(slot.used, (*hash, kind));
        }
    }

    /// Takes a file out; a module takes its native code with it.
    pub fn remove(&mut self, hash: &ModuleHash, kind: Kind) -> Vec<Evicted> {
        let mut evicted = Vec::new();
        let Some(entry) = self.entries.get_mut(hash) else { return evicted };
        if let Some(slot) = entry.native.take() {
            self.order.remove(&slot.used);
            self.bytes -= slot.charge;
            evicted.push(Evicted { hash: *hash, kind: Kind::Native, tenants: Vec::new() });
        }
        if let Some(entry) = (kind == Kind::Wasm).then(|| self.entries.remove(hash)).flatten() {
            self.order.remove(&entry.wasm.used);
            self.bytes -= entry.wasm.charge;
            evicted.push(Evicted { hash: *hash, kind: Kind::Wasm, tenants: entry.tenants.into_iter().collect() });
        }
        evicted
    }

    #[cfg(test)]
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes, self.reserved)
    }
}

/// What a file costs: whole blocks, as on disk, and a share of its directory entries.
pub fn charge(size: u64) -> u64 {
    size.div_ceil(BLOCK).saturating_add(1).saturating_mul(BLOCK)
}

const BLOCK: u64 = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> ModuleHash {
        ModuleHash([n; 32])
    }

    #[test]
    fn the_least_recently_used_goes_first_and_native_code_before_its_module() {
        let mut index = Index::new(charge(1) * 5);
        let ann = TenantKey::of("ann");
        for n in 1..=2 {
            assert_eq!(index.reserve(1, hash(n)), Some(vec![]));
            index.release(1);
            assert!(index.insert(hash(n), Kind::Wasm, 1) && index.insert(hash(n), Kind::Native, 1));
            assert!(index.grant(ann, &hash(n)));
        }
        index.touch(&hash(1));
        assert_eq!(index.reserve(1, hash(3)), Some(vec![]), "there is room for a fifth");
        let native = Evicted { hash: hash(2), kind: Kind::Native, tenants: vec![] };
        let wasm = Evicted { hash: hash(2), kind: Kind::Wasm, tenants: vec![ann] };
        assert_eq!(index.reserve(1, hash(4)), Some(vec![native]));
        assert_eq!(index.reserve(1, hash(5)), Some(vec![wasm]));
        assert!(!index.has(ann, &hash(2)) && index.has(ann, &hash(1)) && !index.has(TenantKey::of("bob"), &hash(1)));
        assert_eq!(
            index.reserve(1, hash(1)),
            None,
            "a module makes no room for itself, and others have reserved the rest"
        );
        assert_eq!(index.reserve(u64::MAX / 2, hash(6)), None);
        for _ in 0..3 {
            index.release(1);
        }
        assert_eq!(index.remove(&hash(1), Kind::Wasm).len(), 2);
        assert_eq!(index.bytes(), (0, 0), "the ledger returns to zero");
        assert!(index.order.is_empty() && !index.insert(hash(1), Kind::Native, 1));
    }

    #[test]
    fn what_is_pinned_stays_until_it_is_unpinned_as_often_and_others_go_instead() {
        let mut index = Index::new(charge(1) * 2);
        for n in 1..=2 {
            assert!(index.insert(hash(n), Kind::Wasm, 1));
        }
        index.pin(hash(1));
        index.pin(hash(1));
        let evicted = |n| Some(vec![Evicted { hash: hash(n), kind: Kind::Wasm, tenants: vec![] }]);
        assert_eq!(index.reserve(1, hash(3)), evicted(2));
        index.release(1);
        assert!(index.insert(hash(3), Kind::Wasm, 1));
        index.pin(hash(3));
        index.unpin(&hash(1));
        assert_eq!(index.reserve(1, hash(4)), None, "all are pinned");
        index.unpin(&hash(1));
        assert_eq!(index.reserve(1, hash(4)), evicted(1));
        index.unpin(&hash(1));
    }

    #[test]
    fn a_file_written_again_is_counted_once() {
        let mut index = Index::new(1 << 20);
        for _ in 0..3 {
            index.insert(hash(1), Kind::Wasm, 5_000);
            index.insert(hash(1), Kind::Native, 100);
        }
        assert_eq!(index.bytes(), (charge(5_000) + charge(100), 0));
        assert_eq!(index.order.len(), 2);
    }
}
