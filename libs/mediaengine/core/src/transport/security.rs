//! Whether a transport's packets are protected, and by what.

use std::collections::VecDeque;

use wire::srtp::{Context, MasterKey, Opened, SrtpError};

use crate::session::plan::Sdes;

/// SRTP of both directions.
struct Srtp {
    keys: Sdes,
    ours: Context,
    theirs: Context,
}

/// Keys of ours that a stream has left and may be told again; a call has few.
const MOST_LEFT: usize = 32;

/// How a phone's packets are opened, and what it hears is protected.
#[derive(Default)]
pub struct Security {
    srtp: Option<Box<Srtp>>,
    /// Of keys that were ours before: should one come again, it goes on where it was.
    left: VecDeque<(MasterKey, Context)>,
}

impl Security {
    /// Takes over the keys that the signalling says.
    ///
    /// A direction whose key is the same goes on, and so does a key of ours that comes again after others:
    /// its indexes must not be used twice. A stream that cannot have the keys it was told panics, which ends
    /// its session; it never goes on in the clear.
    pub fn update(&mut self, keys: Option<&Sdes>) {
        if self.srtp.as_ref().map(|srtp| &srtp.keys) == keys {
            return;
        }
        let theirs = self.leave();
        let Some(keys) = keys else {
            return;
        };
        let theirs = theirs.filter(|(key, _)| *key == keys.theirs);
        let ours = self.take_left(&keys.ours);
        self.srtp = Some(Box::new(Srtp {
            ours: ours.unwrap_or_else(|| new_context(&keys.ours)),
            theirs: theirs.map_or_else(|| new_context(&keys.theirs), |(_, context)| context),
            keys: keys.clone(),
        }));
    }

    /// Goes on without keys; those of the phone that there were.
    fn leave(&mut self) -> Option<(MasterKey, Context)> {
        let Srtp { keys, ours, theirs } = *self.srtp.take()?;
        self.left.push_front((keys.ours, ours));
        self.left.truncate(MOST_LEFT);
        Some((keys.theirs, theirs))
    }

    fn take_left(&mut self, key: &MasterKey) -> Option<Context> {
        let place = self.left.iter().position(|(left, _)| left == key)?;
        self.left.remove(place).map(|(_, context)| context)
    }

    /// Whether packets prove themselves.
    pub fn is_secured(&self) -> bool {
        self.srtp.is_some()
    }

    /// Opens a packet in place.
    pub fn open(&mut self, is_rtp: bool, packet: &mut [u8]) -> Result<Opened, SrtpError> {
        match &mut self.srtp {
            None => Ok(Opened {
                length: packet.len(),
                is_newest: false,
            }),
            Some(srtp) if is_rtp => srtp.theirs.unprotect_rtp(packet),
            Some(srtp) => srtp.theirs.unprotect_rtcp(packet),
        }
    }

    /// Protects the first `length` bytes of a buffer in place; how many they are then.
    pub fn protect(
        &mut self,
        is_rtp: bool,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<usize, SrtpError> {
        match &mut self.srtp {
            None => Ok(length),
            Some(srtp) if is_rtp => srtp.ours.protect_rtp(buffer, length),
            Some(srtp) => srtp.ours.protect_rtcp(buffer, length),
        }
    }
}

fn new_context(key: &MasterKey) -> Context {
    Context::new(key).expect("a master key has its suite's length")
}
