//! Who hears a mix: everybody the same one, or one's own.
//!
//! A listener who begins to talk leaves the shared stream for an own one, and comes back half a second after falling silent.
//! Timestamps are those of the mix in both; each stream counts its packets for itself, and whoever sends makes one stream of them, as
//! the engine's slots do. The first packet after a switch stands alone, so that the decoder needs nothing from before, and the own
//! encoder is warmed with what was shared before, so that the sound goes on over the seam.
//!
//! ```text
//! own voice in the mix ─> Own: encoder, limiter, packets from 0 on ─> that listener alone ─> silent for LINGER ─> shared
//! ```

use crate::announce::Player;
use crate::encode::{Encoder, PAYLOAD_MAX};
use crate::sum::{Frame, Limiter, peak};
use crate::{ListenerId, Owner, TICK};

/// Ticks that an own stream goes on for after it is the same as the shared one.
pub const LINGER: u32 = 25;

/// Ticks of silence that are still encoded, so that the decoder ends in silence.
const SILENCE_SENT: u32 = 4;

/// What is quieter than this (-80 dBFS) is silence.
const SILENCE: f32 = 1e-4;

/// How a listener gets the mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Opus packets.
    Packets,
    /// Samples: phone legs and recorders encode as they like.
    Samples,
}

/// One listener.
#[derive(Debug)]
pub struct Listener {
    /// Whose voices it must not hear.
    pub owner: Option<Owner>,
    /// In which form.
    pub wish: Wish,
    /// What is said to it alone.
    pub player: Player,
    /// It has an own stream.
    pub has_own: bool,
}

/// When to send silence, and when nothing.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    ticks: u32,
}

/// What becomes of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// It is encoded; the first after a pause has the marker and stands alone.
    Encoded {
        /// See there.
        is_first: bool,
    },
    /// Silence: nothing is sent.
    Nothing,
}

impl Default for Quiet {
    fn default() -> Self {
        Self { ticks: SILENCE_SENT }
    }
}

impl Quiet {
    /// As if something had been sent in the tick before.
    #[must_use]
    pub const fn sounding() -> Self {
        Self { ticks: 0 }
    }

    /// Whether nothing is being sent.
    #[must_use]
    pub const fn is_quiet(self) -> bool {
        self.ticks >= SILENCE_SENT
    }

    /// What becomes of this tick.
    pub fn judge(&mut self, pcm: &Frame) -> Sending {
        if peak(pcm) >= SILENCE {
            let is_first = self.is_quiet();
            self.ticks = 0;
            return Sending::Encoded { is_first };
        }
        if self.is_quiet() {
            return Sending::Nothing;
        }
        self.ticks += 1;
        Sending::Encoded { is_first: false }
    }
}

/// An own stream.
#[derive(Debug)]
pub struct Own {
    /// Whose.
    pub listener: ListenerId,
    /// What it hears, limited.
    pub pcm: Box<Frame>,
    /// Its limiter.
    pub limiter: Limiter,
    /// Whether it is silent.
    pub quiet: Quiet,
    /// Ticks for which it was the same as the shared one.
    pub idle: u32,
    /// Of the next packet.
    pub next_sequence: u64,
    /// The packet of this tick: sequence and marker.
    pub sent: Option<(u64, bool)>,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its listener wishes packets.
    pub sends: bool,
    /// Makes them; kept for the next who does.
    pub encoder: Option<Encoder>,
    /// The next packet is the first of this encoder.
    pub is_new: bool,
}

impl Own {
    /// For any listener.
    #[must_use]
    pub fn new() -> Self {
        Self {
            listener: ListenerId(0),
            pcm: Box::new([0.0; TICK]),
            limiter: Limiter::default(),
            quiet: Quiet::default(),
            idle: 0,
            next_sequence: 0,
            sent: None,
            payload: Vec::with_capacity(PAYLOAD_MAX),
            sends: false,
            encoder: None,
            is_new: true,
        }
    }

    /// Gets the encoder ready to go on where the shared stream was. Returns how many encodes that took.
    pub fn warm<const N: usize>(&mut self, history: &[Box<Frame>; N], scratch: &mut Vec<u8>) -> u64 {
        let Some(encoder) = &mut self.encoder else { return 0 };
        let skipped = if self.quiet.is_quiet() { N } else { 0 };
        encoder.warm(history.iter().skip(skipped).map(Box::as_ref), scratch);
        (N - skipped) as u64
    }

    /// Encodes this tick, or does not. Returns whether it was encoded.
    pub fn send(&mut self) -> bool {
        self.sent = None;
        let Some(encoder) = self.encoder.as_mut().filter(|_| self.sends) else { return false };
        let Sending::Encoded { is_first } = self.quiet.judge(&self.pcm) else { return false };
        encoder.encode(&self.pcm, is_first || self.is_new, &mut self.payload);
        self.is_new = false;
        if !self.payload.is_empty() {
            self.sent = Some((self.next_sequence, is_first));
            self.next_sequence += 1;
        }
        true
    }
}

impl Default for Own {
    fn default() -> Self {
        Self::new()
    }
}
