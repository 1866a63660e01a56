//! A call that has sound, from there to its end: what happens in it goes to the state machine of what callers hear, what that wants is done.
//!
//! ```text
//! CallEvent, Happening, News, time ─> Session ─> Ivr ─poll─> prompts, Meetings, Place, the engine's inlet and mix
//! ```

use std::sync::Arc;
use std::time::Instant;

use mixer::runner::Form;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use tokio::sync::mpsc;

use super::Shared;
use crate::ending::EndReason;
use crate::exchange::{Happening, LegId};
use crate::ivr::{Action, Found, Ivr, Key, Prompt, Seat, Wish};
use crate::media::{LegStats, Negotiator, info};
use crate::meetings::{Caller, Door, End, Invitation, Lookup, News, Place, PlaceWish, Record, Ringing};
use crate::stack::{Call, CallEvent, Changed, TrunkId};

/// How the call comes into its meeting, and who keeps its record.
pub(super) enum Entrance {
    /// By a conference id.
    Door {
        caller: Caller,
        /// The meeting that was found last.
        door: Option<Box<dyn Door>>,
        record: Box<dyn Record>,
    },
    /// By somebody's own number: they answer, or a message is left.
    Called(Box<dyn Ringing>),
    /// The meeting called.
    Invited(Box<dyn Invitation>),
}

impl Entrance {
    async fn cancelled(&mut self) {
        match self {
            Self::Invited(invitation) => invitation.cancelled().await,
            Self::Door { .. } | Self::Called(_) => std::future::pending().await,
        }
    }

    async fn join(&mut self, as_organizer: bool) -> Option<Result<Box<dyn Place>, Seat>> {
        match self {
            Self::Door { caller, door, record } => {
                let joined = door.as_ref()?.join(caller, as_organizer).await;
                if let Ok(place) = &joined {
                    record.joined(place.meeting(), place.participant()).await;
                }
                Some(joined)
            }
            Self::Called(ringing) => Some(ringing.join().await),
            Self::Invited(invitation) => Some(invitation.join().await),
        }
    }

    /// Before the place is given up, as what is recorded there ends with that.
    async fn leaves(&mut self, has_message: bool) {
        if let Self::Called(ringing) = self {
            ringing.leaves(has_message).await;
        }
    }

    async fn ended(self, end: End) {
        match self {
            Self::Door { record, .. } => record.ended(end).await,
            Self::Called(ringing) => ringing.ended(end).await,
            Self::Invited(invitation) => invitation.ended(end).await,
        }
    }

    const fn label(&self) -> &'static str {
        match self {
            Self::Door { .. } | Self::Called(_) => "in",
            Self::Invited(_) => "out",
        }
    }
}

/// A call that was answered.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) trunk: TrunkId,
    pub(super) call: Call,
    pub(super) negotiator: Negotiator,
    pub(super) leg: LegId,
    pub(super) happenings: mpsc::Receiver<Happening>,
    pub(super) ivr: Ivr,
    pub(super) entrance: Entrance,
    pub(super) inside: Inside,
}

/// How it stands in the meeting.
#[derive(Default)]
pub(super) struct Inside {
    place: Option<Box<dyn Place>>,
    muted: bool,
    hand: bool,
}

/// What wakes the task.
enum Woken {
    Call(Option<CallEvent>),
    Leg(Option<Happening>),
    Place(Option<News>),
    Cancelled,
    Time,
}

impl Session {
    pub(super) async fn run(mut self) {
        let began = Instant::now();
        let (reason, hangs_up) = loop {
            let woken = self.wait().await;
            let now = Instant::now();
            match woken {
                Woken::Call(None | Some(CallEvent::Ended(_) | CallEvent::Failed(_))) => {
                    break (EndReason::HungUp, false);
                }
                Woken::Call(Some(event)) => self.call_told(now, event).await,
                Woken::Leg(None) => break (EndReason::Failed, true),
                Woken::Leg(Some(Happening::TimedOut)) => break (EndReason::Silent, true),
                Woken::Leg(Some(Happening::Key(key))) => self.ivr.handle_key(now, key),
                Woken::Leg(Some(Happening::Played)) => self.ivr.played(now),
                Woken::Leg(Some(Happening::Speaks(speaks))) => self.ivr.speaks(now, speaks),
                Woken::Leg(Some(Happening::MixLost)) => self.hear_again(),
                Woken::Place(None) => {
                    self.inside.place = None;
                    self.ivr.seat(now, Seat::Ended);
                }
                Woken::Place(Some(news)) => self.place_told(now, news).await,
                Woken::Cancelled => break (EndReason::Cancelled, true),
                Woken::Time => self.ivr.handle_timeout(now),
            }
            if let Some(reason) = self.act().await {
                break (reason, true);
            }
        };
        self.end(began, reason, hangs_up).await;
    }

    /// Lets everything go, the meeting first, and says how it was.
    async fn end(self, began: Instant, reason: EndReason, hangs_up: bool) {
        let Self { shared, trunk, call, leg, ivr, mut entrance, inside, .. } = self;
        if let Some(mut place) = inside.place {
            entrance.leaves(ivr.has_message()).await;
            place.wish(PlaceWish::Leave).await;
        }
        let stats = shared.exchange.remove(leg).await.unwrap_or_default();
        if hangs_up {
            // Fails only when the signalling has stopped, and every call with it.
            let _ = call.hang_up().await;
        }
        let trunk = shared.line(trunk).map(|line| line.name.clone());
        report(entrance.label(), trunk.as_deref().unwrap_or_default(), reason, began, &stats);
        entrance.ended(End { reason, sip_code: None, trunk }).await;
    }

    async fn wait(&mut self) -> Woken {
        let Self { call, happenings, inside, ivr, entrance, .. } = self;
        let due = ivr.poll_timeout().map(tokio::time::Instant::from_std);
        tokio::select! {
            event = call.next() => Woken::Call(event),
            happening = happenings.recv() => Woken::Leg(happening),
            news = news_of(&mut inside.place) => Woken::Place(news),
            () = entrance.cancelled() => Woken::Cancelled,
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
                self.inside.muted = muted;
                self.ivr.muted(muted);
            }
            News::Hand(hand) => {
                self.inside.hand = hand;
                self.ivr.hand(hand);
            }
            News::Recorded(true) => self.ivr.recorded(now),
            News::Recorded(false) => {}
            News::AsksConsent(asks) => self.ivr.asks_consent(asks),
            News::Company(is_there) => self.ivr.company(now, is_there),
        }
    }

    /// Into the meeting: the voice is announced, then it can be heard; and the mix without it.
    async fn enter(&mut self) {
        let Self { shared, inside, leg, .. } = self;
        let Some(place) = &mut inside.place else { return };
        let (meeting, participant) = (place.meeting(), place.participant());
        let Ok(inlet) = shared.inlets.open(meeting, participant) else { return };
        place.publishes(inlet.endpoint(), inlet.publication()).await;
        if let Ok(mix) = shared.mixers.subscribe(meeting, Some(participant), Form::Samples) {
            let _ = shared.exchange.join(*leg, inlet, mix);
        }
    }

    /// The mix had a fault; there is a new one for whoever asks.
    fn hear_again(&self) {
        let Some(place) = &self.inside.place else { return };
        let mix = self.shared.mixers.subscribe(place.meeting(), Some(place.participant()), Form::Samples);
        if let Ok(mix) = mix {
            let _ = self.shared.exchange.hear(self.leg, mix);
        }
    }

    /// Does what is to be done; why, if that is the end.
    async fn act(&mut self) -> Option<EndReason> {
        while let Some(action) = self.ivr.poll() {
            match action {
                Action::Play(prompts) => self.play(&prompts),
                Action::Stop => self.play(&[]),
                Action::Listen => {
                    // Where it cannot, the leg is gone, which ends the call.
                    let _ = self.shared.exchange.listen(self.leg);
                }
                Action::Find(id) => {
                    let found = self.find(&id).await;
                    self.ivr.found(Instant::now(), found);
                }
                Action::CheckPin(pin) => {
                    let Entrance::Door { caller, door: Some(door), .. } = &self.entrance else { continue };
                    let answer = door.check_pin(caller, &pin).await;
                    self.ivr.pin_checked(Instant::now(), answer);
                }
                Action::Join { as_organizer } => match self.entrance.join(as_organizer).await {
                    Some(Ok(place)) => self.inside.place = Some(place),
                    Some(Err(seat)) => self.ivr.seat(Instant::now(), seat),
                    None => {}
                },
                Action::Wish(wish) => self.wish(wish).await,
                Action::HangUp(reason) => return Some(reason),
            }
        }
        None
    }

    async fn find(&mut self, id: &str) -> Found {
        let Entrance::Door { caller, door, .. } = &mut self.entrance else { return Found::Nothing };
        match self.shared.meetings.find(caller, id).await {
            Lookup::Door(found) => {
                let has_started = found.has_started();
                *door = Some(found);
                Found::Meeting { has_started }
            }
            Lookup::Nothing => Found::Nothing,
            Lookup::LockedOut => Found::LockedOut,
            Lookup::Unavailable => Found::Unavailable,
        }
    }

    async fn wish(&mut self, wish: Wish) {
        let Self { inside, entrance, ivr, .. } = self;
        let Inside { place: Some(place), muted, hand } = inside else { return };
        match wish {
            Wish::Mute => place.wish(PlaceWish::Mute(!*muted)).await,
            Wish::Hand => place.wish(PlaceWish::Hand(!*hand)).await,
            Wish::Consent => place.wish(PlaceWish::Consent).await,
            Wish::Leave => {
                entrance.leaves(ivr.has_message()).await;
                place.wish(PlaceWish::Leave).await;
            }
            Wish::Help => {}
        }
    }

    fn play(&self, prompts: &[Prompt]) {
        let sounds = prompts.iter().filter_map(|prompt| self.shared.prompts.sound(*prompt)).collect();
        let goes_on = prompts.last() == Some(&Prompt::Hold);
        let _ = self.shared.exchange.play(self.leg, sounds, goes_on);
    }
}

/// One line and some figures for each call: nothing of it says who called whom.
fn report(direction: &'static str, trunk: &str, reason: EndReason, began: Instant, stats: &LegStats) {
    let seconds = began.elapsed().as_secs();
    let came = stats.packets + stats.lost;
    let lost_permille = (stats.lost * 1_000).checked_div(came).unwrap_or_default();
    // Lost of what we sent, in 256ths, as the phone says.
    let lost_there_permille = stats.peer.map_or(0, |peer| u64::from(peer.fraction_lost) * 1_000 / 256);
    let jitter_ms = stats.jitter_us / 1_000;
    tracing::info!(
        direction,
        trunk,
        reason = reason.label(),
        seconds,
        lost_permille,
        lost_there_permille,
        jitter_ms,
        "a phone call ended"
    );
    metrics::counter!("sip_calls_ended_total", "direction" => direction, "reason" => reason.label()).increment(1);
    metrics::counter!("sip_packets_received_total").increment(stats.packets);
    metrics::counter!("sip_packets_lost_total").increment(stats.lost);
    metrics::counter!("sip_packets_sent_total").increment(stats.sent_packets);
    for (why, count) in stats.dropped.by_reason() {
        metrics::counter!("sip_packets_dropped_total", "why" => why).increment(count);
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
