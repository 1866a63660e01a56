//! Registering at a trunk (RFC 3261 §10.2): when to ask, and what an answer means. Messages are made elsewhere.
//!
//! ```text
//! due ─> Asking ─200─> Registered, due again at 90 % of the time that was granted
//!          └─ refused, or silence ─> due again after a pause that doubles up to ten minutes
//! Registered ─ its connection is gone, or the trunk was ─> due at once: it may know nothing of us any more
//! ```

use std::time::{Duration, Instant};

/// What is asked for, in seconds.
const EXPIRES: u32 = 3600;
/// First pause after a refusal; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// Nothing granted is refreshed more often than so.
const SHORTEST: u32 = 20;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It is not asked for, or no answer has come yet.
    None,
    /// Calls find us.
    Registered,
    /// The last attempt was refused with this code; 408: not answered.
    Refused(u16),
}

/// The registration at one trunk.
#[derive(Clone, Debug)]
pub(super) struct Registrar {
    pub(super) state: Registration,
    /// Seconds to ask for.
    pub(super) expires: u32,
    due: Option<Instant>,
    asked: Option<Instant>,
    failures: u32,
}

impl Registrar {
    /// One that asks at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { state: Registration::None, expires: EXPIRES, due: Some(now), asked: None, failures: 0 }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to send a REGISTER now. Until its answer, it is not due again.
    pub(super) fn poll(&mut self, now: Instant) -> bool {
        let is_due = self.due.take_if(|due| now >= *due).is_some();
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }

    /// 200: granted for so many seconds.
    pub(super) fn granted(&mut self, seconds: u32, now: Instant) {
        self.state = Registration::Registered;
        self.failures = 0;
        self.due = Some(now + Duration::from_secs(u64::from(seconds.max(SHORTEST))) * 9 / 10);
    }

    /// 423: it wants to be asked for more. A trunk that names no more than was asked for has refused.
    pub(super) fn too_brief(&mut self, least: u32, now: Instant) {
        if least > self.expires {
            self.expires = least;
            self.due = Some(now);
        } else {
            self.refused(423, now);
        }
    }

    /// Any other answer; 408: none.
    pub(super) fn refused(&mut self, code: u16, now: Instant) {
        self.state = Registration::Refused(code);
        let pause = PAUSE * 2_u32.saturating_pow(self.failures.min(10));
        self.failures += 1;
        self.due = Some(now + pause.min(PAUSE_MAX));
    }

    /// The connection that calls were to come by is gone.
    pub(super) fn cut(&mut self, now: Instant) {
        if self.state == Registration::Registered {
            self.again(now);
        }
    }

    /// The trunk is back after it was not there.
    pub(super) fn revived(&mut self, now: Instant) {
        self.failures = 0;
        self.again(now);
    }

    /// Not before the first pause is over: who ends each connection is not stormed. Nor while an answer is awaited, which may still come
    /// (RFC 3261 §10.2).
    fn again(&mut self, now: Instant) {
        let soonest = self.asked.map_or(now, |asked| now.max(asked + PAUSE));
        self.due = self.due.map(|due| due.min(soonest));
    }

    /// The server goes: no more attempts.
    pub(super) fn stop(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_granted_registration_is_refreshed_before_it_ends_and_a_refused_one_less_and_less_often() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut registrar = Registrar::new(start);
        assert!(registrar.poll(start) && !registrar.poll(at(9999)), "not twice before an answer");
        registrar.granted(600, at(1));
        assert_eq!((registrar.due(), registrar.state), (Some(at(541)), Registration::Registered));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            registrar.refused(503, at(0));
            pauses.push((registrar.due().expect("due") - start).as_secs());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        registrar.granted(1, at(0));
        assert_eq!(registrar.due(), Some(at(18)));
        registrar.too_brief(7200, at(5));
        assert_eq!((registrar.expires, registrar.due()), (7200, Some(at(5))));
        registrar.too_brief(7200, at(5));
        assert_eq!(registrar.state, Registration::Refused(423));
    }

    #[test]
    fn a_registration_whose_connection_is_cut_is_asked_for_again_but_never_in_a_storm() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut registrar = Registrar::new(start);
        assert!(registrar.poll(start));
        registrar.granted(600, at(0));
        registrar.cut(at(1));
        assert_eq!(registrar.due(), Some(at(5)), "asked for a second ago");
        assert!(registrar.poll(at(5)));
        registrar.granted(600, at(5));
        registrar.cut(at(100));
        assert_eq!(registrar.due(), Some(at(100)));
        assert!(registrar.poll(at(100)));
        for failure in 0..4 {
            registrar.refused(503, at(100 + failure));
        }
        let due = registrar.due();
        registrar.cut(at(104));
        assert_eq!(registrar.due(), due, "it knows already, and waits longer and longer");
        registrar.revived(at(110));
        assert_eq!(registrar.due(), Some(at(110)));
        assert!(registrar.poll(at(110)));
        registrar.revived(at(120));
        assert_eq!(registrar.due(), None, "an answer is awaited");
    }
}
