//! Which frames a decoder could have shown, and when; and so, when a picture stood still.
//!
//! A frame can be shown when all of it is there and when the one before it could be shown, or when it is a key frame. A
//! retransmission heals: the frame and those that waited for it are shown when it comes. A frame that never becomes
//! whole ends the chain until the next key frame. That is stricter than decoders that show broken pictures, and as
//! strict as Chromium.

use engine::clock::Micros;

use super::{Span, gaps};
use crate::browser::Received;

/// A frame that could be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// When.
    pub at: Micros,
    /// The publication that it says it is of.
    pub csrc: u32,
    /// Who painted it, and the counter painted into it.
    pub content: (u32, u32),
    /// A key frame.
    pub is_key: bool,
}

/// The frames of a video slot that could be shown, in order.
#[must_use]
pub fn shown(packets: &[Received]) -> Vec<Shown> {
    let mut packets: Vec<&Received> = packets.iter().collect();
    packets.sort_by_key(|packet| (packet.sequence, packet.at));
    packets.dedup_by_key(|packet| packet.sequence);
    let mut shown = Vec::new();
    // The last frame, when it could be shown: its last sequence number, and when.
    let mut chain: Option<(u64, Micros)> = None;
    for frame in packets.chunk_by(|a, b| a.timestamp == b.timestamp) {
        let (first, last) = (frame[0], frame[frame.len() - 1]);
        let count = last.sequence - first.sequence + 1;
        // Its first packet is there: it follows on the frame before, or begins a key frame.
        let is_whole = last.ends_frame && count == frame.len() as u64;
        let whole_at = frame.iter().map(|packet| packet.at).max().unwrap_or_default();
        let after = chain.filter(|(sequence, _)| sequence + 1 == first.sequence).map(|(_, at)| at);
        let is_key = first.starts_key_frame;
        let at = if is_key {
            Some(chain.map_or(whole_at, |(_, at)| at.max(whole_at)))
        } else {
            after.map(|at| at.max(whole_at))
        };
        chain = at.filter(|_| is_whole).map(|at| (last.sequence, at));
        if let Some((_, at)) = chain {
            shown.push(Shown { at, csrc: first.csrc, content: first.content, is_key });
        }
    }
    shown
}

/// When the picture stood still for longer than `limit`, though a live source held the slot all through `live`.
#[must_use]
pub fn freezes(shown: &[Shown], live: Span, limit: Micros) -> Vec<Span> {
    gaps(shown.iter().map(|frame| frame.at), live, limit)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    /// A packet that came at a time, all else as in the first frame of somebody's camera.
    pub(in crate::oracle) fn packet(at: Micros, sequence: u64) -> Received {
        Received {
            at,
            sequence,
            timestamp: 0,
            csrc: 11,
            codec: engine::id::Codec::Vp8,
            picture: None,
            frame_number: None,
            starts_key_frame: false,
            ends_frame: true,
            content: (1, 0),
            retransmitted: false,
            redundant: false,
            size: 1_000,
            layer: 0,
        }
    }

    /// Frames of two packets, one every 40 ms, `number` counting from 0; frame 0 is a key frame.
    fn frame(number: u64) -> [Received; 2] {
        let at = ms(number * 40);
        let packet =
            Received { timestamp: number as u32 * 3_600, content: (1, number as u32), ..packet(at, number * 2) };
        [
            Received { ends_frame: false, starts_key_frame: number == 0, ..packet.clone() },
            Received { sequence: number * 2 + 1, ..packet },
        ]
    }

    fn film(frames: u64) -> Vec<Received> {
        (0..frames).flat_map(frame).collect()
    }

    fn numbers(packets: &[Received]) -> Vec<u32> {
        shown(packets).iter().map(|frame| frame.content.1).collect()
    }

    #[test]
    fn an_undisturbed_film_is_shown_as_it_comes_and_never_freezes() {
        let shown = shown(&film(25));
        assert!(shown.iter().zip(0..).all(|(frame, number)| frame.at == ms(number * 40)));
        assert_eq!(shown.len(), 25);
        assert!(freezes(&shown, Span::new(ms(0), ms(1_000)), ms(200)).is_empty());
    }

    #[test]
    fn a_packet_that_comes_late_holds_up_its_frame_and_those_behind_it() {
        let mut film = film(25);
        film[5].at = ms(400);
        let shown = shown(&film);
        assert_eq!(shown[2].at, ms(400), "its own");
        assert_eq!(shown[9].at, ms(400), "those that came meanwhile");
        assert_eq!(shown[11].at, ms(440));
        let freeze = Span::new(ms(40), ms(400));
        assert_eq!(freezes(&shown, Span::new(ms(0), ms(1_000)), ms(200)), [freeze]);
        assert!(freezes(&shown, Span::new(ms(0), ms(1_000)), ms(1_000)).is_empty());
    }

    #[test]
    fn a_packet_that_never_comes_freezes_until_the_next_key_frame() {
        let mut film = film(50);
        film[80].starts_key_frame = true;
        film.remove(9);
        let shown = shown(&film);
        assert_eq!(shown[3].content.1, 3);
        assert_eq!(shown[4], Shown { at: ms(1_600), csrc: 11, content: (1, 40), is_key: true });
        assert_eq!(freezes(&shown, Span::new(ms(0), ms(2_000)), ms(1_000)), [Span::new(ms(120), ms(1_600))]);
    }

    #[test]
    fn a_whole_frame_that_is_missing_breaks_the_chain_too() {
        let mut film = film(10);
        film.drain(6..8);
        assert_eq!(numbers(&film), [0, 1, 2]);
    }

    #[test]
    fn frames_that_lack_their_first_or_last_packet_are_not_whole() {
        let mut without_first = film(3);
        without_first.remove(0);
        assert!(numbers(&without_first).is_empty());
        let mut without_last = film(3);
        without_last.remove(5);
        assert_eq!(numbers(&without_last), [0, 1]);
    }

    #[test]
    fn a_frame_that_lacks_a_packet_in_its_middle_is_not_whole() {
        let three = |number: u64| {
            let frame =
                |at| Received { timestamp: number as u32, content: (1, number as u32), ..packet(ms(number), at) };
            [
                Received { ends_frame: false, starts_key_frame: number == 0, ..frame(number * 3) },
                Received { ends_frame: false, ..frame(number * 3 + 1) },
                frame(number * 3 + 2),
            ]
        };
        let mut film: Vec<_> = (0..4).flat_map(three).collect();
        assert_eq!(numbers(&film), [0, 1, 2, 3]);
        film.remove(7);
        assert_eq!(numbers(&film), [0, 1]);
    }

    #[test]
    fn nothing_is_shown_before_the_first_key_frame_and_a_copy_changes_nothing() {
        let mut film = film(5);
        film[0].starts_key_frame = false;
        assert!(numbers(&film).is_empty());
        film[0].starts_key_frame = true;
        film.push(Received { at: ms(900), ..film[1].clone() });
        assert_eq!(shown(&film)[0].at, ms(0));
    }

    #[test]
    fn a_source_that_ends_is_no_freeze() {
        let shown = shown(&film(25));
        assert!(freezes(&shown, Span::new(ms(0), ms(980)), ms(200)).is_empty());
        assert_eq!(freezes(&shown, Span::new(ms(0), ms(1_500)), ms(200)), [Span::new(ms(960), ms(1_500))]);
    }
}
