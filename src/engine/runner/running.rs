//! What runs while the engine does: its threads, the ways to them, and what they share.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use super::control_thread::Handshake;
use super::load::Load;
use super::placement::Placement;
use super::standing::Standings;
use super::{ConnectError, Mailbox};
use crate::command::Command;
use crate::id::EndpointId;

/// The threads of a running engine.
pub(super) struct Running {
    pub(super) shards: Vec<Mailbox>,
    pub(super) loads: Vec<Arc<Load>>,
    pub(super) control: Vec<SyncSender<Handshake>>,
    pub(super) placement: Arc<Placement>,
    pub(super) standings: Arc<Standings>,
    pub(super) follow_estimate: bool,
    pub(super) threads: Vec<JoinHandle<()>>,
}

impl Running {
    pub(super) fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        match std::thread::Builder::new().name(name).spawn(work) {
            Ok(thread) => {
                self.threads.push(thread);
                Ok(())
            }
            Err(error) => {
                // Those that run already must not stay behind.
                let started = std::mem::take(&mut self.threads);
                self.tell_to_stop();
                started.into_iter().for_each(|thread| drop(thread.join()));
                Err(error)
            }
        }
    }

    /// The shard of an endpoint, unless it is as busy as it may be.
    pub(super) fn shard_with_room(&self, endpoint: EndpointId) -> Result<usize, ConnectError> {
        let shard = Placement::shard_of(endpoint);
        if self.loads.get(shard).is_some_and(|load| load.is_full()) {
            return Err(ConnectError::busy());
        }
        Ok(shard)
    }

    pub(super) fn control_of(&self, endpoint: EndpointId) -> Option<&SyncSender<Handshake>> {
        self.control.get(Placement::serial_of(endpoint) % self.control.len().max(1))
    }

    pub(super) fn order(&self, endpoint: EndpointId, command: Command) {
        if let Some(mailbox) = self.shards.get(Placement::shard_of(endpoint))
            && mailbox.send(command).is_err()
        {
            tracing::error!("a media thread is gone");
        }
    }

    pub(super) fn tell_to_stop(&self) {
        // Each thread holds ways to the others, so none would ever see the others' end: all are told.
        for mailbox in &self.shards {
            let _ = mailbox.send(Command::Stop);
        }
        for control in &self.control {
            let _ = control.send(Handshake::Stop);
        }
    }

    pub(super) fn stop(self) {
        self.tell_to_stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a media thread had panicked");
            }
        }
    }
}
