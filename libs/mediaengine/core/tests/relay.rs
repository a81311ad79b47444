//! The engine over real sockets on loopback.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use mediaengine::{Config, EndpointId, EndpointSpec, EndpointStats, Engine, EngineError, Event};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(3);
const SHORT: Duration = Duration::from_millis(60);

/// Tests run at the same time: each engine gets 100 ports of its own.
fn config() -> Config {
    static NEXT: AtomicU16 = AtomicU16::new(30000);
    let first = NEXT.fetch_add(100, Ordering::Relaxed);
    Config {
        tick: Duration::from_millis(10),
        ..Config::new(HOST, first, first + 99)
    }
}

struct Phone(UdpSocket);

impl Phone {
    fn new() -> Self {
        Self::on("127.0.0.1")
    }

    fn on(ip: &str) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn spec(&self) -> EndpointSpec {
        EndpointSpec {
            remote: Some(self.address()),
            ..EndpointSpec::default()
        }
    }

    fn send(&self, packet: &[u8], port: u16) {
        self.0.send_to(packet, (HOST, port)).unwrap();
    }

    fn receive(&self) -> (Vec<u8>, u16) {
        let mut buffer = [0; 2048];
        let (length, source) = self.0.recv_from(&mut buffer).expect("a packet was relayed");
        (buffer[..length].to_vec(), source.port())
    }

    fn hears_nothing(&self) -> bool {
        self.0.set_read_timeout(Some(SHORT)).unwrap();
        let result = self.0.recv_from(&mut [0; 2048]);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(7u32.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

const RTCP: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 7];

fn until<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing came of it in time");
        std::thread::yield_now();
    }
}

fn stats_when(
    engine: &Engine,
    id: EndpointId,
    is_done: impl Fn(&EndpointStats) -> bool,
) -> EndpointStats {
    until(|| Some(engine.stats(id).unwrap()).filter(&is_done))
}

fn bridged(engine: &Engine, a: &Phone, b: &Phone) -> [(EndpointId, u16); 2] {
    let first = engine.open(a.spec(), None).unwrap();
    let second = engine.open(b.spec(), Some(first.0)).unwrap();
    engine.bridge(first.0, second.0).unwrap();
    engine.flush();
    [first, second]
}

fn relays_both_ways(config: Config) {
    let engine = Engine::new(config).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let first = engine.open(a.spec(), None).unwrap();
    let second = engine.open(b.spec(), None).unwrap();
    engine.bridge(first.0, second.0).unwrap();
    engine.flush();
    for sequence in 0..20 {
        a.send(&rtp(sequence), first.1);
        assert_eq!(b.receive(), (rtp(sequence), second.1));
        b.send(&rtp(sequence + 100), second.1);
        assert_eq!(a.receive(), (rtp(sequence + 100), first.1));
    }
    let stats = stats_when(&engine, first.0, |stats| stats.packets_sent == 20);
    assert_eq!(
        (stats.packets_received, stats.bytes_received),
        (20, 20 * 172)
    );
    assert_eq!(
        (stats.bytes_sent, stats.lost, stats.rejected),
        (20 * 172, 0, 0)
    );
    assert!(stats.last_packet_age_s.unwrap() < 3.0);
}

#[test]
fn media_is_relayed_both_ways_from_the_ports_each_phone_was_told() {
    relays_both_ways(config());
}

#[test]
fn endpoints_of_different_threads_are_bridged_alike() {
    relays_both_ways(Config {
        threads: 2,
        ..config()
    });
}

#[test]
fn rtcp_travels_between_the_odd_ports() {
    let engine = Engine::new(config()).unwrap();
    let phones = [Phone::new(), Phone::new()];
    let reports = [Phone::new(), Phone::new()];
    let open = |n: usize| {
        let spec = EndpointSpec {
            remote_rtcp: Some(reports[n].address()),
            ..phones[n].spec()
        };
        engine.open(spec, None).unwrap()
    };
    let (a, b) = (open(0), open(1));
    engine.bridge(a.0, b.0).unwrap();
    engine.flush();
    reports[0].send(&RTCP, a.1 + 1);
    assert_eq!(reports[1].receive(), (RTCP.to_vec(), b.1 + 1));
    reports[0].send(&rtp(1), a.1 + 1);
    let stats = stats_when(&engine, a.0, |stats| stats.rejected == 1);
    assert_eq!((stats.rtcp_received, stats.packets_received), (1, 0));
    assert!(stats.last_packet_age_s.is_none());
}

#[test]
fn reports_on_the_rtp_port_stay_on_it() {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let [first, second] = bridged(&engine, &a, &b);
    a.send(&RTCP, first.1);
    assert_eq!(b.receive(), (RTCP.to_vec(), second.1));
}

#[test]
fn the_real_source_is_learnt_once_and_the_answers_go_there() {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let [first, second] = bridged(&engine, &a, &b);
    let behind_nat = EndpointSpec {
        remote: Some("10.255.255.1:4000".parse().unwrap()),
        learn_from: vec!["10.255.255.1".parse().unwrap(), HOST],
        ..EndpointSpec::default()
    };
    engine.update(first.0, behind_nat.clone()).unwrap();
    engine.flush();
    a.send(&rtp(1), first.1);
    assert_eq!(b.receive().0, rtp(1));
    let thief = Phone::new();
    thief.send(&rtp(2), first.1);
    stats_when(&engine, first.0, |stats| stats.rejected == 1);
    // The same remote again changes nothing.
    engine.update(first.0, behind_nat).unwrap();
    engine.flush();
    thief.send(&rtp(3), first.1);
    stats_when(&engine, first.0, |stats| stats.rejected == 2);
    b.send(&rtp(4), second.1);
    assert_eq!(a.receive().0, rtp(4));
    assert!(thief.hears_nothing());
}

#[test]
fn a_new_remote_is_learnt_anew() {
    let engine = Engine::new(config()).unwrap();
    let (a, b, moved) = (Phone::new(), Phone::new(), Phone::new());
    let [first, second] = bridged(&engine, &a, &b);
    a.send(&rtp(1), first.1);
    b.receive();
    engine.update(first.0, moved.spec()).unwrap();
    engine.flush();
    moved.send(&rtp(2), first.1);
    assert_eq!(b.receive().0, rtp(2));
    b.send(&rtp(3), second.1);
    assert_eq!(moved.receive().0, rtp(3));
    a.send(&rtp(4), first.1);
    stats_when(&engine, first.0, |stats| stats.rejected == 1);
}

#[test]
fn strangers_and_garbage_are_dropped_and_counted() {
    let engine = Engine::new(config()).unwrap();
    let (a, b, stranger) = (Phone::new(), Phone::new(), Phone::on("127.0.0.2"));
    let [first, _] = bridged(&engine, &a, &b);
    stranger.send(&rtp(1), first.1);
    for garbage in [
        &b""[..],
        b"\0",
        b"INVITE sip:x SIP/2.0",
        &[0x80; 11],
        &[0xff; 1200],
    ] {
        a.send(garbage, first.1);
    }
    stats_when(&engine, first.0, |stats| stats.rejected == 6);
    assert!(b.hears_nothing());
    a.send(&rtp(2), first.1);
    assert_eq!(b.receive().0, rtp(2));
}

#[test]
fn nothing_is_sent_or_taken_before_the_phone_is_known() {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let first = engine.open(a.spec(), None).unwrap();
    let second = engine.open(EndpointSpec::default(), None).unwrap();
    engine.bridge(first.0, second.0).unwrap();
    engine.flush();
    a.send(&rtp(1), first.1);
    stats_when(&engine, first.0, |stats| stats.packets_received == 1);
    b.send(&rtp(2), second.1);
    stats_when(&engine, second.0, |stats| stats.rejected == 1);
    engine.update(second.0, b.spec()).unwrap();
    engine.flush();
    b.send(&rtp(3), second.1);
    assert_eq!(a.receive().0, rtp(3));
    assert_eq!(engine.stats(second.0).unwrap().packets_sent, 0);
}

#[test]
fn an_echo_comes_back_with_another_ssrc() {
    let engine = Engine::new(config()).unwrap();
    let phone = Phone::new();
    let (id, port) = engine.open(phone.spec(), None).unwrap();
    engine.echo(id).unwrap();
    engine.flush();
    phone.send(&RTCP, port);
    phone.send(&rtp(9), port);
    let (packet, source) = phone.receive();
    assert_eq!(
        (&packet[..8], &packet[12..], source),
        (&rtp(9)[..8], &rtp(9)[12..], port)
    );
    assert_ne!(packet[8..12], rtp(9)[8..12]);
}

#[test]
fn loss_is_told_for_what_a_phone_sent() {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let [first, second] = bridged(&engine, &a, &b);
    for sequence in [1, 2, 5] {
        a.send(&rtp(sequence), first.1);
        b.receive();
    }
    assert_eq!(
        stats_when(&engine, first.0, |stats| stats.lost == 2).packets_received,
        3
    );
    assert_eq!(engine.close(second.0).unwrap().packets_sent, 3);
}

fn timed(phone: &Phone, timeout: Duration) -> EndpointSpec {
    EndpointSpec {
        timeout,
        ..phone.spec()
    }
}

fn next_event(engine: &Engine) -> Event {
    until(|| engine.take_events().into_iter().next())
}

#[test]
fn silence_is_told_once_and_again_after_media_came_back() {
    let engine = Engine::new(config()).unwrap();
    let phone = Phone::new();
    let (id, port) = engine.open(timed(&phone, SHORT), None).unwrap();
    engine.echo(id).unwrap();
    engine.flush();
    assert_eq!(next_event(&engine), Event::TimedOut(id));
    phone.send(&rtp(1), port);
    phone.receive();
    assert_eq!(next_event(&engine), Event::TimedOut(id));
    engine.update(id, timed(&phone, SHORT)).unwrap();
    engine.flush();
    assert_eq!(next_event(&engine), Event::TimedOut(id));
    assert!(engine.take_events().is_empty());
}

#[test]
fn silence_is_no_time_out_while_the_phone_is_unknown() {
    let engine = Engine::new(config()).unwrap();
    let unknown = EndpointSpec {
        timeout: Duration::from_millis(1),
        ..EndpointSpec::default()
    };
    engine.open(unknown, None).unwrap();
    let (id, _) = engine.open(timed(&Phone::new(), SHORT), None).unwrap();
    engine.flush();
    assert_eq!(next_event(&engine), Event::TimedOut(id));
}

#[test]
fn ports_are_even_distinct_and_end_with_a_clear_error() {
    let range = config();
    let engine = Engine::new(Config {
        last_port: range.first_port + 9,
        ..range.clone()
    })
    .unwrap();
    let opened: Vec<(EndpointId, u16)> = (0..5)
        .map(|_| engine.open(EndpointSpec::default(), None).unwrap())
        .collect();
    let ports: HashSet<u16> = opened.iter().map(|(_, port)| *port).collect();
    assert!(ports.len() == 5 && ports.iter().all(|port| port % 2 == 0));
    let error = engine.open(EndpointSpec::default(), None).unwrap_err();
    assert!(matches!(error, EngineError::PortsExhausted { .. }));
    assert!(error.to_string().contains(&range.first_port.to_string()));
    for (id, _) in opened {
        engine.close(id).unwrap();
    }
    engine.flush();
    until(|| engine.open(EndpointSpec::default(), None).ok());
}

#[test]
fn ports_that_others_hold_are_passed_over() {
    let range = config();
    let held: Vec<UdpSocket> = [0, 3]
        .map(|n| UdpSocket::bind((HOST, range.first_port + n)).unwrap())
        .into();
    let engine = Engine::new(Config {
        last_port: range.first_port + 5,
        ..range.clone()
    })
    .unwrap();
    let (_, port) = engine.open(EndpointSpec::default(), None).unwrap();
    assert_eq!(port, range.first_port + 4);
    assert!(engine.open(EndpointSpec::default(), None).is_err());
    drop(held);
}

#[test]
fn closing_while_packets_fly_harms_no_other_call() {
    let engine = Engine::new(Config {
        quarantine: Duration::ZERO,
        threads: 2,
        ..config()
    })
    .unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let [stays, other_end] = bridged(&engine, &a, &b);
    let noise = [Phone::new(), Phone::new()];
    for sequence in 0..200 {
        let first = engine.open(noise[0].spec(), None).unwrap();
        let second = engine.open(noise[1].spec(), None).unwrap();
        engine.bridge(first.0, second.0).unwrap();
        engine.flush();
        noise[0].send(&rtp(sequence), first.1);
        noise[1].send(&rtp(sequence), second.1);
        engine.close(first.0).unwrap();
        noise[0].send(&rtp(sequence), first.1);
        engine.close(second.0).unwrap();
        engine.flush();
        a.send(&rtp(sequence), stays.1);
        assert_eq!(b.receive(), (rtp(sequence), other_end.1));
    }
    assert_eq!(engine.endpoints(), 2);
    until(|| (engine.free_pairs() == 48).then_some(()));
}

#[test]
fn a_bridge_is_left_when_an_end_is_bridged_elsewhere_or_closed() {
    let engine = Engine::new(config()).unwrap();
    let (a, b, c) = (Phone::new(), Phone::new(), Phone::new());
    let [first, second] = bridged(&engine, &a, &b);
    let third = engine.open(c.spec(), None).unwrap();
    engine.bridge(first.0, third.0).unwrap();
    engine.flush();
    a.send(&rtp(1), first.1);
    assert_eq!(c.receive().0, rtp(1));
    b.send(&rtp(2), second.1);
    stats_when(&engine, second.0, |stats| stats.packets_received == 1);
    engine.close(third.0).unwrap();
    engine.isolate(first.0).unwrap();
    engine.flush();
    a.send(&rtp(3), first.1);
    stats_when(&engine, first.0, |stats| stats.packets_received == 2);
    assert!(a.hears_nothing() && b.hears_nothing() && c.hears_nothing());
}

#[test]
fn wrong_use_is_an_error_and_not_a_panic() {
    let engine = Engine::new(config()).unwrap();
    let (id, _) = engine.open(EndpointSpec::default(), None).unwrap();
    assert!(matches!(
        engine.bridge(id, id),
        Err(EngineError::Invalid(_))
    ));
    assert!(matches!(
        engine.bridge(id, 99),
        Err(EngineError::UnknownEndpoint(99))
    ));
    assert!(matches!(
        engine.open(EndpointSpec::default(), Some(99)),
        Err(EngineError::UnknownEndpoint(99))
    ));
    engine.close(id).unwrap();
    assert!(matches!(
        engine.close(id),
        Err(EngineError::UnknownEndpoint(_))
    ));
    assert!(matches!(
        engine.update(id, EndpointSpec::default()),
        Err(EngineError::UnknownEndpoint(_))
    ));
    engine.shut_down();
    assert!(matches!(
        engine.open(EndpointSpec::default(), None),
        Err(EngineError::Closed)
    ));
    engine.shut_down();
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let range = config();
    let wrong = [
        Config {
            ip: "0.0.0.0".parse().unwrap(),
            ..range.clone()
        },
        Config {
            first_port: 0,
            ..range.clone()
        },
        Config {
            last_port: range.first_port - 1,
            ..range.clone()
        },
        Config {
            threads: 0,
            ..range.clone()
        },
        Config {
            dscp: 64,
            ..range.clone()
        },
        Config {
            tick: Duration::ZERO,
            ..range
        },
    ];
    for config in wrong {
        assert!(matches!(Engine::new(config), Err(EngineError::Invalid(_))));
    }
}

#[test]
fn shutting_down_frees_every_port() {
    let range = config();
    let first = Engine::new(range.clone()).unwrap();
    let opened: Vec<u16> = (0..50)
        .map(|_| first.open(EndpointSpec::default(), None).unwrap().1)
        .collect();
    drop(first);
    for port in opened {
        UdpSocket::bind((HOST, port)).unwrap();
    }
}
