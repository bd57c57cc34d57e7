//! Preconditions: whether a request is to be performed, by what the client knows of the representation.
//!
//! [`evaluate`] decides about `If-Match`, `If-None-Match`, `If-Modified-Since` and `If-Unmodified-Since`,
//! and [`range`] about `If-Range`. Both are to be asked only if the response would be a success without
//! preconditions (RFC 9110, 13.2.1), and before the request has any effect.

use netloom_core::Date;

use super::Method;
use super::etag::{ETag, Tags};

/// What the server knows of the selected representation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validators<'a> {
    /// Its entity tag.
    pub etag: Option<ETag<'a>>,
    /// When it last changed, in seconds since the beginning of 1970, as its `Last-Modified` says.
    ///
    /// What changed within the last second may change again within it (RFC 9110, 8.8.2.2): it should have
    /// none yet, or an entity tag beside it.
    pub last_modified: Option<u64>,
    /// Whether there is one. If not, the others should be `None`.
    pub exists: bool,
}

/// What becomes of a request with preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// It is performed as if it had none.
    Proceed,
    /// Answered with 304: the client has the current representation. The response has its `ETag`, and no
    /// body.
    NotModified,
    /// Answered with 412: nothing is done, because the representation is not what the client thinks.
    PreconditionFailed,
}

impl Condition {
    /// The status of the response that takes the place of the usual one.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Proceed => None,
            Self::NotModified => Some(304),
            Self::PreconditionFailed => Some(412),
        }
    }
}

/// Evaluates the preconditions of a request in the order of RFC 9110, 13.2.2.
///
/// `field` tells the value of a field by its name in lower case; of a list that came in several lines it must
/// tell all, or the tags in the others are not seen. A list of tags that is malformed matches
/// nothing, and so stops `If-Match` but not `If-None-Match`; a date that is malformed is ignored.
///
/// ```
/// use netloom_protocols::http1::Method;
/// use netloom_protocols::http1::conditional::{Condition, Validators, evaluate};
/// use netloom_protocols::http1::etag::ETag;
///
/// let page = Validators { etag: ETag::strong("v7"), last_modified: None, exists: true };
/// let field = |name: &str| (name == "if-none-match").then_some(&b"\"v6\", \"v7\""[..]);
/// assert_eq!(evaluate(Method::Get, &field, &page), Condition::NotModified);
/// assert_eq!(evaluate(Method::Put, &field, &page), Condition::PreconditionFailed);
/// ```
pub fn evaluate<'f>(
    method: Method,
    field: &impl Fn(&str) -> Option<&'f [u8]>,
    validators: &Validators<'_>,
) -> Condition {
    // RFC 9110, 13.2.1: these select and modify no representation.
    if matches!(method, Method::Connect | Method::Options | Method::Trace) {
        return Condition::Proceed;
    }
    let date = |name| field(name).and_then(Date::parse);
    let modified_after = |date: u64| validators.last_modified.is_some_and(|modified| modified > date);

    // Steps 1 and 2.
    let expected = match field("if-match") {
        Some(tags) => validators.matches(tags, |a, b| a.strong_eq(b)),
        None => !date("if-unmodified-since").is_some_and(modified_after),
    };
    if !expected {
        return Condition::PreconditionFailed;
    }

    // Steps 3 and 4.
    let reading = matches!(method, Method::Get | Method::Head);
    match field("if-none-match") {
        Some(tags) if validators.matches(tags, |a, b| a.weak_eq(b)) => match reading {
            true => Condition::NotModified,
            false => Condition::PreconditionFailed,
        },
        None if reading && validators.unmodified_since(date("if-modified-since")) => Condition::NotModified,
        _ => Condition::Proceed,
    }
}

/// The value of `Range` that is to be obeyed, after [`evaluate`] said to proceed (step 5).
///
/// Nothing if there is none, if the method is not GET, or if `If-Range` names another version than the
/// present one: then the whole representation is sent. A tag there must match by strong comparison, a date
/// to the second.
pub fn range<'f>(
    method: Method,
    field: &impl Fn(&str) -> Option<&'f [u8]>,
    validators: &Validators<'_>,
) -> Option<&'f [u8]> {
    // RFC 9110, 14.2: defined for GET only.
    let range = field("range").filter(|_| method == Method::Get)?;
    match field("if-range") {
        Some(version) if !validators.are(version) => None,
        _ => Some(range),
    }
}

impl Validators<'_> {
    /// Whether a list of tags, or `*`, has the present one.
    fn matches(&self, tags: &[u8], equal: impl Fn(&ETag<'_>, &ETag<'_>) -> bool) -> bool {
        match Tags::parse(tags) {
            Some(Tags::Any) => self.exists,
            Some(Tags::List(mut list)) => self.etag.is_some_and(|etag| list.any(|tag| equal(&tag, &etag))),
            None => false,
        }
    }

    fn unmodified_since(&self, date: Option<u64>) -> bool {
        self.last_modified.zip(date).is_some_and(|(modified, date)| modified <= date)
    }

    /// Whether an `If-Range` names the present version (RFC 9110, 13.1.5).
    fn are(&self, version: &[u8]) -> bool {
        match ETag::parse(version) {
            Some(tag) => self.etag.is_some_and(|etag| etag.strong_eq(&tag)),
            None => self.last_modified.is_some() && self.last_modified == Date::parse(version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Condition::{NotModified, PreconditionFailed, Proceed};
    use super::*;
    use crate::tests::Noise;

    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const THERE: Validators<'_> =
        Validators { etag: ETag::strong("v7"), last_modified: Some(784_111_777), exists: true };
    const WEAK: Validators<'_> = Validators { etag: ETag::weak("v7"), ..THERE };
    const BARE: Validators<'_> = Validators { etag: None, last_modified: None, exists: true };
    const ABSENT: Validators<'_> = Validators { etag: None, last_modified: None, exists: false };

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn lookup<'a>(fields: Fields<'a>) -> impl Fn(&str) -> Option<&'a [u8]> {
        move |name| fields.iter().find(|field| field.0 == name).map(|field| field.1.as_bytes())
    }

    #[track_caller]
    fn expect(validators: Validators<'_>, fields: Fields<'_>, get: Condition, put: Condition) {
        let answer = |method| evaluate(method, &lookup(fields), &validators);
        assert_eq!((answer(Method::Get), answer(Method::Head)), (get, get), "{fields:?}");
        assert_eq!((answer(Method::Put), answer(Method::Delete)), (put, put), "{fields:?}");
        for method in [Method::Connect, Method::Options, Method::Trace] {
            assert_eq!(answer(method), Proceed);
        }
    }

    #[test]
    fn without_preconditions_a_request_proceeds() {
        for validators in [THERE, WEAK, BARE, ABSENT] {
            expect(validators, &[], Proceed, Proceed);
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        expect(THERE, &[("if-match", "\"v6\", \"v7\"")], Proceed, Proceed);
        expect(THERE, &[("if-match", "\"v6\"")], PreconditionFailed, PreconditionFailed);
        expect(THERE, &[("if-match", "W/\"v7\"")], PreconditionFailed, PreconditionFailed);
        expect(WEAK, &[("if-match", "W/\"v7\"")], PreconditionFailed, PreconditionFailed);
        expect(BARE, &[("if-match", "\"v7\"")], PreconditionFailed, PreconditionFailed);
        expect(THERE, &[("if-match", "*")], Proceed, Proceed);
        expect(BARE, &[("if-match", "*")], Proceed, Proceed);
        expect(ABSENT, &[("if-match", "*")], PreconditionFailed, PreconditionFailed);
        expect(THERE, &[("if-match", "\"v7\", oops")], PreconditionFailed, PreconditionFailed);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for validators in [THERE, WEAK] {
            for tag in ["\"v7\"", "W/\"v7\"", "\"v6\", W/\"v7\"", "*"] {
                expect(validators, &[("if-none-match", tag)], NotModified, PreconditionFailed);
            }
            for tag in ["\"v6\"", "v7", "\"v7\" oops", ""] {
                expect(validators, &[("if-none-match", tag)], Proceed, Proceed);
            }
        }
        // Creates, but does not overwrite.
        expect(ABSENT, &[("if-none-match", "*")], Proceed, Proceed);
        expect(BARE, &[("if-none-match", "*")], NotModified, PreconditionFailed);
        expect(BARE, &[("if-none-match", "\"v7\"")], Proceed, Proceed);
    }

    #[test]
    fn if_modified_since_is_for_reading_only() {
        expect(THERE, &[("if-modified-since", EARLIER)], Proceed, Proceed);
        expect(THERE, &[("if-modified-since", SAME)], NotModified, Proceed);
        expect(THERE, &[("if-modified-since", LATER)], NotModified, Proceed);
        expect(THERE, &[("if-modified-since", "Sun Nov  6 08:49:37 1994")], NotModified, Proceed);
        expect(THERE, &[("if-modified-since", "yesterday")], Proceed, Proceed);
        expect(BARE, &[("if-modified-since", SAME)], Proceed, Proceed);
    }

    #[test]
    fn if_unmodified_since_stops_what_came_too_late() {
        expect(THERE, &[("if-unmodified-since", EARLIER)], PreconditionFailed, PreconditionFailed);
        expect(THERE, &[("if-unmodified-since", SAME)], Proceed, Proceed);
        expect(THERE, &[("if-unmodified-since", LATER)], Proceed, Proceed);
        expect(THERE, &[("if-unmodified-since", "yesterday")], Proceed, Proceed);
        expect(BARE, &[("if-unmodified-since", EARLIER)], Proceed, Proceed);
    }

    #[test]
    fn tags_go_before_dates_and_matches_before_mismatches() {
        expect(THERE, &[("if-match", "\"v7\""), ("if-unmodified-since", EARLIER)], Proceed, Proceed);
        expect(THERE, &[("if-none-match", "\"v6\""), ("if-modified-since", SAME)], Proceed, Proceed);
        expect(THERE, &[("if-none-match", "oops"), ("if-modified-since", SAME)], Proceed, Proceed);
        let both = [("if-match", "\"v6\""), ("if-none-match", "\"v7\"")];
        expect(THERE, &both, PreconditionFailed, PreconditionFailed);
        let both = [("if-match", "\"v7\""), ("if-none-match", "\"v7\"")];
        expect(THERE, &both, NotModified, PreconditionFailed);
        let both = [("if-match", "*"), ("if-modified-since", SAME)];
        expect(THERE, &both, NotModified, Proceed);
        let both = [("if-unmodified-since", SAME), ("if-modified-since", SAME)];
        expect(THERE, &both, NotModified, Proceed);
    }

    #[test]
    fn a_range_is_obeyed_if_the_version_is_the_present_one() {
        let obeyed = |validators, version| {
            let fields = [("range", "bytes=0-1"), ("if-range", version)];
            range(Method::Get, &lookup(&fields), &validators).is_some()
        };
        for (version, expected) in [
            ("\"v7\"", true),
            (SAME, true),
            ("Sunday, 06-Nov-94 08:49:37 GMT", true),
            ("W/\"v7\"", false),
            ("\"v6\"", false),
            ("\"v6\", \"v7\"", false),
            ("*", false),
            ("v7", false),
            (EARLIER, false),
            (LATER, false),
            ("", false),
        ] {
            assert_eq!(obeyed(THERE, version), expected, "{version}");
            assert!(!obeyed(BARE, version), "{version}");
        }
        assert!(!obeyed(WEAK, "W/\"v7\"") && !obeyed(WEAK, "\"v7\""));
    }

    #[test]
    fn a_range_is_for_get_only() {
        let field = lookup(&[("range", "bytes=0-1")]);
        assert_eq!(range(Method::Get, &field, &BARE), Some(&b"bytes=0-1"[..]));
        assert_eq!(range(Method::Head, &field, &BARE), None);
        assert_eq!(range(Method::Put, &field, &BARE), None);
        assert_eq!(range(Method::Get, &lookup(&[]), &BARE), None);
    }

    #[test]
    fn a_condition_has_a_status_if_it_stops_the_request() {
        assert_eq!(
            [Proceed, NotModified, PreconditionFailed].map(Condition::status),
            [None, Some(304), Some(412)]
        );
    }

    #[test]
    fn a_request_that_only_reads_and_matches_nothing_is_never_not_modified() {
        for seed in 0..5_000 {
            let mut storage = [0; 64];
            let text =
                Noise::new(seed).text(&["\"a\"", "W/\"b\"", ",", " ", SAME, "1994", "x"], &mut storage);
            // None of the pieces is a tag of ours, or the date together with a date of ours.
            let other =
                Validators { etag: ETag::strong("v8"), last_modified: Some(900_000_000), exists: true };
            assert_eq!(
                evaluate(
                    Method::Get,
                    &|name| (name != "if-match" && name != "if-unmodified-since").then_some(text),
                    &other
                ),
                Proceed,
                "seed {seed}"
            );
            let stopped = evaluate(Method::Get, &|name| (name == "if-match").then_some(text), &other);
            assert_eq!(stopped, PreconditionFailed, "seed {seed}");
        }
    }
}
