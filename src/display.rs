//! Numbers as people read them. Floats are allowed here: nothing that is shown comes back.

use mining::{Amount, date::civil};

/// A whole number for a chart or a page.
pub fn to_f64(number: u128) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for people to look at")]
    let number = number as f64;
    number
}

/// A hashrate with its prefix: `12.3 TH/s`.
pub fn hashrate(hashes_per_second: f64) -> String {
    with_prefix(hashes_per_second, "H/s")
}

/// A number with a metric prefix and three significant digits.
pub fn with_prefix(number: f64, unit: &str) -> String {
    const PREFIXES: [&str; 8] = ["", "k", "M", "G", "T", "P", "E", "Z"];
    let mut rest = number;
    let mut prefixes = PREFIXES.into_iter();
    let mut prefix = prefixes.next().unwrap_or_default();
    while rest >= 999.5 {
        let Some(next) = prefixes.next() else { break };
        prefix = next;
        rest /= 1000.0;
    }
    let digits = match rest {
        r if r >= 99.95 || r == 0.0 => 0,
        r if r >= 9.995 => 1,
        _ => 2,
    };
    format!("{rest:.digits$} {prefix}{unit}")
        .trim_end()
        .to_owned()
}

/// A difficulty: short, whatever its size.
pub fn difficulty(difficulty: f64) -> String {
    if difficulty >= 1000.0 {
        with_prefix(difficulty, "")
    } else if difficulty >= 1e-5 {
        // Three significant digits, without zeros behind them.
        let digits = if difficulty >= 0.01 {
            3
        } else if difficulty >= 0.001 {
            5
        } else {
            7
        };
        let text = format!("{difficulty:.digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{difficulty:.2e}")
    }
}

/// Money in coins, from a text of smallest units: `50.00000000`.
pub fn coins(units: &str, decimals: u8) -> String {
    let amount = units.parse().map(Amount::from_units);
    amount.map_or_else(
        |_| units.to_owned(),
        |amount| amount.in_coins(decimals).to_string(),
    )
}

/// A time that something takes, with the two largest units: `3 d 4 h`.
pub fn duration(seconds: u128) -> String {
    const UNITS: [(&str, u128); 5] = [
        ("y", 365 * 86_400),
        ("d", 86_400),
        ("h", 3_600),
        ("min", 60),
        ("s", 1),
    ];
    let first = UNITS.iter().position(|(_, length)| seconds >= *length);
    let Some(first) = first else {
        return "below 1 s".into();
    };
    let (unit, length) = UNITS[first];
    let count = seconds / length;
    if unit == "y" && count >= 10 {
        return format!("{} y", with_prefix(to_f64(count), "").trim_end());
    }
    match UNITS.get(first + 1) {
        Some((smaller, short)) if seconds % length / short > 0 => {
            format!("{count} {unit} {} {smaller}", seconds % length / short)
        }
        _ => format!("{count} {unit}"),
    }
}

/// A text of somebody else's as a terminal may show it: ASCII that is printed, and a question mark for
/// anything else. So nothing moves the cursor, changes colours, hides or turns around what is beside it.
pub fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        ' ' => c,
        c if c.is_ascii_graphic() => c,
        _ => '?',
    };
    text.chars().map(shown).collect()
}

/// Milliseconds since 1970 as RFC 3339 in UTC, to the second.
pub fn time(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(hashrate(0.0), "0 H/s");
        assert_eq!(hashrate(1.5), "1.50 H/s");
        assert_eq!(hashrate(12_345_678.0), "12.3 MH/s");
        assert_eq!(hashrate(999_600.0), "1.00 MH/s");
        assert_eq!(hashrate(1e30), "1000000000 ZH/s");
        assert_eq!(difficulty(0.000_15), "0.00015");
        assert_eq!(difficulty(0.001), "0.001");
        assert_eq!(difficulty(1.5e-9), "1.50e-9");
        assert_eq!(difficulty(0.25), "0.25");
        assert_eq!(difficulty(1024.0), "1.02 k");
        assert_eq!(coins("5000000000", 8), "50.00000000");
        assert_eq!(coins("7", 8), "0.00000007");
    }

    #[test]
    fn durations_have_two_units() {
        assert_eq!(duration(0), "below 1 s");
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(3_600), "1 h");
        assert_eq!(duration(90_061), "1 d 1 h");
        assert_eq!(duration(86_400 * 365 + 86_400 * 30), "1 y 30 d");
        assert_eq!(duration(86_400 * 365 * 12_345), "12.3 k y");
    }

    #[test]
    fn a_terminal_is_shown_nothing_that_it_would_act_on() {
        assert_eq!(plain("bitaxe/BM1370 ~"), "bitaxe/BM1370 ~");
        // An escape sequence, C1's own, a newline, right to left, zero width, a tag.
        let hostile = "\u{1b}[2J\u{9b}31m\r\n\u{202e}x\u{200b}\u{e0041}";
        assert_eq!(plain(hostile), "?[2J?31m???x??");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_399_999), "2000-02-28T23:59:59Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(time(4_107_542_400_000), "2100-03-01T00:00:00Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59Z");
    }
}
