//! The sessions of a meeting, and how they are told.
//!
//! What concerns one session goes to it at once. What concerns everybody is told in turns: the first changes at once, those
//! that follow them closely together, not more than four times a second ([`ROSTER_PAUSE`]). So when hundreds come and go,
//! a page hears some times a second how things stand, and not of each of them: it is the page's work that counts, which
//! has a picture to show meanwhile. The more who listen, the longer the pause, so that telling costs a meeting a bounded
//! part of a core, whatever happens in it.
//!
//! A message in the chat, or who speaks, waits for no turn: those that are told of in between leave the roster for it.
//!
//! ```text
//! changes -> News ----------------+
//! hello ---> arrivals ------------+--> the turn: 1. everybody who is in hears the news
//! answers -> held for one session +              2. who came in is welcomed, all from one picture of the meeting
//!                                                3. what was held is given out
//! chat ----> News ------------------> a word:       everybody who is in hears it
//! ```
//!
//! That order keeps two promises: a welcome and what follows it have no gap, and a publication is announced before its
//! owner has the answer without which no packet of it can come.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::news::{LobbyNews, News};
use crate::id::{ParticipantId, SessionId, ThreadId};
use crate::protocol::{Burst, CloseCode, Frame, ServerMessage, WaitingView, WelcomeBody, WelcomeHead};

/// What waits for one session. Filled when its network is slow; when full, the session is closed with 4005 and comes back
/// with its cursor.
const OUTGOING: usize = 512;
/// Messages that are held for one session until the next turn. Filled by a client that asks and asks in the meantime, which
/// its rate limit allows some seventy times; when full, the session is closed like one that does not read.
const HELD: usize = 128;
/// Everybody hears of those who come, change and go so often in the long run ...
const ROSTER_PAUSE: Duration = Duration::from_millis(250);
/// ... and so many times without a pause, so that one who joins a quiet meeting does not wait: they take two turns, one for
/// themselves and one for what they publish.
const ROSTER_BURST: u32 = 3;
/// The pause between two tellings for each listener: telling one costs some ten microseconds, so this bounds it to a
/// fiftieth of a core. While a thousand people change without end, they hear of it twice a second.
const PAUSE: Duration = Duration::from_micros(500);
/// Meetings of so many are told at once what is no matter of the roster.
const SMALL: u32 = 16;

/// What goes to one session, in order.
#[derive(Debug)]
pub enum Outgoing {
    /// Encoded messages.
    Burst(Burst),
    /// The whole state.
    Welcome(Box<WelcomeOrder>),
    /// The end, after all before it.
    Close(CloseCode),
}

/// A welcome that may still lack its events.
#[derive(Debug)]
pub struct WelcomeOrder {
    /// Its reader's own part.
    pub head: WelcomeHead,
    /// What all who come in at the same moment see alike.
    pub body: WelcomeBody,
    /// What happened before.
    pub events: Past,
}

/// The events of a welcome.
#[derive(Debug)]
pub enum Past {
    /// As JSON, with commas between them.
    Here(Bytes),
    /// The session reads them itself, so that history never holds the meeting up.
    Stored {
        /// Where they are.
        thread: ThreadId,
        /// Events after this one ...
        after: u64,
        /// ... up to this one.
        upto: u64,
    },
}

/// An end that does not wait for what is queued.
pub type CloseOrder = CloseCode;

/// The meeting's end of one session.
#[derive(Debug)]
pub struct SessionHandle {
    /// Which session.
    pub session: SessionId,
    /// Scheme and host as the client knows them, for links.
    pub base_url: String,
    outgoing: mpsc::Sender<Outgoing>,
    close: oneshot::Sender<CloseOrder>,
    newest: watch::Sender<Option<Frame>>,
}

/// The session's end.
#[derive(Debug)]
pub struct SessionEnd {
    /// What it is told, in order.
    pub queue: mpsc::Receiver<Outgoing>,
    /// An end that does not wait.
    pub close: oneshot::Receiver<CloseOrder>,
    /// Of what is out of date when the next comes only the newest: a client that reads slowly skips the others.
    pub newest: watch::Receiver<Option<Frame>>,
}

/// Makes both ends of a session.
#[must_use]
pub fn session_channel(session: SessionId, base_url: String) -> (SessionHandle, SessionEnd) {
    let (outgoing, queue) = mpsc::channel(OUTGOING);
    let (order, close) = oneshot::channel();
    let (newer, newest) = watch::channel(None);
    (SessionHandle { session, base_url, outgoing, close: order, newest: newer }, SessionEnd { queue, close, newest })
}

/// A session that is let in with the next turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) participant: ParticipantId,
    /// The last event that it saw.
    pub(super) cursor: u64,
}

#[derive(Debug)]
struct Seat {
    handle: SessionHandle,
    welcomed: bool,
    arrival: Option<Arrival>,
    /// May let people in, and is told who waits.
    hears_lobby: bool,
    /// Waits in the lobby.
    aside: bool,
    /// Set: nothing more goes out before the next turn.
    holding: bool,
    held: Vec<Frame>,
}

impl Seat {
    /// Whether it could be put into the session's queue.
    fn give(&self, outgoing: Outgoing) -> bool {
        self.handle.outgoing.try_send(outgoing).is_ok()
    }

    fn give_held(&mut self) -> bool {
        self.holding = false;
        let held = Burst::of(&std::mem::take(&mut self.held));
        held.is_none_or(|burst| self.give(Outgoing::Burst(burst)))
    }
}

/// What a session that is let in is given.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) order: WelcomeOrder,
    /// What follows it.
    pub(super) next: Vec<Frame>,
    /// Whether it may let people in, and is told of the lobby.
    pub(super) hears_lobby: bool,
}

/// Everybody who listens.
#[derive(Debug, Default)]
pub(super) struct Audience {
    seats: HashMap<SessionId, Seat>,
    pub(super) news: News,
    lobby_news: LobbyNews,
    /// Those who wait in the lobby: they are told nothing, so they cost the others no time.
    aside: usize,
    /// Whose seats hold something for the next turn.
    waiting: Vec<SessionId>,
    /// When something was told last.
    told: Option<Instant>,
    /// When all turns so far would be over, at their pace.
    turns_until: Option<Instant>,
}

impl Audience {
    /// Takes a session that said hello. It hears nothing before it is welcomed or sent away.
    pub(super) fn seat(&mut self, handle: SessionHandle) {
        let session = handle.session;
        let seat = Seat {
            handle,
            welcomed: false,
            arrival: None,
            hears_lobby: false,
            aside: false,
            holding: true,
            held: Vec::new(),
        };
        self.seats.insert(session, seat);
    }

    /// A session waits in the lobby: what concerns it goes to it at once, and nothing else does.
    pub(super) fn wait(&mut self, session: SessionId) {
        if let Some(seat) = self.seats.get_mut(&session) {
            seat.holding = false;
            seat.aside = true;
            self.aside += 1;
        }
    }

    /// Lets a session in with the next turn.
    pub(super) fn welcome(&mut self, session: SessionId, arrival: Arrival) {
        let Some(seat) = self.seats.get_mut(&session) else { return };
        seat.holding = true;
        self.aside -= usize::from(std::mem::take(&mut seat.aside));
        seat.arrival = Some(arrival);
        self.waiting.push(session);
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.remove(session);
    }

    fn remove(&mut self, session: SessionId) -> Option<Seat> {
        let seat = self.seats.remove(&session)?;
        self.aside -= usize::from(seat.aside);
        Some(seat)
    }

    /// Whether anything waits for the next turn.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.news.is_empty() || !self.lobby_news.is_empty()
    }

    /// When the next word may be; `None`: now.
    pub(super) fn next_word(&self) -> Option<Instant> {
        let listeners = u32::try_from(self.seats.len() - self.aside).unwrap_or(u32::MAX);
        self.told.filter(|_| listeners > SMALL).map(|told| told + PAUSE * listeners)
    }

    /// When the next turn may be; `None`: now.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        let paced = self.turns_until.and_then(|until| until.checked_sub(ROSTER_PAUSE * (ROSTER_BURST - 1)));
        self.next_word().max(paced)
    }

    /// Something of the lobby, for those who may let people in.
    pub(super) fn note_lobby(&mut self, added: Vec<WaitingView>, removed: Vec<ParticipantId>) {
        self.lobby_news.note(added, removed);
    }

    /// From now on a session is told of the lobby, or not any more. `waiting`: who waits at this moment.
    pub(super) fn hear_lobby(&mut self, session: SessionId, hears: bool, waiting: Vec<WaitingView>) {
        let Some(seat) = self.seats.get_mut(&session).filter(|seat| seat.welcomed) else { return };
        seat.hears_lobby = hears;
        // Whoever may not decide any more is not to keep the list.
        let added = if hears { waiting } else { Vec::new() };
        self.tell(session, Frame::encode(&ServerMessage::Waiting { all: true, added, removed: vec![] }));
    }

    /// A word was said.
    pub(super) fn note_word(&mut self, now: Instant) {
        self.told = Some(now);
    }

    /// A turn is over.
    pub(super) fn note_turn(&mut self, now: Instant) {
        self.told = Some(now);
        self.turns_until = Some(self.turns_until.map_or(now, |until| until.max(now)) + ROSTER_PAUSE);
    }

    /// Tells one session.
    pub(super) fn tell(&mut self, session: SessionId, frame: Frame) {
        let Some(seat) = self.seats.get_mut(&session) else { return };
        let kept_up = if !seat.holding {
            seat.give(Outgoing::Burst(frame.into()))
        } else if seat.held.len() < HELD {
            seat.held.push(frame);
            true
        } else {
            false
        };
        if !kept_up {
            self.cut(session);
        }
    }

    /// Tells one session in the place of what was told so before, if that was not taken yet. Whoever is not in hears nothing.
    pub(super) fn tell_newest(&self, session: SessionId, frame: Frame) {
        if let Some(seat) = self.seats.get(&session).filter(|seat| seat.welcomed) {
            seat.handle.newest.send_replace(Some(frame));
        }
    }

    /// Tells one session with the next turn, when everybody has heard the news; what it is told after this follows it.
    pub(super) fn tell_with_turn(&mut self, session: SessionId, frame: Frame) {
        if let Some(seat) = self.seats.get_mut(&session)
            && !seat.holding
        {
            seat.holding = true;
            self.waiting.push(session);
        }
        self.tell(session, frame);
    }

    /// The turn's first part: everybody who is in hears the news.
    pub(super) fn tell_news(&mut self) {
        let news = self.news.take();
        self.tell_all(news, |_| true);
        let lobby_news = self.lobby_news.take();
        self.tell_all(lobby_news, |seat| seat.hears_lobby);
    }

    /// A word: everybody who is in hears what waits for no turn.
    pub(super) fn tell_urgent(&mut self) {
        let news = self.news.take_urgent();
        self.tell_all(news, |_| true);
    }

    fn tell_all(&mut self, news: Option<Burst>, listens: impl Fn(&Seat) -> bool) {
        let Some(burst) = news else { return };
        let behind = |seat: &&Seat| seat.welcomed && listens(seat) && !seat.give(Outgoing::Burst(burst.clone()));
        let slow: Vec<_> = self.seats.values().filter(behind).map(|seat| seat.handle.session).collect();
        for session in slow {
            self.cut(session);
        }
    }

    /// The rest: who came in is welcomed, and what was held is given out. `welcome` makes the welcome, and what is to
    /// follow it.
    pub(super) fn release(&mut self, mut welcome: impl FnMut(&SessionHandle, Arrival) -> Greeting) {
        for session in std::mem::take(&mut self.waiting) {
            // Gone in the meantime.
            let Some(seat) = self.seats.get_mut(&session) else { continue };
            let mut kept_up = true;
            if let Some(arrival) = seat.arrival.take() {
                let Greeting { order, next, hears_lobby } = welcome(&seat.handle, arrival);
                seat.welcomed = true;
                seat.hears_lobby = hears_lobby;
                kept_up = seat.give(Outgoing::Welcome(Box::new(order)));
                seat.held.splice(..0, next);
            }
            if !(seat.give_held() && kept_up) {
                self.cut(session);
            }
        }
    }

    /// Closes a session after what it was sent.
    pub(super) fn close(&mut self, session: SessionId, code: CloseCode) {
        let Some(mut seat) = self.remove(session) else { return };
        if !(seat.give_held() && seat.give(Outgoing::Close(code))) {
            // A session that is gone already needs no order.
            let _ = seat.handle.close.send(code);
        }
    }

    /// Ends a session that does not read at once; what waits for it is lost, which the cursor makes good.
    fn cut(&mut self, session: SessionId) {
        if let Some(seat) = self.remove(session) {
            metrics::counter!("signaling_sessions_cut_total").increment(1);
            let _ = seat.handle.close.send(CloseCode::TooSlow);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::MeetingId;
    use crate::meeting::moderation::options_view;
    use crate::policy::MeetingSettings;
    use crate::protocol::{LobbyReason, MeetingView, RecordingView, Role, WelcomeScene};

    type Queue = mpsc::Receiver<Outgoing>;

    fn order(handle: &SessionHandle, arrival: Arrival) -> Greeting {
        let meeting = MeetingView {
            id: MeetingId::generate(),
            subject: String::new(),
            join_web_url: String::new(),
            chat_id: ThreadId::generate(),
        };
        let head = WelcomeHead {
            session: handle.session,
            me: arrival.participant,
            role: Role::Presenter,
            may: vec![],
            meeting,
            slots: vec![],
            cursor: 0,
            server_time: Timestamp::now(),
        };
        let recording = RecordingView::OFF;
        let options = options_view(&MeetingSettings::default());
        let body = WelcomeBody::encode(&WelcomeScene {
            options,
            roster_seq: 0,
            roster: &[],
            publications: &[],
            recording: &recording,
            phone_calls: &[],
        });
        let order = WelcomeOrder { head, body, events: Past::Here(Bytes::new()) };
        Greeting { order, next: vec![], hears_lobby: false }
    }

    fn arrive(audience: &mut Audience) -> (SessionId, Queue, oneshot::Receiver<CloseOrder>) {
        let session = SessionId::generate();
        let (handle, SessionEnd { queue, close, .. }) = session_channel(session, String::new());
        audience.seat(handle);
        audience.welcome(session, Arrival { participant: ParticipantId::generate(), cursor: 0 });
        (session, queue, close)
    }

    fn turn(audience: &mut Audience) {
        audience.tell_news();
        audience.release(order);
        audience.note_turn(Instant::now());
    }

    fn ack(id: u64) -> Frame {
        Frame::encode(&ServerMessage::Ack { id: Some(id), seq: None })
    }

    fn speaker() -> ServerMessage {
        ServerMessage::Speaker { participant_id: None }
    }

    /// What a session was given, in short.
    fn heard(queue: &mut Queue) -> Vec<String> {
        let mut heard = Vec::new();
        while let Ok(outgoing) = queue.try_recv() {
            match outgoing {
                Outgoing::Burst(burst) => heard.extend(burst.frames().map(|frame| {
                    let message: serde_json::Value = serde_json::from_slice(frame.json()).unwrap();
                    message["type"].as_str().unwrap().to_owned()
                })),
                Outgoing::Welcome(_) => heard.push("welcome".to_owned()),
                Outgoing::Close(_) => heard.push("close".to_owned()),
            }
        }
        heard
    }

    #[test]
    fn whoever_is_not_welcomed_hears_no_news_and_its_answers_follow_the_welcome() {
        let mut audience = Audience::default();
        let (_, mut old, _keep) = arrive(&mut audience);
        turn(&mut audience);
        assert_eq!(heard(&mut old), ["welcome"]);
        let (session, mut new, _keep) = arrive(&mut audience);
        audience.news.note(speaker());
        audience.tell(session, ack(1));
        assert_eq!(heard(&mut new), [""; 0]);
        turn(&mut audience);
        assert_eq!(heard(&mut old), ["speaker"]);
        assert_eq!(heard(&mut new), ["welcome", "ack"], "the welcome holds what the news says");
    }

    #[test]
    fn an_answer_waits_until_everybody_has_heard_and_what_follows_it_stays_behind_it() {
        let mut audience = Audience::default();
        let (session, mut queue, _keep) = arrive(&mut audience);
        let (_, mut other, _keep_other) = arrive(&mut audience);
        turn(&mut audience);
        heard(&mut queue);
        heard(&mut other);
        audience.news.note(speaker());
        audience.tell_with_turn(session, ack(1));
        audience.tell(session, Frame::encode(&ServerMessage::Pong {}));
        assert!(audience.is_waiting() && heard(&mut queue).is_empty());
        turn(&mut audience);
        assert_eq!(heard(&mut queue), ["speaker", "ack", "pong"]);
        assert_eq!(heard(&mut other), ["speaker"]);
        assert!(!audience.is_waiting());
        audience.tell(session, ack(2));
        assert_eq!(heard(&mut queue), ["ack"], "at once again");
    }

    #[test]
    fn a_small_meeting_has_no_pause_between_words_and_a_large_one_a_longer_one() {
        let mut audience = Audience::default();
        let mut keep: Vec<_> = (0..SMALL).map(|_| arrive(&mut audience)).collect();
        turn(&mut audience);
        assert_eq!(audience.next_word(), None);
        let mut pauses = Vec::new();
        for size in [100, 1000] {
            while keep.len() < size {
                keep.push(arrive(&mut audience));
            }
            turn(&mut audience);
            pauses.push(audience.next_word().unwrap().duration_since(audience.told.unwrap()));
        }
        assert_eq!(pauses, [Duration::from_millis(50), Duration::from_millis(500)]);
    }

    #[test]
    fn of_the_roster_everybody_hears_at_once_and_in_the_long_run_four_times_a_second() {
        let mut audience = Audience::default();
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut turns = Vec::new();
        for ms in 0..10_000 {
            if audience.next_turn().is_none_or(|next| next <= at(ms)) {
                audience.note_turn(at(ms));
                turns.push(ms);
            }
        }
        assert_eq!(turns[..5], [0, 1, 2, 250, 500], "the first three are for those who join a quiet meeting");
        assert_eq!(turns.len(), 42);
        audience.note_word(at(10_000));
        assert_eq!(audience.next_word(), None, "a word in a small meeting waits for none of this");
        assert!(audience.next_turn() <= Some(at(20_000)), "and who was quiet has the first three again");
    }

    #[test]
    fn a_word_leaves_the_roster_for_the_turn() {
        let mut audience = Audience::default();
        let (session, mut queue, _keep) = arrive(&mut audience);
        turn(&mut audience);
        heard(&mut queue);
        let left = vec![ParticipantId::generate()];
        audience.news.note(ServerMessage::Roster { roster_seq: 0, joined: vec![], changed: vec![], left });
        audience.news.note(speaker());
        audience.tell_with_turn(session, ack(1));
        audience.tell_urgent();
        assert_eq!(heard(&mut queue), ["speaker"]);
        turn(&mut audience);
        assert_eq!(heard(&mut queue), ["roster", "ack"]);
    }

    fn waiting(number: u128) -> WaitingView {
        let id = ParticipantId::from_u128(number);
        WaitingView { id, display_name: String::new(), verified: false, reason: LobbyReason::Policy }
    }

    #[test]
    fn who_waits_in_the_lobby_is_told_at_once_what_concerns_them_and_nothing_else() {
        let mut audience = Audience::default();
        let (_, _inside, _keep) = arrive(&mut audience);
        turn(&mut audience);
        let session = SessionId::generate();
        let (handle, mut end) = session_channel(session, String::new());
        audience.seat(handle);
        audience.wait(session);
        audience.tell(session, ack(1));
        assert_eq!(heard(&mut end.queue), ["ack"], "before any turn");
        audience.news.note(speaker());
        audience.note_lobby(vec![waiting(1)], vec![]);
        audience.tell_newest(session, ack(2));
        turn(&mut audience);
        audience.hear_lobby(session, true, vec![]);
        assert_eq!(heard(&mut end.queue), [""; 0]);
        assert!(!end.newest.has_changed().unwrap());
        audience.welcome(session, Arrival { participant: ParticipantId::generate(), cursor: 0 });
        audience.tell(session, ack(3));
        assert_eq!(heard(&mut end.queue), [""; 0], "an answer does not overtake the welcome");
        turn(&mut audience);
        audience.news.note(speaker());
        turn(&mut audience);
        assert_eq!(heard(&mut end.queue), ["welcome", "ack", "speaker"]);
    }

    #[test]
    fn a_crowd_in_the_lobby_costs_those_inside_no_time() {
        let mut audience = Audience::default();
        let _inside = arrive(&mut audience);
        let crowd: Vec<_> = (0..1000)
            .map(|_| {
                let session = SessionId::generate();
                let (handle, end) = session_channel(session, String::new());
                audience.seat(handle);
                audience.wait(session);
                (session, end)
            })
            .collect();
        turn(&mut audience);
        assert_eq!(audience.next_word(), None);
        for (place, (session, _)) in crowd.iter().enumerate() {
            match place % 2 {
                0 => audience.welcome(*session, Arrival { participant: ParticipantId::generate(), cursor: 0 }),
                _ => audience.forget(*session),
            }
        }
        turn(&mut audience);
        assert!(audience.next_word() > audience.told, "five hundred of them are in");
        assert_eq!((audience.aside, audience.seats.len()), (0, 501));
    }

    #[test]
    fn of_the_lobby_hear_those_who_decide_and_no_longer_than_they_do() {
        let mut audience = Audience::default();
        let (session, mut decides, _keep) = arrive(&mut audience);
        let (_, mut other, _keep_other) = arrive(&mut audience);
        turn(&mut audience);
        heard(&mut decides);
        heard(&mut other);
        audience.hear_lobby(session, true, vec![waiting(1)]);
        audience.note_lobby(vec![waiting(2), waiting(3)], vec![]);
        audience.note_lobby(vec![], vec![ParticipantId::from_u128(3)]);
        assert!(audience.is_waiting());
        turn(&mut audience);
        assert_eq!((heard(&mut decides).len(), heard(&mut other).len()), (2, 0));
        assert!(!audience.is_waiting());
        audience.hear_lobby(session, false, vec![waiting(2)]);
        audience.note_lobby(vec![], vec![ParticipantId::from_u128(2)]);
        turn(&mut audience);
        assert_eq!(heard(&mut decides), ["waiting"], "that there is nobody, and then no more");
    }

    #[test]
    fn who_does_not_read_is_cut_and_the_others_hear_everything() {
        let mut audience = Audience::default();
        let (_, slow, mut closed) = arrive(&mut audience);
        let (_, mut quick, _keep) = arrive(&mut audience);
        for _ in 0..=OUTGOING {
            audience.news.note(speaker());
            turn(&mut audience);
            heard(&mut quick);
        }
        assert_eq!(closed.try_recv(), Ok(CloseCode::TooSlow));
        assert_eq!((audience.seats.len(), slow.len()), (1, OUTGOING));
        audience.news.note(speaker());
        turn(&mut audience);
        assert_eq!(heard(&mut quick), ["speaker"]);
    }

    #[test]
    fn a_client_that_asks_without_end_before_it_is_in_is_cut() {
        let mut audience = Audience::default();
        let (session, _queue, mut closed) = arrive(&mut audience);
        (0..=HELD as u64).for_each(|id| audience.tell(session, ack(id)));
        assert_eq!(closed.try_recv(), Ok(CloseCode::TooSlow));
    }

    #[test]
    fn of_what_is_told_in_the_place_of_the_last_a_slow_reader_finds_only_the_newest() {
        let mut audience = Audience::default();
        let session = SessionId::generate();
        let (handle, mut end) = session_channel(session, String::new());
        audience.seat(handle);
        audience.tell_newest(session, ack(1));
        assert!(!end.newest.has_changed().unwrap(), "nothing before the welcome");
        audience.welcome(session, Arrival { participant: ParticipantId::generate(), cursor: 0 });
        turn(&mut audience);
        (2..10_000).for_each(|id| audience.tell_newest(session, ack(id)));
        assert_eq!(heard(&mut end.queue), ["welcome"]);
        let newest = end.newest.borrow_and_update().clone();
        assert_eq!(newest.unwrap().json(), ack(9_999).json());
        assert!(end.close.try_recv().is_err(), "and is not cut");
    }

    #[test]
    fn who_is_sent_away_hears_why_before_the_close() {
        let mut audience = Audience::default();
        let session = SessionId::generate();
        let (handle, SessionEnd { mut queue, .. }) = session_channel(session, String::new());
        audience.seat(handle);
        audience.tell(session, ack(1));
        audience.close(session, CloseCode::Full);
        assert_eq!(heard(&mut queue), ["ack", "close"]);
    }
}
