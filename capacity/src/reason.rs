//! Why the replicas are what they are, in the order in which it was decided.

use std::fmt;

use forecast::{Quantile, Share};
use jiff::SignedDuration;

use crate::autoscaler::FallbackCause;

/// One reason of a plan. Its text is the log line, the answer of the API and what tests compare.
#[derive(Clone, PartialEq, Debug)]
pub enum Reason {
    /// The workload stands at zero: somebody stopped it, and nobody asked to start it.
    ScaledToZero,
    /// What the load of now needs.
    LoadNow {
        /// The load.
        load: f64,
        /// How long ago it was observed.
        age: SignedDuration,
        /// The load that one replica carries.
        load_per_replica: f64,
        /// What it needs.
        replicas: u32,
    },
    /// The load of now is not known.
    LoadUnknown,
    /// What the forecast needs within the readiness window.
    ForecastPeak {
        /// The quantile that is planned for.
        quantile: Quantile,
        /// Its highest value in the window.
        load: f64,
        /// The window.
        within: SignedDuration,
        /// The spare share on top of it.
        headroom: f64,
        /// What it needs, headroom included.
        replicas: u32,
    },
    /// The methods that the forecast was weighed together from, by their recent losses.
    Carried {
        /// The weightiest first.
        shares: Vec<Share>,
    },
    /// The forecast comes from an earlier round.
    LastGoodForecast {
        /// Why there is no fresh one.
        cause: FallbackCause,
        /// The age of its origin.
        age: SignedDuration,
    },
    /// The forecast is that of seasonal naive.
    SeasonalForecast {
        /// Why the model's is not used.
        cause: FallbackCause,
    },
    /// There is no forecast.
    NoForecast {
        /// Why.
        cause: FallbackCause,
    },
    /// Replicas stay because something that is needed to lower them is not known.
    Hold {
        /// As many as there are.
        replicas: u32,
    },
    /// Replicas stay because they are needed again within the horizon.
    HorizonPeak {
        /// The highest value of the planned quantile over the whole horizon.
        load: f64,
        /// What it needs, headroom included.
        replicas: u32,
        /// Below which replicas are not lowered for it.
        kept: u32,
    },
    /// Replicas stay because they were recommended a short while ago.
    Stabilization {
        /// Below which replicas are not lowered for it.
        kept: u32,
        /// The window.
        window: SignedDuration,
    },
    /// Our own limit on how fast a forecast may raise.
    RampUp {
        /// What was wanted.
        wanted: u32,
        /// What is allowed at once.
        limit: u32,
    },
    /// Our own limit on how fast replicas are taken away.
    RampDown {
        /// What was wanted.
        wanted: u32,
        /// What is allowed at once.
        limit: u32,
    },
    /// The lower bound.
    MinReplicas {
        /// What was wanted.
        wanted: u32,
        /// The bound.
        min: u32,
    },
    /// The upper bound: the workload may be short.
    MaxReplicas {
        /// What was wanted.
        wanted: u32,
        /// The bound.
        max: u32,
    },
}

impl Reason {
    /// Whether it says that the plan does not rest on a fresh forecast of the model.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        matches!(
            self,
            Self::LastGoodForecast { .. } | Self::SeasonalForecast { .. } | Self::NoForecast { .. }
        )
    }

    /// A short stable name, for metrics and machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ScaledToZero => "ScaledToZero",
            Self::LoadNow { .. } => "LoadNow",
            Self::LoadUnknown => "LoadUnknown",
            Self::ForecastPeak { .. } => "ForecastPeak",
            Self::Carried { .. } => "Carried",
            Self::LastGoodForecast { .. } => "LastGoodForecast",
            Self::SeasonalForecast { .. } => "SeasonalForecast",
            Self::NoForecast { .. } => "NoForecast",
            Self::Hold { .. } => "Hold",
            Self::HorizonPeak { .. } => "HorizonPeak",
            Self::Stabilization { .. } => "Stabilization",
            Self::RampUp { .. } => "RampUp",
            Self::RampDown { .. } => "RampDown",
            Self::MinReplicas { .. } => "MinReplicas",
            Self::MaxReplicas { .. } => "MaxReplicas",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ScaledToZero => write!(f, "scaled to zero: left alone"),
            Self::LoadNow { load, age, load_per_replica, replicas } => {
                write!(f, "load {load:.2}")?;
                // A scrape and a step apart is now; more is worth a remark.
                if age.as_mins() > 5 {
                    write!(f, " ({} min old)", age.as_mins())?;
                }
                write!(f, " needs {replicas} at {load_per_replica} each")
            }
            Self::LoadUnknown => write!(f, "the load of now is unknown"),
            Self::ForecastPeak { quantile, load, within, headroom, replicas } => {
                let (minutes, percent) = (within.as_mins(), 100.0 * headroom);
                write!(f, "q{quantile} peaks at {load:.2} within {minutes} min, ")?;
                write!(f, "with {percent:.0} % headroom needs {replicas}")
            }
            Self::Carried { shares } => carried(f, shares),
            Self::LastGoodForecast { cause, age } => {
                write!(f, "{cause}: using the forecast of {} min ago", age.as_mins())
            }
            Self::SeasonalForecast { cause } => write!(f, "{cause}: using the day before"),
            Self::NoForecast { cause } => write!(f, "{cause}: no forecast"),
            Self::Hold { replicas } => write!(f, "holding {replicas}"),
            Self::HorizonPeak { load, replicas, kept } => {
                write!(f, "not lowered below {kept}: {load:.2} may come later and need {replicas}")
            }
            Self::Stabilization { kept, window } => {
                write!(
                    f,
                    "not lowered below {kept}: needed within the last {} min",
                    window.as_mins()
                )
            }
            Self::RampUp { wanted, limit } => write!(f, "ramp: {limit} now, {wanted} wanted"),
            Self::RampDown { wanted, limit } => write!(f, "ramp: {limit} now, down to {wanted}"),
            Self::MinReplicas { wanted, min } => write!(f, "minReplicas {min} ({wanted} wanted)"),
            Self::MaxReplicas { wanted, max } => {
                write!(f, "capped at maxReplicas {max} ({wanted} wanted)")
            }
        }
    }
}

/// A method with less of a forecast than this is not worth naming.
const SHARE_SHOWN_MIN: f64 = 0.005;

fn carried(f: &mut fmt::Formatter<'_>, shares: &[Share]) -> fmt::Result {
    f.write_str("forecast by ")?;
    let shown = shares.iter().filter(|share| share.weight >= SHARE_SHOWN_MIN);
    for (i, Share { method, weight, loss }) in shown.enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(f, "{comma}{method} {:.0} %", 100.0 * weight)?;
        if i > 0 {
            write!(f, " (recent loss {loss:.2} of the best)")?;
        }
    }
    Ok(())
}
