//! ffmpeg as a child process: found, started, watched, ended.
//!
//! Why a child: it decodes everything that browsers send, its faults are not ours, and it can be killed. Whether it
//! lives is seen by its progress, which must move.
//!
//! ```text
//! arguments --> [setpriv --pdeathsig] ffmpeg --progress (stdout)--> percent
//!                                        |---stderr---> last words, for the log only
//! ```
//!
//! When the server dies, the kernel kills the child: `setpriv` (util-linux, on every Debian) asks for that
//! (`prctl(2)`, PR_SET_PDEATHSIG) before it becomes ffmpeg; asking it ourselves between fork and exec would be unsafe
//! code. Where `setpriv` is missing, an orphan ends with its segment, and writes to a file that nobody reads.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::RenderError;

/// How often cancellation and standstill are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Full means: ffmpeg waits with its next report, which is ten lines each half second.
const REPORTS: usize = 16;
/// So much of what ffmpeg says at last is logged.
const LAST_WORDS_BYTES: usize = 2048;

/// How long a child may stand still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Before the first frame: it may decode from a key frame that lies far back.
    pub(crate) first: Duration,
    pub(crate) between: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(600), between: Duration::from_secs(60) }
    }
}

/// What is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tools {
    ffmpeg: PathBuf,
    /// `setpriv`, where it can tie a child's life to ours.
    leash: Option<PathBuf>,
    /// Whether ffmpeg can draw text: built in, and a font found.
    pub(crate) can_write: bool,
}

impl Tools {
    /// Those of this machine. Looked for once, or again if they were not there.
    pub(crate) fn installed() -> Result<&'static Self, RenderError> {
        static FOUND: OnceLock<Tools> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found);
        }
        let found = Self::find_in(&std::env::var_os("PATH").unwrap_or_default())?;
        Ok(FOUND.get_or_init(|| found))
    }

    /// `path` is a list of folders, as in `PATH`.
    pub(crate) fn find_in(path: &OsStr) -> Result<Self, RenderError> {
        let ffmpeg = find("ffmpeg", path).ok_or(RenderError::NotInstalled)?;
        let leash = find("setpriv", path).filter(|setpriv| succeeds(leashed(setpriv, &ffmpeg).arg("-version")));
        let text = ["-v", "quiet", "-nostdin", "-f", "lavfi", "-i", "color=s=64x64:d=0.04"];
        let draw = ["-vf", "drawtext=text=a", "-f", "null", "-"];
        let can_write = succeeds(Command::new(&ffmpeg).args(text).args(draw));
        if !can_write {
            tracing::warn!("ffmpeg cannot draw text here, or finds no font: renditions are made without names");
        }
        Ok(Self { ffmpeg, leash, can_write })
    }

    /// Runs ffmpeg in `folder` to its end. `progress` gets the length of what is made so far, in milliseconds.
    pub(crate) fn run(
        &self,
        what: &'static str,
        (folder, arguments): (&Path, &[OsString]),
        patience: Patience,
        progress: &mut dyn FnMut(u64),
        cancelled: &AtomicBool,
    ) -> Result<(), RenderError> {
        let mut command = match &self.leash {
            Some(setpriv) => leashed(setpriv, &self.ffmpeg),
            None => Command::new(&self.ffmpeg),
        };
        command
            .args(["-v", "error", "-hide_banner", "-nostdin", "-nostats", "-progress", "pipe:1"])
            .args(arguments)
            .current_dir(folder)
            // It would write a report with all arguments.
            .env_remove("FFREPORT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C in the server's terminal is the server's to handle.
            .process_group(0);
        let mut child = command.spawn().map_err(RenderError::disk("starting ffmpeg"))?;
        let (reports, heard) = sync_channel(REPORTS);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (ended, last_words) = std::thread::scope(|scope| {
            scope.spawn(move || report(stdout, &reports));
            let last_words = scope.spawn(move || last_words(stderr));
            let ended = watch(&mut child, &heard, patience, progress, cancelled);
            if ended.is_err() {
                // Already gone is as good.
                let _ = child.kill();
                let _ = child.wait();
            }
            // A reader must not wait for room while its end is awaited.
            drop(heard);
            (ended, last_words.join().unwrap_or_default())
        });
        let failed = match ended {
            Ok(status) if status.success() => return Ok(()),
            Ok(_) => RenderError::Failed { what },
            Err(RenderError::Cancelled) => return Err(RenderError::Cancelled),
            Err(error) => error,
        };
        tracing::warn!(what, error = %failed, last_words, "ffmpeg failed");
        Err(failed)
    }
}

/// Waits for the end, or for a reason to end it.
fn watch(
    child: &mut Child,
    heard: &Receiver<u64>,
    patience: Patience,
    progress: &mut dyn FnMut(u64),
    cancelled: &AtomicBool,
) -> Result<ExitStatus, RenderError> {
    let (mut made_ms, mut moved) = (0, Instant::now());
    loop {
        match heard.recv_timeout(LOOK_EVERY) {
            Ok(ms) if ms > made_ms => {
                (made_ms, moved) = (ms, Instant::now());
                progress(ms);
            }
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            // It closed its output, and should be gone soon.
            Err(RecvTimeoutError::Disconnected) => std::thread::park_timeout(Duration::from_millis(10)),
        }
        if let Some(status) = child.try_wait().map_err(RenderError::disk("waiting for ffmpeg"))? {
            return Ok(status);
        }
        if cancelled.load(Ordering::Relaxed) {
            return Err(RenderError::Cancelled);
        }
        let limit = if made_ms == 0 { patience.first } else { patience.between };
        if moved.elapsed() > limit {
            return Err(RenderError::Stalled { seconds: limit.as_secs() });
        }
    }
}

/// Reads `key=value` lines; the one that counts is `out_time_us`.
fn report(stdout: Option<impl Read>, reports: &SyncSender<u64>) {
    let Some(stdout) = stdout else { return };
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let microseconds = line.strip_prefix("out_time_us=").and_then(|value| value.trim().parse::<u64>().ok());
        if let Some(microseconds) = microseconds
            && reports.send(microseconds / 1000).is_err()
        {
            return;
        }
    }
}

fn last_words(stderr: Option<impl Read>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut kept = Vec::new();
    let mut piece = [0; 1024];
    loop {
        match stderr.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => {
                kept.extend_from_slice(piece.get(..read).unwrap_or_default());
                let surplus = kept.len().saturating_sub(LAST_WORDS_BYTES);
                kept.drain(..surplus);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let runs =
        |file: &PathBuf| file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    // An empty entry would mean the current folder, which is nobody's business.
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(program)).find(runs)
}

fn leashed(setpriv: &Path, program: &Path) -> Command {
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests;
