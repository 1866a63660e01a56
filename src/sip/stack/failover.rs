//! Which trunk a call goes out by, and whether another is tried after a refusal (in the manner of Teams Direct Routing).

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::path::TrunkId;

/// How long a trunk may leave an INVITE without any answer before the next one is tried.
pub const NO_ANSWER: Duration = Duration::from_secs(10);

/// A trunk that a call could take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub trunk: TrunkId,
    /// The operator's order: the least first. Equal ones share the calls.
    pub rank: u32,
    /// Whether it gave a sign of life lately.
    pub healthy: bool,
    /// Whether it takes another call.
    pub has_room: bool,
}

/// The order in which trunks are tried: by rank, those of one rank shuffled by the seed, the unhealthy ones behind all others, and those
/// without room not at all.
#[must_use]
pub fn order(candidates: &[Candidate], seed: u64) -> Vec<TrunkId> {
    let mut candidates: Vec<_> = candidates.iter().filter(|candidate| candidate.has_room).collect();
    candidates.shuffle(&mut StdRng::seed_from_u64(seed));
    // Stable: what the shuffle did stays among equals.
    candidates.sort_by_key(|candidate| (!candidate.healthy, candidate.rank));
    candidates.into_iter().map(|candidate| candidate.trunk).collect()
}

/// Whether a refusal is the trunk's trouble, so that another may do better. Everything else is the callee's answer.
#[must_use]
pub fn tries_next(code: u16) -> bool {
    matches!(code, 408 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(trunk: usize, rank: u32, healthy: bool) -> Candidate {
        Candidate { trunk: TrunkId(trunk), rank, healthy, has_room: true }
    }

    #[test]
    fn rank_decides_and_an_unhealthy_trunk_comes_last_whatever_its_rank() {
        let full = Candidate { has_room: false, ..candidate(9, 0, true) };
        let candidates = [candidate(0, 1, false), candidate(1, 3, true), candidate(2, 2, true), full];
        for seed in 0..20 {
            assert_eq!(order(&candidates, seed), [TrunkId(2), TrunkId(1), TrunkId(0)]);
        }
    }

    #[test]
    fn equal_trunks_share_the_calls_and_a_seed_always_gives_the_same_order() {
        let candidates = [candidate(0, 1, true), candidate(1, 1, true), candidate(2, 1, true)];
        let mut first = [0; 3];
        for seed in 0..3000 {
            let order = order(&candidates, seed);
            assert_eq!(order, super::order(&candidates, seed));
            if let Some(count) = order.first().and_then(|trunk| first.get_mut(trunk.0)) {
                *count += 1;
            }
        }
        assert!(first.iter().all(|count| (900..1100).contains(count)), "{first:?}");
    }

    #[test]
    fn only_a_trunks_own_trouble_leads_to_the_next_one() {
        let next: Vec<_> = (300..700).filter(|code| tries_next(*code)).collect();
        assert_eq!(next, [408, 500, 502, 503, 504]);
    }
}
