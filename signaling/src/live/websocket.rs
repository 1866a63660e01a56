//! A session over a WebSocket.

use std::time::Instant;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use tokio::time::{Instant as TokioInstant, sleep_until, timeout};
use tracing::Instrument as _;

use super::session::{Inbound, LiveContext, Next, OpenRefused, Outbound, Received, open};
use crate::protocol::{CloseCode, Frame, ServerMessage};

/// The client is gone; there is nobody to tell.
struct Gone;

/// Serves one WebSocket until it ends.
pub async fn serve(mut socket: WebSocket, context: LiveContext, base_url: String) {
    let first = match timeout(context.timings.hello, first_text(&mut socket)).await {
        Ok(Some(text)) => text,
        Ok(None) => return,
        Err(_) => {
            close(&mut socket, &context, CloseCode::HelloMissing).await;
            return;
        }
    };
    match open(&context, first.as_bytes(), &base_url).await {
        Ok((inbound, outbound)) => {
            let span = tracing::info_span!(
                "session",
                session = %inbound.session,
                participant = %inbound.participant,
                meeting = %inbound.meeting_id
            );
            converse(&mut socket, &context, inbound, outbound).instrument(span).await;
        }
        Err(OpenRefused { message, code }) => {
            if let Some(message) = message {
                let _ = write(&mut socket, &context, &Frame::encode(&message)).await;
            }
            close(&mut socket, &context, code).await;
        }
    }
}

async fn first_text(socket: &mut WebSocket) -> Option<Utf8Bytes> {
    loop {
        match socket.recv().await? {
            Ok(Message::Text(text)) => return Some(text),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Binary(_)) => return Some(Utf8Bytes::from_static("")),
            Ok(Message::Close(_)) | Err(_) => return None,
        }
    }
}

async fn converse(socket: &mut WebSocket, context: &LiveContext, mut inbound: Inbound, mut outbound: Outbound) {
    let timings = context.timings;
    let mut heard = Instant::now();
    let mut said = Instant::now();
    let mut pinged = Instant::now();
    loop {
        // A client that only listens is asked too, or it would count as dead while everybody else talks.
        let ping_at = heard.min(said).max(pinged) + timings.ping;
        let alarm = ping_at.min(heard + timings.dead);
        tokio::select! {
            message = socket.recv() => {
                heard = Instant::now();
                let received = match message {
                    Some(Ok(Message::Text(text))) => inbound.take(text.as_bytes()).await,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Received::Taken,
                    Some(Ok(Message::Binary(_))) => Received::Close(CloseCode::Malformed),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                };
                match received {
                    Received::Taken => {}
                    Received::Answer(frame) => {
                        said = Instant::now();
                        if write(socket, context, &frame).await.is_err() {
                            return;
                        }
                    }
                    Received::Close(code) => return close(socket, context, code).await,
                }
            }
            next = outbound.next() => match next {
                Next::Frame(frame) => {
                    said = Instant::now();
                    if write(socket, context, &frame).await.is_err() {
                        return;
                    }
                }
                Next::Close(code) => return close(socket, context, code).await,
            },
            () = sleep_until(TokioInstant::from_std(alarm)) => {
                if heard.elapsed() >= timings.dead {
                    tracing::debug!("nothing was heard for too long");
                    return;
                }
                said = Instant::now();
                pinged = said;
                if write(socket, context, &Frame::encode(&ServerMessage::Ping {})).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Writes a frame; a client that does not read in time counts as gone, and its queue fills no longer.
async fn write(socket: &mut WebSocket, context: &LiveContext, frame: &Frame) -> Result<(), Gone> {
    // Encoded by us, so it is UTF-8.
    let text = std::str::from_utf8(frame.as_bytes()).unwrap_or("{}");
    match timeout(context.timings.write, socket.send(Message::text(text))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Gone),
    }
}

async fn close(socket: &mut WebSocket, context: &LiveContext, code: CloseCode) {
    let frame = CloseFrame { code: code.number(), reason: Utf8Bytes::from_static(code.reason()) };
    // Either side may be gone; a close that is not heard changes nothing.
    let _ = timeout(context.timings.write, async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // Waits for the other side's close, so that ours is not lost in a reset connection.
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
        }
    })
    .await;
}
