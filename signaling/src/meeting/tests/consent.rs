//! Nobody is recorded who has not agreed, where the policy asks for it.

use super::*;
use crate::ports::RecordingNote;
use crate::protocol::{ConsentState, Right};

fn asked_for() -> MeetingSettings {
    MeetingSettings { requires_recording_consent: true, ..MeetingSettings::default() }
}

impl Table {
    fn agree(&mut self, session: SessionId, given: bool) -> Vec<Effect> {
        self.say(session, ClientMessage::RecordingConsent { id: Some(2), given })
    }

    fn unmute(&mut self, session: SessionId, kind: PublicationKind) -> Vec<Effect> {
        self.say(session, ClientMessage::Mute { id: Some(3), kind, muted: false })
    }

    fn may(&self, who: &Identity, right: Right) -> bool {
        self.meeting.rights(who.participant).contains(&right)
    }
}

fn asked(effects: &[Effect], of: SessionId) -> Vec<ConsentState> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Send { session, message: ServerMessage::RecordingConsent { state } } if *session == of => Some(*state),
        _ => None,
    });
    asked.collect()
}

/// Where somebody is muted in the router for the last of all kinds.
fn held_at(effects: &[Effect], who: &Identity) -> usize {
    let of = |kind| {
        place(
            effects,
            |e| matches!(e, Effect::SetMuted { participant, kind: of, muted: true } if *participant == who.participant && *of == kind),
        )
    };
    PublicationKind::ALL.into_iter().map(of).max().unwrap()
}

fn lets_through(effects: &[Effect], who: &Identity) -> bool {
    let opens = |effect: &Effect| matches!(effect, Effect::SetMuted { participant, muted: false, .. } if *participant == who.participant);
    effects.iter().any(opens)
}

#[test]
fn everybody_else_is_muted_in_the_router_before_the_recorder_is_ordered_and_cannot_unmute_by_saying_so() {
    let mut table = Table::with(asked_for());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let (hers, his) = (table.join(&ada), table.join(&bob));
    let effects = table.record(hers, RecordAction::Start);
    let ordered = place(&effects, |e| matches!(e, Effect::StartRecording(_)));
    assert!(held_at(&effects, &bob) < ordered);
    assert_eq!(asked(&effects, his), [ConsentState::Asked]);
    assert_eq!(asked(&effects, hers), [ConsentState::Given], "who starts it agrees by that");
    assert!(table.may(&ada, Right::Microphone) && !table.may(&bob, Right::Microphone));
    for kind in PublicationKind::ALL {
        let effects = table.unmute(his, kind);
        assert_eq!(errors(&effects), ["consent_needed"]);
        assert!(!lets_through(&effects, &bob), "{kind:?}");
    }
    assert!(lets_through(&table.unmute(hers, PublicationKind::Microphone), &ada));
}

#[test]
fn whoever_agrees_may_unmute_and_is_muted_again_when_they_take_it_back() {
    let mut table = Table::with(asked_for());
    let bob = person(Role::Presenter);
    let (hers, his) = (table.join(&person(Role::Organizer)), table.join(&bob));
    table.is_recorded_by(hers);
    let noted = |effects: &[Effect], expected: bool| {
        place(effects, |e| {
            matches!(e, Effect::NoteRecording { note: RecordingNote::Consent { participant, given }, .. }
                if *participant == bob.participant && *given == expected)
        });
        place(effects, |e| matches!(e, Effect::KeepConsent { given, .. } if *given == expected));
    };
    let effects = table.agree(his, true);
    noted(&effects, true);
    assert_eq!(asked(&effects, his), [ConsentState::Given]);
    assert!(!lets_through(&effects, &bob), "they unmute themselves");
    let is_told = |effect: &Effect| matches!(effect, Effect::Broadcast(_) | Effect::Append { .. });
    assert!(!effects.iter().any(is_told), "nobody else hears of it: {effects:#?}");
    assert!(lets_through(&table.unmute(his, PublicationKind::Camera), &bob));
    assert!(lets_through(&table.unmute(his, PublicationKind::Screen), &bob));
    assert_eq!(table.agree(his, true).len(), 1, "said twice it is an ack");

    let effects = table.agree(his, false);
    noted(&effects, false);
    held_at(&effects, &bob);
    assert_eq!(asked(&effects, his), [ConsentState::Asked]);
    let ended = |e: &Effect| {
        matches!(e, Effect::Send { message: ServerMessage::Muted { kind: PublicationKind::Screen, .. }, .. })
    };
    assert!(effects.iter().any(ended), "what they share ends too");
    assert_eq!(errors(&table.unmute(his, PublicationKind::Camera)), ["consent_needed"]);
}

#[test]
fn whoever_comes_is_held_before_their_media_is_let_in_by_every_door() {
    let mut table = Table::with(asked_for());
    let hers = table.join(&person(Role::Organizer));
    table.is_recorded_by(hers);
    let bob = person(Role::Presenter);
    let (his, effects) = table.knock(&bob);
    let welcome = place(&effects, |e| matches!(e, Effect::Welcome { .. }));
    assert!(held_at(&effects, &bob) < welcome);
    assert_eq!(asked(&effects, his), [ConsentState::Asked]);
    let view = table.meeting.roster().into_iter().find(|one| one.id == bob.participant).unwrap();
    assert!(view.microphone_muted && view.camera_muted, "and is shown as muted");

    let eve = person(Role::Presenter);
    let offer = Command::StandardOffer {
        ticket: Ticket(1),
        who: eve.clone(),
        resource: SessionId::generate(),
        sdp: "v=0".to_owned(),
    };
    let effects = table.give(offer);
    assert!(held_at(&effects, &eve) < place(&effects, |e| matches!(e, Effect::Connect { .. })));
}

#[test]
fn holds_end_with_the_recording_after_the_recorder_is_out_of_the_router() {
    let mut table = Table::with(asked_for());
    let bob = person(Role::Presenter);
    let (hers, his) = (table.join(&person(Role::Organizer)), table.join(&bob));
    table.record(hers, RecordAction::Start);
    let recorder = table.meeting.roster().last().unwrap().id;
    table.record(hers, RecordAction::Stop);
    assert!(!table.may(&bob, Right::Microphone), "the recorder may just be starting");
    let effects = table.recorder(RecorderNews::Taken(true));
    let deaf = place(&effects, |e| matches!(e, Effect::RemoveMedia(who) if *who == recorder));
    let free = place(
        &effects,
        |e| matches!(e, Effect::Send { session, message: ServerMessage::Rights { may, .. } } if *session == his && may.contains(&Right::Microphone)),
    );
    assert!(deaf < free);
    assert_eq!(asked(&effects, his), [ConsentState::NotNeeded]);
    assert!(!lets_through(&effects, &bob), "they unmute themselves");
    assert!(lets_through(&table.unmute(his, PublicationKind::Microphone), &bob));
    assert_eq!(errors(&table.agree(his, true)), ["recording_not_on"]);
}

#[test]
fn one_that_fails_lets_everybody_go() {
    let mut table = Table::with(asked_for());
    let bob = person(Role::Presenter);
    let (hers, his) = (table.join(&person(Role::Organizer)), table.join(&bob));
    table.is_recorded_by(hers);
    table.recorder(RecorderNews::Over);
    assert!(lets_through(&table.unmute(his, PublicationKind::Microphone), &bob));
}

#[test]
fn a_policy_that_changes_while_it_records_holds_and_lets_go() {
    let mut table = Table::new(Limits::default());
    let bob = person(Role::Presenter);
    let (hers, his) = (table.join(&person(Role::Organizer)), table.join(&bob));
    table.is_recorded_by(hers);
    assert!(table.may(&bob, Right::Camera), "not asked for, nobody is held");
    let effects = table.give(Command::Settings(Box::new(asked_for())));
    held_at(&effects, &bob);
    assert_eq!(asked(&effects, his), [ConsentState::Asked]);
    let effects = table.give(Command::Settings(Box::default()));
    assert_eq!(asked(&effects, his), [ConsentState::NotNeeded]);
    assert!(table.may(&bob, Right::Camera));
}

#[test]
fn an_attendee_who_agrees_is_still_an_attendee() {
    let settings = MeetingSettings {
        allowed_presenters: crate::policy::settings::AllowedPresenters::Organizer,
        allow_attendee_to_enable_mic: false,
        ..asked_for()
    };
    let mut table = Table::with(settings);
    let (hers, his) = (table.join(&person(Role::Organizer)), table.join(&person(Role::Presenter)));
    table.is_recorded_by(hers);
    assert_eq!(errors(&table.unmute(his, PublicationKind::Microphone)), ["not_allowed"], "agreeing would not help");
    assert_eq!(errors(&table.unmute(his, PublicationKind::Camera)), ["consent_needed"]);
    table.agree(his, true);
    assert_eq!(errors(&table.unmute(his, PublicationKind::Microphone)), ["not_allowed"]);
    assert_eq!(errors(&table.unmute(his, PublicationKind::Camera)), Vec::<&str>::new());
}
