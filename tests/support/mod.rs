//! The real binary as a child process, and just enough HTTP and WebSocket to talk to it without a library's opinion.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes on a busy machine; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of a log that a test has not looked at; more wait in the pipe.
const LOG_LINES: usize = 10_000;

/// `plenum` in an empty environment and directory, so that no setting of the developer's leaks in.
pub fn plenum(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plenum"));
    command.args(arguments).current_dir(directory).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("PLENUM__MEDIA__ANNOUNCE", "127.0.0.1");
    command
}

/// A server that ends with the test, however the test ends.
pub struct Running {
    child: Child,
    pub port: u16,
    pub log: Arc<Mutex<String>>,
    logged: Receiver<String>,
    pub took: Duration,
}

impl Running {
    /// Starts a server on a free port and waits until it is ready.
    pub fn start(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let begun = Instant::now();
        let mut command = plenum(directory, &all);
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let (line_sender, logged) = sync_channel(LOG_LINES);
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *kept.lock().unwrap() += &format!("{line}\n");
                let _ = line_sender.try_send(line);
            }
        });
        let mut running = Self { child, port: 0, log, logged, took: Duration::ZERO };
        let ready = running.wait_for_line("port");
        running.took = begun.elapsed();
        let digits = ready.split("port").nth(1).unwrap().trim_start_matches(|c: char| !c.is_ascii_digit());
        running.port = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        running
    }

    /// Waits for a log line that holds `words`.
    pub fn wait_for_line(&self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.logged.recv_timeout(left) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) => {}
                Err(_) => panic!("no line with {words:?} in the log:\n{}", self.log.lock().unwrap()),
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end; returns how it ended and all of its standard output.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let mut stdout = self.child.stdout.take().unwrap();
        let (sender, receiver) = sync_channel(1);
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stdout.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        // Standard output closes when the process ends.
        let text = receiver.recv_timeout(PATIENCE).expect("the server ends");
        (self.child.wait().unwrap(), text)
    }

    /// One request on a connection of its own.
    pub fn http(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        http(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), None, method, path, headers, body)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// Connects from `source`, if one is given: a loopback address of its own makes a peer recognisable.
pub fn connect(server: SocketAddr, source: Option<Ipv4Addr>) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    if let Some(source) = source {
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    }
    socket.connect_timeout(&server.into(), PATIENCE).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn http(
    server: SocketAddr,
    source: Option<Ipv4Addr>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = connect(server, source);
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body =
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.into() };
    Answer { status, head: head.to_owned(), body }
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some((chunk, next)) = after.split_at_checked(size).filter(|_| size > 0) else { break };
        body += chunk;
        rest = next.trim_start_matches("\r\n");
    }
    body
}

/// A WebSocket of the live protocol.
#[derive(Debug)]
pub struct Live(TcpStream);

impl Live {
    pub fn open(server: SocketAddr, source: Option<Ipv4Addr>) -> Self {
        let mut stream = connect(server, source);
        let request = format!(
            "GET /v1/live HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: plenum.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0_u8];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        Self(stream)
    }

    /// The same connection, for another thread to write to.
    pub fn again(&self) -> Self {
        Self(self.0.try_clone().unwrap())
    }

    /// Ends it, also for whoever reads.
    pub fn hang_up(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    /// A text frame as clients send it (RFC 6455 §5.2), with a mask of zeros.
    pub fn send_text(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(length @ 0..=125) => frame.push(0x80 | length as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.0.write_all(&frame).unwrap();
    }

    pub fn send(&mut self, message: &serde_json::Value) {
        self.send_text(&message.to_string());
    }

    /// The next text message, or nothing once the server closed.
    pub fn next(&mut self) -> Option<serde_json::Value> {
        loop {
            let mut head = [0_u8; 2];
            self.0.read_exact(&mut head).ok()?;
            let length = match head[1] & 0x7f {
                126 => {
                    let mut length = [0_u8; 2];
                    self.0.read_exact(&mut length).ok()?;
                    usize::from(u16::from_be_bytes(length))
                }
                127 => {
                    let mut length = [0_u8; 8];
                    self.0.read_exact(&mut length).ok()?;
                    usize::try_from(u64::from_be_bytes(length)).unwrap()
                }
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).ok()?;
            match head[0] & 0x0f {
                1 => return Some(serde_json::from_slice(&payload).unwrap()),
                8 => return None,
                _ => {}
            }
        }
    }

    /// Reads on until a message of this type comes.
    pub fn until(&mut self, kind: &str) -> serde_json::Value {
        let mut seen = Vec::new();
        while let Some(message) = self.next() {
            if message["type"] == kind {
                return message;
            }
            seen.push(message["type"].to_string());
        }
        panic!("the server closed without {kind:?}; before that came {seen:?}");
    }
}
