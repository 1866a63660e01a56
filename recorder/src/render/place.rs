//! Where tiles lie in the picture.
//!
//! All sizes are even, because a picture's colours have half of its resolution; a tile may be larger than what it
//! shows, which is then centred in it.
//!
//! ```text
//! tiles:   +---+---+---+      speaker: +-----------+--+
//!          |   |   |   |               |           |  |
//!          +---+---+---+               |   large   +--+
//!            |   |   |                 |           |  |
//!            +---+---+                 +-----------+--+
//! ```

/// The output.
pub(crate) const WIDTH: u32 = 1280;
/// The output.
pub(crate) const HEIGHT: u32 = 720;
/// Tiles beside the large one: five of 16:9 fill the height.
pub(crate) const STRIP_TILES: usize = 5;

const STRIP_WIDTH: u32 = 256;

/// Pixels from the left and the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rect {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// The whole picture.
pub(crate) const WHOLE: Rect = Rect { x: 0, y: 0, width: WIDTH, height: HEIGHT };

/// `count` equal tiles in rows; the last row is centred.
pub(crate) fn tiles(count: usize) -> Vec<Rect> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if count == 0 {
        return Vec::new();
    }
    let columns = (1..count).find(|columns| columns * columns >= count).unwrap_or(count);
    let rows = count.div_ceil(columns);
    let (width, height) = (even(WIDTH / columns), even(HEIGHT / rows));
    let top = even((HEIGHT - rows * height) / 2);
    let place = |index: u32| {
        let (row, column) = (index / columns, index % columns);
        let in_row = columns.min(count - row * columns);
        let left = even((WIDTH - in_row * width) / 2);
        Rect { x: left + column * width, y: top + row * height, width, height }
    };
    (0..count).map(place).collect()
}

/// The large tile and `others` (at most [`STRIP_TILES`]) beside it.
pub(crate) fn speaker(others: usize) -> Vec<Rect> {
    if others == 0 {
        return vec![WHOLE];
    }
    let height = HEIGHT / STRIP_TILES as u32;
    let large = Rect { width: WIDTH - STRIP_WIDTH, ..WHOLE };
    let beside = (0..others.min(STRIP_TILES) as u32).map(|row| Rect {
        x: large.width,
        y: row * height,
        width: STRIP_WIDTH,
        height,
    });
    std::iter::once(large).chain(beside).collect()
}

const fn even(pixels: u32) -> u32 {
    pixels & !1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn assert_sound(places: &[Rect]) {
        for (index, a) in places.iter().enumerate() {
            assert!(a.x + a.width <= WIDTH && a.y + a.height <= HEIGHT, "{a:?} is inside");
            assert!([a.x, a.y, a.width, a.height].iter().all(|pixels| pixels % 2 == 0), "{a:?} is even");
            assert!(a.width >= 128 && a.height >= 72, "{a:?} can be seen");
            for b in &places[index + 1..] {
                let apart =
                    a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
                assert!(apart, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn every_number_of_tiles_fits_without_overlap() {
        for count in 0..=super::super::plan::MAX_TILES {
            let places = tiles(count);
            assert_eq!(places.len(), count);
            assert_sound(&places);
        }
        for others in 0..=STRIP_TILES {
            let places = speaker(others);
            assert_eq!(places.len(), others + 1);
            assert_sound(&places);
        }
    }

    #[test]
    fn one_fills_the_picture_four_make_quarters_and_a_short_row_is_centred() {
        assert_eq!(tiles(1), [WHOLE]);
        assert_eq!(tiles(4)[3], Rect { x: 640, y: 360, width: 640, height: 360 });
        assert_eq!(tiles(3)[2], Rect { x: 320, y: 360, width: 640, height: 360 });
    }
}
