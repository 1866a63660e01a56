//! The server's door: make a meeting, join it, offer media (WHIP, WHEP), leave.

use hyper::{Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;

use crate::http::{self, Answer, Call, HttpError};
use crate::metrics::Sample;
use crate::target::{self, Reach, TargetError};

const JSON: &str = "application/json";
const SDP: &str = "application/sdp";
/// An error's text is shown up to here; what is longer is no text of this server.
const SHOWN_CHARACTERS: usize = 300;

/// Why a client did not get in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The address of a command line or an answer.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// An answer that says no.
    #[error("the server refused to {what} ({status}): {message}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// HTTP status.
        status: StatusCode,
        /// The server's reason.
        message: String,
    },
    /// An answer that is not understood.
    #[error("the server's answer to \"{0}\" is not understood: {1}")]
    Answer(&'static str, String),
}

/// A meeting to fill.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meeting {
    /// What `POST /v1/join` wants.
    pub join_web_url: String,
    /// Set when we made it ourselves.
    #[serde(default)]
    id: Option<String>,
}

impl Meeting {
    /// A meeting of somebody else's.
    #[must_use]
    pub fn of_link(join_web_url: String) -> Self {
        Self { join_web_url, id: None }
    }
}

/// A participant's place in the meeting.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Seat {
    pub(crate) token: String,
    pub(crate) signal_url: String,
    whip_url: String,
    whep_url: String,
    is_in_lobby: bool,
}

/// Which way media goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Publish,
    Play,
}

/// An accepted offer.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) answer: String,
    resource: Uri,
    token: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: String,
}

/// A server's door.
#[derive(Clone, Debug)]
pub struct Door {
    server: Uri,
    reach: Reach,
}

impl Door {
    /// The door at that address.
    ///
    /// # Errors
    /// When load may not go there.
    pub fn at(server: Uri, reach: Reach) -> Result<Self, TargetError> {
        target::Target::of(&server, reach)?;
        Ok(Self { server, reach })
    }

    /// Makes a meeting as the user of that token.
    ///
    /// # Errors
    /// When the server refuses, or is not there.
    pub async fn create_meeting(&self, user_token: &str) -> Result<Meeting, JoinError> {
        let what = "create a meeting";
        // Nobody but load comes to it.
        let body = json!({"subject": "Load test", "canAnonymousStart": true}).to_string();
        let uri = self.path("/v1/onlineMeetings")?;
        parse(what, &self.ask(what, Method::POST, &uri, Some(user_token), JSON, body).await?)
    }

    /// Deletes a meeting that [`Self::create_meeting`] made; leaves others alone.
    ///
    /// # Errors
    /// When the server refuses, or is not there.
    pub async fn delete_meeting(&self, meeting: &Meeting, user_token: &str) -> Result<(), JoinError> {
        let Some(id) = &meeting.id else { return Ok(()) };
        let uri = self.path(&format!("/v1/onlineMeetings/{id}"))?;
        self.ask("delete the meeting", Method::DELETE, &uri, Some(user_token), JSON, String::new()).await?;
        Ok(())
    }

    /// Joins under that name.
    pub(crate) async fn join(&self, meeting: &Meeting, name: &str) -> Result<Seat, JoinError> {
        let what = "let a participant join";
        let body = json!({"joinWebUrl": meeting.join_web_url, "displayName": name}).to_string();
        let uri = self.path("/v1/join")?;
        let seat: Seat = parse(what, &self.ask(what, Method::POST, &uri, None, JSON, body).await?)?;
        if seat.is_in_lobby {
            return Err(JoinError::Answer(
                what,
                "the participant waits in the lobby; open the meeting to guests".into(),
            ));
        }
        Ok(seat)
    }

    /// Offers media.
    pub(crate) async fn offer(&self, seat: &Seat, way: Way, sdp: String) -> Result<Session, JoinError> {
        let (what, url) = match way {
            Way::Publish => ("publish (WHIP)", &seat.whip_url),
            Way::Play => ("play (WHEP)", &seat.whep_url),
        };
        let uri = target::parse(url)?;
        let answer = self.ask(what, Method::POST, &uri, Some(&seat.token), SDP, sdp).await?;
        let location = answer.location.as_deref().unwrap_or_default();
        let resource = resolve(&uri, location)
            .ok_or_else(|| JoinError::Answer(what, "its Location header names no resource".to_owned()))?;
        let answer = String::from_utf8(answer.body.into())
            .map_err(|_| JoinError::Answer(what, "the SDP is not UTF-8 text".to_owned()))?;
        Ok(Session { answer, resource, token: seat.token.clone() })
    }

    /// The server's own counters, if it lets us read them.
    pub(crate) async fn metrics(&self) -> Option<Sample> {
        let uri = self.path("/metrics").ok()?;
        let page = self.ask("show its metrics", Method::GET, &uri, None, JSON, String::new()).await.ok()?;
        Some(Sample::read(std::str::from_utf8(&page.body).ok()?))
    }

    /// How far its clients may go.
    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    /// Ends an accepted offer.
    pub(crate) async fn end(&self, session: &Session) -> Result<(), JoinError> {
        let token = Some(session.token.as_str());
        self.ask("end a session", Method::DELETE, &session.resource, token, SDP, String::new()).await?;
        Ok(())
    }

    fn path(&self, path: &str) -> Result<Uri, TargetError> {
        resolve(&self.server, path).ok_or_else(|| TargetError::NotAnAddress(path.to_owned()))
    }

    async fn ask(
        &self,
        what: &'static str,
        method: Method,
        uri: &Uri,
        token: Option<&str>,
        content_type: &'static str,
        body: String,
    ) -> Result<Answer, JoinError> {
        let answer = http::send(Call { method, uri, token, content_type, body }, self.reach).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let message = serde_json::from_slice(&answer.body).map_or_else(
            |_| "no reason given".to_owned(),
            |ErrorBody { error }| error.message.chars().take(SHOWN_CHARACTERS).collect(),
        );
        Err(JoinError::Refused { what, status: answer.status, message })
    }
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, answer: &Answer) -> Result<T, JoinError> {
    serde_json::from_slice(&answer.body).map_err(|error| JoinError::Answer(what, error.to_string()))
}

/// A `Location` is a whole address or a path on the same server.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location: Uri = location.parse().ok()?;
    if location.authority().is_some() {
        return location.scheme().is_some().then_some(location);
    }
    let path = location.path_and_query().filter(|path| path.as_str().starts_with('/'))?;
    Uri::builder()
        .scheme(base.scheme()?.clone())
        .authority(base.authority()?.clone())
        .path_and_query(path.clone())
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_location_may_be_a_path_or_a_whole_address() {
        let base: Uri = "http://127.0.0.1:8080/whip?x=1".parse().unwrap();
        let resolved = |location| resolve(&base, location).map(|uri| uri.to_string());
        assert_eq!(resolved("/whip/ses_1").as_deref(), Some("http://127.0.0.1:8080/whip/ses_1"));
        assert_eq!(resolved("http://127.0.0.1:9/a").as_deref(), Some("http://127.0.0.1:9/a"));
        for useless in ["", "whip/ses_1", "*", "not a location"] {
            assert_eq!(resolved(useless), None, "{useless:?}");
        }
    }

    #[test]
    fn a_door_elsewhere_does_not_open() {
        let elsewhere: Uri = "http://192.0.2.1:8080".parse().unwrap();
        assert!(matches!(Door::at(elsewhere, Reach::Loopback), Err(TargetError::Remote(_))));
    }
}
