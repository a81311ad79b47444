//! Session descriptions: read, relayed and echoed; what is written names the relay alone.

use sipcore::sdp::{
    Description, LocalStream, Media, Origin, SdpError, answer_matches_offer, echo_answer,
    is_echoable, is_held, relayed, remote_streams,
};

use crate::shown;

/// What is written may be a little longer than what was read; this much has room below the bounds.
const MAX_LENGTH: usize = 4_000;
const LEADS_ELSEWHERE: [&[u8]; 8] = [
    b"candidate",
    b"remote-candidates",
    b"rtcp-mux",
    b"fingerprint",
    b"setup",
    b"identity",
    b"ice-ufrag",
    b"source-filter",
];

/// A description is taken and goes out as it came, or it is refused with a sentence.
pub fn sdp(data: &[u8]) {
    let Some(read) = checked(Description::parse(data)) else {
        return;
    };
    assert_eq!(shown(read.as_bytes()), shown(data));
    read_all(&read);
    if data.len() <= MAX_LENGTH {
        rewrite(&read);
    }
}

/// What was read; a refusal is a sentence for its sender.
fn checked<T>(read: Result<T, SdpError>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(SdpError(sentence)) => {
            assert!(sentence.ends_with('.'), "{sentence}");
            None
        }
    }
}

fn read_all(sdp: &Description) {
    let origin = sdp.origin().expect("checked");
    let again = sdp.with_origin(&origin).expect("sound lines");
    assert_eq!(again.origin().as_ref(), Ok(&origin));
    assert_eq!(again.media().len(), sdp.media().len());
    checked(sdp.connection());
    let streams = checked(remote_streams(sdp)).unwrap_or_default();
    for (at, media) in sdp.media().enumerate() {
        assert!(media.own.lines().count() > 0);
        assert_eq!(media.own.value(b'c').is_none(), !has(media, b'c'));
        checked(media.codecs());
        checked(media.rtcp_port());
        checked(media.rtcp_connection());
        let has_connection = checked(media.connection()).is_some();
        let is_held = checked(media.is_held());
        assert!(is_held != Some(true) || (media.is_active() && has_connection));
        if let Some(stream) = streams.get(at) {
            assert!(!stream.is_active || (media.is_active() && stream.obstacle.is_none()));
            assert_eq!(stream.rtp_port != 0, stream.is_active);
            assert_eq!(stream.kind, media.kind());
        }
    }
    if checked(is_held(sdp)) == Some(true) {
        assert!(sdp.media().any(|media| media.is_active()));
    }
}

fn has(media: Media<'_>, kind: u8) -> bool {
    media.own.lines().any(|line| line[0] == kind)
}

/// Where a relay listens for the first and the third stream.
fn streams() -> [LocalStream; 2] {
    [(0, "10.0.0.1", 20_001), (2, "2001:db8::9", 20_009)].map(|(index, ip, rtcp_port)| {
        LocalStream {
            index,
            ip: ip.to_owned(),
            rtp_port: 20_000,
            rtcp_port,
        }
    })
}

/// Through a relay that has two addresses, and as the echo answers.
fn rewrite(sdp: &Description) {
    let origin = Origin {
        username: b"-".to_vec(),
        session_id: b"7".to_vec(),
        version: 1,
        address_type: Vec::new(),
        ip: b"10.0.0.1".to_vec(),
    };
    let there = streams();
    if let Some(out) = checked(relayed(sdp, &there, &origin)) {
        check_written(sdp, &out, &there);
        for name in LEADS_ELSEWHERE {
            let is_there = |media: Media<'_>| media.own.has_attribute(name);
            assert!(!out.session().has_attribute(name) && !out.media().any(is_there));
        }
        let again = relayed(&out, &there, &origin).expect("what was relayed can be relayed");
        assert_eq!(sorted_lines(&again), sorted_lines(&out));
    }
    if let Some(answer) = checked(echo_answer(sdp, &there, &origin)) {
        check_written(sdp, &answer, &there);
        assert_eq!(answer_matches_offer(sdp, &answer), Ok(true));
        for (asked, said) in sdp.media().zip(answer.media()) {
            assert!(!said.is_active() || is_echoable(&asked) == Ok(true));
        }
    }
}

/// Lines that a relay adds come last, so that their order is another one behind a second relay.
fn sorted_lines(sdp: &Description) -> Vec<String> {
    let lines = sdp.as_bytes().split(|byte| *byte == b'\n');
    let mut lines: Vec<String> = lines.map(shown).collect();
    lines.sort();
    lines
}

/// It is a description of as many streams, whose media is wanted at the relay and nowhere else.
fn check_written(sdp: &Description, out: &Description, streams: &[LocalStream]) {
    let wire = shown(out.as_bytes());
    let Ok(again) = Description::parse(out.as_bytes()) else {
        panic!("{} became {wire}", shown(sdp.as_bytes()));
    };
    assert_eq!(again.media().len(), sdp.media().len(), "{wire}");
    assert_eq!(again.origin().expect("written").ip, b"10.0.0.1");
    let connections = again.media().map(|media| media.connection());
    for connection in connections.chain([again.connection()]) {
        let address = connection
            .expect("written")
            .expect("of the session")
            .address;
        assert!(streams.iter().any(|stream| stream.ip.as_bytes() == address));
    }
    let wanted = remote_streams(&again).expect("written");
    for (at, (before, after)) in sdp.media().zip(wanted).enumerate() {
        assert_eq!(after.kind, before.kind(), "{wire}");
        let ours = streams.iter().find(|stream| stream.index == at);
        assert!(!after.is_active || before.is_active(), "{wire}");
        if let Some(ours) = ours.filter(|_| after.is_active) {
            assert_eq!(
                (after.ip, after.rtp_port),
                (ours.ip.as_bytes(), ours.rtp_port)
            );
            assert_eq!(after.rtcp_port, ours.rtcp_port, "{wire}");
        } else {
            assert!(!after.is_active, "{wire}");
            assert_eq!(
                again.media_at(at).map(|media| media.port()),
                Some(0),
                "{wire}"
            );
        }
    }
}
