//! What a shard counts. Plain numbers while packets pass; the runner publishes the differences once a second.

/// Declares the counters once: field, metric name, labels.
macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident => $metric:literal $(, $key:literal = $value:literal)*;)*) => {
        /// Totals since the last publication.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Counters {
            /// Adds everything to the process's metrics and starts again from zero.
            pub fn publish(&mut self) {
                let Self { $($field),* } = std::mem::take(self);
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
    /// Retransmissions written to receivers.
    packets_retransmitted => "engine_packets_retransmitted_total";
    /// Packets asked for again from publishers.
    nacks_sent => "engine_nacks_sent_total";
    /// Key frames asked for from publishers.
    key_frames_requested => "engine_key_frame_requests_sent_total";
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
    /// Datagrams that the kernel did not take.
    dropped_send_buffer => "engine_packets_dropped_total", "reason" = "send_buffer_full";
    /// Datagrams that the kernel refused to send.
    dropped_send_error => "engine_packets_dropped_total", "reason" = "send_error";
    /// DTLS datagrams that found the control thread's queue full; the peer's retransmission comes again.
    dropped_dtls => "engine_packets_dropped_total", "reason" = "dtls_queue_full";
}
