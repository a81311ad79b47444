//! Where a sender's count of samples lies on the recorder's.

/// How far a line may be off before it leaps; below that it slips, which nobody hears.
const LEAP_MS: i64 = 10;
/// How far it may be off without a change.
const EASE_MS: i64 = 1;
/// Arrivals are compared within one to two of these.
const WINDOW_S: i64 = 5;

/// Follows the packet that was delayed the least, so that jitter does not move what is heard and the clocks of two
/// phones cannot drift apart.
#[derive(Clone, Debug)]
pub(super) struct Line {
    rate: i64,
    /// What is added to the sender's count; `None` before the first frame.
    shift: Option<i64>,
    /// Least difference of arrival and count, in this window and in the one before.
    least: [i64; 2],
    window_end: i64,
}

impl Line {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate: i64::from(rate),
            shift: None,
            least: [i64::MAX; 2],
            window_end: 0,
        }
    }

    /// The position of a frame that arrived at the position `arrived` and has the count `at`.
    pub(super) fn place(&mut self, arrived: i64, at: i64) -> i64 {
        let transit = arrived.wrapping_sub(at);
        let Some(shift) = self.shift else {
            return self.restart(arrived, at);
        };
        if arrived >= self.window_end {
            self.window_end = arrived + WINDOW_S * self.rate;
            self.least = [i64::MAX, self.least[0]];
        }
        self.least[0] = self.least[0].min(transit);
        let least = self.least[0].min(self.least[1]);
        let off = least.saturating_sub(shift);
        let off_ms = off.saturating_abs().saturating_mul(1000) / self.rate;
        let shift = if off_ms > LEAP_MS {
            least
        } else if off_ms > EASE_MS {
            shift + off.signum()
        } else {
            shift
        };
        self.shift = Some(shift);
        at.wrapping_add(shift)
    }

    /// Forgets all before a frame: its sender counts anew.
    pub(super) fn restart(&mut self, arrived: i64, at: i64) -> i64 {
        let transit = arrived.wrapping_sub(at);
        self.shift = Some(transit);
        self.least = [transit, i64::MAX];
        self.window_end = arrived + WINDOW_S * self.rate;
        arrived
    }
}
