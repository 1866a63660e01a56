//! What stands between a network path and the router: the WebRTC endpoint's protocols, each as a pure state machine.
//!
//! ```text
//! offer  ──> sdp ──────────────> answer, slots, fingerprint of the peer
//! STUN   ──> ice ──────────────> response, "this path is theirs"
//! DTLS   ──> dtls (certificate) > SRTP keys
//! SRTP   ──> srtp ─────────────> RTP and RTCP in the clear, and back
//! ```
//!
//! Nothing here owns a socket, a thread or a clock: datagrams and instants come in as arguments, datagrams and events
//! go out as values.

pub mod certificate;
pub mod dtls;
pub mod ice;
pub mod sdp;
pub mod srtp;
pub mod webrtc;
