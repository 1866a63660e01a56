//! The phone gateway: a phone is a participant.

pub mod ivr;
