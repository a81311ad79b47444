//! What SRTP costs: `cargo run --release --example cost` prints, by suite, the time that protecting and opening a packet of 20 ms of G.711 takes.

use std::time::Instant;

use wire::srtp::{Context, LONGEST_TRAILER, MasterKey, Suite};

const PACKETS: u16 = 60_000;
const LENGTH: usize = 172;

fn main() {
    for suite in Suite::ALL {
        let (key, salt) = (vec![7; suite.key_length()], vec![9; suite.salt_length()]);
        let master = MasterKey::new(suite, &key, &salt).expect("the suite says how long they are");
        let contexts = [Context::new(&master), Context::new(&master)];
        let [mut ours, mut theirs] = contexts.map(|made| made.expect("the key is of its suite"));
        let mut buffer = [0; LENGTH + LONGEST_TRAILER];
        let began = Instant::now();
        for sequence in 0..PACKETS {
            buffer[0] = 0x80;
            buffer[2..4].copy_from_slice(&sequence.to_be_bytes());
            let length = ours.protect_rtp(&mut buffer, LENGTH).expect("it is new");
            theirs
                .unprotect_rtp(&mut buffer[..length])
                .expect("it is ours");
        }
        let each_ns = began.elapsed().as_nanos() / u128::from(PACKETS) / 2;
        println!(
            "{:<26} {each_ns:>5} ns a packet and direction",
            suite.name()
        );
    }
}
