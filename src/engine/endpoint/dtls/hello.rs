//! Reads `use_srtp` out of a ClientHello (RFC 6347 §4.2.1, RFC 5764 §4.1.1).

use crate::endpoint::srtp::Profile;

const USE_SRTP: u16 = 14;
const VERSION_AND_RANDOM: usize = 34;

/// What a client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// The profile to use: ours in our order, whatever the client's.
    Profile(Profile),
    /// None of ours, or no SRTP at all.
    NoProfile,
}

/// `None` when the body is no ClientHello.
pub(super) fn offered_profile(body: &[u8]) -> Option<Offered> {
    let mut reader = Reader(body.get(VERSION_AND_RANDOM..)?);
    let _session = reader.vector8()?;
    let _cookie = reader.vector8()?;
    let _cipher_suites = reader.vector16()?;
    let _compression = reader.vector8()?;
    let mut extensions = Reader(reader.vector16().unwrap_or_default());
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let data = extensions.vector16()?;
        if kind == USE_SRTP {
            let profiles = Reader(data).vector16()?;
            return Some(best(profiles).map_or(Offered::NoProfile, Offered::Profile));
        }
    }
    Some(Offered::NoProfile)
}

fn best(profiles: &[u8]) -> Option<Profile> {
    let offers = |profile: &Profile| profiles.chunks_exact(2).any(|id| id == profile.use_srtp_id().to_be_bytes());
    [Profile::Aead128Gcm, Profile::AesCm128HmacSha1_80].into_iter().find(offers)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number16(&mut self) -> Option<u16> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*number))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first()?;
        self.0 = rest;
        self.take(usize::from(*length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 3, 1, 2, 3, 0, 2, 0xc0, 0x2b, 1, 0]);
        body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
        body.extend_from_slice(extensions);
        body
    }

    #[test]
    fn our_order_counts_and_not_the_clients() {
        let firefox_like = [0, 23, 0, 0, 0, 14, 0, 11, 0, 8, 0, 1, 0, 8, 0, 7, 0, 2, 0];
        assert_eq!(offered_profile(&hello(&firefox_like)), Some(Offered::Profile(Profile::Aead128Gcm)));
        let gstreamer_like = [0, 14, 0, 5, 0, 2, 0, 1, 0];
        assert_eq!(offered_profile(&hello(&gstreamer_like)), Some(Offered::Profile(Profile::AesCm128HmacSha1_80)));
    }

    #[test]
    fn a_client_without_a_profile_of_ours_is_told_from_one_that_is_garbled() {
        assert_eq!(offered_profile(&hello(&[0, 14, 0, 5, 0, 2, 0, 8, 0])), Some(Offered::NoProfile));
        assert_eq!(offered_profile(&hello(&[])), Some(Offered::NoProfile));
        assert_eq!(offered_profile(&hello(&[0, 14, 0, 50, 0])), None);
        assert_eq!(offered_profile(&[1; 30]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = offered_profile(&body);
            let _ = offered_profile(&hello(&body));
        }
    }
}
