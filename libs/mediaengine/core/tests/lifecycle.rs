//! Endpoints coming and going: ports, silence, closing, wrong use.

mod support;

use std::collections::HashSet;
use std::net::UdpSocket;
use std::time::Duration;

use mediaengine::{Config, EndpointId, EndpointSpec, Engine, EngineError, Event};
use support::{HOST, Phone, SHORT, bridged, config, rtp, until};

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
        // The range is small, and the threads may be behind with closing.
        let first = until(|| engine.open(noise[0].spec(), None).ok());
        let second = until(|| engine.open(noise[1].spec(), None).ok());
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
