//! The media of all lean clients: two threads, and the handle by which clients reach them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::connection::Setup;
use super::dtls::{DtlsError, Fingerprint, Identity};
use super::mailbox::{Mailbox, ThreadGone, mailbox};
use super::publisher::Published;
use super::receiving::{self, Ended, Look, Receiver};
use super::sending::{self, Sender};
use super::totals::{Snapshot, Totals};
use crate::client::{Epoch, Micros};

/// Why there are no media threads.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system refused.
    #[error("the media threads could not be started: {0}")]
    System(#[from] io::Error),
    /// No certificate.
    #[error(transparent)]
    Dtls(#[from] DtlsError),
}

/// Both threads; they end when this is dropped.
pub(crate) struct Media {
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
}

/// A way to both threads.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) epoch: Epoch,
    fingerprint: Fingerprint,
    receiving: Mailbox<receiving::Order>,
    sending: Mailbox<sending::Order>,
    totals: Arc<Totals>,
}

impl Media {
    /// Starts both; `server` is only a name to the DTLS crate.
    pub(crate) fn start(epoch: Epoch, server: SocketAddr) -> Result<Self, StartError> {
        let identity = Identity::generate(server)?;
        let totals = Arc::new(Totals::default());
        let (receiving, receiving_orders) = mailbox()?;
        let (sending, sending_orders) = mailbox()?;
        let fingerprint = identity.fingerprint();
        let (watch, to_sender, counted) = (receiving::watch(&receiving_orders)?, sending.clone(), Arc::clone(&totals));
        let receiver = move || Receiver::new(epoch, identity, receiving_orders, to_sender, counted, watch).run();
        let counted = Arc::clone(&totals);
        let sender = move || Sender::new(epoch, sending_orders, counted).run();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let threads = vec![thread("receiving").spawn(receiver)?, thread("sending").spawn(sender)?];
        Ok(Self { handle: Handle { epoch, fingerprint, receiving, sending, totals }, threads })
    }

    /// A way to them.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        // The receiving thread first: it may be giving orders to the other.
        let _ = self.handle.receiving.send(receiving::Order::Stop);
        let _ = self.handle.sending.send(sending::Order::Stop);
        for thread in self.threads.drain(..) {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Handle {
    /// For offers.
    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Connects a client.
    pub(crate) fn connect(&self, number: u32, socket: UdpSocket, setup: Setup) -> Result<(), ThreadGone> {
        self.receiving.send(receiving::Order::Connect(number, socket, Box::new(setup)))
    }

    /// Ends a client, whose sources stopped at `end`, and gives what it received and sent.
    pub(crate) async fn leave(&self, number: u32, end: Micros) -> Result<(Ended, Option<Published>), ThreadGone> {
        let (reply, ended) = oneshot::channel();
        // First what it sends: afterwards the connection says goodbye.
        self.sending.send(sending::Order::End(number, reply))?;
        let published = ended.await.map_err(|_| ThreadGone)?;
        let (reply, ended) = oneshot::channel();
        self.receiving.send(receiving::Order::Leave(number, end, reply))?;
        Ok((ended.await.map_err(|_| ThreadGone)?, published))
    }

    /// Everybody stops sending. Returns when that was.
    pub(crate) fn silence(&self) -> Result<Micros, ThreadGone> {
        self.sending.send(sending::Order::Silence)?;
        Ok(self.epoch.micros())
    }

    /// The measured window begins: delays count from now on.
    pub(crate) fn begin_window(&self) -> Result<(), ThreadGone> {
        self.receiving.send(receiving::Order::Window)
    }

    /// How far everybody is.
    pub(crate) async fn look(&self) -> Result<Look, ThreadGone> {
        let (reply, look) = oneshot::channel();
        self.receiving.send(receiving::Order::Look(reply))?;
        look.await.map_err(|_| ThreadGone)
    }

    /// What was counted so far.
    pub(crate) fn totals(&self) -> Snapshot {
        self.totals.look()
    }
}
