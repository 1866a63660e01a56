//! Against `rtc-srtp` as the other side, and the failures that a network or an attacker brings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use rtc_dtls::crypto_provider::{RTCCryptoProvider, providers::AwsLcRsProvider};
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

use super::*;

const PROFILES: [Profile; 2] = [Profile::Aead128Gcm, Profile::AesCm128HmacSha1_80];
const SSRC: u32 = 0x1234_5678;

fn key_and_salt(profile: Profile, seed: u8) -> (Vec<u8>, Vec<u8>) {
    let salt_len = profile.material_len() / 2 - 16;
    let bytes = |from: u8, count: usize| (0..count).map(|n| from.wrapping_add((n * 7) as u8)).collect();
    (bytes(seed, 16), bytes(seed ^ 0x55, salt_len))
}

fn master(profile: Profile) -> MasterKey {
    let (key, salt) = key_and_salt(profile, 3);
    MasterKey::new(profile, &key, &salt).unwrap()
}

fn ours(profile: Profile) -> (SrtpSeal, SrtpOpen) {
    (SrtpSeal::new(profile, &master(profile)).unwrap(), SrtpOpen::new(profile, &master(profile)).unwrap())
}

fn theirs(profile: Profile) -> Context {
    let (key, salt) = key_and_salt(profile, 3);
    let profile = match profile {
        Profile::Aead128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    Context::new(&key, &salt, profile, None, None, AwsLcRsProvider::new().crypto()).unwrap()
}

/// A packet with two CSRCs and a one-byte header extension of an uneven number of elements.
fn rtp(sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x92, 0xe0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0x30, 0x39]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
    packet.extend_from_slice(&[0xbe, 0xde, 0, 2, 0x10, 0x7f, 0x21, 0xaa, 0xbb, 0, 0, 0]);
    packet.extend_from_slice(payload);
    packet
}

fn rtcp(ssrc: u32, words: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 200];
    packet.extend_from_slice(&(words + 1).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend((0..words * 4).map(|n| n as u8));
    packet
}

fn seal(seal: &mut SrtpSeal, packet: &[u8], roc: u64) -> Vec<u8> {
    seal_padded(seal, packet, 0, roc)
}

/// The packet as it leaves: header in the train, payload elsewhere.
fn seal_padded(seal: &mut SrtpSeal, packet: &[u8], padding: u8, roc: u64) -> Vec<u8> {
    let header = RtpHeader::parse(packet).unwrap();
    let (head, payload) = packet.split_at(header.payload_offset);
    let mut out = Vec::with_capacity(4_096);
    out.extend_from_slice(b"train so far");
    out.extend_from_slice(head);
    let memory = out.as_ptr();
    let index = roc << 16 | u64::from(header.sequence);
    seal.seal_rtp(&mut out, 12, payload, padding, header.ssrc, index).unwrap();
    assert_eq!(out.as_ptr(), memory, "the train never moves");
    assert!(out.starts_with(b"train so far"));
    assert_eq!(out.len(), 12 + packet.len() + usize::from(padding) + seal.overhead());
    out.split_off(12)
}

fn open_report(open: &mut SrtpOpen, sealed: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut plain = Vec::new();
    open.open_rtcp(sealed, &mut plain).map(|()| plain)
}

fn open(open: &mut SrtpOpen, sealed: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut packet = sealed.to_vec();
    let header = RtpHeader::parse(sealed).unwrap();
    let length = open.open_rtp(&mut packet, &header)?;
    packet.truncate(length);
    Ok(packet)
}

#[test]
fn rtp_that_we_seal_is_opened_by_the_other_implementation_across_a_rollover() {
    for profile in PROFILES {
        let (mut sealer, _) = ours(profile);
        let mut context = theirs(profile);
        for index in 65_530_u64..65_545 {
            let plain = rtp(index as u16, SSRC, &[index as u8; 100]);
            let sealed = seal(&mut sealer, &plain, index >> 16);
            assert_eq!(context.decrypt_rtp(&sealed).unwrap(), plain, "{profile:?} {index}");
        }
    }
}

#[test]
fn rtp_of_the_other_implementation_is_opened_across_two_rollovers() {
    for profile in PROFILES {
        let (_, mut opener) = ours(profile);
        let mut context = theirs(profile);
        for index in (60_000_u64..200_000).step_by(500) {
            let plain = rtp(index as u16, SSRC, &index.to_be_bytes());
            let sealed = context.encrypt_rtp(&plain).unwrap();
            assert_eq!(open(&mut opener, &sealed).unwrap(), plain, "{profile:?} {index}");
        }
    }
}

#[test]
fn both_implementations_seal_to_the_same_bytes() {
    for profile in PROFILES {
        let (mut sealer, _) = ours(profile);
        let mut context = theirs(profile);
        for length in [0, 1, 15, 16, 17, 1_200] {
            let plain = rtp(100 + length as u16, SSRC, &vec![7; length]);
            assert_eq!(seal(&mut sealer, &plain, 0), context.encrypt_rtp(&plain).unwrap(), "{profile:?} {length}");
        }
    }
}

#[test]
fn rtcp_passes_between_the_implementations_both_ways() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = ours(profile);
        let mut context = theirs(profile);
        for words in 0..40 {
            let plain = rtcp(SSRC, words);
            let mut sealed = vec![1, 2, 3];
            sealer.seal_rtcp(&plain, &mut sealed).unwrap();
            assert_eq!(context.decrypt_rtcp(&sealed[3..]).unwrap(), plain, "{profile:?} {words}");
            let sealed = context.encrypt_rtcp(&plain).unwrap();
            assert_eq!(open_report(&mut opener, &sealed).unwrap(), plain, "{profile:?} {words}");
        }
    }
}

/// The same packet with RTP padding as RFC 3550 §5.1 writes it.
fn padded(packet: &[u8], padding: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if let Some(zeros) = usize::from(padding).checked_sub(1) {
        packet[0] |= 0x20;
        packet.resize(packet.len() + zeros, 0);
        packet.push(padding);
    }
    packet
}

#[test]
fn sealing_gives_the_bytes_of_the_other_implementation_with_and_without_padding() {
    for profile in PROFILES {
        let (mut sealer, _) = ours(profile);
        let mut context = theirs(profile);
        let mut sequence = 0;
        for length in [0, 1, 15, 16, 17, 500, 1_200] {
            for padding in [0, 1, 2, 15, 16, 17, 254, 255] {
                sequence += 1;
                let mut plain = rtp(sequence, SSRC, &vec![7; length]);
                let whole = padded(&plain, padding);
                plain[0] = whole[0];
                let sealed = seal_padded(&mut sealer, &plain, padding, 0);
                assert_eq!(sealed, context.encrypt_rtp(&whole).unwrap(), "{profile:?} {length} {padding}");
            }
        }
    }
}

#[test]
fn a_padded_packet_opens_to_its_payload_across_a_rollover() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = ours(profile);
        for index in 65_530_u64..65_545 {
            let mut plain = rtp(index as u16, SSRC, &[index as u8; 100]);
            plain[0] |= 0x20;
            let opened = open(&mut opener, &seal_padded(&mut sealer, &plain, 9, index >> 16)).unwrap();
            let header = RtpHeader::parse(&opened).unwrap();
            assert_eq!(header.payload(&opened).unwrap(), [index as u8; 100]);
        }
    }
}

#[test]
fn sealing_behind_a_header_that_is_not_there_leaves_the_train_alone() {
    for profile in PROFILES {
        let (mut sealer, _) = ours(profile);
        let mut out = b"train".to_vec();
        assert_eq!(sealer.seal_rtp(&mut out, 6, &[0; 9], 0, SSRC, 1), Err(SrtpError::Malformed));
        assert_eq!(out, b"train");
    }
}

#[test]
fn opening_reports_needs_no_memory_of_its_own() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = ours(profile);
        let mut plain = Vec::with_capacity(1_500);
        let memory = plain.as_ptr();
        for words in [100, 3, 0] {
            let mut sealed = Vec::new();
            sealer.seal_rtcp(&rtcp(SSRC, words), &mut sealed).unwrap();
            opener.open_rtcp(&sealed, &mut plain).unwrap();
            assert_eq!(plain, rtcp(SSRC, words), "nothing of the packet before it");
        }
        assert_eq!(plain.as_ptr(), memory);
    }
}

#[test]
fn sealing_adds_no_more_than_it_says() {
    for profile in PROFILES {
        let (mut sealer, _) = ours(profile);
        let plain = rtp(1, SSRC, &[0; 50]);
        assert!(seal(&mut sealer, &plain, 0).len() <= plain.len() + RTP_OVERHEAD);
        let mut sealed = Vec::new();
        sealer.seal_rtcp(&rtcp(SSRC, 3), &mut sealed).unwrap();
        assert!(sealed.len() <= 20 + RTCP_OVERHEAD);
    }
}

#[test]
fn rfc3711_s3_3_2_a_packet_opens_once() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = ours(profile);
        let packets: Vec<_> =
            (65_500_u64..66_500).map(|index| seal(&mut sealer, &rtp(index as u16, SSRC, b"x"), index >> 16)).collect();
        for packet in packets.iter().step_by(2).chain(packets.iter().skip(1).step_by(2)) {
            open(&mut opener, packet).unwrap();
        }
        for packet in &packets {
            assert_eq!(open(&mut opener, packet), Err(SrtpError::Replayed));
        }
        let mut report = Vec::new();
        sealer.seal_rtcp(&rtcp(SSRC, 2), &mut report).unwrap();
        open_report(&mut opener, &report).unwrap();
        assert_eq!(open_report(&mut opener, &report), Err(SrtpError::Replayed));
    }
}

#[test]
fn a_forged_packet_changes_no_state() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = ours(profile);
        open(&mut opener, &seal(&mut sealer, &rtp(65_000, SSRC, b"first"), 0)).unwrap();
        let mut forged = seal(&mut sealer, &rtp(2_000, SSRC, b"jump"), 1);
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(open(&mut opener, &forged), Err(SrtpError::Authentication));
        open(&mut opener, &seal(&mut sealer, &rtp(64_999, SSRC, b"late"), 0)).unwrap();
        // Had the forgery been noted, the packet that it was made of would count as received.
        *forged.last_mut().unwrap() ^= 1;
        open(&mut opener, &forged).unwrap();
    }
}

#[test]
fn forged_packets_take_no_place_in_the_table_of_streams() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = ours(profile);
        for ssrc in 0..2 * STREAM_CAPACITY as u32 {
            let mut forged = seal(&mut sealer, &rtp(1, ssrc, b"x"), 0);
            forged[30] ^= 1;
            assert_eq!(open(&mut opener, &forged), Err(SrtpError::Authentication));
        }
        for ssrc in 1_000..1_000 + STREAM_CAPACITY as u32 {
            open(&mut opener, &seal(&mut sealer, &rtp(1, ssrc, b"x"), 0)).unwrap();
        }
        let beyond = seal(&mut sealer, &rtp(1, 5_000, b"x"), 0);
        assert_eq!(open(&mut opener, &beyond), Err(SrtpError::TooManyStreams));
        open(&mut opener, &seal(&mut sealer, &rtp(2, 1_000, b"x"), 0)).unwrap();
    }
}

#[test]
fn a_flipped_bit_anywhere_fails_authentication() {
    for profile in PROFILES {
        let (mut sealer, _) = ours(profile);
        let sealed = seal(&mut sealer, &rtp(9, SSRC, b"some payload"), 0);
        let mut report = Vec::new();
        sealer.seal_rtcp(&rtcp(SSRC, 3), &mut report).unwrap();
        for bit in 0..sealed.len() * 8 {
            let (_, mut opener) = ours(profile);
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let Ok(header) = RtpHeader::parse(&damaged) else { continue };
            assert!(opener.open_rtp(&mut damaged, &header).is_err(), "{profile:?} bit {bit}");
        }
        for bit in 0..report.len() * 8 {
            let (_, mut opener) = ours(profile);
            let mut damaged = report.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open_report(&mut opener, &damaged).is_err(), "{profile:?} bit {bit}");
        }
    }
}

#[test]
fn rfc5764_s4_2_material_is_cut_in_the_order_of_the_rfc() {
    for profile in PROFILES {
        let material: Vec<u8> = (0..profile.material_len() as u8).collect();
        let client = SrtpKeys::from_exporter(profile, &material, true).unwrap();
        let server = SrtpKeys::from_exporter(profile, &material, false).unwrap();
        assert_eq!(client.local.key[0], 0);
        assert_eq!(client.remote.key[0], 16);
        assert_eq!(client.local.salt[0], 32);
        assert_eq!(client.remote.salt[0], 32 + profile.material_len() as u8 / 2 - 16);
        assert_eq!((server.local.key, server.remote.salt), (client.remote.key, client.local.salt));
        assert!(SrtpKeys::from_exporter(profile, &material[1..], true).is_none());
        assert!(!format!("{client:?}").contains("16"));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_open_and_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Some(first) = bytes.first_mut() {
            *first = 0x80 | (*first & 0x1f);
        }
        for profile in PROFILES {
            let (mut sealer, mut opener) = ours(profile);
            prop_assert!(open_report(&mut opener, &bytes).is_err());
            let _ = sealer.seal_rtcp(&bytes, &mut Vec::new());
            let sealed = sealer.seal_rtp(&mut vec![0; 12], bytes.len(), &bytes, bytes.len() as u8, SSRC, 1);
            prop_assert_eq!(sealed.is_ok(), bytes.len() <= 12);
            if let Ok(header) = RtpHeader::parse(&bytes) {
                prop_assert!(opener.open_rtp(&mut bytes.clone(), &header).is_err());
            }
        }
    }

    #[test]
    fn the_guessed_index_is_the_nearest_one(highest in 0_u64..1 << 40, offset in -32_767_i64..32_768) {
        let index = highest.saturating_add_signed(offset);
        prop_assume!(highest >= 0x1_0000);
        prop_assert_eq!(guess_index(highest, index as u16), index);
    }
}
