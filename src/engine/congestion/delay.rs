//! Whether queues grow on the path: how much later than before the packets of each group arrive than they left.
//!
//! A group is what left within five milliseconds: a train, usually. Its delay is that of the packet in it that waited least, so
//! that a frame's own length at the bottleneck is no sign of a queue. Two questions are asked of the delays:
//!
//! - **Do they rise?** A line is laid through the last twenty smoothed delays; its slope, made comparable, is held against a
//!   threshold that follows what is usual on this path, so that neither jitter nor a rival that fills queues starves us
//!   (the trendline filter of Google Congestion Control, draft-ietf-rmcat-gcc-02 §5, with libwebrtc's figures).
//! - **Do they stand high?** A queue that is full no longer grows and has no slope. The least delay of the last 200 ms is held
//!   against the least of the last 15 to 30 seconds. If sending less does not lower it, or our frames do not move it, it is not
//!   ours (another route, a rival), and is taken for the path's own from then on.
//!
//! ```text
//! packet(sent, arrival) -> group -> delay -> smoothed -> slope -> Usage
//!                                         -> least of 200 ms - least of 30 s -> standing queue
//! ```

/// What the delays tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// Nothing unusual.
    #[default]
    Normal,
    /// A queue grows, or stands and does not shrink.
    Over,
    /// A queue drains: wait until it has.
    Under,
}

/// Packets that left within this are one group.
const GROUP_US: i64 = 5_000;

/// Groups that were held up together arrive within [`GROUP_US`] of each other; over this long they are taken for one.
const BURST_MAX_US: i64 = 100_000;

/// Points of the line.
const WINDOW: usize = 20;

/// Part of the old in the smoothed delay.
const SMOOTHING: f64 = 0.9;

/// Makes a slope comparable to a threshold in milliseconds: per this many groups ...
const GROUPS_MAX: u32 = 60;

/// ... times this.
const GAIN: f64 = 4.0;

const THRESHOLD_FIRST: f64 = 12.5;
const THRESHOLD_MIN: f64 = 6.0;
const THRESHOLD_MAX: f64 = 600.0;

/// How fast the threshold follows what is above it and below it, per millisecond.
const RISE: f64 = 0.0087;
const FALL: f64 = 0.039;

/// A slope this far above the threshold is an event, to which the threshold does not adapt.
const EVENT: f64 = 15.0;

/// Overuse must last this long (and two groups).
const OVERUSE_MS: f64 = 10.0;

/// Delays that rise while no more than this waits are jitter, or frames of different size ...
const QUEUE_MIN_US: i64 = 20_000;

/// ... and this many times what delays usually are off their mean.
const QUEUE_MIN_SPREADS: f64 = 1.0;

/// Part of the new in what is usual: seconds, so that a queue that grows does not become usual before it is seen.
const SPREAD: f64 = 0.02;

/// A standing queue of this size that does not shrink is overuse. Above what the jitter of a radio leaves of the least of 200 ms,
/// below what is felt in a conversation.
const STANDING_US: i64 = 45_000;

/// Shrinking means: by this much a step.
const SHRINKS_US: i64 = 4_000;

/// Decreases that did not lower the queue before it is taken for the path's own.
const FUTILE_MAX: u32 = 5;

/// A queue of ours moves with each frame that we send: it takes the frame in and drains until the next. Delays that stay within
/// this ...
const FLAT_US: i64 = 5_000;

/// ... for so long ...
const FLAT_TIME_US: i64 = 1_000_000;

/// ... and so many groups, as a voice has at least, are the path's own, however long. Jitter hides that, and then age has to tell.
const FLAT_GROUPS: u32 = 20;

/// Least delays are taken over two steps of this, the path's own over two ages.
const STEP_US: i64 = 100_000;
const AGE_US: i64 = 15_000_000;

/// The filter and its state.
#[derive(Clone, Debug)]
pub(super) struct DelayDetector {
    group: Option<Group>,
    line: Line,
    overuse: Overuse,
    standing: Standing,
    usage: Usage,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: i64,
    first_arrival: i64,
    last_arrival: i64,
    /// Of the packet that waited least.
    delay: i64,
    /// When that one arrived.
    arrival: i64,
}

impl Group {
    const fn new(sent: i64, arrival: i64) -> Self {
        let delay = arrival - sent;
        Self { first_sent: sent, first_arrival: arrival, last_arrival: arrival, delay, arrival }
    }

    const fn takes(&self, sent: i64, arrival: i64) -> bool {
        let held_up = arrival - sent < self.delay
            && arrival - self.last_arrival <= GROUP_US
            && arrival - self.first_arrival < BURST_MAX_US;
        sent - self.first_sent <= GROUP_US || held_up
    }

    fn add(&mut self, sent: i64, arrival: i64) {
        self.last_arrival = self.last_arrival.max(arrival);
        if arrival - sent < self.delay {
            (self.delay, self.arrival) = (arrival - sent, arrival);
        }
    }
}

impl Default for DelayDetector {
    fn default() -> Self {
        Self {
            group: None,
            line: Line::default(),
            overuse: Overuse { threshold: THRESHOLD_FIRST, ..Overuse::default() },
            standing: Standing::default(),
            usage: Usage::Normal,
        }
    }
}

impl DelayDetector {
    /// A packet that left at `sent` on our clock and arrived at `arrival` on the receiver's, both in microseconds.
    pub(super) fn packet(&mut self, sent: i64, arrival: i64) {
        match &mut self.group {
            // Found again after it was called lost: its group is long past.
            Some(group) if sent < group.first_sent => {}
            Some(group) if group.takes(sent, arrival) => group.add(sent, arrival),
            group => {
                if let Some(done) = group.replace(Group::new(sent, arrival)) {
                    self.sample(done.arrival, done.delay);
                }
            }
        }
    }

    /// What the delays tell at present.
    #[must_use]
    pub(super) fn usage(&self) -> Usage {
        match self.usage {
            _ if self.standing.is_stuck && self.queue_us() > QUEUE_MIN_US => Usage::Over,
            Usage::Over if self.queue_us() <= self.line.queue_min_us() => Usage::Normal,
            usage => usage,
        }
    }

    /// The queue on the path, in microseconds.
    #[must_use]
    pub(super) fn queue_us(&self) -> i64 {
        self.standing.queue().unwrap_or(0)
    }

    /// Less is sent from now on: a standing queue must shrink.
    pub(super) fn decreased(&mut self) {
        self.standing.decreased();
    }

    /// Forgets the path, for instance since the receiver's clock jumped.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    fn sample(&mut self, arrival: i64, delay: i64) {
        self.standing.sample(arrival, delay);
        let Some(slope) = self.line.add(arrival, delay) else { return };
        let trend = slope * f64::from(self.line.groups.min(GROUPS_MAX)) * GAIN;
        self.usage = self.overuse.detect(trend, slope, arrival);
    }
}

/// The line through the last delays.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Arrival and smoothed delay in milliseconds; a ring.
    points: [(f64, f64); WINDOW],
    groups: u32,
    /// What both count from, so that the figures stay small.
    origin: (i64, i64),
    smoothed: f64,
    /// How far delays are off it, on average.
    spread: f64,
}

impl Line {
    /// What must wait at least for delays that rise to be more than jitter.
    fn queue_min_us(&self) -> i64 {
        QUEUE_MIN_US + (QUEUE_MIN_SPREADS * self.spread * 1_000.0) as i64
    }

    /// The slope, as soon as there are enough points.
    fn add(&mut self, arrival: i64, delay: i64) -> Option<f64> {
        if self.groups == 0 {
            (self.origin, self.smoothed) = ((arrival, delay), 0.0);
        }
        let at = (arrival - self.origin.0) as f64 / 1_000.0;
        let delay = (delay - self.origin.1) as f64 / 1_000.0;
        self.spread += SPREAD * ((delay - self.smoothed).abs() - self.spread);
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * delay;
        let place = self.groups as usize % WINDOW;
        // After a year of it the line begins anew.
        self.groups = self.groups.wrapping_add(1);
        *self.points.get_mut(place)? = (at, self.smoothed);
        (self.groups as usize >= WINDOW).then(|| slope(&self.points))
    }
}

/// Least squares; 0 when all points have one time.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), (x, y)| {
        (above + (x - mean_x) * (y - mean_y), below + (x - mean_x) * (x - mean_x))
    });
    if below > 0.0 { above / below } else { 0.0 }
}

/// The slope against its threshold.
#[derive(Clone, Copy, Debug, Default)]
struct Overuse {
    threshold: f64,
    last: Option<i64>,
    slope: f64,
    over_ms: f64,
    groups: u32,
    usage: Usage,
}

impl Overuse {
    fn detect(&mut self, trend: f64, slope: f64, arrival: i64) -> Usage {
        let passed = self.last.map_or(0.0, |last| (arrival - last).clamp(0, 100_000) as f64 / 1_000.0);
        self.last = Some(arrival);
        if trend > self.threshold {
            self.over_ms += passed;
            self.groups += 1;
            if self.over_ms > OVERUSE_MS && self.groups > 1 && slope >= self.slope {
                (self.over_ms, self.groups) = (0.0, 0);
                self.usage = Usage::Over;
            }
        } else {
            (self.over_ms, self.groups) = (0.0, 0);
            self.usage = if trend < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.slope = slope;
        let size = trend.abs();
        if size <= self.threshold + EVENT {
            let pace = if size < self.threshold { FALL } else { RISE };
            let moved = self.threshold + pace * (size - self.threshold) * passed;
            self.threshold = moved.clamp(THRESHOLD_MIN, THRESHOLD_MAX);
        }
        self.usage
    }
}

/// The least of the present and the last period.
#[derive(Clone, Copy, Debug, Default)]
struct Least {
    began: Option<i64>,
    present: i64,
    last: Option<i64>,
}

impl Least {
    /// Takes in a value; whether a period is over.
    fn add(&mut self, at: i64, period: i64, value: i64) -> bool {
        match self.began {
            Some(began) if (0..period).contains(&(at - began)) => {
                self.present = self.present.min(value);
                false
            }
            began => {
                self.last = began.map(|_| self.present);
                (self.began, self.present) = (Some(at), value);
                began.is_some()
            }
        }
    }

    fn get(&self) -> Option<i64> {
        self.began.map(|_| self.last.map_or(self.present, |last| last.min(self.present)))
    }
}

/// Delays that hardly differ.
#[derive(Clone, Copy, Debug, Default)]
struct Flat {
    since: i64,
    groups: u32,
    least: i64,
    most: i64,
}

impl Flat {
    /// Takes in a delay; whether they have been flat for long enough, this one included.
    fn add(&mut self, at: i64, delay: i64) -> bool {
        let (least, most) = (self.least.min(delay), self.most.max(delay));
        if self.groups == 0 || most - least > FLAT_US {
            *self = Self { since: at, groups: 1, least: delay, most: delay };
            return false;
        }
        *self = Self { groups: self.groups.saturating_add(1), least, most, ..*self };
        at - self.since >= FLAT_TIME_US && self.groups >= FLAT_GROUPS
    }
}

/// The queue that is always there.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    recent: Least,
    own: Least,
    flat: Flat,
    before: i64,
    is_stuck: bool,
    /// Decreases since the queue was last seen to be shorter than `mark`.
    futile: u32,
    mark: i64,
}

impl Standing {
    fn sample(&mut self, at: i64, delay: i64) {
        self.own.add(at, AGE_US, delay);
        let is_flat = self.flat.add(at, delay);
        if !self.recent.add(at, STEP_US, delay) {
            return;
        }
        if is_flat {
            (self.own, self.futile) = (self.recent, 0);
        }
        let Some(queue) = self.recent.last.zip(self.own.get()).map(|(recent, own)| recent - own) else { return };
        self.is_stuck = queue > STANDING_US && queue > self.before - SHRINKS_US;
        self.before = queue;
        if queue < self.mark * 4 / 5 {
            self.futile = 0;
        }
    }

    fn queue(&self) -> Option<i64> {
        Some(self.recent.get()? - self.own.get()?)
    }

    fn decreased(&mut self) {
        if !std::mem::take(&mut self.is_stuck) {
            return;
        }
        if self.futile == 0 {
            self.mark = self.before;
        }
        self.futile += 1;
        if self.futile > FUTILE_MAX {
            (self.own, self.futile) = (self.recent, 0);
        }
    }
}
