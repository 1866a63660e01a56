//! Who was there: each live source without a break, and the right one in each slot, by the CSRC of its packets.

use engine::clock::Micros;

use super::{Span, gaps};
use crate::browser::Received;

/// When nothing came of a publication for longer than `limit`, though it was live all through `live`: by publication.
#[must_use]
pub fn silences<'a>(
    packets: impl IntoIterator<Item = &'a Received>,
    publications: &[u32],
    live: Span,
    limit: Micros,
) -> Vec<(u32, Span)> {
    let mut arrivals: Vec<(Micros, u32)> = packets.into_iter().map(|packet| (packet.at, packet.csrc)).collect();
    arrivals.sort_unstable();
    let of = |publication: u32| arrivals.iter().filter(move |(_, csrc)| *csrc == publication).map(|(at, _)| *at);
    let silent = |&publication| gaps(of(publication), live, limit).into_iter().map(move |span| (publication, span));
    publications.iter().flat_map(silent).collect()
}

/// A packet that should not have been where it was.
#[derive(Clone, Debug)]
pub enum Misplaced {
    /// The CSRC names another publication than the one whose content it carries.
    Mislabelled(Received),
    /// It came longer than the time allowed after its slot was to show somebody else.
    Unwanted(Received),
}

/// Packets of a slot with the wrong person in them. `wishes` say in order of time which publication the slot is to
/// show, and `within` how long it may take; `publication` says which one a content is of.
#[must_use]
pub fn misplaced(
    packets: &[Received],
    publication: impl Fn(u32) -> u32,
    wishes: &[(Micros, u32)],
    within: Micros,
) -> Vec<Misplaced> {
    let judge = |packet: &Received| {
        // Retransmissions repair what was shown before.
        let wish = wishes.iter().rev().find(|(at, _)| *at <= packet.at).filter(|_| !packet.retransmitted);
        if packet.csrc != publication(packet.content.0) {
            Some(Misplaced::Mislabelled(packet.clone()))
        } else if wish.is_some_and(|(at, wanted)| packet.csrc != *wanted && packet.at.since(*at) > within) {
            Some(Misplaced::Unwanted(packet.clone()))
        } else {
            None
        }
    };
    packets.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::packet;
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    /// Publications are ten times their person, here.
    fn of(person: u32, at: u64) -> Received {
        Received { csrc: person * 10, content: (person, 0), ..packet(ms(at), at) }
    }

    fn judge(packets: &[Received], wishes: &[(Micros, u32)]) -> Vec<Misplaced> {
        misplaced(packets, |person| person * 10, wishes, ms(300))
    }

    #[test]
    fn who_pauses_is_named_and_who_never_came_too() {
        let packets: Vec<_> = (0..10).map(|n| of(1, n * 100)).chain([of(2, 0), of(2, 600)]).collect();
        let live = Span::new(ms(0), ms(1_000));
        let found = silences(&packets, &[10, 20, 30], live, ms(400));
        assert_eq!(found, [(20, Span::new(ms(0), ms(600))), (30, live)]);
        assert!(silences(&packets, &[10], live, ms(400)).is_empty());
    }

    #[test]
    fn the_wanted_person_in_time_is_right() {
        let packets = [of(1, 0), of(1, 1_200), of(2, 1_300), of(2, 5_000)];
        assert!(judge(&packets, &[(ms(0), 10), (ms(1_000), 20)]).is_empty());
        assert!(judge(&packets, &[]).is_empty(), "without a wish anybody will do");
    }

    #[test]
    fn the_former_person_after_the_time_is_wrong() {
        let found = judge(&[of(1, 1_200), of(1, 1_301), of(2, 1_400)], &[(ms(0), 10), (ms(1_000), 20)]);
        assert!(matches!(&found[..], [Misplaced::Unwanted(packet)] if packet.at == ms(1_301)), "{found:?}");
    }

    #[test]
    fn a_late_repair_of_the_former_person_is_not() {
        let repair = Received { retransmitted: true, ..of(1, 1_500) };
        assert!(judge(&[repair], &[(ms(1_000), 20)]).is_empty());
    }

    #[test]
    fn a_packet_that_names_one_and_carries_another_is_wrong_at_any_time() {
        let mixed = Received { csrc: 20, ..of(1, 100) };
        let found = judge(&[mixed.clone(), Received { retransmitted: true, ..mixed }], &[]);
        assert!(matches!(found[..], [Misplaced::Mislabelled(_), Misplaced::Mislabelled(_)]), "{found:?}");
    }
}
