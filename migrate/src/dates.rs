//! The dates that applications write.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A point in time, as an application has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Date {
    /// Unix milliseconds.
    At(i64),
    /// A date and time of day without an offset, as Python's `datetime.utcnow().isoformat()` writes it.
    Naive(DateTime),
}

/// What dates without an offset mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NaiveDates {
    /// They are in UTC.
    Utc,
    /// They are in the time zone of the system that this program runs on.
    Local,
    /// They say no time: a user's blacklisting ends all sessions in each pass, and a session is as old as can be.
    Always,
}

impl FromStr for NaiveDates {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "utc" => Ok(Self::Utc),
            "local" => Ok(Self::Local),
            "always" => Ok(Self::Always),
            _ => Err("utc, local or always was expected"),
        }
    }
}

impl Date {
    /// Unix seconds, milliseconds or microseconds, a date as of RFC 3339, or one without an offset. `None` for all else,
    /// such as a flag as `1`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse::<f64>() {
            // The years 2001 to 2286, in each of the units.
            let per_millisecond = [(1e9..1e10, 1000.0), (1e12..1e13, 1.0), (1e15..1e16, 0.001)];
            let factor =
                per_millisecond.iter().find_map(|(range, factor)| range.contains(&number).then_some(factor))?;
            #[expect(clippy::cast_possible_truncation, reason = "less than 1e13")]
            return Some(Self::At((number * factor) as i64));
        }
        // `2026-11-25 10:00:00+00:00`, as databases write it.
        let with_t = text.replacen(' ', "T", 1);
        // A day alone is no point in time.
        let (_, time) = with_t.split_once(['T', 't'])?;
        if !time.contains(':') {
            return None;
        }
        let at = with_t.parse::<Timestamp>().map(|time| Self::At(time.as_millisecond()));
        at.or_else(|_| with_t.parse().map(Self::Naive)).ok()
    }

    /// The earliest time that it can mean, in Unix milliseconds; `None` if it says none. Two are possible in the hour
    /// that is repeated when summer time ends.
    pub(crate) fn earliest(self, naive: NaiveDates) -> Option<i64> {
        self.resolve(naive, |zone, date| zone.to_ambiguous_timestamp(date).earlier())
    }

    /// The latest time that it can mean.
    pub(crate) fn latest(self, naive: NaiveDates) -> Option<i64> {
        self.resolve(naive, |zone, date| zone.to_ambiguous_timestamp(date).later())
    }

    fn resolve(
        self,
        naive: NaiveDates,
        choose: impl FnOnce(TimeZone, DateTime) -> Result<Timestamp, jiff::Error>,
    ) -> Option<i64> {
        let (date, zone) = match (self, naive) {
            (Self::At(time), _) => return Some(time),
            (Self::Naive(_), NaiveDates::Always) => return None,
            (Self::Naive(date), NaiveDates::Utc) => (date, TimeZone::UTC),
            (Self::Naive(date), NaiveDates::Local) => (date, TimeZone::system()),
        };
        choose(zone, date).ok().map(Timestamp::as_millisecond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_795_600_800;

    #[test]
    fn times_are_read_in_every_unit() {
        for text in [
            "1795600800",
            "1795600800.25",
            "1795600800250",
            "1795600800250000",
            "2026-11-25T10:00:00.250Z",
            "2026-11-25T12:00:00.25+02:00",
            "2026-11-25 10:00:00.250123+00:00",
        ] {
            let Some(Date::At(millis)) = Date::read(text) else { panic!("{text}") };
            assert_eq!(millis / 1000, AT, "{text}");
        }
        for text in ["1", "true", "", "soon", "0", "-1795600800", "NaN", "20261125", "2026-11-25", "10:00:00"] {
            assert_eq!(Date::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_without_an_offset_is_what_it_is_said_to_be() {
        // As datetime.utcnow().isoformat(), str(datetime.utcnow()) and isoformat(timespec="minutes") write it.
        for text in ["2026-11-25T10:00:00.250123", "2026-11-25 10:00:00.250123", "2026-11-25T10:00"] {
            let date = Date::read(text).unwrap();
            assert!(matches!(date, Date::Naive(_)), "{text}");
            assert_eq!(date.latest(NaiveDates::Utc).map(|millis| millis / 1000), Some(AT), "{text}");
            assert_eq!(date.earliest(NaiveDates::Always), None);
        }
        assert_eq!(Date::At(7).latest(NaiveDates::Always), Some(7));
    }

    #[test]
    fn an_hour_that_is_repeated_is_both() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let Some(Date::Naive(date)) = Date::read("2026-10-25T02:30:00") else { panic!("a naive date") };
        let [early, late] = [zone.to_ambiguous_timestamp(date).earlier(), zone.to_ambiguous_timestamp(date).later()];
        assert_eq!(late.unwrap().as_second() - early.unwrap().as_second(), 3600);
    }
}
