//! A sequence parameter set of H.264: profile and the size of the picture.
//!
//! ITU-T H.264 §7.3.2.1.1 (syntax), §7.4.2.1.1 (cropping), annex E is not needed.

use super::bits::Bits;

/// Larger than any level allows (table A-1: 139,264 macroblocks), and small enough to count with.
const MAX_MACROBLOCKS_OF_SIDE: u32 = 4096;

/// What is read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) id: u32,
    /// Profile, constraints, level.
    pub(super) profile: [u8; 3],
    pub(super) width: u16,
    pub(super) height: u16,
    /// Of the high profiles, whose avcC says more.
    pub(super) high: Option<High>,
}

/// Chroma format and bits beyond eight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct High {
    pub(super) chroma_format: u8,
    pub(super) luma_depth: u8,
    pub(super) chroma_depth: u8,
}

impl Sps {
    pub(super) fn read(nal: &[u8]) -> Option<Self> {
        let payload = without_emulation_prevention(nal.get(1..)?);
        let [a, b, c, rest @ ..] = payload.as_slice() else { return None };
        let mut bits = Bits::new(rest);
        let id = bits.exp_golomb().filter(|id| *id < 32)?;
        let high = if matches!(a, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            Some(read_high(&mut bits)?)
        } else {
            None
        };
        bits.exp_golomb()?; // log2_max_frame_num
        skip_order_count(&mut bits)?;
        bits.exp_golomb()?; // max_num_ref_frames
        bits.flag()?; // gaps_in_frame_num
        let columns = bits.exp_golomb()?.checked_add(1)?;
        let rows = bits.exp_golomb()?.checked_add(1)?;
        (columns <= MAX_MACROBLOCKS_OF_SIDE && rows <= MAX_MACROBLOCKS_OF_SIDE).then_some(())?;
        // Fields are half as high.
        let fields = if bits.flag()? { 1 } else { 2 };
        if fields == 2 {
            bits.flag()?;
        }
        bits.flag()?; // direct_8x8_inference
        let (mut cut_x, mut cut_y) = (0, 0);
        if bits.flag()? {
            // In units of chroma samples, §7.4.2.1.1: 4:2:0 unless it is said; monochrome and 4:4:4 have units of one.
            let format = high.as_ref().map_or(1, |high| high.chroma_format);
            let unit_x = if matches!(format, 1 | 2) { 2 } else { 1 };
            let unit_y = if format == 1 { 2 } else { 1 } * fields;
            cut_x = bits.exp_golomb()?.checked_add(bits.exp_golomb()?)?.checked_mul(unit_x)?;
            cut_y = bits.exp_golomb()?.checked_add(bits.exp_golomb()?)?.checked_mul(unit_y)?;
        }
        let side = |macroblocks: u32, cut| {
            u16::try_from((macroblocks * 16).checked_sub(cut)?).ok().filter(|pixels| *pixels > 0)
        };
        Some(Self {
            id,
            profile: [*a, *b, *c],
            width: side(columns, cut_x)?,
            height: side(rows * fields, cut_y)?,
            high: high.filter(|_| matches!(a, 100 | 110 | 122 | 144 | 244)),
        })
    }
}

fn read_high(bits: &mut Bits<'_>) -> Option<High> {
    let chroma_format = bits.exp_golomb().filter(|format| *format <= 3)? as u8;
    if chroma_format == 3 {
        bits.flag()?;
    }
    let luma_depth = bits.exp_golomb().filter(|depth| *depth <= 6)? as u8;
    let chroma_depth = bits.exp_golomb().filter(|depth| *depth <= 6)? as u8;
    bits.flag()?; // qpprime_y_zero_transform_bypass
    if bits.flag()? {
        for list in 0..if chroma_format == 3 { 12 } else { 8 } {
            if bits.flag()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(High { chroma_format, luma_depth, chroma_depth })
}

/// §7.3.2.1.1.1
fn skip_scaling_list(bits: &mut Bits<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + i64::from(bits.signed_exp_golomb()?)).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn skip_order_count(bits: &mut Bits<'_>) -> Option<()> {
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.flag()?;
            bits.signed_exp_golomb()?;
            bits.signed_exp_golomb()?;
            for _ in 0..bits.exp_golomb().filter(|count| *count <= 255)? {
                bits.signed_exp_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// §7.3.1: a 3 after two zeros is there only to keep start codes out.
fn without_emulation_prevention(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for byte in nal {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}
