//! Versions of QUIC.

/// A version, as in long headers (RFC 9000, 15). Which there are is a matter for who compares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u32);

impl Version {
    /// In place of a version: this is a Version Negotiation packet (RFC 9000, 17.2.1).
    pub const NEGOTIATION: Self = Self(0);
    /// QUIC version 1 (RFC 9000), the one that is spoken here.
    pub const V1: Self = Self(1);

    /// Whether packets of this version can be read here.
    pub const fn is_known(self) -> bool {
        self.0 == Self::V1.0
    }

    /// Whether it is one of 0x?a?a?a?a, which are offered so that peers learn to ignore what they do not know (RFC
    /// 9000, 6.3).
    ///
    /// ```
    /// use netloom_protocols::quic::Version;
    ///
    /// assert!(Version(0x1a2a_3a4a).is_reserved() && !Version::V1.is_reserved());
    /// ```
    pub const fn is_reserved(self) -> bool {
        self.0 & 0x0f0f_0f0f == 0x0a0a_0a0a
    }
}
