//! One running recording: items off the tap become bytes in the spool.
//!
//! [`Session`] is the part that decides, with time as an argument; [`run`] is the thread around it.
//!
//! ```text
//! TapReceiver --recv--> Session --by publication--> Track, Track, ... --> Spool
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::id::{ParticipantId, PublicationId};
use engine::tap::{TAP_CAPACITY, TapItem, TapReceiver, Tapped};
use time::OffsetDateTime;

use crate::error::Fault;
use crate::id::{ParticipantName, RecordingId};
use crate::live::Live;
use crate::manifest::TrackCodec;
use crate::spool::{Fact, SYNC_EVERY_US, Spool, check_reserve};
use crate::track::{Desk, Origin, Track};

/// How long the thread waits for an item before it looks at the time and at whether it shall stop.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Holes and old clusters are looked at so often, on the tap's clock.
const TICK_US: i64 = 50_000;

/// What a recording needs to begin.
pub(crate) struct Begin<'a> {
    pub(crate) root: &'a Path,
    pub(crate) recording: RecordingId,
    /// Timestamp zero, on both clocks.
    pub(crate) started: Instant,
    pub(crate) started_at: OffsetDateTime,
    /// Free bytes that stay free.
    pub(crate) reserve_bytes: u64,
}

/// The recording.
pub(crate) struct Session {
    started: Instant,
    started_at: OffsetDateTime,
    reserve_bytes: u64,
    spool: Spool,
    live: Arc<Live>,
    tracks: HashMap<PublicationId, Track>,
    next_number: u32,
    now_us: i64,
    ticked_us: i64,
    synced_us: i64,
    lost_items: u64,
    refused_publications: u64,
    overload_written: (u64, u64),
}

impl Session {
    pub(crate) fn begin(begin: &Begin<'_>, live: Arc<Live>) -> Result<Self, Fault> {
        let spool = Spool::create(begin.root, begin.recording, begin.started_at)?;
        Ok(Self {
            started: begin.started,
            started_at: begin.started_at,
            reserve_bytes: begin.reserve_bytes,
            spool,
            live,
            tracks: HashMap::new(),
            next_number: 0,
            now_us: 0,
            ticked_us: 0,
            synced_us: 0,
            lost_items: 0,
            refused_publications: 0,
            overload_written: (0, 0),
        })
    }

    /// Takes one item.
    pub(crate) fn handle(&mut self, tapped: Tapped) -> Result<(), Fault> {
        self.lost_items += tapped.lost_before;
        match tapped.item {
            TapItem::Added { publication, participant, kind, codec } => {
                self.add(Origin { publication, participant, kind, codec: TrackCodec::of(codec) })?;
            }
            TapItem::Packet { publication, arrival, packet, .. } => {
                let arrival_us = self.on_clock(arrival);
                self.advance(arrival_us)?;
                self.with_track(publication, |track, desk| track.handle_packet(packet, arrival_us, desk))?;
            }
            TapItem::SenderReport { publication, ntp, rtp, .. } => {
                if let Some(track) = self.tracks.get_mut(&publication) {
                    track.clock_mut().handle_report(ntp, rtp);
                    let participant = track.participant();
                    self.synchronise(participant);
                }
            }
            TapItem::Muted { publication, muted } => {
                let now_us = self.now_us;
                self.with_track(publication, |track, desk| track.handle_mute(muted, now_us, desk))?;
            }
            TapItem::Removed { publication } => self.remove(publication)?,
        }
        Ok(())
    }

    /// Nothing came for `idle`.
    pub(crate) fn handle_idle(&mut self, idle: Duration) -> Result<(), Fault> {
        let now_us = self.now_us + idle.as_micros() as i64;
        self.advance(now_us)
    }

    /// Writes what is held and the last line, and waits for the disk.
    pub(crate) fn finish(mut self) -> Result<(), Fault> {
        self.remove_all()?;
        self.note_names()?;
        self.note_overload()?;
        self.spool.note(&Fact::Ended { failure: None })?;
        Ok(self.spool.close()?)
    }

    /// Ends after a fault: writes what still can be written.
    fn abandon(mut self, failure: String) {
        let ended = self.remove_all().and_then(|()| self.note_names()).and_then(|()| self.note_overload());
        // The reason goes in even when nothing else did: a line is small.
        let noted = self.spool.note(&Fact::Ended { failure: Some(failure) });
        let closed = self.spool.close();
        if let Err(fault) = ended.and(noted.map_err(Fault::from)).and(closed.map_err(Fault::from)) {
            tracing::debug!(%fault, "the end of a failed recording could not be written either");
        }
    }

    fn remove_all(&mut self) -> Result<(), Fault> {
        let publications: Vec<_> = self.tracks.keys().copied().collect();
        publications.into_iter().try_for_each(|publication| self.remove(publication))
    }

    fn add(&mut self, origin: Origin) -> Result<(), Fault> {
        // Those without a file yet count as well: each holds a buffer.
        if self.tracks.len() >= crate::MAX_TRACKS as usize || self.next_number >= crate::MAX_TRACKS {
            self.refused_publications += 1;
            return Ok(());
        }
        // An engine that names a publication again means a new one.
        self.remove(origin.publication)?;
        self.tracks.insert(origin.publication, Track::new(origin));
        Ok(())
    }

    fn remove(&mut self, publication: PublicationId) -> Result<(), Fault> {
        let now_us = self.now_us;
        self.with_track(publication, |track, desk| track.finish(now_us, desk))?;
        if let Some(track) = self.tracks.remove(&publication) {
            let out_of_numbers = self.next_number >= crate::MAX_TRACKS && !track.has_file();
            self.refused_publications += u64::from(out_of_numbers);
            self.synchronise(track.participant());
        }
        Ok(())
    }

    /// Microphone and camera of one participant follow the smaller of their floors, if reports tie both.
    fn synchronise(&mut self, participant: ParticipantId) {
        let mut media: Vec<_> = self.tracks.values_mut().filter(|track| track.participant() == participant).collect();
        let floors: Vec<i64> = media.iter_mut().filter_map(|track| track.clock_mut().sender_floor_us()).collect();
        let shared = if floors.len() > 1 { floors.into_iter().min() } else { None };
        for track in media {
            track.clock_mut().sync_to(shared);
        }
    }

    /// Time goes on, by arrivals or by idling; it never goes back.
    fn advance(&mut self, now_us: i64) -> Result<(), Fault> {
        self.now_us = self.now_us.max(now_us);
        if self.now_us - self.ticked_us < TICK_US {
            return Ok(());
        }
        self.ticked_us = self.now_us;
        let now_us = self.now_us;
        let (tracks, mut desk) = self.split();
        for track in tracks.values_mut() {
            track.handle_time(now_us, &mut desk)?;
        }
        if self.now_us - self.synced_us >= SYNC_EVERY_US {
            self.round()?;
        }
        Ok(())
    }

    /// Once a second: names, counts and the disk.
    fn round(&mut self) -> Result<(), Fault> {
        self.synced_us = self.now_us;
        check_reserve(&self.spool, self.reserve_bytes)?;
        self.note_names()?;
        self.note_overload()?;
        for track in self.tracks.values_mut() {
            track.note_totals(&mut self.spool)?;
        }
        Ok(self.spool.sync()?)
    }

    fn note_names(&mut self) -> Result<(), Fault> {
        for (participant, display_name) in self.live.take_unwritten_names() {
            self.spool.note(&Fact::Participant { id: ParticipantName(participant), display_name })?;
        }
        Ok(())
    }

    fn note_overload(&mut self) -> Result<(), Fault> {
        let overload = (self.lost_items, self.refused_publications);
        if overload != self.overload_written {
            let (lost_items, refused_publications) = overload;
            self.spool.note(&Fact::Overload { lost_items, refused_publications })?;
            self.overload_written = overload;
        }
        Ok(())
    }

    fn with_track(
        &mut self,
        publication: PublicationId,
        act: impl FnOnce(&mut Track, &mut Desk<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (tracks, mut desk) = self.split();
        match tracks.get_mut(&publication) {
            Some(track) => act(track, &mut desk),
            None => Ok(()),
        }
    }

    fn split(&mut self) -> (&mut HashMap<PublicationId, Track>, Desk<'_>) {
        let desk = Desk {
            spool: &mut self.spool,
            live: &self.live,
            started_at: self.started_at,
            next_number: &mut self.next_number,
        };
        (&mut self.tracks, desk)
    }

    /// Microseconds after the start; negative for what arrived just before.
    fn on_clock(&self, at: Instant) -> i64 {
        match at.checked_duration_since(self.started) {
            Some(after) => after.as_micros() as i64,
            None => -(self.started.duration_since(at).as_micros() as i64),
        }
    }
}

/// Records until the tap closes, somebody asks to stop, or a fault. Blocks its thread.
pub(crate) fn run(begin: &Begin<'_>, live: &Arc<Live>, tap: &TapReceiver) -> Result<(), Fault> {
    let mut session = Session::begin(begin, Arc::clone(live))?;
    match record(&mut session, live, tap) {
        Ok(()) => session.finish(),
        Err(fault) => {
            session.abandon(fault.to_string());
            Err(fault)
        }
    }
}

fn record(session: &mut Session, live: &Live, tap: &TapReceiver) -> Result<(), Fault> {
    session.round()?;
    while !live.is_asked_to_stop() {
        match tap.recv(IDLE_WAIT) {
            Ok(Some(tapped)) => session.handle(tapped)?,
            Ok(None) => session.handle_idle(IDLE_WAIT)?,
            Err(engine::tap::TapClosed) => return Ok(()),
        }
    }
    // What was in the queue when somebody pressed stop still belongs to the recording.
    for _ in 0..TAP_CAPACITY {
        match tap.recv(Duration::ZERO) {
            Ok(Some(tapped)) => session.handle(tapped)?,
            Ok(None) | Err(engine::tap::TapClosed) => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
