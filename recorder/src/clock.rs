//! Lays a publication's RTP time onto the recording's clock.
//!
//! RTP time starts anywhere, wraps, drifts, and stops while an app sleeps; arrival times jitter. The smallest transit
//! (arrival minus RTP time) of the last seconds is the *floor*: what the network takes at its best. A packet's place is
//! its RTP time plus an offset that follows the floor slowly, so that neither jitter nor drift is heard. Where sender
//! reports tie two media of a participant to one wall clock, both follow the smaller of their floors on that clock
//! ([`TrackClock::sync_to`]): lips and voice stay together though pictures travel longer than sound.
//!
//! ```text
//! arrival --observe--> Stamp (held by the reorder buffer) --lay--> place on the recording's clock
//!             \-> floor --slowly--> offset <--slowly-- shared floor, by sender reports
//! ```
//!
//! Packets that are late by more than [`JUMP_US`] come from a network that stood still, and keep their place, or from a
//! sender whose RTP time stood still, and then a new *epoch* begins, whose offset is larger by the pause. The first one
//! does not tell which. Until the next ones do ([`TrackClock::is_undecided`], at most [`HOLD_US`]) nothing should be
//! laid: the late packets of a network catch up, those of a sender that slept do not.
//!
//! Pure: arrivals are arguments, in microseconds after the recording's start.
//!
//! RFC 3550 §5.1 (timestamp), §6.4.1 (sender reports).

mod drift;

use drift::Drift;

/// Packets may be late, or early, by this much before it is asked whether RTP time stood still or jumped.
pub(crate) const JUMP_US: i64 = 1_000_000;
/// How long late packets are watched: a network that drains twice as fast as it is filled makes good half of it.
pub(crate) const HOLD_US: i64 = 500_000;
/// They catch up when they make good this share of the time that passes.
const CATCH_UP_PERCENT: i64 = 30;
/// However short they were watched, this much is no jitter.
const CERTAIN_US: i64 = 150_000;
/// The floor is the minimum over one to two of these.
const FLOOR_WINDOW_US: i64 = 5_000_000;
/// The offset follows by at most this share: 0.5 %, ten times what bad oscillators drift.
const SLEW_PER_MILLE: i64 = 5;
/// While an epoch is new its first transit may be a poor guess, and so may what it was before the first report: 5 %.
const FIRST_SLEW_PER_MILLE: i64 = 50;
/// What a report may move at once: thirty seconds of 600 ppm. More is no drift.
const MAX_REPORT_STEP_US: i64 = 18_000;
/// How long it is new, from its first packet and from its first report.
const FIRST_US: i64 = 3_000_000;

/// The clock of one publication.
#[derive(Debug)]
pub(crate) struct TrackClock {
    clock_hz: i64,
    newest: Option<Newest>,
    epoch: Option<Epoch>,
    /// Of the epoch before.
    offset_before_us: Option<i64>,
    suspicion: Option<Suspicion>,
    /// Sender's wall clock minus RTP time, by the last sender report of this epoch.
    sender_us: Option<i64>,
    /// The floor that the participant's media share, on the sender's wall clock.
    shared_floor_us: Option<i64>,
    drift: Drift,
}

/// A packet's time before it is laid. Belongs to the clock that made it, until that restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    epoch: u64,
    media_us: i64,
}

/// Unwraps RTP time.
#[derive(Clone, Copy, Debug)]
struct Newest {
    rtp: u32,
    ticks: i64,
}

/// A stretch without jumps.
#[derive(Debug)]
struct Epoch {
    number: u64,
    /// RTP time at which it began.
    first_media_us: i64,
    /// Until when the offset follows fast.
    new_until_us: i64,
    reported: bool,
    window_since_us: i64,
    floor_now_us: i64,
    floor_before_us: i64,
    offset_us: i64,
    moved_at_us: i64,
}

/// Packets are late, and it is not known yet why.
#[derive(Clone, Copy, Debug)]
struct Suspicion {
    since_us: i64,
    newest_us: i64,
    media_us: i64,
    first_transit: i64,
    least_transit: i64,
}

impl TrackClock {
    pub(crate) fn new(clock_hz: u32) -> Self {
        Self {
            clock_hz: clock_hz.into(),
            newest: None,
            epoch: None,
            offset_before_us: None,
            suspicion: None,
            sender_us: None,
            shared_floor_us: None,
            drift: Drift::default(),
        }
    }

    /// The sender began anew: its RTP time has nothing to do with what was before. Its oscillator may have.
    pub(crate) fn restart(&mut self) {
        let drift = self.drift;
        *self = Self::new(self.clock_hz as u32);
        self.drift = drift;
    }

    /// A packet came. `is_newest`: it is ahead of all others in sequence; only such packets move the clock, since a
    /// retransmission's transit says nothing about the network.
    pub(crate) fn observe(&mut self, rtp: u32, arrival_us: i64, is_newest: bool) -> Stamp {
        let media_us = self.media_us(rtp, is_newest);
        let transit = arrival_us - media_us;
        let Some(epoch) = &self.epoch else {
            self.begin_epoch(media_us, transit, arrival_us);
            return self.stamp(media_us);
        };
        if !is_newest {
            let is_before = media_us < epoch.first_media_us && self.offset_before_us.is_some();
            return Stamp { epoch: epoch.number - u64::from(is_before), media_us };
        }
        let late_us = transit - epoch.floor_us();
        if late_us < -JUMP_US {
            // Before it was sent nothing arrives: RTP time jumped ahead, or a pause was taken for one.
            self.suspicion = None;
            self.begin_epoch(media_us, transit, arrival_us);
            return self.stamp(media_us);
        }
        if late_us > if self.suspicion.is_some() { JUMP_US / 2 } else { JUMP_US } {
            let suspicion = self.suspicion.get_or_insert(Suspicion {
                since_us: arrival_us,
                newest_us: arrival_us,
                media_us,
                first_transit: transit,
                least_transit: transit,
            });
            suspicion.newest_us = arrival_us;
            suspicion.least_transit = suspicion.least_transit.min(transit);
            let number = epoch.number + 1;
            self.settle(arrival_us);
            return Stamp { epoch: number, media_us };
        }
        if self.suspicion.take().is_some() {
            self.continue_epoch();
        }
        self.move_on(transit, arrival_us);
        self.stamp(media_us)
    }

    /// Where a packet lies. Before it is decided why packets are late, late ones lie where the old offset puts them.
    pub(crate) fn lay(&self, stamp: Stamp) -> i64 {
        let Some(epoch) = &self.epoch else { return stamp.media_us };
        let before = self.offset_before_us.filter(|_| stamp.epoch < epoch.number);
        stamp.media_us.saturating_add(before.unwrap_or(epoch.offset_us))
    }

    /// Whether it is better to wait before anything is laid.
    pub(crate) fn is_undecided(&self) -> bool {
        self.suspicion.is_some()
    }

    /// Decides why packets are late, if they were watched long enough. `i64::MAX` decides at once.
    pub(crate) fn settle(&mut self, now_us: i64) {
        let Some(suspicion) = self.suspicion.filter(|suspicion| now_us.saturating_sub(suspicion.since_us) >= HOLD_US)
        else {
            return;
        };
        self.suspicion = None;
        let watched_us = suspicion.newest_us - suspicion.since_us;
        let made_good_us = suspicion.first_transit - suspicion.least_transit;
        // A few packets show nothing but jitter, unless they make good more than jitter ever is.
        let is_faster = watched_us >= HOLD_US / 4 && made_good_us * 100 >= watched_us * CATCH_UP_PERCENT;
        if is_faster || made_good_us >= watched_us.max(CERTAIN_US) {
            self.continue_epoch();
        } else {
            self.begin_epoch(suspicion.media_us, suspicion.least_transit, suspicion.since_us + HOLD_US);
        }
    }

    /// A sender report came: `ntp` as on the wire, `rtp` the same instant in RTP time.
    pub(crate) fn handle_report(&mut self, ntp: u64, rtp: u32) {
        // Whose epoch it tells of is not known while that is undecided.
        if self.newest.is_some() && self.suspicion.is_none() {
            let media_us = self.media_us(rtp, false);
            let sender_us = ntp_us(ntp).saturating_sub(media_us);
            // By so much RTP time drifted from the sender's wall clock since the last report. It is made good at once: if
            // it had to share the slew, media with different drifts would part while their offsets go a long way.
            let drifted_us = self.sender_us.map_or(0, |before| sender_us.saturating_sub(before));
            if let Some(epoch) = &mut self.epoch
                && drifted_us.saturating_abs() <= MAX_REPORT_STEP_US
            {
                epoch.offset_us += drifted_us;
            }
            self.sender_us = Some(sender_us);
        }
    }

    /// This medium's floor on the sender's wall clock, once a report tied them.
    pub(crate) fn sender_floor_us(&self) -> Option<i64> {
        Some(self.epoch.as_ref()?.floor_us() - self.sender_us?)
    }

    /// Follow this floor instead of the own one. `None`: there is nobody to be in step with.
    pub(crate) fn sync_to(&mut self, shared_floor_us: Option<i64>) {
        self.shared_floor_us = shared_floor_us;
    }

    /// By how many millionths the sender's RTP clock is faster than ours; `None` until it was watched for a minute.
    pub(crate) fn drift_ppm(&self) -> Option<f64> {
        self.drift.ppm()
    }

    /// What the sender's wall clock said at the recording's start: microseconds since 1900, as its reports tell. The two
    /// clocks drift apart, so it is of now.
    pub(crate) fn sender_wall_at_start_us(&self) -> Option<i64> {
        Some(self.sender_us? - self.epoch.as_ref()?.offset_us)
    }

    fn stamp(&self, media_us: i64) -> Stamp {
        Stamp { epoch: self.epoch.as_ref().map_or(0, |epoch| epoch.number), media_us }
    }

    fn begin_epoch(&mut self, media_us: i64, transit: i64, now_us: i64) {
        let number = self.epoch.as_ref().map_or(0, |epoch| epoch.number + 1);
        self.offset_before_us = self.epoch.as_ref().map(|epoch| epoch.offset_us);
        self.epoch = Some(Epoch::new(number, media_us, transit, now_us));
        self.sender_us = None;
        self.drift.interrupt();
    }

    /// Those that were late belong to the epoch after all; their stamps have the next number.
    fn continue_epoch(&mut self) {
        if let Some(epoch) = &mut self.epoch {
            self.offset_before_us = Some(epoch.offset_us);
            epoch.number += 1;
        }
    }

    /// A packet in time moves floor and offset.
    fn move_on(&mut self, transit: i64, arrival_us: i64) {
        let wanted = self.shared_floor_us.zip(self.sender_us).map(|(shared, sender)| shared.saturating_add(sender));
        let Some(epoch) = &mut self.epoch else { return };
        if epoch.observe(transit, arrival_us) {
            self.drift.observe(epoch.floor_before_us, arrival_us);
        }
        let floor = epoch.floor_us();
        // A report that contradicts the arrivals is a broken one.
        let wanted = wanted.filter(|wanted| (wanted.saturating_sub(floor)).saturating_abs() <= JUMP_US);
        if wanted.is_some() && !epoch.reported {
            epoch.reported = true;
            epoch.new_until_us = arrival_us + FIRST_US;
        }
        epoch.follow(wanted.unwrap_or(floor), arrival_us);
    }

    fn media_us(&mut self, rtp: u32, moves: bool) -> i64 {
        let newest = self.newest.get_or_insert(Newest { rtp, ticks: 0 });
        let ticks = newest.ticks + i64::from(rtp.wrapping_sub(newest.rtp) as i32);
        if moves {
            *newest = Newest { rtp, ticks };
        }
        // Wide, because a hostile sender can wind its clock for years.
        (i128::from(ticks) * 1_000_000 / i128::from(self.clock_hz)) as i64
    }
}

impl Epoch {
    fn new(number: u64, first_media_us: i64, transit: i64, now_us: i64) -> Self {
        Self {
            number,
            first_media_us,
            new_until_us: now_us + FIRST_US,
            reported: false,
            window_since_us: now_us,
            floor_now_us: transit,
            floor_before_us: transit,
            offset_us: transit,
            moved_at_us: now_us,
        }
    }

    /// Says whether a window was completed.
    fn observe(&mut self, transit: i64, arrival_us: i64) -> bool {
        let completes = arrival_us - self.window_since_us >= FLOOR_WINDOW_US;
        if completes {
            self.floor_before_us = self.floor_now_us;
            self.floor_now_us = transit;
            self.window_since_us = arrival_us;
        }
        self.floor_now_us = self.floor_now_us.min(transit);
        completes
    }

    fn floor_us(&self) -> i64 {
        self.floor_now_us.min(self.floor_before_us)
    }

    fn follow(&mut self, target: i64, arrival_us: i64) {
        let per_mille = if arrival_us < self.new_until_us { FIRST_SLEW_PER_MILLE } else { SLEW_PER_MILLE };
        let step = (arrival_us - self.moved_at_us).max(0) * per_mille / 1000;
        // Below one microsecond nothing moves; the time is kept until it does.
        if step > 0 {
            self.offset_us += (target - self.offset_us).clamp(-step, step);
            self.moved_at_us = arrival_us;
        }
    }
}

/// NTP's 32.32 fixed point to microseconds.
fn ntp_us(ntp: u64) -> i64 {
    let seconds = (ntp >> 32) as i64;
    let fraction = ((ntp & 0xFFFF_FFFF) * 1_000_000) >> 32;
    seconds * 1_000_000 + fraction as i64
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
