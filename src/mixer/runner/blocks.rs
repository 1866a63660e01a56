//! Payloads that outlive their tick.
//!
//! ```text
//! Delivery: borrowed from the mix ─> Blocks::cut ─> Bytes: a store's, a subscriber's
//! ```

use bytes::{Bytes, BytesMut};

/// Payloads are cut from blocks of this size: an allocation for a hundred packets, and what waits somewhere keeps little else alive.
const BLOCK: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Blocks(BytesMut);

impl Blocks {
    pub(super) fn cut(&mut self, payload: &[u8]) -> Bytes {
        if self.0.capacity() < payload.len() {
            self.0 = BytesMut::with_capacity(BLOCK);
        }
        self.0.extend_from_slice(payload);
        self.0.split().freeze()
    }
}
