//! Master keys and what is derived from them.

use std::fmt;

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use zeroize::{Zeroize, Zeroizing};

use super::suite::Suite;

const SALT: usize = 14;
const BLOCK: usize = 16;

/// A key of so many bytes is none of its suite's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength;

/// A master key and its salt, of one direction. It is wiped when it is dropped, and tells nobody
/// what it is.
#[derive(PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    key: Vec<u8>,
    salt: Vec<u8>,
}

impl MasterKey {
    /// A key of the suite's length with a salt of the suite's length.
    pub fn new(suite: Suite, key: &[u8], salt: &[u8]) -> Result<Self, WrongLength> {
        if key.len() != suite.key_length() || salt.len() != suite.salt_length() {
            return Err(WrongLength);
        }
        Ok(Self {
            suite,
            key: key.to_vec(),
            salt: salt.to_vec(),
        })
    }

    /// What it is for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The session keys of RTP, or of RTCP.
    pub(super) fn derive(&self, for_rtcp: bool) -> SessionKeys {
        let first = if for_rtcp { 3 } else { 0 };
        let derived = |label: u8, length: usize| {
            let mut bytes = Zeroizing::new(vec![0; length]);
            self.fill(first + label, &mut bytes);
            bytes
        };
        SessionKeys {
            cipher: derived(0, self.suite.key_length()),
            mac: derived(1, 20),
            salt: derived(2, self.suite.salt_length()),
        }
    }

    /// RFC 3711 4.3.1 to 4.3.3 without a derivation rate, RFC 6188 2 for longer keys, RFC 7714 11
    /// for shorter salts: AES in counter mode over the salt with the label in it.
    fn fill(&self, label: u8, bytes: &mut [u8]) {
        let mut block = [0; BLOCK];
        block[..self.salt.len()].copy_from_slice(&self.salt);
        block[SALT - 7] ^= label;
        for (n, chunk) in bytes.chunks_mut(BLOCK).enumerate() {
            block[BLOCK - 1] = n as u8;
            let mut key_stream = Array::from(block);
            match self.key.len() {
                32 => aes::<Aes256>(&self.key, &mut key_stream),
                _ => aes::<Aes128>(&self.key, &mut key_stream),
            }
            chunk.copy_from_slice(&key_stream[..chunk.len()]);
            key_stream.zeroize();
        }
    }
}

fn aes<C: BlockCipherEncrypt + KeyInit>(key: &[u8], block: &mut aes::cipher::Block<C>) {
    // The length was checked when the key was made.
    if let Ok(cipher) = C::new_from_slice(key) {
        cipher.encrypt_block(block);
    }
}

impl Clone for MasterKey {
    fn clone(&self) -> Self {
        Self {
            suite: self.suite,
            key: self.key.clone(),
            salt: self.salt.clone(),
        }
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.suite.name())
    }
}

/// What packets are protected with.
pub(super) struct SessionKeys {
    pub cipher: Zeroizing<Vec<u8>>,
    pub mac: Zeroizing<Vec<u8>>,
    pub salt: Zeroizing<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2);
        let read = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        pairs.map(read).collect()
    }

    #[test]
    fn session_keys_are_those_of_the_rfc() {
        // RFC 3711 B.3.
        let key = bytes("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = bytes("0EC675AD498AFEEBB6960B3AABE6");
        let master = MasterKey::new(Suite::AesCm128HmacSha1Tag80, &key, &salt).unwrap();
        let session = master.derive(false);
        assert_eq!(*session.cipher, bytes("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(*session.salt, bytes("30CBBC08863D8C85D49DB34A9AE1"));
        let mac = bytes("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4");
        assert_eq!(*session.mac, mac);
    }

    #[test]
    fn a_longer_key_is_derived_by_its_own_cipher() {
        // RFC 6188 7.1: the key stream that makes the 256 bit session key.
        let key = bytes("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
        let salt = bytes("3b04803de51ee7c96423ab5b78d2");
        let master = MasterKey::new(Suite::AesCm256HmacSha1Tag80, &key, &salt).unwrap();
        let session = master.derive(false);
        let cipher = bytes("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4");
        assert_eq!(*session.cipher, cipher);
        assert_eq!(*session.salt, bytes("fa31791685ca444a9e07c6c64e93"));
        let mac = bytes("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05");
        assert_eq!(*session.mac, mac);
    }

    #[test]
    fn a_key_or_salt_of_another_length_is_refused() {
        for suite in Suite::ALL {
            let (key, salt) = (vec![1; suite.key_length()], vec![2; suite.salt_length()]);
            assert!(MasterKey::new(suite, &key, &salt).is_ok());
            assert!(MasterKey::new(suite, &key[1..], &salt).is_err());
            assert!(MasterKey::new(suite, &key, &salt[1..]).is_err());
            assert_eq!(Suite::named(suite.name()), Some(suite));
        }
        assert_eq!(Suite::named("F8_128_HMAC_SHA1_80"), None);
    }

    #[test]
    fn a_key_is_shown_to_nobody() {
        let master = MasterKey::new(Suite::AesGcm128, &[0x6b; 16], &[0x73; 12]).unwrap();
        assert_eq!(format!("{master:?}"), "MasterKey(AEAD_AES_128_GCM)");
    }
}
