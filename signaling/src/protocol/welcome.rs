//! The welcome, put together from parts that its readers share.
//!
//! In a large meeting a welcome is long, and most of it is the same for all who come in together: who is there, what is
//! published, what happened. Those parts are encoded once and shared; only the head is made for each.
//!
//! ```text
//! {"type":"welcome","session":..,"self":..,   own head
//!  "roster":[..],"publications":[..], ..      body, one for all who are let in at the same moment
//!  "events":[..]}                             one for all who saw the same
//! ```

use bytes::{Buf, Bytes};
use serde::Serialize;

use super::frame::{Frame, head};
use super::people::{Right, Role};
use super::phones::CallView;
use super::server::{MeetingView, OptionsView, ParticipantView, PublicationView, RecordingView, SlotView};
use crate::clock::Timestamp;
use crate::id::{ParticipantId, SessionId};

/// What is its reader's own.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "welcome", rename_all = "camelCase")]
pub struct WelcomeHead {
    /// This connection.
    pub session: SessionId,
    /// Who the client is.
    #[serde(rename = "self")]
    pub me: ParticipantId,
    /// What it is.
    pub role: Role,
    /// All that it may do.
    pub may: Vec<Right>,
    /// Where it is.
    pub meeting: MeetingView,
    /// This client's slots, when its media still stands.
    pub slots: Vec<SlotView>,
    /// The newest event in it.
    pub cursor: u64,
    /// The server's clock.
    pub server_time: Timestamp,
}

/// What there is to see.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WelcomeScene<'a> {
    /// The meeting's options, as far as they concern everybody.
    pub options: OptionsView,
    /// The number of the `roster` message before the first that follows.
    pub roster_seq: u64,
    /// Who is there.
    pub roster: &'a [ParticipantView],
    /// What is published.
    pub publications: &'a [PublicationView],
    /// Whether the meeting is recorded.
    pub recording: &'a RecordingView,
    /// Calls out of the meeting that are not joined and not over.
    pub phone_calls: &'a [CallView],
}

/// What all who are let in at the same moment see alike. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WelcomeBody(Bytes);

impl WelcomeBody {
    /// Encodes it once.
    #[must_use]
    pub fn encode(scene: &WelcomeScene<'_>) -> Self {
        let mut json = open_object(scene);
        json.extend_from_slice(br#""events":["#);
        Self(json.into())
    }
}

/// An object that is still open: more fields may follow.
fn open_object<T: Serialize>(object: &T) -> Vec<u8> {
    // Every type of the protocol serialises to JSON by construction.
    let mut json = serde_json::to_vec(object).unwrap_or_else(|_| b"{}".to_vec());
    // The brace at the end gives way to what follows.
    if let Some(last) = json.last_mut() {
        *last = b',';
    }
    json
}

/// A welcome, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WelcomeFrame {
    frame_head: Bytes,
    head: Bytes,
    body: Bytes,
    events: Bytes,
}

/// What closes the events and the object.
const TAIL: &[u8] = b"]}";

impl WelcomeFrame {
    /// Puts the parts together; `events` are entries of a thread as JSON, with commas between them.
    #[must_use]
    pub fn new(own: &WelcomeHead, body: &WelcomeBody, events: Bytes) -> Self {
        let own = open_object(own);
        // The body's own opening brace is the end of the head.
        let body = body.0.slice(1.min(body.0.len())..);
        let length = own.len() + body.len() + events.len() + TAIL.len();
        let (bytes, size) = head(length);
        let frame_head = Bytes::copy_from_slice(bytes.get(bytes.len() - size..).unwrap_or_default());
        Self { frame_head, head: own.into(), body, events }
    }

    /// What a WebSocket writes, piece by piece.
    #[must_use]
    pub fn into_wire(self) -> impl Buf {
        self.frame_head.chain(self.head).chain(self.body).chain(self.events).chain(TAIL)
    }

    /// The same in one piece.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        Frame::of_json([&self.head[..], &self.body[..], &self.events[..], TAIL].into_iter())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;
    use crate::protocol::{Burst, Event, ServerMessage, Welcome};

    /// The golden welcome, taken apart, put together from its parts.
    fn composed(welcome: &Welcome) -> WelcomeFrame {
        let head = WelcomeHead {
            session: welcome.session,
            me: welcome.me,
            role: welcome.role,
            may: welcome.may.clone(),
            meeting: welcome.meeting.clone(),
            slots: welcome.slots.clone(),
            cursor: welcome.cursor,
            server_time: welcome.server_time,
        };
        let body = WelcomeBody::encode(&WelcomeScene {
            options: welcome.options,
            roster_seq: welcome.roster_seq,
            roster: &welcome.roster,
            publications: &welcome.publications,
            recording: &welcome.recording,
            phone_calls: &welcome.phone_calls,
        });
        let events: Vec<_> = welcome.events.iter().map(|event| Frame::event(event).1).collect();
        WelcomeFrame::new(&head, &body, events.join(&b","[..]).into())
    }

    #[test]
    fn the_parts_make_the_same_welcome_as_the_contract() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol/golden/server.welcome.json");
        let message: ServerMessage = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        let ServerMessage::Welcome(mut welcome) = message.clone() else { panic!("not a welcome: {message:?}") };
        let events: Vec<Event> = welcome.events.clone();
        assert!(!events.is_empty() && !welcome.roster.is_empty(), "the golden file shows something");
        for events in [events, Vec::new()] {
            welcome.events = events;
            let frame = composed(&welcome).to_frame();
            let expected = ServerMessage::Welcome(welcome.clone());
            assert_eq!(serde_json::from_slice::<ServerMessage>(frame.json()).unwrap(), expected);
        }
    }

    #[test]
    fn a_websocket_gets_the_same_bytes_piece_by_piece() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol/golden/server.welcome.json");
        let message: ServerMessage = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        let ServerMessage::Welcome(welcome) = message else { panic!("not a welcome") };
        let frame = composed(&welcome);
        let mut wire = frame.clone().into_wire();
        let wire = wire.copy_to_bytes(wire.remaining());
        assert_eq!(&wire, Burst::from(frame.to_frame()).wire());
    }
}
