//! One engine thread's world: its endpoints, meetings and publications, and the turn that moves packets between them.
//!
//! A plain value without sockets, threads, locks or clock: datagrams, commands and `now` go in; datagrams, events, DTLS
//! records and news for other shards come out. Tests run whole meetings through it on virtual time.
//!
//! ```text
//! handle_datagram ┐                    ┌ flush(), outbox()  trains to send
//! handle_command  ├─> Shard (a turn) ──┼ poll_event()       news for signalling
//! handle_relayed  │                    ├ poll_dtls()        handshake records for the control threads
//! handle_timeout  ┘                    └ poll_letter(), relay()  for other shards that carry the same meetings
//! ```
//!
//! After each input the outputs must be drained: `flush` until it says that nothing is due, sending the outbox each time.

mod allocate;
mod arrive;
mod assign;
mod control;
mod demand;
mod due;
mod fanout;
mod flush;
mod health;
mod inlets;
mod mixes;
mod publication;
pub mod span;

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use slab::Slab;
use smallvec::SmallVec;

use crate::clock::{Epoch, Micros};
use crate::counters::Counters;
use crate::egress::store::Store;
use crate::endpoint::webrtc::{Endpoint, PublicationRef, Reports, Turn};
use crate::event::Event;
use crate::id::{EndpointId, LayerId, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::ingest::stream::Stream;
use crate::outbox::Outbox;
use crate::path::Path;
use crate::route::feedback::Feedback;
use crate::route::loudest::Loudest;
use crate::route::speaker::ActiveSpeaker;
use crate::tap::{TapScope, TapSender};
use crate::timers::Timers;

use due::Due;
use publication::{Layer, Publication};
use span::{Letter, ShardIndex, Shards};

/// How often speakers are looked for while anybody talks.
const SPEAKER_INTERVAL: Micros = Micros::from_millis(20);

/// News for the thread that shakes hands.
#[derive(Debug, PartialEq, Eq)]
pub enum DtlsOutput {
    /// A record from the peer.
    Record {
        /// Whose handshake.
        endpoint: EndpointId,
        /// As received.
        datagram: Vec<u8>,
    },
    /// It was heard from a new path: what waited for one can be sent.
    Reachable(EndpointId),
    /// The endpoint is gone, and its session with it.
    Ended(EndpointId),
}

/// Whose job a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Done, or refused.
    Here,
    /// Another shard's: the kernel spreads datagrams over the shards' sockets as it likes.
    HandOver(ShardIndex),
}

/// Who owns a path or an SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// An endpoint of this shard.
    Endpoint(usize),
    /// An endpoint of another one.
    Shard(ShardIndex),
}

/// Where the packets of a publication come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The endpoint with this key.
    Endpoint(usize),
    /// A voice from inside the process, with this key.
    Inlet(usize),
    /// Another shard, which has its endpoint.
    Shard(ShardIndex),
    /// The mixer, which tells every shard that needs it.
    Mixer,
}

impl Origin {
    /// It comes in here, and other shards and taps hear of it from here.
    const fn is_local(self) -> bool {
        matches!(self, Self::Endpoint(_) | Self::Inlet(_))
    }
}

/// A voice from inside the process.
#[derive(Debug)]
struct Inlet {
    participant: ParticipantId,
    stream: Stream,
}

#[derive(Debug)]
struct Tap {
    participant: ParticipantId,
    scope: TapScope,
    sender: TapSender,
}

/// What has to be worked out again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    /// Nothing.
    #[default]
    Nothing,
    /// Endpoints with a free slot: somebody or something came, or a slot became free.
    Free,
    /// Everybody: who speaks has changed.
    All,
}

#[derive(Debug, Default)]
struct Meeting {
    endpoints: Vec<usize>,
    publications: Vec<usize>,
    /// Voices, and shared screens, that were heard of late.
    talkers: Vec<usize>,
    taps: Vec<Tap>,
    speaker: ActiveSpeaker,
    loudest: Loudest,
    stale: Stale,
    /// Speaking publications at the last look; a change makes the assignment stale.
    speaking: usize,
    /// Publications that are not muted, by kind, in the order of their coming.
    open_voices: Vec<usize>,
    open_pictures: Vec<usize>,
    open_screens: Vec<usize>,
    open_screen_sounds: Vec<usize>,
    /// Other shards that have endpoints of this meeting.
    elsewhere: Shards,
}

/// Maps that are looked into for each received packet. Their keys are chosen by those who were admitted, never by strangers,
/// so a fast hash will do.
type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Everything that one engine thread owns.
pub struct Shard {
    index: ShardIndex,
    others: Shards,
    endpoints: Slab<Endpoint>,
    publications: Slab<Publication>,
    inlets: Slab<Inlet>,
    stores: Slab<Store>,
    /// Stores of publications that ended: NACKs may still name their last packets.
    retired: VecDeque<(Micros, usize)>,
    meetings: HashMap<MeetingId, Meeting>,
    by_id: HashMap<EndpointId, usize>,
    by_ufrag: HashMap<String, usize>,
    by_path: FastMap<Path, Owner>,
    by_ssrc: FastMap<u32, Owner>,
    by_publication: HashMap<PublicationId, usize>,
    /// Keys of each participant's cameras.
    cameras: HashMap<ParticipantId, SmallVec<[usize; 2]>>,
    /// Whether an endpoint, by key, has a slot that nobody fills.
    free: Vec<bool>,
    /// Who is muted, and whose screen is on the air: what differs from [`PublicationKind::begins_muted`]. It outlives
    /// endpoints: a page that reloads comes back as muted as it was.
    mutes: HashSet<(ParticipantId, PublicationKind)>,
    /// Paths that endpoints may have moved to and whose check is under way.
    checks: VecDeque<(Path, usize)>,
    /// Layers with packets that no carrier was told of.
    fresh: Vec<(usize, LayerId)>,
    /// Publications whose layers came or went: who shows them chooses again.
    changed: Vec<usize>,
    /// Publications whose packets are of another codec than before, for as long as one packet is routed.
    recoded: Vec<usize>,
    due: Due,
    timers: Timers,
    /// Publications that somebody waits for a key frame of.
    key_frame_wishes: Vec<usize>,
    /// Meetings where somebody talks.
    talkative: Vec<MeetingId>,
    stale: Vec<MeetingId>,
    looked_for_speakers: Micros,
    outbox: Outbox,
    scratch: Vec<u8>,
    reports: Reports,
    events: VecDeque<Event>,
    /// Endpoints whose network is to be told of, and when the last of them had its turn.
    health: VecDeque<usize>,
    health_at: Micros,
    dtls: VecDeque<DtlsOutput>,
    letters: VecDeque<(ShardIndex, Letter)>,
    to_relay: Vec<(usize, LayerId)>,
    epoch: Epoch,
    /// See [`Shard::sabotage`].
    sabotaged: Option<EndpointId>,
    /// What happened, for the runner to publish.
    pub counters: Counters,
}

/// Paths whose check is under way. Full means: the oldest is forgotten, and checked again when its endpoint sends again.
const CHECKS_MAX: usize = 64;

/// How long the packets of an ended publication can still be asked for again.
const RETIRED: Micros = Micros::from_millis(3_000);

impl Shard {
    /// An empty shard whose time counts from `epoch`, alone in its engine.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self::with_index(epoch, ShardIndex::FIRST, 1)
    }

    /// An empty shard, one of several.
    #[must_use]
    pub fn with_index(epoch: Epoch, index: ShardIndex, count: usize) -> Self {
        Self {
            index,
            others: Shards::first(count).without(index),
            endpoints: Slab::new(),
            publications: Slab::new(),
            inlets: Slab::new(),
            stores: Slab::new(),
            retired: VecDeque::new(),
            meetings: HashMap::new(),
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_path: FastMap::default(),
            by_ssrc: FastMap::default(),
            by_publication: HashMap::new(),
            cameras: HashMap::new(),
            free: Vec::new(),
            mutes: HashSet::new(),
            checks: VecDeque::new(),
            fresh: Vec::new(),
            changed: Vec::new(),
            recoded: Vec::new(),
            due: Due::default(),
            timers: Timers::default(),
            key_frame_wishes: Vec::new(),
            talkative: Vec::new(),
            stale: Vec::new(),
            looked_for_speakers: Micros::default(),
            outbox: Outbox::default(),
            scratch: Vec::with_capacity(2_048),
            reports: Reports::default(),
            events: VecDeque::new(),
            health: VecDeque::new(),
            health_at: Micros::default(),
            dtls: VecDeque::new(),
            letters: VecDeque::new(),
            to_relay: Vec::new(),
            epoch,
            sabotaged: None,
            counters: Counters::default(),
        }
    }

    /// Trains to send; clear it when they are gone.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| self.next_health())
    }

    /// The next handshake record.
    pub fn poll_dtls(&mut self) -> Option<DtlsOutput> {
        self.dtls.pop_front()
    }

    /// When [`Shard::handle_timeout`] is next due; never while there is nobody.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        let speakers = !self.talkative.is_empty() || !self.key_frame_wishes.is_empty() || !self.changed.is_empty();
        let speakers = speakers.then(|| self.looked_for_speakers + SPEAKER_INTERVAL);
        [self.timers.next(), speakers].into_iter().flatten().min()
    }

    /// Everything that is due by time. `wall_ntp` is the wall clock of `now` as NTP time, for sender reports.
    pub fn handle_timeout(&mut self, now: Micros, wall_ntp: u64) {
        while let Some(key) = self.timers.poll(now) {
            self.guarded(now, key, |shard| shard.endpoint_timeout(now, key, wall_ntp));
        }
        if now.since(self.looked_for_speakers) >= SPEAKER_INTERVAL {
            self.looked_for_speakers = now;
            self.look_for_speakers(now);
            self.request_key_frames(now);
            self.assign_stale(now);
            self.choose_again(now);
        }
        self.retire_stores(now);
    }

    /// Frees the stores of publications that ended so long ago that nobody asks for their packets any more.
    fn retire_stores(&mut self, now: Micros) {
        while let Some(&(since, store)) = self.retired.front()
            && now.since(since) > RETIRED
        {
            self.retired.pop_front();
            self.stores.try_remove(store);
        }
    }

    fn endpoint_timeout(&mut self, now: Micros, key: usize, wall_ntp: u64) {
        let mut wishes = std::mem::take(&mut self.reports.feedback);
        let (mut gone, mut chooses, mut tells) = (false, false, false);
        let sabotaged = self.sabotaged;
        if let Some((endpoint, mut turn)) = self.turn(now, key) {
            assert!(sabotaged != Some(endpoint.id), "sabotaged on purpose");
            let told = endpoint.is_health_due();
            let next = endpoint.handle_timeout(&mut turn, wall_ntp, &mut wishes);
            tells = !told && endpoint.is_health_due();
            chooses = endpoint.take_choice_due();
            let visits = endpoint.is_to_be_visited();
            gone = endpoint.is_gone(now);
            self.timers.arm(key, next);
            self.due.resume(key);
            if visits {
                self.due.mark_resends(key);
            }
        }
        for wish in wishes.drain(..) {
            self.feedback(now, wish);
        }
        self.reports.feedback = wishes;
        if gone {
            self.lose(now, key);
            return;
        }
        if chooses {
            self.allocate(now, key);
            self.review_demands(now, key);
        }
        if tells {
            self.note_health(now, key);
        }
    }

    /// Runs what may meet a fault of ours in one endpoint: a panic there ends that endpoint and nothing else.
    fn guarded(&mut self, now: Micros, key: usize, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.counters.panics += 1;
            tracing::error!("a fault in one endpoint; it is ended, the others go on");
            self.lose(now, key);
        }
    }

    /// An endpoint and what it needs to act, borrowed apart.
    fn turn(&mut self, now: Micros, key: usize) -> Option<(&mut Endpoint, Turn<'_>)> {
        let endpoint = self.endpoints.get_mut(key)?;
        let turn = Turn { now, outbox: &mut self.outbox, scratch: &mut self.scratch, counters: &mut self.counters };
        Some((endpoint, turn))
    }

    fn feedback(&mut self, now: Micros, feedback: Feedback) {
        match feedback {
            Feedback::KeyFrame(publication, layer) => {
                if let Some(&key) = self.by_publication.get(&publication) {
                    self.want_key_frame(now, key, layer);
                }
            }
            Feedback::Broken(publication, layer) => {
                let Some(&key) = self.by_publication.get(&publication) else { return };
                let is_seen = |source: &Publication| {
                    let is_carried = source.layer(layer).is_some_and(Layer::is_carried);
                    is_carried || source.tapped && source.joined.is_shown(layer)
                };
                if self.publications.get(key).is_some_and(is_seen) {
                    self.want_key_frame(now, key, layer);
                }
            }
        }
    }

    fn want_key_frame(&mut self, now: Micros, key: usize, layer: LayerId) {
        let Some(publication) = self.publications.get_mut(key) else { return };
        if !publication.key_frames.is_open() {
            self.key_frame_wishes.push(key);
        }
        // One stream has one encoder to ask.
        publication.key_frames.want(if publication.nested { LayerId::LOWEST } else { layer });
        self.request_key_frame(now, key);
    }

    /// Asks now if the throttle and the publisher's state allow; otherwise the wish stays open for a later look.
    fn request_key_frame(&mut self, now: Micros, key: usize) {
        let Some(publication) = self.publications.get_mut(key) else { return };
        if !publication.key_frames.may_ask(now) {
            return;
        }
        let id = publication.id;
        let mut has_asked = false;
        for layer in publication.key_frames.wishes() {
            match publication.origin {
                Origin::Shard(home) => {
                    self.letters.push_back((home, Letter::KeyFrame(id, layer)));
                    has_asked = true;
                }
                // They have no pictures.
                Origin::Mixer | Origin::Inlet(_) => {}
                Origin::Endpoint(endpoint) => {
                    let Some(endpoint) = self.endpoints.get_mut(endpoint) else { return };
                    let others = publication.traffic.highest(now).is_some();
                    if others && !publication.traffic.is_arriving(now, layer) && !publication.traffic.is_new(layer) {
                        // Its sender has stopped it; it will begin with a key frame when it comes back.
                        publication.key_frames.settle(layer);
                    } else if endpoint.can_request_key_frame(id, layer) {
                        let mut turn = Turn {
                            now,
                            outbox: &mut self.outbox,
                            scratch: &mut self.scratch,
                            counters: &mut self.counters,
                        };
                        endpoint.request_key_frame(&mut turn, id, layer);
                        has_asked = true;
                    }
                }
            }
        }
        if has_asked {
            publication.key_frames.asked(now);
        }
    }

    fn request_key_frames(&mut self, now: Micros) {
        let mut wishes = std::mem::take(&mut self.key_frame_wishes);
        wishes.retain(|&key| {
            let open = self.publications.get(key).is_some_and(|publication| publication.key_frames.is_open());
            if open {
                self.request_key_frame(now, key);
            }
            open
        });
        self.key_frame_wishes = wishes;
    }

    /// How many taps listen to a meeting.
    #[must_use]
    pub fn taps(&self, meeting: MeetingId) -> usize {
        self.meetings.get(&meeting).map_or(0, |meeting| meeting.taps.len())
    }

    /// Makes the next timer of an endpoint fail as a fault of ours would: for the test that only this endpoint ends.
    #[doc(hidden)]
    pub fn sabotage(&mut self, endpoint: EndpointId) {
        self.sabotaged = Some(endpoint);
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// How many publications and meetings there are.
    #[must_use]
    pub fn census(&self) -> (usize, usize) {
        (self.publications.len(), self.meetings.len())
    }

    /// Whom the datagrams of a train that the kernel refused concern: their slots drop the rest of the frame, which would
    /// be of no use, and leave the room to others.
    pub fn train_refused(&mut self, endpoint: u32, slots: u64) {
        let Some(endpoint) = self.endpoints.get_mut(endpoint as usize) else { return };
        for (at, slot) in endpoint.slots.iter_mut().enumerate().take(u64::BITS as usize) {
            if slots >> at & 1 == 1 {
                slot.drop_frame();
            }
        }
    }

    fn lose(&mut self, now: Micros, key: usize) {
        if let Some(endpoint) = self.endpoints.get(key) {
            let endpoint = endpoint.id;
            self.remove_endpoint(now, key);
            self.events.push_back(Event::Lost { endpoint });
        }
    }

    fn mark_stale(&mut self, id: MeetingId, stale: Stale) {
        let Some(meeting) = self.meetings.get_mut(&id) else { return };
        if meeting.stale == Stale::Nothing {
            self.stale.push(id);
        }
        meeting.stale = meeting.stale.max(stale);
    }
}

impl PublicationRef {
    fn of(key: usize, publication: &Publication) -> Self {
        Self { key, id: publication.id }
    }
}
