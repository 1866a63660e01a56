//! Names in the picture.
//!
//! A name is what somebody typed. It reaches ffmpeg as the text of a file, never as an argument, and is first made one
//! line of characters that can be seen, no wider than its tile.
//!
//! ```text
//! display name --> visible, one line, fitted --> name-<participant>...txt <-- drawtext=textfile=
//! ```

use super::Material;
use super::plan::{Segment, Tile};

/// Names keep off the edges of their tile by this many pixels.
pub(crate) const NAME_MARGIN: u32 = 12;

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

/// In pixels.
pub(crate) fn font_size(tile: &Tile) -> u32 {
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
