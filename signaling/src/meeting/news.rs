//! What everybody is still to be told, said as shortly as it can be.
//!
//! Several changes that come soon after each other are one message: a newcomer whose camera starts in the same moment is
//! announced once, with the camera, and somebody who came and went in it is not mentioned at all. What is told is always
//! how things stand in the end, so whoever applies it is where somebody stands who was told each step.
//!
//! ```text
//! ServerMessage, committed events --note--> News --take--> one Burst: events, roster, publications, speaker
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::id::ParticipantId;
use crate::protocol::{Burst, Frame, ParticipantView, PublicationView, ReactionView, ServerMessage, WaitingView};

/// Reactions that are told at once. A hall that claps is not shown each pair of hands.
const REACTIONS: usize = 50;

/// What is not told yet.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Counts the `roster` messages.
    roster_seq: u64,
    /// Said for good, in order.
    frames: Vec<Frame>,
    /// What still may change.
    open: Open,
}

/// Changes that merge with those that follow.
#[derive(Debug, Default)]
struct Open {
    events: Vec<Frame>,
    joined: BTreeMap<ParticipantId, ParticipantView>,
    changed: BTreeMap<ParticipantId, ParticipantView>,
    left: BTreeSet<ParticipantId>,
    added: BTreeMap<u32, PublicationView>,
    removed: BTreeSet<u32>,
    speaker: Option<Option<ParticipantId>>,
    reactions: Vec<ReactionView>,
}

impl News {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        let Open { events, joined, changed, left, added, removed, speaker, reactions } = &self.open;
        self.frames.is_empty()
            && events.is_empty()
            && joined.is_empty()
            && changed.is_empty()
            && left.is_empty()
            && added.is_empty()
            && removed.is_empty()
            && speaker.is_none()
            && reactions.is_empty()
    }

    /// Whether there is something that does not wait until the roster may be told again.
    pub(super) fn is_urgent(&self) -> bool {
        !self.frames.is_empty() || !self.open.events.is_empty() || self.open.speaker.is_some()
    }

    /// The number of the newest `roster` message.
    pub(super) fn roster_seq(&self) -> u64 {
        self.roster_seq
    }

    /// The next entry of the thread.
    pub(super) fn note_event(&mut self, event: Frame) {
        self.open.events.push(event);
    }

    /// Anything else.
    pub(super) fn note(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Roster { joined, changed, left, .. } => {
                // A message names the gone before the new; who goes and comes back needs two.
                if joined.iter().any(|view| self.open.left.contains(&view.id)) {
                    self.close();
                }
                self.open.note_roster(joined, changed, left);
            }
            ServerMessage::Publications { added, removed } => {
                if added.iter().any(|publication| self.open.removed.contains(&publication.id)) {
                    self.close();
                }
                self.open.note_publications(added, removed);
            }
            ServerMessage::Speaker { participant_id } => self.open.speaker = Some(participant_id),
            ServerMessage::Reactions { reactions } => {
                let room = REACTIONS.saturating_sub(self.open.reactions.len());
                self.open.reactions.extend(reactions.into_iter().take(room));
            }
            other => {
                self.close();
                self.frames.push(Frame::encode(&other));
            }
        }
    }

    /// All of it, once.
    pub(super) fn take(&mut self) -> Option<Burst> {
        self.close();
        let burst = Burst::of(&self.frames);
        self.frames.clear();
        burst
    }

    /// What is urgent, once. Who came, changed and went is left.
    pub(super) fn take_urgent(&mut self) -> Option<Burst> {
        self.frames.append(&mut self.open.events);
        self.frames.extend(self.open.speaker.take().map(speaks));
        let burst = Burst::of(&self.frames);
        self.frames.clear();
        burst
    }

    /// Says what is open; what follows does not merge with it.
    fn close(&mut self) {
        let Open { events, joined, changed, left, added, removed, speaker, reactions } = std::mem::take(&mut self.open);
        self.frames.extend(events);
        // Who publishes is introduced before what they publish.
        if !(joined.is_empty() && changed.is_empty() && left.is_empty()) {
            self.roster_seq += 1;
            self.frames.push(Frame::encode(&ServerMessage::Roster {
                roster_seq: self.roster_seq,
                joined: joined.into_values().collect(),
                changed: changed.into_values().collect(),
                left: left.into_iter().collect(),
            }));
        }
        if !(added.is_empty() && removed.is_empty()) {
            self.frames.push(Frame::encode(&ServerMessage::Publications {
                added: added.into_values().collect(),
                removed: removed.into_iter().collect(),
            }));
        }
        self.frames.extend(speaker.map(speaks));
        if !reactions.is_empty() {
            self.frames.push(Frame::encode(&ServerMessage::Reactions { reactions }));
        }
    }
}

fn speaks(participant_id: Option<ParticipantId>) -> Frame {
    Frame::encode(&ServerMessage::Speaker { participant_id })
}

impl Open {
    fn note_roster(&mut self, joined: Vec<ParticipantView>, changed: Vec<ParticipantView>, left: Vec<ParticipantId>) {
        self.joined.extend(joined.into_iter().map(|view| (view.id, view)));
        for view in changed {
            match self.joined.get_mut(&view.id) {
                Some(newcomer) => *newcomer = view,
                None => drop(self.changed.insert(view.id, view)),
            }
        }
        for participant in left {
            // Nobody heard of somebody who came since the last telling.
            if self.joined.remove(&participant).is_none() {
                self.changed.remove(&participant);
                self.left.insert(participant);
            }
        }
    }

    fn note_publications(&mut self, added: Vec<PublicationView>, removed: Vec<u32>) {
        self.added.extend(added.into_iter().map(|publication| (publication.id, publication)));
        for id in removed {
            if self.added.remove(&id).is_none() {
                self.removed.insert(id);
            }
        }
    }
}

/// What those who may let people in are still to be told.
#[derive(Debug, Default)]
pub(super) struct LobbyNews {
    added: BTreeMap<ParticipantId, WaitingView>,
    removed: BTreeSet<ParticipantId>,
}

impl LobbyNews {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// Somebody waits, or does not any more. What counts is how things stand in the end; to remove whom nobody heard of does
    /// no harm.
    pub(super) fn note(&mut self, added: Vec<WaitingView>, removed: Vec<ParticipantId>) {
        for participant in removed {
            self.added.remove(&participant);
            self.removed.insert(participant);
        }
        for view in added {
            self.removed.remove(&view.id);
            self.added.insert(view.id, view);
        }
    }

    /// All of it, once.
    pub(super) fn take(&mut self) -> Option<Burst> {
        let Self { added, removed } = std::mem::take(self);
        if added.is_empty() && removed.is_empty() {
            return None;
        }
        let (added, removed) = (added.into_values().collect(), removed.into_iter().collect());
        Some(Frame::encode(&ServerMessage::Waiting { all: false, added, removed }).into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::ports::PublicationKind;
    use crate::protocol::{ParticipantKind, RecordingState, RecordingView, Role};

    fn somebody(number: u128, muted: bool) -> ParticipantView {
        ParticipantView {
            id: ParticipantId::from_u128(number),
            display_name: format!("Person {number}"),
            kind: ParticipantKind::Person,
            role: Role::Presenter,
            verified: true,
            microphone_muted: muted,
            camera_muted: false,
            has_microphone: false,
            has_camera: false,
            spotlit: false,
            hand: None,
            connected: true,
            network: None,
        }
    }

    fn camera(id: u32) -> PublicationView {
        PublicationView { id, participant_id: ParticipantId::from_u128(1), kind: PublicationKind::Camera }
    }

    fn joined(view: ParticipantView) -> ServerMessage {
        ServerMessage::Roster { roster_seq: 0, joined: vec![view], changed: vec![], left: vec![] }
    }

    fn changed(view: ParticipantView) -> ServerMessage {
        ServerMessage::Roster { roster_seq: 0, joined: vec![], changed: vec![view], left: vec![] }
    }

    fn left(number: u128) -> ServerMessage {
        ServerMessage::Roster {
            roster_seq: 0,
            joined: vec![],
            changed: vec![],
            left: vec![ParticipantId::from_u128(number)],
        }
    }

    fn said(messages: impl IntoIterator<Item = ServerMessage>) -> Vec<Value> {
        let mut news = News::default();
        messages.into_iter().for_each(|message| news.note(message));
        let said = news.take().iter().flat_map(|burst| burst.frames().collect::<Vec<_>>()).collect::<Vec<_>>();
        assert!(news.is_empty() && news.take().is_none(), "nothing is told twice");
        said.iter().map(|frame| serde_json::from_slice(frame.json()).unwrap()).collect()
    }

    #[test]
    fn a_newcomer_is_announced_once_as_they_look_in_the_end_and_before_their_camera() {
        let said = said([
            joined(somebody(1, false)),
            ServerMessage::Publications { added: vec![camera(7)], removed: vec![] },
            changed(somebody(1, true)),
            joined(somebody(2, false)),
        ]);
        assert_eq!(said.len(), 2);
        assert_eq!(said[0]["joined"][0]["microphoneMuted"], true);
        assert_eq!((said[0]["joined"].as_array().unwrap().len(), &said[0]["changed"]), (2, &json!([])));
        assert_eq!((&said[1]["type"], &said[1]["added"][0]["id"]), (&json!("publications"), &json!(7)));
    }

    #[test]
    fn who_came_and_went_between_two_tellings_is_not_mentioned() {
        let publications = |added, removed| ServerMessage::Publications { added, removed };
        let said = said([
            joined(somebody(1, false)),
            publications(vec![camera(7)], vec![]),
            publications(vec![], vec![7]),
            left(1),
        ]);
        assert_eq!(said, Vec::<Value>::new());
    }

    #[test]
    fn what_does_not_merge_keeps_its_place() {
        let recording =
            ServerMessage::Recording(RecordingView { state: RecordingState::Starting, ..RecordingView::OFF });
        let said = said([joined(somebody(1, false)), recording, changed(somebody(1, true))]);
        let kinds: Vec<_> = said.iter().map(|message| message["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["roster", "recording", "roster"]);
    }

    #[test]
    fn only_the_last_speaker_counts() {
        let speaker = |number| ServerMessage::Speaker { participant_id: Some(ParticipantId::from_u128(number)) };
        assert_eq!(said([speaker(1), speaker(2)]).len(), 1);
    }

    /// A page: applies what it is told in the order of the contract, the gone first.
    #[derive(Debug, Default, PartialEq)]
    struct Page {
        people: BTreeMap<String, Value>,
        cameras: BTreeMap<u64, Value>,
    }

    impl Page {
        fn hear(&mut self, message: &Value) {
            let list = |name: &str| message[name].as_array().cloned().unwrap_or_default();
            for gone in list("left") {
                self.people.remove(gone.as_str().unwrap());
            }
            for view in list("joined").into_iter().chain(list("changed")) {
                self.people.insert(view["id"].as_str().unwrap().to_owned(), view);
            }
            for gone in list("removed") {
                self.cameras.remove(&gone.as_u64().unwrap());
            }
            for publication in list("added") {
                self.cameras.insert(publication["id"].as_u64().unwrap(), publication);
            }
        }
    }

    proptest! {
        #[test]
        fn whoever_is_told_in_short_ends_where_one_ends_who_was_told_everything(
            steps in proptest::collection::vec((0_u128..3, 0..4_u8, any::<bool>(), any::<bool>()), 0..40)
        ) {
            let (mut each, mut short, mut news) = (Page::default(), Page::default(), News::default());
            let mut here = BTreeSet::new();
            let mut cameras = BTreeSet::new();
            for (who, what, muted, tell) in steps {
                let id = who as u32;
                let publications = |added, removed| ServerMessage::Publications { added, removed };
                let message = match what {
                    0 if here.insert(who) => joined(somebody(who, muted)),
                    0 if here.remove(&who) => left(who),
                    1 | 2 if here.contains(&who) => changed(somebody(who, muted)),
                    _ if cameras.insert(id) => publications(vec![camera(id)], vec![]),
                    _ if cameras.remove(&id) => publications(vec![], vec![id]),
                    _ => continue,
                };
                each.hear(&serde_json::to_value(&message).unwrap());
                news.note(message);
                if tell {
                    for frame in news.take().iter().flat_map(|burst| burst.frames().collect::<Vec<_>>()) {
                        short.hear(&serde_json::from_slice(frame.json()).unwrap());
                    }
                    prop_assert_eq!(&each, &short);
                }
            }
        }
    }
}
