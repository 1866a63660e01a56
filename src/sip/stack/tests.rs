//! The user agent as a whole, on virtual time: against a peer that plays scripts, against torture messages, and against another one of
//! itself over a wire that loses.

mod alone;
mod changes;
mod incoming;
mod outgoing;
mod pair;
mod sessions;
mod torture;
mod trunks;
