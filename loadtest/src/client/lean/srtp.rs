//! SRTP keys and the contexts that are made of them (`rtc-srtp`).
//!
//! A connection has up to three contexts of one set of keys: the sending thread seals media, the receiving thread seals
//! feedback and opens what comes. That is sound because they never share a stream: an initialisation vector holds
//! the SSRC, and feedback has one of its own.

pub(crate) use rtc_srtp::context::Context;
pub(crate) use rtc_srtp::protection_profile::ProtectionProfile;

use rtc_dtls::crypto_provider::RTCCryptoProvider;
use rtc_dtls::crypto_provider::providers::AwsLcRsProvider;

/// Keys of both directions, as DTLS exports them.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) profile: ProtectionProfile,
    pub(crate) sent: (Vec<u8>, Vec<u8>),
    pub(crate) received: (Vec<u8>, Vec<u8>),
}

impl Keys {
    /// Bytes to export.
    pub(crate) fn material_len(profile: ProtectionProfile) -> usize {
        2 * (profile.key_len() + profile.salt_len())
    }

    /// Takes exported bytes apart, as the DTLS client (RFC 5764 section 4.2): both keys, then both salts, ours first.
    pub(crate) fn of_client(profile: ProtectionProfile, material: &[u8]) -> Option<Self> {
        let (sent_key, rest) = material.split_at_checked(profile.key_len())?;
        let (received_key, rest) = rest.split_at_checked(profile.key_len())?;
        let (sent_salt, rest) = rest.split_at_checked(profile.salt_len())?;
        let (received_salt, rest) = rest.split_at_checked(profile.salt_len())?;
        rest.is_empty().then(|| Self {
            profile,
            sent: (sent_key.to_vec(), sent_salt.to_vec()),
            received: (received_key.to_vec(), received_salt.to_vec()),
        })
    }

    /// For what we send.
    pub(crate) fn sealer(&self) -> Option<Context> {
        self.context(&self.sent)
    }

    /// For what we receive.
    pub(crate) fn opener(&self) -> Option<Context> {
        self.context(&self.received)
    }

    fn context(&self, (key, salt): &(Vec<u8>, Vec<u8>)) -> Option<Context> {
        // The lengths were checked when the keys were taken apart, and the provider knows all three profiles.
        Context::new(key, salt, self.profile, None, None, AwsLcRsProvider::new().crypto()).ok()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Keys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_the_client_seals_the_other_side_opens() {
        for profile in [ProtectionProfile::AeadAes128Gcm, ProtectionProfile::Aes128CmHmacSha1_80] {
            let material: Vec<u8> = (0..Keys::material_len(profile) as u8).collect();
            let client = Keys::of_client(profile, &material).unwrap();
            let server = Keys { sent: client.received.clone(), received: client.sent.clone(), ..client.clone() };
            let packet = [&[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9][..], b"payload"].concat();
            let sealed = client.sealer().unwrap().encrypt_rtp(&packet).unwrap();
            assert_ne!(sealed, packet);
            assert_eq!(server.opener().unwrap().decrypt_rtp(&sealed).unwrap(), packet);
        }
    }

    #[test]
    fn material_of_another_length_is_refused() {
        assert!(Keys::of_client(ProtectionProfile::AeadAes128Gcm, &[0; 55]).is_none());
        assert!(Keys::of_client(ProtectionProfile::AeadAes128Gcm, &[0; 57]).is_none());
    }
}
