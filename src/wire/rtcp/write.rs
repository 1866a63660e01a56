//! Writing: each function appends one whole RTCP packet.

use super::{
    FORMAT_FIR, FORMAT_NACK, FORMAT_PLI, GOODBYE, MAX_REPORT_BLOCKS, PAYLOAD_FEEDBACK, RECEIVER_REPORT, ReportBlock,
    SENDER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK,
};
use crate::bytes::patch;

/// How many id-and-bitmask pairs [`write_nack`] puts into one packet, about one kilobyte.
pub const MAX_NACK_ENTRIES: usize = 256;

/// Appends the common head with an open length and returns where the packet starts.
pub(crate) fn begin(out: &mut Vec<u8>, format: u8, packet_type: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80 | format & 0x1f, packet_type, 0, 0]);
    start
}

/// Closes the packet that begins at `start`: its length in words, less one (RFC 3550 §6.4.1).
/// The caller has aligned the packet to four octets.
pub(crate) fn finish(out: &mut [u8], start: usize) {
    let words = ((out.len() - start) / 4).saturating_sub(1);
    patch(out, start + 2, &(words as u16).to_be_bytes());
}

fn put(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a sender report. Blocks beyond [`MAX_REPORT_BLOCKS`] are left out.
pub fn write_sender_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    ntp: u64,
    rtp: u32,
    packets: u32,
    octets: u32,
    reports: &[ReportBlock],
) {
    let reports = reports.get(..MAX_REPORT_BLOCKS).unwrap_or(reports);
    let start = begin(out, reports.len() as u8, SENDER_REPORT);
    put(out, ssrc);
    out.extend_from_slice(&ntp.to_be_bytes());
    put(out, rtp);
    put(out, packets);
    put(out, octets);
    put_reports(out, reports);
    finish(out, start);
}

/// Appends a receiver report. Blocks beyond [`MAX_REPORT_BLOCKS`] are left out.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, reports: &[ReportBlock]) {
    let reports = reports.get(..MAX_REPORT_BLOCKS).unwrap_or(reports);
    let start = begin(out, reports.len() as u8, RECEIVER_REPORT);
    put(out, ssrc);
    put_reports(out, reports);
    finish(out, start);
}

fn put_reports(out: &mut Vec<u8>, reports: &[ReportBlock]) {
    for block in reports {
        // RFC 3550 §6.4.1 and A.3: the count is clamped to 24 signed bits instead of wrapping.
        let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
        put(out, block.ssrc);
        put(out, u32::from(block.fraction_lost) << 24 | lost);
        put(out, block.highest);
        put(out, block.jitter);
        put(out, block.last_sr);
        put(out, block.delay_since_last_sr);
    }
}

/// Appends a source description with the CNAME, which every compound must have
/// (RFC 3550 §6.1). More than 255 octets are cut at a character.
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    const CNAME: u8 = 1;
    let text = cname.get(..cname.floor_char_boundary(255)).unwrap_or(cname).as_bytes();
    let start = begin(out, 1, SOURCE_DESCRIPTION);
    put(out, ssrc);
    out.extend_from_slice(&[CNAME, text.len() as u8]);
    out.extend_from_slice(text);
    // RFC 3550 §6.5: at least one zero octet ends the chunk, more align it.
    let padding = 4 - (out.len() - start) % 4;
    out.resize(out.len() + padding, 0);
    finish(out, start);
}

/// Appends a request for lost packets. `seqs` ascend in sequence order (across the wrap).
/// Returns how many of them the packet covers: all, unless it would exceed
/// [`MAX_NACK_ENTRIES`]; then the caller continues from there. Writes nothing for an empty list.
pub fn write_nack(out: &mut Vec<u8>, sender: u32, media: u32, seqs: &[u16]) -> usize {
    let Some((&first, _)) = seqs.split_first() else {
        return 0;
    };
    let start = begin(out, FORMAT_NACK, TRANSPORT_FEEDBACK);
    put(out, sender);
    put(out, media);
    let (mut pid, mut mask, mut entries) = (first, 0u16, 1);
    let mut covered = 0;
    for &seq in seqs {
        // RFC 4585 §6.2.1: bit i of the mask stands for packet id + i + 1.
        match seq.wrapping_sub(pid) {
            0 => {}
            ahead @ 1..=16 => mask |= 1 << (ahead - 1),
            _ if entries == MAX_NACK_ENTRIES => break,
            _ => {
                put(out, u32::from(pid) << 16 | u32::from(mask));
                (pid, mask) = (seq, 0);
                entries += 1;
            }
        }
        covered += 1;
    }
    put(out, u32::from(pid) << 16 | u32::from(mask));
    finish(out, start);
    covered
}

/// Appends a picture loss indication (RFC 4585 §6.3.1).
pub fn write_pli(out: &mut Vec<u8>, sender: u32, media: u32) {
    let start = begin(out, FORMAT_PLI, PAYLOAD_FEEDBACK);
    put(out, sender);
    put(out, media);
    finish(out, start);
}

/// Appends a full intra request (RFC 5104 §4.3.1) for one stream. `seq_nr` grows with each new
/// request and stays when the same one is repeated.
pub fn write_fir(out: &mut Vec<u8>, sender: u32, media: u32, seq_nr: u8) {
    let start = begin(out, FORMAT_FIR, PAYLOAD_FEEDBACK);
    put(out, sender);
    put(out, 0); // RFC 5104 §4.3.1.2: the stream stands in the entry; this field is zero.
    put(out, media);
    put(out, u32::from(seq_nr) << 24);
    finish(out, start);
}

/// Appends a BYE for one source (RFC 3550 §6.6).
pub fn write_bye(out: &mut Vec<u8>, ssrc: u32) {
    let start = begin(out, 1, GOODBYE);
    put(out, ssrc);
    finish(out, start);
}
