//! Dynacast: what its publisher is asked to send of a camera is what somebody's tile is made for, and no more.
//!
//! Every receiver chooses its layers at least once a second, and says each time which one its tile is made for, whatever its path
//! carries: who cannot have a layer now must find it when they can. So nothing is counted: a layer is in demand until nobody has
//! asked for it for [`LINGER`].
//!
//! ```text
//! allocate (each receiver) -> wish_for ─┬─ here      -> Demand ── rises at once, falls later ──> Event::Demand
//!                                       └─ elsewhere -> Letter::Demand, once a second -> the home shard's wish_for
//! endpoint_timeout (publisher) -> review_demands: taps wish for everything; what nobody asked for falls
//! ```

use smallvec::SmallVec;

use super::span::Letter;
use super::{Origin, Shard};
use crate::clock::Micros;
use crate::event::Event;
use crate::id::{LAYERS_MAX, LayerId};

/// A layer is sent for so long after the last wish for it: a tile that is made small for a moment costs no key frame.
const LINGER: Micros = Micros::from_millis(5_000);

/// How often a shard repeats its wishes to the publication's own.
const REPEAT: Micros = Micros::from_millis(1_000);

/// Who wants which layers of one publication.
#[derive(Debug)]
pub(super) struct Demand {
    /// When a layer, or a higher one, was last wished for.
    wished: [Option<Micros>; LAYERS_MAX],
    /// What the publisher was told, or sends without having been told: everything.
    told: LayerId,
    /// When the home shard was last told, and of which layer.
    repeated: Option<(Micros, LayerId)>,
    since: Micros,
}

impl Demand {
    pub(super) const fn new(now: Micros, highest: LayerId) -> Self {
        Self { wished: [None; LAYERS_MAX], told: highest, repeated: None, since: now }
    }

    fn note(&mut self, now: Micros, layer: LayerId) {
        for wished in self.wished.iter_mut().take(usize::from(layer.0) + 1) {
            *wished = Some(now);
        }
    }

    /// The highest layer that was wished for of late; the lowest is always in demand, so that a newcomer sees it at once.
    fn highest(&self, now: Micros) -> LayerId {
        let is_wished = |wished: &Option<Micros>| wished.is_some_and(|at| now.since(at) < LINGER);
        let highest = self.wished.iter().rposition(is_wished).map_or(LayerId::LOWEST, |at| LayerId(at as u8));
        // At first everybody is still on their way.
        if now.since(self.since) < LINGER { highest.max(self.told) } else { highest }
    }

    /// What the publisher is to be told, if anything.
    fn change(&mut self, now: Micros) -> Option<LayerId> {
        let highest = self.highest(now);
        (std::mem::replace(&mut self.told, highest) != highest).then_some(highest)
    }

    /// Whether the home shard is to be told of a wish.
    fn repeats(&mut self, now: Micros, layer: LayerId) -> bool {
        let is_new = self.repeated.is_none_or(|(at, told)| layer > told || now.since(at) >= REPEAT);
        if is_new {
            // Within one interval the highest wish counts.
            let highest = self.highest(now).max(layer);
            self.repeated = Some((now, highest));
        }
        is_new
    }
}

impl Shard {
    /// Somebody's tile is made for this layer of a publication.
    pub(super) fn wish_for(&mut self, now: Micros, key: usize, layer: LayerId) {
        let Some(source) = self.publications.get_mut(key).filter(|source| source.layers.len() > 1) else { return };
        source.demand.note(now, layer);
        match source.origin {
            Origin::Mixer | Origin::Inlet(_) => {}
            Origin::Endpoint(_) => self.tell_demand(now, key),
            Origin::Shard(home) => {
                if source.demand.repeats(now, layer) {
                    self.letters.push_back((home, Letter::Demand(source.id, layer)));
                }
            }
        }
    }

    /// The publications of an endpoint, once a second: what nobody has asked for is not sent any longer.
    pub(super) fn review_demands(&mut self, now: Micros, endpoint: usize) {
        let Some(endpoint) = self.endpoints.get(endpoint) else { return };
        let keys: SmallVec<[usize; 4]> = endpoint.publications().map(|publication| publication.key).collect();
        for key in keys {
            let Some(source) = self.publications.get_mut(key).filter(|source| source.layers.len() > 1) else {
                continue;
            };
            if source.tapped {
                source.demand.note(now, LayerId(source.layers.len() as u8 - 1));
            }
            self.tell_demand(now, key);
        }
    }

    fn tell_demand(&mut self, now: Micros, key: usize) {
        let Some(source) = self.publications.get_mut(key) else { return };
        let Origin::Endpoint(endpoint) = source.origin else { return };
        if let Some(highest) = source.demand.change(now)
            && let Some(endpoint) = self.endpoints.get(endpoint)
        {
            self.events.push_back(Event::Demand { endpoint: endpoint.id, publication: source.id, highest });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    const LOW: LayerId = LayerId(0);
    const MIDDLE: LayerId = LayerId(1);
    const HIGH: LayerId = LayerId(2);

    #[test]
    fn demand_rises_at_once_and_falls_when_nobody_has_asked_for_five_seconds() {
        let mut demand = Demand::new(ms(0), HIGH);
        demand.note(ms(1_000), MIDDLE);
        assert_eq!(demand.change(ms(4_999)), None, "everybody is still on their way");
        assert_eq!(demand.change(ms(5_000)), Some(MIDDLE));
        assert_eq!(demand.change(ms(5_500)), None, "told");
        demand.note(ms(5_600), HIGH);
        assert_eq!(demand.change(ms(5_600)), Some(HIGH));
        demand.note(ms(10_000), MIDDLE);
        assert_eq!(demand.change(ms(10_599)), None);
        assert_eq!(demand.change(ms(10_600)), Some(MIDDLE));
        assert_eq!(demand.change(ms(15_000)), Some(LOW), "the lowest is sent even when nobody looks");
        assert_eq!(demand.change(ms(60_000)), None);
    }

    #[test]
    fn another_shard_repeats_its_highest_wish_once_a_second_and_a_higher_one_at_once() {
        let mut demand = Demand::new(ms(0), LOW);
        for (at, layer, repeats) in
            [(0, LOW, true), (10, LOW, false), (20, HIGH, true), (30, MIDDLE, false), (1_020, MIDDLE, true)]
        {
            demand.note(ms(at), layer);
            assert_eq!(demand.repeats(ms(at), layer), repeats, "{at}");
        }
    }
}
