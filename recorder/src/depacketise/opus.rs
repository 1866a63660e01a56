//! Opus: each packet is a frame, if it is one.
//!
//! Anything can be said to be Opus, so a packet must keep the rules of its framing: decoders give up at one that does not.
//!
//! RFC 7587 <https://www.rfc-editor.org/rfc/rfc7587> (payload), RFC 6716 §3.1, §3.2, §3.4 (packets, R1 to R7).

use rtp::codec::opus::OpusPacket;
use rtp::packetizer::Depacketizer as _;

use super::{Frame, Payload};
use crate::webm::Media;

const MAX_FRAME_BYTES: usize = 1275;
const MAX_PACKET_US: u64 = 120_000;

#[derive(Debug, Default)]
pub(crate) struct Opus {
    broken: u64,
}

impl Opus {
    pub(super) fn push(&mut self, packet: &Payload, out: &mut Vec<Frame>) {
        match OpusPacket.depacketize(&packet.data).ok().filter(|data| duration_us(data).is_some()) {
            Some(data) => out.push(Frame { at_us: packet.at_us, format: Some(Media::Opus), data }),
            None => self.broken += 1,
        }
    }

    pub(super) fn broken(&self) -> u64 {
        self.broken
    }
}

/// How long a packet sounds; `None` when it is none.
pub(crate) fn duration_us(packet: &[u8]) -> Option<u64> {
    let (toc, rest) = packet.split_first()?;
    let config = toc >> 3;
    let frame_us: u64 = match (config, config & 3) {
        (0..=11, 0) | (12..=15, 0 | 2) => 10_000,
        (0..=11, 1) | (12..=15, _) => 20_000,
        (0..=11, 2) => 40_000,
        (0..=11, _) => 60_000,
        (_, 0) => 2_500,
        (_, 1) => 5_000,
        (_, 2) => 10_000,
        (_, _) => 20_000,
    };
    let (frames, is_sound) = match toc & 3 {
        0 => (1, rest.len() <= MAX_FRAME_BYTES),
        1 => (2, rest.len() % 2 == 0 && rest.len() / 2 <= MAX_FRAME_BYTES),
        2 => (2, is_variable(rest, 2)),
        _ => {
            let (flags, mut rest) = rest.split_first()?;
            let frames = usize::from(flags & 0x3F);
            if flags & 0x40 != 0 {
                rest = without_padding(rest)?;
            }
            let is_sound = if flags & 0x80 != 0 {
                is_variable(rest, frames)
            } else {
                frames > 0 && rest.len() % frames == 0 && rest.len() / frames <= MAX_FRAME_BYTES
            };
            (frames, is_sound)
        }
    };
    let duration = frame_us * frames as u64;
    (is_sound && frames > 0 && duration <= MAX_PACKET_US).then_some(duration)
}

/// Lengths of all frames but the last, each in one or two bytes (§3.2.1), then the frames.
fn is_variable(mut rest: &[u8], frames: usize) -> bool {
    let mut total = 0;
    for _ in 1..frames {
        let (length, after) = match rest {
            [low @ 0..=251, after @ ..] => (usize::from(*low), after),
            [low, high, after @ ..] => (usize::from(*low) + 4 * usize::from(*high), after),
            _ => return false,
        };
        total += length;
        rest = after;
    }
    rest.len().checked_sub(total).is_some_and(|last| last <= MAX_FRAME_BYTES)
}

/// §3.2.5: its length comes first, in bytes that add up; 255 counts 254 and goes on.
fn without_padding(mut rest: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        padding += usize::from(*byte).min(254);
        if *byte != 255 {
            return rest.get(..rest.len().checked_sub(padding)?);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn lengths_follow_the_table_of_contents() {
        let table: [(&[u8], u64); 8] = [
            (&[0x78], 20_000),
            (&[0x08], 20_000),
            (&[0xF9, 1, 1], 40_000),
            (&[0xFF, 3, 1, 2, 3], 60_000),
            (&[0x80], 2_500),
            (&[0x18], 60_000),
            (&[0xFA, 1, 9], 40_000),
            (&[0xFF, 0xC2, 1, 1, 7, 7, 0], 40_000),
        ];
        for (packet, us) in table {
            assert_eq!(duration_us(packet), Some(us), "{packet:02x?}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_no_packet() {
        let long = [&[0xF8][..], &[0; 1276]].concat();
        let table: [&[u8]; 9] = [
            &[],
            &long,
            &[0xF9, 1],                      // two frames of half a byte
            &[0xFA, 9, 1],                   // a frame longer than the packet
            &[0xFF],                         // no count
            &[0xFF, 0],                      // no frame
            &[0xFF, 7, 1, 2, 3, 4, 5, 6, 7], // 140 ms
            &[0xFF, 0x41, 200, 1],           // more padding than packet
            &[0xFF, 0x82],                   // no length
        ];
        for packet in table {
            assert_eq!(duration_us(packet), None, "{packet:02x?}");
        }
    }
}
