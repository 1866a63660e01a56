//! Legs as phones and networks treat them: on virtual time, by what comes out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod calls;
mod down;
mod hostile;
mod keys;
mod support;
mod up;
