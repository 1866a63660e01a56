//! Packets in, frames out: what is common to all codecs on VP8, then each by itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use proptest::prelude::*;
use rtp::packetizer::Payloader;

use super::*;

const ALL: [TrackCodec; 5] = [TrackCodec::Opus, TrackCodec::Vp8, TrackCodec::Vp9, TrackCodec::H264, TrackCodec::Av1];

const KEY: [u8; 12] = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 7, 7];
const DELTA: [u8; 3] = [0x11, 5, 5];
const START: u8 = 0x10;

fn packet(timestamp: u32, descriptor: u8, data: &[u8], marker: bool) -> Payload {
    let mut bytes = vec![descriptor];
    bytes.extend_from_slice(data);
    Payload { timestamp, marker, at_us: i64::from(timestamp), data: bytes.into() }
}

/// Frames that came out of packets so far.
pub(super) struct Bench(pub(super) Depacketiser, pub(super) Vec<Frame>);

impl Depacketiser {
    fn held_bytes(&self) -> usize {
        match self {
            Self::Opus(_) => 0,
            Self::Vp8(assembler) => assembler.held_bytes(),
            Self::Vp9(assembler) => assembler.held_bytes(),
            Self::H264(assembler) => assembler.held_bytes(),
            Self::Av1(assembler) => assembler.held_bytes(),
        }
    }
}

impl Bench {
    fn new() -> Self {
        Self::of(TrackCodec::Vp8)
    }
    pub(super) fn of(codec: TrackCodec) -> Self {
        Self(Depacketiser::new(codec), Vec::new())
    }
    /// A payload as it is on the wire.
    pub(super) fn payload(&mut self, timestamp: u32, data: &[u8], marker: bool) -> &mut Self {
        let data = Bytes::copy_from_slice(data);
        self.push(Payload { timestamp, marker, at_us: i64::from(timestamp), data })
    }
    fn push(&mut self, packet: Payload) -> &mut Self {
        self.0.push(&packet, &mut self.1);
        self
    }
    pub(super) fn times(&self) -> Vec<i64> {
        self.1.iter().map(|frame| frame.at_us).collect()
    }
}

#[test]
fn video_begins_at_the_first_key_frame_with_its_size() {
    let mut bench = Bench::new();
    bench.push(packet(1, START, &DELTA, true)).push(packet(2, START, &KEY, true)).push(packet(3, START, &DELTA, true));
    assert_eq!(bench.times(), [2, 3]);
    assert_eq!(bench.1[0].format, Some(Media::Vp8 { width: 640, height: 360 }));
    assert_eq!(bench.0.broken_frames(), 0, "what came before is not broken");
}

#[test]
fn fragments_are_joined_even_a_last_one_of_one_byte() {
    let mut bench = Bench::new();
    bench.push(packet(1, START, &KEY[..6], false)).push(packet(1, 0, &KEY[6..11], false)).push(packet(
        1,
        0,
        &KEY[11..],
        true,
    ));
    assert_eq!(bench.1[0].data.as_ref(), KEY);
}

#[test]
fn a_frame_with_a_hole_is_dropped_and_the_next_one_kept() {
    let mut bench = Bench::new();
    bench.push(packet(1, START, &KEY, true)).push(packet(2, START, &DELTA, false));
    bench.0.handle_loss();
    bench.push(packet(2, 0, &DELTA, true)).push(packet(3, START, &DELTA, true));
    assert_eq!((bench.times(), bench.0.broken_frames()), (vec![1, 3], 1));
    // Its head is missing.
    bench.0.handle_loss();
    bench.push(packet(4, 0, &DELTA, true)).push(packet(5, START, &DELTA, true));
    assert_eq!((bench.times(), bench.0.broken_frames()), (vec![1, 3, 5], 2));
}

#[test]
fn a_missing_marker_loses_nothing_when_no_packet_is_missing() {
    let mut bench = Bench::new();
    bench.push(packet(1, START, &KEY, false)).push(packet(2, START, &DELTA, true));
    assert_eq!(bench.times(), [1, 2]);
    bench.push(packet(3, START, &DELTA, false));
    bench.0.handle_loss();
    bench.push(packet(4, START, &DELTA, true));
    assert_eq!(bench.times(), [1, 2, 4], "here the marker packet itself was lost");
}

#[test]
fn padding_between_and_within_frames_is_no_part_of_them() {
    let mut bench = Bench::new();
    bench.payload(1, &[], false).push(packet(2, START, &KEY[..6], false)).payload(2, &[], false);
    bench.push(packet(2, 0, &KEY[6..], true)).payload(2, &[], false).push(packet(3, START, &DELTA, true));
    assert_eq!((bench.times(), bench.0.broken_frames()), (vec![2, 3], 0));
    let mut sound = Bench::of(TrackCodec::Opus);
    sound.payload(1, &[], false);
    assert_eq!((sound.1.len(), sound.0.broken_frames()), (0, 0));
}

/// Frames that never end hold no more than a frame may have.
#[test]
fn what_is_held_of_an_endless_frame_is_bounded() {
    let endless: [(TrackCodec, &[u8], &[u8]); 4] = [
        (TrackCodec::Vp8, &[0x10, 0x10, 0, 0], &[0]),
        (TrackCodec::Vp9, &[0x88, 1, 0x82], &[0x80, 1]),
        (TrackCodec::H264, &[0x7C, 0x85, 0x88], &[0x7C, 0x05]),
        (TrackCodec::Av1, &[0x50, 0x30, 0x10], &[0xD0]),
    ];
    for (codec, begins, goes_on) in endless {
        let mut bench = Bench::of(codec);
        bench.payload(1, begins, false);
        let part = [goes_on, &[1; 60_000]].concat();
        let mut most = 0;
        for _ in 0..200 {
            bench.payload(1, &part, false);
            most = most.max(bench.0.held_bytes());
        }
        assert!(most > MAX_FRAME_BYTES / 2, "{codec:?} holds {most}: it must collect at all");
        assert!(most <= MAX_FRAME_BYTES + part.len(), "{codec:?} holds {most}");
        assert!(bench.0.held_bytes() < MAX_FRAME_BYTES / 2, "{codec:?} gave it up");
    }
}

#[test]
fn after_a_pause_a_key_frame_is_awaited_again() {
    let mut bench = Bench::new();
    bench.push(packet(1, START, &KEY, true));
    bench.0.restart();
    bench.push(packet(2, START, &DELTA, true)).push(packet(3, START, &KEY, true));
    assert_eq!(bench.times(), [1, 3]);
}

proptest! {
    #[test]
    fn any_payloads_never_panic_and_never_grow_past_the_limit(
        packets in proptest::collection::vec(
            (0u32..4, any::<bool>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..60),
    ) {
        for codec in ALL {
            let mut depacketiser = Depacketiser::new(codec);
            let mut out = Vec::new();
            for (timestamp, marker, loss, data) in &packets {
                if *loss {
                    depacketiser.handle_loss();
                }
                let data = Bytes::from(data.clone());
                let payload = Payload { timestamp: *timestamp, marker: *marker, at_us: 0, data };
                depacketiser.push(&payload, &mut out);
            }
            prop_assert!(out.iter().all(|frame| !frame.data.is_empty() && frame.data.len() <= MAX_FRAME_BYTES));
        }
    }

    #[test]
    fn whatever_is_packetised_comes_out_again(body in proptest::collection::vec(any::<u8>(), 0..3000), mtu in 20usize..1200) {
        use rtp::codec::vp8::Vp8Payloader;
        let mut frame = KEY.to_vec();
        frame.extend(body);
        let parts = Vp8Payloader::default().payload(mtu, &Bytes::from(frame.clone())).unwrap_or_default();
        let mut bench = Bench::new();
        for (i, data) in parts.iter().enumerate() {
            let marker = i + 1 == parts.len();
            bench.push(Payload { timestamp: 9, marker, at_us: 0, data: data.clone() });
        }
        prop_assert_eq!(bench.1.len(), 1);
        prop_assert_eq!(bench.1[0].data.as_ref(), &frame[..]);
    }
}
