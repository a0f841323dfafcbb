//! The one chronological split: what is trained on, what stops the training, what is reported.

use std::ops::Range;

use thiserror::Error;

/// Three consecutive stretches of a series, by offset. No target lies in two of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Split {
    /// Weights and scaler are fitted on this.
    pub train: Range<usize>,
    /// Training stops early by the loss here; intervals are fitted on the errors here.
    pub validation: Range<usize>,
    /// Scores are reported on this; nothing is fitted on it.
    pub test: Range<usize>,
}

/// Shares of a series, by what they serve.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shares {
    /// Share of the validation part.
    pub validation: f64,
    /// Share of the test part.
    pub test: f64,
}

impl Shares {
    /// One tenth each: at 14 days, 34 hours of validation and 34 hours of test.
    pub const TENTHS: Self = Self { validation: 0.1, test: 0.1 };
}

/// Why a series cannot be split.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum SplitError {
    /// A part would be too short to hold one window.
    #[error(
        "the history has {length} steps, too few to split into training, validation and test: at least {needed} are needed"
    )]
    TooShort {
        /// Steps given.
        length: usize,
        /// Steps needed.
        needed: usize,
    },
    /// The shares are not shares.
    #[error("shares of {validation} for validation and {test} for test leave nothing to train on")]
    Shares {
        /// The validation share.
        validation: f64,
        /// The test share.
        test: f64,
    },
}

impl Split {
    /// Splits `length` steps in order of time; each part holds at least `part_min` steps.
    ///
    /// # Errors
    /// When `length` is too short or the shares are not shares.
    pub fn chronological(
        length: usize,
        shares: Shares,
        part_min: usize,
    ) -> Result<Self, SplitError> {
        let Shares { validation, test } = shares;
        let valid = |share: f64| share > 0.0 && share < 1.0;
        if !(valid(validation) && valid(test) && validation + test < 1.0) {
            return Err(SplitError::Shares { validation, test });
        }
        let steps = |share: f64| (length as f64 * share).floor() as usize;
        let (validation, test) = (steps(validation), steps(test));
        let train = length - validation - test;
        let smallest =
            shares.validation.min(shares.test).min(1.0 - shares.validation - shares.test);
        if validation.min(test).min(train) < part_min {
            let needed = (part_min as f64 / smallest).ceil() as usize;
            return Err(SplitError::TooShort { length, needed });
        }
        Ok(Self {
            train: 0..train,
            validation: train..train + validation,
            test: train + validation..length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_weeks_of_five_minute_steps() {
        let split = Split::chronological(4032, Shares::TENTHS, 36).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (3226, 403, 403));
    }

    #[test]
    fn says_how_much_is_needed() {
        let error = Split::chronological(100, Shares::TENTHS, 36).unwrap_err();
        assert_eq!(error, SplitError::TooShort { length: 100, needed: 360 });
        assert!(Split::chronological(360, Shares::TENTHS, 36).is_ok());
        assert!(Split::chronological(360, Shares { validation: 0.6, test: 0.4 }, 1).is_err());
        assert!(Split::chronological(360, Shares { validation: f64::NAN, test: 0.4 }, 1).is_err());
    }

    proptest! {
        #[test]
        fn the_parts_cover_the_series_and_do_not_overlap(length in 0_usize..10_000) {
            if let Ok(split) = Split::chronological(length, Shares::TENTHS, 1) {
                prop_assert_eq!(split.train.start, 0);
                prop_assert_eq!(split.train.end, split.validation.start);
                prop_assert_eq!(split.validation.end, split.test.start);
                prop_assert_eq!(split.test.end, length);
            }
        }
    }
}
