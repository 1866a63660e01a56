//! What both ends agreed on, line by line: the outcome of offer and answer as plain values.
//!
//! Made by `endpoint/sdp`; read by `ingest` (send lines), `egress` (slots) and everybody who writes or reads header extensions.

use arrayvec::ArrayVec;
use wire::ext::Rid;

use crate::id::{Codec, LAYERS_MAX, LayerId, MediaKind};

/// A line on which the client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendLine {
    /// Its name.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// The SSRC that the offer announced, if any; otherwise the MID extension tells.
    pub ssrc: Option<u32>,
    /// The SSRC of its retransmissions, if announced.
    pub rtx_ssrc: Option<u32>,
    /// Agreed codecs, best first; never empty.
    pub codecs: Vec<NegotiatedCodec>,
    /// Agreed simulcast layers, the lowest first; none where the line is a single stream. Their packets are told by RID.
    pub layers: ArrayVec<Rid, LAYERS_MAX>,
}

impl SendLine {
    /// The layer of this name.
    #[must_use]
    pub fn layer(&self, rid: &[u8]) -> Option<LayerId> {
        self.layers.iter().position(|layer| layer.as_str().as_bytes() == rid).map(|at| LayerId(at as u8))
    }

    /// Whether the client sends lost packets again. Where it does not (voice: concealment is cheaper than a round trip)
    /// nobody would answer a request.
    #[must_use]
    pub fn is_repaired(&self) -> bool {
        self.codecs.iter().any(|codec| codec.rtx_payload_type.is_some())
    }
}

/// A line on which the client receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotLine {
    /// Its name.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What we send media on, for the life of the slot.
    pub ssrc: u32,
    /// What we send retransmissions on; for video where the client negotiated them.
    pub rtx_ssrc: Option<u32>,
    /// Agreed codecs, best first; never empty.
    pub codecs: Vec<NegotiatedCodec>,
    /// Id of the dependency descriptor, where it is told: how a receiver of AV1 puts spatial layers together.
    pub dependency_descriptor: Option<u8>,
}

/// A codec and the client's numbers for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiatedCodec {
    /// Which.
    pub codec: Codec,
    /// Of media packets.
    pub payload_type: u8,
    /// Of retransmissions (RFC 4588).
    pub rtx_payload_type: Option<u8>,
    /// Of payloads that bring earlier ones along (RFC 2198); audio only.
    pub red_payload_type: Option<u8>,
}

/// RTP header extensions that we know, by the ids that the offer gave them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// Loudness of the packet's audio (RFC 6464).
    pub audio_level: Option<u8>,
    /// Transport-wide sequence number.
    pub transport_cc: Option<u8>,
    /// Which media line a packet belongs to (RFC 9143 §15).
    pub mid: Option<u8>,
    /// Which simulcast layer (RFC 8852).
    pub rid: Option<u8>,
    /// The layer that a retransmission repairs (RFC 8852).
    pub repaired_rid: Option<u8>,
    /// Which frames depend on which (AV1 RTP payload format, appendix A): how AV1 tells spatial layers.
    pub dependency_descriptor: Option<u8>,
}
