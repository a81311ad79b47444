//! Phones and patience for tests over loopback.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use mediaengine::{Config, EndpointId, EndpointSpec, EndpointStats, Engine};

pub const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const PATIENCE: Duration = Duration::from_secs(3);
pub const SHORT: Duration = Duration::from_millis(60);

/// Tests run at the same time: each engine gets 100 ports of its own.
pub fn config() -> Config {
    static NEXT: AtomicU16 = AtomicU16::new(30000);
    let first = NEXT.fetch_add(100, Ordering::Relaxed);
    Config {
        tick: Duration::from_millis(10),
        ..Config::new(HOST, first, first + 99)
    }
}

pub struct Phone(UdpSocket);

impl Phone {
    pub fn new() -> Self {
        Self::on("127.0.0.1")
    }

    pub fn on(ip: &str) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub fn spec(&self) -> EndpointSpec {
        EndpointSpec {
            remote: Some(self.address()),
            ..EndpointSpec::default()
        }
    }

    pub fn send(&self, packet: &[u8], port: u16) {
        self.0.send_to(packet, (HOST, port)).unwrap();
    }

    pub fn receive(&self) -> (Vec<u8>, u16) {
        let mut buffer = [0; 2048];
        let (length, source) = self.0.recv_from(&mut buffer).expect("a packet was relayed");
        (buffer[..length].to_vec(), source.port())
    }

    pub fn hears_nothing(&self) -> bool {
        self.0.set_read_timeout(Some(SHORT)).unwrap();
        let result = self.0.recv_from(&mut [0; 2048]);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

pub fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(7u32.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

pub const RTCP: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 7];

pub fn until<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing came of it in time");
        std::thread::yield_now();
    }
}

pub fn stats_when(
    engine: &Engine,
    id: EndpointId,
    is_done: impl Fn(&EndpointStats) -> bool,
) -> EndpointStats {
    until(|| Some(engine.stats(id).unwrap()).filter(&is_done))
}

pub fn bridged(engine: &Engine, a: &Phone, b: &Phone) -> [(EndpointId, u16); 2] {
    let first = engine.open(a.spec(), None).unwrap();
    let second = engine.open(b.spec(), Some(first.0)).unwrap();
    engine.bridge(first.0, second.0).unwrap();
    engine.flush();
    [first, second]
}
