//! What disk a directory is on, and what it asks for a promise.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Writes that are timed.
const WRITES: usize = 200;
/// Bytes of each.
const WRITE: usize = 4096;

/// A disk.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    file_system: String,
    /// Half of the calls take at most this.
    fdatasync_us_p50: u64,
    /// 99 of 100.
    fdatasync_us_p99: u64,
}

impl Disk {
    /// Of a directory in which we may write.
    #[must_use]
    pub fn of(directory: &Path) -> Option<Self> {
        let magic = rustix::fs::statfs(directory).ok()?.f_type as u64;
        // linux/magic.h
        let file_system = match magic {
            0xEF53 => "ext4".to_owned(),
            0x5846_5342 => "xfs".to_owned(),
            0x9123_683E => "btrfs".to_owned(),
            0x0102_1994 => "tmpfs (memory, no disk at all)".to_owned(),
            0x794C_7630 => "overlay".to_owned(),
            other => format!("type {other:#x}"),
        };
        let path = directory.join(format!("loadtest-{}.tmp", std::process::id()));
        let times = time_writes(&path);
        // What it leaves behind is of no use to anybody.
        let _ = std::fs::remove_file(&path);
        let mut times = times.ok()?;
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).map_or(0, |time| time.as_micros() as u64);
        Some(Self { file_system, fdatasync_us_p50: at(50), fdatasync_us_p99: at(99) })
    }
}

fn time_writes(path: &Path) -> std::io::Result<Vec<Duration>> {
    let mut file = File::create(path)?;
    let block = [0_u8; WRITE];
    (0..WRITES)
        .map(|_| {
            file.write_all(&block)?;
            let begun = Instant::now();
            file.sync_data()?;
            Ok(begun.elapsed())
        })
        .collect()
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_system, fdatasync_us_p50, fdatasync_us_p99 } = self;
        write!(f, "{file_system}, fdatasync {fdatasync_us_p50} us (p50), {fdatasync_us_p99} us (p99)")
    }
}
