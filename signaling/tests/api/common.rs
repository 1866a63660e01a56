//! A whole signalling room on a loopback port, with fakes for engine and recorder that note what they were asked.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use signaling::clock::Timestamp;
use signaling::id::{MeetingId, ParticipantId, RecordingId};
use signaling::ports::{
    ByteRange, EndpointId, Layout, Media, MediaConnect, MediaConnected, MediaPublication, MediaRefused,
    PublicationKind, RecordedTrack, RecordingContents, RecordingFile, RecordingNote, RecordingRefused, RecordingSlice,
    RecordingStart, Recordings, Rendition, RenditionKind, RenditionState, SlotKind,
};
use signaling::store::{RecordingRow, RecordingRowState, Store};
use signaling::{Config, Signaling, StoreLocation};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tower::ServiceExt as _;

use self::document::Document;

/// How long a test waits for what must come at once.
const SOON: Duration = Duration::from_secs(10);

/// An engine that answers everything.
#[derive(Default)]
pub(crate) struct FakeMedia {
    next: AtomicU64,
    /// At its capacity.
    pub(crate) full: AtomicBool,
    /// Panics at the next order to mute.
    pub(crate) fails: AtomicBool,
    pub(crate) calls: Mutex<Vec<String>>,
}

impl FakeMedia {
    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

#[async_trait]
impl Media for FakeMedia {
    async fn connect(&self, request: MediaConnect) -> Result<MediaConnected, MediaRefused> {
        if request.offer.contains("bad") {
            return Err(MediaRefused::BadOffer("The offer has no line that we can answer.".to_owned()));
        }
        if self.full.load(Ordering::Relaxed) {
            return Err(MediaRefused::Busy("no shard has time".to_owned()));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.note(format!("connect {} replaces {:?}", request.participant, request.replaces));
        Ok(MediaConnected {
            endpoint: EndpointId(number),
            continues: false,
            answer: format!("answer {number}"),
            slots: vec![("2".to_owned(), SlotKind::Audio), ("5".to_owned(), SlotKind::Video)],
            publications: vec![MediaPublication { id: number as u32, kind: PublicationKind::Camera }],
        })
    }

    fn has_room(&self) -> bool {
        !self.full.load(Ordering::Relaxed)
    }

    fn disconnect(&self, endpoint: EndpointId) {
        self.note(format!("disconnect {}", endpoint.0));
    }

    fn remove(&self, participant: ParticipantId) {
        self.note(format!("remove {participant}"));
    }

    fn set_muted(&self, participant: ParticipantId, kind: PublicationKind, muted: bool) {
        assert!(!self.fails.swap(false, Ordering::Relaxed), "asked for by a test");
        self.note(format!("mute {participant} {kind:?} {muted}"));
    }

    fn layout(&self, endpoint: EndpointId, layout: Layout) {
        self.note(format!("layout {} {}", endpoint.0, layout.wants.len()));
    }
}

/// What the fake recorder "wrote".
pub(crate) const TRACK: &[u8] = b"0123456789abcdefghij";

/// A recorder that notes its orders and has one track.
#[derive(Default)]
pub(crate) struct FakeRecordings {
    pub(crate) started: Mutex<Vec<RecordingStart>>,
    pub(crate) stopped: Mutex<Vec<RecordingId>>,
    pub(crate) deleted: Mutex<Vec<RecordingId>>,
    pub(crate) reads: AtomicU64,
    pub(crate) notes: Mutex<Vec<(RecordingId, RecordingNote)>>,
    /// Orders to pause (`true`) and to go on.
    pub(crate) paused: Mutex<Vec<(RecordingId, bool)>>,
    /// What [`Recordings::link`] answers.
    pub(crate) link: Mutex<Option<String>>,
    /// For what it was asked for links: file, its name, how long.
    pub(crate) linked: Mutex<Vec<(RecordingFile, String, Duration)>>,
    /// The composed recording, where it is not the track.
    pub(crate) composed: Mutex<Bytes>,
    /// Deletes nothing and says so.
    pub(crate) is_stuck: AtomicBool,
    pub(crate) rendered: Mutex<Vec<(RecordingId, RenditionKind)>>,
    /// Held for writing, no order to start is answered.
    pub(crate) busy: tokio::sync::RwLock<()>,
}

#[async_trait]
impl Recordings for FakeRecordings {
    async fn start(&self, start: RecordingStart) -> Result<(), RecordingRefused> {
        self.started.lock().unwrap().push(start);
        drop(self.busy.read().await);
        Ok(())
    }

    fn note(&self, recording: RecordingId, note: RecordingNote) {
        self.notes.lock().unwrap().push((recording, note));
    }

    fn pause(&self, recording: RecordingId) {
        self.paused.lock().unwrap().push((recording, true));
    }

    fn resume(&self, recording: RecordingId) {
        self.paused.lock().unwrap().push((recording, false));
    }

    async fn stop(&self, recording: RecordingId) {
        self.stopped.lock().unwrap().push(recording);
    }

    async fn adopt(&self, _: &str, _: RecordingId) -> Result<bool, RecordingRefused> {
        Ok(false)
    }

    async fn contents(&self, _: &str, _: RecordingId) -> Result<RecordingContents, RecordingRefused> {
        Ok(RecordingContents {
            tracks: vec![RecordedTrack {
                number: 0,
                participant_id: "par_x".to_owned(),
                display_name: "<Ada>".to_owned(),
                kind: PublicationKind::Microphone,
                content_type: "audio/webm".to_owned(),
                size: TRACK.len() as u64,
                offset_ms: 0,
                duration_ms: 61_000,
            }],
            complete: true,
            duration_ms: 61_000,
            content_size: Some(TRACK.len() as u64),
            content_type: Some("video/webm".to_owned()),
            renditions: Vec::new(),
            started: None,
            breaks: Vec::new(),
        })
    }

    async fn read(
        &self,
        _: &str,
        recording: RecordingId,
        file: RecordingFile,
        range: Option<ByteRange>,
    ) -> Result<RecordingSlice, RecordingRefused> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.deleted.lock().unwrap().contains(&recording) {
            return Err(RecordingRefused::NotFound);
        }
        let composed = self.composed.lock().unwrap().clone();
        let (bytes, content_type) = match file {
            RecordingFile::Content { .. } if !composed.is_empty() => (composed, "video/webm"),
            RecordingFile::Content { .. } => (Bytes::from_static(TRACK), "video/webm"),
            RecordingFile::Track(0) => (Bytes::from_static(TRACK), "audio/webm"),
            RecordingFile::Manifest | RecordingFile::Timeline => (Bytes::from_static(b"{}"), "application/json"),
            RecordingFile::Speakers => (Bytes::from_static(b"WEBVTT\n"), "text/vtt"),
            RecordingFile::Rendition(name) if name == "wav-1.wav" => (Bytes::from_static(b"RIFF"), "audio/wav"),
            _ => return Err(RecordingRefused::NotFound),
        };
        let size = bytes.len() as u64;
        let range = match range {
            None => 0..size,
            Some(ByteRange::Closed(first, last)) if first < size => first..last.saturating_add(1).min(size),
            Some(ByteRange::From(first)) if first < size => first..size,
            Some(ByteRange::Suffix(length)) if length > 0 => size.saturating_sub(length)..size,
            Some(_) => return Err(RecordingRefused::RangeNotSatisfiable(size)),
        };
        let part = bytes.slice(range.start as usize..range.end as usize);
        let pieces: Vec<_> = part.chunks(1000).map(|piece| Ok(part.slice_ref(piece))).collect();
        Ok(RecordingSlice {
            size,
            etag: "tag-1".to_owned(),
            sha256: Some(Sha256::digest(&bytes).into()),
            content_type: content_type.to_owned(),
            range,
            body: futures_util::stream::iter(pieces).boxed(),
        })
    }

    async fn link(
        &self,
        _: &str,
        _: RecordingId,
        file: RecordingFile,
        file_name: &str,
        valid: Duration,
    ) -> Result<Option<String>, RecordingRefused> {
        self.linked.lock().unwrap().push((file, file_name.to_owned(), valid));
        Ok(self.link.lock().unwrap().clone())
    }

    async fn render(
        &self,
        _: &str,
        recording: RecordingId,
        what: RenditionKind,
    ) -> Result<Rendition, RecordingRefused> {
        self.rendered.lock().unwrap().push((recording, what));
        Ok(Rendition { name: "wav".to_owned(), what, state: RenditionState::Queued, files: Vec::new() })
    }

    async fn delete(&self, _: &str, recording: RecordingId) -> Result<(), RecordingRefused> {
        if self.is_stuck.load(Ordering::Relaxed) {
            return Err(RecordingRefused::Unavailable("The store is away.".to_owned()));
        }
        self.deleted.lock().unwrap().push(recording);
        Ok(())
    }
}

#[path = "../support/document.rs"]
pub(crate) mod document;
#[path = "../support/store.rs"]
mod support;

/// A room with its data in that directory, on the store that these tests run on.
pub(crate) async fn config(data: &Path) -> Config {
    Config { store: location(data).await, ..Config::new(data.to_owned()) }
}

async fn location(data: &Path) -> StoreLocation {
    match support::postgres_of(data).await {
        Some(url) => StoreLocation::Postgres(url.into()),
        None => StoreLocation::Embedded(data.to_owned()),
    }
}

/// A token of somebody of that tenant.
pub(crate) async fn token_of(data: &Path, name: &str, tenant: &str) -> String {
    token_as(data, name, tenant, false).await
}

/// A token of somebody of that tenant, who may be its administrator.
pub(crate) async fn token_as(data: &Path, name: &str, tenant: &str, admin: bool) -> String {
    signaling::mint_user_token(data, &location(data).await, name, tenant, admin).await.unwrap()
}

/// A link that signs the organiser in.
pub(crate) async fn sign_in_link(data: &Path, base_url: &str) -> String {
    signaling::new_sign_in_link(&location(data).await, base_url).await.unwrap()
}

/// A recording of a meeting's first run that is over and stored, changed as the test wants it. By another process, so that
/// no recorder and nobody's clock has a say.
pub(crate) async fn add_recording(
    house: &House,
    meeting: MeetingId,
    change: impl FnOnce(&mut RecordingRow),
) -> RecordingId {
    let id = RecordingId::generate();
    let mut row = RecordingRow {
        id,
        meeting,
        run: 1,
        state: RecordingRowState::Ready,
        started: Timestamp::now(),
        ended: None,
        by: None,
        starter: None,
        first: id,
        part: 1,
        duration_ms: None,
        size: None,
        expires: None,
        deleted: None,
        purged: None,
        share: None,
    };
    change(&mut row);
    let store = Store::open(house.location(), 250).await.unwrap();
    store.add_recording(&row).await.unwrap();
    store.close().await;
    id
}

/// A running room.
pub(crate) struct House {
    pub(crate) signaling: Signaling,
    pub(crate) media: Arc<FakeMedia>,
    pub(crate) recordings: Arc<FakeRecordings>,
    pub(crate) router: Router,
    pub(crate) address: SocketAddr,
    location: StoreLocation,
    server: tokio::task::JoinHandle<()>,
}

impl House {
    pub(crate) async fn open(data: &Path) -> Self {
        Self::open_with(config(data).await).await
    }

    pub(crate) async fn open_with(config: Config) -> Self {
        let media = Arc::new(FakeMedia::default());
        let recordings = Arc::new(FakeRecordings::default());
        let location = config.store.clone();
        let signaling = Signaling::open(config, media.clone(), recordings.clone()).await.unwrap();
        let router = signaling.router();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.clone().into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { signaling, media, recordings, router, address, location, server }
    }

    /// Where its store is.
    pub(crate) fn location(&self) -> &StoreLocation {
        &self.location
    }

    /// Ends it the rough way: no goodbye to anybody.
    pub(crate) fn kill(self) {
        self.server.abort();
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method.clone()).uri(path).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        // Whatever a test asks for: the answer is as the API's document says.
        let lie = Document::get().lie(&method, path, parts.status, &parts.headers, &body);
        assert_eq!(lie, None, "{method} {path}: {} {}", parts.status, String::from_utf8_lossy(&body));
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, &[("authorization", &format!("Bearer {token}"))], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("content-type", "application/json")];
        if !token.is_empty() {
            headers.push(("authorization", &bearer));
        }
        self.call(Method::POST, path, &headers, body.to_string()).await
    }

    /// A meeting of a new organiser.
    pub(crate) async fn meeting(&self, data: &Path) -> Booked {
        let user = token_of(data, "Ada", "default").await;
        self.meeting_of(&user).await
    }

    /// A meeting of whoever has that token.
    pub(crate) async fn meeting_of(&self, user: &str) -> Booked {
        let user = user.to_owned();
        let made = self.post("/v1/onlineMeetings", &user, json!({"subject": "Standup"})).await;
        assert_eq!(made.status, StatusCode::CREATED);
        Booked { user, body: made.json() }
    }

    /// Changes options of a meeting.
    pub(crate) async fn change(&self, booked: &Booked, user: &str, options: Value) -> Answer {
        let bearer = format!("Bearer {user}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.call(Method::PATCH, &format!("/v1/onlineMeetings/{}", booked.id()), &headers, options.to_string()).await
    }

    /// Says hello and waits in the lobby.
    pub(crate) async fn wait(&self, token: &str) -> Page {
        let mut page = self.knock().await;
        page.say(json!({"type": "hello", "token": token, "cursor": 0})).await;
        let first = page.hear().await.unwrap();
        assert_eq!(first["type"], "lobby", "{first}");
        page
    }

    /// The token that a join gives.
    pub(crate) async fn join(&self, booked: &Booked, user: &str, name: &str) -> Joined {
        let body = json!({"joinWebUrl": booked.body["joinWebUrl"], "displayName": name});
        let answer = self.post("/v1/join", user, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let body = answer.json();
        Joined {
            token: body["token"].as_str().unwrap().to_owned(),
            participant: body["participantId"].as_str().unwrap().to_owned(),
            role: body["role"].as_str().unwrap().to_owned(),
            waits: body["isInLobby"].as_bool().unwrap(),
        }
    }

    /// Joins and says hello.
    pub(crate) async fn enter(&self, token: &str, cursor: u64) -> Page {
        let mut page = self.knock().await;
        page.say(json!({"type": "hello", "token": token, "cursor": cursor})).await;
        page.welcome = page.until("welcome").await;
        page
    }

    pub(crate) async fn knock(&self) -> Page {
        self.knock_on(TcpStream::connect(self.address).await.unwrap()).await
    }

    /// Joins over a connection whose receiving side holds little.
    pub(crate) async fn enter_narrow(&self, token: &str) -> Page {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut page = self.knock_on(socket.connect(self.address).await.unwrap()).await;
        page.say(json!({"type": "hello", "token": token, "cursor": 0})).await;
        page.welcome = page.until("welcome").await;
        page
    }

    async fn knock_on(&self, stream: TcpStream) -> Page {
        let mut request = format!("ws://{}/v1/live", self.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "plenum.v1".parse().unwrap());
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "plenum.v1");
        Page { socket, welcome: Value::Null, seen: Vec::new() }
    }
}

/// A made meeting and its organiser's token.
pub(crate) struct Booked {
    pub(crate) user: String,
    pub(crate) body: Value,
}

impl Booked {
    pub(crate) fn id(&self) -> &str {
        self.body["id"].as_str().unwrap()
    }

    pub(crate) fn chat(&self) -> &str {
        self.body["chatId"].as_str().unwrap()
    }
}

pub(crate) struct Joined {
    pub(crate) token: String,
    pub(crate) participant: String,
    pub(crate) role: String,
    pub(crate) waits: bool,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A page on a WebSocket.
pub(crate) struct Page {
    socket: WebSocketStream<TcpStream>,
    pub(crate) welcome: Value,
    /// Everything that came.
    pub(crate) seen: Vec<Value>,
}

impl Page {
    pub(crate) async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message, or the close code.
    pub(crate) async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            let message = tokio::time::timeout(SOON, self.socket.next()).await.expect("something must come");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    self.seen.push(message.clone());
                    return Ok(message);
                }
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }

    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        self.until_such(|message| message["type"] == kind).await
    }

    pub(crate) async fn until_such(&mut self, such: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self
                .hear()
                .await
                .unwrap_or_else(|code| panic!("closed with {code} after {} messages", self.seen.len()));
            if such(&message) {
                return message;
            }
        }
    }

    pub(crate) async fn until_closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.hear().await {
                return code;
            }
        }
    }

    pub(crate) async fn chat(&mut self, name: &str, text: &str) -> u64 {
        self.say(json!({"type": "chat", "id": 1, "clientMessageId": name, "text": text})).await;
        self.until("ack").await["seq"].as_u64().unwrap()
    }

    /// Events of the welcome and after it, in order of arrival.
    pub(crate) fn events(&self) -> Vec<Value> {
        let mut events = self.welcome["events"].as_array().cloned().unwrap_or_default();
        events.extend(self.seen.iter().filter(|m| m["type"] == "event").map(|m| m["event"].clone()));
        events
    }

    pub(crate) fn hang_up(self) {
        drop(self.socket);
    }
}

/// Texts of the chat messages among events.
pub(crate) fn texts(events: &[Value]) -> Vec<String> {
    events.iter().filter_map(|event| event["text"].as_str().map(str::to_owned)).collect()
}

/// Sequence numbers.
pub(crate) fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

/// Waits until something is so.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let tries = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, tries).await.is_ok(), "never so: {what}");
}
