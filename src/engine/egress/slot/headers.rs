//! What stands before a slot's packets: headers that wait for their numbers, and the client's names for codecs.
//!
//! All of it follows from the line of the answer and is made once; a packet costs a copy and its numbers.
//!
//! ```text
//! SlotLine, ExtensionIds -> Templates -> len: how long a packet will be
//! Planned, transport-wide number ------> write_header -> outbox
//! ```

use arrayvec::ArrayVec;
use wire::av1::DependencyDescriptor;
use wire::rtp::{OutHeader, header_len, set_padding, write_header};
use wire::template::{HeaderFields, HeaderShape, HeaderTemplate};

use super::Slot;
use crate::egress::planned::Planned;
use crate::id::{Codec, MediaKind};
use crate::line::{ExtensionIds, SlotLine};

/// The headers of a slot's two streams, and the client's numbers for what they may carry.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Templates {
    // What every packet needs, side by side.
    pub(super) payload_types: PayloadTypes,
    pub(super) media: HeaderTemplate,
    pub(super) retransmission: Option<HeaderTemplate>,
    /// Of AV1 whose dependencies are told to the client.
    dependencies: Option<DependencyHeader>,
}

/// What headers with a dependency descriptor are made of: its length differs from packet to packet, which a template has no place for.
#[derive(Clone, Debug)]
struct DependencyHeader {
    id: u8,
    transport_cc: Option<u8>,
    mid: Option<(u8, Box<str>)>,
}

impl DependencyHeader {
    fn len(&self, element: usize) -> usize {
        let transport_cc = self.transport_cc.map(|id| (id, 2));
        let mid = self.mid.as_ref().map(|(id, text)| (*id, text.len()));
        let elements: ArrayVec<_, 3> = [transport_cc, mid, Some((self.id, element))].into_iter().flatten().collect();
        header_len(&elements)
    }

    fn write(&self, out: &mut Vec<u8>, header: &OutHeader, transport_sequence: u16, element: &[u8]) {
        let transport_sequence = transport_sequence.to_be_bytes();
        let transport_cc = self.transport_cc.map(|id| (id, &transport_sequence[..]));
        let mid = self.mid.as_ref().map(|(id, text)| (*id, text.as_bytes()));
        let elements: ArrayVec<_, 3> = [transport_cc, mid, Some((self.id, element))].into_iter().flatten().collect();
        write_header(out, header, &elements);
    }
}

/// By codec: of media, and of retransmissions. A slot may change to a source of another codec at its key frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PayloadTypes([Option<(u8, Option<u8>)>; Codec::COUNT]);

impl PayloadTypes {
    fn new(line: &SlotLine) -> Self {
        let mut types = Self::default();
        for codec in &line.codecs {
            if let Some(entry) = types.0.get_mut(codec.codec as usize) {
                *entry = Some((codec.payload_type, codec.rtx_payload_type));
            }
        }
        types
    }

    pub(super) fn media(&self, codec: Codec) -> Option<u8> {
        self.0.get(codec as usize).copied().flatten().map(|(media, _)| media)
    }

    pub(super) fn retransmission(&self, codec: Codec) -> Option<u8> {
        self.0.get(codec as usize).copied().flatten()?.1
    }

    /// The first that there is; see `Slot::touch`.
    pub(super) fn any(&self) -> Option<u8> {
        self.0.iter().flatten().next().map(|(media, _)| *media)
    }

    /// Of padding, which is none of a codec's.
    pub(super) fn any_retransmission(&self) -> Option<u8> {
        self.0.iter().flatten().find_map(|(_, retransmission)| *retransmission)
    }
}

impl Templates {
    pub(super) fn new(line: &SlotLine, ids: ExtensionIds, send_mid: bool) -> Self {
        let mid = ids.mid.filter(|_| send_mid).map(|id| (id, line.mid.as_str()));
        let shape = HeaderShape {
            ssrc: line.ssrc,
            has_csrc: true,
            transport_cc: ids.transport_cc,
            audio_level: ids.audio_level.filter(|_| line.kind == MediaKind::Audio),
            mid,
        };
        let retransmission = line.rtx_ssrc.map(|ssrc| HeaderTemplate::new(&HeaderShape { ssrc, ..shape }));
        let dependencies = line.dependency_descriptor.map(|id| DependencyHeader {
            id,
            transport_cc: ids.transport_cc,
            mid: mid.map(|(id, text)| (id, text.into())),
        });
        Self {
            media: HeaderTemplate::new(&shape),
            retransmission,
            payload_types: PayloadTypes::new(line),
            dependencies,
        }
    }

    /// Octets of the header of a packet whose body has so many at its end that belong there.
    pub(super) fn len(&self, is_retransmission: bool, behind: usize) -> Option<usize> {
        if behind > 0
            && let Some(dependencies) = &self.dependencies
        {
            return Some(dependencies.len(behind));
        }
        if is_retransmission { self.retransmission.as_ref().map(HeaderTemplate::len) } else { Some(self.media.len()) }
    }
}

impl Slot {
    /// Appends the header of a planned packet. `element`: the end of what [`Slot::plain`] gave, where it belongs here.
    pub fn write_header(
        &self,
        planned: &Planned,
        transport_sequence: u16,
        padding: bool,
        element: &[u8],
        out: &mut Vec<u8>,
    ) {
        if !element.is_empty()
            && let Some(dependencies) = &self.templates.dependencies
        {
            self.write_dependencies(dependencies, planned, transport_sequence, padding, element, out);
            return;
        }
        let fields = HeaderFields {
            marker: planned.marker,
            padding,
            payload_type: planned.payload_type,
            sequence: planned.sequence as u16,
            timestamp: planned.timestamp,
            csrc: planned.csrc,
            transport_sequence,
            level: planned.level,
        };
        match &self.templates.retransmission {
            Some(template) if planned.is_retransmission => template.write(out, &fields),
            _ => self.templates.media.write(out, &fields),
        }
    }

    fn write_dependencies(
        &self,
        dependencies: &DependencyHeader,
        planned: &Planned,
        transport_sequence: u16,
        padding: bool,
        element: &[u8],
        out: &mut Vec<u8>,
    ) {
        let header = OutHeader {
            marker: planned.marker,
            payload_type: planned.payload_type,
            sequence: planned.sequence as u16,
            timestamp: planned.timestamp,
            ssrc: self.ssrc_of(planned),
            csrc: Some(planned.csrc),
        };
        let mut element: ArrayVec<u8, { u8::MAX as usize }> = element.iter().copied().take(u8::MAX.into()).collect();
        DependencyDescriptor::rewrite_frame_number(&mut element, planned.frame_number);
        let start = out.len();
        dependencies.write(out, &header, transport_sequence, &element);
        if padding && let Some(header) = out.get_mut(start..) {
            set_padding(header);
        }
    }
}
