//! Downloads that are under way, so that they end when what is downloaded is deleted, or shared no more.
//!
//! ```text
//! request -> watch(id) -> look at the row: is it there, may they -> bytes, until the watch says that it is over
//! DELETE  -> row is changed -> end(id) -> every stream of it breaks off with an error
//! ```
//!
//! The watch begins before the row is looked at, and the row is changed before watches are told: whoever is let in sees
//! one of the two.

use std::sync::Arc;

use axum::body::Bytes;
use dashmap::DashMap;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use tokio_util::sync::CancellationToken;

use crate::id::RecordingId;

/// Which recordings are being downloaded.
#[derive(Clone, Debug, Default)]
pub(in crate::door) struct Downloads(Arc<DashMap<RecordingId, Watched>>);

#[derive(Debug, Default)]
struct Watched {
    all: CancellationToken,
    by_link: CancellationToken,
    count: usize,
}

/// One that has begun, or is about to.
#[derive(Debug)]
pub(in crate::door) struct Watch {
    downloads: Downloads,
    recording: RecordingId,
    all: CancellationToken,
    by_link: Option<CancellationToken>,
}

impl Downloads {
    /// From now on the end of it is heard.
    pub(super) fn watch(&self, recording: RecordingId) -> Watch {
        let mut watched = self.0.entry(recording).or_default();
        watched.count += 1;
        Watch { downloads: self.clone(), recording, all: watched.all.clone(), by_link: Some(watched.by_link.clone()) }
    }

    /// It is deleted.
    pub(in crate::door) fn end(&self, recording: RecordingId) {
        if let Some(mut watched) = self.0.get_mut(&recording) {
            // It may be brought back: those who come then are not to hear of this.
            std::mem::take(&mut watched.all).cancel();
        }
    }

    /// It is shared no more, or by another link.
    pub(super) fn end_shared(&self, recording: RecordingId) {
        if let Some(mut watched) = self.0.get_mut(&recording) {
            std::mem::take(&mut watched.by_link).cancel();
        }
    }
}

impl Watch {
    /// For somebody who has more than the link.
    pub(super) fn in_own_right(self) -> Self {
        let mut watch = self;
        watch.by_link = None;
        watch
    }

    /// The bytes, as long as they are for whoever gets them.
    pub(super) fn over(
        self,
        body: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxStream<'static, std::io::Result<Bytes>> {
        unfold(Some((body, self)), |state| async {
            let (mut body, watch) = state?;
            tokio::select! {
                biased;
                () = watch.ended() => Some((Err(std::io::Error::other("the recording was deleted")), None)),
                next = body.next() => next.map(|bytes| (bytes, Some((body, watch)))),
            }
        })
        .boxed()
    }

    async fn ended(&self) {
        match &self.by_link {
            Some(by_link) => tokio::select! {
                () = self.all.cancelled() => {}
                () = by_link.cancelled() => {}
            },
            None => self.all.cancelled().await,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(mut watched) = self.downloads.0.get_mut(&self.recording) {
            watched.count = watched.count.saturating_sub(1);
        }
        self.downloads.0.remove_if(&self.recording, |_, watched| watched.count == 0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use futures_util::stream;

    fn bytes() -> BoxStream<'static, std::io::Result<Bytes>> {
        stream::iter([b"one", b"two"]).map(|part| Ok(Bytes::from_static(part))).boxed()
    }

    #[tokio::test]
    async fn a_download_ends_with_an_error_when_it_is_deleted_and_others_go_on() {
        let downloads = Downloads::default();
        let (one, other) = (RecordingId::generate(), RecordingId::generate());
        let mut deleted = downloads.watch(one).in_own_right().over(bytes());
        let going_on = downloads.watch(other).over(bytes());
        assert_eq!(deleted.next().await.unwrap().unwrap(), "one");
        downloads.end(one);
        assert!(deleted.next().await.unwrap().is_err(), "no further byte");
        assert!(deleted.next().await.is_none());
        assert_eq!(going_on.count().await, 2);
        let restored = downloads.watch(one).over(bytes());
        assert!(restored.all(|part| async move { part.is_ok() }).await, "it was brought back");
    }

    #[tokio::test]
    async fn only_those_with_the_link_hear_that_it_is_shared_no_more() {
        let downloads = Downloads::default();
        let recording = RecordingId::generate();
        let mut by_link = downloads.watch(recording).over(bytes());
        let own = downloads.watch(recording).in_own_right().over(bytes());
        downloads.end_shared(recording);
        assert!(by_link.next().await.unwrap().is_err());
        assert!(own.all(|part| async move { part.is_ok() }).await);
    }

    #[test]
    fn what_nobody_downloads_any_more_is_forgotten() {
        let downloads = Downloads::default();
        let recording = RecordingId::generate();
        let (one, two) = (downloads.watch(recording), downloads.watch(recording));
        drop(one);
        assert_eq!(downloads.0.len(), 1);
        drop(two.over(bytes()));
        assert_eq!(downloads.0.len(), 0);
    }
}
