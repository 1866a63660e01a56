//! Makes a cast happen: meetings, joins, window, farewell, report.
//!
//! ```text
//! meetings -> the first, one by one -> the others, a few at a time -> everybody has media
//!   -> measured window -> publishers fall silent -> last packets arrive -> all leave -> Report
//! ```

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Cast, Common, Entrance, RunError, beside, garbage};
use crate::client::join::{Door, Meeting};
use crate::client::lean::browser::{Browser, BrowserError, Gone, Part, World};
use crate::client::lean::live::Gossip;
use crate::client::lean::media::Media;
use crate::client::{Epoch, Micros};
use crate::process::{ProcessError, Usage, raise_open_files, udp_drops};
use crate::progress::Progress;
use crate::report::findings::{Edge, Expected, Findings, Joining};
use crate::report::run::{Garbage, Report, Setup};
use crate::target::Target;

/// How long everybody may wait for the first packet before the window begins without it.
const WARM_UP: Duration = Duration::from_secs(10);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// What joining leaves behind: key frames, feedback, logs. The window begins after that.
const SETTLE: Duration = Duration::from_secs(1);
/// What retransmissions get to fill the last gaps.
const DRAIN: Duration = Duration::from_millis(500);
/// Clients that leave at the same time.
const LEAVING: usize = 64;

/// Everything that a run stands on.
pub(super) struct Stage<'a> {
    pub(super) common: &'a Common,
    pub(super) progress: &'a Progress,
    pub(super) stop: &'a CancellationToken,
    pub(super) world: World,
    pub(super) meetings: Vec<Meeting>,
    pub(super) joining: Joining,
    pub(super) problems: Vec<String>,
    /// The server before the first client.
    pub(super) before: Option<Usage>,
    /// Clients that found nobody when they came.
    alone: Vec<u32>,
    /// In each meeting.
    present: Vec<u64>,
    server_port: Option<u16>,
    server: SocketAddr,
    garbage: Option<Garbage>,
    /// Last, so that its threads end after everything else.
    media: Media,
}

/// Plays a cast.
pub(super) async fn play(
    cast: Cast,
    common: &Common,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Report, RunError> {
    let mut stage = Stage::set(common, cast.meetings, progress, stop).await?;
    let mut browsers = Vec::new();
    let measured = measure(&mut stage, &cast, &mut browsers).await;
    let own_drops = stage.own_drops(&browsers);
    let end = stage.world.media.silence()?;
    sleep(DRAIN).await;
    let present = browsers.len();
    let gone = stage.leave(browsers, end).await;
    stage.strike().await;
    let (window, begin, end) = measured?;
    let publishers = cast.parts.iter().filter(|(_, part)| part.publishes.is_some()).count();
    let slots = |slots: fn(&Part) -> u8| cast.parts.iter().map(|(_, part)| slots(part)).max().unwrap_or(0);
    let opened = gone.iter().filter(|gone| is_opened(gone)).count();
    let setup = Setup {
        meetings: cast.meetings,
        participants: cast.parts.len(),
        publishers,
        audio_slots: slots(|part| part.audio_slots),
        video_slots: slots(|part| part.video_slots),
        video_bits_per_second: cast.bits_per_second,
        opened,
        mix: cast.parts.iter().any(|(_, part)| part.mix),
    };
    let mut report = Report::of(Findings {
        scenario: cast.scenario,
        setup,
        expected: cast.expected,
        max_loss_percent: common.max_loss_percent,
        joining: std::mem::take(&mut stage.joining),
        window,
        begin,
        end,
        before: stage.before,
        present,
        meetings: cast.parts.iter().map(|(meeting, part)| (part.number, *meeting)).collect(),
        alone: std::mem::take(&mut stage.alone),
        gone,
        own_drops,
        problems: std::mem::take(&mut stage.problems),
    });
    report.garbage = stage.garbage.take();
    if let Some(threads) = common.floor {
        progress.step("measuring the floor of kernel and cipher for the same traffic");
        match tokio::task::block_in_place(|| beside::measure(&report, threads)) {
            Ok(floor) => report.floor = Some(floor),
            Err(error) => report.problems.push(error.to_string()),
        }
    }
    Ok(report)
}

fn is_opened(gone: &Gone) -> bool {
    use crate::client::lean::inbound::Depth;
    gone.ended.receiving.as_ref().is_some_and(|receiving| receiving.depth == Depth::Opened)
}

/// Lets everybody in and measures; whoever came stands in `browsers` however it ends.
async fn measure(
    stage: &mut Stage<'_>,
    cast: &Cast,
    browsers: &mut Vec<Browser>,
) -> Result<(Duration, Edge, Edge), RunError> {
    stage.let_in(cast, browsers).await?;
    stage.warm_up(cast.expected).await?;
    let garbage = stage.litter();
    stage.world.media.begin_window()?;
    let begin = stage.edge().await?;
    let began = Instant::now();
    let seconds = stage.common.window.as_secs() as usize;
    stage.progress.step(&format!("measuring for {seconds} s"));
    while began.elapsed() < stage.common.window && !stage.stop.is_cancelled() {
        let left = stage.common.window.saturating_sub(began.elapsed());
        tokio::select! {
            () = sleep(left.min(Duration::from_secs(1))) => {}
            () = stage.stop.cancelled() => stage.progress.step("stopped early"),
        }
        stage.progress.bar("measuring", began.elapsed().as_secs() as usize, seconds, "s");
    }
    let window = began.elapsed();
    let end = stage.edge().await?;
    stage.garbage = garbage.map(garbage::Sender::finish);
    Ok((window, begin, end))
}

impl<'a> Stage<'a> {
    /// Makes the meetings and starts the media threads.
    pub(super) async fn set(
        common: &'a Common,
        meetings: usize,
        progress: &'a Progress,
        stop: &'a CancellationToken,
    ) -> Result<Self, RunError> {
        raise_open_files();
        let server = Target::of(&common.server, common.reach)?.resolve().await?;
        let before = common.server_pid.map(Usage::of).transpose()?;
        let media = Media::start(Epoch::begin(), server)?;
        let door = Door::at(common.server.clone(), common.reach)?;
        let world = World {
            door,
            media: media.handle().clone(),
            gossip: Arc::new(Gossip::default()),
            local: local_address(server),
        };
        let mut stage = Self {
            common,
            progress,
            stop,
            world,
            meetings: Vec::new(),
            joining: Joining::default(),
            problems: Vec::new(),
            before,
            alone: Vec::new(),
            present: vec![0; meetings],
            server_port: None,
            server,
            garbage: None,
            media,
        };
        if let Err(error) = stage.make_meetings(meetings).await {
            stage.strike().await;
            return Err(error);
        }
        Ok(stage)
    }

    async fn make_meetings(&mut self, count: usize) -> Result<(), RunError> {
        match &self.common.entrance {
            Entrance::JoinUrl(url) => self.meetings.push(Meeting::of_link(url.clone())),
            Entrance::UserToken(token) => {
                for number in 0..count {
                    self.meetings.push(self.world.door.create_meeting(token).await?);
                    self.progress.bar("meetings", number + 1, count, "");
                }
            }
        }
        Ok(())
    }

    /// Lets the cast in, in its order.
    async fn let_in(&mut self, cast: &Cast, browsers: &mut Vec<Browser>) -> Result<(), RunError> {
        let began = Instant::now();
        let cpu_before = self.server_usage()?;
        let (first, others) = cast.parts.split_at(cast.first.min(cast.parts.len()));
        self.let_in_some(first, 1, cast.parts.len(), browsers).await?;
        if !first.is_empty() && browsers.is_empty() {
            let reasons: Vec<String> = self.joining.reasons.keys().cloned().collect();
            return Err(RunError::NobodyIn(reasons.join("; ")));
        }
        self.let_in_some(others, self.common.joining, cast.parts.len(), browsers).await?;
        self.joining.length = began.elapsed();
        self.joining.cpu =
            cpu_before.zip(self.server_usage()?).map(|(before, after)| after.cpu.saturating_sub(before.cpu));
        (self.joining.messages, self.joining.bytes) = self.world.gossip.look();
        self.progress.step(&format!(
            "{} of {} clients are in, after {:.1} s",
            browsers.len(),
            cast.parts.len(),
            self.joining.length.as_secs_f64()
        ));
        Ok(())
    }

    async fn let_in_some(
        &mut self,
        parts: &[(usize, Part)],
        at_a_time: usize,
        all: usize,
        browsers: &mut Vec<Browser>,
    ) -> Result<(), RunError> {
        let (world, meetings) = (self.world.clone(), std::mem::take(&mut self.meetings));
        {
            let joins = stream::iter(parts).take_until(self.stop.cancelled()).map(|(place, part)| {
                let (world, meeting) = (&world, meetings.get(*place));
                async move {
                    match meeting {
                        Some(meeting) => Some((*place, part.number, Browser::join(world, meeting, part).await)),
                        // Casts name meetings that were made.
                        None => None,
                    }
                }
            });
            let mut joins = std::pin::pin!(joins.buffer_unordered(at_a_time));
            while let Some(joined) = joins.next().await {
                if let Some((place, number, result)) = joined {
                    browsers.extend(self.admit(place, number, result));
                }
                self.progress.bar("joining", browsers.len(), all, &self.failures());
            }
        }
        self.meetings = meetings;
        if self.stop.is_cancelled() { Err(RunError::Stopped) } else { Ok(()) }
    }

    /// Notes how a join went.
    pub(super) fn admit(
        &mut self,
        meeting: usize,
        number: u32,
        result: Result<Browser, BrowserError>,
    ) -> Option<Browser> {
        match result {
            Ok(browser) => {
                self.joining.ok += 1;
                self.server_port = Some(browser.server_port);
                if let Some(present) = self.present.get_mut(meeting) {
                    self.joining.others += *present;
                    if *present == 0 {
                        self.alone.push(number);
                    }
                    *present += 1;
                }
                Some(browser)
            }
            Err(error) => {
                *self.joining.reasons.entry(error.to_string()).or_default() += 1;
                None
            }
        }
    }

    /// Notes that somebody left.
    pub(super) fn dismiss(&mut self, meeting: usize) {
        if let Some(present) = self.present.get_mut(meeting) {
            *present = present.saturating_sub(1);
        }
    }

    /// How many did not get in, for the moving line.
    pub(super) fn failures(&self) -> String {
        let failed: u64 = self.joining.reasons.values().sum();
        if failed == 0 { String::new() } else { format!("({failed} failed)") }
    }

    /// Begins to send garbage, if that was asked for.
    fn litter(&mut self) -> Option<garbage::Sender> {
        let rate = self.common.garbage?;
        let server = SocketAddr::new(self.server.ip(), self.server_port?);
        match garbage::Sender::start(self.world.local, server, rate) {
            Ok(sender) => Some(sender),
            Err(error) => {
                self.problems.push(format!("no garbage could be sent: {error}"));
                None
            }
        }
    }

    /// Waits until everybody gets of each kind what is expected, within reason.
    async fn warm_up(&self, expected: Expected) -> Result<(), RunError> {
        let begun = Instant::now();
        loop {
            let look = self.world.media.look().await?;
            let audio = if expected.audio { look.without_audio } else { 0 };
            let video = if expected.video { look.without_video } else { 0 };
            // Who got nothing by then is told in the report.
            if audio + video == 0 || begun.elapsed() > WARM_UP {
                break;
            }
            self.progress.bar("waiting for media", begun.elapsed().as_secs() as usize, WARM_UP.as_secs() as usize, "s");
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.stop.cancelled() => return Err(RunError::Stopped),
            }
        }
        sleep(SETTLE).await;
        Ok(())
    }

    pub(super) fn server_usage(&self) -> Result<Option<Usage>, ProcessError> {
        self.common.server_pid.map(Usage::of).transpose()
    }

    /// Everything that counts in the window, as it stands now.
    pub(super) async fn edge(&self) -> Result<Edge, RunError> {
        let metrics = self.world.door.metrics().await;
        Ok(Edge {
            totals: self.world.media.totals(),
            server: self.server_usage()?,
            metrics,
            own_cpu: Usage::of(std::process::id())?.cpu,
            server_drops: self.server_port.and_then(|port| udp_drops(&HashSet::from([port]))),
        })
    }

    /// Datagrams that the kernel dropped at our sockets.
    pub(super) fn own_drops(&self, browsers: &[Browser]) -> Option<u64> {
        udp_drops(&browsers.iter().map(|browser| browser.port).collect())
    }

    /// Everybody leaves.
    async fn leave(&mut self, browsers: Vec<Browser>, end: Micros) -> Vec<Gone> {
        self.progress.step("leaving");
        let mut leaving = stream::iter(browsers).map(|browser| browser.leave(end)).buffer_unordered(LEAVING);
        let mut all = Vec::new();
        while let Some(gone) = leaving.next().await {
            match gone {
                Ok(gone) => all.push(gone),
                Err(error) => self.problems.push(format!("a client could not leave: {error}")),
            }
        }
        all.sort_by_key(|gone| gone.number);
        all
    }

    /// Deletes the meetings that we made.
    pub(super) async fn strike(&mut self) {
        let Entrance::UserToken(token) = &self.common.entrance else { return };
        for meeting in std::mem::take(&mut self.meetings) {
            if let Err(error) = self.world.door.delete_meeting(&meeting, token).await {
                self.problems.push(format!("a meeting could not be deleted: {error}"));
            }
        }
    }

    /// What was found alone, for scenarios that report themselves.
    pub(super) fn take_alone(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.alone)
    }

    /// The media threads' handle lives as long as they do.
    pub(super) fn epoch(&self) -> Epoch {
        self.media.handle().epoch
    }
}

/// The address to send media from: on loopback our own loopback, which also keeps media on this machine, whatever an
/// answer names; elsewhere all.
pub(super) fn local_address(server: SocketAddr) -> IpAddr {
    match server.ip() {
        IpAddr::V6(address) if address.is_loopback() => address.into(),
        IpAddr::V4(address) if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
