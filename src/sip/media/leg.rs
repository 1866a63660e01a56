//! One phone's media, both ways: datagrams and samples in, voices, digits and datagrams out.
//!
//! ```text
//! datagram ─> latch ─> SRTP ─> order ─┬─ voice ─> up ─────> Voice ─┐
//!                    │                ├─ event ─> digits ─> Digit ─┴─> Received
//!                    │                └─ comfort noise: a pause
//!                    └─ RTCP ─> reports ─> stats()
//! 20 ms of the mix ─> down ─> SRTP ─> sink(latch's address, packet)          poll_report ─> the same for RTCP
//! ```
//!
//! The clock, the network and chance are arguments. Whoever owns the dialog brings what was negotiated, asks whether
//! the leg [is over](Leg::check), and ends it.

mod receive;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::RngCore;

use super::digits::Digits;
use super::down::{Down, Format, Sent, Stream, TICK};
use super::latch::Latch;
use super::lifetime::{Lifetime, TimedOut};
use super::order::Order;
use super::reports::Reports;
use super::sdp::{Negotiated, SrtpKeys};
use super::srtp::{Open, Seal, Unauthentic};
use super::stats::{DroppedCounts, LegStats};
use super::up::{NoCodec, Numbers, Up};

pub use receive::Received;

/// Why a leg cannot begin or go on as was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LegError {
    /// libopus finds no memory.
    #[error(transparent)]
    Codec(#[from] NoCodec),
    /// The cipher refused the key.
    #[error("the cipher refused a key; the leg cannot go on")]
    Key,
}

impl From<Unauthentic> for LegError {
    fn from(_: Unauthentic) -> Self {
        Self::Key
    }
}

/// One phone's media.
pub struct Leg {
    negotiated: Negotiated,
    begun: Instant,
    media: Latch,
    /// `None`: reports go where packets go.
    control: Option<Latch>,
    open: Option<Open>,
    seal: Option<Seal>,
    order: Order,
    up: Up,
    down: Down,
    digits: Digits,
    reports: Reports,
    lifetime: Lifetime,
    counts: Counts,
    packet: Vec<u8>,
}

#[derive(Debug, Default)]
struct Counts {
    packets: u64,
    streams: u64,
    voices: u64,
    dropped: DroppedCounts,
}

impl Leg {
    /// A leg with fresh numbers.
    ///
    /// # Errors
    /// A codec or a cipher cannot be made.
    pub fn new(negotiated: Negotiated, now: Instant, rng: &mut impl RngCore) -> Result<Self, LegError> {
        // RFC 3711 §3.3.1: a sequence from the lower half, so that the first packets cannot be taken for those before a
        // wrap.
        let sequence = (rng.next_u32() as u16) >> 1;
        let stream = Stream { ssrc: rng.next_u32(), sequence, timestamp: rng.next_u32() };
        // RFC 7022 §4.2: a name that says nothing of anybody.
        let cname = format!("{:016x}", rng.next_u64());
        Ok(Self {
            begun: now,
            media: Latch::new(negotiated.media),
            control: negotiated.control.map(Latch::new),
            open: opener(negotiated.srtp.as_ref())?,
            seal: sealer(negotiated.srtp.as_ref())?,
            order: Order::new(now),
            up: Up::new(negotiated.codec, Numbers::new())?,
            down: Down::new(format(&negotiated), stream, Sent::default())?,
            digits: Digits::new(now, event_clock(&negotiated)),
            reports: Reports::new(now, cname),
            lifetime: Lifetime::new(now, negotiated.direction.receives()),
            counts: Counts::default(),
            packet: Vec::new(),
            negotiated,
        })
    }

    /// What was negotiated anew. Numbers, timeline and counters go on.
    ///
    /// # Errors
    /// A codec or a cipher cannot be made; the leg is as it was.
    pub fn renegotiate(&mut self, negotiated: Negotiated, now: Instant) -> Result<(), LegError> {
        let (up, down) = (
            (negotiated.codec != self.negotiated.codec)
                .then(|| Up::new(negotiated.codec, self.up.numbers()))
                .transpose()?,
            (format(&negotiated) != format(&self.negotiated))
                .then(|| Down::new(format(&negotiated), self.down.stream, self.down.sent))
                .transpose()?,
        );
        // A cipher of the same key must go on: its packet index would repeat otherwise (RFC 3711 §9.1).
        let keys = negotiated.srtp.as_ref();
        let is_opened = keys.map(|keys| &keys.theirs) == self.open.as_ref().map(Open::key);
        let is_sealed = keys.map(|keys| &keys.ours) == self.seal.as_ref().map(Seal::key);
        let open = (!is_opened).then(|| opener(keys)).transpose()?;
        let seal = (!is_sealed).then(|| sealer(keys)).transpose()?;
        // From here on nothing fails.
        if let Some(open) = open {
            self.open = open;
        }
        if let Some(seal) = seal {
            self.seal = seal;
        }
        if let Some(up) = up {
            self.up = up;
        }
        if let Some(down) = down {
            self.down = down;
        }
        if !negotiated.media.ip().is_unspecified() {
            self.media.signalled(negotiated.media);
            match (&mut self.control, negotiated.control) {
                (Some(latch), Some(control)) => latch.signalled(control),
                (latch, control) => *latch = control.map(Latch::new),
            }
        }
        if negotiated.codec != self.negotiated.codec || negotiated.direction != self.negotiated.direction {
            self.order.restart();
            self.reports.reception.pause();
        }
        self.digits.set_clock(event_clock(&negotiated));
        self.lifetime.expect(now, negotiated.direction.receives());
        self.negotiated = negotiated;
        Ok(())
    }

    /// What is in force.
    #[must_use]
    pub const fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// Once each 20 ms: what the phone shall hear, `None` for silence. `sink` gets no packet, one or two, with where
    /// they go.
    pub fn send(&mut self, samples: Option<&[f32; TICK]>, mut sink: impl FnMut(SocketAddr, &[u8])) {
        let to = self.media.destination();
        if !self.negotiated.direction.sends() || to.ip().is_unspecified() {
            self.down.hold();
            return;
        }
        self.down.tick(samples);
        while self.down.poll(&mut self.packet) {
            if let Some(seal) = &mut self.seal {
                seal.rtp(&mut self.packet);
            }
            if !self.packet.is_empty() {
                sink(to, &self.packet);
            }
        }
    }

    /// The report that is due, and where it goes. `wall`: since 1970, for the clocks of others.
    pub fn poll_report(&mut self, now: Instant, wall: Duration) -> Option<(SocketAddr, &[u8])> {
        let to = self.control.as_ref().unwrap_or(&self.media).destination();
        if !self.reports.poll(now, wall, self.down.stream, self.down.sent, &mut self.packet) || to.ip().is_unspecified()
        {
            return None;
        }
        if let Some(seal) = &mut self.seal {
            seal.rtcp(&mut self.packet);
        }
        Some((to, self.packet.as_slice())).filter(|(_, packet)| !packet.is_empty())
    }

    /// When [`Self::poll_report`] has something next.
    #[must_use]
    pub const fn report_due(&self) -> Instant {
        self.reports.due()
    }

    /// Whether the phone still lives.
    ///
    /// # Errors
    /// It has sent nothing for too long.
    pub fn check(&self, now: Instant) -> Result<(), TimedOut> {
        self.lifetime.check(now)
    }

    /// What was counted since the leg began.
    #[must_use]
    pub fn stats(&self) -> LegStats {
        LegStats {
            packets: self.counts.packets,
            lost: self.reports.reception.lost(),
            jitter_us: self.reports.reception.jitter_us(self.negotiated.codec.clock()),
            streams: self.counts.streams,
            voices: self.counts.voices,
            dropped: self.counts.dropped,
            digits: self.digits.counts.taken,
            digits_refused: self.digits.counts.refused,
            sent_packets: self.down.sent.packets,
            sent_octets: self.down.sent.octets,
            peer: self.reports.peer,
        }
    }
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No addresses: this may reach a log.
        formatter.debug_struct("Leg").field("codec", &self.negotiated.codec).finish_non_exhaustive()
    }
}

fn format(negotiated: &Negotiated) -> Format {
    Format {
        codec: negotiated.codec,
        payload_type: negotiated.payload_type.sent,
        ptime_ms: negotiated.ptime_ms,
        bitrate: negotiated.bitrate,
    }
}

fn event_clock(negotiated: &Negotiated) -> u32 {
    negotiated.events.map_or(8_000, |events| events.clock)
}

fn opener(keys: Option<&SrtpKeys>) -> Result<Option<Open>, Unauthentic> {
    keys.map(|keys| Open::new(keys.theirs.clone())).transpose()
}

fn sealer(keys: Option<&SrtpKeys>) -> Result<Option<Seal>, Unauthentic> {
    keys.map(|keys| Seal::new(keys.ours.clone())).transpose()
}
