//! JSON Web Tokens: algorithm, issuer and audience are pinned, so a token says nothing about how it is to be checked. The
//! two audiences have keys and algorithms of their own (`keys.rs`).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::keys::Key;
use super::{KeyName, SigningKeys};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, UserId};
use crate::policy::Person;
use crate::policy::scopes::Scopes;
use crate::store::UserRow;

const ISSUER: &str = "plenum";
const USER_AUDIENCE: &str = "plenum";
const PARTICIPANT_AUDIENCE: &str = "plenum-participant";
/// A user token is for programs that are set up once: a year.
pub(super) const USER_SECONDS: i64 = 365 * 24 * 3600;
/// A participant token outlives any meeting, not more.
const PARTICIPANT_SECONDS: i64 = 24 * 3600;

/// Why somebody is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not one of our tokens, changed, or too old.
    #[error("the token is not valid here or has expired: join or sign in again")]
    BadToken,
    /// Signing failed.
    #[error("a token could not be signed: the signing key is unusable, see the server's keys directory")]
    Signing,
}

/// What a user token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClaims {
    iss: String,
    aud: String,
    exp: i64,
    /// Who.
    pub sub: UserId,
    /// Their name.
    pub name: String,
    /// Their tenant.
    pub tenant: String,
    /// May administer.
    pub admin: bool,
    /// When it was issued, in seconds; tokens of before there was a revocation have none.
    #[serde(default)]
    pub iat: i64,
    /// What it may be used for; none: for everything that its owner may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// What a participant token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantClaims {
    iss: String,
    aud: String,
    exp: i64,
    /// Who.
    #[serde(rename = "sub")]
    pub participant: ParticipantId,
    /// Where.
    pub meeting: MeetingId,
    /// Which account, if any, and what it is to the meeting.
    #[serde(flatten)]
    pub person: Person,
    /// Under which name.
    pub name: String,
    /// When it was issued, in seconds.
    #[serde(default)]
    pub iat: i64,
}

impl UserClaims {
    /// What the token may be used for.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.scope.as_deref().map_or(Scopes::ALL, Scopes::read)
    }

    /// Whether the token was issued after the last revocation of everything that its owner was signed in by.
    #[must_use]
    pub fn is_valid_for(&self, user: &UserRow) -> bool {
        is_valid(self.iat, user)
    }
}

impl ParticipantClaims {
    /// The same of the account that somebody came with. Whoever came without one has none to be signed out of.
    #[must_use]
    pub fn is_valid_for(&self, user: Option<&UserRow>) -> bool {
        self.person.user.is_none() || user.is_some_and(|user| is_valid(self.iat, user))
    }
}

/// Seconds are all that a token tells, so that one of the same second counts as issued before.
fn is_valid(iat: i64, user: &UserRow) -> bool {
    iat.saturating_mul(1000) >= user.valid_after.as_millis()
}

impl SigningKeys {
    /// Makes a token for a user.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign_user(&self, user: &UserRow, scopes: Scopes) -> Result<String, AuthError> {
        let claims = UserClaims {
            iss: ISSUER.to_owned(),
            aud: USER_AUDIENCE.to_owned(),
            exp: Timestamp::now().plus_seconds(USER_SECONDS).as_seconds(),
            sub: user.id,
            name: user.name.clone(),
            tenant: user.tenant.clone(),
            admin: user.admin,
            iat: Timestamp::now().as_seconds(),
            scope: scopes.write(),
        };
        let keys = self.all();
        let key = keys.first().ok_or(AuthError::Signing)?;
        sign(Algorithm::EdDSA, key, &key.signing, &claims)
    }

    /// Makes a token for a participant.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign_participant(
        &self,
        meeting: MeetingId,
        participant: ParticipantId,
        person: Person,
        name: &str,
    ) -> Result<String, AuthError> {
        self.sign_claims(&ParticipantClaims {
            iss: ISSUER.to_owned(),
            aud: PARTICIPANT_AUDIENCE.to_owned(),
            exp: Timestamp::now().plus_seconds(PARTICIPANT_SECONDS).as_seconds(),
            participant,
            meeting,
            person,
            name: name.to_owned(),
            iat: Timestamp::now().as_seconds(),
        })
    }

    /// Reads a user token.
    ///
    /// # Errors
    /// [`AuthError::BadToken`].
    pub fn check_user(&self, token: &str) -> Result<UserClaims, AuthError> {
        self.check(Algorithm::EdDSA, |key| &key.checking, token, USER_AUDIENCE)
    }

    /// Reads a participant token. Whether the participant was removed is the store's to say.
    ///
    /// # Errors
    /// [`AuthError::BadToken`].
    pub fn check_participant(&self, token: &str) -> Result<ParticipantClaims, AuthError> {
        self.check(Algorithm::HS256, |key| &key.participants.1, token, PARTICIPANT_AUDIENCE)
    }

    /// Which key a token says that it was signed by. Whether it was, a check of the token tells.
    #[must_use]
    pub fn named_by(&self, token: &str) -> KeyName {
        let header = jsonwebtoken::decode_header(token).ok();
        // A name that is none of ours need not be kept.
        let keys = self.all();
        let named = |key: &&Key| header.as_ref().and_then(|header| header.kid.as_deref()) == Some(key.name.as_str());
        keys.iter().find(named).map(|key| key.name.clone()).unwrap_or_default()
    }

    fn sign_claims(&self, claims: &ParticipantClaims) -> Result<String, AuthError> {
        let keys = self.all();
        let key = keys.first().ok_or(AuthError::Signing)?;
        sign(Algorithm::HS256, key, &key.participants.0, claims)
    }

    /// Reads a token by the key that its header names; one that names none, from before keys had names, by each of them.
    fn check<C: DeserializeOwned>(
        &self,
        algorithm: Algorithm,
        part: impl Fn(&Key) -> &DecodingKey,
        token: &str,
        audience: &str,
    ) -> Result<C, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::BadToken)?;
        let mut rules = Validation::new(algorithm);
        rules.set_audience(&[audience]);
        rules.set_issuer(&[ISSUER]);
        rules.set_required_spec_claims(&["exp", "aud", "iss"]);
        let keys = self.all();
        let named = |key: &&Key| header.kid.as_ref().is_none_or(|name| *name == key.name.as_str());
        let read = |key: &Key| jsonwebtoken::decode::<C>(token, part(key), &rules).ok();
        keys.iter().filter(named).find_map(read).map(|data| data.claims).ok_or(AuthError::BadToken)
    }
}

fn sign<C: Serialize>(algorithm: Algorithm, key: &Key, by: &EncodingKey, claims: &C) -> Result<String, AuthError> {
    let header = Header { kid: Some(key.name.as_str().to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, by).map_err(|_| AuthError::Signing)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::auth::KeyError;
    use crate::policy::Kind;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use proptest::prelude::*;

    const ORGANIZER: Person = Person { kind: Kind::Organizer, user: None };

    fn keys() -> (tempfile::TempDir, SigningKeys) {
        let folder = tempfile::tempdir().unwrap();
        let keys = SigningKeys::load_or_create(folder.path()).unwrap();
        (folder, keys)
    }

    #[test]
    fn a_key_survives_a_restart_and_only_its_owner_may_read_it() {
        let (folder, keys) = keys();
        let token =
            keys.sign_participant(MeetingId::generate(), ParticipantId::generate(), Person::ANONYMOUS, "Ada").unwrap();
        let again = SigningKeys::load_or_create(folder.path()).unwrap();
        assert_eq!(again.check_participant(&token).unwrap().name, "Ada");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let file = folder.path().join("keys/token-signing.ed25519.pk8");
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_participant_token_is_not_a_user_token_nor_the_other_way_round() {
        let (_folder, keys) = keys();
        let user = UserRow {
            id: UserId::generate(),
            tenant: "t".into(),
            name: "Ada".into(),
            admin: true,
            valid_after: Timestamp::from_millis(0),
        };
        let user_token = keys.sign_user(&user, Scopes::ALL).unwrap();
        let guest =
            keys.sign_participant(MeetingId::generate(), ParticipantId::generate(), Person::ANONYMOUS, "Ada").unwrap();
        assert_eq!(keys.check_user(&user_token).unwrap().sub, user.id);
        assert_eq!(keys.check_user(&guest), Err(AuthError::BadToken));
        assert_eq!(keys.check_participant(&user_token), Err(AuthError::BadToken));
    }

    #[test]
    fn who_knows_the_public_key_cannot_make_a_participant_token_of_it() {
        let (folder, keys) = keys();
        let document = std::fs::read(folder.path().join("keys/token-signing.ed25519.pk8")).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(&document).unwrap();
        let claims = ParticipantClaims {
            iss: ISSUER.to_owned(),
            aud: PARTICIPANT_AUDIENCE.to_owned(),
            exp: Timestamp::now().plus_seconds(60).as_seconds(),
            participant: ParticipantId::generate(),
            meeting: MeetingId::generate(),
            person: ORGANIZER,
            name: String::new(),
            iat: 0,
        };
        assert!(keys.check_participant(&keys.sign_claims(&claims).unwrap()).is_ok());
        let public = EncodingKey::from_secret(pair.public_key().as_ref());
        let all = keys.all();
        let key = &all[0];
        let forged = sign(Algorithm::HS256, key, &public, &claims).unwrap();
        assert_eq!(keys.check_participant(&forged), Err(AuthError::BadToken));
        let other_algorithm = sign(Algorithm::EdDSA, key, &key.signing, &claims).unwrap();
        assert_eq!(keys.check_participant(&other_algorithm), Err(AuthError::BadToken));
    }

    #[test]
    fn another_servers_token_and_a_token_without_algorithm_are_refused() {
        let (_one, keys_one) = keys();
        let (_two, keys_two) = keys();
        let (meeting, me) = (MeetingId::generate(), ParticipantId::generate());
        let token = keys_one.sign_participant(meeting, me, ORGANIZER, "Ada").unwrap();
        assert_eq!(keys_two.check_participant(&token), Err(AuthError::BadToken));
        // {"alg":"none","typ":"JWT"} in front of the same claims.
        let claims = token.split('.').nth(1).unwrap();
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
        assert_eq!(keys_one.check_participant(&unsigned), Err(AuthError::BadToken));
    }

    #[test]
    fn an_expired_token_is_refused() {
        let (_folder, keys) = keys();
        let token = keys
            .sign_claims(&ParticipantClaims {
                iss: ISSUER.to_owned(),
                aud: PARTICIPANT_AUDIENCE.to_owned(),
                exp: Timestamp::now().plus_seconds(-3600).as_seconds(),
                participant: ParticipantId::generate(),
                meeting: MeetingId::generate(),
                person: Person::ANONYMOUS,
                name: String::new(),
                iat: 0,
            })
            .unwrap();
        assert_eq!(keys.check_participant(&token), Err(AuthError::BadToken));
    }

    fn user() -> UserRow {
        UserRow {
            id: UserId::generate(),
            tenant: "t".into(),
            name: "Ada".into(),
            admin: false,
            valid_after: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn after_a_rotation_old_tokens_are_good_and_new_ones_are_of_the_new_key_also_in_a_running_server() {
        let (folder, running) = keys();
        let (user, meeting, me) = (user(), MeetingId::generate(), ParticipantId::generate());
        let guest = |keys: &SigningKeys| keys.sign_participant(meeting, me, Person::ANONYMOUS, "Bob").unwrap();
        let old = (running.sign_user(&user, Scopes::ALL).unwrap(), guest(&running));
        SigningKeys::rotate(folder.path(), false).unwrap();
        let other_process = SigningKeys::load_or_create(folder.path()).unwrap();
        let new = (other_process.sign_user(&user, Scopes::ALL).unwrap(), guest(&other_process));
        let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid;
        assert_ne!(kid(&old.0), kid(&new.0));
        assert_eq!(running.check_user(&new.0), Err(AuthError::BadToken), "it has not looked yet");
        assert_eq!((running.reload().unwrap(), running.reload().unwrap()), (Some(vec![]), None));
        for (user_token, guest_token) in [&old, &new] {
            assert_eq!(running.check_user(user_token).unwrap().sub, user.id);
            assert_eq!(running.check_participant(guest_token).unwrap().participant, me);
        }
        assert_eq!(kid(&running.sign_user(&user, Scopes::ALL).unwrap()), kid(&new.0));
    }

    #[test]
    fn a_revoked_key_has_signed_nothing_that_is_good() {
        let (folder, running) = keys();
        let user = user();
        let old = running.sign_user(&user, Scopes::ALL).unwrap();
        let guest =
            running.sign_participant(MeetingId::generate(), ParticipantId::generate(), Person::ANONYMOUS, "B").unwrap();
        let named = running.named_by(&guest);
        assert_ne!(named, KeyName::default());
        SigningKeys::rotate(folder.path(), false).unwrap();
        SigningKeys::rotate(folder.path(), true).unwrap();
        assert_eq!(running.reload().unwrap(), Some(vec![named]));
        assert_eq!(running.check_user(&old), Err(AuthError::BadToken));
        assert_eq!(running.check_participant(&guest), Err(AuthError::BadToken));
        assert!(running.check_user(&running.sign_user(&user, Scopes::ALL).unwrap()).is_ok());
        assert_eq!(std::fs::read_dir(folder.path().join("keys")).unwrap().count(), 1);
    }

    #[test]
    fn a_token_from_before_keys_had_names_is_good_also_after_a_rotation() {
        let (folder, running) = keys();
        let user = user();
        let token = running.sign_user(&user, Scopes::ALL).unwrap();
        let claims: UserClaims = running.check_user(&token).unwrap();
        let nameless =
            jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &running.all()[0].signing).unwrap();
        SigningKeys::rotate(folder.path(), false).unwrap();
        running.reload().unwrap();
        assert_eq!(running.check_user(&nameless).unwrap().sub, user.id);
    }

    #[test]
    fn a_key_whose_tokens_have_all_expired_goes_with_the_next_rotation() {
        let (folder, _running) = keys();
        let path = folder.path().join("keys");
        let year = 366 * 24 * 3600 * 1000;
        let now = Timestamp::now().as_millis();
        let first = path.join("token-signing.ed25519.pk8");
        for born in [now - 2 * year, now - year, now - 1000] {
            std::fs::copy(&first, path.join(format!("token-signing.{born}.ed25519.pk8"))).unwrap();
        }
        SigningKeys::rotate(folder.path(), false).unwrap();
        // The first was replaced two years ago, the second one year ago; the third only a second ago.
        assert!(!first.exists());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 3);
    }

    #[test]
    fn keys_do_not_become_too_many_and_an_empty_folder_or_a_damaged_key_changes_nothing_in_a_running_server() {
        let (folder, running) = keys();
        let token = running.sign_user(&user(), Scopes::ALL).unwrap();
        let refused = (0..20).find_map(|_| SigningKeys::rotate(folder.path(), false).err());
        assert!(matches!(refused, Some(KeyError::TooMany)), "{refused:?}");
        std::fs::write(folder.path().join("keys/token-signing.9999999999999.ed25519.pk8"), "no key").unwrap();
        assert!(matches!(running.reload(), Err(KeyError::Damaged { .. })));
        assert!(running.check_user(&token).is_ok());
        std::fs::remove_dir_all(folder.path().join("keys")).unwrap();
        assert_eq!(running.reload().unwrap(), None);
        assert!(running.check_user(&token).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_is_taken_for_a_token(text in any::<String>()) {
            let (_folder, keys) = keys();
            prop_assert_eq!(keys.check_participant(&text), Err(AuthError::BadToken));
        }
    }
}
