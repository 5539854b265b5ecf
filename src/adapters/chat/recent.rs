//! The last of many: what is remembered to save work, and forgotten without harm.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A map that forgets its oldest entries.
pub(super) struct Recent<K, V> {
    most: usize,
    known: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, known: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.known.get(key)
    }

    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let value = self.known.remove(key)?;
        self.order.retain(|known| known.borrow() != key);
        Some(value)
    }

    /// Whether it is new.
    pub(super) fn insert(&mut self, key: K, value: V) -> bool {
        if self.known.insert(key.clone(), value).is_some() {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_what_is_known_is_not_new() {
        let mut recent = Recent::new(2);
        assert!(recent.insert("a".to_owned(), 1));
        assert!(recent.insert("b".to_owned(), 2));
        assert!(!recent.insert("a".to_owned(), 3));
        assert_eq!(recent.get("a"), Some(&3));
        assert!(recent.insert("c".to_owned(), 4));
        assert_eq!((recent.get("a"), recent.get("b"), recent.get("c")), (None, Some(&2), Some(&4)));
        assert_eq!((recent.remove("b"), recent.remove("b")), (Some(2), None));
        assert!(recent.insert("b".to_owned(), 5));
        assert_eq!((recent.get("c"), recent.get("b")), (Some(&4), Some(&5)));
    }
}
