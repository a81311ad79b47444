use super::*;
use crate::srtp::suite::{LONGEST_TRAILER, Suite};

const SSRC: u32 = 0xcafe_babe;
const RECEIVER_REPORT: [u8; 20] = [
    0x80, 0xc9, 0, 1, 0xca, 0xfe, 0xba, 0xbe, 0x81, 0xca, 0, 2, 0xca, 0xfe, 0xba, 0xbe, 1, 1, 0x61,
    0,
];

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16));
    pairs.map(Result::unwrap).collect()
}

/// Key and salt are 1, 2, 3 and so on.
fn context(suite: Suite) -> Context {
    let count: Vec<u8> = (1..=64).collect();
    let (key, rest) = count.split_at(suite.key_length());
    let master = MasterKey::new(suite, key, &rest[..suite.salt_length()]).unwrap();
    Context::new(&master).unwrap()
}

/// An RTP packet with an extension.
fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x90, 0x60];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, sequence as u8]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
    packet.extend(b"payload!");
    packet.extend([0; 12]);
    packet
}

fn protect(context: &mut Context, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + LONGEST_TRAILER, 0);
    let length = context.protect_rtp(&mut buffer, packet.len())?;
    buffer.truncate(length);
    Ok(buffer)
}

fn unprotect(context: &mut Context, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let opened = context.unprotect_rtp(&mut buffer)?;
    buffer.truncate(opened.length);
    Ok(buffer)
}

fn protect_report(context: &mut Context) -> Vec<u8> {
    let mut buffer = RECEIVER_REPORT.to_vec();
    buffer.resize(RECEIVER_REPORT.len() + LONGEST_TRAILER, 0);
    let length = context.protect_rtcp(&mut buffer, RECEIVER_REPORT.len());
    buffer.truncate(length.unwrap());
    buffer
}

/// By libsrtp 2.5, with the key above: the third packet of 65534, 65535, 0, and the second report
/// (libsrtp counts from 1).
const FOREIGN: [(Suite, &str, &str); 4] = [
    (
        Suite::AesCm128HmacSha1Tag80,
        "9060000000000000cafebabebede000110ff0000abf5e41d6e22fa629c9927ba8268ad347b49cd75fc59bbd4ed604b99ed65",
        "80c90001cafebabe359dba0b70968d052f5f73658000000251200915c29047709076",
    ),
    (
        Suite::AesCm128HmacSha1Tag32,
        "9060000000000000cafebabebede000110ff0000abf5e41d6e22fa629c9927ba8268ad347b49cd75fc59bbd4",
        "80c90001cafebabe359dba0b70968d052f5f73658000000251200915c29047709076",
    ),
    (
        Suite::AesGcm128,
        "9060000000000000cafebabebede000110ff00009699eded80e7ec4f93932f242e73c6c41f69934740b6869ed17ec0ed7b2891914427dc81",
        "80c90001cafebabeacec170da0258db6373cc34889221790370975cd98054c1b476c835280000002",
    ),
    (
        Suite::AesGcm256,
        "9060000000000000cafebabebede000110ff0000f1ae7a24d29117e3c3ad7e4c66c7eec471bed5ca8736d6e95a6a161cdccf0f53a0c67329",
        "80c90001cafebabe803a3f868e8cc349b7be6785c024ce1c8448ad389561a5ab88665cd380000002",
    ),
];

#[test]
fn what_is_protected_is_what_another_implementation_makes_of_it() {
    for (suite, rtp, rtcp) in FOREIGN {
        let mut ours = context(suite);
        let protected = [0xfffe, 0xffff, 0].map(|n| protect(&mut ours, &packet(SSRC, n)).unwrap());
        assert_eq!(protected[2], bytes(rtp), "{suite:?}");
        let reports: Vec<_> = (0..3).map(|_| protect_report(&mut ours)).collect();
        assert_eq!(reports[2], bytes(rtcp), "{suite:?}");
    }
}

#[test]
fn what_another_implementation_protected_is_opened() {
    for (suite, rtp, rtcp) in FOREIGN {
        let mut theirs = context(suite);
        let mut before = context(suite);
        let last = protect(&mut before, &packet(SSRC, 0xffff)).unwrap();
        unprotect(&mut theirs, &last).unwrap();
        assert_eq!(unprotect(&mut theirs, &bytes(rtp)), Ok(packet(SSRC, 0)));
        let mut report = bytes(rtcp);
        let opened = theirs.unprotect_rtcp(&mut report).unwrap();
        assert_eq!(report[..opened.length], RECEIVER_REPORT, "{suite:?}");
        let again = theirs.unprotect_rtcp(&mut bytes(rtcp));
        assert_eq!(again, Err(SrtpError::Replayed));
    }
}

#[test]
fn gcm_is_that_of_the_rfc() {
    // RFC 7714 16.1.1 and 16.2.1 name the session's key and salt, which none here is made from: the
    // nonce and the parts of a packet are compared through the cipher itself.
    let plain = bytes("8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976697361 20696e207061727465732074726573".replace(' ', "").as_str());
    let cases = [
        (
            16,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            32,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ];
    for (length, wanted) in cases {
        let key: Vec<u8> = (0..length).collect();
        let cipher = Cipher::of_session(&key, b"Quid pro quo").unwrap();
        let mut packet = plain.clone();
        packet.resize(plain.len() + 16, 0);
        let at = Place {
            ssrc: 0x5501_a0b2,
            index: 0xf17b,
        };
        let sealed = cipher.seal_rtp(&mut packet, 12, plain.len(), at);
        assert_eq!(packet[..sealed], bytes(wanted));
    }
}

#[test]
fn packets_go_through_every_suite_across_the_wrap_in_disorder() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = (context(suite), context(suite));
        let sequences = [0xfff0, 0xfff2, 0xfff1, 0xffff, 1, 0, 0xfffe, 2];
        for sequence in sequences {
            let sent = protect(&mut ours, &packet(SSRC, sequence)).unwrap();
            assert_ne!(sent[20..28], *b"payload!");
            assert_eq!(
                unprotect(&mut theirs, &sent),
                Ok(packet(SSRC, sequence)),
                "{suite:?}"
            );
            assert_eq!(unprotect(&mut theirs, &sent), Err(SrtpError::Replayed));
        }
    }
}

#[test]
fn no_index_is_sent_twice() {
    let mut ours = context(Suite::AesGcm128);
    let first = packet(SSRC, 7);
    protect(&mut ours, &first).unwrap();
    assert_eq!(protect(&mut ours, &first), Err(SrtpError::Replayed));
    protect(&mut ours, &packet(SSRC, 500)).unwrap();
    assert_eq!(
        protect(&mut ours, &packet(SSRC, 8)),
        Err(SrtpError::Replayed)
    );
    protect(&mut ours, &packet(1, 7)).expect("of another stream it is another one");
}

#[test]
fn a_million_bad_packets_change_nothing() {
    let (mut ours, mut theirs) = (
        context(Suite::AesCm128HmacSha1Tag32),
        context(Suite::AesCm128HmacSha1Tag32),
    );
    let good = protect(&mut ours, &packet(SSRC, 100)).unwrap();
    unprotect(&mut theirs, &good).unwrap();
    let next = protect(&mut ours, &packet(SSRC, 101)).unwrap();
    let mut seed = 88_172_645_463_325_252u64;
    for _ in 0..1_000_000 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut bad = next.clone();
        let place = (seed >> 8) as usize % bad.len();
        bad[place] ^= 1 << (seed & 7);
        if seed & 0xf00 == 0 {
            bad.truncate((seed >> 16) as usize % bad.len());
        }
        assert!(unprotect(&mut theirs, &bad).is_err());
    }
    assert_eq!(theirs.streams.len(), 1);
    assert_eq!(unprotect(&mut theirs, &next), Ok(packet(SSRC, 101)));
}

#[test]
fn bad_reports_change_nothing_and_are_no_panic() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = (context(suite), context(suite));
        let good = protect_report(&mut ours);
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x40;
            assert!(
                theirs.unprotect_rtcp(&mut bad).is_err(),
                "{suite:?} byte {place}"
            );
            assert!(theirs.unprotect_rtcp(&mut good[..place].to_vec()).is_err());
        }
        assert!(theirs.unprotect_rtcp(&mut good.clone()).unwrap().is_newest);
    }
}

#[test]
fn the_streams_of_a_peer_are_few() {
    let (mut ours, mut theirs) = (context(Suite::AesGcm256), context(Suite::AesGcm256));
    for ssrc in 0..100 {
        let sent = protect(&mut ours, &packet(ssrc, 1)).unwrap();
        unprotect(&mut theirs, &sent).unwrap();
        assert!(theirs.streams.len() <= MOST_STREAMS);
    }
}

#[test]
fn a_buffer_without_room_is_told() {
    let mut ours = context(Suite::AesCm128HmacSha1Tag80);
    let mut tight = packet(SSRC, 1);
    let length = tight.len();
    assert_eq!(ours.protect_rtp(&mut tight, length), Err(SrtpError::NoRoom));
    assert_eq!(
        ours.protect_rtp(&mut tight, length + 1),
        Err(SrtpError::NoRoom)
    );
    let mut report = RECEIVER_REPORT;
    let length = report.len();
    assert_eq!(
        ours.protect_rtcp(&mut report, length),
        Err(SrtpError::NoRoom)
    );
    assert_eq!(
        ours.protect_rtp(&mut [0; 40], 12),
        Err(SrtpError::Malformed)
    );
}

#[test]
fn the_index_is_the_nearest_to_the_newest() {
    let at = |roll_over: u64, sequence: u64| roll_over << 16 | sequence;
    for (newest, sequence, wanted) in [
        (None, 65_535, Some(at(0, 65_535))),
        (Some(at(0, 65_535)), 0, Some(at(1, 0))),
        (Some(at(1, 0)), 65_535, Some(at(0, 65_535))),
        (Some(at(0, 0)), 65_535, None),
        (Some(at(5, 40_000)), 7_233, Some(at(5, 7_233))),
        (Some(at(5, 40_000)), 7_231, Some(at(6, 7_231))),
        (Some(at(5, 10)), 40_000, Some(at(4, 40_000))),
    ] {
        assert_eq!(guess(newest, sequence), wanted);
    }
}
