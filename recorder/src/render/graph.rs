//! How ffmpeg is told what to draw: the arguments for a stretch of segments.
//!
//! Arguments never pass a shell. The filter graph, which has a grammar that text could break out of, holds numbers of
//! ours only: names reach ffmpeg as files of their own, which it does not interpret. File names in it are ours too and
//! relative, because ffmpeg is run inside of the work folder.
//!
//! Each track is decoded once for the whole stretch, then cut up for the segments that show it: decoding begins at a
//! key frame, which may lie minutes back, so that a run for each segment would decode the same again and again.
//!
//! ```text
//! track --> from a hole on --> 25 a second --> split --> cut to segment --> scale --\
//! |--> cut to the next --> ...     | background + empty fields -------------------------------------------------->
//! overlay --> names --> joined --> encoder
//! ```
//!
//! ffmpeg's options: <https://ffmpeg.org/ffmpeg.html>, filters: <https://ffmpeg.org/ffmpeg-filters.html>.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use super::label::{Label, NAME_MARGIN, font_size};
use super::place::{HEIGHT, Rect, WIDTH};
use super::plan::{FRAME_MS, Segment, Shown, Tile};
use super::{Material, MaterialTrack};

/// Behind the tiles.
const BACKGROUND: &str = "0x202124";
/// A field without a picture.
const EMPTY_FIELD: &str = "0x3c4043";
/// Between an empty field and its neighbours, in pixels.
const EMPTY_MARGIN: u32 = 4;
/// A picture that a player can jump to, every five seconds.
const KEY_EVERY_FRAMES: &str = "125";
/// Enough for faces and legible slides at 720p.
const VIDEO_RATE: &str = "1500k";
/// Negative: the same work, and so the same picture, however busy the machine is.
const SPEED: &str = "-12";

/// Everything behind `ffmpeg` for a stretch. `labels` are those of each segment's tiles, their files written.
pub(crate) fn arguments(
    material: &Material,
    stretch: &[Segment],
    labels: &[Vec<Option<Label>>],
    output: &str,
) -> Vec<OsString> {
    let sources = sources(material, stretch);
    let mut all: Vec<OsString> = Vec::new();
    for source in &sources {
        // Timestamps stay what they are: milliseconds after the recording's start.
        all.extend(["-seek_timestamp", "1"].map(Into::into));
        if source.is_sought() {
            // Frames from the key frame on: one of them is still to be seen when the segment begins.
            all.extend(["-noaccurate_seek", "-ss"].map(Into::into));
            all.push(seconds(source.first_ms).into());
        }
        // A sender changes its resolution at will. Without this, ffmpeg would draw the stretch from its beginning
        // again.
        all.extend(["-reinit_filter", "0", "-an", "-sn", "-dn"].map(Into::into));
        all.extend(input(&source.track.path));
    }
    all.extend(["-filter_complex_threads", "1", "-filter_complex"].map(Into::into));
    all.push(graph(stretch, &sources, labels).into());
    all.extend(["-map", "[out]", "-frames:v"].map(Into::into));
    all.push(stretch.iter().map(Segment::frames).sum::<u64>().to_string().into());
    all.extend(["-c:v", "libvpx", "-threads", "1", "-deadline", "realtime", "-cpu-used", SPEED].map(Into::into));
    all.extend(["-b:v", VIDEO_RATE, "-g", KEY_EVERY_FRAMES, "-auto-alt-ref", "0"].map(Into::into));
    all.extend(webm_output(output));
    all
}

/// A file of ours as an input, whatever its name looks like; read as Matroska only, by one thread.
pub(crate) fn input(path: &Path) -> Vec<OsString> {
    let mut name = OsString::from("file:");
    name.push(path);
    let options = ["-threads", "1", "-protocol_whitelist", "file", "-f", "matroska", "-i"];
    options.into_iter().map(Into::into).chain([name]).collect()
}

/// The same bytes for the same work: no dates, no random numbers.
pub(crate) fn webm_output(name: &str) -> Vec<OsString> {
    ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-f", "webm", "-y", name]
        .map(Into::into)
        .to_vec()
}

/// ffmpeg's unit of time.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// A track that the stretch shows: one input of ffmpeg.
struct Source<'a> {
    index: usize,
    track: &'a MaterialTrack,
    /// Beginning of the first segment that shows it.
    first_ms: u64,
    /// In order of time.
    takes: Vec<Take>,
}

/// A track between two holes.
struct Take {
    since_ms: u64,
    /// In so many segments.
    uses: usize,
}

impl Source<'_> {
    /// Whether ffmpeg jumps to `first_ms`, which is then its time zero.
    const fn is_sought(&self) -> bool {
        self.first_ms > self.track.offset_ms
    }
}

fn sources<'a>(material: &'a Material, stretch: &[Segment]) -> Vec<Source<'a>> {
    let mut found: Vec<Source<'a>> = Vec::new();
    for segment in stretch {
        for shown in segment.tiles.iter().filter_map(|tile| tile.shown) {
            let take = Take { since_ms: shown.since_ms, uses: 1 };
            if let Some(source) = found.iter_mut().find(|source| source.index == shown.track) {
                match source.takes.iter_mut().find(|take| take.since_ms == shown.since_ms) {
                    Some(take) => take.uses += 1,
                    None => source.takes.push(take),
                }
            } else if let Some(track) = material.tracks.get(shown.track) {
                found.push(Source { index: shown.track, track, first_ms: segment.from_ms, takes: vec![take] });
            }
        }
    }
    found
}

/// Streams are named after input, take and use (`i0t0u0`), or after segment and layer (`s0l0`, `s0`). Times count from
/// the stretch's beginning.
fn graph(stretch: &[Segment], sources: &[Source<'_>], labels: &[Vec<Option<Label>>]) -> String {
    let zero = stretch.first().map_or(0, |first| first.from_ms);
    let mut graph = String::new();
    for (input, source) in sources.iter().enumerate() {
        write_takes(&mut graph, input, source, zero);
    }
    let mut used: Vec<_> = sources.iter().map(|source| vec![0; source.takes.len()]).collect();
    for (number, segment) in stretch.iter().enumerate() {
        write_background(&mut graph, number, segment);
        let mut layer = 0;
        for (tile, shown) in segment.tiles.iter().filter_map(|tile| Some((tile, tile.shown?))) {
            let Some((input, take)) = found(sources, shown) else { continue };
            let Some(piece) = used.get_mut(input).and_then(|takes| takes.get_mut(take)) else { continue };
            let name = format!("i{input}t{take}u{piece}");
            *piece += 1;
            write_tile(&mut graph, (segment, zero), tile, &name);
            let Rect { x, y, width, height } = tile.place;
            let _ = write!(graph, "[s{number}l{layer}][{name}t]overlay=");
            layer += 1;
            // Centred in its place.
            let _ = write!(graph, "x={x}+({width}-overlay_w)/2:y={y}+({height}-overlay_h)/2[s{number}l{layer}];");
        }
        let _ = write!(graph, "[s{number}l{layer}]null");
        let labels = labels.get(number).map(Vec::as_slice).unwrap_or_default();
        for (tile, label) in segment.tiles.iter().zip(labels) {
            if let Some(label) = label {
                write_name(&mut graph, tile, label);
            }
        }
        let _ = write!(graph, "[s{number}];");
    }
    for number in 0..stretch.len() {
        let _ = write!(graph, "[s{number}]");
    }
    let _ = write!(graph, "concat=n={}[out]", stretch.len());
    graph
}

fn found(sources: &[Source<'_>], shown: Shown) -> Option<(usize, usize)> {
    let (input, source) = sources.iter().enumerate().find(|(_, source)| source.index == shown.track)?;
    Some((input, source.takes.iter().position(|take| take.since_ms == shown.since_ms)?))
}

/// A track as streams of even pace, one for each use. Each take forgets what was before its hole; within it a picture
/// lasts until the next, however late that is.
fn write_takes(graph: &mut String, input: usize, source: &Source<'_>, zero: u64) {
    let zero = zero as i64;
    // What ffmpeg calls zero, from the stretch's beginning.
    let origin = if source.is_sought() { source.first_ms as i64 - zero } else { -zero };
    let _ = write!(graph, "[{input}:v:0]setpts=PTS+({origin})/1000/TB,split={}", source.takes.len());
    for take in 0..source.takes.len() {
        let _ = write!(graph, "[i{input}t{take}]");
    }
    graph.push(';');
    for (number, take) in source.takes.iter().enumerate() {
        let (since, rate) = (take.since_ms as i64 - zero, 1000 / FRAME_MS);
        let _ = write!(graph, "[i{input}t{number}]trim=start={since}ms,fps={rate},split={}", take.uses);
        for piece in 0..take.uses {
            let _ = write!(graph, "[i{input}t{number}u{piece}]");
        }
        graph.push(';');
    }
}

fn write_background(graph: &mut String, number: usize, segment: &Segment) {
    let (rate, length) = (1000 / FRAME_MS, seconds(segment.to_ms - segment.from_ms));
    let _ = write!(graph, "color=c={BACKGROUND}:s={WIDTH}x{HEIGHT}:r={rate}:d={length},format=yuv420p");
    for place in segment.tiles.iter().filter(|tile| tile.shown.is_none()).map(|tile| tile.place) {
        let (x, y) = (place.x + EMPTY_MARGIN, place.y + EMPTY_MARGIN);
        let (width, height) = (place.width - 2 * EMPTY_MARGIN, place.height - 2 * EMPTY_MARGIN);
        let _ = write!(graph, ",drawbox=x={x}:y={y}:w={width}:h={height}:color={EMPTY_FIELD}:t=fill");
    }
    let _ = write!(graph, "[s{number}l0];");
}

/// Cuts out what the segment shows, at the size of its tile.
fn write_tile(graph: &mut String, (segment, zero): (&Segment, u64), tile: &Tile, piece: &str) {
    let (from, to) = (segment.from_ms - zero, segment.to_ms - zero);
    let Rect { width, height, .. } = tile.place;
    let _ = write!(
        graph,
        "[{piece}]trim=start={from}ms:end={to}ms,setpts=PTS-{from}/1000/TB,\
         scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2:flags=fast_bilinear,\
         setsar=1[{piece}t];"
    );
}

fn write_name(graph: &mut String, tile: &Tile, label: &Label) {
    let (place, size) = (tile.place, font_size(tile));
    let _ = write!(
        graph,
        ",drawtext=textfile={}:expansion=none:fontsize={size}:fontcolor=white:box=1:boxcolor=black@0.5:boxborderw=4",
        label.file
    );
    let _ = if tile.shown.is_some() {
        let below = place.y + place.height;
        write!(graph, ":x={}:y={}", place.x + NAME_MARGIN, below - size - NAME_MARGIN)
    } else {
        write!(graph, ":x={}+({}-text_w)/2:y={}+({}-text_h)/2", place.x, place.width, place.y, place.height)
    };
}

#[cfg(test)]
mod tests;
