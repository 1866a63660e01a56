//! The report of whole peer connections, as people read it.

use std::fmt::Write;

use super::figures::{Spread, mebibytes};
use super::peers::{Report, Setup};

impl Report {
    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let Setup { publishers, receivers, audio_slots, video_slots, video_bits_per_second } = self.setup;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "publishers: {publishers} ({} kbit/s video), receivers: {receivers} ({audio_slots} audio, {video_slots} video slots), \
             {:.1} s measured\n",
            video_bits_per_second / 1000,
            self.measured_seconds
        );
        let _ = writeln!(
            text,
            "{:<6} {:>8} {:>10} {:>7} {:>8} {:>6} {:>31} {:>17} {:>17} {:>8}",
            "",
            "streams",
            "packets",
            "lost",
            "loss %",
            "twice",
            "delay ms p50/p95/p99/max",
            "1st packet ms",
            "key frame ms",
            "freezes"
        );
        for (name, figures) in [("audio", &self.audio), ("video", &self.video)] {
            let Some(figures) = figures else { continue };
            let _ = writeln!(
                text,
                "{name:<6} {:>8} {:>10} {:>7} {:>8.3} {:>6} {:>31} {:>17} {:>17} {:>8}",
                figures.streams,
                figures.packets,
                figures.lost,
                figures.loss_percent,
                figures.duplicates,
                figures.delay_ms.map_or_else(|| "-".to_owned(), |delay| delay.to_string()),
                middle_and_max(figures.first_packet_ms),
                middle_and_max(figures.first_key_frame_ms),
                figures.freezes,
            );
        }
        if let Some(alone) = &self.clients_alone {
            for (name, delay) in [("audio", alone.audio), ("video", alone.video)] {
                let delay = delay.map_or_else(|| "-".to_owned(), |delay| delay.to_string());
                let _ = writeln!(text, "{name} of one client straight to another, without the server: {delay}");
            }
        }
        if let Some(server) = &self.server {
            let _ = writeln!(
                text,
                "\nserver: {:.2} s CPU ({:.1} %), {} packets forwarded, {:.2} us each; {:.1} MiB, {:.3} MiB per participant",
                server.cpu_seconds,
                server.cpu_percent,
                server.packets_forwarded,
                server.cpu_micros_per_packet,
                mebibytes(server.rss_bytes),
                server.mib_per_participant,
            );
        }
        for problem in &self.problems {
            let _ = writeln!(text, "\nPROBLEM: {problem}");
        }
        let _ = writeln!(text, "\n{}", if self.passed() { "passed" } else { "FAILED" });
        text
    }
}

fn middle_and_max(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| format!("{:.0} (max {:.0})", spread.p50, spread.max))
}
