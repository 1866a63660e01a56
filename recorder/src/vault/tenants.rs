//! Which tenant's objects are in which vault.
//!
//! Most tenants share the default store, each in a folder of its own; some want theirs in a bucket, a region or under a
//! key of their own. A tenant's vault cannot name objects outside of its folder (`name.rs`).
//!
//! ```text
//! tenant --has a store of its own--> that store / prefix / tenants / <tenant>
//!        --else--------------------> default store / prefix / tenants / <tenant>
//! ```

use std::collections::HashMap;

use super::{Vault, name};

/// Folder of all tenants' folders.
const FOLDER: &str = "tenants";

/// Vaults by tenant. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vaults {
    default: Vault,
    tenants: HashMap<String, Vault>,
}

impl Vaults {
    /// One store for all, and others for some.
    #[must_use]
    pub fn new(default: Vault, tenants: HashMap<String, Vault>) -> Self {
        Self { default, tenants }
    }

    /// The vault of a tenant; of an empty name as well.
    #[must_use]
    pub fn of(&self, tenant: &str) -> Vault {
        self.tenants.get(tenant).unwrap_or(&self.default).within(&name::join(FOLDER, &name::escape(tenant)))
    }

    /// The default store without a tenant's folder: for what belongs to the server.
    #[must_use]
    pub fn of_all(&self) -> &Vault {
        &self.default
    }
}
