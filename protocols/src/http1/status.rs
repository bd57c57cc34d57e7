//! Reason phrases of status codes.

use netloom_core::{Code, Error};

/// Phrases of one class each, by the last two digits, each ended by `|`: on a board a gap costs a byte, where a table
/// of texts has eight.
type Phrases = [&'static str; 5];

const ALL: Phrases = [
    "Continue|Switching Protocols|Processing|Early Hints|Upload Resumption Supported|",
    "OK|Created|Accepted|Non-Authoritative Information|No Content|Reset Content|Partial Content|Multi-Status|\
     Already Reported||||||||||||||||||IM Used|",
    "Multiple Choices|Moved Permanently|Found|See Other|Not Modified|Use Proxy||Temporary Redirect|\
     Permanent Redirect|",
    "Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|Method Not Allowed|Not Acceptable|\
     Proxy Authentication Required|Request Timeout|Conflict|Gone|Length Required|Precondition Failed|\
     Content Too Large|URI Too Long|Unsupported Media Type|Range Not Satisfiable|Expectation Failed||||\
     Misdirected Request|Unprocessable Content|Locked|Failed Dependency|Too Early|Upgrade Required||\
     Precondition Required|Too Many Requests||Request Header Fields Too Large||||||||||||||||||||\
     Unavailable For Legal Reasons|",
    "Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable|Gateway Timeout|\
     HTTP Version Not Supported|Variant Also Negotiates|Insufficient Storage|Loop Detected||Not Extended|\
     Network Authentication Required|",
];

/// Those that a board says, a kilobyte less: what people read at its other end. Clients go by the number, and an empty
/// phrase is a phrase (RFC 9112, 4).
const FEW: Phrases = [
    "Continue|Switching Protocols|",
    "OK|Created|Accepted||No Content||Partial Content|",
    "|Moved Permanently|Found|See Other|Not Modified|||Temporary Redirect|Permanent Redirect|",
    "Bad Request|Unauthorized||Forbidden|Not Found|Method Not Allowed|||Request Timeout|Conflict||||\
     Content Too Large|URI Too Long||||||||||||Upgrade Required|||Too Many Requests||\
     Request Header Fields Too Large|",
    "Internal Server Error|Not Implemented||Service Unavailable||HTTP Version Not Supported|",
];

/// An error that a handler returns to have the request answered with `status`, 400 to 599.
///
/// ```
/// use netloom_protocols::http1::status;
///
/// assert_eq!(status::error(404).wire(), 404);
/// ```
pub const fn error(status: u16) -> Error {
    Error::new(Code::Rejected).on_wire(status)
}

/// The phrase that the IANA's registry of status codes has for `status`; empty, as RFC 9112, 4 allows, if it
/// has none. Targets of 32 bits know only the common ones.
///
/// ```
/// use netloom_protocols::http1::status::reason;
///
/// assert_eq!(reason(404), "Not Found");
/// assert_eq!(reason(299), "");
/// ```
pub fn reason(status: u16) -> &'static str {
    phrase(if cfg!(target_pointer_width = "64") { &ALL } else { &FEW }, status)
}

fn phrase(phrases: &Phrases, status: u16) -> &'static str {
    let class = usize::from(status / 100).checked_sub(1).and_then(|class| phrases.get(class));
    let (class, mut before, mut start) = (class.copied().unwrap_or_default(), status % 100, 0);
    // Byte by byte: searching in text is a kilobyte of somebody else's code.
    for (at, byte) in class.bytes().enumerate() {
        match byte {
            b'|' if before == 0 => return class.get(start..at).unwrap_or_default(),
            b'|' => (before, start) = (before - 1, at + 1),
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    /// <https://www.iana.org/assignments/http-status-codes>
    const REGISTRY: &[(u16, &str)] = &[
        (100, "Continue"),
        (101, "Switching Protocols"),
        (102, "Processing"),
        (103, "Early Hints"),
        (104, "Upload Resumption Supported"),
        (200, "OK"),
        (201, "Created"),
        (202, "Accepted"),
        (203, "Non-Authoritative Information"),
        (204, "No Content"),
        (205, "Reset Content"),
        (206, "Partial Content"),
        (207, "Multi-Status"),
        (208, "Already Reported"),
        (226, "IM Used"),
        (300, "Multiple Choices"),
        (301, "Moved Permanently"),
        (302, "Found"),
        (303, "See Other"),
        (304, "Not Modified"),
        (305, "Use Proxy"),
        (307, "Temporary Redirect"),
        (308, "Permanent Redirect"),
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (402, "Payment Required"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (406, "Not Acceptable"),
        (407, "Proxy Authentication Required"),
        (408, "Request Timeout"),
        (409, "Conflict"),
        (410, "Gone"),
        (411, "Length Required"),
        (412, "Precondition Failed"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (415, "Unsupported Media Type"),
        (416, "Range Not Satisfiable"),
        (417, "Expectation Failed"),
        (421, "Misdirected Request"),
        (422, "Unprocessable Content"),
        (423, "Locked"),
        (424, "Failed Dependency"),
        (425, "Too Early"),
        (426, "Upgrade Required"),
        (428, "Precondition Required"),
        (429, "Too Many Requests"),
        (431, "Request Header Fields Too Large"),
        (451, "Unavailable For Legal Reasons"),
        (500, "Internal Server Error"),
        (501, "Not Implemented"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (504, "Gateway Timeout"),
        (505, "HTTP Version Not Supported"),
        (506, "Variant Also Negotiates"),
        (507, "Insufficient Storage"),
        (508, "Loop Detected"),
        (510, "Not Extended"),
        (511, "Network Authentication Required"),
    ];

    #[test]
    fn every_registered_status_has_its_phrase_and_no_other_has_one() {
        for status in 0..=u16::MAX {
            let registered = REGISTRY.iter().find(|entry| entry.0 == status);
            assert_eq!(phrase(&ALL, status), registered.map_or("", |entry| entry.1), "{status}");
        }
    }

    #[test]
    fn a_board_says_the_registered_phrase_or_none() {
        for status in 0..=u16::MAX {
            assert!(["", phrase(&ALL, status)].contains(&phrase(&FEW, status)), "{status}");
        }
        for status in
            [100, 101, 200, 204, 206, 304, 400, 404, 405, 408, 413, 414, 426, 429, 431, 500, 501, 503, 505]
        {
            assert_ne!(phrase(&FEW, status), "", "{status}");
        }
    }
}
