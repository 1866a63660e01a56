//! Writes WebM, or Matroska for what WebM has no place for, that can be played at every instant.
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
//! A file has one or several tracks. Blocks of different tracks may swap by some milliseconds: a block's time counts
//! from its cluster's, which is the first block's, and has a sign.
//!
//! RFC 9559 (Matroska), <https://www.webmproject.org/docs/container/> (the WebM subset).

mod media;

use time::OffsetDateTime;

use crate::ebml::{self, id};

pub(crate) use media::{Media, read_entry};

/// Room for a seek head of three entries (68 bytes) and a Void of what is left.
pub(crate) const SEEK_ROOM: usize = 128;
/// A Duration element: two bytes of id, one of size, eight of double.
pub(crate) const DURATION_ROOM: usize = 11;
/// The track of a file that has one.
pub(crate) const TRACK_NUMBER: u64 = 1;

/// Media time after which a cluster is closed: what a killed process loses of a track.
pub(crate) const CLUSTER_MS: i64 = 1000;
/// A video cluster of this length closes before the next key frame, so that key frames begin clusters and can be cued.
pub(crate) const CLUSTER_KEY_MS: i64 = 500;
/// A cluster of this size closes at once: bounds the memory of a track to this and one frame.
pub(crate) const CLUSTER_BYTES: usize = 1 << 20;

/// Block times are in milliseconds.
const TIMESTAMP_SCALE_NS: u64 = 1_000_000;
/// Seconds from 1970 to 2001, where DateUTC begins (RFC 8794 §7.6).
const EPOCH_2001_SECONDS: i128 = 978_307_200;

const BLOCK_KEY: u8 = 0x80;

/// Everything before the first cluster. `tracks` are numbers, from 1, and what they carry; `origin` is the wall clock of
/// timestamp zero.
pub(crate) fn head(tracks: &[(u64, Media)], origin: OffsetDateTime) -> Vec<u8> {
    let doc_type: &[u8] = if tracks.iter().all(|(_, media)| media.is_webm()) { b"webm" } else { b"matroska" };
    let mut out = Vec::with_capacity(512);
    ebml::put_master(&mut out, id::EBML, |out| {
        ebml::put_uint(out, id::EBML_VERSION, 1);
        ebml::put_uint(out, id::EBML_READ_VERSION, 1);
        ebml::put_uint(out, id::EBML_MAX_ID_LENGTH, 4);
        ebml::put_uint(out, id::EBML_MAX_SIZE_LENGTH, 8);
        ebml::put_element(out, id::DOC_TYPE, doc_type);
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
        for (number, media) in tracks {
            ebml::put_master(out, id::TRACK_ENTRY, |out| media::put_entry(out, *number, media));
        }
    });
    out
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
            && (length.abs() >= CLUSTER_MS
                || self.blocks.len() >= CLUSTER_BYTES
                || (video_key && length >= CLUSTER_KEY_MS))
    }

    /// Adds a block. The caller asked [`Cluster::closes_before`], so the 16-bit offset cannot overflow. `at_ms` counts
    /// from the recording's start and is not negative.
    pub(crate) fn push(&mut self, track: u64, at_ms: i64, key: bool, data: &[u8]) {
        if self.is_empty() {
            self.base_ms = at_ms;
        }
        debug_assert!(at_ms >= 0 && (at_ms - self.base_ms).abs() <= CLUSTER_MS);
        let offset = (at_ms - self.base_ms) as i16;
        // RFC 9559 §10.2: track number coded as sizes are, 16-bit offset, flags, frame.
        let mut start = Vec::with_capacity(8);
        ebml::put_size(&mut start, track);
        start.extend_from_slice(&offset.to_be_bytes());
        start.push(if key { BLOCK_KEY } else { 0 });
        ebml::put_id(&mut self.blocks, id::SIMPLE_BLOCK);
        ebml::put_size(&mut self.blocks, (start.len() + data.len()) as u64);
        self.blocks.extend_from_slice(&start);
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
    pub(crate) track: u64,
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
        let (Some(track), length) = ebml::read_vint(content)? else { return None };
        let [high, low, flags, data @ ..] = content.get(length..)? else { return None };
        if start.id != id::SIMPLE_BLOCK {
            return None;
        }
        found.push(Block {
            track,
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
        cluster.push(1, 70_000, true, b"key");
        cluster.push(2, 69_990, true, b"sound");
        cluster.push(200, 70_033, false, b"delta");
        let mut out = Vec::new();
        cluster.take(&mut out);
        let start = ebml::read_start(&out).unwrap();
        let blocks = blocks(&out[start.length..]).unwrap();
        let expected: [Block<'_>; 3] = [
            Block { track: 1, at_ms: 70_000, key: true, data: b"key" },
            Block { track: 2, at_ms: 69_990, key: true, data: b"sound" },
            Block { track: 200, at_ms: 70_033, key: false, data: b"delta" },
        ];
        assert_eq!((start.id, start.size), (id::CLUSTER, Some((out.len() - start.length) as u64)));
        assert_eq!(blocks, expected);
        assert!(cluster.is_empty());
    }

    #[test]
    fn a_cluster_closes_at_a_second_and_at_a_key_frame_after_half_of_one() {
        let mut cluster = Cluster::default();
        assert!(!cluster.closes_before(5_000, true), "nothing to close");
        cluster.push(1, 5_000, true, b"x");
        assert!(!cluster.closes_before(5_499, true));
        assert!(cluster.closes_before(5_500, true));
        assert!(!cluster.closes_before(5_999, false));
        assert!(cluster.closes_before(6_000, false));
        assert!(!cluster.closes_before(4_001, false), "another track may be a little behind");
        assert!(cluster.closes_before(4_000, false));
        cluster.push(1, 5_001, false, &vec![0; CLUSTER_BYTES]);
        assert!(cluster.closes_before(5_002, false), "large clusters close at once");
    }

    /// A stranger's reading of several tracks in one file; frames are not decoded.
    #[test]
    fn ffprobe_finds_every_block_of_every_track_at_its_time() {
        let media = [
            (1, Media::Opus),
            (2, Media::Vp9 { width: 640, height: 360 }),
            (3, Media::Vp8 { width: 320, height: 180 }),
        ];
        let mut bytes = head(&media, OffsetDateTime::UNIX_EPOCH);
        let mut expected = Vec::new();
        for second in 0..3 {
            let mut cluster = Cluster::default();
            for n in 0..25 {
                let at_ms = second * 1000 + n * 40 + 20;
                for (index, (number, at_ms)) in [(2, at_ms), (1, at_ms - 13), (3, at_ms + 5)].into_iter().enumerate() {
                    cluster.push(number, at_ms, n == 0 || index == 1, &[0x78, 1, 2]);
                    expected.push((number - 1, at_ms));
                }
            }
            cluster.take(&mut bytes);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let Ok(output) = std::process::Command::new("ffprobe")
            .args(["-v", "fatal", "-of", "csv=p=0", "-show_entries", "packet=stream_index,pts"])
            .arg(file.path())
            .output()
        else {
            assert!(std::env::var_os("CI").is_none(), "CI needs ffprobe");
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let mut seen: Vec<(u64, i64)> = text
            .lines()
            .map(|line| {
                let (index, pts) = line.trim_end_matches(',').split_once(',').unwrap();
                (index.parse().unwrap(), pts.parse().unwrap())
            })
            .collect();
        // ffprobe takes the codec's delay of 6.5 ms off the sound, as a player does.
        expected.iter_mut().filter(|(index, _)| *index == 0).for_each(|(_, at_ms)| *at_ms -= 7);
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_file_says_webm_unless_it_has_what_webm_has_no_place_for() {
        let vp8 = (1, Media::Vp8 { width: 640, height: 360 });
        let h264 = (2, Media::H264 { width: 640, height: 360, config: bytes::Bytes::from_static(&[1]) });
        let doc_type = |tracks: &[(u64, Media)]| {
            let head = head(tracks, OffsetDateTime::UNIX_EPOCH);
            ebml::child(ebml::child(&head, id::EBML).unwrap(), id::DOC_TYPE).unwrap().to_vec()
        };
        assert_eq!(doc_type(&[vp8.clone(), (2, Media::Opus)]), b"webm");
        assert_eq!(doc_type(&[vp8, h264]), b"matroska");
    }
}
