//! The stamp in every packet: whose it is, which unit of theirs, and when it was sent.
//!
//! ```text
//!  0        4          6        10           18       20
//!  | MARK   | publisher | unit   | sent (us)  | sum    |
//! ```
//!
//! A unit is a picture or a sound packet, counted from the publisher's first. The sum tells a stamp from payload that
//! looks like one, and damage from health.

/// Bytes of a stamp.
pub const STAMP_BYTES: usize = 20;
/// Its first byte also reads as an Opus extension of an id that is free for experiments (120, to the end of the
/// padding), so that decoders which look into padding skip it.
const MARK: [u8; 4] = [120 << 1, b'P', b'L', b'T'];

/// What a packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the publisher in this run.
    pub publisher: u16,
    /// Number of the picture or sound packet.
    pub unit: u32,
    /// Microseconds since the run's epoch at which the packet was handed to the stack.
    pub sent: u64,
}

impl Stamp {
    /// As bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let body = self.body();
        let mut bytes = [0; STAMP_BYTES];
        let all = MARK.into_iter().chain(body).chain(sum(&body).to_be_bytes());
        for (place, byte) in bytes.iter_mut().zip(all) {
            *place = byte;
        }
        bytes
    }

    fn body(self) -> [u8; 14] {
        let mut body = [0; 14];
        let fields =
            self.publisher.to_be_bytes().into_iter().chain(self.unit.to_be_bytes()).chain(self.sent.to_be_bytes());
        for (place, byte) in body.iter_mut().zip(fields) {
            *place = byte;
        }
        body
    }

    /// Reads the stamp at the start of `bytes`.
    #[must_use]
    pub fn at_start(bytes: &[u8]) -> Option<Self> {
        let (publisher, rest) = bytes.strip_prefix(&MARK)?.split_first_chunk()?;
        let (unit, rest) = rest.split_first_chunk()?;
        let (sent, rest) = rest.split_first_chunk()?;
        let (sum_found, _) = rest.split_first_chunk()?;
        let stamp = Self {
            publisher: u16::from_be_bytes(*publisher),
            unit: u32::from_be_bytes(*unit),
            sent: u64::from_be_bytes(*sent),
        };
        (sum(&stamp.body()) == u16::from_be_bytes(*sum_found)).then_some(stamp)
    }

    /// Reads the stamp at the end of `bytes`.
    #[must_use]
    pub fn at_end(bytes: &[u8]) -> Option<Self> {
        bytes.last_chunk::<STAMP_BYTES>().and_then(|tail| Self::at_start(tail))
    }
}

/// Fletcher's sum: sees swapped bytes, costs nothing.
fn sum(bytes: &[u8]) -> u16 {
    let (low, high) = bytes.iter().fold((1_u16, 0_u16), |(low, high), byte| {
        let low = (low + u16::from(*byte)) % 255;
        (low, (high + low) % 255)
    });
    high << 8 | low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stamp_is_read_as_it_was_written(publisher: u16, unit: u32, sent: u64, around in any::<Vec<u8>>()) {
            let stamp = Stamp { publisher, unit, sent };
            let front = [&stamp.to_bytes()[..], &around].concat();
            prop_assert_eq!(Stamp::at_start(&front), Some(stamp));
            let back = [&around[..], &stamp.to_bytes()].concat();
            prop_assert_eq!(Stamp::at_end(&back), Some(stamp));
        }

        #[test]
        fn a_damaged_stamp_is_none(publisher: u16, unit: u32, sent: u64, at in 0..STAMP_BYTES, bit in 0..8_u8) {
            let mut bytes = Stamp { publisher, unit, sent }.to_bytes();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
            prop_assert_eq!(Stamp::at_start(&bytes), None);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
            let _ = (Stamp::at_start(&bytes), Stamp::at_end(&bytes));
        }
    }
}
