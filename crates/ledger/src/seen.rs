//! Which execution ids have been booked, as runs: ids that are counted up cost one run, however many there are.
//!
//! Known limitation: ids without order (hashes of a venue's text ids) cost one run each.

use std::collections::BTreeMap;

/// A set of ids, stored as first → last of each gapless run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    runs: BTreeMap<u64, u64>,
}

impl Seen {
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.runs.range(..=id).next_back().is_some_and(|(_, &last)| id <= last)
    }

    /// Adds an id that is not in it, joining the runs it touches.
    pub(crate) fn insert(&mut self, id: u64) {
        let last = id.checked_add(1).and_then(|next| self.runs.remove(&next)).unwrap_or(id);
        match self.runs.range_mut(..id).next_back() {
            Some((_, before)) if *before + 1 == id => *before = last,
            _ => {
                self.runs.insert(id, last);
            }
        }
    }

    /// First and last of each run.
    pub(crate) fn runs(&self) -> Vec<(u64, u64)> {
        self.runs.iter().map(|(&first, &last)| (first, last)).collect()
    }

    /// The set of these runs; none if they overlap, touch or are in no order.
    pub(crate) fn of_runs(runs: &[(u64, u64)]) -> Option<Self> {
        let each = runs.iter().all(|(first, last)| first <= last);
        let apart = runs.windows(2).all(|pair| pair[0].1.checked_add(1).is_some_and(|next| next < pair[1].0));
        (each && apart).then(|| Self { runs: runs.iter().copied().collect() })
    }

    /// Runs are apart and in order.
    pub(crate) fn check_invariants(&self) {
        let mut end: Option<u64> = None;
        for (&first, &last) in &self.runs {
            assert!(first <= last, "run {first}..={last} ends before it starts");
            assert!(
                end.is_none_or(|end| end.saturating_add(1) < first),
                "run {first}..={last} touches the one before it"
            );
            end = Some(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Close together, so that runs meet, and at the end of the range.
    fn ids() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..40, Just(u64::MAX), Just(u64::MAX - 1)]
    }

    proptest! {
        // A plain set is the obvious twin of the runs.
        #[test]
        fn runs_remember_what_a_set_remembers(ids in prop::collection::vec(ids(), 0..120)) {
            let (mut runs, mut plain) = (Seen::default(), BTreeSet::new());
            for id in ids {
                prop_assert_eq!(runs.contains(id), plain.contains(&id));
                if plain.insert(id) {
                    runs.insert(id);
                }
                runs.check_invariants();
            }
        }
    }

    #[test]
    fn counted_ids_cost_one_run_even_out_of_order() {
        let mut seen = Seen::default();
        for id in [5, 1, 3, 2, 4].into_iter().chain(6..10_000) {
            seen.insert(id);
        }
        assert_eq!(seen.runs, BTreeMap::from([(1, 9_999)]));
    }
}
