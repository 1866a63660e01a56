//! What a run of lean clients found.
//!
//! Delay is from the sending call of a publisher to the kernel's time of arrival at a receiver, of opened receivers and
//! within the window. Loss is over the whole run: of opened receivers what was still missing after retransmissions, of
//! counted ones every number that never came. The server's costs are those of the window; what joining cost stands apart.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::{Figures, Spread};

/// Everything about a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its name on the command line.
    pub scenario: &'static str,
    /// The kind of client.
    pub client: &'static str,
    /// What was asked for.
    pub setup: Setup,
    /// Seconds of the measured window.
    pub measured_seconds: f64,
    /// Getting in.
    pub joins: Joins,
    /// What went over the wire in the window, as the clients saw it.
    pub traffic: Traffic,
    /// Absent when nobody sends, or nobody has an audio slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<KindReport>,
    /// As `audio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<KindReport>,
    /// What came of the mixes that were wished for; absent when nobody wished for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix: Option<MixReport>,
    /// Key frames, over the whole run.
    pub key_frames: KeyFrames,
    /// What the server said over the live connections.
    pub signalling: Signalling,
    /// What the server spent, as far as it can be known.
    pub server: ServerReport,
    /// What the server's mixer did in the window, as it tells; absent when it did nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixer: Option<MixerReport>,
    /// What kernel and cipher alone cost for the same traffic, measured right after the run; with `--floor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// What strangers sent meanwhile; with `--garbage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage: Option<Garbage>,
    /// What this program spent, and whether it was the limit.
    pub clients: Clients,
    /// Why the run failed; empty when it passed.
    pub problems: Vec<String>,
}

/// The same traffic without a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    /// Processor time of the sending threads for each packet.
    pub cpu_micros_per_packet: Option<f64>,
    /// How many left each second.
    pub packets_per_second: f64,
    /// Packets in a train, of all kinds together.
    pub mean_train_length: f64,
    /// Datagrams that the kernel refused.
    pub refused: u64,
    /// How late the latest frame left.
    pub behind_ms: f64,
    /// Sending threads.
    pub threads: usize,
    /// The server's processor time for a packet in multiples of this.
    pub server_to_floor: Option<f64>,
}

/// Datagrams of strangers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Garbage {
    /// Datagrams that left.
    pub sent: u64,
    /// Those that the kernel did not take.
    pub refused: u64,
    /// How many left each second.
    pub per_second: f64,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// Meetings at a time.
    pub meetings: usize,
    /// Clients in all.
    pub participants: usize,
    /// Those that send.
    pub publishers: usize,
    /// Receive lines of each client that receives.
    pub audio_slots: u8,
    /// As above.
    pub video_slots: u8,
    /// Of the slowest and the fastest camera.
    pub video_bits_per_second: Option<(u32, u32)>,
    /// Clients that open what they receive; the others count.
    pub opened: usize,
    /// Whether clients wish to hear all voices as one: then delay is not known, since a mix carries nobody's stamp.
    pub mix: bool,
}

/// Getting in.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Joins {
    /// Clients that got in.
    pub ok: u64,
    /// Clients that did not.
    pub failed: u64,
    /// Why not, and how often.
    pub reasons: BTreeMap<String, u64>,
    /// From the first request to the end of the DTLS handshake.
    pub ms: Option<Spread>,
    /// From the first request to the end of the first key frame; of clients that found somebody to see.
    pub first_key_frame_ms: Option<Spread>,
    /// From the first client's request until the last was in.
    pub seconds: f64,
    /// Clients that got in each second of that.
    pub per_second: f64,
    /// Clients whose connection was lost later.
    pub lost_later: u64,
}

/// What went over the wire in the window, UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// From publishers.
    pub packets_out: u64,
    /// From publishers.
    pub bytes_out: u64,
    /// To receivers, retransmissions included.
    pub packets_in: u64,
    /// To receivers.
    pub bytes_in: u64,
    /// To receivers.
    pub audio_packets_in: u64,
    /// To receivers.
    pub video_packets_in: u64,
    /// To receivers.
    pub retransmissions_in: u64,
}

/// What was received of one kind.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KindReport {
    /// Over all receivers, of the numbers that should have come.
    pub loss_percent: f64,
    /// Of receivers that opened everything.
    pub opened: Figures,
    /// Of receivers that counted.
    pub counted: Counted,
}

/// What clear headers told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Slots that got anything.
    pub streams: u64,
    /// Packets, each counted once.
    pub packets: u64,
    /// Bytes of them, UDP payload.
    pub bytes: u64,
    /// Numbers that never came.
    pub lost: u64,
    /// Of those that should have come.
    pub loss_percent: f64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets of retransmission streams.
    pub retransmissions: u64,
    /// Pauses of more than a second.
    pub freezes: u64,
}

/// Mixes, within the window, over all who listen to one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MixReport {
    /// Clients that wished for one.
    pub listeners: u64,
    /// Seconds in which others talked, less what the mixer may take to begin; of all listeners together.
    pub due_seconds: f64,
    /// The part of that in which nothing came.
    pub missing_percent: f64,
    /// Packets a second of one mix while it lasted; 50 are right.
    pub packets_per_second: f64,
    /// Packets in audio slots that should have been empty.
    pub packets_elsewhere: u64,
}

/// The server's mixer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MixerReport {
    /// Each of them 20 ms of one meeting.
    pub ticks: u64,
    /// Those that were given up.
    pub ticks_skipped: u64,
    /// How late they began: the bound below which 99 of 100 were.
    pub tick_late_p99_ms: Option<f64>,
    /// Packets encoded for all who hear the same.
    pub shared_encodes_per_second: f64,
    /// Packets encoded for one who talks.
    pub own_encodes_per_second: f64,
    /// Packets that needed no encoder.
    pub encodes_saved_per_second: f64,
    /// Samples that were made up for packets that were not there in time, of all that the publishers sent.
    pub concealed_percent: f64,
    /// Samples by which sound was made shorter or longer, of all that the publishers sent.
    pub stretched_percent: f64,
    /// Processor time of its threads.
    pub cpu_seconds: f64,
    /// Of one processor.
    pub cpu_percent: f64,
}

/// Key frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyFrames {
    /// That publishers sent.
    pub sent: u64,
    /// That the server asked publishers for.
    pub requested: u64,
    /// Packets that publishers sent again.
    pub retransmitted: u64,
}

/// What the server said.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signalling {
    /// Messages of the whole run by type, over all clients.
    pub messages: BTreeMap<String, u64>,
    /// Bytes of them.
    pub bytes: u64,
    /// While clients joined: messages by type that one client got for each other that came after it. Messages about its
    /// own connection are left out; where clients also leave or speak meanwhile, that is in here too.
    pub per_join_and_other: BTreeMap<&'static str, f64>,
    /// Their sum.
    pub per_join_and_other_total: Option<f64>,
    /// Bytes of them.
    pub bytes_per_join_and_other: Option<f64>,
}

/// The server's costs. What needs its process id or its metrics is absent without them.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerReport {
    /// Processor time in the window, user and system.
    pub cpu_seconds: Option<f64>,
    /// Of one processor.
    pub cpu_percent: Option<f64>,
    /// Processor time for each packet that reached a receiver, everything included.
    pub cpu_micros_per_packet: Option<f64>,
    /// As above, when nothing but audio flowed.
    pub cpu_micros_per_audio_packet: Option<f64>,
    /// As above, when nothing but video flowed.
    pub cpu_micros_per_video_packet: Option<f64>,
    /// Packets that reached receivers for each second of processor time.
    pub packets_per_cpu_second: Option<f64>,
    /// Processor time while clients joined.
    pub join_cpu_seconds: Option<f64>,
    /// For each that got in.
    pub cpu_millis_per_join: Option<f64>,
    /// Memory before the first client.
    pub rss_before_bytes: Option<u64>,
    /// Memory at the end of the window.
    pub rss_bytes: Option<u64>,
    /// Growth for each client that was there.
    pub rss_per_participant_bytes: Option<f64>,
    /// Datagrams that the kernel dropped before the server read them, in the window.
    pub socket_drops: Option<u64>,
    /// Mean number of packets that left for one receiver in one call, of all kinds together.
    pub mean_train_length: Option<f64>,
    /// The same by the server's names of kinds, with how many trains had how many packets.
    pub trains: BTreeMap<String, Trains>,
    /// From the kernel's time of arrival to the sending call, as the server measures it: the bound below which 99 of 100
    /// packets were.
    pub forward_delay_p99_ms: Option<f64>,
    /// The same by kind.
    pub forward_delay_p99_ms_by_kind: BTreeMap<String, f64>,
    /// What was added in the window to the engine's counters.
    pub metrics: BTreeMap<String, f64>,
}

/// Packets that left together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trains {
    /// Packets in a train.
    pub mean: Option<f64>,
    /// Number of packets -> number of trains; "inf" is more than the server tells apart.
    pub histogram: BTreeMap<String, u64>,
}

/// This program.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Clients {
    /// Processor time in the window, of all threads.
    pub cpu_seconds: f64,
    /// Of one processor.
    pub receiving_thread_percent: f64,
    /// Of one processor.
    pub sending_thread_percent: f64,
    /// The receiving thread's time for each packet, feedback included.
    pub receiving_micros_per_packet: Option<f64>,
    /// Datagrams that the kernel dropped because we did not read them in time, over the whole run.
    pub kernel_drops: Option<u64>,
    /// Datagrams that the kernel did not take from us.
    pub refused: u64,
    /// The latest sending after its time.
    pub latest_send_ms: f64,
    /// Sendings that were late by more than 10 ms.
    pub late_sends: u64,
    /// Whether this program may have been what limited the run.
    pub was_the_limit: bool,
    /// Why.
    pub limits: Vec<String>,
}

impl Report {
    /// Whether everybody got everything.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}
