//! WebSockets that are open and hear nothing: what a page costs the server that somebody left open.
//!
//! ```text
//! memory of the server -> connections, some at a time -> silence (pings are answered) -> memory again -> Report
//! ```
//!
//! Each connection is the feed of a signed-in person or, with a meeting size, a participant without media. On loopback they
//! come from many addresses of 127.0.0.0/8, so that ports do not run out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _, stream};
use hyper::Uri;
use serde::Serialize;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::client::join::{Door, JoinError};
use crate::process::{ProcessError, Usage, open_files_of, raise_open_files};
use crate::progress::Progress;
use crate::target::{Reach, Target, TargetError};

/// Connections that are opened at the same time.
const OPENING: usize = 32;
/// Connections from one address of 127.0.0.0/8.
const FROM_ONE_ADDRESS: usize = 5_000;
/// How long one may take to open.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The server's address.
    pub server: Uri,
    /// How far load may go.
    pub reach: Reach,
    /// Tokens of different people (`plenum token --user NAME --count N`); each has up to 32 feeds.
    pub tokens: Vec<String>,
    /// Connections.
    pub connections: usize,
    /// Participants of meetings of that size instead of feeds.
    pub meeting_size: Option<usize>,
    /// How long they are silent before memory is read.
    pub silence: Duration,
    /// Process of the server on this machine.
    pub server_pid: u32,
    /// Kibibytes that one may cost before the run fails.
    pub max_kibibytes: f64,
}

/// Feeds of one person; the server takes no more.
const DEVICES: usize = 32;

/// Why a run was not made.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// The arguments make no sense.
    #[error("{0}")]
    Refused(&'static str),
    /// Not a target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The server's process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The meetings.
    #[error(transparent)]
    Join(#[from] JoinError),
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    kind: &'static str,
    connections: usize,
    open: u64,
    refused: u64,
    lost: u64,
    /// Why the first of those was refused or lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    silent_seconds: f64,
    rss_before_bytes: u64,
    rss_after_bytes: u64,
    kibibytes_each: f64,
    max_kibibytes: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_open_files: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_open_files: Option<u64>,
}

impl Report {
    /// Whether all stayed open at that price.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.open == self.connections as u64 && self.lost == 0 && self.kibibytes_each <= self.max_kibibytes
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let mut lines = format!(
            "{} of {} {} open, {} refused, {} lost; silent for {:.0} s\nserver memory  {:.1} MiB before, {:.1} MiB after: \
             {:.1} KiB each (at most {})\nopen files     server {}, this program {}\n",
            self.open,
            self.connections,
            self.kind,
            self.refused,
            self.lost,
            self.silent_seconds,
            mebibytes(self.rss_before_bytes),
            mebibytes(self.rss_after_bytes),
            self.kibibytes_each,
            self.max_kibibytes,
            self.server_open_files.as_deref().unwrap_or("?"),
            self.own_open_files.map_or_else(|| "?".to_owned(), |files| files.to_string()),
        );
        if let Some(why) = &self.why {
            lines += &format!("the first that failed: {why}\n");
        }
        lines
    }
}

impl Scenario {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// With the reason.
    pub fn check(&self) -> Result<(), SocketsError> {
        if self.tokens.is_empty() {
            return Err(SocketsError::Refused("no token: give --tokens FILE with one a line"));
        }
        if self.connections == 0 || self.meeting_size == Some(0) {
            return Err(SocketsError::Refused("there is at least one connection, and one participant in a meeting"));
        }
        if self.meeting_size.is_none() && self.tokens.len() * DEVICES < self.connections {
            return Err(SocketsError::Refused(
                "one person has at most 32 feeds: make more people with `plenum token --user NAME --count N`",
            ));
        }
        Target::of(&self.server, self.reach)?;
        Ok(())
    }
}

/// What happened to connections.
#[derive(Default)]
struct Fates {
    open: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    why: std::sync::OnceLock<String>,
}

impl Fates {
    fn note(&self, count: &AtomicU64, why: String) {
        count.fetch_add(1, Ordering::Relaxed);
        let _ = self.why.set(why);
    }
}

/// Makes the run.
///
/// # Errors
/// When it could not be made.
pub async fn run(scenario: &Scenario, progress: &Progress, stop: &CancellationToken) -> Result<Report, SocketsError> {
    scenario.check()?;
    let own_open_files = raise_open_files();
    let address = Target::of(&scenario.server, scenario.reach)?.resolve().await?;
    let door = Door::at(scenario.server.clone(), scenario.reach)?;
    let hosts = scenario.tokens.first().map_or("", String::as_str);
    let mut meetings = Vec::new();
    for _ in 0..scenario.meeting_size.map_or(0, |size| scenario.connections.div_ceil(size)) {
        meetings.push(door.create_meeting(hosts).await?);
    }
    let before = Usage::of(scenario.server_pid)?;
    progress.step("opening");
    let fates = Arc::new(Fates::default());
    let mut listening = JoinSet::new();
    let opening = stream::iter(0..scenario.connections).take_until(stop.cancelled()).map(|number| {
        let (door, meetings) = (&door, &meetings);
        async move {
            let first = match scenario.meeting_size.and_then(|size| meetings.get(number / size)) {
                Some(meeting) => match door.join(meeting, &format!("Participant {number}")).await {
                    Ok(seat) => serde_json::json!({"type": "hello", "token": seat.token, "cursor": 0}),
                    Err(error) => return Err(error.to_string()),
                },
                None => {
                    let token = scenario.tokens.get(number % scenario.tokens.len()).map_or("", String::as_str);
                    serde_json::json!({"type": "subscribe", "token": token})
                }
            };
            let opened = open(address, source(address, number), first.to_string());
            tokio::time::timeout(PATIENCE, opened).await.map_err(|_| "no answer in time".to_owned())?
        }
    });
    let mut opening = std::pin::pin!(opening.buffer_unordered(OPENING));
    while let Some(opened) = opening.next().await {
        match opened {
            Ok(socket) => {
                fates.open.fetch_add(1, Ordering::Relaxed);
                listening.spawn(listen(socket, Arc::clone(&fates)));
            }
            Err(why) => fates.note(&fates.refused, why),
        }
    }
    progress.step(&format!("silent for {} s", scenario.silence.as_secs()));
    tokio::select! {
        () = tokio::time::sleep(scenario.silence) => {}
        () = stop.cancelled() => progress.step("stopped early"),
    }
    let after = Usage::of(scenario.server_pid)?;
    let server_open_files = open_files_of(scenario.server_pid);
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    let (open, refused, lost) = (count(&fates.open), count(&fates.refused), count(&fates.lost));
    listening.shutdown().await;
    for meeting in &meetings {
        door.delete_meeting(meeting, hosts).await?;
    }
    let grown = after.rss_bytes.saturating_sub(before.rss_bytes);
    Ok(Report {
        kind: if scenario.meeting_size.is_some() { "participants" } else { "feeds" },
        connections: scenario.connections,
        open,
        refused,
        lost,
        why: fates.why.get().cloned(),
        silent_seconds: scenario.silence.as_secs_f64(),
        rss_before_bytes: before.rss_bytes,
        rss_after_bytes: after.rss_bytes,
        kibibytes_each: grown as f64 / 1024.0 / open.max(1) as f64,
        max_kibibytes: scenario.max_kibibytes,
        server_open_files,
        own_open_files,
    })
}

/// The address that a connection comes from, where there is a choice.
fn source(server: SocketAddr, number: usize) -> Option<Ipv4Addr> {
    let is_loopback = matches!(server.ip(), IpAddr::V4(address) if address.is_loopback());
    is_loopback.then(|| Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + (number / FROM_ONE_ADDRESS) as u32))
}

type Socket = WebSocketStream<TcpStream>;

async fn open(server: SocketAddr, source: Option<Ipv4Addr>, first: String) -> Result<Socket, String> {
    let connected = async {
        let Some(source) = source else { return TcpStream::connect(server).await };
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        socket.connect(server).await
    };
    let stream = connected.await.map_err(|error| error.to_string())?;
    let url = format!("ws://{server}/v1/live");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.map_err(|error| error.to_string())?;
    socket.send(Message::Text(first.into())).await.map_err(|error| error.to_string())?;
    match socket.next().await {
        Some(Ok(Message::Text(text))) if text.contains("\"subscribed\"") || text.contains("\"welcome\"") => Ok(socket),
        other => Err(format!("instead of a beginning came {other:?}")),
    }
}

/// Says that it lives, as a page does, and nothing else.
async fn listen(mut socket: Socket, fates: Arc<Fates>) {
    let why = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.contains("\"ping\"") => {
                if let Err(error) = socket.send(Message::Text("{\"type\":\"pong\"}".into())).await {
                    break error.to_string();
                }
            }
            Some(Ok(Message::Close(frame))) => break format!("closed: {frame:?}"),
            Some(Ok(_)) => {}
            Some(Err(error)) => break error.to_string(),
            None => break "ended".to_owned(),
        }
    };
    fates.note(&fates.lost, why);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_come_from_several_addresses_of_this_machine() {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        assert_eq!(source(server, 4_999), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(source(server, 5_000), Some(Ipv4Addr::new(127, 0, 0, 2)));
        assert_eq!(source(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80)), 9), None);
    }

    #[test]
    fn a_person_has_no_more_feeds_than_the_server_takes() {
        let scenario = |connections, meeting_size| Scenario {
            server: Uri::from_static("http://127.0.0.1:8080"),
            reach: Reach::Loopback,
            tokens: vec!["a".to_owned()],
            connections,
            meeting_size,
            silence: Duration::ZERO,
            server_pid: 1,
            max_kibibytes: 32.0,
        };
        assert!(scenario(32, None).check().is_ok());
        assert!(scenario(33, None).check().is_err());
        assert!(scenario(33, Some(33)).check().is_ok(), "participants need no account");
        assert!(scenario(0, None).check().is_err());
    }
}
