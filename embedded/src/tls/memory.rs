//! The buffers of one TLS connection, lent by the caller.

use core::ops::{Deref, DerefMut};

use zeroize::Zeroize;

use super::record::record;

/// Buffers of one TLS connection: `RECORD` bytes for what is received, `SEND` for what is sent. Meant for a static.
///
/// A record is decrypted as a whole, so the longest that is received must fit `RECORD`. Servers send up to 16 KB unless they
/// are asked for less, which they are if `RECORD` is below [`record`]`(16_384)`: for 4,096, 2,048, 1,024 or 512 bytes of
/// content, the most that fits (RFC 6066, 4; OpenSSL, wolfSSL and mbed TLS heed it, rustls and Go do not, but their records
/// are no longer than what their application writes at once). The server's certificates have to fit too, because embedded-tls
/// takes no handshake message in pieces: chains of P-256 certificates take 1 to 3 KB.
///
/// `SEND` bounds what leaves in one record: 46 bytes less than it. Half of it has to hold the ClientHello (190 bytes, the
/// server's name and, for a pre-shared key, 50 bytes and its identity) and a client's certificate with 42 bytes more.
///
/// ```
/// use netloom_embedded::tls::{self, TlsMemory};
///
/// type Ours = TlsMemory<{ tls::record(4096) }>;
/// const _: () = assert!(Ours::TOTAL <= 6 * 1024);
/// ```
pub struct TlsMemory<const RECORD: usize, const SEND: usize = 1280> {
    rx: [u8; RECORD],
    tx: [u8; SEND],
}

impl<const RECORD: usize, const SEND: usize> TlsMemory<RECORD, SEND> {
    /// Bytes of all of it.
    pub const TOTAL: usize = {
        assert!(RECORD >= record(512), "the least that a server can be asked for is 512 bytes");
        assert!(SEND >= 768, "a ClientHello needs half of that");
        assert!(SEND <= 16_384, "a record has no more");
        size_of::<Self>()
    };

    /// All zero.
    pub const fn new() -> Self {
        Self { rx: [0; RECORD], tx: [0; SEND] }
    }

    /// What is received, what is sent.
    pub(super) fn split(&mut self) -> (Wiped<'_>, Wiped<'_>) {
        const { assert!(Self::TOTAL > 0) };
        (Wiped(&mut self.rx), Wiped(&mut self.tx))
    }
}

/// A buffer that keys and content pass through, and that nothing of them is left in.
pub(super) struct Wiped<'d>(&'d mut [u8]);

impl Wiped<'_> {
    /// All zero.
    pub(super) fn wipe(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for Wiped<'_> {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Deref for Wiped<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl DerefMut for Wiped<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0
    }
}

impl<const RECORD: usize, const SEND: usize> Default for TlsMemory<RECORD, SEND> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_what_passed_through() {
        let mut memory: TlsMemory<{ record(512) }, 768> = TlsMemory::new();
        let (mut rx, mut tx) = memory.split();
        rx.fill(7);
        tx.fill(7);
        rx.wipe();
        assert!(rx.iter().all(|byte| *byte == 0));
        rx[0] = 1;
        drop((rx, tx));
        assert!(memory.rx.iter().chain(&memory.tx).all(|byte| *byte == 0));
    }
}
