//! Prompts of other programs are decoded, and what is none is refused.

use std::f64::consts::TAU;
use std::time::Duration;

use store::StoreError;
use store::ogg_opus::{Head, Writer, packet_samples};
use store::source::{Container, OpusDecoder, OpusDecoders, Pcm, Prompt, Resampler, decode};

const NO_LIMIT: usize = usize::MAX;

/// Decodes a packet to samples that are all its second byte, and one without frames to 1,000 less.
struct Fake;

impl OpusDecoder for Fake {
    fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, StoreError> {
        let samples = packet_samples(packet).unwrap() as usize;
        match packet.get(1) {
            Some(0xff) => return Err(StoreError::malformed("damaged")),
            Some(value) => out.fill(i16::from(*value)),
            None => out.fill(-1000),
        }
        Ok(samples)
    }
}

impl OpusDecoders for Fake {
    fn decoder(&self, _channels: u8) -> Result<Box<dyn OpusDecoder>, StoreError> {
        Ok(Box::new(Fake))
    }
}

/// Takes the nearest sample.
impl Resampler for Fake {
    fn resample(&self, samples: &[i16], from: u32, to: u32) -> Result<Vec<i16>, StoreError> {
        let step = f64::from(from) / f64::from(to);
        let length = (samples.len() as f64 / step) as usize;
        Ok((0..length)
            .map(|n| samples[(n as f64 * step) as usize])
            .collect())
    }
}

fn ramp() -> Vec<i16> {
    let sample = |n: usize| (n * 37 % 2001) as i16 - 1000;
    (0..400).map(|n| sample(n) * 16).collect()
}

/// How much of the power is at 440 Hz.
fn purity(pcm: &Pcm) -> f64 {
    let step = TAU * 440.0 / f64::from(pcm.rate);
    let (mut cosine, mut sine, mut power) = (0.0, 0.0, 0.0);
    for (n, sample) in pcm.samples.iter().enumerate() {
        let (value, angle) = (f64::from(*sample), step * n as f64);
        cosine += value * angle.cos();
        sine += value * angle.sin();
        power += value * value;
    }
    2.0 * (cosine * cosine + sine * sine) / (power * pcm.samples.len() as f64)
}

fn opus(head: Head, packets: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(head, &[], 1, &mut out).unwrap();
    for packet in packets {
        writer.append(packet, &mut out).unwrap();
    }
    writer.finish(&mut out);
    out
}

const HEAD: Head = Head {
    channels: 1,
    pre_skip: 312,
    input_rate: 0,
    gain: 0,
};
const TOC: u8 = 9 << 3;

#[test]
fn wav_and_flac_give_the_samples_that_were_put_in() {
    for file in [
        include_bytes!("data/pcm16.wav").as_slice(),
        include_bytes!("data/rf64.wav"),
        include_bytes!("data/pipe16.wav"),
        include_bytes!("data/ramp.flac"),
    ] {
        let pcm = decode(file, &Fake, NO_LIMIT).unwrap();
        assert_eq!((pcm.rate, pcm.channels), (8000, 1));
        assert_eq!(pcm.samples, ramp());
    }
    let pcm = decode(include_bytes!("data/tone24.flac"), &Fake, NO_LIMIT).unwrap();
    assert_eq!((pcm.rate, pcm.samples.len()), (16_000, 4000));
    for (n, sample) in pcm.samples.iter().enumerate() {
        let meant = 8000.0 * (TAU * 440.0 * n as f64 / 16_000.0).sin();
        assert!((f64::from(*sample) - meant).abs() <= 1.0, "{n}");
    }
}

#[test]
fn mp3_gives_the_tone_without_the_padding_of_its_encoder() {
    for file in [
        include_bytes!("data/tone_sndfile.mp3").as_slice(),
        include_bytes!("data/tone_ffmpeg.mp3"),
    ] {
        let pcm = decode(file, &Fake, NO_LIMIT).unwrap();
        assert_eq!((pcm.rate, pcm.channels), (16_000, 1));
        assert_eq!(pcm.duration(), Duration::from_millis(500));
        assert!(purity(&pcm) > 0.98, "{}", purity(&pcm));
    }
}

#[test]
fn opus_is_decoded_without_what_is_not_to_be_heard() {
    let pcm = decode(include_bytes!("data/tone_sndfile.opus"), &Fake, NO_LIMIT).unwrap();
    assert_eq!((pcm.rate, pcm.channels), (48_000, 1));
    assert_eq!(pcm.duration(), Duration::from_millis(500));
    let file = opus(HEAD, &[&[TOC, 5], &[TOC], &[TOC, 0xff], &[TOC, 7]]);
    let pcm = decode(&file, &Fake, NO_LIMIT).unwrap();
    let expected = [(5, 960 - 312), (-1000, 960), (0, 960), (7, 960)];
    let expected = expected.map(|(value, count)| vec![value; count]).concat();
    assert_eq!(pcm.samples, expected);
}

#[test]
fn the_gain_of_an_opus_file_is_applied() {
    let head = Head {
        gain: 6 * 256,
        pre_skip: 0,
        ..HEAD
    };
    let pcm = decode(&opus(head, &[&[TOC, 100], &[TOC]]), &Fake, NO_LIMIT).unwrap();
    assert_eq!((pcm.samples[0], pcm.samples[960]), (200, -1995));
}

#[test]
fn chained_streams_are_one_prompt_when_they_have_the_same_channels() {
    let (one, two) = (opus(HEAD, &[&[TOC, 1]]), opus(HEAD, &[&[TOC, 2]]));
    let pcm = decode(&[one.clone(), two].concat(), &Fake, NO_LIMIT).unwrap();
    assert_eq!(pcm.samples, [[1; 648], [2; 648]].concat());
    let head = Head {
        channels: 2,
        ..HEAD
    };
    let stereo = opus(head, &[&[TOC | 4, 2]]);
    assert_eq!(decode(&stereo, &Fake, NO_LIMIT).unwrap().samples, [2; 1296]);
    let refused = decode(&[one, stereo].concat(), &Fake, NO_LIMIT);
    assert!(matches!(refused, Err(StoreError::Unsupported(_))));
}

#[test]
fn no_format_gets_past_the_limit() {
    let files: [(&[u8], usize); 5] = [
        (include_bytes!("data/stereo16.wav"), 400),
        (include_bytes!("data/ramp.flac"), 400),
        (include_bytes!("data/tone_ffmpeg.mp3"), 8000),
        (include_bytes!("data/tone_sndfile.opus"), 24_000),
        (include_bytes!("data/alaw.wav"), 400),
    ];
    for (file, samples) in files {
        assert!(decode(file, &Fake, samples).is_ok());
        let limit = samples - 1;
        let refused = decode(file, &Fake, limit);
        assert_eq!(refused, Err(StoreError::TooLong { limit }));
    }
}

#[test]
fn a_prompt_has_one_channel_at_the_rate_that_is_wanted() {
    let stereo = decode(include_bytes!("data/stereo16.wav"), &Fake, NO_LIMIT).unwrap();
    assert_eq!(stereo.duration(), Duration::from_millis(50));
    assert!(Prompt::new(stereo.clone()).is_err());
    let mono = stereo.clone().into_rate(8000, &Fake).unwrap();
    assert_eq!((mono.rate, mono.channels), (8000, 1));
    assert_eq!(mono.samples, [0; 400]);
    let wide = stereo.into_rate(16_000, &Fake).unwrap();
    assert_eq!((wide.rate, wide.samples.len()), (16_000, 800));
    let prompt = Prompt::new(wide).unwrap();
    assert_eq!(prompt.duration(), Duration::from_millis(50));
}

#[test]
fn formats_are_told_by_their_first_bytes() {
    let cases: [(&[u8], Option<Container>); 12] = [
        (include_bytes!("data/pcm16.wav"), Some(Container::Wav)),
        (include_bytes!("data/rf64.wav"), Some(Container::Wav)),
        (
            include_bytes!("data/tone_ffmpeg.opus"),
            Some(Container::OggOpus),
        ),
        (include_bytes!("data/ramp.flac"), Some(Container::Flac)),
        (include_bytes!("data/tone_ffmpeg.mp3"), Some(Container::Mp3)),
        (
            include_bytes!("data/tone_sndfile.mp3"),
            Some(Container::Mp3),
        ),
        (b"RIFF\x00\x00\x00\x00AVI ", None),
        (b"OggS\x00\x02\x00\x00", None),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", None),
        (b"\xff\xf3", Some(Container::Mp3)),
        (b"\xff\xfeM\x00", None),
        (b"", None),
    ];
    for (start, container) in cases {
        assert_eq!(Container::of(&start[..start.len().min(64)]), container);
    }
    let refused = decode(b"MThd", &Fake, NO_LIMIT);
    assert!(matches!(refused, Err(StoreError::Unsupported(_))));
}
