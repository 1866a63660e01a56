//! Calls to be made, on their way to the gateway.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use super::Outgoing;

/// Calls that wait for the gateway. Filled when it does not come round to them; when full, nobody is called.
const ORDERS: usize = 32;

/// The way there, once somebody stands at its end.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<Option<mpsc::Sender<Outgoing>>>);

/// A place in the queue.
#[derive(Debug)]
pub(super) struct Place(mpsc::OwnedPermit<Outgoing>);

impl Place {
    pub(super) fn send(self, call: Outgoing) {
        self.0.send(call);
    }
}

impl Orders {
    /// The end at which they come out, for the first who asks.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<Outgoing>> {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.is_some() {
            return None;
        }
        let (orders, end) = mpsc::channel(ORDERS);
        *sender = Some(orders);
        Some(end)
    }

    /// A place for one call, if somebody would make it.
    pub(super) fn place(&self) -> Option<Place> {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        sender.try_reserve_owned().ok().map(Place)
    }
}
