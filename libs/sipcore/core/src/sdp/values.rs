//! Typed values inside description lines: origin, connection, direction.
//!
//! Every reader takes what stands after `x=` or `a=name:` and says in one sentence what is wrong.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// A description that cannot be used: one full sentence, for its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdpError(pub Cow<'static, str>);

pub(super) fn refused<T>(sentence: impl Into<Cow<'static, str>>) -> Result<T, SdpError> {
    Err(SdpError(sentence.into()))
}

/// 64-bit numbers have at most 20 digits (RFC 8866 5.2 recommends an NTP timestamp).
const MAX_DIGITS: usize = 20;
const FIRST_MULTICAST_OCTET: u8 = 224;

/// Who sends in a stream, seen by the side that wrote the description (RFC 8866 6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `sendrecv`
    SendRecv,
    /// `sendonly`
    SendOnly,
    /// `recvonly`
    RecvOnly,
    /// `inactive`
    Inactive,
}

impl Direction {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(super) fn of_line(line: &[u8]) -> Option<Self> {
        match line.strip_prefix(b"a=")? {
            b"sendrecv" => Some(Self::SendRecv),
            b"sendonly" => Some(Self::SendOnly),
            b"recvonly" => Some(Self::RecvOnly),
            b"inactive" => Some(Self::Inactive),
            _ => None,
        }
    }

    /// The writer of the description wants to receive.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same flow seen from the other side: what an answer says (RFC 3264 6.1).
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            same => same,
        }
    }

    /// The same direction for a writer that no longer wants media (RFC 3264 8.4).
    pub(super) const fn without_receiving(self) -> Self {
        match self {
            Self::SendRecv | Self::SendOnly => Self::SendOnly,
            Self::RecvOnly | Self::Inactive => Self::Inactive,
        }
    }
}

/// `o=`: who made the session and which edition of it this is (RFC 8866 5.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `-` from who tells none.
    pub username: Vec<u8>,
    /// The session; the same in all its editions.
    pub session_id: Vec<u8>,
    /// The edition.
    pub version: u64,
    /// `IP4`, `IP6` or another network's.
    pub address_type: Vec<u8>,
    /// Where it was made.
    pub ip: Vec<u8>,
}

impl Origin {
    pub(super) fn parse(text: &[u8]) -> Result<Self, SdpError> {
        let fields: Vec<&[u8]> = words(text).collect();
        let [username, session_id, version, _, address_type, ip] = fields[..] else {
            return refused("The origin line must have six fields.");
        };
        Ok(Self {
            username: username.to_vec(),
            session_id: session_id.to_vec(),
            version: number(version, "The origin line's version must be a number.")?,
            address_type: address_type.to_vec(),
            ip: ip.to_vec(),
        })
    }

    /// As it is written.
    pub fn write(&self) -> Vec<u8> {
        let address_type = match self.address_type.is_empty() {
            true => address_type_of(&self.ip),
            false => &self.address_type,
        };
        let version = self.version.to_string();
        let fields = [
            &self.username[..],
            &self.session_id,
            version.as_bytes(),
            b"IN",
            address_type,
            &self.ip,
        ];
        fields.join(&b' ')
    }
}

/// `c=`: where media is wanted (RFC 8866 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection<'a> {
    /// `IN`; others are legal (RFC 7195).
    pub network_type: &'a [u8],
    /// `IP4`, `IP6`, or what another network has.
    pub address_type: &'a [u8],
    /// An IP address, a host name, or what another network has.
    pub address: &'a [u8],
    /// `/ttl/count` of multicast.
    pub suffix: &'a [u8],
}

impl<'a> Connection<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, SdpError> {
        let fields: Vec<&[u8]> = words(text).collect();
        let [network_type, address_type, address] = fields[..] else {
            return refused("The connection line must have three fields.");
        };
        let slash = memchr::memchr(b'/', address).unwrap_or(address.len());
        let (address, suffix) = address.split_at(slash);
        Ok(Self {
            network_type,
            address_type,
            address,
            suffix,
        })
    }

    /// An address of the Internet, of either family.
    pub fn is_internet(&self) -> bool {
        self.network_type == b"IN" && matches!(self.address_type, b"IP4" | b"IP6")
    }

    /// The unspecified address, the hold sign of RFC 2543.
    pub fn is_null(&self) -> bool {
        ip_address(self.address).is_some_and(|ip| ip.is_unspecified())
    }
}

/// What white space separates.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| is_space(*byte))
        .filter(|word| !word.is_empty())
}

/// Text without the white space around it.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    let Some(start) = text.iter().position(|byte| !is_space(*byte)) else {
        return b"";
    };
    let end = text.iter().rposition(|byte| !is_space(*byte)).unwrap_or(0);
    &text[start..=end]
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0x1c..=0x1f)
}

/// Reads decimal digits of at most 64 bits.
pub(super) fn number(text: &[u8], sentence: &'static str) -> Result<u64, SdpError> {
    let is_number = text.len() <= MAX_DIGITS && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_number);
    text.and_then(|text| text.parse().ok())
        .map_or_else(|| refused(sentence), Ok)
}

/// Reads a port, 0 included.
pub(super) fn port(text: &[u8], sentence: &'static str) -> Result<u16, SdpError> {
    number(text, sentence)?
        .try_into()
        .or_else(|_| refused(sentence))
}

/// Reads an IP address; none is one with a zone, nor a host name.
pub(super) fn ip_address(text: &[u8]) -> Option<IpAddr> {
    IpAddr::from_str(std::str::from_utf8(text).ok()?).ok()
}

/// Tells an address that one host may have from multicast, broadcast and reserved ones.
pub(super) fn is_host_address(ip: IpAddr) -> bool {
    let is_host = |ip: Ipv4Addr| (1..FIRST_MULTICAST_OCTET).contains(&ip.octets()[0]);
    match ip {
        IpAddr::V4(ip) => is_host(ip),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(!ip.is_multicast(), is_host),
    }
}

/// `IP4` or `IP6`, as `o=` and `c=` lines name it.
pub(super) fn address_type_of(ip: &[u8]) -> &'static [u8] {
    match ip.contains(&b':') {
        true => b"IP6",
        false => b"IP4",
    }
}

/// The value of a `c=` line for an address of the Internet.
pub(super) fn written_connection(ip: &[u8]) -> Vec<u8> {
    [b"IN", address_type_of(ip), ip].join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names() {
        for good in ["127.0.0.1", "255.255.255.255", "::1", "::ffff:192.0.2.1"] {
            assert!(ip_address(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "256.0.0.1",
            "01.0.0.1",
            "1.2.3",
            "fe80::1%eth0",
            "a:b:c",
            "example.com",
            "",
        ] {
            assert!(ip_address(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn numbers_have_64_bits() {
        assert_eq!(number(b"18446744073709551615", "x"), Ok(u64::MAX));
        assert_eq!(number(b"00000000000000000001", "x"), Ok(1));
        for bad in [&b""[..], b"1x", b"-1", b"+1", b"18446744073709551616"] {
            assert!(number(bad, "x").is_err());
        }
        assert_eq!(port(b"65535", "x"), Ok(65_535));
        assert!(port(b"65536", "x").is_err());
    }

    #[test]
    fn white_space_is_cut_away() {
        assert_eq!(trimmed(b" \t a b\r"), b"a b");
        assert_eq!(trimmed(b"  "), b"");
    }
}
