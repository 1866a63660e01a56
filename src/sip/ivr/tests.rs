#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
use proptest::prelude::*;

use super::*;

const ALONE_MAX: Duration = Duration::from_secs(3_600);

/// A call on virtual time.
struct Call {
    ivr: Ivr,
    now: Instant,
}

impl Call {
    fn new(way: Way) -> Self {
        let now = Instant::now();
        Self { ivr: Ivr::new(way, Some(ALONE_MAX), now), now }
    }

    /// A call that has heard what is said at first.
    fn greeted(way: Way) -> Self {
        let mut call = Self::new(way);
        call.wait(1_000);
        call
    }

    fn does(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.ivr.poll()).collect()
    }

    /// Time passes, and what is due happens when it is.
    fn wait(&mut self, ms: u64) -> Vec<Action> {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.ivr.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.ivr.handle_timeout(self.now);
        }
        self.now = end;
        self.does()
    }

    fn keys(&mut self, keys: &str) -> Vec<Action> {
        for key in keys.chars() {
            let key = match key {
                '*' => Key::Star,
                '#' => Key::Pound,
                digit => Key::Digit(digit.to_digit(10).unwrap() as u8),
            };
            self.now += Duration::from_millis(200);
            self.ivr.handle_key(self.now, key);
        }
        self.does()
    }

    fn played(&mut self) -> Vec<Action> {
        self.ivr.played(self.now);
        self.does()
    }

    fn found(&mut self, found: Found) -> Vec<Action> {
        self.ivr.found(self.now, found);
        self.does()
    }

    fn seat(&mut self, seat: Seat) -> Vec<Action> {
        self.ivr.seat(self.now, seat);
        self.does()
    }

    /// In the meeting, by the shortest way.
    fn joined() -> Self {
        let mut call = Self::greeted(Way::DialIn);
        call.keys("123456789#");
        call.found(Found::Meeting { has_started: true });
        call.seat(Seat::In);
        call.played();
        call
    }
}

fn play(prompts: &[Prompt]) -> Action {
    Action::Play(prompts.to_vec())
}

fn bye(why: Prompt) -> Vec<Action> {
    vec![play(&[why, Prompt::Goodbye])]
}

#[test]
fn a_caller_is_asked_enters_the_id_and_is_in() {
    let mut call = Call::new(Way::DialIn);
    assert_eq!(call.wait(999), [], "the first second is lost on many ways");
    assert_eq!(call.wait(1), [play(&[Prompt::Welcome, Prompt::ConferenceId])]);
    call.played();
    assert_eq!(call.keys("123456789"), []);
    assert_eq!(call.keys("#"), [Action::Find("123456789".to_owned())]);
    assert_eq!(call.found(Found::Meeting { has_started: true }), [Action::Join { as_organizer: false }]);
    assert_eq!(call.seat(Seat::In), [play(&[Prompt::Joined])]);
}

#[test]
fn the_first_key_stops_the_prompt_and_counts() {
    let mut call = Call::greeted(Way::DialIn);
    assert_eq!(call.keys("4"), [Action::Stop]);
    assert_eq!(call.keys("2#"), [Action::Find("42".to_owned())], "once");
}

#[test]
fn a_star_begins_the_entry_anew_and_who_forgets_the_pound_key_is_not_forgotten() {
    let mut call = Call::greeted(Way::DialIn);
    call.played();
    assert_eq!(call.keys("999*123"), []);
    assert_eq!(call.wait(4_999), []);
    assert_eq!(call.wait(1), [Action::Find("123".to_owned())]);
}

#[test]
fn three_wrong_ids_end_the_call() {
    let mut call = Call::greeted(Way::DialIn);
    for _ in 0..2 {
        call.keys("1#");
        assert_eq!(call.found(Found::Nothing), [play(&[Prompt::WrongId, Prompt::ConferenceId])]);
    }
    call.keys("1#");
    assert_eq!(call.found(Found::Nothing), bye(Prompt::WrongId));
    assert_eq!(call.keys("123#"), [], "nobody is asked any more");
    assert_eq!(call.played(), [Action::HangUp(EndReason::WrongId)]);
    assert_eq!(call.ivr.poll_timeout(), None);
}

#[test]
fn silence_is_a_try_and_a_telephone_that_lies_beside_its_hook_is_hung_up() {
    let mut call = Call::greeted(Way::DialIn);
    call.played();
    assert_eq!(call.wait(9_999), []);
    assert_eq!(call.wait(1), [play(&[Prompt::ConferenceId])]);
    call.played();
    assert_eq!(call.wait(10_000), [play(&[Prompt::ConferenceId])]);
    call.played();
    assert_eq!(call.wait(10_000), [play(&[Prompt::Goodbye])]);
    assert_eq!(call.played(), [Action::HangUp(EndReason::WrongId)]);
}

#[test]
fn the_organizer_begins_the_meeting_with_the_pin() {
    let mut call = Call::greeted(Way::DialIn);
    call.keys("123#");
    assert_eq!(call.found(Found::Meeting { has_started: false }), [play(&[Prompt::OrganizerPin])]);
    assert_eq!(call.keys("55555#"), [Action::Stop, Action::CheckPin("55555".to_owned())]);
    call.ivr.pin_checked(call.now, Some(true));
    assert_eq!(call.does(), [Action::Join { as_organizer: true }]);
}

#[test]
fn others_wait_without_a_pin_by_the_pound_key_or_by_saying_nothing() {
    for wait in [0, 10_000] {
        let mut call = Call::greeted(Way::DialIn);
        call.keys("123#");
        call.found(Found::Meeting { has_started: false });
        call.played();
        let joins = if wait == 0 { call.keys("#") } else { call.wait(wait) };
        assert_eq!(joins, [Action::Join { as_organizer: false }]);
        assert_eq!(call.seat(Seat::Waits), [play(&[Prompt::Lobby, Prompt::Hold])]);
        assert_eq!(call.wait(3_600_000), [], "as long as the lobby lets them");
        assert_eq!(call.seat(Seat::In), [play(&[Prompt::Joined])]);
    }
}

#[test]
fn three_wrong_pins_end_the_call_and_wrong_ids_before_do_not_count() {
    let mut call = Call::greeted(Way::DialIn);
    for _ in 0..2 {
        call.keys("1#");
        call.found(Found::Nothing);
    }
    call.keys("123#");
    call.found(Found::Meeting { has_started: false });
    for _ in 0..2 {
        call.keys("1#");
        call.ivr.pin_checked(call.now, Some(false));
        assert_eq!(call.does(), [play(&[Prompt::WrongPin, Prompt::OrganizerPin])]);
    }
    call.keys("1#");
    call.ivr.pin_checked(call.now, Some(false));
    assert_eq!(call.does(), bye(Prompt::WrongPin));
}

#[test]
fn who_is_locked_out_hears_it_and_nothing_is_looked_up_again() {
    let mut call = Call::greeted(Way::DialIn);
    call.keys("123#");
    assert_eq!(call.found(Found::LockedOut), bye(Prompt::TooManyTries));
    let mut call = Call::greeted(Way::DialIn);
    call.keys("123#");
    call.found(Found::Meeting { has_started: false });
    call.keys("1#");
    call.ivr.pin_checked(call.now, None);
    assert_eq!(call.does(), bye(Prompt::TooManyTries));
}

#[test]
fn a_number_that_names_a_meeting_asks_nothing() {
    let mut call = Call::new(Way::Known { id: "77".to_owned() });
    assert_eq!(call.wait(1_000), [play(&[Prompt::Welcome]), Action::Find("77".to_owned())]);
    assert_eq!(call.found(Found::Meeting { has_started: true }), [Action::Join { as_organizer: false }]);
}

#[test]
fn only_somebody_who_presses_one_joins_after_a_dial_out() {
    let mut call = Call::greeted(Way::DialOut);
    assert_eq!(call.keys("5"), [Action::Stop]);
    assert_eq!(call.wait(4_000), [play(&[Prompt::Invited])]);
    assert_eq!(call.keys("1"), [Action::Stop, Action::Join { as_organizer: false }]);
    // An answering machine talks on and presses nothing.
    let mut call = Call::new(Way::DialOut);
    assert_eq!(call.wait(1_000), [play(&[Prompt::Invited])]);
    for _ in 0..2 {
        call.played();
        assert_eq!(call.wait(4_000), [play(&[Prompt::Invited])]);
    }
    call.played();
    assert_eq!(call.wait(4_000), [play(&[Prompt::Goodbye])]);
    assert_eq!(call.played(), [Action::HangUp(EndReason::NotConfirmed)]);
}

#[test]
fn the_menu_takes_a_star_and_a_digit_soon_after_it() {
    let mut call = Call::joined();
    assert_eq!(call.keys("*6"), [Action::Wish(Wish::Mute)]);
    call.ivr.muted(true);
    assert_eq!(call.does(), [play(&[Prompt::Muted])]);
    assert_eq!(call.keys("*3"), [Action::Wish(Wish::Hand)]);
    assert_eq!(call.keys("*0"), [play(&[Prompt::Help])]);
    assert_eq!(call.keys("66"), [], "digits alone are nothing");
    call.keys("*");
    call.wait(3_000);
    assert_eq!(call.keys("6"), [], "too late");
    assert_eq!(call.keys("*5"), []);
    assert_eq!(call.keys("*9"), [Action::Wish(Wish::Leave), play(&[Prompt::Goodbye])]);
    assert_eq!(call.played(), [Action::HangUp(EndReason::Left)]);
}

#[test]
fn who_is_recorded_only_if_they_agree_is_asked_and_agrees_by_one() {
    let mut call = Call::joined();
    assert_eq!(call.keys("1"), [], "nobody has asked");
    call.ivr.asks_consent(true);
    assert_eq!(call.does(), [play(&[Prompt::Consent])]);
    assert_eq!(call.keys("*6"), [Action::Wish(Wish::Mute)], "the menu is there all the same");
    assert_eq!(call.keys("*1"), []);
    assert_eq!(call.keys("1"), [Action::Wish(Wish::Consent)]);
    call.ivr.asks_consent(false);
    assert_eq!((call.does(), call.keys("1")), (vec![], vec![]));
}

#[test]
fn a_caller_hears_how_it_ends() {
    for (seat, said, why) in [
        (Seat::Denied, Prompt::NotLetIn, EndReason::NotLetIn),
        (Seat::Removed, Prompt::Removed, EndReason::Removed),
        (Seat::Ended, Prompt::Ended, EndReason::MeetingEnded),
        (Seat::Full, Prompt::Unavailable, EndReason::Full),
    ] {
        let mut call = Call::joined();
        assert_eq!(call.seat(seat), bye(said));
        assert_eq!(call.seat(Seat::In), [], "the end is the end");
        // Also when nobody says that the words were played.
        assert_eq!(call.wait(60_000), [Action::HangUp(why)]);
    }
}

#[test]
fn what_does_not_answer_ends_the_call_with_a_word() {
    let mut call = Call::greeted(Way::DialIn);
    call.keys("123#");
    assert_eq!(call.wait(10_000), bye(Prompt::Unavailable));
    let mut call = Call::greeted(Way::DialOut);
    call.keys("1");
    assert_eq!(call.wait(10_000), bye(Prompt::Unavailable));
}

/// No message is longer, in these tests.
const LONGEST: u64 = 60_000;

fn voicemail() -> Way {
    Way::Voicemail { longest: Duration::from_millis(LONGEST) }
}

impl Call {
    /// The caller has heard the beep, and nothing was said yet.
    fn beeped() -> Self {
        let mut call = Self::greeted(voicemail());
        call.played();
        call.seat(Seat::In);
        call.ivr.recorded(call.now);
        call.played();
        call.does();
        call
    }

    fn speaks(&mut self, speaks: bool) {
        self.ivr.speaks(self.now, speaks);
    }
}

/// What is done when a message ends by itself.
fn over(words: &[Prompt]) -> Vec<Action> {
    vec![Action::Wish(Wish::Leave), play(words)]
}

#[test]
fn who_is_answered_is_in_at_once_and_nothing_is_said() {
    let mut call = Call::new(Way::Answered);
    assert_eq!(call.wait(0), [Action::Join { as_organizer: false }]);
    assert_eq!(call.seat(Seat::In), []);
    assert_eq!(call.keys("*6"), [Action::Wish(Wish::Mute)], "the menu is there");
    call.ivr.recorded(call.now);
    assert_eq!(call.does(), [play(&[Prompt::Recorded])]);
}

#[test]
fn a_message_begins_with_a_greeting_and_with_a_beep_once_it_is_recorded() {
    let mut call = Call::new(voicemail());
    assert_eq!(call.wait(1_000), [Action::Listen, play(&[Prompt::Voicemail])]);
    assert_eq!(call.played(), [Action::Join { as_organizer: false }]);
    assert_eq!(call.seat(Seat::In), [], "not before it is recorded");
    call.ivr.asks_consent(true);
    assert_eq!(call.does(), [Action::Wish(Wish::Consent)], "who goes on agrees");
    call.ivr.recorded(call.now);
    assert_eq!(call.does(), [play(&[Prompt::Beep])], "and nothing is announced");
    assert_eq!(call.played(), []);
    call.speaks(true);
    assert_eq!(call.wait(10_000), [], "as long as they speak");
    assert_eq!(call.keys("5*"), [], "other keys are nothing");
    assert_eq!(call.keys("#"), over(&[Prompt::MessageSaved, Prompt::Goodbye]));
    assert!(call.ivr.has_message());
    assert_eq!(call.seat(Seat::Ended), [], "which was wished");
    assert_eq!(call.played(), [Action::HangUp(EndReason::Left)]);
}

#[test]
fn who_knows_the_greeting_goes_on_to_the_beep() {
    let mut call = Call::greeted(voicemail());
    assert_eq!(call.keys("5"), [], "but not by any key");
    assert_eq!(call.keys("#"), [Action::Stop, Action::Join { as_organizer: false }]);
}

#[test]
fn three_seconds_of_silence_end_a_message_but_nobody_has_to_begin_at_once() {
    let mut call = Call::beeped();
    assert_eq!(call.wait(4_999), []);
    assert_eq!(call.wait(1), over(&[Prompt::Goodbye]), "there is nothing to be saved");
    assert!(!call.ivr.has_message());
    let mut call = Call::beeped();
    call.wait(4_000);
    call.speaks(true);
    call.wait(5_000);
    call.speaks(false);
    call.wait(2_000);
    call.speaks(true);
    call.speaks(false);
    assert_eq!(call.wait(2_999), [], "a pause is none");
    assert_eq!(call.wait(1), over(&[Prompt::MessageSaved, Prompt::Goodbye]));
    // Who is done soon is not waited for longer than that.
    let mut call = Call::beeped();
    call.speaks(true);
    call.wait(1_000);
    call.speaks(false);
    assert_eq!(call.wait(3_999), []);
    assert_eq!(call.wait(1), over(&[Prompt::MessageSaved, Prompt::Goodbye]));
}

#[test]
fn no_message_is_longer_than_its_limit_however_much_is_said() {
    let mut call = Call::beeped();
    call.speaks(true);
    assert_eq!(call.wait(LONGEST - 1), []);
    assert_eq!(call.wait(1), over(&[Prompt::MessageSaved, Prompt::Goodbye]));
}

#[test]
fn what_is_said_before_the_beep_is_no_message_unless_it_goes_on() {
    let mut call = Call::greeted(voicemail());
    call.speaks(true);
    call.speaks(false);
    call.played();
    call.seat(Seat::In);
    call.ivr.recorded(call.now);
    call.played();
    assert!(!call.ivr.has_message());
    let mut call = Call::greeted(voicemail());
    call.speaks(true);
    call.played();
    call.ivr.recorded(call.now);
    call.seat(Seat::In);
    call.played();
    assert!(call.ivr.has_message());
}

#[test]
fn who_comes_while_a_message_is_left_is_talked_to() {
    let mut call = Call::greeted(voicemail());
    call.played();
    call.seat(Seat::In);
    call.ivr.recorded(call.now);
    assert_eq!(call.does(), [play(&[Prompt::Beep])]);
    call.ivr.company(call.now, true);
    assert_eq!(call.does(), [Action::Stop]);
    assert_eq!(call.wait(600_000), [], "neither silence nor a limit ends it");
    assert_eq!(call.keys("#*6"), [Action::Wish(Wish::Mute)]);
}

#[test]
fn where_no_message_can_be_taken_the_caller_hears_it() {
    let mut call = Call::greeted(voicemail());
    call.played();
    call.seat(Seat::In);
    assert_eq!(call.wait(9_999), []);
    assert_eq!(call.wait(1), bye(Prompt::Unavailable));
    assert_eq!(call.played(), [Action::HangUp(EndReason::Failed)]);
    let mut call = Call::greeted(voicemail());
    call.played();
    assert_eq!(call.seat(Seat::Full), bye(Prompt::Unavailable));
}

proptest! {
    /// Whatever is pressed and answered in whatever order: nothing panics, nothing is said after the end, and a call that nobody serves ends.
    #[test]
    fn any_call_ends(way in 0..5u8, steps in proptest::collection::vec((0..14u8, 0..20_000u64), 0..60)) {
        let way = match way {
            0 => Way::DialIn,
            1 => Way::Known { id: "1".to_owned() },
            2 => Way::Answered,
            3 => voicemail(),
            _ => Way::DialOut,
        };
        let mut call = Call::new(way);
        let mut actions = Vec::new();
        for (step, ms) in steps {
            actions.extend(call.wait(ms));
            actions.extend(match step {
                0..=3 => call.keys(["1", "#", "*", "6"][usize::from(step)]),
                4 | 5 => call.played(),
                6 => call.found(Found::Nothing),
                7 => call.found(Found::Meeting { has_started: ms % 2 == 0 }),
                8 => { call.ivr.pin_checked(call.now, Some(ms % 3 == 0)); call.does() }
                9 => call.seat(Seat::Waits),
                10 => call.seat(Seat::In),
                11 => { call.ivr.recorded(call.now); call.does() }
                12 => { call.speaks(ms % 2 == 0); call.does() }
                _ => { call.ivr.muted(ms % 2 == 0); call.does() }
            });
        }
        // The meeting ends for who is in it, and nobody presses anything any more.
        actions.extend(call.seat(Seat::Ended));
        for _ in 0..20 {
            actions.extend(call.wait(60_000));
            actions.extend(call.played());
        }
        actions.extend(call.seat(Seat::Ended));
        actions.extend(call.wait(120_000));
        let is_end = |action: &Action| matches!(action, Action::HangUp(_));
        let ends = actions.iter().filter(|action| is_end(action)).count();
        prop_assert_eq!(ends, 1, "{:?}", actions);
        prop_assert!(actions.last().is_some_and(is_end));
    }
}

#[test]
fn who_is_alone_for_too_long_is_told_so_and_hung_up() {
    let mut call = Call::joined();
    assert_eq!(call.wait(3_599_000), []);
    // A key makes nobody less alone.
    call.keys("*6");
    let ends = Action::Play(vec![Prompt::Alone, Prompt::Goodbye]);
    assert_eq!(call.wait(800), std::slice::from_ref(&ends));
    assert_eq!(call.played(), [Action::HangUp(EndReason::Alone)]);

    let mut call = Call::joined();
    call.ivr.company(call.now, true);
    assert_eq!(call.wait(36_000_000), [], "with somebody else as long as they like");
    call.ivr.company(call.now, false);
    assert_eq!(call.wait(3_599_999), []);
    call.ivr.company(call.now, true);
    call.ivr.company(call.now, false);
    assert_eq!(call.wait(3_599_999), [], "and it counts anew");
    assert_eq!(call.wait(1), [ends]);
}

#[test]
fn without_a_limit_nobody_is_too_long_alone() {
    let now = Instant::now();
    let mut call = Call { ivr: Ivr::new(Way::Answered, None, now), now };
    call.wait(0);
    call.seat(Seat::In);
    assert_eq!(call.wait(86_400_000), []);
}
