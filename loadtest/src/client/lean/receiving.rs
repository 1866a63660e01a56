//! The thread that owns all sockets: it reads what comes to every client, and says what clients say about it.
//!
//! ```text
//! epoll -> socket with datagrams -> Inbox -> Connection -> requests, keys -> sending thread
//!       -> event -> orders (connect, leave, look ...)
//! timers -> Connection -> checks, handshake, feedback -> Outbox -> socket
//! ```
//!
//! The thread reads the clock once a batch. One timer is kept a connection; one that became wrong is skipped when it
//! comes up. While nobody connects, it takes a turn a millisecond at most, as a network card's interrupts are moderated:
//! datagrams wait in their sockets, the kernel's times of arrival lose nothing by that, and the server is not slowed by
//! waking a reader for each of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::thread::nanosleep;
use slab::Slab;
use tokio::sync::oneshot;

use super::connection::{Connection, MediaError, News, Setup};
use super::dtls::Identity;
use super::inbound::{Receiving, Volume};
use super::mailbox::{Mailbox, Orders};
use super::sending;
use super::socket::{Inbox, Outbox};
use super::totals::Totals;
use crate::client::{Epoch, Kind, Micros, WallClock};

/// The event that says that there are orders.
const ORDERS: u64 = u64::MAX;
/// Events of one look.
const EVENTS: usize = 256;
/// Batches that are read from one socket before the others have their turn.
const BATCHES: usize = 4;
/// From one turn to the next while nobody connects.
pub(crate) const TURN: Micros = 1_000;
/// The longest sleep, so that the thread's processor time is known.
const NAP: Micros = 50_000;

/// What the thread is asked to do.
pub(crate) enum Order {
    /// Connect a client of that number over that socket.
    Connect(u32, UdpSocket, Box<Setup>),
    /// End a client, whose sources stopped at that time.
    Leave(u32, Micros, oneshot::Sender<Ended>),
    /// Tell how far everybody is.
    Look(oneshot::Sender<Look>),
    /// The measured window begins.
    Window,
    /// End.
    Stop,
}

/// What is left of a client.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: it never connected.
    pub(crate) receiving: Option<Receiving>,
    pub(crate) lost: Option<MediaError>,
}

/// How far everybody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Clients whose connection was lost.
    pub(crate) lost: usize,
    /// Clients that have audio slots, and nothing came.
    pub(crate) without_audio: usize,
    /// As above.
    pub(crate) without_video: usize,
}

struct Seat {
    number: u32,
    socket: UdpSocket,
    connection: Connection,
    connecting: bool,
    scheduled: Micros,
}

/// The thread.
pub(crate) struct Receiver {
    epoch: Epoch,
    identity: Identity,
    epoll: OwnedFd,
    orders: Orders<Order>,
    sending: Mailbox<sending::Order>,
    totals: Arc<Totals>,
    seats: Slab<Seat>,
    by_number: HashMap<u32, usize>,
    /// Clients that wait for their keys: each round trip of theirs counts.
    connecting: usize,
    timers: BinaryHeap<Reverse<(Micros, usize)>>,
    inbox: Inbox,
    outbox: Outbox,
    wall: WallClock,
}

/// What the thread sleeps on.
pub(crate) fn watch(orders: &Orders<Order>) -> io::Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, orders.event(), epoll::EventData::new_u64(ORDERS), epoll::EventFlags::IN)?;
    Ok(epoll)
}

impl Receiver {
    /// To be made in the thread itself: what it receives into stays there.
    pub(crate) fn new(
        epoch: Epoch,
        identity: Identity,
        orders: Orders<Order>,
        sending: Mailbox<sending::Order>,
        totals: Arc<Totals>,
        epoll: OwnedFd,
    ) -> Self {
        Self {
            epoch,
            identity,
            epoll,
            orders,
            sending,
            totals,
            seats: Slab::new(),
            by_number: HashMap::new(),
            connecting: 0,
            timers: BinaryHeap::new(),
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            wall: WallClock::new(epoch),
        }
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        let mut turn = 0;
        loop {
            self.totals.note_receiving_cpu();
            // After a full look more are waiting already.
            if events.len() < EVENTS {
                self.rest(turn);
            }
            turn = self.epoch.micros();
            let sleep = self.until_next().min(NAP);
            let timeout = Timespec { tv_sec: 0, tv_nsec: (sleep * 1_000) as i64 };
            events.clear();
            // Fails only when a signal came in between.
            let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout));
            self.wall.keep(self.epoch.micros());
            for event in &events {
                let epoll::Event { data, .. } = *event;
                match data.u64() {
                    ORDERS => {
                        self.orders.calm();
                        while let Some(order) = self.orders.next() {
                            if let Order::Stop = order {
                                return;
                            }
                            self.obey(order);
                        }
                    }
                    key => self.read(key as usize),
                }
            }
            self.wake_sleepers();
        }
    }

    /// Waits until the next turn may begin, which is a while after the last began.
    fn rest(&self, last: Micros) {
        let passed = self.epoch.micros().saturating_sub(last);
        if self.connecting == 0 && passed < TURN {
            // A signal may end it early, which only makes the turn shorter.
            let _ = nanosleep(&Timespec { tv_sec: 0, tv_nsec: ((TURN - passed) * 1_000) as i64 });
        }
    }

    fn until_next(&self) -> Micros {
        let now = self.epoch.micros();
        self.timers.peek().map_or(Micros::MAX, |Reverse((at, _))| at.saturating_sub(now))
    }

    fn wake_sleepers(&mut self) {
        let now = self.epoch.micros();
        while let Some(Reverse((at, key))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let Some(seat) = self.seats.get_mut(key).filter(|seat| seat.scheduled == at) else { continue };
            seat.connection.handle_timeout(now, &mut self.outbox);
            self.outbox.send(&seat.socket);
            seat.scheduled = Micros::MAX;
            self.schedule(key);
        }
    }

    /// Keeps the timer of a connection that may have become earlier.
    fn schedule(&mut self, key: usize) {
        let Some(seat) = self.seats.get_mut(key) else { return };
        if seat.connecting && !seat.connection.is_connecting() {
            seat.connecting = false;
            self.connecting -= 1;
        }
        let at = seat.connection.poll_timeout();
        if at < seat.scheduled {
            seat.scheduled = at;
            self.timers.push(Reverse((at, key)));
        }
    }

    fn read(&mut self, key: usize) {
        let mut volume = Volume::default();
        for _ in 0..BATCHES {
            let Some(Seat { number, socket, connection, .. }) = self.seats.get_mut(key) else { return };
            let (mut now, mut first, limit) = (0, true, connection.limit());
            let (epoch, wall, outbox, sending) = (self.epoch, self.wall, &mut self.outbox, &self.sending);
            let drained = self.inbox.receive(socket, limit, |datagram| {
                if std::mem::take(&mut first) {
                    now = epoch.micros();
                }
                let at = wall.read(datagram.arrived, now);
                match connection.datagram(&datagram, at, now, &mut volume, outbox) {
                    Some(News::Keys(keys, plan)) => {
                        // Without the other thread nothing is sent, which the report shows.
                        if let Some((plan, socket)) = plan.zip(socket.try_clone().ok()) {
                            let _ = sending.send(sending::Order::Begin(*number, socket, keys, Box::new(plan)));
                        }
                        connection.tell(now);
                    }
                    Some(News::Requests(requests)) => {
                        for request in requests {
                            sending.offer(sending::Order::Request(*number, request));
                        }
                    }
                    None => {}
                }
            });
            self.outbox.send(socket);
            // A pending error is that the server's port is closed, which consent will tell.
            if !drained.unwrap_or(false) {
                break;
            }
        }
        self.totals.received(&volume);
        self.schedule(key);
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Connect(number, socket, setup) => self.connect(number, socket, *setup),
            Order::Leave(number, end, reply) => {
                let ended = self.leave(number, end);
                // Whoever asked may have gone meanwhile.
                let _ = reply.send(ended);
            }
            Order::Look(reply) => {
                let _ = reply.send(self.look());
            }
            Order::Window => {
                let now = self.epoch.micros();
                for (_, seat) in &mut self.seats {
                    seat.connection.inbound().into_iter().for_each(|inbound| inbound.begin_window(now));
                }
            }
            // Taken before it comes here.
            Order::Stop => {}
        }
    }

    fn connect(&mut self, number: u32, socket: UdpSocket, setup: Setup) {
        let connection = Connection::new(setup, self.identity.clone(), self.epoch, self.epoch.micros());
        let entry = self.seats.vacant_entry();
        let key = entry.key();
        let data = epoll::EventData::new_u64(key as u64);
        // Fails when the kernel's limit of watches is reached: the client hears nothing and says so in time.
        let _ = epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN);
        entry.insert(Seat { number, socket, connection, connecting: true, scheduled: Micros::MAX });
        self.connecting += 1;
        self.by_number.insert(number, key);
        self.schedule(key);
    }

    fn leave(&mut self, number: u32, end: Micros) -> Ended {
        let seat = self.by_number.remove(&number).and_then(|key| self.seats.try_remove(key));
        let Some(Seat { socket, connection, connecting, .. }) = seat else {
            return Ended { receiving: None, lost: None };
        };
        self.connecting -= usize::from(connecting);
        // The publisher's half keeps a copy of the socket, so that closing ours would not end the watch.
        let _ = epoll::delete(&self.epoll, &socket);
        let (receiving, lost) = connection.leave(end, self.epoch.micros(), &mut self.outbox);
        self.outbox.send(&socket);
        Ended { receiving, lost }
    }

    fn look(&mut self) -> Look {
        let mut look = Look::default();
        for (_, seat) in &mut self.seats {
            look.lost += usize::from(seat.connection.is_lost());
            if let Some(inbound) = seat.connection.inbound() {
                look.without_audio += usize::from(inbound.lacks(Kind::Audio));
                look.without_video += usize::from(inbound.lacks(Kind::Video));
            }
        }
        look
    }
}
