//! The engine as its caller sees it.

use std::io;
use std::net::UdpSocket;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config::Config;
use crate::descriptors::{Descriptors, is_exhaustion};
use crate::error::EngineError;
use crate::held::{Opened, Order, Registry, StreamReport};
use crate::mailbox::Mailbox;
use crate::ports::PortPool;
use crate::session::SessionId;
use crate::session::plan::{Plan, StreamKey, compile};
use crate::session::scene::Scene;
use crate::shard::{Change, Command, Event, Inbox, Shard};
use crate::stats::Counters;
use crate::threads::Threads;
use crate::transport::pair::Pair;

/// Most port pairs that one new stream tries: its caller waits meanwhile.
const MOST_TRIED: usize = 100;

/// Sessions on threads of their own.
///
/// Ports are bound, and errors found, at once; what the threads have to do waits for
/// [`Engine::flush`], so that a call's several commands cost one wake-up.
pub struct Engine {
    config: Config,
    start: Instant,
    pool: Arc<PortPool>,
    descriptors: Descriptors,
    events: Arc<Mailbox<Event>>,
    pub(crate) threads: Threads,
    registry: Mutex<Registry>,
    is_closed: AtomicBool,
}

impl Engine {
    /// Starts the threads.
    pub fn new(config: Config) -> Result<Self, EngineError> {
        config.check()?;
        if let Err(error) = UdpSocket::bind((config.ip, 0)) {
            let problem = format!("media cannot be received on {}: {error}", config.ip);
            return Err(EngineError::Invalid(problem));
        }
        let (start, events) = (Instant::now(), Arc::new(Mailbox::new()?));
        let mut shards = Vec::new();
        for _ in 0..config.threads {
            let inbox = Arc::new(Inbox::new()?);
            let shard = Shard::new(Arc::clone(&inbox), Arc::clone(&events), start, config.tick)?;
            shards.push((inbox, shard));
        }
        let pool = PortPool::new(config.first_port, config.last_port, config.quarantine);
        Ok(Self {
            start,
            pool: Arc::new(pool),
            descriptors: Descriptors::new(),
            threads: Threads::start(shards, &events)?,
            events,
            registry: Mutex::new(Registry::new(config.threads)),
            is_closed: AtomicBool::new(false),
            config,
        })
    }

    /// Brings a session into the state that its call wants, and says where phones are to send.
    ///
    /// All or nothing: what is refused leaves the session as it was. The newest order again gets the
    /// same answer. `may_open`: a session that is not there is opened.
    pub fn apply(
        &self,
        session: &str,
        order: Order,
        scene: &Scene,
        may_open: bool,
    ) -> Result<Vec<Opened>, EngineError> {
        let mut registry = self.registry()?;
        let held = registry.find(session);
        match held {
            None if !may_open => return Err(EngineError::UnknownSession(session.to_owned())),
            Some(held) if held.is_repeat(order)? => return Ok(held.opened()),
            _ => {}
        }
        let plan = compile(scene, self.config.ip)?;
        let shard = match held {
            Some(held) => held.shard,
            None => {
                let lightest = self.threads.lightest(registry.loads());
                lightest.ok_or(EngineError::NoThread)?
            }
        };
        let is_new = |key: &&StreamKey| held.is_none_or(|held| !held.has(key));
        let keys: Vec<StreamKey> = plan.streams.keys().filter(is_new).cloned().collect();
        let id: SessionId = session.into();
        let opened = self.open(&id, keys, registry.streams())?;
        let ports: Vec<u16> = opened.iter().map(|(_, pair, _)| pair.lease.port).collect();
        registry.refuse_own(&plan, &self.config.own, &ports)?;
        Ok(self.commit(&mut registry, id, shard, order, plan, opened))
    }

    fn open(
        &self,
        session: &SessionId,
        keys: Vec<StreamKey>,
        streams: usize,
    ) -> Result<Vec<(StreamKey, Pair, Arc<Counters>)>, EngineError> {
        let mut opened = Vec::with_capacity(keys.len());
        for key in keys {
            let pair = self.bind(session, streams + opened.len())?;
            opened.push((key, pair, Arc::new(Counters::default())));
        }
        Ok(opened)
    }

    fn commit(
        &self,
        registry: &mut Registry,
        session: SessionId,
        shard: usize,
        order: Order,
        plan: Plan,
        opened: Vec<(StreamKey, Pair, Arc<Counters>)>,
    ) -> Vec<Opened> {
        let told = opened
            .iter()
            .map(|(key, pair, counters)| (key.clone(), pair.lease.port, Arc::clone(counters)));
        let told = told.collect();
        let answer = registry.apply(&session, shard, order, &plan, told, self.now_ns());
        let change = Change {
            session,
            opened,
            plan,
        };
        self.threads.tell(shard, Command::Apply(Box::new(change)));
        answer
    }

    /// Pairs that another program holds are passed over; they rest like closed ones.
    fn bind(&self, session: &SessionId, streams: usize) -> Result<Pair, EngineError> {
        let now = Instant::now();
        if self.descriptors.free(2 * streams) < 2 {
            let error = io::Error::from_raw_os_error(libc::EMFILE);
            return Err(EngineError::OutOfDescriptors(error));
        }
        for _ in 0..self.pool.free(now).min(MOST_TRIED) {
            let Some(lease) = self.pool.take(session, now) else {
                break;
            };
            match Pair::bind(self.config.ip, lease, self.config.dscp) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) if is_exhaustion(&error) => {
                    return Err(EngineError::OutOfDescriptors(error));
                }
                bound => return Ok(bound?),
            }
        }
        Err(EngineError::PortsExhausted {
            first: self.config.first_port,
            last: self.config.last_port,
        })
    }

    /// Ends a session, and tells what its streams have carried. Its ports rest from the next flush on.
    pub fn close(&self, session: &str) -> Result<Vec<StreamReport>, EngineError> {
        let mut registry = self.registry()?;
        let held = registry
            .remove(session)
            .ok_or_else(|| EngineError::UnknownSession(session.to_owned()))?;
        self.threads
            .tell(held.shard, Command::Close(session.into()));
        Ok(held.report(self.now_ns()))
    }

    /// What the streams of a session have carried so far.
    pub fn report(&self, session: &str) -> Result<Vec<StreamReport>, EngineError> {
        let registry = self.registry()?;
        let held = registry.find(session);
        let held = held.ok_or_else(|| EngineError::UnknownSession(session.to_owned()))?;
        Ok(held.report(self.now_ns()))
    }

    /// Wakes the threads that have something to do.
    pub fn flush(&self) {
        self.threads.wake();
    }

    /// Becomes readable when there are events to take.
    pub fn event_fd(&self) -> RawFd {
        self.events.fd()
    }

    /// Takes the events so far.
    pub fn take_events(&self) -> Vec<Event> {
        let mut events = self.events.take();
        for n in 0..events.len() {
            if let Event::ThreadLost(thread) = events[n] {
                self.threads.forget(thread);
                let lost = lock(&self.registry).on_shard(thread);
                events.extend(lost.into_iter().map(Event::Failed));
            }
        }
        events
    }

    /// Gives up threads that stand still, which is told as events, and counts the process's
    /// descriptors; to be called at least twice within [`Config::patience`] (watchdog).
    pub fn check(&self) {
        self.descriptors.recount(2 * self.streams());
        for thread in self.threads.check(Instant::now(), self.config.patience) {
            self.events.push(Event::ThreadLost(thread));
        }
        self.events.notify();
    }

    /// Threads that were not lost.
    pub fn living_threads(&self) -> usize {
        self.threads.living()
    }

    /// Open sessions.
    pub fn sessions(&self) -> usize {
        lock(&self.registry).sessions()
    }

    /// Their streams: each has a port pair.
    pub fn streams(&self) -> usize {
        lock(&self.registry).streams()
    }

    /// Port pairs that could be taken now: as many as ports and descriptors allow.
    pub fn free_pairs(&self) -> usize {
        let free = self.pool.free(Instant::now());
        free.min(self.descriptors.free(2 * self.streams()) / 2)
    }

    /// Closes every session and ends the threads; every later call fails.
    pub fn shut_down(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.threads.stop();
        lock(&self.registry).clear();
    }

    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn registry(&self) -> Result<MutexGuard<'_, Registry>, EngineError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(EngineError::Closed);
        }
        Ok(lock(&self.registry))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
