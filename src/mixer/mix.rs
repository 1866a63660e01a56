//! The mix of one meeting: sources in, one shared stream and a few own ones out, tick by tick.
//!
//! All state of it is here, so a meeting's mix can run on any thread and be moved; what it costs depends on who speaks and not on who
//! listens. Buffers, decoders and encoders are kept for the next who needs one: once warm, a tick allocates nothing.
//!
//! ```text
//! packet ─> Source, Gate      tick: Gate::decide ─> sources: sound ─> total ─> announcements
//!                                   total ─> Limiter ─> samples, shared encoder
//!                                   total - what its owner says ─> Own::limiter ─> Own::encoder
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use crate::announce::{Player, Prompt};
use crate::decode::{LONGEST, Scratch, VoiceCounts};
use crate::encode::{Encoder, PAYLOAD_MAX};
use crate::gate::{Change, Gate, GateCounts, PLACES};
use crate::listener::{LINGER, Listener, Own, Wish};
use crate::outputs::Outputs;
use crate::shared::Shared;
use crate::source::{Active, Source, SourceCounts, SourceFormat};
use crate::sum::{Frame, add, less};
use crate::time::Micros;
use crate::{Full, LISTENERS_MAX, ListenerId, Owner, SOURCES_MAX, SourceId, TICK};

/// How a mix is made.
#[derive(Clone, Copy, Debug)]
pub struct MixOptions {
    /// How many are heard at once, at most.
    pub places: usize,
    /// Timestamp of the first tick (RFC 3550 §5.1 wants a random one).
    pub first_timestamp: u32,
}

impl Default for MixOptions {
    fn default() -> Self {
        Self { places: PLACES, first_timestamp: 0 }
    }
}

/// What was counted of a mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MixCounts {
    /// Ticks made.
    pub ticks: u64,
    /// Encodes for everybody who hears the same.
    pub shared_encodes: u64,
    /// Encodes for one listener.
    pub own_encodes: u64,
    /// Encodes that one encoder for each listener would have made besides: by sharing, and by not encoding silence.
    pub encodes_saved: u64,
    /// Encodes whose output was thrown away: a new encoder is warmed with what came before.
    pub warm_encodes: u64,
    /// Listeners that went from the shared stream to an own one or back.
    pub switches: u64,
    /// Prompts refused because too many waited.
    pub prompts_refused: u64,
    /// Samples made up for what was lost, of everybody.
    pub concealed: u64,
    /// Samples cut out or put in, of everybody.
    pub stretched: u64,
    /// libopus had no memory for a decoder or an encoder.
    pub out_of_memory: u64,
}

impl MixCounts {
    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    fn with(&self, other: &Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            ticks: join(self.ticks, other.ticks),
            shared_encodes: join(self.shared_encodes, other.shared_encodes),
            own_encodes: join(self.own_encodes, other.own_encodes),
            encodes_saved: join(self.encodes_saved, other.encodes_saved),
            warm_encodes: join(self.warm_encodes, other.warm_encodes),
            switches: join(self.switches, other.switches),
            prompts_refused: join(self.prompts_refused, other.prompts_refused),
            concealed: join(self.concealed, other.concealed),
            stretched: join(self.stretched, other.stretched),
            out_of_memory: join(self.out_of_memory, other.out_of_memory),
        }
    }
}

/// The mix of one meeting.
#[derive(Debug)]
pub struct Mix {
    options: MixOptions,
    sources: BTreeMap<SourceId, Source>,
    /// Removed, and faded out at the next tick.
    leaving: Vec<Source>,
    /// Who is in the mix of this tick, and by which source. Few, so that a look through them is cheap.
    heard: Vec<(Owner, SourceId)>,
    gate: Gate,
    listeners: BTreeMap<ListenerId, Listener>,
    pub(crate) own: Vec<Own>,
    spare_own: Vec<Own>,
    #[expect(clippy::vec_box, reason = "handed from source to source as they are")]
    spare_active: Vec<Box<Active>>,
    player: Player,
    pub(crate) shared: Shared,
    /// Somebody may have come to hear their own voice.
    is_unsettled: bool,
    newcomers: Vec<ListenerId>,
    total: Box<Frame>,
    scratch: Box<Scratch>,
    spare_payload: Vec<u8>,
    began: Option<Micros>,
    pub(crate) timestamp: u32,
    pub(crate) counts: MixCounts,
}

impl Mix {
    /// A mix without sources and listeners.
    ///
    /// # Errors
    /// libopus finds no memory for the shared encoder.
    pub fn new(options: MixOptions) -> Result<Self, opus::Error> {
        Ok(Self {
            options,
            sources: BTreeMap::new(),
            leaving: Vec::new(),
            heard: Vec::new(),
            gate: Gate::new(options.places),
            listeners: BTreeMap::new(),
            own: Vec::new(),
            spare_own: Vec::new(),
            spare_active: Vec::new(),
            player: Player::default(),
            shared: Shared::new()?,
            is_unsettled: false,
            newcomers: Vec::new(),
            total: Box::new([0.0; TICK]),
            scratch: Box::new([0.0; LONGEST]),
            spare_payload: Vec::with_capacity(PAYLOAD_MAX),
            began: None,
            timestamp: options.first_timestamp,
            counts: MixCounts::default(),
        })
    }

    /// A publication may be heard from now on, by everybody but its owner. Adding it again changes nothing.
    ///
    /// # Errors
    /// [`Full`] at [`SOURCES_MAX`].
    pub fn source_added(&mut self, source: SourceId, owner: Owner, format: SourceFormat) -> Result<(), Full> {
        if self.sources.len() >= SOURCES_MAX {
            return Err(Full);
        }
        if let Entry::Vacant(vacant) = self.sources.entry(source) {
            self.gate.add(source)?;
            vacant.insert(Source::new(owner, format));
        }
        Ok(())
    }

    /// A publication ended. What is heard of it fades in the next tick.
    pub fn source_removed(&mut self, source: SourceId) {
        self.gate.remove(source);
        if let Some(mut gone) = self.sources.remove(&source).filter(Source::is_active) {
            gone.close();
            self.leaving.push(gone);
        }
    }

    /// Somebody hears the mix from now on, without the sources of `owner`.
    ///
    /// # Errors
    /// [`Full`] at [`LISTENERS_MAX`].
    pub fn listener_added(&mut self, listener: ListenerId, owner: Option<Owner>, wish: Wish) -> Result<(), Full> {
        if self.listeners.len() >= LISTENERS_MAX {
            return Err(Full);
        }
        self.listener_removed(listener);
        self.listeners.insert(listener, Listener { owner, wish, player: Player::default(), has_own: false });
        self.shared.must_stand_alone = true;
        self.shared.tally(wish, true);
        self.is_unsettled = true;
        Ok(())
    }

    /// Somebody does not hear it any more.
    pub fn listener_removed(&mut self, listener: ListenerId) {
        let Some(gone) = self.listeners.remove(&listener) else { return };
        match self.own.iter().position(|own| own.listener == listener) {
            Some(at) => self.spare_own.push(self.own.swap_remove(at)),
            None => self.shared.tally(gone.wish, false),
        }
    }

    /// A packet of a source, as it came from the network: RTP with Opus, or with Opus in RED. `level`: what its audio level extension
    /// says, in -dBov. What cannot be read is dropped and counted; a packet of an unknown source is dropped.
    pub fn packet(&mut self, source: SourceId, arrival: Micros, level: Option<u8>, packet: Bytes) {
        let Some(found) = self.sources.get_mut(&source) else { return };
        if let Some(len) = found.admit(arrival, level, packet) {
            self.gate.heard(source, arrival, level, len);
        }
    }

    /// Plays a prompt or tone to everybody. False: too many wait already.
    pub fn announce(&mut self, prompt: Prompt) -> bool {
        let fits = self.player.play(prompt);
        self.counts.prompts_refused += u64::from(!fits);
        fits
    }

    /// Plays a prompt or tone to one listener. False: too many wait already, or the listener is not here.
    pub fn announce_to(&mut self, listener: ListenerId, prompt: Prompt) -> bool {
        let fits = self.listeners.get_mut(&listener).is_some_and(|listener| listener.player.play(prompt));
        self.counts.prompts_refused += u64::from(!fits);
        if fits {
            self.give_own(listener);
        }
        fits
    }

    /// Makes one tick. `now` is its scheduled time, 20 ms after the one before; after skipped ticks it is later, and timestamps
    /// jump by as much.
    pub fn tick(&mut self, now: Micros) -> Outputs<'_> {
        let began = *self.began.get_or_insert(now);
        let ticks = now.since(began) / crate::pace::TICK_US;
        self.timestamp = self.options.first_timestamp.wrapping_add((ticks as u32).wrapping_mul(TICK as u32));
        self.counts.ticks += 1;
        self.shared.remember();
        self.admit(now);
        self.add_up(now);
        self.take_back();
        self.shared.send(&self.total, &mut self.spare_payload, &mut self.counts);
        self.send_own();
        self.spare_active.extend(self.leaving.drain(..).filter_map(|mut gone| gone.retire()));
        for source in self.sources.values_mut() {
            self.spare_active.extend(source.retire());
        }
        Outputs { mix: self }
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> MixCounts {
        self.counts
    }

    /// What the gate counted.
    #[must_use]
    pub const fn gate_counts(&self) -> GateCounts {
        self.gate.counts()
    }

    /// What was counted of a source.
    #[must_use]
    pub fn source_counts(&self, source: SourceId) -> Option<SourceCounts> {
        self.sources.get(&source).map(Source::counts)
    }

    /// Every source, and what was counted of its samples.
    pub fn voices(&self) -> impl Iterator<Item = (SourceId, VoiceCounts)> {
        self.sources.iter().map(|(id, source)| (*id, source.counts().voice))
    }

    /// Who is decoded at present.
    pub fn active(&self) -> impl Iterator<Item = SourceId> {
        self.sources.iter().filter(|(_, source)| source.is_active()).map(|(id, _)| *id)
    }

    /// Opens and closes sources.
    fn admit(&mut self, now: Micros) {
        for source in self.sources.values_mut() {
            source.tick(now);
        }
        let spare = &mut self.spare_active;
        let out_of_memory = &mut self.counts.out_of_memory;
        let mut active = || {
            spare.pop().or_else(|| {
                let new = Active::new().ok().map(Box::new);
                *out_of_memory += u64::from(new.is_none());
                new
            })
        };
        // The changes are read while speech levels are asked for: they are few, and copied.
        let mut at = 0;
        self.gate.decide(now);
        while let Some(change) = self.gate.change(at) {
            at += 1;
            let (Change::Open(id) | Change::Probe(id) | Change::Close(id)) = change;
            let level = self.gate.speech_level(id);
            let Some(source) = self.sources.get_mut(&id) else { continue };
            match change {
                Change::Open(_) => source.open(level, true, &mut self.scratch, &mut active),
                Change::Probe(_) => source.open(level, false, &mut self.scratch, &mut active),
                Change::Close(_) => source.close(),
            }
        }
    }

    /// Decodes who is open and adds them up.
    fn add_up(&mut self, now: Micros) {
        self.total.fill(0.0);
        self.heard.clear();
        for (id, source) in &mut self.sources {
            if !source.is_active() {
                continue;
            }
            if let Some((energy, is_honest)) = sound(source, &mut self.scratch, &mut self.counts) {
                self.gate.decoded(*id, now, energy, is_honest);
            }
            if let Some(active) = source.active().filter(|active| active.is_in_mix) {
                add(&mut self.total, &active.frame);
                self.heard.push((source.owner, *id));
                self.is_unsettled |= active.has_come;
            }
        }
        for gone in &mut self.leaving {
            sound(gone, &mut self.scratch, &mut self.counts);
            if let Some(active) = gone.active().filter(|active| active.is_in_mix) {
                add(&mut self.total, &active.frame);
            }
        }
        if self.player.is_playing() {
            self.player.add_to(&mut self.total);
        }
        if self.is_unsettled {
            self.settle();
        }
    }

    /// Who begins to be heard and listens gets an own stream before anything of this tick is sent.
    fn settle(&mut self) {
        self.is_unsettled = false;
        let mut newcomers = std::mem::take(&mut self.newcomers);
        let needs = |listener: &Listener| !listener.has_own && is_heard(&self.heard, &self.leaving, listener.owner);
        newcomers.extend(self.listeners.iter().filter(|(_, listener)| needs(listener)).map(|(id, _)| *id));
        newcomers.drain(..).for_each(|listener| self.give_own(listener));
        self.newcomers = newcomers;
    }

    /// From the shared stream to an own one.
    fn give_own(&mut self, id: ListenerId) {
        let Some(listener) = self.listeners.get_mut(&id).filter(|listener| !listener.has_own) else { return };
        let mut own = self.spare_own.pop().unwrap_or_default();
        if listener.wish != Wish::Samples && own.encoder.is_none() {
            own.encoder = Encoder::new().ok();
            self.counts.out_of_memory += u64::from(own.encoder.is_none());
        }
        own.listener = id;
        own.sends = listener.wish != Wish::Samples;
        own.limiter = self.shared.limiter;
        own.quiet = self.shared.quiet;
        (own.idle, own.is_new, own.sent) = (0, true, None);
        own.next_sequence = 0;
        listener.has_own = true;
        self.shared.tally(listener.wish, false);
        self.counts.switches += 1;
        self.own.push(own);
    }

    /// Back to the shared stream, for those who have heard the same for a while.
    fn take_back(&mut self) {
        let mut at = 0;
        while let Some(own) = self.own.get_mut(at) {
            let Some(listener) = self.listeners.get_mut(&own.listener) else { break };
            let needs = is_heard(&self.heard, &self.leaving, listener.owner) || listener.player.is_playing();
            own.idle = if needs { 0 } else { own.idle + 1 };
            if own.idle <= LINGER {
                at += 1;
                continue;
            }
            listener.has_own = false;
            self.shared.tally(listener.wish, true);
            self.shared.must_stand_alone = true;
            self.counts.switches += 1;
            self.spare_own.push(self.own.swap_remove(at));
        }
    }

    fn send_own(&mut self) {
        for own in &mut self.own {
            let Some(listener) = self.listeners.get_mut(&own.listener) else { continue };
            *own.pcm = *self.total;
            let sources = self.heard.iter().filter_map(|(_, id)| self.sources.get(id));
            let voices = sources.chain(&self.leaving).filter(|source| Some(source.owner) == listener.owner);
            for voice in voices.filter_map(Source::active).filter(|active| active.is_in_mix) {
                less(&mut own.pcm, &voice.frame);
            }
            if listener.player.is_playing() {
                listener.player.add_to(&mut own.pcm);
            }
            own.limiter.apply(&mut own.pcm);
            if own.is_new && own.sends {
                self.counts.warm_encodes += own.warm(&self.shared.history, &mut self.spare_payload);
            }
            let is_encoded = u64::from(own.send());
            self.counts.own_encodes += is_encoded;
            self.counts.encodes_saved += u64::from(own.sends) - is_encoded;
        }
    }
}

/// Makes the samples of a source, and counts what they are made of.
fn sound(source: &mut Source, scratch: &mut Scratch, counts: &mut MixCounts) -> Option<(f32, bool)> {
    let before = source.counts().voice;
    let sound = source.sound(scratch);
    let after = source.counts().voice;
    counts.concealed += after.concealed - before.concealed;
    counts.stretched += after.cut + after.added - before.cut - before.added;
    sound
}

/// Whether one of this owner's voices is in the mix of this tick.
fn is_heard(heard: &[(Owner, SourceId)], leaving: &[Source], owner: Option<Owner>) -> bool {
    let Some(owner) = owner else { return false };
    heard.iter().any(|(whose, _)| *whose == owner)
        || leaving.iter().any(|gone| gone.owner == owner && gone.active().is_some_and(|active| active.is_in_mix))
}
