//! What can be said to a caller, by the names of the files that say it.

/// One prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prompt {
    /// Who has answered.
    Welcome,
    /// Asks for the conference id and `#`.
    ConferenceId,
    /// No meeting has this id.
    WrongId,
    /// Nobody is there yet: the organiser may enter the PIN and `#`, others press `#` alone and wait.
    OrganizerPin,
    /// The PIN is not right.
    WrongPin,
    /// Too often wrong.
    TooManyTries,
    /// It does not work at the moment.
    Unavailable,
    /// Somebody has to let the caller in.
    Lobby,
    /// A tone now and then while one waits; goes on until something else is played.
    Hold,
    /// The tone of having joined.
    Joined,
    /// Nobody lets them in.
    NotLetIn,
    /// Put out.
    Removed,
    /// The meeting is over.
    Ended,
    /// Nobody else is there.
    Alone,
    /// Dial-out: a meeting calls, 1 joins.
    Invited,
    /// Muted now.
    Muted,
    /// Not muted any more.
    Unmuted,
    /// The hand is up.
    HandRaised,
    /// It is not any more.
    HandLowered,
    /// The meeting is recorded.
    Recorded,
    /// The meeting is recorded, and 1 agrees to it.
    Consent,
    /// The keys of the menu.
    Help,
    /// Nobody answers: a message can be left.
    Voicemail,
    /// Speak now.
    Beep,
    /// The message is kept.
    MessageSaved,
    /// The last words.
    Goodbye,
}

impl Prompt {
    /// Each of them.
    pub const ALL: [Self; 26] = [
        Self::Welcome,
        Self::ConferenceId,
        Self::WrongId,
        Self::OrganizerPin,
        Self::WrongPin,
        Self::TooManyTries,
        Self::Unavailable,
        Self::Lobby,
        Self::Hold,
        Self::Joined,
        Self::NotLetIn,
        Self::Removed,
        Self::Ended,
        Self::Alone,
        Self::Invited,
        Self::Muted,
        Self::Unmuted,
        Self::HandRaised,
        Self::HandLowered,
        Self::Recorded,
        Self::Consent,
        Self::Help,
        Self::Voicemail,
        Self::Beep,
        Self::MessageSaved,
        Self::Goodbye,
    ];

    /// The name of its file, without language and ending.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::ConferenceId => "conference-id",
            Self::WrongId => "wrong-id",
            Self::OrganizerPin => "organizer-pin",
            Self::WrongPin => "wrong-pin",
            Self::TooManyTries => "too-many-tries",
            Self::Unavailable => "unavailable",
            Self::Lobby => "lobby",
            Self::Hold => "hold",
            Self::Joined => "joined",
            Self::NotLetIn => "not-let-in",
            Self::Removed => "removed",
            Self::Ended => "ended",
            Self::Alone => "alone",
            Self::Invited => "invited",
            Self::Muted => "muted",
            Self::Unmuted => "unmuted",
            Self::HandRaised => "hand-raised",
            Self::HandLowered => "hand-lowered",
            Self::Recorded => "recorded",
            Self::Consent => "consent",
            Self::Help => "help",
            Self::Voicemail => "voicemail",
            Self::Beep => "beep",
            Self::MessageSaved => "message-saved",
            Self::Goodbye => "goodbye",
        }
    }
}
