//! What one receiver would like to see, and the most that it can take: said by the client, carried as it is.
//!
//! Why values of their own: the same wish goes from signalling through the mailbox into the endpoint, where
//! [`crate::route::select`] decides who fills which slot, and what is sent of each picture follows the size of its tile.
//!
//! ```text
//! Command::Layout { endpoint, layout } -> Endpoint::layout -> who (wants, fill, max_tiles), how much (width, height, max_bitrate, mix)
//! ```

use crate::id::{ParticipantId, PublicationKind};

/// A picture that a receiver would like to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Whose.
    pub participant: ParticipantId,
    /// Camera or screen.
    pub kind: PublicationKind,
    /// Larger is more wanted.
    pub priority: u8,
    /// The tile in the receiver's own pixels; 0: not known.
    pub width: u16,
    /// The same of its height.
    pub height: u16,
}

impl Want {
    /// A camera's picture of no particular size.
    #[must_use]
    pub const fn of(participant: ParticipantId, priority: u8) -> Self {
        Self { participant, kind: PublicationKind::Camera, priority, width: 0, height: 0 }
    }
}

/// The wishes and limits of one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Whom it would like to see.
    pub wants: Vec<Want>,
    /// Slots that no wish fills show others. Otherwise they stay empty and cost nothing.
    pub fill: bool,
    /// Never more pictures at once than this, however many slots there are.
    pub max_tiles: Option<u8>,
    /// Never more than this on its path, in bits a second.
    pub max_bitrate: Option<u32>,
    /// One stream of all voices instead of the loudest ones in a slot each. It comes as soon as there is one.
    pub mix: bool,
}

impl Layout {
    /// What it would like to see of a participant's camera or screen.
    #[must_use]
    pub fn want(&self, participant: ParticipantId, kind: PublicationKind) -> Option<&Want> {
        let wants = self.wants.iter().filter(|want| (want.participant, want.kind) == (participant, kind));
        wants.max_by_key(|want| want.priority)
    }
}

impl Default for Layout {
    /// Of a receiver that has said nothing: whoever there is, in all its slots.
    fn default() -> Self {
        Self { wants: Vec::new(), fill: true, max_tiles: None, max_bitrate: None, mix: false }
    }
}

impl From<Vec<Want>> for Layout {
    fn from(wants: Vec<Want>) -> Self {
        Self { wants, ..Self::default() }
    }
}
