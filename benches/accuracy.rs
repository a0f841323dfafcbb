//! Writes `docs/accuracy.md` from a backtest's scores and forecasts, and the figures of peers.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use plotters::prelude::*;
use serde::Deserialize;

type Failure = Box<dyn Error>;

/// The method that is shown: what the program uses.
const OURS: &str = "lstm";
/// What everything is divided by.
const SEASONAL_NAIVE: &str = "snaive_day";
/// Series that a method needs to be ranked.
const SERIES_MIN: usize = 20;
/// Days that a picture shows.
const SHOWN_SECONDS: i64 = 2 * 86_400;

/// The scores of one method on one series, whoever computed them.
#[derive(Clone, Copy, Debug)]
struct Score {
    mae: f64,
    wql: f64,
    coverage: f64,
    peak_exceeded: f64,
    peak_over: f64,
    fit_seconds: Option<f64>,
    forecast_seconds: Option<f64>,
}

/// By method, then by series.
type Scores = BTreeMap<String, BTreeMap<String, Score>>;

#[derive(Deserialize)]
struct Results {
    results: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    series: String,
    model: String,
    mae: Option<f64>,
    wql: Option<f64>,
    coverage_80: Option<f64>,
    q90_peak_exceeded: Option<f64>,
    q90_peak_over: Option<f64>,
    fit_seconds: f64,
    forecast_seconds: f64,
}

#[derive(Deserialize)]
struct Baseline {
    series: String,
    method: String,
    mae: Option<f64>,
    wql: Option<f64>,
    cov80: Option<f64>,
    q90_under_freq: Option<f64>,
    q90_peak_over: Option<f64>,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<PathBuf> =
        std::env::args_os().skip(1).filter(|a| a != "--bench").map(PathBuf::from).collect();
    let [results, datasets, docs] = arguments.as_slice() else {
        // `cargo bench` calls every bench; this one is called by the script of the same name.
        return Ok(());
    };
    let ours = our_scores(&results.join("results.json"))?;
    let peers = peer_scores(&datasets.join("baselines.csv"))?;
    let pictures = pictures(&results.join("forecasts.csv"), datasets, docs, &ours, &peers)?;
    let text = document(&ours, &peers, &pictures)?;
    fs::write(docs.join("accuracy.md"), text)?;
    eprintln!("wrote {}", docs.join("accuracy.md").display());
    Ok(())
}

fn our_scores(path: &Path) -> Result<Scores, Failure> {
    let results: Results = serde_json::from_slice(&fs::read(path)?)?;
    let mut scores = Scores::new();
    for row in results.results {
        let (Some(mae), Some(wql), Some(coverage)) = (row.mae, row.wql, row.coverage_80) else {
            continue;
        };
        let score = Score {
            mae,
            wql,
            coverage,
            peak_exceeded: row.q90_peak_exceeded.unwrap_or(f64::NAN),
            peak_over: row.q90_peak_over.unwrap_or(f64::NAN),
            fit_seconds: Some(row.fit_seconds),
            forecast_seconds: Some(row.forecast_seconds),
        };
        scores.entry(row.model).or_default().insert(row.series, score);
    }
    Ok(scores)
}

fn peer_scores(path: &Path) -> Result<Scores, Failure> {
    let mut scores = Scores::new();
    for row in csv::Reader::from_path(path)?.deserialize() {
        let row: Baseline = row?;
        let Some(mae) = row.mae else { continue };
        let score = Score {
            mae,
            wql: row.wql.unwrap_or(f64::NAN),
            coverage: row.cov80.unwrap_or(f64::NAN),
            peak_exceeded: row.q90_under_freq.unwrap_or(f64::NAN),
            peak_over: row.q90_peak_over.unwrap_or(f64::NAN),
            fit_seconds: None,
            forecast_seconds: None,
        };
        scores.entry(row.method).or_default().insert(row.series, score);
    }
    Ok(scores)
}

/// What is said of a method over all its series.
struct Summary {
    series: usize,
    mae: f64,
    wql: f64,
    coverage: f64,
    narrow: usize,
    peak_exceeded: f64,
    peak_over: f64,
    peak_over_mean: f64,
}

impl Summary {
    fn of(scores: &BTreeMap<String, Score>, naive: &BTreeMap<String, Score>) -> Self {
        let both: Vec<(&Score, &Score)> =
            scores.iter().filter_map(|(series, score)| Some((score, naive.get(series)?))).collect();
        let mean = |of: &dyn Fn(&Score) -> f64| {
            let known: Vec<f64> =
                both.iter().map(|(score, _)| of(score)).filter(|x| !x.is_nan()).collect();
            known.iter().sum::<f64>() / known.len() as f64
        };
        let ratio = |of: &dyn Fn(&Score) -> f64| {
            let logs: Vec<f64> = both
                .iter()
                .map(|(score, naive)| (of(score) / of(naive)).ln())
                .filter(|x| x.is_finite())
                .collect();
            (logs.iter().sum::<f64>() / logs.len() as f64).exp()
        };
        let mut over: Vec<f64> = both.iter().map(|(score, _)| score.peak_over).collect();
        over.retain(|x| !x.is_nan());
        over.sort_by(f64::total_cmp);
        Self {
            series: both.len(),
            mae: ratio(&|score| score.mae),
            wql: ratio(&|score| score.wql),
            coverage: mean(&|score| score.coverage),
            narrow: both.iter().filter(|(score, _)| score.coverage < 0.7).count(),
            peak_exceeded: mean(&|score| score.peak_exceeded),
            peak_over: over.get(over.len() / 2).copied().unwrap_or(f64::NAN),
            peak_over_mean: mean(&|score| score.peak_over),
        }
    }
}

fn document(ours: &Scores, peers: &Scores, pictures: &[Picture]) -> Result<String, Failure> {
    let naive = peers.get(SEASONAL_NAIVE).ok_or("no figures of seasonal naive")?;
    let summary = Summary::of(ours.get(OURS).ok_or("no scores of ours")?, naive);
    let mut text = String::new();
    writeln!(
        text,
        "# Accuracy\n\n\
         Written by `benches/accuracy`. {} recorded loads of real machines and services, five-minute\n\
         steps; at every hour of the last 30 % of each (at most five days) the next hour is forecast\n\
         from what was known then, and compared with what followed. Errors are divided by those of the\n\
         value one day before (seasonal naive), and the geometric mean is taken over the series.\n\n\
         ## Targets\n",
        summary.series
    )?;
    targets(&mut text, &summary)?;
    ranking(&mut text, ours, peers, naive)?;
    series(&mut text, ours, peers, naive)?;
    text += "\n## Best, median and worst\n\nBy the ratio of the mean absolute errors; the last two days, \
             each hour's forecast and its 80 % interval.\n";
    for picture in pictures {
        writeln!(text, "\n![{}: {}]({})", picture.which, picture.series, picture.path)?;
    }
    text += "\n";
    text += include_str!("accuracy-notes.md");
    Ok(text)
}

fn targets(text: &mut String, summary: &Summary) -> Result<(), Failure> {
    let row = |text: &mut String, what: &str, target: &str, got: String, holds: bool| {
        let holds = if holds { "yes" } else { "**no**" };
        writeln!(text, "| {what} | {target} | {got} | {holds} |")
    };
    *text += "| what | target | `lstm` | holds |\n|---|---|---:|---|\n";
    let Summary { mae, wql, coverage, peak_exceeded, peak_over_mean, .. } = *summary;
    row(text, "mean absolute error", "≤ 0.46", format!("{mae:.3}"), mae <= 0.46)?;
    row(text, "weighted quantile loss", "≤ 0.44", format!("{wql:.3}"), wql <= 0.44)?;
    let within = (0.78..=0.82).contains(&coverage);
    row(text, "share within the 80 % interval", "0.78 to 0.82", format!("{coverage:.3}"), within)?;
    let few = summary.narrow * 10 <= summary.series;
    let got = format!("{} of {}", summary.narrow, summary.series);
    row(text, "series with less than 0.70 within", "at most one in ten", got, few)?;
    let within = (0.08..=0.12).contains(&peak_exceeded);
    let got = format!("{peak_exceeded:.3}");
    row(text, "the hour's peak exceeds its 0.9 quantile", "0.08 to 0.12", got, within)?;
    let got = format!("{peak_over_mean:.2} (median of the series: {:.2})", summary.peak_over);
    row(text, "what that quantile lies above the peak", "≤ 0.10", got, peak_over_mean <= 0.10)?;
    Ok(())
}

fn ranking(
    text: &mut String,
    ours: &Scores,
    peers: &Scores,
    naive: &BTreeMap<String, Score>,
) -> Result<(), Failure> {
    let mut rows: Vec<(String, Summary, bool)> = Vec::new();
    for (scores, own) in [(ours, true), (peers, false)] {
        for (method, scores) in scores {
            rows.push((method.clone(), Summary::of(scores, naive), own));
        }
    }
    // What was recorded for a few series only cannot be ranked.
    rows.retain(|(_, summary, _)| summary.series >= SERIES_MIN);
    rows.sort_by(|a, b| a.1.mae.total_cmp(&b.1.mae));
    let number = |x: f64| if x.is_nan() { "–".to_owned() } else { format!("{x:.3}") };
    *text += "\n## All methods\n\nBold: computed by this program. Those in plain type are recorded figures of \
              peers by the same protocol:\nstatsforecast, Prophet, LightGBM, the tutorial's LSTM in PyTorch, and \
              averages of them (`ens_`).\n\n\
              | method | series | MAE | WQL | within 80 % | peak exceeded | above the peak, median |\n\
              |---|---:|---:|---:|---:|---:|---:|\n";
    for (method, s, own) in rows {
        let name = if own { format!("**{method}**") } else { method };
        let numbers = [s.mae, s.wql, s.coverage, s.peak_exceeded, s.peak_over].map(number);
        writeln!(text, "| {name} | {} | {} |", s.series, numbers.join(" | "))?;
    }
    let mean = |of: fn(&Score) -> Option<f64>, method: &str| {
        let known: Vec<f64> =
            ours.get(method).into_iter().flatten().filter_map(|(_, s)| of(s)).collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    };
    writeln!(
        text,
        "\nOn one thread, many forecasts at a time: `network` {:.2} ms a forecast; `lstm` {:.2} ms, its replay of \
         the\nlast 36 hours included, and {:.2} s to fit.",
        1e3 * mean(|s| s.forecast_seconds, "network"),
        1e3 * mean(|s| s.forecast_seconds, OURS),
        mean(|s| s.fit_seconds, OURS)
    )?;
    Ok(())
}

/// Each series' ratio, and the peer that does best on it in hindsight.
fn series(
    text: &mut String,
    ours: &Scores,
    peers: &Scores,
    naive: &BTreeMap<String, Score>,
) -> Result<(), Failure> {
    let own = ours.get(OURS).ok_or("no scores of ours")?;
    let single = |method: &str| !method.starts_with("ens_");
    let mut rows = Vec::new();
    for (series, score) in own {
        let Some(seasonal) = naive.get(series) else { continue };
        let best = peers
            .iter()
            .filter(|(method, _)| single(method))
            .filter_map(|(method, scores)| Some((method, scores.get(series)?.mae)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((method, best)) = best else { continue };
        rows.push((score.mae / seasonal.mae, series, best / seasonal.mae, method, score.coverage));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let won = rows.iter().filter(|row| row.0 <= row.2).count();
    writeln!(
        text,
        "\n## Series by series\n\nBetter than every single peer on {won} of {} series, though each peer is chosen in \
         hindsight.\n\n<details><summary>All of them</summary>\n\n\
         | series | MAE | within 80 % | the best peer there | its MAE |\n|---|---:|---:|---|---:|",
        rows.len()
    )?;
    for (ratio, series, best, method, coverage) in rows {
        writeln!(text, "| {series} | {ratio:.3} | {coverage:.3} | {method} | {best:.3} |")?;
    }
    *text += "\n</details>\n";
    Ok(())
}

struct Picture {
    which: &'static str,
    series: String,
    path: String,
}

#[derive(Deserialize)]
struct ForecastRow {
    series: String,
    model: String,
    origin: i64,
    step: i64,
    value: f64,
    #[serde(rename = "q0.1")]
    low: f64,
    #[serde(rename = "q0.9")]
    high: f64,
}

fn pictures(
    forecasts: &Path,
    datasets: &Path,
    docs: &Path,
    ours: &Scores,
    peers: &Scores,
) -> Result<Vec<Picture>, Failure> {
    let own = ours.get(OURS).ok_or("no scores of ours")?;
    let naive = peers.get(SEASONAL_NAIVE).ok_or("no figures of seasonal naive")?;
    let mut ranked: Vec<(&String, f64)> = own
        .iter()
        .filter_map(|(series, score)| Some((series, score.mae / naive.get(series)?.mae)))
        .collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let chosen =
        [("best", 0), ("median", ranked.len() / 2), ("worst", ranked.len().saturating_sub(1))];
    let mut rows: BTreeMap<String, Vec<ForecastRow>> = BTreeMap::new();
    for row in csv::Reader::from_path(forecasts)?.deserialize() {
        let row: ForecastRow = row?;
        if row.model == OURS {
            rows.entry(row.series.clone()).or_default().push(row);
        }
    }
    let mut pictures = Vec::new();
    for (which, at) in chosen {
        let (series, ratio) = *ranked.get(at).ok_or("no series in common")?;
        let observed = observed(&datasets.join("series").join(format!("{series}.csv")))?;
        let path = format!("images/accuracy-{which}.svg");
        let mut document = String::new();
        let title = format!("{which}: {series}, {ratio:.2} of seasonal naive's error");
        draw(&mut document, &title, &observed, &rows[series])?;
        fs::write(docs.join(&path), document)?;
        pictures.push(Picture { which, series: series.clone(), path });
    }
    Ok(pictures)
}

fn observed(path: &Path) -> Result<Vec<(i64, f64)>, Failure> {
    let mut observed = Vec::new();
    for record in csv::Reader::from_path(path)?.records() {
        let record = record?;
        if let (Ok(time), Ok(value)) = (record[0].parse(), record[1].parse()) {
            observed.push((time, value));
        }
    }
    Ok(observed)
}

fn draw(
    document: &mut String,
    title: &str,
    observed: &[(i64, f64)],
    forecast: &[ForecastRow],
) -> Result<(), Failure> {
    /// Blue and orange of Okabe and Ito (2008), which the colour-blind can tell apart.
    const OBSERVED: RGBColor = RGBColor(0, 114, 178);
    const FORECAST: RGBColor = RGBColor(213, 94, 0);
    let time = |row: &ForecastRow| row.origin + 300 * row.step;
    let last = forecast.iter().map(time).max().ok_or("no forecast to draw")?;
    let first = last - SHOWN_SECONDS;
    let shown: Vec<&ForecastRow> = forecast.iter().filter(|row| time(row) >= first).collect();
    let past: Vec<(i64, f64)> =
        observed.iter().copied().filter(|(t, _)| (first..=last).contains(t)).collect();
    let top = past.iter().map(|p| p.1).chain(shown.iter().map(|row| row.high)).fold(1e-9, f64::max);
    let area = SVGBackend::with_string(document, (960, 300)).into_drawing_area();
    area.fill(&WHITE)?;
    let hours = |t: i64| (t - first) as f64 / 3600.0;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .caption(title, ("sans-serif", 18))
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..hours(last), 0.0..1.05 * top)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("hours").draw()?;
    // An hour is a forecast of its own: neither its line nor its band is joined to the next.
    for hour in shown.chunk_by(|a, b| a.origin == b.origin) {
        let high = hour.iter().map(|row| (hours(time(row)), row.high));
        let low = hour.iter().rev().map(|row| (hours(time(row)), row.low));
        let band: Vec<(f64, f64)> = high.chain(low).collect();
        chart.draw_series([Polygon::new(band, FORECAST.mix(0.2))])?;
        let line = hour.iter().map(|row| (hours(time(row)), row.value));
        chart.draw_series(LineSeries::new(line, FORECAST.stroke_width(2)))?;
    }
    let line = past.iter().map(|(t, v)| (hours(*t), *v));
    chart.draw_series(LineSeries::new(line, OBSERVED.stroke_width(1)))?;
    area.present()?;
    Ok(())
}
