//! Where we begin: against `rtc-dtls` as the server, over an emulated path on virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use proptest::prelude::*;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto_provider::providers::AwsLcRsProvider;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use wire::rtp::RtpHeader;

use super::*;
use crate::endpoint::srtp::{SrtpOpen, SrtpSeal};

/// Two tries of the crate's timer and as many of ours are within it.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToPeer,
    FromPeer,
}

struct Pair {
    ours: DtlsSession,
    peer: Endpoint,
    now: Instant,
    began: Instant,
    peer_complete: bool,
    events: Vec<DtlsEvent>,
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn our_address() -> SocketAddr {
    address(8_080)
}

/// A peer that knows these profiles, in this order, and announced this certificate or its own.
fn pair(profiles: &[SrtpProtectionProfile], announced: Option<Fingerprint>) -> Pair {
    let now = Instant::now();
    let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    let announced = announced.unwrap_or_else(|| Fingerprint::parse(&theirs.fingerprint()).unwrap());
    let config = ConfigBuilder::default()
        .with_crypto_provider(Arc::new(AwsLcRsProvider::new()))
        .with_certificates(vec![theirs.dtls()])
        .with_srtp_protection_profiles(profiles.to_vec())
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        .with_extended_master_secret(ExtendedMasterSecretType::Request)
        .with_insecure_skip_verify(true)
        .build(false, None)
        .unwrap();
    Pair {
        ours: DtlsSession::new(&ours, announced, address(5_000), Setup::Active, now).unwrap(),
        peer: Endpoint::new(address(5_000), TransportProtocol::UDP, Some(Arc::new(config))),
        now,
        began: now,
        peer_complete: false,
        events: Vec::new(),
    }
}

fn usual() -> Pair {
    use SrtpProtectionProfile::{Srtp_Aead_Aes_128_Gcm, Srtp_Aead_Aes_256_Gcm, Srtp_Aes128_Cm_Hmac_Sha1_80};
    pair(&[Srtp_Aes128_Cm_Hmac_Sha1_80, Srtp_Aead_Aes_256_Gcm, Srtp_Aead_Aes_128_Gcm], None)
}

impl Pair {
    /// Runs until nothing moves any more; `change` may damage a datagram, or say that it is lost.
    fn run(&mut self, mut change: impl FnMut(Way, usize, &mut Vec<u8>) -> bool) {
        let (mut up, mut down) = (0, 0);
        while self.now < self.began + LIMIT {
            let mut moved = false;
            while let Some(mut datagram) = self.ours.poll_transmit() {
                moved = true;
                if change(Way::ToPeer, up, &mut datagram) {
                    let read = self.peer.read(self.now, our_address(), None, BytesMut::from(&datagram[..]));
                    let events = read.unwrap_or_default();
                    self.peer_complete |= events.iter().any(|e| matches!(e, EndpointEvent::HandshakeComplete));
                }
                up += 1;
            }
            while let Some(transmit) = self.peer.poll_transmit() {
                moved = true;
                let mut datagram = transmit.message.to_vec();
                if change(Way::FromPeer, down, &mut datagram) {
                    self.ours.handle_datagram(self.now, &datagram);
                }
                down += 1;
            }
            self.events.extend(std::iter::from_fn(|| self.ours.poll_event()));
            if !moved && !self.advance() {
                return;
            }
        }
    }

    fn advance(&mut self) -> bool {
        let peer = self.peer.poll_timeout(&our_address());
        let Some(next) = peer.into_iter().chain(self.ours.poll_timeout()).min() else { return false };
        self.now = self.now.max(next);
        if peer.is_some_and(|at| at <= self.now) {
            let _ = self.peer.handle_timeout(our_address(), self.now);
        }
        if self.ours.poll_timeout().is_some_and(|at| at <= self.now) {
            self.ours.handle_timeout(self.now);
        }
        true
    }

    fn keys(&self) -> Option<&SrtpKeys> {
        self.events.iter().find_map(|event| match event {
            DtlsEvent::Keys(keys) => Some(keys),
            _ => None,
        })
    }

    fn failure(&self) -> Option<DtlsError> {
        self.events.iter().find_map(|event| match event {
            DtlsEvent::Failed(error) => Some(*error),
            _ => None,
        })
    }

    /// Both ends have the same keys, each the other way round.
    fn assert_connected(&self) {
        assert!(self.peer_complete, "{:?}", self.events);
        let ours = self.keys().unwrap_or_else(|| panic!("{:?}", self.events));
        let profile = Profile::Aead128Gcm;
        let state = self.peer.get_connection_state(our_address()).unwrap();
        assert_eq!((ours.profile, state.srtp_protection_profile()), (profile, protection_profile(profile)));
        let material = state.export_keying_material(EXPORTER_LABEL, &[], profile.material_len()).unwrap();
        let theirs = SrtpKeys::from_exporter(profile, material.as_ref(), false).unwrap();
        assert_same_keys(ours, &theirs);
    }
}

/// What one seals, the other opens.
fn assert_same_keys(ours: &SrtpKeys, theirs: &SrtpKeys) {
    for (sender, receiver) in [(ours, theirs), (theirs, ours)] {
        let packet = [&[0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9][..], b"hello"].concat();
        let mut sealed = packet[..12].to_vec();
        let mut seal = SrtpSeal::new(sender.profile, &sender.local).unwrap();
        seal.seal_rtp(&mut sealed, 0, &packet[12..], 0, 9, 1).unwrap();
        let header = RtpHeader::parse(&sealed).unwrap();
        let mut open = SrtpOpen::new(receiver.profile, &receiver.remote).unwrap();
        let length = open.open_rtp(&mut sealed, &header).unwrap();
        assert_eq!(sealed[..length], packet);
    }
}

#[test]
fn nothing_is_said_before_the_peer_can_be_reached_and_then_it_takes_no_timer() {
    let mut pair = usual();
    pair.ours.handle_datagram(pair.now, &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    assert!(pair.ours.poll_transmit().is_none());
    pair.ours.begin(pair.now);
    pair.ours.begin(pair.now);
    let mut sent = 0;
    pair.run(|way, _, _| {
        sent += usize::from(way == Way::ToPeer);
        true
    });
    pair.assert_connected();
    assert!(pair.now - pair.began < Duration::from_millis(100), "{:?}", pair.now - pair.began);
    assert_eq!(pair.ours.poll_timeout(), None, "nothing is due once it is over");
    // Two hellos, since this peer asks for a cookie, and the flight with the certificate.
    assert_eq!(sent, 3);
}

/// The crate as a server does not survive a lost flight; our own server does.
#[test]
fn any_two_lost_datagrams_are_made_up_for() {
    for (first, second) in (0..6).flat_map(|first| (first..8).map(move |second| (first, second))) {
        for (lost_first, lost_second) in [
            (Way::ToPeer, Way::ToPeer),
            (Way::ToPeer, Way::FromPeer),
            (Way::FromPeer, Way::ToPeer),
            (Way::FromPeer, Way::FromPeer),
        ] {
            let lost = [(lost_first, first), (lost_second, second)];
            let took = between_two_of_ours(|way, number| !lost.contains(&(way, number)));
            assert!(took.is_some_and(|took| took < Duration::from_millis(700)), "{lost:?}: {took:?}");
        }
    }
}

/// How long it took until both of two sessions of ours had keys.
fn between_two_of_ours(mut arrives: impl FnMut(Way, usize) -> bool) -> Option<Duration> {
    let began = Instant::now();
    let (us, them) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    let announced = |certificate: &Certificate| Fingerprint::parse(&certificate.fingerprint()).unwrap();
    let mut ours = DtlsSession::new(&us, announced(&them), address(5_000), Setup::Active, began).unwrap();
    let mut theirs = DtlsSession::new(&them, announced(&us), our_address(), Setup::Passive, began).unwrap();
    let (mut now, mut up, mut down) = (began, 0, 0);
    let mut keys: Vec<SrtpKeys> = Vec::new();
    ours.begin(now);
    while now < began + LIMIT {
        let mut moved = false;
        while let Some(datagram) = ours.poll_transmit() {
            moved = true;
            if arrives(Way::ToPeer, up) {
                theirs.handle_datagram(now, &datagram);
            }
            up += 1;
        }
        while let Some(datagram) = theirs.poll_transmit() {
            moved = true;
            if arrives(Way::FromPeer, down) {
                ours.handle_datagram(now, &datagram);
            }
            down += 1;
        }
        for event in [ours.poll_event(), theirs.poll_event()].into_iter().flatten() {
            match event {
                DtlsEvent::Keys(new) => keys.push(new),
                event => panic!("{event:?}"),
            }
        }
        if keys.len() == 2 {
            assert_same_keys(&keys[0], &keys[1]);
            return Some(now - began);
        }
        if !moved {
            now = ours.poll_timeout().into_iter().chain(theirs.poll_timeout()).min()?.max(now);
            ours.handle_timeout(now);
            theirs.handle_timeout(now);
        }
    }
    None
}

/// BoringSSL drops unprotected records once it is connected, and protected ones that it has seen.
#[test]
fn a_browser_whose_finished_was_lost_says_it_again() {
    let mut pair = usual();
    pair.ours.begin(pair.now);
    let (mut answers, mut protected, mut lost) = (0, Vec::new(), false);
    pair.run(|way, _, datagram| {
        let whole = datagram.clone();
        let ours = Records(&whole).filter(|record| record.epoch == 1).map(|record| record.whole.to_vec());
        match way {
            // The flight of the peer that begins with ChangeCipherSpec is its last; the first of them is lost.
            Way::FromPeer if Records(&whole).any(|record| record.content == CHANGE_CIPHER_SPEC) => {
                answers += 1;
                lost |= answers == 1;
                answers > 1
            }
            Way::FromPeer => true,
            Way::ToPeer if lost => {
                let fresh: Vec<u8> = ours.filter(|record| !protected.contains(record)).flatten().collect();
                *datagram = fresh;
                !datagram.is_empty()
            }
            Way::ToPeer => {
                protected.extend(ours);
                true
            }
        }
    });
    assert!(lost && answers > 1, "{answers}");
    pair.assert_connected();
    assert!(pair.now - pair.began < Duration::from_millis(400), "{:?}", pair.now - pair.began);
}

#[test]
fn a_peer_with_another_certificate_than_announced_gets_no_keys() {
    let stranger = Fingerprint::parse(&Certificate::generate().unwrap().fingerprint()).unwrap();
    let mut pair = pair(&[SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm], Some(stranger));
    pair.ours.begin(pair.now);
    pair.run(|_, _, _| true);
    assert!(pair.keys().is_none() && !pair.peer_complete);
    assert_eq!(pair.failure(), Some(DtlsError::Fingerprint));
}

#[test]
fn a_peer_without_our_profile_gets_no_keys() {
    let mut pair = pair(&[SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80], None);
    pair.ours.begin(pair.now);
    pair.run(|_, _, _| true);
    assert!(pair.keys().is_none());
}

#[test]
fn who_is_to_begin_itself_is_not_begun_with() {
    let certificate = Certificate::generate().unwrap();
    let announced = Fingerprint::parse(&certificate.fingerprint()).unwrap();
    let now = Instant::now();
    let mut session = DtlsSession::new(&certificate, announced, address(5_000), Setup::Passive, now).unwrap();
    session.begin(now);
    assert!(session.poll_transmit().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_damaged_handshake_never_panics_and_never_gives_both_ends_different_keys(
        from_peer in any::<bool>(),
        at in 0..6_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut pair = usual();
        pair.ours.begin(pair.now);
        let damaged = if from_peer { Way::FromPeer } else { Way::ToPeer };
        pair.run(|way, number, datagram| {
            if way == damaged && number == at {
                for (at, byte) in &damage {
                    let at = at.index(datagram.len());
                    datagram[at] = *byte;
                }
            }
            true
        });
        if pair.peer_complete && pair.keys().is_some() {
            pair.assert_connected();
        }
    }

    #[test]
    fn garbage_never_panics_and_yields_nothing(
        datagrams in prop::collection::vec((20..24_u8, 0..2_u8, prop::collection::vec(any::<u8>(), 0..100)), 1..40),
    ) {
        let mut pair = usual();
        pair.ours.begin(pair.now);
        let mut numbers = Numbering::default();
        for (content, epoch, body) in &datagrams {
            let mut record = numbers.record(*content, body);
            record[4] = *epoch;
            pair.ours.handle_datagram(pair.now, &record);
            pair.ours.handle_datagram(pair.now, body);
        }
        let events: Vec<_> = std::iter::from_fn(|| pair.ours.poll_event()).collect();
        prop_assert!(!events.iter().any(|event| matches!(event, DtlsEvent::Keys(_))));
    }
}
