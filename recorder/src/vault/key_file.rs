//! Master keys in a file of this machine.
//!
//! The simplest place for a key that is not the store's: a file that only the server may read, made at first use. It
//! holds several keys by name, so that they can be changed: a line added at the end seals everything new, the older
//! ones still open what they sealed.
//!
//! ```text
//! # comment
//! key-1a2b3c4d = 64 hex digits          wrapped data key = nonce (12) | AES-256-GCM(data key) | tag (16)
//! 2027         = 64 hex digits  <- in use               associated data: "plenum data key" and the master key's name
//! ```
//!
//! The nonce of a wrapping is random: one master key may wrap 2^32 data keys (NIST SP 800-38D §8.3), far more than
//! objects will ever be stored.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::{Zeroize as _, Zeroizing};

use super::hex;
use super::keys::{DataKey, KEY_BYTES, KeyError, KeyProvider, Wrapped};

/// A longer file is no key file.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Longest name of a key in the file.
const MAX_NAME_BYTES: usize = 64;

const FIRST_LINES: &str = "\
# Master keys of sealed recordings, one a line: NAME = 64 hex digits. The last one seals what is new, all of them open.
# To change the key add a line: echo \"2027 = $(openssl rand -hex 32)\" >> THIS_FILE, and restart.
# Whoever loses a key loses what it sealed: keep a copy of this file, away from the recordings.
";

/// The provider that ships: master keys in one file.
pub struct KeyFile {
    keys: HashMap<String, LessSafeKey>,
    in_use: String,
}

/// Names alone.
impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("in_use", &self.in_use).field("keys", &self.keys.len()).finish()
    }
}

impl KeyFile {
    /// Reads the keys of `path`; makes the file, with one random key, if there is none. Blocking.
    ///
    /// # Errors
    /// [`KeyError::File`] and [`KeyError::BadFile`], the latter also when others than the owner may read it.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        match File::open(path) {
            Ok(file) => Self::read(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path)?;
                Self::read(File::open(path)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read(file: File) -> Result<Self, KeyError> {
        let facts = file.metadata()?;
        if facts.permissions().mode() & 0o077 != 0 {
            return Err(bad("can be read by others than its owner. Put that right with `chmod 600`"));
        }
        if facts.len() > MAX_FILE_BYTES {
            return Err(bad("is far too long"));
        }
        // Room for all of it at once: a growing text would leave copies of keys behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES as usize + 1));
        file.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = HashMap::new();
        let mut in_use = None;
        let lines = text.lines().map(str::trim).enumerate();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let at = |what: &str| bad(&format!("has a mistake in line {}: {what}", index + 1));
            let (name, digits) = line.split_once('=').ok_or_else(|| at("it is not NAME = KEY"))?;
            let (name, digits) = (name.trim(), digits.trim());
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(letters) {
                return Err(at("a name is 1 to 64 letters, digits or hyphens"));
            }
            let key = unhex(digits).ok_or_else(|| at("a key is 64 hex digits"))?;
            let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| at("the key cannot be used"))?;
            if keys.insert(name.to_owned(), LessSafeKey::new(key)).is_some() {
                return Err(at("this name stands there twice"));
            }
            in_use = Some(name.to_owned());
        }
        in_use.map(|in_use| Self { keys, in_use }).ok_or_else(|| bad("holds no key"))
    }

    fn key(&self, id: &str) -> Result<&LessSafeKey, KeyError> {
        self.keys.get(id).ok_or_else(|| KeyError::Unknown { id: id.to_owned() })
    }
}

#[async_trait]
impl KeyProvider for KeyFile {
    async fn wrap(&self, key: &DataKey) -> Result<Wrapped, KeyError> {
        let id = self.in_use.clone();
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| KeyError::NoRandomness)?;
        let mut sealed = *key.bytes();
        let tag = self
            .key(&id)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad(&id), &mut sealed)
            .map_err(|_| KeyError::Refused { id: id.clone() })?;
        Ok(Wrapped { id, bytes: [&nonce, sealed.as_slice(), tag.as_ref()].concat() })
    }

    async fn unwrap(&self, wrapped: &Wrapped) -> Result<DataKey, KeyError> {
        let refused = || KeyError::Refused { id: wrapped.id.clone() };
        let master = self.key(&wrapped.id)?;
        let (nonce, sealed) = wrapped.bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(refused)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let plain = master
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad(&wrapped.id), &mut sealed)
            .map_err(|_| refused())?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if plain.len() != KEY_BYTES {
            return Err(refused());
        }
        key.copy_from_slice(plain);
        Ok(DataKey::from_bytes(key))
    }
}

fn aad(id: &str) -> Aad<Vec<u8>> {
    Aad::from([b"plenum data key ", id.as_bytes()].concat())
}

fn bad(why: &str) -> KeyError {
    KeyError::BadFile { why: why.to_owned() }
}

/// Exactly [`KEY_BYTES`] bytes of hex digits.
fn unhex(digits: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    if digits.len() != 2 * KEY_BYTES || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(key)
}

/// Makes a file with one key: written beside, then moved into place, so that there is never half a key.
fn make(path: &Path) -> Result<(), KeyError> {
    let key = DataKey::fresh()?;
    let mut name = [0; 4];
    aws_lc_rs::rand::fill(&mut name).map_err(|_| KeyError::NoRandomness)?;
    let mut line = format!("key-{} = {}\n", hex(&name), *Zeroizing::new(hex(key.bytes())));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    let draft = path.with_extension("new");
    // What an interrupted start left: an open file of others' making would keep its permissions.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(FIRST_LINES.as_bytes()).and_then(|()| file.write_all(line.as_bytes()));
    line.zeroize();
    written?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn line(name: &str, byte: u8) -> String {
        format!("{name} = {}\n", hex(&[byte; KEY_BYTES]))
    }

    fn refusal(text: &str) -> String {
        KeyFile::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_key_file_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/recordings");
        let first = KeyFile::open(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(KeyFile::open(&path).unwrap().in_use, first.in_use);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let other = KeyFile::open(&folder.path().join("other")).unwrap();
        assert_ne!(other.in_use, first.in_use);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        KeyFile::open(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(KeyFile::open(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[tokio::test]
    async fn the_last_key_wraps_and_the_older_ones_still_unwrap() {
        let old = KeyFile::parse(&line("old", 1)).unwrap();
        let both = KeyFile::parse(&(line("old", 1) + "\n# rotated\n" + &line("new", 2))).unwrap();
        let key = DataKey::fresh().unwrap();
        let by_old = old.wrap(&key).await.unwrap();
        let by_new = both.wrap(&key).await.unwrap();
        assert_eq!((by_old.id.as_str(), by_new.id.as_str()), ("old", "new"));
        for wrapped in [&by_old, &by_new] {
            assert_eq!(both.unwrap(wrapped).await.unwrap().bytes(), key.bytes());
            let plain = wrapped.bytes.windows(KEY_BYTES).any(|window| window == key.bytes());
            assert!(!plain, "the key stands there unwrapped");
        }
        assert!(matches!(old.unwrap(&by_new).await, Err(KeyError::Unknown { id }) if id == "new"));
    }

    #[tokio::test]
    async fn a_changed_wrapping_another_name_or_another_key_is_refused() {
        let file = KeyFile::parse(&(line("one", 1) + &line("two", 1))).unwrap();
        let wrapped = file.wrap(&DataKey::fresh().unwrap()).await.unwrap();
        for index in 0..wrapped.bytes.len() {
            let mut changed = wrapped.clone();
            changed.bytes[index] ^= 1;
            assert!(matches!(file.unwrap(&changed).await, Err(KeyError::Refused { .. })), "byte {index}");
        }
        let renamed = Wrapped { id: "one".to_owned(), ..wrapped.clone() };
        assert!(matches!(file.unwrap(&renamed).await, Err(KeyError::Refused { .. })));
        let cut = Wrapped { bytes: wrapped.bytes[..11].to_vec(), ..wrapped.clone() };
        assert!(matches!(file.unwrap(&cut).await, Err(KeyError::Refused { .. })));
        let other = KeyFile::parse(&line("two", 2)).unwrap();
        assert!(matches!(other.unwrap(&wrapped).await, Err(KeyError::Refused { .. })));
    }

    #[test]
    fn what_is_wrong_with_a_key_file_is_told_with_its_line_and_without_its_keys() {
        let secret = hex(&[0xab; KEY_BYTES]);
        for (text, words) in [
            (String::new(), "no key"),
            ("# nothing\n".to_owned(), "no key"),
            (format!("\nkey {secret}"), "line 2"),
            (format!("k = {secret}00"), "64 hex digits"),
            (format!("k = {}+1", &secret[2..]), "64 hex digits"),
            (format!("a b = {secret}"), "letters"),
            (format!("k = {secret}\nk = {secret}"), "twice"),
        ] {
            let refusal = refusal(&text);
            assert!(refusal.contains(words) && !refusal.contains("abab"), "{text}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(text in "(\\PC{0,40}(=|\n| ){0,2}){0,5}") {
            let _ = KeyFile::parse(&text);
        }
    }
}
