//! Who somebody is, and how they prove it.
//!
//! Three proofs: a *user token* (JWT, for programs), a *session cookie* (for the organiser's browser) and a
//! *participant token* (JWT, good for one meeting and one participant; all that a guest ever has). The two kinds of
//! token have different audiences, so that neither is taken for the other.
//!
//! ```text
//! sign-in link --once--> session cookie -> user        join link -> participant token -> participant
//! ```

mod keys;
mod secrets;
mod tokens;

pub use keys::{KeyError, KeyName, SigningKeys};
pub use secrets::{Secret, conference_id, entrance, hash, join_number, passcode, pin, same};
pub use tokens::{AuthError, ParticipantClaims, UserClaims};

use std::path::Path;

use crate::clock::Timestamp;
use crate::policy::scopes::Scopes;
use crate::store::{CHAT_MEMBERS, Store, StoreError, StoreLocation};

/// A sign-in link works for a day.
pub const LINK_SECONDS: i64 = 24 * 3600;
/// The link of an invitation works for a week.
pub const INVITATION_SECONDS: i64 = 7 * 24 * 3600;
/// How long a link for another device of one's own is good.
pub const DEVICE_LINK_SECONDS: i64 = 10 * 60;
/// A session's cookie is exchanged once it is older ...
pub const COOKIE_SECONDS: i64 = 24 * 3600;
/// ... and the old one stays good for requests that are under way.
pub const OLD_COOKIE_SECONDS: i64 = 60;
/// How long a session is good.
pub const SESSION_SECONDS: i64 = 30 * 24 * 3600;
/// The tenant of everybody who was not put into another.
pub const DEFAULT_TENANT: &str = "default";
/// The person who signs in by the printed link.
const ORGANISER: &str = "Organiser";

/// Why a token or a link could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token could not be signed.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

/// Makes a user token for programs (`plenum token`); the user is made if new.
///
/// # Errors
/// When key or store cannot be used.
pub async fn mint_user_token(
    data_dir: &Path,
    store: &StoreLocation,
    user_name: &str,
    tenant: &str,
    admin: bool,
) -> Result<String, MintError> {
    let tokens = mint_user_tokens(data_dir, store, &[user_name.to_owned()], tenant, admin, Scopes::ALL).await?;
    Ok(tokens.into_iter().next().unwrap_or_default())
}

/// Tokens for programs, one for each name.
///
/// # Errors
/// When the data directory cannot be used.
pub async fn mint_user_tokens(
    data_dir: &Path,
    store: &StoreLocation,
    user_names: &[String],
    tenant: &str,
    admin: bool,
    scopes: Scopes,
) -> Result<Vec<String>, MintError> {
    let keys = SigningKeys::load_or_create(data_dir)?;
    let store = Store::open(store, CHAT_MEMBERS).await?;
    let mut tokens = Vec::with_capacity(user_names.len());
    for name in user_names {
        tokens.push(keys.sign_user(&store.find_or_create_user(tenant, name, admin).await?, scopes)?);
    }
    store.close().await;
    Ok(tokens)
}

/// Makes a newer signing key (`plenum keys rotate`), which a running server takes into use within a second. With `revoke`
/// those of before are deleted.
///
/// # Errors
/// When the data directory cannot be used.
pub fn rotate_keys(data_dir: &Path, revoke: bool) -> Result<(), MintError> {
    Ok(SigningKeys::rotate(data_dir, revoke)?)
}

/// Makes a sign-in link (`plenum link`). Works while the server runs: both write the same store.
///
/// # Errors
/// When the store cannot be used.
pub async fn new_sign_in_link(store: &StoreLocation, base_url: &str) -> Result<String, MintError> {
    let store = Store::open(store, CHAT_MEMBERS).await?;
    let link = sign_in_link(&store, base_url).await?;
    store.close().await;
    Ok(link)
}

/// Makes a sign-in link in an open store.
///
/// # Errors
/// When the store fails.
pub async fn sign_in_link(store: &Store, base_url: &str) -> Result<String, StoreError> {
    let user = store.find_or_create_user(DEFAULT_TENANT, ORGANISER, true).await?;
    let key = Secret::generate();
    store.add_sign_in_link(&key.hash(), user.id, Timestamp::now().plus_seconds(LINK_SECONDS)).await?;
    Ok(link_of(base_url, &key))
}

/// The address that a sign-in key is handed over as.
#[must_use]
pub fn link_of(base_url: &str, key: &Secret) -> String {
    // In the fragment, so that it reaches no server log and no Referer header.
    format!("{}/#key={}", base_url.trim_end_matches('/'), key.reveal())
}
