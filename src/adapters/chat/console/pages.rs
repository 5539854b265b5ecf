//! The pages that people have open. **Invariant:** nobody's lines fill the door for the others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// More than anybody looks at. A line that broke without a word counts until that is noticed.
const OPEN: usize = 32;

/// Of each person, the oldest first.
#[derive(Default)]
pub(super) struct Pages(Mutex<HashMap<String, VecDeque<CancellationToken>>>);

/// Counts until it is dropped.
pub(super) struct Page {
    open: CancellationToken,
    _gone: DropGuard,
}

impl Pages {
    /// One more of somebody's. Where there are too many, the oldest is let go: it is the one that
    /// most likely listens no longer, and a page that does comes back by itself.
    pub(super) fn opened(&self, person: &str) -> Page {
        let open = CancellationToken::new();
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = pages.entry(person.to_owned()).or_default();
        own.retain(|page| !page.is_cancelled());
        if own.len() >= OPEN
            && let Some(oldest) = own.pop_front()
        {
            oldest.cancel();
        }
        own.push_back(open.clone());
        Page { _gone: open.clone().drop_guard(), open }
    }
}

impl Page {
    pub(super) fn let_go(&self) -> WaitForCancellationFutureOwned {
        self.open.clone().cancelled_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_for_the_newest_and_what_has_gone_does_not_count() {
        let pages = Pages::default();
        let mut open: Vec<_> = (0..OPEN).map(|_| pages.opened("ann")).collect();
        let let_go = |open: &[Page]| open.iter().filter(|page| page.open.is_cancelled()).count();
        drop(open.remove(5));
        open.push(pages.opened("ann"));
        let _bobs = pages.opened("bob");
        assert_eq!(let_go(&open), 0);
        open.push(pages.opened("ann"));
        assert!(open[0].open.is_cancelled());
        assert_eq!(let_go(&open), 1);
    }
}
