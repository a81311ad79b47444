//! Sessions coming and going: ports, order, silence, closing, wrong use.

mod support;

use std::collections::HashSet;
use std::net::UdpSocket;
use std::time::Duration;

use mediaengine::{Config, Engine, EngineError, Event, Order, Scene, Silence, StreamSpec};
use support::{Call, HOST, Phone, SHORT, config, rtp, until};

fn next_event(engine: &Engine) -> Event {
    until(|| engine.take_events().into_iter().next())
}

fn silent(leg: &str, is_other_heard: bool) -> Event {
    let leg = leg.into();
    Event::TimedOut(
        "s".into(),
        Silence {
            leg,
            is_other_heard,
        },
    )
}

fn order(epoch: u64, revision: u64) -> Order {
    Order { epoch, revision }
}

/// Opens a session with a stream of which nothing is known, and returns its port.
fn open(engine: &Engine, session: &str) -> Result<u16, EngineError> {
    let mut scene = Scene::default();
    let streams = vec![StreamSpec::default()];
    let endpoint = mediaengine::Endpoint { streams };
    scene.endpoints.insert("a".to_owned(), endpoint);
    let opened = engine.apply(session, order(1, 1), &scene, true)?;
    engine.flush();
    Ok(opened[0].rtp_port)
}

#[test]
fn silence_is_told_again_as_long_as_it_lasts_and_after_media_came_back() {
    let engine = Engine::new(config()).unwrap();
    let phone = Phone::new();
    let mut call = Call::new(&engine, "s");
    call.scene.media_timeout_s = SHORT.as_secs_f64();
    call.set("a", phone.stream()).hear("a", &["a"]).apply();
    for _ in 0..2 {
        assert_eq!(next_event(&engine), silent("a", false));
    }
    phone.send(&rtp(1), call.port("a"));
    phone.receive();
    assert_eq!(next_event(&engine), silent("a", false));
    call.scene.media_timeout_s = 0.0;
    call.apply();
    phone.send(&rtp(2), call.port("a"));
    phone.receive();
    engine.take_events();
    assert!(phone.hears_nothing());
    assert!(engine.take_events().is_empty());
}

#[test]
fn of_one_silent_party_it_is_told_whether_the_other_is_heard() {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    call.scene.media_timeout_s = 3.0 * SHORT.as_secs_f64();
    call.apply();
    let told = until(|| {
        a.send(&rtp(1), call.port("a"));
        engine.take_events().into_iter().next()
    });
    assert_eq!(told, silent("b", true));
}

#[test]
fn silence_counts_neither_on_hold_nor_before_both_parties_are_known() {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    call.scene.media_timeout_s = SHORT.as_secs_f64();
    call.set("b", StreamSpec::default()).apply();
    assert!(a.hears_nothing() && b.hears_nothing());
    let held = |phone: &Phone| StreamSpec {
        active: false,
        ..phone.stream()
    };
    call.set("a", held(&a)).set("b", held(&b)).apply();
    assert!(a.hears_nothing() && b.hears_nothing());
    assert!(engine.take_events().is_empty());
    call.set("b", b.stream()).apply();
    assert_eq!(next_event(&engine), silent("b", false));
}

#[test]
fn an_older_wish_is_refused_and_the_newest_again_is_answered_alike() {
    let engine = Engine::new(config()).unwrap();
    let scene = Scene::default();
    let apply = |at: Order| engine.apply("s", at, &scene, true);
    apply(order(2, 5)).unwrap();
    for stale in [order(2, 4), order(1, 9)] {
        assert!(matches!(apply(stale), Err(EngineError::Stale { .. })));
    }
    apply(order(2, 5)).unwrap();
    apply(order(3, 0)).unwrap();
    let port = open(&engine, "t").unwrap();
    assert_eq!(open(&engine, "t").unwrap(), port);
}

#[test]
fn what_is_refused_leaves_the_session_as_it_was() {
    let range = config();
    let engine = Engine::new(Config {
        last_port: range.first_port + 5,
        ..range
    })
    .unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    let (to_a, to_b) = (call.port("a"), call.port("b"));
    let before = call.scene.clone();
    call.set("a", b.stream()).set("b", a.stream());
    for leg in ["c", "d"] {
        call.set(leg, StreamSpec::default());
    }
    let refused = call.try_apply().unwrap_err();
    assert!(matches!(refused, EngineError::PortsExhausted { .. }));
    assert_eq!(engine.streams(), 2);
    a.send(&rtp(1), to_a);
    assert_eq!(b.receive(), (rtp(1), to_b));
    call.scene = before;
    call.apply();
    assert_eq!((call.port("a"), call.port("b")), (to_a, to_b));
}

#[test]
fn media_goes_to_no_port_of_our_own() {
    let engine = Engine::new(config()).unwrap();
    let ours = open(&engine, "t").unwrap();
    let mut call = Call::new(&engine, "s");
    for port in [ours, ours + 1] {
        let mut stream = StreamSpec::default();
        let address = std::net::SocketAddr::new(HOST, port);
        stream.transport.remote = Some(address.into());
        let refused = call.set("a", stream).try_apply().unwrap_err();
        assert!(matches!(refused, EngineError::OwnPort(_)));
    }
    assert_eq!(engine.streams(), 1);
}

#[test]
fn ports_are_even_distinct_and_end_with_a_clear_error() {
    let range = config();
    let engine = Engine::new(Config {
        last_port: range.first_port + 9,
        ..range.clone()
    })
    .unwrap();
    let names = ["1", "2", "3", "4", "5"];
    let ports: HashSet<u16> = names.map(|id| open(&engine, id).unwrap()).into();
    assert!(ports.len() == 5 && ports.iter().all(|port| port % 2 == 0));
    let error = open(&engine, "6").unwrap_err();
    assert!(matches!(error, EngineError::PortsExhausted { .. }));
    assert!(error.to_string().contains(&range.first_port.to_string()));
    for id in names {
        engine.close(id).unwrap();
    }
    engine.flush();
    until(|| open(&engine, "6").ok());
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
    assert_eq!(open(&engine, "1").unwrap(), range.first_port + 4);
    assert!(open(&engine, "2").is_err());
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
    let stays = Call::bridged(&engine, &a, &b);
    let noise = [Phone::new(), Phone::new()];
    for sequence in 0..200 {
        let mut call = Call::new(&engine, "noise");
        call.set("a", noise[0].stream()).set("b", noise[1].stream());
        call.hear("a", &["b"]).hear("b", &["a"]);
        // The range is small, and the threads may be behind with closing.
        until(|| call.try_apply().ok());
        noise[0].send(&rtp(sequence), call.port("a"));
        noise[1].send(&rtp(sequence), call.port("b"));
        engine.close("noise").unwrap();
        engine.flush();
        a.send(&rtp(sequence), stays.port("a"));
        assert_eq!(b.receive(), (rtp(sequence), stays.port("b")));
    }
    assert_eq!(engine.sessions(), 1);
    until(|| (engine.free_pairs() == 48).then_some(()));
}

#[test]
fn wrong_use_is_an_error_and_not_a_panic() {
    let engine = Engine::new(config()).unwrap();
    let scene = Scene::default();
    let unknown = engine.apply("s", order(1, 1), &scene, false);
    assert!(matches!(unknown, Err(EngineError::UnknownSession(_))));
    open(&engine, "s").unwrap();
    engine.close("s").unwrap();
    let closed = engine.close("s");
    assert!(matches!(closed, Err(EngineError::UnknownSession(_))));
    let closed = engine.report("s");
    assert!(matches!(closed, Err(EngineError::UnknownSession(_))));
    engine.shut_down();
    assert!(matches!(open(&engine, "s"), Err(EngineError::Closed)));
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
            ip: "192.0.2.1".parse().unwrap(),
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
    let engine = Engine::new(config()).unwrap();
    let open = |n: u32| open(&engine, &n.to_string()).unwrap();
    let opened: Vec<u16> = (0..50).map(open).collect();
    drop(engine);
    for port in opened {
        UdpSocket::bind((HOST, port)).unwrap();
    }
}
