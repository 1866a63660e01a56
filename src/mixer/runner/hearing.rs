//! Who of a meeting hears which stream of its mix, in which shard, and what the shards are told when that changes.
//!
//! The shared stream is a publication for as long as the room lives; each time somebody's own stream begins it is a new one, as
//! its packets count from 0 then. A publication is known in a shard from its first `Hears` there to its `Ends`.
//!
//! ```text
//! comes, goes ──────────────────────┐
//! Outputs::own_listeners, each tick ┴─> settle ─> Hears, Ends ─> to_shared, to_own: where packets go
//! ```

use std::collections::BTreeMap;

use engine::id::{EndpointId, MeetingId, PublicationId};
use engine::mix::MixOrder;
use engine::shard::span::{SHARDS_MAX, ShardIndex};

/// Makes names for publications that no other has.
pub(super) type Names = Box<dyn FnMut() -> PublicationId + Send>;

/// See the module.
pub(super) struct Hearing {
    meeting: MeetingId,
    names: Names,
    shared: PublicationId,
    /// Everybody, and what they were told to hear.
    hearers: BTreeMap<EndpointId, Hearer>,
    /// Those who are not told yet.
    newcomers: Vec<EndpointId>,
    own: BTreeMap<EndpointId, Own>,
    /// How many hear the shared stream in each shard.
    shared_hearers: [usize; SHARDS_MAX],
    ended: Vec<EndpointId>,
    ticks: u64,
}

struct Hearer {
    shard: ShardIndex,
    hears: Option<PublicationId>,
    is_told: bool,
}

/// An own stream.
struct Own {
    publication: PublicationId,
    shard: ShardIndex,
    /// The tick in which it was seen last.
    seen: u64,
}

impl Hearing {
    pub(super) fn new(meeting: MeetingId, mut names: Names) -> Self {
        let shared = names();
        Self {
            meeting,
            names,
            shared,
            hearers: BTreeMap::new(),
            newcomers: Vec::new(),
            own: BTreeMap::new(),
            shared_hearers: [0; SHARDS_MAX],
            ended: Vec::new(),
            ticks: 0,
        }
    }

    /// Somebody listens; the next tick tells what they hear. Who listens already is told again: they may have gone and come back
    /// so quickly that only the coming is seen, and their shard waits for word.
    pub(super) fn comes(&mut self, endpoint: EndpointId, shard: ShardIndex) {
        let hearer = self.hearers.entry(endpoint).or_insert(Hearer { shard, hears: None, is_told: false });
        hearer.is_told = false;
        self.newcomers.push(endpoint);
    }

    /// Somebody hears the forwarded voices again.
    pub(super) fn goes(&mut self, endpoint: EndpointId, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        let Some(Hearer { shard, hears, .. }) = self.hearers.remove(&endpoint) else { return };
        post(shard, MixOrder::Leaves { endpoint });
        if let Some(own) = self.own.remove(&endpoint) {
            post(shard, MixOrder::Ends { publication: own.publication });
        }
        if hears == Some(self.shared) {
            self.leaves_shared(shard, post);
        }
    }

    pub(super) fn contains(&self, endpoint: EndpointId) -> bool {
        self.hearers.contains_key(&endpoint)
    }

    pub(super) fn len(&self) -> usize {
        self.hearers.len()
    }

    /// Tells everybody whose stream is another in this tick. `own`: who has an own one.
    pub(super) fn settle(
        &mut self,
        own: impl Iterator<Item = EndpointId>,
        post: &mut impl FnMut(ShardIndex, MixOrder),
    ) {
        self.ticks += 1;
        for endpoint in own {
            if let Some(own) = self.own.get_mut(&endpoint) {
                own.seen = self.ticks;
            } else if let Some(hearer) = self.hearers.get(&endpoint) {
                let (publication, shard) = ((self.names)(), hearer.shard);
                self.own.insert(endpoint, Own { publication, shard, seen: self.ticks });
                self.hears(endpoint, publication, post);
            }
        }
        let mut ended = std::mem::take(&mut self.ended);
        ended.extend(self.own.iter().filter(|(_, own)| own.seen != self.ticks).map(|(endpoint, _)| *endpoint));
        for endpoint in ended.drain(..) {
            self.hears(endpoint, self.shared, post);
            if let Some(Own { publication, shard, .. }) = self.own.remove(&endpoint) {
                post(shard, MixOrder::Ends { publication });
            }
        }
        self.ended = ended;
        let mut newcomers = std::mem::take(&mut self.newcomers);
        for endpoint in newcomers.drain(..) {
            // Who begins to speak was told above.
            if let Some(hearer) = self.hearers.get(&endpoint).filter(|hearer| !hearer.is_told) {
                self.hears(endpoint, hearer.hears.unwrap_or(self.shared), post);
            }
        }
        self.newcomers = newcomers;
    }

    /// Where the shared stream goes, and as what.
    pub(super) fn to_shared(&self) -> impl Iterator<Item = (ShardIndex, PublicationId)> {
        let shards = (0..SHARDS_MAX).zip(&self.shared_hearers).filter(|(_, hearers)| **hearers > 0);
        shards.filter_map(|(shard, _)| Some((ShardIndex::new(shard)?, self.shared)))
    }

    /// Where somebody's own stream goes, and as what.
    pub(super) fn to_own(&self, endpoint: EndpointId) -> Option<(ShardIndex, PublicationId)> {
        self.own.get(&endpoint).map(|own| (own.shard, own.publication))
    }

    /// Everybody goes.
    pub(super) fn end(&mut self, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        while let Some(endpoint) = self.hearers.keys().next().copied() {
            self.goes(endpoint, post);
        }
    }

    fn hears(&mut self, endpoint: EndpointId, publication: PublicationId, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        let Some(hearer) = self.hearers.get_mut(&endpoint) else { return };
        let (shard, before) = (hearer.shard, hearer.hears.replace(publication));
        hearer.is_told = true;
        post(shard, MixOrder::Hears { endpoint, meeting: self.meeting, publication });
        if before == Some(publication) {
            return;
        }
        if publication == self.shared {
            if let Some(hearers) = self.shared_hearers.get_mut(shard.get()) {
                *hearers += 1;
            }
        } else if before == Some(self.shared) {
            self.leaves_shared(shard, post);
        }
    }

    fn leaves_shared(&mut self, shard: ShardIndex, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        let Some(hearers) = self.shared_hearers.get_mut(shard.get()) else { return };
        *hearers = hearers.saturating_sub(1);
        if *hearers == 0 {
            post(shard, MixOrder::Ends { publication: self.shared });
        }
    }
}
