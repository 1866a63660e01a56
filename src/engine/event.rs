//! News from the engine for those who run the meeting.

use crate::health::Health;
use crate::id::{EndpointId, LayerId, MeetingId, ParticipantId, PublicationId};

/// What is meant to be in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Whose it is; nobody's: a mix.
    pub participant: Option<ParticipantId>,
    /// What.
    pub publication: PublicationId,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Slots of an endpoint got another source: mid, and who is meant to be there now. The packets of the old source may
    /// flow on until the new one's key frame; the CSRC on each packet tells who is really there.
    Slots {
        /// Whose slots.
        endpoint: EndpointId,
        /// By mid, only those that changed.
        slots: Vec<(String, Option<Shown>)>,
    },
    /// The active speaker changed.
    Speaker {
        /// Where.
        meeting: MeetingId,
        /// Who, or nobody.
        participant: Option<ParticipantId>,
    },
    /// Which layers of a publication anybody wants to see has changed. More are in demand at once, fewer after some seconds.
    Demand {
        /// Its publisher's.
        endpoint: EndpointId,
        /// Which.
        publication: PublicationId,
        /// The highest that is worth sending; the lowest always is.
        highest: LayerId,
    },
    /// An endpoint wishes to hear its meeting's mix, or does not any more; also when it is gone.
    Mix {
        /// Whose wish.
        endpoint: EndpointId,
        /// Where it is.
        meeting: MeetingId,
        /// Whose voice it must not hear.
        participant: ParticipantId,
        /// The new state.
        wanted: bool,
    },
    /// Path and keys are there: media flows.
    Connected {
        /// Whose.
        endpoint: EndpointId,
    },
    /// What an endpoint's network is like; every two seconds while it is connected.
    Health {
        /// Whose.
        endpoint: EndpointId,
        /// All that is known.
        health: Box<Health>,
    },
    /// The endpoint is gone and has been taken away: silent for 30 s, handshake failed, or closed by its peer.
    Lost {
        /// Whose.
        endpoint: EndpointId,
    },
}
