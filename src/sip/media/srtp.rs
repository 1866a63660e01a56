//! SRTP with keys from SDES: a wrapper on `rtc-srtp` that adds what it leaves open.
//!
//! `rtc-srtp` notes each SSRC, and where its replay window begins, before the packet is known to be authentic: forged
//! packets would fill its tables, or push a window away from the true stream. So a packet of a new SSRC is opened with
//! a trial context first, and reaches the real one only if that succeeds. It also returns SRTCP whose E bit is clear
//! without looking at the tag; we require the bit.
//!
//! ```text
//! SRTP  ─> Open ─┬─ known SSRC ──────────────────────> context: replay window, cipher ─> RTP
//!                └─ new ─> trial: authentic? ─> known ──^
//! RTP   ─> Seal ─> SRTP
//! ```
//!
//! RFC 3711 §3.3, §3.4 <https://www.rfc-editor.org/rfc/rfc3711>.

use bytes::BytesMut;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::RTCCryptoProvider as _;
use rtc_srtp::crypto::providers::AwsLcRsProvider;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::keys::SrtpKey;

/// Packets that may overtake one another: 1.28 s at 50 a second (RFC 3711 §3.3.2 asks for 64 at least).
const WINDOW: usize = 64;

/// SSRCs of one peer under one key. A trunk begins a new one for a transfer or a new announcement. Full means: further
/// ones are refused until the next negotiation brings a new key.
const STREAMS_MAX: usize = 64;

/// Forged SSRCs that the trial context notes before it is thrown away.
const TRIALS_MAX: u32 = 64;

/// The tag and the index word at the end of SRTCP.
const TAG_LEN: usize = 10;

/// The packet is not from our peer, or was here before, or no context could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet does not authenticate under the negotiated key, or was received before; it is dropped")]
pub struct Unauthentic;

fn context(key: &SrtpKey, replay_window: Option<usize>) -> Result<Context, Unauthentic> {
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    let windows = (replay_window.map(srtp_replay_protection), replay_window.map(srtcp_replay_protection));
    let crypto = AwsLcRsProvider::new();
    Context::new(key.key(), key.salt(), profile, windows.0, windows.1, crypto.crypto()).map_err(|_| Unauthentic)
}

/// Opens what the peer sends.
pub(super) struct Open {
    key: SrtpKey,
    context: Context,
    trial: Context,
    trials: u32,
    media: Vec<u32>,
    control: Vec<u32>,
}

impl Open {
    pub(super) fn new(key: SrtpKey) -> Result<Self, Unauthentic> {
        let (context, trial) = (context(&key, Some(WINDOW))?, context(&key, None)?);
        Ok(Self { key, context, trial, trials: 0, media: Vec::new(), control: Vec::new() })
    }

    pub(super) const fn key(&self) -> &SrtpKey {
        &self.key
    }

    /// `ssrc`: as in the packet.
    pub(super) fn rtp(&mut self, ssrc: u32, packet: &[u8]) -> Result<BytesMut, Unauthentic> {
        if !self.media.contains(&ssrc) {
            self.before_trial(self.media.len())?;
            self.trial.decrypt_rtp(packet).map_err(|_| Unauthentic)?;
            self.media.push(ssrc);
        }
        self.context.decrypt_rtp(packet).map_err(|_| Unauthentic)
    }

    pub(super) fn rtcp(&mut self, packet: &[u8]) -> Result<BytesMut, Unauthentic> {
        let index_at = packet.len().checked_sub(TAG_LEN + 4).ok_or(Unauthentic)?;
        // RFC 3711 §3.4: the E bit says that it is encrypted, and we have agreed on that.
        if packet.get(index_at).is_none_or(|octet| octet & 0x80 == 0) {
            return Err(Unauthentic);
        }
        let ssrc = packet.get(4..).and_then(|rest| rest.first_chunk()).ok_or(Unauthentic)?;
        let ssrc = u32::from_be_bytes(*ssrc);
        if !self.control.contains(&ssrc) {
            self.before_trial(self.control.len())?;
            self.trial.decrypt_rtcp(packet).map_err(|_| Unauthentic)?;
            self.control.push(ssrc);
        }
        self.context.decrypt_rtcp(packet).map_err(|_| Unauthentic)
    }

    fn before_trial(&mut self, streams: usize) -> Result<(), Unauthentic> {
        if streams >= STREAMS_MAX {
            return Err(Unauthentic);
        }
        self.trials += 1;
        if self.trials > TRIALS_MAX {
            self.trial = context(&self.key, None)?;
            self.trials = 1;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Open").field("streams", &self.media.len()).finish_non_exhaustive()
    }
}

/// Seals what we send.
pub(super) struct Seal {
    key: SrtpKey,
    context: Context,
}

impl Seal {
    pub(super) fn new(key: SrtpKey) -> Result<Self, Unauthentic> {
        let context = context(&key, None)?;
        Ok(Self { key, context })
    }

    pub(super) const fn key(&self) -> &SrtpKey {
        &self.key
    }

    /// In place; `packet` is empty afterwards if the key is used up, so that nothing leaves in the clear.
    pub(super) fn rtp(&mut self, packet: &mut Vec<u8>) {
        let sealed = self.context.encrypt_rtp(packet);
        replace(packet, sealed.ok());
    }

    /// As [`Self::rtp`].
    pub(super) fn rtcp(&mut self, packet: &mut Vec<u8>) {
        let sealed = self.context.encrypt_rtcp(packet);
        replace(packet, sealed.ok());
    }
}

fn replace(packet: &mut Vec<u8>, sealed: Option<BytesMut>) {
    packet.clear();
    packet.extend_from_slice(&sealed.unwrap_or_default());
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Seal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn rtp(sequence: u16, ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 0];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 1]);
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(b"a voice");
        packet
    }

    fn pair() -> (Seal, Open) {
        let key = SrtpKey::generate(&mut StdRng::seed_from_u64(1));
        (Seal::new(key.clone()).unwrap(), Open::new(key).unwrap())
    }

    fn sealed(seal: &mut Seal, sequence: u16, ssrc: u32) -> Vec<u8> {
        let mut packet = rtp(sequence, ssrc);
        seal.rtp(&mut packet);
        packet
    }

    #[test]
    fn what_is_sealed_opens_once() {
        let (mut seal, mut open) = pair();
        let packet = sealed(&mut seal, 1, 9);
        assert_ne!(&packet, &rtp(1, 9));
        assert_eq!(open.rtp(9, &packet).unwrap(), rtp(1, 9));
        assert_eq!(open.rtp(9, &packet), Err(Unauthentic), "a replay");
    }

    #[test]
    fn it_goes_on_over_the_wrap_of_the_sequence() {
        let (mut seal, mut open) = pair();
        for sequence in (65_000..=65_535).chain(0..=65_535).chain(0..10) {
            let packet = sealed(&mut seal, sequence, 9);
            assert_eq!(open.rtp(9, &packet).unwrap(), rtp(sequence, 9));
        }
    }

    #[test]
    fn forged_packets_leave_no_trace() {
        let (mut seal, mut open) = pair();
        // The first that is seen of the true stream's SSRC is forged, far ahead: its window must not begin there.
        let mut forged = rtp(30_000, 9);
        forged.extend_from_slice(&[0; 10]);
        assert_eq!(open.rtp(9, &forged), Err(Unauthentic));
        for ssrc in 100..10_000 {
            let mut forged = rtp(1, ssrc);
            forged.extend_from_slice(&[0; 10]);
            assert_eq!(open.rtp(ssrc, &forged), Err(Unauthentic));
        }
        assert!(open.media.is_empty() && open.trials <= TRIALS_MAX);
        let packet = sealed(&mut seal, 1, 9);
        assert_eq!(open.rtp(9, &packet).unwrap(), rtp(1, 9));
    }

    #[test]
    fn streams_of_one_key_are_bounded_and_those_that_are_known_go_on() {
        let (mut seal, mut open) = pair();
        for ssrc in 0..STREAMS_MAX as u32 {
            assert!(open.rtp(ssrc, &sealed(&mut seal, 1, ssrc)).is_ok());
        }
        let further = STREAMS_MAX as u32;
        assert_eq!(open.rtp(further, &sealed(&mut seal, 1, further)), Err(Unauthentic));
        assert!(open.rtp(0, &sealed(&mut seal, 2, 0)).is_ok());
    }

    #[test]
    fn control_in_the_clear_is_refused_though_the_library_would_take_it() {
        let (mut seal, mut open) = pair();
        let plain = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        let mut packet = plain.clone();
        seal.rtcp(&mut packet);
        assert_eq!(open.rtcp(&packet).unwrap(), plain);
        assert_eq!(open.rtcp(&packet), Err(Unauthentic), "a replay");
        let mut clear = plain;
        clear.extend_from_slice(&[0, 0, 0, 2]);
        clear.extend_from_slice(&[0; 10]);
        assert_eq!(open.rtcp(&clear), Err(Unauthentic));
        assert!(open.context.decrypt_rtcp(&clear).is_ok(), "the reason of this wrapper");
    }
}
