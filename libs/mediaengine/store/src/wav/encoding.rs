//! How one sample stands in a WAV file.

/// What the bytes of one sample mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Unsigned, 128 is silence.
    Pcm8,
    /// Signed, little endian.
    Pcm16,
    /// Signed, little endian, three bytes.
    Pcm24,
    /// Signed, little endian.
    Pcm32,
    /// IEEE 754, full scale is 1.0.
    Float32,
    /// G.711 A-law.
    ALaw,
    /// G.711 mu-law.
    MuLaw,
}

impl Encoding {
    /// Bytes of one sample of one channel.
    pub fn bytes(self) -> usize {
        match self {
            Self::Pcm8 | Self::ALaw | Self::MuLaw => 1,
            Self::Pcm16 => 2,
            Self::Pcm24 => 3,
            Self::Pcm32 | Self::Float32 => 4,
        }
    }

    /// Decodes samples until either side is exhausted; what is finer than 16 bits is cut off.
    pub fn decode(self, bytes: &[u8], out: &mut [i16]) {
        match self {
            Self::Pcm8 => each(bytes, out, |[byte]| (i16::from(byte) - 128) << 8),
            Self::Pcm16 => each(bytes, out, i16::from_le_bytes),
            Self::Pcm24 => each(bytes, out, |[_, low, high]| i16::from_le_bytes([low, high])),
            Self::Pcm32 => each(bytes, out, |[_, _, low, high]| {
                i16::from_le_bytes([low, high])
            }),
            // The cast saturates, and makes silence of what is no number.
            Self::Float32 => each(bytes, out, |sample| {
                (f32::from_le_bytes(sample) * 32768.0).round() as i16
            }),
            Self::ALaw => each(bytes, out, |[byte]| a_law(byte)),
            Self::MuLaw => each(bytes, out, |[byte]| mu_law(byte)),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [i16], sample: impl Fn([u8; N]) -> i16) {
    for (chunk, place) in bytes.as_chunks::<N>().0.iter().zip(out) {
        *place = sample(*chunk);
    }
}

/// ITU-T G.711, table 1: seven segments of 16 steps, every other bit inverted.
fn a_law(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let step = i16::from(bits & 0x0f) << 4;
    let magnitude = match (bits >> 4) & 7 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    if bits & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

/// ITU-T G.711, table 2: eight segments of 16 steps, all bits inverted.
fn mu_law(byte: u8) -> i16 {
    let bits = !byte;
    let step = (i16::from(bits & 0x0f) << 3) + 0x84;
    let magnitude = (step << ((bits >> 4) & 7)) - 0x84;
    if bits & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded<const N: usize>(encoding: Encoding, bytes: &[u8]) -> [i16; N] {
        let mut out = [0; N];
        encoding.decode(bytes, &mut out);
        out
    }

    #[test]
    fn the_ends_and_the_middle_of_each_scale_are_met() {
        assert_eq!(
            decoded(Encoding::Pcm8, &[0, 128, 255]),
            [-32768, 0, 127 << 8]
        );
        assert_eq!(
            decoded(Encoding::Pcm16, &[0, 0x80, 0xff, 0x7f]),
            [-32768, 32767]
        );
        assert_eq!(
            decoded(Encoding::Pcm24, &[9, 0, 0x80, 9, 0xff, 0x7f]),
            [-32768, 32767]
        );
        assert_eq!(
            decoded(Encoding::Pcm32, &[9, 9, 0, 0x80, 9, 9, 0xff, 0x7f]),
            [-32768, 32767]
        );
    }

    #[test]
    fn floats_beyond_full_scale_are_clipped_and_no_numbers_are_silence() {
        let bytes: Vec<u8> = [0.5f32, 3.0, -3.0, f32::NAN, f32::INFINITY]
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        assert_eq!(
            decoded(Encoding::Float32, &bytes),
            [16384, 32767, -32768, 0, 32767]
        );
    }

    #[test]
    fn companded_bytes_have_the_values_of_g711() {
        assert_eq!(
            decoded(Encoding::ALaw, &[0xd5, 0x55, 0xaa, 0x2a, 0x80]),
            [8, -8, 32256, -32256, 5504]
        );
        assert_eq!(
            decoded(Encoding::MuLaw, &[0xff, 0x7f, 0x80, 0x00, 0xf0]),
            [0, 0, 32124, -32124, 120]
        );
    }
}
