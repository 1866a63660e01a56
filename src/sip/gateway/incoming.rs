//! A call that comes in, until it has sound: what it may sound like, whom it rings at, the answer.
//!
//! ```text
//! Incoming ─> the offer fits? ─┬─ somebody's own number ─180─> answered | declined, nobody ─┐
//!                              └─ any other ────────────────────────────────────────────────┴─200─> Session
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::TryRngCore as _;
use rand::rngs::OsRng;
use tokio::time::sleep;

use super::session::{Entrance, Inside, Session};
use super::{Line, Shared};
use crate::ending::EndReason;
use crate::ivr::{Ivr, Way};
use crate::media::sdp::{Refused, Text};
use crate::media::{Leg, Negotiated, Negotiator};
use crate::meetings::{Caller, End, Ringing, Taken};
use crate::stack::{Call, CallEvent, Incoming};

/// Answers a call and sees it through.
pub(super) async fn serve(shared: Arc<Shared>, incoming: Incoming) {
    let Incoming { mut call, trunk, from, called, asserted, withheld, offer, .. } = incoming;
    let number = asserted.and_then(|party| party.number).or(from.number).filter(|_| !withheld);
    let Some(line) = shared.line(trunk) else { return };
    metrics::counter!("sip_calls_total", "direction" => "in", "trunk" => line.name.clone()).increment(1);
    let Ok(sockets) = shared.ports.open() else {
        metrics::counter!("sip_calls_refused_total", "why" => "ports").increment(1);
        let _ = call.reject(503, Some("no media port is left")).await;
        return;
    };
    let local = SocketAddr::new(shared.announced, sockets.port);
    let mut negotiator = Negotiator::new(local, line.capabilities.clone(), &mut rand::rng());
    let description = match describe(&mut negotiator, offer) {
        Ok(description) => description,
        Err(refused) => return refuse(&call, refused).await,
    };
    let rule = shared.rules.iter().find(|rule| rule.fits(&called, number.as_deref()));
    let caller = Caller { number };
    let ringing = match rule {
        None => own_number(&shared, line, &called, &caller).await,
        Some(_) => None,
    };
    let (way, ringing) = match ringing {
        None => (rule.map_or(Way::DialIn, |rule| Way::Known { id: rule.conference_id.clone() }), None),
        Some(mut ringing) => match ring(&shared, &mut call, ringing.as_mut()).await {
            Ok(way) => (way, Some(ringing)),
            Err((reason, code)) => {
                if let Some(code) = code {
                    let _ = call.reject(code, None).await;
                }
                let (trunk, label) = (line.name.clone(), reason.label());
                tracing::info!(direction = "in", trunk, reason = label, code, "a phone call was not answered");
                metrics::counter!("sip_calls_ended_total", "direction" => "in", "reason" => label).increment(1);
                let trunk = Some(trunk);
                return ringing.ended(End { reason, sip_code: code, trunk }).await;
            }
        },
    };
    let negotiated = match accept(&mut call, &mut negotiator, description).await {
        Ok(Some(negotiated)) => negotiated,
        Ok(None) => return,
        Err(refused) => return refuse(&call, refused).await,
    };
    let now = Instant::now();
    let Ok(leg) = Leg::new(negotiated, now, &mut rand::rng()) else {
        let _ = call.hang_up().await;
        return;
    };
    let Ok((leg, happenings)) = shared.exchange.add(leg, sockets) else { return };
    let entrance = match ringing {
        Some(ringing) => Entrance::Called(ringing),
        None => Entrance::Door { record: shared.meetings.incoming(&line.name, &caller), caller, door: None },
    };
    let ivr = Ivr::new(way, shared.alone_max, now);
    let inside = Inside::default();
    Session { shared, trunk, call, negotiator, leg, happenings, ivr, entrance, inside }.run().await;
}

/// Rings at somebody whose own number was called, if it is one.
async fn own_number(shared: &Shared, line: &Line, called: &[String], caller: &Caller) -> Option<Box<dyn Ringing>> {
    for number in called {
        let ringing = shared.meetings.ring(&line.name, number, caller, shared.voicemail.rings).await;
        if ringing.is_some() {
            return ringing;
        }
    }
    None
}

async fn refuse(call: &Call, refused: Refused) {
    metrics::counter!("sip_calls_refused_total", "why" => refused.label()).increment(1);
    let _ = call.reject(refused.status(), None).await;
}

/// Rings until somebody answers, or a message can be left; why it ended, and by which code of ours, if it does before.
async fn ring(shared: &Shared, call: &mut Call, ringing: &mut dyn Ringing) -> Result<Way, (EndReason, Option<u16>)> {
    // Fails only when the signalling has stopped, which the next event tells.
    let _ = call.ring().await;
    let rung_out = sleep(shared.voicemail.rings);
    tokio::pin!(rung_out);
    loop {
        tokio::select! {
            event = call.next() => match event {
                None | Some(CallEvent::Ended(_) | CallEvent::Failed(_)) => return Err((EndReason::HungUp, None)),
                Some(_) => {}
            },
            taken = ringing.taken() => match taken {
                Taken::Answered => return Ok(Way::Answered),
                Taken::Declined => break,
            },
            () = &mut rung_out => break,
        }
    }
    if ringing.voicemail().await {
        Ok(Way::Voicemail { longest: shared.voicemail.longest })
    } else {
        Err((EndReason::NoAnswer, Some(480)))
    }
}

/// What a call is answered by.
enum Description {
    /// The answer to an offer.
    Answer(Negotiated, Text),
    /// An offer of ours, where there was none.
    Offer(Text),
}

fn describe(negotiator: &mut Negotiator, offer: Option<String>) -> Result<Description, Refused> {
    let Some(offer) = offer else { return Ok(Description::Offer(negotiator.offer(&mut OsRng.unwrap_err()))) };
    let (negotiated, text) = negotiator.answer(offer.as_bytes(), &mut OsRng.unwrap_err())?;
    Ok(Description::Answer(negotiated, text))
}

/// The session of a call that came in; `Ok(None)`: it ended before that.
async fn accept(
    call: &mut Call,
    negotiator: &mut Negotiator,
    description: Description,
) -> Result<Option<Negotiated>, Refused> {
    let text = match description {
        Description::Answer(negotiated, text) => {
            let accepted = call.accept(text.as_str().to_owned()).await;
            return Ok(accepted.ok().map(|()| negotiated));
        }
        Description::Offer(text) => text,
    };
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
