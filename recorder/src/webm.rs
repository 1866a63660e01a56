//! Writes WebM that can be played at every instant.
//!
//! A live file is only ever appended to: the head (segment of unknown size) goes out together with the first cluster,
//! every further cluster is built in memory and written whole, with a known size. Whatever a crash cuts off is at most
//! the last cluster. Two Void elements keep room for what is known at the end only: the seek head and the duration;
//! [`crate::finish`] fills them in the stored copy, never in the live file.
//!
//! ```text
//! EBML | Segment(size unknown) | Void(seek room) | Info(.., Void(duration room)) | Tracks | Cluster | Cluster | ...
//! ```
//!
//! RFC 9559 (Matroska), <https://www.webmproject.org/docs/container/> (the WebM subset),
//! RFC 7845 §5.1 <https://www.rfc-editor.org/rfc/rfc7845> (Opus head).

use time::OffsetDateTime;

use crate::ebml::{self, id};

/// Room for a seek head of three entries (68 bytes) and a Void of what is left.
pub(crate) const SEEK_ROOM: usize = 128;
/// A Duration element: two bytes of id, one of size, eight of double.
pub(crate) const DURATION_ROOM: usize = 11;
/// The only track of each file.
pub(crate) const TRACK_NUMBER: u64 = 1;

/// Media time after which a cluster is closed: what a killed process loses of a track.
pub(crate) const CLUSTER_MS: i64 = 1000;
/// A video cluster of this length closes before the next key frame, so that key frames begin clusters and can be cued.
pub(crate) const CLUSTER_KEY_MS: i64 = 500;
/// A cluster of this size closes at once: bounds the memory of a track to this and one frame.
pub(crate) const CLUSTER_BYTES: usize = 1 << 20;

/// 312 samples: what every Opus encoder in browsers adds in front (its look-ahead).
const OPUS_PRE_SKIP: u16 = 312;
/// The same in nanoseconds.
const OPUS_CODEC_DELAY_NS: u64 = 6_500_000;
/// RFC 7845 §4.6: a decoder needs 80 ms to converge after a seek.
const OPUS_SEEK_PRE_ROLL_NS: u64 = 80_000_000;
/// Block times are in milliseconds.
const TIMESTAMP_SCALE_NS: u64 = 1_000_000;
/// Seconds from 1970 to 2001, where DateUTC begins (RFC 8794 §7.6).
const EPOCH_2001_SECONDS: i128 = 978_307_200;

const BLOCK_KEY: u8 = 0x80;

/// What a file carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Opus,
    Vp8 { width: u16, height: u16 },
}

/// Everything before the first cluster. `origin` is the wall clock of timestamp zero.
pub(crate) fn head(media: Media, origin: OffsetDateTime) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    ebml::put_master(&mut out, id::EBML, |out| {
        ebml::put_uint(out, id::EBML_VERSION, 1);
        ebml::put_uint(out, id::EBML_READ_VERSION, 1);
        ebml::put_uint(out, id::EBML_MAX_ID_LENGTH, 4);
        ebml::put_uint(out, id::EBML_MAX_SIZE_LENGTH, 8);
        ebml::put_element(out, id::DOC_TYPE, b"webm");
        // Version 4 for CodecDelay and SeekPreRoll; older readers manage (RFC 9559 §4.1).
        ebml::put_uint(out, id::DOC_TYPE_VERSION, 4);
        ebml::put_uint(out, id::DOC_TYPE_READ_VERSION, 2);
    });
    ebml::put_id(&mut out, id::SEGMENT);
    out.extend_from_slice(&ebml::UNKNOWN_SIZE);
    ebml::put_void(&mut out, SEEK_ROOM);
    ebml::put_master(&mut out, id::INFO, |out| {
        ebml::put_uint(out, id::TIMESTAMP_SCALE, TIMESTAMP_SCALE_NS);
        ebml::put_void(out, DURATION_ROOM);
        ebml::put_element(out, id::DATE_UTC, &date_utc(origin).to_be_bytes());
        ebml::put_element(out, id::MUXING_APP, b"plenum");
        ebml::put_element(out, id::WRITING_APP, b"plenum");
    });
    ebml::put_master(&mut out, id::TRACKS, |out| {
        ebml::put_master(out, id::TRACK_ENTRY, |out| track_entry(out, media));
    });
    out
}

fn track_entry(out: &mut Vec<u8>, media: Media) {
    ebml::put_uint(out, id::TRACK_NUMBER, TRACK_NUMBER);
    ebml::put_uint(out, id::TRACK_UID, TRACK_NUMBER);
    ebml::put_uint(out, id::FLAG_LACING, 0);
    ebml::put_element(out, id::LANGUAGE, b"und");
    match media {
        Media::Opus => {
            ebml::put_uint(out, id::TRACK_TYPE, 2);
            ebml::put_element(out, id::CODEC_ID, b"A_OPUS");
            ebml::put_element(out, id::CODEC_PRIVATE, &opus_head());
            ebml::put_uint(out, id::CODEC_DELAY, OPUS_CODEC_DELAY_NS);
            ebml::put_uint(out, id::SEEK_PRE_ROLL, OPUS_SEEK_PRE_ROLL_NS);
            ebml::put_master(out, id::AUDIO, |out| {
                ebml::put_float(out, id::SAMPLING_FREQUENCY, 48_000.0);
                ebml::put_uint(out, id::CHANNELS, 2);
            });
        }
        Media::Vp8 { width, height } => {
            ebml::put_uint(out, id::TRACK_TYPE, 1);
            ebml::put_element(out, id::CODEC_ID, b"V_VP8");
            ebml::put_master(out, id::VIDEO, |out| {
                ebml::put_uint(out, id::PIXEL_WIDTH, width.into());
                ebml::put_uint(out, id::PIXEL_HEIGHT, height.into());
            });
        }
    }
}

/// RFC 7845 §5.1. RTP's Opus is always announced as two channels (RFC 7587 §7), whatever a packet carries.
fn opus_head() -> Vec<u8> {
    let mut head = b"OpusHead".to_vec();
    head.extend_from_slice(&[1, 2]); // version, channels
    head.extend_from_slice(&OPUS_PRE_SKIP.to_le_bytes());
    head.extend_from_slice(&48_000u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]); // gain, mapping family
    head
}

fn date_utc(at: OffsetDateTime) -> i64 {
    let nanoseconds = at.unix_timestamp_nanos() - EPOCH_2001_SECONDS * 1_000_000_000;
    i64::try_from(nanoseconds).unwrap_or(0)
}

/// The cluster being filled.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    blocks: Vec<u8>,
    base_ms: i64,
}

impl Cluster {
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether the cluster must be written before a block of this kind and time can go in.
    pub(crate) fn closes_before(&self, at_ms: i64, video_key: bool) -> bool {
        let length = at_ms - self.base_ms;
        !self.is_empty()
            && (length >= CLUSTER_MS || self.blocks.len() >= CLUSTER_BYTES || (video_key && length >= CLUSTER_KEY_MS))
    }

    /// Adds a block. The caller asked [`Cluster::closes_before`], so the 16-bit offset cannot overflow.
    pub(crate) fn push(&mut self, at_ms: i64, key: bool, data: &[u8]) {
        if self.is_empty() {
            self.base_ms = at_ms;
        }
        debug_assert!((0..=i64::from(i16::MAX)).contains(&(at_ms - self.base_ms)));
        let offset = (at_ms - self.base_ms) as i16;
        // RFC 9559 §10.2: track number as a one-byte vint, 16-bit offset, flags, frame.
        ebml::put_id(&mut self.blocks, id::SIMPLE_BLOCK);
        ebml::put_size(&mut self.blocks, data.len() as u64 + 4);
        self.blocks.push(0x80 | TRACK_NUMBER as u8);
        self.blocks.extend_from_slice(&offset.to_be_bytes());
        self.blocks.push(if key { BLOCK_KEY } else { 0 });
        self.blocks.extend_from_slice(data);
    }

    /// Appends the whole cluster to `out` and begins a new one.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) {
        let mut timestamp = Vec::with_capacity(10);
        ebml::put_uint(&mut timestamp, id::TIMESTAMP, self.base_ms.max(0) as u64);
        ebml::put_id(out, id::CLUSTER);
        ebml::put_size(out, (timestamp.len() + self.blocks.len()) as u64);
        out.extend_from_slice(&timestamp);
        out.append(&mut self.blocks);
    }
}

/// One block of a written cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    pub(crate) at_ms: i64,
    pub(crate) key: bool,
    pub(crate) data: &'a [u8],
}

/// Reads the blocks of a cluster's body back; `None` where it is not one of ours.
pub(crate) fn blocks(body: &[u8]) -> Option<Vec<Block<'_>>> {
    let mut elements = ebml::children(body);
    let (_, first, timestamp) = elements.next()?;
    if first.id != id::TIMESTAMP || timestamp.len() > 8 {
        return None;
    }
    let base = i64::try_from(ebml::read_uint(timestamp)).ok()?;
    let mut read = first.length + timestamp.len();
    let mut found = Vec::new();
    for (at, start, content) in elements {
        let [_, high, low, flags, data @ ..] = content else { return None };
        if start.id != id::SIMPLE_BLOCK {
            return None;
        }
        found.push(Block {
            at_ms: base.checked_add(i16::from_be_bytes([*high, *low]).into())?,
            key: flags & BLOCK_KEY != 0,
            data,
        });
        read = at + start.length + content.len();
    }
    (read == body.len() && !found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn a_cluster_reads_back_as_it_was_pushed() {
        let mut cluster = Cluster::default();
        cluster.push(70_000, true, b"key");
        cluster.push(70_033, false, b"delta");
        let mut out = Vec::new();
        cluster.take(&mut out);
        let start = ebml::read_start(&out).unwrap();
        let blocks = blocks(&out[start.length..]).unwrap();
        let expected =
            [Block { at_ms: 70_000, key: true, data: b"key" }, Block { at_ms: 70_033, key: false, data: b"delta" }];
        assert_eq!((start.id, start.size), (id::CLUSTER, Some((out.len() - start.length) as u64)));
        assert_eq!(blocks, expected);
        assert!(cluster.is_empty());
    }

    #[test]
    fn a_cluster_closes_at_a_second_and_at_a_key_frame_after_half_of_one() {
        let mut cluster = Cluster::default();
        assert!(!cluster.closes_before(5_000, true), "nothing to close");
        cluster.push(5_000, true, b"x");
        assert!(!cluster.closes_before(5_499, true));
        assert!(cluster.closes_before(5_500, true));
        assert!(!cluster.closes_before(5_999, false));
        assert!(cluster.closes_before(6_000, false));
        cluster.push(5_001, false, &vec![0; CLUSTER_BYTES]);
        assert!(cluster.closes_before(5_002, false), "large clusters close at once");
    }

    #[test]
    fn the_opus_head_is_rfc_7845() {
        let head = opus_head();
        assert_eq!(head.len(), 19);
        assert_eq!(&head[..12], b"OpusHead\x01\x02\x38\x01");
        assert_eq!(u32::from_le_bytes(head[12..16].try_into().unwrap()), 48_000);
    }
}
