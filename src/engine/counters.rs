//! What a shard counts. Plain numbers while packets pass; the runner publishes the differences once a second.
//!
//! Two distributions are kept as bucket counts: how long trains are, and how long packets take from the kernel's receive
//! timestamp to the send call. Both say at a glance whether the packet path is healthy.

use crate::clock::Micros;
use crate::egress::planned::Planned;
use crate::outbox::Class;

/// Declares the counters once: field, metric name, labels.
macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident => $metric:literal $(, $key:literal = $value:literal)*;)*) => {
        /// Totals since the last publication.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $field: u64,)*
            /// How long trains of voices, pictures are.
            pub trains: [Trains; 2],
            /// From the kernel's receive timestamp to the flush, by kind.
            pub delays: [Delays; 2],
        }

        impl Counters {
            /// Adds everything to the process's metrics and starts again from zero.
            pub fn publish(&mut self) {
                let Self { $($field,)* trains, delays } = std::mem::take(self);
                for (kind, (trains, delays)) in KINDS.into_iter().zip(trains.into_iter().zip(delays)) {
                    trains.publish(kind);
                    delays.publish(kind);
                }
                $(if $field > 0 {
                    metrics::counter!($metric $(, $key => $value)*).increment($field);
                })*
            }
        }
    };
}

counters! {
    /// Datagrams that the socket gave us.
    datagrams_received => "engine_datagrams_received_total";
    /// RTP packets that were authenticated.
    packets_received => "engine_packets_received_total";
    /// RTP packets written to receivers, without retransmissions.
    packets_forwarded => "engine_packets_forwarded_total";
    /// Of these, voices.
    voices_forwarded => "engine_voices_forwarded_total";
    /// Octets of UDP payload in them, with padding.
    bytes_forwarded => "engine_bytes_forwarded_total";
    /// RTP padding that trains cost.
    bytes_padded => "engine_bytes_padded_total";
    /// Retransmissions written to receivers.
    packets_retransmitted => "engine_packets_retransmitted_total";
    /// Voices that had earlier ones sent along.
    voices_redundant => "engine_voices_redundant_total";
    /// Lost packets of voices that a later one brought along.
    voices_recovered => "engine_voices_recovered_total";
    /// Packets asked for again from publishers.
    nacks_sent => "engine_nacks_sent_total";
    /// Packets that receivers asked for again.
    nacks_received => "engine_nacks_received_total";
    /// Packets of padding that were sent to find out what a path carries.
    packets_probed => "engine_packets_probed_total";
    /// Times that a pacer held a receiver's pictures back.
    pacer_waits => "engine_pacer_waits_total";
    /// Datagrams that came to one shard's socket and were another's.
    handed_over => "engine_datagrams_handed_over_total";
    /// Packets copied to another shard, for receivers there.
    packets_relayed => "engine_packets_relayed_total";
    /// Packets of mixes that came from the mixer.
    mix_packets => "engine_mix_packets_total";
    /// Packets of voices from inside the process.
    inlet_packets => "engine_inlet_packets_total";
    /// Of these, not taken: they had come before.
    inlet_duplicates => "engine_inlet_duplicates_total";
    /// Endpoints whose address changed.
    paths_moved => "engine_paths_moved_total";
    /// Endpoints ended by a fault of ours.
    panics => "engine_endpoint_panics_total";
    /// Key frames asked for from publishers.
    key_frames_requested => "engine_key_frame_requests_sent_total";
    /// Looks at paths down, one every two seconds for each endpoint, that found nothing to limit them.
    downlinks_free => "engine_downlinks_seen_total", "limit" = "nothing";
    /// ... that found a queue.
    downlinks_queued => "engine_downlinks_seen_total", "limit" = "queue";
    /// ... that found loss.
    downlinks_lossy => "engine_downlinks_seen_total", "limit" = "loss";
    /// ... of which nothing is heard.
    downlinks_silent => "engine_downlinks_seen_total", "limit" = "silence";
    /// ... that the client or the operator limits.
    downlinks_by_choice => "engine_downlinks_seen_total", "limit" = "choice";
    /// Pictures in these looks that were as large as their tile needs.
    pictures_wanted => "engine_pictures_seen_total", "reason" = "wanted";
    /// ... as large as their publisher sends.
    pictures_source => "engine_pictures_seen_total", "reason" = "source";
    /// ... smaller, or paused, because the path carries no more.
    pictures_network => "engine_pictures_seen_total", "reason" = "network";
    /// Datagrams from a path that no endpoint owns.
    refused_unknown_path => "engine_datagrams_refused_total", "reason" = "unknown_path";
    /// Datagrams that are no protocol of ours.
    refused_unknown_protocol => "engine_datagrams_refused_total", "reason" = "unknown_protocol";
    /// STUN requests that name no endpoint or fail their check.
    refused_stun => "engine_datagrams_refused_total", "reason" = "stun";
    /// Packets that failed authentication.
    refused_authentication => "engine_datagrams_refused_total", "reason" = "authentication";
    /// Packets seen before.
    refused_replayed => "engine_datagrams_refused_total", "reason" = "replayed";
    /// Packets that are not what their header says.
    refused_malformed => "engine_datagrams_refused_total", "reason" = "malformed";
    /// Packets of a stream that was not negotiated.
    refused_unexpected_stream => "engine_datagrams_refused_total", "reason" = "unexpected_stream";
    /// Packets that came before the keys and found their waiting place full.
    refused_early => "engine_datagrams_refused_total", "reason" = "too_early";
    /// Packets of muted publications.
    dropped_muted => "engine_packets_dropped_total", "reason" = "muted";
    /// Retransmissions asked for beyond what one turn answers.
    dropped_resends => "engine_packets_dropped_total", "reason" = "resends_full";
    /// Times that a receiver fell so far behind that its pictures wait for a key frame.
    dropped_lagging => "engine_packets_dropped_total", "reason" = "lagging";
    /// Packets held back behind one that the kernel refused.
    dropped_frame_rest => "engine_packets_dropped_total", "reason" = "frame_rest";
    /// Packets that found the way to another shard full.
    dropped_relay => "engine_packets_dropped_total", "reason" = "relay_full";
    /// Datagrams that found the way to their shard full.
    dropped_hand_over => "engine_packets_dropped_total", "reason" = "hand_over_full";
    /// Datagrams longer than any that we take.
    refused_oversize => "engine_datagrams_refused_total", "reason" = "oversize";
    /// Datagrams that the kernel did not take.
    dropped_send_buffer => "engine_packets_dropped_total", "reason" = "send_buffer_full";
    /// Datagrams that the kernel refused to send.
    dropped_send_error => "engine_packets_dropped_total", "reason" = "send_error";
    /// DTLS datagrams that found the control thread's queue full; the peer's retransmission comes again.
    dropped_dtls => "engine_packets_dropped_total", "reason" = "dtls_queue_full";
}

impl Counters {
    /// A train of media that is ready to leave: `len` octets with padding.
    pub fn note_train(&mut self, now: Micros, class: Class, packets: &[Planned], len: usize) {
        let kind = usize::from(class == Class::Picture);
        let plain: usize = packets.iter().map(|packet| usize::from(packet.len)).sum();
        self.bytes_forwarded += len as u64;
        self.bytes_padded += len.saturating_sub(plain) as u64;
        let again = packets.iter().filter(|packet| packet.is_retransmission).count() as u64;
        let fresh = packets.len() as u64 - again;
        self.packets_retransmitted += again;
        self.voices_redundant += packets.iter().filter(|packet| !packet.older.is_empty()).count() as u64;
        self.packets_forwarded += fresh;
        if class == Class::Voice {
            self.voices_forwarded += fresh;
        }
        if let Some(trains) = self.trains.get_mut(kind) {
            trains.note(packets.len());
        }
        if let Some(delays) = self.delays.get_mut(kind) {
            let waited = packets.iter().map(|packet| now.since(packet.arrived)).max().unwrap_or_default();
            delays.note(waited, packets.len() as u64);
        }
    }
}

/// Labels of the two kinds that are told apart.
const KINDS: [&str; 2] = ["voice", "picture"];

/// Lengths of trains, in datagrams: the last place is for those of 16 and more.
#[derive(Debug, Default)]
pub struct Trains([u64; 16]);

impl Trains {
    fn note(&mut self, segments: usize) {
        if let Some(count) = self.0.get_mut(segments.clamp(1, 16) - 1) {
            *count += 1;
        }
    }

    fn publish(&self, kind: &'static str) {
        publish_buckets("engine_train_segments_bucket", kind, TRAIN_BOUNDS.iter().zip(&self.0));
    }
}

/// Upper ends of the buckets of train lengths: every length.
const TRAIN_BOUNDS: [&str; 16] =
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "+Inf"];

/// Adds a distribution to the process's metrics in the form of a Prometheus histogram: cumulative counters by upper bound.
/// The recorder's own histograms take values one by one, which is too much work for every packet.
fn publish_buckets<'a>(
    name: &'static str,
    kind: &'static str,
    counts: impl Iterator<Item = (&'a &'static str, &'a u64)>,
) {
    let mut total = 0;
    for (&bound, &count) in counts {
        total += count;
        metrics::counter!(name, "kind" => kind, "le" => bound).increment(total);
    }
}

/// Upper ends of the buckets of delays in microseconds; what took longer comes last.
const DELAY_MICROS: [u32; 14] =
    [50, 100, 200, 300, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 25_000, 100_000];

/// The same in seconds, as labels.
const DELAY_BOUNDS: [&str; 15] = [
    "0.00005", "0.0001", "0.0002", "0.0003", "0.0005", "0.00075", "0.001", "0.0015", "0.002", "0.003", "0.005", "0.01",
    "0.025", "0.1", "+Inf",
];

/// Packets by how long they were with us; the last place is for all that took longer.
#[derive(Debug, Default)]
pub struct Delays([u64; DELAY_MICROS.len() + 1]);

impl Delays {
    fn note(&mut self, delay: Micros, packets: u64) {
        let at = DELAY_MICROS.partition_point(|&bound| u64::from(bound) < delay.0);
        if let Some(count) = self.0.get_mut(at) {
            *count += packets;
        }
    }

    fn publish(&self, kind: &'static str) {
        publish_buckets("engine_forward_delay_seconds_bucket", kind, DELAY_BOUNDS.iter().zip(&self.0));
    }
}
