//! The name of a recording.
//!
//! Whoever starts a recording makes its number; here it is a key, a folder name and a part of object paths, always in
//! the one text form `rec_<32 hex digits>`.

use std::fmt;
use std::str::FromStr;

use engine::id::ParticipantId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One recording of one meeting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordingId(pub u128);

/// The text was not `rec_` and 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a recording id: it must be rec_ and 32 hex digits")]
pub struct BadRecordingId;

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rec_{:032x}", self.0)
    }
}

impl fmt::Debug for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RecordingId {
    type Err = BadRecordingId;

    fn from_str(text: &str) -> Result<Self, BadRecordingId> {
        hex_after("rec_", text).map(Self).ok_or(BadRecordingId)
    }
}

impl Serialize for RecordingId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordingId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A participant as journals and manifests name it: `par_<32 hex digits>`, the form that the API shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ParticipantName(pub(crate) ParticipantId);

impl Serialize for ParticipantName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("par_{:032x}", self.0.0))
    }
}

impl<'de> Deserialize<'de> for ParticipantName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        hex_after("par_", &text)
            .map(|number| Self(ParticipantId(number)))
            .ok_or_else(|| serde::de::Error::custom("not a participant id"))
    }
}

fn hex_after(prefix: &str, text: &str) -> Option<u128> {
    let digits = text.strip_prefix(prefix)?;
    let plain = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn text_form_round_trips_and_nothing_else_is_taken() {
        let id = RecordingId(0xabc);
        let text = id.to_string();
        assert_eq!(text, "rec_00000000000000000000000000000abc");
        assert_eq!(text.parse::<RecordingId>(), Ok(id));
        for bad in
            ["", "rec_", "rec_abc", "par_00000000000000000000000000000abc", "rec_+0000000000000000000000000000abc"]
        {
            assert_eq!(bad.parse::<RecordingId>(), Err(BadRecordingId), "{bad}");
        }
    }
}
