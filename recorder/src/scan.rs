//! Reads a spooled file back: how far it is whole, what it carries, how long each track is, where it can be cued.
//!
//! ```text
//! file --head--> Head (places to patch, media of each track) --clusters--> Tally by track --> Scan
//! ```
//!
//! Used before a file goes to the store, whether its recording ended or was cut off: a torn last cluster is simply
//! not counted. Nothing is trusted, since a power cut can leave anything behind.

mod tally;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::ebml::{self, ElementStart, id};
use crate::webm::{self, Block, DURATION_ROOM, Media, SEEK_ROOM};
use tally::Tally;

/// Longest head that is looked at; ours have about 400 bytes and 200 more for each further track.
const MAX_HEAD_BYTES: usize = 1 << 16;
/// Largest cluster that is read: one that was full but for a byte, and then got the largest frame.
const MAX_CLUSTER_BYTES: u64 = (webm::CLUSTER_BYTES + crate::depacketise::MAX_FRAME_BYTES + 1024) as u64;

/// A place to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cue {
    pub(crate) track: u64,
    pub(crate) at_ms: i64,
    /// Offset in the file of the cluster in which it lies.
    pub(crate) offset: u64,
}

/// Where things stand in the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) bytes: Vec<u8>,
    /// Offset of the segment's body; its size field is the eight bytes before.
    pub(crate) segment: usize,
    /// Offset of the seek room.
    pub(crate) seek_room: usize,
    pub(crate) info: usize,
    pub(crate) duration_room: usize,
    pub(crate) tracks: usize,
    /// Track numbers and what they carry.
    pub(crate) media: Vec<(u64, Media)>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) head: Head,
    /// Bytes up to the end of the last whole cluster.
    pub(crate) good_bytes: u64,
    /// Of the first frame of all.
    pub(crate) first_ms: i64,
    /// Of the last frame of all.
    pub(crate) last_ms: i64,
    /// End of the frame that ends last.
    pub(crate) end_ms: i64,
    /// Of all tracks.
    pub(crate) frames: u64,
    /// Those that have a frame, by number.
    pub(crate) tracks: Vec<TrackScan>,
    /// Of video key frames; where there is no video, of every cluster.
    pub(crate) cues: Vec<Cue>,
}

/// One track of a file, from its first to its last frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrackScan {
    pub(crate) number: u64,
    pub(crate) media: Media,
    pub(crate) first_ms: i64,
    /// End of the last frame.
    pub(crate) end_ms: i64,
    pub(crate) frames: u64,
}

impl Scan {
    /// What its first track carries, which is its only one in files of one publication.
    pub(crate) fn media(&self) -> Option<&Media> {
        self.head.media.first().map(|(_, media)| media)
    }
}

/// Reads a file; `None` when it holds no whole cluster.
pub(crate) fn scan_file(path: &Path) -> io::Result<Option<Scan>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    scan(BufReader::with_capacity(1 << 18, file), size)
}

fn scan(mut from: impl Read, size: u64) -> io::Result<Option<Scan>> {
    let mut start = vec![0; MAX_HEAD_BYTES.min(usize::try_from(size).unwrap_or(MAX_HEAD_BYTES))];
    from.read_exact(&mut start)?;
    let Some(head) = read_head(&start) else { return Ok(None) };
    let clusters_at = head.bytes.len();
    let rest = start.split_off(clusters_at);
    let mut from = rest.as_slice().chain(from);
    let mut tally = Tally::of(&head);
    let mut at = clusters_at as u64;
    while let Some(length) = read_cluster(&mut from, at, size, &mut tally)? {
        at += length;
    }
    Ok(tally.finish(head, at))
}

/// Reads one cluster into the tally and says how long it is; `None` at the end or at the first thing that is not whole.
fn read_cluster(from: &mut impl Read, at: u64, size: u64, tally: &mut Tally) -> io::Result<Option<u64>> {
    let Some((body, total)) = cluster_body(from, size.saturating_sub(at))? else { return Ok(None) };
    let added = webm::blocks(&body).and_then(|blocks| tally.add(&blocks, at));
    Ok(added.map(|()| total))
}

/// The body of the cluster that comes next, and how long all of it is.
fn cluster_body(from: &mut impl Read, left: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
    // An id of four bytes and a size of one to eight.
    let mut prefix = [0u8; 12];
    let prefix = prefix.get_mut(..12.min(left as usize)).unwrap_or_default();
    from.read_exact(prefix)?;
    let Some(ElementStart { id: id::CLUSTER, size: Some(body_bytes), length }) = ebml::read_start(prefix) else {
        return Ok(None);
    };
    let total = body_bytes.saturating_add(length as u64);
    if total > left || body_bytes > MAX_CLUSTER_BYTES {
        return Ok(None);
    }
    let mut body = prefix.get(length..).unwrap_or_default().to_vec();
    let Some(missing) = body_bytes.checked_sub(body.len() as u64) else { return Ok(None) };
    if from.take(missing).read_to_end(&mut body)? as u64 != missing {
        return Ok(None);
    }
    Ok(Some((body, total)))
}

/// Shows every block of a file, spooled or stored, and says whether there was any. Blocking.
pub(crate) fn visit_blocks(path: &Path, mut visit: impl FnMut(&Block<'_>)) -> io::Result<bool> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut from = BufReader::with_capacity(1 << 18, file);
    let mut start = vec![0; MAX_HEAD_BYTES.min(usize::try_from(size).unwrap_or(MAX_HEAD_BYTES))];
    from.read_exact(&mut start)?;
    let Some(first) = first_cluster(&start) else { return Ok(false) };
    let rest = start.split_off(first);
    let (mut from, mut at, mut any) = (rest.as_slice().chain(from), first as u64, false);
    while let Some((body, total)) = cluster_body(&mut from, size.saturating_sub(at))? {
        let Some(blocks) = webm::blocks(&body) else { break };
        blocks.iter().for_each(&mut visit);
        any |= !blocks.is_empty();
        at += total;
    }
    Ok(any)
}

/// Where the first cluster begins.
fn first_cluster(start: &[u8]) -> Option<usize> {
    let ebml = ebml::read_start(start).filter(|element| element.id == id::EBML)?;
    let mut at = ebml.length + usize::try_from(ebml.size?).ok()?;
    at += ebml::read_start(start.get(at..)?).filter(|element| element.id == id::SEGMENT)?.length;
    loop {
        let element = ebml::read_start(start.get(at..)?)?;
        if element.id == id::CLUSTER {
            return Some(at);
        }
        at = at.checked_add(element.length)?.checked_add(usize::try_from(element.size?).ok()?)?;
    }
}

pub(crate) fn read_head(start: &[u8]) -> Option<Head> {
    let ebml = ebml::read_start(start).filter(|element| element.id == id::EBML)?;
    let segment_at = ebml.length + usize::try_from(ebml.size?).ok()?;
    let segment = ebml::read_start(start.get(segment_at..)?).filter(|element| element.id == id::SEGMENT)?;
    // Eight bytes of size, to be replaced.
    (segment.length == 12).then_some(())?;
    let body_at = segment_at + segment.length;
    let mut head = Head {
        bytes: Vec::new(),
        segment: body_at,
        seek_room: 0,
        info: 0,
        duration_room: 0,
        tracks: 0,
        media: Vec::new(),
    };
    let mut end = body_at;
    for (at, element, content) in ebml::children(start.get(body_at..)?) {
        let whole = element.length + content.len();
        let content_at = body_at + at + element.length;
        match element.id {
            id::VOID if whole == SEEK_ROOM => head.seek_room = body_at + at,
            id::INFO => {
                head.info = body_at + at;
                head.duration_room = content_at + find(content, id::VOID, DURATION_ROOM)?;
            }
            id::TRACKS => {
                head.tracks = body_at + at;
                head.media = media(content)?;
            }
            _ => break,
        }
        end = body_at + at + whole;
    }
    let complete = head.seek_room > 0 && head.duration_room > 0 && !head.media.is_empty();
    head.bytes = start.get(..end)?.to_vec();
    complete.then_some(head)
}

fn find(body: &[u8], id: u32, whole: usize) -> Option<usize> {
    ebml::children(body)
        .find(|(_, element, content)| element.id == id && element.length + content.len() == whole)
        .map(|(at, ..)| at)
}

fn media(tracks: &[u8]) -> Option<Vec<(u64, Media)>> {
    ebml::children(tracks)
        .filter(|(_, element, _)| element.id == id::TRACK_ENTRY)
        .map(|(.., entry)| webm::read_entry(entry))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::webm::Cluster;
    use proptest::prelude::*;
    use time::OffsetDateTime;

    fn video() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = webm::head(&[(1, Media::Vp8 { width: 640, height: 360 })], OffsetDateTime::UNIX_EPOCH);
        let mut ends = Vec::new();
        for cluster_number in 0..4i64 {
            let mut cluster = Cluster::default();
            for frame in 0..5i64 {
                cluster.push(1, 500 + cluster_number * 200 + frame * 40, frame == 0 && cluster_number != 1, &[7; 50]);
            }
            cluster.take(&mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn every_cut_is_read_up_to_the_last_whole_cluster() {
        let (bytes, ends) = video();
        for cut in 0..=bytes.len() {
            let scanned = scan(&bytes[..cut], cut as u64).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let good = scanned.as_ref().map(|scan| (scan.good_bytes, scan.frames));
            let expected = (whole > 0).then(|| (ends[whole - 1] as u64, whole as u64 * 5));
            assert_eq!(good, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_whole_file_says_its_times_its_size_and_its_cues() {
        let (bytes, ends) = video();
        let scan = scan(bytes.as_slice(), bytes.len() as u64).unwrap().unwrap();
        assert_eq!((scan.first_ms, scan.end_ms, scan.frames), (500, 500 + 19 * 40 + 40, 20));
        assert_eq!(scan.media().and_then(Media::dimensions), Some((640, 360)));
        let cued: Vec<_> = scan.cues.iter().map(|cue| (cue.at_ms, cue.offset as usize)).collect();
        assert_eq!(cued, [(500, scan.head.bytes.len()), (900, ends[1]), (1100, ends[2])]);
    }

    #[test]
    fn tracks_of_one_file_are_told_apart_and_cued_by_their_pictures() {
        let media = [(1, Media::Opus), (2, Media::Vp9 { width: 640, height: 360 }), (7, Media::Opus)];
        let mut bytes = webm::head(&media, OffsetDateTime::UNIX_EPOCH);
        let mut offsets = Vec::new();
        for second in 0..3i64 {
            offsets.push(bytes.len() as u64);
            let mut cluster = Cluster::default();
            for n in 0..50 {
                // Sound is 15 ms behind, so the second block lies before its cluster's time.
                cluster.push(2, 3000 + second * 1000 + n * 20, n == 3 && second != 1, b"picture");
                cluster.push(1, 2985 + second * 1000 + n * 20, true, &[0x78, 1]);
            }
            cluster.take(&mut bytes);
        }
        let scan = scan(bytes.as_slice(), bytes.len() as u64).unwrap().unwrap();
        assert_eq!(scan.head.media, media);
        assert_eq!((scan.first_ms, scan.end_ms, scan.frames), (2985, 6000, 300));
        let tracks: Vec<_> =
            scan.tracks.iter().map(|track| (track.number, track.first_ms, track.end_ms, track.frames)).collect();
        assert_eq!(tracks, [(1, 2985, 5985, 150), (2, 3000, 6000, 150)], "nothing was ever said on the third");
        let cues =
            [Cue { track: 2, at_ms: 3060, offset: offsets[0] }, Cue { track: 2, at_ms: 5060, offset: offsets[2] }];
        assert_eq!(scan.cues, cues);
    }

    #[test]
    fn a_block_of_an_unknown_track_ends_what_is_whole() {
        let mut bytes = webm::head(&[(1, Media::Opus)], OffsetDateTime::UNIX_EPOCH);
        for track in [1, 1, 2] {
            let mut cluster = Cluster::default();
            cluster.push(track, 0, true, &[0x78, 1]);
            cluster.take(&mut bytes);
        }
        assert_eq!(scan(bytes.as_slice(), bytes.len() as u64).unwrap().unwrap().frames, 2);
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(at in 0usize..1500, value: u8, more in proptest::collection::vec(any::<u8>(), 0..64)) {
            let (mut bytes, _) = video();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.extend(more);
            let scanned = scan(bytes.as_slice(), bytes.len() as u64).unwrap();
            prop_assert!(scanned.is_none_or(|scan| scan.good_bytes <= bytes.len() as u64));
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = scan(bytes.as_slice(), bytes.len() as u64);
        }
    }
}
