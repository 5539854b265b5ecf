//! The pages that people have open. **Invariant:** nobody's lines fill the door for the others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// More than anybody looks at. A line that broke without a word counts until that is noticed.
const OPEN: usize = 32;

/// Of each person, the oldest first.
#[derive(Default)]
pub(super) struct Pages(Mutex<HashMap<String, VecDeque<CancellationToken>>>);

impl Pages {
    /// One more of somebody's. Where there are too many, the oldest is cancelled: it is the one that
    /// most likely listens no longer, and a page that does comes back by itself. Whoever gets the
    /// token cancels it when the page has gone.
    pub(super) fn opened(&self, person: &str) -> CancellationToken {
        let page = CancellationToken::new();
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = pages.entry(person.to_owned()).or_default();
        own.retain(|page| !page.is_cancelled());
        if own.len() >= OPEN
            && let Some(oldest) = own.pop_front()
        {
            oldest.cancel();
        }
        own.push_back(page.clone());
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_for_the_newest_and_what_has_gone_does_not_count() {
        let pages = Pages::default();
        let mut open: Vec<_> = (0..OPEN).map(|_| pages.opened("ann")).collect();
        open[5].cancel();
        open.push(pages.opened("ann"));
        pages.opened("bob");
        assert_eq!(open.iter().filter(|page| page.is_cancelled()).count(), 1);
        open.push(pages.opened("ann"));
        assert!(open[0].is_cancelled());
        assert_eq!(open.iter().filter(|page| page.is_cancelled()).count(), 2);
    }
}
