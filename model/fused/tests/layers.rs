//! The layers against plain arithmetic in f64: outputs, and gradients by finite differences, on
//! every instruction set that this machine has and for widths that fill no register.

#![expect(clippy::needless_range_loop, reason = "formulas are written with their indices")]

use fused::{Adam, Columns, Gradients, Isa, LANES, LinearLayer, LstmLayer, LstmStepper, Row};

/// Allowed difference of an output, and of a gradient as a share of the greatest.
const TOLERANCE: f64 = 2e-5;

/// Numbers in ±1 from a linear congruential generator.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1_u32 << 23) as f32 - 1.0
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }

    fn rows(&mut self, count: usize) -> Vec<Row> {
        (0..count).map(|_| Row(std::array::from_fn(|_| self.next()))).collect()
    }
}

/// One LSTM layer on one sequence, as the formulas are written.
struct Plain {
    inputs: usize,
    hidden: usize,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

impl Plain {
    fn new(inputs: usize, hidden: usize, weight: &[f32], bias: &[f32]) -> Self {
        let wide = |numbers: &[f32]| numbers.iter().map(|x| f64::from(*x)).collect();
        Self { inputs, hidden, weight: wide(weight), bias: wide(bias) }
    }

    /// The state after each step: `[steps][hidden]`.
    fn states(&self, sequence: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (inputs, hidden) = (self.inputs, self.hidden);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (mut state, mut cell) = (vec![0.0; hidden], vec![0.0; hidden]);
        let step = |input: &Vec<f64>| {
            let fed: Vec<f64> = input.iter().chain(&state).copied().collect();
            let sum = |column: usize| {
                let products =
                    (0..inputs + hidden).map(|k| fed[k] * self.weight[k * 4 * hidden + column]);
                self.bias[column] + products.sum::<f64>()
            };
            let sums: Vec<f64> = (0..4 * hidden).map(sum).collect();
            for u in 0..hidden {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| sums[gate * hidden + u]);
                cell[u] = sigmoid(f) * cell[u] + sigmoid(i) * g.tanh();
                state[u] = sigmoid(o) * cell[u].tanh();
            }
            state.clone()
        };
        sequence.iter().map(step).collect()
    }
}

fn sequence(rows: &[Row], inputs: usize, lane: usize) -> Vec<Vec<f64>> {
    let step = |step: &[Row]| step.iter().map(|row| f64::from(row.0[lane])).collect();
    rows.chunks(inputs).map(step).collect()
}

fn assert_close(what: &str, got: f64, expected: f64, scale: f64) {
    assert!((got - expected).abs() <= TOLERANCE * scale, "{what}: {got}, expected {expected}");
}

struct Case {
    inputs: usize,
    hidden: usize,
    steps: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
    rows: Vec<Row>,
}

fn case(inputs: usize, hidden: usize, steps: usize) -> Case {
    let mut numbers = Numbers((inputs * 100 + hidden) as u32);
    let weight = numbers.take((inputs + hidden) * 4 * hidden);
    let scale = 1.0 / ((inputs + hidden) as f32).sqrt();
    let weight = weight.iter().map(|x| x * scale).collect();
    let (bias, rows) = (numbers.take(4 * hidden), numbers.rows(steps * inputs));
    Case { inputs, hidden, steps, weight, bias, rows }
}

const SIZES: [(usize, usize, usize); 7] =
    [(1, 50, 24), (50, 50, 4), (3, 7, 5), (26, 33, 3), (1, 1, 2), (2, 16, 3), (5, 65, 2)];

#[test]
fn states_are_those_of_the_formulas() {
    for (inputs, hidden, steps) in SIZES {
        let case = case(inputs, hidden, steps);
        let plain = Plain::new(inputs, hidden, &case.weight, &case.bias);
        for isa in Isa::all() {
            let mut layer = LstmLayer::new(inputs, hidden, true, isa);
            layer.set(&case.weight, &case.bias);
            let mut tape = layer.tape(steps);
            let mut tile = layer.tile_state();
            for t in 0..steps {
                let input = &case.rows[t * inputs..(t + 1) * inputs];
                tape.input_mut(t).copy_from_slice(input);
                layer.forward_step(&mut tape, t);
                tile.input_mut().copy_from_slice(input);
                layer.advance(&mut tile);
                assert_eq!(tile.state(), tape.state(t), "with and without a tape");
            }
            for lane in 0..LANES {
                let expected = plain.states(&sequence(&case.rows, inputs, lane));
                for t in 0..steps {
                    for u in 0..hidden {
                        let got = f64::from(tape.state(t)[u].0[lane]);
                        let what = format!("{} {inputs}-{hidden} state {t} {u}", isa.name());
                        assert_close(&what, got, expected[t][u], 1.0);
                    }
                }
            }
        }
    }
}

#[test]
fn sequences_that_are_stepped_have_the_same_states() {
    for (inputs, hidden, steps) in SIZES {
        let case = case(inputs, hidden, steps);
        let plain = Plain::new(inputs, hidden, &case.weight, &case.bias);
        let expected: Vec<_> =
            (0..LANES).map(|lane| plain.states(&sequence(&case.rows, inputs, lane))).collect();
        for isa in Isa::all() {
            for count in 1..=LANES {
                let stepper = LstmStepper::new(&case.weight, &case.bias, isa);
                let mut sequences = stepper.sequences(count);
                for t in 0..steps {
                    for s in 0..count {
                        for (k, input) in sequences.input_mut(s).iter_mut().enumerate() {
                            *input = case.rows[t * inputs + k].0[s];
                        }
                    }
                    // In two parts, since a forecast advances some of its windows only.
                    stepper.advance(&mut sequences, 0..count / 2);
                    stepper.advance(&mut sequences, count / 2..count);
                    for s in 0..count {
                        for (u, got) in sequences.state(s).iter().enumerate() {
                            let what = format!("{} {inputs}-{hidden} {s} of {count}", isa.name());
                            assert_close(&what, f64::from(*got), expected[s][t][u], 1.0);
                        }
                    }
                }
            }
        }
    }
}

/// Σ over steps, units and lanes of a random factor times the state.
fn loss(plain: &Plain, rows: &[Row], factors: &[Row]) -> f64 {
    let of_lane = |lane: usize| {
        let states = plain.states(&sequence(rows, plain.inputs, lane)).concat();
        let products = states.iter().zip(factors).map(|(h, row)| h * f64::from(row.0[lane]));
        products.sum::<f64>()
    };
    (0..LANES).map(of_lane).sum()
}

/// All gradients of a layer.
struct AllGradients {
    weight: Vec<f32>,
    bias: Vec<f32>,
    /// `[steps × inputs]`
    input: Vec<Row>,
}

fn gradients(case: &Case, factors: &[Row], isa: Isa) -> AllGradients {
    let Case { inputs, hidden, steps, .. } = *case;
    let mut layer = LstmLayer::new(inputs, hidden, true, isa);
    layer.set(&case.weight, &case.bias);
    let mut tape = layer.tape(steps);
    for t in 0..steps {
        tape.input_mut(t).copy_from_slice(&case.rows[t * inputs..(t + 1) * inputs]);
        layer.forward_step(&mut tape, t);
    }
    let mut input = vec![Row::ZERO; steps * inputs];
    let (mut weight, mut bias) = (vec![0.0; case.weight.len()], vec![0.0; case.bias.len()]);
    for t in (0..steps).rev() {
        let d_state = &factors[t * hidden..(t + 1) * hidden];
        let gradients = Gradients { weight: &mut weight, bias: &mut bias };
        layer.backward_step(&mut tape, t, d_state, gradients);
        input[t * inputs..(t + 1) * inputs].copy_from_slice(tape.d_input());
    }
    AllGradients { weight, bias, input }
}

const NUDGE: f64 = 1e-5;

#[test]
fn gradients_are_finite_differences() {
    for (inputs, hidden, steps) in [(1, 9, 4), (3, 7, 5), (17, 18, 2), (1, 1, 13)] {
        let case = case(inputs, hidden, steps);
        let factors = Numbers(7).rows(steps * hidden);
        let mut plain = Plain::new(inputs, hidden, &case.weight, &case.bias);
        let mut slope = |which: fn(&mut Plain) -> &mut Vec<f64>, i: usize| {
            let mut at = |change: f64| {
                which(&mut plain)[i] += change;
                let loss = loss(&plain, &case.rows, &factors);
                which(&mut plain)[i] -= change;
                loss
            };
            (at(NUDGE) - at(-NUDGE)) / (2.0 * NUDGE)
        };
        let weight: Vec<f64> =
            (0..case.weight.len()).map(|i| slope(|plain| &mut plain.weight, i)).collect();
        let bias: Vec<f64> =
            (0..case.bias.len()).map(|i| slope(|plain| &mut plain.bias, i)).collect();
        for isa in Isa::all() {
            let got = gradients(&case, &factors, isa);
            for (what, got, expected) in
                [("weight", &got.weight, &weight), ("bias", &got.bias, &bias)]
            {
                let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
                for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
                    let what = format!("{} {inputs}-{hidden} {what} {i}", isa.name());
                    assert_close(&what, f64::from(*got), *expected, scale);
                }
            }
        }
    }
}

#[test]
fn the_gradient_of_the_input_is_a_finite_difference() {
    let case = case(3, 7, 5);
    let factors = Numbers(7).rows(case.steps * case.hidden);
    let plain = Plain::new(case.inputs, case.hidden, &case.weight, &case.bias);
    for isa in Isa::all() {
        let got = gradients(&case, &factors, isa).input;
        for (i, got) in got.iter().enumerate() {
            // The inputs are floats: the slope is over the change as it was rounded.
            let at = |change: f32| {
                let mut rows = case.rows.clone();
                rows[i].0[5] += change;
                (loss(&plain, &rows, &factors), f64::from(rows[i].0[5]))
            };
            let ((above, high), (below, low)) = (at(1e-3), at(-1e-3));
            let what = format!("{} input {i}", isa.name());
            assert_close(&what, f64::from(got.0[5]), (above - below) / (high - low), 1.0);
        }
    }
}

#[test]
fn a_linear_layer_and_its_gradients_are_those_of_the_formulas() {
    for (inputs, outputs) in [(50, 25), (25, 1), (7, 19), (1, 3), (64, 9)] {
        let mut numbers = Numbers(3);
        let (weight, bias) = (numbers.take(inputs * outputs), numbers.take(outputs));
        let (input, d_given) = (numbers.rows(inputs), numbers.rows(outputs));
        let at = |row: &Row, lane: usize| f64::from(row.0[lane]);
        for isa in Isa::all() {
            let mut layer = LinearLayer::new(inputs, outputs, isa);
            layer.set(&weight, &bias);
            let (mut output, mut d_output) = (layer.output(), layer.output());
            layer.forward(&input, &mut output);
            d_output[..outputs].copy_from_slice(&d_given);
            let mut d_input = vec![Row::ZERO; inputs];
            let (mut d_weight, mut d_bias) = (vec![1.0; inputs * outputs], vec![1.0; outputs]);
            let gradients = Gradients { weight: &mut d_weight, bias: &mut d_bias };
            layer.backward(&input, &mut d_output, &mut d_input, gradients);
            for lane in 0..LANES {
                for j in 0..outputs {
                    let products = (0..inputs)
                        .map(|k| at(&input[k], lane) * f64::from(weight[k * outputs + j]));
                    let expected = f64::from(bias[j]) + products.sum::<f64>();
                    assert_close("output", at(&output[j], lane), expected, 10.0);
                }
                for k in 0..inputs {
                    let products = (0..outputs)
                        .map(|j| at(&d_given[j], lane) * f64::from(weight[k * outputs + j]));
                    assert_close("d_input", at(&d_input[k], lane), products.sum(), 10.0);
                }
            }
            for j in 0..outputs {
                let sum: f64 = (0..LANES).map(|lane| at(&d_given[j], lane)).sum();
                assert_close("d_bias", f64::from(d_bias[j]), 1.0 + sum, 10.0);
                for k in 0..inputs {
                    let products = (0..LANES).map(|l| at(&input[k], l) * at(&d_given[j], l));
                    let got = f64::from(d_weight[k * outputs + j]);
                    assert_close("d_weight", got, 1.0 + products.sum::<f64>(), 10.0);
                }
            }
        }
    }
}

#[test]
fn columns_yield_the_product_of_any_number_of_vectors() {
    for (inputs, outputs) in [(100, 200), (50, 25), (25, 1), (3, 17)] {
        let mut numbers = Numbers(11);
        let (matrix, bias) = (numbers.take(inputs * outputs), numbers.take(outputs));
        let stride = inputs + 5;
        for isa in Isa::all() {
            let columns = Columns::new(&matrix, &bias, isa);
            for count in 0..=26 {
                let vectors = numbers.take(count * stride);
                let mut out = vec![0.0; count * columns.width()];
                columns.apply(&vectors, stride, count, &mut out);
                for v in 0..count {
                    for j in 0..outputs {
                        let products = (0..inputs).map(|k| {
                            f64::from(vectors[v * stride + k]) * f64::from(matrix[k * outputs + j])
                        });
                        let expected = f64::from(bias[j]) + products.sum::<f64>();
                        let got = f64::from(out[v * columns.width() + j]);
                        assert_close(
                            &format!("{} {v} of {count}", isa.name()),
                            got,
                            expected,
                            10.0,
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn adam_follows_its_formulas() {
    for isa in Isa::all() {
        let mut numbers = Numbers(5);
        let start = numbers.take(37);
        let mut parameters = [start.clone(), vec![0.5]];
        let mut adam = Adam::new(1e-2, &[37, 1], isa);
        let (mut mean, mut square) = ([0.0_f64; 37], [0.0_f64; 37]);
        let mut expected: Vec<f64> = start.iter().map(|x| f64::from(*x)).collect();
        for step in 1..=5 {
            let gradients = [numbers.take(37), vec![0.0]];
            adam.step(&mut parameters, &gradients);
            for i in 0..37 {
                let gradient = f64::from(gradients[0][i]);
                mean[i] = 0.9 * mean[i] + 0.1 * gradient;
                square[i] = 0.999 * square[i] + 0.001 * gradient * gradient;
                let (unbiased, scale) = (
                    mean[i] / (1.0 - 0.9_f64.powi(step)),
                    square[i] / (1.0 - 0.999_f64.powi(step)),
                );
                expected[i] -= 1e-2 * unbiased / (scale.sqrt() + 1e-8);
                assert_close(isa.name(), f64::from(parameters[0][i]), expected[i], 1.0);
            }
        }
        assert_eq!(parameters[1], [0.5], "no gradient, no step");
    }
}

#[test]
fn a_mask_scales_what_it_keeps() {
    let rows = Numbers(1).rows(3);
    let masks = [0x0000, 0xffff, 0x8421];
    for isa in Isa::all() {
        let mut to = vec![Row::ZERO; 3];
        fused::mask(isa, &rows, &masks, 1.25, &mut to);
        for (r, row) in to.iter().enumerate() {
            for lane in 0..LANES {
                let kept = masks[r] >> lane & 1 == 1;
                let expected = if kept { rows[r].0[lane] * 1.25 } else { 0.0 };
                assert_eq!(row.0[lane], expected, "{} {r} {lane}", isa.name());
            }
        }
    }
}
