//! A shard, its browsers and the networks between them, on one virtual clock.

use std::collections::BTreeMap;
use std::time::Instant;

use engine::Event;
use engine::clock::{Epoch, Micros};
use engine::command::{Command, NewPublication};
use engine::egress::rewrite::Start;
use engine::egress::slot::Slot;
use engine::endpoint::ice::IceCredentials;
use engine::endpoint::webrtc::EndpointParts;
use engine::id::{Codec, EndpointId, MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use engine::ingest::demux::Demux;
use engine::path::Path;
use engine::shard::Shard;

use crate::browser::{Browser, BrowserPlan};
use crate::network::Network;

/// The meeting that browsers join unless told otherwise.
pub const MEETING: MeetingId = MeetingId(1);

/// The whole scene.
pub struct Stage {
    /// Under test.
    pub shard: Shard,
    /// Everybody, by number.
    pub browsers: BTreeMap<u32, Browser>,
    /// From browsers to the server.
    pub up: Network<Path>,
    /// From the server to browsers.
    pub down: Network<Path>,
    /// Every event so far, with its time.
    pub events: Vec<(Micros, Event)>,
    /// Datagrams that the server sent to nobody that is here.
    pub strays: u64,
    /// How many datagrams each train had that the server sent.
    pub trains: Vec<usize>,
    now: Micros,
}

/// The grain of virtual time.
const STEP: Micros = Micros::from_millis(1);

impl Stage {
    /// An empty scene; the seed decides everything random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self {
            shard: Shard::new(Epoch::new(Instant::now())),
            browsers: BTreeMap::new(),
            up: Network::new(seed),
            down: Network::new(seed ^ 0x5555),
            events: Vec::new(),
            strays: 0,
            trains: Vec::new(),
            now: Micros::from_millis(1_000),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// A browser joins the default meeting: endpoint made, keys exchanged.
    pub fn join(&mut self, number: u32, plan: BrowserPlan) {
        self.join_meeting(number, plan, MEETING);
    }

    /// A browser joins.
    pub fn join_meeting(&mut self, number: u32, plan: BrowserPlan, meeting: MeetingId) {
        let credentials = IceCredentials { ufrag: format!("server{number:04}"), pwd: "a-password-of-22-chars".into() };
        let participant = participant(number);
        let (browser, keys) = Browser::new(number, participant, plan, credentials.clone(), self.now);
        let lines = browser.send_lines();
        let publications = lines.iter().map(|line| new_publication(number, line.kind)).collect();
        // Every number begins near its wrap.
        let slots = browser.slots.iter().zip(0u16..).map(|(slot, at)| {
            let start =
                Start { sequence: 32_700 - at, clock_base: u32::MAX - 900_000, picture_id: 32_700, tl0_pic_idx: 200 };
            Slot::new(at as u8, slot.line.clone(), browser.extensions(), start, 32_000)
        });
        let parts = EndpointParts {
            id: endpoint(number),
            meeting,
            participant,
            credentials,
            peer_credentials: Some(browser.credentials()),
            extensions: browser.extensions(),
            demux: Demux::new(lines, browser.extensions().mid),
            publications: Vec::new(),
            slots: slots.collect(),
            report_ssrc: 900_000 + number,
        };
        let (path, check) = (browser.path, browser.check());
        self.browsers.insert(number, browser);
        self.command(Command::Add { parts: Box::new(parts), publications, replaces: None });
        // A handshake needs a path, so the first check always comes before the keys.
        self.inject(path, check);
        self.command(Command::Keys { endpoint: endpoint(number), keys: Box::new(keys) });
    }

    /// Gives the shard an order.
    pub fn command(&mut self, command: Command) {
        self.shard.handle_command(self.now, command);
        self.drain();
    }

    /// A datagram straight into the shard, from anywhere.
    pub fn inject(&mut self, path: Path, mut datagram: Vec<u8>) {
        self.shard.handle_datagram(self.now, self.now, path, &mut datagram);
        self.drain();
    }

    /// Lets time pass.
    pub fn run_ms(&mut self, ms: u64) {
        let end = self.now + Micros::from_millis(ms);
        while self.now < end {
            self.step();
        }
    }

    /// Lets time pass until `condition` holds; panics after `limit_ms`. Returns how long it took.
    pub fn run_until(&mut self, what: &str, limit_ms: u64, condition: impl Fn(&Self) -> bool) -> u64 {
        let start = self.now;
        while !condition(self) {
            let passed = self.now.since(start).0 / 1_000;
            assert!(passed < limit_ms, "after {passed} ms still not: {what}");
            self.step();
        }
        self.now.since(start).0 / 1_000
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        for browser in self.browsers.values_mut() {
            for datagram in browser.poll(self.now) {
                self.up.send(self.now, browser.path, &datagram);
            }
        }
        while let Some((path, mut datagram)) = self.up.receive(self.now) {
            self.shard.handle_datagram(self.now, self.now, path, &mut datagram);
        }
        if self.shard.poll_timeout().is_some_and(|due| self.now >= due) {
            self.shard.handle_timeout(self.now, self.now.0);
        }
        self.drain();
        while let Some((path, datagram)) = self.down.receive(self.now) {
            let Some(browser) = self.browsers.values_mut().find(|browser| browser.path == path) else {
                self.strays += 1;
                continue;
            };
            for answer in browser.receive(self.now, datagram) {
                self.up.send(self.now, path, &answer);
            }
        }
    }

    fn drain(&mut self) {
        loop {
            let more = self.shard.flush(self.now);
            for train in self.shard.outbox().trains() {
                self.trains.push(train.segments());
            }
            for (path, datagram) in self.shard.outbox().datagrams() {
                self.down.send(self.now, path, datagram);
            }
            self.shard.outbox().clear();
            if !more {
                break;
            }
        }
        while let Some(event) = self.shard.poll_event() {
            self.events.push((self.now, event));
        }
        while self.shard.poll_dtls().is_some() {}
    }

    /// A browser by its number.
    #[must_use]
    pub fn browser(&self, number: u32) -> &Browser {
        &self.browsers[&number]
    }

    /// A browser by its number.
    pub fn browser_mut(&mut self, number: u32) -> &mut Browser {
        self.browsers.get_mut(&number).expect("joined")
    }
}

/// The participant that a browser of this number is.
#[must_use]
pub fn participant(number: u32) -> ParticipantId {
    ParticipantId(u128::from(number))
}

/// Its endpoint.
#[must_use]
pub fn endpoint(number: u32) -> EndpointId {
    EndpointId(u64::from(number))
}

/// Its publication of one kind.
#[must_use]
pub fn publication(number: u32, kind: PublicationKind) -> PublicationId {
    PublicationId(number * 10 + u32::from(kind == PublicationKind::Camera))
}

fn new_publication(number: u32, kind: MediaKind) -> NewPublication {
    let (kind, codec) = match kind {
        MediaKind::Audio => (PublicationKind::Microphone, Codec::Opus),
        MediaKind::Video => (PublicationKind::Camera, Codec::Vp8),
    };
    NewPublication { id: publication(number, kind), kind, codec }
}

/// A connectivity check as the controlling browser sends it, nominating at once.
#[must_use]
pub fn binding_request(credentials: &IceCredentials) -> Vec<u8> {
    use rtc_dtls::crypto_provider::{RTCCryptoProvider, providers::AwsLcRsProvider};
    use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
    use rtc_stun::fingerprint::FINGERPRINT;
    use rtc_stun::integrity::MessageIntegrity;
    use rtc_stun::message::{BINDING_REQUEST, Message, Setter};
    let mut message = Message::new();
    message.set_type(BINDING_REQUEST);
    message.new_transaction_id().expect("randomness");
    message.write_header();
    message.add(ATTR_USERNAME, format!("{}:browser", credentials.ufrag).as_bytes());
    message.add(ATTR_PRIORITY, &[1, 2, 3, 4]);
    message.add(ATTR_ICE_CONTROLLING, &[9; 8]);
    message.add(ATTR_USE_CANDIDATE, &[]);
    let provider = AwsLcRsProvider::new();
    MessageIntegrity::new_short_term_integrity_with_provider(credentials.pwd.clone(), provider.crypto())
        .add_to(&mut message)
        .expect("a key");
    FINGERPRINT.add_to(&mut message).expect("room");
    message.raw
}
