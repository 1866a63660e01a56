//! Collects the packets of one picture, whatever its codec.
//!
//! ```text
//! Payload --Format::add--> open frame --marker, or a new time--> Format::finish --> Frame
//!             loss --> broken                                      waits for a key frame
//! ```
//!
//! A frame is all packets of one RTP time (RFC 3550 §5.1). One with a hole is dropped and counted, never passed on in
//! part. What follows a hole refers to what is missing: where a decoder would show garbage or fail, it is dropped as
//! well, up to the next key frame.

use bytes::{Bytes, BytesMut};

use super::{Frame, MAX_FRAME_BYTES, Payload};
use crate::webm::Media;

/// What is particular to a codec.
pub(crate) trait Format {
    /// Whether frames after a hole are of no use until a key frame comes.
    const AWAITS_KEY_AFTER_HOLE: bool = true;

    /// Takes a payload of the open frame, which is empty at its first. `None`: it cannot be read, or is not the first.
    fn add(&mut self, payload: &Bytes, frame: &mut BytesMut) -> Option<()>;

    /// Makes a picture of a frame without a hole; `None` when it is none.
    fn finish(&mut self, frame: BytesMut) -> Option<Picture>;

    /// The open frame will not be finished.
    fn abandon(&mut self) {}

    /// Bytes of the open frame that are not in it yet.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        0
    }
}

/// What a frame turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    Key(Media, Bytes),
    Delta(Bytes),
    /// Nothing to show or keep: parameter sets alone, a filler.
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct Assembler<F> {
    format: F,
    open: Option<OpenFrame>,
    /// A key frame came, and since then nothing that breaks what refers to it.
    decodable: bool,
    /// A key frame came at all: what is dropped before it is not missed.
    began: bool,
    broken_frames: u64,
}

#[derive(Debug)]
struct OpenFrame {
    timestamp: u32,
    at_us: i64,
    data: BytesMut,
    broken: bool,
}

impl<F: Format> Assembler<F> {
    pub(super) fn push(&mut self, packet: &Payload, out: &mut Vec<Frame>) {
        // A new time without a marker before it: no packet was missing, or the frame were marked broken, so it is whole.
        if self.open.as_ref().is_some_and(|open| open.timestamp != packet.timestamp) {
            self.close(out);
        }
        let open = self.open.get_or_insert_with(|| OpenFrame {
            timestamp: packet.timestamp,
            at_us: packet.at_us,
            data: BytesMut::new(),
            broken: false,
        });
        if !open.broken {
            let added = self.format.add(&packet.data, &mut open.data);
            if added.is_none() || open.data.len() > MAX_FRAME_BYTES {
                open.broken = true;
                open.data = BytesMut::new();
                self.format.abandon();
            }
        }
        if packet.marker {
            self.close(out);
        }
    }

    /// The packet before the next one is missing.
    pub(super) fn handle_loss(&mut self) {
        if let Some(open) = &mut self.open {
            open.broken = true;
        }
        // Whether it belonged to the open frame or to one of which nothing came.
        self.decodable &= !F::AWAITS_KEY_AFTER_HOLE;
    }

    /// The sender paused or began anew.
    pub(super) fn restart(&mut self) {
        self.open = None;
        self.format.abandon();
        self.decodable = false;
        self.began = false;
    }

    pub(super) fn broken_frames(&self) -> u64 {
        self.broken_frames
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.data.len()) + self.format.held_bytes()
    }

    fn close(&mut self, out: &mut Vec<Frame>) {
        let Some(open) = self.open.take() else { return };
        let picture = if open.broken { None } else { self.format.finish(open.data) };
        let (format, data) = match picture {
            Some(Picture::Key(media, data)) if data.len() <= MAX_FRAME_BYTES => {
                self.decodable = true;
                self.began = true;
                (Some(media), data)
            }
            Some(Picture::Delta(data)) if data.len() <= MAX_FRAME_BYTES => (None, data),
            Some(Picture::Nothing) => return,
            _ => {
                self.format.abandon();
                self.decodable &= !F::AWAITS_KEY_AFTER_HOLE;
                self.broken_frames += 1;
                return;
            }
        };
        if self.decodable {
            out.push(Frame { at_us: open.at_us, format, data });
        } else {
            self.broken_frames += u64::from(self.began);
        }
    }
}
