//! Where recordings are kept: `[recorder.store]`, and `[[recorder.tenant_stores]]` for those who want theirs elsewhere.
//!
//! Each kind of store needs other keys; one that is missing is refused, and so is one that this kind does not have: a
//! bucket that is set beside `kind = "local"` would be believed to be in use.
//!
//! ```text
//! keys of a section --one rule a key--> Wishes --rules of the kind--> RecordingStore --vaults()--> recorder::vault::Vaults
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use recorder::vault::{
    KeyFile, KeyProvider, S3Credentials, Sealing, Secret, StoreKind, Timeouts, Vault, VaultConfig, VaultError, Vaults,
};

use super::settings::Settings;
use super::{Config, Problem, Refused};

/// A store for recordings.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingStore {
    /// Which, and how it is reached. A local one with an empty folder is in the data directory.
    pub kind: StoreKind,
    /// Path in it that all objects have; may be empty.
    pub prefix: String,
    /// Whether and how what is stored is sealed.
    pub encrypt: Encrypt,
    /// Master keys; none: in the data directory.
    pub key_file: Option<PathBuf>,
}

/// What is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encrypt {
    /// Nothing; what was sealed before is still read, as long as the key file is there.
    No,
    /// Everything; what is not sealed is refused.
    All,
    /// What is stored from now on; what was stored before is still read.
    FromNowOn,
}

/// A store of one tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantStore {
    /// Whose.
    pub tenant: String,
    /// What.
    pub store: RecordingStore,
}

/// Names of the keys in one section.
struct Keys {
    kind: &'static str,
    folder: &'static str,
    account: &'static str,
    container: &'static str,
    access_key: &'static str,
    bucket: &'static str,
    region: &'static str,
    endpoint: &'static str,
    access_key_id: &'static str,
    secret_access_key: &'static str,
    path_style: &'static str,
    service_account: &'static str,
    prefix: &'static str,
    encrypt: &'static str,
    read_plain: &'static str,
    key_file: &'static str,
}

macro_rules! keys_of {
    ($section:literal) => {
        Keys {
            kind: concat!($section, ".kind"),
            folder: concat!($section, ".folder"),
            account: concat!($section, ".account"),
            container: concat!($section, ".container"),
            access_key: concat!($section, ".access_key"),
            bucket: concat!($section, ".bucket"),
            region: concat!($section, ".region"),
            endpoint: concat!($section, ".endpoint"),
            access_key_id: concat!($section, ".access_key_id"),
            secret_access_key: concat!($section, ".secret_access_key"),
            path_style: concat!($section, ".path_style"),
            service_account: concat!($section, ".service_account"),
            prefix: concat!($section, ".prefix"),
            encrypt: concat!($section, ".encrypt"),
            read_plain: concat!($section, ".read_plain"),
            key_file: concat!($section, ".key_file"),
        }
    };
}

const STORE: Keys = keys_of!("recorder.store");
const TENANTS: &str = "recorder.tenant_stores";
const TENANT: Keys = keys_of!("recorder.tenant_stores");

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    Azure,
    S3,
    Gcs,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Azure => "azure",
            Self::S3 => "s3",
            Self::Gcs => "gcs",
        }
    }
}

/// `[recorder.store]`
pub(super) fn read_store(settings: &mut Settings) -> RecordingStore {
    read(settings, &STORE)
}

/// `[[recorder.tenant_stores]]`
pub(super) fn read_tenant_stores(settings: &mut Settings) -> Vec<TenantStore> {
    let mut stores: Vec<TenantStore> = Vec::new();
    for mut section in settings.sections(TENANTS) {
        let tenant = section.text("recorder.tenant_stores.tenant", None, parse::text);
        let store = read(&mut section, &TENANT);
        match tenant {
            None => section.conflict(
                "recorder.tenant_stores.tenant",
                "is missing. Name the organisation, as its people's tokens do",
            ),
            Some(tenant) if stores.iter().any(|other| other.tenant == tenant) => {
                section.conflict("recorder.tenant_stores.tenant", &format!("{tenant:?} has two stores. Give it one"));
            }
            Some(tenant) => stores.push(TenantStore { tenant, store }),
        }
        settings.finish_section(section);
    }
    stores
}

fn read(settings: &mut Settings, keys: &Keys) -> RecordingStore {
    let kind = settings.text(keys.kind, Kind::Local, parse::kind);
    let mut wishes = Wishes { kind, unused: Vec::new(), missing: Vec::new() };
    let mut text = |key, of: &[Kind], need, rule: fn(&str) -> Result<Option<String>, String>| {
        let value = settings.text(key, None, rule);
        wishes.take(key, of, need, value)
    };
    let folder = text(keys.folder, &[Kind::Local], Need::Optional, parse::text);
    let account = text(keys.account, &[Kind::Azure], Need::Needed, parse::word);
    let container = text(keys.container, &[Kind::Azure], Need::Needed, parse::word);
    let bucket = text(keys.bucket, &[Kind::S3, Kind::Gcs], Need::Needed, parse::word);
    let region = text(keys.region, &[Kind::S3], Need::Needed, parse::word);
    let endpoint = text(keys.endpoint, &[Kind::Azure, Kind::S3], Need::Optional, parse::endpoint);
    let access_key_id = text(keys.access_key_id, &[Kind::S3], Need::Optional, parse::text);
    let service_account = text(keys.service_account, &[Kind::Gcs], Need::Needed, parse::text);
    let access_key = settings.secret(keys.access_key, None, parse::text);
    let access_key = wishes.take(keys.access_key, &[Kind::Azure], Need::Needed, access_key);
    let secret = settings.secret(keys.secret_access_key, None, parse::text);
    let secret = wishes.take(keys.secret_access_key, &[Kind::S3], Need::Optional, secret);
    let path_style = settings.flag(keys.path_style, false);
    let path_style = wishes.take(keys.path_style, &[Kind::S3], Need::Optional, path_style.then(String::new)).is_some();
    wishes.report(settings);

    let credentials = match (access_key_id, secret) {
        (Some(access_key_id), Some(secret)) => {
            Some(S3Credentials { access_key_id, secret_access_key: Secret::new(secret) })
        }
        (None, None) => None,
        _ => {
            let both = format!("{}, {}", keys.access_key_id, keys.secret_access_key);
            settings
                .conflict(&both, "one is set and the other is not. Set both, or none to use the role of the machine");
            None
        }
    };
    let encrypt = match (settings.flag(keys.encrypt, false), settings.flag(keys.read_plain, false)) {
        (true, false) => Encrypt::All,
        (true, true) => Encrypt::FromNowOn,
        (false, false) => Encrypt::No,
        (false, true) => {
            settings.conflict(keys.read_plain, "has no meaning without encrypt = true. Leave it out");
            Encrypt::No
        }
    };
    RecordingStore {
        // What was missing was reported, and with it nothing is started.
        kind: match kind {
            Kind::Local => StoreKind::Local { folder: folder.unwrap_or_default().into() },
            Kind::Azure => StoreKind::Azure {
                account: account.unwrap_or_default(),
                container: container.unwrap_or_default(),
                access_key: Secret::new(access_key.unwrap_or_default()),
                endpoint,
            },
            Kind::S3 => StoreKind::S3 {
                bucket: bucket.unwrap_or_default(),
                region: region.unwrap_or_default(),
                endpoint,
                credentials,
                path_style,
            },
            Kind::Gcs => StoreKind::Gcs {
                bucket: bucket.unwrap_or_default(),
                service_account: service_account.unwrap_or_default().into(),
            },
        },
        prefix: settings.text(keys.prefix, String::new(), parse::prefix),
        encrypt,
        key_file: settings.text(keys.key_file, None, parse::text).map(PathBuf::from),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Needed,
    Optional,
}

/// Collects what does not fit the kind of store.
struct Wishes {
    kind: Kind,
    unused: Vec<(&'static str, &'static str)>,
    missing: Vec<&'static str>,
}

impl Wishes {
    fn take(&mut self, key: &'static str, of: &[Kind], need: Need, value: Option<String>) -> Option<String> {
        let ours = of.contains(&self.kind);
        match (&value, of.first()) {
            (Some(_), Some(other)) if !ours => self.unused.push((key, other.name())),
            (None, _) if ours && need == Need::Needed => self.missing.push(key),
            _ => {}
        }
        value
    }

    fn report(self, settings: &mut Settings) {
        let kind = self.kind.name();
        for (key, other) in self.unused {
            settings.conflict(
                key,
                &format!("has no meaning with kind = {kind:?}; it is for kind = {other:?}. Leave it out"),
            );
        }
        for key in self.missing {
            settings.conflict(key, &format!("is missing. A store of kind = {kind:?} needs it"));
        }
    }
}

impl Config {
    /// Opens the stores of recordings: local folders and key files are made, others are not asked yet. Blocking.
    ///
    /// # Errors
    /// [`Refused`] with each store that cannot be used as configured.
    pub fn vaults(&self) -> Result<Vaults, Refused> {
        let data = &self.server.data;
        let mut problems = Vec::new();
        let mut open = |place: String, store: &RecordingStore| {
            store.open(data).map_err(|error| problems.push(Problem { place, text: error.to_string() })).ok()
        };
        let default = open("recorder.store".to_owned(), &self.recorder.store);
        let tenants: HashMap<_, _> = self
            .recorder
            .tenant_stores
            .iter()
            .filter_map(|TenantStore { tenant, store }| {
                Some((tenant.clone(), open(format!("recorder.tenant_stores of {tenant:?}"), store)?))
            })
            .collect();
        match default {
            Some(default) if problems.is_empty() => Ok(Vaults::new(default, tenants)),
            _ => Err(Refused(problems)),
        }
    }
}

impl RecordingStore {
    fn open(&self, data: &Path) -> Result<Vault, VaultError> {
        let mut kind = self.kind.clone();
        if let StoreKind::Local { folder } = &mut kind
            && folder.as_os_str().is_empty()
        {
            *folder = data.join("blobs");
        }
        let key_file = self.key_file.clone().unwrap_or_else(|| data.join("keys/recordings"));
        let keys = || KeyFile::open(&key_file).map(|file| Arc::new(file) as Arc<dyn KeyProvider>);
        let sealing = match self.encrypt {
            Encrypt::All => Sealing::All(keys()?),
            Encrypt::FromNowOn => Sealing::New(keys()?),
            Encrypt::No if key_file.exists() => Sealing::Old(keys()?),
            Encrypt::No => Sealing::None,
        };
        Vault::open(VaultConfig { kind, prefix: self.prefix.clone(), sealing, timeouts: Timeouts::default() })
    }
}

/// One function for each kind of value. An error completes the sentence "this value ...".
mod parse {
    use super::Kind;

    pub(super) fn kind(text: &str) -> Result<Kind, String> {
        [Kind::Local, Kind::Azure, Kind::S3, Kind::Gcs]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| "is unknown. Write \"local\", \"azure\", \"s3\" or \"gcs\"".to_owned())
    }

    /// Anything; nothing if empty.
    pub(super) fn text(text: &str) -> Result<Option<String>, String> {
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// What goes into host names and paths of a cloud.
    pub(super) fn word(text: &str) -> Result<Option<String>, String> {
        if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
            self::text(text)
        } else {
            Err("may hold letters, digits, dots, underscores and hyphens alone".to_owned())
        }
    }

    pub(super) fn endpoint(text: &str) -> Result<Option<String>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = || {
            "is not the address of a service. Write it as \"https://s3.example.org\", with a port where needed, without \
             bucket and without password"
                .to_owned()
        };
        let uri: axum::http::Uri = text.parse().map_err(|_| wrong())?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        let bare = uri.authority().is_some_and(|host| !host.as_str().contains('@') && !host.host().is_empty());
        let ends = uri.query().is_none() && !text.contains('#');
        if known && bare && ends { self::text(text) } else { Err(wrong()) }
    }

    pub(super) fn prefix(text: &str) -> Result<String, String> {
        if text.is_empty() || recorder::vault::is_name(text) {
            Ok(text.to_owned())
        } else {
            Err("is not a path for objects. Write small letters, digits, dots, underscores and hyphens, with slashes \
                 between them: \"plenum/recordings\""
                .to_owned())
        }
    }
}
