//! Stan's optimizer in WebAssembly, compiled once per process.

use std::sync::{Arc, OnceLock};

use augurs_prophet::optimizer::{Data, Error, InitialParams, OptimizeOpts, OptimizedParams};
use augurs_prophet::wasmstan::WasmstanOptimizer;
use augurs_prophet::{Algorithm, Optimizer};

/// Iterations that Python's Prophet allows.
const ITERATIONS: u32 = 10_000;

/// The model's compilation takes most of a second, and its machine code some megabytes.
static COMPILED: OnceLock<WasmstanOptimizer> = OnceLock::new();

/// The optimizer of one fit, which remembers what augurs keeps to itself.
#[derive(Clone, Default, Debug)]
pub(super) struct Stan {
    optimum: Arc<OnceLock<Optimum>>,
}

/// Where the trend may bend and what was found there, in Prophet's own units: times are 0 at the
/// first value and 1 at the last, loads are shares of the largest.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Optimum {
    /// The number of changepoints.
    pub(super) changepoints: usize,
    /// The mean size of the changes of the rate, whatever their sign.
    pub(super) mean_change: f64,
    /// The standard deviation of the noise.
    pub(super) noise: f64,
}

impl Stan {
    /// What was found; `None` before the fit.
    pub(super) fn optimum(&self) -> Option<Optimum> {
        self.optimum.get().cloned()
    }
}

impl Optimizer for Stan {
    fn optimize(
        &self,
        init: &InitialParams,
        data: &Data,
        opts: &OptimizeOpts,
    ) -> Result<OptimizedParams, Error> {
        let order = column_order(data);
        let sorted = with_columns(data, &order);
        let run = |algorithm| {
            let opts =
                OptimizeOpts { algorithm: Some(algorithm), iter: Some(ITERATIONS), ..opts.clone() };
            COMPILED.get_or_init(WasmstanOptimizer::new).optimize(init, &sorted, &opts)
        };
        // Newton is slow and sure: Python's Prophet turns to it, too.
        let mut found = run(Algorithm::Lbfgs).or_else(|_| run(Algorithm::Newton))?;
        let mut beta = vec![0.0; order.len()];
        for (coefficient, &column) in found.beta.iter().zip(&order) {
            beta[column] = *coefficient;
        }
        found.beta = beta;
        let changes = found.delta.len().max(1) as f64;
        let optimum = Optimum {
            changepoints: data.t_change.len(),
            mean_change: found.delta.iter().map(|change| change.abs()).sum::<f64>() / changes,
            noise: found.sigma_obs.into(),
        };
        self.optimum.get_or_init(|| optimum);
        Ok(found)
    }
}

/// The features' columns in order of their values. augurs has them in that of a hash map, which is
/// another in each process; each order rounds differently, so it would be another optimum each time.
fn column_order(data: &Data) -> Vec<usize> {
    let columns = data.sigmas.len();
    let column = |j: usize| data.X.iter().skip(j).step_by(columns);
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by(|&a, &b| {
        let mut orders = column(a).zip(column(b)).map(|(x, y)| x.total_cmp(y));
        orders.find(|order| order.is_ne()).unwrap_or_else(|| a.cmp(&b))
    });
    order
}

/// The same data with the features' columns in `order`.
fn with_columns(data: &Data, order: &[usize]) -> Data {
    let rows = data.X.chunks(order.len());
    Data {
        X: rows.flat_map(|row| order.iter().map(|&j| row[j])).collect(),
        sigmas: order.iter().map(|&j| data.sigmas[j]).collect(),
        s_a: order.iter().map(|&j| data.s_a[j]).collect(),
        s_m: order.iter().map(|&j| data.s_m[j]).collect(),
        ..data.clone()
    }
}
