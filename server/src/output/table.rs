//! Tables of plain text.

use std::fmt::Write as _;

use forecast::accuracy::Scores;
use forecast::{Forecast, Quantile};

use super::minute;

/// A forecast, a line a step.
pub(crate) fn forecast_table(forecast: &Forecast) -> String {
    let mut text = String::from("time (UTC)          forecast      lower      upper\n");
    for k in 0..forecast.horizon() {
        let _ = writeln!(
            text,
            "{:<18} {:>9.3} {:>10.3} {:>10.3}",
            minute(forecast.time_at(k)),
            forecast.points()[k],
            forecast.quantile(Quantile::P10, k),
            forecast.quantile(Quantile::P90, k),
        );
    }
    text.truncate(text.trim_end().len());
    text
}

/// The scores of several methods, a line each; a method without any is left out.
pub(crate) fn scores_table(rows: &[(&str, Option<Scores>)]) -> String {
    let mut text = String::from(
        "method               MAPE      WAPE      MASE       MAE       WQL  80 % interval covers\n",
    );
    for (name, scores) in rows.iter().filter_map(|(name, scores)| Some(name).zip(*scores)) {
        let _ = writeln!(
            text,
            "{name:<17} {:>7} {:>9} {:>9} {:>9.3} {:>9} {:>14}",
            share(scores.mape),
            share(scores.wape),
            ratio(scores.mase),
            scores.mae,
            ratio(scores.wql),
            share(Some(scores.coverage_80)),
        );
    }
    text.truncate(text.trim_end().len());
    text
}

/// A share in percent; `-` where there is none.
pub(crate) fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.1} %", 100.0 * value))
}

/// A ratio; `-` where there is none.
pub(crate) fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}
