//! TLS, both ways, on the one crypto provider of the house. Certificates come as PEM.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use secrecy::ExposeSecret;

use crate::stack::trunk::{Identity, ServerTls, Trunk};

/// A certificate, key or name that TLS cannot be done with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM.
    #[error("not a PEM file: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// Refused by the TLS library: a key that does not fit its certificate, for one.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// No authority to trust.
    #[error("no certificate authority is configured, and the system has none")]
    NoRoots,
    /// Not a host name.
    #[error("the server name is neither a host name nor an address")]
    Name,
    /// A trunk would refuse our calls.
    #[error("our certificate is not for the domain that the trunk sees in our Contact")]
    Domain,
    /// The list of client authorities is empty.
    #[error("client certificates cannot be verified: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

fn read(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = CertificateDer::pem_slice_iter(&identity.chain).collect::<Result<Vec<_>, _>>()?;
    Ok((chain, PrivateKeyDer::from_pem_slice(identity.key.expose_secret())?))
}

/// How a trunk is connected to, and the name that its certificate must have.
pub(super) fn client(trunk: &Trunk) -> Result<(Arc<ClientConfig>, ServerName<'static>), TlsError> {
    let roots = match &trunk.tls.ca {
        Some(pem) => roots(pem)?,
        None => system_roots()?,
    };
    let name = trunk.tls.server_name.clone().unwrap_or_else(|| trunk.host.clone());
    let name = ServerName::try_from(name).map_err(|_| TlsError::Name)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match &trunk.tls.identity {
        Some(identity) => {
            let (chain, key) = read(identity)?;
            is_for(trunk, &chain)?;
            config.with_client_auth_cert(chain, key)?
        }
        None => config.with_no_client_auth(),
    };
    Ok((Arc::new(config), name))
}

/// A trunk like Teams refuses calls whose Contact is not in our certificate: better said at start.
fn is_for(trunk: &Trunk, chain: &[CertificateDer<'static>]) -> Result<(), TlsError> {
    let (Some(domain), Some(ours), false) = (&trunk.domain, chain.first(), trunk.register) else { return Ok(()) };
    let name = ServerName::try_from(domain.as_str()).map_err(|_| TlsError::Domain)?;
    rustls::client::verify_server_name(&ParsedCertificate::try_from(ours)?, &name).map_err(|_| TlsError::Domain)
}

/// How those who connect are served.
pub(super) fn server(tls: &ServerTls) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = read(&tls.identity)?;
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let config = match &tls.client_ca {
        Some(pem) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), provider()).build()?;
            config.with_client_cert_verifier(verifier)
        }
        None => config.with_no_client_auth(),
    };
    Ok(Arc::new(config.with_single_cert(chain, key)?))
}

/// What an operator can do about a handshake that failed.
pub(super) fn advice(error: &std::io::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature)) => {
            "name who signed its certificate: tls_ca of the trunk"
        }
        Some(Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. })) => {
            "its certificate is for another name than host: tls_server_name of the trunk"
        }
        Some(Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })) => {
            "its certificate is out of date: the trunk needs a new one"
        }
        // webpki's CaUsedAsEndEntity: what `openssl req -x509` makes unless told otherwise.
        Some(Error::InvalidCertificate(_)) => {
            "its certificate is unfit for a server, mostly one of an authority: the trunk needs one with basicConstraints=CA:FALSE"
        }
        Some(Error::AlertReceived(Alert::ProtocolVersion | Alert::HandshakeFailure)) => {
            "it has no version of TLS, or no cipher, that we have: TLS 1.2 and 1.3"
        }
        Some(Error::AlertReceived(_)) => "it does not accept us: it may want a certificate, phone.tls_certificate",
        _ => "is it TLS that it speaks at this port?",
    }
}
