//! What stands in the clear: which protocol a datagram is (RFC 7983), and the header of an SRTP packet (RFC 3550, RFC
//! 8285).
//!
//! A receiver that only counts reads nothing else, so this allocates nothing and looks at each byte once.

/// What a datagram is, by its first two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    Unknown,
}

impl Protocol {
    /// Of a datagram.
    pub(crate) fn of(datagram: &[u8]) -> Self {
        match datagram {
            [0..=3, ..] => Self::Stun,
            [20..=63, ..] => Self::Dtls,
            // RFC 5761 section 4.
            [128..=191, 192..=223, ..] => Self::Rtcp,
            [128..=191, ..] => Self::Rtp,
            _ => Self::Unknown,
        }
    }
}

/// Ids of the header extensions that we offer; the server mirrors them.
pub(crate) mod extension {
    /// RFC 6464.
    pub(crate) const AUDIO_LEVEL: u8 = 1;
    /// Transport-wide congestion control.
    pub(crate) const TRANSPORT_CC: u8 = 3;
    /// RFC 9143 section 15.
    pub(crate) const MID: u8 = 4;
    /// RFC 8852.
    pub(crate) const RID: u8 = 10;
    /// RFC 8852.
    pub(crate) const REPAIRED_RID: u8 = 11;
}

/// Profiles of header extensions.
const ONE_BYTE: u16 = 0xBEDE;
const TWO_BYTES: u16 = 0x1000;
/// The four lowest bits of the two-byte profile are the application's.
const TWO_BYTES_MASK: u16 = 0xFFF0;
const FIXED_BYTES: usize = 12;

/// The clear header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clear {
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// The transport-wide sequence number.
    pub(crate) transport_sequence: Option<u16>,
}

impl Clear {
    /// Reads the header at the start of a packet, of which the end may be missing.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let (fixed, rest) = packet.split_first_chunk::<FIXED_BYTES>()?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != 2 {
            return None;
        }
        let rest = rest.get(usize::from(first & 0x0F) * 4..)?;
        let transport_sequence = if first & 0x10 == 0 { None } else { transport_sequence(rest) };
        Some(Self {
            payload_type: second & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            transport_sequence,
        })
    }
}

/// Looks for the transport-wide sequence number in what follows the CSRCs.
fn transport_sequence(block: &[u8]) -> Option<u16> {
    let (head, rest) = block.split_first_chunk::<4>()?;
    let [p0, p1, l0, l1] = *head;
    let profile = u16::from_be_bytes([p0, p1]);
    let mut rest = rest.get(..usize::from(u16::from_be_bytes([l0, l1])) * 4)?;
    loop {
        let (first, behind) = rest.split_first()?;
        if *first == 0 {
            rest = behind;
            continue;
        }
        let (id, length, behind) = if profile == ONE_BYTE {
            (first >> 4, usize::from(first & 0x0F) + 1, behind)
        } else if profile & TWO_BYTES_MASK == TWO_BYTES {
            let (length, behind) = behind.split_first()?;
            (*first, usize::from(*length), behind)
        } else {
            return None;
        };
        let (value, behind) = behind.split_at_checked(length)?;
        if id == extension::TRANSPORT_CC {
            return value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use bytes::Bytes;
    use proptest::prelude::*;
    use rtc_shared::marshal::Marshal;
    use rtp::Header;

    use super::*;

    #[test]
    fn protocols_are_told_apart_by_their_first_bytes() {
        for (datagram, protocol) in [
            (&[0, 1][..], Protocol::Stun),
            (&[22, 254], Protocol::Dtls),
            (&[0x80, 96], Protocol::Rtp),
            (&[0x90, 0x80 | 111], Protocol::Rtp),
            (&[0x81, 200], Protocol::Rtcp),
            (&[0x8F, 205], Protocol::Rtcp),
            (&[64, 0], Protocol::Unknown),
            (&[], Protocol::Unknown),
        ] {
            assert_eq!(Protocol::of(datagram), protocol, "{datagram:?}");
        }
    }

    proptest! {
        #[test]
        fn a_header_is_read_as_the_other_implementation_writes_it(
            (sequence_number, timestamp, ssrc, wide) in any::<(u16, u32, u32, u16)>(),
            csrc in proptest::collection::vec(any::<u32>(), 0..4),
            mid in "[a-z]{1,20}",
            marker: bool,
        ) {
            let mut header = Header {
                version: 2, payload_type: 96, sequence_number, timestamp, ssrc, csrc, marker, ..Header::default()
            };
            // The first decides about the form: more than sixteen bytes make it the two-byte form.
            header.set_extension(extension::MID, Bytes::from(mid)).unwrap();
            header.set_extension(extension::AUDIO_LEVEL, Bytes::from_static(&[5])).unwrap();
            header.set_extension(extension::TRANSPORT_CC, Bytes::copy_from_slice(&wide.to_be_bytes())).unwrap();
            let bytes = header.marshal().unwrap();
            let clear =
                Clear { payload_type: 96, sequence: sequence_number, timestamp, ssrc, transport_sequence: Some(wide) };
            prop_assert_eq!(Clear::read(&bytes), Some(clear));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
            let _ = Clear::read(&bytes);
            let _ = Clear::read(&[&[0x91, 96][..], &bytes].concat());
            let _ = Protocol::of(&bytes);
        }
    }
}
