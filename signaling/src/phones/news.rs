//! What of a meeting's messages concerns somebody on a phone.

use std::collections::HashSet;

use crate::id::ParticipantId;
use crate::protocol::{
    CloseCode, ConsentState, ParticipantKind, ParticipantView, RecordingState, RecordingView, RemovedReason,
    ServerMessage,
};

/// How a caller stands in the meeting, as far as it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeatNews {
    /// Waits in the lobby.
    Waits,
    /// Is in.
    In {
        /// And silenced in the router.
        muted: bool,
    },
    /// Silenced in the router, or not any more.
    Muted(bool),
    /// The hand is up, or not any more.
    Hand(bool),
    /// The meeting is recorded, or not any more.
    Recorded(bool),
    /// Is heard by nobody until they agree to be recorded, or not any more.
    AsksConsent(bool),
    /// Whether somebody else is there who listens. Who comes in is alone until told otherwise.
    Company(bool),
    /// Nobody let them in.
    Denied,
    /// Was put out.
    Removed,
    /// The meeting is over.
    Ended,
    /// There is no room.
    Full,
    /// The server goes down, or something of it failed.
    GoingAway,
}

/// What was said last.
#[derive(Debug)]
pub(super) struct Reader {
    me: ParticipantId,
    is_in: bool,
    muted: bool,
    hand: bool,
    recorded: bool,
    asks: bool,
    /// Who else is there and listens.
    others: HashSet<ParticipantId>,
}

impl Reader {
    pub(super) fn new(me: ParticipantId) -> Self {
        let others = HashSet::new();
        Self { me, is_in: false, muted: false, hand: false, recorded: false, asks: false, others }
    }

    /// Reads one message. What concerns others gives nothing.
    pub(super) fn read(&mut self, message: &ServerMessage, tell: &mut dyn FnMut(SeatNews)) {
        match message {
            ServerMessage::Lobby { .. } => tell(SeatNews::Waits),
            ServerMessage::Welcome(welcome) => {
                if let Some(own) = welcome.roster.iter().find(|view| view.id == self.me) {
                    (self.muted, self.hand) = (own.microphone_muted, own.hand.is_some());
                }
                self.is_in = true;
                tell(SeatNews::In { muted: self.muted });
                self.others.clear();
                self.company(&welcome.roster, &[], tell);
                self.recording(&welcome.recording, tell);
            }
            ServerMessage::Roster { joined, changed, left, .. } => {
                let me = self.me;
                joined.iter().chain(changed).filter(|view| view.id == me).for_each(|own| self.own(own, tell));
                if self.is_in {
                    self.company(joined, left, tell);
                }
            }
            ServerMessage::Recording(view) => self.recording(view, tell),
            ServerMessage::RecordingConsent { state } => {
                let asks = *state == ConsentState::Asked;
                if std::mem::replace(&mut self.asks, asks) != asks {
                    tell(SeatNews::AsksConsent(asks));
                }
            }
            ServerMessage::Removed { reason } => tell(match reason {
                RemovedReason::Removed | RemovedReason::Replaced => SeatNews::Removed,
                RemovedReason::Denied | RemovedReason::LobbyTimeout => SeatNews::Denied,
                RemovedReason::MeetingEnded => SeatNews::Ended,
            }),
            _ => {}
        }
    }

    fn own(&mut self, own: &ParticipantView, tell: &mut dyn FnMut(SeatNews)) {
        if !self.is_in {
            return;
        }
        if std::mem::replace(&mut self.muted, own.microphone_muted) != own.microphone_muted {
            tell(SeatNews::Muted(own.microphone_muted));
        }
        let hand = own.hand.is_some();
        if std::mem::replace(&mut self.hand, hand) != hand {
            tell(SeatNews::Hand(hand));
        }
    }

    fn company(&mut self, joined: &[ParticipantView], left: &[ParticipantId], tell: &mut dyn FnMut(SeatNews)) {
        let was_there = !self.others.is_empty();
        // A recorder is none.
        let listens = |view: &&ParticipantView| view.id != self.me && view.kind != ParticipantKind::Recorder;
        self.others.extend(joined.iter().filter(listens).map(|view| view.id));
        for participant in left {
            self.others.remove(participant);
        }
        let is_there = !self.others.is_empty();
        if is_there != was_there {
            tell(SeatNews::Company(is_there));
        }
    }

    fn recording(&mut self, view: &RecordingView, tell: &mut dyn FnMut(SeatNews)) {
        let recorded = matches!(view.state, RecordingState::On | RecordingState::Paused);
        if std::mem::replace(&mut self.recorded, recorded) != recorded {
            tell(SeatNews::Recorded(recorded));
        }
    }
}

/// The end of a session, where no message has said why.
pub(super) const fn of_close(code: CloseCode) -> SeatNews {
    match code {
        CloseCode::Removed | CloseCode::Replaced | CloseCode::TokenRefused => SeatNews::Removed,
        CloseCode::NotLetIn => SeatNews::Denied,
        CloseCode::MeetingEnded | CloseCode::Left => SeatNews::Ended,
        CloseCode::Full => SeatNews::Full,
        CloseCode::GoingAway | CloseCode::Malformed | CloseCode::HelloMissing | CloseCode::TooSlow => {
            SeatNews::GoingAway
        }
    }
}
