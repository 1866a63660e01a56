//! What comes from the phone: which port, which payload, of what use.
//!
//! ```text
//! datagram ─> RTCP? ─> latch ─> SRTP ─> RTP: payload type ─> voice | event | comfort noise ─> Received
//! ```

use std::net::SocketAddr;
use std::time::Instant;

use wire::rtp::{RtpHeader, is_rtcp};

use super::Leg;
use crate::media::digits::Digit;
use crate::media::order::{Taken, Unfit};
use crate::media::sdp::PayloadType;
use crate::media::stats::Dropped;
use crate::media::up::Voice;

/// RFC 3389 §4: comfort noise has it without being told.
const COMFORT_NOISE: u8 = 13;

/// What one datagram brought; to be used again for the next.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// For the meeting, in order.
    pub voices: Vec<Voice>,
    /// A key that was pressed.
    pub digit: Option<Digit>,
}

impl Leg {
    /// A datagram from either port. Replaces what is in `received`. `from` in its plain form: an IPv4 address that a
    /// socket of both families maps into IPv6 would be another than the one that SDP names.
    ///
    /// # Errors
    /// It is of no use, and was counted.
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        received: &mut Received,
    ) -> Result<(), Dropped> {
        received.voices.clear();
        received.digit = None;
        let outcome = if is_rtcp(datagram) {
            self.receive_control(now, from, datagram)
        } else {
            self.receive_media(now, from, datagram, received)
        };
        self.counts.voices += received.voices.len() as u64;
        outcome.inspect_err(|dropped| self.counts.dropped.count(*dropped))
    }

    fn receive_media(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        received: &mut Received,
    ) -> Result<(), Dropped> {
        if !self.media.admits(now, from) {
            return Err(Dropped::Stranger);
        }
        let header = RtpHeader::parse(datagram).map_err(|_| Dropped::Malformed)?;
        let opened = self.open.as_mut().map(|open| open.rtp(header.ssrc, datagram)).transpose();
        let opened = opened.map_err(|_| Dropped::Unauthentic)?;
        let payload = header.payload(opened.as_deref().unwrap_or(datagram)).map_err(|_| Dropped::Malformed)?;
        let content = self.content(header.payload_type);
        if content == Content::Unknown && self.order.ssrc() != Some(header.ssrc) {
            return Err(Dropped::PayloadType);
        }
        self.media.heard(now, from);
        self.lifetime.heard(now);
        let taken = self.order.take(now, &header).map_err(|unfit| match unfit {
            Unfit::Duplicate => Dropped::Duplicate,
            Unfit::Late => Dropped::Late,
            Unfit::Probation => Dropped::Probation,
        })?;
        if taken == Taken::First {
            self.counts.streams += 1;
            self.reports.reception.begin(&header);
        }
        self.counts.packets += 1;
        self.reports.reception.packet(&header);
        let is_newest = !matches!(taken, Taken::Late(_));
        if content == Content::Voice {
            return self.voice(now, &header, taken, payload, &mut received.voices);
        }
        if is_newest {
            self.order.no_voice();
            self.reports.reception.pause();
        }
        match content {
            Content::Event => {
                received.digit = self.digits.receive(now, header.ssrc, header.timestamp, payload);
                Ok(())
            }
            Content::ComfortNoise if is_newest => {
                self.up.pause(&mut received.voices);
                Ok(())
            }
            Content::ComfortNoise => Ok(()),
            Content::Unknown | Content::Voice => Err(Dropped::PayloadType),
        }
    }

    fn voice(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        taken: Taken,
        payload: &[u8],
        out: &mut Vec<Voice>,
    ) -> Result<(), Dropped> {
        let ticks = self.up.ticks(payload).map_err(|_| Dropped::Malformed)?;
        let clock = self.negotiated.codec.clock();
        let factor = 48_000 / clock;
        if let Taken::Late(behind) = taken {
            if !self.up.takes_late() {
                return Err(Dropped::Late);
            }
            let start = self.order.place_late(now, header, behind, factor, ticks).ok_or(Dropped::Late)?;
            self.up.late(start, behind, payload, out);
            return Ok(());
        }
        self.reports.reception.voice(now.saturating_duration_since(self.begun), header, clock);
        let place = self.order.place(now, header, factor, ticks).ok_or(Dropped::Flood)?;
        self.up.voice(place, header.marker, payload, out).map_err(|_| Dropped::Malformed)
    }

    fn content(&self, payload_type: u8) -> Content {
        let is = |known: PayloadType| known.sent == payload_type || known.received == payload_type;
        if is(self.negotiated.payload_type) {
            Content::Voice
        } else if self.negotiated.events.is_some_and(|events| is(events.payload_type)) {
            Content::Event
        } else if payload_type == COMFORT_NOISE || self.negotiated.comfort_noise == Some(payload_type) {
            Content::ComfortNoise
        } else {
            Content::Unknown
        }
    }

    fn receive_control(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), Dropped> {
        let latch = self.control.as_ref().unwrap_or(&self.media);
        // Reports come from where the packets come from, if from another port.
        let is_neighbour = from.ip() == self.media.destination().ip();
        if !latch.admits(now, from) || self.control.is_some() && !is_neighbour && from != latch.destination() {
            return Err(Dropped::Stranger);
        }
        let opened =
            self.open.as_mut().map(|open| open.rtcp(datagram)).transpose().map_err(|_| Dropped::Unauthentic)?;
        let compound = opened.as_deref().unwrap_or(datagram);
        let ours = (self.down.stream.ssrc, self.negotiated.codec.clock());
        self.reports.receive(now, compound, ours).map_err(|_| Dropped::Malformed)?;
        if let Some(control) = &mut self.control {
            control.heard(now, from);
        }
        self.lifetime.heard(now);
        Ok(())
    }
}

/// What a payload type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Voice,
    Event,
    ComfortNoise,
    Unknown,
}
