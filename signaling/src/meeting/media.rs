//! The meeting's view of the media engine: offers, what came of them, and news of slots, speaker and lost paths.
//!
//! At most one offer of a page is with the engine at a time, so that "replaces" always names the endpoint before it. A
//! newer offer waits and takes the place of one that waits already: that one's page is gone or has changed its mind.
//!
//! Whether an offer goes on with a connection that stands (more slots) or takes its place is for the engine to read from it:
//! the answer names the same endpoint again, or a new one.

use std::collections::BTreeMap;

use super::commands::{DoorReply, Effect, Identity, Offered, Refusal, Ticket};
use super::member::{Line, Member, Purpose, WaitingOffer, slot_view, views};
use super::network::Trend;
use super::state::Meeting;
use crate::id::{ParticipantId, SessionId};
use crate::policy::lobby::Entry;
use crate::ports::{
    EndpointId, Layout, MediaConnect, MediaConnected, MediaEvent, MediaRefused, PublicationKind, Shown, SlotKind, Want,
};
use crate::protocol::{LayoutWish, MediaState, SDP_BYTES, SEND_LINES, SendLine, ServerMessage, SlotLine, WANTS};

/// Slots of one connection: no offer has more lines.
const SLOTS: usize = 64;

/// What a page is told whose offer is one too many.
const BUSY: &str = "The server is at its capacity, so that running meetings keep their quality. You can read and write; \
                    offer again in half a minute for sound and picture.";

impl Meeting {
    pub(super) fn offer(
        &mut self,
        participant: ParticipantId,
        session: SessionId,
        id: Option<u64>,
        sdp: String,
        lines: Vec<SendLine>,
    ) {
        if sdp.len() > SDP_BYTES {
            self.fail(session, id, "bad_offer", "The offer has more than 512 KiB. Offer fewer lines or codecs.");
            return;
        }
        if lines.len() > SEND_LINES {
            self.fail(session, id, "bad_offer", "The offer names more than 16 send lines. Name each kind once.");
            return;
        }
        let Some(member) = self.members.get_mut(&participant) else { return };
        if member.offering {
            let superseded = member.waiting_offer.replace(WaitingOffer { session, id, sdp, lines });
            if let Some(older) = superseded {
                self.fail(older.session, older.id, "superseded", "A newer offer of the same page took its place.");
            }
            return;
        }
        member.offering = true;
        let replaces = member.live_line().map(|line| line.endpoint);
        let lines = lines.into_iter().map(|line| (line.mid, line.kind)).collect();
        self.connect(participant, sdp, lines, replaces, Offered::Live { session, id });
    }

    pub(super) fn standard_offer(&mut self, ticket: Ticket, who: Identity, resource: SessionId, sdp: String) {
        let participant = who.participant;
        let before = self.members.get(&participant).map(Member::view);
        let entry = match self.entry_of(&who) {
            Ok(Entry::Enter) => self.admit(&who),
            // Nobody waits on an HTTP request for somebody to decide.
            Ok(Entry::Wait(_)) => Err(Refusal::Waits),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = entry {
            self.reply_door(ticket, DoorReply::NotLetIn(refusal));
            self.end_if_empty();
            return;
        }
        let Some(member) = self.members.get_mut(&participant) else { return };
        member.standard_offers += 1;
        member.leaves_at = None;
        let view = member.view();
        match before {
            None => self.roster_message(vec![view], vec![], vec![]),
            Some(before) if before != view => self.changed(participant),
            Some(_) => {}
        }
        self.note_start(participant);
        self.record_by_itself();
        self.connect(participant, sdp, Vec::new(), None, Offered::Standard { ticket, resource });
    }

    /// A phone's voice came into the engine: it is announced like any other, and silenced if its owner is.
    pub(super) fn publishes(&mut self, participant: ParticipantId, connected: MediaConnected) {
        if self.members.contains_key(&participant) {
            self.add_line(participant, Purpose::Phone, connected);
        } else {
            // They left in the meantime.
            self.effects.push(Effect::Disconnect(connected.endpoint));
        }
    }

    fn connect(
        &mut self,
        participant: ParticipantId,
        offer: String,
        lines: Vec<(String, PublicationKind)>,
        replaces: Option<EndpointId>,
        offered: Offered,
    ) {
        self.effects.push(Effect::Connect {
            request: MediaConnect { meeting: self.id, participant, offer, lines, replaces },
            offered,
        });
    }

    pub(super) fn media_answered(
        &mut self,
        participant: ParticipantId,
        offered: Offered,
        result: Result<MediaConnected, MediaRefused>,
    ) {
        if !self.members.contains_key(&participant) {
            // They left while the engine was working.
            if let Ok(connected) = result {
                self.effects.push(Effect::Disconnect(connected.endpoint));
            }
            if let Offered::Standard { ticket, .. } = offered {
                self.reply_door(ticket, DoorReply::Unknown);
            }
            return;
        }
        match offered {
            Offered::Live { session, id } => self.live_answered(participant, session, id, result),
            Offered::Standard { ticket, resource } => self.standard_answered(participant, ticket, resource, result),
        }
    }

    fn live_answered(
        &mut self,
        participant: ParticipantId,
        session: SessionId,
        id: Option<u64>,
        result: Result<MediaConnected, MediaRefused>,
    ) {
        match result {
            Ok(connected) if connected.continues && !self.grow_line(participant, &connected) => {
                self.fail(session, id, "media_unavailable", "The connection has ended. Begin a new one.");
            }
            Ok(connected) => {
                let slots =
                    connected.slots.iter().map(|(mid, kind)| SlotLine { mid: mid.clone(), kind: *kind }).collect();
                let member = self.members.get(&participant);
                let announced = member.into_iter().flat_map(|member| member.announced(&connected.publications));
                let publications = views(participant, announced).collect();
                let answer = ServerMessage::Answer { id, sdp: connected.answer.clone(), slots, publications };
                // Announced first: no packet can come before the answer is out.
                if !connected.continues {
                    self.add_line(participant, Purpose::Live, connected);
                }
                self.send(session, answer);
            }
            Err(MediaRefused::Busy(_)) => self.fail(session, id, "server_busy", BUSY),
            Err(MediaRefused::BadOffer(text)) => self.fail(session, id, "bad_offer", &text),
            Err(MediaRefused::Unavailable(text)) => self.fail(session, id, "media_unavailable", &text),
        }
        let Some(member) = self.members.get_mut(&participant) else { return };
        member.offering = false;
        if let Some(WaitingOffer { session, id, sdp, lines }) = member.waiting_offer.take() {
            self.offer(participant, session, id, sdp, lines);
        }
    }

    fn standard_answered(
        &mut self,
        participant: ParticipantId,
        ticket: Ticket,
        resource: SessionId,
        result: Result<MediaConnected, MediaRefused>,
    ) {
        if let Some(member) = self.members.get_mut(&participant) {
            member.standard_offers = member.standard_offers.saturating_sub(1);
        }
        match result {
            Ok(connected) => {
                let (endpoint, answer) = (connected.endpoint, connected.answer.clone());
                let voices = connected.slots.iter().filter(|(_, kind)| *kind == SlotKind::Audio).count();
                self.add_line(participant, Purpose::Standard(resource), connected);
                // A player with a single line for sound could follow one speaker at a time; so it hears everybody.
                if voices == 1 {
                    let layout =
                        Layout { wants: Vec::new(), fill: true, max_tiles: None, max_bitrate: None, mix: true };
                    self.effects.push(Effect::Layout { endpoint, layout });
                }
                self.reply_door(ticket, DoorReply::Answer(answer));
            }
            Err(refused) => {
                self.reply_door(ticket, DoorReply::Refused(refused));
                self.depart_if_nothing_left(participant);
            }
        }
    }

    /// A connection has more slots. What the others show stays known, and nobody else is told anything. `false`: it is gone.
    fn grow_line(&mut self, participant: ParticipantId, connected: &MediaConnected) -> bool {
        let lines = self.members.get_mut(&participant).map(|member| &mut member.lines);
        let line = lines.and_then(|lines| lines.iter_mut().find(|line| line.endpoint == connected.endpoint));
        let Some(line) = line else { return false };
        for (mid, _) in &connected.slots {
            line.slots.entry(mid.clone()).or_insert(None);
        }
        true
    }

    fn add_line(&mut self, participant: ParticipantId, purpose: Purpose, connected: MediaConnected) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        let before = member.view();
        let (mut gone, mut replaced) = (Vec::new(), Vec::new());
        if purpose == Purpose::Live {
            member.lines.retain(|line| {
                let stays = line.purpose != Purpose::Live;
                if !stays {
                    replaced.push(line.endpoint);
                    gone.extend(line.publications.iter().map(|publication| publication.id));
                }
                stays
            });
        }
        // An id that the new endpoint kept is not gone.
        gone.retain(|id| connected.publications.iter().all(|publication| publication.id != *id));
        let added = views(participant, member.announced(&connected.publications)).collect();
        member.lines.push(Line {
            endpoint: connected.endpoint,
            purpose,
            publications: connected.publications,
            slots: connected.slots.into_iter().map(|(mid, _)| (mid, None)).collect(),
            demands: BTreeMap::new(),
            network: Trend::default(),
        });
        let after = member.view();
        let endpoint = connected.endpoint;
        for (kind, muted) in PublicationKind::ALL.map(|kind| (kind, member.is_muted(kind))) {
            // Screens begin muted, so there the news is that one is shared.
            if muted != kind.is_shared() {
                self.effects.push(Effect::SetMuted { participant, kind, muted });
            }
        }
        replaced.into_iter().for_each(|older| self.forget_endpoint(participant, older));
        self.endpoints.insert(endpoint, participant);
        self.publications_message(added, gone);
        if before != after {
            self.changed(participant);
        }
    }

    /// Takes an endpoint away; says whose it was and what it was for.
    fn drop_line(&mut self, endpoint: EndpointId) -> Option<(ParticipantId, Purpose)> {
        let participant = self.endpoints.remove(&endpoint)?;
        let member = self.members.get_mut(&participant)?;
        let place = member.lines.iter().position(|line| line.endpoint == endpoint)?;
        let line = member.lines.swap_remove(place);
        let gone = member.announced(&line.publications).map(|publication| publication.id).collect();
        self.publications_message(vec![], gone);
        self.changed(participant);
        Some((participant, line.purpose))
    }

    pub(super) fn standard_end(&mut self, ticket: Ticket, participant: ParticipantId, resource: SessionId) {
        let endpoint = self.members.get(&participant).and_then(|member| {
            member.lines.iter().find(|line| line.purpose == Purpose::Standard(resource)).map(|line| line.endpoint)
        });
        let Some(endpoint) = endpoint else {
            self.reply_door(ticket, DoorReply::Unknown);
            return;
        };
        self.effects.push(Effect::Disconnect(endpoint));
        self.drop_line(endpoint);
        self.reply_door(ticket, DoorReply::Done);
        self.depart_if_nothing_left(participant);
    }

    /// Who was in the meeting by WHIP or WHEP alone leaves with the last resource.
    fn depart_if_nothing_left(&mut self, participant: ParticipantId) {
        let nothing =
            self.members.get(&participant).is_some_and(|member| !member.is_connected() && member.leaves_at.is_none());
        if nothing {
            self.depart(participant);
        }
    }

    pub(super) fn media_event(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Slots { endpoint, slots } => self.slots_changed(endpoint, slots),
            MediaEvent::Speaker { participant, .. } => {
                if self.speaker != participant {
                    self.set_speaker(participant);
                }
            }
            MediaEvent::Demand { endpoint, publication, highest } => self.demanded(endpoint, publication, highest),
            MediaEvent::Connected { endpoint } => {
                if let Some(session) = self.session_of(endpoint) {
                    self.send(session, ServerMessage::Media { state: MediaState::Connected });
                }
            }
            MediaEvent::Health { endpoint, health } => self.network_told(endpoint, health),
            MediaEvent::Lost { endpoint } => {
                let session = self.session_of(endpoint);
                let Some((participant, purpose)) = self.drop_line(endpoint) else { return };
                match purpose {
                    Purpose::Live => {
                        if let Some(session) = session {
                            self.send(session, ServerMessage::Media { state: MediaState::Lost });
                        }
                    }
                    Purpose::Standard(_) => self.depart_if_nothing_left(participant),
                    // The gateway hears of it itself, and hangs up.
                    Purpose::Phone => {}
                }
            }
        }
    }

    fn slots_changed(&mut self, endpoint: EndpointId, slots: Vec<(String, Option<Shown>)>) {
        let Some(member) = self.endpoints.get(&endpoint).and_then(|owner| self.members.get_mut(owner)) else { return };
        let (session, may_grow) = (member.session, member.offering);
        let Some(line) = member.lines.iter_mut().find(|line| line.endpoint == endpoint) else { return };
        for (mid, source) in &slots {
            // Only mids of the answer, and of one that is on its way: an engine's slip must not grow our memory.
            if let Some(slot) = line.slots.get_mut(mid) {
                *slot = *source;
            } else if may_grow && line.slots.len() < SLOTS {
                line.slots.insert(mid.clone(), *source);
            }
        }
        if line.purpose == Purpose::Live
            && let Some(session) = session
        {
            let slots = slots.into_iter().map(|(mid, source)| slot_view(mid, source)).collect();
            self.send(session, ServerMessage::Slots { slots });
        }
    }

    /// A page is told what is worth sending; who publishes by WHIP cannot be.
    fn demanded(&mut self, endpoint: EndpointId, publication: u32, highest: u8) {
        let Some(member) = self.endpoints.get(&endpoint).and_then(|owner| self.members.get_mut(owner)) else { return };
        let session = member.session;
        let Some(line) = member.lines.iter_mut().find(|line| line.endpoint == endpoint) else { return };
        // Only what it publishes: an engine's slip must not grow our memory.
        if line.publications.iter().all(|other| other.id != publication) {
            return;
        }
        line.demands.insert(publication, highest);
        if line.purpose == Purpose::Live
            && let Some(session) = session
        {
            self.send(session, ServerMessage::Demand { publication_id: publication, highest_layer: highest });
        }
    }

    /// What the engine said while a page was away.
    pub(super) fn repeat_demands(&mut self, session: SessionId, participant: ParticipantId) {
        let line = self.members.get(&participant).and_then(Member::live_line);
        let demands: Vec<_> =
            line.into_iter().flat_map(|line| line.demands.iter().map(|(id, at)| (*id, *at))).collect();
        for (publication_id, highest_layer) in demands {
            self.send(session, ServerMessage::Demand { publication_id, highest_layer });
        }
    }

    /// The session of the page that an endpoint belongs to.
    fn session_of(&self, endpoint: EndpointId) -> Option<SessionId> {
        let member = self.members.get(self.endpoints.get(&endpoint)?)?;
        member.live_line().filter(|line| line.endpoint == endpoint).and(member.session)
    }

    /// An endpoint is gone, unless its number has come to somebody else.
    pub(super) fn forget_endpoint(&mut self, owner: ParticipantId, endpoint: EndpointId) {
        if self.endpoints.get(&endpoint) == Some(&owner) {
            self.endpoints.remove(&endpoint);
        }
    }

    pub(super) fn layout(&mut self, participant: ParticipantId, wish: &LayoutWish) {
        let Some(endpoint) =
            self.members.get(&participant).and_then(|member| member.live_line()).map(|line| line.endpoint)
        else {
            return;
        };
        let wants = wish
            .wants
            .iter()
            .take(WANTS)
            .map(|want| Want {
                participant: want.participant_id,
                kind: want.kind.into(),
                priority: want.priority,
                width: want.width,
                height: want.height,
            })
            .collect();
        let LayoutWish { fill, max_tiles, max_bitrate, mix, .. } = *wish;
        let layout = Layout { wants, fill, max_tiles, max_bitrate, mix };
        self.effects.push(Effect::Layout { endpoint, layout });
    }
}
