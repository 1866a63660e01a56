//! Counts blocks by track while a file is read.

use std::collections::BTreeMap;

use super::{Cue, Head, Scan, TrackScan};
use crate::depacketise::opus;
use crate::webm::{Block, Media};

/// Cue points of pictures that are all key frames lie at least this far apart.
const CUE_EVERY_MS: i64 = 2000;
/// Length of the last picture when there is no other to measure it by.
const LAST_PICTURE_MS: i64 = 33;

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Tally {
    tracks: BTreeMap<u64, TrackTally>,
    has_video: bool,
    cues: Vec<Cue>,
}

#[derive(Debug)]
struct TrackTally {
    media: Media,
    first_ms: Option<i64>,
    last_ms: i64,
    before_last_ms: Option<i64>,
    last_opus_ms: i64,
    frames: u64,
    cued_ms: Option<i64>,
}

impl Tally {
    pub(super) fn of(head: &Head) -> Self {
        let tracks = head.media.iter().map(|(number, media)| (*number, TrackTally::new(media.clone()))).collect();
        Self { tracks, has_video: head.media.iter().any(|(_, media)| media.is_video()), cues: Vec::new() }
    }

    /// Adds a whole cluster, or nothing when a block is of no track.
    pub(super) fn add(&mut self, blocks: &[Block<'_>], offset: u64) -> Option<()> {
        if !blocks.iter().all(|block| self.tracks.contains_key(&block.track)) {
            return None;
        }
        for block in blocks {
            self.tracks.get_mut(&block.track)?.add(block);
        }
        if self.has_video {
            for (number, track) in self.tracks.iter_mut().filter(|(_, track)| track.media.is_video()) {
                let own = blocks.iter().filter(|block| block.track == *number);
                if let Some(at_ms) = track.cue(own) {
                    self.cues.push(Cue { track: *number, at_ms, offset });
                }
            }
        } else if let Some(first) = blocks.first() {
            self.cues.push(Cue { track: first.track, at_ms: first.at_ms, offset });
        }
        Some(())
    }

    /// `None` when there was no frame.
    pub(super) fn finish(self, head: Head, good_bytes: u64) -> Option<Scan> {
        let last_ms = self.tracks.values().filter_map(|track| track.first_ms.map(|_| track.last_ms)).max()?;
        let tracks: Vec<_> = self.tracks.into_iter().filter_map(|(number, track)| track.finish(number)).collect();
        Some(Scan {
            good_bytes,
            first_ms: tracks.iter().map(|track| track.first_ms).min()?,
            last_ms,
            end_ms: tracks.iter().map(|track| track.end_ms).max()?,
            frames: tracks.iter().map(|track| track.frames).sum(),
            tracks,
            cues: self.cues,
            head,
        })
    }
}

impl TrackTally {
    fn new(media: Media) -> Self {
        Self { media, first_ms: None, last_ms: 0, before_last_ms: None, last_opus_ms: 0, frames: 0, cued_ms: None }
    }

    fn add(&mut self, block: &Block<'_>) {
        if self.first_ms.is_some() {
            self.before_last_ms = Some(self.last_ms);
        }
        self.first_ms.get_or_insert(block.at_ms);
        self.last_ms = block.at_ms;
        self.last_opus_ms = opus::duration_us(block.data).map_or(0, |us| us.div_ceil(1000) as i64);
        self.frames += 1;
    }

    /// The key frame of a cluster to jump to.
    fn cue<'a>(&mut self, blocks: impl Iterator<Item = &'a Block<'a>>) -> Option<i64> {
        let (mut key_ms, mut has_delta) = (None, false);
        for block in blocks {
            has_delta |= !block.key;
            key_ms = key_ms.or(block.key.then_some(block.at_ms));
        }
        // Key pictures are rare by themselves, unless all are.
        let spaced = self.cued_ms.is_none_or(|last| key_ms.is_some_and(|key| key - last >= CUE_EVERY_MS));
        let cued = key_ms.filter(|_| spaced || has_delta);
        self.cued_ms = cued.or(self.cued_ms);
        cued
    }

    fn finish(self, number: u64) -> Option<TrackScan> {
        let last_frame_ms = if self.media.is_video() {
            let step = self.before_last_ms.map(|before| self.last_ms - before);
            step.filter(|step| (1..=1000).contains(step)).unwrap_or(LAST_PICTURE_MS)
        } else {
            self.last_opus_ms
        };
        Some(TrackScan {
            number,
            first_ms: self.first_ms?,
            end_ms: self.last_ms + last_frame_ms,
            frames: self.frames,
            media: self.media,
        })
    }
}
