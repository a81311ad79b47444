//! A thread of the engine: one epoll set, one forwarding table, one queue of commands.
//!
//! A packet is handled between two system calls, without locks that others hold, and never touches
//! Python. Commands go before packets, so that a packet sent after a flush finds what it asked for; a
//! readiness that this makes stale finds another endpoint's own socket, or none, and nothing to read.
//! A panic ends the endpoint it happened in, and nothing else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
}

/// What a thread is asked to do.
pub enum Command {
    Add(u64, Arc<Pair>, EndpointSpec),
    Update(u64, EndpointSpec),
    Route(u64, Out),
    Remove(u64),
}

/// How the engine reaches one of its threads.
pub struct Inbox {
    pub commands: Mailbox<Command>,
    pub stop: AtomicBool,
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

    /// Works until told to stop.
    pub fn run(&mut self) {
        let mut ready = ready_list(ROUND);
        let mut now = Instant::now();
        while !self.inbox.stop.load(Ordering::Acquire) {
            // Only a broken epoll set fails here; the endpoints then hear of it.
            let Ok(found) = self.epoll.wait(&mut ready, self.timeout_ms(now)) else {
                return self.fail_all();
            };
            now = Instant::now();
            self.round(&ready[..found], now);
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
        match command {
            Command::Add(id, pair, spec) => self.add(Entry::new(id, pair, spec, now_ns)),
            Command::Update(id, spec) => {
                if let Some(entry) = self.table.get(id) {
                    entry.update(spec, now_ns);
                }
            }
            Command::Route(id, out) => self.table.route(id, out),
            Command::Remove(id) => self.remove(id),
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

    fn fail_all(&mut self) {
        let ids: Vec<u64> = self.table.entries().map(|entry| entry.id).collect();
        ids.into_iter().for_each(|id| self.fail(id));
    }

    fn check_timeouts(&mut self, now_ns: u64) {
        for entry in self.table.entries() {
            if entry.check_timeout(now_ns) {
                self.events.push(Event::TimedOut(entry.id));
            }
        }
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
        let inbox = Arc::new(Inbox {
            commands: Mailbox::new().unwrap(),
            stop: AtomicBool::new(false),
        });
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
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        phone
            .send_to(&PACKET, ("127.0.0.1", pairs[0].lease.port))
            .unwrap();
        one_round(&mut worker);
        std::panic::set_hook(hook);
        phone
            .send_to(&PACKET, ("127.0.0.1", pairs[1].lease.port))
            .unwrap();
        one_round(&mut worker);
        assert_eq!(worker.events.take(), [Event::Failed(0)]);
        assert_eq!(pairs[0].counters.packets_received.get(), 0);
        assert_eq!(pairs[1].counters.packets_received.get(), 1);
    }

    #[test]
    fn a_broken_epoll_set_is_told_for_every_endpoint() {
        let pool = Arc::new(PortPool::new(32300, 32399, Duration::ZERO));
        let mut worker = worker();
        worker.carry_out(Command::Add(5, pair(&pool), EndpointSpec::default()), 0);
        worker.fail_all();
        assert_eq!(worker.events.take(), [Event::Failed(5)]);
        assert!(worker.table.is_empty());
    }
}
