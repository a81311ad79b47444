//! Which indexes were used: no packet is taken twice, none is sent twice (RFC 3711 3.3.2).

/// How far behind the newest a packet may be.
const WINDOW: u64 = 128;

/// The newest index and which of those before it were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    newest: Option<u64>,
    /// Bit `n` stands for the newest less `n`.
    used: u128,
}

impl Window {
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Whether an index may still be used.
    pub fn is_free(&self, index: u64) -> bool {
        let Some(newest) = self.newest else {
            return true;
        };
        match newest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WINDOW && self.used & (1 << behind) == 0,
        }
    }

    /// Uses an index that is free; true if it is the newest.
    pub fn mark(&mut self, index: u64) -> bool {
        match self.newest {
            Some(newest) if index <= newest => {
                self.used |= 1 << (newest - index);
                false
            }
            newest => {
                let ahead = newest.map_or(WINDOW, |newest| index - newest);
                let shifted = u32::try_from(ahead)
                    .ok()
                    .and_then(|n| self.used.checked_shl(n));
                self.used = shifted.unwrap_or(0) | 1;
                self.newest = Some(index);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_used_once_and_not_when_it_is_old() {
        let mut window = Window::default();
        assert!(window.is_free(0) && window.mark(1000));
        for (index, is_free) in [(1000, false), (873, true), (872, false), (1001, true)] {
            assert_eq!(window.is_free(index), is_free, "{index}");
        }
        assert!(!window.mark(873));
        assert!(!window.is_free(873));
        assert!(window.mark(1001) && !window.is_free(873) && !window.is_free(1000));
        assert!(window.mark(1 << 40) && !window.is_free(1001));
        assert!(window.is_free((1 << 40) - 1));
    }
}
