//! One publication on its way into its files.
//!
//! ```text
//! Packet --parse--> Reorder --in order--> Depacketiser --Frame--> MediaFile --whole clusters--> spool
//!    \--> TrackClock (where it lies)  \--> Composer: voices           \--> Composer: pictures
//! ```
//!
//! The first frame that can be decoded gives the track its number, its first whole cluster makes the file: numbers have
//! no holes, and a file always has at least one frame. A picture that needs another configuration of the decoder begins another file.

use bytes::Bytes;
use engine::id::{MediaKind, ParticipantId, PublicationId, PublicationKind};
use rtc_shared::marshal::Unmarshal as _;
use time::OffsetDateTime;

use crate::clock::{Stamp, TrackClock};
use crate::composer::Composer;
use crate::depacketise::{Depacketiser, Frame, Payload};
use crate::error::Fault;
use crate::id::ParticipantName;
use crate::live::{Live, TrackProgress};
use crate::manifest::{Gap, GapCause, Kind, MAX_LISTED_GAPS, TrackCodec};
use crate::media_file::{Block, MediaFile, Written};
use crate::reorder::{Order, Released, Reorder};
use crate::spool::{Fact, Spool, track_file};
use crate::webm::{self, Media};

/// Files that a publication may have because its format changes. Then what changes stays inside the last one, which
/// decoders of H.264 and AV1 manage though players may not: numbers of files are for everybody in the meeting.
const MAX_FILES_OF_FORMATS: u32 = 32;
/// A wish for a key frame is repeated after this.
const ASK_AGAIN_US: i64 = 1_000_000;

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
    reorder: Reorder<Arrived>,
    clock: TrackClock,
    depacketiser: Depacketiser,
    frames: Vec<Frame>,
    file: Option<TrackFile>,
    /// How many were begun.
    files: u32,
    lost_packets: u64,
    gaps: u64,
    /// Broken frames that were counted with an earlier file.
    broken_before: u64,
    /// Something went missing since the last frame.
    open_gap: Option<GapCause>,
    muted: bool,
    /// Nothing can be decoded, or not well, until a key frame comes.
    needs_key: bool,
    asked_us: Option<i64>,
    totals_written: Totals,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    lost_packets: u64,
    broken_frames: u64,
    gaps: u64,
    drift_ppm: Option<i32>,
    sender_clock_us: Option<i64>,
}

/// A packet that waits for its turn.
#[derive(Debug)]
struct Arrived {
    stamp: Stamp,
    payload: Payload,
    level: Option<u8>,
    /// Of a voice: as it came, for the mix.
    packet: Option<Bytes>,
}

#[derive(Debug)]
struct TrackFile {
    media: MediaFile,
    format: Media,
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
            gaps: 0,
            broken_before: 0,
            open_gap: None,
            muted: false,
            needs_key: false,
            asked_us: None,
            totals_written: Totals::default(),
        }
    }

    pub(crate) fn participant(&self) -> ParticipantId {
        self.origin.participant
    }

    pub(crate) fn clock_mut(&mut self) -> &mut TrackClock {
        &mut self.clock
    }

    fn is_voice(&self) -> bool {
        self.origin.kind.media() == MediaKind::Audio
    }

    /// Takes a packet off the tap. What is no RTP is dropped.
    pub(crate) fn handle_packet(
        &mut self,
        packet: Bytes,
        level: Option<u8>,
        arrival_us: i64,
        composer: &mut Composer,
        desk: &mut Desk<'_>,
    ) -> Result<(), Fault> {
        let voice = self.is_voice().then(|| packet.clone());
        let mut rest = packet;
        let Ok(rtp::Packet { header, payload }) = rtp::Packet::unmarshal(&mut rest) else {
            metrics::counter!("recorder_packets_malformed_total").increment(1);
            return Ok(());
        };
        let new_sender = self.ssrc.is_some_and(|ssrc| ssrc != header.ssrc);
        if new_sender || self.reorder.is_restart(header.sequence_number) {
            self.restart(arrival_us, GapCause::Restart, composer, desk)?;
            self.clock.restart();
        }
        self.ssrc = Some(header.ssrc);
        let order = self.reorder.order(header.sequence_number);
        if order == Order::Stale {
            return Ok(());
        }
        if voice.is_some() {
            composer.hear(self.origin.publication, arrival_us, level, payload.len());
        }
        let stamp = self.clock.observe(header.timestamp, arrival_us, order == Order::Newest);
        let payload = Payload { timestamp: header.timestamp, marker: header.marker, at_us: 0, data: payload };
        self.reorder.push(header.sequence_number, arrival_us, Arrived { stamp, payload, level, packet: voice });
        self.drain(arrival_us, composer, desk)
    }

    /// The router stopped or resumed forwarding.
    pub(crate) fn handle_mute(
        &mut self,
        muted: bool,
        now_us: i64,
        composer: &mut Composer,
        desk: &mut Desk<'_>,
    ) -> Result<(), Fault> {
        if self.muted != muted {
            self.muted = muted;
            composer.mute(self.origin.publication, muted, now_us);
            // The sender may go on counting while nobody listens: no loss. And its pictures refer to unseen ones.
            self.restart(now_us, GapCause::Muted, composer, desk)?;
            self.open_gap = Some(GapCause::Muted);
        }
        Ok(())
    }

    /// Time passes: holes are given up, clusters are closed though nothing follows.
    pub(crate) fn handle_time(
        &mut self,
        now_us: i64,
        composer: &mut Composer,
        desk: &mut Desk<'_>,
    ) -> Result<(), Fault> {
        self.drain(now_us, composer, desk)?;
        if self.file.as_ref().is_some_and(|file| file.media.is_due(now_us)) {
            self.commit(desk)?;
        }
        Ok(())
    }

    /// The tap lost something, of this track perhaps: what refers to it cannot be decoded.
    pub(crate) fn miss(&mut self) {
        self.needs_key |= !self.is_voice();
    }

    /// Whether a key frame should be asked for now.
    pub(crate) fn asks_for_key(&mut self, now_us: i64) -> bool {
        let asks = self.needs_key && !self.muted && self.asked_us.is_none_or(|asked| now_us - asked >= ASK_AGAIN_US);
        if asks {
            self.asked_us = Some(now_us);
        }
        asks
    }

    /// Writes the counts to the journal if they changed.
    pub(crate) fn note_totals(&mut self, spool: &mut Spool) -> Result<(), Fault> {
        let totals = Totals {
            lost_packets: self.lost_packets,
            broken_frames: self.depacketiser.broken_frames() - self.broken_before,
            gaps: self.gaps,
            drift_ppm: self.clock.drift_ppm().map(|ppm| ppm.round() as i32),
            sender_clock_us: self.clock.sender_wall_at_start_us(),
        };
        if let Some(file) = &self.file
            && totals != self.totals_written
        {
            let Totals { lost_packets, broken_frames, gaps, drift_ppm, sender_clock_us } = totals;
            let number = file.progress.number;
            spool.note(&Fact::Totals { number, lost_packets, broken_frames, gaps, drift_ppm, sender_clock_us })?;
            self.totals_written = totals;
        }
        Ok(())
    }

    /// Nothing follows: everything that is held goes out.
    pub(crate) fn finish(&mut self, now_us: i64, composer: &mut Composer, desk: &mut Desk<'_>) -> Result<(), Fault> {
        self.reorder.flush();
        self.drain(now_us, composer, desk)?;
        if let Some(cause @ (GapCause::Loss | GapCause::Damage | GapCause::Restart)) = self.open_gap {
            self.note_gap(cause, whole_ms(now_us), desk.spool)?;
        }
        self.commit(desk)?;
        self.note_totals(desk.spool)
    }

    /// A break of the whole recording begins: everything that is held goes out, and what comes after it begins anew.
    pub(crate) fn pause(&mut self, now_us: i64, composer: &mut Composer, desk: &mut Desk<'_>) -> Result<(), Fault> {
        self.restart(now_us, GapCause::Break, composer, desk)?;
        self.commit(desk)
    }

    /// A break ends: RTP time went on meanwhile, the recording's clock did not.
    pub(crate) fn resume(&mut self) {
        self.clock.restart();
        self.asked_us = None;
    }

    /// Nothing can be written for a while. What stands in memory waits, but for packets that wait themselves; what comes then begins anew.
    pub(crate) fn suspend(&mut self) {
        self.clock.settle(i64::MAX);
        self.reorder = Reorder::default();
        self.frames.clear();
        self.depacketiser.restart();
        self.needs_key = !self.is_voice();
        self.open_gap = Some(GapCause::Break);
    }

    fn restart(
        &mut self,
        now_us: i64,
        cause: GapCause,
        composer: &mut Composer,
        desk: &mut Desk<'_>,
    ) -> Result<(), Fault> {
        self.reorder.flush();
        self.drain(now_us, composer, desk)?;
        self.reorder = Reorder::default();
        self.depacketiser.restart();
        self.needs_key = !self.is_voice();
        self.open_gap.get_or_insert(cause);
        Ok(())
    }

    fn drain(&mut self, now_us: i64, composer: &mut Composer, desk: &mut Desk<'_>) -> Result<(), Fault> {
        self.clock.settle(if self.reorder.is_flushing() { i64::MAX } else { now_us });
        while !self.clock.is_undecided()
            && let Some(released) = self.reorder.poll(now_us)
        {
            match released {
                Released::Item(Arrived { stamp, mut payload, level, packet }) => {
                    payload.at_us = self.clock.lay(stamp);
                    if let Some(packet) = packet {
                        composer.voice(self.origin.publication, payload.at_us, level, packet);
                    }
                    let broken = self.depacketiser.broken_frames();
                    self.depacketiser.push(&payload, &mut self.frames);
                    if self.depacketiser.broken_frames() > broken {
                        self.needs_key |= !self.is_voice();
                        self.open_gap.get_or_insert(GapCause::Damage);
                    }
                }
                Released::Lost(packets) => {
                    self.depacketiser.handle_loss();
                    self.needs_key |= !self.is_voice();
                    self.lost_packets += packets;
                    self.open_gap.get_or_insert(GapCause::Loss);
                }
            }
            // Kept for the next packet, so that a packet allocates nothing.
            let mut frames = std::mem::take(&mut self.frames);
            let written = frames.drain(..).try_for_each(|frame| self.write(&frame, now_us, composer, desk));
            self.frames = frames;
            written?;
        }
        Ok(())
    }

    fn write(&mut self, frame: &Frame, now_us: i64, composer: &mut Composer, desk: &mut Desk<'_>) -> Result<(), Fault> {
        if !self.is_voice() {
            self.needs_key &= !frame.is_key();
            composer.picture(&self.origin, frame, now_us);
        }
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
        let at_ms = whole_ms(frame.at_us).max(file.media.last_ms() + 1);
        if let Some(cause) = self.open_gap.take() {
            self.note_gap(cause, at_ms, desk.spool)?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let video_key = frame.format.as_ref().is_some_and(Media::is_video);
        let block = Block { track: webm::TRACK_NUMBER, at_ms, key: frame.is_key(), video_key, data: &frame.data };
        if let Some(written) = file.media.push(block, now_us, desk.spool)? {
            file.show(written, desk.live);
        }
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
        self.broken_before = self.depacketiser.broken_frames();
        (self.lost_packets, self.gaps, self.totals_written) = (0, 0, Totals::default());
        Ok(())
    }

    /// Something is missing from the last frame until now.
    fn note_gap(&mut self, cause: GapCause, to_ms: i64, spool: &mut Spool) -> Result<(), Fault> {
        let Some(file) = &self.file else { return Ok(()) };
        self.gaps += 1;
        if self.gaps <= MAX_LISTED_GAPS as u64 {
            let last_ms = file.media.last_ms();
            let gap = Gap { from_ms: last_ms.max(0) as u64, to_ms: to_ms.max(last_ms) as u64, cause };
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
        let Some(format) = frame.format.clone() else { return Ok(None) };
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
        let head = webm::head(&[(webm::TRACK_NUMBER, format.clone())], desk.started_at);
        Ok(Some(TrackFile {
            media: MediaFile::new(track_file(number, codec), head),
            format,
            progress: TrackProgress { number, participant, kind, codec, offset_ms, end_ms: offset_ms, size: 0 },
        }))
    }

    /// Whether a frame came that found no file left.
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    fn commit(&mut self, desk: &mut Desk<'_>) -> Result<(), Fault> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Some(written) = file.media.commit(desk.spool)? {
            file.show(written, desk.live);
        }
        Ok(())
    }
}

impl TrackFile {
    /// Whether a frame can go into this file.
    fn takes(&self, frame: &Frame) -> bool {
        frame.format.as_ref().is_none_or(|format| self.format.goes_with(format))
    }

    fn show(&mut self, written: Written, live: &Live) {
        self.progress.size = written.size;
        self.progress.end_ms = written.last_ms.max(0) as u64;
        live.update(self.progress);
    }
}

/// Rounded; what lies before the recording's start is its first moment.
pub(crate) fn whole_ms(at_us: i64) -> i64 {
    (at_us.max(0) + 500) / 1000
}
