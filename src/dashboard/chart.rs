//! A hashrate over time as an SVG of ours. It holds no text: labels stand beside it, so that they stay
//! readable on a phone, where the drawing is squeezed.

use std::fmt::Write as _;

use crate::{api::hashrate, display};

/// The drawing's own units; it is stretched to its place.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;
/// Above the highest point is that part of the height.
const ROOM: f64 = 1.1;

/// A chart, ready for a page.
#[derive(Debug)]
pub(super) struct Chart {
    /// The elements inside `svg`: numbers of ours, and nothing that anybody has typed.
    pub(super) drawing: String,
    /// What the top line stands for.
    pub(super) top: String,
    /// What the line in the middle stands for.
    pub(super) middle: String,
    /// Some times below it.
    pub(super) times: Vec<String>,
    /// The same as rows: time, hashrate, shares.
    pub(super) rows: Vec<(String, String, u64)>,
    /// The blocks in it.
    pub(super) blocks: usize,
    /// For a screen reader.
    pub(super) told: String,
}

impl Chart {
    pub(super) fn new(chart: &hashrate::Chart) -> Self {
        let points = &chart.points;
        let highest = points
            .iter()
            .map(|point| point.hashrate)
            .fold(0.0, f64::max);
        let top = if highest > 0.0 { highest * ROOM } else { 1.0 };
        let from = points.first().map_or(0, |point| point.time);
        let to = points.last().map_or(1, |point| point.time) + i64::from(chart.step_s);
        let x = |time: i64| fraction(time - from, to - from) * WIDTH;
        let y = |rate: f64| HEIGHT - rate / top * HEIGHT;
        let mut drawing = String::new();
        for line in [1.0, 2.0, 3.0] {
            let at = HEIGHT * line / 4.0;
            let _ = write!(drawing, r#"<path class="grid" d="M0 {at:.0}H{WIDTH:.0}"/>"#);
        }
        // Each step is as wide as its time: what is drawn is the average of exactly that.
        let mut line = String::new();
        for (place, point) in points.iter().enumerate() {
            let (begin, end) = (x(point.time), x(point.time + i64::from(chart.step_s)));
            let at = y(point.hashrate);
            let _ = match place {
                0 => write!(line, "M{begin:.1} {at:.1}H{end:.1}"),
                _ => write!(line, "V{at:.1}H{end:.1}"),
            };
        }
        if !points.is_empty() {
            let _ = write!(
                drawing,
                r#"<path class="area" d="{line}V{HEIGHT:.0}H0Z"/><path class="line" d="{line}"/>"#
            );
        }
        for mark in &chart.blocks {
            let at = x(mark.time);
            let _ = write!(
                drawing,
                r#"<path class="mark {}" d="M{at:.1} 0V{HEIGHT:.0}"><title>{}, {}</title></path>"#,
                mark.state,
                mark.height,
                clock(mark.time)
            );
        }
        // What a pointer rests on says what it is.
        let width = WIDTH / display::to_f64(points.len().max(1).try_into().unwrap_or(1));
        for point in points {
            let _ = write!(
                drawing,
                r#"<rect class="touch" x="{:.1}" y="0" width="{width:.1}" height="{HEIGHT:.0}"><title>{}: {}</title></rect>"#,
                x(point.time),
                clock(point.time),
                display::hashrate(point.hashrate)
            );
        }
        let row = |point: &hashrate::Point| {
            let rate = display::hashrate(point.hashrate);
            (clock(point.time), rate, point.shares)
        };
        let told = points.last().map_or(0.0, |point| point.hashrate);
        let blocks = chart.blocks.len();
        Self {
            drawing,
            top: display::hashrate(top),
            middle: display::hashrate(top / 2.0),
            times: times(from, to),
            rows: points.iter().rev().map(row).collect(),
            told: format!(
                "now {}, at most {}, {blocks} blocks",
                display::hashrate(told),
                display::hashrate(highest)
            ),
            blocks,
        }
    }
}

/// Begin, middle and end.
fn times(from: i64, to: i64) -> Vec<String> {
    let is_long = to - from > 2 * 86_400;
    let tell = |time: i64| {
        let text = clock(time);
        let (date, hour) = text.split_once(' ').unwrap_or((&text, ""));
        if is_long {
            date.to_owned()
        } else {
            hour.to_owned()
        }
    };
    [from, from + (to - from) / 2, to].map(tell).into()
}

/// `2026-11-27 09:30`, in UTC.
fn clock(time: i64) -> String {
    let text = display::time(time.saturating_mul(1000));
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

fn fraction(part: i64, whole: i64) -> f64 {
    let number = |number: i64| display::to_f64(number.max(0).unsigned_abs().into());
    number(part) / number(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(rates: &[f64]) -> Chart {
        let points = (0..).zip(rates).map(|(place, rate)| hashrate::Point {
            time: 1_800_000_000 + place * 60,
            hashrate: *rate,
            shares: 1,
        });
        Chart::new(&hashrate::Chart {
            pool: "p".into(),
            step_s: 60,
            points: points.collect(),
            blocks: vec![hashrate::Mark {
                time: 1_800_000_030,
                height: 7,
                hash: String::new(),
                state: "mature",
            }],
        })
    }

    #[test]
    fn the_highest_point_is_just_below_the_top_and_zero_at_the_bottom() {
        let drawn = chart(&[0.0, 110.0]);
        assert!(
            drawn
                .drawing
                .contains(r#"class="line" d="M0.0 200.0H500.0V18.2H1000.0""#),
            "{}",
            drawn.drawing
        );
        assert_eq!(
            (drawn.top.as_str(), drawn.middle.as_str()),
            ("121 H/s", "60.5 H/s")
        );
        assert_eq!(drawn.rows[0].1, "110 H/s");
    }

    #[test]
    fn a_block_stands_at_its_time() {
        let drawn = chart(&[1.0, 1.0]);
        assert!(
            drawn
                .drawing
                .contains(r#"class="mark mature" d="M250.0 0V200""#),
            "{}",
            drawn.drawing
        );
    }

    #[test]
    fn nothing_at_all_can_be_drawn() {
        for rates in [&[][..], &[0.0]] {
            let drawn = chart(rates);
            assert!(!drawn.drawing.contains("NaN") && !drawn.drawing.contains("inf"));
        }
    }
}
