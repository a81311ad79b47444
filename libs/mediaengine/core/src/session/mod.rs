//! A session as its shard has it: which streams it has, and how long its legs have been silent.

pub mod plan;
pub mod scene;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::session::plan::{Plan, Planned, StreamKey};
use crate::slots::Slots;
use crate::stream::{Hop, Stream};

/// Names a session.
pub type SessionId = Arc<str>;

/// A leg that is silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its name.
    pub leg: Arc<str>,
    /// Another leg of the session is heard.
    pub is_other_heard: bool,
}

/// The streams of one call, and the places of its shard that they have.
#[derive(Default)]
pub struct Session {
    places: BTreeMap<StreamKey, usize>,
    plan: Plan,
    /// By leg: when its silence was told last.
    told_ns: BTreeMap<Arc<str>, u64>,
}

impl Session {
    /// Where all of its streams are.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.places.values().copied()
    }

    /// Gives a stream a place, until [`Session::release`].
    pub fn add(&mut self, key: StreamKey, place: usize) {
        self.places.insert(key, place);
    }

    /// Takes streams out that a plan does not have; their places.
    pub fn release(&mut self, plan: &Plan) -> Vec<usize> {
        let mut released = Vec::new();
        self.places.retain(|key, place| {
            let stays = plan.streams.contains_key(key);
            if !stays {
                released.push(*place);
            }
            stays
        });
        released
    }

    /// Brings its streams into the state of a plan, of which it has every stream.
    ///
    /// What did not change is not touched: the silence of a stream counts from its last change.
    pub fn apply(&mut self, plan: Plan, streams: &mut Slots<Stream>, now_ns: u64) {
        let is_new_timeout = plan.timeout != self.plan.timeout;
        for (key, planned) in &plan.streams {
            let Some(stream) = self.places.get(key).and_then(|&n| streams.get_mut(n)) else {
                continue;
            };
            if is_new_timeout || self.plan.streams.get(key) != Some(planned) {
                stream.apply(planned, now_ns);
                self.told_ns.remove(&key.0);
            }
            stream.set_route(self.route(planned));
        }
        self.plan = plan;
    }

    fn route(&self, planned: &Planned) -> Vec<Hop> {
        let hops = planned.route.iter().filter_map(|(key, carry)| {
            let to = *self.places.get(key)?;
            Some(Hop { to, carry: *carry })
        });
        hops.collect()
    }

    /// Legs that have been silent for the time-out, since that was told last.
    ///
    /// A leg is silent when all of its streams are whose silence counts.
    pub fn silences(&mut self, streams: &mut Slots<Stream>, now_ns: u64) -> Vec<Silence> {
        if self.plan.timeout.is_zero() {
            return Vec::new();
        }
        let timeout_ns = nanoseconds(self.plan.timeout);
        let heard_ns = self.legs_heard_ns(streams, now_ns);
        let lasts = |since_ns: u64| now_ns.saturating_sub(since_ns) >= timeout_ns;
        let mut found = Vec::new();
        for (leg, &since_ns) in &heard_ns {
            let told_ns = self.told_ns.get(leg).copied().unwrap_or(0);
            if lasts(since_ns.max(told_ns)) {
                self.told_ns.insert(Arc::clone(leg), now_ns);
                found.push(Silence {
                    leg: Arc::clone(leg),
                    is_other_heard: heard_ns
                        .iter()
                        .any(|(other, &since_ns)| other != leg && !lasts(since_ns)),
                });
            }
        }
        found
    }

    /// By leg whose silence counts: when it was last heard.
    fn legs_heard_ns(&self, streams: &mut Slots<Stream>, now_ns: u64) -> BTreeMap<Arc<str>, u64> {
        let mut heard_ns: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for ((leg, _), &place) in &self.places {
            let is_heard = is_heard(place, streams);
            let stream = streams.get_mut(place);
            if let Some(since_ns) = stream.and_then(|it| it.expected_since_ns(is_heard, now_ns)) {
                let latest = heard_ns.entry(Arc::clone(leg)).or_default();
                *latest = since_ns.max(*latest);
            }
        }
        heard_ns
    }
}

/// Whether somebody whose phone is known hears a stream: nobody need speak before.
fn is_heard(place: usize, streams: &Slots<Stream>) -> bool {
    let stream = streams.get(place);
    let known = |hop: Hop| streams.get(hop.to).is_some_and(Stream::has_remote);
    stream.is_some_and(|stream| (0..).map_while(|n| stream.hop(n)).any(known))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
