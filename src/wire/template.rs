//! An RTP header prepared once and patched for each packet.
//!
//! A slot sends thousands of packets whose headers differ in a handful of octets. [`HeaderTemplate`] holds the whole
//! header with its extension block; [`HeaderTemplate::write`] appends it with one copy and patches what differs. The
//! result reads the same as one of [`crate::rtp::write_header`], and its length never changes, so that equal payloads
//! make equal datagrams.
//!
//! ```text
//! HeaderShape -> HeaderTemplate -> write(HeaderFields) per packet -> out: header, ready for the payload
//! ```
//!
//! RFC 3550 §5.1 (header), RFC 8285 §4.2 and §4.3 (extension elements in both forms).

use crate::bytes::patch;
use crate::ext::{ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};

const MARKER: u8 = 0x80;
const PADDING: u8 = 0x20;

/// Octets of a MID that a template has room for. Browsers name lines with one to three and refuse more than sixteen;
/// a longer one is left out.
pub const MID_LEN_MAX: usize = 32;

/// Fixed part, one source, extension head, and in the two-byte form: 4 octets of transport number, 3 of level, 34 of MID.
const LEN_MAX: usize = 64;

/// What the headers of one stream have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderShape<'a> {
    /// The stream.
    pub ssrc: u32,
    /// Whether each packet names a contributing source.
    pub has_csrc: bool,
    /// Id of the transport-wide number, if it is written.
    pub transport_cc: Option<u8>,
    /// Id of the audio level, if there is a place for it.
    pub audio_level: Option<u8>,
    /// Id and text of the MID, if it is written.
    pub mid: Option<(u8, &'a str)>,
}

/// What differs from packet to packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderFields {
    /// The M bit.
    pub marker: bool,
    /// The P bit: RTP padding follows the payload.
    pub padding: bool,
    /// Seven bits; the eighth is ignored. It changes where a slot changes to a source of another codec.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// RTP time.
    pub timestamp: u32,
    /// The contributing source; ignored by a template without a place for it.
    pub csrc: u32,
    /// Transport-wide number; ignored by a template without a place for it.
    pub transport_sequence: u16,
    /// The octet of [`crate::ext::AudioLevel::to_byte`]; `None` leaves octets of padding in its place.
    pub level: Option<u8>,
}

/// Where a patched element lies. Zero is the fixed header and means that there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Element {
    at: u8,
    head_len: u8,
}

impl Element {
    fn value_at(self) -> usize {
        usize::from(self.at) + usize::from(self.head_len)
    }
}

/// A header that waits for its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTemplate {
    bytes: [u8; LEN_MAX],
    len: u8,
    has_csrc: bool,
    transport_cc: Element,
    level: Element,
}

impl HeaderTemplate {
    /// Prepares the header. Elements that cannot be expressed (id 0, an empty or too long MID) are left out.
    #[must_use]
    pub fn new(shape: &HeaderShape<'_>) -> Self {
        let mut builder = Builder { bytes: [0; LEN_MAX], len: 0 };
        let transport_cc = shape.transport_cc.filter(|id| *id != 0);
        let audio_level = shape.audio_level.filter(|id| *id != 0);
        let mid = shape.mid.filter(|(id, text)| *id != 0 && (1..=MID_LEN_MAX).contains(&text.len()));
        let has_extensions = transport_cc.is_some() || audio_level.is_some() || mid.is_some();

        builder.put(&[0x80 | u8::from(has_extensions) << 4 | u8::from(shape.has_csrc), 0]);
        builder.put(&[0; 6]);
        builder.put(&shape.ssrc.to_be_bytes());
        if shape.has_csrc {
            builder.put(&[0; 4]);
        }
        let (mut transport_at, mut level_at) = (Element::default(), Element::default());
        if has_extensions {
            let one_byte = [transport_cc, audio_level, mid.map(|(id, _)| id)].iter().flatten().all(|id| *id <= 14)
                && mid.is_none_or(|(_, text)| text.len() <= 16);
            let block = builder.begin_block(one_byte);
            if let Some(id) = transport_cc {
                transport_at = builder.element(one_byte, id, &[0; 2]);
            }
            if let Some(id) = audio_level {
                level_at = builder.element(one_byte, id, &[0]);
            }
            if let Some((id, text)) = mid {
                builder.element(one_byte, id, text.as_bytes());
            }
            builder.end_block(block);
        }
        Self {
            bytes: builder.bytes,
            len: builder.len as u8,
            has_csrc: shape.has_csrc,
            transport_cc: transport_at,
            level: level_at,
        }
    }

    /// Octets of every header made from this.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// A word of each end of it, for whoever wants it in the cache before it is written.
    #[must_use]
    pub const fn touch(&self) -> u64 {
        self.bytes[0] as u64 + self.bytes[LEN_MAX - 1] as u64 + self.len as u64
    }

    /// Appends the header of one packet. `out` does not move when it has room for 64 octets more.
    pub fn write(&self, out: &mut Vec<u8>, fields: &HeaderFields) {
        let start = out.len();
        // All of the array, because a copy of known length is a few instructions and one of unknown length a call.
        out.extend_from_slice(&self.bytes);
        if let Some(header) = out.get_mut(start..).and_then(|header| header.first_chunk_mut()) {
            self.fill(header, fields);
        }
        out.truncate(start + self.len());
    }

    fn fill(&self, header: &mut [u8; LEN_MAX], fields: &HeaderFields) {
        let [first, second, s0, s1, t0, t1, t2, t3, _, _, _, _, c0, c1, c2, c3, ..] = header;
        *first |= if fields.padding { PADDING } else { 0 };
        *second = (fields.payload_type & 0x7f) | if fields.marker { MARKER } else { 0 };
        [*s0, *s1] = fields.sequence.to_be_bytes();
        [*t0, *t1, *t2, *t3] = fields.timestamp.to_be_bytes();
        if self.has_csrc {
            [*c0, *c1, *c2, *c3] = fields.csrc.to_be_bytes();
        }
        if self.transport_cc.at != 0 {
            patch(header, self.transport_cc.value_at(), &fields.transport_sequence.to_be_bytes());
        }
        if self.level.at != 0 {
            let value_at = self.level.value_at();
            match (fields.level, header.get_mut(self.level.at.into()..=value_at)) {
                (Some(level), Some([.., value])) => *value = level,
                // Zeros between elements are padding in both forms.
                (None, Some(element)) => element.fill(0),
                (_, _) => {}
            }
        }
    }
}

struct Builder {
    bytes: [u8; LEN_MAX],
    len: usize,
}

impl Builder {
    fn put(&mut self, octets: &[u8]) {
        patch(&mut self.bytes, self.len, octets);
        self.len += octets.len();
    }

    /// Returns where the block begins.
    fn begin_block(&mut self, one_byte: bool) -> usize {
        let begin = self.len;
        self.put(&(if one_byte { ONE_BYTE_PROFILE } else { TWO_BYTE_PROFILE }).to_be_bytes());
        self.put(&[0; 2]);
        begin
    }

    fn element(&mut self, one_byte: bool, id: u8, value: &[u8]) -> Element {
        let at = self.len as u8;
        if one_byte {
            self.put(&[id << 4 | (value.len() - 1) as u8]);
        } else {
            self.put(&[id, value.len() as u8]);
        }
        let head_len = self.len as u8 - at;
        self.put(value);
        Element { at, head_len }
    }

    fn end_block(&mut self, begin: usize) {
        let words = (self.len - begin - 4).div_ceil(4);
        patch(&mut self.bytes, begin + 2, &(words as u16).to_be_bytes());
        // The octets up to the whole word are zero already.
        self.len = begin + 4 + 4 * words;
    }
}
