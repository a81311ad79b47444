//! SIP text (RFC 3261 7 and 25): cut out of datagrams and streams, parsed, edited and written.
//!
//! Sans I/O, clocks and policy: bytes go in, views of them come out. A header line that nobody
//! touches leaves byte for byte as it came. What every server needs of a message is checked while
//! it is parsed, everything else when it is asked for. Whatever a peer sends, the worst that
//! happens is a [`Malformed`] with the status that answers it; each scan visits a byte once.

mod auth;
mod chars;
mod error;
mod framer;
mod head;
mod header;
mod message;
mod name;
mod name_addr;
mod params;
mod scan;
mod start_line;
mod uri;
mod via;

pub use auth::AuthParams;
pub use chars::is_token;
pub use error::{Fault, Illegal, Malformed};
pub use framer::{Broken, Framer, Limits, Piece};
pub use head::{MAX_HEADER_BYTES, MAX_HEADERS};
pub use header::Header;
pub use message::{Message, Start, Unusable, parse_datagram, parse_head, salvage};
pub use name::{Key, Known, Name};
pub use name_addr::{NameAddr, write_name_addr};
pub use params::{Param, Params, quote, unquote, write_param};
pub use scan::{MAX_CSEQ, MAX_SECONDS, number};
pub use uri::{
    Component, SipUri, TelUri, Uri, UriHeader, check_host, escape, is_host, is_telephone_number,
    unescape,
};
pub use via::Via;
