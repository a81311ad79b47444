//! What must hold of SIP and SDP text, whatever a peer sends.
//!
//! Each function takes any bytes and panics when something does not hold. The fuzz targets in
//! `bin/` feed them what a coverage-guided search comes up with, the test below the seeds it begins with.

mod descriptions;
mod edits;
mod framing;
mod messages;
mod values;

pub use descriptions::sdp;
pub use edits::edit;
pub use framing::framing;
pub use messages::message;
pub use values::{address, auth, params, uri, via};

/// Shows bytes in a complaint.
pub(crate) fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    type Target = fn(&[u8]);

    const MESSAGES: [&str; 3] = [
        "tests/e2e/torture/rfc4475",
        "tests/e2e/torture/rfc5118",
        "tests/data/sip",
    ];
    const DESCRIPTIONS: &str = "tests/data/sdp";
    const VALUES: [(&str, Target); 5] = [
        ("uri", crate::uri),
        ("address", crate::address),
        ("via", crate::via),
        ("params", crate::params),
        ("auth", crate::auth),
    ];

    /// A seed, cut at its bytes, and with some of them changed.
    fn feed(target: Target, seed: &[u8], step: usize) {
        for end in (0..=seed.len()).step_by(step) {
            target(&seed[..end]);
        }
        let mut changed = seed.to_vec();
        for at in (0..seed.len()).step_by(step) {
            for byte in [b'\r', b'\n', b'"', b';', b',', b'%', b' ', 0, 0xff] {
                changed[at] = byte;
                target(&changed);
            }
            changed[at] = seed[at];
        }
    }

    #[test]
    fn the_invariants_hold_around_all_messages() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let folders = MESSAGES.map(|folder| fs::read_dir(root.join(folder)).expect("a folder"));
        for file in folders.into_iter().flatten() {
            let seed = fs::read(file.expect("a file").path()).expect("a message");
            for target in [crate::message, crate::framing, crate::edit] {
                target(&seed);
            }
            if seed.len() < 400 {
                feed(crate::message, &seed, 3);
                feed(crate::framing, &seed, 3);
            }
        }
    }

    #[test]
    fn the_invariants_hold_around_all_descriptions() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        for file in fs::read_dir(root.join(DESCRIPTIONS)).expect("a folder") {
            let seed = fs::read(file.expect("a file").path()).expect("a description");
            feed(crate::sdp, &seed, 1);
        }
    }

    #[test]
    fn the_invariants_hold_around_all_values() {
        for (name, target) in VALUES {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("seeds/{name}.txt"));
            let seeds = fs::read(file).expect("seeds");
            for seed in seeds.split(|byte| *byte == b'\n') {
                feed(target, seed, 1);
            }
        }
    }
}
