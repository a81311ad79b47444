//! An endpoint's two sockets, as they are shared between threads.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ports::Lease;
use crate::stats::Counters;
use crate::sys::set_dscp;

/// One bound socket and the address its phone listens on.
///
/// The thread that owns the endpoint receives here and moves the target; the peer's thread sends from
/// here. The lock is held for a copy of the address only and is all but never contended.
pub struct Channel {
    socket: UdpSocket,
    target: Mutex<Option<SocketAddr>>,
}

impl Channel {
    fn bind(ip: IpAddr, port: u16, dscp: u8) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, port))?;
        socket.set_nonblocking(true)?;
        if dscp != 0 {
            set_dscp(&socket, dscp, ip.is_ipv6())?;
        }
        Ok(Self {
            socket,
            target: Mutex::new(None),
        })
    }

    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buffer)
    }

    /// Sends to the phone; None while it is not known where that is.
    pub fn send(&self, packet: &[u8]) -> Option<io::Result<usize>> {
        let target = (*self.lock())?;
        Some(self.socket.send_to(packet, target))
    }

    pub fn set_target(&self, target: Option<SocketAddr>) {
        *self.lock() = target;
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Stops whoever sends, or moves the target, until the guard is dropped.
    #[cfg(test)]
    pub fn hold(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sockets and counters of an endpoint. The last holder's drop closes the sockets and then, in
/// this order of fields, lays the ports to rest.
pub struct Pair {
    pub rtp: Channel,
    pub rtcp: Channel,
    pub counters: Counters,
    pub lease: Lease,
}

impl Pair {
    /// Binds the leased port and the next. Address reuse stays off: a port in use is an error.
    pub fn bind(ip: IpAddr, lease: Lease, dscp: u8) -> io::Result<Self> {
        Ok(Self {
            rtp: Channel::bind(ip, lease.port, dscp)?,
            rtcp: Channel::bind(ip, lease.port + 1, dscp)?,
            counters: Counters::default(),
            lease,
        })
    }
}
