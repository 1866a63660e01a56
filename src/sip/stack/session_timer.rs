//! Session timers (RFC 4028): a call whose other end is gone is noticed, though nobody hangs up.
//!
//! Both sides agree on an interval and on who refreshes. Who refreshes does so at half of it; who waits hangs up a little before its
//! end. Agreeing is a function of the headers; the timer itself is a value that is asked what to do at a moment.
//!
//! ```text
//! INVITE, UPDATE ─> agree_as_server ─> 200 with Session-Expires, or 422 with Min-SE
//! 200            ─> agree_as_client ─┐
//!                                    ├─> SessionTimer: due() ─> poll(now): Refresh | Expired
//!          each refresh, either way ─┘
//! ```

use std::time::{Duration, Instant};

use super::message::Message;

/// The shortest interval that is accepted (RFC 4028 §5), in seconds.
pub(super) const MIN_SE: u32 = 90;
/// The interval that is asked for, in seconds (RFC 4028 §4.2 recommends half an hour).
pub(super) const SESSION_EXPIRES: u32 = 1800;
/// A call is ended so long before its interval is over at the most (RFC 4028 §10).
const MARGIN: Duration = Duration::from_secs(32);
/// A refresh that failed for a moment is tried again so soon.
const AGAIN: Duration = Duration::from_secs(10);

/// Who refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresher {
    We,
    They,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// Seconds.
    pub(super) interval: u32,
    pub(super) refresher: Refresher,
}

impl Agreed {
    /// The header of our answer to a request that agreed. The client is them.
    pub(super) fn header_as_server(self) -> String {
        let refresher = if self.refresher == Refresher::We { "uas" } else { "uac" };
        format!("{};refresher={refresher}", self.interval)
    }
}

/// The interval is shorter than we accept: 422 with this Min-SE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooShort(pub(super) u32);

/// The header of a Session-Expires: seconds, and who refreshes if that is said.
fn session_expires(message: &Message) -> Option<(u32, Option<bool>)> {
    let seconds = message.seconds("Session-Expires")?;
    let refresher = message.header("Session-Expires")?.split(';').skip(1).find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim().eq_ignore_ascii_case("uac"))
    });
    Some((seconds, refresher))
}

/// What a request asks for, as the one who answers it (RFC 4028 §9). `None`: no timer, for the other side knows none.
pub(super) fn agree_as_server(request: &Message) -> Result<Option<Agreed>, TooShort> {
    let they_know = request.lists("Supported", "timer") || request.lists("Require", "timer");
    let Some((seconds, client_refreshes)) = session_expires(request) else {
        // Who knows timers but asks for none gets ours; who refreshes is theirs to say, so it is we.
        return Ok(they_know.then_some(Agreed { interval: SESSION_EXPIRES, refresher: Refresher::We }));
    };
    if seconds < MIN_SE {
        // A client without timers could not understand 422: its proxy asked for it, and gets the least we accept (§9).
        return if they_know {
            Err(TooShort(MIN_SE))
        } else {
            Ok(Some(Agreed { interval: MIN_SE, refresher: Refresher::We }))
        };
    }
    let refresher = match client_refreshes {
        Some(true) | None if they_know => Refresher::They,
        _ => Refresher::We,
    };
    Ok(Some(Agreed { interval: seconds, refresher }))
}

/// What a 2xx to our request says, as the one who sent it (RFC 4028 §7.2). `None`: no timer.
pub(super) fn agree_as_client(response: &Message) -> Option<Agreed> {
    let (seconds, client_refreshes) = session_expires(response)?;
    let refresher = if client_refreshes == Some(false) { Refresher::They } else { Refresher::We };
    Some(Agreed { interval: seconds.max(MIN_SE), refresher })
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Send a refresh.
    Refresh,
    /// Hang up: the other side did not refresh, or answers no more.
    Expired,
}

/// The timer of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionTimer {
    agreed: Agreed,
    refresh: Option<Instant>,
    end: Instant,
}

impl SessionTimer {
    /// Begins, or begins anew with a refresh.
    pub(super) fn new(agreed: Agreed, now: Instant) -> Self {
        let interval = Duration::from_secs(u64::from(agreed.interval));
        Self {
            agreed,
            refresh: (agreed.refresher == Refresher::We).then(|| now + interval / 2),
            end: now + interval - MARGIN.min(interval / 3),
        }
    }

    /// What was agreed on.
    pub(super) fn agreed(&self) -> Agreed {
        self.agreed
    }

    /// When to ask again.
    pub(super) fn due(&self) -> Instant {
        self.refresh.map_or(self.end, |refresh| refresh.min(self.end))
    }

    /// Asks. A refresh is said once, until it is answered ([`SessionTimer::new`]) or failed ([`SessionTimer::failed`]).
    pub(super) fn poll(&mut self, now: Instant) -> Option<Due> {
        if now >= self.end {
            return Some(Due::Expired);
        }
        self.refresh.take_if(|refresh| now >= *refresh).map(|_| Due::Refresh)
    }

    /// A refresh was refused for a moment: it is tried again.
    pub(super) fn failed(&mut self, now: Instant) {
        self.refresh = Some(now + AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::message::Method;

    fn message(headers: &[(&str, &str)]) -> Message {
        let message = Message::request(Method::Invite, "sip:x".to_owned());
        headers.iter().fold(message, |message, (name, value)| message.with(name, *value))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_one_who_answers_takes_what_is_asked_for_but_nothing_below_ninety_seconds() {
        let agreed = |headers: &[(&str, &str)]| agree_as_server(&message(headers));
        let both = |interval, refresher| Ok(Some(Agreed { interval, refresher }));
        assert_eq!(agreed(&[]), Ok(None));
        assert_eq!(agreed(&[("Supported", "100rel, timer")]), both(1800, Refresher::We));
        assert_eq!(agreed(&[("Supported", "timer"), ("Session-Expires", "600")]), both(600, Refresher::They));
        assert_eq!(
            agreed(&[("Supported", "timer"), ("Session-Expires", "600;refresher=uac")]),
            both(600, Refresher::They)
        );
        assert_eq!(
            agreed(&[("Supported", "timer"), ("Session-Expires", "600 ; refresher = UAS")]),
            both(600, Refresher::We)
        );
        assert_eq!(
            agreed(&[("Session-Expires", "600")]),
            both(600, Refresher::We),
            "a proxy asked, the client knows no timers"
        );
        assert_eq!(agreed(&[("Supported", "timer"), ("Session-Expires", "89")]), Err(TooShort(90)));
        assert_eq!(agreed(&[("Session-Expires", "89")]), both(90, Refresher::We));
    }

    #[test]
    fn the_one_who_asked_takes_what_the_answer_says() {
        let agreed = |value: &str| agree_as_client(&message(&[("Session-Expires", value)]));
        assert_eq!(agree_as_client(&message(&[])), None);
        assert_eq!(agreed("1800;refresher=uac"), Some(Agreed { interval: 1800, refresher: Refresher::We }));
        assert_eq!(agreed("1800;refresher=uas"), Some(Agreed { interval: 1800, refresher: Refresher::They }));
        assert_eq!(agreed("10"), Some(Agreed { interval: 90, refresher: Refresher::We }));
    }

    #[test]
    fn a_refresh_is_due_at_half_and_said_once() {
        let start = Instant::now();
        let mut timer = SessionTimer::new(Agreed { interval: 1800, refresher: Refresher::We }, start);
        assert_eq!(timer.due(), start + seconds(900));
        assert_eq!(timer.poll(start + seconds(899)), None);
        assert_eq!(timer.poll(start + seconds(900)), Some(Due::Refresh));
        assert_eq!(timer.poll(start + seconds(901)), None);
        timer.failed(start + seconds(901));
        assert_eq!(timer.due(), start + seconds(911));
        assert_eq!(timer.poll(start + seconds(911)), Some(Due::Refresh));
        assert_eq!(timer.poll(start + seconds(1768)), Some(Due::Expired));
    }

    #[test]
    fn who_waits_ends_the_call_a_third_or_half_a_minute_before_the_interval_does() {
        let start = Instant::now();
        let ends = |interval| SessionTimer::new(Agreed { interval, refresher: Refresher::They }, start).due() - start;
        assert_eq!((ends(1800), ends(90)), (seconds(1768), seconds(60)));
        let mut timer = SessionTimer::new(Agreed { interval: 90, refresher: Refresher::They }, start);
        assert_eq!(timer.poll(start + seconds(59)), None);
        assert_eq!(timer.poll(start + seconds(60)), Some(Due::Expired));
    }
}
