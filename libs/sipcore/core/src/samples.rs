//! Messages for tests.

/// Without the empty line that ends a header.
pub(crate) const OPTIONS: &str = "OPTIONS sip:b@c SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9, SIP/2.0/UDP b\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:b@c>\r\nCall-ID: x\r\nCSeq: 7  OPTIONS\r\n";
