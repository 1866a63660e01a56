//! What every handler may use.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::attempts::Attempts;
use super::rates::Rates;
use super::recordings::Downloads;
use crate::auth::{KeyName, SigningKeys};
use crate::clock::Timestamp;
use crate::live::{LiveContext, Polls};
use crate::meeting::Directory;
use crate::phones::Phones;
use crate::policy::schedule::LinkRules;
use crate::ports::Recordings;
use crate::retention::{self, RetentionRules};
use crate::store::{Store, StoreError};
use crate::{ChatLimits, Config};

/// What every handler may use. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

/// The parts.
pub struct Inner {
    pub(super) public_url: Option<String>,
    pub(super) behind_proxy: bool,
    /// Organisations whose people are known here.
    pub(super) trusted_tenants: Vec<String>,
    pub(super) chats: ChatLimits,
    /// How long links are good.
    pub(super) links: LinkRules,
    pub(super) store: Store,
    pub(super) keys: SigningKeys,
    pub(super) directory: Directory,
    pub(super) recordings: Arc<dyn Recordings>,
    /// How long what was deleted can be brought back.
    pub(super) retention: RetentionRules,
    pub(super) downloads: Downloads,
    pub(super) live: LiveContext,
    pub(super) phones: Phones,
    pub(super) polls: Polls,
    pub(super) attempts: Attempts,
    pub(super) rates: Rates,
    going: AtomicBool,
}

impl Deref for AppState {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppState")
    }
}

impl AppState {
    pub(crate) fn new(config: &Config, live: LiveContext, recordings: Arc<dyn Recordings>, phones: Phones) -> Self {
        Self(Arc::new(Inner {
            public_url: config.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            behind_proxy: config.behind_proxy,
            trusted_tenants: config.trusted_tenants.clone(),
            chats: config.chats,
            links: config.links,
            store: live.store.clone(),
            keys: live.keys.clone(),
            directory: live.directory.clone(),
            recordings,
            retention: config.retention,
            downloads: Downloads::default(),
            live,
            phones,
            polls: Polls::default(),
            attempts: Attempts::default(),
            rates: Rates::new(config.rates),
            going: AtomicBool::new(false),
        }))
    }

    /// No new work: `/readyz` says so from now on.
    pub(crate) fn go_down(&self) {
        self.going.store(true, Ordering::Release);
    }

    pub(super) fn is_going_down(&self) -> bool {
        self.going.load(Ordering::Acquire)
    }

    /// Keys are revoked: ends whatever anybody listens or takes part by that they signed.
    pub(crate) async fn revoke(&self, keys: Arc<[KeyName]>) {
        self.live.feeds.revoke(&keys);
        self.directory.revoke(keys).await;
    }

    /// Recordings whose time is over go, and what was deleted long enough ago loses its bytes.
    pub(crate) async fn tidy_recordings(&self, now: Timestamp) -> Result<(), StoreError> {
        for recording in retention::look(&self.store, &self.recordings, self.retention, now).await? {
            self.downloads.end(recording);
        }
        Ok(())
    }

    /// Forgets failed attempts that are long past, and the buckets of who has been quiet.
    pub(crate) fn forget_attempts(&self) {
        self.attempts.forget();
        self.rates.forget();
    }
}
