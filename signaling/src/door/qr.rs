//! A link as a picture that the camera of another device reads (ISO/IEC 18004), in SVG.
//!
//! Drawn here and not in the page: the link is a secret, and what draws it need not be one more thing that every page loads.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules of quiet around the picture, as the standard wants it.
const QUIET: i32 = 4;

/// A text as an SVG document, one unit a module; none where it is too long (some 2,000 octets).
pub(super) fn svg(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut dark = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // Writing to a String does not fail.
            let _ = write!(dark, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    let size = code.size() + 2 * QUIET;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{size}v{size}h-{size}z\"/><path fill=\"#000\" d=\"{dark}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Which modules the second path of the picture covers.
    fn drawn(svg: &str) -> (usize, Vec<(usize, usize)>) {
        let size = svg.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let path = svg.rsplit("d=\"").next().unwrap().split('"').next().unwrap();
        let corners = path.split('M').skip(1).map(|square| square.split('h').next().unwrap().split_once(' ').unwrap());
        (size, corners.map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).collect())
    }

    #[test]
    fn another_reader_reads_the_link() {
        let link = "https://meet.example.org/#key=N2Yk3vXq0mZ1c8WfT5uJrB6sDpLhGaEo9iKxQyRtVzA";
        let (size, dark) = drawn(&svg(link).unwrap());
        // As a camera sees it: some pixels a module.
        let mut seen = rqrr::PreparedImage::prepare_from_greyscale(size * 4, size * 4, |x, y| {
            if dark.contains(&(x / 4, y / 4)) { 0 } else { 255 }
        });
        let grids = seen.detect_grids();
        assert_eq!(grids.len(), 1);
        assert_eq!(grids.first().unwrap().decode().unwrap().1, link);
    }

    #[test]
    fn what_is_too_long_has_no_picture() {
        assert!(svg(&"a".repeat(5_000)).is_none());
    }
}
