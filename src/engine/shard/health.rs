//! Tells what each endpoint's network is like, every two seconds.
//!
//! Timers only note whose turn it is; the value is put together when the news is fetched, so that what is due by time stays free of
//! allocation, and nobody who does not fetch lets anything grow: an endpoint waits here once.
//!
//! ```text
//! endpoint_timeout -> note_health -> [keys] -> poll_event -> Event::Health
//! ```

use super::Shard;
use crate::clock::Micros;
use crate::endpoint::webrtc::LineTally;
use crate::event::Event;
use crate::health::{Health, Limit, Reason, SlotHealth, Uplink};
use crate::id::MediaKind;
use crate::route::allocate::Why;

impl Shard {
    /// It is an endpoint's turn.
    pub(super) fn note_health(&mut self, now: Micros, key: usize) {
        self.health_at = now;
        self.health.push_back(key);
    }

    /// The next endpoint's.
    pub(super) fn next_health(&mut self) -> Option<Event> {
        while let Some(key) = self.health.pop_front() {
            let Some(endpoint) = self.endpoints.get_mut(key) else { continue };
            // Another endpoint with the key of one that is gone has no turn yet.
            if endpoint.take_health_due() {
                let id = endpoint.id;
                let health = self.health_of(key);
                self.count_health(&health);
                return Some(Event::Health { endpoint: id, health: Box::new(health) });
            }
        }
        None
    }

    /// For operators: how many paths are limited by what, and how many pictures, without saying whose.
    fn count_health(&mut self, health: &Health) {
        let counters = &mut self.counters;
        if let Some(down) = health.down {
            *match down.limit {
                Limit::Nothing => &mut counters.downlinks_free,
                Limit::Queue => &mut counters.downlinks_queued,
                Limit::Loss => &mut counters.downlinks_lossy,
                Limit::Silence => &mut counters.downlinks_silent,
                Limit::Client | Limit::Operator => &mut counters.downlinks_by_choice,
            } += 1;
        }
        for slot in &health.slots {
            *match slot.reason {
                Reason::Wanted => &mut counters.pictures_wanted,
                Reason::Source => &mut counters.pictures_source,
                Reason::Network => &mut counters.pictures_network,
            } += 1;
        }
    }

    fn health_of(&mut self, key: usize) -> Health {
        let now = self.health_at;
        let Some(endpoint) = self.endpoints.get_mut(key) else {
            return Health::default();
        };
        let (down, received) = (endpoint.downlink(), endpoint.uplink());
        let up = received.iter().filter_map(|received| self.uplink_of(now, received)).collect();
        let slots = self.slots_of(now, key);
        Health { down, slots, up }
    }

    fn slots_of(&self, now: Micros, key: usize) -> Vec<SlotHealth> {
        let Some(endpoint) = self.endpoints.get(key) else { return Vec::new() };
        let pictures = endpoint.slots.iter().filter(|slot| slot.line().kind == MediaKind::Video);
        let slots = pictures.filter_map(|slot| {
            let (publication, choice) = (slot.assigned()?, slot.choice()?);
            let source = self.by_publication.get(&publication).and_then(|&key| self.publications.get(key))?;
            let layer = slot.layer_of(publication);
            Some(SlotHealth {
                mid: slot.line().mid.clone(),
                publication,
                layer,
                wanted: Self::wanted_layer(endpoint, source),
                rate: layer.and_then(|layer| source.traffic.rate(now, layer)),
                reason: match choice.why {
                    Why::Wanted => Reason::Wanted,
                    Why::Network => Reason::Network,
                    Why::Source => Reason::Source,
                },
            })
        });
        slots.collect()
    }

    fn uplink_of(&self, now: Micros, received: &LineTally) -> Option<Uplink> {
        let source = self.publications.get(received.publication.key);
        let source = source.filter(|source| source.id == received.publication.id && !source.muted)?;
        let tally = received.tally?;
        let (loss_permille, missing_permille) = tally.permille();
        Some(Uplink {
            publication: source.id,
            kind: source.kind,
            rates: source.traffic.rates(now),
            packets: u32::try_from(tally.expected).unwrap_or(u32::MAX),
            loss_permille,
            missing_permille,
            jitter: received.jitter,
        })
    }
}
