//! A fault on demand, so that tests of the whole program can see what one costs. Debug builds alone have it.
//!
//! `PLENUM_DEBUG_FAULT=PATH` names a file; as soon as somebody makes it, the next order to mute takes it away and panics, in
//! the task of the meeting that gave the order.

use std::path::PathBuf;
use std::sync::OnceLock;

/// The variable that names the file.
const VARIABLE: &str = "PLENUM_DEBUG_FAULT";

/// Panics once for each time that the file was made.
#[allow(clippy::panic, reason = "asked for by a test")]
pub(super) fn point() {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    if file.as_ref().is_some_and(|file| std::fs::remove_file(file).is_ok()) {
        panic!("asked for by {VARIABLE}");
    }
}
