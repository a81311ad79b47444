//! Responses: what they repeat of their request, and a tag.

use memchr::memmem;

use crate::chars::is_token;
use crate::error::Illegal;
use crate::message::{Message, Start};
use crate::name::{Key, Known};
use crate::name_addr::NameAddr;

/// Which headers an answer repeats (RFC 3261 8.2.6.2).
pub(crate) const REPEATED: [Known; 5] = [
    Known::VIA,
    Known::FROM,
    Known::TO,
    Known::CALL_ID,
    Known::CSEQ,
];

impl Message {
    /// Makes a response with the headers of RFC 3261 8.2.6.2: Via, From, To, Call-ID and CSeq.
    ///
    /// The tag is added to To unless the request, which may lack some of them, has one there.
    ///
    /// # Errors
    /// The tag is no token.
    pub fn respond(&self, status: u16, reason: &str, tag: Option<&[u8]>) -> Result<Self, Illegal> {
        let mut response = Self::new(Start::Response {
            status,
            reason: reason.to_owned(),
        });
        response
            .header
            .copy_lines(Key::Known(Known::VIA), &self.header);
        for known in &REPEATED[1..] {
            response.header.copy_first(Key::Known(*known), &self.header);
        }
        if let Some(tag) = tag {
            response.add_to_tag(tag)?;
        }
        Ok(response)
    }

    fn add_to_tag(&mut self, tag: &[u8]) -> Result<(), Illegal> {
        if !is_token(tag) {
            return Err(Illegal::new("To tag is not a token"));
        }
        let text = self.header.get(Key::Known(Known::TO)).unwrap_or_default();
        let has_tag = match NameAddr::parse(&text) {
            Ok(to) => to.params.get(b"tag").flatten().is_some(),
            Err(_) => memmem::find(&text.to_ascii_lowercase(), b"tag=").is_some(),
        };
        if has_tag {
            return Ok(());
        }
        let value = [&text, &b";tag="[..], tag].concat();
        self.header.set("to", &value)
    }
}

#[cfg(test)]
mod tests {
    use memchr::memmem;

    use crate::message::parse_datagram;
    use crate::samples::OPTIONS;

    #[test]
    fn a_response_repeats_the_request() {
        let request = parse_datagram(format!("{OPTIONS}\r\n").as_bytes()).expect("legal");
        let mut response = request.respond(200, "OK", Some(b"t")).expect("legal");
        let wire = response.to_bytes();
        let expected = OPTIONS
            .replace("OPTIONS sip:b@c SIP/2.0", "SIP/2.0 200 OK")
            .replace("To: <sip:b@c>", "To: <sip:b@c>;tag=t");
        assert_eq!(
            String::from_utf8_lossy(&wire),
            format!("{expected}Content-Length: 0\r\n\r\n")
        );
        let mut again = parse_datagram(&wire)
            .expect("legal")
            .respond(200, "OK", Some(b"u"));
        let wire = again.as_mut().expect("legal").to_bytes();
        assert!(memmem::find(&wire, b"tag=u").is_none());
        assert!(request.respond(200, "OK", Some(b"t;x")).is_err());
    }
}
