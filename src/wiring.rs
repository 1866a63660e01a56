//! The one file that names every room: who gets which end of which channel.
//!
//! Rooms do not know each other. Signalling states what it needs as traits; here the engine and the recorder are put
//! behind them, and their news is carried back.
//!
//! ```text
//!                signalling
//!      Media |      ^ ^      | Recordings
//!            v      | |      v
//!         engine ---+ +--- recorder
//!           ^ \____ tap ______^
//!   mixes   |     \__ tap of voices
//!           +--------- mixers <--- wishes for mixes (Event::Mix)
//!           |             | mix without one's own voice
//!   inlets  +----------- sip ---> signalling's door for phones
//! ```

#[cfg(debug_assertions)]
mod fault;
mod health;
mod mailbox;
mod media;
mod mixes;
mod phones;
mod recordings;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use engine::{Engine, EngineConfig, Event};
use mixer::runner::Mixers;
use recorder::Recorder;
use signaling::Signaling;
use sip::gateway::Gateway;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::Origin;
use crate::{StartError, memory};
use mailbox::Mailbox;
use mixes::{MixDesk, MixWish};
use phones::Directory;

/// News of the recorder that signalling has not taken yet: three in the life of a recording, so this many mean that
/// a whole server's recordings change state at once. Full means: recordings wait a moment before they begin or end.
const RECORDER_NEWS: usize = 64;

/// How often the engine's threads are looked at.
const ENGINE_LOOK: Duration = Duration::from_secs(1);

/// How long phones are given to hear that the server goes.
const PHONES_PATIENCE: Duration = Duration::from_secs(3);

/// What the rooms need to know.
pub(crate) struct Blueprint<'a> {
    /// Where media comes in.
    pub(crate) udp: SocketAddr,
    /// Where clients are told to send media.
    pub(crate) announce: Vec<SocketAddr>,
    /// How many threads forward it, and on which ports.
    pub(crate) media: &'a crate::config::Media,
    /// Where recordings go, and what they leave free on the disk.
    pub(crate) recorder: recorder::Config,
    /// How signalling is set up.
    pub(crate) signaling: signaling::Config,
    /// How phones come in; none: they do not, and nothing is opened for them.
    pub(crate) phones: Option<sip::gateway::Config>,
}

/// All rooms, connected and running.
pub(crate) struct House {
    engine: Arc<Engine>,
    mixers: Mixers,
    /// Tells the mixers who wishes to hear them.
    wishes: JoinHandle<()>,
    recorder: Recorder,
    signaling: Signaling,
    phones: Option<Gateway>,
}

impl House {
    /// Starts the rooms from the bottom up: media first, so that whoever is let in finds it.
    pub(crate) async fn build(blueprint: Blueprint<'_>) -> Result<Self, StartError> {
        let mixes = Arc::new(MixDesk::default());
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&mixes)));
        let (inbox, wishes) = (Arc::clone(&mailbox), Arc::clone(&mixes));
        let config = EngineConfig {
            shards: blueprint.media.shards,
            port_per_shard: blueprint.media.port_per_shard,
            meeting_spread: blueprint.media.meeting_spread,
            follow_estimate: blueprint.media.follow_estimate,
            ..EngineConfig::new(blueprint.udp, blueprint.announce)
        };
        let engine = Arc::new(Engine::start(
            config,
            Arc::new(move |event| match event {
                Event::Mix { endpoint, meeting, participant, wanted } => {
                    wishes.post(endpoint, MixWish { meeting, participant, wanted });
                }
                event => inbox.post(event),
            }),
        )?);
        let desk = Arc::clone(&mixes);
        let reports = Arc::new(move |meeting, report| desk.report(meeting, report));
        let mixers = Mixers::start(engine.mixes(), blueprint.media.mixers, reports).map_err(StartError::Mixers)?;
        let wishes = tokio::spawn(mixes.forward(mixers.clone()));

        let (news, recorder_news) = mpsc::channel(RECORDER_NEWS);
        let recorder = Recorder::open(blueprint.recorder, news)?;

        // Before signalling asks what became of them. That they are ready it hears when it listens.
        let recovered = recorder.recover().await?;
        if !recovered.is_empty() {
            tracing::info!(recordings = recovered.len(), "finishing recordings of an earlier run");
        }

        let media = Arc::new(media::EngineMedia(Arc::clone(&engine)));
        let recordings = Arc::new(recordings::TapRecordings {
            engine: Arc::clone(&engine),
            mixers: mixers.clone(),
            recorder: recorder.clone(),
        });
        let signaling = Signaling::open(blueprint.signaling, media, recordings).await?;

        tokio::spawn(mailbox.forward(signaling.media_events()));
        tokio::spawn(recordings::forward(recorder_news, signaling.recording_events()));
        let phones = match blueprint.phones {
            Some(config) => Some(start_phones(config, &signaling, &engine, &mixers).await?),
            None => None,
        };
        Ok(Self { engine, mixers, wishes, recorder, signaling, phones })
    }

    /// Everything that is answered by HTTP.
    pub(crate) fn router(&self) -> Router {
        self.signaling.router()
    }

    /// A new one-time link for an organiser.
    pub(crate) async fn organiser_link(&self, origin: &Origin) -> Result<String, StartError> {
        Ok(self.signaling.sign_in_link(origin.as_str()).await.map_err(signaling::MintError::Store)?)
    }

    /// Comes back when the engine or the mixers have lost a thread: a fault of ours, after which nobody would be seen or heard any more.
    /// Ending the process in order lets whoever supervises it start a new one; pages come back by themselves.
    pub(crate) async fn media_lost(&self) {
        let mut look = tokio::time::interval(ENGINE_LOOK);
        while self.engine.is_alive() && self.mixers.is_alive() {
            look.tick().await;
        }
    }

    /// Gives memory back whenever nobody has been here for a while. Does so for as long as it is awaited.
    pub(crate) async fn give_memory_back(&self) -> Infallible {
        memory::give_back_when_empty(|| {
            self.signaling.live_meetings() == 0 && self.phones.as_ref().is_none_or(|phones| phones.calls() == 0)
        })
        .await
    }

    /// Ends the rooms from the top down, within `patience`: phones are hung up, clients are told to come back, recordings are
    /// finished, then media stops. What a recording has not stored by then is whole on disk and stored at the next start.
    pub(crate) async fn close(self, patience: Duration) {
        let Self { engine, mixers, wishes, recorder, signaling, phones } = self;
        let polite = async {
            // First: a phone that hears nothing any more does not come back by itself.
            if let Some(phones) = phones {
                phones.leave(PHONES_PATIENCE).await;
            }
            signaling.shutdown().await;
            if !recorder.shutdown().await {
                tracing::warn!("some recordings are not stored yet; they will be at the next start");
            }
        };
        if timeout(patience, polite).await.is_err() {
            tracing::warn!("not everything ended in time; what is left is finished at the next start");
        }
        wishes.abort();
        let _ = wishes.await;
        drop((signaling, recorder));
        // The last owners join the threads of media, which takes a moment.
        let _ = tokio::task::spawn_blocking(move || drop((mixers, engine))).await;
    }
}

async fn start_phones(
    config: sip::gateway::Config,
    signaling: &Signaling,
    engine: &Engine,
    mixers: &Mixers,
) -> Result<Gateway, StartError> {
    let trunks = config.lines.len();
    let inlets = engine.inlets().ok_or(StartError::Lost("media engine"))?;
    let directory = Arc::new(Directory::new(signaling.phones()));
    let gateway = Gateway::start(config, directory, inlets, mixers.clone()).await?;
    let at = gateway.stack().addresses();
    tracing::info!(trunks, udp = ?at.udp, tcp = ?at.tcp, tls = ?at.tls, "phones can call");
    Ok(gateway)
}
