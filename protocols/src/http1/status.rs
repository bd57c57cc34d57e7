//! Reason phrases of status codes.

use netloom_core::{Code, Error};

/// Phrases of one class, by the last two digits, each ended by `|`: on a board a gap costs a byte, where a
/// table of texts has eight.
const INFORMATIONAL: &str =
    "Continue|Switching Protocols|Processing|Early Hints|Upload Resumption Supported|";
const SUCCESSFUL: &str = "OK|Created|Accepted|Non-Authoritative Information|No Content|Reset Content|\
    Partial Content|Multi-Status|Already Reported||||||||||||||||||IM Used|";
const REDIRECTION: &str = "Multiple Choices|Moved Permanently|Found|See Other|Not Modified|Use Proxy||\
    Temporary Redirect|Permanent Redirect|";
const CLIENT_ERROR: &str = "Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|\
    Method Not Allowed|Not Acceptable|Proxy Authentication Required|Request Timeout|Conflict|Gone|\
    Length Required|Precondition Failed|Content Too Large|URI Too Long|Unsupported Media Type|\
    Range Not Satisfiable|Expectation Failed||||Misdirected Request|Unprocessable Content|Locked|\
    Failed Dependency|Too Early|Upgrade Required||Precondition Required|Too Many Requests||\
    Request Header Fields Too Large||||||||||||||||||||Unavailable For Legal Reasons|";
const SERVER_ERROR: &str = "Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable|\
    Gateway Timeout|HTTP Version Not Supported|Variant Also Negotiates|Insufficient Storage|Loop Detected||\
    Not Extended|Network Authentication Required|";

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
/// has none.
///
/// ```
/// use netloom_protocols::http1::status::reason;
///
/// assert_eq!(reason(404), "Not Found");
/// assert_eq!(reason(299), "");
/// ```
pub fn reason(status: u16) -> &'static str {
    match status / 100 {
        1 => phrase(INFORMATIONAL, status % 100),
        2 => phrase(SUCCESSFUL, status % 100),
        3 => phrase(REDIRECTION, status % 100),
        4 => phrase(CLIENT_ERROR, status % 100),
        5 => phrase(SERVER_ERROR, status % 100),
        _ => "",
    }
}

fn phrase(class: &'static str, at: u16) -> &'static str {
    class.split('|').nth(usize::from(at)).unwrap_or_default()
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
            assert_eq!(reason(status), registered.map_or("", |entry| entry.1), "{status}");
        }
    }
}
