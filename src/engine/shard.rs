//! One engine thread's world: its endpoints, meetings and publications, and the turn that moves packets between them.
//!
//! A plain value without sockets, threads, locks or clock: datagrams, commands and `now` go in; datagrams, events and DTLS
//! records come out. Tests run whole meetings through it on virtual time.
//!
//! ```text
//! handle_datagram ┐                    ┌ outbox()        datagrams to send
//! handle_command  ├─> Shard (a turn) ──┼ poll_event()    news for signalling
//! handle_tick     ┘                    └ poll_dtls()     handshake records for the control thread
//! ```
//!
//! After each input the outputs must be drained; `outbox().clear()` ends the turn.

mod assign;
mod control;
mod fanout;

use std::collections::{HashMap, HashSet, VecDeque};

use slab::Slab;
use smallvec::SmallVec;

use crate::clock::{Epoch, Micros};
use crate::counters::Counters;
use crate::endpoint::ice::{is_stun, server_ufrag};
use crate::endpoint::webrtc::{Endpoint, PathNews, PublicationRef, Reports, Turn};
use crate::event::Event;
use crate::id::{Codec, EndpointId, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::ingest::keyframe::KeyFrameRequests;
use crate::outbox::Outbox;
use crate::path::Path;
use crate::route::feedback::Feedback;
use crate::route::speaker::{ActiveSpeaker, Voice};
use crate::tap::TapSender;

/// How often [`Shard::handle_tick`] wants to be called while there is any endpoint: the grain of NACKs and speaker detection.
pub const TICK: Micros = Micros::from_millis(20);

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
    /// The endpoint is gone, and its session with it.
    Ended(EndpointId),
}

/// One publication and the slots that carry it.
#[derive(Debug)]
struct Publication {
    id: PublicationId,
    participant: ParticipantId,
    meeting: MeetingId,
    /// Key of the endpoint that sends it.
    endpoint: usize,
    kind: PublicationKind,
    codec: Codec,
    muted: bool,
    /// Slots that want it or still carry it: endpoint key and slot index.
    carriers: SmallVec<[(usize, usize); 8]>,
    key_frames: KeyFrameRequests,
    voice: Voice,
    /// The meeting has taps: packets are handed to them.
    tapped: bool,
}

#[derive(Debug)]
struct Tap {
    participant: ParticipantId,
    sender: TapSender,
}

#[derive(Debug, Default)]
struct Meeting {
    endpoints: Vec<usize>,
    publications: Vec<usize>,
    taps: Vec<Tap>,
    speaker: ActiveSpeaker,
    /// Who fills which slot must be worked out again.
    stale: bool,
    /// Speaking publications at the last look; a change makes the assignment stale.
    speaking: usize,
}

/// Everything that one engine thread owns.
pub struct Shard {
    endpoints: Slab<Endpoint>,
    publications: Slab<Publication>,
    meetings: HashMap<MeetingId, Meeting>,
    by_id: HashMap<EndpointId, usize>,
    by_ufrag: HashMap<String, usize>,
    by_path: HashMap<Path, usize>,
    by_publication: HashMap<PublicationId, usize>,
    /// Mutes outlive endpoints: a page that reloads comes back as muted as it was.
    mutes: HashSet<(ParticipantId, PublicationKind)>,
    outbox: Outbox,
    scratch: Vec<u8>,
    reports: Reports,
    events: VecDeque<Event>,
    dtls: VecDeque<DtlsOutput>,
    ticked: Micros,
    epoch: Epoch,
    /// What happened, for the runner to publish.
    pub counters: Counters,
}

impl Shard {
    /// An empty shard whose time counts from `epoch`.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            endpoints: Slab::new(),
            publications: Slab::new(),
            meetings: HashMap::new(),
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_path: HashMap::new(),
            by_publication: HashMap::new(),
            mutes: HashSet::new(),
            outbox: Outbox::default(),
            scratch: Vec::with_capacity(2_048),
            reports: Reports::default(),
            events: VecDeque::new(),
            dtls: VecDeque::new(),
            ticked: Micros::default(),
            epoch,
            counters: Counters::default(),
        }
    }

    /// Datagrams to send; clear it when they are gone.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next handshake record.
    pub fn poll_dtls(&mut self) -> Option<DtlsOutput> {
        self.dtls.pop_front()
    }

    /// When [`Shard::handle_tick`] is next due; never while there is nobody.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        (!self.endpoints.is_empty()).then(|| self.ticked + TICK)
    }

    /// A datagram from the network. It may be overwritten (SRTP is opened in place).
    ///
    /// RFC 7983 §7: the first octet tells the protocols apart.
    pub fn handle_datagram(&mut self, now: Micros, path: Path, datagram: &mut [u8]) {
        self.counters.datagrams_received += 1;
        match datagram.first() {
            Some(0..=3) => self.stun(now, path, datagram),
            Some(20..=63) => self.dtls(path, datagram),
            Some(128..=191) => self.secure(now, path, datagram),
            _ => self.counters.refused_unknown_protocol += 1,
        }
    }

    fn stun(&mut self, now: Micros, path: Path, datagram: &[u8]) {
        let key =
            is_stun(datagram).then(|| server_ufrag(datagram)).flatten().and_then(|ufrag| self.by_ufrag.get(ufrag));
        let Some(&key) = key else {
            self.counters.refused_stun += 1;
            return;
        };
        let Some((endpoint, mut turn)) = self.turn(now, key) else { return };
        match endpoint.handle_stun(&mut turn, path, datagram) {
            Ok(PathNews::Known) => {}
            Ok(PathNews::Learned { forgotten }) => {
                if let Some(forgotten) = forgotten {
                    self.by_path.remove(&forgotten);
                }
                // A path that belonged to another endpoint (a reloaded page on the same port) is the newer one's.
                self.by_path.insert(path, key);
            }
            Err(error) => {
                tracing::debug!(endpoint = %endpoint.id, reason = error.label(), "connectivity check refused");
                self.counters.refused_stun += 1;
            }
        }
    }

    fn dtls(&mut self, path: Path, datagram: &[u8]) {
        let Some(endpoint) = self.by_path.get(&path).and_then(|&key| self.endpoints.get(key)) else {
            self.counters.refused_unknown_path += 1;
            return;
        };
        self.dtls.push_back(DtlsOutput::Record { endpoint: endpoint.id, datagram: datagram.to_vec() });
    }

    fn secure(&mut self, now: Micros, path: Path, datagram: &mut [u8]) {
        let Some(&key) = self.by_path.get(&path) else {
            self.counters.refused_unknown_path += 1;
            return;
        };
        if wire::rtp::is_rtcp(datagram) {
            self.rtcp(now, key, datagram);
        } else {
            self.rtp(now, key, datagram);
        }
    }

    fn rtp(&mut self, now: Micros, key: usize, datagram: &mut [u8]) {
        let Some((endpoint, mut turn)) = self.turn(now, key) else { return };
        if let Some((publication, arrived, retransmitted)) = endpoint.receive_rtp(&mut turn, datagram) {
            self.fan_out(now, publication, &arrived, retransmitted);
        }
    }

    fn rtcp(&mut self, now: Micros, key: usize, datagram: &[u8]) {
        let mut reports = std::mem::take(&mut self.reports);
        if let Some((endpoint, mut turn)) = self.turn(now, key) {
            endpoint.receive_rtcp(&mut turn, datagram, &mut reports);
        }
        for feedback in reports.feedback.drain(..) {
            self.feedback(now, feedback);
        }
        for (publication, ntp, rtp) in reports.sender_reports.drain(..) {
            self.tap_sender_report(now, publication, ntp, rtp);
        }
        self.reports = reports;
    }

    /// Everything that is due by time. `wall_ntp` is the wall clock of `now` as NTP time, for sender reports.
    pub fn handle_tick(&mut self, now: Micros, wall_ntp: u64) {
        self.ticked = now;
        let mut wishes = std::mem::take(&mut self.reports.feedback);
        let mut gone = Vec::new();
        for (key, endpoint) in &mut self.endpoints {
            let mut turn =
                Turn { now, outbox: &mut self.outbox, scratch: &mut self.scratch, counters: &mut self.counters };
            endpoint.tick(&mut turn, wall_ntp, &mut wishes);
            if endpoint.is_gone(now) {
                gone.push(key);
            }
        }
        for wish in wishes.drain(..) {
            self.feedback(now, wish);
        }
        self.reports.feedback = wishes;
        for key in gone {
            self.lose(key);
        }
        self.request_key_frames(now);
        self.look_for_speakers(now);
        self.assign_stale(now);
    }

    /// An endpoint and what it needs to act, borrowed apart.
    fn turn(&mut self, now: Micros, key: usize) -> Option<(&mut Endpoint, Turn<'_>)> {
        let endpoint = self.endpoints.get_mut(key)?;
        let turn = Turn { now, outbox: &mut self.outbox, scratch: &mut self.scratch, counters: &mut self.counters };
        Some((endpoint, turn))
    }

    fn feedback(&mut self, now: Micros, feedback: Feedback) {
        let Feedback::KeyFrame(wanted) = feedback;
        if let Some(&key) = self.by_publication.get(&wanted) {
            self.want_key_frame(now, key);
        }
    }

    fn want_key_frame(&mut self, now: Micros, key: usize) {
        if let Some(publication) = self.publications.get_mut(key) {
            publication.key_frames.want();
        }
        self.request_key_frame(now, key);
    }

    /// Asks now if the throttle and the publisher's state allow; otherwise the wish stays open for a later tick.
    fn request_key_frame(&mut self, now: Micros, key: usize) {
        let Some(publication) = self.publications.get_mut(key) else { return };
        let Some(endpoint) = self.endpoints.get_mut(publication.endpoint) else { return };
        if endpoint.can_request_key_frame(publication.id) && publication.key_frames.due(now) {
            let id = publication.id;
            let mut turn =
                Turn { now, outbox: &mut self.outbox, scratch: &mut self.scratch, counters: &mut self.counters };
            endpoint.request_key_frame(&mut turn, id);
        }
    }

    fn request_key_frames(&mut self, now: Micros) {
        let keys: SmallVec<[usize; 64]> = self
            .publications
            .iter()
            .filter(|(_, publication)| publication.key_frames.is_open())
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.request_key_frame(now, key);
        }
    }

    /// How many taps listen to a meeting.
    #[must_use]
    pub fn taps(&self, meeting: MeetingId) -> usize {
        self.meetings.get(&meeting).map_or(0, |meeting| meeting.taps.len())
    }

    /// Tells the metrics how much there is now.
    pub fn publish_gauges(&self) {
        metrics::gauge!("engine_endpoints").set(self.endpoints.len() as f64);
        metrics::gauge!("engine_publications").set(self.publications.len() as f64);
        metrics::gauge!("engine_meetings").set(self.meetings.len() as f64);
    }

    fn lose(&mut self, key: usize) {
        if let Some(endpoint) = self.endpoints.get(key) {
            let endpoint = endpoint.id;
            self.remove_endpoint(key);
            self.events.push_back(Event::Lost { endpoint });
        }
    }
}

impl PublicationRef {
    fn of(key: usize, publication: &Publication) -> Self {
        Self { key, id: publication.id }
    }
}
