//! Makes one stream of a publication's simulcast layers, for taps: the highest that is arriving.
//!
//! The layers of a camera are streams of their own, with numbers of their own. Slots choose among them; a tap (a recording) sees
//! one: at the first packet of a key frame of the wanted layer the numbers of the new one continue those of the old, as a
//! slot does when it changes its publication. A publication without layers passes through as it came.
//!
//! ```text
//! Arrived (its layer), wanted layer -> pass() -> Some: Arrived, numbered as one stream -> taps
//!                                             -> None: another layer's; awaits() says whether it waits for its key frame
//! ```

use super::numbers::{Incoming, PictureNumbers};
use super::{Arrived, Media};
use crate::id::LayerId;

/// 1 ms at 90 kHz, which tells two frames apart.
const STEP_MIN: u32 = 90;

/// One stream of a publication's layers.
#[derive(Debug, Default)]
pub struct Joined {
    current: Option<LayerId>,
    splice: Splice,
    last: Option<Last>,
    previous: Option<Previous>,
}

/// The layer that was shown before: what was lost of it is sent again after the change, and fills its gap.
#[derive(Clone, Copy, Debug)]
struct Previous {
    layer: LayerId,
    splice: Splice,
    /// The last number that it was passed under.
    last: u64,
}

/// What the present layer's numbers are shifted by.
#[derive(Clone, Copy, Debug, Default)]
struct Splice {
    /// Packets of the layer before this one are from before the change.
    first: u64,
    sequence: u64,
    timestamp: u32,
    picture: PictureNumbers,
}

impl Splice {
    fn apply<'a>(&self, packet: &Arrived<'a>) -> Option<Arrived<'a>> {
        if packet.numbers.sequence < self.first {
            return None;
        }
        let mut passed = *packet;
        passed.numbers.sequence = packet.numbers.sequence.wrapping_add(self.sequence);
        passed.numbers.timestamp = packet.numbers.timestamp.wrapping_add(self.timestamp);
        if let Media::Video { picture, .. } = &mut passed.media {
            *picture = picture.plus(self.picture);
        }
        Some(passed)
    }
}

/// What was passed last.
#[derive(Clone, Copy, Debug)]
struct Last {
    numbers: Incoming,
    picture: Option<PictureNumbers>,
}

/// One frame further.
const NEXT_PICTURE: PictureNumbers = PictureNumbers { picture_id: 1, tl0_pic_idx: 1, frame_number: 1 };

impl Joined {
    /// Takes a packet, while `wanted` is the layer that is to be seen. `None`: of a layer that is not.
    /// `late`: it came by retransmission, so what follows it may have gone by, and nothing can begin with it.
    pub fn pass<'a>(&mut self, packet: &Arrived<'a>, wanted: LayerId, late: bool) -> Option<Arrived<'a>> {
        let current = *self.current.get_or_insert(packet.layer);
        if packet.layer != current {
            if let Some(filling) = self.fill_gap(packet) {
                return Some(filling);
            }
            let starts_key_frame = matches!(packet.media, Media::Video { starts_key_frame: true, .. });
            if late || !starts_key_frame || packet.layer != wanted {
                return None;
            }
            self.change(packet);
        }
        self.number(packet)
    }

    /// Whether this layer waits for a key frame to be the one that is seen.
    #[must_use]
    pub fn awaits(&self, wanted: LayerId) -> bool {
        self.current.is_some_and(|current| current != wanted)
    }

    /// An RTP time of a layer, in terms of what is passed. `None`: the layer is not shown.
    #[must_use]
    pub fn timestamp(&self, layer: LayerId, rtp: u32) -> Option<u32> {
        self.is_shown(layer).then(|| rtp.wrapping_add(self.splice.timestamp))
    }

    /// Whether this layer is what passes.
    #[must_use]
    pub fn is_shown(&self, layer: LayerId) -> bool {
        self.current.is_none_or(|current| current == layer)
    }

    /// From this packet on, its layer's numbers continue those of the last one.
    fn change(&mut self, packet: &Arrived<'_>) {
        let old = self.current.replace(packet.layer);
        let Some(last) = self.last else { return };
        self.previous = old.map(|layer| Previous { layer, splice: self.splice, last: last.numbers.sequence });
        let (before, new) = (&last.numbers, &packet.numbers);
        // Both were placed on one clock, whatever their RTP times say.
        let elapsed = new.target.wrapping_sub(before.target).cast_signed().max(STEP_MIN.cast_signed());
        let picture = match (last.picture, packet.media) {
            (Some(before), Media::Video { picture: new, .. }) => before.plus(NEXT_PICTURE).less(new),
            _ => PictureNumbers::default(),
        };
        self.splice = Splice {
            first: new.sequence,
            sequence: (before.sequence + 1).wrapping_sub(new.sequence),
            timestamp: before.timestamp.wrapping_add_signed(elapsed).wrapping_sub(new.timestamp),
            picture,
        };
    }

    /// A late packet of the layer that was shown before.
    fn fill_gap<'a>(&self, packet: &Arrived<'a>) -> Option<Arrived<'a>> {
        let previous = self.previous.filter(|previous| previous.layer == packet.layer)?;
        previous.splice.apply(packet).filter(|passed| passed.numbers.sequence < previous.last)
    }

    fn number<'a>(&mut self, packet: &Arrived<'a>) -> Option<Arrived<'a>> {
        let passed = self.splice.apply(packet)?;
        let shown = match passed.media {
            Media::Video { picture, .. } => Some(picture),
            Media::Audio { .. } | Media::Padding => self.last.and_then(|last| last.picture),
        };
        if self.last.is_none_or(|last| passed.numbers.sequence > last.numbers.sequence) {
            self.last = Some(Last { numbers: passed.numbers, picture: shown });
        }
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::id::PublicationId;
    use crate::ingest::descriptor::Descriptor;
    use proptest::prelude::*;
    use wire::vp8::Vp8Descriptor;

    const LAYERS: [LayerId; 3] = [LayerId(0), LayerId(1), LayerId(2)];

    /// A packet of a layer: each has numbers of its own. `frame` counts from 0, 30 a second.
    fn packet(layer: LayerId, frame: u32, starts_key_frame: bool) -> Arrived<'static> {
        let own = u32::from(layer.0);
        let numbers = Incoming {
            sequence: u64::from(frame + 1_000 * own),
            timestamp: (frame * 3_000).wrapping_sub(own * 77_777),
            target: frame * 3_000,
        };
        let picture = PictureNumbers {
            picture_id: (frame + 500 * own) as u16 & 0x7fff,
            tl0_pic_idx: (frame + 9 * own) as u8,
            ..PictureNumbers::default()
        };
        let descriptor = Descriptor::Vp8(Vp8Descriptor::parse(&[0x10]).unwrap());
        let media = Media::Video { descriptor, picture, starts_key_frame };
        Arrived { publication: PublicationId(1), layer, numbers, marker: true, media, payload: &[0x10, 0] }
    }

    fn picture(packet: &Arrived<'_>) -> PictureNumbers {
        match packet.media {
            Media::Video { picture, .. } => picture,
            Media::Audio { .. } | Media::Padding => PictureNumbers::default(),
        }
    }

    #[test]
    fn a_single_stream_passes_as_it_came_key_frame_or_not() {
        let mut joined = Joined::default();
        for frame in [5, 6, 8, 7, 200] {
            let came = packet(LayerId::LOWEST, frame, false);
            let passed = joined.pass(&came, LayerId::LOWEST, false).unwrap();
            assert_eq!((passed.numbers, picture(&passed)), (came.numbers, picture(&came)));
            assert!(!joined.awaits(LayerId::LOWEST));
        }
        assert_eq!(joined.timestamp(LayerId::LOWEST, 77), Some(77));
    }

    #[test]
    fn a_higher_layer_takes_over_at_its_key_frame_and_continues_the_numbers() {
        let mut joined = Joined::default();
        let last = joined.pass(&packet(LAYERS[0], 10, true), LAYERS[2], false).unwrap();
        assert!(joined.pass(&packet(LAYERS[2], 10, false), LAYERS[2], false).is_none(), "cannot begin in the middle");
        assert!(joined.awaits(LAYERS[2]));
        assert!(joined.pass(&packet(LAYERS[1], 11, true), LAYERS[2], false).is_none(), "not the one that is wanted");
        assert!(joined.pass(&packet(LAYERS[2], 11, true), LAYERS[2], true).is_none(), "what follows it has gone by");
        let first = joined.pass(&packet(LAYERS[2], 12, true), LAYERS[2], false).unwrap();
        assert_eq!(first.numbers.sequence, last.numbers.sequence + 1);
        assert_eq!(first.numbers.timestamp.wrapping_sub(last.numbers.timestamp), 6_000, "two frames later");
        assert_eq!(picture(&first), picture(&last).plus(NEXT_PICTURE));
        assert!(joined.pass(&packet(LAYERS[0], 12, true), LAYERS[2], false).is_none());
        assert!(joined.pass(&packet(LAYERS[2], 11, false), LAYERS[2], false).is_none(), "from before the change");
        assert_eq!(
            joined.timestamp(LAYERS[2], packet(LAYERS[2], 12, true).numbers.timestamp),
            Some(first.numbers.timestamp)
        );
        assert_eq!(joined.timestamp(LAYERS[0], 1), None, "not shown");
    }

    proptest! {
        /// Whatever layers come, go and are wanted: what passes is one stream, each number once, time going on.
        #[test]
        fn what_passes_is_one_stream(
            plan in prop::collection::vec((0u8..3, 0u8..3, 0u32..60, any::<bool>()), 1..200),
        ) {
            let mut joined = Joined::default();
            let mut frame = 0;
            let mut before: Option<Arrived<'_>> = None;
            for (layer, wanted, pause, starts_key_frame) in plan {
                frame += 1 + pause;
                let Some(passed) = joined.pass(&packet(LayerId(layer), frame, starts_key_frame), LayerId(wanted), false)
                else {
                    continue;
                };
                if let Some(before) = before {
                    prop_assert!(passed.numbers.sequence > before.numbers.sequence);
                    let step = passed.numbers.timestamp.wrapping_sub(before.numbers.timestamp);
                    prop_assert_eq!(step, passed.numbers.target - before.numbers.target, "on one clock");
                    if passed.layer != before.layer {
                        prop_assert!(starts_key_frame);
                        prop_assert_eq!(passed.numbers.sequence, before.numbers.sequence + 1);
                    }
                }
                before = Some(passed);
            }
        }
    }
}
