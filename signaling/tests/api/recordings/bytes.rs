//! Which bytes, and under which headers.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use signaling::ports::RecordingFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

use super::Studio;
use crate::common::{Answer, TRACK};

impl Studio {
    /// Asks for a file with these headers, as Bob.
    async fn file(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.bob);
        let all = [&[("authorization", bearer.as_str())][..], headers].concat();
        self.house.call(method, path, &all, Body::empty()).await
    }

    fn compose(&self, bytes: Vec<u8>) -> Bytes {
        let bytes = Bytes::from(bytes);
        self.house.recordings.composed.lock().unwrap().clone_from(&bytes);
        bytes
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)))
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "a seed that is not shown cannot be repeated")]
async fn a_thousand_ranges_equal_the_slices() {
    let seed: u64 = std::env::var("PLENUM_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("seed {seed} (PLENUM_SEED={seed} repeats it)");
    let mut random = StdRng::seed_from_u64(seed);
    let studio = Studio::open().await;
    let size = 70_001_u64;
    let whole = studio.compose((0..size).map(|_| random.random()).collect());
    let path = format!("{}/content", studio.path());
    let told = digest(&whole);
    for _ in 0..1000 {
        let (a, b) = (random.random_range(0..size), random.random_range(0..2 * size));
        let (first, last) = (a.min(b), a.max(b));
        let (text, range) = match random.random_range(0..3) {
            0 => (format!("bytes={first}-{last}"), first..(last + 1).min(size)),
            1 => (format!("bytes={first}-"), first..size),
            _ => (format!("bytes=-{}", b + 1), size.saturating_sub(b + 1)..size),
        };
        let answer = studio.file(Method::GET, &path, &[("range", &text)]).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "seed {seed}: {text}");
        let place = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        assert_eq!(answer.header("content-range"), place, "seed {seed}: {text}");
        assert_eq!(answer.header("content-length"), (range.end - range.start).to_string(), "seed {seed}: {text}");
        let slice = &whole[range.start as usize..range.end as usize];
        assert!(answer.body.as_ref() == slice, "seed {seed}: {text} is another slice");
        assert_eq!(answer.header("repr-digest"), told, "of the whole");
        let is_whole = slice.len() as u64 == size;
        assert_eq!(answer.headers.contains_key("content-digest"), is_whole, "of what is sent: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_validators_answer_as_the_rfc_says() {
    let studio = Studio::open().await;
    for rest in ["tracks/0/content", "content"] {
        let path = format!("{}/{rest}", studio.path());
        let ask = |method: Method, headers: Vec<(&'static str, &'static str)>| {
            let (studio, path) = (&studio, &path);
            async move { studio.file(method, path, &headers).await }
        };
        let whole = ask(Method::GET, vec![]).await;
        assert_eq!((whole.status, whole.body.as_ref()), (StatusCode::OK, TRACK));
        assert_eq!((whole.header("etag"), whole.header("accept-ranges")), ("\"tag-1\"", "bytes"));
        assert_eq!(whole.header("content-length"), "20");
        assert_eq!(whole.header("x-content-type-options"), "nosniff");
        assert_eq!(whole.header("cache-control"), "private, no-cache");
        let told = digest(&whole.body);
        assert_eq!((whole.header("repr-digest"), whole.header("content-digest")), (told.as_str(), told.as_str()));

        let table: [(&str, StatusCode, &str, &[u8]); 16] = [
            ("bytes=0-4", StatusCode::PARTIAL_CONTENT, "bytes 0-4/20", b"01234"),
            ("bytes=15-", StatusCode::PARTIAL_CONTENT, "bytes 15-19/20", b"fghij"),
            ("bytes=-3", StatusCode::PARTIAL_CONTENT, "bytes 17-19/20", b"hij"),
            ("bytes=18-99", StatusCode::PARTIAL_CONTENT, "bytes 18-19/20", b"ij"),
            ("bytes=0-18446744073709551615", StatusCode::PARTIAL_CONTENT, "bytes 0-19/20", TRACK),
            ("bytes=-99", StatusCode::PARTIAL_CONTENT, "bytes 0-19/20", TRACK),
            ("bytes=0-1,4-5", StatusCode::OK, "", TRACK),
            ("lines=0-1", StatusCode::OK, "", TRACK),
            ("bytes=5-4", StatusCode::OK, "", TRACK),
            ("bytes=-", StatusCode::OK, "", TRACK),
            ("bytes=--5", StatusCode::OK, "", TRACK),
            ("bytes=0x1-5", StatusCode::OK, "", TRACK),
            ("bytes=1e3-", StatusCode::OK, "", TRACK),
            ("bytes=99999999999999999999999-", StatusCode::OK, "", TRACK),
            ("bytes", StatusCode::OK, "", TRACK),
            ("=", StatusCode::OK, "", TRACK),
        ];
        for (range, status, content_range, body) in table {
            let answer = ask(Method::GET, vec![("range", range)]).await;
            let got = (answer.status, answer.header("content-range"), answer.body.as_ref());
            assert_eq!(got, (status, content_range, body), "{range}");
        }
        for range in ["bytes=20-", "bytes=20-30", "bytes=18446744073709551615-", "bytes=-0"] {
            let beyond = ask(Method::GET, vec![("range", range)]).await;
            let got = (beyond.status, beyond.header("content-range"), beyond.headers.contains_key("etag"));
            assert_eq!(got, (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */20", false), "{range}");
        }
        for range in ["", "bytes=0-4", "bytes=20-"] {
            let mut headers = vec![("if-none-match", "\"tag-1\"")];
            headers.extend((!range.is_empty()).then_some(("range", range)));
            let known = ask(Method::GET, headers).await;
            assert_eq!(
                (known.status, known.body.len(), known.header("etag")),
                (StatusCode::NOT_MODIFIED, 0, "\"tag-1\"")
            );
        }
        let same = ask(Method::GET, vec![("range", "bytes=0-4"), ("if-range", "\"tag-1\"")]).await;
        assert_eq!(same.status, StatusCode::PARTIAL_CONTENT);
        for range in ["bytes=0-4", "bytes=20-"] {
            for tag in ["\"tag-0\"", "W/\"tag-1\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
                let changed = ask(Method::GET, vec![("range", range), ("if-range", tag)]).await;
                let got = (changed.status, changed.header("content-range"), changed.body.as_ref());
                assert_eq!(got, (StatusCode::OK, "", TRACK), "{range} {tag}");
            }
        }
        let head = ask(Method::HEAD, vec![("range", "bytes=0-4")]).await;
        assert_eq!((head.status, head.body.len(), head.header("content-length")), (StatusCode::OK, 0, "20"));
        assert_eq!((head.header("repr-digest"), head.header("content-digest")), (told.as_str(), ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_shown_or_saved_under_subject_and_date_and_no_page_is_made_of_it() {
    let studio = Studio::open().await;
    let path = studio.path();
    let start = studio.get(&path, &studio.ada).await.json()["createdDateTime"].as_str().unwrap().to_owned();
    let (date, time) = start.split_once('T').unwrap();
    let clock: String = time.split(':').take(2).collect();
    let named = format!("Weekly sync {date} {clock}");
    let table = [
        ("content", ".webm", "video/webm"),
        ("tracks/0/content", " track 0.webm", "audio/webm"),
        ("manifest", " manifest.json", "application/json"),
        ("timeline", " timeline.json", "application/json"),
        ("speakers", " speakers.vtt", "text/vtt"),
        ("chat", " chat.vtt", "text/vtt"),
        ("files/wav-1.wav", " wav-1.wav", "audio/wav"),
    ];
    for (rest, end, kind) in table {
        let shown = studio.file(Method::GET, &format!("{path}/{rest}"), &[]).await;
        assert_eq!(shown.status, StatusCode::OK, "{rest}");
        assert!(shown.header("content-type").starts_with(kind), "{rest}");
        let name = format!("{named}{end}");
        assert!(shown.header("content-disposition").starts_with(&format!("inline; filename=\"{name}\"; filename*=")));
        let saved = studio.file(Method::GET, &format!("{path}/{rest}?download=1"), &[]).await;
        assert!(saved.header("content-disposition").starts_with(&format!("attachment; filename=\"{name}\"")), "{rest}");
        let is_sandboxed = saved.header("content-security-policy").contains("sandbox");
        assert_eq!(is_sandboxed, !kind.starts_with("audio/") && !kind.starts_with("video/"), "{rest}");
        assert_eq!(digest(&saved.body), saved.header("content-digest"), "{rest}");
    }
    let odd = json!({"subject": "../../x\"; filename=evil.exe; \u{202e}caf\u{e9}"});
    assert_eq!(studio.house.change(&studio.booked, &studio.ada, odd).await.status, StatusCode::OK);
    let saved = studio.file(Method::GET, &format!("{path}/content?download=1"), &[]).await;
    let header = saved.header("content-disposition");
    assert!(header.starts_with("attachment; filename=\"x-; filename=evil.exe; caf_ "), "{header}");
    assert!(header.contains("filename*=UTF-8''x-%3B%20filename%3Devil.exe%3B%20caf%C3%A9%20"), "{header}");
    for query in ["?download=2", "?download", "?token=x", "?download=1&x=1", "?redirect=yes"] {
        let refused = studio.file(Method::GET, &format!("{path}/content{query}"), &[]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
        let nobody = studio.get(&format!("{path}/content{query}"), "").await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{query}: not even that is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_the_store_is_given_where_it_is_wanted_and_never_to_somebody_who_may_not_read() {
    let studio = Studio::open().await;
    let content = format!("{}/content", studio.path());
    let link = "https://store.example.org/bucket/1?signature=x";
    let without = studio.file(Method::GET, &format!("{content}?redirect=1"), &[]).await;
    assert_eq!((without.status, without.body.as_ref()), (StatusCode::OK, TRACK), "the store has no links");
    *studio.house.recordings.link.lock().unwrap() = Some(link.to_owned());
    studio.house.recordings.linked.lock().unwrap().clear();
    for (query, is_sent_on) in [
        ("", false),
        ("?redirect=1", true),
        ("?download=1", true),
        ("?download=1&redirect=0", false),
        ("?download=0", false),
    ] {
        let answer = studio.file(Method::GET, &format!("{content}{query}"), &[]).await;
        let expected = if is_sent_on { (StatusCode::FOUND, link, 0) } else { (StatusCode::OK, "", 20) };
        assert_eq!((answer.status, answer.header("location"), answer.body.len()), expected, "{query}");
        if is_sent_on {
            assert_eq!((answer.header("referrer-policy"), answer.header("cache-control")), ("no-referrer", "no-store"));
        }
    }
    let head = studio.file(Method::HEAD, &format!("{content}?redirect=1"), &[]).await;
    assert_eq!(head.status, StatusCode::OK, "a link is signed for GET");
    let linked = std::mem::take(&mut *studio.house.recordings.linked.lock().unwrap());
    assert_eq!(linked.len(), 2);
    for (file, name, valid) in linked {
        assert_eq!((file, valid), (RecordingFile::Content { upto: None }, Duration::from_secs(60)));
        assert!(name.starts_with("Weekly sync 20") && name.ends_with(".webm"), "{name}");
    }
    let gone = studio.another(|row| row.deleted = None).await;
    studio.delete(&gone, &studio.ada).await;
    for (path, token) in [
        (&content, &studio.col),
        (&content, &studio.eve),
        (&content, &studio.guest),
        (&content, &String::new()),
        (&format!("{gone}/content"), &studio.ada),
    ] {
        let refused = studio.get(&format!("{path}?redirect=1"), token).await;
        assert!(refused.status.is_client_error() && !refused.headers.contains_key("location"), "{refused:?}");
    }
    assert!(studio.house.recordings.linked.lock().unwrap().is_empty(), "the store was not even asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_and_names_lead_nowhere_else() {
    let studio = Studio::open().await;
    let id = studio.path().rsplit('/').next().unwrap().to_owned();
    let long = "a".repeat(5000);
    let tricks = [
        "..",
        "%2e%2e",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5c",
        "%00",
        "a%00.wav",
        "wav-1.wav%00",
        "%ff%fe",
        "%2fetc",
        "con",
        "wav-1.wav.",
        "WAV-1.WAV",
        ".wav",
        "a..b",
        "caf%C3%A9",
        "%E2%80%AEvaw",
        "wav-1.wav%20",
        "~",
        "*",
        "%0d%0ax:y",
        &long,
    ];
    let before = studio.house.recordings.reads.load(std::sync::atomic::Ordering::Relaxed);
    for trick in tricks {
        for path in [
            format!("/v1/recordings/{trick}"),
            format!("/v1/recordings/{trick}/content"),
            format!("/v1/recordings/{id}{trick}/content"),
            format!("/v1/recordings/{trick}{id}/content"),
            format!("/v1/recordings/{id}/tracks/{trick}/content"),
            format!("/v1/recordings/{id}/tracks/0{trick}/content"),
            format!("/v1/recordings/{trick}/shared/{trick}"),
            format!("/v1/recordings/{id}/shared/{trick}"),
        ] {
            let answer = studio.get(&path, &studio.ada).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    for number in ["+0", "-1", "00", "0x0", "4294967296", "0.0", "%EF%BC%90"] {
        let path = format!("/v1/recordings/{id}/tracks/{number}/content");
        assert_eq!(studio.get(&path, &studio.ada).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let after = studio.house.recordings.reads.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(after, before, "the recorder was not even asked");
    for trick in tricks {
        // Some of these are names, of which there is no file.
        let path = format!("/v1/recordings/{id}/files/{trick}");
        assert_eq!(studio.get(&path, &studio.ada).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(studio.get(&format!("/v1/recordings/{id}/files/wav-1.wav"), &studio.ada).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_ends_when_its_recording_is_deleted_and_one_of_another_goes_on() {
    let studio = Studio::open().await;
    studio.compose(vec![7; 100_000]);
    let other = studio.another(|_| {}).await;
    let open = async |path: &str| {
        let request = Request::get(format!("{path}/content"))
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", studio.bob));
        let request = request.body(Body::empty()).unwrap();
        studio.house.router.clone().oneshot(request).await.unwrap().into_body().into_data_stream()
    };
    let (mut ends, mut goes_on) = (open(&studio.path()).await, open(&other).await);
    assert_eq!(ends.next().await.unwrap().unwrap().len(), 1000);
    assert_eq!(goes_on.next().await.unwrap().unwrap().len(), 1000);
    assert_eq!(studio.delete(&studio.path(), &studio.ada).await.status, StatusCode::NO_CONTENT);
    assert!(ends.next().await.unwrap().is_err(), "no byte after it was deleted");
    assert!(ends.next().await.is_none());
    let rest: usize = goes_on.map(|part| part.unwrap().len()).fold(0, |sum, length| async move { sum + length }).await;
    assert_eq!(rest, 99_000);
    assert_eq!(studio.get(&format!("{}/content", studio.path()), &studio.bob).await.status, StatusCode::GONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_downloads_over_the_network_sees_the_end_and_the_server_goes_on() {
    let studio = Studio::open().await;
    // More than all buffers between here and there hold.
    let size = 64 << 20;
    studio.compose(vec![7; size]);
    let mut socket = tokio::net::TcpStream::connect(studio.house.address).await.unwrap();
    let request = format!(
        "GET {}/content HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        studio.path(),
        studio.house.address,
        studio.bob
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 1 << 16];
    let first = socket.read(&mut buffer).await.unwrap();
    assert!(buffer[..first].starts_with(b"HTTP/1.1 200"));
    assert_eq!(studio.delete(&studio.path(), &studio.ada).await.status, StatusCode::NO_CONTENT);
    let mut got = first;
    // A connection that is reset ends it too.
    while let Ok(more @ 1..) = socket.read(&mut buffer).await {
        got += more;
    }
    assert!(got < size, "{got} of {size}");
    assert_eq!(studio.get("/v1/recordings", &studio.ada).await.status, StatusCode::OK);
}
