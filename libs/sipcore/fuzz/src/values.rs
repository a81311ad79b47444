//! The values of headers, and URIs: what was read, written and read again is the same.

use std::borrow::Cow;

use sipcore::{
    AuthParams, Component, Header, Key, NameAddr, Param, Params, SipUri, Uri, Via, check_host,
    escape, is_host, quote, unescape, unquote, write_name_addr, write_param,
};

use crate::shown;

/// One URI.
pub fn uri(data: &[u8]) {
    let read = match Uri::parse(data) {
        Ok(read) => read,
        Err(error) => {
            assert!(matches!(error.status, 400 | 416));
            assert_eq!(
                Uri::parse_in_header(data).map_err(|error| error.status),
                Err(400)
            );
            return;
        }
    };
    assert_eq!(Uri::parse_in_header(data).as_ref(), Ok(&read));
    match &read {
        Uri::Sip(uri) => {
            let as_written = written_sip(uri, |part, _| part.to_vec());
            assert_eq!(
                Uri::parse(&as_written).as_ref(),
                Ok(&read),
                "{}",
                shown(data)
            );
            let anew = written_sip(uri, |part, component| {
                let mut out = Vec::new();
                escape(&unescape(part), component, &mut out);
                out
            });
            let Ok(Uri::Sip(again)) = Uri::parse(&anew) else {
                panic!("{} became {}", shown(data), shown(&anew));
            };
            assert_eq!(
                plain(&again),
                plain(uri),
                "{} became {}",
                shown(data),
                shown(&anew)
            );
        }
        Uri::Tel(uri) => {
            let mut wire = [b"tel:", uri.number].concat();
            write_uri_params(&mut wire, &uri.params, &|part, _| part.to_vec());
            assert_eq!(Uri::parse(&wire).as_ref(), Ok(&read));
        }
    }
}

type Write<'f> = &'f dyn Fn(&[u8], Component) -> Vec<u8>;

fn written_sip(uri: &SipUri<'_>, write: impl Fn(&[u8], Component) -> Vec<u8>) -> Vec<u8> {
    let mut wire = if uri.is_secure {
        b"sips:".to_vec()
    } else {
        b"sip:".to_vec()
    };
    if let Some(user) = uri.user {
        wire.extend(write(user, Component::User));
        if let Some(password) = uri.password {
            wire.push(b':');
            wire.extend(write(password, Component::Password));
        }
        wire.push(b'@');
    }
    let host = bracketed(&uri.host);
    assert!(is_host(&host) && check_host(&host).is_ok());
    wire.extend(host);
    if let Some(port) = uri.port {
        wire.extend(format!(":{port}").into_bytes());
    }
    write_uri_params(&mut wire, &uri.params, &write);
    for (at, (name, value)) in uri.headers.iter().enumerate() {
        wire.push(if at == 0 { b'?' } else { b'&' });
        wire.extend(write(name, Component::Header));
        wire.push(b'=');
        wire.extend(write(value, Component::Header));
    }
    wire
}

fn write_uri_params(wire: &mut Vec<u8>, params: &[Param<'_>], write: Write<'_>) {
    for (name, value) in params {
        wire.push(b';');
        wire.extend(write(name, Component::Param));
        if let Some(value) = value {
            wire.push(b'=');
            wire.extend(write(value, Component::Param));
        }
    }
}

fn bracketed(host: &[u8]) -> Vec<u8> {
    if host.contains(&b':') {
        [b"[", host, b"]"].concat()
    } else {
        host.to_vec()
    }
}

/// The texts of the components.
fn plain<'a>(uri: &'a SipUri<'a>) -> impl PartialEq + std::fmt::Debug {
    let text = |part: &'a [u8]| unescape(part).into_owned();
    let params = uri
        .params
        .iter()
        .map(|(name, value)| (text(name), value.map(text)));
    let headers = uri
        .headers
        .iter()
        .map(|(name, value)| (text(name), text(value)));
    (
        (uri.is_secure, uri.user.map(text), uri.password.map(text)),
        (uri.host.clone().into_owned(), uri.port),
        (params.collect::<Vec<_>>(), headers.collect::<Vec<_>>()),
    )
}

/// A list of addresses: Contact, Route and their kin.
pub fn address(data: &[u8]) {
    let mut header = Header::default();
    if header.push("contact", data).is_err() {
        return; // no value of any header
    }
    let contact = Key::of("contact");
    let Ok(values) = header.values(contact) else {
        return;
    };
    if values.is_empty() {
        return;
    }
    for value in &values {
        check_address(value);
    }
    let joined = values.join(&b", "[..]);
    header.set("contact", &joined).expect("legal parts");
    assert_eq!(
        header.values(contact).as_ref(),
        Ok(&values),
        "{}",
        shown(data)
    );
    for value in &values {
        let taken = header.remove_first_value(contact).expect("values end");
        assert_eq!(taken.as_ref(), Some(value));
    }
    assert_eq!(header.remove_first_value(contact), Ok(None));
}

fn check_address(value: &[u8]) {
    let Ok(read) = NameAddr::parse(value) else {
        return;
    };
    let Ok(wire) = write_name_addr(&read.display_name, read.uri, read.params.iter()) else {
        assert!(read.display_name.contains(&0), "{}", shown(value));
        return;
    };
    let again = NameAddr::parse(&wire);
    assert_eq!(
        again.as_ref(),
        Ok(&read),
        "{} became {}",
        shown(value),
        shown(&wire)
    );
}

/// One Via.
pub fn via(data: &[u8]) {
    let Ok(read) = Via::parse(data) else {
        return;
    };
    let mut wire = [b"SIP/2.0/", read.transport, b" ", &bracketed(read.host)].concat();
    if let Some(port) = read.port {
        wire.extend(format!(":{port}").into_bytes());
    }
    for param in read.params.iter() {
        write_param(&mut wire, param).expect("a parameter that was read");
    }
    assert_eq!(
        Via::parse(&wire).as_ref(),
        Ok(&read),
        "{} became {}",
        shown(data),
        shown(&wire)
    );
}

/// Parameters, behind their first semicolon; and any text as one of them.
pub fn params(data: &[u8]) {
    assert_eq!(unquote(&quote(data)), data);
    let mut out = Vec::new();
    let quoted = quote(data);
    if write_param(&mut out, (b"name", Some(&quoted))).is_ok() {
        let read = Params::parse(&out[1..]).expect("one parameter");
        assert_eq!(read.get(b"NAME"), Some(Some(&quoted[..])));
        assert_eq!(read.iter().count(), 1);
    }
    let Ok(read) = Params::parse(data) else {
        return;
    };
    let mut wire = Vec::new();
    for (name, value) in read.iter() {
        assert_eq!(read.get(&name.to_ascii_uppercase()), Some(value));
        write_param(&mut wire, (name, value)).expect("a parameter that was read");
    }
    assert_eq!(
        Params::parse(&wire[1..]).as_ref(),
        Ok(&read),
        "{}",
        shown(data)
    );
}

/// Credentials or a challenge.
pub fn auth(data: &[u8]) {
    let Ok(read) = AuthParams::parse(data) else {
        return;
    };
    let params = read.params.iter();
    let params = params.map(|(name, value)| [name, &b"="[..], &quote(value)].concat());
    let wire = [
        read.scheme,
        b" ",
        &params.collect::<Vec<_>>().join(&b", "[..]),
    ]
    .concat();
    assert_eq!(
        AuthParams::parse(&wire).as_ref(),
        Ok(&read),
        "{} became {}",
        shown(data),
        shown(&wire)
    );
    let is_owned = |value: &Cow<'_, [u8]>| matches!(value, Cow::Owned(_));
    assert!(
        read.params
            .iter()
            .all(|(_, value)| !is_owned(value) || data.contains(&b'\\'))
    );
}
