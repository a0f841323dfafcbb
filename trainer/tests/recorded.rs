//! Trainings on recorded workloads, where the folder of recordings lies beside the repository.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use forecast::{Sample, Series, SeriesId, Step, Timestamp};
use model::NetworkConfig;
use trainer::{InService, TrainingConfig, TrainingOptions, train};

fn recorded(name: &str) -> Option<Series> {
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/datasets/series");
    let text = fs::read_to_string(shared.join(format!("{name}.csv"))).ok()?;
    let sample = |line: &str| {
        let (time, value) = line.split_once(',').expect("two columns");
        Sample {
            time: Timestamp::from_second(time.parse().expect("seconds")).expect("a time"),
            value: value.parse().unwrap_or(f64::NAN),
        }
    };
    let samples: Vec<Sample> = text.lines().skip(1).map(sample).collect();
    let id = SeriesId::new(name).expect("a name");
    Some(Series::from_samples(id, Step::FIVE_MINUTES, &samples).expect("a series").0)
}

#[test]
fn recorded_workloads_train_and_are_scored() {
    for name in ["nab_ec2_cpu_825cc2", "azure_vm_00"] {
        let Some(series) = recorded(name) else {
            eprintln!("skipped: there is no recording {name} beside the repository");
            continue;
        };
        let network = NetworkConfig { hidden: 8, dense: 4, ..NetworkConfig::REFERENCE };
        let options = TrainingOptions {
            epochs: 2,
            batch: 256,
            learning_rate: 1e-2,
            network,
            ..TrainingOptions::reference()
        };
        let config = TrainingConfig::try_from(options).unwrap();
        let mut observer = |_| ControlFlow::Continue(());
        let trained = train(
            series.view().suffix(4032),
            &config,
            InService::default(),
            Timestamp::UNIX_EPOCH,
            &mut observer,
        );
        let manifest = trained.unwrap().artifact.manifest().clone();
        let losses = &manifest.training.validation_loss;
        assert!(losses.iter().all(|loss| loss.is_finite()), "{name}: {losses:?}");
        let scores = manifest.scores.model.expect("the test part is scored");
        assert!(scores.count > 1000 && scores.mae.is_finite(), "{name}: {scores:?}");
    }
}
