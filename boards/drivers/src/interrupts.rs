//! A vector table with one interrupt in it, and the switch that lets this interrupt in.
//!
//! cortex-m-rt's own table would spend 960 bytes of flash on 240 interrupts that nobody uses; a board's table ends at
//! the interrupt it needs.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

/// What the processor calls on an interrupt.
pub type Vector = unsafe extern "C" fn();

unsafe extern "C" {
    /// cortex-m-rt's handler of everything unexpected: an endless loop.
    fn DefaultHandler();
}

/// An interrupt's number, counted from the first one after the processor's own exceptions.
#[derive(Clone, Copy)]
pub struct Interrupt(pub u16);

// SAFETY: the number is the one that the board's data sheet gives and it never changes for one `Interrupt`.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

impl Interrupt {
    /// The vectors of a board that uses this interrupt alone, to be placed in `.vector_table.interrupts`.
    ///
    /// # Panics
    /// When building, if `N` is not the interrupt's number plus one.
    pub const fn vectors<const N: usize>(self, handler: Vector) -> [Vector; N] {
        assert!(N == self.0 as usize + 1, "the table ends at the interrupt it is for");
        let mut table: [Vector; N] = [DefaultHandler; N];
        table[N - 1] = handler;
        table
    }

    /// Lets the interrupt reach the processor. Its device should be configured by then.
    pub fn enable(self) {
        // SAFETY: no code of ours relies on an interrupt being masked to keep others out: what handlers and tasks
        // share is behind critical sections.
        unsafe { NVIC::unmask(self) }
    }
}
