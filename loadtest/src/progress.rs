//! What people see while a run lasts: steps, and on a terminal one line that moves.

use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Width of the bar.
const BAR: usize = 30;

/// Progress on standard error.
#[derive(Debug)]
pub struct Progress {
    moves: bool,
    /// A moving line stands where the next step has to begin.
    open: AtomicBool,
}

impl Progress {
    /// On standard error, where a moving line makes sense only on a terminal.
    #[must_use]
    pub fn on_stderr() -> Self {
        Self { moves: stderr().is_terminal(), open: AtomicBool::new(false) }
    }

    /// Says a line.
    pub fn step(&self, line: &str) {
        let newline = if self.open.swap(false, Relaxed) { "\n" } else { "" };
        // A terminal that went away is no reason to stop measuring.
        let _ = writeln!(stderr(), "{newline}plenum-loadtest: {line}");
    }

    /// Shows how far something is.
    pub fn bar(&self, what: &str, done: usize, all: usize, note: &str) {
        if self.moves {
            self.open.store(true, Relaxed);
            let _ = write!(stderr(), "\r{}\u{1b}[K", bar(what, done, all, note));
        }
    }
}

fn bar(what: &str, done: usize, all: usize, note: &str) -> String {
    let done = done.min(all);
    let full = (done * BAR).checked_div(all).unwrap_or(BAR);
    format!("{what} [{}{}] {done}/{all} {note}", "#".repeat(full), ".".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_with_what_is_done_and_no_further() {
        assert_eq!(bar("joining", 1, 3, "x"), "joining [##########....................] 1/3 x");
        assert!(bar("joining", 9, 3, "").contains(&format!("[{}] 3/3", "#".repeat(BAR))));
        assert!(bar("joining", 0, 0, "").contains("0/0"));
    }
}
