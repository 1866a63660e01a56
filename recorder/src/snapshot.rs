//! The composed recording as it is at this moment, in the form that it will be stored in: with its length and cues, so that whoever
//! watches a meeting that still runs can jump in it.
//!
//! The file grows while it is read. A reader who asks for more than one range names how far the file was when it began (`upto`), and gets the same bytes
//! each time.
//!
//! ```text
//! Live: head, ends of clusters --cut at upto--> Scan --> Layout --> head' | clusters from the spool | cues
//! ```

use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use crate::error::RecorderError;
use crate::layout::Layout;
use crate::live::ContentProgress;
use crate::media_file::Written;
use crate::reading::stream_file;
use crate::scan::{Cue, Scan, read_head};

/// Length of a block of the file's sound.
const SOUND_MS: i64 = 20;

/// The file up to the last whole cluster within its first `upto` bytes (of clusters and head, without cues); all of it without one. `None`
/// when not even the first cluster lies within.
pub(crate) fn layout(content: &ContentProgress, upto: Option<u64>) -> Option<Layout> {
    let upto = upto.unwrap_or(u64::MAX);
    let clusters = content.clusters.iter().take_while(|cluster| cluster.size <= upto);
    let last = clusters.clone().last()?;
    let cues = clusters.filter_map(|cluster| cluster.cue).map(|(at_ms, offset)| Cue { track: 1, at_ms, offset });
    Some(Layout::of(&Scan {
        head: read_head(&content.head)?,
        good_bytes: last.size,
        first_ms: 0,
        last_ms: last.last_ms,
        end_ms: last.last_ms + SOUND_MS,
        frames: 0,
        tracks: Vec::new(),
        cues: cues.collect(),
    }))
}

/// The same of a file that no session of this process wrote.
pub(crate) fn progress_of(scan: &Scan, content: &mut ContentProgress) {
    content.head = scan.head.bytes.clone().into();
    let ends = scan.cues.iter().skip(1).map(|next| (next.offset, next.at_ms));
    let ends = ends.chain([(scan.good_bytes, scan.end_ms)]);
    let written =
        |(cue, (size, last_ms)): (&Cue, (u64, i64))| Written { size, last_ms, cue: Some((cue.at_ms, cue.offset)) };
    content.clusters = scan.cues.iter().zip(ends).map(written).collect();
    if content.clusters.is_empty() {
        content.clusters.push(Written { size: scan.good_bytes, last_ms: scan.end_ms, cue: None });
    }
}

/// Streams a part of the stored form.
pub(crate) async fn stream_layout(
    path: PathBuf,
    layout: Layout,
    range: Range<u64>,
) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RecorderError> {
    let clusters_at = layout.clusters.start;
    let cues_at = layout.clusters.end;
    let head = cut(layout.head, 0, &range);
    let cues = cut(layout.cues, cues_at, &range);
    let middle = range.start.clamp(clusters_at, cues_at)..range.end.clamp(clusters_at, cues_at);
    let file = stream_file(path, middle).await?;
    let around = |bytes: Bytes| stream::iter((!bytes.is_empty()).then_some(Ok(bytes)));
    Ok(around(head).chain(file).chain(around(cues)).boxed())
}

/// What lies of `bytes`, which begin at `at`, in the range.
fn cut(bytes: Vec<u8>, at: u64, range: &Range<u64>) -> Bytes {
    let bytes = Bytes::from(bytes);
    let end = at + bytes.len() as u64;
    let (from, to) = (range.start.clamp(at, end), range.end.clamp(at, end));
    if from >= to { Bytes::new() } else { bytes.slice((from - at) as usize..(to - at) as usize) }
}
