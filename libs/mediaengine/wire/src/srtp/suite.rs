//! The suites, by the names of RFC 4568, 6188 and 7714.

/// The most bytes that protection adds to a packet: the tag of GCM and SRTCP's index.
pub const LONGEST_TRAILER: usize = 20;

/// How a stream is encrypted and authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES_CM_128_HMAC_SHA1_80
    AesCm128HmacSha1Tag80,
    /// AES_CM_128_HMAC_SHA1_32
    AesCm128HmacSha1Tag32,
    /// AES_256_CM_HMAC_SHA1_80
    AesCm256HmacSha1Tag80,
    /// AES_256_CM_HMAC_SHA1_32
    AesCm256HmacSha1Tag32,
    /// AEAD_AES_128_GCM
    AesGcm128,
    /// AEAD_AES_256_GCM
    AesGcm256,
}

impl Suite {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::AesCm128HmacSha1Tag80,
        Self::AesCm128HmacSha1Tag32,
        Self::AesCm256HmacSha1Tag80,
        Self::AesCm256HmacSha1Tag32,
        Self::AesGcm128,
        Self::AesGcm256,
    ];

    /// As it stands in `a=crypto`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1Tag80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1Tag32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm256HmacSha1Tag80 => "AES_256_CM_HMAC_SHA1_80",
            Self::AesCm256HmacSha1Tag32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AesGcm128 => "AEAD_AES_128_GCM",
            Self::AesGcm256 => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Bytes of a master key, and of a session's.
    pub fn key_length(self) -> usize {
        match self {
            Self::AesCm128HmacSha1Tag80 | Self::AesCm128HmacSha1Tag32 | Self::AesGcm128 => 16,
            Self::AesCm256HmacSha1Tag80 | Self::AesCm256HmacSha1Tag32 | Self::AesGcm256 => 32,
        }
    }

    /// Bytes of a master salt, and of a session's.
    pub fn salt_length(self) -> usize {
        if self.is_gcm() { 12 } else { 14 }
    }

    /// Bytes of the tag of an RTP packet.
    pub(super) fn tag_length(self) -> usize {
        match self {
            Self::AesCm128HmacSha1Tag32 | Self::AesCm256HmacSha1Tag32 => 4,
            Self::AesCm128HmacSha1Tag80 | Self::AesCm256HmacSha1Tag80 => 10,
            Self::AesGcm128 | Self::AesGcm256 => 16,
        }
    }

    pub(super) fn is_gcm(self) -> bool {
        matches!(self, Self::AesGcm128 | Self::AesGcm256)
    }
}
