//! A plot of a history and its forecast in the terminal.

use forecast::{Forecast, Quantile, SeriesView};

use super::minute;

/// Past steps that are drawn before the forecast.
const PAST: usize = 60;
/// Lines of the plot.
const HEIGHT: usize = 16;

/// Draws the end of `history`, the forecast after it (`●`) and its 80 % interval (`░`).
pub(crate) fn plot(history: SeriesView<'_>, forecast: &Forecast) -> String {
    let past = history.suffix(PAST).values();
    let path = |quantile| -> Vec<f64> {
        (0..forecast.horizon()).map(|k| forecast.quantile(quantile, k)).collect()
    };
    let (lower, upper) = (path(Quantile::P10), path(Quantile::P90));
    let top = past.iter().flatten().chain(&upper).copied().fold(f64::MIN_POSITIVE, f64::max);
    let lowest = past.iter().flatten().chain(&lower).copied().fold(top, f64::min);
    let bottom = axis_bottom(lowest, top);
    let row_of = |value: f64| {
        let row = ((value - bottom) / (top - bottom) * (HEIGHT - 1) as f64).round();
        (row as usize).min(HEIGHT - 1)
    };
    let mut columns = vec![[' '; HEIGHT]; past.len() + 1 + 2 * forecast.horizon()];
    for (column, value) in columns.iter_mut().zip(past) {
        if let Some(value) = value {
            column[row_of(*value)] = '•';
        }
    }
    columns[past.len()] = ['┊'; HEIGHT];
    for (k, pair) in columns[past.len() + 1..].chunks_exact_mut(2).enumerate() {
        for column in pair {
            column[row_of(lower[k])..=row_of(upper[k])].fill('░');
            column[row_of(forecast.points()[k])] = '●';
        }
    }
    render(&columns, bottom, top) + &footer(history, forecast, past.len())
}

/// Zero, unless all values lie in the upper half: then their differences deserve the room.
pub(super) fn axis_bottom(lowest: f64, top: f64) -> f64 {
    if lowest > top / 2.0 { (lowest - (top - lowest) / 4.0).min(0.99 * top) } else { 0.0 }
}

fn render(columns: &[[char; HEIGHT]], bottom: f64, top: f64) -> String {
    let mut text = String::new();
    for row in (0..HEIGHT).rev() {
        let label = bottom + (top - bottom) * row as f64 / (HEIGHT - 1) as f64;
        let axis =
            if row % 5 == 0 { format!("{label:>9.2} ┤") } else { format!("{:>9} │", "") };
        text += &axis;
        text.extend(columns.iter().map(|column| column[row]));
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn footer(history: SeriesView<'_>, forecast: &Forecast, past: usize) -> String {
    let start = minute(history.suffix(PAST).first_time());
    let origin = minute(forecast.origin());
    let width = (past + 1).saturating_sub(start.chars().count());
    format!("{:>11}{start}{origin:>width$} → {}", "", minute(forecast.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecast::baseline::LastValue;
    use forecast::{Forecaster as _, Series, SeriesId, Step, Timestamp};

    #[test]
    fn the_plot_shows_past_forecast_and_interval() {
        let values = (0..100).map(|i| Some(f64::from(i % 7) + 3.0)).collect();
        let id = SeriesId::new("shop/web").unwrap();
        let series =
            Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).unwrap();
        let fitted = LastValue::fit(series.view(), 12).unwrap();
        let drawn = plot(series.view(), &fitted.forecast(series.view(), 12).unwrap());
        assert_eq!(drawn.lines().count(), HEIGHT + 1);
        assert_eq!(drawn.matches('•').count(), PAST);
        assert_eq!(drawn.matches('●').count(), 24);
        assert!(drawn.contains('░'));
        assert!(drawn.lines().all(|line| line.chars().count() < 110));
    }

    #[test]
    fn an_idle_workload_can_be_drawn() {
        let id = SeriesId::new("shop/idle").unwrap();
        let values = vec![Some(0.0); 30];
        let series =
            Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).unwrap();
        let fitted = LastValue::fit(series.view(), 12).unwrap();
        let drawn = plot(series.view(), &fitted.forecast(series.view(), 12).unwrap());
        assert!(drawn.contains('●'));
    }
}
