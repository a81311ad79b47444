//! One recorder in virtual time.

use std::time::Duration;

use store::part::Tracks;
use store::recording::{Beep, End, Frame, Paused, Recorder, Settings};

const RATE: u32 = 8000;
const BLOCK: usize = 160;
const MS: u64 = 1_000_000;
/// Any clock will do.
const START: u64 = 77_777 * MS;

struct Rig {
    recorder: Recorder,
    out: Vec<i16>,
}

impl Rig {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(RATE);
        change(&mut settings);
        Self {
            recorder: Recorder::new(settings, START).unwrap(),
            out: vec![],
        }
    }

    /// A frame of one value that arrives after so many ms, with the sender's count of its first sample.
    fn put(&mut self, source: usize, ms: u64, at: u64, value: i16) {
        self.run_until(ms);
        let frame = Frame {
            arrived_ns: START + ms * MS,
            at,
            samples: &[value; BLOCK],
        };
        self.recorder.receive(source, frame).unwrap();
    }

    /// Frames of the values, one each 20 ms from the start on.
    fn put_all(&mut self, source: usize, values: impl IntoIterator<Item = i16>) {
        for (n, value) in (0..).zip(values) {
            self.put(source, 20 * n, 160 * n, value);
        }
    }

    fn run_until(&mut self, ms: u64) {
        while let Some(block) = self.recorder.next_block(START + ms * MS) {
            self.out.extend_from_slice(block);
        }
    }

    fn close(&mut self, ms: u64) -> &[i16] {
        self.recorder.close(START + ms * MS);
        self.run_until(ms);
        &self.out
    }

    /// The recording as one value for each block of equal samples.
    fn values(&self) -> Vec<i16> {
        let blocks = self.out.chunks(BLOCK);
        blocks
            .map(|block| {
                assert!(block.iter().all(|it| *it == block[0]), "{block:?}");
                block[0]
            })
            .collect()
    }
}

#[test]
fn steady_frames_come_out_as_they_came() {
    let mut rig = Rig::new(|_| {});
    rig.put_all(0, 1..=500);
    assert_eq!(rig.out.len(), BLOCK * (500 - 11));
    rig.close(10_000);
    assert_eq!(rig.values(), (1..=500).collect::<Vec<_>>());
    assert_eq!(rig.recorder.end(), Some(End::Closed));
    assert_eq!(rig.recorder.duration(), Duration::from_secs(10));
    assert_eq!(rig.recorder.stats().next(), Some(Default::default()));
}

#[test]
fn what_was_lost_is_silent_and_counted() {
    let mut rig = Rig::new(|_| {});
    for n in [0, 1, 4, 5, 9] {
        rig.put(0, 20 * n, 160 * n, n as i16 + 1);
    }
    rig.close(200);
    assert_eq!(rig.values(), [1, 2, 0, 0, 5, 6, 0, 0, 0, 10]);
    let stats = rig.recorder.stats().next().unwrap();
    assert_eq!((stats.gaps, stats.missing, stats.late), (2, 5 * 160, 0));
}

#[test]
fn a_frame_that_comes_late_takes_its_place_unless_that_is_gone() {
    let mut rig = Rig::new(|_| {});
    rig.put(0, 0, 0, 1);
    for (ms, n) in [(40, 2), (60, 3), (200, 1), (239, 4), (350, 5), (351, 11)] {
        rig.put(0, ms, 160 * n, n as i16 + 1);
    }
    rig.close(360);
    let values = [1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0];
    assert_eq!(rig.values(), values);
    assert_eq!(rig.recorder.stats().next().unwrap().late, 1);
}

#[test]
fn a_mix_is_a_sum_that_does_not_wrap() {
    let mut rig = Rig::new(|settings| settings.sources = 3);
    for (source, value) in [(0, 30_000), (1, 20_000), (2, -1)] {
        rig.put(source, 0, 0, value);
    }
    for (source, value) in [(0, 100), (1, -300)] {
        rig.put(source, 20, 160, value);
    }
    rig.close(40);
    assert_eq!(rig.values(), [32_767, -200]);
}

#[test]
fn a_pause_leaves_out_what_was_said_and_its_time() {
    let mut rig = Rig::new(|_| {});
    rig.put_all(0, 1..=10);
    rig.recorder.pause(START + 190 * MS);
    for n in 10..30 {
        rig.put(0, 20 * n, 160 * n, 99);
    }
    rig.recorder.resume(START + 610 * MS);
    rig.put(0, 620, 160 * 31, 7);
    rig.close(640);
    let values: Vec<i16> = (1..=9).chain([7]).collect();
    assert_eq!(rig.values(), values);
}

#[test]
fn a_pause_may_keep_its_time() {
    let mut rig = Rig::new(|settings| settings.paused = Paused::Silent);
    rig.put_all(0, [1, 2]);
    rig.recorder.pause(START + 40 * MS);
    for ms in [50, 51, 52] {
        rig.recorder.resume(START + ms * MS);
        rig.recorder.pause(START + ms * MS);
    }
    rig.put(0, 40, 320, 99);
    rig.put(0, 60, 480, 99);
    rig.recorder.resume(START + 80 * MS);
    rig.recorder.resume(START + 80 * MS);
    rig.put(0, 80, 640, 5);
    rig.close(100);
    assert_eq!(rig.values(), [1, 2, 0, 0, 5]);
}

#[test]
fn a_recording_is_never_longer_than_it_may_be() {
    let mut rig = Rig::new(|settings| settings.max = Some(Duration::from_millis(110)));
    rig.put_all(0, 1..=30);
    assert_eq!(rig.recorder.end(), Some(End::MaxLength));
    assert_eq!(rig.out.len(), 110 * 8);
    assert_eq!(rig.close(900).len(), 110 * 8);
    assert_eq!(rig.recorder.end(), Some(End::MaxLength));
}

#[test]
fn silence_of_both_sides_ends_the_recording() {
    let mut rig = Rig::new(|settings| {
        settings.tracks = Tracks::Dual;
        settings.sources = 2;
        settings.silence = Some(Duration::from_secs(1));
    });
    for n in 0..150 {
        let left = if n < 20 { 3000 } else { 50 };
        let right = if (60..80).contains(&n) { 3000 } else { -50 };
        rig.put(0, 20 * n, 160 * n, left);
        rig.put(1, 20 * n, 160 * n, right);
    }
    assert_eq!(rig.recorder.end(), Some(End::Silence));
    assert_eq!(
        rig.recorder.duration(),
        Duration::from_millis(20 * 80 + 1000)
    );
}

#[test]
fn a_pause_is_no_silence() {
    let mut rig = Rig::new(|settings| {
        settings.silence = Some(Duration::from_secs(1));
        settings.paused = Paused::Silent;
    });
    rig.put(0, 0, 0, 3000);
    rig.recorder.pause(START + 20 * MS);
    rig.run_until(5000);
    assert_eq!(rig.recorder.end(), None);
    rig.recorder.resume(START + 5000 * MS);
    rig.run_until(9000);
    assert_eq!(rig.recorder.duration(), Duration::from_secs(6));
}

#[test]
fn a_beep_is_heard_on_all_channels_at_once_and_then_each_period() {
    let mut rig = Rig::new(|settings| {
        settings.tracks = Tracks::Dual;
        settings.sources = 2;
        settings.beep = Some(Beep {
            samples: vec![1000; 200],
            period: Duration::from_millis(50),
        });
    });
    for n in 0..10 {
        rig.put(0, 20 * n, 160 * n, 32_000);
    }
    for (n, frame) in rig.close(200).chunks(2).enumerate() {
        let is_beep = n % 400 < 200;
        let expected = if is_beep { [32_767, 1000] } else { [32_000, 0] };
        assert_eq!(frame, expected, "{n}");
    }
}

#[test]
fn a_sender_that_counts_anew_is_heard_within_200_ms() {
    // Ahead, back, back by half of all numbers, and counts that stood still for 1 and 3 s.
    for (leap, wait) in [
        (1 << 40, 0),
        (-900_000, 0),
        (i64::MIN, 0),
        (-8_000, 1000),
        (-24_000, 3000),
    ] {
        let mut rig = Rig::new(|_| {});
        let mut at = 1_000_000u64;
        for n in 0..100 {
            let is_after = n >= 50;
            if n == 50 {
                at = at.wrapping_add_signed(leap).wrapping_add(8 * wait);
            }
            let value = if is_after { 2 } else { 1 };
            rig.put(0, 20 * n + if is_after { wait } else { 0 }, at, value);
            at = at.wrapping_add(160);
        }
        rig.close(2000 + wait);
        let heard = |value| rig.out.iter().filter(|it| **it == value).count();
        assert_eq!(heard(1), 50 * BLOCK, "{leap}");
        assert!(heard(2) >= 40 * BLOCK, "{leap}: {}", heard(2) / BLOCK);
        assert_eq!(rig.out.len() as u64, 8 * (2000 + wait));
    }
}

#[test]
fn a_clock_that_is_wrong_is_followed_without_a_hole() {
    for ns_a_frame in [19_990_000, 20_010_000] {
        let mut rig = Rig::new(|_| {});
        for n in 0..3000 {
            let arrived_ns = START + n * ns_a_frame;
            rig.run_until(n * ns_a_frame / MS);
            let frame = Frame {
                arrived_ns,
                at: n * 160,
                samples: &[7; BLOCK],
            };
            rig.recorder.receive(0, frame).unwrap();
        }
        rig.close(3000 * ns_a_frame / MS);
        let heard = rig.out.iter().filter(|it| **it == 7).count() as u64;
        let time = 3000 * ns_a_frame * 8 / MS;
        assert!(heard + 160 >= time && heard <= time + 160, "{heard} {time}");
    }
}

#[test]
fn what_makes_no_recorder_is_refused() {
    let changes: [fn(&mut Settings); 6] = [
        |settings| settings.rate = 0,
        |settings| settings.rate = 11_025,
        |settings| settings.sources = 0,
        |settings| settings.tracks = Tracks::Dual,
        |settings| settings.delay = Duration::from_secs(2),
        |settings| {
            settings.beep = Some(Beep {
                samples: vec![],
                period: Duration::ZERO,
            });
        },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut settings = Settings::new(RATE);
        change(&mut settings);
        assert!(Recorder::new(settings, 0).is_err(), "{n}");
    }
    let mut rig = Rig::new(|_| {});
    let frame = |samples| Frame {
        arrived_ns: 0,
        at: u64::MAX,
        samples,
    };
    assert!(rig.recorder.receive(1, frame(&[0; 160])).is_err());
    assert!(rig.recorder.receive(0, frame(&[0; 8001])).is_err());
    assert!(rig.recorder.receive(0, frame(&[])).is_ok());
}
