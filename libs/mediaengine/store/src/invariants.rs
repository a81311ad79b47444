//! What must hold of files and recorders, whatever comes from outside.
//!
//! Each function takes any bytes and panics when something does not hold: fuzz targets are one line each, and the tests
//! call them with files that were cut and changed.

use std::time::Duration;

use crate::ogg::with_checksums;
use crate::ogg_opus::{self, Item, packet_samples};
use crate::part::{Format, Header, Recovery, Tracks};
use crate::recording::{Frame, Paused, Recorder, Settings};
use crate::source::{self, OpusDecoder, OpusDecoders};
use crate::{StoreError, wav};

/// Most samples that a file is decoded to here.
const LIMIT: usize = 1 << 18;

/// A WAV file is read without end or gap, and seeking leads to the same samples.
pub fn wav(data: &[u8]) {
    let mut reader = match wav::Reader::new(data) {
        Ok(reader) => reader,
        Err(StoreError::Truncated { needed }) => return assert!(needed > data.len() as u64),
        Err(_) => return,
    };
    let mut block = [0; 64];
    let mut all = Vec::new();
    loop {
        let at = usize::try_from(reader.offset()).unwrap_or(usize::MAX);
        let rest = data.get(at..).unwrap_or_default();
        let done = reader.decode(rest, &mut block);
        assert_eq!(done.samples == 0, done.bytes == 0);
        if done.samples == 0 {
            break;
        }
        all.extend_from_slice(&block[..done.samples]);
        assert!(all.len() <= data.len());
    }
    let at = usize::try_from(reader.seek(Duration::from_millis(3))).unwrap_or(usize::MAX);
    let rest = data.get(at..).unwrap_or_default();
    let length = reader.decode(rest, &mut block).samples;
    assert!(all.windows(length.max(1)).any(|it| it == &block[..length]) || length == 0);
}

/// An Ogg file gives the same packets however it is cut into blocks, and they can be written again.
///
/// Checksums are made right before, or a search would never get past them.
pub fn ogg(data: &[u8]) {
    for file in [data.to_vec(), with_checksums(data)] {
        let (packets, head) = packets(&file, file.len().max(1));
        assert_eq!(packets, self::packets(&file, 7).0);
        let Some(head) = head else {
            assert!(packets.is_empty());
            continue;
        };
        let mut again = Vec::new();
        let mut writer = match ogg_opus::Writer::new(head, &[], 1, &mut again) {
            Ok(writer) => writer,
            Err(error) => panic!("{error}"),
        };
        for packet in &packets {
            assert_eq!(writer.append(packet, &mut again), Ok(()));
        }
        writer.finish(&mut again);
        assert_eq!((packets, Some(head)), self::packets(&again, 500));
    }
}

/// The packets of a file until it is refused, and the first stream's head.
fn packets(file: &[u8], block: usize) -> (Vec<Vec<u8>>, Option<ogg_opus::Head>) {
    let mut reader = ogg_opus::Reader::new();
    let mut blocks = file.chunks(block);
    let (mut found, mut first_head) = (Vec::new(), None);
    let mut position = 0;
    let mut is_whole = false;
    loop {
        match reader.next_item() {
            Ok(Some(Item::Head(head))) => first_head = first_head.or(Some(head)),
            Ok(Some(Item::Packet(packet))) => {
                assert_eq!(packet_samples(packet.data), Some(packet.samples));
                let dropped = packet.drop_first + packet.drop_last;
                assert!(dropped <= packet.samples);
                if dropped < packet.samples {
                    assert!(packet.at >= position, "{} {position}", packet.at);
                    position = packet.at;
                }
                found.push(packet.data.to_vec());
            }
            Ok(None) => match blocks.next() {
                Some(bytes) => reader.push(bytes),
                None if is_whole => return (found, first_head),
                None => {
                    is_whole = true;
                    reader.finish();
                }
            },
            Err(_) => return (found, first_head),
        }
    }
}

/// Any bytes behind a recording's header are completed, and completing them again changes nothing.
///
/// `data` is taken as a whole `.part` file and as what follows the header of one.
pub fn part(data: &[u8]) {
    if let Ok((header, length)) = Header::parse(data) {
        assert_eq!(header.to_bytes().as_deref(), Ok(&data[..length]));
    }
    let checked = with_checksums(data);
    complete(data, 11);
    for format in [Format::Wav, Format::OggOpus] {
        for body in [data, &checked] {
            let header = Header {
                format,
                tracks: Tracks::Dual,
                rate: 8000,
                start_ms: 0,
                call: String::new(),
                blob: String::new(),
                legs: Vec::new(),
            };
            let Ok(start) = header.to_bytes() else {
                panic!("a header without names fits");
            };
            let Some((once, length)) = complete(&[&start, body].concat(), 100) else {
                panic!("the header is right");
            };
            let again = complete(&[&start[..], &once].concat(), 1000);
            assert_eq!(again, Some((once, length)));
        }
    }
}

fn complete(file: &[u8], block: usize) -> Option<(Vec<u8>, Duration)> {
    let mut out = Vec::new();
    let mut recovery = Recovery::new(file, file.len() as u64, &mut out).ok()?;
    let at = usize::try_from(recovery.offset()).unwrap_or(usize::MAX);
    for bytes in file.get(at..).unwrap_or_default().chunks(block) {
        recovery.push(bytes, &mut out);
    }
    let length = recovery.finish(&mut out);
    Some((out, length))
}

/// Any file is decoded or refused, and never to more than the limit.
pub fn source(data: &[u8]) {
    for file in [data, &with_checksums(data)] {
        if let Ok(pcm) = source::decode(file, &Silent, LIMIT) {
            let channels = usize::from(pcm.channels);
            assert!((1..=2).contains(&channels) && pcm.rate > 0);
            assert!(pcm.samples.len() <= LIMIT * channels);
            assert_eq!(pcm.samples.len() % channels, 0);
        }
    }
}

struct Silent;

impl OpusDecoder for Silent {
    fn decode(&mut self, packet: &[u8], _out: &mut [i16]) -> Result<usize, StoreError> {
        Ok(packet_samples(packet).unwrap_or(0) as usize)
    }
}

impl OpusDecoders for Silent {
    fn decoder(&self, _channels: u8) -> Result<Box<dyn OpusDecoder>, StoreError> {
        Ok(Box::new(Self))
    }
}

/// A recorder stands any order of calls, counts and times; as much comes out as time went by. Ten bytes are one call.
pub fn recording(data: &[u8]) {
    let settings = Settings {
        sources: 2,
        tracks: Tracks::Dual,
        paused: Paused::Silent,
        ..Settings::new(8000)
    };
    let Ok(mut recorder) = Recorder::new(settings, 0) else {
        panic!("the settings are right");
    };
    let (mut now_ns, mut samples) = (0u64, 0);
    for call in data.as_chunks::<10>().0 {
        let [what, wait, at @ ..] = *call;
        now_ns += u64::from(wait) * 1_000_000;
        let frame = Frame {
            arrived_ns: now_ns,
            at: u64::from_le_bytes(at),
            samples: &[1; 160],
        };
        match what {
            0 => recorder.pause(now_ns),
            1 => recorder.resume(now_ns),
            _ => assert_eq!(recorder.receive(usize::from(what % 2), frame), Ok(())),
        }
        while let Some(block) = recorder.next_block(now_ns) {
            samples += block.len();
        }
    }
    recorder.close(now_ns);
    while let Some(block) = recorder.next_block(now_ns) {
        samples += block.len();
    }
    let blocks = now_ns.div_ceil(20_000_000);
    assert_eq!(samples as u64, blocks * 320);
}
