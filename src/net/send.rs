//! Sending: many trains in few `sendmmsg` calls, each train one pass through the kernel where it can segment (UDP GSO).
//!
//! Fed by the shard's turn with routes and ranges of one slab of sealed packets; drained by the kernel. What the kernel
//! refuses is told train by train; the trains of other receivers go on. Where it will not segment a train, the train is
//! sent as single datagrams.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use crate::abi::{Control, Family, Name};
use crate::route::Route;
use crate::socket::Socket;
use crate::sys::{self, Frames, Outbound};

/// Messages of one call; the kernel takes up to 1,024, but beyond some dozens a call costs nothing any more.
const MESSAGES: usize = 64;

/// Segments that every kernel with GSO takes in one message. Longer trains are cut.
pub const TRAIN_SEGMENTS_MAX: usize = 64;

/// Bytes that fit into one message (65,535 less the IPv4 and UDP headers). Longer trains are cut.
pub const TRAIN_BYTES_MAX: usize = 65_507;

/// Datagrams that leave together for one receiver.
#[derive(Clone, Copy, Debug)]
pub struct Train {
    /// Where to.
    pub route: Route,
    /// The first byte within the bytes of the call.
    pub start: usize,
    /// The bytes of all its datagrams, which lie behind each other.
    pub len: usize,
    /// The length of each datagram but the last, which may be shorter. 0, or `len` and more: it is one datagram.
    pub segment: u16,
}

/// Why a train, or the rest of it, was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// The kernel's send buffer is full. Later trains of the call were not tried.
    BufferFull,
    /// The kernel will not send to this destination, or the train's range is empty or outside the bytes
    /// (`InvalidInput`).
    Refused(io::ErrorKind),
}

/// Message headers for sending, made once and used for ever.
pub struct SendBatch {
    frames: Frames,
    plan: Plan,
}

impl SendBatch {
    /// Allocates the headers (some 25 KiB).
    #[must_use]
    pub fn new() -> Self {
        Self { frames: Frames::new(MESSAGES), plan: Plan::new() }
    }
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBatch").finish_non_exhaustive()
    }
}

impl Socket {
    /// Sends `trains`, whose ranges are those of `bytes`, in order. `failed` gets the index of each train that was not
    /// sent, or not to its end, once, in ascending order.
    pub fn send_trains(
        &self,
        batch: &mut SendBatch,
        trains: &[Train],
        bytes: &[u8],
        failed: impl FnMut(usize, SendFailure),
    ) {
        let SendBatch { frames, plan } = batch;
        let mut kernel = KernelDoor { socket: self, frames };
        plan.run(&mut kernel, self.family, trains, bytes, failed);
    }

    /// Sends one datagram, without a batch. `Ok(false)`: the kernel's buffer is full and the datagram is lost, as on any
    /// network.
    ///
    /// # Errors
    /// What the kernel says of this destination (unreachable, not permitted); other destinations are not affected.
    pub fn send(&self, route: Route, datagram: &[u8]) -> io::Result<bool> {
        let mut message = Message::EMPTY;
        message.write(&route, self.family, 0, datagram.len(), 0);
        let mut retried = false;
        loop {
            let Err(error) = sys::send_one(self.as_fd(), &mut message.outbound, datagram) else { return Ok(true) };
            match Verdict::of(&error, false) {
                Verdict::Interrupted => {}
                Verdict::Full => return Ok(false),
                Verdict::Unreachable if !retried => retried = true,
                _ => return Err(error),
            }
        }
    }
}

/// What the plan needs of the kernel; the tests put a scripted one here.
trait Door {
    fn segments(&self) -> bool;
    fn stop_segmenting(&mut self);
    /// Takes the first so many messages, or fails at the first.
    fn send(&mut self, messages: &mut [Message], bytes: &[u8]) -> io::Result<usize>;
}

struct KernelDoor<'a> {
    socket: &'a Socket,
    frames: &'a mut Frames,
}

impl Door for KernelDoor<'_> {
    fn segments(&self) -> bool {
        self.socket.segments()
    }

    fn stop_segmenting(&mut self) {
        self.socket.stop_segmenting();
    }

    fn send(&mut self, messages: &mut [Message], bytes: &[u8]) -> io::Result<usize> {
        sys::send(self.socket.as_fd(), self.frames, messages.iter_mut().map(|message| &mut message.outbound), bytes)
    }
}

/// A place within the trains of a call: the next byte to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    train: usize,
    /// From the train's start.
    offset: usize,
}

impl Place {
    const fn next_train(self) -> Self {
        Self { train: self.train + 1, offset: 0 }
    }
}

/// One message of the plan: what the kernel gets, and which place of the trains it is.
#[derive(Clone, Copy)]
struct Message {
    outbound: Outbound,
    place: Place,
    /// The kernel is asked to segment it.
    segmented: bool,
}

impl Message {
    const EMPTY: Self = Self {
        outbound: Outbound {
            name: Name::EMPTY,
            name_len: 0,
            control: Control::EMPTY,
            control_len: 0,
            start: 0,
            len: 0,
        },
        place: Place { train: 0, offset: 0 },
        segmented: false,
    };

    /// `segment` 0: one datagram.
    fn write(&mut self, route: &Route, family: Family, start: usize, len: usize, segment: u16) {
        let outbound = &mut self.outbound;
        outbound.name_len = outbound.name.encode(route.remote, family);
        outbound.control_len = outbound.control.encode(route, family, segment);
        outbound.start = start;
        outbound.len = len;
        self.segmented = segment > 0;
    }
}

/// The messages of the next call.
struct Plan {
    messages: Vec<Message>,
}

impl Plan {
    fn new() -> Self {
        Self { messages: vec![Message::EMPTY; MESSAGES] }
    }

    /// Fills and sends until the trains are at their end. Every error sets the place from which the next filling goes
    /// on, so that there is one way to continue.
    fn run(
        &mut self,
        door: &mut impl Door,
        family: Family,
        trains: &[Train],
        bytes: &[u8],
        mut failed: impl FnMut(usize, SendFailure),
    ) {
        let mut place = Place::default();
        // The train that the kernel would not segment.
        let mut single = None;
        // The message whose first failure may have been the late news of another's.
        let mut retried = None;
        while place.train < trains.len() {
            let (filled, next) = self.fill(place, trains, bytes.len(), family, door.segments(), single);
            let Some(messages) = self.messages.get_mut(..filled).filter(|messages| !messages.is_empty()) else {
                failed(place.train, SendFailure::Refused(io::ErrorKind::InvalidInput));
                place = place.next_train();
                continue;
            };
            let Some((stop, error)) = flush(door, messages, bytes) else {
                place = next;
                continue;
            };
            place = stop.place;
            match Verdict::of(&error, stop.segmented) {
                Verdict::Interrupted => {}
                Verdict::Full => {
                    (place.train..trains.len()).for_each(|train| failed(train, SendFailure::BufferFull));
                    return;
                }
                Verdict::NoSegments { ever } => {
                    single = Some(place.train);
                    if ever {
                        door.stop_segmenting();
                    }
                }
                Verdict::Unreachable if retried != Some(place) => retried = Some(place),
                Verdict::Unreachable | Verdict::Refused => {
                    failed(place.train, SendFailure::Refused(error.kind()));
                    place = place.next_train();
                }
            }
        }
    }

    /// Writes messages from `place` on. Returns how many and where they end; none when the train at `place` is no valid
    /// range. It stops short of such a train, so that failures are told in order.
    fn fill(
        &mut self,
        mut place: Place,
        trains: &[Train],
        bytes: usize,
        family: Family,
        segments: bool,
        single: Option<usize>,
    ) -> (usize, Place) {
        let mut filled = 0;
        for message in &mut self.messages {
            let Some(train) = trains.get(place.train) else { break };
            let Some(rest) = train.rest(place.offset, bytes) else { break };
            let (len, segment) = train.cut(rest, segments && single != Some(place.train));
            message.write(&train.route, family, train.start + place.offset, len, segment);
            message.place = place;
            filled += 1;
            place = if len < rest { Place { offset: place.offset + len, ..place } } else { place.next_train() };
        }
        (filled, place)
    }
}

/// Sends the messages in as many calls as it takes. Returns the message at which it failed, if any.
fn flush(door: &mut impl Door, messages: &mut [Message], bytes: &[u8]) -> Option<(Message, io::Error)> {
    let mut rest = messages;
    while let Some(first) = rest.first().copied() {
        match door.send(rest, bytes) {
            // The kernel never takes none without an error; if it did, this would never end.
            Ok(0) => return Some((first, io::ErrorKind::WouldBlock.into())),
            Ok(sent) => rest = rest.get_mut(sent..).unwrap_or_default(),
            Err(error) => return Some((first, error)),
        }
    }
    None
}

impl Train {
    /// Bytes from `offset` to the end; none when the train is empty or not within `bytes`.
    fn rest(&self, offset: usize, bytes: usize) -> Option<usize> {
        let end = self.start.checked_add(self.len)?;
        self.len.checked_sub(offset).filter(|rest| *rest > 0 && end <= bytes)
    }

    /// The length of the next message, given that `rest` bytes are left, and the segment length to ask the kernel for
    /// (0: none).
    fn cut(&self, rest: usize, segments: bool) -> (usize, u16) {
        let segment = usize::from(self.segment);
        if segment == 0 || segment >= self.len {
            return (rest, 0);
        }
        if !segments {
            return (rest.min(segment), 0);
        }
        let most = TRAIN_SEGMENTS_MAX.min(TRAIN_BYTES_MAX / segment).max(1) * segment;
        let len = rest.min(most);
        (len, if len > segment { self.segment } else { 0 })
    }
}

/// What an error of the kernel means for the message that it stopped at.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// A signal; nothing was done.
    Interrupted,
    /// No room for this one, nor for those behind it.
    Full,
    /// It must be sent as single datagrams: this one, or all that come.
    NoSegments { ever: bool },
    /// Perhaps the ICMP answer to an earlier datagram, which the kernel tells once, on whichever call comes next.
    Unreachable,
    /// This destination, for good.
    Refused,
}

impl Verdict {
    fn of(error: &io::Error, segmented: bool) -> Self {
        match (error.raw_os_error(), error.kind()) {
            (_, io::ErrorKind::Interrupted) => Self::Interrupted,
            (_, io::ErrorKind::WouldBlock) | (Some(libc::ENOBUFS | libc::ENOMEM), _) => Self::Full,
            // The device cannot do the checksums: true for all trains.
            (Some(libc::EIO), _) if segmented => Self::NoSegments { ever: true },
            // Segments longer than this path's MTU, mostly. That is one receiver's affair: if it ended segmentation for
            // all, a forged ICMP message could slow down the server.
            (Some(libc::EINVAL | libc::EMSGSIZE | libc::ENOPROTOOPT), _) if segmented => {
                Self::NoSegments { ever: false }
            }
            (Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN), _) => {
                Self::Unreachable
            }
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::strategy::Strategy as _;
    use std::collections::VecDeque;

    /// A kernel that answers by a script and writes down what it took: (first byte, length, segmented).
    #[derive(Default)]
    struct Script {
        segments: bool,
        /// For each call: how many messages to take at most, or the error. At its end everything is taken.
        answers: VecDeque<Result<usize, i32>>,
        sent: Vec<(usize, usize, bool)>,
    }

    impl Door for Script {
        fn segments(&self) -> bool {
            self.segments
        }

        fn stop_segmenting(&mut self) {
            self.segments = false;
        }

        fn send(&mut self, messages: &mut [Message], _: &[u8]) -> io::Result<usize> {
            let taken = match self.answers.pop_front() {
                Some(Err(code)) => return Err(io::Error::from_raw_os_error(code)),
                Some(Ok(most)) => most.min(messages.len()),
                None => messages.len(),
            };
            let taken_messages = messages.iter().take(taken);
            self.sent.extend(taken_messages.map(|m| (m.outbound.start, m.outbound.len, m.segmented)));
            Ok(taken)
        }
    }

    fn train(start: usize, len: usize, segment: u16) -> Train {
        let route = Route { local: None, remote: "127.0.0.1:9".parse().unwrap() };
        Train { route, start, len, segment }
    }

    /// What the kernel took, what was told to have failed, and whether it still segments.
    type Outcome = (Vec<(usize, usize, bool)>, Vec<(usize, SendFailure)>, bool);

    fn run(trains: &[Train], answers: impl IntoIterator<Item = Result<usize, i32>>) -> Outcome {
        let mut script = Script { segments: true, answers: answers.into_iter().collect(), ..Script::default() };
        let bytes = vec![0; 200_000];
        let mut failures = Vec::new();
        Plan::new().run(&mut script, Family::V4, trains, &bytes, |train, failure| failures.push((train, failure)));
        (script.sent, failures, script.segments)
    }

    /// A train of two segments, a single datagram, a train of three.
    fn three() -> [Train; 3] {
        [train(0, 150, 100), train(1000, 50, 0), train(2000, 300, 100)]
    }

    #[test]
    fn a_train_is_one_message_and_a_lone_datagram_is_not_segmented() {
        let (sent, failures, _) = run(&three(), []);
        assert_eq!(sent, [(0, 150, true), (1000, 50, false), (2000, 300, true)]);
        assert!(failures.is_empty());
    }

    #[test]
    fn sending_goes_on_behind_what_the_kernel_took() {
        let (sent, failures, _) = run(&three(), [Ok(1), Err(libc::EINTR), Ok(1), Ok(1)]);
        assert_eq!(sent, [(0, 150, true), (1000, 50, false), (2000, 300, true)]);
        assert!(failures.is_empty());
    }

    #[test]
    fn a_full_buffer_ends_the_call_and_is_told_for_every_later_train() {
        for code in [libc::EAGAIN, libc::ENOBUFS] {
            let (sent, failures, _) = run(&three(), [Ok(1), Err(code)]);
            assert_eq!(sent, [(0, 150, true)]);
            assert_eq!(failures, [(1, SendFailure::BufferFull), (2, SendFailure::BufferFull)]);
        }
    }

    #[test]
    fn a_refused_destination_harms_no_other() {
        let (sent, failures, segments) = run(&three(), [Ok(1), Err(libc::EPERM)]);
        assert_eq!(sent, [(0, 150, true), (2000, 300, true)]);
        assert_eq!(failures, [(1, SendFailure::Refused(io::ErrorKind::PermissionDenied))]);
        assert!(segments);
    }

    #[test]
    fn late_news_of_an_earlier_datagram_costs_none_of_this_call() {
        let (sent, failures, _) = run(&three(), [Err(libc::ECONNREFUSED)]);
        assert_eq!(sent.len(), 3);
        assert!(failures.is_empty());
        // If it comes twice for one message, it is about this destination.
        let (sent, failures, _) = run(&three(), [Err(libc::ECONNREFUSED), Err(libc::ECONNREFUSED)]);
        assert_eq!(sent, [(1000, 50, false), (2000, 300, true)]);
        assert_eq!(failures, [(0, SendFailure::Refused(io::ErrorKind::ConnectionRefused))]);
    }

    #[test]
    fn a_train_too_long_for_its_path_goes_out_in_single_datagrams_and_the_others_as_trains() {
        for code in [libc::EINVAL, libc::EMSGSIZE, libc::ENOPROTOOPT] {
            let (sent, failures, segments) = run(&three(), [Err(code)]);
            assert_eq!(sent, [(0, 100, false), (100, 50, false), (1000, 50, false), (2000, 300, true)]);
            assert!(failures.is_empty());
            assert!(segments);
        }
    }

    #[test]
    fn a_kernel_that_cannot_segment_is_not_asked_again() {
        let (sent, failures, segments) = run(&three(), [Ok(2), Err(libc::EIO)]);
        let singles = [(2000, 100, false), (2100, 100, false), (2200, 100, false)];
        assert_eq!(sent[2..], singles);
        assert!(failures.is_empty());
        assert!(!segments);
    }

    #[test]
    fn a_train_longer_than_the_kernel_takes_is_cut_at_whole_segments() {
        let (sent, failures, _) = run(&[train(0, 6_450, 100), train(0, 130_000, 1_200)], []);
        assert_eq!(sent[..2], [(0, 6_400, true), (6_400, 50, false)]);
        assert_eq!(sent[2..], [(0, 64_800, true), (64_800, 64_800, true), (129_600, 400, false)]);
        assert!(failures.is_empty());
    }

    #[test]
    fn more_messages_than_one_call_takes_are_sent_in_order() {
        let trains: Vec<Train> = (0..150).map(|i| train(i * 10, 10, 0)).collect();
        let (sent, failures, _) = run(&trains, [Ok(64), Err(libc::EPERM)]);
        let expected: Vec<_> = (0..150).filter(|i| *i != 64).map(|i| (i * 10, 10, false)).collect();
        assert_eq!(sent, expected);
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].0, 64);
    }

    #[test]
    fn a_train_outside_the_bytes_is_refused_and_the_others_are_sent() {
        let invalid = SendFailure::Refused(io::ErrorKind::InvalidInput);
        let trains = [train(0, 0, 10), train(0, 10, 0), train(199_999, 2, 1), train(usize::MAX, 2, 1), train(0, 9, 3)];
        let (sent, failures, _) = run(&trains, []);
        assert_eq!(sent, [(0, 10, false), (0, 9, true)]);
        assert_eq!(failures, [(0, invalid), (2, invalid), (3, invalid)]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_lengths_every_byte_of_a_valid_train_leaves_once(
            shapes in proptest::collection::vec((0usize..210_000, 0usize..210_000, 0u16..), 0..20),
            answers in proptest::collection::vec(
                proptest::prop_oneof![(1usize..70).prop_map(Ok), (0i32..134).prop_map(Err)], 0..20),
        ) {
            let trains: Vec<Train> = shapes.into_iter().map(|(start, len, segment)| train(start, len, segment)).collect();
            let (sent, failures, _) = run(&trains, answers);
            // In order, each at most once.
            proptest::prop_assert!(failures.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let failed: usize = failures.iter().map(|(train, _)| trains[*train].len).sum();
            let whole: usize = trains.iter().map(|train| train.len).sum();
            let left: usize = sent.iter().map(|(_, len, _)| len).sum();
            proptest::prop_assert!(left + failed >= whole);
            proptest::prop_assert!(left <= whole);
            if failures.is_empty() {
                proptest::prop_assert_eq!(left, whole);
            }
        }
    }
}
