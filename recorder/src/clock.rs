//! Lays a publication's RTP time onto the recording's clock.
//!
//! RTP time starts anywhere, wraps, drifts, and stops while an app sleeps; arrival times jitter. The smallest transit
//! (arrival minus RTP time) of the last seconds is the *floor*: what the network takes at its best. A packet's place is
//! its RTP time plus an offset that follows the floor slowly, so that neither jitter nor drift is heard, and jumps when
//! the two clocks part by more than [`JUMP_US`], so that a pause advances time. Where sender reports tie two media of a
//! participant to one wall clock, both follow the smaller of their floors on that clock ([`TrackClock::sync_to`]):
//! lips and voice stay together though pictures travel longer than sound.
//!
//! Pure: arrivals are arguments, in microseconds after the recording's start.
//!
//! RFC 3550 §5.1 (timestamp), §6.4.1 (sender reports).

/// RTP clock and arrival clock may differ by this much before the offset jumps instead of following.
pub(crate) const JUMP_US: i64 = 1_000_000;
/// The floor is the minimum over one to two of these.
const FLOOR_WINDOW_US: i64 = 5_000_000;
/// The offset follows by at most this share: 0.5 %, ten times what bad oscillators drift.
const SLEW_PER_MILLE: i64 = 5;
/// While a clock is new its first transit may be a poor guess, and nobody has heard anything yet: 5 %.
const FIRST_SLEW_PER_MILLE: i64 = 50;
/// How long a clock is new.
const FIRST_US: i64 = 3_000_000;

/// The clock of one publication.
#[derive(Debug)]
pub(crate) struct TrackClock {
    clock_hz: i64,
    newest: Option<Newest>,
    epoch: Option<Epoch>,
    /// Sender's wall clock minus RTP time, by the last sender report.
    sender_us: Option<i64>,
    /// The floor that the participant's media share, on the sender's wall clock.
    shared_floor_us: Option<i64>,
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
    since_us: i64,
    window_since_us: i64,
    floor_now_us: i64,
    floor_before_us: i64,
    offset_us: i64,
    moved_at_us: i64,
}

impl TrackClock {
    pub(crate) fn new(clock_hz: u32) -> Self {
        Self { clock_hz: clock_hz.into(), newest: None, epoch: None, sender_us: None, shared_floor_us: None }
    }

    /// The sender began anew: its RTP time has nothing to do with what was before.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.clock_hz as u32);
    }

    /// Where a packet lies on the recording's clock. `is_newest`: it is ahead of all others in sequence; only such
    /// packets move the clock, since a retransmission's transit says nothing about the network.
    pub(crate) fn place(&mut self, rtp: u32, arrival_us: i64, is_newest: bool) -> i64 {
        let media_us = self.media_us(rtp, is_newest);
        let transit = arrival_us - media_us;
        let wanted = self.wanted_offset_us();
        let epoch = match &mut self.epoch {
            Some(epoch) if !is_newest => return media_us + epoch.offset_us,
            Some(epoch) if (transit - epoch.floor_us()).abs() <= JUMP_US => epoch,
            other => other.insert(Epoch::new(transit, arrival_us)),
        };
        epoch.observe(transit, arrival_us);
        let floor = epoch.floor_us();
        // A report that contradicts the arrivals is a broken one.
        let target = wanted.filter(|wanted| (wanted - floor).abs() <= JUMP_US).unwrap_or(floor);
        epoch.follow(target, arrival_us);
        media_us + epoch.offset_us
    }

    /// A sender report came: `ntp` as on the wire, `rtp` the same instant in RTP time.
    pub(crate) fn handle_report(&mut self, ntp: u64, rtp: u32) {
        if self.newest.is_some() {
            let media_us = self.media_us(rtp, false);
            self.sender_us = Some(ntp_us(ntp) - media_us);
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

    fn wanted_offset_us(&self) -> Option<i64> {
        Some(self.shared_floor_us? + self.sender_us?)
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
    fn new(transit: i64, arrival_us: i64) -> Self {
        Self {
            since_us: arrival_us,
            window_since_us: arrival_us,
            floor_now_us: transit,
            floor_before_us: transit,
            offset_us: transit,
            moved_at_us: arrival_us,
        }
    }

    fn observe(&mut self, transit: i64, arrival_us: i64) {
        if arrival_us - self.window_since_us >= FLOOR_WINDOW_US {
            self.floor_before_us = self.floor_now_us;
            self.floor_now_us = transit;
            self.window_since_us = arrival_us;
        }
        self.floor_now_us = self.floor_now_us.min(transit);
    }

    fn floor_us(&self) -> i64 {
        self.floor_now_us.min(self.floor_before_us)
    }

    fn follow(&mut self, target: i64, arrival_us: i64) {
        let is_new = arrival_us - self.since_us < FIRST_US;
        let per_mille = if is_new { FIRST_SLEW_PER_MILLE } else { SLEW_PER_MILLE };
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ntp_of_us(us: i64) -> u64 {
        (((us / 1_000_000) as u64) << 32) | ((((us % 1_000_000) as u64) << 32) / 1_000_000)
    }

    #[test]
    fn time_runs_on_across_the_wrap() {
        let mut clock = TrackClock::new(48_000);
        let first = u32::MAX - 960 * 10;
        for n in 0..100i64 {
            let rtp = first.wrapping_add(960 * n as u32);
            assert_eq!(clock.place(rtp, 5_000 + n * 20_000, true), 5_000 + n * 20_000);
        }
    }

    #[test]
    fn jitter_does_not_move_the_time_of_packets() {
        let mut clock = TrackClock::new(48_000);
        for n in 0..500i64 {
            let jitter = (n * 7919 % 40) * 1000 * i64::from(n > 0);
            assert_eq!(clock.place(960 * n as u32, n * 20_000 + jitter, true), n * 20_000);
        }
    }

    #[test]
    fn ten_minutes_of_drift_stay_within_twenty_milliseconds() {
        for ppm in [-200i64, 200] {
            let mut clock = TrackClock::new(48_000);
            let mut last = -1;
            for n in 0..30_000i64 {
                let arrival = n * (20_000 + 20_000 * ppm / 1_000_000);
                let at = clock.place(960 * n as u32, arrival, true);
                assert!((at - arrival).abs() < 20_000, "{ppm} ppm: {at} for {arrival}");
                assert!(at > last);
                last = at;
            }
        }
    }

    #[test]
    fn a_pause_in_which_rtp_time_stood_still_advances_the_recording() {
        let mut clock = TrackClock::new(48_000);
        clock.place(0, 0, true);
        assert_eq!(clock.place(960, 20_000, true), 20_000);
        assert_eq!(clock.place(1920, 10_020_000, true), 10_020_000, "ten seconds of sleep");
        assert_eq!(clock.place(2880, 10_040_000, true), 10_040_000);
        // And a jump ahead of RTP time alone does not.
        assert_eq!(clock.place(2880 + 48_000 * 60, 10_060_000, true), 10_060_000);
    }

    #[test]
    fn a_late_retransmission_keeps_its_own_time() {
        let mut clock = TrackClock::new(90_000);
        clock.place(0, 0, true);
        clock.place(6000, 66_667, true);
        assert_eq!(clock.place(3000, 2_000_000, false), 33_333);
        assert_eq!(clock.place(9000, 100_000, true), 100_000);
    }

    #[test]
    fn a_delayed_first_packet_is_made_good_within_seconds() {
        let mut clock = TrackClock::new(48_000);
        clock.place(0, 100_000, true);
        let mut at = 0;
        for n in 1..=150i64 {
            at = clock.place(960 * n as u32, n * 20_000, true);
        }
        assert!((at - 150 * 20_000).abs() < 1_000, "{at}");
    }

    #[test]
    fn sender_reports_bring_picture_and_voice_together() {
        // Pictures take 120 ms longer; both were captured at the same instants of the sender's clock.
        let (mut voice, mut picture) = (TrackClock::new(48_000), TrackClock::new(90_000));
        let wall = 3_900_000_000_000_000;
        let (mut said, mut shown) = (0, 0);
        for n in 0..500i64 {
            let captured = n * 40_000;
            said = voice.place(1000 + 1920 * n as u32, captured + 30_000, true);
            shown = picture.place(777 + 3600 * n as u32, captured + 150_000, true);
            if n == 10 {
                voice.handle_report(ntp_of_us(wall + captured), 1000 + 1920 * n as u32);
                picture.handle_report(ntp_of_us(wall + captured), 777 + 3600 * n as u32);
            }
            if let (Some(a), Some(b)) = (voice.sender_floor_us(), picture.sender_floor_us()) {
                voice.sync_to(Some(a.min(b)));
                picture.sync_to(Some(a.min(b)));
            }
            if n == 9 {
                assert!(shown - said > 100_000, "without reports only arrival is known");
            }
        }
        assert!((said - shown).abs() < 1_000, "voice {said}, picture {shown}");
    }

    #[test]
    fn a_report_that_contradicts_the_arrivals_is_ignored() {
        let mut clock = TrackClock::new(48_000);
        clock.place(0, 0, true);
        clock.handle_report(ntp_of_us(5_000_000), 0);
        clock.sync_to(Some(90_000_000));
        for n in 1..200i64 {
            assert_eq!(clock.place(960 * n as u32, n * 20_000, true), n * 20_000);
        }
    }

    proptest! {
        #[test]
        fn any_packets_and_reports_never_panic(
            steps in proptest::collection::vec((any::<u32>(), 0i64..10_000_000, any::<bool>(), any::<u64>()), 0..300),
        ) {
            let mut clock = TrackClock::new(90_000);
            let mut now = 0;
            for (rtp, later, newest, ntp) in steps {
                now += later;
                let _ = clock.place(rtp, now, newest);
                clock.handle_report(ntp, rtp);
                let floor = clock.sender_floor_us();
                clock.sync_to(floor);
            }
        }
    }
}
