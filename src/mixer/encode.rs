//! The encoder of a mix.
//!
//! CELT alone (restricted low delay) at 48 kbit/s, complexity 5: a third of the price of the speech modes, and a mix of voices is
//! no single voice. It has no in-band FEC; receivers that lose packets get earlier payloads along with each packet (RFC 2198) from
//! whoever sends, which costs no encoding.
//!
//! ```text
//! limited samples ─> Encoder ─> payload
//! ```

use opus::{Application, Bitrate, Channels};

use crate::RATE;
use crate::sum::Frame;

/// Octets of one payload at most: the encoder varies its rate around 120.
pub const PAYLOAD_MAX: usize = 480;

/// bit/s.
const BITRATE: i32 = 48_000;

const COMPLEXITY: i32 = 5;

/// One encoder.
#[derive(Debug)]
pub struct Encoder {
    encoder: opus::Encoder,
    stands_alone: bool,
}

impl Encoder {
    /// An encoder with the settings of every mix.
    ///
    /// # Errors
    /// libopus finds no memory.
    pub fn new() -> Result<Self, opus::Error> {
        let mut encoder = opus::Encoder::new(RATE, Channels::Mono, Application::LowDelay)?;
        encoder.set_bitrate(Bitrate::Bits(BITRATE))?;
        encoder.set_complexity(COMPLEXITY)?;
        Ok(Self { encoder, stands_alone: false })
    }

    /// Forgets what it has encoded.
    pub fn reset(&mut self) {
        // The only error is a wrong argument, of which there is none.
        let _ = self.encoder.reset_state();
    }

    /// Encodes a tick into `payload`, which is empty afterwards if libopus failed. `stands_alone`: the packet does not lean on the
    /// one before it, because the receiver's decoder has heard something else, or nothing.
    pub fn encode(&mut self, pcm: &Frame, stands_alone: bool, payload: &mut Vec<u8>) {
        if stands_alone != self.stands_alone && self.encoder.set_prediction_disabled(stands_alone).is_ok() {
            self.stands_alone = stands_alone;
        }
        payload.resize(PAYLOAD_MAX, 0);
        let len = self.encoder.encode_float(pcm, payload).unwrap_or(0);
        payload.truncate(len);
    }

    /// Gets it into the state of one that has encoded these.
    pub fn warm<'a>(&mut self, earlier: impl Iterator<Item = &'a Frame>, scratch: &mut Vec<u8>) {
        self.reset();
        for pcm in earlier {
            self.encode(pcm, false, scratch);
        }
    }
}
