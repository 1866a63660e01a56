//! What a leg counted: for the record of a call and for metrics.
//!
//! ```text
//! Leg ─> stats() ─> LegStats
//! ```

use super::reports::PeerReport;

/// Why a datagram was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// From another address than the phone's.
    #[error("the packet comes from an address that is not the phone's; it is dropped")]
    Stranger,
    /// Neither RTP nor RTCP, or with a payload that is none of its codec.
    #[error("the packet is not well-formed; it is dropped")]
    Malformed,
    /// Does not open under the key of the leg, or was opened before.
    #[error("the packet does not authenticate, or is a replay; it is dropped")]
    Unauthentic,
    /// Was here before.
    #[error("the packet was received before; it is dropped")]
    Duplicate,
    /// What is newer was encoded already.
    #[error("the packet comes after its turn; it is dropped")]
    Late,
    /// Perhaps the first of another stream.
    #[error("the packet belongs to no known stream; it is dropped, and the one after it decides")]
    Probation,
    /// The phone sends faster than time.
    #[error("the phone sends more media than time passes; the packet is dropped")]
    Flood,
    /// A payload type that was not negotiated.
    #[error("the payload type was not negotiated; the packet is dropped")]
    PayloadType,
}

impl Dropped {
    /// For a metric.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Malformed => "malformed",
            Self::Unauthentic => "unauthentic",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Probation => "probation",
            Self::Flood => "flood",
            Self::PayloadType => "payload_type",
        }
    }
}

/// Datagrams that were not used, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedCounts {
    /// See [`Dropped::Stranger`].
    pub stranger: u64,
    /// See [`Dropped::Malformed`].
    pub malformed: u64,
    /// See [`Dropped::Unauthentic`].
    pub unauthentic: u64,
    /// See [`Dropped::Duplicate`].
    pub duplicate: u64,
    /// See [`Dropped::Late`].
    pub late: u64,
    /// See [`Dropped::Probation`].
    pub probation: u64,
    /// See [`Dropped::Flood`].
    pub flood: u64,
    /// See [`Dropped::PayloadType`].
    pub payload_type: u64,
}

impl DroppedCounts {
    /// Each reason with its count, for metrics.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            (Dropped::Stranger, self.stranger),
            (Dropped::Malformed, self.malformed),
            (Dropped::Unauthentic, self.unauthentic),
            (Dropped::Duplicate, self.duplicate),
            (Dropped::Late, self.late),
            (Dropped::Probation, self.probation),
            (Dropped::Flood, self.flood),
            (Dropped::PayloadType, self.payload_type),
        ]
        .into_iter()
        .map(|(dropped, count)| (dropped.label(), count))
    }

    pub(super) const fn count(&mut self, dropped: Dropped) {
        let counter = match dropped {
            Dropped::Stranger => &mut self.stranger,
            Dropped::Malformed => &mut self.malformed,
            Dropped::Unauthentic => &mut self.unauthentic,
            Dropped::Duplicate => &mut self.duplicate,
            Dropped::Late => &mut self.late,
            Dropped::Probation => &mut self.probation,
            Dropped::Flood => &mut self.flood,
            Dropped::PayloadType => &mut self.payload_type,
        };
        *counter += 1;
    }
}

/// A leg since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStats {
    /// RTP packets that came in order or late and were new.
    pub packets: u64,
    /// RTP packets that never came.
    pub lost: u64,
    /// Interarrival jitter (RFC 3550 A.8), microseconds.
    pub jitter_us: u64,
    /// Streams that began: the first, and each after another SSRC or a jump.
    pub streams: u64,
    /// Opus packets for the meeting.
    pub voices: u64,
    /// What was not used.
    pub dropped: DroppedCounts,
    /// Digits from RTP.
    pub digits: u64,
    /// Events that came too fast.
    pub digits_refused: u64,
    /// RTP packets that we sent.
    pub sent_packets: u64,
    /// Their payload.
    pub sent_octets: u64,
    /// What the phone says of them.
    pub peer: Option<PeerReport>,
}
