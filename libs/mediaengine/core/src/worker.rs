//! A thread of the engine: one epoll set, one forwarding table, one queue of commands.
//!
//! A packet is handled between two system calls, without locks that others hold, and never touches
//! Python. Commands go before packets, so that a packet sent after a flush finds what it asked for; a
//! readiness that this makes stale finds another endpoint's own socket, or none, and nothing to read.
//! A panic ends the endpoint it happened in, and nothing else, be it over a packet, a command or a
//! time-out. One that belongs to no endpoint ends the thread (`threads.rs`).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::mailbox::Mailbox;
use crate::pair::Pair;
use crate::spec::EndpointSpec;
use crate::sys::{Epoll, Ready, ready_list};
use crate::table::{Entry, Out, Port, Table};

/// Something that happened to an endpoint by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing has come for as long as its time-out says.
    TimedOut(u64),
    /// It forwards nothing any more, because of a bug or for want of memory. Close it.
    Failed(u64),
    /// A thread died or stands still; `Failed` follows for each of its endpoints.
    ThreadLost(usize),
}

/// What a thread is asked to do.
pub enum Command {
    Add(u64, Arc<Pair>, EndpointSpec),
    Update(u64, EndpointSpec),
    Route(u64, Out),
    Remove(u64),
    #[cfg(test)]
    Die,
}

impl Command {
    fn endpoint(&self) -> u64 {
        match self {
            Self::Add(id, ..) | Self::Update(id, _) | Self::Route(id, _) | Self::Remove(id) => *id,
            #[cfg(test)]
            Self::Die => panic!("a bug outside of any endpoint"),
        }
    }
}

/// How the engine reaches one of its threads.
pub struct Inbox {
    pub commands: Mailbox<Command>,
    /// Set by the engine: the thread is to end.
    pub stop: AtomicBool,
    /// Set by whoever finds out that the thread does its work no more.
    pub is_lost: AtomicBool,
    /// Rounds begun and ended: odd while the thread is in one.
    pub rounds: AtomicU64,
}

impl Inbox {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            commands: Mailbox::new()?,
            stop: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
        })
    }

    fn is_wanted(&self) -> bool {
        !self.stop.load(Ordering::Acquire) && !self.is_lost.load(Ordering::Acquire)
    }
}

const WAKE: u64 = u64::MAX;
/// Small enough that one reading of the clock serves a round (jitter is counted with it).
const ROUND: usize = 64;
const LARGEST_DATAGRAM: usize = 65536;

/// The state of one thread.
pub struct Worker {
    epoll: Epoll,
    inbox: Arc<Inbox>,
    events: Arc<Mailbox<Event>>,
    /// Zero of the clock.
    start: Instant,
    /// How often silence is looked for.
    tick: Duration,
    next_check: Instant,
    table: Table,
    buffer: Vec<u8>,
}

impl Worker {
    pub fn new(
        inbox: Arc<Inbox>,
        events: Arc<Mailbox<Event>>,
        start: Instant,
        tick: Duration,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(inbox.commands.fd(), WAKE)?;
        Ok(Self {
            epoll,
            inbox,
            events,
            start,
            tick,
            next_check: start + tick,
            table: Table::default(),
            buffer: vec![0; LARGEST_DATAGRAM],
        })
    }

    /// Works until told to stop, or until the epoll set breaks.
    pub fn run(&mut self) {
        let mut ready = ready_list(ROUND);
        let mut now = Instant::now();
        while self.inbox.is_wanted() {
            let Ok(found) = self.epoll.wait(&mut ready, self.timeout_ms(now)) else {
                return;
            };
            now = Instant::now();
            self.inbox.rounds.fetch_add(1, Ordering::AcqRel);
            self.round(&ready[..found], now);
            self.inbox.rounds.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn timeout_ms(&self, now: Instant) -> i32 {
        if self.table.is_empty() {
            return -1;
        }
        let left = self.next_check.saturating_duration_since(now);
        i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX)
    }

    fn round(&mut self, ready: &[Ready], now: Instant) {
        let now_ns = (now - self.start).as_nanos() as u64;
        let is_woken = ready.iter().any(|event| { event.u64 } == WAKE);
        if is_woken || self.inbox.commands.is_raised() {
            for command in self.inbox.commands.take() {
                self.carry_out(command, now_ns);
            }
        }
        for token in ready.iter().map(|event| event.u64) {
            if token != WAKE {
                self.receive(token, now_ns);
            }
        }
        if now >= self.next_check {
            self.next_check = now + self.tick;
            self.check_timeouts(now_ns);
        }
    }

    fn receive(&mut self, token: u64, now_ns: u64) {
        let port = if token & 1 == 0 {
            Port::Rtp
        } else {
            Port::Rtcp
        };
        let Some(entry) = self.table.at((token >> 1) as usize) else {
            return;
        };
        let id = entry.id;
        let buffer = &mut self.buffer;
        if catch_unwind(AssertUnwindSafe(|| entry.receive(port, buffer, now_ns))).is_err() {
            self.fail(id);
        }
    }

    fn carry_out(&mut self, command: Command, now_ns: u64) {
        let id = command.endpoint();
        if catch_unwind(AssertUnwindSafe(|| self.execute(command, now_ns))).is_err() {
            self.fail(id);
        }
    }

    fn execute(&mut self, command: Command, now_ns: u64) {
        match command {
            Command::Add(id, pair, spec) => self.add(Entry::new(id, pair, spec, now_ns)),
            Command::Update(id, spec) => {
                if let Some(entry) = self.table.get(id) {
                    entry.update(spec, now_ns);
                }
            }
            Command::Route(id, out) => self.table.route(id, out),
            Command::Remove(id) => self.remove(id),
            #[cfg(test)]
            Command::Die => {}
        }
    }

    fn add(&mut self, entry: Entry) {
        let (id, pair) = (entry.id, Arc::clone(&entry.pair));
        let token = (self.table.insert(entry) as u64) << 1;
        let added = self.epoll.add(pair.rtp.fd(), token);
        if added
            .and_then(|()| self.epoll.add(pair.rtcp.fd(), token | 1))
            .is_err()
        {
            self.fail(id);
        }
    }

    /// Others may still hold the sockets for a moment, so closing alone would not end the readiness.
    fn remove(&mut self, id: u64) {
        if let Some(entry) = self.table.remove(id) {
            self.epoll.delete(entry.pair.rtp.fd());
            self.epoll.delete(entry.pair.rtcp.fd());
        }
    }

    fn fail(&mut self, id: u64) {
        self.remove(id);
        self.events.push(Event::Failed(id));
        self.events.notify();
    }

    fn check_timeouts(&mut self, now_ns: u64) {
        let mut failed = Vec::new();
        for entry in self.table.entries() {
            match catch_unwind(AssertUnwindSafe(|| entry.check_timeout(now_ns))) {
                Ok(true) => self.events.push(Event::TimedOut(entry.id)),
                Ok(false) => {}
                Err(_) => failed.push(entry.id),
            }
        }
        failed.into_iter().for_each(|id| self.fail(id));
        self.events.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::PortPool;
    use std::net::UdpSocket;

    const PACKET: [u8; 12] = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];

    fn worker() -> Worker {
        let inbox = Arc::new(Inbox::new().unwrap());
        let events = Arc::new(Mailbox::new().unwrap());
        Worker::new(inbox, events, Instant::now(), Duration::from_secs(1)).unwrap()
    }

    fn pair(pool: &Arc<PortPool>) -> Arc<Pair> {
        let lease = pool.take(Instant::now()).unwrap();
        Arc::new(Pair::bind("127.0.0.1".parse().unwrap(), lease, 0).unwrap())
    }

    fn one_round(worker: &mut Worker) {
        let mut ready = ready_list(ROUND);
        let found = worker.epoll.wait(&mut ready, 2000).unwrap();
        worker.round(&ready[..found], Instant::now());
    }

    fn quietly(act: impl FnOnce()) {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        act();
        std::panic::set_hook(hook);
    }

    #[test]
    fn a_panic_ends_its_own_endpoint_only() {
        let pool = Arc::new(PortPool::new(32200, 32299, Duration::ZERO));
        let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let spec = EndpointSpec {
            remote: Some(phone.local_addr().unwrap()),
            ..EndpointSpec::default()
        };
        let mut worker = worker();
        let pairs = [pair(&pool), pair(&pool)];
        for (id, pair) in pairs.iter().enumerate() {
            worker.carry_out(Command::Add(id as u64, Arc::clone(pair), spec.clone()), 0);
        }
        worker.table.get(0).unwrap().panics = true;
        phone
            .send_to(&PACKET, ("127.0.0.1", pairs[0].lease.port))
            .unwrap();
        quietly(|| one_round(&mut worker));
        phone
            .send_to(&PACKET, ("127.0.0.1", pairs[1].lease.port))
            .unwrap();
        one_round(&mut worker);
        assert_eq!(worker.events.take(), [Event::Failed(0)]);
        assert_eq!(pairs[0].counters.packets_received.get(), 0);
        assert_eq!(pairs[1].counters.packets_received.get(), 1);
    }

    #[test]
    fn a_panic_over_a_command_or_a_time_out_ends_its_own_endpoint_only() {
        let pool = Arc::new(PortPool::new(32300, 32399, Duration::ZERO));
        let mut worker = worker();
        for id in 0..3 {
            let pair = pair(&pool);
            worker.carry_out(Command::Add(id, pair, EndpointSpec::default()), 0);
        }
        quietly(|| {
            worker.table.get(0).unwrap().panics = true;
            worker.carry_out(Command::Update(0, EndpointSpec::default()), 0);
            worker.table.get(1).unwrap().panics = true;
            worker.check_timeouts(0);
        });
        assert_eq!(
            worker.events.take(),
            [Event::Failed(0), Event::Failed(1)],
            "and not the third"
        );
        assert!(worker.table.get(2).is_some());
    }
}
