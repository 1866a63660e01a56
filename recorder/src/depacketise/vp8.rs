//! VP8: where a frame begins, and what its first bytes say.
//!
//! RFC 7741 <https://www.rfc-editor.org/rfc/rfc7741> (payload), RFC 6386 §9.1 (frame header).

use bytes::{Bytes, BytesMut};
use rtp::codec::vp8::Vp8Packet;
use rtp::packetizer::Depacketizer as _;

use super::assembler::{Format, Picture};
use crate::webm::Media;

/// The crate's reader refuses payloads under four bytes, though a short last fragment is legal (RFC 7741 §4.4).
const READER_MINIMUM: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Vp8;

impl Format for Vp8 {
    /// A decoder shows a smeared picture and goes on; a stale one for seconds would be worse.
    const AWAITS_KEY_AFTER_HOLE: bool = false;

    fn add(&mut self, payload: &Bytes, frame: &mut BytesMut) -> Option<()> {
        let (begins, data) = read(payload)?;
        if frame.is_empty() && !begins {
            return None;
        }
        frame.extend_from_slice(&data);
        Some(())
    }

    /// RFC 6386 §9.1: three bytes of tag; on key frames a start code and the size.
    fn finish(&mut self, frame: BytesMut) -> Option<Picture> {
        let data = frame.freeze();
        match data.as_ref() {
            [tag, ..] if tag & 1 == 1 => Some(Picture::Delta(data)),
            [_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] => {
                let width = u16::from_le_bytes([*w0, *w1]) & 0x3FFF;
                let height = u16::from_le_bytes([*h0, *h1]) & 0x3FFF;
                (width > 0 && height > 0).then_some(Picture::Key(Media::Vp8 { width, height }, data))
            }
            _ => None,
        }
    }
}

/// Whether a frame begins here, and the payload behind the descriptor.
fn read(payload: &Bytes) -> Option<(bool, Bytes)> {
    // A new reader per packet: it keeps flags of the last descriptor when the next one has no extension byte.
    let mut reader = Vp8Packet::default();
    let missing = READER_MINIMUM.saturating_sub(payload.len());
    let data = if missing == 0 {
        reader.depacketize(payload).ok()?
    } else {
        let mut padded = BytesMut::from(payload.as_ref());
        padded.resize(READER_MINIMUM, 0);
        let data = reader.depacketize(&padded.freeze()).ok()?;
        data.slice(..data.len().checked_sub(missing)?)
    };
    (!data.is_empty()).then_some((reader.s == 1 && reader.pid == 0, data))
}
