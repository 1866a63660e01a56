//! Who is at the other end of a DTLS handshake: our certificate, and the fingerprint of the peer's (RFC 8122).
//!
//! Certificates of WebRTC are self-signed; what vouches for them is the fingerprint in the SDP, which came over the
//! authenticated signalling channel. One [`Certificate`] serves all endpoints of a process: its fingerprint goes into
//! every answer, and a client cannot tell or use that it is shared.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use rtc_dtls::crypto::Certificate as DtlsCertificate;
use rtc_dtls::crypto_provider::RTCCryptoProvider;
use rtc_dtls::crypto_provider::providers::AwsLcRsProvider;

/// Our certificate could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no DTLS certificate could be made: the key generator failed; start the server again")]
pub struct CertificateError;

/// Our self-signed certificate (ECDSA P-256) and its private key. Clones share it.
#[derive(Clone)]
pub struct Certificate {
    shared: Arc<DtlsCertificate>,
}

impl Certificate {
    /// Makes a key and a certificate for it.
    ///
    /// # Errors
    /// [`CertificateError`] when the system has no randomness to give.
    pub fn generate() -> Result<Self, CertificateError> {
        let provider = AwsLcRsProvider::new();
        DtlsCertificate::generate_self_signed(vec!["plenum".to_owned()], provider.crypto())
            .map(|certificate| Self { shared: Arc::new(certificate) })
            .map_err(|_| CertificateError)
    }

    /// The value of the answer's `a=fingerprint`: `sha-256 AB:CD:..`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let der = self.shared.certificate.first().map_or(&[][..], AsRef::as_ref);
        Fingerprint::of(HashAlgorithm::Sha256, der).to_string()
    }

    /// For the handshake.
    pub(super) fn dtls(&self) -> DtlsCertificate {
        DtlsCertificate::clone(&self.shared)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// Hash functions of fingerprints that we trust; MD5 and SHA-1 are not among them (RFC 8122 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HashAlgorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl HashAlgorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    const fn function(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// The hash of a certificate, as SDP carries it.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    algorithm: HashAlgorithm,
    hash: Vec<u8>,
}

impl Fingerprint {
    /// Reads the value of an `a=fingerprint` line, `sha-256 AB:CD:..`. `None` when the hash function is none of SHA-256,
    /// SHA-384 and SHA-512, or when the digits do not fit it.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (name, digits) = value.trim().split_once(' ')?;
        let algorithm = HashAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))?;
        let length = algorithm.function().output_len();
        let digits = digits.trim();
        // Two digits and a colon per byte but the last: checked first, so that a long line costs nothing.
        if digits.len() != 3 * length - 1 {
            return None;
        }
        let hash: Option<Vec<u8>> = digits.split(':').map(hex_byte).collect();
        hash.filter(|hash| hash.len() == length).map(|hash| Self { algorithm, hash })
    }

    /// Whether this is the fingerprint of that certificate (DER).
    #[must_use]
    pub fn matches(&self, certificate: &[u8]) -> bool {
        let actual = digest::digest(self.algorithm.function(), certificate);
        verify_slices_are_equal(actual.as_ref(), &self.hash).is_ok()
    }

    fn of(algorithm: HashAlgorithm, certificate: &[u8]) -> Self {
        let hash = digest::digest(algorithm.function(), certificate);
        Self { algorithm, hash: hash.as_ref().to_vec() }
    }
}

fn hex_byte(digits: &str) -> Option<u8> {
    let both = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    both.then(|| u8::from_str_radix(digits, 16).ok())?
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.name())?;
        for (at, byte) in self.hash.iter().enumerate() {
            write!(f, "{}{byte:02X}", if at == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

/// A fingerprint tells who somebody is: it is not for logs.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprint").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn our_fingerprint_is_that_of_our_certificate_only() {
        let (ours, other) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        let fingerprint = Fingerprint::parse(&ours.fingerprint()).unwrap();
        assert!(fingerprint.matches(&ours.dtls().certificate[0]));
        assert!(!fingerprint.matches(&other.dtls().certificate[0]));
    }

    #[test]
    fn rfc8122_s5_longer_hashes_and_lower_case_are_understood() {
        let der = b"not really a certificate";
        for algorithm in HashAlgorithm::ALL {
            let text = Fingerprint::of(algorithm, der).to_string();
            assert!(Fingerprint::parse(&text).unwrap().matches(der));
            assert!(Fingerprint::parse(&text.to_ascii_lowercase()).unwrap().matches(der));
        }
    }

    #[test]
    fn weak_and_damaged_fingerprints_are_refused() {
        let good = Certificate::generate().unwrap().fingerprint();
        let sha1 = format!("sha-1 {}", ["AB"; 20].join(":"));
        let short = good.strip_suffix(char::is_alphanumeric).unwrap();
        for bad in [&sha1, short, &good.replace(':', "-"), &good.replace("sha-256", "sha-512"), ""] {
            assert_eq!(Fingerprint::parse(bad), None);
        }
        let signed = format!("sha-256 +1{}", ":AB".repeat(31));
        assert_eq!(Fingerprint::parse(&signed), None);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), digits in "sha-256 [0-9a-fA-F:+]{95}") {
            let _ = Fingerprint::parse(&text);
            let _ = Fingerprint::parse(&digits);
        }

        #[test]
        fn what_is_written_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let fingerprint = Fingerprint::of(HashAlgorithm::Sha256, &bytes);
            prop_assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
        }
    }
}
