//! A recording as the API shows it: the row for lists, and with what the recorder says of it for one.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, RecordingId};
use crate::policy::recordings::{Action, Life};
use crate::ports::{RecordedTrack, RecordingContents, Rendition, RenditionKind, RenditionState};
use crate::store::{MeetingRow, RecordingRow, RecordingRowState};

/// Whether there is a link to a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Sharing {
    /// It is for those who may read it.
    Off,
    /// And for whoever has its link.
    Link,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingPart)]
struct PartBody {
    /// From 1.
    number: u32,
    /// The first part; the recording itself, if it is the first.
    first: RecordingId,
}

/// A recording as the API shows it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Recording)]
pub(in crate::door) struct RecordingBody {
    id: RecordingId,
    meeting_id: MeetingId,
    /// The meeting's, as it is now.
    subject: String,
    state: RecordingRowState,
    created_date_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_date_time: Option<Timestamp>,
    /// How long it is, once it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    /// Bytes in the store, once it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Which part it is of what somebody began to record.
    part: PartBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<ParticipantId>,
    /// When it is deleted by itself; null: never.
    expiration_date_time: Option<Timestamp>,
    /// When it was deleted; shown to those who may bring it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_date_time: Option<Timestamp>,
    sharing: Sharing,
    /// The link, in the answer that made it and in no other: what is kept of it does not open anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    share_url: Option<String>,
    /// What the caller may do.
    permissions: Vec<Action>,
    /// The composed recording.
    content_url: String,
}

impl RecordingBody {
    pub(super) fn of(meeting: &MeetingRow, row: &RecordingRow, permissions: Vec<Action>, now: Timestamp) -> Self {
        let deleted = match row.life(now) {
            Life::Kept => None,
            Life::Expired => row.expires,
            Life::Deleted | Life::Purged => row.deleted,
        };
        Self {
            id: row.id,
            meeting_id: row.meeting,
            subject: meeting.subject.clone(),
            state: row.state,
            created_date_time: row.started,
            end_date_time: row.ended,
            duration_ms: row.duration_ms,
            size: row.size,
            part: PartBody { number: row.part, first: row.first },
            by: row.by,
            expiration_date_time: row.expires,
            deleted_date_time: deleted,
            sharing: if row.share.is_some() { Sharing::Link } else { Sharing::Off },
            share_url: None,
            permissions,
            content_url: whole_url(row.id),
        }
    }

    /// With its new link.
    pub(super) fn shared_by(self, url: Option<String>) -> Self {
        Self { share_url: url, ..self }
    }
}

/// A recording with what is in it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingContents)]
pub(in crate::door) struct ContentsBody {
    #[serde(flatten)]
    recording: RecordingBody,
    /// The account that began it, by its name now.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_by: Option<String>,
    /// Whether everything is written and confirmed by the store.
    complete: bool,
    /// Bytes of the composed recording; none while nothing of it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_size: Option<u64>,
    /// Of the composed recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    tracks: Vec<TrackBody>,
    renditions: Vec<RenditionBody>,
    manifest_url: String,
    timeline_url: String,
    speakers_url: String,
    /// For those who may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_url: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingTrack)]
struct TrackBody {
    #[serde(flatten)]
    track: RecordedTrack,
    content_url: String,
}

impl ContentsBody {
    pub(super) fn of(recording: RecordingBody, started_by: Option<String>, contents: RecordingContents) -> Self {
        let id = recording.id;
        let tracks = contents.tracks.into_iter();
        let tracks = tracks.map(|track| TrackBody { content_url: content_url(id, track.number), track }).collect();
        let reads_chat = recording.permissions.contains(&Action::ReadChat);
        Self {
            // While it runs only the recorder knows.
            recording: RecordingBody { duration_ms: recording.duration_ms.or(Some(contents.duration_ms)), ..recording },
            started_by,
            complete: contents.complete,
            content_size: contents.content_size,
            content_type: contents.content_type,
            tracks,
            renditions: contents.renditions.into_iter().map(|one| RenditionBody::of(id, one)).collect(),
            manifest_url: address(id, "manifest"),
            timeline_url: address(id, "timeline"),
            speakers_url: address(id, "speakers"),
            chat_url: reads_chat.then(|| address(id, "chat")),
        }
    }
}

/// Something that was made, or is being made, of a recording.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingRendition)]
pub(in crate::door) struct RenditionBody {
    /// Its name within the recording.
    name: String,
    #[serde(flatten)]
    what: RenditionKind,
    #[serde(flatten)]
    state: RenditionState,
    /// Once it is ready.
    files: Vec<FileBody>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingFile)]
struct FileBody {
    name: String,
    content_url: String,
}

impl RenditionBody {
    pub(super) fn of(recording: RecordingId, rendition: Rendition) -> Self {
        let file = |name: String| FileBody { content_url: address(recording, &format!("files/{name}")), name };
        Self {
            name: rendition.name,
            what: rendition.what,
            state: rendition.state,
            files: rendition.files.into_iter().map(file).collect(),
        }
    }
}

/// Where something of a recording is.
pub(super) fn address(recording: RecordingId, what: &str) -> String {
    format!("/v1/recordings/{recording}/{what}")
}

/// Where the composed recording is.
pub(in crate::door) fn whole_url(recording: RecordingId) -> String {
    address(recording, "content")
}

/// Where a track's bytes are.
pub(in crate::door) fn content_url(recording: RecordingId, track: u32) -> String {
    address(recording, &format!("tracks/{track}/content"))
}
