//! Rights and roles in a running meeting: every verb by the table, hard mutes, demotion, hands and reactions.

use super::*;
use crate::policy::settings::AllowedPresenters;
use crate::protocol::{CallReaction, Right};

/// One wish for each right that a client can ask for, with somebody else to ask it about.
fn wishes(whom: ParticipantId) -> Vec<(Right, ClientMessage)> {
    let id = Some(1);
    let mute = |kind| ClientMessage::Mute { id, kind, muted: false };
    vec![
        (Right::Microphone, mute(PublicationKind::Microphone)),
        (Right::Camera, mute(PublicationKind::Camera)),
        (Right::Share, mute(PublicationKind::Screen)),
        (Right::Share, mute(PublicationKind::ScreenAudio)),
        (Right::Chat, ClientMessage::Chat { id, client_message_id: "m".to_owned(), text: "x".to_owned() }),
        (Right::RaiseHand, ClientMessage::Hand { id, raised: true, participant_id: None }),
        (Right::React, ClientMessage::React { id, reaction: CallReaction::Like }),
        (Right::Spotlight, ClientMessage::Spotlight { id, participant_id: Some(whom) }),
        (Right::Mute, ClientMessage::MuteParticipant { id, participant_id: whom }),
        (Right::Mute, ClientMessage::MuteAll { id }),
        (Right::Admit, ClientMessage::Admit { id, participant_id: whom }),
        (Right::Admit, ClientMessage::AdmitAll { id }),
        (Right::Admit, ClientMessage::Deny { id, participant_id: whom }),
        (Right::LowerHands, ClientMessage::Hand { id, raised: false, participant_id: Some(whom) }),
        (Right::SetRoles, ClientMessage::SetRole { id, participant_id: whom, role: Role::Attendee }),
        (Right::Lock, ClientMessage::Lock { id, locked: true }),
        (Right::Record, ClientMessage::Record { id, action: RecordAction::Start }),
        (Right::Remove, ClientMessage::RemoveParticipant { id, participant_id: whom }),
    ]
}

#[test]
fn every_verb_asks_the_table() {
    let coorganizer = somebody(Kind::Member);
    let attendee = somebody(Kind::Member);
    let settings = MeetingSettings {
        coorganizers: vec![coorganizer.person.user.unwrap()],
        allowed_presenters: AllowedPresenters::Organization,
        ..MeetingSettings::default()
    };
    let (organizer, presenter, guest) = (person(Role::Organizer), somebody(Kind::Member), person(Role::Presenter));
    for who in [&organizer, &coorganizer, &presenter, &guest, &attendee] {
        for (right, wish) in wishes(ParticipantId::from_u128(1)) {
            let mut table = Table::with(settings.clone());
            table.join(&person(Role::Organizer));
            let mut whom = person(Role::Presenter);
            whom.participant = ParticipantId::from_u128(1);
            table.join(&whom);
            let session = table.join(who);
            if who.participant == attendee.participant {
                table.meeting.given_roles.insert(who.participant, Role::Attendee);
                table.join(who);
            }
            let session = table.meeting.members[&who.participant].session.unwrap_or(session);
            let may = table.meeting.rights(who.participant).contains(&right);
            let effects = table.say(session, wish.clone());
            let refused = errors(&effects).contains(&"not_allowed");
            assert_eq!(refused, !may, "{:?} {wish:?}", table.meeting.role(who.participant));
            assert!(may || effects.len() == 1, "and nothing else happens: {wish:?}");
        }
    }
}

#[test]
fn an_organiser_cannot_be_removed_nor_a_co_organiser_by_their_like() {
    let (ada, eve, fay) = (person(Role::Organizer), somebody(Kind::Member), somebody(Kind::Member));
    let coorganizers = vec![eve.person.user.unwrap(), fay.person.user.unwrap()];
    let mut table = Table::with(MeetingSettings { coorganizers, ..MeetingSettings::default() });
    let first = table.join(&ada);
    let second = table.join(&eve);
    table.join(&fay);
    let third = table.join(&somebody(Kind::Member));
    let remove = |whom: &Identity| ClientMessage::RemoveParticipant { id: None, participant_id: whom.participant };
    for (session, whom) in [(second, &ada), (third, &ada), (second, &fay), (third, &fay), (first, &ada)] {
        assert_eq!(errors(&table.say(session, remove(whom))), ["not_allowed"]);
    }
    assert!(errors(&table.say(first, remove(&fay))).is_empty(), "but by the organiser");
}

#[test]
fn roles_are_kept_while_the_meeting_lasts_and_told_to_all() {
    let mut table = Table::new(Limits::default());
    let organiser = table.join(&person(Role::Organizer));
    let bob = person(Role::Presenter);
    let session = table.join(&bob);
    let set = |role| ClientMessage::SetRole { id: Some(1), participant_id: bob.participant, role };
    let effects = table.say(organiser, set(Role::Attendee));
    place(&effects, |e| {
        matches!(e, Effect::Send { session: to, message: ServerMessage::Rights { role: Role::Attendee, may } }
            if *to == session && !may.contains(&Right::Share))
    });
    place(
        &effects,
        |e| matches!(e, Effect::Broadcast(ServerMessage::Roster { changed, .. }) if changed[0].role == Role::Attendee),
    );
    table.say(session, ClientMessage::Leave { id: None });
    table.join(&bob);
    assert_eq!(table.meeting.role(bob.participant), Role::Attendee, "leaving is no way out of it");
    assert_eq!(errors(&table.say(organiser, set(Role::Coorganizer))), ["not_allowed"], "without an account");
    assert_eq!(errors(&table.say(organiser, set(Role::Organizer))), ["not_allowed"]);
}

#[test]
fn who_organises_is_kept_with_the_meeting() {
    let mut table = Table::new(Limits::default());
    let organiser = table.join(&person(Role::Organizer));
    let eve = somebody(Kind::Member);
    let user = eve.person.user.unwrap();
    let session = table.join(&eve);
    let set = |role| ClientMessage::SetRole { id: Some(7), participant_id: eve.participant, role };
    let effects = table.say(organiser, set(Role::Coorganizer));
    place(&effects, |e| {
        matches!(e, Effect::ChangeSettings { change: super::super::SettingsChange::AddCoorganizer(of), ack: Some((to, Some(7))) }
            if *of == user && *to == organiser)
    });
    assert!(table.meeting.rights(eve.participant).contains(&Right::ChangeOptions));
    // By another participant of the same account, too.
    let other = Identity { participant: ParticipantId::generate(), ..eve.clone() };
    table.join(&other);
    assert_eq!(table.meeting.role(other.participant), Role::Coorganizer);
    assert_eq!(errors(&table.say(session, set(Role::Presenter))), ["not_allowed"], "they do not unmake themselves");
    table.say(organiser, set(Role::Presenter));
    assert_eq!(
        (table.meeting.role(eve.participant), table.meeting.role(other.participant)),
        (Role::Presenter, Role::Presenter)
    );
    assert!(table.meeting.settings.coorganizers.is_empty());

    table.say(organiser, set(Role::Coorganizer));
    table.say(organiser, ClientMessage::RemoveParticipant { id: None, participant_id: eve.participant });
    assert!(table.meeting.settings.coorganizers.is_empty(), "who is put out is no co-organiser any more");

    let full = MeetingSettings { coorganizers: (0..10).map(|_| UserId::generate()).collect(), ..Default::default() };
    let mut table = Table::with(full);
    let organiser = table.join(&person(Role::Organizer));
    table.join(&eve);
    assert_eq!(errors(&table.say(organiser, set(Role::Coorganizer))), ["too_many_accounts"]);
}

#[test]
fn a_demotion_during_a_share_stops_the_share() {
    let mut table = Table::new(Limits::default());
    let organiser = table.join(&person(Role::Organizer));
    let bob = person(Role::Presenter);
    let session = page_with_screen(&mut table, &bob, 1, 10);
    share(&mut table, session, PublicationKind::Screen, true);
    share(&mut table, session, PublicationKind::ScreenAudio, true);
    let demote = ClientMessage::SetRole { id: None, participant_id: bob.participant, role: Role::Attendee };
    let effects = table.say(organiser, demote);
    assert_eq!(announcements(&effects), [(vec![], vec![12]), (vec![], vec![11])]);
    for shared in [PublicationKind::Screen, PublicationKind::ScreenAudio] {
        place(&effects, |e| {
            matches!(e, Effect::SetMuted { participant, kind, muted: true }
                if *participant == bob.participant && *kind == shared)
        });
    }
    place(&effects, |e| {
        matches!(e, Effect::Send { session: to, message: ServerMessage::Muted { kind: PublicationKind::Screen, by: Some(_) } }
            if *to == session)
    });
    assert_eq!(errors(&share(&mut table, session, PublicationKind::Screen, true)), ["not_allowed"]);
    assert_eq!(table.meeting.publications().len(), 1, "the camera goes on");
}

#[test]
fn a_hard_mute_acts_in_the_router_on_attendees_and_on_those_who_come_later() {
    let mut table =
        Table::with(MeetingSettings { allowed_presenters: AllowedPresenters::Organizer, ..MeetingSettings::default() });
    let ada = person(Role::Organizer);
    table.join(&ada);
    let bob = person(Role::Presenter);
    let session = table.join(&bob);
    let hard = MeetingSettings { allow_attendee_to_enable_mic: false, ..table.meeting.settings.clone() };
    let effects = table.give(Command::Settings(Box::new(hard.clone())));
    let muted: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::SetMuted { participant, kind, muted: true } => Some((*participant, *kind)),
            _ => None,
        })
        .collect();
    assert_eq!(muted, [(bob.participant, PublicationKind::Microphone)]);
    place(
        &effects,
        |e| matches!(e, Effect::Send { session: to, message: ServerMessage::Muted { by: None, .. } } if *to == session),
    );
    let unmute = |kind| ClientMessage::Mute { id: Some(1), kind, muted: false };
    let effects = table.say(session, unmute(PublicationKind::Microphone));
    assert_eq!((errors(&effects), effects.len()), (vec!["not_allowed"], 1));
    assert!(errors(&table.say(session, unmute(PublicationKind::Camera))).is_empty(), "the camera is another matter");

    let late = person(Role::Presenter);
    let session = table.join(&late);
    table.say(session, ClientMessage::Offer { id: None, sdp: String::new(), lines: Vec::new() });
    let publications = vec![MediaPublication { id: 9, kind: PublicationKind::Microphone }];
    let effects = table.give(Command::MediaAnswered {
        participant: late.participant,
        offered: Offered::Live { session, id: None },
        result: Ok(MediaConnected { publications, ..connected(1, 9) }),
    });
    let silenced = place(&effects, |e| {
        matches!(e, Effect::SetMuted { participant, kind: PublicationKind::Microphone, muted: true }
            if *participant == late.participant)
    });
    let answered = place(&effects, |e| matches!(e, Effect::Send { message: ServerMessage::Answer { .. }, .. }));
    assert!(silenced < answered, "before the first packet can come");
    assert!(table.meeting.roster().iter().any(|one| one.id == late.participant && one.microphone_muted));

    let open = MeetingSettings { allow_attendee_to_enable_mic: true, ..hard };
    let effects = table.give(Command::Settings(Box::new(open)));
    assert!(!effects.iter().any(|e| matches!(e, Effect::SetMuted { muted: false, .. })), "nobody is unmuted by others");
    assert!(errors(&table.say(session, unmute(PublicationKind::Microphone))).is_empty());
}

#[test]
fn everybody_else_is_muted_at_once_and_may_unmute() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let organiser = table.join(&ada);
    let people = [person(Role::Presenter), somebody(Kind::Member)];
    let sessions = people.each_ref().map(|who| table.join(who));
    table.say(organiser, ClientMessage::MuteAll { id: Some(1) });
    let loud: Vec<_> =
        table.meeting.roster().into_iter().filter(|one| !one.microphone_muted).map(|one| one.id).collect();
    assert_eq!(loud, [ada.participant]);
    let unmute = ClientMessage::Mute { id: Some(1), kind: PublicationKind::Microphone, muted: false };
    assert!(errors(&table.say(sessions[0], unmute)).is_empty());
}

#[test]
fn hands_stand_in_the_order_in_which_they_were_raised() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let organiser = table.join(&ada);
    let people = [person(Role::Presenter), person(Role::Presenter)];
    let sessions = people.each_ref().map(|who| table.join(who));
    let hand = |raised, participant_id| ClientMessage::Hand { id: Some(1), raised, participant_id };
    let order = |table: &Table| -> Vec<ParticipantId> {
        let mut raised: Vec<_> =
            table.meeting.roster().into_iter().filter_map(|one| one.hand.map(|place| (place, one.id))).collect();
        raised.sort();
        raised.into_iter().map(|(_, who)| who).collect()
    };
    table.say(sessions[1], hand(true, None));
    table.say(sessions[0], hand(true, None));
    assert!(
        !table.say(sessions[1], hand(true, None)).iter().any(|e| matches!(e, Effect::Broadcast(_))),
        "no news twice"
    );
    assert_eq!(order(&table), [people[1].participant, people[0].participant]);
    assert_eq!(errors(&table.say(sessions[0], hand(false, Some(people[1].participant)))), ["not_allowed"]);
    assert!(errors(&table.say(organiser, hand(false, Some(people[1].participant)))).is_empty());
    assert_eq!(errors(&table.say(organiser, hand(true, Some(people[1].participant)))), ["not_allowed"]);
    assert_eq!(order(&table), [people[0].participant]);
    table.say(sessions[1], hand(true, None));
    assert_eq!(order(&table), [people[0].participant, people[1].participant], "raised anew, one stands at the end");
    table.give(Command::SessionLost { session: sessions[0] });
    table.join(&people[0]);
    assert_eq!(order(&table)[0], people[0].participant, "who comes back soon keeps their place");
}

#[test]
fn reactions_are_for_the_moment_and_not_for_drumming() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let session = table.join(&ada);
    let thread = table.thread.len();
    let react = |reaction| ClientMessage::React { id: Some(1), reaction };
    let shown =
        |effects: &[Effect]| effects.iter().any(|e| matches!(e, Effect::Broadcast(ServerMessage::Reactions { .. })));
    for _ in 0..5 {
        assert!(shown(&table.say(session, react(CallReaction::Applause))));
    }
    let effects = table.say(session, react(CallReaction::Applause));
    assert_eq!((errors(&effects), effects.len()), (vec!["too_many_requests"], 1));
    table.wait(Duration::from_secs(1));
    assert!(shown(&table.say(session, react(CallReaction::Heart))));
    assert_eq!(errors(&table.say(session, react(CallReaction::Heart))), ["too_many_requests"]);
    table.wait(Duration::from_secs(5));
    assert_eq!(errors(&table.say(session, react(CallReaction::Unknown))), ["unknown_reaction"]);
    assert_eq!(table.thread.len(), thread, "nothing is kept");
}
