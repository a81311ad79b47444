//! A packet on its way takes no memory.

mod support;

use std::alloc::System;

use mediaengine::{Engine, KeySpec, SdesSpec, StreamSpec};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::{Call, Phone, config, rtp};
use wire::srtp::Suite;

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM_UP: u16 = 50;
const PACKETS: u16 = 500;

fn secured(phone: &Phone) -> StreamSpec {
    let suite = Suite::AesCm128HmacSha1Tag80;
    let key = |byte: u8| KeySpec {
        suite: suite.name().to_owned(),
        key: vec![byte; suite.key_length()].as_slice().into(),
        salt: vec![byte; suite.salt_length()].as_slice().into(),
    };
    let mut stream = phone.stream();
    stream.transport.sdes = Some(SdesSpec {
        ours: key(1),
        theirs: key(2),
    });
    stream
}

/// Allocations while "a" sends packets to "b", of the whole process.
fn allocations(hears: impl FnOnce(&Phone) -> StreamSpec) -> usize {
    let engine = Engine::new(config()).unwrap();
    let (a, b) = (Phone::new(), Phone::new());
    let mut call = Call::bridged(&engine, &a, &b);
    call.set("b", hears(&b)).apply();
    let port = call.port("a");
    let packets: Vec<Vec<u8>> = (0..PACKETS).map(rtp).collect();
    let mut buffer = [0; 2048];
    let mut send = |packets: &[Vec<u8>]| {
        for packet in packets {
            a.send(packet, port);
            b.receive_into(&mut buffer);
        }
    };
    let (before, after) = packets.split_at(usize::from(WARM_UP));
    send(before);
    let began = MEMORY.stats();
    send(after);
    (MEMORY.stats() - began).allocations
}

#[test]
fn a_packet_that_is_passed_on_or_protected_takes_no_memory() {
    assert_eq!(allocations(Phone::stream), 0);
    assert_eq!(allocations(secured), 0);
    let kept = MEMORY.stats();
    drop(vec![1u8; 10]);
    assert!((MEMORY.stats() - kept).allocations > 0, "it would be seen");
}
