//! Both sides of an hour's call stay together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use store::part::Tracks;
use store::recording::{Frame, Recorder, Settings};

const RATE: u64 = 8000;
const FRAME: u64 = 160;
const SECOND: u64 = 1_000_000_000;
const MARK: i16 = 20_000;

/// A phone whose clock is not quite right; it says [`MARK`] at each full second of real time.
struct Phone {
    started_ns: u64,
    /// Samples in a million seconds.
    pace: u64,
    /// Its count at the start.
    count: u64,
}

impl Phone {
    fn sample_at(&self, ns: u64) -> u64 {
        let since = u128::from(ns.saturating_sub(self.started_ns));
        (since * u128::from(self.pace) / 1_000_000 / u128::from(SECOND)) as u64
    }

    /// When the frame is complete.
    fn sent_ns(&self, frame: u64) -> u64 {
        let samples = u128::from((frame + 1) * FRAME) * 1_000_000;
        self.started_ns + (samples * u128::from(SECOND) / u128::from(self.pace)) as u64
    }

    fn samples(&self, frame: u64) -> [i16; FRAME as usize] {
        let mut samples = [0; FRAME as usize];
        let first = frame * FRAME;
        let second = self.sent_ns(frame) / SECOND * SECOND;
        let mark = self.sample_at(second);
        if second > self.started_ns && (first..first + FRAME).contains(&mark) {
            samples[(mark - first) as usize] = MARK;
        }
        samples
    }
}

/// Xorshift: any numbers will do, the same in each run.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Where each channel has its marks, in samples; jitter to 60 ms, 3 % lost, 100 ppm between true and each clock.
fn marks(seconds: u64) -> [Vec<u64>; 2] {
    let phones = [
        Phone {
            started_ns: 3_000_000,
            pace: RATE * 1_000_100,
            count: 1 << 31,
        },
        Phone {
            started_ns: 111_000_000,
            pace: RATE * 999_900,
            count: 5,
        },
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut recorder = Recorder::new(
        Settings {
            tracks: Tracks::Dual,
            sources: 2,
            delay: Duration::from_millis(200),
            ..Settings::new(RATE as u32)
        },
        0,
    )
    .unwrap();
    let mut network = BinaryHeap::new();
    let (mut position, mut found) = (0, [vec![], vec![]]);
    for frame in 0..seconds * 50 {
        for (source, phone) in phones.iter().enumerate() {
            if next(&mut seed) % 100 >= 3 {
                let jitter = next(&mut seed) % 60_000_000;
                let arrival = phone.sent_ns(frame) + 30_000_000 + jitter;
                network.push(Reverse((arrival, source, frame)));
            }
        }
        let now = phones[0].sent_ns(frame);
        while let Some(Reverse((arrival, source, frame))) = network.peek().copied()
            && arrival <= now
        {
            network.pop();
            while let Some(block) = recorder.next_block(arrival) {
                for pair in block.chunks(2) {
                    for (channel, sample) in pair.iter().enumerate() {
                        if *sample == MARK {
                            found[channel].push(position);
                        }
                    }
                    position += 1;
                }
            }
            let frame = Frame {
                arrived_ns: arrival,
                at: phones[source].count + frame * FRAME,
                samples: &phones[source].samples(frame),
            };
            recorder.receive(source, frame).unwrap();
        }
    }
    found
}

#[test]
fn the_tracks_never_drift_apart_by_more_than_20_ms() {
    const SECONDS: u64 = 3600;
    let channels = marks(SECONDS);
    let mut worst = 0;
    for found in &channels {
        // What was lost is not heard; a slip may say a sample twice.
        assert!(found.len() as u64 > SECONDS * 96 / 100, "{}", found.len());
        for position in found {
            // It was sent 0 to 20 ms after it was said, and came 30 ms after that at the earliest.
            let after = (position + RATE / 2) % RATE;
            assert!(
                (RATE / 2..RATE / 2 + RATE * 60 / 1000).contains(&after),
                "{position}"
            );
        }
    }
    let second = |position: &u64| (position + RATE / 2) / RATE;
    for left in &channels[0] {
        let same = |right: &&u64| second(right) == second(left);
        if let Ok(at) = channels[1].binary_search_by_key(&second(left), second) {
            let right = Some(&channels[1][at]).filter(same).unwrap();
            worst = worst.max(left.abs_diff(*right) * 1000 / RATE);
        }
    }
    assert!(worst <= 20, "{worst} ms");
}
