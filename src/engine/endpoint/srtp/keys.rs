//! Profiles, master keys and how they are cut out of DTLS keying material (RFC 5764 §4.2).

use std::hint::black_box;

/// AES-128 in both profiles.
pub(super) const KEY_LEN: usize = 16;

/// Key derivation works on 112-bit salts; shorter ones are followed by zeros (RFC 7714 §11).
pub(super) const SALT_LEN: usize = 14;

/// SRTP protection profiles that we negotiate, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// RFC 7714; a quarter of the other's cost per packet.
    Aead128Gcm,
    /// RFC 3711; what every implementation has.
    AesCm128HmacSha1_80,
}

impl Profile {
    /// Its number in the `use_srtp` extension (RFC 5764 §4.1.2, RFC 7714 §14.2).
    #[must_use]
    pub const fn use_srtp_id(self) -> u16 {
        match self {
            Self::Aead128Gcm => 0x0007,
            Self::AesCm128HmacSha1_80 => 0x0001,
        }
    }

    /// Bytes of keying material to export for both directions.
    #[must_use]
    pub const fn material_len(self) -> usize {
        2 * (KEY_LEN + self.salt_len())
    }

    const fn salt_len(self) -> usize {
        match self {
            Self::Aead128Gcm => 12,
            Self::AesCm128HmacSha1_80 => 14,
        }
    }
}

/// The master key and salt of one direction. Neither printed nor copied; overwritten when dropped.
pub struct MasterKey {
    pub(super) key: [u8; KEY_LEN],
    pub(super) salt: [u8; SALT_LEN],
}

impl MasterKey {
    /// From the bytes of either; `None` when a length does not fit the profile.
    #[must_use]
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Option<Self> {
        if salt.len() != profile.salt_len() {
            return None;
        }
        let mut padded = [0; SALT_LEN];
        padded.get_mut(..salt.len())?.copy_from_slice(salt);
        Some(Self { key: key.try_into().ok()?, salt: padded })
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.key.fill(0);
        self.salt.fill(0);
        // Keeps the compiler from leaving out stores that nobody reads.
        black_box((&self.key, &self.salt));
    }
}

/// What a handshake yields: the profile and a key for each direction.
pub struct SrtpKeys {
    /// The negotiated profile.
    pub profile: Profile,
    /// For what we send.
    pub local: MasterKey,
    /// For what the peer sends.
    pub remote: MasterKey,
}

impl SrtpKeys {
    /// Cuts `material` up: client key, server key, client salt, server salt (RFC 5764 §4.2). `None` when it is not
    /// [`Profile::material_len`] bytes long.
    #[must_use]
    pub fn from_exporter(profile: Profile, material: &[u8], is_client: bool) -> Option<Self> {
        if material.len() != profile.material_len() {
            return None;
        }
        let (client_key, rest) = material.split_at_checked(KEY_LEN)?;
        let (server_key, rest) = rest.split_at_checked(KEY_LEN)?;
        let (client_salt, server_salt) = rest.split_at_checked(profile.salt_len())?;
        let client = MasterKey::new(profile, client_key, client_salt)?;
        let server = MasterKey::new(profile, server_key, server_salt)?;
        let (local, remote) = if is_client { (client, server) } else { (server, client) };
        Some(Self { profile, local, remote })
    }
}

impl std::fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SrtpKeys").field("profile", &self.profile).finish_non_exhaustive()
    }
}
