//! Whether objects are sealed, now and before.
//!
//! A store outlives its configuration: sealing is turned on when there are recordings already, or off again. What is
//! read then depends on who may be trusted with the store: one that accepts unsealed objects beside sealed ones lets
//! whoever can write into it put something else in their place.
//!
//! ```text
//!          put      read sealed   read plain
//! None     plain    refused       yes
//! All      sealed   yes           refused
//! New      sealed   yes           yes
//! Old      plain    yes           yes
//! ```

use std::sync::Arc;

use super::keys::KeyProvider;

/// What is sealed, and by whose keys.
#[derive(Clone, Debug)]
pub enum Sealing {
    /// Nothing.
    None,
    /// Everything; what is not sealed is refused.
    All(Arc<dyn KeyProvider>),
    /// What is put from now on; what is not sealed was there before, and is read.
    New(Arc<dyn KeyProvider>),
    /// Nothing any more, but what was sealed before is opened.
    Old(Arc<dyn KeyProvider>),
}

impl Sealing {
    pub(super) fn keys(&self) -> Option<&Arc<dyn KeyProvider>> {
        match self {
            Self::None => None,
            Self::All(keys) | Self::New(keys) | Self::Old(keys) => Some(keys),
        }
    }

    pub(super) fn seals_with(&self) -> Option<&Arc<dyn KeyProvider>> {
        match self {
            Self::None | Self::Old(_) => None,
            Self::All(keys) | Self::New(keys) => Some(keys),
        }
    }

    pub(super) fn reads_plain(&self) -> bool {
        !matches!(self, Self::All(_))
    }
}

/// Keys: everything is sealed.
impl From<Option<Arc<dyn KeyProvider>>> for Sealing {
    fn from(keys: Option<Arc<dyn KeyProvider>>) -> Self {
        keys.map_or(Self::None, Self::All)
    }
}
