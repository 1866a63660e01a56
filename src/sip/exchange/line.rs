//! One leg with its sockets, and what ties it to a meeting.

use std::time::{Duration, Instant};

use engine::inlet::InletPacket;
use engine::{Inlet, InletBatch};
use mixer::TICK;
use mixer::announce::{Player, Prompt as Sound};
use mixer::runner::{Heard, MixReceiver};
use net::{ReceiveBatch, Route};
use tokio::sync::mpsc;

use super::STEPS;
use super::ports::Sockets;
use super::speech::Speech;
use super::waiting::Waiting;
use crate::ivr::Key;
use crate::media::{Leg, LegError, LegStats, Negotiated, Received};

/// What happened to a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A key was pressed.
    Key(Key),
    /// What was to be played is over.
    Played,
    /// Whoever is on the phone begins to speak, or has ceased. Told where it was asked for.
    Speaks(bool),
    /// The phone has sent nothing for too long.
    TimedOut,
    /// The meeting's mix ended by a fault; subscribe again.
    MixLost,
}

/// A leg on its way.
pub(super) struct Line {
    leg: Leg,
    sockets: Sockets,
    /// The turn of the thread at which the phone's next 20 ms are due.
    due: u64,
    news: mpsc::Sender<Happening>,
    received: Received,
    inlet: Option<Inlet>,
    mix: Option<MixReceiver>,
    waiting: Waiting<Heard>,
    /// Whether they speak, where it was asked for.
    speech: Option<Speech>,
    player: Player,
    /// Played again and again.
    again: Option<Sound>,
    plays: bool,
    is_over: bool,
}

impl Line {
    pub(super) fn new(leg: Leg, sockets: Sockets, news: mpsc::Sender<Happening>) -> Self {
        Self {
            leg,
            sockets,
            due: 0,
            news,
            received: Received::default(),
            inlet: None,
            mix: None,
            waiting: Waiting::default(),
            speech: None,
            player: Player::default(),
            again: None,
            plays: false,
            is_over: false,
        }
    }

    pub(super) const fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Its first 20 ms are due at that turn.
    pub(super) const fn begins(&mut self, turn: u64) {
        self.due = turn;
    }

    pub(super) fn stats(&self) -> LegStats {
        self.leg.stats()
    }

    pub(super) fn renegotiate(&mut self, negotiated: Negotiated, now: Instant) -> Result<(), LegError> {
        self.leg.renegotiate(negotiated, now)
    }

    pub(super) fn play(&mut self, sounds: Vec<Sound>, goes_on: bool) {
        self.player = Player::default();
        self.again = sounds.last().filter(|_| goes_on).cloned();
        self.plays = !sounds.is_empty();
        for sound in sounds {
            self.player.play(sound);
        }
    }

    pub(super) fn listen(&mut self) {
        self.speech = Some(Speech::default());
    }

    pub(super) fn join(&mut self, inlet: Inlet, mix: MixReceiver) {
        self.inlet = Some(inlet);
        self.hear_mix(mix);
    }

    pub(super) fn hear_mix(&mut self, mix: MixReceiver) {
        self.mix = Some(mix);
        self.waiting = Waiting::default();
    }

    /// Everything that lies at its sockets.
    pub(super) fn receive(&mut self, now: Instant, receive: &mut ReceiveBatch, batch: &mut InletBatch) {
        let Self { leg, sockets, received, inlet, speech, news, .. } = self;
        for socket in [&sockets.media, &sockets.control] {
            // A socket that fails says so at every turn, and a phone that is not heard any more times out.
            let _ = socket.receive(receive, |arrival, datagram| {
                let from = arrival.route.remote;
                // What is of no use was counted by the leg.
                if leg.receive(now, from, datagram, received).is_err() {
                    return;
                }
                if let Some(key) = received.digit.and_then(|digit| Key::of_event(digit.event())) {
                    tell(news, Happening::Key(key));
                }
                if let Some(speech) = speech {
                    received.voices.iter().for_each(|voice| speech.hears(now, voice.level));
                }
                let Some(inlet) = inlet else { return };
                // Music on hold is for who was put on hold, and not for a meeting.
                if !leg.negotiated().direction.sends() {
                    return;
                }
                for voice in received.voices.drain(..) {
                    let packet = InletPacket {
                        arrival: now,
                        sequence: voice.sequence as u16,
                        timestamp: voice.timestamp as u32,
                        marker: voice.marker,
                        level: voice.level,
                        payload: voice.payload,
                    };
                    inlet.post(batch, packet);
                }
            });
        }
    }

    /// A turn of the thread: 20 ms for the phone, if they are due. In a meeting they are once the mix is there, or is too late.
    pub(super) fn turn(&mut self, turn: u64, now: Instant, wall: Duration) {
        self.take_mix(turn);
        let awaits_mix = self.mix.is_some() && self.waiting.is_empty() && turn < self.due + STEPS;
        if turn >= self.due && !awaits_mix {
            self.tick(turn, now, wall);
            self.due += STEPS - self.waiting.earlier();
        }
    }

    fn tick(&mut self, turn: u64, now: Instant, wall: Duration) {
        let mut pcm = [0.0; TICK];
        let mut sounds = self.hear(turn, &mut pcm);
        if self.plays {
            self.player.add_to(&mut pcm);
            sounds = true;
            if !self.player.is_playing() {
                match &self.again {
                    Some(sound) => {
                        self.player.play(sound.clone());
                    }
                    None => {
                        self.plays = false;
                        tell(&self.news, Happening::Played);
                    }
                }
            }
        }
        if let Some(speaks) = self.speech.as_mut().and_then(|speech| speech.poll(now)) {
            tell(&self.news, Happening::Speaks(speaks));
        }
        let Self { leg, sockets, .. } = self;
        let out = sounds.then_some(&pcm);
        leg.send(out, |to, packet| {
            // A path that does not take it loses it, as any network may.
            let _ = sockets.media.send(Route { local: None, remote: to }, packet);
        });
        if leg.report_due() <= now
            && let Some((to, report)) = leg.poll_report(now, wall)
        {
            let _ = sockets.control.send(Route { local: None, remote: to }, report);
        }
    }

    /// What the mixer has made since.
    fn take_mix(&mut self, turn: u64) {
        let Some(mix) = &self.mix else { return };
        loop {
            match mix.recv(Duration::ZERO) {
                Ok(Some(heard)) => self.waiting.push(turn, heard),
                Ok(None) => return,
                Err(mixer::runner::MixClosed) => {
                    self.mix = None;
                    return tell(&self.news, Happening::MixLost);
                }
            }
        }
    }

    /// The next tick of the mix.
    fn hear(&mut self, turn: u64, pcm: &mut [f32; TICK]) -> bool {
        let Some(heard) = self.waiting.pop(turn) else { return false };
        *pcm = *heard.samples;
        true
    }

    pub(super) fn check(&mut self, now: Instant) {
        if !self.is_over && self.leg.check(now).is_err() {
            self.is_over = true;
            tell(&self.news, Happening::TimedOut);
        }
    }
}

fn tell(news: &mpsc::Sender<Happening>, happening: Happening) {
    if news.try_send(happening).is_err() {
        metrics::counter!("sip_happenings_lost_total").increment(1);
    }
}
