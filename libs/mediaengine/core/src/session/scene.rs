//! The desired state of a session, as its call tells it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use zeroize::Zeroizing;

use crate::error::EngineError;

/// What a call wants of its media. The engine finds out what is to be changed.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scene {
    /// By leg.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// By sink: whom it hears. Who is not named hears nobody.
    pub hears: BTreeMap<String, Vec<Source>>,
    /// Silence of a leg that is told, in seconds; 0 for never.
    pub media_timeout_s: f64,
}

impl Scene {
    /// Reads a scene that was written as MessagePack: maps by the names here, addresses as text.
    pub fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let mut reader = rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable();
        Self::deserialize(&mut reader)
            .map_err(|error| EngineError::Invalid(format!("this is no scene: {error}")))
    }
}

/// One leg's media.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoint {
    /// One for each of its m-lines that is carried.
    pub streams: Vec<StreamSpec>,
}

/// One leg's side of one m-line.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSpec {
    /// Position of the m-line: streams of one index hear each other.
    pub index: u8,
    /// Where its phone is.
    pub transport: TransportSpec,
    /// Media is expected, so that its silence counts.
    pub active: bool,
    /// Clock of the RTP timestamps in Hz.
    pub clock_rate: u32,
}

impl Default for StreamSpec {
    fn default() -> Self {
        Self {
            index: 0,
            transport: TransportSpec::default(),
            active: true,
            clock_rate: 8000,
        }
    }
}

/// Where a phone is, and from where it may be heard.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransportSpec {
    /// Where RTP goes; None while unknown. The unspecified address (`c=0.0.0.0`, the hold of RFC
    /// 2543) counts as unknown.
    pub remote: Option<Address>,
    /// Where RTCP goes; None for the port after `remote`'s (RFC 3550 11).
    pub remote_rtcp: Option<Address>,
    /// IPs that a differing source may be learnt from; with `sdes` they say nothing.
    pub learn_from: Vec<IpAddr>,
    /// Grows with each description of its own (offer, answer) that the phone sends: another source
    /// may be learnt then.
    pub described: u32,
    /// Keys of SRTP; None: RTP.
    pub sdes: Option<SdesSpec>,
}

/// Keys as descriptions told them (RFC 4568).
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SdesSpec {
    /// Of what the relay sends.
    pub ours: KeySpec,
    /// Of what the phone sends.
    pub theirs: KeySpec,
}

/// A master key of one direction, and its salt.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// By its name in `a=crypto`.
    pub suite: String,
    /// As long as the suite says.
    pub key: Secret,
    /// As long as the suite says.
    pub salt: Secret,
}

/// Bytes that are shown to nobody, and wiped when they are dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Secret, E> {
                Ok(bytes.into())
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

/// An IP address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Never a name.
    pub ip: IpAddr,
    /// 1 to 65535.
    pub port: u16,
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self {
            ip: address.ip(),
            port: address.port(),
        }
    }
}

/// Somebody who is heard.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A leg.
    pub id: String,
}

impl Source {
    /// A leg as it is.
    pub fn leg(id: &str) -> Self {
        Self { id: id.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"endpoints": {"a": {"streams": [{"transport": {"remote": {"ip": ..., "port": 4000}}}]}}}`.
    fn written(ip: &str) -> Vec<u8> {
        let text = |text: &str| [&[0xa0 | text.len() as u8], text.as_bytes()].concat();
        let key = |name: &str| [vec![0x81], text(name)].concat();
        let address = [&[0x82][..], &text("ip"), &text(ip), &text("port")].concat();
        [
            key("endpoints"),
            key("a"),
            key("streams"),
            vec![0x91],
            key("transport"),
            key("remote"),
            address,
            vec![0xcd, 0x0f, 0xa0],
        ]
        .concat()
    }

    #[test]
    fn what_is_not_told_is_as_it_usually_is() {
        let scene = Scene::decode(&written("192.0.2.1")).unwrap();
        let stream = &scene.endpoints["a"].streams[0];
        let remote: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        assert_eq!(stream.transport.remote, Some(remote.into()));
        assert_eq!(
            (stream.index, stream.clock_rate, stream.active),
            (0, 8000, true)
        );
    }

    #[test]
    fn what_is_no_scene_is_refused_whatever_it_is() {
        let whole = written("192.0.2.1");
        for length in 0..whole.len() {
            assert!(Scene::decode(&whole[..length]).is_err(), "{length} bytes");
        }
        let mut unknown = whole.clone();
        unknown[2] = b'E';
        let refused = Scene::decode(&unknown).unwrap_err().to_string();
        assert!(refused.contains("Endpoints"), "{refused}");
        assert!(Scene::decode(&written("nowhere")).is_err());
        assert!(
            Scene::decode(&[0x81; 100_000]).is_err(),
            "nested without end"
        );
    }
}
