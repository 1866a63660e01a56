//! Makes frames of packets that come in order.
//!
//! The `rtp` crate reads the payload formats; what it leaves open is decided in the files beside this one: where a
//! frame begins and ends, which is a key frame, what a file's head must say of it, what a hole does.
//!
//! ```text
//! Payload --> Opus: each is a frame
//!         \-> Assembler<Vp8 | Vp9 | H264 | Av1>: packets of one time --> Frame
//! ```
//!
//! The files name the documents that they follow.

mod assembler;
mod av1;
mod bits;
mod h264;
pub(crate) mod opus;
mod sequence_header;
mod sps;
mod vp8;
mod vp9;

use bytes::Bytes;

use crate::manifest::TrackCodec;
use crate::webm::Media;
use assembler::Assembler;

/// A frame larger than this is dropped: no sender of ours makes one, and it bounds what a hostile one can make us hold.
pub(crate) const MAX_FRAME_BYTES: usize = 4 << 20;

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

/// One encoded picture or piece of sound, as it goes into a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) at_us: i64,
    /// What a file that begins with this frame carries; only where one can: on key frames, and on all sound. A file
    /// that carries something else ([`Media::goes_with`]) cannot take it.
    pub(crate) format: Option<Media>,
    pub(crate) data: Bytes,
}

impl Frame {
    /// Whether a decoder can begin here.
    pub(crate) fn is_key(&self) -> bool {
        self.format.is_some()
    }
}

/// Takes packets apart, by codec.
#[derive(Debug)]
pub(crate) enum Depacketiser {
    Opus(opus::Opus),
    Vp8(Assembler<vp8::Vp8>),
    Vp9(Assembler<vp9::Vp9>),
    H264(Assembler<h264::H264>),
    Av1(Assembler<av1::Av1>),
}

impl Depacketiser {
    pub(crate) fn new(codec: TrackCodec) -> Self {
        match codec {
            TrackCodec::Opus => Self::Opus(opus::Opus::default()),
            TrackCodec::Vp8 => Self::Vp8(Assembler::default()),
            TrackCodec::Vp9 => Self::Vp9(Assembler::default()),
            TrackCodec::H264 => Self::H264(Assembler::default()),
            TrackCodec::Av1 => Self::Av1(Assembler::default()),
        }
    }

    /// Takes the next packet; frames that are whole now go to `out`.
    pub(crate) fn push(&mut self, packet: &Payload, out: &mut Vec<Frame>) {
        // Padding (RFC 3550 §5.1) takes a number in the sequence and belongs to no frame.
        if packet.data.is_empty() {
            return;
        }
        match self {
            Self::Opus(opus) => opus.push(packet, out),
            Self::Vp8(assembler) => assembler.push(packet, out),
            Self::Vp9(assembler) => assembler.push(packet, out),
            Self::H264(assembler) => assembler.push(packet, out),
            Self::Av1(assembler) => assembler.push(packet, out),
        }
    }

    /// The packet before the next one is missing.
    pub(crate) fn handle_loss(&mut self) {
        match self {
            Self::Opus(_) => {}
            Self::Vp8(assembler) => assembler.handle_loss(),
            Self::Vp9(assembler) => assembler.handle_loss(),
            Self::H264(assembler) => assembler.handle_loss(),
            Self::Av1(assembler) => assembler.handle_loss(),
        }
    }

    /// The sender paused: video must begin with a key frame again.
    pub(crate) fn restart(&mut self) {
        match self {
            Self::Opus(_) => {}
            Self::Vp8(assembler) => assembler.restart(),
            Self::Vp9(assembler) => assembler.restart(),
            Self::H264(assembler) => assembler.restart(),
            Self::Av1(assembler) => assembler.restart(),
        }
    }

    /// Frames dropped because a part of them, or of what they refer to, was missing or wrong.
    pub(crate) fn broken_frames(&self) -> u64 {
        match self {
            Self::Opus(opus) => opus.broken(),
            Self::Vp8(assembler) => assembler.broken_frames(),
            Self::Vp9(assembler) => assembler.broken_frames(),
            Self::H264(assembler) => assembler.broken_frames(),
            Self::Av1(assembler) => assembler.broken_frames(),
        }
    }
}

#[cfg(test)]
mod tests;
