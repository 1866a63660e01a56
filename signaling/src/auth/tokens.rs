//! JSON Web Tokens: algorithm, issuer and audience are pinned, so a token says nothing about how it is to be checked. The
//! two audiences have keys and algorithms of their own (`keys.rs`).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::SigningKeys;
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, UserId};
use crate::policy::Person;
use crate::store::UserRow;

const ISSUER: &str = "plenum";
const USER_AUDIENCE: &str = "plenum";
const PARTICIPANT_AUDIENCE: &str = "plenum-participant";
/// A user token is for programs that are set up once: a year.
const USER_SECONDS: i64 = 365 * 24 * 3600;
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
    pub fn sign_user(&self, user: &UserRow) -> Result<String, AuthError> {
        let claims = UserClaims {
            iss: ISSUER.to_owned(),
            aud: USER_AUDIENCE.to_owned(),
            exp: Timestamp::now().plus_seconds(USER_SECONDS).as_seconds(),
            sub: user.id,
            name: user.name.clone(),
            tenant: user.tenant.clone(),
            admin: user.admin,
            iat: Timestamp::now().as_seconds(),
        };
        sign(Algorithm::EdDSA, &self.signing, &claims)
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
        check(Algorithm::EdDSA, &self.checking, token, USER_AUDIENCE)
    }

    /// Reads a participant token. Whether the participant was removed is the store's to say.
    ///
    /// # Errors
    /// [`AuthError::BadToken`].
    pub fn check_participant(&self, token: &str) -> Result<ParticipantClaims, AuthError> {
        check(Algorithm::HS256, &self.participants.1, token, PARTICIPANT_AUDIENCE)
    }

    fn sign_claims(&self, claims: &ParticipantClaims) -> Result<String, AuthError> {
        sign(Algorithm::HS256, &self.participants.0, claims)
    }
}

fn sign<C: Serialize>(algorithm: Algorithm, key: &EncodingKey, claims: &C) -> Result<String, AuthError> {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).map_err(|_| AuthError::Signing)
}

fn check<C: DeserializeOwned>(
    algorithm: Algorithm,
    key: &DecodingKey,
    token: &str,
    audience: &str,
) -> Result<C, AuthError> {
    let mut rules = Validation::new(algorithm);
    rules.set_audience(&[audience]);
    rules.set_issuer(&[ISSUER]);
    rules.set_required_spec_claims(&["exp", "aud", "iss"]);
    let data = jsonwebtoken::decode::<C>(token, key, &rules).map_err(|_| AuthError::BadToken)?;
    Ok(data.claims)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
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
        let user_token = keys.sign_user(&user).unwrap();
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
        let forged = sign(Algorithm::HS256, &public, &claims).unwrap();
        assert_eq!(keys.check_participant(&forged), Err(AuthError::BadToken));
        let other_algorithm = sign(Algorithm::EdDSA, &keys.signing, &claims).unwrap();
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_is_taken_for_a_token(text in any::<String>()) {
            let (_folder, keys) = keys();
            prop_assert_eq!(keys.check_participant(&text), Err(AuthError::BadToken));
        }
    }
}
