//! A port pair: two sockets, owned by the thread that carries their session.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use crate::ports::Lease;
use crate::sys::set_dscp;

/// Which of a pair's two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The even one.
    Rtp,
    /// The next.
    Rtcp,
}

/// One bound socket and the address its phone listens on.
pub struct Channel {
    socket: UdpSocket,
    /// None while it is not known where the phone is.
    pub target: Option<SocketAddr>,
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
            target: None,
        })
    }

    /// The next datagram, into `buffer`.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buffer)
    }

    /// Sends to the phone; None while it is not known where that is.
    pub fn send(&self, packet: &[u8]) -> Option<io::Result<usize>> {
        let target = self.target?;
        Some(self.socket.send_to(packet, target))
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The sockets of a stream. Its drop closes them and then, in this order of fields, lays the ports
/// to rest.
pub struct Pair {
    pub rtp: Channel,
    pub rtcp: Channel,
    pub lease: Lease,
}

impl Pair {
    /// Binds the leased port and the next. Address reuse stays off: a port in use is an error.
    pub fn bind(ip: IpAddr, lease: Lease, dscp: u8) -> io::Result<Self> {
        Ok(Self {
            rtp: Channel::bind(ip, lease.port, dscp)?,
            rtcp: Channel::bind(ip, lease.port + 1, dscp)?,
            lease,
        })
    }

    /// One of the two.
    pub fn channel(&mut self, port: Port) -> &mut Channel {
        match port {
            Port::Rtp => &mut self.rtp,
            Port::Rtcp => &mut self.rtcp,
        }
    }
}
