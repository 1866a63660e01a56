//! The encoder of a mix and the redundant form of what it makes.
//!
//! CELT alone (restricted low delay) at 48 kbit/s, complexity 5: a third of the price of the speech modes, and a mix of voices is
//! no single voice. It has no in-band FEC; receivers that lose packets get the earlier payloads along with each packet (RFC 2198),
//! which costs no encoding.
//!
//! ```text
//! limited samples ─> Encoder ─> payload ─┬─> Redundancy ─> payload with the two before it
//!                                        └─> as it is
//! ```

use opus::{Application, Bitrate, Channels};
use wire::red::{block_head, primary_head};

use crate::RATE;
use crate::sum::Frame;

/// Octets of one payload at most: the encoder varies its rate around 120.
pub const PAYLOAD_MAX: usize = 480;

/// Earlier payloads that go along: of 10 % random loss two leave one packet in a thousand.
pub const REDUNDANT: usize = 2;

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

/// The last payloads of the shared stream, and the payload that carries them along.
#[derive(Debug)]
pub struct Redundancy {
    payload_type: u8,
    /// The newest last.
    earlier: [(u32, Vec<u8>); REDUNDANT],
    payload: Vec<u8>,
}

impl Redundancy {
    /// For a stream whose payloads are of this type.
    #[must_use]
    pub fn new(payload_type: u8) -> Self {
        let earlier = std::array::from_fn(|_| (0, Vec::with_capacity(PAYLOAD_MAX)));
        Self { payload_type, earlier, payload: Vec::with_capacity((REDUNDANT + 1) * (PAYLOAD_MAX + 4)) }
    }

    /// The payload with the earlier ones that are not too old for its head.
    pub fn compose(&mut self, timestamp: u32, payload: &[u8]) -> &[u8] {
        self.payload.clear();
        for (at, earlier) in &self.earlier {
            let head = block_head(self.payload_type, timestamp.wrapping_sub(*at), earlier.len());
            if let Some(head) = head.filter(|_| !earlier.is_empty()) {
                self.payload.extend_from_slice(&head);
            }
        }
        self.payload.push(primary_head(self.payload_type));
        for (at, earlier) in &self.earlier {
            if block_head(self.payload_type, timestamp.wrapping_sub(*at), earlier.len()).is_some() {
                self.payload.extend_from_slice(earlier);
            }
        }
        self.payload.extend_from_slice(payload);
        &self.payload
    }

    /// Remembers a payload for those that follow.
    pub fn sent(&mut self, timestamp: u32, payload: &[u8]) {
        self.earlier.rotate_left(1);
        if let Some((at, last)) = self.earlier.last_mut() {
            *at = timestamp;
            last.clear();
            last.extend_from_slice(payload);
        }
    }

    /// What [`Self::compose`] made last.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use wire::red::RedPayload;

    #[test]
    fn the_two_payloads_before_go_along_until_they_are_too_old() {
        let mut red = Redundancy::new(111);
        let blocks = |payload: &[u8]| {
            let red = RedPayload::parse(payload).unwrap();
            let older: Vec<_> = red.redundant().map(|block| (block.timestamp_offset, block.body.to_vec())).collect();
            (older, red.body.to_vec())
        };
        assert_eq!(blocks(red.compose(0, &[1])), (vec![], vec![1]));
        red.sent(0, &[1]);
        assert_eq!(blocks(red.compose(960, &[2])), (vec![(960, vec![1])], vec![2]));
        red.sent(960, &[2]);
        assert_eq!(blocks(red.compose(1_920, &[3])), (vec![(1_920, vec![1]), (960, vec![2])], vec![3]));
        red.sent(1_920, &[3]);
        assert_eq!(blocks(red.compose(17_500, &[4])), (vec![(15_580, vec![3])], vec![4]), "after a pause");
    }
}
