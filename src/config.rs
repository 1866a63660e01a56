//! What an operator can set: `config.toml` and the environment in, parsed values out.
//!
//! Nothing behind this module sees a string that could still be wrong. Every key is named once, in [`Config::read`],
//! with its default and its rule; the root's `config.toml` repeats the defaults for people, and a test holds both
//! together. Unknown keys are refused, since a misspelt key that is silently ignored is a setting that does not hold.
//!
//! ```text
//! config.toml -> settings (value + line) <- PLENUM__SECTION__KEY
//!                     |  Config::read: one rule a key, all problems at once
//!                     v
//!                  Config  <- command line (--listen, --data, --lan)  -> Config::check: rules across keys
//! ```

mod phone;
mod settings;
mod stores;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use settings::Settings;
use signaling::StoreLocation;

pub use phone::{Number, Phone, PhoneTrunk, Rule};
pub use stores::{Encrypt, RecordingStore, TenantStore};

/// Port that Plenum listens on unless told otherwise.
const DEFAULT_PORT: u16 = 8080;

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the server listens and keeps its data.
    pub server: Server,
    /// Where everything is kept.
    pub store: Store,
    /// Media paths.
    pub media: Media,
    /// Meetings.
    pub meetings: Meetings,
    /// Chats.
    pub chats: Chats,
    /// Recordings.
    pub recorder: Recorder,
    /// What becomes of recordings.
    pub recordings: Recordings,
    /// The phone gateway.
    pub phone: Phone,
    /// Bounds on what clients may take.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
    /// Who may read `/metrics`.
    pub metrics: Metrics,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// TCP address for HTTP; media uses the same port number over UDP.
    pub listen: SocketAddr,
    /// Directory of everything that must survive a restart.
    pub data: PathBuf,
    /// Origin that people type or click, when it is not the listening address.
    pub public_url: Option<Origin>,
    /// A reverse proxy in front of us speaks HTTPS.
    pub behind_proxy: bool,
    /// Serve the local network by HTTPS with a certificate of our own.
    pub lan: bool,
    /// Certificate and key files for HTTPS.
    pub tls: Option<TlsFiles>,
}

/// A certificate chain and its key, PEM both.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[store]`
#[derive(Clone, PartialEq)]
pub struct Store {
    /// Address of a PostgreSQL database; none: a file in the data directory.
    pub url: Option<String>,
}

/// There is a password in the address: it stays out of whatever prints a configuration.
impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("url", &self.url.as_ref().map(|_| "hidden")).finish()
    }
}

/// `[media]`
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// Addresses told to clients instead of those of the interfaces; a missing port means the listening one.
    pub announce: Vec<Announce>,
    /// Threads that forward media; 0: one for each core.
    pub shards: usize,
    /// Each of them has a UDP port of its own, counted up from the listening one.
    pub port_per_shard: bool,
    /// People of one meeting on one of them before the meeting spreads.
    pub meeting_spread: usize,
    /// Each receiver's pace and pictures follow what its feedback says of its path.
    pub follow_estimate: bool,
    /// Threads that mix voices; 0: half as many as cores.
    pub mixers: usize,
}

/// `[meetings]`
#[derive(Clone, Debug, PartialEq)]
pub struct Meetings {
    /// People in one meeting.
    pub participants: usize,
    /// How long somebody whose connection was lost keeps their place.
    pub grace: Duration,
    /// Organisations beside a meeting's own whose people have proven who they are.
    pub trusted_tenants: Vec<String>,
    /// For how many hours the link of a meeting without a time is good after its last use.
    pub link_hours: u32,
    /// For how many days the link of a scheduled one is.
    pub scheduled_link_days: u32,
}

/// `[chats]`
#[derive(Clone, Debug, PartialEq)]
pub struct Chats {
    /// Members of one chat.
    pub members: u32,
    /// Members that are added in one go.
    pub added_at_once: usize,
}

/// `[recorder]`
#[derive(Clone, Debug, PartialEq)]
pub struct Recorder {
    /// Free space that recordings leave on the disk, in MiB.
    pub reserve_mib: usize,
    /// Where recordings are kept.
    pub store: RecordingStore,
    /// Tenants whose recordings are kept elsewhere.
    pub tenant_stores: Vec<TenantStore>,
}

/// `[recordings]`
#[derive(Clone, Debug, PartialEq)]
pub struct Recordings {
    /// Days that what was deleted can be brought back.
    pub keep_deleted_days: u32,
}

impl Recorder {
    /// The reserve in bytes.
    #[must_use]
    pub fn reserve_bytes(&self) -> u64 {
        (self.reserve_mib as u64) << 20
    }
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// TCP connections at a time.
    pub connections: usize,
    /// TCP connections at a time from one address.
    pub connections_per_address: usize,
    /// Requests of the API a second that read, of one caller; 0: any number.
    pub api_reads: u32,
    /// The same, that write.
    pub api_writes: u32,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// For eyes or for machines.
    pub format: LogFormat,
    /// The least important level that is still written.
    pub level: tracing::Level,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line.
    Human,
    /// One JSON object a line.
    Json,
}

/// `[metrics]`
#[derive(Clone, PartialEq)]
pub struct Metrics {
    /// Bearer token that opens `/metrics` to everybody who knows it.
    pub token: Option<String>,
}

/// The token is a secret: it stays out of whatever prints a configuration.
impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("token", &self.token.as_ref().map(|_| "hidden")).finish()
    }
}

/// Scheme, host and port of a web origin, checked and without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// As text: `https://meet.example.org`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an origin; nothing if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse::origin(text).ok().flatten()
    }

    /// The origin of one of our own listening addresses.
    #[must_use]
    pub fn of(address: SocketAddr, https: bool) -> Self {
        let scheme = if https { "https" } else { "http" };
        Self(format!("{scheme}://{address}"))
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address for media as clients are told it. Behind a port mapping its port differs from the one we listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The address.
    pub address: IpAddr,
    /// The port, if it is not the listening one.
    pub port: Option<u16>,
}

impl Announce {
    /// The full address, given the port that the server listens on.
    #[must_use]
    pub fn with_port(self, listening: u16) -> SocketAddr {
        SocketAddr::new(self.address, self.port.unwrap_or(listening))
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: file and line, variable, or the keys that do not go together.
    pub place: String,
    /// What is wrong, why, and what to do.
    pub text: String,
}

/// The configuration was refused. Carries everything that is wrong, so that one run finds it all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub Vec<Problem>);

impl std::error::Error for Refused {}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the configuration was refused, nothing was started")?;
        for problem in &self.0 {
            write!(f, "\n  {}: {}", problem.place, problem.text)?;
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::read(&mut Settings::default())
    }
}

impl Config {
    /// Reads `file` (or `config.toml` in the current directory if there is one) and the environment.
    ///
    /// # Errors
    /// [`Refused`] with every problem found. Rules across keys are [`Config::check`]'s, after the command line spoke.
    pub fn load(file: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, Refused> {
        let default = Path::new("config.toml");
        let file = file.or_else(|| default.exists().then_some(default));
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                Refused(vec![Problem {
                    place: path.display().to_string(),
                    text: format!("cannot be read: {error}. Give an existing file with --config, or leave it out"),
                }])
            })?,
        };
        let name = file.map_or_else(|| "config.toml".to_owned(), |path| path.display().to_string());
        Self::parse(&name, &text, environment)
    }

    /// Parses the text of a configuration file and the environment above it.
    ///
    /// # Errors
    /// [`Refused`] with every problem found.
    pub fn parse(
        name: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Refused> {
        let mut settings = Settings::default();
        settings.add_file(name, text);
        settings.add_environment(environment);
        let config = Self::read(&mut settings);
        settings.finish().map_err(Refused)?;
        Ok(config)
    }

    /// Every key with its default: what a complete `config.toml` holds.
    #[must_use]
    pub fn keys() -> Vec<&'static str> {
        let mut settings = Settings::default();
        Self::read(&mut settings);
        settings.into_asked()
    }

    /// The one place where keys are named.
    fn read(settings: &mut Settings) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
        let certificate = settings.text("server.tls_certificate", None, parse::optional_path);
        let key = settings.text("server.tls_key", None, parse::optional_path);
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => {
                settings.conflict(
                    "server.tls_certificate, server.tls_key",
                    "one is set and the other is not. HTTPS needs both the certificate and its key",
                );
                None
            }
        };
        Self {
            server: Server {
                listen: settings.text("server.listen", loopback, parse::listen),
                data: settings.text("server.data", PathBuf::from("data"), parse::path),
                public_url: settings.text("server.public_url", None, parse::origin),
                behind_proxy: settings.flag("server.behind_proxy", false),
                lan: settings.flag("server.lan", false),
                tls,
            },
            store: Store { url: settings.secret("store.url", None, parse::database) },
            media: Media {
                announce: settings.list("media.announce", parse::announce),
                shards: settings.number("media.shards", 0, 0..=64),
                port_per_shard: settings.flag("media.port_per_shard", false),
                meeting_spread: settings.number("media.meeting_spread", 250, 1..=1_000_000),
                follow_estimate: settings.flag("media.follow_estimate", true),
                mixers: settings.number("media.mixers", 0, 0..=64),
            },
            meetings: Meetings {
                participants: settings.number("meetings.participants", 1000, 2..=10_000),
                grace: Duration::from_secs(settings.number("meetings.grace_seconds", 30, 1..=3600) as u64),
                trusted_tenants: settings.list("meetings.trusted_tenants", parse::tenant),
                link_hours: settings.number("meetings.link_hours", 8, 1..=876_000) as u32,
                scheduled_link_days: settings.number("meetings.scheduled_link_days", 60, 1..=36_500) as u32,
            },
            chats: Chats {
                members: u32::try_from(settings.number("chats.members", 250, 2..=10_000)).unwrap_or(250),
                added_at_once: settings.number("chats.added_at_once", 200, 1..=10_000),
            },
            recorder: Recorder {
                reserve_mib: settings.number("recorder.reserve_mib", 256, 16..=1 << 30),
                store: stores::read_store(settings),
                tenant_stores: stores::read_tenant_stores(settings),
            },
            recordings: Recordings {
                keep_deleted_days: settings.number("recordings.keep_deleted_days", 30, 0..=36_500) as u32,
            },
            phone: phone::read(settings),
            limits: Limits {
                connections: settings.number("limits.connections", 10_000, 16..=1_000_000),
                connections_per_address: settings.number("limits.connections_per_address", 256, 8..=1_000_000),
                api_reads: settings.number("limits.api_reads_per_second", 200, 0..=1_000_000) as u32,
                api_writes: settings.number("limits.api_writes_per_second", 100, 0..=1_000_000) as u32,
            },
            log: Log {
                format: settings.text("log.format", LogFormat::Human, parse::log_format),
                level: settings.text("log.level", tracing::Level::INFO, parse::log_level),
            },
            metrics: Metrics { token: settings.secret("metrics.token", None, parse::metrics_token) },
        }
    }

    /// Rules that span several keys; call when file, environment and command line have all spoken.
    ///
    /// # Errors
    /// [`Refused`] with every rule that is broken.
    pub fn check(&self) -> Result<(), Refused> {
        let server = &self.server;
        let mut problems = Vec::new();
        let mut broken = |place: &str, text: String| problems.push(Problem { place: place.to_owned(), text });
        if server.lan && server.behind_proxy {
            broken(
                "server.lan, server.behind_proxy",
                "both are on, but they exclude each other: with --lan Plenum speaks HTTPS itself, behind a proxy it \
                 leaves that to the proxy. Turn one off"
                    .to_owned(),
            );
        }
        if self.plain_http_would_leave_this_machine() {
            let listen = server.listen;
            broken(
                "server.listen",
                format!(
                    "{listen} would serve plain HTTP to other machines. Passwords and chat could be read on the way, \
                     and browsers give no camera or microphone to such a page. Choose one: \
                     `plenum --lan` (HTTPS with a certificate made here), \
                     server.tls_certificate and server.tls_key (HTTPS with your own), or \
                     server.behind_proxy = true (an HTTPS reverse proxy is in front)"
                ),
            );
        }
        if let (Some(url), true) = (&server.public_url, server.lan || server.tls.is_some() || server.behind_proxy)
            && url.as_str().starts_with("http://")
        {
            broken(
                "server.public_url",
                format!("{url} is plain http, but people reach this server by HTTPS. Write it as https://..."),
            );
        }
        self.phone.check(&mut broken);
        if problems.is_empty() { Ok(()) } else { Err(Refused(problems)) }
    }

    /// Where everything is kept, with the data directory that the command line may have named.
    #[must_use]
    pub fn store_location(&self) -> StoreLocation {
        match &self.store.url {
            Some(url) => StoreLocation::Postgres(url.clone().into()),
            None => StoreLocation::Embedded(self.server.data.clone()),
        }
    }

    /// Whether Plenum itself speaks HTTPS on its port.
    #[must_use]
    pub fn speaks_https(&self) -> bool {
        self.server.lan || self.server.tls.is_some()
    }

    fn plain_http_would_leave_this_machine(&self) -> bool {
        !self.server.listen.ip().is_loopback() && !self.server.behind_proxy && !self.speaks_https()
    }
}

/// One function for each kind of value. An error completes the sentence "this value ...".
mod parse {
    use std::net::{IpAddr, SocketAddr};
    use std::path::PathBuf;

    use super::{Announce, LogFormat, Origin};

    /// The shortest metrics token accepted. It is a password without a lock-out, so guessing must be hopeless.
    const METRICS_TOKEN_LENGTH: usize = 16;

    pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
        text.parse().map_err(|_| {
            "is not an IP address with a port. Write for example \"127.0.0.1:8080\", \"0.0.0.0:443\" or \"[::]:443\""
                .to_owned()
        })
    }

    pub(super) fn path(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() { Err("is empty. Name a directory".to_owned()) } else { Ok(PathBuf::from(text)) }
    }

    pub(super) fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    pub(super) fn database(text: &str) -> Result<Option<String>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let is_one = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        if is_one { Ok(Some(text.to_owned())) } else { Err(DATABASE.to_owned()) }
    }

    const DATABASE: &str = "is no address of a PostgreSQL database. Write \"postgres://USER:PASSWORD@HOST:PORT/DATABASE\", \
                            or leave it empty for a file in the data directory";

    pub(super) fn origin(text: &str) -> Result<Option<Origin>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = || {
            "is not an origin. Write scheme and host, and a port where needed, without a path: \
             \"https://meet.example.org\""
                .to_owned()
        };
        let uri: axum::http::Uri = text.parse().map_err(|_| wrong())?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or_else(wrong)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        if uri.path() != "/" || uri.query().is_some() || authority.host().is_empty() || text.contains('#') {
            return Err(wrong());
        }
        Ok(Some(Origin(format!("{scheme}://{authority}"))))
    }

    pub(super) fn announce(text: &str) -> Result<Announce, String> {
        let announce = text
            .parse::<IpAddr>()
            .map(|address| Announce { address, port: None })
            .or_else(|_| {
                text.parse::<SocketAddr>().map(|full| Announce { address: full.ip(), port: Some(full.port()) })
            })
            .map_err(|_| {
                "is not an IP address, with or without a port. Write for example \"203.0.113.7\" or \
                 \"203.0.113.7:40000\""
                    .to_owned()
            })?;
        if announce.address.is_unspecified() || announce.address.is_multicast() || announce.port == Some(0) {
            return Err(
                "is no address that a client could send to. Name the one that your router or provider shows".to_owned()
            );
        }
        Ok(announce)
    }

    pub(super) fn tenant(text: &str) -> Result<String, String> {
        match text.trim() {
            "" => Err("names no organisation. Write the name that its people's tokens carry".to_owned()),
            name => Ok(name.to_owned()),
        }
    }

    pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
        match text {
            "human" => Ok(LogFormat::Human),
            "json" => Ok(LogFormat::Json),
            _ => Err("is unknown. Write \"human\" or \"json\"".to_owned()),
        }
    }

    pub(super) fn log_level(text: &str) -> Result<tracing::Level, String> {
        match text {
            "error" => Ok(tracing::Level::ERROR),
            "warn" => Ok(tracing::Level::WARN),
            "info" => Ok(tracing::Level::INFO),
            "debug" => Ok(tracing::Level::DEBUG),
            "trace" => Ok(tracing::Level::TRACE),
            _ => Err("is unknown. Write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"".to_owned()),
        }
    }

    pub(super) fn metrics_token(text: &str) -> Result<Option<String>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() < METRICS_TOKEN_LENGTH || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "is too weak. Use at least {METRICS_TOKEN_LENGTH} letters, digits or signs without spaces, \
                 for example from `openssl rand -hex 16`"
            ));
        }
        Ok(Some(text.to_owned()))
    }
}
