//! People who write to each other: what the store takes, and how soon others hear of it. No media.
//!
//! ```text
//! chats -> everybody listens by WebSocket (with --rate) -> senders write -> measured window -> all heard? -> Report
//! ```
//!
//! Without a rate each sender writes as soon as its last message was acknowledged, which means durable: the figure is
//! what the store takes. With one, all of them together write so many a second, each message says when it was sent, and
//! what is measured is the time until a member of the chat has it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use hdrhistogram::Histogram;
use hyper::{Method, Uri};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::disk::Disk;
use crate::http::{Connection, HttpError};
use crate::process::{ProcessError, Usage};
use crate::progress::Progress;
use crate::report::figures::Spread;
use crate::target::{Reach, Target, TargetError};

/// Connections that are opened at the same time.
const OPENING: usize = 16;
/// What the last messages get to arrive.
const DRAIN: Duration = Duration::from_secs(5);
/// The longest time that is told apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The server's address.
    pub server: Uri,
    /// How far load may go.
    pub reach: Reach,
    /// Tokens of different people (`plenum token --user NAME --count N`).
    pub tokens: Vec<String>,
    /// Chats.
    pub chats: usize,
    /// Members of each.
    pub members: usize,
    /// Connections that write.
    pub senders: usize,
    /// Messages a second of all of them together; none: as many as are acknowledged.
    pub rate: Option<f64>,
    /// Bytes of a message's text.
    pub bytes: usize,
    /// How long to measure.
    pub window: Duration,
    /// Process of the server on this machine.
    pub server_pid: Option<u32>,
    /// Where the server keeps its data, to tell what disk it is.
    pub data: Option<PathBuf>,
}

/// Why a run was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The arguments make no sense.
    #[error("{0}")]
    Refused(&'static str),
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Not a target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The server's process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The server said no.
    #[error("the server answered {status} to {what}: {body}")]
    Answer {
        /// Its status.
        status: u16,
        /// To what.
        what: &'static str,
        /// Its words.
        body: String,
    },
    /// The feed broke.
    #[error("a WebSocket broke: {0}")]
    Socket(String),
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    chats: usize,
    members: usize,
    senders: usize,
    seconds: f64,
    acknowledged: u64,
    failed: u64,
    acknowledged_per_second: f64,
    ack_ms: Option<Spread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<Delivered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
}

/// What listeners heard.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Delivered {
    listeners: usize,
    expected: u64,
    heard: u64,
    twice: u64,
    out_of_order: u64,
    ms: Option<Spread>,
}

impl Report {
    /// Whether everything was acknowledged and heard, once and in order.
    #[must_use]
    pub fn passed(&self) -> bool {
        let heard = self
            .delivered
            .as_ref()
            .is_none_or(|heard| heard.heard == heard.expected && heard.twice == 0 && heard.out_of_order == 0);
        self.failed == 0 && self.acknowledged > 0 && heard
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let spread = |spread: &Option<Spread>| spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string());
        let mut lines = format!(
            "{} chats of {}, {} senders, {:.0} s\nacknowledged   {} ({:.0} a second), {} failed\n  \
             ms p50/p95/p99/max  {}\n",
            self.chats,
            self.members,
            self.senders,
            self.seconds,
            self.acknowledged,
            self.acknowledged_per_second,
            self.failed,
            spread(&self.ack_ms),
        );
        if let Some(heard) = &self.delivered {
            lines += &format!(
                "delivered      {} of {} to {} listeners, {} twice, {} out of order\n  ms p50/p95/p99/max  {}\n",
                heard.heard,
                heard.expected,
                heard.listeners,
                heard.twice,
                heard.out_of_order,
                spread(&heard.ms)
            );
        }
        if let Some(cpu) = self.server_cpu_seconds {
            lines += &format!(
                "server CPU     {cpu:.2} s, {:.0} us a message\n",
                cpu * 1e6 / self.acknowledged.max(1) as f64
            );
        }
        if let Some(disk) = &self.disk {
            lines += &format!("disk           {disk}\n");
        }
        lines
    }
}

impl Scenario {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// With the reason.
    pub fn check(&self) -> Result<(), ChatError> {
        if self.tokens.is_empty() {
            return Err(ChatError::Refused("no token: give --user-token, or --tokens FILE with one a line"));
        }
        if self.members > self.tokens.len() {
            return Err(ChatError::Refused(
                "there are fewer people than members of a chat: make more with `plenum token --user NAME --count N`",
            ));
        }
        if self.chats == 0 || self.members == 0 || self.senders == 0 {
            return Err(ChatError::Refused("chats, members and senders are at least one each"));
        }
        Ok(())
    }

    fn member(&self, chat: usize, number: usize) -> usize {
        (chat * self.members + number) % self.tokens.len()
    }
}

/// Makes the run.
///
/// # Errors
/// When it could not be made.
pub async fn run(scenario: &Scenario, progress: &Progress, stop: &CancellationToken) -> Result<Report, ChatError> {
    scenario.check()?;
    crate::process::raise_open_files();
    let disk = scenario.data.as_deref().and_then(Disk::of);
    let chats = Arc::new(make_chats(scenario, progress).await?);
    let epoch = Instant::now();
    let heard = Arc::new(Mutex::new(Heard::new()));
    let mut listeners = JoinSet::new();
    let mut listening = 0;
    if scenario.rate.is_some() {
        progress.step("everybody listens");
        let people = people(scenario);
        listening = people.len();
        let mut sockets = stream::iter(people).map(|who| listen(scenario, who)).buffer_unordered(OPENING);
        while let Some(socket) = sockets.try_next().await? {
            listeners.spawn(hear(socket, epoch, Arc::clone(&heard), stop.clone()));
        }
    }
    let before = scenario.server_pid.map(Usage::of).transpose()?;
    progress.step("writing");
    let begun = Instant::now();
    let until = begun + scenario.window;
    let number = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for sender in 0..scenario.senders {
        let (scenario, chats, number) = (scenario.clone(), Arc::clone(&chats), Arc::clone(&number));
        let stop = stop.clone();
        senders.spawn(async move { write(&scenario, sender, &chats, &number, epoch, until, &stop).await });
    }
    let mut written = Written::new();
    while let Some(one) = senders.join_next().await {
        written.add(one.map_err(|error| ChatError::Socket(error.to_string()))??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = scenario.server_pid.map(Usage::of).transpose()?;
    let delivered = match scenario.rate {
        Some(_) => Some(settle(scenario, listening, written.acknowledged, &heard).await),
        None => None,
    };
    listeners.abort_all();
    Ok(Report {
        chats: scenario.chats,
        members: scenario.members,
        senders: scenario.senders,
        seconds,
        acknowledged: written.acknowledged,
        failed: written.failed,
        acknowledged_per_second: written.acknowledged as f64 / seconds,
        ack_ms: spread(&written.times),
        delivered,
        server_cpu_seconds: before.zip(after).map(|(before, after)| (after.cpu - before.cpu).as_secs_f64()),
        disk,
    })
}

/// Everybody who is a member of a chat, each once.
fn people(scenario: &Scenario) -> Vec<usize> {
    let mut people: Vec<_> = (0..scenario.chats)
        .flat_map(|chat| (0..scenario.members).map(move |number| (chat, number)))
        .map(|(chat, number)| scenario.member(chat, number))
        .collect();
    people.sort_unstable();
    people.dedup();
    people
}

async fn make_chats(scenario: &Scenario, progress: &Progress) -> Result<Vec<String>, ChatError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Me {
        user_id: String,
    }
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    progress.step("making chats");
    let mut ids = HashMap::new();
    for who in people(scenario) {
        let mut connection = Connection::open(&scenario.server, scenario.reach, token(scenario, who)).await?;
        let me: Me = ask(&mut connection, Method::GET, "/v1/me", String::new(), "who one is").await?;
        ids.insert(who, me.user_id);
    }
    let mut chats = Vec::with_capacity(scenario.chats);
    for chat in 0..scenario.chats {
        let owner = scenario.member(chat, 0);
        let members: Vec<_> =
            (1..scenario.members).filter_map(|number| ids.get(&scenario.member(chat, number))).collect();
        let mut connection = Connection::open(&scenario.server, scenario.reach, token(scenario, owner)).await?;
        let (now, later) = members.split_at(members.len().min(200));
        let body = serde_json::json!({"chatType": "group", "topic": "Load", "members": now}).to_string();
        let made: Made = ask(&mut connection, Method::POST, "/v1/chats", body, "a new chat").await?;
        for more in later.chunks(200) {
            let body = serde_json::json!({"members": more}).to_string();
            let path = format!("/v1/chats/{}/members", made.id);
            let _: serde_json::Value = ask(&mut connection, Method::POST, &path, body, "new members").await?;
        }
        chats.push(made.id);
    }
    Ok(chats)
}

fn token(scenario: &Scenario, who: usize) -> &str {
    scenario.tokens.get(who).map_or("", String::as_str)
}

async fn ask<T: serde::de::DeserializeOwned>(
    connection: &mut Connection,
    method: Method,
    path: &str,
    body: String,
    what: &'static str,
) -> Result<T, ChatError> {
    let answer = connection.call(method, path, body).await?;
    let parsed = answer.status.is_success().then(|| serde_json::from_slice(&answer.body).ok()).flatten();
    parsed.ok_or_else(|| ChatError::Answer {
        status: answer.status.as_u16(),
        what,
        body: String::from_utf8_lossy(&answer.body).into_owned(),
    })
}

/// What a sender saw.
struct Written {
    acknowledged: u64,
    failed: u64,
    times: Histogram<u64>,
}

impl Written {
    fn new() -> Self {
        Self { acknowledged: 0, failed: 0, times: histogram() }
    }

    fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.failed += other.failed;
        // Both are made alike.
        let _ = self.times.add(other.times);
    }
}

#[allow(clippy::expect_used, reason = "the bounds are constants")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("valid bounds")
}

async fn write(
    scenario: &Scenario,
    sender: usize,
    chats: &[String],
    number: &AtomicU64,
    epoch: Instant,
    until: Instant,
    stop: &CancellationToken,
) -> Result<Written, ChatError> {
    let chat = sender % scenario.chats;
    let who = scenario.member(chat, sender / scenario.chats % scenario.members);
    let path = format!("/v1/chats/{}/messages", chats.get(chat).map_or("", String::as_str));
    let mut connection = Connection::open(&scenario.server, scenario.reach, token(scenario, who)).await?;
    let pause = scenario.rate.map(|rate| Duration::from_secs_f64(scenario.senders as f64 / rate));
    // Spread over the pause, so that the senders do not write all at once.
    let mut next =
        Instant::now() + pause.map_or(Duration::ZERO, |pause| pause.mul_f64(sender as f64 / scenario.senders as f64));
    let padding = "word ".repeat(scenario.bytes / 5 + 1);
    let padding = padding.get(..scenario.bytes).unwrap_or_default();
    let mut written = Written::new();
    loop {
        if let Some(pause) = pause {
            tokio::time::sleep_until(next.into()).await;
            next += pause;
        }
        if Instant::now() >= until || stop.is_cancelled() {
            return Ok(written);
        }
        let number = number.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        let stamp = sent.duration_since(epoch).as_micros();
        let body = serde_json::json!({"clientMessageId": format!("{number}.{stamp}"), "text": padding}).to_string();
        let answer = connection.call(Method::POST, &path, body).await?;
        if answer.status.is_success() {
            written.acknowledged += 1;
            written.times.saturating_record(sent.elapsed().as_micros() as u64);
        } else {
            written.failed += 1;
        }
    }
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn listen(scenario: &Scenario, who: usize) -> Result<Socket, ChatError> {
    let broken = |error: tokio_tungstenite::tungstenite::Error| ChatError::Socket(error.to_string());
    let target = Target::of(&scenario.server, scenario.reach)?;
    let address = target.resolve().await?;
    let connected = TcpStream::connect(address).await;
    let stream = connected.map_err(|error| HttpError::Connect(target.authority(), error))?;
    let url = format!("ws://{}/v1/live", target.authority());
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.map_err(broken)?;
    let hello = serde_json::json!({"type": "subscribe", "token": token(scenario, who)}).to_string();
    socket.send(Message::Text(hello.into())).await.map_err(broken)?;
    match socket.next().await {
        Some(Ok(Message::Text(text))) if text.contains("\"subscribed\"") => Ok(socket),
        other => Err(ChatError::Socket(format!("instead of a subscription came {other:?}"))),
    }
}

/// What all listeners heard.
struct Heard {
    count: u64,
    twice: u64,
    out_of_order: u64,
    times: Histogram<u64>,
}

impl Heard {
    fn new() -> Self {
        Self { count: 0, twice: 0, out_of_order: 0, times: histogram() }
    }
}

async fn hear(mut socket: Socket, epoch: Instant, heard: Arc<Mutex<Heard>>, stop: CancellationToken) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct News {
        r#type: String,
        #[serde(default)]
        chat_id: String,
        event: Option<Event>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Event {
        seq: u64,
        client_message_id: Option<String>,
    }
    let mut last: HashMap<String, u64> = HashMap::new();
    while let Some(Ok(message)) = socket.next().await {
        let now = epoch.elapsed().as_micros() as u64;
        let Message::Text(text) = message else { continue };
        let Ok(news) = serde_json::from_str::<News>(&text) else { continue };
        if news.r#type == "ping" {
            if socket.send(Message::Text("{\"type\":\"pong\"}".into())).await.is_err() {
                return;
            }
            continue;
        }
        let Some(Event { seq, client_message_id: Some(id) }) = news.event else { continue };
        let Some(sent) = id.split_once('.').and_then(|(_, stamp)| stamp.parse::<u64>().ok()) else { continue };
        let before = last.insert(news.chat_id, seq);
        let mut heard = heard.lock().await;
        heard.count += 1;
        heard.twice += u64::from(before == Some(seq));
        heard.out_of_order += u64::from(before.is_some_and(|before| before > seq));
        heard.times.saturating_record(now.saturating_sub(sent));
        if stop.is_cancelled() {
            return;
        }
    }
}

async fn settle(scenario: &Scenario, listeners: usize, acknowledged: u64, heard: &Mutex<Heard>) -> Delivered {
    let expected = acknowledged * scenario.members as u64;
    let until = Instant::now() + DRAIN;
    while heard.lock().await.count < expected && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard = heard.lock().await;
    Delivered {
        listeners,
        expected,
        heard: heard.count,
        twice: heard.twice,
        out_of_order: heard.out_of_order,
        ms: spread(&heard.times),
    }
}

fn spread(times: &Histogram<u64>) -> Option<Spread> {
    let at = |share| times.value_at_quantile(share) as f64 / 1e3;
    (!times.is_empty()).then(|| Spread { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: times.max() as f64 / 1e3 })
}
