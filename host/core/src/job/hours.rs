//! Service hours: the weekly windows in which a node takes jobs of other nodes. Pure: the wall clock is an argument, and a
//! time zone is a fixed distance from UTC, without rules of any country.

use std::ops::Range;

/// Weekly windows as one: when a node is in service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hours {
    /// Minutes of the week in which it is, from Monday 00:00 in its zone; in order, apart from each other.
    open: Vec<Range<u32>>,
    zone: Zone,
}

/// Such as `Mon-Fri 18:00-08:00` or `Sat-Sun`: some days, and hours that begin on each of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// From Monday.
    days: [bool; DAYS],
    /// Minutes of the day, from and until; absent: the whole day. Until the next day where it ends before it begins.
    hours: Option<(u32, u32)>,
}

/// Minutes east of UTC.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Zone(i32);

/// Why something is not a window, a zone, or hours.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    #[error("there is no window: write at least one, for example \"Mon-Fri 18:00-08:00\", or leave service hours out")]
    Empty,
    #[error(
        "{0:?} is not a window: write days and hours, for example \"Mon-Fri 18:00-08:00\", \"Sat-Sun\" or \"22:00-06:00\""
    )]
    Window(String),
    #[error("{0:?} is not a day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun, as in \"Mon-Fri\" or \"Mon,Wed\"")]
    Day(String),
    #[error("{0:?} is not a time of day: write 00:00 to 23:59, or 24:00 for an end")]
    Time(String),
    #[error("{0:?} has no length: leave the hours out for the whole day")]
    Length(String),
    #[error("{0:?} is not a time zone: write \"UTC\" or a distance from it, for example \"+01:00\" (at most 14 hours)")]
    Zone(String),
}

impl Hours {
    pub fn new(windows: &[Window], zone: Zone) -> Result<Hours, Invalid> {
        let mut spans: Vec<Range<u32>> = windows.iter().flat_map(Window::spans).collect();
        if spans.is_empty() {
            return Err(Invalid::Empty);
        }
        spans.sort_by_key(|span| span.start);
        let mut open: Vec<Range<u32>> = Vec::new();
        for span in spans {
            match open.last_mut().filter(|last| span.start <= last.end) {
                Some(last) => last.end = last.end.max(span.end),
                None => open.push(span),
            }
        }
        Ok(Hours { open, zone })
    }

    /// Whether the node is in service; `unix`: seconds since 1970.
    pub fn is_open(&self, unix: u64) -> bool {
        self.is_open_at(self.second(unix) / 60)
    }

    /// When that changes next, in seconds since 1970; `None`: never.
    pub fn next_change(&self, unix: u64) -> Option<u64> {
        let now = self.second(unix);
        let ends = self.open.iter().flat_map(|span| [span.start, span.end % WEEK]);
        // Between Sunday and Monday a window may go on.
        let changes = ends.filter(|at| self.is_open_at(*at) != self.is_open_at((at + WEEK - 1) % WEEK));
        let until = |at: u32| match (at * 60 + WEEK * 60 - now) % (WEEK * 60) {
            0 => WEEK * 60,
            seconds => seconds,
        };
        changes.map(|at| unix + u64::from(until(at))).min()
    }

    fn is_open_at(&self, minute: u32) -> bool {
        self.open.iter().any(|span| span.contains(&minute))
    }

    /// Seconds of the week in its zone.
    fn second(&self, unix: u64) -> u32 {
        let week = u64::from(WEEK) * 60;
        // 1970 began on a Thursday.
        let since_monday = (unix % week + 3 * u64::from(DAY) * 60) as i64 + i64::from(self.zone.0) * 60;
        since_monday.rem_euclid(week as i64) as u32
    }
}

impl Window {
    /// Letters of days in either case; spaces as one likes.
    pub fn parse(text: &str) -> Result<Window, Invalid> {
        let bad = || Invalid::Window(excerpt(text));
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let hours = match words.last().filter(|word| word.contains(':')) {
            Some(word) => {
                let (from, until) = word.split_once('-').ok_or_else(bad)?;
                let (from, until) = (time(from, DAY - 1)?, time(until, DAY)?);
                if from == until {
                    return Err(Invalid::Length(excerpt(text)));
                }
                words.pop();
                Some((from, until))
            }
            None => None,
        };
        if words.is_empty() {
            // The hours alone are those of every day.
            return hours.map(|hours| Window { days: [true; DAYS], hours: Some(hours) }).ok_or_else(bad);
        }
        let mut days = [false; DAYS];
        for part in words.concat().split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            // From Saturday to Monday is over Sunday.
            let count = (last + DAYS - first) % DAYS + 1;
            (0..count).for_each(|n| days[(first + n) % DAYS] = true);
        }
        Ok(Window { days, hours })
    }

    /// Its minutes of the week.
    fn spans(&self) -> Vec<Range<u32>> {
        let (from, until) = self.hours.unwrap_or((0, DAY));
        let length = if until > from { until - from } else { until + DAY - from };
        let mut spans = Vec::new();
        for day in (0..).zip(self.days).filter(|(_, is)| *is).map(|(day, _): (u32, bool)| day) {
            let start = day * DAY + from;
            let end = start + length;
            spans.push(start..end.min(WEEK));
            if end > WEEK {
                spans.push(0..end - WEEK);
            }
        }
        spans
    }
}

impl Zone {
    /// `UTC`, `Z`, or hours and minutes with a sign.
    pub fn parse(text: &str) -> Result<Zone, Invalid> {
        let bad = || Invalid::Zone(excerpt(text));
        if text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
            return Ok(Zone(0));
        }
        let (sign, rest) = match text.strip_prefix('+') {
            Some(rest) => (1, rest),
            None => (-1, text.strip_prefix('-').ok_or_else(bad)?),
        };
        let minutes = time(rest, FARTHEST).map_err(|_| bad())?;
        Ok(Zone(sign * i32::try_from(minutes).map_err(|_| bad())?))
    }
}

/// Minutes of `HH:MM`.
fn time(text: &str, most: u32) -> Result<u32, Invalid> {
    let bad = || Invalid::Time(excerpt(text));
    let (hours, minutes) = text.split_once(':').ok_or_else(bad)?;
    let number = |digits: &str, lengths: Range<usize>| {
        let fits = lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| fits).ok_or_else(bad)
    };
    let (hours, minutes) = (number(hours, 1..3)?, number(minutes, 2..3)?);
    let all = hours * 60 + minutes;
    if minutes < 60 && all <= most { Ok(all) } else { Err(bad()) }
}

fn day(text: &str) -> Result<usize, Invalid> {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    names.iter().position(|name| text.eq_ignore_ascii_case(name)).ok_or_else(|| Invalid::Day(excerpt(text)))
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

const DAYS: usize = 7;
/// In minutes.
const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;
/// No zone is farther from UTC.
const FARTHEST: u32 = 14 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hours(windows: &[&str], zone: &str) -> Hours {
        let windows: Vec<Window> = windows.iter().map(|text| Window::parse(text).unwrap()).collect();
        Hours::new(&windows, Zone::parse(zone).unwrap()).unwrap()
    }

    /// Seconds since 1970 of a moment in a week of 1970, in UTC.
    fn at(day: &str, clock: &str) -> u64 {
        // The first Monday was the 5th of January.
        let minutes = super::day(day).unwrap() as u32 * DAY + time(clock, DAY).unwrap();
        4 * 86_400 + u64::from(minutes) * 60
    }

    #[test]
    fn a_node_is_in_service_within_its_windows() {
        let nights: &[&str] = &["Mon-Fri 18:00-08:00", "Sat-Sun"];
        for (windows, zone, day, clock, open) in [
            // The night from Sunday to Monday begins on a Sunday.
            (nights, "UTC", "Sun", "23:59", true),
            (nights, "UTC", "Mon", "00:00", false),
            (nights, "UTC", "Mon", "07:59", false),
            (&["Sun-Thu 18:00-08:00"], "UTC", "Mon", "07:59", true),
            (nights, "UTC", "Sat", "07:59", true),
            (&nights[..1], "UTC", "Sat", "08:00", false),
            (nights, "UTC", "Mon", "08:00", false),
            (nights, "UTC", "Mon", "17:59", false),
            (nights, "UTC", "Mon", "18:00", true),
            (nights, "UTC", "Tue", "00:00", true),
            (nights, "UTC", "Tue", "07:59", true),
            (nights, "UTC", "Tue", "08:00", false),
            (nights, "UTC", "Sat", "12:00", true),
            (nights, "UTC", "Sun", "23:59", true),
            (&["Sun 22:00-02:00"], "UTC", "Mon", "01:59", true),
            (&["Sun 22:00-02:00"], "UTC", "Mon", "02:00", false),
            (&["Sun 22:00-02:00"], "UTC", "Sun", "01:00", false),
            (&["Sat-Mon"], "UTC", "Sun", "12:00", true),
            (&["Sat-Mon"], "UTC", "Tue", "00:00", false),
            (&["Fri-Mon 20:00-24:00"], "UTC", "Sun", "23:59", true),
            (&["Fri-Mon 20:00-24:00"], "UTC", "Mon", "00:00", false),
            (&["mon, WED 9:00-17:00"], "UTC", "Wed", "09:00", true),
            (&["mon, WED 9:00-17:00"], "UTC", "Tue", "09:00", false),
            (&["22:00-06:00"], "UTC", "Thu", "03:00", true),
            (&["22:00-06:00"], "UTC", "Thu", "06:00", false),
            (&["Mon 08:00-09:00"], "+01:00", "Mon", "07:30", true),
            (&["Mon 08:00-09:00"], "+01:00", "Mon", "08:00", false),
            (&["Mon 00:00-01:00"], "+05:30", "Sun", "18:45", true),
            (&["Sun 20:00-24:00"], "-08:00", "Mon", "07:59", true),
            (&["Sun 20:00-24:00"], "-08:00", "Mon", "08:00", false),
        ] {
            let hours = hours(windows, zone);
            for weeks in [0, 1, 2_900] {
                let unix = at(day, clock) + weeks * 604_800;
                assert_eq!(hours.is_open(unix), open, "{windows:?} {zone}: {day} {clock}");
            }
        }
    }

    #[test]
    fn the_next_change_is_known_and_there_is_none_in_a_week_without_one() {
        let nights: &[&str] = &["Mon-Fri 18:00-08:00", "Sat-Sun"];
        for (windows, from, next) in [
            (nights, ("Mon", "07:00"), Some(("Mon", "18:00"))),
            (nights, ("Mon", "08:00"), Some(("Mon", "18:00"))),
            (nights, ("Mon", "18:00"), Some(("Tue", "08:00"))),
            (nights, ("Fri", "18:30"), Some(("Mon", "00:00"))),
            (&["Mon 10:00-11:00", "Mon 11:00-12:00", "Mon 10:30-11:30"], ("Mon", "10:30"), Some(("Mon", "12:00"))),
            (&["Sun", "Mon"], ("Sun", "12:00"), Some(("Tue", "00:00"))),
            (&["Mon-Sun"], ("Wed", "12:00"), None),
            (&["Mon-Sun 12:00-11:00", "11:00-12:00"], ("Wed", "12:00"), None),
        ] {
            let from = at(from.0, from.1) + 604_800 * 5;
            let next = next.map(|(day, clock)| {
                let at = at(day, clock) + 604_800 * 5;
                if at > from { at } else { at + 604_800 }
            });
            assert_eq!(hours(windows, "UTC").next_change(from), next, "{windows:?}");
        }
        assert_eq!(hours(&["Mon 08:00-09:00"], "+01:00").next_change(at("Mon", "07:00") - 1), Some(at("Mon", "07:00")));
    }

    #[test]
    fn what_is_not_a_window_is_refused_with_what_to_write() {
        for (text, part) in [
            ("", "is not a window"),
            ("  ", "is not a window"),
            ("Mon-Fri 18:00", "is not a window"),
            ("Montag", "is not a day"),
            ("Mon-", "is not a day"),
            ("Mon,,Tue", "is not a day"),
            ("Mon - Fri 1-2", "is not a day"),
            ("Mon 08:00-25:00", "\"25:00\" is not a time"),
            ("Mon 24:00-08:00", "\"24:00\" is not a time"),
            ("Mon 08:60-09:00", "is not a time"),
            ("Mon 8-9:00", "is not a time"),
            ("Mon +8:00-09:00", "is not a time"),
            ("Mon 08:00-08:00", "has no length"),
            ("08:00-09:00 Mon", "is not a day"),
        ] {
            let refused = Window::parse(text).unwrap_err().to_string();
            assert!(refused.contains(part), "{text:?}: {refused}");
        }
        for text in ["", "CET", "01:00", "+1", "+15:00", "+01:60", "Europe/Berlin", "−01:00"] {
            assert!(matches!(Zone::parse(text), Err(Invalid::Zone(_))), "{text:?}");
        }
        assert_eq!(Hours::new(&[], Zone::default()), Err(Invalid::Empty));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_change_is_one(text in ".{0,30}", near in "(Mon|Sun|Fri)[-,](Tue|Sat) [0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]", zone in "[+-][01][0-9]:[0-5][0-9]", unix in 0..u64::MAX / 2) {
            let _ = (Window::parse(&text), Zone::parse(&text));
            if let (Ok(window), Ok(zone)) = (Window::parse(&near), Zone::parse(&zone)) {
                let hours = Hours::new(&[window], zone).unwrap();
                if let Some(next) = hours.next_change(unix) {
                    prop_assert!(next > unix && next - unix <= 604_800);
                    prop_assert_ne!(hours.is_open(next), hours.is_open(unix));
                    prop_assert_eq!(hours.is_open(next - 1), hours.is_open(unix));
                }
            }
        }
    }
}
