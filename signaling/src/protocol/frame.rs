//! Encoded messages, made once and shared by everybody who gets them.
//!
//! A server's WebSocket frames are not masked, so the same bytes serve every connection: a message gets its frame head
//! (RFC 6455 §5.2) when it is encoded, and a connection writes it as it lies. The long poll takes the JSON out again.
//!
//! ```text
//! ServerMessage --encode--> Frame -+-> Burst (several in a row) --> WebSocket: the bytes as they are
//!                                                               --> long poll: frame by frame, JSON only
//! ```

use bytes::Bytes;
use serde::Serialize;

use super::server::ServerMessage;

/// The longest head of a frame that is not masked: two bytes, and eight for the length.
const HEAD: usize = 10;
/// FIN and the opcode of text: every message is one frame.
const TEXT: u8 = 0x81;
/// Lengths up to here stand in the second byte itself.
const SHORT: usize = 125;
/// Second byte of a head with two bytes of length ...
const TWO_BYTES: u8 = 126;
/// ... and of one with eight.
const EIGHT_BYTES: u8 = 127;
/// What stands around an event in its message.
const EVENT: (&[u8], &[u8]) = (br#"{"type":"event","event":"#, b"}");

/// One encoded server message, shared by everybody who gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// Encodes a message once.
    #[must_use]
    pub fn encode(message: &ServerMessage) -> Self {
        Self::around((b"", b""), message).0
    }

    /// Encodes an entry of a thread once; gives the message and the entry alone, in the same memory.
    #[must_use]
    pub fn event(event: &super::Event) -> (Self, Bytes) {
        Self::around(EVENT, event)
    }

    /// A message from JSON that is encoded already.
    #[must_use]
    pub(super) fn of_json<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let mut bytes = Vec::with_capacity(HEAD + parts.clone().map(<[u8]>::len).sum::<usize>());
        bytes.extend_from_slice(&[0; HEAD]);
        parts.for_each(|part| bytes.extend_from_slice(part));
        Self::seal(bytes)
    }

    fn around<T: Serialize>((before, after): (&[u8], &[u8]), value: &T) -> (Self, Bytes) {
        let mut bytes = vec![0; HEAD];
        bytes.extend_from_slice(before);
        let start = bytes.len();
        if serde_json::to_writer(&mut bytes, value).is_err() {
            // Every type of the protocol serialises to JSON by construction; an empty object is what a client ignores.
            bytes.truncate(start);
            bytes.extend_from_slice(b"{}");
        }
        let length = bytes.len() - start;
        bytes.extend_from_slice(after);
        // Some are kept for long: what was reserved too much is given back.
        bytes.shrink_to_fit();
        let frame = Self::seal(bytes);
        let begin = frame.0.len() - after.len() - length;
        let inner = frame.0.slice(begin..begin + length);
        (frame, inner)
    }

    /// Puts the head in front, which is known only now, into the place that was left for it.
    fn seal(mut bytes: Vec<u8>) -> Self {
        let (head, size) = head(bytes.len() - HEAD);
        for (place, byte) in bytes.iter_mut().zip(head) {
            *place = byte;
        }
        Self(Bytes::from(bytes).slice(HEAD - size..))
    }

    /// What a WebSocket writes.
    #[must_use]
    pub fn wire(&self) -> &Bytes {
        &self.0
    }

    /// The JSON.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        split(&self.0).map_or(&[], |(json, _)| json)
    }
}

/// The head of a text frame of that length, at the end of its place; and its size.
pub(super) fn head(length: usize) -> ([u8; HEAD], usize) {
    let [.., a, b] = length.to_be_bytes();
    if length <= SHORT {
        ([0, 0, 0, 0, 0, 0, 0, 0, TEXT, b], 2)
    } else if u16::try_from(length).is_ok() {
        ([0, 0, 0, 0, 0, 0, TEXT, TWO_BYTES, a, b], 4)
    } else {
        let mut head = [0; HEAD];
        let full = (length as u64).to_be_bytes();
        for (place, byte) in head.iter_mut().zip([TEXT, EIGHT_BYTES].into_iter().chain(full)) {
            *place = byte;
        }
        (head, HEAD)
    }
}

/// The JSON of the first frame, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.get(1..)?.split_first()?;
    let (length, rest) = match length {
        TWO_BYTES => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        EIGHT_BYTES => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        short => (usize::from(short), rest),
    };
    rest.split_at_checked(length)
}

/// Messages that follow each other, in one piece of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burst(Bytes);

impl From<Frame> for Burst {
    fn from(frame: Frame) -> Self {
        Self(frame.0)
    }
}

impl Burst {
    /// Puts messages together; nothing out of nothing.
    #[must_use]
    pub fn of(frames: &[Frame]) -> Option<Self> {
        match frames {
            [] => None,
            [one] => Some(Self(one.0.clone())),
            several => {
                let mut bytes = Vec::with_capacity(several.iter().map(|frame| frame.0.len()).sum());
                several.iter().for_each(|frame| bytes.extend_from_slice(&frame.0));
                Some(Self(bytes.into()))
            }
        }
    }

    /// What a WebSocket writes.
    #[must_use]
    pub fn wire(&self) -> &Bytes {
        &self.0
    }

    /// The messages, one by one.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (_, after) = split(rest)?;
            let frame = rest.get(..rest.len() - after.len())?;
            rest = after;
            Some(Frame(self.0.slice_ref(frame)))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{EventId, ParticipantId};
    use crate::protocol::{Event, EventBody};
    use proptest::prelude::*;

    #[test]
    fn the_head_says_the_length_in_the_form_that_fits_it() {
        let of = |length| {
            let (head, size) = head(length);
            head[HEAD - size..].to_vec()
        };
        assert_eq!(of(0), [0x81, 0]);
        assert_eq!(of(125), [0x81, 125]);
        assert_eq!(of(126), [0x81, 126, 0, 126]);
        assert_eq!(of(65_535), [0x81, 126, 255, 255]);
        assert_eq!(of(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn an_event_is_found_again_inside_of_its_message() {
        let body =
            EventBody::ParticipantLeft { participant_id: ParticipantId::generate(), display_name: "Zoë".into() };
        let event = Event { seq: 7, id: EventId::generate(), time: Timestamp::now(), body };
        let (frame, inner) = Frame::event(&event);
        assert_eq!(frame, Frame::encode(&ServerMessage::Event { event: event.clone() }));
        assert_eq!(serde_json::from_slice::<Event>(&inner).unwrap(), event);
    }

    proptest! {
        #[test]
        fn messages_come_out_of_a_burst_as_they_went_in(lengths in proptest::collection::vec(0_usize..70_000, 0..6)) {
            let texts: Vec<_> = lengths.iter().map(|length| vec![b'x'; *length]).collect();
            let frames: Vec<_> = texts.iter().map(|text| Frame::of_json(std::iter::once(text.as_slice()))).collect();
            let out: Vec<_> = Burst::of(&frames).iter().flat_map(|burst| burst.frames().collect::<Vec<_>>()).collect();
            let out: Vec<_> = out.iter().map(|frame| frame.json().to_vec()).collect();
            prop_assert_eq!(out, texts);
        }

        #[test]
        fn no_bytes_make_the_splitter_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Burst(bytes.into()).frames().count();
        }
    }
}
