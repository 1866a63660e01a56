//! The subset of HTML that a message may have.
//!
//! Whatever comes in is taken apart and put together anew by `ammonia`, from a list of what is allowed: a page may show the
//! outcome as it is. Beside it stands the plain text of the same message, for search, previews and clients without HTML.

use std::collections::HashSet;
use std::sync::LazyLock;

use ammonia::Builder;

/// Marks for text, paragraphs, lists, quotes, code, links. No pictures, no styles, no classes, nothing that loads or runs.
const TAGS: [&str; 17] =
    ["p", "br", "b", "strong", "i", "em", "u", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "sub", "sup"];
/// Where a link may lead.
const SCHEMES: [&str; 3] = ["http", "https", "mailto"];
/// What begins on a line of its own in plain text.
const BLOCKS: [&str; 6] = ["p", "pre", "blockquote", "ul", "ol", "li"];

/// A message with marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Html {
    /// Safe to put into a page.
    pub html: String,
    /// The same without marks.
    pub text: String,
}

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut cleaner = Builder::empty();
    cleaner
        .tags(HashSet::from(TAGS))
        .generic_attributes(HashSet::new())
        .tag_attributes([("a", HashSet::from(["href"]))].into())
        .url_schemes(HashSet::from(SCHEMES))
        .url_relative(ammonia::UrlRelative::Deny)
        .clean_content_tags(HashSet::from(["script", "style"]))
        .link_rel(Some("noopener noreferrer nofollow"));
    cleaner
});

/// Keeps what is allowed and leaves out the rest.
#[must_use]
pub fn sanitise(html: &str) -> Html {
    let html = CLEANER.clean(html).to_string();
    let text = plain(&html);
    Html { html, text }
}

/// The text of what the cleaner has put together: every `<` begins a tag, and there are few entities.
fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        unescape(before, &mut text);
        let Some((tag, next)) = after.split_once('>') else { break };
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        let breaks = name == "br" || BLOCKS.contains(&name);
        if breaks && !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        rest = next;
    }
    unescape(rest, &mut text);
    text.truncate(text.trim_end().len());
    text
}

fn unescape(escaped: &str, text: &mut String) {
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let known = [("amp;", '&'), ("lt;", '<'), ("gt;", '>'), ("quot;", '"'), ("nbsp;", ' ')];
        match known.iter().find_map(|(name, character)| Some((after.strip_prefix(name)?, character))) {
            Some((next, character)) => {
                text.push(*character);
                rest = next;
            }
            None => {
                text.push('&');
                rest = after;
            }
        }
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(text: &str) -> String {
        sanitise(text).html
    }

    #[test]
    fn marks_stay_and_everything_that_loads_runs_or_dresses_goes() {
        let allowed = "<p>Hello <b>you</b>, <a href=\"https://example.org/a?b=1&amp;c\" rel=\"noopener noreferrer nofollow\">here</a></p>";
        assert_eq!(html(allowed), allowed);
        for (bad, good) in [
            ("<script>alert(1)</script>x", "x"),
            ("<img src=x onerror=alert(1)>x", "x"),
            ("<b onclick=alert(1)>x</b>", "<b>x</b>"),
            ("<a href=\"javascript:alert(1)\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<a href=\"/v1/session\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<p style=\"position:fixed\" class=tile id=app>x</p>", "<p>x</p>"),
            ("<svg><style><b title=\"</style><img src=x onerror=alert(1)>\"></style></svg>", "<b></b>"),
            ("<iframe srcdoc=\"<script>1</script>\"></iframe>x", "x"),
            ("<<b>x", "&lt;<b>x</b>"),
        ] {
            assert_eq!(html(bad), good, "{bad}");
        }
    }

    #[test]
    fn the_plain_text_says_the_same() {
        for (marked, plain) in [
            ("<p>One</p><p>Two &amp; <i>three</i></p>", "One\nTwo & three"),
            ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("1 &lt; 2 &quot;yes&quot;&nbsp;&unknown;", "1 < 2 \"yes\" &unknown;"),
            ("<code>if (a &lt; b) {}</code>", "if (a < b) {}"),
            ("<p> </p>", ""),
        ] {
            assert_eq!(sanitise(marked).text, plain, "{marked}");
        }
    }

    proptest! {
        #[test]
        fn nothing_gets_through_and_cleaning_twice_changes_nothing(
            parts in proptest::collection::vec(prop_oneof![
                Just("<script>".to_owned()), Just("</p>".to_owned()), Just("<a href='javascript:".to_owned()),
                Just("<svg/onload=".to_owned()), Just("\"'>".to_owned()), Just("<!--".to_owned()), Just("&lt;".to_owned()),
                Just("<math><mi>".to_owned()), Just("<b>".to_owned()), "[ -~]{0,8}", any::<String>(),
            ], 0..12)
        ) {
            let once = html(&parts.concat());
            prop_assert_eq!(&html(&once), &once);
            let mut rest = once.as_str();
            while let Some((_, after)) = rest.split_once('<') {
                let (tag, next) = after.split_once('>').unwrap_or((after, ""));
                let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
                prop_assert!(TAGS.contains(&name), "<{}> in {}", tag, once);
                prop_assert!(!tag.contains("javascript:") || tag.contains("href=\"http"), "{}", once);
                rest = next;
            }
        }
    }
}
