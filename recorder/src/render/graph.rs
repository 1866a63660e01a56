//! How ffmpeg is told what to draw: the arguments for one segment.
//!
//! Arguments never pass a shell. The filter graph, which has a grammar that text could break out of, holds numbers of
//! ours only: names reach ffmpeg as files of their own, which it does not interpret. File names in it are ours too and
//! relative, because ffmpeg is run inside of the work folder.
//!
//! ```text
//! background + empty fields --> overlay --> overlay --> ... --> names --> encoder
//! track --> not from before a hole --> scale --^
//! ```
//!
//! ffmpeg's options: <https://ffmpeg.org/ffmpeg.html>, filters: <https://ffmpeg.org/ffmpeg-filters.html>.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use super::Material;
use super::place::{HEIGHT, WIDTH};
use super::plan::{FRAME_MS, Segment, Shown, Tile};

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
/// Names keep off the edges of their tile by this many pixels.
const NAME_MARGIN: u32 = 12;

/// A name to be drawn: a file in the work folder and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// The label of each tile; nothing for a name without a visible letter.
pub(crate) fn labels(material: &Material, segment: &Segment) -> Vec<Option<Label>> {
    segment.tiles.iter().map(|tile| label(material, tile)).collect()
}

fn label(material: &Material, tile: &Tile) -> Option<Label> {
    let name = material.participants.get(tile.participant)?;
    let room = f64::from(tile.place.width.saturating_sub(2 * NAME_MARGIN)) / f64::from(font_size(tile));
    let (suffix, mark) = if tile.screen { (" (screen)", "s") } else { ("", "c") };
    let text = fitted(name, suffix, room);
    let file = format!("name-{}{mark}-{}.txt", tile.participant, tile.place.width);
    (!text.is_empty()).then_some(Label { file, text })
}

/// Everything behind `ffmpeg` for one segment. `labels` are those of [`labels`], their files written.
pub(crate) fn arguments(
    material: &Material,
    segment: &Segment,
    labels: &[Option<Label>],
    output: &str,
) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    let mut sources = Vec::new();
    for tile in &segment.tiles {
        let track = tile.shown.and_then(|shown| Some((shown, material.tracks.get(shown.track)?)));
        if let Some((_, track)) = track {
            // Timestamps stay what they are: milliseconds after the recording's start.
            all.extend(["-seek_timestamp", "1"].map(Into::into));
            if segment.from_ms > track.offset_ms {
                // Frames from the key frame on: one of them is still to be seen when the segment begins.
                all.extend(["-noaccurate_seek", "-ss"].map(Into::into));
                all.push(seconds(segment.from_ms).into());
            }
            // A sender changes its resolution at will. Without this, the whole graph would begin anew then.
            all.extend(["-reinit_filter", "0", "-an", "-sn", "-dn"].map(Into::into));
            all.extend(input(&track.path));
        }
        sources.push(track.map(|(shown, track)| (shown, segment.from_ms > track.offset_ms)));
    }
    all.extend(["-filter_complex_threads", "1", "-filter_complex"].map(Into::into));
    all.push(graph(segment, &sources, labels).into());
    all.extend(["-map", "[out]", "-frames:v"].map(Into::into));
    all.push(segment.frames().to_string().into());
    all.extend(
        [
            "-c:v",
            "libvpx",
            "-threads",
            "1",
            "-deadline",
            "realtime",
            // Negative: the same work, and so the same picture, however busy the machine is.
            "-cpu-used",
            "-12",
            "-b:v",
            VIDEO_RATE,
            "-g",
            KEY_EVERY_FRAMES,
            "-auto-alt-ref",
            "0",
        ]
        .map(Into::into),
    );
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

/// `sources`: of each tile what is shown and whether ffmpeg has moved its times to the segment's start.
fn graph(segment: &Segment, sources: &[Option<(Shown, bool)>], labels: &[Option<Label>]) -> String {
    let mut graph = format!("color=c={BACKGROUND}:s={WIDTH}x{HEIGHT}:r={},format=yuv420p", 1000 / FRAME_MS);
    for tile in segment.tiles.iter().filter(|tile| tile.shown.is_none()) {
        let (place, margin) = (tile.place, EMPTY_MARGIN);
        let _ = write!(
            graph,
            ",drawbox=x={}:y={}:w={}:h={}:color={EMPTY_FIELD}:t=fill",
            place.x + margin,
            place.y + margin,
            place.width - 2 * margin,
            place.height - 2 * margin
        );
    }
    graph.push_str("[l0]");
    let mut layer = 0;
    let shown = segment.tiles.iter().zip(sources).filter_map(|(tile, source)| Some((tile, (*source)?)));
    for (tile, (shown, moved)) in shown {
        let place = tile.place;
        let zero = if moved { 0 } else { segment.from_ms };
        let since = shown.since_ms as i64 - segment.from_ms as i64;
        let _ = write!(
            graph,
            ";[{layer}:v:0]setpts=PTS-{}/TB,trim=start={since}ms,\
             scale={}:{}:force_original_aspect_ratio=decrease:force_divisible_by=2:flags=fast_bilinear,setsar=1[t{layer}]\
             ;[l{layer}][t{layer}]overlay=x={}+({}-overlay_w)/2:y={}+({}-overlay_h)/2[l{}]",
            seconds(zero),
            place.width,
            place.height,
            place.x,
            place.width,
            place.y,
            place.height,
            layer + 1
        );
        layer += 1;
    }
    let _ = write!(graph, ";[l{layer}]null");
    for (tile, label) in segment.tiles.iter().zip(labels) {
        if let Some(label) = label {
            write_name(&mut graph, tile, label);
        }
    }
    graph.push_str("[out]");
    graph
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

/// In pixels.
fn font_size(tile: &Tile) -> u32 {
    (tile.place.height / 18).clamp(14, 32)
}

/// One line of visible characters that is about `room` ems wide at most.
fn fitted(name: &str, suffix: &str, room: f64) -> String {
    let visible: String = name.chars().filter(|letter| !is_steering(*letter)).map(plain_space).collect();
    let words: Vec<_> = visible.split_whitespace().collect();
    let whole = words.join(" ");
    if whole.is_empty() {
        return suffix.trim_start().to_owned();
    }
    let room = room - ems(suffix);
    if ems(&whole) <= room {
        return whole + suffix;
    }
    let mut used = ems("\u{2026}");
    let fits = |letter: &char| {
        used += em(*letter);
        used <= room
    };
    let kept: String = whole.chars().take_while(fits).collect();
    format!("{}\u{2026}{suffix}", kept.trim_end())
}

/// Characters that turn the direction of what follows, or that cannot be seen.
const fn is_steering(letter: char) -> bool {
    matches!(letter, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

fn plain_space(letter: char) -> char {
    if letter.is_control() { ' ' } else { letter }
}

fn ems(text: &str) -> f64 {
    text.chars().map(em).sum()
}

/// Widths in DejaVu Sans, which comes with Debian's ffmpeg, rounded up by kind.
fn em(letter: char) -> f64 {
    match letter {
        'W' | 'M' | '@' | '%' | 'm' | 'w' | '\u{2026}' => 1.0,
        'A'..='Z' => 0.8,
        ' '..='~' => 0.65,
        '\u{80}'..='\u{2E7F}' => 0.85,
        _ => 1.1,
    }
}

#[cfg(test)]
mod tests;
