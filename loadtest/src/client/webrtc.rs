//! The heavy client: a whole `webrtc` peer connection each, joining by WHIP and WHEP as any standard publisher and
//! player would.
//!
//! It is the second opinion beside the lean client: another author's ICE, DTLS, SRTP and SDP, up to
//! [`CLIENTS_MAX`](crate::scenario::peers::CLIENTS_MAX) of them, since each costs many times what the server does.

pub(crate) mod direct;
pub(crate) mod peer;
pub(crate) mod publisher;
pub(crate) mod receiver;
