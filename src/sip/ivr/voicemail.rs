//! A message for somebody who does not answer: greeting, the place where it is recorded, beep, the message, and when that is over.
//!
//! ```text
//! answered ─1 s─> greeting ─played─> join ─In, recorded─> beep ─played─> message ─#, silence, limit─> saved
//!                                     └─ not recorded in time ─> unavailable
//! ```
//!
//! The recording begins before the beep and what is said then is in it; but only what is said after the beep is a message.

use std::time::{Duration, Instant};

use super::{ANSWER_MAX, Action, Ivr, Key, PLAYS_MAX, Prompt, State, Wish};
use crate::ending::EndReason;

/// So much silence ends a message.
const SILENCE: Duration = Duration::from_secs(3);
/// But not this soon after the beep: people think before they speak.
const THINKS: Duration = Duration::from_secs(5);

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// To the place where the message is recorded.
    Join,
    /// It is recorded: the beep.
    Beep,
    /// It is over, and kept if something was said.
    Over,
    /// It cannot be taken.
    Unavailable,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting {
        until: Instant,
    },
    /// Until the caller is in, and it is recorded.
    Joining {
        until: Instant,
        is_in: bool,
        is_recorded: bool,
    },
    Beep {
        until: Instant,
    },
    Message {
        since: Instant,
    },
}

/// A message that is being left.
#[derive(Debug)]
pub(super) struct Message {
    stage: Stage,
    longest: Duration,
    /// The caller speaks.
    speaks: bool,
    quiet_since: Instant,
    has_voice: bool,
}

impl Message {
    /// The greeting begins.
    pub(super) fn new(now: Instant, longest: Duration) -> Self {
        let stage = Stage::Greeting { until: now + PLAYS_MAX };
        Self { stage, longest, speaks: false, quiet_since: now, has_voice: false }
    }

    /// Whether something was said after the beep.
    pub(super) const fn has_voice(&self) -> bool {
        self.has_voice
    }

    pub(super) fn due(&self) -> Instant {
        match self.stage {
            Stage::Greeting { until } | Stage::Joining { until, .. } | Stage::Beep { until } => until,
            Stage::Message { since } => {
                let limit = since + self.longest;
                if self.speaks { limit } else { limit.min(self.silent_at(since)) }
            }
        }
    }

    /// When the silence has lasted long enough.
    fn silent_at(&self, since: Instant) -> Instant {
        (self.quiet_since.max(since) + SILENCE).max(since + THINKS)
    }

    /// What was last to be played is over.
    pub(super) fn played(&mut self, now: Instant) -> Option<Next> {
        match self.stage {
            Stage::Greeting { .. } => Some(self.join(now)),
            Stage::Beep { .. } => {
                self.begin(now);
                None
            }
            Stage::Joining { .. } | Stage::Message { .. } => None,
        }
    }

    fn join(&mut self, now: Instant) -> Next {
        self.stage = Stage::Joining { until: now + ANSWER_MAX, is_in: false, is_recorded: false };
        Next::Join
    }

    fn begin(&mut self, now: Instant) {
        self.stage = Stage::Message { since: now };
        self.has_voice |= self.speaks;
    }

    /// The caller is in.
    pub(super) fn is_in(&mut self, now: Instant) -> Option<Next> {
        if let Stage::Joining { is_in, .. } = &mut self.stage {
            *is_in = true;
        }
        self.beep(now)
    }

    /// It is recorded.
    pub(super) fn recorded(&mut self, now: Instant) -> Option<Next> {
        if let Stage::Joining { is_recorded, .. } = &mut self.stage {
            *is_recorded = true;
        }
        self.beep(now)
    }

    fn beep(&mut self, now: Instant) -> Option<Next> {
        let Stage::Joining { is_in: true, is_recorded: true, .. } = self.stage else { return None };
        self.stage = Stage::Beep { until: now + PLAYS_MAX };
        Some(Next::Beep)
    }

    pub(super) fn press(&mut self, now: Instant, key: Key) -> Option<Next> {
        match (self.stage, key) {
            // Who knows the greeting goes on to the beep.
            (Stage::Greeting { .. }, Key::Pound) => Some(self.join(now)),
            (Stage::Message { .. }, Key::Pound) => Some(Next::Over),
            _ => None,
        }
    }

    /// The caller begins to speak, or has ceased.
    pub(super) fn speaks(&mut self, now: Instant, speaks: bool) {
        self.speaks = speaks;
        if !speaks {
            self.quiet_since = now;
        }
        self.has_voice |= speaks && matches!(self.stage, Stage::Message { .. });
    }

    /// It is due. What nobody says the end of is over.
    pub(super) fn run_out(&mut self, now: Instant) -> Option<Next> {
        match self.stage {
            Stage::Greeting { .. } | Stage::Beep { .. } => self.played(now),
            Stage::Joining { .. } => Some(Next::Unavailable),
            Stage::Message { .. } => Some(Next::Over),
        }
    }
}

/// The call around the message.
impl Ivr {
    /// Whether the caller has said something to whoever did not answer in time.
    #[must_use]
    pub fn has_message(&self) -> bool {
        self.message.as_ref().is_some_and(Message::has_voice)
    }

    /// The caller begins to speak, or has ceased.
    pub fn speaks(&mut self, now: Instant, speaks: bool) {
        if let Some(message) = self.message() {
            message.speaks(now, speaks);
        }
    }

    /// A message can be left from now on.
    pub(super) fn take_message(&mut self, now: Instant, longest: Duration) {
        self.state = State::Message;
        self.message = Some(Message::new(now, longest));
        self.actions.push_back(Action::Listen);
        self.play(vec![Prompt::Voicemail]);
    }

    /// The message, while it is being left.
    pub(super) fn message(&mut self) -> Option<&mut Message> {
        self.message.as_mut().filter(|_| matches!(self.state, State::Message))
    }

    /// Something happens to the message, and what follows is done.
    pub(super) fn message_goes_on(&mut self, now: Instant, happens: impl FnOnce(&mut Message) -> Option<Next>) {
        match self.message().and_then(happens) {
            None => {}
            Some(Next::Join) => {
                if std::mem::take(&mut self.plays) {
                    self.actions.push_back(Action::Stop);
                }
                self.actions.push_back(Action::Join { as_organizer: false });
            }
            Some(Next::Beep) => self.play(vec![Prompt::Beep]),
            Some(Next::Over) => {
                // Out of what is recorded first: our words are no part of the message.
                self.actions.push_back(Action::Wish(Wish::Leave));
                let words = if self.has_message() {
                    vec![Prompt::MessageSaved, Prompt::Goodbye]
                } else {
                    vec![Prompt::Goodbye]
                };
                self.leave(now, EndReason::Left, words);
            }
            Some(Next::Unavailable) => self.leave(now, EndReason::Failed, vec![Prompt::Unavailable, Prompt::Goodbye]),
        }
    }
}
