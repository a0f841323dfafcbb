//! The field's classical methods behind our [`forecast::Forecaster`]: what users of statsforecast
//! and Prophet would compare a network with.
//!
//! ```text
//! window ─▶ smoothing ─▶ ets ───┐
//!     └─▶ (decomposed) ─▶ mstl ─┼─▶ calibration ─▶ a Forecaster
//!                               │
//!                    prophet ───┘   (feature `prophet`)
//! ```
//!
//! The estimators are those of augurs and stlrs. None of them can be told later values, so what is
//! fitted once is the shape of the model and its intervals; its parameters are estimated anew at
//! each origin, on a bounded stretch before it.

mod calibration;
mod ets;
mod mstl;
#[cfg(feature = "prophet")]
mod prophet;
mod smoothing;
#[cfg(test)]
mod testing;
mod window;

pub use calibration::CalibrationError;
pub use ets::{Ets, EtsError};
pub use mstl::{Mstl, MstlError};
#[cfg(feature = "prophet")]
pub use prophet::{Components, Prophet, ProphetError};
