//! A block of memory-mapped 32-bit registers: the one place where drivers and boards touch hardware.

/// The offset of a register from the start of its block, in bytes.
#[derive(Clone, Copy)]
pub struct Register(pub u16);

/// The block's address. Copies of it are the same hardware.
#[derive(Clone, Copy)]
pub struct Block(usize);

impl Block {
    /// The block at `address`.
    ///
    /// # Safety
    /// Every register that is read or written through this block is at `address` plus its offset, a multiple of
    /// four, and neither reading nor writing it touches memory that Rust code owns.
    pub const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    /// Reads a register.
    #[inline]
    pub fn read(self, register: Register) -> u32 {
        // SAFETY: whoever made this block promised that its registers are there (`Block::at`).
        unsafe { ((self.0 + usize::from(register.0)) as *const u32).read_volatile() }
    }

    /// Writes a register.
    #[inline]
    pub fn write(self, register: Register, value: u32) {
        // SAFETY: as for `read`; a register is not memory that Rust code owns.
        unsafe { ((self.0 + usize::from(register.0)) as *mut u32).write_volatile(value) }
    }
}
