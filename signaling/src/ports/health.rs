//! How the network treats one endpoint, as the engine measures it.
//!
//! Carried to the page as it is, so these words are the contract's as well. What is not known is null, and is never guessed.

use serde::{Deserialize, Serialize};

use super::PublicationKind;

/// One endpoint's network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaHealth {
    /// The path to it; null before anything is known of it.
    pub down: Option<DownlinkHealth>,
    /// Its slots that somebody's picture is meant for.
    pub slots: Vec<SlotHealth>,
    /// What it sends that is not muted.
    pub up: Vec<UplinkHealth>,
    /// The mix that it hears in the place of voices; null: it hears none.
    pub mix: Option<MixHealth>,
}

/// How the mix of a meeting went in the last two seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MixHealth {
    /// Milliseconds by which the latest 20 ms of it were made late.
    pub late: u32,
    /// Parts of 20 ms that were too late to be made.
    pub skipped: u32,
    /// Encodes that were saved by making one for all who hear the same, and none of silence.
    pub encodes_saved: u32,
}

/// The path to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DownlinkHealth {
    /// Bits a second that it is believed to carry.
    pub target: u64,
    /// Bits a second that arrive.
    pub arriving: Option<u64>,
    /// Of a thousand packets so many do not arrive at first.
    pub loss_permille: Option<u16>,
    /// Milliseconds from the departure of a packet to what is told of it.
    pub round_trip: Option<u32>,
    /// Milliseconds that packets wait on the path.
    pub queue: u32,
    /// What keeps it from carrying more.
    pub limit: HealthLimit,
}

/// What keeps a path from carrying more than it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthLimit {
    /// Nothing that was met.
    Nothing,
    /// Packets queue up on it.
    Queue,
    /// Packets are lost.
    Loss,
    /// Nothing is heard of it.
    Silence,
    /// Its client wants no more.
    Client,
    /// The operator has set it.
    Operator,
}

/// What a slot shows of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotHealth {
    /// The m-line.
    pub mid: String,
    /// Whose picture is meant to be there.
    pub publication_id: u32,
    /// The simulcast layer that is sent, 0 is the lowest; null: nothing is.
    pub layer: Option<u8>,
    /// The layer that its tile is made for.
    pub wanted: u8,
    /// Bits a second of the layer that is sent.
    pub bitrate: Option<u32>,
    /// Why it is not more.
    pub reason: HealthReason,
}

/// Why a receiver gets the layer that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthReason {
    /// It is what the tile is made for.
    Wanted,
    /// The receiver's path carries no more.
    Network,
    /// The publisher sends no more.
    Source,
}

/// What arrives of a publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UplinkHealth {
    /// Which.
    pub publication_id: u32,
    /// Microphone or camera.
    pub kind: PublicationKind,
    /// Bits a second of each simulcast layer, the lowest first; null: it does not arrive.
    pub bitrates: Vec<Option<u32>>,
    /// Packets that were sent since the last look.
    pub packets: u32,
    /// Of a thousand of them so many did not come at first; null: there were none.
    pub loss_permille: Option<u16>,
    /// The same of those that neither sending again nor redundancy made good.
    pub missing_permille: Option<u16>,
    /// Milliseconds by which they come unevenly (RFC 3550).
    pub jitter: u32,
    /// How it goes into the meeting's mix; null: it was not heard there.
    pub mixed: Option<MixedHealth>,
}

/// How a voice goes into a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MixedHealth {
    /// Of a thousand samples so many had to be made up: they were lost on the way, or came too late.
    pub concealed_permille: u16,
    /// The same of those that were added or taken away, to follow its clock and its delays.
    pub stretched_permille: u16,
}
