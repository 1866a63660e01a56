//! From the spool to what is stored: the finished form of each track, and the manifest's facts.
//!
//! The stored track is the spooled one with its two rooms filled (seek head, duration), its segment size set and cues
//! added at the end, so that players know its length and can jump. The spooled bytes stay as they are.
//!
//! ```text
//! spool folder --inspect--> Inspection (facts, scans) --layout--> head' | clusters as spooled | cues
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use crate::ebml::{self, id};
use crate::error::RecorderError;
use crate::id::{ParticipantName, RecordingId};
use crate::manifest::{self, Gap, Kind, MAX_LISTED_GAPS, Manifest, Person, TrackCodec, TrackRecord};
use crate::scan::{Scan, scan_file};
use crate::spool::{self, Fact};
use crate::webm::{DURATION_ROOM, Media, SEEK_ROOM};

/// A recording as its folder tells it.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) recording: RecordingId,
    started_at: OffsetDateTime,
    /// The last line is there.
    ended: bool,
    failure: Option<String>,
    lost_items: u64,
    refused_publications: u64,
    pub(crate) participants: BTreeMap<ParticipantName, String>,
    pub(crate) tracks: Vec<SpooledTrack>,
}

/// One track with at least one whole cluster.
#[derive(Debug)]
pub(crate) struct SpooledTrack {
    pub(crate) number: u32,
    pub(crate) participant: ParticipantName,
    publication: u32,
    pub(crate) kind: Kind,
    pub(crate) codec: TrackCodec,
    pub(crate) path: PathBuf,
    pub(crate) scan: Scan,
    lost_packets: u64,
    broken_frames: u64,
    gap_count: u64,
    gaps: Vec<Gap>,
}

/// Reads a recording's folder. Blocking.
pub(crate) fn inspect(folder: &Path) -> Result<Inspection, RecorderError> {
    let facts = spool::read_journal(folder).map_err(RecorderError::disk("reading the journal of a recording"))?;
    let mut facts = facts.into_iter();
    let Some(Fact::Started { recording, at }) = facts.next() else {
        return Err(RecorderError::Damaged { what: "journal", why: "its first line is missing".to_owned() });
    };
    let mut inspection = Inspection {
        recording,
        started_at: at,
        ended: false,
        failure: None,
        lost_items: 0,
        refused_publications: 0,
        participants: BTreeMap::new(),
        tracks: Vec::new(),
    };
    for fact in facts {
        inspection.learn(folder, fact).map_err(RecorderError::disk("reading a recorded track"))?;
    }
    Ok(inspection)
}

impl Inspection {
    fn learn(&mut self, folder: &Path, fact: Fact) -> io::Result<()> {
        match fact {
            Fact::Started { .. } => {}
            Fact::Participant { id, display_name } => {
                self.participants.insert(id, display_name);
            }
            Fact::Track { number, participant, publication, kind, codec } => {
                let path = folder.join(spool::track_file(number, codec));
                let scan = match scan_file(&path) {
                    // The line goes out up to a cluster before the file is made.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    other => other?,
                };
                self.tracks.extend(scan.map(|scan| SpooledTrack {
                    number,
                    participant,
                    publication,
                    kind,
                    codec,
                    path,
                    scan,
                    lost_packets: 0,
                    broken_frames: 0,
                    gap_count: 0,
                    gaps: Vec::new(),
                }));
            }
            Fact::Gap { number, gap } => {
                if let Some(track) = self.track_mut(number)
                    && track.gaps.len() < MAX_LISTED_GAPS
                {
                    track.gaps.push(gap);
                }
            }
            Fact::Totals { number, lost_packets, broken_frames, gaps } => {
                if let Some(track) = self.track_mut(number) {
                    track.lost_packets = lost_packets;
                    track.broken_frames = broken_frames;
                    track.gap_count = gaps;
                }
            }
            Fact::Overload { lost_items, refused_publications } => {
                self.lost_items = lost_items;
                self.refused_publications = refused_publications;
            }
            Fact::Ended { failure } => {
                self.ended = true;
                self.failure = failure;
            }
        }
        Ok(())
    }

    fn track_mut(&mut self, number: u32) -> Option<&mut SpooledTrack> {
        self.tracks.iter_mut().find(|track| track.number == number)
    }

    /// The manifest, given what was stored of each track.
    pub(crate) fn manifest(&self, stored: &[Stored]) -> Manifest {
        let tracks: Vec<_> = self.tracks.iter().zip(stored).map(|(track, stored)| track.record(stored)).collect();
        Manifest {
            version: manifest::VERSION,
            recording: self.recording,
            started_at: self.started_at,
            duration_ms: tracks.iter().map(|track| track.offset_ms + track.duration_ms).max().unwrap_or(0),
            recovered: !self.ended,
            failure: self.failure.clone(),
            lost_items: self.lost_items,
            refused_publications: self.refused_publications,
            participants: self
                .participants
                .iter()
                .map(|(id, display_name)| Person { id: *id, display_name: display_name.clone() })
                .collect(),
            tracks,
        }
    }
}

/// What the store got of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl SpooledTrack {
    fn record(&self, stored: &Stored) -> TrackRecord {
        let (width, height) = self.scan.media().and_then(Media::dimensions).unzip();
        TrackRecord {
            number: self.number,
            object: spool::track_file(self.number, self.codec),
            participant: self.participant,
            publication: self.publication,
            kind: self.kind,
            codec: self.codec,
            content_type: self.codec.content_type().to_owned(),
            width,
            height,
            offset_ms: self.scan.first_ms.max(0) as u64,
            duration_ms: (self.scan.end_ms - self.scan.first_ms).max(0) as u64,
            frames: self.scan.frames,
            size: stored.size,
            sha256: stored.sha256.clone(),
            lost_packets: self.lost_packets,
            broken_frames: self.broken_frames,
            gaps_unlisted: self.gap_count.saturating_sub(self.gaps.len() as u64),
            gaps: self.gaps.clone(),
        }
    }
}

/// The parts of a stored track around the spooled clusters.
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
    use crate::webm::{self, Cluster};

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
