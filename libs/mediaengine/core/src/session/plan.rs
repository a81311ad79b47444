//! From a scene to what a shard does: a pure function, run on every change and never per packet.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use wire::srtp::{MasterKey, Suite};

use crate::error::EngineError;
use crate::session::scene::{Address, Endpoint, KeySpec, Scene, SdesSpec, Source, StreamSpec};

/// Names a stream within its session: its leg and the position of its m-line.
pub type StreamKey = (Arc<str>, u8);

const MOST_ENDPOINTS: usize = 256;
const MOST_STREAMS: usize = 16;
const HIGHEST_CLOCK_RATE: u32 = 1_000_000;
/// A day.
const LONGEST_TIMEOUT_S: f64 = 86_400.0;

/// How a packet gets from one stream to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// As it is.
    Direct,
    /// Back to where it came from, under another SSRC: a phone that hears its own takes it for a
    /// loop (RFC 3550 8.2). RTCP is dropped, for a phone's own reports would tell it nonsense.
    Reflect,
}

/// What a stream's phone is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Believed {
    /// Where RTP goes.
    pub rtp: Option<SocketAddr>,
    /// Where RTCP goes.
    pub rtcp: Option<SocketAddr>,
    /// Whence a differing source may be learnt.
    pub learn_from: Vec<IpAddr>,
    /// Grows with each description of the phone's own.
    pub described: u32,
    /// Keys of SRTP; None: RTP.
    pub sdes: Option<Sdes>,
}

/// Master keys of both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdes {
    /// Of what we send.
    pub ours: MasterKey,
    /// Of what the phone sends.
    pub theirs: MasterKey,
}

/// One stream as its shard is to have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Of its phone.
    pub believed: Believed,
    /// Whether its silence counts.
    pub is_active: bool,
    /// In Hz.
    pub clock_rate: u32,
    /// Where its packets go.
    pub route: Vec<(StreamKey, Carry)>,
}

/// A session as its shard is to have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// All of its streams.
    pub streams: BTreeMap<StreamKey, Planned>,
    /// Silence of a leg that is told; zero for never.
    pub timeout: Duration,
}

/// Compiles a scene for an engine on the address `local`.
pub fn compile(scene: &Scene, local: IpAddr) -> Result<Plan, EngineError> {
    if scene.endpoints.len() > MOST_ENDPOINTS {
        return invalid(format!("a session has at most {MOST_ENDPOINTS} endpoints"));
    }
    let mut streams = BTreeMap::new();
    for (leg, endpoint) in &scene.endpoints {
        add_endpoint(leg, endpoint, local, &mut streams)?;
    }
    for (sink, sources) in &scene.hears {
        add_routes(scene, sink, sources, &mut streams)?;
    }
    let timeout_s = scene.media_timeout_s;
    if !(0.0..=LONGEST_TIMEOUT_S).contains(&timeout_s) {
        return invalid(format!("a media time-out cannot be {timeout_s} s"));
    }
    let timeout = Duration::from_secs_f64(timeout_s);
    Ok(Plan { streams, timeout })
}

fn invalid<T>(problem: String) -> Result<T, EngineError> {
    Err(EngineError::Invalid(problem))
}

fn add_endpoint(
    leg: &str,
    endpoint: &Endpoint,
    local: IpAddr,
    streams: &mut BTreeMap<StreamKey, Planned>,
) -> Result<(), EngineError> {
    if leg.is_empty() {
        return invalid("a leg must have a name".to_owned());
    }
    if endpoint.streams.len() > MOST_STREAMS {
        return invalid(format!("a leg has at most {MOST_STREAMS} streams"));
    }
    let name: Arc<str> = leg.into();
    for spec in &endpoint.streams {
        let key = (Arc::clone(&name), spec.index);
        if streams.insert(key, planned(spec, local)?).is_some() {
            return invalid(format!("leg {leg} has two streams {}", spec.index));
        }
    }
    Ok(())
}

fn planned(spec: &StreamSpec, local: IpAddr) -> Result<Planned, EngineError> {
    if usize::from(spec.index) >= MOST_STREAMS {
        return invalid(format!("stream index {} is out of bounds", spec.index));
    }
    if !(1..=HIGHEST_CLOCK_RATE).contains(&spec.clock_rate) {
        return invalid(format!("clock rate {} is out of bounds", spec.clock_rate));
    }
    let transport = &spec.transport;
    let rtp = usable(transport.remote, local)?;
    let told = usable(transport.remote_rtcp, local)?;
    Ok(Planned {
        believed: Believed {
            rtp,
            rtcp: told.or_else(|| rtp.and_then(next_port)),
            learn_from: transport.learn_from.clone(),
            described: transport.described,
            sdes: transport.sdes.as_ref().map(sdes).transpose()?,
        },
        is_active: spec.active,
        clock_rate: spec.clock_rate,
        route: Vec::new(),
    })
}

fn sdes(spec: &SdesSpec) -> Result<Sdes, EngineError> {
    let (ours, theirs) = (master_key(&spec.ours)?, master_key(&spec.theirs)?);
    if ours == theirs {
        // Both would use the same key stream (RFC 3711 9.1).
        return invalid("both directions have one key".to_owned());
    }
    Ok(Sdes { ours, theirs })
}

fn master_key(spec: &KeySpec) -> Result<MasterKey, EngineError> {
    let Some(suite) = Suite::named(&spec.suite) else {
        return invalid(format!("{:?} is no suite that is known", spec.suite));
    };
    let key = MasterKey::new(suite, spec.key.reveal(), spec.salt.reveal());
    key.or_else(|_| {
        invalid(format!(
            "a key of {} is too short or too long",
            suite.name()
        ))
    })
}

fn add_routes(
    scene: &Scene,
    sink: &str,
    sources: &[Source],
    streams: &mut BTreeMap<StreamKey, Planned>,
) -> Result<(), EngineError> {
    let Some(endpoint) = scene.endpoints.get(sink) else {
        return invalid(format!("{sink} hears, and is no endpoint"));
    };
    let source = match sources {
        [] => return Ok(()),
        [source] if scene.endpoints.contains_key(&source.id) => source,
        [source] => return invalid(format!("{} is heard, and is no endpoint", source.id)),
        _ => return invalid(format!("{sink} hears several, and nothing is mixed here")),
    };
    let carry = if source.id == sink {
        Carry::Reflect
    } else {
        Carry::Direct
    };
    for index in endpoint.streams.iter().map(|stream| stream.index) {
        if let Some(from) = streams.get_mut(&(source.id.as_str().into(), index)) {
            from.route.push(((sink.into(), index), carry));
        }
    }
    Ok(())
}

fn next_port(address: SocketAddr) -> Option<SocketAddr> {
    let port = address.port().checked_add(1)?;
    Some(SocketAddr::new(address.ip(), port))
}

fn usable(address: Option<Address>, local: IpAddr) -> Result<Option<SocketAddr>, EngineError> {
    let Some(Address { ip, port }) = address.filter(|address| !address.ip.is_unspecified()) else {
        return Ok(None);
    };
    let address = SocketAddr::new(ip, port);
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if ip.is_multicast() || is_broadcast || port == 0 {
        return invalid(format!("media cannot be sent to {address}"));
    }
    if ip.is_ipv4() != local.is_ipv4() {
        return invalid(format!("{address} cannot be reached from {local}"));
    }
    Ok(Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::scene::TransportSpec;

    const LOCAL: &str = "192.0.2.200";

    fn at(remote: &str) -> StreamSpec {
        let remote: Option<SocketAddr> = remote.parse().ok();
        StreamSpec {
            transport: TransportSpec {
                remote: remote.map(Address::from),
                ..TransportSpec::default()
            },
            ..StreamSpec::default()
        }
    }

    fn indexed(index: u8) -> StreamSpec {
        StreamSpec {
            index,
            ..StreamSpec::default()
        }
    }

    fn scene(legs: &[(&str, Vec<StreamSpec>)], hears: &[(&str, &[&str])]) -> Scene {
        let legs = legs.iter().map(|(leg, streams)| {
            let streams = streams.clone();
            ((*leg).to_owned(), Endpoint { streams })
        });
        let hears = hears.iter().map(|(sink, sources)| {
            let sources = sources.iter().map(|id| Source::leg(id));
            ((*sink).to_owned(), sources.collect())
        });
        Scene {
            endpoints: legs.collect(),
            hears: hears.collect(),
            media_timeout_s: 0.0,
        }
    }

    fn compiled(scene: &Scene) -> Result<Plan, EngineError> {
        compile(scene, LOCAL.parse().unwrap())
    }

    fn one(spec: StreamSpec) -> Result<Believed, EngineError> {
        let plan = compiled(&scene(&[("a", vec![spec])], &[]))?;
        Ok(plan.streams[&("a".into(), 0)].believed.clone())
    }

    fn route(plan: &Plan, leg: &str, index: u8) -> Vec<(String, u8, Carry)> {
        let route = &plan.streams[&(leg.into(), index)].route;
        let hops = route
            .iter()
            .map(|((to, n), carry)| (to.to_string(), *n, *carry));
        hops.collect()
    }

    #[test]
    fn each_sink_hears_exactly_its_row_stream_by_stream() {
        let legs = [
            ("a", vec![indexed(0), indexed(1)]),
            ("b", vec![indexed(0)]),
            ("c", vec![indexed(0), indexed(1)]),
        ];
        let hears: [(&str, &[&str]); 3] = [("a", &["b"]), ("b", &["a"]), ("c", &["a"])];
        let plan = compiled(&scene(&legs, &hears)).unwrap();
        let direct = |leg: &str, index| (leg.to_owned(), index, Carry::Direct);
        assert_eq!(route(&plan, "a", 0), [direct("b", 0), direct("c", 0)]);
        assert_eq!(route(&plan, "a", 1), [direct("c", 1)]);
        assert_eq!(route(&plan, "b", 0), [direct("a", 0)]);
        assert_eq!(route(&plan, "c", 0), []);
    }

    #[test]
    fn who_hears_himself_is_reflected() {
        let plan = compiled(&scene(&[("a", vec![indexed(0)])], &[("a", &["a"])])).unwrap();
        assert_eq!(route(&plan, "a", 0), [("a".to_owned(), 0, Carry::Reflect)]);
    }

    #[test]
    fn what_cannot_be_carried_is_refused() {
        let leg = || ("a", vec![indexed(0)]);
        let many = (0..17).map(indexed).collect();
        for (wrong, legs, hears) in [
            ("a sink that is none", vec![leg()], vec![("b", &["a"][..])]),
            (
                "a source that is none",
                vec![leg()],
                vec![("a", &["b"][..])],
            ),
            ("a mix", vec![leg()], vec![("a", &["a", "a"][..])]),
            ("a leg without a name", vec![("", vec![])], vec![]),
            ("a stream twice", vec![("a", vec![indexed(1); 2])], vec![]),
            ("too many streams", vec![("a", many)], vec![]),
            ("an index beyond", vec![("a", vec![indexed(16)])], vec![]),
        ] {
            let refused = compiled(&scene(&legs, &hears));
            assert!(matches!(refused, Err(EngineError::Invalid(_))), "{wrong}");
        }
        for timeout in [-1.0, f64::NAN, f64::INFINITY, 86_401.0] {
            let mut timed = scene(&[leg()], &[]);
            timed.media_timeout_s = timeout;
            assert!(compiled(&timed).is_err(), "{timeout} s");
        }
        let clock_rate = 0;
        assert!(
            one(StreamSpec {
                clock_rate,
                ..indexed(0)
            })
            .is_err()
        );
    }

    #[test]
    fn reports_go_to_the_next_port_unless_told_otherwise() {
        let believed = one(at("192.0.2.1:4000")).unwrap();
        assert_eq!(believed.rtcp, "192.0.2.1:4001".parse().ok());
        assert_eq!(one(at("192.0.2.1:65535")).unwrap().rtcp, None);
    }

    #[test]
    fn the_unspecified_address_is_a_hold() {
        let believed = one(at("0.0.0.0:4000")).unwrap();
        assert_eq!((believed.rtp, believed.rtcp), (None, None));
    }

    #[test]
    fn addresses_that_cannot_be_a_phone_are_refused() {
        for remote in [
            "224.0.0.1:4000",
            "255.255.255.255:4000",
            "192.0.2.1:0",
            "[::1]:4000",
        ] {
            assert!(one(at(remote)).is_err(), "{remote}");
        }
    }
}
