//! The routes of the API: each is registered where it is described, so that none is without the other.
//!
//! `#[utoipa::path]` at a handler says method, path and what goes in and out; `routes!` makes a route of it and a part of
//! the document. What is no API (page, health, fallbacks) is registered in `mod.rs` beside these.

use axum::extract::DefaultBodyLimit;
use axum::routing::{options, patch};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::state::AppState;
use super::{JSON_BYTES, MESSAGE_BODY};
use super::{chats, document, feed, identity, join, live, meetings, people, policies, recordings, sign_in, whip};
use crate::protocol::{FRAME_BYTES, SDP_BYTES};

/// Every route of the API, with its description.
pub(super) fn api() -> OpenApiRouter<AppState> {
    let message = DefaultBodyLimit::max(MESSAGE_BODY);
    let offer = DefaultBodyLimit::max(SDP_BYTES);
    let frame = DefaultBodyLimit::max(FRAME_BYTES + JSON_BYTES);
    OpenApiRouter::default()
        .routes(routes!(document::read))
        .routes(routes!(sign_in::sign_in, sign_in::sign_out))
        .routes(routes!(identity::me, identity::rename))
        .routes(routes!(identity::sign_out_everywhere))
        .routes(routes!(identity::device_link))
        .routes(routes!(identity::invite))
        .routes(routes!(identity::sign_somebody_out))
        .routes(routes!(people::search))
        .routes(routes!(policies::mine))
        .routes(routes!(policies::read, policies::change))
        .routes(routes!(policies::read_of, policies::change_of))
        .routes(routes!(meetings::list, meetings::create))
        .routes(routes!(meetings::read, meetings::change, meetings::delete))
        .routes(routes!(meetings::create_or_get))
        .routes(routes!(meetings::reset_join_link))
        .routes(routes!(meetings::invitation::invitation))
        .routes(routes!(meetings::attendance::list))
        .routes(routes!(meetings::attendance::read))
        .routes(routes!(meetings::attendance::content))
        .routes(routes!(meetings::phone_calls::list, meetings::phone_calls::dial))
        .routes(routes!(meetings::phone_calls::read, meetings::phone_calls::hang_up))
        .routes(routes!(recordings::lists::list))
        .routes(routes!(join::preview))
        .routes(routes!(join::join))
        .routes(routes!(live::websocket))
        .routes(routes!(live::poll).layer(frame))
        .routes(routes!(chats::rows::create))
        .routes(routes!(chats::rows::read, chats::rows::change))
        .routes(routes!(chats::members::list, chats::members::add))
        .routes(routes!(chats::members::remove))
        .routes(routes!(chats::messages::page, chats::messages::write).layer(message))
        .routes(routes!(chats::messages::change, chats::messages::delete).layer(message))
        .routes(routes!(chats::messages::react))
        .routes(routes!(chats::rows::mark_read))
        .routes(routes!(chats::rows::typing))
        .routes(routes!(chats::rows::mine))
        .routes(routes!(feed::events))
        .routes(routes!(chats::search::search))
        .routes(routes!(recordings::lists::mine))
        .routes(routes!(recordings::read, recordings::change, recordings::delete))
        .routes(routes!(recordings::restore))
        .routes(routes!(recordings::content::content))
        .routes(routes!(recordings::content::track))
        .routes(routes!(recordings::content::manifest))
        .routes(routes!(recordings::content::timeline))
        .routes(routes!(recordings::content::speakers))
        .routes(routes!(recordings::content::rendition_file))
        .routes(routes!(recordings::chat::chat))
        .routes(routes!(recordings::renditions::list, recordings::renditions::make))
        .routes(routes!(recordings::share::open))
        .routes(routes!(whip::publish).map(|route| route.options(whip::options)).layer(offer))
        .routes(routes!(whip::play).map(|route| route.options(whip::options)).layer(offer))
        .routes(routes!(whip::end).map(|route| route.merge(patch(whip::no_patch)).merge(options(whip::options))))
        .routes(
            routes!(whip::end_playing).map(|route| route.merge(patch(whip::no_patch)).merge(options(whip::options))),
        )
}
