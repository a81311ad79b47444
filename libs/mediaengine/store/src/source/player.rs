//! One decoded file, many positions in it.

use std::sync::Arc;
use std::time::Duration;

use super::Pcm;
use crate::{StoreError, playing_time};

/// A decoded file of one channel; its clones share the samples.
#[derive(Clone, Debug)]
pub struct Prompt {
    rate: u32,
    samples: Arc<[i16]>,
}

/// Plays a prompt to one listener.
#[derive(Clone, Debug)]
pub struct Player {
    prompt: Prompt,
    position: usize,
    is_looped: bool,
}

impl Prompt {
    /// Shares the samples.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when there is more than one channel, or no rate.
    pub fn new(pcm: Pcm) -> Result<Self, StoreError> {
        if pcm.channels != 1 || pcm.rate == 0 {
            return Err(StoreError::invalid("a prompt has one channel and a rate"));
        }
        Ok(Self {
            rate: pcm.rate,
            samples: pcm.samples.into(),
        })
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        playing_time::duration(self.samples.len() as u64, self.rate)
    }

    /// Bytes of memory that all clones need together; what a cache counts.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.samples)
    }
}

impl Player {
    /// Starts at a position; one behind the end is the end, or where a loop would be by then.
    pub fn new(prompt: Prompt, from: Duration, is_looped: bool) -> Self {
        let from = playing_time::samples(from, prompt.rate);
        let length = prompt.samples.len() as u64;
        let position = if is_looped && length > 0 {
            from % length
        } else {
            from.min(length)
        };
        Self {
            prompt,
            position: position as usize,
            is_looped,
        }
    }

    /// Writes the next samples; returns how many they are. After them `out` is silent.
    pub fn play(&mut self, out: &mut [i16]) -> usize {
        let mut written = 0;
        while written < out.len() && !self.is_finished() {
            let rest = &self.prompt.samples[self.position..];
            let length = rest.len().min(out.len() - written);
            out[written..written + length].copy_from_slice(&rest[..length]);
            written += length;
            self.position += length;
            if self.is_looped && self.position == self.prompt.samples.len() {
                self.position = 0;
            }
        }
        out[written..].fill(0);
        written
    }

    /// Where in the file the next sample is.
    pub fn position(&self) -> Duration {
        playing_time::duration(self.position as u64, self.prompt.rate)
    }

    /// Whether nothing comes any more; a loop of an empty file ends as well.
    pub fn is_finished(&self) -> bool {
        self.position >= self.prompt.samples.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(samples: Vec<i16>) -> Prompt {
        Prompt::new(Pcm {
            rate: 1000,
            channels: 1,
            samples,
        })
        .unwrap()
    }

    fn player(from_ms: u64, is_looped: bool) -> Player {
        let prompt = prompt((1..=10).collect());
        Player::new(prompt, Duration::from_millis(from_ms), is_looped)
    }

    #[test]
    fn a_prompt_plays_to_its_end_and_then_there_is_silence() {
        let mut player = player(4, false);
        let mut out = [9; 4];
        assert_eq!((player.play(&mut out), out), (4, [5, 6, 7, 8]));
        assert_eq!(player.position(), Duration::from_millis(8));
        assert_eq!((player.play(&mut out), out), (2, [9, 10, 0, 0]));
        assert!(player.is_finished());
        assert_eq!((player.play(&mut out), out), (0, [0; 4]));
    }

    #[test]
    fn a_loop_has_no_seam_however_short_it_is() {
        let mut player = player(28, true);
        let mut out = [0; 15];
        assert_eq!(player.play(&mut out), 15);
        assert_eq!(out, [9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3]);
        assert_eq!(player.position(), Duration::from_millis(3));
        assert!(!player.is_finished());
    }

    #[test]
    fn a_position_behind_the_end_and_an_empty_file_are_the_end() {
        assert!(player(11, false).is_finished());
        let mut empty = Player::new(prompt(vec![]), Duration::MAX, true);
        assert_eq!(empty.play(&mut [1; 3]), 0);
        assert!(empty.is_finished());
    }

    #[test]
    fn listeners_share_the_samples() {
        let prompt = prompt(vec![1; 100]);
        let players = [0, 5].map(|ms| Player::new(prompt.clone(), Duration::from_millis(ms), true));
        for player in players {
            assert!(Arc::ptr_eq(&player.prompt.samples, &prompt.samples));
        }
        assert_eq!(prompt.bytes(), 200);
    }
}
