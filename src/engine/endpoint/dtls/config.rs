//! How the crate is told to shake hands, as the one who is begun with and as the one who begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto_provider::providers::AwsLcRsProvider;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::error::Error as RtcError;

use super::DtlsError;
use crate::endpoint::certificate::{Certificate, Fingerprint};
use crate::endpoint::srtp::Profile;

/// When the crate would repeat a flight: before we do, so that it is ready to whenever we ask it.
const REWRITE_AFTER: Duration = Duration::from_millis(1);

/// What we offer where we begin. Every browser has it; who has not can begin itself.
pub(super) const OFFERED_PROFILE: Profile = Profile::Aead128Gcm;

pub(super) const fn protection_profile(profile: Profile) -> SrtpProtectionProfile {
    match profile {
        Profile::Aead128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        Profile::AesCm128HmacSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    }
}

/// One profile only, so that the client's order cannot matter. Certificates are self-signed on both sides: what counts
/// is the fingerprint, and that the client signs with the certificate that has it.
pub(super) fn server_config(
    certificate: &Certificate,
    peer_fingerprint: &Fingerprint,
    profile: Profile,
    wrong_certificate: &Arc<AtomicBool>,
) -> Result<HandshakeConfig, DtlsError> {
    config(certificate, peer_fingerprint, profile, wrong_certificate)
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        .build(false, None)
        .map_err(|_| DtlsError::Configuration)
}

pub(super) fn client_config(
    certificate: &Certificate,
    peer_fingerprint: &Fingerprint,
    remote: SocketAddr,
    wrong_certificate: &Arc<AtomicBool>,
) -> Result<HandshakeConfig, DtlsError> {
    config(certificate, peer_fingerprint, OFFERED_PROFILE, wrong_certificate)
        .with_flight_interval(REWRITE_AFTER)
        .build(true, Some(remote))
        .map_err(|_| DtlsError::Configuration)
}

fn config(
    certificate: &Certificate,
    peer_fingerprint: &Fingerprint,
    profile: Profile,
    wrong_certificate: &Arc<AtomicBool>,
) -> ConfigBuilder {
    let (fingerprint, wrong) = (peer_fingerprint.clone(), Arc::clone(wrong_certificate));
    let verify = move |chain: &[Vec<u8>], _: &[_]| {
        if chain.first().is_some_and(|certificate| fingerprint.matches(certificate)) {
            Ok(())
        } else {
            wrong.store(true, Ordering::Relaxed);
            Err(RtcError::ErrInvalidCertificate)
        }
    };
    ConfigBuilder::default()
        .with_crypto_provider(Arc::new(AwsLcRsProvider::new()))
        .with_certificates(vec![certificate.dtls()])
        .with_cipher_suites(vec![
            CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
            CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
            CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_256_Cbc_Sha,
        ])
        .with_srtp_protection_profiles(vec![protection_profile(profile)])
        .with_extended_master_secret(ExtendedMasterSecretType::Require)
        .with_insecure_skip_verify(true)
        .with_verify_peer_certificate(Some(Arc::new(verify)))
}
