//! Why a packet was refused: one small `Copy` value, because refusing must stay cheaper than
//! sending, and because its label becomes a metric and its text a log line.

/// What is wrong with a packet from outside. It carries no bytes of the packet on purpose:
/// payloads, names and addresses must not reach a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// The packet ends before a field that its format requires.
    #[error("the packet ends before a field it must have; it is dropped")]
    Truncated,
    /// The version bits are not 2, so it is neither RTP nor RTCP.
    #[error("the version is not 2, so this is neither RTP nor RTCP; it is dropped")]
    Version,
    /// A length or count field contradicts the packet or exceeds our ceiling.
    #[error("a length or count in the packet contradicts its size or our ceiling; it is dropped")]
    Length,
    /// The padding count is zero or larger than what it pads.
    #[error("the padding count is zero or larger than the packet; it is dropped")]
    Padding,
    /// The header extension does not fit into the packet.
    #[error("the header extension is longer than the packet; it is dropped")]
    Extension,
    /// A field holds a value that its format reserves.
    #[error("the packet holds a reserved or unexpected type; it is dropped")]
    Type,
}

impl Malformed {
    /// A short, stable word for the label of a metric.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Version => "version",
            Self::Length => "length",
            Self::Padding => "padding",
            Self::Extension => "extension",
            Self::Type => "type",
        }
    }
}
