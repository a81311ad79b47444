//! What becomes of packets, over real sockets on loopback.

mod support;

use mediaengine::{Config, EndpointSpec, Engine};
use support::{HOST, Phone, RTCP, bridged, config, rtp, stats_when};

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
    stats_when(&engine, second.0, |stats| stats.packets_sent == 3);
    assert_eq!(engine.close(second.0).unwrap().packets_sent, 3);
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
