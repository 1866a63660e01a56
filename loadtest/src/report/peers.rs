//! What a run of whole peer connections found.
//!
//! Delay is from a publisher's hand-over of a packet to its stack until a receiver's stack hands it out, in one
//! process: it holds the queues of both client stacks. Loss is what was still missing at the end, after all
//! retransmissions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::figures::{Figures, Spread, mebibytes, milliseconds, ratio};
use crate::client::Kind;
use crate::client::stream::StreamFigures;
use crate::process::Usage;

/// Everything about a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was asked for.
    pub setup: Setup,
    /// Seconds of the measured window, in which all clients were there.
    pub measured_seconds: f64,
    /// Over all receivers, by kind; absent when no slot of that kind was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<Figures>,
    /// As `audio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<Figures>,
    /// The delay of one publisher straight to one receiver, without a server, if that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients_alone: Option<ClientsAlone>,
    /// What each publisher sent.
    pub publishers: Vec<PublisherReport>,
    /// What each receiver got.
    pub receivers: Vec<ReceiverReport>,
    /// What the server spent, when its process is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerReport>,
    /// Why the run failed; empty when it passed.
    pub problems: Vec<String>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// Publishers.
    pub publishers: u16,
    /// Receivers.
    pub receivers: u16,
    /// Audio slots of each receiver.
    pub audio_slots: u8,
    /// Video slots of each receiver.
    pub video_slots: u8,
    /// Bit rate of each publisher's video.
    pub video_bits_per_second: u32,
}

/// One publisher.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherReport {
    /// Its number.
    pub number: u16,
    /// From the offer to the finished handshake.
    pub connect_ms: f64,
    /// Sent over the whole run.
    pub audio_packets: u64,
    /// Sent over the whole run.
    pub video_packets: u64,
    /// Payload bytes over the whole run.
    pub video_bytes: u64,
    /// Key frames sent.
    pub key_frames: u64,
    /// Key frames that the server asked for.
    pub key_frame_requests: u64,
}

/// One receiver.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiverReport {
    /// Its number.
    pub number: u16,
    /// From the offer to the finished handshake.
    pub connect_ms: f64,
    /// Its slots that got anything.
    pub streams: Vec<StreamReport>,
    /// Packets that this process was too slow to take; the server had delivered them.
    pub dropped_here: u64,
}

/// One slot.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamReport {
    /// Audio or video.
    pub kind: Kind,
    /// Figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Packets by publisher (its number, or "unknown"), found by CSRC.
    pub packets_by_publisher: BTreeMap<String, u64>,
}

/// What the clients themselves delay, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ClientsAlone {
    /// Absent when nothing came.
    pub audio: Option<Spread>,
    /// Absent when nothing came.
    pub video: Option<Spread>,
}

/// The server's cost within the measured window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerReport {
    /// Processor time.
    pub cpu_seconds: f64,
    /// Of one processor.
    pub cpu_percent: f64,
    /// Packets that reached receivers.
    pub packets_forwarded: u64,
    /// Processor time for each of them, everything included: receiving, feedback, signalling.
    pub cpu_micros_per_packet: f64,
    /// Memory before the first client came.
    pub rss_before_bytes: u64,
    /// Memory at the end of the window.
    pub rss_bytes: u64,
    /// Growth for each participant.
    pub mib_per_participant: f64,
}

/// The server at the edges of the run and of its measured window.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Before the first client.
    pub before: Usage,
    /// When the window began.
    pub begin: Usage,
    /// When it ended.
    pub end: Usage,
}

/// The window in which everybody was there.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// How long.
    pub length: Duration,
    /// Packets that receivers got in it.
    pub packets: u64,
}

/// What one receiver found.
#[derive(Debug)]
pub struct Received {
    /// Its number.
    pub number: u16,
    /// From the offer to the finished handshake, in microseconds.
    pub connect_micros: u64,
    /// Its streams.
    pub streams: Vec<StreamFigures>,
    /// Packets that this process was too slow to take.
    pub dropped_here: u64,
}

impl Report {
    /// Draws the conclusions. `problems` are those that are known already.
    #[must_use]
    pub fn new(
        setup: Setup,
        window: Window,
        publishers: Vec<PublisherReport>,
        received: &[Received],
        costs: Option<Costs>,
        max_loss_percent: f64,
        mut problems: Vec<String>,
    ) -> Self {
        let wanted = [(Kind::Audio, setup.audio_slots), (Kind::Video, setup.video_slots)];
        for receiver in received {
            for (kind, slots) in wanted {
                if slots > 0 {
                    judge(receiver, kind, max_loss_percent, &mut problems);
                }
            }
            if receiver.dropped_here > 0 {
                problems.push(format!(
                    "receiver {}: this process was too slow for {} packets that had arrived; its loss and delay are not \
                     the server's. Use fewer clients, or a faster machine.",
                    receiver.number, receiver.dropped_here
                ));
            }
        }
        let of_kind = |kind, slots: u8| {
            let streams = received.iter().flat_map(|receiver| &receiver.streams).filter(|stream| stream.kind == kind);
            (slots > 0).then(|| Figures::of(streams))
        };
        Self {
            setup,
            measured_seconds: window.length.as_secs_f64(),
            audio: of_kind(Kind::Audio, setup.audio_slots),
            video: of_kind(Kind::Video, setup.video_slots),
            clients_alone: None,
            publishers,
            receivers: received.iter().map(ReceiverReport::of).collect(),
            server: costs.map(|costs| ServerReport::of(costs, window, setup.publishers + setup.receivers)),
            problems,
        }
    }

    /// Whether everybody got everything.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}

fn judge(receiver: &Received, kind: Kind, max_loss_percent: f64, problems: &mut Vec<String>) {
    let number = receiver.number;
    let name = match kind {
        Kind::Audio => "audio",
        Kind::Video => "video",
    };
    let figures = Figures::of(receiver.streams.iter().filter(|stream| stream.kind == kind));
    if figures.packets == 0 {
        problems.push(format!("receiver {number} got no {name}"));
        return;
    }
    if figures.loss_percent > max_loss_percent {
        problems.push(format!(
            "receiver {number} lost {:.3} % of its {name} ({} packets); {max_loss_percent} % are allowed",
            figures.loss_percent, figures.lost
        ));
    }
    if kind == Kind::Video && figures.first_key_frame_ms.is_none() {
        problems.push(format!("receiver {number} got no key frame, so that a decoder would show nothing"));
    }
    if receiver.streams.iter().any(|stream| stream.kind == kind && stream.fell_silent) {
        problems.push(format!("receiver {number}: {name} stopped before its publishers did"));
    }
    for (count, what) in [
        (figures.unlabelled, "without a CSRC, so that nobody's name could stand on the tile"),
        (figures.mislabelled, "under the CSRC of another publisher, so that a wrong name stood on the tile"),
        (figures.unreadable, "whose payload is not what a publisher sent"),
    ] {
        if count > 0 {
            problems.push(format!("receiver {number} got {count} {name} packets {what}"));
        }
    }
}

impl ClientsAlone {
    pub(crate) fn of(streams: &[StreamFigures]) -> Self {
        let delay = |kind| Figures::of(streams.iter().filter(|stream| stream.kind == kind)).delay_ms;
        Self { audio: delay(Kind::Audio), video: delay(Kind::Video) }
    }
}

impl ReceiverReport {
    fn of(received: &Received) -> Self {
        Self {
            number: received.number,
            connect_ms: milliseconds(received.connect_micros),
            streams: received.streams.iter().map(StreamReport::of).collect(),
            dropped_here: received.dropped_here,
        }
    }
}

impl StreamReport {
    fn of(stream: &StreamFigures) -> Self {
        let mut packets_by_publisher = BTreeMap::new();
        for source in stream.sources.values() {
            let name = source.publisher.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
            *packets_by_publisher.entry(name).or_default() += source.packets;
        }
        Self { kind: stream.kind, figures: Figures::of(std::iter::once(stream)), packets_by_publisher }
    }
}

impl ServerReport {
    fn of(costs: Costs, window: Window, participants: u16) -> Self {
        let cpu = costs.end.cpu.saturating_sub(costs.begin.cpu).as_secs_f64();
        let grown = costs.end.rss_bytes.saturating_sub(costs.before.rss_bytes);
        Self {
            cpu_seconds: cpu,
            cpu_percent: ratio(cpu, window.length.as_secs_f64()) * 100.0,
            packets_forwarded: window.packets,
            cpu_micros_per_packet: ratio(cpu * 1e6, window.packets as f64),
            rss_before_bytes: costs.before.rss_bytes,
            rss_bytes: costs.end.rss_bytes,
            mib_per_participant: ratio(mebibytes(grown), f64::from(participants)),
        }
    }
}

impl PublisherReport {
    pub(crate) fn of(publisher: &crate::client::webrtc::publisher::Publisher) -> Self {
        use std::sync::atomic::Ordering::Relaxed;
        let sent = &publisher.sources.sent;
        Self {
            number: publisher.number,
            connect_ms: milliseconds(publisher.connect_micros),
            audio_packets: sent.audio_packets.load(Relaxed),
            video_packets: sent.video_packets.load(Relaxed),
            video_bytes: sent.video_bytes.load(Relaxed),
            key_frames: sent.key_frames.load(Relaxed),
            key_frame_requests: sent.key_frame_requests.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use bytes::Bytes;
    use rtp::{Header, Packet};

    use super::*;
    use crate::client::stamp::Stamp;
    use crate::client::stream::StreamMeter;

    const SETUP: Setup =
        Setup { publishers: 1, receivers: 1, audio_slots: 1, video_slots: 0, video_bits_per_second: 600_000 };
    const WINDOW: Window = Window { length: Duration::from_secs(10), packets: 50_000 };

    fn stream(numbers: impl IntoIterator<Item = u16>, publisher: u16, delay: u64) -> StreamFigures {
        let mut meter = StreamMeter::new(Kind::Audio, 0);
        for sequence_number in numbers {
            let sent = u64::from(sequence_number) * 20_000;
            let payload = Bytes::copy_from_slice(&Stamp { publisher, unit: 0, sent }.to_bytes());
            let header = Header { version: 2, sequence_number, csrc: vec![9], ..Header::default() };
            meter.packet(&Packet { header, payload }, sent + delay);
        }
        meter.finish(0)
    }

    fn report(streams: Vec<StreamFigures>, dropped_here: u64) -> Report {
        let received = Received { number: 4, connect_micros: 1_500, streams, dropped_here };
        Report::new(SETUP, WINDOW, Vec::new(), &[received], None, 0.5, Vec::new())
    }

    #[test]
    fn loss_is_judged_against_what_is_allowed() {
        let at_limit = report(vec![stream((0..200).filter(|number| *number != 7), 1, 1_000)], 0);
        assert!(at_limit.passed(), "{:?}", at_limit.problems);
        let figures = at_limit.audio.unwrap();
        assert_eq!((figures.packets, figures.lost, figures.loss_percent), (199, 1, 0.5));
        let above = report(vec![stream((0..199).filter(|number| *number != 7), 1, 1_000)], 0);
        assert!(above.problems[0].starts_with("receiver 4 lost 0.503 %"), "{:?}", above.problems);
    }

    #[test]
    fn streams_are_added_up_and_delays_merged() {
        let both = report(vec![stream(0..100, 1, 1_000), stream(0..300, 2, 3_000)], 0);
        let figures = both.audio.as_ref().unwrap();
        assert_eq!((figures.streams, figures.packets), (2, 400));
        let delay = figures.delay_ms.unwrap();
        assert!((2.9..3.1).contains(&delay.p50), "{delay}");
        assert_eq!(figures.first_packet_ms.map(|spread| (spread.p50, spread.max)), Some((1.0, 3.0)));
        assert_eq!(both.receivers[0].streams[1].packets_by_publisher, BTreeMap::from([("2".to_owned(), 300)]));
    }

    #[test]
    fn who_got_nothing_and_who_was_too_slow_is_told() {
        let problems = report(Vec::new(), 3).problems;
        assert_eq!(problems[0], "receiver 4 got no audio");
        assert!(problems[1].contains("too slow for 3 packets"), "{problems:?}");
        assert!(report(Vec::new(), 0).table().contains("FAILED"));
        let mut cut_off = stream(0..50, 1, 1_000);
        cut_off.fell_silent = true;
        assert_eq!(report(vec![cut_off], 0).problems, ["receiver 4: audio stopped before its publishers did"]);
    }

    #[test]
    fn costs_are_the_windows_and_memory_is_the_growth() {
        let usage = |seconds, mebibytes: u64| Usage { cpu: Duration::from_secs(seconds), rss_bytes: mebibytes << 20 };
        let costs = Costs { before: usage(1, 20), begin: usage(3, 26), end: usage(4, 30) };
        let server = ServerReport::of(costs, WINDOW, 20);
        assert_eq!((server.cpu_seconds, server.cpu_percent), (1.0, 10.0));
        assert_eq!((server.cpu_micros_per_packet, server.mib_per_participant), (20.0, 0.5));
        let idle = ServerReport::of(costs, Window { packets: 0, ..WINDOW }, 0);
        assert_eq!((idle.cpu_micros_per_packet, idle.mib_per_participant), (0.0, 0.0));
    }

    #[test]
    fn the_json_holds_all_figures() {
        let json = serde_json::to_value(report(vec![stream(0..100, 1, 1_000)], 0)).unwrap();
        assert_eq!(json["audio"]["packets"], 100);
        assert_eq!(json["receivers"][0]["streams"][0]["kind"], "audio");
        assert_eq!(json["receivers"][0]["streams"][0]["lost"], 0);
        assert_eq!(json["problems"], serde_json::json!([]));
        assert!(json.get("video").is_none());
    }
}
