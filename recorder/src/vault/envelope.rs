//! The format of a sealed object.
//!
//! A recording is long, and players jump in it: so it is sealed in chunks, of which a range needs only those that cover
//! it. Sealing each chunk by itself would let whoever can write to the store swap, repeat, drop or cut them; so the
//! nonce of each counts them and marks the last one (the STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizár,
//! "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015, <https://eprint.iacr.org/2015/189>),
//! and all of them are bound to the header and to the place of the object in the store.
//!
//! ```text
//! offset  bytes
//!      0      8  "PLNMSEAL"
//!      8      1  version: 1
//!      9      1  chunk size as power of two: 16 (65,536 plain bytes)
//!     10      2  length of the master key's name (all numbers big-endian)
//!     12      2  length of the wrapped key
//!     14      2  zero
//!     16      8  plain size of the object
//!     24    128  name of the master key, then zeros
//!    152    360  wrapped data key, then zeros
//!    512         chunk 0 | chunk 1 | ... | last chunk
//!
//! chunk  = AES-256-GCM(data key, nonce, plain bytes, associated data): ciphertext, then 16 bytes of tag.
//!          All but the last hold 65,536 plain bytes, the last one 1 to 65,536; an empty object has one empty chunk.
//! nonce  = three zeros | chunk number (8 bytes) | 1 in the last chunk, else 0.
//!          The data key is fresh for each object (also when one is overwritten), so no nonce is ever used twice.
//! associated data = SHA-256(length of the place (8 bytes) | place | header), the place being the whole path in the store.
//! ```
//!
//! The plain size follows from the stored size; the header repeats it, so that a cut object is noticed whichever of its
//! chunks is read. AES-GCM: NIST SP 800-38D. A sealed object can be opened only where it was stored: copies to
//! another store keep their path.

use std::ops::Range;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use super::error::VaultError;
use super::keys::{DataKey, KeyError, MAX_KEY_ID_BYTES, MAX_WRAPPED_BYTES, Wrapped};

/// Bytes before the first chunk.
pub(super) const HEADER_BYTES: usize = 512;
/// Plain bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = 1 << CHUNK_POWER;
/// What sealing adds to a chunk.
const TAG_BYTES: usize = 16;
/// Stored bytes of a chunk that is not the last.
pub(super) const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

const CHUNK_POWER: u8 = 16;
const MAGIC: &[u8; 8] = b"PLNMSEAL";
const VERSION: u8 = 1;
const FIXED_BYTES: usize = 24;
const _: () = assert!(FIXED_BYTES + MAX_KEY_ID_BYTES + MAX_WRAPPED_BYTES == HEADER_BYTES);

/// Whether these first bytes are those of a sealed object. No WebM file and no JSON document begins so.
pub(super) fn is_sealed(first: &[u8]) -> bool {
    first.starts_with(MAGIC)
}

/// Stored size of an object of `plain` bytes.
pub(super) const fn sealed_size(plain: u64) -> u64 {
    HEADER_BYTES as u64 + plain + chunks(plain) * TAG_BYTES as u64
}

/// Chunks of an object of `plain` bytes: one at least.
const fn chunks(plain: u64) -> u64 {
    if plain == 0 { 1 } else { plain.div_ceil(CHUNK_BYTES as u64) }
}

/// Plain size of a stored object; nothing when no sealed object has that size.
pub(super) fn plain_size(stored: u64) -> Option<u64> {
    let body = stored.checked_sub(HEADER_BYTES as u64)?;
    let count = body.div_ceil(SEALED_CHUNK_BYTES as u64);
    let plain = body.checked_sub(count * TAG_BYTES as u64)?;
    (sealed_size(plain) == stored).then_some(plain)
}

/// What stands before the chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) size: u64,
    pub(super) wrapped: Wrapped,
}

impl Header {
    pub(super) fn write(&self) -> Result<[u8; HEADER_BYTES], KeyError> {
        let (id, key) = (self.wrapped.id.as_bytes(), self.wrapped.bytes.as_slice());
        if id.len() > MAX_KEY_ID_BYTES || key.len() > MAX_WRAPPED_BYTES {
            return Err(KeyError::TooLong);
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[VERSION, CHUNK_POWER]);
        bytes.extend_from_slice(&(id.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&(key.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(id);
        bytes.resize(FIXED_BYTES + MAX_KEY_ID_BYTES, 0);
        bytes.extend_from_slice(key);
        bytes.resize(HEADER_BYTES, 0);
        bytes.try_into().map_err(|_| KeyError::TooLong)
    }

    /// Reads a header, of which there is only one way to write it: what is read is what would be written.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, VaultError> {
        let damaged = |why| VaultError::Damaged { why };
        let (fixed, rest) = bytes.split_at(FIXED_BYTES);
        let (id, key) = rest.split_at(MAX_KEY_ID_BYTES);
        let number = |range: Range<usize>| {
            fixed.get(range).unwrap_or_default().iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        if !is_sealed(fixed) {
            return Err(VaultError::NotSealed);
        }
        if number(8..9) != u64::from(VERSION) || number(9..10) != u64::from(CHUNK_POWER) {
            return Err(damaged("it is of a version that this server does not know"));
        }
        let cut = |field: &[u8], length: u64| field.get(..length as usize).map(<[u8]>::to_vec);
        let id = cut(id, number(10..12)).and_then(|id| String::from_utf8(id).ok());
        let key = cut(key, number(12..14));
        let (Some(id), Some(key)) = (id, key) else { return Err(damaged("its header was changed")) };
        let header = Self { size: number(16..24), wrapped: Wrapped { id, bytes: key } };
        if header.write()? == *bytes { Ok(header) } else { Err(damaged("its header was changed")) }
    }
}

/// The key of one object, bound to its header and place.
struct Bound {
    key: LessSafeKey,
    binding: [u8; 32],
}

impl Bound {
    fn new(key: &DataKey, header: &[u8; HEADER_BYTES], place: &str) -> Result<Self, KeyError> {
        let key = UnboundKey::new(&AES_256_GCM, key.bytes()).map_err(|_| KeyError::TooLong)?;
        let mut binding = Sha256::new();
        binding.update((place.len() as u64).to_be_bytes());
        binding.update(place);
        binding.update(header);
        Ok(Self { key: LessSafeKey::new(key), binding: binding.finalize().into() })
    }

    fn aad(&self) -> Aad<&[u8; 32]> {
        Aad::from(&self.binding)
    }
}

fn nonce(chunk: u64, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    for (byte, counter) in nonce.iter_mut().skip(3).zip(chunk.to_be_bytes()) {
        *byte = counter;
    }
    if let Some(flag) = nonce.last_mut() {
        *flag = u8::from(last);
    }
    Nonce::assume_unique_for_key(nonce)
}

/// Seals the plain bytes of one object, piece by piece.
pub(super) struct Sealer {
    bound: Bound,
    next: u64,
    /// Plain bytes of the chunk that is being filled. A full one waits until it is known whether it is the last.
    pending: Vec<u8>,
}

impl Sealer {
    pub(super) fn new(key: &DataKey, header: &[u8; HEADER_BYTES], place: &str) -> Result<Self, KeyError> {
        Ok(Self { bound: Bound::new(key, header, place)?, next: 0, pending: Vec::with_capacity(SEALED_CHUNK_BYTES) })
    }

    /// Takes plain bytes, appends the chunks that they complete.
    pub(super) fn push(&mut self, mut plain: &[u8], sealed: &mut Vec<u8>) -> Result<(), VaultError> {
        while !plain.is_empty() {
            if self.pending.len() == CHUNK_BYTES {
                self.seal(false, sealed)?;
            }
            let (now, later) = plain.split_at(plain.len().min(CHUNK_BYTES - self.pending.len()));
            self.pending.extend_from_slice(now);
            plain = later;
        }
        Ok(())
    }

    /// Appends the last chunk. Nothing may be pushed after it.
    pub(super) fn finish(&mut self, sealed: &mut Vec<u8>) -> Result<(), VaultError> {
        self.seal(true, sealed)
    }

    fn seal(&mut self, last: bool, sealed: &mut Vec<u8>) -> Result<(), VaultError> {
        self.bound
            .key
            .seal_in_place_append_tag(nonce(self.next, last), self.bound.aad(), &mut self.pending)
            .map_err(|_| VaultError::Damaged { why: "it could not be sealed" })?;
        sealed.append(&mut self.pending);
        self.next += 1;
        Ok(())
    }
}

/// Opens chunks of one object, in any order.
pub(super) struct Opener {
    bound: Bound,
    size: u64,
}

impl Opener {
    pub(super) fn new(key: &DataKey, header: &Header, place: &str) -> Result<Self, KeyError> {
        Ok(Self { bound: Bound::new(key, &header.write()?, place)?, size: header.size })
    }

    /// What must be read for these plain bytes, which lie within the object and are not none.
    pub(super) fn cover(&self, plain: &Range<u64>) -> Cover {
        let first = plain.start / CHUNK_BYTES as u64;
        let end = plain.end.div_ceil(CHUNK_BYTES as u64).max(first + 1);
        let at = |chunk: u64| HEADER_BYTES as u64 + chunk * SEALED_CHUNK_BYTES as u64;
        let stored = at(first)..at(end).min(sealed_size(self.size));
        Cover { chunks: first..end, stored, skip: (plain.start % CHUNK_BYTES as u64) as usize }
    }

    /// Stored bytes of a chunk.
    pub(super) fn stored_bytes(&self, chunk: u64) -> usize {
        let left = self.size.saturating_sub(chunk * CHUNK_BYTES as u64);
        left.min(CHUNK_BYTES as u64) as usize + TAG_BYTES
    }

    /// Opens a chunk where it lies.
    pub(super) fn open<'chunk>(&self, number: u64, chunk: &'chunk mut [u8]) -> Result<&'chunk mut [u8], VaultError> {
        let last = number + 1 == chunks(self.size);
        self.bound
            .key
            .open_in_place(nonce(number, last), self.bound.aad(), chunk)
            .map_err(|_| VaultError::Damaged { why: "a part of it was changed, or belongs to another object" })
    }
}

/// The chunks around a range of plain bytes.
#[derive(Debug)]
pub(super) struct Cover {
    pub(super) chunks: Range<u64>,
    /// Where they lie in the stored object.
    pub(super) stored: Range<u64>,
    /// Plain bytes of the first chunk before the range.
    pub(super) skip: usize,
}

#[cfg(test)]
mod tests;
