//! DTLS as the client (RFC 6347, RFC 5764): `rtc-dtls` shakes hands, this drives it and exports the SRTP keys.
//!
//! All clients of a run share one certificate: making a thousand would be this program's cost and the server's
//! gain of nothing. The SRTP profiles are offered in Chromium's order, so that the server has to choose the cheap one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::crypto_provider::RTCCryptoProvider;
use rtc_dtls::crypto_provider::providers::AwsLcRsProvider;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use sha2::{Digest, Sha256};

use super::srtp::{Keys, ProtectionProfile};

/// When an unanswered flight is sent again.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(100);
/// RFC 5764 section 4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// SHA-256 of a certificate.
pub(crate) type Fingerprint = [u8; 32];

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DtlsError {
    /// No certificate.
    #[error("no DTLS certificate could be made: {0}")]
    Certificate(String),
    /// The handshake broke.
    #[error("the DTLS handshake failed: {0}")]
    Handshake(String),
    /// The server is not whom its answer named.
    #[error("the server's certificate does not have the fingerprint of its answer")]
    Fingerprint,
    /// No profile that we speak.
    #[error("the server chose no SRTP profile that was offered")]
    Profile,
    /// Over.
    #[error("the server closed the DTLS association")]
    Closed,
}

/// Who all clients of a run are.
#[derive(Clone)]
pub(crate) struct Identity {
    config: Arc<HandshakeConfig>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// A new certificate; `server` is only a name to the crate.
    pub(crate) fn generate(server: SocketAddr) -> Result<Self, DtlsError> {
        let wrong = |error: rtc_shared::error::Error| DtlsError::Certificate(error.to_string());
        let provider = AwsLcRsProvider::new();
        let certificate =
            Certificate::generate_self_signed(vec!["loadtest".to_owned()], provider.crypto()).map_err(wrong)?;
        let der = certificate.certificate.first().map(|der| der.to_vec()).unwrap_or_default();
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::new(provider))
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            ])
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_flight_interval(FLIGHT_INTERVAL)
            // Certificates are self-signed; the fingerprint is compared when the handshake is over.
            .with_insecure_skip_verify(true)
            .build(true, Some(server))
            .map_err(wrong)?;
        Ok(Self { config: Arc::new(config), fingerprint: Sha256::digest(der).into() })
    }

    /// For the offer.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// One handshake and the association that it makes.
pub(crate) struct Handshake {
    endpoint: Endpoint,
    remote: SocketAddr,
    expected: Fingerprint,
}

impl Handshake {
    /// Begins: the first flight waits in [`Self::poll_transmit`].
    pub(crate) fn begin(
        identity: &Identity,
        remote: SocketAddr,
        expected: Fingerprint,
        now: Instant,
    ) -> Result<Self, DtlsError> {
        let mut endpoint = Endpoint::new(remote, TransportProtocol::UDP, None);
        endpoint.connect(now, remote, Arc::clone(&identity.config), None).map_err(failed)?;
        Ok(Self { endpoint, remote, expected })
    }

    /// The next datagram to send.
    pub(crate) fn poll_transmit(&mut self) -> Option<BytesMut> {
        self.endpoint.poll_transmit().map(|transmit| transmit.message)
    }

    /// When [`Self::handle_timeout`] is due; `None` when the handshake is over.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout(&self.remote)
    }

    /// Sends the last flight again.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsError> {
        self.endpoint.handle_timeout(self.remote, now).map_err(failed)
    }

    /// Takes a DTLS datagram; the keys come once, with the last.
    pub(crate) fn handle(&mut self, datagram: &[u8], now: Instant) -> Result<Option<Keys>, DtlsError> {
        let events = self.endpoint.read(now, self.remote, None, BytesMut::from(datagram)).map_err(failed)?;
        let mut keys = None;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => keys = Some(self.export()?),
                EndpointEvent::PeerClosed => return Err(DtlsError::Closed),
                _ => {}
            }
        }
        Ok(keys)
    }

    /// Says goodbye; the alert waits in [`Self::poll_transmit`].
    pub(crate) fn close(&mut self, now: Instant) {
        // The association is gone either way.
        let _ = self.endpoint.close(now);
    }

    fn export(&self) -> Result<Keys, DtlsError> {
        let state = self.endpoint.get_connection_state(self.remote).ok_or(DtlsError::Closed)?;
        let certificate = state.peer_certificates.first().ok_or(DtlsError::Fingerprint)?;
        if Fingerprint::from(Sha256::digest(certificate)) != self.expected {
            return Err(DtlsError::Fingerprint);
        }
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => ProtectionProfile::AeadAes256Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            _ => return Err(DtlsError::Profile),
        };
        let material =
            state.export_keying_material(EXPORTER_LABEL, &[], Keys::material_len(profile)).map_err(failed)?;
        Keys::of_client(profile, material.as_ref()).ok_or(DtlsError::Profile)
    }
}

fn failed(error: rtc_shared::error::Error) -> DtlsError {
    DtlsError::Handshake(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use rtc_dtls::config::ClientAuthType;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    struct Server {
        endpoint: Endpoint,
        fingerprint: Fingerprint,
    }

    /// `rtc-dtls` as the server, which chooses among `profiles`.
    fn server(profiles: Vec<SrtpProtectionProfile>) -> Server {
        let provider = AwsLcRsProvider::new();
        let certificate = Certificate::generate_self_signed(vec!["server".to_owned()], provider.crypto()).unwrap();
        let fingerprint = Sha256::digest(&certificate.certificate.first().unwrap()[..]).into();
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::new(provider))
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(profiles)
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .build(false, None)
            .unwrap();
        Server { endpoint: Endpoint::new(address(1), TransportProtocol::UDP, Some(Arc::new(config))), fingerprint }
    }

    fn shake(server: &mut Server, expected: Fingerprint) -> Result<Keys, DtlsError> {
        let now = Instant::now();
        let identity = Identity::generate(address(2)).unwrap();
        let mut client = Handshake::begin(&identity, address(2), expected, now).unwrap();
        for _ in 0..20 {
            while let Some(datagram) = client.poll_transmit() {
                server.endpoint.read(now, address(3), None, datagram).unwrap();
            }
            while let Some(transmit) = server.endpoint.poll_transmit() {
                if let Some(keys) = client.handle(&transmit.message, now)? {
                    return Ok(keys);
                }
            }
        }
        panic!("no end of the handshake")
    }

    #[test]
    fn the_keys_are_those_of_the_server() {
        let mut server = server(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm]);
        let expected = server.fingerprint;
        let keys = shake(&mut server, expected).unwrap();
        assert!(matches!(keys.profile, ProtectionProfile::AeadAes128Gcm));
        let state = server.endpoint.get_connection_state(address(3)).unwrap();
        let material = state.export_keying_material(EXPORTER_LABEL, &[], 56).unwrap();
        let of_server = Keys::of_client(ProtectionProfile::AeadAes128Gcm, material.as_ref()).unwrap();
        assert_eq!((keys.sent, keys.received), (of_server.sent, of_server.received));
    }

    #[test]
    fn a_server_with_another_certificate_gets_no_further() {
        let mut server = server(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm]);
        assert!(matches!(shake(&mut server, [7; 32]), Err(DtlsError::Fingerprint)));
    }
}
