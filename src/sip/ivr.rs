//! What a caller hears and presses: from the greeting to the meeting, and the menu in it.
//!
//! A plain state machine for one call. Time, digits, what the directory found and how the caller stands in the meeting go in; prompts to play,
//! questions to the directory and wishes come out. It plays nothing, looks nothing up and never waits.
//!
//! ```text
//! digit, played, found, seat, now ─> Ivr ─poll─> Play, Stop, Listen, Find, CheckPin, Join, Wish, HangUp
//!
//! dial-in   greeting ─> conference id # ─> (not started: PIN # or #) ─> join ─> lobby ─> menu
//! dial-out  "press 1 to join" ───────────────────────────────────────> join ──────────> menu
//! answered  ─────────────────────────────────────────────────────────> join ──────────> menu
//! voicemail greeting ─> join ─> recorded: beep ─> message ─> "message saved"
//! ```
//!
//! The first digit stops the prompt (barge-in), `*` begins an entry anew, silence counts as a try: three of them end the call, as nobody should be
//! charged for a telephone that lies beside its hook.

mod entry;
mod menu;
mod prompt;
mod voicemail;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use entry::{Entered, Entry};
use menu::Menu;
use voicemail::Message;

use crate::ending::EndReason;

pub use menu::Wish;
pub use prompt::Prompt;

/// A key of a telephone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// 0 to 9.
    Digit(u8),
    /// `*`.
    Star,
    /// `#`.
    Pound,
}

impl Key {
    /// From an event of RFC 4733 §3.2: 0 to 9, 10 is `*`, 11 is `#`. The rest is no key of ours.
    #[must_use]
    pub const fn of_event(event: u8) -> Option<Self> {
        match event {
            0..=9 => Some(Self::Digit(event)),
            10 => Some(Self::Star),
            11 => Some(Self::Pound),
            _ => None,
        }
    }
}

/// How a call comes to its meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Somebody dials in and is asked for the conference id.
    DialIn,
    /// Somebody dials in, and the number or the caller says which meeting.
    Known {
        /// The conference id.
        id: String,
    },
    /// We called. Whoever answers says that they are there, which no answering machine does.
    DialOut,
    /// Somebody called a person, who answers.
    Answered,
    /// Somebody called a person, who does not answer.
    Voicemail {
        /// No message is longer.
        longest: Duration,
    },
}

/// What the directory says of a conference id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is such a meeting.
    Meeting {
        /// Somebody is in it who may let others in. Otherwise the organiser may begin it with the PIN.
        has_started: bool,
    },
    /// There is none.
    Nothing,
    /// Too many tries of this caller or at this id: not looked up at all.
    LockedOut,
    /// It cannot be asked at the moment.
    Unavailable,
}

/// How the caller stands in the meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Waits to be let in.
    Waits,
    /// Is in.
    In,
    /// Nobody lets them in.
    Denied,
    /// Put out.
    Removed,
    /// The meeting is over.
    Ended,
    /// It is full, or cannot take anybody at the moment.
    Full,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Play these, one after the other, in the place of what is played. Say [`Ivr::played`] afterwards.
    Play(Vec<Prompt>),
    /// Be silent at once.
    Stop,
    /// Say from now on when the caller speaks: [`Ivr::speaks`].
    Listen,
    /// Look a conference id up.
    Find(String),
    /// Check the organiser's PIN of the meeting that was found last.
    CheckPin(String),
    /// Join the meeting that was found last, or of the dial-out.
    Join {
        /// The PIN was right.
        as_organizer: bool,
    },
    /// The caller wishes something in the meeting.
    Wish(Wish),
    /// End the call.
    HangUp(EndReason),
}

/// After the call is answered: the first moment of sound is often lost on the way.
const BEFORE_GREETING: Duration = Duration::from_secs(1);
/// Tries at an entry.
const TRIES: u8 = 3;
/// Dial-out: how often "press 1" is said, and the pause between.
const INVITATIONS: u8 = 3;
const BETWEEN_INVITATIONS: Duration = Duration::from_secs(4);
/// Nobody waits longer than this for an answer of the directory or the meeting.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A prompt that nobody says the end of; longer than any of them.
const PLAYS_MAX: Duration = Duration::from_secs(60);

/// Where a call is.
#[derive(Debug)]
enum State {
    /// Silence after the answer.
    Answered { way: Way, until: Instant },
    /// The conference id is entered.
    Id(Entry),
    /// It is looked up.
    Finding { until: Instant },
    /// The PIN is entered, or `#` alone.
    Pin(Entry),
    /// It is checked.
    Checking { until: Instant },
    /// "Press 1 to join".
    Invited { said: u8, again: Option<Instant> },
    /// On the way into the meeting.
    Joining { until: Instant },
    /// In the lobby.
    Waiting,
    /// In the meeting.
    In(Menu),
    /// A message is left.
    Message,
    /// The last words, then the end.
    Leaving { until: Instant, why: EndReason },
    /// Over.
    Over,
}

/// One call.
#[derive(Debug)]
pub struct Ivr {
    state: State,
    /// So many entries were wrong, ids and PINs apart.
    wrong_ids: u8,
    wrong_pins: u8,
    /// Something plays that a key stops.
    plays: bool,
    /// Nothing is said of having joined.
    joins_silently: bool,
    /// So long may nobody else be in the meeting; none: for ever.
    alone_max: Option<Duration>,
    /// What is left for whoever did not answer.
    message: Option<Message>,
    actions: VecDeque<Action>,
}

impl Ivr {
    /// A call that was answered at `now`. `alone_max`: so long may nobody else be in the meeting, as each minute is paid for; none: for ever.
    #[must_use]
    pub fn new(way: Way, alone_max: Option<Duration>, now: Instant) -> Self {
        // Who answers is not kept waiting.
        let joins_silently = way == Way::Answered;
        let until = if joins_silently { now } else { now + BEFORE_GREETING };
        Self {
            state: State::Answered { way, until },
            wrong_ids: 0,
            wrong_pins: 0,
            plays: false,
            joins_silently,
            alone_max,
            message: None,
            actions: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Answered { until, .. }
            | State::Finding { until }
            | State::Checking { until }
            | State::Joining { until }
            | State::Leaving { until, .. } => Some(*until),
            State::Id(entry) | State::Pin(entry) => Some(entry.due()),
            State::Invited { again, .. } => *again,
            State::In(menu) => menu.due(),
            State::Message => self.message.as_ref().map(Message::due),
            State::Waiting | State::Over => None,
        }
    }

    /// A key was pressed.
    pub fn handle_key(&mut self, now: Instant, key: Key) {
        // Keys of the last words are nobody's; everything else that plays is stopped by one.
        let is_heard = !matches!(self.state, State::Leaving { .. } | State::Over | State::Answered { .. });
        let goes_on = matches!(self.state, State::In(_) | State::Waiting | State::Message);
        if is_heard && !goes_on && std::mem::take(&mut self.plays) {
            self.actions.push_back(Action::Stop);
        }
        match &mut self.state {
            State::Id(entry) => {
                if let Some(Entered(digits)) = entry.press(now, key) {
                    self.id_entered(now, digits);
                }
            }
            State::Pin(entry) => {
                if let Some(Entered(digits)) = entry.press(now, key) {
                    self.pin_entered(now, digits);
                }
            }
            State::Invited { said, again } => {
                if key == Key::Digit(1) {
                    self.join(now, false);
                } else {
                    let left = *said;
                    *again = Some(now + BETWEEN_INVITATIONS);
                    if left >= INVITATIONS {
                        self.leave(now, EndReason::NotConfirmed, vec![Prompt::Goodbye]);
                    }
                }
            }
            State::In(menu) => {
                if let Some(wish) = menu.press(now, key) {
                    self.wish(now, wish);
                }
            }
            State::Message => self.message_goes_on(now, |message| message.press(now, key)),
            State::Answered { .. }
            | State::Finding { .. }
            | State::Checking { .. }
            | State::Joining { .. }
            | State::Waiting
            | State::Leaving { .. }
            | State::Over => {}
        }
    }

    /// What was last to be played is over.
    pub fn played(&mut self, now: Instant) {
        self.plays = false;
        match &mut self.state {
            State::Id(entry) | State::Pin(entry) => entry.prompted(now),
            State::Invited { again, .. } => *again = Some(now + BETWEEN_INVITATIONS),
            State::Leaving { why, .. } => {
                let why = *why;
                self.end(why);
            }
            State::Message => self.message_goes_on(now, |message| message.played(now)),
            _ => {}
        }
    }

    /// What the directory says of the id.
    pub fn found(&mut self, now: Instant, found: Found) {
        if !matches!(self.state, State::Finding { .. }) {
            return;
        }
        match found {
            Found::Meeting { has_started: true } => self.join(now, false),
            Found::Meeting { has_started: false } => self.ask_pin(now, vec![Prompt::OrganizerPin]),
            Found::Nothing => self.wrong_id(now),
            Found::LockedOut => self.leave(now, EndReason::LockedOut, vec![Prompt::TooManyTries, Prompt::Goodbye]),
            Found::Unavailable => self.leave(now, EndReason::Failed, vec![Prompt::Unavailable, Prompt::Goodbye]),
        }
    }

    /// Whether the PIN is the organiser's; none: too many tries.
    pub fn pin_checked(&mut self, now: Instant, is_right: Option<bool>) {
        if !matches!(self.state, State::Checking { .. }) {
            return;
        }
        match is_right {
            Some(true) => self.join(now, true),
            Some(false) => {
                self.wrong_pins += 1;
                if self.wrong_pins >= TRIES {
                    self.leave(now, EndReason::WrongId, vec![Prompt::WrongPin, Prompt::Goodbye]);
                } else {
                    self.ask_pin(now, vec![Prompt::WrongPin, Prompt::OrganizerPin]);
                }
            }
            None => self.leave(now, EndReason::LockedOut, vec![Prompt::TooManyTries, Prompt::Goodbye]),
        }
    }

    /// How the caller stands in the meeting now.
    pub fn seat(&mut self, now: Instant, seat: Seat) {
        if !matches!(self.state, State::Joining { .. } | State::Waiting | State::In(_) | State::Message) {
            return;
        }
        match seat {
            Seat::Waits | Seat::In if matches!(self.state, State::Message) => {
                // In a lobby there is no message, and nobody who would let them in.
                if seat == Seat::In {
                    self.message_goes_on(now, |message| message.is_in(now));
                }
            }
            Seat::Waits => {
                self.state = State::Waiting;
                self.play(vec![Prompt::Lobby, Prompt::Hold]);
            }
            Seat::In => {
                if !matches!(self.state, State::In(_)) {
                    self.state = State::In(Menu::new(self.alone_until(now)));
                    if !self.joins_silently {
                        self.play(vec![Prompt::Joined]);
                    }
                }
            }
            Seat::Denied => self.leave(now, EndReason::NotLetIn, vec![Prompt::NotLetIn, Prompt::Goodbye]),
            Seat::Removed => self.leave(now, EndReason::Removed, vec![Prompt::Removed, Prompt::Goodbye]),
            Seat::Ended => self.leave(now, EndReason::MeetingEnded, vec![Prompt::Ended, Prompt::Goodbye]),
            Seat::Full => self.leave(now, EndReason::Full, vec![Prompt::Unavailable, Prompt::Goodbye]),
        }
    }

    /// The caller is muted or not, by themselves or by somebody else.
    pub fn muted(&mut self, muted: bool) {
        if matches!(self.state, State::In(_)) {
            self.play(vec![if muted { Prompt::Muted } else { Prompt::Unmuted }]);
        }
    }

    /// The caller's hand is up or not.
    pub fn hand(&mut self, is_up: bool) {
        if matches!(self.state, State::In(_)) {
            self.play(vec![if is_up { Prompt::HandRaised } else { Prompt::HandLowered }]);
        }
    }

    /// The meeting is recorded from now on: said to callers, who see no mark. Who leaves a message hears the beep.
    pub fn recorded(&mut self, now: Instant) {
        if matches!(self.state, State::In(_)) {
            self.play(vec![Prompt::Recorded]);
        } else {
            self.message_goes_on(now, |message| message.recorded(now));
        }
    }

    /// The caller is heard by nobody until they agree to be recorded, or does not have to any more.
    pub fn asks_consent(&mut self, asks: bool) {
        if let State::In(menu) = &mut self.state {
            menu.asks = asks;
            if asks {
                self.play(vec![Prompt::Consent]);
            }
        } else if asks && self.message().is_some() {
            // Who goes on after the greeting agrees to it.
            self.actions.push_back(Action::Wish(Wish::Consent));
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        match &mut self.state {
            State::Answered { way, .. } => {
                let way = std::mem::replace(way, Way::DialIn);
                self.greet(now, way);
            }
            State::Id(entry) => match entry.run_out() {
                Some(Entered(digits)) => self.id_entered(now, digits),
                None => self.silent(now),
            },
            State::Pin(entry) => match entry.run_out() {
                Some(Entered(digits)) => self.pin_entered(now, digits),
                // Who says nothing is no organiser, and may wait.
                None => self.join(now, false),
            },
            State::Invited { said, again } => {
                *again = None;
                if *said >= INVITATIONS {
                    self.leave(now, EndReason::NotConfirmed, vec![Prompt::Goodbye]);
                } else {
                    *said += 1;
                    self.play(vec![Prompt::Invited]);
                }
            }
            State::Finding { .. } | State::Checking { .. } | State::Joining { .. } => {
                self.leave(now, EndReason::Failed, vec![Prompt::Unavailable, Prompt::Goodbye]);
            }
            State::In(menu) if menu.is_too_long_alone(now) => {
                self.leave(now, EndReason::Alone, vec![Prompt::Alone, Prompt::Goodbye]);
            }
            State::In(menu) => menu.run_out(),
            State::Message => self.message_goes_on(now, |message| message.run_out(now)),
            State::Leaving { why, .. } => {
                let why = *why;
                self.end(why);
            }
            State::Waiting | State::Over => {}
        }
    }

    /// Somebody else is there who listens, or nobody any more. Whoever left them a message talks to them now.
    pub fn company(&mut self, now: Instant, is_there: bool) {
        let alone_until = if is_there { None } else { self.alone_until(now) };
        match &mut self.state {
            State::In(menu) => menu.alone_until = alone_until,
            State::Message if is_there => {
                self.state = State::In(Menu::new(None));
                if std::mem::take(&mut self.plays) {
                    self.actions.push_back(Action::Stop);
                }
            }
            _ => {}
        }
    }

    fn alone_until(&self, now: Instant) -> Option<Instant> {
        self.alone_max.map(|longest| now + longest)
    }

    fn greet(&mut self, now: Instant, way: Way) {
        match way {
            Way::DialIn => self.ask_id(now, vec![Prompt::Welcome, Prompt::ConferenceId]),
            Way::Known { id } => {
                self.play(vec![Prompt::Welcome]);
                self.find(now, id);
            }
            Way::DialOut => {
                self.state = State::Invited { said: 1, again: None };
                self.play(vec![Prompt::Invited]);
            }
            Way::Answered => self.join(now, false),
            Way::Voicemail { longest } => self.take_message(now, longest),
        }
    }

    fn ask_id(&mut self, now: Instant, prompts: Vec<Prompt>) {
        self.state = State::Id(Entry::new(now + PLAYS_MAX));
        self.play(prompts);
    }

    fn ask_pin(&mut self, now: Instant, prompts: Vec<Prompt>) {
        self.state = State::Pin(Entry::new(now + PLAYS_MAX));
        self.play(prompts);
    }

    fn id_entered(&mut self, now: Instant, digits: String) {
        if digits.is_empty() { self.silent(now) } else { self.find(now, digits) }
    }

    fn pin_entered(&mut self, now: Instant, digits: String) {
        if digits.is_empty() {
            self.join(now, false);
        } else {
            self.state = State::Checking { until: now + ANSWER_MAX };
            self.actions.push_back(Action::CheckPin(digits));
        }
    }

    fn find(&mut self, now: Instant, id: String) {
        self.state = State::Finding { until: now + ANSWER_MAX };
        self.actions.push_back(Action::Find(id));
    }

    fn wrong_id(&mut self, now: Instant) {
        self.wrong_ids += 1;
        if self.wrong_ids >= TRIES {
            self.leave(now, EndReason::WrongId, vec![Prompt::WrongId, Prompt::Goodbye]);
        } else {
            self.ask_id(now, vec![Prompt::WrongId, Prompt::ConferenceId]);
        }
    }

    /// Nothing was entered: a try like any other.
    fn silent(&mut self, now: Instant) {
        self.wrong_ids += 1;
        if self.wrong_ids >= TRIES {
            self.leave(now, EndReason::WrongId, vec![Prompt::Goodbye]);
        } else {
            self.ask_id(now, vec![Prompt::ConferenceId]);
        }
    }

    fn join(&mut self, now: Instant, as_organizer: bool) {
        self.state = State::Joining { until: now + ANSWER_MAX };
        self.actions.push_back(Action::Join { as_organizer });
    }

    fn wish(&mut self, now: Instant, wish: Wish) {
        match wish {
            Wish::Help => self.play(vec![Prompt::Help]),
            Wish::Leave => {
                self.actions.push_back(Action::Wish(Wish::Leave));
                self.leave(now, EndReason::Left, vec![Prompt::Goodbye]);
            }
            other => self.actions.push_back(Action::Wish(other)),
        }
    }

    fn leave(&mut self, now: Instant, why: EndReason, prompts: Vec<Prompt>) {
        self.state = State::Leaving { until: now + PLAYS_MAX, why };
        self.play(prompts);
    }

    fn play(&mut self, prompts: Vec<Prompt>) {
        self.plays = true;
        self.actions.push_back(Action::Play(prompts));
    }

    fn end(&mut self, why: EndReason) {
        self.state = State::Over;
        self.actions.push_back(Action::HangUp(why));
    }
}

#[cfg(test)]
mod tests;
