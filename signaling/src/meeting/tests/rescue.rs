//! What another task is given of a meeting whose task failed.

use super::*;
use crate::policy::settings::{LobbyBypassSettings, LobbyScope};

impl Table {
    /// A fault, and the next task's first step.
    fn fault(&mut self) -> Vec<Effect> {
        let id = MeetingId::generate();
        let failed =
            std::mem::replace(&mut self.meeting, Meeting::new(id, Limits::default(), MeetingSettings::default()));
        self.meeting = failed.rescued(self.now);
        self.wait(Duration::ZERO)
    }

    fn offer(&mut self, session: SessionId, participant: ParticipantId, endpoint: u64) {
        self.say(session, ClientMessage::Offer { id: None, sdp: "v=0".to_owned(), lines: Vec::new() });
        let result = Ok(connected(endpoint, endpoint as u32));
        let offered = Offered::Live { session, id: None };
        self.give(Command::MediaAnswered { participant, offered, result });
    }
}

#[test]
fn after_a_fault_everybody_has_the_grace_time_and_their_endpoints_are_still_theirs() {
    let mut table = Table::new(Limits::default());
    let (ada, bob) = (person(Role::Organizer), person(Role::Presenter));
    table.join(&ada);
    let session = table.join(&bob);
    table.offer(session, bob.participant, 7);
    table.say(session, ClientMessage::Mute { id: None, kind: PublicationKind::Camera, muted: true });
    // The next offer is with the engine when it happens, and its answer never comes.
    table.say(session, ClientMessage::Offer { id: None, sdp: "v=0".to_owned(), lines: Vec::new() });
    let before = table.meeting.publications();
    let effects = table.fault();
    let muted = |effect: &Effect| matches!(effect, Effect::SetMuted { participant, kind: PublicationKind::Camera, muted: true } if *participant == bob.participant);
    assert!(effects.iter().any(muted), "the router is told again: {effects:#?}");
    assert!(table.meeting.has_endpoint(EndpointId(7)));
    assert_eq!((table.meeting.publications(), table.meeting.participants()), (before, 2));

    table.wait(Duration::from_secs(29));
    let session = table.join(&bob);
    let effects = table.say(session, ClientMessage::Offer { id: None, sdp: "v=0".to_owned(), lines: Vec::new() });
    let replaces =
        |effect: &Effect| matches!(effect, Effect::Connect { request, .. } if request.replaces == Some(EndpointId(7)));
    assert!(effects.iter().any(replaces), "{effects:#?}");
    let effects = table.wait(Duration::from_secs(1));
    let gone = |effect: &Effect| matches!(effect, Effect::RemoveMedia(who) if *who == ada.participant);
    assert!(effects.iter().any(gone), "who stays away is gone: {effects:#?}");
    assert_eq!(table.meeting.roster().iter().map(|one| one.id).collect::<Vec<_>>(), [bob.participant]);
}

#[test]
fn a_meeting_to_which_nobody_comes_back_after_a_fault_ends() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&somebody(Kind::Member));
    table.fault();
    table.give(Command::SessionLost { session });
    table.wait(Duration::from_secs(30));
    assert!(table.meeting.is_over());
    assert_eq!(table.kinds().last(), Some(&"meetingEnded"));

    let mut empty = Table::new(Limits::default());
    empty.fault();
    empty.wait(Duration::from_secs(30));
    assert!(empty.meeting.is_over(), "nor does one hang on in which nobody was yet");
}

#[test]
fn what_was_decided_at_the_door_stands_after_a_fault() {
    let lobby_bypass_settings = LobbyBypassSettings { scope: LobbyScope::Organizer, is_dial_in_bypass_enabled: false };
    let mut table = Table::with(MeetingSettings { lobby_bypass_settings, ..MeetingSettings::default() });
    let people = [person(Role::Presenter), person(Role::Presenter), person(Role::Presenter)];
    let organiser = table.join(&person(Role::Organizer));
    people.iter().for_each(|who| drop(table.knock(who)));
    let [bob, mallory, carol] = &people;
    table.say(organiser, ClientMessage::Admit { id: None, participant_id: bob.participant });
    table.say(organiser, ClientMessage::Deny { id: None, participant_id: mallory.participant });
    table.fault();
    assert!(table.meeting.waiting().is_empty(), "who waited had a session and nothing else");
    table.join(bob);
    let (_, effects) = table.knock(mallory);
    assert!(matches!(effects.as_slice(), [Effect::Refuse { refusal: Refusal::Denied, .. }]), "{effects:#?}");
    table.knock(carol);
    assert_eq!(table.meeting.waiting().iter().map(|one| one.id).collect::<Vec<_>>(), [carol.participant]);
}
