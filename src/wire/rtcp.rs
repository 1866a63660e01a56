//! RTCP (RFC 3550 §6, RFC 4585, RFC 5104): the feedback that decides what is sent again, when a
//! key frame is asked for, and how clocks are mapped.
//!
//! [`parse_compound`] walks a decrypted datagram and yields borrowed views. Lists inside a packet
//! (report blocks, lost sequence numbers) are iterators over the datagram; their lengths are
//! checked before the packet is handed out, so they cannot fail later. The `write_*` functions
//! append one packet each; a compound is several of them in one buffer.

mod read;
mod write;

pub use read::{Compound, FirEntries, MAX_COMPOUND_PACKETS, NackEntries, Reports, RtcpPacket, Sources, parse_compound};
pub use write::{
    MAX_NACK_ENTRIES, write_bye, write_cname, write_fir, write_nack, write_pli, write_receiver_report,
    write_sender_report,
};
pub(crate) use write::{begin, finish};

use std::time::Duration;

pub(crate) const SENDER_REPORT: u8 = 200;
pub(crate) const RECEIVER_REPORT: u8 = 201;
pub(crate) const SOURCE_DESCRIPTION: u8 = 202;
pub(crate) const GOODBYE: u8 = 203;
pub(crate) const TRANSPORT_FEEDBACK: u8 = 205;
pub(crate) const PAYLOAD_FEEDBACK: u8 = 206;

pub(crate) const FORMAT_NACK: u8 = 1;
pub(crate) const FORMAT_TRANSPORT_CC: u8 = 15;
pub(crate) const FORMAT_PLI: u8 = 1;
pub(crate) const FORMAT_FIR: u8 = 4;
pub(crate) const FORMAT_APPLICATION: u8 = 15;

/// The count field of a report is five bits wide.
pub const MAX_REPORT_BLOCKS: usize = 31;
const REPORT_BLOCK_LEN: usize = 24;

/// What one receiver says about one stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream that is reported on.
    pub ssrc: u32,
    /// Loss since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Loss since the beginning; negative when duplicates outnumber losses. 24 bits on the wire.
    pub lost: i32,
    /// Extended highest sequence number received.
    pub highest: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time in the last sender report, 0 if there was none.
    pub last_sr: u32,
    /// Time since that report, in 65536ths of a second.
    pub delay_since_last_sr: u32,
}

/// The 64-bit NTP time of a sender report: 32.32 fixed-point seconds since 1900.
#[must_use]
pub fn ntp_from_unix(since_epoch: Duration) -> u64 {
    /// Seconds from 1900 to 1970: 70 years, 17 of them leap years.
    const UNIX_EPOCH_IN_NTP: u64 = 2_208_988_800;
    // RFC 3550 §4: NTP seconds wrap in 2036, and only differences of them are used.
    let seconds = since_epoch.as_secs().wrapping_add(UNIX_EPOCH_IN_NTP) << 32;
    let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
    seconds | fraction
}

/// The middle 32 bits of an NTP time, which reports echo back as `last_sr`.
#[must_use]
pub const fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}
