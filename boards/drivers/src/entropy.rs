//! Random numbers for boards that are emulated and have no generator: from the machine that emulates them.
//!
//! They are read from its `/dev/urandom` by semihosting, each time some are wanted. On a board of its own there is nobody to
//! ask: the processor stops at the question (a fault, and cortex-m-rt's handler of faults does not return), so that no key is
//! ever made of numbers that somebody else can know. **A real board has a generator, or needs one**: give
//! `netloom_embedded::tls` that instead.

use cortex_m_semihosting::{nr, syscall};
use rand_core::{CryptoRng, Error, RngCore};

/// With its zero, for the host.
const PATH: &[u8] = b"/dev/urandom\0";

/// The host's random numbers.
pub struct Entropy {
    file: usize,
}

impl Entropy {
    /// Opens them.
    ///
    /// # Panics
    /// When the host has none. On a board that is not emulated this does not return.
    pub fn open() -> Self {
        // SAFETY: the host reads the path, whose length is told without its zero, and writes nothing.
        let file = unsafe { syscall!(OPEN, PATH.as_ptr(), nr::open::R_BINARY, PATH.len() - 1) };
        assert!(file != usize::MAX, "the host has no /dev/urandom");
        Self { file }
    }
}

impl RngCore for Entropy {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// # Panics
    /// When the host does not give as many.
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        // SAFETY: the host writes into `bytes`, at most as many as there are.
        let missing = unsafe { syscall!(READ, self.file, bytes.as_mut_ptr(), bytes.len()) };
        assert!(missing == 0, "the host has no random numbers");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Entropy {}
