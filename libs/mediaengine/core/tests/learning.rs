//! Whom a port believes, over real sockets on loopback. The rules and their times: `gate.rs`.

mod support;

use mediaengine::{Config, Engine, StreamSpec, TransportSpec};
use support::{Call, HOST, Phone, config, rtp, rtp_of};

/// The phone of a leg whose SDP names an address behind NAT.
fn behind_nat() -> StreamSpec {
    let private = "10.255.255.1:4000".parse::<std::net::SocketAddr>().unwrap();
    StreamSpec {
        transport: TransportSpec {
            remote: Some(private.into()),
            learn_from: vec![private.ip(), HOST],
            ..TransportSpec::default()
        },
        ..StreamSpec::default()
    }
}

#[test]
fn a_source_is_learnt_by_three_packets_and_the_answers_go_there() {
    let engine = Engine::new(config()).unwrap();
    let (a, b, thief) = (Phone::new(), Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    call.set("a", behind_nat()).apply();
    for sequence in 1..=4 {
        a.send(&rtp(sequence), call.port("a"));
    }
    assert_eq!(b.receive().0, rtp(4), "three have proven it");
    for sequence in 1..=4 {
        thief.send(&rtp_of(9, sequence), call.port("a"));
    }
    let stats = call.stats_when("a", |stats| stats.rejected == 4);
    assert_eq!((stats.packets_received, stats.lost), (4, 0));
    b.send(&rtp(5), call.port("b"));
    assert_eq!(a.receive().0, rtp(5));
    assert!(thief.hears_nothing() && b.hears_nothing());
}

#[test]
fn the_phone_at_its_address_takes_the_port_from_who_was_faster() {
    let engine = Engine::new(config()).unwrap();
    let (a, b, stranger) = (Phone::new(), Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    let mut known = a.stream();
    known.transport.learn_from = vec![HOST];
    call.set("a", known).apply();
    for sequence in 1..=4 {
        stranger.send(&rtp_of(9, sequence), call.port("a"));
    }
    assert_eq!(b.receive().0, rtp_of(9, 4), "within the window");
    a.send(&rtp(1), call.port("a"));
    assert_eq!(b.receive().0, rtp(1));
    b.send(&rtp(2), call.port("b"));
    assert_eq!(a.receive().0, rtp(2));
    stranger.send(&rtp_of(9, 5), call.port("a"));
    call.stats_when("a", |stats| stats.rejected == 1);
    assert!(stranger.hears_nothing());
}

#[test]
fn a_new_remote_is_learnt_anew() {
    let engine = Engine::new(config()).unwrap();
    let (a, b, moved) = (Phone::new(), Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    a.send(&rtp(1), call.port("a"));
    b.receive();
    call.set("a", moved.stream()).apply();
    moved.send(&rtp(2), call.port("a"));
    assert_eq!(b.receive().0, rtp(2));
    b.send(&rtp(3), call.port("b"));
    assert_eq!(moved.receive().0, rtp(3));
    a.send(&rtp(4), call.port("a"));
    call.stats_when("a", |stats| stats.rejected == 1);
}

#[test]
fn a_phone_that_missed_the_end_of_its_call_does_not_take_the_next_one() {
    let range = config();
    let engine = Engine::new(Config {
        last_port: range.first_port + 1,
        quarantine: std::time::Duration::ZERO,
        ..range
    })
    .unwrap();
    let phone = Phone::new();
    let open = |session| {
        let mut call = Call::new(&engine, session);
        call.set("a", phone.stream()).hear("a", &["a"]);
        support::until(|| call.try_apply().ok());
        call
    };
    let close = |session| {
        engine.close(session).unwrap();
        engine.flush();
    };
    let first = open("s");
    let port = first.port("a");
    phone.send(&rtp(1), port);
    phone.receive();
    close("s");
    let second = open("t");
    assert_eq!(second.port("a"), port, "the only pair that there is");
    phone.send(&rtp(2), port);
    second.stats_when("a", |stats| stats.rejected == 1);
    close("t");
    let again = open("s");
    phone.send(&rtp(3), again.port("a"));
    assert_eq!(phone.receive().0[..8], rtp(3)[..8], "its own call goes on");
    close("s");
    let third = open("u");
    phone.send(&rtp_of(8, 1), third.port("a"));
    phone.receive();
}
