//! The Via header field value (RFC 3261 20.42, RFC 3581).

use crate::chars::{HOST, IPV6, is_blank, is_token};
use crate::error::{Illegal, Malformed};
use crate::params::{Params, write_param};
use crate::scan::{cut, find, number, trim, trim_end, trim_start};
use crate::uri::check_host;

/// What a branch of RFC 3261 begins with (8.1.1.7).
const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// One hop of the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// As written.
    pub transport: &'a [u8],
    /// The sent-by host as written; IPv6 without brackets.
    pub host: &'a [u8],
    /// The sent-by port; none when not written.
    pub port: Option<u16>,
    /// In order.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Parses one value.
    ///
    /// # Errors
    /// Malformed.
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let (head, rest) = cut(text, b';');
        let (transport, host, port) =
            sent_by(head).ok_or_else(|| Malformed::new("Via is malformed"))?;
        let port = match port {
            Some(digits) => Some(port_number(digits)?),
            None => None,
        };
        let params = rest.map_or_else(|| Ok(Params::default()), Params::parse)?;
        Ok(Self {
            transport,
            host,
            port,
            params,
        })
    }

    /// The value of a parameter, which may be a flag.
    #[must_use]
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        let mut params = self.params.iter();
        let found = params.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// The transaction's branch.
    #[must_use]
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.param(b"branch").flatten()
    }

    /// The branch if it is unique, as RFC 3261 wants it (8.1.1.7); none of an older client, or where
    /// it says no more than that it should be.
    #[must_use]
    pub fn unique_branch(&self) -> Option<&'a [u8]> {
        let branch = self.branch()?;
        let is_unique = branch.len() > MAGIC_COOKIE.len() && branch.starts_with(MAGIC_COOKIE);
        is_unique.then_some(branch)
    }

    /// Whether the client asked for its source port (RFC 3581 3).
    #[must_use]
    pub fn wants_rport(&self) -> bool {
        self.param(b"rport").is_some()
    }

    /// What a server makes of a topmost Via that came from there; none when it stays as it is.
    ///
    /// `received` is added if the address differs from sent-by or rport is asked for (RFC 3261
    /// 18.2.1, RFC 3581 4); values that the client claimed itself are replaced.
    ///
    /// # Errors
    /// A value that can be read but must not go out.
    pub fn stamped(&self, host: &[u8], port: u16) -> Result<Option<Vec<u8>>, Illegal> {
        let has_rport = self.wants_rport();
        let was_received = self.param(b"received").is_some();
        if !has_rport && !was_received && self.host == host {
            return Ok(None);
        }
        let port = port.to_string();
        let mut out = b"SIP/2.0/".to_vec();
        out.extend(self.transport.to_ascii_uppercase());
        out.push(b' ');
        out.extend(written_host(self.host)?);
        if let Some(own) = self.port {
            out.extend(format!(":{own}").into_bytes());
        }
        for (name, value) in self.params.iter() {
            let name = name.to_ascii_lowercase();
            let value = match &name[..] {
                b"received" => Some(host),
                b"rport" => Some(port.as_bytes()),
                _ => value,
            };
            write_param(&mut out, (&name, value))?;
        }
        if !was_received {
            write_param(&mut out, (b"received", Some(host)))?;
        }
        Ok(Some(out))
    }
}

/// A host as it is written: IPv6 in brackets.
///
/// # Errors
/// It is no host.
pub fn written_host(plain: &[u8]) -> Result<Vec<u8>, Illegal> {
    let written = match plain.contains(&b':') {
        true => [b"[", plain, b"]"].concat(),
        false => plain.to_vec(),
    };
    check_host(&written)?;
    Ok(written)
}

fn port_number(digits: &[u8]) -> Result<u16, Malformed> {
    let port = number(digits, u64::from(u16::MAX), "Via port")?;
    u16::try_from(port).map_err(|_| Malformed::new("Via port is not a number in range"))
}

type SentBy<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

/// Reads `SIP / 2.0 / transport host [: port]`, blanks where they may be.
fn sent_by(head: &[u8]) -> Option<SentBy<'_>> {
    let (protocol, rest) = cut(head, b'/');
    let (version, rest) = cut(rest?, b'/');
    if !trim_end(protocol).eq_ignore_ascii_case(b"SIP") || trim(version) != b"2.0" {
        return None;
    }
    let rest = trim_start(rest?);
    let end = rest.iter().position(|byte| is_blank(*byte))?;
    let (transport, rest) = (&rest[..end], trim(&rest[end..]));
    let (host, port) = match rest {
        [b'[', inside @ ..] => {
            let end = find(inside, b']')?;
            let is_reference = end > 0 && IPV6.has_all(&inside[..end]);
            (
                is_reference.then_some(&inside[..end])?,
                trim_start(&inside[end + 1..]),
            )
        }
        _ => {
            let end = rest
                .iter()
                .position(|byte| !HOST.has(*byte))
                .unwrap_or(rest.len());
            (&rest[..end], trim_start(&rest[end..]))
        }
    };
    let port = match port {
        [] => None,
        [b':', digits @ ..] => Some(trim_start(digits)),
        _ => return None,
    };
    let is_complete = is_token(transport) && !host.is_empty();
    let has_port = port.is_none_or(|digits| digits.len() <= 5);
    (is_complete && has_port).then_some((transport, host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(&str, &str, Option<u16>)> {
        let via = Via::parse(text.as_bytes()).ok()?;
        let text = |bytes| std::str::from_utf8(bytes).expect("ASCII");
        Some((text(via.transport), text(via.host), via.port))
    }

    #[test]
    fn sent_by_is_read_with_its_blanks() {
        assert_eq!(
            read("SIP/2.0/UDP a.b:5060;branch=x"),
            Some(("UDP", "a.b", Some(5060)))
        );
        assert_eq!(
            read("sip / 2.0 / tcp \t a : 1 ;rport"),
            Some(("tcp", "a", Some(1)))
        );
        assert_eq!(read("SIP/2.0/TLS [::1]"), Some(("TLS", "::1", None)));
        assert_eq!(read("SIP/2.0/UDP [::1] :7"), Some(("UDP", "::1", Some(7))));
    }

    #[test]
    fn what_is_no_via_is_malformed() {
        for text in [
            "",
            "SIP/2.0",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/3.0/UDP a",
            "SIP/2.0/UDP a:",
            "SIP/2.0/UDP a:65536",
            "SIP/2.0/UDP a:123456",
            "SIP/2.0/UDP a b",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP [x]",
            "SIP/2.0/U(P a",
            "XIP/2.0/UDP a",
            "SIP/2.0/UDP a;branch=",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
