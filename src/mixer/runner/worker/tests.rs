#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use engine::clock::Epoch;
use engine::id::{ParticipantId, PublicationId};

use super::super::subscription::{Form, MixClosed, MixReceiver, Subscriptions};
use super::*;

fn worker() -> Worker {
    let next = std::sync::Arc::new(AtomicU32::new(0));
    Worker::new(Box::new(move |meeting| {
        let next = std::sync::Arc::clone(&next);
        let names = Box::new(move || PublicationId(next.fetch_add(1, Ordering::Relaxed)));
        Room::new(meeting, engine::tap::channel().1, Epoch::new(Instant::now()), names)
    }))
}

const LISTENER: EndpointId = EndpointId(5);
const YES: Wanted = Wanted::Yes(ParticipantId(5), ShardIndex::FIRST);

fn wish(meeting: u128, wanted: Wanted) -> Mail {
    let mut mail = Mail::default();
    mail.wishes.insert((MeetingId(meeting), LISTENER), wanted);
    mail
}

fn subscription(meeting: u128) -> (Mail, MixReceiver) {
    let (subscription, receiver) = Subscriptions::default().begin(None, Form::Samples);
    (Mail { subscriptions: vec![(MeetingId(meeting), subscription)], ..Mail::default() }, receiver)
}

fn heard(receiver: &MixReceiver) -> Result<bool, MixClosed> {
    receiver.recv(Duration::ZERO).map(|heard| heard.is_some())
}

fn nothing(_: ShardIndex, _: MixOrder) {}

fn hears(meeting: u128) -> impl Fn(&MixOrder) -> bool {
    move |order| matches!(order, MixOrder::Hears { meeting: told, .. } if told.0 == meeting)
}

#[test]
fn a_room_with_a_fault_ends_alone_and_is_begun_anew_at_the_next_wish() {
    let mut worker = worker();
    worker.take(Micros(0), wish(1, YES), &mut nothing);
    worker.take(Micros(0), wish(2, YES), &mut nothing);
    let mut told = Vec::new();
    let mut post = |_, order: MixOrder| {
        assert!(!hears(1)(&order), "the fault of room 1");
        told.push(order);
    };
    for ms in (0..40).step_by(5) {
        worker.turn(Micros::from_millis(ms), &mut post);
    }
    assert_eq!((worker.poll_gone(), worker.poll_gone()), (Some(MeetingId(1)), None));
    assert!(told.contains(&MixOrder::Leaves { endpoint: LISTENER }), "who listened hears the voices");
    assert!(told.iter().any(hears(2)), "the other goes on");
    assert_eq!((worker.counters.faults, worker.rooms.len()), (1, 1));
    worker.take(Micros::from_millis(40), wish(1, YES), &mut nothing);
    let mut told = Vec::new();
    for ms in (40..80).step_by(5) {
        worker.turn(Micros::from_millis(ms), &mut |_, order| told.push(order));
    }
    assert!(told.iter().any(hears(1)));
}

#[test]
fn a_room_that_cannot_begin_is_gone_at_once() {
    let mut worker = Worker::new(Box::new(|_| panic!("a fault")));
    worker.take(Micros(0), wish(1, YES), &mut nothing);
    assert_eq!((worker.poll_gone(), worker.counters.faults), (Some(MeetingId(1)), 1));
    assert_eq!(worker.next(), None);
}

#[test]
fn a_room_is_there_for_as_long_as_somebody_listens() {
    let mut worker = worker();
    worker.take(Micros(0), wish(1, Wanted::No), &mut nothing);
    assert_eq!((worker.poll_gone(), worker.next()), (Some(MeetingId(1)), None), "for nobody it does not begin");
    worker.take(Micros(0), wish(1, YES), &mut nothing);
    worker.turn(Micros(0), &mut nothing);
    let mut told = Vec::new();
    worker.take(Micros(1), wish(1, Wanted::No), &mut |_, order| told.push(order));
    assert_eq!(told, [MixOrder::Leaves { endpoint: LISTENER }, MixOrder::Ends { publication: PublicationId(0) }]);
    assert_eq!((worker.poll_gone(), worker.next()), (Some(MeetingId(1)), None));
}

#[test]
fn where_one_goes_and_another_comes_the_room_stays() {
    let mut worker = worker();
    worker.take(Micros(0), wish(1, YES), &mut nothing);
    let mut mail = wish(1, Wanted::No);
    mail.wishes.insert((MeetingId(1), EndpointId(6)), YES);
    worker.take(Micros(1), mail, &mut nothing);
    assert_eq!((worker.poll_gone(), worker.next()), (None, Some(Micros(0))));
    // One that has a fault and begins anew before that was told is not gone either.
    worker.remove(MeetingId(1));
    worker.take(Micros(2), wish(1, YES), &mut nothing);
    assert_eq!((worker.poll_gone(), worker.publish()), (None, (1, 1)));
}

#[test]
fn rooms_are_due_at_different_times_and_the_one_that_waits_longest_comes_first() {
    let mut worker = worker();
    for meeting in 1..=4 {
        worker.take(Micros(100_000), wish(meeting, YES), &mut nothing);
    }
    let mut phases: Vec<u64> = worker.rooms.values().map(|running| running.pace.next().0 % TICK_US).collect();
    phases.sort_unstable();
    assert_eq!(phases, [0, 5_000, 10_000, 15_000]);
    let mut told = Vec::new();
    for _ in 0..4 {
        worker.turn(Micros(119_000), &mut |_, order| {
            if let MixOrder::Hears { meeting, .. } = order {
                told.push(meeting.0);
            }
        });
    }
    assert_eq!(told, [1, 4, 2, 3], "in the order in which they were due");
    assert_eq!(worker.next(), Some(Micros(120_000)));
}

#[test]
fn a_thread_that_was_held_up_makes_three_ticks_and_counts_the_rest() {
    let mut worker = worker();
    worker.take(Micros(0), wish(1, YES), &mut nothing);
    worker.turn(Micros::from_millis(1_000), &mut nothing);
    assert_eq!(worker.counters.skipped, 48);
    assert_eq!(worker.next(), Some(Micros::from_millis(1_020)));
}

#[test]
fn a_room_is_there_for_as_long_as_somebody_inside_the_process_hears_it() {
    let mut worker = worker();
    let (mail, receiver) = subscription(1);
    worker.take(Micros(0), mail, &mut nothing);
    worker.turn(Micros(0), &mut nothing);
    assert_eq!((heard(&receiver), heard(&receiver)), (Ok(true), Ok(false)));
    // An endpoint comes and goes.
    worker.take(Micros(1), wish(1, YES), &mut nothing);
    worker.take(Micros(2), wish(1, Wanted::No), &mut nothing);
    worker.turn(Micros::from_millis(20), &mut nothing);
    assert_eq!((heard(&receiver), worker.poll_gone()), (Ok(true), None));
    drop(receiver);
    worker.turn(Micros::from_millis(39), &mut nothing);
    assert_eq!(worker.poll_gone(), None, "no tick was due");
    worker.turn(Micros::from_millis(40), &mut nothing);
    assert_eq!((worker.poll_gone(), worker.next()), (Some(MeetingId(1)), None));
    // An endpoint that still listens keeps the room.
    let (mail, receiver) = subscription(1);
    worker.take(Micros::from_millis(50), mail, &mut nothing);
    worker.take(Micros::from_millis(50), wish(1, YES), &mut nothing);
    drop(receiver);
    worker.turn(Micros::from_millis(50), &mut nothing);
    assert_eq!((worker.poll_gone(), worker.publish()), (None, (1, 1)));
}

#[test]
fn a_fault_closes_receivers_and_who_subscribes_again_hears_a_new_room() {
    let mut worker = worker();
    let (mail, receiver) = subscription(1);
    worker.take(Micros(0), mail, &mut nothing);
    worker.take(Micros(0), wish(1, YES), &mut nothing);
    worker.turn(Micros(0), &mut |_, order| assert!(!hears(1)(&order), "a fault"));
    assert_eq!((heard(&receiver), worker.poll_gone()), (Err(MixClosed), Some(MeetingId(1))));
    let (mail, receiver) = subscription(1);
    worker.take(Micros(1), mail, &mut nothing);
    worker.turn(Micros(1), &mut nothing);
    assert_eq!(heard(&receiver), Ok(true));
    worker.end(&mut nothing);
    assert_eq!(heard(&receiver), Err(MixClosed), "as when the thread stops");
    let mut worker = Worker::new(Box::new(|_| panic!("a fault")));
    let (mail, receiver) = subscription(1);
    worker.take(Micros(0), mail, &mut nothing);
    assert_eq!((heard(&receiver), worker.poll_gone()), (Err(MixClosed), Some(MeetingId(1))));
}

#[test]
fn a_report_tells_how_late_a_room_was_and_what_it_left_out_since_the_one_before() {
    let mut worker = worker();
    worker.take(Micros(0), wish(1, YES), &mut nothing);
    worker.turn(Micros(0), &mut nothing);
    worker.turn(Micros(23_000), &mut nothing);
    let seen = |worker: &mut Worker| -> Vec<_> {
        worker.reports().map(|(meeting, report)| (meeting.0, report.late_us, report.skipped)).collect()
    };
    assert_eq!(seen(&mut worker), [(1, 3_000, 0)]);
    worker.turn(Micros(40_000), &mut nothing);
    assert_eq!(seen(&mut worker), [(1, 0, 0)], "each report is of its own time");
    // The ticks of 60 to 200 ms are due, three are made up for.
    worker.turn(Micros(200_000), &mut nothing);
    assert_eq!(seen(&mut worker), [(1, 40_000, 5)]);
}
