//! How good each person's way to the meeting is, for the others to see: coarse, slow to change, and only from what was measured.
//!
//! Of somebody who sends nothing nothing is known, and nothing is shown. A grade is believed when it stays: a worse one after two
//! looks (four seconds), a better one, or none, after five. So a mark changes seldom, and the roster with it.
//!
//! ```text
//! MediaEvent::Health -> its own page (the newest)
//!                    -> grade(what arrives, what its browser says) -> Trend -> changed? -> roster
//! ```

use std::collections::BTreeMap;

use super::commands::Effect;
use super::member::Purpose;
use super::state::Meeting;
use crate::id::ParticipantId;
use crate::ports::{EndpointId, MediaHealth, PublicationKind, UplinkHealth};
use crate::protocol::{HeldBack, NetworkGrade, ServerMessage};

/// Fewer packets than this in two seconds tell nothing: a voice has a hundred.
const ENOUGH: u32 = 25;

/// Of a thousand packets of a voice that are missing: beyond the first the ear hears it, beyond the second it is hard to follow.
const VOICE_MISSING: [u16; 2] = [30, 100];

/// Milliseconds by which a voice comes unevenly: beyond the first it is late at the ear, beyond the second broken.
const VOICE_JITTER: [u32; 2] = [30, 80];

/// Of a thousand packets of a picture that are missing though they were asked for again: each one stops the picture for a while.
const PICTURE_MISSING: [u16; 2] = [10, 50];

/// Of a thousand packets of a picture that had to be asked for again.
const PICTURE_LOST: u16 = 100;

/// A camera that its browser holds back below this for want of network is hardly a picture, in bits a second.
const PICTURE_BITRATE: u32 = 100_000;

/// Looks until a worse grade, and until a better one is believed.
const WORSE: u8 = 2;
const BETTER: u8 = 5;

/// A grade with a memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trend {
    grade: Option<NetworkGrade>,
    next: Option<NetworkGrade>,
    looks: u8,
}

impl Trend {
    pub(super) const fn grade(&self) -> Option<NetworkGrade> {
        self.grade
    }

    /// Takes in one look. `true`: another grade is believed now.
    pub(super) fn follow(&mut self, grade: Option<NetworkGrade>) -> bool {
        if grade == self.grade {
            (self.next, self.looks) = (grade, 0);
            return false;
        }
        self.looks = if grade == self.next { self.looks.saturating_add(1) } else { 1 };
        self.next = grade;
        let needed = if grade.is_some() && (self.grade.is_none() || grade > self.grade) { WORSE } else { BETTER };
        let is_believed = self.looks >= needed;
        if is_believed {
            (self.grade, self.looks) = (grade, 0);
        }
        is_believed
    }
}

/// Where a value stands between two bounds.
fn step<T: PartialOrd>(value: T, [weak, poor]: [T; 2]) -> NetworkGrade {
    match value {
        value if value >= poor => NetworkGrade::Poor,
        value if value >= weak => NetworkGrade::Weak,
        _ => NetworkGrade::Good,
    }
}

fn grade_of(up: &UplinkHealth, held_back: HeldBack, demand: Option<u8>) -> Option<NetworkGrade> {
    let arriving = up.bitrates.iter().flatten().fold(0, |sum: u32, rate| sum.saturating_add(*rate));
    // What nobody wants is not missed.
    let wanted = demand.map_or(up.bitrates.len(), |highest| usize::from(highest) + 1);
    // A browser that is starved of network sends few packets or none, and says why: what arrives must bear it out.
    let starved = (up.kind == PublicationKind::Camera && held_back == HeldBack::Network).then(|| {
        if arriving < PICTURE_BITRATE {
            NetworkGrade::Poor
        } else if up.bitrates.iter().take(wanted).any(Option::is_none) {
            NetworkGrade::Weak
        } else {
            NetworkGrade::Good
        }
    });
    let (lost, missing) = (up.loss_permille.unwrap_or_default(), up.missing_permille.unwrap_or_default());
    let measured = (up.packets >= ENOUGH).then(|| match up.kind {
        PublicationKind::Microphone | PublicationKind::ScreenAudio => {
            step(missing, VOICE_MISSING).max(step(up.jitter, VOICE_JITTER))
        }
        PublicationKind::Camera | PublicationKind::Screen if lost >= PICTURE_LOST => {
            step(missing, PICTURE_MISSING).max(NetworkGrade::Weak)
        }
        PublicationKind::Camera | PublicationKind::Screen => step(missing, PICTURE_MISSING),
    });
    starved.max(measured)
}

/// How good the way of what somebody sends is; the worst of it counts. `demands`: the highest layer of a publication that anybody
/// wants. `None`: too little came to tell.
fn grade(up: &[UplinkHealth], held_back: HeldBack, demands: &BTreeMap<u32, u8>) -> Option<NetworkGrade> {
    up.iter().filter_map(|up| grade_of(up, held_back, demands.get(&up.publication_id).copied())).max()
}

impl Meeting {
    /// What an endpoint's network is like: for its own page as it is, for the others in a grade.
    pub(super) fn network_told(&mut self, endpoint: EndpointId, health: Box<MediaHealth>) {
        let Some(&participant) = self.endpoints.get(&endpoint) else { return };
        let Some(member) = self.members.get_mut(&participant) else { return };
        let (held_back, session) = (member.held_back, member.session);
        let Some(line) = member.lines.iter_mut().find(|line| line.endpoint == endpoint) else { return };
        let is_live = line.purpose == Purpose::Live;
        let held_back = if is_live { held_back } else { HeldBack::None };
        let has_changed = line.network.follow(grade(&health.up, held_back, &line.demands));
        if let Some(session) = session.filter(|_| is_live) {
            let message = ServerMessage::Health(health);
            self.effects.push(Effect::SendNewest { session, message });
        }
        if has_changed {
            self.changed(participant);
        }
    }

    /// What a page's browser says of its own camera.
    pub(super) fn held_back(&mut self, participant: ParticipantId, held_back: HeldBack) {
        if let Some(member) = self.members.get_mut(&participant) {
            member.held_back = held_back;
        }
    }
}

#[cfg(test)]
mod tests {
    use NetworkGrade::{Good, Poor, Weak};
    use proptest::prelude::*;

    use super::*;

    fn voice(missing: u16, jitter: u32) -> UplinkHealth {
        UplinkHealth {
            publication_id: 1,
            kind: PublicationKind::Microphone,
            bitrates: vec![Some(40_000), None, None],
            packets: 100,
            loss_permille: Some(missing),
            missing_permille: Some(missing),
            jitter,
            mixed: None,
        }
    }

    fn picture(lost: u16, missing: u16, bitrates: [Option<u32>; 3]) -> UplinkHealth {
        UplinkHealth {
            kind: PublicationKind::Camera,
            bitrates: bitrates.to_vec(),
            loss_permille: Some(lost),
            missing_permille: Some(missing),
            ..voice(0, 0)
        }
    }

    fn grade(up: &[UplinkHealth], held_back: HeldBack) -> Option<NetworkGrade> {
        super::grade(up, held_back, &BTreeMap::new())
    }

    const ALL: [Option<u32>; 3] = [Some(150_000), Some(450_000), Some(1_200_000)];

    #[test]
    fn a_voice_is_graded_by_what_is_missing_and_how_unevenly_it_comes() {
        for (missing, jitter, expected) in
            [(0, 5, Good), (29, 29, Good), (30, 5, Weak), (0, 30, Weak), (100, 5, Poor), (0, 80, Poor), (35, 90, Poor)]
        {
            assert_eq!(grade(&[voice(missing, jitter)], HeldBack::None), Some(expected), "{missing} {jitter}");
        }
    }

    #[test]
    fn a_picture_is_graded_by_what_sending_again_did_not_make_good() {
        for (lost, missing, expected) in [(50, 0, Good), (100, 0, Weak), (20, 10, Weak), (60, 50, Poor)] {
            assert_eq!(grade(&[picture(lost, missing, ALL)], HeldBack::None), Some(expected), "{lost} {missing}");
        }
        assert_eq!(grade(&[voice(0, 0), picture(60, 50, ALL)], HeldBack::None), Some(Poor), "the worst counts");
    }

    #[test]
    fn a_camera_that_is_small_is_the_networks_fault_only_where_its_browser_says_so_and_it_shows() {
        let small = picture(0, 0, [Some(150_000), None, None]);
        for (held_back, expected) in [(HeldBack::None, Good), (HeldBack::Device, Good), (HeldBack::Network, Weak)] {
            assert_eq!(grade(std::slice::from_ref(&small), held_back), Some(expected), "{held_back:?}");
        }
        let wanted = BTreeMap::from([(1, 0)]);
        assert_eq!(
            super::grade(std::slice::from_ref(&small), HeldBack::Network, &wanted),
            Some(Good),
            "all that is wanted"
        );
        assert_eq!(grade(&[picture(0, 0, ALL)], HeldBack::Network), Some(Good), "everything arrives");
        let starved = UplinkHealth { packets: 3, ..picture(0, 0, [Some(20_000), None, None]) };
        assert_eq!(grade(&[starved], HeldBack::Network), Some(Poor));
    }

    #[test]
    fn of_too_little_nothing_is_said() {
        assert_eq!(grade(&[], HeldBack::Network), None);
        assert_eq!(grade(&[UplinkHealth { packets: 24, ..voice(500, 500) }], HeldBack::None), None);
    }

    #[test]
    fn a_grade_gets_worse_after_two_looks_and_better_after_five() {
        let mut trend = Trend::default();
        let mut after = |grade| {
            trend.follow(grade);
            trend.grade()
        };
        let looks = [Some(Good), Some(Good), Some(Poor), Some(Good), Some(Weak), Some(Weak), Some(Good), None];
        let seen = looks.map(&mut after);
        let good = Some(Good);
        assert_eq!(seen, [None, good, good, good, good, Some(Weak), Some(Weak), Some(Weak)]);
        assert_eq!([Some(Good); 5].map(&mut after), [Some(Weak), Some(Weak), Some(Weak), Some(Weak), good]);
        assert_eq!([None; 5].map(after), [good, good, good, good, None]);
    }

    proptest! {
        /// Whatever comes, the mark changes at most every second look, and only to what was looked at.
        #[test]
        fn a_mark_never_flickers(looks in prop::collection::vec(prop::option::of(0..3usize), 0..60)) {
            let mut trend = Trend::default();
            let mut changed: Option<usize> = None;
            for (at, look) in looks.into_iter().enumerate() {
                let grade = look.and_then(|look| [Good, Weak, Poor].get(look).copied());
                if trend.follow(grade) {
                    prop_assert_eq!(trend.grade(), grade);
                    prop_assert!(changed.is_none_or(|last| at - last >= 2));
                    changed = Some(at);
                }
            }
        }
    }
}
