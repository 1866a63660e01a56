//! Against `rtc-stun` as the other side: it builds the checks and reads the responses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use rtc_dtls::crypto_provider::{RTCCryptoProvider, providers::AwsLcRsProvider};
use rtc_stun::attributes::{
    ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
};
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::fingerprint::FINGERPRINT as StunFingerprint;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    BINDING_ERROR as STUN_ERROR, BINDING_REQUEST as STUN_REQUEST, BINDING_SUCCESS as STUN_SUCCESS, Getter,
    Message as StunMessage, Setter,
};
use rtc_stun::xoraddr::XorMappedAddress;

use super::*;

const REMOTE_V4: &str = "192.0.2.7:4711";

fn credentials() -> IceCredentials {
    IceCredentials { ufrag: "s3Abcdefgh".into(), pwd: "abcdefghijklmnopqrstuvwx".into() }
}

struct Request {
    username: &'static str,
    pwd: &'static str,
    attributes: Vec<(rtc_stun::attributes::AttrType, Vec<u8>)>,
    integrity: bool,
    fingerprint: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            username: "s3Abcdefgh:theirs",
            pwd: "abcdefghijklmnopqrstuvwx",
            attributes: vec![(ATTR_PRIORITY, vec![1, 2, 3, 4]), (ATTR_ICE_CONTROLLING, vec![9; 8])],
            integrity: true,
            fingerprint: true,
        }
    }
}

impl Request {
    fn build(&self) -> Vec<u8> {
        let provider = AwsLcRsProvider::new();
        let mut message = StunMessage::new();
        message.set_type(STUN_REQUEST);
        message.new_transaction_id().unwrap();
        message.write_header();
        message.add(ATTR_USERNAME, self.username.as_bytes());
        for (kind, value) in &self.attributes {
            message.add(*kind, value);
        }
        if self.integrity {
            MessageIntegrity::new_short_term_integrity_with_provider(self.pwd.to_owned(), provider.crypto())
                .add_to(&mut message)
                .unwrap();
        }
        if self.fingerprint {
            StunFingerprint.add_to(&mut message).unwrap();
        }
        message.raw
    }
}

/// Reads a response with the other implementation, after it verified integrity and fingerprint.
fn read_verified(response: &[u8]) -> StunMessage {
    let provider = AwsLcRsProvider::new();
    let mut message = StunMessage::new();
    message.unmarshal_binary(response).unwrap();
    StunFingerprint.check(&message).unwrap();
    MessageIntegrity::check(&mut message, credentials().pwd.as_bytes(), provider.crypto()).unwrap();
    message
}

fn answer(packet: &[u8]) -> Result<BindingAnswer, IceError> {
    answer_binding(&credentials(), packet, REMOTE_V4.parse().unwrap())
}

#[test]
fn a_check_gets_an_authenticated_response_with_its_address() {
    for remote in [REMOTE_V4, "[2001:db8::5]:40000"] {
        let remote: SocketAddr = remote.parse().unwrap();
        let packet = Request::default().build();
        let answer = answer_binding(&credentials(), &packet, remote).unwrap();
        assert!(!answer.nominated);
        let message = read_verified(&answer.response);
        assert_eq!(message.typ, STUN_SUCCESS);
        assert_eq!(message.transaction_id.0, packet[8..20]);
        let mut address = XorMappedAddress::default();
        address.get_from(&message).unwrap();
        assert_eq!((address.ip, address.port), (remote.ip(), remote.port()));
    }
}

#[test]
fn an_ipv4_peer_on_a_dual_stack_socket_is_told_its_ipv4_address() {
    let packet = Request::default().build();
    let answer = answer_binding(&credentials(), &packet, "[::ffff:192.0.2.7]:4711".parse().unwrap()).unwrap();
    let mut address = XorMappedAddress::default();
    address.get_from(&read_verified(&answer.response)).unwrap();
    assert_eq!(address.ip, IpAddr::from([192, 0, 2, 7]));
}

#[test]
fn use_candidate_nominates_the_path() {
    let mut request = Request::default();
    request.attributes.push((ATTR_USE_CANDIDATE, vec![]));
    assert!(answer(&request.build()).unwrap().nominated);
}

#[test]
fn rfc8445_s7_3_1_1_a_controlled_peer_is_told_of_the_role_conflict() {
    let request = Request {
        attributes: vec![(ATTR_ICE_CONTROLLED, vec![9; 8]), (ATTR_USE_CANDIDATE, vec![])],
        ..Request::default()
    };
    let answer = answer(&request.build()).unwrap();
    assert!(!answer.nominated);
    let message = read_verified(&answer.response);
    assert_eq!(message.typ, STUN_ERROR);
    let mut code = ErrorCodeAttribute::default();
    code.get_from(&message).unwrap();
    assert_eq!(code.code.0, 487);
}

#[test]
fn a_check_without_fingerprint_is_answered() {
    assert!(answer(&Request { fingerprint: false, ..Request::default() }.build()).is_ok());
}

#[test]
fn checks_that_do_not_authenticate_are_dropped() {
    let cases = [
        (Request { username: "other:theirs", ..Request::default() }, IceError::Username),
        (Request { username: "s3Abcdefghi:theirs", ..Request::default() }, IceError::Username),
        (Request { pwd: "wrongwrongwrongwrongwron", ..Request::default() }, IceError::Integrity),
        (Request { integrity: false, ..Request::default() }, IceError::Integrity),
    ];
    for (request, error) in cases {
        assert_eq!(answer(&request.build()), Err(error));
    }
}

#[test]
fn what_follows_the_integrity_attribute_does_not_count() {
    let mut packet = Request { fingerprint: false, ..Request::default() }.build();
    packet.extend_from_slice(&[0x00, 0x25, 0, 0]);
    let length = (packet.len() - HEADER_LEN) as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    assert!(!answer(&packet).unwrap().nominated, "USE-CANDIDATE behind the MAC is anybody's");
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let packet = Request::default().build();
    // All but the type of FINGERPRINT: changed, it is an unknown attribute behind the MAC, which means nothing.
    let fingerprint_type = packet.len() - 8..packet.len() - 6;
    for bit in (0..packet.len() * 8).filter(|bit| !fingerprint_type.contains(&(bit / 8))) {
        let mut damaged = packet.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(answer(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn responses_and_indications_are_not_answered() {
    for kind in [0x0101_u16, 0x0011, 0x0111, 0x0003] {
        let mut packet = Request::default().build();
        packet[..2].copy_from_slice(&kind.to_be_bytes());
        assert_eq!(answer(&packet), Err(IceError::NotBinding));
        assert_eq!(server_ufrag(&packet), None);
    }
}

#[test]
fn the_ufrag_of_a_check_names_the_endpoint() {
    assert_eq!(server_ufrag(&Request::default().build()), Some("s3Abcdefgh"));
    assert_eq!(server_ufrag(&Request { username: "nocolon", ..Request::default() }.build()), None);
}

#[test]
fn credentials_are_long_enough_and_made_of_ice_chars() {
    let (one, two) = (IceCredentials::generate("s0"), IceCredentials::generate("s0"));
    assert_ne!(one, two);
    assert!(one.ufrag.starts_with("s0") && one.ufrag.len() >= 8 && one.pwd.len() >= 22);
    assert!(one.ufrag.bytes().chain(one.pwd.bytes()).all(|byte| ICE_CHARS.contains(&byte)));
    assert!(!format!("{one:?}").contains(&one.pwd));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), dress in any::<bool>()) {
        if dress && bytes.len() >= HEADER_LEN {
            let length = (bytes.len() - HEADER_LEN) as u16;
            bytes[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..8].copy_from_slice(&MAGIC_COOKIE);
        }
        let _ = server_ufrag(&bytes);
        prop_assert!(answer(&bytes).is_err());
    }

    #[test]
    fn a_cut_check_never_panics(length in 0_usize..140) {
        let mut packet = Request::default().build();
        packet.truncate(length);
        let _ = server_ufrag(&packet);
        let _ = answer(&packet);
    }
}
