//! Makes frames of packets that come in order.
//!
//! The `rtp` crate reads the payload formats; what it leaves open is decided here: where a VP8 frame begins and ends,
//! and what a hole does to it. A frame with a hole is dropped and counted, never passed on in part: a decoder shows
//! a stale picture rather than a torn one, and goes on with the next frame.
//!
//! RFC 7741 <https://www.rfc-editor.org/rfc/rfc7741> (VP8), RFC 7587 (Opus), RFC 6386 §9.1 (VP8 frame header).

use bytes::{Bytes, BytesMut};
use rtp::codec::opus::OpusPacket;
use rtp::codec::vp8::Vp8Packet;
use rtp::packetizer::Depacketizer as _;

use crate::manifest::TrackCodec;

/// A frame larger than this is dropped: no sender of ours makes one, and it bounds what a hostile one can make us hold.
pub(crate) const MAX_FRAME_BYTES: usize = 4 << 20;

/// The crate's VP8 reader refuses payloads under four bytes, though a short last fragment is legal (RFC 7741 §4.4).
const VP8_READER_MINIMUM: usize = 4;

/// One packet as the depacketiser needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// RTP time: the same for all packets of a frame.
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Where its time lies on the recording's clock.
    pub(crate) at_us: i64,
    pub(crate) data: Bytes,
}

/// One encoded picture or piece of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) at_us: i64,
    pub(crate) key: bool,
    /// Width and height, on video key frames.
    pub(crate) dimensions: Option<(u16, u16)>,
    pub(crate) data: Bytes,
}

/// Takes packets apart, by codec.
#[derive(Debug)]
pub(crate) enum Depacketiser {
    Opus,
    Vp8(Vp8Assembler),
}

impl Depacketiser {
    pub(crate) fn new(codec: TrackCodec) -> Self {
        match codec {
            TrackCodec::Opus => Self::Opus,
            TrackCodec::Vp8 => Self::Vp8(Vp8Assembler::default()),
        }
    }

    /// Takes the next packet; frames that are whole now go to `out`.
    pub(crate) fn push(&mut self, packet: Payload, out: &mut Vec<Frame>) {
        match self {
            Self::Opus => out.extend(opus_frame(&packet)),
            Self::Vp8(assembler) => assembler.push(packet, out),
        }
    }

    /// The packet before the next one is missing.
    pub(crate) fn handle_loss(&mut self) {
        if let Self::Vp8(assembler) = self
            && let Some(open) = &mut assembler.open
        {
            open.broken = true;
        }
    }

    /// The sender paused: video must begin with a key frame again.
    pub(crate) fn restart(&mut self) {
        if let Self::Vp8(assembler) = self {
            assembler.open = None;
            assembler.started = false;
        }
    }

    /// Frames dropped because a part of them was missing or wrong.
    pub(crate) fn broken_frames(&self) -> u64 {
        match self {
            Self::Opus => 0,
            Self::Vp8(assembler) => assembler.broken_frames,
        }
    }
}

fn opus_frame(packet: &Payload) -> Option<Frame> {
    let data = OpusPacket.depacketize(&packet.data).ok()?;
    Some(Frame { at_us: packet.at_us, key: true, dimensions: None, data })
}

/// Collects the packets of one VP8 frame.
#[derive(Debug, Default)]
pub(crate) struct Vp8Assembler {
    open: Option<OpenFrame>,
    /// Whether a key frame was seen: nothing before it can be decoded.
    started: bool,
    broken_frames: u64,
}

#[derive(Debug)]
struct OpenFrame {
    timestamp: u32,
    at_us: i64,
    data: BytesMut,
    broken: bool,
}

impl Vp8Assembler {
    fn push(&mut self, packet: Payload, out: &mut Vec<Frame>) {
        // A new time without a marker before it: no packet was missing, or the frame were marked broken, so it is whole.
        if self.open.as_ref().is_some_and(|open| open.timestamp != packet.timestamp) {
            self.close(out);
        }
        let parsed = vp8_payload(&packet.data);
        let begins = parsed.as_ref().is_some_and(|(begins, _)| *begins);
        let open = self.open.get_or_insert_with(|| OpenFrame {
            timestamp: packet.timestamp,
            at_us: packet.at_us,
            data: BytesMut::new(),
            broken: !begins,
        });
        match parsed {
            Some((_, data)) if open.data.len() + data.len() <= MAX_FRAME_BYTES => open.data.extend_from_slice(&data),
            _ => open.broken = true,
        }
        if packet.marker {
            self.close(out);
        }
    }

    fn close(&mut self, out: &mut Vec<Frame>) {
        let Some(open) = self.open.take() else { return };
        let data = open.data.freeze();
        let Some(kind) = FrameKind::of(&data).filter(|_| !open.broken) else {
            self.broken_frames += 1;
            return;
        };
        let dimensions = match kind {
            FrameKind::Key { width, height } => Some((width, height)),
            FrameKind::Delta => None,
        };
        self.started |= dimensions.is_some();
        if self.started {
            out.push(Frame { at_us: open.at_us, key: dimensions.is_some(), dimensions, data });
        }
    }
}

/// Whether a frame begins here, and the payload behind the descriptor.
fn vp8_payload(data: &Bytes) -> Option<(bool, Bytes)> {
    // A new reader per packet: it keeps flags of the last descriptor when the next one has no extension byte.
    let mut reader = Vp8Packet::default();
    let missing = VP8_READER_MINIMUM.saturating_sub(data.len());
    let payload = if missing == 0 {
        reader.depacketize(data).ok()?
    } else {
        let mut padded = BytesMut::from(data.as_ref());
        padded.resize(VP8_READER_MINIMUM, 0);
        let payload = reader.depacketize(&padded.freeze()).ok()?;
        payload.slice(..payload.len().checked_sub(missing)?)
    };
    (!payload.is_empty()).then_some((reader.s == 1 && reader.pid == 0, payload))
}

enum FrameKind {
    Key { width: u16, height: u16 },
    Delta,
}

impl FrameKind {
    /// RFC 6386 §9.1: three bytes of tag; on key frames a start code and the size.
    fn of(frame: &[u8]) -> Option<Self> {
        match frame {
            [tag, ..] if tag & 1 == 1 => Some(Self::Delta),
            [_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] => {
                let width = u16::from_le_bytes([*w0, *w1]) & 0x3FFF;
                let height = u16::from_le_bytes([*h0, *h1]) & 0x3FFF;
                (width > 0 && height > 0).then_some(Self::Key { width, height })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 12] = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 7, 7];
    const DELTA: [u8; 3] = [0x11, 5, 5];
    const START: u8 = 0x10;

    fn packet(timestamp: u32, descriptor: u8, data: &[u8], marker: bool) -> Payload {
        let mut bytes = vec![descriptor];
        bytes.extend_from_slice(data);
        Payload { timestamp, marker, at_us: i64::from(timestamp), data: bytes.into() }
    }

    struct Bench(Depacketiser, Vec<Frame>);

    impl Bench {
        fn new() -> Self {
            Self(Depacketiser::new(TrackCodec::Vp8), Vec::new())
        }
        fn push(&mut self, packet: Payload) -> &mut Self {
            self.0.push(packet, &mut self.1);
            self
        }
        fn times(&self) -> Vec<i64> {
            self.1.iter().map(|frame| frame.at_us).collect()
        }
    }

    #[test]
    fn video_begins_at_the_first_key_frame_with_its_size() {
        let mut bench = Bench::new();
        bench
            .push(packet(1, START, &DELTA, true))
            .push(packet(2, START, &KEY, true))
            .push(packet(3, START, &DELTA, true));
        assert_eq!(bench.times(), [2, 3]);
        assert_eq!(bench.1[0].dimensions, Some((640, 360)));
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
            for codec in [TrackCodec::Opus, TrackCodec::Vp8] {
                let mut depacketiser = Depacketiser::new(codec);
                let mut out = Vec::new();
                for (timestamp, marker, loss, data) in &packets {
                    if *loss {
                        depacketiser.handle_loss();
                    }
                    let data = Bytes::from(data.clone());
                    depacketiser.push(Payload { timestamp: *timestamp, marker: *marker, at_us: 0, data }, &mut out);
                }
                prop_assert!(out.iter().all(|frame| !frame.data.is_empty() && frame.data.len() <= MAX_FRAME_BYTES));
            }
        }

        #[test]
        fn whatever_is_packetised_comes_out_again(body in proptest::collection::vec(any::<u8>(), 0..3000), mtu in 20usize..1200) {
            use rtp::codec::vp8::Vp8Payloader;
            use rtp::packetizer::Payloader as _;
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
}
