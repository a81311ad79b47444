//! Whole messages: parsed, read in every way, written and parsed again.

use sipcore::{
    AuthParams, Key, Known, Message, NameAddr, Start, Unusable, Uri, Via, parse_datagram, salvage,
};

use crate::shown;

const ADDRESSES: [&str; 6] = ["from", "to", "contact", "route", "record-route", "path"];
const CREDENTIALS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "proxy-authenticate",
];
const STATUSES: [u16; 6] = [400, 413, 414, 416, 505, 513];

/// A message is taken and goes out as it came, or it is refused with a status and answered.
pub fn message(data: &[u8]) {
    match parse_datagram(data) {
        Ok(message) => {
            check_as_received(&message, data);
            read(&message);
            write(message);
        }
        Err(error) => check_refusal(&error),
    }
}

fn check_as_received(message: &Message, data: &[u8]) {
    let (lines, bytes) = message.header.size();
    assert!(lines <= sipcore::MAX_HEADERS && bytes <= sipcore::MAX_HEADER_BYTES);
    // A NUL in quotes is legal and the one byte that is not kept.
    let has_nul = data.contains(&0);
    for line in message.header.lines().filter(|_| !has_nul) {
        let is_there = data.windows(line.len()).any(|window| window == line);
        assert!(is_there, "no line of the message: {}", shown(line));
    }
    match message.content_length() {
        Ok(Some(length)) => assert_eq!(message.body.len() as u64, length),
        length => assert_eq!(length, Ok(None)),
    }
    let body = &message.body;
    let is_there = body.is_empty() || data.windows(body.len()).any(|window| window == body);
    assert!(is_there, "no body of the message: {}", shown(body));
}

/// Reads everything that can be read; what every server needs was checked.
fn read(message: &Message) {
    let header = &message.header;
    assert_eq!(header.names().count(), header.lines().count());
    assert_eq!(header.pairs().count(), header.lines().count());
    for name in header.names() {
        let key = Key::of(&name);
        assert!(header.has(key) && header.count(key) == header.get_all(key).count());
        if let (Ok(values), Ok(first)) = (header.values(key), header.first_value(key)) {
            let first = first.map(|value| value.into_owned()).unwrap_or_default();
            let is_one = matches!(key, Key::Known(known) if known.is_one_value());
            assert!(is_one || first.is_empty() || values.first() == Some(&first));
        }
    }
    let via = message.first_value(Known::VIA).expect("checked");
    Via::parse(&via).expect("checked");
    for known in [Known::FROM, Known::TO] {
        NameAddr::parse(&message.mandatory(known).expect("checked")).expect("checked");
    }
    assert!(message.call_id().is_ok() && message.cseq().is_ok() && message.max_forwards().is_ok());
    for name in ADDRESSES {
        for value in header.values(Key::of(name)).unwrap_or_default() {
            if let Ok(address) = NameAddr::parse(&value) {
                let _ = Uri::parse_in_header(address.uri);
            }
        }
    }
    for name in CREDENTIALS {
        for value in header.get_all(Key::of(name)) {
            let _ = AuthParams::parse(&value);
        }
    }
    if let Start::Request { method, uri } = &message.start {
        assert!(sipcore::is_token(method.as_bytes()));
        Uri::parse(uri).expect("checked");
    }
}

fn write(mut message: Message) {
    let wire = message.to_bytes();
    let mut again = match parse_datagram(&wire) {
        Ok(again) => again,
        // A Content-Length was added, and with it one line or some bytes too many.
        Err(error) => return assert_eq!(error.fault.status, 513, "{}", shown(&wire)),
    };
    assert_eq!(again.start, message.start);
    assert!(again.header.lines().eq(message.header.lines()));
    assert_eq!(again.body, message.body);
    assert_eq!(shown(&again.to_bytes()), shown(&wire));
    if matches!(message.start, Start::Request { .. }) {
        answer(&message, 200);
    }
}

fn check_refusal(error: &Unusable) {
    assert!(STATUSES.contains(&error.fault.status), "{:?}", error.fault);
    if let Some(request) = salvage(&error.data) {
        answer(&request, error.fault.status);
    }
}

/// Answers; the answer has the request's Vias and nothing that was hidden in the request.
fn answer(request: &Message, status: u16) {
    let answered = request.respond(status, "Answer", Some(b"tag"));
    let mut response = answered.expect("a token as tag");
    let wire = response.to_bytes();
    assert!(wire.starts_with(format!("SIP/2.0 {status} Answer\r\n").as_bytes()));
    assert!(wire.ends_with(b"\r\n\r\n"));
    let via = Key::Known(Known::VIA);
    assert!(response.header.get_all(via).eq(request.header.get_all(via)));
    let names = ["via", "from", "to", "call-id", "cseq", "content-length"];
    assert!(
        response
            .header
            .names()
            .all(|name| names.contains(&name.as_str()))
    );
    let head = &wire[..wire.len() - 2];
    let lines = head.windows(2).filter(|pair| pair == b"\r\n").count();
    let folds = response.header.size().0;
    assert_eq!(lines, 1 + folds, "{}", shown(&wire));
}
