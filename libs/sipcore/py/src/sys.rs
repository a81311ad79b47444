//! Many datagrams with one system call: recvmmsg of Linux. The only place with `unsafe`.
#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

/// The longest datagram.
pub const MAX_DATAGRAM: usize = 65_535;
/// How many one call brings at most.
pub const BATCH: usize = 32;

/// `sockaddr_in6`, the longest address of UDP.
const NAME_BYTES: usize = 28;

/// One datagram: which buffer it is in, how long it is and where it came from.
pub struct Arrived {
    /// The number of its buffer.
    pub at: usize,
    /// Bytes.
    pub length: usize,
    /// Its source.
    pub host: IpAddr,
    /// The interface of a link-local source; 0 of others.
    pub scope: u32,
    /// Its source.
    pub port: u16,
}

/// Reads what is there, at most `limit` and one for each buffer; none when nothing is.
///
/// # Errors
/// As the system says.
pub fn receive(fd: RawFd, buffers: &mut [Vec<u8>], limit: usize) -> io::Result<Vec<Arrived>> {
    let count = limit.min(buffers.len()).min(BATCH);
    let mut names = [[0_u8; NAME_BYTES]; BATCH];
    // SAFETY: all-zero is a value of these C structs.
    let (mut slices, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
        unsafe { (zeroed(), zeroed()) };
    for at in 0..count {
        slices[at].iov_base = buffers[at].as_mut_ptr().cast();
        slices[at].iov_len = buffers[at].len();
        let header = &mut headers[at].msg_hdr;
        header.msg_name = names[at].as_mut_ptr().cast();
        header.msg_namelen = NAME_BYTES as libc::socklen_t;
        header.msg_iov = &raw mut slices[at];
        header.msg_iovlen = 1;
    }
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: each of the first `count` headers points to a buffer and a name of the length it
    // says, which outlive the call.
    let found = unsafe {
        libc::recvmmsg(
            fd,
            headers.as_mut_ptr(),
            count as _,
            flags as _,
            std::ptr::null_mut(),
        )
    };
    let Ok(found) = usize::try_from(found) else {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Vec::new()),
            _ => Err(error),
        };
    };
    Ok((0..found)
        .filter_map(|at| arrived(at, headers[at].msg_len as usize, &names[at]))
        .collect())
}

fn arrived(at: usize, length: usize, name: &[u8; NAME_BYTES]) -> Option<Arrived> {
    let family = u16::from_ne_bytes([name[0], name[1]]);
    let port = u16::from_be_bytes([name[2], name[3]]);
    let (host, scope) = match i32::from(family) {
        libc::AF_INET => (
            IpAddr::V4(Ipv4Addr::new(name[4], name[5], name[6], name[7])),
            0,
        ),
        libc::AF_INET6 => {
            let address: [u8; 16] = name[8..24].try_into().ok()?;
            let scope: [u8; 4] = name[24..28].try_into().ok()?;
            (
                IpAddr::V6(Ipv6Addr::from(address)),
                u32::from_ne_bytes(scope),
            )
        }
        _ => return None,
    };
    Some(Arrived {
        at,
        length,
        host,
        scope,
        port,
    })
}
