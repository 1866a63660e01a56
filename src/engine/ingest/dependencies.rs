//! The spatial layers of one AV1 stream, as its dependency descriptors tell them (AV1 RTP payload format, appendix A).
//!
//! A key frame's first packet brings a structure of templates, each later packet names a template of it; so the newest structure
//! is kept. What cannot be read counts for the lowest layer, which everybody gets: a decoder can do with more than it was to
//! have, not with less.
//!
//! ```text
//! header extension -> structure? kept ─┐
//!                  -> template ────────┴-> Spatial
//! ```

use wire::av1::{DependencyDescriptor, TemplateStructure};

use super::descriptor::Spatial;

/// What is kept of a stream.
#[derive(Debug, Default)]
pub struct Dependencies {
    /// The newest structure, and the number of the packet that brought it.
    structure: Option<Box<(u64, TemplateStructure)>>,
}

impl Dependencies {
    /// Of a packet of this number, what its element says: its place, and the number of its frame. `None`: it is no such element.
    pub fn read(&mut self, sequence: u64, element: &[u8]) -> Option<(Spatial, u16)> {
        let descriptor = DependencyDescriptor::parse(element).ok()?;
        let spatial = self.place(sequence, element, &descriptor).unwrap_or_default();
        Some((spatial, descriptor.frame_number))
    }

    fn place(&mut self, sequence: u64, element: &[u8], descriptor: &DependencyDescriptor) -> Option<Spatial> {
        let brought = descriptor.has_structure && self.keep(sequence, element);
        let (_, structure) = self.structure.as_deref()?;
        let frame = descriptor.frame(element, structure).ok()?;
        let spatial = Spatial::new(frame.spatial, descriptor.end_of_frame);
        if !brought {
            return Some(spatial);
        }
        let highest = structure.layers().iter().map(|layer| layer.spatial).max().unwrap_or_default();
        let sizes = (0..=highest).map(|layer| structure.size(layer).unwrap_or_default());
        Some(spatial.told(highest + 1, sizes))
    }

    /// Keeps the structure that an element brings, unless it was repaired late and a newer one has come.
    fn keep(&mut self, sequence: u64, element: &[u8]) -> bool {
        if self.structure.as_ref().is_some_and(|kept| kept.0 > sequence) {
            return false;
        }
        let Ok(structure) = TemplateStructure::parse(element) else { return false };
        match &mut self.structure {
            Some(kept) => **kept = (sequence, structure),
            none => *none = Some(Box::new((sequence, structure))),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::descriptor::{Av1Part, Descriptor};

    /// First packet of a camera in L3T3, from Chromium.
    const KEY: &str = "c10001c0081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926e0\
                       82b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca87753013f00b3027f016704ff02cf1f80";
    /// A frame of its second layer, and one of its first.
    const SECOND: &str = "c60002";
    const FIRST: &str = "c300031a20100800";
    /// A key frame without layers, from Chromium.
    const SINGLE: &str = "c0000180003a410100";

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn read(dependencies: &mut Dependencies, sequence: u64, hex: &str) -> Descriptor {
        let element = bytes(hex);
        let (spatial, _) = dependencies.read(sequence, &element).unwrap();
        Descriptor::Av1(Av1Part { spatial, dependencies: element.len() as u8 })
    }

    #[test]
    fn a_key_frame_tells_of_the_layers_and_each_packet_of_its_own() {
        let mut dependencies = Dependencies::default();
        assert_eq!(read(&mut dependencies, 9, SECOND).spatial(), 0, "nothing is known yet");
        let key = read(&mut dependencies, 10, KEY);
        assert_eq!(key.spatial_layers(), Some((3, [(320, 180), (640, 360), (1_280, 720)])));
        assert!(key.ends_picture_at(0) && !key.ends_picture_at(1));
        let second = read(&mut dependencies, 11, SECOND);
        assert_eq!((second.spatial(), second.spatial_layers()), (1, None));
        assert!(second.ends_picture_at(1) && !second.ends_picture_at(0));
        assert_eq!(read(&mut dependencies, 12, FIRST).spatial(), 0);
        assert_eq!(dependencies.read(13, &bytes(SECOND)).map(|(_, frame)| frame), Some(2));
        assert_eq!(dependencies.read(14, &[0xc0, 0]), None);
    }

    #[test]
    fn a_structure_that_comes_late_is_none_of_what_came_since() {
        let mut dependencies = Dependencies::default();
        read(&mut dependencies, 20, KEY);
        assert_eq!(read(&mut dependencies, 10, SINGLE).spatial_layers(), None);
        assert_eq!(read(&mut dependencies, 21, SECOND).spatial(), 1);
        read(&mut dependencies, 22, SINGLE);
        assert_eq!(read(&mut dependencies, 23, SECOND).spatial(), 0, "it has no such template");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_of_some_layer(elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut dependencies = Dependencies::default();
            for (sequence, element) in (0..).zip(&elements) {
                let Some((spatial, _)) = dependencies.read(sequence, element) else { continue };
                let read = Descriptor::Av1(Av1Part { spatial, dependencies: 0 });
                prop_assert!(read.spatial() < crate::id::LAYERS_MAX as u8);
                prop_assert!(read.spatial_layers().is_none_or(|(count, _)| (1..=3).contains(&count)));
            }
        }
    }
}
