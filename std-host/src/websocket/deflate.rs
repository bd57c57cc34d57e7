//! permessage-deflate (RFC 7692).
//!
//! Compressors are big, some 300 KiB, and sessions many. So an engine is lent by the thread while it runs, and what it
//! has made lies in a buffer that is lent while a message is in hand: a connection that waits has neither. One that
//! takes its context over from message to message has engines of its own.

use std::cell::RefCell;
use std::mem;

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};
use netloom_core::{Code, Error, Result};
use netloom_protocols::websocket::{Compression, Deflate, Inflate, Offer, Parameters};

/// What a flush ends with, and no message (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// An empty block: as the last one, and as one that others may follow.
const LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xff, 0xff];
const BLOCK: [u8; 5] = [0, 0, 0, 0xff, 0xff];
/// How far back any block looks, and the base-two logarithm of that.
const WINDOW: usize = 1 << WINDOW_BITS;
const WINDOW_BITS: u8 = 15;
/// The smallest window that engines have. Compressing, they look back 262 bytes less than it, so that this one does
/// for a peer whose window has 256 bytes as well.
const WINDOW_BITS_MIN: u8 = 9;
/// Most last blocks of a message, and how many bytes of it allow for another: what each may look back to is copied, which
/// takes as long as inflating so much.
const LAST_BLOCKS_MAX: usize = 8;
const LAST_BLOCK_EACH: usize = 256;
/// First room for what is inflated.
const ROOM: usize = 1024;
/// More than what does not shrink grows by, with a tail (RFC 1951, 3.2.4: 5 bytes for each block).
const GROWTH: usize = 64;
/// The longest buffer that a thread keeps, and how many.
const BUFFER_MAX: usize = 64 * 1024;
const BUFFERS_MAX: usize = 16;

/// How messages are compressed.
///
/// ```no_run
/// use netloom::http::{Compression, Request};
/// use netloom::websocket::{self, DeflateOptions};
/// use netloom::{Server, routes};
///
/// let app = routes! {
///     GET "/echo" => async |request: Request<'_>| {
///         let (mut socket, sent) = websocket::accept(request).await?;
///         while let Some((message, mut peer)) = socket.receive().await? {
///             peer.send(message).await?;
///         }
///         Ok(sent)
///     },
/// };
/// let compression = Compression::new().websocket(DeflateOptions::new().level(1).threshold(256));
/// let server = Server::builder().tcp("127.0.0.1:8080").http(compression.around(app))?;
/// # drop(server);
/// # Ok::<(), netloom::StartError>(())
/// ```
///
/// A message is sent as it is if it is shorter than the threshold or would not become shorter. One that comes
/// compressed may inflate to the session's `message_max` and no further: beyond that the session ends with 1009, and so it
/// does with more last blocks than one in 256 bytes (and 8). What no compressor has made ends it with 1007.
#[derive(Clone, Copy, Debug)]
pub struct DeflateOptions {
    threshold: u32,
    level: u8,
    window_bits: u8,
    peer_window_bits: u8,
    context_takeover: bool,
}

impl DeflateOptions {
    /// From 128 bytes on, at level 4, with any window, each message for itself.
    pub const fn new() -> Self {
        Self {
            threshold: 128,
            level: 4,
            window_bits: WINDOW_BITS,
            peer_window_bits: WINDOW_BITS,
            context_takeover: false,
        }
    }

    /// The length in bytes from which on a message is compressed.
    #[must_use]
    pub const fn threshold(mut self, bytes: u32) -> Self {
        self.threshold = bytes;
        self
    }

    /// From 1, the fastest, to 9, the smallest.
    #[must_use]
    pub const fn level(mut self, level: u32) -> Self {
        self.level = within(level, 1, 9);
        self
    }

    /// How far back what we send looks: 2 to the power of this, in bytes, 9 to 15. Less if the peer wants so.
    #[must_use]
    pub const fn window_bits(mut self, bits: u32) -> Self {
        self.window_bits = within(bits, WINDOW_BITS_MIN, WINDOW_BITS);
        self
    }

    /// The same for what the peer sends, if it can be told. It saves memory where the context is taken over.
    #[must_use]
    pub const fn peer_window_bits(mut self, bits: u32) -> Self {
        self.peer_window_bits = within(bits, WINDOW_BITS_MIN, WINDOW_BITS);
        self
    }

    /// Messages may look back into those before them, if the peer agrees. Short ones of a kind become much shorter, and
    /// each connection holds up to 350 KiB for it: from its first message until its end.
    #[must_use]
    pub const fn context_takeover(mut self, allowed: bool) -> Self {
        self.context_takeover = allowed;
        self
    }
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self::new()
    }
}

const fn within(number: u32, least: u8, most: u8) -> u8 {
    if number < least as u32 {
        least
    } else if number > most as u32 {
        most
    } else {
        number as u8
    }
}

/// One connection's compression, for a [`Coder`](crate::http::Coder) other than that of
/// [`http::Compression`](crate::http::Compression).
pub struct Deflation {
    options: DeflateOptions,
    inflating: Inflating,
    deflating: Deflating,
}

impl Deflation {
    /// Nothing is agreed on yet.
    pub fn new(options: DeflateOptions) -> Self {
        let DeflateOptions { threshold, level, window_bits, .. } = options;
        Self {
            options,
            inflating: Inflating {
                own: None,
                window_bits: WINDOW_BITS,
                takes_over: false,
                plain: Vec::new(),
            },
            deflating: Deflating {
                own: None,
                threshold,
                level,
                window_bits,
                takes_over: false,
                is_unsent: false,
                coded: Vec::new(),
            },
        }
    }

    /// What a server answers an offer with.
    fn answer(&self, offer: &Parameters) -> Parameters {
        let DeflateOptions { context_takeover, window_bits, peer_window_bits, .. } = self.options;
        Parameters {
            // RFC 7692, 7.1.1: said unasked, too.
            server_no_context_takeover: offer.server_no_context_takeover || !context_takeover,
            client_no_context_takeover: offer.client_no_context_takeover || !context_takeover,
            server_max_window_bits: offer.server_max_window_bits.map(|most| most.min(window_bits)),
            // 7.1.2.2: never unasked. It would save nothing where an engine is lent.
            client_max_window_bits: offer
                .client_max_window_bits
                .map(|most| most.min(peer_window_bits))
                .filter(|bits| context_takeover && *bits < WINDOW_BITS),
        }
    }

    /// What a client offers.
    pub(super) fn offer(&self) -> Offer {
        let DeflateOptions { context_takeover, window_bits, peer_window_bits, .. } = self.options;
        Offer(Parameters {
            server_no_context_takeover: !context_takeover,
            client_no_context_takeover: !context_takeover,
            server_max_window_bits: Some(peer_window_bits)
                .filter(|bits| context_takeover && *bits < WINDOW_BITS),
            client_max_window_bits: Some(window_bits),
        })
    }

    /// As a client that was answered so.
    pub(super) fn connected(&mut self, agreed: &Parameters) {
        self.inflating.takes_over = !agreed.server_no_context_takeover;
        self.inflating.window_bits = engine_bits(agreed.server_max_window_bits);
        // RFC 7692, 7.1.1.2: whoever need not take the context over may not.
        self.deflating.takes_over = self.options.context_takeover && !agreed.client_no_context_takeover;
        self.deflating.window_bits = engine_bits(agreed.client_max_window_bits).min(self.options.window_bits);
    }

    /// As a server that has answered so.
    fn accepted(&mut self, agreed: &Parameters) {
        self.inflating.takes_over = !agreed.client_no_context_takeover;
        self.inflating.window_bits = engine_bits(agreed.client_max_window_bits);
        self.deflating.takes_over = !agreed.server_no_context_takeover;
        self.deflating.window_bits = engine_bits(agreed.server_max_window_bits).min(self.options.window_bits);
    }

    /// What takes compression off, and what compresses.
    pub(super) fn parts(&mut self) -> (&mut dyn Inflate, &mut Deflating) {
        (&mut self.inflating, &mut self.deflating)
    }
}

impl Compression for Deflation {
    fn agree(&mut self, offers: &mut dyn Iterator<Item = Parameters>) -> Option<Parameters> {
        // There is none that cannot be met, so the one that the client likes best is.
        let agreed = self.answer(&offers.next()?);
        self.accepted(&agreed);
        Some(agreed)
    }

    fn halves(&mut self) -> (&mut dyn Inflate, &mut dyn Deflate) {
        (&mut self.inflating, &mut self.deflating)
    }
}

/// The window of an engine that keeps to what was agreed on.
fn engine_bits(agreed: Option<u8>) -> u8 {
    agreed.unwrap_or(WINDOW_BITS).max(WINDOW_BITS_MIN)
}

/// What a thread lends: engines that are reset, and empty buffers.
struct Pool {
    inflater: Option<Box<Decompress>>,
    /// By window and level, of which there are few in a process.
    deflaters: Vec<(u8, u8, Box<Compress>)>,
    buffers: Vec<Vec<u8>>,
}

/// Most compressors that a thread keeps: one for each window.
const DEFLATERS_MAX: usize = 8;

thread_local! {
    static POOL: RefCell<Pool> =
        const { RefCell::new(Pool { inflater: None, deflaters: Vec::new(), buffers: Vec::new() }) };
}

fn pool<T>(use_it: impl FnOnce(&mut Pool) -> T) -> T {
    POOL.with_borrow_mut(use_it)
}

impl Pool {
    fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    fn take_back(&mut self, mut buffer: Vec<u8>) {
        if (1..=BUFFER_MAX).contains(&buffer.capacity()) && self.buffers.len() < BUFFERS_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

struct Inflating {
    /// The context that is taken over.
    own: Option<Box<Decompress>>,
    window_bits: u8,
    takes_over: bool,
    plain: Vec<u8>,
}

impl Inflate for Inflating {
    fn inflate(&mut self, message: &[u8], max: usize) -> Result<()> {
        let mut engine = match self.own.take() {
            Some(own) => own,
            None if self.takes_over => Box::new(Decompress::new_with_window_bits(false, self.window_bits)),
            None => pool(|pool| pool.inflater.take()).unwrap_or_else(|| Box::new(Decompress::new(false))),
        };
        if self.plain.capacity() == 0 {
            self.plain = pool(Pool::buffer);
        }
        self.plain.clear();
        let inflated = inflate_message(&mut engine, message, &mut self.plain, max, self.takes_over);
        match self.takes_over {
            true => self.own = Some(engine),
            false => {
                engine.reset(false);
                pool(|pool| pool.inflater = Some(engine));
            }
        }
        inflated
    }

    fn inflated(&self) -> &[u8] {
        &self.plain
    }

    fn release(&mut self) {
        let plain = mem::take(&mut self.plain);
        pool(|pool| pool.take_back(plain));
    }
}

/// Where inflating has come to an end of its input.
#[derive(PartialEq, Eq)]
enum At {
    /// Within the stream.
    Stream,
    /// Behind a last block.
    End,
}

fn inflate_message(
    engine: &mut Decompress,
    message: &[u8],
    plain: &mut Vec<u8>,
    max: usize,
    goes_on: bool,
) -> Result<()> {
    // RFC 7692, 7.2.3.4: there is another block behind a last one, but a sender that leaves it out is understood. So
    // is one that says an empty message in no byte instead of one.
    if message.is_empty() || inflate(engine, message, plain, max)? == At::End {
        return Ok(());
    }
    // 7.2.2, and an empty block: in a message that is all there, neither is more than that.
    let end = if goes_on { BLOCK } else { LAST_BLOCK };
    let whole = plain.len();
    let at = inflate(engine, &TAIL, plain, max)?;
    let ended = inflate(engine, &end, plain, max)?;
    match at == At::Stream && (ended == At::Stream) == goes_on && plain.len() == whole {
        true => Ok(()),
        false => Err(malformed()),
    }
}

/// Inflates `input` behind `plain`, which becomes no longer than `max`.
fn inflate(engine: &mut Decompress, mut input: &[u8], plain: &mut Vec<u8>, max: usize) -> Result<At> {
    let mut last_blocks = LAST_BLOCKS_MAX + input.len() / LAST_BLOCK_EACH;
    loop {
        if plain.len() == plain.capacity() {
            let more = plain.len().max(ROOM).min(max.saturating_add(1) - plain.len());
            plain.reserve_exact(more);
        }
        let before = engine.total_in();
        let status = engine.decompress_vec(input, plain, FlushDecompress::None).map_err(|_| malformed())?;
        let taken = (engine.total_in() - before) as usize;
        input = input.get(taken..).unwrap_or_default();
        let is_end = status == Status::StreamEnd;
        if plain.len() > max || (is_end && last_blocks == 0) {
            return Err(Error::new(Code::MessageTooLarge).on_wire(1009));
        }
        if is_end {
            last_blocks -= 1;
            // What follows a last block may look back over it as over any other.
            let seen = plain.get(plain.len().saturating_sub(WINDOW)..).unwrap_or_default();
            engine.reset(false);
            engine.set_dictionary(seen).map_err(|_| malformed())?;
            if input.is_empty() {
                return Ok(At::End);
            }
        } else if plain.len() < plain.capacity() {
            // There was room to spare, so all is inflated that can be.
            return if input.is_empty() { Ok(At::Stream) } else { Err(malformed()) };
        }
    }
}

/// RFC 6455, 7.4.1: "data within a message that was not consistent with the type of the message". RFC 7692 names no
/// code.
fn malformed() -> Error {
    Error::new(Code::ProtocolViolation).on_wire(1007)
}

/// What compresses.
pub struct Deflating {
    /// The context that is taken over.
    own: Option<Box<Compress>>,
    threshold: u32,
    level: u8,
    window_bits: u8,
    takes_over: bool,
    /// What was last compressed is not known to the peer.
    is_unsent: bool,
    coded: Vec<u8>,
}

impl Deflate for Deflating {
    fn deflate(&mut self, message: &[u8]) -> Result<bool> {
        if message.len() < self.threshold as usize {
            return Ok(false);
        }
        if mem::replace(&mut self.is_unsent, true) {
            // The peer has not seen what this looks back to.
            self.own = None;
        }
        if self.coded.capacity() == 0 {
            self.coded = pool(Pool::buffer);
        }
        self.coded.clear();
        let mut engine = self.engine();
        let is_done = deflate_message(&mut engine, message, &mut self.coded);
        match self.takes_over {
            true => self.own = Some(engine),
            false => {
                engine.reset();
                let (window_bits, level) = (self.window_bits, self.level);
                pool(|pool| {
                    pool.deflaters.truncate(DEFLATERS_MAX - 1);
                    pool.deflaters.push((window_bits, level, engine));
                });
            }
        }
        // The peer must see all that later messages look back to.
        let pays = is_done && (self.takes_over || self.coded.len() < message.len());
        if !pays {
            self.own = None;
            self.release();
        }
        Ok(pays)
    }

    fn deflated(&self) -> &[u8] {
        &self.coded
    }

    fn release(&mut self) {
        self.is_unsent = false;
        let coded = mem::take(&mut self.coded);
        pool(|pool| pool.take_back(coded));
    }
}

impl Deflating {
    fn engine(&mut self) -> Box<Compress> {
        let lent = || {
            pool(|pool| {
                let mut all = pool.deflaters.iter();
                let at =
                    all.position(|(bits, level, _)| (*bits, *level) == (self.window_bits, self.level))?;
                Some(pool.deflaters.swap_remove(at).2)
            })
        };
        let engine = if self.takes_over { self.own.take() } else { lent() };
        engine.unwrap_or_else(|| {
            let level = Level::new(self.level.into());
            Box::new(Compress::new_with_window_bits(level, false, self.window_bits))
        })
    }
}

/// Compresses `message` into `coded`; whether that could be done.
fn deflate_message(engine: &mut Compress, message: &[u8], coded: &mut Vec<u8>) -> bool {
    if message.is_empty() {
        // RFC 7692, 7.2.3.6. A compressor flushes nothing twice.
        coded.push(0);
        return true;
    }
    coded.reserve_exact(message.len() + message.len() / 1024 + GROWTH);
    let mut input = message;
    loop {
        let before = engine.total_in();
        let status = engine.compress_vec(input, coded, FlushCompress::Sync);
        let taken = (engine.total_in() - before) as usize;
        input = input.get(taken..).unwrap_or_default();
        let is_over = input.is_empty() && coded.len() < coded.capacity();
        match status {
            Ok(_) if is_over => break,
            Ok(_) if coded.len() == coded.capacity() => coded.reserve(GROWTH + input.len()),
            _ => {
                tracing::error!("a message cannot be compressed");
                return false;
            }
        }
    }
    match coded.strip_suffix(&TAIL).map(<[u8]>::len) {
        Some(len) => {
            coded.truncate(len);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Parameters = Parameters {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: None,
        client_max_window_bits: None,
    };

    fn noise(n: usize) -> Vec<u8> {
        let mut state = 1u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(n)
        .collect()
    }

    fn text(n: usize) -> Vec<u8> {
        (0..n)
            .flat_map(|n| format!("{{\"line\":{n},\"kind\":\"same again\"}}\n").into_bytes())
            .take(n)
            .collect()
    }

    /// One that has agreed to what it was offered.
    fn connection(options: DeflateOptions, offer: Parameters) -> (Deflation, Parameters) {
        let mut connection = Deflation::new(options);
        let agreed = connection.agree(&mut [offer].into_iter()).expect("every offer can be met");
        (connection, agreed)
    }

    fn inflating(takes_over: bool) -> Inflating {
        let options = DeflateOptions::new().context_takeover(takes_over);
        connection(options, Parameters::default()).0.inflating
    }

    fn inflated(inflating: &mut Inflating, message: &[u8]) -> Result<Vec<u8>> {
        let inflated = inflating.inflate(message, 1 << 20).map(|()| inflating.inflated().to_vec());
        inflating.release();
        inflated
    }

    fn hex(text: &str) -> Vec<u8> {
        text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    #[test]
    fn what_is_offered_is_met_each_message_for_itself_unless_told_otherwise() {
        let (by_itself, taking_over) = (DeflateOptions::new(), DeflateOptions::new().context_takeover(true));
        let small = taking_over.window_bits(10).peer_window_bits(11);
        let none = Parameters::default();
        let windows = |server, client| Parameters {
            server_max_window_bits: server,
            client_max_window_bits: client,
            ..none
        };
        for (options, offer, answer) in [
            (by_itself, none, SERVER),
            (by_itself, windows(Some(8), Some(15)), Parameters { server_max_window_bits: Some(8), ..SERVER }),
            (by_itself, windows(None, Some(9)), SERVER),
            (taking_over, none, none),
            (taking_over, SERVER, SERVER),
            (taking_over, windows(Some(12), Some(9)), windows(Some(12), Some(9))),
            (taking_over, windows(Some(15), Some(15)), windows(Some(15), None)),
            (small, windows(Some(15), Some(15)), windows(Some(10), Some(11))),
            (small, windows(Some(9), Some(8)), windows(Some(9), Some(8))),
            (small, none, none),
        ] {
            let (connection, agreed) = connection(options, offer);
            assert_eq!(agreed, answer, "{options:?} {offer}");
            assert_eq!(connection.inflating.takes_over, !answer.client_no_context_takeover);
            assert_eq!(connection.deflating.takes_over, !answer.server_no_context_takeover);
            let most = answer.server_max_window_bits.unwrap_or(options.window_bits).max(9);
            assert_eq!(connection.deflating.window_bits, most, "{options:?} {offer}");
        }
        assert_eq!(Deflation::new(taking_over).agree(&mut std::iter::empty()), None);
    }

    #[test]
    fn what_the_rfc_has_compressed_is_inflated() {
        let hello = "f2 48 cd c9 c9 07 00";
        for (takes_over, messages) in [
            (true, &[hello, "f2 00 11 00 00", hello][..]), // RFC 7692, 7.2.3.1 and 7.2.3.2
            (false, &[hello, hello]),
            (false, &["00 05 00 fa ff 48 65 6c 6c 6f 00"]), // 7.2.3.3
            (false, &["f3 48 cd c9 c9 07 00 00", hello]),   // 7.2.3.4, BFINAL
            (true, &["f3 48 cd c9 c9 07 00 00", hello]),
            (true, &["f3 48 cd c9 c9 07 00", hello]),
            (false, &["f2 48 05 00 00 00 ff ff ca c9 c9 07 00"]), // 7.2.3.5, two blocks
            (false, &["f3 48 cd c9 c9 07 00"]),
        ] {
            let mut inflating = inflating(takes_over);
            for message in messages {
                let plain = inflated(&mut inflating, &hex(message));
                assert_eq!(plain.as_deref(), Ok(&b"Hello"[..]), "{message}");
            }
        }
        for empty in [&[0][..], &[]] {
            assert_eq!(inflated(&mut inflating(false), empty), Ok(Vec::new())); // 7.2.3.6
            assert_eq!(inflated(&mut inflating(true), empty), Ok(Vec::new()));
        }
    }

    #[test]
    fn what_is_said_is_what_the_rfc_has() {
        for takes_over in [false, true] {
            let options = DeflateOptions::new().threshold(0).context_takeover(takes_over);
            let mut deflating = connection(options, Parameters::default()).0.deflating;
            let hello = deflating.deflate(b"Hello").unwrap();
            // 7 bytes are no gain.
            assert_eq!(hello, takes_over);
            if takes_over {
                assert_eq!(deflating.deflated(), hex("f2 48 cd c9 c9 07 00"));
                deflating.release();
                assert_eq!(deflating.deflate(b"Hello"), Ok(true));
                assert_eq!(deflating.deflated(), hex("f2 00 11 00 00"));
                deflating.release();
                for _ in 0..2 {
                    assert_eq!(deflating.deflate(b""), Ok(true));
                    assert_eq!(deflating.deflated(), [0]);
                    deflating.release();
                }
            }
        }
    }

    #[test]
    fn everything_comes_back_with_every_window_and_way() {
        let all =
            [text(20_000), noise(3000), vec![0; 100_000], text(300), noise(200), text(20_000), Vec::new()];
        for bits in 8..=15 {
            for takes_over in [false, true] {
                for level in if bits == 15 { &[1, 4, 9][..] } else { &[4] } {
                    let offer = Parameters {
                        server_max_window_bits: Some(bits),
                        client_max_window_bits: Some(bits),
                        ..Parameters::default()
                    };
                    let options =
                        DeflateOptions::new().context_takeover(takes_over).level(*level).threshold(0);
                    let mut server = connection(options, offer).0;
                    // What the peer keeps of the past is what both have agreed on.
                    let mut client = connection(options, offer).0;
                    for (at, message) in all.iter().enumerate() {
                        let case = format!("{bits} {takes_over} {level} {at}");
                        let pays = server.deflating.deflate(message).unwrap();
                        assert_eq!(pays, takes_over || !matches!(at, 1 | 4 | 6), "{case}");
                        if pays {
                            let coded = server.deflating.deflated();
                            assert!(matches!(at, 1 | 4 | 6) || coded.len() < message.len() / 2, "{case}");
                            let back = inflated(&mut client.inflating, coded);
                            assert!(back.as_ref() == Ok(message), "{case}");
                            server.deflating.release();
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_looks_back_further_than_256_bytes_for_who_has_no_more() {
        // What repeats itself after `n` bytes becomes short for who looks back that far, and for nobody else.
        let becomes_short = |n: usize, level, most| {
            let offer = Parameters { server_max_window_bits: most, ..Parameters::default() };
            let mut deflating = connection(DeflateOptions::new().level(level), offer).0.deflating;
            let message: Vec<u8> = noise(n).into_iter().cycle().take(20 * n).collect();
            deflating.deflate(&message).unwrap() && deflating.deflated().len() < message.len() / 4
        };
        for level in 1..=9 {
            assert!(!becomes_short(257, level, Some(8)), "{level}");
        }
        assert!(becomes_short(240, 9, Some(8)) && becomes_short(257, 9, Some(10)));
    }

    #[test]
    fn short_messages_go_as_they_are() {
        let mut deflating = connection(DeflateOptions::new(), Parameters::default()).0.deflating;
        assert_eq!(deflating.deflate(&text(127)), Ok(false));
        assert_eq!(deflating.deflate(&text(128)), Ok(true));
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let mut deflating = connection(DeflateOptions::new(), Parameters::default()).0.deflating;
        assert_eq!(deflating.deflate(&vec![0; 1_000_000]), Ok(true));
        let bomb = deflating.deflated();
        assert!(bomb.len() < 5000);
        for takes_over in [false, true] {
            for (max, most) in [(100_000, 200_000), (999_999, 1_000_000)] {
                let mut inflating = inflating(takes_over);
                let error = inflating.inflate(bomb, max).unwrap_err();
                assert_eq!((error.code(), error.wire()), (Code::MessageTooLarge, 1009));
                assert!(inflating.plain.capacity() <= most, "{}", inflating.plain.capacity());
            }
            let mut inflating = inflating(takes_over);
            assert_eq!(inflating.inflate(bomb, 1_000_000), Ok(()));
            assert_eq!(inflating.inflated().len(), 1_000_000);
        }
        assert_eq!(inflating(false).inflate(&hex("f2 48 cd c9 c9 07 00"), 5), Ok(()));
        assert!(inflating(false).inflate(&hex("f2 48 cd c9 c9 07 00"), 4).is_err());
        assert_eq!(inflating(false).inflate(&[0], 0), Ok(()));
    }

    #[test]
    fn last_blocks_without_end_are_a_bomb() {
        // Behind each, what may be looked back to is handed over: up to 32 KiB, for two bytes.
        let with =
            |blocks: usize| [hex("f2 48 cd c9 c9 07 00 00 00 ff ff"), hex("03 00").repeat(blocks)].concat();
        let mut many =
            [hex("f3 48 cd c9 c9 07 00"), hex("00 fb 00 04 ff"), vec![b'.'; 251]].concat().repeat(1000);
        many.push(0);
        for takes_over in [false, true] {
            let mut inflating = inflating(takes_over);
            assert_eq!(inflated(&mut inflating, &with(LAST_BLOCKS_MAX)).as_deref(), Ok(&b"Hello"[..]));
            assert_eq!(inflated(&mut inflating, &many).map(|plain| plain.len()), Ok(256_000));
            let error = inflated(&mut inflating, &with(LAST_BLOCKS_MAX + 1)).unwrap_err();
            assert_eq!((error.code(), error.wire()), (Code::MessageTooLarge, 1009));
        }
    }

    #[test]
    fn what_no_compressor_has_made_is_refused() {
        let mut deflating = connection(DeflateOptions::new(), Parameters::default()).0.deflating;
        assert_eq!(deflating.deflate(&text(5000)), Ok(true));
        let whole = deflating.deflated();
        let cut = &whole[..whole.len() - 40];
        for takes_over in [false, true] {
            for bad in [
                &hex("ff ff ff")[..],            // a block of no kind
                &hex("00 05 00 fa fe 48"),       // a length that contradicts itself
                &hex("02 81 00 00"),             // further back than the beginning
                &hex("00 05 00 fa ff 48 65 6c"), // cut within what is stored
                cut,
            ] {
                let error = inflated(&mut inflating(takes_over), bad).unwrap_err();
                assert_eq!((error.code(), error.wire()), (Code::ProtocolViolation, 1007), "{bad:x?}");
            }
        }
        // The engine is as good as new.
        assert_eq!(inflated(&mut inflating(false), whole), Ok(text(5000)));
    }

    #[test]
    fn a_message_that_was_never_sent_is_not_looked_back_to() {
        let options = DeflateOptions::new().context_takeover(true);
        let (mut server, mut client) =
            (connection(options, Parameters::default()).0, connection(options, Parameters::default()).0);
        assert_eq!(server.deflating.deflate(&text(500)), Ok(true));
        assert_eq!(inflated(&mut client.inflating, server.deflating.deflated()), Ok(text(500)));
        server.deflating.release();
        assert_eq!(server.deflating.deflate(&noise(500)), Ok(true)); // dropped
        for _ in 0..2 {
            assert_eq!(server.deflating.deflate(&noise(500)), Ok(true));
            assert_eq!(inflated(&mut client.inflating, server.deflating.deflated()), Ok(noise(500)));
            server.deflating.release();
        }
        assert!(server.deflating.deflate(&noise(500)).unwrap() && server.deflating.deflated().len() < 50);
    }

    #[test]
    fn a_connection_that_waits_holds_nothing() {
        let (mut connection, _) = connection(DeflateOptions::new(), Parameters::default());
        let (inflating, deflating) = connection.halves();
        assert_eq!(deflating.deflate(&text(5000)), Ok(true));
        assert_eq!(inflating.inflate(deflating.deflated(), 5000), Ok(()));
        inflating.release();
        deflating.release();
        assert!(connection.inflating.own.is_none() && connection.deflating.own.is_none());
        assert_eq!(connection.inflating.plain.capacity() + connection.deflating.coded.capacity(), 0);
        let (inflaters, deflaters) = pool(|pool| (pool.inflater.iter().count(), pool.deflaters.len()));
        assert_eq!((inflaters, deflaters), (1, 1));
        assert!(size_of::<Deflation>() <= 96, "{}", size_of::<Deflation>());
    }
}
