//! A picture of a history and its forecast, for a document or a ticket.

use forecast::{Forecast, Quantile, SeriesView, Timestamp};
use plotters::prelude::*;

use super::minute;
use super::plot::axis_bottom;

/// Past steps that are drawn before the forecast: four hours of five-minute steps.
const PAST: usize = 48;
const SIZE: (u32, u32) = (960, 420);
/// Blue and orange of Okabe and Ito (2008), which the colour-blind can tell apart.
const OBSERVED: RGBColor = RGBColor(0, 114, 178);
const FORECAST: RGBColor = RGBColor(213, 94, 0);

/// Draws the end of `history`, the forecast after it and its 80 % interval as an SVG document.
///
/// # Errors
/// When the drawing library fails, which it says in words.
pub(crate) fn svg(history: SeriesView<'_>, forecast: &Forecast) -> anyhow::Result<String> {
    let mut document = String::new();
    draw(&mut document, history.suffix(PAST), forecast)
        .map_err(|error| anyhow::anyhow!("the picture could not be drawn: {error}"))?;
    Ok(document)
}

fn draw(
    document: &mut String,
    past: SeriesView<'_>,
    forecast: &Forecast,
) -> Result<(), Box<dyn std::error::Error>> {
    let band = band(forecast);
    let shown = || band.iter().map(|(_, v)| *v).chain(past.values().iter().flatten().copied());
    let top = shown().fold(f64::MIN_POSITIVE, f64::max);
    let bottom = axis_bottom(shown().fold(top, f64::min), top);
    let (first, last) = (past.first_time().as_second(), forecast.end().as_second());

    let area = SVGBackend::with_string(document, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!("{}: the next hour, from {} UTC", past.id(), minute(forecast.origin()));
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .caption(title, ("sans-serif", 20))
        .x_label_area_size(32)
        .y_label_area_size(56)
        .build_cartesian_2d(
            (first..last).with_key_points(hours(first, last)),
            bottom..top + 0.1 * (top - bottom),
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|second| clock_face(*second))
        .y_desc("load")
        .draw()?;
    chart.draw_series([Polygon::new(band, FORECAST.mix(0.25))])?.label("80 % interval").legend(
        |(x, y)| Rectangle::new([(x, y - 5), (x + 20, y + 5)], FORECAST.mix(0.25).filled()),
    );
    for (i, stretch) in observed_stretches(past).into_iter().enumerate() {
        let drawn = chart.draw_series(LineSeries::new(stretch, OBSERVED.stroke_width(2)))?;
        if i == 0 {
            drawn
                .label("observed")
                .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], OBSERVED.stroke_width(2)));
        }
    }
    let points =
        (0..forecast.horizon()).map(|k| (forecast.time_at(k).as_second(), forecast.points()[k]));
    chart
        .draw_series(LineSeries::new(points, FORECAST.stroke_width(3)))?
        .label("forecast")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], FORECAST.stroke_width(3)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}

/// The outline of the 80 % interval: its upper end forward, its lower end back.
fn band(forecast: &Forecast) -> Vec<(i64, f64)> {
    let at = |quantile, k| (forecast.time_at(k).as_second(), forecast.quantile(quantile, k));
    let upper = (0..forecast.horizon()).map(|k| at(Quantile::P90, k));
    let lower = (0..forecast.horizon()).rev().map(|k| at(Quantile::P10, k));
    upper.chain(lower).collect()
}

/// The runs of observed values; a gap stays a gap.
fn observed_stretches(past: SeriesView<'_>) -> Vec<Vec<(i64, f64)>> {
    let timed: Vec<(i64, Option<f64>)> = past
        .values()
        .iter()
        .enumerate()
        .map(|(i, value)| (past.time_at(i).as_second(), *value))
        .collect();
    timed
        .split(|(_, value)| value.is_none())
        .map(|run| run.iter().filter_map(|(time, value)| Some((*time, (*value)?))).collect())
        .collect()
}

/// The whole hours between two times, in seconds since the epoch.
fn hours(first: i64, last: i64) -> Vec<i64> {
    (first.div_euclid(3600) + 1..=last.div_euclid(3600)).map(|hour| 3600 * hour).collect()
}

fn clock_face(second: i64) -> String {
    Timestamp::from_second(second)
        .map_or_else(|_| String::new(), |t| t.strftime("%H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecast::baseline::LastValue;
    use forecast::{Forecaster as _, Series, SeriesId, Step};

    #[test]
    fn the_picture_is_a_document_with_line_band_and_labels() {
        let values = (0..100).map(|i| (i % 40 > 3).then_some(f64::from(i % 7) + 3.0)).collect();
        let id = SeriesId::new("shop/web").unwrap();
        let series =
            Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).unwrap();
        let fitted = LastValue::fit(series.view(), 12).unwrap();
        let forecast = fitted.forecast(series.view(), 12).unwrap();
        let drawn = svg(series.view(), &forecast).unwrap();
        assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"), "{drawn}");
        assert!(drawn.contains("shop/web: the next hour"), "{drawn}");
        assert!(drawn.contains("<polygon"), "{drawn}");
        assert_eq!(observed_stretches(series.view().suffix(PAST)).iter().flatten().count(), 44);
        assert!(drawn.matches("<polyline").count() >= 3, "two stretches and the forecast");
    }
}
