//! Wishes to hear a mix, on their way from the engine to the mixers.
//!
//! As in [`super::mailbox`], engine threads never wait: only the newest wish of an endpoint counts, so what is kept is bounded by
//! the endpoints that there are. Beginning a mix gives orders to the engine, which its own threads must not do.
//!
//! ```text
//! engine thread --post--> {newest wish of each endpoint} --> forward --> Mixers::wish
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::id::{EndpointId, MeetingId, ParticipantId};
use mixer::runner::Mixers;
use tokio::sync::Notify;

/// What an endpoint wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MixWish {
    /// Where it is.
    pub(super) meeting: MeetingId,
    /// Whose it is.
    pub(super) participant: ParticipantId,
    /// A mix, or none any more.
    pub(super) wanted: bool,
}

/// Wishes that no mixer knows of yet.
#[derive(Default)]
pub(super) struct MixWishes {
    unread: Mutex<BTreeMap<EndpointId, MixWish>>,
    posted: Notify,
}

impl MixWishes {
    /// Notes a wish. Called on engine threads: a short lock, no waiting.
    pub(super) fn post(&self, endpoint: EndpointId, wish: MixWish) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint, wish);
        self.posted.notify_one();
    }

    /// Hands them over for as long as the process lives.
    pub(super) async fn forward(self: Arc<Self>, mixers: Mixers) {
        loop {
            self.posted.notified().await;
            for (endpoint, wish) in self.take() {
                mixers.wish(wish.meeting, endpoint, wish.participant, wish.wanted);
            }
        }
    }

    fn take(&self) -> BTreeMap<EndpointId, MixWish> {
        std::mem::take(&mut *self.unread.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_endpoint_that_changes_its_mind_the_newest_wish_counts() {
        let wishes = MixWishes::default();
        let wish = |wanted| MixWish { meeting: MeetingId(1), participant: ParticipantId(2), wanted };
        for turn in 0..100 {
            wishes.post(EndpointId(7), wish(turn % 2 == 0));
        }
        wishes.post(EndpointId(8), wish(true));
        assert_eq!(Vec::from_iter(wishes.take()), [(EndpointId(7), wish(false)), (EndpointId(8), wish(true))]);
        assert!(wishes.take().is_empty());
    }
}
