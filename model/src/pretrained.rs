//! The quantile network that ships with the program, and the format of its file: safetensors, with a
//! model card in its metadata.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;
use crate::file::{read_limited, read_weights, serialize_tensors, tensor_bytes, write_whole};
use crate::quantile::QuantileConfig;
use crate::weights::Weights;

const CARD_KEY: &str = "card";
/// A network wider than this is refused before memory is asked for it.
const WIDTH_MAX: usize = 1024;
/// The kind of network that the card names.
const KIND: &str = "lstm-quantiles-1";

/// What a pre-trained network was trained on and how.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// Which inputs and outputs it has; a program that reads another kind refuses the file.
    pub kind: String,
    /// Version of the program that made it.
    pub tool_version: String,
    /// Width of each LSTM layer.
    pub hidden: usize,
    /// Width of the linear layer after them.
    pub dense: usize,
    /// Share of values dropped in training.
    pub dropout: f64,
    /// Seconds between two steps of the series that it was trained on.
    pub step_seconds: u32,
    /// The names of those series.
    pub series: Vec<String>,
    /// The last share of each, which it was not trained on.
    pub held_out: String,
    /// Steps of Adam.
    pub steps: usize,
    /// Windows of a step.
    pub batch: usize,
    /// The seed of weights, windows and dropout.
    pub seed: u64,
    /// The loss when the training ended.
    pub loss: f64,
}

/// A quantile network that was trained on many workloads.
#[derive(Clone, PartialEq, Debug)]
pub struct Pretrained {
    card: ModelCard,
    weights: Weights<QuantileConfig>,
}

/// Why a file is no pre-trained network.
#[derive(Debug, Error)]
pub enum PretrainedError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[from] io::Error),
    /// It is something else.
    #[error("it is no pre-trained network of this version: {0}")]
    Damaged(String),
}

impl Pretrained {
    /// The kind of network that this program makes and reads.
    pub const KIND: &str = KIND;

    /// A network with its card.
    #[must_use]
    pub fn new(card: ModelCard, weights: Weights<QuantileConfig>) -> Self {
        Self { card, weights }
    }

    /// The network that ships with the program.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static EMBEDDED: OnceLock<Pretrained> = OnceLock::new();
        EMBEDDED.get_or_init(|| {
            Self::from_bytes(include_bytes!("../pretrained/lstm.safetensors"))
                .expect("a test reads the file that ships with the program")
        })
    }

    /// Reads the network at `path`.
    ///
    /// # Errors
    /// When the file cannot be read or is something else.
    pub fn load(path: &Path) -> Result<Self, PretrainedError> {
        let bytes = read_limited(path)?;
        Self::from_bytes(&bytes).map_err(PretrainedError::Damaged)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let card = metadata.get(CARD_KEY).ok_or("it has no model card")?;
        let card: ModelCard = serde_json::from_str(card).map_err(|e| e.to_string())?;
        if card.kind != KIND {
            return Err(format!("it is a network of kind {}, not {KIND}", card.kind));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let ModelCard { hidden, dense, dropout, .. } = card;
        let sizes = 1..=WIDTH_MAX;
        if !(sizes.contains(&hidden) && sizes.contains(&dense) && (0.0..1.0).contains(&dropout)) {
            return Err(format!("its layers have {hidden} and {dense} units, dropout {dropout}"));
        }
        let weights = read_weights(QuantileConfig { hidden, dense, dropout }, &file)?;
        Ok(Self { card, weights })
    }

    /// Writes the network to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be made or written; what was there is left as it was.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        write_whole(path, &self.to_bytes()?)
    }

    fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let card = serde_json::to_string(&self.card)?;
        let tensors: Vec<_> = tensor_bytes(&self.weights).collect();
        serialize_tensors(&tensors, HashMap::from([(CARD_KEY.to_owned(), card)]))
    }

    /// SHA-256 of card and weights: two networks with one fingerprint are the same.
    ///
    /// # Panics
    /// Never: a card is always text.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let card = serde_json::to_string(&self.card).expect("a card is text and numbers");
        let start = Digest::new().part(card.as_bytes());
        tensor_bytes(&self.weights)
            .fold(start, |digest, (_, _, bytes)| digest.part(&bytes))
            .finish()
    }

    /// What it was trained on and how.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Its weights.
    #[must_use]
    pub fn weights(&self) -> &Weights<QuantileConfig> {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_network_is_read_and_written_alike() {
        let embedded = Pretrained::embedded();
        let again = Pretrained::from_bytes(&embedded.to_bytes().unwrap()).unwrap();
        assert_eq!(&again, embedded);
        assert!(embedded.card().series.len() > 40);
    }

    #[test]
    fn refuses_what_is_something_else() {
        assert!(Pretrained::from_bytes(b"no").is_err());
        let mut other = Pretrained::embedded().clone();
        other.card.kind = "another".to_owned();
        let refusal = Pretrained::from_bytes(&other.to_bytes().unwrap()).unwrap_err();
        assert!(refusal.contains("another"), "{refusal}");
    }
}
