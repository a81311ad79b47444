//! Whether a transport's packets are protected, and by what.

use wire::srtp::{Context, Opened, SrtpError};

use crate::session::plan::Sdes;

/// SRTP of both directions.
struct Srtp {
    keys: Sdes,
    ours: Context,
    theirs: Context,
}

/// How a phone's packets are opened, and what it hears is protected.
#[derive(Default)]
pub struct Security {
    srtp: Option<Box<Srtp>>,
}

impl Security {
    /// Takes over the keys that the signalling says. A direction whose key is the same goes on: its
    /// indexes must not be used again.
    pub fn update(&mut self, keys: Option<&Sdes>) {
        let Some(keys) = keys else {
            self.srtp = None;
            return;
        };
        if self.srtp.as_ref().is_some_and(|srtp| srtp.keys == *keys) {
            return;
        }
        let before = self.srtp.take();
        let (mut ours, mut theirs) = (
            Context::new(&keys.ours).ok(),
            Context::new(&keys.theirs).ok(),
        );
        if let Some(before) = before {
            if before.keys.ours == keys.ours {
                ours = Some(before.ours);
            }
            if before.keys.theirs == keys.theirs {
                theirs = Some(before.theirs);
            }
        }
        // Keys of a plan have their suite's length, so that both are there.
        self.srtp = ours.zip(theirs).map(|(ours, theirs)| {
            Box::new(Srtp {
                keys: keys.clone(),
                ours,
                theirs,
            })
        });
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
