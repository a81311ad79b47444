//! Names that occur twice.

use std::borrow::Cow;

/// How many names are compared each with each: that is faster while they are few.
const FEW: usize = 12;

/// Whether two of the names are the same but for case. Many are sorted, so that a peer that sends
/// thousands does not buy their square.
pub(crate) fn has_twins<'a>(names: impl ExactSizeIterator<Item = Cow<'a, [u8]>> + Clone) -> bool {
    if names.len() <= FEW {
        let is_first = |(at, name): (usize, Cow<'a, [u8]>)| {
            !names
                .clone()
                .take(at)
                .any(|other| other.eq_ignore_ascii_case(&name))
        };
        return !names.clone().enumerate().all(is_first);
    }
    let mut sorted: Vec<Vec<u8>> = names.map(|name| name.to_ascii_lowercase()).collect();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::auth::AuthParams;
    use crate::params::Params;
    use crate::uri::Uri;

    fn twins(names: &[String]) -> bool {
        has_twins(names.iter().map(|name| Cow::Borrowed(name.as_bytes())))
    }

    #[test]
    fn the_same_name_is_found_among_few_and_many() {
        for count in [0, 1, 2, FEW, FEW + 1, 1000] {
            let mut names: Vec<String> = (0..count).map(|number| format!("n{number}")).collect();
            assert!(!twins(&names), "{count}");
            if count > 0 {
                names.push("N0".to_owned());
                assert!(twins(&names), "{count}");
            }
        }
    }

    #[test]
    fn thousands_of_parameters_cost_no_square() {
        let names: Vec<String> = (0..20_000).map(|number| format!("p{number}")).collect();
        let began = Instant::now();
        assert!(Params::parse(names.join(";").as_bytes()).is_ok());
        assert!(Uri::parse(format!("sip:a;{}", names.join(";")).as_bytes()).is_ok());
        assert!(Uri::parse(format!("tel:1;{}", names.join(";")).as_bytes()).is_ok());
        assert!(AuthParams::parse(format!("A {}=1", names.join("=1,")).as_bytes()).is_ok());
        // Each square of them takes more, in a debug build by far.
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}
