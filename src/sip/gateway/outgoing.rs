//! A call that a meeting wants, until it has sound: by which trunk, and what if that one does not take it.
//!
//! ```text
//! Invitation ─> trunks in order ─┬─ answered ────────────────────────────> Session
//!                                ├─ the trunk's own trouble, or nothing for ten seconds ─> the next trunk
//!                                ├─ busy, declined, no such number ──────> ended
//!                                └─ rings for too long, or taken back ───> CANCEL, ended
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::OsRng;
use rand::{RngCore as _, TryRngCore as _};
use tokio::time::sleep_until;

use super::Shared;
use super::session::{Entrance, Inside, Session};
use crate::ending::EndReason;
use crate::exchange::Sockets;
use crate::ivr::{Ivr, Way};
use crate::media::{Leg, Negotiator};
use crate::meetings::{End, Invitation};
use crate::stack::{self, Call, CallEvent, Candidate, Order, Party, Stack, TrunkId};

/// What became of a try at one trunk.
enum Rang {
    /// Somebody, or something, answered by this description.
    Answered { call: Call, negotiator: Box<Negotiator>, answer: String },
    /// Nobody did.
    Not { reason: EndReason, sip_code: Option<u16>, tries_next: bool },
}

/// Calls, and sees it through.
pub(super) async fn serve(shared: Arc<Shared>, stack: Stack, mut invitation: Box<dyn Invitation>) {
    let Ok(sockets) = shared.ports.open() else {
        metrics::counter!("sip_calls_refused_total", "why" => "ports").increment(1);
        return invitation.ended(End { reason: EndReason::Failed, sip_code: None, trunk: None }).await;
    };
    let mut end = End { reason: EndReason::Unreachable, sip_code: None, trunk: None };
    for trunk in order(&shared, &stack) {
        let Some(line) = shared.line(trunk) else { continue };
        metrics::counter!("sip_calls_total", "direction" => "out", "trunk" => line.name.clone()).increment(1);
        match ring(&shared, &stack, trunk, &sockets, invitation.as_mut()).await {
            Rang::Answered { call, negotiator, answer } => {
                invitation.answered(&line.name).await;
                return talk(shared, trunk, call, *negotiator, &answer, sockets, invitation).await;
            }
            Rang::Not { reason, sip_code, tries_next } => {
                end = End { reason, sip_code, trunk: Some(line.name.clone()) };
                if !tries_next {
                    break;
                }
                tracing::info!(
                    trunk = line.name,
                    code = sip_code,
                    "a trunk did not take a call; the next one is tried"
                );
                metrics::counter!("sip_failovers_total", "trunk" => line.name.clone()).increment(1);
            }
        }
    }
    let (trunk, reason, code) = (end.trunk.as_deref(), end.reason.label(), end.sip_code);
    tracing::info!(direction = "out", trunk, reason, code, "a phone call was not answered");
    metrics::counter!("sip_calls_ended_total", "direction" => "out", "reason" => reason).increment(1);
    invitation.ended(end).await;
}

/// Trunks that calls may go out by, the best first.
fn order(shared: &Shared, stack: &Stack) -> Vec<TrunkId> {
    let candidates = shared.lines.iter().enumerate().filter(|(_, line)| line.outbound).filter_map(|(index, line)| {
        let trunk = TrunkId(index);
        let state = *stack.trunk(trunk)?.borrow();
        Some(Candidate { trunk, rank: line.rank, healthy: state.healthy, has_room: state.sessions < state.limit })
    });
    stack::order(&candidates.collect::<Vec<_>>(), rand::rng().next_u64())
}

async fn ring(
    shared: &Shared,
    stack: &Stack,
    trunk: TrunkId,
    sockets: &Sockets,
    invitation: &mut dyn Invitation,
) -> Rang {
    let not = |reason, sip_code, tries_next| Rang::Not { reason, sip_code, tries_next };
    let Some(line) = shared.line(trunk) else { return not(EndReason::Unreachable, None, true) };
    let local = SocketAddr::new(shared.announced, sockets.port);
    let mut negotiator = Negotiator::new(local, line.capabilities.clone(), &mut rand::rng());
    let offer = negotiator.offer(&mut OsRng.unwrap_err()).as_str().to_owned();
    let caller = Party { number: line.caller_id.clone(), display: None };
    let order = Order { trunk, number: invitation.number().to_owned(), caller, offer };
    let Ok(mut call) = stack.call(order).await else { return not(EndReason::Failed, None, false) };
    let until = tokio::time::Instant::now() + shared.ring;
    let mut has_rung = false;
    loop {
        let event = tokio::select! {
            event = call.next() => event,
            () = invitation.cancelled() => {
                let _ = call.hang_up().await;
                return not(EndReason::Cancelled, None, false);
            }
            () = sleep_until(until) => {
                let _ = call.hang_up().await;
                return not(EndReason::NoAnswer, None, false);
            }
        };
        match event {
            Some(CallEvent::Ringing | CallEvent::Early(_)) => {
                if !std::mem::replace(&mut has_rung, true) {
                    invitation.ringing().await;
                }
            }
            Some(CallEvent::Answered(answer)) => {
                return Rang::Answered { call, negotiator: Box::new(negotiator), answer };
            }
            Some(CallEvent::Failed(failure)) => {
                let reason = EndReason::of_refusal(failure.code, has_rung);
                return not(reason, Some(failure.code), !has_rung && stack::tries_next(failure.code));
            }
            None | Some(CallEvent::Ended(_)) => return not(EndReason::Failed, None, false),
            Some(
                CallEvent::Trying | CallEvent::Acknowledged { .. } | CallEvent::Changed(_) | CallEvent::Info { .. },
            ) => {}
        }
    }
}

async fn talk(
    shared: Arc<Shared>,
    trunk: TrunkId,
    call: Call,
    mut negotiator: Negotiator,
    answer: &str,
    sockets: Sockets,
    invitation: Box<dyn Invitation>,
) {
    let now = Instant::now();
    let negotiated = negotiator.accept_answer(answer.as_bytes());
    let leg = negotiated.ok().and_then(|negotiated| Leg::new(negotiated, now, &mut rand::rng()).ok());
    let added = leg.and_then(|leg| shared.exchange.add(leg, sockets).ok());
    let Some((leg, happenings)) = added else {
        let _ = call.hang_up().await;
        let trunk = shared.line(trunk).map(|line| line.name.clone());
        return invitation.ended(End { reason: EndReason::Failed, sip_code: Some(488), trunk }).await;
    };
    let ivr = Ivr::new(Way::DialOut, shared.alone_max, now);
    let (entrance, inside) = (Entrance::Invited(invitation), Inside::default());
    Session { shared, trunk, call, negotiator, leg, happenings, ivr, entrance, inside }.run().await;
}
