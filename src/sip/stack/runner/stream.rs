//! One connection: a stream cut into messages, and a queue written into it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::stack::parse::{Frame, MESSAGE_BYTES, frame};
use crate::stack::path::TrunkId;

/// Messages that wait to be written. A peer that takes none any more loses its connection.
pub(super) const WRITES: usize = 128;
/// A connection on which nothing comes for so long is closed. OPTIONS come and go more often.
const IDLE: Duration = Duration::from_secs(600);
/// How long one message may take to be written.
const WRITE: Duration = Duration::from_secs(20);
/// How long opening a connection or a TLS handshake may take. Less than a call waits for a first answer.
pub(super) const OPEN: Duration = Duration::from_secs(8);

/// What tasks tell the runner.
#[derive(Debug)]
pub(super) enum Input {
    /// A trunk's host was looked up.
    Resolved(TrunkId, Vec<SocketAddr>),
    /// A connection is open; what is sent there is written into it. `dialled`: by us.
    Opened { connection: u64, trunk: TrunkId, writes: mpsc::Sender<Vec<u8>>, dialled: bool },
    /// A message came.
    Message { connection: u64, trunk: TrunkId, source: SocketAddr, bytes: Vec<u8> },
    /// A connection is gone.
    Closed { connection: u64, trunk: TrunkId },
    /// A trunk could not be connected to.
    Failed(TrunkId),
}

/// Which connection it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) connection: u64,
    pub(super) trunk: TrunkId,
    pub(super) peer: SocketAddr,
    pub(super) dialled: bool,
}

/// Serves a connection until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite>(stream: S, name: Name, inputs: &mpsc::Sender<Input>) {
    let (writes, queue) = mpsc::channel(WRITES);
    let Name { connection, trunk, dialled, .. } = name;
    // The runner alone holds the queue: when it lets go, what is queued is written, and the connection ends.
    let pongs = writes.downgrade();
    if inputs.send(Input::Opened { connection, trunk, writes, dialled }).await.is_err() {
        return;
    }
    let (reader, writer) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = read(reader, name, inputs, &pongs) => ended,
        ended = write(writer, queue) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(trunk = trunk.0, kind = ?error.kind(), "a trunk's connection ended");
    }
    // An error means that the runner is gone.
    let _ = inputs.send(Input::Closed { connection, trunk }).await;
}

async fn read(
    mut reader: impl AsyncRead + Unpin,
    name: Name,
    inputs: &mpsc::Sender<Input>,
    pongs: &mpsc::WeakSender<Vec<u8>>,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        match frame(&buffer).map_err(|_| unreadable())? {
            Frame::Message(length) => {
                let bytes = buffer.split_to(length).to_vec();
                let Name { connection, trunk, peer: source, .. } = name;
                let message = Input::Message { connection, trunk, source, bytes };
                inputs.send(message).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
            Frame::Ping(length) => {
                buffer.advance(length);
                // A full queue has other worries than pings.
                let _ = pongs.upgrade().map(|pongs| pongs.try_send(b"\r\n".to_vec()));
            }
            Frame::Nothing(length) => buffer.advance(length),
            Frame::Incomplete if buffer.len() > MESSAGE_BYTES => return Err(unreadable()),
            Frame::Incomplete => {
                buffer.reserve(4096);
                if timeout(IDLE, reader.read_buf(&mut buffer)).await?? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// Nobody can tell where the next message begins: the stream ends, as one dropped message.
fn unreadable() -> io::Error {
    metrics::counter!("sip_dropped_total", "why" => "unreadable").increment(1);
    io::ErrorKind::InvalidData.into()
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(bytes) = queue.recv().await {
        timeout(WRITE, async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        })
        .await??;
    }
    writer.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = Name {
        connection: 1,
        trunk: TrunkId(0),
        peer: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5060),
        dialled: false,
    };

    /// The far end of a served connection, what it tells, and its queue.
    async fn served() -> (tokio::io::DuplexStream, mpsc::Receiver<Input>, mpsc::Sender<Vec<u8>>) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (inputs, mut told) = mpsc::channel(8);
        tokio::spawn(async move { serve(near, NAME, &inputs).await });
        let Some(Input::Opened { writes, .. }) = told.recv().await else { panic!("opens") };
        (far, told, writes)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_its_queue_is_let_go_and_writes_what_is_in_it() {
        let (mut far, mut told, writes) = served().await;
        writes.try_send(b"last words".to_vec()).expect("has room");
        drop(writes);
        let mut text = String::new();
        timeout(Duration::from_secs(1), far.read_to_string(&mut text)).await.expect("ends").expect("reads");
        assert_eq!(text, "last words");
        assert!(matches!(told.recv().await, Some(Input::Closed { connection: 1, .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_closed_after_ten_minutes_and_not_before() {
        let (far, mut told, _writes) = served().await;
        assert!(timeout(IDLE - Duration::from_secs(1), told.recv()).await.is_err());
        assert!(matches!(timeout(Duration::from_secs(2), told.recv()).await, Ok(Some(Input::Closed { .. }))));
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_loses_its_connection() {
        let (_far, mut told, writes) = served().await;
        writes.try_send(vec![0; 1 << 17]).expect("has room");
        assert!(matches!(timeout(WRITE * 2, told.recv()).await, Ok(Some(Input::Closed { .. }))));
    }
}
