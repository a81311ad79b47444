//! What becomes of packets, over real sockets on loopback.

mod support;

use mediaengine::{Config, Engine, StreamSpec, TransportSpec};
use support::{Call, Phone, RTCP, config, rtp, rtp_of};

#[test]
fn media_is_relayed_both_ways_from_the_ports_each_phone_was_told() {
    let engine = Engine::new(Config {
        threads: 2,
        ..config()
    })
    .unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let call = Call::bridged(&engine, &a, &b);
    let (to_a, to_b) = (call.port("a"), call.port("b"));
    for sequence in 0..20 {
        a.send(&rtp(sequence), to_a);
        assert_eq!(b.receive(), (rtp(sequence), to_b));
        b.send(&rtp(sequence + 100), to_b);
        assert_eq!(a.receive(), (rtp(sequence + 100), to_a));
    }
    let stats = call.stats_when("a", |stats| stats.packets_sent == 20);
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
fn rtcp_travels_between_the_odd_ports() {
    let engine = Engine::new(config()).unwrap();
    let phones = [Phone::new(), Phone::new()];
    let reports = [Phone::new(), Phone::new()];
    let stream = |n: usize| {
        let known = phones[n].stream();
        StreamSpec {
            transport: TransportSpec {
                remote_rtcp: Some(reports[n].address().into()),
                ..known.transport
            },
            ..known
        }
    };
    let mut call = Call::bridged(&engine, &phones[0], &phones[1]);
    call.set("a", stream(0)).set("b", stream(1)).apply();
    let (to_a, to_b) = (call.port("a"), call.port("b"));
    reports[0].send(&RTCP, to_a + 1);
    assert_eq!(reports[1].receive(), (RTCP.to_vec(), to_b + 1));
    reports[0].send(&rtp(1), to_a + 1);
    let stats = call.stats_when("a", |stats| stats.rejected == 1);
    assert_eq!((stats.rtcp_received, stats.packets_received), (1, 0));
    assert!(stats.last_packet_age_s.is_none());
}

#[test]
fn reports_on_the_rtp_port_stay_on_it() {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let call = Call::bridged(&engine, &a, &b);
    a.send(&RTCP, call.port("a"));
    assert_eq!(b.receive(), (RTCP.to_vec(), call.port("b")));
}

#[test]
fn strangers_and_garbage_are_dropped_and_counted() {
    let engine = Engine::new(config()).unwrap();
    let (a, b, stranger) = (Phone::new(), Phone::new(), Phone::on("127.0.0.2"));
    let call = Call::bridged(&engine, &a, &b);
    stranger.send(&rtp(1), call.port("a"));
    for garbage in [
        &b""[..],
        b"\0",
        b"INVITE sip:x SIP/2.0",
        &[0x80; 11],
        &[0xff; 1200],
    ] {
        a.send(garbage, call.port("a"));
    }
    call.stats_when("a", |stats| stats.rejected == 6);
    assert!(b.hears_nothing());
    a.send(&rtp(2), call.port("a"));
    assert_eq!(b.receive().0, rtp(2));
}

#[test]
fn nothing_is_sent_or_taken_before_the_phone_is_known() {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &Phone::new());
    call.set("b", StreamSpec::default()).apply();
    a.send(&rtp(1), call.port("a"));
    call.stats_when("a", |stats| stats.packets_received == 1);
    b.send(&rtp(2), call.port("b"));
    call.stats_when("b", |stats| stats.rejected == 1);
    call.set("b", b.stream()).apply();
    b.send(&rtp(3), call.port("b"));
    assert_eq!(a.receive().0, rtp(3));
    assert_eq!(call.stats("b").packets_sent, 0);
}

#[test]
fn an_echo_comes_back_with_another_ssrc() {
    let engine = Engine::new(config()).unwrap();
    let phone = Phone::new();
    let mut call = Call::new(&engine, "s");
    call.set("a", phone.stream()).hear("a", &["a"]).apply();
    let port = call.port("a");
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
    let call = Call::bridged(&engine, &a, &b);
    for sequence in [1, 2, 5] {
        a.send(&rtp(sequence), call.port("a"));
        b.receive();
    }
    let stats = call.stats_when("a", |stats| stats.lost == 2);
    assert_eq!(stats.packets_received, 3);
    call.stats_when("b", |stats| stats.packets_sent == 3);
    let report = engine.close(call.session).unwrap();
    assert_eq!(report[1].stats.packets_sent, 3);
}

#[test]
fn everybody_hears_whom_the_matrix_says_and_nobody_else() {
    let engine = Engine::new(config()).unwrap();
    let (a, b, c) = (Phone::new(), Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    call.set("c", c.stream()).hear("c", &["a"]).apply();
    a.send(&rtp(1), call.port("a"));
    assert_eq!((b.receive().0, c.receive().0), (rtp(1), rtp(1)));
    c.send(&rtp_of(9, 1), call.port("c"));
    call.stats_when("c", |stats| stats.packets_received == 1);
    call.hear("a", &[]).hear("b", &[]).hear("c", &[]).apply();
    a.send(&rtp(2), call.port("a"));
    call.stats_when("a", |stats| stats.packets_received == 2);
    assert!(a.hears_nothing() && b.hears_nothing() && c.hears_nothing());
}

#[test]
fn a_phone_hears_one_line_whoever_speaks() {
    let engine = Engine::new(config()).unwrap();
    let (a, b, c) = (Phone::new(), Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    call.set("c", c.stream()).apply();
    b.send(&rtp_of(7, 500), call.port("b"));
    assert_eq!(a.receive().0, rtp_of(7, 500));
    call.hear("a", &["c"]).apply();
    c.send(&rtp_of(9, 20), call.port("c"));
    let (packet, source) = a.receive();
    assert_eq!(source, call.port("a"));
    assert_eq!(packet[2..4], 501u16.to_be_bytes());
    assert_eq!(packet[8..], rtp_of(7, 0)[8..], "SSRC and payload");
    assert!(packet[4..8] > rtp_of(7, 500)[4..8], "the timestamp goes on");
    c.send(&RTCP, call.port("c"));
    call.stats_when("c", |stats| stats.rtcp_received == 1);
    assert!(a.hears_nothing(), "what the source reports fits no more");
}

#[test]
fn a_leg_that_leaves_the_scene_is_gone_and_its_counters_are_kept() {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    b.send(&rtp(1), call.port("b"));
    a.receive();
    let port = call.port("b");
    call.scene.endpoints.remove("b");
    call.hear("a", &[]).scene.hears.remove("b");
    call.apply();
    assert_eq!(engine.streams(), 1);
    support::until(|| std::net::UdpSocket::bind((support::HOST, port)).ok());
    assert_eq!(call.stats("b").packets_received, 1);
    call.set("b", b.stream()).hear("a", &["b"]).apply();
    b.send(&rtp(2), call.port("b"));
    assert_eq!(a.receive().0[8..], rtp(2)[8..]);
    let report = engine.close("s").unwrap();
    assert_eq!(
        report.len(),
        2,
        "one for each stream, however often it came"
    );
    assert_eq!(report[1].stats.packets_received, 2);
}
