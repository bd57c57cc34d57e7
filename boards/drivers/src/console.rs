//! A line of text and an exit code for whoever runs the firmware, and what a panic does.
//!
//! With the feature `semihosting` both go to QEMU or to a debugger; **without one of them attached such a firmware
//! stops at its first line**. Without the feature this module is silent and costs no flash: what goes on a device.

use core::fmt::Arguments;
use core::panic::PanicInfo;

/// Whether what is printed gets anywhere.
pub const SPEAKS: bool = cfg!(feature = "semihosting");

/// Prints a line: `print(format_args!("up {address}"))`.
#[cfg(feature = "semihosting")]
pub fn print(line: Arguments<'_>) {
    cortex_m_semihosting::hprintln!("{}", line);
}

/// Prints nothing: this firmware is built without the feature `semihosting`.
#[cfg(not(feature = "semihosting"))]
#[inline(always)]
pub fn print(_line: Arguments<'_>) {}

/// Says what happened and ends QEMU with exit code 1.
#[cfg(feature = "semihosting")]
#[panic_handler]
fn panic(what: &PanicInfo<'_>) -> ! {
    print(format_args!("{what}"));
    cortex_m_semihosting::debug::exit(cortex_m_semihosting::debug::EXIT_FAILURE);
    halt()
}

/// Halts: a watchdog, where the board has one, starts it anew.
#[cfg(not(feature = "semihosting"))]
#[panic_handler]
fn panic(_what: &PanicInfo<'_>) -> ! {
    halt()
}

/// Stops for good, interrupts included.
fn halt() -> ! {
    cortex_m::interrupt::disable();
    loop {
        cortex_m::asm::wfi();
    }
}
