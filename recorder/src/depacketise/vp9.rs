//! VP9: pictures of one or several spatial layers, key frames, sizes.
//!
//! A picture of scalable VP9 is all layer frames of one RTP time. They go into one block, since the upper ones refer to
//! the lower ones, with a superframe index behind them, by which decoders find each. Measured with what Chromium sends as
//! L3T3_KEY: libvpx, and so Chromium, shows the uppermost layer of each block; ffmpeg's own decoder shows all of them, one
//! after the other at one time, because libvpx marks each layer as shown; without the index it shows the lowest only.
//! Lower layers are kept even where none refers to them now: when a sender's rate falls, they are what goes on.
//!
//! RFC 9628 <https://www.rfc-editor.org/rfc/rfc9628> (payload), VP9 bitstream specification §6.2 (uncompressed header),
//! annex B (superframes), <https://www.webmproject.org/vp9/>.

use bytes::{BufMut as _, Bytes, BytesMut};
use rtp::codec::vp9::Vp9Packet;
use rtp::packetizer::Depacketizer as _;

use super::assembler::{Format, Picture};
use super::bits::Bits;
use crate::webm::Media;

/// Frames that a superframe can have (annex B.2).
const MAX_LAYERS: usize = 8;
/// Bits of the payload descriptor (RFC 9628 §4.2).
const HAS_PICTURE_ID: u8 = 0x80;
const IS_PREDICTED: u8 = 0x40;
const HAS_LAYER: u8 = 0x20;
const IS_FLEXIBLE: u8 = 0x10;

#[derive(Debug, Default)]
pub(crate) struct Vp9 {
    /// Where each layer frame of the open picture begins.
    layers: Vec<usize>,
    /// Of the newest layer frame, to see that its end came.
    ended: bool,
}

impl Format for Vp9 {
    fn add(&mut self, payload: &Bytes, frame: &mut BytesMut) -> Option<()> {
        // A new reader per packet: it adds references to those of the last packet.
        let mut reader = Vp9Packet::default();
        let data = match without_third_reference(payload) {
            Some(patched) => reader.depacketize(&patched).ok()?,
            None => reader.depacketize(payload).ok()?,
        };
        if frame.is_empty() {
            self.abandon();
        }
        if reader.b {
            (self.layers.is_empty() || self.ended).then_some(())?;
            self.layers.push(frame.len());
        }
        if self.layers.is_empty() || self.layers.len() > MAX_LAYERS || data.is_empty() {
            return None;
        }
        self.ended = reader.e;
        frame.extend_from_slice(&data);
        Some(())
    }

    fn finish(&mut self, mut frame: BytesMut) -> Option<Picture> {
        let layers = std::mem::take(&mut self.layers);
        if !self.ended {
            return None;
        }
        let ends = layers.iter().skip(1).copied().chain([frame.len()]);
        let ranges: Vec<_> = layers.iter().copied().zip(ends).map(|(from, to)| from..to).collect();
        let mut headers = Vec::with_capacity(ranges.len());
        for range in &ranges {
            headers.push(Header::read(frame.get(range.clone())?)?);
        }
        if ranges.len() > 1 {
            put_superframe_index(&mut frame, ranges.iter().map(ExactSizeIterator::len));
        }
        let data = frame.freeze();
        if headers.first()?.key {
            // The largest layer is the last; its size stands in its header, since that of what it refers to differs.
            let (width, height) = headers.iter().rev().find_map(|header| header.size)?;
            return Some(Picture::Key(Media::Vp9 { width, height }, data));
        }
        Some(Picture::Delta(data))
    }

    fn abandon(&mut self) {
        self.layers.clear();
        self.ended = false;
    }
}

/// The crate's reader refuses a third reference, which is legal (RFC 9628 §4.2: up to three). Nothing here needs it, so
/// it is cut out; `None` when there is none.
fn without_third_reference(payload: &Bytes) -> Option<Bytes> {
    let flags = *payload.first()?;
    if flags & (IS_FLEXIBLE | IS_PREDICTED) != IS_FLEXIBLE | IS_PREDICTED {
        return None;
    }
    let mut at = 1;
    if flags & HAS_PICTURE_ID != 0 {
        at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
    }
    at += usize::from(flags & HAS_LAYER != 0);
    let [first, second, _third, ..] = payload.get(at..)? else { return None };
    if first & 1 == 0 || second & 1 == 0 {
        return None;
    }
    let mut patched = BytesMut::from(payload.get(..=at)?);
    patched.put_u8(second & !1);
    patched.extend_from_slice(payload.get(at + 3..)?);
    Some(patched.freeze())
}

/// Annex B.2: a marker with the count and the width of the sizes, the sizes, the marker again.
fn put_superframe_index(frame: &mut BytesMut, sizes: impl ExactSizeIterator<Item = usize>) {
    const SIZE_BYTES: u8 = 4;
    let marker = 0b1100_0000 | (SIZE_BYTES - 1) << 3 | (sizes.len() - 1) as u8;
    frame.put_u8(marker);
    sizes.for_each(|size| frame.put_u32_le(size as u32));
    frame.put_u8(marker);
}

/// What is read of a frame's uncompressed header.
struct Header {
    key: bool,
    /// When it stands there rather than being that of a reference.
    size: Option<(u16, u16)>,
}

impl Header {
    fn read(frame: &[u8]) -> Option<Self> {
        const DELTA: Header = Header { key: false, size: None };
        let mut bits = Bits::new(frame);
        (bits.number(2)? == 2).then_some(())?;
        let profile = bits.number(1)? | bits.number(1)? << 1;
        if profile == 3 {
            bits.skip(1);
        }
        if bits.flag()? {
            return Some(DELTA); // shows an existing frame
        }
        let is_key = !bits.flag()?;
        let is_shown = bits.flag()?;
        let is_error_resilient = bits.flag()?;
        if is_key {
            (bits.number(24)? == 0x49_8342).then_some(())?;
            skip_colours(&mut bits, profile)?;
            return Some(Self { key: true, size: Some(size(&mut bits)?) });
        }
        let is_intra = !is_shown && bits.flag()?;
        if is_intra {
            return Some(DELTA);
        }
        if !is_error_resilient {
            bits.skip(2); // reset_frame_context
        }
        bits.skip(8 + 3 * 4); // refresh_frame_flags; three references with their sign
        for _ in 0..3 {
            if bits.flag()? {
                return Some(DELTA); // as large as that reference
            }
        }
        Some(Self { key: false, size: size(&mut bits) })
    }
}

/// §6.2.2
fn skip_colours(bits: &mut Bits<'_>, profile: u32) -> Option<()> {
    const RGB: u32 = 7;
    if profile >= 2 {
        bits.skip(1); // ten or twelve bits
    }
    let has_subsampling = profile & 1 == 1;
    if bits.number(3)? == RGB {
        has_subsampling.then_some(())?;
        bits.skip(1);
    } else {
        bits.skip(if has_subsampling { 4 } else { 1 });
    }
    Some(())
}

/// §6.2.3
fn size(bits: &mut Bits<'_>) -> Option<(u16, u16)> {
    let mut side = || u16::try_from(bits.number(16)? + 1).ok();
    Some((side()?, side()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::super::tests::Bench;
    use super::*;
    use crate::manifest::TrackCodec;

    /// Headers of libvpx: a key frame of 320x180, a frame as large as its reference.
    const KEY: [u8; 11] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xF0, 0x0B, 0x36, 0x04, 0x38];
    const DELTA: [u8; 7] = [0x86, 0x00, 0x40, 0x92, 0xF0, 0xE1, 0x40];
    /// An upper layer of a key picture: it refers to the lower one and has a size of its own, 640x360.
    const UPPER: [u8; 9] = [0x86, 0x00, 0x40, 0x00, 0x01, 0x3F, 0x80, 0xB3, 0x80];

    /// Descriptor with picture id; `flags` are P, B, E as in RFC 9628.
    fn packet(flags: u8, data: &[u8]) -> Vec<u8> {
        [&[HAS_PICTURE_ID | flags, 1], data].concat()
    }

    /// The same of a spatial layer, flexible mode.
    fn layer(flags: u8, layer: u8, data: &[u8]) -> Vec<u8> {
        [&[HAS_PICTURE_ID | HAS_LAYER | IS_FLEXIBLE | flags, 1, layer << 1], data].concat()
    }

    #[test]
    fn a_key_frame_says_its_size_and_others_follow() {
        let mut bench = Bench::of(TrackCodec::Vp9);
        bench.payload(1, &packet(0x0C, &KEY), true).payload(2, &packet(0x4C, &DELTA), true);
        assert_eq!(bench.1[0].format, Some(Media::Vp9 { width: 320, height: 180 }));
        assert_eq!(bench.1[0].data.as_ref(), KEY, "a single layer goes as it came");
        assert!(!bench.1[1].is_key());
    }

    #[test]
    fn layers_of_one_time_are_one_superframe_of_the_largest_size() {
        let mut bench = Bench::of(TrackCodec::Vp9);
        bench.payload(1, &layer(0x08, 0, &KEY[..6]), false).payload(1, &layer(0x04, 0, &KEY[6..]), false);
        bench.payload(1, &layer(0x0C, 1, &UPPER), true);
        assert_eq!(bench.1[0].format, Some(Media::Vp9 { width: 640, height: 360 }));
        let index = [0xD9, 11, 0, 0, 0, 9, 0, 0, 0, 0xD9];
        assert_eq!(bench.1[0].data, [&KEY[..], &UPPER, &index].concat());
    }

    #[test]
    fn a_layer_without_its_end_or_its_beginning_breaks_the_picture() {
        for (first, second) in [
            (layer(0x08, 0, &KEY), layer(0x0C, 1, &UPPER)),
            (layer(0x0C, 0, &KEY), layer(0x08, 1, &UPPER)),
            (layer(0x04, 0, &KEY), layer(0x0C, 1, &UPPER)),
        ] {
            let mut bench = Bench::of(TrackCodec::Vp9);
            bench.payload(1, &first, false).payload(1, &second, true);
            assert_eq!((bench.1.len(), bench.0.broken_frames()), (0, 1), "{first:02x?} {second:02x?}");
        }
    }

    #[test]
    fn three_references_are_legal_whatever_the_crate_thinks() {
        let mut bench = Bench::of(TrackCodec::Vp9);
        bench.payload(1, &packet(0x0C, &KEY), true);
        let descriptor = [HAS_PICTURE_ID | IS_PREDICTED | HAS_LAYER | IS_FLEXIBLE | 0x0C, 0x81, 2, 0, 3, 5, 8];
        bench.payload(2, &[&descriptor[..], &DELTA].concat(), true);
        assert_eq!(bench.1[1].data.as_ref(), DELTA);
    }

    #[test]
    fn after_a_hole_a_key_frame_is_awaited() {
        let mut bench = Bench::of(TrackCodec::Vp9);
        bench.payload(1, &packet(0x0C, &KEY), true);
        bench.0.handle_loss();
        bench.payload(2, &packet(0x4C, &DELTA), true).payload(3, &packet(0x0C, &KEY), true);
        assert_eq!((bench.times(), bench.0.broken_frames()), (vec![1, 3], 1));
    }
}
