//! The live connection of a client (`/v1/live`): hello, one offer, a wish for a mix if it has one, and then whatever the
//! server has to say.
//!
//! Messages are counted by type and not looked into: what a join costs the others is how many they get.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;

use crate::target::{self, Reach, Target, TargetError};

/// The subprotocol of the live connection.
const PROTOCOL: &str = "plenum.v1";
/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// Our offer's number.
const OFFER: u64 = 1;
const LEAVE: u64 = 2;

/// Why there is no live connection, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The address.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Nobody listens.
    #[error("the live connection could not be made: {0}")]
    Connect(#[from] std::io::Error),
    /// It broke.
    #[error("the live connection broke: {0}")]
    WebSocket(#[from] Box<WebSocketError>),
    /// The server ended it.
    #[error("the server closed the live connection ({code}): {reason}")]
    Closed {
        /// WebSocket close code; see the protocol.
        code: u16,
        /// The server's reason.
        reason: String,
    },
    /// The server said no.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The server is slow.
    #[error("the server sent no {0} within {limit} s", limit = PATIENCE.as_secs())]
    Slow(&'static str),
}

/// What the server said, by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) messages: BTreeMap<String, u64>,
    pub(crate) bytes: u64,
}

/// Messages that tell a client of the others.
const ABOUT_OTHERS: [&str; 5] = ["roster", "publications", "slots", "event", "speaker"];

/// What all clients together were told of each other, so that the price of a join can be read while it is paid.
#[derive(Debug, Default)]
pub(crate) struct Gossip {
    messages: [AtomicU64; ABOUT_OTHERS.len()],
    bytes: AtomicU64,
}

impl Gossip {
    fn note(&self, kind: &str, bytes: usize) {
        let known = ABOUT_OTHERS.iter().zip(&self.messages).find(|(name, _)| **name == kind);
        if let Some((_, count)) = known {
            count.fetch_add(1, Relaxed);
            self.bytes.fetch_add(bytes as u64, Relaxed);
        }
    }

    /// Messages by type so far, and their bytes.
    pub(crate) fn look(&self) -> (BTreeMap<&'static str, u64>, u64) {
        let counts = ABOUT_OTHERS.into_iter().zip(&self.messages).map(|(name, count)| (name, count.load(Relaxed)));
        (counts.collect(), self.bytes.load(Relaxed))
    }
}

/// What every message has.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    id: Option<u64>,
    #[serde(default)]
    sdp: String,
    #[serde(default)]
    message: String,
}

/// A live connection.
pub(crate) struct Live {
    socket: WebSocketStream<TcpStream>,
    heard: Heard,
    gossip: Arc<Gossip>,
}

impl Live {
    /// Connects, says hello and waits for the welcome.
    pub(crate) async fn open(url: &str, reach: Reach, token: &str, gossip: Arc<Gossip>) -> Result<Self, LiveError> {
        let address = target_of(url, reach)?.resolve().await?;
        let deadline = Instant::now() + PATIENCE;
        let mut request = url.into_client_request().map_err(Box::new)?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, LiveError>(client_async(request, stream).await.map_err(Box::new)?.0)
        };
        let socket = timeout_at(deadline, connecting).await.map_err(|_| LiveError::Slow("live connection"))??;
        let mut live = Self { socket, heard: Heard::default(), gossip };
        live.say(&json!({"type": "hello", "token": token, "cursor": 0})).await?;
        live.until(deadline, "welcome", |head| head.kind == "welcome").await?;
        Ok(live)
    }

    /// Offers media and gives the answer's SDP.
    pub(crate) async fn offer(&mut self, sdp: &str) -> Result<String, LiveError> {
        self.say(&json!({"type": "offer", "id": OFFER, "sdp": sdp})).await?;
        let deadline = Instant::now() + PATIENCE;
        let answer = self.until(deadline, "answer", |head| head.kind == "answer" && head.id == Some(OFFER)).await?;
        Ok(answer.sdp)
    }

    /// Wishes to hear all voices as one.
    pub(crate) async fn wish_mix(&mut self) -> Result<(), LiveError> {
        self.say(&json!({"type": "layout", "wants": [], "fill": true, "mix": true})).await
    }

    /// Listens until `leave`, then says goodbye. What was heard comes back however it ended.
    pub(crate) async fn serve(mut self, leave: CancellationToken) -> (Heard, Result<(), LiveError>) {
        let ended = loop {
            tokio::select! {
                () = leave.cancelled() => break self.say_goodbye().await,
                head = self.next() => if let Err(error) = head { break Err(error) },
            }
        };
        (self.heard, ended)
    }

    async fn say_goodbye(&mut self) -> Result<(), LiveError> {
        self.say(&json!({"type": "leave", "id": LEAVE})).await?;
        let farewell = self.until(Instant::now() + FAREWELL, "farewell", |head| head.id == Some(LEAVE));
        match farewell.await {
            Ok(_) | Err(LiveError::Closed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn until(
        &mut self,
        deadline: Instant,
        what: &'static str,
        wanted: impl Fn(&Head) -> bool,
    ) -> Result<Head, LiveError> {
        loop {
            let head = timeout_at(deadline, self.next()).await.map_err(|_| LiveError::Slow(what))??;
            if wanted(&head) {
                return Ok(head);
            }
            if head.kind == "error" {
                return Err(LiveError::Refused(head.message));
            }
        }
    }

    /// The next message; answers pings.
    async fn next(&mut self) -> Result<Head, LiveError> {
        loop {
            let text = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame
                        .map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.as_str().to_owned()));
                    return Err(LiveError::Closed { code, reason });
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(Box::new(error).into()),
                None => return Err(LiveError::Closed { code: 1006, reason: "the connection ended".to_owned() }),
            };
            let Ok(head) = serde_json::from_str::<Head>(&text) else { continue };
            self.heard.bytes += text.len() as u64;
            self.gossip.note(&head.kind, text.len());
            *self.heard.messages.entry(head.kind.clone()).or_default() += 1;
            if head.kind == "ping" {
                self.say(&json!({"type": "pong"})).await?;
            }
            return Ok(head);
        }
    }

    async fn say(&mut self, message: &serde_json::Value) -> Result<(), LiveError> {
        Ok(self.socket.send(Message::text(message.to_string())).await.map_err(Box::new)?)
    }
}

/// Where a `ws://` address leads, if load may go there.
fn target_of(url: &str, reach: Reach) -> Result<Target, TargetError> {
    let rest = url.strip_prefix("ws://").ok_or_else(|| TargetError::Scheme(url.to_owned()))?;
    Target::of(&target::parse(&format!("http://{rest}"))?, reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_connection_stays_on_this_machine() {
        assert!(target_of("ws://127.0.0.1:8080/v1/live", Reach::Loopback).is_ok());
        assert!(matches!(target_of("ws://192.0.2.1/v1/live", Reach::Loopback), Err(TargetError::Remote(_))));
        assert!(matches!(target_of("wss://127.0.0.1/v1/live", Reach::Loopback), Err(TargetError::Scheme(_))));
    }
}
