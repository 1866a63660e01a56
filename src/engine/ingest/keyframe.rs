//! Asks a publisher for key frames, at most once a second.
//!
//! Every joiner, every switch and every receiver in trouble wants one, and an encoder that serves them all drowns its own
//! link (key-frame storms are among the commonest complaints about every rival). A wish stays open until a key frame
//! has come, so a lost request is repeated.

use crate::clock::Micros;

/// The open wish for a key frame of one publication.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFrameRequests {
    wanted: bool,
    asked: Option<Micros>,
}

/// DESIGN 4.4: at most one request a second and publication.
pub const INTERVAL_MIN: Micros = Micros::from_millis(1_000);

impl KeyFrameRequests {
    /// Somebody needs a key frame.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// A key frame began: whoever waited has it now.
    pub fn arrived(&mut self) {
        self.wanted = false;
    }

    /// Somebody waits.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.wanted
    }

    /// Whether the last request is long enough ago.
    #[must_use]
    pub fn may_ask(&self, now: Micros) -> bool {
        self.asked.is_none_or(|last| now.since(last) >= INTERVAL_MIN)
    }

    /// Whether to send a request now; if so it counts as sent.
    pub fn due(&mut self, now: Micros) -> bool {
        let due = self.wanted && self.may_ask(now);
        if due {
            self.asked = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wishes_make_one_request_a_second_until_the_key_frame_comes() {
        let mut requests = KeyFrameRequests::default();
        let mut sent = vec![];
        for ms in 0..3_500 {
            requests.want();
            if requests.due(Micros::from_millis(ms)) {
                sent.push(ms);
            }
        }
        assert_eq!(sent, [0, 1_000, 2_000, 3_000]);
        requests.arrived();
        assert!(!requests.due(Micros::from_millis(9_000)));
    }
}
