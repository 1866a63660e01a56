//! Which layer of each picture one receiver gets, for what its path carries (DESIGN 4.4).
//!
//! Everybody first gets the lowest layer, in the order of rank, as far as the budget goes; what is left raises them one after the
//! other to the layer that their tiles are made for. What is being sent is kept while it nearly fits, and something more is
//! begun only when it fits with room to spare: a choice that is made back and forth is worse than either.
//!
//! ```text
//! budget (target less voices), the client's own limit, candidates by rank -> allocate -> a layer or nothing for each, and why
//! ```
//!
//! Pure: no clock, no state. Who may be raised at all (not just after a fall) is said by the caller.

use smallvec::SmallVec;

use crate::id::{LAYERS_MAX, LayerId, layers};

/// Of its rate, what has to fit for a layer to be kept. Cameras vary by this much from second to second.
const KEEP_PERCENT: u64 = 90;

/// The same of a small lowest layer: estimates of so little are rough, and a picture that stutters for a moment is better than one
/// that is gone and comes again. Plain video of more than that would only fill the queue.
const KEEP_SMALL_PERCENT: u64 = 50;
const SMALL: u64 = 300_000;

/// Of its rate, what has to fit for a layer to be begun.
const BEGIN_PERCENT: u64 = 115;

/// A picture that a receiver is to see.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Bits a second of the layers that arrive; 0 for one that was not measured yet.
    pub rates: [Option<u32>; LAYERS_MAX],
    /// The layer that its tile is made for.
    pub desired: LayerId,
    /// What is sent, or waits for its key frame to be.
    pub current: Option<LayerId>,
    /// More may be begun now.
    pub may_raise: bool,
    /// Never taken away: a screen that comes late can still be read, and one that is not there cannot. The others get what it
    /// leaves.
    pub is_kept: bool,
}

/// Why a receiver gets the layer that it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// It is what the tile is made for, or as much as the client wants to be sent.
    #[default]
    Wanted,
    /// The path carries no more.
    Network,
    /// The publisher sends no more.
    Source,
}

/// What one picture gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Nothing: the path does not carry even the lowest.
    pub layer: Option<LayerId>,
    /// Why not more.
    pub why: Why,
}

/// What all of them get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// For each candidate.
    pub choices: SmallVec<[Choice; 16]>,
    /// Bits a second below which something has to be taken away.
    pub keep_at: u64,
    /// Bits a second at which somebody would get more.
    pub raise_at: Option<u64>,
    /// Bits a second of everything that is desired.
    pub desired: u64,
}

impl Candidate {
    fn rate(&self, layer: LayerId) -> Option<u64> {
        self.rates.get(usize::from(layer.0)).copied().flatten().map(u64::from)
    }

    /// What has to fit for what is sent to be kept.
    #[must_use]
    pub fn keep_at(&self) -> u64 {
        self.current.and_then(|layer| self.kept(layer)).unwrap_or_default()
    }

    /// What has to fit for a layer to be kept.
    fn kept(&self, layer: LayerId) -> Option<u64> {
        let rate = self.rate(layer)?;
        let is_lowest = self.rates.iter().take(usize::from(layer.0)).all(Option::is_none);
        let percent = if is_lowest && rate <= SMALL { KEEP_SMALL_PERCENT } else { KEEP_PERCENT };
        Some(rate * percent / 100)
    }

    /// What a layer takes of the budget.
    fn cost(&self, layer: LayerId) -> Option<u64> {
        let percent = if self.holds(layer) { KEEP_PERCENT } else { BEGIN_PERCENT };
        self.rate(layer).map(|rate| rate * percent / 100)
    }

    /// What has to fit for it to be had at all: something that is held may take all that is left, and a little more.
    fn least(&self, layer: LayerId) -> Option<u64> {
        if self.holds(layer) { self.kept(layer) } else { self.cost(layer) }
    }

    fn holds(&self, layer: LayerId) -> bool {
        self.current.is_some_and(|current| current >= layer)
    }

    /// Whether it may have a layer as far as time goes.
    fn may_have(&self, layer: LayerId) -> bool {
        self.may_raise || self.holds(layer)
    }

    /// The arriving layers that are of use, the lowest first: up to the desired one, or the lowest above it.
    fn useful(&self) -> SmallVec<[LayerId; LAYERS_MAX]> {
        let arriving = || layers(LAYERS_MAX as u8).filter(|layer| self.rate(*layer).is_some());
        let mut useful: SmallVec<_> = arriving().filter(|layer| *layer <= self.desired).collect();
        if useful.is_empty() {
            useful.extend(arriving().next());
        }
        useful
    }
}

/// Chooses. `candidates` stand in the order of their rank. `budget`: bits a second that are believed to be there for all of
/// them; `None`: nothing is known against giving everybody everything. `spare`: what there will be beside it once a queue has
/// drained: lowest layers that are sent are kept by it, for a picture that is taken away for that moment is gone for seconds.
/// `most`: what they may really take, whatever nearly fits.
#[must_use]
pub fn allocate(budget: Option<u64>, spare: u64, most: Option<u64>, candidates: &[Candidate]) -> Allocation {
    let total = budget.unwrap_or(u64::MAX);
    let mut spare = spare;
    let mut allowed = most.unwrap_or(u64::MAX);
    let mut left = total;
    let mut allocation = Allocation::default();
    // What more it would take for the next step of anybody.
    let mut lacking: Option<u64> = None;
    let mut lack = |missing: u64| lacking = Some(lacking.map_or(missing, |least| least.min(missing)));
    let useful: SmallVec<[_; 16]> = candidates.iter().map(Candidate::useful).collect();
    for (candidate, useful) in candidates.iter().zip(&useful) {
        let Some(&lowest) = useful.first() else {
            // Nothing arrives. The slot waits for the lowest layer, with which every publisher begins.
            allocation.choices.push(Choice { layer: Some(LayerId::LOWEST), why: Why::Source });
            continue;
        };
        let (cost, rate) = (candidate.cost(lowest).unwrap_or_default(), candidate.rate(lowest).unwrap_or_default());
        if rate > allowed && !candidate.is_kept {
            allocation.choices.push(Choice { layer: None, why: Why::Wanted });
            continue;
        }
        allocation.desired += useful.last().and_then(|layer| candidate.rate(*layer)).unwrap_or_default();
        let held = if candidate.holds(lowest) { spare } else { 0 };
        let least = candidate.least(lowest).unwrap_or_default();
        let fits = least <= left.saturating_add(held) && candidate.may_have(lowest);
        let layer = (fits || candidate.is_kept).then_some(lowest);
        match layer {
            Some(_) => {
                spare = spare.saturating_sub(cost.saturating_sub(left));
                (left, allowed) = (left.saturating_sub(cost), allowed.saturating_sub(rate));
            }
            None => lack(cost.saturating_sub(left)),
        }
        allocation.choices.push(Choice { layer, why: Why::Network });
    }
    for ((candidate, useful), choice) in candidates.iter().zip(&useful).zip(&mut allocation.choices) {
        let (Some(lowest), Some(&highest)) = (choice.layer, useful.last()) else { continue };
        let mut held = candidate.cost(lowest).unwrap_or_default();
        let mut rate = candidate.rate(lowest).unwrap_or_default();
        let mut is_limited = false;
        for &layer in useful.iter().filter(|layer| **layer > lowest) {
            let cost = candidate.cost(layer).unwrap_or_default();
            let more = cost.saturating_sub(held);
            let more_rate = candidate.rate(layer).unwrap_or_default().saturating_sub(rate);
            if more_rate > allowed {
                is_limited = true;
                break;
            }
            if more > left || !candidate.may_have(layer) {
                lack(more.saturating_sub(left));
                break;
            }
            (left, held) = (left - more, cost.max(held));
            (allowed, rate) = (allowed - more_rate, rate + more_rate);
            choice.layer = Some(layer);
        }
        choice.why = match choice.layer {
            Some(_) if is_limited => Why::Wanted,
            Some(layer) if layer < highest => Why::Network,
            Some(layer) if layer < candidate.desired => Why::Source,
            _ => Why::Wanted,
        };
    }
    let sent = candidates.iter().zip(&allocation.choices).filter(|(_, choice)| choice.layer.is_some());
    // Where only what is kept anyway is sent there is nothing to take away.
    if sent.clone().any(|(candidate, _)| !candidate.is_kept) {
        let held: u64 = sent.filter_map(|(candidate, choice)| candidate.kept(choice.layer?)).sum();
        allocation.keep_at = held.min(total);
    }
    allocation.raise_at = lacking.map(|lacking| total.saturating_add(lacking));
    allocation
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const LOW: LayerId = LayerId(0);
    const MIDDLE: LayerId = LayerId(1);
    const HIGH: LayerId = LayerId(2);

    /// Three layers of 150, 500 and 1,700 kbit/s that nobody is sent yet.
    fn camera() -> Candidate {
        Candidate {
            rates: [Some(150_000), Some(500_000), Some(1_700_000)],
            desired: HIGH,
            current: None,
            may_raise: true,
            is_kept: false,
        }
    }

    fn layers_of(allocation: &Allocation) -> Vec<Option<u8>> {
        allocation.choices.iter().map(|choice| choice.layer.map(|layer| layer.0)).collect()
    }

    fn allocate(budget: Option<u64>, candidates: &[Candidate]) -> Allocation {
        super::allocate(budget, 0, None, candidates)
    }

    #[test]
    fn what_the_client_takes_at_most_is_no_estimate_that_nearly_fits() {
        let sent = Candidate { current: Some(LOW), ..camera() };
        let within = |most| super::allocate(Some(2_000_000), 0, Some(most), &[sent; 4]);
        assert_eq!(layers_of(&within(600_000)), [Some(0); 4]);
        assert_eq!(
            layers_of(&within(599_999)),
            [Some(0), Some(0), Some(0), None],
            "though it would be kept on a path of so much"
        );
        assert_eq!(layers_of(&within(949_999)), [Some(0); 4]);
        let raised = within(950_000);
        assert_eq!(layers_of(&raised), [Some(1), Some(0), Some(0), Some(0)]);
        assert!(raised.choices.iter().all(|choice| choice.why == Why::Wanted), "the network is not to blame");
        assert_eq!(raised.raise_at, None, "and nothing is waited for");
    }

    #[test]
    fn what_there_will_be_when_a_queue_has_drained_keeps_lowest_layers_and_begins_and_raises_nothing() {
        let sent = Candidate { current: Some(LOW), ..camera() };
        let with =
            |spare, candidates: &[Candidate]| layers_of(&super::allocate(Some(190_000), spare, None, candidates));
        assert_eq!(with(0, &[sent; 2]), [Some(0), None]);
        assert_eq!(with(20_000, &[sent; 2]), [Some(0), Some(0)]);
        assert_eq!(with(20_000, &[sent; 3]), [Some(0), Some(0), None], "once, and not for each");
        assert_eq!(with(1_000_000, &[sent, camera()]), [Some(0), None], "who is not sent waits for the target");
        assert_eq!(with(1_000_000, &[sent; 2]), [Some(0), Some(0)], "and nobody gets more");
        let middle = Candidate { current: Some(MIDDLE), ..camera() };
        assert_eq!(with(1_000_000, &[middle; 2]), [Some(0), Some(0)]);
    }

    #[test]
    fn without_a_budget_everybody_gets_what_their_tile_is_made_for() {
        let allocation = allocate(None, &[camera(), Candidate { desired: LOW, ..camera() }]);
        assert_eq!(layers_of(&allocation), [Some(2), Some(0)]);
        assert!(allocation.choices.iter().all(|choice| choice.why == Why::Wanted));
        assert_eq!((allocation.raise_at, allocation.desired), (None, 1_850_000));
    }

    #[test]
    fn everybody_gets_the_lowest_before_the_first_gets_more() {
        let allocation = allocate(Some(800_000), &[camera(); 3]);
        assert_eq!(layers_of(&allocation), [Some(0), Some(0), Some(0)], "a middle one takes 402,500 more");
        assert_eq!(allocation.raise_at, Some(3 * 172_500 + 402_500));
        let allocation = allocate(allocation.raise_at, &[camera(); 3]);
        assert_eq!(layers_of(&allocation), [Some(1), Some(0), Some(0)]);
        assert_eq!(allocation.choices[0].why, Why::Network);
    }

    #[test]
    fn who_stands_last_gets_nothing_where_not_even_the_lowest_of_all_fit() {
        let allocation = allocate(Some(400_000), &[camera(); 3]);
        assert_eq!(layers_of(&allocation), [Some(0), Some(0), None]);
        let single = Candidate { rates: [Some(2_500_000), None, None], desired: LOW, ..camera() };
        assert_eq!(layers_of(&allocate(Some(2_000_000), &[single, camera()])), [None, Some(2)], "the next may fit");
    }

    #[test]
    fn what_is_sent_is_kept_while_it_nearly_fits_and_begun_only_with_room_to_spare() {
        let held = Candidate { current: Some(MIDDLE), ..camera() };
        for (budget, begun, kept) in [(440_000, 0, 0), (460_000, 0, 1), (560_000, 0, 1), (580_000, 1, 1)] {
            assert_eq!(layers_of(&allocate(Some(budget), &[camera()])), [Some(begun)], "{budget}");
            assert_eq!(layers_of(&allocate(Some(budget), &[held])), [Some(kept)], "{budget}");
        }
        assert_eq!(allocate(Some(560_000), &[held]).keep_at, 450_000);
    }

    #[test]
    fn a_small_picture_is_kept_longer_than_a_large_one() {
        let held = Candidate { current: Some(LOW), ..camera() };
        assert_eq!(layers_of(&allocate(Some(80_000), &[held])), [Some(0)]);
        assert_eq!(layers_of(&allocate(Some(70_000), &[held])), [None]);
        assert_eq!(layers_of(&allocate(Some(80_000), &[camera()])), [None], "it would not be begun");
        let plain = Candidate { rates: [Some(1_000_000), None, None], current: Some(LOW), ..camera() };
        assert_eq!(layers_of(&allocate(Some(800_000), &[plain])), [None], "half of it would be a broken picture");
    }

    #[test]
    fn who_may_not_be_raised_stays_and_who_has_nothing_gets_nothing() {
        let held = Candidate { current: Some(LOW), may_raise: false, ..camera() };
        let off = Candidate { current: None, ..held };
        assert_eq!(layers_of(&allocate(None, &[held, off])), [Some(0), None]);
    }

    #[test]
    fn a_screen_is_never_taken_away_and_cameras_get_what_it_leaves() {
        let screen = Candidate { rates: [Some(900_000), None, None], desired: LOW, is_kept: true, ..camera() };
        let allocation = allocate(Some(500_000), &[screen, camera()]);
        assert_eq!(layers_of(&allocation), [Some(0), None]);
        assert_eq!(allocation.keep_at, 0, "there is nothing that could be taken away");
        assert_eq!(layers_of(&allocate(Some(1_300_000), &[screen, camera()])), [Some(0), Some(0)]);
        assert_eq!(layers_of(&allocate(Some(9_000_000), &[screen, camera()])), [Some(0), Some(2)]);
        let unmeasured = Candidate { rates: [None; 3], may_raise: false, ..screen };
        assert_eq!(layers_of(&allocate(Some(0), &[unmeasured, camera()])), [Some(0), None]);
    }

    #[test]
    fn what_does_not_arrive_is_not_chosen() {
        let stopped = Candidate { rates: [Some(150_000), None, None], current: Some(HIGH), ..camera() };
        let silent = Candidate { rates: [None; 3], ..camera() };
        let above = Candidate { rates: [None, None, Some(900_000)], desired: LOW, ..camera() };
        let allocation = allocate(None, &[stopped, silent, above]);
        assert_eq!(layers_of(&allocation), [Some(0), Some(0), Some(2)]);
        assert_eq!(allocation.choices[0].why, Why::Source);
    }

    prop_compose! {
        fn candidates()(
            rates in [prop::option::of(0u32..4_000_000), prop::option::of(0u32..4_000_000), prop::option::of(0u32..4_000_000)],
            desired in 0u8..3,
            current in prop::option::of(0u8..3),
            may_raise in any::<bool>(),
            is_kept in any::<bool>(),
        ) -> Candidate {
            Candidate { rates, desired: LayerId(desired), current: current.map(LayerId), may_raise, is_kept }
        }
    }

    #[test]
    fn a_screen_in_layers_of_which_the_lower_takes_more_does_not_go_back_and_forth() {
        let rates = [Some(94_324), Some(52_404), None];
        let mut screen = Candidate { rates, desired: MIDDLE, is_kept: true, ..camera() };
        let first = layers_of(&allocate(Some(0), &[screen]));
        screen.current = Some(MIDDLE);
        assert_eq!((first, layers_of(&allocate(Some(0), &[screen]))), (vec![Some(1)], vec![Some(1)]));
    }

    proptest! {
        /// What is chosen arrives and fits; the same question has the same answer once it was carried out, so that nothing
        /// goes back and forth.
        #[test]
        fn choices_are_sound_and_stay(
            budget in prop::option::of(0u64..10_000_000),
            mut candidates in prop::collection::vec(candidates(), 0..9),
        ) {
            let allocation = allocate(budget, &candidates);
            prop_assert_eq!(allocation.choices.len(), candidates.len());
            prop_assert!(allocation.keep_at <= budget.unwrap_or(u64::MAX));
            for (candidate, choice) in candidates.iter_mut().zip(&allocation.choices) {
                if let Some(layer) = choice.layer {
                    prop_assert!(candidate.rate(layer).is_some() || layer == LayerId::LOWEST);
                }
                candidate.current = choice.layer;
                candidate.may_raise = false;
            }
            let again = allocate(budget, &candidates);
            prop_assert_eq!(layers_of(&again), layers_of(&allocation));
        }
    }
}
