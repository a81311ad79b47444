//! The engine as its caller sees it.

use std::collections::HashMap;
use std::io;
use std::net::UdpSocket;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config::Config;
use crate::descriptors::{Descriptors, is_exhaustion};
use crate::error::EngineError;
use crate::mailbox::Mailbox;
use crate::pair::Pair;
use crate::ports::PortPool;
use crate::spec::EndpointSpec;
use crate::stats::EndpointStats;
use crate::table::Out;
use crate::threads::Threads;
use crate::worker::{Command, Event, Inbox, Worker};

/// Most port pairs that one [`Engine::open`] tries: its caller waits meanwhile.
const MOST_TRIED: usize = 100;

/// Names an endpoint for as long as the engine lives; never given twice.
pub type EndpointId = u64;

struct Handle {
    pair: Arc<Pair>,
    thread: usize,
    peer: Option<EndpointId>,
}

#[derive(Default)]
struct Registry {
    handles: HashMap<EndpointId, Handle>,
    last_id: EndpointId,
    per_thread: Vec<usize>,
}

impl Registry {
    fn get(&mut self, id: EndpointId) -> Result<&mut Handle, EngineError> {
        self.handles
            .get_mut(&id)
            .ok_or(EngineError::UnknownEndpoint(id))
    }
}

/// Endpoints on threads of their own.
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
        let mut workers = Vec::new();
        for _ in 0..config.threads {
            let inbox = Arc::new(Inbox::new()?);
            let worker = Worker::new(Arc::clone(&inbox), Arc::clone(&events), start, config.tick)?;
            workers.push((inbox, worker));
        }
        let pool = PortPool::new(config.first_port, config.last_port, config.quarantine);
        Ok(Self {
            start,
            pool: Arc::new(pool),
            descriptors: Descriptors::new(),
            threads: Threads::start(workers, &events)?,
            events,
            registry: Mutex::new(Registry {
                per_thread: vec![0; config.threads],
                ..Registry::default()
            }),
            is_closed: AtomicBool::new(false),
            config,
        })
    }

    /// Opens an endpoint on a port pair of its own and returns its id and RTP port.
    ///
    /// `near` names an endpoint whose thread it shall share, as bridged ones should.
    pub fn open(
        &self,
        spec: EndpointSpec,
        near: Option<EndpointId>,
    ) -> Result<(EndpointId, u16), EngineError> {
        let spec = spec.resolved(self.config.ip)?;
        let wanted = match near {
            Some(id) => Some(self.registry()?.get(id)?.thread),
            None => None,
        };
        let pair = Arc::new(self.bind()?);
        let port = pair.lease.port;
        // Its own thread does so too, but the peer's may have something to send before.
        pair.rtp.set_target(spec.remote);
        pair.rtcp.set_target(spec.remote_rtcp);
        let mut registry = self.registry()?;
        let thread = wanted
            .filter(|&n| self.threads.lives(n))
            .or_else(|| self.threads.lightest(&registry.per_thread))
            .ok_or(EngineError::NoThread)?;
        registry.last_id += 1;
        registry.per_thread[thread] += 1;
        let id = registry.last_id;
        let handle = Handle {
            pair: Arc::clone(&pair),
            thread,
            peer: None,
        };
        registry.handles.insert(id, handle);
        self.threads.tell(thread, Command::Add(id, pair, spec));
        Ok((id, port))
    }

    /// Pairs that another program holds are passed over; they rest like closed ones.
    fn bind(&self) -> Result<Pair, EngineError> {
        let now = Instant::now();
        if self.free_descriptors() < 2 {
            let error = io::Error::from_raw_os_error(libc::EMFILE);
            return Err(EngineError::OutOfDescriptors(error));
        }
        for _ in 0..self.pool.free(now).min(MOST_TRIED) {
            let Some(lease) = self.pool.take(now) else {
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

    /// Changes what is known of an endpoint's phone.
    pub fn update(&self, id: EndpointId, spec: EndpointSpec) -> Result<(), EngineError> {
        let spec = spec.resolved(self.config.ip)?;
        let thread = self.registry()?.get(id)?.thread;
        self.threads.tell(thread, Command::Update(id, spec));
        Ok(())
    }

    /// Joins two endpoints; each leaves the peer it had.
    pub fn bridge(&self, a: EndpointId, b: EndpointId) -> Result<(), EngineError> {
        if a == b {
            return Err(EngineError::Invalid(
                "an endpoint cannot be its own peer".to_owned(),
            ));
        }
        let mut registry = self.registry()?;
        registry.get(a)?;
        registry.get(b)?;
        self.part(&mut registry, a);
        self.part(&mut registry, b);
        self.join(&mut registry, a, b);
        self.join(&mut registry, b, a);
        Ok(())
    }

    fn join(&self, registry: &mut Registry, from: EndpointId, to: EndpointId) {
        let Some(pair) = registry
            .handles
            .get(&to)
            .map(|handle| Arc::clone(&handle.pair))
        else {
            return;
        };
        if let Some(handle) = registry.handles.get_mut(&from) {
            handle.peer = Some(to);
            self.threads
                .tell(handle.thread, Command::Route(from, Out::Peer(pair)));
        }
    }

    /// Sends an endpoint's RTP back to it; it leaves the peer it had.
    pub fn echo(&self, id: EndpointId) -> Result<(), EngineError> {
        let mut registry = self.registry()?;
        let thread = registry.get(id)?.thread;
        self.part(&mut registry, id);
        self.threads.tell(thread, Command::Route(id, Out::Echo));
        Ok(())
    }

    /// Lets an endpoint's media go nowhere; it leaves the peer it had.
    pub fn isolate(&self, id: EndpointId) -> Result<(), EngineError> {
        let mut registry = self.registry()?;
        let thread = registry.get(id)?.thread;
        self.part(&mut registry, id);
        self.threads.tell(thread, Command::Route(id, Out::Nowhere));
        Ok(())
    }

    /// Neither side of a bridge may go on holding the other's sockets.
    fn part(&self, registry: &mut Registry, id: EndpointId) {
        let Some(peer) = registry
            .handles
            .get_mut(&id)
            .and_then(|handle| handle.peer.take())
        else {
            return;
        };
        for end in [id, peer] {
            if let Some(handle) = registry.handles.get_mut(&end) {
                handle.peer = None;
                self.threads
                    .tell(handle.thread, Command::Route(end, Out::Nowhere));
            }
        }
    }

    /// Closes an endpoint and returns its last statistics. Its ports rest from the next flush on.
    pub fn close(&self, id: EndpointId) -> Result<EndpointStats, EngineError> {
        let mut registry = self.registry()?;
        registry.get(id)?;
        self.part(&mut registry, id);
        let handle = registry
            .handles
            .remove(&id)
            .ok_or(EngineError::UnknownEndpoint(id))?;
        registry.per_thread[handle.thread] -= 1;
        self.threads.tell(handle.thread, Command::Remove(id));
        Ok(handle.pair.counters.read(self.now_ns()))
    }

    /// The statistics of an endpoint so far.
    pub fn stats(&self, id: EndpointId) -> Result<EndpointStats, EngineError> {
        let mut registry = self.registry()?;
        Ok(registry.get(id)?.pair.counters.read(self.now_ns()))
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
                events.extend(self.lost_with(thread).into_iter().map(Event::Failed));
            }
        }
        events
    }

    /// The endpoints of a lost thread.
    fn lost_with(&self, thread: usize) -> Vec<EndpointId> {
        self.threads.forget(thread);
        let registry = lock(&self.registry);
        let handles = registry.handles.iter();
        handles
            .filter(|(_, handle)| handle.thread == thread)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Gives up threads that stand still, which is told as events, and counts the process's
    /// descriptors; to be called at least twice within [`Config::patience`] (watchdog).
    pub fn check(&self) {
        self.descriptors.recount(2 * self.endpoints());
        for thread in self.threads.check(Instant::now(), self.config.patience) {
            self.events.push(Event::ThreadLost(thread));
        }
        self.events.notify();
    }

    /// Threads that were not lost.
    pub fn living_threads(&self) -> usize {
        self.threads.living()
    }

    /// Open endpoints.
    pub fn endpoints(&self) -> usize {
        lock(&self.registry).handles.len()
    }

    /// Port pairs that could be taken now: as many as ports and descriptors allow.
    pub fn free_pairs(&self) -> usize {
        let free = self.pool.free(Instant::now());
        free.min(self.free_descriptors() / 2)
    }

    fn free_descriptors(&self) -> usize {
        self.descriptors.free(2 * self.endpoints())
    }

    /// Closes every endpoint and ends the threads; every later call fails.
    pub fn shut_down(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.threads.stop();
        lock(&self.registry).handles.clear();
    }

    #[cfg(test)]
    pub(crate) fn pair(&self, id: EndpointId) -> Arc<Pair> {
        Arc::clone(&lock(&self.registry).handles[&id].pair)
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
