//! A publisher's camera: RTP payloads in the form of VP8, with the sizes and the rhythm of a real encoder.
//!
//! Nothing decodes them, but everything that a forwarding server looks at is right: the payload descriptor with its
//! 15-bit picture id and TL0PICIDX (RFC 7741), the frame tag, and in key frames the start code and the size (RFC 6386 section 9.1).
//! Frames vary by 30 percent, key frames are six times the size of others, packets of a frame are about equally long,
//! as libwebrtc makes them. The stamp follows the VP8 header in a frame's first packet and stands at the start of the
//! others.

use bytes::{BufMut, Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rtp::codec::vp8::Vp8Packet;
use rtp::packetizer::Depacketizer;

use super::stamp::{STAMP_BYTES, Stamp};

/// Pictures a second.
pub const FRAMES_PER_SECOND: u32 = 30;
/// RTP clock ticks from picture to picture.
pub const FRAME_TICKS: u32 = 90_000 / FRAMES_PER_SECOND;
/// Largest payload, about libwebrtc's: leaves room for headers, extensions and the seal.
const PAYLOAD_BYTES: usize = 1_170;
/// Key frames are so many times the mean.
const KEY_FRAME_FACTOR: usize = 6;
/// Frames differ from the mean by so much at most.
const SPREAD_PERCENT: usize = 30;
/// Descriptor: first byte, extension byte, two bytes of picture id, TL0PICIDX, temporal layer.
const DESCRIPTOR_BYTES: usize = 6;
/// What follows the first byte: picture id, TL0PICIDX and temporal layer.
const DESCRIPTOR_EXTENSIONS: u8 = 0b1110_0000;
/// Temporal layer 0, which depends on nothing but layer 0.
const BASE_LAYER: u8 = 0b0010_0000;
/// Picture ids count to here.
const PICTURE_ID_MASK: u16 = 0x7FFF;
/// Frame tag and, in key frames, start code and size.
const KEY_HEADER_BYTES: usize = 10;
const START_CODE: [u8; 3] = [0x9D, 0x01, 0x2A];
const WIDTH: u16 = 640;
const HEIGHT: u16 = 360;

/// An endless camera.
#[derive(Debug)]
pub struct Picture {
    publisher: u16,
    unit: u32,
    picture_id: u16,
    mean_bytes: usize,
    random: StdRng,
}

/// A frame whose packets have not all been taken.
#[derive(Debug)]
pub struct Frame {
    key: bool,
    picture_id: u16,
    publisher: u16,
    unit: u32,
    bytes: usize,
    packet: usize,
    packets: usize,
}

impl Picture {
    /// The camera of a publisher. The same number gives the same pictures.
    #[must_use]
    pub fn new(publisher: u16, bits_per_second: u32) -> Self {
        let mut random = StdRng::seed_from_u64(u64::from(publisher));
        let picture_id = random.random::<u16>() & PICTURE_ID_MASK;
        let mean_bytes = (bits_per_second / 8 / FRAMES_PER_SECOND) as usize;
        Self { publisher, unit: 0, picture_id, mean_bytes, random }
    }

    /// The next frame.
    pub fn frame(&mut self, key: bool) -> Frame {
        let spread = self.mean_bytes * SPREAD_PERCENT / 100;
        let usual = self.random.random_range(self.mean_bytes - spread..=self.mean_bytes + spread);
        let wanted = if key { self.mean_bytes * KEY_FRAME_FACTOR } else { usual };
        let packets = wanted.div_ceil(PAYLOAD_BYTES - DESCRIPTOR_BYTES).max(1);
        let frame = Frame {
            key,
            picture_id: self.picture_id,
            publisher: self.publisher,
            unit: self.unit,
            bytes: wanted,
            packet: 0,
            packets,
        };
        self.unit = self.unit.wrapping_add(1);
        self.picture_id = self.picture_id.wrapping_add(1) & PICTURE_ID_MASK;
        frame
    }
}

impl Frame {
    /// The next packet's payload, stamped with the time at which it is sent, and whether it is the frame's last.
    pub fn packet(&mut self, sent: u64) -> Option<(Bytes, bool)> {
        if self.packet == self.packets {
            return None;
        }
        let first = self.packet == 0;
        let share = self.bytes * (self.packet + 1) / self.packets - self.bytes * self.packet / self.packets;
        self.packet += 1;
        let mut bytes = BytesMut::with_capacity(PAYLOAD_BYTES);
        bytes.put_u8(if first { 0x90 } else { 0x80 });
        bytes.put_u8(DESCRIPTOR_EXTENSIONS);
        bytes.put_u16(0x8000 | self.picture_id);
        // There is one temporal layer, so that every picture is of layer 0.
        bytes.put_u8(self.unit as u8);
        bytes.put_u8(BASE_LAYER);
        if first {
            self.put_header(&mut bytes);
        }
        bytes.put_slice(&Stamp { publisher: self.publisher, unit: self.unit, sent }.to_bytes());
        let length = (DESCRIPTOR_BYTES + share).max(bytes.len());
        // Encoded video looks like noise; a constant would let a compressing link cheat.
        let mut noise = self.unit.wrapping_mul(0x9E37_79B9).wrapping_add(share as u32) | 1;
        while bytes.len() < length {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            bytes.put_u8(noise as u8);
        }
        Some((bytes.freeze(), self.packet == self.packets))
    }

    /// Whether it can be decoded without another.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.key
    }

    fn put_header(&self, bytes: &mut BytesMut) {
        let partition = self.bytes.saturating_sub(KEY_HEADER_BYTES).clamp(STAMP_BYTES, 0x7_FFFF) as u32;
        // Bit 0: not a key frame; bits 1 to 3: version 0; bit 4: shown; then the first partition's size.
        let tag = u32::from(!self.key) | 1 << 4 | partition << 5;
        bytes.put_uint_le(tag.into(), 3);
        if self.key {
            bytes.put_slice(&START_CODE);
            bytes.put_u16_le(WIDTH);
            bytes.put_u16_le(HEIGHT);
        }
    }
}

/// What a received payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// It begins a key frame of the right size.
    pub begins_key_frame: bool,
    /// Its stamp, if it is one of ours and whole.
    pub stamp: Option<Stamp>,
}

/// Reads a payload. `None`: no VP8 at all.
#[must_use]
pub fn read(payload: &Bytes) -> Option<Seen> {
    let mut descriptor = Vp8Packet::default();
    let data = descriptor.depacketize(payload).ok()?;
    if descriptor.s == 0 || descriptor.pid != 0 {
        return Some(Seen { begins_key_frame: false, stamp: Stamp::at_start(&data) });
    }
    let (tag, rest) = data.split_first_chunk::<3>()?;
    if tag[0] & 1 == 1 {
        return Some(Seen { begins_key_frame: false, stamp: Stamp::at_start(rest) });
    }
    let after_code = rest.strip_prefix(&START_CODE)?;
    let (width, rest) = after_code.split_first_chunk()?;
    let (height, rest) = rest.split_first_chunk()?;
    let right_size = (u16::from_le_bytes(*width), u16::from_le_bytes(*height)) == (WIDTH, HEIGHT);
    Some(Seen { begins_key_frame: right_size, stamp: Stamp::at_start(rest) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn packets(frame: &mut Frame) -> Vec<(Bytes, bool)> {
        std::iter::from_fn(|| frame.packet(77)).collect()
    }

    #[test]
    fn a_key_frame_says_so_once_and_every_packet_is_stamped() {
        let mut picture = Picture::new(5, 600_000);
        picture.frame(false);
        let packets = packets(&mut picture.frame(true));
        assert!(packets.len() > 10, "{}", packets.len());
        for (at, (payload, last)) in packets.iter().enumerate() {
            let seen = read(payload).unwrap();
            assert_eq!(seen.begins_key_frame, at == 0);
            assert_eq!(seen.stamp, Some(Stamp { publisher: 5, unit: 1, sent: 77 }));
            assert_eq!(*last, at + 1 == packets.len());
        }
        // RFC 6386 section 9.1, byte by byte, behind the six bytes of the descriptor.
        assert_eq!(packets[0].0[6] & 0b0001_1111, 0b0001_0000, "key frame, version 0, shown");
        assert_eq!(packets[0].0[9..16], [0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01], "start code, 640x360");
    }

    #[test]
    fn picture_ids_count_by_one_and_wrap_at_fifteen_bits() {
        let mut picture = Picture::new(0, 300_000);
        picture.picture_id = PICTURE_ID_MASK - 1;
        let ids: Vec<u16> = (0..4)
            .map(|_| {
                let (payload, _) = picture.frame(false).packet(0).unwrap();
                let mut descriptor = Vp8Packet::default();
                descriptor.depacketize(&payload).unwrap();
                assert_eq!((descriptor.x, descriptor.i, descriptor.s, descriptor.pid), (1, 1, 1, 0));
                assert_eq!((descriptor.l, descriptor.t, descriptor.tid), (1, 1, 0));
                descriptor.picture_id
            })
            .collect();
        assert_eq!(ids, [PICTURE_ID_MASK - 1, PICTURE_ID_MASK, 0, 1]);
    }

    #[test]
    fn frames_keep_to_the_bit_rate() {
        let mut picture = Picture::new(9, 600_000);
        let sizes: Vec<usize> = (0..600)
            .map(|_| packets(&mut picture.frame(false)).iter().map(|(payload, _)| payload.len()).sum())
            .collect();
        let bits = sizes.iter().sum::<usize>() * 8 / 20;
        assert!((580_000..640_000).contains(&bits), "{bits}");
        assert!(sizes.iter().max().unwrap() * 2 > sizes.iter().min().unwrap() * 3, "sizes vary");
    }

    proptest! {
        #[test]
        fn every_bit_rate_fits_into_packets(publisher: u16, bits in 1_u32..20_000_000, key: bool) {
            for (payload, _) in packets(&mut Picture::new(publisher, bits).frame(key)) {
                prop_assert!(payload.len() <= PAYLOAD_BYTES, "{}", payload.len());
                let stamp = read(&payload).and_then(|seen| seen.stamp);
                prop_assert_eq!(stamp, Some(Stamp { publisher, unit: 0, sent: 77 }));
            }
        }

        #[test]
        fn arbitrary_payloads_never_panic(bytes in any::<Vec<u8>>(), head in 0_u8..=255) {
            let _ = read(&Bytes::from(bytes.clone()));
            let _ = read(&Bytes::from([&[0x90, head][..], &bytes].concat()));
        }
    }
}
