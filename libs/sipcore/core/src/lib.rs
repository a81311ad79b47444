//! SIP text (RFC 3261 7 and 25): cut out of datagrams and streams, parsed, edited and written.
//!
//! Sans I/O, clocks and policy: bytes go in, views of them come out. A header line that nobody
//! touches leaves byte for byte as it came. What every server needs of a message is checked while
//! it is parsed, everything else when it is asked for. Whatever a peer sends, the worst that
//! happens is a [`Malformed`] with the status that answers it; each scan visits a byte once.

mod auth;
mod chars;
mod digest;
mod edit;
mod error;
mod framer;
mod head;
mod header;
mod lenient;
mod message;
mod name;
mod name_addr;
mod params;
mod reasons;
mod response;
#[cfg(test)]
mod samples;
mod scan;
pub mod sdp;
mod start_line;
mod twins;
mod uri;
mod uri_escape;
mod via;

pub use auth::AuthParams;
pub use chars::is_token;
pub use digest::{Algorithm, Claim};
pub use error::{Fault, Illegal, Malformed};
pub use framer::{Broken, Framer, Limits, Piece};
pub use head::{MAX_HEADER_BYTES, MAX_HEADERS};
pub use header::Header;
pub use lenient::salvage;
pub use message::{Message, Start, Unusable, parse_datagram};
pub use name::{Key, Known, Name};
pub use name_addr::{NameAddr, write_name_addr};
pub use params::{Param, Params, quote, unquote, write_param};
pub use reasons::reason_for;
pub use scan::{MAX_CSEQ, MAX_SECONDS, number, quoted_end};
pub use uri::{SipUri, TelUri, Uri, UriHeader, check_host, is_host, is_telephone_number};
pub use uri_escape::{Component, escape, unescape};
pub use via::{Via, written_host};
