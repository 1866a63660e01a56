//! The wire: RTP, RTCP and the codec headers between bytes and values.
//!
//! Every media packet of every meeting passes through here, so the rules are strict and simple.
//! Parsing borrows the datagram, allocates nothing and costs at most the length of the datagram
//! (transport-wide feedback, whose runs are compressed, has its own ceiling); what is not
//! well-formed is refused with a [`Malformed`] and never with a panic. Writing appends to a buffer
//! that the caller owns and reuses. Nothing here reads a clock, a socket or a key.
//!
//! Data flow: a datagram is told apart by [`rtp::is_rtcp`]. Media goes through
//! [`rtp::RtpHeader::parse`] (before decryption, for the SSRC and the extensions) and then through
//! [`vp8`], [`vp9`], [`h264`], [`av1`], [`opus`] or [`red`] for what forwarding must know of the
//! payload; [`seq`] gives its 16-bit numbers a place on an endless line. Control goes through [`rtcp::parse_compound`]. On the way
//! out stand [`rtp::write_header`] and its prepared form [`template::HeaderTemplate`],
//! [`vp8::Vp8Descriptor::normalised`], the writers of [`rtcp`] and [`twcc::write_transport_cc`].

pub mod av1;
mod bytes;
pub mod ext;
pub mod h264;
pub mod malformed;
pub mod opus;
pub mod red;
pub mod rtcp;
pub mod rtp;
pub mod seq;
pub mod template;
pub mod twcc;
pub mod vp8;
pub mod vp9;

pub use malformed::Malformed;
