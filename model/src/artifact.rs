//! A trained network as one file: safetensors, with the manifest and a digest in its metadata.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use forecast::scale::MinMaxScaler;
use forecast::{HORIZON, SeriesId, Step};
use safetensors::SafeTensors;
use thiserror::Error;

use crate::device::Device;
use crate::digest::Digest;
use crate::file::{
    ARTIFACT_BYTES_MAX, TensorBytes, read_limited, read_weights, serialize_tensors, tensor_bytes,
    write_whole,
};
use crate::forecaster::{PointForecaster, ReferenceForecaster};
use crate::manifest::Manifest;
use crate::quantile::{QuantileConfig, QuantileForecaster};
use crate::weights::Weights;
use crate::wire::{ManifestWire, NetworkSpec, SCHEMA_VERSION, SCHEMA_VERSION_MIN, VersionWire};

/// File names are cut at this length; most file systems allow 255 bytes.
const FILE_STEM_MAX: usize = 200;
const MANIFEST_KEY: &str = "manifest";
const DIGEST_KEY: &str = "sha256";

/// A trained network and its description, consistent with each other.
#[derive(Clone, PartialEq, Debug)]
pub struct Artifact {
    manifest: Manifest,
    /// The manifest as it stands in the file: numbers survive being printed and read only as text.
    text: String,
    network: Network,
}

/// A trained network, by its kind.
#[derive(Clone, PartialEq, Debug)]
pub enum Network {
    /// The tutorial's, for the loads of one workload.
    Reference {
        /// The weights.
        weights: Weights,
        /// Fitted on the training part.
        scaler: MinMaxScaler,
    },
    /// A quantile network, trained on, on one workload.
    Lstm {
        /// The weights.
        weights: Weights<QuantileConfig>,
    },
}

impl Network {
    /// The name of the preset that forecasts with it.
    #[must_use]
    pub fn preset(&self) -> &'static str {
        match self {
            Self::Reference { .. } => ReferenceForecaster::NAME,
            Self::Lstm { .. } => QuantileForecaster::NAME,
        }
    }

    fn spec(&self) -> NetworkSpec {
        match self {
            Self::Reference { weights, scaler } => {
                NetworkSpec::Reference(weights.config(), *scaler)
            }
            Self::Lstm { weights } => NetworkSpec::Lstm(weights.config()),
        }
    }

    fn read(spec: NetworkSpec, file: &SafeTensors<'_>) -> Result<Self, String> {
        Ok(match spec {
            NetworkSpec::Reference(config, scaler) => {
                Self::Reference { weights: read_weights(config, file)?, scaler }
            }
            NetworkSpec::Lstm(config) => Self::Lstm { weights: read_weights(config, file)? },
        })
    }

    fn tensor_bytes(&self) -> Vec<TensorBytes> {
        match self {
            Self::Reference { weights, .. } => tensor_bytes(weights).collect(),
            Self::Lstm { weights } => tensor_bytes(weights).collect(),
        }
    }
}

/// Why a manifest and weights are not an [`Artifact`].
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the parts of the artifact do not fit together: {0}")]
pub struct ArtifactError(String);

/// Why an artifact cannot be loaded or used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// There is none.
    #[error("there is no model at {path}: train one first")]
    Missing {
        /// The file looked for.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("the model {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is far too large.
    #[error("{path} has more than {ARTIFACT_BYTES_MAX} bytes: it is not a model of ours")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not what we wrote: truncated, altered, or something else.
    #[error("the model {path} is damaged ({reason}): train it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another version of the program wrote it.
    #[error(
        "the model {path} has format version {found}, but this program reads versions {SCHEMA_VERSION_MIN} to {SCHEMA_VERSION}: train it again with --force, or use the program that made it"
    )]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It is for other data.
    #[error("the model was trained on steps of {fitted}, but steps of {asked} were asked for")]
    OtherStep {
        /// The step it was trained on.
        fitted: Step,
        /// The step asked for.
        asked: Step,
    },
    /// It does not look as far ahead.
    #[error("the model forecasts {fitted} steps, but {HORIZON} are needed: train it again")]
    OtherHorizon {
        /// The steps it forecasts.
        fitted: usize,
    },
    /// It is another workload's.
    #[error("the model was trained on {fitted}, not on {asked}: its scale would be wrong here")]
    OtherSeries {
        /// The series it was trained on.
        fitted: SeriesId,
        /// The series asked for.
        asked: SeriesId,
    },
}

/// What became of an artifact that was to take another's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replaced {
    /// It is there.
    Done,
    /// It is not: somebody else has put another one there.
    Changed,
}

/// Why an artifact cannot be saved. What was there before still is.
#[derive(Debug, Error)]
#[error("the model cannot be written to {path}: is the folder there and writable?")]
pub struct SaveError {
    /// The file that was to be written.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Artifact {
    /// An artifact of these parts.
    ///
    /// # Errors
    /// When they do not fit together.
    pub fn new(manifest: &Manifest, network: Network) -> Result<Self, ArtifactError> {
        let wire = ManifestWire::new(manifest, network.spec());
        let text = serde_json::to_string(&wire).map_err(|e| ArtifactError(e.to_string()))?;
        let (manifest, _) = parse_manifest(&text).map_err(ArtifactError)?;
        Self::of(manifest, text, network).map_err(ArtifactError)
    }

    fn of(manifest: Manifest, text: String, network: Network) -> Result<Self, String> {
        if manifest.horizon != manifest.residuals.horizon() {
            let (horizon, given) = (manifest.horizon, manifest.residuals.horizon());
            return Err(format!("the horizon is {horizon}, but the intervals have {given} steps"));
        }
        Ok(Self { manifest, text, network })
    }

    /// The description.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The description as it stands in the file, as JSON.
    #[must_use]
    pub fn manifest_json(&self) -> &str {
        &self.text
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// SHA-256 of manifest and weights: two artifacts with one fingerprint are the same.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let bytes = self.network.tensor_bytes();
        content_digest(&self.text, bytes.iter().map(|(name, _, bytes)| (*name, bytes.as_slice())))
    }

    /// Checks that it was trained on `series`, at `step`, to forecast [`HORIZON`] steps.
    ///
    /// # Errors
    /// [`LoadError::OtherSeries`], [`LoadError::OtherStep`] or [`LoadError::OtherHorizon`] when it
    /// was not.
    pub fn require(&self, series: &SeriesId, step: Step) -> Result<(), LoadError> {
        if self.manifest.series != *series {
            let (fitted, asked) = (self.manifest.series.clone(), series.clone());
            return Err(LoadError::OtherSeries { fitted, asked });
        }
        let (fitted, asked) = (self.manifest.step, step);
        if fitted != asked {
            return Err(LoadError::OtherStep { fitted, asked });
        }
        let fitted = self.manifest.horizon;
        if fitted == HORIZON { Ok(()) } else { Err(LoadError::OtherHorizon { fitted }) }
    }

    /// The reference network on `device`, ready to forecast; `None` where the artifact has another.
    #[must_use]
    pub fn reference(&self, device: &Device) -> Option<ReferenceForecaster> {
        let Network::Reference { weights, scaler } = &self.network else { return None };
        let points = PointForecaster::new(weights, *scaler, device);
        let (residuals, step) = (self.manifest.residuals.clone(), self.manifest.step);
        Some(ReferenceForecaster::from_parts(points, residuals, step))
    }

    /// Where the artifact of `series` lies in the folder `models`: what is not a letter, a digit,
    /// `-`, `_` or an inner `.` is percent-encoded; a name that is too long for a file system is
    /// cut and told apart by its digest, after a `~`, which no other name holds.
    #[must_use]
    pub fn path_in(models: &Path, series: &SeriesId) -> PathBuf {
        let mut stem = String::new();
        for (i, byte) in series.as_str().bytes().enumerate() {
            let plain = byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if plain || (byte == b'.' && i > 0) {
                stem.push(char::from(byte));
            } else {
                stem.push_str(&format!("%{byte:02X}"));
            }
        }
        if stem.len() > FILE_STEM_MAX {
            let digest = Digest::new().part(series.as_str().as_bytes()).finish();
            stem.truncate(FILE_STEM_MAX - 1 - digest.len());
            stem = format!("{stem}~{digest}");
        }
        models.join(format!("{stem}.safetensors"))
    }

    /// Writes the artifact to `path`, whole or not at all: to a new file beside it, which then
    /// takes its name. What a writer that was killed left in the folder is removed after an hour.
    ///
    /// # Errors
    /// When the folder cannot be made or written; an older artifact at `path` is left as it was.
    pub fn save(&self, path: &Path) -> Result<(), SaveError> {
        self.to_bytes()
            .and_then(|bytes| write_whole(path, &bytes))
            .map_err(|source| SaveError { path: path.to_owned(), source })
    }

    /// As [`Self::save`], where `champion` is still what `path` holds, or nothing is there and none was
    /// expected. What somebody else has put there meanwhile, be it unreadable, is left.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn replace(&self, champion: Option<&Self>, path: &Path) -> Result<Replaced, SaveError> {
        let same = match Self::load(path) {
            Ok(there) => Some(&there) == champion,
            Err(_) => false,
        };
        if !same && path.exists() {
            return Ok(Replaced::Changed);
        }
        self.save(path).map(|()| Replaced::Done)
    }

    fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let metadata = HashMap::from([
            (MANIFEST_KEY.to_owned(), self.text.clone()),
            (DIGEST_KEY.to_owned(), self.fingerprint()),
        ]);
        serialize_tensors(&self.network.tensor_bytes(), metadata)
    }

    /// Reads the artifact at `path`.
    ///
    /// # Errors
    /// When it is missing, unreadable, too large, damaged anywhere, or of another version.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let bytes = read_limited(path).map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::NotFound => LoadError::Missing { path },
                io::ErrorKind::FileTooLarge => LoadError::TooLarge { path },
                _ => LoadError::Unreadable { path, source },
            }
        })?;
        Self::from_bytes(&bytes).map_err(|refusal| {
            let path = path.to_owned();
            match refusal {
                Refusal::OtherSchema(found) => LoadError::OtherSchema { path, found },
                Refusal::Damaged(reason) => LoadError::Damaged { path, reason },
            }
        })
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let damaged = |error: &dyn std::fmt::Display| Refusal::Damaged(error.to_string());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let entry = |key| metadata.get(key).ok_or_else(|| damaged(&format!("it has no {key}")));
        let (text, digest) = (entry(MANIFEST_KEY)?, entry(DIGEST_KEY)?);
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let tensors = file.iter().map(|(name, tensor)| (name, tensor.data()));
        if content_digest(text, tensors) != *digest {
            return Err(damaged(&"its digest does not match its contents"));
        }
        let VersionWire { schema_version } = serde_json::from_str(text).map_err(|e| damaged(&e))?;
        if !(SCHEMA_VERSION_MIN..=SCHEMA_VERSION).contains(&schema_version) {
            return Err(Refusal::OtherSchema(schema_version));
        }
        let (manifest, spec) = parse_manifest(text).map_err(|e| damaged(&e))?;
        let network = Network::read(spec, &file).map_err(|e| damaged(&e))?;
        Self::of(manifest, text.clone(), network).map_err(|e| damaged(&e))
    }
}

enum Refusal {
    OtherSchema(u32),
    Damaged(String),
}

fn parse_manifest(text: &str) -> Result<(Manifest, NetworkSpec), String> {
    serde_json::from_str::<ManifestWire>(text).map_err(|e| e.to_string())?.parse()
}

/// SHA-256 over the manifest and each tensor's name and bytes, in order of the names.
fn content_digest<'a>(text: &str, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let sorted: BTreeMap<&str, &[u8]> = tensors.collect();
    let start = Digest::new().part(text.as_bytes());
    let digest =
        |digest: Digest, (name, bytes): (&str, &[u8])| digest.part(name.as_bytes()).part(bytes);
    sorted.into_iter().fold(start, digest).finish()
}
