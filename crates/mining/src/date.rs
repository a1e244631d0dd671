//! A day of the calendar, in UTC.

use std::{fmt, str::FromStr};

/// The days before 1970 in the years that [`civil`] counts from.
const DAYS_BEFORE_1970: i64 = 719_468;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// 9999-12-31: no year has five digits.
const LAST: u32 = 2_932_896;

/// A day from 1970-01-01 to 9999-12-31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

/// A text that is no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is YYYY-MM-DD, of the calendar, from 1970-01-01 to 9999-12-31")]
pub struct NotADate;

impl Date {
    /// From the number of days since 1970-01-01.
    pub fn from_number(days: i64) -> Option<Self> {
        let days = u32::try_from(days).ok()?;
        (days <= LAST).then_some(Self(days))
    }

    /// The day of a time in milliseconds since 1970; the first or the last where it is outside.
    pub fn of_ms(time_ms: i64) -> Self {
        let days = time_ms.div_euclid(DAY_MS).clamp(0, LAST.into());
        Self(u32::try_from(days).expect("held to the range"))
    }

    /// The number of days since 1970-01-01.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The day after; the last day where there is none.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1).min(LAST))
    }

    /// When it ends, in milliseconds since 1970.
    pub fn end_ms(self) -> i64 {
        (i64::from(self.0) + 1) * DAY_MS
    }
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar: years are counted
/// from March, so that the leap day is a year's last.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_BEFORE_1970;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The other way.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - DAYS_BEFORE_1970
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.into());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Date {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, NotADate> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<u16>());
        let mut next = || parts.next().and_then(Result::ok).ok_or(NotADate);
        let (year, month, day) = (next()?, next()?, next()?);
        let date = Self::from_number(days_of(year.into(), month.into(), day.into()));
        // What is not written as it would be here is none: 2026-02-30, 2026-2-3, +26-01-01.
        date.filter(|date| date.to_string() == text).ok_or(NotADate)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_is_no_day_is_refused() {
        for text in [
            "",
            "2026",
            "2026-11",
            "2026-11-27T00:00:00Z",
            "2026-11-31",
            "2026-02-29",
            "2100-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-01",
            "+026-01-01",
            "02026-01-01",
            "10000-01-01",
            "1969-12-31",
            " 2026-01-01",
            "2026-01-01 ",
            "2026-01-0\u{661}",
        ] {
            assert_eq!(text.parse::<Date>(), Err(NotADate), "{text:?}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        #[track_caller]
        fn case(time_ms: i64, text: &str) {
            assert_eq!(Date::of_ms(time_ms).to_string(), text);
            assert_eq!(text.parse(), Ok(Date::of_ms(time_ms)));
        }
        case(0, "1970-01-01");
        case(-1, "1970-01-01");
        case(951_782_399_999, "2000-02-28");
        case(951_782_400_000, "2000-02-29");
        case(4_107_542_399_999, "2100-02-28");
        case(i64::MAX, "9999-12-31");
        let day: Date = "2026-11-27".parse().unwrap();
        assert_eq!(Date::of_ms(day.end_ms()), day.next());
        assert_eq!(Date::of_ms(day.end_ms() - 1), day);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(days in 0..=LAST) {
            let date = Date::from_number(days.into()).unwrap();
            prop_assert_eq!(date.to_string().parse(), Ok(date));
        }
    }
}
