//! The stored form of a file: the spooled one with its two rooms filled (seek head, duration), its segment size set and cues
//! added at the end, so that players know its length and can jump. The spooled bytes stay as they are.
//!
//! ```text
//! Scan --> head' | clusters as spooled | cues
//! ```

use crate::ebml::{self, id};
use crate::scan::Scan;
use crate::webm::{DURATION_ROOM, SEEK_ROOM};

/// The parts of a stored file around the spooled clusters.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) head: Vec<u8>,
    /// Range of the spooled file that follows.
    pub(crate) clusters: std::ops::Range<u64>,
    pub(crate) cues: Vec<u8>,
}

impl Layout {
    pub(crate) fn of(scan: &Scan) -> Self {
        let cues = cues(scan);
        let mut head = scan.head.bytes.clone();
        let segment = scan.head.segment;
        let segment_bytes = scan.good_bytes + cues.len() as u64 - segment as u64;
        patch(&mut head, segment - 8, &ebml::wide_size(segment_bytes));
        patch(&mut head, scan.head.seek_room, &seek_room(scan));
        let mut duration = Vec::with_capacity(DURATION_ROOM);
        ebml::put_float(&mut duration, id::DURATION, scan.end_ms as f64);
        debug_assert_eq!(duration.len(), DURATION_ROOM);
        patch(&mut head, scan.head.duration_room, &duration);
        Self { clusters: head.len() as u64..scan.good_bytes, head, cues }
    }

    pub(crate) fn size(&self) -> u64 {
        self.clusters.end + self.cues.len() as u64
    }
}

fn patch(bytes: &mut [u8], at: usize, with: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + with.len()) {
        place.copy_from_slice(with);
    }
}

fn seek_room(scan: &Scan) -> Vec<u8> {
    let segment = scan.head.segment as u64;
    let targets =
        [(id::INFO, scan.head.info as u64), (id::TRACKS, scan.head.tracks as u64), (id::CUES, scan.good_bytes)];
    let mut out = Vec::with_capacity(SEEK_ROOM);
    ebml::put_master(&mut out, id::SEEK_HEAD, |out| {
        for (target, offset) in targets {
            ebml::put_master(out, id::SEEK, |out| {
                ebml::put_element(out, id::SEEK_ID, &target.to_be_bytes());
                ebml::put_element(out, id::SEEK_POSITION, &(offset - segment).to_be_bytes());
            });
        }
    });
    let left = SEEK_ROOM - out.len();
    ebml::put_void(&mut out, left);
    out
}

fn cues(scan: &Scan) -> Vec<u8> {
    let mut out = Vec::new();
    ebml::put_master(&mut out, id::CUES, |out| {
        for cue in &scan.cues {
            ebml::put_master(out, id::CUE_POINT, |out| {
                ebml::put_uint(out, id::CUE_TIME, cue.at_ms.max(0) as u64);
                ebml::put_master(out, id::CUE_TRACK_POSITIONS, |out| {
                    ebml::put_uint(out, id::CUE_TRACK, cue.track);
                    ebml::put_uint(out, id::CUE_CLUSTER_POSITION, cue.offset - scan.head.segment as u64);
                });
            });
        }
    });
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::scan::scan_file;
    use crate::webm::{self, Cluster, Media};
    use time::OffsetDateTime;

    /// A stored track as a player finds its way through it: by what the head points at.
    #[test]
    fn the_stored_form_points_at_its_parts_and_knows_its_size_and_length() {
        let mut spooled = webm::head(&[(1, Media::Opus)], OffsetDateTime::UNIX_EPOCH);
        let head_bytes = spooled.len();
        for second in 0..10 {
            let mut cluster = Cluster::default();
            (0..50).for_each(|n| cluster.push(1, 3000 + second * 1000 + n * 20, true, &[0xF8, 1]));
            cluster.take(&mut spooled);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("track.webm");
        let torn = [spooled.as_slice(), &[0x1F, 0x43, 0xB6, 0x75, 0x90]].concat();
        std::fs::write(&path, &torn).unwrap();

        let layout = Layout::of(&scan_file(&path).unwrap().unwrap());
        assert_eq!(layout.clusters, head_bytes as u64..spooled.len() as u64);
        let stored = [&layout.head, &spooled[head_bytes..], &layout.cues].concat();
        assert_eq!(stored.len() as u64, layout.size());

        let ebml_bytes = ebml::children(&stored).next().map(|(_, start, body)| start.length + body.len()).unwrap();
        let segment = ebml::read_start(&stored[ebml_bytes..]).unwrap();
        let body = &stored[ebml_bytes + segment.length..];
        assert_eq!(segment.size, Some(body.len() as u64));
        let id_at = |offset: u64| ebml::read_start(&body[offset as usize..]).unwrap().id;
        let (_, _, seek_head) = ebml::children(body).find(|(_, start, _)| start.id == id::SEEK_HEAD).unwrap();
        let targets: Vec<_> = ebml::children(seek_head)
            .map(|(_, _, seek)| ebml::children(seek).map(|(.., value)| ebml::read_uint(value)).collect::<Vec<_>>())
            .collect();
        assert_eq!(targets.len(), 3);
        for target in targets {
            assert_eq!(u64::from(id_at(target[1])), target[0]);
        }
        let find = |within, wanted| ebml::children(within).find(|(_, start, _)| start.id == wanted).unwrap().2;
        let duration = find(find(body, id::INFO), id::DURATION);
        assert_eq!(f64::from_be_bytes(duration.try_into().unwrap()), 13_000.0);
        let cues: Vec<_> = ebml::children(find(body, id::CUES)).map(|(.., point)| point).collect();
        assert_eq!(cues.len(), 10, "one a cluster");
        for point in cues {
            let offset = ebml::read_uint(find(find(point, id::CUE_TRACK_POSITIONS), id::CUE_CLUSTER_POSITION));
            assert_eq!(id_at(offset), id::CLUSTER);
            let at = ebml::read_uint(find(find(&body[offset as usize..], id::CLUSTER), id::TIMESTAMP));
            assert_eq!(at, ebml::read_uint(find(point, id::CUE_TIME)));
        }
    }
}
