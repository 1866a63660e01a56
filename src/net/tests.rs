//! The socket against the real kernel, on loopback addresses. Loopback delivers within the send call, so most tests
//! need not wait at all; the others wait for the socket to become readable.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn peer(address: &str) -> UdpSocket {
    let peer = UdpSocket::bind(address).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer
}

fn to(address: &str, socket: &Socket) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().unwrap(), socket.port())
}

/// Receives until `count` datagrams have come.
fn take(socket: &Socket, batch: &mut ReceiveBatch, count: usize) -> Vec<(Arrival, Vec<u8>)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let before = seen.len();
        wait_readable(socket, None, Some(PATIENCE)).unwrap();
        socket.receive(batch, |arrival: Arrival, bytes| seen.push((arrival, bytes.to_vec()))).unwrap();
        assert!(seen.len() > before, "only {before} of {count} datagrams came");
    }
    seen
}

/// The datagram that a plain socket gets next.
fn next(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 65_536];
    let (len, from) = peer.recv_from(&mut buffer).unwrap();
    (buffer[..len].to_vec(), from)
}

fn no_failure(train: usize, failure: SendFailure) {
    unreachable!("train {train}: {failure:?}");
}

/// Bytes whose place can be told from their value.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 7) as u8).collect()
}

fn answered_from_where_it_was_sent_to(bind: &str, ours: &str, theirs: &str) {
    let socket = Socket::bind(bind.parse().unwrap()).unwrap();
    let peer = peer(theirs);
    let target = to(ours, &socket);
    peer.send_to(b"hello", target).unwrap();
    let (arrival, bytes) = take(&socket, &mut ReceiveBatch::new(), 1).remove(0);
    assert_eq!(bytes, b"hello");
    assert_eq!(arrival.route, Route { local: Some(target.ip()), remote: peer.local_addr().unwrap() });

    assert!(socket.send(arrival.route, b"alone").unwrap());
    assert_eq!(next(&peer), (b"alone".to_vec(), target));
    let train = Train { route: arrival.route, start: 0, len: 8, segment: 4 };
    socket.send_trains(&mut SendBatch::new(), &[train], b"trainend", no_failure);
    assert_eq!(next(&peer), (b"trai".to_vec(), target));
    assert_eq!(next(&peer), (b"nend".to_vec(), target));
}

#[test]
fn a_datagram_is_answered_from_the_address_it_was_sent_to() {
    // 127.0.0.2 is ours as well; without packet information the kernel would answer from 127.0.0.1.
    answered_from_where_it_was_sent_to("0.0.0.0:0", "127.0.0.2", "127.0.0.1:0");
    answered_from_where_it_was_sent_to("127.0.0.2:0", "127.0.0.2", "127.0.0.1:0");
    answered_from_where_it_was_sent_to("0.0.0.0:0", "::1", "[::1]:0");
    answered_from_where_it_was_sent_to("[::1]:0", "::1", "[::1]:0");
}

#[test]
fn a_port_in_use_is_refused_with_its_number() {
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let error = Socket::bind(taken).unwrap_err();
    assert!(error.to_string().contains(&taken.port().to_string()), "{error}");
}

#[test]
fn a_train_arrives_as_separate_datagrams_with_and_without_segmentation() {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let peers = [peer("127.0.0.1:0"), peer("127.0.0.1:0")];
    let bytes = pattern(20_000);
    let mut batch = SendBatch::new();
    for _ in 0..2 {
        let trains: Vec<Train> = [(100, 3_000, 1_200), (5_000, 500, 500)]
            .into_iter()
            .zip(&peers)
            .map(|((start, len, segment), peer)| {
                let route = Route { local: None, remote: peer.local_addr().unwrap() };
                Train { route, start, len, segment }
            })
            .collect();
        socket.send_trains(&mut batch, &trains, &bytes, no_failure);
        assert_eq!(next(&peers[0]).0, bytes[100..1_300]);
        assert_eq!(next(&peers[0]).0, bytes[1_300..2_500]);
        assert_eq!(next(&peers[0]).0, bytes[2_500..3_100]);
        assert_eq!(next(&peers[1]).0, bytes[5_000..5_500]);
        // Once more without.
        socket.stop_segmenting();
        assert!(!socket.features().segmentation);
    }
}

#[test]
fn a_train_is_split_by_its_stride_at_a_socket_that_coalesces() {
    let (from, socket) =
        (Socket::bind("[::1]:0".parse().unwrap()).unwrap(), Socket::bind("[::1]:0".parse().unwrap()).unwrap());
    assert!(socket.features().coalescing && from.features().segmentation);
    let bytes = pattern(60_000);
    let train =
        Train { route: Route { local: None, remote: to("::1", &socket) }, start: 0, len: 60_000, segment: 1_100 };
    from.send_trains(&mut SendBatch::new(), &[train], &bytes, no_failure);

    let mut batch = ReceiveBatch::new();
    let mut seen = Vec::new();
    // One buffer is enough for all 55 of them: they came as one.
    let filled = socket.receive(&mut batch, |_: Arrival, datagram| seen.push(datagram.to_vec())).unwrap();
    assert_eq!(filled, 1);
    assert_eq!(seen, bytes.chunks(1_100).collect::<Vec<_>>());
}

#[test]
fn trains_longer_than_the_kernel_takes_arrive_whole() {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let peer = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let bytes = pattern(100_000);
    let route = Route { local: None, remote: to("127.0.0.1", &peer) };
    let trains = [(100_000, 1_200), (9_050, 100)].map(|(len, segment)| Train { route, start: 0, len, segment });
    socket.send_trains(&mut SendBatch::new(), &trains, &bytes, no_failure);
    let seen: Vec<Vec<u8>> =
        take(&peer, &mut ReceiveBatch::new(), 84 + 91).into_iter().map(|(_, bytes)| bytes).collect();
    let expected: Vec<&[u8]> = bytes.chunks(1_200).chain(bytes[..9_050].chunks(100)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn shards_share_one_port_and_each_datagram_comes_to_one_of_them() {
    let group = Socket::bind_group("127.0.0.1:0".parse().unwrap(), 2).unwrap();
    assert_eq!(group[0].port(), group[1].port());
    // 64 senders: that the hash gives all of them to one socket does not happen.
    let peers: Vec<UdpSocket> = (0..64).map(|_| peer("127.0.0.1:0")).collect();
    for peer in &peers {
        peer.send_to(b"x", to("127.0.0.1", &group[0])).unwrap();
    }
    let counts = group.iter().map(|socket| {
        let mut batch = ReceiveBatch::new();
        let mut count = 0;
        while socket.receive(&mut batch, |_: Arrival, _| count += 1).unwrap() > 0 {}
        count
    });
    let counts: Vec<usize> = counts.collect();
    assert_eq!(counts.iter().sum::<usize>(), 64);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    // A second server does not get in.
    Socket::bind_group(to("127.0.0.1", &group[0]), 2).unwrap_err();
}

#[test]
fn a_closed_port_harms_no_other_train_of_the_call_nor_the_next() {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let open = peer("127.0.0.1:0");
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut batch = SendBatch::new();
    for _ in 0..3 {
        let trains = [closed, open.local_addr().unwrap(), closed, open.local_addr().unwrap()].map(|remote| Train {
            route: Route { local: None, remote },
            start: 0,
            len: 4,
            segment: 2,
        });
        socket.send_trains(&mut batch, &trains, b"abcd", no_failure);
        for part in ["ab", "cd", "ab", "cd"] {
            assert_eq!(next(&open).0, part.as_bytes());
        }
    }
    assert_eq!(socket.receive(&mut ReceiveBatch::new(), |_: Arrival, _| {}).unwrap(), 0);
}

#[test]
fn what_the_kernel_will_not_send_is_told_and_the_rest_is_sent() {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let open = peer("127.0.0.1:0");
    let route = |remote: &str| Route { local: None, remote: remote.parse().unwrap() };
    let good = Route { local: None, remote: open.local_addr().unwrap() };
    let foreign = Route { local: Some("192.0.2.1".parse().unwrap()), ..good };
    let bytes = pattern(70_000);
    // No broadcast without leave, no port 0, no IPv6 on an IPv4 socket, nothing from an address that is not ours, and
    // no datagram that is longer than UDP allows.
    let routes = [route("255.255.255.255:9"), route("127.0.0.1:0"), route("[::1]:9"), foreign, good];
    let mut trains: Vec<Train> = routes
        .into_iter()
        .flat_map(|route| [route, good].map(|route| Train { route, start: 0, len: 8, segment: 4 }))
        .collect();
    trains.push(Train { route: good, start: 0, len: 70_000, segment: 0 });
    let mut failures = Vec::new();
    socket.send_trains(&mut SendBatch::new(), &trains, &bytes, |train, failure| failures.push((train, failure)));
    assert_eq!(failures.iter().map(|(train, _)| *train).collect::<Vec<_>>(), [0, 2, 4, 6, 10]);
    assert_eq!(failures[0].1, SendFailure::Refused(io::ErrorKind::PermissionDenied));
    for _ in 0..6 {
        assert_eq!(next(&open).0, bytes[..4]);
        assert_eq!(next(&open).0, bytes[4..8]);
    }
    assert!(socket.features().segmentation, "one destination must not cost the others their trains");
}

#[test]
fn oversize_datagrams_are_dropped_and_counted_and_empty_ones_are_handed_out() {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let peer = peer("127.0.0.1:0");
    let mut batch = ReceiveBatch::new();
    for len in [DATAGRAM_MAX + 1, 60_000, 0, DATAGRAM_MAX] {
        peer.send_to(&pattern(len), to("127.0.0.1", &socket)).unwrap();
    }
    let lengths: Vec<usize> = take(&socket, &mut batch, 2).iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lengths, [0, DATAGRAM_MAX]);
    assert_eq!(batch.oversize(), 2);
}

#[test]
fn every_datagram_has_the_kernels_time() {
    let socket = Socket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    assert!(socket.features().timestamps);
    let before = received_now();
    let (v4, v6) = (peer("127.0.0.1:0"), peer("[::1]:0"));
    v4.send_to(b"4", to("127.0.0.1", &socket)).unwrap();
    v6.send_to(b"6", to("::1", &socket)).unwrap();
    for (arrival, _) in take(&socket, &mut ReceiveBatch::new(), 2) {
        let received = arrival.received.unwrap();
        assert!(received_now().since(received) < Duration::from_secs(1));
        assert!(received.since(before) < Duration::from_secs(1));
    }
}

#[test]
fn what_does_not_fit_into_the_receive_buffer_is_counted() {
    let mut socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.raw_mut().set_recv_buffer_size(1).unwrap();
    assert!(socket.features().drop_counter);
    assert_eq!(socket.drops(), 0);
    let peer = peer("127.0.0.1:0");
    for _ in 0..100 {
        peer.send_to(&[0; 1_000], to("127.0.0.1", &socket)).unwrap();
    }
    let mut came = 0;
    let mut batch = ReceiveBatch::new();
    while socket.receive(&mut batch, |_: Arrival, _| came += 1).unwrap() > 0 {}
    assert!(came < 100);
    assert_eq!(socket.drops(), 100 - came);
    assert_eq!(socket.drops(), 100 - came, "asking twice counts once");
}

#[test]
fn the_kernel_grants_larger_buffers_than_it_gives_unasked() {
    let plain = socket2::Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    let (receive, send) = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap().buffers();
    assert!(receive > plain.recv_buffer_size().unwrap());
    assert!(send > plain.send_buffer_size().unwrap());
}

#[test]
fn a_batch_may_move_between_calls_and_threads() {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let peer = peer("127.0.0.1:0");
    let (mut receive, mut send) = (ReceiveBatch::new(), SendBatch::new());
    for round in 0..3u8 {
        peer.send_to(&[round], to("127.0.0.1", &socket)).unwrap();
        let socket = &socket;
        (receive, send) = std::thread::scope(|scope| {
            let answer = scope.spawn(move || {
                let (arrival, bytes) = take(socket, &mut receive, 1).remove(0);
                let train = Train { route: arrival.route, start: 0, len: bytes.len(), segment: 0 };
                socket.send_trains(&mut send, &[train], &bytes, no_failure);
                (receive, send)
            });
            answer.join().unwrap()
        });
        assert_eq!(next(&peer).0, [round]);
    }
}
