//! A client that applies what it is told has the server's roster, whatever happens to its connection.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::meeting::audience::{
    Arrival, Audience, Greeting, Outgoing, Past, SessionEnd, WelcomeOrder, session_channel,
};
use crate::protocol::{MeetingView, ParticipantView, WelcomeBody, WelcomeFrame, WelcomeHead, WelcomeScene};

/// What a client knows; it believes only an unbroken count.
#[derive(Default)]
struct Client {
    seq: u64,
    people: BTreeMap<ParticipantId, ParticipantView>,
    welcomed: bool,
}

impl Client {
    fn hear(&mut self, json: &[u8]) {
        match serde_json::from_slice(json).unwrap() {
            ServerMessage::Welcome(welcome) => {
                self.seq = welcome.roster_seq;
                self.people = welcome.roster.into_iter().map(|view| (view.id, view)).collect();
                self.welcomed = true;
            }
            ServerMessage::Roster { roster_seq, joined, changed, left } => {
                assert!(self.welcomed, "who is not in hears of nobody");
                assert_eq!(roster_seq, self.seq + 1, "a message is missing");
                self.seq = roster_seq;
                left.iter().for_each(|gone| drop(self.people.remove(gone)));
                self.people.extend(joined.into_iter().chain(changed).map(|view| (view.id, view)));
            }
            _ => {}
        }
    }
}

/// The machine and its audience, with clients that hear.
struct Hall {
    table: Table,
    audience: Audience,
    clients: HashMap<SessionId, (Client, SessionEnd)>,
}

impl Hall {
    fn new() -> Self {
        Self { table: Table::new(Limits::default()), audience: Audience::default(), clients: HashMap::new() }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Broadcast(message) => self.audience.news.note(message),
                Effect::Wait { session } => self.audience.wait(session),
                Effect::Welcome { session, participant, cursor } => {
                    self.audience.welcome(session, Arrival { participant, cursor });
                }
                Effect::Refuse { session, .. } | Effect::Close { session, .. } => {
                    self.audience.close(session, CloseCode::Left);
                    self.clients.remove(&session);
                }
                _ => {}
            }
        }
    }

    fn knock(&mut self, who: &Identity) {
        let session = SessionId::generate();
        let (handle, end) = session_channel(session, String::new());
        self.audience.seat(handle);
        self.clients.insert(session, (Client::default(), end));
        let effects = self.table.give(Command::Join { session, who: who.clone(), cursor: 0 });
        self.perform(effects);
    }

    fn session(&self, who: &Identity) -> Option<SessionId> {
        self.table.meeting.members.get(&who.participant).and_then(|member| member.session)
    }

    fn turn(&mut self) {
        self.audience.tell_news();
        let roster_seq = self.audience.news.roster_seq();
        let meeting = &self.table.meeting;
        self.audience.release(|handle, Arrival { participant, .. }| {
            let meeting_view = MeetingView {
                id: meeting.id,
                subject: String::new(),
                join_web_url: String::new(),
                chat_id: crate::id::ThreadId::from_u128(1),
            };
            let head = WelcomeHead {
                session: handle.session,
                me: participant,
                role: meeting.role(participant),
                may: vec![],
                meeting: meeting_view,
                slots: vec![],
                cursor: 0,
                server_time: Timestamp::now(),
            };
            let body = WelcomeBody::encode(&WelcomeScene {
                options: meeting.options(),
                roster_seq,
                roster: &meeting.roster(),
                publications: &[],
                recording: &meeting.recording(),
                phone_calls: meeting.phone_calls(),
            });
            let order = WelcomeOrder { head, body, events: Past::Here(bytes::Bytes::new()) };
            Greeting { order, next: vec![], hears_lobby: false }
        });
        for (client, end) in self.clients.values_mut() {
            while let Ok(outgoing) = end.queue.try_recv() {
                match outgoing {
                    Outgoing::Burst(burst) => burst.frames().for_each(|frame| client.hear(frame.json())),
                    Outgoing::Welcome(order) => {
                        let frame = WelcomeFrame::new(&order.head, &order.body, bytes::Bytes::new()).to_frame();
                        client.hear(frame.json());
                    }
                    Outgoing::Close(_) => {}
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn after_any_reconnect_a_clients_roster_is_the_servers(
        steps in proptest::collection::vec((0..6_usize, 0..8_u8, any::<bool>()), 1..120)
    ) {
        let mut hall = Hall::new();
        let people: Vec<_> = (0..6).map(|n| person(if n == 0 { Role::Organizer } else { Role::Presenter })).collect();
        for (who, what, tell) in steps {
            if hall.table.meeting.is_over() {
                hall = Hall::new();
            }
            let who = &people[who];
            let session = hall.session(who);
            let effects = match (what, session) {
                (0..=2, _) => {
                    hall.knock(who);
                    vec![]
                }
                (3, Some(session)) => {
                    hall.audience.forget(session);
                    hall.clients.remove(&session);
                    hall.table.give(Command::SessionLost { session })
                }
                (4, Some(session)) => hall.table.say(session, ClientMessage::Leave { id: None }),
                (5, Some(session)) => {
                    hall.table.say(session, ClientMessage::Hand { id: None, raised: tell, participant_id: None })
                }
                (6, _) => hall.table.wait(Duration::from_secs(20)),
                (_, Some(session)) => {
                    let kind = PublicationKind::Microphone;
                    hall.table.say(session, ClientMessage::Mute { id: None, kind, muted: tell })
                }
                _ => vec![],
            };
            hall.perform(effects);
            if tell {
                hall.turn();
                let server: BTreeMap<_, _> = hall.table.meeting.roster().into_iter().map(|one| (one.id, one)).collect();
                for (session, (client, _)) in &hall.clients {
                    prop_assert_eq!(client.welcomed, hall.table.meeting.sessions.contains_key(session));
                    if client.welcomed {
                        prop_assert_eq!(&client.people, &server);
                    }
                }
            }
        }
    }
}
