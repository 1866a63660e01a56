//! A session over a WebSocket.
//!
//! Reading is tungstenite's: masks, fragments, control frames and everything that a peer can do wrong. Writing goes past
//! it: messages come framed and shared (`protocol/frame.rs`), and are written to the stream as they lie, so that a
//! connection owns no copy of what it is sent. That is what a thousand idle connections are made of: a read buffer of some
//! kilobytes each, and nothing that remembers the largest message there ever was.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Buf;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tracing::Instrument as _;

use super::session::{Inbound, LiveContext, Next, OpenRefused, Outbound, Received, open};
use super::subscription;
use crate::auth::KeyName;
use crate::feed::{HearError, Reader};
use crate::protocol::{ClientMessage, CloseCode, FRAME_BYTES, Frame, ParseError, ServerMessage, parse};
use crate::store::UserRow;

/// Bytes that are read at once. Most messages fit; an offer takes three reads and gives its memory back.
const READ_BUFFER: usize = 4096;
/// Bytes of control frames that wait to be written, which is all that goes through tungstenite.
const WRITE_BUFFER: usize = 1024;
/// A peer that makes us answer more than this without reading is cut off.
const WRITE_BUFFER_MAX: usize = 16 * 1024;

/// An alarm that rings so much too late tells of a stall of this server, and not of the client.
const LATE: Duration = Duration::from_secs(1);

/// What a connection is about; its first message says it.
enum Begun {
    Meeting(Box<Inbound>, Box<Outbound>),
    Feed(Box<Reader>),
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The client is gone; there is nobody to tell.
struct Gone;

/// Serves one WebSocket until it ends. `place` is held for as long.
pub async fn serve<P: Send>(
    upgrade: OnUpgrade,
    context: LiveContext,
    base_url: String,
    user: Option<(UserRow, KeyName)>,
    place: P,
) {
    // The client may hang up in the middle of it.
    let Ok(upgraded) = upgrade.await else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(Some(FRAME_BYTES))
        .max_frame_size(Some(FRAME_BYTES));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    // Apart, because what a hello needs is large and over soon, while the future of a session is kept as long as it lives.
    let begun = Box::pin(begin(&mut socket, &context, &base_url, user)).await;
    drop(base_url);
    if let Some(Begun::Feed(reader)) = begun {
        let span = tracing::debug_span!("feed");
        listen(&mut socket, &context, *reader).instrument(span).await;
    } else if let Some(Begun::Meeting(inbound, outbound)) = begun {
        let (inbound, outbound) = (*inbound, *outbound);
        let span = tracing::debug_span!(
            "session",
            session = %inbound.session,
            participant = %inbound.participant,
            meeting = %inbound.meeting_id
        );
        converse(&mut socket, &context, inbound, outbound).instrument(span).await;
    }
    drop(place);
}

/// The hello, and what comes of it.
async fn begin(
    socket: &mut Socket,
    context: &LiveContext,
    base_url: &str,
    user: Option<(UserRow, KeyName)>,
) -> Option<Begun> {
    let first = match timeout(context.timings.hello, first_text(socket)).await {
        Ok(text) => text?,
        Err(_) => {
            close(socket, context, CloseCode::HelloMissing).await;
            return None;
        }
    };
    let opened = match subscription::wish(first.as_bytes()) {
        Some(wish) => subscription::open(context, wish, user).await.map(|reader| Begun::Feed(Box::new(reader))),
        None => open(context, first.as_bytes(), base_url)
            .await
            .map(|(inbound, outbound)| Begun::Meeting(Box::new(inbound), Box::new(outbound))),
    };
    match opened {
        Ok(begun) => Some(begun),
        Err(OpenRefused { message, code }) => {
            if let Some(message) = message {
                let _ = write_frame(socket, context, &Frame::encode(&message)).await;
            }
            close(socket, context, code).await;
            None
        }
    }
}

async fn first_text(socket: &mut Socket) -> Option<Utf8Bytes> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => return Some(text),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Binary(_)) => return Some(Utf8Bytes::from_static("")),
            Ok(Message::Close(_) | Message::Frame(_)) | Err(_) => return None,
        }
    }
}

async fn converse(socket: &mut Socket, context: &LiveContext, mut inbound: Inbound, mut outbound: Outbound) {
    let timings = context.timings;
    let mut heard = Instant::now();
    let mut said = heard;
    let mut pinged = heard;
    let mut alarm = pin!(sleep_until((heard + timings.ping).into()));
    loop {
        tokio::select! {
            message = socket.next() => {
                heard = Instant::now();
                let received = match message {
                    Some(Ok(Message::Text(text))) => inbound.take(text.as_bytes()).await,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Received::Taken,
                    Some(Ok(Message::Binary(_))) => Received::Close(CloseCode::Malformed),
                    Some(Ok(Message::Close(_) | Message::Frame(_)) | Err(_)) | None => return,
                };
                match received {
                    Received::Taken => {}
                    Received::Answer(frame) => {
                        said = Instant::now();
                        if write_frame(socket, context, &frame).await.is_err() {
                            return;
                        }
                    }
                    Received::Close(code) => return Box::pin(close(socket, context, code)).await,
                }
            }
            next = outbound.next() => {
                said = Instant::now();
                let written = match next {
                    Next::Burst(burst) => write(socket, context, burst.wire().clone()).await,
                    // Large and rare: not a part of every session's future.
                    Next::Welcome(welcome) => Box::pin(write(socket, context, welcome.into_wire())).await,
                    Next::Close(code) => return Box::pin(close(socket, context, code)).await,
                };
                if written.is_err() {
                    return;
                }
            }
            // Set for the earliest moment at which it can be due, and looked at again then: messages need not move it.
            () = alarm.as_mut() => {
                let now = Instant::now();
                if was_late(alarm.deadline(), now) {
                    heard = now;
                }
                if now >= heard + timings.dead {
                    tracing::debug!("nothing was heard for too long");
                    return;
                }
                // A client that only listens is asked too, or it would count as dead while everybody else talks.
                if now >= heard.min(said).max(pinged) + timings.ping {
                    (said, pinged) = (now, now);
                    if write_frame(socket, context, &Frame::encode(&ServerMessage::Ping {})).await.is_err() {
                        return;
                    }
                }
                let ping_at = heard.min(said).max(pinged) + timings.ping;
                alarm.as_mut().reset(ping_at.min(heard + timings.dead).into());
            }
        }
    }
}

/// Tells one device what happens in its chats. All that it says is that it lives; it acts over HTTP.
async fn listen(socket: &mut Socket, context: &LiveContext, mut reader: Reader) {
    let timings = context.timings;
    let begun = Frame::encode(&ServerMessage::Subscribed { cursor: reader.cursor() });
    if write_frame(socket, context, &begun).await.is_err() {
        return;
    }
    let (mut heard, mut pinged) = (Instant::now(), Instant::now());
    let mut alarm = pin!(sleep_until((heard + timings.ping).into()));
    loop {
        tokio::select! {
            message = socket.next() => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Text(text))) => match parse(text.as_bytes()) {
                        Ok(ClientMessage::Ping {}) => {
                            if write_frame(socket, context, &Frame::encode(&ServerMessage::Pong {})).await.is_err() {
                                return;
                            }
                        }
                        Ok(ClientMessage::Pong {}) | Err(ParseError::UnknownType(_)) => {}
                        Ok(_) | Err(ParseError::Malformed) => return close(socket, context, CloseCode::Malformed).await,
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Binary(_))) => return close(socket, context, CloseCode::Malformed).await,
                    Some(Ok(Message::Close(_) | Message::Frame(_)) | Err(_)) | None => return,
                }
            }
            item = reader.next() => match item {
                Ok(item) => {
                    if write_frame(socket, context, &item.frame).await.is_err() {
                        return;
                    }
                }
                Err(HearError::SignedOut) => return close(socket, context, CloseCode::TokenRefused).await,
                // The client comes back with its cursor when the store can be read again.
                Err(error @ HearError::Store(_)) => {
                    tracing::warn!(%error, "a feed could not be read");
                    return close(socket, context, CloseCode::GoingAway).await;
                }
            },
            () = alarm.as_mut() => {
                let now = Instant::now();
                if was_late(alarm.deadline(), now) {
                    heard = now;
                }
                if now >= heard + timings.dead {
                    return;
                }
                if now >= heard.max(pinged) + timings.ping {
                    pinged = now;
                    if write_frame(socket, context, &Frame::encode(&ServerMessage::Ping {})).await.is_err() {
                        return;
                    }
                }
                alarm.as_mut().reset((heard.max(pinged) + timings.ping).min(heard + timings.dead).into());
            }
        }
    }
}

/// Whether it was we who were held up: then nothing was heard because nobody listened, and it waits to be read.
fn was_late(alarm: tokio::time::Instant, now: Instant) -> bool {
    now.saturating_duration_since(alarm.into_std()) > LATE
}

async fn write_frame(socket: &mut Socket, context: &LiveContext, frame: &Frame) -> Result<(), Gone> {
    write(socket, context, frame.wire().clone()).await
}

/// Writes whole frames; a client that does not read in time counts as gone, and its queue fills no longer.
async fn write(socket: &mut Socket, context: &LiveContext, mut frames: impl Buf) -> Result<(), Gone> {
    let written = timeout(context.timings.write, async {
        // A control frame of tungstenite's own must be out whole before ours begins.
        socket.flush().await.map_err(|_| Gone)?;
        let stream = socket.get_mut();
        stream.write_all_buf(&mut frames).await.map_err(|_| Gone)?;
        stream.flush().await.map_err(|_| Gone)
    });
    written.await.unwrap_or(Err(Gone))
}

async fn close(socket: &mut Socket, context: &LiveContext, code: CloseCode) {
    let frame = CloseFrame { code: code.number().into(), reason: Utf8Bytes::from_static(code.reason()) };
    // Either side may be gone; a close that is not heard changes nothing.
    let _ = timeout(context.timings.write, async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // Waits for the other side's close, so that ours is not lost in a reset connection.
            while let Some(Ok(message)) = socket.next().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
        }
    })
    .await;
}
