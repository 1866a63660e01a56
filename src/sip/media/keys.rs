//! The key of one direction of SRTP as SDES carries it: 16 octets of key, 14 of salt, in base64.
//!
//! It is wiped from memory when it is dropped, and no `Debug` shows it.
//!
//! ```text
//! a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:<base64> <─> SrtpKey ─> srtp.rs
//! ```
//!
//! RFC 4568 §6.1 <https://www.rfc-editor.org/rfc/rfc4568>, RFC 3711 §8.2 <https://www.rfc-editor.org/rfc/rfc3711>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use zeroize::Zeroizing;

const KEY_LEN: usize = 16;
const SALT_LEN: usize = 14;

/// Master key and salt for AES_CM_128_HMAC_SHA1_80.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKey(Zeroizing<[u8; KEY_LEN + SALT_LEN]>);

impl SrtpKey {
    /// A fresh one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut material = Zeroizing::new([0; KEY_LEN + SALT_LEN]);
        rng.fill_bytes(material.as_mut_slice());
        Self(material)
    }

    /// Reads the base64 of an `inline:`; `None` unless it is exactly 30 octets.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        // The decoder may write three octets more than it returns.
        let mut octets = Zeroizing::new([0; KEY_LEN + SALT_LEN + 3]);
        let len = STANDARD.decode_slice(text, octets.as_mut_slice()).ok()?;
        let material = octets.get(..len)?;
        Some(Self(Zeroizing::new(material.try_into().ok()?)))
    }

    pub(super) fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    pub(super) fn key(&self) -> &[u8] {
        self.0.split_at(KEY_LEN).0
    }

    pub(super) fn salt(&self) -> &[u8] {
        self.0.split_at(KEY_LEN).1
    }
}

impl std::fmt::Debug for SrtpKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SrtpKey")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_key_survives_base64_and_shows_itself_to_nobody() {
        let key = SrtpKey::generate(&mut StdRng::seed_from_u64(7));
        let text = key.to_base64();
        assert_eq!(text.len(), 40);
        assert_eq!(SrtpKey::from_base64(&text).unwrap(), key);
        assert_eq!(format!("{key:?}"), "SrtpKey");
        assert_eq!((key.key().len(), key.salt().len()), (16, 14));
    }

    #[test]
    fn what_is_not_thirty_octets_is_no_key() {
        for text in ["", "AAAA", "!", &"A".repeat(36), &"A".repeat(44), &"A".repeat(4_000)] {
            assert_eq!(SrtpKey::from_base64(text), None);
        }
    }
}
