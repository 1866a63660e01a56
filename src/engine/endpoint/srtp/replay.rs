//! The replay window of one SSRC (RFC 3711 §3.3.2): a ring of bits, one per packet index.

/// Indexes behind the highest that are still told apart. A 4K key frame is a few hundred packets, and a path of 300 ms
/// at 50 Mbit/s holds about 1,600: whatever is reordered by more than this is a retransmission on another SSRC anyway.
const WINDOW: u64 = 2048;
const WORDS: usize = (WINDOW / 64) as usize;

#[derive(Debug)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// Bit `index % WINDOW`; valid for `highest - WINDOW < index <= highest`.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// A window in which `index` is the only one seen.
    pub(super) fn starting_at(index: u64) -> Self {
        let mut window = Self { highest: index, seen: [0; WORDS] };
        window.set(index);
        window
    }

    pub(super) const fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether a packet of this index may still come: not seen, and not too old to tell.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        if index > self.highest {
            return true;
        }
        let (word, mask) = place(index);
        self.highest - index < WINDOW && self.seen.get(word).is_some_and(|bits| bits & mask == 0)
    }

    /// Notes an authentic packet; one that is too old is ignored.
    pub(super) fn accept(&mut self, index: u64) {
        if index > self.highest {
            self.advance(index);
        }
        if self.highest - index < WINDOW {
            self.set(index);
        }
    }

    /// Forgets what falls out of the window, so that its bits can stand for the new indexes.
    fn advance(&mut self, index: u64) {
        if index - self.highest >= WINDOW {
            self.seen = [0; WORDS];
        } else {
            for entering in self.highest + 1..=index {
                let (word, mask) = place(entering);
                if let Some(bits) = self.seen.get_mut(word) {
                    *bits &= !mask;
                }
            }
        }
        self.highest = index;
    }

    fn set(&mut self, index: u64) {
        let (word, mask) = place(index);
        if let Some(bits) = self.seen.get_mut(word) {
            *bits |= mask;
        }
    }
}

const fn place(index: u64) -> (usize, u64) {
    let bit = index % WINDOW;
    ((bit / 64) as usize, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_index_is_fresh_once() {
        let mut window = ReplayWindow::starting_at(70_000);
        assert!(!window.is_fresh(70_000));
        for index in [70_002, 70_001, 70_500, 70_000 - 900] {
            assert!(window.is_fresh(index));
            window.accept(index);
            assert!(!window.is_fresh(index));
        }
    }

    #[test]
    fn an_index_behind_the_window_is_never_fresh() {
        let window = ReplayWindow::starting_at(WINDOW + 10);
        assert!(!window.is_fresh(10));
        assert!(window.is_fresh(11));
    }

    #[test]
    fn a_jump_beyond_the_window_forgets_all_of_it() {
        let mut window = ReplayWindow::starting_at(0);
        window.accept(3 * WINDOW);
        assert!(window.is_fresh(3 * WINDOW - 1));
        assert!(!window.is_fresh(2 * WINDOW));
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set_of_all_indexes(steps in prop::collection::vec(-3_000_i64..3_000, 1..400)) {
            let mut window = ReplayWindow::starting_at(100_000);
            let mut seen = std::collections::HashSet::from([100_000_u64]);
            for step in steps {
                let index = window.highest().saturating_add_signed(step);
                let fresh = window.highest().saturating_sub(index) < WINDOW && !seen.contains(&index);
                prop_assert_eq!(window.is_fresh(index), fresh);
                if fresh {
                    window.accept(index);
                    seen.insert(index);
                }
            }
        }
    }
}
