//! EBML elements: the alphabet of WebM.
//!
//! Writing appends to a `Vec<u8>`; reading looks at a slice and never trusts a length.
//!
//! RFC 8794 <https://www.rfc-editor.org/rfc/rfc8794> (EBML), RFC 9559 <https://www.rfc-editor.org/rfc/rfc9559>
//! (Matroska, of which WebM is a subset).

/// Element ids with their length marker, as they stand in the file (RFC 9559 §5.1).
pub(crate) mod id {
    pub(crate) const EBML: u32 = 0x1A45_DFA3;
    pub(crate) const EBML_VERSION: u32 = 0x4286;
    pub(crate) const EBML_READ_VERSION: u32 = 0x42F7;
    pub(crate) const EBML_MAX_ID_LENGTH: u32 = 0x42F2;
    pub(crate) const EBML_MAX_SIZE_LENGTH: u32 = 0x42F3;
    pub(crate) const DOC_TYPE: u32 = 0x4282;
    pub(crate) const DOC_TYPE_VERSION: u32 = 0x4287;
    pub(crate) const DOC_TYPE_READ_VERSION: u32 = 0x4285;
    pub(crate) const VOID: u32 = 0xEC;
    pub(crate) const SEGMENT: u32 = 0x1853_8067;
    pub(crate) const SEEK_HEAD: u32 = 0x114D_9B74;
    pub(crate) const SEEK: u32 = 0x4DBB;
    pub(crate) const SEEK_ID: u32 = 0x53AB;
    pub(crate) const SEEK_POSITION: u32 = 0x53AC;
    pub(crate) const INFO: u32 = 0x1549_A966;
    pub(crate) const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
    pub(crate) const DURATION: u32 = 0x4489;
    pub(crate) const DATE_UTC: u32 = 0x4461;
    pub(crate) const MUXING_APP: u32 = 0x4D80;
    pub(crate) const WRITING_APP: u32 = 0x5741;
    pub(crate) const TRACKS: u32 = 0x1654_AE6B;
    pub(crate) const TRACK_ENTRY: u32 = 0xAE;
    pub(crate) const TRACK_NUMBER: u32 = 0xD7;
    pub(crate) const TRACK_UID: u32 = 0x73C5;
    pub(crate) const TRACK_TYPE: u32 = 0x83;
    pub(crate) const FLAG_LACING: u32 = 0x9C;
    pub(crate) const LANGUAGE: u32 = 0x22_B59C;
    pub(crate) const CODEC_ID: u32 = 0x86;
    pub(crate) const CODEC_PRIVATE: u32 = 0x63A2;
    pub(crate) const CODEC_DELAY: u32 = 0x56AA;
    pub(crate) const SEEK_PRE_ROLL: u32 = 0x56BB;
    pub(crate) const VIDEO: u32 = 0xE0;
    pub(crate) const PIXEL_WIDTH: u32 = 0xB0;
    pub(crate) const PIXEL_HEIGHT: u32 = 0xBA;
    pub(crate) const AUDIO: u32 = 0xE1;
    pub(crate) const SAMPLING_FREQUENCY: u32 = 0xB5;
    pub(crate) const CHANNELS: u32 = 0x9F;
    pub(crate) const CLUSTER: u32 = 0x1F43_B675;
    pub(crate) const TIMESTAMP: u32 = 0xE7;
    pub(crate) const SIMPLE_BLOCK: u32 = 0xA3;
    pub(crate) const CUES: u32 = 0x1C53_BB6B;
    pub(crate) const CUE_POINT: u32 = 0xBB;
    pub(crate) const CUE_TIME: u32 = 0xB3;
    pub(crate) const CUE_TRACK_POSITIONS: u32 = 0xB7;
    pub(crate) const CUE_TRACK: u32 = 0xF7;
    pub(crate) const CUE_CLUSTER_POSITION: u32 = 0xF1;
}

/// Size field that says "unknown", eight bytes wide so that a true size fits into its place later (RFC 8794 §6.2).
pub(crate) const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

/// Largest size that an eight-byte field can say: all ones is "unknown".
const MAX_SIZE: u64 = (1 << 56) - 2;

pub(crate) fn put_id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    out.extend(bytes.into_iter().skip_while(|byte| *byte == 0));
}

/// The shortest size field (RFC 8794 §4).
pub(crate) fn put_size(out: &mut Vec<u8>, size: u64) {
    debug_assert!(size <= MAX_SIZE, "no element of ours is that large");
    // All ones of a length is reserved, hence `- 1`.
    let length = (1..8u32).find(|length| size < (1 << (7 * length)) - 1).unwrap_or(8);
    let marked = size | (1 << (7 * length));
    out.extend(marked.to_be_bytes().into_iter().skip(8 - length as usize));
}

/// A size in exactly eight bytes, to take the place of [`UNKNOWN_SIZE`].
pub(crate) fn wide_size(size: u64) -> [u8; 8] {
    (size.min(MAX_SIZE) | (1 << 56)).to_be_bytes()
}

pub(crate) fn put_element(out: &mut Vec<u8>, id: u32, body: &[u8]) {
    put_id(out, id);
    put_size(out, body.len() as u64);
    out.extend_from_slice(body);
}

pub(crate) fn put_master(out: &mut Vec<u8>, id: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    put_element(out, id, &body);
}

pub(crate) fn put_uint(out: &mut Vec<u8>, id: u32, value: u64) {
    let bytes = value.to_be_bytes();
    let zeros = (value.leading_zeros() / 8).min(7) as usize;
    put_element(out, id, bytes.get(zeros..).unwrap_or(&bytes));
}

pub(crate) fn put_float(out: &mut Vec<u8>, id: u32, value: f64) {
    put_element(out, id, &value.to_be_bytes());
}

/// A Void element of `total` bytes, header included: room to be filled later (RFC 8794 §11.3.2).
pub(crate) fn put_void(out: &mut Vec<u8>, total: usize) {
    debug_assert!(total >= 2, "a Void has at least an id and a size");
    put_id(out, id::VOID);
    let body = if total <= 100 {
        put_size(out, (total - 2) as u64);
        total - 2
    } else {
        out.extend_from_slice(&wide_size((total - 9) as u64));
        total - 9
    };
    out.resize(out.len() + body, 0);
}

/// Start of an element as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ElementStart {
    pub(crate) id: u32,
    /// `None` is "unknown".
    pub(crate) size: Option<u64>,
    /// Bytes of id and size field.
    pub(crate) length: usize,
}

/// Reads id and size at the beginning of `bytes`. `None`: cut off, or no valid element.
pub(crate) fn read_start(bytes: &[u8]) -> Option<ElementStart> {
    let first = *bytes.first()?;
    let id_length = first.leading_zeros() as usize + 1;
    if id_length > 4 {
        return None;
    }
    let id = read_uint(bytes.get(..id_length)?) as u32;
    let (size, size_length) = read_vint(bytes.get(id_length..)?)?;
    Some(ElementStart { id, size, length: id_length + size_length })
}

/// A number as sizes and track numbers are coded (RFC 8794 §4), and its length in bytes. All ones is `None`: "unknown".
pub(crate) fn read_vint(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    if length > 8 {
        return None;
    }
    let mask = (1u64 << (7 * length)) - 1;
    let value = read_uint(bytes.get(..length)?) & mask;
    Some(((value != mask).then_some(value), length))
}

/// Big-endian, at most the last eight bytes.
pub(crate) fn read_uint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The children of a master element's body, with the offset of each within it. Ends at the first thing that is no
/// whole element.
pub(crate) fn children(body: &[u8]) -> impl Iterator<Item = (usize, ElementStart, &[u8])> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let rest = body.get(at..)?;
        let start = read_start(rest)?;
        let size = usize::try_from(start.size?).ok()?;
        let content = rest.get(start.length..start.length.checked_add(size)?)?;
        let found = (at, start, content);
        at += start.length + size;
        Some(found)
    })
}

/// The content of the first child with this id.
pub(crate) fn child(body: &[u8], id: u32) -> Option<&[u8]> {
    children(body).find(|(_, start, _)| start.id == id).map(|(.., content)| content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_take_the_shortest_form_and_never_all_ones() {
        let table: [(u64, &[u8]); 5] = [
            (0, &[0x80]),
            (126, &[0xFE]),
            (127, &[0x40, 0x7F]),
            (16_382, &[0x7F, 0xFE]),
            (16_383, &[0x20, 0x3F, 0xFF]),
        ];
        for (size, bytes) in table {
            let mut out = Vec::new();
            put_size(&mut out, size);
            assert_eq!(out, bytes, "{size}");
        }
    }

    #[test]
    fn a_void_is_exactly_as_long_as_asked() {
        for total in 2..400 {
            let mut out = Vec::new();
            put_void(&mut out, total);
            let start = read_start(&out).unwrap();
            assert_eq!((start.id, out.len()), (id::VOID, total));
            assert_eq!(start.length as u64 + start.size.unwrap(), total as u64);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: u64, body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            put_uint(&mut out, id::TIMESTAMP, value);
            put_element(&mut out, id::SIMPLE_BLOCK, &body);
            let read: Vec<_> = children(&out).map(|(_, start, content)| (start.id, content.to_vec())).collect();
            prop_assert_eq!(read.len(), 2);
            prop_assert_eq!(read_uint(&read[0].1), value);
            prop_assert_eq!(&read[1], &(id::SIMPLE_BLOCK, body));
        }

        #[test]
        fn reading_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_start(&bytes);
            for (at, start, content) in children(&bytes) {
                prop_assert!(at + start.length + content.len() <= bytes.len());
            }
        }

        #[test]
        fn sizes_round_trip(size in 0u64..MAX_SIZE) {
            let mut out = vec![0xA3];
            put_size(&mut out, size);
            prop_assert_eq!(read_start(&out).unwrap().size, Some(size));
        }
    }
}
