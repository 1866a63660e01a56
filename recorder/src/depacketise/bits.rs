//! Reads headers bit by bit, most significant first; what is not there is `None`.
//!
//! RFC 6184's, RFC 9628's and AV1's headers all count bits so; Exp-Golomb codes are ITU-T H.264 §9.1.

/// A place within a header.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// Up to 32 bits.
    pub(super) fn number(&mut self, bits: u32) -> Option<u32> {
        debug_assert!(bits <= 32);
        (0..bits).try_fold(0u32, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    pub(super) fn skip(&mut self, bits: usize) {
        self.at += bits;
    }

    /// `ue(v)` of H.264, `uvlc()` of AV1; at most 32 bits of value.
    pub(super) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.number(zeros)?)
    }

    /// `se(v)` of H.264.
    pub(super) fn signed_exp_golomb(&mut self) -> Option<i32> {
        let code = i64::from(self.exp_golomb()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 0 { -magnitude } else { magnitude }).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn codes_follow_the_table_of_h264() {
        // 1, 010, 011, 00100, 00101: 0, 1, 2, 3, 4.
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = Bits::new(&bytes);
        let codes: Vec<_> = std::iter::repeat_with(|| bits.exp_golomb().unwrap()).take(5).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&bytes);
        let codes: Vec<_> = std::iter::repeat_with(|| bits.signed_exp_golomb().unwrap()).take(5).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
        assert_eq!(bits.exp_golomb(), None, "nothing but zeros follows");
    }

    #[test]
    fn numbers_cross_bytes_and_end_with_them() {
        let mut bits = Bits::new(&[0x12, 0x34, 0x56]);
        bits.skip(4);
        assert_eq!((bits.number(8), bits.number(12), bits.number(1)), (Some(0x23), Some(0x456), None));
        assert_eq!(Bits::new(&[0, 0, 0, 0, 0xFF]).exp_golomb(), None, "too long a code");
    }
}
