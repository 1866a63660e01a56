//! What travels back from receivers to publishers, as values: no callbacks, one type, one file.
//!
//! ```text
//! egress (a receiver's RTCP, a slot that waits) -> Feedback -> shard -> ingest of the publication
//! ```
//!
//! Loss is answered on the spot by the slot's own cache and does not travel further.

use crate::id::{LayerId, PublicationId};

/// A wish of the receiving side, or of ours on its behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// A receiver cannot go on without a key frame (RFC 4585 §6.3.1, RFC 5104 §4.3.1).
    KeyFrame(PublicationId, LayerId),
    /// Packets of a layer were given up on their way to us: whoever is shown it needs a key frame.
    Broken(PublicationId, LayerId),
}
