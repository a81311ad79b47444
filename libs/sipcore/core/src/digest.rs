//! The proof of digest authentication (RFC 7616 3.4.1).

use md5::Md5;
use sha2::{Digest, Sha256};

/// What is hashed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 3261 22.4.
    Md5,
    /// RFC 8760.
    Sha256,
}

impl Algorithm {
    /// By its name, as written in upper case.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"MD5" => Some(Self::Md5),
            b"SHA-256" => Some(Self::Sha256),
            _ => None,
        }
    }

    /// H(part:part...) in hex.
    #[must_use]
    pub fn hash(self, parts: &[&[u8]]) -> String {
        let text = parts.join(&b':');
        match self {
            Self::Md5 => hex(&Md5::digest(&text)),
            Self::Sha256 => hex(&Sha256::digest(&text)),
        }
    }
}

/// What a client writes beside its proof.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Of the challenge.
    pub nonce: &'a [u8],
    /// The resource.
    pub uri: &'a [u8],
    /// qop, nc and cnonce; none without qop.
    pub quality: Option<(&'a [u8], &'a [u8], &'a [u8])>,
}

impl Claim<'_> {
    /// The `response` that whoever knows the secret writes.
    ///
    /// The secret is H(username:realm:password) in hex.
    #[must_use]
    pub fn proof(&self, algorithm: Algorithm, method: &[u8], secret: &[u8]) -> String {
        let request = algorithm.hash(&[method, self.uri]);
        match self.quality {
            None => algorithm.hash(&[secret, self.nonce, request.as_bytes()]),
            Some((qop, nc, cnonce)) => {
                let parts = [secret, self.nonce, nc, cnonce, qop, request.as_bytes()];
                algorithm.hash(&parts)
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim<'_> = Claim {
        nonce: b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        uri: b"/dir/index.html",
        quality: Some((
            b"auth",
            b"00000001",
            b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        )),
    };

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        for (algorithm, proof) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (
                Algorithm::Sha256,
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let secret = algorithm.hash(&[b"Mufasa", b"http-auth@example.org", b"Circle of Life"]);
            assert_eq!(CLAIM.proof(algorithm, b"GET", secret.as_bytes()), proof);
        }
    }

    #[test]
    fn a_client_of_rfc_2069_proves_without_qop() {
        let claim = Claim {
            quality: None,
            ..CLAIM
        };
        let request = Algorithm::Md5.hash(&[b"GET", CLAIM.uri]);
        let expected = Algorithm::Md5.hash(&[b"s", CLAIM.nonce, request.as_bytes()]);
        assert_eq!(claim.proof(Algorithm::Md5, b"GET", b"s"), expected);
    }
}
