//! The report of lean clients, as people read it.

use std::fmt::Write;

use super::figures::{Spread, mebibytes};
use super::run::{Clients, Floor, Joins, KindReport, MixReport, MixerReport, Report, ServerReport, Setup, Trains};

impl Report {
    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let Setup { meetings, participants, publishers, opened, audio_slots, video_slots, .. } = &self.setup;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "{}: {participants} clients in {meetings} meetings, {publishers} publish; {audio_slots} audio, {video_slots} video \
             slots; {opened} open what they receive; {:.1} s measured\n",
            self.scenario, self.measured_seconds
        );
        write_joins(&mut text, &self.joins);
        let traffic = &self.traffic;
        let _ = writeln!(
            text,
            "traffic    {} packets out ({:.1} MiB), {} in ({:.1} MiB; {} audio, {} video, {} retransmissions)",
            traffic.packets_out,
            mebibytes(traffic.bytes_out),
            traffic.packets_in,
            mebibytes(traffic.bytes_in),
            traffic.audio_packets_in,
            traffic.video_packets_in,
            traffic.retransmissions_in
        );
        for (name, kind) in [("audio", &self.audio), ("video", &self.video)] {
            if let Some(kind) = kind {
                let delay = match kind.opened.delay_ms {
                    None if self.setup.mix => "delay unknown, since a mix carries nobody's stamp".to_owned(),
                    delay => format!("delay ms p50/p95/p99/max {}", or_dash(delay)),
                };
                write_kind(&mut text, name, kind, &delay);
            }
        }
        if let Some(mix) = &self.mix {
            write_mix(&mut text, mix);
        }
        if let Some(each) = self.signalling.per_join_and_other_total {
            let bytes = self.signalling.bytes_per_join_and_other.unwrap_or_default();
            let _ = writeln!(text, "signalling {each:.2} messages ({bytes:.0} bytes) to each other for each join");
        }
        write_server(&mut text, &self.server);
        if let Some(mixer) = &self.mixer {
            write_mixer(&mut text, mixer);
        }
        if let Some(floor) = &self.floor
            && let Some(micros) = floor.cpu_micros_per_packet
        {
            let Floor { mean_train_length, packets_per_second, behind_ms, .. } = floor;
            let _ = writeln!(
                text,
                "floor      {micros:.2} us a packet (mean train {mean_train_length:.2}, {packets_per_second:.0} packets a second, \
                 latest {behind_ms:.1} ms); the server is {:.2} times that",
                floor.server_to_floor.unwrap_or_default()
            );
        }
        if let Some(garbage) = &self.garbage {
            let refused: f64 =
                self.server.metrics.iter().filter(|(name, _)| name.contains("refused")).map(|(_, n)| n).sum();
            let _ = writeln!(
                text,
                "garbage    {:.0} datagrams a second, {} in all; the server counts {refused:.0} as refused",
                garbage.per_second, garbage.sent
            );
        }
        write_clients(&mut text, &self.clients);
        for problem in &self.problems {
            let _ = writeln!(text, "\nPROBLEM: {problem}");
        }
        let _ = writeln!(text, "\n{}", if self.passed() { "passed" } else { "FAILED" });
        text
    }
}

fn or_dash(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string())
}

fn write_joins(text: &mut String, joins: &Joins) {
    let _ = writeln!(
        text,
        "joins      {} ok, {} failed, {} lost later; {:.1} a second; ms p50/p95/p99/max {}; first key frame {}",
        joins.ok,
        joins.failed,
        joins.lost_later,
        joins.per_second,
        or_dash(joins.ms),
        or_dash(joins.first_key_frame_ms)
    );
}

fn write_kind(text: &mut String, name: &str, kind: &KindReport, delay: &str) {
    let KindReport { loss_percent, opened, counted } = kind;
    let _ = writeln!(
        text,
        "{name:<10} loss {loss_percent:.4} %; opened: {} streams, {} packets, {} lost, {} freezes, {delay}; \
         counted: {} streams, {} packets, {} lost, {} twice, {} freezes",
        opened.streams,
        opened.packets,
        opened.lost,
        opened.freezes,
        counted.streams,
        counted.packets,
        counted.lost,
        counted.duplicates,
        counted.freezes
    );
}

fn write_mix(text: &mut String, mix: &MixReport) {
    let MixReport { listeners, due_seconds, missing_percent, packets_per_second, packets_elsewhere } = mix;
    let _ = writeln!(
        text,
        "mix        {listeners} listeners, {packets_per_second:.2} packets a second each while it lasted; nothing for \
         {missing_percent:.4} % of {due_seconds:.1} s in which others talked; {packets_elsewhere} packets in other slots"
    );
}

fn write_mixer(text: &mut String, mixer: &MixerReport) {
    let late = mixer.tick_late_p99_ms.map_or_else(|| "?".to_owned(), |late| format!("{late:.3}"));
    let _ = writeln!(
        text,
        "mixer      {:.2} s CPU ({:.1} %); {} ticks, {} skipped, p99 of their lateness {late} ms; encodes a second: {:.1} \
         shared, {:.1} own, {:.1} saved; {:.4} % concealed, {:.4} % stretched",
        mixer.cpu_seconds,
        mixer.cpu_percent,
        mixer.ticks,
        mixer.ticks_skipped,
        mixer.shared_encodes_per_second,
        mixer.own_encodes_per_second,
        mixer.encodes_saved_per_second,
        mixer.concealed_percent,
        mixer.stretched_percent
    );
}

fn write_server(text: &mut String, server: &ServerReport) {
    if let Some((cpu, percent)) = server.cpu_seconds.zip(server.cpu_percent) {
        let _ = write!(text, "server     {cpu:.2} s CPU ({percent:.1} %)");
        if let Some((micros, packets)) = server.cpu_micros_per_packet.zip(server.packets_per_cpu_second) {
            let _ = write!(text, ", {micros:.2} us a packet ({packets:.0} packets a CPU second)");
        }
        if let Some(millis) = server.cpu_millis_per_join {
            let _ = write!(text, ", {millis:.2} ms a join");
        }
        let rss = server.rss_bytes.map_or(0.0, mebibytes);
        let each = server.rss_per_participant_bytes.unwrap_or_default() / 1_024.0;
        let _ = writeln!(text, "; {rss:.1} MiB, {each:.0} KiB a participant");
    }
    let details = [
        server.mean_train_length.map(|length| format!("mean train {length:.2} packets")),
        server.forward_delay_p99_ms.map(|delay| format!("p99 of its delay {delay:.3} ms")),
        server.socket_drops.map(|drops| format!("{drops} datagrams dropped before it read them")),
    ];
    let of_kind = |(kind, trains): (&String, &Trains)| Some(format!("{kind} trains {:.2}", trains.mean?));
    let trains = server.trains.iter().filter_map(of_kind);
    let details: Vec<String> = details.into_iter().flatten().chain(trains).collect();
    if !details.is_empty() {
        let _ = writeln!(text, "           {}", details.join(", "));
    }
}

fn write_clients(text: &mut String, clients: &Clients) {
    let _ = writeln!(
        text,
        "clients    {:.2} s CPU; receiving thread {:.0} % ({} us a packet), sending thread {:.0} %; latest sending {:.1} ms; \
         {} kernel drops",
        clients.cpu_seconds,
        clients.receiving_thread_percent,
        clients.receiving_micros_per_packet.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.2}")),
        clients.sending_thread_percent,
        clients.latest_send_ms,
        clients.kernel_drops.map_or_else(|| "?".to_owned(), |drops| drops.to_string())
    );
}
