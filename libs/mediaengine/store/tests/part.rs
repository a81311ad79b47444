//! A recording that was cut at any byte becomes a file that has lost a second at most.

use std::time::Duration;

use store::StoreError;
use store::ogg_opus::{self, Head, Item};
use store::part::{Format, Header, Recovery, Tracks};
use store::wav;

const SECOND: Duration = Duration::from_secs(1);
const FRAME: Duration = Duration::from_millis(20);

fn header(format: Format, tracks: Tracks) -> Header {
    Header {
        format,
        tracks,
        rate: 8000,
        start_ms: 1_790_000_000_000,
        call: "call".into(),
        blob: "blob".into(),
        legs: vec!["caller".into(), "callee".into()],
    }
}

/// A `.part` file as it grew: its bytes, and what had been appended when it had so many.
struct Part {
    file: Vec<u8>,
    body_at: usize,
    appended: Vec<(usize, Duration)>,
}

impl Part {
    /// The most that can have been appended when the file had so many bytes.
    fn appended_at(&self, length: usize) -> Duration {
        let later = self.appended.iter().find(|it| it.0 >= length);
        later
            .or(self.appended.last())
            .map_or(Duration::ZERO, |it| it.1)
    }
}

fn wav_part(tracks: Tracks, frames: u16) -> Part {
    let mut file = header(Format::Wav, tracks).to_bytes().unwrap();
    let body_at = file.len();
    let mut writer = wav::Writer::new(8000, tracks.channels()).unwrap();
    file.extend(writer.header());
    let mut appended = vec![];
    for n in 0..frames {
        let samples = vec![n as i16; 160 * usize::from(tracks.channels())];
        writer.append(&samples, &mut file);
        if n % 50 == 49 {
            file[body_at..body_at + wav::HEADER_BYTES].copy_from_slice(&writer.header());
        }
        appended.push((file.len(), writer.duration()));
    }
    Part {
        file,
        body_at,
        appended,
    }
}

fn ogg_part(frames: usize, is_finished: bool) -> Part {
    let mut file = header(Format::OggOpus, Tracks::Mixed).to_bytes().unwrap();
    let body_at = file.len();
    let head = Head {
        channels: 1,
        pre_skip: 312,
        input_rate: 8000,
        gain: 0,
    };
    let mut writer = ogg_opus::Writer::new(head, &[], 5, &mut file).unwrap();
    let mut appended = vec![];
    for n in 0..frames {
        let mut packet = vec![n as u8; 30 + n % 20];
        packet[0] = 9 << 3;
        writer.append(&packet, &mut file).unwrap();
        if n % 50 == 49 {
            writer.flush(&mut file);
        }
        appended.push((file.len(), writer.duration()));
    }
    if is_finished {
        writer.finish(&mut file);
    }
    Part {
        file,
        body_at,
        appended,
    }
}

fn complete(file: &[u8], block: usize) -> Result<(Vec<u8>, Duration), StoreError> {
    let mut out = Vec::new();
    let mut recovery = Recovery::new(file, file.len() as u64, &mut out)?;
    let at = file.len().min(recovery.offset() as usize);
    for bytes in file[at..].chunks(block) {
        recovery.push(bytes, &mut out);
    }
    let length = recovery.finish(&mut out);
    Ok((out, length))
}

fn wav_length(file: &[u8]) -> Duration {
    let header = wav::Header::parse(file).unwrap();
    let there = file.len() as u64 - header.data_at;
    assert_eq!(header.data_bytes.unwrap_or(0), there);
    header.format.duration(there)
}

fn ogg_length(file: &[u8]) -> Duration {
    let mut reader = ogg_opus::Reader::new();
    reader.push(file);
    reader.finish();
    let mut samples = 0;
    while let Some(item) = reader.next_item().unwrap() {
        if let Item::Packet(packet) = item {
            samples += u64::from(packet.samples - packet.drop_first - packet.drop_last);
        }
    }
    Duration::from_nanos(samples * 1_000_000_000 / 48_000)
}

fn cut_everywhere(part: &Part, lost: Duration, length_of: fn(&[u8]) -> Duration) {
    for end in 0..=part.file.len() {
        let completed = complete(&part.file[..end], 1 + end % 700);
        if end < part.body_at {
            assert!(matches!(completed, Err(StoreError::Truncated { .. })));
            continue;
        }
        let (file, length) = completed.unwrap();
        assert!(length + lost >= part.appended_at(end), "{end}: {length:?}");
        if length > Duration::ZERO {
            assert_eq!(length_of(&file), length, "{end}");
        }
    }
}

#[test]
fn a_wav_file_cut_anywhere_loses_no_whole_frame() {
    for tracks in [Tracks::Mixed, Tracks::Dual] {
        cut_everywhere(&wav_part(tracks, 55), FRAME, wav_length);
    }
}

#[test]
fn an_ogg_file_cut_anywhere_loses_a_second_at_most() {
    cut_everywhere(&ogg_part(137, false), SECOND, ogg_length);
    cut_everywhere(&ogg_part(137, true), SECOND, ogg_length);
}

#[test]
fn a_completed_file_is_what_its_writer_would_have_left() {
    let part = ogg_part(137, true);
    let (file, length) = complete(&part.file, 999).unwrap();
    assert_eq!(file, part.file[part.body_at..]);
    assert_eq!(length, part.appended_at(usize::MAX));
    let part = wav_part(Tracks::Dual, 100);
    let (file, length) = complete(&part.file, 999).unwrap();
    assert_eq!(file, part.file[part.body_at..]);
    assert_eq!(length, 2 * SECOND);
}

#[test]
fn a_completed_ogg_file_ends_its_stream_once() {
    const LAST: u8 = 4;
    let part = ogg_part(137, false);
    let (file, _) = complete(&part.file, 50).unwrap();
    let pages: Vec<usize> = (0..file.len())
        .filter(|at| file[*at..].starts_with(b"OggS"))
        .collect();
    for (n, at) in pages.iter().enumerate() {
        let is_last = n + 1 == pages.len();
        assert_eq!(file[at + 5] & LAST != 0, is_last);
        assert_eq!(file[at + 18], n as u8);
    }
}

#[test]
fn what_comes_behind_the_last_page_is_left_out() {
    let part = ogg_part(137, true);
    let (file, length) = complete(&part.file, 999).unwrap();
    let first = file.len() - 700;
    let audio = first
        + file[first..]
            .windows(4)
            .position(|it| it == b"OggS")
            .unwrap();
    let longer = [&part.file, &file[audio..]].concat();
    assert_eq!(complete(&longer, 999), Ok((file, length)));
}

#[test]
fn a_damaged_page_costs_only_itself() {
    let mut part = ogg_part(200, true);
    let middle = part.body_at + (part.file.len() - part.body_at) / 2;
    part.file[middle] ^= 0x10;
    let (file, length) = complete(&part.file, 4096).unwrap();
    assert_eq!(length, part.appended_at(usize::MAX));
    assert_eq!(ogg_length(&file) + SECOND / 2, length);
}

#[test]
fn what_the_file_says_of_itself_is_told() {
    let part = wav_part(Tracks::Dual, 1);
    let length = part.file.len() as u64;
    let recovery = Recovery::new(&part.file, length, &mut Vec::new()).unwrap();
    assert_eq!(recovery.header(), &header(Format::Wav, Tracks::Dual));
    let foreign = Recovery::new(b"RIFF....WAVE", 12, &mut Vec::new());
    assert!(matches!(foreign, Err(StoreError::Malformed(_))));
}
