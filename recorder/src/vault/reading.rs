//! What is read: from the bytes that a store answers to plain bytes that are right.
//!
//! A store may answer too little, too much, or something else. Nothing of a sealed object is passed on before its chunk
//! was proven; of a plain one only the length can be checked here, and whoever knows its hash can check the rest
//! ([`super::Vault::verify`]).
//!
//! ```text
//! stored bytes, in pieces as they come --plain--> count -----------------------------------> plain bytes
//!                                      --sealed-> whole chunks -> open -> cut to the range -^
//! ```

use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::envelope::{self, Cover, Opener};
use super::error::VaultError;

/// A body as a store sends it.
pub(super) type Stored = BoxStream<'static, object_store::Result<Bytes>>;
/// A body as callers get it.
pub(super) type Plain = BoxStream<'static, io::Result<Bytes>>;

const READING: &str = "reading";

/// The next piece, in time.
async fn next_of(stored: &mut Stored, patience: Duration) -> Result<Option<Bytes>, VaultError> {
    match tokio::time::timeout(patience, stored.next()).await {
        Err(_) => Err(VaultError::Slow { what: READING, after: patience }),
        Ok(None) => Ok(None),
        Ok(Some(piece)) => Ok(Some(piece.map_err(VaultError::store(READING))?)),
    }
}

const SHORT: VaultError = VaultError::WrongAnswer { why: "an object broke off" };
const LONG: VaultError = VaultError::WrongAnswer { why: "it sent more than was asked for" };

/// The first bytes of a body.
pub(super) async fn fill(stored: &mut Stored, mut field: &mut [u8], patience: Duration) -> Result<(), VaultError> {
    while !field.is_empty() {
        let piece = next_of(stored, patience).await?.ok_or(SHORT)?;
        let (now, later) = field.split_at_mut_checked(piece.len()).ok_or(LONG)?;
        now.copy_from_slice(&piece);
        field = later;
    }
    Ok(())
}

/// Passes on exactly `expected` bytes, or an error.
pub(super) fn counted(stored: Stored, expected: u64, patience: Duration) -> Plain {
    stream::try_unfold((stored, expected), move |(mut stored, left)| async move {
        let piece = match next_of(&mut stored, patience).await? {
            None if left == 0 => return Ok(None),
            None => return Err(SHORT.into()),
            Some(piece) => piece,
        };
        let left = left.checked_sub(piece.len() as u64).ok_or(LONG)?;
        Ok(Some((piece, (stored, left))))
    })
    .boxed()
}

/// Like [`counted`] for a whole object or its beginning, refused when that is of a sealed one: without keys the rest could
/// not be told from noise. (A store that sends less than eight bytes in its first piece gets past this.)
pub(super) fn counted_unsealed(stored: Stored, expected: u64, patience: Duration) -> Plain {
    let mut first = true;
    counted(stored, expected, patience)
        .map(move |piece| match piece {
            Ok(piece) if std::mem::take(&mut first) && envelope::is_sealed(&piece) => Err(VaultError::NoKeys.into()),
            other => other,
        })
        .boxed()
}

/// Opens the chunks of a range as they come.
pub(super) struct Opening {
    stored: Stored,
    patience: Duration,
    opener: Opener,
    chunks: Range<u64>,
    skip: usize,
    left: u64,
    /// Stored bytes of which no whole chunk is there yet.
    buffer: BytesMut,
}

impl Opening {
    /// `plain` is the range that was asked for, `cover` what the opener says must be read for it.
    pub(super) fn stream(
        stored: Stored,
        opener: Opener,
        plain: &Range<u64>,
        cover: Cover,
        patience: Duration,
    ) -> Plain {
        let (chunks, skip, left) = (cover.chunks, cover.skip, plain.end - plain.start);
        let opening = Self { stored, patience, opener, chunks, skip, left, buffer: BytesMut::new() };
        stream::try_unfold(opening, |mut opening| async move {
            let piece = opening.next().await?;
            Ok(piece.map(|piece| (piece, opening)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, VaultError> {
        let Some(number) = self.chunks.next() else { return self.end().await };
        let wanted = self.opener.stored_bytes(number);
        while self.buffer.len() < wanted {
            let piece = next_of(&mut self.stored, self.patience).await?.ok_or(SHORT)?;
            self.buffer.extend_from_slice(&piece);
        }
        let mut chunk = self.buffer.split_to(wanted);
        let opened = self.opener.open(number, &mut chunk)?.len();
        chunk.truncate(opened);
        chunk.advance(self.skip.min(opened));
        self.skip = 0;
        chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left = self.left.saturating_sub(chunk.len() as u64);
        Ok(Some(chunk.freeze()))
    }

    async fn end(&mut self) -> Result<Option<Bytes>, VaultError> {
        if self.left > 0 {
            return Err(SHORT);
        }
        match next_of(&mut self.stored, self.patience).await? {
            None if self.buffer.is_empty() => Ok(None),
            _ => Err(LONG),
        }
    }
}
