//! What runs can be made: who comes in which order, what they do, and what must reach whom.
//!
//! ```text
//! command line -> Scenario -> Cast (meetings, parts in order, what is expected) -> stage -> report
//!                          `-> churn, which has no window: joins and leaves at a rate
//! peers: the same questions to whole peer connections, up to fifty of them
//! ```
//!
//! `stream`, `meeting`, `audio` and `idle` only say who comes: they are functions from numbers to a [`Cast`]. `stage`
//! makes it happen.

pub mod audio;
mod beside;
pub mod chat;
pub mod churn;
mod garbage;
pub mod idle;
pub mod meeting;
pub mod peers;
pub mod sockets;
mod stage;
pub mod stream;

use std::num::NonZeroUsize;
use std::time::Duration;

use hyper::Uri;
use tokio_util::sync::CancellationToken;

use crate::client::join::JoinError;
use crate::client::lean::browser::{Part, Publishes};
use crate::client::lean::inbound::Depth;
use crate::client::lean::mailbox::ThreadGone;
use crate::client::lean::media::StartError;
use crate::client::lean::sdp::RIDS;
use crate::client::lean::talk::Pattern;
use crate::client::voice::{Sound, VoiceError};
use crate::process::ProcessError;
use crate::progress::Progress;
use crate::report::findings::Expected;
use crate::report::run::Report;
use crate::target::{Reach, Target, TargetError};

/// Clients in one run: a port, two files and a number for the stamps each.
pub const CLIENTS_MAX: usize = 20_000;
/// Slots of a kind: a server answers up to 64 lines.
pub const SLOTS_MAX: u8 = 49;
/// The longest window.
pub const SECONDS_MAX: u32 = 3_600;
/// The highest video bit rate.
pub const BITS_PER_SECOND_MAX: u32 = 10_000_000;
/// The lowest at which a frame is more than its headers.
pub const BITS_PER_SECOND_MIN: u32 = 20_000;

/// How to get into a meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Make meetings of our own as this user, and delete them afterwards.
    UserToken(String),
    /// Join this one.
    JoinUrl(String),
}

/// What every scenario has.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// The server's address.
    pub server: Uri,
    /// How far load may go.
    pub reach: Reach,
    /// How to get in.
    pub entrance: Entrance,
    /// Length of the measured window.
    pub window: Duration,
    /// The server's process, if its costs are wanted.
    pub server_pid: Option<u32>,
    /// Clients that open everything; the others count.
    pub sample: usize,
    /// Clients that join at the same time.
    pub joining: usize,
    /// Simulcast layers of each camera.
    pub layers: u8,
    /// Loss at which the run fails.
    pub max_loss_percent: f64,
    /// Measure the floor for the same traffic afterwards, from so many threads.
    pub floor: Option<NonZeroUsize>,
    /// Datagrams of strangers each second while the window is measured.
    pub garbage: Option<u32>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// Few to many.
    Stream(stream::Stream),
    /// Everybody to everybody.
    Meeting(meeting::Meeting),
    /// Some talk, many listen.
    Audio(audio::Audio),
    /// Joins and leaves.
    Churn(churn::Churn),
    /// Connected and silent.
    Idle(idle::Idle),
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Where, how long, how closely.
    pub common: Common,
    /// What.
    pub play: Play,
}

/// Why a scenario makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// Nobody to measure.
    #[error("a run needs somebody who sends and somebody who receives")]
    Nobody,
    /// Too many.
    #[error("{0} clients are too many for one process: at most {CLIENTS_MAX}")]
    Crowd(usize),
    /// Nothing to receive, or too much.
    #[error("a client has at most {SLOTS_MAX} slots of a kind, and one that receives has at least one in all")]
    Slots,
    /// Out of range.
    #[error("video runs at {BITS_PER_SECOND_MIN} to {BITS_PER_SECOND_MAX} bit/s; a range is written 150k-600k")]
    BitRate,
    /// Out of range.
    #[error("a camera has 1 to {} layers", RIDS.len())]
    Layers,
    /// Out of range.
    #[error("a run is measured for 1 to {SECONDS_MAX} seconds")]
    Length,
    /// Out of range.
    #[error("--max-loss is a percentage from 0 to 100")]
    Loss,
    /// Out of range.
    #[error("clients join 1 to 1000 at a time and 1 to 1000 a second")]
    Joining,
    /// Out of range.
    #[error("--garbage is 1 to {} datagrams a second", garbage::RATE_MAX)]
    Garbage,
    /// There is no window to measure in.
    #[error("{0} goes with a measured window, which churn has not; take stream, meeting, audio or idle")]
    NoWindow(&'static str),
    /// One link is one meeting.
    #[error("--join-url names one meeting, and this run needs {0}: use --user-token")]
    OneMeeting(usize),
    /// Not a target.
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It makes no sense.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The server's process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The meeting.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The server's name has no address any more.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Our threads.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The test sounds.
    #[error(transparent)]
    Voice(#[from] VoiceError),
    /// Our threads.
    #[error(transparent)]
    Thread(#[from] ThreadGone),
    /// Nobody publishes, so that there is nothing to measure.
    #[error("nobody got in: {0}")]
    NobodyIn(String),
    /// Before anything was measured.
    #[error("stopped before the measurement began")]
    Stopped,
}

/// Who comes.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) scenario: &'static str,
    pub(crate) meetings: usize,
    /// Meeting and part, in the order of joining.
    pub(crate) parts: Vec<(usize, Part)>,
    /// So many come first, one by one, so that the others find somebody.
    pub(crate) first: usize,
    pub(crate) expected: Expected,
    pub(crate) bits_per_second: Option<(u32, u32)>,
}

/// What casts are made of.
pub(crate) struct Wardrobe<'a> {
    pub(crate) common: &'a Common,
    pub(crate) sounds: &'a [Sound],
}

impl Wardrobe<'_> {
    /// What the publisher of that number sends.
    pub(crate) fn publishes(&self, number: usize, bits_per_second: u32, pattern: Pattern) -> Option<Publishes> {
        let sound = self.sounds.get(number % self.sounds.len().max(1))?.clone();
        Some(Publishes { bits_per_second, pattern, sound })
    }

    /// Whether the client of that place among `all` receivers opens what it gets: a sample that is spread over them.
    pub(crate) fn depth(&self, place: usize, all: usize) -> Depth {
        let sample = self.common.sample;
        let opened = |places: usize| (places * sample).div_ceil(all.max(1)).min(sample);
        if opened(place + 1) > opened(place) { Depth::Opened } else { Depth::Counted }
    }
}

/// The bit rate of a publisher's camera where they differ evenly.
pub(crate) fn spread_bit_rate((least, most): (u32, u32), place: usize, all: usize) -> u32 {
    let steps = all.saturating_sub(1).max(1) as u64;
    least + (u64::from(most - least) * place.min(all) as u64 / steps) as u32
}

pub(crate) fn check_slots(audio: u8, video: u8) -> Result<(), Refused> {
    let fits = audio.max(video) <= SLOTS_MAX && u16::from(audio) + u16::from(video) > 0;
    fits.then_some(()).ok_or(Refused::Slots)
}

pub(crate) fn check_bit_rates((least, most): (u32, u32)) -> Result<(), Refused> {
    let range = BITS_PER_SECOND_MIN..=BITS_PER_SECOND_MAX;
    (least <= most && range.contains(&least) && range.contains(&most)).then_some(()).ok_or(Refused::BitRate)
}

pub(crate) fn check_clients(count: usize) -> Result<(), Refused> {
    (count <= CLIENTS_MAX).then_some(()).ok_or(Refused::Crowd(count))
}

impl Common {
    fn check(&self, meetings: usize) -> Result<(), Refused> {
        if !(1..=SECONDS_MAX.into()).contains(&self.window.as_secs()) {
            return Err(Refused::Length);
        }
        if !(0.0..=100.0).contains(&self.max_loss_percent) {
            return Err(Refused::Loss);
        }
        if !(1..=1_000).contains(&self.joining) {
            return Err(Refused::Joining);
        }
        if !(1..=RIDS.len() as u8).contains(&self.layers) {
            return Err(Refused::Layers);
        }
        if self.garbage.is_some_and(|rate| !(1..=garbage::RATE_MAX).contains(&rate)) {
            return Err(Refused::Garbage);
        }
        Target::of(&self.server, self.reach)?;
        if let Entrance::JoinUrl(url) = &self.entrance {
            Target::of(&crate::target::parse(url)?, self.reach)?;
            if meetings > 1 {
                return Err(Refused::OneMeeting(meetings));
            }
        }
        Ok(())
    }
}

impl Play {
    /// Whether the server listens to what is said, and does not only forward it.
    fn is_mixed(&self) -> bool {
        matches!(self, Self::Audio(audio) if audio.mix)
    }
}

impl Scenario {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// With the reason.
    pub fn check(&self) -> Result<(), Refused> {
        let meetings = match &self.play {
            Play::Stream(stream) => stream.check()?,
            Play::Meeting(meeting) => meeting.check()?,
            Play::Audio(audio) => audio.check()?,
            Play::Churn(churn) => {
                let asked = [("--floor", self.common.floor.is_some()), ("--garbage", self.common.garbage.is_some())];
                if let Some((name, _)) = asked.into_iter().find(|(_, asked)| *asked) {
                    return Err(Refused::NoWindow(name));
                }
                churn.check()?
            }
            Play::Idle(idle) => idle.check()?,
        };
        self.common.check(meetings)
    }
}

/// Makes the run. Cancelling `stop` ends it early: everybody still leaves and the report is made.
///
/// # Errors
/// When nothing could be measured; whoever came has left again.
pub async fn run(scenario: &Scenario, progress: &Progress, stop: &CancellationToken) -> Result<Report, RunError> {
    scenario.check()?;
    let Scenario { common, play } = scenario;
    let sounds = if play.is_mixed() { Sound::speech()? } else { Sound::tones()? };
    let wardrobe = Wardrobe { common, sounds: &sounds };
    let cast = match play {
        Play::Stream(stream) => stream.cast(&wardrobe),
        Play::Meeting(meeting) => meeting.cast(&wardrobe),
        Play::Audio(audio) => audio.cast(&wardrobe),
        Play::Idle(idle) => idle.cast(&wardrobe),
        Play::Churn(churn) => return churn::run(churn, common, progress, stop).await,
    };
    stage::play(cast, common, progress, stop).await
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    pub(crate) fn common() -> Common {
        Common {
            server: Uri::from_static("http://127.0.0.1:8080"),
            reach: Reach::Loopback,
            entrance: Entrance::UserToken("token".to_owned()),
            window: Duration::from_secs(20),
            server_pid: None,
            sample: 8,
            joining: 8,
            layers: 1,
            max_loss_percent: 0.5,
            floor: None,
            garbage: None,
        }
    }

    pub(crate) fn cast(make: impl Fn(&Wardrobe<'_>) -> Cast) -> Cast {
        let (common, sounds) = (common(), Sound::tones().unwrap());
        make(&Wardrobe { common: &common, sounds: &sounds })
    }

    fn scenario() -> Scenario {
        Scenario { common: common(), play: Play::Stream(stream::Stream::default()) }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(scenario().check(), Ok(()));
        let stream = stream::Stream::default();
        let with_stream = |stream| Scenario { play: Play::Stream(stream), ..scenario() };
        let with_common = |common| Scenario { common, ..scenario() };
        for (scenario, refused) in [
            (with_stream(stream::Stream { receivers: 0, ..stream.clone() }), Refused::Nobody),
            (with_stream(stream::Stream { publishers: 0, ..stream.clone() }), Refused::Nobody),
            (with_stream(stream::Stream { receivers: CLIENTS_MAX, ..stream.clone() }), Refused::Crowd(CLIENTS_MAX + 1)),
            (with_stream(stream::Stream { audio_slots: 0, video_slots: 0, ..stream.clone() }), Refused::Slots),
            (with_stream(stream::Stream { video_slots: u8::MAX, ..stream.clone() }), Refused::Slots),
            (with_stream(stream::Stream { bits_per_second: (600_000, 150_000), ..stream.clone() }), Refused::BitRate),
            (with_stream(stream::Stream { bits_per_second: (1, 1), ..stream }), Refused::BitRate),
            (with_common(Common { window: Duration::ZERO, ..common() }), Refused::Length),
            (with_common(Common { window: Duration::MAX, ..common() }), Refused::Length),
            (with_common(Common { max_loss_percent: f64::NAN, ..common() }), Refused::Loss),
            (with_common(Common { joining: 0, ..common() }), Refused::Joining),
            (with_common(Common { layers: 4, ..common() }), Refused::Layers),
            (with_common(Common { garbage: Some(0), ..common() }), Refused::Garbage),
        ] {
            assert_eq!(scenario.check(), Err(refused));
        }
    }

    #[test]
    fn a_join_link_elsewhere_or_for_many_meetings_is_refused() {
        let elsewhere = Entrance::JoinUrl("http://192.0.2.1/join/x".to_owned());
        let refused = Scenario { common: Common { entrance: elsewhere, ..common() }, ..scenario() }.check();
        assert!(matches!(refused, Err(Refused::Target(TargetError::Remote(_)))), "{refused:?}");
        let here = Entrance::JoinUrl("http://127.0.0.1/join/x".to_owned());
        let play = Play::Meeting(meeting::Meeting { meetings: 2, ..meeting::Meeting::default() });
        let refused = Scenario { common: Common { entrance: here, ..common() }, play }.check();
        assert_eq!(refused, Err(Refused::OneMeeting(2)));
    }

    #[test]
    fn the_sample_is_spread_and_has_the_size_that_was_asked_for() {
        let (common, sounds) = (common(), Vec::new());
        let wardrobe = Wardrobe { common: &common, sounds: &sounds };
        for all in [1, 7, 8, 9, 200, 1_000] {
            let opened: Vec<usize> = (0..all).filter(|place| wardrobe.depth(*place, all) == Depth::Opened).collect();
            assert_eq!(opened.len(), all.min(8), "{opened:?}");
            assert!(opened.first() == Some(&0) && opened.last().unwrap() * 2 >= all - 1, "{opened:?}");
        }
    }

    #[test]
    fn bit_rates_are_spread_from_the_least_to_the_most() {
        let rates: Vec<u32> = (0..4).map(|place| spread_bit_rate((150_000, 600_000), place, 4)).collect();
        assert_eq!(rates, [150_000, 300_000, 450_000, 600_000]);
        assert_eq!(spread_bit_rate((300_000, 300_000), 0, 1), 300_000);
    }
}
