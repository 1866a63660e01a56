//! What an ear would have heard of an audio slot: a simple jitter buffer, and how often it had nothing to play.
//!
//! Every 20 ms the buffer plays the next packet. If that is missing and later ones are there, it is lost: concealed. If
//! none is there, the buffer ran dry: concealed, and play goes on with what comes next, so that the delay grows by what
//! was waited. The delay begins at 60 ms; above 120 ms it is cut at once, above 60 ms after two seconds in which less
//! would have done, by leaving out a packet (a real one plays faster: nobody hears it, and it does not count as
//! concealed). What comes for a moment that was played already is late and useless.

use std::collections::BTreeSet;

use engine::clock::Micros;
use wire::seq::TimestampUnwrapper;

use super::Span;
use crate::browser::Received;

const PACKET: Micros = Micros::from_millis(20);
/// On the clock of Opus.
const TICKS: u64 = 960;
const DELAY_MIN: u64 = 60 / 20;
const DELAY_MAX: u64 = 120 / 20;
/// In packets: how long the delay must have been larger than needed before it is cut.
const PATIENCE: u64 = 2_000 / 20;

/// What was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sound {
    /// Packets' times played as they should be.
    pub played: u64,
    /// Packets' times with nothing to play.
    pub concealed: u64,
    /// The longest run of those.
    pub longest: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets left out to cut the delay.
    pub skipped: u64,
}

impl Sound {
    /// Part of the time that was concealed; all of it when there was none.
    #[must_use]
    pub fn concealment(&self) -> f64 {
        let all = self.played + self.concealed;
        if all == 0 { 1.0 } else { self.concealed as f64 / all as f64 }
    }
}

/// The jitter buffer of one audio slot.
#[derive(Debug, Default)]
pub struct Playout {
    /// Packets that wait: when on the slot's clock they are due, counted in packets (and so rounded where a switch left
    /// less than a packet of a hole).
    waiting: BTreeSet<u64>,
    /// Which one is played next.
    next: u64,
    /// For how many packets' times none has waited.
    dry: u64,
    /// How many packets' times have been concealed without a break.
    run: u64,
    /// The lowest delay since patience began, in packets.
    lowest: u64,
    /// How long ago it began.
    patience: u64,
}

impl Playout {
    /// Plays a slot; only what would be heard in `live`, while somebody spoke, counts.
    #[must_use]
    pub fn of(packets: &[Received], live: Span) -> Sound {
        let mut sound = Sound::default();
        let mut timestamps = TimestampUnwrapper::new();
        let mut arrivals: Vec<(Micros, u64)> =
            packets.iter().map(|packet| (packet.at, timestamps.unwrap(packet.timestamp) / TICKS)).collect();
        arrivals.sort_unstable();
        let (first, next) = arrivals.first().copied().unwrap_or((live.to, 0));
        let mut at = first + Micros(PACKET.0 * DELAY_MIN);
        // Nothing is heard before the first packet.
        sound.concealed = at.min(live.to).since(live.from).0 / PACKET.0;
        sound.longest = sound.concealed;
        let mut playout = Self { next, lowest: u64::MAX, ..Self::default() };
        let mut arrivals = arrivals.into_iter().peekable();
        while at < live.to {
            let mut heard = Sound::default();
            while let Some((_, due)) = arrivals.next_if(|(came, _)| *came <= at) {
                playout.arrive(due, &mut heard);
            }
            playout.play(&mut heard);
            if live.contains(at) {
                sound.played += heard.played;
                sound.concealed += heard.concealed;
                sound.late += heard.late;
                sound.skipped += heard.skipped;
                sound.longest = sound.longest.max(playout.run);
            }
            at = at + PACKET;
        }
        sound
    }

    fn arrive(&mut self, due: u64, heard: &mut Sound) {
        if due < self.next {
            heard.late += 1;
        } else {
            self.waiting.insert(due);
        }
    }

    fn play(&mut self, heard: &mut Sound) {
        let Some(&oldest) = self.waiting.first() else {
            self.conceal(heard);
            self.dry += 1;
            return;
        };
        // What was waited for while the buffer was dry has been concealed once, and is not concealed again.
        self.next = oldest.min(self.next + std::mem::take(&mut self.dry));
        if self.waiting.remove(&self.next) {
            heard.played += 1;
            self.run = 0;
        } else {
            self.conceal(heard);
        }
        self.next += 1;
        self.cut_delay(heard);
    }

    fn conceal(&mut self, heard: &mut Sound) {
        heard.concealed += 1;
        self.run += 1;
    }

    /// Leaves out a packet where fewer waiting ones would have done.
    fn cut_delay(&mut self, heard: &mut Sound) {
        let level = self.waiting.last().map_or(0, |last| (last + 1).saturating_sub(self.next));
        self.lowest = self.lowest.min(level);
        self.patience += 1;
        let is_needless = self.patience >= PATIENCE && self.lowest > DELAY_MIN;
        if self.patience >= PATIENCE {
            (self.patience, self.lowest) = (0, level);
        }
        if (level > DELAY_MAX || is_needless) && self.waiting.remove(&self.next) {
            self.next += 1;
            heard.skipped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::packet;
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    /// A voice of so many packets that come as they were sent, each 30 ms after it was spoken.
    fn voice(packets: u64) -> Vec<Received> {
        let spoken = |n: u64| Received { timestamp: (n * TICKS) as u32, ..packet(ms(n * 20 + 30), n) };
        (0..packets).map(spoken).collect()
    }

    /// Play of a voice begins at 90 ms.
    fn heard(packets: &[Received], from: u64, to: u64) -> Sound {
        Playout::of(packets, Span::new(ms(from), ms(to)))
    }

    #[test]
    fn an_undisturbed_voice_is_played_whole() {
        let sound = heard(&voice(500), 90, 10_090);
        assert_eq!(sound, Sound { played: 500, ..Sound::default() });
        assert!(sound.concealment() < f64::EPSILON);
    }

    #[test]
    fn each_lost_packet_is_concealed_and_nothing_else() {
        let mut voice = voice(500);
        for lost in [400, 302, 301, 300, 7] {
            voice.remove(lost);
        }
        let sound = heard(&voice, 90, 10_090);
        assert_eq!((sound.played, sound.concealed, sound.longest, sound.late), (495, 5, 3, 0));
        assert!((sound.concealment() - 0.01).abs() < 1e-9);
    }

    #[test]
    fn jitter_within_the_buffer_is_not_heard_and_order_does_not_matter() {
        let mut voice = voice(500);
        for (n, packet) in voice.iter_mut().enumerate() {
            packet.at = packet.at + ms([0, 45, 20, 55, 5][n % 5]);
        }
        assert_eq!(heard(&voice, 90, 10_090), Sound { played: 500, ..Sound::default() });
    }

    #[test]
    fn a_stall_is_heard_once_and_then_bridged_by_a_longer_delay() {
        let mut voice = voice(500);
        // The network stands still for 100 ms, twice.
        for stall in [100, 140] {
            let end = voice[stall + 5].at;
            voice[stall..stall + 5].iter_mut().for_each(|packet| packet.at = end);
        }
        let sound = heard(&voice, 90, 10_000);
        assert!((1..=2).contains(&sound.concealed), "{sound:?}");
        assert_eq!(sound.late, 0);
        assert!(sound.skipped >= sound.concealed, "the delay comes down again: {sound:?}");
    }

    #[test]
    fn a_delay_beyond_the_largest_buffer_is_not_kept() {
        let mut voice = voice(500);
        let end = voice[150].at;
        voice[100..150].iter_mut().for_each(|packet| packet.at = end);
        let sound = heard(&voice, 90, 10_090);
        // A second of silence; what then comes at once is left out but for the last.
        assert!((46..=50).contains(&sound.concealed), "{sound:?}");
        assert!(sound.longest >= 46, "{sound:?}");
        assert!((40..=50).contains(&sound.skipped), "{sound:?}");
    }

    #[test]
    fn a_packet_that_comes_after_its_time_is_useless() {
        let mut voice = voice(100);
        voice[50].at = voice[50].at + ms(100);
        let sound = heard(&voice, 90, 2_090);
        assert_eq!((sound.played, sound.concealed, sound.late), (99, 1, 1));
    }

    #[test]
    fn silence_of_the_speaker_does_not_count_and_silence_of_the_network_does() {
        let mut voice = voice(300);
        voice.drain(100..200);
        let before = heard(&voice, 90, 2_090);
        assert_eq!((before.played, before.concealed), (100, 0));
        let all = heard(&voice, 90, 6_090);
        assert_eq!((all.played, all.concealed, all.longest), (200, 100, 100));
        let after = heard(&voice, 4_090, 6_090);
        assert_eq!((after.played, after.concealed), (100, 0), "it goes on where it should");
    }

    #[test]
    fn a_voice_that_never_comes_is_concealed_all_the_time() {
        let sound = heard(&[], 0, 1_000);
        assert_eq!((sound.played, sound.concealed, sound.longest), (0, 50, 50));
        let late = heard(&voice(100), 0, 1_090);
        assert_eq!((late.concealed, late.played), (4, 50), "nor is it heard before it begins");
    }
}
