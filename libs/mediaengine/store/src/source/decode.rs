//! Files of any known format into samples.

use claxon::{FlacReader, FlacReaderOptions};

use super::{Container, Pcm};
use crate::StoreError;
use crate::ogg_opus::{self, Head, Item, Packet};
use crate::wav;

/// Most samples of one channel that an Opus packet decodes to, 120 ms.
const OPUS_SAMPLES: usize = 5_760;
const BLOCK: usize = 4_096;

/// Decodes the packets of one Opus stream at 48 kHz.
pub trait OpusDecoder {
    /// Writes interleaved samples into `out`, which has room for the longest packet; returns how many of one channel.
    ///
    /// # Errors
    /// When the packet is damaged.
    fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, StoreError>;
}

/// Makes decoders, one for each stream of a file.
pub trait OpusDecoders {
    /// `channels` is 1 or 2.
    ///
    /// # Errors
    /// When there is no decoder to be had.
    fn decoder(&self, channels: u8) -> Result<Box<dyn OpusDecoder>, StoreError>;
}

/// Decodes a whole file to its own rate and channels.
///
/// # Errors
/// Formats that are not known, damage, more than two channels, more than `limit` samples of a channel: a small file may say
/// that it is days of silence. WAV and Ogg that end too early are taken as they are; so is a damaged packet, as silence.
pub fn decode(bytes: &[u8], opus: &dyn OpusDecoders, limit: usize) -> Result<Pcm, StoreError> {
    match Container::of(bytes) {
        Some(Container::Wav) => decode_wav(bytes, limit),
        Some(Container::OggOpus) => decode_opus(bytes, opus, limit),
        Some(Container::Flac) => decode_flac(bytes, limit),
        Some(Container::Mp3) => decode_mp3(bytes, limit),
        None => Err(StoreError::unsupported("no WAV, Ogg Opus, FLAC or MP3")),
    }
}

impl Pcm {
    fn empty(rate: u32, channels: u8) -> Result<Self, StoreError> {
        if rate == 0 || !(1..=2).contains(&channels) {
            let what = format!("{channels} channels at {rate} Hz");
            return Err(StoreError::unsupported(what));
        }
        Ok(Self {
            rate,
            channels,
            samples: Vec::new(),
        })
    }

    /// Makes room for as many interleaved samples.
    fn grow(&mut self, samples: usize, limit: usize) -> Result<&mut [i16], StoreError> {
        let start = self.samples.len();
        let length = start + samples;
        if length / usize::from(self.channels) > limit {
            return Err(StoreError::TooLong { limit });
        }
        self.samples.resize(length, 0);
        Ok(&mut self.samples[start..])
    }
}

fn decode_wav(bytes: &[u8], limit: usize) -> Result<Pcm, StoreError> {
    let mut reader = wav::Reader::new(bytes)?;
    let format = reader.format();
    let mut pcm = Pcm::empty(format.rate, format.channels as u8)?;
    let start = usize::try_from(reader.offset()).unwrap_or(usize::MAX);
    let data = bytes.get(start..).unwrap_or_default();
    let promised = reader.header().data_bytes.unwrap_or(u64::MAX);
    let length = data
        .len()
        .min(usize::try_from(promised).unwrap_or(usize::MAX));
    let samples = length / format.frame_bytes() * usize::from(format.channels);
    reader.decode(data, pcm.grow(samples, limit)?);
    Ok(pcm)
}

fn decode_opus(bytes: &[u8], decoders: &dyn OpusDecoders, limit: usize) -> Result<Pcm, StoreError> {
    let mut reader = ogg_opus::Reader::new();
    reader.push(bytes);
    reader.finish();
    let mut found: Option<(OpusStream, Pcm)> = None;
    while let Some(item) = reader.next_item()? {
        match (item, &mut found) {
            (Item::Head(head), None) => {
                let pcm = Pcm::empty(ogg_opus::RATE, head.channels)?;
                found = Some((OpusStream::new(head, decoders)?, pcm));
            }
            (Item::Head(head), Some((stream, pcm))) => {
                if pcm.channels != head.channels {
                    let what = "streams with different numbers of channels";
                    return Err(StoreError::unsupported(what));
                }
                *stream = OpusStream::new(head, decoders)?;
            }
            (Item::Packet(packet), Some((stream, pcm))) => stream.decode(&packet, pcm, limit)?,
            (Item::Packet(_), None) => {}
        }
    }
    let missing = StoreError::malformed("an Ogg file without a stream of Opus");
    found.map(|(_, pcm)| pcm).ok_or(missing)
}

struct OpusStream {
    decoder: Box<dyn OpusDecoder>,
    /// Factor, `None` for 1.
    gain: Option<f32>,
    block: Vec<i16>,
}

impl OpusStream {
    fn new(head: Head, decoders: &dyn OpusDecoders) -> Result<Self, StoreError> {
        // In 1/256 dB.
        let factor = 10f32.powf(f32::from(head.gain) / (20.0 * 256.0));
        Ok(Self {
            decoder: decoders.decoder(head.channels)?,
            gain: (head.gain != 0).then_some(factor),
            block: vec![0; OPUS_SAMPLES * usize::from(head.channels)],
        })
    }

    fn decode(
        &mut self,
        packet: &Packet<'_>,
        pcm: &mut Pcm,
        limit: usize,
    ) -> Result<(), StoreError> {
        let channels = usize::from(pcm.channels);
        let decoded = self.decoder.decode(packet.data, &mut self.block);
        let decoded = decoded.unwrap_or(0).saturating_mul(channels);
        // What was not decoded is silent.
        let start = decoded.min(self.block.len());
        self.block[start..].fill(0);
        let first = packet.drop_first as usize * channels;
        let end = (packet.samples - packet.drop_last) as usize * channels;
        let out = pcm.grow(end - first, limit)?;
        out.copy_from_slice(&self.block[first..end]);
        if let Some(factor) = self.gain {
            let louder = |sample: i16| (f32::from(sample) * factor).round() as i16;
            out.iter_mut().for_each(|it| *it = louder(*it));
        }
        Ok(())
    }
}

fn decode_flac(bytes: &[u8], limit: usize) -> Result<Pcm, StoreError> {
    let broken = |error: claxon::Error| StoreError::malformed(format!("FLAC: {error}"));
    let options = FlacReaderOptions {
        metadata_only: false,
        read_vorbis_comment: false,
    };
    let mut reader = FlacReader::new_ext(bytes, options).map_err(broken)?;
    let info = reader.streaminfo();
    let channels = u8::try_from(info.channels).unwrap_or(u8::MAX);
    let mut pcm = Pcm::empty(info.sample_rate, channels)?;
    let bits = info.bits_per_sample;
    let to_16 = |sample: i32| match bits {
        ..=16 => (sample << (16 - bits)) as i16,
        _ => (sample >> (bits - 16)) as i16,
    };
    let mut blocks = reader.blocks();
    let mut buffer = Vec::new();
    while let Some(block) = blocks.read_next_or_eof(buffer).map_err(broken)? {
        if block.channels() != info.channels {
            return Err(StoreError::malformed(
                "FLAC: the number of channels changes",
            ));
        }
        let samples = block.len() as usize * usize::from(channels);
        let out = pcm.grow(samples, limit)?;
        for channel in 0..info.channels {
            let places = out[channel as usize..].iter_mut();
            for (place, sample) in places.step_by(channels.into()).zip(block.channel(channel)) {
                *place = to_16(*sample);
            }
        }
        buffer = block.into_buffer();
    }
    Ok(pcm)
}

fn decode_mp3(bytes: &[u8], limit: usize) -> Result<Pcm, StoreError> {
    let mut reader = nanomp3::SliceReader::<i16>::new(bytes);
    let channels = reader.channels().map_or(0, |channels| channels.num());
    if channels == 0 {
        return Err(StoreError::malformed("MP3 without a frame"));
    }
    let mut pcm = Pcm::empty(reader.sample_rate(), channels)?;
    let mut block = [0; BLOCK];
    loop {
        let read = reader.read(&mut block);
        let read = read.map_err(|error| StoreError::malformed(format!("MP3: {error}")))?;
        if read == 0 {
            return Ok(pcm);
        }
        pcm.grow(read, limit)?.copy_from_slice(&block[..read]);
    }
}
