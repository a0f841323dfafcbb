//! The field's classical methods behind our [`forecast::Forecaster`]: what users of statsforecast
//! and Prophet would compare a network with.
//!
//! ```text
//! window ─▶ smoothing ─▶ ets ───┐
//!     └─▶ (decomposed) ─▶ mstl ─┼─▶ calibration ─▶ a Forecaster
//!                               │
//!                    prophet ───┘
//! ```
//!
//! The estimators are those of augurs and stlrs, and for Prophet an optimizer of our own. None of
//! them can be told later values. So of ETS and MSTL the intervals are fitted once, with the form of
//! MSTL's trend, and the parameters are estimated anew at each origin, on a bounded stretch before
//! it; Prophet says what its calendar says until it is fitted anew.

mod calibration;
mod ets;
mod mstl;
mod prophet;
mod smoothing;
#[cfg(test)]
mod testing;
mod window;

pub use calibration::CalibrationError;
pub use ets::{Ets, EtsError};
pub use mstl::{Mstl, MstlError};
pub use prophet::{Components, Prophet, ProphetError};
