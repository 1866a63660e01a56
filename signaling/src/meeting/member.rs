//! One member of a live meeting.

use std::collections::BTreeMap;
use std::time::Instant;

use super::commands::Identity;
use super::network::Trend;
use crate::auth::KeyName;
use crate::id::{ParticipantId, SessionId};
use crate::policy::roles::Standing;
use crate::policy::{Kind, Person};
use crate::ports::{EndpointId, MediaPublication, PublicationKind, Shown};
use crate::protocol::{ConsentState, HeldBack, ParticipantKind, ParticipantView, PublicationView, SendLine, SlotView};

/// What an endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The page's peer connection.
    Live,
    /// A WHIP or WHEP resource.
    Standard(SessionId),
    /// A phone's voice, which comes by the gateway.
    Phone,
}

/// One endpoint of a member.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) endpoint: EndpointId,
    pub(super) purpose: Purpose,
    pub(super) publications: Vec<MediaPublication>,
    pub(super) slots: BTreeMap<String, Option<Shown>>,
    /// The highest layer of each publication that anybody wants, where the engine has said so.
    pub(super) demands: BTreeMap<u32, u8>,
    /// How good the way of what it sends is.
    pub(super) network: Trend,
}

/// An offer that waits until the one before it is answered.
#[derive(Clone, Debug)]
pub(super) struct WaitingOffer {
    pub(super) session: SessionId,
    pub(super) id: Option<u64>,
    pub(super) sdp: String,
    pub(super) lines: Vec<SendLine>,
}

/// One person in the meeting.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: ParticipantId,
    pub(super) display_name: String,
    pub(super) person: Person,
    /// Which key signed the token that they are here by.
    pub(super) signed_by: KeyName,
    /// What they are at this moment.
    pub(super) standing: Standing,
    pub(super) microphone_muted: bool,
    pub(super) camera_muted: bool,
    pub(super) shares_screen: bool,
    /// With the sound of what is shared.
    pub(super) shares_sound: bool,
    /// Shown first and large to everybody.
    pub(super) spotlit: bool,
    /// Where their raised hand stands among all that were raised.
    pub(super) hand: Option<u64>,
    /// When all their reactions so far would be over, at their pace.
    pub(super) reactions_until: Option<Instant>,
    pub(super) session: Option<SessionId>,
    /// What their session was told last of agreeing to be recorded.
    pub(super) consent_told: ConsentState,
    /// When they are counted as gone, unless they come back.
    pub(super) leaves_at: Option<Instant>,
    pub(super) lines: Vec<Line>,
    /// Whether the engine is working on an offer of the page.
    pub(super) offering: bool,
    pub(super) waiting_offer: Option<WaitingOffer>,
    /// WHIP or WHEP offers that the engine is working on.
    pub(super) standard_offers: u32,
    /// What the page's browser says of its own camera.
    pub(super) held_back: HeldBack,
}

impl Member {
    pub(super) fn new(who: Identity, standing: Standing) -> Self {
        Self {
            id: who.participant,
            display_name: who.display_name,
            person: who.person,
            signed_by: who.signed_by,
            standing,
            microphone_muted: false,
            camera_muted: false,
            shares_screen: false,
            shares_sound: false,
            spotlit: false,
            hand: None,
            reactions_until: None,
            session: None,
            consent_told: ConsentState::NotNeeded,
            leaves_at: None,
            lines: Vec::new(),
            offering: false,
            waiting_offer: None,
            standard_offers: 0,
            held_back: HeldBack::None,
        }
    }

    /// Whether anything ties them to the meeting right now.
    pub(super) fn is_connected(&self) -> bool {
        self.session.is_some()
            || self.standard_offers > 0
            || self.lines.iter().any(|line| matches!(line.purpose, Purpose::Standard(_)))
    }

    pub(super) fn is_muted(&self, kind: PublicationKind) -> bool {
        match kind {
            PublicationKind::Microphone => self.microphone_muted,
            PublicationKind::Camera => self.camera_muted,
            PublicationKind::Screen => !self.shares_screen,
            PublicationKind::ScreenAudio => !self.shares_sound,
        }
    }

    pub(super) fn set_muted(&mut self, kind: PublicationKind, muted: bool) {
        match kind {
            PublicationKind::Microphone => self.microphone_muted = muted,
            PublicationKind::Camera => self.camera_muted = muted,
            PublicationKind::Screen => self.shares_screen = !muted,
            PublicationKind::ScreenAudio => self.shares_sound = !muted,
        }
    }

    pub(super) fn live_line(&self) -> Option<&Line> {
        self.lines.iter().find(|line| line.purpose == Purpose::Live)
    }

    fn publishes(&self, kind: PublicationKind) -> bool {
        self.lines.iter().flat_map(|line| &line.publications).any(|publication| publication.kind == kind)
    }

    /// Whoever dialled in, and an organiser who did and gave the PIN.
    fn is_on_the_phone(&self) -> bool {
        self.person.kind == Kind::Phone || self.lines.iter().any(|line| line.purpose == Purpose::Phone)
    }

    pub(super) fn view(&self) -> ParticipantView {
        ParticipantView {
            id: self.id,
            display_name: self.display_name.clone(),
            kind: if self.is_on_the_phone() { ParticipantKind::Phone } else { ParticipantKind::Person },
            role: self.standing.role,
            verified: self.person.kind.is_verified(),
            microphone_muted: self.microphone_muted,
            camera_muted: self.camera_muted,
            has_microphone: self.publishes(PublicationKind::Microphone),
            has_camera: self.publishes(PublicationKind::Camera),
            spotlit: self.spotlit,
            hand: self.hand,
            connected: self.is_connected(),
            network: self.lines.iter().filter_map(|line| line.network.grade()).max(),
        }
    }

    /// Those of some publications of theirs that others know of: a screen only while it is shared.
    pub(super) fn announced<'a>(
        &'a self,
        publications: &'a [MediaPublication],
    ) -> impl Iterator<Item = &'a MediaPublication> {
        publications.iter().filter(|publication| !(publication.kind.is_shared() && self.is_muted(publication.kind)))
    }

    pub(super) fn publications(&self) -> impl Iterator<Item = PublicationView> + '_ {
        self.lines.iter().flat_map(|line| views(self.id, self.announced(&line.publications)))
    }

    /// What the page's slots show.
    pub(super) fn slots(&self) -> Vec<SlotView> {
        self.live_line().map_or_else(Vec::new, |line| {
            line.slots.iter().map(|(mid, source)| slot_view(mid.clone(), *source)).collect()
        })
    }
}

pub(super) fn views<'a>(
    owner: ParticipantId,
    publications: impl Iterator<Item = &'a MediaPublication>,
) -> impl Iterator<Item = PublicationView> {
    publications.map(move |publication| PublicationView {
        id: publication.id,
        participant_id: owner,
        kind: publication.kind,
    })
}

pub(super) fn slot_view(mid: String, source: Option<Shown>) -> SlotView {
    let participant_id = source.and_then(|shown| shown.participant);
    SlotView { mid, participant_id, publication_id: source.map(|shown| shown.publication) }
}
