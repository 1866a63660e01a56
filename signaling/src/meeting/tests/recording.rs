//! A recording's states, as everybody sees them, and what of them stands in the thread.

use super::*;
use crate::meeting::continuation::CutOff;
use crate::ports::{RecordingNote, RecordingPart, Trouble};
use crate::protocol::{CallReaction, InterruptionReason};

impl Table {
    pub(super) fn record(&mut self, session: SessionId, action: RecordAction) -> Vec<Effect> {
        self.say(session, ClientMessage::Record { id: Some(1), action })
    }

    pub(super) fn recorder(&mut self, news: RecorderNews) -> Vec<Effect> {
        let recording = self.meeting.recording().recording_id.unwrap();
        self.give(Command::Recorder { recording, news })
    }

    /// Started, and the first byte written.
    pub(super) fn is_recorded_by(&mut self, session: SessionId) {
        self.record(session, RecordAction::Start);
        self.recorder(RecorderNews::Taken(true));
        self.recorder(RecorderNews::On);
    }

    fn state(&self) -> RecordingState {
        self.meeting.recording().state
    }

    /// What of the recording stands in the thread.
    fn recording_kinds(&self) -> Vec<&'static str> {
        self.kinds().into_iter().filter(|kind| kind.starts_with("recording")).collect()
    }
}

fn told(effects: &[Effect]) -> Vec<(RecordingState, Option<Trouble>)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Broadcast(ServerMessage::Recording(view)) => Some((view.state, view.trouble)),
        _ => None,
    });
    told.collect()
}

/// Since the beginning of time.
fn troubled(trouble: Option<Trouble>) -> RecorderNews {
    RecorderNews::Trouble(trouble.map(|trouble| (trouble, Timestamp::from_millis(0))))
}

fn orders(effects: &[Effect]) -> usize {
    let is_order = |effect: &&Effect| {
        matches!(effect, Effect::PauseRecording(_) | Effect::ResumeRecording(_) | Effect::StopRecording(_))
    };
    effects.iter().filter(is_order).count()
}

fn recorded_automatically() -> MeetingSettings {
    MeetingSettings { record_automatically: true, ..MeetingSettings::default() }
}

#[test]
fn paused_is_said_when_the_recorder_has_confirmed_it_and_on_before_it_is_ordered_to_go_on() {
    let mut table = Table::new(Limits::default());
    let ada = person(Role::Organizer);
    let session = table.join(&ada);
    table.is_recorded_by(session);
    let effects = table.record(session, RecordAction::Pause);
    assert!(matches!(effects.as_slice(), [Effect::PauseRecording(_), Effect::Send { .. }]), "nothing is said yet");
    assert_eq!(orders(&table.record(session, RecordAction::Pause)), 0, "once is enough");
    assert_eq!(errors(&table.record(session, RecordAction::Resume)), ["recording_not_paused"]);
    assert_eq!(told(&table.recorder(RecorderNews::Paused)), [(RecordingState::Paused, None)]);
    assert!(table.recorder(RecorderNews::Paused).is_empty(), "said again it means nothing");
    assert_eq!(errors(&table.record(session, RecordAction::Pause)), ["recording_not_on"]);
    assert_eq!(errors(&table.record(session, RecordAction::Start)), ["recording_already_on"]);

    let effects = table.record(session, RecordAction::Resume);
    let ordered = place(&effects, |e| matches!(e, Effect::ResumeRecording(_)));
    let said = place(&effects, |e| matches!(e, Effect::Broadcast(ServerMessage::Recording(_))));
    let stored = place(&effects, |e| matches!(e, Effect::Append { body: EventBody::RecordingResumed { .. }, .. }));
    assert!(said < ordered && stored < ordered);
    assert!(table.recorder(RecorderNews::Resumed).is_empty(), "known already");
    assert_eq!(table.state(), RecordingState::On);
    assert_eq!(table.recording_kinds(), ["recordingStarted", "recordingPaused", "recordingResumed"]);
    let by = |body: &EventBody| match body {
        EventBody::RecordingPaused { by, .. } | EventBody::RecordingResumed { by, .. } => *by,
        _ => None,
    };
    assert_eq!(table.thread.iter().filter_map(by).collect::<Vec<_>>(), [ada.participant; 2]);
}

#[test]
fn a_pause_that_a_stop_overtakes_is_no_pause() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    assert_eq!(errors(&table.record(session, RecordAction::Pause)), ["recording_not_on"]);
    table.record(session, RecordAction::Start);
    assert_eq!(errors(&table.record(session, RecordAction::Pause)), ["recording_not_on"], "nor before it has begun");
    table.recorder(RecorderNews::Taken(true));
    table.recorder(RecorderNews::On);
    table.record(session, RecordAction::Pause);
    let effects = table.record(session, RecordAction::Stop);
    assert!(matches!(effects.as_slice(), [Effect::NoteStop(_), Effect::StopRecording(_), ..]), "{effects:#?}");
    assert!(table.recorder(RecorderNews::Paused).is_empty());
    assert_eq!(table.state(), RecordingState::Stopping);
    assert!(orders(&table.record(session, RecordAction::Stop)) == 0, "stopped once");
}

#[test]
fn a_full_disk_is_a_gap_and_an_unreachable_store_is_none() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    table.is_recorded_by(session);
    let mut trouble = |trouble| told(&table.recorder(troubled(trouble)));
    let on = |trouble| vec![(RecordingState::On, trouble)];
    assert_eq!(trouble(Some(Trouble::StoreUnavailable)), on(Some(Trouble::StoreUnavailable)));
    assert_eq!(trouble(Some(Trouble::StoreUnavailable)), [], "no news");
    assert_eq!(trouble(Some(Trouble::DiskFull)), on(Some(Trouble::DiskFull)));
    assert_eq!(trouble(Some(Trouble::StoreUnavailable)), on(Some(Trouble::StoreUnavailable)));
    assert_eq!(trouble(None), on(None));
    assert_eq!(table.recording_kinds(), ["recordingStarted", "recordingInterrupted", "recordingResumed"]);
    let reasons = table
        .thread
        .iter()
        .filter(|body| matches!(body, EventBody::RecordingInterrupted { reason: InterruptionReason::DiskFull, .. }));
    assert_eq!(reasons.count(), 1);
}

#[test]
fn a_disk_that_fills_up_in_a_pause_is_a_gap_only_after_it() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    table.is_recorded_by(session);
    table.record(session, RecordAction::Pause);
    table.recorder(RecorderNews::Paused);
    table.recorder(troubled(Some(Trouble::DiskFull)));
    assert_eq!(table.recording_kinds(), ["recordingStarted", "recordingPaused"]);
    table.record(session, RecordAction::Resume);
    table.recorder(troubled(None));
    let kinds = ["recordingResumed", "recordingInterrupted", "recordingResumed"];
    assert_eq!(table.recording_kinds()[2..], kinds);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_told_when_it_would_begin() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    table.record(session, RecordAction::Start);
    table.recorder(RecorderNews::Taken(true));
    table.recorder(troubled(Some(Trouble::DiskFull)));
    assert_eq!(table.recording_kinds(), ["recordingStarted"]);
    table.recorder(RecorderNews::On);
    assert_eq!(table.recording_kinds(), ["recordingStarted", "recordingInterrupted"]);
}

#[test]
fn an_order_that_could_not_be_given_ends_in_the_thread() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    table.record(session, RecordAction::Start);
    assert_eq!(told(&table.recorder(RecorderNews::Taken(false))), [(RecordingState::Off, None)]);
    assert_eq!(table.recording_kinds(), ["recordingStarted", "recordingFailed"]);
}

#[test]
fn one_that_begins_after_its_run_ended_is_stopped() {
    let mut table = Table::new(Limits::default());
    table.join(&person(Role::Organizer));
    let recording = crate::id::RecordingId::generate();
    let effects = table.give(Command::Recorder { recording, news: RecorderNews::Taken(true) });
    assert!(matches!(effects.as_slice(), [Effect::StopRecording(id)] if *id == recording));
    assert!(table.give(Command::Recorder { recording, news: RecorderNews::Over }).is_empty());
}

#[test]
fn the_recorder_hears_who_comes_reacts_and_goes_also_what_was_before_it_took_the_order() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    table.record(session, RecordAction::Start);
    let notes = |effects: Vec<Effect>| -> Vec<RecordingNote> {
        let note = |effect| if let Effect::NoteRecording { note, .. } = effect { Some(note) } else { None };
        effects.into_iter().filter_map(note).collect()
    };
    let bob = person(Role::Presenter);
    let participant = bob.participant;
    let (his, effects) = table.knock(&bob);
    assert_eq!(notes(effects), [], "nobody listens yet");
    let joined = |name: &str| RecordingNote::Joined { participant, display_name: name.to_owned() };
    let taken = notes(table.recorder(RecorderNews::Taken(true)));
    assert!(matches!(taken[0], RecordingNote::Consent { given: true, .. }), "who starts it agrees: {taken:?}");
    assert_eq!(taken[1..], [joined("Somebody")]);
    let like = RecordingNote::Reaction { participant, reaction: "like".to_owned() };
    assert_eq!(notes(table.say(his, ClientMessage::React { id: None, reaction: CallReaction::Like })), [like]);
    let (again, effects) = table.knock(&Identity { display_name: "Robert".to_owned(), ..bob });
    assert_eq!(notes(effects), [joined("Robert")], "another name");
    assert_eq!(notes(table.say(again, ClientMessage::Leave { id: None })), [RecordingNote::Left { participant }]);
}

#[test]
fn a_run_is_recorded_by_itself_from_the_first_who_is_in_and_not_for_those_in_the_lobby() {
    let mut table = Table::with(recorded_automatically());
    let (_, effects) = table.knock(&person(Role::Presenter));
    assert!(effects.iter().any(|e| matches!(e, Effect::Wait { .. })), "a guest waits until it starts");
    assert_eq!(table.state(), RecordingState::Off);
    let (session, effects) = table.knock(&person(Role::Organizer));
    let welcome = place(&effects, |e| matches!(e, Effect::Welcome { session: of, .. } if *of == session));
    let ordered = place(&effects, |e| matches!(e, Effect::StartRecording(new) if new.by.is_none()));
    assert!(welcome < ordered, "whoever comes is told like everybody");
    let by_nobody = |body: &EventBody| matches!(body, EventBody::RecordingStarted { by: None, part: 1, .. });
    assert!(table.thread.iter().any(by_nobody));

    table.record(session, RecordAction::Stop);
    table.recorder(RecorderNews::Over);
    table.join(&somebody(Kind::Member));
    assert_eq!(table.state(), RecordingState::Off, "not again after somebody stopped it");
}

#[test]
fn nothing_is_recorded_by_itself_that_policy_forbids_nor_in_a_run_that_began_otherwise() {
    let mut table = Table::with(MeetingSettings { forbids_recording: true, ..recorded_automatically() });
    table.join(&person(Role::Organizer));
    assert_eq!(table.state(), RecordingState::Off);
    let mut table = Table::new(Limits::default());
    table.join(&person(Role::Organizer));
    table.give(Command::Settings(Box::new(recorded_automatically())));
    table.join(&somebody(Kind::Member));
    assert_eq!(table.state(), RecordingState::Off, "the option is for the next run");
    let now = Instant::now();
    let id = MeetingId::generate();
    let meeting = Meeting::resume(id, Limits::default(), recorded_automatically(), 7, vec![], now);
    let mut table = Table { meeting, now, thread: Vec::new() };
    table.join(&person(Role::Organizer));
    assert_eq!(table.state(), RecordingState::Off, "nor does a run that was taken up begin again");
}

fn cut_off(now: Instant) -> CutOff {
    CutOff {
        next: RecordingPart { first: crate::id::RecordingId::generate(), number: 2 },
        by: Some(ParticipantId::generate()),
        starter: Some(UserId::generate()),
        agreed: Default::default(),
        until: now + Duration::from_secs(600),
    }
}

#[test]
fn what_a_restart_cut_off_goes_on_as_the_next_part_when_the_first_is_back() {
    let (now, id) = (Instant::now(), MeetingId::generate());
    let ada = person(Role::Organizer);
    let present = vec![(ada.participant, "Ada".to_owned())];
    let until = now + Duration::from_secs(120);
    let settings = MeetingSettings::default();
    let mut meeting = Meeting::resume(id, Limits::default(), settings, 7, present, until);
    let before = cut_off(now);
    meeting.expect_recording(before.clone());
    let mut table = Table { meeting, now, thread: Vec::new() };
    table.wait(Duration::from_secs(60));
    assert_eq!(table.state(), RecordingState::Off, "nobody is there");
    let (session, effects) = table.knock(&ada);
    let same = |new: &NewRecording| new.part == before.next && new.by == before.by && new.starter == before.starter;
    place(&effects, |e| matches!(e, Effect::StartRecording(new) if same(new)));
    assert!(table.thread.iter().any(|body| matches!(body, EventBody::RecordingStarted { part: 2, .. })));
    table.record(session, RecordAction::Stop);
    table.recorder(RecorderNews::Over);
    table.join(&somebody(Kind::Member));
    assert_eq!(table.state(), RecordingState::Off, "once");
}

#[test]
fn what_was_cut_off_long_ago_or_is_forbidden_now_does_not_go_on() {
    for (settings, wait) in [
        (MeetingSettings::default(), Duration::from_secs(600)),
        (MeetingSettings { forbids_recording: true, ..MeetingSettings::default() }, Duration::ZERO),
    ] {
        let mut table = Table::with(settings);
        table.meeting.expect_recording(cut_off(table.now));
        table.now += wait;
        table.join(&person(Role::Organizer));
        assert_eq!(table.state(), RecordingState::Off);
    }
}

#[test]
fn a_shutdown_says_that_it_cuts_the_recording_off_unless_somebody_had_stopped_it() {
    let recorded = |stops: bool| {
        let mut table = Table::new(Limits::default());
        let session = table.join(&person(Role::Organizer));
        table.is_recorded_by(session);
        if stops {
            table.record(session, RecordAction::Stop);
        }
        let effects = table.give(Command::Shutdown);
        (table, effects)
    };
    let (table, effects) = recorded(false);
    assert_eq!(table.recording_kinds(), ["recordingStarted", "recordingInterrupted"]);
    place(&effects, |e| matches!(e, Effect::StopRecording(_)));
    assert!(!effects.iter().any(|e| matches!(e, Effect::NoteStop(_))), "nobody wished it");
    let (table, _) = recorded(true);
    assert_eq!(table.recording_kinds(), ["recordingStarted"]);
}

#[test]
fn a_fault_of_the_task_leaves_the_recording_as_it_is() {
    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    table.is_recorded_by(session);
    table.recorder(troubled(Some(Trouble::StoreUnavailable)));
    table.record(session, RecordAction::Pause);
    let before = table.meeting.recording();
    let failed = |table: &mut Table, known: bool| {
        let next = Meeting::new(MeetingId::generate(), Limits::default(), MeetingSettings::default());
        table.meeting = std::mem::replace(&mut table.meeting, next).rescued(table.now);
        table.meeting.order_again(|_| known);
        table.wait(Duration::ZERO)
    };
    let effects = failed(&mut table, true);
    assert_eq!(table.meeting.recording(), before);
    assert!(
        matches!(effects.as_slice(), [Effect::PauseRecording(_)]),
        "what may be lost is ordered again: {effects:?}"
    );
    table.recorder(RecorderNews::Paused);
    assert!(failed(&mut table, true).is_empty());
    assert_eq!(table.state(), RecordingState::Paused);

    let mut table = Table::new(Limits::default());
    let session = table.join(&person(Role::Organizer));
    table.record(session, RecordAction::Start);
    assert!(failed(&mut table, true).is_empty(), "the recorder's answer is on its way");
    let effects = failed(&mut table, false);
    assert!(matches!(effects.as_slice(), [Effect::StartRecording(_)]), "the order was lost: {effects:?}");
}
