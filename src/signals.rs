//! Being told to stop: SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed) ask, a second one insists.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of a process that a person ended twice: 128 + SIGINT, as shells expect.
const EXIT_INSISTED: i32 = 130;

/// Listens for the signals.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    /// Takes the signals over from the system's default, which would end the process on the spot.
    ///
    /// # Errors
    /// From the system, when no handler can be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until somebody asks.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// Waits for somebody who asks again, and ends the process at once.
    pub async fn insisted(&mut self) {
        self.asked().await;
        tracing::warn!("asked a second time, leaving at once; open recordings are finished at the next start");
        std::process::exit(EXIT_INSISTED);
    }
}
