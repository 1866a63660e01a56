//! The kinds of stores, and how each is opened.
//!
//! All of them speak through the `object_store` crate, but differ in what must be set so that they are patient for
//! seconds and not for minutes, and in how a link is signed. Here a configuration becomes a store; behind it nobody
//! knows which kind it is.
//!
//! ```text
//! StoreKind --open--> Arc<dyn ObjectStore> + Links
//! ```
//!
//! Retries: a few within seconds, for a connection that broke. Longer patience is the upload queue's, which knows what
//! is waiting.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use zeroize::Zeroizing;

use super::error::VaultError;
use super::link::{AzureLinks, Links};

/// A request that failed is made again so often.
const RETRIES: usize = 2;
/// Not after this time, though.
const RETRY_TIME: Duration = Duration::from_secs(10);
/// Before the first of them, doubled before the next.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A text that stays out of whatever is printed, and is overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// For the store's client.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

/// Where objects are kept. Buckets and containers must exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A folder of this machine. Saved means on the disk: every object is synced.
    Local {
        /// Made if it is not there.
        folder: PathBuf,
    },
    /// Azure Blob Storage.
    Azure {
        /// The storage account.
        account: String,
        /// The container.
        container: String,
        /// One of the two keys of the account, base64.
        access_key: Secret,
        /// Where the account's blobs are, when not at `https://ACCOUNT.blob.core.windows.net`.
        endpoint: Option<String>,
    },
    /// S3, of Amazon or of anybody else.
    S3 {
        /// The bucket.
        bucket: String,
        /// Its region; part of every signature.
        region: String,
        /// Where the service is, when not at Amazon's.
        endpoint: Option<String>,
        /// Id and secret; none: the role that the machine has at Amazon.
        credentials: Option<S3Credentials>,
        /// The bucket stands in the path and not in the host name: most servers that are not Amazon's want that.
        path_style: bool,
    },
    /// Google Cloud Storage.
    Gcs {
        /// The bucket.
        bucket: String,
        /// The JSON file of a service account.
        service_account: PathBuf,
    },
}

/// What proves to S3 who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Credentials {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
}

/// How long a store may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For a whole request with its retries, one second more for each MiB that it sends; while a body is read: for
    /// its next piece.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), request: Duration::from_secs(30) }
    }
}

impl StoreKind {
    pub(super) fn open(&self, timeouts: Timeouts) -> Result<(Arc<dyn ObjectStore>, Links), VaultError> {
        match self {
            Self::Local { folder } => Ok((Arc::new(open_folder(folder)?), Links::None)),
            Self::Azure { account, container, access_key, endpoint } => {
                let mut builder = MicrosoftAzureBuilder::new()
                    .with_account(account)
                    .with_container_name(container)
                    .with_access_key(access_key.expose())
                    .with_client_options(client(timeouts, endpoint.as_deref()))
                    .with_retry(retries());
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
                }
                let store = builder.build().map_err(unusable)?;
                let links = AzureLinks::new(account, container, access_key, endpoint.as_deref())?;
                Ok((Arc::new(store), Links::Azure(Box::new(links))))
            }
            Self::S3 { bucket, region, endpoint, credentials, path_style } => {
                let mut builder = AmazonS3Builder::new()
                    .with_bucket_name(bucket)
                    .with_region(region)
                    .with_virtual_hosted_style_request(!path_style)
                    .with_client_options(client(timeouts, endpoint.as_deref()))
                    .with_retry(retries());
                if let Some(S3Credentials { access_key_id, secret_access_key }) = credentials {
                    builder =
                        builder.with_access_key_id(access_key_id).with_secret_access_key(secret_access_key.expose());
                }
                if let Some(endpoint) = endpoint {
                    let service = endpoint.trim_end_matches('/');
                    // The client takes an endpoint in that style as the bucket's, not as the service's.
                    let virtual_host = service.replacen("://", &format!("://{bucket}."), 1);
                    builder = builder.with_endpoint(if *path_style { service } else { &virtual_host });
                }
                let store = Arc::new(builder.build().map_err(unusable)?);
                Ok((Arc::clone(&store) as Arc<dyn ObjectStore>, Links::Signer(store)))
            }
            Self::Gcs { bucket, service_account } => {
                let builder = GoogleCloudStorageBuilder::new()
                    .with_bucket_name(bucket)
                    .with_service_account_path(service_account.to_string_lossy())
                    .with_client_options(client(timeouts, None))
                    .with_retry(retries());
                let store = Arc::new(builder.build().map_err(unusable)?);
                Ok((Arc::clone(&store) as Arc<dyn ObjectStore>, Links::Signer(store)))
            }
        }
    }
}

fn client(timeouts: Timeouts, endpoint: Option<&str>) -> ClientOptions {
    // Not one time for a whole answer: a recording may take an hour to be played. The vault bounds requests, and the
    // time between two pieces of a body.
    ClientOptions::new()
        .with_connect_timeout(timeouts.connect)
        .with_read_timeout(timeouts.request)
        .with_timeout_disabled()
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")))
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: RETRY_PAUSE, max_backoff: Duration::from_secs(2), base: 2.0 },
        max_retries: RETRIES,
        retry_timeout: RETRY_TIME,
    }
}

fn unusable(error: object_store::Error) -> VaultError {
    // At start, for the operator: the builders' words name what is wrong with a setting, and no secrets.
    VaultError::Config { why: error.to_string() }
}

fn open_folder(folder: &Path) -> Result<LocalFileSystem, VaultError> {
    std::fs::create_dir_all(folder).map_err(VaultError::disk("making the folder of the blob store"))?;
    sweep_staged(folder).map_err(VaultError::disk("tidying the folder of the blob store"))?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(unusable)?;
    Ok(store.with_fsync(true).with_automatic_cleanup(true))
}

/// Removes what interrupted uploads left half-written: `name#1`. No finished object has `#` in its name.
fn sweep_staged(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name();
        if kind.is_dir() {
            sweep_staged(&entry.path())?;
        } else if kind.is_file() && is_staged(&name.to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn half_written_leftovers_are_swept_at_any_depth_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("tenants/a/recordings/rec_0");
        std::fs::create_dir_all(&deep).unwrap();
        for name in ["track-0000.webm", "track-0000.webm#1", "manifest.json#12", "notes#draft", "#"] {
            std::fs::write(deep.join(name), "x").unwrap();
        }
        open_folder(folder.path()).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(&deep).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["#", "notes#draft", "track-0000.webm"]);
    }

    #[test]
    fn secrets_are_in_no_debug_output() {
        let kind = StoreKind::S3 {
            bucket: "b".to_owned(),
            region: "r".to_owned(),
            endpoint: None,
            credentials: Some(S3Credentials {
                access_key_id: "id".to_owned(),
                secret_access_key: Secret::new("s3cret"),
            }),
            path_style: false,
        };
        assert!(!format!("{kind:?}").contains("s3cret"));
    }
}
