//! The engine's threads: which of them live, and how each is reached.
//!
//! A thread ends by itself only through a bug, or a broken epoll set, and then says so. One that
//! stands still is found by the watchdog, [`Threads::check`]. Either is lost for good: nothing new
//! goes there, nothing is queued for it, and its sessions are told to have failed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::mailbox::Mailbox;
use crate::shard::{Command, Event, Inbox, Shard};

/// How long the end of the engine waits for threads that are not known to stand still.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

struct Thread {
    inbox: Arc<Inbox>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

/// What the watchdog saw last.
struct Watch {
    checked_at: Instant,
    /// By thread: its rounds so far, and since when they have been that many.
    seen: Vec<(u64, Instant)>,
}

/// All threads of an engine.
pub struct Threads {
    threads: Vec<Thread>,
    watch: Mutex<Watch>,
}

impl Threads {
    /// Starts one thread for each shard.
    pub fn start(
        shards: Vec<(Arc<Inbox>, Shard)>,
        events: &Arc<Mailbox<Event>>,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let mut threads = Self {
            threads: Vec::new(),
            watch: Mutex::new(Watch {
                checked_at: now,
                seen: vec![(0, now); shards.len()],
            }),
        };
        for (n, (inbox, shard)) in shards.into_iter().enumerate() {
            let handle = spawn(n, Arc::clone(&inbox), shard, Arc::clone(events));
            match handle {
                Ok(handle) => threads.threads.push(Thread {
                    inbox,
                    handle: Mutex::new(Some(handle)),
                }),
                Err(error) => {
                    threads.stop();
                    return Err(error);
                }
            }
        }
        Ok(threads)
    }

    /// Whether a thread still works.
    pub fn lives(&self, n: usize) -> bool {
        !self.threads[n].inbox.is_lost.load(Ordering::Acquire)
    }

    /// How many do.
    pub fn living(&self) -> usize {
        (0..self.threads.len()).filter(|&n| self.lives(n)).count()
    }

    /// The living one with the fewest streams, of which `loads` says how many each has.
    pub fn lightest(&self, loads: &[usize]) -> Option<usize> {
        (0..self.threads.len())
            .filter(|&n| self.lives(n))
            .min_by_key(|&n| loads[n])
    }

    /// Queues a command until the next [`Threads::wake`].
    pub fn tell(&self, n: usize, command: Command) {
        if self.lives(n) {
            self.threads[n].inbox.commands.push(command);
        }
    }

    /// Wakes the threads that have something to do.
    pub fn wake(&self) {
        self.threads
            .iter()
            .for_each(|thread| thread.inbox.commands.notify());
    }

    /// Finds the threads that have been in one round for `patience`, and gives them up (watchdog).
    ///
    /// A caller that was late itself, because the process stood still as a whole, blames nobody.
    pub fn check(&self, now: Instant, patience: Duration) -> Vec<usize> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let is_late = now.saturating_duration_since(watch.checked_at) > patience / 2;
        watch.checked_at = now;
        let mut lost = Vec::new();
        for (n, thread) in self.threads.iter().enumerate() {
            let rounds = thread.inbox.rounds.load(Ordering::Acquire);
            let (before, since) = watch.seen[n];
            let stands_still = rounds == before && rounds % 2 == 1;
            if !stands_still || is_late {
                watch.seen[n] = (rounds, now);
            } else if now.saturating_duration_since(since) >= patience
                && !thread.inbox.is_lost.swap(true, Ordering::AcqRel)
            {
                lost.push(n);
            }
        }
        lost
    }

    /// Throws away what a lost thread will never do.
    pub fn forget(&self, n: usize) {
        drop(self.threads[n].inbox.commands.take());
    }

    /// Ends all threads and waits for them, but not for one that stands still.
    pub fn stop(&self) {
        for thread in &self.threads {
            thread.inbox.stop.store(true, Ordering::Release);
            thread.inbox.commands.push(Command::Wake);
            thread.inbox.commands.notify();
        }
        let until = Instant::now() + STOP_PATIENCE;
        for each in &self.threads {
            let handle = each
                .handle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(handle) = handle {
                let is_lost = || each.inbox.is_lost.load(Ordering::Acquire);
                while !handle.is_finished() && !is_lost() && Instant::now() < until {
                    thread::sleep(Duration::from_millis(1));
                }
                if handle.is_finished() {
                    let _ = handle.join();
                }
            }
            drop(each.inbox.commands.take());
        }
    }
}

fn spawn(
    n: usize,
    inbox: Arc<Inbox>,
    shard: Shard,
    events: Arc<Mailbox<Event>>,
) -> io::Result<JoinHandle<()>> {
    let name = format!("media-{n}");
    thread::Builder::new().name(name).spawn(move || {
        let mut shard = shard;
        // The sockets that it holds are closed, by its drop, before it is told.
        let _ = catch_unwind(AssertUnwindSafe(move || shard.run()));
        let was_told = inbox.is_lost.swap(true, Ordering::AcqRel);
        if !was_told && !inbox.stop.load(Ordering::Acquire) {
            events.push(Event::ThreadLost(n));
            events.notify();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::Engine;
    use crate::error::EngineError;
    use crate::held::Order;
    use crate::session::scene::{Endpoint, Scene, StreamSpec};

    const SOON: Duration = Duration::from_millis(40);

    fn engine(first_port: u16, threads: usize) -> Engine {
        let ip = "127.0.0.1".parse().unwrap();
        Engine::new(Config {
            threads,
            patience: SOON,
            quarantine: Duration::ZERO,
            ..Config::new(ip, first_port, first_port + 19)
        })
        .unwrap()
    }

    fn open(engine: &Engine, session: &str) -> Result<(), EngineError> {
        let streams = vec![StreamSpec::default()];
        let scene = Scene {
            endpoints: [("a".to_owned(), Endpoint { streams })].into(),
            ..Scene::default()
        };
        engine.apply(session, Order::default(), &scene, true)?;
        engine.flush();
        Ok(())
    }

    fn run(engine: &Engine, thread: usize, act: impl FnOnce(&mut Shard) + Send + 'static) {
        engine.threads.tell(thread, Command::Run(Box::new(act)));
        engine.flush();
    }

    fn failed(session: &str) -> Event {
        Event::Failed(session.into())
    }

    fn events_when(engine: &Engine, act: impl Fn()) -> Vec<Event> {
        let until = Instant::now() + Duration::from_secs(3);
        loop {
            act();
            let events = engine.take_events();
            if !events.is_empty() || Instant::now() > until {
                return events;
            }
            thread::sleep(SOON / 10);
        }
    }

    #[test]
    fn a_thread_that_dies_is_told_with_its_sessions_and_gets_no_more() {
        let engine = engine(32720, 2);
        open(&engine, "first").unwrap();
        open(&engine, "second").unwrap();
        run(&engine, 0, |_| panic!("a bug outside of any session"));
        let events = events_when(&engine, || {});
        assert_eq!(events, [Event::ThreadLost(0), failed("first")]);
        assert_eq!(engine.living_threads(), 1);
        open(&engine, "third").unwrap();
        open(&engine, "fourth").unwrap();
        run(&engine, 1, |_| panic!("a bug outside of any session"));
        let mut events = events_when(&engine, || {});
        events[1..].sort_by_key(|event| format!("{event:?}"));
        assert_eq!(events[0], Event::ThreadLost(1));
        assert_eq!(events[1..], ["fourth", "second", "third"].map(failed));
        let refused = open(&engine, "fifth").unwrap_err();
        assert!(matches!(refused, EngineError::NoThread));
        assert!(engine.close("first").is_ok());
        assert!(engine.threads.threads[0].inbox.commands.take().is_empty());
    }

    /// Makes a thread stand still until the guard is dropped.
    fn stop<'a>(engine: &Engine, gate: &'a Arc<Mutex<()>>) -> std::sync::MutexGuard<'a, ()> {
        let (held, theirs) = (gate.lock().unwrap(), Arc::clone(gate));
        run(engine, 0, move |_| drop(theirs.lock()));
        held
    }

    #[test]
    fn a_thread_that_stands_still_is_given_up_and_not_waited_for() {
        let engine = engine(32740, 1);
        open(&engine, "s").unwrap();
        let gate = Arc::default();
        let held = stop(&engine, &gate);
        let events = events_when(&engine, || engine.check());
        assert_eq!(events, [Event::ThreadLost(0), failed("s")]);
        engine.shut_down();
        drop(held);
    }

    #[test]
    fn an_end_does_not_wait_for_a_thread_that_has_just_stopped_moving() {
        let engine = engine(32780, 1);
        let gate = Arc::default();
        let held = stop(&engine, &gate);
        engine.shut_down();
        drop(held);
    }

    #[test]
    fn a_watchdog_that_was_late_itself_blames_nobody() {
        let engine = engine(32760, 1);
        let inbox = &engine.threads.threads[0].inbox;
        inbox.rounds.store(1, Ordering::Release);
        let now = Instant::now();
        let at = |n: u32| engine.threads.check(now + n * SOON, 2 * SOON);
        assert_eq!((at(0), at(10), at(11)), (vec![], vec![], vec![]));
        assert_eq!(at(12), [0]);
    }
}
