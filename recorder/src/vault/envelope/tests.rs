//! Sealed objects as bytes: what opens, and what must not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::vault::keys::KEY_BYTES;

const PLACE: &str = "tenants/a/recordings/rec_0/track-0000.webm";

fn key(byte: u8) -> DataKey {
    DataKey::from_bytes(Zeroizing::new([byte; KEY_BYTES]))
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut noise).unwrap();
    noise
}

fn seal(key: &DataKey, place: &str, plain: &[u8]) -> Vec<u8> {
    let wrapped = Wrapped { id: "master".to_owned(), bytes: vec![7; 60] };
    let header = Header { size: plain.len() as u64, wrapped }.write().unwrap();
    let mut sealed = header.to_vec();
    let mut sealer = Sealer::new(key, &header, place).unwrap();
    // Uneven pieces: chunks must not depend on them.
    for piece in plain.chunks(50_021) {
        sealer.push(piece, &mut sealed).unwrap();
    }
    sealer.finish(&mut sealed).unwrap();
    sealed
}

fn open(key: &DataKey, place: &str, stored: &[u8], plain: Range<u64>) -> Result<Vec<u8>, VaultError> {
    let header = Header::parse(stored.first_chunk().ok_or(VaultError::Damaged { why: "short" })?)?;
    if plain_size(stored.len() as u64) != Some(header.size) {
        return Err(VaultError::Damaged { why: "size" });
    }
    let opener = Opener::new(key, &header, place)?;
    let cover = opener.cover(&plain);
    let mut body = stored[cover.stored.start as usize..cover.stored.end as usize].to_vec();
    let mut rest = body.as_mut_slice();
    let mut opened = Vec::new();
    for number in cover.chunks {
        let (chunk, later) = rest.split_at_mut(opener.stored_bytes(number));
        opened.extend_from_slice(opener.open(number, chunk)?);
        rest = later;
    }
    assert!(rest.is_empty(), "more was read than is needed");
    Ok(opened[cover.skip..][..(plain.end - plain.start) as usize].to_vec())
}

fn open_all(key: &DataKey, place: &str, stored: &[u8]) -> Result<Vec<u8>, VaultError> {
    let size = plain_size(stored.len() as u64).ok_or(VaultError::Damaged { why: "size" })?;
    open(key, place, stored, 0..size)
}

#[test]
fn sizes_follow_from_each_other() {
    let chunk = CHUNK_BYTES as u64;
    for (plain, stored) in [
        (0, 512 + 16),
        (1, 512 + 1 + 16),
        (chunk - 1, 512 + chunk - 1 + 16),
        (chunk, 512 + chunk + 16),
        (chunk + 1, 512 + chunk + 1 + 32),
        (3 * chunk, 512 + 3 * chunk + 48),
    ] {
        assert_eq!((sealed_size(plain), plain_size(stored)), (stored, Some(plain)));
    }
    for none in [0, 511, 512, 512 + 15, 512 + chunk + 16 + 16, 512 + chunk + 16 + 1] {
        assert_eq!(plain_size(none), None, "{none}");
    }
}

#[test]
fn every_size_around_a_chunk_opens_again() {
    for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 17] {
        let plain = noise(size);
        let sealed = seal(&key(1), PLACE, &plain);
        assert_eq!(sealed.len() as u64, sealed_size(size as u64));
        assert_eq!(open_all(&key(1), PLACE, &sealed).unwrap(), plain, "{size}");
    }
}

/// The format is for ever: what it stands for was made by another implementation (Python's `cryptography`), from the
/// description of the format alone.
#[test]
fn the_format_is_as_described() {
    let plain: Vec<u8> = (0..70_000).map(|index| (index % 251) as u8).collect();
    let sealed = seal(&key(1), PLACE, &plain);
    let hash = crate::vault::hex(&Sha256::digest(&sealed));
    assert_eq!(hash, "d4fb1f9e049e614bfd130b9dd9ceef5423575f8bfb24b68fe1c7b03a1ba4108e");
}

#[test]
fn any_changed_byte_of_a_small_object_is_noticed() {
    let sealed = seal(&key(1), PLACE, b"a plain text");
    for index in 0..sealed.len() {
        for bit in [1, 0x80] {
            let mut changed = sealed.clone();
            changed[index] ^= bit;
            assert!(open_all(&key(1), PLACE, &changed).is_err(), "byte {index}");
        }
    }
}

#[test]
fn chunks_that_are_swapped_repeated_dropped_or_of_another_object_are_noticed() {
    let (plain, other) = (noise(3 * CHUNK_BYTES), noise(3 * CHUNK_BYTES));
    let (sealed, other) = (seal(&key(1), PLACE, &plain), seal(&key(2), PLACE, &other));
    let chunk =
        |number: usize| HEADER_BYTES + number * SEALED_CHUNK_BYTES..HEADER_BYTES + (number + 1) * SEALED_CHUNK_BYTES;
    let with = |order: [&[u8]; 3]| [&sealed[..HEADER_BYTES], order[0], order[1], order[2]].concat();
    let [a, b, c] = [0, 1, 2].map(|number| &sealed[chunk(number)]);
    assert!(open_all(&key(1), PLACE, &with([a, b, c])).is_ok());
    for order in [[b, a, c], [a, a, c], [a, c, b], [a, b, &other[chunk(2)]], [&other[chunk(0)], b, c]] {
        assert!(matches!(open_all(&key(1), PLACE, &with(order)), Err(VaultError::Damaged { .. })));
    }
    // Cut between chunks: whichever of the rest is read.
    let cut = &sealed[..sealed.len() - SEALED_CHUNK_BYTES];
    for plain in [0..1, 0..2 * CHUNK_BYTES as u64] {
        assert!(open(&key(1), PLACE, cut, plain).is_err());
    }
    // With a header that says the cut size, as one who can write to the store would.
    let mut lied = cut.to_vec();
    lied[16..24].copy_from_slice(&(2 * CHUNK_BYTES as u64).to_be_bytes());
    for plain in [0..1, 0..2 * CHUNK_BYTES as u64] {
        assert!(matches!(open(&key(1), PLACE, &lied, plain), Err(VaultError::Damaged { .. })));
    }
}

#[test]
fn an_object_under_another_name_or_by_another_key_does_not_open() {
    let sealed = seal(&key(1), PLACE, b"a plain text");
    assert!(open_all(&key(1), PLACE, &sealed).is_ok());
    assert!(open_all(&key(2), PLACE, &sealed).is_err());
    assert!(open_all(&key(1), "tenants/b/recordings/rec_0/track-0000.webm", &sealed).is_err());
}

#[test]
fn equal_bytes_of_one_object_look_different_in_each_chunk() {
    let sealed = seal(&key(1), PLACE, &[0x41; 2 * CHUNK_BYTES]);
    let (first, second) = sealed[HEADER_BYTES..].split_at(SEALED_CHUNK_BYTES);
    assert_ne!(first[..64], second[..64]);
    assert!(!sealed.windows(16).any(|window| window == [0x41; 16]));
}

#[test]
fn a_wrapped_key_or_name_that_is_too_long_is_refused_and_not_cut() {
    let header = |id: usize, key: usize| {
        Header { size: 0, wrapped: Wrapped { id: "k".repeat(id), bytes: vec![1; key] } }.write()
    };
    assert!(header(MAX_KEY_ID_BYTES, MAX_WRAPPED_BYTES).is_ok());
    assert!(header(MAX_KEY_ID_BYTES + 1, 60).is_err());
    assert!(header(1, MAX_WRAPPED_BYTES + 1).is_err());
}

proptest! {
    #[test]
    fn any_range_of_any_size_opens_to_its_slice(size in 1..300_000_usize, a in any::<u64>(), b in any::<u64>()) {
        let plain = noise(size);
        let sealed = seal(&key(1), PLACE, &plain);
        let (a, b) = (a % size as u64, b % size as u64);
        let range = a.min(b)..a.max(b) + 1;
        let opened = open(&key(1), PLACE, &sealed, range.clone()).unwrap();
        prop_assert_eq!(opened, &plain[range.start as usize..range.end as usize]);
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is(size in 1..200_000_usize, at in any::<usize>(), bits in 1..=255_u8) {
        let mut sealed = seal(&key(1), PLACE, &noise(size));
        let at = at % sealed.len();
        sealed[at] ^= bits;
        prop_assert!(open_all(&key(1), PLACE, &sealed).is_err());
    }

    #[test]
    fn a_cut_object_is_noticed_wherever_it_is_cut(size in 1..200_000_usize, keep in any::<usize>()) {
        let sealed = seal(&key(1), PLACE, &noise(size));
        let cut = &sealed[..keep % sealed.len()];
        prop_assert!(open_all(&key(1), PLACE, cut).is_err());
    }

    #[test]
    fn headers_read_as_they_were_written(size in any::<u64>(), id in "[a-z/:-]{0,128}", bytes in prop::collection::vec(any::<u8>(), 0..=MAX_WRAPPED_BYTES)) {
        let header = Header { size, wrapped: Wrapped { id, bytes } };
        prop_assert_eq!(Header::parse(&header.write().unwrap()).unwrap(), header);
    }

    #[test]
    fn no_header_makes_the_reader_panic_and_what_it_reads_is_what_it_would_write(
        mut bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES), tail in any::<bool>(), id in 0..140_u16, key in 0..400_u16,
    ) {
        bytes[..10].copy_from_slice(b"PLNMSEAL\x01\x10");
        bytes[10..12].copy_from_slice(&id.to_be_bytes());
        bytes[12..14].copy_from_slice(&key.to_be_bytes());
        if tail {
            bytes[14..16].fill(0);
            bytes[24..].fill(0);
        }
        let bytes: [u8; HEADER_BYTES] = bytes.try_into().unwrap();
        if let Ok(header) = Header::parse(&bytes) {
            prop_assert_eq!(header.write().unwrap(), bytes);
        }
    }
}
