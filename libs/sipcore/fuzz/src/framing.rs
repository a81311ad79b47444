//! A stream brings the same in whatever pieces it comes.

use sipcore::{Framer, Limits, Piece, parse_datagram};

use crate::shown;

const CUTS: usize = 8;
const LIMITS: Limits = Limits {
    header_bytes: 600,
    body_bytes: 200,
};

/// What a stream brought, in words that can be compared.
#[derive(Debug, PartialEq, Eq)]
enum Brought {
    Message(String),
    Ping,
    Pong,
    Broken(u16, bool),
}

/// The first bytes say where the rest is cut; at once or cut, it brings the same.
pub fn framing(data: &[u8]) {
    let (cuts, stream) = data.split_at(data.len().min(CUTS));
    let is_client = cuts.first().is_some_and(|cut| cut % 2 == 1);
    let mut whole = Framer::new(LIMITS, is_client);
    whole.receive(stream);
    let whole = drain(&mut whole);

    let mut framer = Framer::new(LIMITS, is_client);
    let mut pieces = Vec::new();
    let (mut rest, mut at) = (stream, 0);
    while !rest.is_empty() {
        let cut = cuts.get(at % CUTS).map_or(1, |cut| usize::from(*cut) + 1);
        let (piece, left) = rest.split_at(cut.min(rest.len()));
        framer.receive(piece);
        pieces.extend(drain(&mut framer));
        (rest, at) = (left, at + 1);
    }
    assert_eq!(whole, pieces, "{}", shown(stream));
    let wire: usize = whole.iter().map(Brought::size).sum();
    assert!(wire <= stream.len(), "more came out than went in");
}

fn drain(framer: &mut Framer) -> Vec<Brought> {
    let mut brought = Vec::new();
    loop {
        brought.push(match framer.next_piece() {
            Ok(None) => return brought,
            Ok(Some(Piece::Ping)) => Brought::Ping,
            Ok(Some(Piece::Pong)) => Brought::Pong,
            Ok(Some(Piece::Message(mut message))) => {
                assert!(message.body.len() as u64 <= LIMITS.body_bytes);
                let wire = message.to_bytes();
                let mut again = parse_datagram(&wire).expect("it was a message on a stream");
                assert_eq!(again.to_bytes(), wire);
                Brought::Message(shown(&wire))
            }
            Err(broken) => Brought::Broken(broken.message.fault.status, broken.can_continue),
        });
    }
}

impl Brought {
    /// The least that it took of the stream.
    fn size(&self) -> usize {
        match self {
            Self::Message(_) => 1,
            Self::Ping => 4,
            Self::Pong => 2,
            Self::Broken(..) => 0,
        }
    }
}
