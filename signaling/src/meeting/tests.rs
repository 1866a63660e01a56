//! The machine alone, on virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::commands::{Command, DoorReply, Effect, Identity, NewRecording, Offered, RecorderNews, Refusal, Ticket};
use super::state::{Limits, Meeting};
use crate::auth::KeyName;
use crate::clock::Timestamp;
use crate::id::{EventId, MeetingId, ParticipantId, SessionId, UserId};
use crate::policy::{Kind, MeetingSettings, Person};
use crate::ports::{
    EndpointId, MediaConnected, MediaEvent, MediaHealth, MediaPublication, PublicationKind, Shown, SlotKind,
    UplinkHealth,
};
use crate::protocol::{
    ClientMessage, CloseCode, Event, EventBody, NetworkGrade, RecordAction, RecordingState, RecordingView, Role,
    ServerMessage,
};

mod consent;
mod lobby;
mod order;
mod recording;
mod rescue;
mod roster;

/// A meeting with a clock, and a thread that takes every append.
struct Table {
    meeting: Meeting,
    now: Instant,
    thread: Vec<EventBody>,
}

impl Table {
    fn new(limits: Limits) -> Self {
        Self {
            meeting: Meeting::new(MeetingId::generate(), limits, MeetingSettings::default()),
            now: Instant::now(),
            thread: Vec::new(),
        }
    }

    fn commit(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        for effect in &effects {
            if let Effect::Append { body, .. } = effect {
                self.thread.push(body.clone());
                let event = Event {
                    seq: self.thread.len() as u64,
                    id: EventId::generate(),
                    time: Timestamp::now(),
                    body: body.clone(),
                };
                self.meeting.committed(&event);
            }
        }
        effects
    }

    fn give(&mut self, command: Command) -> Vec<Effect> {
        let effects = self.meeting.handle(command, self.now);
        self.commit(effects)
    }

    fn say(&mut self, session: SessionId, message: ClientMessage) -> Vec<Effect> {
        self.give(Command::Client { session, message })
    }

    fn wait(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        let effects = self.meeting.tick(self.now);
        self.commit(effects)
    }

    fn with(settings: MeetingSettings) -> Self {
        let mut table = Self::new(Limits::default());
        table.meeting.settings = settings;
        table
    }

    /// Says hello, whatever comes of it.
    fn knock(&mut self, who: &Identity) -> (SessionId, Vec<Effect>) {
        let session = SessionId::generate();
        let effects = self.give(Command::Join { session, who: who.clone(), cursor: 0 });
        (session, effects)
    }

    fn join(&mut self, who: &Identity) -> SessionId {
        let session = SessionId::generate();
        let effects = self.give(Command::Join { session, who: who.clone(), cursor: 0 });
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Welcome { session: of, .. } if *of == session)));
        session
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.thread.iter().map(EventBody::kind).collect()
    }
}

/// The organiser, or somebody with the link and a name.
fn person(role: Role) -> Identity {
    let kind = if role == Role::Organizer { Kind::Organizer } else { Kind::Anonymous };
    somebody(kind)
}

fn somebody(kind: Kind) -> Identity {
    let user = (kind != Kind::Anonymous).then(UserId::generate);
    let person = Person { kind, user };
    let signed_by = KeyName::default();
    Identity { participant: ParticipantId::generate(), person, display_name: "Somebody".to_owned(), signed_by }
}

fn errors(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { message: ServerMessage::Error { code, .. }, .. } => Some(code.as_str()),
            _ => None,
        })
        .collect()
}

fn place(effects: &[Effect], what: impl Fn(&Effect) -> bool) -> usize {
    effects.iter().position(what).unwrap_or_else(|| panic!("not among {effects:#?}"))
}

fn connected(endpoint: u64, publication: u32) -> MediaConnected {
    MediaConnected {
        endpoint: EndpointId(endpoint),
        continues: false,
        answer: "v=0".to_owned(),
        slots: vec![("3".to_owned(), SlotKind::Video)],
        publications: vec![MediaPublication { id: publication, kind: PublicationKind::Camera }],
    }
}

#[test]
fn the_first_one_in_starts_the_run_and_the_last_one_out_ends_it() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let first = table.join(&ada);
    let second = table.join(&bob);
    assert_eq!(table.meeting.run(), Some(1));
    table.say(first, ClientMessage::Leave { id: None });
    assert!(!table.meeting.is_over());
    table.say(second, ClientMessage::Leave { id: None });
    assert!(table.meeting.is_over());
    assert_eq!(
        table.kinds(),
        [
            "meetingStarted",
            "participantJoined",
            "participantJoined",
            "participantLeft",
            "participantLeft",
            "meetingEnded"
        ]
    );
}

#[test]
fn a_lost_connection_has_thirty_seconds_to_come_back() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    table.join(&ada);
    let session = table.join(&bob);
    table.give(Command::SessionLost { session });
    let view = |table: &Table| table.meeting.roster().into_iter().find(|one| one.id == bob.participant);
    assert!(!view(&table).unwrap().connected);
    table.wait(Duration::from_millis(29_999));
    table.join(&bob);
    assert!(view(&table).unwrap().connected);
    table.wait(Duration::from_secs(60));
    assert!(view(&table).is_some(), "who came back stays");
    assert_eq!(table.kinds(), ["meetingStarted", "participantJoined", "participantJoined"], "and never left");
}

#[test]
fn who_does_not_come_back_leaves_when_the_grace_time_is_over() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&somebody(Kind::Member));
    table.give(Command::SessionLost { session });
    assert_eq!(table.meeting.deadline(), Some(table.now + Duration::from_secs(30)));
    table.wait(Duration::from_secs(30));
    assert!(table.meeting.is_over());
    assert_eq!(table.kinds().last(), Some(&"meetingEnded"));
}

#[test]
fn a_newer_connection_replaces_the_older_and_nobody_sees_a_leave() {
    let mut table = Table::new(Limits::default());
    let bob = somebody(Kind::Member);
    let older = table.join(&bob);
    let newer = SessionId::generate();
    let effects = table.give(Command::Join { session: newer, who: bob, cursor: 0 });
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Close { session, code: CloseCode::Replaced } if *session == older))
    );
    assert!(table.give(Command::SessionLost { session: older }).is_empty(), "the older one's end means nothing");
    assert_eq!(table.meeting.participants(), 1);
}

#[test]
fn an_interrupted_run_goes_on_with_who_comes_back_and_lets_the_others_go() {
    let now = Instant::now();
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let present = vec![(ada.participant, "Ada".to_owned()), (bob.participant, "Bob".to_owned())];
    let until = now + Duration::from_secs(120);
    let meeting =
        Meeting::resume(MeetingId::generate(), Limits::default(), MeetingSettings::default(), 7, present, until);
    let mut table = Table { meeting, now, thread: Vec::new() };
    table.wait(Duration::from_secs(100));
    table.join(&ada);
    assert_eq!(table.meeting.run(), Some(7), "the same run");
    assert_eq!(table.meeting.role(ada.participant), Role::Organizer, "the role comes with the token");
    table.wait(Duration::from_secs(20));
    assert_eq!(table.kinds(), ["participantLeft"], "Bob did not come back; Ada never joined anew");
}

#[test]
fn an_interrupted_run_to_which_nobody_comes_back_ends() {
    let now = Instant::now();
    let until = now + Duration::from_secs(120);
    let present = vec![(ParticipantId::generate(), "Ada".to_owned())];
    for (present, events) in [(present, vec!["participantLeft", "meetingEnded"]), (vec![], vec!["meetingEnded"])] {
        let meeting =
            Meeting::resume(MeetingId::generate(), Limits::default(), MeetingSettings::default(), 7, present, until);
        let mut table = Table { meeting, now, thread: Vec::new() };
        table.wait(Duration::from_secs(119));
        assert!(!table.meeting.is_over());
        table.wait(Duration::from_secs(1));
        assert!(table.meeting.is_over());
        assert_eq!(table.kinds(), events);
    }
}

#[test]
fn whoever_has_only_the_link_may_not_mute_remove_and_record() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    table.join(&ada);
    let session = table.join(&bob);
    let whom = ada.participant;
    let forbidden = [
        ClientMessage::MuteParticipant { id: Some(1), participant_id: whom },
        ClientMessage::RemoveParticipant { id: Some(2), participant_id: whom },
        ClientMessage::Record { id: Some(3), action: RecordAction::Start },
    ];
    for message in forbidden {
        let effects = table.say(session, message);
        assert_eq!(errors(&effects), ["not_allowed"]);
        assert_eq!(effects.len(), 1, "and nothing else happens");
    }
}

#[test]
fn a_removed_participant_is_out_at_once_and_never_gets_back_in() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let organiser = table.join(&ada);
    let guest = table.join(&bob);
    let effects =
        table.say(organiser, ClientMessage::RemoveParticipant { id: Some(1), participant_id: bob.participant });
    place(&effects, |e| matches!(e, Effect::Close { session, code: CloseCode::Removed } if *session == guest));
    place(&effects, |e| matches!(e, Effect::RemoveMedia(who) if *who == bob.participant));
    place(&effects, |e| matches!(e, Effect::PersistRemoval { participant, .. } if *participant == bob.participant));
    let again = table.give(Command::Join { session: SessionId::generate(), who: bob, cursor: 0 });
    assert!(matches!(again.as_slice(), [Effect::Refuse { refusal: Refusal::Removed, .. }]));
}

#[test]
fn a_full_meeting_says_so() {
    let mut table = Table::new(Limits { participants: 2, ..Limits::default() });
    let returning = person(Role::Organizer);
    table.join(&returning);
    table.join(&person(Role::Presenter));
    let late = person(Role::Presenter);
    let refused = table.give(Command::Join { session: SessionId::generate(), who: late, cursor: 0 });
    assert!(matches!(refused.as_slice(), [Effect::Refuse { refusal: Refusal::Full, .. }]));
    table.join(&returning);
}

#[test]
fn everybody_is_told_and_the_recorder_is_in_the_roster_before_the_recording_is_ordered() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let session = table.join(&ada);
    let effects = table.say(session, ClientMessage::Record { id: Some(1), action: RecordAction::Start });
    let ordered = place(&effects, |e| matches!(e, Effect::StartRecording(_)));
    let told = place(&effects, |e| {
        matches!(e, Effect::Broadcast(ServerMessage::Recording(RecordingView { state: RecordingState::Starting, .. })))
    });
    let seen =
        place(&effects, |e| matches!(e, Effect::Broadcast(ServerMessage::Roster { joined, .. }) if !joined.is_empty()));
    let stored = place(&effects, |e| matches!(e, Effect::Append { body: EventBody::RecordingStarted { .. }, .. }));
    assert!(told < ordered && seen < ordered && stored < ordered);
}

#[test]
fn a_stop_before_the_recorder_took_the_order_is_not_lost() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    table.say(session, ClientMessage::Record { id: None, action: RecordAction::Start });
    let recording = table.meeting.recording().recording_id.unwrap();
    let stopping = table.say(session, ClientMessage::Record { id: None, action: RecordAction::Stop });
    assert!(!stopping.iter().any(|e| matches!(e, Effect::StopRecording(_))), "there is nothing to stop yet");
    let taken = table.give(Command::Recorder { recording, news: RecorderNews::Taken(true) });
    place(&taken, |e| matches!(e, Effect::StopRecording(id) if *id == recording));
    table.give(Command::Recorder { recording, news: RecorderNews::Over });
    assert_eq!(table.meeting.recording().state, RecordingState::Off);
    assert_eq!(table.meeting.roster().len(), 1, "the recorder is gone from the roster");
}

#[test]
fn the_last_one_out_stops_the_recording() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    table.say(session, ClientMessage::Record { id: None, action: RecordAction::Start });
    let recording = table.meeting.recording().recording_id.unwrap();
    table.give(Command::Recorder { recording, news: RecorderNews::Taken(true) });
    let effects = table.say(session, ClientMessage::Leave { id: None });
    place(&effects, |e| matches!(e, Effect::StopRecording(id) if *id == recording));
}

#[test]
fn a_publication_is_announced_before_the_answer_is_out() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let session = table.join(&ada);
    table.say(session, ClientMessage::Offer { id: Some(1), sdp: "v=0".to_owned(), lines: Vec::new() });
    let effects = table.give(Command::MediaAnswered {
        participant: ada.participant,
        offered: Offered::Live { session, id: Some(1) },
        result: Ok(connected(1, 77)),
    });
    let announced = place(&effects, |e| matches!(e, Effect::Broadcast(ServerMessage::Publications { .. })));
    let answered = place(&effects, |e| matches!(e, Effect::Send { message: ServerMessage::Answer { .. }, .. }));
    assert!(announced < answered);
}

#[test]
fn a_second_offer_waits_for_the_first_and_replaces_its_endpoint() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let session = table.join(&ada);
    let offer = |id| ClientMessage::Offer { id: Some(id), sdp: format!("offer {id}"), lines: Vec::new() };
    table.say(session, offer(1));
    assert!(table.say(session, offer(2)).is_empty(), "it waits");
    assert_eq!(errors(&table.say(session, offer(3))), ["superseded"]);
    let effects = table.give(Command::MediaAnswered {
        participant: ada.participant,
        offered: Offered::Live { session, id: Some(1) },
        result: Ok(connected(1, 77)),
    });
    place(&effects, |e| {
        matches!(e, Effect::Connect { request, .. }
            if request.offer == "offer 3" && request.replaces == Some(EndpointId(1)))
    });
    let effects = table.give(Command::MediaAnswered {
        participant: ada.participant,
        offered: Offered::Live { session, id: Some(3) },
        result: Ok(connected(2, 78)),
    });
    place(&effects, |e| {
        matches!(e, Effect::Broadcast(ServerMessage::Publications { added, removed })
            if added[0].id == 78 && *removed == [77])
    });
}

#[test]
fn more_slots_on_the_same_connection_are_nobody_elses_business_and_what_the_others_show_stays_known() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let session = table.join(&ada);
    table.join(&bob);
    let answered = |table: &mut Table, result| {
        table.say(session, ClientMessage::Offer { id: Some(1), sdp: String::new(), lines: Vec::new() });
        let early = vec![("5".to_owned(), Some(Shown { participant: Some(bob.participant), publication: 9 }))];
        table.give(Command::Media(MediaEvent::Slots { endpoint: EndpointId(1), slots: early }));
        table.give(Command::MediaAnswered {
            participant: ada.participant,
            offered: Offered::Live { session, id: Some(1) },
            result: Ok(result),
        })
    };
    answered(&mut table, connected(1, 77));
    let shown = |mid: &str| (mid.to_owned(), Some(Shown { participant: Some(bob.participant), publication: 8 }));
    table.give(Command::Media(MediaEvent::Slots { endpoint: EndpointId(1), slots: vec![shown("3")] }));
    let mut grown = MediaConnected { continues: true, ..connected(1, 77) };
    grown.slots.extend(["4", "5"].map(|mid| (mid.to_owned(), SlotKind::Video)));
    let effects = answered(&mut table, grown.clone());
    let [Effect::Send { session: to, message: ServerMessage::Answer { slots, .. } }] = effects.as_slice() else {
        panic!("something else than the answer: {effects:#?}");
    };
    assert_eq!((*to, slots.len()), (session, 3));
    let slots = table.meeting.slots(ada.participant).into_iter();
    let slots: Vec<_> = slots.map(|slot| (slot.mid, slot.publication_id)).collect();
    let expected = [("3", Some(8)), ("4", None), ("5", Some(9))].map(|(mid, of)| (mid.to_owned(), of));
    assert_eq!(slots, expected, "what the engine says of a new slot before its answer is known, too");
    assert_eq!(table.meeting.publications().len(), 1);
    // The path was lost while the engine answered.
    table.give(Command::Media(MediaEvent::Lost { endpoint: EndpointId(1) }));
    assert_eq!(errors(&answered(&mut table, grown)), ["media_unavailable"]);
    assert!(table.meeting.publications().is_empty());
}

#[test]
fn an_answer_for_somebody_who_left_is_thrown_away() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    table.join(&ada);
    let session = table.join(&bob);
    table.say(session, ClientMessage::Offer { id: None, sdp: String::new(), lines: Vec::new() });
    table.say(session, ClientMessage::Leave { id: None });
    let effects = table.give(Command::MediaAnswered {
        participant: bob.participant,
        offered: Offered::Live { session, id: None },
        result: Ok(connected(5, 1)),
    });
    assert!(matches!(effects.as_slice(), [Effect::Disconnect(EndpointId(5))]));
}

#[test]
fn a_lost_media_path_takes_its_publications_with_it_and_tells_its_owner() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let session = table.join(&ada);
    table.say(session, ClientMessage::Offer { id: None, sdp: String::new(), lines: Vec::new() });
    table.give(Command::MediaAnswered {
        participant: ada.participant,
        offered: Offered::Live { session, id: None },
        result: Ok(connected(1, 77)),
    });
    assert!(table.meeting.roster()[0].has_camera);
    let effects = table.give(Command::Media(MediaEvent::Lost { endpoint: EndpointId(1) }));
    assert!(!table.meeting.roster()[0].has_camera);
    assert!(table.meeting.publications().is_empty());
    place(&effects, |e| matches!(e, Effect::Send { message: ServerMessage::Media { .. }, .. }));
}

#[test]
fn a_standard_publisher_is_in_the_meeting_as_long_as_its_resource() {
    let mut table = Table::new(Limits::default());
    let bob = somebody(Kind::Member);
    let (ticket, resource) = (Ticket(1), SessionId::generate());
    table.give(Command::StandardOffer { ticket, who: bob.clone(), resource, sdp: String::new() });
    assert_eq!(table.meeting.participants(), 1);
    let effects = table.give(Command::MediaAnswered {
        participant: bob.participant,
        offered: Offered::Standard { ticket, resource },
        result: Ok(connected(1, 77)),
    });
    place(&effects, |e| matches!(e, Effect::ReplyDoor { reply: DoorReply::Answer(_), .. }));
    let stranger =
        table.give(Command::StandardEnd { ticket: Ticket(2), participant: ParticipantId::generate(), resource });
    place(&stranger, |e| matches!(e, Effect::ReplyDoor { reply: DoorReply::Unknown, .. }));
    let effects = table.give(Command::StandardEnd { ticket: Ticket(3), participant: bob.participant, resource });
    place(&effects, |e| matches!(e, Effect::Disconnect(EndpointId(1))));
    assert!(table.meeting.is_over());
}

#[test]
fn a_player_with_one_line_for_sound_hears_the_mix_and_one_with_more_the_voices() {
    for (lines, mixes) in [(0, false), (1, true), (2, false)] {
        let mut table = Table::new(Limits::default());
        let (ada, radio) = (person(Role::Organizer), person(Role::Presenter));
        table.join(&ada);
        let (resource, ticket) = (SessionId::generate(), Ticket(7));
        table.give(Command::StandardOffer { ticket, who: radio.clone(), resource, sdp: String::new() });
        let sound = (0..lines).map(|line| (line.to_string(), SlotKind::Audio));
        let slots = sound.chain([("v".to_owned(), SlotKind::Video)]).collect();
        let effects = table.give(Command::MediaAnswered {
            participant: radio.participant,
            offered: Offered::Standard { ticket, resource },
            result: Ok(MediaConnected { slots, ..connected(2, 78) }),
        });
        let asked = effects.iter().any(
            |effect| matches!(effect, Effect::Layout { endpoint: EndpointId(2), layout } if layout.mix && layout.fill),
        );
        assert_eq!(asked, mixes, "{lines}");
    }
}

#[test]
fn slots_go_to_their_owner_only_and_unknown_mids_are_not_kept() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let session = table.join(&ada);
    table.say(session, ClientMessage::Offer { id: None, sdp: String::new(), lines: Vec::new() });
    table.give(Command::MediaAnswered {
        participant: ada.participant,
        offered: Offered::Live { session, id: None },
        result: Ok(connected(1, 77)),
    });
    let source = Some(Shown { participant: Some(ada.participant), publication: 77 });
    let slots = vec![("3".to_owned(), source), ("99".to_owned(), source)];
    let effects = table.give(Command::Media(MediaEvent::Slots { endpoint: EndpointId(1), slots }));
    assert!(matches!(effects.as_slice(), [Effect::Send { session: to, .. }] if *to == session));
    assert_eq!(table.meeting.slots(ada.participant).len(), 1);
}

#[test]
fn chat_that_is_empty_or_too_long_is_refused() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    let mut chat = |text: String, name: &str| {
        let effects = table.say(session, ClientMessage::Chat { id: None, client_message_id: name.to_owned(), text });
        errors(&effects).first().map(|code| (*code).to_owned())
    };
    assert_eq!(chat("é".repeat(4000), "a"), None);
    assert_eq!(chat("é".repeat(4001), "b").as_deref(), Some("text_too_long"));
    assert_eq!(chat(" \n".to_owned(), "c").as_deref(), Some("text_empty"));
    assert_eq!(chat("x".to_owned(), "").as_deref(), Some("bad_request"));
}

/// Anything that may happen, with small numbers so that things meet.
#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Lose(usize),
    Say(usize, usize, usize),
    Answer(usize, u64),
    Lost(u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_usize).prop_map(Step::Join),
        (0..12_usize).prop_map(Step::Lose),
        (0..12_usize, 0..14_usize, 0..4_usize).prop_map(|(who, what, whom)| Step::Say(who, what, whom)),
        (0..12_usize, 0..6_u64).prop_map(|(who, endpoint)| Step::Answer(who, endpoint)),
        (0..6_u64).prop_map(Step::Lost),
        (0..40_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_books_stay_straight(steps in proptest::collection::vec(step(), 1..80)) {
        let mut table = Table::new(Limits { participants: 3, ..Limits::default() });
        let people: Vec<_> =
            (0..4).map(|n| person(if n == 0 { Role::Organizer } else { Role::Presenter })).collect();
        let mut sessions: Vec<(SessionId, ParticipantId)> = Vec::new();
        for step in steps {
            if table.meeting.is_over() {
                break;
            }
            match step {
                Step::Join(who) => {
                    let session = SessionId::generate();
                    sessions.push((session, people[who].participant));
                    table.give(Command::Join { session, who: people[who].clone(), cursor: 0 });
                }
                Step::Lose(which) => {
                    if let Some((session, _)) = sessions.get(which).copied() {
                        table.give(Command::SessionLost { session });
                    }
                }
                Step::Say(which, what, whom) => {
                    let Some((session, _)) = sessions.get(which).copied() else { continue };
                    let participant_id = people[whom].participant;
                    let message = match what {
                        0 => ClientMessage::Leave { id: None },
                        1 => ClientMessage::RemoveParticipant { id: None, participant_id },
                        2 => ClientMessage::MuteParticipant { id: None, participant_id },
                        3 => ClientMessage::Record { id: None, action: RecordAction::Start },
                        4 => ClientMessage::Record { id: None, action: RecordAction::Stop },
                        5 | 6 => ClientMessage::Offer { id: None, sdp: String::new(), lines: Vec::new() },
                        9 => ClientMessage::Admit { id: None, participant_id },
                        10 => ClientMessage::Deny { id: None, participant_id },
                        11 => ClientMessage::Lock { id: None, locked: whom % 2 == 0 },
                        12 => ClientMessage::AdmitAll { id: None },
                        7 => ClientMessage::Mute { id: None, kind: PublicationKind::Camera, muted: true },
                        _ => ClientMessage::Layout(Default::default()),
                    };
                    table.say(session, message);
                }
                Step::Answer(which, endpoint) => {
                    let Some((session, participant)) = sessions.get(which).copied() else { continue };
                    table.give(Command::MediaAnswered {
                        participant,
                        offered: Offered::Live { session, id: None },
                        result: Ok(connected(endpoint, endpoint as u32)),
                    });
                }
                Step::Lost(endpoint) => {
                    table.give(Command::Media(MediaEvent::Lost { endpoint: EndpointId(endpoint) }));
                }
                Step::Wait(seconds) => {
                    table.wait(Duration::from_secs(seconds));
                }
            }
            let meeting = &table.meeting;
            prop_assert!(meeting.participants() <= 3);
            let organizes = meeting.members.values().any(|member| member.person.kind == Kind::Organizer);
            prop_assert!(organizes || meeting.participants() <= 2, "the organiser's seat is kept");
            for waiting in meeting.waiting() {
                prop_assert!(!meeting.members.contains_key(&waiting.id), "who waits is not in");
            }
            prop_assert!(meeting.sessions.len() <= meeting.participants());
            for (session, participant) in &meeting.sessions {
                prop_assert_eq!(meeting.members[participant].session, Some(*session));
            }
            for member in meeting.members.values() {
                let will_leave = member.leaves_at.is_some();
                prop_assert!(member.is_connected() || will_leave, "nobody stays for ever without a connection");
            }
        }
        let started = table.kinds().iter().filter(|kind| **kind == "meetingStarted").count();
        let joined = table.kinds().iter().filter(|kind| **kind == "participantJoined").count();
        let left = table.kinds().iter().filter(|kind| **kind == "participantLeft").count();
        prop_assert!(started <= 1);
        prop_assert_eq!(joined - left, table.meeting.participants());
        let ended = started == 0 || table.kinds().last() == Some(&"meetingEnded");
        prop_assert!(!table.meeting.is_over() || ended && table.meeting.waiting().is_empty());
        prop_assert!(table.meeting.is_over() || started == 0 || !ended);
    }
}

/// A page whose offer with lines for a screen was answered; its screen is publication `first + 1`, its sound `first + 2`.
fn page_with_screen(table: &mut Table, who: &Identity, endpoint: u64, first: u32) -> SessionId {
    let session = table.join(who);
    table.say(session, ClientMessage::Offer { id: None, sdp: String::new(), lines: Vec::new() });
    let kinds = [PublicationKind::Camera, PublicationKind::Screen, PublicationKind::ScreenAudio];
    let publications = kinds.into_iter().zip(first..).map(|(kind, id)| MediaPublication { id, kind }).collect();
    let effects = table.give(Command::MediaAnswered {
        participant: who.participant,
        offered: Offered::Live { session, id: None },
        result: Ok(MediaConnected { publications, ..connected(endpoint, first) }),
    });
    assert_eq!(announcements(&effects), [(vec![first], vec![])], "the screen is not shared yet");
    session
}

/// What is announced, as ids that come and ids that go.
fn announcements(effects: &[Effect]) -> Vec<(Vec<u32>, Vec<u32>)> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Broadcast(ServerMessage::Publications { added, removed }) => {
            Some((added.iter().map(|one| one.id).collect(), removed.clone()))
        }
        _ => None,
    });
    messages.collect()
}

fn share(table: &mut Table, session: SessionId, kind: PublicationKind, on: bool) -> Vec<Effect> {
    table.say(session, ClientMessage::Mute { id: Some(1), kind, muted: !on })
}

#[test]
fn a_screen_is_announced_while_it_is_shared_and_before_the_router_lets_it_through() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let session = page_with_screen(&mut table, &ada, 1, 10);
    assert_eq!(errors(&share(&mut table, session, PublicationKind::ScreenAudio, true)), ["not_sharing"]);
    let effects = share(&mut table, session, PublicationKind::Screen, true);
    assert_eq!(announcements(&effects), [(vec![11], vec![])]);
    let announced = place(&effects, |e| matches!(e, Effect::Broadcast(ServerMessage::Publications { .. })));
    let let_through =
        place(&effects, |e| matches!(e, Effect::SetMuted { kind: PublicationKind::Screen, muted: false, .. }));
    assert!(announced < let_through);
    assert_eq!(announcements(&share(&mut table, session, PublicationKind::Screen, true)), [], "it is no news twice");
    assert_eq!(announcements(&share(&mut table, session, PublicationKind::ScreenAudio, true)), [(vec![12], vec![])]);
    assert_eq!(table.meeting.publications().len(), 3);
    let effects = share(&mut table, session, PublicationKind::Screen, false);
    assert_eq!(announcements(&effects), [(vec![], vec![12]), (vec![], vec![11])], "the sound ends with the screen");
    assert_eq!(table.meeting.publications().len(), 1);
}

#[test]
fn whoever_begins_to_share_takes_over_and_the_other_is_told() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let first = page_with_screen(&mut table, &ada, 1, 10);
    let second = page_with_screen(&mut table, &bob, 2, 20);
    share(&mut table, first, PublicationKind::Screen, true);
    let effects = share(&mut table, second, PublicationKind::Screen, true);
    place(&effects, |e| {
        matches!(e, Effect::Send { session, message: ServerMessage::Muted { kind: PublicationKind::Screen, by } }
            if *session == first && *by == Some(bob.participant))
    });
    place(&effects, |e| {
        matches!(e, Effect::SetMuted { participant, kind: PublicationKind::Screen, muted: true }
            if *participant == ada.participant)
    });
    let screens = |table: &Table| -> Vec<u32> {
        let all = table.meeting.publications().into_iter();
        all.filter(|one| one.kind == PublicationKind::Screen).map(|one| one.id).collect()
    };
    assert_eq!(screens(&table), [21], "one at a time");
    // A new peer connection of the page goes on sharing.
    table.say(second, ClientMessage::Offer { id: None, sdp: String::new(), lines: Vec::new() });
    let publications = vec![MediaPublication { id: 31, kind: PublicationKind::Screen }];
    let effects = table.give(Command::MediaAnswered {
        participant: bob.participant,
        offered: Offered::Live { session: second, id: None },
        result: Ok(MediaConnected { publications, ..connected(3, 30) }),
    });
    place(&effects, |e| matches!(e, Effect::SetMuted { kind: PublicationKind::Screen, muted: false, .. }));
    assert_eq!(screens(&table), [31]);
    table.say(second, ClientMessage::Leave { id: None });
    assert_eq!(screens(&table), Vec::<u32>::new(), "and with whoever shared it goes");
}

#[test]
fn the_spotlight_is_on_one_person_for_everybody_until_it_is_ended_or_they_leave() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let (first, second) = (table.join(&ada), table.join(&bob));
    let lit = |table: &Table| -> Vec<ParticipantId> {
        table.meeting.roster().into_iter().filter(|one| one.spotlit).map(|one| one.id).collect()
    };
    let on = |participant_id| ClientMessage::Spotlight { id: Some(1), participant_id };
    let told = |effects: &[Effect]| -> usize {
        effects.iter().filter(|effect| matches!(effect, Effect::Broadcast(ServerMessage::Roster { .. }))).count()
    };
    assert_eq!(told(&table.say(first, on(Some(bob.participant)))), 1);
    assert_eq!(lit(&table), [bob.participant]);
    assert_eq!(told(&table.say(second, on(Some(bob.participant)))), 0, "it is no news twice");
    let effects = table.say(second, on(Some(ada.participant)));
    place(&effects, |e| matches!(e, Effect::Broadcast(ServerMessage::Roster { changed, .. }) if changed.len() == 2));
    assert_eq!(lit(&table), [ada.participant], "one at a time");

    table.give(Command::SessionLost { session: first });
    assert_eq!(lit(&table), [ada.participant], "who comes back soon is still in it");
    let first = table.join(&ada);
    assert_eq!(lit(&table), [ada.participant]);
    assert_eq!(errors(&table.say(first, on(Some(ParticipantId::generate())))), ["not_in_meeting"]);
    table.say(first, on(None));
    assert_eq!(lit(&table), []);
    table.say(second, on(Some(ada.participant)));
    table.say(first, ClientMessage::Leave { id: None });
    table.join(&ada);
    assert_eq!(lit(&table), [], "who left and joins anew is not");
}

#[test]
fn what_the_network_is_like_is_told_to_its_own_page_alone() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let (session, _) = (table.join(&ada), table.join(&bob));
    let offered = Offered::Live { session, id: None };
    table.say(session, ClientMessage::Offer { id: None, sdp: "v=0".to_owned(), lines: Vec::new() });
    table.give(Command::MediaAnswered { participant: ada.participant, offered, result: Ok(connected(1, 7)) });
    let look = |endpoint| MediaEvent::Health { endpoint: EndpointId(endpoint), health: Box::default() };
    let effects = table.give(Command::Media(look(1)));
    let [Effect::SendNewest { session: to, message: ServerMessage::Health(_) }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(*to, session);
    assert!(table.give(Command::Media(look(2))).is_empty(), "nobody's");
}

#[test]
fn a_network_that_stays_poor_is_shown_to_everybody_once_and_so_is_its_recovery() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let (session, _) = (table.join(&ada), table.join(&bob));
    let offered = Offered::Live { session, id: None };
    table.say(session, ClientMessage::Offer { id: None, sdp: "v=0".to_owned(), lines: Vec::new() });
    table.give(Command::MediaAnswered { participant: ada.participant, offered, result: Ok(connected(1, 7)) });
    let mut look = |missing| {
        let up = UplinkHealth {
            publication_id: 7,
            kind: PublicationKind::Camera,
            bitrates: vec![Some(150_000)],
            packets: 100,
            loss_permille: Some(missing),
            missing_permille: Some(missing),
            jitter: 3,
            mixed: None,
        };
        let health = Box::new(MediaHealth { up: vec![up], ..MediaHealth::default() });
        let effects = table.give(Command::Media(MediaEvent::Health { endpoint: EndpointId(1), health }));
        let told = effects.iter().find_map(|effect| match effect {
            Effect::Broadcast(ServerMessage::Roster { changed, .. }) => Some(changed[0].network),
            _ => None,
        });
        told.map(|grade| grade.unwrap())
    };
    let seen = [0, 0, 200, 0, 200, 200, 200, 200, 0, 0, 0, 0, 0, 0].map(&mut look);
    let changes: Vec<_> = seen.iter().enumerate().filter_map(|(at, grade)| grade.map(|grade| (at, grade))).collect();
    assert_eq!(changes, [(1, NetworkGrade::Good), (5, NetworkGrade::Poor), (12, NetworkGrade::Good)]);
}
