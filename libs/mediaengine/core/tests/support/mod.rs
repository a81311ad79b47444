//! Phones and patience for tests over loopback.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use mediaengine::{
    Config, Endpoint, Engine, EngineError, Opened, Order, Scene, Source, StreamSpec, StreamStats,
    TransportSpec,
};

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

    /// Its stream, as its SDP describes it.
    pub fn stream(&self) -> StreamSpec {
        StreamSpec {
            transport: TransportSpec {
                remote: Some(self.address().into()),
                ..TransportSpec::default()
            },
            ..StreamSpec::default()
        }
    }

    pub fn send(&self, packet: &[u8], port: u16) {
        self.0.send_to(packet, (HOST, port)).unwrap();
    }

    pub fn receive(&self) -> (Vec<u8>, u16) {
        let mut buffer = [0; 2048];
        let (length, port) = self.receive_into(&mut buffer);
        (buffer[..length].to_vec(), port)
    }

    pub fn receive_into(&self, buffer: &mut [u8]) -> (usize, u16) {
        let (length, source) = self.0.recv_from(buffer).expect("a packet was relayed");
        (length, source.port())
    }

    pub fn hears_nothing(&self) -> bool {
        self.0.set_read_timeout(Some(SHORT)).unwrap();
        let result = self.0.recv_from(&mut [0; 2048]);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

pub fn rtp(sequence: u16) -> Vec<u8> {
    rtp_of(7, sequence)
}

pub fn rtp_of(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
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

/// A call of one stream for each leg, at an engine.
pub struct Call<'a> {
    engine: &'a Engine,
    pub session: &'static str,
    pub scene: Scene,
    order: Order,
}

impl<'a> Call<'a> {
    pub fn new(engine: &'a Engine, session: &'static str) -> Self {
        Self {
            engine,
            session,
            scene: Scene::default(),
            order: Order {
                epoch: 1,
                revision: 0,
            },
        }
    }

    /// A bridge of two phones, which are "a" and "b".
    pub fn bridged(engine: &'a Engine, a: &Phone, b: &Phone) -> Self {
        let mut call = Self::new(engine, "s");
        call.set("a", a.stream()).set("b", b.stream());
        call.hear("a", &["b"]).hear("b", &["a"]).apply();
        call
    }

    pub fn set(&mut self, leg: &str, stream: StreamSpec) -> &mut Self {
        let streams = vec![stream];
        self.scene
            .endpoints
            .insert(leg.to_owned(), Endpoint { streams });
        self
    }

    pub fn hear(&mut self, sink: &str, sources: &[&str]) -> &mut Self {
        let sources = sources.iter().map(|id| Source::leg(id)).collect();
        self.scene.hears.insert(sink.to_owned(), sources);
        self
    }

    pub fn try_apply(&mut self) -> Result<Vec<Opened>, EngineError> {
        self.order.revision += 1;
        let answer = self
            .engine
            .apply(self.session, self.order, &self.scene, true)?;
        self.engine.flush();
        Ok(answer)
    }

    pub fn apply(&mut self) -> &mut Self {
        self.try_apply().unwrap();
        self
    }

    /// Where the phone of a leg is to send.
    pub fn port(&self, leg: &str) -> u16 {
        // The newest order again changes nothing.
        let opened = self
            .engine
            .apply(self.session, self.order, &self.scene, false);
        let opened = opened.unwrap();
        let found = opened.iter().find(|stream| &*stream.leg == leg);
        found.expect("the leg has a stream").rtp_port
    }

    pub fn stats(&self, leg: &str) -> StreamStats {
        let report = self.engine.report(self.session).unwrap();
        let found = report.iter().find(|stream| &*stream.leg == leg);
        found.expect("the leg has a stream").stats
    }

    pub fn stats_when(&self, leg: &str, is_done: impl Fn(&StreamStats) -> bool) -> StreamStats {
        until(|| Some(self.stats(leg)).filter(&is_done))
    }
}
