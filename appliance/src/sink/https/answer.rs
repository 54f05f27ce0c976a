//! What a server's answer means, and how long is waited before it is asked again.

use std::time::{Duration, SystemTime};

/// The first wait is drawn from zero to this, each further one from twice as much, up to the last.
const WAIT_FIRST: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 500 });
const WAIT_LAST: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// No less, whatever was drawn: a server that refuses at once is not asked a thousand times a second.
const WAIT_LEAST: Duration = Duration::from_millis(5);
/// A server's own word is believed up to here.
const AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has the lines.
    Taken,
    /// Not these lines, whenever they come; with what status it said so.
    Refused(Refused, u16),
    /// Perhaps later.
    Again(Again),
}

/// Why it is tried again, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) why: String,
    pub(super) remedy: String,
    /// The server's own word, if it gave one.
    pub(super) after: Option<Duration>,
}

/// Why lines were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 400 or 422: the server cannot read the line.
    BadRequest,
    /// 413: one line is too long for it.
    TooLarge,
    /// The journal held what is no message.
    NoMessage,
}

impl Refused {
    /// What is to be looked at.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::BadRequest => {
                "look at the server's own log, and at sinks.https.framing (of Splunk: an index that the token may write to)"
            }
            Self::TooLarge => "let the server take longer lines",
            Self::NoMessage => "look at the journal's disk",
        }
    }

    /// As metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::NoMessage => "no_message",
        }
    }
}

impl Answer {
    /// Of a status, and of the header `Retry-After`.
    pub(super) fn of(status: u16, retry_after: Option<&str>, now: SystemTime) -> Self {
        let remedy = match status {
            200..=299 => return Self::Taken,
            400 | 422 => return Self::Refused(Refused::BadRequest, status),
            413 => return Self::Refused(Refused::TooLarge, status),
            401 | 403 => {
                "the server does not know these credentials: look at the token, or at username and password, in their file; it is read again"
            }
            300..=399 => {
                "the server is elsewhere: write the address that it leads to as sinks.https.url; none is followed, for the credentials' sake"
            }
            404 | 405 | 410 => "look at sinks.https.url: there is nobody who takes lines",
            415 => "the server takes no such body: write another sinks.https.compression",
            429 | 503 => "the server asks for less: it gets the same lines later",
            500..=599 => "look at the server's own log",
            _ => "look at sinks.https.url, and at the server's own log",
        };
        let after = retry_after.and_then(|text| wait_of(text.trim(), now)).map(|after| after.min(AFTER_MAX));
        Self::Again(Again { why: format!("the server answers {status}"), remedy: remedy.to_owned(), after })
    }
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn wait_of(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(text).ok().map(|date| date.duration_since(now).unwrap_or_default())
}

/// The wait behind so many failures: all of it drawn (full jitter), so that many appliances do not come together when a server is back.
pub(super) fn drawn(failures: u32, random: u64) -> Duration {
    let most = WAIT_FIRST.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(WAIT_LAST);
    let share = u128::from(random) * most.as_nanos() / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX)).max(WAIT_LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 784_111_777;

    #[test]
    fn each_status_has_its_consequence() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let of = |status| Answer::of(status, None, now);
        assert!([200, 201, 202, 204].into_iter().all(|status| of(status) == Answer::Taken));
        for (status, reason) in [(400, Refused::BadRequest), (422, Refused::BadRequest), (413, Refused::TooLarge)] {
            assert_eq!(of(status), Answer::Refused(reason, status));
        }
        for status in [100, 301, 302, 307, 401, 403, 404, 405, 408, 409, 410, 415, 425, 429, 500, 502, 503, 504, 507, 599, 999] {
            assert!(matches!(of(status), Answer::Again(Again { after: None, .. })), "{status}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let after = |text: &str| match Answer::of(503, Some(text), now) {
            Answer::Again(again) => again.after.map(|after| after.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(["0", "120", " 7 ", "999999999"].map(after), [Some(0), Some(120), Some(7), Some(3_600)]);
        // RFC 9110's own example, in its three forms, ten seconds before.
        let dates = ["Sun, 06 Nov 1994 08:49:47 GMT", "Sunday, 06-Nov-94 08:49:47 GMT", "Sun Nov  6 08:49:47 1994"];
        assert_eq!(dates.map(after), [Some(10); 3].map(|ten| ten.map(|ten: u64| ten)));
        assert_eq!(["Sun, 06 Nov 1994 08:00:00 GMT", "soon", "-1", "1.5", ""].map(after), [Some(0), None, None, None, None]);
    }

    #[test]
    fn waits_are_drawn_from_all_of_a_room_that_doubles_up_to_a_bound() {
        for failures in 0..40 {
            let most = WAIT_FIRST.saturating_mul(1 << failures.min(20)).min(WAIT_LAST);
            let drawn: Vec<Duration> = (0..=8).map(|n| drawn(failures, u64::MAX / 8 * n)).collect();
            assert!(drawn.iter().all(|wait| *wait >= WAIT_LEAST && *wait <= most.max(WAIT_LEAST)), "{drawn:?}");
            assert!(drawn.is_sorted() && drawn[0] == WAIT_LEAST && drawn[8] > most - most / 50, "{drawn:?}");
        }
    }
}
