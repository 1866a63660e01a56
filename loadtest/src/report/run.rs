//! What a run of lean clients found.
//!
//! Delay is from the sending call of a publisher to the kernel's time of arrival at a receiver, of opened receivers and
//! within the window. Loss is over the whole run: of opened receivers what was still missing after retransmissions, of
//! counted ones every number that never came. The server's costs are those of the window; what joining cost stands apart.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::figures::{Figures, Spread, milliseconds, ratio, share};
use crate::client::Kind;
use crate::client::lean::browser::Gone;
use crate::client::lean::inbound::{Depth, Receiving};
use crate::client::lean::line::Tally;
use crate::client::lean::totals::{LATE, Snapshot};
use crate::client::stream::StreamFigures;
use crate::metrics::{Histogram, Sample};
use crate::process::Usage;

/// A media thread busier than this may be what limits the run.
const BUSY_PERCENT: f64 = 85.0;
/// Of so many sendings one may be late: the machine is not ours alone.
const LATE_SHARE: f64 = 0.001;
/// The server's histograms that are told by name.
const TRAINS: &str = "engine_train_segments";
const DELAY: &str = "engine_forward_delay_seconds";

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
    /// Absent when nobody has an audio slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<KindReport>,
    /// As `audio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<KindReport>,
    /// Key frames, over the whole run.
    pub key_frames: KeyFrames,
    /// What the server said over the live connections.
    pub signalling: Signalling,
    /// What the server spent, as far as it can be known.
    pub server: ServerReport,
    /// What kernel and cipher alone cost for the same traffic, measured right after the run; with `--floor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
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

impl Trains {
    fn of(histogram: &Histogram) -> Self {
        let counts = histogram.counts().into_iter().filter(|(_, count)| *count > 0.0);
        Self {
            mean: histogram.mean_of_whole_numbers(),
            // Padded, so that the order of keys is that of lengths.
            histogram: counts.map(|(bound, count)| (format!("{bound:>3}"), count as u64)).collect(),
        }
    }
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

/// What joining was like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joining {
    pub(crate) ok: u64,
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) length: Duration,
    /// Of the server.
    pub(crate) cpu: Option<Duration>,
    /// Over all joins, the number of others who were there.
    pub(crate) others: u64,
    /// Messages about others until the last was in, and their bytes.
    pub(crate) messages: BTreeMap<&'static str, u64>,
    pub(crate) bytes: u64,
}

/// One edge of the window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    pub(crate) totals: Snapshot,
    pub(crate) server: Option<Usage>,
    pub(crate) metrics: Option<Sample>,
    pub(crate) own_cpu: Duration,
    pub(crate) server_drops: Option<u64>,
}

/// What receivers have to get for a run to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) audio: bool,
    pub(crate) video: bool,
    /// One source stays in each slot, so that none may fall silent.
    pub(crate) steady: bool,
}

/// Everything that was found.
pub(crate) struct Findings {
    pub(crate) scenario: &'static str,
    pub(crate) setup: Setup,
    pub(crate) expected: Expected,
    pub(crate) max_loss_percent: f64,
    pub(crate) joining: Joining,
    pub(crate) window: Duration,
    pub(crate) begin: Edge,
    pub(crate) end: Edge,
    /// The server before the first client.
    pub(crate) before: Option<Usage>,
    /// Clients at the end of the window.
    pub(crate) present: usize,
    /// Numbers of clients that came when there was nobody to see.
    pub(crate) alone: Vec<u32>,
    pub(crate) gone: Vec<Gone>,
    pub(crate) own_drops: Option<u64>,
    pub(crate) problems: Vec<String>,
}

impl Report {
    /// Draws the conclusions.
    pub(crate) fn of(findings: Findings) -> Self {
        let mut problems = findings.problems.clone();
        let traffic = Traffic::of(&findings);
        let clients = Clients::of(&findings, &traffic);
        problems.extend(clients.limits.iter().map(|limit| format!("this program may be the limit: {limit}")));
        let joins = Joins::of(&findings);
        for (reason, count) in &joins.reasons {
            problems.push(format!("{count} clients did not get in: {reason}"));
        }
        for gone in &findings.gone {
            judge_client(gone, &findings, &mut problems);
        }
        let wanted = [(Kind::Audio, findings.setup.audio_slots), (Kind::Video, findings.setup.video_slots)];
        let [audio, video] =
            wanted.map(|(kind, slots)| (slots > 0).then(|| KindReport::of(kind, &findings, &mut problems)));
        Self {
            scenario: findings.scenario,
            client: "lean",
            measured_seconds: findings.window.as_secs_f64(),
            joins,
            traffic,
            audio,
            video,
            key_frames: KeyFrames::of(&findings),
            signalling: Signalling::of(&findings),
            server: ServerReport::of(&findings, &traffic),
            floor: None,
            clients,
            setup: findings.setup,
            problems: shortened(problems),
        }
    }

    /// Whether everybody got everything.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Problems that are told one by one; of a thousand clients the rest is a number.
const PROBLEMS_MAX: usize = 30;

fn shortened(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    if more > 0 {
        problems.truncate(PROBLEMS_MAX);
        problems.push(format!("and {more} more problems"));
    }
    problems
}

fn receiving(gone: &Gone) -> Option<&Receiving> {
    gone.ended.receiving.as_ref()
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Audio => "audio",
        Kind::Video => "video",
    }
}

fn judge_client(gone: &Gone, findings: &Findings, problems: &mut Vec<String>) {
    let number = gone.number;
    if let Some(lost) = &gone.lost {
        problems.push(format!("client {number}: {lost}"));
    }
    if let Some(lost) = &gone.ended.lost {
        problems.push(format!("client {number}: {lost}"));
    }
    let Some(receiving) = receiving(gone) else { return };
    for (count, what) in [(receiving.unopened, "that could not be opened"), (receiving.strays, "of no slot of its own")]
    {
        if count > 0 {
            problems.push(format!("client {number} got {count} packets {what}"));
        }
    }
    let Expected { audio, video, steady } = findings.expected;
    for (kind, expected) in [(Kind::Audio, audio), (Kind::Video, video)] {
        let name = name_of(kind);
        if expected && receiving.slots.contains(&kind) && !receiving.tallies.iter().any(|(of, _)| *of == kind) {
            problems.push(format!("client {number} got no {name}"));
        }
        let streams = || receiving.streams.iter().filter(move |stream| stream.kind == kind);
        for stream in streams() {
            judge_stream(number, name, stream, steady, problems);
        }
    }
    if video && receiving.depth == Depth::Opened && receiving.first_key_frame.is_none() {
        problems.push(format!("client {number} got no key frame, so that a decoder would show nothing"));
    }
}

fn judge_stream(number: u32, name: &str, stream: &StreamFigures, steady: bool, problems: &mut Vec<String>) {
    if steady && stream.fell_silent {
        problems.push(format!("client {number}: {name} stopped before its publishers did"));
    }
    for (count, what) in [
        (stream.unlabelled, "without a CSRC, so that nobody's name could stand on the tile"),
        (stream.mislabelled, "under the CSRC of another publisher, so that a wrong name stood on the tile"),
        (stream.unreadable, "whose payload is not what a publisher sent"),
    ] {
        if count > 0 {
            problems.push(format!("client {number} got {count} {name} packets {what}"));
        }
    }
}

impl Traffic {
    fn of(Findings { begin, end, .. }: &Findings) -> Self {
        let (before, after) = (&begin.totals, &end.totals);
        let (received_before, received) = (&before.received, &after.received);
        let audio_packets_in = received.audio_packets - received_before.audio_packets;
        let video_packets_in = received.video_packets - received_before.video_packets;
        let retransmissions_in = received.retransmissions - received_before.retransmissions;
        Self {
            packets_out: after.audio_out + after.video_out - before.audio_out - before.video_out,
            bytes_out: after.bytes_out - before.bytes_out,
            packets_in: audio_packets_in + video_packets_in + retransmissions_in,
            bytes_in: received.bytes - received_before.bytes,
            audio_packets_in,
            video_packets_in,
            retransmissions_in,
        }
    }
}

impl Joins {
    fn of(findings: &Findings) -> Self {
        let Joining { ok, reasons, length, .. } = &findings.joining;
        let key_frames = findings.gone.iter().filter(|gone| !findings.alone.contains(&gone.number));
        let key_frames = key_frames.filter_map(|gone| receiving(gone)?.first_key_frame);
        Self {
            ok: *ok,
            failed: reasons.values().sum(),
            reasons: reasons.clone(),
            ms: Spread::of(findings.gone.iter().map(|gone| gone.join_micros).collect()),
            first_key_frame_ms: Spread::of(key_frames.collect()),
            seconds: length.as_secs_f64(),
            per_second: ratio(*ok as f64, length.as_secs_f64()),
            lost_later: findings.gone.iter().filter(|gone| gone.lost.is_some() || gone.ended.lost.is_some()).count()
                as u64,
        }
    }
}

impl KindReport {
    fn of(kind: Kind, findings: &Findings, problems: &mut Vec<String>) -> Self {
        let all = || findings.gone.iter().filter_map(receiving);
        let streams = all().flat_map(|receiving| &receiving.streams).filter(|stream| stream.kind == kind);
        let opened = Figures::of(streams);
        let counted = all().filter(|receiving| receiving.depth == Depth::Counted);
        let tallies = counted.flat_map(|receiving| &receiving.tallies).filter(|(of, _)| *of == kind);
        let counted = Counted::of(tallies.map(|(_, tally)| tally));
        let lost = opened.lost + counted.lost;
        let loss_percent = share(lost, lost + opened.packets + counted.packets) * 100.0;
        if loss_percent > findings.max_loss_percent {
            problems.push(format!(
                "{loss_percent:.3} % of {} was lost ({lost} packets); {} % are allowed",
                name_of(kind),
                findings.max_loss_percent
            ));
        }
        Self { loss_percent, opened, counted }
    }
}

impl Counted {
    fn of<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Self {
        let mut all = Self::default();
        for tally in tallies {
            all.streams += 1;
            all.packets += tally.packets;
            all.bytes += tally.bytes;
            all.lost += tally.lost;
            all.duplicates += tally.duplicates;
            all.retransmissions += tally.retransmissions;
            all.freezes += tally.freezes;
        }
        all.loss_percent = share(all.lost, all.lost + all.packets) * 100.0;
        all
    }
}

impl KeyFrames {
    fn of(findings: &Findings) -> Self {
        findings.gone.iter().filter_map(|gone| gone.sent).fold(Self::default(), |all, sent| Self {
            sent: all.sent + sent.key_frames,
            requested: all.requested + sent.key_frame_requests,
            retransmitted: all.retransmitted + sent.retransmitted,
        })
    }
}

impl Signalling {
    fn of(findings: &Findings) -> Self {
        let (mut messages, mut bytes) = (BTreeMap::new(), 0);
        for gone in &findings.gone {
            bytes += gone.heard.bytes;
            for (kind, count) in &gone.heard.messages {
                *messages.entry(kind.clone()).or_default() += count;
            }
        }
        let Joining { others, messages: told, bytes: told_bytes, .. } = &findings.joining;
        let each = |count: u64| (*others > 0).then(|| ratio(count as f64, *others as f64));
        Self {
            messages,
            bytes,
            per_join_and_other: told.iter().filter_map(|(kind, count)| Some((*kind, each(*count)?))).collect(),
            per_join_and_other_total: each(told.values().sum()),
            bytes_per_join_and_other: each(*told_bytes),
        }
    }
}

impl ServerReport {
    fn of(findings: &Findings, traffic: &Traffic) -> Self {
        let Findings { begin, end, before, joining, .. } = findings;
        let cpu = begin.server.zip(end.server).map(|(begin, end)| end.cpu.saturating_sub(begin.cpu).as_secs_f64());
        let packets = traffic.packets_in as f64;
        let per_packet = cpu.filter(|_| packets > 0.0).map(|cpu| cpu * 1e6 / packets);
        let samples = begin.metrics.as_ref().zip(end.metrics.as_ref());
        let grown = before.zip(end.server).map(|(before, end)| end.rss_bytes.saturating_sub(before.rss_bytes));
        let drops = end.server_drops.zip(begin.server_drops);
        let histograms = |name| samples.map(|(begin, end)| end.histograms(begin, name, "kind")).unwrap_or_default();
        let (trains, delays) = (histograms(TRAINS), histograms(DELAY));
        let p99 = |delays: &Histogram| delays.quantile(0.99).map(|seconds| seconds * 1e3);
        Self {
            cpu_seconds: cpu,
            cpu_percent: cpu.map(|cpu| ratio(cpu, findings.window.as_secs_f64()) * 100.0),
            cpu_micros_per_packet: per_packet,
            cpu_micros_per_audio_packet: per_packet.filter(|_| traffic.audio_packets_in == traffic.packets_in),
            cpu_micros_per_video_packet: per_packet.filter(|_| traffic.audio_packets_in == 0),
            packets_per_cpu_second: cpu.filter(|cpu| *cpu > 0.0).map(|cpu| packets / cpu),
            join_cpu_seconds: joining.cpu.map(|cpu| cpu.as_secs_f64()),
            cpu_millis_per_join: joining.cpu.map(|cpu| ratio(cpu.as_secs_f64() * 1e3, joining.ok as f64)),
            rss_before_bytes: before.map(|usage| usage.rss_bytes),
            rss_bytes: end.server.map(|usage| usage.rss_bytes),
            rss_per_participant_bytes: grown.map(|grown| ratio(grown as f64, findings.present as f64)),
            socket_drops: drops.map(|(end, begin)| end.saturating_sub(begin)),
            mean_train_length: Histogram::merged(trains.values().cloned()).mean_of_whole_numbers(),
            trains: trains.iter().map(|(kind, trains)| (kind.clone(), Trains::of(trains))).collect(),
            forward_delay_p99_ms: p99(&Histogram::merged(delays.values().cloned())),
            forward_delay_p99_ms_by_kind: delays
                .iter()
                .filter_map(|(kind, delays)| Some((kind.clone(), p99(delays)?)))
                .collect(),
            metrics: samples.map(|(begin, end)| plain(end.since(begin, "engine_"))).unwrap_or_default(),
        }
    }
}

/// Without the buckets of histograms, which are told in a better form.
fn plain(mut metrics: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    metrics.retain(|name, _| !name.contains("_bucket{"));
    metrics
}

impl Clients {
    fn of(findings: &Findings, traffic: &Traffic) -> Self {
        let (before, after) = (&findings.begin.totals, &findings.end.totals);
        let window = findings.window.as_secs_f64();
        let percent = |begin: Duration, end: Duration| ratio(end.saturating_sub(begin).as_secs_f64(), window) * 100.0;
        let receiving = after.receiving_cpu.saturating_sub(before.receiving_cpu);
        let packets = traffic.packets_in as f64;
        let mut clients = Self {
            cpu_seconds: findings.end.own_cpu.saturating_sub(findings.begin.own_cpu).as_secs_f64(),
            receiving_thread_percent: percent(before.receiving_cpu, after.receiving_cpu),
            sending_thread_percent: percent(before.sending_cpu, after.sending_cpu),
            receiving_micros_per_packet: (packets > 0.0).then(|| receiving.as_secs_f64() * 1e6 / packets),
            kernel_drops: findings.own_drops,
            refused: after.refused - before.refused,
            latest_send_ms: milliseconds(after.latest),
            late_sends: after.late - before.late,
            was_the_limit: false,
            limits: Vec::new(),
        };
        clients.limits = clients.judge(after.sends - before.sends);
        clients.was_the_limit = !clients.limits.is_empty();
        clients
    }

    fn judge(&self, sends: u64) -> Vec<String> {
        let mut limits = Vec::new();
        for (thread, percent) in
            [("receiving", self.receiving_thread_percent), ("sending", self.sending_thread_percent)]
        {
            if percent > BUSY_PERCENT {
                limits.push(format!("its {thread} thread was busy for {percent:.0} % of the time; use fewer clients"));
            }
        }
        if let Some(drops) = self.kernel_drops.filter(|drops| *drops > 0) {
            limits.push(format!("the kernel dropped {drops} datagrams that it did not read in time"));
        }
        if self.refused > 0 {
            limits.push(format!("the kernel did not take {} datagrams that it sent", self.refused));
        }
        if self.late_sends as f64 > sends as f64 * LATE_SHARE {
            limits.push(format!(
                "{} of {sends} sendings were late by more than {} ms, the latest by {:.0} ms: the machine is too busy",
                self.late_sends,
                LATE / 1_000,
                self.latest_send_ms
            ));
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::client::lean::inbound::Volume;
    use crate::client::lean::live::Heard;
    use crate::client::lean::receiving::Ended;

    fn tally(packets: u64, lost: u64) -> Tally {
        Tally { packets, lost, bytes: packets * 1_000, first: Some(0), ..Tally::default() }
    }

    fn gone(number: u32, join_micros: u64, tallies: Vec<(Kind, Tally)>) -> Gone {
        let receiving = Receiving {
            depth: Depth::Counted,
            slots: vec![Kind::Video],
            tallies,
            streams: Vec::new(),
            first_key_frame: Some(join_micros * 2),
            unopened: 0,
            strays: 0,
        };
        let messages = BTreeMap::from([("roster".to_owned(), 2), ("welcome".to_owned(), 1)]);
        Gone {
            number,
            join_micros,
            ended: Ended { receiving: Some(receiving), lost: None },
            sent: None,
            heard: Heard { messages, bytes: 500 },
            lost: None,
        }
    }

    fn edge(packets: u64, cpu_ms: u64, rss: u64, busy_ms: u64) -> Edge {
        let received = Volume { video_packets: packets, bytes: packets * 1_000, ..Volume::default() };
        Edge {
            totals: Snapshot { received, receiving_cpu: Duration::from_millis(busy_ms), ..Snapshot::default() },
            server: Some(Usage { cpu: Duration::from_millis(cpu_ms), rss_bytes: rss }),
            ..Edge::default()
        }
    }

    fn findings() -> Findings {
        Findings {
            scenario: "stream",
            setup: Setup { meetings: 1, participants: 3, video_slots: 1, ..Setup::default() },
            expected: Expected { audio: false, video: true, steady: true },
            max_loss_percent: 0.5,
            joining: Joining {
                ok: 3,
                length: Duration::from_secs(2),
                cpu: Some(Duration::from_millis(9)),
                others: 3,
                messages: BTreeMap::from([("roster", 3), ("publications", 6)]),
                bytes: 900,
                ..Joining::default()
            },
            window: Duration::from_secs(10),
            begin: edge(1_000, 500, 50 << 20, 100),
            end: edge(101_000, 700, 53 << 20, 1_100),
            before: Some(Usage { cpu: Duration::ZERO, rss_bytes: 50 << 20 }),
            present: 3,
            alone: vec![0],
            gone: (0..3)
                .map(|number| gone(number, 10_000 * u64::from(number + 1), vec![(Kind::Video, tally(1_000, 0))]))
                .collect(),
            own_drops: Some(0),
            problems: Vec::new(),
        }
    }

    #[test]
    fn costs_are_the_windows_and_each_packets() {
        let report = Report::of(findings());
        assert!(report.passed(), "{:?}", report.problems);
        let server = &report.server;
        assert_eq!((server.cpu_seconds, server.cpu_percent), (Some(0.2), Some(2.0)));
        assert_eq!(server.cpu_micros_per_packet.map(f64::round), Some(2.0));
        assert_eq!(server.cpu_micros_per_video_packet, server.cpu_micros_per_packet);
        assert_eq!(server.cpu_micros_per_audio_packet, None);
        assert_eq!((server.cpu_millis_per_join, server.rss_per_participant_bytes), (Some(3.0), Some(1_048_576.0)));
        assert_eq!(report.traffic.packets_in, 100_000);
        assert_eq!(report.clients.receiving_micros_per_packet, Some(10.0));
        assert_eq!(report.clients.receiving_thread_percent, 10.0);
    }

    #[test]
    fn joins_and_what_they_cost_the_others_are_told() {
        let report = Report::of(findings());
        assert_eq!(report.joins.ms.map(|ms| (ms.p50, ms.max)), Some((20.0, 30.0)));
        // Whoever came first had nobody to see.
        assert_eq!(report.joins.first_key_frame_ms.map(|ms| (ms.p50, ms.max)), Some((40.0, 60.0)));
        assert_eq!(report.joins.per_second, 1.5);
        let signalling = report.signalling;
        assert_eq!(signalling.per_join_and_other, BTreeMap::from([("roster", 1.0), ("publications", 2.0)]));
        assert_eq!(
            (signalling.per_join_and_other_total, signalling.bytes_per_join_and_other),
            (Some(3.0), Some(300.0))
        );
        assert_eq!((signalling.messages["roster"], signalling.bytes), (6, 1_500));
    }

    #[test]
    fn failures_losses_and_silence_are_problems() {
        let mut found = findings();
        found.joining.reasons = BTreeMap::from([("the meeting is full".to_owned(), 2)]);
        found.gone[0].ended.receiving.as_mut().unwrap().tallies = vec![(Kind::Video, tally(1_000, 40))];
        found.gone[1].ended.receiving.as_mut().unwrap().tallies.clear();
        let report = Report::of(found);
        assert_eq!((report.joins.failed, report.passed()), (2, false));
        let problems = report.problems.join("\n");
        for part in
            ["2 clients did not get in: the meeting is full", "client 1 got no video", "1.961 % of video was lost"]
        {
            assert!(problems.contains(part), "{problems}");
        }
    }

    #[test]
    fn a_program_that_is_the_limit_says_so() {
        for change in [
            (|found: &mut Findings| found.end.totals.receiving_cpu = Duration::from_secs(9)) as fn(&mut Findings),
            |found| found.own_drops = Some(4),
            |found| found.end.totals.refused = 1,
            |found| (found.end.totals.late, found.end.totals.sends) = (20, 10_000),
        ] {
            let mut found = findings();
            change(&mut found);
            let report = Report::of(found);
            assert!(report.clients.was_the_limit && report.clients.limits.len() == 1, "{:?}", report.clients);
            assert!(report.problems[0].starts_with("this program may be the limit"), "{:?}", report.problems);
            assert!(report.table().contains("may be the limit"));
        }
        let mut found = findings();
        (found.end.totals.late, found.end.totals.sends) = (5, 10_000);
        assert!(!Report::of(found).clients.was_the_limit, "the machine is not ours alone");
    }

    #[test]
    fn a_thousand_problems_are_not_told_one_by_one() {
        let mut found = findings();
        found.gone = (0..100).map(|number| gone(number, 1, Vec::new())).collect();
        let report = Report::of(found);
        assert_eq!(report.problems.len(), PROBLEMS_MAX + 1);
        assert_eq!(report.problems.last().map(String::as_str), Some("and 70 more problems"));
    }

    #[test]
    fn the_json_is_one_object_with_all_parts() {
        let json = serde_json::to_value(Report::of(findings())).unwrap();
        assert_eq!((&json["scenario"], &json["client"]), (&"stream".into(), &"lean".into()));
        assert_eq!(json["video"]["counted"]["packets"], 3_000);
        assert_eq!(json["joins"]["ok"], 3);
        assert!(json.get("audio").is_none() && json["server"]["cpuMicrosPerPacket"].is_number());
    }
}
