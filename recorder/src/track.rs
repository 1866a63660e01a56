//! One publication on its way into one file.
//!
//! ```text
//! Packet --parse--> Reorder --in order--> Depacketiser --Frame--> Cluster --whole--> spool file
//!    \--> TrackClock (where it lies)                                  \--> Live (how far it is)
//! ```
//!
//! The first frame that can be decoded gives the track its number, its first whole cluster makes the file: numbers have
//! no holes, and a file always has at least one frame.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use engine::id::{ParticipantId, PublicationId, PublicationKind};
use rtc_shared::marshal::Unmarshal as _;
use time::OffsetDateTime;

use crate::clock::{Stamp, TrackClock};
use crate::depacketise::{Depacketiser, Frame, Payload};
use crate::error::Fault;
use crate::id::ParticipantName;
use crate::live::{Live, TrackProgress};
use crate::manifest::{Gap, GapCause, Kind, MAX_LISTED_GAPS, TrackCodec};
use crate::reorder::{Order, Released, Reorder};
use crate::spool::{Fact, Spool};
use crate::webm::{self, Cluster, Media};

/// Files that a publication may have because its format changes. Then what changes stays inside the last one, which
/// decoders of H.264 and AV1 manage though players may not: numbers of files are for everybody in the meeting.
const MAX_FILES_OF_FORMATS: u32 = 32;

/// What is known of a publication from the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) publication: PublicationId,
    pub(crate) participant: ParticipantId,
    pub(crate) kind: PublicationKind,
    pub(crate) codec: TrackCodec,
}

/// Where a track writes to; lent by the session for each call.
pub(crate) struct Desk<'a> {
    pub(crate) spool: &'a mut Spool,
    pub(crate) live: &'a Live,
    /// Wall clock of timestamp zero.
    pub(crate) started_at: OffsetDateTime,
    /// Number of the next file.
    pub(crate) next_number: &'a mut u32,
}

/// The publication's pipeline.
#[derive(Debug)]
pub(crate) struct Track {
    origin: Origin,
    ssrc: Option<u32>,
    reorder: Reorder<(Stamp, Payload)>,
    clock: TrackClock,
    depacketiser: Depacketiser,
    frames: Vec<Frame>,
    file: Option<TrackFile>,
    /// How many were begun.
    files: u32,
    lost_packets: u64,
    /// Broken frames that were counted with an earlier file.
    broken_before: u64,
    gaps: u64,
    /// Something went missing since the last frame.
    open_gap: Option<GapCause>,
    muted: bool,
    totals_written: (u64, u64, u64),
}

#[derive(Debug)]
struct TrackFile {
    /// Made with the first cluster, so that no file without a frame is ever seen.
    file: Option<Arc<File>>,
    cluster: Cluster,
    /// When, on the recording's clock, the cluster got its first block.
    cluster_since_us: i64,
    /// Head that still waits for the first cluster.
    head: Vec<u8>,
    media: Media,
    last_ms: i64,
    /// A write failed in the middle: what would follow could not be read.
    torn: bool,
    progress: TrackProgress,
}

impl Track {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            ssrc: None,
            reorder: Reorder::default(),
            clock: TrackClock::new(origin.kind.media().clock_hz()),
            depacketiser: Depacketiser::new(origin.codec),
            frames: Vec::new(),
            file: None,
            files: 0,
            lost_packets: 0,
            broken_before: 0,
            gaps: 0,
            open_gap: None,
            muted: false,
            totals_written: (0, 0, 0),
        }
    }

    pub(crate) fn participant(&self) -> ParticipantId {
        self.origin.participant
    }

    pub(crate) fn clock_mut(&mut self) -> &mut TrackClock {
        &mut self.clock
    }

    /// Takes a packet off the tap. What is no RTP is dropped.
    pub(crate) fn handle_packet(
        &mut self,
        mut packet: Bytes,
        arrival_us: i64,
        desk: &mut Desk<'_>,
    ) -> Result<(), Fault> {
        let Ok(rtp::Packet { header, payload }) = rtp::Packet::unmarshal(&mut packet) else {
            metrics::counter!("recorder_packets_malformed_total").increment(1);
            return Ok(());
        };
        let new_sender = self.ssrc.is_some_and(|ssrc| ssrc != header.ssrc);
        if new_sender || self.reorder.is_restart(header.sequence_number) {
            self.restart(arrival_us, GapCause::Restart, desk)?;
            self.clock.restart();
        }
        self.ssrc = Some(header.ssrc);
        let order = self.reorder.order(header.sequence_number);
        if order == Order::Stale {
            return Ok(());
        }
        let stamp = self.clock.observe(header.timestamp, arrival_us, order == Order::Newest);
        let item = Payload { timestamp: header.timestamp, marker: header.marker, at_us: 0, data: payload };
        self.reorder.push(header.sequence_number, arrival_us, (stamp, item));
        self.drain(arrival_us, desk)
    }

    /// The router stopped or resumed forwarding.
    pub(crate) fn handle_mute(&mut self, muted: bool, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        if self.muted != muted {
            self.muted = muted;
            // The sender may go on counting while nobody listens: no loss. And its pictures refer to unseen ones.
            self.restart(now_us, GapCause::Muted, desk)?;
            self.open_gap = Some(GapCause::Muted);
        }
        Ok(())
    }

    /// Time passes: holes are given up, clusters are closed though nothing follows.
    pub(crate) fn handle_time(&mut self, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        self.drain(now_us, desk)?;
        let is_old = |file: &TrackFile| now_us - file.cluster_since_us >= webm::CLUSTER_MS * 1000;
        if self.file.as_ref().is_some_and(is_old) {
            self.commit(desk)?;
        }
        Ok(())
    }

    /// Writes the counts to the journal if they changed.
    pub(crate) fn note_totals(&mut self, spool: &mut Spool) -> Result<(), Fault> {
        let broken_frames = self.depacketiser.broken_frames() - self.broken_before;
        let totals = (self.lost_packets, broken_frames, self.gaps);
        if let Some(file) = &self.file
            && totals != self.totals_written
        {
            let (lost_packets, broken_frames, gaps) = totals;
            spool.note(&Fact::Totals { number: file.progress.number, lost_packets, broken_frames, gaps })?;
            self.totals_written = totals;
        }
        Ok(())
    }

    /// Nothing follows: everything that is held goes out.
    pub(crate) fn finish(&mut self, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        self.reorder.flush();
        self.drain(now_us, desk)?;
        if let Some(cause) = self.open_gap.filter(|cause| *cause != GapCause::Muted) {
            self.note_gap(cause, whole_ms(now_us), desk.spool)?;
        }
        self.commit(desk)?;
        self.note_totals(desk.spool)
    }

    fn restart(&mut self, now_us: i64, cause: GapCause, desk: &mut Desk<'_>) -> Result<(), Fault> {
        self.reorder.flush();
        self.drain(now_us, desk)?;
        self.reorder = Reorder::default();
        self.depacketiser.restart();
        self.open_gap.get_or_insert(cause);
        Ok(())
    }

    fn drain(&mut self, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        self.clock.settle(if self.reorder.is_flushing() { i64::MAX } else { now_us });
        while !self.clock.is_undecided()
            && let Some(released) = self.reorder.poll(now_us)
        {
            match released {
                Released::Item((stamp, mut packet)) => {
                    packet.at_us = self.clock.lay(stamp);
                    let broken = self.depacketiser.broken_frames();
                    self.depacketiser.push(&packet, &mut self.frames);
                    if self.depacketiser.broken_frames() > broken {
                        self.open_gap.get_or_insert(GapCause::Damage);
                    }
                }
                Released::Lost(packets) => {
                    self.depacketiser.handle_loss();
                    self.lost_packets += packets;
                    self.open_gap.get_or_insert(GapCause::Loss);
                }
            }
            for frame in std::mem::take(&mut self.frames) {
                self.write(&frame, now_us, desk)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, frame: &Frame, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        if self.file.as_ref().is_some_and(|file| !file.takes(frame))
            && self.files < MAX_FILES_OF_FORMATS
            && *desk.next_number < crate::MAX_TRACKS
        {
            self.end_file(whole_ms(frame.at_us), desk)?;
        }
        if self.file.is_none() {
            self.file = self.begin(frame, desk)?;
            self.files += u32::from(self.file.is_some());
            self.open_gap = None;
        }
        let Some(file) = &self.file else { return Ok(()) };
        // Equal times would be an error to players; a source change or a clock step can bring them.
        let at_ms = whole_ms(frame.at_us).max(file.last_ms + 1);
        if let Some(cause) = self.open_gap.take() {
            self.note_gap(cause, at_ms, desk.spool)?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let video_key = frame.format.as_ref().is_some_and(Media::is_video);
        if file.cluster.closes_before(at_ms, video_key) {
            file.commit(desk)?;
        }
        if file.cluster.is_empty() {
            file.cluster_since_us = now_us;
        }
        file.cluster.push(webm::TRACK_NUMBER, at_ms, frame.is_key(), &frame.data);
        file.last_ms = at_ms;
        Ok(())
    }

    /// The next frame needs another file. What is counted from now on is counted there.
    fn end_file(&mut self, next_ms: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        if let Some(cause) = self.open_gap.take() {
            self.note_gap(cause, next_ms, desk.spool)?;
        }
        self.commit(desk)?;
        self.note_totals(desk.spool)?;
        self.file = None;
        self.lost_packets = 0;
        self.gaps = 0;
        self.broken_before = self.depacketiser.broken_frames();
        Ok(())
    }

    /// Something is missing from the last frame until now.
    fn note_gap(&mut self, cause: GapCause, to_ms: i64, spool: &mut Spool) -> Result<(), Fault> {
        let Some(file) = &self.file else { return Ok(()) };
        self.gaps += 1;
        if self.gaps <= MAX_LISTED_GAPS as u64 {
            let gap = Gap { from_ms: file.last_ms.max(0) as u64, to_ms: to_ms.max(file.last_ms) as u64, cause };
            spool.note(&Fact::Gap { number: file.progress.number, gap })?;
        }
        Ok(())
    }

    /// Begins the file, unless there are too many.
    fn begin(&self, frame: &Frame, desk: &mut Desk<'_>) -> Result<Option<TrackFile>, Fault> {
        let number = *desk.next_number;
        if number >= crate::MAX_TRACKS {
            return Ok(None);
        }
        let Some(media) = frame.format.clone() else { return Ok(None) };
        let (kind, codec) = (Kind::from(self.origin.kind), self.origin.codec);
        let participant = self.origin.participant;
        desk.spool.note(&Fact::Track {
            number,
            participant: ParticipantName(participant),
            publication: self.origin.publication.0,
            kind,
            codec,
        })?;
        *desk.next_number += 1;
        let offset_ms = whole_ms(frame.at_us) as u64;
        Ok(Some(TrackFile {
            file: None,
            cluster: Cluster::default(),
            cluster_since_us: 0,
            head: webm::head(&[(webm::TRACK_NUMBER, media.clone())], desk.started_at),
            media,
            last_ms: -1,
            torn: false,
            progress: TrackProgress { number, participant, kind, codec, offset_ms, end_ms: offset_ms, size: 0 },
        }))
    }

    /// Whether a frame came that found no file left.
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    fn commit(&mut self, desk: &mut Desk<'_>) -> Result<(), Fault> {
        match &mut self.file {
            Some(file) => file.commit(desk),
            None => Ok(()),
        }
    }
}

impl TrackFile {
    /// Whether a frame can go into this file.
    fn takes(&self, frame: &Frame) -> bool {
        frame.format.as_ref().is_none_or(|format| self.media.goes_with(format))
    }

    /// Writes the cluster whole; the first one in one write with the head.
    fn commit(&mut self, desk: &mut Desk<'_>) -> Result<(), Fault> {
        if self.cluster.is_empty() || self.torn {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.head);
        self.cluster.take(&mut bytes);
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(self.file.insert(desk.spool.create_track(self.progress.number, self.progress.codec)?)),
        };
        let written = desk.spool.append(&file, &bytes);
        self.torn = written.is_err();
        written?;
        self.progress.size += bytes.len() as u64;
        self.progress.end_ms = self.last_ms as u64;
        desk.live.update(self.progress);
        Ok(())
    }
}

/// Rounded; what lies before the recording's start is its first moment.
fn whole_ms(at_us: i64) -> i64 {
    (at_us.max(0) + 500) / 1000
}
