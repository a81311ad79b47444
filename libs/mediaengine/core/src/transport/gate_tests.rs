use super::*;

const SDP: &str = "10.0.0.5:4000";
const NAT: &str = "203.0.113.9:61000";
const NEIGHBOUR: &str = "203.0.113.9:62000";
const STRANGER: &str = "198.51.100.1:4000";

/// A gate under test, whose packets come 20 ms apart.
struct Port {
    gate: Gate,
    now_ns: u64,
    heard: Option<Heard>,
    next: u16,
}

impl Port {
    fn new() -> Self {
        let mut port = Self {
            gate: Gate::default(),
            now_ns: 0,
            heard: None,
            next: 0,
        };
        port.describe(SDP, 0);
        port
    }

    fn describe(&mut self, remote: &str, described: u32) -> bool {
        let known = ["10.0.0.5", "203.0.113.9"].map(|ip| ip.parse().unwrap());
        let remote = remote.parse().ok();
        self.gate.update(remote, &known, described, self.now_ns)
    }

    fn pass(&mut self, ms: u64) {
        self.now_ns += ms * MS;
    }

    /// A packet of a stream with this SSRC, the next in sequence.
    fn hear(&mut self, source: &str, ssrc: u32) -> Verdict {
        self.next = self.next.wrapping_add(1);
        self.hear_at(source, ssrc, self.next)
    }

    fn hear_at(&mut self, source: &str, ssrc: u32, sequence: u16) -> Verdict {
        self.pass(20);
        let place = Place { ssrc, sequence };
        let source = source.parse().unwrap();
        let verdict = self
            .gate
            .check(source, Some(place), self.heard, self.now_ns);
        if matches!(verdict, Verdict::Accept | Verdict::Learn) {
            let at_ns = self.now_ns;
            self.heard = Some(Heard { place, at_ns });
        }
        verdict
    }

    fn verdicts(&mut self, source: &str, ssrc: u32, packets: usize) -> Vec<Verdict> {
        (0..packets).map(|_| self.hear(source, ssrc)).collect()
    }

    fn locked(&self) -> Option<SocketAddr> {
        self.gate.locked()
    }
}

fn at(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

#[test]
fn the_address_of_the_sdp_is_believed_at_once() {
    let mut port = Port::new();
    assert_eq!(port.verdicts(SDP, 1, 2), [Verdict::Learn, Verdict::Accept]);
}

#[test]
fn another_port_of_a_known_ip_has_to_send_three_packets_in_a_row_unheard() {
    let mut port = Port::new();
    let wanted = [
        Verdict::Probe,
        Verdict::Probe,
        Verdict::Prove,
        Verdict::Accept,
    ];
    assert_eq!(port.verdicts(NAT, 1, 4), wanted);
    let mut port = Port::new();
    port.verdicts(NAT, 1, 2);
    assert_eq!(port.hear(NAT, 2), Verdict::Probe, "another stream");
    port.next += 1;
    assert_eq!(port.hear(NAT, 2), Verdict::Probe, "a gap");
    assert_eq!(port.hear(NEIGHBOUR, 2), Verdict::Probe, "another source");
    assert_eq!(port.locked(), None);
}

#[test]
fn no_other_ip_is_ever_believed() {
    let mut port = Port::new();
    for described in 1..4 {
        let heard = port.verdicts(STRANGER, 1, 10);
        assert!(heard.iter().all(|verdict| *verdict == Verdict::Reject));
        port.describe(SDP, described);
    }
}

#[test]
fn the_exact_address_takes_the_port_from_a_provisional_source_for_three_seconds() {
    let mut port = Port::new();
    port.verdicts(NAT, 1, 4);
    assert_eq!(port.hear(SDP, 2), Verdict::Learn);
    assert_eq!(port.hear(NAT, 1), Verdict::Reject);
    let mut port = Port::new();
    port.verdicts(NAT, 1, 4);
    port.pass(3_000);
    assert_eq!(port.hear(SDP, 2), Verdict::Reject);
}

#[test]
fn a_new_address_in_the_signalling_is_believed_at_once_and_the_old_source_no_more() {
    let mut port = Port::new();
    port.verdicts(SDP, 1, 4);
    assert!(port.describe("10.0.0.5:4100", 1));
    assert_eq!(port.hear("10.0.0.5:4100", 1), Verdict::Learn);
    assert_eq!(port.hear(SDP, 1), Verdict::Reject);
}

#[test]
fn a_description_with_the_same_address_lets_a_silent_phone_be_learnt_once_more() {
    let mut port = Port::new();
    port.verdicts(NAT, 1, 4);
    assert_eq!(port.hear(NEIGHBOUR, 2), Verdict::Reject);
    port.pass(500);
    assert!(!port.describe(SDP, 1));
    port.verdicts(NEIGHBOUR, 2, 3);
    assert_eq!(port.locked(), at(NEIGHBOUR));
    port.pass(500);
    assert_eq!(port.hear(NAT, 1), Verdict::Reject, "once");
}

#[test]
fn a_description_takes_no_port_from_a_source_that_goes_on() {
    let mut port = Port::new();
    port.verdicts(NAT, 1, 4);
    port.describe(SDP, 1);
    for _ in 0..20 {
        assert_eq!(port.hear(NEIGHBOUR, 2), Verdict::Reject);
        assert_eq!(port.hear(NAT, 1), Verdict::Accept);
    }
}

#[test]
fn the_window_of_a_description_closes() {
    let mut port = Port::new();
    port.verdicts(NAT, 1, 4);
    port.describe(SDP, 1);
    port.pass(3_000);
    assert_eq!(port.hear(NEIGHBOUR, 2), Verdict::Reject);
}

#[test]
fn a_stream_that_goes_on_from_another_port_after_silence_is_a_nat_that_rebound() {
    let mut port = Port::new();
    port.verdicts(NAT, 1, 10);
    assert_eq!(port.hear(NEIGHBOUR, 1), Verdict::Reject, "not silent yet");
    port.pass(1_500);
    let wanted = [
        Verdict::Probe,
        Verdict::Probe,
        Verdict::Prove,
        Verdict::Accept,
    ];
    assert_eq!(port.verdicts(NEIGHBOUR, 1, 4), wanted);
}

#[test]
fn silence_lets_in_neither_another_stream_nor_another_ip_nor_an_old_packet() {
    let mut port = Port::new();
    port.verdicts(NAT, 1, 10);
    port.pass(5_000);
    assert_eq!(port.hear(NEIGHBOUR, 2), Verdict::Reject);
    assert_eq!(port.hear("10.0.0.5:4008", 1), Verdict::Reject);
    assert_eq!(port.hear_at(NEIGHBOUR, 1, 5), Verdict::Reject);
    assert_eq!(port.hear_at(NEIGHBOUR, 1, 9_000), Verdict::Reject);
}

#[test]
fn who_spoke_to_the_port_in_the_session_before_is_not_believed() {
    let mut port = Port::new();
    port.gate = Gate::new(at(SDP).map(|source| (source, 7)));
    port.describe(SDP, 0);
    assert_eq!(port.hear(SDP, 7), Verdict::Reject);
    assert_eq!(port.hear(SDP, 8), Verdict::Learn, "with a new stream he is");
}

#[test]
fn reports_alone_prove_nobody() {
    let mut port = Port::new();
    let report = |port: &mut Port, source: &str| {
        let source = source.parse().unwrap();
        port.gate.check(source, None, port.heard, port.now_ns)
    };
    assert_eq!(report(&mut port, SDP), Verdict::Accept);
    assert_eq!(report(&mut port, NAT), Verdict::Reject);
    assert_eq!(port.locked(), None);
    port.verdicts(NAT, 1, 3);
    assert_eq!(report(&mut port, NAT), Verdict::Accept);
    assert_eq!(report(&mut port, SDP), Verdict::Reject);
}

#[test]
fn the_report_port_learns_from_the_ip_of_the_first_and_again_when_that_moves() {
    let mut gate = ReportGate::default();
    let check = |gate: &mut ReportGate, source: &str, rtp: &str| {
        gate.check(source.parse().unwrap(), at(rtp))
    };
    assert_eq!(check(&mut gate, STRANGER, NAT), Verdict::Reject);
    assert_eq!(check(&mut gate, NEIGHBOUR, NAT), Verdict::Learn);
    assert_eq!(check(&mut gate, "203.0.113.9:5", NAT), Verdict::Reject);
    gate.unlock();
    assert_eq!(check(&mut gate, "203.0.113.9:5", NAT), Verdict::Learn);
}

#[test]
fn nothing_is_accepted_before_anything_is_known() {
    let place = Place {
        ssrc: 1,
        sequence: 1,
    };
    let source = SDP.parse().unwrap();
    let verdict = Gate::default().check(source, Some(place), None, 0);
    assert_eq!(verdict, Verdict::Reject);
    let verdict = ReportGate::default().check(source, None);
    assert_eq!(verdict, Verdict::Reject);
}
