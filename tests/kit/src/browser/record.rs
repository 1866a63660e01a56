//! What came out of a slot, for tests to judge.

use std::collections::BTreeMap;

use engine::clock::Micros;
use engine::id::{Codec, MediaKind};
use engine::line::SlotLine;
use wire::seq::Unwrapper;

use crate::oracle::shown;

/// A packet as it came out of a slot, retransmissions unwrapped.
#[derive(Clone, Debug)]
pub struct Received {
    /// When.
    pub at: Micros,
    /// Unwrapped slot sequence number.
    pub sequence: u64,
    /// On the slot's clock.
    pub timestamp: u32,
    /// The publication that it says it is of.
    pub csrc: u32,
    /// What it is.
    pub codec: Codec,
    /// VP8: picture id and TL0PICIDX.
    pub picture: Option<(u16, u8)>,
    /// AV1 in spatial layers: what its dependency descriptor says is the number of its frame.
    pub frame_number: Option<u16>,
    /// First packet of a key frame.
    pub starts_key_frame: bool,
    /// Last packet of a frame.
    pub ends_frame: bool,
    /// The number that the publisher wrote into the payload: who it is and its counter.
    pub content: (u32, u32),
    /// The simulcast layer that it wrote there, 0 where it has one.
    pub layer: u32,
    /// Came as a retransmission.
    pub retransmitted: bool,
    /// Came along with a later packet of a voice.
    pub redundant: bool,
    /// Octets of the datagram that it came in; 0 where it came along with another.
    pub size: usize,
}

/// A receive slot and its record.
#[derive(Debug)]
pub struct SlotRecord {
    /// The line as both ends know it.
    pub line: SlotLine,
    /// Everything received, in order of arrival.
    pub packets: Vec<Received>,
    /// Sender reports: when, NTP time, RTP time.
    pub reports: Vec<(Micros, u64, u32)>,
    /// Key frames that it asked for: when.
    pub asked: Vec<Micros>,
    /// Packets that brought earlier payloads along.
    pub with_redundancy: usize,
    /// What each moment of a voice was, by its RTP time: what comes along later must be the same.
    pub(super) heard: BTreeMap<u32, (u32, (u32, u32))>,
    pub(super) sequences: Unwrapper,
    pub(super) missing: BTreeMap<u64, Micros>,
    pub(super) highest: Option<u64>,
}

impl SlotRecord {
    pub(super) fn new(line: SlotLine) -> Self {
        Self {
            line,
            packets: Vec::new(),
            reports: Vec::new(),
            asked: Vec::new(),
            with_redundancy: 0,
            heard: BTreeMap::new(),
            sequences: Unwrapper::new(),
            missing: BTreeMap::new(),
            highest: None,
        }
    }

    /// Sequence numbers that never came.
    #[must_use]
    pub fn missing(&self) -> Vec<u64> {
        self.missing.keys().copied().collect()
    }

    /// Whether packets of pictures come, but no picture for so long that a decoder asks for help.
    pub(super) fn needs_key_frame(&self, now: Micros) -> bool {
        let (Some(first), Some(last)) = (self.packets.first(), self.packets.last()) else { return false };
        if self.line.kind == MediaKind::Audio || now.since(last.at) > FIRST_PICTURE_WAIT {
            return false;
        }
        let (since, wait) = match shown(&self.packets).last() {
            Some(frame) => (frame.at, PICTURE_WAIT),
            None => (first.at, FIRST_PICTURE_WAIT),
        };
        now.since(self.asked.last().map_or(since, |asked| since.max(*asked))) > wait
    }

    /// A voice. What came already must not be another one's, nor another moment of it.
    pub(super) fn note_voice(&mut self, received: Received) {
        let heard = (received.csrc, received.content);
        match self.heard.get(&received.timestamp) {
            Some(before) => {
                assert_eq!(*before, heard, "one moment of a slot is one packet of one person: {received:?}")
            }
            None => {
                self.heard.insert(received.timestamp, heard);
                self.note(received);
            }
        }
    }

    pub(super) fn note(&mut self, received: Received) {
        let first = self.highest.map_or(received.sequence, |highest| highest + 1);
        for sequence in first..received.sequence {
            self.missing.insert(sequence, received.at);
        }
        self.missing.remove(&received.sequence);
        self.highest = self.highest.max(Some(received.sequence));
        self.packets.push(received);
    }
}

/// libwebrtc's patience with a decoder that shows nothing: before the first picture, and later.
const FIRST_PICTURE_WAIT: Micros = Micros::from_millis(200);

const PICTURE_WAIT: Micros = Micros::from_millis(3_000);
