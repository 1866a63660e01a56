//! How a signed-in person's connection becomes their feed.

use super::session::{LiveContext, OpenRefused};
use crate::auth::KeyName;
use crate::feed::{ListenError, Reader};
use crate::policy::scopes::{Noun, Scope};
use crate::protocol::{ClientMessage, CloseCode, parse};
use crate::store::UserRow;

/// What a token needs to listen.
const CHATS: Scope = Scope { noun: Noun::Chats, writes: false };

/// What a subscriber asks for.
pub(super) struct Wish {
    token: Option<String>,
    cursor: Option<String>,
}

/// Whether a first message asks for a feed.
pub(super) fn wish(first: &[u8]) -> Option<Wish> {
    match parse(first) {
        Ok(ClientMessage::Subscribe { token, cursor }) => Some(Wish { token, cursor }),
        _ => None,
    }
}

/// Begins the feed of whoever the token or, without one, the request's own proof stands for.
pub(super) async fn open(
    context: &LiveContext,
    wish: Wish,
    user: Option<(UserRow, KeyName)>,
) -> Result<Reader, OpenRefused> {
    let user = match wish.token {
        Some(token) => {
            let claims = context
                .keys
                .check_user(&token)
                .map_err(|error| OpenRefused::error("token_refused", &error, CloseCode::TokenRefused))?;
            if !claims.scopes().allow(CHATS) {
                let error = format!("the token is not for that: it would need the scope {CHATS}");
                return Err(OpenRefused::error("insufficient_scope", &error, CloseCode::TokenRefused));
            }
            // The row says whether the user still exists.
            let user = context.store.user(claims.sub).await?.filter(|user| claims.is_valid_for(user));
            user.map(|user| (user, context.keys.named_by(&token)))
        }
        None => user,
    };
    let Some((user, signed_by)) = user else { return Err(OpenRefused::close(CloseCode::TokenRefused)) };
    context.feeds.listen(user.id, signed_by, wish.cursor.as_deref()).await.map_err(|error| match error {
        ListenError::TooMany => OpenRefused::error("too_many_devices", &error, CloseCode::Full),
        ListenError::Store(_) => OpenRefused::unavailable(),
    })
}
