//! What people write, made safe to keep and to show.

mod html;

pub use html::{Html, sanitise};
