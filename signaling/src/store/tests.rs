//! The store on each engine; see `tests/support/store.rs` for how to choose.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "tests")]

#[path = "../../tests/support/store.rs"]
mod support;

use std::path::Path;

use super::*;
use crate::clock::Timestamp;
use crate::id::{CallId, MeetingId, ThreadId, UserId};
use crate::policy::schedule::Times;
use crate::protocol::{ChatRole, EventBody, MemberView, Message, PhoneCallState, Reaction, Sender};

const FEW: u32 = 5;

pub(crate) async fn open(data: &Path) -> Store {
    let location = match support::postgres_of(data).await {
        Some(url) => StoreLocation::Postgres(url.into()),
        None => StoreLocation::Embedded(data.to_owned()),
    };
    Store::open(&location, FEW).await.unwrap()
}

/// Somebody with a name of their own.
async fn user(store: &Store, name: &str) -> UserRow {
    store.find_or_create_user("t", name, false).await.unwrap()
}

fn sender(user: &UserRow) -> Sender {
    Sender { participant_id: None, user_id: Some(user.id), display_name: user.name.clone() }
}

fn view(user: &UserRow, role: ChatRole) -> MemberView {
    MemberView { user_id: user.id, display_name: user.name.clone(), role }
}

async fn group(store: &Store, people: &[&UserRow]) -> ThreadId {
    let new = NewChat { kind: "group", tenant: "t".to_owned(), topic: "Talk".to_owned(), pair: None };
    let thread = store.create_chat(new).await.unwrap();
    let members = people.iter().map(|user| view(user, ChatRole::Owner)).collect();
    let body = EventBody::ChatCreated { topic: "Talk".to_owned(), members, by: sender(people[0]) };
    append(store, thread, body).await.unwrap();
    thread
}

async fn append(store: &Store, thread: ThreadId, body: EventBody) -> Result<u64, StoreError> {
    store.append_one(NewEvent { thread, body, client_id: None }).await.map(|appended| appended.seq)
}

fn said(user: &UserRow, text: &str) -> EventBody {
    EventBody::Message(Box::new(Message::plain(sender(user), text.to_owned(), "c".to_owned())))
}

async fn say(store: &Store, thread: ThreadId, user: &UserRow, text: &str) -> u64 {
    append(store, thread, said(user, text)).await.unwrap()
}

async fn message(store: &Store, thread: ThreadId, seq: u64) -> Message {
    match store.event(thread, seq).await.unwrap().unwrap().body {
        EventBody::Message(message) => *message,
        other => panic!("{other:?}"),
    }
}

/// What somebody hears after a place: thread and seq of events, user and seq of marks.
async fn hears(store: &Store, user: &UserRow, after: u64) -> Vec<(ThreadId, u64)> {
    let entries = store.feed(user.id, after, 1000).await.unwrap();
    assert!(entries.is_sorted_by_key(|entry| entry.place));
    let events = entries.iter().filter_map(|entry| match &entry.news {
        FeedNews::Event(event) => Some((entry.thread, event.seq)),
        FeedNews::Read { .. } => None,
    });
    events.collect()
}

fn plain(thread: ThreadId, client_id: Option<&str>) -> NewEvent {
    NewEvent { thread, body: EventBody::MeetingStarted {}, client_id: client_id.map(str::to_owned) }
}

#[tokio::test]
async fn a_large_batch_over_several_threads_is_numbered_without_gap_in_each_and_over_all() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let ada = user(&store, "Ada").await;
    let threads = [group(&store, &[&ada]).await, group(&store, &[&ada]).await];
    for round in 0..2_u64 {
        let events = (0..600).map(|number| plain(threads[number % 2], None)).collect();
        let appended: Vec<_> = store.append(events).await.into_iter().map(Result::unwrap).collect();
        for (number, appended) in (0..).zip(appended) {
            assert_eq!(appended, Appended { seq: round * 300 + number / 2 + 2, fresh: true });
        }
    }
    for thread in threads {
        assert_eq!(store.thread_state(thread).await.unwrap().seq, 601);
        let seqs: Vec<_> = store.events(thread, 0, u64::MAX, usize::MAX).await.unwrap();
        assert!(seqs.iter().map(|event| event.seq).eq(1..=601));
    }
    let places: Vec<_> = store.feed(ada.id, 0, 5000).await.unwrap().iter().map(|entry| entry.place).collect();
    assert!(places.iter().copied().eq(1..=1202), "each place once");
    assert_eq!(store.feed_state().await.unwrap().place, 1202);
    for thread in threads {
        let last =
            store.feed(ada.id, 0, 5000).await.unwrap().iter().rfind(|entry| entry.thread == thread).unwrap().place;
        assert_eq!(store.membership(thread, ada.id).await.unwrap().unwrap().0.place, last);
    }
}

#[tokio::test]
async fn a_resend_gets_the_place_of_its_first_copy_also_within_one_batch() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let ada = user(&store, "Ada").await;
    let (one, other) = (group(&store, &[&ada]).await, group(&store, &[&ada]).await);
    let batch = vec![plain(one, Some("a")), plain(one, Some("a")), plain(one, None), plain(other, Some("a"))];
    let appended: Vec<_> = store.append(batch).await.into_iter().map(Result::unwrap).collect();
    let places: Vec<_> = appended.iter().map(|appended| (appended.seq, appended.fresh)).collect();
    assert_eq!(places, [(2, true), (2, false), (3, true), (2, true)]);
    let again = store.append_one(plain(one, Some("a"))).await.unwrap();
    assert_eq!(again, Appended { seq: 2, fresh: false });
    let body = EventBody::TopicChanged { topic: "Other".to_owned(), by: sender(&ada) };
    let changed = NewEvent { thread: one, body, client_id: Some("a".to_owned()) };
    assert_eq!(store.append_one(changed).await.unwrap(), Appended { seq: 2, fresh: false });
    assert_eq!(
        store.membership(one, ada.id).await.unwrap().unwrap().0.topic,
        "Talk",
        "nothing follows from a second copy"
    );
    assert_eq!(store.thread_state(one).await.unwrap().seq, 3);
}

#[tokio::test]
async fn a_batch_that_meets_a_locked_file_waits_once_and_not_for_each_event() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreLocation::Embedded(data.path().to_owned()), FEW).await.unwrap();
    let ada = user(&store, "Ada").await;
    let thread = group(&store, &[&ada]).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.path().join("plenum.db"));
    let mut other: sqlx::SqliteConnection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let begun = std::time::Instant::now();
    let batch = |name: &str| (0..4).map(|number| plain(thread, Some(&format!("{name} {number}")))).collect();
    let results = store.append(batch("a")).await;
    assert!(results.iter().all(Result::is_err), "{results:?}");
    // The busy time of one statement, and less than two.
    assert!(begun.elapsed().as_secs() < 9, "{:?}", begun.elapsed());
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let results = store.append(batch("a")).await;
    assert!(results.iter().all(|result| result.as_ref().is_ok_and(|appended| appended.fresh)), "{results:?}");
}

#[tokio::test]
async fn an_event_for_a_thread_that_is_gone_fails_alone() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let ada = user(&store, "Ada").await;
    let thread = group(&store, &[&ada]).await;
    let gone = ThreadId::generate();
    let results = store.append(vec![plain(gone, None), plain(thread, None), plain(gone, Some("a"))]).await;
    assert!(results[0].is_err() && results[2].is_err());
    assert_eq!(*results[1].as_ref().unwrap(), Appended { seq: 2, fresh: true });
    assert!(append(&store, gone, EventBody::TopicChanged { topic: String::new(), by: sender(&ada) }).await.is_err());
}

#[tokio::test]
async fn a_pair_has_one_chat_however_often_and_from_whichever_side_it_is_made() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let (ada, bob, eve) = (user(&store, "Ada").await, user(&store, "Bob").await, user(&store, "Eve").await);
    let make = |one: UserId, other: UserId| {
        store.create_chat(NewChat {
            kind: "oneOnOne",
            tenant: "t".to_owned(),
            topic: String::new(),
            pair: Some((one, other)),
        })
    };
    let many = futures_util::future::join_all((0..50).map(|number| match number % 2 {
        0 => make(ada.id, bob.id),
        _ => make(bob.id, ada.id),
    }));
    let first = make(ada.id, bob.id).await.unwrap();
    assert!(many.await.into_iter().all(|made| made.unwrap() == first));
    assert_ne!(make(ada.id, eve.id).await.unwrap(), first);
}

#[tokio::test]
async fn a_message_is_edited_by_its_sender_alone_and_a_deleted_one_leaves_no_word() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let (ada, bob) = (user(&store, "Ada").await, user(&store, "Bob").await);
    let thread = group(&store, &[&ada, &bob]).await;
    let seq = say(&store, thread, &ada, "the secret is wombat").await;
    let edit = |by: &UserRow, message, text: &str| EventBody::MessageEdited {
        message,
        text: text.to_owned(),
        html: None,
        mentions: vec![],
        by: sender(by),
    };
    let refused = append(&store, thread, edit(&bob, seq, "no")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Impossible(Impossible::NotTheirs)), "{refused}");
    let refused = append(&store, thread, edit(&ada, seq + 9, "no")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Impossible(Impossible::NoSuchMessage)), "{refused}");
    append(&store, thread, edit(&ada, seq, "the secret is quokka")).await.unwrap();
    let react = |by: &UserRow, reaction| EventBody::MessageReaction { message: seq, reaction, by: sender(by) };
    append(&store, thread, react(&bob, Some(Reaction::Like))).await.unwrap();
    append(&store, thread, react(&bob, Some(Reaction::Heart))).await.unwrap();
    append(&store, thread, react(&ada, Some(Reaction::Sad))).await.unwrap();
    append(&store, thread, react(&ada, None)).await.unwrap();
    let edited = message(&store, thread, seq).await;
    assert_eq!((edited.text.as_str(), edited.edited.is_some()), ("the secret is quokka", true));
    assert_eq!(edited.reactions.into_iter().collect::<Vec<_>>(), [(bob.id.to_string(), Reaction::Heart)]);
    let finds = async |word| store.search(bob.id, word, u64::MAX, 10).await.unwrap().len();
    assert_eq!((finds("wombat").await, finds("quokka").await), (0, 1), "search knows what it says now");

    append(&store, thread, EventBody::MessageDeleted { message: seq, by: sender(&ada) }).await.unwrap();
    let deleted = message(&store, thread, seq).await;
    assert!(deleted.deleted && deleted.text.is_empty() && deleted.reactions.is_empty());
    assert_eq!(finds("quokka").await, 0);
    let refused = append(&store, thread, edit(&ada, seq, "back")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Impossible(Impossible::Deleted)), "{refused}");
    let seqs: Vec<_> = store.events(thread, 0, u64::MAX, 100).await.unwrap().iter().map(|event| event.seq).collect();
    assert!(seqs.iter().copied().eq(1..=8), "what was refused left no gap: {seqs:?}");
}

#[tokio::test]
async fn members_see_what_their_history_allows_and_nothing_once_they_are_out() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let (ada, bob, eve) = (user(&store, "Ada").await, user(&store, "Bob").await, user(&store, "Eve").await);
    let thread = group(&store, &[&ada]).await;
    say(&store, thread, &ada, "before").await;
    let added = |who: &UserRow, visible_history_start| EventBody::MembersAdded {
        members: vec![view(who, ChatRole::Member)],
        visible_history_start,
        by: sender(&ada),
    };
    let came = append(&store, thread, added(&bob, None)).await.unwrap();
    append(&store, thread, added(&eve, Some(Timestamp::from_millis(-62_135_596_800_000)))).await.unwrap();
    let after = say(&store, thread, &ada, "after").await;
    assert_eq!(hears(&store, &bob, 0).await, [(thread, came), (thread, came + 1), (thread, after)]);
    assert_eq!(hears(&store, &eve, 0).await.len(), 5, "from the beginning");
    assert_eq!(store.unread(thread, bob.id).await.unwrap(), 1);
    assert_eq!(store.search(bob.id, "before", u64::MAX, 9).await.unwrap(), []);
    assert_eq!(store.search(eve.id, "befo", u64::MAX, 9).await.unwrap().len(), 1);

    let place = store.feed_state().await.unwrap().place;
    let out = EventBody::MemberRemoved { user_id: bob.id, display_name: bob.name.clone(), by: sender(&ada) };
    let gone = append(&store, thread, out.clone()).await.unwrap();
    say(&store, thread, &ada, "without Bob").await;
    assert_eq!(hears(&store, &bob, place).await, [(thread, gone)], "that they are out is the last that they hear");
    assert_eq!(hears(&store, &bob, 0).await, [(thread, gone)]);
    assert_eq!(store.search(bob.id, "after", u64::MAX, 9).await.unwrap(), []);
    assert!(store.member(thread, bob.id).await.unwrap().is_none());
    let again = append(&store, thread, out).await.unwrap_err();
    assert!(matches!(again, StoreError::Impossible(Impossible::NotAMember)), "{again}");
    let back = append(&store, thread, added(&bob, None)).await.unwrap();
    assert_eq!(hears(&store, &bob, place).await, [(thread, back)], "and back they see nothing of the meantime");
}

#[tokio::test]
async fn nobody_is_added_beyond_the_limit_not_even_in_part() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let mut people = Vec::new();
    for number in 0..7 {
        people.push(user(&store, &format!("Person {number}")).await);
    }
    let thread = group(&store, &people[..3].iter().collect::<Vec<_>>()).await;
    let added = |range: std::ops::Range<usize>| EventBody::MembersAdded {
        members: people[range].iter().map(|user| view(user, ChatRole::Member)).collect(),
        visible_history_start: None,
        by: sender(&people[0]),
    };
    let refused = append(&store, thread, added(3..6)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Impossible(Impossible::TooManyMembers(FEW))), "{refused}");
    assert_eq!(store.members(thread).await.unwrap().len(), 3);
    assert_eq!(append(&store, thread, added(3..5)).await.unwrap(), 2);
    assert_eq!(append(&store, thread, added(0..5)).await.unwrap(), 3, "who is there already counts once");
    assert_eq!(store.members(thread).await.unwrap().len(), 5);
}

#[tokio::test]
async fn read_marks_move_forward_only_and_are_heard_of_once() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let (ada, bob, eve) = (user(&store, "Ada").await, user(&store, "Bob").await, user(&store, "Eve").await);
    let thread = group(&store, &[&ada, &bob]).await;
    let (one, two) = (say(&store, thread, &ada, "one").await, say(&store, thread, &ada, "two").await);
    let place = store.feed_state().await.unwrap().place;
    for seq in [one, two, one, two + 50] {
        store.mark_read(thread, bob.id, seq).await.unwrap();
    }
    store.mark_read(thread, eve.id, two).await.unwrap();
    let heard = store.feed(ada.id, place, 10).await.unwrap();
    assert_eq!(heard.len(), 1, "the last mark stands for those before it");
    assert_eq!(heard[0].news, FeedNews::Read { user: bob.id, seq: two });
    assert_eq!((store.unread(thread, bob.id).await.unwrap(), store.unread(thread, ada.id).await.unwrap()), (0, 2));
    assert!(store.feed(eve.id, 0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_feed_in_pages_of_any_size_is_the_feed() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let (ada, bob) = (user(&store, "Ada").await, user(&store, "Bob").await);
    let threads =
        [group(&store, &[&ada, &bob]).await, group(&store, &[&bob, &ada]).await, group(&store, &[&bob]).await];
    for number in 0..30 {
        let thread = threads[number % 3];
        let seq = say(&store, thread, &bob, "hello").await;
        if number % 4 == 0 {
            store.mark_read(thread, bob.id, seq).await.unwrap();
        }
    }
    let whole = store.feed(ada.id, 0, usize::MAX).await.unwrap();
    assert!(whole.iter().all(|entry| entry.thread != threads[2]) && whole.len() > 22);
    for size in [1, 3, 7] {
        let (mut pages, mut after) = (Vec::new(), 0);
        loop {
            let page = store.feed(ada.id, after, size).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.place;
            pages.extend(page);
        }
        assert_eq!(pages, whole, "pages of {size}");
    }
}

#[tokio::test]
async fn chats_are_listed_newest_first_with_what_is_unread_and_said_last() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let (ada, bob) = (user(&store, "Ada").await, user(&store, "Bob").await);
    let quiet = group(&store, &[&ada, &bob]).await;
    let busy = group(&store, &[&ada, &bob]).await;
    say(&store, quiet, &bob, "first").await;
    say(&store, busy, &bob, "second").await;
    append(&store, busy, EventBody::TopicChanged { topic: "Busy".to_owned(), by: sender(&bob) }).await.unwrap();
    let chats = store.chats_of(ada.id, u64::MAX, 10).await.unwrap();
    assert_eq!(chats.iter().map(|chat| chat.chat.id).collect::<Vec<_>>(), [busy, quiet]);
    assert_eq!((chats[0].chat.topic.as_str(), chats[0].unread), ("Busy", 1));
    assert_eq!(chats[0].preview.as_ref().unwrap().seq, 2);
    let next = store.chats_of(ada.id, chats[0].chat.place, 10).await.unwrap();
    assert_eq!(next.iter().map(|chat| chat.chat.id).collect::<Vec<_>>(), [quiet]);
}

#[tokio::test]
async fn a_call_that_nobody_took_is_unread_until_its_chat_is_read() {
    use PhoneCallState::{Answered, Declined, Message, Missed, Ringing};
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let ada = user(&store, "Ada").await;
    for (becomes, unread) in [(Missed, 1), (Message, 1), (Answered, 0), (Declined, 0)] {
        let thread = group(&store, &[&ada]).await;
        let mut seq = 0;
        for state in [Ringing, becomes] {
            // Whoever calls themselves so is no state.
            let caller = Some("\"state\":\"missed\"".to_owned());
            let (call_id, meeting_id) = (CallId::generate(), MeetingId::generate());
            let event = EventBody::PhoneCall { call_id, meeting_id, caller, state, until: None };
            seq = append(&store, thread, event).await.unwrap();
        }
        assert_eq!(store.unread(thread, ada.id).await.unwrap(), unread, "{becomes:?}");
        store.mark_read(thread, ada.id, seq).await.unwrap();
        assert_eq!(store.unread(thread, ada.id).await.unwrap(), 0, "{becomes:?}");
    }
}

#[tokio::test]
async fn a_question_full_of_operators_is_only_words() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let ada = user(&store, "Ada").await;
    let thread = group(&store, &[&ada]).await;
    say(&store, thread, &ada, "It's a \"quoted\" naïve Übung, 100% (sure) thread:x AND NOT").await;
    for text in [
        "quoted",
        "\"quoted\" it",
        "ÜBUNG",
        "nai\u{308}ve",
        "100%",
        "(sure)",
        "thread:x",
        "AND NOT",
        "a' | 'b:* quoted",
    ] {
        let found = store.search(ada.id, text, u64::MAX, 9).await.unwrap().len();
        assert_eq!(found, usize::from(!text.contains('|') && !text.contains('\u{308}')), "{text}");
    }
    for text in ["", "  ", "\"", "*", "()", "':*"] {
        assert_eq!(store.search(ada.id, text, u64::MAX, 9).await.unwrap(), [], "{text}");
    }
}

#[tokio::test]
async fn followers_hear_of_what_is_committed_in_its_order() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let ada = user(&store, "Ada").await;
    let thread = group(&store, &[&ada]).await;
    let mut followed = store.follow(thread);
    let mut all = store.follow_all();
    let mut places = Vec::new();
    for text in ["one", "two"] {
        let seq = say(&store, thread, &ada, text).await;
        store.mark_read(thread, ada.id, seq).await.unwrap();
        assert_eq!(followed.events.recv().await.unwrap().seq, seq);
        for _ in 0..2 {
            places.push(all.news.recv().await.unwrap().place);
        }
    }
    assert!(places.is_sorted() && places.len() == 4 && !all.missed_some());
    assert_eq!(places[3], store.feed_state().await.unwrap().place);
}

#[tokio::test]
async fn options_are_changed_by_who_knows_them_as_they_are() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let organizer = user(&store, "Ada").await.id;
    let new = NewMeeting {
        tenant: "default".to_owned(),
        organizer,
        subject: String::new(),
        entrance: Entrance { join_secret: "secret".to_owned(), join_hash: vec![1], passcode: "pass".to_owned() },
        join_number: "123456789".to_owned(),
        settings: "one".to_owned(),
        times: Times::default(),
        external_id: None,
    };
    let Made::New(meeting) = store.create_meeting(new).await.unwrap() else { panic!("the store is empty") };
    assert_eq!(store.meeting(meeting.id).await.unwrap().unwrap().settings, "one");
    assert!(store.set_settings(meeting.id, "one", "two").await.unwrap());
    assert!(!store.set_settings(meeting.id, "one", "three").await.unwrap(), "somebody was faster");
    assert_eq!(store.meeting(meeting.id).await.unwrap().unwrap().settings, "two", "and the cache knows it");
}

#[tokio::test]
async fn an_old_cookie_is_exchanged_once_and_good_for_a_last_minute() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let ada = user(&store, "Ada").await;
    let (began, day) = (Timestamp::from_millis(1_000_000_000_000), 24 * 3600);
    store.add_sign_in_link(b"key", ada.id, began.plus_seconds(day)).await.unwrap();
    store.redeem_link(b"key", b"old", began, began.plus_seconds(30 * day)).await.unwrap().unwrap();
    let exchange = async |old: &[u8], new: &[u8], now: Timestamp| {
        let dates = (now.plus_seconds(-day), now, now.plus_seconds(60), now.plus_seconds(30 * day));
        store.rotate_session(old, new, dates).await.unwrap()
    };
    assert!(!exchange(b"old", b"early", began.plus_seconds(day - 1)).await, "a young one stays");
    let later = began.plus_seconds(2 * day);
    assert!(exchange(b"old", b"new", later).await);
    assert!(!exchange(b"old", b"second", later.plus_seconds(1)).await, "of two requests at once one exchanges it");
    let is_good = async |cookie: &[u8], now| store.session_user(cookie, now).await.unwrap().is_some();
    assert!(is_good(b"old", later.plus_seconds(59)).await && !is_good(b"old", later.plus_seconds(61)).await);
    assert!(is_good(b"new", later.plus_seconds(29 * day)).await && !is_good(b"early", later).await);
    store.revoke(ada.id, later).await.unwrap();
    assert!(!is_good(b"new", later).await && !is_good(b"old", later).await);
}

/// An embedded store of the version before chats, with a meeting in which something was said.
async fn old_store(data: &Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("plenum.db")).create_if_missing(true);
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let mut migrations = sqlx::migrate!("./migrations/sqlite");
    migrations.migrations = migrations.migrations.iter().take(2).cloned().collect::<Vec<_>>().into();
    migrations.run(&pool).await.unwrap();
    let (ada, thread) = (UserId::from_u128(1), ThreadId::from_u128(2));
    let rows = format!(
        r#"INSERT INTO user VALUES ('{ada}', 't', 'Ada', 1, 5);
           INSERT INTO thread (id, kind, tenant) VALUES ('{thread}', 'meeting', 't');
           INSERT INTO meeting VALUES ('mtg_00000000000000000000000000000003', '{thread}', 't', '{ada}', 'Standup', 's',
                                       x'00', '123456789', 'p', 7, 1);
           INSERT INTO event VALUES ('{thread}', 1, 'evt_00000000000000000000000000000001', 8, 'meetingStarted',
                                     '{{"kind":"meetingStarted"}}', NULL);
           INSERT INTO event VALUES ('{thread}', 2, 'evt_00000000000000000000000000000002', 9, 'message',
               '{{"kind":"message","from":{{"participantId":null,"displayName":"Bob"}},"text":"an old word",
                 "clientMessageId":"c"}}', 'par_x:c');"#
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn an_embedded_store_of_yesterday_is_copied_and_brought_up_to_date_with_all_that_is_in_it() {
    let data = tempfile::tempdir().unwrap();
    old_store(data.path()).await;
    let before = std::fs::metadata(data.path().join("plenum.db")).unwrap().len();
    assert!(before > 0);
    let store = Store::open(&StoreLocation::Embedded(data.path().to_owned()), FEW).await.unwrap();
    let (ada, thread) = (UserId::from_u128(1), ThreadId::from_u128(2));
    let chats = store.chats_of(ada, u64::MAX, 10).await.unwrap();
    assert_eq!((chats.len(), chats[0].chat.id, chats[0].unread, chats[0].me.read_seq), (1, thread, 1, 1));
    assert_eq!(chats[0].chat.topic, "Standup");
    assert_eq!(message(&store, thread, 2).await.text, "an old word");
    assert_eq!(store.search(ada, "old word", u64::MAX, 9).await.unwrap().len(), 1);
    assert_eq!(store.feed(ada, 0, 9).await.unwrap().iter().map(|entry| entry.place).collect::<Vec<_>>(), [1, 2]);
    let row = store.user(ada).await.unwrap().unwrap();
    assert_eq!(say(&store, thread, &row, "new").await, 3);
    store.close().await;

    let copy = data.path().join("plenum.schema-2.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&copy).read_only(true);
    let pool = sqlx::sqlite::SqlitePoolOptions::new().connect_with(options).await.unwrap();
    let (text,): (String,) = sqlx::query_as("SELECT body FROM event WHERE seq = 2").fetch_one(&pool).await.unwrap();
    assert!(text.contains("an old word"), "the copy is of before");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let again = Store::open(&StoreLocation::Embedded(data.path().to_owned()), FEW).await.unwrap();
    again.close().await;
    let copies = std::fs::read_dir(data.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("schema"));
    assert_eq!(copies.count(), 1, "nothing is copied when nothing changes");
}

/// `cargo test --workspace --lib -- --ignored --nocapture million`, some minutes. Prints what a search takes; on either store.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_search_among_a_million_messages() {
    const CHATS: usize = 1000;
    const MESSAGES: usize = 1_000_000;
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await;
    let (ada, other) = (user(&store, "Ada").await, user(&store, "Other").await);
    let mut chats = Vec::new();
    for number in 0..CHATS {
        // The caller is in one of a hundred.
        let people = if number % 100 == 0 { vec![&ada, &other] } else { vec![&other] };
        chats.push(group(&store, &people).await);
    }
    let begun = std::time::Instant::now();
    for round in 0..MESSAGES / 10_000 {
        let events = (0..10_000).map(|number| {
            let number = round * 10_000 + number;
            // Every tenth has the word.
            let word = if number % 10 == 3 { "quarterly" } else { "daily" };
            let text = format!("message {number} about the {word} figures of place {}", number % 97);
            NewEvent { thread: chats[number / 7 % CHATS], body: said(&other, &text), client_id: None }
        });
        assert!(store.append(events.collect()).await.iter().all(Result::is_ok));
    }
    println!("{MESSAGES} messages in {:.0} s", begun.elapsed().as_secs_f64());
    for question in ["quarterly", "quart", "quarterly figures", "message", "place 13 quarterly"] {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..100 {
            let begun = std::time::Instant::now();
            found = store.search(ada.id, question, u64::MAX, 25).await.unwrap().len();
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        println!("{question:>20}: {found} found, p50 {:?}, p95 {:?}", times[50], times[95]);
        assert!(found > 0);
    }
}
