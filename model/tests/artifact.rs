//! The artifact as a file: what comes back is what was saved, and nothing else comes back.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use forecast::accuracy::Scores;
use forecast::drift::{Extent, Promise};
use forecast::scale::MinMaxScaler;
use forecast::{
    ForecastFailure, Forecaster, HORIZON, IntervalSource, Quantiles, ResidualQuantiles, Series,
    SeriesId, Step, Timestamp,
};
use model::{
    Artifact, DataSummary, Device, DeviceKind, LoadError, Manifest, Network, NetworkConfig,
    QuantileConfig, ReferenceForecaster, ScoresSummary, TrainingSummary, Weights,
};
use proptest::prelude::*;

const SMALL: NetworkConfig = NetworkConfig { lookback: 6, hidden: 4, dense: 3, dropout: 0.2 };

fn day_series() -> Series {
    let id = SeriesId::new("shop/web").expect("a name");
    let value = |i: usize| Some(10.0 + 5.0 * (i as f64 / 46.0).sin());
    let values = (0..600).map(value).collect();
    Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).expect("a series")
}

fn scores() -> Scores {
    Scores {
        count: 4680,
        mae: 0.1,
        rmse: 0.125,
        mape: Some(0.05),
        mape_excluded: 0.0,
        smape: 0.0625,
        wape: Some(0.05),
        mase: None,
        wql: Some(0.03),
        coverage_80: 0.8,
    }
}

fn manifest() -> Manifest {
    let offsets = vec![vec![-1.0, -2.0], vec![0.0, 0.0], vec![1.0, 2.0]];
    let levels = [0.1, 0.5, 0.9].map(|q| forecast::Quantile::new(q).expect("a quantile"));
    let quantiles = Quantiles::new(levels.to_vec()).expect("quantiles");
    let source = IntervalSource::ValidationResiduals;
    let series = day_series();
    Manifest {
        tool_version: "0.1.0".to_owned(),
        created: Timestamp::from_second(1_790_000_000).expect("a time"),
        series: series.id().clone(),
        step: Step::FIVE_MINUTES,
        horizon: 2,
        data: DataSummary::of(series.view(), "seed 42"),
        seed: 42,
        training: TrainingSummary {
            epochs_max: 50,
            epochs_run: 2,
            best_epoch: 1,
            stopped_early: true,
            train_loss: vec![0.5, 0.25],
            validation_loss: vec![0.125, 0.25],
            seconds: 1.5,
            windows: 480,
            windows_per_second: 640.0,
            device: "cpu".to_owned(),
            threads: 1,
        },
        scores: ScoresSummary { model: Some(scores()), champion: None, seasonal_naive: None },
        trained_until: Some(Timestamp::from_second(120_000).expect("a time")),
        promise: Some(Promise {
            mae: 0.1,
            wape: Some(0.05),
            levels: Extent { low: 9.0, high: 11.0 },
            spreads: Extent { low: 1.0, high: 2.0 },
        }),
        forced: false,
        residuals: ResidualQuantiles::from_offsets(quantiles, offsets, source).expect("offsets"),
    }
}

fn network() -> Network {
    let scaler = MinMaxScaler::from_bounds(5.0, 15.1).expect("bounds");
    Network::Reference { weights: Weights::initial(SMALL, 42), scaler }
}

fn artifact() -> Artifact {
    Artifact::new(&manifest(), network()).expect("the parts fit")
}

fn forecaster() -> ReferenceForecaster {
    let device = Device::open(DeviceKind::Cpu).expect("a CPU");
    artifact().reference(&device).expect("a reference network")
}

fn saved(folder: &Path) -> std::path::PathBuf {
    let path = Artifact::path_in(folder, &manifest().series);
    artifact().save(&path).expect("the folder is writable");
    path
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    assert_eq!(path, folder.path().join("shop%2Fweb.safetensors"));
    let loaded = Artifact::load(&path).unwrap();
    assert_eq!(loaded, artifact());
    assert_eq!(loaded.manifest(), &manifest());
    assert_eq!(loaded.fingerprint(), artifact().fingerprint());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    let device = Device::open(DeviceKind::Cpu).unwrap();
    let series = day_series();
    let forecast = |artifact: &Artifact| {
        artifact.reference(&device).expect("a reference network").forecast(series.view(), 2)
    };
    assert_eq!(forecast(&loaded).unwrap(), forecast(&artifact()).unwrap());
}

#[test]
fn the_manifest_is_the_golden_one() {
    let pretty = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    assert_eq!(pretty(artifact().manifest_json()), pretty(include_str!("golden/manifest.json")));
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    let bytes = fs::read(&path).unwrap();
    for i in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[i] ^= 1 << (i % 8);
        fs::write(&path, &altered).unwrap();
        let error = Artifact::load(&path).unwrap_err();
        assert!(matches!(error, LoadError::Damaged { .. }), "byte {i}: {error}");
    }
}

#[test]
fn a_truncated_or_foreign_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    let bytes = fs::read(&path).unwrap();
    for length in (0..bytes.len()).step_by(97) {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(Artifact::load(&path), Err(LoadError::Damaged { .. })), "{length} bytes");
    }
    fs::write(&path, b"\x02\0\0\0\0\0\0\0{}").unwrap();
    let error = Artifact::load(&path).unwrap_err().to_string();
    assert!(error.contains("it has no manifest"), "{error}");
    fs::File::create(&path).unwrap().set_len(model::ARTIFACT_BYTES_MAX + 1).unwrap();
    assert!(matches!(Artifact::load(&path), Err(LoadError::TooLarge { .. })));
    fs::remove_file(&path).unwrap();
    let error = Artifact::load(&path).unwrap_err();
    assert!(matches!(error, LoadError::Missing { .. }));
    assert!(error.to_string().contains("train one first"), "{error}");
}

/// Rewrites the file with another manifest and a digest that fits, as another program might.
fn rewrite(path: &Path, change: impl Fn(&mut serde_json::Value)) {
    let bytes = fs::read(path).expect("the file is there");
    let header_length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let mut header: serde_json::Value =
        serde_json::from_slice(&bytes[8..8 + header_length]).expect("the header is JSON");
    let text = header["__metadata__"]["manifest"].as_str().expect("a text").to_owned();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    change(&mut manifest);
    let text = manifest.to_string();
    let mut names: Vec<String> = header.as_object().expect("an object").keys().cloned().collect();
    names.retain(|name| name != "__metadata__");
    names.sort();
    let data = &bytes[8 + header_length..];
    let mut digest = sha2::Sha256::default();
    let mut part = |bytes: &[u8]| {
        use sha2::Digest as _;
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    part(text.as_bytes());
    for name in names {
        let offset = |i: usize| header[&name]["data_offsets"][i].as_u64().expect("a number");
        part(name.as_bytes());
        part(&data[offset(0) as usize..offset(1) as usize]);
    }
    let digest: String = {
        use sha2::Digest as _;
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    header["__metadata__"]["manifest"] = text.into();
    header["__metadata__"]["sha256"] = digest.into();
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    fs::write(path, file).expect("the folder is writable");
}

#[test]
fn another_format_version_is_told_from_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    rewrite(&path, |_| ());
    assert_eq!(Artifact::load(&path).unwrap().network(), artifact().network());
    rewrite(&path, |manifest| manifest["schema_version"] = 3.into());
    let error = Artifact::load(&path).unwrap_err();
    assert!(matches!(error, LoadError::OtherSchema { found: 3, .. }), "{error}");
    assert!(error.to_string().contains("reads versions 1 to 2"), "{error}");
}

#[test]
fn an_artifact_of_the_first_format_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    rewrite(&path, |manifest| {
        manifest["schema_version"] = 1.into();
        let fields = manifest.as_object_mut().unwrap();
        assert!(fields.remove("forced").is_some() && fields.remove("promise").is_some());
        assert!(fields.remove("trained_until").is_some());
        assert!(manifest["scores"].as_object_mut().unwrap().remove("champion").is_some());
    });
    let loaded = Artifact::load(&path).unwrap();
    let unpromised = Manifest { promise: None, trained_until: None, ..manifest() };
    assert_eq!((loaded.network(), loaded.manifest()), (&network(), &unpromised));
}

#[test]
fn a_quantile_network_comes_back_and_has_no_scaler() {
    let folder = tempfile::tempdir().unwrap();
    let config = QuantileConfig { hidden: 4, dense: 3, dropout: 0.2 };
    let network = Network::Lstm { weights: Weights::initial_quantile(config, 42) };
    let artifact = Artifact::new(&manifest(), network).unwrap();
    let path = folder.path().join("lstm.safetensors");
    artifact.save(&path).unwrap();
    assert_eq!(Artifact::load(&path).unwrap(), artifact);
    assert!(artifact.reference(&Device::open(DeviceKind::Cpu).unwrap()).is_none());
    rewrite(&path, |m| m["scaler"] = serde_json::json!({ "min": 0.0, "max": 1.0 }));
    let error = Artifact::load(&path).unwrap_err().to_string();
    assert!(error.contains("has no scaler"), "{error}");
}

#[test]
fn a_consistent_file_that_makes_no_sense_is_refused() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(&str, Change); 9] = [
        ("unknown field", |m| m["extra"] = 1.into()),
        ("lstm_1.weight", |m| m["network"]["hidden"] = 5.into()),
        ("hidden is 0", |m| m["network"]["hidden"] = 0.into()),
        ("unknown variant", |m| m["network"]["kind"] = "other".into()),
        ("bounds", |m| m["scaler"]["max"] = 1.0.into()),
        ("invalid type: null", |m| m["scaler"]["max"] = serde_json::Value::Null),
        ("divide a day", |m| m["step_seconds"] = 7.into()),
        ("horizon is 3", |m| m["horizon"] = 3.into()),
        ("rising order", |m| m["residuals"]["levels"] = vec![0.5, 0.1, 0.9].into()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (expected, change) in cases {
        let path = saved(folder.path());
        rewrite(&path, change);
        let error = Artifact::load(&path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("train it again"), "{error}");
    }
}

#[test]
fn a_weight_that_is_not_finite_is_refused() {
    let tensors = |value| {
        let mut tensors = [80, 16, 128, 16, 12, 3, 3, 1].map(|size| vec![0.5_f32; size]);
        tensors[7][0] = value;
        tensors
    };
    assert!(Weights::new(SMALL, tensors(1.0)).is_ok());
    for value in [f32::NAN, f32::INFINITY] {
        assert!(Weights::new(SMALL, tensors(value)).is_err());
    }
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    // Root may write to a read-only folder, so the obstacle is a file where a folder is needed.
    let error = artifact().save(&path.join("below/a.safetensors")).unwrap_err();
    assert!(error.to_string().contains("writable"), "{error}");
    assert_eq!(Artifact::load(&path).unwrap(), artifact());
    // A folder in the place of the file stops the last step, the renaming.
    let occupied = folder.path().join("occupied.safetensors");
    fs::create_dir(&occupied).unwrap();
    assert!(artifact().save(&occupied).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn what_a_killed_writer_left_is_removed_after_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let left = |name: &str, hours: u64| {
        let path = folder.path().join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        path
    };
    let (old, young) = (left(".model-abandoned", 2), left(".model-under-way", 0));
    let own = left("notes.txt", 2);
    saved(folder.path());
    assert!(!old.exists() && young.exists() && own.exists());
}

#[test]
fn only_its_own_series_and_step_and_enough_history_will_do() {
    let artifact = artifact();
    let own = &artifact.manifest().series;
    let residuals = ResidualQuantiles::from_offsets(
        Quantiles::new(vec![forecast::Quantile::MEDIAN]).unwrap(),
        vec![vec![0.0; HORIZON]],
        IntervalSource::ValidationResiduals,
    );
    let whole = Manifest { horizon: HORIZON, residuals: residuals.unwrap(), ..manifest() };
    let whole = Artifact::new(&whole, network()).unwrap();
    assert!(whole.require(own, Step::FIVE_MINUTES).is_ok());
    let error = artifact.require(own, Step::FIVE_MINUTES).unwrap_err().to_string();
    assert!(error.contains("forecasts 2 steps, but 12"), "{error}");
    let other = SeriesId::new("shop/other").unwrap();
    let error = artifact.require(&other, Step::FIVE_MINUTES).unwrap_err().to_string();
    assert!(error.contains("not on shop/other"), "{error}");
    let minute = Step::from_seconds(60).unwrap();
    let error = artifact.require(own, minute).unwrap_err().to_string();
    assert!(error.contains("steps of 5m") && error.contains("steps of 1m"), "{error}");
    let forecaster = forecaster();
    let series = day_series();
    let failure = forecaster.forecast(series.view().prefix(5), 2).unwrap_err();
    assert_eq!(failure, ForecastFailure::TooShort { needed: 6, got: 5 });
    let failure = forecaster.forecast(series.view(), 3).unwrap_err();
    assert_eq!(failure, ForecastFailure::HorizonTooLong { longest: 2, asked: 3 });
    assert!(matches!(forecaster.forecast(series.view(), 0), Err(ForecastFailure::Invalid(_))));
    let values = series.view().values().to_vec();
    let id = series.id().clone();
    let other = Series::from_values(id, minute, Timestamp::UNIX_EPOCH, values).unwrap();
    let failure = forecaster.forecast(other.view(), 2).unwrap_err();
    assert!(matches!(failure, ForecastFailure::OtherStep { .. }));
}

#[test]
fn many_forecasts_at_once_are_those_of_one_by_one() {
    let forecaster = forecaster();
    let mut values = day_series().view().values().to_vec();
    values[500..503].fill(None);
    let id = SeriesId::new("gapped").unwrap();
    let series =
        Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).unwrap();
    let origins: Vec<usize> = (480..=600).step_by(5).collect();
    let batched = forecaster.forecasts(series.view(), &origins, 2).unwrap();
    assert_eq!(batched.len(), 25);
    for (origin, batched) in origins.into_iter().zip(batched) {
        let single = forecaster.forecast(series.view().prefix(origin), 2).unwrap();
        assert_eq!(single.origin(), batched.origin());
        for (a, b) in single.points().iter().zip(batched.points()) {
            // A product of another width may add in another order.
            assert!((a - b).abs() < 1e-4, "at {origin}: {a} {b}");
        }
    }
}

#[test]
fn a_lookback_that_was_hardly_observed_is_refused() {
    let forecaster = forecaster();
    let mut values = day_series().view().values().to_vec();
    values[590..594].fill(None);
    let id = SeriesId::new("gapped").unwrap();
    let series =
        Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).unwrap();
    let at = |origin| forecaster.forecast(series.view().prefix(origin), 2);
    assert!(at(593).is_ok(), "three of six were observed");
    assert_eq!(at(594).unwrap_err(), ForecastFailure::TooGapped { observed: 2, needed: 3 });
    let failure = forecaster.forecasts(series.view(), &[593, 594], 2).unwrap_err();
    assert_eq!(failure, ForecastFailure::TooGapped { observed: 2, needed: 3 });
}

proptest! {
    #[test]
    fn file_names_are_safe_and_distinct(
        a in "[^\\p{Cc}]{1,80}", b in "[^\\p{Cc}]{1,80}"
    ) {
        let name = |id: &str| {
            let id = SeriesId::new(id).unwrap();
            let path = Artifact::path_in(Path::new("models"), &id);
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        prop_assume!(a.len() <= 253 && b.len() <= 253);
        let (first, second) = (name(&a), name(&b));
        prop_assert!(first.len() <= 255 && !first.starts_with('.') && first.is_ascii());
        prop_assert!(!first.contains(['/', '\\', ':', '\0']));
        prop_assert_eq!(a == b, first == second);
    }
}
