//! AV1 over RTP: the aggregation header of a payload, and the dependency descriptor, the header extension that tells an SFU
//! which frames it may leave out (AV1 RTP payload format, section 4.4 and appendix A).
//!
//! A key frame's descriptor carries a *template structure*; later ones name a template by number. So a stream's reader keeps
//! the last [`TemplateStructure`] and asks [`DependencyDescriptor::frame`] with it. Chrome sends the descriptor with VP8, VP9
//! and H.264, too.
//!
//! ```text
//! element -> DependencyDescriptor::parse -> frame number, where frames begin and end
//!            has_structure -> TemplateStructure::parse -> kept by the stream
//!            .frame(element, structure) -> layers and decode targets of the frame
//! ```

use crate::Malformed;
use crate::bytes::{array_at, patch, u8_at};

/// URI of the dependency descriptor.
pub const DEPENDENCY_DESCRIPTOR_URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// Templates in a structure: their ids have six bits.
pub const TEMPLATES_MAX: usize = 64;

/// Decode targets in a structure: their count has five bits.
pub const DECODE_TARGETS_MAX: usize = 32;

/// The octet in front of the OBUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Av1Aggregation {
    /// Z: the first OBU continues one of the packet before.
    pub continues: bool,
    /// Y: the last OBU goes on in the next packet.
    pub is_continued: bool,
    /// W: how many OBUs there are, 0 where each tells its length.
    pub count: u8,
    /// N: a coded video sequence begins, that is, a key frame.
    pub starts_sequence: bool,
}

impl Av1Aggregation {
    /// Reads the first octet of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let octet = u8_at(payload, 0)?;
        let header = Self {
            continues: octet & 0x80 != 0,
            is_continued: octet & 0x40 != 0,
            count: octet >> 4 & 0x03,
            starts_sequence: octet & 0x08 != 0,
        };
        // Section 4.4: a sequence cannot begin in the middle of an OBU.
        if header.continues && header.starts_sequence { Err(Malformed::Type) } else { Ok(header) }
    }

    /// Whether this is the first packet of a key frame.
    #[must_use]
    pub const fn starts_key_frame(&self) -> bool {
        self.starts_sequence
    }
}

/// What each dependency descriptor says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// First packet of a frame; each spatial layer's picture is a frame of its own.
    pub start_of_frame: bool,
    /// Last packet of a frame.
    pub end_of_frame: bool,
    /// Which template the frame follows, before the structure's offset is taken off.
    pub template_id: u8,
    /// Running number of frames, over all layers.
    pub frame_number: u16,
    /// A template structure follows: this is a key frame.
    pub has_structure: bool,
    flags: u8,
}

const ACTIVE_TARGETS: u8 = 0b0_1000;
const CUSTOM_INDICATIONS: u8 = 0b0_0100;
const MANDATORY_LEN: usize = 3;

/// What a decode target needs of a frame (appendix A.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    /// Nothing: it may be left out.
    NotPresent,
    /// It is shown, but nothing of this target depends on it.
    Discardable,
    /// Whoever has the target's earlier frames up to here may begin with this one: nothing later depends on what is older.
    Switch,
    /// Later frames depend on it.
    Required,
}

impl Indication {
    const fn of(bits: u64) -> Self {
        match bits & 0b11 {
            0 => Self::NotPresent,
            1 => Self::Discardable,
            2 => Self::Switch,
            _ => Self::Required,
        }
    }
}

/// What a frame is, in terms of its structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyFrame {
    /// Spatial layer, 0 is the base.
    pub spatial: u8,
    /// Temporal layer, 0 is the base.
    pub temporal: u8,
    /// How many decode targets there are.
    pub targets: u8,
    /// Decode targets that are sent at all from this frame on, one bit each; `None`: as before.
    pub active_targets: Option<u32>,
    /// Two bits for each target.
    indications: u64,
}

impl DependencyFrame {
    /// What a decode target needs of this frame. A target that is not there needs nothing.
    #[must_use]
    pub const fn indication(&self, target: u8) -> Indication {
        if target < self.targets { Indication::of(self.indications >> (2 * target)) } else { Indication::NotPresent }
    }
}

impl DependencyDescriptor {
    /// Reads what stands in every element.
    pub fn parse(element: &[u8]) -> Result<Self, Malformed> {
        let [first, high, low] = array_at(element, 0)?;
        // Appendix A.8.2: an element of three octets has no flags at all.
        let flags = element.get(MANDATORY_LEN).map_or(0, |octet| octet >> 3);
        Ok(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & 0x3f,
            frame_number: u16::from_be_bytes([high, low]),
            has_structure: flags & 0b1_0000 != 0,
            flags,
        })
    }

    /// Layers and decode targets of the frame. `element` is what was parsed, `structure` the one in force: the element's own
    /// if it has one, else the last that came.
    pub fn frame(&self, element: &[u8], structure: &TemplateStructure) -> Result<DependencyFrame, Malformed> {
        let template = usize::from(self.template_id.wrapping_sub(structure.offset) & 0x3f);
        let layer = *structure.layers().get(template).ok_or(Malformed::Type)?;
        let targets = structure.targets;
        let mut bits = Bits::new(element, MANDATORY_LEN * 8 + EXTENDED_FLAGS);
        if self.has_structure {
            bits.skip(structure.len_bits);
        }
        let mut active_targets = self.has_structure.then(|| all_targets(targets));
        if self.flags & ACTIVE_TARGETS != 0 {
            active_targets = Some(bits.read(u32::from(targets))?);
        }
        let mut indications = structure.indications.get(template).copied().unwrap_or_default();
        if self.flags & CUSTOM_INDICATIONS != 0 {
            indications = read_indications(&mut bits, targets)?;
        }
        Ok(DependencyFrame { spatial: layer.spatial, temporal: layer.temporal, targets, active_targets, indications })
    }

    /// Writes another frame number into an element.
    pub fn rewrite_frame_number(element: &mut [u8], frame_number: u16) {
        patch(element, 1, &frame_number.to_be_bytes());
    }
}

/// Five flags behind the mandatory fields.
const EXTENDED_FLAGS: usize = 5;

const fn all_targets(targets: u8) -> u32 {
    u32::MAX >> (DECODE_TARGETS_MAX as u32 - targets as u32)
}

/// The layer of a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TemplateLayer {
    /// Spatial layer, 0 is the base.
    pub spatial: u8,
    /// Temporal layer, 0 is the base.
    pub temporal: u8,
}

/// What the templates of a stream mean, from one key frame to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateStructure {
    offset: u8,
    targets: u8,
    templates: u8,
    layers: [TemplateLayer; TEMPLATES_MAX],
    /// Two bits for each decode target, by template.
    indications: [u64; TEMPLATES_MAX],
    /// The layer that each decode target goes up to.
    target_layers: [TemplateLayer; DECODE_TARGETS_MAX],
    /// Render size of each spatial layer, where told.
    sizes: Option<[(u16, u16); SPATIAL_LAYERS_MAX]>,
    /// What it takes in an element.
    len_bits: usize,
}

/// AV1 has three bits for the spatial layer in an OBU header; a structure could name more, and is refused then.
const SPATIAL_LAYERS_MAX: usize = 8;

impl TemplateStructure {
    /// Reads the structure of an element whose [`DependencyDescriptor::has_structure`] is set.
    pub fn parse(element: &[u8]) -> Result<Self, Malformed> {
        let begin = MANDATORY_LEN * 8 + EXTENDED_FLAGS;
        let mut bits = Bits::new(element, begin);
        let mut structure = Self {
            offset: bits.read(6)? as u8,
            targets: bits.read(5)? as u8 + 1,
            templates: 0,
            layers: [TemplateLayer::default(); TEMPLATES_MAX],
            indications: [0; TEMPLATES_MAX],
            target_layers: [TemplateLayer::default(); DECODE_TARGETS_MAX],
            sizes: None,
            len_bits: 0,
        };
        structure.read_layers(&mut bits)?;
        for template in 0..usize::from(structure.templates) {
            let indications = read_indications(&mut bits, structure.targets)?;
            if let Some(entry) = structure.indications.get_mut(template) {
                *entry = indications;
            }
        }
        structure.skip_references(&mut bits)?;
        structure.skip_chains(&mut bits)?;
        structure.find_target_layers();
        if bits.read(1)? == 1 {
            structure.read_sizes(&mut bits)?;
        }
        structure.len_bits = bits.at - begin;
        Ok(structure)
    }

    /// Layers of the templates, in their order.
    #[must_use]
    pub fn layers(&self) -> &[TemplateLayer] {
        self.layers.get(..usize::from(self.templates)).unwrap_or_default()
    }

    /// The layer that each decode target goes up to. The first target is the best one, by custom.
    #[must_use]
    pub fn target_layers(&self) -> &[TemplateLayer] {
        self.target_layers.get(..usize::from(self.targets)).unwrap_or_default()
    }

    /// Width and height of a spatial layer, where told.
    #[must_use]
    pub fn size(&self, spatial: u8) -> Option<(u16, u16)> {
        self.sizes?.get(usize::from(spatial)).copied().filter(|size| *size != (0, 0))
    }

    fn read_layers(&mut self, bits: &mut Bits<'_>) -> Result<(), Malformed> {
        let mut layer = TemplateLayer::default();
        loop {
            let entry = self.layers.get_mut(usize::from(self.templates)).ok_or(Malformed::Length)?;
            *entry = layer;
            self.templates += 1;
            match bits.read(2)? {
                0 => {}
                1 => layer.temporal += 1,
                2 => layer = TemplateLayer { spatial: layer.spatial + 1, temporal: 0 },
                _ => return Ok(()),
            }
            if usize::from(layer.spatial) >= SPATIAL_LAYERS_MAX {
                return Err(Malformed::Length);
            }
        }
    }

    /// Which frames a template refers to is a decoder's business.
    fn skip_references(&self, bits: &mut Bits<'_>) -> Result<(), Malformed> {
        for _ in 0..self.templates {
            while bits.read(1)? == 1 {
                bits.read(4)?;
            }
        }
        Ok(())
    }

    fn skip_chains(&self, bits: &mut Bits<'_>) -> Result<(), Malformed> {
        let chains = bits.read_below(u32::from(self.targets) + 1)?;
        if chains == 0 {
            return Ok(());
        }
        for _ in 0..self.targets {
            bits.read_below(chains)?;
        }
        for _ in 0..u32::from(self.templates) * chains {
            bits.read(4)?;
        }
        Ok(())
    }

    /// A target goes up to the highest layer of the templates that it needs.
    fn find_target_layers(&mut self) {
        for (target, highest) in self.target_layers.iter_mut().enumerate().take(usize::from(self.targets)) {
            let templates = self.layers.iter().zip(&self.indications).take(usize::from(self.templates));
            let needed = templates.filter(|(_, bits)| *bits >> (2 * target) & 0b11 != 0);
            for (layer, _) in needed {
                highest.spatial = highest.spatial.max(layer.spatial);
                highest.temporal = highest.temporal.max(layer.temporal);
            }
        }
    }

    fn read_sizes(&mut self, bits: &mut Bits<'_>) -> Result<(), Malformed> {
        let highest = self.layers().iter().map(|layer| layer.spatial).max().unwrap_or_default();
        let mut sizes = [(0, 0); SPATIAL_LAYERS_MAX];
        for size in sizes.iter_mut().take(usize::from(highest) + 1) {
            // Sent less one; 65,536 is beyond any picture and stays at the largest number there is.
            let (width, height) = (bits.read(16)? as u16, bits.read(16)? as u16);
            *size = (width.saturating_add(1), height.saturating_add(1));
        }
        self.sizes = Some(sizes);
        Ok(())
    }
}

fn read_indications(bits: &mut Bits<'_>, targets: u8) -> Result<u64, Malformed> {
    let mut indications = 0;
    for target in 0..targets {
        indications |= u64::from(bits.read(2)?) << (2 * target);
    }
    Ok(indications)
}

/// Reads bits, most significant first, to the end of the bytes and no further.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    const fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// At most 32 bits.
    fn read(&mut self, count: u32) -> Result<u32, Malformed> {
        let mut value = 0;
        for _ in 0..count {
            let octet = u8_at(self.bytes, self.at / 8)?;
            value = value << 1 | u32::from(octet >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }

    /// A number below `limit`, which is at least 1 (`ns(n)` of the AV1 specification, section 4.10.7).
    fn read_below(&mut self, limit: u32) -> Result<u32, Malformed> {
        let width = u32::BITS - limit.leading_zeros();
        let short = (1 << width) - limit;
        let value = self.read(width - 1)?;
        if value < short { Ok(value) } else { Ok((value << 1) - short + self.read(1)?) }
    }
}
