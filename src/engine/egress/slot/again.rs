//! What goes out on a slot's retransmission stream: packets that a NACK names, and padding for probes.
//!
//! ```text
//! NACK: wire number -> sent: which source's packet -> store -> resend -> Planned    (RFC 4588 §4)
//! probe             -> pad -> Planned
//! ```

use slab::Slab;

use super::{Slot, prefix};
use crate::clock::Micros;
use crate::egress::planned::{Planned, Prefix};
use crate::egress::redundancy::Olders;
use crate::egress::store::Store;
use crate::ingest::Media;

/// How freely packets are sent again.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// The path has no room to waste.
    pub is_narrow: bool,
    /// From sending a packet again to doing so once more.
    pub pause: Micros,
}

impl Slot {
    /// The retransmission of a packet that a NACK names, and whether one was lost before it. `None`: gone, or answered a
    /// moment ago; or there is no room to waste ([`Again::is_narrow`]), and a key frame was sent since, after which nobody needs it.
    pub fn resend(
        &mut self,
        now: Micros,
        wire_sequence: u16,
        stores: &Slab<Store>,
        overhead: usize,
        again: Again,
    ) -> Option<(Planned, bool)> {
        let original = self.sent.find(wire_sequence)?;
        if again.is_narrow && original.sequence < self.key_frame_sequence {
            return None;
        }
        let shift = original.shift;
        let store = stores.get(shift.store as usize).filter(|store| store.publication() == shift.publication)?;
        let position = store.find(original.source())?;
        let stored = store.get(position)?;
        let Media::Video { descriptor, picture, .. } = stored.media else { return None };
        let behind = descriptor.behind();
        let header_len = self.templates.len(true, behind)?;
        let payload_type = self.templates.payload_types.retransmission(descriptor.codec())?;
        let was_lost = self.sent.may_resend(now, original.sequence, again.pause)?;
        self.rtx_sequence += 1;
        // RFC 4588 §4: the original sequence number, then the original payload.
        let mut prefix = prefix(&wire_sequence.to_be_bytes());
        let picture = shift.picture(picture);
        let _ = prefix.try_extend_from_slice(&descriptor.write(picture));
        let len = header_len + prefix.len() + stored.body_len() - behind + overhead;
        let planned = Planned {
            slot: self.at,
            is_retransmission: true,
            marker: stored.marker,
            payload_type,
            level: None,
            sequence: self.rtx_sequence,
            index: self.rtx_sequence,
            timestamp: shift.timestamp(stored.numbers.timestamp),
            csrc: shift.publication.0,
            store: shift.store,
            position,
            prefix,
            older: Olders::new(),
            behind: behind as u8,
            frame_number: picture.frame_number,
            len: len as u16,
            arrived: now,
        };
        Some((planned, was_lost))
    }

    /// The same retransmission once more, as a packet of its own.
    pub fn repeat(&mut self, planned: &Planned) -> Planned {
        self.rtx_sequence += 1;
        Planned { sequence: self.rtx_sequence, index: self.rtx_sequence, ..planned.clone() }
    }

    /// The header of a packet of nothing but padding on the retransmission stream, which receivers count and drop: what
    /// probes are made of. `None` before anybody was meant to be here, or without such a stream. Afterwards also where nobody
    /// is: whoever wants no picture any more must learn when the path carries one again.
    pub fn pad(&mut self, now: Micros, overhead: usize) -> Option<Planned> {
        let header_len = self.templates.retransmission.as_ref()?.len();
        let payload_type = self.templates.payload_types.any_retransmission()?;
        let publication = self.last?;
        self.rtx_sequence += 1;
        Some(Planned {
            slot: self.at,
            is_retransmission: true,
            marker: false,
            payload_type,
            level: None,
            sequence: self.rtx_sequence,
            index: self.rtx_sequence,
            timestamp: self.rewriter.clock(now.rtp(self.kind.clock_hz())),
            csrc: publication.0,
            store: 0,
            position: 0,
            prefix: Prefix::new(),
            older: Olders::new(),
            behind: 0,
            frame_number: 0,
            len: (header_len + overhead) as u16,
            arrived: now,
        })
    }
}
