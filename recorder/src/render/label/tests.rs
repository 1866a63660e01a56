//! Names are lines of limited length, whatever was typed.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn names_are_one_line_and_as_long_as_their_tile_is_wide() {
    let text = |name: &str, room| fitted(name, "", room);
    assert_eq!(text("Ada Lovelace", 20.0), "Ada Lovelace");
    assert_eq!(text(" Ada\n\tLovelace\u{7}\0 ", 20.0), "Ada Lovelace");
    assert_eq!(text("\u{202E}evil\u{200B}", 20.0), "evil");
    assert_eq!(text("'%{pts}:\\\\[x];", 20.0), "'%{pts}:\\\\[x];", "none of it means anything in a file");
    assert_eq!(text(&"long ".repeat(60), 10.0), "long long lon\u{2026}");
    assert_eq!(fitted("Ada", " (screen)", 20.0), "Ada (screen)");
    assert_eq!(fitted(&"Ada".repeat(100), " (screen)", 10.0), "AdaA\u{2026} (screen)");
    assert_eq!(text("\n", 20.0), "");
    assert_eq!(text("\u{5B57}\u{5B57}\u{5B57}", 3.2), "\u{5B57}\u{5B57}\u{2026}", "wide letters count as such");
}
