//! Which packets of one receiver leave as one train.
//!
//! A GSO train is one system call for many datagrams, and the kernel cuts it at one size: all segments are equal except
//! the last, which may be shorter. A frame's packets rarely are, so the shorter ones are filled up with RTP padding, within
//! limits that keep it cheaper than what it saves (`docs/decisions`: the system call costs ten times the cipher).
//!
//! ```text
//! endpoint: sealed lengths of what is due -> plan -> how many leave together, segment size -> padding of each -> seal
//! ```
//!
//! Pure arithmetic: no packet, no clock.

/// Most datagrams in one train. Sixteen cost a thirteenth of sixteen sends; longer trains save little more and put a
/// burst on the receiver's path.
pub const SEGMENTS_MAX: usize = 16;

/// RTP padding is counted in one octet (RFC 3550 §5.1).
const PADDING_MAX: u16 = 255;

/// Padding above this share of the train costs the receiver's path more than the call is worth.
const PADDING_PERCENT_MAX: u32 = 3;

/// Largest UDP payload over IPv4; the train is one before the kernel cuts it.
const TRAIN_BYTES_MAX: u32 = 65_507;

/// A packet that could leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Length of the datagram, sealed and without padding.
    pub len: u16,
    /// Whether RTP padding may be added. Never to audio.
    pub may_pad: bool,
}

/// A prefix of the packets that leaves as one train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Train {
    /// How many packets, 1..=[`SEGMENTS_MAX`]; 0 only when there was none.
    pub count: usize,
    /// Length of every datagram but the last, which is no longer than this.
    pub segment: u16,
}

impl Train {
    /// The padding of the train's packet at `index`, whose unpadded datagram has `len` octets.
    #[must_use]
    pub fn padding(&self, index: usize, len: u16) -> u8 {
        if index + 1 >= self.count {
            return 0;
        }
        u8::try_from(self.segment.saturating_sub(len)).unwrap_or(u8::MAX)
    }
}

/// The longest prefix of `packets` that may leave as one train. One packet always may.
#[must_use]
pub fn plan(packets: &[Planned]) -> Train {
    let mut train = Train::default();
    let mut segment = 0;
    let mut bytes = 0;
    // Of all packets but the last: what would have to be filled up to the segment.
    let mut before = Before { count: 0, bytes: 0, shortest: u16::MAX, shortest_rigid: u16::MAX };
    for (index, packet) in packets.iter().take(SEGMENTS_MAX).enumerate() {
        segment = segment.max(packet.len);
        bytes += u32::from(packet.len);
        let padding = before.count * u32::from(segment) - before.bytes;
        let fits = before.shortest_rigid >= segment
            && segment.saturating_sub(before.shortest) <= PADDING_MAX
            && 100 * padding <= PADDING_PERCENT_MAX * bytes
            && bytes + padding <= TRAIN_BYTES_MAX;
        if index == 0 || fits {
            train = Train { count: index + 1, segment };
        }
        before.add(*packet);
    }
    train
}

struct Before {
    count: u32,
    bytes: u32,
    shortest: u16,
    shortest_rigid: u16,
}

impl Before {
    fn add(&mut self, packet: Planned) {
        self.count += 1;
        self.bytes += u32::from(packet.len);
        self.shortest = self.shortest.min(packet.len);
        if !packet.may_pad {
            self.shortest_rigid = self.shortest_rigid.min(packet.len);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn video(lens: &[u16]) -> Vec<Planned> {
        lens.iter().map(|len| Planned { len: *len, may_pad: true }).collect()
    }

    fn planned(packets: &[Planned]) -> (usize, u16) {
        let train = plan(packets);
        (train.count, train.segment)
    }

    #[test]
    fn a_frame_of_equal_packets_with_a_short_last_one_is_one_train() {
        assert_eq!(planned(&video(&[1_200, 1_200, 1_200, 310])), (4, 1_200));
        assert_eq!(planned(&video(&[1_200])), (1, 1_200));
        assert_eq!(planned(&[]), (0, 0));
        let train = plan(&video(&[1_200, 1_200, 310]));
        assert_eq!([0, 1, 2].map(|at| train.padding(at, [1_200, 1_200, 310][at])), [0, 0, 0], "the last stays short");
    }

    #[test]
    fn packets_of_almost_one_size_are_padded_to_the_largest() {
        let lens = [1_172, 1_175, 1_174, 1_175, 400];
        let train = plan(&video(&lens));
        assert_eq!(train, Train { count: 5, segment: 1_175 });
        let padding: Vec<_> = (0..5).map(|at| train.padding(at, lens[at])).collect();
        assert_eq!(padding, [3, 0, 1, 0, 0]);
        assert_eq!(planned(&video(&[1_160, 1_190])), (2, 1_190), "a longer last one sets the size");
    }

    #[test]
    fn a_short_packet_in_the_middle_ends_the_train() {
        // A new frame begins behind the short end of the one before.
        assert_eq!(planned(&video(&[1_200, 1_200, 400, 1_200, 1_200])), (3, 1_200));
        assert_eq!(planned(&video(&[400, 1_200, 1_200])), (1, 400));
    }

    #[test]
    fn padding_stays_below_three_percent_of_the_train() {
        assert_eq!(planned(&video(&[1_000, 1_061])), (2, 1_061));
        assert_eq!(planned(&video(&[1_000, 1_062])), (1, 1_000), "62 of 2,062 octets is more");
        let long = video(&[1_000, 1_062, 1_062, 1_062]);
        assert_eq!(planned(&long), (4, 1_062), "of a longer train it is less");
    }

    #[test]
    fn no_packet_is_padded_by_more_than_one_octet_can_count() {
        let mut lens = vec![8_000; 15];
        lens[0] = 7_745;
        lens.truncate(8);
        assert_eq!(planned(&video(&lens)), (8, 8_000));
        lens[0] = 7_744;
        assert_eq!(planned(&video(&lens)), (1, 7_744));
    }

    #[test]
    fn audio_is_never_padded() {
        let audio = |len| Planned { len, may_pad: false };
        let video = |len| Planned { len, may_pad: true };
        assert_eq!(planned(&[video(1_200), video(1_200), audio(120)]), (3, 1_200), "last and short");
        assert_eq!(planned(&[audio(120), audio(120), audio(120)]), (3, 120), "of one size");
        assert_eq!(planned(&[audio(120), audio(119), audio(120)]), (2, 120));
        assert_eq!(planned(&[audio(119), audio(120)]), (1, 119));
        assert_eq!(planned(&[video(1_200), audio(120), video(1_200)]), (2, 1_200));
        assert_eq!(planned(&[video(1_199), audio(1_200), video(300)]), (3, 1_200), "exactly the segment");
    }

    #[test]
    fn a_train_has_at_most_sixteen_packets_and_fits_one_send() {
        assert_eq!(planned(&video(&[1_200; 40])), (SEGMENTS_MAX, 1_200));
        assert_eq!(planned(&video(&[9_000; 16])), (7, 9_000));
        assert_eq!(planned(&video(&[u16::MAX; 16])), (1, u16::MAX));
    }

    /// What a train must satisfy, checked packet by packet.
    fn may_leave(packets: &[Planned]) -> bool {
        let segment = packets.iter().map(|packet| packet.len).max().unwrap_or(0);
        let Some((_, filled)) = packets.split_last() else { return false };
        let paddings = filled.iter().map(|packet| u32::from(segment - packet.len));
        let bytes: u32 = packets.iter().map(|packet| u32::from(packet.len)).sum();
        packets.len() == 1
            || filled.iter().all(|packet| packet.may_pad || packet.len == segment)
                && paddings.clone().all(|padding| padding <= 255)
                && 100 * paddings.clone().sum::<u32>() <= 3 * bytes
                && bytes + paddings.sum::<u32>() <= 65_507
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn the_plan_is_the_longest_prefix_that_may_leave(
            packets in prop::collection::vec(
                (prop_oneof![4 => 1_100u16..1_210, 1 => 60u16..200, 1 => any::<u16>(), 2 => Just(1_200u16)], 0u8..8), 0..20),
        ) {
            let packets: Vec<Planned> =
                packets.into_iter().map(|(len, sort)| Planned { len, may_pad: sort > 0 }).collect();
            let train = plan(&packets);
            let expected = (1..=packets.len().min(SEGMENTS_MAX)).rev().find(|count| may_leave(&packets[..*count]));
            prop_assert_eq!(train.count, expected.unwrap_or(0));
            for (index, packet) in packets[..train.count].iter().enumerate() {
                let sent = packet.len + u16::from(train.padding(index, packet.len));
                prop_assert!(sent == train.segment || index + 1 == train.count && sent <= train.segment);
                prop_assert!(packet.may_pad || train.padding(index, packet.len) == 0);
            }
        }
    }
}
