//! Who was in a run, from when to when: what the thread tells, added up.
//!
//! ```text
//! events of a run (meetingStarted, participantJoined, participantLeft ..., meetingEnded) -> Report
//! ```
//!
//! Somebody whose connection was lost is there until their grace time is over, as the others saw it. Whoever comes with an
//! account is one person however many devices they use; whoever comes without one is one person a time.

use std::collections::HashMap;

use crate::clock::Timestamp;
use crate::id::{ParticipantId, UserId};
use crate::protocol::{Event, EventBody, Role};

/// One stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// From.
    pub joined: Timestamp,
    /// To.
    pub left: Timestamp,
}

impl Interval {
    /// In whole seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        (self.left.as_millis() - self.joined.as_millis()).max(0) / 1000
    }
}

/// One person's attendance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendance {
    /// Their account, if they had one.
    pub user: Option<UserId>,
    /// The name that they came under first.
    pub display_name: String,
    /// What they were when they came first; not known of runs before this was noted.
    pub role: Option<Role>,
    /// Their stays, in order; they do not overlap.
    pub intervals: Vec<Interval>,
}

impl Attendance {
    /// All stays together, in whole seconds.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.intervals.iter().map(|interval| interval.seconds()).sum()
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When it began.
    pub started: Timestamp,
    /// When it ended; none: it goes on.
    pub ended: Option<Timestamp>,
    /// Who was there, in the order of their coming.
    pub people: Vec<Attendance>,
}

/// Adds up the events of one run; the first is its `meetingStarted`. `now` is the end of stays that go on.
#[must_use]
pub fn report(events: &[Event], now: Timestamp) -> Option<Report> {
    let (first, rest) = events.split_first()?;
    let ended = rest.iter().find(|event| event.body == EventBody::MeetingEnded {}).map(|event| event.time);
    let mut people: Vec<Attendance> = Vec::new();
    let mut by_user: HashMap<UserId, usize> = HashMap::new();
    // Where somebody who is in stands in the list, and since when.
    let mut present: HashMap<ParticipantId, (usize, Timestamp)> = HashMap::new();
    let mut stays: Vec<(usize, Interval)> = Vec::new();
    for event in rest {
        match &event.body {
            EventBody::ParticipantJoined { participant_id, display_name, user_id, role } => {
                let known = user_id.and_then(|user| by_user.get(&user).copied());
                let place = known.unwrap_or_else(|| {
                    people.push(Attendance {
                        user: *user_id,
                        display_name: display_name.clone(),
                        role: *role,
                        intervals: Vec::new(),
                    });
                    people.len() - 1
                });
                by_user.extend(user_id.map(|user| (user, place)));
                present.entry(*participant_id).or_insert((place, event.time));
            }
            EventBody::ParticipantLeft { participant_id, .. } => {
                if let Some((place, joined)) = present.remove(participant_id) {
                    stays.push((place, Interval { joined, left: event.time }));
                }
            }
            _ => {}
        }
    }
    let until = ended.unwrap_or(now);
    stays.extend(present.into_values().map(|(place, joined)| (place, Interval { joined, left: until })));
    stays.sort_by_key(|(_, interval)| interval.joined);
    for (place, interval) in stays {
        if let Some(person) = people.get_mut(place) {
            person.add(interval);
        }
    }
    Some(Report { started: first.time, ended, people })
}

impl Attendance {
    /// Two devices at the same time are one stay.
    fn add(&mut self, interval: Interval) {
        match self.intervals.last_mut() {
            Some(last) if interval.joined <= last.left => last.left = last.left.max(interval.left),
            _ => self.intervals.push(interval),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::id::EventId;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000).plus_seconds(seconds)
    }

    /// A script of who came and went when.
    #[derive(Default)]
    struct Run(Vec<Event>);

    impl Run {
        fn note(mut self, seconds: i64, body: EventBody) -> Self {
            self.0.push(Event { seq: self.0.len() as u64 + 1, id: EventId::generate(), time: at(seconds), body });
            self
        }

        fn joined(self, seconds: i64, who: ParticipantId, name: &str, user: Option<UserId>) -> Self {
            let body = EventBody::ParticipantJoined {
                participant_id: who,
                display_name: name.to_owned(),
                user_id: user,
                role: Some(Role::Presenter),
            };
            self.note(seconds, body)
        }

        fn left(self, seconds: i64, who: ParticipantId) -> Self {
            self.note(seconds, EventBody::ParticipantLeft { participant_id: who, display_name: String::new() })
        }
    }

    fn stays(person: &Attendance) -> Vec<(i64, i64)> {
        let seconds = |time: Timestamp| (time.as_millis() - at(0).as_millis()) / 1000;
        person.intervals.iter().map(|interval| (seconds(interval.joined), seconds(interval.left))).collect()
    }

    #[test]
    fn each_stay_is_told_to_the_second_and_a_guest_who_comes_again_is_somebody_else() {
        let (ada, first, second) = (ParticipantId::generate(), ParticipantId::generate(), ParticipantId::generate());
        let run = Run::default()
            .note(0, EventBody::MeetingStarted {})
            .joined(0, ada, "Ada", Some(UserId::generate()))
            .joined(10, first, "Bob", None)
            .left(70, first)
            .joined(100, second, "Bob", None)
            .left(160, second)
            .left(600, ada)
            .note(600, EventBody::MeetingEnded {});
        let report = report(&run.0, at(9_999)).unwrap();
        assert_eq!((report.started, report.ended), (at(0), Some(at(600))));
        let told: Vec<_> = report.people.iter().map(|one| (one.display_name.as_str(), stays(one))).collect();
        assert_eq!(told, [("Ada", vec![(0, 600)]), ("Bob", vec![(10, 70)]), ("Bob", vec![(100, 160)])]);
        assert_eq!(report.people[1].seconds(), 60);
    }

    #[test]
    fn an_account_on_two_devices_is_one_person_whose_time_counts_once() {
        let user = Some(UserId::generate());
        let (laptop, phone) = (ParticipantId::generate(), ParticipantId::generate());
        let run = Run::default()
            .note(0, EventBody::MeetingStarted {})
            .joined(0, laptop, "Ada", user)
            .joined(50, phone, "Ada (phone)", user)
            .left(60, laptop)
            .left(100, phone)
            .joined(200, laptop, "Ada", user)
            .left(230, laptop);
        let report = report(&run.0, at(300)).unwrap();
        assert_eq!(report.people.len(), 1);
        assert_eq!(stays(&report.people[0]), [(0, 100), (200, 230)]);
        assert_eq!(report.people[0].seconds(), 130);
        assert_eq!(report.people[0].display_name, "Ada");
    }

    #[test]
    fn whoever_is_in_now_is_so_until_now_and_whoever_never_left_until_the_end() {
        let ada = ParticipantId::generate();
        let run = Run::default().note(0, EventBody::MeetingStarted {}).joined(5, ada, "Ada", None);
        let told = report(&run.0, at(65)).unwrap();
        assert_eq!((told.ended, stays(&told.people[0])), (None, vec![(5, 65)]));
        let run = run.note(80, EventBody::MeetingEnded {});
        assert_eq!(stays(&report(&run.0, at(9_999)).unwrap().people[0]), [(5, 80)]);
        assert_eq!(report(&[], at(0)), None);
    }
}
