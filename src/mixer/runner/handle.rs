//! The mixers as the rest of the server holds them: start them, tell them who wishes to listen, subscribe, stop them.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use engine::Mixes;
use engine::id::{EndpointId, MeetingId, ParticipantId};

use super::directory::Directory;
use super::inbox::{Announcement, Inbox, Wanted};
use super::report::Reports;
use super::subscription::{Form, MixReceiver};
use super::thread::MixerThread;
use crate::announce::Prompt;
use crate::{Full, ListenerId};

/// The running mixers. Dropping the last clone stops their threads and waits for them.
#[derive(Clone)]
pub struct Mixers(Arc<Threads>);

struct Threads {
    mixes: Mixes,
    directory: Arc<Directory>,
    threads: Vec<(Arc<Inbox>, JoinHandle<()>)>,
}

impl Mixers {
    /// Starts so many threads; 0: one for every other core, as mixing goes beside forwarding. They tell `reports` how each mix goes.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(mixes: Mixes, threads: usize, reports: Arc<Reports>) -> io::Result<Self> {
        let count = match threads {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).max(1),
            count => count,
        };
        let mut started = Threads { mixes, directory: Arc::default(), threads: Vec::new() };
        for index in 0..count {
            let inbox = Arc::<Inbox>::default();
            let thread = MixerThread {
                index,
                mixes: started.mixes.clone(),
                inbox: Arc::clone(&inbox),
                directory: Arc::clone(&started.directory),
                reports: Arc::clone(&reports),
            };
            let thread = std::thread::Builder::new().name(format!("mixer-{index}")).spawn(move || thread.run())?;
            started.threads.push((inbox, thread));
        }
        Ok(Self(Arc::new(started)))
    }

    /// An endpoint wishes to hear its meeting's mix without what its participant publishes, or does not any more. Returns at
    /// once, on any thread, a shard's too; the shards are told what comes of it.
    pub fn wish(&self, meeting: MeetingId, endpoint: EndpointId, participant: ParticipantId, wanted: bool) {
        let wanted = if wanted { Wanted::Yes(participant, self.0.mixes.shard_of(endpoint)) } else { Wanted::No };
        if !self.0.directory.wish(&self.0.inboxes(), meeting, endpoint, wanted) {
            refused();
        }
    }

    /// Hears a meeting's mix in this process, without what `owner` publishes, until the receiver is dropped. Returns at once, on any
    /// thread.
    ///
    /// # Errors
    /// [`Full`]: no further listener fits.
    pub fn subscribe(&self, meeting: MeetingId, owner: Option<ParticipantId>, form: Form) -> Result<MixReceiver, Full> {
        let subscribed = self.0.directory.subscribe(&self.0.inboxes(), meeting, owner, form);
        subscribed.inspect_err(|_| refused())
    }

    /// Plays something to all who listen to a meeting's mix. False: nobody does, or too much waits already.
    #[must_use]
    pub fn announce(&self, meeting: MeetingId, prompt: Prompt) -> bool {
        self.0.directory.announce(&self.0.inboxes(), Announcement { meeting, to: None, prompt })
    }

    /// Plays something to one of those who listen: an endpoint, or who has the receiver of this name. False: nobody listens, or too
    /// much waits already.
    #[must_use]
    pub fn announce_to(&self, meeting: MeetingId, to: impl Into<ListenerId>, prompt: Prompt) -> bool {
        self.0.directory.announce(&self.0.inboxes(), Announcement { meeting, to: Some(to.into()), prompt })
    }

    /// Whether every thread runs. One that ended by itself had a fault of ours.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.threads.iter().all(|(_, thread)| !thread.is_finished())
    }
}

fn refused() {
    metrics::counter!("mixer_refused_total", "what" => "listener").increment(1);
}

impl Threads {
    fn inboxes(&self) -> Vec<&Inbox> {
        self.threads.iter().map(|(inbox, _)| &**inbox).collect()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.threads.iter().for_each(|(inbox, _)| inbox.stop());
        for (_, thread) in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a mixer thread ended by a fault");
            }
        }
    }
}
