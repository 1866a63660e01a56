//! The grid: everybody in one picture.
//!
//! Each stretch of the plan's segments is one run of ffmpeg and one file in the work folder, which gets its name when
//! it is whole. A restart makes the same plan, skips what has its name, and goes on; another plan (other layout,
//! other material) clears the folder first. Joining the stretches copies; the sound of the composed file is copied
//! too.
//!
//! ```text
//! plan.txt --> stretch-00000.webm, stretch-00001.webm, ... ----------\
//! composed file's sound, or sound.webm mixed of all microphones --------> grid-tiles.webm | grid-speaker.webm
//! ```

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::ffmpeg::{Patience, Tools};
use super::plan::{STRETCH_MS, Segment, plan, stretches};
use super::{Layout, Material, MaterialTrack, RenderError, graph, label};
use crate::manifest::Kind;

const PLAN: &str = "plan.txt";
const SOUND: &str = "sound.webm";
const STRETCHES: &str = "stretches.txt";
/// Raised when the same plan is drawn in another way: half-made grids begin anew.
const DRAWING: u32 = 1;
/// Without a composed file, so many tracks are mixed; more means: the shortest are not heard.
const MAX_MIXED_TRACKS: usize = 128;
/// Of the whole work, in percent.
const PICTURE_END: u64 = 90;
/// Of the whole work, in percent; joining is the rest.
const SOUND_END: u64 = 98;

/// Makes the grid in `work`, a folder of its own, where an earlier, interrupted call may have left a part of it.
///
/// Blocks for minutes. `progress` gets percents, never fewer than before.
pub(crate) fn grid(
    material: &Material,
    layout: Layout,
    work: &Path,
    progress: &dyn Fn(u8),
    cancelled: &AtomicBool,
) -> Result<PathBuf, RenderError> {
    let tools = Tools::installed()?;
    let patience = Patience::default();
    Work { tools, patience, stretch_ms: STRETCH_MS, material, folder: work, progress, cancelled }.grid(layout)
}

/// One grid being made.
#[derive(Clone, Copy)]
struct Work<'a> {
    tools: &'a Tools,
    patience: Patience,
    stretch_ms: u64,
    material: &'a Material,
    folder: &'a Path,
    progress: &'a dyn Fn(u8),
    cancelled: &'a AtomicBool,
}

impl Work<'_> {
    fn grid(&self, layout: Layout) -> Result<PathBuf, RenderError> {
        let segments = plan(self.material, layout);
        let Some(total_ms) = segments.last().map(|last| last.to_ms) else {
            return Err(RenderError::Nothing("it has no length"));
        };
        self.prepare(&segments).map_err(RenderError::disk("preparing the work folder"))?;
        let mut list = String::from("ffconcat version 1.0\n");
        for (number, stretch) in stretches(&segments, self.stretch_ms).into_iter().enumerate() {
            let file = self.stretch(number, stretch, total_ms)?;
            let length_ms = stretch.iter().map(|segment| segment.to_ms - segment.from_ms).sum();
            let _ = writeln!(list, "file {file}\nduration {}", graph::seconds(length_ms));
        }
        let sound = self.sound(total_ms)?;
        let name = match layout {
            Layout::Tiles => "grid-tiles.webm",
            Layout::Speaker => "grid-speaker.webm",
        };
        self.join(name, &list, sound.as_deref(), total_ms)
    }

    /// Keeps what belongs to this plan and is whole; removes all else.
    fn prepare(&self, segments: &[Segment]) -> io::Result<()> {
        fs::create_dir_all(self.folder)?;
        let mut text = format!("drawing {DRAWING}, names {}, {}\n", self.tools.can_write, self.stretch_ms);
        let _ = writeln!(text, "{segments:#?}");
        for track in &self.material.tracks {
            let _ = writeln!(text, "{:?} {} {}", track.kind, track.offset_ms, file_size(&track.path));
        }
        let _ = writeln!(text, "content {}", self.material.content.as_deref().map_or(0, file_size));
        for name in &self.material.participants {
            let _ = writeln!(text, "{name:?}");
        }
        let file = self.folder.join(PLAN);
        let known = fs::read(&file).is_ok_and(|known| known == text.as_bytes());
        for entry in fs::read_dir(self.folder)? {
            let entry = entry?;
            let is_part = entry.file_name().to_string_lossy().starts_with("part-");
            if (!known || is_part) && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        if !known {
            let part = self.folder.join("part-plan");
            let mut out = File::create(&part)?;
            out.write_all(text.as_bytes())?;
            out.sync_all()?;
            fs::rename(part, file)?;
        }
        Ok(())
    }

    fn stretch(&self, number: usize, stretch: &[Segment], total_ms: u64) -> Result<String, RenderError> {
        let name = format!("stretch-{number:05}.webm");
        let (from_ms, to_ms) = stretch.first().zip(stretch.last()).map_or((0, 0), |(a, b)| (a.from_ms, b.to_ms));
        let labels: Vec<_> = stretch.iter().map(|segment| self.labels(segment)).collect();
        for label in labels.iter().flatten().flatten() {
            let file = self.folder.join(&label.file);
            fs::write(file, &label.text).map_err(RenderError::disk("writing a name"))?;
        }
        let arguments = |output: &str| graph::arguments(self.material, stretch, &labels, output);
        self.make(&name, "draw the grid", arguments, &mut |ms| {
            self.tell((from_ms + ms).min(to_ms) * PICTURE_END / total_ms);
        })?;
        self.tell(to_ms * PICTURE_END / total_ms);
        Ok(name)
    }

    /// The names of a segment's tiles, where names can be drawn.
    fn labels(&self, segment: &Segment) -> Vec<Option<label::Label>> {
        if self.tools.can_write { label::labels(self.material, segment) } else { Vec::new() }
    }

    /// Everybody's sound as a file; nothing when there is none.
    fn sound(&self, total_ms: u64) -> Result<Option<PathBuf>, RenderError> {
        if let Some(content) = &self.material.content {
            return Ok(Some(content.clone()));
        }
        let mut tracks: Vec<_> = self.material.tracks.iter().filter(|track| is_sound(track)).collect();
        tracks.sort_by_key(|track| std::cmp::Reverse(track.duration_ms));
        tracks.truncate(MAX_MIXED_TRACKS);
        if tracks.is_empty() {
            return Ok(None);
        }
        self.make(SOUND, "mix the sound", |output| mix_arguments(&tracks, output), &mut |ms| {
            self.tell(PICTURE_END + ms.min(total_ms) * (SOUND_END - PICTURE_END) / total_ms);
        })?;
        Ok(Some(self.folder.join(SOUND)))
    }

    fn join(&self, name: &str, list: &str, sound: Option<&Path>, total_ms: u64) -> Result<PathBuf, RenderError> {
        fs::write(self.folder.join(STRETCHES), list).map_err(RenderError::disk("listing the stretches"))?;
        let arguments = |output: &str| {
            let mut all: Vec<OsString> = ["-f", "concat", "-i", STRETCHES].map(Into::into).to_vec();
            if let Some(sound) = sound {
                // Not moved to zero: it begins where it begins. (ffmpeg 5.1 still makes it 6.5 ms earlier, the
                // encoder's delay, whenever it copies Opus. Lips and voices may be apart by several times that.)
                all.extend(["-seek_timestamp", "1", "-vn"].map(Into::into));
                all.extend(graph::input(sound));
                all.extend(["-map", "1:a:0?"].map(Into::into));
            }
            all.extend(["-map", "0:v:0", "-c", "copy"].map(Into::into));
            all.extend(graph::webm_output(output));
            all
        };
        self.make(name, "join the stretches", arguments, &mut |ms| {
            self.tell(SOUND_END + ms.min(total_ms) * (99 - SOUND_END) / total_ms);
        })?;
        self.tell(100);
        Ok(self.folder.join(name))
    }

    /// Makes a file unless it is there: it has its name only when it is whole and on the disk.
    fn make(
        &self,
        name: &str,
        what: &'static str,
        arguments: impl FnOnce(&str) -> Vec<OsString>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), RenderError> {
        let file = self.folder.join(name);
        if file.exists() {
            return Ok(());
        }
        // With the process in its name: an orphan of an earlier one may still write to another.
        let part = format!("part-{}-{name}", std::process::id());
        let arguments = arguments(&part);
        self.tools.run(what, (self.folder, &arguments), self.patience, progress, self.cancelled)?;
        let whole = || {
            let part = self.folder.join(&part);
            File::open(&part)?.sync_all()?;
            fs::rename(part, file)
        };
        whole().map_err(RenderError::disk("keeping what ffmpeg made"))
    }

    fn tell(&self, percent: u64) {
        (self.progress)(u8::try_from(percent).unwrap_or(100).min(100));
    }
}

const fn is_sound(track: &MaterialTrack) -> bool {
    matches!(track.kind, Kind::Microphone | Kind::ScreenAudio)
}

fn mix_arguments(tracks: &[&MaterialTrack], output: &str) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    let (mut graph, mut inputs) = (String::new(), String::new());
    for (index, track) in tracks.iter().enumerate() {
        all.extend(["-seek_timestamp", "1", "-vn"].map(Into::into));
        all.extend(graph::input(&track.path));
        // What is missing in front and in holes becomes silence.
        let _ = write!(graph, "[{index}:a:0]aresample=48000:async=1:min_hard_comp=0.02:first_pts=0[a{index}];");
        let _ = write!(inputs, "[a{index}]");
    }
    let _ = write!(graph, "{inputs}amix=inputs={}:normalize=0:duration=longest,alimiter=limit=0.9[out]", tracks.len());
    all.extend(["-filter_complex_threads", "1", "-filter_complex"].map(Into::into));
    all.push(graph.into());
    all.extend(["-map", "[out]", "-c:a", "libopus", "-b:a", "64k", "-ac", "1"].map(Into::into));
    all.extend(graph::webm_output(output));
    all
}

fn file_size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

#[cfg(test)]
mod tests;
