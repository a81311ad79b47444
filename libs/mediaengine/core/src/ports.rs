//! Which port pairs are free.
//!
//! Pairs are taken in a shuffled order that goes round, and a closed pair rests before it is taken
//! again, so that late packets of an ended call do not reach the next one. At most half of the range
//! rests: under pressure the longest-resting pair is free early, rather than a call refused.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::session::SessionId;
use crate::transport::gate::Speaker;

/// How long it is known who spoke to a port: a phone that missed its BYE goes on for a while.
const MEMORY: Duration = Duration::from_secs(60);

struct Pairs {
    free: VecDeque<u16>,
    resting: VecDeque<(Instant, u16)>,
    /// By port: until when it was held, by which session, and who spoke to it last.
    speakers: HashMap<u16, (Instant, SessionId, Speaker)>,
}

/// The even ports of a range, each standing for itself and the odd one above it.
pub struct PortPool {
    rest: Duration,
    max_resting: usize,
    pairs: Mutex<Pairs>,
}

impl PortPool {
    /// All pairs that lie wholly within `first..=last`; none if the range is too small.
    pub fn new(first: u16, last: u16, rest: Duration) -> Self {
        let mut free: VecDeque<u16> = (first..last).filter(|port| port % 2 == 0).collect();
        shuffle(free.make_contiguous());
        Self {
            rest,
            max_resting: free.len() / 2,
            pairs: Mutex::new(Pairs {
                free,
                resting: VecDeque::new(),
                speakers: HashMap::new(),
            }),
        }
    }

    /// Pairs that could be taken now.
    pub fn free(&self, now: Instant) -> usize {
        self.woken(now).free.len()
    }

    /// Takes a pair for a session, until its lease is dropped.
    pub fn take(self: &Arc<Self>, session: &SessionId, now: Instant) -> Option<Lease> {
        let mut pairs = self.woken(now);
        let port = pairs.free.pop_front()?;
        let known = pairs.speakers.get(&port);
        // Who spoke in the same session, opened again here, is its phone.
        let counts = |since: Instant, holder: &SessionId| {
            holder != session && now.saturating_duration_since(since) < MEMORY
        };
        Some(Lease {
            port,
            former: known
                .filter(|(since, holder, _)| counts(*since, holder))
                .map(|(_, _, speaker)| *speaker),
            session: Arc::clone(session),
            speaker: None,
            pool: Arc::clone(self),
        })
    }

    fn give_back(&self, lease: &Lease, now: Instant) {
        let port = lease.port;
        let mut pairs = self.woken(now);
        if let Some(speaker) = lease.speaker {
            let holder = Arc::clone(&lease.session);
            pairs.speakers.insert(port, (now, holder, speaker));
        }
        pairs.resting.push_back((now, port));
        if pairs.resting.len() > self.max_resting
            && let Some((_, oldest)) = pairs.resting.pop_front()
        {
            pairs.free.push_back(oldest);
        }
    }

    fn woken(&self, now: Instant) -> MutexGuard<'_, Pairs> {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(since, port)) = pairs.resting.front()
            && now.saturating_duration_since(since) >= self.rest
        {
            pairs.resting.pop_front();
            pairs.free.push_back(port);
        }
        pairs
    }
}

/// A pair in use; dropping it, on whatever path, lays it to rest.
pub struct Lease {
    /// The RTP port; RTCP is the next.
    pub port: u16,
    /// Who spoke to it less than a minute ago, in another session.
    pub former: Option<Speaker>,
    /// Who speaks to it in this one.
    pub speaker: Option<Speaker>,
    session: SessionId,
    pool: Arc<PortPool>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.give_back(self, Instant::now());
    }
}

/// Fisher-Yates over xorshift: an outsider shall not guess the next call's ports.
fn shuffle(ports: &mut [u16]) {
    let mut state = RandomState::new().build_hasher().finish() | 1;
    for i in (1..ports.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ports.swap(i, (state % (i as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const REST: Duration = Duration::from_secs(5);

    fn pool(first: u16, last: u16) -> Arc<PortPool> {
        Arc::new(PortPool::new(first, last, REST))
    }

    fn take(pool: &Arc<PortPool>, now: Instant) -> Option<Lease> {
        pool.take(&"s".into(), now)
    }

    #[test]
    fn pairs_are_even_whole_and_within_the_range() {
        let (pool, now) = (pool(10001, 10008), Instant::now());
        let taken: Vec<Lease> = std::iter::from_fn(|| take(&pool, now)).collect();
        let ports: HashSet<u16> = taken.iter().map(|lease| lease.port).collect();
        assert_eq!(ports, HashSet::from([10002, 10004, 10006]));
        assert_eq!(pool.free(now), 0);
    }

    #[test]
    fn a_range_without_a_whole_pair_has_none() {
        assert!(take(&pool(10001, 10001), Instant::now()).is_none());
        assert!(take(&pool(10000, 10000), Instant::now()).is_none());
        assert!(take(&pool(10002, 10000), Instant::now()).is_none());
        assert_eq!(pool(65534, 65535).free(Instant::now()), 1);
    }

    #[test]
    fn a_closed_pair_rests_before_it_is_taken_again() {
        let (pool, now) = (pool(10000, 10007), Instant::now());
        let first = take(&pool, now).unwrap();
        let port = first.port;
        drop(first);
        let others: Vec<Lease> = std::iter::from_fn(|| take(&pool, now)).collect();
        assert_eq!(others.len(), 3);
        assert!(others.iter().all(|lease| lease.port != port));
        let later = Instant::now() + REST;
        assert_eq!(take(&pool, later).unwrap().port, port);
    }

    #[test]
    fn who_spoke_to_a_pair_is_known_to_other_sessions_for_a_minute() {
        let pool = Arc::new(PortPool::new(10000, 10001, Duration::ZERO));
        let speaker = ("192.0.2.1:4000".parse().unwrap(), 7);
        take(&pool, Instant::now()).unwrap().speaker = Some(speaker);
        let former = |session: &str, later| {
            let lease = pool.take(&session.into(), Instant::now() + later);
            lease.unwrap().former
        };
        assert_eq!(former("t", Duration::ZERO), Some(speaker));
        assert_eq!(
            former("t", Duration::ZERO),
            Some(speaker),
            "nobody spoke since"
        );
        assert_eq!(former("s", Duration::ZERO), None, "it is its own phone");
        assert_eq!(former("t", MEMORY), None);
    }

    #[test]
    fn at_most_half_of_the_range_rests() {
        let (pool, now) = (pool(10000, 10007), Instant::now());
        let taken: Vec<Lease> = std::iter::from_fn(|| take(&pool, now)).collect();
        let oldest = taken[0].port;
        drop(taken);
        assert_eq!(pool.free(Instant::now()), 2);
        assert_eq!(take(&pool, Instant::now()).unwrap().port, oldest);
    }
}
