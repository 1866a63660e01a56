//! The two ciphers behind one enum, for RTP and for RTCP: key derivation, nonces, seal and open.
//!
//! ```text
//! GCM   RTP   header | ciphertext | tag(16)            RTCP  header(8) | ciphertext | tag(16) | E+index(4)
//! CM    RTP   header | ciphertext | tag(10)            RTCP  header(8) | ciphertext | E+index(4) | tag(10)
//! ```

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, iv::FixedLength};

use super::keys::{KEY_LEN, MasterKey, Profile, SALT_LEN};
use super::{RTCP_HEADER_LEN, RTCP_INDEX_MAX, SrtpError};

pub(super) const GCM_TAG_LEN: usize = 16;
const GCM_SALT_LEN: usize = 12;
const CM_TAG_LEN: usize = 10;
const CM_AUTH_KEY_LEN: usize = 20;

/// The E bit and the SRTCP index.
pub(super) const WORD_LEN: usize = 4;

/// Key derivation labels (RFC 3711 §4.3.2).
#[derive(Clone, Copy)]
struct Labels {
    encryption: u8,
    authentication: u8,
    salt: u8,
}

const RTP_LABELS: Labels = Labels { encryption: 0, authentication: 1, salt: 2 };
const RTCP_LABELS: Labels = Labels { encryption: 3, authentication: 4, salt: 5 };

/// Session keys of one direction and one protocol.
enum Session {
    Gcm {
        key: LessSafeKey,
        salt: [u8; GCM_SALT_LEN],
    },
    /// Boxed: two key schedules and two hash states are 1.7 KiB, and most endpoints use the other cipher.
    Cm(Box<CounterMode>),
}

struct CounterMode {
    key: EncryptingKey,
    salt: [u8; SALT_LEN],
    authentication: hmac::Key,
}

impl Session {
    fn new(profile: Profile, master: &MasterKey, labels: Labels) -> Result<Self, SrtpError> {
        let key: [u8; KEY_LEN] = derive(master, labels.encryption)?;
        Ok(match profile {
            Profile::Aead128Gcm => Self::Gcm {
                key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?),
                salt: derive(master, labels.salt)?,
            },
            Profile::AesCm128HmacSha1_80 => Self::Cm(Box::new(CounterMode {
                key: counter_mode(&key)?,
                salt: derive(master, labels.salt)?,
                authentication: hmac::Key::new(
                    hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                    &derive::<CM_AUTH_KEY_LEN>(master, labels.authentication)?,
                ),
            })),
        })
    }
}

/// AES-CM key derivation with a derivation rate of zero (RFC 3711 §4.3.1, §4.3.3).
fn derive<const N: usize>(master: &MasterKey, label: u8) -> Result<[u8; N], SrtpError> {
    let mut block = [0; 16];
    let (salt, _counter) = block.split_at_mut(SALT_LEN);
    salt.copy_from_slice(&master.salt);
    let [.., seventh, _, _, _, _, _, _] = salt else { return Err(SrtpError::Crypto) };
    *seventh ^= label;
    let mut key = [0; N];
    apply_keystream(&counter_mode(&master.key)?, block, &mut key)?;
    Ok(key)
}

fn counter_mode(key: &[u8; KEY_LEN]) -> Result<EncryptingKey, SrtpError> {
    Ok(EncryptingKey::ctr(UnboundCipherKey::new(&AES_128, key)?)?)
}

fn apply_keystream(key: &EncryptingKey, counter: [u8; 16], data: &mut [u8]) -> Result<(), SrtpError> {
    key.less_safe_encrypt(data, EncryptionContext::Iv128(FixedLength::from(counter)))?;
    Ok(())
}

/// The GCM nonce: two zero bytes, SSRC, rollover count, sequence number, salted (RFC 7714 §8.1). SRTCP has the 31-bit
/// index in the low half of the same field (§9.1).
fn gcm_nonce(salt: &[u8; GCM_SALT_LEN], ssrc: u32, index: u64) -> Nonce {
    let packet = (u128::from(ssrc) << 48) | u128::from(index & 0xffff_ffff_ffff);
    let mut nonce = [0; GCM_SALT_LEN];
    // A 96-bit number: the top four of sixteen bytes are zero.
    let [_, _, _, _, low @ ..] = packet.to_be_bytes();
    for ((out, salt), packet) in nonce.iter_mut().zip(salt).zip(low) {
        *out = salt ^ packet;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// The first counter block: (salt << 16) xor (SSRC << 64) xor (index << 16) (RFC 3711 §4.1.1).
fn cm_counter(salt: &[u8; SALT_LEN], ssrc: u32, index: u64) -> [u8; 16] {
    let packet = (u128::from(ssrc) << 64) | (u128::from(index & 0xffff_ffff_ffff) << 16);
    let mut counter = packet.to_be_bytes();
    for (out, salt) in counter.iter_mut().zip(salt) {
        *out ^= salt;
    }
    counter
}

fn cm_tag(key: &hmac::Key, authenticated: &[u8], suffix: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(authenticated);
    context.update(suffix);
    context.sign()
}

fn short_tag(tag: &hmac::Tag) -> Result<&[u8; CM_TAG_LEN], SrtpError> {
    tag.as_ref().first_chunk().ok_or(SrtpError::Crypto)
}

/// The rollover count as it is authenticated behind the packet (RFC 3711 §4.2).
fn rollover(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// RTP in one direction.
pub(super) struct RtpCipher(Session);

impl RtpCipher {
    pub(super) fn new(profile: Profile, master: &MasterKey) -> Result<Self, SrtpError> {
        Session::new(profile, master, RTP_LABELS).map(Self)
    }

    /// Opens in place; the length of the plain packet.
    pub(super) fn open(&self, packet: &mut [u8], header_len: usize, ssrc: u32, index: u64) -> Result<usize, SrtpError> {
        let total = packet.len();
        let (header, sealed) = packet.split_at_mut_checked(header_len).ok_or(SrtpError::Malformed)?;
        match &self.0 {
            Session::Gcm { key, salt } => {
                if sealed.len() < GCM_TAG_LEN {
                    return Err(SrtpError::Malformed);
                }
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(header), sealed)
                    .map_err(|_| SrtpError::Authentication)?;
                Ok(total - GCM_TAG_LEN)
            }
            Session::Cm(cm) => {
                let plain_len = total.checked_sub(CM_TAG_LEN).ok_or(SrtpError::Malformed)?;
                let (authenticated, tag) = packet.split_at_mut_checked(plain_len).ok_or(SrtpError::Malformed)?;
                let expected = cm_tag(&cm.authentication, authenticated, &rollover(index));
                verify_slices_are_equal(short_tag(&expected)?, tag).map_err(|_| SrtpError::Authentication)?;
                let payload = authenticated.get_mut(header_len..).ok_or(SrtpError::Malformed)?;
                apply_keystream(&cm.key, cm_counter(&cm.salt, ssrc, index), payload)?;
                Ok(plain_len)
            }
        }
    }

    /// What sealing adds to a packet.
    pub(super) const fn overhead(&self) -> usize {
        match &self.0 {
            Session::Gcm { .. } => GCM_TAG_LEN,
            Session::Cm(_) => CM_TAG_LEN,
        }
    }

    /// Appends the sealed form of `plain` and `padding` octets of RTP padding to the header in `out[header_start..]`.
    ///
    /// `plain` is only read: one copy of a packet serves every receiver. On failure `out` may hold a part of the result.
    pub(super) fn seal(
        &self,
        out: &mut Vec<u8>,
        header_start: usize,
        plain: &[u8],
        padding: u8,
        ssrc: u32,
        index: u64,
    ) -> Result<(), SrtpError> {
        let header_len = out.len().checked_sub(header_start).ok_or(SrtpError::Malformed)?;
        let mut room;
        // Most packets have none, and clearing the room for it would cost more than anything else of ours here.
        let padding = if padding == 0 {
            &[][..]
        } else {
            room = [0; u8::MAX as usize];
            rtp_padding(&mut room, padding)
        };
        match &self.0 {
            Session::Gcm { key, salt } => {
                out.resize(out.len() + plain.len() + padding.len() + GCM_TAG_LEN, 0);
                let packet = out.get_mut(header_start..).ok_or(SrtpError::Malformed)?;
                let (header, sealed) = packet.split_at_mut_checked(header_len).ok_or(SrtpError::Malformed)?;
                let (body, end) = sealed.split_at_mut_checked(plain.len()).ok_or(SrtpError::Malformed)?;
                let nonce = gcm_nonce(salt, ssrc, index);
                key.seal_out_of_place_scatter(nonce, Aad::from(header), plain, body, padding, end)?;
            }
            Session::Cm(cm) => {
                out.extend_from_slice(plain);
                out.extend_from_slice(padding);
                let packet = out.get_mut(header_start..).ok_or(SrtpError::Malformed)?;
                let payload = packet.get_mut(header_len..).ok_or(SrtpError::Malformed)?;
                apply_keystream(&cm.key, cm_counter(&cm.salt, ssrc, index), payload)?;
                let tag = cm_tag(&cm.authentication, packet, &rollover(index));
                out.extend_from_slice(short_tag(&tag)?);
            }
        }
        Ok(())
    }
}

/// RTP padding of `count` octets (RFC 3550 §5.1): zeros, and how many they are.
fn rtp_padding(room: &mut [u8; u8::MAX as usize], count: u8) -> &[u8] {
    let padding = room.get_mut(..usize::from(count)).unwrap_or_default();
    if let Some(last) = padding.last_mut() {
        *last = count;
    }
    padding
}

/// RTCP in one direction.
pub(super) struct RtcpCipher(Session);

impl RtcpCipher {
    pub(super) fn new(profile: Profile, master: &MasterKey) -> Result<Self, SrtpError> {
        Session::new(profile, master, RTCP_LABELS).map(Self)
    }

    /// Where header and ciphertext end, and the word of E bit and index; `None` when the packet is too short.
    pub(super) fn split_index(&self, packet: &[u8]) -> Option<(usize, u32)> {
        // GCM: the tag is the end of the ciphertext and the word stands behind it. CM: the tag comes last.
        let (behind, minimum) = match &self.0 {
            Session::Gcm { .. } => (WORD_LEN, RTCP_HEADER_LEN + GCM_TAG_LEN),
            Session::Cm(_) => (WORD_LEN + CM_TAG_LEN, RTCP_HEADER_LEN),
        };
        let body = packet.len().checked_sub(behind)?;
        let word = packet.get(body..)?.first_chunk()?;
        (body >= minimum).then(|| (body, u32::from_be_bytes(*word)))
    }

    /// Writes the plain packet into `plain`, whose contents are undefined when this fails.
    pub(super) fn open(
        &self,
        packet: &[u8],
        body: usize,
        ssrc: u32,
        word: u32,
        plain: &mut Vec<u8>,
    ) -> Result<(), SrtpError> {
        let index = u64::from(word & RTCP_INDEX_MAX);
        plain.clear();
        plain.extend_from_slice(packet.get(..body).ok_or(SrtpError::Malformed)?);
        match &self.0 {
            Session::Gcm { key, salt } => {
                let (header, sealed) = plain.split_at_mut_checked(RTCP_HEADER_LEN).ok_or(SrtpError::Malformed)?;
                let aad = gcm_rtcp_aad(header, word)?;
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(aad), sealed)
                    .map_err(|_| SrtpError::Authentication)?;
                plain.truncate(body - GCM_TAG_LEN);
            }
            Session::Cm(cm) => {
                let (authenticated, tag) = packet.split_at_checked(body + WORD_LEN).ok_or(SrtpError::Malformed)?;
                let expected = cm_tag(&cm.authentication, authenticated, &[]);
                verify_slices_are_equal(short_tag(&expected)?, tag).map_err(|_| SrtpError::Authentication)?;
                let payload = plain.get_mut(RTCP_HEADER_LEN..).ok_or(SrtpError::Malformed)?;
                apply_keystream(&cm.key, cm_counter(&cm.salt, ssrc, index), payload)?;
            }
        }
        Ok(())
    }

    pub(super) fn seal(&self, out: &mut Vec<u8>, start: usize, ssrc: u32, word: u32) -> Result<(), SrtpError> {
        let index = u64::from(word & RTCP_INDEX_MAX);
        let packet = out.get_mut(start..).ok_or(SrtpError::Malformed)?;
        let (header, payload) = packet.split_at_mut_checked(RTCP_HEADER_LEN).ok_or(SrtpError::Malformed)?;
        match &self.0 {
            Session::Gcm { key, salt } => {
                let aad = gcm_rtcp_aad(header, word)?;
                let tag = key.seal_in_place_separate_tag(gcm_nonce(salt, ssrc, index), Aad::from(aad), payload)?;
                out.extend_from_slice(tag.as_ref());
                out.extend_from_slice(&word.to_be_bytes());
            }
            Session::Cm(cm) => {
                apply_keystream(&cm.key, cm_counter(&cm.salt, ssrc, index), payload)?;
                let tag = cm_tag(&cm.authentication, packet, &word.to_be_bytes());
                out.extend_from_slice(&word.to_be_bytes());
                out.extend_from_slice(short_tag(&tag)?);
            }
        }
        Ok(())
    }
}

/// Header and index word are authenticated together, though they stand apart (RFC 7714 §9.2).
fn gcm_rtcp_aad(header: &[u8], word: u32) -> Result<[u8; RTCP_HEADER_LEN + WORD_LEN], SrtpError> {
    let mut aad = [0; RTCP_HEADER_LEN + WORD_LEN];
    let (start, end) = aad.split_at_mut(RTCP_HEADER_LEN);
    start.copy_from_slice(header.get(..RTCP_HEADER_LEN).ok_or(SrtpError::Malformed)?);
    end.copy_from_slice(&word.to_be_bytes());
    Ok(aad)
}
