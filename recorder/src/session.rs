//! One running recording: items off the tap become bytes in the spool.
//!
//! [`Session`] is the part that decides, with time as an argument; [`run`] is the thread around it.
//!
//! ```text
//! TapReceiver --recv--> Session --by publication--> Track, Track, ... --> Spool
//!                         |                            \--> Composer ------^
//!                         \-- breaks: paused, no disk space; the recording's clock stands still
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::id::{ParticipantId, PublicationId};
use engine::tap::{TAP_CAPACITY, TapItem, TapReceiver, Tapped};
use time::OffsetDateTime;

use crate::composer::Composer;
use crate::error::Fault;
use crate::id::{ParticipantName, RecordingId};
use crate::live::{Live, Note};
use crate::manifest::{Break, BreakCause, Consent, Part, TrackCodec};
use crate::spool::{Fact, SYNC_EVERY_US, Spool, check_reserve};
use crate::track::{Desk, Origin, Track, whole_ms};

/// How long the thread waits for an item before it looks at the time and at whether it shall stop.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// How long items gather before the thread empties the tap: waking for each of them costs more than writing it does. Far less than a tap holds
/// ([`TAP_CAPACITY`]) or anybody waits for.
const GATHER: Duration = Duration::from_millis(50);
/// Holes and old clusters are looked at so often, on the tap's clock.
const TICK_US: i64 = 50_000;
/// A full disk is looked at again so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// It has room again when so much more than the reserve is free: a recording that stops and goes on every second helps nobody.
const ROOM_BYTES: u64 = 16 << 20;

/// What a recording needs to begin.
pub(crate) struct Begin<'a> {
    pub(crate) root: &'a Path,
    pub(crate) recording: RecordingId,
    pub(crate) subject: &'a str,
    pub(crate) part: Part,
    /// Timestamp zero, on both clocks.
    pub(crate) started: Instant,
    pub(crate) started_at: OffsetDateTime,
    /// Free bytes that stay free.
    pub(crate) reserve_bytes: u64,
}

/// What a session tells while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing is written any more, as was wished.
    Paused,
    /// It is about to be written again.
    Resumed,
    /// The disk is full: nothing is written until there is room.
    DiskFull,
    /// A picture of this publication is wanted that stands alone.
    WantsKeyFrame(PublicationId),
}

/// The recording.
pub(crate) struct Session {
    started: Instant,
    started_at: OffsetDateTime,
    reserve_bytes: u64,
    spool: Spool,
    live: Arc<Live>,
    tracks: HashMap<PublicationId, Track>,
    composer: Composer,
    next_number: u32,
    now_us: i64,
    ticked_us: i64,
    synced_us: i64,
    /// How long the recording's clock has stood still in all.
    stood_us: i64,
    /// Where it stood in the last break.
    resumed_us: i64,
    open_break: Option<OpenBreak>,
    lost_items: u64,
    refused_publications: u64,
    overload_written: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct OpenBreak {
    cause: BreakCause,
    since: Instant,
    looked: Instant,
}

impl Session {
    pub(crate) fn begin(begin: &Begin<'_>, live: Arc<Live>) -> Result<Self, Fault> {
        let first = Fact::Started {
            recording: begin.recording,
            at: begin.started_at,
            tenant: live.tenant.clone(),
            subject: begin.subject.to_owned(),
            part: begin.part,
        };
        let spool = Spool::create(begin.root, begin.recording, &first, live.lengths.clone())?;
        Ok(Self {
            started: begin.started,
            started_at: begin.started_at,
            reserve_bytes: begin.reserve_bytes,
            spool,
            live,
            tracks: HashMap::new(),
            composer: Composer::new()?,
            next_number: 0,
            now_us: 0,
            ticked_us: 0,
            synced_us: 0,
            stood_us: 0,
            resumed_us: i64::MIN,
            open_break: None,
            lost_items: 0,
            refused_publications: 0,
            overload_written: (0, 0),
        })
    }

    /// Takes one item.
    pub(crate) fn handle(&mut self, tapped: Tapped, tell: &mut dyn FnMut(Told)) -> Result<(), Fault> {
        if tapped.lost_before > 0 {
            self.lost_items += tapped.lost_before;
            // Whose packets they were is not known.
            self.tracks.values_mut().for_each(Track::miss);
        }
        match tapped.item {
            TapItem::Added { publication, participant, kind, codec } => {
                self.add(Origin { publication, participant, kind, codec: TrackCodec::of(codec) })?;
            }
            TapItem::Packet { publication, arrival, level, packet } => {
                // What comes in a break, or came before its end, is not recorded.
                let arrival_us = self.on_clock(arrival);
                if self.open_break.is_some() || arrival_us < self.resumed_us {
                    return Ok(());
                }
                self.advance(arrival_us, tell)?;
                self.with_track(publication, |track, composer, desk| {
                    track.handle_packet(packet, level, arrival_us, composer, desk)
                })?;
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
                self.with_track(publication, |track, composer, desk| track.handle_mute(muted, now_us, composer, desk))?;
            }
            TapItem::Removed { publication } => self.remove(publication)?,
        }
        Ok(())
    }

    /// Whether [`Self::handle_time`] must be called although items come: a break begins or may end.
    pub(crate) fn looks_at_time(&self) -> bool {
        self.open_break.is_some() || self.live.is_asked_to_pause()
    }

    /// Nothing came for `idle`, until `now`; or [`Self::looks_at_time`].
    pub(crate) fn handle_time(
        &mut self,
        now: Instant,
        idle: Duration,
        tell: &mut dyn FnMut(Told),
    ) -> Result<(), Fault> {
        if let Some(open) = self.open_break {
            return self.look_at_break(open, now, tell);
        }
        if self.live.is_asked_to_pause() {
            return self.pause(now, tell);
        }
        let now_us = self.on_clock(now).max(self.now_us + idle.as_micros() as i64);
        self.advance(now_us, tell)
    }

    /// A write failed. A full disk is a break like any other; everything else ends the recording.
    pub(crate) fn recover(&mut self, fault: Fault, now: Instant, tell: &mut dyn FnMut(Told)) -> Result<(), Fault> {
        if !fault.is_full_disk() {
            return Err(fault);
        }
        if self.open_break.is_none() {
            self.tracks.values_mut().for_each(Track::suspend);
            self.composer.suspend();
            self.open_break = Some(OpenBreak { cause: BreakCause::DiskFull, since: now, looked: now });
            metrics::counter!("recorder_disk_full_total").increment(1);
            tell(Told::DiskFull);
        }
        Ok(())
    }

    /// Writes what is held and the last line, and waits for the disk. What a full disk does not take is given up: a recording that is whole up to a
    /// break has not failed because somebody pressed stop before there was room again.
    pub(crate) fn finish(mut self, now: Instant) -> Result<(), Fault> {
        unless_full(self.write_rest(now))?;
        unless_full(self.spool.note(&Fact::Ended { failure: None }).map_err(Fault::from))?;
        unless_full(self.spool.close().map_err(Fault::from))
    }

    /// Ends after a fault: writes what still can be written.
    fn abandon(mut self, now: Instant, failure: String) {
        let ended = self.write_rest(now);
        // The reason goes in even when nothing else did: a line is small.
        let noted = self.spool.note(&Fact::Ended { failure: Some(failure) });
        let closed = self.spool.close();
        if let Err(fault) = ended.and(noted.map_err(Fault::from)).and(closed.map_err(Fault::from)) {
            tracing::debug!(%fault, "the end of a failed recording could not be written either");
        }
    }

    fn pause(&mut self, now: Instant, tell: &mut dyn FnMut(Told)) -> Result<(), Fault> {
        let now_us = self.on_clock(now);
        self.advance(now_us, tell)?;
        let now_us = self.now_us;
        let (tracks, composer, mut desk) = self.split();
        for track in tracks.values_mut() {
            track.pause(now_us, composer, &mut desk)?;
        }
        composer.flush(now_us, &mut desk)?;
        self.open_break = Some(OpenBreak { cause: BreakCause::Paused, since: now, looked: now });
        self.round()?;
        tell(Told::Paused);
        Ok(())
    }

    fn look_at_break(&mut self, open: OpenBreak, now: Instant, tell: &mut dyn FnMut(Told)) -> Result<(), Fault> {
        match open.cause {
            BreakCause::Paused => {
                self.take_notes()?;
                if self.live.is_asked_to_pause() {
                    return Ok(());
                }
            }
            BreakCause::DiskFull => {
                if now.saturating_duration_since(open.looked) < LOOK_AGAIN {
                    return Ok(());
                }
                self.open_break = Some(OpenBreak { looked: now, ..open });
                if check_reserve(&self.spool, self.reserve_bytes.saturating_add(ROOM_BYTES)).is_err() {
                    return Ok(());
                }
            }
        }
        tell(Told::Resumed);
        self.end_break(now)?;
        let now_us = self.now_us;
        for track in self.tracks.values_mut() {
            track.resume();
        }
        let wishes: Vec<_> = self.asking(now_us);
        wishes.into_iter().for_each(|publication| tell(Told::WantsKeyFrame(publication)));
        Ok(())
    }

    /// The recording's clock goes on.
    fn end_break(&mut self, now: Instant) -> Result<(), Fault> {
        let Some(OpenBreak { cause, since, .. }) = self.open_break.take() else { return Ok(()) };
        let at_ms = whole_ms(self.now_us) as u64;
        let (from, to) = (self.wall(since), self.wall(now));
        self.stood_us += now.saturating_duration_since(since).as_micros() as i64;
        // The moment since the last packet before it belongs to the break.
        self.stood_us = self.stood_us.max(self.on_wall_clock(now) - self.now_us);
        self.resumed_us = self.now_us;
        Ok(self.spool.note(&Fact::Break(Break { at_ms, from, to, cause }))?)
    }

    fn wall(&self, at: Instant) -> OffsetDateTime {
        self.started_at + at.saturating_duration_since(self.started)
    }

    /// Writes what is held and what is known, each though the other may fail: the journal has room of its own.
    fn write_rest(&mut self, now: Instant) -> Result<(), Fault> {
        let held = self.finish_media().or_else(|fault| self.give_up(fault, now));
        let known = self.end_break(now).and_then(|()| self.note_overload()).and_then(|()| self.take_notes());
        held.and(known)
    }

    /// What is held finds no room. If that shows only now, the break is listed as one without length.
    fn give_up(&mut self, fault: Fault, now: Instant) -> Result<(), Fault> {
        self.recover(fault, now, &mut |_| ())?;
        self.tracks.values_mut().try_for_each(|track| track.note_totals(&mut self.spool))
    }

    /// Each file takes what its disk takes: where one finds no room, a smaller one may.
    fn finish_media(&mut self) -> Result<(), Fault> {
        let mut full = Ok(());
        let publications: Vec<_> = self.tracks.keys().copied().collect();
        for publication in publications {
            match self.finish_track(publication) {
                Err(fault) if fault.is_full_disk() => full = Err(fault),
                other => other?,
            }
        }
        let now_us = self.now_us;
        let (_, composer, mut desk) = self.split();
        composer.finish(now_us, &mut desk)?;
        full
    }

    fn add(&mut self, origin: Origin) -> Result<(), Fault> {
        // Those without a file yet count as well: each holds a buffer.
        if self.tracks.len() >= crate::MAX_TRACKS as usize || self.next_number >= crate::MAX_TRACKS {
            self.refused_publications += 1;
            return Ok(());
        }
        // An engine that names a publication again means a new one.
        self.remove(origin.publication)?;
        self.composer.add(&origin, self.now_us);
        self.tracks.insert(origin.publication, Track::new(origin));
        Ok(())
    }

    fn remove(&mut self, publication: PublicationId) -> Result<(), Fault> {
        self.finish_track(publication)?;
        let (_, composer, mut desk) = self.split();
        composer.remove(publication, &mut desk)
    }

    fn finish_track(&mut self, publication: PublicationId) -> Result<(), Fault> {
        let now_us = self.now_us;
        self.with_track(publication, |track, composer, desk| track.finish(now_us, composer, desk))?;
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
    fn advance(&mut self, now_us: i64, tell: &mut dyn FnMut(Told)) -> Result<(), Fault> {
        self.now_us = self.now_us.max(now_us);
        if self.now_us - self.ticked_us < TICK_US {
            return Ok(());
        }
        self.ticked_us = self.now_us;
        let now_us = self.now_us;
        let (tracks, composer, mut desk) = self.split();
        for track in tracks.values_mut() {
            track.handle_time(now_us, composer, &mut desk)?;
        }
        let shown = composer.advance(now_us, &mut desk)?;
        let wishes = self.asking(now_us);
        wishes.into_iter().chain(shown).for_each(|publication| tell(Told::WantsKeyFrame(publication)));
        self.take_notes()?;
        if self.now_us - self.synced_us >= SYNC_EVERY_US {
            self.round()?;
        }
        Ok(())
    }

    fn asking(&mut self, now_us: i64) -> Vec<PublicationId> {
        let tracks = self.tracks.iter_mut();
        tracks.filter_map(|(publication, track)| track.asks_for_key(now_us).then_some(*publication)).collect()
    }

    /// Once a second: counts and the disk.
    fn round(&mut self) -> Result<(), Fault> {
        self.synced_us = self.now_us;
        check_reserve(&self.spool, self.reserve_bytes)?;
        self.take_notes()?;
        self.note_overload()?;
        for track in self.tracks.values_mut() {
            track.note_totals(&mut self.spool)?;
        }
        Ok(self.spool.sync()?)
    }

    fn take_notes(&mut self) -> Result<(), Fault> {
        let at_ms = whole_ms(self.now_us) as u64;
        while let Some(note) = self.live.take_note() {
            self.spool.note(&match note {
                Note::Joined { participant, display_name } => {
                    Fact::Participant { id: ParticipantName(participant), display_name, at_ms }
                }
                Note::Left { participant } => Fact::Left { id: ParticipantName(participant), at_ms },
                Note::Consent { participant, given, at } => {
                    Fact::Consent(Consent { participant: ParticipantName(participant), given, at })
                }
                Note::Reaction { participant, reaction } => {
                    Fact::Reaction { id: ParticipantName(participant), reaction, at_ms }
                }
            })?;
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
        act: impl FnOnce(&mut Track, &mut Composer, &mut Desk<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (tracks, composer, mut desk) = self.split();
        match tracks.get_mut(&publication) {
            Some(track) => act(track, composer, &mut desk),
            None => Ok(()),
        }
    }

    fn split(&mut self) -> (&mut HashMap<PublicationId, Track>, &mut Composer, Desk<'_>) {
        let desk = Desk {
            spool: &mut self.spool,
            live: &self.live,
            started_at: self.started_at,
            next_number: &mut self.next_number,
        };
        (&mut self.tracks, &mut self.composer, desk)
    }

    /// Microseconds on the recording's clock, which stands still in breaks.
    fn on_clock(&self, at: Instant) -> i64 {
        self.on_wall_clock(at) - self.stood_us
    }

    /// Microseconds after the start; negative for what arrived just before.
    fn on_wall_clock(&self, at: Instant) -> i64 {
        match at.checked_duration_since(self.started) {
            Some(after) => after.as_micros() as i64,
            None => -(self.started.duration_since(at).as_micros() as i64),
        }
    }
}

/// Every fault but a full disk's.
fn unless_full(done: Result<(), Fault>) -> Result<(), Fault> {
    match done {
        Err(fault) if fault.is_full_disk() => {
            tracing::debug!(%fault, "the end of a recording could not be written");
            Ok(())
        }
        other => other,
    }
}

/// Records until the tap closes, somebody asks to stop, or a fault. Blocks its thread.
pub(crate) fn run(
    begin: &Begin<'_>,
    live: &Arc<Live>,
    tap: &TapReceiver,
    tell: &mut dyn FnMut(Told),
) -> Result<(), Fault> {
    let mut session = Session::begin(begin, Arc::clone(live))?;
    match record(&mut session, live, tap, tell) {
        Ok(()) => session.finish(Instant::now()),
        Err(fault) => {
            session.abandon(Instant::now(), fault.to_string());
            Err(fault)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own that has nothing to do until packets have gathered")]
fn record(session: &mut Session, live: &Live, tap: &TapReceiver, tell: &mut dyn FnMut(Told)) -> Result<(), Fault> {
    session.round().or_else(|fault| session.recover(fault, Instant::now(), tell))?;
    while !live.is_asked_to_stop() {
        match tap.recv(IDLE_WAIT) {
            // Time goes on by what comes: by the clock, what waits in the queue would be given up as lost.
            Ok(Some(tapped)) => take(session, tapped, tell)?,
            Ok(None) => {
                let idle = session.handle_time(Instant::now(), IDLE_WAIT, tell);
                idle.or_else(|fault| session.recover(fault, Instant::now(), tell))?;
                continue;
            }
            Err(engine::tap::TapClosed) => return Ok(()),
        }
        drain(session, tap, tell)?;
        std::thread::sleep(GATHER);
    }
    // What was in the queue when somebody pressed stop still belongs to the recording.
    drain(session, tap, tell)
}

/// Takes what waits in the tap, and not what comes meanwhile for ever: somebody may want to stop.
fn drain(session: &mut Session, tap: &TapReceiver, tell: &mut dyn FnMut(Told)) -> Result<(), Fault> {
    for _ in 0..TAP_CAPACITY {
        match tap.try_recv() {
            Ok(Some(tapped)) => take(session, tapped, tell)?,
            // A tap that is closed is found so again by who waits for it.
            Ok(None) | Err(engine::tap::TapClosed) => break,
        }
    }
    Ok(())
}

fn take(session: &mut Session, tapped: Tapped, tell: &mut dyn FnMut(Told)) -> Result<(), Fault> {
    let done = session.handle(tapped, tell).and_then(|()| {
        if session.looks_at_time() { session.handle_time(Instant::now(), Duration::ZERO, tell) } else { Ok(()) }
    });
    done.or_else(|fault| session.recover(fault, Instant::now(), tell))
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
