//! The stream of everybody whose own voice is not in the mix: encoded once, whoever listens.
//!
//! ```text
//! total ─> Limiter ─> samples ─> Quiet: anything to send? ─> Encoder ─> payload
//! ```

use crate::TICK;
use crate::encode::{Encoder, PAYLOAD_MAX};
use crate::listener::{Quiet, Sending, Wish};
use crate::mix::MixCounts;
use crate::sum::{Frame, Limiter};

/// Ticks of the mix that are kept to warm an encoder with.
const HISTORY: usize = 2;

/// The stream of everybody whose own voice is not in the mix.
#[derive(Debug)]
pub(crate) struct Shared {
    encoder: Encoder,
    pub(crate) limiter: Limiter,
    pub(crate) pcm: Box<Frame>,
    pub(crate) history: [Box<Frame>; HISTORY],
    pub(crate) quiet: Quiet,
    /// Somebody comes to it whose decoder has heard something else.
    pub(crate) must_stand_alone: bool,
    /// Nobody heard it in the last tick: its encoder knows nothing of what was.
    is_stale: bool,
    next_sequence: u64,
    /// Sequence and marker of this tick's packet.
    pub(crate) sent: Option<(u64, bool)>,
    pub(crate) payload: Vec<u8>,
    /// Listeners who get it as packets.
    packets: usize,
}

impl Shared {
    pub(crate) fn new() -> Result<Self, opus::Error> {
        let frame = || Box::new([0.0; TICK]);
        Ok(Self {
            encoder: Encoder::new()?,
            limiter: Limiter::default(),
            pcm: frame(),
            history: std::array::from_fn(|_| frame()),
            quiet: Quiet::default(),
            must_stand_alone: true,
            is_stale: true,
            next_sequence: 0,
            sent: None,
            payload: Vec::with_capacity(PAYLOAD_MAX),
            packets: 0,
        })
    }

    /// A listener comes to the shared stream, or leaves it.
    pub(crate) fn tally(&mut self, wish: Wish, comes: bool) {
        let by = usize::from(wish == Wish::Packets);
        self.packets = if comes { self.packets + by } else { self.packets.saturating_sub(by) };
    }

    /// What was sent becomes history.
    pub(crate) fn remember(&mut self) {
        self.history.rotate_left(1);
        if let Some(last) = self.history.last_mut() {
            last.copy_from_slice(self.pcm.as_slice());
        }
    }

    /// Limits the total, and encodes it if anybody wants packets of it.
    pub(crate) fn send(&mut self, total: &Frame, scratch: &mut Vec<u8>, counts: &mut MixCounts) {
        *self.pcm = *total;
        self.limiter.apply(&mut self.pcm);
        self.sent = None;
        let sending = self.quiet.judge(&self.pcm);
        if self.packets == 0 {
            self.is_stale = true;
            return;
        }
        counts.encodes_saved += self.packets as u64;
        let Sending::Encoded { is_first } = sending else { return };
        counts.encodes_saved -= 1;
        if self.is_stale {
            self.encoder.warm(self.history.iter().map(Box::as_ref), scratch);
            counts.warm_encodes += HISTORY as u64;
        }
        let stands_alone = is_first || self.is_stale || self.must_stand_alone;
        self.encoder.encode(&self.pcm, stands_alone, &mut self.payload);
        counts.shared_encodes += 1;
        (self.is_stale, self.must_stand_alone) = (false, false);
        if self.payload.is_empty() {
            return;
        }
        self.sent = Some((self.next_sequence, is_first));
        self.next_sequence += 1;
    }
}
