//! `parley.mediaengine._engine`: the media engine as Python sees it.
//!
//! No callback: events wait behind a descriptor that an event loop watches. No panic crosses: it
//! becomes an `EngineError`. The threads of the engine never need the interpreter.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mediaengine::{
    Config, Engine, EngineError as Failure, Event, Order, Scene, Silence, StreamReport,
};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    parley.mediaengine,
    EngineError,
    PyException,
    "The media engine refused."
);
create_exception!(
    parley.mediaengine,
    PortsExhausted,
    EngineError,
    "No RTP port pair of the range is free, or no descriptor for its sockets."
);
create_exception!(
    parley.mediaengine,
    InvalidScene,
    EngineError,
    "A scene, or a setting, makes no sense or is more than the engine can."
);
create_exception!(
    parley.mediaengine,
    OwnPort,
    EngineError,
    "Media shall go to a port of the engine's own."
);
create_exception!(
    parley.mediaengine,
    StaleScene,
    EngineError,
    "A newer scene of the session was heard before."
);
create_exception!(
    parley.mediaengine,
    UnknownSession,
    EngineError,
    "There is no such session."
);

fn raised(failure: Failure) -> PyErr {
    let text = failure.to_string();
    match failure {
        Failure::PortsExhausted { .. } | Failure::OutOfDescriptors(_) => {
            PortsExhausted::new_err(text)
        }
        Failure::Invalid(_) => InvalidScene::new_err(text),
        Failure::OwnPort(_) => OwnPort::new_err(text),
        Failure::Stale { .. } => StaleScene::new_err(text),
        Failure::UnknownSession(_) => UnknownSession::new_err(text),
        Failure::NoThread | Failure::Closed | Failure::Io(_) => EngineError::new_err(text),
    }
}

/// Runs a call of the core; a panic in it is that call's error and nobody else's.
fn guarded<T>(call: impl FnOnce() -> Result<T, Failure>) -> PyResult<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(raised),
        Err(_) => Err(EngineError::new_err(
            "a bug in the media engine; see its message above",
        )),
    }
}

fn ip(text: &str) -> PyResult<IpAddr> {
    text.parse()
        .map_err(|_| InvalidScene::new_err(format!("{text:?} is not an IP address")))
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| {
        InvalidScene::new_err(format!("{name} must be 0 or more seconds, not {value}"))
    })
}

/// The counters of a stream.
#[pyclass(frozen, name = "StreamReport", module = "parley.mediaengine", get_all)]
struct PyReport {
    leg: String,
    index: u8,
    packets_received: u64,
    bytes_received: u64,
    packets_sent: u64,
    bytes_sent: u64,
    lost: u64,
    jitter_ms: f64,
    rtcp_received: u64,
    rejected: u64,
    bad_auth: u64,
    send_failed: u64,
    last_packet_age_s: Option<f64>,
}

impl From<StreamReport> for PyReport {
    fn from(report: StreamReport) -> Self {
        let stats = report.stats;
        Self {
            leg: report.leg.to_string(),
            index: report.index,
            packets_received: stats.packets_received,
            bytes_received: stats.bytes_received,
            packets_sent: stats.packets_sent,
            bytes_sent: stats.bytes_sent,
            lost: stats.lost,
            jitter_ms: stats.jitter_ms,
            rtcp_received: stats.rtcp_received,
            rejected: stats.rejected,
            bad_auth: stats.bad_auth,
            send_failed: stats.send_failed,
            last_packet_age_s: stats.last_packet_age_s,
        }
    }
}

fn reports(found: Vec<StreamReport>) -> Vec<PyReport> {
    found.into_iter().map(PyReport::from).collect()
}

/// What happened, to which session and leg, and whether another leg is heard.
type Told = (&'static str, String, String, bool);

fn told(event: Event) -> Told {
    match event {
        Event::TimedOut(
            session,
            Silence {
                leg,
                is_other_heard,
            },
        ) => (
            "timed_out",
            session.to_string(),
            leg.to_string(),
            is_other_heard,
        ),
        Event::Failed(session) => ("failed", session.to_string(), String::new(), false),
        Event::ThreadLost(_) => ("thread_lost", String::new(), String::new(), false),
    }
}

/// Sessions on threads of their own.
#[pyclass(frozen, name = "Engine", module = "parley.mediaengine")]
struct PyEngine(Engine);

#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (ip, first_port, last_port, *, own=Vec::new(), threads=1, quarantine_s=5.0, dscp=46, tick_s=0.2))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        ip: &str,
        first_port: u16,
        last_port: u16,
        own: Vec<String>,
        threads: usize,
        quarantine_s: f64,
        dscp: u8,
        tick_s: f64,
    ) -> PyResult<Self> {
        let mut config = Config {
            threads,
            quarantine: seconds("quarantine_s", quarantine_s)?,
            dscp,
            tick: seconds("tick_s", tick_s)?,
            ..Config::new(crate::ip(ip)?, first_port, last_port)
        };
        for address in own {
            config.own.push(crate::ip(&address)?);
        }
        guarded(|| Engine::new(config)).map(Self)
    }

    #[pyo3(signature = (session, epoch, revision, scene, *, may_open=true))]
    fn apply(
        &self,
        session: &str,
        epoch: u64,
        revision: u64,
        scene: &[u8],
        may_open: bool,
    ) -> PyResult<Vec<(String, u8, u16)>> {
        let order = Order { epoch, revision };
        let opened = guarded(|| {
            let scene = Scene::decode(scene)?;
            self.0.apply(session, order, &scene, may_open)
        })?;
        let opened = opened.into_iter();
        Ok(opened
            .map(|stream| (stream.leg.to_string(), stream.index, stream.rtp_port))
            .collect())
    }

    fn close(&self, session: &str) -> PyResult<Vec<PyReport>> {
        guarded(|| self.0.close(session)).map(reports)
    }

    fn report(&self, session: &str) -> PyResult<Vec<PyReport>> {
        guarded(|| self.0.report(session)).map(reports)
    }

    fn flush(&self) -> PyResult<()> {
        guarded(|| {
            self.0.flush();
            Ok(())
        })
    }

    fn event_fd(&self) -> i32 {
        self.0.event_fd()
    }

    fn drain_events(&self) -> PyResult<Vec<Told>> {
        guarded(|| Ok(self.0.take_events().into_iter().map(told).collect()))
    }

    fn check(&self) -> PyResult<()> {
        guarded(|| {
            self.0.check();
            Ok(())
        })
    }

    #[getter]
    fn living_threads(&self) -> usize {
        self.0.living_threads()
    }

    #[getter]
    fn sessions(&self) -> usize {
        self.0.sessions()
    }

    #[getter]
    fn streams(&self) -> usize {
        self.0.streams()
    }

    #[getter]
    fn free_pairs(&self) -> usize {
        self.0.free_pairs()
    }

    /// The threads are waited for without the interpreter's lock.
    fn shut_down(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            guarded(|| {
                self.0.shut_down();
                Ok(())
            })
        })
    }
}

#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("SOURCES", env!("PARLEY_SOURCES"))?;
    module.add("EngineError", py.get_type::<EngineError>())?;
    module.add("PortsExhausted", py.get_type::<PortsExhausted>())?;
    module.add("InvalidScene", py.get_type::<InvalidScene>())?;
    module.add("OwnPort", py.get_type::<OwnPort>())?;
    module.add("StaleScene", py.get_type::<StaleScene>())?;
    module.add("UnknownSession", py.get_type::<UnknownSession>())?;
    module.add_class::<PyReport>()?;
    module.add_class::<PyEngine>()
}
