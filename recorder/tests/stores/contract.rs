//! What every store must do, plain and sealed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use recorder::vault::{StoreKind, Timeouts, Vault, VaultError};
use sha2::{Digest as _, Sha256};

use crate::servers::{Kind, Server};
use crate::{Bench, http, noise, read};

const RANGES: usize = 1000;
const LONGEST_RANGE: u64 = 200_000;

async fn contract(bench: &Bench, vault: &Vault) {
    // Small, and read again in parts.
    let small = noise(100_000, 3);
    let stored = vault.put("recordings/rec_1/manifest.json", small.clone().into()).await.unwrap();
    assert_eq!((stored.size, stored.sha256), (100_000, Sha256::digest(&small).into()));
    assert_eq!(read(vault, "recordings/rec_1/manifest.json", 0..100_000).await.unwrap(), small);

    // Large, from a file, in parts.
    let (file, whole) = bench.file();
    let size = whole.len() as u64;
    let track = "recordings/rec_1/track-0000.webm";
    let stored = vault.put_file(track, file).await.unwrap();
    assert_eq!((stored.size, stored.sha256), (size, Sha256::digest(&whole).into()));
    assert_eq!(vault.stat(track).await.unwrap().size, size);
    vault.verify(track, &stored).await.unwrap();
    let mut random = StdRng::seed_from_u64(4);
    for _ in 0..RANGES {
        let start = random.random_range(0..size);
        let end = random.random_range(start..=size.min(start + LONGEST_RANGE));
        let slice = &whole[start as usize..end as usize];
        assert!(read(vault, track, start..end).await.unwrap() == slice, "{start}..{end}");
    }
    // Not 0..1: s3rver takes a last byte of 0 for none.
    for range in [0..2, 1..2, size - 1..size, 0..size, size..size] {
        assert!(read(vault, track, range.clone()).await.unwrap() == whole[range.start as usize..range.end as usize]);
    }
    assert!(
        matches!(read(vault, track, size - 1..size + 1).await, Err(VaultError::OutOfRange { size: told }) if told == size)
    );

    // Over what was there, larger and smaller.
    vault.put(track, small.clone().into()).await.unwrap();
    assert_eq!(read(vault, track, 0..100_000).await.unwrap(), small);
    vault.put("recordings/rec_1/empty", bytes::Bytes::new()).await.unwrap();
    assert_eq!(vault.stat("recordings/rec_1/empty").await.unwrap().size, 0);

    // Listed, with neighbours whose names begin alike.
    for name in ["recordings/rec_11/x", "recordings/rec_2/a/b"] {
        vault.put(name, b"x".as_slice().into()).await.unwrap();
    }
    let names = async |folder: &str| -> Vec<String> {
        vault.list(folder).await.unwrap().into_iter().map(|(name, _)| name).collect()
    };
    let of_the_first = ["recordings/rec_1/empty", "recordings/rec_1/manifest.json", track];
    assert_eq!(names("recordings/rec_1").await, of_the_first);
    assert_eq!(names("recordings/rec_3").await, [""; 0]);
    assert_eq!(names("").await.len(), 5);

    // Deleted, each and all, and once more.
    for _ in 0..2 {
        vault.delete("recordings/rec_1/empty").await.unwrap();
        assert!(matches!(vault.stat("recordings/rec_1/empty").await, Err(VaultError::NotFound)));
    }
    assert_eq!(vault.delete_folder("recordings/rec_1").await.unwrap(), 2);
    assert_eq!(vault.delete_folder("recordings/rec_1").await.unwrap(), 0);
    assert!(matches!(read(vault, track, 0..1).await, Err(VaultError::NotFound)));
    assert_eq!(names("").await, ["recordings/rec_11/x", "recordings/rec_2/a/b"]);
    assert_eq!(vault.delete_folder("recordings").await.unwrap(), 2);
}

async fn over_a_folder(sealed: bool) {
    let bench = Bench::new();
    let folder = bench.path("blobs");
    let vault = bench.vault(StoreKind::Local { folder: folder.clone() }, "", sealed, Timeouts::default());
    contract(&bench, &vault).await;
    assert!(vault.link("x", Duration::from_secs(60), "x.webm", "video/webm").await.unwrap().is_none());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "emptied folders stay");
}

async fn over_a_server(kind: Kind, sealed: bool) {
    let Some(server) = Server::of(kind) else { return };
    let bench = Bench::new();
    let prefix = if sealed { "contract/sealed" } else { "contract/plain" };
    let vault = bench.vault(server.store(server.port), prefix, sealed, Timeouts::default());
    contract(&bench, &vault).await;
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    over_a_folder(false).await;
}

#[tokio::test]
async fn a_folder_of_sealed_objects_keeps_the_contract() {
    over_a_folder(true).await;
}

#[tokio::test]
async fn azure_keeps_the_contract() {
    over_a_server(Kind::Azure, false).await;
}

#[tokio::test]
async fn azure_with_sealed_objects_keeps_the_contract() {
    over_a_server(Kind::Azure, true).await;
}

#[tokio::test]
async fn s3_keeps_the_contract() {
    over_a_server(Kind::S3, false).await;
}

#[tokio::test]
async fn s3_with_sealed_objects_keeps_the_contract() {
    over_a_server(Kind::S3, true).await;
}

/// What a browser may do with a link, and until when.
async fn links(kind: Kind) {
    let Some(server) = Server::of(kind) else { return };
    let bench = Bench::new();
    let vault = bench.vault(server.store(server.port), "links", false, Timeouts::default());
    let bytes = noise(70_000, 5);
    vault.put("a/track.webm", bytes.clone().into()).await.unwrap();
    vault.put("a/other.webm", bytes.clone().into()).await.unwrap();
    let link = async |seconds| {
        let valid = Duration::from_secs(seconds);
        vault.link("a/track.webm", valid, "Montag früh.webm", "video/webm").await.unwrap().unwrap().to_string()
    };

    let url = link(600).await;
    let answer = http::get(&url, "bytes=1000-1999").await;
    assert_eq!(answer.status(), 206, "{answer:?}");
    assert_eq!(answer.body, bytes[1000..2000]);
    assert_eq!(answer.header("content-type"), Some("video/webm"));
    let disposition = answer.header("content-disposition").unwrap();
    assert!(disposition.contains("UTF-8''Montag%20fr%C3%BCh.webm"), "{disposition}");

    // Not without it, not for another object, not for longer than it says.
    let (plain, _) = url.split_once('?').unwrap();
    assert!(matches!(http::get(plain, "bytes=0-9").await.status(), 403 | 404));
    assert_eq!(http::get(&url.replace("track.webm?", "other.webm?"), "bytes=0-9").await.status(), 403);
    let brief = link(1).await;
    let began = std::time::Instant::now();
    while http::get(&brief, "bytes=0-9").await.status() != 403 {
        assert!(began.elapsed() < Duration::from_secs(20), "the link never ends");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(http::get(&url, "bytes=0-9").await.status(), 206);

    let sealed = bench.vault(server.store(server.port), "links", true, Timeouts::default());
    assert!(sealed.link("a/track.webm", Duration::from_secs(60), "x", "video/webm").await.unwrap().is_none());
}

#[tokio::test]
async fn a_link_of_azure_opens_one_object_for_a_while() {
    links(Kind::Azure).await;
}

#[tokio::test]
async fn a_link_of_s3_opens_one_object_for_a_while() {
    links(Kind::S3).await;
}
