//! A recording by a link, for people who have no account of its organisation.
//!
//! ```text
//! PATCH sharing: "link" -> shareUrl, said once; the store keeps the secret's SHA-256
//! GET shareUrl -> the secret becomes a cookie for this recording alone -> 303 to the recording
//! PATCH sharing: "off", or "link" again -> the hash goes: link and cookies open nothing, downloads by them end
//! ```
//!
//! The secret stands in an address only until the link is opened: what the browser shows, keeps and tells others
//! afterwards (Referer) is the recording's own address, and our log knows routes, not paths. The cookie is `Lax`, since
//! people come from their mail; it opens nothing that changes anything.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::client::{Client, Path};
use super::super::error::{ApiError, ErrorBody};
use super::super::sign_in::set_lax_cookie;
use super::super::state::AppState;
use super::access::{gone, unknown};
use crate::auth::{Secret, hash, same};
use crate::clock::Timestamp;
use crate::id::RecordingId;
use crate::policy::recordings::Life;
use crate::store::RecordingRow;

/// The cookie that opens a shared recording.
pub(in crate::door) const COOKIE: &str = "plenum_shared";
/// How long a browser keeps it; the link can be opened again.
const COOKIE_SECONDS: i64 = 12 * 3600;

/// A new link, and what the store keeps of it.
pub(super) struct NewLink {
    pub(super) url: String,
    pub(super) stored: String,
}

/// Makes a link to a recording.
pub(super) fn new_link(client: &Client, recording: RecordingId) -> NewLink {
    let secret = Secret::generate_short();
    let url = format!("{}/v1/recordings/{recording}/shared/{}", client.base_url, secret.reveal());
    NewLink { url, stored: digest(secret.reveal()) }
}

/// Whether a secret opens a recording.
pub(super) fn opens(row: &RecordingRow, secret: &str) -> bool {
    row.share.as_ref().is_some_and(|share| same(share, &digest(secret)))
}

fn digest(secret: &str) -> String {
    hash(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `GET /v1/recordings/{id}/shared/{secret}`: the link by which a recording is shared.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/shared/{secret}",
    operation_id = "openSharedRecording",
    tag = "recordings",
    summary = "Open a recording by its link",
    params(
        ("id" = RecordingId, Path, description = "The recording"),
        ("secret" = String, Path, description = "Of the link")
    ),
    responses(
        (status = 303, description = "To the recording; the cookie opens it for half a day",
            headers(("location", description = "The recording"))),
        (status = 410, description = "`recording_expired`, `recording_deleted`", body = ErrorBody)
    )
)]
pub(in crate::door) async fn open(
    State(state): State<AppState>,
    client: Client,
    Path((id, secret)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let id: RecordingId = id.parse().map_err(|_| unknown())?;
    let row = state.store.recording(id).await?.filter(|row| opens(row, &secret)).ok_or_else(unknown)?;
    let life = row.life(Timestamp::now());
    if life != Life::Kept {
        return Err(gone(life));
    }
    let path = format!("/v1/recordings/{id}");
    let cookie = set_lax_cookie(COOKIE, &secret, &path, COOKIE_SECONDS, client.secure);
    // An id is printable.
    let location = HeaderValue::from_str(&path).map_err(|_| unknown())?;
    let headers = [(header::LOCATION, location), (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
    Ok((StatusCode::SEE_OTHER, cookie, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MeetingId;
    use crate::store::RecordingRowState;

    fn row(share: Option<String>) -> RecordingRow {
        let id = RecordingId::generate();
        RecordingRow {
            id,
            meeting: MeetingId::generate(),
            run: 1,
            state: RecordingRowState::Ready,
            started: Timestamp::from_millis(0),
            ended: None,
            by: None,
            starter: None,
            first: id,
            part: 1,
            duration_ms: None,
            size: None,
            expires: None,
            deleted: None,
            purged: None,
            share,
        }
    }

    #[test]
    fn only_the_secret_of_the_link_opens_and_what_is_stored_does_not() {
        let client = Client {
            base_url: "https://meet.example.org".to_owned(),
            secure: true,
            ip: std::net::IpAddr::from([0; 4]),
        };
        let shared = row(None);
        let link = new_link(&client, shared.id);
        let secret = link.url.rsplit('/').next().unwrap_or_default().to_owned();
        assert!(secret.len() >= 22 && !link.stored.contains(&secret));
        let shared = RecordingRow { share: Some(link.stored.clone()), ..shared };
        assert!(opens(&shared, &secret));
        for wrong in
            ["", "x", &link.stored, &secret.replacen('-', "_", 1).to_uppercase(), &new_link(&client, shared.id).stored]
        {
            assert!(!opens(&shared, wrong), "{wrong}");
        }
        assert!(!opens(&row(None), &secret) && !opens(&row(None), ""));
    }
}
