//! Cutting streams into messages by Content-Length (RFC 3261 18.3), with limits and keep-alives.
//!
//! Policy: a stream whose next boundary is uncertain is dead. A header that is illegal but says
//! without doubt where its message ends is reported, and the stream goes on behind it: one bad
//! message of one peer must not tear a connection that carries others' calls.

use memchr::memmem;

use crate::error::Malformed;
use crate::head;
use crate::message::{HEADER_END, Message, Unusable, parse_head};
use crate::name::{Key, Known};
use crate::scan::{MAX_SECONDS, number};

/// What a peer may make us hold before a message is complete, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of a header.
    pub header_bytes: usize,
    /// Of a body.
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: head::MAX_HEADER_BYTES,
            body_bytes: 65_536,
        }
    }
}

/// What a stream brought.
#[derive(Debug)]
pub enum Piece {
    /// A message.
    Message(Message),
    /// Two line ends: a client's keep-alive (RFC 5626 4.4.1), or several in a row.
    Ping,
    /// One line end: a server's answer to it, or several.
    Pong,
}

/// An illegal message on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// To be answered if it is a request.
    pub message: Unusable,
    /// The end of the message is known and the framer stands behind it; otherwise the stream
    /// cannot be cut any more and must be closed.
    pub can_continue: bool,
}

/// A header whose body has not all come.
#[derive(Debug)]
struct Waiting {
    head: Result<Message, Unusable>,
    length: usize,
}

/// Turns the bytes of one connection into messages.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    is_client: bool,
    buffer: Vec<u8>,
    /// What is before has been taken.
    start: usize,
    /// Up to here there is no end of a header.
    scanned: usize,
    waiting: Option<Waiting>,
    is_dead: bool,
}

impl Framer {
    /// # Arguments
    /// `is_client`: we opened the connection, so each line end is a pong; otherwise two are a ping.
    pub fn new(limits: Limits, is_client: bool) -> Self {
        Self {
            limits,
            is_client,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            waiting: None,
            is_dead: false,
        }
    }

    /// Feeds bytes; a dead framer drops them.
    pub fn receive(&mut self, data: &[u8]) {
        if self.is_dead {
            return;
        }
        self.buffer.drain(..self.start);
        self.scanned = self.scanned.saturating_sub(self.start);
        self.start = 0;
        self.buffer.extend_from_slice(data);
    }

    /// The next complete message or keep-alive; none when more bytes are needed.
    ///
    /// # Errors
    /// An illegal message.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Broken> {
        if self.waiting.is_none() {
            if let Some(keep_alive) = self.take_keep_alive() {
                return Ok(Some(keep_alive));
            }
            self.take_head()?;
        }
        self.take_body()
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn take_keep_alive(&mut self) -> Option<Piece> {
        let mut piece = None;
        loop {
            let (taken, found) = match self.rest() {
                [b'\r', b'\n', ..] if self.is_client => (2, Some(Piece::Pong)),
                [b'\r', b'\n', b'\r', b'\n', ..] => (4, Some(Piece::Ping)),
                [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return piece, // half of a ping, perhaps
                [b'\r', b'\n', ..] => (2, None),
                _ => return piece,
            };
            self.start += taken;
            piece = found.or(piece);
        }
    }

    fn take_head(&mut self) -> Result<(), Broken> {
        self.scanned = self.scanned.max(self.start);
        let found = memmem::find(&self.buffer[self.scanned..], HEADER_END);
        let end = found.map(|at| self.scanned - self.start + at);
        // Without its end the header may be over already, but for the last byte of the empty line.
        let so_far = self.rest().len().saturating_sub(HEADER_END.len() - 1);
        if end.unwrap_or(so_far) > self.limits.header_bytes {
            let data = self.rest().to_vec();
            return Err(self.die(Unusable::new(513, "header is too large", &data)));
        }
        let Some(end) = end.filter(|end| *end > 0) else {
            self.scanned = self
                .start
                .max(self.buffer.len().saturating_sub(HEADER_END.len() - 1));
            return Ok(());
        };
        let text = self.rest()[..end].to_vec();
        let (head, length) = match parse_head(&text) {
            Ok((message, length)) => (Ok(message), length),
            Err(error) => match unambiguous_length(&text) {
                Some(length) => (Err(error), Some(length)),
                None => return Err(self.die(error)),
            },
        };
        let data = [&text, HEADER_END].concat();
        let Some(length) = length else {
            return Err(self.die(Unusable::new(400, "Content-Length is missing", &data)));
        };
        if length > self.limits.body_bytes {
            return Err(self.die(Unusable::new(413, "body is too large", &data)));
        }
        self.start += end + HEADER_END.len();
        let length = usize::try_from(length).expect("within the limit");
        self.waiting = Some(Waiting { head, length });
        Ok(())
    }

    fn take_body(&mut self) -> Result<Option<Piece>, Broken> {
        let length = self
            .waiting
            .as_ref()
            .map_or(usize::MAX, |waiting| waiting.length);
        let Some(body) = self.rest().get(..length).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        let Some(waiting) = self.waiting.take() else {
            return Ok(None);
        };
        self.start += length;
        let mut message = waiting.head.map_err(|message| Broken {
            message,
            can_continue: true,
        })?;
        message.body = body;
        Ok(Some(Piece::Message(message)))
    }

    fn die(&mut self, message: Unusable) -> Broken {
        self.is_dead = true;
        self.waiting = None;
        self.buffer = Vec::new();
        self.start = 0;
        self.scanned = 0;
        Broken {
            message,
            can_continue: false,
        }
    }
}

/// Reads Content-Length of an illegal header; none if it could be read in another way.
fn unambiguous_length(text: &[u8]) -> Option<u64> {
    let read = || -> Result<Option<u64>, Malformed> {
        let (_, header) = head::split(text)?;
        let key = Key::Known(Known::CONTENT_LENGTH);
        let value = header.get(key).filter(|_| header.count(key) == 1);
        value
            .map(|value| number(&value, MAX_SECONDS, "Content-Length"))
            .transpose()
    };
    read().ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "BYE sip:b@c SIP/2.0\r\nVia: SIP/2.0/TCP a\r\nFrom: <sip:a@b>;tag=1\r\n\
        To: <sip:b@c>\r\nCall-ID: x\r\nCSeq: 7 BYE\r\n";

    fn told(framer: &mut Framer) -> String {
        let mut told = String::new();
        loop {
            told += match framer.next_piece() {
                Ok(Some(Piece::Ping)) => "ping ".to_owned(),
                Ok(Some(Piece::Pong)) => "pong ".to_owned(),
                Ok(Some(Piece::Message(message))) => format!("message:{} ", message.body.len()),
                Ok(None) => return told,
                Err(broken) => format!("{}:{} ", broken.message.fault.status, broken.can_continue),
            }
            .as_str();
            if told.ends_with("false ") {
                return told;
            }
        }
    }

    fn frame(text: &str) -> String {
        let mut framer = Framer::new(Limits::default(), false);
        framer.receive(text.as_bytes());
        told(&mut framer)
    }

    #[test]
    fn streams_are_cut_wherever_they_break() {
        let text = format!("\r\n\r\n{HEAD}l: 2\r\n\r\nhi\r\n{HEAD}l: 0\r\n\r\n\r\n\r\n");
        assert_eq!(frame(&text), "ping message:2 message:0 ping ");
        let mut framer = Framer::new(Limits::default(), false);
        let mut all = String::new();
        for byte in text.bytes() {
            framer.receive(&[byte]);
            all += &told(&mut framer);
        }
        assert_eq!(all, "ping message:2 message:0 ping ");
    }

    #[test]
    fn the_largest_header_may_come_in_pieces() {
        let header_bytes = HEAD.len() + 4;
        let limits = Limits {
            header_bytes,
            body_bytes: 0,
        };
        for (end, expected) in [("l: 0", "message:0 "), ("l: 00", "513:false ")] {
            let mut framer = Framer::new(limits, false);
            let mut all = String::new();
            for byte in format!("{HEAD}{end}\r\n\r\n").bytes() {
                framer.receive(&[byte]);
                all += &told(&mut framer);
            }
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn line_ends_of_a_server_in_a_row_are_one_pong() {
        let mut framer = Framer::new(Limits::default(), true);
        framer.receive(format!("\r\n\r\n{HEAD}l: 0\r\n\r\n").as_bytes());
        assert_eq!(told(&mut framer), "pong message:0 ");
    }

    #[test]
    fn one_bad_message_does_not_end_the_stream() {
        let bad = HEAD.replace("Call-ID: x", "Call-ID:");
        assert_eq!(
            frame(&format!("{bad}l: 1\r\n\r\n?{HEAD}l: 0\r\n\r\n")),
            "400:true message:0 "
        );
    }

    #[test]
    fn an_uncertain_boundary_does() {
        for text in [
            format!("{HEAD}\r\n"),
            format!("{HEAD}l: x\r\n\r\n"),
            format!("{HEAD}l: 0\r\nl: 0\r\n\r\n"),
            format!("{}\r\n", HEAD.replace("To:", "To")),
        ] {
            assert_eq!(frame(&text), "400:false ", "{text}");
        }
        assert_eq!(frame(&format!("{HEAD}l: 65537\r\n\r\n")), "413:false ");
        assert_eq!(frame(&"a".repeat(65_540)), "513:false ");
        let mut framer = Framer::new(Limits::default(), false);
        framer.receive(format!("{HEAD}\r\n").as_bytes());
        assert_eq!(told(&mut framer), "400:false ");
        framer.receive(format!("{HEAD}l: 0\r\n\r\n").as_bytes());
        assert_eq!(told(&mut framer), "");
    }
}
