//! The most likely parameters, given the priors: the optimum that Stan looks for in Python's Prophet.
//!
//! Given the noise σ, the model is linear in all others, with normal priors and, on the changes of
//! the rate, Laplace's: ridge and lasso. As by Lee, Battle, Raina and Ng (2006), section 3, those
//! changes that are not zero are minimised over at once, with all else, as long as none changes its
//! sign; then the one that most wants to be other than zero joins them. σ follows. It works on the
//! products of the columns, so that a fit takes milliseconds however long the history.
//!
//! Stan's L-BFGS, which Python's Prophet and augurs' WebAssembly run, takes the same objective for
//! smooth and stops before its optimum where trend and week can stand in for each other.

use std::sync::{Arc, OnceLock};

use augurs_prophet::optimizer::{Data, Error, InitialParams, OptimizeOpts, OptimizedParams};
use augurs_prophet::{Optimizer, TrendIndicator};

/// The prior standard deviations of rate, offset and noise, as Prophet's Stan program has them.
const RATE_PRIOR: f64 = 5.0;
const OFFSET_PRIOR: f64 = 5.0;
const NOISE_PRIOR: f64 = 0.5;
/// Less noise than this there is not, so that a history without any has an optimum.
const NOISE_MIN: f64 = 1e-9;
/// Rounds after which it is content with what it has.
const ROUNDS_MAX: usize = 1000;
/// It stops once a round changes nothing by more than this share.
const CHANGE_MIN: f64 = 1e-9;

/// The optimizer of one fit, which remembers what augurs keeps to itself.
#[derive(Clone, Default, Debug)]
pub(super) struct Map {
    optimum: Arc<OnceLock<Optimum>>,
}

/// What was found of the trend's changes and the noise, in Prophet's own units: times are 0 at the
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

impl Map {
    /// What was found; `None` before the fit.
    pub(super) fn optimum(&self) -> Option<Optimum> {
        self.optimum.get().cloned()
    }
}

impl Optimizer for Map {
    fn optimize(
        &self,
        _: &InitialParams,
        data: &Data,
        _: &OptimizeOpts,
    ) -> Result<OptimizedParams, Error> {
        if data.trend_indicator != TrendIndicator::Linear || data.s_m.contains(&1) {
            return Err(Error::static_str("only linear trends and additive seasons are known"));
        }
        let order = column_order(data);
        let mut problem = Problem::new(data, &order);
        problem.solve();
        let (trend, features) = problem.coefficients.split_at(2 + data.t_change.len());
        let mut beta = vec![0.0; order.len()];
        for (coefficient, &column) in features.iter().zip(&order) {
            beta[column] = *coefficient;
        }
        let delta = trend[2..].to_vec();
        let optimum = Optimum {
            changepoints: delta.len(),
            mean_change: delta.iter().map(|change| change.abs()).sum::<f64>()
                / delta.len().max(1) as f64,
            noise: problem.noise,
        };
        self.optimum.get_or_init(|| optimum);
        let at = |t: &f64| trend_row(*t, &data.t_change).zip(trend).map(|(x, c)| x * c).sum();
        Ok(OptimizedParams {
            k: trend[0],
            m: trend[1],
            sigma_obs: problem.noise.try_into().map_err(Error::custom)?,
            trend: data.t.iter().map(at).collect(),
            delta,
            beta,
        })
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

/// What rate, offset and each change of the rate are multiplied by at the time `t`.
fn trend_row(t: f64, changepoints: &[f64]) -> impl Iterator<Item = f64> + '_ {
    [t, 1.0].into_iter().chain(changepoints.iter().map(move |at| (t - at).max(0.0)))
}

/// Minimise T ln σ + Σ(y − Zθ)²/2σ² + Σ precision·θ²/2 + Σ lasso·|θ| + σ²/2s² over θ and σ.
struct Problem {
    /// Values, T.
    count: f64,
    /// Zᵀ Z, row by row.
    gram: Vec<f64>,
    /// Zᵀ (y − Zθ).
    gradient: Vec<f64>,
    /// Zᵀ y.
    moments: Vec<f64>,
    /// Σy².
    power: f64,
    precision: Vec<f64>,
    lasso: Vec<f64>,
    /// θ: rate, offset, changes of the rate, features.
    coefficients: Vec<f64>,
    /// σ.
    noise: f64,
}

impl Problem {
    fn new(data: &Data, order: &[usize]) -> Self {
        let changes = data.t_change.len();
        let columns = 2 + changes + order.len();
        let (mut gram, mut moments) = (vec![0.0; columns * columns], vec![0.0; columns]);
        let mut row = Vec::with_capacity(columns);
        for ((t, y), features) in data.t.iter().zip(&data.y).zip(data.X.chunks(order.len())) {
            row.clear();
            row.extend(trend_row(*t, &data.t_change));
            row.extend(order.iter().map(|&j| features[j]));
            for (i, (x, products)) in row.iter().zip(gram.chunks_mut(columns)).enumerate() {
                moments[i] += x * y;
                products.iter_mut().zip(&row).for_each(|(product, other)| *product += x * other);
            }
        }
        let normal = |deviation: f64| 1.0 / (deviation * deviation);
        let mut precision = vec![normal(RATE_PRIOR), normal(OFFSET_PRIOR)];
        precision.resize(2 + changes, 0.0);
        precision.extend(order.iter().map(|&j| normal(data.sigmas[j].into())));
        let mut lasso = vec![0.0; columns];
        lasso[2..2 + changes].fill(1.0 / f64::from(data.tau));
        let power = data.y.iter().map(|y| y * y).sum::<f64>();
        let count = data.y.len() as f64;
        let mut problem = Self {
            count,
            gram,
            gradient: moments.clone(),
            moments,
            power,
            precision,
            lasso,
            coefficients: vec![0.0; columns],
            noise: NOISE_MIN,
        };
        problem.noise = problem.likeliest_noise();
        problem
    }

    /// σ at the optimum of the other parameters: the root of σ⁴/s² + Tσ² = Σ(y − Zθ)².
    fn likeliest_noise(&self) -> f64 {
        let terms = self.coefficients.iter().zip(&self.moments).zip(&self.gradient);
        let explained: f64 = terms.map(|((c, moment), gradient)| c * (moment + gradient)).sum();
        let squares = (self.power - explained).max(0.0);
        let prior = NOISE_PRIOR * NOISE_PRIOR;
        let root = (self.count * self.count + 4.0 * squares / prior).sqrt();
        (2.0 * squares / (self.count + root)).sqrt().max(NOISE_MIN)
    }

    /// Minimises over one coefficient.
    fn minimise(&mut self, j: usize) {
        let columns = self.coefficients.len();
        let products = &self.gram[j * columns..(j + 1) * columns];
        let variance = self.noise * self.noise;
        let before = self.coefficients[j];
        let alone = self.gradient[j] + products[j] * before;
        let shrunk = (alone.abs() - variance * self.lasso[j]).max(0.0).copysign(alone);
        let curvature = products[j] + variance * self.precision[j];
        // A column of zeros, as of a changepoint at the very end, explains nothing.
        let after = if curvature > 0.0 { shrunk / curvature } else { 0.0 };
        let change = after - before;
        if change != 0.0 {
            self.coefficients[j] = after;
            let gradient = self.gradient.iter_mut().zip(products);
            gradient.for_each(|(gradient, product)| *gradient -= change * product);
        }
    }

    /// Minimises over all coefficients that are not zero, or goes as far as where one becomes so:
    /// whether it did, and is to be called again.
    fn minimise_active(&mut self) -> bool {
        let columns = self.coefficients.len();
        let is_active = |&j: &usize| self.lasso[j] == 0.0 || self.coefficients[j] != 0.0;
        let active: Vec<usize> = (0..columns).filter(is_active).collect();
        let variance = self.noise * self.noise;
        let mut matrix: Vec<f64> = Vec::with_capacity(active.len() * active.len());
        for &i in &active {
            matrix.extend(active.iter().map(|&j| self.gram[i * columns + j]));
        }
        for (diagonal, &j) in active.iter().enumerate() {
            matrix[diagonal * (active.len() + 1)] += variance * self.precision[j];
        }
        let pull =
            |&j: &usize| self.moments[j] - variance * self.lasso[j] * self.coefficients[j].signum();
        let Some(solution) = solve_positive(matrix, active.iter().map(pull).collect()) else {
            // They cannot be told apart, so each is taken alone.
            active.into_iter().for_each(|j| self.minimise(j));
            return false;
        };
        let crosses = |(&j, after): (&usize, &f64)| {
            let before = self.coefficients[j];
            (self.lasso[j] > 0.0 && before * after < 0.0).then(|| (before / (before - after), j))
        };
        let first =
            active.iter().zip(&solution).filter_map(crosses).min_by(|a, b| a.0.total_cmp(&b.0));
        let share = first.map_or(1.0, |(share, _)| share);
        for (&j, after) in active.iter().zip(&solution) {
            self.coefficients[j] += share * (after - self.coefficients[j]);
        }
        if let Some((_, j)) = first {
            self.coefficients[j] = 0.0;
        }
        let products = self.gram.chunks(columns);
        for ((gradient, moment), products) in
            self.gradient.iter_mut().zip(&self.moments).zip(products)
        {
            let explained: f64 = products.iter().zip(&self.coefficients).map(|(x, c)| x * c).sum();
            *gradient = moment - explained;
        }
        first.is_some()
    }

    /// The coefficient at zero that most wants to be something else, by what it would explain.
    fn most_wanted(&self) -> Option<usize> {
        let columns = self.coefficients.len();
        let variance = self.noise * self.noise;
        let wanted = (0..columns).filter(|&j| self.coefficients[j] == 0.0).filter_map(|j| {
            let excess = self.gradient[j].abs() - (1.0 + CHANGE_MIN) * variance * self.lasso[j];
            let curvature = self.gram[j * (columns + 1)];
            (excess > 0.0 && curvature > 0.0).then(|| (excess / curvature.sqrt(), j))
        });
        wanted.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, j)| j)
    }

    fn solve(&mut self) {
        for _ in 0..ROUNDS_MAX {
            // Each call but the last leaves one coefficient fewer.
            while self.minimise_active() {}
            let before = self.noise;
            self.noise = self.likeliest_noise();
            let settled = (self.noise - before).abs() <= CHANGE_MIN * before;
            match self.most_wanted() {
                Some(j) => self.minimise(j),
                None if settled => return,
                None => {}
            }
        }
    }
}

/// The x with `matrix` x = `right`, by Cholesky's decomposition; `None` where the symmetric matrix,
/// row by row, is not positive definite.
fn solve_positive(mut matrix: Vec<f64>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let n = right.len();
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| matrix[i * n + k] * matrix[j * n + k]).sum();
            let rest = matrix[i * n + j] - dot;
            if i == j && rest <= f64::EPSILON * matrix[i * n + i] {
                return None;
            }
            matrix[i * n + j] = if i == j { rest.sqrt() } else { rest / matrix[j * n + j] };
        }
    }
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| matrix[i * n + k] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| matrix[k * n + i] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i * n + i];
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    /// A trend with changes, a wave and noise, with a column of zeros among the features.
    fn problem(rows: usize) -> Problem {
        let t: Vec<f64> = (0..rows).map(|i| i as f64 / (rows - 1) as f64).collect();
        let t_change: Vec<f64> = (1..=10).map(|i| 0.08 * f64::from(i)).collect();
        let features = |t: &f64| {
            let angle = 5.0 * std::f64::consts::TAU * t;
            [angle.sin(), angle.cos(), 0.0]
        };
        let y = t.iter().enumerate().map(|(i, t)| {
            0.3 + 0.5 * t - 1.5 * (t - 0.4).max(0.0) + 0.2 * features(t)[0] + 0.05 * noise(i)
        });
        let one = 1.0.try_into().unwrap();
        let data = Data {
            T: i32::try_from(rows).unwrap(),
            y: y.collect(),
            cap: vec![0.0; rows],
            S: 10,
            K: 3,
            s_a: vec![1; 3],
            s_m: vec![0; 3],
            X: t.iter().flat_map(features).collect(),
            sigmas: vec![one; 3],
            tau: 0.05.try_into().unwrap(),
            trend_indicator: TrendIndicator::Linear,
            t,
            t_change,
        };
        let mut problem = Problem::new(&data, &column_order(&data));
        problem.solve();
        problem
    }

    /// What is minimised.
    fn objective(problem: &Problem, coefficients: &[f64], sigma: f64) -> f64 {
        let columns = coefficients.len();
        let product = |i: usize| -> f64 {
            let row = &problem.gram[i * columns..(i + 1) * columns];
            row.iter().zip(coefficients).map(|(x, c)| x * c).sum()
        };
        let squares = problem.power
            + (0..columns)
                .map(|i| coefficients[i] * (product(i) - 2.0 * problem.moments[i]))
                .sum::<f64>();
        let prior = (0..columns).map(|i| {
            let c = coefficients[i];
            problem.precision[i] * c * c / 2.0 + problem.lasso[i] * c.abs()
        });
        problem.count * sigma.ln()
            + squares / (2.0 * sigma * sigma)
            + prior.sum::<f64>()
            + sigma * sigma / (2.0 * NOISE_PRIOR * NOISE_PRIOR)
    }

    #[test]
    fn no_step_from_the_optimum_is_downhill() {
        let problem = problem(1000);
        let best = objective(&problem, &problem.coefficients, problem.noise);
        for size in [1e-2, 1e-4] {
            for seed in 0..300 {
                let moved: Vec<f64> = problem
                    .coefficients
                    .iter()
                    .enumerate()
                    .map(|(j, c)| c + size * noise(1000 * seed + j))
                    .collect();
                let sigma = problem.noise * (1.0 + size * noise(1000 * seed + 999));
                assert!(objective(&problem, &moved, sigma) >= best - 1e-9, "{size} {seed}");
            }
        }
        for j in 0..problem.coefficients.len() {
            for step in [-1e-5, 1e-5] {
                let mut moved = problem.coefficients.clone();
                moved[j] += step;
                assert!(objective(&problem, &moved, problem.noise) >= best - 1e-9, "{j} {step}");
            }
        }
        let changes = &problem.coefficients[2..12];
        assert!(changes.iter().filter(|change| **change == 0.0).count() >= 3, "{changes:?}");
    }

    #[test]
    fn linear_equations_worked_out_by_hand() {
        let solution = solve_positive(vec![4.0, 2.0, 2.0, 3.0], vec![8.0, 8.0]).unwrap();
        assert!((solution[0] - 1.0).abs() < 1e-12 && (solution[1] - 2.0).abs() < 1e-12);
        assert_eq!(solve_positive(vec![1.0, 1.0, 1.0, 1.0], vec![1.0, 1.0]), None);
    }
}
