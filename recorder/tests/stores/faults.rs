//! A store that is down, slow or wrong: every call ends in time and with an error, nothing wrong is passed on, and
//! when the store is well again the same call succeeds.

use std::time::{Duration, Instant};

use recorder::vault::{Secret, StoreKind, Timeouts, Trouble, Vault, VaultError};

use crate::proxy::{Mode, Proxy};
use crate::servers::{Kind, Server};
use crate::{Bench, http, noise, read};

const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(1), request: Duration::from_secs(3) };
/// Seconds that a call may take in all: its timeout, and a little for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A vault over a server that can be made bad.
struct Fixture {
    bench: Bench,
    proxy: Proxy,
    vault: Vault,
    sealed: bool,
    /// Before the proxy, so that it ends after it.
    _server: std::sync::Arc<Server>,
}

impl Fixture {
    async fn new(kind: Kind, sealed: bool, prefix: &str) -> Option<Self> {
        let server = Server::of(kind)?;
        let bench = Bench::new();
        let proxy = Proxy::before(server.port).await;
        let vault = bench.vault(server.store(proxy.port), prefix, sealed, TIMEOUTS);
        Some(Self { bench, proxy, vault, sealed, _server: server })
    }

    /// Every call while the store is bad: each an error, in time.
    async fn every_call_fails(&self, mode: Mode) -> Vec<VaultError> {
        self.proxy.set(mode);
        let vault = &self.vault;
        let mut errors = Vec::new();
        let began = Instant::now();
        errors.push(vault.put("down", noise(1000, 6).into()).await.unwrap_err());
        errors.push(vault.put_file("down", self.bench.file().0).await.unwrap_err());
        errors.push(read(vault, "up", 0..100).await.unwrap_err());
        errors.push(vault.stat("up").await.unwrap_err());
        errors.push(vault.list("").await.unwrap_err());
        errors.push(vault.delete("up").await.unwrap_err());
        assert!(began.elapsed() < PATIENCE * 6, "{mode:?}: {:?}", began.elapsed());
        for error in &errors {
            assert!(!matches!(error, VaultError::NotFound), "{mode:?}: what is there is said not to be");
            let text = error.to_string();
            assert!(!text.contains("127.0.0.1") && !text.contains("http") && !text.contains("plenum"), "{text}");
        }
        errors
    }

    /// Nothing that was acknowledged is lost, and what was not can be put again.
    async fn all_is_well_again(&self) {
        self.proxy.set(Mode::Good);
        assert_eq!(read(&self.vault, "up", 0..200_000).await.unwrap(), noise(200_000, 7));
        let (file, whole) = self.bench.file();
        self.vault.put_file("down", file).await.unwrap();
        assert!(read(&self.vault, "down", 0..whole.len() as u64).await.unwrap() == whole);
        self.vault.delete("down").await.unwrap();
    }
}

async fn store_that_is_bad(kind: Kind, sealed: bool, prefix: &str) {
    let Some(fixture) = Fixture::new(kind, sealed, prefix).await else { return };
    let vault = &fixture.vault;
    let up = vault.put("up", noise(200_000, 7).into()).await.unwrap();
    let troubles = |errors: &[VaultError], expected: &[Trouble]| {
        for error in errors {
            let known = matches!(error, VaultError::Slow { .. })
                || matches!(error, VaultError::Store { why, .. } if expected.contains(why));
            assert!(known, "{error:?}");
        }
    };

    let errors = fixture.every_call_fails(Mode::Down).await;
    troubles(&errors, &[Trouble::Unreachable, Trouble::Silent]);
    fixture.all_is_well_again().await;
    fixture.proxy.set(Mode::DownFor(1));
    assert_eq!(read(vault, "up", 0..9).await.unwrap(), noise(200_000, 7)[..9], "not asked again");

    let errors = fixture.every_call_fails(Mode::Silent).await;
    troubles(&errors, &[Trouble::Silent]);
    fixture.all_is_well_again().await;
    fixture.proxy.set(Mode::Late(Duration::from_millis(100)));
    assert_eq!(read(vault, "up", 0..9).await.unwrap(), noise(200_000, 7)[..9]);

    let errors = fixture.every_call_fails(Mode::Status(500)).await;
    troubles(&errors, &[Trouble::Status(500)]);
    let errors = fixture.every_call_fails(Mode::Status(403)).await;
    troubles(&errors, &[Trouble::Credentials]);
    fixture.all_is_well_again().await;
    fixture.proxy.set(Mode::StatusFor(503, 1));
    assert_eq!(read(vault, "up", 0..9).await.unwrap(), noise(200_000, 7)[..9], "not asked again");

    // What is wrong is found out before it is passed on.
    for mode in [Mode::Shorter, Mode::BreaksOff] {
        fixture.proxy.set(mode);
        let answer = read(vault, "up", 70_000..140_000).await;
        assert!(answer.is_err(), "{mode:?}: {} bytes", answer.unwrap().len());
    }
    fixture.proxy.set(Mode::OtherBytes);
    if fixture.sealed {
        assert!(matches!(read(vault, "up", 70_000..140_000).await, Err(VaultError::Damaged { .. })));
    } else {
        assert!(matches!(vault.verify("up", &up).await, Err(VaultError::WrongAnswer { .. })));
    }

    // What was not stored is not acknowledged.
    for mode in [Mode::Forgets, Mode::OtherSize] {
        fixture.proxy.set(mode);
        let answer = vault.put("down", noise(1000, 8).into()).await;
        assert!(matches!(answer, Err(VaultError::Unconfirmed { .. })), "{mode:?}: {answer:?}");
    }
    fixture.all_is_well_again().await;
}

async fn wrong_key(kind: Kind) {
    let Some(server) = Server::of(kind) else { return };
    let mut store = server.store(server.port);
    let wrong = Secret::new("d3Jvbmc=");
    match &mut store {
        StoreKind::Azure { access_key, .. } => *access_key = wrong,
        StoreKind::S3 { credentials: Some(credentials), .. } => credentials.secret_access_key = wrong,
        _ => {}
    }
    let vault = Bench::new().vault(store, "wrong-key", false, TIMEOUTS);
    let refusal = vault.put("x", noise(9, 9).into()).await.unwrap_err();
    assert!(matches!(refusal, VaultError::Store { why: Trouble::Credentials, .. }), "{refusal:?}");
    let link = vault.link("x", Duration::from_secs(60), "x", "video/webm").await.unwrap().unwrap();
    assert_eq!(http::get(link.as_str(), "bytes=0-9").await.status(), 403);
}

#[tokio::test]
async fn azure_refuses_another_key_and_that_is_told() {
    wrong_key(Kind::Azure).await;
}

#[tokio::test]
async fn s3_refuses_another_key_and_that_is_told() {
    wrong_key(Kind::S3).await;
}

#[tokio::test]
async fn azure_down_slow_or_wrong_loses_nothing() {
    store_that_is_bad(Kind::Azure, false, "bad/plain").await;
}

#[tokio::test]
async fn azure_with_sealed_objects_down_slow_or_wrong_loses_nothing() {
    store_that_is_bad(Kind::Azure, true, "bad/sealed").await;
}

#[tokio::test]
async fn s3_down_slow_or_wrong_loses_nothing() {
    store_that_is_bad(Kind::S3, false, "bad/plain").await;
}

#[tokio::test]
async fn s3_with_sealed_objects_down_slow_or_wrong_loses_nothing() {
    store_that_is_bad(Kind::S3, true, "bad/sealed").await;
}
