//! Links that let a browser fetch an object from the store itself, for a while and without other credentials.
//!
//! A recording of hours then costs this server nothing. S3 and Google sign every query parameter, so that name and
//! type of the download ride along; Azure has fields of its own for that, which the store's crate leaves empty, hence
//! its signature is made here.
//!
//! ```text
//! place, valid, file name, content type --> Links --> https://... ?signature (GET alone, with Range)
//! ```
//!
//! - Service SAS of Azure: <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>, version 2020-12-06 and later
//! - Content-Disposition: RFC 6266, RFC 8187

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::error::VaultError;
use super::kind::Secret;

/// S3 and Google sign for no longer.
const MAX_VALID: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest name of a download, in bytes.
const MAX_FILE_NAME_BYTES: usize = 200;
/// Version of the signed fields below.
const AZURE_VERSION: &str = "2023-11-03";

/// Who signs.
#[derive(Debug)]
pub(super) enum Links {
    /// The store has no links.
    None,
    /// S3, Google.
    Signer(Arc<dyn Signer>),
    /// Azure.
    Azure(Box<AzureLinks>),
}

impl Links {
    pub(super) async fn sign(
        &self,
        place: &Path,
        valid: Duration,
        file_name: &str,
        content_type: &str,
    ) -> Result<Option<Url>, VaultError> {
        let valid = valid.min(MAX_VALID);
        let disposition = disposition(file_name);
        if !is_content_type(content_type) {
            return Err(VaultError::BadName { why: "its content type is none" });
        }
        match self {
            Self::None => Ok(None),
            Self::Signer(signer) => {
                let options = SignedUrlOptions::new().with_query([
                    ("response-content-disposition", disposition.as_str()),
                    ("response-content-type", content_type),
                ]);
                let signed = signer.signed_url_opts(Method::GET, place, valid, &options).await;
                Ok(Some(signed.map_err(VaultError::storing("signing a link"))?))
            }
            Self::Azure(azure) => azure.sign(place, valid, &disposition, content_type).map(Some),
        }
    }
}

/// Signs for one container.
pub(super) struct AzureLinks {
    account: String,
    container: String,
    key: hmac::Key,
    /// Of the container.
    url: Url,
}

impl fmt::Debug for AzureLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureLinks").field("container", &self.container).finish_non_exhaustive()
    }
}

impl AzureLinks {
    pub(super) fn new(
        account: &str,
        container: &str,
        access_key: &Secret,
        endpoint: Option<&str>,
    ) -> Result<Self, VaultError> {
        let bad = |why: &str| VaultError::Config { why: why.to_owned() };
        let key = Zeroizing::new(BASE64.decode(access_key.expose()).map_err(|_| bad("the access key is not base64"))?);
        let service = endpoint.map_or_else(
            || format!("https://{account}.blob.core.windows.net"),
            |endpoint| endpoint.trim_end_matches('/').to_owned(),
        );
        let url = format!("{service}/{container}").parse().map_err(|_| bad("the endpoint is no URL"))?;
        let (account, container) = (account.to_owned(), container.to_owned());
        Ok(Self { account, container, key: hmac::Key::new(hmac::HMAC_SHA256, &key), url })
    }

    fn sign(&self, place: &Path, valid: Duration, disposition: &str, content_type: &str) -> Result<Url, VaultError> {
        let expiry = (OffsetDateTime::now_utc() + valid)
            .replace_nanosecond(0)
            .ok()
            .and_then(|expiry| expiry.format(&Rfc3339).ok())
            .ok_or(VaultError::BadName { why: "its link would end in no known year" })?;
        let protocol = if self.url.scheme() == "https" { "https" } else { "https,http" };
        let resource = format!("/blob/{}/{}/{place}", self.account, self.container);
        // Permissions, start, expiry, resource, identifier, addresses, protocol, version, kind (blob), snapshot,
        // encryption scope; then headers of the answer: cache control, disposition, encoding, language, type.
        let fields = [
            "r",
            "",
            &expiry,
            &resource,
            "",
            "",
            protocol,
            AZURE_VERSION,
            "b",
            "",
            "",
            "",
            disposition,
            "",
            "",
            content_type,
        ];
        let signature = BASE64.encode(hmac::sign(&self.key, fields.join("\n").as_bytes()));
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{place}", self.url.path()));
        url.query_pairs_mut()
            .append_pair("sv", AZURE_VERSION)
            .append_pair("sp", "r")
            .append_pair("se", &expiry)
            .append_pair("sr", "b")
            .append_pair("spr", protocol)
            .append_pair("rscd", disposition)
            .append_pair("rsct", content_type)
            .append_pair("sig", &signature);
        Ok(url)
    }
}

/// RFC 6266 §4.3, appendix D: the name in ASCII for all, and in full for those who know RFC 8187.
fn disposition(file_name: &str) -> String {
    let mut cut = file_name.len().min(MAX_FILE_NAME_BYTES);
    while !file_name.is_char_boundary(cut) {
        cut -= 1;
    }
    let name = file_name.get(..cut).unwrap_or_default();
    let plain: String = name.chars().map(|c| if is_plain(c) || c == ' ' { c } else { '_' }).collect();
    let mut full = String::new();
    for byte in name.bytes() {
        if is_plain(char::from(byte)) {
            full.push(char::from(byte));
        } else {
            let _ = write!(full, "%{byte:02X}");
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{full}")
}

/// Letters that stand for themselves wherever a header or a URL puts them.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// `type/subtype`, perhaps with a parameter: nothing that could end a header.
fn is_content_type(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '+' | ';' | '=' | ' ');
    text.contains('/') && text.len() < 100 && text.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_keeps_its_name_and_no_name_ends_the_header() {
        assert_eq!(
            disposition("Montag früh.webm"),
            "attachment; filename=\"Montag fr_h.webm\"; filename*=UTF-8''Montag%20fr%C3%BCh.webm"
        );
        let hostile = disposition("a\"; x=\"\r\nSet-Cookie: y\\");
        assert_eq!(hostile.matches('"').count(), 2, "{hostile}");
        assert!(!hostile.contains(['\r', '\n', '\\']), "{hostile}");
        assert!(disposition(&"ü".repeat(300)).ends_with("%BC"));
    }

    #[test]
    fn a_content_type_that_could_end_a_header_is_refused() {
        assert!(is_content_type("video/webm") && is_content_type("text/vtt; charset=utf-8"));
        for bad in ["", "webm", "a/b\r\nx: y", "a/b\"", "a/\u{e9}"] {
            assert!(!is_content_type(bad), "{bad:?}");
        }
    }
}
