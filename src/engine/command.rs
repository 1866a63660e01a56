//! What the engine is told to do: values in the shard's mailbox.

use crate::egress::slot::Slot;
use crate::endpoint::srtp::SrtpKeys;
use crate::endpoint::webrtc::EndpointParts;
use crate::id::{Codec, EndpointId, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::inlet::InletPacket;
use crate::layout::Layout;
use crate::mix::MixOrder;
use crate::shard::span::{Letter, ShardIndex, Shards};
use crate::tap::{TapScope, TapSender};

/// A publication that comes with a new endpoint, in the order of its send lines.
#[derive(Clone, Copy, Debug)]
pub struct NewPublication {
    /// Its name, given by the control side so that it can be announced before its first packet.
    pub id: PublicationId,
    /// Microphone or camera.
    pub kind: PublicationKind,
    /// What its packets carry.
    pub codec: Codec,
    /// Simulcast layers that were agreed on; 1 without simulcast.
    pub layers: u8,
}

/// An order to the shard.
pub enum Command {
    /// A new endpoint. `parts.publications` is empty; the shard fills it from `publications`.
    Add {
        /// What it is made of.
        parts: Box<EndpointParts>,
        /// One for each send line.
        publications: Vec<NewPublication>,
        /// The endpoint that it takes the place of.
        replaces: Option<EndpointId>,
    },
    /// Take an endpoint away.
    Remove(EndpointId),
    /// Take all endpoints of a participant away and forget its mutes.
    RemoveParticipant(ParticipantId),
    /// Mute or unmute in the router, present and future publications alike.
    SetMuted {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        kind: PublicationKind,
        /// The new state.
        muted: bool,
    },
    /// What an endpoint would like to see.
    Layout {
        /// Who wishes.
        endpoint: EndpointId,
        /// Its wishes and limits, in the place of those before.
        layout: Layout,
    },
    /// An endpoint has more slots: its client offered them, nothing else of the connection changes.
    Grow {
        /// Whose.
        endpoint: EndpointId,
        /// Those that are new, numbered on from those it has.
        slots: Vec<Slot>,
    },
    /// A tap joins.
    AddTap {
        /// Where.
        meeting: MeetingId,
        /// As whom.
        participant: ParticipantId,
        /// What it is to hear of.
        scope: TapScope,
        /// The engine's end of it.
        sender: TapSender,
    },
    /// A tap needs a picture of this publication that stands alone. One that lives elsewhere, or is no picture, is none of the shard's.
    WantKeyFrame(PublicationId),
    /// The control thread's handshake record for the peer.
    SendDtls {
        /// Whose handshake.
        endpoint: EndpointId,
        /// To send as it is.
        datagram: Vec<u8>,
    },
    /// The handshake is done and the peer's certificate is the one of the offer.
    Keys {
        /// Whose.
        endpoint: EndpointId,
        /// Both directions.
        keys: Box<SrtpKeys>,
    },
    /// What the path to an endpoint is to be believed to carry, whatever its feedback says: congestion control is off for it.
    Target {
        /// Whose path.
        endpoint: EndpointId,
        /// The input of its pacer.
        bits_per_second: u64,
    },
    /// The shards that have endpoints of a meeting, when they are several or were.
    Span {
        /// Which meeting.
        meeting: MeetingId,
        /// Where it is now.
        shards: Shards,
    },
    /// What became of mixes in one tick, in order.
    Mix(Vec<MixOrder>),
    /// A voice from inside the process begins.
    AddInlet {
        /// Where.
        meeting: MeetingId,
        /// Whose.
        participant: ParticipantId,
        /// Its name.
        publication: PublicationId,
    },
    /// Packets of such voices, in order.
    Inlet(Vec<(PublicationId, InletPacket)>),
    /// Such a voice ends.
    RemoveInlet(PublicationId),
    /// The handshake failed, or the peer said goodbye.
    Closed(EndpointId),
    /// News from another shard.
    Letter {
        /// Whose.
        from: ShardIndex,
        /// What.
        letter: Letter,
    },
    /// The engine stops: the runner ends its thread.
    Stop,
}
