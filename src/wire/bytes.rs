//! Bounds-checked big-endian reads, so that no parser indexes into outside data.

use crate::Malformed;

pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(Malformed::Truncated)
}

pub(crate) fn u8_at(bytes: &[u8], at: usize) -> Result<u8, Malformed> {
    bytes.get(at).copied().ok_or(Malformed::Truncated)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    array_at(bytes, at).map(u16::from_be_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    array_at(bytes, at).map(u32::from_be_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Malformed> {
    array_at(bytes, at).map(u64::from_be_bytes)
}

/// Drops the padding that the P bit announces: the last octet says how many octets it is,
/// itself included (RFC 3550 §5.1 for RTP, §6.4.1 for RTCP).
pub(crate) fn without_padding(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let count = usize::from(*bytes.last().ok_or(Malformed::Padding)?);
    if count == 0 {
        return Err(Malformed::Padding);
    }
    let kept = bytes.len().checked_sub(count).ok_or(Malformed::Padding)?;
    bytes.get(..kept).ok_or(Malformed::Padding)
}

/// Overwrites bytes that this crate wrote earlier into `out` (a length or count that is known late).
pub(crate) fn patch(out: &mut [u8], at: usize, value: &[u8]) {
    if let Some(target) = out.get_mut(at..at + value.len()) {
        target.copy_from_slice(value);
    }
}
