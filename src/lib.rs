//! The Plenum server: rooms put together, started in order, watched, and taken apart in order.
//!
//! ```text
//! command line, config.toml, environment -> Config
//!   start:  data directory locked -> port bound -> certificate -> rooms (wiring) -> door opened
//!   stop:   clients told, recordings finished -> door closed -> engine stopped -> directory unlocked
//! ```
//!
//! Nothing is served before everything is there, and whatever fails at start fails with a sentence that says what to
//! do. Begin reading at [`Server::start`].

pub mod cli;
pub mod config;
pub mod data;
pub mod doctor;
pub mod lan;
mod listen;
mod memory;
pub mod observe;
pub mod signals;
mod wiring;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use signaling::auth;
use signaling::door::accept::{self, Admission, Door, PlainPolicy};
use signaling::door::tls::{Certificate, TlsError};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use config::{Config, Origin, Refused, TlsFiles};
use wiring::{Blueprint, House};

/// How long calls and recordings may take to end once somebody asked.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
/// How much of that recordings get to be stored; the rest is for what comes after them.
const RECORDINGS_PATIENCE: Duration = Duration::from_secs(8);
/// Open files that are kept for everything but connections: the store, recordings, media.
const OTHER_FILES: u64 = 256;
/// How often certificate files are looked at for a renewal.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(60);

/// Why the server did not start, or a command failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] Refused),
    /// The data directory.
    #[error(transparent)]
    Data(#[from] data::DataError),
    /// The port for pages.
    #[error(transparent)]
    Listen(#[from] listen::ListenError),
    /// The certificate for the local network.
    #[error(transparent)]
    Lan(#[from] lan::LanError),
    /// The certificate for HTTPS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The port for media, or the engine's threads.
    #[error("the media engine did not start: {0}")]
    Engine(#[from] engine::StartError),
    /// Threads that mix.
    #[error("the mixer's threads did not start: {0}")]
    Mixers(std::io::Error),
    /// The folders for recordings.
    #[error("the recorder did not start: {0}")]
    Recorder(#[from] recorder::RecorderError),
    /// The phone gateway.
    #[error("the phone gateway did not start: {0}")]
    Phones(#[from] sip::gateway::StartError),
    /// The store.
    #[error("signalling did not start: {0}")]
    Signaling(#[from] signaling::OpenError),
    /// A link or token could not be made.
    #[error("no link or token could be made: {0}")]
    Mint(#[from] auth::MintError),
    /// Metrics.
    #[error(transparent)]
    Meter(#[from] observe::MeterTaken),
    /// Signal handlers.
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
    /// A task that must live as long as the server has died.
    #[error("the server lost its {0} and stopped, so that whoever watches it can start it anew; see the log")]
    Lost(&'static str),
}

/// A running server.
pub struct Server {
    origin: Origin,
    house: House,
    door: JoinHandle<()>,
    shutdown: CancellationToken,
    /// Held until everything else has ended.
    lock: data::Lock,
}

impl Server {
    /// Starts everything. Logging is the caller's, since a process has only one.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        config.check()?;
        use_one_crypto_provider();
        raise_descriptor_limit();
        let meter = observe::Meter::install()?;
        let mut lock = data::Lock::take(&config.server.data)?;
        let listener = listen::bind(config.server.listen, config.server.lan)?;
        let port = listener.local_addr().map_or(config.server.listen.port(), |address| address.port());
        let addresses = lan::addresses();
        let certificate = certificate(config, &addresses)?;
        let origin = origin_with(config, port, &addresses);
        let phones = config.phone.is_on().then(|| config.phone.gateway(&addresses)).transpose()?;
        let house = House::build(Blueprint {
            udp: SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            announce: announced(config, port, addresses),
            media: &config.media,
            recorder: recorder::Config {
                data_dir: config.server.data.clone(),
                vaults: config.vaults()?,
                reserve_bytes: config.recorder.reserve_bytes(),
                copy_every: recorder::DEFAULT_COPY_EVERY,
            },
            signaling: signaling_config(config),
            phones,
        })
        .await?;

        let shutdown = CancellationToken::new();
        tokio::spawn(meter.clone().upkeep(shutdown.clone()));
        let router = house.router().merge(meter.router(&config.metrics, config.server.behind_proxy));
        let door = open_door(config, listener, certificate, router, &shutdown)?;
        if let Err(error) = lock.note_origin(&origin) {
            tracing::warn!(%error, "`plenum link` will not know the address of this server");
        }
        tracing::info!(version = env!("CARGO_PKG_VERSION"), port, https = config.speaks_https(), "ready");
        Ok(Self { origin, house, door, shutdown, lock })
    }

    /// Where people reach it.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// A new link that makes whoever opens it first an organiser.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn organiser_link(&self) -> Result<String, StartError> {
        self.house.organiser_link(&self.origin).await
    }

    /// Serves until somebody asks to stop, then ends calls and recordings. Asked twice, the process ends at once.
    ///
    /// # Errors
    /// [`StartError::Lost`] when the server died underneath.
    pub async fn run(mut self, mut stop: signals::Stop) -> Result<(), StartError> {
        let lost = tokio::select! {
            () = stop.asked() => None,
            _ = &mut self.door => Some("door"),
            () = self.house.media_lost() => Some("media engine"),
            never = self.house.give_memory_back() => match never {},
        };
        tracing::info!("stopping");
        tokio::select! {
            () = self.close() => {}
            () = stop.insisted() => {}
        }
        tracing::info!("stopped");
        lost.map_or(Ok(()), |what| Err(StartError::Lost(what)))
    }

    async fn close(self) {
        let Self { house, door, shutdown, lock, .. } = self;
        // Clients hear that the server goes away while the door is open: their answers still need it.
        house.close(SHUTDOWN_LIMIT).await;
        shutdown.cancel();
        if !door.is_finished() {
            let _ = door.await;
        }
        drop(lock);
    }
}

/// A new one-time link for an organiser.
///
/// # Errors
/// When the data directory cannot be used.
pub async fn new_organiser_link(config: &Config, origin: &Origin) -> Result<String, StartError> {
    data::make(&config.server.data)?;
    Ok(auth::new_sign_in_link(&config.store_location(), origin.as_str()).await?)
}

/// Tokens that stand for users.
///
/// # Errors
/// When the data directory cannot be used.
pub async fn new_user_tokens(
    config: &Config,
    users: &[String],
    tenant: &str,
    admin: bool,
    scopes: signaling::Scopes,
) -> Result<Vec<String>, StartError> {
    use_one_crypto_provider();
    data::make(&config.server.data)?;
    Ok(auth::mint_user_tokens(&config.server.data, &config.store_location(), users, tenant, admin, scopes).await?)
}

/// A newer signing key; with `revoke` those of before have signed nothing that is good any more.
///
/// # Errors
/// When the data directory cannot be used.
pub fn rotate_keys(config: &Config, revoke: bool) -> Result<(), StartError> {
    data::make(&config.server.data)?;
    Ok(auth::rotate_keys(&config.server.data, revoke)?)
}

/// Where a server with this configuration is reached.
#[must_use]
pub fn origin(config: &Config) -> Origin {
    origin_with(config, config.server.listen.port(), &lan::addresses())
}

fn origin_with(config: &Config, port: u16, addresses: &[IpAddr]) -> Origin {
    if let Some(url) = &config.server.public_url {
        return url.clone();
    }
    let listening = config.server.listen.ip();
    let anywhere = config.server.lan && listening.is_loopback() || listening.is_unspecified();
    let address =
        if anywhere { lan::best_address(addresses).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { listening };
    Origin::of(SocketAddr::new(address, port), config.speaks_https())
}

/// Where clients are told to send media. 127.0.0.1 is among them for browsers on this machine, and for tests.
fn announced(config: &Config, port: u16, addresses: Vec<IpAddr>) -> Vec<SocketAddr> {
    if !config.media.announce.is_empty() {
        return config.media.announce.iter().map(|announce| announce.with_port(port)).collect();
    }
    let own = addresses.into_iter().chain([IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    own.map(|address| SocketAddr::new(address, port)).collect()
}

fn signaling_config(config: &Config) -> signaling::Config {
    signaling::Config {
        public_url: config.server.public_url.as_ref().map(Origin::to_string),
        behind_proxy: config.server.behind_proxy,
        trusted_tenants: config.meetings.trusted_tenants.clone(),
        limits: signaling::Limits {
            participants: config.meetings.participants,
            grace: config.meetings.grace,
            ..signaling::Limits::default()
        },
        links: signaling::LinkRules {
            at_once_seconds: i64::from(config.meetings.link_hours) * 3600,
            scheduled_seconds: i64::from(config.meetings.scheduled_link_days) * 24 * 3600,
        },
        store: config.store_location(),
        chats: signaling::ChatLimits { members: config.chats.members, added_at_once: config.chats.added_at_once },
        rates: signaling::ApiRates { reads: config.limits.api_reads, writes: config.limits.api_writes },
        retention: signaling::RetentionRules { keep_deleted_days: config.recordings.keep_deleted_days },
        phone: config.phone.rules(),
        shutdown_patience: RECORDINGS_PATIENCE,
        ..signaling::Config::new(config.server.data.clone())
    }
}

fn certificate(config: &Config, addresses: &[IpAddr]) -> Result<Option<Arc<Certificate>>, StartError> {
    let TlsFiles { certificate, key } = match &config.server.tls {
        Some(files) => files.clone(),
        None if config.server.lan => {
            let names = lan::Names::of_this_machine(addresses);
            lan::certificate(&config.server.data.join("tls"), &names, OffsetDateTime::now_utc())?
        }
        None => return Ok(None),
    };
    Ok(Some(Certificate::load(certificate, key)?))
}

fn open_door(
    config: &Config,
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
    router: axum::Router,
    shutdown: &CancellationToken,
) -> Result<JoinHandle<()>, StartError> {
    let per_address = (!config.server.behind_proxy).then_some(config.limits.connections_per_address);
    let door = Door {
        listeners: vec![listener],
        tls: certificate.as_ref().map(Certificate::server_config).transpose()?,
        plain: if certificate.is_some() { PlainPolicy::RedirectToHttps } else { PlainPolicy::Serve },
        router,
        admission: Admission { connections: connections(config.limits.connections, open_files()), per_address },
    };
    if let Some(certificate) = certificate {
        tokio::spawn(renew(certificate, shutdown.clone()));
    }
    Ok(tokio::spawn(accept::serve(door, shutdown.clone())))
}

/// Takes renewed certificate files into use.
async fn renew(certificate: Arc<Certificate>, shutdown: CancellationToken) {
    let mut look = tokio::time::interval(CERTIFICATE_LOOK);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = look.tick() => {}
        }
        match certificate.reload() {
            Ok(true) => tracing::info!("new connections get the renewed certificate"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the renewed certificate cannot be used; the old one stays"),
        }
    }
}

/// With a provider chosen for the process, no library has to guess. A second call changes nothing.
fn use_one_crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Each connection is a descriptor, and the usual soft limit of 1024 is less than `limits.connections`. The hard limit
/// is the administrator's word.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if setrlimit(Resource::Nofile, limit).is_err() {
            tracing::warn!("the limit of open files stays low; busy servers refuse connections early");
        }
    }
    tracing::info!(files = open_files(), "open files at most");
}

/// How many files this process may open; none: as many as it likes.
fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// As many connections as were wished for and the limit of open files has room for: who is one too many is refused at
/// once, instead of waiting for a descriptor that the store or a recording may need more.
fn connections(wished: usize, files: Option<u64>) -> usize {
    let Some(files) = files else { return wished };
    let room = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1);
    if room < wished {
        tracing::warn!(
            files,
            connections = room,
            "the limit of open files has no room for limits.connections; raise it (ulimit -Hn)"
        );
    }
    wished.min(room)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn connections_leave_room_for_other_files() {
        assert_eq!(connections(10_000, None), 10_000);
        assert_eq!(connections(10_000, Some(20_000)), 10_000);
        assert_eq!(connections(10_000, Some(1_024)), 768);
        assert_eq!(connections(10_000, Some(100)), 1, "one can still be told");
    }

    fn config(text: &str) -> Config {
        Config::parse("config.toml", text, []).unwrap()
    }

    fn home() -> Vec<IpAddr> {
        vec!["198.51.100.9".parse().unwrap()]
    }

    #[test]
    fn links_name_the_place_where_others_reach_the_server() {
        for (text, expected) in [
            ("", "http://127.0.0.1:8080"),
            ("[server]\nlan = true", "https://198.51.100.9:8080"),
            ("[server]\nlan = true\nlisten = \"192.0.2.7:443\"", "https://192.0.2.7:443"),
            ("[server]\nlisten = \"[::1]:8080\"", "http://[::1]:8080"),
            ("[server]\nlan = true\npublic_url = \"https://meet.example.org\"", "https://meet.example.org"),
            (
                "[server]\nlisten = \"0.0.0.0:443\"\ntls_certificate = \"a\"\ntls_key = \"b\"",
                "https://198.51.100.9:443",
            ),
        ] {
            let config = config(text);
            let origin = origin_with(&config, config.server.listen.port(), &home());
            assert_eq!(origin.as_str(), expected, "{text}");
        }
    }

    #[test]
    fn media_is_announced_where_told_or_else_everywhere() {
        let told = config("[media]\nannounce = [\"203.0.113.7\", \"203.0.113.7:40000\"]");
        let expected: Vec<SocketAddr> = ["203.0.113.7:8080", "203.0.113.7:40000"].map(|a| a.parse().unwrap()).into();
        assert_eq!(announced(&told, 8080, home()), expected);
        let everywhere: Vec<SocketAddr> = ["198.51.100.9:8080", "127.0.0.1:8080"].map(|a| a.parse().unwrap()).into();
        assert_eq!(announced(&config(""), 8080, home()), everywhere);
    }
}
