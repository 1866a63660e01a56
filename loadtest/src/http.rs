//! One HTTP request on a connection of its own: all that joining a meeting needs.
//!
//! Redirects are not followed, so that no server can send the load elsewhere ([`Target`] checks each address).

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::target::{Reach, Target, TargetError};

/// How long a request may take, from connecting to the last byte. A server that needs longer is down, for our purpose.
const PATIENCE: Duration = Duration::from_secs(15);
/// The largest answer that is read. An SDP is at most 512 KiB.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is not allowed or not known.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Nobody listens.
    #[error("the server does not answer at {0}: {1}. Is it running, and is the port right?")]
    Connect(String, std::io::Error),
    /// The request could not be written down, because of an odd token.
    #[error("the request cannot be sent: {0}. Check the token: it is one line of letters, digits and dots.")]
    Request(#[from] hyper::http::Error),
    /// It broke off in the middle.
    #[error("the connection to the server broke: {0}")]
    Broken(#[from] hyper::Error),
    /// It is slow.
    #[error("the server did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// The answer is larger than any answer of a meeting server.
    #[error("the answer is longer than {ANSWER_BYTES} bytes; this is not a meeting server")]
    TooLong,
}

/// What to ask.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) uri: &'a Uri,
    pub(crate) token: Option<&'a str>,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: Bytes,
}

/// Asks once.
pub(crate) async fn send(call: Call<'_>, reach: Reach) -> Result<Answer, HttpError> {
    tokio::time::timeout(PATIENCE, exchange(call, reach)).await.map_err(|_| HttpError::Slow)?
}

async fn exchange(call: Call<'_>, reach: Reach) -> Result<Answer, HttpError> {
    let target = Target::of(call.uri, reach)?;
    let address = target.resolve().await?;
    let stream = TcpStream::connect(address).await.map_err(|error| HttpError::Connect(target.authority(), error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer: the request says that the connection is for it alone.
    let connection = tokio::spawn(connection);
    let path = call.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(call.method)
        .uri(path)
        .header(header::HOST, target.authority())
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, call.content_type);
    if let Some(token) = call.token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(hyper::http::Error::from)?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let response = sender.send_request(request.body(call.body)?).await?;
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = response.status();
    let body = read(response.into_body()).await;
    connection.abort();
    Ok(Answer { status, location, body: body? })
}

/// A connection that is asked again and again.
pub(crate) struct Connection {
    sender: http1::SendRequest<String>,
    host: String,
    bearer: HeaderValue,
}

impl Connection {
    /// Connects for whoever has that token.
    pub(crate) async fn open(server: &Uri, reach: Reach, token: &str) -> Result<Self, HttpError> {
        let target = Target::of(server, reach)?;
        let address = target.resolve().await?;
        let stream =
            TcpStream::connect(address).await.map_err(|error| HttpError::Connect(target.authority(), error))?;
        stream.set_nodelay(true).map_err(|error| HttpError::Connect(target.authority(), error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when the sender is dropped.
        tokio::spawn(connection);
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(hyper::http::Error::from)?;
        bearer.set_sensitive(true);
        Ok(Self { sender, host: target.authority(), bearer })
    }

    /// Asks once more.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: String) -> Result<Answer, HttpError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, self.bearer.clone())
            .body(body)?;
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            Ok(Answer { status, location: None, body: read(response.into_body()).await? })
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| HttpError::Slow)?
    }
}

async fn read(mut body: Incoming) -> Result<Bytes, HttpError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Some(data) = frame?.data_ref() {
            if bytes.len() + data.len() > ANSWER_BYTES {
                return Err(HttpError::TooLong);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}
