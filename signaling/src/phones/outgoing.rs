//! A call to be made, as the gateway has it in hand.

use super::{CallEnd, Phones, Seat, SeatRefused};

/// The call. Dropped without an end it is `lost`.
#[derive(Debug)]
pub struct Outgoing {
    phones: Phones,
    number: String,
}

impl Outgoing {
    /// Whom to call: + and digits.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Waits until the call is not wanted any more: it was hung up over HTTP, the meeting ended, or the server goes down.
    /// May be dropped and called again.
    pub async fn cancelled(&mut self) {
        std::future::pending().await
    }

    /// The phone rings.
    pub async fn ringing(&mut self) {}

    /// Somebody took the call, which goes by that trunk.
    pub async fn answered(&mut self, trunk: &str) {
        let _ = trunk;
    }

    /// Takes a place in the meeting, past the lobby: somebody in it called them.
    ///
    /// # Errors
    /// See [`SeatRefused`].
    pub async fn join(&mut self) -> Result<Seat, SeatRefused> {
        let _ = &self.phones;
        Err(SeatRefused::Unavailable)
    }

    /// The call is over.
    pub async fn ended(self, end: CallEnd) {
        let _ = end;
    }
}
