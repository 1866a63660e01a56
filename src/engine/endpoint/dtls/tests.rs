//! Against `rtc-dtls` as the client, over an emulated path on virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto_provider::providers::AwsLcRsProvider;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use wire::rtp::RtpHeader;

use super::flight::FINAL_UNASKED;
use super::*;
use crate::endpoint::srtp::{SrtpOpen, SrtpSeal};

const CM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
const GCM_128: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
const GCM_256: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm;

/// What Chromium offers, in its order.
const CHROMIUM: [SrtpProtectionProfile; 3] = [CM, GCM_256, GCM_128];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// A client, a server and the path between them.
struct Pair {
    client: Endpoint,
    server: DtlsSession,
    now: Instant,
    began: Instant,
    client_complete: bool,
    events: Vec<DtlsEvent>,
}

struct Setup<'a> {
    offers: &'a [SrtpProtectionProfile],
    mtu: usize,
    with_certificate: bool,
    announced: Option<Fingerprint>,
    extended_master_secret: ExtendedMasterSecretType,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            offers: &CHROMIUM,
            mtu: 1_200,
            with_certificate: true,
            announced: None,
            extended_master_secret: ExtendedMasterSecretType::Request,
        }
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn server_address() -> SocketAddr {
    address(8_080)
}

impl Setup<'_> {
    fn pair(self) -> Pair {
        let now = Instant::now();
        let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        let announced = self.announced.unwrap_or_else(|| Fingerprint::parse(&theirs.fingerprint()).unwrap());
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::new(AwsLcRsProvider::new()))
            .with_certificates(if self.with_certificate { vec![theirs.dtls()] } else { vec![] })
            .with_srtp_protection_profiles(self.offers.to_vec())
            .with_extended_master_secret(self.extended_master_secret)
            .with_insecure_skip_verify(true)
            .with_mtu(self.mtu)
            .build(true, Some(server_address()))
            .unwrap();
        let mut client = Endpoint::new(address(5_000), TransportProtocol::UDP, None);
        client.connect(now, server_address(), Arc::new(config), None).unwrap();
        Pair {
            client,
            server: DtlsSession::new(&ours, announced, address(5_000), super::Setup::Passive, now).unwrap(),
            now,
            began: now,
            client_complete: false,
            events: Vec::new(),
        }
    }
}

impl Pair {
    /// Runs until nothing moves any more. `lose` is asked with the direction, number and content of each datagram.
    fn run(&mut self, mut lose: impl FnMut(Way, usize, &[u8]) -> bool) {
        let (mut up, mut down) = (0, 0);
        while self.now < self.began + Duration::from_secs(60) {
            let mut moved = false;
            while let Some(transmit) = self.client.poll_transmit() {
                moved = true;
                if !lose(Way::ToServer, up, &transmit.message) {
                    self.server.handle_datagram(self.now, &transmit.message);
                }
                up += 1;
            }
            while let Some(datagram) = self.server.poll_transmit() {
                moved = true;
                if !lose(Way::ToClient, down, &datagram) {
                    self.deliver_to_client(&datagram);
                }
                down += 1;
            }
            self.events.extend(std::iter::from_fn(|| self.server.poll_event()));
            if !moved && !self.advance() {
                return;
            }
        }
    }

    fn deliver_to_client(&mut self, datagram: &[u8]) {
        let events = self.client.read(self.now, server_address(), None, BytesMut::from(datagram)).unwrap_or_default();
        self.client_complete |= events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete));
    }

    /// Goes to the next timeout, if there is one.
    fn advance(&mut self) -> bool {
        let client = self.client.poll_timeout(&server_address());
        let Some(next) = client.into_iter().chain(self.server.poll_timeout()).min() else { return false };
        self.now = self.now.max(next);
        if client.is_some_and(|at| at <= self.now) {
            let _ = self.client.handle_timeout(server_address(), self.now);
        }
        if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            self.server.handle_timeout(self.now);
        }
        true
    }

    fn keys(&mut self) -> Option<SrtpKeys> {
        let at = self.events.iter().position(|event| matches!(event, DtlsEvent::Keys(_)))?;
        let DtlsEvent::Keys(keys) = self.events.swap_remove(at) else { return None };
        Some(keys)
    }

    fn failure(&self) -> Option<DtlsError> {
        self.events.iter().find_map(|event| match event {
            DtlsEvent::Failed(error) => Some(*error),
            _ => None,
        })
    }

    fn client_keys(&self, profile: Profile) -> SrtpKeys {
        let state = self.client.get_connection_state(server_address()).unwrap();
        assert_eq!(state.srtp_protection_profile(), protection_profile(profile));
        let material = state.export_keying_material(EXPORTER_LABEL, &[], profile.material_len()).unwrap();
        SrtpKeys::from_exporter(profile, material.as_ref(), true).unwrap()
    }

    /// Both ends are there and understand each other, in both directions.
    fn assert_connected(&mut self, profile: Profile) {
        assert!(self.client_complete, "client; server events: {:?}", self.events);
        let server = self.keys().unwrap_or_else(|| panic!("server: {:?}", self.events));
        assert_eq!(server.profile, profile);
        let client = self.client_keys(profile);
        for (sender, receiver) in [(&client, &server), (&server, &client)] {
            let packet = [&[0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9][..], b"hello"].concat();
            let mut sealed = packet[..12].to_vec();
            let mut seal = SrtpSeal::new(profile, &sender.local).unwrap();
            seal.seal_rtp(&mut sealed, 0, &packet[12..], 0, 9, 1).unwrap();
            let header = RtpHeader::parse(&sealed).unwrap();
            let mut open = SrtpOpen::new(profile, &receiver.remote).unwrap();
            let length = open.open_rtp(&mut sealed, &header).unwrap();
            assert_eq!(sealed[..length], packet);
        }
    }
}

fn never(_: Way, _: usize, _: &[u8]) -> bool {
    false
}

#[test]
fn gcm_is_chosen_whenever_the_client_offers_it_and_the_older_profile_otherwise() {
    let cases: [(&[_], _); 3] = [
        (&CHROMIUM, Profile::Aead128Gcm),
        (&[CM], Profile::AesCm128HmacSha1_80),
        (&[GCM_256, CM], Profile::AesCm128HmacSha1_80),
    ];
    for (offers, profile) in cases {
        let mut pair = Setup { offers, ..Setup::default() }.pair();
        pair.run(never);
        pair.assert_connected(profile);
    }
}

#[test]
fn a_fragmented_client_hello_gets_the_same_choice() {
    for mtu in [30, 60, 150] {
        let mut pair = Setup { mtu, ..Setup::default() }.pair();
        pair.run(never);
        pair.assert_connected(Profile::Aead128Gcm);
    }
}

#[test]
fn without_loss_the_handshake_takes_no_timer() {
    let mut pair = Setup::default().pair();
    let mut numbers = (0, 0);
    while !pair.client_complete {
        while let Some(transmit) = pair.client.poll_transmit() {
            numbers.0 += 1;
            pair.server.handle_datagram(pair.now, &transmit.message);
        }
        while let Some(datagram) = pair.server.poll_transmit() {
            numbers.1 += 1;
            pair.deliver_to_client(&datagram);
        }
        assert!(numbers.0 < 10, "the client asks again and again");
    }
    assert_eq!(numbers, (3, 3));
    pair.run(never);
    assert!(pair.now - pair.began < Duration::from_secs(1));
    assert_eq!(pair.server.poll_timeout(), None, "nothing is due once it is over");
}

#[test]
fn a_peer_with_another_certificate_than_announced_gets_no_keys() {
    let stranger = Fingerprint::parse(&Certificate::generate().unwrap().fingerprint()).unwrap();
    let mut pair = Setup { announced: Some(stranger), ..Setup::default() }.pair();
    pair.run(never);
    assert!(pair.keys().is_none());
    assert_eq!(pair.failure(), Some(DtlsError::Fingerprint));
    assert!(!pair.client_complete);
}

#[test]
fn a_peer_without_certificate_gets_no_keys() {
    let mut pair = Setup { with_certificate: false, ..Setup::default() }.pair();
    pair.run(never);
    assert!(pair.keys().is_none());
    assert!(pair.failure().is_some());
}

#[test]
fn a_peer_without_extended_master_secret_gets_no_keys() {
    let setup = Setup { extended_master_secret: ExtendedMasterSecretType::Disable, ..Setup::default() };
    let mut pair = setup.pair();
    pair.run(never);
    assert!(pair.keys().is_none());
    assert_eq!(pair.failure(), Some(DtlsError::Handshake));
}

#[test]
fn a_client_without_a_common_profile_is_told_by_an_alert() {
    for offers in [&[GCM_256][..], &[]] {
        let mut pair = Setup { offers, ..Setup::default() }.pair();
        let hello = pair.client.poll_transmit().unwrap();
        pair.server.handle_datagram(pair.now, &hello.message);
        assert_eq!(pair.server.poll_transmit().unwrap()[13..], [2, HANDSHAKE_FAILURE]);
        assert!(matches!(pair.server.poll_event(), Some(DtlsEvent::Failed(DtlsError::NoSrtpProfile))));
    }
}

#[test]
fn a_lost_first_flight_either_way_delays_the_handshake_and_no_more() {
    for lost in [Way::ToServer, Way::ToClient] {
        let mut pair = Setup::default().pair();
        pair.run(|way, number, _| way == lost && number == 0);
        pair.assert_connected(Profile::Aead128Gcm);
        assert!(pair.now - pair.began <= Duration::from_secs(2), "{:?}", pair.now - pair.began);
    }
}

#[test]
fn any_one_lost_datagram_of_ours_is_made_up_for() {
    for mtu in [1_200, 300] {
        for lost in 0..8 {
            let mut pair = Setup { mtu, ..Setup::default() }.pair();
            pair.run(|way, number, _| way == Way::ToClient && number == lost);
            pair.assert_connected(Profile::Aead128Gcm);
        }
    }
}

#[test]
fn a_handshake_that_gets_nowhere_ends_after_its_limit() {
    let mut pair = Setup::default().pair();
    // The HelloVerifyRequest arrives, the flight behind it never does.
    pair.run(|way, number, _| way == Way::ToClient && number > 0);
    assert_eq!(pair.failure(), Some(DtlsError::Timeout));
    assert!(pair.now - pair.began >= HANDSHAKE_LIMIT);
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn our_flight_comes_again_after_100_ms_and_backs_off() {
    let mut pair = Setup::default().pair();
    for _ in 0..2 {
        while let Some(transmit) = pair.client.poll_transmit() {
            pair.server.handle_datagram(pair.now, &transmit.message);
        }
        while let Some(datagram) = pair.server.poll_transmit() {
            pair.deliver_to_client(&datagram);
        }
    }
    let _ = pair.client.poll_transmit();
    let mut sent = Vec::new();
    while sent.len() < 6 {
        let at = pair.server.poll_timeout().unwrap();
        pair.server.handle_timeout(at);
        if pair.server.poll_transmit().is_some() {
            while pair.server.poll_transmit().is_some() {}
            sent.push((at - pair.began).as_millis());
        }
    }
    assert_eq!(sent, [100, 300, 700, 1_500, 3_100, 4_700]);
}

/// A handshake in which the first `count` datagrams with our Finished are lost, and how long it took.
fn lose_finished(count: usize) -> Duration {
    let mut pair = Setup::default().pair();
    let mut lost = 0;
    pair.run(|way, _, datagram| {
        let lose = way == Way::ToClient && lost < count && Records(datagram).any(|record| record.epoch == 1);
        lost += usize::from(lose);
        lose
    });
    assert_eq!(lost, count);
    pair.assert_connected(Profile::Aead128Gcm);
    pair.now - pair.began
}

#[test]
fn a_lost_finished_of_ours_comes_again_unasked() {
    assert!(lose_finished(1) <= Duration::from_millis(300));
}

#[test]
fn a_finished_that_is_lost_again_and_again_comes_when_the_client_repeats_its_flight() {
    assert!(lose_finished(1 + FINAL_UNASKED as usize) >= Duration::from_secs(1));
}

#[test]
fn close_notify_ends_the_other_side() {
    let mut pair = Setup::default().pair();
    pair.run(never);
    pair.server.close();
    let farewell = pair.server.poll_transmit().unwrap();
    let events = pair.client.read(pair.now, server_address(), None, BytesMut::from(&farewell[..])).unwrap();
    assert!(events.iter().any(|event| matches!(event, EndpointEvent::PeerClosed)));

    let mut pair = Setup::default().pair();
    pair.run(never);
    pair.client.close(pair.now).unwrap();
    pair.run(never);
    assert!(pair.events.iter().any(|event| matches!(event, DtlsEvent::Closed)));
}

#[test]
fn a_forged_alert_ends_no_established_session() {
    let mut pair = Setup::default().pair();
    pair.run(never);
    pair.server.handle_datagram(pair.now, &Numbering::starting_at(90).fatal_alert(HANDSHAKE_FAILURE));
    assert_eq!(pair.server.phase, Phase::Established);
    assert!(pair.server.poll_event().is_none());
}

#[test]
fn a_flood_of_records_is_kept_within_the_bounds() {
    let mut pair = Setup::default().pair();
    let hello = pair.client.poll_transmit().unwrap();
    pair.server.handle_datagram(pair.now, &hello.message);
    let mut numbers = Numbering::starting_at(100);
    for sequence in 0..5_000_u16 {
        let [s0, s1] = (sequence % 20).to_be_bytes();
        let mut fragment = vec![11, 0, 0x30, 0, s0, s1, 0, 0, (sequence / 20) as u8, 0, 0, 1];
        fragment.push(7);
        let handshake = numbers.record(HANDSHAKE, &fragment);
        let cipher = numbers.record(CHANGE_CIPHER_SPEC, &[1]);
        let mut finished = numbers.record(HANDSHAKE, &[9; 40]);
        finished[4] = 1;
        for datagram in [&handshake, &cipher, &finished, &hello.message.to_vec()] {
            pair.server.handle_datagram(pair.now, datagram);
        }
    }
    assert!(pair.server.messages <= MESSAGES_MAX);
    assert!(pair.server.encrypted_records <= ENCRYPTED_RECORDS_MAX);
    assert!(pair.server.transmits.len() <= TRANSMIT_CAPACITY);
}

#[test]
fn sessions_can_move_to_control_threads() {
    fn is_send<T: Send>() {}
    is_send::<DtlsSession>();
}

/// A handshake whose client datagrams number `at` are changed by `change`.
fn run_changed(at: usize, change: impl Fn(&mut Vec<u8>)) -> Pair {
    let mut pair = Setup::default().pair();
    let mut number = 0;
    for _ in 0..4 {
        while let Some(transmit) = pair.client.poll_transmit() {
            let mut datagram = transmit.message.to_vec();
            if number == at {
                change(&mut datagram);
            }
            number += 1;
            pair.server.handle_datagram(pair.now, &datagram);
        }
        while let Some(datagram) = pair.server.poll_transmit() {
            pair.deliver_to_client(&datagram);
        }
        pair.events.extend(std::iter::from_fn(|| pair.server.poll_event()));
    }
    pair
}

#[test]
fn a_changed_first_hello_cannot_have_us_choose_the_lesser_profile() {
    let pair = run_changed(0, |datagram| {
        // CM, GCM-256, GCM-128 become CM, GCM-256 and a number that means nothing.
        let at = datagram.windows(8).position(|ids| ids == [0, 6, 0, 1, 0, 8, 0, 7]).unwrap();
        datagram[at + 7] = 99;
    });
    assert_eq!(pair.failure(), Some(DtlsError::Handshake));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn garbage_never_panics_and_yields_nothing(
        datagrams in prop::collection::vec((20..24_u8, 0..2_u8, prop::collection::vec(any::<u8>(), 0..100)), 1..40),
    ) {
        let mut pair = Setup::default().pair();
        let mut numbers = Numbering::default();
        for (content, epoch, body) in &datagrams {
            let mut record = numbers.record(*content, body);
            record[4] = *epoch;
            pair.server.handle_datagram(pair.now, &record);
            pair.server.handle_datagram(pair.now, body);
        }
        let events: Vec<_> = std::iter::from_fn(|| pair.server.poll_event()).collect();
        prop_assert!(!events.iter().any(|event| matches!(event, DtlsEvent::Keys(_))));
    }

    #[test]
    fn a_damaged_handshake_never_panics_and_never_gives_both_ends_different_keys(
        at in 0..4_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut pair = run_changed(at, |datagram| {
            for (at, byte) in &damage {
                let at = at.index(datagram.len());
                datagram[at] = *byte;
            }
        });
        if pair.client_complete && pair.keys().is_some_and(|keys| { pair.events.push(DtlsEvent::Keys(keys)); true }) {
            pair.assert_connected(Profile::Aead128Gcm);
        }
    }
}
