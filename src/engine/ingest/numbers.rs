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

/// VP8 numbers of a packet, in the form that every slot uses: 15-bit picture id and TL0PICIDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureNumbers {
    /// 15 bits.
    pub picture_id: u16,
    /// 8 bits.
    pub tl0_pic_idx: u8,
}
