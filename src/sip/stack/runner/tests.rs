//! The shell over real sockets of this machine: two stacks against each other by each transport, and strangers.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use rcgen::{CertifiedIssuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::stack::handle::{Call, CallEvent, Incoming, Stack};
use crate::stack::news::{Ended, Failure, Order, Party};
use crate::stack::path::{Transport, TrunkId};
use crate::stack::runner::{Config, Limits, StartError, TlsError, tls};
use crate::stack::trunk::{Identity, Listen, ServerTls, Trunk, TrunkTls};

const TRUNK: TrunkId = TrunkId(0);
const ANY: &str = "127.0.0.1:0";

fn any() -> SocketAddr {
    ANY.parse().expect("an address")
}

/// A free port, for two sides that must know each other's before they start.
async fn free(transport: Transport) -> SocketAddr {
    match transport {
        Transport::Udp => UdpSocket::bind(any()).await.and_then(|socket| socket.local_addr()),
        _ => TcpListener::bind(any()).await.and_then(|listener| listener.local_addr()),
    }
    .expect("a free port")
}

/// What a test must not wait for longer.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("does not take for ever")
}

/// An authority and two certificates of it.
struct Certificates {
    ca: Vec<u8>,
    good: Identity,
    other: Identity,
}

fn certificates() -> Certificates {
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signs");
    let identity = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &ca).expect("signs");
        Identity { chain: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes().into() }
    };
    Certificates { good: identity("sip.test"), other: identity("other.test"), ca: ca.pem().into_bytes() }
}

/// One side's configuration: it listens at `here`, and its trunk is at `there`.
fn config(transport: Transport, here: SocketAddr, there: SocketAddr, certificates: &Certificates) -> Config {
    let mut trunk = Trunk::new("test", transport, "127.0.0.1", there.port());
    let mut listen = Listen::default();
    match transport {
        Transport::Udp => listen.udp = Some(here),
        Transport::Tcp => listen.tcp = Some(here),
        Transport::Tls => {
            let client_ca = Some(certificates.ca.clone());
            listen.tls = Some((here, ServerTls { identity: certificates.good.clone(), client_ca }));
            let (ca, identity) = (Some(certificates.ca.clone()), Some(certificates.good.clone()));
            trunk.tls = TrunkTls { server_name: Some("sip.test".to_owned()), ca, identity };
            trunk.domain = Some("sip.test".to_owned());
        }
    }
    Config { listen, trunks: vec![trunk], limits: Limits::default() }
}

async fn pair(transport: Transport) -> [(Stack, mpsc::Receiver<Incoming>); 2] {
    let certificates = certificates();
    let (one, two) = (free(transport).await, free(transport).await);
    let first = Stack::start(config(transport, one, two, &certificates)).await.expect("starts");
    let second = Stack::start(config(transport, two, one, &certificates)).await.expect("starts");
    [first, second]
}

fn order() -> Order {
    let caller = Party { number: Some("+4930123".to_owned()), display: Some("Ada".to_owned()) };
    Order { trunk: TRUNK, number: "+4940555".to_owned(), caller, offer: "offer".to_owned() }
}

async fn until_answered(call: &mut Call) -> String {
    loop {
        match soon(call.next()).await {
            Some(CallEvent::Answered(sdp)) => return sdp,
            Some(CallEvent::Trying | CallEvent::Ringing | CallEvent::Early(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn a_call_goes_through(transport: Transport) {
    let [(caller, _), (callee, mut incoming)] = pair(transport).await;
    let mut out = soon(caller.call(order())).await.expect("runs");
    let mut arrived = soon(incoming.recv()).await.expect("a call comes in");
    assert_eq!(arrived.offer.as_deref(), Some("offer"));
    assert_eq!(arrived.called, ["+4940555"]);
    assert_eq!(arrived.from.number.as_deref(), Some("+4930123"));
    arrived.call.ring().await.expect("runs");
    arrived.call.progress("early".to_owned()).await.expect("runs");
    arrived.call.accept("answer".to_owned()).await.expect("runs");
    assert_eq!(until_answered(&mut out).await, "answer");
    assert!(matches!(soon(arrived.call.next()).await, Some(CallEvent::Acknowledged { answer: None })));
    assert_eq!(callee.trunk(TRUNK).expect("there is one").borrow().sessions, 1);
    out.hang_up().await.expect("runs");
    assert!(matches!(soon(arrived.call.next()).await, Some(CallEvent::Ended(Ended::HungUp))));
    assert!(soon(arrived.call.next()).await.is_none());
    soon(caller.leave(Duration::from_secs(15))).await;
    soon(callee.leave(Duration::from_secs(15))).await;
}

#[tokio::test]
async fn a_call_goes_through_by_udp() {
    a_call_goes_through(Transport::Udp).await;
}

#[tokio::test]
async fn a_call_goes_through_by_tcp() {
    a_call_goes_through(Transport::Tcp).await;
}

#[tokio::test]
async fn a_call_goes_through_by_tls_with_certificates_on_both_sides() {
    a_call_goes_through(Transport::Tls).await;
}

#[tokio::test]
async fn with_nothing_configured_nothing_is_opened() {
    let (stack, _incoming) = Stack::start(Config::default()).await.expect("starts");
    assert_eq!(stack.addresses(), crate::stack::Addresses::default());
}

#[tokio::test]
async fn listening_at_all_addresses_needs_a_host_to_be_named_by() {
    let all = "0.0.0.0:0".parse().expect("an address");
    let listen = |advertised: Option<&str>| Listen {
        udp: Some(all),
        advertised: advertised.map(str::to_owned),
        ..Listen::default()
    };
    let config = |advertised| Config { listen: listen(advertised), ..Config::default() };
    assert!(matches!(Stack::start(config(None)).await.map(|_| ()), Err(StartError::NoHost(at)) if at == all));
    assert!(Stack::start(config(Some("sip.test"))).await.is_ok());
}

#[tokio::test]
async fn a_trunk_whose_certificate_has_another_name_is_not_called() {
    let certificates = certificates();
    let (one, two) = (free(Transport::Tls).await, free(Transport::Tls).await);
    let mut callee = config(Transport::Tls, two, one, &certificates);
    if let Some((_, tls)) = callee.listen.tls.as_mut() {
        tls.identity = certificates.other.clone();
    }
    let (_callee, mut incoming) = Stack::start(callee).await.expect("starts");
    let (caller, _incoming) = Stack::start(config(Transport::Tls, one, two, &certificates)).await.expect("starts");
    let mut call = soon(caller.call(order())).await.expect("runs");
    assert!(matches!(soon(call.next()).await, Some(CallEvent::Failed(Failure { code: 503, .. }))));
    assert!(incoming.try_recv().is_err());
}

#[tokio::test]
async fn a_domain_that_our_certificate_is_not_for_is_refused_at_start() {
    let certificates = certificates();
    let mut config = config(Transport::Tls, any(), any(), &certificates);
    config.trunks.iter_mut().for_each(|trunk| trunk.domain = Some("else.test".to_owned()));
    let refused = Stack::start(config).await.map(|_| ());
    assert!(matches!(refused, Err(StartError::TrunkTls(TlsError::Domain, _))), "{refused:?}");
}

#[tokio::test]
async fn a_client_without_a_certificate_gets_no_further_than_the_handshake() {
    let certificates = certificates();
    let (one, two) = (free(Transport::Tls).await, free(Transport::Tls).await);
    let (_callee, mut incoming) = Stack::start(config(Transport::Tls, two, one, &certificates)).await.expect("starts");
    let mut bare = config(Transport::Tls, one, two, &certificates);
    bare.trunks.iter_mut().for_each(|trunk| trunk.tls.identity = None);
    let (caller, _incoming) = Stack::start(bare).await.expect("starts");
    let mut call = soon(caller.call(order())).await.expect("runs");
    assert!(matches!(soon(call.next()).await, Some(CallEvent::Failed(Failure { code: 503, .. }))));
    assert!(incoming.try_recv().is_err());
}

/// How a handshake of `trunk` with `identity` fails; without one, with something that speaks no TLS.
async fn failing(trunk: &Trunk, identity: Option<Identity>) -> String {
    let (config, name) = tls::client(trunk).expect("is configured");
    let (near, mut far) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        match identity {
            Some(identity) => {
                let server = tls::server(&ServerTls { identity, client_ca: None }).expect("is configured");
                let _ = tokio_rustls::TlsAcceptor::from(server).accept(far).await;
            }
            None => far.write_all(b"SIP/2.0 400 Bad Request\r\n\r\n").await.expect("writes"),
        }
    });
    let failed = tokio_rustls::TlsConnector::from(config).connect(name, near).await.map(|_| ());
    tls::advice(&failed.expect_err("no TLS")).to_owned()
}

#[tokio::test]
async fn of_a_handshake_that_fails_an_operator_hears_which_setting_to_look_at() {
    let Certificates { ca, good, other } = certificates();
    let key = KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["sip.test".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("signs").pem().into_bytes();
    let own = Identity { chain: authority.clone(), key: key.serialize_pem().into_bytes().into() };
    let trunk = |ca: &[u8]| {
        let mut trunk = Trunk::new("test", Transport::Tls, "127.0.0.1", 9);
        trunk.tls = TrunkTls { server_name: Some("sip.test".to_owned()), ca: Some(ca.to_vec()), identity: None };
        trunk
    };
    for (ca, identity, setting) in [
        (&ca, Some(other), "tls_server_name"),
        (&authority, Some(good), "tls_ca"),
        (&authority, Some(own), "basicConstraints=CA:FALSE"),
        (&ca, None, "is it TLS"),
    ] {
        let advice = failing(&trunk(ca), identity).await;
        assert!(advice.contains(setting), "{setting}: {advice}");
    }
}

fn options(number: u32) -> String {
    format!(
        "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{number};rport\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:x@127.0.0.1>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

async fn alone(transport: Transport, sources: &str, limits: Limits) -> (Stack, mpsc::Receiver<Incoming>) {
    let mut config = config(transport, any(), any(), &certificates());
    config.trunks.iter_mut().for_each(|trunk| {
        trunk.sources = vec![sources.parse().expect("a source")];
        // Port 9 of this machine: nobody is there, and our own OPTIONS disturb nobody.
        trunk.port = 9;
    });
    Stack::start(Config { limits, ..config }).await.expect("starts")
}

#[tokio::test]
async fn a_stranger_by_datagram_gets_silence_and_a_trunk_gets_an_answer() {
    let mut buffer = [0; 2000];
    for (sources, answered) in [("192.0.2.1", false), ("127.0.0.0/8", true)] {
        let (stack, _incoming) = alone(Transport::Udp, sources, Limits::default()).await;
        let peer = UdpSocket::bind(any()).await.expect("binds");
        peer.send_to(options(1).as_bytes(), stack.addresses().udp.expect("listens")).await.expect("sends");
        // Silence is what a stranger gets; half a second of it is enough, for an answer takes less than one millisecond.
        let patience = Duration::from_millis(if answered { 20_000 } else { 500 });
        let got = timeout(patience, peer.recv_from(&mut buffer)).await;
        assert_eq!(got.is_ok(), answered, "{sources}");
        if answered {
            assert!(buffer.starts_with(b"SIP/2.0 200 OK\r\n"));
        }
    }
}

#[tokio::test]
async fn a_socket_for_both_families_answers_ipv4() {
    let mut config = config(Transport::Udp, any(), any(), &certificates());
    config.listen = Listen { udp: "[::]:0".parse().ok(), advertised: Some("sip.test".to_owned()), ..Listen::default() };
    let (stack, _incoming) = Stack::start(config).await.expect("starts");
    let peer = UdpSocket::bind(any()).await.expect("binds");
    let port = stack.addresses().udp.expect("listens").port();
    peer.send_to(options(1).as_bytes(), ("127.0.0.1", port)).await.expect("sends");
    let mut buffer = [0; 2000];
    let (length, _) = soon(peer.recv_from(&mut buffer)).await.expect("comes");
    let text = String::from_utf8_lossy(buffer.get(..length).expect("in range")).into_owned();
    assert!(text.contains("received=127.0.0.1"), "{text}");
}

#[tokio::test]
async fn a_stranger_by_stream_is_hung_up_on_before_anything_is_read() {
    let (stack, _incoming) = alone(Transport::Tcp, "192.0.2.1", Limits::default()).await;
    let mut peer = TcpStream::connect(stack.addresses().tcp.expect("listens")).await.expect("connects");
    let mut buffer = Vec::new();
    let read = soon(peer.read_to_end(&mut buffer)).await;
    assert!(matches!(read, Ok(0) | Err(_)) && buffer.is_empty());
}

#[tokio::test]
async fn a_stream_may_come_in_pieces_and_is_pinged_on() {
    let (stack, _incoming) = alone(Transport::Tcp, "127.0.0.1", Limits::default()).await;
    let mut peer = TcpStream::connect(stack.addresses().tcp.expect("listens")).await.expect("connects");
    peer.write_all(b"\r\n\r\n").await.expect("writes");
    let mut pong = [0; 2];
    soon(peer.read_exact(&mut pong)).await.expect("reads");
    assert_eq!(&pong, b"\r\n");
    let two = format!("{}\r\n{}", options(1), options(2));
    for piece in two.as_bytes().chunks(7) {
        peer.write_all(piece).await.expect("writes");
        peer.flush().await.expect("flushes");
    }
    let mut text = String::new();
    while text.matches("SIP/2.0 200 OK").count() < 2 {
        let mut buffer = [0; 1000];
        let length = soon(peer.read(&mut buffer)).await.expect("reads");
        assert!(length > 0, "the connection stays open");
        text.push_str(&String::from_utf8_lossy(buffer.get(..length).expect("in range")));
    }
    // What cannot be followed any further is closed.
    peer.write_all(b"INVITE x SIP/2.0\r\nContent-Length: x\r\n\r\n").await.expect("writes");
    let mut rest = Vec::new();
    assert!(soon(peer.read_to_end(&mut rest)).await.is_ok());
}

#[tokio::test]
async fn a_trunk_opens_so_many_connections_and_no_more() {
    let (stack, _incoming) = alone(Transport::Tcp, "127.0.0.1", Limits { connections: 2, ..Limits::default() }).await;
    let mut open = Vec::new();
    for number in 0..3 {
        let mut peer = TcpStream::connect(stack.addresses().tcp.expect("listens")).await.expect("connects");
        // One beyond the bound may be cut before it writes.
        let _ = peer.write_all(b"\r\n\r\n").await;
        let mut pong = [0; 2];
        assert_eq!(soon(peer.read_exact(&mut pong)).await.is_ok(), number < 2, "{number}");
        open.push(peer);
    }
}

#[tokio::test]
async fn a_connection_without_its_handshake_counts_as_one() {
    let (stack, _incoming) = alone(Transport::Tls, "127.0.0.1", Limits { connections: 2, ..Limits::default() }).await;
    let mut open = Vec::new();
    for number in 0..3 {
        let mut peer = TcpStream::connect(stack.addresses().tls.expect("listens")).await.expect("connects");
        // One that waits for a handshake stays open for eight seconds.
        let cut = timeout(Duration::from_millis(if number < 2 { 300 } else { 5_000 }), peer.read_u8()).await.is_ok();
        assert_eq!(cut, number == 2, "{number}");
        open.push(peer);
    }
}

#[tokio::test]
async fn a_flood_is_cut_to_its_rate() {
    let rate = NonZeroU32::new(5).expect("not 0");
    let (stack, _incoming) = alone(Transport::Udp, "127.0.0.1", Limits { per_trunk: rate, ..Limits::default() }).await;
    let peer = UdpSocket::bind(any()).await.expect("binds");
    let at = stack.addresses().udp.expect("listens");
    for number in 0..200 {
        peer.send_to(options(number).as_bytes(), at).await.expect("sends");
    }
    let mut answers = 0;
    let mut buffer = [0; 2000];
    while timeout(Duration::from_millis(300), peer.recv_from(&mut buffer)).await.is_ok() {
        answers += 1;
    }
    assert!((5..40).contains(&answers), "{answers}");
}

#[tokio::test]
async fn a_call_that_nobody_holds_is_ended() {
    let [(caller, _), (_callee, mut incoming)] = pair(Transport::Udp).await;
    let mut out = soon(caller.call(order())).await.expect("runs");
    drop(soon(incoming.recv()).await.expect("a call comes in"));
    loop {
        match soon(out.next()).await {
            Some(CallEvent::Failed(failure)) => break assert_eq!(failure.code, 480),
            Some(_) => {}
            None => panic!("ends with a reason"),
        }
    }
}

#[tokio::test]
async fn a_call_dropped_by_the_callee_ends_for_the_caller() {
    let [(caller, _), (_callee, mut incoming)] = pair(Transport::Udp).await;
    let mut out = soon(caller.call(order())).await.expect("runs");
    let mut arrived = soon(incoming.recv()).await.expect("a call comes in");
    arrived.call.accept("answer".to_owned()).await.expect("runs");
    until_answered(&mut out).await;
    assert!(matches!(soon(arrived.call.next()).await, Some(CallEvent::Acknowledged { .. })));
    drop(arrived);
    assert!(matches!(soon(out.next()).await, Some(CallEvent::Ended(Ended::HungUp))));
}

/// A peer by hand, for what our own side never does.
struct Hand {
    socket: UdpSocket,
    port: u16,
}

impl Hand {
    async fn at(stack: &Stack) -> Self {
        let socket = UdpSocket::bind(any()).await.expect("binds");
        socket.connect(stack.addresses().udp.expect("listens")).await.expect("connects");
        let port = socket.local_addr().expect("has one").port();
        Self { socket, port }
    }

    /// A request of a call; `tag`: ours, once it is known.
    async fn send(&self, method: &str, call: &str, number: u32, tag: &str, sdp: &str) {
        let (port, length) = (self.port, sdp.len());
        let text = format!(
            "{method} sip:+4940@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{method}{call}{number};rport\r\n\
             From: <sip:+4989@b>;tag=1\r\nTo: <sip:+4940@127.0.0.1>{tag}\r\nCall-ID: {call}\r\nCSeq: {number} {method}\r\n\
             Contact: <sip:a@127.0.0.1:{port}>\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{sdp}"
        );
        self.socket.send(text.as_bytes()).await.expect("sends");
    }

    async fn next(&self) -> String {
        let mut buffer = [0; 4000];
        let length = soon(self.socket.recv(&mut buffer)).await.expect("comes");
        String::from_utf8_lossy(buffer.get(..length).expect("in range")).into_owned()
    }

    /// The next answer that is not provisional.
    async fn answer(&self) -> String {
        loop {
            let text = self.next().await;
            if text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 1") {
                return text;
            }
        }
    }

    /// Calls, and returns our tag when the call is answered and acknowledged.
    async fn call(&self, incoming: &mut mpsc::Receiver<Incoming>) -> (Incoming, String) {
        self.send("INVITE", "c", 1, "", "offer").await;
        let mut arrived = soon(incoming.recv()).await.expect("a call comes in");
        arrived.call.accept("answer".to_owned()).await.expect("runs");
        let ok = self.answer().await;
        let to = ok.lines().find_map(|line| line.strip_prefix("To: ")).expect("has one");
        let tag = to.split_once(";tag=").map(|(_, tag)| format!(";tag={tag}")).expect("has one");
        self.send("ACK", "c", 1, &tag, "").await;
        assert!(matches!(soon(arrived.call.next()).await, Some(CallEvent::Acknowledged { answer: None })));
        (arrived, tag)
    }
}

#[tokio::test]
async fn a_change_is_answered_and_refused_when_nobody_answers_it() {
    let (stack, mut incoming) = alone(Transport::Udp, "127.0.0.1", Limits::default()).await;
    let hand = Hand::at(&stack).await;
    let (mut arrived, tag) = hand.call(&mut incoming).await;

    hand.send("INVITE", "c", 2, &tag, "hold").await;
    let Some(CallEvent::Changed(changed)) = soon(arrived.call.next()).await else { panic!("a change comes") };
    assert_eq!(changed.offer.as_deref(), Some("hold"));
    changed.reply.accept("held".to_owned()).await.expect("runs");
    assert!(hand.answer().await.ends_with("\r\n\r\nheld"));
    hand.send("ACK", "c", 2, &tag, "").await;
    assert!(matches!(soon(arrived.call.next()).await, Some(CallEvent::Acknowledged { .. })));

    hand.send("INVITE", "c", 3, &tag, "video").await;
    drop(soon(arrived.call.next()).await);
    assert!(hand.answer().await.starts_with("SIP/2.0 488 "));
}

#[tokio::test]
async fn a_call_whose_holder_sleeps_is_ended_when_its_events_overflow() {
    let (stack, mut incoming) = alone(Transport::Udp, "127.0.0.1", Limits::default()).await;
    let hand = Hand::at(&stack).await;
    let (_asleep, tag) = hand.call(&mut incoming).await;
    for number in 2..80 {
        hand.send("INFO", "c", number, &tag, "").await;
        if hand.next().await.starts_with("BYE ") {
            return;
        }
    }
    panic!("the call goes on");
}

#[tokio::test]
async fn calls_that_nobody_takes_are_refused_beyond_a_bound() {
    let (stack, _incoming) = alone(Transport::Udp, "127.0.0.1", Limits::default()).await;
    let hand = Hand::at(&stack).await;
    for call in 0..=crate::stack::handle::INCOMING {
        hand.send("INVITE", &format!("c{call}"), 1, "", "offer").await;
        assert!(hand.next().await.starts_with("SIP/2.0 100 "));
    }
    assert!(hand.answer().await.starts_with("SIP/2.0 503 "));
}
