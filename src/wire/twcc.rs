//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): which
//! packets of a whole transport arrived, and when. It is what congestion control lives on.
//!
//! The format compresses: a chunk of two octets may stand for 8,191 packets, so a tiny datagram
//! could order a lot of work. Parsing therefore checks count, chunks and delta
//! bytes once, at the price of one step per chunk, and refuses more than [`MAX_PACKET_COUNT`];
//! the iterator over it cannot fail any more. [`write_transport_cc`] is the other direction.

use crate::Malformed;
use crate::bytes::{array_at, patch, u16_at, u32_at};
use crate::rtcp::{FORMAT_TRANSPORT_CC, TRANSPORT_FEEDBACK, begin, finish};

/// The most packets that one feedback may speak of, in and out. Real feedback covers 50 to 250 ms;
/// this is several seconds of a fast link, and bounds what a hostile one can cost.
pub const MAX_PACKET_COUNT: u16 = 8_192;

/// The unit of arrival deltas.
pub const TICK_US: u64 = 250;

/// A written feedback stays below this, so that it fits any path with SRTCP around it.
const MAX_FEEDBACK_LEN: usize = 1_200;
const TICKS_PER_REFERENCE: u64 = 256; // 64 ms
const HEAD_LEN: usize = 20;
const CHUNK_LEN: usize = 2;
const MAX_RUN: u16 = 0x1fff;
/// Symbols in a status vector chunk of one and of two bits.
const ONE_BIT: u16 = 14;
const TWO_BIT: u16 = 7;

/// How a packet's arrival is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbol {
    Missing,
    /// An unsigned delta of one octet.
    Small,
    /// A signed delta of two octets.
    Large,
}

impl Symbol {
    const fn from_bits(bits: u16) -> Result<Self, Malformed> {
        match bits & 0x03 {
            0 => Ok(Self::Missing),
            1 => Ok(Self::Small),
            2 => Ok(Self::Large),
            _ => Err(Malformed::Type),
        }
    }

    const fn bits(self) -> u16 {
        match self {
            Self::Missing => 0,
            Self::Small => 1,
            Self::Large => 2,
        }
    }

    const fn delta_len(self) -> usize {
        self.bits() as usize
    }
}

/// A packet status chunk (§3.1.3, §3.1.4) and the symbols in it that are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Run {
        symbol: Symbol,
        left: u16,
    },
    /// Symbols left-aligned in `bits`, each `width` bits wide.
    Vector {
        bits: u16,
        width: u32,
        left: u16,
    },
}

impl Chunk {
    const EMPTY: Self = Self::Run { symbol: Symbol::Missing, left: 0 };

    fn parse(raw: u16) -> Result<Self, Malformed> {
        if raw & 0x8000 == 0 {
            let symbol = Symbol::from_bits(raw >> 13)?;
            return Ok(Self::Run { symbol, left: raw & MAX_RUN });
        }
        let bits = raw << 2;
        Ok(if raw & 0x4000 == 0 {
            Self::Vector { bits, width: 1, left: ONE_BIT }
        } else {
            Self::Vector { bits, width: 2, left: TWO_BIT }
        })
    }

    fn next_symbol(&mut self) -> Option<Result<Symbol, Malformed>> {
        match self {
            Self::Run { left: 0, .. } | Self::Vector { left: 0, .. } => None,
            Self::Run { symbol, left } => {
                *left -= 1;
                Some(Ok(*symbol))
            }
            Self::Vector { bits, width, left } => {
                *left -= 1;
                let symbol = Symbol::from_bits(*bits >> (u16::BITS - *width));
                *bits <<= *width;
                Some(symbol)
            }
        }
    }

    /// How many of `wanted` packets this chunk speaks of, and how many delta bytes they have.
    fn measure(mut self, wanted: u16) -> Result<(u16, usize), Malformed> {
        if let Self::Run { symbol, left } = self {
            let covered = left.min(wanted);
            return Ok((covered, usize::from(covered) * symbol.delta_len()));
        }
        let (mut covered, mut delta_bytes) = (0, 0);
        while covered < wanted {
            let Some(symbol) = self.next_symbol() else { break };
            covered += 1;
            delta_bytes += symbol?.delta_len();
        }
        Ok((covered, delta_bytes))
    }
}

/// A received feedback packet, checked as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportCcView<'a> {
    /// Who reports.
    pub sender: u32,
    /// The stream it was addressed to; the feedback is about the whole transport.
    pub media: u32,
    /// The transport-wide sequence number of the first packet.
    pub base: u16,
    /// How many packets it speaks of, 1..=[`MAX_PACKET_COUNT`].
    pub count: u16,
    /// Arrival clock that the first delta counts from: 24 bits, in units of 64 ms, wrapping.
    pub reference_time: u32,
    /// Number of this feedback, wrapping.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportCcView<'a> {
    /// Reads the body of the RTCP packet, without its four-octet head and without padding.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let count = u16_at(body, 10)?;
        if count == 0 || count > MAX_PACKET_COUNT {
            return Err(Malformed::Length);
        }
        let [r0, r1, r2, feedback_count] = array_at(body, 12)?;
        let lists = body.get(16..).ok_or(Malformed::Truncated)?;
        let (chunk_len, delta_len) = measure(lists, count)?;
        let (chunks, rest) = lists.split_at_checked(chunk_len).ok_or(Malformed::Truncated)?;
        Ok(Self {
            sender: u32_at(body, 0)?,
            media: u32_at(body, 4)?,
            base: u16_at(body, 8)?,
            count,
            reference_time: u32::from_be_bytes([0, r0, r1, r2]),
            feedback_count,
            chunks,
            deltas: rest.get(..delta_len).ok_or(Malformed::Truncated)?,
        })
    }

    /// Every packet it speaks of: its sequence number and, if it arrived, the ticks of
    /// [`TICK_US`] since the arrival before it (since `reference_time` for the first).
    #[must_use]
    pub const fn packets(&self) -> Packets<'a> {
        Packets { next: self.base, left: self.count, chunk: Chunk::EMPTY, chunks: self.chunks, deltas: self.deltas }
    }
}

fn measure(lists: &[u8], count: u16) -> Result<(usize, usize), Malformed> {
    let (mut wanted, mut chunk_len, mut delta_len) = (count, 0, 0);
    while wanted > 0 {
        let (covered, delta_bytes) = Chunk::parse(u16_at(lists, chunk_len)?)?.measure(wanted)?;
        wanted -= covered;
        chunk_len += CHUNK_LEN;
        delta_len += delta_bytes;
    }
    Ok((chunk_len, delta_len))
}

/// The packets of one feedback, see [`TransportCcView::packets`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    next: u16,
    left: u16,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl Packets<'_> {
    fn next_symbol(&mut self) -> Option<Symbol> {
        loop {
            if let Some(symbol) = self.chunk.next_symbol() {
                return symbol.ok();
            }
            let (raw, rest) = self.chunks.split_first_chunk()?;
            self.chunks = rest;
            self.chunk = Chunk::parse(u16::from_be_bytes(*raw)).ok()?;
        }
    }

    fn next_delta(&mut self, symbol: Symbol) -> Option<Option<i16>> {
        let (delta, rest) = match symbol {
            Symbol::Missing => return Some(None),
            Symbol::Small => {
                let (&octet, rest) = self.deltas.split_first()?;
                (i16::from(octet), rest)
            }
            Symbol::Large => {
                let (octets, rest) = self.deltas.split_first_chunk()?;
                (i16::from_be_bytes(*octets), rest)
            }
        };
        self.deltas = rest;
        Some(Some(delta))
    }
}

impl Iterator for Packets<'_> {
    type Item = (u16, Option<i16>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let symbol = self.next_symbol()?;
        let delta = self.next_delta(symbol)?;
        let seq = self.next;
        self.next = seq.wrapping_add(1);
        Some((seq, delta))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left)))
    }
}

/// Appends one feedback packet in which `arrivals[i]` is the arrival of packet `base + i`, in
/// microseconds since any epoch that stays the same, or `None` if it has not arrived.
///
/// Returns how many entries it covers. That is fewer than given when a delta does not fit 16 bits,
/// when the packet would exceed 1,200 octets or [`MAX_PACKET_COUNT`] entries; the caller continues
/// from there with the next `feedback_count`. It is never 0 unless `arrivals` is empty. Entries
/// without a single arrival have no time to count from: they are covered, and nothing is written.
pub fn write_transport_cc(
    out: &mut Vec<u8>,
    sender: u32,
    media: u32,
    feedback_count: u8,
    base: u16,
    arrivals: &[Option<u64>],
) -> usize {
    let arrivals = arrivals.get(..usize::from(MAX_PACKET_COUNT)).unwrap_or(arrivals);
    let Some(first) = arrivals.iter().flatten().next() else {
        return arrivals.len();
    };
    let reference = first / TICK_US / TICKS_PER_REFERENCE;
    let entries = Entries { arrivals, last_tick: reference * TICKS_PER_REFERENCE };

    let start = begin(out, FORMAT_TRANSPORT_CC, TRANSPORT_FEEDBACK);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&media.to_be_bytes());
    out.extend_from_slice(&base.to_be_bytes());
    let count_at = out.len();
    out.extend_from_slice(&[0, 0]);
    let [_, r0, r1, r2] = (reference as u32).to_be_bytes();
    out.extend_from_slice(&[r0, r1, r2, feedback_count]);
    let covered = write_chunks(out, entries.clone());
    patch(out, count_at, &covered.to_be_bytes());
    write_deltas(out, entries.take(usize::from(covered)));
    pad(out, start);
    finish(out, start);
    usize::from(covered)
}

/// Walks arrivals as symbols and deltas. It ends before the first delta that does not fit.
#[derive(Clone)]
struct Entries<'a> {
    arrivals: &'a [Option<u64>],
    last_tick: u64,
}

impl Iterator for Entries<'_> {
    type Item = (Symbol, i16);

    fn next(&mut self) -> Option<(Symbol, i16)> {
        let (arrival, rest) = self.arrivals.split_first()?;
        let entry = match arrival {
            None => (Symbol::Missing, 0),
            Some(arrival) => {
                // Ticks are rounded before they are subtracted, so that errors do not add up.
                let tick = arrival / TICK_US;
                let delta = tick.wrapping_sub(self.last_tick).cast_signed();
                let delta = i16::try_from(delta).ok()?;
                self.last_tick = tick;
                (if (0..=255).contains(&delta) { Symbol::Small } else { Symbol::Large }, delta)
            }
        };
        self.arrivals = rest;
        Some(entry)
    }
}

/// Appends the status chunks and returns how many entries they cover. The budget counts the
/// delta bytes too, which follow later.
fn write_chunks(out: &mut Vec<u8>, mut entries: Entries<'_>) -> u16 {
    let mut budget = MAX_FEEDBACK_LEN - HEAD_LEN;
    let mut covered = 0u16;
    while let Some((raw, len, delta_bytes)) = next_chunk(&entries, budget) {
        out.extend_from_slice(&raw.to_be_bytes());
        budget -= CHUNK_LEN + delta_bytes;
        covered += len;
        // `nth` steps over `len` entries; a chunk has at least one.
        entries.nth(usize::from(len).saturating_sub(1));
    }
    covered
}

/// The chunk that says most about the entries ahead: its bits, its entries, their delta bytes.
/// `None` at the end, or when the budget has no room for it.
fn next_chunk(entries: &Entries<'_>, budget: usize) -> Option<(u16, u16, usize)> {
    let (symbol, _) = entries.clone().next()?;
    let room = budget.checked_sub(CHUNK_LEN)?;
    let most = room.checked_div(symbol.delta_len()).unwrap_or(usize::MAX).min(usize::from(MAX_RUN));
    let run = entries.clone().take(most).take_while(|(other, _)| *other == symbol).count() as u16;
    let one_bit = status_vector(entries, ONE_BIT, 1);
    let (bits, len, delta_bytes) = match one_bit {
        // A run must beat the vector that could take its place.
        _ if run >= ONE_BIT => return run_chunk(symbol, run),
        Some(vector) => vector,
        None if run >= TWO_BIT => return run_chunk(symbol, run),
        None => status_vector(entries, TWO_BIT, 2)?,
    };
    (delta_bytes <= room).then_some((bits, len, delta_bytes))
}

fn run_chunk(symbol: Symbol, run: u16) -> Option<(u16, u16, usize)> {
    Some((symbol.bits() << 13 | run, run, usize::from(run) * symbol.delta_len()))
}

/// A vector of up to `len` symbols; `None` if one of them does not fit `width` bits. Places
/// beyond the last entry stay zero, and the packet count tells the receiver to ignore them.
fn status_vector(entries: &Entries<'_>, len: u16, width: u16) -> Option<(u16, u16, usize)> {
    let (mut bits, mut taken, mut delta_bytes) = (0x8000 | (width - 1) << 14, 0, 0);
    for (symbol, _) in entries.clone().take(usize::from(len)) {
        if symbol.bits() >> width != 0 {
            return None;
        }
        taken += 1;
        bits |= symbol.bits() << (ONE_BIT - taken * width);
        delta_bytes += symbol.delta_len();
    }
    Some((bits, taken, delta_bytes))
}

fn write_deltas(out: &mut Vec<u8>, entries: impl Iterator<Item = (Symbol, i16)>) {
    for (symbol, delta) in entries {
        match symbol {
            Symbol::Missing => {}
            Symbol::Small => out.push(delta as u8),
            Symbol::Large => out.extend_from_slice(&delta.to_be_bytes()),
        }
    }
}

/// RFC 3550 §6.4.1: fills up to a whole word and says so in the P bit and the last octet.
fn pad(out: &mut Vec<u8>, start: usize) {
    let padding = (4 - (out.len() - start) % 4) % 4;
    if padding == 0 {
        return;
    }
    out.resize(out.len() + padding - 1, 0);
    out.push(padding as u8);
    if let Some(first) = out.get_mut(start) {
        *first |= 0x20;
    }
}
