//! Media with keys from the signalling (SDES), over real sockets on loopback.

mod support;

use mediaengine::{Engine, EngineError, KeySpec, SdesSpec, StreamSpec};
use support::{Call, Phone, RTCP, config, rtp, rtp_of};
use wire::srtp::{Context, LONGEST_TRAILER, MasterKey, Suite};

/// A key that is all of one byte.
fn key(suite: Suite, byte: u8) -> KeySpec {
    KeySpec {
        suite: suite.name().to_owned(),
        key: vec![byte; suite.key_length()].as_slice().into(),
        salt: vec![byte; suite.salt_length()].as_slice().into(),
    }
}

fn context(suite: Suite, byte: u8) -> Context {
    let (key, salt) = (
        vec![byte; suite.key_length()],
        vec![byte; suite.salt_length()],
    );
    Context::new(&MasterKey::new(suite, &key, &salt).unwrap()).unwrap()
}

/// A phone that protects what it sends with one byte's key, and hears what is protected by another's.
struct SecurePhone {
    phone: Phone,
    suite: Suite,
    bytes: [u8; 2],
    sends: Context,
    hears: Context,
}

impl SecurePhone {
    fn new(suite: Suite, sends: u8, hears: u8) -> Self {
        Self {
            phone: Phone::new(),
            suite,
            bytes: [sends, hears],
            sends: context(suite, sends),
            hears: context(suite, hears),
        }
    }

    fn stream(&self) -> StreamSpec {
        let mut stream = self.phone.stream();
        stream.transport.sdes = Some(SdesSpec {
            ours: key(self.suite, self.bytes[1]),
            theirs: key(self.suite, self.bytes[0]),
        });
        stream
    }

    fn protected(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + LONGEST_TRAILER, 0);
        let length = match packet[1] {
            201 => self.sends.protect_rtcp(&mut buffer, packet.len()),
            _ => self.sends.protect_rtp(&mut buffer, packet.len()),
        };
        buffer.truncate(length.unwrap());
        buffer
    }

    fn send(&mut self, packet: &[u8], port: u16) {
        let protected = self.protected(packet);
        self.phone.send(&protected, port);
    }

    fn receive(&mut self) -> Vec<u8> {
        let (mut packet, _) = self.phone.receive();
        let opened = match packet[1] {
            201 => self.hears.unprotect_rtcp(&mut packet),
            _ => self.hears.unprotect_rtp(&mut packet),
        };
        packet.truncate(opened.expect("it is protected by our key").length);
        packet
    }
}

fn bridged<'a>(engine: &'a Engine, a: StreamSpec, b: StreamSpec) -> Call<'a> {
    let mut call = Call::new(engine, "s");
    call.set("a", a).set("b", b);
    call.hear("a", &["b"]).hear("b", &["a"]).apply();
    call
}

#[test]
fn a_secured_phone_talks_with_a_plain_one_in_every_suite() {
    for suite in Suite::ALL {
        let engine = Engine::new(config()).unwrap();
        let (mut a, b) = (SecurePhone::new(suite, 1, 2), Phone::new());
        let call = bridged(&engine, a.stream(), b.stream());
        let (to_a, to_b) = (call.port("a"), call.port("b"));
        for sequence in [65_534, 65_535, 0, 1] {
            a.send(&rtp(sequence), to_a);
            assert_eq!(b.receive(), (rtp(sequence), to_b), "{suite:?}");
            b.send(&rtp_of(9, sequence), to_b);
            assert_eq!(a.receive(), rtp_of(9, sequence), "{suite:?}");
        }
        let stats = call.stats_when("a", |stats| stats.packets_sent == 4);
        assert_eq!((stats.packets_received, stats.bad_auth), (4, 0));
    }
}

#[test]
fn two_secured_phones_talk_each_with_its_own_keys() {
    let engine = Engine::new(config()).unwrap();
    let mut a = SecurePhone::new(Suite::AesCm128HmacSha1Tag32, 1, 2);
    let mut b = SecurePhone::new(Suite::AesGcm256, 3, 4);
    let call = bridged(&engine, a.stream(), b.stream());
    for sequence in 1..20 {
        a.send(&rtp(sequence), call.port("a"));
        assert_eq!(b.receive(), rtp(sequence));
        b.send(&rtp_of(9, sequence), call.port("b"));
        assert_eq!(a.receive(), rtp_of(9, sequence));
    }
    a.send(&RTCP, call.port("a") + 1);
    // The other's report port has not been heard, so it gets nothing at the next port of its own.
    call.stats_when("a", |stats| stats.rtcp_received == 1);
}

#[test]
fn reports_are_protected_on_their_way() {
    let engine = Engine::new(config()).unwrap();
    let (mut a, b) = (
        SecurePhone::new(Suite::AesCm128HmacSha1Tag80, 1, 2),
        Phone::new(),
    );
    let call = bridged(&engine, a.stream(), b.stream());
    a.send(&RTCP, call.port("a"));
    assert_eq!(b.receive().0, RTCP);
    b.send(&RTCP, call.port("b"));
    assert_eq!(a.receive(), RTCP);
}

#[test]
fn what_no_key_proves_is_neither_passed_on_nor_learnt() {
    let engine = Engine::new(config()).unwrap();
    let (mut a, b, stranger) = (
        SecurePhone::new(Suite::AesCm128HmacSha1Tag80, 1, 2),
        Phone::new(),
        Phone::new(),
    );
    let call = bridged(&engine, a.stream(), b.stream());
    let to_a = call.port("a");
    let heard = a.protected(&rtp(1));
    a.phone.send(&heard, to_a);
    assert_eq!(b.receive().0, rtp(1));
    let mut changed = a.protected(&rtp(2));
    changed[30] ^= 1;
    for packet in [&heard, &changed, &rtp(3), &rtp_of(9, 3)] {
        for phone in [&stranger, &a.phone] {
            phone.send(packet, to_a);
        }
    }
    call.stats_when("a", |stats| stats.bad_auth == 8);
    b.send(&rtp(4), call.port("b"));
    assert_eq!(a.receive(), rtp(4));
    assert!(b.hears_nothing() && stranger.hears_nothing());
}

#[test]
fn a_phone_is_found_wherever_its_key_comes_from() {
    let engine = Engine::new(config()).unwrap();
    let (mut a, b) = (SecurePhone::new(Suite::AesGcm128, 1, 2), Phone::new());
    let mut told = a.stream();
    told.transport.remote = Some(
        "10.255.255.1:4000"
            .parse::<std::net::SocketAddr>()
            .unwrap()
            .into(),
    );
    let call = bridged(&engine, told, b.stream());
    a.send(&rtp(1), call.port("a"));
    assert_eq!(b.receive().0, rtp(1));
    let late = a.protected(&rtp(2));
    let old = std::mem::replace(&mut a.phone, Phone::new());
    a.send(&rtp(3), call.port("a"));
    assert_eq!(b.receive().0, rtp(3));
    old.send(&late, call.port("a"));
    assert_eq!(b.receive().0, rtp(2), "a late packet is heard");
    b.send(&rtp(4), call.port("b"));
    assert_eq!(a.receive(), rtp(4), "and moves nobody back");
    assert!(old.hears_nothing());
}

#[test]
fn new_keys_take_over_and_an_old_one_goes_on_where_it_was() {
    let engine = Engine::new(config()).unwrap();
    let suite = Suite::AesCm128HmacSha1Tag80;
    let (mut a, b) = (SecurePhone::new(suite, 1, 2), Phone::new());
    let mut call = bridged(&engine, a.stream(), b.stream());
    b.send(&rtp(1), call.port("b"));
    assert_eq!(a.receive(), rtp(1));
    a.bytes[0] = 5;
    a.sends = context(suite, 5);
    call.set("a", a.stream()).apply();
    a.send(&rtp(1), call.port("a"));
    assert_eq!(b.receive().0, rtp(1));
    // Of the key that stayed no index comes again.
    b.send(&rtp(1), call.port("b"));
    b.send(&rtp(2), call.port("b"));
    assert_eq!(a.receive(), rtp(2));
}

#[test]
fn a_key_that_comes_again_after_others_or_none_goes_on_where_it_was() {
    let suite = Suite::AesGcm128;
    for byte in [Some(3), None] {
        let engine = Engine::new(config()).unwrap();
        let (mut a, b) = (SecurePhone::new(suite, 1, 2), Phone::new());
        let mut call = bridged(&engine, a.stream(), b.stream());
        b.send(&rtp(10), call.port("b"));
        assert_eq!(a.receive(), rtp(10));
        let mut between = a.phone.stream();
        between.transport.sdes = byte.map(|byte| SdesSpec {
            ours: key(suite, byte),
            theirs: key(suite, 1),
        });
        call.set("a", between).apply();
        call.set("a", a.stream()).apply();
        b.send(&rtp(10), call.port("b"));
        b.send(&rtp(11), call.port("b"));
        assert_eq!(a.receive(), rtp(11), "10 was sent under this key");
    }
}

#[test]
fn keys_that_cannot_be_are_refused_without_being_told() {
    let engine = Engine::new(config()).unwrap();
    let phone = SecurePhone::new(Suite::AesGcm128, 0x6b, 0x73);
    let wrong = |change: fn(&mut SdesSpec)| {
        let mut stream = phone.stream();
        change(stream.transport.sdes.as_mut().unwrap());
        let mut call = Call::new(&engine, "s");
        let refused = call.set("a", stream).try_apply().unwrap_err();
        assert!(matches!(refused, EngineError::Invalid(_)));
        refused.to_string()
    };
    let told = [
        wrong(|sdes| sdes.ours.suite = "ROT13".to_owned()),
        wrong(|sdes| sdes.ours.key = [0x6b; 15].as_slice().into()),
        wrong(|sdes| sdes.theirs.salt = [0x73; 14].as_slice().into()),
        wrong(|sdes| sdes.ours = sdes.theirs.clone()),
        format!("{:?}", phone.stream()),
    ];
    for text in told {
        assert!(!text.contains("107") && !text.contains("kkk"), "{text}");
    }
}
