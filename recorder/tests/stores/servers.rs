//! Azurite and an S3 server as child processes, each shared by the tests that run at the same time.
//!
//! They come from npm (`npm ci` in this folder; `tests/run` does it). Where they are not installed the tests fail and say
//! so, unless the developer chose to go without.
//!
//! ```text
//! serve.mjs <-- its standard input ends with the last test, or with this process, and then it ends as well
//! ```

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use recorder::vault::{S3Credentials, Secret, StoreKind};
use tempfile::TempDir;

/// Set to anything, the tests that need a server pass unseen where it is not installed.
const WITHOUT: &str = "PLENUM_TESTS_WITHOUT_BLOB_SERVERS";

/// The account that Azurite comes with.
const AZURITE_ACCOUNT: &str = "devstoreaccount1";
const AZURITE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Azure,
    S3,
}

/// A running one, with an empty bucket or container `plenum`.
pub(crate) struct Server {
    kind: Kind,
    child: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

static AZURE: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static S3: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The one that runs, or a new one; nothing if the developer goes without.
    pub(crate) fn of(kind: Kind) -> Option<Arc<Self>> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores");
        if !here.join("node_modules/.package-lock.json").exists() {
            assert!(
                std::env::var_os(WITHOUT).is_some(),
                "The blob servers for this test are not installed. Run `npm ci` in recorder/tests/stores (Node.js 20 or \
                 newer; `sh tests/run rust` does all of it), or go without: {WITHOUT}=1 cargo test"
            );
            println!("NOT TESTED: {kind:?}, because {WITHOUT} is set and its server is not installed");
            return None;
        }
        let running = if kind == Kind::Azure { &AZURE } else { &S3 };
        let mut running = running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(server) = running.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start(kind, &here));
        *running = Arc::downgrade(&server);
        Some(server)
    }

    fn start(kind: Kind, here: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("node");
        command.arg(here.join("serve.mjs")).current_dir(folder.path());
        match kind {
            Kind::Azure => command.arg("azure"),
            Kind::S3 => command.arg("s3").arg(folder.path()),
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Node.js is not installed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().expect("the blob server ended before it was ready").unwrap();
            if let Some(port) = line.strip_prefix("ready ") {
                break port.parse().unwrap();
            }
        };
        Self { kind, child, port, _folder: folder }
    }

    /// The store, through `port`: the server's own, or that of a proxy in front of it.
    pub(crate) fn store(&self, port: u16) -> StoreKind {
        match self.kind {
            Kind::Azure => StoreKind::Azure {
                account: AZURITE_ACCOUNT.to_owned(),
                container: "plenum".to_owned(),
                access_key: Secret::new(AZURITE_KEY),
                endpoint: Some(format!("http://127.0.0.1:{port}/{AZURITE_ACCOUNT}")),
            },
            Kind::S3 => StoreKind::S3 {
                bucket: "plenum".to_owned(),
                region: "eu-central-1".to_owned(),
                endpoint: Some(format!("http://127.0.0.1:{port}")),
                credentials: Some(S3Credentials {
                    access_key_id: "S3RVER".to_owned(),
                    secret_access_key: Secret::new("S3RVER"),
                }),
                path_style: true,
            },
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
