//! Joins and leaves at a rate: what getting in costs, and whether it always works. Nobody sends.
//!
//! There is no window: what counts is everything from the first join to the last leave.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::idle::muted;
use super::stage::Stage;
use super::{Common, Refused, RunError, Wardrobe, check_clients, check_slots};
use crate::client::lean::browser::{Browser, BrowserError, Gone};
use crate::client::lean::mailbox::ThreadGone;
use crate::progress::Progress;
use crate::report::findings::{Expected, Findings};
use crate::report::run::{Report, Setup};

/// People who come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Churn {
    /// A second.
    pub joins_per_second: u32,
    /// In all.
    pub joins: usize,
    /// How long each stays.
    pub stay: Duration,
    /// In one meeting at most.
    pub meeting_size: usize,
    /// Receive lines of each.
    pub audio_slots: u8,
    /// As above.
    pub video_slots: u8,
}

impl Default for Churn {
    fn default() -> Self {
        Self {
            joins_per_second: 50,
            joins: 1_000,
            stay: Duration::from_secs(10),
            meeting_size: 10,
            audio_slots: 3,
            video_slots: 9,
        }
    }
}

/// The longest stay.
const STAY_MAX: Duration = Duration::from_secs(3_600);

/// What a client's task says.
enum News {
    Joined(usize, u32, Result<Browser, BrowserError>),
    Left(usize, Result<Gone, ThreadGone>),
}

impl Churn {
    pub(super) fn check(&self) -> Result<usize, Refused> {
        if self.joins == 0 || self.meeting_size == 0 {
            return Err(Refused::Nobody);
        }
        if !(1..=1_000).contains(&self.joins_per_second) {
            return Err(Refused::Joining);
        }
        if self.stay > STAY_MAX {
            return Err(Refused::Length);
        }
        check_clients(self.joins)?;
        check_slots(self.audio_slots, self.video_slots)?;
        Ok(self.joins.div_ceil(self.meeting_size))
    }
}

/// Lets people come and go.
pub(super) async fn run(
    churn: &Churn,
    common: &Common,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Report, RunError> {
    let meetings = churn.joins.div_ceil(churn.meeting_size);
    let mut stage = Stage::set(common, meetings, progress, stop).await?;
    let begin = stage.edge().await?;
    let (began, mut gone, mut drops) = (Instant::now(), Vec::new(), 0);
    let mut tasks = JoinSet::new();
    let mut clock = interval(Duration::from_secs(1) / churn.joins_per_second);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut asked, mut joined_at) = (0, began);
    progress.step(&format!("{} joins, {} a second", churn.joins, churn.joins_per_second));
    while asked < churn.joins || !tasks.is_empty() {
        let coming = asked < churn.joins && !stop.is_cancelled();
        if !coming && tasks.is_empty() {
            break;
        }
        tokio::select! {
            _ = clock.tick(), if coming => {
                spawn_join(&mut tasks, &stage, churn, asked);
                asked += 1;
            }
            Some(news) = tasks.join_next() => match news {
                Ok(News::Joined(meeting, number, result)) => {
                    joined_at = Instant::now();
                    if let Some(browser) = stage.admit(meeting, number, result) {
                        spawn_leave(&mut tasks, &stage, churn, meeting, browser);
                    }
                }
                Ok(News::Left(meeting, result)) => {
                    stage.dismiss(meeting);
                    match result {
                        Ok(one) => gone.push(one),
                        Err(error) => stage.problems.push(format!("a client could not leave: {error}")),
                    }
                }
                Err(_) => drops += 1,
            },
        }
        progress.bar("joins", asked, churn.joins, &format!("{} left {}", gone.len(), stage.failures()));
    }
    if drops > 0 {
        stage.problems.push(format!("{drops} tasks of clients ended early; see what they printed"));
    }
    let window = began.elapsed();
    let end = stage.edge().await?;
    stage.joining.length = joined_at.duration_since(began);
    stage.joining.cpu = begin.server.zip(end.server).map(|(begin, end)| end.cpu.saturating_sub(begin.cpu));
    (stage.joining.messages, stage.joining.bytes) = stage.world.gossip.look();
    stage.strike().await;
    gone.sort_by_key(|gone| gone.number);
    Ok(Report::of(Findings {
        scenario: "churn",
        setup: Setup {
            meetings,
            participants: churn.joins,
            audio_slots: churn.audio_slots,
            video_slots: churn.video_slots,
            ..Setup::default()
        },
        expected: Expected::default(),
        max_loss_percent: common.max_loss_percent,
        joining: std::mem::take(&mut stage.joining),
        window,
        begin,
        end,
        before: stage.before,
        meetings: std::collections::HashMap::new(),
        // All have left: what memory stays is nobody's.
        present: 0,
        alone: stage.take_alone(),
        gone,
        // Their sockets are closed by now.
        own_drops: None,
        problems: std::mem::take(&mut stage.problems),
    }))
}

fn spawn_join(tasks: &mut JoinSet<News>, stage: &Stage<'_>, churn: &Churn, number: usize) {
    let place = number / churn.meeting_size;
    let Some(meeting) = stage.meetings.get(place).cloned() else { return };
    let wardrobe = Wardrobe { common: stage.common, sounds: &[] };
    let (world, part) = (stage.world.clone(), muted(&wardrobe, number, churn.audio_slots, churn.video_slots));
    tasks.spawn(async move { News::Joined(place, part.number, Browser::join(&world, &meeting, &part).await) });
}

fn spawn_leave(tasks: &mut JoinSet<News>, stage: &Stage<'_>, churn: &Churn, meeting: usize, browser: Browser) {
    let (stay, stop, epoch) = (churn.stay, stage.stop.clone(), stage.epoch());
    tasks.spawn(async move {
        tokio::select! {
            () = sleep(stay) => {}
            () = stop.cancelled() => {}
        }
        News::Left(meeting, browser.leave(epoch.micros()).await)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let usual = Churn::default();
        assert_eq!(usual.check(), Ok(100));
        for (churn, refused) in [
            (Churn { joins: 0, ..usual.clone() }, Refused::Nobody),
            (Churn { meeting_size: 0, ..usual.clone() }, Refused::Nobody),
            (Churn { joins_per_second: 0, ..usual.clone() }, Refused::Joining),
            (Churn { stay: Duration::MAX, ..usual.clone() }, Refused::Length),
            (Churn { joins: 1_000_000, ..usual }, Refused::Crowd(1_000_000)),
        ] {
            assert_eq!(churn.check(), Err(refused));
        }
    }
}
