//! How loud samples are, in -dBov as RFC 6464 sends it: 0 is the loudest square wave, 127 is silence.
//!
//! ```text
//! samples ─> dbov() ─> 0..=127 ─> Voice::level, silence
//! ```
//!
//! RFC 6464 §3, appendix A <https://www.rfc-editor.org/rfc/rfc6464>.

/// What RFC 6464 says of digital silence.
pub(super) const SILENCE: u8 = 127;

/// From here on nobody hears it (-60 dBov): below the noise of a line, above the idle noise of both G.711 laws.
pub(super) const QUIET: u8 = 60;

/// The level of these samples.
pub(super) fn dbov(samples: &[i16]) -> u8 {
    // 16-bit squares of one packet cannot overflow 64 bits.
    let sum: u64 = samples.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    if sum == 0 {
        return SILENCE;
    }
    let mean = sum as f64 / samples.len() as f64;
    // The cast saturates: louder than the overload point is 0.
    ((-10.0 * (mean / (32_768.0 * 32_768.0)).log10()).round() as u8).min(SILENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_the_definition() {
        let sine =
            |amplitude: f64| -> Vec<i16> { (0..160).map(|n| (amplitude * (n as f64 * 0.7).sin()) as i16).collect() };
        assert_eq!(dbov(&[i16::MIN; 160]), 0);
        assert_eq!(dbov(&sine(32_767.0)), 3, "a full sine is 3 dB below the full square");
        assert_eq!(dbov(&sine(3_276.7)), 23);
        assert_eq!(dbov(&[0; 160]), 127);
        assert_eq!(dbov(&[]), 127);
        assert!(dbov(&[8; 160]) > QUIET, "the smallest step of A-law is silence");
    }
}
