//! Phones: the gateway's door into meetings, how one dials in, and calls out of meetings.

mod caller_number;
mod details;
mod dial_out;
mod door;
pub(crate) mod gateway;
mod refusals;
mod rows;
mod voicemail;
