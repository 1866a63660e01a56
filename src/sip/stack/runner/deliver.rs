//! What the agent hands back: bytes to the wire, events to those who hold calls, states to those who watch trunks.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::serve::Runner;
use crate::stack::agent::Output;
use crate::stack::handle::{Call, CallEvent, Changed, EVENTS, Incoming, Reply};
use crate::stack::news::{Arrival, CallId, News, Wish};
use crate::stack::path::{Hop, Transmit, TrunkId};

/// Messages that wait for a connection while it is opened.
const WAITING: usize = super::stream::WRITES / 2;

impl Runner {
    pub(super) fn deliver(&mut self, now: Instant) {
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Arrived(arrival) => self.arrived(now, arrival),
                Output::News(call, news) => self.news(now, call, news),
                Output::Trunk(trunk, state) => {
                    if let Some(sender) = self.states.get(trunk.0) {
                        sender.send_replace(state);
                    }
                }
            }
        }
    }

    fn transmit(&mut self, Transmit { path, bytes }: Transmit) {
        let open = |hop| match hop {
            Hop::Connection(connection) => self.connections.get_key_value(&connection),
            // The newest, for a trunk may have left older ones half open.
            _ => {
                self.connections.iter().filter(|(_, open)| open.trunk == path.trunk).max_by_key(|(number, _)| **number)
            }
        };
        let found = match path.hop {
            Hop::Datagram(address) => {
                // A socket that takes nothing loses what it is given; that is what datagrams are repeated for.
                let sent = self.udp.as_ref().is_some_and(|socket| socket.try_send_to(&bytes, address).is_ok());
                if !sent {
                    metrics::counter!("sip_sends_failed_total").increment(1);
                }
                return;
            }
            hop => open(hop).or_else(|| open(Hop::Trunk)),
        };
        if let Some((number, connection)) = found {
            let number = *number;
            if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) = connection.writes.try_send(bytes) {
                metrics::counter!("sip_sends_failed_total").increment(1);
                self.connections.remove(&number);
            }
            return;
        }
        self.wait_for_connection(path.trunk, bytes);
    }

    fn wait_for_connection(&mut self, trunk: TrunkId, bytes: Vec<u8>) {
        if let Some(waiting) = self.dialling.get_mut(&trunk) {
            if waiting.len() < WAITING {
                waiting.push(bytes);
            } else {
                metrics::counter!("sip_sends_failed_total").increment(1);
            }
            return;
        }
        self.dialling.insert(trunk, vec![bytes]);
        self.dial(trunk);
    }

    fn arrived(&mut self, now: Instant, arrival: Arrival) {
        let Arrival { call: id, trunk, from, called, asserted, diversion, withheld, offer } = arrival;
        let (sender, events) = mpsc::channel(EVENTS);
        let Some(commands) = self.commands_in.upgrade() else {
            return self.agent.wish(now, id, Wish::Reject { code: 503, reason: None });
        };
        let call = Call { id, commands, events };
        self.calls.insert(id, sender);
        let incoming = Incoming { call, trunk, from, called, asserted, diversion, withheld, offer };
        if let Err(TrySendError::Full(incoming) | TrySendError::Closed(incoming)) = self.incoming.try_send(incoming) {
            self.calls.remove(&id);
            metrics::counter!("sip_calls_refused_total", "why" => "not taken").increment(1);
            self.agent.wish(now, id, Wish::Reject { code: 503, reason: None });
            drop(incoming);
        }
    }

    fn news(&mut self, now: Instant, id: CallId, news: News) {
        let last = matches!(news, News::Failed(_) | News::Ended(_));
        let Some(events) = self.calls.get(&id) else { return };
        let event = match news {
            News::Trying => CallEvent::Trying,
            News::Ringing => CallEvent::Ringing,
            News::Early(sdp) => CallEvent::Early(sdp),
            News::Answered(sdp) => CallEvent::Answered(sdp),
            News::Failed(failure) => CallEvent::Failed(failure),
            News::Acknowledged(answer) => CallEvent::Acknowledged { answer },
            News::Info { kind, body } => CallEvent::Info { kind, body },
            News::Ended(why) => CallEvent::Ended(why),
            News::Changed { offer, change } => {
                let Some(commands) = self.commands_in.upgrade() else { return };
                CallEvent::Changed(Changed { offer, reply: Reply { call: id, change: Some(change), commands } })
            }
        };
        let delivered = events.try_send(event).is_ok();
        if last || !delivered {
            self.calls.remove(&id);
        }
        if !delivered && !last {
            metrics::counter!("sip_calls_refused_total", "why" => "events not taken").increment(1);
            self.agent.wish(now, id, Wish::HangUp);
        }
    }
}
