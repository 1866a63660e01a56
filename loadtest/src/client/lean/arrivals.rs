//! Transport-wide feedback: which packets of a connection came, and when
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! ```text
//! number, time of arrival -> Arrivals -> every 100 ms -> TransportLayerCc (rtc-rtcp) -> SRTCP -> server
//! ```
//!
//! Times are the kernel's, so that a server that estimates the path does not see our own slowness as a queue.

use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc,
    SymbolTypeTcc, TYPE_TCC_DELTA_SCALE_FACTOR, TransportLayerCc,
};

use crate::client::Micros;

/// Microseconds of one tick of a delta.
const TICK: Micros = 250;
/// Ticks of one unit of the reference time: 64 ms.
const REFERENCE_TICKS: u64 = 256;
/// Statuses in one feedback. A longer time without feedback is told in several.
const STATUSES_MAX: usize = 2_048;
/// Arrivals that wait for the next feedback: some seconds at the fastest stream. Full means: further ones are not told
/// and look lost to the server.
const WAITING_MAX: usize = 16_384;
/// Symbols of a one-bit and of a two-bit vector, and the longest run.
const ONE_BIT_SYMBOLS: usize = 14;
const TWO_BIT_SYMBOLS: usize = 7;
const RUN_MAX: usize = 8_191;

/// Arrivals since the last feedback.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Unwrapped number and time in ticks, as they came.
    waiting: Vec<(u64, u64)>,
    /// The newest number, unwrapped; it starts high, so that an earlier one may follow.
    newest: Option<u64>,
    /// The first number that no feedback has told of.
    next: u64,
    feedbacks: u8,
}

impl Arrivals {
    /// Notes a packet.
    pub(crate) fn note(&mut self, number: u16, at: Micros) {
        let full = match self.newest {
            None => {
                let start = 1 << 32 | u64::from(number);
                self.next = start;
                start
            }
            Some(newest) => newest.wrapping_add_signed((number.wrapping_sub(newest as u16) as i16).into()),
        };
        self.newest = self.newest.max(Some(full));
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push((full, at / TICK));
        }
    }

    /// The next feedback, if something came. To be called until it gives none.
    pub(crate) fn feedback(&mut self, sender_ssrc: u32, media_ssrc: u32) -> Option<TransportLayerCc> {
        if self.waiting.is_empty() {
            return None;
        }
        self.waiting.sort_unstable();
        self.waiting.dedup_by_key(|(number, _)| *number);
        // One that was told as lost and came late is told again: the server takes the newest word.
        let base = self.waiting.first().map(|(number, _)| *number)?.min(self.next);
        let base = if self.next - base > STATUSES_MAX as u64 { self.next } else { base };
        let reference = self.waiting.first().map(|(_, tick)| tick / REFERENCE_TICKS)?;
        let mut symbols = Vec::with_capacity(self.waiting.len() + 8);
        let mut recv_deltas = Vec::with_capacity(self.waiting.len());
        let (mut number, mut before, mut told) = (base, reference * REFERENCE_TICKS, 0);
        for (full, tick) in &self.waiting {
            let delta = tick.wrapping_sub(before) as i64;
            let gap = full.saturating_sub(number) as usize;
            if symbols.len() + gap >= STATUSES_MAX || i16::try_from(delta).is_err() {
                break;
            }
            told += 1;
            if *full < number {
                continue;
            }
            symbols.resize(symbols.len() + gap, SymbolTypeTcc::PacketNotReceived);
            let symbol = if u8::try_from(delta).is_ok() {
                SymbolTypeTcc::PacketReceivedSmallDelta
            } else {
                SymbolTypeTcc::PacketReceivedLargeDelta
            };
            symbols.push(symbol);
            recv_deltas.push(RecvDelta { type_tcc_packet: symbol, delta: delta * TYPE_TCC_DELTA_SCALE_FACTOR });
            (number, before) = (full + 1, *tick);
        }
        self.waiting.drain(..told);
        self.next = self.next.max(number);
        if symbols.is_empty() {
            // Late news of numbers long told, or a hole that no feedback can span: it begins behind that.
            self.next = self.waiting.first().map_or(self.next, |(first, _)| self.next.max(*first));
            return self.feedback(sender_ssrc, media_ssrc);
        }
        let feedback = TransportLayerCc {
            sender_ssrc,
            media_ssrc,
            base_sequence_number: base as u16,
            packet_status_count: symbols.len() as u16,
            reference_time: (reference & 0x00FF_FFFF) as u32,
            fb_pkt_count: self.feedbacks,
            packet_chunks: chunks(&symbols),
            recv_deltas,
        };
        self.feedbacks = self.feedbacks.wrapping_add(1);
        Some(feedback)
    }
}

/// Packs statuses: long runs as runs, the rest as vectors.
fn chunks(mut symbols: &[SymbolTypeTcc]) -> Vec<PacketStatusChunk> {
    let mut chunks = Vec::with_capacity(symbols.len() / TWO_BIT_SYMBOLS + 1);
    while let Some(first) = symbols.first() {
        let run = symbols.iter().take(RUN_MAX).take_while(|symbol| *symbol == first).count();
        let small =
            symbols.iter().take(ONE_BIT_SYMBOLS).all(|symbol| *symbol != SymbolTypeTcc::PacketReceivedLargeDelta);
        let (symbol_size, size) = if small {
            (SymbolSizeTypeTcc::OneBit, ONE_BIT_SYMBOLS)
        } else {
            (SymbolSizeTypeTcc::TwoBit, TWO_BIT_SYMBOLS)
        };
        if run >= size || run == symbols.len() {
            chunks.push(PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                type_tcc: StatusChunkTypeTcc::RunLengthChunk,
                packet_status_symbol: *first,
                run_length: run as u16,
            }));
            symbols = symbols.split_at(run).1;
            continue;
        }
        let (these, rest) = symbols.split_at(size.min(symbols.len()));
        let mut symbol_list = these.to_vec();
        // The last vector is filled up; the status count says where it ends.
        symbol_list.resize(size, SymbolTypeTcc::PacketNotReceived);
        chunks.push(PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
            type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
            symbol_size,
            symbol_list,
        }));
        symbols = rest;
    }
    chunks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rtc_shared::marshal::{Marshal, Unmarshal};

    use super::*;

    /// Reads a feedback as a sender does: number -> tick.
    fn read(feedback: &TransportLayerCc) -> BTreeMap<u16, u64> {
        let wire = feedback.marshal().unwrap();
        let feedback = TransportLayerCc::unmarshal(&mut &wire[..]).unwrap();
        let mut symbols = Vec::new();
        for chunk in &feedback.packet_chunks {
            match chunk {
                PacketStatusChunk::RunLengthChunk(run) => {
                    symbols.extend(std::iter::repeat_n(run.packet_status_symbol, run.run_length.into()));
                }
                PacketStatusChunk::StatusVectorChunk(vector) => symbols.extend(vector.symbol_list.iter().copied()),
            }
        }
        let mut tick = u64::from(feedback.reference_time) * REFERENCE_TICKS;
        let mut deltas = feedback.recv_deltas.iter();
        let mut arrived = BTreeMap::new();
        for (at, symbol) in symbols.iter().take(feedback.packet_status_count.into()).enumerate() {
            if *symbol != SymbolTypeTcc::PacketNotReceived {
                let delta = deltas.next().unwrap().delta / TYPE_TCC_DELTA_SCALE_FACTOR;
                tick = tick.wrapping_add_signed(delta);
                arrived.insert(feedback.base_sequence_number.wrapping_add(at as u16), tick);
            }
        }
        assert!(deltas.next().is_none());
        arrived
    }

    fn all(arrivals: &mut Arrivals) -> BTreeMap<u16, u64> {
        std::iter::from_fn(|| arrivals.feedback(1, 2)).flat_map(|feedback| read(&feedback)).collect()
    }

    #[test]
    fn losses_between_two_feedbacks_are_told() {
        let mut arrivals = Arrivals::default();
        arrivals.note(65_534, 1_000_000);
        assert_eq!(arrivals.feedback(1, 2).unwrap().packet_status_count, 1);
        arrivals.note(2, 1_100_000);
        let feedback = arrivals.feedback(1, 2).unwrap();
        assert_eq!((feedback.base_sequence_number, feedback.packet_status_count), (65_535, 4));
        assert_eq!(feedback.fb_pkt_count, 1);
        assert_eq!(arrivals.feedback(1, 2), None);
    }

    #[test]
    fn a_pause_longer_than_a_delta_can_say_makes_two_feedbacks() {
        let mut arrivals = Arrivals::default();
        arrivals.note(1, 0);
        arrivals.note(2, 20_000_000);
        assert_eq!(all(&mut arrivals), BTreeMap::from([(1, 0), (2, 80_000)]));
    }

    #[test]
    fn a_jump_of_thousands_is_survived() {
        let mut arrivals = Arrivals::default();
        for (number, at) in [(0, 0), (20_000, 1_000), (20_001, 2_000), (1, 3_000)] {
            arrivals.note(number, at);
        }
        let told = all(&mut arrivals);
        assert!(told.contains_key(&20_000) && told.contains_key(&20_001), "{told:?}");
    }

    proptest! {
        #[test]
        fn a_sender_reads_what_came(
            start: u16,
            packets in proptest::collection::vec((any::<bool>(), 0_u64..400_000), 1..600),
        ) {
            let mut arrivals = Arrivals::default();
            let (mut now, mut expected, mut told) = (77_000_000, BTreeMap::new(), BTreeMap::new());
            for (at, (arrived, pause)) in packets.iter().enumerate() {
                now += pause;
                let number = start.wrapping_add(at as u16);
                if *arrived {
                    arrivals.note(number, now);
                    expected.insert(number, now / TICK);
                }
                if at % 97 == 96 {
                    told.extend(all(&mut arrivals));
                }
            }
            told.extend(all(&mut arrivals));
            prop_assert_eq!(told, expected);
        }

        #[test]
        fn arbitrary_numbers_and_times_never_panic(notes in proptest::collection::vec(any::<(u16, u32)>(), 0..300)) {
            let mut arrivals = Arrivals::default();
            for (number, at) in notes {
                arrivals.note(number, at.into());
            }
            let mut rounds = 0;
            while let Some(feedback) = arrivals.feedback(1, 2) {
                read(&feedback);
                rounds += 1;
                prop_assert!(rounds < 1_000);
            }
        }
    }
}
