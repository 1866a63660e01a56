//! Wishes to hear a mix on their way from the engine to the mixers, and what the mixers tell of the mixes, for call health.
//!
//! As in [`super::mailbox`], nobody waits: only the newest wish of an endpoint and the newest report of a mix count, so what is kept is
//! bounded by the endpoints and mixes that there are. Beginning a mix gives orders to the engine, which its own threads must not do.
//!
//! ```text
//! engine thread --post--> {newest wish of each endpoint} --> forward --> Mixers::wish
//! mixer thread --report--> {newest report of each mix} --> mix_of, mixed --> mailbox: health of an endpoint
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::id::{EndpointId, MeetingId, ParticipantId, PublicationId};
use mixer::runner::{MixReport, Mixers};
use signaling::ports::{MixHealth, MixedHealth};
use tokio::sync::Notify;

/// What an endpoint wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MixWish {
    /// Where it is.
    pub(super) meeting: MeetingId,
    /// Whose it is.
    pub(super) participant: ParticipantId,
    /// A mix, or none any more.
    pub(super) wanted: bool,
}

/// Between the engine's threads and the mixers'.
#[derive(Default)]
pub(super) struct MixDesk {
    papers: Mutex<Papers>,
    posted: Notify,
}

#[derive(Default)]
struct Papers {
    /// Wishes that no mixer knows of yet.
    unread: BTreeMap<EndpointId, MixWish>,
    /// Who hears a mix, or will.
    hearing: HashMap<EndpointId, MeetingId>,
    reports: HashMap<MeetingId, Report>,
    sources: HashMap<PublicationId, MixedHealth>,
}

struct Report {
    mix: MixHealth,
    sources: Vec<PublicationId>,
}

impl MixDesk {
    /// Notes a wish. Called on engine threads: a short lock, no waiting.
    pub(super) fn post(&self, endpoint: EndpointId, wish: MixWish) {
        let mut papers = self.papers();
        if wish.wanted {
            papers.hearing.insert(endpoint, wish.meeting);
        } else {
            papers.hearing.remove(&endpoint);
        }
        papers.unread.insert(endpoint, wish);
        self.posted.notify_one();
    }

    /// Hands wishes over until it is stopped.
    pub(super) async fn forward(self: Arc<Self>, mixers: Mixers) {
        loop {
            self.posted.notified().await;
            for (endpoint, wish) in self.take() {
                mixers.wish(wish.meeting, endpoint, wish.participant, wish.wanted);
            }
        }
    }

    /// Notes how a mix went, or that it has ended. Called on mixers' threads.
    pub(super) fn report(&self, meeting: MeetingId, report: Option<MixReport>) {
        let mut papers = self.papers();
        let papers = &mut *papers;
        for source in papers.reports.remove(&meeting).into_iter().flat_map(|before| before.sources) {
            papers.sources.remove(&source);
        }
        let Some(report) = report else { return };
        let short = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let mix = MixHealth {
            late: short(report.late_us / 1_000),
            skipped: short(report.skipped),
            encodes_saved: short(report.encodes_saved),
        };
        let sources = report.sources.iter().map(|source| source.publication).collect();
        papers.reports.insert(meeting, Report { mix, sources });
        papers.sources.extend(report.sources.into_iter().map(|source| {
            let mixed = MixedHealth {
                concealed_permille: source.concealed_permille,
                stretched_permille: source.stretched_permille,
            };
            (source.publication, mixed)
        }));
    }

    /// How the mix went that an endpoint hears.
    pub(super) fn mix_of(&self, endpoint: EndpointId) -> Option<MixHealth> {
        let papers = self.papers();
        papers.hearing.get(&endpoint).and_then(|meeting| papers.reports.get(meeting)).map(|report| report.mix)
    }

    /// How a publication went into its meeting's mix.
    pub(super) fn mixed(&self, publication: PublicationId) -> Option<MixedHealth> {
        self.papers().sources.get(&publication).copied()
    }

    fn take(&self) -> BTreeMap<EndpointId, MixWish> {
        std::mem::take(&mut self.papers().unread)
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use mixer::runner::SourceReport;

    use super::*;

    fn wish(wanted: bool) -> MixWish {
        MixWish { meeting: MeetingId(1), participant: ParticipantId(2), wanted }
    }

    #[test]
    fn of_an_endpoint_that_changes_its_mind_the_newest_wish_counts() {
        let desk = MixDesk::default();
        for turn in 0..100 {
            desk.post(EndpointId(7), wish(turn % 2 == 0));
        }
        desk.post(EndpointId(8), wish(true));
        assert_eq!(Vec::from_iter(desk.take()), [(EndpointId(7), wish(false)), (EndpointId(8), wish(true))]);
        assert!(desk.take().is_empty());
    }

    #[test]
    fn who_hears_a_mix_is_told_how_it_goes_and_who_is_heard_in_it_how_they_go_into_it() {
        let desk = MixDesk::default();
        let source = |publication, concealed_permille| SourceReport {
            publication: PublicationId(publication),
            concealed_permille,
            stretched_permille: 2,
        };
        let report = |sources| MixReport { late_us: 3_900, skipped: 1, encodes_saved: 90, sources };
        desk.post(EndpointId(7), wish(true));
        assert_eq!(desk.mix_of(EndpointId(7)), None, "nothing is known yet");
        desk.report(MeetingId(1), Some(report(vec![source(31, 5), source(32, 0)])));
        desk.report(MeetingId(1), Some(report(vec![source(31, 6)])));
        assert_eq!(desk.mix_of(EndpointId(7)), Some(MixHealth { late: 3, skipped: 1, encodes_saved: 90 }));
        assert_eq!(desk.mix_of(EndpointId(8)), None, "it hears the voices themselves");
        let mixed = MixedHealth { concealed_permille: 6, stretched_permille: 2 };
        assert_eq!(desk.mixed(PublicationId(31)), Some(mixed));
        assert_eq!(desk.mixed(PublicationId(32)), None, "it was not heard of late");
        desk.report(MeetingId(1), None);
        assert_eq!((desk.mix_of(EndpointId(7)), desk.mixed(PublicationId(31))), (None, None));
        assert!(desk.papers().sources.is_empty() && desk.papers().reports.is_empty());
        desk.post(EndpointId(7), wish(false));
        assert!(desk.papers().hearing.is_empty());
    }
}
