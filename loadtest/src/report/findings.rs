//! What a run of lean clients leaves behind, before anything is concluded from it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::run::Setup;
use crate::client::lean::browser::Gone;
use crate::client::lean::totals::Snapshot;
use crate::metrics::Sample;
use crate::process::Usage;

/// What joining was like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joining {
    pub(crate) ok: u64,
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) length: Duration,
    /// Of the server.
    pub(crate) cpu: Option<Duration>,
    /// Over all joins, the number of others who were there.
    pub(crate) others: u64,
    /// Messages about others until the last was in, and their bytes.
    pub(crate) messages: BTreeMap<&'static str, u64>,
    pub(crate) bytes: u64,
}

/// One edge of the window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    pub(crate) totals: Snapshot,
    pub(crate) server: Option<Usage>,
    pub(crate) metrics: Option<Sample>,
    pub(crate) own_cpu: Duration,
    pub(crate) server_drops: Option<u64>,
}

/// What receivers have to get for a run to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) audio: bool,
    pub(crate) video: bool,
    /// One source stays in each slot, so that none may fall silent.
    pub(crate) steady: bool,
}

/// Everything that was found.
pub(crate) struct Findings {
    pub(crate) scenario: &'static str,
    pub(crate) setup: Setup,
    pub(crate) expected: Expected,
    pub(crate) max_loss_percent: f64,
    pub(crate) joining: Joining,
    pub(crate) window: Duration,
    pub(crate) begin: Edge,
    pub(crate) end: Edge,
    /// The server before the first client.
    pub(crate) before: Option<Usage>,
    /// Clients at the end of the window.
    pub(crate) present: usize,
    /// Who was in which meeting, by number.
    pub(crate) meetings: HashMap<u32, usize>,
    /// Numbers of clients that came when there was nobody to see.
    pub(crate) alone: Vec<u32>,
    pub(crate) gone: Vec<Gone>,
    pub(crate) own_drops: Option<u64>,
    pub(crate) problems: Vec<String>,
}
