//! One file of media that grows: whole clusters are appended, nothing else.
//!
//! A full disk tears the last cluster. It stays in memory, and is written again, from where it began, as soon as there is room.
//!
//! ```text
//! block --> Cluster (memory) --whole--> spool file        marks: where each cluster ends, for those who read meanwhile
//! ```

use std::fs::File;
use std::sync::Arc;

use crate::error::Fault;
use crate::spool::Spool;
use crate::webm::{self, Cluster};

/// One frame on its way into a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    /// Of the file's tracks, from 1.
    pub(crate) track: u64,
    pub(crate) at_ms: i64,
    pub(crate) key: bool,
    /// A picture that stands alone: players can jump to it, so a cluster begins with it.
    pub(crate) video_key: bool,
    pub(crate) data: &'a [u8],
}

/// A cluster was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes of the file up to its end.
    pub(crate) size: u64,
    /// The latest block in the file.
    pub(crate) last_ms: i64,
    /// It begins with a picture that stands alone, at this time; and where.
    pub(crate) cue: Option<(i64, u64)>,
}

/// A file that grows.
#[derive(Debug)]
pub(crate) struct MediaFile {
    name: String,
    /// Made with the first cluster, so that no file without a frame is ever seen.
    file: Option<Arc<File>>,
    /// Waits for the first cluster.
    head: Vec<u8>,
    cluster: Cluster,
    /// When, on the recording's clock, the cluster got its first block.
    since_us: i64,
    /// The cluster begins with a picture that stands alone.
    begins_with_key: Option<i64>,
    last_ms: i64,
    size: u64,
    /// What could not be written; a part of it may stand behind the end of the file.
    unwritten: Vec<u8>,
}

impl MediaFile {
    pub(crate) fn new(name: String, head: Vec<u8>) -> Self {
        Self {
            name,
            file: None,
            head,
            cluster: Cluster::default(),
            since_us: 0,
            begins_with_key: None,
            last_ms: -1,
            size: 0,
            unwritten: Vec::new(),
        }
    }

    /// Time of the latest block.
    pub(crate) fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// Takes a block; writes the cluster before it if that is full.
    pub(crate) fn push(&mut self, block: Block<'_>, now_us: i64, spool: &mut Spool) -> Result<Option<Written>, Fault> {
        let written = if self.cluster.closes_before(block.at_ms, block.video_key) { self.commit(spool)? } else { None };
        if self.cluster.is_empty() {
            self.since_us = now_us;
            self.begins_with_key = block.video_key.then_some(block.at_ms);
        }
        self.cluster.push(block.track, block.at_ms, block.key, block.data);
        self.last_ms = self.last_ms.max(block.at_ms);
        Ok(written)
    }

    /// Whether what is in memory has waited for long enough though nothing followed.
    pub(crate) fn is_due(&self, now_us: i64) -> bool {
        !self.cluster.is_empty() && now_us - self.since_us >= webm::CLUSTER_MS * 1000
    }

    /// Writes what is in memory as a cluster; the first one in one write with the head.
    pub(crate) fn commit(&mut self, spool: &mut Spool) -> Result<Option<Written>, Fault> {
        if self.cluster.is_empty() && self.unwritten.is_empty() {
            return Ok(None);
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(self.file.insert(spool.create_file(&self.name)?)),
        };
        if !self.unwritten.is_empty() {
            file.set_len(self.size)?;
        }
        let mut bytes = std::mem::take(&mut self.unwritten);
        bytes.append(&mut self.head);
        let cluster_at = self.size + bytes.len() as u64;
        if !self.cluster.is_empty() {
            self.cluster.take(&mut bytes);
        }
        if let Err(fault) = spool.append(&file, &self.name, self.size, &bytes) {
            self.unwritten = bytes;
            return Err(fault.into());
        }
        let cue = self.begins_with_key.take().map(|at_ms| (at_ms, cluster_at));
        self.size += bytes.len() as u64;
        Ok(Some(Written { size: self.size, last_ms: self.last_ms, cue }))
    }
}
