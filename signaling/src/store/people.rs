//! People, the links that let them in, and their sessions. Secrets are kept as hashes only.

use std::time::Instant;

use super::engine::{BeginWriting as _, on};
use super::known::TokenHash;
use super::{Store, StoreError, bad_row};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::policy::scopes::Scopes;

/// A person known to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Their id.
    pub id: UserId,
    /// Their tenant.
    pub tenant: String,
    /// Their name.
    pub name: String,
    /// May administer.
    pub admin: bool,
    /// Tokens that were issued before are good no more.
    pub valid_after: Timestamp,
}

type Columns = (String, String, String, bool, i64);

fn user_of_row((id, tenant, name, admin, valid_after): Columns) -> Result<UserRow, StoreError> {
    let id = id.parse().map_err(|e| bad_row("account")(&e))?;
    Ok(UserRow { id, tenant, name, admin, valid_after: Timestamp::from_millis(valid_after) })
}

/// Somebody who is invited.
#[derive(Clone, Debug)]
pub struct Invited<'a> {
    /// To which tenant.
    pub tenant: &'a str,
    /// Their name.
    pub name: &'a str,
    /// Their mail address, or nothing.
    pub mail: &'a str,
}

impl Store {
    /// The user of that name in that tenant, made now if new.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_or_create_user(&self, tenant: &str, name: &str, admin: bool) -> Result<UserRow, StoreError> {
        let row: Columns = on!(&self.write, pool => sqlx::query_as(
            "INSERT INTO account (id, tenant, name, admin, created) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, name) DO UPDATE SET admin = account.admin OR excluded.admin
             RETURNING id, tenant, name, admin, valid_after",
        )
        .bind(UserId::generate().to_string())
        .bind(tenant)
        .bind(name)
        .bind(admin)
        .bind(Timestamp::now().as_millis())
        .fetch_one(pool)
        .await)?;
        user_of_row(row)
    }

    /// A user by id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as("SELECT id, tenant, name, admin, valid_after FROM account WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(pool)
            .await)?;
        row.map(user_of_row).transpose()
    }

    /// Whoever proved to own a token a moment ago, and what it is for.
    pub(crate) fn bearer_of_late(&self, token: &TokenHash) -> Option<(UserRow, Scopes)> {
        self.known.bearer(token, Instant::now())
    }

    /// Remembers for a moment who proved to own a token.
    pub(crate) fn keep_bearer(&self, token: TokenHash, row: &UserRow, scopes: Scopes) {
        self.known.keep_bearer(token, (row.clone(), scopes), Instant::now());
    }

    /// Keeps a sign-in key until it is used or expires.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_sign_in_link(&self, hash: &[u8], user: UserId, expires: Timestamp) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("INSERT INTO sign_in_link (key_hash, user_id, expires) VALUES ($1, $2, $3)")
            .bind(hash)
            .bind(user.to_string())
            .bind(expires.as_millis())
            .execute(pool)
            .await.map(drop))?;
        Ok(())
    }

    /// Uses a sign-in key up, exactly once: the session begins in the same transaction.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn redeem_link(
        &self,
        key_hash: &[u8],
        cookie_hash: &[u8],
        now: Timestamp,
        session_expires: Timestamp,
    ) -> Result<Option<UserRow>, StoreError> {
        let user: Option<(String,)> = on!(&self.write, pool => {
            let mut transaction = pool.begin_writing().await?;
            let user: Option<(String,)> = sqlx::query_as(
                "UPDATE sign_in_link SET used = $2 WHERE key_hash = $1 AND used IS NULL AND expires > $2
                 RETURNING user_id",
            )
            .bind(key_hash)
            .bind(now.as_millis())
            .fetch_optional(&mut *transaction)
            .await?;
            if let Some((user,)) = &user {
                sqlx::query("INSERT INTO session (cookie_hash, user_id, expires, created) VALUES ($1, $2, $3, $4)")
                    .bind(cookie_hash)
                    .bind(user)
                    .bind(session_expires.as_millis())
                    .bind(now.as_millis())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            user
        });
        let Some((user,)) = user else { return Ok(None) };
        self.user(user.parse().map_err(|e| bad_row("sign_in_link")(&e))?).await
    }

    /// Whose session a cookie is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_user(&self, cookie_hash: &[u8], now: Timestamp) -> Result<Option<UserRow>, StoreError> {
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as(
            "SELECT u.id, u.tenant, u.name, u.admin, u.valid_after FROM session s JOIN account u ON u.id = s.user_id
             WHERE s.cookie_hash = $1 AND s.expires > $2",
        )
        .bind(cookie_hash)
        .bind(now.as_millis())
        .fetch_optional(pool)
        .await)?;
        row.map(user_of_row).transpose()
    }

    /// Makes an account for somebody, with a sign-in key for it. `Ok(None)`: the name is taken in that tenant.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invite(
        &self,
        invited: Invited<'_>,
        key_hash: &[u8],
        expires: Timestamp,
    ) -> Result<Option<UserRow>, StoreError> {
        let row: Option<Columns> = on!(&self.write, pool => {
            let mut transaction = pool.begin_writing().await?;
            let row: Option<Columns> = sqlx::query_as(
                "INSERT INTO account (id, tenant, name, admin, created, mail) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (tenant, name) DO NOTHING RETURNING id, tenant, name, admin, valid_after",
            )
            .bind(UserId::generate().to_string())
            .bind(invited.tenant)
            .bind(invited.name)
            .bind(false)
            .bind(Timestamp::now().as_millis())
            .bind(invited.mail)
            .fetch_optional(&mut *transaction)
            .await?;
            if let Some((id, ..)) = &row {
                sqlx::query("INSERT INTO sign_in_link (key_hash, user_id, expires) VALUES ($1, $2, $3)")
                    .bind(key_hash)
                    .bind(id)
                    .bind(expires.as_millis())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            row
        });
        row.map(user_of_row).transpose()
    }

    /// Gives somebody another name. `Ok(false)`: it is taken in their tenant.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rename_user(&self, user: &UserRow, name: &str) -> Result<bool, StoreError> {
        let renamed = on!(&self.write, pool => sqlx::query(
            "UPDATE account SET name = $2 WHERE id = $1
                 AND NOT EXISTS (SELECT 1 FROM account WHERE tenant = $3 AND name = $2 AND id <> $1)",
        )
        .bind(user.id.to_string())
        .bind(name)
        .bind(&user.tenant)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?;
        self.known.forget_user(user.id);
        Ok(renamed > 0)
    }

    /// Ends everything that somebody is signed in by: sessions, links that are not used yet, and tokens issued so far.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke(&self, user: UserId, now: Timestamp) -> Result<(), StoreError> {
        on!(&self.write, pool => {
            let mut transaction = pool.begin_writing().await?;
            sqlx::query("UPDATE account SET valid_after = $2 WHERE id = $1")
                .bind(user.to_string())
                .bind(now.as_millis())
                .execute(&mut *transaction)
                .await?;
            sqlx::query("DELETE FROM session WHERE user_id = $1")
                .bind(user.to_string())
                .execute(&mut *transaction)
                .await?;
            sqlx::query("DELETE FROM sign_in_link WHERE user_id = $1")
                .bind(user.to_string())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
        });
        self.known.forget_user(user);
        Ok(())
    }

    /// Exchanges a session's cookie if it is older than `before`; the old one is good until `old_until`, for requests that
    /// are under way. Whether it was exchanged.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rotate_session(
        &self,
        old: &[u8],
        new: &[u8],
        (before, now, old_until, new_until): (Timestamp, Timestamp, Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        let rotated = on!(&self.write, pool => {
            let mut transaction = pool.begin_writing().await?;
            // Its date is moved too: of two requests at the same time one exchanges it.
            let user: Option<(String,)> = sqlx::query_as(
                "UPDATE session SET expires = $3, created = $4 WHERE cookie_hash = $1 AND created < $2 AND expires > $4
                 RETURNING user_id",
            )
            .bind(old)
            .bind(before.as_millis())
            .bind(old_until.as_millis())
            .bind(now.as_millis())
            .fetch_optional(&mut *transaction)
            .await?;
            if let Some((user,)) = &user {
                sqlx::query("INSERT INTO session (cookie_hash, user_id, expires, created) VALUES ($1, $2, $3, $4)")
                    .bind(new)
                    .bind(user)
                    .bind(new_until.as_millis())
                    .bind(now.as_millis())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            user.is_some()
        });
        Ok(rotated)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_session(&self, cookie_hash: &[u8]) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("DELETE FROM session WHERE cookie_hash = $1").bind(cookie_hash).execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Forgets sessions and sign-in keys that can no longer be used.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_expired(&self, now: Timestamp) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("DELETE FROM session WHERE expires <= $1").bind(now.as_millis()).execute(pool).await.map(drop))?;
        on!(&self.write, pool => sqlx::query("DELETE FROM sign_in_link WHERE expires <= $1").bind(now.as_millis()).execute(pool).await.map(drop))?;
        Ok(())
    }

    /// People of a tenant whose name, a later word of it, or mail begins so, by name; each with their mail.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn people_like(
        &self,
        tenant: &str,
        text: &str,
        limit: u32,
    ) -> Result<Vec<(UserRow, String)>, StoreError> {
        let prefix = format!("{}%", escape_like(&text.trim().to_lowercase()));
        type Found = (String, String, String, bool, i64, String);
        let rows: Vec<Found> = on!(&self.read, pool => sqlx::query_as(
            r"SELECT id, tenant, name, admin, valid_after, mail FROM account
              WHERE tenant = $1 AND (lower(name) LIKE $2 ESCAPE '\' OR lower(name) LIKE $3 ESCAPE '\'
                                     OR lower(mail) LIKE $2 ESCAPE '\')
              ORDER BY name, id LIMIT $4",
        )
        .bind(tenant)
        .bind(&prefix)
        .bind(format!("% {prefix}"))
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?;
        rows.into_iter()
            .map(|(id, tenant, name, admin, valid, mail)| Ok((user_of_row((id, tenant, name, admin, valid))?, mail)))
            .collect()
    }

    /// Whether nobody is signed in by a cookie.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_no_sessions(&self, now: Timestamp) -> Result<bool, StoreError> {
        let row: Option<(i64,)> = on!(&self.read, pool => sqlx::query_as("SELECT expires FROM session WHERE expires > $1 LIMIT 1")
            .bind(now.as_millis())
            .fetch_optional(pool)
            .await)?;
        Ok(row.is_none())
    }
}

/// What is typed is no pattern.
fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
