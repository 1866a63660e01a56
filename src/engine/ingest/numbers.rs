//! The numbers that a packet had when it left its source, and where it belongs in time.
//!
//! Made by `stream`, read by `egress/rewrite`.
//!
//! RFC 3550 §5.1 (sequence, timestamp), RFC 7741 §4.2 (VP8 picture id, TL0PICIDX).

/// Numbers of a packet as they left the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Unwrapped sequence number.
    pub sequence: u64,
    /// RTP time.
    pub timestamp: u32,
    /// Where the packet belongs on a slot clock of base 0: source time plus transit floor.
    pub target: u32,
}

/// Numbers of a packet's picture, in the form that every slot uses: VP8's and VP9's picture id and TL0PICIDX, AV1's frame number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureNumbers {
    /// 15 bits.
    pub picture_id: u16,
    /// 8 bits.
    pub tl0_pic_idx: u8,
    /// Of the dependency descriptor, 16 bits.
    pub frame_number: u16,
}

/// Picture ids have 15 bits.
pub const PICTURE_ID_MASK: u16 = 0x7fff;

impl PictureNumbers {
    /// These numbers moved on by `offset`.
    #[must_use]
    pub const fn plus(self, offset: Self) -> Self {
        Self {
            picture_id: self.picture_id.wrapping_add(offset.picture_id) & PICTURE_ID_MASK,
            tl0_pic_idx: self.tl0_pic_idx.wrapping_add(offset.tl0_pic_idx),
            frame_number: self.frame_number.wrapping_add(offset.frame_number),
        }
    }

    /// The offset that leads from `origin` to these.
    #[must_use]
    pub const fn less(self, origin: Self) -> Self {
        Self {
            picture_id: self.picture_id.wrapping_sub(origin.picture_id) & PICTURE_ID_MASK,
            tl0_pic_idx: self.tl0_pic_idx.wrapping_sub(origin.tl0_pic_idx),
            frame_number: self.frame_number.wrapping_sub(origin.frame_number),
        }
    }
}
