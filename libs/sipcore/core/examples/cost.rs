//! What reading costs: `cargo run --release --example cost MESSAGE`.

use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 20_000;

/// Prints the best of seven.
fn time(name: &str, mut f: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            f();
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(ROUNDS) * 1e9);
    }
    println!("{name} {best:.0} ns");
}

fn main() {
    let data = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    time("datagram", || {
        black_box(sipcore::parse_datagram(black_box(&data)).unwrap());
    });
    let m = sipcore::parse_datagram(&data).unwrap();
    time("clone", || {
        black_box(m.clone());
    });
    time("via", || {
        black_box(m.first_value(sipcore::Known::VIA).unwrap());
    });
    let v = m.first_value(sipcore::Known::VIA).unwrap();
    time("via parse", || {
        black_box(sipcore::Via::parse(black_box(&v)).unwrap());
    });
    let v = m.mandatory(sipcore::Known::FROM).unwrap();
    time("from parse", || {
        black_box(sipcore::NameAddr::parse(black_box(&v)).unwrap());
    });
    time("cseq", || {
        black_box(m.cseq().unwrap());
    });
    time("uri", || {
        black_box(sipcore::Uri::parse(black_box(b"sip:1002@demo.localhost")).unwrap());
    });
    time("key", || {
        black_box(sipcore::Key::of(black_box("max-forwards")));
    });
    time("count", || {
        black_box(m.header.count(sipcore::Key::of(black_box("max-forwards"))));
    });
}
