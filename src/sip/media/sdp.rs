//! Offer and answer: what a phone and we agree on, and the text that says so.
//!
//! Written by hand, not with `rtc-sdp`: that one gives up a whole description for one line that RFC 8866 tells readers
//! to ignore, and trunks write such lines (`tests.rs` shows which). Here a line that means nothing to us means nothing.
//!
//! ```text
//! offer   ─> parse ─┐
//!                   ├─> Negotiator ─> Negotiated ─> Leg
//! answer  ─> parse ─┘        └──────> Text ─> body of the INVITE, 200 or ACK
//! ```
//!
//! RFC 8866 <https://www.rfc-editor.org/rfc/rfc8866> (SDP), RFC 3264 <https://www.rfc-editor.org/rfc/rfc3264> (offer
//! and answer), RFC 4568 <https://www.rfc-editor.org/rfc/rfc4568> (keys), RFC 3605 (`a=rtcp`), RFC 5761 §5.1
//! (`a=rtcp-mux`), RFC 4733 §2.4 (events).

mod choose;
mod crypto;
mod negotiator;
mod parse;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use zeroize::Zeroizing;

use super::codec::{Codec, PREFERENCE};
use super::keys::SrtpKey;

pub use negotiator::Negotiator;

/// Octets of a description. Full means: it is refused unread.
pub const TEXT_MAX: usize = 64 * 1_024;

/// Lines `m=` of a description. Full means: it is refused.
pub const MEDIA_MAX: usize = 16;

/// Who sends, as the one sees it who says so (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    SendRecv,
    /// Only who says so.
    SendOnly,
    /// Only the other.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// Of the two halves.
    #[must_use]
    pub const fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether who says so sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether who says so receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    const fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive].into_iter().find(|known| known.name() == name)
    }
}

/// Whether a trunk's media is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Srtp {
    /// Never.
    Disabled,
    /// If the other side offers it; what we offer is plain.
    Allowed,
    /// Always; what is offered plain is refused.
    Required,
}

/// What we can do on a trunk.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// In the order of our offers.
    pub codecs: Vec<Codec>,
    /// Encryption.
    pub srtp: Srtp,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { codecs: PREFERENCE.to_vec(), srtp: Srtp::Allowed }
    }
}

/// Both keys of SRTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    /// What we send is sealed with it.
    pub ours: SrtpKey,
    /// What the phone sends.
    pub theirs: SrtpKey,
}

/// A format that has one number for each direction. They are the same but with peers that answer with another than they
/// were offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadType {
    /// In what we send.
    pub sent: u8,
    /// In what comes.
    pub received: u8,
}

/// Telephone events (RFC 4733).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// Their number.
    pub payload_type: PayloadType,
    /// Timestamps a second.
    pub clock: u32,
}

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// For voice, in both directions.
    pub codec: Codec,
    /// Its number.
    pub payload_type: PayloadType,
    /// Digits in RTP; without it only INFO is left.
    pub events: Option<Events>,
    /// Comfort noise under a number of its own; 13 is understood always.
    pub comfort_noise: Option<u8>,
    /// Milliseconds of a packet that we send: 10, 20, 30, 40 or 60.
    pub ptime_ms: u8,
    /// bit/s of Opus that we send at most.
    pub bitrate: u32,
    /// Who sends, as we see it.
    pub direction: Direction,
    /// Where the phone says it wants its packets; unspecified on an old kind of hold (RFC 3264 §8.4).
    pub media: SocketAddr,
    /// Where it wants its reports; `None` with the packets (RFC 5761).
    pub control: Option<SocketAddr>,
    /// Encryption.
    pub srtp: Option<SrtpKeys>,
}

/// A description as it is sent. It may hold a key: it is wiped when dropped, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Zeroizing<String>);

impl Text {
    /// For the body of a message.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Text({} octets)", self.0.len())
    }
}

/// Why a description leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No SDP, or beyond our limits.
    #[error("the description is no SDP, or exceeds {TEXT_MAX} octets or {MEDIA_MAX} media; the offer is refused")]
    Malformed,
    /// No audio line that we could take.
    #[error("the description has no audio over RTP that is not refused; the offer is refused")]
    NoAudio,
    /// Nothing that both know.
    #[error("no codec is known to both sides; the offer is refused")]
    NoCodec,
    /// No address, or one for many.
    #[error("the audio has no unicast IP address to send to; the offer is refused")]
    Address,
    /// The trunk must be encrypted, and this is not, or not as we can.
    #[error("the trunk asks for SRTP and the description has no AES_CM_128_HMAC_SHA1_80 key; the offer is refused")]
    SrtpRequired,
    /// The trunk must not be encrypted, and this is.
    #[error("the trunk does not do SRTP and the description has nothing else; the offer is refused")]
    SrtpDisabled,
    /// An answer, and we have offered nothing.
    #[error("an answer came and nothing was offered; it is ignored")]
    Unexpected,
}

impl Refused {
    /// The status of the SIP answer: 400 or 488.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            _ => 488,
        }
    }

    /// For a metric.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoAudio => "no_audio",
            Self::NoCodec => "no_codec",
            Self::Address => "address",
            Self::SrtpRequired => "srtp_required",
            Self::SrtpDisabled => "srtp_disabled",
            Self::Unexpected => "unexpected",
        }
    }
}
