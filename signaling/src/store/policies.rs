//! Policies as rows: an organisation's, and that of single people.

use super::engine::on;
use super::{Store, StoreError};
use crate::id::UserId;
use crate::policy::organization::Policy;

/// What an organisation that has set nothing has.
const UNSET: &str = "{}";

impl Store {
    /// What somebody may do: their organisation's policy and their own together. Of nobody: nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn policy_of(&self, user: UserId) -> Result<Policy, StoreError> {
        let row: Option<(Option<String>, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT o.policy, a.policy FROM account a LEFT JOIN organization o ON o.tenant = a.tenant WHERE a.id = $1",
        )
        .bind(user.to_string())
        .fetch_optional(pool)
        .await)?;
        Ok(row.map_or(Policy::NOTHING, |(organization, own)| {
            Policy::effective(Policy::read(organization.as_deref().unwrap_or(UNSET)), Policy::read(&own))
        }))
    }

    /// An organisation's policy.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn organization_policy(&self, tenant: &str) -> Result<Policy, StoreError> {
        let row: Option<(String,)> = on!(&self.read, pool => sqlx::query_as("SELECT policy FROM organization WHERE tenant = $1")
            .bind(tenant)
            .fetch_optional(pool)
            .await)?;
        Ok(Policy::read(row.as_ref().map_or(UNSET, |(policy,)| policy)))
    }

    /// Sets it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_organization_policy(&self, tenant: &str, policy: Policy) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query(
            "INSERT INTO organization (tenant, policy) VALUES ($1, $2) ON CONFLICT (tenant) DO UPDATE SET policy = excluded.policy",
        )
        .bind(tenant)
        .bind(policy.write())
        .execute(pool)
        .await.map(drop))?;
        Ok(())
    }

    /// Somebody's own policy, without their organisation's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_policy(&self, user: UserId) -> Result<Policy, StoreError> {
        let row: Option<(String,)> = on!(&self.read, pool => sqlx::query_as("SELECT policy FROM account WHERE id = $1")
            .bind(user.to_string())
            .fetch_optional(pool)
            .await)?;
        Ok(row.map_or(Policy::NOTHING, |(policy,)| Policy::read(&policy)))
    }

    /// Sets it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_own_policy(&self, user: UserId, policy: Policy) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("UPDATE account SET policy = $2 WHERE id = $1")
            .bind(user.to_string())
            .bind(policy.write())
            .execute(pool)
            .await.map(drop))?;
        Ok(())
    }
}
