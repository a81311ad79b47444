//! Frames in, blocks out.

use std::collections::VecDeque;
use std::time::Duration;

use super::track::Track;
use super::{Frame, Paused, Settings, TrackStats};
use crate::part::Tracks;
use crate::{StoreError, playing_time};

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// [`Recorder::close`] was called.
    Closed,
    /// It is as long as it may be.
    MaxLength,
    /// Nobody was heard for as long as was allowed.
    Silence,
}

/// One recording.
#[derive(Clone, Debug)]
pub struct Recorder {
    settings: Settings,
    start_ns: u64,
    tracks: Vec<Track>,
    mixed: Vec<i32>,
    block: Vec<i16>,
    /// Position of the next block.
    next: u64,
    /// Where pauses begin and end, `true` for begin.
    marks: VecDeque<(u64, bool)>,
    is_paused: bool,
    close_at: Option<u64>,
    /// Frames that came out.
    recorded: u64,
    quiet: u64,
    end: Option<End>,
}

impl Recorder {
    /// Starts to record.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for settings that make no sense.
    pub fn new(settings: Settings, now_ns: u64) -> Result<Self, StoreError> {
        settings.check()?;
        let room = Duration::from_secs(1) + settings.delay;
        let capacity = playing_time::samples(room, settings.rate) as usize;
        let tracks = (0..settings.sources).map(|_| Track::new(settings.rate, capacity));
        Ok(Self {
            start_ns: now_ns,
            tracks: tracks.collect(),
            mixed: vec![0; settings.block()],
            block: vec![0; settings.block() * usize::from(settings.tracks.channels())],
            next: 0,
            marks: VecDeque::new(),
            is_paused: false,
            close_at: None,
            recorded: 0,
            quiet: 0,
            end: None,
            settings,
        })
    }

    /// Takes a source's frame. Blocks that are due are to be taken out before, or there may be no room for it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an unknown source, or more than a second of samples.
    pub fn receive(&mut self, source: usize, frame: Frame<'_>) -> Result<(), StoreError> {
        let arrived = self.position(frame.arrived_ns) as i64;
        if frame.samples.len() > self.settings.rate as usize {
            return Err(StoreError::invalid("a frame of more than a second"));
        }
        let track = self.tracks.get_mut(source);
        let track = track.ok_or(StoreError::invalid("an unknown source"))?;
        track.put(arrived, frame.at as i64, frame.samples);
        Ok(())
    }

    /// Nothing that is said from now on is recorded; a block that is partly paused is paused.
    pub fn pause(&mut self, now_ns: u64) {
        self.mark(now_ns, true);
    }

    /// Goes on after a pause.
    pub fn resume(&mut self, now_ns: u64) {
        self.mark(now_ns, false);
    }

    /// Ends the recording: what came until now still comes out, without delay.
    pub fn close(&mut self, now_ns: u64) {
        let now = self.position(now_ns);
        self.close_at.get_or_insert(now);
    }

    /// The next block that is due: 20 ms of interleaved samples, fewer only when it is the last. To be called until `None`.
    pub fn next_block(&mut self, now_ns: u64) -> Option<&[i16]> {
        while self.is_due(now_ns) {
            let is_paused = self.pass_marks();
            match self.settings.tracks {
                Tracks::Mixed => self.mix(),
                Tracks::Dual => self.interleave(),
            }
            self.next += self.settings.block() as u64;
            match (is_paused, self.settings.paused) {
                (true, Paused::LeftOut) => continue,
                (true, Paused::Silent) => self.block.fill(0),
                (false, _) => self.listen(),
            }
            let length = self.record(is_paused);
            return Some(&self.block[..length]);
        }
        None
    }

    /// Why no more blocks come; `None` while it goes on.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// How long what came out plays.
    pub fn duration(&self) -> Duration {
        playing_time::duration(self.recorded, self.settings.rate)
    }

    /// What became of each source's frames.
    pub fn stats(&self) -> impl Iterator<Item = TrackStats> {
        self.tracks.iter().map(Track::stats)
    }

    fn channels(&self) -> usize {
        usize::from(self.settings.tracks.channels())
    }

    fn position(&self, now_ns: u64) -> u64 {
        let since = Duration::from_nanos(now_ns.saturating_sub(self.start_ns));
        playing_time::samples(since, self.settings.rate)
    }

    fn mark(&mut self, now_ns: u64, is_pause: bool) {
        let at = self.position(now_ns);
        let block = self.settings.block() as u64;
        match self.marks.back().copied() {
            Some((_, last)) if last == is_pause => {}
            None if self.is_paused == is_pause => {}
            // A block that is paused at both ends is paused; so no block has more than two marks.
            Some((last_at, false)) if last_at / block == at / block => {
                self.marks.pop_back();
            }
            _ => self.marks.push_back((at, is_pause)),
        }
    }

    fn is_due(&mut self, now_ns: u64) -> bool {
        if self.end.is_some() {
            return false;
        }
        let block_end = self.next + self.settings.block() as u64;
        match self.close_at {
            Some(at) if self.next >= at => {
                self.end = Some(End::Closed);
                false
            }
            Some(_) => true,
            None => {
                let delay = playing_time::samples(self.settings.delay, self.settings.rate);
                block_end + delay <= self.position(now_ns)
            }
        }
    }

    /// Whether any part of the next block is paused.
    fn pass_marks(&mut self) -> bool {
        let block_end = self.next + self.settings.block() as u64;
        let mut is_paused = self.is_paused;
        while let Some((at, is_pause)) = self.marks.front()
            && *at < block_end
        {
            is_paused = *is_pause || (is_paused && *at > self.next);
            self.is_paused = *is_pause;
            self.marks.pop_front();
        }
        is_paused
    }

    fn mix(&mut self) {
        let Self {
            tracks,
            mixed,
            block,
            ..
        } = self;
        mixed.fill(0);
        for track in tracks {
            track.take(mixed.len(), |n, sample| mixed[n] += i32::from(sample));
        }
        for (place, sum) in block.iter_mut().zip(mixed) {
            *place = (*sum).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
    }

    fn interleave(&mut self) {
        let Self { tracks, block, .. } = self;
        let channels = tracks.len();
        let frames = block.len() / channels;
        for (channel, track) in tracks.iter_mut().enumerate() {
            track.take(frames, |n, sample| block[n * channels + channel] = sample);
        }
    }

    /// Counts how long nobody was heard.
    fn listen(&mut self) {
        let channels = self.channels();
        let length = self.settings.block() as u64;
        let limit = u64::from(self.settings.silence_level).pow(2) * length;
        let is_heard = (0..channels).any(|channel| {
            let samples = self.block[channel..].iter().step_by(channels);
            let squares = samples.map(|it| u64::from(it.unsigned_abs()).pow(2));
            squares.sum::<u64>() > limit
        });
        self.quiet = if is_heard { 0 } else { self.quiet + length };
    }

    /// Applies limits and beep; returns how many samples are recorded.
    fn record(&mut self, is_paused: bool) -> usize {
        let settings = &self.settings;
        let samples = |time: Option<Duration>| {
            time.map_or(u64::MAX, |time| playing_time::samples(time, settings.rate))
        };
        let channels = self.channels();
        let left = samples(settings.max).saturating_sub(self.recorded);
        let frames = left.min(settings.block() as u64);
        let length = frames as usize * channels;
        if let (Some(beep), false) = (&settings.beep, is_paused) {
            beep.mix(
                settings.rate,
                self.recorded,
                channels,
                &mut self.block[..length],
            );
        }
        self.recorded += frames;
        if left <= settings.block() as u64 {
            self.end = Some(End::MaxLength);
        } else if self.quiet >= samples(settings.silence) {
            self.end = Some(End::Silence);
        }
        length
    }
}
