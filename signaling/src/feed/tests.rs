//! The feed on the store that these tests run on: the same sequence for everybody who may hear it, however they listen.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::VecDeque;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::auth::KeyName;
use crate::protocol::{ChatRole, MemberView, Message, Sender};
use crate::store::tests::open;
use crate::store::{NewChat, NewEvent, UserRow};

struct House {
    store: Store,
    feeds: Feeds,
    people: Vec<UserRow>,
}

impl House {
    async fn open(data: &Path, people: usize) -> Self {
        let store = open(data).await;
        let feeds = Feeds::start(store.clone());
        let mut rows = Vec::new();
        for number in 0..people {
            rows.push(store.find_or_create_user("t", &format!("Person {number}"), false).await.unwrap());
        }
        Self { store, feeds, people: rows }
    }

    fn sender(&self, who: usize) -> Sender {
        let UserRow { id, name, .. } = &self.people[who];
        Sender { participant_id: None, user_id: Some(*id), display_name: name.clone() }
    }

    fn views(&self, people: &[usize]) -> Vec<MemberView> {
        let rows = people.iter().map(|who| &self.people[*who]);
        rows.map(|row| MemberView { user_id: row.id, display_name: row.name.clone(), role: ChatRole::Owner }).collect()
    }

    async fn chat(&self, people: &[usize]) -> ThreadId {
        let new = NewChat { kind: "group", tenant: "t".to_owned(), topic: String::new(), pair: None };
        let thread = self.store.create_chat(new).await.unwrap();
        let (members, by) = (self.views(people), self.sender(people[0]));
        self.append(thread, EventBody::ChatCreated { topic: String::new(), members, by }).await;
        thread
    }

    async fn append(&self, thread: ThreadId, body: EventBody) -> u64 {
        self.store.append_one(NewEvent { thread, body, client_id: None }).await.map_or(0, |appended| appended.seq)
    }

    async fn say(&self, thread: ThreadId, who: usize, text: &str) -> u64 {
        let message = Message::plain(self.sender(who), text.to_owned(), "c".to_owned());
        self.append(thread, EventBody::Message(Box::new(message))).await
    }

    async fn listen(&self, who: usize, cursor: Option<&str>) -> Reader {
        self.feeds.listen(self.people[who].id, KeyName::default(), cursor).await.unwrap()
    }
}

/// Everything up to the message with that text, that one included.
async fn until(reader: &mut Reader, text: &str) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let item = reader.next().await.unwrap();
        let message: Value = serde_json::from_slice(item.frame.json()).unwrap();
        let is_last = message["event"]["text"] == text;
        if item.counts {
            heard.push(message);
        }
        if is_last {
            return heard;
        }
    }
}

#[tokio::test]
async fn all_devices_of_all_members_hear_the_same_and_nobody_else_does() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), 4).await;
    let thread = house.chat(&[0, 1]).await;
    let other = house.chat(&[2]).await;
    let mut readers = Vec::new();
    for who in [0, 0, 1, 1, 2] {
        readers.push(house.listen(who, None).await);
    }
    for number in 0..20 {
        house.say(thread, number % 2, &format!("m{number}")).await;
    }
    house.say(thread, 0, "end").await;
    house.say(other, 2, "end").await;
    let mut heard = VecDeque::new();
    for reader in &mut readers {
        heard.push_back(until(reader, "end").await);
    }
    assert_eq!(heard.pop_back().unwrap().len(), 1, "only what was said in their own chat");
    assert_eq!(heard[0].len(), 21);
    assert!(heard.iter().all(|one| *one == heard[0]));
}

#[tokio::test]
async fn who_does_not_read_hears_everything_later_and_holds_nobody_up() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), 2).await;
    let thread = house.chat(&[0, 1]).await;
    let mut slow = house.listen(0, None).await;
    let mut quick = house.listen(1, None).await;
    let many = (0..3 * QUEUE).map(|number| {
        let message = Message::plain(house.sender(0), format!("m{number}"), "c".to_owned());
        NewEvent { thread, body: EventBody::Message(Box::new(message)), client_id: None }
    });
    let appending = house.store.append(many.collect());
    let last = format!("m{}", 3 * QUEUE - 1);
    let (_, heard) = tokio::join!(appending, until(&mut quick, &last));
    assert_eq!(heard.len(), 3 * QUEUE);
    assert_eq!(until(&mut slow, &last).await, heard);
}

#[tokio::test]
async fn who_is_added_and_taken_out_hears_of_both_and_of_nothing_outside() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), 2).await;
    let (thread, own) = (house.chat(&[0]).await, house.chat(&[1]).await);
    let mut bob = house.listen(1, None).await;
    house.say(thread, 0, "before").await;
    let (members, by) = (house.views(&[1]), house.sender(0));
    house.append(thread, EventBody::MembersAdded { members, visible_history_start: None, by }).await;
    house.say(thread, 0, "hello").await;
    // Heard before the next thing happens: of a membership that is over already nobody would be told that it began.
    let mut heard = until(&mut bob, "hello").await;
    let UserRow { id, name, .. } = house.people[1].clone();
    let out = EventBody::MemberRemoved { user_id: id, display_name: name, by: house.sender(0) };
    house.append(thread, out).await;
    house.say(thread, 0, "after").await;
    house.say(own, 1, "end").await;
    heard.extend(until(&mut bob, "end").await);
    let kinds: Vec<_> = heard.iter().map(|message| message["event"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["membersAdded", "message", "memberRemoved", "message"]);
}

#[tokio::test]
async fn a_sign_that_somebody_writes_is_of_the_moment_and_moves_no_cursor() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), 2).await;
    let thread = house.chat(&[0, 1]).await;
    let (mut ada, mut bob) = (house.listen(0, None).await, house.listen(1, None).await);
    let cursor = bob.cursor();
    house.feeds.typing(thread, house.people[0].id).await.unwrap();
    let item = bob.next().await.unwrap();
    assert!(!item.counts && bob.cursor() == cursor);
    house.say(thread, 0, "end").await;
    let own = ada.next().await.unwrap();
    assert!(own.counts, "nobody is told of themselves");
}

#[tokio::test]
async fn a_cursor_that_is_of_no_use_is_answered_by_a_resync_and_a_good_one() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), 1).await;
    let thread = house.chat(&[0]).await;
    house.say(thread, 0, "long ago").await;
    for cursor in ["another-5", "nonsense", ""] {
        let mut reader = house.listen(0, Some(cursor)).await;
        let item = reader.next().await.unwrap();
        let message: Value = serde_json::from_slice(item.frame.json()).unwrap();
        assert_eq!((&message["type"], message["cursor"].as_str()), (&"resync".into(), Some(&*reader.cursor())));
        assert_eq!(reader.ready().await.unwrap(), None, "and nothing of before");
    }
}

#[tokio::test]
async fn a_person_has_so_many_devices_and_places_are_given_back() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), 1).await;
    let mut readers = Vec::new();
    for _ in 0..DEVICES {
        readers.push(house.listen(0, None).await);
    }
    let id = house.people[0].id;
    assert!(matches!(house.feeds.listen(id, KeyName::default(), None).await, Err(ListenError::TooMany)));
    readers.pop();
    assert!(house.feeds.listen(id, KeyName::default(), None).await.is_ok());
    readers.clear();
    assert!(house.feeds.0.listeners.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// People write, read, come and go in three chats; one device listens all the time, another comes and goes with its
    /// cursor. Both know the same in the end.
    #[test]
    fn who_comes_and_goes_hears_what_one_hears_who_stays(
        steps in proptest::collection::vec((0..6_u8, 0..3_usize, 0..3_usize), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let data = tempfile::tempdir().unwrap();
            let house = House::open(data.path(), 3).await;
            let chats = [house.chat(&[0, 1]).await, house.chat(&[0, 1, 2]).await, house.chat(&[1, 2]).await];
            let mut stays = house.listen(0, None).await;
            let mut cursor = stays.cursor();
            let mut heard = Vec::new();
            for (step, chat, who) in steps {
                let thread = chats[chat];
                let row = &house.people[who];
                match step {
                    0 | 1 => drop(house.say(thread, who, "text").await),
                    2 => {
                        let seq = house.store.thread_state(thread).await.unwrap().seq;
                        house.store.mark_read(thread, row.id, seq).await.unwrap();
                    }
                    3 => {
                        let out = EventBody::MemberRemoved {
                            user_id: row.id, display_name: row.name.clone(), by: house.sender(1),
                        };
                        house.append(thread, out).await;
                    }
                    4 => {
                        let (members, by) = (house.views(&[who]), house.sender(1));
                        house.append(thread, EventBody::MembersAdded { members, visible_history_start: None, by }).await;
                    }
                    _ => {
                        let mut comes = house.listen(0, Some(&cursor)).await;
                        while let Some(item) = comes.ready().await.unwrap() {
                            heard.push(serde_json::from_slice::<Value>(item.frame.json()).unwrap());
                        }
                        cursor = comes.cursor();
                    }
                }
            }
            let own = house.chat(&[0]).await;
            house.say(own, 0, "end").await;
            let stayed = until(&mut stays, "end").await;
            heard.extend(until(&mut house.listen(0, Some(&cursor)).await, "end").await);
            let me = house.people[0].id.to_string();
            let (stayed, came) = (State::of(&stayed, &me), State::of(&heard, &me));
            assert_eq!(stayed.chats, came.chats);
            for ((chat, who), seq) in stayed.marks.iter().chain(&came.marks) {
                let members = house.store.members(chat.parse().unwrap()).await.unwrap();
                let member = members.iter().find(|member| member.user.to_string() == *who);
                assert_eq!(member.map(|member| member.read_seq), Some(*seq), "{chat} {who}");
            }
        });
    }
}

/// What a client knows that forgets a chat when it is out of it, and begins it anew when it is let in.
#[derive(Debug, Default)]
struct State {
    chats: HashMap<String, Vec<Value>>,
    marks: HashMap<(String, String), u64>,
}

impl State {
    fn of(heard: &[Value], me: &str) -> Self {
        let mut state = Self::default();
        for message in heard {
            let chat = message["chatId"].as_str().unwrap().to_owned();
            let event = &message["event"];
            if message["type"] == "chatRead" {
                let who = message["userId"].as_str().unwrap().to_owned();
                state.marks.insert((chat, who), message["seq"].as_u64().unwrap());
                continue;
            }
            let is_me = |member: &Value| member["userId"] == me;
            let comes = event["kind"] == "membersAdded" && event["members"].as_array().unwrap().iter().any(is_me);
            let goes = event["kind"] == "memberRemoved" && is_me(event);
            if comes || goes {
                state.chats.remove(&chat);
                state.marks.retain(|(of, _), _| *of != chat);
            }
            if let (Value::String(gone), true) = (&event["userId"], event["kind"] == "memberRemoved") {
                state.marks.remove(&(chat.clone(), gone.clone()));
            }
            if !goes {
                state.chats.entry(chat).or_default().push(event.clone());
            }
        }
        state
    }
}
