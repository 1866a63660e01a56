//! Signalling: the browser's and integrator's door.
//!
//! Rooms within the room, in order of dependency; nothing names what stands below it in this list:
//!
//! ```text
//! id, clock, ports      names, time, and what signalling asks of engine and recorder
//! protocol              the live protocol as types
//! policy                who gets in and who may do what: pure functions
//! text, tally           what may stand in a message; who has done what too often
//! store                 threads, chats, meetings, people, recordings: SQLite or PostgreSQL
//! auth                  keys, tokens, secrets
//! retention             when recordings go
//! feed                  who hears of what is committed, over all their chats
//! meeting               live meetings: a pure state machine each, its task, the directory
//! live                  sessions over WebSocket and long poll
//! phones                the door of the phone gateway: who calls which meeting, and how they stand in it
//! door                  HTTP routes, accept loop, page
//! ```
//!
//! The path of a wish: browser -> door -> session -> meeting -> committed event -> everybody's session -> browsers, with
//! commands to the engine's and the recorder's ports on the way.

pub mod auth;
pub mod clock;
pub mod door;
mod fault;
pub mod feed;
pub mod id;
pub mod live;
pub mod meeting;
pub mod phones;
pub mod policy;
pub mod ports;
pub mod protocol;
pub mod retention;
pub mod store;
mod tally;
pub mod text;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use auth::{MintError, mint_user_token, mint_user_tokens, new_sign_in_link, rotate_keys};
pub use clock::Timestamp;
pub use door::ApiRates;
pub use live::Timings;
pub use meeting::Limits;
pub use phones::{DialInNumber, DialOutRules, PersonalNumber, PhoneRules};
pub use policy::schedule::LinkRules;
pub use policy::scopes::{Scope, Scopes};
pub use retention::RetentionRules;
pub use store::StoreLocation;

use auth::{KeyError, SigningKeys};
use door::AppState;
use feed::Feeds;
use live::LiveContext;
use meeting::Directory;
use ports::{Media, MediaEvent, RecordingEvent, Recordings};
use store::{CHAT_MEMBERS, Store, StoreError};

/// News of engine and recorder that wait to be taken. Filled when many meetings change at once; when full, the sender
/// waits, which slows its news down and nothing else.
const NEWS: usize = 1024;
/// How often the folder of keys is looked at: what a revoked key has signed is refused within a second.
const KEYS_LOOK: Duration = Duration::from_millis(300);
/// How often what has expired is forgotten.
const TIDY: Duration = Duration::from_secs(60);
/// How long interrupted runs wait for their people after a start.
const RESUME: Duration = Duration::from_secs(120);
/// How long a shutdown waits for recordings to be stored.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(15);

/// How signalling is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the keys lie, and the store if it is an embedded one.
    pub data_dir: PathBuf,
    /// Where everything is kept.
    pub store: StoreLocation,
    /// How large chats may be.
    pub chats: ChatLimits,
    /// How long join links are good.
    pub links: LinkRules,
    /// How much one caller may ask for over HTTP.
    pub rates: ApiRates,
    /// Scheme and host of all links, when the request's own must not be used.
    pub public_url: Option<String>,
    /// Whether to believe `X-Forwarded-*`: only when a proxy of ours sets them.
    pub behind_proxy: bool,
    /// Organisations beside a meeting's own whose people have proven who they are.
    pub trusted_tenants: Vec<String>,
    /// How long deleted recordings can be brought back.
    pub retention: RetentionRules,
    /// How phones come into meetings; none: they do not.
    pub phone: Option<PhoneRules>,
    /// How large meetings may be, and the grace time.
    pub limits: Limits,
    /// How patient connections are.
    pub timings: Timings,
    /// How long interrupted runs wait for their people after a start.
    pub resume: Duration,
    /// How long a shutdown waits for recordings to be stored.
    pub shutdown_patience: Duration,
}

impl Config {
    /// The defaults, with data in that directory.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            store: StoreLocation::Embedded(data_dir.clone()),
            data_dir,
            chats: ChatLimits::default(),
            links: LinkRules::default(),
            rates: ApiRates::default(),
            public_url: None,
            behind_proxy: false,
            trusted_tenants: Vec::new(),
            retention: RetentionRules::default(),
            phone: None,
            limits: Limits::default(),
            timings: Timings::default(),
            resume: RESUME,
            shutdown_patience: SHUTDOWN_PATIENCE,
        }
    }
}

/// How large chats may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatLimits {
    /// Members of one chat.
    pub members: u32,
    /// Members that are added in one go.
    pub added_at_once: usize,
}

impl Default for ChatLimits {
    fn default() -> Self {
        Self { members: CHAT_MEMBERS, added_at_once: 200 }
    }
}

/// Why signalling cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The running room.
#[derive(Debug)]
pub struct Signaling {
    state: AppState,
    phones: phones::Phones,
    store: Store,
    directory: Directory,
    media_events: mpsc::Sender<MediaEvent>,
    recording_events: mpsc::Sender<RecordingEvent>,
    shutdown_patience: Duration,
    /// Ends with us.
    _tasks: JoinSet<()>,
}

impl Signaling {
    /// Opens store and keys, takes interrupted runs up, and is ready to answer.
    ///
    /// # Errors
    /// When the data directory cannot be used; the text says why.
    pub async fn open(
        config: Config,
        media: Arc<dyn Media>,
        recordings: Arc<dyn Recordings>,
    ) -> Result<Self, OpenError> {
        let keys = SigningKeys::load_or_create(&config.data_dir)?;
        let store = Store::open(&config.store, config.chats.members).await?;
        let feeds = Feeds::start(store.clone());
        let dials_out = config.phone.as_ref().is_some_and(|rules| rules.dial_out.is_some());
        let directory =
            Directory::new(store.clone(), media, Arc::clone(&recordings), config.limits, config.resume, dials_out);
        directory.settle_recordings().await?;
        let lost = store.close_phone_calls(Timestamp::now()).await?;
        if lost > 0 {
            tracing::info!(lost, "phone calls went on when the server stopped; they are noted as lost");
        }
        directory.resume_open_runs().await?;
        let live_keys = keys.clone();
        let live =
            LiveContext { store: store.clone(), keys, directory: directory.clone(), feeds, timings: config.timings };
        let phones =
            phones::Phones::new(live.clone(), config.phone.clone(), config.public_url.clone().unwrap_or_default());
        let state = AppState::new(&config, live, recordings, phones.clone());
        let mut tasks = JoinSet::new();
        let (media_events, mut media_news) = mpsc::channel(NEWS);
        let (recording_events, mut recording_news) = mpsc::channel(NEWS);
        let to = directory.clone();
        tasks.spawn(async move {
            while let Some(event) = media_news.recv().await {
                let _ = fault::contained("media news", to.media_news(event)).await;
            }
        });
        let to = directory.clone();
        tasks.spawn(async move {
            while let Some(event) = recording_news.recv().await {
                let _ = fault::contained("recording news", to.recording_news(event)).await;
            }
        });
        tasks.spawn(follow_keys(live_keys, state.clone()));
        tasks.spawn(tidy(state.clone(), phones.clone(), store.clone()));
        let shutdown_patience = config.shutdown_patience;
        Ok(Self { state, phones, store, directory, media_events, recording_events, shutdown_patience, _tasks: tasks })
    }

    /// Every route of the server.
    pub fn router(&self) -> axum::Router {
        door::router(self.state.clone())
    }

    /// Where the engine's news goes.
    #[must_use]
    pub fn media_events(&self) -> mpsc::Sender<MediaEvent> {
        self.media_events.clone()
    }

    /// Where the recorder's news goes.
    #[must_use]
    pub fn recording_events(&self) -> mpsc::Sender<RecordingEvent> {
        self.recording_events.clone()
    }

    /// How many meetings are on.
    #[must_use]
    pub fn live_meetings(&self) -> usize {
        self.directory.live_meetings()
    }

    /// The door of the phone gateway.
    #[must_use]
    pub fn phones(&self) -> phones::Phones {
        self.phones.clone()
    }

    /// Makes a sign-in link for the organiser.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sign_in_link(&self, base_url: &str) -> Result<String, StoreError> {
        auth::sign_in_link(&self.store, base_url).await
    }

    /// Whether nobody has signed in by a link so far: the first start prints one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_no_sessions(&self) -> Result<bool, StoreError> {
        self.store.has_no_sessions(Timestamp::now()).await
    }

    /// Tells everybody to come back later, stops recordings, waits a bounded time for them, and closes the store. Runs
    /// stay open: they go on when somebody comes back soon after the next start.
    pub async fn shutdown(&self) {
        self.state.go_down();
        self.phones.go_down();
        self.directory.shutdown(self.shutdown_patience).await;
        self.store.close().await;
    }
}

/// Takes keys into use that another process has made, and drops those that it has revoked.
async fn follow_keys(keys: SigningKeys, state: AppState) {
    let mut ticks = tokio::time::interval(KEYS_LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut has_failed = false;
    loop {
        ticks.tick().await;
        let looking = keys.clone();
        match tokio::task::spawn_blocking(move || looking.reload()).await {
            Ok(Ok(Some(revoked))) => {
                tracing::info!(
                    revoked = revoked.len(),
                    "the signing keys have changed; tokens are signed by the newest from now on"
                );
                if !revoked.is_empty() {
                    state.revoke(revoked.into()).await;
                }
            }
            // Once, not three times a second.
            Ok(Err(error)) if !has_failed => {
                tracing::warn!(%error, "the signing keys could not be read again; those of before are used on");
                has_failed = true;
                continue;
            }
            Ok(Err(_)) => continue,
            Ok(Ok(None)) | Err(_) => {}
        }
        has_failed = false;
    }
}

/// Forgets what has expired.
async fn tidy(state: AppState, phones: phones::Phones, store: Store) {
    let mut ticks = tokio::time::interval(TIDY);
    loop {
        ticks.tick().await;
        state.forget_attempts();
        phones.forget_attempts();
        if let Err(error) = store.forget_expired(Timestamp::now()).await {
            tracing::warn!(%error, "expired sessions could not be forgotten");
        }
        if let Err(error) = state.tidy_recordings(Timestamp::now()).await {
            tracing::warn!(%error, "recordings could not be looked at; those whose time is over are not shown all the same");
        }
        if let Err(error) = phones.forget_strays(Timestamp::now()).await {
            tracing::warn!(%error, "calls that came to no meeting could not be forgotten");
        }
    }
}
