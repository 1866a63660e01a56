//! `a=crypto`: the key of who says so, and how it is to be used.
//!
//! ```text
//! <tag> AES_CM_128_HMAC_SHA1_80 inline:<key and salt>[|<lifetime>][|<MKI>:<length>] [session parameters] ─> CryptoLine
//! ```
//!
//! RFC 4568 §4, §6, §9.1.

use crate::media::keys::SrtpKey;

/// The only suite that we speak: every trunk has it, and Teams asks for it.
pub(super) const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// A line that we could use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CryptoLine {
    pub(super) tag: u32,
    pub(super) key: SrtpKey,
}

impl CryptoLine {
    /// `None` for what we cannot or must not use.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split_ascii_whitespace();
        let tag = parts.next()?.parse().ok().filter(|tag| *tag <= 999_999_999)?;
        parts.next().filter(|suite| suite.eq_ignore_ascii_case(SUITE))?;
        let inline = parts.next()?.strip_prefix("inline:")?;
        // RFC 4568 §6.3: who asks for less protection, another derivation or FEC is not met half-way; a window hint is
        // only a hint.
        if !parts.all(|parameter| parameter.starts_with("WSH=") || parameter == "KDR=0") {
            return None;
        }
        // More than one key, which `;` parts, would need an MKI in each packet.
        if inline.contains(';') {
            return None;
        }
        // The lifetime is longer than any leg (2^31 packets), and an MKI is not asked for by whoever writes 1:1 and
        // sends none: both are read over. Who does send one fails to authenticate.
        let key = inline.split('|').next()?;
        Some(Self { tag, key: SrtpKey::from_base64(key)? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    #[test]
    fn lines_are_used_or_left_as_a_whole() {
        let good = [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1048576 WSH=128"),
            format!("1 aes_cm_128_hmac_sha1_80  inline:{KEY}|1:1"),
        ];
        for line in good {
            let parsed = CryptoLine::parse(&line).unwrap();
            assert_eq!((parsed.tag, parsed.key.to_base64().as_str()), (1, KEY), "{line}");
        }
        let bad = [
            String::new(),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_32 inline:{KEY}"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:short".to_owned(),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4;inline:{KEY}|2^20|2:4"),
        ];
        for line in bad {
            assert_eq!(CryptoLine::parse(&line), None, "{line}");
        }
    }
}
