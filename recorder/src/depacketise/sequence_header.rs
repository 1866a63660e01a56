//! AV1's sequence header: what av1C and the head of a file say of it.
//!
//! AV1 specification §5.5 (syntax); AV1 in ISO-BMFF §2.3.3 (the layout of av1C's second and third byte).

use super::bits::Bits;

/// What is read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SequenceHeader {
    pub(super) profile: u8,
    /// Of the first operating point, as its tier.
    pub(super) level: u8,
    /// `seq_tier_0`, `high_bitdepth`, `twelve_bit`, `monochrome`, chroma subsampling x and y, and sample position (two
    /// bits), from the highest.
    pub(super) tier_and_format: u8,
    /// Width and height that no frame exceeds.
    pub(super) dimensions: (u16, u16),
    /// `reduced_still_picture_header`: every frame is a key frame and does not say so.
    pub(super) is_still: bool,
}

impl SequenceHeader {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(body);
        let profile = bits.number(3)? as u8;
        bits.skip(1); // still_picture
        let is_still = bits.flag()?;
        let (level, tier) = if is_still { (bits.number(5)? as u8, false) } else { operating_points(&mut bits)? };
        let (width_bits, height_bits) = (bits.number(4)? + 1, bits.number(4)? + 1);
        let width = u16::try_from(bits.number(width_bits)? + 1).ok()?;
        let height = u16::try_from(bits.number(height_bits)? + 1).ok()?;
        skip_tools(&mut bits, is_still)?;
        let format = colours(&mut bits, profile)?;
        let tier_and_format = u8::from(tier) << 7 | format;
        Some(Self { profile, level, tier_and_format, dimensions: (width, height), is_still })
    }
}

/// Level and tier of the first one.
fn operating_points(bits: &mut Bits<'_>) -> Option<(u8, bool)> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64); // timing_info
        if bits.flag()? {
            bits.exp_golomb()?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.number(5)? as usize + 1);
            bits.skip(32 + 5 + 5);
        }
    }
    let has_initial_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.number(5)? {
        bits.skip(12); // operating_point_idc
        let level = bits.number(5)? as u8;
        let tier = level > 7 && bits.flag()?;
        first = first.or(Some((level, tier)));
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1);
        }
        if has_initial_delay && bits.flag()? {
            bits.skip(4);
        }
    }
    first
}

/// From `frame_id_numbers_present_flag` to `enable_restoration`.
fn skip_tools(bits: &mut Bits<'_>, is_still: bool) -> Option<()> {
    if !is_still && bits.flag()? {
        bits.skip(4 + 3);
    }
    bits.skip(3);
    if !is_still {
        bits.skip(4);
        let has_order_hint = bits.flag()?;
        if has_order_hint {
            bits.skip(2);
        }
        // Chosen frame by frame, or for all.
        let screen_content = bits.flag()? || bits.flag()?;
        if screen_content && !bits.flag()? {
            bits.skip(1);
        }
        if has_order_hint {
            bits.skip(3);
        }
    }
    bits.skip(3);
    Some(())
}

/// `color_config`, as the seven low bits of av1C's third byte.
fn colours(bits: &mut Bits<'_>, profile: u8) -> Option<u8> {
    const SRGB: (u32, u32, u32) = (1, 13, 0);
    let high = bits.flag()?;
    let twelve = profile == 2 && high && bits.flag()?;
    let mono = profile != 1 && bits.flag()?;
    let described = if bits.flag()? { Some((bits.number(8)?, bits.number(8)?, bits.number(8)?)) } else { None };
    let depth_and_mono = u8::from(high) << 6 | u8::from(twelve) << 5 | u8::from(mono) << 4;
    if mono {
        return Some(depth_and_mono | 0b1100);
    }
    if described == Some(SRGB) {
        return Some(depth_and_mono);
    }
    bits.flag()?; // color_range
    let (x, y) = match profile {
        0 => (true, true),
        1 => (false, false),
        _ if twelve => {
            let x = bits.flag()?;
            (x, x && bits.flag()?)
        }
        _ => (true, false),
    };
    let position = if x && y { bits.number(2)? as u8 } else { 0 };
    Some(depth_and_mono | u8::from(x) << 3 | u8::from(y) << 2 | position)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers written as the tables of §5.5 have them, one group of bits a field.
    fn read(fields: &str) -> Option<SequenceHeader> {
        let bits: Vec<u8> = fields.bytes().filter(|byte| *byte != b' ').map(|byte| byte - b'0').collect();
        let bytes: Vec<_> = bits
            .chunks(8)
            .map(|chunk| chunk.iter().fold(0, |byte, bit| byte << 1 | bit) << (8 - chunk.len()))
            .collect();
        SequenceHeader::read(&bytes)
    }

    #[test]
    fn every_optional_field_is_stepped_over() {
        // Profile 2, timing and decoder model, two operating points of which the first has a tier and a delay.
        let timing = format!("1 {:064b} 1 010 1 00100 {:032b} 01000 01000", 0, 0);
        let points = "1 00001 000000000000 01001 1 1 00001 00010 1 1 0101 000000000001 00100 0 0";
        let size = "0100 0011 01111 1010";
        let tools = "1 0101 010 0 0 0 1 0 1 0 1 1 1 0 1 0 1 111 1 1 0";
        let colours = "1 1 0 1 00000001 00000001 00000001 0 1 1 10";
        let header = read(&format!("010 0 0 {timing} {points} {size} {tools} {colours}"));
        let expected = SequenceHeader {
            profile: 2,
            level: 9,
            tier_and_format: 0b1110_1110,
            dimensions: (16, 11),
            is_still: false,
        };
        assert_eq!(header, Some(expected));
    }

    #[test]
    fn a_still_picture_says_less() {
        let header = read("000 1 1 00101 0011 0011 1111 0111 000 000 0 1 0 0");
        let expected =
            SequenceHeader { profile: 0, level: 5, tier_and_format: 0b1_1100, dimensions: (16, 8), is_still: true };
        assert_eq!(header, Some(expected));
    }
}
