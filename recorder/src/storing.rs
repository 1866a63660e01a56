//! From the spool to the store: the end of a recording, whether somebody stopped it or the process died.
//!
//! ```text
//! finish: inspect --Inspection--> Shelf::put_recording --fails--> back off, say so, try again, as long as the process lives
//!                                        \--stored--> copies dropped, spool removed --> Ready
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use crate::error::{Fault, RecorderError};
use crate::id::RecordingId;
use crate::inspection::{Inspection, Shown, inspect};
use crate::live::{ContentProgress, Live, Phase, TrackProgress};
use crate::manifest::Manifest;
use crate::parts;
use crate::recorder::{Inner, RecorderEvent, SPEAKERS, TIMELINE, blocking};
use crate::render::timeline::{self, Attendance, Picture, Reaction, Timeline, Turn};
use crate::running::Failing;
use crate::shelf::Shelf;
use crate::snapshot;
use crate::spool;

/// A recording that cannot be stored is looked at so often whether the process ends.
const LOOK: Duration = Duration::from_millis(200);

impl Inner {
    /// Stores what the spool holds of a recording and tells how it ended.
    pub(crate) async fn finish(self: Arc<Self>, recording: RecordingId, live: Arc<Live>, fault: Option<Fault>) {
        live.set_phase(Phase::Storing);
        let failed_already = fault.is_some();
        if let Some(fault) = fault {
            metrics::counter!("recorder_recordings_failed_total").increment(1);
            tracing::warn!(%recording, %fault, "the recording failed");
            self.tell(RecorderEvent::Failed { recording, reason: fault.to_string() }).await;
        }
        match self.store(recording, &live).await {
            Ok(Some(manifest)) => {
                tracing::info!(%recording, "the recording is stored");
                if !failed_already {
                    let (duration_ms, size) = (manifest.duration_ms, manifest.size());
                    self.tell(RecorderEvent::Ready { recording, duration_ms, size }).await;
                }
            }
            // The process ends first. The next start goes on.
            Ok(None) => {}
            Err(error) => {
                metrics::counter!("recorder_recordings_unstored_total").increment(1);
                tracing::warn!(%recording, %error, "nothing of the recording can be stored");
                if !failed_already {
                    self.tell(RecorderEvent::Failed { recording, reason: error.to_string() }).await;
                }
            }
        }
    }

    async fn store(&self, recording: RecordingId, live: &Live) -> Result<Option<Manifest>, RecorderError> {
        let inspection = match self.inspect(recording).await {
            Ok(inspection) => inspection,
            Err(error) => {
                // Nothing readable is there, so there is nothing to keep an entry for.
                self.forget(recording);
                let folder = self.folder(recording);
                if spool::holds_tracks(&folder).is_ok_and(|holds| !holds) {
                    self.retire(recording).await?;
                }
                return Err(error);
            }
        };
        show(live, &inspection);
        let shelf = self.shelf(&live.tenant, recording);
        let Some(manifest) = self.put_with_patience(&shelf, recording, live, &inspection).await? else {
            return Ok(None);
        };
        self.retire(recording).await?;
        self.forget(recording);
        Ok(Some(manifest))
    }

    async fn inspect(&self, recording: RecordingId) -> Result<Arc<Inspection>, RecorderError> {
        let folder = self.folder(recording);
        let done = tokio::task::spawn_blocking(move || inspect(&folder)).await;
        done.unwrap_or_else(|gone| {
            Err(RecorderError::Disk { what: "reading a recording", source: std::io::Error::other(gone) })
        })
        .map(Arc::new)
    }

    /// `None`: the process ends.
    async fn put_with_patience(
        &self,
        shelf: &Shelf,
        recording: RecordingId,
        live: &Live,
        inspection: &Inspection,
    ) -> Result<Option<Manifest>, RecorderError> {
        let mut failing = Failing::default();
        loop {
            let stored = {
                let _permit = self.uploads.acquire().await.map_err(|_| RecorderError::ShuttingDown)?;
                shelf.put_recording(inspection, side_files(inspection)).await
            };
            let error = match stored {
                Ok(manifest) => {
                    // They cost space, but nothing is wrong with the recording if they stay.
                    if let Err(error) = shelf.drop_parts().await {
                        tracing::warn!(%recording, %error, "the copy of a stored recording could not be removed");
                    }
                    self.store_trouble(recording, live, false).await;
                    return Ok(Some(manifest));
                }
                Err(error) => error,
            };
            let pause = failing.pause();
            tracing::warn!(%recording, %error, "storing failed; trying again");
            self.store_trouble(recording, live, true).await;
            if !self.waits(pause).await {
                return Ok(None);
            }
        }
    }

    /// Waits, but not for longer than the process lives. `false`: it ends.
    async fn waits(&self, pause: Duration) -> bool {
        let until = tokio::time::Instant::now() + pause;
        while tokio::time::Instant::now() < until {
            if self.closing.load(Ordering::Relaxed) {
                return false;
            }
            tokio::time::sleep(LOOK.min(until - tokio::time::Instant::now())).await;
        }
        !self.closing.load(Ordering::Relaxed)
    }

    /// Makes a spool of the copy in the store.
    pub(crate) async fn restore(&self, shelf: &Shelf, recording: RecordingId) -> Result<(), RecorderError> {
        let folder = self.folder(recording);
        let half = folder.with_extension(spool::RESTORING);
        let made = half.clone();
        blocking("making a recording's folder", move || {
            let _ = std::fs::remove_dir_all(&made);
            std::fs::create_dir(&made)
        })
        .await?;
        for number in 0..shelf.parts().await? {
            let part = shelf.part(number).await?;
            let into = half.clone();
            let unpacked = blocking("unpacking a recording's copy", move || parts::unpack(&part, &into)).await;
            if let Err(error) = unpacked {
                // What came before it is good.
                tracing::warn!(%recording, %error, number, "a part of a recording's copy cannot be used");
                break;
            }
        }
        blocking("making a recording's folder", move || std::fs::rename(&half, &folder)).await
    }
}

/// Who was there, spoke, was seen and reacted when.
fn side_files(inspection: &Inspection) -> Vec<(&'static str, &'static str, Bytes)> {
    let people = inspection.people().into_iter();
    let mut speaking: Vec<_> = inspection
        .spoken
        .iter()
        .map(|(participant, span)| Turn { participant: *participant, from_ms: span.from_ms, to_ms: span.to_ms })
        .collect();
    speaking.sort_by_key(|turn| turn.from_ms);
    let timeline = Timeline {
        version: timeline::VERSION,
        started_at: inspection.started_at,
        duration_ms: inspection.duration_ms(),
        participants: people
            .map(|person| Attendance { id: person.id, name: person.display_name, present: person.present })
            .collect(),
        speaking,
        shown: inspection.shown.iter().map(picture).collect(),
        reactions: inspection
            .reactions
            .iter()
            .map(|(participant, reaction, at_ms)| Reaction {
                participant: *participant,
                at_ms: *at_ms,
                reaction: reaction.clone(),
            })
            .collect(),
        breaks: inspection.breaks.clone(),
    };
    vec![
        (TIMELINE, "application/json", timeline::timeline_json(&timeline).into()),
        (SPEAKERS, "text/vtt; charset=utf-8", timeline::speakers_vtt(&timeline).into()),
    ]
}

fn picture(shown: &Shown) -> Picture {
    let (participant, kind) = shown.who.unzip();
    Picture { participant, kind, from_ms: shown.at_ms }
}

/// What the folder holds is what calls see, for recordings that no session of this process wrote.
fn show(live: &Live, inspection: &Inspection) {
    for (participant, presence) in &inspection.participants {
        live.show_name(participant.0, &presence.display_name);
    }
    if let Some(content) = &inspection.content {
        let mut progress = ContentProgress { codec: content.codec, head: [].into(), clusters: Vec::new() };
        snapshot::progress_of(&content.scan, &mut progress);
        live.show_content(progress);
    }
    for track in &inspection.tracks {
        live.update(TrackProgress {
            number: track.number,
            participant: track.participant.0,
            kind: track.kind,
            codec: track.codec,
            offset_ms: track.scan.first_ms.max(0) as u64,
            end_ms: track.scan.end_ms.max(0) as u64,
            size: track.scan.good_bytes,
        });
    }
}
