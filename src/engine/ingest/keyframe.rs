//! Asks a publisher for key frames, at most once a second.
//!
//! Every joiner, every switch and every receiver in trouble wants one, and an encoder that serves them all drowns its own
//! link (key-frame storms are among the commonest complaints about every rival). A wish stays open until a key frame
//! has come, so a lost request is repeated.

use crate::clock::Micros;
use crate::id::{LAYERS_MAX, LayerId};

/// The open wishes for key frames of one publication's layers.
#[derive(Clone, Copy, Debug)]
pub struct KeyFrameRequests {
    wanted: [bool; LAYERS_MAX],
    asked: Option<Micros>,
    interval: Micros,
}

/// DESIGN 4.4: at most one request a second and publication. It names every layer that is wished for.
pub const INTERVAL_MIN: Micros = Micros::from_millis(1_000);

/// The same of a screen: a key frame full of text takes three seconds on an uplink of 500 kbit/s, and one that is asked for before the last
/// has come through takes its place (seen in Chromium: 35 key frames in 30 s, none of them whole).
const INTERVAL_SCREEN: Micros = Micros::from_millis(3_000);

impl Default for KeyFrameRequests {
    fn default() -> Self {
        Self { wanted: [false; LAYERS_MAX], asked: None, interval: INTERVAL_MIN }
    }
}

impl KeyFrameRequests {
    /// Nobody wishes for one of a screen yet.
    #[must_use]
    pub fn of_screen() -> Self {
        Self { interval: INTERVAL_SCREEN, ..Self::default() }
    }

    /// Somebody needs a key frame of a layer.
    pub fn want(&mut self, layer: LayerId) {
        self.set(layer, true);
    }

    /// A key frame of a layer began, or nothing comes of it any more: whoever waited has it now, or waits in vain.
    pub fn settle(&mut self, layer: LayerId) {
        self.set(layer, false);
    }

    fn set(&mut self, layer: LayerId, wanted: bool) {
        if let Some(entry) = self.wanted.get_mut(usize::from(layer.0)) {
            *entry = wanted;
        }
    }

    /// Somebody waits.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.wanted.contains(&true)
    }

    /// Whether the last request is long enough ago.
    #[must_use]
    pub fn may_ask(&self, now: Micros) -> bool {
        self.asked.is_none_or(|last| now.since(last) >= self.interval)
    }

    /// The layers that are wished for, the lowest first.
    pub fn wishes(&self) -> impl Iterator<Item = LayerId> + use<> {
        self.wanted.into_iter().enumerate().filter(|(_, wanted)| *wanted).map(|(at, _)| LayerId(at as u8))
    }

    /// A request has been sent.
    pub const fn asked(&mut self, now: Micros) {
        self.asked = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_asked_again_only_when_its_key_frame_can_have_come() {
        let mut requests = KeyFrameRequests::of_screen();
        assert!(requests.may_ask(Micros::from_millis(1)), "the first at once");
        requests.asked(Micros::from_millis(1));
        assert!(!requests.may_ask(Micros::from_millis(3_000)) && requests.may_ask(Micros::from_millis(3_001)));
    }

    #[test]
    fn many_wishes_make_one_request_a_second_until_the_key_frame_comes() {
        let mut requests = KeyFrameRequests::default();
        let mut sent = vec![];
        for ms in 0..3_500 {
            let now = Micros::from_millis(ms);
            requests.want(LayerId((ms % 2) as u8));
            if requests.is_open() && requests.may_ask(now) {
                requests.asked(now);
                sent.push((ms, requests.wishes().count()));
            }
        }
        assert_eq!(sent, [(0, 1), (1_000, 2), (2_000, 2), (3_000, 2)]);
        requests.settle(LayerId(0));
        assert_eq!(requests.wishes().collect::<Vec<_>>(), [LayerId(1)]);
        requests.settle(LayerId(1));
        assert!(!requests.is_open());
    }
}
