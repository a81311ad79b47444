//! Reading numbers from bytes that may end too early.

use crate::StoreError;

/// `length` bytes at `at`, or how many would be needed.
pub(crate) fn slice(bytes: &[u8], at: u64, length: usize) -> Result<&[u8], StoreError> {
    let needed = at.saturating_add(length as u64);
    let truncated = StoreError::Truncated { needed };
    let Ok(start) = usize::try_from(at) else {
        return Err(truncated);
    };
    let end = start.checked_add(length);
    end.and_then(|end| bytes.get(start..end)).ok_or(truncated)
}

/// `N` bytes at `at`, or how many would be needed.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: u64) -> Result<[u8; N], StoreError> {
    let mut found = [0; N];
    found.copy_from_slice(slice(bytes, at, N)?);
    Ok(found)
}

/// A little-endian number of 16 bits.
pub(crate) fn u16_le(bytes: &[u8], at: u64) -> Result<u16, StoreError> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// A little-endian number of 32 bits.
pub(crate) fn u32_le(bytes: &[u8], at: u64) -> Result<u32, StoreError> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// A little-endian number of 64 bits.
pub(crate) fn u64_le(bytes: &[u8], at: u64) -> Result<u64, StoreError> {
    array(bytes, at).map(u64::from_le_bytes)
}
