//! The vault over a store that does as told: right, wrong, late or never.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::Mutex;

use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use proptest::prelude::*;

use super::*;

type Answer<T> = object_store::Result<T>;

/// What the store does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// It says that an object is a byte shorter.
    SmallerSize,
    /// It says that it stored what it threw away.
    Forgets,
    /// It sends one byte less of what it says it sends.
    ShortBody,
    /// One byte more.
    LongBody,
    /// It sends, and says that it sends, the bytes behind.
    OtherRange,
    /// One byte is another.
    OtherByte,
    /// It answers nothing.
    Silence,
    /// Its bodies never end.
    SilentBody,
    /// It lists what was not asked for.
    OtherFolder,
}

#[derive(Debug, Default)]
struct Faulty {
    store: InMemory,
    fault: Mutex<Fault>,
}

impl Faulty {
    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    async fn fault(&self) -> Fault {
        let fault = *self.fault.lock().unwrap();
        if fault == Fault::Silence {
            std::future::pending::<()>().await;
        }
        fault
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, place: &Path, bytes: PutPayload, options: PutOptions) -> Answer<PutResult> {
        if self.fault().await == Fault::Forgets {
            return self.store.put_opts(&Path::from("nowhere"), bytes, options).await;
        }
        self.store.put_opts(place, bytes, options).await
    }

    async fn put_multipart_opts(&self, place: &Path, options: PutMultipartOptions) -> Answer<Box<dyn MultipartUpload>> {
        self.fault().await;
        self.store.put_multipart_opts(place, options).await
    }

    async fn get_opts(&self, place: &Path, mut options: GetOptions) -> Answer<GetResult> {
        let fault = self.fault().await;
        let head = options.head;
        if let (Fault::OtherRange, Some(object_store::GetRange::Bounded(range))) = (fault, &mut options.range) {
            *range = range.start + 1..range.end + 1;
        }
        let mut result = self.store.get_opts(place, options).await?;
        if fault == Fault::SmallerSize {
            result.meta.size -= 1;
        }
        if head {
            return Ok(result);
        }
        let (meta, range, attributes, extensions) =
            (result.meta.clone(), result.range.clone(), result.attributes.clone(), result.extensions.clone());
        let bytes = result.bytes().await?;
        let bytes = match fault {
            Fault::ShortBody => bytes.slice(..bytes.len() - 1),
            Fault::LongBody => [&bytes[..], b"x"].concat().into(),
            Fault::OtherByte => {
                let mut changed = bytes.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                changed.into()
            }
            _ => bytes,
        };
        // In pieces that fit no chunk.
        let pieces: Vec<_> = bytes.chunks(10_007).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let body = futures_util::stream::iter(pieces);
        let payload = GetResultPayload::Stream(match fault {
            Fault::SilentBody => body.chain(futures_util::stream::pending()).boxed(),
            _ => body.boxed(),
        });
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, places: BoxStream<'static, Answer<Path>>) -> BoxStream<'static, Answer<Path>> {
        self.store.delete_stream(places)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Answer<ObjectMeta>> {
        let other = *self.fault.lock().unwrap() == Fault::OtherFolder;
        self.store.list(if other { None } else { prefix })
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Answer<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Answer<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// One master key that never changes.
fn keys(byte: u8) -> Arc<dyn KeyProvider> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, format!("k = {}\n", hex(&[byte; KEY_BYTES]))).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Arc::new(KeyFile::open(&path).unwrap())
}

fn vault(store: &Arc<Faulty>, sealing: impl Into<Sealing>) -> Vault {
    Vault::of(Arc::clone(store) as Arc<dyn ObjectStore>, "recordings-of/us", sealing)
}

async fn read(vault: &Vault, name: &str, range: Range<u64>) -> Result<Vec<u8>, VaultError> {
    let body = vault.read(name, range).await?;
    let pieces: Vec<Bytes> = body.try_collect().await.map_err(VaultError::from_body)?;
    Ok(pieces.concat())
}

fn text(bytes: usize) -> Bytes {
    (0..bytes).map(|index| b'a' + (index % 23) as u8).collect()
}

const SIZE: usize = 150_000;

/// A plain and a sealed vault with the same object in it.
async fn both() -> [(Arc<Faulty>, Vault); 2] {
    let stores = [Arc::new(Faulty::default()), Arc::new(Faulty::default())];
    let vaults = [vault(&stores[0], None), vault(&stores[1], Some(keys(1)))];
    for vault in &vaults {
        vault.put("a/track", text(SIZE)).await.unwrap();
    }
    let [first, second] = stores;
    let [plain, sealed] = vaults;
    [(first, plain), (second, sealed)]
}

#[tokio::test]
async fn what_was_put_is_read_again_and_its_hash_is_told() {
    for (_, vault) in both().await {
        let stored = vault.put("b", text(SIZE)).await.unwrap();
        assert_eq!((stored.size, stored.sha256), (SIZE as u64, Sha256::digest(text(SIZE)).into()));
        assert_eq!(vault.stat("b").await.unwrap().size, SIZE as u64);
        assert_eq!(read(&vault, "b", 0..SIZE as u64).await.unwrap(), text(SIZE));
        assert_eq!(read(&vault, "b", 70_000..70_000).await.unwrap(), b"");
        assert!(vault.verify("b", &stored).await.is_ok());
        let listed = vault.list("").await.unwrap();
        assert_eq!(listed[1], ("b".to_owned(), stored.stored_size));
    }
}

#[tokio::test]
async fn an_empty_object_is_one() {
    for (_, vault) in both().await {
        vault.put("empty", Bytes::new()).await.unwrap();
        assert_eq!(vault.stat("empty").await.unwrap().size, 0);
        assert_eq!(read(&vault, "empty", 0..0).await.unwrap(), b"");
    }
}

#[tokio::test]
async fn a_range_behind_the_end_is_refused_with_the_size() {
    for (_, vault) in both().await {
        for range in [0..SIZE as u64 + 1, SIZE as u64 + 5..SIZE as u64 + 9, 0..u64::MAX] {
            let refusal = read(&vault, "a/track", range).await;
            assert!(matches!(refusal, Err(VaultError::OutOfRange { size }) if size == SIZE as u64), "{refusal:?}");
        }
    }
}

#[tokio::test]
async fn an_object_that_is_not_there_is_not_found_and_may_be_deleted() {
    for (_, vault) in both().await {
        assert!(matches!(vault.stat("x").await, Err(VaultError::NotFound)));
        assert!(matches!(read(&vault, "x", 0..1).await, Err(VaultError::NotFound)));
        vault.delete("x").await.unwrap();
        assert_eq!(vault.delete_folder("x").await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_folder_is_deleted_with_all_in_it_and_nothing_beside_it() {
    for (_, vault) in both().await {
        for name in ["a/b/one", "a/b/c/two", "a/bb"] {
            vault.put(name, text(3)).await.unwrap();
        }
        assert_eq!(vault.delete_folder("a/b").await.unwrap(), 2);
        let left: Vec<_> = vault.list("").await.unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["a/bb", "a/track"]);
        assert!(matches!(vault.delete_folder("").await, Err(VaultError::BadName { .. })));
    }
}

#[tokio::test]
async fn a_store_that_confirms_another_size_has_stored_nothing() {
    for (store, vault) in both().await {
        store.set(Fault::SmallerSize);
        assert!(matches!(vault.put("b", text(SIZE)).await, Err(VaultError::Unconfirmed { .. })));
    }
}

#[tokio::test]
async fn an_older_object_of_the_same_size_confirms_nothing() {
    for (store, vault) in both().await {
        store.set(Fault::Forgets);
        assert!(matches!(vault.put("b", text(SIZE)).await, Err(VaultError::Unconfirmed { stored: 0, .. })));
        assert!(matches!(vault.put("a/track", text(SIZE)).await, Err(VaultError::WrongAnswer { .. })));
    }
}

#[tokio::test]
async fn a_body_that_is_too_short_too_long_or_another_is_never_passed_on_whole() {
    for (store, vault) in both().await {
        for fault in [Fault::ShortBody, Fault::LongBody, Fault::OtherRange] {
            store.set(fault);
            let answer = read(&vault, "a/track", 70_000..140_000).await;
            assert!(matches!(answer, Err(VaultError::WrongAnswer { .. })), "{fault:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_listing_of_another_folder_deletes_nothing() {
    for (store, vault) in both().await {
        vault.put("b/c", text(3)).await.unwrap();
        store.set(Fault::OtherFolder);
        assert!(matches!(vault.delete_folder("b").await, Err(VaultError::WrongAnswer { .. })));
        store.set(Fault::None);
        assert_eq!(vault.list("").await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn other_bytes_of_the_right_length_are_noticed_in_a_sealed_object_and_by_its_hash_in_a_plain_one() {
    let [(plain_store, plain), (sealed_store, sealed)] = both().await;
    let stored = plain.put("b", text(SIZE)).await.unwrap();
    plain_store.set(Fault::OtherByte);
    assert!(matches!(plain.verify("b", &stored).await, Err(VaultError::WrongAnswer { .. })));
    sealed_store.set(Fault::OtherByte);
    let answer = read(&sealed, "a/track", 70_000..140_000).await;
    assert!(matches!(answer, Err(VaultError::Damaged { .. })), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_ends_every_call_in_time() {
    for (store, vault) in both().await {
        store.set(Fault::Silence);
        let began = tokio::time::Instant::now();
        assert!(matches!(vault.put("b", text(9)).await, Err(VaultError::Slow { .. })));
        assert!(matches!(vault.put("b", text(9 << 20)).await, Err(VaultError::Slow { .. })));
        assert!(matches!(vault.stat("a/track").await, Err(VaultError::Slow { .. })));
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
        store.set(Fault::SilentBody);
        assert!(matches!(read(&vault, "a/track", 0..100_000).await, Err(VaultError::Slow { .. })));
    }
}

#[tokio::test]
async fn nothing_of_a_sealed_object_is_readable_in_the_store() {
    let [_, (store, vault)] = both().await;
    vault.put("b", Bytes::from("a sentence that somebody said".repeat(5000))).await.unwrap();
    let place = Path::from("recordings-of/us/b");
    let bytes = store.store.get(&place).await.unwrap().bytes().await.unwrap();
    assert!(bytes.len() > 140_000);
    assert!(!bytes.windows(8).any(|window| window == b"sentence"));
    // Noise has about as many of each byte.
    let mut counts = [0_u32; 256];
    bytes[512..].iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(*low > 400 && *high < 750, "{low} to {high} of each byte, of {}", bytes.len());
}

#[tokio::test]
async fn the_same_bytes_put_twice_are_sealed_by_another_key() {
    let [_, (store, vault)] = both().await;
    let place = Path::from("recordings-of/us/a/track");
    let mut seen = Vec::new();
    for _ in 0..2 {
        vault.put("a/track", text(SIZE)).await.unwrap();
        seen.push(store.store.get(&place).await.unwrap().bytes().await.unwrap());
    }
    assert_eq!(seen[0].len(), seen[1].len());
    assert_ne!(seen[0][600..700], seen[1][600..700]);
}

#[tokio::test]
async fn an_object_moved_to_another_place_in_the_store_does_not_open() {
    let [_, (store, vault)] = both().await;
    let at = |name: &str| Path::from(format!("recordings-of/us/{name}"));
    store.store.copy(&at("a/track"), &at("b/track")).await.unwrap();
    assert!(matches!(read(&vault, "b/track", 0..10).await, Err(VaultError::Damaged { .. })));
}

#[tokio::test]
async fn a_sealed_object_that_was_cut_or_added_to_has_no_size() {
    let [_, (store, vault)] = both().await;
    let place = Path::from("recordings-of/us/a/track");
    let bytes = store.store.get(&place).await.unwrap().bytes().await.unwrap();
    let chunk = bytes.len() - 512 - 2 * (65_536 + 16);
    for changed in
        [bytes.slice(..bytes.len() - chunk), bytes.slice(..bytes.len() - 1), [&bytes[..], b"x"].concat().into()]
    {
        store.store.put(&place, changed.into()).await.unwrap();
        assert!(matches!(vault.stat("a/track").await, Err(VaultError::Damaged { .. })));
        assert!(matches!(read(&vault, "a/track", 0..9).await, Err(VaultError::Damaged { .. })));
    }
}

#[tokio::test]
async fn plain_and_sealed_objects_side_by_side_are_read_as_the_sealing_says() {
    let store = Arc::new(Faulty::default());
    let made = |sealing: fn(Arc<dyn KeyProvider>) -> Sealing| vault(&store, sealing(keys(1)));
    let [all, new, old] = [made(Sealing::All), made(Sealing::New), made(Sealing::Old)];
    let none = vault(&store, None);
    old.put("plain", text(SIZE)).await.unwrap();
    old.put("tiny", text(5)).await.unwrap();
    new.put("sealed", text(SIZE)).await.unwrap();
    let whole = 0..SIZE as u64;
    for vault in [&new, &old] {
        assert_eq!(read(vault, "plain", whole.clone()).await.unwrap(), text(SIZE));
        assert_eq!(read(vault, "tiny", 0..5).await.unwrap(), text(5));
        assert_eq!(read(vault, "sealed", whole.clone()).await.unwrap(), text(SIZE));
    }
    assert_eq!(read(&all, "sealed", whole.clone()).await.unwrap(), text(SIZE));
    for plain in ["plain", "tiny"] {
        assert!(matches!(read(&all, plain, 0..5).await, Err(VaultError::NotSealed)), "{plain}");
        assert!(matches!(all.stat(plain).await, Err(VaultError::NotSealed)), "{plain}");
    }
    assert_eq!(read(&none, "plain", whole.clone()).await.unwrap(), text(SIZE));
    assert!(matches!(read(&none, "sealed", whole).await, Err(VaultError::NoKeys)));
    let other = vault(&store, Some(keys(2)));
    assert!(matches!(read(&other, "sealed", 0..9).await, Err(VaultError::Key(KeyError::Refused { .. }))));
}

#[tokio::test]
async fn tenants_do_not_see_each_others_objects() {
    let store = Arc::new(Faulty::default());
    let own = Arc::new(Faulty::default());
    let tenants = [("big".to_owned(), vault(&own, Some(keys(1))))].into();
    let vaults = Vaults::new(vault(&store, None), tenants);
    for tenant in ["acme", "acme/recordings", "Acme", "", "big"] {
        vaults.of(tenant).put("x", Bytes::copy_from_slice(tenant.as_bytes())).await.unwrap();
    }
    for tenant in ["acme", "acme/recordings", "Acme", "", "big"] {
        let vault = vaults.of(tenant);
        assert_eq!(read(&vault, "x", 0..tenant.len() as u64).await.unwrap(), tenant.as_bytes());
        assert_eq!(vault.list("").await.unwrap().len(), 1, "{tenant}");
    }
    assert_eq!(vaults.of_all().list("tenants").await.unwrap().len(), 4);
    assert_eq!(own.store.list(None).try_collect::<Vec<_>>().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_is_put_with_its_patch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spooled");
    let spooled = text(13 << 20);
    std::fs::write(&path, &spooled).unwrap();
    let (head, tail) = (Bytes::from_static(b"HEAD"), Bytes::from_static(b"the end"));
    for (_, vault) in both().await {
        for len in [4, 5, 3 << 20, (13 << 20) - 1] {
            let file = FileSource { path: path.clone(), head: head.clone(), len, tail: tail.clone() };
            let stored = vault.put_file("t", file).await.unwrap();
            let expected = [&head[..], &spooled[4..len as usize], &tail[..]].concat();
            assert_eq!(stored.size, expected.len() as u64);
            assert_eq!(stored.sha256, <[u8; 32]>::from(Sha256::digest(&expected)));
            assert!(read(&vault, "t", 0..stored.size).await.unwrap() == expected, "{len}");
        }
        let short = FileSource { path: path.clone(), head: head.clone(), len: 14 << 20, tail: tail.clone() };
        assert!(matches!(vault.put_file("u", short).await, Err(VaultError::Disk { .. })));
        let patch = FileSource { path: path.clone(), head: head.clone(), len: 3, tail: tail.clone() };
        assert!(matches!(vault.put_file("u", patch).await, Err(VaultError::Disk { .. })));
        assert!(matches!(vault.stat("u").await, Err(VaultError::NotFound)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_range_is_its_slice(a in 0..SIZE as u64, b in 0..SIZE as u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for (_, vault) in both().await {
                let range = a.min(b)..a.max(b) + 1;
                let expected = text(SIZE).slice(range.start as usize..range.end as usize);
                assert_eq!(read(&vault, "a/track", range).await.unwrap(), expected);
            }
        });
    }
}
