//! What the client would rather have: codings and media types, weighed (RFC 9110, 12.4 and 12.5).
//!
//! A quality is in thousandths: 1000 for `q=1` or none, 0 for "not acceptable". Elements of a list that are
//! malformed are passed over. If two elements say different things of the same, the first counts.

/// The quality of what is as welcome as can be.
pub const BEST: u16 = 1000;

/// A content coding (RFC 9110, 8.4.1; RFC 7932; RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `gzip`, and its old name `x-gzip`.
    Gzip,
    /// `deflate`: the zlib format.
    Deflate,
    /// `br`: Brotli.
    Brotli,
    /// `zstd`: Zstandard.
    Zstd,
}

impl Encoding {
    /// The name in `Content-Encoding` and `Accept-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The coding of that name, in any case.
    ///
    /// ```
    /// use netloom_protocols::http1::negotiate::Encoding;
    ///
    /// assert_eq!(Encoding::parse(b"X-GZip"), Some(Encoding::Gzip));
    /// assert_eq!(Encoding::parse(b"identity"), None);
    /// ```
    pub fn parse(name: &[u8]) -> Option<Self> {
        let all = [Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd];
        // RFC 9110, 8.4.1.3
        match name.eq_ignore_ascii_case(b"x-gzip") {
            true => Some(Self::Gzip),
            false => all.into_iter().find(|one| name.eq_ignore_ascii_case(one.name().as_bytes())),
        }
    }

    /// How welcome it is: 0 if it is not listed.
    fn quality(self, list: &[u8]) -> u16 {
        let listed = elements(list).find(|element| Self::parse(element.token) == Some(self));
        listed.map(|element| element.quality).or_else(|| quality(list, "*")).unwrap_or(0)
    }
}

/// The coding to send a response in, by the value of `Accept-Encoding`; nothing for none (`identity`).
///
/// Of those `offered` it is the most welcome; of equals the one offered first, so the server's order of
/// preference counts. `identity` wins only where the client names it, or `*`, with a higher quality: a client
/// that lists a coding and not `identity` is taken to prefer the coding.
///
/// Where nothing is acceptable, not even `identity` (`identity;q=0`), the answer is nothing: RFC 9110, 12.4.1
/// lets a server disregard the field, and a client can do more with such a response than with a 406. It is
/// the same without the field: any coding would do then, but who does not send it often cannot decode one.
///
/// ```
/// use netloom_protocols::http1::negotiate::{Encoding, choose_encoding};
///
/// let offered = [Encoding::Brotli, Encoding::Gzip];
/// assert_eq!(choose_encoding(Some(b"gzip, deflate, br"), &offered), Some(Encoding::Brotli));
/// assert_eq!(choose_encoding(Some(b"gzip, br;q=0.5"), &offered), Some(Encoding::Gzip));
/// assert_eq!(choose_encoding(Some(b"deflate"), &offered), None);
/// ```
pub fn choose_encoding(field: Option<&[u8]>, offered: &[Encoding]) -> Option<Encoding> {
    let list = field?;
    let identity = quality(list, "identity").unwrap_or(0);
    let weighed = offered.iter().map(|encoding| (*encoding, encoding.quality(list)));
    let best = best(weighed)?;
    (best.1 >= identity).then_some(best.0)
}

/// How welcome `token` is by a list of tokens with weights (`Accept-Encoding`, `Accept-Language`, `TE`): by
/// its own element or that of `*`; nothing if neither is there.
///
/// ```
/// use netloom_protocols::http1::negotiate::quality;
///
/// assert_eq!(quality(b"trailers, deflate;q=0.5", "deflate"), Some(500));
/// assert_eq!(quality(b"trailers, deflate;q=0.5", "gzip"), None);
/// ```
pub fn quality(list: &[u8], token: &str) -> Option<u16> {
    let named = |name: &[u8]| elements(list).find(|element| element.token.eq_ignore_ascii_case(name));
    named(token.as_bytes()).or_else(|| named(b"*")).map(|element| element.quality)
}

/// How welcome a media type is by the value of `Accept`: by the most specific range that it is in, 0 if it is
/// in none (RFC 9110, 12.5.1). Without the field everything is.
///
/// A range with parameters (`text/html;level=1`) is for types that have the same ones.
///
/// ```
/// use netloom_protocols::http1::negotiate::accepts;
///
/// let browser = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
/// let page = accepts(Some(browser), "text/html") > accepts(Some(browser), "application/problem+json");
/// assert!(page);
/// ```
pub fn accepts(field: Option<&[u8]>, media_type: &str) -> u16 {
    let Some(list) = field else { return BEST };
    let offered = Element::parse(media_type.as_bytes());
    let mut found = None;
    for range in elements(list) {
        let specificity = offered.and_then(|offered| range.covers(offered));
        // Of equals the first counts.
        if specificity > found.map(|found: (u8, u16)| found.0) {
            found = specificity.map(|specificity| (specificity, range.quality));
        }
    }
    found.map_or(0, |found| found.1)
}

/// The most welcome of the media types `offered`, of equals the one offered first; nothing if none is
/// acceptable, for a 406 or for sending one all the same.
pub fn choose_media_type<'t>(field: Option<&[u8]>, offered: &[&'t str]) -> Option<&'t str> {
    best(offered.iter().map(|media_type| (*media_type, accepts(field, media_type)))).map(|best| best.0)
}

/// The first with the highest quality, if that is not zero.
fn best<T>(weighed: impl Iterator<Item = (T, u16)>) -> Option<(T, u16)> {
    let mut best: Option<(T, u16)> = None;
    for one in weighed.filter(|one| one.1 > 0) {
        if best.as_ref().is_none_or(|best| one.1 > best.1) {
            best = Some(one);
        }
    }
    best
}

/// One element of a list: `token *( ";" parameter ) [ ";" "q=" qvalue ]`.
#[derive(Clone, Copy)]
struct Element<'a> {
    /// Or a media range.
    token: &'a [u8],
    /// With the weight.
    parameters: &'a [u8],
    quality: u16,
}

fn elements(list: &[u8]) -> impl Iterator<Item = Element<'_>> {
    Split { rest: Some(list), at: b',' }.filter_map(Element::parse)
}

impl<'a> Element<'a> {
    /// Nothing if it is malformed.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut split = Split { rest: Some(text), at: b';' };
        let token = split.next().filter(|token| is_word(token))?;
        let mut element = Self { token, parameters: split.rest.unwrap_or_default(), quality: BEST };
        for parameter in pairs(element.parameters) {
            let (name, value) = parameter?;
            if is_weight(name) {
                // RFC 9110, 12.4.2: what may follow it was never used.
                element.quality = qvalue(value)?;
                break;
            }
        }
        Some(element)
    }

    /// The parameters before the weight.
    fn parameters(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        pairs(self.parameters).map_while(|pair| pair.filter(|pair| !is_weight(pair.0)))
    }

    /// Whether `offered` is in this media range, and how specific that is.
    fn covers(self, offered: Element<'_>) -> Option<u8> {
        let base = match self.token.strip_suffix(b"*") {
            _ if self.token.eq_ignore_ascii_case(offered.token) => 0x80,
            Some(b"*/") => 0,
            Some(kind) if kind.ends_with(b"/") => {
                let head = offered.token.get(..kind.len())?;
                head.eq_ignore_ascii_case(kind).then_some(0x40)?
            }
            _ => return None,
        };
        let has = |wanted: (&[u8], &[u8])| {
            let same = |a: &[u8], b: &[u8]| a.eq_ignore_ascii_case(b);
            offered.parameters().any(|own| same(own.0, wanted.0) && same(own.1, wanted.1))
        };
        self.parameters().all(has).then(|| base + self.parameters().take(0x3f).count() as u8)
    }
}

/// `name=value`, without the quotes around the value; `None` for what is not one.
fn pairs(parameters: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    // RFC 9110, 5.6.6: a parameter may be missing.
    let split = Split { rest: Some(parameters), at: b';' }.filter(|parameter| !parameter.is_empty());
    split.map(|parameter| {
        let at = parameter.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (parameter.get(..at)?, parameter.get(at + 1..)?);
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        (is_word(name) && (unquoted.is_some() || is_word(value))).then_some((name, unquoted.unwrap_or(value)))
    })
}

fn is_weight(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"q")
}

/// Near enough to `token`, or to two with a slash between: what is in neither matches nothing anyway.
fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"')
}

/// RFC 9110, 12.4.2: `qvalue`, in thousandths.
fn qvalue(text: &[u8]) -> Option<u16> {
    let (whole, fraction) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut thousandths = u16::from(whole - b'0') * BEST;
    for (digit, weight) in fraction.iter().zip([100, 10, 1]) {
        thousandths += weight * digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
    }
    (thousandths <= BEST).then_some(thousandths)
}

/// What lies between separators that are in no quoted string, without the whitespace around it.
struct Split<'a> {
    rest: Option<&'a [u8]>,
    at: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let (mut quoted, mut escaped) = (false, false);
        let separator = rest.iter().position(|byte| {
            let special = !core::mem::take(&mut escaped);
            match byte {
                b'"' if special => quoted = !quoted,
                b'\\' if special => escaped = quoted,
                _ => {}
            }
            !quoted && *byte == self.at
        });
        let (text, tail) = rest.split_at(separator.unwrap_or(rest.len()));
        self.rest = tail.split_first().map(|(_, rest)| rest);
        Some(text.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::Encoding::{Brotli, Deflate, Gzip, Zstd};
    use super::*;
    use crate::tests::Noise;

    #[track_caller]
    fn chosen(field: &str, expected: Option<Encoding>) {
        assert_eq!(choose_encoding(Some(field.as_bytes()), &[Zstd, Brotli, Gzip]), expected, "{field}");
    }

    #[test]
    fn the_most_welcome_coding_is_chosen() {
        chosen("gzip", Some(Gzip));
        chosen("gzip, deflate, br, zstd", Some(Zstd));
        chosen("gzip, deflate, br", Some(Brotli));
        chosen("gzip;q=1.0, br;q=0.9", Some(Gzip));
        chosen("zstd;q=0.001, br;q=0.002, gzip;q=0.003", Some(Gzip));
        chosen("GZIP ; Q=0.5", Some(Gzip));
        chosen("x-gzip", Some(Gzip));
        chosen("br;q=0, *;q=0.1", Some(Zstd));
        chosen("zstd;q=0, br;q=0, *", Some(Gzip));
        chosen("br;q=0.1, br;q=0, gzip;q=0.05", Some(Brotli));
        assert_eq!(choose_encoding(Some(b"deflate, gzip"), &[Deflate, Gzip]), Some(Deflate));
    }

    #[test]
    fn identity_is_chosen_where_it_is_named_with_more_or_nothing_else_will_do() {
        // RFC 9110, 12.5.3
        chosen("compress, gzip", Some(Gzip));
        chosen("", None);
        chosen("*", Some(Zstd));
        chosen("compress;q=0.5, gzip;q=1.0", Some(Gzip));
        chosen("gzip;q=1.0, identity; q=0.5, *;q=0", Some(Gzip));
        chosen("gzip;q=0.5, identity", None);
        chosen("gzip;q=0.5, identity;q=0.5", Some(Gzip));
        chosen("gzip;q=0.1", Some(Gzip));
        chosen("identity", None);
        chosen("deflate, compress", None);
        chosen("gzip;q=0", None);
        assert_eq!(choose_encoding(Some(b"gzip;q=0.2, *;q=0.8"), &[Gzip]), None);
        assert_eq!(choose_encoding(None, &[Gzip]), None);
        assert_eq!(choose_encoding(Some(b"gzip"), &[]), None);
    }

    #[test]
    fn where_nothing_is_acceptable_identity_is_chosen() {
        for field in
            ["identity;q=0", "*;q=0", "identity;q=0, deflate", "gzip;q=0, br;q=0, zstd;q=0, identity;q=0"]
        {
            chosen(field, None);
        }
        chosen("identity;q=0, gzip;q=0.1", Some(Gzip));
        chosen("*;q=0, gzip", Some(Gzip));
    }

    #[test]
    fn malformed_elements_are_passed_over() {
        for weight in ["2", "1.1", "1.001", "0.1234", ".5", "-1", "01", "", "\"", "x", "0.x", "1 0", "NaN"] {
            assert_eq!(quality(std::format!("gzip;q={weight}").as_bytes(), "gzip"), None, "{weight}");
        }
        for list in ["gzip br", "gzip;q", "gzip;q =1", ";q=1", "\"gzip\"", "gzip;=1", "\"gzip, br", "gzip\0"]
        {
            assert_eq!(quality(list.as_bytes(), "gzip"), None, "{list}");
        }
        chosen("gzip;q=x, br;q=0.5", Some(Brotli));
        chosen(", ,gzip,", Some(Gzip));
    }

    #[test]
    fn qualities_are_thousandths() {
        for (weight, expected) in [
            ("0", 0),
            ("0.", 0),
            ("0.0", 0),
            ("0.001", 1),
            ("0.5", 500),
            ("0.05", 50),
            ("0.999", 999),
            ("1", 1000),
            ("1.", 1000),
            ("1.000", 1000),
            ("\"0.5\"", 500),
        ] {
            assert_eq!(quality(std::format!("a;q={weight}").as_bytes(), "A"), Some(expected), "{weight}");
        }
        assert_eq!(quality(b"da, en-gb;q=0.8, en;q=0.7", "en"), Some(700));
        assert_eq!(quality(b"da, *;q=0.1", "en"), Some(100));
        assert_eq!(quality(b"*;q=0.1, en", "en"), Some(1000));
    }

    #[test]
    fn the_most_specific_media_range_counts() {
        // RFC 9110, 12.5.1
        let field = b"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5";
        for (media_type, expected) in [
            ("text/plain;format=flowed", 1000),
            ("text/plain", 700),
            ("text/html", 300),
            ("image/jpeg", 500),
            ("text/plain;format=fixed", 400),
            ("text/html;level=3", 300),
            ("TEXT/Plain; Format=\"Flowed\"; charset=utf-8", 1000),
            ("text/plain;format=other", 700),
        ] {
            assert_eq!(accepts(Some(field), media_type), expected, "{media_type}");
        }
        for (field, media_type, expected) in [
            ("audio/*; q=0.2, audio/basic", "audio/basic", 1000),
            ("audio/*; q=0.2, audio/basic", "audio/mpeg", 200),
            ("audio/*; q=0.2, audio/basic", "text/html", 0),
            ("text/html;q=0, */*", "text/html", 0),
            ("text/html;x=\"a,b;q=0\\\";\";q=0.5, */*;q=0.1", "text/html", 100),
            ("text/html;x=\"a,b;q=0\";q=0.5, */*;q=0.1", "text/html; x=\"a,b;q=0\"", 500),
            ("application/json;q=0.5;ext=1", "application/json", 500),
            ("application/json;;q=0.5", "application/json", 500),
            ("application/json;q=0.5, application/json", "application/json", 500),
            ("", "text/html", 0),
            ("*", "text/html", 0),
            ("*/html", "text/html", 0),
            ("text", "text/html", 0),
            ("text/", "text/html", 0),
            ("tex/*", "text/html", 0),
            ("text/*", "text", 0),
            ("text/*", "textual/html", 0),
            ("text/htm", "text/html", 0),
        ] {
            assert_eq!(accepts(Some(field.as_bytes()), media_type), expected, "{field}: {media_type}");
        }
        assert_eq!(accepts(None, "text/html"), 1000);
    }

    #[test]
    fn the_most_welcome_media_type_is_chosen() {
        let offered = ["application/problem+json", "text/html"];
        let choose = |field| choose_media_type(field, &offered);
        let browser = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        assert_eq!(choose(Some(browser)), Some("text/html"));
        assert_eq!(choose(Some(b"*/*")), Some("application/problem+json"));
        assert_eq!(choose(None), Some("application/problem+json"));
        assert_eq!(choose(Some(b"image/png")), None);
        assert_eq!(choose(Some(b"*/*;q=0, text/html;q=0.001")), Some("text/html"));
    }

    #[test]
    fn codings_are_read_by_the_names_they_are_written_with() {
        for encoding in [Gzip, Deflate, Brotli, Zstd] {
            assert_eq!(Encoding::parse(encoding.name().as_bytes()), Some(encoding));
        }
        for name in ["", "x-", "gzi", "gzipp", "x-br", "compress", "*"] {
            assert_eq!(Encoding::parse(name.as_bytes()), None);
        }
    }

    #[test]
    fn whatever_the_field_says_qualities_stay_in_bounds_and_the_best_is_chosen() {
        let pieces = [
            "gzip", "br", "*", "identity", ";q=", "0", "0.5", "1", ",", ", ", ";", "=", "\"", "\\", "text/*",
            "*/*", ";a=b",
        ];
        let mut some = 0;
        for seed in 0..20_000 {
            let mut storage = [0; 96];
            let field = Noise::new(seed).text(&pieces, &mut storage);
            assert!(accepts(Some(field), "text/html;a=b") <= BEST, "seed {seed}");
            let weigh = |encoding: Encoding| quality(field, encoding.name()).unwrap_or(0);
            assert!(weigh(Gzip).max(weigh(Brotli)) <= BEST, "seed {seed}");
            let Some(encoding) = choose_encoding(Some(field), &[Brotli, Gzip]) else { continue };
            some += 1;
            let most = weigh(Gzip).max(weigh(Brotli)).max(quality(field, "identity").unwrap_or(0));
            assert!(most > 0 && weigh(encoding) == most, "seed {seed}");
        }
        assert!(some > 500, "{some} chosen");
    }
}
