//! A proxy in front of a blob server, that makes it as bad as stores can be.
//!
//! ```text
//! vault --> proxy --[mode]--> server
//!       <-- [mode] <---------
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::http::Message;

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything on.
    Good,
    /// Closes every connection at once.
    Down,
    /// Closes that many connections, then is good.
    DownFor(u32),
    /// Takes requests and never answers.
    Silent,
    /// Answers each request after that time.
    Late(Duration),
    /// Answers each request by this status, and passes none on.
    Status(u16),
    /// The same to that many requests.
    StatusFor(u16, u32),
    /// Says that it stored what it threw away.
    Forgets,
    /// Changes a byte in the middle of what objects are read as.
    OtherBytes,
    /// Leaves away the last bytes of what is read, and says so by its length alone.
    Shorter,
    /// Breaks off in the middle of a body.
    BreaksOff,
    /// Says another size of every object.
    OtherSize,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    mode: Arc<Mutex<Mode>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(Mutex::new(Mode::Good));
        let shared = Arc::clone(&mode);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((from, _)) = listener.accept().await {
                let mode = Arc::clone(&shared);
                connections.spawn(async move { serve(from, server, &mode).await });
            }
        });
        Self { port, mode, task }
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The mode of the next request; one that lasts for some is used up by it.
fn next(mode: &Mutex<Mode>) -> Mode {
    let mut mode = mode.lock().unwrap();
    let now = *mode;
    *mode = match now {
        Mode::DownFor(0) | Mode::StatusFor(_, 0) => Mode::Good,
        Mode::DownFor(left) => Mode::DownFor(left - 1),
        Mode::StatusFor(status, left) => Mode::StatusFor(status, left - 1),
        other => other,
    };
    now
}

async fn serve(mut from: TcpStream, server: u16, mode: &Mutex<Mode>) -> std::io::Result<()> {
    loop {
        let (reader, _) = from.split();
        let Some(mut request) = Message::read(&mut BufReader::new(reader), false).await? else { return Ok(()) };
        let mode = next(mode);
        let answer = match mode {
            Mode::Down | Mode::DownFor(1..) => return Ok(()),
            Mode::Silent => std::future::pending().await,
            Mode::Status(status) | Mode::StatusFor(status, 1..) => Message::answer(status),
            Mode::Forgets if request.method() == "PUT" => {
                let mut answer = Message::answer(if request.header("x-ms-version").is_some() { 201 } else { 200 });
                answer.set("etag", "\"0123456789abcdef\"");
                answer
            }
            _ => {
                if let Mode::Late(time) = mode {
                    tokio::time::sleep(time).await;
                }
                request.set("connection", "close");
                let mut answer = request.send(server).await?;
                tamper(&mut answer, &request, mode);
                answer.set("connection", "keep-alive");
                answer
            }
        };
        answer.write(&mut from).await?;
        if mode == Mode::BreaksOff && answer.status() == 206 {
            return Ok(());
        }
    }
}

fn tamper(answer: &mut Message, request: &Message, mode: Mode) {
    let size = answer.header("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or_default();
    let read = answer.status() == 206 && !answer.body.is_empty();
    match mode {
        Mode::OtherBytes if read => answer.body[size / 2] ^= 1,
        Mode::Shorter if read => {
            answer.body.truncate(size - 3);
            answer.set("content-length", &(size - 3).to_string());
        }
        Mode::BreaksOff if read => answer.body.truncate(size / 2),
        Mode::OtherSize if request.method() == "HEAD" && answer.status() == 200 => {
            answer.set("content-length", &(size + 1).to_string());
        }
        _ => {}
    }
}
