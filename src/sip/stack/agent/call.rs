//! What is kept of one call.

use std::time::Instant;

use crate::stack::dialog::Dialog;
use crate::stack::digest::Answered;
use crate::stack::message::Message;
use crate::stack::path::{Path, TrunkId};
use crate::stack::session_timer::{Agreed, SessionTimer};
use crate::stack::transaction::{ClientKey, ServerKey};

/// How far a call is.
pub(super) enum Phase {
    /// It came in and is not answered.
    Incoming(Incoming),
    /// It goes out and is not answered.
    Outgoing(Box<Outgoing>),
    /// Answered.
    Confirmed,
}

/// A call that came in.
pub(super) struct Incoming {
    pub(super) invite: ServerKey,
    /// The caller has made no offer: our 2xx does.
    pub(super) offerless: bool,
    /// Provisional answers must be acknowledged (RFC 3262).
    pub(super) reliable: bool,
    /// The number of the last reliable provisional answer, and whether its PRACK is missing.
    pub(super) rseq: u32,
    pub(super) unacknowledged: bool,
    /// Answers that wait for that PRACK.
    pub(super) queued: Vec<(u16, Option<String>)>,
    /// What is to be agreed on in our 2xx.
    pub(super) session: Option<Agreed>,
}

/// A call that goes out.
pub(super) struct Outgoing {
    /// The request as it was last sent.
    pub(super) invite: Message,
    pub(super) key: ClientKey,
    pub(super) path: Path,
    pub(super) answered: Answered,
    /// A provisional answer came: a CANCEL may be sent (RFC 3261 §9.1).
    pub(super) provisional: bool,
    /// Nobody wants it any more.
    pub(super) cancelled: bool,
    /// Without any answer until then, the trunk has failed.
    pub(super) answer_by: Option<Instant>,
    /// The last description of each fork, for a 2xx without one.
    pub(super) early: Vec<(String, String)>,
    /// How often the interval of the session was raised.
    pub(super) raised: u8,
}

/// A 2xx of ours whose ACK has not come.
pub(super) struct WaitsForAck {
    pub(super) key: ServerKey,
    /// The number of the INVITE, which the ACK has too.
    pub(super) number: u32,
    /// The offer was in the 2xx: the ACK has the answer.
    pub(super) answer_follows: bool,
}

/// One call.
pub(super) struct Call {
    pub(super) trunk: TrunkId,
    pub(super) phase: Phase,
    /// None: it goes out, and is not answered yet.
    pub(super) dialog: Option<Dialog>,
    pub(super) waits_for_ack: Option<WaitsForAck>,
    /// A re-INVITE or UPDATE of theirs that waits for an answer of ours.
    pub(super) changing: Option<ServerKey>,
    /// A refresh of ours that is under way.
    pub(super) refreshing: Option<ClientKey>,
    pub(super) refresh_answered: Answered,
    pub(super) session: Option<SessionTimer>,
    /// The other side takes UPDATE.
    pub(super) takes_update: bool,
    /// Our last description, for a refresh by INVITE.
    pub(super) local: Option<String>,
    /// To be ended as soon as the ACK came: no BYE may be sent before (RFC 3261 §15).
    pub(super) hang_up: bool,
}

impl Call {
    pub(super) fn new(trunk: TrunkId, phase: Phase, dialog: Option<Dialog>) -> Self {
        Self {
            trunk,
            phase,
            dialog,
            waits_for_ack: None,
            changing: None,
            refreshing: None,
            refresh_answered: Answered::default(),
            session: None,
            takes_update: false,
            local: None,
            hang_up: false,
        }
    }

    /// When it wants to be asked.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Outgoing(outgoing) => outgoing.answer_by,
            Phase::Incoming(_) => None,
            Phase::Confirmed => self.session.map(|session| session.due()),
        }
    }
}

/// Whether the sender of a message takes UPDATE (RFC 3311 §4).
pub(super) fn takes_update(message: &Message) -> bool {
    message.lists("Allow", "UPDATE")
}
