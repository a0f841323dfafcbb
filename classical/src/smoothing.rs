//! Exponential smoothing in state space form (Hyndman, Koehler, Ord and Snyder, 2008), as augurs
//! estimates it.

use augurs_core::{Fit, Predict};
use augurs_ets::AutoETS;
use augurs_ets::model::{ErrorComponent, ModelType, Unfit};
use forecast::ForecastFailure;

/// Which of the models without season it is: kind of error, kind of trend, damped or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    kind: ModelType,
    damped: bool,
}

/// The points after `values` by the model with the least corrected Akaike criterion on them.
pub(crate) fn best_points(values: &[f64], horizon: usize) -> Result<Vec<f64>, ForecastFailure> {
    // Its likelihood is infinite, which the optimizer takes its time to approach.
    if let Some(constant) = constant(values) {
        return Ok(vec![constant; horizon]);
    }
    let model = AutoETS::non_seasonal().fit(values).map_err(failure)?;
    Ok(model.predict(horizon, None).map_err(failure)?.point)
}

impl Form {
    /// The form with the least corrected Akaike criterion on `values`.
    pub(crate) fn choose(values: &[f64]) -> Result<Self, augurs_ets::Error> {
        let fitted = AutoETS::non_seasonal().fit(values)?;
        Ok(Self { kind: fitted.model().model_type(), damped: fitted.model().damped() })
    }

    /// The points after `values`, with parameters that are estimated on them.
    pub(crate) fn points(
        self,
        values: &[f64],
        horizon: usize,
    ) -> Result<Vec<f64>, ForecastFailure> {
        if let Some(constant) = constant(values) {
            return Ok(vec![constant; horizon]);
        }
        // Relative errors are not defined where a value is zero.
        let positive = values.iter().all(|value| *value > 0.0);
        let error = if positive { self.kind.error } else { ErrorComponent::Additive };
        let kind = ModelType { error, ..self.kind };
        let model = Unfit::new(kind).damped(self.damped).fit(values).map_err(failure)?;
        Ok(model.predict(horizon, None).map_err(failure)?.point)
    }
}

/// The value that all of `values` have.
fn constant(values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    values.iter().all(|value| *value == first).then_some(first)
}

fn failure(error: augurs_ets::Error) -> ForecastFailure {
    ForecastFailure::Model(error.to_string())
}
