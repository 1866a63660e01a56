//! The copy of a running recording in the store: a few seconds behind, in case the machine does not come back.
//!
//! Every file of the spool only grows. So what has been added to all of them since the last look is packed into one object, a *part*; the parts in their
//! order give the folder again. They are deleted when the recording itself is stored.
//!
//! ```text
//! spool: journal, content, tracks --what is new, every few seconds--> live/000000.part, live/000001.part, ... --unpack--> spool folder
//! ```
//!
//! A part is one line of JSON ([`Contents`]), then the pieces' bytes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::spool::JOURNAL;

/// Bytes of media in a part at most; what is left goes into the next one.
const MAX_PART_BYTES: u64 = 8 << 20;
/// A part that is larger is not ours.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Contents {
    pieces: Vec<Piece>,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Piece {
    file: String,
    at: u64,
    bytes: u64,
}

/// Packs what a spool folder got.
#[derive(Debug)]
pub(crate) struct Packer {
    folder: PathBuf,
    packed: BTreeMap<String, u64>,
}

impl Packer {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, packed: BTreeMap::new() }
    }

    /// The next part, given how far each file is whole; `None` when nothing was added. Say [`Self::packed`] when it is stored. Blocking.
    pub(crate) fn next(&self, lengths: &BTreeMap<String, u64>) -> io::Result<Option<Part>> {
        let mut room = MAX_PART_BYTES;
        let mut pieces = Vec::new();
        // The journal comes first: files that it does not name are not looked at.
        let journal = lengths.get_key_value(JOURNAL);
        let others = lengths.iter().filter(|(name, _)| *name != JOURNAL);
        for (name, length) in journal.into_iter().chain(others) {
            let at = self.packed.get(name).copied().unwrap_or(0);
            let bytes = length.saturating_sub(at).min(room);
            if bytes > 0 {
                room -= bytes;
                pieces.push(Piece { file: name.clone(), at, bytes });
            }
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        let ends = pieces.iter().map(|piece| (piece.file.clone(), piece.at + piece.bytes)).collect();
        let contents = Contents { pieces };
        let mut part = serde_json::to_vec(&contents)?;
        part.push(b'\n');
        // Once, and no more than is needed: many recordings do this at the same time.
        part.reserve_exact((MAX_PART_BYTES - room) as usize);
        for Piece { file, at, bytes } in contents.pieces {
            let mut file = File::open(self.folder.join(file))?;
            file.seek(SeekFrom::Start(at))?;
            if file.take(bytes).read_to_end(&mut part)? as u64 != bytes {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a spooled file is shorter than it was"));
            }
        }
        Ok(Some(Part { bytes: part.into(), ends, is_full: room == 0 }))
    }

    /// A part is stored.
    pub(crate) fn packed(&mut self, part: Part) {
        self.packed.extend(part.ends);
    }
}

/// A part, packed.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    ends: BTreeMap<String, u64>,
    /// More is waiting.
    pub(crate) is_full: bool,
}

/// Name of a part in the store, beside the recording's other objects.
pub(crate) fn part_name(number: u32) -> String {
    format!("{FOLDER}/{number:06}.part")
}

/// Where parts lie.
pub(crate) const FOLDER: &str = "live";

/// Adds a part's pieces to a folder. Whatever does not fit (a hole, a name that is not ours) is an error, and the folder stays as it was but for
/// bytes behind its files' ends. Blocking.
pub(crate) fn unpack(part: &[u8], folder: &Path) -> io::Result<()> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let line = part.iter().take(MAX_LINE_BYTES).position(|byte| *byte == b'\n');
    let (line, mut media) =
        line.and_then(|end| part.split_at_checked(end)).ok_or_else(|| wrong("it has no first line"))?;
    media = media.get(1..).unwrap_or_default();
    let contents: Contents = serde_json::from_slice(line)?;
    for Piece { file, at, bytes } in contents.pieces {
        if !is_spool_name(&file) {
            return Err(wrong("it names a file that no spool has"));
        }
        let bytes = usize::try_from(bytes).map_err(|_| wrong("a piece is too long"))?;
        let (piece, rest) = media.split_at_checked(bytes).ok_or_else(|| wrong("a piece is cut off"))?;
        media = rest;
        let path = folder.join(file);
        let length = fs::metadata(&path).map_or(0, |found| found.len());
        if length != at {
            return Err(wrong("a piece before it is missing"));
        }
        OpenOptions::new().append(true).create(true).open(path)?.write_all(piece)?;
    }
    Ok(())
}

/// `journal.jsonl`, `content.webm`, `track-0001.mkv` and the like.
fn is_spool_name(name: &str) -> bool {
    let Some((stem, extension)) = name.split_once('.') else { return false };
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let is_media = stem == "content" || stem.strip_prefix("track-").is_some_and(is_number);
    name == JOURNAL || (is_media && matches!(extension, "webm" | "mkv"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn append(folder: &Path, name: &str, bytes: &[u8]) {
        OpenOptions::new().append(true).create(true).open(folder.join(name)).unwrap().write_all(bytes).unwrap();
    }

    fn lengths(folder: &Path) -> BTreeMap<String, u64> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect()
    }

    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        lengths(folder).into_keys().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
    }

    proptest! {
        #[test]
        fn parts_in_their_order_give_the_folder_again(
            steps in proptest::collection::vec(proptest::collection::vec((0usize..3, 0usize..300), 0..5), 1..8),
        ) {
            let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let mut packer = Packer::new(from.path().to_owned());
            for (n, appended) in steps.iter().enumerate() {
                for (which, bytes) in appended {
                    let name = [JOURNAL, "content.webm", "track-0000.mkv"][*which];
                    append(from.path(), name, &vec![n as u8; *bytes]);
                }
                if let Some(part) = packer.next(&lengths(from.path())).unwrap() {
                    unpack(&part.bytes, to.path()).unwrap();
                    packer.packed(part);
                }
            }
            let mut wanted = files(from.path());
            wanted.retain(|_, bytes| !bytes.is_empty());
            prop_assert_eq!(files(to.path()), wanted);
            prop_assert!(packer.next(&lengths(from.path())).unwrap().is_none());
        }

        #[test]
        fn any_bytes_are_refused_or_unpacked_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            let _ = unpack(&bytes, folder.path());
        }
    }

    #[test]
    fn a_long_silence_of_the_store_is_packed_into_several_parts() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        append(from.path(), "content.webm", &vec![7; 20 << 20]);
        let mut packer = Packer::new(from.path().to_owned());
        let mut parts = 0;
        while let Some(part) = packer.next(&lengths(from.path())).unwrap() {
            assert!(part.bytes.len() as u64 <= MAX_PART_BYTES + 200);
            unpack(&part.bytes, to.path()).unwrap();
            packer.packed(part);
            parts += 1;
        }
        assert_eq!((parts, files(to.path()) == files(from.path())), (3, true));
    }

    #[test]
    fn a_part_that_was_not_stored_is_packed_again_with_what_came_since() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut packer = Packer::new(from.path().to_owned());
        append(from.path(), JOURNAL, b"one\n");
        drop(packer.next(&lengths(from.path())).unwrap());
        append(from.path(), JOURNAL, b"two\n");
        let part = packer.next(&lengths(from.path())).unwrap().unwrap();
        unpack(&part.bytes, to.path()).unwrap();
        packer.packed(part);
        assert_eq!(files(to.path()).get(JOURNAL).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn holes_and_foreign_names_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let part = |file: &str, at: u64| format!("{{\"pieces\":[{{\"file\":{file:?},\"at\":{at},\"bytes\":1}}]}}\nx");
        for name in [
            "../track-0000.webm",
            "/etc/passwd",
            "track-.webm",
            "track-1.webm/../x",
            "content.txt",
            "manifest.json",
            "",
        ] {
            assert!(unpack(part(name, 0).as_bytes(), folder.path()).is_err(), "{name}");
        }
        assert!(unpack(part("track-0000.webm", 1).as_bytes(), folder.path()).is_err(), "a hole");
        assert!(files(folder.path()).is_empty());
        unpack(part("track-0000.webm", 0).as_bytes(), folder.path()).unwrap();
    }
}
