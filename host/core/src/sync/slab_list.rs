//! A list in one allocation: push at the end, take from anywhere, in constant time, without moving the others.

/// Where a value is, while it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place(u32);

#[derive(Debug)]
pub struct SlabList<T> {
    nodes: Vec<Node<T>>,
    first: u32,
    last: u32,
    free: u32,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    next: u32,
    previous: u32,
}

const NONE: u32 = u32::MAX;
/// An empty list keeps room for so many values; a burst's room is given back.
const KEPT: usize = 64;

impl<T> SlabList<T> {
    #[inline]
    pub fn push_back(&mut self, value: T) {
        let at = self.put(value, self.last, NONE);
        match self.nodes.get_mut(self.last as usize) {
            Some(last) => last.next = at,
            None => self.first = at,
        }
        self.last = at;
        self.len += 1;
    }

    /// The same, and says where it is.
    #[inline]
    pub fn push(&mut self, value: T) -> Place {
        self.push_back(value);
        Place(self.last)
    }

    /// Where there is room for it; its neighbours have to be told.
    #[inline(always)]
    fn put(&mut self, value: T, previous: u32, next: u32) -> u32 {
        match self.nodes.get_mut(self.free as usize) {
            // Field by field: a value of a few hundred bytes is then written once, to where it stays.
            Some(free) => {
                let at = std::mem::replace(&mut self.free, free.next);
                free.value = Some(value);
                free.next = next;
                free.previous = previous;
                at
            }
            None => {
                self.nodes.push(Node { value: Some(value), next, previous });
                (self.nodes.len() - 1) as u32
            }
        }
    }

    /// In front of all others; says where it is.
    pub fn push_front(&mut self, value: T) -> Place {
        let at = self.put(value, NONE, self.first);
        match self.nodes.get_mut(self.first as usize) {
            Some(first) => first.previous = at,
            None => self.last = at,
        }
        self.first = at;
        self.len += 1;
        Place(at)
    }

    pub fn first(&self) -> Option<Place> {
        (self.first != NONE).then_some(Place(self.first))
    }

    /// The first value, from the front, that is looked for.
    pub fn find(&self, wanted: impl FnMut(&T) -> bool) -> Option<Place> {
        self.find_after(None, wanted)
    }

    /// The same from the one after this on; `None`: from the front.
    pub fn find_after(&self, after: Option<Place>, mut wanted: impl FnMut(&T) -> bool) -> Option<Place> {
        let mut at = match after {
            Some(Place(after)) => self.nodes.get(after as usize)?.next,
            None => self.first,
        };
        while let Some(node) = self.nodes.get(at as usize) {
            if node.value.as_ref().is_some_and(&mut wanted) {
                return Some(Place(at));
            }
            at = node.next;
        }
        None
    }

    /// The one before, if there is one.
    pub fn before(&self, place: Place) -> Option<Place> {
        self.nodes.get(place.0 as usize).map(|node| node.previous).filter(|at| *at != NONE).map(Place)
    }

    pub fn get(&self, place: Place) -> Option<&T> {
        self.nodes.get(place.0 as usize)?.value.as_ref()
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.nodes.get_mut(place.0 as usize)?.value.as_mut()
    }

    /// Takes the value out; the others stay in order.
    pub fn remove(&mut self, place: Place) -> Option<T> {
        let value = self.nodes.get_mut(place.0 as usize)?.value.take()?;
        self.unlink(place);
        Some(value)
    }

    /// Drops the value where it lies; the others stay in order.
    #[inline]
    pub fn discard(&mut self, place: Place) {
        if let Some(node) = self.nodes.get_mut(place.0 as usize)
            && node.value.is_some()
        {
            node.value = None;
            self.unlink(place);
        }
    }

    #[inline]
    fn unlink(&mut self, place: Place) {
        let Some(node) = self.nodes.get_mut(place.0 as usize) else { return };
        let (previous, next) = (node.previous, node.next);
        node.next = self.free;
        self.free = place.0;
        match self.nodes.get_mut(previous as usize) {
            Some(node) => node.next = next,
            None => self.first = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(node) => node.previous = previous,
            None => self.last = previous,
        }
        self.len -= 1;
        if self.len == 0 && self.nodes.capacity() > KEPT {
            *self = SlabList::default();
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All values, in order.
    pub fn into_values(mut self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len);
        while let Some(first) = self.first() {
            values.extend(self.remove(first));
        }
        values
    }
}

impl<T> Default for SlabList<T> {
    fn default() -> Self {
        SlabList { nodes: Vec::new(), first: NONE, last: NONE, free: NONE, len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_vector_from_which_anything_can_be_taken(ops in prop::collection::vec((0..4u8, 0..20u32), 0..300)) {
            let (mut list, mut model) = (SlabList::default(), Vec::new());
            for (number, (push, at)) in ops.into_iter().enumerate() {
                if push == 0 {
                    let place = list.push_front(number);
                    prop_assert_eq!(list.get(place), Some(&number));
                    model.insert(0, number);
                } else if push == 1 {
                    let place = list.push(number);
                    prop_assert_eq!(list.get(place), Some(&number));
                    model.push(number);
                } else if !model.is_empty() {
                    let wanted = model.remove(at as usize % model.len());
                    let place = list.find(|value| *value == wanted).unwrap();
                    prop_assert_eq!(list.remove(place), Some(wanted));
                    prop_assert_eq!(list.get(place), None);
                }
                prop_assert_eq!(list.len(), model.len());
                prop_assert_eq!(list.first().and_then(|first| list.get(first)), model.first());
            }
            prop_assert_eq!(list.into_values(), model);
        }

        #[test]
        fn going_on_after_one_that_was_taken_finds_what_is_behind_it(values in prop::collection::vec(0..4u32, 0..50)) {
            let mut list = SlabList::default();
            values.iter().for_each(|value| list.push_back(*value));
            let (mut before, mut taken, mut looks) = (None, 0, 0);
            while let Some(place) = list.find_after(before, |value| { looks += 1; *value == 3 }) {
                before = list.before(place);
                prop_assert_eq!(list.remove(place), Some(3));
                taken += 1;
            }
            prop_assert_eq!(looks, values.len(), "each is looked at once");
            prop_assert_eq!(taken, values.iter().filter(|value| **value == 3).count());
            prop_assert_eq!(list.into_values(), values.into_iter().filter(|value| *value != 3).collect::<Vec<_>>());
        }
    }
}
