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
    /// VP9: its spatial layer, and how many there are.
    pub(crate) spatial: (u8, u8),
}

impl Part {
    fn starts(self) -> bool {
        self.at == 0
    }

    fn ends(self) -> bool {
        self.at + 1 == self.packets
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
                vec![0x10 | parts | bit(0x08, self.key_frame && self.starts())]
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
        let structure = has_layers && self.key_frame && self.starts() && spatial == 0;
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
