//! A recording while it runs: the thread that writes, and the task that copies what is written to the store.
//!
//! ```text
//! thread "recorder": On --> session::run --told--> Paused, Resumed, Trouble, key frames wanted
//! task:              every few seconds: Packer --part--> store      (fails: back off, say so, nothing is lost)
//! ```

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::tap::TapReceiver;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use crate::error::{Fault, RecorderError};
use crate::id::RecordingId;
use crate::live::Live;
use crate::manifest::Part;
use crate::parts::Packer;
use crate::recorder::{Inner, RecorderEvent, Trouble, WantKeyFrame, blocking};
use crate::session::{self, Begin, Told};

/// Pauses between tries of a store that fails: the first, doubling up to the last.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub(crate) const LAST_PAUSE: Duration = Duration::from_secs(30);
/// A store may fail for so long before the meeting hears of it: short hiccups are nobody's business.
const QUIET: Duration = Duration::from_secs(5);

impl Inner {
    /// Starts the thread. What comes back says how it ended; a thread that vanishes without a word has panicked.
    pub(crate) fn write_in_thread(
        self: &Arc<Self>,
        recording: RecordingId,
        live: &Arc<Live>,
        subject: String,
        part: Part,
        tap: TapReceiver,
        want_key_frame: WantKeyFrame,
    ) -> Result<oneshot::Receiver<Result<(), Fault>>, RecorderError> {
        let (ended, end) = oneshot::channel();
        let (inner, live) = (Arc::clone(self), Arc::clone(live));
        let (started, started_at) = (Instant::now(), OffsetDateTime::now_utc());
        let thread = std::thread::Builder::new().name("recorder".to_owned());
        let spawned = thread.spawn(move || {
            // Before the first byte: the meeting shows that it is recorded.
            let _ = inner.events.blocking_send(RecorderEvent::On { recording });
            let begin = Begin {
                root: &inner.spool_root,
                recording,
                subject: &subject,
                part,
                started,
                started_at,
                reserve_bytes: inner.reserve_bytes,
            };
            let mut tell = |told| inner.heard(recording, &live, told, &want_key_frame);
            let _ = ended.send(session::run(&begin, &live, &tap, &mut tell));
        });
        spawned.map_err(RecorderError::disk("starting the recording's thread"))?;
        Ok(end)
    }

    fn heard(&self, recording: RecordingId, live: &Live, told: Told, want_key_frame: &WantKeyFrame) {
        let event = match told {
            Told::WantsKeyFrame(publication) => return want_key_frame(publication),
            Told::Paused => Some(RecorderEvent::Paused { recording }),
            Told::Resumed => match live.trouble(Trouble::DiskFull, false) {
                // It was no wish that stopped it.
                Some((trouble, since)) => Some(RecorderEvent::Trouble { recording, trouble, since }),
                None => Some(RecorderEvent::Resumed { recording }),
            },
            Told::DiskFull => {
                tracing::warn!(%recording, "no disk space: nothing is recorded until there is some");
                let changed = live.trouble(Trouble::DiskFull, true);
                changed.map(|(trouble, since)| RecorderEvent::Trouble { recording, trouble, since })
            }
        };
        if let Some(event) = event {
            let _ = self.events.blocking_send(event);
        }
    }

    /// Copies what is recorded until the recording ends, then stores it.
    pub(crate) async fn run(
        self: Arc<Self>,
        recording: RecordingId,
        live: Arc<Live>,
        end: oneshot::Receiver<Result<(), Fault>>,
    ) {
        let ended = tokio::select! {
            ended = end => ended,
            () = self.copy(recording, &live) => return,
        };
        // Nothing waits for room any more. That alone is no news, the end of the recording is; what else is wrong is.
        if let Some((trouble @ Some(_), since)) = live.trouble(Trouble::DiskFull, false) {
            self.tell(RecorderEvent::Trouble { recording, trouble, since }).await;
        }
        let fault = ended.unwrap_or(Err(Fault::Internal)).err();
        self.finish(recording, live, fault).await;
    }

    /// Never returns; drop it when the recording is over.
    async fn copy(&self, recording: RecordingId, live: &Live) {
        let shelf = self.shelf(&live.tenant, recording);
        let mut packer = Packer::new(self.folder(recording));
        let mut number = 0;
        let mut failing = Failing::default();
        let mut wait = self.copy_every;
        loop {
            tokio::time::sleep(wait).await;
            wait = self.copy_every;
            let lengths = live.lengths.all();
            let packed = blocking("reading what was recorded", move || {
                let part = packer.next(&lengths);
                Ok((packer, part))
            });
            // A panic of ours otherwise; the recording itself does not need its copy.
            let Ok((returned, part)) = packed.await else { return pending().await };
            packer = returned;
            let stored = match part {
                Ok(None) => continue,
                Ok(Some(part)) => shelf.put_part(number, part.bytes.clone()).await.map(|()| part),
                Err(error) => Err(RecorderError::Disk { what: "reading what was recorded", source: error }),
            };
            match stored {
                Ok(part) => {
                    metrics::counter!("recorder_bytes_copied_total").increment(part.bytes.len() as u64);
                    number += 1;
                    if part.is_full {
                        wait = Duration::ZERO;
                    }
                    packer.packed(part);
                    if failing.ends() {
                        self.store_trouble(recording, live, false).await;
                    }
                }
                Err(error) => {
                    wait = failing.pause();
                    metrics::counter!("recorder_copies_failed_total").increment(1);
                    tracing::warn!(%recording, %error, "a running recording could not be copied to the store; trying again");
                    if failing.is_loud() {
                        self.store_trouble(recording, live, true).await;
                    }
                }
            }
        }
    }

    pub(crate) async fn store_trouble(&self, recording: RecordingId, live: &Live, on: bool) {
        if let Some((trouble, since)) = live.trouble(Trouble::StoreUnavailable, on) {
            self.tell(RecorderEvent::Trouble { recording, trouble, since }).await;
        }
    }
}

/// A store that fails, try after try.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    since: Option<tokio::time::Instant>,
    tries: u32,
}

impl Failing {
    /// It failed once more: how long to wait.
    pub(crate) fn pause(&mut self) -> Duration {
        self.since.get_or_insert_with(tokio::time::Instant::now);
        let pause = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(LAST_PAUSE);
        self.tries += 1;
        pause
    }

    /// Long enough that people should know.
    pub(crate) fn is_loud(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= QUIET)
    }

    /// It works. Says whether it did not before.
    pub(crate) fn ends(&mut self) -> bool {
        self.tries = 0;
        self.since.take().is_some()
    }
}
