//! The thread that publishes: it sleeps to the next packet's time and sends what is due, undisturbed by what comes in.
//!
//! ```text
//! orders (begin, request, silence, end) -> Publisher
//! time -> Publisher -> Outbox -> the client's socket, in one call
//! ```

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::UdpSocket;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::oneshot;

use super::inbound::Request;
use super::mailbox::Orders;
use super::publisher::{Plan, Published, Publisher};
use super::socket::Outbox;
use super::srtp::Keys;
use super::totals::Totals;
use crate::client::{Epoch, Micros};

/// The longest sleep, so that the thread's processor time is known.
const NAP: Micros = 50_000;

/// What the thread is asked to do.
pub(crate) enum Order {
    /// Publish, as the client of that number.
    Begin(u32, UdpSocket, Keys, Box<Plan>),
    /// The server wants something of that client's streams.
    Request(u32, Request),
    /// Everybody stops sending, but still answers requests.
    Silence,
    /// That client ends.
    End(u32, oneshot::Sender<Option<Published>>),
    /// End.
    Stop,
}

struct Seat {
    socket: UdpSocket,
    publisher: Publisher,
    scheduled: Micros,
}

/// The thread.
pub(crate) struct Sender {
    epoch: Epoch,
    orders: Orders<Order>,
    totals: Arc<Totals>,
    seats: HashMap<u32, Seat>,
    timers: BinaryHeap<Reverse<(Micros, u32)>>,
    outbox: Outbox,
}

impl Sender {
    /// To be made in the thread itself: what it sends from stays there.
    pub(crate) fn new(epoch: Epoch, orders: Orders<Order>, totals: Arc<Totals>) -> Self {
        Self { epoch, orders, totals, seats: HashMap::new(), timers: BinaryHeap::new(), outbox: Outbox::new() }
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        // The kernel may otherwise wake us 50 us late to save power. Not everywhere can that be asked for.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        loop {
            self.totals.note_sending_cpu();
            self.sleep();
            self.orders.calm();
            while let Some(order) = self.orders.next() {
                if let Order::Stop = order {
                    return;
                }
                self.obey(order);
            }
            self.publish();
        }
    }

    fn sleep(&self) {
        let now = self.epoch.micros();
        let next = self.timers.peek().map_or(Micros::MAX, |Reverse((at, _))| at.saturating_sub(now));
        let timeout = Timespec { tv_sec: 0, tv_nsec: (next.min(NAP) * 1_000) as i64 };
        let mut fds = [PollFd::from_borrowed_fd(self.orders.event(), PollFlags::IN)];
        // Fails only when a signal came in between.
        let _ = poll(&mut fds, Some(&timeout));
    }

    fn publish(&mut self) {
        loop {
            // Read anew each time, so that a late thread knows how late it is.
            let now = self.epoch.micros();
            let Some(Reverse((at, number))) = self.timers.peek().copied().filter(|Reverse((at, _))| *at <= now) else {
                return;
            };
            self.timers.pop();
            let Some(seat) = self.seats.get_mut(&number).filter(|seat| seat.scheduled == at) else { continue };
            self.totals.lateness(now - at);
            let before = seat.publisher.sent;
            seat.publisher.run(self.epoch, now, &mut self.outbox);
            seat.publisher.sent.refused += self.outbox.send(&seat.socket) as u64;
            self.totals.sent(&before, &seat.publisher.sent);
            seat.scheduled = seat.publisher.next();
            self.timers.push(Reverse((seat.scheduled, number)));
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Begin(number, socket, keys, plan) => {
                let now = self.epoch.micros();
                if let Some(publisher) = Publisher::begin(*plan, &keys, now) {
                    self.seats.insert(number, Seat { socket, publisher, scheduled: now });
                    self.timers.push(Reverse((now, number)));
                }
            }
            Order::Request(number, request) => {
                let Some(seat) = self.seats.get_mut(&number) else { return };
                match request {
                    Request::KeyFrame(ssrc) => seat.publisher.key_frame(ssrc),
                    Request::Again(ssrc, numbers) => {
                        seat.publisher.retransmit(ssrc, &numbers, &mut self.outbox);
                        seat.publisher.sent.refused += self.outbox.send(&seat.socket) as u64;
                    }
                }
            }
            Order::Silence => {
                for seat in self.seats.values_mut() {
                    seat.publisher.fall_silent();
                    seat.scheduled = Micros::MAX;
                }
                self.timers.clear();
            }
            Order::End(number, reply) => {
                let published = self.seats.remove(&number).map(|seat| seat.publisher.finish());
                // Whoever asked may have gone meanwhile.
                let _ = reply.send(published);
            }
            // Taken before it comes here.
            Order::Stop => {}
        }
    }
}
