//! The invariants hold around files of others and ours; how far is bounded, fuzz targets go on.

use std::fs;
use std::path::Path;

use store::invariants;
use store::part::{Format, Header, Tracks};

type Target = fn(&[u8]);

const ROUNDS: usize = 90;
const TARGETS: [Target; 5] = [
    invariants::wav,
    invariants::ogg,
    invariants::part,
    invariants::source,
    invariants::recording,
];

/// Xorshift: any numbers will do, the same in each run.
fn next(seed: &mut u64) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 16) as usize
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    files.sort();
    let header = Header {
        format: Format::OggOpus,
        tracks: Tracks::Mixed,
        rate: 48_000,
        start_ms: 1,
        call: "call".into(),
        blob: "blob".into(),
        legs: vec!["leg".into()],
    };
    let opus = files.iter().find(|file| file.starts_with(b"OggS")).unwrap();
    let part = [&header.to_bytes().unwrap()[..], opus].concat();
    files.push(part);
    files.push(vec![]);
    files
}

#[test]
fn the_invariants_hold_of_whole_files() {
    for seed in seeds() {
        TARGETS.iter().for_each(|target| target(&seed));
    }
}

#[test]
fn the_invariants_hold_of_files_that_were_cut_and_changed() {
    let mut random = 0x0123_4567_89ab_cdef;
    for seed in seeds() {
        for round in 0..ROUNDS {
            let mut file = seed[..next(&mut random) % (seed.len() + 1)].to_vec();
            if next(&mut random).is_multiple_of(3) {
                file.clone_from(&seed);
            }
            for _ in 0..next(&mut random) % 8 {
                // Headers are where most goes wrong.
                let end = [100, usize::MAX][next(&mut random) % 2];
                if let Some(length) = Some(file.len().min(end)).filter(|it| *it > 0) {
                    let at = next(&mut random) % length;
                    file[at] = match next(&mut random) % 4 {
                        0 => 0,
                        1 => 0xff,
                        _ => next(&mut random) as u8,
                    };
                }
            }
            TARGETS[round % TARGETS.len()](&file);
        }
    }
}

#[test]
fn the_invariants_hold_of_noise() {
    let mut random = 0xfeed_beef_0bad_cafe;
    for target in TARGETS {
        for _ in 0..60 {
            let length = next(&mut random) % 2000;
            let noise: Vec<u8> = (0..length).map(|_| next(&mut random) as u8).collect();
            target(&noise);
        }
    }
}
