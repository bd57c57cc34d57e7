//! The time of day, from a server of SNTP (RFC 4330; the packets are NTP's, RFC 5905).
//!
//! An answer counts if it comes from whom was asked and repeats the random number that was sent: somebody who does not see the
//! question cannot make one up. Somebody who does can, for SNTP has no signatures: who can delay and change packets can have a
//! board take an expired certificate for one that is valid. So never believe a time before the firmware was built.
//!
//! ```
//! use netloom_embedded::{Duration, Result, Stack, sntp};
//!
//! async fn unix_seconds(stack: Stack<'_>, random: u64) -> Result<u64> {
//!     let server = core::net::SocketAddr::from(([192, 0, 2, 1], sntp::PORT));
//!     Ok(sntp::ask(stack, server, random, Duration::from_secs(2)).await?.now())
//! }
//! ```

use embassy_net::Stack;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_time::Instant;
use netloom_core::{Code, Duration, Error, Result};

use crate::client::{Host, in_time, resolve};

/// Where servers listen.
pub const PORT: u16 = 123;

/// RFC 4330, 4: a packet without authentication.
const PACKET: usize = 48;

/// Version 4, and the modes of who asks and who answers.
const VERSION: u8 = 4 << 3;
const CLIENT: u8 = 3;
const SERVER: u8 = 4;

/// Where in a packet what was asked with is repeated, and where the answer's time is.
const ORIGINATE: usize = 24;
const TRANSMIT: usize = 40;

/// From 1900 to 1970, in seconds.
const EPOCH: u64 = 2_208_988_800;

/// A clock that was set: the time of day, as long as the board is not reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// Unix time when embassy's clock began.
    began: u64,
}

impl WallClock {
    /// Seconds since 1970, UTC.
    pub fn now(&self) -> u64 {
        self.began + Instant::now().as_secs()
    }
}

/// Asks `server` for the time, once, for at most `timeout`. Right to a second or two. Takes one socket of the stack's and no
/// memory but the future's, 1 KB.
///
/// `random` is a number that nobody can guess.
///
/// # Errors
/// * [`Code::ConnectionTimeout`]: no answer; what comes from others or answers something else is passed over.
/// * [`Code::Rejected`]: the server does not want to be asked (a kiss of death: RFC 4330, 8), or does not know the time.
/// * [`Code::ConnectionFailed`], [`Code::NameNotResolved`], [`Code::Unsupported`]: as when connecting.
pub async fn ask(
    stack: Stack<'_>,
    server: impl Into<Host<'_>>,
    random: u64,
    timeout: Duration,
) -> Result<WallClock> {
    let server = server.into();
    in_time(timeout, async {
        let server = resolve(stack, server).await?;
        // Somebody who sends more at once, to keep the answer out, gets his way: there is no time then.
        let (mut rx, mut tx) = ([0; 4 * PACKET], [0; PACKET]);
        let (mut rx_places, mut tx_places) = ([PacketMetadata::EMPTY; 8], [PacketMetadata::EMPTY]);
        let mut socket = UdpSocket::new(stack, &mut rx_places, &mut rx, &mut tx_places, &mut tx);
        let failed = || Error::new(Code::ConnectionFailed);
        socket.bind(0).map_err(|_| failed())?;
        socket.send_to(&question(random), server).await.map_err(|_| failed())?;
        loop {
            let mut packet = [0; PACKET];
            // One that is too long is none.
            let Ok((len, from)) = socket.recv_from(&mut packet).await else { continue };
            if len < PACKET || from.endpoint != server {
                continue;
            }
            if let Some(answer) = answer(&packet, random) {
                return Ok(WallClock { began: answer?.saturating_sub(Instant::now().as_secs()) });
            }
        }
    })
    .await
}

/// The random number stands for the time at which it is asked: that is nobody's business (RFC 4330, 5: "should").
fn question(random: u64) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[0] = VERSION | CLIENT;
    packet[TRANSMIT..].copy_from_slice(&random.to_be_bytes());
    packet
}

/// The Unix time in a packet, if that is the answer to this question.
fn answer(packet: &[u8; PACKET], random: u64) -> Option<Result<u64>> {
    let [first, stratum, ..] = *packet;
    let (warning, mode) = (first >> 6, first & 7);
    // RFC 4330, 5.
    if mode != SERVER || packet[ORIGINATE..ORIGINATE + 8] != random.to_be_bytes() {
        return None;
    }
    let seconds = packet[TRANSMIT..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
    // An alarm, a kiss of death, a distance that nobody is at, no time.
    if warning == 3 || !(1..=15).contains(&stratum) || packet[TRANSMIT..] == [0; 8] {
        return Some(Err(Code::Rejected.into()));
    }
    // RFC 4330, 3: without the highest bit it counts from 2036.
    let era = if seconds >> 31 == 0 { 1 << 32 } else { 0 };
    Some((u64::from(seconds) + era).checked_sub(EPOCH).ok_or(Code::Rejected.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: u64 = 0x0123_4567_89ab_cdef;

    fn packet(first: u8, stratum: u8, seconds: u32) -> [u8; PACKET] {
        let mut packet = [0; PACKET];
        (packet[0], packet[1]) = (first, stratum);
        packet[ORIGINATE..ORIGINATE + 8].copy_from_slice(&RANDOM.to_be_bytes());
        packet[TRANSMIT..TRANSMIT + 4].copy_from_slice(&seconds.to_be_bytes());
        packet
    }

    fn refused(packet: [u8; PACKET]) -> bool {
        matches!(answer(&packet, RANDOM), Some(Err(error)) if error == Code::Rejected)
    }

    #[test]
    fn a_question_carries_nothing_but_the_random_number() {
        let question = question(RANDOM);
        assert_eq!((question[0], &question[1..40]), (0x23, &[0; 39][..]));
        assert_eq!(question[40..], RANDOM.to_be_bytes());
    }

    #[test]
    fn an_answer_is_in_seconds_since_1970_before_and_after_2036() {
        assert_eq!(answer(&packet(0x24, 2, 0xee9b_3e80), RANDOM), Some(Ok(1_794_162_688)));
        assert_eq!(answer(&packet(0x24, 1, EPOCH as u32), RANDOM), Some(Ok(0)));
        assert_eq!(answer(&packet(0x24, 1, 1), RANDOM), Some(Ok((1 << 32) + 1 - EPOCH)));
    }

    #[test]
    fn what_does_not_answer_our_question_is_passed_over() {
        let right = packet(0x24, 2, 0xee9b_3e80);
        assert_eq!(answer(&right, RANDOM ^ 1), None);
        for mode in [0, 1, 2, 3, 5, 6, 7] {
            assert_eq!(answer(&packet(0x20 | mode, 2, 0xee9b_3e80), RANDOM), None);
        }
    }

    #[test]
    fn a_server_without_the_time_or_without_patience_is_an_error() {
        assert!(refused(packet(0xe4, 2, 0xee9b_3e80)), "an alarm");
        assert!(refused(packet(0x24, 0, 0xee9b_3e80)), "a kiss of death");
        assert!(refused(packet(0x24, 16, 0xee9b_3e80)), "unsynchronized");
        assert!(refused(packet(0x24, 2, 0)), "no time");
        assert!(refused(packet(0x24, 2, 1 << 31)), "before 1970");
    }
}
