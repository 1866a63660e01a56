//! AV1 aggregation headers and dependency descriptors: elements as Chromium sends them, and a writer to read back from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use wire::Malformed;
use wire::av1::{Av1Aggregation, DependencyDescriptor, DependencyFrame, Indication, TemplateLayer, TemplateStructure};

/// First packet of an AV1 camera in L3T3: nine templates and more, nine decode targets, three sizes.
const AV1_L3T3: &str = "c10001c0081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926e0\
                        82b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca87753013f00b3027f016704ff02cf1f80";
/// The same of VP8 in L1T3.
const VP8_L1T3: &str = "c000018002044eaaaf2860414d34538a0940404fc02cc0";
/// The same of H.264 without layers.
const H264_L1T1: &str = "c0000180003a410100";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn frame(hex: &str, structure: &TemplateStructure) -> (DependencyDescriptor, DependencyFrame) {
    let element = bytes(hex);
    let descriptor = DependencyDescriptor::parse(&element).unwrap();
    (descriptor, descriptor.frame(&element, structure).unwrap())
}

fn layers(of: &[TemplateLayer]) -> Vec<(u8, u8)> {
    of.iter().map(|layer| (layer.spatial, layer.temporal)).collect()
}

#[test]
fn the_aggregation_header_tells_where_a_sequence_begins() {
    /// Continues an OBU; is continued; OBUs; starts a key frame.
    type Read = (bool, bool, u8, bool);
    let cases: [(&str, u8, Result<Read, Malformed>); 5] = [
        ("first packet of a key frame, from Chromium", 0x28, Ok((false, false, 2, true))),
        ("plain packet, from Chromium", 0x10, Ok((false, false, 1, false))),
        ("first part of a large OBU", 0x50, Ok((false, true, 1, false))),
        ("last part of it", 0x90, Ok((true, false, 1, false))),
        ("a sequence that begins in the middle", 0x98, Err(Malformed::Type)),
    ];
    for (name, octet, expected) in cases {
        let read = Av1Aggregation::parse(&[octet, 0x0a]);
        let read = read.map(|header| (header.continues, header.is_continued, header.count, header.starts_key_frame()));
        assert_eq!(read, expected, "{name}");
    }
    assert_eq!(Av1Aggregation::parse(&[]), Err(Malformed::Truncated));
}

#[test]
fn a_structure_of_three_spatial_and_three_temporal_layers_is_read() {
    let structure = TemplateStructure::parse(&bytes(AV1_L3T3)).unwrap();
    let targets: Vec<(u8, u8)> = (0..3).flat_map(|spatial| (0..3).map(move |temporal| (spatial, temporal))).collect();
    assert_eq!(layers(structure.target_layers()), targets);
    assert_eq!(
        [0, 1, 2, 3].map(|spatial| structure.size(spatial)),
        [Some((320, 180)), Some((640, 360)), Some((1_280, 720)), None,]
    );
    // Frames that follow, as captured: (start, end, number), layer.
    let cases = [
        (AV1_L3T3, (true, true, 1), (0, 0)),
        ("c60002", (true, true, 2), (1, 0)),
        ("c300031a20100800", (true, true, 3), (0, 2)),
        ("c800041a2800604000", (true, true, 4), (1, 2)),
        ("c200051a60201800", (true, true, 5), (0, 1)),
        ("c700061a6800a08000", (true, true, 6), (1, 1)),
    ];
    for (hex, numbers, layer) in cases {
        let (descriptor, frame) = frame(hex, &structure);
        assert_eq!((descriptor.start_of_frame, descriptor.end_of_frame, descriptor.frame_number), numbers, "{hex}");
        assert_eq!((frame.spatial, frame.temporal), layer, "{hex}");
        assert_eq!(frame.targets, 9);
        // Whoever wants less than this layer does not need the frame.
        for (target, goal) in structure.target_layers().iter().enumerate() {
            let wants = goal.spatial >= layer.0 && goal.temporal >= layer.1;
            let needed = frame.indication(target as u8) != Indication::NotPresent;
            assert!(wants || !needed, "{hex}, target {target}");
        }
    }
}

#[test]
fn active_targets_and_indications_of_a_frame_override_its_template() {
    use Indication::{Discardable, NotPresent, Required, Switch};
    let structure = TemplateStructure::parse(&bytes(AV1_L3T3)).unwrap();
    let (descriptor, key) = frame(AV1_L3T3, &structure);
    assert!(descriptor.has_structure);
    assert_eq!(key.active_targets, Some(0b11_1111), "the start rate does not carry the third spatial layer");
    assert_eq!((0..9).map(|target| key.indication(target)).collect::<Vec<_>>(), [Switch; 9]);
    assert_eq!(key.indication(9), NotPresent);
    assert_eq!(frame(H264_L1T1, &TemplateStructure::parse(&bytes(H264_L1T1)).unwrap()).1.active_targets, Some(1));
    assert_eq!(frame("c60002", &structure).1.active_targets, None, "as before");

    // Template 3 with flags: mask and own indications. 01100 | 000000111 | nine times two bits.
    let mut bits = vec![0, 1, 1, 0, 0];
    bits.extend([0, 0, 0, 0, 0, 0, 1, 1, 1]);
    let own = [0, 1, 2, 3, 0, 1, 2, 3, 0];
    own.iter().for_each(|indication: &u8| bits.extend([indication >> 1, indication & 1]));
    let element = [vec![0xc3, 0, 3], packed(&bits)].concat();
    let descriptor = DependencyDescriptor::parse(&element).unwrap();
    let frame = descriptor.frame(&element, &structure).unwrap();
    assert_eq!(frame.active_targets, Some(0b111));
    let read: Vec<_> = (0..9).map(|target| frame.indication(target)).collect();
    assert_eq!(
        read,
        [NotPresent, Discardable, Switch, Required, NotPresent, Discardable, Switch, Required, NotPresent]
    );
}

#[test]
fn other_codecs_have_descriptors_too() {
    let structure = TemplateStructure::parse(&bytes(VP8_L1T3)).unwrap();
    assert_eq!(layers(structure.target_layers()), [(0, 0), (0, 1), (0, 2)]);
    assert_eq!(structure.size(0), Some((320, 180)));
    assert_eq!(frame("c500071240", &structure).1.temporal, 2);
    let structure = TemplateStructure::parse(&bytes(H264_L1T1)).unwrap();
    assert_eq!((layers(structure.layers()), layers(structure.target_layers())), (vec![(0, 0); 2], vec![(0, 0)]));
    assert_eq!(structure.size(0), None);
    let (descriptor, frame) = frame("000003", &structure);
    assert_eq!((descriptor.start_of_frame, descriptor.end_of_frame, frame.spatial), (false, false, 0));
}

#[test]
fn a_frame_number_is_rewritten_in_place() {
    let mut element = bytes("c300031a20100800");
    DependencyDescriptor::rewrite_frame_number(&mut element, 0xabcd);
    assert_eq!(element, bytes("c3abcd1a20100800"));
    DependencyDescriptor::rewrite_frame_number(&mut [], 1);
}

#[test]
fn an_element_cut_anywhere_is_refused_and_so_is_a_template_that_is_not_there() {
    let whole = bytes(AV1_L3T3);
    let structure = TemplateStructure::parse(&whole).unwrap();
    for len in 0..3 {
        assert_eq!(DependencyDescriptor::parse(&whole[..len]), Err(Malformed::Truncated), "{len} octets");
    }
    for len in 0..whole.len() - 3 {
        assert_eq!(TemplateStructure::parse(&whole[..len]), Err(Malformed::Truncated), "{len} octets");
    }
    let unknown = bytes("fe0003");
    assert_eq!(DependencyDescriptor::parse(&unknown).unwrap().frame(&unknown, &structure), Err(Malformed::Type));
    let endless = [vec![0xc0, 0, 1, 0x80, 0], vec![0; 200]].concat();
    assert_eq!(TemplateStructure::parse(&endless), Err(Malformed::Length), "more templates than there are numbers");
    let deep = [vec![0xc0, 0, 1, 0x80, 0], vec![0xaa; 200]].concat();
    assert_eq!(TemplateStructure::parse(&deep), Err(Malformed::Length), "more spatial layers than AV1 has");
}

fn packed(bits: &[u8]) -> Vec<u8> {
    bits.chunks(8).map(|octet| octet.iter().enumerate().fold(0, |all, (at, bit)| all | bit << (7 - at))).collect()
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn put(&mut self, value: u32, count: u32) {
        (0..count).rev().for_each(|bit| self.0.push((value >> bit & 1) as u8));
    }

    /// `ns(n)`.
    fn put_below(&mut self, value: u32, limit: u32) {
        let width = 32 - limit.leading_zeros();
        let short = (1 << width) - limit;
        if value < short { self.put(value, width - 1) } else { self.put(value + short, width) }
    }
}

#[derive(Clone, Debug)]
struct Template {
    /// 0: same layer, 1: next temporal, 2: next spatial.
    step: u32,
    indications: Vec<u32>,
    references: Vec<u32>,
    chains: Vec<u32>,
}

fn structures() -> impl Strategy<Value = (u32, u32, Vec<Template>, Vec<u32>, bool)> {
    (0u32..64, 1usize..=32).prop_flat_map(|(offset, targets)| {
        (0..=targets).prop_flat_map(move |chains| {
            let template = (
                prop_oneof![4 => Just(0u32), 4 => Just(1), 1 => Just(2)],
                prop::collection::vec(0u32..4, targets),
                prop::collection::vec(0u32..16, 0..4),
                prop::collection::vec(0u32..16, chains),
            )
                .prop_map(|(step, indications, references, chains)| Template {
                    step,
                    indications,
                    references,
                    chains,
                });
            let protected = prop::collection::vec(0..chains.max(1) as u32, targets);
            (Just(offset), Just(targets as u32), prop::collection::vec(template, 1..12), protected, any::<bool>())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_read_or_refused(
        head in prop::sample::select(vec![vec![], vec![0xc0, 0, 1, 0x80], vec![0xc0, 0, 1, 0xc0, 0x08, 0x14]]),
        tail in prop::collection::vec(any::<u8>(), 0..255),
        other in prop::sample::select(vec![AV1_L3T3, VP8_L1T3, H264_L1T1]),
    ) {
        let element = [head, tail].concat();
        let known = TemplateStructure::parse(&bytes(other)).unwrap();
        let _ = Av1Aggregation::parse(&element);
        if let Ok(descriptor) = DependencyDescriptor::parse(&element) {
            let _ = descriptor.frame(&element, &known);
            if let Ok(structure) = TemplateStructure::parse(&element) {
                prop_assert!((1..=64).contains(&structure.layers().len()));
                prop_assert!((1..=32).contains(&structure.target_layers().len()));
                prop_assert!(structure.target_layers().iter().all(|layer| layer.spatial < 8));
                let _ = descriptor.frame(&element, &structure);
            }
        }
    }

    #[test]
    fn a_written_structure_reads_back(
        (offset, targets, templates, protected, sized) in structures(),
        used in any::<prop::sample::Index>(),
        number in any::<u16>(),
        mask in any::<Option<u32>>(),
    ) {
        let mut expected = vec![(0u8, 0u8)];
        for template in &templates[1..] {
            let (spatial, temporal) = *expected.last().unwrap();
            expected.push(match template.step {
                0 => (spatial, temporal),
                1 => (spatial, temporal + 1),
                _ => (spatial + 1, 0),
            });
        }
        prop_assume!(expected.last().unwrap().0 < 8);
        let used = used.index(templates.len());
        let mask = mask.map(|mask| mask & (u32::MAX >> (32 - targets)));
        let mut out = Writer::default();
        out.put(0b11, 2);
        out.put((used as u32 + offset) % 64, 6);
        out.put(u32::from(number), 16);
        out.put(0b1_0000 | u32::from(mask.is_some()) << 3, 5);
        out.put(offset, 6);
        out.put(targets - 1, 5);
        templates[1..].iter().for_each(|template| out.put(template.step, 2));
        out.put(3, 2);
        templates.iter().flat_map(|template| &template.indications).for_each(|indication| out.put(*indication, 2));
        for template in &templates {
            template.references.iter().for_each(|reference| out.put(1 << 4 | reference, 5));
            out.put(0, 1);
        }
        let chains = templates[0].chains.len() as u32;
        out.put_below(chains, targets + 1);
        if chains > 0 {
            protected.iter().for_each(|chain| out.put_below(*chain, chains));
            templates.iter().flat_map(|template| &template.chains).for_each(|chain| out.put(*chain, 4));
        }
        out.put(u32::from(sized), 1);
        if sized {
            (0..=u32::from(expected.last().unwrap().0)).for_each(|spatial| out.put((100 + spatial) << 16 | 50, 32));
        }
        if let Some(mask) = mask {
            out.put(mask, targets);
        }
        let element = packed(&out.0);
        let descriptor = DependencyDescriptor::parse(&element).unwrap();
        prop_assert_eq!((descriptor.frame_number, descriptor.has_structure), (number, true));
        let structure = TemplateStructure::parse(&element).unwrap();
        prop_assert_eq!(layers(structure.layers()), expected.clone());
        prop_assert_eq!(structure.size(0), sized.then_some((101, 51)));
        let frame = descriptor.frame(&element, &structure).unwrap();
        prop_assert_eq!((frame.spatial, frame.temporal), expected[used]);
        prop_assert_eq!(frame.active_targets, mask.or(Some(u32::MAX >> (32 - targets))));
        for (target, indication) in templates[used].indications.iter().enumerate() {
            let kinds = [Indication::NotPresent, Indication::Discardable, Indication::Switch, Indication::Required];
            prop_assert_eq!(frame.indication(target as u8), kinds[*indication as usize]);
        }
    }
}
