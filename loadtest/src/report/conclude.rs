//! Findings -> Report: costs divided, quantiles taken, and a verdict on every client.

use std::collections::BTreeMap;
use std::time::Duration;

use super::figures::{Figures, Spread, milliseconds, ratio, share};
use super::findings::{Expected, Findings, Joining};
use super::run::{
    Clients, Counted, Joins, KeyFrames, KindReport, MixReport, MixerReport, Report, ServerReport, Signalling, Traffic,
    Trains,
};
use crate::client::Kind;
use crate::client::lean::browser::Gone;
use crate::client::lean::inbound::{Depth, Receiving};
use crate::client::lean::line::Tally;
use crate::client::lean::publisher::Published;
use crate::client::lean::totals::LATE;
use crate::client::stream::StreamFigures;
use crate::metrics::Histogram;

mod mix;
mod mixer;
#[cfg(test)]
mod tests;

/// A media thread busier than this may be what limits the run.
const BUSY_PERCENT: f64 = 85.0;
/// The share of sendings that may be late: the machine is not ours alone.
const LATE_SHARE: f64 = 0.01;
/// The server's histograms that are told by name.
const TRAINS: &str = "engine_train_segments";
const DELAY: &str = "engine_forward_delay_seconds";
/// Problems that are told one by one; of a thousand clients the rest is a number.
const PROBLEMS_MAX: usize = 30;

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
        let mix = MixReport::of(&findings, &mut problems);
        let sent = findings.setup.publishers > 0;
        let wanted = [(Kind::Audio, findings.setup.audio_slots), (Kind::Video, findings.setup.video_slots)];
        let [audio, video] =
            wanted.map(|(kind, slots)| (slots > 0 && sent).then(|| KindReport::of(kind, &findings, &mut problems)));
        Self {
            scenario: findings.scenario,
            client: "lean",
            measured_seconds: findings.window.as_secs_f64(),
            joins,
            traffic,
            audio,
            video,
            mix,
            key_frames: KeyFrames::of(&findings),
            signalling: Signalling::of(&findings),
            server: ServerReport::of(&findings, &traffic),
            mixer: MixerReport::of(&findings),
            floor: None,
            garbage: None,
            clients,
            setup: findings.setup,
            problems: shortened(problems),
        }
    }
}

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
        (stream.unmixed, "that are one publisher's alone, in the slot of its mix"),
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
        let published = findings.gone.iter().filter_map(|gone| gone.published.as_ref());
        published.fold(Self::default(), |all, Published { sent, .. }| Self {
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
