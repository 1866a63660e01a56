//! The live protocol, version 1, as types.
//!
//! `signaling/protocol/README.md` is the contract for people, `golden/` for machines; these types are the same contract
//! for the compiler. Nothing here does anything: values in, JSON out, and back.
//!
//! ```text
//! frame (text) --parse--> ClientMessage -> session -> meeting -> ServerMessage --encode--> Frame (shared bytes)
//! ```

mod chat;
mod client;
mod event;
mod frame;
mod people;
mod phones;
mod server;
mod welcome;

pub use chat::{ChatRole, MemberView, Mention, Message, Reaction, Sender};
pub use client::{CallReaction, ClientMessage, HeldBack, LayoutWish, PictureWant, RecordAction, SendLine, WantKind};
pub use event::{Event, EventBody, InterruptionReason};
pub use frame::{Burst, Frame};
pub use people::{LobbyReason, Right, Role};
pub use phones::{CallStatus, CallView, EndReason, PhoneCallState};
pub use server::{
    ConsentState, LobbyState, MediaState, MeetingView, NetworkGrade, OptionsView, ParticipantKind, ParticipantView,
    PublicationView, ReactionView, RecordingState, RecordingView, RemovedReason, ServerMessage, SlotLine, SlotView,
    WaitingView, Welcome,
};
pub use welcome::{WelcomeBody, WelcomeFrame, WelcomeHead, WelcomeScene};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "plenum.v1";
/// A frame of the live protocol may not be larger; a longer one is malformed.
pub const FRAME_BYTES: usize = 768 * 1024;
/// An SDP may not be larger.
pub const SDP_BYTES: usize = 512 * 1024;
/// A chat message has at most so many characters.
pub const TEXT_CHARACTERS: usize = 4000;
/// A message has at most so many bytes, marks and all.
pub const MESSAGE_BYTES: usize = 28 * 1024;
/// A client's own message id has at most so many bytes.
pub const CLIENT_ID_BYTES: usize = 128;
/// An offer names at most so many send lines: each kind once, and some for what is not known yet.
pub const SEND_LINES: usize = 16;
/// A layout names at most so many pictures; a page cannot show more.
pub const WANTS: usize = 64;

/// Why a connection is closed, as WebSocket close codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The participant left.
    Left,
    /// The server goes away; come back.
    GoingAway,
    /// The message could not be read.
    Malformed,
    /// The token is not valid here.
    TokenRefused,
    /// No `hello` in time.
    HelloMissing,
    /// The organiser put this participant out.
    Removed,
    /// The same participant has a newer connection.
    Replaced,
    /// Did not read fast enough; come back with the cursor.
    TooSlow,
    /// The meeting was ended.
    MeetingEnded,
    /// The meeting or the server has no room.
    Full,
    /// Waited in the lobby and was not let in.
    NotLetIn,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::GoingAway => 1001,
            Self::Malformed => 4000,
            Self::TokenRefused => 4001,
            Self::HelloMissing => 4002,
            Self::Removed => 4003,
            Self::Replaced => 4004,
            Self::TooSlow => 4005,
            Self::MeetingEnded => 4006,
            Self::Full => 4007,
            Self::NotLetIn => 4008,
        }
    }

    /// For the person who reads the browser's console.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Left => "you left the meeting",
            Self::GoingAway => "the server goes away, come back",
            Self::Malformed => "malformed message",
            Self::TokenRefused => "the token is not valid here, join again",
            Self::HelloMissing => "no hello came in time",
            Self::Removed => "you were removed from the meeting",
            Self::Replaced => "a newer connection took over",
            Self::TooSlow => "too slow, come back with the cursor",
            Self::MeetingEnded => "the meeting ended",
            Self::Full => "no room, try again later",
            Self::NotLetIn => "you were not let in",
        }
    }
}

/// Why a text is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, not an object, or fields of the wrong form.
    #[error("the message is not a JSON object of the live protocol")]
    Malformed,
    /// A well-formed message of a kind that this server does not know, perhaps of a newer client.
    #[error("this server does not know messages of that type")]
    UnknownType(Option<u64>),
}

/// Reads one message of a client.
///
/// # Errors
/// [`ParseError`] says whether the client is broken or merely newer than we are.
pub fn parse(text: &[u8]) -> Result<ClientMessage, ParseError> {
    #[derive(serde::Deserialize)]
    struct Head {
        r#type: String,
        #[serde(default)]
        id: Option<u64>,
    }
    serde_json::from_slice(text).map_err(|_| match serde_json::from_slice::<Head>(text) {
        Ok(head) if !client::TYPES.contains(&head.r#type.as_str()) => ParseError::UnknownType(head.id),
        _ => ParseError::Malformed,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    /// Every golden file as (name, JSON).
    fn golden(prefix: &str) -> Vec<(String, serde_json::Value)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol/golden");
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| {
                let text = std::fs::read(entry.path()).unwrap();
                (entry.file_name().to_string_lossy().into_owned(), serde_json::from_slice(&text).unwrap())
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert!(found.len() > 5, "the golden folder must not be empty");
        found
    }

    #[test]
    fn every_golden_client_message_survives_the_round_trip() {
        for (name, json) in golden("client.") {
            let message = parse(&serde_json::to_vec(&json).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(serde_json::to_value(&message).unwrap(), json, "{name}");
        }
    }

    #[test]
    fn every_golden_server_message_survives_the_round_trip() {
        for (name, json) in golden("server.") {
            let message: ServerMessage = serde_json::from_value(json.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(serde_json::to_value(&message).unwrap(), json, "{name}");
            let frame: serde_json::Value = serde_json::from_slice(Frame::encode(&message).json()).unwrap();
            assert_eq!(frame, json, "{name}");
        }
    }

    #[test]
    fn every_client_type_has_a_golden_file_and_the_other_way_round() {
        let names: Vec<_> =
            golden("client.").iter().map(|(_, json)| json["type"].as_str().unwrap().to_owned()).collect();
        let mut types: Vec<_> = client::TYPES.iter().map(|t| (*t).to_owned()).collect();
        types.sort();
        assert_eq!(names, types);
    }

    #[test]
    fn a_newer_clients_message_is_told_from_a_broken_one() {
        assert_eq!(parse(br#"{"type":"dance","id":9}"#), Err(ParseError::UnknownType(Some(9))));
        assert_eq!(parse(br#"{"type":"chat","id":9}"#), Err(ParseError::Malformed));
        assert_eq!(parse(b"[]"), Err(ParseError::Malformed));
        assert_eq!(parse(b"\xff"), Err(ParseError::Malformed));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,300}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn chat_of_any_text_survives_the_round_trip(text in any::<String>(), id in any::<Option<u64>>(), name in any::<String>()) {
            let message = ClientMessage::Chat { id, client_message_id: name, text };
            let json = serde_json::to_vec(&message).unwrap();
            prop_assert_eq!(parse(&json).unwrap(), message);
        }
    }
}
