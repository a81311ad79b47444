//! How long Opus packets play, and packets that stand for lost ones (RFC 6716 3.1, RFC 7845 4.1).

const MAX_SAMPLES: u32 = 5_760;
const SILK: [u32; 4] = [480, 960, 1_920, 2_880];
const CELT: [u32; 4] = [120, 240, 480, 960];

/// Samples at 48 kHz that a packet decodes to; `None` when it is no Opus packet.
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let samples = frames * frame_samples(toc);
    (1..=MAX_SAMPLES).contains(&samples).then_some(samples)
}

fn frame_samples(toc: u8) -> u32 {
    let config = toc >> 3;
    match config {
        0..12 => SILK[usize::from(config & 3)],
        12..16 => SILK[usize::from(config & 1)],
        _ => CELT[usize::from(config & 3)],
    }
}

/// A packet of this one byte has a frame without bytes: a decoder conceals the loss of as many samples.
///
/// Mode, bandwidth and length stay those of the packet before as long as they fit into `left`; then frames get
/// shorter, and at last CELT's (RFC 7845 4.1). `None` when fewer than 2.5 ms are left.
pub(super) fn filler(before: u8, left: u32) -> Option<(u8, u32)> {
    let same_mode = match before >> 3 {
        config @ 0..12 => [3, 2, 1, 0].map(|size| (config & !3) | size),
        config @ 12..16 => [1, 0, 0, 0].map(|size| (config & !1) | size),
        config => [3, 2, 1, 0].map(|size| (config & !3) | size),
    };
    let celt = celt_of(before >> 3);
    let last_resort = [2, 1, 0].map(|size| celt | size);
    let longest = frame_samples(before);
    same_mode
        .into_iter()
        .chain(last_resort)
        .map(|config| config << 3 | before & 4)
        .map(|toc| (toc, frame_samples(toc)))
        .find(|(_, samples)| *samples <= left.min(longest))
}

/// The shortest CELT configuration of the bandwidth; medium band, which CELT has not, becomes wide band.
fn celt_of(config: u8) -> u8 {
    match config {
        0..4 => 16,
        4..12 => 20,
        12..14 => 24,
        14..16 => 28,
        _ => config & !3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_plays_as_long_as_the_table_of_the_rfc_says() {
        let silk = [10.0, 20.0, 40.0, 60.0];
        let table = [silk, silk, silk, [10.0, 20.0, 10.0, 20.0]]
            .into_iter()
            .chain([[2.5, 5.0, 10.0, 20.0]; 4])
            .flatten();
        for (config, ms) in table.enumerate() {
            let samples = (ms * 48.0) as u32;
            let toc = (config as u8) << 3;
            assert_eq!(packet_samples(&[toc]), Some(samples));
            assert_eq!(
                packet_samples(&[toc | 1, 0]),
                Some(2 * samples).filter(|it| *it <= 5_760)
            );
            let most = (5_760 / samples) as u8;
            assert_eq!(
                packet_samples(&[toc | 3, most]),
                Some(u32::from(most) * samples)
            );
            assert_eq!(packet_samples(&[toc | 3, most + 1]), None);
        }
        for broken in [&[][..], &[3], &[3, 0]] {
            assert_eq!(packet_samples(broken), None);
        }
    }

    fn fill(mut toc: u8, mut left: u32) -> (Vec<(u8, u32)>, u32) {
        let mut found = Vec::new();
        while let Some((next, samples)) = filler(toc, left) {
            assert_eq!(packet_samples(&[next]), Some(samples));
            found.push((next >> 3, samples / 48));
            left -= samples;
            toc = next;
        }
        (found, left)
    }

    #[test]
    fn a_gap_is_filled_as_the_example_of_the_rfc_does() {
        let wide_silk_20 = 9 << 3;
        let (found, left) = fill(wide_silk_20, 95 * 48 + 7);
        assert_eq!(
            found,
            [(9, 20), (9, 20), (9, 20), (9, 20), (8, 10), (21, 5)]
        );
        assert_eq!(left, 7);
    }

    #[test]
    fn every_gap_of_whole_steps_is_filled_whatever_came_before() {
        for toc in 0..=255u8 {
            for steps in 1..60 {
                let (found, left) = fill(toc, steps * 120);
                assert_eq!(left, 0, "{toc} {steps}: {found:?}");
            }
        }
    }
}
