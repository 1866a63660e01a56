//! The room through its own doors: HTTP and WebSocket on loopback, with fakes for engine and recorder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod access;
mod changes;
mod chat;
mod chats;
mod common;
mod connections;
mod document;
mod faults;
mod http;
mod identity;
mod lobby;
mod meeting;
mod phones;
mod policies;
mod property;
mod rates;
mod recording;
mod recordings;
mod schedule;
mod tokens;
