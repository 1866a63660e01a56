//! Shards, their browsers and the networks between them, on one virtual clock.
//!
//! Usually there is one shard. Where there are several, they share a port as in the real engine: each datagram comes to
//! one of them by its sender's address, whosever it is, and letters and packets between them arrive at once.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Instant;

use engine::Event;
use engine::clock::{Epoch, Micros};
use engine::command::{Command, NewPublication};
use engine::egress::rewrite::Start;
use engine::egress::slot::Slot;
use engine::endpoint::ice::IceCredentials;
use engine::endpoint::webrtc::EndpointParts;
use engine::id::{Codec, EndpointId, LAYERS_MAX, MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use engine::ingest::demux::Demux;
use engine::line::{ExtensionIds, SendLine, SlotLine};
use engine::outbox::Class;
use engine::path::Path;
use engine::shard::span::{ShardIndex, Shards};
use engine::shard::{Handled, Shard};

use crate::browser::{Browser, BrowserPlan};
use crate::network::Network;
use crate::plan::{Change, Profile, Step};

/// The meeting that browsers join unless told otherwise.
pub const MEETING: MeetingId = MeetingId(1);

/// The whole scene.
pub struct Stage {
    /// Under test.
    pub shards: Vec<Shard>,
    /// Everybody, by number.
    pub browsers: BTreeMap<u32, Browser>,
    /// From browsers to the server.
    pub up: Network<Path>,
    /// From the server to browsers.
    pub down: Network<Path>,
    /// Every event so far, with its time.
    pub events: Vec<(Micros, Event)>,
    /// Whose lines carry a screen.
    sharers: HashSet<u32>,
    /// Datagrams that the server sent to nobody that is here.
    pub strays: u64,
    /// What each train carried that the server sent, and how many datagrams it had.
    pub trains: Vec<(Class, usize)>,
    /// Datagrams that came to another shard than their own.
    pub handed_over: usize,
    /// Packets that were copied to another shard.
    pub relayed: usize,
    /// Datagrams that the server sent to an address that a NAT has forgotten.
    pub stale: u64,
    /// Steps of plans that are still to come, and those that were taken.
    ahead: VecDeque<(Micros, Step)>,
    taken: Vec<(Micros, &'static str)>,
    /// Whether those who join later are sent to at the pace that is believed of their path.
    pub follows_estimate: bool,
    /// Whether those who join later know redundant audio.
    pub offers_redundancy: bool,
    /// How much later than the browser the server has the keys of those who join: the last flight of a handshake is
    /// still on its way then, and packets come before it.
    pub handshake: Micros,
    keys: VecDeque<(Micros, Command)>,
    /// Which pictures those who join later send and read; the first is what they send.
    pub pictures: &'static [Codec],
    /// Whether those who join later are told which frames of AV1 depend on which.
    pub tells_dependencies: bool,
    /// What the links of those who join later will be like.
    everybody: Option<Profile>,
    forgotten: HashSet<Path>,
    /// Where each meeting has endpoints.
    spans: BTreeMap<MeetingId, Shards>,
    /// Which shard each endpoint lives in.
    homes: BTreeMap<EndpointId, usize>,
    epoch: Epoch,
    now: Micros,
}

/// The grain of virtual time.
const STEP: Micros = Micros::from_millis(1);

impl Stage {
    /// An empty scene; the seed decides everything random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_shards(seed, 1)
    }

    /// An empty scene with several shards.
    #[must_use]
    pub fn with_shards(seed: u64, count: usize) -> Self {
        println!("seed {seed}");
        let epoch = Epoch::new(Instant::now());
        let indexes = (0..count).map(|at| ShardIndex::new(at).expect("few"));
        Self {
            shards: indexes.map(|index| Shard::with_index(epoch, index, count)).collect(),
            spans: BTreeMap::new(),
            homes: BTreeMap::new(),
            epoch,
            browsers: BTreeMap::new(),
            up: Network::new(seed),
            down: Network::new(seed ^ 0x5555),
            events: Vec::new(),
            sharers: HashSet::new(),
            strays: 0,
            trains: Vec::new(),
            handed_over: 0,
            relayed: 0,
            stale: 0,
            ahead: VecDeque::new(),
            taken: Vec::new(),
            everybody: None,
            handshake: Micros(0),
            keys: VecDeque::new(),
            follows_estimate: true,
            offers_redundancy: true,
            pictures: &Codec::PICTURES,
            tells_dependencies: true,
            forgotten: HashSet::new(),
            now: Micros::from_millis(1_000),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// The time on the process's clock, as those inside it tell it.
    #[must_use]
    pub fn instant(&self) -> Instant {
        self.epoch.instant(self.now)
    }

    /// A browser joins the default meeting: endpoint made, keys exchanged.
    pub fn join(&mut self, number: u32, plan: BrowserPlan) {
        self.join_meeting(number, plan, MEETING);
    }

    /// A browser joins the default meeting; what it publishes are a screen and its sound, not shared yet.
    pub fn join_sharing(&mut self, number: u32, plan: BrowserPlan) {
        self.sharers.insert(number);
        self.join(number, plan);
    }

    /// A browser joins a meeting, in the first shard.
    pub fn join_meeting(&mut self, number: u32, plan: BrowserPlan, meeting: MeetingId) {
        self.join_shard(number, plan, meeting, 0);
    }

    /// A browser whose camera has three simulcast layers joins the default meeting.
    pub fn join_simulcast(&mut self, number: u32, plan: BrowserPlan) {
        self.join_with(number, plan, MEETING, 0, LAYERS_MAX);
    }

    /// A browser joins; its endpoint lives in the shard with this number.
    pub fn join_shard(&mut self, number: u32, plan: BrowserPlan, meeting: MeetingId, home: usize) {
        self.join_with(number, plan, meeting, home, 1);
    }

    fn join_with(&mut self, number: u32, plan: BrowserPlan, meeting: MeetingId, home: usize, layers: usize) {
        let index = ShardIndex::new(home).expect("few");
        self.homes.insert(endpoint(number), home);
        let before = self.spans.get(&meeting).copied().unwrap_or_default();
        self.spans.insert(meeting, before.with(index));
        if !before.is_empty() && !before.contains(index) {
            for shard in before.with(index).iter() {
                let span = Command::Span { meeting, shards: before.with(index) };
                self.shards[shard.get()].handle_command(self.now, span);
            }
        }
        let ufrag = format!("{}server{number:04}", index.ufrag_prefix());
        let credentials = IceCredentials { ufrag, pwd: "a-password-of-22-chars".into() };
        let participant = participant(number);
        let (browser, keys) = Browser::new(number, participant, plan, credentials.clone(), layers, self.now);
        let browser = if self.offers_redundancy { browser } else { browser.without_redundancy() };
        let browser = browser.with_codecs(self.pictures);
        let browser = if self.tells_dependencies { browser } else { browser.without_dependencies() };
        let lines = browser.send_lines();
        let publications =
            lines.iter().map(|line| new_publication(number, line, self.sharers.contains(&number))).collect();
        let slots =
            browser.slots.iter().zip(0u16..).map(|(slot, at)| new_slot(at, slot.line.clone(), browser.extensions()));
        let parts = EndpointParts {
            id: endpoint(number),
            meeting,
            participant,
            credentials,
            peer_credentials: Some(browser.credentials()),
            extensions: browser.extensions(),
            demux: Demux::new(lines, browser.extensions()),
            publications: Vec::new(),
            slots: slots.collect(),
            report_ssrc: 900_000 + number,
            follows_estimate: self.follows_estimate,
        };
        let (path, check) = (browser.path, browser.check());
        self.browsers.insert(number, browser);
        if let Some(profile) = self.everybody {
            self.impair(number, profile);
        }
        self.command(Command::Add { parts: Box::new(parts), publications, replaces: None });
        // A handshake needs a path, so the first check always comes before the keys.
        self.inject(path, check);
        let keys = Command::Keys { endpoint: endpoint(number), keys: Box::new(keys) };
        if self.handshake == Micros(0) {
            self.command(keys);
        } else {
            self.keys.push_back((self.now + self.handshake, keys));
        }
    }

    /// A browser offers so many video slots more, on the connection that it has.
    pub fn grow(&mut self, number: u32, video_slots: usize) {
        let browser = self.browser_mut(number);
        let first = browser.slots.len() as u16;
        let extensions = browser.extensions();
        let lines = browser.grow(video_slots).into_iter();
        let slots = (first..).zip(lines).map(|(at, line)| new_slot(at, line, extensions)).collect();
        self.command(Command::Grow { endpoint: endpoint(number), slots });
    }

    /// Gives a browser links of its own, so bad.
    pub fn impair(&mut self, number: u32, profile: Profile) {
        let path = self.browser(number).path;
        self.up.impair(path, profile.up);
        self.down.impair(path, profile.down);
    }

    /// A NAT gives a browser another port, and forgets the old one: what is on its way there is lost.
    pub fn rebind(&mut self, number: u32) {
        let old = self.browser(number).path;
        self.forgotten.insert(old);
        let mut remote = old.remote();
        remote.set_port(50_000 + self.forgotten.len() as u16);
        let new = Path::Udp { local: None, remote };
        self.browser_mut(number).path = new;
        self.up.readdress(&old, new);
        self.down.readdress(&old, new);
    }

    /// Takes the steps of a plan as their times come, counted from now.
    pub fn follow(&mut self, plan: &[Step]) {
        for step in plan {
            println!("{step}");
        }
        self.ahead.extend(plan.iter().map(|step| (self.now + step.at, *step)));
        self.ahead.make_contiguous().sort_by_key(|(at, _)| *at);
        self.take_steps();
    }

    /// When the step of this name was taken.
    #[must_use]
    pub fn when(&self, name: &str) -> Micros {
        self.taken.iter().rev().find(|(_, taken)| *taken == name).expect("a step that was taken").0
    }

    fn take_steps(&mut self) {
        while let Some((_, step)) = self.ahead.pop_front_if(|(at, _)| *at <= self.now) {
            self.taken.push((self.now, step.name));
            match step.change {
                Change::Everybody(profile) => {
                    self.everybody = Some(profile);
                    let numbers: Vec<_> = self.browsers.keys().copied().collect();
                    numbers.into_iter().for_each(|number| self.impair(number, profile));
                }
                Change::Profile(number, profile) => self.impair(number, profile),
                Change::Up(number, impairment) => self.up.impair(self.browser(number).path, impairment),
                Change::Down(number, impairment) => self.down.impair(self.browser(number).path, impairment),
                Change::SharedUp(impairment) => self.up.impairment = impairment,
                Change::SharedDown(impairment) => self.down.impairment = impairment,
                Change::Rebind(number) => self.rebind(number),
            }
        }
    }

    /// Gives an order: to the shard of the endpoint that it is for, or to all of them.
    pub fn command(&mut self, command: Command) {
        let endpoint = match &command {
            Command::Add { parts, .. } => Some(parts.id),
            Command::Remove(endpoint)
            | Command::Closed(endpoint)
            | Command::Layout { endpoint, .. }
            | Command::Grow { endpoint, .. }
            | Command::Target { endpoint, .. }
            | Command::SendDtls { endpoint, .. }
            | Command::Keys { endpoint, .. } => Some(*endpoint),
            _ => None,
        };
        let home = endpoint.and_then(|endpoint| self.homes.get(&endpoint).copied());
        match (command, home) {
            (Command::RemoveParticipant(who), _) => self.everywhere(|| Command::RemoveParticipant(who)),
            (Command::SetMuted { participant, kind, muted }, _) => {
                self.everywhere(|| Command::SetMuted { participant, kind, muted });
            }
            (Command::AddTap { meeting, participant, scope, sender }, _) => {
                self.everywhere(|| Command::AddTap { meeting, participant, scope, sender: sender.clone() });
            }
            (Command::Mix(orders), _) => self.everywhere(|| Command::Mix(orders.clone())),
            (command, home) => self.shards[home.unwrap_or(0)].handle_command(self.now, command),
        }
        self.drain();
    }

    fn everywhere(&mut self, command: impl Fn() -> Command) {
        for shard in &mut self.shards {
            shard.handle_command(self.now, command());
        }
    }

    /// One datagram to the shard that the kernel would have given it to, and from there to whose it is.
    fn arrive(&mut self, path: Path, datagram: &mut [u8]) {
        let at = usize::from(path.remote().port()) % self.shards.len();
        if let Handled::HandOver(to) = self.shards[at].handle_datagram(self.now, self.now, path, datagram) {
            self.handed_over += 1;
            let handled = self.shards[to.get()].handle_datagram(self.now, self.now, path, datagram);
            assert_eq!(handled, Handled::Here, "a datagram is handed over once");
        }
    }

    /// A datagram straight into the shard, from anywhere.
    pub fn inject(&mut self, path: Path, mut datagram: Vec<u8>) {
        self.arrive(path, &mut datagram);
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
        self.take_steps();
        while let Some((_, keys)) = self.keys.pop_front_if(|(at, _)| *at <= self.now) {
            self.command(keys);
        }
        for browser in self.browsers.values_mut() {
            for datagram in browser.poll(self.now) {
                self.up.send(self.now, browser.path, &datagram);
            }
        }
        while let Some((path, mut datagram)) = self.up.receive(self.now) {
            self.arrive(path, &mut datagram);
        }
        for shard in &mut self.shards {
            if shard.poll_timeout().is_some_and(|due| self.now >= due) {
                shard.handle_timeout(self.now, self.now.0);
            }
        }
        self.drain();
        while let Some((path, datagram)) = self.down.receive(self.now) {
            let Some(browser) = self.browsers.values_mut().find(|browser| browser.path == path) else {
                self.stale += u64::from(self.forgotten.contains(&path));
                self.strays += u64::from(!self.forgotten.contains(&path));
                continue;
            };
            browser.duplicated = self.down.link(&path).counters.duplicated;
            for answer in browser.receive(self.now, datagram) {
                self.up.send(self.now, path, &answer);
            }
        }
    }

    fn drain(&mut self) {
        while self.deliver() {}
        for at in 0..self.shards.len() {
            self.send(at);
        }
    }

    /// What shards tell each other; `true` while there was anything.
    fn deliver(&mut self) -> bool {
        let mut any = false;
        for from in 0..self.shards.len() {
            let index = ShardIndex::new(from).expect("few");
            // Marks what is fresh, so that it is relayed; its trains leave below.
            self.send(from);
            let mut packets = vec![];
            self.shards[from].relay(|to, packet, body| {
                packets.push((to, *packet, body.to_vec()));
                true
            });
            let letters: Vec<_> = std::iter::from_fn(|| self.shards[from].poll_letter()).collect();
            any |= !packets.is_empty() || !letters.is_empty();
            self.relayed += packets.len();
            for (to, letter) in letters {
                self.shards[to.get()].handle_letter(self.now, index, letter);
            }
            for (to, packet, body) in packets {
                self.shards[to.get()].handle_relayed(&packet, &body);
            }
        }
        any
    }

    fn send(&mut self, at: usize) {
        let shard = &mut self.shards[at];
        loop {
            let more = shard.flush(self.now);
            for train in shard.outbox().trains() {
                self.trains.push((train.class, train.segments()));
            }
            for (path, datagram) in shard.outbox().datagrams() {
                self.down.send(self.now, path, datagram);
            }
            shard.outbox().clear();
            if !more {
                break;
            }
        }
        while let Some(event) = shard.poll_event() {
            self.events.push((self.now, event));
        }
        while shard.poll_dtls().is_some() {}
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
    let of_kind = match kind {
        PublicationKind::Microphone => 0,
        PublicationKind::Camera => 1,
        PublicationKind::Screen => 2,
        PublicationKind::ScreenAudio => 3,
    };
    PublicationId(number * 10 + of_kind)
}

/// Every number begins near its wrap.
fn new_slot(at: u16, line: SlotLine, extensions: ExtensionIds) -> Slot {
    let start = Start { sequence: 32_700 - at, clock_base: u32::MAX - 900_000, picture_id: 32_700, tl0_pic_idx: 200 };
    Slot::new(at as u8, line, extensions, start, 32_000)
}

fn new_publication(number: u32, line: &SendLine, shares: bool) -> NewPublication {
    let (kind, codec) = match (line.kind, shares) {
        (MediaKind::Audio, false) => (PublicationKind::Microphone, Codec::Opus),
        (MediaKind::Video, false) => (PublicationKind::Camera, line.codecs[0].codec),
        (MediaKind::Audio, true) => (PublicationKind::ScreenAudio, Codec::Opus),
        (MediaKind::Video, true) => (PublicationKind::Screen, line.codecs[0].codec),
    };
    NewPublication { id: publication(number, kind), kind, codec, layers: line.layers.len().max(1) as u8 }
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

/// The answer of a browser with this password to a check of the server's.
#[must_use]
pub fn binding_answer(request: &[u8], pwd: &str) -> Vec<u8> {
    use rtc_dtls::crypto_provider::{RTCCryptoProvider, providers::AwsLcRsProvider};
    use rtc_stun::fingerprint::FINGERPRINT;
    use rtc_stun::integrity::MessageIntegrity;
    use rtc_stun::message::{BINDING_SUCCESS, Message, Setter, TransactionId};
    let mut transaction = TransactionId::default();
    transaction.0.copy_from_slice(&request[8..20]);
    let mut message = Message::new();
    message.set_type(BINDING_SUCCESS);
    message.transaction_id = transaction;
    message.write_header();
    let provider = AwsLcRsProvider::new();
    MessageIntegrity::new_short_term_integrity_with_provider(pwd.to_owned(), provider.crypto())
        .add_to(&mut message)
        .expect("a key");
    FINGERPRINT.add_to(&mut message).expect("room");
    message.raw
}
