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
        let previous = self.last;
        let at = match self.nodes.get_mut(self.free as usize) {
            // Field by field: a value of a few hundred bytes is then written once, to where it stays.
            Some(free) => {
                let at = std::mem::replace(&mut self.free, free.next);
                free.value = Some(value);
                free.next = NONE;
                free.previous = previous;
                at
            }
            None => {
                self.nodes.push(Node { value: Some(value), next: NONE, previous });
                (self.nodes.len() - 1) as u32
            }
        };
        match self.nodes.get_mut(self.last as usize) {
            Some(last) => last.next = at,
            None => self.first = at,
        }
        self.last = at;
        self.len += 1;
    }

    pub fn first(&self) -> Option<Place> {
        (self.first != NONE).then_some(Place(self.first))
    }

    /// The first value, from the front, that is looked for.
    pub fn find(&self, mut wanted: impl FnMut(&T) -> bool) -> Option<Place> {
        let mut at = self.first;
        while let Some(node) = self.nodes.get(at as usize) {
            if node.value.as_ref().is_some_and(&mut wanted) {
                return Some(Place(at));
            }
            at = node.next;
        }
        None
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
        fn it_is_a_vector_from_which_anything_can_be_taken(ops in prop::collection::vec((any::<bool>(), 0..20u32), 0..300)) {
            let (mut list, mut model) = (SlabList::default(), Vec::new());
            for (number, (push, at)) in ops.into_iter().enumerate() {
                if push {
                    list.push_back(number);
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
    }
}
