//! The lobby: what a hostile client finds there, who is let in when, and how it ends.

use super::*;
use crate::policy::settings::{LobbyBypassSettings, LobbyScope};
use crate::protocol::{LobbyReason, RemovedReason, WaitingView};

fn scope(scope: LobbyScope) -> MeetingSettings {
    let lobby_bypass_settings = LobbyBypassSettings { scope, is_dial_in_bypass_enabled: false };
    MeetingSettings { lobby_bypass_settings, ..MeetingSettings::default() }
}

fn welcomed(effects: &[Effect]) -> Vec<SessionId> {
    let welcomes = effects.iter().filter_map(|effect| match effect {
        Effect::Welcome { session, .. } => Some(*session),
        _ => None,
    });
    welcomes.collect()
}

fn reasons(effects: &[Effect]) -> Vec<(SessionId, LobbyReason)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Send { session, message: ServerMessage::Lobby { reason, .. } } => Some((*session, *reason)),
        _ => None,
    });
    told.collect()
}

fn sent_away(effects: &[Effect]) -> Vec<(SessionId, RemovedReason)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Send { session, message: ServerMessage::Removed { reason } } => Some((*session, *reason)),
        _ => None,
    });
    told.collect()
}

fn ids(waiting: &[WaitingView]) -> Vec<ParticipantId> {
    waiting.iter().map(|one| one.id).collect()
}

#[test]
fn who_waits_is_told_why_and_nothing_of_the_meeting_happens() {
    let mut table = Table::with(scope(LobbyScope::Organizer));
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    table.join(&ada);
    let thread = table.thread.len();
    let (session, effects) = table.knock(&bob);
    assert_eq!(reasons(&effects), [(session, LobbyReason::Policy)]);
    let told = effects.iter().find_map(|effect| match effect {
        Effect::TellAdmitters { added, removed } if removed.is_empty() => Some(ids(added)),
        _ => None,
    });
    assert_eq!(told, Some(vec![bob.participant]), "and those who decide are told who");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Broadcast(_) | Effect::Append { .. })));
    assert_eq!((table.meeting.roster().len(), table.thread.len()), (1, thread));
}

#[test]
fn a_hostile_client_in_the_lobby_is_refused_whatever_it_asks() {
    let mut table = Table::with(scope(LobbyScope::Organizer));
    let (ada, mallory) = (person(Role::Organizer), person(Role::Presenter));
    table.join(&ada);
    let (session, _) = table.knock(&mallory);
    let (me, whom) = (mallory.participant, ada.participant);
    let kinds =
        [PublicationKind::Microphone, PublicationKind::Camera, PublicationKind::Screen, PublicationKind::ScreenAudio];
    let mutes = kinds.into_iter().flat_map(|kind| [false, true].map(|muted| (kind, muted)));
    let wishes = [
        ClientMessage::Offer { id: Some(1), sdp: "v=0".to_owned(), lines: Vec::new() },
        ClientMessage::Chat { id: Some(1), client_message_id: "m".to_owned(), text: "let me in".to_owned() },
        ClientMessage::MuteParticipant { id: Some(1), participant_id: whom },
        ClientMessage::MuteAll { id: Some(1) },
        ClientMessage::RemoveParticipant { id: Some(1), participant_id: whom },
        ClientMessage::SetRole { id: Some(1), participant_id: me, role: Role::Coorganizer },
        ClientMessage::Admit { id: Some(1), participant_id: me },
        ClientMessage::AdmitAll { id: Some(1) },
        ClientMessage::Deny { id: Some(1), participant_id: me },
        ClientMessage::Lock { id: Some(1), locked: false },
        ClientMessage::Hand { id: Some(1), raised: true, participant_id: None },
        ClientMessage::React { id: Some(1), reaction: crate::protocol::CallReaction::Like },
        ClientMessage::Spotlight { id: Some(1), participant_id: Some(me) },
        ClientMessage::Record { id: Some(1), action: RecordAction::Start },
        ClientMessage::Layout(Default::default()),
        ClientMessage::Uplink { held_back: Default::default() },
    ];
    let wishes = wishes.into_iter().chain(mutes.map(|(kind, muted)| ClientMessage::Mute { id: Some(1), kind, muted }));
    for wish in wishes {
        let effects = table.say(session, wish.clone());
        assert_eq!(errors(&effects), ["in_lobby"], "{wish:?}");
        assert_eq!(effects.len(), 1, "and nothing else happens: {wish:?}");
    }
    let (ticket, resource) = (Ticket(1), SessionId::generate());
    let effects = table.give(Command::StandardOffer { ticket, who: mallory.clone(), resource, sdp: String::new() });
    let [Effect::ReplyDoor { reply: DoorReply::NotLetIn(Refusal::Waits), .. }] = effects.as_slice() else {
        panic!("WHIP let somebody past the lobby: {effects:#?}")
    };
    assert_eq!(table.meeting.roster().len(), 1);
    assert!(table.meeting.publications().is_empty() && table.meeting.slots(me).is_empty());
}

#[test]
fn who_is_admitted_goes_on_with_the_same_session_and_may_come_back() {
    let mut table = Table::with(scope(LobbyScope::Organizer));
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    let organiser = table.join(&ada);
    let (session, _) = table.knock(&bob);
    let effects = table.say(organiser, ClientMessage::Admit { id: Some(1), participant_id: bob.participant });
    assert_eq!(welcomed(&effects), [session]);
    let told = |e: &Effect| matches!(e, Effect::TellAdmitters { removed, .. } if *removed == [bob.participant]);
    place(&effects, told);
    assert_eq!((table.meeting.roster().len(), table.meeting.waiting().len()), (2, 0));
    let effects = table.say(organiser, ClientMessage::Admit { id: Some(2), participant_id: bob.participant });
    assert_eq!(errors(&effects), ["not_waiting"]);
    // Long gone, and back by the same token; also by WHIP.
    table.give(Command::SessionLost { session });
    table.wait(Duration::from_secs(60));
    assert_eq!(table.meeting.roster().len(), 1);
    let (_, effects) = table.knock(&bob);
    assert_eq!(welcomed(&effects).len(), 1, "who was let in once need not wait again");
    let (ticket, resource) = (Ticket(1), SessionId::generate());
    let effects = table.give(Command::StandardOffer { ticket, who: bob, resource, sdp: String::new() });
    place(&effects, |e| matches!(e, Effect::Connect { .. }));
}

#[test]
fn all_are_admitted_in_the_order_in_which_they_came_as_far_as_there_is_room() {
    let mut table = Table::with(scope(LobbyScope::Organizer));
    table.meeting.limits.participants = 3;
    let organiser = table.join(&person(Role::Organizer));
    // Not in the order of their ids.
    let mut people: Vec<_> = (0..3).map(|_| person(Role::Presenter)).collect();
    people.reverse();
    let sessions: Vec<_> = people.iter().map(|who| table.knock(who).0).collect();
    let effects = table.say(organiser, ClientMessage::AdmitAll { id: Some(1) });
    assert_eq!(welcomed(&effects), sessions[..2]);
    assert_eq!(errors(&effects), ["meeting_full"]);
    assert_eq!(ids(&table.meeting.waiting()), [people[2].participant]);
    let effects = table.say(sessions[0], ClientMessage::Leave { id: None });
    assert_eq!(welcomed(&effects), [sessions[2]], "who is admitted already waits for the seat alone");
}

#[test]
fn who_is_denied_is_told_and_does_not_get_in_with_the_same_token() {
    let mut table = Table::with(scope(LobbyScope::Organizer));
    let organiser = table.join(&person(Role::Organizer));
    let bob = person(Role::Presenter);
    let (session, _) = table.knock(&bob);
    let effects = table.say(organiser, ClientMessage::Deny { id: Some(1), participant_id: bob.participant });
    assert_eq!(sent_away(&effects), [(session, RemovedReason::Denied)]);
    place(&effects, |e| matches!(e, Effect::Close { code: CloseCode::NotLetIn, .. }));
    assert!(table.meeting.waiting().is_empty());
    let (_, effects) = table.knock(&bob);
    assert!(matches!(effects.as_slice(), [Effect::Refuse { refusal: Refusal::Denied, .. }]));
}

#[test]
fn only_those_who_keep_order_decide() {
    for (kind, decides) in
        [(Kind::Member, true), (Kind::Guest, true), (Kind::Federated, true), (Kind::Anonymous, false)]
    {
        let mut table = Table::new(Limits::default());
        let organiser = table.join(&person(Role::Organizer));
        let helper = somebody(kind);
        let session = table.join(&helper);
        assert_eq!(table.meeting.hears_of_lobby(helper.participant), decides, "{kind:?}");
        table.say(organiser, ClientMessage::Lock { id: None, locked: true });
        let bob = person(Role::Presenter);
        table.knock(&bob);
        let effects = table.say(session, ClientMessage::Admit { id: Some(1), participant_id: bob.participant });
        assert_eq!(welcomed(&effects).len(), usize::from(decides), "{kind:?}");
        assert_eq!(errors(&effects).contains(&"not_allowed"), !decides, "{kind:?}");
    }
}

#[test]
fn the_anonymous_wait_until_a_verified_person_has_started_and_are_then_let_in_by_themselves() {
    for starter in [Kind::Organizer, Kind::Member, Kind::Guest, Kind::Federated] {
        let mut table = Table::new(Limits::default());
        let early: Vec<_> = (0..3).map(|_| table.knock(&person(Role::Presenter)).0).collect();
        let (foreign, effects) = table.knock(&somebody(Kind::Foreign));
        assert_eq!(reasons(&effects), [(foreign, LobbyReason::NotStarted)]);
        assert!(table.thread.is_empty() && table.meeting.roster().is_empty(), "it has not begun");
        let (session, effects) = table.knock(&somebody(starter));
        let mut all = vec![session];
        all.extend(early);
        all.push(foreign);
        assert_eq!(welcomed(&effects), all, "{starter:?}: first whoever starts, then in order");
        // Whoever comes later walks in, also when the starter has gone.
        table.say(session, ClientMessage::Leave { id: None });
        table.join(&person(Role::Presenter));
    }
}

#[test]
fn where_the_organiser_says_so_the_anonymous_start() {
    let mut table = Table::with(MeetingSettings { can_anonymous_start: true, ..MeetingSettings::default() });
    table.join(&person(Role::Presenter));
    assert_eq!(table.kinds(), ["meetingStarted", "participantJoined"]);
}

#[test]
fn a_whip_publisher_who_is_verified_starts_the_meeting_too() {
    let mut table = Table::new(Limits::default());
    let (session, _) = table.knock(&person(Role::Presenter));
    let (ticket, resource) = (Ticket(1), SessionId::generate());
    let who = somebody(Kind::Member);
    let effects = table.give(Command::StandardOffer { ticket, who, resource, sdp: String::new() });
    assert_eq!(welcomed(&effects), [session]);
}

#[test]
fn after_a_removal_a_fresh_face_waits_until_the_organiser_says_otherwise() {
    let mut table = Table::new(Limits::default());
    let organiser = table.join(&person(Role::Organizer));
    let bystander = table.join(&person(Role::Presenter));
    let bob = person(Role::Presenter);
    table.join(&bob);
    let remove = ClientMessage::RemoveParticipant { id: Some(1), participant_id: bob.participant };
    let effects = table.say(organiser, remove);
    place(&effects, |e| {
        matches!(e, Effect::ChangeSettings { change: super::super::SettingsChange::HoldAnonymous(true), .. })
    });
    place(&effects, |e| matches!(e, Effect::Broadcast(ServerMessage::Options(view)) if view.are_anonymous_held));
    let fresh = person(Role::Presenter);
    let (session, effects) = table.knock(&fresh);
    assert_eq!(reasons(&effects), [(session, LobbyReason::Policy)]);
    assert!(!table.meeting.roster().iter().any(|one| one.id == fresh.participant));
    table.join(&somebody(Kind::Member));
    // Whoever was in already comes back.
    table.give(Command::SessionLost { session: bystander });
    let effects = table.give(Command::Settings(Box::default()));
    assert_eq!(welcomed(&effects), [session], "the organiser says otherwise");
}

#[test]
fn a_removed_account_waits_under_whichever_name_it_comes_back() {
    let mut table = Table::new(Limits::default());
    let organiser = table.join(&person(Role::Organizer));
    let eve = somebody(Kind::Member);
    table.join(&eve);
    table.say(organiser, ClientMessage::RemoveParticipant { id: None, participant_id: eve.participant });
    let again = Identity { participant: ParticipantId::generate(), ..eve };
    let (session, effects) = table.knock(&again);
    assert_eq!(reasons(&effects), [(session, LobbyReason::Policy)]);
}

#[test]
fn a_locked_meeting_holds_everybody_who_comes_and_lets_them_in_when_it_is_unlocked() {
    let mut table = Table::new(Limits::default());
    let organiser = table.join(&person(Role::Organizer));
    let insider = person(Role::Presenter);
    let inside = table.join(&insider);
    table.say(organiser, ClientMessage::Lock { id: Some(1), locked: true });
    let member = somebody(Kind::Member);
    let (session, effects) = table.knock(&member);
    assert_eq!(reasons(&effects), [(session, LobbyReason::Locked)]);
    table.give(Command::SessionLost { session: inside });
    table.join(&insider);
    let effects = table.say(organiser, ClientMessage::Lock { id: Some(2), locked: false });
    assert_eq!(welcomed(&effects), [session]);
    place(&effects, |e| matches!(e, Effect::ChangeSettings { ack: Some((of, Some(2))), .. } if *of == organiser));
}

#[test]
fn a_change_of_the_options_gives_those_who_wait_another_reason() {
    let mut table = Table::new(Limits::default());
    let (session, effects) = table.knock(&person(Role::Presenter));
    assert_eq!(reasons(&effects), [(session, LobbyReason::NotStarted)]);
    let locked = MeetingSettings { is_locked: true, ..MeetingSettings::default() };
    let effects = table.give(Command::Settings(Box::new(locked)));
    assert_eq!(reasons(&effects), [(session, LobbyReason::Locked)]);
    assert_eq!(table.meeting.waiting()[0].reason, LobbyReason::Locked);
    assert!(reasons(&table.give(Command::Settings(Box::new(table.meeting.settings.clone())))).is_empty());
}

#[test]
fn a_lobby_has_room_for_so_many_and_no_more() {
    let mut table = Table::new(Limits { lobby: 2, ..Limits::default() });
    let people = [person(Role::Presenter), person(Role::Presenter), person(Role::Presenter)];
    let (first, _) = table.knock(&people[0]);
    table.knock(&people[1]);
    let (_, effects) = table.knock(&people[2]);
    assert!(matches!(effects.as_slice(), [Effect::Refuse { refusal: Refusal::LobbyFull, .. }]));
    // A newer connection of the same person takes the older one's place.
    let (newer, effects) = table.knock(&people[0]);
    assert_eq!(sent_away(&effects), [(first, RemovedReason::Replaced)]);
    assert!(table.give(Command::SessionLost { session: first }).is_empty());
    assert_eq!(table.meeting.waiting().len(), 2);
    table.give(Command::SessionLost { session: newer });
    let (session, effects) = table.knock(&people[2]);
    assert_eq!(reasons(&effects), [(session, LobbyReason::NotStarted)]);
}

#[test]
fn nobody_waits_for_ever() {
    let mut table = Table::new(Limits::default());
    let (first, _) = table.knock(&person(Role::Presenter));
    table.wait(Duration::from_secs(600));
    let (second, _) = table.knock(&person(Role::Presenter));
    assert!(table.wait(Duration::from_secs(1199)).is_empty());
    assert_eq!(table.meeting.deadline(), Some(table.now + Duration::from_secs(1)));
    let effects = table.wait(Duration::from_secs(1));
    assert_eq!(sent_away(&effects), [(first, RemovedReason::LobbyTimeout)]);
    assert!(!table.meeting.is_over(), "somebody waits still");
    let effects = table.wait(Duration::from_secs(600));
    assert_eq!(sent_away(&effects), [(second, RemovedReason::LobbyTimeout)]);
    assert!(table.meeting.is_over() && table.thread.is_empty(), "it never began");
}

#[test]
fn when_the_meeting_ends_those_who_wait_are_told() {
    let mut table = Table::with(scope(LobbyScope::Organizer));
    let organiser = table.join(&person(Role::Organizer));
    let (session, _) = table.knock(&person(Role::Presenter));
    let effects = table.say(organiser, ClientMessage::Leave { id: None });
    assert_eq!(sent_away(&effects), [(session, RemovedReason::MeetingEnded)]);
    assert!(table.meeting.is_over() && table.meeting.waiting().is_empty());

    let mut table = Table::new(Limits::default());
    let (session, _) = table.knock(&person(Role::Presenter));
    let effects = table.give(Command::Delete);
    assert_eq!(sent_away(&effects), [(session, RemovedReason::MeetingEnded)]);
    let mut table = Table::new(Limits::default());
    let (session, _) = table.knock(&person(Role::Presenter));
    let effects = table.give(Command::Shutdown);
    assert!(
        matches!(effects.as_slice(), [Effect::Close { session: of, code: CloseCode::GoingAway }] if *of == session)
    );
}

#[test]
fn a_meeting_for_which_nobody_waits_any_more_is_over() {
    let mut table = Table::new(Limits::default());
    let (session, _) = table.knock(&person(Role::Presenter));
    assert!(!table.meeting.is_over());
    let effects = table.say(session, ClientMessage::Leave { id: Some(1) });
    place(&effects, |e| matches!(e, Effect::Close { code: CloseCode::Left, .. }));
    assert!(table.meeting.is_over() && table.thread.is_empty());
}

#[test]
fn the_organisers_seat_is_kept() {
    let mut table = Table::with(MeetingSettings { can_anonymous_start: true, ..MeetingSettings::default() });
    table.meeting.limits.participants = 3;
    table.join(&person(Role::Presenter));
    table.join(&somebody(Kind::Member));
    let full = |effects: &[Effect]| matches!(effects, [Effect::Refuse { refusal: Refusal::Full, .. }]);
    assert!(full(&table.knock(&somebody(Kind::Member)).1), "two of three are taken, and one is kept");
    let ada = person(Role::Organizer);
    table.join(&ada);
    assert!(full(&table.knock(&person(Role::Presenter)).1));
    assert_eq!(table.meeting.participants(), 3);
}

#[test]
fn who_comes_by_a_second_connection_when_nothing_holds_them_any_more_does_not_wait_by_the_first() {
    let mut table = Table::new(Limits { participants: 2, ..Limits::default() });
    let (bob, eve) = (person(Role::Presenter), person(Role::Presenter));
    table.knock(&bob);
    let (first, _) = table.knock(&eve);
    table.join(&person(Role::Organizer));
    assert_eq!(ids(&table.meeting.waiting()), [eve.participant], "there is one seat beside the organiser's");
    table.meeting.limits.participants = 3;
    let (second, effects) = table.knock(&eve);
    assert_eq!((welcomed(&effects), sent_away(&effects)), (vec![second], vec![(first, RemovedReason::Replaced)]));
    assert!(table.meeting.waiting().is_empty());
}

#[test]
fn who_becomes_a_presenter_by_name_hears_of_the_lobby_and_an_attendee_does_not_any_more() {
    let mut table = Table::new(Limits::default());
    let organiser = table.join(&person(Role::Organizer));
    let bob = person(Role::Presenter);
    let session = table.join(&bob);
    let mut set = |role| {
        let effects = table.say(organiser, ClientMessage::SetRole { id: None, participant_id: bob.participant, role });
        effects.iter().find_map(|effect| match effect {
            Effect::HearLobby { session: of, hears } if *of == session => Some(*hears),
            _ => None,
        })
    };
    assert_eq!(set(Role::Presenter), Some(true), "made one by name");
    assert_eq!(set(Role::Presenter), None);
    assert_eq!(set(Role::Attendee), Some(false));
}
