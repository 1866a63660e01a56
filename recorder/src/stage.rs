//! Whose picture the composed recording shows.
//!
//! The newest shared screen, else the camera of whoever speaks, else whatever was shown before. A change waits for a key frame of the new picture,
//! which is asked for; until it comes the old picture goes on, so that nothing is ever shown that cannot be decoded. Of one codec only, since a
//! file's track has one. Time is an argument, on the recording's clock.
//!
//! ```text
//! speakers: dominant --choose--> wanted --key frame--> shown          ask: which publication shall send a key frame
//! frame(publication) -----------------------------------^--> Verdict: write it, write it as the new picture, or not
//! ```

use std::collections::BTreeMap;

use engine::id::{ParticipantId, PublicationId, PublicationKind};

use crate::manifest::TrackCodec;

/// A camera is shown for at least this long, unless it goes away.
const HOLD_US: i64 = 2_000_000;
/// A picture that sent nothing for so long is not waited for. Shared screens that stand still send less often than cameras.
const STALE_CAMERA_US: i64 = 3_000_000;
const STALE_SCREEN_US: i64 = 60_000_000;
/// A wish for a key frame is repeated after this.
const ASK_AGAIN_US: i64 = 1_000_000;
/// What is shown gets a key frame so often at least: places to jump to in the recording.
const KEY_FRAME_EVERY_US: i64 = 10_000_000;

#[derive(Clone, Copy, Debug)]
struct Picture {
    participant: ParticipantId,
    kind: PublicationKind,
    codec: TrackCodec,
    muted: bool,
    /// When it last sent anything; when it was added or unmuted, before.
    seen_us: i64,
    order: u64,
}

impl Picture {
    fn is_live(&self, now_us: i64) -> bool {
        let stale_us = if self.kind == PublicationKind::Screen { STALE_SCREEN_US } else { STALE_CAMERA_US };
        !self.muted && now_us - self.seen_us < stale_us
    }
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It belongs to what is shown.
    Shown,
    /// It is the first of a new picture.
    Changes,
    /// It is not shown.
    Aside,
}

#[derive(Clone, Copy, Debug)]
struct Shown {
    publication: PublicationId,
    since_us: i64,
    key_us: i64,
}

/// The pictures of a meeting, and the one that is shown.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pictures: BTreeMap<PublicationId, Picture>,
    /// Of the file, once it has one.
    codec: Option<TrackCodec>,
    shown: Option<Shown>,
    wanted: Option<PublicationId>,
    asked_us: Option<i64>,
    added: u64,
}

impl Stage {
    pub(crate) fn add(
        &mut self,
        publication: PublicationId,
        participant: ParticipantId,
        kind: PublicationKind,
        codec: TrackCodec,
        now_us: i64,
    ) {
        self.added += 1;
        let order = self.added;
        let picture = Picture { participant, kind, codec, muted: false, seen_us: now_us, order };
        self.pictures.insert(publication, picture);
    }

    pub(crate) fn remove(&mut self, publication: PublicationId) {
        self.pictures.remove(&publication);
        self.leave(publication);
    }

    pub(crate) fn mute(&mut self, publication: PublicationId, muted: bool, now_us: i64) {
        if let Some(picture) = self.pictures.get_mut(&publication) {
            picture.muted = muted;
            picture.seen_us = now_us;
        }
        if muted {
            self.leave(publication);
        }
    }

    /// Nothing that comes refers to what was shown before: the recording paused, or could not write.
    pub(crate) fn restart(&mut self) {
        self.shown = None;
        self.wanted = None;
        self.asked_us = None;
    }

    /// The file is of this codec from now on; other pictures are not shown.
    pub(crate) fn settle(&mut self, codec: TrackCodec) {
        self.codec.get_or_insert(codec);
    }

    /// Who is shown.
    pub(crate) fn shown(&self) -> Option<(PublicationId, ParticipantId, PublicationKind)> {
        let publication = self.shown?.publication;
        let picture = self.pictures.get(&publication)?;
        Some((publication, picture.participant, picture.kind))
    }

    /// Pictures that can never be shown, for the manifest.
    pub(crate) fn is_foreign(&self, publication: PublicationId) -> bool {
        let picture = self.pictures.get(&publication);
        self.codec.is_some_and(|codec| picture.is_some_and(|picture| picture.codec != codec))
    }

    /// How many of those that are here can never be shown.
    pub(crate) fn foreign(&self) -> usize {
        self.pictures.keys().filter(|publication| self.is_foreign(**publication)).count()
    }

    /// Decides who should be seen, and returns the publication whose key frame is wanted now.
    pub(crate) fn choose(&mut self, now_us: i64, dominant: Option<ParticipantId>) -> Option<PublicationId> {
        if let Some(shown) = self.shown
            && self.pictures.get(&shown.publication).is_none_or(|picture| !picture.is_live(now_us))
        {
            self.shown = None;
        }
        let desired = self.desired(now_us, dominant);
        let is_new = desired.is_some() && desired != self.shown.map(|shown| shown.publication);
        let wanted = desired.filter(|_| is_new && self.may_change(now_us, desired));
        if wanted != self.wanted {
            self.wanted = wanted;
            self.asked_us = None;
        }
        let overdue =
            self.shown.filter(|shown| now_us - shown.key_us >= KEY_FRAME_EVERY_US).map(|shown| shown.publication);
        let ask = self.wanted.or(overdue)?;
        if self.asked_us.is_some_and(|asked| now_us - asked < ASK_AGAIN_US) {
            return None;
        }
        self.asked_us = Some(now_us);
        Some(ask)
    }

    /// A whole frame of a picture.
    pub(crate) fn frame(&mut self, publication: PublicationId, key: bool, at_us: i64, now_us: i64) -> Verdict {
        if let Some(picture) = self.pictures.get_mut(&publication) {
            picture.seen_us = now_us;
        }
        // Whoever's it is, it is better than none: where speakers take turns, the wanted one may never be the one that comes.
        let is_first = self.shown.is_none() && !self.is_foreign(publication);
        if key && (is_first || self.wanted == Some(publication)) {
            self.wanted = None;
            self.asked_us = None;
            self.shown = Some(Shown { publication, since_us: at_us, key_us: at_us });
            return Verdict::Changes;
        }
        match &mut self.shown {
            Some(shown) if shown.publication == publication => {
                if key {
                    shown.key_us = at_us;
                }
                Verdict::Shown
            }
            _ => Verdict::Aside,
        }
    }

    fn desired(&self, now_us: i64, dominant: Option<ParticipantId>) -> Option<PublicationId> {
        let live = || {
            self.pictures
                .iter()
                .filter(|(_, picture)| picture.is_live(now_us) && self.codec.is_none_or(|codec| codec == picture.codec))
        };
        let screen = live().filter(|(_, picture)| picture.kind == PublicationKind::Screen).max_by_key(|(_, p)| p.order);
        let speaker = || live().find(|(_, picture)| Some(picture.participant) == dominant);
        let present = || live().find(|(id, _)| Some(**id) == self.shown.map(|shown| shown.publication));
        let any = || live().min_by_key(|(_, picture)| picture.order);
        screen.or_else(speaker).or_else(present).or_else(any).map(|(id, _)| *id)
    }

    fn may_change(&self, now_us: i64, to: Option<PublicationId>) -> bool {
        let is_screen =
            |id: PublicationId| self.pictures.get(&id).is_some_and(|picture| picture.kind == PublicationKind::Screen);
        match self.shown {
            None => true,
            Some(shown) => {
                now_us - shown.since_us >= HOLD_US || to.is_some_and(is_screen) || is_screen(shown.publication)
            }
        }
    }

    fn leave(&mut self, publication: PublicationId) {
        self.shown = self.shown.filter(|shown| shown.publication != publication);
        if self.wanted == Some(publication) {
            self.wanted = None;
            self.asked_us = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: ParticipantId = ParticipantId(10);
    const BOB: ParticipantId = ParticipantId(20);
    const ADAS: PublicationId = PublicationId(1);
    const BOBS: PublicationId = PublicationId(2);
    const SCREEN: PublicationId = PublicationId(3);

    fn stage() -> Stage {
        let mut stage = Stage::default();
        stage.add(ADAS, ADA, PublicationKind::Camera, TrackCodec::Vp8, 0);
        stage.add(BOBS, BOB, PublicationKind::Camera, TrackCodec::Vp8, 0);
        stage
    }

    /// Ada is shown from 0 on.
    fn showing_ada() -> Stage {
        let mut stage = stage();
        assert_eq!(stage.choose(0, Some(ADA)), Some(ADAS));
        assert_eq!(stage.frame(ADAS, true, 0, 0), Verdict::Changes);
        stage
    }

    fn keep_alive(stage: &mut Stage, now_us: i64) {
        for publication in [ADAS, BOBS] {
            stage.frame(publication, false, now_us, now_us);
        }
    }

    #[test]
    fn a_change_waits_for_a_key_frame_and_the_old_picture_goes_on_until_then() {
        let mut stage = showing_ada();
        keep_alive(&mut stage, 2_500_000);
        assert_eq!(stage.choose(2_500_000, Some(BOB)), Some(BOBS));
        assert_eq!(stage.frame(BOBS, false, 2_510_000, 2_510_000), Verdict::Aside);
        assert_eq!(stage.frame(ADAS, false, 2_520_000, 2_520_000), Verdict::Shown);
        assert_eq!(stage.choose(2_600_000, Some(BOB)), None, "asked a moment ago");
        assert_eq!(stage.choose(3_500_000, Some(BOB)), Some(BOBS), "it did not come");
        assert_eq!(stage.frame(BOBS, true, 3_600_000, 3_600_000), Verdict::Changes);
        assert_eq!(stage.frame(ADAS, false, 3_620_000, 3_620_000), Verdict::Aside);
        assert_eq!(stage.shown().map(|(_, who, _)| who), Some(BOB));
    }

    #[test]
    fn while_nothing_is_shown_any_key_frame_will_do_though_speakers_take_turns() {
        let mut stage = stage();
        let mut asked = Vec::new();
        for tick in 0..40 {
            let now = tick * 50_000;
            let dominant = if tick / 10 % 2 == 0 { ADA } else { BOB };
            // A key frame comes when the turn of whoever was asked is over.
            asked.retain(|&(publication, at): &(PublicationId, i64)| {
                if now - at >= 600_000 {
                    stage.frame(publication, true, now, now);
                }
                now - at < 600_000
            });
            keep_alive(&mut stage, now);
            asked.extend(stage.choose(now, Some(dominant)).map(|publication| (publication, now)));
        }
        assert!(stage.shown().is_some());
    }

    #[test]
    fn a_camera_is_held_for_two_seconds_but_a_screen_comes_and_goes_at_once() {
        let mut stage = showing_ada();
        keep_alive(&mut stage, 1_000_000);
        assert_eq!(stage.choose(1_000_000, Some(BOB)), None);
        stage.add(SCREEN, BOB, PublicationKind::Screen, TrackCodec::Vp8, 1_100_000);
        assert_eq!(stage.choose(1_100_000, Some(ADA)), Some(SCREEN));
        assert_eq!(stage.frame(SCREEN, true, 1_200_000, 1_200_000), Verdict::Changes);
        keep_alive(&mut stage, 4_000_000);
        assert_eq!(stage.choose(4_000_000, Some(ADA)), None, "whoever speaks, the screen stays");
        stage.remove(SCREEN);
        assert_eq!(stage.shown(), None);
        assert_eq!(stage.choose(4_100_000, Some(ADA)), Some(ADAS));
    }

    #[test]
    fn a_muted_or_silent_camera_gives_way() {
        let mut stage = showing_ada();
        stage.mute(ADAS, true, 500_000);
        assert_eq!(
            stage.choose(500_000, Some(ADA)),
            Some(BOBS),
            "the speaker has no picture; somebody's is better than none"
        );
        stage.frame(BOBS, true, 600_000, 600_000);
        assert_eq!(stage.choose(4_000_000, None), None, "Bob sends nothing any more, and Ada is muted");
        assert_eq!(stage.shown(), None);
        stage.mute(ADAS, false, 4_100_000);
        assert_eq!(stage.choose(4_100_000, None), Some(ADAS));
    }

    #[test]
    fn pictures_of_another_codec_are_never_shown() {
        let mut stage = Stage::default();
        stage.settle(TrackCodec::Opus);
        stage.add(ADAS, ADA, PublicationKind::Camera, TrackCodec::Vp8, 0);
        assert_eq!(stage.choose(0, Some(ADA)), None);
        assert!(stage.is_foreign(ADAS));
    }

    #[test]
    fn what_is_shown_is_asked_for_a_key_frame_now_and_then() {
        let mut stage = showing_ada();
        let mut asked = Vec::new();
        for tenth in 1..=250 {
            let now = tenth * 100_000;
            keep_alive(&mut stage, now);
            if stage.choose(now, Some(ADA)).is_some() {
                asked.push(tenth);
                stage.frame(ADAS, true, now, now);
            }
        }
        assert_eq!(asked, [100, 200]);
    }
}
