//! What a file is, by its first bytes.

/// A format that prompts come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// RIFF/WAVE or RF64.
    Wav,
    /// Opus in Ogg.
    OggOpus,
    /// FLAC, not in Ogg.
    Flac,
    /// MPEG audio layer III, with or without an ID3 tag before it.
    Mp3,
}

impl Container {
    /// Looks at the first 64 bytes; names and types that uploads claim do not count.
    pub fn of(start: &[u8]) -> Option<Self> {
        match start {
            [b'R', b'I', b'F', b'F', _, _, _, _, rest @ ..]
            | [b'R', b'F', b'6', b'4', _, _, _, _, rest @ ..]
            | [b'B', b'W', b'6', b'4', _, _, _, _, rest @ ..]
                if rest.starts_with(b"WAVE") =>
            {
                Some(Self::Wav)
            }
            // The page that begins an Ogg Opus stream has one segment (RFC 7845 3).
            [b'O', b'g', b'g', b'S', ..] => {
                let head = start.get(28..).unwrap_or_default();
                head.starts_with(b"OpusHead").then_some(Self::OggOpus)
            }
            [b'f', b'L', b'a', b'C', ..] => Some(Self::Flac),
            [b'I', b'D', b'3', ..] => Some(Self::Mp3),
            // Eleven bits of synchronisation, any version, layer III.
            [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 == 0x02 => Some(Self::Mp3),
            _ => None,
        }
    }
}
