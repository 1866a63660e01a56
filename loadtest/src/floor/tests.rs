//! The floor against real sockets on loopback, which delivers within the send call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::net::UdpSocket;

use super::*;

fn receivers(count: usize) -> Vec<UdpSocket> {
    let open = |_| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    (0..count).map(open).collect()
}

/// What lies in a socket.
fn drain(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2_048];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())).collect()
}

fn plan(sockets: &[UdpSocket], cipher: Cipher, threads: usize) -> Plan {
    let video = Flow {
        frames_per_second: 100.0,
        jitter: 0.0,
        trains_per_frame: 1.0,
        trains: TrainHistogram::of(3),
        segment_bytes: 400,
        last_bytes: 300,
        receivers: (0..sockets.len()).collect(),
    };
    let audio =
        Flow { trains: TrainHistogram::of(1), segment_bytes: 120, last_bytes: 120, receivers: vec![1], ..video };
    Plan {
        destinations: sockets.iter().map(|socket| socket.local_addr().unwrap()).collect(),
        flows: vec![video, audio],
        cipher,
        threads: NonZeroUsize::new(threads).unwrap(),
    }
}

/// Ten frames of video to three and ten packets of audio to one: the last of these comes after 96.2 ms.
const DURATION: Duration = Duration::from_millis(98);

fn datagrams_of(threads: usize, cipher: Cipher) -> Vec<Vec<Vec<u8>>> {
    let sockets = receivers(3);
    let measured = run(&plan(&sockets, cipher, threads), DURATION).unwrap();
    assert_eq!((measured.packets, measured.refused), (3 * 10 * 3 + 10, 0));
    assert_eq!(measured.bytes, 3 * 10 * 1_100 + 10 * 120);
    assert_eq!(measured.trains, TrainHistogram::from_iter([(3, 30), (1, 10)]));
    assert!(measured.cpu > Duration::ZERO && measured.wall >= DURATION);
    sockets.iter().map(drain).collect()
}

#[test]
fn every_receiver_gets_the_planned_packets_and_no_two_are_alike() {
    for threads in [1, 2, 3] {
        let datagrams = datagrams_of(threads, Cipher::Aes128Gcm);
        for (at, datagrams) in datagrams.iter().enumerate() {
            let count = |len: usize| datagrams.iter().filter(|datagram| datagram.len() == len).count();
            // Before the clock starts each flow has sent one packet to each of its receivers.
            assert_eq!((count(400), count(300)), (20, 10 + 1));
            assert_eq!(count(120), if at == 1 { 10 + 1 } else { 0 });
        }
        let mut bodies: Vec<&[u8]> = datagrams.iter().flatten().map(|datagram| &datagram[HEADER_BYTES..]).collect();
        let all = bodies.len();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), all, "each is sealed by itself");
    }
}

#[test]
fn without_a_cipher_the_traffic_is_the_same() {
    let datagrams = datagrams_of(1, Cipher::None);
    assert_eq!(datagrams.iter().map(Vec::len).collect::<Vec<_>>(), [31, 42, 31]);
}

#[test]
fn a_packet_of_the_floor_is_rtp_that_opens_under_its_key() {
    use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let sockets = receivers(1);
    let mut plan = plan(&sockets, Cipher::Aes128Gcm, 1);
    plan.flows.truncate(1);
    run(&plan, Duration::from_millis(1)).unwrap();
    let mut datagram = drain(&sockets[0]).swap_remove(0);
    assert_eq!(datagram[0] >> 6, 2);
    let key = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835_u128.to_be_bytes();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
    let nonce = Nonce::assume_unique_for_key([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let (header, sealed) = datagram.split_at_mut(HEADER_BYTES);
    assert_eq!(key.open_in_place(nonce, Aad::from(header), sealed).unwrap().len(), 300 - HEADER_BYTES - TAG_BYTES);
}

#[test]
fn an_impossible_plan_is_refused_with_the_flows_number() {
    let sockets = receivers(1);
    let plan = plan(&sockets, Cipher::Aes128Gcm, 1);
    let error = run(&plan, DURATION).unwrap_err();
    assert!(matches!(error, FloorError::Flow { index: 1, .. }), "receiver 1 does not exist: {error}");
}

#[test]
fn figures_of_threads_and_turns_add_up() {
    let part = Measured {
        packets: 1_000,
        bytes: 9,
        trains: TrainHistogram::of(2),
        refused: 1,
        cpu: Duration::from_micros(600),
        wall: Duration::from_secs(1),
        behind: Duration::from_millis(1),
    };
    let mut whole = part.clone();
    whole.add(&Measured { behind: Duration::from_millis(2), ..part.clone() });
    assert_eq!((whole.packets, whole.refused, whole.trains.trains()), (2_000, 2, 2));
    assert_eq!((whole.cpu, whole.wall, whole.behind.as_millis()), (2 * part.cpu, part.wall, 2));
    assert!((whole.micros_per_packet().unwrap() - 0.6).abs() < 1e-9);
    assert_eq!(Measured::default().micros_per_packet(), None);
}
