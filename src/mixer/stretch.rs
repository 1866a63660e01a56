//! Makes audio a little shorter or longer, so that delay follows the network and clocks may differ, without a click.
//!
//! A piece that repeats itself after a lag is cut by that lag, or played once more, with a cross-fade of 5 ms over the seam. The
//! lag is where the signal is most like itself: a pitch period of a voice, anything at all in a pause. Where it is like
//! itself nowhere, nothing is done and the next tick is tried, unless it becomes urgent.
//!
//! ```text
//! cut:  x[0..W] fades into x[L..L+W], then x[L+W..]            L samples fewer
//! add:  x[0..L], then x[L..L+W] fades into x[0..W], x[W..]     L samples more
//! ```

/// Least and most of one change: 2.5 and 10 ms.
pub const LAG_MIN: usize = 120;
/// See [`LAG_MIN`].
pub const LAG_MAX: usize = 480;

/// Length of the seam: 5 ms.
pub const SEAM: usize = 240;

/// Below this mean square (-50 dBFS) nobody hears a seam.
const QUIET: f32 = 1e-5;

/// How alike both sides of a seam must be, by how much too late the audio is.
const ALIKE: f32 = 0.9;
const ALIKE_ENOUGH: f32 = 0.6;

/// From this excess on (20 ms) less alike will do, and from this on (60 ms) anything.
const SOON: i64 = 960;
const NOW: i64 = 2_880;

/// Cuts at most `most` samples near the beginning of `pcm` and returns how many. `excess`: how far the delay is off, in samples.
pub fn cut(pcm: &mut Vec<f32>, most: usize, excess: i64) -> usize {
    let Some(lag) = lag(pcm, most, excess) else { return 0 };
    for at in 0..SEAM {
        let new = pcm.get(at + lag).copied().unwrap_or_default();
        if let Some(old) = pcm.get_mut(at) {
            *old += (new - *old) * fade(at);
        }
    }
    pcm.drain(SEAM..SEAM + lag);
    lag
}

/// Adds at most `most` samples near the beginning of `pcm` and returns how many.
pub fn add(pcm: &mut Vec<f32>, most: usize, excess: i64) -> usize {
    let Some(lag) = lag(pcm, most, excess) else { return 0 };
    let len = pcm.len();
    pcm.resize(len + lag, 0.0);
    // Everything from the seam on moves back by the lag; the seam itself is then made of both ...
    pcm.copy_within(0..len, lag);
    for at in 0..SEAM {
        // ... of which one half, what followed the first lag, was overwritten from `lag` on: it is what now lies a lag later.
        let old = pcm.get(at + 2 * lag).copied().unwrap_or_default();
        if let Some(new) = pcm.get_mut(at + lag) {
            *new = old + (*new - old) * fade(at);
        }
    }
    lag
}

/// From 0 to 1 over the seam, without a corner at its ends.
fn fade(at: usize) -> f32 {
    let part = (at as f32 + 0.5) / SEAM as f32;
    part * part * (3.0 - 2.0 * part)
}

/// Where the signal is most like its beginning; `None`: not enough of it, or nowhere like it.
fn lag(pcm: &[f32], most: usize, excess: i64) -> Option<usize> {
    let most = most.min(LAG_MAX).min(pcm.len().saturating_sub(SEAM));
    if most < LAG_MIN {
        return None;
    }
    let head = pcm.get(..SEAM)?;
    let likeness = |lag: usize, step: usize| {
        let other = pcm.get(lag..lag + SEAM).unwrap_or_default();
        let (mut product, mut energy) = (0.0_f32, 1e-9_f32);
        for (one, other) in head.iter().zip(other).step_by(step) {
            product += one * other;
            energy += other * other;
        }
        product / energy.sqrt()
    };
    let best = |lags: &mut dyn Iterator<Item = usize>, step| {
        lags.map(|lag| (lag, likeness(lag, step))).max_by(|(_, one), (_, other)| one.total_cmp(other))
    };
    // Coarse first: a third of the lags over half of the samples; then its neighbours exactly.
    let (coarse, _) = best(&mut (LAG_MIN..=most).step_by(3), 2)?;
    let (lag, product) = best(&mut (coarse.saturating_sub(2).max(LAG_MIN)..=(coarse + 2).min(most)), 1)?;
    let energy: f32 = head.iter().map(|sample| sample * sample).sum();
    let alike = product / (energy + 1e-9).sqrt();
    let needed = match excess.abs() {
        NOW.. => -1.0,
        SOON.. => ALIKE_ENOUGH,
        _ => ALIKE,
    };
    let other: f32 = pcm.get(lag..lag + SEAM)?.iter().map(|sample| sample * sample).sum();
    let is_quiet = energy.max(other) < QUIET * SEAM as f32;
    (is_quiet || alike >= needed).then_some(lag)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn tone(hz: f32, len: usize) -> Vec<f32> {
        (0..len).map(|at| 0.5 * (at as f32 * hz * std::f32::consts::TAU / 48_000.0).sin()).collect()
    }

    /// The largest step of the slope: where a click shows first.
    fn roughness(pcm: &[f32]) -> f32 {
        pcm.windows(3).map(|three| (three[0] - 2.0 * three[1] + three[2]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_tone_is_cut_and_added_to_without_a_click() {
        for hz in [110.0, 220.0, 440.0, 1_013.0, 3_000.0] {
            let whole = tone(hz, 1_920);
            for excess in [500, -500] {
                let mut pcm = whole.clone();
                let by = if excess > 0 { cut(&mut pcm, 480, excess) } else { add(&mut pcm, 480, excess) };
                assert!((LAG_MIN..=LAG_MAX).contains(&by), "{hz} Hz: {by}");
                assert_eq!(pcm.len() as i64, 1_920 - by as i64 * excess.signum());
                let more = roughness(&pcm) - roughness(&whole);
                assert!(more < 0.002, "{hz} Hz, {excess}: slope steps by {more} more");
                assert!((pcm[0] - whole[0]).abs() < 1e-6, "the beginning stays");
                assert_eq!(pcm[pcm.len() - 1], whole[whole.len() - 1], "and the end");
            }
        }
    }

    #[test]
    fn what_is_nowhere_like_itself_is_left_alone_until_it_is_urgent() {
        let mut state = 1_u32;
        let noise: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32 / u32::MAX as f32 - 0.5
        })
        .take(1_920)
        .collect();
        assert_eq!(cut(&mut noise.clone(), 480, 600), 0);
        assert!(cut(&mut noise.clone(), 480, 3_000) > 0);
        let mut quiet: Vec<f32> = noise.iter().map(|sample| sample / 1_000.0).collect();
        assert!(cut(&mut quiet, 480, 600) > 0, "a pause may be cut anywhere");
    }

    #[test]
    fn too_little_is_left_alone() {
        assert_eq!(cut(&mut tone(440.0, 300), 480, 5_000), 0);
        assert_eq!(add(&mut Vec::new(), 480, -5_000), 0);
        assert_eq!(cut(&mut tone(440.0, 1_920), 119, 5_000), 0);
    }
}
