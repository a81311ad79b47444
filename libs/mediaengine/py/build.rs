//! Bakes a checksum of the sources in, so that Python can tell a stale build (`tests/rust_builds.py`). The SIP core's build is this one too.

use std::fs;
use std::path::{Path, PathBuf};

const SUFFIXES: [&str; 5] = ["rs", "toml", "lock", "py", "pyi"];
const ROOTS: [&str; 6] = ["Cargo.lock", "Cargo.toml", "core", "py", "python", "wire"];

/// CRC-32 as zlib has it.
fn crc32(mut crc: u32, bytes: &[u8]) -> u32 {
    crc = !crc;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("the sources can be listed");
        for entry in entries.flatten() {
            collect(&entry.path(), found);
        }
    } else if path
        .extension()
        .is_some_and(|suffix| SUFFIXES.iter().any(|known| suffix == *known))
    {
        found.push(path.to_owned());
    }
}

fn main() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in a workspace");
    let mut found = Vec::new();
    for root in ROOTS {
        let path = top.join(root);
        // One that is not there would have the build run again each time.
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(&path, &mut found);
        }
    }
    let mut files: Vec<(String, PathBuf)> = found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(top).expect("collected below the top");
            (name.to_string_lossy().into_owned(), path.clone())
        })
        .collect();
    files.sort();
    let crc = files.iter().fold(0, |crc, (name, path)| {
        let bytes = fs::read(path).expect("the sources can be read");
        crc32(crc32(crc, name.as_bytes()), &bytes)
    });
    println!("cargo:rustc-env=PARLEY_SOURCES={crc:08x}");
}
