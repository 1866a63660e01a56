//! One call that came in, from its answer to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mixer::runner::Form;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use tokio::sync::mpsc;

use super::Shared;
use crate::exchange::{Happening, LegId};
use crate::ivr::{Action, Found, Ivr, Key, Prompt, Seat, Way, Wish};
use crate::media::sdp::Refused;
use crate::media::{Leg, Negotiated, Negotiator, info};
use crate::meetings::{Caller, Door, Lookup, News, Place, PlaceWish};
use crate::stack::{Call, CallEvent, Changed, Incoming};

/// A call in progress.
pub(super) struct IncomingCall {
    shared: Arc<Shared>,
    call: Call,
    caller: Caller,
    negotiator: Negotiator,
    leg: LegId,
    happenings: mpsc::Receiver<Happening>,
    ivr: Ivr,
    door: Option<Box<dyn Door>>,
    place: Option<Box<dyn Place>>,
    muted: bool,
    hand: bool,
}

/// What wakes the task.
enum Woken {
    Call(Option<CallEvent>),
    Leg(Option<Happening>),
    Place(Option<News>),
    Time,
}

impl IncomingCall {
    /// Answers a call and sees it through.
    pub(super) async fn serve(shared: Arc<Shared>, incoming: Incoming) {
        let Incoming { mut call, trunk, from, to, asserted, withheld, offer, .. } = incoming;
        let number = asserted.and_then(|party| party.number).or(from.number).filter(|_| !withheld);
        let Ok(sockets) = shared.ports.open() else {
            metrics::counter!("sip_calls_refused_total", "why" => "ports").increment(1);
            let _ = call.reject(503, Some("no media port is left")).await;
            return;
        };
        let local = SocketAddr::new(shared.announced, sockets.port);
        let capabilities = shared.capabilities.get(trunk.0).cloned().unwrap_or_default();
        let mut negotiator = Negotiator::new(local, capabilities, &mut rand::rng());
        let negotiated = match agree(&mut call, &mut negotiator, offer).await {
            Ok(Some(negotiated)) => negotiated,
            Ok(None) => return,
            Err(refused) => {
                metrics::counter!("sip_calls_refused_total", "why" => refused.label()).increment(1);
                let _ = call.reject(refused.status(), None).await;
                return;
            }
        };
        let now = Instant::now();
        let Ok(leg) = Leg::new(negotiated, now, &mut rand::rng()) else {
            let _ = call.hang_up().await;
            return;
        };
        let Ok((leg, happenings)) = shared.exchange.add(leg, sockets) else { return };
        let known = shared.numbers.iter().find(|(number, _)| *number == to);
        let way = known.map_or(Way::DialIn, |(_, id)| Way::Known { id: id.clone() });
        let caller = Caller { number };
        let ivr = Ivr::new(way, now);
        let served = Self {
            shared,
            call,
            caller,
            negotiator,
            leg,
            happenings,
            ivr,
            door: None,
            place: None,
            muted: false,
            hand: false,
        };
        served.run().await;
    }

    async fn run(mut self) {
        let hangs_up = loop {
            let woken = self.wait().await;
            let now = Instant::now();
            match woken {
                Woken::Call(None | Some(CallEvent::Ended(_) | CallEvent::Failed(_))) => break false,
                Woken::Call(Some(event)) => self.call_told(now, event).await,
                Woken::Leg(None | Some(Happening::TimedOut)) => break true,
                Woken::Leg(Some(Happening::Key(key))) => self.ivr.handle_key(now, key),
                Woken::Leg(Some(Happening::Played)) => self.ivr.played(now),
                Woken::Leg(Some(Happening::MixLost)) => self.hear_again(),
                Woken::Place(None) => {
                    self.place = None;
                    self.ivr.seat(now, Seat::Ended);
                }
                Woken::Place(Some(news)) => self.place_told(now, news).await,
                Woken::Time => self.ivr.handle_timeout(now),
            }
            if self.act().await {
                break true;
            }
        };
        if let Some(mut place) = self.place.take() {
            place.wish(PlaceWish::Leave).await;
        }
        let _ = self.shared.exchange.remove(self.leg).await;
        if hangs_up {
            let _ = self.call.hang_up().await;
        }
    }

    async fn wait(&mut self) -> Woken {
        let Self { call, happenings, place, ivr, .. } = self;
        let due = ivr.poll_timeout().map(tokio::time::Instant::from_std);
        tokio::select! {
            event = call.next() => Woken::Call(event),
            happening = happenings.recv() => Woken::Leg(happening),
            news = news_of(place) => Woken::Place(news),
            () = at(due) => Woken::Time,
        }
    }

    async fn call_told(&mut self, now: Instant, event: CallEvent) {
        match event {
            CallEvent::Changed(changed) => self.change(changed).await,
            CallEvent::Acknowledged { answer: Some(answer) } => {
                // After an offer of ours in a change of theirs.
                if let Ok(negotiated) = self.negotiator.accept_answer(answer.as_bytes()) {
                    let _ = self.shared.exchange.renegotiate(self.leg, negotiated).await;
                }
            }
            CallEvent::Info { kind, body } => {
                if let Some(key) = info::digit(&kind, &body).and_then(|digit| Key::of_event(digit.event())) {
                    self.ivr.handle_key(now, key);
                }
            }
            CallEvent::Acknowledged { answer: None }
            | CallEvent::Trying
            | CallEvent::Ringing
            | CallEvent::Early(_)
            | CallEvent::Answered(_)
            | CallEvent::Failed(_)
            | CallEvent::Ended(_) => {}
        }
    }

    /// Hold, resume, another codec.
    async fn change(&mut self, Changed { offer, reply }: Changed) {
        let Some(offer) = offer else {
            let text = self.negotiator.offer(&mut OsRng.unwrap_err());
            let _ = reply.accept(text.as_str().to_owned()).await;
            return;
        };
        match self.negotiator.answer(offer.as_bytes(), &mut OsRng.unwrap_err()) {
            Ok((negotiated, text)) => match self.shared.exchange.renegotiate(self.leg, negotiated).await {
                Ok(Ok(())) => {
                    let _ = reply.accept(text.as_str().to_owned()).await;
                }
                Ok(Err(_)) | Err(_) => reply.refuse(500),
            },
            Err(refused) => reply.refuse(refused.status()),
        }
    }

    async fn place_told(&mut self, now: Instant, news: News) {
        match news {
            News::Seat(seat) => {
                if seat == Seat::In {
                    self.enter().await;
                }
                self.ivr.seat(now, seat);
            }
            News::Muted(muted) => {
                self.muted = muted;
                self.ivr.muted(muted);
            }
            News::Hand(hand) => {
                self.hand = hand;
                self.ivr.hand(hand);
            }
            News::Recorded(true) => self.ivr.recorded(),
            News::Recorded(false) => {}
        }
    }

    /// Into the meeting: the voice is announced, then it can be heard; and the mix without it.
    async fn enter(&mut self) {
        let Self { shared, place, leg, .. } = self;
        let Some(place) = place else { return };
        let (meeting, participant) = (place.meeting(), place.participant());
        let Ok(inlet) = shared.inlets.open(meeting, participant) else { return };
        place.publishes(inlet.endpoint(), inlet.publication()).await;
        if let Ok(mix) = shared.mixers.subscribe(meeting, Some(participant), Form::Samples) {
            let _ = shared.exchange.join(*leg, inlet, mix);
        }
    }

    /// The mix had a fault; there is a new one for whoever asks.
    fn hear_again(&self) {
        let Some(place) = &self.place else { return };
        let mix = self.shared.mixers.subscribe(place.meeting(), Some(place.participant()), Form::Samples);
        if let Ok(mix) = mix {
            let _ = self.shared.exchange.hear(self.leg, mix);
        }
    }

    /// Does what is to be done; whether that is the end.
    async fn act(&mut self) -> bool {
        while let Some(action) = self.ivr.poll() {
            match action {
                Action::Play(prompts) => self.play(&prompts),
                Action::Stop => self.play(&[]),
                Action::Find(id) => {
                    let found = match self.shared.meetings.find(&self.caller, &id).await {
                        Lookup::Door(door) => {
                            let has_started = door.has_started();
                            self.door = Some(door);
                            Found::Meeting { has_started }
                        }
                        Lookup::Nothing => Found::Nothing,
                        Lookup::LockedOut => Found::LockedOut,
                        Lookup::Unavailable => Found::Unavailable,
                    };
                    self.ivr.found(Instant::now(), found);
                }
                Action::CheckPin(pin) => {
                    let Some(door) = &self.door else { continue };
                    let answer = door.check_pin(&self.caller, &pin).await;
                    self.ivr.pin_checked(Instant::now(), answer);
                }
                Action::Join { as_organizer } => {
                    let Some(door) = &self.door else { continue };
                    match door.join(&self.caller, as_organizer).await {
                        Ok(place) => self.place = Some(place),
                        Err(seat) => self.ivr.seat(Instant::now(), seat),
                    }
                }
                Action::Wish(wish) => self.wish(wish).await,
                Action::HangUp => return true,
            }
        }
        false
    }

    async fn wish(&mut self, wish: Wish) {
        let Some(place) = &mut self.place else { return };
        match wish {
            Wish::Mute => place.wish(PlaceWish::Mute(!self.muted)).await,
            Wish::Hand => place.wish(PlaceWish::Hand(!self.hand)).await,
            Wish::Leave => place.wish(PlaceWish::Leave).await,
            Wish::Help => {}
        }
    }

    fn play(&self, prompts: &[Prompt]) {
        let sounds = prompts.iter().filter_map(|prompt| self.shared.prompts.sound(*prompt)).collect();
        let goes_on = prompts.last() == Some(&Prompt::Hold);
        let _ = self.shared.exchange.play(self.leg, sounds, goes_on);
    }
}

/// The session of a call that came in; `Ok(None)`: it ended before that.
async fn agree(
    call: &mut Call,
    negotiator: &mut Negotiator,
    offer: Option<String>,
) -> Result<Option<Negotiated>, Refused> {
    if let Some(offer) = offer {
        let (negotiated, text) = negotiator.answer(offer.as_bytes(), &mut OsRng.unwrap_err())?;
        let accepted = call.accept(text.as_str().to_owned()).await;
        return Ok(accepted.ok().map(|()| negotiated));
    }
    let text = negotiator.offer(&mut OsRng.unwrap_err());
    if call.accept(text.as_str().to_owned()).await.is_err() {
        return Ok(None);
    }
    loop {
        match call.next().await {
            Some(CallEvent::Acknowledged { answer }) => {
                return negotiator.accept_answer(answer.unwrap_or_default().as_bytes()).map(Some);
            }
            None | Some(CallEvent::Ended(_)) => return Ok(None),
            Some(_) => {}
        }
    }
}

async fn news_of(place: &mut Option<Box<dyn Place>>) -> Option<News> {
    match place {
        Some(place) => place.next().await,
        None => std::future::pending().await,
    }
}

async fn at(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
