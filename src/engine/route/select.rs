//! Which publications fill the slots of one receiver, when there are more people than slots.
//!
//! Pure functions from ranked candidates to assignments. Two rules above all: whoever is in a slot and still wanted stays in
//! *that* slot, and a voice keeps its slot while it speaks, unless so many are clearly louder ([`super::loudest`]).
//!
//! ```text
//! candidates (not the receiver's own, not muted) -> rank_voices / rank_pictures -> place -> slot assignments
//! ```

use std::cmp::Reverse;

use smallvec::SmallVec;

use crate::clock::Micros;
use crate::id::PublicationId;

/// A voice that may fill an audio slot.
#[derive(Clone, Copy, Debug)]
pub struct VoiceCandidate {
    /// Which publication.
    pub publication: PublicationId,
    /// Its place among the loudest of the meeting.
    pub place: Option<usize>,
    /// It speaks, or paused only just now.
    pub speaking: bool,
    /// Smoothed loudness.
    pub loudness: f32,
    /// It is the meeting's active speaker.
    pub active: bool,
    /// What a shared screen sounds like.
    pub shared: bool,
}

/// A picture that may fill a video slot.
#[derive(Clone, Copy, Debug)]
pub struct PictureCandidate {
    /// Which publication.
    pub publication: PublicationId,
    /// Somebody's screen, and so what the meeting is about.
    pub screen: bool,
    /// The receiver's own wish; larger is more wanted.
    pub wish: Option<u8>,
    /// Its owner is the meeting's active speaker.
    pub active: bool,
    /// When its owner last spoke.
    pub spoke: Option<Micros>,
}

/// At most this many slots a receiver has in practice; more only cost an allocation.
pub type Assignment = SmallVec<[Option<PublicationId>; 16]>;

/// Fills the audio slots that hold `held` now.
///
/// One slot follows the active speaker. Several: the loudest of the meeting in their order, then others who speak, those in
/// place first, then whoever is in place, then the rest in the order given.
#[must_use]
pub fn voices(held: &[Option<PublicationId>], candidates: &[VoiceCandidate]) -> Assignment {
    let in_place = |candidate: &VoiceCandidate| held.contains(&Some(candidate.publication));
    let single = held.len() == 1;
    // A screen's sound may be heard while the active speaker is silent; another voice becomes the active speaker.
    let something_else = candidates.iter().any(|candidate| candidate.shared && candidate.speaking);
    let mut ranked: SmallVec<[&VoiceCandidate; 32]> = candidates.iter().collect();
    ranked.sort_by(|one, other| {
        let key = |candidate: &VoiceCandidate| {
            let active = single && candidate.active && (candidate.speaking || !something_else);
            // What everybody is shown is heard by everybody, however many speak.
            let shared = !single && candidate.shared && candidate.speaking;
            let place = candidate.place.unwrap_or(usize::MAX);
            let first = (Reverse(active), Reverse(shared), place);
            (first, Reverse(candidate.speaking && in_place(candidate)), Reverse(candidate.speaking))
        };
        let by_loudness = other.loudness.total_cmp(&one.loudness);
        key(one).cmp(&key(other)).then(if one.speaking && other.speaking {
            by_loudness
        } else {
            Reverse(in_place(one)).cmp(&Reverse(in_place(other)))
        })
    });
    place(held, ranked.iter().map(|candidate| candidate.publication))
}

/// A mix has all voices in it: it takes the first audio slot, and the others stay empty.
#[must_use]
pub fn mix(held: &[Option<PublicationId>], mix: PublicationId) -> Assignment {
    held.iter().enumerate().map(|(at, _)| (at == 0).then_some(mix)).collect()
}

/// Fills the video slots that hold `held` now: a shared screen, the receiver's wishes, then the active speaker, then recent speakers, then
/// whoever is in place, then the rest in the order given. At most `most` are shown.
#[must_use]
pub fn pictures(
    now: Micros,
    held: &[Option<PublicationId>],
    candidates: &[PictureCandidate],
    most: usize,
) -> Assignment {
    let mut ranked: SmallVec<[&PictureCandidate; 32]> = candidates.iter().collect();
    ranked.sort_by_key(|candidate| {
        let recent = candidate.spoke.is_some_and(|spoke| now.since(spoke) < RECENT);
        (
            Reverse(candidate.screen),
            Reverse(candidate.wish),
            Reverse(candidate.active),
            Reverse(recent),
            Reverse(held.contains(&Some(candidate.publication))),
        )
    });
    place(held, ranked.iter().map(|candidate| candidate.publication).take(most))
}

/// Who spoke within this keeps a picture before those who were silent.
pub const RECENT: Micros = Micros::from_millis(30_000);

/// Puts the first of `ranked` into the slots; those in place stay in their slot.
fn place(held: &[Option<PublicationId>], ranked: impl Iterator<Item = PublicationId>) -> Assignment {
    let chosen: SmallVec<[PublicationId; 16]> = ranked.take(held.len()).collect();
    let mut placed: Assignment = held.iter().map(|slot| slot.filter(|id| chosen.contains(id))).collect();
    let mut newcomers = chosen.iter().filter(|id| !held.contains(&Some(**id)));
    for slot in placed.iter_mut().filter(|slot| slot.is_none()) {
        *slot = newcomers.next().copied();
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: u32) -> PublicationId {
        PublicationId(n)
    }

    fn voice(n: u32, loudness: f32) -> VoiceCandidate {
        VoiceCandidate {
            publication: id(n),
            place: None,
            speaking: loudness > 77.0,
            loudness,
            active: false,
            shared: false,
        }
    }

    fn picture(n: u32) -> PictureCandidate {
        PictureCandidate { publication: id(n), screen: false, wish: None, active: false, spoke: None }
    }

    const NOW: Micros = Micros::from_millis(100_000);

    #[test]
    fn everybody_is_in_when_there_is_room_and_nobody_moves() {
        let held = [Some(id(2)), None, Some(id(1))];
        let placed = voices(&held, &[voice(1, 0.0), voice(2, 90.0), voice(3, 0.0)]);
        assert_eq!(placed.as_slice(), [Some(id(2)), Some(id(3)), Some(id(1))]);
    }

    #[test]
    fn a_voice_keeps_its_slot_while_it_speaks_even_if_others_are_louder() {
        let held = [Some(id(1)), Some(id(2))];
        let placed = voices(&held, &[voice(1, 80.0), voice(2, 0.0), voice(3, 110.0), voice(4, 100.0)]);
        assert_eq!(placed.as_slice(), [Some(id(1)), Some(id(3))]);
    }

    #[test]
    fn the_loudest_of_the_meeting_come_first_whoever_is_in_place() {
        let held = [Some(id(1)), Some(id(2))];
        let loudest = |n, place| VoiceCandidate { place: Some(place), ..voice(n, 90.0) };
        let candidates = [loudest(1, 3), loudest(2, 1), voice(5, 120.0), loudest(3, 0)];
        assert_eq!(voices(&held, &candidates).as_slice(), [Some(id(3)), Some(id(2))]);
    }

    #[test]
    fn silent_voices_stay_while_nobody_else_speaks() {
        let held = [Some(id(3)), Some(id(4))];
        let placed = voices(&held, &[voice(1, 0.0), voice(2, 0.0), voice(3, 0.0), voice(4, 0.0)]);
        assert_eq!(placed.as_slice(), held);
    }

    #[test]
    fn a_single_audio_slot_follows_the_active_speaker() {
        let mut active = voice(2, 80.0);
        active.active = true;
        let placed = voices(&[Some(id(1))], &[voice(1, 100.0), active]);
        assert_eq!(placed.as_slice(), [Some(id(2))]);
    }

    #[test]
    fn wishes_come_before_the_active_speaker_and_the_speaker_before_those_in_place() {
        let mut wished = picture(3);
        wished.wish = Some(1);
        let mut active = picture(4);
        active.active = true;
        let candidates = [picture(1), picture(2), wished, active];
        let held = [Some(id(1)), Some(id(2))];
        let placed = pictures(NOW, &held, &candidates, 2);
        assert_eq!(placed.as_slice(), [Some(id(3)), Some(id(4))]);
        assert_eq!(pictures(NOW, &held[..1], &candidates, 1).as_slice(), [Some(id(3))]);
    }

    #[test]
    fn a_screen_comes_before_wishes_and_the_active_speaker() {
        let mut screen = picture(9);
        screen.screen = true;
        let mut wished = picture(3);
        wished.wish = Some(255);
        let held = [Some(id(1)), Some(id(3))];
        let candidates = [picture(1), picture(2), wished, screen];
        assert_eq!(pictures(NOW, &held, &candidates, 2).as_slice(), [Some(id(9)), Some(id(3))]);
        assert_eq!(pictures(NOW, &held, &candidates, 1).as_slice(), [Some(id(9)), None]);
    }

    #[test]
    fn who_left_or_was_muted_leaves_the_slot_empty() {
        assert_eq!(pictures(NOW, &[Some(id(1)), Some(id(2))], &[picture(2)], 2).as_slice(), [None, Some(id(2))]);
    }

    #[test]
    fn no_more_are_shown_than_the_receiver_can_take_and_those_in_place_stay_where_they_are() {
        let mut active = picture(3);
        active.active = true;
        let held = [Some(id(1)), Some(id(2)), None];
        assert_eq!(
            pictures(NOW, &held, &[picture(1), picture(2), active], 2).as_slice(),
            [Some(id(1)), Some(id(3)), None]
        );
        assert_eq!(pictures(NOW, &held, &[picture(1), picture(2), active], 0).as_slice(), [None, None, None]);
    }

    proptest! {
        /// Nobody is in two slots, nobody who is no candidate is in one, no slot is empty while somebody waits, and
        /// whoever stays in stays in place.
        #[test]
        fn assignments_are_sound(held in proptest::collection::vec(proptest::option::of(0u32..12), 1..8), loud in proptest::collection::vec(0f32..127.0, 0..12)) {
            let mut seen = std::collections::HashSet::new();
            let held: Vec<_> = held.into_iter().map(|slot| slot.filter(|n| seen.insert(*n)).map(id)).collect();
            let candidates: Vec<_> = loud.iter().zip(0..).map(|(&loudness, n)| voice(n, loudness)).collect();
            let placed = voices(&held, &candidates);
            let filled: Vec<_> = placed.iter().flatten().collect();
            let distinct: std::collections::HashSet<_> = filled.iter().collect();
            prop_assert_eq!(distinct.len(), filled.len());
            prop_assert_eq!(filled.len(), held.len().min(candidates.len()));
            for (before, after) in held.iter().zip(&placed) {
                if let Some(stays) = before.filter(|id| placed.contains(&Some(*id))) {
                    prop_assert_eq!(*after, Some(stays));
                }
            }
        }
    }
}
