//! News from the engine, kept until signalling takes it.
//!
//! Engine threads must never wait for signalling, and signalling must not miss how things stand. Both hold because
//! every piece of news is a state and only the latest counts: what a slot shows, who speaks, whether a path lives.
//! So nothing queues. A newer state takes the place of the older one that nobody has read yet, and what is kept is
//! bounded by what exists: one entry a slot, meeting, camera and endpoint, all of which signalling itself asked for.
//!
//! ```text
//! engine thread --post--> {paths, slots, speakers, demands, health} --take--> forward --await--> signalling's bounded channel
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::Event;
use signaling::id::{MeetingId, ParticipantId};
use signaling::ports::{EndpointId, MediaEvent, MediaHealth, Shown};
use tokio::sync::{Notify, mpsc};

use super::mixes::MixDesk;

#[derive(Clone, Copy)]
enum Path {
    Connected,
    Lost,
}

/// States that changed and were not read yet.
#[derive(Default)]
struct Unread {
    paths: BTreeMap<u64, Path>,
    slots: BTreeMap<u64, BTreeMap<String, Option<Shown>>>,
    demands: BTreeMap<(u64, u32), u8>,
    speakers: BTreeMap<MeetingId, Option<ParticipantId>>,
    health: BTreeMap<u64, Box<MediaHealth>>,
}

/// Between the engine's threads and signalling's task.
pub(super) struct Mailbox {
    mixes: Arc<MixDesk>,
    unread: Mutex<Unread>,
    posted: Notify,
}

impl Mailbox {
    /// Empty. What is told of an endpoint's network is put together with what `mixes` knows.
    pub(super) fn new(mixes: Arc<MixDesk>) -> Self {
        Self { mixes, unread: Mutex::default(), posted: Notify::new() }
    }

    /// Notes a piece of news. Called on engine threads: a short lock, no waiting.
    pub(super) fn post(&self, event: Event) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).note(event, &self.mixes);
        self.posted.notify_one();
    }

    /// Hands everything unread over, again and again, until signalling is gone.
    pub(super) async fn forward(self: Arc<Self>, signalling: mpsc::Sender<MediaEvent>) {
        loop {
            self.posted.notified().await;
            for event in self.take() {
                if signalling.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    fn take(&self) -> Vec<MediaEvent> {
        std::mem::take(&mut *self.unread.lock().unwrap_or_else(PoisonError::into_inner)).into_events()
    }
}

impl Unread {
    fn note(&mut self, event: Event, mixes: &MixDesk) {
        match event {
            Event::Slots { endpoint, slots } => {
                let shown = self.slots.entry(endpoint.0).or_default();
                for (mid, source) in slots {
                    let source = source.map(|shown| Shown {
                        participant: shown.participant.map(|who| ParticipantId::from_u128(who.0)),
                        publication: shown.publication.0,
                    });
                    shown.insert(mid, source);
                }
            }
            Event::Speaker { meeting, participant } => {
                let participant = participant.map(|who| ParticipantId::from_u128(who.0));
                self.speakers.insert(MeetingId::from_u128(meeting.0), participant);
            }
            Event::Demand { endpoint, publication, highest } => {
                self.demands.insert((endpoint.0, publication.0), highest.0);
            }
            // Those go another way, to the mixers.
            Event::Mix { .. } => {}
            Event::Connected { endpoint } => {
                self.paths.insert(endpoint.0, Path::Connected);
            }
            Event::Health { endpoint, health } => {
                let mixed = |publication| mixes.mixed(publication);
                let health = super::health::health(*health, mixes.mix_of(endpoint), mixed);
                self.health.insert(endpoint.0, Box::new(health));
            }
            // The last word about an endpoint: what its slots showed matters to nobody any more.
            Event::Lost { endpoint } => {
                self.slots.remove(&endpoint.0);
                self.demands.retain(|(other, _), _| *other != endpoint.0);
                self.health.remove(&endpoint.0);
                self.paths.insert(endpoint.0, Path::Lost);
            }
        }
    }

    fn into_events(self) -> Vec<MediaEvent> {
        let paths = self.paths.into_iter().map(|(endpoint, path)| match path {
            Path::Connected => MediaEvent::Connected { endpoint: EndpointId(endpoint) },
            Path::Lost => MediaEvent::Lost { endpoint: EndpointId(endpoint) },
        });
        let slots = self.slots.into_iter().map(|(endpoint, slots)| MediaEvent::Slots {
            endpoint: EndpointId(endpoint),
            slots: slots.into_iter().collect(),
        });
        let speakers =
            self.speakers.into_iter().map(|(meeting, participant)| MediaEvent::Speaker { meeting, participant });
        let demands = self.demands.into_iter().map(|((endpoint, publication), highest)| MediaEvent::Demand {
            endpoint: EndpointId(endpoint),
            publication,
            highest,
        });
        let health = self
            .health
            .into_iter()
            .map(|(endpoint, health)| MediaEvent::Health { endpoint: EndpointId(endpoint), health });
        paths.chain(slots).chain(speakers).chain(demands).chain(health).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use engine::id as media;

    use super::*;

    fn slot(endpoint: u64, mid: &str, publication: u32) -> Event {
        let source = Some(engine::event::Shown {
            participant: Some(media::ParticipantId(7)),
            publication: media::PublicationId(publication),
        });
        Event::Slots { endpoint: media::EndpointId(endpoint), slots: vec![(mid.to_owned(), source)] }
    }

    #[test]
    fn a_slow_reader_gets_the_latest_state_of_every_slot() {
        let mailbox = Mailbox::new(Arc::default());
        for publication in 0..1000 {
            mailbox.post(slot(1, "3", publication));
        }
        mailbox.post(slot(1, "4", 5));
        mailbox.post(slot(2, "3", 6));
        let person = ParticipantId::from_u128(7);
        let shown = |mid: &str, publication| (mid.to_owned(), Some(Shown { participant: Some(person), publication }));
        assert_eq!(
            mailbox.take(),
            [
                MediaEvent::Slots { endpoint: EndpointId(1), slots: vec![shown("3", 999), shown("4", 5)] },
                MediaEvent::Slots { endpoint: EndpointId(2), slots: vec![shown("3", 6)] },
            ]
        );
        assert_eq!(mailbox.take(), []);
    }

    #[test]
    fn of_an_endpoints_network_only_the_newest_look_is_kept() {
        let mailbox = Mailbox::new(Arc::default());
        let look = |target| engine::health::Health {
            down: Some(engine::health::Downlink {
                target,
                arriving: None,
                loss_permille: Some(12),
                round_trip: Some(engine::clock::Micros::from_millis(84)),
                queue: engine::clock::Micros::default(),
                limit: engine::health::Limit::Queue,
            }),
            slots: vec![],
            up: vec![],
        };
        for target in 0..1_000 {
            mailbox.post(Event::Health { endpoint: media::EndpointId(1), health: Box::new(look(target)) });
        }
        let taken = mailbox.take();
        let [MediaEvent::Health { endpoint: EndpointId(1), health }] = taken.as_slice() else {
            unreachable!("{taken:?}")
        };
        let down = health.down.unwrap();
        assert_eq!((down.target, down.loss_permille, down.round_trip), (999, Some(12), Some(84)));
    }

    #[test]
    fn a_lost_endpoint_is_the_last_word_about_it() {
        let mailbox = Mailbox::new(Arc::default());
        mailbox.post(Event::Health { endpoint: media::EndpointId(1), health: Box::default() });
        mailbox.post(Event::Connected { endpoint: media::EndpointId(1) });
        mailbox.post(slot(1, "3", 5));
        mailbox.post(Event::Lost { endpoint: media::EndpointId(1) });
        assert_eq!(mailbox.take(), [MediaEvent::Lost { endpoint: EndpointId(1) }]);
    }

    #[tokio::test]
    async fn news_reaches_signalling_through_a_full_channel() {
        let mailbox = Arc::new(Mailbox::new(Arc::default()));
        let (sender, mut signalling) = mpsc::channel(1);
        let forwarder = tokio::spawn(Arc::clone(&mailbox).forward(sender));
        for endpoint in 0..20 {
            mailbox.post(Event::Connected { endpoint: media::EndpointId(endpoint) });
        }
        for endpoint in 0..20 {
            let event = signalling.recv().await.unwrap();
            assert_eq!(event, MediaEvent::Connected { endpoint: EndpointId(endpoint) });
        }
        drop(signalling);
        mailbox.post(Event::Connected { endpoint: media::EndpointId(99) });
        forwarder.await.unwrap();
    }
}
