//! A recording as its folder tells it: the journal's facts and what is whole of each file, and the manifest that follows from them.
//!
//! ```text
//! spool folder --inspect--> Inspection --stored objects--> Manifest
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use crate::error::RecorderError;
use crate::id::{ParticipantName, RecordingId};
use crate::manifest::{
    self, Break, Consent, ContentRecord, FileRecord, Gap, Kind, MAX_LISTED_GAPS, Manifest, Part, Person, Span,
    TrackCodec, TrackRecord,
};
use crate::scan::{Scan, scan_file};
use crate::spool::{self, Fact};
use crate::webm::Media;

/// A recording as its folder tells it.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) recording: RecordingId,
    pub(crate) tenant: String,
    subject: String,
    part: Part,
    pub(crate) started_at: OffsetDateTime,
    /// The last line is there.
    ended: bool,
    failure: Option<String>,
    lost_items: u64,
    refused_publications: u64,
    pub(crate) breaks: Vec<Break>,
    consents: Vec<Consent>,
    foreign_pictures: u64,
    pub(crate) participants: BTreeMap<ParticipantName, Presence>,
    pub(crate) spoken: Vec<(ParticipantName, Span)>,
    pub(crate) shown: Vec<Shown>,
    pub(crate) reactions: Vec<(ParticipantName, String, u64)>,
    pub(crate) content: Option<SpooledContent>,
    pub(crate) tracks: Vec<SpooledTrack>,
}

/// Somebody who was there.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    pub(crate) display_name: String,
    /// From and, unless they stayed to the end, to.
    spans: Vec<(u64, Option<u64>)>,
}

/// Whom the composed recording shows from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) who: Option<(ParticipantName, Kind)>,
    pub(crate) at_ms: u64,
}

/// The composed recording.
#[derive(Debug)]
pub(crate) struct SpooledContent {
    pub(crate) codec: TrackCodec,
    pub(crate) path: PathBuf,
    pub(crate) scan: Scan,
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
    drift_ppm: Option<i32>,
    sender_clock_us: Option<i64>,
    gap_count: u64,
    gaps: Vec<Gap>,
}

/// What the store got of a recording.
#[derive(Debug, Default)]
pub(crate) struct StoredFiles {
    pub(crate) content: Option<FileRecord>,
    /// In the order of [`Inspection::tracks`].
    pub(crate) tracks: Vec<FileRecord>,
    /// Side files.
    pub(crate) files: Vec<FileRecord>,
}

/// Reads a recording's folder. Blocking.
pub(crate) fn inspect(folder: &Path) -> Result<Inspection, RecorderError> {
    let facts = spool::read_journal(folder).map_err(RecorderError::disk("reading the journal of a recording"))?;
    let mut facts = facts.into_iter();
    let Some(Fact::Started { recording, at, tenant, subject, part }) = facts.next() else {
        return Err(RecorderError::Damaged { what: "journal", why: "its first line is missing".to_owned() });
    };
    let mut inspection = Inspection {
        recording,
        tenant,
        subject,
        part,
        started_at: at,
        ended: false,
        failure: None,
        lost_items: 0,
        refused_publications: 0,
        breaks: Vec::new(),
        consents: Vec::new(),
        foreign_pictures: 0,
        participants: BTreeMap::new(),
        spoken: Vec::new(),
        shown: Vec::new(),
        reactions: Vec::new(),
        content: None,
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
            Fact::Participant { id, display_name, at_ms } => {
                let presence = self.participants.entry(id).or_default();
                presence.display_name = display_name;
                if presence.spans.last().is_none_or(|(_, to)| to.is_some()) {
                    presence.spans.push((at_ms, None));
                }
            }
            Fact::Left { id, at_ms } => {
                let spans = self.participants.get_mut(&id).map(|presence| &mut presence.spans);
                if let Some((_, to @ None)) = spans.and_then(|spans| spans.last_mut()) {
                    *to = Some(at_ms);
                }
            }
            Fact::Consent(consent) => self.consents.push(consent),
            Fact::Reaction { id, reaction, at_ms } => self.reactions.push((id, reaction, at_ms)),
            Fact::Spoke { id, from_ms, to_ms } => self.spoken.push((id, Span { from_ms, to_ms })),
            Fact::Shown { id, kind, at_ms } => self.shown.push(Shown { who: id.zip(kind), at_ms }),
            Fact::Foreign { pictures } => self.foreign_pictures = pictures,
            Fact::Break(stop) => self.breaks.push(stop),
            Fact::Content { codec } => {
                let path = folder.join(spool::content_file(codec));
                self.content = scan_if_there(&path)?.map(|scan| SpooledContent { codec, path, scan });
            }
            Fact::Track { number, participant, publication, kind, codec } => {
                let path = folder.join(spool::track_file(number, codec));
                self.tracks.extend(scan_if_there(&path)?.map(|scan| SpooledTrack {
                    number,
                    participant,
                    publication,
                    kind,
                    codec,
                    path,
                    scan,
                    lost_packets: 0,
                    broken_frames: 0,
                    drift_ppm: None,
                    sender_clock_us: None,
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
            Fact::Totals { number, lost_packets, broken_frames, gaps, drift_ppm, sender_clock_us } => {
                if let Some(track) = self.track_mut(number) {
                    track.lost_packets = lost_packets;
                    track.broken_frames = broken_frames;
                    track.gap_count = gaps;
                    track.drift_ppm = drift_ppm;
                    track.sender_clock_us = sender_clock_us;
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

    /// How much is recorded.
    pub(crate) fn duration_ms(&self) -> u64 {
        let scans = self.tracks.iter().map(|track| &track.scan).chain(self.content.iter().map(|content| &content.scan));
        scans.map(|scan| scan.end_ms.max(0) as u64).max().unwrap_or(0)
    }

    /// Everybody who was there, and when.
    pub(crate) fn people(&self) -> Vec<Person> {
        let end_ms = self.duration_ms();
        let person = |(id, presence): (&ParticipantName, &Presence)| Person {
            id: *id,
            display_name: presence.display_name.clone(),
            present: presence
                .spans
                .iter()
                .map(|&(from_ms, to_ms)| Span { from_ms, to_ms: to_ms.unwrap_or(end_ms).max(from_ms) })
                .collect(),
        };
        self.participants.iter().map(person).collect()
    }

    /// The manifest, given what was stored.
    pub(crate) fn manifest(&self, stored: StoredFiles) -> Manifest {
        let tracks = self.tracks.iter().zip(stored.tracks).map(|(track, stored)| track.record(stored)).collect();
        let content = self.content.as_ref().zip(stored.content).map(|(content, stored)| ContentRecord {
            codec: content.codec,
            duration_ms: content.scan.end_ms.max(0) as u64,
            frames: content.scan.frames,
            foreign_pictures: self.foreign_pictures,
            stored,
        });
        Manifest {
            version: manifest::VERSION,
            recording: self.recording,
            tenant: self.tenant.clone(),
            subject: self.subject.clone(),
            part: self.part,
            started_at: self.started_at,
            duration_ms: self.duration_ms(),
            breaks: self.breaks.clone(),
            recovered: !self.ended,
            failure: self.failure.clone(),
            lost_items: self.lost_items,
            refused_publications: self.refused_publications,
            participants: self.people(),
            consents: self.consents.clone(),
            content,
            tracks,
            files: stored.files,
        }
    }
}

impl SpooledTrack {
    fn record(&self, stored: FileRecord) -> TrackRecord {
        let (width, height) = self.scan.media().and_then(Media::dimensions).unzip();
        let FileRecord { object, content_type, size, sha256 } = stored;
        // A gap behind the last frame lay between frames that were held in memory and never written.
        let is_within = |gap: &&Gap| gap.from_ms as i64 <= self.scan.last_ms;
        TrackRecord {
            number: self.number,
            object,
            participant: self.participant,
            publication: self.publication,
            kind: self.kind,
            codec: self.codec,
            content_type,
            width,
            height,
            offset_ms: self.scan.first_ms.max(0) as u64,
            duration_ms: (self.scan.end_ms - self.scan.first_ms).max(0) as u64,
            frames: self.scan.frames,
            size,
            sha256,
            lost_packets: self.lost_packets,
            broken_frames: self.broken_frames,
            drift_ppm: self.drift_ppm,
            sender_clock_us: self.sender_clock_us,
            gaps_unlisted: self.gap_count.saturating_sub(self.gaps.len() as u64),
            gaps: self.gaps.iter().filter(is_within).copied().collect(),
        }
    }
}

/// The journal names a file up to a cluster before it is made.
fn scan_if_there(path: &Path) -> io::Result<Option<Scan>> {
    match scan_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other,
    }
}
