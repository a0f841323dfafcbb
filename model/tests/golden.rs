//! The network against PyTorch: forward pass, loss, gradients, Adam and autoregression, on every
//! device of Burn's that this build has and on every instruction set of our own kernels. The numbers are made by `benches/peers/golden.py`.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Tensor, TensorData};
use model::{
    Adam, Autoregressor, BatchTile, Device, DeviceError, DeviceKind, DropoutMasks, FusedNetwork,
    Isa, NetworkConfig, ReferenceNetwork, TENSORS, Tile, Weights,
};
use serde::Deserialize;

/// Allowed difference, as a share of the greatest magnitude of the compared numbers: PyTorch's are
/// computed in f64, ours in f32.
const TOLERANCE: f64 = 1e-4;
const CONFIG: NetworkConfig = NetworkConfig::REFERENCE;

#[derive(Deserialize)]
struct Golden {
    seed: u32,
    batch: usize,
    forward: Vec<f64>,
    /// `[horizon][batch]`
    autoregression: Vec<Vec<f64>>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    loss: f64,
    gradients: Option<Named>,
    parameters: Option<Named>,
}

type Named = std::collections::BTreeMap<String, Summary>;

/// Every `stride`-th number of a tensor, and the sums of all and of their magnitudes.
#[derive(Deserialize)]
struct Summary {
    stride: usize,
    values: Vec<f64>,
    sums: [f64; 2],
}

/// The generator of `golden.py`.
struct Generator(u32);

impl Generator {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0 >> 8) / f64::from(1_u32 << 24)
    }

    fn units(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.unit() as f32).collect()
    }

    fn weights(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| ((2.0 * self.unit() - 1.0) * 0.5) as f32).collect()
    }

    fn mask(&mut self, count: usize) -> Vec<f32> {
        let kept = (1.0 / (1.0 - CONFIG.dropout)) as f32;
        (0..count).map(|_| if self.unit() < CONFIG.dropout { 0.0 } else { kept }).collect()
    }
}

struct Setup {
    golden: Golden,
    generator: Generator,
    weights: Weights,
    /// `[lookback, batch]`, row-major
    windows: Vec<f32>,
    targets: Vec<f32>,
}

fn setup() -> Setup {
    let golden: Golden = serde_json::from_str(include_str!("golden/reference.json"))
        .expect("the golden file is what golden.py writes");
    let mut generator = Generator(golden.seed);
    let (h, d) = (CONFIG.hidden, CONFIG.dense);
    let sizes = [(1 + h) * 4 * h, 4 * h, 2 * h * 4 * h, 4 * h, h * d, d, d, 1];
    let weights = Weights::new(CONFIG, sizes.map(|size| generator.weights(size)))
        .expect("the sizes are those of the network");
    let by_window = generator.units(golden.batch * CONFIG.lookback);
    let windows = (0..CONFIG.lookback)
        .flat_map(|t| by_window.iter().skip(t).step_by(CONFIG.lookback).copied())
        .collect();
    let targets = generator.units(golden.batch);
    Setup { golden, generator, weights, windows, targets }
}

/// Every device of this build. A GPU that this machine does not have is left out, and said so; with
/// `REQUIRE_DEVICES=1` it is an error.
fn devices() -> Vec<Device> {
    let required = std::env::var_os("REQUIRE_DEVICES").is_some_and(|value| value == "1");
    let open = |kind| match Device::open(kind) {
        Ok(device) => Some(device),
        Err(DeviceError::NotBuilt { .. }) => None,
        Err(error) => {
            assert!(!required, "REQUIRE_DEVICES=1, but {error}");
            eprintln!("skipped: {error}");
            None
        }
    };
    [DeviceKind::Cpu, DeviceKind::NdArray, DeviceKind::Wgpu].into_iter().filter_map(open).collect()
}

fn assert_close(what: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let difference = (f64::from(*got) - expected).abs();
        assert!(
            difference <= TOLERANCE * scale,
            "{what}, number {i}: {got} instead of {expected}, at a scale of {scale}"
        );
    }
}

/// Compares whole tensors, in the order of [`Weights::iter`].
fn assert_named(what: &str, names: &Weights, got: &[Vec<f32>], expected: &Named) {
    for ((name, ..), got) in names.iter().zip(got) {
        let Summary { stride, values, sums } = &expected[name];
        let sampled: Vec<f32> = got.iter().step_by(*stride).copied().collect();
        assert_close(&format!("{what} of {name}"), &sampled, values);
        let sum: f64 = got.iter().map(|x| f64::from(*x)).sum();
        let magnitudes: f64 = got.iter().map(|x| f64::from(x.abs())).sum();
        for (sum, expected) in [sum, magnitudes].into_iter().zip(sums) {
            let difference = (sum - expected).abs();
            assert!(difference <= TOLERANCE * sums[1], "{what} of {name}: sum {sum}, {expected}");
        }
    }
}

fn tensor(values: &[f32], rows: usize, device: &burn::tensor::Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [rows, values.len() / rows]), device)
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().expect("the device can be read")
}

/// Reads the gradient of each parameter, in the order in which the network declares them.
struct Reader<'a> {
    gradients: &'a GradientsParams,
    values: Vec<Vec<f32>>,
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.gradients.get::<D>(param.id).expect("every parameter has a gradient");
        self.values.push(gradient.try_into_vec_as().expect("the device can be read"));
    }
}

#[test]
fn the_forward_pass_is_that_of_pytorch() {
    let setup = setup();
    for device in devices() {
        let network = ReferenceNetwork::new(&setup.weights, device.tensors());
        let windows = tensor(&setup.windows, CONFIG.lookback, device.tensors());
        let got = numbers(network.forward(windows, None));
        assert_close(&format!("forward on {}", device.kind()), &got, &setup.golden.forward);
    }
}

#[test]
fn the_autoregression_is_that_of_pytorch() {
    let setup = setup();
    for device in devices() {
        let network = ReferenceNetwork::new(&setup.weights, device.tensors());
        let windows = tensor(&setup.windows, CONFIG.lookback, device.tensors());
        let got = numbers(network.autoregress(windows, setup.golden.autoregression.len()));
        let expected = setup.golden.autoregression.concat();
        assert_close(&format!("autoregression on {}", device.kind()), &got, &expected);
    }
}

#[test]
fn three_steps_of_adam_are_those_of_pytorch() {
    for device in devices() {
        let mut setup = setup();
        let place = device.tensors().clone().autodiff();
        let mut network = ReferenceNetwork::new(&setup.weights, &place);
        let mut optimizer: ModuleOptimizer = AdamConfig::new().with_epsilon(1e-8).init();
        for (i, expected) in setup.golden.steps.iter().enumerate() {
            let what = |part| format!("{part} at step {} on {}", i + 1, device.kind());
            let batch = setup.golden.batch;
            let sequence = setup.generator.mask(CONFIG.lookback * CONFIG.hidden * batch);
            let last = setup.generator.mask(CONFIG.hidden * batch);
            let masks = DropoutMasks::from_values(&sequence, &last, batch);
            let windows = tensor(&setup.windows, CONFIG.lookback, &place);
            let errors = network.forward(windows, Some(&masks)) - tensor(&setup.targets, 1, &place);
            let loss = errors.square().mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            let loss = loss.inner().try_into_vec_as::<f32>().unwrap();
            assert_close(&what("loss"), &loss, &[expected.loss]);
            if let Some(expected) = &expected.gradients {
                let mut reader = Reader { gradients: &gradients, values: Vec::new() };
                network.visit(&mut reader);
                assert_named(&what("gradient"), &setup.weights, &reader.values, expected);
            }
            network = optimizer.step(1e-3, network, gradients);
            if let Some(expected) = &expected.parameters {
                let got = network.to_values().unwrap();
                assert_named(&what("parameter"), &setup.weights, &got, expected);
            }
        }
    }
}

/// The golden batch as a tile.
fn tile(setup: &Setup) -> Tile {
    let mut tile = Tile::new(CONFIG.lookback);
    let batch = setup.golden.batch;
    for (i, target) in setup.targets.iter().enumerate() {
        let window: Vec<f32> = setup.windows.iter().skip(i).step_by(batch).copied().collect();
        tile.push(&window, *target);
    }
    tile
}

#[test]
fn the_fused_forward_pass_is_that_of_pytorch() {
    let setup = setup();
    for isa in Isa::all() {
        let network = FusedNetwork::new(&setup.weights, isa);
        let mut workspace = network.workspace();
        let got = network.predictions(&tile(&setup), &mut workspace);
        assert_close(&format!("forward on {}", isa.name()), got, &setup.golden.forward);
    }
}

#[test]
fn the_fused_autoregression_is_that_of_pytorch() {
    let setup = setup();
    let horizon = setup.golden.autoregression.len();
    for isa in Isa::all() {
        let network = Autoregressor::new(&setup.weights, isa);
        // A few series, as many as a tile has, and more than that.
        for copies in [1, 2, 3] {
            let repeated = |steps: &[f32]| -> Vec<f32> {
                steps.chunks(setup.golden.batch).flat_map(|step| step.repeat(copies)).collect()
            };
            let series = copies * setup.golden.batch;
            let got = network.forecast(&repeated(&setup.windows), series, horizon);
            let expected: Vec<f64> =
                setup.golden.autoregression.iter().flat_map(|step| step.repeat(copies)).collect();
            assert_close(&format!("{series} series on {}", isa.name()), &got, &expected);
        }
    }
}

#[test]
fn three_fused_steps_of_adam_are_those_of_pytorch() {
    for isa in Isa::all() {
        let mut setup = setup();
        let batch = setup.golden.batch;
        let mut network = FusedNetwork::new(&setup.weights, isa);
        let mut workspace = network.workspace();
        let mut parameters: [Vec<f32>; TENSORS] = setup.weights.tensors().clone();
        let mut adam = Adam::new(1e-3, &parameters.each_ref().map(Vec::len), isa);
        for (i, expected) in setup.golden.steps.iter().enumerate() {
            let what = |part| format!("{part} at step {} on {}", i + 1, isa.name());
            let sequence = setup.generator.mask(CONFIG.lookback * CONFIG.hidden * batch);
            let last = setup.generator.mask(CONFIG.hidden * batch);
            let masks = DropoutMasks::from_values(&sequence, &last, batch);
            let mut gradients = parameters.clone();
            gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
            let tile = tile(&setup);
            let tile = BatchTile { tile: &tile, masks: &masks.tiles()[0], batch };
            let squared_errors = network.add_gradients(tile, &mut workspace, &mut gradients);
            let loss = (squared_errors / batch as f64) as f32;
            assert_close(&what("loss"), &[loss], &[expected.loss]);
            if let Some(expected) = &expected.gradients {
                assert_named(&what("gradient"), &setup.weights, &gradients, expected);
            }
            adam.step(&mut parameters, &gradients);
            network.set(&parameters);
            if let Some(expected) = &expected.parameters {
                assert_named(&what("parameter"), &setup.weights, &parameters, expected);
            }
        }
    }
}
