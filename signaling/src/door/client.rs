//! Who calls: where from, under which address they know us, and what they can prove.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, MatchedPath, OptionalFromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use serde::de::DeserializeOwned;

use super::accept::Scheme;
use super::error::ApiError;
use super::rates::Whose;
use super::state::AppState;
use crate::auth::{KeyName, ParticipantClaims, hash};
use crate::clock::Timestamp;
use crate::policy::scopes::{Need, Scopes, needed};
use crate::store::UserRow;

/// The session cookie's name.
pub(super) const SESSION_COOKIE: &str = "plenum_session";

/// Where a request comes from and how it addressed us.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Scheme and host as the client knows them, without a slash at the end.
    pub(super) base_url: String,
    pub(super) secure: bool,
    pub(super) ip: IpAddr,
}

impl FromRequestParts<AppState> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let scheme = parts.extensions.get::<Scheme>().copied().unwrap_or(Scheme::Http);
        let proxied = |name: &str| if state.behind_proxy { text(&parts.headers, name) } else { None };
        let secure = match proxied("x-forwarded-proto") {
            Some(proto) => proto.eq_ignore_ascii_case("https"),
            None => scheme == Scheme::Https,
        };
        let ip = ip_of(&parts.headers, &parts.extensions, state.behind_proxy);
        let base_url = match &state.public_url {
            Some(url) => url.clone(),
            None => {
                let host = proxied("x-forwarded-host")
                    .or_else(|| text(&parts.headers, "host"))
                    .or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str))
                    .unwrap_or("localhost");
                if !is_host(host) {
                    return Err(ApiError::bad_request("The Host header is not a host name with an optional port."));
                }
                format!("{}://{host}", if secure { "https" } else { "http" })
            }
        };
        let secure = secure || base_url.starts_with("https://");
        Ok(Self { base_url, secure, ip })
    }
}

/// Where a request comes from.
pub(super) fn ip_of(headers: &HeaderMap, extensions: &Extensions, behind_proxy: bool) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    // The proxy appends whom it saw; everything before is the client's own claim.
    let told = if behind_proxy { text(headers, "x-forwarded-for") } else { None };
    let last = told.and_then(|list| list.rsplit(',').next());
    last.and_then(|last| last.trim().parse().ok()).unwrap_or(peer)
}

/// Only what a host may hold, so that a header cannot smuggle anything into links.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']'))
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
}

pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, "authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The key that signed the token of a request, if it has one that is ours.
pub(super) fn signed_by(headers: &HeaderMap, state: &AppState) -> KeyName {
    bearer(headers).map(|token| state.keys.named_by(token)).unwrap_or_default()
}

/// A signed-in person.
#[derive(Clone, Debug)]
pub(super) struct SignedIn(pub(super) UserRow);

impl FromRequestParts<AppState> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        match user(parts, state).await? {
            Some(user) => Ok(Self(user)),
            None => Err(ApiError::unauthorized()),
        }
    }
}

impl OptionalFromRequestParts<AppState> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Option<Self>, ApiError> {
        Ok(user(parts, state).await?.map(Self))
    }
}

async fn user(parts: &Parts, state: &AppState) -> Result<Option<UserRow>, ApiError> {
    if let Some(token) = bearer(&parts.headers) {
        let token_hash = hash(token);
        if let Some((user, scopes)) = state.store.bearer_of_late(&token_hash) {
            state.rates.learn(&token_hash, Whose::User(user.id));
            check_scope(parts, scopes)?;
            return Ok(Some(user));
        }
        // Another kind of token says nothing against the cookie beside it.
        if let Ok(claims) = state.keys.check_user(token) {
            // The row says whether the user still exists and what they may do now.
            let user = state.store.user(claims.sub).await?.filter(|user| claims.is_valid_for(user));
            let scopes = claims.scopes();
            if let Some(user) = &user {
                state.rates.learn(&token_hash, Whose::User(user.id));
                state.store.keep_bearer(token_hash, user, scopes);
                check_scope(parts, scopes)?;
            }
            return Ok(user);
        }
    }
    let Some(secret) = cookie(&parts.headers, SESSION_COOKIE) else { return Ok(None) };
    let secret = hash(secret);
    let Some(user) = state.store.session_user(&secret, Timestamp::now()).await? else { return Ok(None) };
    state.rates.learn(&secret, Whose::User(user.id));
    check_forgery(parts)?;
    Ok(Some(user))
}

/// Whether a token is for what is asked.
fn check_scope(parts: &Parts, scopes: Scopes) -> Result<(), ApiError> {
    if scopes == Scopes::ALL {
        return Ok(());
    }
    let template = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let writes = !matches!(parts.method, Method::GET | Method::HEAD);
    match needed(writes, template) {
        Need::Nothing => Ok(()),
        Need::Scope(scope) if scopes.allow(scope) => Ok(()),
        Need::Scope(scope) => Err(ApiError::insufficient_scope(&scope.to_string())),
        Need::Everything => Err(ApiError::insufficient_scope("of everything")),
    }
}

/// A foreign page can make a browser send our cookie, but neither JSON nor our own origin.
fn check_forgery(parts: &Parts) -> Result<(), ApiError> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) || is_json(&parts.headers) {
        return Ok(());
    }
    let host = text(&parts.headers, "host").or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str));
    let origin = text(&parts.headers, "origin").and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    if host.is_some() && origin == host {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "This request came from another site. Send Content-Type: application/json, or use a token.",
    ))
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
}

/// The Content-Type without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    Some(text(headers, "content-type")?.split(';').next()?.trim())
}

/// Somebody with a participant token that still counts.
#[derive(Clone, Debug)]
pub(super) struct Attendee(pub(super) ParticipantClaims);

impl FromRequestParts<AppState> for Attendee {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or_else(ApiError::unauthorized)?;
        attendee(token, state).await.map(Self)
    }
}

/// Reads a participant token and makes sure that its owner was not put out.
pub(super) async fn attendee(token: &str, state: &AppState) -> Result<ParticipantClaims, ApiError> {
    let claims = state.keys.check_participant(token)?;
    if let Some(user) = claims.person.user
        && !claims.is_valid_for(state.store.user(user).await?.as_ref())
    {
        return Err(ApiError::unauthorized());
    }
    if state.store.is_removed(claims.meeting, claims.participant).await? {
        return Err(ApiError::removed());
    }
    state.rates.learn(&hash(token), Whose::Participant(claims.participant));
    Ok(claims)
}

/// Anybody who can prove anything: a person, or a participant.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    User(UserRow),
    Participant(ParticipantClaims),
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Self::all(parts, state).await?.into_iter().next().ok_or_else(ApiError::unauthorized)
    }
}

impl Caller {
    /// Everything that a request proves: a browser may be organiser of one meeting and guest of another.
    pub(super) async fn all(parts: &Parts, state: &AppState) -> Result<Vec<Self>, ApiError> {
        let mut proven: Vec<Self> = user(parts, state).await?.map(Self::User).into_iter().collect();
        if let Some(token) = bearer(&parts.headers) {
            match attendee(token, state).await {
                Ok(claims) => proven.push(Self::Participant(claims)),
                Err(refused) if proven.is_empty() && refused.status == StatusCode::FORBIDDEN => return Err(refused),
                Err(_) => {}
            }
        }
        Ok(proven)
    }
}

/// What stands in a path. One that is not text names nothing.
#[derive(Clone, Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let path = <axum::extract::Path<T> as FromRequestParts<AppState>>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| ApiError::not_found("address in this API"))
    }
}

/// Whether JSON names the one character that not every store can keep. A backslash that is itself escaped begins nothing.
fn names_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        let escape = rest.get(at + 1..).unwrap_or_default();
        if escape.starts_with(b"u0000") {
            return true;
        }
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

/// Whoever sends it hears so, whatever the store is.
pub(super) fn no_nul() -> ApiError {
    ApiError::bad_request("The character U+0000 stands in no text here. Leave it out.")
}

/// A JSON body whose faults are told in our own words.
#[derive(Clone, Debug)]
pub(super) struct ApiJson<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AppState> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body must be JSON. Send Content-Type: application/json.",
            ));
        }
        let body = body(Bytes::from_request(request, state).await)?;
        if names_nul(&body) {
            return Err(no_nul());
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            // serde's text may quote what the client sent; only its place is told.
            ApiError::bad_request(format!(
                "The body is not the JSON that this address takes (line {}, column {}). See the field names in the \
                 documentation.",
                error.line(),
                error.column()
            ))
        })
    }
}

/// A body that was read, or why not.
pub(super) fn body(read: Result<Bytes, BytesRejection>) -> Result<Bytes, ApiError> {
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            "The body is larger than this address takes. Send less.",
        ),
        _ => ApiError::bad_request("The body could not be read to its end. Send it again."),
    })
}

/// A body of any type, bounded by the route.
#[derive(Clone, Debug)]
pub(super) struct RawBody(pub(super) Bytes);

impl FromRequest<AppState> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        body(Bytes::from_request(request, state).await).map(Self)
    }
}

/// The headers, for handlers that decide by them.
#[derive(Clone, Debug)]
pub(super) struct Head(pub(super) Parts);

impl FromRequestParts<AppState> for Head {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        Ok(Self(parts.clone()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn a_cookie_is_found_among_others_and_only_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; xplenum_session=no; plenum_session=yes"));
        assert_eq!(cookie(&headers, SESSION_COOKIE), Some("yes"));
        assert_eq!(cookie(&headers, "session"), None);
    }

    #[test]
    fn a_character_is_told_from_the_words_for_it() {
        for text in ["\0", "a\0", "\\\0", "\\\\\0 end"] {
            assert!(names_nul(&serde_json::to_vec(text).unwrap()), "{text:?}");
        }
        for text in ["", "\\u0000", "\\\\u0000", "\\", "u0000", "\u{1}", "\\\n\\u0000"] {
            assert!(!names_nul(&serde_json::to_vec(text).unwrap()), "{text:?}");
        }
        assert!(!names_nul(b"\\"), "what breaks off is no JSON, which is told later");
    }

    #[test]
    fn only_hosts_are_taken_for_hosts() {
        for host in ["localhost:8080", "[::1]:8080", "meet.example.org"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "a/b", "a b", "a\"b", "user@host", "a#b"] {
            assert!(!is_host(host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_readers_panic(value in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(header::COOKIE, value.clone());
                headers.insert(header::AUTHORIZATION, value.clone());
                headers.insert(header::CONTENT_TYPE, value);
            }
            let _ = (cookie(&headers, SESSION_COOKIE), bearer(&headers), media_type(&headers));
        }
    }
}
