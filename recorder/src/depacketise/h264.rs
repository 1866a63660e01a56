//! H.264: pictures of NAL units, key frames with their parameter sets.
//!
//! ```text
//! payload (one NAL, STAP-A, FU-A) --rtp--> length-prefixed NALs --> picture
//!                                   SPS, PPS are kept  \--> before an IDR picture that lacks them, and in avcC
//! ```
//!
//! Only the non-interleaved mode, as browsers send it. RTP does not say where a picture begins, so its first slice must
//! be that of the first macroblock.
//!
//! RFC 6184 <https://www.rfc-editor.org/rfc/rfc6184> (payload), ITU-T H.264 §7.3 (NAL units, slices), ISO/IEC 14496-15
//! §5.3.3.1 (avcC).

use std::collections::BTreeMap;

use bytes::{BufMut as _, Bytes, BytesMut};
use rtp::codec::h264::{FU_END_BITMASK, FU_START_BITMASK, FUA_NALU_TYPE, H264Packet, STAPA_NALU_TYPE};
use rtp::packetizer::Depacketizer as _;

use super::MAX_FRAME_BYTES;
use super::assembler::{Format, Picture};
use super::bits::Bits;
use super::sps::Sps;
use crate::webm::Media;

/// NAL unit types (ITU-T H.264 table 7-1).
const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
/// Parameter sets are some 30 bytes; with these two bounds the head of a file stays small, whatever a sender makes up.
const MAX_SET_BYTES: usize = 1024;
const MAX_SETS: usize = 8;
const LENGTH_BYTES: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct H264 {
    /// By their ids.
    sps: BTreeMap<u32, Bytes>,
    pps: BTreeMap<u32, Bytes>,
    /// A NAL unit in fragments, and its bytes so far.
    fragments: Option<(H264Packet, usize)>,
}

impl Format for H264 {
    fn add(&mut self, payload: &Bytes, frame: &mut BytesMut) -> Option<()> {
        let kind = payload.first()? & 0x1F;
        if kind == FUA_NALU_TYPE {
            return self.add_fragment(payload, frame);
        }
        // A fragmented NAL unit must end before another begins.
        self.fragments.is_none().then_some(())?;
        if kind == STAPA_NALU_TYPE {
            is_aggregate(payload.get(1..)?).then_some(())?;
        }
        frame.extend_from_slice(&reader().depacketize(payload).ok()?);
        Some(())
    }

    fn finish(&mut self, frame: BytesMut) -> Option<Picture> {
        self.fragments.is_none().then_some(())?;
        let mut data = BytesMut::with_capacity(frame.len());
        let (mut is_key, mut first_slice) = (false, None);
        let mut own_sets = Vec::new();
        for nal in nals(&frame) {
            let kind = nal.first()? & 0x1F;
            match kind {
                DELIMITER | FILLER => continue,
                SPS | PPS => own_sets.push(self.keep(kind, nal)?),
                SLICE | IDR => {
                    is_key |= kind == IDR;
                    first_slice = first_slice.or(Some(SliceStart::read(nal)?));
                }
                _ => {}
            }
            put_nal(&mut data, nal);
        }
        let Some(first_slice) = first_slice else { return Some(Picture::Nothing) };
        if first_slice.macroblock != 0 {
            return None; // its beginning is missing
        }
        if !is_key {
            return Some(Picture::Delta(data.freeze()));
        }
        let media = self.media(first_slice.pps)?;
        Some(Picture::Key(media, self.with_sets(&own_sets, data)))
    }

    fn abandon(&mut self) {
        self.fragments = None;
    }

    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.fragments.as_ref().map_or(0, |(_, length)| *length)
    }
}

impl H264 {
    /// The crate's reader joins what it gets, and for as long as it gets it: beginning, end and length are watched here.
    fn add_fragment(&mut self, payload: &Bytes, frame: &mut BytesMut) -> Option<()> {
        let flags = *payload.get(1)?;
        let (begins, ends) = (flags & FU_START_BITMASK != 0, flags & FU_END_BITMASK != 0);
        if begins != self.fragments.is_none() {
            return None;
        }
        let (mut reader, length) = self.fragments.take().unwrap_or_else(|| (reader(), 0));
        let length = length + payload.len();
        (length <= MAX_FRAME_BYTES).then_some(())?;
        frame.extend_from_slice(&reader.depacketize(payload).ok()?);
        if !ends {
            self.fragments = Some((reader, length));
        }
        Some(())
    }

    /// Remembers a parameter set and says which it is.
    fn keep(&mut self, kind: u8, nal: &[u8]) -> Option<(u8, u32)> {
        (nal.len() <= MAX_SET_BYTES).then_some(())?;
        let (sets, id) = match kind {
            SPS => (&mut self.sps, Sps::read(nal)?.id),
            _ => (&mut self.pps, pps_ids(nal)?.0),
        };
        if sets.len() >= MAX_SETS && !sets.contains_key(&id) {
            sets.pop_first();
        }
        sets.insert(id, Bytes::copy_from_slice(nal));
        Some((kind, id))
    }

    /// What a key frame that refers to this picture parameter set needs.
    fn media(&self, pps_id: u32) -> Option<Media> {
        let pps = self.pps.get(&pps_id)?;
        let sps_nal = self.sps.get(&pps_ids(pps)?.1)?;
        let sps = Sps::read(sps_nal)?;
        Some(Media::H264 { width: sps.width, height: sps.height, config: avcc(&sps, sps_nal, pps) })
    }

    /// A key frame stands for itself, so that players can begin there: what it lacks is put before it.
    fn with_sets(&self, own: &[(u8, u32)], picture: BytesMut) -> Bytes {
        let sps = self.sps.iter().map(|(id, nal)| ((SPS, *id), nal));
        let pps = self.pps.iter().map(|(id, nal)| ((PPS, *id), nal));
        let missing: Vec<_> = sps.chain(pps).filter(|(set, _)| !own.contains(set)).map(|(_, nal)| nal).collect();
        if missing.is_empty() {
            return picture.freeze();
        }
        let mut data = BytesMut::with_capacity(picture.len() + 64);
        missing.into_iter().for_each(|nal| put_nal(&mut data, nal));
        data.extend_from_slice(&picture);
        data.freeze()
    }
}

fn reader() -> H264Packet {
    let mut reader = H264Packet::default();
    reader.is_avc = true;
    reader
}

/// Whether lengths and NAL units fill it exactly (RFC 6184 §5.7.1): the crate's reader panics on half a length.
fn is_aggregate(mut units: &[u8]) -> bool {
    while let [high, low, rest @ ..] = units {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match rest.split_at_checked(length) {
            Some((_, after)) if length > 0 => units = after,
            _ => return false,
        }
    }
    units.is_empty()
}

/// NAL units with their lengths before them, as the crate's reader makes them.
fn nals(mut frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = frame.split_first_chunk::<LENGTH_BYTES>()?;
        let (nal, after) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        frame = after;
        Some(nal)
    })
}

fn put_nal(out: &mut BytesMut, nal: &[u8]) {
    out.put_u32(nal.len() as u32);
    out.extend_from_slice(nal);
}

/// The first two numbers of a slice header (§7.3.3) that matter here.
struct SliceStart {
    macroblock: u32,
    pps: u32,
}

impl SliceStart {
    fn read(nal: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(nal.get(1..)?);
        let macroblock = bits.exp_golomb()?;
        let _slice_type = bits.exp_golomb()?;
        Some(Self { macroblock, pps: bits.exp_golomb()? })
    }
}

/// Id of a picture parameter set, and of the sequence parameter set that it refers to (§7.3.2.2).
fn pps_ids(nal: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits::new(nal.get(1..)?);
    Some((bits.exp_golomb()?, bits.exp_golomb()?))
}

/// `AVCDecoderConfigurationRecord` of one sequence and one picture parameter set.
fn avcc(sps: &Sps, sps_nal: &[u8], pps_nal: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(1);
    out.extend_from_slice(&sps.profile);
    out.put_u8(0xFC | (LENGTH_BYTES - 1) as u8);
    out.put_u8(0xE0 | 1);
    out.put_u16(sps_nal.len() as u16);
    out.extend_from_slice(sps_nal);
    out.put_u8(1);
    out.put_u16(pps_nal.len() as u16);
    out.extend_from_slice(pps_nal);
    if let Some(high) = &sps.high {
        out.extend_from_slice(&[0xFC | high.chroma_format, 0xF8 | high.luma_depth, 0xF8 | high.chroma_depth, 0]);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::tests::Bench;
    use super::*;
    use crate::manifest::TrackCodec;

    /// Parameter sets of x264, 1920x1080 in the high profile, and what ffmpeg made of them for MP4.
    const SPS_NAL: &str = "67640028acb403c0113f2e0220000003002000000651e30654";
    const PPS_NAL: &str = "68ef0fcb";
    const AVCC: &str = "01640028ffe1001967640028acb403c0113f2e0220000003002000000651e3065401000468ef0fcbfdf8f800";
    /// The first macroblock's, and one that begins later.
    const IDR_NAL: [u8; 4] = [0x65, 0x88, 0x84, 1];
    const IDR_LATER: [u8; 4] = [0x65, 0x42, 0x30, 1];
    const DELTA_NAL: [u8; 4] = [0x41, 0x9A, 2, 5];

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap()).collect()
    }

    fn lengthed(nals: &[&[u8]]) -> Vec<u8> {
        let mut out = BytesMut::new();
        nals.iter().for_each(|nal| put_nal(&mut out, nal));
        out.to_vec()
    }

    fn stap(nals: &[&[u8]]) -> Vec<u8> {
        [0x78].into_iter().chain(nals.iter().flat_map(|nal| [&[0, nal.len() as u8][..], nal].concat())).collect()
    }

    #[test]
    fn a_key_frame_says_what_ffmpeg_says_of_the_same_sets() {
        let mut bench = Bench::of(TrackCodec::H264);
        bench.payload(1, &stap(&[&hex(SPS_NAL), &hex(PPS_NAL), &IDR_NAL]), true);
        let config = Bytes::from(hex(AVCC));
        assert_eq!(bench.1[0].format, Some(Media::H264 { width: 1920, height: 1080, config }));
        assert_eq!(bench.1[0].data, lengthed(&[&hex(SPS_NAL), &hex(PPS_NAL), &IDR_NAL]));
    }

    #[test]
    fn sets_that_came_earlier_stand_before_a_key_frame_that_lacks_them() {
        let mut bench = Bench::of(TrackCodec::H264);
        bench.payload(1, &hex(SPS_NAL), false).payload(1, &hex(PPS_NAL), true);
        assert_eq!(bench.1, [], "sets alone are no picture");
        bench.payload(2, &IDR_NAL, true).payload(3, &DELTA_NAL, true);
        assert_eq!(bench.1[0].data, lengthed(&[&hex(SPS_NAL), &hex(PPS_NAL), &IDR_NAL]));
        assert_eq!((bench.1[1].data.to_vec(), bench.1[1].is_key()), (lengthed(&[&DELTA_NAL]), false));
        assert_eq!(bench.0.broken_frames(), 0);
    }

    #[test]
    fn slices_and_fragments_of_one_time_are_one_picture_without_fillers() {
        let mut bench = Bench::of(TrackCodec::H264);
        bench.payload(1, &stap(&[&hex(SPS_NAL), &hex(PPS_NAL)]), false);
        bench.payload(1, &[0x0C, 0xFF, 0x80], false);
        // FU-A of the first slice: indicator, header, a part.
        bench.payload(1, &[0x7C, 0x85, 0x88], false).payload(1, &[0x7C, 0x05, 0x84], false);
        bench.payload(1, &[0x7C, 0x45, 1], false).payload(1, &IDR_LATER, true);
        let expected = lengthed(&[&hex(SPS_NAL), &hex(PPS_NAL), &IDR_NAL, &IDR_LATER]);
        assert_eq!(bench.1[0].data, expected);
    }

    #[test]
    fn a_picture_whose_first_slice_is_missing_is_none() {
        let mut bench = Bench::of(TrackCodec::H264);
        bench.payload(1, &stap(&[&hex(SPS_NAL), &hex(PPS_NAL), &IDR_NAL]), true);
        bench.0.handle_loss();
        bench.payload(2, &IDR_LATER, true).payload(3, &DELTA_NAL, true).payload(4, &IDR_NAL, true);
        assert_eq!((bench.times(), bench.0.broken_frames()), (vec![1, 4], 2));
    }

    #[test]
    fn a_fragment_without_beginning_or_end_breaks_its_picture() {
        let head = stap(&[&hex(SPS_NAL), &hex(PPS_NAL)]);
        // Joined without a look at their flags, the first two would be whole pictures.
        for payloads in [
            &[&[0x7C, 0x05, 0x88][..], &[0x7C, 0x45, 0x84, 1]][..], // no beginning
            &[&[0x7C, 0x85, 0x88], &[0x7C, 0x85, 0x84], &[0x7C, 0x45, 1]], // two
            &[&[0x7C, 0x85, 0x88], &IDR_NAL],                       // no end
            &[&[0x7C, 0x85, 0x88]],                                 // cut off by the next picture
        ] {
            let mut bench = Bench::of(TrackCodec::H264);
            bench.payload(1, &head, false);
            for payload in payloads {
                bench.payload(1, payload, false);
            }
            bench.payload(2, &stap(&[&hex(SPS_NAL), &hex(PPS_NAL), &IDR_NAL]), true);
            assert_eq!((bench.times(), bench.0.broken_frames()), (vec![2], 1), "{payloads:02x?}");
        }
    }

    #[test]
    fn half_a_length_in_an_aggregate_breaks_the_picture_and_nothing_else() {
        for tail in [&[0][..], &[0, 9, 1], &[0, 0]] {
            let mut bench = Bench::of(TrackCodec::H264);
            let payload = [&stap(&[&hex(SPS_NAL), &hex(PPS_NAL), &IDR_NAL]), tail].concat();
            bench.payload(1, &payload, true);
            assert_eq!((bench.1.len(), bench.0.broken_frames()), (0, 1), "{tail:02x?}");
        }
    }

    #[test]
    fn a_picture_that_refers_to_no_known_set_is_none() {
        let mut bench = Bench::of(TrackCodec::H264);
        bench.payload(1, &stap(&[&hex(SPS_NAL), &IDR_NAL]), true);
        assert_eq!((bench.1.len(), bench.0.broken_frames()), (0, 1));
    }
}
