//! Encryption and authentication of one packet, in place.

use aes::cipher::consts::{U12, U16};
use aes::cipher::{
    BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper,
};
use aes::{Aes128, Aes256};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ctr::{CtrCore, flavors::Ctr128BE};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::keys::{MasterKey, SessionKeys};
use super::suite::Suite;

/// Before what of SRTCP is encrypted.
pub const RTCP_CLEAR: usize = 8;
/// The index that SRTCP adds, with the bit that tells of encryption.
pub const RTCP_INDEX: usize = 4;
const ENCRYPTED: u32 = 1 << 31;
/// SRTCP's, whatever is RTP's (RFC 4568 6.2.2).
const RTCP_TAG: usize = 10;
const GCM_TAG: usize = 16;

/// What does not authenticate.
pub struct Unauthentic;

/// The session keys of RTP, or of RTCP, ready for use.
///
/// Lengths are the caller's matter: `packet` holds what is named and has room for what is added.
pub enum Cipher {
    Cm128(Cm<Aes128>),
    Cm256(Cm<Aes256>),
    Gcm128(Gcm<Aes128Gcm>),
    Gcm256(Gcm<Aes256Gcm>),
}

macro_rules! each {
    ($self:ident, $cipher:ident => $call:expr) => {
        match $self {
            Cipher::Cm128($cipher) => $call,
            Cipher::Cm256($cipher) => $call,
            Cipher::Gcm128($cipher) => $call,
            Cipher::Gcm256($cipher) => $call,
        }
    };
}

impl Cipher {
    /// Of a key; None if its length is not its suite's.
    pub fn new(master: &MasterKey, for_rtcp: bool) -> Option<Self> {
        let (suite, keys) = (master.suite(), master.derive(for_rtcp));
        let tag = match (suite.is_gcm(), for_rtcp) {
            (false, true) => RTCP_TAG,
            _ => suite.tag_length(),
        };
        Some(match suite {
            Suite::AesCm128HmacSha1Tag80 | Suite::AesCm128HmacSha1Tag32 => {
                Self::Cm128(Cm::new(&keys, tag)?)
            }
            Suite::AesCm256HmacSha1Tag80 | Suite::AesCm256HmacSha1Tag32 => {
                Self::Cm256(Cm::new(&keys, tag)?)
            }
            Suite::AesGcm128 => Self::Gcm128(Gcm::new(&keys)?),
            Suite::AesGcm256 => Self::Gcm256(Gcm::new(&keys)?),
        })
    }

    #[cfg(test)]
    pub fn of_session(key: &[u8], salt: &[u8]) -> Option<Self> {
        let keys = SessionKeys {
            cipher: key.to_vec().into(),
            mac: vec![].into(),
            salt: salt.to_vec().into(),
        };
        Some(match key.len() {
            16 => Self::Gcm128(Gcm::new(&keys)?),
            _ => Self::Gcm256(Gcm::new(&keys)?),
        })
    }

    /// Bytes that protection adds, SRTCP's index apart.
    pub fn tag_length(&self) -> usize {
        each!(self, cipher => cipher.tag_length())
    }

    /// The index that a protected compound packet bears.
    pub fn rtcp_index(&self, packet: &[u8]) -> u32 {
        let after = match self {
            Self::Cm128(_) | Self::Cm256(_) => self.tag_length(),
            Self::Gcm128(_) | Self::Gcm256(_) => 0,
        };
        let end = packet.len() - after;
        let word = packet[end - RTCP_INDEX..end].try_into();
        word.map_or(0, u32::from_be_bytes) & !ENCRYPTED
    }

    /// Protects a packet of `length` bytes with a header of `clear`; the length then.
    pub fn seal_rtp(&self, packet: &mut [u8], clear: usize, length: usize, at: Place) -> usize {
        each!(self, cipher => cipher.seal_rtp(packet, clear, length, at))
    }

    /// The reverse. What is not authentic may be left as it was or not.
    pub fn open_rtp(
        &self,
        packet: &mut [u8],
        clear: usize,
        at: Place,
    ) -> Result<usize, Unauthentic> {
        each!(self, cipher => cipher.open_rtp(packet, clear, at))
    }

    /// Protects a compound packet of `length` bytes; the length then.
    pub fn seal_rtcp(&self, packet: &mut [u8], length: usize, at: Place) -> usize {
        each!(self, cipher => cipher.seal_rtcp(packet, length, at))
    }

    /// The reverse, also of a packet that is authenticated only.
    pub fn open_rtcp(&self, packet: &mut [u8], at: Place) -> Result<usize, Unauthentic> {
        each!(self, cipher => cipher.open_rtcp(packet, at))
    }
}

/// Which packet of which stream.
#[derive(Clone, Copy)]
pub struct Place {
    pub ssrc: u32,
    /// Of RTP the roll-over counter and the sequence number, of RTCP the index.
    pub index: u64,
}

fn rtcp_word(index: u64) -> [u8; 4] {
    (index as u32 | ENCRYPTED).to_be_bytes()
}

fn is_encrypted(word: &[u8]) -> bool {
    word.first().is_some_and(|byte| byte & 0x80 != 0)
}

/// AES in counter mode with HMAC-SHA1 (RFC 3711 4.1.1, 4.2.1).
pub struct Cm<C> {
    cipher: C,
    mac: Hmac<Sha1>,
    salt: [u8; 14],
    tag: usize,
}

impl<C: BlockCipherEncrypt<BlockSize = U16> + KeyInit> Cm<C> {
    fn new(keys: &SessionKeys, tag: usize) -> Option<Self> {
        Some(Self {
            cipher: C::new_from_slice(&keys.cipher).ok()?,
            mac: Hmac::new_from_slice(&keys.mac).ok()?,
            salt: keys.salt[..].try_into().ok()?,
            tag,
        })
    }

    fn tag_length(&self) -> usize {
        self.tag
    }

    fn crypt(&self, bytes: &mut [u8], at: Place) {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        for (byte, ssrc) in iv[4..8].iter_mut().zip(at.ssrc.to_be_bytes()) {
            *byte ^= ssrc;
        }
        for (byte, index) in iv[8..14].iter_mut().zip(&at.index.to_be_bytes()[2..]) {
            *byte ^= index;
        }
        let core = CtrCore::<&C, Ctr128BE>::inner_iv_init(&self.cipher, &iv.into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(bytes);
    }

    fn tag(&self, parts: [&[u8]; 2]) -> [u8; 20] {
        let mut mac = self.mac.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    fn is_authentic(&self, parts: [&[u8]; 2], tag: &[u8]) -> bool {
        self.tag(parts)[..self.tag].ct_eq(tag).into()
    }

    fn seal_rtp(&self, packet: &mut [u8], clear: usize, length: usize, at: Place) -> usize {
        self.crypt(&mut packet[clear..length], at);
        let roll_over = ((at.index >> 16) as u32).to_be_bytes();
        let tag = self.tag([&packet[..length], &roll_over]);
        packet[length..length + self.tag].copy_from_slice(&tag[..self.tag]);
        length + self.tag
    }

    fn open_rtp(&self, packet: &mut [u8], clear: usize, at: Place) -> Result<usize, Unauthentic> {
        let (told, tag) = packet.split_at_mut(packet.len() - self.tag);
        let roll_over = ((at.index >> 16) as u32).to_be_bytes();
        if !self.is_authentic([told, &roll_over], tag) {
            return Err(Unauthentic);
        }
        self.crypt(&mut told[clear..], at);
        Ok(told.len())
    }

    fn seal_rtcp(&self, packet: &mut [u8], length: usize, at: Place) -> usize {
        self.crypt(&mut packet[RTCP_CLEAR..length], at);
        let end = length + RTCP_INDEX;
        packet[length..end].copy_from_slice(&rtcp_word(at.index));
        let tag = self.tag([&packet[..end], &[]]);
        packet[end..end + self.tag].copy_from_slice(&tag[..self.tag]);
        end + self.tag
    }

    fn open_rtcp(&self, packet: &mut [u8], at: Place) -> Result<usize, Unauthentic> {
        let (told, tag) = packet.split_at_mut(packet.len() - self.tag);
        if !self.is_authentic([told, &[]], tag) {
            return Err(Unauthentic);
        }
        let (report, word) = told.split_at_mut(told.len() - RTCP_INDEX);
        if is_encrypted(word) {
            self.crypt(&mut report[RTCP_CLEAR..], at);
        }
        Ok(report.len())
    }
}

/// AES in Galois/counter mode (RFC 7714 8 and 9).
pub struct Gcm<A> {
    cipher: A,
    salt: [u8; 12],
}

impl<A: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit> Gcm<A> {
    fn new(keys: &SessionKeys) -> Option<Self> {
        Some(Self {
            cipher: A::new_from_slice(&keys.cipher).ok()?,
            salt: keys.salt[..].try_into().ok()?,
        })
    }

    fn tag_length(&self) -> usize {
        GCM_TAG
    }

    fn nonce(&self, at: Place) -> [u8; 12] {
        let mut nonce = self.salt;
        for (byte, ssrc) in nonce[2..6].iter_mut().zip(at.ssrc.to_be_bytes()) {
            *byte ^= ssrc;
        }
        for (byte, index) in nonce[6..].iter_mut().zip(&at.index.to_be_bytes()[2..]) {
            *byte ^= index;
        }
        nonce
    }

    fn encrypt(&self, bytes: &mut [u8], told: &[u8], at: Place) -> [u8; GCM_TAG] {
        let nonce = self.nonce(at).into();
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, told, bytes.into());
        // Packets are shorter than what the cipher cannot take; a tag of zeros is nobody's.
        tag.map_or([0; GCM_TAG], Into::into)
    }

    fn decrypt(
        &self,
        bytes: &mut [u8],
        told: &[u8],
        tag: &[u8],
        at: Place,
    ) -> Result<(), Unauthentic> {
        let tag: [u8; GCM_TAG] = tag.try_into().map_err(|_| Unauthentic)?;
        let nonce = self.nonce(at).into();
        let opened = self
            .cipher
            .decrypt_inout_detached(&nonce, told, bytes.into(), &tag.into());
        opened.map_err(|_| Unauthentic)
    }

    fn seal_rtp(&self, packet: &mut [u8], clear: usize, length: usize, at: Place) -> usize {
        let (told, rest) = packet.split_at_mut(clear);
        let tag = self.encrypt(&mut rest[..length - clear], told, at);
        packet[length..length + GCM_TAG].copy_from_slice(&tag);
        length + GCM_TAG
    }

    fn open_rtp(&self, packet: &mut [u8], clear: usize, at: Place) -> Result<usize, Unauthentic> {
        let length = packet.len() - GCM_TAG;
        let (packet, tag) = packet.split_at_mut(length);
        let (told, payload) = packet.split_at_mut(clear);
        self.decrypt(payload, told, tag, at)?;
        Ok(length)
    }

    fn seal_rtcp(&self, packet: &mut [u8], length: usize, at: Place) -> usize {
        let word = rtcp_word(at.index);
        let told = told_of_rtcp(packet, &word);
        let tag = self.encrypt(&mut packet[RTCP_CLEAR..length], &told, at);
        let end = length + GCM_TAG;
        packet[length..end].copy_from_slice(&tag);
        packet[end..end + RTCP_INDEX].copy_from_slice(&word);
        end + RTCP_INDEX
    }

    fn open_rtcp(&self, packet: &mut [u8], at: Place) -> Result<usize, Unauthentic> {
        let (rest, word) = packet.split_at_mut(packet.len() - RTCP_INDEX);
        let (report, tag) = rest.split_at_mut(rest.len() - GCM_TAG);
        if !is_encrypted(word) {
            // Authenticated only, and nobody we know sends that (RFC 7714 9.3).
            return Err(Unauthentic);
        }
        let told = told_of_rtcp(report, word);
        self.decrypt(&mut report[RTCP_CLEAR..], &told, tag, at)?;
        Ok(report.len())
    }
}

/// The header and the index, which are authenticated and not encrypted.
fn told_of_rtcp(packet: &[u8], word: &[u8]) -> [u8; RTCP_CLEAR + RTCP_INDEX] {
    let mut told = [0; RTCP_CLEAR + RTCP_INDEX];
    told[..RTCP_CLEAR].copy_from_slice(&packet[..RTCP_CLEAR]);
    told[RTCP_CLEAR..].copy_from_slice(word);
    told
}
