//! As much HTTP/1.1 as a browser with a link, and a proxy that tampers, need.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Request or status line.
    pub(crate) first: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn answer(status: u16) -> Self {
        let first = format!("HTTP/1.1 {status} .");
        Self { first, headers: vec![("content-length".to_owned(), "0".to_owned())], body: Vec::new() }
    }

    pub(crate) fn status(&self) -> u16 {
        self.first.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn method(&self) -> &str {
        self.first.split(' ').next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Reads one; nothing at the end of the connection. `bodiless`: the answer to a HEAD.
    pub(crate) async fn read(
        from: &mut BufReader<impl AsyncRead + Unpin>,
        bodiless: bool,
    ) -> std::io::Result<Option<Self>> {
        let mut message = Self::default();
        if from.read_line(&mut message.first).await? == 0 {
            return Ok(None);
        }
        message.first = message.first.trim_end().to_owned();
        loop {
            let line = line(from).await?;
            let Some((name, value)) = line.split_once(':') else { break };
            message.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if bodiless {
            return Ok(Some(message));
        }
        if message.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&line(from).await?, 16).unwrap();
                let start = message.body.len();
                message.body.resize(start + size, 0);
                from.read_exact(&mut message.body[start..]).await?;
                line(from).await?;
                if size == 0 {
                    break;
                }
            }
            message.headers.retain(|(name, _)| name != "transfer-encoding");
            message.set("content-length", &message.body.len().to_string());
        } else if let Some(length) = message.header("content-length") {
            message.body.resize(length.parse().unwrap(), 0);
            from.read_exact(&mut message.body).await?;
        }
        Ok(Some(message))
    }

    pub(crate) async fn write(&self, to: &mut TcpStream) -> std::io::Result<()> {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        to.write_all(format!("{}\r\n{headers}\r\n", self.first).as_bytes()).await?;
        to.write_all(&self.body).await
    }

    /// Sends a request to a port of this machine.
    pub(crate) async fn send(&self, port: u16) -> std::io::Result<Self> {
        let mut to = TcpStream::connect(("127.0.0.1", port)).await?;
        self.write(&mut to).await?;
        let answer = Self::read(&mut BufReader::new(to), self.method() == "HEAD").await?;
        answer.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }
}

async fn line(from: &mut BufReader<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

/// What a browser gets that follows a link and wants these bytes of it.
pub(crate) async fn get(url: &str, range: &str) -> Message {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let request = Message {
        first: format!("GET /{path} HTTP/1.1"),
        headers: [("host", host), ("connection", "close"), ("range", range)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body: Vec::new(),
    };
    request.send(host.split_once(':').unwrap().1.parse().unwrap()).await.unwrap()
}
