//! What the engine's callers know of the sessions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::error::EngineError;
use crate::session::SessionId;
use crate::session::plan::{Believed, Plan, StreamKey};
use crate::stats::{Counters, StreamStats};

/// Which wish of a call is newer: its owner's epoch first, then the owner's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// Grows with each owner of the call.
    pub epoch: u64,
    /// Grows with each change that an owner makes.
    pub revision: u64,
}

/// A stream and what it has carried.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamReport {
    /// Whose it is.
    pub leg: Arc<str>,
    /// Position of its m-line.
    pub index: u8,
    /// Its counters.
    pub stats: StreamStats,
}

/// Where the phone of a stream is to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Whose it is.
    pub leg: Arc<str>,
    /// Position of its m-line.
    pub index: u8,
    /// Even; RTCP is the next.
    pub rtp_port: u16,
}

struct HeldStream {
    rtp_port: u16,
    counters: Arc<Counters>,
}

impl HeldStream {
    fn ports(&self) -> [u16; 2] {
        [self.rtp_port, self.rtp_port + 1]
    }
}

/// One session.
pub struct Held {
    pub shard: usize,
    order: Order,
    streams: BTreeMap<StreamKey, HeldStream>,
    /// Of streams that were closed.
    past: BTreeMap<StreamKey, StreamStats>,
}

impl Held {
    pub fn new(shard: usize) -> Self {
        Self {
            shard,
            order: Order::default(),
            streams: BTreeMap::new(),
            past: BTreeMap::new(),
        }
    }

    pub fn has(&self, key: &StreamKey) -> bool {
        self.streams.contains_key(key)
    }

    pub fn opened(&self) -> Vec<Opened> {
        let streams = self.streams.iter();
        streams
            .map(|((leg, index), stream)| Opened {
                leg: Arc::clone(leg),
                index: *index,
                rtp_port: stream.rtp_port,
            })
            .collect()
    }

    /// What each stream has carried, those included that are closed.
    pub fn report(&self, now_ns: u64) -> Vec<StreamReport> {
        let mut all = self.past.clone();
        for (key, stream) in &self.streams {
            add(&mut all, key, stream.counters.read(now_ns));
        }
        let reports =
            all.into_iter()
                .map(|((leg, index), stats)| StreamReport { leg, index, stats });
        reports.collect()
    }

    /// Whether a wish is the newest one again; an older one is an error.
    pub fn is_repeat(&self, order: Order) -> Result<bool, EngineError> {
        if order < self.order {
            let (known, told) = (self.order, order);
            return Err(EngineError::Stale { told, known });
        }
        Ok(order == self.order)
    }
}

fn add(all: &mut BTreeMap<StreamKey, StreamStats>, key: &StreamKey, stats: StreamStats) {
    let before = all.get(key).copied().unwrap_or_default();
    all.insert(key.clone(), stats.following(before));
}

/// All sessions of an engine.
#[derive(Default)]
pub struct Registry {
    sessions: HashMap<SessionId, Held>,
    /// By shard: its streams.
    loads: Vec<usize>,
    /// Held by streams, RTCP's too.
    ports: HashSet<u16>,
}

impl Registry {
    pub fn new(shards: usize) -> Self {
        Self {
            loads: vec![0; shards],
            ..Self::default()
        }
    }

    pub fn find(&self, session: &str) -> Option<&Held> {
        self.sessions.get(session)
    }

    pub fn loads(&self) -> &[usize] {
        &self.loads
    }

    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub fn streams(&self) -> usize {
        self.loads.iter().sum()
    }

    /// Those of a shard.
    pub fn on_shard(&self, shard: usize) -> Vec<SessionId> {
        let sessions = self.sessions.iter().filter(|(_, held)| held.shard == shard);
        sessions.map(|(id, _)| Arc::clone(id)).collect()
    }

    /// Refuses what would send packets in a circle: to a port that is ours, or about to be.
    pub fn refuse_own(
        &self,
        plan: &Plan,
        own: &[IpAddr],
        opening: &[u16],
    ) -> Result<(), EngineError> {
        let is_ours = |address: &SocketAddr| {
            let port = address.port();
            own.contains(&address.ip())
                && (self.ports.contains(&port)
                    || opening.iter().any(|&even| port == even || port == even + 1))
        };
        let believed = plan.streams.values().map(|planned| &planned.believed);
        let mut told = believed.flat_map(|Believed { rtp, rtcp, .. }| [*rtp, *rtcp]);
        match told.find(|address| address.as_ref().is_some_and(is_ours)) {
            Some(Some(address)) => Err(EngineError::OwnPort(address)),
            _ => Ok(()),
        }
    }

    /// Notes what a session has from now on.
    pub fn apply(
        &mut self,
        id: &SessionId,
        shard: usize,
        order: Order,
        plan: &Plan,
        opened: Vec<(StreamKey, u16, Arc<Counters>)>,
        now_ns: u64,
    ) -> Vec<Opened> {
        let held = self
            .sessions
            .entry(Arc::clone(id))
            .or_insert_with(|| Held::new(shard));
        held.order = order;
        let Held { streams, past, .. } = held;
        streams.retain(|key, stream| {
            let stays = plan.streams.contains_key(key);
            if !stays {
                add(past, key, stream.counters.read(now_ns));
                for port in stream.ports() {
                    self.ports.remove(&port);
                }
                self.loads[shard] -= 1;
            }
            stays
        });
        for (key, rtp_port, counters) in opened {
            let stream = HeldStream { rtp_port, counters };
            self.ports.extend(stream.ports());
            self.loads[shard] += 1;
            held.streams.insert(key, stream);
        }
        held.opened()
    }

    /// Forgets a session.
    pub fn remove(&mut self, session: &str) -> Option<Held> {
        let held = self.sessions.remove(session)?;
        for port in held.streams.values().flat_map(HeldStream::ports) {
            self.ports.remove(&port);
        }
        self.loads[held.shard] -= held.streams.len();
        Some(held)
    }

    pub fn clear(&mut self) {
        self.sessions.clear();
        self.ports.clear();
        self.loads.fill(0);
    }
}
