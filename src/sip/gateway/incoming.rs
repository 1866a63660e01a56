//! A call that comes in, until it has sound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::TryRngCore as _;
use rand::rngs::OsRng;

use super::Shared;
use super::session::{Entrance, Inside, Session};
use crate::ivr::{Ivr, Way};
use crate::media::sdp::Refused;
use crate::media::{Leg, Negotiated, Negotiator};
use crate::meetings::Caller;
use crate::stack::{Call, CallEvent, Incoming};

/// Answers a call and sees it through.
pub(super) async fn serve(shared: Arc<Shared>, incoming: Incoming) {
    let Incoming { mut call, trunk, from, to, asserted, withheld, offer, .. } = incoming;
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
    let way = match shared.rules.iter().find(|rule| rule.fits(&to, number.as_deref())) {
        Some(rule) => Way::Known { id: rule.conference_id.clone() },
        None => Way::DialIn,
    };
    let caller = Caller { number };
    let record = shared.meetings.incoming(&line.name, &caller);
    let entrance = Entrance::Door { caller, door: None, record };
    let ivr = Ivr::new(way, now);
    let inside = Inside::default();
    Session { shared, trunk, call, negotiator, leg, happenings, ivr, entrance, inside }.run().await;
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
