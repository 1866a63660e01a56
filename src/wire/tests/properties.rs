//! What holds for every input: parsers never panic and stay bounded, writers read back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::hint::black_box;

use proptest::prelude::*;
use wire::ext::{AudioLevel, transport_seq};
use wire::rtcp::{MAX_COMPOUND_PACKETS, ReportBlock, RtcpPacket, parse_compound};
use wire::rtcp::{write_nack, write_receiver_report, write_sender_report};
use wire::rtp::{OutHeader, RtpHeader, header_len, is_rtcp, write_header};
use wire::twcc::MAX_PACKET_COUNT;
use wire::vp8::{Vp8Descriptor, key_frame_size};

/// Bytes of any length, half of them with a head that gets past the first checks.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        Just(vec![]),
        (0x80u8..=0xbf, any::<u8>()).prop_map(|(first, second)| vec![first, second]),
        (0x80u8..=0xbf, 200u8..=207, 0u16..64).prop_map(|(first, kind, words)| {
            let [high, low] = words.to_be_bytes();
            vec![first, kind, high, low]
        }),
        // Transport feedback, so that its chunks are reached.
        (any::<bool>(), 4u16..64, 0u16..200).prop_map(|(padded, words, count)| {
            let mut packet = vec![if padded { 0xaf } else { 0x8f }, 205];
            packet.extend(words.to_be_bytes());
            packet.extend([0; 10]);
            packet.extend(count.to_be_bytes());
            packet
        }),
    ];
    (head, prop::collection::vec(any::<u8>(), 0..400)).prop_map(|(mut head, tail)| {
        head.extend(tail);
        head
    })
}

fn report() -> impl Strategy<Value = ReportBlock> {
    (any::<[u32; 5]>(), any::<u8>(), -0x80_0000i32..0x80_0000).prop_map(|(words, fraction_lost, lost)| ReportBlock {
        ssrc: words[0],
        fraction_lost,
        lost,
        highest: words[1],
        jitter: words[2],
        last_sr: words[3],
        delay_since_last_sr: words[4],
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_rtp_packet_of_any_bytes_never_panics(packet in datagram(), other in datagram()) {
        black_box(is_rtcp(&packet));
        if let Ok(header) = RtpHeader::parse(&packet) {
            prop_assert!(header.payload_offset <= packet.len());
            // The same header against a shorter or foreign packet must hold, too.
            for bytes in [&packet, &other] {
                if let Ok(payload) = header.payload(bytes) {
                    prop_assert!(payload.len() <= bytes.len());
                }
                prop_assert!(header.csrcs(bytes).count() <= 15);
                for (id, value) in header.extensions(bytes) {
                    prop_assert!(id != 0);
                    black_box(AudioLevel::parse(value));
                    black_box(transport_seq(value));
                }
            }
        }
    }

    #[test]
    fn rtcp_of_any_bytes_never_panics_and_stays_bounded(packet in datagram()) {
        let mut packets = 0;
        let mut failed = false;
        for parsed in parse_compound(&packet) {
            prop_assert!(!failed, "nothing follows an error");
            packets += 1;
            match parsed {
                Err(_) => failed = true,
                Ok(RtcpPacket::SenderReport { reports, .. } | RtcpPacket::ReceiverReport { reports, .. }) => {
                    prop_assert!(reports.count() <= 31);
                }
                Ok(RtcpPacket::Bye(sources)) => prop_assert!(sources.count() <= 31),
                Ok(RtcpPacket::Nack { entries, .. }) => prop_assert!(entries.count() <= packet.len() / 4 * 17),
                Ok(RtcpPacket::Fir { entries, .. }) => prop_assert!(entries.count() <= packet.len() / 8),
                Ok(RtcpPacket::TransportCc(view)) => {
                    prop_assert!(view.count <= MAX_PACKET_COUNT);
                    prop_assert_eq!(view.packets().count(), usize::from(view.count), "checked before handed out");
                }
                Ok(_) => {}
            }
        }
        prop_assert!(packets <= MAX_COMPOUND_PACKETS + 1);
    }

    #[test]
    fn a_payload_of_any_bytes_never_panics(payload in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(descriptor) = Vp8Descriptor::parse(&payload) {
            prop_assert!(descriptor.len <= payload.len());
            black_box(descriptor.starts_key_frame(&payload));
        }
        black_box(key_frame_size(&payload));
        if let Some(duration) = wire::opus::packet_duration(&payload) {
            prop_assert!((120..=5_760).contains(&duration));
        }
    }

    #[test]
    fn a_written_header_reads_back(
        (marker, payload_type, sequence, timestamp, ssrc) in (any::<bool>(), 0u8..128, any::<u16>(), any::<u32>(), any::<u32>()),
        csrc in any::<Option<u32>>(),
        extensions in prop::collection::vec(
            (prop_oneof![3 => 1u8..=14, 1 => 1u8..=255], prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        payload in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let borrowed: Vec<(u8, &[u8])> = extensions.iter().map(|(id, value)| (*id, value.as_slice())).collect();
        let mut packet = Vec::new();
        write_header(&mut packet, &OutHeader { marker, payload_type, sequence, timestamp, ssrc, csrc }, &borrowed);
        prop_assert_eq!(packet.len() % 4, 0);
        if csrc.is_some() {
            let lens: Vec<(u8, usize)> = extensions.iter().map(|(id, value)| (*id, value.len())).collect();
            prop_assert_eq!(packet.len(), header_len(&lens), "what was foretold");
        }
        packet.extend_from_slice(&payload);
        let header = RtpHeader::parse(&packet).unwrap();
        prop_assert_eq!(
            (header.marker, header.payload_type, header.sequence, header.timestamp, header.ssrc),
            (marker, payload_type, sequence, timestamp, ssrc)
        );
        prop_assert!(!header.has_padding);
        prop_assert_eq!(header.csrcs(&packet).collect::<Vec<_>>(), csrc.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(header.extensions(&packet).collect::<Vec<_>>(), borrowed);
        prop_assert_eq!(header.payload(&packet), Ok(&payload[..]));
    }

    #[test]
    fn written_reports_read_back(
        blocks in prop::collection::vec(report(), 0..=31),
        ssrc in any::<u32>(),
        sent in any::<(u64, u32, u32, u32)>(),
    ) {
        let mut packet = Vec::new();
        write_receiver_report(&mut packet, ssrc, &blocks);
        write_sender_report(&mut packet, ssrc, sent.0, sent.1, sent.2, sent.3, &blocks);
        let mut compound = parse_compound(&packet);
        let Some(Ok(RtcpPacket::ReceiverReport { ssrc: receiver, reports })) = compound.next() else {
            return Err(TestCaseError::fail("no receiver report"));
        };
        prop_assert_eq!((receiver, reports.collect::<Vec<_>>()), (ssrc, blocks.clone()));
        let Some(Ok(RtcpPacket::SenderReport { ssrc: sender, ntp, rtp, packets, octets, reports })) = compound.next()
        else {
            return Err(TestCaseError::fail("no sender report"));
        };
        prop_assert_eq!((sender, (ntp, rtp, packets, octets)), (ssrc, sent));
        prop_assert_eq!(reports.collect::<Vec<_>>(), blocks);
        prop_assert_eq!(compound.next(), None);
    }

    #[test]
    fn written_requests_read_back_in_any_number_of_packets(
        first in any::<u16>(),
        gaps in prop::collection::vec(prop_oneof![4 => 1u16..18, 1 => 18u16..60], 0..600),
    ) {
        let seqs: Vec<u16> = std::iter::once(first)
            .chain(gaps.iter().scan(first, |seq, gap| { *seq = seq.wrapping_add(*gap); Some(*seq) }))
            .collect();
        let (mut rest, mut read) = (&seqs[..], Vec::new());
        while !rest.is_empty() {
            let mut packet = Vec::new();
            let covered = write_nack(&mut packet, 1, 2, rest);
            prop_assert!(covered > 0 && packet.len() <= 1_200);
            let Some(Ok(RtcpPacket::Nack { entries, .. })) = parse_compound(&packet).next() else {
                return Err(TestCaseError::fail("no request"));
            };
            read.extend(entries);
            rest = &rest[covered..];
        }
        prop_assert_eq!(read, seqs);
    }
}
