//! `parley.mediaengine._engine`: the media engine as Python sees it.
//!
//! No callback: events wait behind a descriptor that an event loop watches. No panic crosses: it
//! becomes an `EngineError`. The threads of the engine never need the interpreter.

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mediaengine::{Config, EndpointSpec, EndpointStats, Engine, EngineError as Failure, Event};
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

type Address = (String, u16);

fn raised(failure: Failure) -> PyErr {
    match failure {
        Failure::PortsExhausted { .. } | Failure::OutOfDescriptors(_) => {
            PortsExhausted::new_err(failure.to_string())
        }
        _ => EngineError::new_err(failure.to_string()),
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
        .map_err(|_| EngineError::new_err(format!("{text:?} is not an IP address")))
}

fn address(address: Option<Address>) -> PyResult<Option<SocketAddr>> {
    address
        .map(|(host, port)| Ok(SocketAddr::new(ip(&host)?, port)))
        .transpose()
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| EngineError::new_err(format!("{name} must be 0 or more seconds, not {value}")))
}

/// Where a phone is and what is expected from it.
#[pyclass(frozen, name = "EndpointSpec", module = "parley.mediaengine")]
struct PySpec(EndpointSpec);

#[pymethods]
impl PySpec {
    #[new]
    #[pyo3(signature = (remote=None, remote_rtcp=None, learn_from=Vec::new(), *, timeout_s=0.0, clock_rate=8000))]
    fn new(
        remote: Option<Address>,
        remote_rtcp: Option<Address>,
        learn_from: Vec<String>,
        timeout_s: f64,
        clock_rate: u32,
    ) -> PyResult<Self> {
        Ok(Self(EndpointSpec {
            remote: address(remote)?,
            remote_rtcp: address(remote_rtcp)?,
            learn_from: learn_from
                .iter()
                .map(|text| ip(text))
                .collect::<PyResult<_>>()?,
            timeout: seconds("timeout_s", timeout_s)?,
            clock_rate,
        }))
    }

    fn with_timeout(&self, timeout_s: f64) -> PyResult<Self> {
        Ok(Self(EndpointSpec {
            timeout: seconds("timeout_s", timeout_s)?,
            ..self.0.clone()
        }))
    }
}

/// The counters of an endpoint.
#[pyclass(frozen, name = "EndpointStats", module = "parley.mediaengine", get_all)]
struct PyStats {
    packets_received: u64,
    bytes_received: u64,
    packets_sent: u64,
    bytes_sent: u64,
    lost: u64,
    jitter_ms: f64,
    rtcp_received: u64,
    rejected: u64,
    send_failed: u64,
    last_packet_age_s: Option<f64>,
}

impl From<EndpointStats> for PyStats {
    fn from(stats: EndpointStats) -> Self {
        Self {
            packets_received: stats.packets_received,
            bytes_received: stats.bytes_received,
            packets_sent: stats.packets_sent,
            bytes_sent: stats.bytes_sent,
            lost: stats.lost,
            jitter_ms: stats.jitter_ms,
            rtcp_received: stats.rtcp_received,
            rejected: stats.rejected,
            send_failed: stats.send_failed,
            last_packet_age_s: stats.last_packet_age_s,
        }
    }
}

/// Endpoints on threads of their own.
#[pyclass(frozen, name = "Engine", module = "parley.mediaengine")]
struct PyEngine(Engine);

#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (ip, first_port, last_port, *, threads=1, quarantine_s=5.0, dscp=46, tick_s=0.2))]
    fn new(
        ip: &str,
        first_port: u16,
        last_port: u16,
        threads: usize,
        quarantine_s: f64,
        dscp: u8,
        tick_s: f64,
    ) -> PyResult<Self> {
        let config = Config {
            threads,
            quarantine: seconds("quarantine_s", quarantine_s)?,
            dscp,
            tick: seconds("tick_s", tick_s)?,
            ..Config::new(crate::ip(ip)?, first_port, last_port)
        };
        guarded(|| Engine::new(config)).map(Self)
    }

    #[pyo3(signature = (spec, near=None))]
    fn open(&self, spec: &PySpec, near: Option<u64>) -> PyResult<(u64, u16)> {
        guarded(|| self.0.open(spec.0.clone(), near))
    }

    fn update(&self, endpoint: u64, spec: &PySpec) -> PyResult<()> {
        guarded(|| self.0.update(endpoint, spec.0.clone()))
    }

    fn bridge(&self, a: u64, b: u64) -> PyResult<()> {
        guarded(|| self.0.bridge(a, b))
    }

    fn echo(&self, endpoint: u64) -> PyResult<()> {
        guarded(|| self.0.echo(endpoint))
    }

    fn isolate(&self, endpoint: u64) -> PyResult<()> {
        guarded(|| self.0.isolate(endpoint))
    }

    fn close(&self, endpoint: u64) -> PyResult<PyStats> {
        guarded(|| self.0.close(endpoint)).map(PyStats::from)
    }

    fn stats(&self, endpoint: u64) -> PyResult<PyStats> {
        guarded(|| self.0.stats(endpoint)).map(PyStats::from)
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

    fn drain_events(&self) -> PyResult<Vec<(&'static str, u64)>> {
        guarded(|| {
            let told = self.0.take_events().into_iter().map(|event| match event {
                Event::TimedOut(id) => ("timed_out", id),
                Event::Failed(id) => ("failed", id),
                Event::ThreadLost(thread) => ("thread_lost", thread as u64),
            });
            Ok(told.collect())
        })
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
    fn endpoints(&self) -> usize {
        self.0.endpoints()
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
    module.add("SOURCES", env!("PARLEY_SOURCES"))?;
    module.add("EngineError", module.py().get_type::<EngineError>())?;
    module.add("PortsExhausted", module.py().get_type::<PortsExhausted>())?;
    module.add_class::<PySpec>()?;
    module.add_class::<PyStats>()?;
    module.add_class::<PyEngine>()
}
