#![allow(unsafe_code, reason = "the allocator's own call has no safe face; it takes no pointer and has no condition")]
//! Gives memory back to the system when nobody is here.
//!
//! Why: glibc keeps what a peak needed. After 2,000 phone calls a third more memory stayed with the server than it had before, though nothing of
//! them was left (decision 0023).
//! Why only then: the allocator goes through all of its free memory with its locks held, 60 to 100 ms where a GiB is in pieces. Nobody shall
//! hear that.
//!
//! ```text
//! meetings and calls, four times a minute -> Vacancy: empty for a minute, once for each time -> malloc_trim
//! ```

use std::convert::Infallible;
use std::time::{Duration, Instant};

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(15);
/// So many looks must have found nobody: what calls leave behind is forgotten after half a minute (RFC 3261 §17).
const EMPTY_LOOKS: u32 = 4;

/// Whether it is time, by what was seen of late.
#[derive(Debug, Default)]
struct Vacancy {
    /// Since somebody was here; none: it was done since then.
    empty_looks: Option<u32>,
}

impl Vacancy {
    fn look(&mut self, is_empty: bool) -> bool {
        if !is_empty {
            self.empty_looks = Some(0);
            return false;
        }
        let Some(looks) = &mut self.empty_looks else { return false };
        *looks += 1;
        if *looks < EMPTY_LOOKS {
            return false;
        }
        self.empty_looks = None;
        true
    }
}

/// Does so for as long as it is awaited. `is_empty`: no meeting is on and no phone calls.
pub(crate) async fn give_back_when_empty(is_empty: impl Fn() -> bool) -> Infallible {
    let mut vacancy = Vacancy::default();
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        if vacancy.look(is_empty()) {
            // A panic in it was told where it happened.
            let _ = tokio::task::spawn_blocking(give_back).await;
        }
    }
}

/// Blocks for a few milliseconds, or more where the heap is large and in pieces.
fn give_back() {
    let began = Instant::now();
    // SAFETY: it takes no pointer, and may be called at any time from any thread (malloc_trim(3): MT-Safe).
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let something = unsafe { libc::malloc_trim(0) } != 0;
    // Other allocators do it by themselves.
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let something = false;
    tracing::debug!(something, took_ms = began.elapsed().as_millis() as u64, "nobody is here: free memory given back");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn it_is_time_once_after_each_time_that_somebody_was_here() {
        let mut vacancy = Vacancy::default();
        let mut looks = |seen: &[bool]| seen.iter().map(|is_empty| vacancy.look(*is_empty)).collect::<Vec<_>>();
        assert_eq!(looks(&[true; 6]), [false; 6], "nobody was here yet");
        assert_eq!(looks(&[false, true, true, true, false]), [false; 5], "not for a minute");
        assert_eq!(looks(&[true; 6]), [false, false, false, true, false, false]);
        assert_eq!(looks(&[false, true, true, true, true]), [false, false, false, false, true]);
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn what_is_free_between_what_is_used_goes_back_to_the_system() {
        const PIECES: usize = 64 * 1024;
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            line.trim_end_matches("kB").trim().parse::<usize>().unwrap()
        };
        let mut pieces: Vec<_> = (0..PIECES).map(|n| vec![n as u8; 1024]).collect();
        // What is used at the end keeps the allocator from giving back what lies before it.
        pieces.drain(..PIECES - 1);
        let before = resident();
        give_back();
        let freed = before.saturating_sub(resident());
        assert!(freed > PIECES / 2, "{freed} KiB of {before}");
    }
}
