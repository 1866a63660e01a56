//! Calls that are not over: whom they concern, how many there are, and how they are hung up.
//!
//! ```text
//! dial -> begin: called already? one too many? too often? -> Open -+-> hang_up, go_down -> Outgoing::cancelled
//! rings -> Ringing ------> hang_up -> Ringing::taken: declined
//! IncomingRow::joined ----------------------------------+-> end, when the row is written
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::DialOutRules;
use crate::id::{CallId, MeetingId, ParticipantId};
use crate::tally::Tally;

const HOUR: Duration = Duration::from_secs(3_600);

/// Whether a call is to be hung up, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HangUp {
    /// It is not.
    No,
    /// Somebody wishes it.
    Wished,
    /// The server goes down.
    GoingDown,
}

/// Why a call is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotBegun {
    /// That number is in the meeting, or being called into it.
    AlreadyCalled,
    /// Too many calls go on.
    TooMany,
    /// That number was called too often of late; it may be called again after so long.
    TooOften(Duration),
}

enum Line {
    Out { tenant: String, hang_up: watch::Sender<HangUp> },
    In { participant: ParticipantId },
    Ringing { hang_up: watch::Sender<HangUp> },
}

struct Open {
    meeting: MeetingId,
    /// Whole, to be compared and nothing else.
    number: Option<String>,
    line: Line,
}

impl Open {
    fn is_out_of(&self, of: &str) -> bool {
        matches!(&self.line, Line::Out { tenant, .. } if tenant == of)
    }
}

/// How a call can be hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HungUp {
    /// The gateway is told.
    Told,
    /// By putting that participant out.
    ByLeaving(ParticipantId),
    /// It is over.
    Over,
}

/// All of them. As many as the rules allow, and as many callers as are in meetings.
pub(super) struct Calls {
    open: Mutex<HashMap<CallId, Open>>,
    /// By organisation and number.
    dialled: Tally<(String, String)>,
}

/// Without numbers.
impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("open", &self.open().len()).finish()
    }
}

impl Calls {
    /// None yet. A number may be called so often within an hour.
    pub(super) fn new(per_number: u32) -> Self {
        Self { open: Mutex::default(), dialled: Tally::new(per_number, HOUR) }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<CallId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call out of a meeting of that organisation begins.
    pub(super) fn begin(
        &self,
        id: CallId,
        (meeting, tenant): (MeetingId, &str),
        number: &str,
        rules: &DialOutRules,
    ) -> Result<watch::Receiver<HangUp>, NotBegun> {
        let mut open = self.open();
        if open.values().any(|call| call.meeting == meeting && call.number.as_deref() == Some(number)) {
            return Err(NotBegun::AlreadyCalled);
        }
        let out = open.values().filter(|call| call.is_out_of(tenant));
        let (of_meeting, of_organization) =
            out.fold((0, 0), |(here, all), call| (here + usize::from(call.meeting == meeting), all + 1));
        if of_meeting >= rules.calls_per_meeting || of_organization >= rules.calls_per_organization {
            return Err(NotBegun::TooMany);
        }
        let whom = (tenant.to_owned(), number.to_owned());
        if let Some(wait) = self.dialled.wait(&whom) {
            return Err(NotBegun::TooOften(wait));
        }
        self.dialled.count(whom);
        let (hang_up, wish) = watch::channel(HangUp::No);
        let line = Line::Out { tenant: tenant.to_owned(), hang_up };
        open.insert(id, Open { meeting, number: Some(number.to_owned()), line });
        Ok(wish)
    }

    /// Somebody calls a number of somebody's own, and is not answered yet.
    pub(super) fn rings(&self, id: CallId, meeting: MeetingId, number: Option<String>) -> watch::Receiver<HangUp> {
        let (hang_up, wish) = watch::channel(HangUp::No);
        self.open().insert(id, Open { meeting, number, line: Line::Ringing { hang_up } });
        wish
    }

    /// A caller is in a meeting.
    pub(super) fn came_in(&self, id: CallId, meeting: MeetingId, number: Option<String>, participant: ParticipantId) {
        self.open().insert(id, Open { meeting, number, line: Line::In { participant } });
    }

    /// A call is over.
    pub(super) fn end(&self, id: CallId) {
        self.open().remove(&id);
    }

    /// Somebody wishes that a call ends.
    pub(super) fn hang_up(&self, id: CallId) -> HungUp {
        match self.open().get(&id).map(|call| &call.line) {
            None => HungUp::Over,
            Some(Line::Out { hang_up, .. } | Line::Ringing { hang_up }) => {
                hang_up.send_replace(HangUp::Wished);
                HungUp::Told
            }
            Some(Line::In { participant }) => HungUp::ByLeaving(*participant),
        }
    }

    /// The server goes down: all calls out of meetings end.
    pub(super) fn go_down(&self) {
        for call in self.open().values() {
            if let Line::Out { hang_up, .. } = &call.line {
                hang_up.send_replace(HangUp::GoingDown);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn calls_are_counted_by_meeting_and_organisation_until_they_are_over() {
        let calls = Calls::new(4);
        let rules = DialOutRules {
            prefixes: Vec::new(),
            emergency: Vec::new(),
            calls_per_meeting: 2,
            calls_per_organization: 3,
            calls_per_number: 4,
        };
        let (one, other, abroad) = (MeetingId::generate(), MeetingId::generate(), MeetingId::generate());
        let begin = |meeting, tenant, number: &str| {
            let id = CallId::generate();
            calls.begin(id, (meeting, tenant), number, &rules).map(|_| id)
        };
        let first = begin(one, "home", "+491").unwrap();
        assert_eq!(begin(one, "home", "+491"), Err(NotBegun::AlreadyCalled));
        begin(one, "home", "+492").unwrap();
        assert_eq!(begin(one, "home", "+493"), Err(NotBegun::TooMany), "of the meeting");
        begin(other, "home", "+491").unwrap();
        assert_eq!(begin(other, "home", "+493"), Err(NotBegun::TooMany), "of the organisation");
        begin(abroad, "abroad", "+491").unwrap();
        calls.end(first);
        let caller = CallId::generate();
        calls.came_in(caller, one, Some("+494".to_owned()), ParticipantId::from_u128(1));
        assert_eq!(begin(one, "home", "+494"), Err(NotBegun::AlreadyCalled), "they called by themselves");
        let third = begin(one, "home", "+491").unwrap();
        calls.end(third);
        let fourth = begin(one, "home", "+491").unwrap();
        calls.end(fourth);
        assert!(
            matches!(begin(one, "home", "+491"), Err(NotBegun::TooOften(wait)) if wait <= HOUR),
            "four times in an hour"
        );
        assert!(matches!(begin(other, "home", "+491"), Err(NotBegun::AlreadyCalled)), "it goes on there");
        begin(one, "home", "+495").unwrap();
        assert_eq!(calls.hang_up(caller), HungUp::ByLeaving(ParticipantId::from_u128(1)));
        assert_eq!(calls.hang_up(first), HungUp::Over);
    }
}
