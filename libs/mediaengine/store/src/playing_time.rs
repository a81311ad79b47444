//! Between samples and time.

use std::time::Duration;

/// How long so many samples of one channel play; `rate` is not 0.
pub(crate) fn duration(samples: u64, rate: u32) -> Duration {
    let rate = u64::from(rate);
    let nanos = samples % rate * 1_000_000_000 / rate;
    Duration::from_secs(samples / rate) + Duration::from_nanos(nanos)
}

/// Whole samples of one channel in so much time.
pub(crate) fn samples(time: Duration, rate: u32) -> u64 {
    let rate = u64::from(rate);
    let part = u64::from(time.subsec_nanos()) * rate / 1_000_000_000;
    time.as_secs().saturating_mul(rate).saturating_add(part)
}
