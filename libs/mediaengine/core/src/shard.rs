//! A thread of the engine: one epoll set, one queue of commands, and sessions that are its alone.
//!
//! A packet is handled between two system calls, without a lock, and never touches Python. Commands
//! go before packets, so that a packet sent after a flush finds what it asked for; a readiness that
//! this makes stale finds another stream's own socket, or none, and nothing to read. A panic ends
//! the session it happened in, and nothing else, be it over a packet, a command or a time-out. One that
//! belongs to no session ends the thread (`threads.rs`).

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wire::srtp::LONGEST_TRAILER;

use crate::mailbox::Mailbox;
use crate::session::plan::{Plan, StreamKey};
use crate::session::{Session, SessionId, Silence};
use crate::slots::Slots;
use crate::stats::Counters;
use crate::stream::Stream;
use crate::sys::{Epoll, Ready, ready_list};
use crate::transport::pair::{Pair, Port};

/// Something that happened to a session by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A leg has been silent for as long as its session's time-out says; told again as it lasts.
    TimedOut(SessionId, Silence),
    /// It forwards nothing any more, because of a bug or for want of memory. Close it.
    Failed(SessionId),
    /// A thread died or stands still; `Failed` follows for each of its sessions.
    ThreadLost(usize),
}

/// Streams that are new, and the state that a session is to have.
pub struct Change {
    pub session: SessionId,
    pub opened: Vec<(StreamKey, Pair, Arc<Counters>)>,
    pub plan: Plan,
}

/// What a thread is asked to do.
pub enum Command {
    Apply(Box<Change>),
    Close(SessionId),
    /// Ends a wait.
    Wake,
    #[cfg(test)]
    Run(Box<dyn FnOnce(&mut Shard) + Send>),
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
pub struct Shard {
    epoll: Epoll,
    inbox: Arc<Inbox>,
    events: Arc<Mailbox<Event>>,
    /// Zero of the clock.
    start: Instant,
    /// How often silence is looked for.
    tick: Duration,
    next_check: Instant,
    sessions: HashMap<SessionId, Session>,
    streams: Slots<Stream>,
    last_serial: u64,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

impl Shard {
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
            sessions: HashMap::new(),
            streams: Slots::default(),
            last_serial: 0,
            buffer: vec![0; LARGEST_DATAGRAM],
            scratch: vec![0; LARGEST_DATAGRAM + LONGEST_TRAILER],
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
        if self.sessions.is_empty() {
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
            self.check_silence(now_ns);
        }
    }

    fn receive(&mut self, token: u64, now_ns: u64) {
        let port = if token & 1 == 0 {
            Port::Rtp
        } else {
            Port::Rtcp
        };
        let place = (token >> 1) as usize;
        if catch_unwind(AssertUnwindSafe(|| self.forward(place, port, now_ns))).is_err() {
            self.fail_at(place);
        }
    }

    fn forward(&mut self, place: usize, port: Port, now_ns: u64) {
        let Some(from) = self.streams.get_mut(place) else {
            return;
        };
        let Some((passing, length)) = from.receive(port, &mut self.buffer, now_ns) else {
            return;
        };
        let packet = &mut self.buffer[..length];
        let mut n = 0;
        while let Some(hop) = self.streams.get(place).and_then(|from| from.hop(n)) {
            if let Some(to) = self.streams.get_mut(hop.to) {
                to.send(passing, hop.carry, packet, &mut self.scratch, now_ns);
            }
            n += 1;
        }
    }

    fn carry_out(&mut self, command: Command, now_ns: u64) {
        match command {
            Command::Apply(change) => {
                let id = Arc::clone(&change.session);
                if catch_unwind(AssertUnwindSafe(|| self.apply(*change, now_ns))).is_err() {
                    self.fail(&id);
                }
            }
            Command::Close(id) => self.remove(&id),
            Command::Wake => {}
            #[cfg(test)]
            Command::Run(act) => act(self),
        }
    }

    fn apply(&mut self, change: Change, now_ns: u64) {
        let session = self.sessions.entry(change.session.clone()).or_default();
        for place in session.release(&change.plan) {
            drop(self.streams.remove(place));
        }
        let mut is_watched = true;
        for (key, pair, counters) in change.opened {
            self.last_serial += 1;
            let stream = Stream::new(self.last_serial, pair, counters);
            let (rtp, rtcp) = (stream.pair().rtp.fd(), stream.pair().rtcp.fd());
            let place = self.streams.insert(stream);
            session.add(key, place);
            let token = (place as u64) << 1;
            let added = self.epoll.add(rtp, token);
            is_watched &= added.and_then(|()| self.epoll.add(rtcp, token | 1)).is_ok();
        }
        session.apply(change.plan, &mut self.streams, now_ns);
        if !is_watched {
            self.fail(&change.session);
        }
    }

    /// The drop of a stream closes its sockets, which ends their readiness.
    fn remove(&mut self, id: &SessionId) {
        if let Some(session) = self.sessions.remove(id) {
            session
                .places()
                .for_each(|place| drop(self.streams.remove(place)));
        }
    }

    fn fail(&mut self, id: &SessionId) {
        self.remove(id);
        self.events.push(Event::Failed(Arc::clone(id)));
        self.events.notify();
    }

    fn fail_at(&mut self, place: usize) {
        let mut sessions = self.sessions.iter();
        let found = sessions.find(|(_, session)| session.places().any(|each| each == place));
        if let Some(id) = found.map(|(id, _)| Arc::clone(id)) {
            self.fail(&id);
        }
    }

    fn check_silence(&mut self, now_ns: u64) {
        let mut failed = Vec::new();
        for (id, session) in &mut self.sessions {
            let look = || session.silences(&mut self.streams, now_ns);
            match catch_unwind(AssertUnwindSafe(look)) {
                Ok(silences) => silences
                    .into_iter()
                    .for_each(|it| self.events.push(Event::TimedOut(Arc::clone(id), it))),
                Err(_) => failed.push(Arc::clone(id)),
            }
        }
        failed.iter().for_each(|id| self.fail(id));
        self.events.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::PortPool;
    use crate::session::plan::compile;
    use crate::session::scene::{Endpoint, Scene, StreamSpec, TransportSpec};
    use std::net::UdpSocket;

    const PACKET: [u8; 12] = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];

    fn shard() -> Shard {
        let inbox = Arc::new(Inbox::new().unwrap());
        let events = Arc::new(Mailbox::new().unwrap());
        Shard::new(inbox, events, Instant::now(), Duration::from_secs(1)).unwrap()
    }

    fn change(session: &str, opened: Vec<Pair>, phone: &UdpSocket) -> Command {
        let remote = Some(phone.local_addr().unwrap().into());
        let transport = TransportSpec {
            remote,
            ..TransportSpec::default()
        };
        let streams = vec![StreamSpec {
            transport,
            ..StreamSpec::default()
        }];
        let scene = Scene {
            endpoints: [("a".to_owned(), Endpoint { streams })].into(),
            media_timeout_s: 1.0,
            ..Scene::default()
        };
        let counted = |pair| (("a".into(), 0), pair, Arc::default());
        Command::Apply(Box::new(Change {
            session: session.into(),
            opened: opened.into_iter().map(counted).collect(),
            plan: compile(&scene, "127.0.0.1".parse().unwrap()).unwrap(),
        }))
    }

    /// A shard with three sessions, "0" to "2", the ports they have, and their one phone.
    fn with_sessions(first_port: u16) -> (Shard, Vec<u16>, UdpSocket) {
        let last_port = first_port + 99;
        let pool = Arc::new(PortPool::new(first_port, last_port, Duration::ZERO));
        let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut shard = shard();
        let ports = (0..3).map(|n| {
            let lease = pool.take(&"s".into(), Instant::now()).unwrap();
            let pair = Pair::bind("127.0.0.1".parse().unwrap(), lease, 0).unwrap();
            let port = pair.lease.port;
            shard.carry_out(change(&n.to_string(), vec![pair], &phone), 0);
            port
        });
        let ports = ports.collect();
        (shard, ports, phone)
    }

    fn plant_a_bug(shard: &mut Shard, session: &str) {
        let place = shard.sessions[session].places().next().unwrap();
        shard.streams.get_mut(place).unwrap().panics = true;
    }

    fn one_round(shard: &mut Shard) {
        let mut ready = ready_list(ROUND);
        let found = shard.epoll.wait(&mut ready, 2000).unwrap();
        shard.round(&ready[..found], Instant::now());
    }

    fn quietly(act: impl FnOnce()) {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        act();
        std::panic::set_hook(hook);
    }

    fn failed(session: &str) -> Event {
        Event::Failed(session.into())
    }

    #[test]
    fn a_panic_over_a_packet_ends_its_own_session_only() {
        let (mut shard, ports, phone) = with_sessions(32200);
        plant_a_bug(&mut shard, "0");
        for port in &ports[..2] {
            phone.send_to(&PACKET, ("127.0.0.1", *port)).unwrap();
        }
        quietly(|| one_round(&mut shard));
        assert_eq!(shard.events.take(), [failed("0")]);
        assert_eq!(shard.sessions.len(), 2);
        let place = shard.sessions["1"].places().next().unwrap();
        assert!(shard.streams.get(place).is_some());
        UdpSocket::bind(("127.0.0.1", ports[0])).expect("its sockets are closed");
    }

    #[test]
    fn a_panic_over_a_command_or_a_time_out_ends_its_own_session_only() {
        let (mut shard, _, phone) = with_sessions(32300);
        quietly(|| {
            plant_a_bug(&mut shard, "0");
            let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
            shard.carry_out(change("0", vec![], &elsewhere), 0);
            plant_a_bug(&mut shard, "1");
            shard.check_silence(0);
        });
        assert_eq!(shard.events.take(), [failed("0"), failed("1")]);
        shard.carry_out(change("2", vec![], &phone), 0);
        assert_eq!(shard.sessions.len(), 1);
        assert!(shard.events.take().is_empty());
    }

    #[test]
    fn a_session_that_ends_leaves_nothing_behind() {
        let (mut shard, ports, _) = with_sessions(32220);
        for n in 0..3 {
            shard.carry_out(Command::Close(n.to_string().into()), 0);
        }
        assert!(shard.sessions.is_empty());
        assert!((0..3).all(|place| shard.streams.get(place).is_none()));
        for port in ports {
            UdpSocket::bind(("127.0.0.1", port)).unwrap();
        }
    }
}
