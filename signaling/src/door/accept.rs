//! The accept loop: every TCP connection of the server comes in here.
//!
//! One port serves everything, so the first byte of a connection decides what it is. A TLS record starts with 0x16
//! (RFC 8446 §5.1), an HTTP/1 request with a letter; other protocols of the same port have first bytes of their own.
//!
//! ```text
//! listener -> admit (total and per address) -> peek one byte -+-> TLS handshake -> ALPN -> HTTP/1.1 or HTTP/2 -> router
//!                                                             +-> HTTP/1.1 -> router, or 308 to https
//!                                                             +-> anything else: counted and closed
//! ```
//!
//! Every wait is bounded: a peer that says nothing, or says it very slowly, costs one connection for some seconds.
//! WebSockets are HTTP/1.1 upgrades; extended CONNECT over HTTP/2 (RFC 8441) is not offered, so a browser that came
//! by HTTP/2 opens one more connection for its WebSocket.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{HOST, LOCATION};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Open connections of each address; shared by the hall and its places.
type PerAddress = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// How long a fresh connection may say nothing.
const PEEK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the first whole request head may take after the connection is ready for it.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an HTTP/1.1 connection may stay without a further whole request head; idle keep-alive included.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// An HTTP/2 connection that is silent for this long is asked whether it lives ...
const HTTP2_PING_AFTER: Duration = Duration::from_secs(20);
/// ... and closed if it does not answer within this time.
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at a time on one HTTP/2 connection. More wait in the browser.
const HTTP2_STREAMS: u32 = 64;
/// Bytes of all header fields of one HTTP/2 request; HTTP/1.1 has the same bound by its read buffer.
const HEADER_BYTES: u32 = 32 * 1024;
/// Bytes that are buffered while an HTTP/1.1 request head is read.
const HTTP1_BUFFER: usize = 64 * 1024;
/// A peer that acknowledges nothing, or takes nothing, for this long is gone (RFC 5482): it frees the connection of a
/// reader that stopped in the middle of a download.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// First pause of the accept loop when the process is out of descriptors or memory; doubles up to [`BACK_OFF_MAX`].
const BACK_OFF: Duration = Duration::from_millis(50);
/// Longest pause of the accept loop. Connections wait in the kernel's backlog meanwhile.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// How long answers that are under way may take once the server shuts down.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// How a request reached us. Every request carries it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// By TLS.
    Https,
}

/// What plain HTTP gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainPolicy {
    /// The same answers as HTTPS.
    Serve,
    /// 308 to the same path by https.
    RedirectToHttps,
}

/// How many connections are let in. Who comes on top is closed at once and counted in
/// `door_connections_refused_total`; browsers show "connection reset" and a proxy answers 502.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one IPv4 address or one IPv6 /64; none behind a reverse proxy, from which
    /// everybody comes. Loopback is never counted.
    pub per_address: Option<usize>,
}

/// Everything that the accept loop needs.
pub struct Door {
    /// Where connections come in; several to serve several addresses.
    pub listeners: Vec<TcpListener>,
    /// TLS, when this server speaks it itself.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// What plain HTTP gets.
    pub plain: PlainPolicy,
    /// Who answers. Requests carry [`ConnectInfo<SocketAddr>`] and [`Scheme`].
    pub router: Router,
    /// How many are let in.
    pub admission: Admission,
}

/// Serves until `shutdown`, then lets answers under way finish, but not for long.
pub async fn serve(door: Door, shutdown: CancellationToken) {
    let Door { listeners, tls, plain, router, admission } = door;
    let hall = Arc::new(Hall {
        plain_router: match plain {
            PlainPolicy::Serve => router.clone(),
            PlainPolicy::RedirectToHttps => Router::new().fallback(redirect_to_https),
        },
        router,
        tls: tls.map(TlsAcceptor::from),
        porter: Porter::new(admission),
        shutdown: shutdown.clone(),
    });
    let connections = TaskTracker::new();
    let impatience = CancellationToken::new();
    for listener in listeners {
        let (hall, tracker, impatience) = (Arc::clone(&hall), connections.clone(), impatience.clone());
        connections.spawn(accept(listener, hall, tracker, impatience));
    }
    shutdown.cancelled().await;
    connections.close();
    if timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
        tracing::info!(connections = connections.len(), "connections did not end in time and are cut");
        impatience.cancel();
        connections.wait().await;
    }
}

/// What all connections share.
struct Hall {
    router: Router,
    plain_router: Router,
    tls: Option<TlsAcceptor>,
    porter: Porter,
    shutdown: CancellationToken,
}

async fn accept(listener: TcpListener, hall: Arc<Hall>, connections: TaskTracker, impatience: CancellationToken) {
    let mut back_off = BACK_OFF;
    loop {
        let accepted = tokio::select! {
            () = hall.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                back_off = BACK_OFF;
                // One listener may serve both families; IPv4 peers must look the same on either.
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let Some(pass) = hall.porter.admit(peer.ip()) else {
                    metrics::counter!("door_connections_refused_total").increment(1);
                    continue;
                };
                let (hall, impatience) = (Arc::clone(&hall), impatience.clone());
                connections.spawn(async move {
                    let place = Place(Arc::new(pass));
                    tokio::select! {
                        () = impatience.cancelled() => {}
                        () = hall.welcome(stream, peer, place) => {}
                    }
                });
            }
            Err(error) if is_the_peers_fault(&error) => {}
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), os = error.raw_os_error(), "cannot accept connections for now");
                metrics::counter!("door_accept_errors_total").increment(1);
                tokio::select! {
                    () = hall.shutdown.cancelled() => return,
                    () = sleep(back_off) => {}
                }
                back_off = (back_off * 2).min(BACK_OFF_MAX);
            }
        }
    }
}

/// The connection died between the handshake and our accept: nothing is wrong here, and waiting would punish others.
fn is_the_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Whom a connection brings.
struct Guest {
    peer: SocketAddr,
    scheme: Scheme,
    place: Place,
}

/// HTTP versions, as agreed before the first request.
#[derive(Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

impl Hall {
    async fn welcome(&self, stream: TcpStream, peer: SocketAddr, place: Place) {
        prepare(&stream);
        let mut first = [0_u8];
        match timeout(PEEK_TIMEOUT, stream.peek(&mut first)).await {
            Ok(Ok(1)) => {}
            Ok(_) => return, // Closed before a word: a health check of a load balancer, or a port scan.
            Err(_) => return count_end("silent"),
        }
        match (first, &self.tls) {
            ([0x16], Some(tls)) => self.secured(tls, stream, peer, place).await,
            ([byte], _) if byte.is_ascii_alphabetic() => {
                let guest = Guest { peer, scheme: Scheme::Http, place };
                Box::pin(self.converse(stream, guest, Version::Http1, &self.plain_router)).await;
            }
            // Other protocols of this port belong here: ICE-TCP (RFC 4571 framing) and TURN start with 0x00..=0x03.
            _ => count_end("unknown_protocol"),
        }
    }

    async fn secured(&self, tls: &TlsAcceptor, stream: TcpStream, peer: SocketAddr, place: Place) {
        let stream = match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) => return count_end("tls_handshake"),
            Err(_) => return count_end("silent"),
        };
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Version::Http2,
            _ => Version::Http1,
        };
        let guest = Guest { peer, scheme: Scheme::Https, place };
        Box::pin(self.converse(stream, guest, version, &self.router)).await;
    }

    /// Serves one connection to its end. Boxed by its callers: a connection that is only just there, or in its TLS
    /// handshake, does not pay for HTTP yet.
    async fn converse<S>(&self, stream: S, guest: Guest, version: Version, router: &Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(AtomicBool::new(false));
        let service = service_fn(|mut request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(guest.peer));
            request.extensions_mut().insert(guest.scheme);
            request.extensions_mut().insert(guest.place.clone());
            router.clone().oneshot(request.map(Body::new))
        });
        let builder = http(version);
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut first_request = pin!(sleep_until(Instant::now() + FIRST_REQUEST_TIMEOUT));
        let (mut waiting_for_first, mut leaving) = (true, false);
        loop {
            tokio::select! {
                // Errors are the peer's (resets, malformed requests, which hyper has answered by 400).
                _ = connection.as_mut() => return,
                () = &mut first_request, if waiting_for_first => {
                    if !asked.load(Ordering::Relaxed) {
                        return count_end("silent");
                    }
                    waiting_for_first = false;
                }
                () = self.shutdown.cancelled(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn http(version: Version) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD_TIMEOUT)
        .max_buf_size(HTTP1_BUFFER)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_AFTER)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HEADER_BYTES);
    // Never the builder's own guess by preface: it would wait for its 24 bytes without a limit.
    match version {
        Version::Http1 => builder.http1_only(),
        Version::Http2 => builder.http2_only(),
    }
}

/// Socket options that a conversation wants. A kernel without one of them serves as well, only less promptly.
fn prepare(stream: &TcpStream) {
    let prompt = stream.set_nodelay(true);
    let timeout = u32::try_from(SEND_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    let limited = rustix::net::sockopt::set_tcp_user_timeout(stream, timeout);
    if prompt.is_err() || limited.is_err() {
        tracing::debug!("a socket option could not be set");
    }
}

fn count_end(why: &'static str) {
    metrics::counter!("door_connections_ended_early_total", "why" => why).increment(1);
}

/// 308 keeps the method and the body, so that a POST to the wrong scheme is not turned into a GET.
async fn redirect_to_https(request: Request<Body>) -> Response {
    let Some(target) = https_target(&request) else {
        return (
            StatusCode::BAD_REQUEST,
            "This server speaks HTTPS on this port, and the request names no host to redirect to. Use https://\n",
        )
            .into_response();
    };
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, target)]).into_response()
}

/// The same place by https. The host is the client's own word, hence parsed: only an authority without user part fits.
fn https_target(request: &Request<Body>) -> Option<HeaderValue> {
    let host = request.headers().get(HOST)?.to_str().ok()?;
    let authority: Authority = host.parse().ok()?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return None;
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    HeaderValue::try_from(format!("https://{authority}{path}")).ok()
}

/// Counts who is in.
struct Porter {
    places: Arc<Semaphore>,
    per_address: Option<usize>,
    inside: PerAddress,
}

/// Counts a connection for as long as it lives.
struct Pass {
    _place: OwnedSemaphorePermit,
    counted: Option<(IpAddr, PerAddress)>,
}

/// A connection's place. Every request carries it: whoever goes on with the connection after HTTP, as a WebSocket does,
/// takes it along, so that it counts as long as it is open.
#[derive(Clone)]
pub struct Place(#[expect(dead_code, reason = "held, not read")] Arc<Pass>);

impl Porter {
    fn new(admission: Admission) -> Self {
        Self {
            places: Arc::new(Semaphore::new(admission.connections)),
            per_address: admission.per_address,
            inside: Arc::default(),
        }
    }

    fn admit(&self, address: IpAddr) -> Option<Pass> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let Some(limit) = self.per_address.filter(|_| !address.is_loopback()) else {
            return Some(Pass { _place: place, counted: None });
        };
        let household = household(address);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.entry(household).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Pass { _place: place, counted: Some((household, Arc::clone(&self.inside))) })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some((household, inside)) = &self.counted else { return };
        let mut inside = inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(household) {
            *count -= 1;
            if *count == 0 {
                inside.remove(household);
            }
        }
    }
}

/// One subscriber of a network: an IPv6 customer owns a whole /64 and could use every address of it.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) & (u128::MAX << 64)).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

    use super::*;

    fn porter(connections: usize, per_address: Option<usize>) -> Porter {
        Porter::new(Admission { connections, per_address })
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let porter = porter(10, Some(2));
        let greedy: IpAddr = "192.0.2.1".parse().unwrap();
        let passes: Vec<_> = (0..2).map(|_| porter.admit(greedy).unwrap()).collect();
        assert!(porter.admit(greedy).is_none());
        assert!(porter.admit("192.0.2.2".parse().unwrap()).is_some());
        drop(passes);
        assert!(porter.admit(greedy).is_some());
        assert!(porter.inside.lock().unwrap().is_empty(), "nobody is inside, nothing is remembered");
    }

    #[test]
    fn an_ipv6_customer_counts_as_one_whatever_address_it_uses() {
        let porter = porter(10, Some(1));
        let _pass = porter.admit("2001:db8:0:1::1".parse().unwrap()).unwrap();
        assert!(porter.admit("2001:db8:0:1:ffff::2".parse().unwrap()).is_none());
        assert!(porter.admit("2001:db8:0:2::1".parse().unwrap()).is_some());
    }

    #[test]
    fn a_full_house_refuses_everybody_even_loopback() {
        let porter = porter(1, None);
        let pass = porter.admit("127.0.0.1".parse().unwrap()).unwrap();
        assert!(porter.admit("127.0.0.1".parse().unwrap()).is_none());
        drop(pass);
        assert!(porter.admit("127.0.0.1".parse().unwrap()).is_some());
    }

    #[test]
    fn the_redirect_goes_to_the_same_place_and_never_elsewhere() {
        let target = |host: &str, uri: &str| {
            let request = Request::builder().uri(uri).header(HOST, host).body(Body::empty()).unwrap();
            https_target(&request).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(target("pc.local:8080", "/join/abc?x=1").as_deref(), Some("https://pc.local:8080/join/abc?x=1"));
        assert_eq!(target("[fd00::1]:8080", "/").as_deref(), Some("https://[fd00::1]:8080/"));
        assert_eq!(target("user@evil.example", "/"), None);
        assert_eq!(target("a/b", "/"), None);
        assert_eq!(target("", "/"), None);
    }
}
