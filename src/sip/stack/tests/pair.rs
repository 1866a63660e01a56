//! Two agents, a caller and a callee, over a wire that delays, reorders, repeats and loses: whatever happens, both sides agree in the end
//! on what became of a call, and nothing is left of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::alone::{OURS, SDP, seconds, trunk};
use crate::stack::agent::{Agent, Output, Reachable};
use crate::stack::news::{CallId, News, Order, Party, Wish};
use crate::stack::path::{Hop, TrunkId};
use crate::stack::trunk::Trunk;

const AT: [&str; 2] = ["198.51.100.1:5060", "192.0.2.1:5060"];
const TRUNK: TrunkId = TrunkId(0);

/// What the callee does with a call.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Accept,
    RingAndAccept,
    Refuse,
    Ignore,
}

struct Pair {
    now: Instant,
    agents: [Agent; 2],
    /// Datagrams on their way: when they arrive, a number, to whom.
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    carried: u64,
    lossy: f64,
    random: StdRng,
    manner: Manner,
    /// Calls at the callee, by the caller's number.
    arrived: BTreeMap<String, CallId>,
    news: [Vec<(CallId, News)>; 2],
}

impl Pair {
    fn new(lossy: f64, manner: Manner, seed: u64) -> Self {
        let now = Instant::now();
        let agents = [0, 1].map(|side: usize| {
            let reachable = Reachable { udp: AT.get(side).map(|at| (*at).to_owned()), ..Reachable::default() };
            let mut agent = Agent::new(vec![Trunk { sessions: 1000, ..trunk() }], reachable, [side as u8; 32], now);
            agent.resolved(now, TRUNK, AT.get(1 - side).expect("two").parse().expect("an address"));
            agent
        });
        let random = StdRng::seed_from_u64(seed);
        let (wire, arrived, news) = (BTreeMap::new(), BTreeMap::new(), [Vec::new(), Vec::new()]);
        let mut pair = Self { now, agents, wire, carried: 0, lossy, random, manner, arrived, news };
        pair.run(seconds(40));
        pair
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let Some(output) = self.agents[side].poll() {
                match output {
                    Output::Transmit(transmit) => self.carry(1 - side, &transmit.bytes),
                    Output::Arrived(arrival) => {
                        self.arrived.insert(arrival.from.number.unwrap_or_default(), arrival.call);
                        let wishes = match self.manner {
                            Manner::Accept => vec![Wish::Accept(SDP.to_owned())],
                            Manner::RingAndAccept => vec![Wish::Ring, Wish::Accept(SDP.to_owned())],
                            Manner::Refuse => vec![Wish::Reject { code: 486, reason: None }],
                            Manner::Ignore => vec![Wish::Ring],
                        };
                        wishes.into_iter().for_each(|wish| self.agents[side].wish(self.now, arrival.call, wish));
                    }
                    Output::News(call, news) => self.news[side].push((call, news)),
                    Output::Trunk(..) => {}
                }
            }
        }
    }

    fn carry(&mut self, to: usize, bytes: &[u8]) {
        let copies = if self.random.random_bool(self.lossy / 4.0) { 2 } else { 1 };
        for _ in 0..copies {
            if !self.random.random_bool(self.lossy) {
                self.carried += 1;
                let delay = Duration::from_millis(self.random.random_range(5..150));
                self.wire.insert((self.now + delay, self.carried), (to, bytes.to_vec()));
            }
        }
    }

    /// Time passes.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.drain();
            let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
            let next = [arrival, self.agents[0].due(), self.agents[1].due()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let (_, (to, bytes)) = self.wire.pop_first().expect("there is one");
                let from = AT[1 - to].parse().expect("an address");
                self.agents[to].receive(self.now, TRUNK, Hop::Datagram(from), from, &bytes);
            } else {
                self.agents.iter_mut().for_each(|agent| agent.expire(self.now));
            }
        }
        self.now = end;
    }

    fn call(&mut self, id: u64) {
        let caller = Party { number: Some(id.to_string()), display: None };
        let order = Order { trunk: TRUNK, number: "+49302".to_owned(), caller, offer: OURS.to_owned() };
        self.agents[0].call(self.now, CallId(id), &order);
    }

    /// What became of the caller's calls.
    fn answered(&self) -> usize {
        self.news[0].iter().filter(|(_, news)| matches!(news, News::Answered(_))).count()
    }

    fn left(&self) -> [(usize, usize, usize); 2] {
        [0, 1].map(|side: usize| {
            let load = self.agents[side].load();
            (load.calls, load.dialogs, load.transactions)
        })
    }
}

#[test]
fn five_hundred_calls_leave_nothing_behind() {
    let mut pair = Pair::new(0.0, Manner::RingAndAccept, 1);
    for id in 0..500 {
        pair.call(id);
        pair.run(Duration::from_millis(20));
        if id >= 20 {
            // Every other one is ended by the callee.
            match id % 2 {
                0 => pair.agents[0].wish(pair.now, CallId(id - 20), Wish::HangUp),
                _ => {
                    let call = pair.arrived[&(id - 20).to_string()];
                    pair.agents[1].wish(pair.now, call, Wish::HangUp);
                }
            }
        }
    }
    pair.run(seconds(2));
    assert_eq!(pair.answered(), 500);
    for id in 480..500 {
        pair.agents[0].wish(pair.now, CallId(id), Wish::HangUp);
    }
    pair.run(seconds(40));
    assert_eq!(pair.left(), [(0, 0, 0); 2]);
}

#[test]
fn a_call_is_made_over_a_wire_that_loses_every_fifth_datagram() {
    let mut answered = 0;
    for seed in 0..40 {
        let mut pair = Pair::new(0.2, Manner::RingAndAccept, seed);
        pair.call(1);
        pair.run(seconds(60));
        answered += pair.answered();
    }
    assert!(answered >= 39, "{answered} of 40");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The caller hangs up at any moment, the callee does what it does, the wire loses up to a third.
    #[test]
    fn both_sides_agree_in_the_end_and_nothing_is_left(
        seed in any::<u64>(), lossy in 0.0..0.35_f64, hang_up_after in 0..20_000_u64,
        manner in prop_oneof![Just(Manner::Accept), Just(Manner::RingAndAccept), Just(Manner::Refuse), Just(Manner::Ignore)],
    ) {
        let mut pair = Pair::new(lossy, manner, seed);
        pair.call(1);
        pair.run(Duration::from_millis(hang_up_after));
        pair.agents[0].wish(pair.now, CallId(1), Wish::HangUp);
        // What is not heard of the end ends by the callee's own patience: five minutes unanswered, half an hour unrefreshed.
        pair.run(seconds(2000));
        prop_assert_eq!(pair.left(), [(0, 0, 0); 2]);
        let last = |side: usize| pair.news[side].iter().filter(|(_, news)| matches!(news, News::Ended(_) | News::Failed(_))).count();
        prop_assert!(last(0) <= 1 && last(1) <= pair.arrived.len());
    }
}
