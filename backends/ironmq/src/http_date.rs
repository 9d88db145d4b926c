//! The dates of HTTP headers.

/// The seconds from 1970 to a date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7), the
/// only form that is still generated. `None` for anything else, and for dates before 1970.
pub(crate) fn unix_seconds(text: &str) -> Option<u64> {
    let (_day_of_week, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = digits(words.next()?, 2)?;
    let month = month(words.next()?)?;
    let year = digits(words.next()?, 4)?;
    let mut time = words.next()?.split(':');
    let hour = digits(time.next()?, 2)?;
    let minute = digits(time.next()?, 2)?;
    let second = digits(time.next()?, 2)?;
    if words.next() != Some("GMT") || words.next().is_some() || time.next().is_some() {
        return None;
    }
    // 60 is a leap second.
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let days = days_since_1970(year, month, day);
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn digits(word: &str, count: usize) -> Option<u64> {
    (word.len() == count && word.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| word.parse().ok())?
}

/// The month's number; January is 1.
fn month(name: &str) -> Option<u64> {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES.iter().zip(1..).find(|(known, _)| **known == name).map(|(_, number)| number)
}

/// Days in the Gregorian calendar. Years start in March, so that the leap day comes last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_before_month = (153 * month + 2) / 5;
    // There are 719,468 days between 1 March of year 0 and 1 January 1970.
    year * 365 + leap_days + days_before_month + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_are_read() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(unix_seconds(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn anything_else_is_ignored() {
        for text in [
            "",
            "soon",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
        ] {
            assert_eq!(unix_seconds(text), None, "{text:?}");
        }
    }
}
