//! A caller's place in a meeting: a live session that is spoken for inside the process.

use std::collections::VecDeque;

use super::news::{Reader, SeatNews, of_close};
use crate::id::ParticipantId;
use crate::live::{Inbound, Next, Outbound};
use crate::ports::{EndpointId, MediaConnected, MediaPublication, PublicationKind};
use crate::protocol::{Burst, ClientMessage, ServerMessage};

/// What a caller wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeatWish {
    /// Silence, or not any more. Refused while the meeting's options or a recording forbid it, which the news tell.
    Mute(bool),
    /// Raise the hand, or lower it.
    Hand(bool),
    /// Agree to be recorded, or not.
    Consent(bool),
    /// Leave at once. Dropping the seat does it, too, after the time that is given to those who lose their connection.
    Leave,
}

/// The place. What it is told waits in a bounded queue of the meeting's: who does not call [`Self::next`] loses it.
#[derive(Debug)]
pub struct Seat {
    participant: ParticipantId,
    inbound: Inbound,
    outbound: Outbound,
    reader: Reader,
    news: VecDeque<SeatNews>,
    is_over: bool,
}

impl Seat {
    pub(super) fn new(participant: ParticipantId, inbound: Inbound, outbound: Outbound) -> Self {
        Self { participant, inbound, outbound, reader: Reader::new(participant), news: VecDeque::new(), is_over: false }
    }

    /// Who they are in the meeting.
    #[must_use]
    pub const fn participant(&self) -> ParticipantId {
        self.participant
    }

    /// What is new; `None` when it is over and everything was told. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Option<SeatNews> {
        loop {
            if let Some(news) = self.news.pop_front() {
                self.is_over |= is_end(news);
                return Some(news);
            }
            if self.is_over {
                return None;
            }
            match self.outbound.next().await {
                Next::Burst(burst) => self.read(&burst),
                Next::Welcome(welcome) => self.read(&Burst::from(welcome.to_frame())),
                Next::Close(code) => self.news.push_back(of_close(code)),
            }
        }
    }

    /// What is new first, which says whether there is a place; [`Self::next`] tells it again.
    pub(super) async fn first(&mut self) -> Option<SeatNews> {
        let first = self.next().await?;
        self.news.push_front(first);
        self.is_over = false;
        Some(first)
    }

    fn read(&mut self, burst: &Burst) {
        for frame in burst.frames() {
            // Our own messages; one that cannot be read concerns no phone.
            if let Ok(message) = serde_json::from_slice::<ServerMessage>(frame.json()) {
                self.reader.read(&message, &mut |news| self.news.push_back(news));
            }
        }
    }

    /// Says what the caller wishes.
    pub async fn wish(&mut self, wish: SeatWish) {
        let message = match wish {
            SeatWish::Mute(muted) => ClientMessage::Mute { id: None, kind: PublicationKind::Microphone, muted },
            SeatWish::Hand(raised) => ClientMessage::Hand { id: None, raised, participant_id: None },
            SeatWish::Consent(given) => ClientMessage::RecordingConsent { id: None, given },
            SeatWish::Leave => ClientMessage::Leave { id: None },
        };
        // A session that is over tells so by its news.
        let _ = self.inbound.take_message(message).await;
    }

    /// Says that the caller's voice comes into the engine there. Before its first packet, so that it is announced before it is heard.
    pub async fn publishes(&self, endpoint: u64, publication: u32) {
        let voice = MediaPublication { id: publication, kind: PublicationKind::Microphone };
        let connected = MediaConnected {
            endpoint: EndpointId(endpoint),
            continues: false,
            answer: String::new(),
            slots: Vec::new(),
            publications: vec![voice],
        };
        self.inbound.publishes(connected).await;
    }
}

/// Whether nothing follows.
const fn is_end(news: SeatNews) -> bool {
    match news {
        SeatNews::Denied | SeatNews::Removed | SeatNews::Ended | SeatNews::Full | SeatNews::GoingAway => true,
        SeatNews::Waits
        | SeatNews::In { .. }
        | SeatNews::Muted(_)
        | SeatNews::Hand(_)
        | SeatNews::Recorded(_)
        | SeatNews::AsksConsent(_)
        | SeatNews::Company(_) => false,
    }
}
