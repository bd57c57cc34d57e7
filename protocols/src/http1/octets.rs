//! Which octets may stand where, and how far a run of them goes.
//!
//! The table of classes is the definition. `sse2` and `words` find the same ends many octets at a time; a
//! test holds them to the table.

/// `tchar` of RFC 9110, 5.6.2: what names are made of.
pub(super) const TOKEN: u8 = 1;
/// Visible ASCII without `#`: a target has no fragment. RFC 9112, 3.2.
pub(super) const TARGET: u8 = 2;
/// What a registered name or an IPv4 address is made of (RFC 3986, 3.2.2), without the comma, by which some
/// would take it for a list.
pub(super) const HOST: u8 = 4;
/// HTAB, SP, visible ASCII and `obs-text`: what values are made of. RFC 9110, 5.5.
pub(super) const VALUE: u8 = 8;

/// What an octet is to a chunked body's framing; in the upper half of an octet's classes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Other,
    /// Hexadecimal, and so of a name too.
    Digit,
    /// Any other that names are made of.
    Token,
    Cr,
    Lf,
    /// HTAB or SP.
    Space,
    Semicolon,
    Colon,
    /// Any other that values are made of.
    Text,
}

impl Kind {
    pub(super) const COUNT: usize = Self::Text as usize + 1;

    const fn of(byte: u8, class: u8) -> Self {
        match byte {
            b'\r' => Self::Cr,
            b'\n' => Self::Lf,
            b'\t' | b' ' => Self::Space,
            b';' => Self::Semicolon,
            b':' => Self::Colon,
            _ if byte.is_ascii_hexdigit() => Self::Digit,
            _ if class & TOKEN != 0 => Self::Token,
            _ if class & VALUE != 0 => Self::Text,
            _ => Self::Other,
        }
    }
}

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let byte = octet as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() {
            class |= TOKEN | HOST;
        }
        if matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        ) {
            class |= TOKEN;
        }
        if matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        ) {
            class |= HOST;
        }
        if byte.is_ascii_graphic() && byte != b'#' {
            class |= TARGET;
        }
        if byte == b'\t' || byte >= b' ' && byte != 0x7f {
            class |= VALUE;
        }
        classes[octet] = class | (Kind::of(byte, class) as u8) << 4;
        octet += 1;
    }
    classes
}

/// Whether the octet is of the class.
#[inline]
pub(super) fn is(octet: u8, class: u8) -> bool {
    CLASSES[octet as usize] & class != 0
}

/// The octet's [`Kind`], as a number.
#[inline]
pub(super) fn kind(octet: u8) -> usize {
    usize::from(CLASSES[octet as usize] >> 4)
}

/// Octets of the class at the front.
#[cfg_attr(target_pointer_width = "64", inline)]
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn run(octets: &[u8], class: u8) -> usize {
    octets.iter().position(|octet| !is(*octet, class)).unwrap_or(octets.len())
}

/// Octets of a target in front of a query.
fn path_run(octets: &[u8]) -> usize {
    match cfg!(target_pointer_width = "64") {
        true => octets.iter().position(|octet| *octet == b'?' || !is(*octet, TARGET)),
        // Of a target that is known to be one: less flash.
        false => octets.iter().position(|octet| matches!(octet, b' ' | b'?')),
    }
    .unwrap_or(octets.len())
}

/// Where the first line feed is.
#[inline]
pub(super) fn line_feed(octets: &[u8]) -> Option<usize> {
    match cfg!(target_pointer_width = "64") {
        true => memchr::memchr(b'\n', octets),
        false => octets.iter().position(|octet| *octet == b'\n'),
    }
}

/// The value without optional white space around it. RFC 9110, 5.5.
#[cfg_attr(target_pointer_width = "64", inline)]
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub(super) fn trim(value: &[u8]) -> &[u8] {
    // Nearly always there is one space in front and nothing behind.
    let value = value.strip_prefix(b" ").unwrap_or(value);
    match value {
        [first, .., last] if *first > b' ' && *last > b' ' => value,
        _ => trim_more(value),
    }
}

#[cold]
fn trim_more(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The items of a list, trimmed; an empty one where there is none (RFC 9110, 5.6.1).
pub(super) fn items(list: &[u8]) -> Items<'_> {
    Items(Some(list))
}

pub(super) struct Items<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn next(&mut self) -> Option<&'a [u8]> {
        let list = self.0?;
        let len = list.iter().position(|octet| *octet == b',').unwrap_or(list.len());
        let (item, rest) = list.split_at(len);
        self.0 = rest.get(1..);
        Some(trim(item))
    }
}

/// Whether octets of values are this lower-case name, in any case.
#[cfg_attr(target_pointer_width = "64", inline)]
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub(super) fn is_name(octets: &[u8], lower: &[u8]) -> bool {
    // The bit of lower case makes a letter, digit or hyphen of nothing else but control characters.
    octets.len() == lower.len()
        && octets.iter().zip(lower).fold(0, |differs, (a, b)| differs | (a | 0x20) ^ b) == 0
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub(super) use sse2::{Values, host, is_value, path, target, token};
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
pub(super) use words::{Values, host, is_value, path, target, token};

/// Sixteen octets at a time, and values by blocks of 64.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2 {
    use safe_arch::{
        bitor_m128i, cmp_eq_mask_i8_m128i, cmp_lt_mask_i8_m128i, load_unaligned_m128i, m128i, min_u8_m128i,
        move_mask_i8_m128i, set_splat_i8_m128i, sub_i8_m128i,
    };

    /// Octets of a block: as many as a mask has bits.
    const BLOCK: usize = 64;

    #[inline]
    fn mask(matches: m128i) -> u32 {
        move_mask_i8_m128i(matches) as u32
    }

    /// Octets of a token at the front.
    #[inline]
    pub(in super::super) fn token(octets: &[u8]) -> usize {
        let mut len = 0;
        // Nearly all names are letters and hyphens, and shorter than that.
        if let Some(chunk) = octets.first_chunk::<16>() {
            let chunk = load_unaligned_m128i(chunk);
            let letter =
                sub_i8_m128i(bitor_m128i(chunk, set_splat_i8_m128i(0x20)), set_splat_i8_m128i(b'a' as i8));
            let letters = cmp_eq_mask_i8_m128i(min_u8_m128i(letter, set_splat_i8_m128i(25)), letter);
            let hyphens = cmp_eq_mask_i8_m128i(chunk, set_splat_i8_m128i(b'-' as i8));
            len = (!mask(bitor_m128i(letters, hyphens))).trailing_zeros() as usize;
        }
        match octets.get(len..) {
            None | Some([b':' | b' ', ..]) => len,
            Some(rest) => len + super::run(rest, super::TOKEN),
        }
    }

    /// Octets in front of the first that `stops`; of the last, fewer than sixteen, `rest` tells.
    #[inline]
    fn front(octets: &[u8], stops: impl Fn(m128i) -> m128i, rest: impl Fn(&[u8]) -> usize) -> usize {
        let mut left = octets;
        while let Some((chunk, behind)) = left.split_first_chunk() {
            let stops = mask(stops(load_unaligned_m128i(chunk)));
            if stops != 0 {
                return octets.len() - left.len() + stops.trailing_zeros() as usize;
            }
            left = behind;
        }
        octets.len() - left.len() + rest(left)
    }

    /// Octets of a target at the front.
    #[inline]
    pub(in super::super) fn target(octets: &[u8]) -> usize {
        front(octets, target_stops, |rest| super::run(rest, super::TARGET))
    }

    /// What is no part of a target.
    #[inline]
    fn target_stops(chunk: m128i) -> m128i {
        // Signed: all above 0x7f are below too.
        let low = cmp_lt_mask_i8_m128i(chunk, set_splat_i8_m128i(0x21));
        let delete = cmp_eq_mask_i8_m128i(chunk, set_splat_i8_m128i(0x7f));
        let fragment = cmp_eq_mask_i8_m128i(chunk, set_splat_i8_m128i(b'#' as i8));
        bitor_m128i(bitor_m128i(low, delete), fragment)
    }

    /// Octets of a target at the front, up to a query.
    #[inline]
    pub(in super::super) fn path(octets: &[u8]) -> usize {
        let query = |chunk| cmp_eq_mask_i8_m128i(chunk, set_splat_i8_m128i(b'?' as i8));
        front(octets, |chunk| bitor_m128i(target_stops(chunk), query(chunk)), super::path_run)
    }

    /// Octets of a registered name or an IPv4 address at the front.
    #[inline]
    pub(in super::super) fn host(octets: &[u8]) -> usize {
        let chunk = load_unaligned_m128i(&padded(octets));
        let within = |chunk, first: u8, last: u8| {
            let offset = sub_i8_m128i(chunk, set_splat_i8_m128i(first as i8));
            cmp_eq_mask_i8_m128i(min_u8_m128i(offset, set_splat_i8_m128i((last - first) as i8)), offset)
        };
        // Nearly all are letters, digits, dots and hyphens.
        let letters = within(bitor_m128i(chunk, set_splat_i8_m128i(0x20)), b'a', b'z');
        let others = bitor_m128i(within(chunk, b'0', b'9'), within(chunk, b'-', b'.'));
        let len = ((!mask(bitor_m128i(letters, others))).trailing_zeros() as usize).min(octets.len());
        match octets.get(len) {
            None | Some(b':') => len,
            Some(_) => len + super::run(&octets[len..], super::HOST),
        }
    }

    /// The first sixteen octets, and zeros if there are fewer.
    #[inline]
    fn padded(octets: &[u8]) -> [u8; 16] {
        match (octets.first_chunk(), octets.first_chunk(), octets.last_chunk()) {
            (Some(chunk), _, _) => *chunk,
            (None, Some(front), Some(back)) => {
                // From eight on: without a call to copy.
                let back = u64::from_le_bytes(*back);
                let behind = back.checked_shr((16 - octets.len()) as u32 * 8).unwrap_or(0);
                (u128::from(behind) << 64 | u128::from(u64::from_le_bytes(*front))).to_le_bytes()
            }
            _ => core::array::from_fn(|place| octets.get(place).copied().unwrap_or_default()),
        }
    }

    /// Whether these are octets of a value, all of them.
    #[inline]
    pub(in super::super) fn is_value(octets: &[u8]) -> bool {
        let Some(last) = octets.last_chunk() else { return super::run(octets, super::VALUE) == octets.len() };
        let (chunks, _) = octets.as_chunks::<16>();
        let stops =
            chunks.iter().fold(chunk_stops(last), |stops, chunk| bitor_m128i(stops, chunk_stops(chunk)));
        // HTAB stops too, and is rare.
        mask(stops) == 0 || super::run(octets, super::VALUE) == octets.len()
    }

    /// Where values end. Asked from front to back.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Values<'a> {
        octets: &'a [u8],
        /// Where the block begins.
        base: usize,
        /// A bit for each octet of the block that is no part of a value, and for all behind the end. HTAB has
        /// one too.
        stops: u64,
    }

    impl<'a> Values<'a> {
        /// Will be asked about `start` and what is behind it.
        #[inline]
        pub(in super::super) fn new(octets: &'a [u8], start: usize) -> Self {
            Self { octets, base: start, stops: stops(octets, start) }
        }

        /// The first octet from `at` on that is no part of a value, or the end of all.
        #[inline]
        pub(in super::super) fn end(&mut self, mut at: usize) -> usize {
            loop {
                let mut into = at.wrapping_sub(self.base);
                while into >= BLOCK {
                    self.base += BLOCK;
                    self.stops = stops(self.octets, self.base);
                    into -= BLOCK;
                }
                let ahead = self.stops >> into;
                if ahead == 0 {
                    at = self.base + BLOCK;
                    continue;
                }
                at += ahead.trailing_zeros() as usize;
                if self.octets.get(at) != Some(&b'\t') {
                    return at;
                }
                at += 1;
            }
        }
    }

    #[inline]
    fn stops(octets: &[u8], base: usize) -> u64 {
        match octets.get(base..) {
            Some(rest) if let Some(block) = rest.first_chunk() => block_stops(block),
            rest => last_stops(octets, rest.unwrap_or_default()),
        }
    }

    /// The same for the last, shorter block.
    #[inline(never)]
    fn last_stops(octets: &[u8], rest: &[u8]) -> u64 {
        let behind = u64::MAX << rest.len();
        if let Some(block) = octets.last_chunk() {
            // Nothing of the block is left when nothing is behind its base.
            return block_stops(block).checked_shr((BLOCK - rest.len()) as u32).unwrap_or(0) | behind;
        }
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        block_stops(&block) | behind
    }

    #[inline]
    fn block_stops(block: &[u8; BLOCK]) -> u64 {
        let (chunks, _) = block.as_chunks::<16>();
        chunks.iter().rev().fold(0, |stops, chunk| stops << 16 | u64::from(mask(chunk_stops(chunk))))
    }

    /// What is no part of a value, and HTAB.
    #[inline]
    fn chunk_stops(chunk: &[u8; 16]) -> m128i {
        let chunk = load_unaligned_m128i(chunk);
        let low = cmp_eq_mask_i8_m128i(min_u8_m128i(chunk, set_splat_i8_m128i(0x1f)), chunk);
        let delete = cmp_eq_mask_i8_m128i(chunk, set_splat_i8_m128i(0x7f));
        bitor_m128i(low, delete)
    }
}

/// A register at a time for values, one by one for the rest: small, and good enough where loads are cheap.
#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod words {
    const WORD: usize = size_of::<usize>();
    const ONES: usize = usize::MAX / 0xff;

    /// Octets of a token at the front.
    pub(in super::super) fn token(octets: &[u8]) -> usize {
        super::run(octets, super::TOKEN)
    }

    /// Octets of a target at the front.
    pub(in super::super) fn target(octets: &[u8]) -> usize {
        super::run(octets, super::TARGET)
    }

    /// Octets of a target at the front, up to a query.
    pub(in super::super) fn path(octets: &[u8]) -> usize {
        super::path_run(octets)
    }

    /// Octets of a registered name or an IPv4 address at the front.
    pub(in super::super) fn host(octets: &[u8]) -> usize {
        super::run(octets, super::HOST)
    }

    /// Whether these are octets of a value, all of them.
    pub(in super::super) fn is_value(octets: &[u8]) -> bool {
        Values::new(octets, 0).end(0) == octets.len()
    }

    /// Where values end.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Values<'a> {
        octets: &'a [u8],
    }

    impl<'a> Values<'a> {
        /// Will be asked about `start` and what is behind it.
        pub(in super::super) fn new(octets: &'a [u8], _start: usize) -> Self {
            Self { octets }
        }

        /// The first octet from `at` on that is no part of a value, or the end of all.
        pub(in super::super) fn end(&mut self, mut at: usize) -> usize {
            loop {
                let rest = self.octets.get(at..).unwrap_or_default();
                at += plain(rest);
                if self.octets.get(at) != Some(&b'\t') {
                    return at;
                }
                at += 1;
            }
        }
    }

    /// Octets at the front that are part of a value and not HTAB.
    fn plain(octets: &[u8]) -> usize {
        let (words, rest) = octets.as_chunks::<WORD>();
        for (before, word) in words.iter().enumerate() {
            let word = usize::from_le_bytes(*word);
            let no_delete = word ^ (ONES * 0x7f);
            // The lowest bit that is set is right; a borrow may spoil those above it.
            let low = word.wrapping_sub(ONES * 0x20) & !word;
            let delete = no_delete.wrapping_sub(ONES) & !no_delete;
            let stops = (low | delete) & (ONES * 0x80);
            if stops != 0 {
                return before * WORD + stops.trailing_zeros() as usize / 8;
            }
        }
        octets.len() - rest.len()
            + rest
                .iter()
                .position(|octet| *octet == b'\t' || !super::is(*octet, super::VALUE))
                .unwrap_or(rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_stops_its_run_at_every_place_as_the_table_says() {
        let mut octets = [b'a'; 100];
        for place in 0..octets.len() {
            for octet in 0..=255 {
                octets[place] = octet;
                let ends = |class| if is(octet, class) { octets.len() } else { place };
                assert_eq!(token(&octets), ends(TOKEN), "token {octet:#x} at {place}");
                assert_eq!(words::token(&octets), ends(TOKEN));
                assert_eq!(target(&octets), ends(TARGET), "target {octet:#x} at {place}");
                assert_eq!(words::target(&octets), ends(TARGET));
                let path_ends = if octet == b'?' { place } else { ends(TARGET) };
                assert_eq!(path(&octets), path_ends, "path {octet:#x} at {place}");
                assert_eq!(words::path(&octets), path_ends);
                for len in [place, place + 1, octets.len()] {
                    let octets = &octets[..len];
                    assert_eq!(host(octets), ends(HOST).min(len), "host {octet:#x} at {place}");
                    assert_eq!(words::host(octets), ends(HOST).min(len));
                    let is_value = ends(VALUE) >= len;
                    assert_eq!(is_value_of(octets), (is_value, is_value), "{octet:#x} at {place} of {len}");
                }
                for start in [0, place.saturating_sub(3), place] {
                    assert_eq!(Values::new(&octets, start).end(start), ends(VALUE), "{octet:#x} at {place}");
                    assert_eq!(words::Values::new(&octets, start).end(start), ends(VALUE));
                }
            }
            octets[place] = b'a';
        }
    }

    fn is_value_of(octets: &[u8]) -> (bool, bool) {
        (is_value(octets), words::is_value(octets))
    }

    #[test]
    fn values_end_at_the_end_of_whatever_length() {
        let octets = [b'v'; 200];
        for len in 0..octets.len() {
            for start in 0..=len {
                let octets = &octets[..len];
                assert_eq!(Values::new(octets, start).end(start), len);
                assert_eq!(words::Values::new(octets, start).end(start), len);
            }
        }
    }

    #[test]
    fn ends_are_found_one_after_the_other() {
        let mut octets = [b'v'; 300];
        let places = [3, 4, 63, 64, 66, 127, 129, 191, 270, 299];
        for place in places {
            octets[place] = b'\r';
        }
        let (mut wide, mut narrow, mut at) = (Values::new(&octets, 0), words::Values::new(&octets, 0), 0);
        for place in places {
            assert_eq!((wide.end(at), narrow.end(at)), (place, place));
            at = place + 1;
        }
        assert_eq!((wide.end(at), narrow.end(at)), (300, 300));
    }

    #[test]
    fn a_name_is_recognised_in_any_case_and_nothing_like_it() {
        for name in [&b"content-length"[..], b"Content-Length", b"CONTENT-LENGTH"] {
            assert!(is_name(name, b"content-length"));
        }
        for name in [&b"content-lengt"[..], b"content-lengthh", b"content_length", b"content.length"] {
            assert!(!is_name(name, b"content-length"));
        }
    }

    #[test]
    fn white_space_around_a_value_is_not_part_of_it() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t"), b"");
    }
}
