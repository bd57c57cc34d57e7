//! The field lines of a head that was parsed, viewed where they lie.

use super::octets::{self, Values, trim};

/// Header fields, in their order.
///
/// Names are compared without regard to case. A view: finding a field reads the lines in front of it.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Whole lines, each with its CR LF.
    lines: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Views field lines; those behind one that is malformed are not seen.
    pub(super) const fn new(lines: &'a [u8]) -> Self {
        Self { lines }
    }

    /// The value of the first field with that name.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        named(&mut Lines::new(self.lines), name)
    }

    /// The values of all fields with that name.
    pub fn get_all<'n>(&self, name: &'n str) -> AllValues<'a, 'n> {
        AllValues { lines: Lines::new(self.lines), name }
    }

    /// Names and values.
    pub fn iter(&self) -> FieldIter<'a> {
        FieldIter { lines: Lines::new(self.lines), text: core::str::from_utf8(self.lines).ok() }
    }
}

impl<'a> IntoIterator for Fields<'a> {
    type Item = (&'a str, &'a [u8]);
    type IntoIter = FieldIter<'a>;

    fn into_iter(self) -> FieldIter<'a> {
        self.iter()
    }
}

/// [`Fields::iter`].
#[derive(Clone, Debug)]
pub struct FieldIter<'a> {
    lines: Lines<'a>,
    /// All lines, if they are text: asked once, which is quicker than for each name.
    text: Option<&'a str>,
}

impl<'a> Iterator for FieldIter<'a> {
    type Item = (&'a str, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.lines.at();
        let line = self.lines.next()?;
        let (name, value) = line.split_at_checked(octets::token(line))?;
        let [b':', value @ ..] = value else { return None };
        let name = match self.text {
            Some(text) => text.get(at..at + name.len())?,
            None => core::str::from_utf8(name).ok()?,
        };
        Some((name, trim(value)))
    }
}

/// [`Fields::get_all`].
#[derive(Clone, Debug)]
pub struct AllValues<'a, 'n> {
    lines: Lines<'a>,
    name: &'n str,
}

impl<'a> Iterator for AllValues<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        named(&mut self.lines, self.name)
    }
}

/// The value of the next field with that name.
fn named<'a>(lines: &mut Lines<'a>, name: &str) -> Option<&'a [u8]> {
    lines.find_map(|line| {
        let (front, rest) = line.split_at_checked(name.len())?;
        let [b':', value @ ..] = rest else { return None };
        // That colon must be the line's first: `name` may hold one, and then it names no field.
        let is_named =
            front.eq_ignore_ascii_case(name.as_bytes()) && front.iter().all(|octet| *octet != b':');
        is_named.then(|| trim(value))
    })
}

/// Lines, each without its CR LF.
#[derive(Clone, Debug)]
struct Lines<'a> {
    ends: Values<'a>,
    rest: &'a [u8],
    /// Octets of all lines.
    len: usize,
}

impl<'a> Lines<'a> {
    #[inline]
    fn new(octets: &'a [u8]) -> Self {
        Self { ends: Values::new(octets, 0), rest: octets, len: octets.len() }
    }

    /// Where the next line begins.
    #[inline]
    fn at(&self) -> usize {
        self.len - self.rest.len()
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let at = self.at();
        let (line, rest) = self.rest.split_at_checked(self.ends.end(at) - at)?;
        (_, self.rest) = rest.split_first_chunk::<2>()?;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::Fields;

    const LINES: &[u8] =
        b"Host: a\r\nCookie:\t b=c; d=e \r\nEmpty:\r\nX-Longer-Than-Sixteen-Octets: \xff\tf\r\ncookie: g\r\nab: :c\r\n";

    #[test]
    fn fields_come_in_their_order_without_white_space_around_them() {
        let fields: Vec<_> = Fields::new(LINES).iter().collect();
        assert_eq!(
            fields,
            [
                ("Host", &b"a"[..]),
                ("Cookie", b"b=c; d=e"),
                ("Empty", b""),
                ("X-Longer-Than-Sixteen-Octets", b"\xff\tf"),
                ("cookie", b"g"),
                ("ab", b":c"),
            ]
        );
    }

    #[test]
    fn a_field_is_found_by_its_name_in_any_case() {
        let fields = Fields::new(LINES);
        assert_eq!(fields.get("COOKIE"), Some(&b"b=c; d=e"[..]));
        assert_eq!(fields.get("empty"), Some(&b""[..]));
        assert_eq!(fields.get("Hos"), None);
        assert_eq!(fields.get("Hosts"), None);
        assert_eq!(fields.get(""), None);
        assert_eq!(fields.get("ab: "), None);
        assert!(fields.get_all("cookie").eq([&b"b=c; d=e"[..], b"g"]));
        assert_eq!(fields.get_all("absent").next(), None);
    }

    #[test]
    fn lines_that_are_none_end_the_iteration() {
        for lines in [&b""[..], b"\r\n", b"no colon\r\na: b\r\n", b": b\r\n\r\n\r\n"] {
            assert!(Fields::new(lines).iter().count() <= 1);
            assert_eq!(Fields::new(lines).get("absent"), None);
        }
    }
}
