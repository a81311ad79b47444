//! The engine as its caller sees it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::EngineError;
use crate::mailbox::Mailbox;
use crate::pair::Pair;
use crate::ports::PortPool;
use crate::spec::EndpointSpec;
use crate::stats::EndpointStats;
use crate::table::Out;
use crate::worker::{Command, Event, Inbox, Worker};

/// Names an endpoint for as long as the engine lives; never given twice.
pub type EndpointId = u64;

/// How an engine is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address its ports are on.
    pub ip: IpAddr,
    /// First port of the range.
    pub first_port: u16,
    /// Last port of the range.
    pub last_port: u16,
    /// Threads that forward; an endpoint belongs to one.
    pub threads: usize,
    /// How long a closed port pair is not used again.
    pub quarantine: Duration,
    /// DiffServ code point of what is sent (46 is expedited forwarding), 0 for none.
    pub dscp: u8,
    /// How often silence is looked for: the precision of time-outs.
    pub tick: Duration,
}

impl Config {
    /// The usual settings for a range of ports.
    pub fn new(ip: IpAddr, first_port: u16, last_port: u16) -> Self {
        Self {
            ip,
            first_port,
            last_port,
            threads: 1,
            quarantine: Duration::from_secs(5),
            dscp: 46,
            tick: Duration::from_millis(200),
        }
    }

    fn check(&self) -> Result<(), EngineError> {
        let problem = if self.ip.is_unspecified() || self.ip.is_multicast() {
            "the media address must be one of this machine's own"
        } else if self.first_port == 0 || self.first_port > self.last_port {
            "the RTP port range must be FIRST-LAST with FIRST above 0 and not above LAST"
        } else if !(1..=64).contains(&self.threads) {
            "the media engine takes 1 to 64 threads"
        } else if self.dscp > 63 {
            "a DiffServ code point is 0 to 63"
        } else if self.tick.is_zero() {
            "the tick must not be zero"
        } else {
            return Ok(());
        };
        Err(EngineError::Invalid(problem.to_owned()))
    }
}

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
    events: Arc<Mailbox<Event>>,
    inboxes: Vec<Arc<Inbox>>,
    registry: Mutex<Registry>,
    threads: Mutex<Vec<JoinHandle<()>>>,
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
        let pool = PortPool::new(config.first_port, config.last_port, config.quarantine);
        let mut engine = Self {
            start: Instant::now(),
            pool: Arc::new(pool),
            events: Arc::new(Mailbox::new()?),
            inboxes: Vec::new(),
            registry: Mutex::new(Registry {
                per_thread: vec![0; config.threads],
                ..Registry::default()
            }),
            threads: Mutex::new(Vec::new()),
            is_closed: AtomicBool::new(false),
            config,
        };
        for n in 0..engine.config.threads {
            engine.start_thread(n)?;
        }
        Ok(engine)
    }

    fn start_thread(&mut self, n: usize) -> Result<(), EngineError> {
        let inbox = Arc::new(Inbox {
            commands: Mailbox::new()?,
            stop: AtomicBool::new(false),
        });
        let mut worker = Worker::new(
            Arc::clone(&inbox),
            Arc::clone(&self.events),
            self.start,
            self.config.tick,
        )?;
        self.inboxes.push(inbox);
        let thread = thread::Builder::new()
            .name(format!("media-{n}"))
            .spawn(move || worker.run())?;
        lock(&self.threads).push(thread);
        Ok(())
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
        let mut registry = self.registry()?;
        let thread = match near {
            Some(id) => registry.get(id)?.thread,
            None => least(&registry.per_thread),
        };
        let pair = Arc::new(self.bind()?);
        let port = pair.lease.port;
        // Its own thread does so too, but the peer's may have something to send before.
        pair.rtp.set_target(spec.remote);
        pair.rtcp.set_target(spec.remote_rtcp);
        registry.last_id += 1;
        registry.per_thread[thread] += 1;
        let id = registry.last_id;
        let handle = Handle {
            pair: Arc::clone(&pair),
            thread,
            peer: None,
        };
        registry.handles.insert(id, handle);
        self.tell(thread, Command::Add(id, pair, spec));
        Ok((id, port))
    }

    /// Pairs that another program holds are passed over; they rest like closed ones.
    fn bind(&self) -> Result<Pair, EngineError> {
        let now = Instant::now();
        for _ in 0..self.pool.free(now) {
            let Some(lease) = self.pool.take(now) else {
                break;
            };
            match Pair::bind(self.config.ip, lease, self.config.dscp) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
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
        self.tell(thread, Command::Update(id, spec));
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
            self.tell(handle.thread, Command::Route(from, Out::Peer(pair)));
        }
    }

    /// Sends an endpoint's RTP back to it; it leaves the peer it had.
    pub fn echo(&self, id: EndpointId) -> Result<(), EngineError> {
        let mut registry = self.registry()?;
        let thread = registry.get(id)?.thread;
        self.part(&mut registry, id);
        self.tell(thread, Command::Route(id, Out::Echo));
        Ok(())
    }

    /// Lets an endpoint's media go nowhere; it leaves the peer it had.
    pub fn isolate(&self, id: EndpointId) -> Result<(), EngineError> {
        let mut registry = self.registry()?;
        let thread = registry.get(id)?.thread;
        self.part(&mut registry, id);
        self.tell(thread, Command::Route(id, Out::Nowhere));
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
                self.tell(handle.thread, Command::Route(end, Out::Nowhere));
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
        self.tell(handle.thread, Command::Remove(id));
        Ok(handle.pair.counters.read(self.now_ns()))
    }

    /// The statistics of an endpoint so far.
    pub fn stats(&self, id: EndpointId) -> Result<EndpointStats, EngineError> {
        let mut registry = self.registry()?;
        Ok(registry.get(id)?.pair.counters.read(self.now_ns()))
    }

    /// Wakes the threads that have something to do.
    pub fn flush(&self) {
        self.inboxes
            .iter()
            .for_each(|inbox| inbox.commands.notify());
    }

    /// Becomes readable when there are events to take.
    pub fn event_fd(&self) -> RawFd {
        self.events.fd()
    }

    /// Takes the events so far.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take()
    }

    /// Open endpoints.
    pub fn endpoints(&self) -> usize {
        lock(&self.registry).handles.len()
    }

    /// Port pairs that could be taken now.
    pub fn free_pairs(&self) -> usize {
        self.pool.free(Instant::now())
    }

    /// Closes every endpoint and ends the threads; every later call fails.
    pub fn shut_down(&self) {
        self.is_closed.store(true, Ordering::Release);
        for inbox in &self.inboxes {
            inbox.stop.store(true, Ordering::Release);
            // Something to read, whatever it is, ends the wait.
            inbox.commands.push(Command::Remove(0));
            inbox.commands.notify();
        }
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
        self.inboxes
            .iter()
            .for_each(|inbox| drop(inbox.commands.take()));
        lock(&self.registry).handles.clear();
    }

    fn tell(&self, thread: usize, command: Command) {
        self.inboxes[thread].commands.push(command);
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

fn least(loads: &[usize]) -> usize {
    let lightest = loads.iter().enumerate().min_by_key(|&(_, load)| load);
    lightest.map_or(0, |(n, _)| n)
}
