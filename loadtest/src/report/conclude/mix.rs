//! What came of mixes.
//!
//! A listener is due a packet each 20 ms while anybody else of its meeting talks. Who talked is known from what the
//! publishers sent; what came is known from the gaps in the stream. Where both overlap, a mix was missing.
//!
//! ```text
//! stretches of the others -> union, less the mixer's start -> due   \
//!                                             gaps of the listener   > missing -> problems, MixReport
//! ```

use std::collections::BTreeMap;

use super::super::figures::{ratio, share};
use super::super::findings::Findings;
use super::super::run::MixReport;
use super::receiving;
use crate::client::Micros;
use crate::client::lean::mixed::Mixed;
use crate::client::lean::talk::Stretch;

/// How long a mixer may take from somebody's first word until it is heard: jitter is waited for, and one loud packet is
/// not speech yet.
const START: Micros = 300_000;
const PACKETS_PER_SECOND: f64 = 50.0;
/// How far from that a listener's packets may be: the first or the last may be late.
const TOLERANCE: f64 = 2.0;
/// What flowed for less says nothing of packets a second.
const FLOWED_MIN: Micros = 5_000_000;

impl MixReport {
    /// `None`: nobody wished for a mix.
    pub(super) fn of(findings: &Findings, problems: &mut Vec<String>) -> Option<Self> {
        let mut all = Self::default();
        let (mut due_all, mut missing_all, mut packets_all, mut flowed_all) = (0, 0, 0, 0);
        let talkers = talkers(findings);
        for gone in &findings.gone {
            let Some(mixed) = receiving(gone).and_then(|receiving| receiving.mix.as_ref()) else { continue };
            let meeting = findings.meetings.get(&gone.number).and_then(|meeting| talkers.get(meeting));
            let others = meeting.into_iter().flatten().filter(|(number, _)| *number != gone.number);
            let due = due(others.flat_map(|(_, talked)| talked.iter().copied()).collect(), mixed.window);
            let due_micros = due.iter().map(|stretch| length(*stretch)).sum();
            let missing = overlap(&due, &mixed.gaps);
            judge(gone.number, mixed, due_micros, missing, findings.max_loss_percent, problems);
            all.listeners += 1;
            all.packets_elsewhere += mixed.elsewhere;
            due_all += due_micros;
            missing_all += missing;
            packets_all += mixed.packets;
            flowed_all += mixed.flowed;
        }
        all.due_seconds = seconds(due_all);
        all.missing_percent = share(missing_all, due_all) * 100.0;
        all.packets_per_second = ratio(packets_all as f64, seconds(flowed_all));
        (all.listeners > 0).then_some(all)
    }
}

fn judge(number: u32, mixed: &Mixed, due: Micros, missing: Micros, max_loss_percent: f64, problems: &mut Vec<String>) {
    if mixed.elsewhere > 0 {
        problems.push(format!("client {number} got {} audio packets outside the slot of its mix", mixed.elsewhere));
    }
    if share(missing, due) * 100.0 > max_loss_percent {
        problems.push(format!(
            "client {number} got no mix for {:.2} of {:.2} s in which others talked",
            seconds(missing),
            seconds(due)
        ));
    }
    let rate = ratio(mixed.packets as f64, seconds(mixed.flowed));
    if mixed.flowed >= FLOWED_MIN && (rate - PACKETS_PER_SECOND).abs() > TOLERANCE {
        problems.push(format!(
            "client {number} got {rate:.1} packets of its mix a second while it lasted; {PACKETS_PER_SECOND} are right"
        ));
    }
}

/// Who talked in which meeting, and when.
fn talkers(findings: &Findings) -> BTreeMap<usize, Vec<(u32, &[Stretch])>> {
    let mut talkers: BTreeMap<usize, Vec<(u32, &[Stretch])>> = BTreeMap::new();
    for gone in &findings.gone {
        let published = gone.published.as_ref().filter(|published| !published.talked.is_empty());
        if let Some((published, meeting)) = published.zip(findings.meetings.get(&gone.number)) {
            talkers.entry(*meeting).or_default().push((gone.number, &published.talked));
        }
    }
    talkers
}

/// When a listener is due a mix of these stretches, within the window; in order, and apart.
fn due(mut stretches: Vec<Stretch>, window: Stretch) -> Vec<Stretch> {
    stretches.sort_unstable_by_key(|stretch| stretch.begin);
    let mut due: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match due.last_mut() {
            Some(last) if stretch.begin <= last.end => last.end = last.end.max(stretch.end),
            _ => due.push(stretch),
        }
    }
    let due = due
        .into_iter()
        .map(|stretch| Stretch { begin: (stretch.begin + START).max(window.begin), end: stretch.end.min(window.end) });
    due.filter(|stretch| stretch.begin < stretch.end).collect()
}

/// How long both last at the same time; each in order, and apart.
fn overlap(some: &[Stretch], others: &[Stretch]) -> Micros {
    let (mut some, mut others) = (some.iter().peekable(), others.iter().peekable());
    let mut sum = 0;
    while let (Some(one), Some(other)) = (some.peek(), others.peek()) {
        sum += one.end.min(other.end).saturating_sub(one.begin.max(other.begin));
        if one.end <= other.end {
            some.next();
        } else {
            others.next();
        }
    }
    sum
}

fn length(stretch: Stretch) -> Micros {
    stretch.end.saturating_sub(stretch.begin)
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn stretch(begin: Micros, end: Micros) -> Stretch {
        Stretch { begin, end }
    }

    #[test]
    fn a_mix_is_due_while_anybody_talks_within_the_window_and_once_the_mixer_could_begin() {
        let window = stretch(1_000_000, 9_000_000);
        for (stretches, expected) in [
            (vec![], vec![]),
            (vec![stretch(2_000_000, 3_000_000)], vec![stretch(2_300_000, 3_000_000)]),
            // Too short to be sure of.
            (vec![stretch(2_000_000, 2_300_000)], vec![]),
            // Over both edges.
            (vec![stretch(0, 20_000_000)], vec![window]),
            (vec![stretch(0, 900_000), stretch(9_100_000, 9_900_000)], vec![]),
            // One goes on where another ends, and a third talks within.
            (
                vec![stretch(4_000_000, 5_000_000), stretch(2_000_000, 4_000_000), stretch(2_500_000, 2_600_000)],
                vec![stretch(2_300_000, 5_000_000)],
            ),
        ] {
            assert_eq!(due(stretches.clone(), window), expected, "{stretches:?}");
        }
    }

    #[test]
    fn overlaps_are_added_up() {
        let due = [stretch(10, 20), stretch(30, 40), stretch(50, 60)];
        for (gaps, expected) in [
            (vec![], 0),
            (vec![stretch(0, 100)], 30),
            (vec![stretch(20, 30), stretch(40, 50)], 0),
            (vec![stretch(0, 12), stretch(18, 31), stretch(55, 56)], 2 + 2 + 1 + 1),
        ] {
            assert_eq!(overlap(&due, &gaps), expected, "{gaps:?}");
            assert_eq!(overlap(&gaps, &due), expected, "{gaps:?}");
        }
    }
}
