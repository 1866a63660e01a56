//! The accept loop from outside, over real sockets: one port for HTTP and HTTPS, and patience with nobody.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, Request};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use signaling::door::accept::{Admission, Door, Place, PlainPolicy, Scheme, serve};
use signaling::door::tls::{Certificate, TlsError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

const MANY: Admission = Admission { connections: 100, per_address: None };

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
}

/// `/who` tells how the request came; `/slow` answers when `release` is notified; `/socket` goes on after HTTP.
fn router(started: &Arc<Notify>, release: &Arc<Notify>) -> Router {
    let (started, release) = (Arc::clone(started), Arc::clone(release));
    Router::new()
        .route(
            "/who",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>, Extension(scheme): Extension<Scheme>| async move {
                format!("{scheme:?} {}", peer.ip())
            }),
        )
        .route(
            "/slow",
            get(move || async move {
                started.notify_one();
                release.notified().await;
                "done"
            }),
        )
        .route("/socket", get(upgrade))
}

/// Leaves HTTP and stays until the other side hangs up.
async fn upgrade(Extension(place): Extension<Place>, mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
        let _ = stream.read(&mut [0]).await;
        drop(place);
    });
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    response.header("connection", "upgrade").header("upgrade", "websocket").body(Body::empty()).unwrap()
}

async fn start_with(
    router: Router,
    tls: Option<&Arc<Certificate>>,
    plain: PlainPolicy,
    admission: Admission,
) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let tls = tls.map(|certificate| certificate.server_config().unwrap());
    let door = Door { listeners: vec![listener], tls, plain, router, admission };
    let ended = tokio::spawn(serve(door, shutdown.clone()));
    Running { address, shutdown, ended }
}

async fn start(tls: Option<&Arc<Certificate>>, plain: PlainPolicy) -> Running {
    start_with(router(&Arc::default(), &Arc::default()), tls, plain, MANY).await
}

fn make_pair(directory: &Path, serial: u64) -> Arc<Certificate> {
    write_pair(directory, serial);
    Certificate::load(directory.join("crt"), directory.join("key")).unwrap()
}

fn write_pair(directory: &Path, serial: u64) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.serial_number = Some(serial.into());
    std::fs::write(directory.join("crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(directory.join("key"), key.serialize_pem()).unwrap();
}

/// Connects by TLS, trusting exactly the certificate in `directory`.
async fn secured(address: SocketAddr, directory: &Path, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("crt")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Sends one request that asks for the end of the connection and returns all that comes.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, host: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that does not send close_notify after "Connection: close" has still answered.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn plain_http_is_served_with_the_peers_address() {
    let server = start(None, PlainPolicy::Serve).await;
    let answer = ask(TcpStream::connect(server.address).await.unwrap(), "/who", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("Http 127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn http_and_https_share_one_port() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = make_pair(directory.path(), 1);
    let server = start(Some(&certificate), PlainPolicy::RedirectToHttps).await;

    let https = secured(server.address, directory.path(), &["http/1.1"]).await.unwrap();
    let answer = ask(https, "/who", "localhost").await;
    assert!(answer.ends_with("Https 127.0.0.1"), "{answer}");

    let plain = TcpStream::connect(server.address).await.unwrap();
    let answer = ask(plain, "/join/abc?from=mail", "desk.local:8080").await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 308"), "{answer}");
    assert!(answer.contains("\r\nlocation: https://desk.local:8080/join/abc?from=mail\r\n"), "{answer}");
}

#[tokio::test]
async fn a_browser_that_offers_http2_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = make_pair(directory.path(), 1);
    let server = start(Some(&certificate), PlainPolicy::RedirectToHttps).await;
    let mut stream = secured(server.address, directory.path(), &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // Preface and empty SETTINGS (RFC 9113 §3.4); the server's first frame must be SETTINGS, type 4.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0_u8; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4);
}

#[tokio::test]
async fn a_websocket_is_upgraded_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = make_pair(directory.path(), 1);
    let server = start(Some(&certificate), PlainPolicy::RedirectToHttps).await;
    let mut stream = secured(server.address, directory.path(), &["http/1.1"]).await.unwrap();
    let request = "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0_u8; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

#[tokio::test]
async fn a_websocket_keeps_its_place_until_it_ends() {
    let only_one = Admission { connections: 1, per_address: None };
    let routes = router(&Arc::default(), &Arc::default());
    let server = start_with(routes, None, PlainPolicy::Serve, only_one).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket
        .write_all(b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0_u8; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    for _ in 0..3 {
        let mut refused = TcpStream::connect(server.address).await.unwrap();
        until_closed(&mut refused).await;
    }
    drop(socket);
    let asked = async {
        loop {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let mut answer = [0_u8; 12];
            // A connection that is refused may be reset in any of these.
            if stream.write_all(b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n").await.is_ok()
                && stream.read_exact(&mut answer).await.is_ok()
            {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_too_little_is_shown_out() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = make_pair(directory.path(), 1);
    let server = start(Some(&certificate), PlainPolicy::Serve).await;
    for opening in [&b""[..], b"GET / HTT", b"POST /who HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"\x16\x03\x01\x02"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(opening).await.unwrap();
        let begun = tokio::time::Instant::now();
        until_closed(&mut stream).await;
        assert!(begun.elapsed() <= Duration::from_secs(11), "{opening:?} was tolerated for {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_without_a_request_is_shown_out() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = make_pair(directory.path(), 1);
    let server = start(Some(&certificate), PlainPolicy::Serve).await;
    let mut stream = secured(server.address, directory.path(), &["h2"]).await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn other_protocols_are_closed_and_disturb_nobody() {
    let server = start(None, PlainPolicy::Serve).await;
    for opening in [&[0x16_u8, 3, 1][..], &[0x00, 0x01], b"\r\n\r\n", &[0xff; 64]] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(opening).await.unwrap();
        assert!(until_closed(&mut stream).await.is_empty());
    }
    let answer = ask(TcpStream::connect(server.address).await.unwrap(), "/who", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn malformed_http_is_answered_by_400() {
    let server = start(None, PlainPolicy::Serve).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /\x01 HTTP/9.9\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut stream).await.starts_with(b"HTTP/1.1 400"));
}

#[tokio::test]
async fn a_full_house_closes_newcomers_until_somebody_leaves() {
    let admission = Admission { connections: 1, per_address: None };
    let server = start_with(router(&Arc::default(), &Arc::default()), None, PlainPolicy::Serve, admission).await;
    let mut inside = TcpStream::connect(server.address).await.unwrap();
    inside.write_all(b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    inside.read_exact(&mut [0_u8; 12]).await.unwrap();
    let mut refused = TcpStream::connect(server.address).await.unwrap();
    assert!(until_closed(&mut refused).await.is_empty());
    drop(inside);
    // The place is free as soon as the server noticed; each try before that is refused like the one above.
    loop {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(b"GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        if until_closed(&mut stream).await.starts_with(b"HTTP/1.1 200") {
            break;
        }
    }
}

#[tokio::test]
async fn an_answer_under_way_is_finished_at_shutdown_and_newcomers_are_refused() {
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = start_with(router(&started, &release), None, PlainPolicy::Serve, MANY).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let asking = tokio::spawn(ask(stream, "/slow", "localhost"));
    started.notified().await;
    server.shutdown.cancel();
    release.notify_one();
    let answer = asking.await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    server.ended.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_cut_at_shutdown() {
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = start_with(router(&started, &release), None, PlainPolicy::Serve, MANY).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let asking = tokio::spawn(ask(stream, "/slow", "localhost"));
    started.notified().await;
    let begun = tokio::time::Instant::now();
    server.shutdown.cancel();
    server.ended.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(asking.await.unwrap(), "");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart_and_a_broken_one_never() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = make_pair(directory.path(), 1);
    let server = start(Some(&certificate), PlainPolicy::Serve).await;
    assert!(!certificate.reload().unwrap(), "nothing changed yet");

    let old = std::fs::read(directory.path().join("crt")).unwrap();
    std::fs::write(directory.path().join("crt"), "half a file").unwrap();
    assert!(matches!(certificate.reload(), Err(TlsError::Certificate { .. })));
    std::fs::write(directory.path().join("crt"), old).unwrap();
    secured(server.address, directory.path(), &[]).await.expect("the old one is still served");

    write_pair(directory.path(), 2);
    assert!(certificate.reload().unwrap());
    secured(server.address, directory.path(), &[]).await.expect("the new one is served");
}

#[test]
fn a_key_of_another_certificate_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    write_pair(directory.path(), 1);
    std::fs::write(directory.path().join("other"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = Certificate::load(directory.path().join("crt"), directory.path().join("other")).unwrap_err();
    assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
    let error = Certificate::load(directory.path().join("none"), directory.path().join("key")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}
