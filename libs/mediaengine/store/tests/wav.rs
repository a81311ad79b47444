//! WAV files of other programs are read, ours are as others expect them.

use std::time::Duration;

use store::StoreError;
use store::wav::{Encoding, HEADER_BYTES, Header, Reader, Writer};

const FRAMES: usize = 400;

fn ramp() -> Vec<i16> {
    let sample = |n: usize| (n * 37 % 2001) as i16 - 1000;
    (0..FRAMES).map(|n| sample(n) * 16).collect()
}

/// Reads as a caller would: the header from as few bytes as it asks for, samples in blocks of odd sizes.
fn read(file: &[u8]) -> (Header, Vec<i16>) {
    let mut known = 0;
    let mut reader = loop {
        match Reader::new(&file[..known]) {
            Ok(reader) => break reader,
            Err(StoreError::Truncated { needed }) => {
                assert!(needed as usize > known, "no progress at {known}");
                known = needed as usize;
            }
            Err(error) => panic!("{error}"),
        }
    };
    let mut samples = Vec::new();
    let mut block = [0; 101];
    loop {
        let at = reader.offset() as usize;
        let done = reader.decode(&file[at..file.len().min(at + 333)], &mut block);
        if done.samples == 0 {
            return (*reader.header(), samples);
        }
        samples.extend_from_slice(&block[..done.samples]);
    }
}

fn written(samples: &[i16], channels: u16) -> Vec<u8> {
    let mut writer = Writer::new(8000, channels).unwrap();
    let mut body = Vec::new();
    writer.append(samples, &mut body);
    [writer.header().as_slice(), &body].concat()
}

#[test]
fn every_linear_encoding_of_another_program_gives_the_same_samples() {
    let files: [(&[u8], Encoding); 7] = [
        (include_bytes!("data/pcm16.wav"), Encoding::Pcm16),
        (include_bytes!("data/pcm24.wav"), Encoding::Pcm24),
        (include_bytes!("data/pcm32.wav"), Encoding::Pcm32),
        (include_bytes!("data/float32.wav"), Encoding::Float32),
        (include_bytes!("data/extensible24.wav"), Encoding::Pcm24),
        (include_bytes!("data/rf64.wav"), Encoding::Pcm16),
        (include_bytes!("data/pipe16.wav"), Encoding::Pcm16),
    ];
    for (file, encoding) in files {
        let (header, samples) = read(file);
        assert_eq!(header.format.encoding, encoding);
        assert_eq!((header.format.rate, header.format.channels), (8000, 1));
        assert_eq!(samples, ramp(), "{encoding:?}");
    }
}

#[test]
fn short_encodings_come_as_near_as_they_can() {
    let files: [(&[u8], i32); 3] = [
        (include_bytes!("data/pcm8.wav"), 256),
        (include_bytes!("data/alaw.wav"), 512),
        (include_bytes!("data/mulaw.wav"), 512),
    ];
    for (file, step) in files {
        let (header, samples) = read(file);
        assert_eq!(samples.len(), FRAMES);
        for (found, meant) in samples.into_iter().zip(ramp()) {
            let off = (i32::from(found) - i32::from(meant)).abs();
            assert!(off <= step, "{:?}: {found} {meant}", header.format.encoding);
        }
    }
}

#[test]
fn both_channels_come_interleaved() {
    let (header, samples) = read(include_bytes!("data/stereo16.wav"));
    assert_eq!(header.format.channels, 2);
    for (frame, sample) in samples.chunks(2).zip(ramp()) {
        assert_eq!(frame, [sample, -sample]);
    }
}

#[test]
fn a_file_that_nobody_finished_is_read_to_its_end() {
    let whole = written(&ramp(), 1);
    for size in [[0; 4], [0xff; 4]] {
        let mut file = whole.clone();
        file[4..8].copy_from_slice(&size);
        file[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&size);
        let (header, samples) = read(&file);
        assert_eq!(header.data_bytes, None);
        assert_eq!(samples, ramp());
    }
    let unpatched = [&written(&[], 1), &whole[HEADER_BYTES..]].concat();
    assert_eq!(read(&unpatched).1, ramp());
}

#[test]
fn a_cut_file_is_read_as_far_as_it_goes() {
    let whole = written(&ramp(), 2);
    for end in HEADER_BYTES..whole.len() {
        let frames = (end - HEADER_BYTES) / 4;
        assert_eq!(read(&whole[..end]).1, ramp()[..2 * frames]);
    }
    for end in 0..HEADER_BYTES {
        let cut = Header::parse(&whole[..end]);
        assert!(matches!(cut, Err(StoreError::Truncated { needed }) if needed > end as u64));
    }
}

#[test]
fn chunks_come_in_any_order_and_padded() {
    let whole = written(&ramp(), 1);
    let format = &whole[HEADER_BYTES - 32..HEADER_BYTES - 8];
    let data = &whole[HEADER_BYTES - 8..];
    let riff = [
        &whole[..4],
        &(data.len() as u32 + 50).to_le_bytes(),
        b"WAVE",
    ]
    .concat();
    let odd = b"LIST\x03\x00\x00\x00abc\x00";
    for file in [
        [&riff, odd.as_slice(), data, odd, format].concat(),
        [&riff, odd.as_slice(), format, data, odd].concat(),
    ] {
        assert_eq!(read(&file).1, ramp());
    }
    let empty = [&riff, format, b"data\x00\x00\x00\x00", odd.as_slice()].concat();
    assert_eq!(read(&empty), (Header::parse(&empty).unwrap(), vec![]));
}

#[test]
fn a_position_is_found_and_one_behind_the_end_is_the_end() {
    let file = include_bytes!("data/stereo16.wav");
    let mut reader = Reader::new(file).unwrap();
    let at = reader.seek(Duration::from_millis(20)) as usize;
    let mut block = [0; 2];
    reader.decode(&file[at..], &mut block);
    assert_eq!(block, [ramp()[160], -ramp()[160]]);
    assert_eq!(reader.seek(Duration::from_secs(9)) as usize, file.len());
    assert!(reader.is_finished());
    assert_eq!(reader.decode(&[0; 8], &mut block).samples, 0);
    reader.seek(Duration::MAX);
    assert!(reader.is_finished());
}

#[test]
fn the_header_follows_what_was_appended() {
    let mut writer = Writer::new(16000, 2).unwrap();
    let mut body = Vec::new();
    for second in 0..3u64 {
        assert_eq!(writer.duration(), Duration::from_secs(second));
        let header = Header::parse(&writer.header()).unwrap();
        let known = (second > 0).then_some(64_000 * second);
        assert_eq!(header.data_bytes, known);
        assert_eq!(header.data_at as usize, HEADER_BYTES);
        writer.append(&[5; 32_001], &mut body);
    }
    assert_eq!(body.len(), 3 * 64_000);
}

#[test]
fn what_no_file_can_be_is_refused() {
    assert!(Writer::new(0, 1).is_err());
    assert!(Writer::new(8000, 3).is_err());
    let good = written(&ramp(), 1);
    // Magic, form, encoding, channels, rate, bytes of a frame, bits.
    for at in [0, 8, 56, 58, 62, 68, 70] {
        let mut file = good.clone();
        file[at] = 0xee;
        let refused = Header::parse(&file).unwrap_err();
        assert!(!matches!(refused, StoreError::Truncated { .. }), "{at}");
        assert!(!refused.to_string().is_empty());
    }
}
