//! Synthetic pictures, by codec: what stands in front of a packet's painted content, written and read.
//!
//! ```text
//! film -> Part -> head() ─ + content, filling ─> payload ... read() -> what a decoder would know of it, content
//! ```

use engine::id::Codec;
use wire::av1::Av1Aggregation;
use wire::h264::H264Payload;
use wire::vp8::Vp8Descriptor;
use wire::vp9::Vp9Descriptor;

/// Which packet of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) key_frame: bool,
    /// Which one of how many (of its spatial layer).
    pub(crate) at: u16,
    pub(crate) packets: u16,
    pub(crate) picture_id: u16,
    /// Counts pictures, too, beyond the range of their ids.
    pub(crate) counter: u32,
    /// VP9 and AV1: its spatial layer, and how many there are.
    pub(crate) spatial: (u8, u8),
}

impl Part {
    fn starts(self) -> bool {
        self.at == 0
    }

    fn ends(self) -> bool {
        self.at + 1 == self.packets
    }

    /// First packet of a key frame.
    fn brings_structure(self) -> bool {
        self.key_frame && self.starts() && self.spatial.0 == 0
    }

    /// The dependency descriptor of a stream of AV1 in spatial layers: template and decode target N are of layer N. No sizes, since
    /// with them it would not fit the one-byte form of header extensions.
    pub(crate) fn dependencies(self, codec: Codec) -> Option<Vec<u8>> {
        let (spatial, count) = self.spatial;
        if codec != Codec::Av1 || count < 2 {
            return None;
        }
        let mut bits = Bits::default();
        bits.push(1, u32::from(self.starts()));
        bits.push(1, u32::from(self.ends()));
        bits.push(6, u32::from(spatial));
        // Soon round the end of its 16 bits.
        bits.push(16, 65_500 + self.counter * u32::from(count) + u32::from(spatial));
        if self.brings_structure() {
            bits.push(5, 0b1_0000);
            // Offset of template ids; decode targets less one; the next template is of the next layer, or there is none.
            bits.push(6, 0);
            bits.push(5, u32::from(count) - 1);
            (1..count).for_each(|_| bits.push(2, 2));
            bits.push(2, 3);
            // A target requires its layer and those below.
            for layer in 0..count {
                (0..count).for_each(|target| bits.push(2, if layer <= target { 3 } else { 0 }));
            }
            // No references told, no chains (of which there could be one more than targets), no sizes.
            bits.push(u32::from(count), 0);
            bits.push((u32::from(count) + 1).ilog2(), 0);
            bits.push(1, 0);
        }
        Some(bits.octets)
    }

    /// What precedes the content.
    pub(crate) fn head(self, codec: Codec) -> Vec<u8> {
        let [high, low] = self.picture_id.to_be_bytes();
        match codec {
            // X, S; I; 15-bit picture id; then the frame tag's P bit in the first octet.
            Codec::Vp8 | Codec::Opus => {
                vec![0x80 | bit(0x10, self.starts()), 0x80, high | 0x80, low, u8::from(!self.key_frame)]
            }
            Codec::H264 => self.h264(),
            Codec::Vp9 => self.vp9(),
            // W: one OBU, which goes on (Y) and continues (Z); N: a sequence begins.
            Codec::Av1 => {
                let parts = bit(0x80, !self.starts()) | bit(0x40, !self.ends());
                vec![0x10 | parts | bit(0x08, self.brings_structure())]
            }
        }
    }

    /// A key frame's parameter sets have a packet of their own, with the content in the SPS; slices are fragments (FU-A).
    fn h264(self) -> Vec<u8> {
        if self.key_frame && self.starts() {
            return vec![0x60 | STAP_A, 0, 2, 0x68, 0xce, 0, 9, 0x67];
        }
        let starts = self.at == u16::from(self.key_frame);
        let part = bit(0x80, starts) | bit(0x40, self.ends() && !starts);
        vec![0x60 | 28, part | if self.key_frame { 5 } else { 1 }]
    }

    fn vp9(self) -> Vec<u8> {
        let [high, low] = self.picture_id.to_be_bytes();
        let (spatial, count) = self.spatial;
        let has_layers = count > 1;
        let structure = has_layers && self.brings_structure();
        // I; P; L; B; E; V.
        let flags = 0x80
            | bit(0x40, !self.key_frame)
            | bit(0x20, has_layers)
            | bit(0x08, self.starts())
            | bit(0x04, self.ends())
            | bit(0x02, structure);
        let mut head = vec![flags, high | 0x80, low];
        if has_layers {
            // SID and D; TL0PICIDX.
            head.extend([spatial << 1 | bit(0x01, spatial > 0), low]);
        }
        if structure {
            // N_S and Y, then the sizes, each twice as large as the one before.
            head.push((count - 1) << 5 | 0x10);
            for layer in 0..count {
                head.extend((320_u16 << layer).to_be_bytes());
                head.extend((180_u16 << layer).to_be_bytes());
            }
        }
        head
    }

    /// Whether anything may follow the content: of parameter sets nothing.
    pub(crate) fn is_filled(self, codec: Codec) -> bool {
        codec != Codec::H264 || !(self.key_frame && self.starts())
    }
}

/// Bits in their order, the last octet filled up with zeros.
#[derive(Default)]
struct Bits {
    octets: Vec<u8>,
    len: usize,
}

impl Bits {
    fn push(&mut self, width: u32, value: u32) {
        for at in (0..width).rev() {
            if self.len.is_multiple_of(8) {
                self.octets.push(0);
            }
            let octet = self.octets.last_mut().expect("one was pushed");
            *octet |= ((value >> at & 1) as u8) << (7 - self.len % 8);
            self.len += 1;
        }
    }
}

const STAP_A: u8 = 24;
/// STAP-A; the length of the PPS, and the PPS; the length of the SPS and its head.
const STAP_HEAD: usize = 1 + 4 + 3;

fn bit(bit: u8, is_set: bool) -> u8 {
    if is_set { bit } else { 0 }
}

/// Picture id and TL0PICIDX where the codec has them, whether a key frame starts, and the content of a payload.
pub(crate) fn read(codec: Codec, payload: &[u8]) -> (Option<(u16, u8)>, bool, &[u8]) {
    match codec {
        Codec::Vp8 | Codec::Opus => {
            let descriptor = Vp8Descriptor::parse(payload).expect("a VP8 descriptor");
            let picture = descriptor.picture_id.zip(descriptor.tl0_pic_idx);
            assert!(picture.is_some(), "they are always there");
            (picture, descriptor.starts_key_frame(payload), &payload[descriptor.len + 1..])
        }
        Codec::H264 => {
            let view = H264Payload::parse(payload).expect("an H.264 payload");
            (None, view.has_sps, &payload[if view.has_sps { STAP_HEAD } else { 2 }..])
        }
        Codec::Vp9 => {
            let view = Vp9Descriptor::parse(payload).expect("a VP9 descriptor");
            let picture = view.picture_id.map(|id| (id, view.tl0_pic_idx.unwrap_or(0)));
            (picture, view.starts_key_frame(), &payload[view.len..])
        }
        Codec::Av1 => {
            let view = Av1Aggregation::parse(payload).expect("an aggregation header");
            (None, view.starts_key_frame(), &payload[1..])
        }
    }
}
