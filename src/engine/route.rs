//! Who gets what: meetings, their publications, who fills whose slots, and what travels back.
//!
//! ```text
//! ingest: Arrived -> fanout over the publication's slots -> egress
//! speaker, loudest (levels) + wants -> select -> slots
//! egress: key-frame wish -> Feedback -> ingest of the publisher
//! ```

pub mod allocate;
pub mod feedback;
pub mod loudest;
pub mod select;
pub mod speaker;
