//! Why a call is over, in the words of its record.

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The phone hung up.
    HungUp,
    /// The caller left by the menu.
    Left,
    /// Put out of the meeting.
    Removed,
    /// Nobody let them in.
    NotLetIn,
    /// The meeting is over.
    MeetingEnded,
    /// Nobody else was in the meeting for too long.
    Alone,
    /// The meeting is full.
    Full,
    /// No conference id or PIN that was right, or none at all.
    WrongId,
    /// Too many were wrong before: nothing was looked at.
    LockedOut,
    /// Called: busy.
    Busy,
    /// Called: they do not want to.
    Declined,
    /// Called: it rang, and nobody answered.
    NoAnswer,
    /// Called: no trunk takes the call, or the number is none.
    Unreachable,
    /// Called: answered, but nobody pressed 1.
    NotConfirmed,
    /// Called: taken back before they were in.
    Cancelled,
    /// No sound came any more.
    Silent,
    /// A fault, ours or between.
    Failed,
}

impl EndReason {
    /// What a trunk's refusal of a call out means (RFC 3261 §21). `has_rung`: the phone was reached before.
    #[must_use]
    pub const fn of_refusal(code: u16, has_rung: bool) -> Self {
        match code {
            486 | 600 => Self::Busy,
            403 | 603 | 607 | 608 => Self::Declined,
            480 => Self::NoAnswer,
            408 | 487 if has_rung => Self::NoAnswer,
            _ => Self::Unreachable,
        }
    }

    /// For logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::HungUp => "hung_up",
            Self::Left => "left",
            Self::Removed => "removed",
            Self::NotLetIn => "not_let_in",
            Self::MeetingEnded => "meeting_ended",
            Self::Alone => "alone",
            Self::Full => "full",
            Self::WrongId => "wrong_id",
            Self::LockedOut => "locked_out",
            Self::Busy => "busy",
            Self::Declined => "declined",
            Self::NoAnswer => "no_answer",
            Self::Unreachable => "unreachable",
            Self::NotConfirmed => "not_confirmed",
            Self::Cancelled => "cancelled",
            Self::Silent => "silent",
            Self::Failed => "failed",
        }
    }
}
