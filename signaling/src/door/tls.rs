//! TLS for the accept loop: certificate files in, a server configuration out, renewed without a restart.
//!
//! Renewal tools replace the files in place. [`Certificate::reload`] takes the new pair only when it is whole and
//! fits together; until then the old one keeps serving, so a half-written file never takes the server down.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Why HTTPS cannot be served with the given files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain could not be read.
    #[error("the certificate {path} cannot be used: {reason}. It must be a PEM file with the whole chain, leaf first")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The key could not be read.
    #[error("the key {path} cannot be used: {reason}. It must be an unencrypted PEM private key that we may read")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// Both are fine, but not for each other.
    #[error(
        "the key {key} does not belong to the certificate {certificate}: {reason}. Name the pair that was made together"
    )]
    Mismatch {
        /// Chain file.
        certificate: PathBuf,
        /// Key file.
        key: PathBuf,
        /// What the check said.
        reason: String,
    },
    /// The TLS library refused its own settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The certificate that new connections get.
#[derive(Debug)]
pub struct Certificate {
    chain_file: PathBuf,
    key_file: PathBuf,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    pair: Arc<CertifiedKey>,
    /// Times of change of both files when they were read.
    stamp: [Option<SystemTime>; 2],
}

impl Certificate {
    /// Reads the pair.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(chain_file: PathBuf, key_file: PathBuf) -> Result<Arc<Self>, TlsError> {
        let stamp = [changed(&chain_file), changed(&key_file)];
        let pair = read_pair(&chain_file, &key_file)?;
        Ok(Arc::new(Self { chain_file, key_file, current: RwLock::new(Current { pair, stamp }) }))
    }

    /// Takes the files anew if they changed. `Ok(true)` when new connections get a new certificate.
    ///
    /// # Errors
    /// [`TlsError`]; the old certificate stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let stamp = [changed(&self.chain_file), changed(&self.key_file)];
        if self.current.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return Ok(false);
        }
        let pair = read_pair(&self.chain_file, &self.key_file)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current { pair, stamp };
        Ok(true)
    }

    /// A configuration for [`super::accept`] that always serves the current certificate.
    ///
    /// # Errors
    /// [`TlsError::Setup`] when the provider lacks TLS 1.2 and 1.3.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).pair))
    }
}

fn changed(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn read_pair(chain_file: &Path, key_file: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let bad_chain = |reason: String| TlsError::Certificate { path: chain_file.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(chain_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad_chain(error.to_string()))?;
    if chain.is_empty() {
        return Err(bad_chain("there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| TlsError::Key { path: key_file.to_owned(), reason: error.to_string() })?;
    let pair = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| {
        TlsError::Mismatch { certificate: chain_file.to_owned(), key: key_file.to_owned(), reason: error.to_string() }
    })?;
    Ok(Arc::new(pair))
}
