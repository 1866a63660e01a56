//! SRTP and SRTCP (RFC 3711, RFC 7714): the cipher of the packet path.
//!
//! One [`SrtpOpen`] per endpoint for what it sends us, one [`SrtpSeal`] for what we send it. Keys come from the DTLS
//! handshake ([`SrtpKeys::from_exporter`]); key schedules and HMAC states are set up here once, so that a packet costs
//! the cipher and nothing else: no allocation, no lookup beyond its SSRC.
//!
//! ```text
//! open_rtp:  SRTP packet -> stream of the SSRC -> guess the rollover count -> replay window -> cipher -> commit
//! seal_rtp:  header in the train, plain payload in the store, 48-bit index (the slot knows it) -> cipher from store to train
//! ```
//!
//! A received packet changes nothing until it is authentic: neither the rollover count, nor the replay window, nor the
//! table of streams.

use aws_lc_rs::error::Unspecified;
use wire::rtp::RtpHeader;

mod cipher;
mod keys;
mod replay;
#[cfg(test)]
mod tests;

use cipher::{RtcpCipher, RtpCipher, WORD_LEN};
pub use keys::{MasterKey, Profile, SrtpKeys};
use replay::ReplayWindow;

/// SSRCs that one peer may send on. A browser with microphone, camera in three layers, screen, screen sound and
/// their retransmission streams uses about a dozen; we, with 64 slots and theirs, 128, which whoever tests us with this file opens.
/// Full means: packets of a further SSRC are refused.
pub const STREAM_CAPACITY: usize = 160;

/// Fixed part of an RTCP packet that stays in the clear (RFC 3711 §3.4).
const RTCP_HEADER_LEN: usize = 8;

/// SRTCP indexes are 31 bits wide (RFC 3711 §3.4).
const RTCP_INDEX_MAX: u32 = 0x7fff_ffff;

/// The top bit of the SRTCP index word: the packet is encrypted.
const RTCP_ENCRYPTED: u32 = 0x8000_0000;

/// Why a packet could not be opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Seen before, or too old to tell.
    #[error("the packet was received before, or is older than the replay window; it is dropped")]
    Replayed,
    /// The tag does not match the key.
    #[error("the packet does not authenticate under this endpoint's key; it is dropped")]
    Authentication,
    /// Too short, or header and length contradict each other.
    #[error("the packet is too short or its header exceeds it; it is dropped")]
    Malformed,
    /// More SSRCs than [`STREAM_CAPACITY`].
    #[error("the endpoint already sends on {STREAM_CAPACITY} SSRCs; packets of a further one are dropped")]
    TooManyStreams,
    /// The cipher refused: a key of the wrong length, or an exhausted index.
    #[error("the cipher refused the key or its packet indexes are used up; the endpoint has to connect anew")]
    Crypto,
}

impl SrtpError {
    /// A metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Authentication => "authentication",
            Self::Malformed => "malformed",
            Self::TooManyStreams => "too_many_streams",
            Self::Crypto => "crypto",
        }
    }
}

impl From<Unspecified> for SrtpError {
    fn from(_: Unspecified) -> Self {
        Self::Crypto
    }
}

/// Per-SSRC state of one direction and protocol.
#[derive(Debug, Default)]
struct Streams {
    /// Parallel to `windows`: the scan of every packet touches these four-byte entries only.
    ssrcs: Vec<u32>,
    windows: Vec<ReplayWindow>,
}

impl Streams {
    fn position(&self, ssrc: u32) -> Option<usize> {
        self.ssrcs.iter().position(|known| *known == ssrc)
    }

    /// The window of a known SSRC; `None` for a new one that there is room for.
    fn window(&self, ssrc: u32) -> Result<Option<&ReplayWindow>, SrtpError> {
        match self.position(ssrc) {
            Some(at) => Ok(self.windows.get(at)),
            None if self.ssrcs.len() < STREAM_CAPACITY => Ok(None),
            None => Err(SrtpError::TooManyStreams),
        }
    }

    /// Notes an authentic packet.
    fn commit(&mut self, ssrc: u32, index: u64) {
        match self.position(ssrc) {
            Some(at) => {
                if let Some(window) = self.windows.get_mut(at) {
                    window.accept(index);
                }
            }
            None => {
                self.ssrcs.push(ssrc);
                self.windows.push(ReplayWindow::starting_at(index));
            }
        }
    }
}

/// Opens what one peer sends.
pub struct SrtpOpen {
    rtp: RtpCipher,
    rtcp: RtcpCipher,
    rtp_streams: Streams,
    rtcp_streams: Streams,
}

impl SrtpOpen {
    /// Derives the session keys of the peer's direction.
    ///
    /// # Errors
    /// [`SrtpError::Crypto`] when the cipher refuses the key.
    pub fn new(profile: Profile, key: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self {
            rtp: RtpCipher::new(profile, key)?,
            rtcp: RtcpCipher::new(profile, key)?,
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
        })
    }

    /// Opens an SRTP packet in place and says how long the plain packet is that `packet` now begins with.
    ///
    /// `header` is the parsed header of this very packet. When this fails, the payload in `packet` is undefined.
    ///
    /// # Errors
    /// Any [`SrtpError`] that concerns receiving.
    pub fn open_rtp(&mut self, packet: &mut [u8], header: &RtpHeader) -> Result<usize, SrtpError> {
        let ssrc = header.ssrc;
        let index = match self.rtp_streams.window(ssrc)? {
            Some(window) => {
                let index = guess_index(window.highest(), header.sequence);
                if !window.is_fresh(index) {
                    return Err(SrtpError::Replayed);
                }
                index
            }
            None => u64::from(header.sequence),
        };
        let length = self.rtp.open(packet, header.payload_offset, ssrc, index)?;
        self.rtp_streams.commit(ssrc, index);
        Ok(length)
    }

    /// Opens an SRTCP packet into `plain`, which the caller keeps for the next one. When this fails, its contents are
    /// undefined.
    ///
    /// # Errors
    /// Any [`SrtpError`] that concerns receiving. Unencrypted SRTCP counts as malformed: WebRTC never sends it.
    pub fn open_rtcp(&mut self, packet: &[u8], plain: &mut Vec<u8>) -> Result<(), SrtpError> {
        let ssrc = rtcp_sender(packet).ok_or(SrtpError::Malformed)?;
        let (body, word) = self.rtcp.split_index(packet).ok_or(SrtpError::Malformed)?;
        if word & RTCP_ENCRYPTED == 0 {
            return Err(SrtpError::Malformed);
        }
        let index = word & RTCP_INDEX_MAX;
        if let Some(window) = self.rtcp_streams.window(ssrc)?
            && !window.is_fresh(u64::from(index))
        {
            return Err(SrtpError::Replayed);
        }
        self.rtcp.open(packet, body, ssrc, word, plain)?;
        self.rtcp_streams.commit(ssrc, u64::from(index));
        Ok(())
    }
}

/// Seals what we send to one peer.
pub struct SrtpSeal {
    rtp: RtpCipher,
    rtcp: RtcpCipher,
    /// Of the next SRTCP packet, whatever its SSRC: one counter for all keeps every nonce unique.
    next_rtcp_index: u32,
}

impl SrtpSeal {
    /// Derives the session keys of our direction.
    ///
    /// # Errors
    /// [`SrtpError::Crypto`] when the cipher refuses the key.
    pub fn new(profile: Profile, key: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self { rtp: RtpCipher::new(profile, key)?, rtcp: RtcpCipher::new(profile, key)?, next_rtcp_index: 0 })
    }

    /// Completes an SRTP packet whose header already ends `out`, from `header_start` on: appends the sealed form of
    /// `plain` followed by `padding` octets of RTP padding, then the tag. On failure `out` is as before.
    ///
    /// `plain` stays as it is and is sealed again for the next receiver. The header has the P bit if and only if
    /// `padding` is not zero. `index` is the 48-bit packet index, rollover count and sequence number, of this SSRC; the
    /// caller never uses one twice with different contents: nonces are made of it. `out` does not move when it has room
    /// for `plain.len() + padding + self.overhead()` more.
    ///
    /// # Errors
    /// [`SrtpError::Malformed`] when `header_start` lies behind `out`, [`SrtpError::Crypto`] when the cipher refuses.
    pub fn seal_rtp(
        &mut self,
        out: &mut Vec<u8>,
        header_start: usize,
        plain: &[u8],
        padding: u8,
        ssrc: u32,
        index: u64,
    ) -> Result<(), SrtpError> {
        let body_start = out.len();
        let sealed = self.rtp.seal(out, header_start, plain, padding, ssrc, index);
        if sealed.is_err() {
            out.truncate(body_start);
        }
        sealed
    }

    /// Bytes that sealing adds to an RTP packet under the profile of this endpoint.
    #[must_use]
    pub const fn overhead(&self) -> usize {
        self.rtp.overhead()
    }

    /// Appends the SRTCP form of the compound packet `packet` to `out`; on failure `out` is as before.
    ///
    /// # Errors
    /// [`SrtpError::Malformed`] when the packet is no RTCP, [`SrtpError::Crypto`] when all 2^31 indexes are used.
    pub fn seal_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        let ssrc = rtcp_sender(packet).ok_or(SrtpError::Malformed)?;
        let index = self.next_rtcp_index;
        if index > RTCP_INDEX_MAX {
            return Err(SrtpError::Crypto);
        }
        self.next_rtcp_index += 1;
        let start = out.len();
        out.extend_from_slice(packet);
        let sealed = self.rtcp.seal(out, start, ssrc, index | RTCP_ENCRYPTED);
        if sealed.is_err() {
            out.truncate(start);
        }
        sealed
    }
}

/// Bytes that sealing adds to an RTP packet under either profile, at most.
pub const RTP_OVERHEAD: usize = cipher::GCM_TAG_LEN;

/// Bytes that sealing adds to an RTCP packet under either profile, at most.
pub const RTCP_OVERHEAD: usize = cipher::GCM_TAG_LEN + WORD_LEN;

/// The packet index nearest to the highest authentic one that ends in `sequence` (RFC 3711 §3.3.1, appendix A).
fn guess_index(highest: u64, sequence: u16) -> u64 {
    const HALF: u64 = 0x8000;
    const CYCLE: u64 = 0x1_0000;
    let same_cycle = (highest & !(CYCLE - 1)) | u64::from(sequence);
    if same_cycle + HALF < highest {
        same_cycle + CYCLE
    } else if same_cycle > highest + HALF && same_cycle >= CYCLE {
        same_cycle - CYCLE
    } else {
        same_cycle
    }
}

/// The SSRC of the first packet of a compound, when there is a whole header.
fn rtcp_sender(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<RTCP_HEADER_LEN>()?;
    let [first, _, _, _, ssrc @ ..] = header;
    // RFC 3550 §6.4.1: version 2.
    (first >> 6 == 2).then(|| u32::from_be_bytes(*ssrc))
}
