//! Ogg Opus files of other programs are read, ours hold what was put in, wherever they are cut.

use std::time::Duration;

use store::ogg_opus::{Head, Item, Packet, Reader, Writer, packet_samples};

const FFMPEG: &[u8] = include_bytes!("data/tone_ffmpeg.opus");
const SNDFILE: &[u8] = include_bytes!("data/tone_sndfile.opus");
const FRAME: u32 = 960;
const HEAD: Head = Head {
    channels: 1,
    pre_skip: 312,
    input_rate: 16_000,
    gain: 0,
};

/// A packet of 20 ms that can be told from the others.
fn packet(n: usize) -> Vec<u8> {
    let mut packet = vec![9 << 3];
    packet.extend((n as u32).to_le_bytes());
    packet.resize(40 + n * 7 % 600, n as u8);
    packet
}

fn written(packets: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(HEAD, &[("TITLE", "a call")], 77, &mut out).unwrap();
    for n in 0..packets {
        writer.append(&packet(n), &mut out).unwrap();
    }
    writer.finish(&mut out);
    out
}

/// Where the pages of a file begin, and its end.
fn page_starts(file: &[u8]) -> Vec<usize> {
    let starts = (0..file.len()).filter(|at| file[*at..].starts_with(b"OggS"));
    starts.chain([file.len()]).collect()
}

struct Read {
    heads: Vec<Head>,
    /// Position, samples heard, data.
    packets: Vec<(u64, u32, Vec<u8>)>,
}

impl Read {
    fn heard(&self) -> u64 {
        self.packets.iter().map(|it| u64::from(it.1)).sum()
    }

    fn data(&self) -> Vec<Vec<u8>> {
        self.packets.iter().map(|it| it.2.clone()).collect()
    }
}

fn read_from(file: &[u8], position: Duration, block: usize) -> Read {
    let mut reader = Reader::new();
    reader.seek(position);
    let mut read = Read {
        heads: vec![],
        packets: vec![],
    };
    let mut blocks = file.chunks(block);
    loop {
        match reader.next_item().unwrap() {
            Some(Item::Head(head)) => read.heads.push(head),
            Some(Item::Packet(found)) => {
                let Packet { at, samples, .. } = found;
                assert_eq!(packet_samples(found.data), Some(samples));
                let heard = samples - found.drop_first - found.drop_last;
                read.packets.push((at, heard, found.data.to_vec()));
            }
            None => match blocks.next() {
                Some(bytes) => reader.push(bytes),
                None => break,
            },
        }
    }
    reader.finish();
    read
}

fn read(file: &[u8]) -> Read {
    read_from(file, Duration::ZERO, 1000)
}

#[test]
fn files_of_other_programs_have_the_length_that_they_were_given() {
    for (file, samples) in [(FFMPEG, 120_000), (SNDFILE, 24_000)] {
        let found = read(file);
        assert_eq!(found.heads.len(), 1);
        assert_eq!(found.heads[0].channels, 1);
        assert_eq!(found.heard(), samples);
        let mut at = 0;
        for (position, heard, _) in found.packets {
            assert_eq!(position, at);
            at += u64::from(heard);
        }
    }
}

#[test]
fn packets_come_back_as_they_were_put_in_with_their_positions() {
    for packets in [0, 1, 24, 25, 26, 300] {
        for block in [1, 27, 100_000] {
            let found = read_from(&written(packets), Duration::ZERO, block);
            assert_eq!(found.heads, [HEAD]);
            assert_eq!(found.data(), (0..packets).map(packet).collect::<Vec<_>>());
            let samples = (packets as u64 * u64::from(FRAME)).saturating_sub(312);
            assert_eq!(found.heard(), samples);
        }
    }
}

#[test]
fn pages_last_half_a_second_and_the_file_plays_wherever_one_ends() {
    let file = written(200);
    let starts = page_starts(&file);
    assert_eq!(starts.len(), 2 + 200 / 25 + 1);
    for (page, end) in starts.iter().enumerate().skip(2) {
        let whole = read(&file[..*end]);
        assert_eq!(whole.packets.len(), (page - 2) * 25);
        let cut = read(&file[..end.saturating_sub(1)]);
        assert_eq!(cut.packets.len(), (page - 2).saturating_sub(1) * 25);
    }
}

#[test]
fn a_flushed_page_is_in_the_file_and_the_last_page_may_be_empty() {
    let mut out = Vec::new();
    let mut writer = Writer::new(HEAD, &[], 1, &mut out).unwrap();
    let headers = out.len();
    writer.append(&packet(0), &mut out).unwrap();
    assert_eq!(out.len(), headers);
    writer.flush(&mut out);
    assert_eq!(read(&out).data(), [packet(0)]);
    assert_eq!(writer.duration(), Duration::from_micros(13_500));
    writer.flush(&mut out);
    writer.finish(&mut out);
    assert_eq!(page_starts(&out).len(), 5);
    assert_eq!(read(&out).data(), [packet(0)]);
}

#[test]
fn a_gap_is_told_by_packets_without_frames_and_what_is_too_short_waits() {
    let mut out = Vec::new();
    let mut writer = Writer::new(HEAD, &[], 1, &mut out).unwrap();
    writer.append(&packet(0), &mut out).unwrap();
    writer.gap(2 * FRAME + 100, &mut out);
    writer.gap(20, &mut out);
    writer.append(&packet(1), &mut out).unwrap();
    writer.finish(&mut out);
    let wide_band_2_ms = 20 << 3;
    let fillers = [vec![9 << 3], vec![9 << 3], vec![wide_band_2_ms]];
    let all = [vec![packet(0)], fillers.to_vec(), vec![packet(1)]].concat();
    let found = read(&out);
    assert_eq!(found.data(), all);
    assert_eq!(found.packets[4].0, u64::from(3 * FRAME) + 120 - 312);
}

#[test]
fn a_position_is_met_exactly_after_80_ms_for_the_decoder() {
    let file = written(200);
    for ms in [0, 1, 79, 80, 1000, 1234, 3990] {
        let found = read_from(&file, Duration::from_millis(ms), 500);
        let wanted = ms * 48;
        assert_eq!(found.heard(), 200 * 960 - 312 - wanted);
        let first = found.packets.iter().position(|it| it.1 > 0).unwrap();
        assert_eq!(found.packets[first].0, wanted);
        let complete = wanted + 312 < 4800 && first as u64 == (wanted + 312) / 960;
        assert!(complete || (4..=5).contains(&first), "{ms} ms: {first}");
    }
    assert_eq!(read_from(&file, Duration::MAX, 500).packets.len(), 0);
}

#[test]
fn a_damaged_page_is_passed_over_and_its_time_is_kept() {
    let mut file = written(100);
    let starts = page_starts(&file);
    file[starts[3] + 300] ^= 1;
    let found = read(&file);
    let rest: Vec<_> = (0..25).chain(50..100).map(packet).collect();
    assert_eq!(found.data(), rest);
    assert_eq!(found.packets[25].0, 50 * 960 - 312);
}

#[test]
fn chained_streams_follow_each_other() {
    let found = read(&[written(30), SNDFILE.to_vec(), written(2)].concat());
    assert_eq!(found.heads.len(), 3);
    assert_eq!(found.heard(), 30 * 960 - 312 + 24_000 + 2 * 960 - 312);
    let mut at = 0;
    for (position, heard, _) in found.packets {
        assert_eq!(position, at);
        at += u64::from(heard);
    }
}

#[test]
fn a_stream_beside_it_is_passed_over() {
    let (ours, other) = (written(60), SNDFILE);
    let (mine, theirs) = (page_starts(&ours), page_starts(other));
    let mut file = [&ours[..mine[1]], &other[..theirs[1]]].concat();
    for page in 1..3 {
        file.extend_from_slice(&other[theirs[page]..theirs[page + 1]]);
        file.extend_from_slice(&ours[mine[page]..mine[page + 1]]);
    }
    file.extend_from_slice(&ours[mine[3]..]);
    assert_eq!(read(&file).data(), (0..60).map(packet).collect::<Vec<_>>());
}

#[test]
fn what_makes_no_file_is_refused() {
    let mut out = Vec::new();
    let stereo = Head {
        channels: 3,
        ..HEAD
    };
    assert!(Writer::new(stereo, &[], 1, &mut out).is_err());
    assert!(Writer::new(HEAD, &[("A=B", "")], 1, &mut out).is_err());
    assert!(Writer::new(HEAD, &[("A", &"b".repeat(70_000))], 1, &mut out).is_err());
    assert!(out.is_empty());
    let mut writer = Writer::new(HEAD, &[], 1, &mut out).unwrap();
    for broken in [&[][..], &[3], &[0; 70_000]] {
        assert!(writer.append(broken, &mut out).is_err());
    }
}
