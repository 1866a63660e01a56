//! A run of whole peer connections: few clients, but another author's. WHIP publishers, WHEP receivers.
//!
//! ```text
//! meeting -> publishers, one by one -> receivers, a few at a time -> everybody has a picture
//!   -> measured window -> publishers fall silent -> last packets arrive -> all leave -> Report
//! ```
//!
//! Ctrl-C (a cancelled [`CancellationToken`]) shortens the window; everybody still leaves and the report is made.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use hyper::Uri;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::join::{Door, JoinError, Meeting};
use crate::client::webrtc::direct;
use crate::client::webrtc::peer::PeerError;
use crate::client::webrtc::publisher::Publisher;
use crate::client::webrtc::receiver::Receiver;
use crate::client::{Epoch, Kind};
use crate::process::{ProcessError, Usage};
use crate::report::peers::{ClientsAlone, Costs, PublisherReport, Received, Report, Setup, Window};
use crate::target::{Reach, Target, TargetError};

use super::Entrance;
use super::stage::local_address;

/// Clients in one run. Each is a whole peer connection of the `webrtc` crate with a socket and a task of its own, whose
/// cost for each packet is many times the server's: beyond this one would measure the clients.
pub const CLIENTS_MAX: u16 = 50;
/// Slots of a kind in one receiver.
pub const SLOTS_MAX: u8 = 16;
/// The longest window.
pub const SECONDS_MAX: u32 = 3_600;
/// The highest video bit rate.
pub const BITS_PER_SECOND_MAX: u32 = 10_000_000;
/// The lowest at which a frame is more than its headers.
pub const BITS_PER_SECOND_MIN: u32 = 20_000;

/// How long the clients alone are measured.
const CALIBRATION: Duration = Duration::from_secs(5);
/// Receivers that join at the same time.
const JOINING: usize = 4;
/// How long everybody may wait for the first packet before the window begins without it.
const WARM_UP: Duration = Duration::from_secs(10);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// What retransmissions get to fill the last gaps.
const DRAIN: Duration = Duration::from_millis(500);

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The server's address.
    pub server: Uri,
    /// How far load may go.
    pub reach: Reach,
    /// How to get in.
    pub entrance: Entrance,
    /// Who comes.
    pub publishers: u16,
    /// Who watches.
    pub receivers: u16,
    /// Receive lines of each receiver.
    pub audio_slots: u8,
    /// Receive lines of each receiver.
    pub video_slots: u8,
    /// Of each publisher's camera.
    pub video_bits_per_second: u32,
    /// Length of the measured window.
    pub window: Duration,
    /// The server's process, if its costs are wanted.
    pub server_pid: Option<u32>,
    /// Measure first, without the server, what the clients themselves delay.
    pub calibrate: bool,
    /// Loss of a receiver, after retransmissions, at which the run fails.
    pub max_loss_percent: f64,
}

/// Why a scenario makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// Nobody to measure.
    #[error("a run needs at least one publisher and one receiver")]
    Nobody,
    /// Too many for this stack.
    #[error(
        "{0} clients are too many for one process: at most {CLIENTS_MAX}, since beyond that it measures its own clients. \
         Start several processes on several machines."
    )]
    Crowd(u32),
    /// Nothing to receive, or too much.
    #[error("a receiver has 1 to {SLOTS_MAX} slots of a kind, and at least one in all")]
    Slots,
    /// Out of range.
    #[error("video runs at {BITS_PER_SECOND_MIN} to {BITS_PER_SECOND_MAX} bit/s")]
    BitRate,
    /// Out of range.
    #[error("a run is measured for 1 to {SECONDS_MAX} seconds")]
    Length,
    /// Out of range.
    #[error("--max-loss is a percentage from 0 to 100")]
    Loss,
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
    /// Nobody publishes, so that there is nothing to measure.
    #[error("publisher {0} did not get in: {1}")]
    Publisher(u16, PeerError),
    /// The server's name has no address any more.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The clients alone.
    #[error("the clients could not be measured without the server: {0}")]
    Calibration(PeerError),
    /// No threads.
    #[error("the runtime could not be started: {0}")]
    Runtime(std::io::Error),
    /// Before anything was measured.
    #[error("stopped before the measurement began")]
    Stopped,
}

/// Everybody who is in the meeting.
#[derive(Default)]
struct Cast {
    publishers: Vec<Publisher>,
    receivers: Vec<Receiver>,
    problems: Vec<String>,
}

impl Scenario {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// With the reason.
    pub fn check(&self) -> Result<(), Refused> {
        let clients = u32::from(self.publishers) + u32::from(self.receivers);
        if self.publishers == 0 || self.receivers == 0 {
            return Err(Refused::Nobody);
        }
        if clients > CLIENTS_MAX.into() {
            return Err(Refused::Crowd(clients));
        }
        if self.audio_slots.max(self.video_slots) > SLOTS_MAX || self.audio_slots + self.video_slots == 0 {
            return Err(Refused::Slots);
        }
        if !(BITS_PER_SECOND_MIN..=BITS_PER_SECOND_MAX).contains(&self.video_bits_per_second) {
            return Err(Refused::BitRate);
        }
        if !(1..=SECONDS_MAX.into()).contains(&self.window.as_secs()) {
            return Err(Refused::Length);
        }
        if !(0.0..=100.0).contains(&self.max_loss_percent) {
            return Err(Refused::Loss);
        }
        Target::of(&self.server, self.reach)?;
        if let Entrance::JoinUrl(url) = &self.entrance {
            Target::of(&crate::target::parse(url)?, self.reach)?;
        }
        Ok(())
    }

    fn setup(&self) -> Setup {
        Setup {
            publishers: self.publishers,
            receivers: self.receivers,
            audio_slots: self.audio_slots,
            video_slots: self.video_slots,
            video_bits_per_second: self.video_bits_per_second,
        }
    }

    fn usage(&self) -> Result<Option<Usage>, ProcessError> {
        self.server_pid.map(Usage::of).transpose()
    }
}

/// Makes the run. `progress` gets a line at each step; cancelling `stop` ends it early.
///
/// # Errors
/// When nothing could be measured; whoever came has left again.
pub async fn run(scenario: &Scenario, progress: &dyn Fn(&str), stop: &CancellationToken) -> Result<Report, RunError> {
    scenario.check()?;
    let local = local_address(Target::of(&scenario.server, scenario.reach)?.resolve().await?);
    let epoch = Epoch::begin();
    let clients_alone = if scenario.calibrate {
        progress(&format!("measuring one client straight to another for {} s", CALIBRATION.as_secs()));
        let streams = direct::measure(local, scenario.video_bits_per_second, CALIBRATION, epoch).await;
        Some(ClientsAlone::of(&streams.map_err(RunError::Calibration)?))
    } else {
        None
    };
    let before = scenario.usage()?;
    let door = Door::at(scenario.server.clone(), scenario.reach)?;
    let meeting = match &scenario.entrance {
        Entrance::UserToken(token) => door.create_meeting(token).await?,
        Entrance::JoinUrl(url) => Meeting::of_link(url.clone()),
    };
    let mut cast = Cast::default();
    let measured = measure(scenario, &door, &meeting, local, epoch, &mut cast, before, progress, stop).await;
    let Cast { publishers, receivers, mut problems } = cast;

    for publisher in &publishers {
        publisher.sources.fall_silent();
    }
    let end = epoch.micros();
    sleep(DRAIN).await;
    progress("leaving");
    let published = publishers.iter().map(PublisherReport::of).collect();
    let mut received = Vec::new();
    for receiver in receivers {
        let number = receiver.number;
        let (findings, left) = receiver.leave(end).await;
        received.push(findings);
        note(&mut problems, &format!("receiver {number} could not leave"), left);
    }
    for publisher in publishers {
        let number = publisher.number;
        note(&mut problems, &format!("publisher {number} could not leave"), publisher.leave().await);
    }
    if let Entrance::UserToken(token) = &scenario.entrance {
        note(&mut problems, "the meeting could not be deleted", door.delete_meeting(&meeting, token).await);
    }
    let (window, costs) = measured?;
    received.sort_by_key(|receiver: &Received| receiver.number);
    let report =
        Report::new(scenario.setup(), window, published, &received, costs, scenario.max_loss_percent, problems);
    Ok(Report { clients_alone, ..report })
}

#[allow(
    clippy::too_many_arguments,
    reason = "the middle of one function, split off so that everybody leaves however it ends"
)]
async fn measure(
    scenario: &Scenario,
    door: &Door,
    meeting: &Meeting,
    local: IpAddr,
    epoch: Epoch,
    cast: &mut Cast,
    before: Option<Usage>,
    progress: &dyn Fn(&str),
    stop: &CancellationToken,
) -> Result<(Window, Option<Costs>), RunError> {
    for number in 0..scenario.publishers {
        if stop.is_cancelled() {
            return Err(RunError::Stopped);
        }
        let publisher = Publisher::start(number, door, meeting, local, scenario.video_bits_per_second, epoch).await;
        cast.publishers.push(publisher.map_err(|error| RunError::Publisher(number, error))?);
    }
    progress(&format!("publishers that send: {}", cast.publishers.len()));
    let slots = [(Kind::Audio, scenario.audio_slots), (Kind::Video, scenario.video_slots)];
    let joining = stream::iter(0..scenario.receivers)
        .take_until(stop.cancelled())
        .map(|number| async move { (number, Receiver::start(number, door, meeting, local, &slots, epoch).await) })
        .buffer_unordered(JOINING);
    let mut joining = std::pin::pin!(joining);
    while let Some((number, receiver)) = joining.next().await {
        match receiver {
            Ok(receiver) => cast.receivers.push(receiver),
            Err(error) => cast.problems.push(format!("receiver {number} did not get in: {error}")),
        }
    }
    progress(&format!("receivers that watch: {}", cast.receivers.len()));
    tokio::select! {
        () = everybody_sees(scenario, &cast.receivers) => {}
        () = stop.cancelled() => return Err(RunError::Stopped),
    }

    progress(&format!("measuring for {} s", scenario.window.as_secs()));
    let packets = |cast: &Cast| cast.receivers.iter().map(Receiver::packets).sum::<u64>();
    let (begin, began, packets_before) = (scenario.usage()?, Instant::now(), packets(cast));
    tokio::select! {
        () = sleep(scenario.window) => {}
        () = stop.cancelled() => progress("stopped early"),
    }
    let (length, packets_after) = (began.elapsed(), packets(cast));
    let end = scenario.usage()?;
    let costs = before.zip(begin).zip(end).map(|((before, begin), end)| Costs { before, begin, end });
    Ok((Window { length, packets: packets_after - packets_before }, costs))
}

/// Waits until every receiver gets of each kind what there is to get, within reason.
async fn everybody_sees(scenario: &Scenario, receivers: &[Receiver]) {
    let begun = |receiver: &Receiver| {
        [(Kind::Audio, scenario.audio_slots), (Kind::Video, scenario.video_slots)]
            .into_iter()
            .all(|(kind, slots)| slots == 0 || receiver.streams(kind) > 0)
    };
    let all = async {
        let mut look = interval(LOOK);
        while !receivers.iter().all(begun) {
            look.tick().await;
        }
    };
    // Who got nothing by then is told in the report.
    let _ = timeout(WARM_UP, all).await;
}

fn note<E: std::fmt::Display>(problems: &mut Vec<String>, what: &str, result: Result<(), E>) {
    if let Err(error) = result {
        problems.push(format!("{what}: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        Scenario {
            server: Uri::from_static("http://127.0.0.1:8080"),
            reach: Reach::Loopback,
            entrance: Entrance::UserToken("token".to_owned()),
            publishers: 1,
            receivers: 1,
            audio_slots: 1,
            video_slots: 1,
            video_bits_per_second: 600_000,
            window: Duration::from_secs(20),
            server_pid: None,
            calibrate: false,
            max_loss_percent: 0.5,
        }
    }

    #[test]
    fn a_usual_scenario_passes() {
        assert_eq!(scenario().check(), Ok(()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let usual = scenario();
        for (scenario, refused) in [
            (Scenario { publishers: 0, ..usual.clone() }, Refused::Nobody),
            (Scenario { receivers: 0, ..usual.clone() }, Refused::Nobody),
            (Scenario { receivers: CLIENTS_MAX, ..usual.clone() }, Refused::Crowd(51)),
            (Scenario { publishers: u16::MAX, receivers: u16::MAX, ..usual.clone() }, Refused::Crowd(131_070)),
            (Scenario { audio_slots: 0, video_slots: 0, ..usual.clone() }, Refused::Slots),
            (Scenario { video_slots: SLOTS_MAX + 1, ..usual.clone() }, Refused::Slots),
            (Scenario { audio_slots: u8::MAX, video_slots: u8::MAX, ..usual.clone() }, Refused::Slots),
            (Scenario { video_bits_per_second: 1, ..usual.clone() }, Refused::BitRate),
            (Scenario { window: Duration::ZERO, ..usual.clone() }, Refused::Length),
            (Scenario { window: Duration::MAX, ..usual.clone() }, Refused::Length),
            (Scenario { max_loss_percent: f64::NAN, ..usual }, Refused::Loss),
        ] {
            assert_eq!(scenario.check(), Err(refused));
        }
    }

    #[test]
    fn a_join_link_elsewhere_is_refused_although_the_server_is_here() {
        let entrance = Entrance::JoinUrl("http://192.0.2.1/join/x".to_owned());
        let refused = Scenario { entrance, ..scenario() }.check();
        assert!(matches!(refused, Err(Refused::Target(TargetError::Remote(_)))), "{refused:?}");
    }
}
