//! What was agreed on with each client whose connection stands, for its next offer.
//!
//! Kept beside the shards, since answering an offer is no work for the packet path. An entry is made before its endpoint and
//! goes when that is gone, so there are as many as there are endpoints.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::Rng;

use crate::endpoint::ice::IceCredentials;
use crate::endpoint::sdp::Agreement;
use crate::id::{EndpointId, MediaKind, PublicationId, PublicationKind};

/// One client's.
#[derive(Clone)]
pub(super) struct Standing {
    /// Ours, as the first answer told them.
    pub(super) credentials: IceCredentials,
    pub(super) agreement: Agreement,
    pub(super) ssrcs: Ssrcs,
    /// All its receive slots by mid.
    pub(super) slots: Vec<(String, MediaKind)>,
    pub(super) publications: Vec<(PublicationId, PublicationKind)>,
}

/// SSRCs of one endpoint: random (RFC 3550 §8.1), no two alike.
#[derive(Clone, Default)]
pub(super) struct Ssrcs(HashSet<u32>);

impl Ssrcs {
    pub(super) fn next(&mut self) -> u32 {
        loop {
            let ssrc = rand::rng().random_range(1..u32::MAX);
            if self.0.insert(ssrc) {
                return ssrc;
            }
        }
    }
}

/// Everybody's.
#[derive(Default)]
pub(super) struct Standings(Mutex<HashMap<EndpointId, Arc<Standing>>>);

impl Standings {
    pub(super) fn get(&self, endpoint: EndpointId) -> Option<Arc<Standing>> {
        self.lock().get(&endpoint).cloned()
    }

    pub(super) fn begin(&self, endpoint: EndpointId, standing: Standing) {
        self.lock().insert(endpoint, Arc::new(standing));
    }

    /// What holds from now on; `false`: the endpoint has ended meanwhile.
    pub(super) fn renew(&self, endpoint: EndpointId, standing: Standing) -> bool {
        let mut all = self.lock();
        let entry = all.get_mut(&endpoint);
        let stands = entry.is_some();
        if let Some(entry) = entry {
            *entry = Arc::new(standing);
        }
        stands
    }

    pub(super) fn end(&self, endpoint: EndpointId) {
        self.lock().remove(&endpoint);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EndpointId, Arc<Standing>>> {
        // Entries are put in and taken out whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
