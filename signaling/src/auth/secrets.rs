//! Random secrets, their hashes, and comparing them.

use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::store::Entrance;

/// Digits and letters that are not mistaken for each other when read aloud or written down.
const CLEAR: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";
/// 31 to the power of 8 is about 40 bits: with the limit on wrong guesses, out of reach.
const PASSCODE_CHARACTERS: usize = 8;

/// A secret of 256 random bits, printable, never shown by Debug.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        let bytes: [u8; 32] = rand::rng().random();
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// One of 128 bits, for links that people copy.
    #[must_use]
    pub fn generate_short() -> Self {
        let bytes: [u8; 16] = rand::rng().random();
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// The text, for the one place that hands it out.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the store keeps.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        hash(self.reveal())
    }
}

/// SHA-256 is enough for secrets that are random: there is nothing to guess from.
#[must_use]
pub fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// Compares in a time that does not depend on where the two differ.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    // Hashing first makes both equally long, so that not even the length is told.
    constant_time::verify_slices_are_equal(&hash(a), &hash(b)).is_ok()
}

/// Nine digits that name a meeting on the phone or on a slip of paper. The first is never 0.
#[must_use]
pub fn join_number() -> String {
    rand::rng().random_range(100_000_000_u32..=999_999_999).to_string()
}

/// Nine digits that name a meeting on the phone. Others than [`join_number`]'s, so that neither tells the other.
#[must_use]
pub fn conference_id() -> String {
    join_number()
}

/// Five digits that prove a meeting's organiser on the phone, where letters cannot be entered. Few: guessing is slow there.
#[must_use]
pub fn pin() -> String {
    rand::rng().random_range(10_000_u32..=99_999).to_string()
}

/// The passcode that goes with the number.
#[must_use]
pub fn passcode() -> String {
    let mut rng = rand::rng();
    let mut letter = || CLEAR.get(rng.random_range(0..CLEAR.len())).map_or('2', |&byte| char::from(byte));
    (0..PASSCODE_CHARACTERS).map(|_| letter()).collect()
}

/// What opens a meeting that is made now.
#[must_use]
pub fn entrance() -> Entrance {
    let secret = Secret::generate_short();
    Entrance { join_hash: secret.hash(), join_secret: secret.reveal().to_owned(), passcode: passcode() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let secret = Secret::generate();
        assert!(!format!("{secret:?}").contains(secret.reveal()));
    }

    #[test]
    fn only_the_same_text_compares_equal() {
        assert!(same("k7q2xa", "k7q2xa"));
        assert!(!same("k7q2xa", "k7q2xb"));
        assert!(!same("k7q2xa", "k7q2x"));
        assert!(!same("", "k"));
    }

    #[test]
    fn numbers_and_passcodes_have_their_form() {
        for _ in 0..100 {
            assert_eq!(join_number().len(), 9);
            let code = passcode();
            assert_eq!(code.len(), PASSCODE_CHARACTERS);
            assert!(code.bytes().all(|byte| CLEAR.contains(&byte)), "{code}");
        }
    }
}
