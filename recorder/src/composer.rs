//! The composed recording: everybody's sound, and the picture of the screen or of whoever speaks, in one file.
//!
//! The sound is mixed here, from the packets in the order and at the times that the tracks have found for them, a moment after they came: on the
//! recording's clock, so it is as much in step with the pictures as the tracks are, and what came late or again is in it. The pictures are passed on as they
//! came. Both streams have no holes: where nobody is heard there is silence, where nobody is seen a black picture, because players that find none run on
//! and lose step.
//!
//! ```text
//! tracks: voice packets, in order --> Mix --tick, LAG later--> Opus or silence --\
//!         levels --> Speakers --dominant--> Stage                                 +--> MediaFile
//!         frames ---------------------------> shown? --> waiting, by time -------/
//! ```

use std::collections::VecDeque;

use bytes::Bytes;
use engine::id::{MediaKind, ParticipantId, PublicationId};
use mixer::listener::Wish;
use mixer::source::SourceFormat;
use mixer::{ListenerId, Micros, Mix, MixOptions, Owner, SourceId};

use crate::depacketise::Frame;
use crate::error::Fault;
use crate::id::ParticipantName;
use crate::manifest::{Kind, TrackCodec};
use crate::media_file::{Block, MediaFile};
use crate::speakers::{Speakers, Spell};
use crate::spool::{Fact, content_file};
use crate::stage::{Stage, Verdict};
use crate::track::{Desk, Origin, whole_ms};
use crate::webm::{self, Media};

/// Tracks of the file.
const PICTURE: u64 = 1;
const SOUND: u64 = 2;
/// How far the mix lies behind the clock: what a hole waits for its retransmission ([`crate::reorder::MAX_WAIT_US`]), and the thread's own step.
const LAG_US: i64 = 300_000;
/// A tick of the mix.
const TICK_US: i64 = 20_000;
/// What a tick gives was said so long before it: the mix's own delay for packets that come on time, less what players skip of the encoder's
/// look-ahead. A test measures it.
const MIX_DELAY_US: i64 = 25_000;
/// The mix counts time without a sign.
const MIX_EPOCH_US: i64 = 10_000_000;
/// The file waits so long for a first picture, which says what its pictures are.
const DECIDE_US: i64 = 1_000_000;
/// Farther behind than this the mix does not make up for what it missed: the machine stood still, and so did the meeting.
const CATCH_UP_US: i64 = 60_000_000;
/// A black picture is repeated so often while there is no other: players stall without pictures.
const BLANK_EVERY_US: i64 = 1_000_000;
/// Bytes of pictures that wait for their sound. Full means: they are written at once, ahead of it.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// 20 ms of silence in Opus (CELT, full band).
const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];
/// A black VP8 key frame, and its size.
const BLACK: &[u8] = include_bytes!("black.vp8");
const BLACK_SIZE: (u16, u16) = (320, 180);
/// The recorder is the mix's only listener.
const LISTENER: ListenerId = ListenerId(0);

/// A picture on its way into the file.
#[derive(Debug)]
struct Waiting {
    at_us: i64,
    key: bool,
    data: Bytes,
    /// The first of a new picture: whose, and what of them.
    begins: Option<(ParticipantId, Kind)>,
}

/// The composed recording.
#[derive(Debug)]
pub(crate) struct Composer {
    mix: Mix,
    stage: Stage,
    speakers: Speakers,
    /// What the first picture is, until the file is begun.
    first: Option<(TrackCodec, Media)>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    file: Option<(TrackCodec, MediaFile)>,
    /// The next tick of the mix.
    next_us: i64,
    picture_ms: i64,
    sound_ms: i64,
    blank_us: i64,
    is_blank: bool,
    foreign_pictures: u64,
    sound: Vec<u8>,
}

impl Composer {
    /// # Errors
    /// libopus finds no memory.
    pub(crate) fn new() -> Result<Self, Fault> {
        let mut mix = Mix::new(MixOptions::default()).map_err(|_| Fault::Internal)?;
        mix.listener_added(LISTENER, None, Wish::Packets).map_err(|_| Fault::Internal)?;
        Ok(Self {
            mix,
            stage: Stage::default(),
            speakers: Speakers::default(),
            first: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            file: None,
            next_us: 0,
            picture_ms: -1,
            sound_ms: -1,
            blank_us: i64::MIN / 2,
            is_blank: true,
            foreign_pictures: 0,
            sound: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, origin: &Origin, now_us: i64) {
        if origin.kind.media() == MediaKind::Audio {
            let format = SourceFormat { red_payload_type: None };
            // A mix that is full has thousands of voices already.
            let _ = self.mix.source_added(source(origin.publication), Owner(origin.participant.0), format);
            self.speakers.add(origin.publication, origin.participant);
        } else {
            self.stage.add(origin.publication, origin.participant, origin.kind, origin.codec, now_us);
        }
    }

    pub(crate) fn remove(&mut self, publication: PublicationId, desk: &mut Desk<'_>) -> Result<(), Fault> {
        self.mix.source_removed(source(publication));
        self.foreign_pictures += u64::from(self.stage.is_foreign(publication));
        self.stage.remove(publication);
        self.speakers.remove(publication).map_or(Ok(()), |spell| note_spell(spell, desk))
    }

    pub(crate) fn mute(&mut self, publication: PublicationId, muted: bool, now_us: i64) {
        self.stage.mute(publication, muted, now_us);
    }

    /// A packet of a voice came, at this time, in whatever order; `bytes` is the length of its payload.
    pub(crate) fn hear(&mut self, publication: PublicationId, arrival_us: i64, level: Option<u8>, bytes: usize) {
        self.speakers.hear(publication, arrival_us, level, bytes);
    }

    /// A packet of a voice in its order, and where it lies on the recording's clock.
    pub(crate) fn voice(&mut self, publication: PublicationId, at_us: i64, level: Option<u8>, packet: Bytes) {
        self.mix.packet(source(publication), on_mix(at_us), level, packet);
    }

    /// A picture of somebody.
    pub(crate) fn picture(&mut self, origin: &Origin, frame: &Frame, now_us: i64) {
        let begins = match self.stage.frame(origin.publication, frame.is_key(), frame.at_us, now_us) {
            Verdict::Aside => return,
            Verdict::Shown => None,
            Verdict::Changes => {
                if let (None, None, Some(media)) = (&self.file, &self.first, &frame.format) {
                    self.first = Some((origin.codec, media.clone()));
                    self.stage.settle(origin.codec);
                }
                Some((origin.participant, Kind::from(origin.kind)))
            }
        };
        self.waiting_bytes += frame.data.len();
        self.waiting.push_back(Waiting { at_us: frame.at_us, key: frame.is_key(), data: frame.data.clone(), begins });
    }

    /// Time passes: what is old enough is written. Returns the publication that should send a key frame.
    pub(crate) fn advance(&mut self, now_us: i64, desk: &mut Desk<'_>) -> Result<Option<PublicationId>, Fault> {
        let mut spells = Vec::new();
        self.speakers.tick(now_us, |spell| spells.push(spell));
        spells.into_iter().try_for_each(|spell| note_spell(spell, desk))?;
        self.write_until(now_us - LAG_US, now_us, desk)?;
        if self.waiting_bytes > MAX_WAITING_BYTES {
            self.write_pictures(i64::MAX, now_us, desk)?;
        }
        if let Some((_, file)) = &mut self.file
            && file.is_due(now_us)
        {
            commit(file, desk)?;
        }
        Ok(self.stage.choose(now_us, self.speakers.dominant()))
    }

    /// Nothing follows, or not for a while: everything that is held goes out.
    pub(crate) fn flush(&mut self, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        let mut spells = Vec::new();
        self.speakers.end_all(|spell| spells.push(spell));
        spells.into_iter().try_for_each(|spell| note_spell(spell, desk))?;
        if self.foreign_pictures > 0 {
            desk.spool.note(&Fact::Foreign { pictures: self.foreign_pictures })?;
        }
        if self.file.is_none() && now_us > MIX_DELAY_US {
            self.begin(desk)?;
        }
        self.write_until(now_us, now_us, desk)?;
        self.write_pictures(i64::MAX, now_us, desk)?;
        if let Some((_, file)) = &mut self.file {
            commit(file, desk)?;
        }
        self.stage.restart();
        Ok(())
    }

    /// Nothing follows at all: who is still here and could not be shown counts, too.
    pub(crate) fn finish(&mut self, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        self.foreign_pictures += self.stage.foreign() as u64;
        self.flush(now_us, desk)
    }

    /// Nothing can be written for a while. What is held waits; what comes then begins anew.
    pub(crate) fn suspend(&mut self) {
        self.stage.restart();
    }

    fn write_until(&mut self, until_us: i64, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        if self.file.is_none() {
            if self.first.is_none() && until_us < DECIDE_US - LAG_US {
                return Ok(());
            }
            self.begin(desk)?;
        }
        if until_us - self.next_us > CATCH_UP_US {
            self.next_us = until_us;
        }
        while self.next_us <= until_us {
            self.tick(now_us, desk)?;
        }
        Ok(())
    }

    fn begin(&mut self, desk: &mut Desk<'_>) -> Result<(), Fault> {
        let (width, height) = BLACK_SIZE;
        let (codec, media) = self.first.take().unwrap_or((TrackCodec::Vp8, Media::Vp8 { width, height }));
        self.stage.settle(codec);
        let head = webm::head(&[(PICTURE, media), (SOUND, Media::Opus)], desk.started_at);
        desk.spool.note(&Fact::Content { codec })?;
        desk.live.begin_content(codec, &head);
        self.file = Some((codec, MediaFile::new(content_file(codec), head)));
        Ok(())
    }

    fn tick(&mut self, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        let outputs = self.mix.tick(on_mix(self.next_us));
        self.sound.clear();
        self.sound.extend_from_slice(outputs.shared().map_or(&SILENCE, |packet| packet.payload));
        let at_us = self.next_us - MIX_DELAY_US;
        self.next_us += TICK_US;
        if at_us < 0 {
            return Ok(());
        }
        self.write_pictures(at_us, now_us, desk)?;
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        self.sound_ms = whole_ms(at_us).max(self.sound_ms + 1);
        let block = Block { track: SOUND, at_ms: self.sound_ms, key: true, video_key: false, data: &self.sound };
        push(file, block, now_us, desk)
    }

    /// Writes the pictures up to that time, and a black one where there is none.
    fn write_pictures(&mut self, until_us: i64, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        while let Some(next) = self.waiting.pop_front_if(|next| next.at_us <= until_us) {
            self.waiting_bytes -= next.data.len();
            if let Some((participant, kind)) = next.begins {
                self.note_shown(Some((participant, kind)), next.at_us, desk)?;
                self.is_blank = false;
            }
            self.write_picture(next.at_us, next.key, &next.data, now_us, desk)?;
        }
        let is_empty = self.waiting.is_empty() && self.stage.shown().is_none();
        let can_blank = matches!(self.file, Some((TrackCodec::Vp8, _)));
        if is_empty && can_blank && until_us < i64::MAX && until_us - self.blank_us >= BLANK_EVERY_US {
            if !self.is_blank {
                self.note_shown(None, until_us, desk)?;
                self.is_blank = true;
            }
            self.blank_us = until_us;
            self.write_picture(until_us, true, &Bytes::from_static(BLACK), now_us, desk)?;
        }
        Ok(())
    }

    fn write_picture(
        &mut self,
        at_us: i64,
        key: bool,
        data: &Bytes,
        now_us: i64,
        desk: &mut Desk<'_>,
    ) -> Result<(), Fault> {
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        // Equal times would be an error to players; a change of picture can bring them.
        self.picture_ms = whole_ms(at_us).max(self.picture_ms + 1);
        push(file, Block { track: PICTURE, at_ms: self.picture_ms, key, video_key: key, data }, now_us, desk)
    }

    fn note_shown(&self, who: Option<(ParticipantId, Kind)>, at_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
        let (id, kind) = who.unzip();
        let at_ms = whole_ms(at_us) as u64;
        Ok(desk.spool.note(&Fact::Shown { id: id.map(ParticipantName), kind, at_ms })?)
    }
}

fn push(file: &mut MediaFile, block: Block<'_>, now_us: i64, desk: &mut Desk<'_>) -> Result<(), Fault> {
    if let Some(written) = file.push(block, now_us, desk.spool)? {
        desk.live.grow_content(written);
    }
    Ok(())
}

fn commit(file: &mut MediaFile, desk: &mut Desk<'_>) -> Result<(), Fault> {
    if let Some(written) = file.commit(desk.spool)? {
        desk.live.grow_content(written);
    }
    Ok(())
}

fn note_spell(spell: Spell, desk: &mut Desk<'_>) -> Result<(), Fault> {
    let Spell { participant, from_us, to_us } = spell;
    let (from_ms, to_ms) = (whole_ms(from_us) as u64, whole_ms(to_us) as u64);
    Ok(desk.spool.note(&Fact::Spoke { id: ParticipantName(participant), from_ms, to_ms })?)
}

fn source(publication: PublicationId) -> SourceId {
    SourceId(publication.0.into())
}

fn on_mix(at_us: i64) -> Micros {
    Micros(at_us.saturating_add(MIX_EPOCH_US).max(0) as u64)
}
