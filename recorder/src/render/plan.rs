//! Who is seen when: cuts the time line into segments in which the layout stands still.
//!
//! Restless layouts tire and cost: nothing changes more often than every [`MIN_SEGMENT_MS`], and a change that comes
//! too soon waits. Boundaries lie on the output's frames, so that segments join without a gap. A pure function of the
//! material: after a restart it gives the same plan.
//!
//! ```text
//! tracks minus holes --> moments of change --> cuts --> for each segment: who is seen for most of it --> place
//! spoken spans ------/
//! ```

use super::place::{self, Rect};
use super::{Layout, MAX_DURATION_MS, Material, MaterialTrack, SpokeSpan};
use crate::manifest::Kind;

/// One frame of the output: 25 a second.
pub(crate) const FRAME_MS: u64 = 40;
/// Nothing changes more often.
pub(crate) const MIN_SEGMENT_MS: u64 = 2_000;
/// A restart repeats at most this much.
pub(crate) const MAX_SEGMENT_MS: u64 = 600_000;
/// Shorter holes freeze the picture; longer ones take the tile away.
const SHORT_HOLE_MS: u64 = 2_000;
/// A shorter word does not make a speaker large.
const BRIEF_MS: u64 = 500;
/// Full means: who spoke least recently is not shown.
pub(crate) const MAX_TILES: usize = 25;

/// So much is drawn by one run of ffmpeg, unless one segment alone is longer.
pub(crate) const STRETCH_MS: u64 = 120_000;
/// And so many tiles: each costs a run some memory.
const STRETCH_TILES: usize = 64;

const _: () = assert!(MIN_SEGMENT_MS.is_multiple_of(FRAME_MS) && MAX_SEGMENT_MS.is_multiple_of(FRAME_MS));

/// A stretch of the recording with one layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// A multiple of [`FRAME_MS`], as is the end.
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    pub(crate) tiles: Vec<Tile>,
}

impl Segment {
    pub(crate) const fn frames(&self) -> u64 {
        (self.to_ms - self.from_ms) / FRAME_MS
    }
}

/// One field of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) participant: usize,
    pub(crate) screen: bool,
    /// Nothing: a name on an empty field.
    pub(crate) shown: Option<Shown>,
    pub(crate) place: Rect,
}

/// A track in a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Index into [`Material::tracks`].
    pub(crate) track: usize,
    /// Earlier frames of the track are from before a hole.
    pub(crate) since_ms: u64,
}

pub(crate) fn plan(material: &Material, layout: Layout) -> Vec<Segment> {
    let end = material.duration_ms.min(MAX_DURATION_MS).next_multiple_of(FRAME_MS);
    let mut spans: Vec<_> = material.speakers.iter().copied().filter(|span| is_sound(material, span)).collect();
    spans.sort_unstable_by_key(|span| span.from_ms);
    let tracks: Vec<_> = material.tracks.iter().map(|track| intervals(track, end)).collect();
    let mut points: Vec<u64> = tracks.iter().flatten().flat_map(|(from, to)| [*from, *to]).collect();
    if layout == Layout::Speaker {
        points.extend(spans.iter().filter(|span| !is_brief(span)).map(|span| span.from_ms));
    }
    let mut director =
        Director { material, tracks, spans, heard: 0, spoke_until: vec![0; material.participants.len()] };
    let mut segments: Vec<Segment> = Vec::new();
    for (from_ms, to_ms) in cuts(points, end) {
        let tiles = director.tiles(from_ms, to_ms, layout);
        match segments.last_mut() {
            Some(last) if last.tiles == tiles && to_ms - last.from_ms <= MAX_SEGMENT_MS => last.to_ms = to_ms,
            _ => segments.push(Segment { from_ms, to_ms, tiles }),
        }
    }
    segments
}

/// Groups of consecutive segments, for a run of ffmpeg each.
pub(crate) fn stretches(segments: &[Segment], limit_ms: u64) -> Vec<&[Segment]> {
    let mut found = Vec::new();
    let mut rest = segments;
    while let Some(first) = rest.first() {
        let mut tiles = 0;
        let fits = |segment: &&Segment| {
            tiles += segment.tiles.len();
            segment.to_ms - first.from_ms <= limit_ms && tiles <= STRETCH_TILES
        };
        let (stretch, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        found.push(stretch);
        rest = later;
    }
    found
}

fn is_sound(material: &Material, span: &SpokeSpan) -> bool {
    span.participant < material.participants.len() && span.from_ms < span.to_ms
}

const fn is_brief(span: &SpokeSpan) -> bool {
    span.to_ms - span.from_ms < BRIEF_MS
}

/// When a track has a picture: its length without its long holes.
fn intervals(track: &MaterialTrack, end: u64) -> Vec<(u64, u64)> {
    if !matches!(track.kind, Kind::Camera | Kind::Screen) {
        return Vec::new();
    }
    let to = track.offset_ms.saturating_add(track.duration_ms).min(end);
    let mut from = track.offset_ms;
    let mut found = Vec::new();
    let long = track.holes.iter().filter(|(hole, after)| after.saturating_sub(*hole) > SHORT_HOLE_MS);
    for (hole, after) in long.copied().chain([(to, to)]) {
        let until = hole.min(to);
        if from < until {
            found.push((from, until));
        }
        from = from.max(after);
    }
    found
}

/// Segments from moments of change: whole frames, none too short, none too long.
fn cuts(mut points: Vec<u64>, end: u64) -> Vec<(u64, u64)> {
    points.retain(|point| *point < end);
    points.sort_unstable();
    let mut found = Vec::new();
    let mut last = 0;
    for point in points.into_iter().chain([end]) {
        let whole = point.next_multiple_of(FRAME_MS);
        if whole <= last {
            continue;
        }
        let wished = whole.max(last + MIN_SEGMENT_MS);
        let at = if wished + MIN_SEGMENT_MS > end { end } else { wished };
        while at - last > MAX_SEGMENT_MS + MIN_SEGMENT_MS {
            found.push((last, last + MAX_SEGMENT_MS));
            last += MAX_SEGMENT_MS;
        }
        // What changes in the last two seconds is not worth a segment: it ends with the recording.
        if at < end || whole == end {
            found.push((last, at));
            last = at;
        }
    }
    found
}

/// Chooses tiles, segment after segment.
struct Director<'a> {
    material: &'a Material,
    /// When each track has a picture.
    tracks: Vec<Vec<(u64, u64)>>,
    spans: Vec<SpokeSpan>,
    /// Spans that began before the end of the segment.
    heard: usize,
    /// Of each participant, as far as heard.
    spoke_until: Vec<u64>,
}

impl Director<'_> {
    fn tiles(&mut self, from: u64, to: u64, layout: Layout) -> Vec<Tile> {
        while let Some(span) = self.spans.get(self.heard).filter(|span| span.from_ms < to) {
            if let Some(until) = self.spoke_until.get_mut(span.participant) {
                *until = span.to_ms.max(*until);
            }
            self.heard += 1;
        }
        let candidates = self.candidates(from, to);
        match layout {
            Layout::Tiles => self.alike(candidates),
            Layout::Speaker => self.one_large(candidates, from.midpoint(to)),
        }
    }

    fn spoke_until(&self, tile: &Tile) -> u64 {
        self.spoke_until.get(tile.participant).copied().unwrap_or(0)
    }

    /// Everything that could be shown, one per participant and kind: screens first, then by participant.
    fn candidates(&self, from: u64, to: u64) -> Vec<Tile> {
        let mut found: Vec<(u64, Tile)> = Vec::new();
        for (index, (track, intervals)) in self.material.tracks.iter().zip(&self.tracks).enumerate() {
            let overlap = |(start, stop): &(u64, u64)| to.min(*stop).saturating_sub(from.max(*start));
            let visible: u64 = intervals.iter().map(overlap).sum();
            let Some((since_ms, _)) = intervals.iter().find(|interval| overlap(interval) > 0) else { continue };
            if visible * 2 < to - from || track.participant >= self.material.participants.len() {
                continue;
            }
            let (participant, screen) = (track.participant, track.kind == Kind::Screen);
            let shown = Some(Shown { track: index, since_ms: *since_ms });
            let tile = Tile { participant, screen, shown, place: place::WHOLE };
            match found.iter_mut().find(|(_, other)| (other.participant, other.screen) == (participant, screen)) {
                // A camera that began anew with another codec: the one that is seen longer.
                Some((seen, other)) if *seen < visible => (*seen, *other) = (visible, tile),
                Some(_) => {}
                None => found.push((visible, tile)),
            }
        }
        let mut tiles: Vec<_> = found.into_iter().map(|(_, tile)| tile).collect();
        for (participant, until) in self.spoke_until.iter().enumerate() {
            let has_picture = tiles.iter().any(|tile| tile.participant == participant && !tile.screen);
            if *until > from && !has_picture {
                tiles.push(Tile { participant, screen: false, shown: None, place: place::WHOLE });
            }
        }
        tiles.sort_unstable_by_key(|tile| (!tile.screen, tile.participant));
        tiles
    }

    /// Screens first, then by who spoke most recently.
    fn keep_most_recent(&self, tiles: &mut Vec<Tile>, limit: usize) {
        tiles.sort_by_key(|tile| (!tile.screen, std::cmp::Reverse(self.spoke_until(tile)), tile.participant));
        tiles.truncate(limit);
    }

    fn alike(&self, mut tiles: Vec<Tile>) -> Vec<Tile> {
        if tiles.len() > MAX_TILES {
            self.keep_most_recent(&mut tiles, MAX_TILES);
            tiles.sort_unstable_by_key(|tile| (!tile.screen, tile.participant));
        }
        let places = place::tiles(tiles.len());
        tiles.into_iter().zip(places).map(|(tile, place)| Tile { place, ..tile }).collect()
    }

    fn one_large(&self, mut others: Vec<Tile>, at: u64) -> Vec<Tile> {
        let Some(large) = self.large(&others, at) else { return Vec::new() };
        others.retain(|tile| *tile != large);
        self.keep_most_recent(&mut others, place::STRIP_TILES);
        // Who is beside changes with who speaks; where they are should not.
        others.sort_unstable_by_key(|tile| (!tile.screen, tile.participant));
        let places = place::speaker(others.len());
        std::iter::once(large).chain(others).zip(places).map(|(tile, place)| Tile { place, ..tile }).collect()
    }

    /// The newest screen; else who speaks or spoke last; else anybody with a picture.
    fn large(&self, tiles: &[Tile], at: u64) -> Option<Tile> {
        let screens = tiles.iter().filter(|tile| tile.screen);
        if let Some(screen) = screens.max_by_key(|tile| tile.shown.map(|shown| shown.since_ms)) {
            return Some(*screen);
        }
        let heard = self.spans.get(..self.heard).unwrap_or_default();
        let speaker = heard.iter().rev().find(|span| span.from_ms <= at && !is_brief(span));
        let name =
            |span: &SpokeSpan| Tile { participant: span.participant, screen: false, shown: None, place: place::WHOLE };
        let seen = |span: &SpokeSpan| tiles.iter().find(|tile| tile.participant == span.participant).copied();
        match speaker {
            // Nobody else is there to look at: the name of who spoke last, even when they are silent now.
            Some(span) => seen(span).or_else(|| tiles.first().copied()).or_else(|| Some(name(span))),
            None => tiles.first().copied(),
        }
    }
}

#[cfg(test)]
mod tests;
