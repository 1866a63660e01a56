//! A cursor: how far somebody has heard. Opaque to clients.

use std::fmt;

use crate::store::FeedState;

/// A cursor that is further back is told to start over: reading the lists anew is cheaper than all that happened since.
const WINDOW: u64 = 1_000_000;

/// A place in one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    epoch: String,
    /// The newest place that was heard of.
    pub place: u64,
}

impl Cursor {
    /// A place of this history.
    #[must_use]
    pub fn new(epoch: &str, place: u64) -> Self {
        Self { epoch: epoch.to_owned(), place }
    }

    /// Where a client goes on; `None`: it has to start over. One of another history (a restored backup), from the future or
    /// too far back is as good as none.
    #[must_use]
    pub fn resume(text: &str, state: &FeedState) -> Option<u64> {
        let (epoch, place) = text.split_once('-')?;
        let place: u64 = place.parse().ok()?;
        let is_ours = epoch == state.epoch && place <= state.place && state.place - place <= WINDOW;
        is_ours.then_some(place)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cursor_of_this_history_within_reach_is_gone_on_from() {
        let state = FeedState { epoch: "e1".to_owned(), place: WINDOW + 10 };
        let resume = |text: &str| Cursor::resume(text, &state);
        assert_eq!(resume(&Cursor::new("e1", WINDOW).to_string()), Some(WINDOW));
        assert_eq!(resume("e1-10"), Some(10));
        assert_eq!(resume("e1-9"), None, "too far back");
        assert_eq!(resume("e1-1000011"), None, "from the future");
        for other in ["e2-20", "", "e1", "e1-", "e1--5", "e1-x", "-5", "e1-99999999999999999999999"] {
            assert_eq!(resume(other), None, "{other}");
        }
    }
}
