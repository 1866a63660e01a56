//! What somebody is and may do in a meeting, as the wire names it. Who is what is decided in `policy`.

use serde::{Deserialize, Serialize};

/// What a participant is in the meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Made the meeting; one, and fixed.
    Organizer,
    /// As the organiser, except towards the organiser.
    Coorganizer,
    /// Speaks, shows and keeps order.
    Presenter,
    /// Speaks and writes.
    Attendee,
}

/// One thing that somebody may do or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Right {
    /// Switch the own microphone on.
    Microphone,
    /// Switch the own camera on.
    Camera,
    /// Write in the chat.
    Chat,
    /// Raise the own hand.
    RaiseHand,
    /// Send reactions.
    React,
    /// Share a screen and its sound.
    Share,
    /// Put somebody into the spotlight.
    Spotlight,
    /// Silence others.
    Mute,
    /// Put others out.
    Remove,
    /// Let people in from the lobby, or not.
    Admit,
    /// Lower the hands of others.
    LowerHands,
    /// Make others presenters or attendees.
    SetRoles,
    /// Lock and unlock the meeting.
    Lock,
    /// Record.
    Record,
    /// Have people called into the meeting.
    DialOut,
    /// Change the meeting's options, and who is a co-organiser.
    ChangeOptions,
}

impl Right {
    /// Each of them.
    pub const ALL: [Self; 16] = [
        Self::Microphone,
        Self::Camera,
        Self::Chat,
        Self::RaiseHand,
        Self::React,
        Self::Share,
        Self::Spotlight,
        Self::Mute,
        Self::Remove,
        Self::Admit,
        Self::LowerHands,
        Self::SetRoles,
        Self::Lock,
        Self::Record,
        Self::DialOut,
        Self::ChangeOptions,
    ];
}

/// Why somebody waits in the lobby. It says nothing about who is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LobbyReason {
    /// Somebody inside decides.
    Policy,
    /// The meeting has not begun; they are let in by themselves as soon as it has, if nothing else holds them.
    NotStarted,
    /// The meeting is locked.
    Locked,
}
