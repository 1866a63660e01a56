//! AV1: temporal units of OBUs, key frames with their sequence header.
//!
//! ```text
//! payload --elements, fragments joined--> OBU --rtp: size field on, delimiters off--> temporal unit
//!                                 sequence header is kept  \--> before a key frame that lacks it, and in av1C
//! ```
//!
//! The crate's reader gets each OBU whole, in a payload of its own: it would copy all fragments again with each further
//! one, and panics on an element that ends within its header.
//!
//! AV1 RTP payload <https://aomediacodec.github.io/av1-rtp-spec/>, AV1 specification §5.3, §5.9 (OBUs, frame headers),
//! <https://github.com/ietf-wg-cellar/matroska-specification/blob/master/codec/av1.md> (in Matroska).

use bytes::{BufMut as _, Bytes, BytesMut};
use rtp::codec::av1::Av1Depacketizer;
use rtp::packetizer::Depacketizer as _;

use super::MAX_FRAME_BYTES;
use super::assembler::{Format, Picture};
use super::bits::Bits;
use super::sequence_header::SequenceHeader;
use crate::webm::Media;

/// OBU types (AV1 specification §6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const TILE_GROUP: u8 = 4;
const FRAME: u8 = 6;
const REDUNDANT_FRAME_HEADER: u8 = 7;
const PADDING: u8 = 15;
const HAS_EXTENSION: u8 = 0b100;
const HAS_SIZE: u8 = 0b10;
/// Aggregation header (§4.4): the first element goes on from the packet before, the last one in the next.
const CONTINUES: u8 = 0x80;
const CONTINUED: u8 = 0x40;
/// An aggregation header of one whole element.
const ONE_ELEMENT: u8 = 0x10;
/// Sequence headers have some 15 bytes.
const MAX_SEQUENCE_HEADER_BYTES: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Av1 {
    /// The newest one, as an OBU with a size field, and what it says.
    sequence: Option<(Bytes, SequenceHeader)>,
    /// The beginning of an OBU that goes on in the next packet.
    fragment: Option<BytesMut>,
}

impl Format for Av1 {
    fn add(&mut self, payload: &Bytes, frame: &mut BytesMut) -> Option<()> {
        let flags = *payload.first()?;
        let elements = elements(payload)?;
        // A fragment must go on in the next packet, and nothing else may.
        (self.fragment.is_some() == (flags & CONTINUES != 0)).then_some(())?;
        let last = elements.len().checked_sub(1)?;
        for (n, element) in elements.into_iter().enumerate() {
            let is_continued = n == last && flags & CONTINUED != 0;
            let open = self.fragment.take();
            if open.is_none() && !is_continued {
                put_obu(element, frame)?;
                continue;
            }
            let mut joined = open.unwrap_or_default();
            joined.extend_from_slice(element);
            (joined.len() <= MAX_FRAME_BYTES).then_some(())?;
            if is_continued {
                self.fragment = Some(joined);
            } else {
                put_obu(&joined, frame)?;
            }
        }
        Some(())
    }

    fn finish(&mut self, frame: BytesMut) -> Option<Picture> {
        self.fragment.is_none().then_some(())?;
        let mut data = BytesMut::with_capacity(frame.len());
        let (mut has_sequence, mut is_key, mut is_picture) = (false, false, false);
        for obu in obus(&frame) {
            match obu.kind {
                PADDING => continue,
                SEQUENCE_HEADER => {
                    (obu.whole.len() <= MAX_SEQUENCE_HEADER_BYTES).then_some(())?;
                    self.sequence = Some((Bytes::copy_from_slice(obu.whole), SequenceHeader::read(obu.body)?));
                    has_sequence = true;
                }
                FRAME | FRAME_HEADER => {
                    // The first frame decides: what begins a temporal unit that others can begin with is a key frame.
                    is_key |= !is_picture && self.is_key(obu.body)?;
                    is_picture = true;
                }
                TILE_GROUP | REDUNDANT_FRAME_HEADER if !is_picture => return None,
                _ => {}
            }
            data.extend_from_slice(obu.whole);
        }
        if !is_picture {
            return Some(Picture::Nothing);
        }
        if !is_key {
            return Some(Picture::Delta(data.freeze()));
        }
        let (whole, sequence) = self.sequence.as_ref()?;
        let (width, height) = sequence.dimensions;
        let media = Media::Av1 { width, height, config: av1c(sequence, whole) };
        if has_sequence {
            return Some(Picture::Key(media, data.freeze()));
        }
        let mut with_sequence = BytesMut::from(whole.as_ref());
        with_sequence.extend_from_slice(&data);
        Some(Picture::Key(media, with_sequence.freeze()))
    }

    fn abandon(&mut self) {
        self.fragment = None;
    }

    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.fragment.as_ref().map_or(0, BytesMut::len)
    }
}

impl Av1 {
    /// §5.9.2: the first bits of a frame header.
    fn is_key(&self, header: &[u8]) -> Option<bool> {
        const KEY_FRAME: u32 = 0;
        if self.sequence.as_ref().is_some_and(|(_, sequence)| sequence.is_still) {
            return Some(true);
        }
        let mut bits = Bits::new(header);
        let shows_existing = bits.flag()?;
        let kind = bits.number(2)?;
        let is_shown = bits.flag()?;
        Some(!shows_existing && kind == KEY_FRAME && is_shown)
    }
}

/// The OBU elements of a payload (§4.4, §4.5). `None`: they do not fill it, or one is empty.
fn elements(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let (flags, mut rest) = payload.split_first()?;
    let count = usize::from(flags >> 4 & 3);
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let is_last_of_count = elements.len() + 1 == count;
        let length = if is_last_of_count { rest.len() } else { take_leb128(&mut rest)? };
        let (element, after) = rest.split_at_checked(length)?;
        (!element.is_empty()).then_some(())?;
        elements.push(element);
        rest = after;
        if is_last_of_count {
            break;
        }
    }
    (!elements.is_empty() && (count == 0 || elements.len() == count)).then_some(elements)
}

/// Appends an OBU in its low-overhead form (§5.2), unless it has no place in a file.
fn put_obu(obu: &[u8], frame: &mut BytesMut) -> Option<()> {
    let header_bytes = if obu.first()? & HAS_EXTENSION == 0 { 1 } else { 2 };
    (obu.len() >= header_bytes).then_some(())?;
    let mut payload = BytesMut::with_capacity(1 + obu.len());
    payload.put_u8(ONE_ELEMENT);
    payload.extend_from_slice(obu);
    frame.extend_from_slice(&Av1Depacketizer::new().depacketize(&payload.freeze()).ok()?);
    Some(())
}

struct Obu<'a> {
    kind: u8,
    whole: &'a [u8],
    body: &'a [u8],
}

/// OBUs with size fields; ends at the first thing that is none.
fn obus(mut data: &[u8]) -> impl Iterator<Item = Obu<'_>> {
    std::iter::from_fn(move || {
        let header = *data.first().filter(|header| **header & HAS_SIZE != 0)?;
        let mut rest = data.get(if header & HAS_EXTENSION == 0 { 1.. } else { 2.. })?;
        let size = take_leb128(&mut rest)?;
        let body = rest.get(..size)?;
        let (whole, after) = data.split_at_checked(data.len() - rest.len() + size)?;
        data = after;
        Some(Obu { kind: header >> 3 & 0xF, whole, body })
    })
}

/// §4.10.5
fn take_leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0u64;
    for shift in 0..8u32 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << (7 * shift);
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok();
        }
    }
    None
}

/// `AV1CodecConfigurationRecord` with its sequence header.
fn av1c(sequence: &SequenceHeader, whole: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + whole.len());
    out.extend_from_slice(&[0x81, sequence.profile << 5 | sequence.level, sequence.tier_and_format, 0]);
    out.extend_from_slice(whole);
    out.freeze()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::tests::Bench;
    use super::*;
    use crate::manifest::TrackCodec;

    /// Sequence headers of libaom without size field: 4:2:0, and ten bits 4:4:4; and what ffmpeg made of them for MP4.
    const SEQUENCE: [u8; 12] = [0x08, 0x00, 0x00, 0x00, 0x04, 0x3C, 0xFE, 0xCC, 0xDA, 0xF9, 0x00, 0x40];
    const AV1C: [u8; 17] =
        [0x81, 0x00, 0x0C, 0x00, 0x0A, 0x0B, 0x00, 0x00, 0x00, 0x04, 0x3C, 0xFE, 0xCC, 0xDA, 0xF9, 0x00, 0x40];
    const SEQUENCE_444: [u8; 11] = [0x08, 0x20, 0x00, 0x00, 0x04, 0x3C, 0xFE, 0xCC, 0xDA, 0xF9, 0x42];
    const AV1C_444: [u8; 16] =
        [0x81, 0x20, 0x40, 0x00, 0x0A, 0x0A, 0x20, 0x00, 0x00, 0x04, 0x3C, 0xFE, 0xCC, 0xDA, 0xF9, 0x42];
    const KEY: [u8; 4] = [0x30, 0x10, 7, 7];
    const DELTA: [u8; 3] = [0x30, 0x30, 5];
    /// The same with size fields.
    const SIZED_SEQUENCE: [u8; 13] = [0x0A, 0x0B, 0x00, 0x00, 0x00, 0x04, 0x3C, 0xFE, 0xCC, 0xDA, 0xF9, 0x00, 0x40];
    const SIZED_KEY: [u8; 5] = [0x32, 3, 0x10, 7, 7];
    const SIZED_DELTA: [u8; 4] = [0x32, 2, 0x30, 5];

    /// A payload of whole elements, the last without a length.
    fn payload(elements: &[&[u8]]) -> Vec<u8> {
        let (last, first) = elements.split_last().unwrap();
        let counted = [(elements.len() as u8) << 4];
        let mut out = counted.to_vec();
        first.iter().for_each(|element| out.extend([&[element.len() as u8][..], element].concat()));
        [&out[..], last].concat()
    }

    #[test]
    fn a_key_frame_says_what_ffmpeg_says_of_the_same_sequence() {
        for (sequence, config) in [(&SEQUENCE[..], &AV1C[..]), (&SEQUENCE_444, &AV1C_444)] {
            let mut bench = Bench::of(TrackCodec::Av1);
            bench.payload(1, &payload(&[sequence, &KEY]), true);
            let config = Bytes::copy_from_slice(config);
            assert_eq!(bench.1[0].format, Some(Media::Av1 { width: 320, height: 180, config }));
        }
    }

    #[test]
    fn delimiters_go_and_sizes_come() {
        let mut bench = Bench::of(TrackCodec::Av1);
        bench.payload(1, &payload(&[&[0x10], &SEQUENCE, &KEY]), true).payload(2, &payload(&[&DELTA]), true);
        assert_eq!(bench.1[0].data, [&SIZED_SEQUENCE[..], &SIZED_KEY].concat());
        assert_eq!((bench.1[1].data.as_ref(), bench.1[1].is_key()), (&SIZED_DELTA[..], false));
    }

    #[test]
    fn a_key_frame_that_lacks_its_sequence_header_gets_the_last_one() {
        let mut bench = Bench::of(TrackCodec::Av1);
        bench.payload(1, &payload(&[&KEY]), true);
        assert_eq!((bench.1.len(), bench.0.broken_frames()), (0, 1), "nothing is known of it");
        bench.payload(2, &payload(&[&SEQUENCE]), true).payload(3, &payload(&[&KEY]), true);
        assert_eq!(bench.1[0].data, [&SIZED_SEQUENCE[..], &SIZED_KEY].concat());
    }

    #[test]
    fn an_obu_in_three_packets_is_joined() {
        let mut bench = Bench::of(TrackCodec::Av1);
        let first = [&[0x60, 12][..], &SEQUENCE, &KEY[..1]].concat();
        bench.payload(1, &first, false).payload(1, &[0xD0, 0x10, 7], false).payload(1, &[0x90, 7], true);
        assert_eq!(bench.1[0].data, [&SIZED_SEQUENCE[..], &SIZED_KEY].concat());
    }

    #[test]
    fn a_fragment_whose_other_part_is_missing_breaks_its_picture() {
        let begun = [&[0x60, 12][..], &SEQUENCE, &KEY[..2]].concat();
        for payloads in [
            &[&begun[..], &[0x10, 0x30, 0x30, 5]][..], // no continuation
            &[&[0x90, 7, 7]],                          // no beginning
            &[&begun],                                 // cut off by the next picture
        ] {
            let mut bench = Bench::of(TrackCodec::Av1);
            for data in payloads {
                bench.payload(1, data, false);
            }
            bench.payload(2, &payload(&[&SEQUENCE, &KEY]), true);
            assert_eq!((bench.times(), bench.0.broken_frames()), (vec![2], 1), "{payloads:02x?}");
        }
    }

    #[test]
    fn after_a_hole_a_key_frame_is_awaited() {
        let mut bench = Bench::of(TrackCodec::Av1);
        bench.payload(1, &payload(&[&SEQUENCE, &KEY]), true);
        bench.0.handle_loss();
        bench.payload(2, &payload(&[&DELTA]), true).payload(3, &payload(&[&SEQUENCE, &KEY]), true);
        assert_eq!((bench.times(), bench.0.broken_frames()), (vec![1, 3], 1));
    }

    #[test]
    fn elements_that_do_not_fit_are_refused() {
        for bad in [
            &[0x10][..],         // no element
            &[0x20, 9, 0x30, 1], // longer than the payload
            &[0x20, 0, 0x30, 1], // empty
            &[0x30, 1, 0x30],    // three are announced
            &[0x10, 0x34],       // ends within its header
            &[0x00, 0x80],       // half a length
            &[0x10, 0x32, 9, 1], // its own size is another
        ] {
            let mut bench = Bench::of(TrackCodec::Av1);
            bench.payload(1, bad, true);
            assert_eq!((bench.1.len(), bench.0.broken_frames()), (0, 1), "{bad:02x?}");
        }
    }
}
